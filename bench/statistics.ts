/** Order statistics; of the noise of a shared machine they see least. */

import type { Percentiles } from './results.ts';

/** The value below which a share of the values lies. NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const upper = quantile(values, 0.5);
  return values.length % 2 === 1 ? upper : (upper + quantile(values, 0.5 - 1 / values.length)) / 2;
}

export function percentiles(valuesMs: readonly number[]): Percentiles {
  return { p50Ms: quantile(valuesMs, 0.5), p99Ms: quantile(valuesMs, 0.99) };
}

export interface Ratio {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** How many times the first costs as much as the second, run by run. */
export function ratioOf(one: readonly number[], other: readonly number[]): Ratio {
  const ratios = one.map((value, run) => value / (other[run] ?? Number.NaN));
  return { median: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) };
}
