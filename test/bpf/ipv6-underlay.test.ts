/** Tunnels over IPv6: the outer headers byte by byte, what is taken off, and what is left to the kernel or refused. */

import * as assert from 'uvu/assert';
import { peer, peerKey, vtep } from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import {
  bytes,
  ethernet,
  ipv4,
  ipv6,
  mac,
  type Outer,
  type Packet,
  patched,
  protocols,
  transports,
  u16,
  udp,
  vxlan,
} from '../kit/frame.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import {
  a,
  c,
  dropped,
  e,
  fate,
  loadPrograms,
  mapped,
  nodes,
  type Station,
  stranger,
  tunnelPort,
  u32,
  underlayMac,
  vni,
} from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const programs = loadPrograms();
const test = suite('IPv6 underlay');
test.before.each(() => programs.reset());

type Family = 'ipv4' | 'ipv6';

const payload = udp(7000, 7001, new Uint8Array(64).fill(0x5a));
const inner = (family: Family, from: Station, to: Station, changed: Partial<Packet> = {}) => {
  const addresses = { source: from[family], destination: to[family] };
  const build = family === 'ipv4' ? ipv4 : ipv6;
  const packet = build({ ...addresses, transport: transports.udp, payload, ...changed });
  return ethernet({ destination: to.mac, source: from.mac, protocol: protocols[family], payload: packet });
};
const both: readonly Family[] = ['ipv4', 'ipv6'];
const arriving: Outer = {
  destinationMac: underlayMac,
  sourceMac: '02:11:00:00:00:02',
  source: nodes.e,
  destination: nodes.own6,
  sourcePort: 50000,
  port: tunnelPort,
  vni,
};
const arrive = (frame: Uint8Array, changed: Partial<Outer> = {}) =>
  programs.fromUnderlay(vxlan({ ...arriving, ...changed }, frame));

/** Offsets in the outer packet. */
const at = { version: 14, length: 18, next: 20, source: 22, port: 54, udpLength: 58, check: 60, flags: 62 } as const;

const labelOf = (sent: Uint8Array) => (((sent[15] ?? 0) & 0xf) << 16) | ((sent[16] ?? 0) << 8) | (sent[17] ?? 0);

/** What must lie on the wire around `frame`; source port and flow label are taken from the packet. */
function expected(frame: Uint8Array, sent: Uint8Array, tos: number): Uint8Array {
  const sourcePort = ((sent[at.port] ?? 0) << 8) | (sent[at.port + 1] ?? 0);
  const macs = { destinationMac: e.mac, sourceMac: a.mac };
  const own = {
    source: nodes.own6,
    destination: nodes.e,
    port: tunnelPort,
    vni,
    tos,
    label: labelOf(sent),
    sourcePort,
  };
  return vxlan({ ...macs, ...own }, frame);
}

test('a packet is sent in VXLAN over IPv6 with every byte of the outer headers in place, ECN included', () => {
  for (const family of both) {
    for (const [mark, outer] of [
      [0, 0],
      [1, 1],
      [2, 2],
      [3, 2],
      [0xb9, 1],
    ] as const) {
      const frame = inner(family, a, e, { tos: mark });

      const outcome = programs.fromContainer(frame);

      fate(outcome, 'redirect', { ENCAPSULATED: 1 });
      assert.equal(outcome.data, expected(frame, outcome.data, outer), `${family}, inner ${mark}`);
    }
  }
});

test('flow label and source port stay for one flow and differ between flows', () => {
  const sent = (sourcePort: number) =>
    programs.fromContainer(inner('ipv4', a, e, { payload: udp(sourcePort, 7001, new Uint8Array(8)) })).data;
  const flows = Array.from({ length: 64 }, (_, flow) => sent(1000 + flow));
  const ports = flows.map((data) => ((data[at.port] ?? 0) << 8) | (data[at.port + 1] ?? 0));

  assert.equal(sent(1000), flows[0]);
  assert.ok(ports.every((port) => port >= 49152));
  assert.ok(flows.every((data) => labelOf(data) !== 0));
  assert.ok(new Set(flows.map(labelOf)).size > 60);
  assert.ok(new Set(ports).size > 56);
});

test('what the path to an IPv6 VTEP cannot carry is answered with the size that fits in 70 bytes less', () => {
  const record = vtep.decode(bpf.mapLookup(programs.map('vteps'), u32(3)) ?? new Uint8Array(0));
  bpf.mapUpdate(programs.map('vteps'), u32(3), vtep.encode({ ...record, mtu: 1400 }));
  const sized = (bytesInside: number) =>
    inner('ipv4', a, e, { payload: udp(7000, 7001, new Uint8Array(bytesInside - 28)) });

  fate(programs.fromContainer(sized(1330)), 'redirect', { ENCAPSULATED: 1 });
  const outcome = programs.fromContainer(sized(1331));

  fate(outcome, 'redirect', { TOO_BIG_ANSWERED: 1 });
  assert.equal([...outcome.data.subarray(40, 42)], [...u16(1330)]);
});

test('nothing is fragmented over IPv6: without DF the sender is told too, and what cannot shrink is dropped', () => {
  const record = vtep.decode(bpf.mapLookup(programs.map('vteps'), u32(3)) ?? new Uint8Array(0));
  bpf.mapUpdate(programs.map('vteps'), u32(3), vtep.encode({ ...record, mtu: 1300 }));
  const large = udp(7000, 7001, new Uint8Array(1220));
  const other = ethernet({ destination: e.mac, source: a.mac, protocol: 0x88b5, payload: new Uint8Array(1240) });

  fate(programs.fromContainer(inner('ipv4', a, e, { payload: large, fragment: 0 })), 'redirect', {
    TOO_BIG_ANSWERED: 1,
  });
  dropped(programs.fromContainer(inner('ipv6', a, e, { payload: large })), 'DROP_TOO_BIG');
  dropped(programs.fromContainer(other), 'DROP_TOO_BIG');
});

test('a frame that is not IP goes through the kernel device, unchanged', () => {
  const frame = ethernet({ destination: e.mac, source: a.mac, protocol: 0x88b5, payload: new Uint8Array(50).fill(7) });

  const outcome = programs.fromContainer(frame);

  fate(outcome, 'redirect', { FALLBACK: 1 });
  assert.equal(outcome.data, frame);
});

test('an inner packet is delivered as it was sent, the smallest as well, and whatever the flow label', () => {
  for (const family of both) {
    for (const size of [0, 64, 1300]) {
      const frame = inner(family, e, a, { payload: udp(1, 2, new Uint8Array(size)) });

      const outcome = arrive(frame, { label: size });

      fate(outcome, 'redirect', { DECAPSULATED: 1 });
      assert.equal(outcome.data, frame);
    }
  }
});

test('an inner frame that is not IP is delivered as it was sent', () => {
  const frame = ethernet({ destination: a.mac, source: e.mac, protocol: protocols.arp, payload: new Uint8Array(28) });

  const outcome = arrive(frame);

  fate(outcome, 'redirect', { DECAPSULATED: 1 });
  assert.equal(outcome.data, frame);
});

test('congestion marks are combined as RFC 6040 says', () => {
  for (const family of both) {
    assert.equal(arrive(inner(family, e, a, { tos: 2 }), { tos: 3 }).data, inner(family, e, a, { tos: 3 }));
    assert.equal(arrive(inner(family, e, a, { tos: 2 }), { tos: 0x21 }).data, inner(family, e, a, { tos: 1 }));
    assert.equal(arrive(inner(family, e, a, { tos: 0xb8 }), { tos: 2 }).data, inner(family, e, a, { tos: 0xb8 }));
    dropped(arrive(inner(family, e, a, { tos: 0 }), { tos: 3 }), 'DROP_ECN');
  }
});

test('other traffic passes untouched and uncounted: fragments and extension headers too, which are the kernel’s', () => {
  const packet = vxlan(arriving, inner('ipv4', e, a));
  for (const frame of [
    vxlan({ ...arriving, port: 4789 }, inner('ipv4', e, a)),
    vxlan({ ...arriving, destination: '2001:db8::9' }, inner('ipv4', e, a)),
    vxlan({ ...arriving, destinationMac: '02:11:00:00:00:99' }, inner('ipv4', e, a)),
    ...[transports.hopByHop, 43, 44, 51, 60, transports.tcp].map((next) => patched(packet, at.next, next)),
    patched(packet, at.version, 0x40),
    packet.slice(0, 83),
    packet.slice(0, 60),
    inner('ipv6', e, a),
  ]) {
    const outcome = programs.fromUnderlay(frame);

    fate(outcome, 'next', {});
    assert.equal(outcome.data, frame);
  }
});

test('a tunnel packet that is not plain is left to the kernel, untouched: with a checksum, which it verifies', () => {
  const packet = vxlan(arriving, inner('ipv4', e, a));
  const mappedSource = mapped(nodes.c);
  for (const frame of [
    patched(packet, at.check, 0, 1),
    patched(packet, at.check, 0xff, 0xff),
    bytes(packet, new Uint8Array(6)),
    patched(packet, at.length, 0, 60),
    patched(packet, at.udpLength, 0, 60),
    patched(packet, at.flags, 0x88),
    patched(packet, at.flags, 0x0c),
    packet.slice(0, packet.length - 1),
    patched(packet, at.source, ...mappedSource),
  ]) {
    const outcome = programs.fromUnderlay(frame);

    fate(outcome, 'next', { DECLINED: 1 });
    assert.equal(outcome.data, frame);
  }
});

test('a packet without the I flag is dropped', () => {
  dropped(programs.fromUnderlay(patched(vxlan(arriving, inner('ipv4', e, a)), at.flags, 0)), 'DROP_NO_I_FLAG');
});

test('a VTEP that is not known in the network, or a MAC that does not live behind it, is dropped', () => {
  const unknown = '2001:db8::77';
  const outcome = arrive(inner('ipv4', stranger, a), { source: unknown });

  dropped(outcome, 'DROP_UNKNOWN_VTEP');
  assert.equal(outcome.events[0]?.vtep, mapped(unknown));
  assert.equal(outcome.events[0]?.mac, mac(stranger.mac));
  dropped(arrive(inner('ipv4', e, a), { vni: vni + 1 }), 'DROP_UNKNOWN_VTEP');
  dropped(arrive(inner('ipv4', c, a)), 'DROP_SOURCE_ELSEWHERE');
});

test('a new source behind an IPv6 VTEP is let in, and the answer finds its way', () => {
  fate(arrive(inner('ipv4', stranger, a)), 'redirect', { LEARNED: 1, DECAPSULATED: 1 });

  fate(programs.fromContainer(inner('ipv4', a, stranger)), 'redirect', { ENCAPSULATED: 1 });
});

test('a node that is sent to by IPv4 is let in from its IPv6 address as well', () => {
  const other = '2001:db8::c';
  dropped(arrive(inner('ipv4', c, a), { source: other }), 'DROP_UNKNOWN_VTEP');
  bpf.mapUpdate(programs.map('peers'), peerKey.encode({ vni, address: mapped(other) }), peer.encode({ vtep: 1 }));

  fate(arrive(inner('ipv4', c, a), { source: other }), 'redirect', { DECAPSULATED: 1 });
  fate(arrive(inner('ipv6', c, a), { source: nodes.c, destination: nodes.own }), 'redirect', { DECAPSULATED: 1 });
  fate(programs.fromContainer(inner('ipv4', a, c)), 'redirect', { ENCAPSULATED: 1 });
});

test('while a node changes from one of its addresses to the other, it is let in from both', () => {
  const other = '2001:db8::c';
  const record = vtep.decode(bpf.mapLookup(programs.map('vteps'), u32(3)) ?? new Uint8Array(0));
  bpf.mapUpdate(programs.map('vteps'), u32(5), vtep.encode({ ...record, address: mapped(other) }));
  for (const address of [nodes.c, other])
    bpf.mapUpdate(programs.map('peers'), peerKey.encode({ vni, address: mapped(address) }), peer.encode({ vtep: 5 }));

  // Its MACs still lie behind the VTEP with its IPv4 address.
  fate(arrive(inner('ipv4', c, a), { source: other }), 'redirect', { DECAPSULATED: 1 });
  fate(arrive(inner('ipv4', c, a), { source: nodes.c, destination: nodes.own }), 'redirect', { DECAPSULATED: 1 });
  dropped(arrive(inner('ipv4', c, a)), 'DROP_SOURCE_ELSEWHERE');
});

test('a group frame over IPv6 is copied to local ports only', () => {
  const frame = bytes(mac('ff:ff:ff:ff:ff:ff'), inner('ipv4', e, a).subarray(6));

  fate(arrive(frame), 'drop', { FLOOD_RECEIVED: 1 });
});

test.run();
