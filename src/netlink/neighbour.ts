/**
 * Neighbours, and the forwarding databases of bridges and vxlan links, which the kernel keeps under the same messages.
 *
 *      table 'bridge'   MAC → the port it is behind            `ifindex` is the port
 *      table 'vxlan'    MAC → VTEPs; of a group MAC and of zero, which stands for all others, several
 *      table 'address'  address → MAC
 *
 * A row that `isLasting` was put there and stays; others the kernel made by itself.
 * Sources: linux/neighbour.h; net/core/rtnetlink.c `rtnl_fdb_add`; drivers/net/vxlan/vxlan_core.c, net/bridge/br_fdb.c.
 */

import { type Address, addressBytes, addressFromBytes } from '../core/address.ts';
import {
  type Attributes,
  bytes,
  decodeAttributes,
  type EncodedAttribute,
  encodeAttributes,
  readBytes,
  readU16Be,
  u16Be,
} from './attributes.ts';
import { createFlags, hasErrno, type NetlinkMessage, type NetlinkSocket, type RequestOptions } from './socket.ts';

/** Six lower-case pairs joined by colons: a forwarding database also holds group addresses and all zeros. */
export type MacText = string;

/** All MACs that have no row, and all group addresses. */
export const zeroMac: MacText = '00:00:00:00:00:00';

export type NeighbourRow =
  | { readonly table: 'bridge'; readonly ifindex: number; readonly mac: MacText; readonly isLasting: boolean }
  | {
      readonly table: 'vxlan';
      readonly ifindex: number;
      readonly mac: MacText;
      readonly isLasting: boolean;
      /** 0.0.0.0 or :: for a MAC of this side. */
      readonly vtep: Address;
      /** Null: the link's own. */
      readonly port: number | null;
    }
  | {
      readonly table: 'address';
      readonly ifindex: number;
      readonly mac: MacText | null;
      readonly isLasting: boolean;
      readonly address: Address;
    };

/** Specification: linux/rtnetlink.h, linux/neighbour.h. */
export const neighbourMessage = { new: 28, delete: 29, get: 30 } as const;
const attribute = { destination: 1, mac: 2, port: 6, master: 9 } as const;
const state = { noArp: 64, permanent: 128 } as const;
const flag = { self: 2, master: 4, sticky: 64 } as const;
const family = { unspecified: 0, ipv4: 2, bridge: 7, ipv6: 10 } as const;
const append = 0x800;
const headBytes = 12;

/**
 * All rows of both forwarding databases and of all neighbours. The bridge's rows of its ports' own addresses, and what
 * other kinds of link keep, are left out. @throws NETLINK_FAILED
 */
export async function listNeighbourRows(
  socket: NetlinkSocket,
  options?: RequestOptions,
): Promise<readonly NeighbourRow[]> {
  const get = neighbourMessage.get;
  const fdb = { name: 'list forwarding databases', type: get, payload: encodeHead(family.bridge, 0, 0, 0) };
  const addresses = { name: 'list neighbours', type: get, payload: encodeHead(family.unspecified, 0, 0, 0) };
  const messages = [...(await socket.dump(fdb, options)), ...(await socket.dump(addresses, options))];
  return messages.map(decodeNeighbourRow).filter((row) => row !== null);
}

/**
 * Puts a lasting row. A MAC moves there from another port of the bridge, or another VTEP; a VTEP of a list joins those
 * there. Idempotent. @throws NETLINK_FAILED
 */
export async function putNeighbourRow(
  socket: NetlinkSocket,
  row: NeighbourRow,
  options?: RequestOptions,
): Promise<void> {
  const joins = row.table === 'vxlan' && isListed(row.mac);
  const flags = createFlags.create | (joins ? append : createFlags.replace);
  const request = { name: `put ${describe(row)}`, type: neighbourMessage.new, flags };
  await socket.request({ ...request, payload: encodeNeighbourRow(row) }, options);
}

/** Idempotent: false when there was none. @throws NETLINK_FAILED */
export async function deleteNeighbourRow(
  socket: NetlinkSocket,
  row: NeighbourRow,
  options?: RequestOptions,
): Promise<boolean> {
  const request = { name: `delete ${describe(row)}`, type: neighbourMessage.delete, payload: encodeNeighbourRow(row) };
  try {
    await socket.request(request, options);
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENODEV', 'EINVAL')) return false;
    throw error;
  }
}

export function encodeNeighbourRow(row: NeighbourRow): Buffer {
  const mac = row.mac === null ? [] : [bytes(attribute.mac, Buffer.from(row.mac.replaceAll(':', ''), 'hex'))];
  switch (row.table) {
    case 'bridge':
      return message(encodeHead(family.bridge, row.ifindex, state.noArp, flag.master | flag.sticky), mac);
    case 'vxlan': {
      const port = row.port === null ? [] : [u16Be(attribute.port, row.port)];
      const to = [bytes(attribute.destination, addressBytes(row.vtep)), ...port];
      return message(encodeHead(family.bridge, row.ifindex, state.noArp | state.permanent, flag.self), [...mac, ...to]);
    }
    case 'address': {
      const address = addressBytes(row.address);
      const own = address.length === 4 ? family.ipv4 : family.ipv6;
      const head = encodeHead(own, row.ifindex, state.permanent, 0);
      return message(head, [bytes(attribute.destination, address), ...mac]);
    }
  }
}

/** Null for rows that are of no concern here: see `listNeighbourRows`. */
export function decodeNeighbourRow({ payload }: NetlinkMessage): NeighbourRow | null {
  const attributes = decodeAttributes(payload.subarray(headBytes));
  const [ifindex, states] = [payload.readInt32LE(4), payload.readUInt16LE(8)];
  const mac = macText(attributes);
  const destination = readBytes(attributes, attribute.destination);
  if (payload.readUInt8(0) !== family.bridge) {
    if (destination === null) return null;
    const address = addressFromBytes(destination);
    return { table: 'address', ifindex, mac, isLasting: (states & state.permanent) !== 0, address };
  }
  if (mac === null) return null;
  const isLasting = (states & (state.noArp | state.permanent)) !== 0;
  if (destination !== null) {
    const [vtep, port] = [addressFromBytes(destination), readU16Be(attributes, attribute.port)];
    return { table: 'vxlan', ifindex, mac, isLasting, vtep, port };
  }
  const isOwn = (states & state.permanent) !== 0;
  return readBytes(attributes, attribute.master) === null || isOwn
    ? null
    : { table: 'bridge', ifindex, mac, isLasting };
}

/** Identity of a row: two rows with one key are two states of the same. A VTEP in a list is a row of its own. */
export function rowKey(row: NeighbourRow): string {
  const { table, ifindex } = row;
  if (table === 'address') return `${table} ${ifindex} ${row.address}`;
  const isOneOfSeveral = table === 'vxlan' && isListed(row.mac);
  return `${table} ${ifindex} ${row.mac}${isOneOfSeveral ? ` ${row.vtep} ${row.port}` : ''}`;
}

/** Whether a vxlan link keeps several VTEPs under a MAC. */
export function isListed(mac: MacText): boolean {
  return mac === zeroMac || (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
}

/** `struct ndmsg`. */
function encodeHead(ofFamily: number, ifindex: number, states: number, flags: number): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(ofFamily, 0);
  head.writeInt32LE(ifindex, 4);
  head.writeUInt16LE(states, 8);
  head.writeUInt8(flags, 10);
  return head;
}

function message(head: Buffer, attributes: readonly EncodedAttribute[]): Buffer {
  return Buffer.concat([head, encodeAttributes(attributes)]);
}

function macText(attributes: Attributes): MacText | null {
  const mac = readBytes(attributes, attribute.mac);
  return mac?.length === 6 ? mac.toString('hex').replace(/(..)(?=.)/g, '$1:') : null;
}

function describe(row: NeighbourRow): string {
  const key = row.table === 'address' ? row.address : row.mac;
  return `${row.table} row of ${key} at link ${row.ifindex}`;
}
