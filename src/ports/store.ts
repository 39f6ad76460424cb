/**
 * The distributed tables: keys with revisions, compare-and-set in small transactions, prefix watches, and leases.
 * Adapters: memory, lmdb, consul; one contract suite holds them to this page.
 *
 * Key charset is [a-z0-9/_-] (Consul refuses more). A revision is a whole number that grows with every change in one
 * store, so a later revision is a later fact; 0 stands for "absent".
 *
 * Errors thrown by every method: STORE_UNREACHABLE, STORE_DENIED, and from `commit` also STORE_AMBIGUOUS (it may or
 * may not have been applied: read again) and STORE_VALUE_TOO_LARGE. A lost compare-and-set is a value, not an error.
 */

export type StoreKey = string;
export type Revision = number;

export interface StoreEntry {
  readonly key: StoreKey;
  readonly value: Uint8Array;
  readonly revision: Revision;
  /** A living process holds a lease on the key, as far as the store knows. */
  readonly isHeld: boolean;
}

/** `expect`: the revision the key must have, 0 for "must not exist", 'any' for no condition. */
export type StoreOperation =
  | { readonly kind: 'put'; readonly key: StoreKey; readonly value: Uint8Array; readonly expect: Revision | 'any' }
  | { readonly kind: 'delete'; readonly key: StoreKey; readonly expect: Revision | 'any' }
  /** Fails the transaction unless the lease is still held: fences out a daemon that has been replaced. */
  | { readonly kind: 'fence'; readonly lease: Lease };

export type CommitResult =
  /** `revision`: of the keys that were put. */
  | { readonly committed: true; readonly revision: Revision }
  /** `conflicts`: keys whose `expect` did not hold; empty when it was the fence. */
  | { readonly committed: false; readonly conflicts: readonly StoreKey[] };

export type WatchEvent =
  /** Everything under the prefix, the anchor left out. The first event is the present state. */
  | { readonly kind: 'snapshot'; readonly entries: readonly StoreEntry[] }
  /** The watch is blind; a snapshot follows when it sees again. Nothing may be withdrawn because of this. */
  | { readonly kind: 'lost'; readonly error: Error };

/** A key held by a living process. Its key stays when the holder dies (Consul: Behavior=release). */
export interface Lease {
  readonly key: StoreKey;
  /** Opaque proof of holding, for the adapter. */
  readonly token: string;
  /** Aborted once the lease may have been lost; the owner must take a new one. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

export interface Store {
  readonly kind: 'memory' | 'lmdb' | 'consul';
  /** Missing keys are missing in the map. Reads are never older than this process' last commit. */
  get(keys: readonly StoreKey[], signal?: AbortSignal): Promise<ReadonlyMap<StoreKey, StoreEntry>>;
  /** All entries whose key starts with the prefix (which ends in '/'), in key order, anchors included. */
  list(prefix: StoreKey, signal?: AbortSignal): Promise<readonly StoreEntry[]>;
  /** All or nothing, at most 60 operations. */
  commit(operations: readonly StoreOperation[], signal?: AbortSignal): Promise<CommitResult>;
  /**
   * Snapshots of a prefix: the first change after a quiet time at once, then at most one per hold-down. The prefix
   * must hold an anchor key `<prefix>_` (the caller commits it); without it the watch is 'lost' with
   * STORE_ANCHOR_MISSING, since an empty answer would be indistinguishable from a wiped store or a lost permission.
   * Ends when the signal aborts.
   */
  watch(prefix: StoreKey, signal: AbortSignal): AsyncIterable<WatchEvent>;
  /**
   * Takes the key for this process and writes the value. @throws NODE_ID_IN_USE when a living process holds it
   * (details: holder = the value it wrote). A key without a living holder is taken over at once, and so is one whose
   * holder `takeOver` recognises, by the value it wrote, as this process' own predecessor.
   */
  lease(
    key: StoreKey,
    value: Uint8Array,
    signal?: AbortSignal,
    takeOver?: (holderValue: Uint8Array) => boolean,
  ): Promise<Lease>;
  close(): Promise<void>;
}
