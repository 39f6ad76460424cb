/**
 * What stands below all entries: this node's own VTEP in the settings, the tunnel devices, the programs on the devices
 * that packets of other nodes come in by. Laid when the data path opens, and again whenever something of it may have
 * changed, so every step leaves alone what is right.
 *
 * Receiving is made ready before sending: tunnel device up, its program, then the underlay's.
 */

import type { Vtep } from '../../core/model.ts';
import { isOverlayError, overlayError } from '../../errors.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import type { KernelChange } from '../../netlink/notifications.ts';
import type { Attachments } from './attachments.ts';
import { tunnelPort } from './names.ts';
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
  /** The programs on all devices that packets to VTEPs leave by, and so come in by. */
  coverUnderlays(): Promise<void>;
  /** Whether a change in the kernel can mean that something is to be laid again. */
  isConcerned(change: KernelChange): boolean;
}

interface Ground {
  readonly vtep: Vtep;
  readonly netlink: Netlink;
  readonly tables: Tables;
  readonly programs: Programs;
  readonly attachments: Attachments;
  readonly tunnels: Tunnels;
  readonly vteps: Vteps;
  readonly repairs: Repairs;
}

export function createFoundation(ground: Ground): Foundation {
  const { vtep, netlink, programs, attachments, tunnels, vteps, repairs } = ground;
  let covered: ReadonlySet<number> = new Set();
  let isLaid = false;
  let isAddressLost = false;

  async function requireAddress(): Promise<number> {
    try {
      const owner = await ownDevice(ground);
      if (isAddressLost) repairs.count('address');
      isAddressLost = false;
      return owner;
    } catch (error) {
      isAddressLost = isLaid && isOverlayError(error, 'VTEP_ADDRESS_UNKNOWN');
      throw error;
    }
  }

  async function writeSettings(): Promise<void> {
    if ((await settle(ground)) && isLaid) repairs.count('settings');
  }

  async function lay(): Promise<readonly string[]> {
    await requireAddress();
    await tunnels.open(vtep.port);
    await writeSettings();
    const problems = await vteps.resolve();
    await coverUnderlays();
    isLaid = true;
    return problems;
  }

  async function keep(): Promise<readonly string[] | null> {
    await requireAddress();
    const before = repairs.counts()['device'];
    for (const port of vteps.ports()) await tunnels.open(port);
    await writeSettings();
    const problems = repairs.counts()['device'] === before ? null : await vteps.resolve();
    await coverUnderlays();
    return problems;
  }

  async function coverUnderlays(): Promise<void> {
    const links = await netlink.links();
    const owner = await requireAddress();
    const underlays = links.filter(
      ({ index, name }) => index === owner || (vteps.underlays().has(index) && name !== 'lo'),
    );
    for (const device of underlays) {
      if (!attachments.isAttached(programs.fromUnderlay, device)) attachments.attach(programs.fromUnderlay, device);
    }
    attachments.prune(links);
    covered = new Set([owner, ...underlays.map(({ index }) => index)]);
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
      if (change.kind === 'address') return covered.has(change.ifindex) || change.address === vtep.address;
      return true;
    },
  };
}

/** Index of the device that has the VTEP address. @throws VTEP_ADDRESS_UNKNOWN */
async function ownDevice({ vtep, netlink }: Ground): Promise<number> {
  const addresses = await netlink.addresses();
  const own = addresses.find(({ address }) => address === vtep.address);
  if (own !== undefined) return own.ifindex;
  const known = addresses.filter(({ scope }) => scope === 'global').map(({ address }) => address);
  throw overlayError('VTEP_ADDRESS_UNKNOWN', { address: vtep.address, known: known.join(', ') || 'none' });
}

/** Writes the own VTEP; the device of a port we had before goes when no other VTEP speaks it. False: nothing was to do. */
async function settle({ vtep, tables, tunnels, vteps }: Ground): Promise<boolean> {
  const before = tables.settings.get(0);
  if (before?.address === vtep.address && before.port === vtep.port) return false;
  tables.settings.put([[0, vtep]]);
  if (before !== null && before.port !== vtep.port && !vteps.ports().has(before.port)) await tunnels.close(before.port);
  return true;
}
