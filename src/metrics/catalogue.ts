/**
 * Every metric of Weft: name, kind, meaning, labels, and how its values follow from what the daemon reports. Labels
 * are bounded by what an operator creates (networks, nodes, reasons); a MAC or container address is never one.
 * docs/metrics.md is generated from this table.
 */

import type { StatusReport } from '../overlay/report.ts';
import type { PacketCounters } from '../ports/data-path.ts';

/** What one scrape sees. */
export interface Sample {
  readonly status: StatusReport;
  readonly counters: PacketCounters;
  readonly process: {
    readonly residentBytes: number;
    readonly cpuSeconds: number;
    /** Unix time. */
    readonly startedSeconds: number;
  };
}

export interface Value {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Metric {
  readonly name: `weft_${string}`;
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly labels: readonly string[];
  /** No value: nothing is known about it now. */
  read(sample: Sample): readonly Value[];
}

/** How a data path marks the counter of a packet that was not delivered (ports/data-path.ts). */
const dropPrefix = 'drop_';

export const catalogue: readonly Metric[] = [
  {
    name: 'weft_build_info',
    kind: 'gauge',
    help: 'Always 1; the labels tell version, node and data path.',
    labels: ['version', 'node', 'data_path'],
    read: ({ status }) => [one({ version: status.version, node: status.node.name, data_path: status.dataPath.kind })],
  },
  {
    name: 'weft_packets_total',
    kind: 'counter',
    help: 'Packets the data path dealt with, by outcome; dropped ones are in weft_dropped_packets_total.',
    labels: ['outcome'],
    read: ({ counters }) => delivered(counters).map(([outcome, { packets }]) => value({ outcome }, packets)),
  },
  {
    name: 'weft_bytes_total',
    kind: 'counter',
    help: 'Bytes of these packets, by outcome.',
    labels: ['outcome'],
    read: ({ counters }) => delivered(counters).map(([outcome, { bytes }]) => value({ outcome }, bytes)),
  },
  {
    name: 'weft_dropped_packets_total',
    kind: 'counter',
    help: 'Packets not delivered, by reason.',
    labels: ['reason'],
    read: ({ counters }) => dropped(counters).map(([reason, { packets }]) => value({ reason }, packets)),
  },
  {
    name: 'weft_dropped_bytes_total',
    kind: 'counter',
    help: 'Bytes of packets not delivered, by reason.',
    labels: ['reason'],
    read: ({ counters }) => dropped(counters).map(([reason, { bytes }]) => value({ reason }, bytes)),
  },
  {
    name: 'weft_network_endpoints',
    kind: 'gauge',
    help: 'Endpoints of a network, on all nodes.',
    labels: ['network', 'vni'],
    read: ({ status }) => perNetwork(status, ({ endpoints }) => endpoints),
  },
  {
    name: 'weft_network_mtu_bytes',
    kind: 'gauge',
    help: 'MTU that the containers of a network see.',
    labels: ['network', 'vni'],
    read: ({ status }) => perNetwork(status, ({ mtuBytes }) => mtuBytes),
  },
  {
    name: 'weft_peers',
    kind: 'gauge',
    help: 'Other nodes, by the state of the path to them.',
    labels: ['state'],
    read: ({ status: { peers } }) =>
      (['reachable', 'unreachable', 'unknown'] as const).map((state) =>
        value({ state }, peers.filter((peer) => peer.state === state).length),
      ),
  },
  {
    name: 'weft_peer_reachable',
    kind: 'gauge',
    help: '1 when the VTEP of a node answered the last probe, 0 when not; absent before the first.',
    labels: ['peer'],
    read: ({ status }) => perPeer(status, ({ state }) => (state === 'unknown' ? null : Number(state === 'reachable'))),
  },
  {
    name: 'weft_peer_mtu_bytes',
    kind: 'gauge',
    help: 'Largest IP packet that was answered on the path to a node.',
    labels: ['peer'],
    read: ({ status }) => perPeer(status, ({ mtuBytes }) => mtuBytes),
  },
  {
    name: 'weft_peer_round_trip_seconds',
    kind: 'gauge',
    help: 'Round trip of the last answered probe to a node.',
    labels: ['peer'],
    read: ({ status }) => perPeer(status, ({ rttMs }) => (rttMs === null ? null : rttMs / 1_000)),
  },
  {
    name: 'weft_store_state',
    kind: 'gauge',
    help: '1 for the state the store is in, 0 for the others; stale and down leave the last known tables in force.',
    labels: ['store', 'state'],
    read: ({ status: { store } }) =>
      (['live', 'stale', 'down'] as const).map((state) =>
        value({ store: store.kind, state }, Number(state === store.state)),
      ),
  },
  {
    name: 'weft_repairs_total',
    kind: 'counter',
    help: 'What of the data path was found changed by someone else and put right, by kind: a table, or address, device, pin, program, settings.',
    labels: ['kind'],
    read: ({ status }) => Object.entries(status.repairs).map(([kind, count]) => value({ kind }, count)),
  },
  {
    name: 'weft_forgotten_total',
    kind: 'counter',
    help: 'Endpoints and networks that were released because the Docker engine did not have them any more, by kind.',
    labels: ['kind'],
    read: ({ status }) => Object.entries(status.forgotten).map(([kind, count]) => value({ kind }, count)),
  },
  {
    name: 'weft_engine_connected',
    kind: 'gauge',
    help: '1 when the Docker engine answered the last question, 0 when not; absent when it is not asked.',
    labels: [],
    read: ({ status: { engine } }) => (engine.state === 'off' ? [] : [value({}, Number(engine.state === 'connected'))]),
  },
  {
    name: 'weft_problems',
    kind: 'gauge',
    help: 'Things that are wrong now; weft status spells them out.',
    labels: [],
    read: ({ status }) => [value({}, status.problems.length)],
  },
  {
    name: 'weft_process_resident_memory_bytes',
    kind: 'gauge',
    help: 'Memory of the daemon that is in RAM.',
    labels: [],
    read: ({ process }) => [value({}, process.residentBytes)],
  },
  {
    name: 'weft_process_cpu_seconds_total',
    kind: 'counter',
    help: 'CPU time the daemon used, user and system. What the data path uses in the kernel is not in it.',
    labels: [],
    read: ({ process }) => [value({}, process.cpuSeconds)],
  },
  {
    name: 'weft_process_start_time_seconds',
    kind: 'gauge',
    help: 'When the daemon started, in Unix time.',
    labels: [],
    read: ({ process }) => [value({}, process.startedSeconds)],
  },
];

function value(labels: Value['labels'], amount: number): Value {
  return { labels, value: amount };
}

function one(labels: Value['labels']): Value {
  return value(labels, 1);
}

type Counter = readonly [name: string, counter: PacketCounters[string]];

function delivered(counters: PacketCounters): Counter[] {
  return Object.entries(counters).filter(([name]) => !name.startsWith(dropPrefix));
}

/** With the prefix cut off: the name of the reason alone. */
function dropped(counters: PacketCounters): Counter[] {
  return Object.entries(counters)
    .filter(([name]) => name.startsWith(dropPrefix))
    .map(([name, counter]) => [name.slice(dropPrefix.length), counter]);
}

function perNetwork({ networks }: StatusReport, read: (network: StatusReport['networks'][number]) => number): Value[] {
  return networks.map((network) => value({ network: network.name, vni: String(network.vni) }, read(network)));
}

function perPeer({ peers }: StatusReport, read: (peer: StatusReport['peers'][number]) => number | null): Value[] {
  return peers.flatMap((peer) => {
    const amount = read(peer);
    return amount === null ? [] : [value({ peer: peer.node }, amount)];
  });
}
