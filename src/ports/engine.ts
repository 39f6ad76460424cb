/**
 * The Docker engine whose plugin this daemon is, asked about what it still has. Only to read, and never from within a
 * call of the engine: it may hold the lock that the answer waits for.
 */

import type { EndpointId, NetworkId } from '../core/identity.ts';

export interface EngineNetwork {
  readonly name: string;
  readonly driver: string;
  readonly scope: string;
}

export interface SwarmNode {
  readonly name: string;
  readonly isReady: boolean;
  /** Names of the network plugins that are enabled there. */
  readonly plugins: ReadonlySet<string>;
}

export interface SwarmService {
  readonly name: string;
  /** Networks in which its name stands for a virtual address. */
  readonly virtualIn: readonly NetworkId[];
}

export interface EngineInventory {
  /** The engine's own id; it outlives restarts. */
  readonly id: string;
  readonly version: string;
  /** `inactive`, `worker` or `manager`; anything else is the engine's word for a swarm that is not in order. */
  readonly swarm: string;
  readonly networks: ReadonlyMap<NetworkId, EngineNetwork>;
  /** Of all containers that it has, as far as they have started. */
  readonly endpoints: ReadonlySet<EndpointId>;
  /** Of the whole swarm; empty where the engine is no manager, which alone may tell. */
  readonly nodes: readonly SwarmNode[];
  readonly services: readonly SwarmService[];
}

/** Every method throws ENGINE_UNREACHABLE when there is no engine, or it gives no usable answer in time. */
export interface Engine {
  inventory(signal: AbortSignal): Promise<EngineInventory>;
  /**
   * Endpoints of one network, those of containers that are still starting included; null when it has no such network.
   * A network that is being made is not there yet.
   */
  endpointsOf(network: NetworkId, signal: AbortSignal): Promise<ReadonlySet<EndpointId> | null>;
}
