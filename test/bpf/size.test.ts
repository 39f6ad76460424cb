/** Packets too large for the path to their VTEP (native/bpf/lib/too_big.h): answered by ICMP, or left to outer fragmentation. */

import * as assert from 'uvu/assert';
import { bucket, bucketKey, enums, vtep } from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import {
  bytes,
  checksum,
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
} from '../kit/frame.ts';
import { chanceFrom } from '../kit/models.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { a, c, d, dropped, fate, u32 as hostOrder, loadPrograms, verdicts } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const programs = loadPrograms();
const test = suite('size');
test.before.each(() => programs.reset());

/** Of the path to d, 1400 bytes, less the outer headers. */
const fits = 1350;
const quoteLength = 104;
const dontFragment = 0x4000;

type Station = typeof d;
const wrap = (protocol: number, payload: Uint8Array, to: Station = d) =>
  ethernet({ destination: to.mac, source: a.mac, protocol, payload });
const ipv4Of = (length: number, fragment = dontFragment, to: Station = d) => {
  const payload = udp(
    7000,
    7001,
    new Uint8Array(length - 28).map((_, index) => index),
  );
  return ipv4({ source: a.ipv4, destination: to.ipv4, transport: transports.udp, payload, fragment });
};
const ipv6Of = (length: number) => {
  const payload = udp(
    7000,
    7001,
    new Uint8Array(length - 48).map((_, index) => index),
  );
  return ipv6({ source: a.ipv6, destination: d.ipv6, transport: transports.udp, payload });
};
const back = { destination: a.mac, source: d.mac };

test('a packet of exactly the path MTU is sent', () => {
  for (const frame of [wrap(protocols.ipv4, ipv4Of(fits)), wrap(protocols.ipv6, ipv6Of(fits))]) {
    fate(programs.fromContainer(frame), 'redirect', { ENCAPSULATED: 1 });
  }
});

test("the endpoint's MTU holds where the path allows more", () => {
  fate(programs.fromContainer(wrap(protocols.ipv4, ipv4Of(1450, dontFragment, c), c)), 'redirect', { ENCAPSULATED: 1 });
  fate(programs.fromContainer(wrap(protocols.ipv4, ipv4Of(1451, dontFragment, c), c)), 'redirect', {
    TOO_BIG_ANSWERED: 1,
  });
});

test('one byte more is answered with fragmentation needed, every byte in place', () => {
  const packet = ipv4Of(fits + 1);

  const outcome = programs.fromContainer(wrap(protocols.ipv4, packet));

  fate(outcome, 'redirect', { TOO_BIG_ANSWERED: 1 });
  const message = icmp(3, 4, bytes(u16(0), u16(fits), packet.subarray(0, quoteLength)));
  const answer = ipv4({
    source: d.ipv4,
    destination: a.ipv4,
    transport: transports.icmp,
    payload: message,
    fragment: 0,
  });
  assert.equal(outcome.data, ethernet({ ...back, protocol: protocols.ipv4, payload: answer }));
});

test('one byte more of IPv6 is answered with packet too big, every byte in place', () => {
  const packet = ipv6Of(fits + 1);

  const outcome = programs.fromContainer(wrap(protocols.ipv6, packet));

  fate(outcome, 'redirect', { TOO_BIG_ANSWERED: 1 });
  const rest = bytes(u32(fits), packet.subarray(0, quoteLength));
  const answer = icmpv6({ source: d.ipv6, destination: a.ipv6 }, 2, 0, rest);
  assert.equal(outcome.data, ethernet({ ...back, protocol: protocols.ipv6, payload: answer }));
});

test('what may be fragmented is left to the kernel device, unchanged', () => {
  for (const frame of [wrap(protocols.ipv4, ipv4Of(fits + 1, 0)), wrap(0x88b5, new Uint8Array(fits + 1))]) {
    const outcome = programs.fromContainer(frame);

    fate(outcome, 'redirect', { FALLBACK: 1 });
    assert.equal(outcome.data, frame);
  }
});

test('IPv6 below its minimum MTU is left to outer fragmentation, above it the minimum is answered', () => {
  const record = vtep.decode(bpf.mapLookup(programs.map('vteps'), hostOrder(2)) ?? new Uint8Array(0));
  bpf.mapUpdate(programs.map('vteps'), hostOrder(2), vtep.encode({ ...record, mtu: 1300 }));

  fate(programs.fromContainer(wrap(protocols.ipv6, ipv6Of(1280))), 'redirect', { FALLBACK: 1 });
  const { data } = programs.fromContainer(wrap(protocols.ipv6, ipv6Of(1281)));
  const mtuOffset = 14 + 40 + 4;
  assert.equal(data.subarray(mtuOffset, mtuOffset + 4), u32(1280));
});

/** IPv6 with extension headers, given as protocol numbers, of 8 bytes each unless told. */
function withExtensions(extensions: readonly number[], transport: number, payload: Uint8Array, length = 8): Uint8Array {
  const chain = extensions.map((_, index) => {
    const header = new Uint8Array(length);
    header.set([extensions[index + 1] ?? transport, length / 8 - 1, 1, length - 4]);
    return header;
  });
  const whole = bytes(...chain, payload);
  return ipv6({ source: a.ipv6, destination: d.ipv6, transport: extensions[0] ?? transport, payload: whole });
}
const extensions = { hopByHop: 0, routing: 43, fragment: 44, destination: 60 } as const;
const segment = udp(7000, 7001, new Uint8Array(fits));

test('an ICMP error is never answered with another: it goes in fragments', () => {
  const unreachable = icmp(3, 1, new Uint8Array(fits));
  const packet = ipv4({ source: a.ipv4, destination: d.ipv4, transport: transports.icmp, payload: unreachable });
  const unreachable6 = icmpv6({ source: a.ipv6, destination: d.ipv6 }, 1, 0, new Uint8Array(fits));
  const hidden = withExtensions([extensions.destination], transports.icmpv6, unreachable6.subarray(40));

  for (const frame of [
    wrap(protocols.ipv4, packet),
    wrap(protocols.ipv6, unreachable6),
    wrap(protocols.ipv6, hidden),
  ]) {
    const outcome = programs.fromContainer(frame);
    fate(outcome, 'redirect', { FALLBACK: 1 });
    assert.equal(outcome.data, frame);
  }
});

test('behind extension headers the transport is found, and answered while its ports fit into the quote', () => {
  const chain = [extensions.hopByHop, extensions.routing, extensions.destination];
  const near = withExtensions(chain, transports.udp, segment);
  const outcome = programs.fromContainer(wrap(protocols.ipv6, near));
  fate(outcome, 'redirect', { TOO_BIG_ANSWERED: 1 });
  assert.equal(outcome.data.subarray(14 + 48), near.subarray(0, quoteLength));

  const far = withExtensions([extensions.destination], transports.udp, segment, 64);
  fate(programs.fromContainer(wrap(protocols.ipv6, far)), 'redirect', { FALLBACK: 1 });
  const endless = withExtensions(Array(9).fill(extensions.destination), transports.udp, segment);
  fate(programs.fromContainer(wrap(protocols.ipv6, endless)), 'drop', { DROP_MALFORMED: 1 });
});

test('the first fragment is answered, a later one goes in fragments of its own', () => {
  for (const [offset, counts] of [
    [0, { TOO_BIG_ANSWERED: 1 }],
    [185, { FALLBACK: 1 }],
  ] as const) {
    const packet = ipv4Of(fits + 1, dontFragment | offset);
    fate(programs.fromContainer(wrap(protocols.ipv4, packet)), 'redirect', counts);
    const packet6 = withExtensions([extensions.fragment], transports.udp, segment);
    packet6.set([0, (offset * 8) >> 8, ((offset * 8) & 0xf8) | 1], 41);
    fate(programs.fromContainer(wrap(protocols.ipv6, packet6)), 'redirect', counts);
  }
});

test('what has no single sender or receiver is not answered', () => {
  const payload = segment;
  const transport = transports.udp;
  const packets = [
    ipv4({ source: '0.0.0.0', destination: d.ipv4, transport, payload }),
    ipv4({ source: a.ipv4, destination: '255.255.255.255', transport, payload }),
    ipv4({ source: a.ipv4, destination: '239.1.1.1', transport, payload }),
  ];
  const packets6 = [
    ipv6({ source: '::', destination: d.ipv6, transport, payload }),
    ipv6({ source: a.ipv6, destination: 'ff05::1', transport, payload }),
  ];
  for (const packet of packets) fate(programs.fromContainer(wrap(protocols.ipv4, packet)), 'redirect', { FALLBACK: 1 });
  for (const packet of packets6)
    fate(programs.fromContainer(wrap(protocols.ipv6, packet)), 'redirect', { FALLBACK: 1 });
});

test('IPv4 options are part of the header: the ICMP type behind them is read', () => {
  const options = new Uint8Array(40).fill(1);
  const message = (type: number) => {
    const packet = ipv4({
      source: a.ipv4,
      destination: d.ipv4,
      transport: transports.icmp,
      payload: bytes(options, icmp(type, 0, new Uint8Array(fits))),
    });
    packet[0] = 0x4f;
    return wrap(protocols.ipv4, packet);
  };

  fate(programs.fromContainer(message(8)), 'redirect', { TOO_BIG_ANSWERED: 1 });
  fate(programs.fromContainer(message(3)), 'redirect', { FALLBACK: 1 });
});

test('a sender that does not listen is told no more', () => {
  const key = bucketKey.encode({ kind: enums.bucket_kind.BUCKET_TOO_BIG, id: programs.indexes.a });
  // Full for a minute: its rate is more than a slow machine sends.
  const full = bucket.encode({ emptyAt: process.hrtime.bigint() + 60_000_000_000n });
  bpf.mapUpdate(programs.map('buckets'), key, full);

  dropped(programs.fromContainer(wrap(protocols.ipv4, ipv4Of(fits + 1))), 'DROP_TOO_BIG');
  dropped(programs.fromContainer(wrap(protocols.ipv6, ipv6Of(fits + 1))), 'DROP_TOO_BIG');
});

test('an echo request is answered', () => {
  const echo = icmp(8, 0, new Uint8Array(fits));
  const packet = ipv4({ source: a.ipv4, destination: d.ipv4, transport: transports.icmp, payload: echo });

  fate(programs.fromContainer(wrap(protocols.ipv4, packet)), 'redirect', { TOO_BIG_ANSWERED: 1 });
});

/** Type, code and checksum of an answer hold whatever was quoted. */
function requireSoundAnswer(answer: Uint8Array, isIpv6: boolean): void {
  const packet = answer.subarray(14);
  const message = packet.subarray(isIpv6 ? 40 : 20);
  const length = bytes(u32(message.length), u32(transports.icmpv6));
  const pseudo = isIpv6 ? [packet.subarray(8, 40), length] : [];
  assert.is(checksum(...pseudo, message), 0, 'ICMP checksum');
  if (!isIpv6) assert.is(checksum(packet.subarray(0, 20)), 0, 'IPv4 header checksum');
  assert.equal([...message.subarray(0, 2)], isIpv6 ? [2, 0] : [3, 4]);
  assert.is(answer.length, 14 + (isIpv6 ? 48 : 28) + quoteLength);
}

test('oversized packets with broken headers are answered soundly, sent on unchanged or dropped', () => {
  const chance = chanceFrom(Number(process.env['WEFT_TEST_SEED'] ?? 7));
  const chain = [extensions.hopByHop, extensions.fragment, extensions.destination];
  const patterns = [
    wrap(protocols.ipv4, ipv4Of(fits + 1)),
    wrap(protocols.ipv4, ipv4Of(fits + 1, 0)),
    wrap(protocols.ipv6, ipv6Of(fits + 1)),
    wrap(protocols.ipv6, withExtensions(chain, transports.udp, segment)),
  ];
  const seen = new Set<string>();
  for (let round = 0; round < 1500; round += 1) {
    const frame = (patterns[chance(patterns.length)] ?? new Uint8Array(0)).slice();
    // Behind the addresses, which are held to the endpoint's own.
    for (let change = chance(4); change > 0; change -= 1) frame[14 + chance(90)] = chance(256);
    if (round % 500 === 0) programs.reset();

    const { data, counts, verdict } = programs.fromContainer(frame);

    const context = Buffer.from(frame.subarray(0, 118)).toString('hex');
    const [fateOfIt = ''] = Object.keys(counts);
    assert.is(Object.keys(counts).length, 1, context);
    seen.add(fateOfIt);
    if (fateOfIt === 'TOO_BIG_ANSWERED') requireSoundAnswer(data, frame[12] === 0x86);
    else if (verdict === verdicts.redirect) assert.equal(data, frame, context);
  }
  for (const name of ['TOO_BIG_ANSWERED', 'FALLBACK', 'DROP_SOURCE_ADDRESS']) assert.ok(seen.has(name), name);
});

test.run();
