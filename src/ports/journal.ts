/**
 * What this node must know without the store: which networks Docker created here and which endpoints it has. Docker
 * never replays CreateNetwork, so what is not written here is lost with the process.
 */

import type { Address, Subnet } from '../core/address.ts';
import type { EndpointId, NetworkId, NetworkIdentity, NetworkKey } from '../core/identity.ts';
import type { MacAddress } from '../core/mac.ts';
import type { Vni } from '../core/vni.ts';

/** A Docker network of this engine and the overlay it maps to. */
export interface LocalNetwork {
  readonly id: NetworkId;
  readonly key: NetworkKey;
  readonly identity: NetworkIdentity;
  readonly vni: Vni;
  readonly subnets: readonly Subnet[];
  readonly mtuBytes: number;
  readonly multicast: boolean;
  /** Gone for Docker, but the store has not been told everything yet. */
  readonly departed?: boolean | undefined;
}

export interface LocalEndpoint {
  readonly id: EndpointId;
  readonly networkId: NetworkId;
  readonly network: NetworkKey;
  readonly mac: MacAddress;
  readonly addresses: readonly Address[];
  readonly version: number;
  readonly isRouter?: true | undefined;
  /** Joined to a sandbox: forwarded and published. */
  readonly joined: boolean;
  /** The boot in which it was joined: interfaces do not survive a reboot. */
  readonly bootId: string;
  readonly departed?: boolean | undefined;
}

export interface JournalState {
  readonly networks: readonly LocalNetwork[];
  readonly endpoints: readonly LocalEndpoint[];
}

/** Each write is on disk when its promise settles. */
export interface Journal {
  load(): Promise<JournalState>;
  saveNetwork(network: LocalNetwork): Promise<void>;
  forgetNetwork(id: NetworkId): Promise<void>;
  saveEndpoint(endpoint: LocalEndpoint): Promise<void>;
  forgetEndpoint(id: EndpointId): Promise<void>;
  /** Id of the Docker engine that was found to be this daemon's; null: none yet. */
  loadEngine(): Promise<string | null>;
  saveEngine(id: string): Promise<void>;
}
