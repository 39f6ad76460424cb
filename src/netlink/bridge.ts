/**
 * Bridges. Sources: linux/if_link.h IFLA_BR_*; net/bridge/br_netlink.c.
 */

import { nested, text, u8 } from './attributes.ts';
import { encodeLink, linkAttribute, linkInfo, linkMessage, silence } from './link.ts';
import { createFlags, type NetlinkSocket, type RequestOptions } from './socket.ts';

const bridgeAttribute = { multicastSnooping: 23 } as const;

/**
 * Creates a bridge, down, which spans no tree and snoops no groups. All or nothing.
 * @throws NETLINK_FAILED with errno EEXIST when the name is taken, EOPNOTSUPP when the kernel has no bridges
 */
export async function createBridge(socket: NetlinkSocket, name: string, options?: RequestOptions): Promise<void> {
  const flags = createFlags.create | createFlags.exclusive;
  const data = [u8(bridgeAttribute.multicastSnooping, 0)];
  const payload = encodeLink({}, [
    text(linkAttribute.name, name),
    nested(linkAttribute.info, [text(linkInfo.kind, 'bridge'), nested(linkInfo.data, data)]),
  ]);
  await socket.request({ name: `create bridge ${name}`, type: linkMessage.new, flags, payload }, options);
  await silence(socket, name, options);
}
