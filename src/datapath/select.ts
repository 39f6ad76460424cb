/**
 * Which data path carries this node's packets, and why. The kernel is asked by trying, never by its version: features are
 * back-ported, and forbidden by lockdown or a container's limits.
 *
 *      auto ──▶ all features there? ──yes──▶ eBPF
 *                      │ no, or not allowed to ask
 *                      └──────────────────▶ bridge, with the reason
 *
 * A namespace has one data path: what the other left is taken away first. Containers keep their interfaces; what they send
 * is lost from then until the tables are full again.
 */

import { isOverlayError, messageOf, overlayError } from '../errors.ts';
import { errnoOf } from '../native/binding.ts';
import { type KernelFeatures, probeKernel } from '../native/probe.ts';
import type { DataPath } from '../ports/data-path.ts';
import { openBridgeDataPath } from './bridge/data-path.ts';
import { releaseBridgeDataPath } from './bridge/remove.ts';
import { type EbpfOptions, openEbpfDataPath } from './ebpf/data-path.ts';
import { releaseEbpfDataPath } from './ebpf/remove.ts';

export type DataPathKind = 'auto' | 'ebpf' | 'bridge';

/**
 * Opens the data path that was asked for, or the best there is; `reason` of the result says why.
 * @throws PRIVILEGE_MISSING, KERNEL_FEATURE_MISSING, CONFIG_INVALID, and what opening throws
 */
export async function chooseDataPath(kind: DataPathKind, options: EbpfOptions): Promise<DataPath> {
  if (kind === 'bridge') return openBridge(options, 'bridge and vxlan device, as asked for');
  try {
    const features = options.features ?? probe();
    requireFeatures(features);
    return await openEbpf({ ...options, features });
  } catch (error) {
    if (kind === 'ebpf' || !isOverlayError(error, 'PRIVILEGE_MISSING', 'KERNEL_FEATURE_MISSING')) throw error;
    return openBridge(options, `bridge and vxlan device, not eBPF: ${messageOf(error)}`);
  }
}

async function openEbpf(options: EbpfOptions): Promise<DataPath> {
  await releaseBridgeDataPath(options.netlink);
  return openEbpfDataPath(options);
}

async function openBridge({ bpfDir, netlink, ...options }: EbpfOptions, because: string): Promise<DataPath> {
  await releaseEbpfDataPath(bpfDir, netlink);
  return openBridgeDataPath({ ...options, netlink, because });
}
/** @throws PRIVILEGE_MISSING */
function probe(): KernelFeatures {
  try {
    return probeKernel();
  } catch (error) {
    if (!isOverlayError(error, 'BPF_FAILED')) throw error;
    const errno = errnoOf(error);
    if (errno !== 'EPERM' && errno !== 'EACCES') throw error;
    throw overlayError('PRIVILEGE_MISSING', { privilege: 'the right to load eBPF programs' }, { cause: error });
  }
}

/** tcx and DECAP_L4_UDP are used where they are, and done without where they are not. */
const required = {
  redirectPeer: 'redirect into a container (bpf_redirect_peer)',
  redirectNeigh: 'redirect to a next hop (bpf_redirect_neigh)',
  ringBuffer: 'BPF ring buffers',
  resizableInnerMaps: 'arrays of different length in a BPF map of maps',
  encapEthernet: 'encapsulation of Ethernet frames by bpf_skb_adjust_room',
  decapL3: 'decapsulation by bpf_skb_adjust_room (BPF_F_ADJ_ROOM_DECAP_L3)',
} as const;

/** @throws KERNEL_FEATURE_MISSING naming all that is missing */
export function requireFeatures(features: KernelFeatures): void {
  const missing = Object.entries(required).filter(([name]) => features[name as keyof typeof required] === false);
  if (missing.length === 0) return;
  const feature = missing.map(([, words]) => words).join(', ');
  throw overlayError('KERNEL_FEATURE_MISSING', { feature, remedy: 'run Linux 6.3 or newer, 6.6 for the fastest path' });
}
