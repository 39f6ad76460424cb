/**
 * The store of a cluster: Consul's key-value tables.
 *
 *   commit   one transaction: check-session for the fence, cas, delete, set. Atomic, at most 64 operations
 *   get      one key: GET; several: transactions of gets (consul-read.ts)
 *   list     a recursive GET
 *   watch    a blocking recursive GET for each prefix, by the rules of watch.ts
 *   lease    a session that locks the key (consul-lease.ts)
 *
 * Reads ask the leader (Consul's default consistency): never older than an own commit, and a watch ends with an error
 * when there is no leader, where a stale one would go on blocking in silence.
 *
 * Two things Consul would do differently are put right. A put of the value that is already there would keep its old
 * revision: a random number in the key's flags makes each put a change. A recursive GET without permission answers as
 * if there were nothing: where the anchor is missing, a GET of that single key tells 403 from 404.
 *
 * One thing is bent: a conditional delete of a key that is gone succeeds in Consul, so a check of the key's index goes
 * before it and costs a second operation. A transaction without room for all such checks (more than 64 operations with
 * them) leaves out the last ones, and there a key that is already gone counts as deleted.
 */

import { overlayError } from '../errors.ts';
import type { CommitResult, Lease, Store, StoreEntry, StoreKey, StoreOperation, WatchEvent } from '../ports/store.ts';
import {
  type ConsulAddress,
  type ConsulClient,
  ConsulFailure,
  createConsulClient,
  type TlsOptions,
} from './consul-client.ts';
import { createLeases, type Leases } from './consul-lease.ts';
import { createReader, type Reader } from './consul-read.ts';
import { toTransaction } from './consul-transaction.ts';
import { callLimitMs, type Deadline, pause, startDeadline } from './deadline.ts';
import { ambiguous, denied, unreachable } from './faults.ts';
import type { Pace } from './hold-down.ts';
import { checkKeys, checkOperations, checkPrefix } from './limits.ts';
import { type Cursor, type Polled, watchPrefix } from './watch.ts';

export interface ConsulStoreOptions {
  readonly address: ConsulAddress;
  /** Goes before every key: `weft/v1/`. */
  readonly root: string;
  readonly token?: string | undefined;
  readonly tls?: TlsOptions | undefined;
  /** Shortest time between two snapshots of a watch. */
  readonly holdDownMs?: number | undefined;
}

/** Implementation: Consul lets one address have 200 connections; these are less, and a call never waits for a watch. */
const callSockets = 16;
const watchSockets = 64;
/** Implementation: a watch beyond the connections for watches asks at this pace instead. */
const crowdedPollMs = 1_500;
/** Implementation: each wake costs its bytes from every watcher of the prefix; 1,000 stamps are 104 KB (measured). */
const pace: Pace = { shortestMs: 100, longestMs: 5_000, bytesPerSecond: 64 * 1024 };
/** Implementation: what a restored snapshot can hide from a watch ends with the wait. */
const waitSeconds = 55;
/** Specification (Consul, "Blocking queries"): up to a sixteenth is added to the wait; and 5 s for the answer. */
const waitLimitMs = (waitSeconds + waitSeconds / 16 + 5) * 1_000;

/** What a call is about, for its error. */
interface Subject {
  readonly key: StoreKey;
  readonly isCommit?: boolean;
}

export class ConsulStore implements Store {
  readonly kind = 'consul';
  readonly #name: string;
  readonly #root: string;
  readonly #pace: Pace;
  readonly #calls: ConsulClient;
  readonly #waits: ConsulClient;
  readonly #reader: Reader;
  readonly #leases: Leases;
  readonly #closing = new AbortController();
  #waiting = 0;

  constructor({ address, root, token, tls, holdDownMs }: ConsulStoreOptions) {
    this.#name = addressText(address);
    this.#root = root;
    this.#pace = { ...pace, shortestMs: holdDownMs ?? pace.shortestMs };
    this.#calls = createConsulClient(address, { token, tls, maxSockets: callSockets });
    this.#waits = createConsulClient(address, { token, tls, maxSockets: watchSockets });
    this.#reader = createReader(root);
    this.#leases = createLeases(this.#calls, root);
  }

  /**
   * Whether the store answers and the token may write: deletes a key that never exists, which changes nothing.
   * @throws STORE_UNREACHABLE, STORE_DENIED
   */
  async verify(signal?: AbortSignal): Promise<void> {
    const operation = { KV: { Verb: 'delete-cas', Key: `${this.#root}_`, Index: 1 } } as const;
    await this.#run({ key: '_' }, signal, (deadline) =>
      this.#calls.call(deadline, (api, options) => api.transaction.create([operation], options)),
    );
  }

  get(keys: readonly StoreKey[], signal?: AbortSignal): Promise<ReadonlyMap<StoreKey, StoreEntry>> {
    return this.#run({ key: keys[0] ?? '' }, signal, (deadline) => {
      checkKeys(keys);
      return this.#reader.get(this.#calls, deadline, keys);
    });
  }

  list(prefix: StoreKey, signal?: AbortSignal): Promise<readonly StoreEntry[]> {
    return this.#run({ key: prefix }, signal, async (deadline) => {
      checkPrefix(prefix);
      return (await this.#reader.list(this.#calls, deadline, { prefix })).entries;
    });
  }

  commit(operations: readonly StoreOperation[], signal?: AbortSignal): Promise<CommitResult> {
    const key = operations.find((operation) => operation.kind !== 'fence')?.key ?? '';
    return this.#run({ key, isCommit: true }, signal, async (deadline) => {
      checkOperations(operations);
      return operations.length === 0 ? { committed: true, revision: 0 } : this.#commit(deadline, operations);
    });
  }

  watch(prefix: StoreKey, signal: AbortSignal): AsyncGenerator<WatchEvent, void, undefined> {
    checkPrefix(prefix);
    const poll = (_: StoreKey, cursor: Cursor, until: AbortSignal) => this.#poll(prefix, cursor, until);
    return watchPrefix({ pace: this.#pace, poll }, prefix, AbortSignal.any([signal, this.#closing.signal]));
  }

  lease(
    key: StoreKey,
    value: Uint8Array,
    signal?: AbortSignal,
    takeOver: (holderValue: Uint8Array) => boolean = () => false,
  ): Promise<Lease> {
    return this.#run({ key }, signal, (deadline) => {
      checkOperations([{ kind: 'put', key, value, expect: 'any' }]);
      return this.#leases.acquire(deadline, { key, value, takeOver });
    });
  }

  /** Ends watches and leases. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    await this.#leases.close();
    this.#calls.close();
    this.#waits.close();
  }

  async #commit(deadline: Deadline, operations: readonly StoreOperation[]): Promise<CommitResult> {
    const transaction = toTransaction(operations, (key) => this.#root + key);
    try {
      const { body } = await this.#calls.call(deadline, (api, options) =>
        api.transaction.create(transaction.operations, options),
      );
      const put = new Set(operations.flatMap((each) => (each.kind === 'put' ? [this.#root + each.key] : [])));
      const revisions = (body?.Results ?? []).map(({ KV }) => (put.has(KV.Key) ? KV.ModifyIndex : 0));
      return { committed: true, revision: Math.max(0, ...revisions) };
    } catch (error) {
      const isRefusal = error instanceof ConsulFailure && error.kind === 'conflict';
      const conflicts = isRefusal ? transaction.conflicts(error) : null;
      if (conflicts === null) throw error;
      return { committed: false, conflicts };
    }
  }

  async #poll(prefix: StoreKey, cursor: Cursor, signal: AbortSignal): Promise<Polled> {
    if (cursor === undefined) return this.#ask(prefix, signal);
    if (this.#waiting >= watchSockets) {
      await pause(crowdedPollMs * (0.75 + Math.random() / 2), signal);
      return this.#ask(prefix, signal);
    }
    this.#waiting += 1;
    try {
      return await this.#explain({ key: prefix }, () => {
        const query = { prefix, cursor, wait: `${waitSeconds}s` };
        return this.#reader.list(this.#waits, startDeadline(waitLimitMs, signal), query);
      });
    } finally {
      this.#waiting -= 1;
    }
  }

  #ask(prefix: StoreKey, signal: AbortSignal): Promise<Polled> {
    return this.#run({ key: prefix }, signal, (deadline) => this.#reader.list(this.#calls, deadline, { prefix }));
  }

  async #run<T>(subject: Subject, signal: AbortSignal | undefined, task: (deadline: Deadline) => Promise<T>) {
    if (this.#closing.signal.aborted) throw unreachable(this.#name, 'this store has been closed');
    return this.#explain(subject, () => task(startDeadline(callLimitMs, signal)));
  }

  /** Turns what Consul said into what the port promises. */
  async #explain<T>({ key, isCommit = false }: Subject, task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof ConsulFailure)) throw error;
      if (error.kind === 'denied') throw denied(this.#name, this.#root + key, this.#root);
      if (error.kind === 'too-large') {
        throw overlayError('STORE_VALUE_TOO_LARGE', { key, size: 'too many', limit: 'that is configured there' });
      }
      if (error.kind === 'uncertain' && isCommit) throw ambiguous(this.#name, error.message);
      throw unreachable(this.#name, error.message);
    }
  }
}

function addressText({ secure, host, port }: ConsulAddress): string {
  return `${secure ? 'consul+https' : 'consul'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
