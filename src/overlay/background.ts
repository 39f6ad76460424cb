/**
 * What must still be written although its verb has already answered: Docker logs and forgets errors of Leave,
 * DeleteEndpoint, DeleteNetwork and the releases, so these succeed at once and their writes are tried here until the
 * store has taken them. A task names its subject; a later task on the same subject replaces the waiting one.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import type { Log } from '../ports/log.ts';
import type { Store } from '../ports/store.ts';
import { timeLimit } from './limit.ts';
import { verbLimitMs } from './requests.ts';

/** Implementation: the first try within a verb leaves the verb time to answer. */
const firstTryMs = verbLimitMs / 2;
const tryMs = verbLimitMs;
const shortestPauseMs = 500;
const longestPauseMs = 10_000;

export type BackgroundTask = (signal: AbortSignal) => Promise<void>;

export interface Background {
  /** Runs the task now; when it fails, keeps trying it after this call has returned. Never throws. */
  attempt(subject: string, task: BackgroundTask): Promise<void>;
  /** One sentence for each task that still waits. */
  problems(): readonly string[];
  close(): Promise<void>;
}

interface Waiting {
  readonly task: BackgroundTask;
  readonly problem: string;
}

export function createBackground(store: Pick<Store, 'kind'>, log: Log): Background {
  const closing = new AbortController();
  const waiting = new Map<string, Waiting>();
  let draining: Promise<void> | null = null;

  /** What stopped the task, null when it is done. */
  const problemOf = async (task: BackgroundTask, limitMs: number): Promise<string | null> => {
    try {
      await task(timeLimit(store, limitMs, closing.signal));
      return null;
    } catch (error) {
      return messageOf(error);
    }
  };
  const retry = async (subject: string, entry: Waiting): Promise<void> => {
    const problem = await problemOf(entry.task, tryMs);
    if (waiting.get(subject) !== entry) return; // A later task has taken its place.
    if (problem === null) waiting.delete(subject);
    else waiting.set(subject, { ...entry, problem });
  };
  const drain = async (): Promise<void> => {
    let pauseMs = shortestPauseMs;
    while (waiting.size > 0) {
      await sleep(pauseMs * (0.75 + Math.random() / 2), undefined, { signal: closing.signal });
      for (const [subject, entry] of [...waiting]) await retry(subject, entry);
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
  };
  const start = (): void => {
    draining ??= drain()
      .catch(() => undefined) // Closing.
      .finally(() => {
        draining = null;
      });
  };

  return {
    async attempt(subject, task) {
      waiting.delete(subject);
      const problem = await problemOf(task, firstTryMs);
      if (problem === null || closing.signal.aborted) return;
      log.warn({ subject, problem }, 'write to the store postponed');
      waiting.set(subject, { task, problem });
      start();
    },
    problems: () => [...waiting].map(([subject, { problem }]) => `${subject} waits for the store: ${problem}`),
    async close() {
      closing.abort();
      await draining;
    },
  };
}
