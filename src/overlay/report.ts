/** What the daemon tells about itself: read only, the source of the CLI, the control socket and the metrics. */

import type { PacketCounters } from '../ports/data-path.ts';

export interface StatusReport {
  readonly node: {
    readonly id: string;
    readonly name: string;
    readonly vtep: string;
    readonly port: number;
    /** Its IPv6 address, where `vtep` is its IPv4 one. */
    readonly alternate?: string | undefined;
    readonly epoch: number;
  };
  readonly version: string;
  readonly dataPath: { readonly kind: string; readonly reason: string };
  /** `digest`: of all records this node has applied; two nodes in the same networks with equal digests hold equal tables. */
  readonly store: { readonly kind: string; readonly state: 'live' | 'stale' | 'down'; readonly digest: string };
  readonly peers: readonly PeerReport[];
  readonly networks: readonly NetworkReport[];
  /** Packets not delivered, by reason. */
  readonly drops: Readonly<Record<string, number>>;
  /** What of the data path was found changed by someone else and put right, by kind: a table, or what is below them. */
  readonly repairs: Readonly<Record<string, number>>;
  /** Endpoints and networks that were released because the Docker engine did not have them any more, by kind. */
  readonly forgotten: Readonly<Record<string, number>>;
  readonly engine: EngineReport;
  /** What is wrong now, one sentence each with its remedy: corrupt records, failed writes that are retried. */
  readonly problems: readonly string[];
  /** What is as it was asked for, but may not be what was meant. */
  readonly notes: readonly string[];
}

/** The Docker engine on --docker-socket. */
export interface EngineReport {
  /** `unknown`: it has not answered; `off`: it is not asked. */
  readonly state: 'connected' | 'unknown' | 'off';
  readonly version: string | null;
  /** `inactive`, `worker`, `manager`, or the engine's word for a swarm that is not in order. */
  readonly swarm: string | null;
  /** Why it cannot be asked, or why it is not believed. */
  readonly problem: string | null;
}

export interface NodeReport {
  readonly id: string;
  readonly name: string;
  readonly vtep: string;
  readonly port: number;
  readonly alternate?: string | undefined;
  readonly mtuBytes: number;
  readonly epoch: number;
  readonly isSelf: boolean;
}

export interface NetworkReport {
  readonly name: string;
  readonly id: string;
  /** Docker's ids of it on this engine. */
  readonly dockerIds: readonly string[];
  readonly vni: number;
  readonly subnets: readonly string[];
  readonly mtuBytes: number;
  /** Endpoints on all nodes. */
  readonly endpoints: number;
}

export interface EndpointReport {
  readonly id: string;
  readonly network: string;
  readonly node: string;
  readonly mac: string;
  readonly addresses: readonly string[];
  readonly isLocal: boolean;
}

export interface PeerReport {
  readonly node: string;
  /** The one that this node sends to. */
  readonly address: string;
  readonly port: number;
  /** `reachable` or `unreachable` by the last probe of the path; `unknown` before the first. */
  readonly state: 'reachable' | 'unreachable' | 'unknown';
  /** Largest IP packet that was answered, which stays in force while the path is silent, and the round trip; null when not known. */
  readonly mtuBytes: number | null;
  readonly rttMs: number | null;
  /** Why no path can be. */
  readonly problem?: string | undefined;
}

export interface Reports {
  status(): Promise<StatusReport>;
  nodes(): Promise<readonly NodeReport[]>;
  networks(): Promise<readonly NetworkReport[]>;
  endpoints(): Promise<readonly EndpointReport[]>;
  peers(): Promise<readonly PeerReport[]>;
  counters(): Promise<PacketCounters>;
}
