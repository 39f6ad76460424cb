/**
 * The VTEP table: an array of slots, each an address with its resolved next hop. Its slot number, the id, is what
 * forwarding entries name, so an id stays with its address across restarts (it is read back from the map) and
 * goes to another address only when the whole range was used since: a frame on its way may still carry it.
 *
 * The route to a VTEP is the kernel's own choice, asked for when the VTEP is put and again when routes, addresses or
 * links change. Where there is no route any more the row keeps its last next hop: it may be the kernel that is early.
 * A route over several next hops has them in the table of hops (hops.ts); the row's own is then for want of these.
 */

import { type Address, familyOf } from '../../core/address.ts';
import type { ForwardingEntry } from '../../core/forwarding.ts';
import { isOverlayError, messageOf, overlayError } from '../../errors.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import { putSlots, removeSlots, slotsOf } from './hops.ts';
import type { OwnVtep } from './own-vtep.ts';
import type { HopKey, HopRecord, VtepRecord } from './records.ts';
import type { Table } from './table.ts';
import type { Tunnels } from './tunnels.ts';

type VtepEntry = Extract<ForwardingEntry, { table: 'vtep' }>;
type PathEntry = Extract<ForwardingEntry, { table: 'path' }>;

export interface Vteps {
  /** Takes the rows from the kernel. */
  read(): readonly (VtepEntry | PathEntry)[];
  /** Null for an address, or an id, that has no row. */
  idOf(address: Address): number | null;
  addressOf(id: number): Address | null;
  /** @returns what could not be resolved, in words; @throws BPF_FAILED, NETLINK_FAILED */
  put(entries: readonly VtepEntry[]): Promise<readonly string[]>;
  /** Holds packets to a VTEP to what its path was proven to carry. @throws BPF_FAILED when it has no row; see `put` */
  narrow(paths: readonly PathEntry[]): Promise<readonly string[]>;
  /** The inverse: route and device alone count again. */
  widen(paths: readonly PathEntry[]): Promise<readonly string[]>;
  /** @returns the ids that are free now, for rows that still name them */
  remove(entries: readonly VtepEntry[]): Promise<ReadonlySet<number>>;
  /** Resolves all rows anew and writes those that changed. @returns what could not be resolved */
  resolve(standpoint: Standpoint): Promise<readonly string[]>;
  /** UDP ports in use, the own ones included. */
  ports(): ReadonlySet<number>;
  /** Indexes of the devices that packets to VTEPs leave by. */
  underlays(): ReadonlySet<number>;
}

/** How this node looks at the routes; kept from one resolving for what is put until the next. */
export interface Standpoint {
  /** The own addresses that a device has. */
  readonly sources: readonly Address[];
  /** Whether any route here has several next hops: asking for these takes as long as asking for the route. */
  readonly hasMultipath: boolean;
}

interface Slot {
  readonly id: number;
  readonly record: VtepRecord;
}

interface Resolved {
  readonly record: VtepRecord;
  readonly hops: readonly HopRecord[];
}

/** Implementation: 0 is no id, so that a zeroed row names no VTEP. */
const firstId = 1;

interface VtepSurroundings {
  readonly table: Table<number, VtepRecord | null>;
  readonly size: number;
  readonly hops: Table<HopKey, HopRecord>;
  readonly own: Pick<OwnVtep, 'ports'>;
  readonly netlink: Netlink;
  readonly tunnels: Tunnels;
  /** Called when `resolve` has found another route, device or MTU to a VTEP. */
  onMoved(vtep: Address): void;
}

export function createVteps(surroundings: VtepSurroundings): Vteps {
  const { table, size, hops: hopTable, own, netlink, tunnels, onMoved } = surroundings;
  let slots = new Map<Address, Slot>();
  let addresses = new Map<number, Address>();
  const hops = new Map<number, readonly HopRecord[]>();
  let lastId = 0;
  let standpoint: Standpoint = { sources: [], hasMultipath: false };

  function remember(read: readonly Slot[]): void {
    slots = new Map(read.map((slot) => [slot.record.address, slot]));
    addresses = new Map(read.map(({ id, record }) => [id, record.address]));
  }

  function nextId(): number {
    for (let step = 1; step < size; step += 1) {
      const id = firstId + ((lastId - firstId + step + size - firstId) % (size - firstId));
      if (addresses.has(id)) continue;
      lastId = id;
      return id;
    }
    const problem = `all ${size - firstId} rows are in use; no cluster may have more nodes`;
    throw overlayError('BPF_FAILED', { operation: 'adding a VTEP', problem, errno: 'E2BIG' });
  }

  const ports = () => new Set([...own.ports(), ...[...slots.values()].map(({ record }) => record.port)]);

  async function closeUnused(before: ReadonlySet<number>): Promise<void> {
    const now = ports();
    for (const port of before) if (!now.has(port)) await tunnels.close(port);
  }

  /** The slots before the row that counts them, and out after it: what a packet looks up is there. */
  function writeHops({ id, record }: Slot, wanted: readonly HopRecord[]): void {
    if (wanted.length === 0 && (slots.get(record.address)?.record.hops ?? 0) === 0) return;
    putSlots(hopTable, id, wanted);
    table.put([[id, record]]);
    removeSlots(hopTable, id, wanted.length);
    if (wanted.length > 0) hops.set(id, wanted);
    else hops.delete(id);
  }

  function isWritten({ record }: Slot): boolean {
    const written = slots.get(record.address);
    return written !== undefined && isSame(written.record, record);
  }

  async function write(wanted: readonly Slot[], onChanged?: (vtep: Address) => void): Promise<readonly string[]> {
    const before = ports();
    const resolver = await createResolver(netlink, tunnels, standpoint);
    const changed: Slot[] = [];
    for (const { id, record } of wanted) {
      const resolved = await resolver.resolve(record, hops.get(id) ?? []);
      const slot = { id, record: resolved.record };
      writeHops(slot, resolved.hops);
      if (!isWritten(slot)) changed.push(slot);
    }
    table.put(changed.map(({ id, record }) => [id, record]));
    remember([...slots.values(), ...changed]);
    for (const { record } of changed) onChanged?.(record.address);
    await closeUnused(before);
    return resolver.problems;
  }

  function known(address: Address): Slot {
    const slot = slots.get(address);
    if (slot !== undefined) return slot;
    const problem = `VTEP ${address} is not there, and must be put before its path`;
    throw overlayError('BPF_FAILED', { operation: 'changing the MTU of a path', problem, errno: 'ENOENT' });
  }

  return {
    read: () => {
      const read = [...table.rows()].flatMap(([id, record]) => (record === null ? [] : [{ id, record }]));
      const written = slots;
      remember(read);
      if (lastId === 0) lastId = Math.max(0, ...read.map(({ id }) => id));
      const isOurs = ({ record }: Slot) => isSame(written.get(record.address)?.record ?? record, record);
      // No VTEP has port 0: the diff puts the row again, with its next hop.
      return read.flatMap((slot) => entriesOf(isOurs(slot) ? slot.record : { ...slot.record, port: 0 }));
    },
    idOf: (address) => slots.get(address)?.id ?? null,
    addressOf: (id) => addresses.get(id) ?? null,
    put: (entries) => {
      const wanted = entries.map(({ address, port }): Slot => {
        const known = slots.get(address);
        const id = known?.id ?? nextId();
        addresses.set(id, address);
        return { id, record: { ...(known?.record ?? unresolved), address, port } };
      });
      return write(wanted);
    },
    narrow: (paths) =>
      write(
        paths.map(({ vtep, mtuBytes }) => {
          const { id, record } = known(vtep);
          return { id, record: { ...record, provenMtuBytes: mtuBytes } };
        }),
      ),
    widen: (paths) =>
      write(
        paths
          .flatMap(({ vtep }) => slots.get(vtep) ?? [])
          .map(({ id, record }) => ({ id, record: { ...record, provenMtuBytes: null } })),
      ),
    remove: async (entries) => {
      const before = ports();
      const removed = entries.flatMap(({ address }) => slots.get(address) ?? []);
      table.put(removed.map(({ id }) => [id, null]));
      for (const { id, record } of removed) {
        if (record.hops > 0) removeSlots(hopTable, id, 0);
        hops.delete(id);
      }
      const ids = new Set(removed.map(({ id }) => id));
      remember([...slots.values()].filter(({ id }) => !ids.has(id)));
      await closeUnused(before);
      return ids;
    },
    resolve: (present) => {
      standpoint = present;
      return write([...slots.values()], onMoved);
    },
    ports,
    underlays: () => {
      const next = [...[...slots.values()].map(({ record }) => record), ...[...hops.values()].flat()];
      return new Set(next.map(({ ifindex }) => ifindex).filter((index) => index !== 0));
    },
  };
}

function isSame(left: VtepRecord, right: VtepRecord): boolean {
  const names = Object.keys(left) as readonly (keyof VtepRecord)[];
  return names.every((name) => left[name] === right[name]);
}

const unresolved = {
  gateway: null,
  ifindex: 0,
  tunnelIfindex: 0,
  mtuBytes: null,
  provenMtuBytes: null,
  hops: 0,
} as const;

function entriesOf({ address, port, provenMtuBytes }: VtepRecord): readonly (VtepEntry | PathEntry)[] {
  const path = { table: 'path', vtep: address, mtuBytes: provenMtuBytes ?? 0 } as const;
  return [{ table: 'vtep', address, port }, ...(provenMtuBytes === null ? [] : [path])];
}

/** Resolves rows one after another, with one look at the links for all. */
async function createResolver(netlink: Netlink, tunnels: Tunnels, { sources, hasMultipath }: Standpoint) {
  const mtus = new Map((await netlink.links()).map(({ index, mtuBytes }) => [index, mtuBytes]));
  const tunnelOf = new Map<number, number>();
  const problems: string[] = [];

  /** What fails in the kernel is a problem of one row, to be told, and no reason to leave the others as they are. */
  async function attempt<Result>(what: string, otherwise: Result, task: () => Promise<Result>): Promise<Result> {
    try {
      return await task();
    } catch (error) {
      if (!isOverlayError(error, 'NETLINK_FAILED', 'TUNNEL_PORT_IN_USE', 'DEVICE_CONFLICT')) throw error;
      problems.push(`${what}: ${messageOf(error)}`);
      return otherwise;
    }
  }

  async function tunnelIndex(port: number): Promise<number> {
    const known = tunnelOf.get(port);
    if (known !== undefined) return known;
    const index = await attempt(`tunnel port ${port}`, 0, async () => (await tunnels.open(port)).index);
    tunnelOf.set(port, index);
    return index;
  }

  /** From the own address of the same family: rules may send its packets another way. */
  async function way(address: Address) {
    const options = { source: sources.find((source) => familyOf(source) === familyOf(address)) };
    const route = await netlink.routeTo(address, options);
    return { route, slots: hasMultipath ? slotsOf(await netlink.hopsTo(address, options)) : [] };
  }

  return {
    problems,
    /** With its present hops, which stay when there is no route. */
    resolve: async (record: VtepRecord, present: readonly HopRecord[]): Promise<Resolved> => {
      const { address, port, provenMtuBytes } = record;
      const tunnelIfindex = await tunnelIndex(port);
      const otherwise = { record: { ...record, tunnelIfindex }, hops: present };
      return attempt(`route to VTEP ${address}`, otherwise, async () => {
        const { route, slots } = await way(address);
        const devices = [route, ...slots].map(({ ifindex }) => mtus.get(ifindex));
        const limits = [route.mtuBytes, ...devices, provenMtuBytes].filter((mtu) => typeof mtu === 'number');
        const mtuBytes = limits.length === 0 ? null : Math.min(...limits);
        const next = { gateway: route.gateway, ifindex: route.ifindex, tunnelIfindex, hops: slots.length };
        return { record: { address, port, ...next, mtuBytes, provenMtuBytes }, hops: slots };
      });
    },
  };
}
