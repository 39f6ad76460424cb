/**
 * What becomes of an address' claim: pure. A claim has up to three parts (an endpoint that uses the address, a
 * reservation by Docker's IPAM call on a node, an allocation by swarm) that come and go in any order; null is a claim
 * of which no part is left, and the address is free.
 */

import type { EndpointId, NodeId } from '../core/identity.ts';
import type { AddressClaim } from '../ports/records.ts';
import type { StoreOperation } from '../ports/store.ts';
import type { Found, Records } from './records.ts';

type EndpointClaim = Extract<AddressClaim, { readonly kind: 'endpoint' }>;

/** The endpoint has it. What its node reserved, and swarm allocated, stays so. */
export function takenBy(claim: AddressClaim | null, node: NodeId, endpoint: EndpointId): AddressClaim {
  const reserved = claim?.kind === 'endpoint' && claim.node === node && claim.reserved;
  return { kind: 'endpoint', node, endpoint, reserved, ...markOf(claim) };
}

/** The endpoint is gone. */
export function vacated(claim: EndpointClaim): AddressClaim | null {
  if (claim.reserved) return { ...claim, endpoint: null };
  return isAllocated(claim) ? { kind: 'allocated' } : null;
}

/** Docker has taken its request for it back. `isUsed`: by an endpoint. */
export function unreserved(claim: EndpointClaim, isUsed: boolean): AddressClaim | null {
  if (isUsed) return { ...claim, reserved: false };
  return isAllocated(claim) ? { kind: 'allocated' } : null;
}

/** Swarm has taken it back. */
export function unallocated(claim: AddressClaim): AddressClaim | null {
  if (claim.kind === 'allocated') return null;
  return claim.kind === 'endpoint' ? { ...claim, allocated: undefined } : claim;
}

export function isAllocated(claim: AddressClaim | null): boolean {
  return claim?.kind === 'allocated' || (claim?.kind === 'endpoint' && claim.allocated === true);
}

/** The write that makes a found claim another one, or nobody's. */
export function replacing(
  { codecs }: Records,
  { key, revision: expect }: Found<AddressClaim>,
  claim: AddressClaim | null,
): StoreOperation {
  if (claim === null) return { kind: 'delete', key, expect };
  return { kind: 'put', key, value: codecs.addressClaim.encode(claim), expect };
}

function markOf(claim: AddressClaim | null): { readonly allocated?: true } {
  return isAllocated(claim) ? { allocated: true } : {};
}
