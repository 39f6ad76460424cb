/**
 * What the kernel tells of rows: a MAC that was seen without having been put, an address that was asked for in vain, and a
 * row that somebody else changed.
 */

import type { MacAddress } from '../../core/mac.ts';
import type { Vni } from '../../core/vni.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import type { KernelChange } from '../../netlink/notifications.ts';
import type { DataPathEvent } from '../../ports/data-path.ts';
import { nodesOwn, tunnelName } from './names.ts';
import { placeOf, unicast } from './reading.ts';
import type { Tables } from './writing.ts';

export type RowChange = Extract<KernelChange, { kind: 'neighbour' }>;
export type Question = Extract<KernelChange, { kind: 'question' }>;

type Miss = Extract<DataPathEvent, { kind: 'miss' }>;
type Sighting = Extract<DataPathEvent, { kind: 'provisional' }>;

/** That somebody else changed a row, in words; null for our own doing and for what was never put. */
export function driftOf(tables: Tables, { row, isRemoved }: RowChange): string | null {
  const { ledger } = tables;
  const device = nameAt(tables, row.ifindex);
  if (device === null) return null;
  // A neighbour that is taken away fails first, and is then told of as one that would not have lasted.
  const isGone = isRemoved || !row.isLasting;
  const isForeign = isGone ? ledger.isPut(row) : !ledger.isAsPut(row);
  const key = row.table === 'address' ? row.address : row.mac;
  return isForeign ? `row of ${key} at device ${device} was ${isGone ? 'removed' : 'changed'}` : null;
}

/** Of a tunnel or a port; null for any other device. */
function nameAt({ networks, ports }: Tables, index: number): string | null {
  const place = networks.placeAt(index);
  return place?.kind === 'tunnel' ? tunnelName(place.vni) : (ports.at(index)?.name ?? null);
}

/** A frame of an unknown MAC came from a VTEP, and was let in; null for any other change. */
export function sightingOf(tables: Tables, { row, isRemoved }: RowChange): Sighting | null {
  if (row.table !== 'vxlan' || row.isLasting || isRemoved) return null;
  const vni = placeOf(tables, row.ifindex);
  const mac = unicast(row.mac);
  if (vni === null || vni === nodesOwn || mac === null) return null;
  return { kind: 'provisional', vni, mac, vtep: row.vtep };
}

/** Null for a device that is none of ours. */
export function missOf(tables: Tables, { ifindex, address }: Question): Miss | null {
  const vni = placeOf(tables, ifindex);
  return vni === null || vni === nodesOwn ? null : { kind: 'miss', vni, address, mac: null };
}

/** Takes away what the kernel noted of a MAC by itself; what was put stays. Idempotent. @throws NETLINK_FAILED */
export async function withdraw(netlink: Netlink, { networks, vteps, ledger }: Tables, vni: Vni, mac: MacAddress) {
  const tunnel = networks.indexOf('tunnel', vni);
  if (tunnel === null) return;
  // As a row that names no VTEP it stands for whatever is there.
  const seen = vteps.ownRowOf(tunnel, mac);
  if (ledger.isPut(seen)) return;
  await netlink.deleteNeighbourRow(seen);
  await netlink.deleteNeighbourRow({ table: 'bridge', ifindex: tunnel, mac, isLasting: false });
}
