/**
 * Links: the kernel's network devices, of every kind, in this process' network namespace. Reading, settings and
 * deletion are here; creation is a file per kind, `veth.ts` and `vxlan.ts`.
 * Sources: linux/if_link.h, linux/rtnetlink.h `struct ifinfomsg`, linux/if.h.
 */

import { type Address, addressFromBytes } from '../core/address.ts';
import { type MacAddress, macBytes, macFromBytes } from '../core/mac.ts';
import {
  type Attributes,
  bytes,
  decodeAttributes,
  type EncodedAttribute,
  encodeAttributes,
  nested,
  readBytes,
  readI32,
  readNested,
  readText,
  readU8,
  readU16Be,
  readU32,
  text,
  u8,
  u32,
} from './attributes.ts';
import { type BridgePort, decodeBridgePort } from './bridge-port.ts';
import { hasErrno, type NetlinkMessage, type NetlinkSocket, type RequestOptions } from './socket.ts';

export type Link = {
  readonly index: number;
  readonly name: string;
  /** `veth`, `vxlan`, `bridge` …; null for a physical device and loopback. */
  readonly kind: string | null;
  /** Null where the device has no unicast Ethernet address, as loopback. */
  readonly mac: MacAddress | null;
  readonly mtuBytes: number;
  /** Set up by an administrator; says nothing of the carrier. */
  readonly isUp: boolean;
  /** Speaks ARP. */
  readonly isArp: boolean;
  /** Free text that the kernel keeps with a link; null where there is none. */
  readonly alias: string | null;
  /** The other end of a veth pair, as its namespace numbers it; of a VLAN, the device below; else null. */
  readonly peerIndex: number | null;
  /** This namespace's id of the one `peerIndex` is in; null when it is this one. */
  readonly linkNetnsId: number | null;
  /** Index of the bridge or bond this is a port of. */
  readonly master: number | null;
  readonly vxlan: VxlanLink | null;
  /** Null for what is no port of a bridge. */
  readonly bridgePort: BridgePort | null;
};

export type VxlanLink = {
  readonly id: number;
  readonly port: number;
  readonly collectMetadata: boolean;
  readonly learning: boolean;
  /** Answers ARP and ND itself. */
  readonly proxy: boolean;
  /** The address it sends from; null when the kernel chooses one. */
  readonly local: Address | null;
};

/** Specification: linux/if_link.h and linux/rtnetlink.h. */
export const linkMessage = { new: 16, delete: 17, get: 18, set: 19 } as const;
export const linkAttribute = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  master: 10,
  info: 18,
  alias: 20,
  statistics: 23,
  afSpec: 26,
  extMask: 29,
  linkNetnsId: 37,
  gsoMaxSize: 41,
  gsoIpv4MaxSize: 63,
} as const;
export const linkInfo = { kind: 1, data: 2, portKind: 4, portData: 5 } as const;
export const vxlanAttribute = {
  id: 1,
  local: 4,
  learning: 7,
  proxy: 11,
  l3Miss: 14,
  port: 15,
  local6: 17,
  udpChecksum: 18,
  zeroChecksum6Tx: 19,
  zeroChecksum6Rx: 20,
  collectMetadata: 25,
} as const;
const headBytes = 16;
const flagUp = 0x1;
const flagNoArp = 0x80;
const skipStatistics = 1 << 3;
const inet6 = { family: 10, addressGenerationMode: 8, none: 1 } as const;

/** Every link. @throws NETLINK_FAILED */
export async function listLinks(socket: NetlinkSocket, options?: RequestOptions): Promise<readonly Link[]> {
  const payload = encodeLink({}, [u32(linkAttribute.extMask, skipStatistics)]);
  const messages = await socket.dump({ name: 'list links', type: linkMessage.get, payload }, options);
  return messages.map(decodeLink);
}

/** One link, or null when none has the name. @throws NETLINK_FAILED */
export async function findLink(socket: NetlinkSocket, name: string, options?: RequestOptions): Promise<Link | null> {
  const payload = encodeLink({}, [text(linkAttribute.name, name), u32(linkAttribute.extMask, skipStatistics)]);
  try {
    const [message] = await socket.request({ name: `get link ${name}`, type: linkMessage.get, payload }, options);
    return message === undefined ? null : decodeLink(message);
  } catch (error) {
    if (hasErrno(error, 'ENODEV')) return null;
    throw error;
  }
}

/** Deletes a link, of a veth pair both ends. Idempotent: false when there was none. @throws NETLINK_FAILED */
export async function deleteLink(socket: NetlinkSocket, name: string, options?: RequestOptions): Promise<boolean> {
  const payload = encodeLink({}, [text(linkAttribute.name, name)]);
  try {
    await socket.request({ name: `delete link ${name}`, type: linkMessage.delete, payload }, options);
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENODEV')) return false;
    throw error;
  }
}

/** A change of settings. @throws NETLINK_FAILED with errno ENODEV when there is no such link */
export async function setLink(socket: NetlinkSocket, name: string, setting: LinkSetting, options?: RequestOptions) {
  const request = { name: `set ${describe(setting)} of link ${name}`, type: linkMessage.set };
  const payload = encodeLink(setting, [text(linkAttribute.name, name), ...settingAttributes(setting)]);
  await socket.request({ ...request, payload }, options);
}

/** Each is left alone where absent. `addressGeneration: 'none'` keeps the kernel from sending RS and MLD on its own. */
export type LinkSetting = {
  readonly isUp?: boolean;
  readonly mtuBytes?: number;
  readonly mac?: MacAddress;
  readonly addressGeneration?: 'none';
  readonly isArp?: boolean;
  readonly alias?: string;
  /** Index of the bridge it becomes a port of. */
  readonly master?: number;
};

/**
 * Keeps the kernel from sending on a link by itself; undoes its creation when that fails. A kernel or a link without
 * IPv6 (MTU below 1280) refuses with EAFNOSUPPORT, and has nothing to send.
 */
export async function silence(socket: NetlinkSocket, name: string, options?: RequestOptions): Promise<void> {
  try {
    await setLink(socket, name, { addressGeneration: 'none' }, options);
  } catch (error) {
    if (hasErrno(error, 'EAFNOSUPPORT')) return;
    await deleteLink(socket, name);
    throw error;
  }
}

/** `struct ifinfomsg` and attributes. */
export function encodeLink(
  { isUp, isArp }: Pick<LinkSetting, 'isUp' | 'isArp'>,
  attributes: readonly EncodedAttribute[],
): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt32LE((isUp === true ? flagUp : 0) | (isArp === false ? flagNoArp : 0), 8);
  head.writeUInt32LE((isUp === undefined ? 0 : flagUp) | (isArp === undefined ? 0 : flagNoArp), 12);
  return Buffer.concat([head, encodeAttributes(attributes)]);
}

/** Index, address family and name alone, for notifications: bridges send theirs under the same message type. */
export function decodeLinkHead({ payload }: NetlinkMessage) {
  const name = readText(decodeAttributes(payload.subarray(headBytes)), linkAttribute.name) ?? '';
  return { family: payload.readUInt8(0), index: payload.readInt32LE(4), name };
}

export function decodeLink({ payload }: NetlinkMessage): Link {
  const attributes = decodeAttributes(payload.subarray(headBytes));
  const info = readNested(attributes, linkAttribute.info);
  const kind = readText(info, linkInfo.kind);
  return {
    index: payload.readInt32LE(4),
    name: readText(attributes, linkAttribute.name) ?? '',
    kind,
    mac: unicastMac(readBytes(attributes, linkAttribute.address)),
    mtuBytes: readU32(attributes, linkAttribute.mtu) ?? 0,
    isUp: (payload.readUInt32LE(8) & flagUp) !== 0,
    isArp: (payload.readUInt32LE(8) & flagNoArp) === 0,
    alias: readText(attributes, linkAttribute.alias),
    peerIndex: readU32(attributes, linkAttribute.link) || null,
    linkNetnsId: readI32(attributes, linkAttribute.linkNetnsId),
    master: readU32(attributes, linkAttribute.master),
    vxlan: kind === 'vxlan' ? decodeVxlan(readNested(info, linkInfo.data)) : null,
    bridgePort:
      readText(info, linkInfo.portKind) === 'bridge' ? decodeBridgePort(readNested(info, linkInfo.portData)) : null,
  };
}

function decodeVxlan(data: Attributes): VxlanLink {
  const local = readBytes(data, vxlanAttribute.local) ?? readBytes(data, vxlanAttribute.local6);
  return {
    id: readU32(data, vxlanAttribute.id) ?? 0,
    port: readU16Be(data, vxlanAttribute.port) ?? 0,
    collectMetadata: readU8(data, vxlanAttribute.collectMetadata) === 1,
    learning: readU8(data, vxlanAttribute.learning) === 1,
    proxy: readU8(data, vxlanAttribute.proxy) === 1,
    local: local === null ? null : addressFromBytes(local),
  };
}

function unicastMac(address: Buffer | null): MacAddress | null {
  if (address?.length !== 6 || address.every((byte) => byte === 0)) return null;
  return (address.readUInt8(0) & 1) === 0 ? macFromBytes(address) : null;
}

function settingAttributes({ mtuBytes, mac, addressGeneration, alias, master }: LinkSetting): EncodedAttribute[] {
  const attributes: EncodedAttribute[] = [];
  if (mtuBytes !== undefined) attributes.push(u32(linkAttribute.mtu, mtuBytes));
  if (mac !== undefined) attributes.push(bytes(linkAttribute.address, macBytes(mac)));
  if (alias !== undefined) attributes.push(text(linkAttribute.alias, alias));
  if (master !== undefined) attributes.push(u32(linkAttribute.master, master));
  if (addressGeneration !== undefined) {
    const mode = u8(inet6.addressGenerationMode, inet6.none);
    attributes.push(nested(linkAttribute.afSpec, [nested(inet6.family, [mode])]));
  }
  return attributes;
}

function describe(setting: LinkSetting): string {
  return Object.entries(setting)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}
