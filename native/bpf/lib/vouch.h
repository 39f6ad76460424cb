/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which way a tunnel packet came. The kernel's vxlan device has one socket for all devices and
 * addresses of the host, so a container that reaches its host by another of its interfaces
 * (docker_gwbridge) can send to it, with the address of a VTEP for a source: rp_filter is off or
 * loose on most hosts. What from_underlay leaves to the kernel therefore gets a mark, and
 * from_tunnel takes nothing else. The mark stays with the packet through reassembly, the UDP
 * socket and the device, and ends where a packet leaves the network namespace, so no container
 * can bring one along.
 *
 * The fast path never comes here. Read from the network header on: an underlay device may have no
 * Ethernet header.
 */
#ifndef WEFT_VOUCH_H
#define WEFT_VOUCH_H

#include <linux/udp.h>

#include "frame.h"
#include "maps.h"

/* Implementation: "weft". Compared as a whole, so that a bit of somebody else's is no voucher. */
#define UNDERLAY_MARK 0x77656674
#define IPV6_FRAGMENT_HEADER_LENGTH 8

static __always_inline bool network_read(struct __sk_buff *skb, __u32 at, void *to, __u32 length)
{
	return !bpf_skb_load_bytes_relative(skb, at, to, length, BPF_HDR_START_NET);
}

/*
 * udp_offset - where the UDP header is, from the network header on; zero when there is none. Of
 * fragments only the first has it, and it lends its mark to the whole.
 */
static __always_inline __u32 udp_offset(struct __sk_buff *skb)
{
	struct ipv6hdr ipv6;
	struct iphdr ipv4;
	__u8 next[2];

	if (skb->protocol == bpf_htons(ETH_P_IP) && network_read(skb, 0, &ipv4, sizeof(ipv4)))
		return ipv4.protocol == IPPROTO_UDP &&
				       !(ipv4.frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET)) ?
			       ipv4.ihl * 4 :
			       0;
	if (skb->protocol != bpf_htons(ETH_P_IPV6) || !network_read(skb, 0, &ipv6, sizeof(ipv6)))
		return 0;
	if (ipv6.nexthdr == IPPROTO_UDP)
		return sizeof(ipv6);
	if (ipv6.nexthdr != IPPROTO_FRAGMENT ||
	    !network_read(skb, sizeof(ipv6), next, sizeof(next)) || next[0] != IPPROTO_UDP)
		return 0;
	return sizeof(ipv6) + IPV6_FRAGMENT_HEADER_LENGTH;
}

/* vouch - for a packet of the underlay that goes on to the kernel, if it is for the tunnel. */
static __always_inline void vouch(struct __sk_buff *skb)
{
	__u32 zero = 0, at = udp_offset(skb);
	struct settings *own;
	struct udphdr udp;

	if (!at || !network_read(skb, at, &udp, sizeof(udp)))
		return;
	own = bpf_map_lookup_elem(&settings, &zero);
	if (own && udp.dest == own->port)
		skb->mark = UNDERLAY_MARK;
}

/* vouched_take - whether from_underlay let it pass; the mark ends here. */
static __always_inline bool vouched_take(struct __sk_buff *skb)
{
	if (skb->mark != UNDERLAY_MARK)
		return false;
	skb->mark = 0;
	return true;
}

#endif
