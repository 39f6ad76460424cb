/**
 * Keeps the table of members true: asks the endpoints what they are in, and forgets what two rounds of questions brought no
 * answer for. While nobody asks, because the daemon is away, nothing is forgotten.
 *
 *      round n   forget what was last reported before round n - 2 ─▶ ask every port
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { queryFrames } from './query.ts';

export interface Querier {
  stop(): Promise<void>;
}

interface QuerierCharge {
  /** Puts the frames on the wire to each port in a network with multicast. */
  ask(frames: readonly Uint8Array[]): Promise<void>;
  /** Forgets what was last reported before this instant, in nanoseconds of the monotonic clock. */
  expire(before: bigint): Promise<void>;
  failed(error: unknown): void;
}

/** Specification: the default of RFC 3376 section 8.2. */
const defaultIntervalMs = 125_000;
/** Implementation. */
const responseMs = 1_000;
const roundsToExpire = 2;

/** The first round begins at once. */
export function startQuerier(charge: QuerierCharge, intervalMs = defaultIntervalMs): Querier {
  const stopped = new AbortController();
  const { signal } = stopped;
  const frames = queryFrames({ intervalSeconds: Math.ceil(intervalMs / 1_000), responseMs });
  const asked: bigint[] = [];

  const round = async (): Promise<void> => {
    const before = asked.length < roundsToExpire ? 0n : (asked.shift() ?? 0n);
    await charge.expire(before);
    const now = process.hrtime.bigint();
    await charge.ask(frames);
    asked.push(now);
  };
  const keepAsking = async (): Promise<void> => {
    while (!signal.aborted) {
      await round().catch(charge.failed);
      await sleep(intervalMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  };
  const asking = keepAsking();
  return {
    stop: () => {
      stopped.abort();
      return asking;
    },
  };
}
