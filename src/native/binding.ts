/**
 * BPF for the rest of Weft: objects, maps, pins, links, filters, rings and test runs over libbpf; `probe.ts` has the
 * probes. This side checks arguments; the native side converts and calls. Calls are synchronous: a map operation takes
 * two to three microseconds, a load some tens of milliseconds.
 *
 * File descriptors are plain numbers under a brand. Whoever receives one closes it with `closeFd`; closing never
 * detaches or deletes what is pinned. Integers inside keys and values are in host byte order unless a layout says
 * otherwise. Every failure is BPF_FAILED; `errnoOf` tells which.
 */

import { mkdirSync, readlinkSync } from 'node:fs';
import type { Brand } from '../core/brand.ts';
import { isOverlayError, messageOf } from '../errors.ts';
import { native, type RawMapInfo, type RawTestRun } from './addon.ts';
import { checkIfindex, checkPlace, pack, refuse, withIfindex } from './argument.ts';

export type MapFd = Brand<number, 'MapFd'>;
export type ProgramFd = Brand<number, 'ProgramFd'>;

export type MapInfo = RawMapInfo;
export type TestRun = RawTestRun;
export type MapEntry = readonly [key: Uint8Array, value: Uint8Array];
export type UpdateMode = 'any' | 'create' | 'exist';

export interface ObjectSource {
  /** A compiled object, `*.bpf.o`. */
  readonly path: string;
  /**
   * Where maps declared LIBBPF_PIN_BY_NAME are pinned, or taken from when they are there with the same shape; made when
   * missing. null: nothing is pinned.
   */
  readonly pinPath: string | null;
  /** Values of `const volatile` variables: a number in the variable's own width, or exactly its bytes. */
  readonly rodata: Readonly<Record<string, number | Uint8Array>>;
  /** Sizes of maps by name where the declared one does not fit. A pinned map of another size is refused. */
  readonly maxEntries?: Readonly<Record<string, number>>;
  /** The programs to load; all when absent. */
  readonly programs?: readonly string[];
}

export interface LoadedObject {
  readonly programs: ReadonlyMap<string, ProgramFd>;
  /** Without the compiler's own maps (.rodata, .bss). */
  readonly maps: ReadonlyMap<string, MapFd>;
}

/** The place of a filter on a device's clsact ingress: what the kernel tells filters apart by. */
export interface ClsactPlace {
  readonly ifindex: number;
  readonly handle: number;
  readonly priority: number;
}

/**
 * Loads an object; programs of an unknown section load as SCHED_CLS. The descriptors stay open when the object is gone.
 * On failure nothing stays loaded and no new pin is left.
 * @throws BPF_FAILED with details.log, the tail of libbpf's and the verifier's log.
 */
export function loadObject(source: ObjectSource): LoadedObject {
  const { path, pinPath, programs = null } = source;
  const operation = `loading ${path}`;
  if (pinPath !== null) makePinDirectory(operation, pinPath);
  const rodata = Object.entries(source.rodata);
  for (const [name, value] of rodata) {
    if (typeof value === 'number' && !Number.isSafeInteger(value))
      throw refuse(operation, `${name} cannot be ${value}`);
  }
  const maxEntries = Object.entries(source.maxEntries ?? {});
  const loaded = native(operation, (addon) => addon.loadObject({ path, pinPath, rodata, maxEntries, programs }));
  return {
    programs: new Map(loaded.programs.map(([name, fd]) => [name, fd as ProgramFd])),
    maps: new Map(loaded.maps.map(([name, fd]) => [name, fd as MapFd])),
  };
}

export function programInfo(program: ProgramFd): { readonly id: number; readonly name: string; readonly tag: string } {
  return native('reading a program', (addon) => addon.programInfo(program));
}

export function mapInfo(map: MapFd): MapInfo {
  return native('reading a map', (addon) => addon.mapInfo(map));
}

/**
 * The value of a key. A per-CPU map gives all CPUs' values end to end, each padded to 8 bytes (`possibleCpus` of them);
 * a map of maps gives the inner map's id.
 */
export function mapLookup(map: MapFd, key: Uint8Array): Uint8Array | null {
  return native('looking up a map entry', (addon) => addon.mapLookup(map, key));
}

/** @throws EEXIST for 'create' of a key that is there, ENOENT for 'exist' of one that is not, E2BIG when full. */
export function mapUpdate(map: MapFd, key: Uint8Array, value: Uint8Array, mode: UpdateMode = 'any'): void {
  native('updating a map entry', (addon) => addon.mapUpdate(map, key, value, updateFlags[mode]));
}

/** False when the key was not there. */
export function mapDelete(map: MapFd, key: Uint8Array): boolean {
  return native('deleting a map entry', (addon) => addon.mapDelete(map, key));
}

/** All entries, in the kernel's order. An entry that changes meanwhile is seen before or after its change. */
export function mapEntries(map: MapFd): MapEntry[] {
  const { count, keys, values } = native('reading map entries', (addon) => addon.mapEntries(map));
  const keySize = keys.length / count;
  const valueSize = values.length / count;
  return Array.from({ length: count }, (_, index) => [
    keys.subarray(index * keySize, (index + 1) * keySize),
    values.subarray(index * valueSize, (index + 1) * valueSize),
  ]);
}

/**
 * A number that stands for all entries whatever their order: equal as long as none changed. Several times cheaper than
 * having them here.
 */
export function mapDigest(map: MapFd): bigint {
  return native('reading map entries', (addon) => addon.mapDigest(map));
}

/** Puts keys[i] → values[i] for all i. Not atomic: where it fails, the message says how many are in place. */
export function mapUpdateBatch(map: MapFd, keys: readonly Uint8Array[], values: readonly Uint8Array[]): void {
  const operation = 'updating map entries';
  if (keys.length !== values.length) throw refuse(operation, `${keys.length} keys but ${values.length} values`);
  if (keys.length === 0) return;
  native(operation, (addon) => addon.mapUpdateBatch(map, keys.length, pack(operation, keys), pack(operation, values)));
}

/** Deletes the keys that are there and returns how many were. */
export function mapDeleteBatch(map: MapFd, keys: readonly Uint8Array[]): number {
  const operation = 'deleting map entries';
  if (keys.length === 0) return 0;
  return native(operation, (addon) => addon.mapDeleteBatch(map, keys.length, pack(operation, keys)));
}

/** An ARRAY map with exactly these values, fit to be an inner map whatever the length of its template. */
export function createArray(array: {
  readonly name: string;
  readonly valueSize: number;
  readonly values: readonly Uint8Array[];
}): MapFd {
  const { name, valueSize, values } = array;
  const operation = `creating array ${name}`;
  if (values.length === 0) throw refuse(operation, 'an array needs at least one value');
  const packed = pack(operation, values);
  if (packed.length !== valueSize * values.length) throw refuse(operation, `values are not ${valueSize} bytes each`);
  return native(operation, (addon) => addon.createArray(name, valueSize, values.length, packed)) as MapFd;
}

/** Makes `inner` the value of a key of a map of maps, at once for every reader. The outer map keeps it alive. */
export function mapUpdateInner(outer: MapFd, key: Uint8Array, inner: MapFd): void {
  mapUpdate(outer, key, new Uint8Array(Uint32Array.of(inner).buffer));
}

/** null when no map has this id any more. */
export function mapById(id: number): MapFd | null {
  return native(`opening map ${id}`, (addon) => addon.mapById(id)) as MapFd | null;
}

/** @throws EEXIST when the path is taken. */
export function pin(fd: MapFd | ProgramFd, path: string): void {
  native(`pinning to ${path}`, (addon) => addon.pin(fd, path));
}

/** null when nothing is pinned there. @throws EINVAL when it is not a map. */
export function openPinnedMap(path: string): MapFd | null {
  return openPinned(path, 'map') as MapFd | null;
}

/** null when nothing is pinned there. @throws EINVAL when it is not a program. */
export function openPinnedProgram(path: string): ProgramFd | null {
  return openPinned(path, 'prog') as ProgramFd | null;
}

export function closeFd(fd: MapFd | ProgramFd): void {
  native('closing a descriptor', (addon) => addon.closeFd(fd));
}

/**
 * Attaches to the device's tcx ingress, behind what is there, by a link pinned at `pinPath`: unlink that to detach.
 * @throws EEXIST when the path is taken, ENODEV without such a device; nothing is attached then.
 */
export function attachTcx(link: {
  readonly program: ProgramFd;
  readonly ifindex: number;
  readonly pinPath: string;
}): void {
  const operation = `attaching to interface ${link.ifindex} by ${link.pinPath}`;
  checkIfindex(operation, link.ifindex);
  native(operation, (addon) => addon.attachTcx(link.program, link.ifindex, link.pinPath));
}

/** Swaps the program of a pinned link without a gap. 'defunct': its device is gone, unlink the pin. */
export function updateLink(pinPath: string, program: ProgramFd): 'updated' | 'defunct' | 'missing' {
  return native(`updating link ${pinPath}`, (addon) => addon.updateLink(pinPath, program));
}

/** null when nothing is pinned there; `ifindex` is null when the link is defunct. */
export function linkInfo(
  pinPath: string,
): { readonly id: number; readonly programId: number; readonly ifindex: number | null } | null {
  const link = native(`reading link ${pinPath}`, (addon) => addon.linkInfo(pinPath));
  return link === null ? null : { ...link, ifindex: link.ifindex === 0 ? null : link.ifindex };
}

/** For kernels without tcx: a direct-action filter on clsact ingress. Adds the qdisc if missing, replaces in place. */
export function attachClsact(filter: ClsactPlace & { readonly program: ProgramFd }): void {
  const operation = `attaching a filter to interface ${filter.ifindex}`;
  checkPlace(operation, filter);
  native(operation, (addon) => addon.attachClsact(filter.program, filter.ifindex, filter.handle, filter.priority));
}

/** False when there was no such filter or device. The qdisc stays: others may use it. */
export function detachClsact(place: ClsactPlace): boolean {
  const operation = `detaching a filter from interface ${place.ifindex}`;
  checkPlace(operation, place);
  return native(operation, (addon) => addon.detachClsact(place.ifindex, place.handle, place.priority));
}

export function clsactInfo(place: ClsactPlace): { readonly programId: number } | null {
  const operation = `reading a filter of interface ${place.ifindex}`;
  checkPlace(operation, place);
  return native(operation, (addon) => addon.clsactInfo(place.ifindex, place.handle, place.priority));
}

export interface Ring {
  /** Delivers what is there now, for records submitted without wake-up; returns how many. */
  drain(): number;
  /** May be called more than once, also from the callback. No record is delivered afterwards. */
  close(): void;
}

/**
 * Delivers each record of a ring buffer on the event loop, without keeping the process alive. The bytes are the
 * callback's to keep. What the callback throws is an uncaught exception. One reader per map; `map` may be closed.
 */
export function ringOpen(map: MapFd, onRecord: (bytes: Uint8Array) => void): Ring {
  const ring = native('opening a ring buffer', (addon) => addon.ringOpen(map, onRecord));
  return {
    drain: () => native('draining a ring buffer', (addon) => addon.ringDrain(ring)),
    close: () => native('closing a ring buffer', (addon) => addon.ringClose(ring)),
  };
}

/**
 * Runs a program on a frame without sending it. `context` is a `struct __sk_buff` (a prefix will do, unsettable fields
 * zero); `ifindex` sets that field of it and must exist in this namespace. `verdict` is signed: TC_ACT_UNSPEC is -1.
 * `durationNs` is the mean of `repeat` runs; data and context are those after the last.
 */
export function testRun(run: {
  readonly program: ProgramFd;
  readonly data: Uint8Array;
  readonly context?: Uint8Array;
  readonly ifindex?: number;
  readonly repeat?: number;
}): TestRun {
  const operation = 'test-running a program';
  const { program, data, context = null, ifindex = null, repeat = 1 } = run;
  if (!Number.isInteger(repeat) || repeat < 1) throw refuse(operation, `repeat ${repeat} is not a positive number`);
  if (ifindex !== null) checkIfindex(operation, ifindex);
  const input = ifindex === null ? context : withIfindex(context, ifindex);
  return native(operation, (addon) => addon.testRun(program, data, input, repeat));
}

/** The errno name of a BPF failure, such as 'ENOENT'; null for any other error. */
export function errnoOf(error: unknown): string | null {
  if (!isOverlayError(error, 'BPF_FAILED')) return null;
  const { errno } = error.details;
  return String(errno);
}

/** BPF_ANY, BPF_NOEXIST, BPF_EXIST of linux/bpf.h. */
const updateFlags: Readonly<Record<UpdateMode, number>> = { any: 0, create: 1, exist: 2 };

function makePinDirectory(operation: string, path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw refuse(operation, messageOf(error));
  }
}

/** The kernel opens any pin by the same call, so what came is told by its name under /proc: `anon_inode:bpf-map`. */
function openPinned(path: string, kind: 'map' | 'prog'): number | null {
  const operation = `opening ${path}`;
  const fd = native(operation, (addon) => addon.openPinned(path));
  if (fd === null) return null;
  const name = readlinkSync(`/proc/self/fd/${fd}`);
  if (name.includes(`bpf-${kind}`)) return fd;
  native(operation, (addon) => addon.closeFd(fd));
  throw refuse(operation, `it is ${name}, not a bpf-${kind}`);
}
