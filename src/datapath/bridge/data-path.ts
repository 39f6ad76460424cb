/**
 * The DataPath port over what every kernel has: per network a bridge and a vxlan device with rows for all that is known,
 * no flooding of unknown MACs, ARP and ND answered on the spot. It is what carries packets where a kernel lacks what
 * the eBPF data path needs. All of its state is in the kernel, in devices and their rows.
 *
 *      open    the node's own place (VNI 0) ─▶ what an earlier process left
 *      apply   changes ─▶ devices and rows          (writing.ts)
 *      read    devices and rows ─▶ entries          (reading.ts)
 *      upkeep  the node's own place; routes to VTEPs, to be told; foreign changes, to be told
 *
 * One task at a time. What it does not do, and eBPF does: hold senders to their IP addresses, refuse tagged frames,
 * limit broadcasts, refuse a VTEP that is in no network (a frame of a known MAC from the wrong VTEP is refused), answer
 * packets that are too big for a path, keep multicast out of a network that has it off.
 */

import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { diff } from '../../core/change.ts';
import type { MacAddress } from '../../core/mac.ts';
import type { Vtep } from '../../core/model.ts';
import { smallestMtuBytes } from '../../core/mtu.ts';
import type { Vni } from '../../core/vni.ts';
import { isOverlayError, messageOf, overlayError } from '../../errors.ts';
import type { Link } from '../../netlink/link.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import type { KernelChange } from '../../netlink/notifications.ts';
import type { DataPath } from '../../ports/data-path.ts';
import type { Log } from '../../ports/log.ts';
import { createEvents, createProblemReport, type Events } from '../events.ts';
import { interfacesOf } from '../interfaces.ts';
import { createQueue } from '../queue.ts';
import { startUpkeep, type Verdict } from '../upkeep.ts';
import { countersOf } from './counters.ts';
import { createIdleRows } from './idle-rows.ts';
import { createLedger } from './ledger.ts';
import { bridgeName, nodesOwn, tunnelName } from './names.ts';
import { createNetworks, isOurs as isOurLink, type Own } from './networks.ts';
import { createPorts, isHostEnd } from './ports.ts';
import { placeOf, readState } from './reading.ts';
import { createVteps } from './vteps.ts';
import { driftOf, missOf, type Question, type RowChange, sightingOf, withdraw } from './witness.ts';
import { applyChange, type Tables } from './writing.ts';

export interface BridgeOptions {
  /** This node's own. */
  readonly vtep: Vtep;
  /** Of the network namespace this process runs in; stays the caller's to close. */
  readonly netlink: Netlink;
  readonly log: Log;
  /** Why this data path and no other, in words. */
  readonly because: string;
  /** How often the node's own place is looked at; shorter in tests. */
  readonly keepMs?: number;
}

interface Parts {
  readonly own: Own;
  readonly netlink: Netlink;
  readonly log: Log;
  readonly tables: Tables;
  readonly events: Events;
  /**
   * The devices at the last reading. Null when it is to be read again: something was applied, or the kernel told of a row
   * that somebody else changed, as it does of every one.
   */
  seen: string | null;
}

/** @throws VTEP_ADDRESS_UNKNOWN, TUNNEL_PORT_IN_USE, DEVICE_CONFLICT, NETLINK_FAILED */
export async function openBridgeDataPath(options: BridgeOptions): Promise<DataPath> {
  const { vtep, netlink, log, because } = options;
  const own = { vtep };
  const parts: Parts = { own, netlink, log, tables: assemble(own, netlink), events: createEvents(), seen: null };
  await readState(netlink, parts.tables);
  await layPlace(parts);
  const known = await readState(netlink, parts.tables);
  log.info({ rows: known.size }, 'data path opened');
  return operate(parts, options.keepMs, `${because}; ${await describeChecks(netlink)}; kernel ${release()}`);
}

function assemble(own: Own, netlink: Netlink): Tables {
  const networks = createNetworks(own, netlink);
  const ports = createPorts(netlink, networks);
  const ledger = createLedger(netlink, (index) => placeOf({ networks, ports }, index));
  const vteps = createVteps(own, netlink, networks, ledger);
  return { networks, ports, ledger, vteps, idle: createIdleRows() };
}

/**
 * The node's own bridge and tunnel, which are not for carrying anything. @returns whether they had to be made or changed;
 * @throws VTEP_ADDRESS_UNKNOWN, TUNNEL_PORT_IN_USE, DEVICE_CONFLICT, NETLINK_FAILED
 */
async function layPlace({ own, netlink, tables }: Parts): Promise<boolean> {
  const { vtep } = own;
  const addresses = await netlink.addresses();
  if (!addresses.some(({ address }) => address === vtep.address)) {
    const known = addresses.filter(({ scope }) => scope === 'global').map(({ address }) => address);
    throw overlayError('VTEP_ADDRESS_UNKNOWN', { address: vtep.address, known: known.join(', ') || 'none' });
  }
  const devices = [await netlink.linkByName(tunnelName(nodesOwn)), await netlink.linkByName(bridgeName(nodesOwn))];
  const isThere = devices.every((link) => link !== null && tables.networks.isSound(link));
  if (!isThere) await tables.networks.put(nodesOwn, smallestMtuBytes, false);
  return !isThere;
}

type Refuse = (vni: Vni, mac: MacAddress) => void;

function operate(parts: Parts, keepMs: number | undefined, reason: string): DataPath {
  const { netlink, log, tables, events } = parts;
  const queue = createQueue();
  const report = createProblemReport(log, events);
  let repaired = 0;
  const keep = async () => {
    if (await layPlace(parts)) repaired += 1;
  };
  const upkeep = startUpkeep({
    neighbours: true,
    judge: (change) => judge(parts, change, (vni, mac) => void queue.run(() => withdraw(netlink, tables, vni, mac))),
    refresh: () =>
      queue.run(async () => {
        await keep();
        report(await tables.vteps.problems());
      }),
    keep: () => queue.run(keep),
    isSound: ({ name, index }) => queue.run(() => isSound(parts, name, index)),
    drift: (what) => tell(parts, what),
    ...(keepMs === undefined ? {} : { keepMs }),
  });

  return {
    kind: 'bridge',
    reason,
    read: () =>
      queue.run(async () => {
        parts.seen = digestOf(await netlink.links());
        return readState(netlink, tables);
      }),
    isIntact: () => queue.run(async () => parts.seen !== null && parts.seen === digestOf(await netlink.links())),
    problems: () => [],
    repairs: () => (repaired === 0 ? {} : { device: repaired }),
    apply: (changes) =>
      queue.run(async () => {
        parts.seen = null;
        for (const change of changes) await applyChange(tables, change);
        const hasVteps = changes.some(({ kind, entry }) => kind === 'put' && entry.table === 'vtep');
        if (hasVteps) report(await tables.vteps.problems());
      }),
    interfacesOf,
    move: (vtep) => queue.run(() => move(parts, vtep)),
    withdraw: (vni, mac) => queue.run(() => withdraw(netlink, tables, vni, mac)),
    groups: () => Promise.resolve(null),
    counters: () => queue.run(async () => countersOf(await netlink.statistics())),
    events: (signal) => events.listen(signal),
    close: async () => {
      if (!queue.close()) return;
      await upkeep.stop();
      await queue.idle();
      events.close();
    },
  };
}

/**
 * A tunnel has its address and port for life: all are made anew, and their rows with them. What containers send is lost
 * meanwhile. What cannot be put again, as a VTEP of the former family, is left to the next audit.
 */
async function move(parts: Parts, vtep: Vtep): Promise<void> {
  const { own, netlink, tables } = parts;
  const before = await readState(netlink, tables);
  parts.seen = null;
  own.vtep = vtep;
  await layPlace(parts);
  for (const entry of before.values()) if (entry.table === 'network') await applyChange(tables, { kind: 'put', entry });
  for (const change of diff(before, await readState(netlink, tables))) {
    try {
      await applyChange(tables, change);
    } catch (error) {
      if (!isOverlayError(error)) throw error;
      tell(parts, `not taken along: ${messageOf(error)}`);
    }
  }
}

/** What a change in the kernel means for the devices. */
function judge(parts: Parts, change: KernelChange, refuse: Refuse): Verdict {
  const { own, tables } = parts;
  switch (change.kind) {
    case 'overrun':
      // What was told before the watch began, or while it was deaf, nobody knows.
      parts.seen = null;
      return change.reason === 'lost' ? 'lost' : 'refresh';
    case 'link':
      if (!isOurs(tables, change.ifindex)) return 'ignore';
      return change.isRemoved ? 'lost' : 'inspect';
    case 'address':
      return change.address === own.vtep.address ? 'refresh' : 'ignore';
    case 'route':
      return 'refresh';
    default:
      return hear(parts, change, refuse);
  }
}

/** What it tells goes to the events at once: the devices are as they were. */
function hear(parts: Parts, change: RowChange | Question, refuse: Refuse): Verdict {
  const { tables, events } = parts;
  const told = change.kind === 'question' ? missOf(tables, change) : sightingOf(tables, change);
  const drift = change.kind === 'question' ? null : driftOf(tables, change);
  if (told?.kind === 'provisional' && !tables.vteps.has(told.vtep)) refuse(told.vni, told.mac);
  else if (told !== null) events.emit(told);
  if (drift !== null) tell(parts, drift);
  return 'ignore';
}

function tell(parts: Parts, what: string): void {
  parts.seen = null;
  parts.events.emit({ kind: 'drift', what });
}

/** Of all that a device of ours is set to. */
function digestOf(links: readonly Link[]): string {
  return JSON.stringify(links.filter((link) => isOurLink(link) || isHostEnd(link)));
}

function isOurs({ networks, ports }: Tables, index: number): boolean {
  return networks.placeAt(index) !== null || ports.at(index) !== null;
}

/** True also of a device that is ours no more: it went because we removed it. */
async function isSound({ netlink, tables }: Parts, name: string, index: number): Promise<boolean> {
  if (!isOurs(tables, index)) return true;
  const link = await netlink.linkByName(name);
  if (link === null || link.index !== index) return false;
  return tables.ports.at(index) === null ? tables.networks.isSound(link) : tables.ports.isSound(link);
}

/** What of senders the kernel checks here, and who else looks at the packets. */
async function describeChecks(netlink: Netlink): Promise<string> {
  const own = await netlink.linkByName(tunnelName(nodesOwn));
  const unchecked = own?.bridgePort?.locked === null ? "senders' MAC and IP addresses" : "senders' IP addresses";
  return `${unchecked} are not checked${isFiltered() ? "; the host's iptables see the packets" : ''}`;
}

/** Whether br_netfilter shows bridged packets to iptables, as Docker and Kubernetes ask for. */
function isFiltered(): boolean {
  try {
    return readFileSync('/proc/sys/net/bridge/bridge-nf-call-iptables', 'utf8').trim() !== '0';
  } catch {
    return false;
  }
}
