/**
 * Written by scripts/generate-layout.ts from the BTF of native/bpf/overlay.bpf.c; do not edit.
 * The structs, their meaning and byte order: native/bpf/lib/records.h.
 */

/** Sizes and offsets in bytes, by the names of C. */
export const layout = {
  bucket: {
    size: 8,
    fields: {
      empty_at: { offset: 0, size: 8 },
    },
  },
  bucket_key: {
    size: 8,
    fields: {
      kind: { offset: 0, size: 4 },
      id: { offset: 4, size: 4 },
    },
  },
  counter: {
    size: 16,
    fields: {
      packets: { offset: 0, size: 8 },
      bytes: { offset: 8, size: 8 },
    },
  },
  event: {
    size: 56,
    fields: {
      kind: { offset: 0, size: 4 },
      reason: { offset: 4, size: 4 },
      vni: { offset: 8, size: 4 },
      ifindex: { offset: 12, size: 4 },
      mac: { offset: 16, size: 6 },
      address: { offset: 24, size: 16 },
      vtep: { offset: 40, size: 16 },
    },
  },
  fdb_entry: {
    size: 16,
    fields: {
      ifindex: { offset: 0, size: 4 },
      vtep: { offset: 4, size: 4 },
      flags: { offset: 8, size: 4 },
    },
  },
  fdb_key: {
    size: 12,
    fields: {
      vni: { offset: 0, size: 4 },
      mac: { offset: 4, size: 6 },
    },
  },
  flood_entry: {
    size: 8,
    fields: {
      kind: { offset: 0, size: 4 },
      target: { offset: 4, size: 4 },
    },
  },
  group_key: {
    size: 24,
    fields: {
      vni: { offset: 0, size: 4 },
      vtep: { offset: 4, size: 4 },
      group: { offset: 8, size: 16 },
    },
  },
  hop: {
    size: 20,
    fields: {
      gateway: { offset: 0, size: 16 },
      ifindex: { offset: 16, size: 4 },
    },
  },
  hop_key: {
    size: 8,
    fields: {
      vtep: { offset: 0, size: 4 },
      slot: { offset: 4, size: 4 },
    },
  },
  member: {
    size: 8,
    fields: {
      seen_at: { offset: 0, size: 8 },
    },
  },
  member_key: {
    size: 20,
    fields: {
      ifindex: { offset: 0, size: 4 },
      group: { offset: 4, size: 16 },
    },
  },
  neighbour: {
    size: 8,
    fields: {
      mac: { offset: 0, size: 6 },
      flags: { offset: 6, size: 2 },
    },
  },
  neighbour_key: {
    size: 20,
    fields: {
      vni: { offset: 0, size: 4 },
      address: { offset: 4, size: 16 },
    },
  },
  network: {
    size: 16,
    fields: {
      mtu: { offset: 0, size: 4 },
      flags: { offset: 4, size: 4 },
    },
  },
  network_key: {
    size: 4,
    fields: {
      vni: { offset: 0, size: 4 },
    },
  },
  peer: {
    size: 4,
    fields: {
      vtep: { offset: 0, size: 4 },
    },
  },
  peer_key: {
    size: 20,
    fields: {
      vni: { offset: 0, size: 4 },
      address: { offset: 4, size: 16 },
    },
  },
  port: {
    size: 40,
    fields: {
      vni: { offset: 0, size: 4 },
      mtu: { offset: 4, size: 4 },
      mac: { offset: 8, size: 6 },
      flags: { offset: 16, size: 4 },
      ipv4: { offset: 20, size: 4 },
      ipv6: { offset: 24, size: 16 },
    },
  },
  port_key: {
    size: 4,
    fields: {
      ifindex: { offset: 0, size: 4 },
    },
  },
  settings: {
    size: 24,
    fields: {
      ipv4: { offset: 0, size: 4 },
      ipv6: { offset: 4, size: 16 },
      port: { offset: 20, size: 2 },
    },
  },
  vtep: {
    size: 64,
    fields: {
      address: { offset: 0, size: 16 },
      gateway: { offset: 16, size: 16 },
      ifindex: { offset: 32, size: 4 },
      tunnel_ifindex: { offset: 36, size: 4 },
      mtu: { offset: 40, size: 4 },
      hops: { offset: 44, size: 4 },
      port: { offset: 48, size: 2 },
      family: { offset: 50, size: 1 },
      proven_mtu: { offset: 52, size: 4 },
    },
  },
} as const;

/** By the names of C. */
export const enums = {
  bucket_kind: {
    BUCKET_FLOOD: 1,
    BUCKET_LEARN: 2,
    BUCKET_TOO_BIG: 3,
    BUCKET_MISS_EVENT: 4,
    BUCKET_DROP_EVENT: 5,
    BUCKET_REPORT: 6,
    BUCKET_GROUP_EVENT: 7,
    BUCKET_FLOOD_RECEIVED: 8,
  },
  event_kind: {
    EVENT_MISS_ADDRESS: 1,
    EVENT_MISS_MAC: 2,
    EVENT_PROVISIONAL: 3,
    EVENT_DROP: 4,
    EVENT_GROUPS: 5,
  },
  fdb_flags: {
    FDB_PROVISIONAL: 1,
  },
  flood_kind: {
    FLOOD_LOCAL: 1,
    FLOOD_REMOTE: 2,
  },
  network_flags: {
    NETWORK_MULTICAST: 1,
  },
  port_flags: {
    PORT_ANY_SOURCE: 1,
  },
  reason: {
    DECLINED: 2,
    ENCAPSULATED: 3,
    DECAPSULATED: 4,
    LOCAL: 5,
    FLOODED: 6,
    FLOOD_RECEIVED: 7,
    ARP_ANSWERED: 8,
    ND_ANSWERED: 9,
    FALLBACK: 10,
    FALLBACK_RECEIVED: 11,
    LEARNED: 12,
    TOO_BIG_ANSWERED: 13,
    GROUP_REPORTED: 14,
    FORMER_VTEP: 15,
    DROP_NO_ENDPOINT: 32,
    DROP_RUNT: 33,
    DROP_MALFORMED: 34,
    DROP_VLAN_TAGGED: 35,
    DROP_SOURCE_MAC: 36,
    DROP_SOURCE_ADDRESS: 37,
    DROP_ROUTER_MESSAGE: 38,
    DROP_LINK_LOCAL_GROUP: 39,
    DROP_MULTICAST_OFF: 40,
    DROP_RATE_LIMITED: 41,
    DROP_UNKNOWN_NETWORK: 42,
    DROP_UNKNOWN_DESTINATION: 43,
    DROP_UNKNOWN_VTEP: 44,
    DROP_SOURCE_ELSEWHERE: 45,
    DROP_NOT_HERE: 46,
    DROP_NO_I_FLAG: 47,
    DROP_TOO_BIG: 48,
    DROP_ECN: 49,
    DROP_TUNNEL: 50,
    DROP_COPY_FAILED: 51,
    DROP_HEADER_WRITE: 52,
    DROP_NOT_UNDERLAY: 53,
    DROP_NOT_OUR_VTEP: 54,
    REASON_COUNT: 64,
  },
} as const;

/** Every fate of a frame that is counted, by its index in `counters`. */
export const reasons: readonly { readonly code: number; readonly name: string; readonly isDrop: boolean }[] =
  Object.entries(enums.reason)
    .filter(([name]) => name !== 'REASON_COUNT')
    .map(([name, code]) => ({ code, name, isDrop: code >= enums.reason.DROP_NO_ENDPOINT }));

/** A struct of the maps as a record: bytes in network order, numbers already in the host's. */
export interface Codec<Value> {
  readonly size: number;
  encode(value: Value): Uint8Array;
  decode(bytes: Uint8Array): Value;
}

/** @throws RangeError when the bytes are not as long as the struct */
function viewOf(bytes: Uint8Array, size: number): DataView {
  if (bytes.length !== size) throw new RangeError(`${bytes.length} bytes are not a struct of ${size}`);
  return new DataView(bytes.buffer, bytes.byteOffset, size);
}

/** @throws RangeError when the bytes do not fill the field */
function put(view: DataView, offset: number, size: number, bytes: Uint8Array): void {
  if (bytes.length !== size) throw new RangeError(`${bytes.length} bytes are not a field of ${size}`);
  new Uint8Array(view.buffer).set(bytes, offset);
}

export interface Bucket {
  readonly emptyAt: bigint;
}

export const bucket: Codec<Bucket> = {
  size: 8,
  encode({ emptyAt }) {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, emptyAt, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 8);
    return {
      emptyAt: view.getBigUint64(0, true),
    };
  },
};

export interface BucketKey {
  readonly kind: number;
  readonly id: number;
}

export const bucketKey: Codec<BucketKey> = {
  size: 8,
  encode({ kind, id }) {
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(0, kind, true);
    view.setUint32(4, id, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 8);
    return {
      kind: view.getUint32(0, true),
      id: view.getUint32(4, true),
    };
  },
};

export interface Counter {
  readonly packets: bigint;
  readonly bytes: bigint;
}

export const counter: Codec<Counter> = {
  size: 16,
  encode({ packets, bytes }) {
    const view = new DataView(new ArrayBuffer(16));
    view.setBigUint64(0, packets, true);
    view.setBigUint64(8, bytes, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 16);
    return {
      packets: view.getBigUint64(0, true),
      bytes: view.getBigUint64(8, true),
    };
  },
};

export interface Event {
  readonly kind: number;
  readonly reason: number;
  readonly vni: number;
  readonly ifindex: number;
  readonly mac: Uint8Array;
  readonly address: Uint8Array;
  readonly vtep: Uint8Array;
}

export const event: Codec<Event> = {
  size: 56,
  encode({ kind, reason, vni, ifindex, mac, address, vtep }) {
    const view = new DataView(new ArrayBuffer(56));
    view.setUint32(0, kind, true);
    view.setUint32(4, reason, true);
    view.setUint32(8, vni, true);
    view.setUint32(12, ifindex, true);
    put(view, 16, 6, mac);
    put(view, 24, 16, address);
    put(view, 40, 16, vtep);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 56);
    return {
      kind: view.getUint32(0, true),
      reason: view.getUint32(4, true),
      vni: view.getUint32(8, true),
      ifindex: view.getUint32(12, true),
      mac: bytes.slice(16, 22),
      address: bytes.slice(24, 40),
      vtep: bytes.slice(40, 56),
    };
  },
};

export interface FdbEntry {
  readonly ifindex: number;
  readonly vtep: number;
  readonly flags: number;
}

export const fdbEntry: Codec<FdbEntry> = {
  size: 16,
  encode({ ifindex, vtep, flags }) {
    const view = new DataView(new ArrayBuffer(16));
    view.setUint32(0, ifindex, true);
    view.setUint32(4, vtep, true);
    view.setUint32(8, flags, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 16);
    return {
      ifindex: view.getUint32(0, true),
      vtep: view.getUint32(4, true),
      flags: view.getUint32(8, true),
    };
  },
};

export interface FdbKey {
  readonly vni: number;
  readonly mac: Uint8Array;
}

export const fdbKey: Codec<FdbKey> = {
  size: 12,
  encode({ vni, mac }) {
    const view = new DataView(new ArrayBuffer(12));
    view.setUint32(0, vni, true);
    put(view, 4, 6, mac);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 12);
    return {
      vni: view.getUint32(0, true),
      mac: bytes.slice(4, 10),
    };
  },
};

export interface FloodEntry {
  readonly kind: number;
  readonly target: number;
}

export const floodEntry: Codec<FloodEntry> = {
  size: 8,
  encode({ kind, target }) {
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(0, kind, true);
    view.setUint32(4, target, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 8);
    return {
      kind: view.getUint32(0, true),
      target: view.getUint32(4, true),
    };
  },
};

export interface GroupKey {
  readonly vni: number;
  readonly vtep: number;
  readonly group: Uint8Array;
}

export const groupKey: Codec<GroupKey> = {
  size: 24,
  encode({ vni, vtep, group }) {
    const view = new DataView(new ArrayBuffer(24));
    view.setUint32(0, vni, true);
    view.setUint32(4, vtep, true);
    put(view, 8, 16, group);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 24);
    return {
      vni: view.getUint32(0, true),
      vtep: view.getUint32(4, true),
      group: bytes.slice(8, 24),
    };
  },
};

export interface Hop {
  readonly gateway: Uint8Array;
  readonly ifindex: number;
}

export const hop: Codec<Hop> = {
  size: 20,
  encode({ gateway, ifindex }) {
    const view = new DataView(new ArrayBuffer(20));
    put(view, 0, 16, gateway);
    view.setUint32(16, ifindex, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 20);
    return {
      gateway: bytes.slice(0, 16),
      ifindex: view.getUint32(16, true),
    };
  },
};

export interface HopKey {
  readonly vtep: number;
  readonly slot: number;
}

export const hopKey: Codec<HopKey> = {
  size: 8,
  encode({ vtep, slot }) {
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(0, vtep, true);
    view.setUint32(4, slot, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 8);
    return {
      vtep: view.getUint32(0, true),
      slot: view.getUint32(4, true),
    };
  },
};

export interface Member {
  readonly seenAt: bigint;
}

export const member: Codec<Member> = {
  size: 8,
  encode({ seenAt }) {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, seenAt, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 8);
    return {
      seenAt: view.getBigUint64(0, true),
    };
  },
};

export interface MemberKey {
  readonly ifindex: number;
  readonly group: Uint8Array;
}

export const memberKey: Codec<MemberKey> = {
  size: 20,
  encode({ ifindex, group }) {
    const view = new DataView(new ArrayBuffer(20));
    view.setUint32(0, ifindex, true);
    put(view, 4, 16, group);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 20);
    return {
      ifindex: view.getUint32(0, true),
      group: bytes.slice(4, 20),
    };
  },
};

export interface Neighbour {
  readonly mac: Uint8Array;
  readonly flags: number;
}

export const neighbour: Codec<Neighbour> = {
  size: 8,
  encode({ mac, flags }) {
    const view = new DataView(new ArrayBuffer(8));
    put(view, 0, 6, mac);
    view.setUint16(6, flags, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 8);
    return {
      mac: bytes.slice(0, 6),
      flags: view.getUint16(6, true),
    };
  },
};

export interface NeighbourKey {
  readonly vni: number;
  readonly address: Uint8Array;
}

export const neighbourKey: Codec<NeighbourKey> = {
  size: 20,
  encode({ vni, address }) {
    const view = new DataView(new ArrayBuffer(20));
    view.setUint32(0, vni, true);
    put(view, 4, 16, address);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 20);
    return {
      vni: view.getUint32(0, true),
      address: bytes.slice(4, 20),
    };
  },
};

export interface Network {
  readonly mtu: number;
  readonly flags: number;
}

export const network: Codec<Network> = {
  size: 16,
  encode({ mtu, flags }) {
    const view = new DataView(new ArrayBuffer(16));
    view.setUint32(0, mtu, true);
    view.setUint32(4, flags, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 16);
    return {
      mtu: view.getUint32(0, true),
      flags: view.getUint32(4, true),
    };
  },
};

export interface NetworkKey {
  readonly vni: number;
}

export const networkKey: Codec<NetworkKey> = {
  size: 4,
  encode({ vni }) {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, vni, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 4);
    return {
      vni: view.getUint32(0, true),
    };
  },
};

export interface Peer {
  readonly vtep: number;
}

export const peer: Codec<Peer> = {
  size: 4,
  encode({ vtep }) {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, vtep, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 4);
    return {
      vtep: view.getUint32(0, true),
    };
  },
};

export interface PeerKey {
  readonly vni: number;
  readonly address: Uint8Array;
}

export const peerKey: Codec<PeerKey> = {
  size: 20,
  encode({ vni, address }) {
    const view = new DataView(new ArrayBuffer(20));
    view.setUint32(0, vni, true);
    put(view, 4, 16, address);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 20);
    return {
      vni: view.getUint32(0, true),
      address: bytes.slice(4, 20),
    };
  },
};

export interface Port {
  readonly vni: number;
  readonly mtu: number;
  readonly mac: Uint8Array;
  readonly flags: number;
  readonly ipv4: Uint8Array;
  readonly ipv6: Uint8Array;
}

export const port: Codec<Port> = {
  size: 40,
  encode({ vni, mtu, mac, flags, ipv4, ipv6 }) {
    const view = new DataView(new ArrayBuffer(40));
    view.setUint32(0, vni, true);
    view.setUint32(4, mtu, true);
    put(view, 8, 6, mac);
    view.setUint32(16, flags, true);
    put(view, 20, 4, ipv4);
    put(view, 24, 16, ipv6);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 40);
    return {
      vni: view.getUint32(0, true),
      mtu: view.getUint32(4, true),
      mac: bytes.slice(8, 14),
      flags: view.getUint32(16, true),
      ipv4: bytes.slice(20, 24),
      ipv6: bytes.slice(24, 40),
    };
  },
};

export interface PortKey {
  readonly ifindex: number;
}

export const portKey: Codec<PortKey> = {
  size: 4,
  encode({ ifindex }) {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, ifindex, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 4);
    return {
      ifindex: view.getUint32(0, true),
    };
  },
};

export interface Settings {
  readonly ipv4: Uint8Array;
  readonly ipv6: Uint8Array;
  readonly port: number;
}

export const settings: Codec<Settings> = {
  size: 24,
  encode({ ipv4, ipv6, port }) {
    const view = new DataView(new ArrayBuffer(24));
    put(view, 0, 4, ipv4);
    put(view, 4, 16, ipv6);
    view.setUint16(20, port);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 24);
    return {
      ipv4: bytes.slice(0, 4),
      ipv6: bytes.slice(4, 20),
      port: view.getUint16(20),
    };
  },
};

export interface Vtep {
  readonly address: Uint8Array;
  readonly gateway: Uint8Array;
  readonly ifindex: number;
  readonly tunnelIfindex: number;
  readonly mtu: number;
  readonly hops: number;
  readonly port: number;
  readonly family: number;
  readonly provenMtu: number;
}

export const vtep: Codec<Vtep> = {
  size: 64,
  encode({ address, gateway, ifindex, tunnelIfindex, mtu, hops, port, family, provenMtu }) {
    const view = new DataView(new ArrayBuffer(64));
    put(view, 0, 16, address);
    put(view, 16, 16, gateway);
    view.setUint32(32, ifindex, true);
    view.setUint32(36, tunnelIfindex, true);
    view.setUint32(40, mtu, true);
    view.setUint32(44, hops, true);
    view.setUint16(48, port);
    view.setUint8(50, family);
    view.setUint32(52, provenMtu, true);
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, 64);
    return {
      address: bytes.slice(0, 16),
      gateway: bytes.slice(16, 32),
      ifindex: view.getUint32(32, true),
      tunnelIfindex: view.getUint32(36, true),
      mtu: view.getUint32(40, true),
      hops: view.getUint32(44, true),
      port: view.getUint16(48),
      family: view.getUint8(50),
      provenMtu: view.getUint32(52, true),
    };
  },
};
