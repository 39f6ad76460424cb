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
