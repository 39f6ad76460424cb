/**
 * Which addresses of this node the tunnel ends at: one of each family at most. `auto` takes what the kernel itself
 * would send from towards the rest of the network (the default route's source, of each family that has one), else the
 * only global address there is; a device or addresses name them. An address must be on a device here, or peers would
 * send where nobody listens.
 *
 * `chooseVtep` is pure: the same choice on the same host gives the same answer, whenever it is asked.
 */

import { type Address, type Family, parseAddress } from '../core/address.ts';
import { addressesOf, type VtepChoice, vtepOf } from '../core/vtep.ts';
import { isOverlayError, overlayError } from '../errors.ts';
import type { LinkAddress } from '../netlink/address.ts';
import type { Link } from '../netlink/link.ts';
import type { Netlink } from '../netlink/netlink.ts';

export interface LocalVtep {
  /** IPv4 first. */
  readonly addresses: readonly [Address, ...Address[]];
  /** Names of the devices that have them. */
  readonly devices: readonly string[];
  /** The smallest of these devices. */
  readonly mtuBytes: number;
}

/** What the choice depends on. */
export interface HostNetwork {
  readonly links: readonly Link[];
  readonly addresses: readonly LinkAddress[];
  /** The source address of the default route, of each family that has one. */
  readonly sources: readonly Address[];
}

const families: readonly Family[] = ['ipv4', 'ipv6'];
/** Any address beyond the node will do to ask for the default route (RFC 5737 §3, RFC 3849). */
const elsewhere: Readonly<Record<Family, Address>> = {
  ipv4: parseAddress('192.0.2.1'),
  ipv6: parseAddress('2001:db8::1'),
};

/** @throws NETLINK_FAILED */
export async function readHostNetwork(netlink: Netlink): Promise<HostNetwork> {
  const [links, addresses] = [await netlink.links(), await netlink.addresses()];
  const sources = await Promise.all(families.map((family) => defaultSource(netlink, family)));
  return { links, addresses, sources: sources.filter((source) => source !== null) };
}

/** @throws VTEP_ADDRESS_UNKNOWN */
export function chooseVtep(choice: VtepChoice, host: HostNetwork): LocalVtep {
  const candidates = host.addresses.filter(({ scope }) => scope === 'global');
  const unknown = (address: string) => {
    const known = candidates.map((each) => each.address).join(', ') || '(none)';
    return overlayError('VTEP_ADDRESS_UNKNOWN', { address, known });
  };
  const [first, ...others] = wantedAddresses(choice, candidates, host);
  if (first === undefined) throw unknown(choice.kind === 'device' ? `of device ${choice.device}` : 'auto');
  const addresses = addressesOf(vtepOf([first, ...others], 0));
  const links = addresses.map((address) => {
    const ifindex = candidates.find((each) => each.address === address)?.ifindex;
    const link = host.links.find(({ index }) => index === ifindex);
    if (link === undefined) throw unknown(address);
    return link;
  });
  return {
    addresses: addresses as LocalVtep['addresses'],
    devices: [...new Set(links.map(({ name }) => name))],
    mtuBytes: Math.min(...links.map(({ mtuBytes }) => mtuBytes)),
  };
}

function wantedAddresses(choice: VtepChoice, candidates: readonly LinkAddress[], host: HostNetwork): Address[] {
  if (choice.kind === 'addresses') return [...choice.addresses];
  if (choice.kind === 'device') {
    const index = host.links.find(({ name }) => name === choice.device)?.index;
    const onDevice = candidates.filter(({ ifindex }) => ifindex === index);
    return families.flatMap((family) => lasting(onDevice.filter((each) => each.family === family)) ?? []);
  }
  const found = families.flatMap((family) => {
    const own = candidates.filter((each) => each.family === family);
    return ofDefaultRoute(own, host.sources) ?? (family === 'ipv4' ? onlyOne(own) : null) ?? [];
  });
  // An IPv6 address by itself says little: bridges and containers' networks have some as well.
  return found.length > 0 ? found : [onlyOne(candidates) ?? []].flat();
}

/** A temporary source address stands for a lasting one of its device: peers are told once. */
function ofDefaultRoute(candidates: readonly LinkAddress[], sources: readonly Address[]): Address | null {
  const source = candidates.find(({ address }) => sources.includes(address));
  if (source?.isTemporary !== true) return source?.address ?? null;
  return lasting([...candidates.filter(({ ifindex }) => ifindex === source.ifindex), source]);
}

function lasting(candidates: readonly LinkAddress[]): Address | null {
  return (candidates.find(({ isTemporary }) => !isTemporary) ?? candidates[0])?.address ?? null;
}

function onlyOne(candidates: readonly LinkAddress[]): Address | null {
  return candidates.length === 1 ? (candidates[0]?.address ?? null) : null;
}

/** Null where there is no default route. */
async function defaultSource(netlink: Netlink, family: Family): Promise<Address | null> {
  try {
    return (await netlink.routeTo(elsewhere[family])).source;
  } catch (error) {
    if (!isOverlayError(error, 'NETLINK_FAILED')) throw error;
    return null;
  }
}
