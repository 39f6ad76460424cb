/** What an endpoint may send: everything that is not its own MAC and addresses, or is no proper frame, is dropped and named. */

import * as assert from 'uvu/assert';
import { enums, portKey } from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import { bytes, ethernet, icmpv6, ipv4, ipv6, mac, patched, protocols, transports, u16, udp } from '../kit/frame.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { a, b, c, d, dropped, fate, loadPrograms, portOf, stranger, u32, vni } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const rate = 20;
const programs = loadPrograms({ event_rate: rate });
const test = suite('source');
test.before.each(() => programs.reset());

const payload = udp(7000, 7001, new Uint8Array(64));
const ipv4From = (source: string, destination = c.ipv4) =>
  ipv4({ source, destination, transport: transports.udp, payload });
const ipv6From = (source: string) => ipv6({ source, destination: c.ipv6, transport: transports.udp, payload });
const frameOf = (protocol: number, packet: Uint8Array, source = a.mac, destination = c.mac) =>
  ethernet({ destination, source, protocol, payload: packet });
const good = frameOf(protocols.ipv4, ipv4From(a.ipv4));

test('a device without an endpoint carries nothing', () => {
  dropped(programs.fromContainer(good, programs.indexes.underlay), 'DROP_NO_ENDPOINT');
});

test('a tag inside the frame is dropped: 802.1Q and 802.1ad', () => {
  for (const tag of [protocols.vlan, protocols.serviceVlan]) {
    const frame = frameOf(tag, bytes(u16(100), u16(protocols.ipv4), ipv4From(a.ipv4)));

    const outcome = programs.fromContainer(frame);

    // The kernel of a test run leaves the tag in the frame, as it does with the inner one of two.
    dropped(outcome, 'DROP_VLAN_TAGGED');
  }
});

test("another's source MAC is dropped, also when the frame is for a local container", () => {
  for (const destination of [c.mac, b.mac, 'ff:ff:ff:ff:ff:ff']) {
    dropped(programs.fromContainer(frameOf(protocols.ipv4, ipv4From(a.ipv4), b.mac, destination)), 'DROP_SOURCE_MAC');
  }
});

test("another's IPv4 source is dropped", () => {
  dropped(programs.fromContainer(frameOf(protocols.ipv4, ipv4From(b.ipv4))), 'DROP_SOURCE_ADDRESS');
});

test("another's IPv6 source is dropped", () => {
  for (const source of [b.ipv6, 'fd00::1:1', '2001:db8::1', 'fec0::1']) {
    dropped(programs.fromContainer(frameOf(protocols.ipv6, ipv6From(source))), 'DROP_SOURCE_ADDRESS');
  }
});

test('sources that belong to nobody yet are let through', () => {
  for (const source of ['::', 'fe80::42', a.ipv6]) {
    fate(programs.fromContainer(frameOf(protocols.ipv6, ipv6From(source))), 'redirect', { ENCAPSULATED: 1 });
  }
  fate(programs.fromContainer(frameOf(protocols.ipv4, ipv4From('0.0.0.0'))), 'redirect', { ENCAPSULATED: 1 });
});

test('an endpoint without IPv6 may not use an address of the network', () => {
  const key = portKey.encode({ ifindex: programs.indexes.a });
  bpf.mapUpdate(programs.map('ports'), key, portOf({ ...a, ipv6: '::' }, 0));

  dropped(programs.fromContainer(frameOf(protocols.ipv6, ipv6From(a.ipv6))), 'DROP_SOURCE_ADDRESS');
});

test('a router may send from any address but only from its MAC', () => {
  const key = portKey.encode({ ifindex: programs.indexes.a });
  bpf.mapUpdate(programs.map('ports'), key, portOf(a, enums.port_flags.PORT_ANY_SOURCE));

  for (const frame of [
    frameOf(protocols.ipv4, ipv4From('198.51.100.7')),
    frameOf(protocols.ipv6, ipv6From('2001:db8::7')),
  ]) {
    fate(programs.fromContainer(frame), 'redirect', { ENCAPSULATED: 1 });
    dropped(programs.fromContainer(bytes(frame.subarray(0, 6), mac(b.mac), frame.subarray(12))), 'DROP_SOURCE_MAC');
  }
});

test('a header that contradicts itself is dropped', () => {
  const version = 14;
  for (const frame of [
    patched(good, version, 0x65),
    patched(good, version, 0x44),
    patched(frameOf(protocols.ipv6, ipv6From(a.ipv6)), version, 0x45),
    frameOf(protocols.arp, new Uint8Array(27)),
  ]) {
    dropped(programs.fromContainer(frame), 'DROP_MALFORMED');
  }
});

test('router advertisements and redirects come from routers only', () => {
  for (const type of [134, 137]) {
    const packet = icmpv6({ source: 'fe80::1', destination: 'fe80::2', ttl: 255 }, type, 0, new Uint8Array(36));
    const frame = frameOf(protocols.ipv6, packet);
    bpf.mapUpdate(programs.map('ports'), portKey.encode({ ifindex: programs.indexes.a }), portOf(a, 0));

    dropped(programs.fromContainer(frame), 'DROP_ROUTER_MESSAGE');

    bpf.mapUpdate(programs.map('ports'), portKey.encode({ ifindex: programs.indexes.a }), portOf(a, 1));
    fate(programs.fromContainer(frame), 'redirect', { ENCAPSULATED: 1 });
  }
});

test('a destination in no table is dropped, and user space is asked for it', () => {
  const outcome = programs.fromContainer(frameOf(protocols.ipv4, ipv4From(a.ipv4), a.mac, stranger.mac));

  dropped(outcome, 'DROP_UNKNOWN_DESTINATION');
  const [miss] = outcome.events;
  assert.is(miss?.kind, enums.event_kind.EVENT_MISS_MAC);
  assert.is(miss?.vni, vni);
  assert.is(miss?.ifindex, programs.indexes.a);
  assert.equal(miss?.mac, mac(stranger.mac));
});

test('a VTEP without a route is a counted drop', () => {
  bpf.mapUpdate(programs.map('vteps'), u32(2), new Uint8Array(64));

  const frame = frameOf(protocols.ipv4, ipv4From(a.ipv4, d.ipv4), a.mac, d.mac);

  dropped(programs.fromContainer(frame), 'DROP_UNKNOWN_VTEP');
});

test('the sample of a drop names network, device and sender', () => {
  const { events } = programs.fromContainer(frameOf(protocols.ipv4, ipv4From(b.ipv4)));

  const [sample] = events;
  assert.is(sample?.vni, vni);
  assert.is(sample?.ifindex, programs.indexes.a);
  assert.equal(sample?.mac, mac(a.mac));
  assert.equal(sample?.vtep, new Uint8Array(16));
});

test('samples of drops are limited, counts are not', () => {
  const frame = frameOf(protocols.ipv4, ipv4From(b.ipv4));
  const outcomes = Array.from({ length: 300 }, () => programs.fromContainer(frame));

  const samples = outcomes.reduce((sum, { events }) => sum + events.length, 0);
  assert.ok(samples >= rate && samples < 300, `${samples} samples of 300 drops`);
  for (const { counts } of outcomes) assert.equal(counts, { DROP_SOURCE_ADDRESS: 1 });
});

test.run();
