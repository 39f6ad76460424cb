/**
 * Key layout of the cluster's tables. All lower case [a-z0-9/_-], the only charset every Consul accepts; hashes stand
 * for names and subnets. Every watched prefix has an anchor key `_`, so that "empty" can be told from "wiped" or
 * "not allowed to read".
 *
 *   n/_                      anchor of the nodes
 *   n/<node>                 a node; locked by its daemon's lease
 *   net/<network>            an overlay network and who has it
 *   vni/<8 digits>           which network a VNI belongs to
 *   s/<network>/_            anchor of a network's stamps
 *   s/<network>/<node>       stamp: VTEP and version of the node's membership record; the only prefix watched per network
 *   d/<network>/<node>       membership record: the node's endpoints in the network
 *   ns/<name space>          subnets in one name space, to refuse overlaps
 *   p/<pool>                 a pool: subnet, gateway, who holds it
 *   a/<pool>/<address hex>   claim of an address
 *   m/<network>/<mac hex>    claim of a MAC address
 */

import type { Address, Subnet } from './address.ts';
import { addressBytes, addressFromBytes } from './address.ts';
import type { NetworkKey, NodeId } from './identity.ts';
import { hash64 } from './identity.ts';
import type { MacAddress } from './mac.ts';
import type { Vni } from './vni.ts';

export const nodesPrefix = 'n/';
export const anchorName = '_';

export const nodeKey = (node: NodeId): string => `n/${node}`;
export const networksPrefix = 'net/';
export const recordKey = (network: NetworkKey): string => `net/${network}`;
export const vniKey = (vni: Vni): string => `vni/${String(vni).padStart(8, '0')}`;
export const stampsPrefix = (network: NetworkKey): string => `s/${network}/`;
export const stampKey = (network: NetworkKey, node: NodeId): string => `s/${network}/${node}`;
export const membershipKey = (network: NetworkKey, node: NodeId): string => `d/${network}/${node}`;
export const nameSpaceKey = (name: string): string => `ns/${hashed(name)}`;
export const poolKey = (name: string, subnet: Subnet): string => `p/${hashed(`${name}|${subnet}`)}`;
export const claimsPrefix = (name: string, subnet: Subnet): string => `a/${hashed(`${name}|${subnet}`)}/`;
export const addressKey = (name: string, subnet: Subnet, address: Address): string =>
  `${claimsPrefix(name, subnet)}${hex(addressBytes(address))}`;
export const macsPrefix = (network: NetworkKey): string => `m/${network}/`;
export const macKey = (network: NetworkKey, mac: MacAddress): string =>
  `${macsPrefix(network)}${mac.replaceAll(':', '')}`;
export const anchorKey = (prefix: string): string => `${prefix}${anchorName}`;

/** The inverse of `addressKey`. */
export const addressOfKey = (key: string): Address =>
  addressFromBytes(Uint8Array.from(lastPart(key).match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)));

/** The last part of a key. */
export const lastPart = (key: string): string => key.slice(key.lastIndexOf('/') + 1);

function hashed(text: string): string {
  return hash64(text).toString(16).padStart(16, '0');
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
