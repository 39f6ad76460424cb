/**
 * Paths of different MTU between four nodes with daemons, a router between their LANs, and containers in one network
 * whose MTU suits the widest path:
 *
 *      wide  9000     far  9000     slim  1280     mid  1400          a path carries the lesser of its two ends
 *
 * Nothing is set by hand: what the router says, or what it does not say, must be enough for all traffic to go on.
 */

import * as assert from 'uvu/assert';
import type { PeerReport, StatusReport } from '../../src/overlay/report.ts';
import { eventually, pause } from '../kit/command.ts';
import type { Daemon } from '../kit/daemon.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import type { LabNode } from '../kit/node.ts';
import { labFile } from '../kit/paths.ts';
import { createHand, type HandContainer } from '../kit/plugin-client.ts';
import { compileSegments } from '../kit/segments.ts';
import { suite } from '../kit/suite.ts';
import { countDatagrams, transfer } from '../kit/traffic.ts';

interface Member {
  readonly node: LabNode;
  readonly daemon: Daemon;
  readonly container: HandContainer;
  readonly address6: string;
}

type Name = 'wide' | 'far' | 'slim' | 'mid';
type Context = { lab: Lab } & Record<Name, Member>;

const test = suite<Context>('path MTU');
const deviceBytes = 9000;
const networkBytes = deviceBytes - 50;
const limits: readonly (readonly [Name, number])[] = [
  ['wide', deviceBytes],
  ['far', deviceBytes],
  ['slim', 1280],
  ['mid', 1400],
];
const limitMs = 60_000;
const mebibytes = 20;
const port = 17_701;

test.before(async (context) => {
  context.lab = await createLab();
  for (const [name, bytes] of limits) {
    const node = await context.lab.node({ mtuBytes: deviceBytes });
    await node.setMtu(bytes);
    const args = ['--probe-interval', '2'];
    const daemon = await node.daemon({ store: context.lab.embeddedStore, dataPath: 'ebpf', args });
    const hand = createHand(node, daemon);
    const network = await hand.createNetwork({ subnet: '10.77.0.0/24', subnet6: 'fd00:77::/64' });
    const address6 = `fd00:77::${node.lan}`;
    const container = await hand.run(network, { address6: `${address6}/64` });
    context[name] = { node, daemon, container, address6 };
  }
});

test.after(({ lab }) => lab?.close());

async function ask<Answer>({ daemon }: Member, question: string): Promise<Answer> {
  return JSON.parse(await daemon.cli([question, '--json'])) as Answer;
}

async function mtuBetween(from: Member, to: Member): Promise<number | null> {
  const peers = await ask<readonly PeerReport[]>(from, 'peers');
  return peers.find(({ address }) => address === to.node.address)?.mtuBytes ?? null;
}

const becomes = (from: Member, to: Member, bytes: number) =>
  eventually(`${bytes} from ${from.node.name} to ${to.node.name}`, async () => (await mtuBetween(from, to)) === bytes, {
    ...{ limitMs, everyMs: 200 },
  });

const addressesOf = ({ container, address6 }: Member) => [container.address, address6];

test('each pair of nodes finds the MTU of its path, and the network has that of the widest', async (context) => {
  for (const [one, oneBytes] of limits) {
    for (const [other, otherBytes] of limits) {
      if (one !== other) await becomes(context[one], context[other], Math.min(oneBytes, otherBytes));
    }
  }
  const { networks } = await ask<StatusReport>(context.wide, 'status');
  assert.is(networks[0]?.mtuBytes, networkBytes);
});

test('status names both nodes of a short path, and no others', async (context) => {
  const { wide, far, slim } = context;
  const { notes } = await ask<StatusReport>(wide, 'status');
  const [one, other] = [wide.node.name, slim.node.name];
  const text = `the path from ${one} to ${other} carries packets of 1280 bytes, and .* with an MTU of 8950 needs 9000: .*mtu=1230`;

  assert.is(notes.filter((note) => new RegExp(text).test(note)).length, 1, notes.join('\n'));
  assert.not.ok(notes.some((note) => note.includes(` to ${far.node.name} `)));
});

test('TCP goes on over every path by IPv4 and IPv6, in both directions', async ({ wide, far, slim, mid }) => {
  for (const [from, to] of [
    [wide, far],
    [wide, mid],
    [wide, slim],
    [slim, wide],
    [mid, slim],
  ] as const) {
    for (const address of addressesOf(to)) await transfer(from.container, to.container, address, mebibytes);
  }
});

test('TCP that wants no path MTU discovery goes on in fragments', async ({ far, slim }) => {
  await far.container.run(['sysctl', '-qw', 'net.ipv4.ip_no_pmtu_disc=1']);
  try {
    await transfer(far.container, slim.container, slim.container.address, 5);
  } finally {
    await far.container.run(['sysctl', '-qw', 'net.ipv4.ip_no_pmtu_disc=0']);
  }
});

test('UDP larger than the path goes on, but for the first datagrams, which told its kernel', async ({ mid, slim }) => {
  for (const bytes of [1200, 4000]) {
    const to = { address: slim.container.address, receivers: [slim.container] };
    const [tally] = await countDatagrams(mid.container, to, { count: 50, bytes, intervalUs: 5000 });
    assert.ok((tally?.distinct ?? 0) >= 45, JSON.stringify(tally));
  }
});

test('segmented datagrams are judged by their segments', async ({ wide, slim }) => {
  const segments = await compileSegments();
  for (const [address, header] of [
    [slim.container.address, 28],
    [slim.address6, 48],
  ] as const) {
    // The largest that fit: 1230 bytes by IPv4; by IPv6, which cannot go below 1280, in outer fragments.
    const fits = (address === slim.address6 ? 1280 : 1230) - header;
    const counter = await slim.container.spawn([segments, 'count', String(port)]);
    await counter.waitFor('ready');
    await wide.container.run([segments, 'datagrams', address, String(port), String(fits), '10']);
    assert.is((await counter.ended).stdout, 'ready\n100\n', address);

    const { code } = await wide.container.exec([segments, 'datagrams', address, String(port), String(fits + 1), '50']);
    assert.is(code, 3, 'the kernel of the sender was told');
  }
});

/** A stream that pauses for so long after each 64 KiB. @returns how many bytes arrived */
async function stream(from: Member, to: Member, address: string, options: StreamOptions): Promise<number> {
  const { bytes, pauseUs, extra = [] } = options;
  const sink = await to.container.spawn([labFile('traffic'), 'sink', String(port), String(limitMs / 1000)]);
  await sink.waitFor('ready');
  const words = [await compileSegments(), 'stream', address, String(port), String(bytes), String(pauseUs), ...extra];
  await from.container.run(words, { timeoutMs: limitMs });
  const { stdout } = await sink.ended;
  return Number(JSON.parse(stdout.slice('ready'.length)).bytes);
}

interface StreamOptions {
  readonly bytes: number;
  readonly pauseUs: number;
  readonly extra?: readonly string[];
}

test('segments behind IPv6 extension headers are measured whole', async ({ far, mid }) => {
  const options = { bytes: 5_000_000, pauseUs: 0, extra: ['options'] };

  assert.is(await stream(far, mid, mid.address6, options), options.bytes);
});

for (const [word, isMute, lowered] of [
  ['that says so', false, 1300],
  ['in silence', true, 1420],
] as const) {
  test(`a path lowered under a stream by a router ${word} stops it for a moment only`, async ({ lab, wide, far }) => {
    if (isMute) await lab.router.setMute(true);
    await becomes(wide, far, deviceBytes);
    const bytes = 24_000_000;
    const arriving = stream(wide, far, far.container.address, { bytes, pauseUs: 5_000 });
    arriving.catch(() => undefined);
    await pause(500);
    await far.node.setMtu(lowered);
    assert.is(await arriving, bytes);
    await becomes(wide, far, lowered);
    await transfer(wide.container, far.container, far.address6, mebibytes);
    await far.node.setMtu(deviceBytes);
    // As if ten minutes had passed: until then the kernel minds what the router said.
    await wide.node.run(['ip', 'route', 'flush', 'cache']);
  });
}

test('a path that has grown carries large packets again', async ({ wide, far }) => {
  await becomes(wide, far, deviceBytes);
  // A container learns of narrow paths by ICMP, and would again.
  await wide.container.run(['ip', 'route', 'flush', 'cache']);
  await transfer(wide.container, far.container, far.container.address, mebibytes);

  assert.not.match(await wide.container.run(['ip', 'route', 'get', far.container.address]), 'mtu');
});

test('no packet was dropped for its size', async (context) => {
  for (const [name] of limits) {
    const { drops, problems } = await ask<StatusReport>(context[name], 'status');
    assert.is(drops['too_big'], undefined);
    assert.equal(problems, []);
  }
});

test.run();
