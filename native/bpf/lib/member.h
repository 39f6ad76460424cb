/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who has joined which group. A port's memberships are noted here, at once and without the daemon;
 * what is behind other VTEPs the control plane writes. The group zero stands for everything: a
 * router has it, an endpoint with more groups than are noted for one, and a node of which it is not
 * known what its endpoints have joined. So whatever is unknown or full opens, and never closes.
 *
 * An endpoint is a single host on a wire of its own: a leave needs no question whether somebody else
 * is still there (RFC 4541 section 2.1.1 calls it fast leave).
 */
#ifndef WEFT_MEMBER_H
#define WEFT_MEMBER_H

#include "events.h"

/* Implementation: more groups than this, and an endpoint gets all. */
#define MEMBER_GROUPS_MAX 128

/* member_wants - whether a port gets frames to a group. */
static __always_inline bool member_wants(__u32 ifindex, const __be32 group[4])
{
	struct member_key key = { .ifindex = ifindex };

	if (bpf_map_lookup_elem(&members, &key))
		return true;
	address_copy(key.group, group);
	return bpf_map_lookup_elem(&members, &key);
}

/* vtep_wants - whether a remote VTEP does. */
static __always_inline bool vtep_wants(__u32 vni, __u32 vtep, const __be32 group[4])
{
	struct group_key key = { .vni = vni, .vtep = vtep };

	if (bpf_map_lookup_elem(&groups, &key))
		return true;
	address_copy(key.group, group);
	return bpf_map_lookup_elem(&groups, &key);
}

/* member_count - the counter of a port, made when it is not there; or NULL. */
static __always_inline __u32 *member_count(__u32 ifindex)
{
	struct port_key key = { .ifindex = ifindex };
	__u32 *known = bpf_map_lookup_elem(&member_counts, &key);
	__u32 zero = 0;

	if (known)
		return known;
	bpf_map_update_elem(&member_counts, &key, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&member_counts, &key);
}

/*
 * member_join - notes that a port's endpoint has joined, or is still in, a group. Returns whether
 * that is news.
 */
static __noinline bool member_join(__u32 ifindex, const __be32 group[4])
{
	struct member now = { .seen_at = bpf_ktime_get_ns() };
	struct member_key key = { .ifindex = ifindex };
	struct member *known;
	__u32 *joined = member_count(ifindex);

	address_copy(key.group, group);
	known = bpf_map_lookup_elem(&members, &key);
	if (!known && (!joined || *joined >= MEMBER_GROUPS_MAX)) {
		__builtin_memset(key.group, 0, sizeof(key.group));
		known = bpf_map_lookup_elem(&members, &key);
	}
	if (known) {
		known->seen_at = now.seen_at;
		return false;
	}
	if (bpf_map_update_elem(&members, &key, &now, BPF_NOEXIST))
		return false;
	if (joined)
		__sync_fetch_and_add(joined, 1);
	return true;
}

/* member_leave - the inverse. Returns whether it was in the group. */
static __noinline bool member_leave(__u32 ifindex, const __be32 group[4])
{
	struct member_key key = { .ifindex = ifindex };
	__u32 *joined = member_count(ifindex);

	address_copy(key.group, group);
	if (bpf_map_delete_elem(&members, &key))
		return false;
	if (joined)
		__sync_fetch_and_sub(joined, 1);
	return true;
}

/* members_changed - tells user space. It looks at the table, so one event stands for many changes. */
static __noinline int members_changed(struct __sk_buff *skb, __u32 vni)
{
	struct event event = { .kind = EVENT_GROUPS, .vni = vni, .ifindex = skb->ifindex };

	if (bucket_take(BUCKET_GROUP_EVENT, skb->ifindex, event_rate))
		event_submit(&event);
	return 0;
}

#endif
