/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The outer headers (RFC 7348 section 5) over either family. The structs are not packed on purpose:
 * every field lies at its natural alignment from the IP header on, so the compiler may use whole
 * words.
 *
 * Steps that need to know the underlay take its family as `underlay`, a constant wherever they are
 * called: the compiler makes one copy of them for IPv4 and one, out of line, for IPv6.
 */
#ifndef WEFT_VXLAN_H
#define WEFT_VXLAN_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/types.h>
#include <linux/udp.h>

#include "checksum.h"
#include "frame.h"

/* Specification. */
#define VXLAN_FLAG_I 0x08000000 /* the VNI is valid */
#define VXLAN_FIRST_BYTE 0xff000000 /* I, and the bits of GBP and GPE */
#define IPV4_FIRST_BYTE 0x45 /* version 4, no options */
#define IPV4_TOS_SHIFT 16
#define IPV6_VERSION 0x60000000
#define IPV6_CLASS_SHIFT 20
#define IPV6_FLOW_LABEL 0x000fffff
#define IP_LENGTH_MAX 65535
#define OUTER_TTL 64
#define SOURCE_PORT_FIRST 49152 /* RFC 7348 section 5: the dynamic range */
#define SOURCE_PORT_MASK 0x3fff

struct tunnel_header {
	struct udphdr udp;
	__be32 flags;
	__be32 vni;
};

struct outer_ipv4 {
	struct iphdr ip;
	struct tunnel_header tunnel;
};

struct outer_ipv6 {
	struct ipv6hdr ip;
	struct tunnel_header tunnel;
};

_Static_assert(sizeof(struct outer_ipv4) == 36, "outer headers");
_Static_assert(sizeof(struct outer_ipv6) == 56, "outer headers");

#define OVERHEAD_IPV4 (sizeof(struct outer_ipv4) + ETH_HLEN) /* 50 bytes */
#define OVERHEAD_IPV6 (sizeof(struct outer_ipv6) + ETH_HLEN) /* 70 bytes */

/* overhead - what encapsulation adds to a frame; also where the inner frame lies in the packet. */
static __always_inline __u32 overhead(__u8 underlay)
{
	return underlay == AF_INET6 ? OVERHEAD_IPV6 : OVERHEAD_IPV4;
}

#endif
