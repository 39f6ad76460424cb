/**
 * A hash or array map as a table of typed rows. Rows go in and out in batches, since a thousand single updates take
 * four times as long. A row that cannot be decoded, which only another program can have written,
 * is deleted when it is found: no entry could name it, so no change would ever remove it.
 */

import { type ErrorCode, isOverlayError, overlayError } from '../../errors.ts';
import {
  errnoOf,
  type MapFd,
  mapDeleteBatch,
  mapEntries,
  mapInfo,
  mapLookup,
  mapUpdateBatch,
} from '../../native/binding.ts';

export interface Codec<Value> {
  encode(value: Value): Uint8Array;
  /** @throws one of the codes of a domain value's parser */
  decode(bytes: Uint8Array): Value;
}

export interface Table<Key, Value> {
  get(key: Key): Value | null;
  /** @throws BPF_FAILED; some of the rows may be in */
  put(rows: ReadonlyArray<readonly [Key, Value]>): void;
  remove(keys: readonly Key[]): void;
  /** Decoded as they are taken, so that a long reading can pause. */
  rows(): Iterable<readonly [Key, Value]>;
}

/** Implementation: the kernel's allocator runs dry for moments under bursts. */
const attempts = 5;
const undecodable: readonly ErrorCode[] = ['MAC_INVALID', 'VNI_OUT_OF_RANGE', 'ADDRESS_INVALID'];

export function createTable<Key, Value>(map: MapFd, keys: Codec<Key>, values: Codec<Value>): Table<Key, Value> {
  function decodeRow(key: Uint8Array, value: Uint8Array): readonly [Key, Value] | null {
    try {
      return [keys.decode(key), values.decode(value)];
    } catch (error) {
      if (isOverlayError(error, ...undecodable)) return null;
      throw error;
    }
  }

  return {
    get: (key) => {
      const value = mapLookup(map, keys.encode(key));
      return value === null ? null : values.decode(value);
    },
    put: (rows) => {
      const encodedKeys = rows.map(([key]) => keys.encode(key));
      const encodedValues = rows.map(([, value]) => values.encode(value));
      updateAll(map, encodedKeys, encodedValues);
    },
    remove: (removed) => {
      mapDeleteBatch(map, removed.map(keys.encode));
    },
    rows: function* () {
      const strays: Uint8Array[] = [];
      for (const [key, value] of mapEntries(map)) {
        const row = decodeRow(key, value);
        if (row === null) strays.push(key);
        else yield row;
      }
      mapDeleteBatch(map, strays);
    },
  };
}

function updateAll(map: MapFd, keys: readonly Uint8Array[], values: readonly Uint8Array[]): void {
  for (let attempt = 1; ; attempt += 1) {
    try {
      mapUpdateBatch(map, keys, values);
      return;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOMEM' && attempt < attempts) continue;
      if (errno !== 'E2BIG') throw error;
      const { name, maxEntries } = mapInfo(map);
      const problem = `it is full with ${maxEntries} rows; this node is in more networks or sees more endpoints than it is built for`;
      throw overlayError('BPF_FAILED', { operation: `updating table ${name}`, problem, errno }, { cause: error });
    }
  }
}
