/** The store's errors, made in one place. No text here may hold a token: addresses, keys and reasons only. */

import { type OverlayError, overlayError } from '../errors.ts';
import type { StoreKey } from '../ports/store.ts';

export function unreachable(store: string, problem: string, cause?: unknown): OverlayError {
  return overlayError('STORE_UNREACHABLE', { store, problem }, cause === undefined ? undefined : { cause });
}

export function ambiguous(store: string, problem: string): OverlayError {
  return overlayError('STORE_AMBIGUOUS', { store, problem });
}

/** `prefix` is what the token must be allowed to write. */
export function denied(store: string, key: string, prefix: string): OverlayError {
  return overlayError('STORE_DENIED', { store, key, prefix });
}

export function anchorMissing(key: StoreKey): OverlayError {
  return overlayError('STORE_ANCHOR_MISSING', { key });
}

/** `value` is what the holder wrote. */
export function heldByOther(key: StoreKey, value: Uint8Array): OverlayError {
  const node = key.slice(key.lastIndexOf('/') + 1);
  return overlayError('NODE_ID_IN_USE', { node, holder: new TextDecoder().decode(value) });
}
