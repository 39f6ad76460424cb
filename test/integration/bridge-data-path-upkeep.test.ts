/**
 * What the bridge data path does by itself: keeping up its devices and rows, what it lets in and what not, and taking over
 * from the eBPF data path and back. Two nodes over IPv6, each kept at its tables as a daemon does.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import type { Endpoint, Model, Vtep } from '../../src/core/model.ts';
import { schema } from '../../src/datapath/ebpf/names.ts';
import { nodeId, testEndpoint, testNetwork } from '../kit/models.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';
import {
  connectNodes,
  disconnect,
  type NodeProcess,
  runInside,
  startContainer,
  startInside,
  startNode,
} from '../kit/two-nodes.ts';

interface Nodes {
  node1: NodeProcess;
  node2: NodeProcess;
}

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<Nodes>('bridge data path by itself');
const network = testNetwork(1);
const endpoints = { c1: testEndpoint(1, 2), c2: testEndpoint(1, 12), c3: testEndpoint(1, 3) };
const vteps = ['2001:db8::1', '2001:db8::2'].map((text): Vtep => ({ address: parseAddress(text), port: 14789 }));
const [bridge, tunnel] = [`wb${network.vni}`, `wx${network.vni}`];
const tables1 = modelOf([endpoints.c1, endpoints.c3], vteps[1], [endpoints.c2]);
const tables2 = modelOf([endpoints.c2], vteps[0], [endpoints.c1, endpoints.c3]);

function modelOf(local: readonly Endpoint[], vtep: Vtep | undefined, behind: readonly Endpoint[]): Model {
  if (vtep === undefined) throw new Error('no VTEP');
  const remote = [{ node: nodeId(vtep.address), network: network.key, vtep, endpoints: behind }];
  return { self: nodeId('self'), networks: [network], local, remote };
}

async function start(node: 'node1' | 'node2', kind: 'bridge' | 'tcx'): Promise<NodeProcess> {
  const [vtep, model] = node === 'node1' ? [vteps[0], tables1] : [vteps[1], tables2];
  const started = await startNode(node, [join(bpfRoot, node), String(vtep?.address), '14789', kind]);
  await started.keep(model);
  return started;
}

/** Whether one echo request is answered. */
function isReached(from: string, address: string): boolean {
  return runInside(from, 'sh', '-c', `busybox ping -q -c 1 -W 1 ${address} || true`).includes(' 1 packets received');
}

async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 30; attempt += 1) {
    if (holds()) return;
    await sleep(200);
  }
  assert.unreachable(`it never came about: ${what}`);
}

const onNode1 = (command: string) => runInside('node1', ...command.split(' '));
const fdbOfNode1 = () => onNode1('bridge fdb show');

/** Devices of the first node with where they belong, and the rows that were put. */
function picture(): string {
  const links = JSON.parse(onNode1('ip -j link')) as { ifname: string; flags: string[]; master?: string }[];
  const devices = links.map(({ ifname, flags, master }) => `${ifname} ${flags.includes('UP')} ${master}`);
  const rows = fdbOfNode1()
    .split('\n')
    .filter((row) => /sticky|dst/.test(row));
  return [...devices, ...rows, ...onNode1('ip neighbour show nud permanent').split('\n')].sort().join('\n');
}

test.before(async (nodes) => {
  connectNodes({ addresses: ['2001:db8::1/64', '2001:db8::2/64'] });
  nodes.node1 = await start('node1', 'bridge');
  nodes.node2 = await start('node2', 'bridge');
  startContainer('c1', 'node1', endpoints.c1);
  startContainer('c2', 'node2', endpoints.c2);
  startContainer('c3', 'node1', endpoints.c3);
  await eventually(
    'containers reach each other',
    () => isReached('c1', '10.77.1.12') && isReached('c3', 'fd00:77:1::c'),
  );
});

test.after(async ({ node1, node2 }) => {
  await node1.end();
  await node2.end();
  disconnect('c1', 'c2', 'c3', 'node1', 'node2');
});

const { mac } = endpoints.c2;
for (const [damage, ...commands] of [
  ['a MAC deleted from a tunnel', `bridge fdb delete ${mac} dev ${tunnel} self`],
  ['a MAC deleted from a bridge', `bridge fdb delete ${mac} dev ${tunnel} master`],
  ['a MAC bound to another VTEP', `bridge fdb replace ${mac} dev ${tunnel} dst 2001:db8::99 self static`],
  ['a tunnel that is deleted', `ip link delete ${tunnel}`],
  ['a bridge that is deleted', `ip link delete ${bridge}`],
  ['a tunnel taken out of its bridge', `ip link set ${tunnel} nomaster`],
  ['a bridge and a tunnel set down', `ip link set ${bridge} down`, `ip link set ${tunnel} down`],
  ["the node's own devices deleted", 'ip link delete wx0', 'ip link delete wb0', `ip link delete ${tunnel}`],
] as const) {
  test(`${damage} is put right`, async () => {
    const before = picture();
    for (const command of commands) onNode1(command);

    await eventually('all is as before', () => picture() === before);
    await eventually('the other node is reached', () => isReached('c1', '10.77.1.12'));
  });
}

test('a neighbour that is deleted is put right, and told', async ({ node1 }) => {
  await node1.events();
  onNode1(`ip neighbour delete 10.77.1.12 dev ${tunnel}`);

  await eventually('it is back', () => onNode1(`ip neighbour show dev ${tunnel}`).includes('10.77.1.12 '));
  const told = (await node1.events()).flatMap((event) => (event.kind === 'drift' ? [event.what] : []));
  assert.ok(
    told.some((what) => what.includes(`10.77.1.12 at device ${tunnel} was removed`)),
    told.join('\n'),
  );
});

test('a stranger in a flood list is taken out', async () => {
  onNode1(`bridge fdb append 00:00:00:00:00:00 dev ${tunnel} dst 2001:db8::99`);

  await eventually('it is out', () => !fdbOfNode1().includes('2001:db8::99'));
  assert.match(fdbOfNode1(), `00:00:00:00:00:00 dev ${tunnel} dst 2001:db8::2`);
});

test('a container is not heard under a MAC that is not its own', () => {
  run('ip', '-n', 'c1', 'link', 'set', 'eth0', 'address', '02:42:0a:4d:01:77');
  const strange = isReached('c1', '10.77.1.3');
  run('ip', '-n', 'c1', 'link', 'set', 'eth0', 'address', endpoints.c1.mac);

  assert.not(strange);
  assert.ok(isReached('c1', '10.77.1.3'));
});

test('a frame of a known MAC is taken from its VTEP alone, and one of a MAC of this node from none', async () => {
  run('ip', '-n', 'node2', 'address', 'add', '2001:db8::66/64', 'dev', 'underlay', 'nodad');
  const listen = 'timeout 4 tcpdump -l -n -e -x -i eth0 ether proto 0x88b5 2>&1 || true';
  const heard = startInside('c1', 'sh', '-c', listen);
  await heard.ready;
  await sleep(300);
  for (const [from, source, mark] of [
    ['2001:db8::66', endpoints.c2.mac, '0001'],
    ['2001:db8::66', endpoints.c3.mac, '0002'],
    ['2001:db8::2', endpoints.c3.mac, '0003'],
    ['2001:db8::2', endpoints.c2.mac, '0004'],
  ] as const) {
    runInside('node2', process.execPath, '-e', tunnelPacket(from, source, mark));
  }

  const marks = [...(await heard.output).matchAll(/0x0000: +(000[0-9])/g)].map(([, mark]) => mark);
  assert.equal(marks, ['0004']);
});

test('the host does not hear containers, whatever they know of it', () => {
  onNode1('ip address add 192.0.2.1/24 dev underlay');
  const own = JSON.parse(run('ip', '-n', 'node1', '-j', 'link', 'show', bridge))[0].address;
  for (const address of ['192.0.2.1', '2001:db8::1']) {
    run('ip', '-n', 'c1', 'route', 'add', address, 'dev', 'eth0');
    assert.not(isReached('c1', address), `${address}, asked for`);
    run('ip', '-n', 'c1', 'neighbour', 'replace', address, 'lladdr', own, 'dev', 'eth0', 'nud', 'permanent');
    assert.not(isReached('c1', address), `${address}, sent to the bridge's own MAC`);
  }
});

test('a node changes to eBPF and back, and its containers keep their interfaces', async (nodes) => {
  const devices = () => run('ip', '-n', 'node1', '-o', 'link').match(/\bw(b|x|eft)[0-9]+(?=[@:])/g) ?? [];
  const interfaceOfC1 = () => JSON.parse(run('ip', '-n', 'c1', '-j', 'link', 'show', 'eth0'))[0].ifindex;
  const before = interfaceOfC1();
  await nodes.node1.kill();
  nodes.node1 = await start('node1', 'tcx');
  await eventually('by eBPF', () => isReached('c1', '10.77.1.12') && isReached('c3', 'fd00:77:1::c'));
  assert.equal(devices(), ['weft14789']);

  await nodes.node1.kill();
  nodes.node1 = await start('node1', 'bridge');
  await eventually('by the bridge', () => isReached('c1', '10.77.1.12') && isReached('c3', 'fd00:77:1::c'));
  assert.equal(devices().sort(), ['wb0', bridge, 'wx0', tunnel].sort());
  assert.not(existsSync(join(bpfRoot, 'node1', schema)));
  assert.is(interfaceOfC1(), before);
});

test.run();

/** A program that sends one frame of an experimental EtherType (IEEE 802) to the first container by VXLAN. */
function tunnelPacket(from: string, source: string, mark: string): string {
  const hex = (address: string) => address.replaceAll(':', '');
  const header = `08000000${network.vni.toString(16).padStart(6, '0')}00`;
  const frame = `${header}${hex(endpoints.c1.mac)}${hex(source)}88b5${mark}${'00'.repeat(44)}`;
  return `
    const s = require('node:dgram').createSocket('udp6');
    s.bind(0, '${from}', () => s.send(Buffer.from('${frame}', 'hex'), 14789, '2001:db8::1', () => s.close()));`;
}
