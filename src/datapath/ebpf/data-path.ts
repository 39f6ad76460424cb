/**
 * The DataPath port over eBPF. Everything that carries packets is in the kernel: tables and links are pinned, devices
 * stand by themselves, so traffic goes on without this process, which only changes and observes.
 *
 *      open    load programs over the pinned tables ─▶ own VTEP, tunnels, underlays ─▶ new programs on the ports there are
 *      apply   changes ─▶ rows, veth pairs, links          (writing.ts)
 *      read    rows, veth pairs, links ─▶ entries          (reading.ts)
 *      upkeep  what no entry describes, kept by itself     (foundation.ts, upkeep.ts)
 *
 * One task at a time: opening, changes, readings and upkeep go through a queue. The maps of what the kernel numbers
 * (endpoint ↔ interface, VTEP ↔ id) are taken from it on opening and at each reading, and followed in between.
 */

import { existsSync } from 'node:fs';
import { release } from 'node:os';
import type { Address } from '../../core/address.ts';
import type { Vtep } from '../../core/model.ts';
import { messageOf } from '../../errors.ts';
import { ringOpen } from '../../native/binding.ts';
import { type KernelFeatures, probeKernel } from '../../native/probe.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import type { KernelChange } from '../../netlink/notifications.ts';
import type { DataPath } from '../../ports/data-path.ts';
import type { Log } from '../../ports/log.ts';
import { createEvents, createProblemReport, type Events } from '../events.ts';
import { interfacesOf, stemOf } from '../interfaces.ts';
import { createQueue } from '../queue.ts';
import { startUpkeep, type Verdict } from '../upkeep.ts';
import { createAttachments, type Device, type Hook, watchAttachments } from './attachments.ts';
import { createAudit } from './audit.ts';
import { readCounters } from './counters.ts';
import type { Names } from './entries.ts';
import { decodeEvent } from './events.ts';
import { createFoundation, type Foundation } from './foundation.ts';
import { removeGate } from './gate.ts';
import { askGroups, expireGroups, readGroups } from './groups.ts';
import { createHeadroom } from './headroom.ts';
import { directoriesOf, formerSchema, headroomBridge, schema, tunnelName } from './names.ts';
import { createOwnVtep, type OwnVtep } from './own-vtep.ts';
import { createPorts, type Ports } from './ports.ts';
import { loadPrograms, type Programs } from './programs.ts';
import { startQuerier } from './querier.ts';
import { readState } from './reading.ts';
import { removePins } from './remove.ts';
import { createRepairs, type Repairs } from './repairs.ts';
import { openTables, type Tables } from './tables.ts';
import { removeFormer } from './takeover.ts';
import { createTunnels } from './tunnels.ts';
import { createVteps, type Vteps } from './vteps.ts';
import { applyChanges } from './writing.ts';

export interface EbpfOptions {
  /** This node's own. */
  readonly vtep: Vtep;
  /** A directory in a bpf file system, of this daemon alone. */
  readonly bpfDir: string;
  /** Of the network namespace this process runs in; stays the caller's to close. */
  readonly netlink: Netlink;
  readonly log: Log;
  /** What `probeKernel` said, when it was asked already. */
  readonly features?: KernelFeatures;
  /** tcx where the kernel has it, when absent. */
  readonly hook?: Hook;
  /** How often devices and programs are looked at; shorter in tests. */
  readonly keepMs?: number;
  /** How often endpoints are asked for their groups; shorter in tests. */
  readonly queryIntervalMs?: number;
  /** How long nothing may have come to a former VTEP before it is given up; shorter in tests. */
  readonly formerQuietMs?: number;
}

interface Parts {
  readonly netlink: Netlink;
  readonly log: Log;
  readonly programs: Programs;
  readonly tables: Tables;
  readonly own: OwnVtep;
  readonly vteps: Vteps;
  readonly ports: Ports;
  readonly names: Names;
  readonly foundation: Foundation;
  readonly events: Events;
  readonly repairs: Repairs;
}

/**
 * @throws CONFIG_INVALID without a bpf file system, VTEP_ADDRESS_UNKNOWN, TUNNEL_PORT_IN_USE, DEVICE_CONFLICT,
 *   BPF_FAILED, NETLINK_FAILED; then what an earlier process left stays, and what this one made first goes
 */
export async function openEbpfDataPath(options: EbpfOptions): Promise<DataPath> {
  const features = options.features ?? probeKernel();
  const hook = options.hook ?? (features.tcx ? 'tcx' : 'clsact');
  const undo = await undoing(options);
  try {
    const programs = loadPrograms(options.bpfDir, features);
    try {
      const parts = assemble(options, programs, hook);
      await adopt(parts);
      removeFormer(options.bpfDir);
      return operate(parts, options, `eBPF with ${hook}; kernel ${release()}`);
    } catch (error) {
      programs.close();
      throw error;
    }
  } catch (error) {
    await undo();
    throw error;
  }
}

/** Takes away what is new since now, as far as it can be told from what was there: all pins, and the tunnel device. */
async function undoing({ bpfDir, vtep, netlink }: EbpfOptions): Promise<() => Promise<void>> {
  const tunnel = tunnelName(vtep.port);
  const hadPins = [schema, formerSchema].some((version) => existsSync(directoriesOf(bpfDir, version).root));
  const hadTunnel = (await netlink.linkByName(tunnel)) !== null;
  return async () => {
    if (hadPins) return;
    await removeGate(netlink);
    removePins(bpfDir);
    if (hadTunnel) return;
    await netlink.deleteLink(tunnel);
    await netlink.deleteLink(headroomBridge);
  };
}

function assemble({ vtep, netlink, log, formerQuietMs }: EbpfOptions, programs: Programs, hook: Hook): Parts {
  const tables = openTables(programs);
  const { links, endpoints } = programs.directories;
  const repairs = createRepairs();
  const attachments = watchAttachments(createAttachments(hook, links), () => repairs.count('program'));
  const onRepair = () => repairs.count('device');
  const tunnels = createTunnels({ netlink, attachments, program: programs.fromTunnel, onRepair });
  const events = createEvents();
  const onMoved = (moved: Address) => events.emit({ kind: 'moved', vtep: moved });
  const own = createOwnVtep(tables.settings, vtep, formerQuietMs);
  const { vteps: table, vtepSlots: size, hops } = tables;
  const vteps = createVteps({ table, size, hops, own, netlink, tunnels, onMoved });
  const headroom = createHeadroom(netlink);
  const program = programs.fromContainer;
  const ports = createPorts({ table: tables.ports, directory: endpoints, program, netlink, attachments, headroom });
  const { indexOf, endpointAt } = ports;
  const { idOf, addressOf } = vteps;
  const names = { indexOf, endpointAt, idOf, addressOf };
  const foundation = createFoundation({ own, netlink, programs, attachments, headroom, tunnels, vteps, repairs });
  return { netlink, log, programs, tables, own, vteps, ports, names, foundation, events, repairs };
}

/** Takes over what another process left. Programs are replaced on receiving devices first, on sending ones last. */
async function adopt({ netlink, log, programs, tables, vteps, ports, foundation }: Parts): Promise<void> {
  const links = await netlink.links();
  const known = vteps.read();
  ports.read(links);
  await foundation.requireAddress();
  for (const problem of await foundation.lay()) log.warn({ problem }, 'VTEP not resolved');
  ports.adopt(links);
  const hosts = links.filter(({ name }) => stemOf(name) !== null).map(({ index }) => index);
  if (!programs.hadMembers) tables.members.openAll(hosts, process.hrtime.bigint());
  log.info({ vteps: known.length }, 'data path opened');
}

function operate(parts: Parts, { keepMs, queryIntervalMs }: EbpfOptions, reason: string): DataPath {
  const { programs, tables, own, foundation, events } = parts;
  const queue = createQueue();
  const report = createProblemReport(parts.log, events);
  const audit = createAudit(parts);
  const ring = ringOpen(programs.map('events'), (bytes) => {
    const event = decodeEvent(bytes);
    if (event !== null) events.emit(event);
  });
  const upkeep = startUpkeep({
    judge: (change) => judge(parts, change),
    refresh: () => queue.run(async () => report(await foundation.lay())),
    keep: () =>
      queue.run(async () => {
        const problems = await foundation.keep();
        if (problems !== null) report(problems);
      }),
    isSound: (device) => isSound(parts, device),
    drift: (what) => events.emit({ kind: 'drift', what }),
    ...(keepMs === undefined ? {} : { keepMs }),
  });
  const querier = startQuerier(
    {
      ask: (frames) => askGroups(parts, frames),
      expire: (before) => queue.run(async () => expireGroups(parts, before)),
      failed: (error) => events.emit({ kind: 'drift', what: `asking for groups failed: ${messageOf(error)}` }),
    },
    queryIntervalMs,
  );
  const onVteps = async (problems: readonly string[]) => {
    report([...problems, ...(await foundation.coverUnderlays())]);
  };

  return {
    kind: 'ebpf',
    reason,
    read: () =>
      queue.run(async () => {
        await audit.begin();
        return readState(parts);
      }),
    isIntact: () => queue.run(() => audit.isIntact()),
    repairs: () => parts.repairs.counts(),
    problems: () =>
      parts.ports
        .stranded()
        .map(
          (endpoint) =>
            `the interface of endpoint ${endpoint} was deleted, and its container's with it; a new one is ready: restart the container`,
        ),
    apply: (changes) =>
      queue.run(() => {
        if (changes.length > 0) audit.forget();
        return applyChanges({ ...parts, onVteps }, changes);
      }),
    interfacesOf,
    move: (vtep) =>
      queue.run(async () => {
        own.become(vtep);
        report(await foundation.lay());
      }),
    withdraw: (vni, mac) =>
      queue.run(async () => {
        if (tables.fdb.get({ vni, mac })?.isProvisional === true) tables.fdb.remove([{ vni, mac }]);
      }),
    counters: () => queue.run(async () => readCounters(programs.map('counters'))),
    groups: async () => readGroups(tables),
    events: (signal) => events.listen(signal),
    close: async () => {
      if (!queue.close()) return;
      ring.close();
      await Promise.all([upkeep.stop(), querier.stop()]);
      await queue.idle();
      events.close();
      programs.close();
    },
  };
}

function judge({ ports, foundation }: Parts, change: KernelChange): Verdict {
  if (change.kind === 'overrun') return change.reason === 'lost' ? 'lost' : 'refresh';
  if (change.kind === 'link' && ports.isHostInterface(change.ifindex)) return 'inspect';
  if (!foundation.isConcerned(change)) return 'ignore';
  return change.kind === 'link' && change.isRemoved ? 'lost' : 'refresh';
}

/** True also of an interface that is no port any more: it went because we removed it. */
async function isSound({ netlink, ports }: Parts, { name, index }: Device): Promise<boolean> {
  if (!ports.isHostInterface(index)) return true;
  const link = await netlink.linkByName(name);
  return link?.isUp === true && link.index === index;
}
