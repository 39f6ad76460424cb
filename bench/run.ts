/**
 * `npm run bench -- [--quick] [--out results/FILE.json] [--only PART,...]`: measures, writes the file, prints the tables.
 * Parts: packets, variants, broadcast, paths, control, propagation; all take about ten minutes. All traffic is between namespaces the
 * run makes itself, is bounded, and ends with it. Keep the machine quiet meanwhile; the file says how busy it was.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { currentLoad, describeMachine, describeWeft } from './machine.ts';
import { buildMeter } from './meter.ts';
import type { ControlPlaneFigures, PropagationFigures, Results } from './results.ts';
import { measureBroadcast } from './scenarios/broadcast.ts';
import { measureControlPlane } from './scenarios/control-plane.ts';
import { measurePathMtu } from './scenarios/mtu.ts';
import { measurePacketCost } from './scenarios/packet-cost.ts';
import { measurePropagation } from './scenarios/propagation.ts';
import { measureVariants } from './scenarios/variants.ts';
import { toMarkdown } from './tables.ts';
import { openWorkshop, type Workshop } from './workshop.ts';

interface Plan {
  readonly isQuick: boolean;
  readonly parts: ReadonlySet<Part>;
  readonly runs: number;
  readonly share: number;
  /** Endpoints: in one row of figures, in all, and for the spreading of news. */
  readonly count: number;
  readonly total: number;
  readonly news: number;
  readonly mebibytes: number;
}

const full = { isQuick: false, runs: 6, share: 1, count: 200, total: 1_000, news: 100, mebibytes: 100 };
const quick = { isQuick: true, runs: 2, share: 0.1, count: 20, total: 40, news: 10, mebibytes: 10 };

const titles = {
  packets: 'what a packet costs',
  variants: 'what each check of the programs costs',
  broadcast: 'what a broadcast costs',
  paths: 'streams over paths of different MTU',
  control: 'attaching a container',
  propagation: 'spreading the news of an endpoint',
} as const;
type Part = keyof typeof titles;

type Measured = Omit<Results, 'format' | 'takenAt' | 'isQuick' | 'weft' | 'machine'>;

async function main(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...argv],
    options: { quick: { type: 'boolean' }, out: { type: 'string' }, only: { type: 'string' } },
  });
  const plan: Plan = { ...(values.quick === true ? quick : full), parts: partsOf(values.only) };
  const loadBefore = currentLoad();
  if (loadBefore > 0.5) tell(`the machine is busy (load average ${loadBefore}): figures will scatter`);
  await buildMeter();
  const measured = await measureAll(plan);
  const results: Results = {
    format: 2,
    takenAt: new Date().toISOString(),
    isQuick: plan.isQuick,
    weft: await describeWeft(),
    machine: describeMachine(loadBefore),
    ...measured,
  };
  if (values.out !== undefined) {
    mkdirSync(dirname(values.out), { recursive: true });
    writeFileSync(values.out, `${JSON.stringify(results, null, 2)}\n`);
    tell(`written: ${values.out}`);
  }
  process.stdout.write(`${toMarkdown(results)}\n`);
}

function partsOf(only: string | undefined): ReadonlySet<Part> {
  const known = Object.keys(titles) as Part[];
  if (only === undefined) return new Set(known);
  return new Set(
    only.split(',').map((name) => {
      const part = known.find((each) => each === name);
      if (part === undefined) throw new Error(`--only ${only}: parts are ${known.join(', ')}`);
      return part;
    }),
  );
}

/** Each part in a workshop of its own: what one leaves running must not disturb the next. */
async function measureAll(plan: Plan): Promise<Measured> {
  const options = { ...plan, tell };
  const part = <Value>(name: Part, otherwise: Value, work: (workshop: Workshop) => Promise<Value>) =>
    plan.parts.has(name) ? inWorkshop(work) : otherwise;
  const nothing = { scenarios: [], figures: [], missing: [] };
  const packets = await part('packets', nothing, (workshop) => measurePacketCost(workshop, options));
  const variants = await part('variants', nothing, (workshop) => measureVariants(workshop, options));
  const broadcast = await part('broadcast', [], (workshop) => measureBroadcast(workshop, options));
  const pathMtu = await part('paths', [], (workshop) => measurePathMtu(workshop, options));
  const controlPlane: ControlPlaneFigures[] = [];
  for (const store of ['lmdb', 'consul'] as const) {
    controlPlane.push(...(await part('control', [], (workshop) => controlPlaneOn(store, workshop, plan))));
  }
  const propagation = await part('propagation', [], async (workshop) => [await propagationOnConsul(workshop, plan)]);
  const leftOut = (Object.keys(titles) as Part[]).filter((name) => !plan.parts.has(name));
  return {
    packetCost: packets.scenarios,
    variants: variants.figures,
    broadcast,
    pathMtu,
    controlPlane,
    propagation,
    missing: [
      ...packets.missing,
      ...variants.missing,
      ...leftOut.map((name) => ({ what: titles[name], why: 'left out by --only' })),
    ],
  };
}

async function inWorkshop<Value>(work: (workshop: Workshop) => Promise<Value>): Promise<Value> {
  const workshop = await openWorkshop();
  try {
    return await work(workshop);
  } finally {
    await workshop.close();
  }
}

async function controlPlaneOn(store: 'lmdb' | 'consul', { lab }: Workshop, plan: Plan) {
  const url = store === 'lmdb' ? lab.embeddedStore : (await lab.consul()).url;
  return measureControlPlane([await lab.node(), await lab.node()], { ...plan, store, url, tell });
}

async function propagationOnConsul({ lab }: Workshop, plan: Plan): Promise<PropagationFigures> {
  const { url } = await lab.consul();
  const nodes = [await lab.node(), await lab.node(), await lab.node()];
  return measurePropagation(nodes, { store: 'consul', url, count: plan.news, tell });
}

function tell(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  tell(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
