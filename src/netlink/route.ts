/**
 * Routes: what the kernel would do with a packet for an address, and the tables it looks in.
 * Sources: linux/rtnetlink.h `struct rtmsg`, `struct rtvia`, `struct rtnexthop`.
 */

import { type Address, addressBytes, addressFromBytes } from '../core/address.ts';
import { overlayError } from '../errors.ts';
import {
  type Attributes,
  bytes,
  decodeAttributes,
  encodeAttributes,
  readBytes,
  readNested,
  readU32,
} from './attributes.ts';
import type { NetlinkMessage, NetlinkSocket, RequestOptions } from './socket.ts';

/** The kernel's choice for one destination. */
export type ChosenRoute = {
  readonly ifindex: number;
  /** Next hop, of either family; null when the destination is on the link. */
  readonly gateway: Address | null;
  /** The address the kernel would send from. */
  readonly source: Address;
  /** Learnt on the path or set on the route; null when the device's MTU alone counts. */
  readonly mtuBytes: number | null;
  /** The destination is an address of this node. */
  readonly isLocal: boolean;
};

export type NextHop = {
  readonly ifindex: number;
  /** Of either family; null when the destination is on the link. */
  readonly gateway: Address | null;
  /** Its share among the hops of the route, 1 to 256. */
  readonly weight: number;
  /** Its device is down, or has no carrier. */
  readonly isDead: boolean;
};

/** One entry of a routing table. */
export type Route = {
  /** `ADDRESS/LENGTH`, or `default`. */
  readonly destination: string;
  readonly family: 'ipv4' | 'ipv6';
  /** None for a route that leads nowhere (blackhole, unreachable, prohibit). */
  readonly hops: readonly NextHop[];
  readonly metric: number;
  readonly table: number;
};

/** Specification: linux/rtnetlink.h. */
export const routeMessage = { new: 24, delete: 25, get: 26 } as const;
const attribute = {
  destination: 1,
  source: 2,
  oif: 4,
  gateway: 5,
  priority: 6,
  preferredSource: 7,
  metrics: 8,
  multipath: 9,
  table: 15,
  via: 18,
} as const;
const metric = { mtu: 2 } as const;
const families: Readonly<Record<number, Route['family']>> = { 2: 'ipv4', 10: 'ipv6' };
const familyNumbers = { 4: 2, 16: 10 } as const;
const routeType = { local: 2, blackhole: 6, unreachable: 7, prohibit: 8 } as const;
const refusals: Readonly<Record<number, string>> = {
  [routeType.blackhole]: 'EINVAL',
  [routeType.unreachable]: 'EHOSTUNREACH',
  [routeType.prohibit]: 'EACCES',
};
export const localTable = 255;
const clonedFlag = 0x200;
/** Answer with the entry of the table, not with what follows from it for one packet. */
const matchFlag = 0x2000;
/** RTNH_F_DEAD and RTNH_F_LINKDOWN. */
const deadFlags = 0x1 | 0x10;
const headBytes = 12;
const nextHopBytes = 8;

/**
 * Where a packet for `address` goes, sent from `source` when that is given: rules may tell sources apart.
 * @throws NETLINK_FAILED with errno ENETUNREACH (no route), EHOSTUNREACH, EACCES or EINVAL (a route that refuses:
 *   unreachable, prohibit, blackhole), EADDRNOTAVAIL (no address to send from)
 */
export async function routeTo(
  socket: NetlinkSocket,
  address: Address,
  { source, ...options }: RouteOptions = {},
): Promise<ChosenRoute> {
  const name = `get route to ${address}`;
  const payload = encodeRouteQuery({ address, source });
  const [message] = await socket.request({ name, type: routeMessage.get, payload }, options);
  if (message === undefined) throw overlayError('NETLINK_FAILED', { request: name, errno: 'ENETUNREACH' });
  const chosen = decodeChosenRoute(message);
  if (typeof chosen === 'string') throw overlayError('NETLINK_FAILED', { request: name, errno: chosen });
  return chosen;
}

/** The next hops of the route that `routeTo` follows: more than one where the kernel would spread flows. @throws the same */
export async function hopsTo(
  socket: NetlinkSocket,
  address: Address,
  { source, ...options }: RouteOptions = {},
): Promise<readonly NextHop[]> {
  const payload = encodeRouteQuery({ address, source, flags: matchFlag });
  const request = { name: `get next hops to ${address}`, type: routeMessage.get, payload };
  const [message] = await socket.request(request, options);
  return message === undefined ? [] : hopsOf(message);
}

export type RouteOptions = RequestOptions & { readonly source?: Address | undefined };

/** Every IPv4 and IPv6 route of every table, the local ones (table 255) included. @throws NETLINK_FAILED */
export async function listRoutes(socket: NetlinkSocket, options?: RequestOptions): Promise<readonly Route[]> {
  const request = { name: 'list routes', type: routeMessage.get, payload: Buffer.alloc(headBytes) };
  const messages = await socket.dump(request, options);
  return messages.map(decodeRoute).filter((route) => route !== null);
}

interface RouteQuery {
  readonly address: Address;
  readonly source?: Address | undefined;
  readonly flags?: number;
}

export function encodeRouteQuery({ address, source, flags = 0 }: RouteQuery): Buffer {
  const destination = addressBytes(address);
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(familyNumbers[destination.length === 4 ? 4 : 16], 0);
  head.writeUInt8(destination.length * 8, 1);
  head.writeUInt32LE(flags, 8);
  const attributes = [bytes(attribute.destination, destination)];
  if (source !== undefined) {
    head.writeUInt8(destination.length * 8, 2);
    attributes.push(bytes(attribute.source, addressBytes(source)));
  }
  return Buffer.concat([head, encodeAttributes(attributes)]);
}

/** The errno by name where the answer is a refusal: IPv6 describes such routes instead of failing. */
export function decodeChosenRoute({ payload }: NetlinkMessage): ChosenRoute | string {
  const type = payload.readUInt8(7);
  const refusal = refusals[type];
  if (refusal !== undefined) return refusal;
  const attributes = decodeAttributes(payload.subarray(headBytes));
  // Not repeated when it is the one that was asked for.
  const source = readBytes(attributes, attribute.preferredSource) ?? readBytes(attributes, attribute.source);
  const ifindex = readU32(attributes, attribute.oif);
  if (ifindex === null) return 'ENETUNREACH';
  if (source === null) return 'EADDRNOTAVAIL';
  return {
    ifindex,
    gateway: gatewayOf(attributes),
    source: addressFromBytes(source),
    mtuBytes: readU32(readNested(attributes, attribute.metrics), metric.mtu),
    isLocal: type === routeType.local,
  };
}

/** Null for another family and for what the kernel cloned for one destination. */
export function decodeRoute({ payload }: NetlinkMessage): Route | null {
  const family = families[payload.readUInt8(0)];
  if (family === undefined || (payload.readUInt32LE(8) & clonedFlag) !== 0) return null;
  const attributes = decodeAttributes(payload.subarray(headBytes));
  const prefix = payload.readUInt8(1);
  const destination = readBytes(attributes, attribute.destination);
  return {
    destination: destination === null ? 'default' : `${addressFromBytes(destination)}/${prefix}`,
    family,
    hops: hopsOf({ payload }),
    metric: readU32(attributes, attribute.priority) ?? 0,
    table: readU32(attributes, attribute.table) ?? payload.readUInt8(4),
  };
}

/** `struct rtnexthop`: length u16, flags u8, weight - 1 u8, ifindex i32, then attributes of its own. */
function hopsOf({ payload }: Pick<NetlinkMessage, 'payload'>): readonly NextHop[] {
  const attributes = decodeAttributes(payload.subarray(headBytes));
  const multipath = readBytes(attributes, attribute.multipath);
  if (multipath === null) {
    const ifindex = readU32(attributes, attribute.oif);
    const isDead = (payload.readUInt32LE(8) & deadFlags) !== 0;
    return ifindex === null ? [] : [{ ifindex, gateway: gatewayOf(attributes), weight: 1, isDead }];
  }
  const hops: NextHop[] = [];
  for (let rest = multipath; rest.length >= nextHopBytes; ) {
    const length = Math.max(nextHopBytes, rest.readUInt16LE(0));
    const own = decodeAttributes(rest.subarray(nextHopBytes, length));
    const [flags, weight] = [rest.readUInt8(2), rest.readUInt8(3) + 1];
    hops.push({ ifindex: rest.readInt32LE(4), gateway: gatewayOf(own), weight, isDead: (flags & deadFlags) !== 0 });
    rest = rest.subarray((length + 3) & ~3);
  }
  return hops;
}

/** RTA_GATEWAY has the route's own family; RTA_VIA, for a gateway of the other, names it first. */
function gatewayOf(attributes: Attributes): Address | null {
  const own = readBytes(attributes, attribute.gateway) ?? readBytes(attributes, attribute.via)?.subarray(2);
  return own === undefined ? null : addressFromBytes(own);
}
