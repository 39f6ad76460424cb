/** How much room encapsulation takes, by underlay family. */

import type { Family } from './address.ts';

/** Specification (RFC 7348 §5): outer IP header + UDP 8 + VXLAN 8 + inner Ethernet 14, in bytes. */
export const encapsulationBytes: Readonly<Record<Family, number>> = { ipv4: 20 + 8 + 8 + 14, ipv6: 40 + 8 + 8 + 14 };

/** Specification: no IPv4 link may be smaller (RFC 791), and Linux disables IPv6 below 1280 (RFC 8200 §5). */
export const smallestMtuBytes = 68;
/** Specification: tot_len of the outer packet has 16 bits. */
export const largestMtuBytes = 65_535 - encapsulationBytes.ipv6;

/** What containers may see when the smallest underlay on the way carries `underlayBytes`. */
export function overlayMtu(underlayBytes: number, underlay: Family): number {
  return underlayBytes - encapsulationBytes[underlay];
}
