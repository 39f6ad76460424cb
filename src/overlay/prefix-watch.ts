/**
 * One watched prefix and whether it sees: a snapshot is handed on until it has been taken in, a blind watch is
 * remembered with its cause, and neither ends before it is stopped.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import type { Log } from '../ports/log.ts';
import type { Store, StoreEntry } from '../ports/store.ts';

export type EntriesHandler = (entries: readonly StoreEntry[]) => Promise<void>;

export interface PrefixWatch {
  /** The present state has been taken in. */
  readonly ready: Promise<void>;
  /** Why the watch is blind, null while it sees. */
  blind(): string | null;
  /** Lets go of what it waits for and reads everything afresh. */
  reread(): void;
  stop(): Promise<void>;
}

export interface PrefixWatchSettings {
  readonly store: Store;
  readonly log: Log;
  readonly prefix: string;
}

/** Implementation: what a snapshot led to could not be read; the store is asked again at this pace, with jitter. */
const retryMs = 500;

export function startPrefixWatch({ store, log, prefix }: PrefixWatchSettings, onEntries: EntriesHandler): PrefixWatch {
  const { signal, stop } = stopper();
  let problem: string | null = 'not seen yet';
  let markReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    markReady = resolve;
  });

  const becomeBlind = (cause: string): void => {
    if (problem !== cause) log.warn({ prefix, problem: cause }, 'watch is blind');
    problem = cause;
  };
  const takeIn = async (entries: readonly StoreEntry[]): Promise<boolean> => {
    try {
      await onEntries(entries);
      problem = null;
      markReady();
      return true;
    } catch (error) {
      becomeBlind(messageOf(error));
      await sleep(retryMs * (1 + Math.random()), undefined, { signal }).catch(() => undefined);
      return false;
    }
  };
  let spell = new AbortController();
  const watch = async (until: AbortSignal): Promise<void> => {
    for await (const event of store.watch(prefix, until)) {
      if (event.kind === 'lost') becomeBlind(event.error.message);
      else while (!(await takeIn(event.entries)) && !signal.aborted);
    }
  };
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      const { signal: cut } = spell;
      await watch(AbortSignal.any([signal, cut]));
      // The store was closed under it.
      if (!cut.aborted) return;
    }
  };
  const running = run().catch((error) => becomeBlind(messageOf(error)));

  return {
    ready,
    blind: () => problem,
    reread() {
      const before = spell;
      spell = new AbortController();
      before.abort();
    },
    async stop() {
      stop();
      await running;
    },
  };
}

function stopper(): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, stop: () => controller.abort() };
}
