/**
 * The veth pair of an endpoint, alike on every data path, so that a container keeps its interface when the node changes
 * from one to another. The name says whose it is:
 *
 *   wh<12 digits>  wc<12 digits>   host's and container's end
 */

import type { ForwardingEntry } from '../core/forwarding.ts';
import type { EndpointId } from '../core/identity.ts';
import { overlayError } from '../errors.ts';
import type { Link } from '../netlink/link.ts';
import type { Netlink } from '../netlink/netlink.ts';
import { hasErrno } from '../netlink/socket.ts';
import type { PortInterfaces } from '../ports/data-path.ts';

type PortEntry = Extract<ForwardingEntry, { table: 'port' }>;

/** Implementation: an outer packet of 65,535 bytes holds no larger inner one. */
const gsoMaxBytes = 65_000;

/** Interface names hold 15 characters, an id 64: its first 48 bits tell the endpoints of one node apart. */
export function interfacesOf(endpoint: EndpointId): PortInterfaces {
  const stem = endpoint.slice(0, 12);
  return { hostInterface: `wh${stem}`, containerInterface: `wc${stem}` };
}

/** The id as far as the name holds it; null for a name that is not of this form. */
export function stemOf(hostInterface: string): string | null {
  return /^wh([0-9a-f]{12})$/.exec(hostInterface)?.[1] ?? null;
}

/**
 * New ones, which is the ordinary case, or those that there are.
 * @returns the host's end, and whether the pair was made; @throws DEVICE_CONFLICT, NETLINK_FAILED
 */
export async function ensureInterfaces(netlink: Netlink, entry: PortEntry): Promise<{ device: Link; isNew: boolean }> {
  const { mac, mtuBytes } = entry;
  const { hostInterface, containerInterface } = interfacesOf(entry.endpoint);
  try {
    const pair = { name: hostInterface, peerName: containerInterface, peerMac: mac, mtuBytes, gsoMaxBytes };
    await netlink.createVethPair(pair);
  } catch (error) {
    if (!hasErrno(error, 'EEXIST')) throw error;
    return { device: await adoptInterfaces(netlink, entry), isNew: false };
  }
  const created = await netlink.linkByName(hostInterface);
  if (created === null) throw conflict(hostInterface, 'it vanished at once');
  return { device: created, isNew: true };
}

async function adoptInterfaces(netlink: Netlink, entry: PortEntry): Promise<Link> {
  const { hostInterface, containerInterface } = interfacesOf(entry.endpoint);
  const existing = await netlink.linkByName(hostInterface);
  if (existing === null) throw conflict(containerInterface, `its other end is not ${hostInterface}`);
  if (existing.kind !== 'veth') throw conflict(hostInterface, `it is of kind ${existing.kind ?? 'physical'}, not veth`);
  if (existing.mtuBytes !== entry.mtuBytes) await netlink.setMtu(hostInterface, entry.mtuBytes);
  await adjustContainerEnd(netlink, entry);
  return existing;
}

/** The container's end, while it is still here; in a sandbox it is Docker's. */
async function adjustContainerEnd(netlink: Netlink, { endpoint, mac, mtuBytes }: PortEntry): Promise<void> {
  const { containerInterface } = interfacesOf(endpoint);
  const end = await netlink.linkByName(containerInterface);
  if (end === null) return;
  if (end.mac !== mac) await netlink.setMac(containerInterface, mac);
  if (end.mtuBytes !== mtuBytes) await netlink.setMtu(containerInterface, mtuBytes);
}

function conflict(device: string, problem: string) {
  return overlayError('DEVICE_CONFLICT', { device, problem });
}
