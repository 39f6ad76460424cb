/**
 * Who is who. A node's id is made once and kept in its state directory; it is not its address. An overlay network
 * is told apart by its identity, which every engine derives alike: the `weft.network` name, or else its subnets
 * (each plain engine invents its own Docker network id, so that id can be nobody's key).
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

/** `name:blue` or `subnets:10.77.0.0/24,fd00:77::/64`: the whole of it is kept in the record to rule out collisions. */
export type NetworkIdentity = Brand<string, 'NetworkIdentity'>;

export function namedIdentity(name: string): NetworkIdentity {
  return `name:${name}` as NetworkIdentity;
}

export function subnetIdentity(subnets: readonly Subnet[]): NetworkIdentity {
  return `subnets:${[...subnets].sort().join(',')}` as NetworkIdentity;
}

export function networkKey(identity: NetworkIdentity): NetworkKey {
  return hash64(identity).toString(16).padStart(16, '0') as NetworkKey;
}

/** What people are shown: the name, or the subnets. */
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
