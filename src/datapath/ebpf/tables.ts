/** All tables, opened with their record types, and what deletes rows that only the programs wrote. */

import type { MacAddress } from '../../core/mac.ts';
import type { Vtep } from '../../core/model.ts';
import type { Vni } from '../../core/vni.ts';
import { type MapFd, mapDeleteBatch, mapEntries, mapInfo } from '../../native/binding.ts';
import { createFloodLists, type FloodLists } from './flood.ts';
import { fdbEntry, fdbKey as rawFdbKey } from './layout.gen.ts';
import { createMembers, type Members } from './members.ts';
import type { Programs } from './programs.ts';
import {
  type FdbKey,
  type FdbRecord,
  fdbKey,
  fdbRecord,
  type GroupKey,
  groupKey,
  type HopKey,
  type HopRecord,
  hopKey,
  hopRecord,
  index,
  type NeighbourKey,
  type NetworkRecord,
  neighbourKey,
  neighbourRecord,
  networkKey,
  networkRecord,
  type PeerKey,
  type PortRecord,
  peerKey,
  peerRecord,
  portRecord,
  settingsRecord,
  type VtepRecord,
  vtepRecord,
} from './records.ts';
import { createTable, type Table } from './table.ts';

export interface Tables {
  /** See own-vtep.ts. */
  readonly settings: Table<number, Vtep | null>;
  readonly networks: Table<Vni, NetworkRecord>;
  readonly vteps: Table<number, VtepRecord | null>;
  readonly vtepSlots: number;
  readonly hops: Table<HopKey, HopRecord>;
  readonly peers: Table<PeerKey, number>;
  readonly ports: Table<number, PortRecord>;
  readonly fdb: Table<FdbKey, FdbRecord>;
  readonly neighbours: Table<NeighbourKey, MacAddress>;
  readonly flood: FloodLists;
  /** The value is always 0. */
  readonly groups: Table<GroupKey, number>;
  readonly members: Members;
  /** Deletes the forwarding rows behind these VTEPs, provisional ones included. */
  sweepVteps(ids: ReadonlySet<number>): void;
  /** Deletes the provisional rows of these networks. */
  sweepNetworks(vnis: ReadonlySet<number>): void;
}

export function openTables({ map, directories }: Programs): Tables {
  const fdb = map('fdb');
  const vteps = map('vteps');
  return {
    settings: createTable(map('settings'), index, settingsRecord),
    networks: createTable(map('networks'), networkKey, networkRecord),
    vteps: createTable(vteps, index, vtepRecord),
    vtepSlots: mapInfo(vteps).maxEntries,
    hops: createTable(map('hops'), hopKey, hopRecord),
    peers: createTable(map('peers'), peerKey, peerRecord),
    ports: createTable(map('ports'), index, portRecord),
    fdb: createTable(fdb, fdbKey, fdbRecord),
    neighbours: createTable(map('neighbours'), neighbourKey, neighbourRecord),
    flood: createFloodLists(map('flood'), directories.flood),
    groups: createTable(map('groups'), groupKey, index),
    members: createMembers(map('members'), map('member_counts')),
    sweepVteps: (ids) => sweep(fdb, (_, value) => ids.has(fdbEntry.decode(value).vtep)),
    sweepNetworks: (vnis) =>
      sweep(fdb, (key, value) => vnis.has(rawFdbKey.decode(key).vni) && fdbRecord.decode(value).isProvisional),
  };
}

/** On raw keys and values: making domain values of 100,000 rows to find a few would take ten times as long. */
function sweep(map: MapFd, matches: (key: Uint8Array, value: Uint8Array) => boolean): void {
  const swept = mapEntries(map).filter(([key, value]) => matches(key, value));
  mapDeleteBatch(
    map,
    swept.map(([key]) => key),
  );
}
