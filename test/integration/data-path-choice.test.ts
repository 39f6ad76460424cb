/** Which data path is opened, with what reason, and what the bridge one refuses at its start. */

import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { parseMac } from '../../src/core/mac.ts';
import { parseVni } from '../../src/core/vni.ts';
import { removeBridgeDataPath } from '../../src/datapath/bridge/remove.ts';
import type { EbpfOptions } from '../../src/datapath/ebpf/data-path.ts';
import { removeEbpfDataPath } from '../../src/datapath/ebpf/remove.ts';
import { chooseDataPath, type DataPathKind } from '../../src/datapath/select.ts';
import { isOverlayError, type OverlayError } from '../../src/errors.ts';
import { type KernelFeatures, probeKernel } from '../../src/native/probe.ts';
import { openNetlink } from '../../src/netlink/netlink.ts';
import type { DataPath } from '../../src/ports/data-path.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<object>('choice of the data path');
const bpfDir = join(bpfRoot, 'choice');
const netlink = await openNetlink();
const ignore = () => {};
const options: EbpfOptions = {
  vtep: { address: parseAddress('192.0.2.1'), port: 14789 },
  bpfDir,
  netlink,
  log: { debug: ignore, info: ignore, warn: ignore, error: ignore },
};
const old: KernelFeatures = { ...probeKernel(), decapL3: false };

/** Opens one, hands it over, and takes all of it away. */
async function opened(kind: DataPathKind, changed: Partial<EbpfOptions>, use: (dataPath: DataPath) => Promise<void>) {
  const dataPath = await chooseDataPath(kind, { ...options, ...changed });
  try {
    await use(dataPath);
  } finally {
    await dataPath.close();
    await removeBridgeDataPath(netlink);
    await removeEbpfDataPath(bpfDir, netlink);
  }
}

async function refusal(attempt: Promise<unknown>): Promise<OverlayError> {
  const error = await attempt.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (isOverlayError(error)) return error;
  throw error ?? new Error('it was not refused');
}

function devices(): readonly string[] {
  return run('ip', '-o', 'link').match(/\bw(b|x|eft)[0-9]+(?=[@:])/g) ?? [];
}

test('auto takes eBPF where it can, and says with what', () =>
  opened('auto', {}, async ({ kind, reason }) => {
    assert.is(kind, 'ebpf');
    assert.match(reason, /^eBPF with (tcx|clsact); kernel \d+\.\d+/);
  }));

test('auto takes the bridge where a feature is missing, and names it and what is not checked', () =>
  opened('auto', { features: old }, async ({ kind, reason }) => {
    assert.is(kind, 'bridge');
    assert.match(reason, /not eBPF: the kernel lacks .*DECAP_L3/);
    assert.match(reason, /addresses are not checked/);
  }));

test('eBPF that was asked for is refused where a feature is missing', async () => {
  const error = await refusal(chooseDataPath('ebpf', { ...options, features: old }));

  assert.is(error.code, 'KERNEL_FEATURE_MISSING');
});

test('the bridge takes the place of what eBPF left, and eBPF that of the bridge', async () => {
  await (await chooseDataPath('ebpf', options)).close();
  assert.equal(devices(), ['weft14789']);
  await (await chooseDataPath('bridge', options)).close();
  assert.equal([...devices()].sort(), ['wb0', 'wx0']);

  await opened('ebpf', {}, async () => assert.equal(devices(), ['weft14789']));
});

test('a tunnel port that another vxlan device has is refused with its name, and nothing stays', async () => {
  run('ip', 'link', 'add', 'other', 'type', 'vxlan', 'external', 'dstport', '14789');
  run('ip', 'link', 'set', 'other', 'up');
  try {
    const error = await refusal(chooseDataPath('bridge', options));

    assert.is(error.code, 'TUNNEL_PORT_IN_USE');
    assert.match(error.message, /14789.*other/);
    assert.equal(devices(), []);
  } finally {
    run('ip', 'link', 'delete', 'other');
  }
});

test('a device that only has the name of ours is left alone and named', async () => {
  run('ip', 'link', 'add', 'wx0', 'type', 'vxlan', 'id', '9', 'dstport', '4790');
  try {
    const error = await refusal(chooseDataPath('bridge', options));

    assert.is(error.code, 'DEVICE_CONFLICT');
    assert.match(run('ip', '-d', 'link', 'show', 'wx0'), /vxlan id 9/);
  } finally {
    run('ip', 'link', 'delete', 'wx0');
  }
});

test('a VTEP address that no device has is refused, with those there are', async () => {
  const vtep = { address: parseAddress('192.0.2.77'), port: 14789 };
  const error = await refusal(chooseDataPath('bridge', { ...options, vtep }));

  assert.is(error.code, 'VTEP_ADDRESS_UNKNOWN');
  assert.match(error.message, /192\.0\.2\.1/);
});

test('the bridge refuses a VTEP of the other family with the way out, and the others stand', () =>
  opened('bridge', {}, async (dataPath) => {
    const put = (text: string) => {
      const entry = { table: 'vtep' as const, address: parseAddress(text), port: 14789 };
      return dataPath.apply([{ kind: 'put', entry }]);
    };
    await put('192.0.2.2');
    const error = await refusal(put('2001:db8::2'));

    assert.match(error.message, /2001:db8::2.*another family.*--vtep/);
    assert.equal([...(await dataPath.read()).keys()], ['vtep 192.0.2.2']);
  }));

test('a VTEP that changes its port is followed by all rows that name it', () =>
  opened('bridge', {}, async (dataPath) => {
    const [vni, vtep] = [parseVni(7), parseAddress('192.0.2.2')];
    const network = { table: 'network', vni, mtuBytes: 1450, multicast: true } as const;
    const flood = { table: 'flood', vni, endpoints: [], vteps: [vtep] } as const;
    const at = (port: number) => ({ table: 'vtep', address: vtep, port }) as const;
    await dataPath.apply([at(14789), network, flood].map((entry) => ({ kind: 'put', entry })));
    await dataPath.apply([{ kind: 'put', entry: at(4790) }]);

    assert.equal([...(await dataPath.read()).values()], [at(4790), network, flood]);
    assert.match(run('bridge', 'fdb', 'show', 'dev', 'wx7'), /^00:00:00:00:00:00 dst 192\.0\.2\.2 port 4790 self/m);
  }));

test('a daemon with another port makes the tunnels anew', async () => {
  const network = { table: 'network', vni: parseVni(7), mtuBytes: 1450, multicast: true } as const;
  const first = await chooseDataPath('bridge', options);
  await first.apply([{ kind: 'put', entry: network }]);
  await first.close();

  await opened('bridge', { vtep: { ...options.vtep, port: 4790 } }, async (dataPath) => {
    assert.is((await dataPath.read()).get('network 7')?.table === 'network', true);
    await dataPath.apply([{ kind: 'put', entry: network }]);
    assert.equal((await dataPath.read()).get('network 7'), network);
    assert.match(run('ip', '-d', 'link', 'show', 'wx7'), /dstport 4790/);
  });
});

test('a node that moves takes its networks and their rows along', () =>
  opened('bridge', {}, async (dataPath) => {
    const [vni, vtep] = [parseVni(7), parseAddress('192.0.2.2')];
    const entries = [
      { table: 'vtep', address: vtep, port: 14789 },
      { table: 'network', vni, mtuBytes: 1450, multicast: true },
      { table: 'mac', vni, mac: parseMac('02:42:0a:4d:00:02'), at: { kind: 'remote', vtep } },
      { table: 'flood', vni, endpoints: [], vteps: [vtep] },
    ] as const;
    await dataPath.apply(entries.map((entry) => ({ kind: 'put', entry })));
    const before = await dataPath.read();
    run('ip', 'address', 'add', '192.0.2.9/24', 'dev', 'underlay');
    await dataPath.move({ address: parseAddress('192.0.2.9'), port: 4790 });

    assert.equal(await dataPath.read(), before);
    for (const device of ['wx0', 'wx7'])
      assert.match(run('ip', '-d', 'link', 'show', device), /local 192\.0\.2\.9 .*dstport 4790/);
    assert.match(run('bridge', 'fdb', 'show', 'dev', 'wx7'), /^02:42:0a:4d:00:02 dst 192\.0\.2\.2 port 14789 /m);
  }));

test('what nobody changed is intact, and what somebody did is not', () =>
  opened('bridge', {}, async (dataPath) => {
    const [vni, mtuBytes] = [parseVni(7), 1450];
    await dataPath.apply([{ kind: 'put', entry: { table: 'network', vni, mtuBytes, multicast: true } }]);
    assert.not(await dataPath.isIntact());
    await dataPath.read();
    for (let attempt = 0; attempt < 50 && !(await dataPath.isIntact()); attempt += 1) await dataPath.read();
    assert.ok(await dataPath.isIntact());

    run('bridge', 'link', 'set', 'dev', 'wx7', 'flood', 'on');
    assert.not(await dataPath.isIntact());
  }));

test.after(() => netlink.close());

run('ip', 'link', 'add', 'underlay', 'type', 'veth', 'peer', 'name', 'wire');
run('ip', 'link', 'set', 'wire', 'up');
run('ip', 'link', 'set', 'underlay', 'up');
run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'underlay');

test.run();
