/**
 * What a data path tells, for whoever listens. Each listener has a queue of its own; one that does not keep up loses the
 * oldest, which is safe: a miss happens again, and drift is found by the next audit.
 */

import type { DataPathEvent } from '../ports/data-path.ts';
import type { Log } from '../ports/log.ts';

export interface Events {
  emit(event: DataPathEvent): void;
  /** Ends when the signal aborts or `close` is called. */
  listen(signal: AbortSignal): AsyncIterable<DataPathEvent>;
  close(): void;
}

/** Implementation: about a second of the most that the programs' own buckets let through from a few devices. */
const queueLimit = 4_096;

interface Listener {
  readonly queue: DataPathEvent[];
  wake: () => void;
}

export function createEvents(): Events {
  const listeners = new Set<Listener>();
  const closed = new AbortController();

  async function* drain(listener: Listener, signal: AbortSignal): AsyncGenerator<DataPathEvent> {
    try {
      while (!signal.aborted) {
        const event = listener.queue.shift();
        if (event !== undefined) yield event;
        else await nextEvent(listener, signal);
      }
    } finally {
      listeners.delete(listener);
    }
  }

  return {
    emit: (event) => {
      for (const listener of listeners) {
        if (listener.queue.length >= queueLimit) listener.queue.shift();
        listener.queue.push(event);
        listener.wake();
      }
    },
    listen: (signal) => {
      const listener: Listener = { queue: [], wake: () => {} };
      const ended = AbortSignal.any([signal, closed.signal]);
      if (!ended.aborted) listeners.add(listener);
      return drain(listener, ended);
    },
    close: () => closed.abort(),
  };
}

function nextEvent(listener: Listener, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      signal.removeEventListener('abort', wake);
      listener.wake = () => {};
      resolve();
    };
    listener.wake = wake;
    signal.addEventListener('abort', wake, { once: true });
  });
}

/** Tells each problem once for as long as it lasts. */
export function createProblemReport(log: Log, events: Events): (problems: readonly string[]) => void {
  let told: ReadonlySet<string> = new Set();
  return (problems) => {
    for (const problem of problems) {
      if (told.has(problem)) continue;
      log.warn({ problem }, 'VTEP not resolved');
      events.emit({ kind: 'drift', what: problem });
    }
    told = new Set(problems);
  };
}
