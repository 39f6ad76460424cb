/**
 * Tables and links of the previous pin schema become those of this one, and no packet is lost. The programs that run go
 * on with the tables they were loaded with, pinned or not, until their link is given the new program. So new tables are
 * filled beside the old ones, and the links, with the old programs still in them, change hands in one step:
 *
 *      v1 ──▶ v2: tables, filled ──▶ lists ──▶ endpoints ──▶ v1/links becomes v2/links ──▶ programs replaced ──▶ v1 removed
 *          └───────── done again from the start ────────┘         the point of no return      as after any start
 *
 * Whoever was killed on the way is told by what is there: with v1/links nothing counts yet, without it only removing is
 * left. Frames that old programs learn meanwhile are learnt again; what they count after the copy is not counted.
 *
 * When the schema grows, or a table is new in it: set `formerSchema`, and say in `converters` how rows of the old layout become rows of the new.
 */

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { everyGroup } from '../../core/group.ts';
import { vtepOf } from '../../core/vtep.ts';
import { overlayError } from '../../errors.ts';
import {
  closeFd,
  type MapEntry,
  type MapFd,
  mapEntries,
  mapInfo,
  mapUpdateBatch,
  mapUpdateInner,
  openPinnedMap,
  pin,
} from '../../native/binding.ts';
import { createMembers } from './members.ts';
import { type Directories, directoriesOf, formerSchema, schema, schemaNumber } from './names.ts';
import { makeDirectories } from './pins.ts';
import { addressOf, groupKey, index, networkKey, peerKey, peerRecord, settingsRecord } from './records.ts';
import { createTable } from './table.ts';

type Tables = ReadonlyMap<string, MapFd>;
type Converter = (row: MapEntry) => MapEntry;

const same: Converter = (row) => row;

/** What is copied. The others are the programs' own and start empty. */
const converters: Readonly<Record<string, Converter>> = {
  settings: ([key, value]) => [key, settingsFromFormer(value)],
  networks: same,
  vteps: same,
  peers: same,
  ports: same,
  fdb: same,
  neighbours: same,
  counters: same,
};

/**
 * Where there is something to take over. Null: nothing, or it has been taken over but for the clearing up.
 * @throws PINS_INCOMPATIBLE for a schema this build knows nothing of
 */
export function formerTables(bpfDir: string): Directories | null {
  requireKnownSchema(bpfDir);
  const former = directoriesOf(bpfDir, formerSchema);
  const isUnfinished = namesIn(directoriesOf(bpfDir).links).length === 0;
  return existsSync(former.links) && isUnfinished ? former : null;
}

/** Yields after each step; may be left and begun again after any of them. @throws BPF_FAILED, or an error of node:fs */
export function* takeOver(former: Directories, directories: Directories, load: () => Tables): Generator<void> {
  rmSync(directories.root, { recursive: true, force: true });
  makeDirectories(directories);
  yield;
  const tables = load();
  try {
    for (const [name, convert] of Object.entries(converters)) {
      copyTable(join(former.maps, name), found(tables, name), convert);
    }
    openGroups(tables);
    yield;
    shareLists(former, directories, found(tables, 'flood'));
    yield;
  } finally {
    for (const table of tables.values()) closeFd(table);
  }
  for (const endpoint of namesIn(former.endpoints)) mkdirSync(join(directories.endpoints, endpoint));
  yield;
  renameSync(former.links, directories.links);
  yield;
}

/** The last step, once the programs of this build are in the links. Idempotent. */
export function removeFormer(bpfDir: string): void {
  rmSync(directoriesOf(bpfDir, formerSchema).root, { recursive: true, force: true });
}

/** The former schema knew nothing of who joined what: until it is known, everybody gets every group. */
function openGroups(tables: Tables): void {
  const ports = mapEntries(found(tables, 'ports')).map(([key]) => index.decode(key));
  createMembers(found(tables, 'members'), found(tables, 'member_counts')).openAll(ports, process.hrtime.bigint());
  const peers = createTable(found(tables, 'peers'), peerKey, peerRecord).rows();
  const groups = Array.from(peers, ([{ vni }, vtepId]) => [{ vni, vtepId, group: everyGroup }, 0] as const);
  createTable(found(tables, 'groups'), groupKey, index).put(groups);
}

function copyTable(path: string, to: MapFd, convert: Converter): void {
  const from = openPinnedMap(path);
  if (from === null) return;
  try {
    const rows = mapEntries(from).map(convert);
    mapUpdateBatch(
      to,
      rows.map(([key]) => key),
      rows.map(([, value]) => value),
    );
  } finally {
    closeFd(from);
  }
}

/** Their layout has not changed, so the lists themselves are put into the new table. A list without its pin is none. */
function shareLists(former: Directories, directories: Directories, to: MapFd): void {
  const from = openPinnedMap(join(former.maps, 'flood'));
  if (from === null) return;
  try {
    for (const [key, id] of mapEntries(from)) {
      const name = String(networkKey.decode(key));
      const list = openPinnedMap(join(former.flood, name));
      if (list === null) continue;
      if (mapInfo(list).id === index.decode(id)) {
        mapUpdateInner(to, key, list);
        pin(list, join(directories.flood, name));
      }
      closeFd(list);
    }
  } finally {
    closeFd(from);
  }
}

/** `struct settings` of schema v1: address[16] in network order, IPv4 as ::ffff:a.b.c.d; port, big endian; 6 bytes spare. */
function settingsFromFormer(bytes: Uint8Array): Uint8Array {
  const port = new DataView(bytes.buffer, bytes.byteOffset).getUint16(16);
  const address = bytes.subarray(0, 16);
  const isSet = address.some((byte) => byte !== 0);
  return settingsRecord.encode(isSet ? vtepOf([addressOf(address)], port) : null);
}

function requireKnownSchema(bpfDir: string): void {
  const numbers = namesIn(bpfDir).flatMap((name) => schemaNumber(name) ?? []);
  const [known, former] = [schema, formerSchema].map((name) => Number(schemaNumber(name)));
  const newest = Math.max(...numbers);
  if (numbers.length === 0 || newest === known || newest === former) return;
  const directory = join(bpfDir, `v${newest}`);
  const problem = `their schema is v${newest}, and this version knows ${schema} and takes over ${formerSchema}`;
  const remedy =
    newest > Number(known)
      ? 'start the newer version again'
      : 'start a version in between first, which takes them over';
  throw overlayError('PINS_INCOMPATIBLE', { directory, problem, remedy });
}

function found(tables: Tables, name: string): MapFd {
  const table = tables.get(name);
  if (table !== undefined) return table;
  const problem = `the object has no map ${name}`;
  throw overlayError('BPF_FAILED', { operation: 'taking over tables', problem, errno: 'ENOENT' });
}

function namesIn(directory: string): readonly string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}
