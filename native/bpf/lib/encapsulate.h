/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A frame to a remote VTEP.
 *
 *   1. leave what the fast path cannot do to the kernel's device, before anything is modified
 *   2. make 50 bytes of room, 70 over IPv6; the helper marks the packet as a UDP tunnel, so that it
 *      is segmented inside
 *   3. write the outer headers, and hand over to the underlay device with the next hop the control
 *      plane resolved, of several the one of the flow; the neighbour behind it stays the kernel's
 *      business
 *
 * The UDP checksum is zero (RFC 7348 section 5; RFC 6935 and 6936 for IPv6): a program cannot ask
 * for one per segment. ECN is RFC 6040 section 4.1, normal mode. IPv4: DF is set and the
 * identification zero (RFC 6864), for sizes were checked. IPv6: the flow label is that of the inner
 * flow (RFC 6437 section 3, RFC 6438), for routers that spread load by it.
 */
#ifndef WEFT_ENCAPSULATE_H
#define WEFT_ENCAPSULATE_H

#include "ecn.h"
#include "events.h"
#include "tunnel.h"
#include "vxlan.h"

/*
 * FIXED_GSO: the containers' MTU already leaves room, segments must not shrink. NO_CSUM_RESET: the
 * inner checksum's state still holds. L2_ETH: segmentation must see an Ethernet header inside.
 */
#define ENCAPSULATE_FLAGS                                                                          \
	(BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |                                  \
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

/* outer_mark - the ECN field, at its place in the first word of the header. */
static __always_inline __u32 outer_mark(__u8 inner, __u32 shift)
{
	/* Congestion experienced is told inside; the outer mark starts afresh. */
	return (inner == ECN_CE ? ECN_ECT0 : inner) << shift;
}

/* `length` is of the inner frame. */
static __always_inline void outer_write_ipv4(struct ethhdr *ethernet, const struct settings *own,
					     const struct vtep *vtep, __u8 ecn, __u32 length)
{
	struct outer_ipv4 *outer = (void *)(ethernet + 1);
	__be32 *word = (void *)&outer->ip;

	ethernet->h_proto = bpf_htons(ETH_P_IP);
	outer->ip.saddr = own->ipv4;
	outer->ip.daddr = vtep->address[3];
	word[0] = bpf_htonl(IPV4_FIRST_BYTE << 24 | outer_mark(ecn, IPV4_TOS_SHIFT) |
			    (length + sizeof(*outer)));
	word[1] = bpf_htonl(IPV4_DONT_FRAGMENT);
	word[2] = bpf_htonl(OUTER_TTL << 24 | IPPROTO_UDP << 16);
	outer->ip.check = ~ipv4_header_sum(&outer->ip);
}

static __always_inline void outer_write_ipv6(struct ethhdr *ethernet, const struct settings *own,
					     const struct vtep *vtep, __u8 ecn, __u32 length,
					     __u32 hash)
{
	struct outer_ipv6 *outer = (void *)(ethernet + 1);
	__be32 *word = (void *)&outer->ip;
	__u32 label = hash & IPV6_FLOW_LABEL;

	ethernet->h_proto = bpf_htons(ETH_P_IPV6);
	/* A flow label of zero would say that there is none. */
	word[0] = bpf_htonl(IPV6_VERSION | outer_mark(ecn, IPV6_CLASS_SHIFT) | (label ? label : 1));
	word[1] = bpf_htonl((length + sizeof(outer->tunnel)) << 16 | IPPROTO_UDP << 8 | OUTER_TTL);
	address_copy(outer->ip.saddr.s6_addr32, own->ipv6);
	address_copy(outer->ip.daddr.s6_addr32, vtep->address);
}

/* It ends where the inner frame begins. */
static __always_inline void tunnel_header_write(void *inner, __be16 port, __u32 vni, __u32 length,
						__u32 hash)
{
	struct tunnel_header *tunnel = inner - sizeof(*tunnel);

	tunnel->udp.source =
		bpf_htons(SOURCE_PORT_FIRST + ((hash ^ hash >> 16) & SOURCE_PORT_MASK));
	tunnel->udp.dest = port;
	tunnel->udp.len = bpf_htons(length + sizeof(*tunnel));
	tunnel->udp.check = 0;
	tunnel->flags = bpf_htonl(VXLAN_FLAG_I);
	tunnel->vni = bpf_htonl(vni << 8);
}

static __always_inline int redirect_to_next_hop(const struct vtep *vtep, __u8 underlay, __u32 id,
						__u32 hash)
{
	struct bpf_redir_neigh neighbour = { .nh_family = underlay };
	const __be32 *gateway = vtep->gateway;
	__u32 ifindex = vtep->ifindex;
	struct hop *hop;

	if (vtep->hops) {
		/* The upper half of the hash: the source port is made of the lower bits. */
		struct hop_key key = { id, (hash >> 16) * vtep->hops >> 16 };

		hop = bpf_map_lookup_elem(&hops, &key);
		if (hop) {
			ifindex = hop->ifindex;
			gateway = hop->gateway;
		}
	}
	if (underlay == AF_INET6) {
		address_copy(neighbour.ipv6_nh, address_is_zero(gateway) ? vtep->address : gateway);
	} else if (gateway[0]) {
		/* An IPv4 packet by an IPv6 router (RFC 8950). */
		neighbour.nh_family = AF_INET6;
		address_copy(neighbour.ipv6_nh, gateway);
	} else {
		neighbour.ipv4_nh = gateway[3] ? gateway[3] : vtep->address[3];
	}
	return bpf_redirect_neigh(ifindex, &neighbour, sizeof(neighbour), 0);
}

/* encapsulate_over - returns a traffic-control action, or a negative drop reason. */
static __always_inline int encapsulate_over(__u8 underlay, struct __sk_buff *skb, __u8 family,
					    __u32 vni, const struct vtep *vtep, __u32 id)
{
	__u64 flags = ENCAPSULATE_FLAGS | (underlay == AF_INET6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 :
								  BPF_F_ADJ_ROOM_ENCAP_L3_IPV4);
	__u32 length = skb->len, room = overhead(underlay), which = SETTINGS_OWN, hash;
	struct settings *own = bpf_map_lookup_elem(&settings, &which);
	void *data;
	__u8 ecn;

	if (!own || !family || length + room > IP_LENGTH_MAX)
		return send_by_kernel(skb, vni, vtep, BPF_F_DONT_FRAGMENT);
	hash = skb->hash ? skb->hash : bpf_get_hash_recalc(skb);
	/* Refused for a frame that we decapsulated and a container routes back: -EALREADY. */
	if (bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, flags))
		return send_by_kernel(skb, vni, vtep, BPF_F_DONT_FRAGMENT);
	data = packet_data(skb);
	if (data + room + TOS_OFFSET + 1 > packet_end(skb))
		return -DROP_HEADER_WRITE;
	/* The inner header may stay in front: redirect_neigh replaces its MACs. */
	ethernet_copy(data + room, data);
	ecn = ecn_read(*(__u8 *)(data + room + TOS_OFFSET), family);
	if (underlay == AF_INET6)
		outer_write_ipv6(data, own, vtep, ecn, length, hash);
	else
		outer_write_ipv4(data, own, vtep, ecn, length);
	tunnel_header_write(data + room, vtep->port, vni, length, hash);
	count(ENCAPSULATED, length);
	return redirect_to_next_hop(vtep, underlay, id, hash);
}

static __noinline int encapsulate_over_ipv6(struct __sk_buff *skb, __u8 family, __u32 vni,
					    const struct vtep *vtep, __u32 id)
{
	return encapsulate_over(AF_INET6, skb, family, vni, vtep, id);
}

/* encapsulate - to the VTEP `id`. Returns a traffic-control action, or a negative drop reason. */
static __always_inline int encapsulate(struct __sk_buff *skb, __u8 family, __u32 vni,
				       const struct vtep *vtep, __u32 id)
{
	if (vtep->family == AF_INET6)
		return encapsulate_over_ipv6(skb, family, vni, vtep, id);
	return encapsulate_over(AF_INET, skb, family, vni, vtep, id);
}

#endif
