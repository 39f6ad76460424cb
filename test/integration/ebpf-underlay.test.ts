/**
 * Two nodes with two wires between them, and an underlay that changes while their containers talk: routes, uplinks, MTU,
 * next hops that share the load. The own addresses are on loopback, as in a routed network. Counters tell which road the
 * packets took.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { type ForwardingState, forwarding } from '../../src/core/forwarding.ts';
import type { Endpoint, Vtep } from '../../src/core/model.ts';
import { directoriesOf, linkName } from '../../src/datapath/ebpf/names.ts';
import { type VtepRecord, vtepRecord } from '../../src/datapath/ebpf/records.ts';
import { closeFd, linkInfo, mapEntries, openPinnedMap } from '../../src/native/binding.ts';
import { start } from '../kit/command.ts';
import { nodeId, testEndpoint, testNetwork } from '../kit/models.ts';
import { eventually } from '../kit/overlay-node.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';
import { disconnect, inside, type NodeProcess, runInside, startContainer, startNode } from '../kit/two-nodes.ts';

interface Nodes {
  node1: NodeProcess;
  node2: NodeProcess;
}

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<Nodes>('eBPF data path on an underlay that changes');
const network = testNetwork(1, { mtuBytes: 1400 });
const endpoints = { c1: testEndpoint(1, 2), c2: testEndpoint(1, 12) };
const vtep1: Vtep = { address: parseAddress('203.0.113.1'), port: 14789 };
const vtep2: Vtep = { address: parseAddress('203.0.113.2'), port: 14789 };
const inC2 = '10.77.1.12';
/** Implementation: what a loaded machine may take; the data path itself needs some tenths of a second. */
const limitMs = 10_000;

const ip = (node: string, words: string) => run('ip', '-n', node, ...words.split(' '));

/** A wire between the nodes: device `u<number>` in both, 192.0.<number>.<node>. */
function connect(number: number): void {
  const name = `u${number}`;
  run('ip', 'link', 'add', name, 'netns', 'node1', 'type', 'veth', 'peer', 'name', name, 'netns', 'node2');
  for (const node of [1, 2]) {
    ip(`node${node}`, `address add 192.0.${number}.${node}/24 dev ${name}`);
    ip(`node${node}`, `link set ${name} up`);
  }
}

/** The route from a node to the other's VTEP, over these wires. */
function route(node: 1 | 2, ...wires: readonly number[]): void {
  const other = 3 - node;
  const hops = wires.map((wire) => `nexthop via 192.0.${wire}.${other}`).join(' ');
  ip(`node${node}`, `route replace 203.0.113.${other} ${wires.length > 1 ? hops : hops.replace('nexthop ', '')}`);
}

/** A way that is not in use: less good than that of `route`. */
function backup(node: 1 | 2, wire: number): void {
  ip(`node${node}`, `route add 203.0.113.${3 - node} via 192.0.${wire}.${3 - node} metric 100`);
}

function tablesOf(local: Endpoint, vtep: Vtep, behind: Endpoint): ForwardingState {
  const remote = [{ node: nodeId(vtep.address), network: network.key, vtep, endpoints: [behind] }];
  return forwarding({ self: nodeId('self'), networks: [network], local: [local], remote });
}

const directories = (node: string) => directoriesOf(join(bpfRoot, node));

function rowOf(node: string, address: string): VtepRecord | undefined {
  const map = openPinnedMap(join(directories(node).maps, 'vteps'));
  if (map === null) throw new Error(`${node} has no table of VTEPs`);
  try {
    return (
      mapEntries(map)
        .map(([, value]) => vtepRecord.decode(value))
        .find((row) => row?.address === address) ?? undefined
    );
  } finally {
    closeFd(map);
  }
}

function ifindexOf(node: string, device: string): number {
  return Number(JSON.parse(ip(node, `-j link show ${device}`))[0].ifindex);
}

function isCovered(node: string, device: string): boolean {
  return linkInfo(join(directories(node).links, linkName(device)))?.ifindex === ifindexOf(node, device);
}

/** Echo requests from c1 to c2 that are answered, at once. */
function pings(count = 3): number {
  const options = ['-q', '-c', String(count), '-i', '0.02', '-W', '1'];
  const report = runInside('c1', 'sh', '-c', `busybox ping ${options.join(' ')} ${inC2} || true`);
  return Number(/(\d+) packets received/.exec(report)?.[1]);
}

const traffic = () => eventually(() => assert.is(pings(), 3), limitMs);

/** What a node counted while something happened. */
async function counted(node: NodeProcess, happen: () => unknown): Promise<(name: string) => number> {
  const before = await node.counters();
  await happen();
  const after = await node.counters();
  return (name) => (after[name]?.packets ?? 0) - (before[name]?.packets ?? 0);
}

test.before(async (nodes) => {
  for (const [position, address] of [vtep1.address, vtep2.address].entries()) {
    const node = `node${position + 1}`;
    run('ip', 'netns', 'add', node);
    ip(node, 'link set lo up');
    ip(node, `address add ${address}/32 dev lo`);
  }
  connect(1);
  connect(2);
  route(1, 1);
  route(2, 1);
  nodes.node1 = await startNode('node1', [join(bpfRoot, 'node1'), vtep1.address, '14789', 'tcx']);
  nodes.node2 = await startNode('node2', [join(bpfRoot, 'node2'), vtep2.address, '14789', 'tcx']);
  await nodes.node1.desire(tablesOf(endpoints.c1, vtep2, endpoints.c2).values());
  await nodes.node2.desire(tablesOf(endpoints.c2, vtep1, endpoints.c1).values());
  startContainer('c1', 'node1', endpoints.c1);
  startContainer('c2', 'node2', endpoints.c2);
  await traffic();
});

test.after(async ({ node1, node2 }) => {
  await node1.end();
  await node2.end();
  disconnect('c1', 'c2', 'node1', 'node2');
  for (const node of ['node1', 'node2']) rmSync(directories(node).root, { recursive: true });
});

test('a device that only a better route keeps from use has the program before packets come in by it', async ({
  node1,
}) => {
  backup(1, 2);
  await eventually(() => assert.ok(isCovered('node1', 'u2')), limitMs);
  route(2, 2);
  await eventually(() => assert.is(rowOf('node2', vtep1.address)?.ifindex, ifindexOf('node2', 'u2')), limitMs);

  // Node 1 still sends by the first wire.
  assert.is(rowOf('node1', vtep2.address)?.ifindex, ifindexOf('node1', 'u1'));
  const count = await counted(node1, () => assert.is(pings(5), 5));
  assert.equal([count('decapsulated'), count('fallback_received')], [5, 0]);
});

test('the second uplink takes over when the first is set down, and the first again when it is back', async () => {
  ip('node1', 'link set u1 down');
  await eventually(() => assert.is(rowOf('node1', vtep2.address)?.ifindex, ifindexOf('node1', 'u2')), limitMs);
  await traffic();
  ip('node1', 'link set u1 up');
  route(1, 1);
  route(2, 1);
  await eventually(() => assert.is(rowOf('node1', vtep2.address)?.ifindex, ifindexOf('node1', 'u1')), limitMs);

  await traffic();
});

test('a device that is removed and comes back under another index is taken into use again', async ({ node2 }) => {
  const before = ifindexOf('node1', 'u1');
  ip('node1', 'link delete u1');
  await eventually(() => assert.is(rowOf('node1', vtep2.address)?.ifindex, ifindexOf('node1', 'u2')), limitMs);
  connect(1);
  route(1, 1);
  route(2, 1);
  assert.is.not(ifindexOf('node1', 'u1'), before);
  await eventually(() => assert.is(rowOf('node1', vtep2.address)?.ifindex, ifindexOf('node1', 'u1')), limitMs);
  await traffic();

  const count = await counted(node2, () => assert.is(pings(5), 5));
  assert.equal([count('encapsulated'), count('decapsulated'), count('fallback_received')], [5, 5, 0]);
});

test('an MTU that is lowered and raised is followed', async () => {
  ip('node1', 'link set u1 mtu 1400');
  await eventually(() => assert.is(rowOf('node1', vtep2.address)?.mtuBytes, 1400), limitMs);
  ip('node1', 'link set u1 mtu 1500');
  await eventually(() => assert.is(rowOf('node1', vtep2.address)?.mtuBytes, 1500), limitMs);
});

test('a next hop with another MAC address, or another next hop, is followed', async () => {
  runInside('node2', 'sysctl', '-qw', 'net.ipv4.conf.u1.arp_notify=1');
  ip('node2', 'link set u1 down');
  ip('node2', 'link set u1 address 02:11:00:00:00:77');
  ip('node2', 'link set u1 up');
  route(2, 1);
  await traffic();

  ip('node2', 'address add 192.0.1.99/24 dev u1');
  ip('node1', 'route replace 203.0.113.2 via 192.0.1.99');
  await eventually(() => assert.is(rowOf('node1', vtep2.address)?.gateway, '192.0.1.99'), limitMs);
  await traffic();
});

test('an IPv4 VTEP is reached by an IPv6 router', async ({ node1 }) => {
  const [{ addr_info }] = JSON.parse(ip('node2', '-j -6 address show dev u1 scope link'));
  ip('node1', `route replace 203.0.113.2 via inet6 ${addr_info[0].local} dev u1`);
  await eventually(() => assert.is(rowOf('node1', vtep2.address)?.gateway, addr_info[0].local), limitMs);
  await traffic();

  const count = await counted(node1, () => assert.is(pings(5), 5));
  assert.equal([count('encapsulated'), count('fallback')], [5, 0]);
});

/** Datagrams of many flows from c1 to c2: the outer source ports that node 1 sent them from, on each wire. */
async function sourcePorts(): Promise<readonly (readonly number[])[]> {
  const captures = await Promise.all(
    ['u1', 'u2'].map((device) =>
      start(['nsenter', ...inside('node1', 'tcpdump', '-nni', device, '--immediate-mode', '-U', sent)]),
    ),
  );
  for (const capture of captures) await capture.waitFor('listening on');
  runInside('c1', process.execPath, '-e', manyFlows);
  await sleep(300);
  const outputs = await Promise.all(captures.map(async (capture) => (await capture.stop('SIGINT')).stdout));
  return outputs.map((output) => [...output.matchAll(/IP 203\.0\.113\.1\.(\d+) >/g)].map(([, port]) => Number(port)));
}

/** Inner UDP to port 9, as `manyFlows` sends it: behind 8 bytes of UDP, 8 of VXLAN, 14 of Ethernet and 20 of IPv4. */
const sent = 'src host 203.0.113.1 and udp dst port 14789 and udp[39] = 17 and udp[52:2] = 9';
const flows = 64;
const manyFlows = `
  const { createSocket } = require('node:dgram');
  for (let flow = 0; flow < ${flows}; flow += 1) {
    const socket = createSocket('udp4');
    socket.bind(20000 + flow, () => socket.send('x', 9, '${inC2}', () => socket.close()));
  }`;

test('over two next hops flows use both, with source ports all over the dynamic range', async () => {
  ip('node1', 'route delete 203.0.113.2 metric 100');
  route(1, 1, 2);
  await eventually(() => assert.is(rowOf('node1', vtep2.address)?.hops, 2), limitMs);
  const seen = await sourcePorts();

  assert.is(seen.flat().length, flows);
  for (const ports of seen) assert.ok(ports.length >= flows / 8, `${ports.length} of ${flows} flows on one wire`);
  const distinct = new Set(seen.flat());
  assert.ok(distinct.size > flows * 0.9, `${distinct.size} source ports`);
  assert.ok([...distinct].every((port) => port >= 49_152));
  assert.ok(Math.max(...distinct) - Math.min(...distinct) > 8_192);
});

test('a next hop whose carrier is lost is left, and used again when it is back', async () => {
  ip('node2', 'link set u2 down');
  const onlyFirst = async () => {
    const [first, second] = await sourcePorts();
    assert.equal([first?.length, second?.length], [flows, 0]);
  };
  await eventually(onlyFirst, limitMs);
  ip('node2', 'link set u2 up');
  await eventually(async () => assert.ok(((await sourcePorts())[1]?.length ?? 0) > 0), limitMs);
});

test('a route that has one next hop again needs no table of hops', async () => {
  route(1, 1);
  await eventually(() => assert.is(rowOf('node1', vtep2.address)?.hops, 0), limitMs);
  await traffic();
  const map = openPinnedMap(join(directories('node1').maps, 'hops'));
  if (map === null) throw new Error('no table of hops');
  assert.equal(mapEntries(map), []);
  closeFd(map);
});

test.run();
