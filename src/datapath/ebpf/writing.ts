/**
 * Changes → kernel. Neighbouring changes of one kind and table go together, in the order given, so a snapshot of a
 * hundred thousand rows is a few batches and a single change a single row.
 */

import type { Change } from '../../core/change.ts';
import type { ForwardingEntry, ForwardingTable } from '../../core/forwarding.ts';
import { type EntryOf, fdbRow, floodCopies, groupRow, type Names, vtepId } from './entries.ts';
import type { Ports } from './ports.ts';
import type { Tables } from './tables.ts';
import type { Vteps } from './vteps.ts';

interface Writer<Name extends ForwardingTable> {
  put(entries: ReadonlyArray<EntryOf<Name>>): void | Promise<void>;
  remove(entries: ReadonlyArray<EntryOf<Name>>): void | Promise<void>;
}

type Writers = { readonly [Name in ForwardingTable]: Writer<Name> };

interface WritingGround {
  readonly tables: Tables;
  readonly vteps: Vteps;
  readonly ports: Ports;
  readonly names: Names;
  /** After VTEPs were put, with what could not be resolved. */
  onVteps(problems: readonly string[]): Promise<void>;
}

interface Run {
  readonly kind: Change['kind'];
  readonly table: ForwardingTable;
  readonly entries: ForwardingEntry[];
}

/** @throws on the first change that cannot be made; those before it stand */
export async function applyChanges(ground: WritingGround, changes: readonly Change[]): Promise<void> {
  const { vtep, path } = { vtep: vtepWriter(ground), path: pathWriter(ground) };
  const writers: Writers = { ...rowWriters(ground), vtep, path, port: portWriter(ground) };
  for (const { kind, table, entries } of runsOf(changes)) await write(writers, kind, table, entries);
}

export function runsOf(changes: readonly Change[]): readonly Run[] {
  const runs: Run[] = [];
  for (const { kind, entry } of changes) {
    const last = runs.at(-1);
    if (last?.kind === kind && last.table === entry.table) last.entries.push(entry);
    else runs.push({ kind, table: entry.table, entries: [entry] });
  }
  return runs;
}

async function write<Name extends ForwardingTable>(
  writers: Writers,
  kind: Change['kind'],
  table: Name,
  entries: readonly ForwardingEntry[],
): Promise<void> {
  const own = entries.filter((entry): entry is EntryOf<Name> => entry.table === table);
  await writers[table][kind](own);
}

function vtepWriter({ tables, vteps, onVteps }: WritingGround): Writer<'vtep'> {
  return {
    put: async (entries) => onVteps(await vteps.put(entries)),
    remove: async (entries) => tables.sweepVteps(await vteps.remove(entries)),
  };
}

function pathWriter({ vteps, onVteps }: WritingGround): Writer<'path'> {
  return {
    put: async (entries) => onVteps(await vteps.narrow(entries)),
    remove: async (entries) => onVteps(await vteps.widen(entries)),
  };
}

function portWriter({ ports, names, tables }: WritingGround): Writer<'port'> {
  return {
    put: async (entries) => {
      for (const entry of entries) await ports.put(entry);
    },
    remove: async (entries) => {
      const gone = new Set(entries.flatMap(({ endpoint }) => names.indexOf(endpoint) ?? []));
      for (const entry of entries) await ports.remove(entry);
      tables.members.removePorts(gone);
    },
  };
}

function rowWriters({ tables, names }: WritingGround): Omit<Writers, 'vtep' | 'path' | 'port'> {
  const { networks, peers, fdb, neighbours, groups, flood } = tables;
  return {
    network: {
      put: (entries) => networks.put(entries.map(({ vni, mtuBytes, multicast }) => [vni, { mtuBytes, multicast }])),
      remove: (entries) => {
        const vnis = entries.map(({ vni }) => vni);
        networks.remove(vnis);
        tables.sweepNetworks(new Set(vnis));
      },
    },
    peer: {
      put: (entries) => peers.put(entries.map(({ vni, source, vtep }) => [{ vni, source }, vtepId(names, vtep)])),
      remove: (entries) => peers.remove(entries.map(({ vni, source }) => ({ vni, source }))),
    },
    mac: {
      put: (entries) => fdb.put(entries.map((entry) => fdbRow(names, entry))),
      remove: (entries) => fdb.remove(entries.map(({ vni, mac }) => ({ vni, mac }))),
    },
    neighbour: {
      put: (entries) => neighbours.put(entries.map(({ vni, address, mac }) => [{ vni, address }, mac])),
      remove: (entries) => neighbours.remove(entries.map(({ vni, address }) => ({ vni, address }))),
    },
    group: {
      put: (entries) => groups.put(entries.map((entry) => [groupRow(names, entry), 0])),
      // Of a VTEP that went on its own the next reading finds them.
      remove: (entries) => {
        const there = entries.filter(({ vtep }) => names.idOf(vtep) !== null);
        groups.remove(there.map((entry) => groupRow(names, entry)));
      },
    },
    flood: {
      put: (entries) => {
        for (const entry of entries) flood.put(entry.vni, floodCopies(names, entry));
      },
      remove: (entries) => {
        for (const { vni } of entries) flood.remove(vni);
      },
    },
  };
}
