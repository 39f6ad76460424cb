/**
 * Keys and values of the maps as the domain's values. layout.gen.ts, generated from native/bpf/lib/records.h, knows where
 * the bytes lie; here stands what they mean. Where a record has null, the struct has zero.
 */

import {
  type Address,
  addressBytes,
  addressFromBytes,
  familyOf,
  mappedBytes,
  parseAddress,
} from '../../core/address.ts';
import { everyGroup } from '../../core/group.ts';
import { type MacAddress, macBytes, macFromBytes } from '../../core/mac.ts';
import type { Vtep } from '../../core/model.ts';
import { parseVni, type Vni } from '../../core/vni.ts';
import { addressIn, vtepOf } from '../../core/vtep.ts';
import * as struct from './layout.gen.ts';
import type { Codec } from './table.ts';

export interface NetworkRecord {
  readonly mtuBytes: number;
  readonly multicast: boolean;
}

export interface VtepRecord {
  readonly address: Address;
  /** UDP port. */
  readonly port: number;
  /** Null when the VTEP is on the link. */
  readonly gateway: Address | null;
  /** 0 where no route was ever found, or the tunnel device could not be made. */
  readonly ifindex: number;
  readonly tunnelIfindex: number;
  /** What the programs go by: the least of device, route and the proven one. */
  readonly mtuBytes: number | null;
  /** What the control plane has found the path to carry. */
  readonly provenMtuBytes: number | null;
  /** Slots it has in the table of hops; 0: the next hop above is the only one. */
  readonly hops: number;
}

export interface HopKey {
  readonly vtepId: number;
  /** From 0 to below `hops` of the VTEP. */
  readonly slot: number;
}

export interface HopRecord {
  /** Null when the VTEP is on the link. */
  readonly gateway: Address | null;
  readonly ifindex: number;
}

export interface PeerKey {
  readonly vni: Vni;
  /** Outer source. */
  readonly source: Address;
}

export interface PortRecord {
  readonly vni: Vni;
  readonly mtuBytes: number;
  readonly mac: MacAddress;
  readonly ipv4: Address | null;
  readonly ipv6: Address | null;
  readonly isRouter: boolean;
}

export interface FdbKey {
  readonly vni: Vni;
  readonly mac: MacAddress;
}

export interface MemberKey {
  readonly ifindex: number;
  /** `::` is every group. */
  readonly group: Address;
}

export interface GroupKey {
  readonly vni: Vni;
  readonly vtepId: number;
  readonly group: Address;
}

/** Where a frame, or a copy of one, goes. */
export type Target =
  | { readonly kind: 'local'; readonly ifindex: number }
  | { readonly kind: 'remote'; readonly vtepId: number };

export interface FdbRecord {
  readonly target: Target;
  readonly isProvisional: boolean;
}

export interface NeighbourKey {
  readonly vni: Vni;
  readonly address: Address;
}

/** Specification: AF_INET and AF_INET6 of linux/socket.h. */
const familyNumber = { ipv4: 2, ipv6: 10 } as const;
const pairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const { NETWORK_MULTICAST } = struct.enums.network_flags;
const { PORT_ANY_SOURCE } = struct.enums.port_flags;
const { FDB_PROVISIONAL } = struct.enums.fdb_flags;
const { FLOOD_LOCAL, FLOOD_REMOTE } = struct.enums.flood_kind;

/** A 32-bit number in host order: an array's key, an interface's index, an inner map's id. */
export const index: Codec<number> = {
  encode: (value) => new Uint8Array(Uint32Array.of(value).buffer),
  decode: (bytes) => new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true),
};

/** Null before the first start, and where there is no former one. */
export const settingsRecord: Codec<Vtep | null> = {
  encode: (vtep) => {
    const ipv4 = vtep === null ? null : addressIn(vtep, 'ipv4');
    const ipv6 = vtep === null ? null : addressIn(vtep, 'ipv6');
    return struct.settings.encode({ ...addressFields(ipv4, ipv6), port: vtep?.port ?? 0 });
  },
  decode: (bytes) => {
    const { ipv4, ipv6, port } = struct.settings.decode(bytes);
    const addresses = [ipv4, ipv6].filter((field) => !isZero(field)).map(addressOf);
    const [first, ...others] = addresses;
    return first === undefined ? null : vtepOf([first, ...others], port);
  },
};

export const networkKey: Codec<Vni> = {
  encode: (vni) => struct.networkKey.encode({ vni }),
  decode: (bytes) => parseVni(struct.networkKey.decode(bytes).vni),
};

export const networkRecord: Codec<NetworkRecord> = {
  encode: ({ mtuBytes, multicast }) =>
    struct.network.encode({ mtu: mtuBytes, flags: multicast ? NETWORK_MULTICAST : 0 }),
  decode: (bytes) => {
    const { mtu, flags } = struct.network.decode(bytes);
    return { mtuBytes: mtu, multicast: (flags & NETWORK_MULTICAST) !== 0 };
  },
};

/** Null for a slot that is free. */
export const vtepRecord: Codec<VtepRecord | null> = {
  encode: (record) => {
    if (record === null) return new Uint8Array(struct.vtep.size);
    const { address, port, gateway, ifindex, tunnelIfindex, hops } = record;
    const mtus = { mtu: record.mtuBytes ?? 0, provenMtu: record.provenMtuBytes ?? 0 };
    const addresses = { address: bytesOf(address), gateway: bytesOf(gateway) };
    const family = familyNumber[familyOf(address)];
    return struct.vtep.encode({ ...addresses, port, ifindex, tunnelIfindex, ...mtus, family, hops });
  },
  decode: (bytes) => {
    // Nearly all of the 16,384 slots are free, and every reading sees them all.
    const { offset, size } = struct.layout.vtep.fields.address;
    if (isZero(bytes, offset, offset + size)) return null;
    const { address, gateway, ifindex, tunnelIfindex, mtu, provenMtu, port, hops } = struct.vtep.decode(bytes);
    const next = { gateway: isZero(gateway) ? null : addressOf(gateway), ifindex, tunnelIfindex, hops };
    const mtus = { mtuBytes: mtu === 0 ? null : mtu, provenMtuBytes: provenMtu === 0 ? null : provenMtu };
    return { address: addressOf(address), port, ...next, ...mtus };
  },
};

export const hopKey: Codec<HopKey> = {
  encode: ({ vtepId, slot }) => struct.hopKey.encode({ vtep: vtepId, slot }),
  decode: (bytes) => {
    const { vtep, slot } = struct.hopKey.decode(bytes);
    return { vtepId: vtep, slot };
  },
};

export const hopRecord: Codec<HopRecord> = {
  encode: ({ gateway, ifindex }) => struct.hop.encode({ gateway: bytesOf(gateway), ifindex }),
  decode: (bytes) => {
    const { gateway, ifindex } = struct.hop.decode(bytes);
    return { gateway: isZero(gateway) ? null : addressOf(gateway), ifindex };
  },
};

export const peerKey: Codec<PeerKey> = {
  encode: ({ vni, source }) => struct.peerKey.encode({ vni, address: bytesOf(source) }),
  decode: (bytes) => {
    const { vni, address } = struct.peerKey.decode(bytes);
    return { vni: parseVni(vni), source: addressOf(address) };
  },
};

/** The id of the VTEP. */
export const peerRecord: Codec<number> = {
  encode: (vtep) => struct.peer.encode({ vtep }),
  decode: (bytes) => struct.peer.decode(bytes).vtep,
};

export const portRecord: Codec<PortRecord> = {
  encode: ({ vni, mtuBytes, mac, ipv4, ipv6, isRouter }) => {
    const flags = isRouter ? PORT_ANY_SOURCE : 0;
    return struct.port.encode({ vni, mtu: mtuBytes, mac: macBytes(mac), ...addressFields(ipv4, ipv6), flags });
  },
  decode: (bytes) => {
    const { vni, mtu, mac, ipv4, ipv6, flags } = struct.port.decode(bytes);
    return {
      vni: parseVni(vni),
      mtuBytes: mtu,
      mac: macOf(mac),
      ipv4: isZero(ipv4) ? null : addressFromBytes(ipv4),
      ipv6: isZero(ipv6) ? null : addressOf(ipv6),
      isRouter: (flags & PORT_ANY_SOURCE) !== 0,
    };
  },
};

export const fdbKey: Codec<FdbKey> = {
  encode: ({ vni, mac }) => struct.fdbKey.encode({ vni, mac: macBytes(mac) }),
  decode: (bytes) => {
    const { vni, mac } = struct.fdbKey.decode(bytes);
    return { vni: parseVni(vni), mac: macOf(mac) };
  },
};

export const fdbRecord: Codec<FdbRecord> = {
  encode: ({ target, isProvisional }) => {
    const ifindex = target.kind === 'local' ? target.ifindex : 0;
    const vtep = target.kind === 'remote' ? target.vtepId : 0;
    return struct.fdbEntry.encode({ ifindex, vtep, flags: isProvisional ? FDB_PROVISIONAL : 0 });
  },
  decode: (bytes) => {
    const { ifindex, vtep, flags } = struct.fdbEntry.decode(bytes);
    const target: Target = ifindex === 0 ? { kind: 'remote', vtepId: vtep } : { kind: 'local', ifindex };
    return { target, isProvisional: (flags & FDB_PROVISIONAL) !== 0 };
  },
};

export const neighbourKey: Codec<NeighbourKey> = {
  encode: ({ vni, address }) => struct.neighbourKey.encode({ vni, address: bytesOf(address) }),
  decode: (bytes) => {
    const { vni, address } = struct.neighbourKey.decode(bytes);
    return { vni: parseVni(vni), address: addressOf(address) };
  },
};

export const neighbourRecord: Codec<MacAddress> = {
  encode: (mac) => struct.neighbour.encode({ mac: macBytes(mac), flags: 0 }),
  decode: (bytes) => macOf(struct.neighbour.decode(bytes).mac),
};

export const memberKey: Codec<MemberKey> = {
  encode: ({ ifindex, group }) => struct.memberKey.encode({ ifindex, group: groupBytes(group) }),
  decode: (bytes) => {
    const { ifindex, group } = struct.memberKey.decode(bytes);
    return { ifindex, group: addressOf(group) };
  },
};

/** When the last report came, in nanoseconds of the monotonic clock. */
export const memberRecord: Codec<bigint> = {
  encode: (seenAt) => struct.member.encode({ seenAt }),
  decode: (bytes) => struct.member.decode(bytes).seenAt,
};

export const groupKey: Codec<GroupKey> = {
  encode: ({ vni, vtepId, group }) => struct.groupKey.encode({ vni, vtep: vtepId, group: groupBytes(group) }),
  decode: (bytes) => {
    const { vni, vtep, group } = struct.groupKey.decode(bytes);
    return { vni: parseVni(vni), vtepId: vtep, group: addressOf(group) };
  },
};

/** Null for a free slot of a list. */
export const floodRecord: Codec<Target | null> = {
  encode: (copy) => {
    if (copy === null) return new Uint8Array(struct.floodEntry.size);
    if (copy.kind === 'local') return struct.floodEntry.encode({ kind: FLOOD_LOCAL, target: copy.ifindex });
    return struct.floodEntry.encode({ kind: FLOOD_REMOTE, target: copy.vtepId });
  },
  decode: (bytes) => {
    const { kind, target } = struct.floodEntry.decode(bytes);
    if (kind === FLOOD_LOCAL) return { kind: 'local', ifindex: target };
    return kind === FLOOD_REMOTE ? { kind: 'remote', vtepId: target } : null;
  },
};

function addressFields(ipv4: Address | null, ipv6: Address | null) {
  return { ipv4: ipv4 === null ? new Uint8Array(4) : addressBytes(ipv4), ipv6: bytesOf(ipv6) };
}

function bytesOf(address: Address | null): Uint8Array {
  return address === null ? new Uint8Array(16) : mappedBytes(address);
}

function groupBytes(group: Address): Uint8Array {
  return bytesOf(group === everyGroup ? null : group);
}

/** By hand as well as the address below: 100,000 rows through the parsers would take a second. */
function macOf(bytes: Uint8Array): MacAddress {
  const isUnicast = ((bytes[0] ?? 1) & 1) === 0 && !isZero(bytes);
  if (!isUnicast) return macFromBytes(bytes);
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = bytes;
  return `${pairs[a]}:${pairs[b]}:${pairs[c]}:${pairs[d]}:${pairs[e]}:${pairs[f]}` as MacAddress;
}

/** A zero address is `::`. */
export function addressOf(bytes: Uint8Array): Address {
  const isMapped = bytes[10] === 0xff && bytes[11] === 0xff && isZero(bytes, 0, 10);
  if (isMapped) return bytes.subarray(12).join('.') as Address;
  return isZero(bytes) ? parseAddress('::') : addressFromBytes(bytes);
}

function isZero(bytes: Uint8Array, first = 0, end = bytes.length): boolean {
  for (let position = first; position < end; position += 1) if (bytes[position] !== 0) return false;
  return true;
}
