/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What an endpoint may claim to be: its own MAC, its own addresses, and the few that belong to
 * nobody yet (0.0.0.0 for DHCP, :: for duplicate address detection, fe80::/10 which never leaves
 * the link).
 */
#ifndef WEFT_SOURCE_H
#define WEFT_SOURCE_H

#include "address.h"
#include "frame.h"
#include "maps.h"

static __always_inline bool source_owns_ipv4(const struct port *port, __be32 address)
{
	return address == port->ipv4 || address == 0 || port->flags & PORT_ANY_SOURCE;
}

static __always_inline bool source_owns_ipv6(const struct port *port, const __be32 address[4])
{
	return address_equal(address, port->ipv6) || address_is_link_local(address) ||
	       address_is_zero(address) || port->flags & PORT_ANY_SOURCE;
}

static __always_inline int ipv4_leave(struct __sk_buff *skb, const struct port *port)
{
	void *data = pulled(skb, ETH_HLEN + sizeof(struct iphdr));
	struct iphdr *ip = data + ETH_HLEN;

	if (!data || !ipv4_is_sound(ip))
		return -DROP_MALFORMED;
	return source_owns_ipv4(port, ip->saddr) ? 0 : -DROP_SOURCE_ADDRESS;
}

static __always_inline int ipv6_leave(struct __sk_buff *skb, const struct port *port,
				      struct frame *frame)
{
	void *data = pulled(skb, ETH_HLEN + sizeof(struct ipv6hdr));
	struct ipv6hdr *ip = data + ETH_HLEN;

	if (!data || !ipv6_is_sound(ip))
		return -DROP_MALFORMED;
	frame->next_header = ip->nexthdr;
	return source_owns_ipv6(port, ip->saddr.s6_addr32) ? 0 : -DROP_SOURCE_ADDRESS;
}

/*
 * frame_leave - reads a frame that comes from a container and holds it to what the endpoint may
 * send. Returns 0 with `frame` filled, or a negative drop reason.
 */
static __always_inline int frame_leave(struct __sk_buff *skb, const struct port *port,
				       struct frame *frame)
{
	void *data = pulled(skb, ETH_HLEN);

	if (!data)
		return -DROP_RUNT;
	ethernet_read(data, frame);
	if (frame_is_tagged(skb, frame))
		return -DROP_VLAN_TAGGED;
	if (!mac_equal(frame->source, mac_read(port->mac)))
		return -DROP_SOURCE_MAC;
	if (frame->family == AF_INET)
		return ipv4_leave(skb, port);
	if (frame->family == AF_INET6)
		return ipv6_leave(skb, port, frame);
	return 0;
}

#endif
