/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Congestion marks on the way out of the tunnel (RFC 6040 section 4.2). Only two outer marks
 * matter:
 *
 *   outer \ inner   not-ECT   ECT(0)    ECT(1)    CE
 *   ECT(1)          not-ECT   ECT(1)    ECT(1)    CE
 *   CE              drop      CE        CE        CE
 */
#ifndef WEFT_ECN_H
#define WEFT_ECN_H

#include "frame.h"

#define ECN_MASK 3
#define ECN_NONE 0
#define ECN_ECT1 1
#define ECN_ECT0 2
#define ECN_CE 3
#define TOS_OFFSET (ETH_HLEN + 1) /* the second byte of either IP header */
#define IPV4_CHECKSUM_OFFSET (ETH_HLEN + 10)
#define IPV6_ECN_SHIFT 4

/* ecn_read - the mark of the IP packet of a frame. */
static __always_inline __u8 ecn_read(__u8 second_byte, __u8 family)
{
	return (family == AF_INET6 ? second_byte >> IPV6_ECN_SHIFT : second_byte) & ECN_MASK;
}

/*
 * ecn_combine - the mark the inner packet of the frame at `offset` must get.
 * Returns zero when it stays as it is, else the new mark, or a negative drop reason.
 */
static __always_inline int ecn_combine(struct __sk_buff *skb, __u8 family, __u8 outer, __u32 offset)
{
	__u8 byte, inner;

	outer &= ECN_MASK;
	if (!family || outer == ECN_NONE || outer == ECN_ECT0)
		return 0;
	if (bpf_skb_load_bytes(skb, offset + TOS_OFFSET, &byte, sizeof(byte)))
		return -DROP_MALFORMED;
	inner = ecn_read(byte, family);
	if (outer == ECN_ECT1)
		return inner == ECN_ECT0 ? ECN_ECT1 : 0;
	return inner == ECN_NONE ? -DROP_ECN : inner == ECN_CE ? 0 : ECN_CE;
}

/*
 * ecn_write - marks the IP packet of a frame that starts at offset 0. Returns 0, or a negative drop
 * reason.
 */
static __noinline int ecn_write(struct __sk_buff *skb, __u8 family, __u8 mark)
{
	__u8 old, new;

	if (bpf_skb_load_bytes(skb, TOS_OFFSET, &old, sizeof(old)))
		return -DROP_MALFORMED;
	if (family == AF_INET6) {
		new = (old & ~(ECN_MASK << IPV6_ECN_SHIFT)) | mark << IPV6_ECN_SHIFT;
		/* IPv6 has no header checksum to balance the change in the packet's sum. */
		return bpf_skb_store_bytes(skb, TOS_OFFSET, &new, sizeof(new),
					   BPF_F_RECOMPUTE_CSUM) ?
			       -DROP_HEADER_WRITE :
			       0;
	}
	new = (old & ~ECN_MASK) | mark;
	if (bpf_l3_csum_replace(skb, IPV4_CHECKSUM_OFFSET, bpf_htons(old), bpf_htons(new),
				sizeof(__be16)) ||
	    bpf_skb_store_bytes(skb, TOS_OFFSET, &new, sizeof(new), 0))
		return -DROP_HEADER_WRITE;
	return 0;
}

#endif
