/**
 * What follows from one look at the engine: which of this node's endpoints and networks it lacks, since which look, and
 * which of them it has lacked for so long that they are given up. Pure.
 *
 * One look is not enough: an endpoint is in the journal before its container is listed with it, and so is a network.
 */

import type { EndpointId, NetworkId } from '../core/identity.ts';
import type { EngineInventory } from '../ports/engine.ts';

export interface Held {
  readonly networks: readonly { readonly id: NetworkId }[];
  readonly endpoints: readonly { readonly id: EndpointId; readonly networkId: NetworkId }[];
}

export interface Look {
  /** When the engine began to be asked. */
  readonly atMs: number;
  /** What this node had by then. */
  readonly held: Held;
  readonly inventory: EngineInventory;
}

/** Time of the first of all consecutive looks in which the engine lacked it. */
export type Missing = ReadonlyMap<EndpointId | NetworkId, number>;

export interface Suspects {
  readonly endpoints: Held['endpoints'];
  readonly networks: readonly NetworkId[];
}

/** A network is not missing while the engine has a container in it. */
export function missingIn({ atMs, held, inventory }: Look, before: Missing): Missing {
  const present = held.endpoints.filter(({ id }) => inventory.endpoints.has(id));
  const occupied = new Set(present.map(({ networkId }) => networkId));
  const ids = [
    ...held.endpoints.filter(({ id }) => !inventory.endpoints.has(id)).map(({ id }) => id),
    ...held.networks.filter(({ id }) => !inventory.networks.has(id) && !occupied.has(id)).map(({ id }) => id),
  ];
  return new Map(ids.map((id) => [id, before.get(id) ?? atMs]));
}

/** Those that were missing in looks at least so far apart, this one included. */
export function suspectsOf(missing: Missing, { atMs, held }: Look, apartMs: number): Suspects {
  const isSuspect = (id: EndpointId | NetworkId) => atMs - (missing.get(id) ?? atMs) >= apartMs;
  return {
    endpoints: held.endpoints.filter(({ id }) => isSuspect(id)),
    networks: held.networks.filter(({ id }) => isSuspect(id)).map(({ id }) => id),
  };
}

/**
 * Whether the engine must be the one whose plugin this is: it has a container's endpoint of this node, or a network
 * that was made on one engine alone. The id of a swarm's network is the same on every engine of the swarm.
 */
export function isOwnEngine({ networks, endpoints }: Held, inventory: EngineInventory): boolean {
  return (
    endpoints.some(({ id }) => inventory.endpoints.has(id)) ||
    networks.some(({ id }) => /^[0-9a-f]{64}$/.test(id) && inventory.networks.has(id))
  );
}
