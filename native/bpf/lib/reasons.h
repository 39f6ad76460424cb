/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Every fate a frame can meet, as one number space: the index of the `counters` map, the `reason`
 * of an event and the label of a metric. A step returns 0 to go on, a traffic-control action (> 0)
 * when it has dealt with the frame, or a negative reason, which the program's edge (overlay.bpf.c)
 * counts and acts on. Numbers are stable: append, never reorder.
 */
#ifndef WEFT_REASONS_H
#define WEFT_REASONS_H

/* Not a fate: the packet is not ours, it goes on untouched and is not counted. */
#define NOT_OURS 1

enum reason {
	/* Outcomes. */
	DECLINED = 2, /* a tunnel packet the fast path left to the kernel, untouched */
	ENCAPSULATED = 3, /* sent to a remote VTEP by the fast path */
	DECAPSULATED = 4, /* received by the fast path and delivered */
	LOCAL = 5, /* from one container to another on this node */
	FLOODED = 6, /* a group frame of a container, copied to the flood list */
	FLOOD_RECEIVED = 7, /* a group frame of a remote VTEP, copied to local ports */
	ARP_ANSWERED = 8,
	ND_ANSWERED = 9,
	FALLBACK = 10, /* sent through the kernel's vxlan device */
	FALLBACK_RECEIVED = 11, /* received from the kernel's vxlan device and delivered */
	LEARNED = 12, /* a provisional forwarding entry was made */
	TOO_BIG_ANSWERED = 13, /* ICMP told the sender the size that fits */
	GROUP_REPORTED = 14, /* an IGMP or MLD report, taken note of; copied to routers alone */
	FORMER_VTEP = 15, /* received at the address or port this node had before */

	/* Drops; the first one is also the boundary. */
	DROP_NO_ENDPOINT = 32, /* the device carries no endpoint of ours */
	DROP_RUNT = 33, /* shorter than an Ethernet header */
	DROP_MALFORMED = 34, /* a header contradicts itself or the frame's length */
	DROP_VLAN_TAGGED = 35, /* RFC 7348 section 6.1: no inner tags */
	DROP_SOURCE_MAC = 36, /* not the endpoint's MAC, or not a unicast one */
	DROP_SOURCE_ADDRESS = 37, /* not the endpoint's address, also inside ARP and ND */
	DROP_ROUTER_MESSAGE = 38, /* router advertisement or redirect from a non-router */
	DROP_LINK_LOCAL_GROUP = 39, /* 01-80-C2-00-00-0x never leaves a link (802.1D) */
	DROP_MULTICAST_OFF = 40, /* the network does not carry multicast */
	DROP_RATE_LIMITED = 41, /* a token bucket is empty */
	DROP_UNKNOWN_NETWORK = 42, /* no settings or no flood list for the VNI */
	DROP_UNKNOWN_DESTINATION = 43, /* the destination MAC is not in the table */
	DROP_UNKNOWN_VTEP = 44, /* sent by, or meant for, a VTEP that is not known */
	DROP_SOURCE_ELSEWHERE = 45, /* the source MAC lives behind another VTEP, or here */
	DROP_NOT_HERE = 46, /* a remote VTEP sent us a frame for a third one */
	DROP_NO_I_FLAG = 47, /* RFC 7348 section 5: the VNI is not valid */
	DROP_TOO_BIG = 48, /* larger than the path, and no ICMP could say so */
	DROP_ECN = 49, /* RFC 6040: congestion marked on a flow that cannot hear it */
	DROP_TUNNEL = 50, /* the tunnel device or its metadata failed */
	DROP_COPY_FAILED = 51, /* one copy of a group frame could not be made */
	DROP_HEADER_WRITE = 52, /* the packet's head could not be changed */
	DROP_NOT_UNDERLAY = 53, /* a tunnel packet by a device that leads to no VTEP, or remarked */
	DROP_NOT_OUR_VTEP = 54, /* sent to an address of this node that is not its VTEP */

	REASON_COUNT = 64, /* size of `counters`: room to append */
};

#endif
