/**
 * Opens the store that a URL names:
 *
 *   memory:                                  a fresh one in this process, for tests
 *   lmdb:///DIRECTORY                        embedded, shared by the processes of one machine
 *   consul://HOST[:PORT][/PREFIX]            a cluster's; port 8500
 *   consul+https://HOST[:PORT][/PREFIX]      the same over TLS; port 8501
 *
 * Every key gets `weft/v1/` in front, after the URL's own prefix. A store that is returned has answered, and the token
 * has been found good for writing.
 */

import { overlayError } from '../errors.ts';
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

const defaultPorts = { 'consul:': 8500, 'consul+https:': 8501 } as const;
const remedy = 'give memory:, lmdb:///DIRECTORY, consul://HOST[:PORT][/PREFIX] or consul+https://HOST[:PORT][/PREFIX]';
const rootPrefix = 'weft/v1/';

/** @throws CONFIG_INVALID, STORE_UNREACHABLE, STORE_DENIED */
export async function openStore(url: string, options: StoreOptions = {}): Promise<Store> {
  options.signal?.throwIfAborted();
  const parsed = parseUrl(url);
  switch (parsed.protocol) {
    case 'memory:':
      return createMemoryStore({ holdDownMs: options.holdDownMs });
    case 'lmdb:':
      return openLmdbStore({ directory: parseDirectory(parsed), holdDownMs: options.holdDownMs });
    case 'consul:':
    case 'consul+https:':
      return openConsul(parsed, parsed.protocol, options);
    default:
      throw invalid(`there is no store of kind ${parsed.protocol.slice(0, -1)}`);
  }
}

async function openConsul(url: URL, protocol: keyof typeof defaultPorts, options: StoreOptions): Promise<Store> {
  const { token, tls, holdDownMs, signal } = options;
  if (url.hostname === '') throw invalid('the host is missing');
  const address = {
    secure: protocol === 'consul+https:',
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? defaultPorts[protocol] : Number(url.port),
  };
  const store = new ConsulStore({ address, root: `${parsePrefix(url)}${rootPrefix}`, token, tls, holdDownMs });
  try {
    await store.verify(signal);
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** The text is not repeated in the error: it may hold what should have been given as a token. */
function parseUrl(text: string): URL {
  if (!URL.canParse(text)) throw invalid('it is not a URL');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') throw invalid('it must not hold a user or password');
  if (url.search !== '' || url.hash !== '') throw invalid('it must not have ? or # in it');
  return url;
}

function parseDirectory(url: URL): string {
  const directory = decodeURIComponent(url.pathname).replace(/(?<=.)\/+$/, '');
  if (url.host !== '' || !directory.startsWith('/') || directory === '/') {
    throw invalid('lmdb takes the absolute path of a directory, after three slashes');
  }
  return directory;
}

function parsePrefix(url: URL): string {
  const prefix = url.pathname.replace(/^\/|\/+$/g, '');
  if (prefix === '') return '';
  if (!/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/.test(prefix)) {
    throw invalid('a prefix has letters, digits, dashes and underscores between single slashes');
  }
  if (prefix.length > 200) throw invalid('a prefix has at most 200 characters');
  return `${prefix}/`;
}

function invalid(problem: string) {
  return overlayError('CONFIG_INVALID', { setting: '--store', problem, remedy });
}
