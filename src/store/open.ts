/**
 * Opens the store that a location names. Every key gets `weft/v1/` in front, after the location's own prefix. A store
 * that is returned has answered, and the token has been found good for writing.
 */

import { parseStoreLocation, type StoreLocation } from '../core/store-location.ts';
import type { Store } from '../ports/store.ts';
import { ConsulStore } from './consul.ts';
import type { TlsOptions } from './consul-client.ts';
import { openLmdbStore } from './lmdb.ts';
import { createMemoryStore } from './memory.ts';

export interface StoreOptions {
  /** ACL token; ignored by stores that have none. Never part of an error or a log line. */
  readonly token?: string | undefined;
  readonly tls?: TlsOptions | undefined;
  /** Shortest time between two snapshots of a watch; each kind of store has its own default. */
  readonly holdDownMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const rootPrefix = 'weft/v1/';

/** @throws CONFIG_INVALID for a text that names no store, STORE_UNREACHABLE, STORE_DENIED */
export async function openStore(where: StoreLocation | string, options: StoreOptions = {}): Promise<Store> {
  options.signal?.throwIfAborted();
  const location = typeof where === 'string' ? parseStoreLocation(where) : where;
  switch (location.kind) {
    case 'memory':
      return createMemoryStore({ holdDownMs: options.holdDownMs });
    case 'lmdb':
      return openLmdbStore({ directory: location.directory, holdDownMs: options.holdDownMs });
    case 'consul':
      return openConsul(location, options);
  }
}

async function openConsul(location: StoreLocation & { kind: 'consul' }, options: StoreOptions): Promise<Store> {
  const { token, tls, holdDownMs, signal } = options;
  const { prefix, ...address } = location;
  const store = new ConsulStore({ address, root: `${prefix}${rootPrefix}`, token, tls, holdDownMs });
  try {
    await store.verify(signal);
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}
