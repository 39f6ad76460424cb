/**
 * What must still be written although its verb has already answered.
 *
 *   attempt  Docker logs and forgets errors of Leave, DeleteEndpoint, DeleteNetwork and the releases, so these succeed at
 *            once and their writes are tried here until the store has taken them
 *   doubt    a request failed without the store saying what became of it: it is undone here, twice with a pause between,
 *            because what the store still had in its queue may come to pass after the first time
 *
 * A task names its subject; a later task on the same subject replaces the waiting one. While the store is away nobody is
 * kept waiting to find that out once more: new tasks queue behind those that wait.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { isOverlayError, messageOf } from '../errors.ts';
import type { Log } from '../ports/log.ts';
import type { Store } from '../ports/store.ts';
import { timeLimit } from './limit.ts';
import { verbLimitMs } from './requests.ts';

/** Implementation: the first try within a verb leaves the verb time to answer. */
const firstTryMs = verbLimitMs * 0.4;
const tryMs = verbLimitMs;
const shortestPauseMs = 500;
/** Implementation: while the store is away one task in this time asks for it; what fails for other reasons can wait. */
const longestAwayMs = 2_000;
const longestPauseMs = 10_000;

export type BackgroundTask = (signal: AbortSignal) => Promise<void>;

export interface Background {
  /** Runs the task now; when it fails, keeps trying it after this call has returned. Never throws. */
  attempt(subject: string, task: BackgroundTask): Promise<void>;
  /** Undoes what may have been done, when the error leaves that open. The task must look whether it is wanted again. */
  doubt(error: unknown, subject: string, undo: BackgroundTask): void;
  /** The reason of a waiting task is gone. */
  cancel(subject: string): void;
  /** One sentence for each task that still waits. */
  problems(): readonly string[];
  close(): Promise<void>;
}

interface Failure {
  readonly problem: string;
  /** The store did not answer, whatever was asked. */
  readonly isAway: boolean;
}

interface Waiting extends Failure {
  readonly task: BackgroundTask;
  /** How often it is still to succeed. */
  readonly rounds: number;
}

export function createBackground(store: Pick<Store, 'kind'>, log: Log): Background {
  const closing = new AbortController();
  const waiting = new Map<string, Waiting>();
  let draining: Promise<void> | null = null;
  const away = () => [...waiting.values()].find(({ isAway }) => isAway);

  /** What stopped the task, null when it is done. */
  const failureOf = async (task: BackgroundTask, limitMs: number): Promise<Failure | null> => {
    try {
      await task(timeLimit(store, limitMs, closing.signal));
      return null;
    } catch (error) {
      return { problem: messageOf(error), isAway: isAwayError(error) };
    }
  };
  const retry = async (subject: string, entry: Waiting): Promise<Failure | null> => {
    const failure = await failureOf(entry.task, tryMs);
    if (waiting.get(subject) !== entry) return failure; // A later task has taken its place.
    const rounds = failure === null ? entry.rounds - 1 : entry.rounds;
    if (rounds === 0) waiting.delete(subject);
    else waiting.set(subject, { ...entry, rounds, isAway: false, ...failure });
    return failure;
  };
  const drain = async (): Promise<void> => {
    let pauseMs = shortestPauseMs;
    while (waiting.size > 0) {
      await sleep(pauseMs * (0.75 + Math.random() / 2), undefined, { signal: closing.signal });
      for (const [subject, entry] of [...waiting]) {
        if ((await retry(subject, entry))?.isAway === true) break;
      }
      pauseMs = Math.min(pauseMs * 2, away() === undefined ? longestPauseMs : longestAwayMs);
    }
  };
  const postpone = (subject: string, entry: Waiting): void => {
    if (closing.signal.aborted) return;
    log.warn({ subject, problem: entry.problem }, 'write to the store postponed');
    waiting.set(subject, entry);
    draining ??= drain()
      .catch(() => undefined) // Closing.
      .finally(() => {
        draining = null;
      });
  };

  return {
    async attempt(subject, task) {
      waiting.delete(subject);
      const failure = away() ?? (await failureOf(task, firstTryMs));
      if (failure !== null) postpone(subject, { problem: failure.problem, isAway: failure.isAway, task, rounds: 1 });
    },
    doubt(error, subject, undo) {
      if (isAwayError(error)) postpone(subject, { problem: messageOf(error), isAway: true, task: undo, rounds: 2 });
    },
    cancel: (subject) => void waiting.delete(subject),
    problems: () => [...waiting].map(([subject, { problem }]) => `${subject} waits for the store: ${problem}`),
    async close() {
      closing.abort();
      await draining;
    },
  };
}

function isAwayError(error: unknown): boolean {
  return isOverlayError(error, 'STORE_UNREACHABLE', 'STORE_AMBIGUOUS', 'STORE_DENIED');
}
