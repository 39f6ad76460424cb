/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A frame to a remote VTEP.
 *
 *   1. leave what the fast path cannot do to the kernel's device, before anything is modified
 *   2. make 50 bytes of room; the helper marks the packet as a UDP tunnel, so that it is segmented
 *      inside
 *   3. write the outer headers, and hand over to the underlay device with the next hop the control
 *      plane resolved; the neighbour behind it stays the kernel's business
 *
 * The UDP checksum is zero (RFC 7348 section 5): a program cannot ask for one per segment. DF is
 * set and the identification zero (RFC 6864), for sizes were checked; ECN is RFC 6040 section 4.1,
 * normal mode.
 */
#ifndef WEFT_ENCAPSULATE_H
#define WEFT_ENCAPSULATE_H

#include "ecn.h"
#include "events.h"
#include "tunnel.h"
#include "vxlan.h"

#define IPV4_LENGTH_MAX 65535

/*
 * FIXED_GSO: the containers' MTU already leaves room, segments must not shrink. NO_CSUM_RESET: the
 * inner checksum's state still holds. L2_ETH: segmentation must see an Ethernet header inside.
 */
#define ENCAPSULATE_FLAGS                                                                          \
	(BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |   \
	 BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |                         \
	 BPF_F_ADJ_ROOM_NO_CSUM_RESET)

/* send_by_kernel - through the vxlan device; `flags` may hold BPF_F_DONT_FRAGMENT. */
static __noinline int send_by_kernel(struct __sk_buff *skb, __u32 vni, const struct vtep *vtep,
				     __u64 flags)
{
	__u32 length = skb->len;
	int error;

	if (!vtep || !vtep->tunnel_ifindex)
		return -DROP_TUNNEL;
	error = tunnel_key_put(skb, vni, vtep, flags);
	if (error)
		return error;
	count(FALLBACK, length);
	return bpf_redirect(vtep->tunnel_ifindex, 0);
}

static __always_inline void outer_write(struct outer_ipv4 *outer, __u8 ecn, __u32 length,
					__u32 hash)
{
	__be32 *word = (void *)&outer->ip;

	word[0] = bpf_htonl(IPV4_FIRST_BYTE << 24 | (ecn == ECN_CE ? ECN_ECT0 : ecn) << 16 |
			    (length + sizeof(*outer)));
	word[1] = bpf_htonl(IPV4_DONT_FRAGMENT);
	word[2] = bpf_htonl(OUTER_TTL << 24 | IPPROTO_UDP << 16);
	outer->ip.check = ~ipv4_header_sum(&outer->ip);
	outer->udp.source = bpf_htons(SOURCE_PORT_FIRST + ((hash ^ hash >> 16) & SOURCE_PORT_MASK));
	outer->udp.len = bpf_htons(length + sizeof(*outer) - sizeof(outer->ip));
	outer->udp.check = 0;
	outer->flags = bpf_htonl(VXLAN_FLAG_I);
}

static __always_inline int redirect_to_next_hop(const struct vtep *vtep)
{
	struct bpf_redir_neigh hop = { .nh_family = AF_INET };

	hop.ipv4_nh = vtep->gateway[3] ? vtep->gateway[3] : vtep->address[3];
	return bpf_redirect_neigh(vtep->ifindex, &hop, sizeof(hop), 0);
}

/* encapsulate - returns a traffic-control action, or a negative drop reason. */
static __always_inline int encapsulate(struct __sk_buff *skb, __u8 family, __u32 vni,
				       const struct vtep *vtep)
{
	__u32 length = skb->len, zero = 0, hash;
	struct settings *own = bpf_map_lookup_elem(&settings, &zero);
	struct outer_ipv4 *outer;
	void *data;

	if (!own || !family || vtep->family != AF_INET || length + OVERHEAD_IPV4 > IPV4_LENGTH_MAX)
		return send_by_kernel(skb, vni, vtep, BPF_F_DONT_FRAGMENT);
	hash = skb->hash ? skb->hash : bpf_get_hash_recalc(skb);
	/* Refused for a frame that we decapsulated and a container routes back: -EALREADY. */
	if (bpf_skb_adjust_room(skb, OVERHEAD_IPV4, BPF_ADJ_ROOM_MAC, ENCAPSULATE_FLAGS))
		return send_by_kernel(skb, vni, vtep, BPF_F_DONT_FRAGMENT);
	data = packet_data(skb);
	if (data + OVERHEAD_IPV4 + TOS_OFFSET + 1 > packet_end(skb))
		return -DROP_HEADER_WRITE;
	/* The inner header may stay in front: redirect_neigh replaces its MACs. */
	ethernet_copy(data + OVERHEAD_IPV4, data);
	((struct ethhdr *)data)->h_proto = bpf_htons(ETH_P_IP);
	outer = data + ETH_HLEN;
	outer->ip.saddr = own->ipv4;
	outer->ip.daddr = vtep->address[3];
	outer->udp.dest = vtep->port;
	outer->vni = bpf_htonl(vni << 8);
	outer_write(outer, ecn_read(*(__u8 *)(data + OVERHEAD_IPV4 + TOS_OFFSET), family), length,
		    hash);
	count(ENCAPSULATED, length);
	return redirect_to_next_hop(vtep);
}

#endif
