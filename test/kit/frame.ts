/**
 * Frames by hand, from the outside in: what the tests of the eBPF programs send and what they expect back, independent of
 * the C that is tested. Lengths and checksums are filled in; a test that wants them wrong overwrites bytes.
 */

import { addressBytes, parseAddress } from '../../src/core/address.ts';
import { macBytes, parseMac } from '../../src/core/mac.ts';

export const protocols = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, serviceVlan: 0x88a8, ipv6: 0x86dd } as const;
export const transports = { hopByHop: 0, icmp: 1, igmp: 2, tcp: 6, udp: 17, icmpv6: 58 } as const;
export const broadcast = 'ff:ff:ff:ff:ff:ff';

export interface Ethernet {
  readonly destination: string;
  readonly source: string;
  readonly protocol: number;
  readonly payload: Uint8Array;
}

export interface Packet {
  readonly source: string;
  readonly destination: string;
  /** Protocol or next header. */
  readonly transport: number;
  readonly payload: Uint8Array;
  /** Type of service or traffic class. */
  readonly tos?: number;
  readonly ttl?: number;
  readonly id?: number;
  /** IPv4 flags and fragment offset; DF unless told. */
  readonly fragment?: number;
  /** Flow label of IPv6. */
  readonly label?: number;
}

export interface Arp {
  readonly operation: 1 | 2;
  readonly senderMac: string;
  readonly sender: string;
  readonly targetMac: string;
  readonly target: string;
}

export interface Outer {
  readonly destinationMac: string;
  readonly sourceMac: string;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly port: number;
  readonly vni: number;
  readonly tos?: number;
  readonly label?: number;
}

/** Also a group MAC or zero, which the core refuses and frames need. */
export function mac(text: string): Uint8Array {
  return /^.[13579bdf]/i.test(text) || text === '00:00:00:00:00:00'
    ? Uint8Array.from(text.split(':'), (pair) => Number.parseInt(pair, 16))
    : macBytes(parseMac(text));
}

export function address(text: string): Uint8Array {
  return addressBytes(parseAddress(text));
}

export function bytes(...parts: ReadonlyArray<Uint8Array | number>): Uint8Array {
  return new Uint8Array(Buffer.concat(parts.map((part) => (typeof part === 'number' ? Uint8Array.of(part) : part))));
}

export function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

export function u32(value: number): Uint8Array {
  return bytes(u16(value >>> 16), u16(value & 0xffff));
}

/** A copy with some bytes replaced. */
export function patched(frame: Uint8Array, offset: number, ...values: readonly number[]): Uint8Array {
  const copy = frame.slice();
  copy.set(values, offset);
  return copy;
}

/** RFC 1071; the parts are summed as if they lay end to end. */
export function checksum(...parts: readonly Uint8Array[]): number {
  const whole = bytes(...parts);
  let sum = 0;
  for (let at = 0; at < whole.length; at += 2) sum += ((whole[at] ?? 0) << 8) | (whole[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export function ethernet({ destination, source, protocol, payload }: Ethernet): Uint8Array {
  return bytes(mac(destination), mac(source), u16(protocol), payload);
}

export function ipv4({
  source,
  destination,
  transport,
  payload,
  tos = 0,
  ttl = 64,
  id = 0,
  fragment = 0x4000,
}: Packet): Uint8Array {
  const head = bytes(0x45, tos, u16(20 + payload.length), u16(id), u16(fragment), ttl, transport);
  const addresses = bytes(address(source), address(destination));
  return bytes(head, u16(checksum(head, addresses)), addresses, payload);
}

export function ipv6({ source, destination, transport, payload, tos = 0, ttl = 64, label = 0 }: Packet): Uint8Array {
  const head = bytes(u32((0x60000000 | (tos << 20) | label) >>> 0), u16(payload.length), transport, ttl);
  return bytes(head, address(source), address(destination), payload);
}

/** Without a checksum, as the programs do not look at it. */
export function udp(sourcePort: number, port: number, payload: Uint8Array): Uint8Array {
  return bytes(u16(sourcePort), u16(port), u16(8 + payload.length), u16(0), payload);
}

/** An ICMPv6 message with its checksum, given as type, code and the rest after the checksum. */
export function icmpv6(
  packet: Omit<Packet, 'transport' | 'payload'>,
  type: number,
  code: number,
  rest: Uint8Array,
): Uint8Array {
  const length = 4 + rest.length;
  const pseudo = bytes(address(packet.source), address(packet.destination), u32(length), u32(transports.icmpv6));
  const payload = bytes(type, code, u16(checksum(pseudo, Uint8Array.of(type, code, 0, 0), rest)), rest);
  return ipv6({ ...packet, transport: transports.icmpv6, payload });
}

export function icmp(type: number, code: number, rest: Uint8Array): Uint8Array {
  return bytes(type, code, u16(checksum(Uint8Array.of(type, code, 0, 0), rest)), rest);
}

export function arp({ operation, senderMac, sender, targetMac, target }: Arp): Uint8Array {
  const parties = bytes(mac(senderMac), address(sender), mac(targetMac), address(target));
  return bytes(u16(1), u16(protocols.ipv4), 6, 4, u16(operation), parties);
}

/** A VXLAN packet (RFC 7348 section 5) around a frame, as a VTEP sends it, over the family of its address. */
export function vxlan(outer: Outer, frame: Uint8Array): Uint8Array {
  const payload = udp(outer.sourcePort, outer.port, bytes(u32(0x08000000), u32((outer.vni << 8) >>> 0), frame));
  const { source, destination, tos = 0, label = 0, destinationMac, sourceMac } = outer;
  const [packet, protocol] = source.includes(':')
    ? ([ipv6, protocols.ipv6] as const)
    : ([ipv4, protocols.ipv4] as const);
  const own = packet({ source, destination, transport: transports.udp, payload, tos, label });
  return ethernet({ destination: destinationMac, source: sourceMac, protocol, payload: own });
}
