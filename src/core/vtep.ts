/**
 * Nodes with VTEP addresses of one family or of both. A tunnel has one family at both ends: IPv4 where both ends have it,
 * as it takes 20 bytes less of each packet, else IPv6. Both ends find the same from the same records, and each takes
 * packets from any address of the other.
 */

import { type Address, type Family, familyOf } from './address.ts';
import type { Vtep } from './model.ts';

/** Of one address, or of one of each family in any order. */
export function vtepOf(addresses: readonly [Address, ...Address[]], port: number): Vtep {
  const [first, second] = addresses;
  if (second === undefined) return { address: first, port };
  return familyOf(first) === 'ipv4'
    ? { address: first, port, alternate: second }
    : { address: second, port, alternate: first };
}

/** One or two, the preferred one first. */
export function addressesOf({ address, alternate }: Vtep): readonly Address[] {
  return alternate === undefined ? [address] : [address, alternate];
}

export function addressOf(vtep: Vtep, family: Family): Address | null {
  return addressesOf(vtep).find((address) => familyOf(address) === family) ?? null;
}
