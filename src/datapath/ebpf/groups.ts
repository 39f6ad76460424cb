/** The groups that endpoints of this node have joined: told, asked for, and forgotten. */

import { setImmediate as turn } from 'node:timers/promises';
import type { Address } from '../../core/address.ts';
import type { Vni } from '../../core/vni.ts';
import { errnoOf, testRun } from '../../native/binding.ts';
import type { Events } from '../events.ts';
import type { Programs } from './programs.ts';
import type { Tables } from './tables.ts';

/** Implementation: others get the event loop in between. */
const portsPerTurn = 50;

interface GroupGround {
  readonly tables: Tables;
  readonly programs: Programs;
  readonly events: Events;
}

/** By network; those of ports that are gone are left out. */
export function readGroups({ ports, members }: Tables): ReadonlyMap<Vni, readonly Address[]> {
  const joined = members.joined();
  const vnis = joined.length === 0 ? new Map() : new Map(Array.from(ports.rows(), ([index, { vni }]) => [index, vni]));
  const groups = new Map<Vni, Address[]>();
  for (const { ifindex, group } of joined) {
    const vni = vnis.get(ifindex);
    if (vni !== undefined) groups.set(vni, [...(groups.get(vni) ?? []), group]);
  }
  return groups;
}

/** Puts the frames on the wire to each port in a network with multicast. */
export async function askGroups({ tables, programs }: GroupGround, frames: readonly Uint8Array[]): Promise<void> {
  const isOn = new Map(Array.from(tables.networks.rows(), ([vni, { multicast }]) => [vni, multicast]));
  for (const [position, [ifindex, { vni }]] of [...tables.ports.rows()].entries()) {
    if (isOn.get(vni) === true) for (const data of frames) put(programs, ifindex, data);
    if (position % portsPerTurn === portsPerTurn - 1) await turn();
  }
}

export function expireGroups({ tables, events }: GroupGround, before: bigint): void {
  const ports = new Set(Array.from(tables.ports.rows(), ([ifindex]) => ifindex));
  if (tables.members.expire(before, ports) > 0) events.emit({ kind: 'groups' });
}

/** A port whose interface has just gone is found by the next audit. */
function put({ intoContainer }: Programs, ifindex: number, data: Uint8Array): void {
  try {
    testRun({ program: intoContainer, data, ifindex });
  } catch (error) {
    if (errnoOf(error) !== 'ENODEV') throw error;
  }
}
