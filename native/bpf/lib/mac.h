/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * MAC addresses, held in two machine words. Packets and maps hold six bytes; reading them as 4 + 2
 * instead of one by one is what the compiler will not do by itself, because it must assume the
 * worst alignment.
 */
#ifndef WEFT_MAC_H
#define WEFT_MAC_H

#include <linux/if_ether.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct mac {
	__u32 head; /* bytes 0-3 as they lie in memory */
	__u16 tail; /* bytes 4-5 */
};

/*
 * The six bytes lie together at the start, so bpf_skb_load_bytes and bpf_skb_store_bytes may use
 * them.
 */
_Static_assert(__builtin_offsetof(struct mac, tail) == 4, "mac");

static __always_inline struct mac mac_read(const void *at)
{
	return (struct mac){ .head = *(const __u32 *)at, .tail = *(const __u16 *)(at + 4) };
}

static __always_inline void mac_write(void *at, struct mac mac)
{
	*(__u32 *)at = mac.head;
	*(__u16 *)(at + 4) = mac.tail;
}

/*
 * mac_write_padded - writes the MAC and two zero bytes as two words, so that a hash reading words
 * need not wait.
 */
static __always_inline void mac_write_padded(void *at, struct mac mac)
{
	*(__u32 *)at = mac.head;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	*(__u32 *)(at + 4) = mac.tail;
#else
	*(__u32 *)(at + 4) = (__u32)mac.tail << 16;
#endif
}

static __always_inline bool mac_equal(struct mac a, struct mac b)
{
	return a.head == b.head && a.tail == b.tail;
}

/* mac_is_group - broadcast or multicast: the lowest bit of the first byte. */
static __always_inline bool mac_is_group(struct mac mac)
{
	return mac.head & bpf_htonl(0x01000000);
}

static __always_inline bool mac_is_broadcast(struct mac mac)
{
	return mac.head == 0xffffffff && mac.tail == 0xffff;
}

static __always_inline bool mac_is_zero(struct mac mac)
{
	return mac.head == 0 && mac.tail == 0;
}

/*
 * mac_is_link_local_group - 01-80-C2-00-00-0x: spanning tree, LLDP, LACP; 802.1D says bridges keep
 * them.
 */
static __always_inline bool mac_is_link_local_group(struct mac mac)
{
	return mac.head == bpf_htonl(0x0180c200) && (mac.tail & bpf_htons(0xfff0)) == 0;
}

#endif
