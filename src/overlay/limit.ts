/** How long something may wait for the store, with an error that a person understands when it is over. */

import { setTimeout as sleep } from 'node:timers/promises';
import { isOverlayError, overlayError } from '../errors.ts';
import type { Store } from '../ports/store.ts';

/** Implementation: a try that hangs leaves time for another one. */
const tryLimitMs = 2_500;
const pauseMs = 250;

/** A signal that aborts after the time with STORE_UNREACHABLE, or with any of the others. Keeps no process alive. */
export function timeLimit(store: Pick<Store, 'kind'>, milliseconds: number, ...others: AbortSignal[]): AbortSignal {
  const controller = new AbortController();
  const problem = `no answer within ${milliseconds} ms`;
  setTimeout(
    () => controller.abort(overlayError('STORE_UNREACHABLE', { store: store.kind, problem })),
    milliseconds,
  ).unref();
  return others.length === 0 ? controller.signal : AbortSignal.any([controller.signal, ...others]);
}

/**
 * Tries again while the store does not answer, until the time is over: for what would be asked again much later. The
 * task must be one that may be done twice. @throws the last failure
 */
export async function persist<T>(
  store: Pick<Store, 'kind'>,
  milliseconds: number,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const end = performance.now() + milliseconds;
  for (;;) {
    const leftMs = Math.max(1, Math.min(tryLimitMs, end - performance.now()));
    try {
      return await task(timeLimit(store, Math.round(leftMs)));
    } catch (error) {
      const isAway = isOverlayError(error, 'STORE_UNREACHABLE', 'STORE_AMBIGUOUS', 'STORE_CONFLICT');
      if (!isAway || performance.now() + pauseMs >= end) throw error;
      await sleep(pauseMs);
    }
  }
}

/** Waits for a task that goes on whatever happens, until the signal aborts. @throws its reason */
export async function untilAborted(task: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  await Promise.race([task, aborted]);
}
