/**
 * Whether the store answers, asked now and then: a watch alone cannot tell a store without news from one that hangs, or
 * a network in between that swallows everything. Its word is for `weft status`, and for looking afresh at everything
 * when the store is back: what a watch waited for may have been lost with its connection.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import type { Store, StoreKey } from '../ports/store.ts';
import { timeLimit } from './limit.ts';

export interface Heartbeat {
  /** Why the store did not answer the last time, null when it did. */
  problem(): string | null;
  close(): Promise<void>;
}

/** Implementation: one read of one key in this time; 0.13 ms of Consul's time each (measured). */
const intervalMs = 5_000;
/** Implementation: while it is away, so that its return is seen soon. */
const awayIntervalMs = 1_000;
const limitMs = 2_000;

export function startHeartbeat(store: Store, key: StoreKey, onReturn: () => void): Heartbeat {
  const closing = new AbortController();
  let problem: string | null = null;

  const beat = async (): Promise<void> => {
    const before = problem;
    try {
      await store.get([key], timeLimit(store, limitMs, closing.signal));
      problem = null;
    } catch (error) {
      problem = messageOf(error);
    }
    if (before !== null && problem === null) onReturn();
  };
  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      const pauseMs = (problem === null ? intervalMs : awayIntervalMs) * (0.75 + Math.random() / 2);
      await sleep(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined);
      if (!closing.signal.aborted) await beat();
    }
  };
  const running = run();

  return {
    problem: () => problem,
    async close() {
      closing.abort();
      await running;
    },
  };
}
