/**
 * Reading from Consul. A GET of one key answers 403 without permission; a recursive GET and a transaction of gets leave
 * out what may not be read, as if it were not there. So whenever something is missing from those two, one single GET
 * makes sure that it is missing, not hidden.
 */

import type { IncomingHttpHeaders } from 'node:http';
import type { StoreEntry, StoreKey } from '../ports/store.ts';
import { type ConsulClient, ConsulFailure, type ConsulPair } from './consul-client.ts';
import { maxConsulOperations } from './consul-transaction.ts';
import type { Deadline } from './deadline.ts';
import type { Cursor, Polled } from './watch.ts';

export interface Reader {
  get(client: ConsulClient, deadline: Deadline, keys: readonly StoreKey[]): Promise<ReadonlyMap<StoreKey, StoreEntry>>;
  /** With a cursor: blocks until the prefix may have changed, or `wait` (such as `55s`) is over. */
  list(client: ConsulClient, deadline: Deadline, query: ListQuery): Promise<Polled>;
}

export interface ListQuery {
  readonly prefix: StoreKey;
  readonly cursor?: Cursor;
  readonly wait?: string;
}

/** `root` goes before every key. All methods: @throws ConsulFailure */
export function createReader(root: string): Reader {
  const entryOf = (pair: ConsulPair): StoreEntry => ({
    key: pair.Key.slice(root.length),
    value: pair.Value ?? new Uint8Array(),
    revision: pair.ModifyIndex,
    isHeld: pair.Session !== undefined,
  });

  const getOne = async (client: ConsulClient, deadline: Deadline, key: StoreKey): Promise<StoreEntry | null> => {
    const { body } = await twice(() =>
      client.call<ConsulPair>(deadline, (api, options) => api.kv.get({ ...options, key: root + key, buffer: true })),
    );
    return body === undefined ? null : entryOf(body);
  };

  /** One transaction of gets; when keys are missing it fails and names them. */
  const getPresent = async (
    client: ConsulClient,
    deadline: Deadline,
    keys: readonly StoreKey[],
  ): Promise<{ readonly found: readonly StoreEntry[] } | { readonly missing: ReadonlySet<number> }> => {
    const operations = keys.map((key) => ({ KV: { Verb: 'get', Key: root + key } }) as const);
    try {
      const { body } = await twice(() =>
        client.call(deadline, (api, options) => api.transaction.create(operations, options)),
      );
      const results = body?.Results ?? [];
      if (results.length < keys.length) throw new ConsulFailure('denied', 'keys were left out of the answer');
      return { found: results.map(({ KV }) => entryOf({ ...KV, Value: Buffer.from(KV.Value ?? '', 'base64') })) };
    } catch (error) {
      if (!(error instanceof ConsulFailure) || error.kind !== 'conflict' || error.errors.length === 0) throw error;
      return { missing: new Set(error.errors.map(({ OpIndex }) => OpIndex)) };
    }
  };

  const getMany = async (
    client: ConsulClient,
    deadline: Deadline,
    keys: readonly StoreKey[],
  ): Promise<readonly StoreEntry[]> => {
    let asked = keys;
    while (asked.length > 0) {
      const outcome = await getPresent(client, deadline, asked);
      if ('found' in outcome) return outcome.found;
      asked = asked.filter((_, index) => !outcome.missing.has(index));
    }
    return [];
  };

  return {
    async get(client, deadline, keys) {
      const [first, ...others] = keys;
      if (first === undefined) return new Map();
      const found: StoreEntry[] = [];
      if (others.length === 0) found.push(...[await getOne(client, deadline, first)].filter((entry) => entry !== null));
      else {
        for (const chunk of chunks(keys)) found.push(...(await getMany(client, deadline, chunk)));
        const known = new Set(found.map(({ key }) => key));
        const missing = keys.find((key) => !known.has(key));
        if (missing !== undefined) await getOne(client, deadline, missing);
      }
      return new Map(found.map((entry) => [entry.key, entry]));
    },

    async list(client, deadline, { prefix, cursor, wait }) {
      const blocking = cursor === undefined ? {} : { index: String(cursor), ...(wait === undefined ? {} : { wait }) };
      const { headers, body } = await twice(() =>
        client.call<ConsulPair[]>(deadline, (api, options) =>
          api.kv.get({ ...options, ...blocking, key: root + prefix, recurse: true, buffer: true }),
        ),
      );
      const entries = (body ?? []).map(entryOf);
      const anchor = `${prefix}_`;
      if (!entries.some(({ key }) => key === anchor)) await getOne(client, deadline, anchor);
      return { entries, cursor: nextCursor(headers, cursor) };
    },
  };
}

/**
 * An index that went back means that the store was restored, and one that is no positive number means nothing: both
 * start anew (Consul, "Blocking queries").
 */
export function nextCursor(headers: IncomingHttpHeaders, cursor: Cursor): Cursor {
  const index = Number(headers['x-consul-index']);
  if (!Number.isSafeInteger(index) || index < 1) return undefined;
  return cursor !== undefined && index < cursor ? undefined : index;
}

/** A kept-alive connection that the server has closed meanwhile costs one attempt; reading may be repeated. */
async function twice<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ConsulFailure && /ECONNRESET|EPIPE|socket hang up/.test(error.message)) return read();
    throw error;
  }
}

function chunks(keys: readonly StoreKey[]): readonly (readonly StoreKey[])[] {
  const count = Math.ceil(keys.length / maxConsulOperations);
  return Array.from({ length: count }, (_, index) =>
    keys.slice(index * maxConsulOperations, (index + 1) * maxConsulOperations),
  );
}
