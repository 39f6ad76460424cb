/**
 * A vxlan link of one VNI that is told everything and still learns: an entry that was put there binds a MAC to its VTEP,
 * and the kernel drops frames of that MAC from any other; a MAC it was not told of is let in, noted and announced. ARP
 * and ND are answered from the link's neighbours; what has none is announced and goes no further.
 *
 * Several such links share one UDP port, one family each; a link that speaks of another kind keeps them off it.
 * Sources: linux/if_link.h IFLA_VXLAN_*; drivers/net/vxlan/vxlan_core.c `vxlan_snoop`, `arp_reduce`, `neigh_reduce`.
 */

import { type Address, addressBytes } from '../core/address.ts';
import type { Vni } from '../core/vni.ts';
import { bytes, u8, u32 } from './attributes.ts';
import { vxlanAttribute } from './link.ts';
import type { NetlinkSocket, RequestOptions } from './socket.ts';
import { createVxlan, encodeVxlan } from './vxlan.ts';

export type NetworkTunnel = {
  readonly name: string;
  /** 0 is as good as any here. */
  readonly vni: Vni | 0;
  /** The address it sends from, whose family is that of all VTEPs it can have. */
  readonly local: Address;
  /** UDP port, of this node and of those it sends to by default. */
  readonly port: number;
  /** Of the frames inside, without their Ethernet header. */
  readonly mtuBytes: number;
};

/**
 * Creates the link, down. All or nothing.
 * @throws NETLINK_FAILED with errno EEXIST when the name, or the VNI on this port, is taken. Whether the port is free
 *   shows when it is set up: then errno is EADDRINUSE.
 */
export async function createNetworkTunnel(socket: NetlinkSocket, tunnel: NetworkTunnel, options?: RequestOptions) {
  const from = addressBytes(tunnel.local);
  const own = [
    u32(vxlanAttribute.id, tunnel.vni),
    bytes(from.length === 4 ? vxlanAttribute.local : vxlanAttribute.local6, from),
    u8(vxlanAttribute.learning, 1),
    u8(vxlanAttribute.proxy, 1),
    u8(vxlanAttribute.l3Miss, 1),
  ];
  await createVxlan(socket, tunnel, encodeVxlan(tunnel, own), options);
}
