/**
 * Two nodes, four containers, real packets: data paths as containers see them, on each node one of its own kind; and what a
 * killed daemon costs them, which is nothing.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { type ForwardingState, forwarding } from '../../src/core/forwarding.ts';
import type { Endpoint, Vtep } from '../../src/core/model.ts';
import { schema } from '../../src/datapath/ebpf/names.ts';
import type { PacketCounters } from '../../src/ports/data-path.ts';
import { nodeId, testEndpoint, testNetwork } from './models.ts';
import { suite } from './suite.ts';
import {
  connectNodes,
  disconnect,
  type NodeProcess,
  runInside,
  startContainer,
  startInside,
  startNode,
} from './two-nodes.ts';

type Kind = 'tcx' | 'clsact' | 'bridge';

export interface Variant {
  /** Of the first node and the second. */
  readonly kinds: readonly [Kind, Kind];
  /** A bpf file system. */
  readonly bpfRoot: string;
  readonly addresses: readonly [string, string];
  readonly prefix: number;
  readonly ports: readonly [number, number];
}

interface Nodes {
  node1: NodeProcess;
  node2: NodeProcess;
  /** While containers start, their first ND packets meet interfaces that are still down. */
  before: readonly PacketCounters[];
}

const network = testNetwork(1, { multicast: true, mtuBytes: 1400 });
const endpoints = { c1: testEndpoint(1, 2), c2: testEndpoint(1, 12), c3: testEndpoint(1, 3), c4: testEndpoint(1, 13) };
const containers = Object.keys(endpoints);

export function connectivity(variant: Variant): void {
  const { kinds, bpfRoot, addresses, prefix, ports } = variant;
  const [vtep1, vtep2] = addresses.map((address, at) => ({ address: parseAddress(address), port: ports[at] ?? 0 })) as [
    Vtep,
    Vtep,
  ];
  const test = suite<Nodes>(
    `data path between nodes: ${kinds.join(' and ')}, ${addresses.join(' and ')}, ports ${ports.join(' and ')}`,
  );
  const tables1 = tablesOf([endpoints.c1, endpoints.c3], vtep2, [endpoints.c2, endpoints.c4]);
  const tables2 = tablesOf([endpoints.c2, endpoints.c4], vtep1, [endpoints.c1, endpoints.c3]);
  const open = (node: 'node1' | 'node2', { address, port }: Vtep) =>
    startNode(node, [join(bpfRoot, node), address, String(port), kinds[node === 'node1' ? 0 : 1]]);

  test.before(async (nodes) => {
    connectNodes({ addresses: [`${addresses[0]}/${prefix}`, `${addresses[1]}/${prefix}`] });
    nodes.node1 = await open('node1', vtep1);
    nodes.node2 = await open('node2', vtep2);
    await nodes.node1.desire(tables1.values());
    await nodes.node2.desire(tables2.values());
    for (const name of ['c1', 'c3'] as const) startContainer(name, 'node1', endpoints[name]);
    for (const name of ['c2', 'c4'] as const) startContainer(name, 'node2', endpoints[name]);
    await sleep(2_000);
    nodes.before = [await nodes.node1.counters(), await nodes.node2.counters()];
  });

  test.after(async ({ node1, node2 }) => {
    await node1.end();
    await node2.end();
    disconnect(...containers, 'node1', 'node2');
    for (const node of ['node1', 'node2']) rmSync(join(bpfRoot, node, schema), { recursive: true, force: true });
  });

  test('containers reach each other across nodes and on one node, by IPv4 and IPv6', () => {
    for (const address of ['10.77.1.12', '10.77.1.3', 'fd00:77:1::c', 'fd00:77:1::3']) {
      assert.is(received(runInside('c1', 'busybox', 'ping', '-q', '-c', '5', '-i', '0.05', address)), 5, address);
    }
  });

  test('TCP carries bulk data across nodes in both directions', async () => {
    for (const direction of [[], ['--reverse']]) {
      const server = startInside('c2', 'iperf3', '--server', '--one-off', '--forceflush');
      await server.ready;
      const report = runInside('c1', 'iperf3', '--client', '10.77.1.12', '--bytes', '50M', '--json', ...direction);
      // What the last interval received may still be on its way when the report is made.
      assert.ok(JSON.parse(report).end.sum_received.bytes > 40_000_000, report.slice(-600));
      await server.output;
    }
  });

  test('every UDP datagram arrives, up to the largest that fits', async () => {
    for (const size of [1, 1372]) {
      const sink = startInside('c2', ...receiver());
      await sink.ready;
      runInside('c1', ...sender('10.77.1.12', 50, size));
      assert.is(count(await sink.output), 50, `${size} bytes`);
    }
  });

  // A sender's own kernel hands it its broadcasts; what the data path gave back would double them.
  for (const [kind, group, own] of [
    ['a broadcast', '10.77.1.255', 20],
    ['a multicast', '239.7.7.7', 0],
  ] as const) {
    test(`${kind} reaches every other container exactly once, and does not come back`, async () => {
      const sinks = containers.map((name) => startInside(name, ...receiver(group)));
      await Promise.all(sinks.map(({ ready }) => ready));
      runInside('c1', ...sender(group, 20, 100));
      const counts = await Promise.all(sinks.map(async ({ output }) => count(await output)));
      assert.equal(counts, [own, 20, 20, 20]);
    });
  }

  test('traffic was encapsulated, and nothing of it dropped', async ({ node1, node2, before }) => {
    for (const [counters, earlier] of [
      [await node1.counters(), before[0]],
      [await node2.counters(), before[1]],
    ] as const) {
      const packets = (name: string) => (counters[name]?.packets ?? 0) - (earlier?.[name]?.packets ?? 0);
      assert.ok(packets('encapsulated') + packets('fallback') > 100);
      assert.ok(packets('decapsulated') + packets('fallback_received') > 100);
      const drops = Object.keys(counters).filter((name) => name.startsWith('drop_') && packets(name) > 0);
      assert.equal(drops, []);
    }
  });

  test('an address in no table is a miss that is told', async ({ node1 }) => {
    runInside('c1', 'sh', '-c', 'busybox ping -q -c 1 -W 1 10.77.1.200 || true');
    await sleep(100);
    const misses = (await node1.events()).filter(({ kind }) => kind === 'miss');
    assert.ok(misses.some((event) => event.kind === 'miss' && event.address === '10.77.1.200'));
  });

  test('a frame of an unknown MAC from a known VTEP is told as provisional, and is no entry', async ({
    node1,
    node2,
  }) => {
    const late = testEndpoint(1, 14);
    await node2.desire(tablesOf([endpoints.c2, endpoints.c4, late], vtep1, [endpoints.c1, endpoints.c3]).values());
    startContainer('late', 'node2', late);
    runInside('late', 'sh', '-c', 'busybox ping -q -c 2 -W 1 10.77.1.2 || true');
    await sleep(100);

    const told = (await node1.events()).filter(({ kind }) => kind === 'provisional');
    assert.ok(
      told.some((event) => event.kind === 'provisional' && event.mac === late.mac && event.vtep === vtep2.address),
    );
    assert.is(await node1.desire(tables1.values()), 0);
    runInside('late', 'ip', 'link', 'set', 'eth0', 'down');
    await node2.desire(tables2.values());
    disconnect('late');
  });

  test('killing and restarting the processes of both nodes loses no packet', async (nodes) => {
    const pings = startInside('c1', 'busybox', 'ping', '-c', '400', '-i', '0.02', '10.77.1.12');
    await pings.ready;
    await sleep(500);
    await nodes.node1.kill();
    await sleep(500);
    await nodes.node2.kill();
    await sleep(500);
    nodes.node1 = await open('node1', vtep1);
    nodes.node2 = await open('node2', vtep2);

    // What a bridge has no use for it does not keep in the kernel either: who wants which multicast group.
    const lost = (kind: Kind, tables: ForwardingState) =>
      kind === 'bridge' ? [...tables.values()].filter(({ table }) => table === 'group').length : 0;
    assert.is(await nodes.node1.desire(tables1.values()), lost(kinds[0], tables1));
    assert.is(await nodes.node2.desire(tables2.values()), lost(kinds[1], tables2));
    assert.is(received(await pings.output), 400);
  });

  test.run();
}

function tablesOf(local: readonly Endpoint[], vtep: Vtep, behind: readonly Endpoint[]): ForwardingState {
  const remote = [{ node: nodeId(vtep.address), network: network.key, vtep, endpoints: behind }];
  return forwarding({ self: nodeId('self'), networks: [network], local, remote });
}

function received(pingReport: string): number {
  return Number(/(\d+) packets received/.exec(pingReport)?.[1]);
}

const port = 7000;

/** Counts the datagrams that come until none came for a second. */
function receiver(group = ''): readonly string[] {
  const join = group.startsWith('239.') ? `s.addMembership('${group}');` : '';
  const program = `
    const s = require('node:dgram').createSocket('udp4');
    let n = 0, t;
    const rest = () => { clearTimeout(t); t = setTimeout(() => { console.log('count ' + n); s.close(); }, n === 0 ? 3000 : 1000); };
    s.on('message', () => { n += 1; rest(); });
    s.bind(${port}, () => { ${join} console.log('ready'); rest(); });`;
  return [process.execPath, '-e', program];
}

function sender(address: string, datagrams: number, size: number): readonly string[] {
  const program = `
    const s = require('node:dgram').createSocket('udp4');
    s.bind(() => {
      s.setBroadcast(true);
      s.setMulticastLoopback(false);
      let n = 0;
      const t = setInterval(() => {
        if (n++ < ${datagrams}) s.send(Buffer.alloc(${size}), ${port}, '${address}');
        else { clearInterval(t); s.close(); }
      }, 2);
    });`;
  return [process.execPath, '-e', program];
}

function count(report: string): number {
  return Number(/count (\d+)/.exec(report)?.[1]);
}
