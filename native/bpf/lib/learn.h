/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which sources a remote VTEP may speak for: those that live there. A source that is in no table
 * yet is a container whose record has not arrived; from a VTEP known in the network its frame is
 * delivered, and a provisional entry lets the answer find its way, until user space confirms or
 * withdraws it. An entry that exists is never changed here.
 */
#ifndef WEFT_LEARN_H
#define WEFT_LEARN_H

#include "events.h"
#include "frame.h"

static __always_inline struct fdb_entry *fdb_lookup(__u32 vni, struct mac mac)
{
	struct fdb_key key = { .vni = vni };

	mac_write_padded(key.mac, mac);
	return bpf_map_lookup_elem(&fdb, &key);
}

/* peer_lookup - the VTEP with an outer source address, if it may send in the network. */
static __always_inline struct peer *peer_lookup(__u32 vni, const __be32 address[4])
{
	struct peer_key key = { .vni = vni };

	address_copy(key.address, address);
	return bpf_map_lookup_elem(&peers, &key);
}

/*
 * entry_is_behind - the MAC lives at the node of the peer. Both addresses of a node name one VTEP in
 * `peers`; while that is being changed from one to the other, an entry may name the one before.
 */
static __always_inline bool entry_is_behind(const struct fdb_entry *entry, __u32 vni,
					    const struct peer *peer)
{
	__u32 id = entry->vtep;
	struct vtep *vtep;
	struct peer *same;

	if (entry->ifindex || id == peer->vtep)
		return !entry->ifindex;
	vtep = bpf_map_lookup_elem(&vteps, &id);
	same = vtep ? peer_lookup(vni, vtep->address) : NULL;
	return same && same->vtep == peer->vtep;
}

/* source_address - the inner IP or ARP source, for the event: what a record can be looked up by. */
static __always_inline void source_address(struct __sk_buff *skb, __u32 frame, __be32 address[4])
{
	__u32 at = frame + ETH_HLEN;
	__be16 protocol;
	__be32 ipv4;

	if (bpf_skb_load_bytes(skb, at - sizeof(protocol), &protocol, sizeof(protocol)))
		return;
	if (protocol == bpf_htons(ETH_P_IPV6)) {
		bpf_skb_load_bytes(skb, at + 8, address, sizeof(struct in6_addr));
		return;
	}
	/* The sender's address lies at 12 in an IPv4 header and at 14 in ARP. */
	if (protocol == bpf_htons(ETH_P_IP) &&
	    !bpf_skb_load_bytes(skb, at + 12, &ipv4, sizeof(ipv4)))
		address_from_ipv4(address, ipv4);
	if (protocol == bpf_htons(ETH_P_ARP) &&
	    !bpf_skb_load_bytes(skb, at + 14, &ipv4, sizeof(ipv4)))
		address_from_ipv4(address, ipv4);
}

/* learn - makes the provisional entry and reports it. Returns 0, or a negative drop reason. */
static __always_inline int learn(struct __sk_buff *skb, const struct origin *origin, __u32 vtep)
{
	struct event event = { .kind = EVENT_PROVISIONAL };
	struct fdb_entry entry = { .vtep = vtep, .flags = FDB_PROVISIONAL };
	struct fdb_key key = { .vni = origin->vni };
	struct mac mac = {};

	if (!bucket_take(BUCKET_LEARN, vtep, learn_rate))
		return -DROP_RATE_LIMITED;
	if (bpf_skb_load_bytes(skb, origin->frame + ETH_ALEN, &mac, ETH_ALEN))
		return -DROP_RUNT;
	mac_write_padded(key.mac, mac);
	bpf_map_update_elem(&fdb, &key, &entry, BPF_NOEXIST);
	count(LEARNED, skb->len - origin->frame);
	event.vni = key.vni;
	event.ifindex = skb->ifindex;
	mac_write(event.mac, mac);
	source_address(skb, origin->frame, event.address);
	address_copy(event.vtep, origin->vtep);
	event_submit(&event);
	return 0;
}

/*
 * source_settle - a source that is in no table, or only provisionally, or not behind the VTEP that
 * sent it. Returns 0, or a negative drop reason.
 */
static __noinline int source_settle(struct __sk_buff *skb, const struct origin *origin,
				    const struct fdb_entry *entry)
{
	struct peer *peer;

	if (!origin)
		return -DROP_UNKNOWN_VTEP;
	peer = peer_lookup(origin->vni, origin->vtep);
	if (!peer)
		return -DROP_UNKNOWN_VTEP;
	if (!entry)
		return learn(skb, origin, peer->vtep);
	return entry_is_behind(entry, origin->vni, peer) ? 0 : -DROP_SOURCE_ELSEWHERE;
}

/*
 * source_admit - the inner source belongs to the sender. Returns 0, or a negative drop reason.
 * A confirmed entry whose VTEP has the outer source address says both that the MAC lives there and
 * that the VTEP is in the network, so the common case costs one hash lookup; `peers` is asked about
 * all others.
 */
static __always_inline int source_admit(struct __sk_buff *skb, const struct origin *origin,
					struct mac source)
{
	struct fdb_entry *entry;
	struct vtep *vtep;
	__u32 id;

	if (mac_is_group(source) || mac_is_zero(source))
		return -DROP_SOURCE_MAC;
	entry = fdb_lookup(origin->vni, source);
	if (entry && !entry->ifindex && !(entry->flags & FDB_PROVISIONAL)) {
		id = entry->vtep;
		vtep = bpf_map_lookup_elem(&vteps, &id);
		if (vtep && address_equal(vtep->address, origin->vtep))
			return 0;
	}
	return source_settle(skb, origin, entry);
}

#endif
