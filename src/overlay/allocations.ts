/**
 * Networks that swarm's allocator has allocated, on whichever node leads: they exist in the cluster from then on, with
 * VNI and MTU settled, before any node has a container in them. A new leader allocates every network again, by the same
 * id and with the options it was answered, which changes nothing.
 */

import { allocation, isOfSwarm, type NetworkId } from '../core/identity.ts';
import type { Network } from '../core/model.ts';
import type { Vni } from '../core/vni.ts';
import type { Store } from '../ports/store.ts';
import type { Background } from './background.ts';
import { nameSpaceOf } from './claims.ts';
import { persist } from './limit.ts';
import type { Networks } from './networks.ts';
import type { Pools } from './pools.ts';
import type { Remains } from './remains.ts';
import { allocatorLimitMs, type NetworkRequest } from './requests.ts';
import type { PoolPlace } from './reservations.ts';

export interface Allocations {
  /** Resolves to its VNI. All of it, or nothing and the error. @throws NETWORK_CONFLICT, VNI_TAKEN */
  allocate(request: NetworkRequest): Promise<Vni>;
  /** The inverse; no-op for one that is not allocated. */
  free(id: NetworkId, signal: AbortSignal): Promise<void>;
}

export interface AllocationParts {
  readonly store: Pick<Store, 'kind'>;
  readonly networks: Networks;
  readonly pools: Pools;
  readonly remains: Remains;
  readonly background: Background;
}

export function createAllocations({ store, networks, pools, remains, background }: AllocationParts): Allocations {
  const release = async (id: NetworkId, network: Network, signal: AbortSignal): Promise<void> => {
    await pools.unbind(placesOf(network), allocation(id), signal);
    await networks.release(network.key, allocation(id), signal);
  };
  const free = async (id: NetworkId, signal: AbortSignal): Promise<void> => {
    for (const network of await networks.heldBy(allocation(id), signal)) {
      await release(id, network, signal);
      await remains.clear(network.key, signal);
    }
  };

  /** Answered by this process: what failed before is not to be undone any more. */
  const answered = new Set<NetworkId>();
  const undo = (id: NetworkId) => async (signal: AbortSignal) => {
    if (!answered.has(id)) await free(id, signal);
  };

  const hold = async (request: NetworkRequest, signal: AbortSignal): Promise<Network> => {
    const network = await networks.hold(request, allocation(request.id), signal);
    await pools.bind(placesOf(network), allocation(request.id), signal);
    return network;
  };

  return {
    async allocate(request) {
      const { id } = request;
      const subject = `allocation of network ${id}`;
      // Null: the store has not said, and what may have been there before is not to be undone.
      let wasThere: boolean | null = null;
      try {
        const { vni } = await persist(store, allocatorLimitMs, async (signal) => {
          wasThere ??= (await networks.heldBy(allocation(id), signal)).length > 0;
          return hold(request, signal);
        });
        answered.add(id);
        background.cancel(subject);
        return vni;
      } catch (error) {
        if (wasThere === false) await background.attempt(subject, undo(id));
        if (wasThere === false) background.doubt(error, subject, undo(id));
        throw error;
      }
    },
    async free(id, signal) {
      answered.delete(id);
      await free(id, signal);
    },
  };
}

/** Where its pools are if they are of this driver: a swarm network has no name, so they are in the common name space. */
function placesOf(network: Network): readonly PoolPlace[] {
  const names = isOfSwarm(network.identity) ? [''] : [...new Set(['', nameSpaceOf(network)])];
  return names.flatMap((name) => network.subnets.map((subnet) => ({ name, subnet })));
}
