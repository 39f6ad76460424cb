/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A packet from a remote VTEP.
 *
 *   1. is it a plain tunnel packet for us?   if not, it is the kernel's, untouched:
 *                                             fragments, options, padding, GBP, GPE, and over IPv6
 *                                             whatever has a UDP checksum
 *   2. may this VTEP and this source MAC send in this network?
 *   3. where does it go?                     one local port or all; never to another VTEP
 *   4. combine ECN, remove 50 bytes (70 over IPv6), hand over
 *
 * Everything that may refuse comes before the packet is modified, so a refusal of step 4 still
 * leaves it to the kernel's device, which makes the same decisions through from_tunnel.
 *
 * Nothing but the UDP checksum protects the addresses of an IPv6 packet, so one that is there must
 * be verified (RFC 8200 section 8.1), and a program cannot: the kernel does. Over IPv4 it need not be
 * (RFC 7348 section 5). A checksum of zero is what other nodes of ours send, and is taken as it is
 * (RFC 6935).
 */
#ifndef WEFT_DECAPSULATE_H
#define WEFT_DECAPSULATE_H

#include "deliver.h"
#include "ecn.h"
#include "flood.h"
#include "learn.h"
#include "vxlan.h"

/* Linux 6.3, not in Debian 12's headers. 6.1 refuses them, and what needs them is the kernel's. */
#define ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7)
#define ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)
#define DECAPSULATE_FLAGS (BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET)

static __always_inline bool outer_is_to(__u8 underlay, const void *ip, const struct settings *vtep)
{
	const struct outer_ipv6 *ipv6 = ip;
	const struct outer_ipv4 *ipv4 = ip;

	if (underlay == AF_INET6)
		return address_equal(ipv6->ip.daddr.s6_addr32, vtep->ipv6) &&
		       ipv6->tunnel.udp.dest == vtep->port;
	return ipv4->ip.daddr == vtep->ipv4 && ipv4->tunnel.udp.dest == vtep->port;
}

/* outer_is_to_former - peers follow a change one after another, and until then send as before. */
static __always_inline bool outer_is_to_former(__u8 underlay, const void *ip)
{
	__u32 which = SETTINGS_FORMER;
	struct settings *former = bpf_map_lookup_elem(&settings, &which);

	return former && former->port && outer_is_to(underlay, ip, former);
}

static __always_inline bool ipv4_is_tunnel(const struct outer_ipv4 *outer)
{
	return outer->ip.protocol == IPPROTO_UDP && *(const __u8 *)&outer->ip == IPV4_FIRST_BYTE &&
	       !(outer->ip.frag_off & bpf_htons(~IPV4_DONT_FRAGMENT));
}

/* A fragment or an extension header shows as another next header. */
static __always_inline bool ipv6_is_tunnel(const struct outer_ipv6 *outer)
{
	return outer->ip.nexthdr == IPPROTO_UDP && ipv6_is_sound(&outer->ip);
}

static __always_inline bool outer_is_for_tunnel(__u8 underlay, const void *data,
						const struct settings *own)
{
	__be16 protocol = ((const struct ethhdr *)data)->h_proto;
	const void *ip = data + ETH_HLEN;

	if (protocol != bpf_htons(underlay == AF_INET6 ? ETH_P_IPV6 : ETH_P_IP) ||
	    !(underlay == AF_INET6 ? ipv6_is_tunnel(ip) : ipv4_is_tunnel(ip)))
		return false;
	return outer_is_to(underlay, ip, own) || outer_is_to_former(underlay, ip);
}

/* tunnel_is_plain - exact length, no extension of VXLAN. `bytes`: from the UDP header on. */
static __always_inline bool tunnel_is_plain(const struct tunnel_header *tunnel, __u32 bytes)
{
	__be32 first = tunnel->flags & bpf_htonl(VXLAN_FIRST_BYTE);

	return bpf_ntohs(tunnel->udp.len) == bytes && !(first & bpf_htonl(~VXLAN_FLAG_I));
}

/* The IP packet's length; right checksum, exact lengths. */
static __always_inline bool ipv4_is_plain(const struct outer_ipv4 *outer, __u32 length)
{
	return bpf_ntohs(outer->ip.tot_len) == length &&
	       tunnel_is_plain(&outer->tunnel, length - sizeof(outer->ip)) &&
	       ipv4_header_sum(&outer->ip) == 0xffff;
}

/* An IPv4-mapped source would pass for an IPv4 one in the tables; the kernel drops it. */
static __always_inline bool ipv6_is_plain(const struct outer_ipv6 *outer, __u32 length)
{
	return bpf_ntohs(outer->ip.payload_len) == length - sizeof(outer->ip) &&
	       tunnel_is_plain(&outer->tunnel, length - sizeof(outer->ip)) &&
	       !outer->tunnel.udp.check && !address_is_mapped(outer->ip.saddr.s6_addr32);
}

/* outer_source - the sending VTEP's address into `origin`. Returns the traffic class. */
static __always_inline __u8 outer_source(__u8 underlay, const void *ip, struct origin *origin)
{
	const struct ipv6hdr *ipv6 = ip;
	const struct iphdr *ipv4 = ip;

	if (underlay == AF_INET6) {
		address_copy(origin->vtep, ipv6->saddr.s6_addr32);
		return bpf_ntohs(*(const __be16 *)ip) >> IPV6_ECN_SHIFT;
	}
	address_from_ipv4(origin->vtep, ipv4->saddr);
	return ipv4->tos;
}

/*
 * outer_read - the outer headers, if the packet is ours to decapsulate.
 * Returns 0 with `origin`, `frame` and `tos` filled, or a negative reason: -NOT_OURS, -DECLINED
 * (the kernel's), or of a drop.
 */
static __always_inline int outer_read(__u8 underlay, struct __sk_buff *skb, struct origin *origin,
				      struct frame *frame, __u8 *tos)
{
	void *data = packet_data(skb), *end = packet_end(skb);
	__u32 which = SETTINGS_OWN, inner = overhead(underlay);
	struct tunnel_header *tunnel;
	struct settings *own;

	own = bpf_map_lookup_elem(&settings, &which);
	if (!own || skb->pkt_type != PACKET_HOST || skb->vlan_present ||
	    skb->len < inner + ETH_HLEN)
		return -NOT_OURS;
	/* Other traffic of this device is told apart without making it linear. */
	if (data + inner - sizeof(*tunnel) + sizeof(tunnel->udp) <= end &&
	    !outer_is_for_tunnel(underlay, data, own))
		return -NOT_OURS;
	data = pulled(skb, inner + ETH_HLEN);
	if (!data || !outer_is_for_tunnel(underlay, data, own))
		return -NOT_OURS;
	if (!outer_is_to(underlay, data + ETH_HLEN, own))
		count(FORMER_VTEP, skb->len - inner);
	if (underlay == AF_INET6 ? !ipv6_is_plain(data + ETH_HLEN, skb->len - ETH_HLEN) :
				   !ipv4_is_plain(data + ETH_HLEN, skb->len - ETH_HLEN))
		return -DECLINED;
	tunnel = data + inner - sizeof(*tunnel);
	origin->vni = bpf_ntohl(tunnel->vni) >> 8;
	origin->frame = inner;
	*tos = outer_source(underlay, data + ETH_HLEN, origin);
	if (!(tunnel->flags & bpf_htonl(VXLAN_FLAG_I)))
		return -DROP_NO_I_FLAG;
	ethernet_read(data + inner, frame);
	return 0;
}

/* decapsulate_flags - the helper is told when the family inside is another one than outside. */
static __always_inline __u64 decapsulate_flags(__u8 underlay, __u8 family)
{
	__u64 flags = DECAPSULATE_FLAGS | decap_flags;

	if (underlay == AF_INET)
		return family == AF_INET6 ? flags | ADJ_ROOM_DECAP_L3_IPV6 : flags;
	/* Of what is not IP, IPv6 would not let a frame shorter than its own header pass. */
	return family == AF_INET6 ? flags : flags | ADJ_ROOM_DECAP_L3_IPV4;
}

/*
 * outer_remove - takes the outer headers off.
 * Returns 0, or a negative reason; after -DECLINED the packet is as it was.
 */
static __always_inline int outer_remove(__u8 underlay, struct __sk_buff *skb,
					const struct frame *frame)
{
	__u64 flags = decapsulate_flags(underlay, frame->family);
	void *data;

	if (bpf_skb_adjust_room(skb, -(__s32)overhead(underlay), BPF_ADJ_ROOM_MAC, flags))
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
