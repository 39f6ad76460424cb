/** How long something may wait for the store, with an error that a person understands when it is over. */

import { overlayError } from '../errors.ts';
import type { Store } from '../ports/store.ts';

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

/** Waits for a task that goes on whatever happens, until the signal aborts. @throws its reason */
export async function untilAborted(task: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  await Promise.race([task, aborted]);
}
