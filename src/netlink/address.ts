/** Addresses of this namespace's links. Source: linux/if_addr.h, linux/rtnetlink.h `enum rt_scope_t`. */

import { type Address, addressFromBytes, type Family, familyOf } from '../core/address.ts';
import { decodeAttributes, readBytes, readU32 } from './attributes.ts';
import type { NetlinkMessage, NetlinkSocket, RequestOptions } from './socket.ts';

export type LinkAddress = {
  readonly ifindex: number;
  readonly address: Address;
  /** Prefix length in bits. */
  readonly prefix: number;
  readonly family: Family;
  readonly scope: 'global' | 'site' | 'link' | 'host' | 'other';
  /** IPv6 only: a privacy address (RFC 8981), or one that is on its way out or a duplicate. */
  readonly isTemporary: boolean;
};

/** Specification: linux/rtnetlink.h, linux/if_addr.h. */
export const addressMessage = { new: 20, delete: 21, get: 22 } as const;
const attribute = { address: 1, local: 2, flags: 8 } as const;
/** IFA_F_TEMPORARY (of IPv4 it means secondary), IFA_F_DADFAILED, IFA_F_DEPRECATED. */
const temporaryFlags = 0x01 | 0x08 | 0x20;
const scopes: Readonly<Record<number, LinkAddress['scope']>> = { 0: 'global', 200: 'site', 253: 'link', 254: 'host' };
const headBytes = 8;

/** Every IPv4 and IPv6 address. @throws NETLINK_FAILED */
export async function listAddresses(socket: NetlinkSocket, options?: RequestOptions): Promise<readonly LinkAddress[]> {
  const request = { name: 'list addresses', type: addressMessage.get, payload: Buffer.alloc(headBytes) };
  const messages = await socket.dump(request, options);
  return messages.map(decodeLinkAddress).filter((address) => address !== null);
}

/** Null for another address family. */
export function decodeLinkAddress({ payload }: NetlinkMessage): LinkAddress | null {
  const attributes = decodeAttributes(payload.subarray(headBytes));
  // On a point-to-point link IFA_ADDRESS is the other side's; the own one is IFA_LOCAL, absent for most of IPv6.
  const bytes = readBytes(attributes, attribute.local) ?? readBytes(attributes, attribute.address);
  if (bytes === null || (bytes.length !== 4 && bytes.length !== 16)) return null;
  const address = addressFromBytes(bytes);
  const family = familyOf(address);
  const flags = readU32(attributes, attribute.flags) ?? payload.readUInt8(2);
  return {
    ifindex: payload.readInt32LE(4),
    address,
    prefix: payload.readUInt8(1),
    family,
    scope: scopes[payload.readUInt8(3)] ?? 'other',
    isTemporary: family === 'ipv6' && (flags & temporaryFlags) !== 0,
  };
}
