/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Addresses as the maps hold them: four words in network order, IPv4 mapped into ::ffff:0:0/96
 * (RFC 4291 section 2.5.5).
 */
#ifndef WEFT_ADDRESS_H
#define WEFT_ADDRESS_H

#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

static __always_inline void address_from_ipv4(__be32 address[4], __be32 ipv4)
{
	address[0] = 0;
	address[1] = 0;
	address[2] = bpf_htonl(0xffff);
	address[3] = ipv4;
}

static __always_inline void address_copy(__be32 to[4], const __be32 from[4])
{
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
}

static __always_inline bool address_equal(const __be32 a[4], const __be32 b[4])
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

static __always_inline bool address_is_zero(const __be32 address[4])
{
	return !(address[0] | address[1] | address[2] | address[3]);
}

/* address_is_mapped - ::ffff:0:0/96, IPv4 */
static __always_inline bool address_is_mapped(const __be32 address[4])
{
	return !(address[0] | address[1]) && address[2] == bpf_htonl(0xffff);
}

/* address_is_link_local - fe80::/10 */
static __always_inline bool address_is_link_local(const __be32 address[4])
{
	return (address[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* address_is_multicast - ff00::/8 */
static __always_inline bool address_is_multicast(const __be32 address[4])
{
	return (address[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
}

#endif
