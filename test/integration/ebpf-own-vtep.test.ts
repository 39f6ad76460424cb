/**
 * A node whose own VTEP changes while its containers talk: another port, another address, another device below it. What
 * peers send to the former one is received until nothing comes any more, and refused then.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { type ForwardingState, forwarding } from '../../src/core/forwarding.ts';
import type { Endpoint, Vtep } from '../../src/core/model.ts';
import { directoriesOf, linkName } from '../../src/datapath/ebpf/names.ts';
import { index, settingsRecord } from '../../src/datapath/ebpf/records.ts';
import { closeFd, linkInfo, mapLookup, openPinnedMap } from '../../src/native/binding.ts';
import { start } from '../kit/command.ts';
import { nodeId, testEndpoint, testNetwork } from '../kit/models.ts';
import { eventually } from '../kit/overlay-node.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';
import {
  connectNodes,
  disconnect,
  inside,
  type NodeProcess,
  runInside,
  startContainer,
  startNode,
} from '../kit/two-nodes.ts';

interface Nodes {
  node1: NodeProcess;
  node2: NodeProcess;
}

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<Nodes>('eBPF data path whose own VTEP changes');
const network = testNetwork(1, { mtuBytes: 1400 });
const endpoints = { c1: testEndpoint(1, 2, 'ipv4'), c2: testEndpoint(1, 12, 'ipv4') };
const inC2 = '10.77.1.12';
const vtep = (address: string, port = 14789): Vtep => ({ address: parseAddress(address), port });
const second = vtep('192.0.2.2');
/** Of node 1; changes from test to test. */
let first = vtep('192.0.2.1');
const quietMs = 2_500;
/** Implementation: what a loaded machine may take; the data path itself needs some tenths of a second. */
const limitMs = 10_000;

const ip = (node: string, words: string) => run('ip', '-n', node, ...words.split(' '));
const open = (node: string, { address, port }: Vtep) =>
  startNode(node, [join(bpfRoot, node), address, String(port), 'tcx', String(quietMs)]);

function tablesOf(local: Endpoint, peer: Vtep, behind: Endpoint): ForwardingState {
  const remote = [{ node: nodeId('peer'), network: network.key, vtep: peer, endpoints: [behind] }];
  return forwarding({ self: nodeId('self'), networks: [network], local: [local], remote });
}

/** Tells node 2 where node 1 is now, as its record in the store would. */
const tellPeer = ({ node2 }: Nodes) => node2.desire(tablesOf(endpoints.c2, first, endpoints.c1).values());

function received(report: string): number {
  return Number(/(\d+) packets received/.exec(report)?.[1]);
}

function pings(count = 3): number {
  const options = ['-q', '-c', String(count), '-i', '0.02', '-W', '1'];
  return received(runInside('c1', 'sh', '-c', `busybox ping ${options.join(' ')} ${inC2} || true`));
}

const traffic = () => eventually(() => assert.is(pings(), 3), limitMs);

/** Asks without a pause while something happens. @returns how many echo requests were lost before the last answer */
async function lostDuring(happen: () => Promise<unknown>): Promise<number> {
  const asking = await start(['nsenter', ...inside('c1', 'busybox', 'ping', '-i', '0.02', inC2)]);
  await asking.waitFor('seq=');
  await happen();
  await sleep(500);
  const { stdout } = await asking.stop('SIGINT');
  const answered = [...stdout.matchAll(/seq=(\d+)/g)].map(([, seq]) => Number(seq));
  return Math.max(...answered) + 1 - new Set(answered).size;
}

async function counted(node: NodeProcess, happen: () => unknown): Promise<(name: string) => number> {
  const before = await node.counters();
  await happen();
  const after = await node.counters();
  return (name) => (after[name]?.packets ?? 0) - (before[name]?.packets ?? 0);
}

const devices = (node: string): string[] =>
  JSON.parse(ip(node, '-j link')).map(({ ifname }: { ifname: string }) => ifname);

test.before(async (nodes) => {
  connectNodes({ addresses: ['192.0.2.1/24', '192.0.2.2/24'] });
  nodes.node1 = await open('node1', first);
  nodes.node2 = await open('node2', second);
  await nodes.node1.desire(tablesOf(endpoints.c1, second, endpoints.c2).values());
  await tellPeer(nodes);
  startContainer('c1', 'node1', endpoints.c1);
  startContainer('c2', 'node2', endpoints.c2);
  await traffic();
});

test.after(async ({ node1, node2 }) => {
  await node1.end();
  await node2.end();
  disconnect('c1', 'c2', 'node1', 'node2');
  for (const node of ['node1', 'node2']) rmSync(directoriesOf(join(bpfRoot, node)).root, { recursive: true });
});

test('a process that comes back with another port loses no packet, before and after its peer has followed', async (nodes) => {
  const former = first.port;
  const lost = await lostDuring(async () => {
    await nodes.node1.end();
    first = { ...first, port: 4790 };
    nodes.node1 = await open('node1', first);
    // Longer than a former VTEP is kept that nobody sends to.
    await sleep(quietMs + 1_000);
    await tellPeer(nodes);
  });

  assert.is(lost, 0);
  assert.ok(((await nodes.node1.counters())['former_vtep']?.packets ?? 0) > 20);
  assert.ok(devices('node1').includes(`weft${former}`));
});

test('a former port is given up with its device when nothing comes to it any more', async (nodes) => {
  // Node 2 speaks another port than before, so nobody else needs the device.
  await nodes.node2.end();
  nodes.node2 = await open('node2', vtep(second.address, 4791));
  await nodes.node1.desire(tablesOf(endpoints.c1, vtep(second.address, 4791), endpoints.c2).values());
  await eventually(() => assert.not(devices('node1').includes('weft14789')), limitMs);

  await traffic();
});

test('to a former address packets are received until the peer has followed, and not for ever', async (nodes) => {
  ip('node1', 'address add 192.0.2.11/24 dev underlay');
  const former = first;
  first = vtep('192.0.2.11', former.port);
  const count = await counted(nodes.node1, async () => {
    await nodes.node1.move(first);
    runInside('c2', 'sh', '-c', 'busybox ping -q -c 3 -i 0.02 -W 1 10.77.1.2 || true');
  });
  // Node 2 does not know the new address yet and takes nothing from it; what it sends is received.
  assert.is(count('former_vtep'), 3);
  assert.is(count('decapsulated'), 3);
  await tellPeer(nodes);
  await traffic();

  await eventually(() => {
    assert.is(formerOf('node1'), null);
  }, limitMs);
  const refused = await counted(nodes.node1, () => sendFrom('node2', former));
  assert.equal([refused('drop_not_our_vtep'), refused('decapsulated'), refused('fallback_received')], [1, 0, 0]);
});

function formerOf(node: string): Vtep | null {
  const map = openPinnedMap(join(directoriesOf(join(bpfRoot, node)).maps, 'settings'));
  if (map === null) throw new Error(`${node} has no settings`);
  const value = mapLookup(map, index.encode(1));
  closeFd(map);
  return value === null ? null : settingsRecord.decode(value);
}

/** A packet of the overlay to a VTEP, made by hand: a frame from c2 to c1 in VXLAN, by node 2's own address. */
function sendFrom(node: string, { address, port }: Vtep): void {
  const frame = Buffer.concat([mac(endpoints.c1.mac), mac(endpoints.c2.mac), Buffer.from('0800', 'hex'), inner]);
  const head = Buffer.from([8, 0, 0, 0, network.vni >> 16, (network.vni >> 8) & 255, network.vni & 255, 0]);
  const packet = Buffer.concat([head, frame]).toString('hex');
  const program = `
    const socket = require('node:dgram').createSocket('udp4');
    socket.bind(50000, '192.0.2.2', () =>
      socket.send(Buffer.from('${packet}', 'hex'), ${port}, '${address}', () => socket.close()));`;
  runInside(node, process.execPath, '-e', program);
}

const mac = (text: string) => Buffer.from(text.replaceAll(':', ''), 'hex');
/** An IPv4 header alone: it need not please the container. */
const inner = Buffer.concat([Buffer.from('4500001400004000401100000a4d010c0a4d0102', 'hex'), Buffer.alloc(26)]);

test('an address that moves to a bridge takes the program along, and packets take the fast road', async ({ node1 }) => {
  ip('node1', 'link add br0 type bridge forward_delay 0');
  ip('node1', 'address flush dev underlay');
  ip('node1', 'link set underlay master br0');
  ip('node1', `address add ${first.address}/24 dev br0`);
  ip('node1', 'link set br0 up');
  const pin = (device: string) => linkInfo(join(directoriesOf(join(bpfRoot, 'node1')).links, linkName(device)));
  await eventually(() => assert.is.not(pin('br0'), null), limitMs);
  await eventually(() => assert.is(pin('underlay'), null), limitMs);
  await traffic();

  const count = await counted(node1, () => assert.is(pings(5), 5));
  assert.equal([count('encapsulated'), count('decapsulated')], [5, 5]);
  assert.equal([count('fallback'), count('fallback_received')], [0, 0]);
});

test('an address that is gone for a while is told, and traffic goes on when it is back', async (nodes) => {
  await nodes.node1.events();
  ip('node1', `address delete ${first.address}/24 dev br0`);
  await eventually(async () => {
    const told = (await nodes.node1.events()).flatMap((event) => (event.kind === 'drift' ? [event.what] : []));
    assert.ok(told.some((what) => what.includes(first.address)));
  }, limitMs);
  ip('node1', `address add ${first.address}/24 dev br0`);

  await traffic();
});

test.run();
