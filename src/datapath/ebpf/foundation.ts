/**
 * What stands below all entries: this node's own VTEP in the settings, the tunnel devices, the programs on the devices
 * that packets of other nodes come in by, and the gate for packets that come in by others. Laid when the data path
 * opens, and again whenever something of it may have changed, so every step leaves alone what is right.
 *
 * Receiving is made ready before sending: tunnel device up, its program, then the underlay's.
 */

import type { Vtep } from '../../core/model.ts';
import { addressesOf } from '../../core/vtep.ts';
import { isOverlayError, overlayError } from '../../errors.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import type { KernelChange } from '../../netlink/notifications.ts';
import type { Attachments } from './attachments.ts';
import { layGate } from './gate.ts';
import type { Headroom } from './headroom.ts';
import { tunnelName, tunnelPort } from './names.ts';
import type { Programs } from './programs.ts';
import type { Repairs } from './repairs.ts';
import type { Tables } from './tables.ts';
import type { Tunnels } from './tunnels.ts';
import type { Vteps } from './vteps.ts';

export interface Foundation {
  /** @returns what stands in the way of some VTEPs; @throws VTEP_ADDRESS_UNKNOWN, TUNNEL_PORT_IN_USE, DEVICE_CONFLICT … */
  lay(): Promise<readonly string[]>;
  /** The same without asking for routes, which costs the most: null, unless a tunnel device had to be made anew. */
  keep(): Promise<readonly string[] | null>;
  /**
   * The programs on all devices that packets to VTEPs leave by, and so come in by; the gate for all others.
   * @returns what stands in the way
   */
  coverUnderlays(): Promise<readonly string[]>;
  /** Whether a change in the kernel can mean that something is to be laid again. */
  isConcerned(change: KernelChange): boolean;
}

interface Ground {
  readonly vtep: Vtep;
  readonly netlink: Netlink;
  readonly tables: Tables;
  readonly programs: Programs;
  readonly attachments: Attachments;
  readonly headroom: Headroom;
  readonly tunnels: Tunnels;
  readonly vteps: Vteps;
  readonly repairs: Repairs;
}

export function createFoundation(ground: Ground): Foundation {
  const { vtep, netlink, programs, attachments, headroom, tunnels, vteps, repairs } = ground;
  let covered: ReadonlySet<number> = new Set();
  let isLaid = false;
  let isAddressLost = false;

  async function requireAddress() {
    try {
      const own = await ownDevices(ground);
      if (isAddressLost && own.missing.length === 0) repairs.count('address');
      isAddressLost = isLaid && own.missing.length > 0;
      return own;
    } catch (error) {
      isAddressLost = isLaid && isOverlayError(error, 'VTEP_ADDRESS_UNKNOWN');
      throw error;
    }
  }

  async function writeSettings(): Promise<void> {
    if ((await settle(ground)) && isLaid) repairs.count('settings');
  }

  async function lay(): Promise<readonly string[]> {
    const { missing } = await requireAddress();
    // from_tunnel takes only what from_underlay vouched for: where both are replaced, from_underlay is the first.
    if (!isLaid && (await netlink.linkByName(tunnelName(vtep.port)))?.isUp === true) await coverUnderlays();
    await tunnels.open(vtep.port);
    await writeSettings();
    const problems = await vteps.resolve();
    const ungated = await coverUnderlays();
    isLaid = true;
    return [...missing, ...problems, ...ungated];
  }

  async function keep(): Promise<readonly string[] | null> {
    await requireAddress();
    const before = repairs.counts()['device'];
    for (const port of vteps.ports()) await tunnels.open(port);
    await writeSettings();
    const problems = repairs.counts()['device'] === before ? null : await vteps.resolve();
    const ungated = await coverUnderlays();
    return problems === null ? null : [...problems, ...ungated];
  }

  async function coverUnderlays(): Promise<readonly string[]> {
    const links = await netlink.links();
    const { owners } = await requireAddress();
    const underlays = links.filter(
      ({ index, name }) => owners.has(index) || (vteps.underlays().has(index) && name !== 'lo'),
    );
    for (const device of underlays) {
      if (!attachments.isAttached(programs.fromUnderlay, device)) attachments.attach(programs.fromUnderlay, device);
    }
    attachments.prune(links);
    await headroom.lay(links);
    covered = new Set([...owners, ...underlays.map(({ index }) => index)]);
    return layGate(
      netlink,
      vteps.ports(),
      underlays.map(({ name }) => name),
    );
  }

  return {
    lay,
    keep,
    coverUnderlays,
    isConcerned: (change) => {
      if (change.kind === 'link') {
        const port = tunnelPort(change.name);
        return covered.has(change.ifindex) || (port !== null && vteps.ports().has(port));
      }
      if (change.kind === 'address') return covered.has(change.ifindex) || addressesOf(vtep).includes(change.address);
      return true;
    },
  };
}

/**
 * Indexes of the devices that have the VTEP addresses. One of two addresses may be missing, and is told.
 * @throws VTEP_ADDRESS_UNKNOWN
 */
async function ownDevices({ vtep, netlink }: Ground) {
  const addresses = await netlink.addresses();
  const wanted = addressesOf(vtep);
  const own = addresses.filter(({ address }) => wanted.includes(address));
  const absent = wanted.filter((address) => own.every((each) => each.address !== address));
  if (own.length > 0) {
    const owners = new Set(own.map(({ ifindex }) => ifindex));
    return { owners, missing: absent.map((address) => `no device has VTEP address ${address}`) };
  }
  const known = addresses.filter(({ scope }) => scope === 'global').map(({ address }) => address);
  throw overlayError('VTEP_ADDRESS_UNKNOWN', { address: vtep.address, known: known.join(', ') || 'none' });
}

/** Writes the own VTEP; the device of a port we had before goes when no other VTEP speaks it. False: nothing was to do. */
async function settle({ vtep, tables, tunnels, vteps }: Ground): Promise<boolean> {
  const before = tables.settings.get(0);
  const isSettled = before !== null && addressesOf(before).join() === addressesOf(vtep).join();
  if (isSettled && before.port === vtep.port) return false;
  tables.settings.put([[0, vtep]]);
  if (before !== null && before.port !== vtep.port && !vteps.ports().has(before.port)) await tunnels.close(before.port);
  return true;
}
