/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * An inner frame, read once: just what every frame needs, so that it stays in registers over the
 * helpers that may move the data. Rare paths read the rest themselves.
 */
#ifndef WEFT_FRAME_H
#define WEFT_FRAME_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "mac.h"
#include "reasons.h"

/* Specification: not all are in the uapi headers. */
#define AF_INET 2
#define AF_INET6 10
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV6_NEXT_HEADER 6 /* offset in the header */
#define IPV6_FRAGMENT_OFFSET 0xfff8
/* Implementation: extension headers that are read past; stacks send one or two. */
#define EXTENSIONS_MAX 8

struct frame {
	struct mac destination;
	struct mac source;
	__be16 protocol;
	__u8 family; /* AF_INET, AF_INET6, or zero */
	__u8 next_header; /* of IPv6; zero for others */
};

/*
 * packet_data, packet_end - the bounds of the linear data. In assembler, because the fields are 32
 * bits wide to the compiler: it would keep them in half a register, and what the verifier must see
 * as a pointer would be a number.
 */
static __always_inline void *packet_data(const struct __sk_buff *skb)
{
	void *at;

	asm volatile("%0 = *(u32 *)(%1 + %2)"
		     : "=r"(at)
		     : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, data)));
	return at;
}

static __always_inline void *packet_end(const struct __sk_buff *skb)
{
	void *at;

	asm volatile("%0 = *(u32 *)(%1 + %2)"
		     : "=r"(at)
		     : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, data_end)));
	return at;
}

/* pulled - the packet's data, if its first `bytes` can be made linear; else NULL. */
static __always_inline void *pulled(struct __sk_buff *skb, __u32 bytes)
{
	void *data = packet_data(skb);

	if (data + bytes <= packet_end(skb))
		return data;
	if (bpf_skb_pull_data(skb, bytes))
		return NULL;
	data = packet_data(skb);
	return data + bytes <= packet_end(skb) ? data : NULL;
}

/* ethernet_read - the Ethernet header at `at`. */
static __always_inline void ethernet_read(const void *at, struct frame *frame)
{
	frame->destination = mac_read(at);
	frame->source = mac_read(at + ETH_ALEN);
	frame->protocol = *(const __be16 *)(at + 2 * ETH_ALEN);
	frame->family = frame->protocol == bpf_htons(ETH_P_IP)	 ? AF_INET :
			frame->protocol == bpf_htons(ETH_P_IPV6) ? AF_INET6 :
								   0;
}

static __always_inline void ethernet_write(void *at, const struct frame *frame)
{
	mac_write(at, frame->destination);
	mac_write(at + ETH_ALEN, frame->source);
	*(__be16 *)(at + 2 * ETH_ALEN) = frame->protocol;
}

static __always_inline bool frame_is_tagged(const struct __sk_buff *skb, const struct frame *frame)
{
	return skb->vlan_present || frame->protocol == bpf_htons(ETH_P_8021Q) ||
	       frame->protocol == bpf_htons(ETH_P_8021AD);
}

/* ethernet_copy - from one place in a packet to another, in three moves. */
static __always_inline void ethernet_copy(void *to, const void *from)
{
	*(__u64 *)to = *(const __u64 *)from;
	*(__u32 *)(to + 8) = *(const __u32 *)(from + 8);
	*(__u16 *)(to + 12) = *(const __u16 *)(from + 12);
}

static __always_inline bool ipv4_is_sound(const struct iphdr *ip)
{
	__u8 first = *(const __u8 *)ip;

	return (first & 0xf0) == 0x40 && (first & 0x0f) * 4 >= (__u8)sizeof(*ip);
}

static __always_inline bool ipv6_is_sound(const struct ipv6hdr *ip)
{
	return (*(const __u8 *)ip & 0xf0) == 0x60;
}

#endif
