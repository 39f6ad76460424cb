/**
 * Keys and values of the maps as typed records: the domain's values on this side, the structs of native/bpf/lib/records.h
 * on the other. Where a record here has null, the struct has zero.
 */

import { type Address, addressFromBytes, familyOf, mappedBytes, parseAddress } from '../../core/address.ts';
import { type MacAddress, macBytes, macFromBytes } from '../../core/mac.ts';
import { parseVni, type Vni } from '../../core/vni.ts';
import type { Vtep } from '../../core/model.ts';
import { isOverlayError } from '../../errors.ts';
import type { DataPathEvent } from '../../ports/data-path.ts';
import { enums, layout } from './layout.gen.ts';
import { type FieldName, readStruct, type StructReader, writeStruct } from './struct.ts';
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
  readonly mtuBytes: number | null;
}

export interface PeerKey {
  readonly vni: Vni;
  readonly vtep: Address;
}

export interface PortRecord {
  readonly vni: Vni;
  readonly mtuBytes: number;
  readonly mac: MacAddress;
  readonly ipv4: Address | null;
  readonly ipv6: Address | null;
}

export interface FdbKey {
  readonly vni: Vni;
  readonly mac: MacAddress;
}

/** Where a frame, or a copy of one, goes. */
export type FloodRecord =
  | { readonly kind: 'local'; readonly ifindex: number }
  | { readonly kind: 'remote'; readonly vtepId: number };

export interface FdbRecord {
  readonly target: FloodRecord;
  readonly isProvisional: boolean;
}

export interface NeighbourKey {
  readonly vni: Vni;
  readonly address: Address;
}

/** Specification: AF_INET and AF_INET6 of linux/socket.h. */
const familyNumber = { ipv4: 2, ipv6: 10 } as const;

/** Null before the first start. */
export const settingsRecord: Codec<Vtep | null> = {
  encode: (vtep) =>
    writeStruct(layout.settings)
      .address('address', vtep?.address ?? null)
      .numberBe('port', vtep?.port ?? 0).whole,
  decode: (bytes) => {
    const read = readStruct(layout.settings, bytes);
    const address = read.address('address');
    return address === null ? null : { address, port: read.numberBe('port') };
  },
};

export const networkKey: Codec<Vni> = {
  encode: (vni) => writeStruct(layout.network_key).number('vni', vni).whole,
  decode: (bytes) => parseVni(readStruct(layout.network_key, bytes).number('vni')),
};

export const networkRecord: Codec<NetworkRecord> = {
  encode: ({ mtuBytes, multicast }) =>
    writeStruct(layout.network)
      .number('mtu', mtuBytes)
      .number('flags', multicast ? enums.network_flags.NETWORK_MULTICAST : 0).whole,
  decode: (bytes) => {
    const read = readStruct(layout.network, bytes);
    return { mtuBytes: read.number('mtu'), multicast: isSet(read.number('flags'), enums.network_flags.NETWORK_MULTICAST) };
  },
};

/** A host-order 32-bit number: an array's key, an interface's index, an inner map's id. */
export const index: Codec<number> = {
  encode: (value) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  },
  decode: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, 4).readUInt32LE(),
};

/** Null for a slot that is not in use. */
export const vtepRecord: Codec<VtepRecord | null> = {
  encode: (record) => {
    const struct = writeStruct(layout.vtep);
    if (record === null) return struct.whole;
    const { address, port, gateway, ifindex, tunnelIfindex, mtuBytes } = record;
    return struct
      .address('address', address)
      .address('gateway', gateway)
      .number('ifindex', ifindex)
      .number('tunnel_ifindex', tunnelIfindex)
      .number('mtu', mtuBytes ?? 0)
      .numberBe('port', port)
      .number('family', familyNumber[familyOf(address)]).whole;
  },
  decode: (bytes) => {
    // Most of the 16,384 slots are free, and telling so must be cheap: every reading does.
    if (isFree(bytes)) return null;
    const read = readStruct(layout.vtep, bytes);
    const address = read.address('address');
    if (address === null) return null;
    return {
      address,
      port: read.numberBe('port'),
      gateway: read.address('gateway'),
      ifindex: read.number('ifindex'),
      tunnelIfindex: read.number('tunnel_ifindex'),
      mtuBytes: read.number('mtu') || null,
    };
  },
};

export const peerKey: Codec<PeerKey> = {
  encode: ({ vni, vtep }) => writeStruct(layout.peer_key).number('vni', vni).address('address', vtep).whole,
  decode: (bytes) => {
    const read = readStruct(layout.peer_key, bytes);
    return { vni: parseVni(read.number('vni')), vtep: addressOf(read.address('address')) };
  },
};

/** The id of the VTEP. */
export const peerRecord: Codec<number> = {
  encode: (vtepId) => writeStruct(layout.peer).number('vtep', vtepId).whole,
  decode: (bytes) => readStruct(layout.peer, bytes).number('vtep'),
};

export const portRecord: Codec<PortRecord> = {
  encode: ({ vni, mtuBytes, mac, ipv4, ipv6 }) =>
    writeStruct(layout.port)
      .number('vni', vni)
      .number('mtu', mtuBytes)
      .bytes('mac', macBytes(mac))
      .bytes('ipv4', ipv4 === null ? new Uint8Array(4) : mappedBytes(ipv4).subarray(12))
      .address('ipv6', ipv6).whole,
  decode: (bytes) => {
    const read = readStruct(layout.port, bytes);
    const ipv4 = read.bytes('ipv4');
    return {
      vni: parseVni(read.number('vni')),
      mtuBytes: read.number('mtu'),
      mac: macFromBytes(read.bytes('mac')),
      ipv4: ipv4.every((byte) => byte === 0) ? null : addressFromBytes(ipv4),
      ipv6: read.address('ipv6'),
    };
  },
};

export const fdbKey: Codec<FdbKey> = {
  encode: ({ vni, mac }) => writeStruct(layout.fdb_key).number('vni', vni).bytes('mac', macBytes(mac)).whole,
  decode: (bytes) => {
    const read = readStruct(layout.fdb_key, bytes);
    return { vni: parseVni(read.number('vni')), mac: macFromBytes(read.bytes('mac')) };
  },
};

export const fdbRecord: Codec<FdbRecord> = {
  encode: ({ target, isProvisional }) =>
    writeStruct(layout.fdb_entry)
      .number('ifindex', target.kind === 'local' ? target.ifindex : 0)
      .number('vtep', target.kind === 'remote' ? target.vtepId : 0)
      .number('flags', isProvisional ? enums.fdb_flags.FDB_PROVISIONAL : 0).whole,
  decode: (bytes) => {
    const read = readStruct(layout.fdb_entry, bytes);
    const ifindex = read.number('ifindex');
    const target = ifindex === 0 ? ({ kind: 'remote', vtepId: read.number('vtep') } as const) : ({ kind: 'local', ifindex } as const);
    return { target, isProvisional: isSet(read.number('flags'), enums.fdb_flags.FDB_PROVISIONAL) };
  },
};

/** The id that a row of the forwarding table names; 0 for a local one. */
export function rowVtepId(value: Uint8Array): number {
  return readStruct(layout.fdb_entry, value).number('vtep');
}

export function isProvisionalRow(value: Uint8Array): boolean {
  return isSet(readStruct(layout.fdb_entry, value).number('flags'), enums.fdb_flags.FDB_PROVISIONAL);
}

export function rowVni(key: Uint8Array): number {
  return readStruct(layout.fdb_key, key).number('vni');
}

export const neighbourKey: Codec<NeighbourKey> = {
  encode: ({ vni, address }) => writeStruct(layout.neighbour_key).number('vni', vni).address('address', address).whole,
  decode: (bytes) => {
    const read = readStruct(layout.neighbour_key, bytes);
    return { vni: parseVni(read.number('vni')), address: addressOf(read.address('address')) };
  },
};

export const neighbourRecord: Codec<MacAddress> = {
  encode: (mac) => writeStruct(layout.neighbour).bytes('mac', macBytes(mac)).whole,
  decode: (bytes) => macFromBytes(readStruct(layout.neighbour, bytes).bytes('mac')),
};

export const floodSize = layout.flood_entry.size;

export const floodRecord: Codec<FloodRecord> = {
  encode: (copy) =>
    writeStruct(layout.flood_entry)
      .number('kind', copy.kind === 'local' ? enums.flood_kind.FLOOD_LOCAL : enums.flood_kind.FLOOD_REMOTE)
      .number('target', copy.kind === 'local' ? copy.ifindex : copy.vtepId).whole,
  decode: (bytes) => {
    const read = readStruct(layout.flood_entry, bytes);
    const target = read.number('target');
    if (read.number('kind') === enums.flood_kind.FLOOD_LOCAL) return { kind: 'local', ifindex: target };
    return { kind: 'remote', vtepId: target };
  },
};

export const counterSize = layout.counter.size;

export function decodeCounter(bytes: Uint8Array): { readonly packets: number; readonly bytes: number } {
  const read = readStruct(layout.counter, bytes);
  return { packets: read.count('packets'), bytes: read.count('bytes') };
}

/** Reasons by number, as metrics call them: `encapsulated`, `drop_source_mac`. */
export const reasonNames: ReadonlyMap<number, string> = new Map(
  Object.entries(enums.reason)
    .filter(([name]) => name !== 'REASON_COUNT')
    .map(([name, number]) => [number, name.toLowerCase()]),
);

/**
 * Null for a kind that is not an event of the data path's contract, such as the sample of a drop, and for an address that
 * is none: a container may send to any MAC.
 */
export function decodeEvent(bytes: Uint8Array): DataPathEvent | null {
  try {
    return readEvent(readStruct(layout.event, bytes));
  } catch (error) {
    if (isOverlayError(error, 'MAC_INVALID', 'VNI_OUT_OF_RANGE', 'ADDRESS_INVALID')) return null;
    throw error;
  }
}

function readEvent(read: StructReader<FieldName<typeof layout.event>>): DataPathEvent | null {
  const kind = read.number('kind');
  const mac = () => macFromBytes(read.bytes('mac'));
  const vni = () => parseVni(read.number('vni'));
  if (kind === enums.event_kind.EVENT_MISS_MAC) return { kind: 'miss', vni: vni(), address: null, mac: mac() };
  if (kind === enums.event_kind.EVENT_MISS_ADDRESS) {
    return { kind: 'miss', vni: vni(), address: addressOf(read.address('address')), mac: null };
  }
  if (kind !== enums.event_kind.EVENT_PROVISIONAL) return null;
  return { kind: 'provisional', vni: vni(), mac: mac(), vtep: addressOf(read.address('vtep')) };
}

function isFree(bytes: Uint8Array): boolean {
  const { offset, size } = layout.vtep.fields.address;
  for (let at = offset; at < offset + size; at += 1) if (bytes[at] !== 0) return false;
  return true;
}

function isSet(flags: number, flag: number): boolean {
  return (flags & flag) !== 0;
}

/** A zero address where one is needed is the stand-in `::`. */
function addressOf(address: Address | null): Address {
  return address ?? parseAddress('::');
}
