/**
 * What each check and each choice costs: variants of the programs take turns on one and the same devices and tables,
 * exchanged between turns, and are compared turn by turn with the programs as they are.
 */

import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../src/errors.ts';
import { measure, type Path } from '../meter.ts';
import type { Missing, VariantFigures } from '../results.ts';
import { compileEdited, prepare, type Standing, standing } from '../standing.ts';
import { type Variant, variants } from '../variants.ts';
import type { Workshop } from '../workshop.ts';
import type { PacketCostOptions } from './packet-cost.ts';

const load = { mode: 'udp', bytes: 64, rounds: 120 } as const;

export async function measureVariants(
  workshop: Workshop,
  { runs, share, tell }: PacketCostOptions,
): Promise<{ readonly figures: readonly VariantFigures[]; readonly missing: readonly Missing[] }> {
  const stand = await standing(workshop, 'x');
  const { paths, missing } = await makePaths(stand, workshop.lab.directory);
  const found = new Map<string, { baseNs: number[]; overNs: number[] }>();
  for (let run = 1; run <= runs; run += 1) {
    tell(`variants: run ${run} of ${runs}`);
    const rounds = Math.max(1, Math.round(load.rounds * share));
    const measured = await measure(paths, { ...load, rounds }, workshop.env);
    const baseNs = measured[0]?.medianNs ?? Number.NaN;
    for (const { label, overFirstNs = Number.NaN } of measured) {
      const figures = found.get(label) ?? { baseNs: [], overNs: [] };
      figures.baseNs.push(baseNs);
      figures.overNs.push(overFirstNs);
      found.set(label, figures);
    }
  }
  const figures = variants.flatMap(({ label, title }) => {
    const measured = found.get(label);
    return measured === undefined ? [] : [{ title, ...measured }];
  });
  return { figures, missing };
}

async function makePaths({ remote, sides }: Standing, directory: string) {
  const objects = mkdtempSync(join(directory, 'variants-'));
  const paths: Path[] = [];
  const missing: Missing[] = [];
  for (const variant of variants) {
    try {
      const object = await compileEdited(join(objects, variant.label), variant.edits);
      const swaps = sides.flatMap((side) => prepare(side, object, variant.label, {}));
      paths.push({ ...remote, label: variant.label, swaps });
    } catch (error) {
      missing.push(notMade(variant, error));
    }
  }
  return { paths, missing };
}

/** The source moves on, and an edit that no longer fits it must not stop the rest. */
function notMade({ label, title }: Variant, error: unknown): Missing {
  if (label === 'full') throw error;
  return { what: `variant: ${title}`, why: messageOf(error).split('\n')[0] ?? '' };
}
