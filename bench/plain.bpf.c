// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The floor: the way of a packet between two containers over the same devices and hooks as Weft's, with nothing done to
 * it. No lookup, no check, no header; the container's own frame is on the wire.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

/* Interface indexes on this node. */
const volatile __u32 container;
const volatile __u32 underlay;

char _license[] SEC("license") = "Dual BSD/GPL";

SEC("tc")
int from_container(struct __sk_buff *skb)
{
	return bpf_redirect(underlay, 0);
}

/* The frame has the container's address, not the device's. */
SEC("tc")
int from_underlay(struct __sk_buff *skb)
{
	if (skb->pkt_type != PACKET_OTHERHOST)
		return TC_ACT_UNSPEC;
	bpf_skb_change_type(skb, PACKET_HOST);
	return bpf_redirect_peer(container, 0);
}
