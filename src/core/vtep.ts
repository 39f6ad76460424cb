/**
 * Nodes with VTEP addresses of one family or of both. A tunnel has one family at both ends: IPv4 where both ends have it,
 * which takes 20 bytes less of each packet, else IPv6. Both ends find the same from the same records, and each takes
 * packets from any address of the other, so that they need not change their minds at the same moment.
 */

import { type Address, type Family, familyOf } from './address.ts';
import type { Membership, Vtep } from './model.ts';

/** What the operator asks for: addresses, one of each family at most; all that a device has; or what is found. */
export type VtepChoice =
  | { readonly kind: 'auto' }
  | { readonly kind: 'addresses'; readonly addresses: readonly [Address, ...Address[]] }
  | { readonly kind: 'device'; readonly device: string };

/** Of one address, or of one of each family in any order. */
export function vtepOf([first, second]: readonly [Address, ...Address[]], port: number): Vtep {
  if (second === undefined) return { address: first, port };
  const isInOrder = familyOf(first) === 'ipv4';
  return { address: isInOrder ? first : second, port, alternate: isInOrder ? second : first };
}

/** One or two, IPv4 first. */
export function addressesOf({ address, alternate }: Vtep): readonly Address[] {
  return alternate === undefined ? [address] : [address, alternate];
}

export function isSameVtep(left: Vtep, right: Vtep): boolean {
  return left.address === right.address && left.alternate === right.alternate && left.port === right.port;
}

export function addressIn(vtep: Vtep, family: Family): Address | null {
  return addressesOf(vtep).find((address) => familyOf(address) === family) ?? null;
}

/** Null for two nodes that have one family each, and not the same. */
export function commonFamily(one: Vtep, other: Vtep): Family | null {
  const families = addressesOf(one).map(familyOf);
  return families.find((family) => addressIn(other, family) !== null) ?? null;
}

/** A peer as a node sends to it: `address` is of the family they have in common. Null where there is none. */
export function towards(own: Vtep, peer: Vtep): Vtep | null {
  const family = commonFamily(own, peer);
  if (family === null) return null;
  const address = addressIn(peer, family) ?? peer.address;
  const alternate = addressesOf(peer).find((each) => each !== address);
  return { address, port: peer.port, alternate };
}

/** The memberships that a node can exchange packets with, as it sends to them. */
export function reachable(own: Vtep, memberships: readonly Membership[]): readonly Membership[] {
  return memberships.flatMap((membership) => {
    const vtep = towards(own, membership.vtep);
    return vtep === null ? [] : [{ ...membership, vtep }];
  });
}

/** The family that takes the most room of those that tunnels between these nodes have. */
export function widestFamily(vteps: readonly Vtep[]): Family {
  return vteps.every((vtep) => addressIn(vtep, 'ipv4') !== null) ? 'ipv4' : 'ipv6';
}
