/**
 * What the eBPF data path does by itself: refusing a place it cannot work in, finding its next hops, and keeping up what
 * no forwarding entry describes.
 */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import type { ForwardingEntry } from '../../src/core/forwarding.ts';
import { parseVni } from '../../src/core/vni.ts';
import { type EbpfOptions, openEbpfDataPath } from '../../src/datapath/ebpf/data-path.ts';
import { linkName, schema } from '../../src/datapath/ebpf/names.ts';
import { index, type VtepRecord, vtepRecord } from '../../src/datapath/ebpf/records.ts';
import { removeEbpfDataPath } from '../../src/datapath/ebpf/remove.ts';
import { chooseDataPath } from '../../src/datapath/select.ts';
import { isOverlayError, type OverlayError } from '../../src/errors.ts';
import { closeFd, linkInfo, mapEntries, mapUpdate, openPinnedMap } from '../../src/native/binding.ts';
import { openNetlink } from '../../src/netlink/netlink.ts';
import type { DataPath } from '../../src/ports/data-path.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<object>('eBPF data path by itself');
const bpfDir = join(bpfRoot, 'upkeep');
const netlink = await openNetlink();
const ignore = () => {};
const options: EbpfOptions = {
  vtep: { address: parseAddress('192.0.2.1'), port: 14789 },
  bpfDir,
  netlink,
  log: { debug: ignore, info: ignore, warn: ignore, error: ignore },
};

/** Opens a data path for a case and takes away all of it afterwards. */
function withDataPath(body: (dataPath: DataPath) => Promise<void>): () => Promise<void> {
  return async () => {
    const dataPath = await openEbpfDataPath(options);
    try {
      await body(dataPath);
    } finally {
      await dataPath.close();
      await removeEbpfDataPath(bpfDir, netlink);
    }
  };
}

async function refusal(attempt: Promise<DataPath>): Promise<OverlayError> {
  try {
    await (await attempt).close();
  } catch (error) {
    if (isOverlayError(error)) return error;
    throw error;
  } finally {
    await removeEbpfDataPath(bpfDir, netlink);
  }
  throw new Error('it was not refused');
}

function vtepRows(): ReadonlyMap<number, VtepRecord> {
  const map = openPinnedMap(join(bpfDir, schema, 'maps', 'vteps'));
  if (map === null) throw new Error('no table of VTEPs');
  try {
    const rows = mapEntries(map).map(([key, value]) => [index.decode(key), vtepRecord.decode(value)] as const);
    return new Map(rows.flatMap(([id, row]) => (row === null ? [] : [[id, row] as const])));
  } finally {
    closeFd(map);
  }
}

function rowOf(address: string): VtepRecord | undefined {
  return [...vtepRows().values()].find((row) => row.address === address);
}

function vtep(address: string, port = 14789): { readonly kind: 'put' | 'remove'; readonly entry: ForwardingEntry } {
  return { kind: 'put', entry: { table: 'vtep', address: parseAddress(address), port } };
}

function pinOf(device: string) {
  return linkInfo(join(bpfDir, schema, 'links', linkName(device)));
}

function ifindexOf(device: string): number {
  return Number(JSON.parse(run('ip', '-j', 'link', 'show', device))[0].ifindex);
}

/** Upkeep gathers changes for a moment; a machine at work may take longer. */
async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (let waited = 0; waited < 5_000; waited += 50) {
    if (holds()) return;
    await sleep(50);
  }
  assert.unreachable(`after 5 s: ${what}`);
}

test('a directory outside a bpf file system is refused, with the way out', async () => {
  const error = await refusal(openEbpfDataPath({ ...options, bpfDir: '/run/netns/no-bpf/weft' }));

  assert.is(error.code, 'CONFIG_INVALID');
  assert.match(error.message, /\/run\/netns\/no-bpf\/weft.*mount -t bpf/);
});

test(
  'a flood list whose pin is lost, or is of another list, reads as empty and is made anew',
  withDataPath(async (dataPath) => {
    const vni = parseVni(77);
    const peer = parseAddress('192.0.2.2');
    const flood = { table: 'flood', vni, endpoints: [], vteps: [peer] } as const;
    const read = async () => [...(await dataPath.read()).values()].filter(({ table }) => table === 'flood');
    await dataPath.apply([
      vtep('192.0.2.2'),
      { kind: 'put', entry: { table: 'network', vni, mtuBytes: 1450, multicast: true } },
      { kind: 'put', entry: flood },
    ]);
    rmSync(join(bpfDir, schema, 'flood', String(vni)));
    const without = await read();
    await dataPath.apply([{ kind: 'put', entry: flood }]);

    assert.equal([without, await read()], [[{ ...flood, vteps: [] }], [flood]]);
  }),
);

test(
  'it is intact from a reading until something is applied, or changed by somebody',
  withDataPath(async (dataPath) => {
    const told: boolean[] = [await dataPath.isIntact()];
    const look = async () => told.push(await dataPath.isIntact());
    await dataPath.apply([vtep('192.0.2.2')]);
    await look();
    await dataPath.read();
    await dataPath.apply([]);
    await look();
    await look();
    const map = openPinnedMap(join(bpfDir, schema, 'maps', 'vteps'));
    if (map === null) throw new Error('no table of VTEPs');
    mapUpdate(map, index.encode(9), vtepRecord.encode(rowOf('192.0.2.2') ?? null));
    closeFd(map);
    await look();

    assert.equal(told, [false, false, true, true, false]);
  }),
);

test('a VTEP address that no device has is refused, with those there are', async () => {
  const error = await refusal(
    openEbpfDataPath({ ...options, vtep: { address: parseAddress('192.0.2.77'), port: 14789 } }),
  );

  assert.is(error.code, 'VTEP_ADDRESS_UNKNOWN');
  assert.match(error.message, /192\.0\.2\.1/);
});

test('a tunnel port that another vxlan device has is refused, with its name', async () => {
  run('ip', 'link', 'add', 'other', 'type', 'vxlan', 'id', '9', 'dstport', '14789', 'dev', 'underlay');
  run('ip', 'link', 'set', 'other', 'up');
  try {
    const error = await refusal(openEbpfDataPath(options));

    assert.is(error.code, 'TUNNEL_PORT_IN_USE');
    assert.match(error.message, /14789.*other/);
  } finally {
    run('ip', 'link', 'delete', 'other');
  }
});

test('a tunnel port that a socket has is refused', async () => {
  const socket = createSocket('udp4');
  socket.bind(14789);
  await once(socket, 'listening');
  try {
    const error = await refusal(openEbpfDataPath(options));

    assert.is(error.code, 'TUNNEL_PORT_IN_USE');
    assert.match(error.message, /socket/);
  } finally {
    socket.close();
  }
});

test('a device that only has the name of ours is left alone and named', async () => {
  run('ip', 'link', 'add', 'weft14789', 'type', 'vxlan', 'id', '9', 'dstport', '4790', 'dev', 'underlay');
  try {
    const error = await refusal(openEbpfDataPath(options));

    assert.is(error.code, 'DEVICE_CONFLICT');
    assert.match(run('ip', '-d', 'link', 'show', 'weft14789'), /vxlan id 9/);
  } finally {
    run('ip', 'link', 'delete', 'weft14789');
  }
});

test('the choice says why', async () => {
  const chosen = await chooseDataPath('auto', options);
  assert.match(chosen.reason, /^eBPF with (tcx|clsact); kernel \d+\.\d+/);
  await chosen.close();
  await removeEbpfDataPath(bpfDir, netlink);
});

test(
  'a row knows its next hop, device, tunnel and MTU',
  withDataPath(async (dataPath) => {
    await dataPath.apply([vtep('192.0.2.2'), vtep('198.51.100.9', 4790)]);
    const link = { ifindex: ifindexOf('underlay'), mtuBytes: 1500, provenMtuBytes: null, hops: 0 };

    assert.equal(rowOf('192.0.2.2'), {
      address: '192.0.2.2',
      port: 14789,
      gateway: null,
      ...link,
      tunnelIfindex: ifindexOf('weft14789'),
    });
    assert.equal(rowOf('198.51.100.9'), {
      address: '198.51.100.9',
      port: 4790,
      gateway: '192.0.2.254',
      ...link,
      tunnelIfindex: ifindexOf('weft4790'),
    });
  }),
);

test(
  'a port that no VTEP speaks any more has no tunnel',
  withDataPath(async (dataPath) => {
    await dataPath.apply([vtep('192.0.2.2', 4790)]);
    run('ip', 'link', 'show', 'weft4790');
    await dataPath.apply([vtep('192.0.2.2')]);

    assert.throws(() => run('ip', 'link', 'show', 'weft4790'), /does not exist/);
  }),
);

test(
  'a peer port that is taken here costs that peer its fallback, and nobody else anything',
  withDataPath(async (dataPath) => {
    run('ip', 'link', 'add', 'other', 'type', 'vxlan', 'id', '9', 'dstport', '4790', 'dev', 'underlay');
    run('ip', 'link', 'set', 'other', 'up');
    try {
      await dataPath.apply([vtep('192.0.2.2', 4790), vtep('192.0.2.3')]);

      assert.is(rowOf('192.0.2.2')?.tunnelIfindex, 0);
      assert.is(rowOf('192.0.2.2')?.ifindex, ifindexOf('underlay'));
      assert.is(rowOf('192.0.2.3')?.tunnelIfindex, ifindexOf('weft14789'));
    } finally {
      run('ip', 'link', 'delete', 'other');
    }
  }),
);

test(
  'a path is held to what was proven of it, never beyond device and route, and a change of those is told',
  withDataPath(async (dataPath) => {
    const path = (mtuBytes: number) => ({ table: 'path' as const, vtep: parseAddress('192.0.2.2'), mtuBytes });
    const mtu = () => rowOf('192.0.2.2')?.mtuBytes;
    await dataPath.apply([vtep('192.0.2.2'), { kind: 'put', entry: path(1400) }]);
    assert.is(mtu(), 1400);
    await dataPath.apply([{ kind: 'put', entry: path(9000) }]);
    assert.is(mtu(), 1500);
    await dataPath.apply([vtep('192.0.2.2', 4790), { kind: 'put', entry: path(1420) }]);
    assert.is(mtu(), 1420);

    const ended = new AbortController();
    const moved: string[] = [];
    const listening = (async () => {
      for await (const event of dataPath.events(ended.signal)) if (event.kind === 'moved') moved.push(event.vtep);
    })();
    run('ip', 'route', 'add', '192.0.2.2/32', 'dev', 'underlay', 'mtu', '1390');
    await eventually('the MTU of the route', () => mtu() === 1390);
    await eventually('the event', () => moved.includes('192.0.2.2'));
    run('ip', 'route', 'delete', '192.0.2.2/32');
    await eventually('what was proven', () => mtu() === 1420);
    ended.abort();
    await listening;

    await dataPath.apply([{ kind: 'remove', entry: path(1420) }]);
    assert.is(mtu(), 1500);
    const nowhere = { table: 'path' as const, vtep: parseAddress('192.0.2.77'), mtuBytes: 1400 };
    assert.is(await dataPath.apply([{ kind: 'put', entry: nowhere }]).catch(({ code }) => code), 'BPF_FAILED');
  }),
);

test(
  'a changed route changes the next hop, and the new device gets the program',
  withDataPath(async (dataPath) => {
    await dataPath.apply([vtep('198.51.100.9')]);
    run('ip', 'route', 'replace', '198.51.100.0/24', 'via', '192.0.2.253');
    await eventually('the new gateway', () => rowOf('198.51.100.9')?.gateway === '192.0.2.253');

    // A dot as in the name of a VLAN device, which a pin cannot have.
    run('ip', 'link', 'add', 'underlay.7', 'type', 'veth', 'peer', 'name', 'wire.7');
    run('ip', 'address', 'add', '192.0.3.1/24', 'dev', 'underlay.7');
    run('ip', 'link', 'set', 'underlay.7', 'up');
    run('ip', 'route', 'replace', '198.51.100.0/24', 'via', '192.0.3.254');
    await eventually('the new device', () => rowOf('198.51.100.9')?.ifindex === ifindexOf('underlay.7'));
    await eventually('its program', () => pinOf('underlay.7')?.ifindex === ifindexOf('underlay.7'));

    run('ip', 'link', 'delete', 'underlay.7');
    await eventually('its pin is gone', () => pinOf('underlay.7') === null);
    assert.is(rowOf('198.51.100.9')?.gateway, '192.0.3.254');
    run('ip', 'route', 'add', '198.51.100.0/24', 'via', '192.0.2.254');
    await eventually('the old way', () => rowOf('198.51.100.9')?.gateway === '192.0.2.254');
  }),
);

test(
  'a tunnel device that is deleted comes back with its program, and is told',
  withDataPath(async (dataPath) => {
    await dataPath.apply([vtep('192.0.2.2')]);
    const ended = new AbortController();
    const first = dataPath.events(ended.signal)[Symbol.asyncIterator]().next();
    await sleep(300);
    const before = ifindexOf('weft14789');
    run('ip', 'link', 'delete', 'weft14789');

    await eventually('its program', () => {
      const pin = pinOf('weft14789')?.ifindex ?? null;
      return pin !== null && pin !== before;
    });
    await eventually('its index in the rows', () => rowOf('192.0.2.2')?.tunnelIfindex === ifindexOf('weft14789'));
    assert.is((await first).value.kind, 'drift');
    ended.abort();
  }),
);

test('ids stay with their addresses over restarts, and programs are replaced in their links', async () => {
  const first = await openEbpfDataPath(options);
  await first.apply([vtep('192.0.2.2'), vtep('192.0.2.3'), vtep('192.0.2.4')]);
  await first.apply([{ ...vtep('192.0.2.3'), kind: 'remove' }]);
  const rows = vtepRows();
  const link = pinOf('underlay');
  await first.close();

  const second = await openEbpfDataPath({ ...options, vtep: { ...options.vtep, port: 14790 } });
  assert.equal([...vtepRows().keys()], [...rows.keys()]);
  assert.is(pinOf('underlay')?.id, link?.id);
  assert.is.not(pinOf('underlay')?.programId, link?.programId);
  await second.apply([vtep('192.0.2.5')]);
  assert.ok([...vtepRows()].every(([id, { address }]) => address !== '192.0.2.5' || !rows.has(id)));
  await second.close();
  await removeEbpfDataPath(bpfDir, netlink);
});

test.after(() => netlink.close());

run('ip', 'link', 'add', 'underlay', 'type', 'veth', 'peer', 'name', 'wire');
run('ip', 'link', 'set', 'wire', 'up');
run('ip', 'link', 'set', 'underlay', 'up');
run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'underlay');
run('ip', 'route', 'add', '198.51.100.0/24', 'via', '192.0.2.254');

test.run();
