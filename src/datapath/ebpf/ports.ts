/**
 * Endpoints' ports: a veth pair, a row under the index of its host end, and a program on that end.
 *
 *      record the id ─▶ veth pair ─▶ row ─▶ program ─▶ host end up          put
 *      delete veth pair ─▶ unpin ─▶ delete row ─▶ forget the id             remove
 *
 * Each step is idempotent and the id is recorded first and forgotten last, so what a crash leaves behind is seen by the
 * next reading: a port that lacks anything is read as broken, with an MTU of 0 that no desired port has. It is
 * therefore put again where it is wanted and removed where it is not, by the ordinary diff.
 */

import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Address, familyOf } from '../../core/address.ts';
import type { ForwardingEntry } from '../../core/forwarding.ts';
import type { EndpointId } from '../../core/identity.ts';
import { parseMac } from '../../core/mac.ts';
import { maxVni, parseVni } from '../../core/vni.ts';
import { overlayError } from '../../errors.ts';
import type { ProgramFd } from '../../native/binding.ts';
import type { Link } from '../../netlink/link.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import { ensureInterfaces, interfacesOf, stemOf } from '../interfaces.ts';
import type { Attachments } from './attachments.ts';
import type { Headroom } from './headroom.ts';
import type { PortRecord } from './records.ts';
import type { Table } from './table.ts';

type PortEntry = Extract<ForwardingEntry, { table: 'port' }>;

export interface Ports {
  /** Takes the ports from the kernel, the broken ones included. */
  read(links: readonly Link[]): readonly PortEntry[];
  /** Null for an endpoint that has no interface. */
  indexOf(endpoint: EndpointId): number | null;
  /** The endpoint behind an interface; a name of its own for an interface that is none of ours. */
  endpointAt(index: number): EndpointId;
  isHostInterface(index: number): boolean;
  /** Endpoints whose pair was deleted and made anew: the container's end is here, the container has none. */
  stranded(): readonly EndpointId[];
  /** @throws DEVICE_CONFLICT, NETLINK_FAILED, BPF_FAILED */
  put(entry: PortEntry): Promise<void>;
  remove(entry: PortEntry): Promise<void>;
  /** Puts the present program on every port that there is. */
  adopt(links: readonly Link[]): void;
}

interface PortSurroundings {
  readonly table: Table<number, PortRecord>;
  readonly directory: string;
  readonly program: ProgramFd;
  readonly netlink: Netlink;
  readonly attachments: Attachments;
  readonly headroom: Headroom;
}

export function createPorts(surroundings: PortSurroundings): Ports {
  const { table, directory, program, netlink, attachments, headroom } = surroundings;
  let indexes = new Map<EndpointId, number>();
  let endpoints = new Map<number, EndpointId>();
  const stranded = new Set<EndpointId>();

  function remember(endpoint: EndpointId, index: number): void {
    indexes.set(endpoint, index);
    endpoints.set(index, endpoint);
  }

  function forget(endpoint: EndpointId, index: number): void {
    indexes.delete(endpoint);
    endpoints.delete(index);
  }

  /** All endpoints that left a trace, with their host interfaces. */
  function found(links: readonly Link[]) {
    const recorded = readdirSync(directory).map((name) => name as EndpointId);
    const known = new Map(recorded.map((endpoint) => [interfacesOf(endpoint).hostInterface, endpoint]));
    const devices = new Map(links.filter(({ kind }) => kind === 'veth').map((link) => [link.name, link]));
    for (const name of [...devices.keys(), ...attachments.remembered()]) {
      const stem = stemOf(name);
      if (stem !== null && !known.has(name)) known.set(name, stem as EndpointId);
    }
    return [...known].map(([name, endpoint]) => ({ endpoint, link: devices.get(name) ?? null }));
  }

  function describe(endpoint: EndpointId, link: Link | null, row: PortRecord | undefined): PortEntry {
    const isWhole = link?.isUp === true && row !== undefined && attachments.isAttached(program, link);
    return isWhole && isRecorded(directory, endpoint) ? entryOf(endpoint, row) : broken(endpoint, row);
  }

  return {
    read: (links) => {
      const rows = new Map(table.rows());
      indexes = new Map();
      endpoints = new Map();
      const names = new Set(links.map(({ name }) => name));
      for (const endpoint of stranded)
        if (!names.has(interfacesOf(endpoint).containerInterface)) stranded.delete(endpoint);
      const entries = found(links).map(({ endpoint, link }) => {
        const row = link === null ? undefined : rows.get(link.index);
        if (link !== null) remember(endpoint, link.index);
        return describe(endpoint, link, row);
      });
      const strays = [...rows].filter(([index]) => !endpoints.has(index));
      return [...entries, ...strays.map(([index, row]) => broken(strangerAt(index), row))];
    },
    indexOf: (endpoint) => indexes.get(endpoint) ?? null,
    endpointAt: (index) => endpoints.get(index) ?? strangerAt(index),
    isHostInterface: (index) => endpoints.has(index),
    stranded: () => [...stranded],
    put: async (entry) => {
      const wasHere = isRecorded(directory, entry.endpoint);
      mkdirSync(join(directory, entry.endpoint), { recursive: true });
      const { device, isNew } = await ensureInterfaces(netlink, entry);
      if (wasHere && isNew) stranded.add(entry.endpoint);
      table.put([[device.index, recordOf(entry)]]);
      if (!attachments.isAttached(program, device)) attachments.attach(program, device);
      if (device.master === null) await headroom.give(device.name);
      if (!device.isUp) await netlink.setUp(device.name);
      remember(entry.endpoint, device.index);
    },
    remove: async ({ endpoint }) => {
      const name = interfacesOf(endpoint).hostInterface;
      if (hasOtherOwner(directory, endpoint)) return void indexes.delete(endpoint);
      stranded.delete(endpoint);
      const index = (await netlink.linkByName(name))?.index ?? indexes.get(endpoint) ?? strangerIndex(endpoint);
      if (index !== null) forget(endpoint, index);
      await netlink.deleteLink(name);
      attachments.detach({ name, index: null });
      if (index !== null) table.remove([index]);
      forgetRecorded(directory, endpoint);
    },
    adopt: (links) => {
      const known = new Map(table.rows());
      for (const { link } of found(links)) {
        if (link !== null && known.has(link.index)) attachments.attach(program, link);
      }
    },
  };
}

function recordOf({ endpoint, vni, mac, addresses, mtuBytes, isRouter }: PortEntry): PortRecord {
  const ipv4 = addresses.filter((address) => familyOf(address) === 'ipv4');
  const ipv6 = addresses.filter((address) => familyOf(address) === 'ipv6');
  if (ipv4.length > 1 || ipv6.length > 1) {
    const problem = `it has the addresses ${addresses.join(', ')}, and a port holds one of each family`;
    throw overlayError('BPF_FAILED', { operation: `adding a port of endpoint ${endpoint}`, problem, errno: 'EINVAL' });
  }
  return { vni, mtuBytes, mac, ipv4: ipv4[0] ?? null, ipv6: ipv6[0] ?? null, isRouter: isRouter === true };
}

function entryOf(endpoint: EndpointId, { vni, mac, mtuBytes, ipv4, ipv6, isRouter }: PortRecord): PortEntry {
  const addresses = [ipv4, ipv6].filter((address): address is Address => address !== null);
  return { table: 'port', endpoint, vni, mac, addresses, mtuBytes, ...(isRouter && { isRouter }) };
}

function broken(endpoint: EndpointId, row: PortRecord | undefined): PortEntry {
  const { vni, mac } = row ?? { vni: parseVni(maxVni), mac: parseMac('02:00:00:00:00:00') };
  return { table: 'port', endpoint, vni, mac, addresses: [], mtuBytes: 0 };
}

function isRecorded(directory: string, endpoint: EndpointId): boolean {
  return existsSync(join(directory, endpoint));
}

/** What was called by its interface, because its id was not recorded, has been put under its whole id meanwhile. */
function hasOtherOwner(directory: string, endpoint: EndpointId): boolean {
  const { hostInterface } = interfacesOf(endpoint);
  const owner = readdirSync(directory).find((id) => interfacesOf(id as EndpointId).hostInterface === hostInterface);
  return owner !== undefined && owner !== endpoint;
}

function forgetRecorded(directory: string, endpoint: EndpointId): void {
  if (isRecorded(directory, endpoint)) rmdirSync(join(directory, endpoint));
}

/** What stands for the endpoint of an interface that is not, or no longer, a port of ours. */
function strangerAt(index: number): EndpointId {
  return `interface-${index}` as EndpointId;
}

function strangerIndex(endpoint: EndpointId): number | null {
  const digits = /^interface-([0-9]+)$/.exec(endpoint)?.[1];
  return digits === undefined ? null : Number(digits);
}
