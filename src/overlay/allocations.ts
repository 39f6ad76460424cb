/**
 * Networks that swarm's allocator has allocated, on whichever node leads: they exist in the cluster from then on, with
 * VNI and MTU settled, before any node has a container in them. A new leader allocates every network again, by the same
 * id and with the options it was answered, which changes nothing.
 */

import { allocation, isOfSwarm, type NetworkId } from '../core/identity.ts';
import type { Network } from '../core/model.ts';
import type { Vni } from '../core/vni.ts';
import type { Store } from '../ports/store.ts';
import { nameSpaceOf } from './claims.ts';
import { persist } from './limit.ts';
import type { Networks } from './networks.ts';
import type { Pools } from './pools.ts';
import type { Remains } from './remains.ts';
import { allocatorLimitMs, type NetworkRequest } from './requests.ts';
import type { PoolPlace } from './reservations.ts';

export interface Allocations {
  /**
   * Resolves to its VNI. What an attempt that failed has written stays: swarm asks again, perhaps another leader, and
   * then has it. @throws NETWORK_CONFLICT, VNI_TAKEN
   */
  allocate(request: NetworkRequest): Promise<Vni>;
  /** The inverse; no-op for one that is not allocated. */
  free(id: NetworkId, signal: AbortSignal): Promise<void>;
}

export interface AllocationParts {
  readonly store: Pick<Store, 'kind'>;
  readonly networks: Networks;
  readonly pools: Pools;
  readonly remains: Remains;
}

export function createAllocations({ store, networks, pools, remains }: AllocationParts): Allocations {
  const release = async (id: NetworkId, network: Network, signal: AbortSignal): Promise<void> => {
    await pools.unbind(placesOf(network), allocation(id), signal);
    await networks.release(network.key, allocation(id), signal);
  };
  const hold = async (request: NetworkRequest, signal: AbortSignal): Promise<Network> => {
    const network = await networks.hold(request, allocation(request.id), signal);
    await pools.bind(placesOf(network), allocation(request.id), signal);
    return network;
  };

  return {
    async allocate(request) {
      return (await persist(store, allocatorLimitMs, (signal) => hold(request, signal))).vni;
    },
    async free(id, signal) {
      for (const network of await networks.heldBy(allocation(id), signal)) {
        await release(id, network, signal);
        await remains.clear(network.key, signal);
      }
    },
  };
}

/** Where its pools are if they are of this driver: a swarm network has no name, so they are in the common name space. */
function placesOf(network: Network): readonly PoolPlace[] {
  const names = isOfSwarm(network.identity) ? [''] : [...new Set(['', nameSpaceOf(network)])];
  return names.flatMap((name) => network.subnets.map((subnet) => ({ name, subnet })));
}
