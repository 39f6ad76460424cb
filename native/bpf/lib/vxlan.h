/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The outer headers (RFC 7348 section 5) over IPv4. The struct is not packed on purpose: every
 * field lies at its natural alignment from the IP header on, so the compiler may use whole words.
 */
#ifndef WEFT_VXLAN_H
#define WEFT_VXLAN_H

#include <linux/ip.h>
#include <linux/types.h>
#include <linux/udp.h>

#include "checksum.h"
#include "frame.h"

/* Specification. */
#define VXLAN_FLAG_I 0x08000000 /* the VNI is valid */
#define VXLAN_FIRST_BYTE 0xff000000 /* I, and the bits of GBP and GPE */
#define IPV4_FIRST_BYTE 0x45 /* version 4, no options */
#define OUTER_TTL 64
#define SOURCE_PORT_FIRST 49152 /* RFC 7348 section 5: the dynamic range */
#define SOURCE_PORT_MASK 0x3fff

struct outer_ipv4 {
	struct iphdr ip;
	struct udphdr udp;
	__be32 flags;
	__be32 vni;
};

_Static_assert(sizeof(struct outer_ipv4) == 36, "outer headers");

#define OVERHEAD_IPV4 (sizeof(struct outer_ipv4) + ETH_HLEN) /* 50 bytes */
#define OVERHEAD_IPV6 (OVERHEAD_IPV4 + 20)

#endif
