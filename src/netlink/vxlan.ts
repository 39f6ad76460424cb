/**
 * The tunnel device: one vxlan link without an identifier of its own ("collect metadata"), whose packets carry VNI and
 * VTEP beside them. Set up, it holds the UDP port for IPv4 and IPv6, which is what gives tunnel GRO, NIC offload and
 * path MTU learning.
 * Sources: linux/if_link.h IFLA_VXLAN_*; drivers/net/vxlan `vxlan_newlink`, `vxlan_open`.
 */

import { type EncodedAttribute, nested, text, u8, u16Be, u32 } from './attributes.ts';
import { encodeLink, linkAttribute, linkInfo, linkMessage, silence, vxlanAttribute } from './link.ts';
import { createFlags, type NetlinkSocket, type RequestOptions } from './socket.ts';

export type Tunnel = {
  readonly name: string;
  /** UDP port, of this node and of those it sends to by default. */
  readonly port: number;
  /** The kernel's 1500 when absent; what is larger is refused at the device, whatever the path allows. */
  readonly mtuBytes?: number;
};

/**
 * Creates the device, down, without learning and without UDP checksums. All or nothing.
 * @throws NETLINK_FAILED with errno EEXIST when the name is taken, or another such device has the port. Whether the
 *   port is free shows when it is set up: then errno is EADDRINUSE.
 */
export async function createTunnel(socket: NetlinkSocket, tunnel: Tunnel, options?: RequestOptions): Promise<void> {
  await createVxlan(socket, tunnel, encodeTunnel(tunnel), options);
}

export function encodeTunnel(tunnel: Tunnel): Buffer {
  return encodeVxlan(tunnel, [u8(vxlanAttribute.collectMetadata, 1), u8(vxlanAttribute.learning, 0)]);
}

/** Of either kind: makes the link, which then says nothing of its own. */
export async function createVxlan(
  socket: NetlinkSocket,
  { name, port }: Tunnel,
  payload: Buffer,
  options?: RequestOptions,
): Promise<void> {
  const flags = createFlags.create | createFlags.exclusive;
  const request = { name: `create tunnel ${name} on port ${port}`, type: linkMessage.new, flags };
  await socket.request({ ...request, payload }, options);
  await silence(socket, name, options);
}

/** A vxlan link without UDP checksums; `own`: the attributes of its kind. */
export function encodeVxlan({ name, port, mtuBytes }: Tunnel, own: readonly EncodedAttribute[]): Buffer {
  const data = [
    ...own,
    u8(vxlanAttribute.udpChecksum, 0),
    u8(vxlanAttribute.zeroChecksum6Tx, 1),
    u8(vxlanAttribute.zeroChecksum6Rx, 1),
    u16Be(vxlanAttribute.port, port),
  ];
  return encodeLink({}, [
    text(linkAttribute.name, name),
    ...(mtuBytes === undefined ? [] : [u32(linkAttribute.mtu, mtuBytes)]),
    nested(linkAttribute.info, [text(linkInfo.kind, 'vxlan'), nested(linkInfo.data, data)]),
  ]);
}
