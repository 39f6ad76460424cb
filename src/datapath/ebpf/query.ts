/**
 * General queries: whoever has joined groups says so again. IGMPv3 (RFC 3376 section 4.1) from 0.0.0.0, as a bridge that is
 * no router asks (RFC 4541 section 2.1.1), and MLDv2 (RFC 3810 section 5.1), which must come from an address of the
 * link: the highest there is, so that a router that asks too is not outdone. Hosts of older versions understand both.
 */

import { addressBytes, parseAddress } from '../../core/address.ts';

export interface QueryTimes {
  /** How often queries come, as they tell: up to 127 s. */
  readonly intervalSeconds: number;
  /** Answers come within this time, up to 12.7 s. A port has one host, so there is no swarm of them to spread. */
  readonly responseMs: number;
}

/** Specification. */
const routerAlert = { ipv4: [0x94, 4, 0, 0], ipv6: [5, 2, 0, 0] } as const; // RFC 2113, RFC 2711
const igmp = { protocol: 2, query: 0x11 } as const;
const icmpv6 = { protocol: 58, mldQuery: 130 } as const;
const robustness = 2;
/** Implementation: locally administered, "weft"; no endpoint can have it, as their addresses begin with 02:42 or are claimed. */
const sourceMac = [0x02, 0x77, 0x65, 0x66, 0x74, 0x00];
const queryingAddress = parseAddress('fe80::ffff:ffff:ffff:ffff');

/** An Ethernet frame per family. */
export function queryFrames(times: QueryTimes): readonly Uint8Array[] {
  return [igmpQuery(times), mldQuery(times)];
}

function igmpQuery({ intervalSeconds, responseMs }: QueryTimes): Uint8Array {
  const message = summed([igmp.query, responseMs / 100, 0, 0, ...zeros(4), robustness, intervalSeconds, 0, 0], 2);
  const addresses = [...zeros(4), 224, 0, 0, 1];
  const head = [0x46, 0xc0, ...u16(24 + message.length), 0, 0, 0x40, 0, 1, igmp.protocol, 0, 0];
  const packet = [...summed([...head, ...addresses, ...routerAlert.ipv4], 10), ...message];
  return Uint8Array.from([0x01, 0x00, 0x5e, 0, 0, 1, ...sourceMac, 0x08, 0x00, ...packet]);
}

function mldQuery({ intervalSeconds, responseMs }: QueryTimes): Uint8Array {
  const rest = [...u16(responseMs), 0, 0, ...zeros(16), robustness, intervalSeconds, 0, 0];
  const addresses = [...addressBytes(queryingAddress), ...addressBytes(parseAddress('ff02::1'))];
  const length = 4 + rest.length;
  const pseudo = [...addresses, 0, 0, ...u16(length), 0, 0, 0, icmpv6.protocol];
  const message = summed([...pseudo, icmpv6.mldQuery, 0, 0, 0, ...rest], pseudo.length + 2).slice(pseudo.length);
  const hopByHop = [icmpv6.protocol, 0, ...routerAlert.ipv6, 1, 0];
  const head = [0x60, 0, 0, 0, ...u16(hopByHop.length + length), 0, 1];
  const packet = [...head, ...addresses, ...hopByHop, ...message];
  return Uint8Array.from([0x33, 0x33, 0, 0, 0, 1, ...sourceMac, 0x86, 0xdd, ...packet]);
}

/** With the Internet checksum (RFC 1071) of all put at an offset, where zeros are. */
function summed(bytes: readonly number[], at: number): readonly number[] {
  let sum = 0;
  for (let offset = 0; offset < bytes.length; offset += 2) {
    sum += ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return [...bytes.slice(0, at), ...u16(~sum & 0xffff), ...bytes.slice(at + 2)];
}

function u16(value: number): readonly number[] {
  return [value >> 8, value & 0xff];
}

function zeros(count: number): readonly number[] {
  return Array.from({ length: count }, () => 0);
}
