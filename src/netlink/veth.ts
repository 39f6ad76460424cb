/**
 * Veth pairs: one end stays on the node, the other goes into a container. Two requests: the kernel takes the address
 * generation mode of a link only once it exists, and it must be off before the link is first up, or the node would
 * send router solicitations and MLD reports into the container.
 * Sources: linux/veth.h, linux/if_link.h; drivers/net/veth.c `veth_newlink`.
 */

import { type MacAddress, macBytes } from '../core/mac.ts';
import { bytes, nested, text, u32 } from './attributes.ts';
import { encodeLink, linkAttribute, linkInfo, linkMessage, silence } from './link.ts';
import { createFlags, type NetlinkSocket, type RequestOptions } from './socket.ts';

export type VethPair = {
  /** The end that stays on the node. */
  readonly name: string;
  /** The end meant for the container. */
  readonly peerName: string;
  /** Of the container's end; random when absent. */
  readonly peerMac?: MacAddress;
  /** Of both ends. */
  readonly mtuBytes: number;
  /** Largest segment the container's end hands over unsegmented, in either family; the kernel's 65536 when absent. */
  readonly gsoMaxBytes?: number;
};

/** Specification: linux/veth.h. */
const peerInfo = 1;

/**
 * Creates a pair, both ends down. All or nothing.
 * @throws NETLINK_FAILED with errno EEXIST when either name is taken
 */
export async function createVethPair(socket: NetlinkSocket, pair: VethPair, options?: RequestOptions): Promise<void> {
  const flags = createFlags.create | createFlags.exclusive;
  const request = { name: `create veth pair ${pair.name}, ${pair.peerName}`, type: linkMessage.new, flags };
  await socket.request({ ...request, payload: encodeVethPair(pair) }, options);
  await silence(socket, pair.name, options);
}

export function encodeVethPair({ name, peerName, peerMac, mtuBytes, gsoMaxBytes }: VethPair): Buffer {
  const peer = [text(linkAttribute.name, peerName), u32(linkAttribute.mtu, mtuBytes)];
  if (peerMac !== undefined) peer.push(bytes(linkAttribute.address, macBytes(peerMac)));
  if (gsoMaxBytes !== undefined) {
    peer.push(u32(linkAttribute.gsoMaxSize, gsoMaxBytes), u32(linkAttribute.gsoIpv4MaxSize, gsoMaxBytes));
  }
  return encodeLink({}, [
    text(linkAttribute.name, name),
    u32(linkAttribute.mtu, mtuBytes),
    nested(linkAttribute.info, [
      text(linkInfo.kind, 'veth'),
      nested(linkInfo.data, [nested(peerInfo, peer, encodeLink({}, []))]),
    ]),
  ]);
}
