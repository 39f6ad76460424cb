/** Three nodes on one LAN with VTEPs of IPv4, of both families and of IPv6: the data path as containers see it. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { forwarding } from '../../src/core/forwarding.ts';
import { addressesOf, reachable, vtepOf } from '../../src/core/vtep.ts';
import { schema } from '../../src/datapath/ebpf/names.ts';
import type { PacketCounters } from '../../src/ports/data-path.ts';
import { nodeId, testEndpoint, testNetwork } from '../kit/models.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';
import { disconnect, type NodeProcess, runInside, startContainer, startNode } from '../kit/two-nodes.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const network = testNetwork(1, { multicast: true, mtuBytes: 1430 });
const port = 14789;
const nodes = [
  { name: 'node1', vtep: vtepOf([parseAddress('192.0.2.1')], port), endpoint: testEndpoint(1, 2) },
  {
    name: 'node2',
    vtep: vtepOf([parseAddress('192.0.2.2'), parseAddress('2001:db8::2')], port),
    endpoint: testEndpoint(1, 12),
  },
  { name: 'node3', vtep: vtepOf([parseAddress('2001:db8::3')], port), endpoint: testEndpoint(1, 13) },
] as const;
const [c1 = [], c2 = [], c3 = []] = nodes.map(({ endpoint }) => endpoint.addresses);
const test = suite<{ processes: NodeProcess[] }>('three nodes: IPv4, both, IPv6', { processes: [] });

function tablesOf(self: (typeof nodes)[number]) {
  const members = nodes
    .filter((node) => node !== self)
    .map(({ name, vtep, endpoint }) => ({ node: nodeId(name), network: network.key, vtep, endpoints: [endpoint] }));
  const remote = reachable(self.vtep, members);
  return forwarding({ self: nodeId(self.name), networks: [network], local: [self.endpoint], remote });
}

/** How many of five echo requests were answered. */
function answered(container: string, address: string): number {
  const report = runInside(container, 'sh', '-c', `busybox ping -q -c 5 -i 0.05 -W 1 -w 5 -s 1000 ${address} || true`);
  return Number(/(\d+) packets received/.exec(report)?.[1]);
}

test.before(async ({ processes }) => {
  run('ip', 'link', 'add', 'lan', 'type', 'bridge');
  run('ip', 'link', 'set', 'lan', 'up');
  for (const node of nodes) {
    const { name, vtep, endpoint } = node;
    run('ip', 'netns', 'add', name);
    run(
      'ip',
      'link',
      'add',
      `p-${name}`,
      'master',
      'lan',
      'up',
      'type',
      'veth',
      'peer',
      'name',
      'underlay',
      'netns',
      name,
    );
    run('ip', '-n', name, 'link', 'set', 'underlay', 'up');
    for (const address of addressesOf(vtep)) {
      const [length, flags] = address.includes(':') ? ['64', ['nodad']] : ['24', []];
      run('ip', '-n', name, 'address', 'add', `${address}/${length}`, 'dev', 'underlay', ...flags);
    }
    const process = await startNode(name, [join(bpfRoot, name), addressesOf(vtep).join(), String(port), 'tcx']);
    processes.push(process);
    await process.desire(tablesOf(node).values());
    startContainer(`c-${name}`, name, endpoint);
  }
  await sleep(2_000); // until the first solicitations are over
});

test.after(async ({ processes }) => {
  for (const process of processes) await process.end();
  disconnect(...nodes.flatMap(({ name }) => [`c-${name}`, name]));
  for (const { name } of nodes) rmSync(join(bpfRoot, name, schema), { recursive: true });
});

test('the node with both joins containers of all, by the fast path', async ({ processes }) => {
  const encapsulated = async () => (await processes[1]?.counters())?.['encapsulated']?.packets ?? 0;
  const before = await encapsulated();
  for (const address of [...c1, ...c3]) assert.is(answered('c-node2', address), 5, address);
  assert.ok((await encapsulated()) >= before + 20);
  for (const [container, addresses] of [
    ['c-node1', c2],
    ['c-node3', c2],
  ] as const) {
    for (const address of addresses) assert.is(answered(container, address), 5, `${container} to ${address}`);
  }
});

test('every process finds in the kernel what it was given, the other address of a peer included', async ({
  processes,
}) => {
  for (const [position, node] of nodes.entries()) {
    assert.is(await processes[position]?.desire(tablesOf(node).values()), 0, node.name);
  }
});

test('the tunnel device takes packets without a UDP checksum over IPv6, and makes none', () => {
  const details = run('ip', '-n', 'node3', '-d', 'link', 'show', `weft${port}`);
  assert.match(details, / udp6zerocsumtx /);
  assert.match(details, / udp6zerocsumrx /);
});

test('between IPv4 and IPv6 alone nothing passes, and nothing is harmed', async ({ processes }) => {
  const [address = ''] = c3;
  const harm = () => Promise.all(processes.map(async (process) => dropsOf(await process.counters())));
  // What a container says of itself may come to a node that has not heard of its VTEP yet.
  const before = await harm();
  assert.is(answered('c-node1', address), 0);
  assert.equal(await harm(), before);
});

/** Packets dropped, but for those to nobody: asking for the address in vain ends in some. */
function dropsOf(counters: PacketCounters): Readonly<Record<string, number>> {
  const drops = Object.entries(counters).filter(
    ([name]) => name.startsWith('drop_') && name !== 'drop_unknown_destination',
  );
  return Object.fromEntries(drops.map(([name, { packets }]) => [name, packets]));
}

test.run();
