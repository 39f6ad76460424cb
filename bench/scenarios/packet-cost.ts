/**
 * What a packet costs in CPU time from one container's system call into another's receive queue, both nodes included
 * (meter.c says why one thread can tell). All paths of a scenario are measured in turn within one process, and the
 * whole is repeated in several processes, so that no path has a quiet moment for itself.
 *
 * Baselines: the vxlan device with a bridge, as Docker's overlay has it; the bare underlay and forwarding without
 * encapsulation are the limits. On one node: a bridge, and a bare cable.
 *
 * An emulated network card is the same cable when the sending node's kernel cuts TCP into packets before it (no TSO, no
 * GSO) and the receiving one's puts them together again (GRO): how much it puts together shows in the size of the packets
 * that reach the container.
 */

import { run } from '../../test/kit/command.ts';
import { insideNetns } from '../../test/kit/netns.ts';
import { type Load, measure } from '../meter.ts';
import { bridge, forward, kernel, type LaidPath, underlay, veth, weft } from '../paths.ts';
import type { Missing, PacketScenario, PathFigures, Place } from '../results.ts';
import { plain } from '../standing.ts';
import type { Workshop } from '../workshop.ts';

export interface PacketCostOptions {
  readonly runs: number;
  /** Of the rounds below, what share is done. */
  readonly share: number;
  readonly tell: (line: string) => void;
}

/** Enough rounds for some 1,500 samples per path and run; a stream's samples are the longest. */
const datagrams: readonly Load[] = [
  { mode: 'udp', bytes: 64, rounds: 100 },
  { mode: 'udp', bytes: 1000, rounds: 100 },
];
const exchanges: readonly Load[] = [
  { mode: 'rr', bytes: 64, rounds: 50 },
  { mode: 'tcprr', bytes: 64, rounds: 50 },
];
const stream: Load = { mode: 'stream', bytes: 65_536, rounds: 40 };
const loads: Readonly<Record<Place, readonly Load[]>> = {
  'between nodes': [...datagrams, ...exchanges, stream],
  'between nodes, IPv6 inside': [...datagrams, ...exchanges, stream],
  'between nodes over IPv6': [...datagrams.slice(0, 1), ...exchanges, stream],
  'emulated network card': [{ ...stream, rounds: 10 }],
  'on one node': [...datagrams.slice(0, 1), ...exchanges, stream],
};

interface Scenario {
  readonly place: Place;
  readonly load: Load;
  readonly paths: readonly LaidPath[];
  readonly figures: Map<string, PathFigures>;
}

export async function measurePacketCost(
  workshop: Workshop,
  options: PacketCostOptions,
): Promise<{ readonly scenarios: readonly PacketScenario[]; readonly missing: readonly Missing[] }> {
  const { paths, missing } = await layPaths(workshop);
  const scenarios = (Object.keys(loads) as Place[]).flatMap((place) =>
    loads[place].map((load) => scenario(place, load, paths, options.share)),
  );
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
  const { remote, local } = await weft(workshop, 'w');
  const overIpv6 = [
    (await weft(workshop, 's', 'ipv6')).remote,
    await kernel(workshop, 'kernel', 'ipv6'),
    await kernel(workshop, 'kernel_nonf', 'ipv6'),
  ];
  const floors = [await underlay(workshop), await plain(workshop), await forward(workshop)];
  const why = 'this kernel has no br_netfilter (net.bridge.bridge-nf-call-iptables)';
  const missing: Missing[] = [];
  if (withNetfilter === null) missing.push({ what: 'vxlan device and bridge with br_netfilter on', why });
  if (onBridge === null) missing.push({ what: 'bridge with br_netfilter on', why });
  const there = (all: readonly (LaidPath | null)[]) => all.filter((path) => path !== null);
  const between = there([...floors, remote, withNetfilter, without]);
  const paths: Readonly<Record<Place, readonly LaidPath[]>> = {
    'between nodes': between,
    'between nodes, IPv6 inside': between.map((path) => ({ ...path, address: path.address6 })),
    'between nodes over IPv6': there([...floors, ...overIpv6]),
    'emulated network card': between.filter(({ label }) => label !== 'plain' && label !== 'forward'),
    'on one node': there([await veth(workshop), local, onBridge]),
  };
  return { paths, missing };
}

function scenario(
  place: Place,
  load: Load,
  paths: Readonly<Record<Place, readonly LaidPath[]>>,
  share: number,
): Scenario {
  const rounds = Math.max(1, Math.round(load.rounds * share));
  return { place, load: { ...load, rounds }, paths: paths[place], figures: new Map() };
}

async function runOnce({ place, load, paths, figures }: Scenario, { env }: Workshop): Promise<void> {
  const isCard = place === 'emulated network card';
  if (isCard) await emulateCards(paths, true);
  const before = await Promise.all(paths.map(received));
  const measured = await measure(paths, load, env);
  const after = await Promise.all(paths.map(received));
  if (isCard) await emulateCards(paths, false);
  measured.forEach(({ label, medianNs, p99Ns, samples, lost }, i) => {
    const earlier = figures.get(label) ?? { medianNs: [], p99Ns: [], packetBytes: [], samples: 0, lost: 0 };
    if (medianNs === undefined || p99Ns === undefined) throw new Error(`${label}: nothing arrived (${load.mode})`);
    figures.set(label, {
      medianNs: [...earlier.medianNs, medianNs],
      p99Ns: [...earlier.p99Ns, p99Ns],
      packetBytes: [...earlier.packetBytes, meanPacket(before[i], after[i])],
      samples: earlier.samples + samples,
      lost: earlier.lost + lost,
    });
  });
}

async function emulateCards(paths: readonly LaidPath[], on: boolean): Promise<void> {
  const settings = on ? ['tso', 'off', 'gso', 'off', 'gro', 'on'] : ['tso', 'on', 'gso', 'on', 'gro', 'off'];
  for (const node of paths.flatMap(({ nodes }) => nodes)) {
    await run([...insideNetns(node), 'ethtool', '-K', 'eth0', ...settings]);
  }
}

interface Received {
  readonly packets: number;
  readonly bytes: number;
}

/** What the receiving end's device has counted so far. */
async function received({ to }: LaidPath): Promise<Received> {
  const [link] = JSON.parse(
    await run([...insideNetns(to), 'ip', '-json', '-statistics', 'link', 'show', 'dev', 'eth0']),
  );
  return link.stats64.rx;
}

function meanPacket(before: Received | undefined, after: Received | undefined): number {
  if (before === undefined || after === undefined) return Number.NaN;
  return Math.round((after.bytes - before.bytes) / (after.packets - before.packets));
}

function figuresOf({ place, load, figures }: Scenario): PacketScenario {
  const { mode, bytes, rounds } = load;
  return { place, mode, bytes, roundsPerRun: rounds, paths: Object.fromEntries(figures) };
}
