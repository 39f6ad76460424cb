/** What a run of the bench writes to its JSON file, and the report reads. Times in ns or ms, as the names say. */

export interface Results {
  readonly format: 2;
  readonly takenAt: string;
  readonly isQuick: boolean;
  readonly weft: { readonly version: string; readonly commit: string; readonly isModified: boolean };
  readonly machine: Machine;
  readonly packetCost: readonly PacketScenario[];
  readonly variants: readonly VariantFigures[];
  readonly broadcast: readonly BroadcastFigures[];
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

/** Two nodes, or two containers of one node; the emulated card is explained in packet-cost.ts. */
export type Place =
  | 'between nodes'
  | 'between nodes, IPv6 inside'
  | 'between nodes over IPv6'
  | 'emulated network card'
  | 'on one node';

/** Several paths measured in turn by one thread, in several runs. */
export interface PacketScenario {
  readonly place: Place;
  readonly mode: Mode;
  readonly bytes: number;
  readonly roundsPerRun: number;
  readonly paths: Readonly<Record<string, PathFigures>>;
}

export interface PathFigures {
  /** The median of each run, in ns per datagram, exchange or write. */
  readonly medianNs: readonly number[];
  readonly p99Ns: readonly number[];
  /** Mean size of the packets that reached the receiving end's device, acknowledgements of the other end not among them. */
  readonly packetBytes: readonly number[];
  readonly samples: number;
  readonly lost: number;
}

/** The programs with something changed or left out, against the programs as they are. UDP, one way, 64 bytes. */
export interface VariantFigures {
  readonly title: string;
  /** Of the programs as they are, run by run. */
  readonly baseNs: readonly number[];
  /** What the variant costs more, run by run. */
  readonly overNs: readonly number[];
}

/** What one broadcast costs its sender, all copies made and sent, run by run. */
export interface BroadcastFigures {
  readonly path: 'weft' | 'kernel';
  readonly remotes: number;
  readonly medianNs: readonly number[];
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
