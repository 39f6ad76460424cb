/** The inverse of opening and of every change made since, found by names and what the devices are. */

import type { Link } from '../../netlink/link.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import { isOurs } from './networks.ts';
import { isHostEnd } from './ports.ts';

/** Traffic between nodes ends; containers keep their interfaces. Idempotent. @throws NETLINK_FAILED */
export async function releaseBridgeDataPath(netlink: Netlink): Promise<void> {
  await deleteAll(netlink, isOurs);
}

/** With the interfaces. Idempotent. No process may have the data path open. @throws NETLINK_FAILED */
export async function removeBridgeDataPath(netlink: Netlink): Promise<void> {
  await deleteAll(netlink, (link) => isOurs(link) || isHostEnd(link));
}

async function deleteAll(netlink: Netlink, isMeant: (link: Link) => boolean): Promise<void> {
  for (const link of await netlink.links()) if (isMeant(link)) await netlink.deleteLink(link.name);
}
