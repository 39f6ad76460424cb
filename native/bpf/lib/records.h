/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Keys and values of the maps, and the event: what user space and the programs share.
 * scripts/generate-layout.ts reads them from BTF and writes src/datapath/ebpf/layout.gen.ts, so
 * this file is the only truth.
 *
 * Byte order is in the type: __be for the wire's, __u for the host's. Addresses are 16 bytes in
 * network order, IPv4 as ::ffff:a.b.c.d. Padding is explicit and named `spare`; writers set it to
 * zero. Flags are enums so that BTF keeps them.
 */
#ifndef WEFT_RECORDS_H
#define WEFT_RECORDS_H

#include <linux/types.h>

#include "reasons.h"

/* Entries of `settings`. */
#define SETTINGS_OWN 0
#define SETTINGS_FORMER 1 /* what it was before, while peers may still send there; else zero */

/* Where this node's tunnel ends: at an address of either family, or of both. */
struct settings {
	__be32 ipv4; /* zero when it has none */
	__be32 ipv6[4]; /* zero when it has none */
	__be16 port; /* own tunnel port, UDP */
	__u16 spare;
};

struct network_key {
	__u32 vni;
};

enum network_flags {
	NETWORK_MULTICAST = 1, /* carry IP multicast, not only what ARP and ND need */
};

struct network {
	__u32 mtu; /* largest IP packet its containers send, bytes */
	enum network_flags flags;
	__u32 spare[2];
};

/*
 * A tunnel endpoint, by id. Ids are dense and given by the control plane; an entry is an array slot
 * changed in place, so an id is never handed to another address while a forwarding entry still
 * names it. An unused slot has address zero.
 */
struct vtep {
	__be32 address[4];
	__be32 gateway[4]; /* next hop of the route to it; zero when it is on the link */
	__u32 ifindex; /* underlay device of that route */
	__u32 tunnel_ifindex; /* collect-metadata vxlan device that speaks its port */
	__u32 mtu; /* largest outer IP packet the path carries, bytes; zero when not known */
	__u32 hops; /* slots it has in `hops`; zero when its route has one next hop */
	__be16 port;
	__u8 family; /* AF_INET or AF_INET6, of the underlay */
	__u8 spare0;
	__u32 proven_mtu; /* what a probe found, and `mtu` never exceeds; zero when not known */
	__u32 spare1[2];
};

/*
 * The next hops of a route that has several: a flow takes one by its hash. A hop has as many slots
 * as it weighs; those of a hop that failed are given to others, so that only its own flows move.
 */
struct hop_key {
	__u32 vtep; /* id */
	__u32 slot; /* from 0 to below `hops` of the VTEP */
};

struct hop {
	__be32 gateway[4]; /* zero when the VTEP is on the link */
	__u32 ifindex;
};

/* Which VTEPs may send in a network. */
struct peer_key {
	__u32 vni;
	__be32 address[4]; /* outer source */
};

struct peer {
	__u32 vtep;
};

struct port_key {
	__u32 ifindex; /* the host's end of the endpoint's veth pair */
};

enum port_flags {
	PORT_ANY_SOURCE = 1, /* a router: it may send from any address and advertise itself */
};

struct port {
	__u32 vni;
	__u32 mtu; /* largest IP packet it may send, bytes */
	__u8 mac[6];
	__u16 spare0;
	enum port_flags flags;
	__be32 ipv4; /* zero when it has none */
	__be32 ipv6[4]; /* zero when it has none */
};

struct fdb_key {
	__u32 vni;
	__u8 mac[6];
	__u16 spare;
};

enum fdb_flags {
	FDB_PROVISIONAL = 1, /* learned from a packet, to be confirmed or withdrawn */
};

/* Where a MAC lives: 16 bytes, replaced as a whole, so readers never see half of one. */
struct fdb_entry {
	__u32 ifindex; /* local port; zero when remote */
	__u32 vtep; /* id, when remote */
	enum fdb_flags flags;
	__u32 spare;
};

struct neighbour_key {
	__u32 vni;
	__be32 address[4];
};

struct neighbour {
	__u8 mac[6];
	__u16 flags;
};

enum flood_kind {
	FLOOD_LOCAL = 1,
	FLOOD_REMOTE = 2,
};

/* One copy to make of a group frame. In a list the local ones come first (flood.h says why). */
struct flood_entry {
	enum flood_kind kind;
	__u32 target; /* ifindex of a local port, or id of a VTEP */
};

/* What an endpoint has joined. Written by the programs; the control plane lets old ones expire. */
struct member_key {
	__u32 ifindex; /* of its port */
	__be32 group[4]; /* zero: everything, as a multicast router wants it */
};

struct member {
	__u64 seen_at; /* last report, nanoseconds of the monotonic clock */
};

/* What endpoints behind a remote VTEP have joined. Written by the control plane. */
struct group_key {
	__u32 vni;
	__u32 vtep;
	__be32 group[4]; /* zero: everything, also where nothing is known of what they joined */
};

enum bucket_kind {
	BUCKET_FLOOD = 1, /* id: ifindex */
	BUCKET_LEARN = 2, /* id: VTEP */
	BUCKET_TOO_BIG = 3, /* id: ifindex */
	BUCKET_MISS_EVENT = 4, /* id: ifindex */
	BUCKET_DROP_EVENT = 5, /* id: ifindex */
	BUCKET_REPORT = 6, /* id: ifindex */
	BUCKET_GROUP_EVENT = 7, /* id: ifindex */
	BUCKET_FLOOD_RECEIVED = 8, /* id: VTEP */
};

struct bucket_key {
	enum bucket_kind kind;
	__u32 id;
};

struct bucket {
	__u64 empty_at; /* nanoseconds of the monotonic clock; see bucket.h */
};

struct counter {
	__u64 packets;
	__u64 bytes; /* of the inner frame with its Ethernet header */
};

enum event_kind {
	EVENT_MISS_ADDRESS = 1, /* `address` was asked for by `mac` and is in no table */
	EVENT_MISS_MAC = 2, /* a frame for `mac` was dropped */
	EVENT_PROVISIONAL = 3, /* `mac` (with source `address`) was first seen behind `vtep` */
	EVENT_DROP = 4, /* a sample: a frame of `mac` was dropped for `reason` */
	EVENT_GROUPS = 5, /* the endpoint of port `ifindex` has joined or left groups */
};

struct event {
	enum event_kind kind;
	enum reason reason; /* of a drop; else zero */
	__u32 vni;
	__u32 ifindex; /* the device it came in by */
	__u8 mac[6];
	__u16 spare;
	__be32 address[4];
	__be32 vtep[4]; /* outer source; zero when it came from a container */
};

_Static_assert(sizeof(struct settings) == 24, "settings");
_Static_assert(sizeof(struct network_key) == 4, "network_key");
_Static_assert(sizeof(struct network) == 16, "network");
_Static_assert(sizeof(struct vtep) == 64, "vtep");
_Static_assert(sizeof(struct hop_key) == 8, "hop_key");
_Static_assert(sizeof(struct hop) == 20, "hop");
_Static_assert(sizeof(struct peer_key) == 20, "peer_key");
_Static_assert(sizeof(struct peer) == 4, "peer");
_Static_assert(sizeof(struct port_key) == 4, "port_key");
_Static_assert(sizeof(struct port) == 40, "port");
_Static_assert(sizeof(struct fdb_key) == 12, "fdb_key");
_Static_assert(sizeof(struct fdb_entry) == 16, "fdb_entry");
_Static_assert(sizeof(struct neighbour_key) == 20, "neighbour_key");
_Static_assert(sizeof(struct neighbour) == 8, "neighbour");
_Static_assert(sizeof(struct flood_entry) == 8, "flood_entry");
_Static_assert(sizeof(struct member_key) == 20, "member_key");
_Static_assert(sizeof(struct member) == 8, "member");
_Static_assert(sizeof(struct group_key) == 24, "group_key");
_Static_assert(sizeof(struct bucket_key) == 8, "bucket_key");
_Static_assert(sizeof(struct bucket) == 8, "bucket");
_Static_assert(sizeof(struct counter) == 16, "counter");
_Static_assert(sizeof(struct event) == 56, "event");

#endif
