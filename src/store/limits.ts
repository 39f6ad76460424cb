/**
 * What every store takes, so that what works on one works on all. The numbers are Consul's (1.8 and later): a
 * transaction has at most 64 operations and a body of 512 KiB, in which values travel as base64, so about 384 KiB of
 * payload fit. Checked before anything is sent. Callers get 60 operations: four are left for the checks that an
 * adapter adds.
 */

import { overlayError } from '../errors.ts';
import type { StoreKey, StoreOperation } from '../ports/store.ts';

/** Specification (Consul txn_endpoint.go, txn_max_req_len): bytes of a transaction's body. */
const bodyBytes = 512 * 1024;
/** Implementation: JSON around one operation, without key and value, and the longest configured prefix. */
const operationBytes = 400;
/** Contract of the port. */
export const maxOperations = 60;

const keyForm = /^[a-z0-9_-]+(\/[a-z0-9_-]+)*$/;
const prefixForm = /^([a-z0-9_-]+\/)+$/;

/** @throws STORE_MISUSED, STORE_VALUE_TOO_LARGE */
export function checkOperations(operations: readonly StoreOperation[]): void {
  if (operations.length > maxOperations) throw misused(`${operations.length} operations in one transaction`);
  const keys = operations.flatMap((operation) => (operation.kind === 'fence' ? [] : [operation.key]));
  checkKeys(keys);
  if (new Set(keys).size < keys.length) throw misused('one key twice in a transaction');
  checkSize(operations);
}

/** @throws STORE_MISUSED */
export function checkKeys(keys: readonly StoreKey[]): void {
  const bad = keys.find((key) => !keyForm.test(key));
  if (bad !== undefined)
    throw misused(`key ${JSON.stringify(bad)} has other characters than [a-z0-9_-] between slashes`);
}

/** @throws STORE_MISUSED */
export function checkPrefix(prefix: StoreKey): void {
  if (!prefixForm.test(prefix)) throw misused(`prefix ${JSON.stringify(prefix)} is not a key that ends in a slash`);
}

function checkSize(operations: readonly StoreOperation[]): void {
  const puts = operations.filter((operation) => operation.kind === 'put');
  const total =
    operations.length * operationBytes + puts.reduce((sum, { value }) => sum + encodedBytes(value.length), 0);
  if (total <= bodyBytes) return;
  const largest = puts.reduce((one, other) => (other.value.length > one.value.length ? other : one));
  const room = bodyBytes - (total - encodedBytes(largest.value.length));
  throw overlayError('STORE_VALUE_TOO_LARGE', {
    key: largest.key,
    size: largest.value.length,
    limit: Math.max(0, Math.floor(room / 4) * 3),
  });
}

/** Length in base64 with padding. */
function encodedBytes(length: number): number {
  return Math.ceil(length / 3) * 4;
}

function misused(problem: string) {
  return overlayError('STORE_MISUSED', { problem });
}
