/**
 * The store of one machine: an LMDB environment that several processes share, in whatever network namespaces they are.
 *
 *   weft/v1/<key>    revision u64, then the value
 *   lease/<key>      who holds the key: process, start time, boot, token
 *   revision         counter, grows by one in each transaction that changes something
 *
 * Writes are asynchronous transactions: LMDB has one writer at a time across all processes, and a writer that is killed
 * leaves no trace and no lock. (`transactionSync` is not used: repeated without yielding it makes reads collapse.
 * A transaction of lmdb-js is not undone by an exception, so every check comes before the first write.) A writer that
 * is stopped in mid-transaction holds up the others: their calls end with STORE_AMBIGUOUS after the usual limit.
 *
 * A lease is valid while its process lives, which every process of the machine can tell by /proc; so processes that
 * share the store must share the pid namespace too.
 */

import { randomUUID } from 'node:crypto';
import { open, type RootDatabase } from 'lmdb';
import { isOverlayError, messageOf } from '../errors.ts';
import type {
  CommitResult,
  Lease,
  Revision,
  Store,
  StoreEntry,
  StoreKey,
  StoreOperation,
  WatchEvent,
} from '../ports/store.ts';
import { callLimitMs, startDeadline, withinDeadline } from './deadline.ts';
import { ambiguous, heldByOther, unreachable } from './faults.ts';
import type { Pace } from './hold-down.ts';
import { checkKeys, checkOperations, checkPrefix } from './limits.ts';
import { createFeed, type Feed } from './lmdb-feed.ts';
import { type FileIdentity, identify, prepareDirectory } from './lmdb-file.ts';
import { createTables, type Tables } from './lmdb-tables.ts';
import { isProcessAlive, ownProcess } from './process.ts';
import { conflictsOf } from './transaction.ts';
import { type WatchSource, watchPrefix } from './watch.ts';

export interface LmdbStoreOptions {
  /** Absolute; made when it is not there, for its owner alone. */
  readonly directory: string;
  /** Shortest time between two snapshots of a watch. */
  readonly holdDownMs?: number | undefined;
}

/** Implementation: reading is cheap here, so the distance between reads is short. */
const pace: Pace = { shortestMs: 20, longestMs: 1_000, bytesPerSecond: 64 * 1024 * 1024 };
/** Implementation: readers per environment; each process takes one for each of its reading threads. */
const maxReaders = 1_024;

/** @throws STORE_UNREACHABLE */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<Store> {
  const name = `lmdb://${options.directory}`;
  try {
    await prepareDirectory(options.directory);
    const database = open<Buffer, string>({ path: options.directory, encoding: 'binary', maxReaders });
    database.readerCheck(); // Slots of readers that were killed keep old pages from being used again.
    return new LmdbStore(name, database, options);
  } catch (error) {
    throw unreachable(name, messageOf(error), error);
  }
}

class LmdbStore implements Store {
  readonly kind = 'lmdb';
  readonly #name: string;
  readonly #directory: string;
  readonly #database: RootDatabase<Buffer, string>;
  readonly #tables: Tables;
  readonly #file: FileIdentity;
  readonly #feed: Feed;
  readonly #source: WatchSource;
  readonly #closing = new AbortController();
  readonly #leases = new Set<Lease>();

  constructor(name: string, database: RootDatabase<Buffer, string>, { directory, holdDownMs }: LmdbStoreOptions) {
    this.#name = name;
    this.#directory = directory;
    this.#database = database;
    this.#tables = createTables(database);
    this.#file = identify(directory);
    this.#feed = createFeed(directory, () => this.#readRevision());
    this.#source = {
      pace: { ...pace, shortestMs: holdDownMs ?? pace.shortestMs },
      poll: async (prefix, cursor, signal) => {
        if (cursor !== undefined) await this.#feed.after(cursor, signal);
        return this.#read(() => ({ entries: this.#tables.list(prefix), cursor: this.#tables.revision() }));
      },
    };
  }

  async get(keys: readonly StoreKey[], signal?: AbortSignal): Promise<ReadonlyMap<StoreKey, StoreEntry>> {
    signal?.throwIfAborted();
    checkKeys(keys);
    const entries = this.#read(() => keys.flatMap((key) => this.#tables.entry(key) ?? []));
    return new Map(entries.map((entry) => [entry.key, entry]));
  }

  async list(prefix: StoreKey, signal?: AbortSignal): Promise<readonly StoreEntry[]> {
    signal?.throwIfAborted();
    checkPrefix(prefix);
    return this.#read(() => this.#tables.list(prefix));
  }

  async commit(operations: readonly StoreOperation[], signal?: AbortSignal): Promise<CommitResult> {
    checkOperations(operations);
    const tables = this.#tables;
    return this.#write(signal, () => {
      const conflicts = conflictsOf(operations, {
        revisionOf: (key) => tables.entry(key)?.revision ?? 0,
        isHeld: (lease) => tables.holder(lease.key)?.token === lease.token,
      });
      if (conflicts !== null) return { committed: false, conflicts };
      const puts = operations.filter((operation) => operation.kind === 'put');
      const revision = tables.advance();
      for (const { key, value } of puts) tables.put(key, value, revision);
      for (const operation of operations) if (operation.kind === 'delete') tables.remove(operation.key);
      return { committed: true, revision: puts.length > 0 ? revision : 0 };
    });
  }

  watch(prefix: StoreKey, signal: AbortSignal): AsyncGenerator<WatchEvent, void, undefined> {
    checkPrefix(prefix);
    return watchPrefix(this.#source, prefix, AbortSignal.any([signal, this.#closing.signal]));
  }

  async lease(
    key: StoreKey,
    value: Uint8Array,
    signal?: AbortSignal,
    takeOver: (holderValue: Uint8Array) => boolean = () => false,
  ): Promise<Lease> {
    checkOperations([{ kind: 'put', key, value, expect: 'any' }]);
    const tables = this.#tables;
    const token = randomUUID();
    const living = await this.#write(signal, () => {
      const holder = tables.holder(key);
      const held = tables.entry(key)?.value ?? new Uint8Array();
      if (holder !== null && isProcessAlive(holder) && !takeOver(held)) return held;
      tables.setHolder(key, { ...ownProcess(), token });
      tables.put(key, value, tables.advance());
      return null;
    });
    if (living !== null) throw heldByOther(key, living);
    return this.#leaseOf(key, token);
  }

  /** Ends watches and leases. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    await Promise.all([...this.#leases].map((lease) => lease.release().catch(expectStoreError)));
    this.#closing.abort();
    this.#feed.close();
    // A stopped writer elsewhere holds up this too; the process can end all the same.
    await withinDeadline(startDeadline(callLimitMs), this.#database.close(), () => this.#heldUp()).catch(
      expectStoreError,
    );
  }

  #leaseOf(key: StoreKey, token: string): Lease {
    const lost = new AbortController();
    const isOwn = () => this.#tables.holder(key)?.token === token;
    const forget = this.#feed.onChange(() => {
      if (this.#readRevision() === null || this.#read(isOwn)) return;
      end();
      lost.abort(new Error(`another process has taken ${key} over`));
    });
    const end = () => {
      forget();
      this.#leases.delete(lease);
    };
    const lease: Lease = {
      key,
      token,
      lost: lost.signal,
      release: async () => {
        end();
        await this.#write(undefined, () => {
          if (isOwn()) this.#tables.removeHolder(key);
        });
      },
    };
    this.#leases.add(lease);
    return lease;
  }

  /** Reads from the newest committed state. @throws STORE_UNREACHABLE */
  #read<T>(action: () => T): T {
    this.#requireFile();
    try {
      this.#database.resetReadTxn();
      return action();
    } catch (error) {
      throw this.#explained(error);
    }
  }

  /** Null when it cannot be read now: whoever needs an entry meets the error there. */
  #readRevision(): Revision | null {
    try {
      return this.#read(() => this.#tables.revision());
    } catch (error) {
      expectStoreError(error);
      return null;
    }
  }

  /** Runs alone among all writers. Once the caller has been answered, a transaction still waiting does nothing. */
  async #write<T>(signal: AbortSignal | undefined, action: () => T): Promise<T> {
    const deadline = startDeadline(callLimitMs, signal);
    this.#requireFile();
    let isAnswered = false;
    const late = () => this.#heldUp();
    const outcome = this.#database.transaction(() => (isAnswered ? null : { value: action() }));
    try {
      const done = await withinDeadline(deadline, outcome, late);
      if (done === null) throw late();
      this.#feed.look();
      return done.value;
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : this.#explained(error);
    } finally {
      isAnswered = true;
    }
  }

  /** A directory that was removed or replaced would be written to no end: the old file is still mapped. */
  #requireFile(): void {
    if (this.#closing.signal.aborted) throw unreachable(this.#name, 'this store has been closed');
    let present: FileIdentity;
    try {
      present = identify(this.#directory);
    } catch (error) {
      throw unreachable(this.#name, messageOf(error), error);
    }
    if (present !== this.#file) throw unreachable(this.#name, 'its data file has been replaced; restart the daemon');
  }

  #heldUp(): Error {
    return ambiguous(this.#name, 'another process holds up its writers');
  }

  #explained(error: unknown): Error {
    return isOverlayError(error) ? error : unreachable(this.#name, messageOf(error), error);
  }
}

/** A lease that cannot be released ends with its process. */
function expectStoreError(error: unknown): void {
  if (!isOverlayError(error)) throw error;
}
