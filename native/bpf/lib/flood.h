/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Broadcast and multicast: head-end replication, exactly once (RFC 7348 section 4.2 without the
 * multicast group). The sender's node makes one copy per local port and one per remote VTEP; a
 * receiver copies to local ports only. That split horizon is the whole proof that nothing loops or
 * arrives twice. A container that bridges two endpoints cannot close a loop either: what it sends on
 * has the MAC of somebody else, and is dropped (source.h).
 *
 * A list names everybody in the network; frames to a group go to those on it who want the group
 * (snoop.h, member.h), at the cost of one or two hash lookups for each entry.
 *
 * Locals come first in a list: addressing a remote copy leaves tunnel metadata on the packet. Cost:
 * about 2.5 to 3.0 us per remote copy, hence the bucket per endpoint; and on receive one per VTEP,
 * against a node that keeps to no limit.
 */
#ifndef WEFT_FLOOD_H
#define WEFT_FLOOD_H

#include <linux/icmpv6.h>

#include "events.h"
#include "frame.h"
#include "member.h"
#include "snoop.h"
#include "tunnel.h"

/* Specification: with MLD, the ICMPv6 types that IPv6 cannot do without on a link. */
#define ND_ROUTER_SOLICITATION 133 /* RFC 4861: 133-137 */
#define ND_ROUTER_ADVERTISEMENT 134
#define ND_NEIGHBOUR_SOLICITATION 135
#define ND_NEIGHBOUR_ADVERTISEMENT 136
#define ND_REDIRECT 137

struct flooding {
	struct __sk_buff *skb;
	__u32 vni;
	__u32 except; /* the sender's port */
	bool to_remotes;
	bool to_members; /* of `group` alone */
	__be32 group[4];
};

static __always_inline bool flood_is_wanted(const struct flooding *flooding,
					    const struct flood_entry *entry)
{
	if (!flooding->to_members)
		return true;
	return entry->kind == FLOOD_LOCAL ?
		       member_wants(entry->target, flooding->group) :
		       vtep_wants(flooding->vni, entry->target, flooding->group);
}

static __always_inline int flood_to_remote(struct flooding *flooding, __u32 id)
{
	struct vtep *vtep = bpf_map_lookup_elem(&vteps, &id);
	int error;

	if (!vtep || !vtep->tunnel_ifindex)
		return -DROP_UNKNOWN_VTEP;
	error = tunnel_key_put(flooding->skb, flooding->vni, vtep, 0);
	if (error)
		return error;
	return bpf_clone_redirect(flooding->skb, vtep->tunnel_ifindex, 0) ? -DROP_COPY_FAILED : 0;
}

/* flood_copy - one entry of a list: the callback of bpf_for_each_map_elem. Returns 0: go on. */
static long flood_copy(void *list, const __u32 *index, struct flood_entry *entry,
		       struct flooding *flooding)
{
	bool is_local = entry->kind == FLOOD_LOCAL && entry->target != flooding->except;
	bool is_remote = entry->kind == FLOOD_REMOTE && flooding->to_remotes;
	int error;

	if (!(is_local || is_remote) || !flood_is_wanted(flooding, entry))
		return 0;
	if (is_local)
		error = bpf_clone_redirect(flooding->skb, entry->target, 0) ? -DROP_COPY_FAILED : 0;
	else
		error = flood_to_remote(flooding, entry->target);
	if (error)
		count(-error, flooding->skb->len);
	return 0;
}

/* icmpv6_type - of an ICMPv6 packet, also behind the hop-by-hop option that MLD carries; or -1. */
static __always_inline int icmpv6_type(struct __sk_buff *skb, const struct frame *frame,
				       __u32 offset)
{
	__u32 at = offset + ETH_HLEN + sizeof(struct ipv6hdr);
	__u8 next, option[2], type;

	if (frame->family != AF_INET6 ||
	    bpf_skb_load_bytes(skb, offset + ETH_HLEN + IPV6_NEXT_HEADER, &next, sizeof(next)))
		return -1;
	if (next == IPPROTO_HOPOPTS && !bpf_skb_load_bytes(skb, at, option, sizeof(option))) {
		next = option[0];
		at += (option[1] + 1) * 8;
	}
	if (next != IPPROTO_ICMPV6 || bpf_skb_load_bytes(skb, at, &type, sizeof(type)))
		return -1;
	return type;
}

/* flood_is_essential - what a network carries even with multicast off: broadcast, ND and MLD. */
static __always_inline bool flood_is_essential(struct __sk_buff *skb, const struct frame *frame,
					       __u32 offset)
{
	int type;

	if (mac_is_broadcast(frame->destination))
		return true;
	type = icmpv6_type(skb, frame, offset);
	return (type >= MLD_QUERY && type <= ND_REDIRECT) || type == MLD_REPORT_V2;
}

/* flood_check - may a group frame go to its network? Returns 0, or a negative drop reason. */
static __always_inline int flood_check(struct __sk_buff *skb, const struct frame *frame, __u32 vni,
				       __u32 offset)
{
	struct network_key key = { .vni = vni };
	struct network *network;

	if (mac_is_link_local_group(frame->destination))
		return -DROP_LINK_LOCAL_GROUP;
	network = bpf_map_lookup_elem(&networks, &key);
	if (!network)
		return -DROP_UNKNOWN_NETWORK;
	if (!(network->flags & NETWORK_MULTICAST) && !flood_is_essential(skb, frame, offset))
		return -DROP_MULTICAST_OFF;
	return 0;
}

/* flood_copies - makes them; the packet stays with the caller. Returns 0, or a negative reason. */
static __noinline int flood_copies(struct __sk_buff *skb, __u32 vni, __u32 except, bool to_remotes,
				   const struct snooped *snooped)
{
	struct flooding flooding = {
		.skb = skb, .vni = vni, .except = except, .to_remotes = to_remotes
	};
	struct network_key key = { .vni = vni };
	void *list = bpf_map_lookup_elem(&flood, &key);

	if (!list || !snooped)
		return -DROP_UNKNOWN_NETWORK;
	flooding.to_members = snooped->kind == SNOOP_MEMBERS || snooped->kind == SNOOP_REPORT;
	address_copy(flooding.group, snooped->group);
	bpf_for_each_map_elem(list, flood_copy, &flooding, 0);
	return 0;
}

#endif
