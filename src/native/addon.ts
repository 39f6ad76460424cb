/**
 * The addon as it crosses the boundary: declarations in the order of `native/addon/exports.cc`, the loader and the one
 * place where a native error becomes an `OverlayError`. What crosses is plain: numbers, strings, `Uint8Array`, records
 * of these; absent is `null`. The native side trusts its arguments, so only `binding.ts` and `probe.ts` call it, after
 * `argument.ts` has looked at them.
 */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Brand } from '../core/brand.ts';
import { messageOf, overlayError } from '../errors.ts';

/** Entries packed end to end: entry i has the bytes [i * size, (i + 1) * size) of each array. */
export interface PackedEntries {
  readonly count: number;
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
}

/** An open ring, opaque here. */
export type RawRing = Brand<object, 'RawRing'>;

export interface RawMapInfo {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly id: number;
  readonly name: string;
}

export interface RawTestRun {
  readonly verdict: number;
  readonly data: Uint8Array;
  readonly context: Uint8Array;
  readonly durationNs: number;
}

/** Every function throws an `Error` with `code` (name of the errno), `syscall` and `details` (libbpf's log or null). */
export interface Addon {
  loadObject(source: {
    readonly path: string;
    readonly pinPath: string | null;
    readonly rodata: ReadonlyArray<readonly [name: string, value: number | Uint8Array]>;
    readonly maxEntries: ReadonlyArray<readonly [map: string, entries: number]>;
    readonly programs: readonly string[] | null;
  }): {
    readonly programs: ReadonlyArray<readonly [string, number]>;
    readonly maps: ReadonlyArray<readonly [string, number]>;
  };
  programInfo(fd: number): { readonly id: number; readonly name: string; readonly tag: string };
  mapInfo(fd: number): RawMapInfo;
  mapLookup(fd: number, key: Uint8Array): Uint8Array | null;
  mapUpdate(fd: number, key: Uint8Array, value: Uint8Array, flags: number): void;
  mapDelete(fd: number, key: Uint8Array): boolean;
  mapEntries(fd: number): PackedEntries;
  mapDigest(fd: number): bigint;
  mapUpdateBatch(fd: number, count: number, keys: Uint8Array, values: Uint8Array): void;
  mapDeleteBatch(fd: number, count: number, keys: Uint8Array): number;
  createArray(name: string, valueSize: number, count: number, values: Uint8Array): number;
  mapById(id: number): number | null;
  pin(fd: number, path: string): void;
  openPinned(path: string): number | null;
  closeFd(fd: number): void;
  attachTcx(program: number, ifindex: number, pinPath: string): void;
  updateLink(pinPath: string, program: number): 'updated' | 'defunct' | 'missing';
  linkInfo(pinPath: string): { readonly id: number; readonly programId: number; readonly ifindex: number } | null;
  attachClsact(program: number, ifindex: number, handle: number, priority: number): void;
  detachClsact(ifindex: number, handle: number, priority: number): boolean;
  clsactInfo(ifindex: number, handle: number, priority: number): { readonly programId: number } | null;
  ringOpen(mapFd: number, onRecord: (bytes: Uint8Array) => void): RawRing;
  ringDrain(ring: RawRing): number;
  ringClose(ring: RawRing): void;
  testRun(program: number, data: Uint8Array, context: Uint8Array | null, repeat: number): RawTestRun;
  probeTcx(): boolean;
  probeHelper(helper: number): boolean;
  probeMapType(type: number): boolean;
  probeResizableInnerMaps(): boolean;
  probeAdjustRoom(deltaBytes: number, flags: bigint): boolean;
  possibleCpus(): number;
}

const fileName = join('native', 'build', 'Release', 'weft.node');
const require = createRequire(import.meta.url);

/** The addon is one per process however often it is asked for, so the process remembers it here. */
let loaded: Addon | null = null;

/**
 * Runs one native call and converts its error. `operation` completes "… failed: problem" in the message.
 * @throws BPF_FAILED with details.errno, and details.log where libbpf or the verifier had something to say.
 */
export function native<Result>(operation: string, call: (addon: Addon) => Result): Result {
  loaded ??= load();
  try {
    return call(loaded);
  } catch (error) {
    throw convert(operation, error);
  }
}

/** The package root is two directories up, from `src/native` as from `dist/native`; a bundle may lie nearer. */
function load(): Addon {
  const here = dirname(fileURLToPath(import.meta.url));
  const tried: string[] = [];
  for (const up of ['../..', '..', '.']) {
    const path = join(here, up, fileName);
    try {
      return require(path) as Addon;
    } catch (error) {
      tried.push(`${path} (${messageOf(error).split('\n', 1)[0]})`);
    }
  }
  const problem = `not found or not loadable, build it with npm run build:native; tried ${tried.join(', ')}`;
  throw overlayError('BPF_FAILED', { operation: 'loading the native addon', problem, errno: 'ENOENT' });
}

function convert(operation: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return error;
  const errno = String(error.code);
  const log = 'details' in error && typeof error.details === 'string' ? error.details : null;
  if (log === null) return overlayError('BPF_FAILED', { operation, problem: error.message, errno }, { cause: error });
  const problem = `${error.message}: ${lastWords(log)}`;
  return overlayError('BPF_FAILED', { operation, problem, errno, log }, { cause: error });
}

/** The one line of a log that says why: the verifier's stands before its statistics, libbpf's own comes first. */
function lastWords(log: string): string {
  const lines = log.split('\n').filter((line) => line !== '');
  const statistics = lines.findLastIndex((line) => line.startsWith('processed '));
  const program = /prog '([^']+)'/.exec(log)?.[1];
  const line = lines[statistics > 0 ? statistics - 1 : 0] ?? 'no log';
  return statistics > 0 && program !== undefined ? `program ${program}: ${line}` : line;
}
