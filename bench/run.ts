/**
 * `npm run bench -- [--quick] [--out results/FILE.json] [--only packets|control|paths]`: measures, writes the file, prints
 * the tables. All traffic is between namespaces the run makes itself, is bounded, and ends with it. Keep the machine
 * quiet meanwhile; the file says how busy it was.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { currentLoad, describeMachine, describeWeft } from './machine.ts';
import { buildMeter } from './meter.ts';
import type { ControlPlaneFigures, Missing, PropagationFigures, Results } from './results.ts';
import { measureControlPlane } from './scenarios/control-plane.ts';
import { measurePathMtu } from './scenarios/mtu.ts';
import { measurePacketCost } from './scenarios/packet-cost.ts';
import { measurePropagation } from './scenarios/propagation.ts';
import { toMarkdown } from './tables.ts';
import { openWorkshop, type Workshop } from './workshop.ts';

interface Plan {
  readonly isQuick: boolean;
  readonly only: string | undefined;
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

type Measured = Pick<Results, 'packetCost' | 'controlPlane' | 'propagation' | 'pathMtu' | 'missing'>;

async function main(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...argv],
    options: { quick: { type: 'boolean' }, out: { type: 'string' }, only: { type: 'string' } },
  });
  if (values.only !== undefined && !['packets', 'control', 'paths'].includes(values.only)) {
    throw new Error(`--only ${values.only}: give packets, control or paths`);
  }
  const plan: Plan = { ...(values.quick === true ? quick : full), only: values.only };
  const loadBefore = currentLoad();
  if (loadBefore > 0.5) tell(`the machine is busy (load average ${loadBefore}): figures will scatter`);
  await buildMeter();
  const measured = await measureAll(plan);
  const results: Results = {
    format: 1,
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

const parts = {
  packets: 'what a packet costs',
  control: 'attaching a container, spreading the news of it',
  paths: 'streams over paths of different MTU',
} as const;

/** Each part in a workshop of its own: what one leaves running must not disturb the next. */
async function measureAll(plan: Plan): Promise<Measured> {
  const isWanted = (part: keyof typeof parts) => plan.only === undefined || plan.only === part;
  const skipped = Object.entries(parts).filter(([part]) => !isWanted(part as keyof typeof parts));
  const packets = isWanted('packets')
    ? await inWorkshop((workshop) => measurePacketCost(workshop, { ...plan, tell }))
    : { scenarios: [], missing: [] };
  const pathMtu = isWanted('paths') ? await inWorkshop((workshop) => measurePathMtu(workshop, { ...plan, tell })) : [];
  const controlPlane: ControlPlaneFigures[] = [];
  for (const store of isWanted('control') ? (['lmdb', 'consul'] as const) : []) {
    controlPlane.push(...(await inWorkshop((workshop) => controlPlaneOn(store, workshop, plan))));
  }
  const propagation = isWanted('control') ? [await inWorkshop((workshop) => propagationOnConsul(workshop, plan))] : [];
  const left: readonly Missing[] = skipped.map(([, what]) => ({ what, why: 'left out by --only' }));
  return { packetCost: packets.scenarios, controlPlane, propagation, pathMtu, missing: [...packets.missing, ...left] };
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
