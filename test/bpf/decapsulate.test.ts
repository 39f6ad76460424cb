/** What arrives from another node: what is taken off, what is left to the kernel untouched, and what is refused by name. */

import * as assert from 'uvu/assert';
import { enums, fdbEntry, fdbKey, peerKey } from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import {
  bytes,
  checksum,
  ethernet,
  ipv4,
  ipv6,
  mac,
  type Outer,
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
  b,
  c,
  d,
  dropped,
  fate,
  loadPrograms,
  mapped,
  nodes,
  stranger,
  tunnelPort,
  underlayMac,
  vni,
} from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const programs = loadPrograms();
const test = suite('decapsulate');
test.before.each(() => programs.reset());

const outer: Outer = {
  destinationMac: underlayMac,
  sourceMac: '02:11:00:00:00:02',
  source: nodes.c,
  destination: nodes.own,
  sourcePort: 50000,
  port: tunnelPort,
  vni,
};
const payload = udp(7000, 7001, new Uint8Array(40).fill(0x5a));
const toA = { destination: a.mac, source: c.mac };
const inner4 = (tos = 0) =>
  ethernet({
    ...toA,
    protocol: protocols.ipv4,
    payload: ipv4({ source: c.ipv4, destination: a.ipv4, transport: transports.udp, payload, tos }),
  });
const inner6 = (tos = 0) =>
  ethernet({
    ...toA,
    protocol: protocols.ipv6,
    payload: ipv6({ source: c.ipv6, destination: a.ipv6, transport: transports.udp, payload, tos }),
  });
const arrive = (frame: Uint8Array, changed: Partial<Outer> = {}) =>
  programs.fromUnderlay(vxlan({ ...outer, ...changed }, frame));

/** Offsets in the outer packet. */
const at = { etherType: 12, version: 14, length: 16, fragment: 20, checksum: 24, udpLength: 38, flags: 42 } as const;

/** With bytes of the outer IP header replaced and its checksum made right again. */
function withHeader(offset: number, ...values: readonly number[]): Uint8Array {
  const packet = patched(vxlan(outer, inner4()), offset, ...values);
  packet.set([0, 0], at.checksum);
  packet.set(u16(checksum(packet.subarray(14, 34))), at.checksum);
  return packet;
}

test('an inner packet is delivered as it was sent', () => {
  for (const frame of [inner4(), inner6()]) {
    const outcome = arrive(frame);

    fate(outcome, 'redirect', { DECAPSULATED: 1 });
    assert.equal(outcome.data, frame);
  }
});

test('an inner frame that is not IP is delivered as it was sent', () => {
  const frame = ethernet({ ...toA, protocol: protocols.arp, payload: new Uint8Array(28).fill(3) });

  const outcome = arrive(frame);

  fate(outcome, 'redirect', { DECAPSULATED: 1 });
  assert.equal(outcome.data, frame);
});

test('any source port and any reserved bits but those of GBP and GPE are accepted', () => {
  fate(arrive(inner4(), { sourcePort: 53 }), 'redirect', { DECAPSULATED: 1 });
  fate(programs.fromUnderlay(patched(vxlan(outer, inner4()), at.flags + 1, 0xff, 0xff, 0xff)), 'redirect', {
    DECAPSULATED: 1,
  });
  fate(programs.fromUnderlay(patched(vxlan(outer, inner4()), at.flags + 7, 0xff)), 'redirect', { DECAPSULATED: 1 });
});

test('other traffic passes untouched and uncounted', () => {
  const packet = vxlan(outer, inner4());
  for (const frame of [
    vxlan({ ...outer, port: 4789 }, inner4()),
    vxlan({ ...outer, destination: '192.0.2.9' }, inner4()),
    vxlan({ ...outer, destinationMac: '02:11:00:00:00:99' }, inner4()),
    withHeader(at.version + 9, transports.tcp),
    withHeader(at.fragment, 0x20, 0),
    withHeader(at.fragment, 0, 5),
    withHeader(at.version, 0x46),
    packet.slice(0, 63),
    packet.slice(0, 40),
    inner6(),
    ethernet({
      destination: underlayMac,
      source: outer.sourceMac,
      protocol: protocols.arp,
      payload: new Uint8Array(46),
    }),
  ]) {
    const outcome = programs.fromUnderlay(frame);

    fate(outcome, 'next', {});
    assert.equal(outcome.data, frame);
  }
});

test('a tunnel packet that is not plain is left to the kernel, untouched', () => {
  const packet = vxlan(outer, inner4());
  for (const frame of [
    bytes(packet, new Uint8Array(6)),
    patched(packet, at.checksum, 0, 0),
    patched(packet, at.udpLength, 0, 40),
    patched(packet, at.flags, 0x88),
    patched(packet, at.flags, 0x0c),
    patched(packet, at.flags, 0x80),
    packet.slice(0, packet.length - 1),
  ]) {
    const outcome = programs.fromUnderlay(frame);

    fate(outcome, 'next', { DECLINED: 1 });
    assert.equal(outcome.data, frame);
  }
});

test('an inner frame too small to be an IP packet is left to the kernel, untouched', () => {
  const packet = vxlan(outer, ethernet({ ...toA, protocol: 0x88b5, payload: new Uint8Array(4) }));

  const outcome = programs.fromUnderlay(packet);

  fate(outcome, 'next', { DECLINED: 1 });
  assert.equal(outcome.data, packet);
});

test('a packet without the I flag is dropped', () => {
  dropped(programs.fromUnderlay(patched(vxlan(outer, inner4()), at.flags, 0)), 'DROP_NO_I_FLAG');
});

test('a VTEP not known in the network is dropped, whatever source MAC it uses', () => {
  dropped(arrive(inner4(), { source: nodes.unknown }), 'DROP_UNKNOWN_VTEP');
  dropped(arrive(inner4(), { vni: vni + 1 }), 'DROP_UNKNOWN_VTEP');
  const unknownSource = ethernet({
    ...toA,
    source: stranger.mac,
    protocol: protocols.ipv4,
    payload: ipv4({ source: stranger.ipv4, destination: a.ipv4, transport: transports.udp, payload }),
  });
  const outcome = arrive(unknownSource, { source: nodes.unknown });
  dropped(outcome, 'DROP_UNKNOWN_VTEP');
  assert.equal(outcome.events[0]?.vtep, mapped(nodes.unknown));
  assert.equal(outcome.events[0]?.mac, mac(stranger.mac));
});

test('a source MAC that lives elsewhere is dropped: behind another VTEP, or here', () => {
  dropped(arrive(inner4(), { source: nodes.d }), 'DROP_SOURCE_ELSEWHERE');
  dropped(
    arrive(ethernet({ ...toA, source: b.mac, protocol: protocols.ipv4, payload: inner4().subarray(14) })),
    'DROP_SOURCE_ELSEWHERE',
  );
});

test('an id that now belongs to another VTEP does not vouch for the old one', () => {
  const key = peerKey.encode({ vni, address: mapped(nodes.c) });
  bpf.mapDelete(programs.map('peers'), key);
  fate(arrive(inner4()), 'redirect', { DECAPSULATED: 1 });

  bpf.mapUpdate(programs.map('vteps'), Uint8Array.of(1, 0, 0, 0), new Uint8Array(64));

  dropped(arrive(inner4()), 'DROP_UNKNOWN_VTEP');
});

test('a provisional source needs its VTEP to be known in the network still', () => {
  const key = fdbKey.encode({ vni, mac: mac(c.mac) });
  bpf.mapUpdate(
    programs.map('fdb'),
    key,
    fdbEntry.encode({ ifindex: 0, vtep: 1, flags: enums.fdb_flags.FDB_PROVISIONAL }),
  );
  fate(arrive(inner4()), 'redirect', { DECAPSULATED: 1 });

  bpf.mapDelete(programs.map('peers'), peerKey.encode({ vni, address: mapped(nodes.c) }));

  dropped(arrive(inner4()), 'DROP_UNKNOWN_VTEP');
});

test('a group or zero source MAC is dropped', () => {
  for (const source of ['01:00:5e:00:00:01', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00']) {
    dropped(arrive(bytes(mac(a.mac), mac(source), inner4().subarray(12))), 'DROP_SOURCE_MAC');
  }
});

test('an inner tag is dropped', () => {
  for (const tag of [protocols.vlan, protocols.serviceVlan]) {
    const frame = ethernet({ ...toA, protocol: tag, payload: bytes(u16(100), inner4().subarray(12)) });
    dropped(arrive(frame), 'DROP_VLAN_TAGGED');
  }
});

test('a destination that is not here is dropped, never sent on', () => {
  const to = (destination: string) => bytes(mac(destination), inner4().subarray(6));

  dropped(arrive(to(stranger.mac)), 'DROP_UNKNOWN_DESTINATION');
  dropped(arrive(to(d.mac)), 'DROP_NOT_HERE');
});

test('congestion marks are combined as RFC 6040 says', () => {
  const table = [
    [0, [0, 1, 2, 3]],
    [1, [0, 1, 1, 3]],
    [2, [0, 1, 2, 3]],
    [3, [null, 3, 3, 3]],
  ] as const;
  for (const [outside, row] of table) {
    for (const [inside, combined] of row.entries()) {
      for (const frameOf of [inner4, inner6]) {
        const outcome = arrive(frameOf(0xb8 | inside), { tos: 0x20 | outside });
        if (combined === null) dropped(outcome, 'DROP_ECN');
        else assert.equal(outcome.data, frameOf(0xb8 | combined), `outer ${outside}, inner ${inside}`);
      }
    }
  }
});

test('a congestion mark on a frame that is not IP changes nothing', () => {
  const frame = ethernet({ ...toA, protocol: protocols.arp, payload: new Uint8Array(28) });

  assert.equal(arrive(frame, { tos: 3 }).data, frame);
});

test('a packet that did not come through the tunnel device is dropped there', () => {
  dropped(programs.fromTunnel(inner4()), 'DROP_TUNNEL');
});

test.run();
