/**
 * The collect-metadata vxlan device of each UDP port that VTEPs use. Up, it holds the port's socket, which is what gives
 * tunnel GRO and path MTU learning, and it carries what the fast path declines. A device speaks one destination port,
 * so a VTEP on another port than ours has a device of its own.
 */

import { largestMtuBytes } from '../../core/mtu.ts';
import { overlayError } from '../../errors.ts';
import type { ProgramFd } from '../../native/binding.ts';
import type { Link } from '../../netlink/link.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import { holdingPort } from '../tunnel-port.ts';
import type { Attachments, Device } from './attachments.ts';
import { tunnelName } from './names.ts';

export interface Tunnels {
  /**
   * The device of a port: adopted or made, up, with the program attached. Idempotent.
   * @throws DEVICE_CONFLICT, TUNNEL_PORT_IN_USE, NETLINK_FAILED, BPF_FAILED
   */
  open(port: number): Promise<Device>;
  /** Deletes the device of a port, if it is ours. Idempotent. */
  close(port: number): Promise<void>;
}

interface TunnelSurroundings {
  readonly netlink: Netlink;
  readonly attachments: Attachments;
  readonly program: ProgramFd;
  /** Called when a device that was open is not there, or down. */
  onRepair(): void;
}

export function createTunnels({ netlink, attachments, program, onRepair }: TunnelSurroundings): Tunnels {
  const opened = new Set<number>();
  return {
    open: async (port) => {
      const existing = await netlink.linkByName(tunnelName(port));
      const isLost = opened.has(port) && existing?.isUp !== true;
      const device = existing === null ? await create(netlink, port) : await adopt(netlink, port, existing);
      if (!attachments.isAttached(program, device)) attachments.attach(program, device);
      opened.add(port);
      if (isLost) onRepair();
      return device;
    },
    close: async (port) => {
      opened.delete(port);
      const name = tunnelName(port);
      const existing = await netlink.linkByName(name);
      if (existing !== null && mismatch(existing, port) === null) await netlink.deleteLink(name);
      attachments.detach({ name, index: null });
    },
  };
}

/** What makes a device of our name not ours. */
function mismatch({ kind, vxlan }: Link, port: number): string | null {
  if (vxlan === null) return `it is of kind ${kind ?? 'physical'}, not vxlan`;
  if (!vxlan.collectMetadata) return `it has VNI ${vxlan.id} of its own`;
  return vxlan.port === port ? null : `it has UDP port ${vxlan.port}`;
}

async function adopt(netlink: Netlink, port: number, existing: Link): Promise<Link> {
  const problem = mismatch(existing, port);
  if (problem !== null) throw overlayError('DEVICE_CONFLICT', { device: existing.name, problem });
  if (!existing.isUp) await holding(netlink, port, () => netlink.setUp(existing.name));
  return existing;
}

/** All or nothing. */
async function create(netlink: Netlink, port: number): Promise<Link> {
  const name = tunnelName(port);
  await holding(netlink, port, () => netlink.createTunnel({ name, port, mtuBytes: largestMtuBytes }));
  try {
    await holding(netlink, port, () => netlink.setUp(name));
  } catch (error) {
    await netlink.deleteLink(name);
    throw error;
  }
  const created = await netlink.linkByName(name);
  if (created === null) throw overlayError('DEVICE_CONFLICT', { device: name, problem: 'it vanished at once' });
  return created;
}

function holding(netlink: Netlink, port: number, task: () => Promise<void>): Promise<void> {
  return holdingPort(netlink, port, ({ name }) => name === tunnelName(port), task);
}
