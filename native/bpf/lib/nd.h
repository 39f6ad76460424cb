/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Neighbour discovery, answered where it is asked (RFC 4861 section 7.2): the IPv6 twin of arp.h,
 * with the same cases. A solicitation from :: is duplicate address detection (RFC 4862
 * section 5.4): answered to all nodes, and only when somebody else owns the address. Answers are
 * built whole, with a checksum of their own, over the frame that asked.
 */
#ifndef WEFT_ND_H
#define WEFT_ND_H

#include <linux/icmpv6.h>

#include "arp.h"
#include "checksum.h"
#include "flood.h"

/* Specification. */
#define ND_HOP_LIMIT 255
#define ND_OPTION_SOURCE 1
#define ND_OPTION_TARGET 2
#define ND_SOLICITED 0x40000000
#define ND_OVERRIDE 0x20000000
/* Implementation: stacks send two or three options. */
#define ND_OPTIONS_MAX 6

struct nd_option {
	__u8 type;
	__u8 length; /* in units of 8 bytes, itself included */
	__u8 mac[ETH_ALEN];
};

/* A solicitation or an advertisement, without its options. */
struct nd_message {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 flags;
	__be32 target[4];
};

/* A whole advertisement but for its Ethernet header. */
struct nd_answer {
	__be32 version;
	__be16 length;
	__u8 next;
	__u8 hop_limit;
	__be32 source[4];
	__be32 destination[4];
	struct nd_message message;
	struct nd_option option;
};

_Static_assert(sizeof(struct nd_answer) == 72, "neighbour advertisement");

/*
 * nd_options_check - the link-layer addresses an endpoint claims must be its own. Everything behind
 * the fixed part of the message must be well-formed options. Returns 0, or a negative drop reason.
 */
static __always_inline int nd_options_check(struct __sk_buff *skb, __u32 at, struct mac own)
{
	struct mac claimed = {};
	__u8 head[2];

	for (int i = 0; i < ND_OPTIONS_MAX; i++) {
		if (at >= skb->len)
			return 0;
		if (bpf_skb_load_bytes(skb, at, head, sizeof(head)) || head[1] == 0)
			return -DROP_MALFORMED;
		if (head[0] == ND_OPTION_SOURCE || head[0] == ND_OPTION_TARGET) {
			if (bpf_skb_load_bytes(skb, at + sizeof(head), &claimed, ETH_ALEN) ||
			    head[1] != 1)
				return -DROP_MALFORMED;
			if (!mac_equal(claimed, own))
				return -DROP_SOURCE_MAC;
		}
		at += head[1] * 8;
	}
	return -DROP_MALFORMED;
}

/* nd_reply - turns the frame that asked into the answer. */
static __always_inline int nd_reply(struct __sk_buff *skb, const struct ipv6hdr *asked,
				    const struct nd_message *message, struct mac asker,
				    struct mac owner)
{
	struct nd_answer answer = { .version = bpf_htonl(6 << 28),
				    .next = IPPROTO_ICMPV6,
				    .hop_limit = ND_HOP_LIMIT };
	bool is_probe = address_is_zero(asked->saddr.s6_addr32);

	answer.length = bpf_htons(sizeof(answer.message) + sizeof(answer.option));
	address_copy(answer.source, message->target);
	answer.message.type = ND_NEIGHBOUR_ADVERTISEMENT;
	address_copy(answer.message.target, message->target);
	answer.option.type = ND_OPTION_TARGET;
	answer.option.length = 1;
	__builtin_memcpy(answer.option.mac, &owner, ETH_ALEN); /* at an odd place for words */
	if (is_probe) {
		/* ff02::1, all nodes, and its MAC (RFC 2464 section 7) */
		answer.destination[0] = bpf_htonl(0xff020000);
		answer.destination[3] = bpf_htonl(1);
		answer.message.flags = bpf_htonl(ND_OVERRIDE);
		asker = (struct mac){ .head = bpf_htonl(0x33330000), .tail = bpf_htons(1) };
	} else {
		address_copy(answer.destination, asked->saddr.s6_addr32);
		answer.message.flags = bpf_htonl(ND_SOLICITED | ND_OVERRIDE);
	}
	answer.message.checksum = icmpv6_checksum(answer.source, sizeof(answer) - 8);

	if (bpf_skb_change_tail(skb, ETH_HLEN + sizeof(answer), 0) ||
	    bpf_skb_store_bytes(skb, 0, &asker, ETH_ALEN, 0) ||
	    bpf_skb_store_bytes(skb, ETH_ALEN, &owner, ETH_ALEN, 0) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN, &answer, sizeof(answer), BPF_F_RECOMPUTE_CSUM))
		return -DROP_HEADER_WRITE;
	count(ND_ANSWERED, skb->len);
	return bpf_redirect(skb->ifindex, 0);
}

/* nd_solicited - a well-formed solicitation: answer it, or 0 to forward it. */
static __always_inline int nd_solicited(struct __sk_buff *skb, const struct port *port,
					const struct ipv6hdr *ip, const struct nd_message *message)
{
	struct neighbour_key key = { .vni = port->vni };
	struct neighbour *neighbour;
	struct mac destination = {}, own = mac_read(port->mac);

	address_copy(key.address, message->target);
	neighbour = bpf_map_lookup_elem(&neighbours, &key);
	if (!neighbour) {
		if (!address_is_link_local(message->target) &&
		    !address_equal(message->target, port->ipv6))
			miss_address(skb, port, &key);
		return 0;
	}
	if (bpf_skb_load_bytes(skb, 0, &destination, ETH_ALEN))
		return -DROP_RUNT;
	if (mac_equal(mac_read(neighbour->mac), own))
		return 0;
	if (!mac_is_group(destination) && !mac_equal(destination, mac_read(neighbour->mac)))
		return 0;
	return nd_reply(skb, ip, message, own, mac_read(neighbour->mac));
}

/*
 * nd_handle - checks an ICMPv6 packet of a container and answers it if it is a solicitation for a
 * known address. Returns an action when answered, 0 to forward the frame, or a negative drop
 * reason.
 */
static __noinline int nd_handle(struct __sk_buff *skb, const struct port *port)
{
	struct nd_message message;
	struct ipv6hdr ip;
	__u32 at = ETH_HLEN + sizeof(ip);
	bool is_router;
	int error;

	if (!port || bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) ||
	    bpf_skb_load_bytes(skb, at, &message.type, 2))
		return -DROP_MALFORMED;
	if (message.type < ND_ROUTER_SOLICITATION || message.type > ND_REDIRECT)
		return 0;
	if (ip.hop_limit != ND_HOP_LIMIT || message.code)
		return -DROP_MALFORMED;
	is_router = port->flags & PORT_ANY_SOURCE;
	if (message.type == ND_ROUTER_ADVERTISEMENT || message.type == ND_REDIRECT)
		return is_router ? 0 : -DROP_ROUTER_MESSAGE;
	if (message.type == ND_ROUTER_SOLICITATION)
		return nd_options_check(skb, at + 8, mac_read(port->mac));
	if (bpf_skb_load_bytes(skb, at, &message, sizeof(message)) ||
	    address_is_multicast(message.target))
		return -DROP_MALFORMED;
	error = nd_options_check(skb, at + sizeof(message), mac_read(port->mac));
	if (error)
		return error;
	if (message.type == ND_NEIGHBOUR_SOLICITATION)
		return nd_solicited(skb, port, &ip, &message);
	return source_owns_ipv6(port, message.target) ? 0 : -DROP_SOURCE_ADDRESS;
}

/* extension_length - of the header at the start of `head`; zero when it is none that others follow. */
static __always_inline __u32 extension_length(__u8 type, const __u8 head[4])
{
	if (type == IPPROTO_FRAGMENT)
		return 8;
	if (type == IPPROTO_AH)
		return (head[1] + 2) * 4;
	if (type == IPPROTO_HOPOPTS || type == IPPROTO_ROUTING || type == IPPROTO_DSTOPTS ||
	    type == IPPROTO_MH)
		return (head[1] + 1) * 8;
	return 0;
}

/*
 * nd_hidden - finds neighbour discovery behind extension headers and in fragments, where nd_handle
 * does not look and receivers do (RFC 7113 section 2). No stack sends it so, and it is dropped; so
 * is a packet whose first part hides what it carries (RFC 7112). Returns 0, or a negative drop
 * reason.
 */
static __noinline int nd_hidden(struct __sk_buff *skb, __u8 next)
{
	__u32 at = ETH_HLEN + sizeof(struct ipv6hdr);
	__u8 head[4] = {};

	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		if (!extension_length(next, head) && next != IPPROTO_ICMPV6)
			return 0;
		if (bpf_skb_load_bytes(skb, at, head, sizeof(head)))
			return -DROP_MALFORMED;
		if (next == IPPROTO_ICMPV6)
			return head[0] >= ND_ROUTER_SOLICITATION && head[0] <= ND_REDIRECT ?
				       -DROP_MALFORMED :
				       0;
		if (next == IPPROTO_FRAGMENT &&
		    *(__be16 *)(head + 2) & bpf_htons(IPV6_FRAGMENT_OFFSET))
			return 0;
		at += extension_length(next, head);
		next = head[0];
	}
	return -DROP_MALFORMED;
}

#endif
