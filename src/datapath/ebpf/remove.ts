/**
 * The inverse of opening and of every change made since: interfaces, tunnel devices, rules and pins, found by their
 * names. The tables go with their last pin. Traffic ends.
 */

import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { EndpointId } from '../../core/identity.ts';
import type { Link } from '../../netlink/link.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import { interfacesOf, stemOf } from '../interfaces.ts';
import { createAttachments } from './attachments.ts';
import { removeGate } from './gate.ts';
import { directoriesOf, formerSchema, headroomBridge, schema, tunnelPort } from './names.ts';

/**
 * Idempotent. No process may have the data path open. In the network namespace of this process every device with a
 * name of ours goes, whichever directory it belongs to: a namespace has one data path.
 * @throws NETLINK_FAILED, or an error of node:fs
 */
export async function removeEbpfDataPath(bpfDir: string, netlink: Netlink): Promise<void> {
  const { endpoints, links } = directoriesOf(bpfDir);
  const recorded = namesIn(endpoints).map((id) => interfacesOf(id as EndpointId).hostInterface);
  const ports = new Set(recorded);
  const filters = createAttachments('clsact', links);
  for (const device of await netlink.links()) {
    if (isOurs(device, ports)) await netlink.deleteLink(device.name);
    else filters.detach(device);
  }
  await removeGate(netlink);
  removePins(bpfDir);
}

/**
 * Leaves containers their interfaces, for another data path to take over. Idempotent. No process may have the data path
 * open. @throws NETLINK_FAILED, BPF_FAILED, or an error of node:fs
 */
export async function releaseEbpfDataPath(bpfDir: string, netlink: Netlink): Promise<void> {
  const { links } = directoriesOf(bpfDir);
  const devices = await netlink.links();
  const hadPins = [schema, formerSchema].some((version) => existsSync(directoriesOf(bpfDir, version).root));
  if (!hadPins && !devices.some(isBelow)) return;
  const filters = createAttachments('clsact', links);
  for (const device of devices) {
    if (isBelow(device)) await netlink.deleteLink(device.name);
    else filters.detach(device);
  }
  await removeGate(netlink);
  removePins(bpfDir);
}

/** Programs and tables alone; devices stay. Idempotent. */
export function removePins(bpfDir: string): void {
  for (const version of [schema, formerSchema]) rmSyncTree(directoriesOf(bpfDir, version).root);
  if (existsSync(bpfDir) && readdirSync(bpfDir).length === 0) rmdirSync(bpfDir);
}

function isOurs(link: Link, ports: ReadonlySet<string>): boolean {
  const { name, kind } = link;
  return kind === 'veth' ? stemOf(name) !== null || ports.has(name) : isBelow(link);
}

/** What carries no endpoint: the tunnel devices, and the bridge that carries nothing. */
function isBelow({ name, kind, vxlan }: Link): boolean {
  if (kind === 'bridge') return name === headroomBridge;
  return vxlan?.collectMetadata === true && vxlan.port === tunnelPort(name);
}

function namesIn(directory: string): readonly string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

function rmSyncTree(root: string): void {
  for (const directory of namesIn(root)) rmSync(join(root, directory), { recursive: true, force: true });
  if (existsSync(root)) rmdirSync(root);
}
