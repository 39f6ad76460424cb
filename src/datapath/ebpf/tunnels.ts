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
import { hasErrno } from '../../netlink/socket.ts';
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

export function createTunnels(netlink: Netlink, attachments: Attachments, program: ProgramFd): Tunnels {
  return {
    open: async (port) => {
      const name = tunnelName(port);
      const existing = await netlink.linkByName(name);
      const problem = existing === null ? null : mismatch(existing, port);
      if (problem !== null) throw overlayError('DEVICE_CONFLICT', { device: name, problem });
      if (existing === null) await create(netlink, port);
      if (existing?.isUp !== true) await setUp(netlink, port, existing === null);
      const device = existing ?? (await netlink.linkByName(name));
      if (device === null) throw overlayError('DEVICE_CONFLICT', { device: name, problem: 'it vanished at once' });
      if (!attachments.isAttached(program, device)) attachments.attach(program, device);
      return device;
    },
    close: async (port) => {
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

async function create(netlink: Netlink, port: number): Promise<void> {
  try {
    await netlink.createTunnel({ name: tunnelName(port), port, mtuBytes: largestMtuBytes });
  } catch (error) {
    if (!hasErrno(error, 'EEXIST', 'EADDRINUSE')) throw error;
    throw await portInUse(netlink, port, error);
  }
}

async function setUp(netlink: Netlink, port: number, isNew: boolean): Promise<void> {
  const name = tunnelName(port);
  try {
    await netlink.setUp(name);
  } catch (error) {
    if (isNew) await netlink.deleteLink(name);
    if (!hasErrno(error, 'EADDRINUSE', 'EEXIST')) throw error;
    throw await portInUse(netlink, port, error);
  }
}

async function portInUse(netlink: Netlink, port: number, cause: unknown) {
  const others = (await netlink.links()).filter(({ name, vxlan }) => vxlan?.port === port && name !== tunnelName(port));
  const holder = others[0] === undefined ? 'a socket of another process' : `vxlan device ${others[0].name}`;
  return overlayError('TUNNEL_PORT_IN_USE', { port, holder }, { cause });
}
