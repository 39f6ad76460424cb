/**
 * Tells when the environment may have changed, whichever process changed it: inotify on its directory (LMDB writes the
 * data file with write calls, so each commit is an event; 0.6 ms median, measured) and, because events may be merged or
 * missing, a look at the revision counter once a second.
 */

import { type FSWatcher, watch } from 'node:fs';

export interface Feed {
  /** Resolves when the revision is another than this, when it cannot be read, or when the signal aborts. */
  after(revision: number, signal: AbortSignal): Promise<void>;
  /** Called at every change. */
  onChange(listener: () => void): () => void;
  /** Look now: this process has just written. */
  look(): void;
  close(): void;
}

/** Implementation: what a missed event can cost. */
const lookMs = 1_000;

/** `readRevision` gives null when it cannot be read. @throws Error of the file system */
export function createFeed(directory: string, readRevision: () => number | null): Feed {
  const listeners = new Set<() => void>();
  let seen = readRevision();
  const look = () => {
    const present = readRevision();
    if (present === seen) return;
    seen = present;
    for (const listener of [...listeners]) listener();
  };
  const onChange = (listener: () => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  const events: FSWatcher = watch(directory, look);
  events.on('error', look); // The look once a second goes on.
  const timer = setInterval(look, lookMs);

  return {
    onChange,
    look,
    after(revision, signal) {
      look();
      if (seen !== revision || signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const done = () => {
          stop();
          signal.removeEventListener('abort', done);
          resolve();
        };
        const stop = onChange(done);
        signal.addEventListener('abort', done);
      });
    },
    close() {
      events.close();
      clearInterval(timer);
    },
  };
}
