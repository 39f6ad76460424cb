/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The maps, pinned by name so that they outlive the daemon, and the settings fixed at load. Large
 * and mostly empty ones are not preallocated; none that is authoritative is an LRU, because those
 * evict in silence. Sizes are twice the expected load: 1,000 nodes, 100,000 endpoints, 100
 * networks.
 */
#ifndef WEFT_MAPS_H
#define WEFT_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "records.h"

/* Frames per second, and the burst: what one endpoint may flood; 0 lifts the limit. */
const volatile __u32 bum_rate = 1000;
/* Events per second for one device and kind of event; 0 lifts the limit. */
const volatile __u32 event_rate = 100;
/* Provisional entries per second that one VTEP may cause; 0 lifts the limit. */
const volatile __u32 learn_rate = 1000;
/* Membership reports per second that one endpoint may send; 0 lifts the limit. */
const volatile __u32 report_rate = 100;
/* Group frames per second taken from one VTEP, which is twenty endpoints at their limit; 0 lifts it. */
const volatile __u32 received_bum_rate = 20000;
/*
 * Flags for bpf_skb_adjust_room on receive that the loader found this kernel to have
 * (DECAP_L4_UDP).
 */
const volatile __u64 decap_flags = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct settings);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct network_key);
	__type(value, struct network);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct vtep);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} vteps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct hop_key);
	__type(value, struct hop);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct peer_key);
	__type(value, struct peer);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct port_key);
	__type(value, struct port);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct fdb_key);
	__type(value, struct fdb_entry);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} fdb SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 524288); /* an endpoint may have an IPv4 and an IPv6 address */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct neighbour_key);
	__type(value, struct neighbour);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} neighbours SEC(".maps");

/*
 * A network's flood list: exactly max_entries copies. BPF_F_INNER_MAP lets lists differ in length.
 * Sizes, not types: the compiler does not describe a struct that only this pointer reaches.
 */
struct flood_list {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct flood_entry));
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4096);
	__type(key, struct network_key);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__array(values, struct flood_list);
} flood SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct member_key);
	__type(value, struct member);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} members SEC(".maps");

/* How many groups a port has in `members`, so that one endpoint cannot fill it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct port_key);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} member_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct group_key);
	__type(value, __u32); /* zero */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct bucket_key);
	__type(value, struct bucket);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASON_COUNT);
	__type(key, __u32);
	__type(value, struct counter);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 262144); /* bytes */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

#endif
