/**
 * The directory and data file of an LMDB environment, looked at before LMDB does: it maps the file into memory and
 * trusts it, so that a damaged one ends the process with SIGSEGV or SIGBUS instead of an error (tried with 3.5.6).
 *
 * Layout of the first two pages, the meta pages (liblmdb mdb.c, MDB_meta, as in lmdb-js 3): a page header of 24 bytes,
 * then magic u32, version u32, two pointers, and two MDB_db of 48 bytes, the free list and the main tree. A tree has
 * its root's page number last; the first one's first field is the page size.
 */

import { type BigIntStats, closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Specification (liblmdb mdb.c). */
const magic = 0xbeef_c0de;
const dataVersion = 2;
const magicAt = 24;
const versionAt = 28;
const pageSizeAt = 48;
const rootsAt = [88, 136] as const;
const noPage = 0xffff_ffff_ffff_ffffn;
const metaBytes = 160;

/** What tells one data file from another at the same path. */
export type FileIdentity = string;

/** @throws Error of the file system */
export async function prepareDirectory(directory: string): Promise<void> {
  await makeDirectory(directory);
  const problem = damage(dataFile(directory));
  if (problem !== null) throw new Error(`${dataFile(directory)} is damaged: ${problem}`);
}

/** @throws Error of the file system, also when the file has gone */
export function identify(directory: string): FileIdentity {
  const { dev, ino } = statSync(dataFile(directory), { bigint: true }) as BigIntStats;
  return `${dev}:${ino}`;
}

/** Step by step: Node's own `recursive` never ends where the kernel lets nothing be made, such as below /proc. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return; // Opening says so if it is no directory.
    if (code !== 'ENOENT' || dirname(path) === path || existsSync(dirname(path))) throw error;
    await makeDirectory(dirname(path));
    await makeDirectory(path);
  }
}

function dataFile(directory: string): string {
  return join(directory, 'data.mdb');
}

/** Why LMDB must not open it; null for a sound, an empty or an absent file. */
function damage(path: string): string | null {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    const { size } = fstatSync(file);
    return size === 0 ? null : metaDamage(file, size);
  } finally {
    closeSync(file);
  }
}

function metaDamage(file: number, size: number): string | null {
  const first = readMeta(file, 0);
  if (first === null) return 'it does not begin with an LMDB page';
  const pageBytes = first.readUInt32LE(pageSizeAt);
  const second = readMeta(file, pageBytes);
  if (second === null) return 'its second meta page is not one of LMDB';
  const roots = [first, second].flatMap((meta) => rootsAt.map((offset) => meta.readBigUInt64LE(offset)));
  const isTruncated = roots.some((root) => root !== noPage && (root + 1n) * BigInt(pageBytes) > BigInt(size));
  return isTruncated ? 'it ends before the pages it refers to' : null;
}

function readMeta(file: number, position: number): Buffer | null {
  const meta = Buffer.alloc(metaBytes);
  if (readSync(file, meta, 0, metaBytes, position) < metaBytes) return null;
  const isMeta = meta.readUInt32LE(magicAt) === magic && (meta.readUInt32LE(versionAt) & 0xffff) === dataVersion;
  return isMeta ? meta : null;
}
