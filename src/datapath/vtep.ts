/**
 * Which address of this node the tunnel ends at. `auto` takes the address the kernel itself would send from towards
 * the rest of the network (the default route's), else the only global address there is; a device or an address names
 * it. The address must be on a device here, or peers would send where nobody listens.
 */

import { type Address, familyOf, parseAddress } from '../core/address.ts';
import { isOverlayError, overlayError } from '../errors.ts';
import type { Netlink } from '../netlink/netlink.ts';

export type VtepChoice =
  | { readonly kind: 'auto' }
  | { readonly kind: 'address'; readonly address: Address }
  | { readonly kind: 'device'; readonly device: string };

export interface LocalVtep {
  readonly address: Address;
  readonly device: string;
  readonly mtuBytes: number;
}

/** Any address beyond the node will do to ask for the default route (RFC 5737 §3). */
const elsewhere = parseAddress('192.0.2.1');

/** @throws VTEP_ADDRESS_UNKNOWN; CONFIG_INVALID for an IPv6 address, over which this version does not tunnel */
export async function chooseVtep(choice: VtepChoice, netlink: Netlink): Promise<LocalVtep> {
  const links = await netlink.links();
  const addresses = (await netlink.addresses()).filter(({ scope, family }) => scope === 'global' && family === 'ipv4');
  const wanted = await wantedAddress();
  const found = addresses.find(({ address }) => address === wanted);
  const link = links.find(({ index }) => index === found?.ifindex);
  if (found === undefined || link === undefined) {
    const known = addresses.map(({ address }) => address).join(', ') || '(none)';
    throw overlayError('VTEP_ADDRESS_UNKNOWN', { address: wanted ?? described(choice), known });
  }
  return { address: found.address, device: link.name, mtuBytes: link.mtuBytes };

  async function wantedAddress(): Promise<Address | undefined> {
    if (choice.kind === 'address') return requireIpv4(choice.address);
    if (choice.kind === 'auto')
      return (await defaultSource(netlink)) ?? onlyOne(addresses.map(({ address }) => address));
    const device = links.find(({ name }) => name === choice.device);
    return addresses.find(({ ifindex }) => ifindex === device?.index)?.address;
  }
}

function described(choice: VtepChoice): string {
  return choice.kind === 'device' ? `of device ${choice.device}` : 'auto';
}

function requireIpv4(address: Address): Address {
  if (familyOf(address) === 'ipv4') return address;
  throw overlayError('CONFIG_INVALID', {
    setting: '--vtep',
    problem: `${address} is an IPv6 address and this version tunnels over IPv4`,
    remedy: 'give an IPv4 address of this node',
  });
}

async function defaultSource(netlink: Netlink): Promise<Address | undefined> {
  try {
    return (await netlink.routeTo(elsewhere)).source;
  } catch (error) {
    if (!isOverlayError(error, 'NETLINK_FAILED')) throw error;
    return undefined;
  }
}

function onlyOne(addresses: readonly Address[]): Address | undefined {
  return addresses.length === 1 ? addresses[0] : undefined;
}
