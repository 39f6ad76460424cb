/**
 * Watching a prefix, alike for every store. An adapter gives one function, `poll`, which returns the present state,
 * and, given a cursor, not before something may have changed since. The rules are here:
 *
 *   read ──▶ anchor there? ──no──▶ lost ──▶ wait 0.2 to 5 s ──▶ read without cursor ──▶ snapshot, changed or not
 *              │ yes
 *              ▼
 *            differs from what was shown? ──▶ snapshot ──▶ hold-down ──▶ read with cursor
 *
 * One blind spell is one 'lost' event per kind of error. State is compared by content, not by index: an index may
 * move without a change (Consul tombstones) or stand still over one (a restored snapshot). Every few minutes the state
 * is read without a cursor, whatever the store believes about changes.
 */

import { isOverlayError } from '../errors.ts';
import type { StoreEntry, StoreKey, WatchEvent } from '../ports/store.ts';
import { pause } from './deadline.ts';
import { anchorMissing } from './faults.ts';
import { createHoldDown, type Pace } from './hold-down.ts';

/** A place in the store's history; undefined: none, answer at once. */
export type Cursor = number | undefined;

export interface Polled {
  /** Everything under the prefix, anchor included, in key order. */
  readonly entries: readonly StoreEntry[];
  readonly cursor: Cursor;
}

export interface WatchSource {
  readonly pace: Pace;
  poll(prefix: StoreKey, cursor: Cursor, signal: AbortSignal): Promise<Polled>;
}

/** Implementation: what a key and its revision cost on the wire beside the value (Consul JSON, measured). */
const entryBytes = 105;
/** Implementation: how long the store's word for "nothing has changed" is taken. */
const fullReadMs = 300_000;
const shortestBackoffMs = 200;
const longestBackoffMs = 5_000;

export async function* watchPrefix(
  source: WatchSource,
  prefix: StoreKey,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent, void, undefined> {
  const view = createView(source, prefix);
  while (!signal.aborted) {
    const event = await view.look(signal);
    if (event !== null && !signal.aborted) yield event;
    await view.rest(signal);
  }
}

interface View {
  /** One read; null when it showed nothing new. */
  look(signal: AbortSignal): Promise<WatchEvent | null>;
  /** Waits until the next look may begin. */
  rest(signal: AbortSignal): Promise<void>;
}

function createView(source: WatchSource, prefix: StoreKey): View {
  const holdDown = createHoldDown(source.pace);
  let shown: readonly StoreEntry[] | null = null;
  let cursor: Cursor;
  let fullReadAt = 0;
  let failures = 0;
  let reported: string | null = null;

  const read = async (signal: AbortSignal): Promise<Polled> => {
    if (performance.now() >= fullReadAt) {
      fullReadAt = performance.now() + fullReadMs * (0.75 + Math.random() / 2);
      cursor = undefined;
    }
    const polled = await source.poll(prefix, cursor, signal);
    holdDown.note(sizeOf(polled.entries));
    return polled;
  };
  const seen = (polled: Polled): WatchEvent | null => {
    const entries = withoutAnchor(prefix, polled.entries);
    cursor = polled.cursor;
    failures = 0;
    reported = null;
    if (shown !== null && isSame(shown, entries)) return null;
    shown = entries;
    return { kind: 'snapshot', entries };
  };
  const failed = (cause: unknown): WatchEvent | null => {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    const kind = isOverlayError(error) ? error.code : error.name;
    const isNews = kind !== reported;
    shown = null;
    cursor = undefined;
    failures += 1;
    reported = kind;
    return isNews ? { kind: 'lost', error } : null;
  };

  return {
    look: async (signal) => read(signal).then(seen).catch(failed),
    rest: (signal) => (failures === 0 ? holdDown.wait(signal) : pause(backoffMs(failures), signal)),
  };
}

/** @throws STORE_ANCHOR_MISSING */
function withoutAnchor(prefix: StoreKey, entries: readonly StoreEntry[]): readonly StoreEntry[] {
  const anchor = `${prefix}_`;
  const rest = entries.filter((entry) => entry.key !== anchor);
  if (rest.length === entries.length) throw anchorMissing(anchor);
  return rest;
}

/** Doubles with each failure in a row; jitter over its upper half keeps nodes from coming back in step. */
function backoffMs(failures: number): number {
  const ceiling = Math.min(longestBackoffMs, shortestBackoffMs * 2 ** failures);
  return ceiling * (0.5 + Math.random() / 2);
}

function sizeOf(entries: readonly StoreEntry[]): number {
  return entries.reduce((sum, { key, value }) => sum + entryBytes + key.length + value.length, 0);
}

/** Values too: a store that was wiped and filled again may repeat its revisions. */
function isSame(shown: readonly StoreEntry[], entries: readonly StoreEntry[]): boolean {
  return (
    shown.length === entries.length &&
    shown.every((one, index) => {
      const other = entries[index];
      return (
        other !== undefined &&
        one.key === other.key &&
        one.revision === other.revision &&
        Buffer.compare(one.value, other.value) === 0
      );
    })
  );
}
