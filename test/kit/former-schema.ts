/**
 * A data path as a daemon of the previous pin schema leaves it: its tables, laid out as they were, and programs of that
 * time (former-schema/overlay.bpf.c) in the links. Made from a present one, by taking the present schema back.
 */

import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { mappedBytes } from '../../src/core/address.ts';
import { directoriesOf, formerSchema } from '../../src/datapath/ebpf/names.ts';
import { settingsRecord } from '../../src/datapath/ebpf/records.ts';
import * as bpf from '../../src/native/binding.ts';
import { run } from './own-namespace.ts';

/** @returns the path of the compiled programs, in a directory that goes with the test */
export function compileFormerPrograms(directory: string): string {
  const source = new URL('former-schema/overlay.bpf.c', import.meta.url).pathname;
  const object = join(directory, 'former.bpf.o');
  const headers = `-I/usr/include/${run('clang', '-print-multiarch').trim()}`;
  run('clang', '-O2', '-g', '-target', 'bpf', '-mcpu=v3', '-Wall', '-Werror', headers, '-c', source, '-o', object);
  return object;
}

/** No process may have the data path open. Loses no packet. */
export function takeBack(bpfDir: string, object: string): void {
  const [now, then] = [directoriesOf(bpfDir), directoriesOf(bpfDir, formerSchema)];
  const { programs, maps } = bpf.loadObject({ path: object, pinPath: then.maps, rodata: {} });
  for (const name of ['networks', 'vteps', 'peers', 'ports', 'fdb', 'neighbours', 'counters']) {
    for (const [key, value] of rows(join(now.maps, name))) bpf.mapUpdate(found(maps, name), key, value);
  }
  // It had one row: no VTEP of before.
  for (const [key, value] of rows(join(now.maps, 'settings')).slice(0, 1)) {
    bpf.mapUpdate(found(maps, 'settings'), key, formerSettings(value));
  }
  mkdirSync(then.flood);
  for (const name of readdirSync(now.flood)) {
    const list = open(join(now.flood, name));
    bpf.mapUpdateInner(found(maps, 'flood'), new Uint8Array(Uint32Array.of(Number(name)).buffer), list);
    bpf.pin(list, join(then.flood, name));
    bpf.closeFd(list);
  }
  for (const link of readdirSync(now.links)) bpf.updateLink(join(now.links, link), found(programs, programOf(link)));
  for (const fd of [...programs.values(), ...maps.values()]) bpf.closeFd(fd);
  renameSync(now.endpoints, then.endpoints);
  renameSync(now.links, then.links);
  rmSync(now.root, { recursive: true });
}

/** address[16], port, 6 bytes spare. */
function formerSettings(bytes: Uint8Array): Uint8Array {
  const vtep = settingsRecord.decode(bytes);
  if (vtep === null) throw new Error('no VTEP');
  const value = new Uint8Array(24);
  value.set(mappedBytes(vtep.address));
  new DataView(value.buffer).setUint16(16, vtep.port);
  return value;
}

function programOf(link: string): string {
  if (link.startsWith('wh')) return 'from_container';
  return link.startsWith('weft') ? 'from_tunnel' : 'from_underlay';
}

function rows(path: string): readonly bpf.MapEntry[] {
  const map = open(path);
  try {
    return bpf.mapEntries(map);
  } finally {
    bpf.closeFd(map);
  }
}

function open(path: string): bpf.MapFd {
  const map = bpf.openPinnedMap(path);
  if (map === null) throw new Error(`nothing is pinned at ${path}`);
  return map;
}

function found<Value>(all: ReadonlyMap<string, Value>, name: string): Value {
  const value = all.get(name);
  if (value === undefined) throw new Error(`no ${name}`);
  return value;
}
