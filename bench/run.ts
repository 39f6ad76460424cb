/**
 * `npm run bench -- [--quick] [--out results/FILE.json] [--only packets|control]`: measures, writes the file, prints
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
}

const full = { isQuick: false, runs: 6, share: 1, count: 200, total: 1_000, news: 100 };
const quick = { isQuick: true, runs: 2, share: 0.1, count: 20, total: 40, news: 10 };

type Measured = Pick<Results, 'packetCost' | 'controlPlane' | 'propagation' | 'missing'>;

async function main(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...argv],
    options: { quick: { type: 'boolean' }, out: { type: 'string' }, only: { type: 'string' } },
  });
  if (values.only !== undefined && values.only !== 'packets' && values.only !== 'control') {
    throw new Error(`--only ${values.only}: give packets or control`);
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

/** Each part in a workshop of its own: what one leaves running must not disturb the next. */
async function measureAll(plan: Plan): Promise<Measured> {
  const left = plan.only === 'control' ? 'what a packet costs' : 'attaching a container, spreading the news of it';
  const skipped: Missing = { what: left, why: 'left out by --only' };
  const packets =
    plan.only === 'control'
      ? { scenarios: [], missing: [skipped] }
      : await inWorkshop((workshop) => measurePacketCost(workshop, { ...plan, tell }));
  if (plan.only === 'packets') {
    const missing = [...packets.missing, skipped];
    return { packetCost: packets.scenarios, controlPlane: [], propagation: [], missing };
  }
  const controlPlane: ControlPlaneFigures[] = [];
  for (const store of ['lmdb', 'consul'] as const) {
    controlPlane.push(...(await inWorkshop((workshop) => controlPlaneOn(store, workshop, plan))));
  }
  const propagation = [await inWorkshop((workshop) => propagationOnConsul(workshop, plan))];
  return { packetCost: packets.scenarios, controlPlane, propagation, missing: packets.missing };
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
