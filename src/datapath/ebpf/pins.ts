/**
 * Pins of the tables, put back by the process that has the tables open: without them the next process would start with
 * empty ones. What pins links and lists is restored by whoever owns these, when it finds them unpinned.
 */

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { closeFd, type MapFd, mapInfo, openPinnedMap, pin } from '../../native/binding.ts';
import type { Directories } from './names.ts';

export function makeDirectories(directories: Directories): void {
  for (const directory of Object.values(directories)) mkdirSync(directory, { recursive: true, mode: 0o700 });
}

/** @returns how many were missing, or of another map; @throws BPF_FAILED, or an error of node:fs */
export function restorePins(directories: Directories, maps: ReadonlyMap<string, MapFd>): number {
  makeDirectories(directories);
  const lost = [...maps].filter(([name, map]) => !isPinned(map, join(directories.maps, name)));
  for (const [name, map] of lost) {
    const path = join(directories.maps, name);
    rmSync(path, { force: true });
    pin(map, path);
  }
  return lost.length;
}

function isPinned(map: MapFd, path: string): boolean {
  const pinned = openPinnedMap(path);
  if (pinned === null) return false;
  try {
    return mapInfo(pinned).id === mapInfo(map).id;
  } finally {
    closeFd(pinned);
  }
}
