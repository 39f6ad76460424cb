// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Programs of the previous pin schema, v1, for the test that takes them over: the tables as they
 * were laid out then, above all `settings`, and the plainest programs that forward by them. All
 * packets go through the kernel's vxlan device; containers must know each other's MAC.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual BSD/GPL";

#define FALLBACK 10
#define FALLBACK_RECEIVED 11
#define DROP_NO_ENDPOINT 32
#define DROP_UNKNOWN_DESTINATION 43
#define DROP_UNKNOWN_VTEP 44
#define REASON_COUNT 64

/* What the next schema has changed. */
struct settings {
	__be32 address[4];
	__be16 port;
	__u16 spare0;
	__u32 spare1;
};

struct vtep {
	__be32 address[4];
	__be32 gateway[4];
	__u32 ifindex;
	__u32 tunnel_ifindex;
	__u32 spare[6];
};

struct address_key {
	__u32 vni;
	__be32 address[4];
};

struct port {
	__u32 vni;
	__u32 spare[9];
};

struct fdb_key {
	__u32 vni;
	__u8 mac[6];
	__u16 spare;
};

struct fdb_entry {
	__u32 ifindex;
	__u32 vtep;
	__u32 spare[2];
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

#define TABLE(NAME, TYPE, ENTRIES, FLAGS, KEY, VALUE)                                              \
	struct {                                                                                   \
		__uint(type, TYPE);                                                                \
		__uint(max_entries, ENTRIES);                                                      \
		__uint(map_flags, FLAGS);                                                          \
		__uint(key_size, KEY);                                                             \
		__uint(value_size, VALUE);                                                         \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                               \
	} NAME SEC(".maps")

TABLE(settings, BPF_MAP_TYPE_ARRAY, 1, 0, 4, sizeof(struct settings));
TABLE(networks, BPF_MAP_TYPE_HASH, 4096, 0, 4, 16);
TABLE(vteps, BPF_MAP_TYPE_ARRAY, 16384, 0, 4, sizeof(struct vtep));
TABLE(peers, BPF_MAP_TYPE_HASH, 262144, BPF_F_NO_PREALLOC, sizeof(struct address_key), 4);
TABLE(ports, BPF_MAP_TYPE_HASH, 8192, 0, 4, sizeof(struct port));
TABLE(fdb, BPF_MAP_TYPE_HASH, 262144, BPF_F_NO_PREALLOC, sizeof(struct fdb_key),
      sizeof(struct fdb_entry));
TABLE(neighbours, BPF_MAP_TYPE_HASH, 524288, BPF_F_NO_PREALLOC, sizeof(struct address_key), 8);
TABLE(buckets, BPF_MAP_TYPE_LRU_HASH, 32768, 0, 8, 8);
TABLE(counters, BPF_MAP_TYPE_PERCPU_ARRAY, REASON_COUNT, 0, 4, sizeof(struct counter));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 262144);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

struct flood_list {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(key_size, 4);
	__uint(value_size, 8);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4096);
	__uint(key_size, 4);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__array(values, struct flood_list);
} flood SEC(".maps");

static __always_inline int count(struct __sk_buff *skb, __u32 reason)
{
	struct counter *counter = bpf_map_lookup_elem(&counters, &reason);

	if (counter) {
		counter->packets++;
		counter->bytes += skb->len;
	}
	return TC_ACT_SHOT;
}

static __always_inline struct fdb_entry *destination(struct __sk_buff *skb, __u32 vni)
{
	struct fdb_key key = { .vni = vni };

	return bpf_skb_load_bytes(skb, 0, key.mac, 6) ? NULL : bpf_map_lookup_elem(&fdb, &key);
}

SEC("tc")
int from_container(struct __sk_buff *skb)
{
	__u32 zero = 0, index = skb->ifindex;
	struct bpf_tunnel_key key = { .tunnel_ttl = 64 };
	struct port *port = bpf_map_lookup_elem(&ports, &index);
	struct settings *own = bpf_map_lookup_elem(&settings, &zero);
	struct fdb_entry *entry;
	struct vtep *vtep;

	if (!port || !own)
		return count(skb, DROP_NO_ENDPOINT);
	entry = destination(skb, port->vni);
	if (!entry)
		return count(skb, DROP_UNKNOWN_DESTINATION);
	if (entry->ifindex)
		return bpf_redirect_peer(entry->ifindex, 0);
	vtep = bpf_map_lookup_elem(&vteps, &entry->vtep);
	/* The device sends to the port that it has itself. */
	if (!vtep || !own->port)
		return count(skb, DROP_UNKNOWN_VTEP);
	key.tunnel_id = port->vni;
	key.remote_ipv4 = bpf_ntohl(vtep->address[3]);
	key.local_ipv4 = bpf_ntohl(own->address[3]);
	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX))
		return count(skb, DROP_UNKNOWN_VTEP);
	count(skb, FALLBACK);
	return bpf_redirect(vtep->tunnel_ifindex, 0);
}

SEC("tc")
int from_underlay(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = {};
	struct address_key peer = { .address = { 0, 0, bpf_htonl(0xffff) } };
	struct fdb_entry *entry;

	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0))
		return count(skb, DROP_UNKNOWN_VTEP);
	peer.vni = key.tunnel_id;
	peer.address[3] = bpf_htonl(key.remote_ipv4);
	if (!bpf_map_lookup_elem(&peers, &peer))
		return count(skb, DROP_UNKNOWN_VTEP);
	entry = destination(skb, key.tunnel_id);
	if (!entry || !entry->ifindex)
		return count(skb, DROP_UNKNOWN_DESTINATION);
	count(skb, FALLBACK_RECEIVED);
	return bpf_redirect_peer(entry->ifindex, 0);
}
