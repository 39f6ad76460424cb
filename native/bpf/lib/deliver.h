/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A frame into a container of this node. */
#ifndef WEFT_DELIVER_H
#define WEFT_DELIVER_H

#include <linux/if_packet.h>

#include "frame.h"

/*
 * deliver - moves an IP packet straight to the far end of the veth pair, without a queue or a
 * softirq between. That road leaves packet type and protocol as they are: the type is set here
 * (older kernels do not), and frames that are not IP take the road through the near end, where
 * eth_type_trans reads them afresh.
 */
static __always_inline int deliver(struct __sk_buff *skb, __u32 ifindex, __u8 family)
{
	if (!family)
		return bpf_redirect(ifindex, 0);
	if (skb->pkt_type != PACKET_HOST)
		bpf_skb_change_type(skb, PACKET_HOST);
	return bpf_redirect_peer(ifindex, 0);
}

#endif
