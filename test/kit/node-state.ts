/**
 * Everything a daemon keeps, read past it: what stands in the store, in the pinned tables and their directory, which
 * devices its node has, and its journal. Two readings are equal when nothing was changed between them; one of a node
 * that has no networks shows whatever was left behind.
 */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { schema } from '../../src/datapath/ebpf/names.ts';
import type { Store } from '../../src/ports/store.ts';
import { openStore } from '../../src/store/open.ts';
import { eventually, run } from './command.ts';
import type { ConsulCluster } from './consul.ts';
import type { Daemon } from './daemon.ts';
import type { LabNode } from './node.ts';

/** Keys without the product's own prefix. */
export type StoreRecords = Readonly<Record<string, string>>;

export interface StoreReader {
  records(): Promise<StoreRecords>;
  /** Writes past the daemons whatever it is told to; null deletes. */
  write(key: string, value: string | null): Promise<void>;
  close(): Promise<void>;
}

export interface NodeState {
  readonly store: StoreRecords;
  /** Rows of each pinned table that belongs to networks and endpoints. */
  readonly tables: Readonly<Record<string, readonly unknown[]>>;
  readonly pins: readonly string[];
  readonly devices: readonly string[];
  /** Text of each file below the state directory that is of networks and endpoints. */
  readonly journal: Readonly<Record<string, string>>;
}

type Place = Pick<Daemon, 'bpfDir' | 'stateDir'>;

const root = 'weft/v1/';
/** Of src/core/keys.ts: everything that the product writes lies under one of these. */
const prefixes = ['n/', 'net/', 'vni/', 's/', 'd/', 'ns/', 'p/', 'a/', 'm/'] as const;
/** The pinned maps whose rows belong to networks and endpoints; all are empty when none is left. */
const tables = ['networks', 'peers', 'ports', 'fdb', 'neighbours', 'flood'] as const;

export async function readLmdb(url: string): Promise<StoreReader> {
  const store = await openStore(url);
  return {
    records: async () => recordsOf(store),
    async write(key, value) {
      const put = { kind: 'put', key, value: new TextEncoder().encode(value ?? ''), expect: 'any' } as const;
      await store.commit([value === null ? { kind: 'delete', key, expect: 'any' } : put]);
    },
    close: () => store.close(),
  };
}

export function readConsul(consul: ConsulCluster): StoreReader {
  return {
    async records() {
      const exported = JSON.parse(await consul.command(['kv', 'export', root])) as readonly ConsulRecord[];
      const texts = exported.map(({ key, value }) => [
        key.slice(root.length),
        Buffer.from(value, 'base64').toString('utf8'),
      ]);
      return Object.fromEntries(texts.sort());
    },
    async write(key, value) {
      await consul.command(value === null ? ['kv', 'delete', root + key] : ['kv', 'put', root + key, value]);
    },
    close: async () => undefined,
  };
}

interface ConsulRecord {
  readonly key: string;
  readonly value: string;
}

async function recordsOf(store: Store): Promise<StoreRecords> {
  const entries = (await Promise.all(prefixes.map((prefix) => store.list(prefix)))).flat();
  return Object.fromEntries(entries.map(({ key, value }) => [key, new TextDecoder().decode(value)]).sort());
}

export async function readNode(host: LabNode, place: Place, store: StoreReader | null): Promise<NodeState> {
  const links = JSON.parse(await host.run(['ip', '-json', 'link', 'show'])) as readonly { readonly ifname: string }[];
  return {
    store: store === null ? {} : await store.records(),
    tables: await readTables(place),
    pins: treeOf(place.bpfDir),
    devices: links.map(({ ifname }) => ifname).sort(),
    journal: Object.fromEntries(
      treeOf(place.stateDir)
        // Learned of the engine some seconds after the first network, whatever is called meanwhile.
        .filter((path) => path !== 'engine-id' && statSync(join(place.stateDir, path)).isFile())
        .map((path) => [path, readFileSync(join(place.stateDir, path), 'utf8')]),
    ),
  };
}

async function readTables({ bpfDir }: Place): Promise<NodeState['tables']> {
  const maps = join(bpfDir, schema, 'maps');
  if (!existsSync(maps)) return {};
  const dumps = tables.map(async (name) => {
    const rows = JSON.parse(await run(['bpftool', '-j', 'map', 'dump', 'pinned', join(maps, name)])) as readonly Row[];
    return [name, rows.map((row) => row.formatted ?? row)] as const;
  });
  return Object.fromEntries(await Promise.all(dumps));
}

/** Of bpftool; `formatted` where the map has types. */
interface Row {
  readonly formatted?: unknown;
}

function treeOf(directory: string): readonly string[] {
  try {
    return (readdirSync(directory, { recursive: true }) as string[]).sort();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

/** What differs between two readings, one line each. */
export function differences(before: NodeState, after: NodeState): readonly string[] {
  const [old, now] = [linesOf(before), linesOf(after)];
  return [
    ...[...old].filter((line) => !now.has(line)).map((line) => `gone: ${line}`),
    ...[...now].filter((line) => !old.has(line)).map((line) => `new: ${line}`),
  ];
}

function linesOf({ store, tables: rows, pins, devices, journal }: NodeState): ReadonlySet<string> {
  return new Set([
    ...Object.entries(store).map(([key, value]) => `store ${key} = ${value}`),
    ...Object.entries(rows).flatMap(([name, table]) => table.map((row) => `table ${name}: ${JSON.stringify(row)}`)),
    ...pins.map((path) => `pin ${path}`),
    ...devices.map((name) => `device ${name}`),
    ...Object.entries(journal).map(([path, text]) => `journal ${path}: ${text}`),
  ]);
}

/** What is there of networks and endpoints: nothing, on a node that has none. */
export function remainsOf({ store, tables: rows, pins, devices, journal }: NodeState): readonly string[] {
  return [
    ...Object.keys(store)
      .filter((key) => !/^n\/(_|[0-9a-f]{16})$/.test(key))
      .map((key) => `store key ${key}`),
    ...Object.entries(rows)
      .filter(([, table]) => table.length > 0)
      .map(([name, table]) => `rows of table ${name}: ${JSON.stringify(table).slice(0, 200)}`),
    ...pins.filter((path) => /\/endpoints\/|\/links\/w[hc]/.test(path)).map((path) => `pin ${path}`),
    ...devices.filter((name) => /^w[hc][0-9a-f]{12}$/.test(name)).map((name) => `device ${name}`),
    ...Object.keys(journal)
      .filter((path) => /^(networks|endpoints)\//.test(path))
      .map((path) => `journal file ${path}`),
  ];
}

/** @throws naming everything that is still there after the limit */
export async function requireNothingLeft(
  host: LabNode,
  place: Place,
  store: StoreReader,
  limitMs = 10_000,
): Promise<void> {
  let remains: readonly string[] = [];
  const isClean = async () => {
    remains = remainsOf(await readNode(host, place, store));
    return remains.length === 0;
  };
  await eventually('nothing is left', isClean, { limitMs, everyMs: 200 }).catch(() => {
    throw new Error(`left behind on ${host.name}: ${remains.join('; ')}`);
  });
}
