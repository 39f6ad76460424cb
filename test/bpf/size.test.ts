/** Packets too large for the path to their VTEP (native/bpf/lib/too_big.h): answered by ICMP, or left to outer fragmentation. */

import * as assert from 'uvu/assert';
import { vtep } from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import { bytes, ethernet, icmp, icmpv6, ipv4, ipv6, protocols, transports, u16, u32, udp } from '../kit/frame.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { a, c, d, dropped, fate, u32 as hostOrder, loadPrograms } from '../kit/programs.ts';
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

test('an ICMP error is never answered with another', () => {
  const unreachable = icmp(3, 1, new Uint8Array(fits));
  const packet = ipv4({ source: a.ipv4, destination: d.ipv4, transport: transports.icmp, payload: unreachable });
  const unreachable6 = icmpv6({ source: a.ipv6, destination: d.ipv6 }, 1, 0, new Uint8Array(fits));

  dropped(programs.fromContainer(wrap(protocols.ipv4, packet)), 'DROP_TOO_BIG');
  dropped(programs.fromContainer(wrap(protocols.ipv6, unreachable6)), 'DROP_TOO_BIG');
});

test('an echo request is answered', () => {
  const echo = icmp(8, 0, new Uint8Array(fits));
  const packet = ipv4({ source: a.ipv4, destination: d.ipv4, transport: transports.icmp, payload: echo });

  fate(programs.fromContainer(wrap(protocols.ipv4, packet)), 'redirect', { TOO_BIG_ANSWERED: 1 });
});

test.run();
