/**
 * The gap between a container's start and the arrival of its record elsewhere, closed by single-key reads.
 *
 * A miss (a container asked for an address no table has) names an address: its claim says which node has it, and that
 * node's membership is read at once. Meanwhile the data path has flooded the question, so the first packet is not lost.
 * A provisional entry (a frame of an unknown MAC came from a known VTEP and was let in) is confirmed by the membership
 * of the node behind that VTEP, or withdrawn.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Address } from '../core/address.ts';
import { contains } from '../core/address.ts';
import type { NodeId } from '../core/identity.ts';
import { addressKey, macKey } from '../core/keys.ts';
import type { MacAddress } from '../core/mac.ts';
import type { Network } from '../core/model.ts';
import type { Vni } from '../core/vni.ts';
import { addressesOf } from '../core/vtep.ts';
import { messageOf } from '../errors.ts';
import type { DataPath, DataPathEvent } from '../ports/data-path.ts';
import type { Log } from '../ports/log.ts';
import { nameSpaceOf } from './claims.ts';
import type { Directory } from './directory.ts';
import { timeLimit } from './limit.ts';
import type { Records } from './records.ts';

export interface MissSettings {
  readonly self: NodeId;
  readonly log: Log;
  networkOf(vni: Vni): Network | null;
  /** Called when something in the kernel changed. */
  onDrift(what: string): void;
  /** Called when containers have joined or left multicast groups. */
  onGroups(): void;
  /** Called when the kernel takes another way to a VTEP. */
  onMoved(vtep: Address): void;
}

/** Implementation: an address nobody has is asked for again after this time at the earliest. */
const quietMs = 1_000;
/** Implementation: more lookups than these at once would let a scanning container load the store. */
const mostLookups = 20;
/** Implementation: a joining endpoint's record is written right after its data path is up; these waits cover it. */
const confirmWaitsMs = [50, 250, 1_000, 2_000] as const;
const readLimitMs = 2_000;

/** Serves the data path's events until the signal aborts. */
export async function serveMisses(
  dataPath: DataPath,
  directory: Directory,
  records: Records,
  settings: MissSettings & { readonly signal: AbortSignal },
): Promise<void> {
  const { self, log, networkOf, onDrift, onGroups, onMoved, signal } = settings;
  const { codecs } = records;
  const recent = new Set<string>();
  let lookups = 0;

  const ownerOfAddress = async (network: Network, address: Address, limit: AbortSignal): Promise<NodeId | null> => {
    const subnet = network.subnets.find((each) => contains(each, address));
    if (subnet === undefined) return null;
    const claim = await records.read(codecs.addressClaim, addressKey(nameSpaceOf(network), subnet, address), limit);
    return claim?.value.kind === 'endpoint' ? claim.value.node : null;
  };
  const ownerOfMac = async (network: Network, mac: MacAddress, limit: AbortSignal): Promise<NodeId | null> =>
    (await records.read(codecs.macClaim, macKey(network.key, mac), limit))?.value.node ?? null;

  const resolveMiss = async (network: Network, address: Address | null, mac: MacAddress | null): Promise<void> => {
    const limit = timeLimit(records.store, readLimitMs, signal);
    const node =
      address !== null
        ? await ownerOfAddress(network, address, limit)
        : mac !== null
          ? await ownerOfMac(network, mac, limit)
          : null;
    if (node !== null && node !== self) await directory.refresh(network.key, node, limit);
  };
  const hasMac = (network: Network, node: NodeId, mac: MacAddress): boolean =>
    directory
      .memberships()
      .some(
        (each) =>
          each.network === network.key && each.node === node && each.endpoints.some((known) => known.mac === mac),
      );
  /** Whether the node behind the VTEP has the MAC, by its membership read afresh when the known one does not say so. */
  const isConfirmed = async (network: Network, vtep: Address, mac: MacAddress): Promise<boolean> => {
    const member = directory
      .memberships()
      .find((each) => each.network === network.key && addressesOf(each.vtep).includes(vtep));
    if (member === undefined) return false;
    if (hasMac(network, member.node, mac)) return true;
    await directory.refresh(network.key, member.node, timeLimit(records.store, readLimitMs, signal));
    return hasMac(network, member.node, mac);
  };
  const confirm = async (network: Network, vtep: Address, mac: MacAddress): Promise<void> => {
    for (const waitMs of confirmWaitsMs) {
      if (await isConfirmed(network, vtep, mac)) return;
      await sleep(waitMs, undefined, { signal });
    }
    log.warn({ vni: network.vni, mac, vtep }, 'provisional entry withdrawn: its node does not have this MAC');
    await dataPath.withdraw(network.vni, mac);
  };

  /** One lookup per subject and quiet time, a bounded number at once. */
  const once = (subject: string, task: () => Promise<void>): void => {
    if (recent.has(subject) || lookups >= mostLookups) return;
    recent.add(subject);
    lookups += 1;
    task()
      .catch((error) => signal.aborted || log.warn({ subject, problem: messageOf(error) }, 'lookup failed'))
      .finally(() => {
        lookups -= 1;
        sleep(quietMs, undefined, { signal, ref: false }).then(
          () => recent.delete(subject),
          () => undefined,
        );
      });
  };
  const serve = (event: DataPathEvent): void => {
    if (event.kind === 'drift') {
      onDrift(event.what);
      return;
    }
    if (event.kind === 'groups') {
      onGroups();
      return;
    }
    if (event.kind === 'moved') {
      onMoved(event.vtep);
      return;
    }
    const network = networkOf(event.vni);
    if (network === null) return;
    if (event.kind === 'provisional') {
      once(`provisional ${event.vni} ${event.mac}`, () => confirm(network, event.vtep, event.mac));
    } else {
      once(`miss ${event.vni} ${event.address ?? event.mac}`, () => resolveMiss(network, event.address, event.mac));
    }
  };
  for await (const event of dataPath.events(signal)) serve(event);
}
