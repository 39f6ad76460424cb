/**
 * What a container may put into a frame: it must arrive byte for byte, or not at all. And congestion marks by the road through
 * the kernel's device, which combines them itself (RFC 6040 section 4.2) and must agree with ecn.h.
 */

import * as assert from 'uvu/assert';
import {
  bytes,
  ethernet,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  protocols,
  transports,
  u16,
  u32,
  udp,
  vxlan,
} from '../kit/frame.ts';
import { createIntruder, markOf, watch } from '../kit/intruder.ts';
import { createLan, inside, type Lan } from '../kit/lan.ts';
import { streams } from '../kit/lan-traffic.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { tunnelPort, vni } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';
import { fragments } from '../kit/underlay-attacks.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<{ lan?: Lan; send?: Awaited<ReturnType<typeof createIntruder>> }>('inner', {});
test.before(async (context) => {
  context.lan = await createLan(bpfRoot);
  context.send = await createIntruder();
  await inside(context.lan.one, ['busybox', 'ping', '-c', '1', '-W', '2', '192.0.2.2']);
});
test.after(async ({ lan }) => {
  await lan?.close();
});

const a = { mac: '02:42:0a:00:00:01', ipv4: '10.0.0.1', ipv6: 'fd00::1' };
const c = { mac: '02:42:0a:00:00:03', ipv4: '10.0.0.3', ipv6: 'fd00::3' };
const between = { source: a.ipv4, destination: c.ipv4 };
const between6 = { source: a.ipv6, destination: c.ipv6 };
const wrap = (protocol: number, payload: Uint8Array) =>
  ethernet({ destination: c.mac, source: a.mac, protocol, payload });
const sctp = 132;
const [routing, fragment, destination] = [43, 44, 60];
const data = (mark: Uint8Array, length = 60) =>
  bytes(
    mark,
    new Uint8Array(length).map((_, index) => index),
  );

/** Six words of header: four "no operation" behind the addresses. */
function withOptions(packet: Uint8Array): Uint8Array {
  const longer = bytes(packet.subarray(0, 20), 1, 1, 1, 1, packet.subarray(20));
  longer.set([0x46, 0, ...u16(longer.length)], 0);
  return longer;
}

const extension = (header: number, body: Uint8Array, mark: Uint8Array) =>
  wrap(
    protocols.ipv6,
    ipv6({ ...between6, transport: header, payload: bytes(transports.udp, body, udp(9, 9, data(mark))) }),
  );

const kinds: Readonly<Record<string, (mark: Uint8Array) => Uint8Array>> = {
  UDP: (mark) => wrap(protocols.ipv4, ipv4({ ...between, transport: transports.udp, payload: udp(9, 9, data(mark)) })),
  'UDP, the largest': (mark) =>
    wrap(protocols.ipv4, ipv4({ ...between, transport: transports.udp, payload: udp(9, 9, data(mark, 1390)) })),
  'TCP without a connection': (mark) =>
    wrap(
      protocols.ipv4,
      ipv4({ ...between, transport: transports.tcp, payload: bytes(new Uint8Array(20), data(mark)) }),
    ),
  SCTP: (mark) =>
    wrap(protocols.ipv4, ipv4({ ...between, transport: sctp, payload: bytes(u32(9), u32(7), data(mark)) })),
  'SCTP over IPv6': (mark) =>
    wrap(protocols.ipv6, ipv6({ ...between6, transport: sctp, payload: bytes(u32(9), u32(7), data(mark)) })),
  'ICMP in fragments, the first': (mark) =>
    wrap(
      protocols.ipv4,
      ipv4({ ...between, transport: transports.icmp, payload: icmp(8, 0, data(mark, 1200)), fragment: 0x2000, id: 7 }),
    ),
  'ICMP in fragments, the last': (mark) =>
    wrap(
      protocols.ipv4,
      ipv4({ ...between, transport: transports.icmp, payload: data(mark, 300), fragment: 150, id: 7 }),
    ),
  'IPv4 with options': (mark) =>
    wrap(protocols.ipv4, withOptions(ipv4({ ...between, transport: transports.udp, payload: udp(9, 9, data(mark)) }))),
  ICMPv6: (mark) => wrap(protocols.ipv6, icmpv6(between6, 128, 0, data(mark))),
  'IPv6 with hop-by-hop options': (mark) => extension(transports.hopByHop, bytes(0, 1, 4, u32(0)), mark),
  'IPv6 with destination options': (mark) => extension(destination, bytes(0, 1, 4, u32(0)), mark),
  'IPv6 with a routing header': (mark) => extension(routing, bytes(0, 253, 0, u32(0)), mark),
  'IPv6, a first fragment': (mark) => extension(fragment, bytes(0, u16(1), u32(5)), mark),
  'IPv6, a later fragment': (mark) => extension(fragment, bytes(0, u16(1400), u32(5)), mark),
  'an Ethernet type of its own': (mark) => wrap(0x88b5, data(mark)),
  'the smallest frame': (mark) => wrap(0x88b5, mark),
};

test('frames of every kind arrive byte for byte on another node', async ({ lan, send }) => {
  if (lan === undefined || send === undefined) throw new Error('no LAN');
  const watches = await watch({ twoA: [lan.twoA, 'eth0'] });
  const frames = Object.entries(kinds).map(([name, make], index) => ({ name, frame: make(markOf(index)) }));

  await send(lan.oneA, 'eth0', ...frames.map(({ frame }) => frame));

  for (const [index] of frames.entries()) await watches.until('twoA', index);
  const { twoA = new Map() } = await watches.frames();
  for (const [index, { name, frame }] of frames.entries()) {
    assert.is(Buffer.from(twoA.get(index) ?? []).toString('hex'), Buffer.from(frame).toString('hex'), name);
  }
});

test('congestion marks come through the kernel device as by the programs', async ({ lan, send }) => {
  if (lan === undefined || send === undefined) throw new Error('no LAN');
  const { one, two, oneA } = lan;
  const macs = { destinationMac: '02:11:00:00:00:01', sourceMac: '02:11:00:00:00:02' };
  const outer = { ...macs, source: '192.0.2.2', destination: '192.0.2.1', sourcePort: 50_000, port: tunnelPort, vni };
  const innerOf = (mark: number, ipv6Inside: boolean, tos: number) => {
    const payload = udp(9, 9, data(markOf(mark)));
    const back = { transport: transports.udp, payload, tos };
    const packet = ipv6Inside
      ? ipv6({ source: c.ipv6, destination: a.ipv6, ...back })
      : ipv4({ source: c.ipv4, destination: a.ipv4, ...back });
    const protocol = ipv6Inside ? protocols.ipv6 : protocols.ipv4;
    return ethernet({ destination: a.mac, source: c.mac, protocol, payload: packet });
  };
  const cases = Array.from({ length: 32 }, (_, index) => ({
    outside: index & 3,
    within: (index >> 2) & 3,
    six: index >= 16,
  }));
  const watches = await watch({ oneA: [oneA, 'eth0'] });
  one.counts();

  for (const [mark, { outside, within, six }] of cases.entries()) {
    const packet = vxlan({ ...outer, tos: outside }, innerOf(mark, six, 0xb8 | within));
    await send(two, 'u0', ...fragments(packet, mark + 1));
  }

  // The last is CE inside: it arrives whatever is outside.
  await watches.until('oneA', 31);
  const { oneA: arrived = new Map() } = await watches.frames();
  const combined = [
    [0, 1, 2, 3],
    [0, 1, 1, 3],
    [0, 1, 2, 3],
    [null, 3, 3, 3],
  ] as const;
  for (const [mark, { outside, within, six }] of cases.entries()) {
    const wanted = combined[outside]?.[within] ?? null;
    const expected = wanted === null ? '' : Buffer.from(innerOf(mark, six, 0xb8 | wanted)).toString('hex');
    assert.is(
      Buffer.from(arrived.get(mark) ?? []).toString('hex'),
      expected,
      `outer ${outside}, inner ${within}, IPv6 ${six}`,
    );
  }
  assert.is(one.counts()['FALLBACK_RECEIVED'], 30);
});

test('aggregates larger than an IP packet can be are cut, not broken', async ({ lan }) => {
  if (lan === undefined) throw new Error('no LAN');
  const { one, oneA, twoA } = lan;
  await inside(oneA, ['ip', 'link', 'set', 'dev', 'eth0', 'gso_max_size', '180000']);
  one.counts();

  for (const address of [twoA.ipv4, twoA.ipv6]) await streams(oneA, twoA, address);

  const counts = one.counts();
  assert.ok((counts['ENCAPSULATED'] ?? 0) + (counts['FALLBACK'] ?? 0) > 0);
});

test.run();
