/**
 * Kernel → entries, afresh. Turns of the event loop lie between the tables, because a hundred thousand rows take a few
 * tenths of a second to decode.
 */

import { setImmediate as turn } from 'node:timers/promises';
import { type ForwardingEntry, type ForwardingState, stateOf } from '../../core/forwarding.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import { floodEntry, macEntry, type Names } from './entries.ts';
import type { Ports } from './ports.ts';
import type { Tables } from './tables.ts';
import type { Vteps } from './vteps.ts';

export interface ReadingGround {
  readonly netlink: Netlink;
  readonly tables: Tables;
  readonly vteps: Vteps;
  readonly ports: Ports;
  readonly names: Names;
}

/** @throws BPF_FAILED, NETLINK_FAILED */
export async function readState(ground: ReadingGround): Promise<ForwardingState> {
  const { netlink, tables, vteps, ports, names } = ground;
  // First those that give the numbers in the others their names.
  const entries: ForwardingEntry[] = [...vteps.read(), ...ports.read(await netlink.links())];
  const steps: ReadonlyArray<() => readonly ForwardingEntry[]> = [
    () => readNetworks(ground),
    () => readPeers(ground),
    () => tables.fdb.rows().flatMap(([key, record]) => macEntry(names, key, record) ?? []),
    () => tables.neighbours.rows().map(([key, mac]) => ({ table: 'neighbour' as const, ...key, mac })),
  ];
  for (const step of steps) {
    for (const entry of step()) entries.push(entry);
    await turn();
  }
  return stateOf(entries);
}

/** A network that lost its flood list floods to nobody: the same as having an empty one. */
function readNetworks({ tables, names }: ReadingGround): readonly ForwardingEntry[] {
  const networks = tables.networks.rows();
  const lists = new Map(tables.flood.lists());
  const empty = networks.filter(([vni]) => !lists.has(vni)).map(([vni]) => [vni, []] as const);
  return [
    ...networks.map(([vni, network]) => ({ table: 'network' as const, vni, ...network })),
    ...[...lists, ...empty].map(([vni, copies]) => floodEntry(names, vni, copies)),
  ];
}

/**
 * A row whose id is not that of its address would let a VTEP send as another, and no change could name it, since an
 * entry has the address alone: it is deleted at once.
 */
function readPeers({ tables, vteps }: ReadingGround): readonly ForwardingEntry[] {
  const rows = tables.peers.rows();
  const isRight = ([{ vtep }, id]: (typeof rows)[number]) => vteps.idOf(vtep) === id;
  tables.peers.remove(rows.filter((row) => !isRight(row)).map(([key]) => key));
  return rows.filter(isRight).map(([{ vni, vtep }]) => ({ table: 'peer' as const, vni, vtep }));
}
