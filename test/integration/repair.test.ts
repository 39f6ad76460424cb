/**
 * What somebody breaks by hand while containers talk is put right, whatever it is: rows, devices, programs, pins, the VTEP's
 * address. After each case traffic passes both ways, as unicast with fresh ARP and as broadcast, what was broken is as
 * it was, and it was counted by its kind.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import type { Endpoint, Model } from '../../src/core/model.ts';
import { schema } from '../../src/datapath/ebpf/names.ts';
import { fdbKey, fdbRecord, floodRecord, index, networkKey, vtepRecord } from '../../src/datapath/ebpf/records.ts';
import { interfacesOf } from '../../src/datapath/interfaces.ts';
import {
  closeFd,
  loadObject,
  type MapFd,
  mapDelete,
  mapEntries,
  mapUpdate,
  openPinnedMap,
  updateLink,
} from '../../src/native/binding.ts';
import { eventually } from '../kit/command.ts';
import { nodeId, testEndpoint, testNetwork } from '../kit/models.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';
import { connectNodes, disconnect, type NodeProcess, runInside, startContainer, startNode } from '../kit/two-nodes.ts';

interface Nodes {
  node1: NodeProcess;
  node2: NodeProcess;
}

interface Damage {
  readonly name: string;
  readonly kind: string;
  inflict(): void;
  /** What only a person can do afterwards. */
  finish?(node: NodeProcess): Promise<void>;
  /** The kernel gives what is made anew another number. */
  readonly isRenumbered?: boolean;
}

const { bpfRoot } = enterOwnNamespace(import.meta.url);
/** Far more than it takes: the machine may be busy. */
const limitMs = 20_000;
const network = testNetwork(1, { multicast: true });
const { vni } = network;
const [c1, c2] = [testEndpoint(1, 2), testEndpoint(1, 12)];
const vteps = ['192.0.2.1', '192.0.2.2'].map((address) => ({ address: parseAddress(address), port: 14789 }));
const host = interfacesOf(c1.id).hostInterface;
const bpfDir = join(bpfRoot, 'node1');
const pinned = (...path: readonly string[]) => join(bpfDir, schema, ...path);
const onNode1 = (...command: readonly string[]) => runInside('node1', ...command);

function modelOf(local: Endpoint, remote: Endpoint, vtep: (typeof vteps)[number] | undefined): Model {
  if (vtep === undefined) throw new Error('no such VTEP');
  const membership = { node: nodeId('other'), network: network.key, vtep, endpoints: [remote] };
  return { self: nodeId('self'), networks: [network], local: [local], remote: [membership] };
}

function withMap<Result>(path: string, use: (map: MapFd) => Result): Result {
  const map = openPinnedMap(path);
  if (map === null) throw new Error(`nothing is pinned at ${path}`);
  try {
    return use(map);
  } finally {
    closeFd(map);
  }
}

function change(name: string, write: (map: MapFd) => void): () => void {
  return () => withMap(pinned('maps', name), write);
}

function deleteAll(name: string): () => void {
  return change(name, (map) => {
    for (const [key] of mapEntries(map)) mapDelete(map, key);
  });
}

/** All rows as text; of a flood list its slots, since a list that is made anew is another map. */
function tables(): readonly string[] {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  const rowsOf = (name: string, path: string) =>
    withMap(path, (map) => mapEntries(map).map(([key, value]) => `${name} ${text(key)} ${text(value)}`));
  const names = ['settings', 'networks', 'vteps', 'peers', 'ports', 'fdb', 'neighbours'];
  const all = names.flatMap((name) => rowsOf(name, pinned('maps', name)));
  return [...all, ...rowsOf('list', pinned('flood', String(vni)))].sort();
}

function replaceProgram(device: string): void {
  const path = new URL('../../native/build/overlay.bpf.o', import.meta.url).pathname;
  const { programs, maps } = loadObject({ path, pinPath: null, rodata: {}, programs: ['from_tunnel'] });
  for (const program of programs.values()) assert.is(updateLink(pinned('links', device), program), 'updated');
  for (const fd of [...programs.values(), ...maps.values()]) closeFd(fd);
}

const elsewhere = { target: { kind: 'local' as const, ifindex: 9_999 }, isProvisional: false };
const key = fdbKey.encode({ vni, mac: c2.mac });
const underlayAddress = '192.0.2.1/24';

const rows: readonly Damage[] = [
  { name: 'a forwarding row deleted', kind: 'mac', inflict: change('fdb', (map) => mapDelete(map, key)) },
  {
    name: 'a forwarding row sent elsewhere',
    kind: 'mac',
    inflict: change('fdb', (map) => mapUpdate(map, key, fdbRecord.encode(elsewhere))),
  },
  { name: 'all neighbours deleted', kind: 'neighbour', inflict: deleteAll('neighbours') },
  { name: 'all peers deleted', kind: 'peer', inflict: deleteAll('peers') },
  { name: 'the network deleted', kind: 'network', inflict: deleteAll('networks') },
  { name: 'the row of a port deleted', kind: 'port', inflict: deleteAll('ports') },
  {
    name: 'a VTEP wiped',
    kind: 'vtep',
    isRenumbered: true,
    inflict: change('vteps', (map) => mapUpdate(map, index.encode(1), vtepRecord.encode(null))),
  },
  {
    name: 'the next hop of a VTEP changed',
    kind: 'vtep',
    inflict: change('vteps', (map) => {
      const row = mapEntries(map)
        .map(([id, value]) => [id, vtepRecord.decode(value)] as const)
        .find(([, record]) => record !== null);
      if (row?.[1] == null) throw new Error('no VTEP');
      mapUpdate(map, row[0], vtepRecord.encode({ ...row[1], ifindex: 9_999, gateway: parseAddress('192.0.2.77') }));
    }),
  },
  {
    name: 'a flood list deleted',
    kind: 'flood',
    inflict: change('flood', (map) => mapDelete(map, networkKey.encode(vni))),
  },
  {
    name: 'a flood list emptied',
    kind: 'flood',
    inflict: () =>
      withMap(pinned('flood', String(vni)), (list) => {
        for (const [slot] of mapEntries(list)) mapUpdate(list, slot, floodRecord.encode(null));
      }),
  },
  {
    name: "this node's own VTEP wiped",
    kind: 'settings',
    inflict: change('settings', (map) => {
      for (const [slot, value] of mapEntries(map)) mapUpdate(map, slot, new Uint8Array(value.length));
    }),
  },
];

const devices: readonly Damage[] = [
  { name: "a port's interface set down", kind: 'port', inflict: () => onNode1('ip', 'link', 'set', host, 'down') },
  {
    name: "a port's interface deleted, which takes the container's along: it is connected again",
    kind: 'port',
    isRenumbered: true,
    inflict: () => {
      onNode1('ip', 'link', 'delete', host);
      disconnect('c1');
    },
    finish: async (node) => {
      const told = async () => (await node.problems()).join();
      await eventually('it is told', async () => /deleted.*restart the container/.test(await told()), { limitMs });
      join1();
      await eventually('it is no problem any more', async () => (await told()) === '', { limitMs });
    },
  },
  {
    name: 'the tunnel device set down',
    kind: 'device',
    inflict: () => onNode1('ip', 'link', 'set', 'weft14789', 'down'),
  },
  {
    name: 'the tunnel device deleted',
    kind: 'device',
    isRenumbered: true,
    inflict: () => onNode1('ip', 'link', 'delete', 'weft14789'),
  },
  {
    name: "the VTEP's address removed and put back",
    kind: 'address',
    inflict: () => onNode1('ip', 'address', 'delete', underlayAddress, 'dev', 'underlay'),
    finish: async () => {
      await pause(1_500);
      onNode1('ip', 'address', 'add', underlayAddress, 'dev', 'underlay');
    },
  },
];

const pins: readonly Damage[] = [
  { name: 'the pin of a table unlinked', kind: 'pin', inflict: () => rmSync(pinned('maps', 'fdb')) },
  { name: 'all pins removed', kind: 'pin', inflict: () => rmSync(pinned(), { recursive: true }) },
];

const tcx: readonly Damage[] = [
  { name: "the link of a port's program unlinked", kind: 'program', inflict: () => rmSync(pinned('links', host)) },
  { name: 'the link of the underlay unlinked', kind: 'program', inflict: () => rmSync(pinned('links', 'underlay')) },
  { name: 'the program on the underlay replaced', kind: 'program', inflict: () => replaceProgram('underlay') },
  { name: "a port's program replaced", kind: 'program', inflict: () => replaceProgram(host) },
];

const clsact: readonly Damage[] = [
  {
    name: 'the filter on the underlay deleted',
    kind: 'program',
    inflict: () => onNode1('tc', 'filter', 'delete', 'dev', 'underlay', 'ingress'),
  },
  {
    name: 'the qdisc of a port deleted',
    kind: 'program',
    inflict: () => onNode1('tc', 'qdisc', 'delete', 'dev', host, 'clsact'),
  },
];

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function join1(): void {
  startContainer('c1', 'node1', c1);
  runInside('c1', 'sysctl', '-qw', 'net.ipv4.icmp_echo_ignore_broadcasts=0');
}

/** With ARP from the tables, and by the flood lists of both nodes. */
function passes(): boolean {
  const others = { c1: '10.77.1.12', c2: '10.77.1.2' };
  return Object.entries(others).every(([container, other]) => {
    const pings = [other, '10.77.1.255'].map((address) => `busybox ping -q -c 2 -i 0.1 -W 1 ${address} &`);
    const report = runInside(container, 'sh', '-c', `ip neighbour flush all; ${pings.join(' ')} wait`);
    return report.match(/2 packets received/g)?.length === 2;
  });
}

function repairs(hook: 'tcx' | 'clsact', damages: readonly Damage[]): void {
  const test = suite<Nodes>(`repair with ${hook}`);

  test.before(async (nodes) => {
    connectNodes({ addresses: [underlayAddress, '192.0.2.2/24'] });
    nodes.node1 = await startNode('node1', [bpfDir, '192.0.2.1', '14789', hook]);
    nodes.node2 = await startNode('node2', [join(bpfRoot, 'node2'), '192.0.2.2', '14789', hook]);
    await nodes.node1.keep(modelOf(c1, c2, vteps[1]));
    await nodes.node2.keep(modelOf(c2, c1, vteps[0]));
    join1();
    startContainer('c2', 'node2', c2);
    runInside('c2', 'sysctl', '-qw', 'net.ipv4.icmp_echo_ignore_broadcasts=0');
    await eventually('traffic', passes, { limitMs });
  });

  test.after(async ({ node1, node2 }) => {
    await node1?.end();
    await node2?.end();
    disconnect('c1', 'c2', 'node1', 'node2');
    for (const node of ['node1', 'node2']) rmSync(join(bpfRoot, node), { recursive: true });
  });

  for (const { name, kind, inflict, finish, isRenumbered = false } of damages) {
    test(name, async ({ node1 }) => {
      const before = tables();
      const counted = (await node1.repairs())[kind] ?? 0;
      inflict();
      await finish?.(node1);

      await eventually(`it is counted as ${kind}`, async () => ((await node1.repairs())[kind] ?? 0) > counted, {
        limitMs,
      });
      await eventually('traffic', passes, { limitMs });
      if (!isRenumbered) assert.equal(tables(), before);
    });
  }

  test('where nothing was broken nothing is repaired', async ({ node1, node2 }) => {
    assert.equal(await node2.repairs(), {});
    const counted = await node1.repairs();
    await pause(1_500);
    assert.equal(await node1.repairs(), counted);
  });

  test.run();
}

repairs('tcx', [...rows, ...devices, ...pins, ...tcx]);
repairs('clsact', clsact);
