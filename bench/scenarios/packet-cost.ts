/**
 * What a packet costs in CPU time from one container's system call into another's receive queue, both nodes included
 * (meter.c says why one thread can tell). All paths of a scenario are measured in turn within one process, and the
 * whole is repeated in several processes, so that no path has a quiet moment for itself.
 *
 * Baselines: the vxlan device with a bridge, as Docker's overlay has it; the bare underlay is the limit. On one node: a
 * bridge, and a bare cable.
 */

import { type Load, measure, type Path } from '../meter.ts';
import { bridge, forward, kernel, underlay, veth, weft } from '../paths.ts';
import type { Missing, PacketScenario, PathFigures } from '../results.ts';
import type { Workshop } from '../workshop.ts';

export interface PacketCostOptions {
  readonly runs: number;
  /** Of the rounds below, what share is done. */
  readonly share: number;
  readonly tell: (line: string) => void;
}

/** Enough rounds for some 3,000 samples per path and run; a stream's samples are the longest. */
const betweenNodes: readonly Load[] = [
  { mode: 'udp', bytes: 64, rounds: 200 },
  { mode: 'udp', bytes: 1000, rounds: 200 },
  { mode: 'rr', bytes: 64, rounds: 100 },
  { mode: 'tcprr', bytes: 64, rounds: 100 },
  { mode: 'stream', bytes: 65_536, rounds: 60 },
];
const onOneNode: readonly Load[] = betweenNodes.filter(({ bytes }) => bytes !== 1000);

type Place = PacketScenario['place'];

interface Scenario {
  readonly place: Place;
  readonly load: Load;
  readonly paths: readonly Path[];
  readonly figures: Map<string, PathFigures>;
}

export async function measurePacketCost(
  workshop: Workshop,
  options: PacketCostOptions,
): Promise<{ readonly scenarios: readonly PacketScenario[]; readonly missing: readonly Missing[] }> {
  const { paths, missing } = await layPaths(workshop);
  const scenarios = [
    ...betweenNodes.map((load) => scenario('between nodes', load, paths, options.share)),
    ...onOneNode.map((load) => scenario('on one node', load, paths, options.share)),
  ];
  for (let run = 1; run <= options.runs; run += 1) {
    options.tell(`packet cost: run ${run} of ${options.runs}`);
    for (const each of scenarios) await runOnce(each, workshop);
  }
  return { scenarios: scenarios.map(figuresOf), missing };
}

async function layPaths(workshop: Workshop) {
  const withNetfilter = await kernel(workshop, 'kernel');
  const without = await kernel(workshop, 'kernel_nonf');
  const onBridge = await bridge(workshop);
  const [remote, local] = await weft(workshop);
  const between = [await underlay(workshop), await forward(workshop), remote, withNetfilter, without];
  const inside = [await veth(workshop), local, onBridge];
  const why = 'this kernel has no br_netfilter (net.bridge.bridge-nf-call-iptables)';
  const missing: Missing[] = [];
  if (withNetfilter === null) missing.push({ what: 'vxlan device and bridge with br_netfilter on', why });
  if (onBridge === null) missing.push({ what: 'bridge with br_netfilter on', why });
  const paths: Readonly<Record<Place, readonly Path[]>> = {
    'between nodes': between.filter((path) => path !== null),
    'on one node': inside.filter((path) => path !== null),
  };
  return { paths, missing };
}

function scenario(place: Place, load: Load, paths: Readonly<Record<Place, readonly Path[]>>, share: number): Scenario {
  const rounds = Math.max(1, Math.round(load.rounds * share));
  return { place, load: { ...load, rounds }, paths: paths[place], figures: new Map() };
}

async function runOnce({ load, paths, figures }: Scenario, { env }: Workshop): Promise<void> {
  for (const { label, medianNs, p99Ns, samples, lost } of await measure(paths, load, env)) {
    const before = figures.get(label) ?? { medianNs: [], p99Ns: [], samples: 0, lost: 0 };
    if (medianNs === undefined || p99Ns === undefined) throw new Error(`${label}: nothing arrived (${load.mode})`);
    figures.set(label, {
      medianNs: [...before.medianNs, medianNs],
      p99Ns: [...before.p99Ns, p99Ns],
      samples: before.samples + samples,
      lost: before.lost + lost,
    });
  }
}

function figuresOf({ place, load, figures }: Scenario): PacketScenario {
  const { mode, bytes, rounds } = load;
  return { place, mode, bytes, roundsPerRun: rounds, paths: Object.fromEntries(figures) };
}
