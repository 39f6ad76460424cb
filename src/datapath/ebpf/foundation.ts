/**
 * What stands below all entries: this node's own VTEP in the settings, the tunnel devices, the programs on the devices
 * that packets of other nodes come in by, and the gate for packets that come in by others. Laid when the data path
 * opens, and again whenever something of it may have changed, so every step leaves alone what is right.
 *
 * Receiving is made ready before sending: tunnel device up, its program, then the underlay's. A device is an uplink when
 * it has the own address, or a route to a VTEP leaves by it, or any route by a gateway does: peers may change over to
 * another way before this node does.
 */

import type { Address } from '../../core/address.ts';
import { addressesOf } from '../../core/vtep.ts';
import { isOverlayError, messageOf, overlayError } from '../../errors.ts';
import type { Link } from '../../netlink/link.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import type { KernelChange } from '../../netlink/notifications.ts';
import { localTable, type Route } from '../../netlink/route.ts';
import { stemOf } from '../interfaces.ts';
import type { Attachments } from './attachments.ts';
import { readCounters } from './counters.ts';
import { layGate } from './gate.ts';
import type { Headroom } from './headroom.ts';
import { tunnelName, tunnelPort } from './names.ts';
import type { OwnVtep } from './own-vtep.ts';
import type { Programs } from './programs.ts';
import type { Repairs } from './repairs.ts';
import type { Tunnels } from './tunnels.ts';
import type { Vteps } from './vteps.ts';

export interface Foundation {
  /** @throws VTEP_ADDRESS_UNKNOWN when no device has any own address */
  requireAddress(): Promise<void>;
  /** @returns what stands in the way of some VTEPs, or of all; @throws TUNNEL_PORT_IN_USE, DEVICE_CONFLICT … */
  lay(): Promise<readonly string[]>;
  /** The same without asking for routes, which costs the most: null, unless something of it had to be done. */
  keep(): Promise<readonly string[] | null>;
  /** The programs on all uplinks, and on no other device; the gate for all others. @returns what stands in the way */
  coverUnderlays(): Promise<readonly string[]>;
  /** Whether a change in the kernel can mean that something is to be laid again. */
  isConcerned(change: KernelChange): boolean;
}

interface Ground {
  readonly own: OwnVtep;
  readonly netlink: Netlink;
  readonly programs: Programs;
  readonly attachments: Attachments;
  readonly headroom: Headroom;
  readonly tunnels: Tunnels;
  readonly vteps: Vteps;
  readonly repairs: Repairs;
}

export function createFoundation(ground: Ground): Foundation {
  const { own, netlink, programs, attachments, headroom, tunnels, vteps, repairs } = ground;
  const { fromUnderlay } = programs;
  let uplinks: ReadonlySet<number> = new Set();
  let covered: ReadonlySet<number> = new Set();
  let isLaid = false;
  let isAddressLost = false;

  async function coverUnderlays(): Promise<readonly string[]> {
    const links = await netlink.links();
    const before = coveredDevices(links);
    const wanted = uplinksAmong(links, before);
    for (const device of before) if (!wanted.includes(device)) attachments.detach(device);
    for (const device of wanted) {
      if (!attachments.isAttached(fromUnderlay, device)) attachments.attach(fromUnderlay, device);
    }
    attachments.prune(links);
    await headroom.lay(links);
    covered = new Set(wanted.map(({ index }) => index));
    const names = wanted.map(({ name }) => name);
    return layGate(netlink, vteps.ports(), names);
  }

  /** By this process, or by one before. */
  function coveredDevices(links: readonly Link[]): readonly Link[] {
    const pinned = new Set(attachments.remembered().filter(isUplinkName));
    return links.filter(({ index, name }) => covered.has(index) || pinned.has(name));
  }

  /** What was one stays one, since peers may still send by it, until it becomes a port of a bridge or bond. */
  function uplinksAmong(links: readonly Link[], before: readonly Link[]): readonly Link[] {
    const present = new Set([...uplinks, ...vteps.underlays()]);
    const isUplink = (link: Link) => present.has(link.index) || (before.includes(link) && link.master === null);
    return links.filter((link) => link.name !== 'lo' && isUplink(link));
  }

  /** The VTEP before this one: its device stays for as long as packets come to it. @returns what is in the way of it */
  async function keepFormer(): Promise<readonly string[]> {
    const former = own.former();
    if (former === null) return [];
    own.retire(readCounters(programs.map('counters'))['former_vtep']?.packets ?? 0);
    if (own.former() === null) return close(former.port);
    try {
      await tunnels.open(former.port);
      return [];
    } catch (error) {
      if (!isOverlayError(error, 'NETLINK_FAILED', 'TUNNEL_PORT_IN_USE', 'DEVICE_CONFLICT')) throw error;
      return [`former tunnel port ${former.port}: ${messageOf(error)}`];
    }
  }

  async function close(port: number): Promise<[]> {
    if (!vteps.ports().has(port)) await tunnels.close(port);
    return [];
  }

  /** Indexes of the devices with the own addresses. @returns also which address no device has */
  async function look(): Promise<{ readonly owners: ReadonlyMap<Address, number>; readonly missing: Address | null }> {
    const wanted = addressesOf(own.current());
    const found = (await netlink.addresses()).filter(({ address }) => wanted.includes(address));
    const owners = new Map(found.map(({ address, ifindex }) => [address, ifindex]));
    const missing = wanted.find((address) => !owners.has(address)) ?? null;
    if (isAddressLost && missing === null) repairs.count('address');
    isAddressLost = isLaid && missing !== null;
    return { owners, missing };
  }

  /** What needs no look at the routes. */
  async function settle(): Promise<readonly string[]> {
    await tunnels.open(own.current().port);
    const passed = own.former();
    if (own.write()) repairs.count('settings');
    if (passed !== null) await close(passed.port);
    return keepFormer();
  }

  async function findUplinks(owners: ReadonlyMap<Address, number>): Promise<readonly Route[]> {
    const routes = await netlink.routes();
    uplinks = new Set([...uplinksOf(routes), ...owners.values()]);
    return routes;
  }

  /** from_tunnel takes only what from_underlay vouched for: where both are replaced, from_underlay is the first. */
  async function replaceVouching(): Promise<void> {
    if ((await netlink.linkByName(tunnelName(own.current().port)))?.isUp !== true) return;
    await findUplinks((await look()).owners);
    await coverUnderlays();
  }

  async function route({ owners, missing }: Awaited<ReturnType<typeof look>>): Promise<readonly string[]> {
    const routes = await findUplinks(owners);
    const hasMultipath = routes.some(({ hops }) => hops.length > 1);
    const problems = await vteps.resolve({ sources: [...owners.keys()], hasMultipath });
    return missing === null ? problems : [(await unknownAddress(netlink, missing)).message, ...problems];
  }

  return {
    requireAddress: async () => {
      const { owners, missing } = await look();
      if (owners.size === 0 && missing !== null) throw await unknownAddress(netlink, missing);
    },
    lay: async () => {
      if (!isLaid) await replaceVouching();
      const problems = await settle();
      const routing = await route(await look());
      const ungated = await coverUnderlays();
      isLaid = true;
      return [...problems, ...routing, ...ungated];
    },
    keep: async () => {
      const before = repairs.counts()['device'];
      const problems = await settle();
      for (const port of vteps.ports()) await tunnels.open(port);
      const seen = await look();
      const isWhole = repairs.counts()['device'] === before && problems.length === 0 && seen.missing === null;
      const routing = isWhole ? null : await route(seen);
      const ungated = await coverUnderlays();
      return routing === null ? null : [...problems, ...routing, ...ungated];
    },
    coverUnderlays,
    isConcerned: (change) => {
      if (change.kind === 'link') {
        const speaks = tunnelPort(change.name);
        return covered.has(change.ifindex) || (speaks !== null && vteps.ports().has(speaks));
      }
      if (change.kind === 'address')
        return covered.has(change.ifindex) || addressesOf(own.current()).includes(change.address);
      return true;
    },
  };
}

async function unknownAddress(netlink: Netlink, address: Address) {
  const known = (await netlink.addresses()).filter(({ scope }) => scope === 'global').map((each) => each.address);
  return overlayError('VTEP_ADDRESS_UNKNOWN', { address, known: known.join(', ') || 'none' });
}

/** Devices that any gateway is behind. */
function uplinksOf(routes: readonly Route[]): readonly number[] {
  const hops = routes.flatMap(({ table, hops: each }) => (table === localTable ? [] : each));
  return hops.filter(({ gateway }) => gateway !== null).map(({ ifindex }) => ifindex);
}

function isUplinkName(name: string): boolean {
  return stemOf(name) === null && tunnelPort(name) === null;
}
