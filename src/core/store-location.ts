/**
 * Where the tables live, as the operator writes it:
 *
 *   lmdb:///DIRECTORY                        embedded, shared by the processes of one machine
 *   consul://HOST[:PORT][/PREFIX]            a cluster's; port 8500
 *   consul+https://HOST[:PORT][/PREFIX]      the same over TLS; port 8501
 *   memory:                                  in one process, for tests
 *
 * A message never repeats the text: it may hold what should have been given as a token.
 */

import { overlayError } from '../errors.ts';

export type StoreLocation =
  | { readonly kind: 'memory' }
  | { readonly kind: 'lmdb'; readonly directory: string }
  /** `prefix` is empty or ends with a slash. */
  | {
      readonly kind: 'consul';
      readonly host: string;
      readonly port: number;
      readonly secure: boolean;
      readonly prefix: string;
    };

/** Specification (Consul): its HTTP API's ports. */
const consulPorts = { plain: 8500, secure: 8501 } as const;
/** Implementation: keys behind it have up to 60 characters, and Consul takes 512. */
const longestPrefix = 200;

/** @throws CONFIG_INVALID naming --store */
export function parseStoreLocation(text: string): StoreLocation {
  if (!URL.canParse(text)) throw invalid('it is not a URL');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') {
    throw invalid('credentials do not belong in a URL; put the token into WEFT_STORE_TOKEN');
  }
  if (url.search !== '' || url.hash !== '') throw invalid('it has a part behind the path');
  switch (url.protocol) {
    case 'memory:':
      return { kind: 'memory' };
    case 'lmdb:':
      return { kind: 'lmdb', directory: directoryOf(url) };
    case 'consul:':
    case 'consul+https:':
      return consulOf(url);
    default:
      throw invalid(`${url.protocol.slice(0, -1)} is not a kind of store`);
  }
}

function directoryOf(url: URL): string {
  const directory = decodeURIComponent(url.pathname).replace(/(?<=.)\/+$/, '');
  if (url.host !== '' || !directory.startsWith('/') || directory === '/') {
    throw invalid('it has no absolute directory; mind the three slashes');
  }
  return directory;
}

function consulOf(url: URL): StoreLocation {
  if (url.hostname === '') throw invalid('the host is missing');
  const secure = url.protocol === 'consul+https:';
  return {
    kind: 'consul',
    host: url.hostname.replaceAll(/^\[|\]$/g, ''),
    port: url.port === '' ? consulPorts[secure ? 'secure' : 'plain'] : Number(url.port),
    secure,
    prefix: prefixOf(url),
  };
}

function prefixOf(url: URL): string {
  const prefix = url.pathname.replaceAll(/^\/|\/+$/g, '');
  if (prefix === '') return '';
  if (!/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/.test(prefix)) {
    throw invalid('a prefix has letters, digits, dashes and underscores between single slashes');
  }
  if (prefix.length > longestPrefix) throw invalid(`a prefix has at most ${longestPrefix} characters`);
  return `${prefix}/`;
}

function invalid(problem: string) {
  const remedy = 'give lmdb:///DIRECTORY, consul://HOST[:PORT][/PREFIX] or consul+https://HOST[:PORT][/PREFIX]';
  return overlayError('CONFIG_INVALID', { setting: '--store', problem, remedy });
}
