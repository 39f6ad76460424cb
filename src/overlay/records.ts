/**
 * Typed reading and compare-and-set over the store. A record that cannot be decoded is STORE_RECORD_CORRUPT for the
 * one who needs it, never a crash for the rest.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, overlayError } from '../errors.ts';
import type { Codec, Codecs } from '../ports/records.ts';
import type { Revision, Store, StoreEntry, StoreKey, StoreOperation } from '../ports/store.ts';

export interface Found<Value> {
  readonly key: StoreKey;
  readonly value: Value;
  readonly revision: Revision;
}

/** Implementation: conflicts come from another node's simultaneous change, so the second or third try wins. */
const attempts = 12;

export interface Records {
  readonly store: Store;
  readonly codecs: Codecs;
  read<Value>(codec: Codec<Value>, key: StoreKey, signal: AbortSignal): Promise<Found<Value> | null>;
  readMany<Value>(
    codec: Codec<Value>,
    keys: readonly StoreKey[],
    signal: AbortSignal,
  ): Promise<(Found<Value> | null)[]>;
  /**
   * Repeats `plan` until its operations are committed or it returns a value instead. `plan` reads afresh each time and
   * gives the operations and what to answer once they stand. @throws STORE_CONFLICT
   */
  transact<Answer>(subject: StoreKey, signal: AbortSignal, plan: () => Promise<Plan<Answer>>): Promise<Answer>;
}

/** Operations to commit, and the answer given the revision they got. No operations: the answer stands at once. */
export interface Plan<Answer> {
  readonly operations: readonly StoreOperation[];
  readonly answer: (revision: Revision) => Answer;
}

export function createRecords(store: Store, codecs: Codecs): Records {
  const read = async <Value>(codec: Codec<Value>, key: StoreKey, signal: AbortSignal) => {
    const entry = (await store.get([key], signal)).get(key);
    return entry === undefined ? null : decoded(codec, entry);
  };
  const readMany = async <Value>(codec: Codec<Value>, keys: readonly StoreKey[], signal: AbortSignal) => {
    const entries = await store.get(keys, signal);
    return keys.map((key) => {
      const entry = entries.get(key);
      return entry === undefined ? null : decoded(codec, entry);
    });
  };
  const transact = async <Answer>(subject: StoreKey, signal: AbortSignal, plan: () => Promise<Plan<Answer>>) => {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const { operations, answer } = await plan();
      if (operations.length === 0) return answer(0);
      const result = await store.commit(operations, signal);
      if (result.committed) return answer(result.revision);
      await sleep(Math.random() * 10 * (attempt + 1), undefined, { signal });
    }
    throw overlayError('STORE_CONFLICT', { key: subject, attempts });
  };
  return { store, codecs, read, readMany, transact };
}

/** @throws STORE_RECORD_CORRUPT */
export function decoded<Value>(codec: Codec<Value>, { key, value, revision }: StoreEntry): Found<Value> {
  try {
    return { key, value: codec.decode(value), revision };
  } catch (error) {
    const problem = messageOf(error).replaceAll(/\s+/g, ' ').slice(0, 200);
    throw overlayError('STORE_RECORD_CORRUPT', { key, problem }, { cause: error });
  }
}
