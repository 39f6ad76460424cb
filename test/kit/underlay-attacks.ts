/**
 * Packets of the underlay that must come to nothing, each with the reason it must be counted under; the host of node three
 * of lan.ts sends them. And those that must pass, so that it is known that they would be seen.
 */

import { type Attack, attack, frameOf, stations, tagged } from './attacks.ts';
import { bytes, checksum, mac, type Outer, patched, protocols, u16, vxlan } from './frame.ts';
import { tunnelPort, vni } from './programs.ts';

const { oneA, oneB, twoA, threeA } = stations;
const allNodes = '33:33:00:00:00:01';

const outer: Outer = {
  destinationMac: '02:11:00:00:00:01',
  sourceMac: '02:11:00:00:00:03',
  source: '192.0.2.3',
  destination: '192.0.2.1',
  sourcePort: 50_000,
  port: tunnelPort,
  vni,
};
const good = (mark: Uint8Array) => frameOf(threeA, oneA, mark);
const flags = 42;

/** With bytes of the outer IP header replaced and its checksum made right again. */
function withHeader(packet: Uint8Array, offset: number, ...values: readonly number[]): Uint8Array {
  const changed = patched(packet, 14 + offset, ...values);
  changed.set([0, 0], 24);
  changed.set(u16(checksum(changed.subarray(14, 34))), 24);
  return changed;
}

/** A packet in two fragments, cut behind the outer UDP header. */
export function fragments(packet: Uint8Array, id: number): readonly Uint8Array[] {
  const cut = 14 + 20 + 16;
  const part = (payload: Uint8Array, fragment: number) => {
    const head = bytes(packet.subarray(14, 34), payload);
    const whole = bytes(packet.subarray(0, 14), head);
    return withHeader(whole, 2, ...u16(head.length), ...u16(id), ...u16(fragment));
  };
  return [part(packet.subarray(34, cut), 0x2000), part(packet.subarray(cut), 2)];
}

/** By the underlay, from the place of node three. `otherVni` is a network of node one in which node three is not. */
export function fromUnderlay(otherVni: number): readonly Attack[] {
  const from = (name: string, reason: Attack['reason'], changed: Partial<Outer>, inner = good) =>
    attack(name, reason, (mark) => [vxlan({ ...outer, ...changed }, inner(mark))]);
  const bent = (name: string, reason: Attack['reason'], bend: (packet: Uint8Array) => Uint8Array) =>
    attack(name, reason, (mark) => [bend(vxlan(outer, good(mark)))]);
  return [
    from('an unknown VTEP', 'DROP_UNKNOWN_VTEP', { source: '192.0.2.66' }),
    from('the own VTEP', 'DROP_UNKNOWN_VTEP', { source: '192.0.2.1' }, (mark) => frameOf(twoA, oneA, mark)),
    from('a VTEP with the MAC of another node', 'DROP_SOURCE_ELSEWHERE', {}, (mark) => frameOf(twoA, oneA, mark)),
    from('a VTEP with the MAC of a local container', 'DROP_SOURCE_ELSEWHERE', {}, (mark) => frameOf(oneB, oneA, mark)),
    from('a VTEP in a network it is not in', 'DROP_UNKNOWN_VTEP', { vni: otherVni }),
    from('a VNI that nobody has', 'DROP_UNKNOWN_VTEP', { vni: 0xabcdef }),
    from('a group MAC for a source', 'DROP_SOURCE_MAC', {}, (mark) =>
      bytes(mac(oneA.mac), mac(allNodes), good(mark).subarray(12)),
    ),
    from('a frame for a third node', 'DROP_NOT_HERE', {}, (mark) => frameOf(threeA, twoA, mark)),
    from('a frame for nobody', 'DROP_UNKNOWN_DESTINATION', {}, (mark) =>
      bytes(mac('02:42:0a:00:00:77'), good(mark).subarray(6)),
    ),
    from('an inner tag', 'DROP_VLAN_TAGGED', {}, (mark) => tagged(good(mark), protocols.vlan)),
    from('an inner frame of spanning tree', 'DROP_LINK_LOCAL_GROUP', {}, (mark) =>
      bytes(mac('01:80:c2:00:00:00'), good(mark).subarray(6)),
    ),
    from('congestion on a flow that cannot hear of it', 'DROP_ECN', { tos: 3 }),
    bent('no I flag', 'DROP_NO_I_FLAG', (packet) => patched(packet, flags, 0)),
    // What the kernel's device has to judge, and refuses: a group policy, a generic protocol, a length that lies.
    bent('the group policy bit', 'DECLINED', (packet) => patched(packet, flags, 0x88)),
    bent('the generic protocol bit', 'DECLINED', (packet) => patched(packet, flags, 0x0c)),
    bent('a UDP length that is too long', 'DECLINED', (packet) => patched(packet, 38, 0xff, 0xff)),
    // Through the kernel's device to the same checks.
    attack('fragments of an unknown VTEP', 'DROP_UNKNOWN_VTEP', (mark) =>
      fragments(vxlan({ ...outer, source: '192.0.2.66' }, good(mark)), 1),
    ),
    attack('fragments with the MAC of another node', 'DROP_SOURCE_ELSEWHERE', (mark) =>
      fragments(vxlan(outer, frameOf(twoA, oneA, mark)), 2),
    ),
    attack('fragments in a network it is not in', 'DROP_UNKNOWN_VTEP', (mark) =>
      fragments(vxlan({ ...outer, vni: otherVni }, good(mark)), 3),
    ),
    attack('fragments with an inner tag', 'DROP_VLAN_TAGGED', (mark) =>
      fragments(vxlan(outer, tagged(good(mark), protocols.vlan)), 4),
    ),
    attack('options in the outer header and the MAC of another', 'DROP_SOURCE_ELSEWHERE', (mark) => [
      withOptions(vxlan(outer, frameOf(twoA, oneA, mark))),
    ]),
  ];
}

/** What must arrive, so that it is known that it would be seen. */
export const innocent = {
  fromContainer: (mark: Uint8Array) => [frameOf(oneA, twoA, mark)],
  fromUnderlay: (mark: Uint8Array) => [vxlan(outer, good(mark))],
  inFragments: (mark: Uint8Array) => fragments(vxlan(outer, good(mark)), 99),
  withOptions: (mark: Uint8Array) => [withOptions(vxlan(outer, good(mark)))],
} as const;

/** The same packet as a container sends it to a VTEP through its gateway, in the name of `source`. */
export function throughGateway(
  mark: Uint8Array,
  { source, to, macs }: { source: string; to: 'one' | 'two'; macs: Pick<Outer, 'destinationMac' | 'sourceMac'> },
): Uint8Array {
  const inner = to === 'one' ? frameOf(twoA, oneA, mark) : frameOf(oneA, twoA, mark);
  return vxlan({ ...outer, ...macs, source, destination: to === 'one' ? '192.0.2.1' : '192.0.2.2' }, inner);
}

/** Four bytes of "no operation" behind the outer IP header. */
export function withOptions(packet: Uint8Array): Uint8Array {
  const length = packet.length - 14 + 4;
  const longer = bytes(packet.subarray(0, 34), 1, 1, 1, 1, packet.subarray(34));
  const headed = patched(patched(longer, 14, 0x46), 16, ...u16(length), 0, 0);
  headed.set([0, 0], 24);
  headed.set(u16(checksum(headed.subarray(14, 38))), 24);
  return headed;
}
