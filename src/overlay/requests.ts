/**
 * The verbs of the overlay as every driving adapter sees them, in domain values: adapters parse what comes from
 * outside into these and translate the answers back. Every verb is idempotent, answers within `verbLimitMs`
 * (`allocatorLimitMs` for what swarm's allocator asks) or fails with one OverlayError and nothing half done, and returns
 * only when the local data path is programmed.
 */

import type { Address, Family, Subnet } from '../core/address.ts';
import type { Brand } from '../core/brand.ts';
import type { EndpointId, NetworkId } from '../core/identity.ts';
import type { MacAddress } from '../core/mac.ts';
import type { Vni } from '../core/vni.ts';

/** Implementation: Docker waits without limit on a v1 socket, so the limit is ours. */
export const verbLimitMs = 3_000;
/**
 * Implementation: what swarm's allocator asks, and is refused, it asks again after five minutes (moby/swarmkit
 * manager/allocator, retryInterval); so an election in the store is waited for. The engine itself waits 30 s.
 */
export const allocatorLimitMs = 8_000;

/** A pool handed to Docker, opaque to it (pool-id.ts). */
export type PoolId = Brand<string, 'PoolId'>;

/** Who asks for pools and addresses: an engine for its own containers, or the leader's engine for the whole swarm. */
export type AddressSpace = 'local' | 'global';

export interface NetworkRequest {
  readonly id: NetworkId;
  /** The `weft.network` option. */
  readonly name: string | null;
  readonly subnets: readonly Subnet[];
  readonly vni: Vni | null;
  readonly mtuBytes: number | null;
  readonly multicast: boolean;
}

export interface EndpointRequest {
  readonly networkId: NetworkId;
  readonly id: EndpointId;
  readonly addresses: readonly Address[];
  /** As the user gave it; null: make one. */
  readonly mac: MacAddress | null;
  /** The `weft.router` option. */
  readonly isRouter?: boolean;
}

export interface PoolRequest {
  readonly space: AddressSpace;
  readonly family: Family;
  /** null: choose a free one. */
  readonly subnet: Subnet | null;
  /** --ip-range: addresses are chosen inside it. */
  readonly range: Subnet | null;
  /** The `weft.network` IPAM option. */
  readonly name: string | null;
}

export interface AddressRequest {
  readonly pool: PoolId;
  /** null: choose a free one. */
  readonly address: Address | null;
  /** The gateway is one per pool and shared by all engines. */
  readonly purpose: 'gateway' | 'endpoint';
}

export interface Verbs {
  /** For swarm: makes the network in the cluster, and nothing on this node. Resolves to its VNI. */
  allocateNetwork(request: NetworkRequest): Promise<Vni>;
  freeNetwork(id: NetworkId): Promise<void>;
  createNetwork(request: NetworkRequest): Promise<void>;
  deleteNetwork(id: NetworkId): Promise<void>;
  /** Resolves to the endpoint's MAC address, the given or a made one. */
  createEndpoint(request: EndpointRequest): Promise<MacAddress>;
  /** Resolves to the interface, in the daemon's namespace, that Docker is to move into the sandbox. */
  join(networkId: NetworkId, id: EndpointId): Promise<{ readonly interfaceName: string }>;
  leave(networkId: NetworkId, id: EndpointId): Promise<void>;
  deleteEndpoint(networkId: NetworkId, id: EndpointId): Promise<void>;
  /** Free-form facts for `docker inspect`. @throws ENDPOINT_UNKNOWN */
  endpointFacts(networkId: NetworkId, id: EndpointId): Promise<Readonly<Record<string, string>>>;
  requestPool(request: PoolRequest): Promise<{ readonly pool: PoolId; readonly subnet: Subnet }>;
  releasePool(pool: PoolId): Promise<void>;
  /** Resolves to `address/length`. */
  requestAddress(request: AddressRequest): Promise<string>;
  releaseAddress(pool: PoolId, address: Address): Promise<void>;
}
