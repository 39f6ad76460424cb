/** What this machine's kernel can do, found out by trying: the choice of data path and load-time settings rest on it. */

import { statfsSync } from 'node:fs';
import { native } from './addon.ts';

/** What the choice of data path and of load-time settings depends on. */
export interface KernelFeatures {
  readonly tcx: boolean;
  readonly redirectPeer: boolean;
  readonly redirectNeigh: boolean;
  readonly ringBuffer: boolean;
  /** Inner maps of one hash-of-maps may differ in length (BPF_F_INNER_MAP). */
  readonly resizableInnerMaps: boolean;
  /** bpf_skb_adjust_room with ENCAP_L2_ETH. */
  readonly encapEthernet: boolean;
  /** bpf_skb_adjust_room with DECAP_L3_IPV4. */
  readonly decapL3: boolean;
  /** bpf_skb_adjust_room with DECAP_L4_UDP. */
  readonly decapL4: boolean;
}

/** Asks by trying; touches no device. @throws EPERM rather than take a missing privilege for a missing feature. */
export function probeKernel(): KernelFeatures {
  return native('probing the kernel', (addon) => ({
    tcx: addon.probeTcx(),
    redirectPeer: addon.probeHelper(helper.redirectPeer),
    redirectNeigh: addon.probeHelper(helper.redirectNeigh),
    ringBuffer: addon.probeMapType(ringBufferType),
    resizableInnerMaps: addon.probeResizableInnerMaps(),
    encapEthernet: addon.probeAdjustRoom(50, room.encapL3Ipv4 | room.encapL4Udp | room.encapL2Ethernet),
    decapL3: addon.probeAdjustRoom(-8, room.decapL3Ipv4),
    decapL4: addon.probeAdjustRoom(-8, room.decapL4Udp),
  }));
}

/** CPUs the kernel may ever bring up: the number of values in a per-CPU map's entry. */
export function possibleCpus(): number {
  return native('counting CPUs', (addon) => addon.possibleCpus());
}

/** Whether a path lies on a mounted bpf file system. @throws ENOENT of node:fs when there is no such path. */
export function isBpfFileSystem(path: string): boolean {
  return statfsSync(path).type === bpfFileSystemMagic;
}

/** BPF_FS_MAGIC of linux/magic.h. */
const bpfFileSystemMagic = 0xcafe_4a11;

/** BPF_FUNC_* and BPF_MAP_TYPE_RINGBUF of linux/bpf.h. */
const helper = { redirectNeigh: 152, redirectPeer: 155 };
const ringBufferType = 27;

/** BPF_F_ADJ_ROOM_* of linux/bpf.h. An inner L2 header of 14 bytes is declared in the top byte. */
const room = {
  encapL3Ipv4: 1n << 1n,
  encapL4Udp: 1n << 4n,
  encapL2Ethernet: (1n << 6n) | (14n << 56n),
  decapL3Ipv4: 1n << 7n,
  decapL4Udp: 1n << 9n,
};
