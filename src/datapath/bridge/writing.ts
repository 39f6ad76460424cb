/**
 * Changes → kernel, one after another. A MAC takes two rows:
 *
 *      remote   vxlan: MAC → VTEP      bridge: MAC → tunnel
 *      local    vxlan: MAC → nowhere   bridge: MAC → port        the first keeps others from sending as this MAC
 */

import type { Change } from '../../core/change.ts';
import type { ForwardingEntry, ForwardingTable } from '../../core/forwarding.ts';
import type { MacAddress } from '../../core/mac.ts';
import type { Vni } from '../../core/vni.ts';
import { type MacText, type NeighbourRow, zeroMac } from '../../netlink/neighbour.ts';
import type { IdleRows } from './idle-rows.ts';
import type { Ledger } from './ledger.ts';
import { peersMac } from './names.ts';
import type { Networks } from './networks.ts';
import { missing, type Ports } from './ports.ts';
import type { Vteps } from './vteps.ts';

type EntryOf<Name extends ForwardingTable> = Extract<ForwardingEntry, { table: Name }>;

export interface Tables {
  readonly networks: Networks;
  readonly ports: Ports;
  readonly vteps: Vteps;
  readonly ledger: Ledger;
  readonly idle: IdleRows;
}

/** @throws what makes the change impossible */
export function applyChange(tables: Tables, { kind, entry }: Change): Promise<void> {
  return kind === 'put' ? put(tables, entry) : remove(tables, entry);
}

function put(tables: Tables, entry: ForwardingEntry): Promise<void> {
  const { networks, ports, vteps, ledger } = tables;
  switch (entry.table) {
    case 'vtep':
      return vteps.put(entry);
    case 'network':
      return networks.put(entry.vni, entry.mtuBytes, entry.multicast);
    case 'peer':
      return putPeer(tables, entry);
    case 'group':
    case 'path':
      return tables.idle.put(entry);
    case 'port':
      return ports.put(entry);
    case 'mac':
      return putMac(tables, entry);
    case 'neighbour':
      return ledger.put(neighbourRow(tunnelOf(networks, entry.vni), entry));
    case 'flood':
      return putFlood(tables, entry);
  }
}

function remove(tables: Tables, entry: ForwardingEntry): Promise<void> {
  const { networks, ports, vteps } = tables;
  switch (entry.table) {
    case 'vtep':
      return vteps.remove(entry.address);
    case 'network':
      return networks.remove(entry.vni);
    case 'port':
      return ports.remove(entry.endpoint);
    case 'mac':
      return removeMac(tables, entry.vni, entry.mac);
    case 'flood':
      return putFlood(tables, { ...entry, endpoints: [], vteps: [] });
    case 'group':
    case 'path':
      return tables.idle.remove(entry);
    default:
      return removeRow(tables, entry);
  }
}

/** An address that is not sent to is of the other family, or the peer's former one. */
async function putPeer(tables: Tables, entry: EntryOf<'peer'>): Promise<void> {
  const { networks, vteps, ledger, idle } = tables;
  const row = vteps.rowOf(tunnelOf(networks, entry.vni), peersMac, entry.vtep);
  await removeRow(tables, entry);
  if (entry.source === entry.vtep) await ledger.put(row);
  else await idle.put(entry);
}

async function removeRow({ networks, ledger, idle }: Tables, entry: EntryOf<'peer' | 'neighbour'>): Promise<void> {
  await idle.remove(entry);
  const tunnel = networks.indexOf('tunnel', entry.vni);
  if (tunnel === null) return;
  if (entry.table === 'neighbour') return ledger.remove(neighbourRow(tunnel, entry));
  for (const row of ledger.list(tunnel, peersMac)) if (row.vtep === entry.source) await ledger.remove(row);
}

async function putMac({ networks, ports, vteps, ledger }: Tables, { vni, mac, at }: EntryOf<'mac'>): Promise<void> {
  const tunnel = tunnelOf(networks, vni);
  if (at.kind === 'remote') {
    await ledger.put(vteps.rowOf(tunnel, mac, at.vtep));
    await ledger.put(portRow(tunnel, mac));
    return;
  }
  const port = ports.find(at.endpoint);
  if (port === null || port.vni !== vni) throw missing(`port of endpoint ${at.endpoint} in network ${vni}`);
  await ledger.put(portRow(port.index, mac));
  await ledger.put(vteps.ownRowOf(tunnel, mac));
}

/** Both rows, also where one of them is lost. */
async function removeMac({ networks, vteps, ledger }: Tables, vni: Vni, mac: MacAddress): Promise<void> {
  const tunnel = networks.indexOf('tunnel', vni);
  const port = ledger.portRow(vni, mac);
  if (port !== null) await ledger.remove(port);
  // A row that names no VTEP stands for whatever is there.
  if (tunnel !== null) await ledger.remove(vteps.ownRowOf(tunnel, mac));
}

/** The list becomes what is wanted in single steps: a VTEP that stays in it gets every broadcast once. */
async function putFlood(tables: Tables, { vni, endpoints, vteps }: EntryOf<'flood'>): Promise<void> {
  const { networks, ports, ledger } = tables;
  const tunnel = networks.indexOf('tunnel', vni);
  if (tunnel === null && vteps.length > 0) throw missing(`network ${vni}`);
  for (const port of ports.inNetwork(vni)) await ports.setFlooded(port, endpoints.includes(port.endpoint));
  if (tunnel === null) return;
  const wanted = vteps.map((vtep) => tables.vteps.rowOf(tunnel, zeroMac, vtep));
  for (const row of ledger.list(tunnel, zeroMac)) if (!vteps.includes(row.vtep)) await ledger.remove(row);
  for (const row of wanted) if (!ledger.isPut(row)) await ledger.put(row);
}

function tunnelOf(networks: Networks, vni: Vni): number {
  const tunnel = networks.indexOf('tunnel', vni);
  if (tunnel === null) throw missing(`network ${vni}`);
  return tunnel;
}

function portRow(ifindex: number, mac: MacText): NeighbourRow {
  return { table: 'bridge', ifindex, mac, isLasting: true };
}

function neighbourRow(ifindex: number, { mac, address }: EntryOf<'neighbour'>): NeighbourRow {
  return { table: 'address', ifindex, mac, isLasting: true, address };
}
