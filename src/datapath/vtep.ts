/**
 * Which address of this node the tunnel ends at. `auto` takes the address the kernel itself would send from towards
 * the rest of the network (the default route's), else the only global address there is; a device or an address names
 * it. The address must be on a device here, or peers would send where nobody listens.
 */

import { type Address, familyOf, parseAddress } from '../core/address.ts';
import { isOverlayError, overlayError } from '../errors.ts';
import type { Link } from '../netlink/link.ts';
import type { Netlink } from '../netlink/netlink.ts';

export interface LocalVtep {
  readonly address: Address;
  readonly device: string;
  readonly mtuBytes: number;
}

/** Any address beyond the node will do to ask for the default route (RFC 5737 §3). */
const elsewhere = parseAddress('192.0.2.1');

/** @throws VTEP_ADDRESS_UNKNOWN */
export async function chooseVtep(setting: string, netlink: Netlink): Promise<LocalVtep> {
  const links = await netlink.links();
  const addresses = (await netlink.addresses()).filter(({ scope, family }) => scope === 'global' && family === 'ipv4');
  const at = (wanted: Address | undefined): LocalVtep => {
    const found = addresses.find(({ address }) => address === wanted);
    const link: Link | undefined = links.find(({ index }) => index === found?.ifindex);
    if (found === undefined || link === undefined) {
      const known = addresses.map(({ address }) => address).join(', ') || '(none)';
      throw overlayError('VTEP_ADDRESS_UNKNOWN', { address: wanted ?? setting, known });
    }
    return { address: found.address, device: link.name, mtuBytes: link.mtuBytes };
  };
  const device = links.find(({ name }) => name === setting);
  if (setting === 'auto') return at((await defaultSource(netlink)) ?? onlyOne(addresses.map(({ address }) => address)));
  if (device !== undefined) return at(addresses.find(({ ifindex }) => ifindex === device.index)?.address);
  return at(requireIpv4(setting));
}

function requireIpv4(setting: string): Address {
  try {
    const address = parseAddress(setting);
    if (familyOf(address) === 'ipv4') return address;
  } catch (error) {
    if (!isOverlayError(error, 'ADDRESS_INVALID')) throw error;
    throw overlayError('VTEP_ADDRESS_UNKNOWN', {
      address: setting,
      known: 'device names and IPv4 addresses of this node',
    });
  }
  throw overlayError('CONFIG_INVALID', {
    setting: '--vtep',
    problem: `${setting} is an IPv6 address and this version tunnels over IPv4`,
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
