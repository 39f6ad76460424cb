/**
 * Groups, mDNS and storms between three nodes with daemons of their own on one store: containers as an engine would make them,
 * and captures of what the wire carries.
 *
 *   n1  a, b      n2  c, d      n3  e
 */

import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { directoriesOf } from '../../src/datapath/ebpf/names.ts';
import { closeFd, openPinnedMap } from '../../src/native/binding.ts';
import { eventually, pause } from '../kit/command.ts';
import type { Daemon } from '../kit/daemon.ts';
import { groupMac } from '../kit/group-frames.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import { createNetns, deleteNetns, ipBatch, sysctl } from '../kit/netns.ts';
import type { LabNode, Station } from '../kit/node.ts';
import { createHand, type Hand, type HandContainer, type HandNetwork } from '../kit/plugin-client.ts';
import { readCounters } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';
import { countDatagrams, countLoss, startEcho, startReceiver, tallyOf } from '../kit/traffic.ts';

interface Member {
  readonly node: LabNode;
  readonly daemon: Daemon;
  readonly hand: Hand;
  readonly network: HandNetwork;
}

interface Context {
  lab: Lab;
  n1: Member;
  n2: Member;
  n3: Member;
  containers: Record<'a' | 'b' | 'c' | 'd' | 'e', HandContainer>;
}

const limits = { limitMs: 30_000, everyMs: 100 };
const groups = ['239.77.1.2', 'ff15::7777'] as const;
const sending = { count: 20, bytes: 100, intervalUs: 2_000, device: 'eth0' };
const test = suite<Context>('multicast between nodes');

/**
 * A host that answers to its own name and asks for all of them, by both families (RFC 6762): ADDRESS OWN NAMES…
 * It goes on answering after it has found all, since others may still be asking.
 */
const mdns = `
  const { createSocket } = require('node:dgram');
  const [address, own, ...names] = process.argv.slice(1);
  const nameOf = (host) => Buffer.concat([host, 'local', ''].map((label) => Buffer.from([label.length, ...Buffer.from(label)])));
  const query = (host) => Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), nameOf(host), Buffer.from([0, 1, 0, 1])]);
  const answer = Buffer.concat([Buffer.from([0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0]), nameOf(own),
    Buffer.from([0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, ...address.split('.').map(Number)])]);
  const found = new Set();
  for (const [type, group, device] of [['udp4', '224.0.0.251', address], ['udp6', 'ff02::fb', '::%eth0']]) {
    const socket = createSocket({ type, reuseAddr: true });
    const send = (message) => socket.send(message, 5353, type === 'udp6' ? group + '%eth0' : group);
    socket.on('message', (message) => {
      const host = message.subarray(13, 13 + message[12]).toString();
      if (message[2] === 0 && host === own) send(answer);
      if (message[2] === 0x84) found.add(type + ' ' + host);
      if (found.size === 2 * names.length) console.log('found all');
    });
    socket.bind(5353, () => {
      socket.setMulticastInterface(device);
      socket.addMembership(group, device);
      setInterval(() => names.forEach((host) => send(query(host))), 200);
    });
  }`;

test.before(async (context) => {
  context.lab = await createLab();
  context.n1 = await startMember(context.lab);
  context.n2 = await startMember(context.lab);
  context.n3 = await startMember(context.lab);
  const { n1, n2, n3 } = context;
  const [a, b, c, d, e] = [await start(n1), await start(n1), await start(n2), await start(n2), await start(n3)];
  context.containers = { a, b, c, d, e };
  for (const container of [a, b, c, d, e]) {
    const tentative = ['ip', '-6', 'address', 'show', 'dev', 'eth0', 'tentative'];
    await eventually('its address is its own', async () => (await container.run(tentative)) === '', limits);
  }
});

test.after(async ({ lab }) => {
  await lab?.close();
});

for (const group of groups) {
  test(`${group} reaches its members once, crosses the wire once for a node, and goes to no node without members`, async ({
    containers: { a, b, c, d },
    n2,
    n3,
  }) => {
    const members = { address: group, receivers: [b, c, d], receive: { group } };
    let onWire: readonly number[] = [];
    await eventually(
      `${group} goes where it has members`,
      async () => {
        const tallies = countDatagrams(a, members, sending);
        onWire = await Promise.all([n2, n3].map(({ node }) => copiesAt(node, group, tallies)));
        return (await tallies).every(({ received, distinct }) => received === 20 && distinct === 20);
      },
      limits,
    );

    assert.equal(onWire, [20, 0]);
  });

  test(`${group} leaves the wire when its members have left`, async ({ containers: { a }, n2 }) => {
    await eventually('no copy', async () => (await copiesAt(n2.node, group, sendTo(a, group))) === 0, limits);
  });
}

test('a killed daemon costs no datagram of a group, and what is joined here meanwhile is joined at once', async ({
  containers: { a, b, c },
  n1,
  n2,
}) => {
  const group = groups[0];
  const there = await startReceiver(c, { group });
  await eventually('it is known', async () => (await copiesAt(n2.node, group, sendTo(a, group))) === 20, limits);

  await Promise.all([n1.daemon.kill9(), n2.daemon.kill9()]);
  const here = await startReceiver(b, { group });
  await pause(1_000);
  const sent = sendTo(a, group, 1_500);
  await n2.daemon.restart();
  await n1.daemon.restart();
  await sent;
  await pause(1_000);

  assert.is(tallyOf(await here.stop()).distinct, 1_500);
  assert.is(tallyOf(await there.stop()).distinct, 1_500);
});

test('mDNS finds the containers of all nodes, by IPv4 and IPv6', async ({ containers: { a, c, e } }) => {
  const names = ['a', 'c', 'e'];
  const programs = await Promise.all(
    [a, c, e].map((on, at) => on.spawn([process.execPath, '-e', mdns, on.address, names[at] ?? '', ...names])),
  );
  for (const program of programs) await program.waitFor('found all', limits.limitMs);
  for (const program of programs) await program.stop();
});

test('a container that bridges two endpoints repeats nothing', async ({ containers: { a, c }, n1 }) => {
  const netns = `${n1.node.netns}-loop`;
  await createNetns(netns);
  // So that it says nothing of its own.
  await sysctl(netns, ['net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1']);
  const endpoints = [await n1.hand.createEndpoint(n1.network), await n1.hand.createEndpoint(n1.network)];
  try {
    for (const [at, endpoint] of endpoints.entries()) {
      const device = await n1.hand.join(endpoint);
      await ipBatch(n1.node.netns, [`link set ${device} netns ${netns}`]);
      await ipBatch(netns, [`link set ${device} name eth${at}`, `link set eth${at} address ${endpoint.mac}`]);
    }
    await ipBatch(netns, ['link add br0 type bridge mcast_snooping 0', 'link set br0 up']);
    for (const device of ['eth0', 'eth1']) await ipBatch(netns, [`link set ${device} master br0 up`]);
    const refused = await counted(n1.daemon, 'DROP_SOURCE_MAC');
    const flooded = await counted(n1.daemon, 'FLOODED');
    await eventually('the bridge forwards', async () => {
      const [tally] = await countDatagrams(c, { address: '255.255.255.255', receivers: [a] }, sending);
      assert.equal([tally?.received, tally?.distinct], [20, 20]);
      return (await counted(n1.daemon, 'DROP_SOURCE_MAC')) >= refused + 40;
    });

    // What the containers of the node say meanwhile: solicitations of routers that they repeat.
    assert.ok((await counted(n1.daemon, 'FLOODED')) - flooded < 20);
  } finally {
    for (const endpoint of endpoints) {
      await n1.hand.leave(endpoint);
      await n1.hand.removeEndpoint(endpoint);
    }
    await deleteNetns(netns);
  }
});

test('a storm of broadcasts is cut off where it begins, and costs others no packet', async ({
  containers: { a, c, e },
  n2,
  n3,
}) => {
  const port = 17_701;
  const echo = await startEcho(c, port);
  const [limited, received] = [
    await counted(n3.daemon, 'DROP_RATE_LIMITED'),
    await counted(n2.daemon, 'FLOOD_RECEIVED'),
  ];
  const began = performance.now();
  const storm = { ...sending, count: 50_000, intervalUs: 10 };
  const { lost } = await countLoss({ from: a, address: c.address, port, intervalUs: 5_000 }, () =>
    countDatagrams(e, { address: '255.255.255.255', receivers: [], receive: {} }, storm),
  );
  const allowed = 1_000 + Math.ceil(performance.now() - began);
  await echo.stop();

  assert.is(lost, 0);
  assert.ok((await counted(n3.daemon, 'DROP_RATE_LIMITED')) > limited);
  // A thousand at once and a thousand a second; a little more for what others say meanwhile.
  const copies = (await counted(n2.daemon, 'FLOOD_RECEIVED')) - received;
  assert.ok(copies >= 1_000 && copies <= allowed + 200, `${copies} copies, ${allowed} allowed`);
});

test.run();

async function startMember(lab: Lab): Promise<Member> {
  const node = await lab.node({ lan: 1 });
  const daemon = await node.daemon({ store: lab.embeddedStore });
  const hand = createHand(node, daemon);
  return { node, daemon, hand, network: await hand.createNetwork({ subnet: '10.77.0.0/24', name: 'blue' }) };
}

function start({ hand, network }: Member): Promise<HandContainer> {
  return hand.run(network);
}

function sendTo(from: Station, group: string, count = sending.count) {
  return countDatagrams(from, { address: group, receivers: [], receive: { settleMs: 0 } }, { ...sending, count });
}

/** How many frames to a group come over the wire to a node while something happens. */
async function copiesAt(node: LabNode, group: string, happen: Promise<unknown>): Promise<number> {
  const capture = await node.spawn([
    ...['tcpdump', '-i', 'eth0', '-n', '-xx', '-U', '--immediate-mode', '--direction=in', 'udp', 'port', '14789'],
  ]);
  await capture.waitFor('listening on');
  await happen;
  await pause(200);
  const { stdout } = await capture.stop('SIGINT');
  const hex = stdout.replaceAll(/\n\s+0x[0-9a-f]+:/g, '').replaceAll(/ /g, '');
  return hex.split(groupMac(group).replaceAll(':', '')).length - 1;
}

async function counted(daemon: Daemon, name: string): Promise<number> {
  const counters = openPinnedMap(join(directoriesOf(daemon.bpfDir).maps, 'counters'));
  if (counters === null) throw new Error(`no counters in ${daemon.bpfDir}`);
  try {
    return readCounters(counters).get(name) ?? 0;
  } finally {
    closeFd(counters);
  }
}
