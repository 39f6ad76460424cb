/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A packet from a remote VTEP.
 *
 *   1. is it a plain tunnel packet for us?   if not, it is the kernel's, untouched:
 *                                             fragments, options, padding, GBP, GPE
 *   2. may this VTEP and this source MAC send in this network?
 *   3. where does it go?                     one local port or all; never to another VTEP
 *   4. combine ECN, remove 50 bytes, hand over
 *
 * Everything that may refuse comes before the packet is modified, so a refusal of step 4 still
 * leaves it to the kernel's device, which makes the same decisions through from_tunnel.
 */
#ifndef WEFT_DECAPSULATE_H
#define WEFT_DECAPSULATE_H

#include "deliver.h"
#include "ecn.h"
#include "flood.h"
#include "learn.h"
#include "vxlan.h"

/* Linux 6.3, not in Debian 12's headers. 6.1 refuses it, and inner IPv6 is left to the kernel. */
#define ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)
#define DECAPSULATE_FLAGS (BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET)
#define OUTER_LENGTH (ETH_HLEN + sizeof(struct outer_ipv4))

static __always_inline bool outer_is_for_tunnel(const void *data, const struct settings *own)
{
	const struct outer_ipv4 *outer = data + ETH_HLEN;

	return ((const struct ethhdr *)data)->h_proto == bpf_htons(ETH_P_IP) &&
	       outer->ip.protocol == IPPROTO_UDP && outer->ip.daddr == own->ipv4 &&
	       *(const __u8 *)&outer->ip == IPV4_FIRST_BYTE && outer->udp.dest == own->port &&
	       !(outer->ip.frag_off & bpf_htons(~IPV4_DONT_FRAGMENT));
}

/* outer_is_plain - exact lengths, right checksum, no extension of VXLAN. */
static __always_inline bool outer_is_plain(const struct outer_ipv4 *outer, __u32 length)
{
	__be32 first = outer->flags & bpf_htonl(VXLAN_FIRST_BYTE);

	return bpf_ntohs(outer->ip.tot_len) == length - ETH_HLEN &&
	       bpf_ntohs(outer->udp.len) == length - ETH_HLEN - sizeof(outer->ip) &&
	       ipv4_header_sum(&outer->ip) == 0xffff && !(first & bpf_htonl(~VXLAN_FLAG_I));
}

/*
 * outer_read - the outer headers, if the packet is ours to decapsulate.
 * Returns 0 with `origin`, `frame` and `tos` filled, or a negative reason: -NOT_OURS, -DECLINED
 * (the kernel's), or of a drop.
 */
static __always_inline int outer_read(struct __sk_buff *skb, struct origin *origin,
				      struct frame *frame, __u8 *tos)
{
	void *data = packet_data(skb), *end = packet_end(skb);
	struct outer_ipv4 *outer;
	struct settings *own;
	__u32 zero = 0;

	own = bpf_map_lookup_elem(&settings, &zero);
	if (!own || skb->pkt_type != PACKET_HOST || skb->vlan_present ||
	    skb->len < OUTER_LENGTH + ETH_HLEN)
		return -NOT_OURS;
	/* Other traffic of this device is told apart without making it linear. */
	if (data + ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) <= end &&
	    !outer_is_for_tunnel(data, own))
		return -NOT_OURS;
	data = pulled(skb, OUTER_LENGTH + ETH_HLEN);
	if (!data || !outer_is_for_tunnel(data, own))
		return -NOT_OURS;
	outer = data + ETH_HLEN;
	if (!outer_is_plain(outer, skb->len))
		return -DECLINED;
	origin->vni = bpf_ntohl(outer->vni) >> 8;
	origin->frame = OUTER_LENGTH;
	address_from_ipv4(origin->vtep, outer->ip.saddr);
	if (!(outer->flags & bpf_htonl(VXLAN_FLAG_I)))
		return -DROP_NO_I_FLAG;
	*tos = outer->ip.tos;
	ethernet_read(outer + 1, frame);
	return 0;
}

/*
 * outer_remove - takes the outer headers off.
 * Returns 0, or a negative reason; after -DECLINED the packet is as it was.
 */
static __always_inline int outer_remove(struct __sk_buff *skb, const struct frame *frame)
{
	__u64 flags = DECAPSULATE_FLAGS | decap_flags;
	void *data;

	if (frame->family == AF_INET6)
		flags |= ADJ_ROOM_DECAP_L3_IPV6;
	if (bpf_skb_adjust_room(skb, -(__s32)OVERHEAD_IPV4, BPF_ADJ_ROOM_MAC, flags))
		return -DECLINED;
	data = packet_data(skb);
	if (data + ETH_HLEN > packet_end(skb))
		return -DROP_HEADER_WRITE;
	ethernet_write(data, frame);
	/* As the kernel's UDP does, so that an outer checksum is not taken for the inner one. */
	bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC);
	/* Nothing to the container. Volatile: two fields must not become one store. */
	*(volatile __u32 *)&skb->queue_mapping = 0;
	*(volatile __u32 *)&skb->mark = 0;
	return 0;
}

#endif
