/**
 * A store in this process' memory. The table is the server, a store is a client of it: several nodes in one process
 * share a table, or simply one store. Closing a store ends its leases, as the death of a process does elsewhere.
 */

import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { CommitResult, Lease, Store, StoreEntry, StoreKey, StoreOperation } from '../ports/store.ts';
import { heldByOther, unreachable } from './faults.ts';
import type { Pace } from './hold-down.ts';
import { checkKeys, checkOperations, checkPrefix } from './limits.ts';
import { conflictsOf } from './transaction.ts';
import { type Polled, type WatchSource, watchPrefix } from './watch.ts';

/** What stores share. */
export interface MemoryTable {
  readonly entries: Map<StoreKey, Omit<StoreEntry, 'isHeld'>>;
  /** Token of the lease on a key. */
  readonly holders: Map<StoreKey, string>;
  /** Tells watches that the revision has grown. */
  readonly changes: EventTarget;
  revision: number;
}

export interface MemoryStoreOptions {
  readonly table?: MemoryTable;
  /** Shortest time between two snapshots of a watch. */
  readonly holdDownMs?: number | undefined;
}

/** Implementation: nothing to spare, but a burst of changes should still be few snapshots. */
const defaultHoldDownMs = 5;

export function createMemoryTable(): MemoryTable {
  const changes = new EventTarget();
  setMaxListeners(0, changes); // One for each watch and lease.
  return { entries: new Map(), holders: new Map(), changes, revision: 0 };
}

export function createMemoryStore(options: MemoryStoreOptions = {}): Store {
  const table = options.table ?? createMemoryTable();
  const shortestMs = options.holdDownMs ?? defaultHoldDownMs;
  const pace: Pace = { shortestMs, longestMs: shortestMs, bytesPerSecond: Number.POSITIVE_INFINITY };
  const closing = new AbortController();
  const own = new Set<Lease>();
  const enter = (signal?: AbortSignal): void => {
    signal?.throwIfAborted();
    if (closing.signal.aborted) throw unreachable('memory:', 'this store has been closed');
  };
  const source: WatchSource = {
    pace,
    async poll(prefix, cursor, signal) {
      if (cursor === table.revision) await changed(table, signal);
      enter(signal);
      return polled(table, prefix);
    },
  };

  return {
    kind: 'memory',
    async get(keys, signal) {
      enter(signal);
      checkKeys(keys);
      const found = keys.flatMap((key) => table.entries.get(key) ?? []);
      return new Map(found.map((entry) => [entry.key, copied(table, entry)]));
    },
    async list(prefix, signal) {
      enter(signal);
      checkPrefix(prefix);
      return polled(table, prefix).entries;
    },
    async commit(operations, signal) {
      enter(signal);
      checkOperations(operations);
      return commit(table, operations);
    },
    watch(prefix, signal) {
      checkPrefix(prefix);
      return watchPrefix(source, prefix, AbortSignal.any([signal, closing.signal]));
    },
    async lease(key, value, signal, takeOver) {
      enter(signal);
      checkOperations([{ kind: 'put', key, value, expect: 'any' }]);
      const held = table.holders.has(key) ? table.entries.get(key) : undefined;
      if (held !== undefined && takeOver?.(held.value.slice()) !== true) throw heldByOther(key, held.value);
      const lease = hold(table, key, value);
      own.add(lease);
      return lease;
    },
    async close() {
      closing.abort();
      for (const lease of own) await lease.release();
    },
  };
}

function commit(table: MemoryTable, operations: readonly StoreOperation[]): CommitResult {
  const conflicts = conflictsOf(operations, {
    revisionOf: (key) => table.entries.get(key)?.revision ?? 0,
    isHeld: (lease) => table.holders.get(lease.key) === lease.token,
  });
  if (conflicts !== null) return { committed: false, conflicts };
  const puts = operations.filter((operation) => operation.kind === 'put');
  const revision = table.revision + 1;
  for (const { key, value } of puts) table.entries.set(key, { key, value: value.slice(), revision });
  for (const operation of operations) if (operation.kind === 'delete') table.entries.delete(operation.key);
  announce(table);
  return { committed: true, revision: puts.length > 0 ? revision : 0 };
}

function hold(table: MemoryTable, key: StoreKey, value: Uint8Array): Lease {
  const token = randomUUID();
  const lost = new AbortController();
  table.holders.set(key, token);
  table.entries.set(key, { key, value: value.slice(), revision: table.revision + 1 });
  const check = () => {
    if (table.holders.get(key) === token) return;
    table.changes.removeEventListener('change', check);
    lost.abort(new Error(`another holder has taken ${key} over`));
  };
  announce(table);
  table.changes.addEventListener('change', check);
  return {
    key,
    token,
    lost: lost.signal,
    async release() {
      table.changes.removeEventListener('change', check);
      if (table.holders.get(key) === token) table.holders.delete(key);
    },
  };
}

function announce(table: MemoryTable): void {
  table.revision += 1;
  table.changes.dispatchEvent(new Event('change'));
}

function changed(table: MemoryTable, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      table.changes.removeEventListener('change', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    table.changes.addEventListener('change', done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}

function polled(table: MemoryTable, prefix: StoreKey): Polled {
  const found = [...table.entries.values()].filter((entry) => entry.key.startsWith(prefix));
  const entries = found.map((entry) => copied(table, entry));
  return { entries: entries.sort((one, other) => (one.key < other.key ? -1 : 1)), cursor: table.revision };
}

function copied(table: MemoryTable, entry: Omit<StoreEntry, 'isHeld'>): StoreEntry {
  return { ...entry, value: entry.value.slice(), isHeld: table.holders.has(entry.key) };
}
