/** The port's operations as a Consul transaction, and its refusal as conflicts. */

import { randomInt } from 'node:crypto';
import type { StoreKey, StoreOperation } from '../ports/store.ts';
import type { ConsulFailure, ConsulOperation } from './consul-client.ts';

/** Specification (Consul txn_endpoint.go, 1.8; later ones take 128). */
export const maxConsulOperations = 64;

export interface ConsulTransaction {
  readonly operations: readonly ConsulOperation[];
  /** Keys whose condition did not hold, none when a fence failed; null when the refusal is about something else. */
  conflicts(failure: ConsulFailure): readonly StoreKey[] | null;
}

export function toTransaction(
  operations: readonly StoreOperation[],
  path: (key: StoreKey) => string,
): ConsulTransaction {
  let room = maxConsulOperations - operations.length;
  const flags = changeMark();
  const parts = operations.flatMap((source) => {
    const kvs = translated(source, path, flags, room > 0);
    room -= kvs.length - 1;
    return kvs.map((KV) => ({ source, operation: { KV } }));
  });
  return {
    operations: parts.map(({ operation }) => operation),
    conflicts(failure) {
      const refused = failure.errors.map(({ OpIndex }) => parts[OpIndex]?.source);
      if (refused.length === 0 || refused.includes(undefined)) return null;
      const sources = new Set(refused.filter((source) => source !== undefined));
      if ([...sources].some(({ kind }) => kind === 'fence')) return [];
      return [...sources].flatMap((source) => (source.kind === 'fence' ? [] : [source.key]));
    },
  };
}

export function lockOperation(path: string, value: Uint8Array, session: string): ConsulOperation {
  return { KV: { Verb: 'lock', Key: path, Value: base64(value), Session: session, Flags: changeMark() } };
}

/** `hasRoom`: for the check before a conditional delete, without which a missing key would count as deleted. */
function translated(
  operation: StoreOperation,
  path: (key: StoreKey) => string,
  flags: number,
  hasRoom: boolean,
): readonly ConsulOperation['KV'][] {
  if (operation.kind === 'fence') {
    const { key, token } = operation.lease;
    return [{ Verb: 'check-session', Key: path(key), Session: token }];
  }
  const Key = path(operation.key);
  const { expect } = operation;
  if (operation.kind === 'put') {
    const put = { Key, Value: base64(operation.value), Flags: flags };
    return [expect === 'any' ? { Verb: 'set', ...put } : { Verb: 'cas', ...put, Index: expect }];
  }
  if (expect === 'any') return [{ Verb: 'delete', Key }];
  if (expect === 0) return [{ Verb: 'check-not-exists', Key }];
  const remove = { Verb: 'delete-cas', Key, Index: expect } as const;
  return hasRoom ? [{ Verb: 'check-index', Key, Index: expect }, remove] : [remove];
}

/** Consul takes a put of the same value and flags for no change; flags of its own make each put one. */
function changeMark(): number {
  return randomInt(2 ** 47);
}

function base64(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
}
