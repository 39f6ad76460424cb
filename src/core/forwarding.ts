/**
 * (networks, endpoints, peers) → the tables a data path must hold. Pure: the same model gives the same tables on
 * every node, whatever the order in which facts arrived.
 *
 * Of two endpoints that claim one MAC or one address in a network the later claim (`version`) wins and the other is
 * left out, so a stale record of a node that has not withdrawn it yet cannot shadow the new owner.
 */

import type { Address } from './address.ts';
import { everyGroup } from './group.ts';
import type { EndpointId } from './identity.ts';
import type { MacAddress } from './mac.ts';
import type { Endpoint, Membership, Model, Network, Vtep } from './model.ts';
import type { Vni } from './vni.ts';
import { addressesOf } from './vtep.ts';

/** Where frames for a MAC go. */
export type Location =
  | { readonly kind: 'local'; readonly endpoint: EndpointId }
  | { readonly kind: 'remote'; readonly vtep: Address };

/** One row of a table of the data path. `vtep` in a row names a row of the vtep table by its address. */
export type ForwardingEntry =
  | { readonly table: 'vtep'; readonly address: Address; readonly port: number }
  /** Largest outer packet that the path to a VTEP was seen to carry. */
  | { readonly table: 'path'; readonly vtep: Address; readonly mtuBytes: number }
  | { readonly table: 'network'; readonly vni: Vni; readonly mtuBytes: number; readonly multicast: boolean }
  /** Who may send: a node has a row for each of its addresses, all of which name the one that is sent to. */
  | { readonly table: 'peer'; readonly vni: Vni; readonly source: Address; readonly vtep: Address }
  | {
      readonly table: 'port';
      readonly endpoint: EndpointId;
      readonly vni: Vni;
      readonly mac: MacAddress;
      readonly addresses: readonly Address[];
      readonly mtuBytes: number;
      readonly isRouter?: true;
    }
  | { readonly table: 'mac'; readonly vni: Vni; readonly mac: MacAddress; readonly at: Location }
  | { readonly table: 'neighbour'; readonly vni: Vni; readonly address: Address; readonly mac: MacAddress }
  /** A VTEP behind which a multicast group has members; what is joined here the data path sees by itself. */
  | { readonly table: 'group'; readonly vni: Vni; readonly group: Address; readonly vtep: Address }
  | {
      /** Who gets broadcast, and multicast to groups that they want: local endpoints and remote VTEPs, each once. Sorted. */
      readonly table: 'flood';
      readonly vni: Vni;
      readonly endpoints: readonly EndpointId[];
      readonly vteps: readonly Address[];
    };

export type ForwardingTable = ForwardingEntry['table'];
/** Every entry under its own `entryKey`. */
export type ForwardingState = ReadonlyMap<string, ForwardingEntry>;

/** Identity of a row: two entries with one key are two states of the same row. */
export function entryKey(entry: ForwardingEntry): string {
  switch (entry.table) {
    case 'vtep':
      return `vtep ${entry.address}`;
    case 'path':
      return `path ${entry.vtep}`;
    case 'network':
      return `network ${entry.vni}`;
    case 'peer':
      return `peer ${entry.vni} ${entry.source}`;
    case 'port':
      return `port ${entry.endpoint}`;
    case 'mac':
      return `mac ${entry.vni} ${entry.mac}`;
    case 'neighbour':
      return `neighbour ${entry.vni} ${entry.address}`;
    case 'group':
      return `group ${entry.vni} ${entry.group} ${entry.vtep}`;
    case 'flood':
      return `flood ${entry.vni}`;
  }
}

export function stateOf(entries: Iterable<ForwardingEntry>): ForwardingState {
  return new Map(Array.from(entries, (entry) => [entryKey(entry), entry]));
}

export function forwarding(model: Model): ForwardingState {
  const entries: ForwardingEntry[] = [];
  for (const network of model.networks) {
    const remote = model.remote.filter((membership) => membership.network === network.key);
    const local = model.local.filter((endpoint) => endpoint.network === network.key);
    // Not spread into push: a large network has more entries than a call can have parameters.
    for (const entry of networkEntries(network, local, remote)) entries.push(entry);
    entries.push(...pathEntries(remote, model.pathMtus));
  }
  return stateOf(entries);
}

function networkEntries(
  network: Network,
  local: readonly Endpoint[],
  remote: readonly Membership[],
): ForwardingEntry[] {
  const { vni } = network;
  const vteps = new Map(remote.map(({ vtep }) => [vtep.address, vtep]));
  return [
    { table: 'network', vni, mtuBytes: network.mtuBytes, multicast: network.multicast },
    ...[...vteps.values()].flatMap((vtep) => vtepEntries(vni, vtep)),
    ...local.map((endpoint) => portEntry(network, endpoint)),
    ...endpointEntries(vni, placed(local, remote)),
    ...(network.multicast ? remote.flatMap((membership) => groupEntries(vni, membership)) : []),
    { table: 'flood', vni, endpoints: local.map(({ id }) => id).sort(), vteps: [...vteps.keys()].sort() },
  ];
}

function vtepEntries(vni: Vni, vtep: Vtep): ForwardingEntry[] {
  const { address, port } = vtep;
  return [
    { table: 'vtep', address, port },
    ...addressesOf(vtep).map((source) => ({ table: 'peer' as const, vni, source, vtep: address })),
  ];
}

function groupEntries(vni: Vni, { vtep, groups = [everyGroup] }: Membership): ForwardingEntry[] {
  return groups.map((group) => ({ table: 'group', vni, group, vtep: vtep.address }));
}

function pathEntries(remote: readonly Membership[], pathMtus: Model['pathMtus']): ForwardingEntry[] {
  return remote.flatMap(({ vtep: { address: vtep } }) => {
    const mtuBytes = pathMtus?.get(vtep);
    return mtuBytes === undefined ? [] : [{ table: 'path', vtep, mtuBytes }];
  });
}

function portEntry({ vni, mtuBytes }: Network, { id, mac, addresses, isRouter }: Endpoint): ForwardingEntry {
  return { table: 'port', endpoint: id, vni, mac, addresses, mtuBytes, ...(isRouter === true && { isRouter }) };
}

interface Placed {
  readonly endpoint: Endpoint;
  readonly at: Location;
}

/** All endpoints of a network, the latest claim first; ties are broken by id so that all nodes agree. */
function placed(local: readonly Endpoint[], remote: readonly Membership[]): Placed[] {
  const all: Placed[] = [
    ...local.map((endpoint) => ({ endpoint, at: { kind: 'local' as const, endpoint: endpoint.id } })),
    ...remote.flatMap(({ vtep, endpoints }) =>
      endpoints.map((endpoint) => ({ endpoint, at: { kind: 'remote' as const, vtep: vtep.address } })),
    ),
  ];
  return all.sort(
    (left, right) => right.endpoint.version - left.endpoint.version || (left.endpoint.id < right.endpoint.id ? -1 : 1),
  );
}

function endpointEntries(vni: Vni, all: readonly Placed[]): ForwardingEntry[] {
  const macs = new Map<MacAddress, ForwardingEntry>();
  const neighbours = new Map<Address, ForwardingEntry>();
  for (const { endpoint, at } of all) {
    const { mac } = endpoint;
    const isTaken = macs.has(mac) || endpoint.addresses.some((address) => neighbours.has(address));
    if (isTaken) continue;
    macs.set(mac, { table: 'mac', vni, mac, at });
    for (const address of endpoint.addresses) neighbours.set(address, { table: 'neighbour', vni, address, mac });
  }
  return [...macs.values(), ...neighbours.values()];
}
