/** The UDP port of the tunnel, and who else may have it. */

import { overlayError } from '../errors.ts';
import type { Link } from '../netlink/link.ts';
import type { Netlink } from '../netlink/netlink.ts';
import { hasErrno } from '../netlink/socket.ts';

/**
 * Runs what needs the port, and names who has it where the kernel only says that somebody has.
 * @throws TUNNEL_PORT_IN_USE, and what the task throws
 */
export async function holdingPort(
  netlink: Netlink,
  port: number,
  isOurs: (link: Link) => boolean,
  task: () => Promise<void>,
): Promise<void> {
  try {
    await task();
  } catch (error) {
    if (!hasErrno(error, 'EADDRINUSE', 'EEXIST')) throw error;
    const other = (await netlink.links()).find((link) => link.vxlan?.port === port && !isOurs(link));
    const holder = other === undefined ? 'a socket of another process' : `vxlan device ${other.name}`;
    throw overlayError('TUNNEL_PORT_IN_USE', { port, holder }, { cause: error });
  }
}
