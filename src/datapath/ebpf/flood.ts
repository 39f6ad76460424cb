/**
 * Who gets copies of group frames: per network an array of slots. Local copies stand before remote ones, as flood.h
 * asks: locals are put in from the front, remotes from the back, and free slots lie between.
 *
 *      [ local | local | free | local | free … free | remote | remote ]
 *
 * Most changes are one slot, written in place. A list too short is made anew with room to grow and takes the old one's
 * place at once; that is rare, because the kernel lets the writer of a map of maps wait until no program sees the old
 * value any more: 8 to 20 ms, measured.
 *
 * A list is pinned beside the map that holds it, under its VNI: the kernel opens what a map of maps holds by its id
 * alone, and for CAP_SYS_ADMIN only (bpf_map_get_fd_by_id), which a managed plugin shall do without. A pin that is not
 * the list in the map (the daemon was killed between the two) counts as none.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Vni } from '../../core/vni.ts';
import {
  closeFd,
  createArray,
  type MapFd,
  mapDelete,
  mapDigest,
  mapEntries,
  mapInfo,
  mapLookup,
  mapUpdateBatch,
  mapUpdateInner,
  openPinnedMap,
  pin,
} from '../../native/binding.ts';
import { floodEntry } from './layout.gen.ts';
import { floodRecord, index, networkKey, type Target } from './records.ts';

/** Null is a free slot. */
type Slots = ReadonlyArray<Target | null>;
type SlotChange = readonly [index: number, copy: Target | null];

export interface FloodLists {
  /** Idempotent. @throws BPF_FAILED */
  put(vni: Vni, copies: readonly Target[]): void;
  remove(vni: Vni): void;
  lists(): ReadonlyArray<readonly [Vni, readonly Target[]]>;
  /** Another text when any list is another, or has other slots. */
  digest(): string;
}

/** Where a network's list is found. */
interface Place {
  readonly vni: Vni;
  /** Of its pin. */
  readonly path: string;
}

/** Implementation: a free slot costs a few nanoseconds per group frame. */
const leastSlots = 16;

/** @param pins the directory of the lists' own pins */
export function createFloodLists(map: MapFd, pins: string): FloodLists {
  const pinOf = (vni: Vni) => join(pins, String(vni));
  return {
    put: (vni, copies) => {
      const isChanged = withList(map, { vni, path: pinOf(vni) }, (list) => {
        const changes = planSlots(readSlots(list), copies);
        if (changes !== null) writeSlots(list, changes);
        return changes !== null;
      });
      if (isChanged !== true) replaceList(map, { vni, path: pinOf(vni) }, copies);
    },
    remove: (vni) => {
      rmSync(pinOf(vni), { force: true });
      mapDelete(map, networkKey.encode(vni));
    },
    lists: () =>
      mapEntries(map).map(([key]) => {
        const vni = networkKey.decode(key);
        const slots = withList(map, { vni, path: pinOf(vni) }, readSlots) ?? [];
        return [vni, slots.filter((slot) => slot !== null)] as const;
      }),
    digest: () => {
      const all = mapEntries(map).map(([key, id]) => {
        const vni = networkKey.decode(key);
        return `${vni} ${index.decode(id)} ${withList(map, { vni, path: pinOf(vni) }, mapDigest)}`;
      });
      return all.sort().join();
    },
  };
}

/** What to write where, so that the slots hold exactly the copies; null when they do not fit. */
export function planSlots(slots: Slots, copies: readonly Target[]): readonly SlotChange[] | null {
  const next = [...slots];
  const wanted = new Map(copies.map((copy) => [nameOf(copy), copy]));
  slots.forEach((slot, position) => {
    if (slot !== null && !wanted.delete(nameOf(slot))) next[position] = null;
  });
  for (const copy of wanted.values()) {
    const position = freeSlot(next, copy.kind);
    if (position === null) return null;
    next[position] = copy;
  }
  return next.flatMap((slot, position) => (slot === slots[position] ? [] : [[position, slot] as const]));
}

/** The first free slot before all remote copies, or the last behind all local ones. */
function freeSlot(slots: Slots, kind: Target['kind']): number | null {
  const firstRemote = slots.findIndex((slot) => slot?.kind === 'remote');
  const lastLocal = slots.findLastIndex((slot) => slot?.kind === 'local');
  const position = kind === 'local' ? slots.indexOf(null) : slots.lastIndexOf(null);
  const isInPlace = kind === 'local' ? firstRemote === -1 || position < firstRemote : position > lastLocal;
  return position !== -1 && isInPlace ? position : null;
}

function nameOf(copy: Target): string {
  return copy.kind === 'local' ? `local ${copy.ifindex}` : `remote ${copy.vtepId}`;
}

function replaceList(map: MapFd, { vni, path }: Place, copies: readonly Target[]): void {
  const slots: Slots = Array.from({ length: Math.max(leastSlots, copies.length * 2) }, () => null);
  const filled = new Map(planSlots(slots, copies));
  const values = slots.map((_, position) => floodRecord.encode(filled.get(position) ?? null));
  const list = createArray({ name: 'flood_list', valueSize: floodEntry.size, values });
  try {
    rmSync(path, { force: true });
    pin(list, path);
    mapUpdateInner(map, networkKey.encode(vni), list);
  } finally {
    closeFd(list);
  }
}

function readSlots(list: MapFd): Slots {
  return mapEntries(list).map(([, value]) => floodRecord.decode(value));
}

function writeSlots(list: MapFd, changes: readonly SlotChange[]): void {
  mapUpdateBatch(
    list,
    changes.map(([position]) => index.encode(position)),
    changes.map(([, copy]) => floodRecord.encode(copy)),
  );
}

/** Null when the network has no list. */
function withList<Result>(map: MapFd, { vni, path }: Place, use: (list: MapFd) => Result): Result | null {
  const id = mapLookup(map, networkKey.encode(vni));
  const list = id === null ? null : openPinnedMap(path);
  if (id === null || list === null) return null;
  try {
    return mapInfo(list).id === index.decode(id) ? use(list) : null;
  } finally {
    closeFd(list);
  }
}
