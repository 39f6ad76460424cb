/**
 * How often a watched prefix may be read again. The first change after a quiet time passes at once; while changes go
 * on, reads keep a distance that grows with what one of them costs:
 *
 *   distance = clamp(bytes / bytesPerSecond, shortestMs, longestMs) ± 25 %
 *
 * The jitter keeps a thousand watchers of one prefix from reading in step.
 */

import { pause } from './deadline.ts';

export interface Pace {
  readonly shortestMs: number;
  readonly longestMs: number;
  readonly bytesPerSecond: number;
}

export interface HoldDown {
  /** Something was read just now, this much of it. */
  note(bytes: number): void;
  /** Resolves when the next read may begin. */
  wait(signal: AbortSignal): Promise<void>;
}

/** Implementation: spread of the jitter to either side. */
const spread = 0.25;

export function createHoldDown(pace: Pace, random: () => number = Math.random): HoldDown {
  let readyAt = 0;
  return {
    note(bytes) {
      const jitter = 1 - spread + 2 * spread * random();
      readyAt = performance.now() + distanceMs(pace, bytes) * jitter;
    },
    async wait(signal) {
      const left = readyAt - performance.now();
      if (left > 0) await pause(left, signal);
    },
  };
}

export function distanceMs(pace: Pace, bytes: number): number {
  return Math.min(pace.longestMs, Math.max(pace.shortestMs, (bytes / pace.bytesPerSecond) * 1_000));
}
