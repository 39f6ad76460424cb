/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Packets that the path to their VTEP cannot carry whole. Containers send what the network's MTU
 * allows; a path that proves smaller, or a container that raised its own MTU, comes here.
 *
 *   IPv4 without DF, not IP                 the kernel's device fragments the outer packet
 *   IPv6 no larger than its minimum MTU     the same, it cannot shrink (RFC 8200 section 5)
 *   nobody can be told: an ICMP error, a    the same: a packet is carried rather than lost in silence
 *   later fragment, no single sender
 *   else                                    ICMP tells the sender, in the name of the destination:
 *                                           RFC 1191, RFC 8201
 *
 * The kernel fragments no outer packet over IPv6 (ip6_fragment: none that a socket did not send), so
 * there the sender of IPv4 without DF is told as well, and fragments by itself from then on; what
 * cannot shrink is dropped, which a path of 1,350 bytes or more never does to IPv6.
 *
 * A segmented packet is judged by its segments, never by the length of the aggregate.
 */
#ifndef WEFT_TOO_BIG_H
#define WEFT_TOO_BIG_H

#include <linux/icmpv6.h>

#include "encapsulate.h"

/* Specification; linux/icmp.h would pull in the C library. */
#define ICMP_ECHO 8
#define ICMP_ECHOREPLY 0
#define ICMP_DEST_UNREACH 3
#define ICMP_FRAG_NEEDED 4
#define ICMPV6_FIRST_INFORMATIONAL 128 /* RFC 4443 section 2.1: errors are below */
#define TCP_DATA_OFFSET 12
#define UDP_HEADER_LENGTH 8
#define IPV6_MTU_MIN 1280
#define IPV4_MULTICAST 0xe0000000 /* and all above: reserved, broadcast */
/* Implementation: answers per second and endpoint, and how much of the packet an answer quotes. */
#define TOO_BIG_RATE 1000
#define QUOTE_LENGTH 104

struct icmp_too_big {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be16 unused;
	__be16 mtu;
};

struct too_big_ipv4 {
	struct iphdr ip;
	struct icmp_too_big icmp;
	__u8 quote[QUOTE_LENGTH];
};

struct too_big_ipv6 {
	struct ipv6hdr ip;
	struct icmp6hdr icmp;
	__u8 quote[QUOTE_LENGTH];
};

/* What an oversized packet says of itself: read on this path only. */
struct oversized {
	__u16 transport_at; /* from the IP header on */
	__u8 transport;
	bool dont_fragment; /* IPv6 always */
	bool answerable; /* the sender can be told, and may be */
};

/* An extension header (RFC 8200 section 4): the fragment header's second byte means nothing. */
struct extension {
	__u8 next;
	__u8 length; /* in 8 bytes, beyond the first 8 */
	__be16 fragment;
};

/*
 * oversized_ipv4 - no error about what is no first fragment, or has no single sender or receiver
 * (RFC 1122 section 3.2.2).
 */
static __always_inline void oversized_ipv4(struct __sk_buff *skb, struct oversized *packet)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return;
	packet->transport_at = ip.ihl * 4;
	packet->transport = ip.protocol;
	packet->dont_fragment = ip.frag_off & bpf_htons(IPV4_DONT_FRAGMENT);
	packet->answerable = !(ip.frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET)) && ip.saddr &&
			     bpf_ntohl(ip.saddr) < IPV4_MULTICAST &&
			     bpf_ntohl(ip.daddr) < IPV4_MULTICAST;
}

/* oversized_ipv6 - the same by RFC 4443 section 2.4 (e), with the extension headers skipped. */
static __always_inline void oversized_ipv6(struct __sk_buff *skb, struct oversized *packet)
{
	struct ipv6hdr ip;
	struct extension extension;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return;
	packet->transport_at = sizeof(ip);
	packet->transport = ip.nexthdr;
	packet->dont_fragment = true;
	packet->answerable = !address_is_zero(ip.saddr.s6_addr32) &&
			     !address_is_multicast(ip.saddr.s6_addr32) &&
			     !address_is_multicast(ip.daddr.s6_addr32);
	for (int skipped = 0; skipped < EXTENSIONS_MAX; skipped++) {
		if (packet->transport != IPPROTO_HOPOPTS && packet->transport != IPPROTO_ROUTING &&
		    packet->transport != IPPROTO_DSTOPTS && packet->transport != IPPROTO_FRAGMENT)
			return;
		if (bpf_skb_load_bytes(skb, ETH_HLEN + packet->transport_at, &extension,
				       sizeof(extension)))
			break;
		if (packet->transport != IPPROTO_FRAGMENT)
			packet->transport_at += extension.length * 8;
		else if (extension.fragment & bpf_htons(IPV6_FRAGMENT_OFFSET))
			packet->answerable = false;
		packet->transport_at += 8;
		packet->transport = extension.next;
	}
	packet->answerable = false;
}

/* is_icmp_error - an error must never be about another: only informational messages are answered. */
static __always_inline bool is_icmp_error(struct __sk_buff *skb, const struct oversized *packet)
{
	__u8 type = 0;

	if (packet->transport != IPPROTO_ICMP && packet->transport != IPPROTO_ICMPV6)
		return false;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + packet->transport_at, &type, sizeof(type)))
		return true;
	if (packet->transport == IPPROTO_ICMPV6)
		return type < ICMPV6_FIRST_INFORMATIONAL;
	return type != ICMP_ECHO && type != ICMP_ECHOREPLY;
}

/* Zero for what is not IP: it may be fragmented. */
static __always_inline void oversized_read(struct __sk_buff *skb, __u8 family,
					   struct oversized *packet)
{
	*packet = (struct oversized){};
	if (family == AF_INET)
		oversized_ipv4(skb, packet);
	else if (family == AF_INET6)
		oversized_ipv6(skb, packet);
	/* A sender finds its socket by the ports, which must be in the quote. */
	if (packet->transport_at + UDP_HEADER_LENGTH > QUOTE_LENGTH ||
	    skb->len < ETH_HLEN + QUOTE_LENGTH || is_icmp_error(skb, packet))
		packet->answerable = false;
}

/* segment_length - the IP length of the largest packet this one becomes on the wire. */
static __always_inline __u32 segment_length(struct __sk_buff *skb, const struct oversized *packet)
{
	__u32 header = UDP_HEADER_LENGTH, size = skb->gso_size;
	__u8 offset;

	if (!size)
		return skb->len - ETH_HLEN;
	if (packet->transport == IPPROTO_TCP &&
	    !bpf_skb_load_bytes(skb, ETH_HLEN + packet->transport_at + TCP_DATA_OFFSET, &offset,
				sizeof(offset)))
		header = (offset >> 4) * 4;
	return packet->transport_at + header + size;
}

/* largest_packet - what the endpoint may send on the path to a VTEP, IP packet in bytes. */
static __always_inline __u32 largest_packet(const struct port *port, const struct vtep *vtep)
{
	__u32 room = overhead(vtep->family), path = vtep->mtu;

	return path > room && path - room < port->mtu ? path - room : port->mtu;
}

/* answer_store - replaces the packet by an answer to its sender, and sends it back. */
static __always_inline int answer_store(struct __sk_buff *skb, const void *answer, __u32 length)
{
	struct mac destination = {}, source = {};

	if (bpf_skb_load_bytes(skb, 0, &destination, ETH_ALEN) ||
	    bpf_skb_load_bytes(skb, ETH_ALEN, &source, ETH_ALEN) ||
	    bpf_skb_change_tail(skb, ETH_HLEN + length, 0) ||
	    bpf_skb_store_bytes(skb, 0, &source, ETH_ALEN, 0) ||
	    bpf_skb_store_bytes(skb, ETH_ALEN, &destination, ETH_ALEN, 0) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN, answer, length, BPF_F_RECOMPUTE_CSUM))
		return -DROP_TOO_BIG;
	count(TOO_BIG_ANSWERED, skb->len);
	return bpf_redirect(skb->ifindex, 0);
}

/* too_big_answer_ipv4 - fragmentation needed (RFC 1191 section 4). */
static __noinline int too_big_answer_ipv4(struct __sk_buff *skb, __u32 mtu)
{
	struct too_big_ipv4 answer = {};
	struct iphdr *quoted = (void *)answer.quote;
	__s64 sum;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, answer.quote, sizeof(answer.quote)))
		return -DROP_TOO_BIG;
	*(__be32 *)&answer.ip = bpf_htonl(IPV4_FIRST_BYTE << 24 | sizeof(answer));
	answer.ip.ttl = OUTER_TTL;
	answer.ip.protocol = IPPROTO_ICMP;
	answer.ip.saddr = quoted->daddr;
	answer.ip.daddr = quoted->saddr;
	answer.ip.check = ~ipv4_header_sum(&answer.ip);
	answer.icmp.type = ICMP_DEST_UNREACH;
	answer.icmp.code = ICMP_FRAG_NEEDED;
	answer.icmp.mtu = bpf_htons(mtu);
	sum = bpf_csum_diff(NULL, 0, (void *)&answer.icmp, sizeof(answer) - sizeof(answer.ip), 0);
	answer.icmp.checksum = ~checksum_fold((__u32)sum);
	return answer_store(skb, &answer, sizeof(answer));
}

/* too_big_answer_ipv6 - packet too big (RFC 4443 section 3.2). */
static __noinline int too_big_answer_ipv6(struct __sk_buff *skb, __u32 mtu)
{
	struct too_big_ipv6 answer = {};
	struct ipv6hdr *quoted = (void *)answer.quote;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, answer.quote, sizeof(answer.quote)))
		return -DROP_TOO_BIG;
	*(__be32 *)&answer.ip = bpf_htonl(6 << 28);
	answer.ip.payload_len = bpf_htons(sizeof(answer) - sizeof(answer.ip));
	answer.ip.nexthdr = IPPROTO_ICMPV6;
	answer.ip.hop_limit = OUTER_TTL;
	address_copy(answer.ip.saddr.s6_addr32, quoted->daddr.s6_addr32);
	address_copy(answer.ip.daddr.s6_addr32, quoted->saddr.s6_addr32);
	answer.icmp.icmp6_type = ICMPV6_PKT_TOOBIG;
	answer.icmp.icmp6_mtu = bpf_htonl(mtu);
	answer.icmp.icmp6_cksum = icmpv6_checksum(&answer.ip.saddr, sizeof(answer) - 8);
	return answer_store(skb, &answer, sizeof(answer));
}

/*
 * check_size - deals with a packet whose length exceeds `mtu`.
 * Returns 0 when its segments fit, an action when it is dealt with, or a negative drop reason.
 */
static __noinline int check_size(struct __sk_buff *skb, __u8 family, __u32 vni,
				 const struct vtep *vtep, __u32 mtu)
{
	struct oversized packet;
	__u32 length;

	oversized_read(skb, family, &packet);
	length = segment_length(skb, &packet);
	if (length <= mtu)
		return 0;
	if (!packet.dont_fragment || !packet.answerable ||
	    (family == AF_INET6 && length <= IPV6_MTU_MIN)) {
		if (vtep->family != AF_INET6)
			return send_by_kernel(skb, vni, vtep, 0);
		if (family != AF_INET || !packet.answerable)
			return -DROP_TOO_BIG;
	}
	if (!bucket_take(BUCKET_TOO_BIG, skb->ifindex, TOO_BIG_RATE))
		return -DROP_TOO_BIG;
	if (family == AF_INET6)
		return too_big_answer_ipv6(skb, mtu > IPV6_MTU_MIN ? mtu : IPV6_MTU_MIN);
	return too_big_answer_ipv4(skb, mtu);
}

#endif
