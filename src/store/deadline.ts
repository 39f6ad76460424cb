/**
 * The time a call may take. Every call ends: with its result, when its caller's signal aborts, or when the time is up.
 */

import { setTimeout as sleep } from 'node:timers/promises';

/** Implementation: a caller that answers Docker has no more than 2 to 3 s for the store. */
export const callLimitMs = 2_500;

export interface Deadline {
  readonly signal: AbortSignal | undefined;
  /** At least 1. */
  remainingMs(): number;
}

export function startDeadline(limitMs: number, signal?: AbortSignal): Deadline {
  signal?.throwIfAborted();
  const end = performance.now() + limitMs;
  return { signal, remainingMs: () => Math.max(1, end - performance.now()) };
}

/** A promise that nobody can cancel, raced with the deadline. @throws the signal's reason, or what `late` makes */
export async function withinDeadline<T>(deadline: Deadline, task: Promise<T>, late: () => Error): Promise<T> {
  const { signal } = deadline;
  let stop: () => void = () => undefined;
  const ended = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(late()), deadline.remainingMs());
    const abort = () => reject(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    stop = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
  });
  try {
    return await Promise.race([task, ended]);
  } finally {
    stop();
  }
}

/** Ends early, and quietly, when the signal aborts. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => undefined);
}
