/**
 * The life of a network on this node.
 *
 *   createNetwork ─▶ held in the cluster ─ journal ─ watched ─ published ─ programmed ─▶ here
 *   deleteNetwork ─▶ its endpoints deleted ─ departed in the journal ─ unwatched, taken out ─ withdrawn, released ─▶ gone
 *
 * Creating is all or nothing. Deleting always succeeds here; what the store has still to be told is told later.
 */

import type { Subnet } from '../core/address.ts';
import { isOfSwarm, type NetworkId, type NetworkIdentity, type NetworkKey, networkKey } from '../core/identity.ts';
import type { Network } from '../core/model.ts';
import { overlayError } from '../errors.ts';
import type { LocalNetwork } from '../ports/journal.ts';
import type { Background } from './background.ts';
import { nameSpaceOf } from './claims.ts';
import type { Directory } from './directory.ts';
import type { Endpoints } from './endpoints.ts';
import { untilAborted } from './limit.ts';
import type { Local } from './local.ts';
import { identityOf, type Networks } from './networks.ts';
import type { Pools } from './pools.ts';
import type { Publisher } from './publisher.ts';
import type { Reconciler } from './reconciler.ts';
import type { Remains } from './remains.ts';
import type { NetworkRequest } from './requests.ts';

export interface LocalNetworks {
  create(request: NetworkRequest, signal: AbortSignal): Promise<void>;
  delete(id: NetworkId): Promise<void>;
  /** Finishes the departure of a network that the journal has as departed. */
  exit(network: LocalNetwork): Promise<void>;
}

export interface LocalNetworkParts {
  readonly local: Local;
  readonly networks: Networks;
  readonly pools: Pools;
  readonly endpoints: Endpoints;
  readonly directory: Directory;
  readonly publisher: Publisher;
  readonly reconciler: Reconciler;
  readonly remains: Remains;
  readonly background: Background;
  readonly self: Parameters<Networks['release']>[1];
}

export function createLocalNetworks(parts: LocalNetworkParts): LocalNetworks {
  const { local, networks, pools, endpoints, directory, publisher, reconciler, remains, background, self } = parts;
  const isHere = (key: NetworkKey) => local.overlays().some((network) => network.key === key);

  /** Networks that are being entered: nothing of them is to be taken back. */
  const entering = new Set<NetworkKey>();
  const depart = async (key: NetworkKey, signal: AbortSignal): Promise<void> => {
    const isWanted = () => entering.has(key) || isHere(key);
    if (isWanted()) return;
    await publisher.withdraw(key);
    await networks.release(key, self, signal, isWanted);
    await remains.clear(key, signal);
  };
  const exit = async ({ id, key, identity, subnets }: LocalNetwork): Promise<void> => {
    if (!isHere(key)) {
      await directory.unfollow(key);
      await reconciler.settle();
    }
    await background.attempt(`departure from network ${id}`, async (signal) => {
      // First, because the claims of endpoints are found by what is known of their network.
      for (const endpoint of local.departed().endpoints) {
        if (endpoint.networkId === id) await endpoints.release(endpoint, signal);
      }
      await depart(key, signal);
      await pools.settle([poolName(identity)], subnets, signal);
      await local.forgetNetwork(id);
    });
  };
  const hold = async (request: NetworkRequest, signal: AbortSignal): Promise<Network> => {
    const key = networkKey(identityOf(request));
    try {
      return await networks.hold(request, self, signal);
    } catch (error) {
      background.doubt(error, `departure from network ${key}`, (later) => depart(key, later));
      throw error;
    }
  };
  /** All of it, or nothing and the error. */
  const settleIn = async (request: NetworkRequest, signal: AbortSignal): Promise<void> => {
    const network = await hold(request, signal);
    try {
      await local.saveNetwork({ id: request.id, ...network });
      await directory.follow(network.key, signal);
      await untilAborted(publisher.publish(network.key), signal);
      await reconciler.settle(`network ${network.vni}`);
    } catch (error) {
      await local.departNetwork({ id: request.id, ...network });
      entering.delete(network.key);
      await exit({ id: request.id, ...network });
      throw error;
    }
  };

  return {
    async create(request, signal) {
      const existing = local.network(request.id);
      if (existing !== null) return requireSameNetwork(existing, request);
      const key = networkKey(identityOf(request));
      entering.add(key);
      try {
        await settleIn(request, signal);
      } finally {
        entering.delete(key);
      }
    },
    async delete(id) {
      const network = local.network(id);
      if (network === null) return;
      for (const endpoint of local.endpoints()) if (endpoint.networkId === id) await endpoints.delete(endpoint.id);
      await local.departNetwork(network);
      await exit(network);
    },
    exit,
  };
}

/** Where its addresses come from when they come from this driver. A swarm network's come from the common name space. */
export function poolName(identity: NetworkIdentity): string {
  return isOfSwarm(identity) ? '' : nameSpaceOf({ identity });
}

/** Whether the pool may be the network's: of a swarm network it is only known that the subnet is. */
export function usesPool({ identity, subnets }: LocalNetwork, name: string, subnet: Subnet): boolean {
  return subnets.includes(subnet) && (isOfSwarm(identity) || poolName(identity) === name);
}

/** A repeated CreateNetwork is fine when it asks for the same. */
function requireSameNetwork(existing: LocalNetwork, request: NetworkRequest): void {
  const identity = identityOf(request);
  if (identity === existing.identity) return;
  throw overlayError('NETWORK_CONFLICT', {
    network: request.id,
    field: 'identity',
    existing: existing.identity,
    requested: identity,
  });
}
