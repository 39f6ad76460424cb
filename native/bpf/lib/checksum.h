/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The Internet checksum (RFC 1071), computed over words as they lie in memory: byte order does not
 * matter to it.
 */
#ifndef WEFT_CHECKSUM_H
#define WEFT_CHECKSUM_H

#include <linux/ip.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

/* checksum_fold - a sum of words, folded into 16 bits; not yet complemented. */
static __always_inline __u16 checksum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* ipv4_header_sum - of a header without options: 0xffff when its checksum is right. */
static __always_inline __u16 ipv4_header_sum(const struct iphdr *ip)
{
	const __u32 *word = (const void *)ip;

	return checksum_fold((__u64)word[0] + word[1] + word[2] + word[3] + word[4]);
}

/*
 * icmpv6_checksum - of a whole packet without extension headers, whose checksum field is zero. The
 * sum runs from the addresses on, so it covers the pseudo header (RFC 8200 section 8.1) but for
 * length and protocol.
 */
static __always_inline __sum16 icmpv6_checksum(const void *addresses, __u32 bytes)
{
	__s64 sum = bpf_csum_diff(NULL, 0, (void *)addresses, bytes, 0);

	return ~checksum_fold((__u64)(__u32)sum + bpf_htonl(IPPROTO_ICMPV6) +
			      bpf_htonl(bytes - 32));
}

#endif
