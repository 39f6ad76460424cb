/**
 * Frames broken at random: no program may crash or fail to run, every frame must be accounted for, and none may come out with
 * a verdict that hands it to the host. The seed is printed and can be given again: WEFT_TEST_SEED=1234.
 */

import * as assert from 'uvu/assert';
import {
  address,
  arp,
  broadcast,
  bytes,
  ethernet,
  icmpv6,
  ipv4,
  ipv6,
  protocols,
  transports,
  u32,
  udp,
  vxlan,
} from '../kit/frame.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { a, c, loadPrograms, nodes, type Outcome, tunnelPort, underlayMac, verdicts, vni } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const programs = loadPrograms({ bum_rate: 0, event_rate: 0, learn_rate: 0 });
const test = suite('mutation');
test.before.each(() => programs.reset());

const frames = 4000;
const seed = Number(process.env['WEFT_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
process.stdout.write(`seed ${seed}\n`);

/** A linear congruential generator (Numerical Recipes): good enough to break frames, and repeatable. */
function generator(start: number): (below: number) => number {
  let state = start >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const payload = udp(7000, 7001, new Uint8Array(64));
const solicitation = icmpv6(
  { source: a.ipv6, destination: 'ff02::1:ff00:3', ttl: 255 },
  135,
  0,
  bytes(u32(0), address(c.ipv6)),
);
const request = arp({ operation: 1, senderMac: a.mac, sender: a.ipv4, targetMac: '00:00:00:00:00:00', target: c.ipv4 });
const patterns = [
  ethernet({
    destination: c.mac,
    source: a.mac,
    protocol: protocols.ipv4,
    payload: ipv4({ source: a.ipv4, destination: c.ipv4, transport: transports.udp, payload }),
  }),
  ethernet({
    destination: c.mac,
    source: a.mac,
    protocol: protocols.ipv6,
    payload: ipv6({ source: a.ipv6, destination: c.ipv6, transport: transports.udp, payload }),
  }),
  ethernet({ destination: broadcast, source: a.mac, protocol: protocols.arp, payload: request }),
  ethernet({ destination: '33:33:ff:00:00:03', source: a.mac, protocol: protocols.ipv6, payload: solicitation }),
  ethernet({
    destination: c.mac,
    source: a.mac,
    protocol: protocols.ipv4,
    payload: ipv4({ source: a.ipv4, destination: c.ipv4, transport: transports.udp, payload: new Uint8Array(1440) }),
  }),
];

/** Shortened, lengthened, and with up to four bytes changed, mostly in the first hundred: where the headers are. */
function broken(frame: Uint8Array, below: (limit: number) => number): Uint8Array {
  const length = below(4) === 0 ? Math.max(54, below(frame.length + 30)) : frame.length;
  const copy = new Uint8Array(length);
  copy.set(frame.subarray(0, length));
  for (let change = below(5); change > 0; change--) copy[below(Math.min(100, length))] = below(256);
  return copy;
}

function accountedFor({ counts, events }: Outcome): void {
  const fates = Object.entries(counts).filter(([name]) => name !== 'LEARNED' && name !== 'DROP_COPY_FAILED');
  assert.is(
    fates.reduce((sum, [, packets]) => sum + packets, 0),
    1,
    JSON.stringify(counts),
  );
  assert.ok(events.length <= 3);
}

test('what containers send broken is answered, sent or dropped, and counted once', () => {
  const below = generator(seed);
  for (let index = 0; index < frames; index++) {
    const frame = broken(patterns[below(patterns.length)] ?? new Uint8Array(60), below);

    const outcome = programs.fromContainer(frame);

    const context = Buffer.from(frame).toString('hex');
    assert.ok(outcome.verdict === verdicts.drop || outcome.verdict === verdicts.redirect, context);
    accountedFor(outcome);
  }
});

test('what arrives broken is delivered, dropped or left to the kernel, and counted once unless it is not ours', () => {
  const below = generator(seed + 1);
  const macs = { destinationMac: underlayMac, sourceMac: '02:11:00:00:00:02' };
  const outer = { ...macs, sourcePort: 50000, port: tunnelPort, vni };
  const turned = [
    { source: nodes.c, destination: nodes.own },
    { source: nodes.e, destination: nodes.own6 },
  ].flatMap((underlay) =>
    patterns.map((frame) =>
      vxlan({ ...outer, ...underlay }, bytes(frame.subarray(6, 12), frame.subarray(0, 6), frame.subarray(12))),
    ),
  );
  for (let index = 0; index < frames; index++) {
    const packet = broken(turned[below(turned.length)] ?? new Uint8Array(60), below);

    const outcome = programs.fromUnderlay(packet);

    const isUntouched = Buffer.compare(outcome.data, packet) === 0;
    if (outcome.verdict === verdicts.next) assert.ok(isUntouched, 'a packet left to the kernel was changed');
    else accountedFor(outcome);
  }
});

test.run();
