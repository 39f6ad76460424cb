/**
 * Room in front of a packet for the outer headers. A UDP socket leaves what its device asks for, and a veth pair asks for
 * nothing, so every datagram is copied into a larger buffer on its way into the tunnel: 6 % of what a small one costs
 * (docs/decisions/0019). User space can ask for room by one way alone: a bridge has its ports leave as much as any of
 * them needs (net/bridge/br_if.c update_headroom; drivers/net/veth.c veth_set_rx_headroom).
 *
 * So the host ends of endpoints are ports of one bridge, together with the tunnel devices, which need 84 bytes. The
 * bridge is down and carries nothing: programs take frames before it would see them, and what no program takes, it drops.
 *
 * Everything works without it, somewhat slower: on a kernel without bridges, and beyond the 1,023 ports one can have.
 */

import { isOverlayError } from '../../errors.ts';
import type { Link } from '../../netlink/link.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import { stemOf } from '../interfaces.ts';
import { headroomBridge, tunnelPort } from './names.ts';

export interface Headroom {
  /** Makes the bridge if it is missing, and those of our devices its ports that are nobody's. Idempotent. */
  lay(links: readonly Link[]): Promise<void>;
  /** The same for one new device. */
  give(device: string): Promise<void>;
}

export function createHeadroom(netlink: Netlink): Headroom {
  /** Index of the bridge. */
  let bridge: number | null = null;

  async function plugIn(device: string): Promise<boolean> {
    if (bridge === null) return false;
    const to = bridge;
    return succeeds(() => netlink.setMaster(device, to));
  }

  return {
    lay: async (links) => {
      bridge = await ensureBridge(netlink, links.find(({ name }) => name === headroomBridge) ?? null);
      // The first refusal is of the bridge, not of the device: it is full.
      for (const { name, kind, master } of links) {
        if (master === null && isOurs(name, kind) && !(await plugIn(name))) return;
      }
    },
    give: async (device) => void (await plugIn(device)),
  };
}

/** @returns its index; null where there can be none */
async function ensureBridge(netlink: Netlink, existing: Link | null): Promise<number | null> {
  if (existing === null) {
    if (!(await succeeds(() => netlink.createBridge(headroomBridge)))) return null;
    return (await netlink.linkByName(headroomBridge))?.index ?? null;
  }
  if (existing.kind !== 'bridge') return null;
  if (existing.isUp) await succeeds(() => netlink.setDown(headroomBridge));
  return existing.index;
}

function isOurs(name: string, kind: string | null): boolean {
  return kind === 'veth' ? stemOf(name) !== null : kind === 'vxlan' && tunnelPort(name) !== null;
}

/** What the kernel refuses here costs speed alone. */
async function succeeds(request: () => Promise<void>): Promise<boolean> {
  try {
    await request();
    return true;
  } catch (error) {
    if (isOverlayError(error, 'NETLINK_FAILED')) return false;
    throw error;
  }
}
