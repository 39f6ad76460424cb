/** What a run of the bench writes to its JSON file, and the report reads. Times in ns or ms, as the names say. */

export interface Results {
  readonly format: 1;
  readonly takenAt: string;
  readonly isQuick: boolean;
  readonly weft: { readonly version: string; readonly commit: string; readonly isModified: boolean };
  readonly machine: Machine;
  readonly packetCost: readonly PacketScenario[];
  readonly controlPlane: readonly ControlPlaneFigures[];
  readonly propagation: readonly PropagationFigures[];
  /** Not in files from before it was measured. */
  readonly pathMtu?: readonly PathMtuFigures[];
  /** What was to be measured and could not be, and why. */
  readonly missing: readonly Missing[];
}

export interface Machine {
  readonly kernel: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryGiB: number;
  readonly node: string;
  /** Average number of processes that wanted a CPU in the minute before: all of it was not the bench. */
  readonly loadBefore: number;
}

export interface Missing {
  readonly what: string;
  readonly why: string;
}

export type Mode = 'udp' | 'rr' | 'tcprr' | 'stream';

/** Several paths measured in turn by one thread, in several runs. */
export interface PacketScenario {
  /** Two nodes, or two containers of one node. */
  readonly place: 'between nodes' | 'on one node';
  readonly mode: Mode;
  readonly bytes: number;
  readonly roundsPerRun: number;
  readonly paths: Readonly<Record<string, PathFigures>>;
}

export interface PathFigures {
  /** The median of each run, in ns per datagram, exchange or write. */
  readonly medianNs: readonly number[];
  readonly p99Ns: readonly number[];
  readonly samples: number;
  readonly lost: number;
}

export interface Percentiles {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Endpoints attached one after another through the plugin's socket. */
export interface ControlPlaneFigures {
  readonly store: 'lmdb' | 'consul';
  /** On the node, when these began. */
  readonly present: number;
  readonly count: number;
  readonly createAndJoin: Percentiles;
  readonly requestAddress: Percentiles;
  readonly createEndpoint: Percentiles;
  readonly join: Percentiles;
}

/** From the answer to Join on one node until every other node has the endpoint. */
export interface PropagationFigures {
  readonly store: 'lmdb' | 'consul';
  readonly nodes: number;
  readonly count: number;
  readonly known: Percentiles;
}

/** TCP over a path, with the network's MTU left to Weft and with one that suits the path, in turn; seconds per transfer. */
export interface PathMtuFigures {
  readonly pathBytes: number;
  /** The router drops what is too big without a word. */
  readonly isMute: boolean;
  /** Of the containers. */
  readonly family: 'ipv4' | 'ipv6';
  readonly mebibytes: number;
  readonly automatic: readonly number[];
  readonly tuned: readonly number[];
}
