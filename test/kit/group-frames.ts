/**
 * Membership reports and multicast data as hosts send them, by hand: IGMP (RFC 1112, 2236, 3376) in a packet with router
 * alert, MLD (RFC 2710, 3810) behind a hop-by-hop header; and who has joined what, as the tables of the programs say.
 */

import { memberKey } from '../../src/datapath/ebpf/records.ts';
import * as bpf from '../../src/native/binding.ts';
import { address, bytes, checksum, ethernet, ipv4, ipv6, protocols, transports, u16, u32, udp } from './frame.ts';
import { a, type Programs, type Station } from './programs.ts';

export const recordTypes = { isInclude: 1, isExclude: 2, toInclude: 3, toExclude: 4, allow: 5, block: 6 } as const;

export interface GroupRecord {
  readonly type: keyof typeof recordTypes;
  readonly group: string;
  readonly sources?: readonly string[];
  /** Words behind the sources. */
  readonly auxiliary?: number;
}

/** Version 1 (0x12), version 2 (0x16), leave (0x17) or query (0x11). */
export function igmp(type: number, group: string, from: Station = a): Uint8Array {
  return igmpFrame(bytes(type, 0, u16(0), address(group)), type === 0x17 ? '224.0.0.2' : group, from);
}

export function igmpV3(records: readonly GroupRecord[], from: Station = a): Uint8Array {
  return igmpFrame(
    bytes(0x22, 0, u16(0), u16(0), u16(records.length), ...records.map(recordBytes)),
    '224.0.0.22',
    from,
  );
}

/** A report (131), a farewell (132) or a query (130). */
export function mld(type: number, group: string, from: Station = a): Uint8Array {
  const destination = type === 132 ? 'ff02::2' : type === 130 ? 'ff02::1' : group;
  return mldFrame(bytes(type, 0, u16(0), u16(0), u16(0), address(group)), destination, from);
}

export function mldV2(records: readonly GroupRecord[], from: Station = a): Uint8Array {
  return mldFrame(bytes(143, 0, u16(0), u16(0), u16(records.length), ...records.map(recordBytes)), 'ff02::16', from);
}

/** A datagram to a group of either family. */
export function toGroup(group: string, from: Station = a): Uint8Array {
  const payload = udp(5353, 5353, new Uint8Array(20));
  if (group.includes(':')) {
    const packet = ipv6({ source: from.ipv6, destination: group, transport: transports.udp, payload });
    return ethernet({ destination: groupMac(group), source: from.mac, protocol: protocols.ipv6, payload: packet });
  }
  const packet = ipv4({ source: from.ipv4, destination: group, transport: transports.udp, payload });
  return ethernet({ destination: groupMac(group), source: from.mac, protocol: protocols.ipv4, payload: packet });
}

/** RFC 1112 section 6.4, RFC 2464 section 7. */
export function groupMac(group: string): string {
  const last = address(group);
  const tail = last.length === 16 ? last.subarray(12) : Uint8Array.of((last[1] ?? 0) & 0x7f, ...last.subarray(2));
  const whole = last.length === 16 ? bytes(0x33, 0x33, tail) : bytes(0x01, 0x00, 0x5e, tail);
  return Array.from(whole, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** The groups a port has joined, sorted. */
export function joinedAt(programs: Programs, ifindex: number): readonly string[] {
  return bpf
    .mapEntries(programs.map('members'))
    .map(([key]) => memberKey.decode(key))
    .flatMap((member) => (member.ifindex === ifindex ? member.group : []))
    .sort();
}

function igmpFrame(message: Uint8Array, destination: string, from: Station): Uint8Array {
  const summed = bytes(message.subarray(0, 2), u16(checksum(message)), message.subarray(4));
  const head = bytes(0x46, 0xc0, u16(24 + summed.length), u32(0x4000), 1, transports.igmp);
  const rest = bytes(address(from.ipv4), address(destination), 0x94, 4, 0, 0);
  const packet = bytes(head, u16(checksum(head, rest)), rest, summed);
  return ethernet({ destination: groupMac(destination), source: from.mac, protocol: protocols.ipv4, payload: packet });
}

function mldFrame(message: Uint8Array, destination: string, from: Station): Uint8Array {
  const source = 'fe80::1';
  const pseudo = bytes(address(source), address(destination), u32(message.length), u32(transports.icmpv6));
  const summed = bytes(message.subarray(0, 2), u16(checksum(pseudo, message)), message.subarray(4));
  const payload = bytes(transports.icmpv6, 0, 5, 2, u16(0), 1, 0, summed);
  const packet = ipv6({ source, destination, transport: transports.hopByHop, payload, ttl: 1 });
  return ethernet({ destination: groupMac(destination), source: from.mac, protocol: protocols.ipv6, payload: packet });
}

function recordBytes({ type, group, sources = [], auxiliary = 0 }: GroupRecord): Uint8Array {
  const parts = [group, ...sources].map(address);
  return bytes(recordTypes[type], auxiliary, u16(sources.length), ...parts, new Uint8Array(auxiliary * 4));
}
