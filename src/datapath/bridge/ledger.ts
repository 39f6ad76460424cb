/**
 * The rows this data path has in the kernel's forwarding databases and neighbour tables, written through: what was put is
 * remembered, so that a notification tells another's change from our own, and a row can be taken away wherever it is.
 */

import type { Address } from '../../core/address.ts';
import { isListed, type MacText, type NeighbourRow, rowKey } from '../../netlink/neighbour.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import type { Place } from './names.ts';

export type VtepRow = Extract<NeighbourRow, { table: 'vxlan' }>;
export type PortRow = Extract<NeighbourRow, { table: 'bridge' }>;

export interface Ledger {
  /** Takes over what the kernel has. */
  reset(rows: readonly NeighbourRow[]): void;
  rows(): Iterable<NeighbourRow>;
  /** VTEPs in the list that a tunnel keeps under a MAC. */
  list(tunnel: number, mac: MacText): readonly VtepRow[];
  /** Where a network's bridge was told that a MAC is; null where it was not. */
  portRow(vni: Place, mac: MacText): PortRow | null;
  isPut(row: NeighbourRow): boolean;
  /** Whether a row is in all as it was put. */
  isAsPut(row: NeighbourRow): boolean;
  /** Idempotent. @throws NETLINK_FAILED */
  put(row: NeighbourRow): Promise<void>;
  /** Idempotent. @throws NETLINK_FAILED */
  remove(row: NeighbourRow): Promise<void>;
}

/** `placeOf`: the network that a device belongs to; null for a device that is none of ours. */
export function createLedger(netlink: Netlink, placeOf: (index: number) => Place | null): Ledger {
  let known = new Map<string, NeighbourRow>();
  let lists = new Map<string, Map<Address, VtepRow>>();

  /** A MAC is behind one port of a bridge: a row that is put at another moves there. */
  const portKey = (vni: Place | null, mac: MacText) => `bridge of ${vni} ${mac}`;
  const keyOf = (row: NeighbourRow) => (row.table === 'bridge' ? portKey(placeOf(row.ifindex), row.mac) : rowKey(row));
  const listKey = (tunnel: number, mac: MacText) => `${tunnel} ${mac}`;

  function remember(row: NeighbourRow): void {
    known.set(keyOf(row), row);
    if (row.table !== 'vxlan' || !isListed(row.mac)) return;
    const key = listKey(row.ifindex, row.mac);
    const list = lists.get(key) ?? new Map<Address, VtepRow>();
    lists.set(key, list.set(row.vtep, row));
  }

  return {
    reset: (rows) => {
      known = new Map();
      lists = new Map();
      for (const row of rows) remember(row);
    },
    rows: () => known.values(),
    list: (tunnel, mac) => [...(lists.get(listKey(tunnel, mac))?.values() ?? [])],
    portRow: (vni, mac) => {
      const row = known.get(portKey(vni, mac));
      return row?.table === 'bridge' ? row : null;
    },
    isPut: (row) => known.has(keyOf(row)),
    isAsPut: (row) => {
      const put = known.get(keyOf(row));
      return put !== undefined && targetOf(put) === targetOf(row);
    },
    put: async (row) => {
      remember(row);
      await netlink.putNeighbourRow(row);
    },
    remove: async (row) => {
      known.delete(keyOf(row));
      if (row.table === 'vxlan') lists.get(listKey(row.ifindex, row.mac))?.delete(row.vtep);
      await netlink.deleteNeighbourRow(row);
    },
  };
}

function targetOf(row: NeighbourRow): string {
  if (row.table === 'vxlan') return `${row.vtep} ${row.port}`;
  return row.table === 'bridge' ? String(row.ifindex) : String(row.mac);
}
