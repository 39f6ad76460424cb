/**
 * Bridges. A sealed one carries frames between its ports and nothing else: the host it stands on neither hears it nor is
 * heard on it, though it is in its own namespace.
 *
 *      MTU 68          too small for IPv6, which the kernel then does not have on the link (linux/ipv6.h IPV6_MIN_MTU);
 *                      frames between ports are held to the ports' own MTUs; set after creation, or the bridge
 *                      would follow its ports
 *      ARP off         the host is not found, and does not answer
 *      rp_filter       a link without an address takes no IPv4 packet from any source
 *
 * Sources: linux/if_link.h IFLA_BR_*, IFLA_INET_CONF; linux/ip.h IPV4_DEVCONF_*; net/ipv4/fib_frontend.c
 * `__fib_validate_source`; net/bridge/br_netlink.c.
 */

import { nested, text, u8, u32 } from './attributes.ts';
import { type BridgePortSetting, bridgePortAttributes } from './bridge-port.ts';
import { deleteLink, encodeLink, type Link, linkAttribute, linkInfo, linkMessage, silence } from './link.ts';
import { createFlags, type NetlinkSocket, type RequestOptions } from './socket.ts';

/** Specification: linux/if_link.h, linux/ip.h, linux/rtnetlink.h. */
const bridgeAttribute = { multicastSnooping: 23 } as const;
const inet = { family: 2, configuration: 1, forwarding: 1, reversePathFilter: 8 } as const;
const sealedMtuBytes = 68;

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

/** Creates one that is sealed. All or nothing. @throws NETLINK_FAILED as `createBridge` */
export async function createSealedBridge(socket: NetlinkSocket, name: string, options?: RequestOptions): Promise<void> {
  await createBridge(socket, name, options);
  try {
    await sealBridge(socket, name, options);
  } catch (error) {
    await deleteLink(socket, name);
    throw error;
  }
}

/** Makes a bridge deaf and mute to its host. Idempotent. @throws NETLINK_FAILED */
export async function sealBridge(socket: NetlinkSocket, name: string, options?: RequestOptions): Promise<void> {
  const configuration = [u32(inet.reversePathFilter, 1), u32(inet.forwarding, 0)];
  const payload = encodeLink({ isArp: false }, [
    text(linkAttribute.name, name),
    u32(linkAttribute.mtu, sealedMtuBytes),
    nested(linkAttribute.afSpec, [nested(inet.family, [nested(inet.configuration, configuration)])]),
  ]);
  await socket.request({ name: `seal bridge ${name}`, type: linkMessage.set, payload }, options);
}

/** As far as a link shows it. */
export function isSealed({ mtuBytes, isArp }: Link): boolean {
  return mtuBytes === sealedMtuBytes && !isArp;
}

/** @throws NETLINK_FAILED, with errno EINVAL for what is no port of a bridge */
export async function setBridgePort(
  socket: NetlinkSocket,
  name: string,
  setting: BridgePortSetting,
  options?: RequestOptions,
): Promise<void> {
  const info = [text(linkInfo.portKind, 'bridge'), nested(linkInfo.portData, bridgePortAttributes(setting))];
  const payload = encodeLink({}, [text(linkAttribute.name, name), nested(linkAttribute.info, info)]);
  // Such data is taken under RTM_NEWLINK alone.
  await socket.request({ name: `set bridge port ${name}`, type: linkMessage.new, payload }, options);
}
