/**
 * Who is who. A node's id is made once and kept in its state directory; it is not its address. An overlay network
 * is told apart by its identity, which every engine derives alike: the `weft.network` name; or else, in swarm, Docker's
 * network id, which is the same on all its nodes; or else its subnets (each plain engine invents its own network id,
 * so that one can be nobody's key).
 */

import { overlayError } from '../errors.ts';
import type { Subnet } from './address.ts';
import type { Brand } from './brand.ts';

/** 16 hex digits. */
export type NodeId = Brand<string, 'NodeId'>;
/** Key of an overlay network in the store: 16 hex digits, the FNV-1a hash of its identity. */
export type NetworkKey = Brand<string, 'NetworkKey'>;
/** Docker's id of a network on one engine: 64 hex digits, or 25 base-36 digits in swarm. */
export type NetworkId = Brand<string, 'NetworkId'>;
/** Docker's id of an endpoint, 64 hex digits, new at every container start. */
export type EndpointId = Brand<string, 'EndpointId'>;

/**
 * `name:blue`, `swarm:<network id>` or `subnets:10.77.0.0/24,fd00:77::/64`: the whole of it is kept in the record to
 * rule out collisions.
 */
export type NetworkIdentity = Brand<string, 'NetworkIdentity'>;

/** Swarm itself, which keeps its networks and their pools also while no node has them: see `allocator`, `allocation`. */
export type SwarmHolder = Brand<string, 'SwarmHolder'>;
/** Who keeps a network or a pool. The last one to let go dissolves it. */
export type Holder = NodeId | SwarmHolder;

/** Of a pool that swarm's allocator has booked. */
export const allocator = 'swarm' as SwarmHolder;

/** Of a network that swarm's allocator has allocated, and of its pools. */
export function allocation(id: NetworkId): SwarmHolder {
  return `swarm-${id}` as SwarmHolder;
}

export function isAllocation(holder: Holder): boolean {
  return holder.startsWith('swarm-');
}

/** Specification (moby/swarmkit identity/randomid.go): 25 base-36 digits; an engine's own ids are 64 hex digits. */
export function isSwarmId(id: NetworkId): boolean {
  return /^[0-9a-z]{25}$/.test(id);
}

export function namedIdentity(name: string): NetworkIdentity {
  return `name:${name}` as NetworkIdentity;
}

export function swarmIdentity(id: NetworkId): NetworkIdentity {
  return `swarm:${id}` as NetworkIdentity;
}

/** Swarm's manager says who has which address of such a network, and it may take one back from a node that is gone. */
export function isOfSwarm(identity: NetworkIdentity): boolean {
  return identity.startsWith('swarm:');
}

export function subnetIdentity(subnets: readonly Subnet[]): NetworkIdentity {
  return `subnets:${[...subnets].sort().join(',')}` as NetworkIdentity;
}

export function networkKey(identity: NetworkIdentity): NetworkKey {
  return hash64(identity).toString(16).padStart(16, '0') as NetworkKey;
}

/** What people are shown: the name, the id, or the subnets. */
export function identityLabel(identity: NetworkIdentity): string {
  return identity.slice(identity.indexOf(':') + 1);
}

/** Name given with weft.network: letters, digits, dot, dash, underscore; 1 to 64. @throws OPTION_INVALID */
export function parseNetworkName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text)) return text;
  throw overlayError('OPTION_INVALID', {
    option: 'weft.network',
    value: text,
    problem: 'a name has 1 to 64 letters, digits, dots, dashes or underscores and starts with a letter or digit',
  });
}

/** FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv): a key and a probe start, never a secret. */
export function hash64(text: string): bigint {
  let hash = 0xcbf2_9ce4_8422_2325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = ((hash ^ BigInt(byte)) * 0x0000_0100_0000_01b3n) & 0xffff_ffff_ffff_ffffn;
  }
  return hash;
}
