/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * ARP, answered where it is asked (RFC 826), because the control plane knows every address.
 *
 *   request for a known address    answered in place, sent back to the asker
 *   probe, sender 0.0.0.0          answered only when somebody else owns the address
 *                                  (RFC 5227 section 2.1)
 *   announcement, sender = target  never answered, duplicate detection would fail; flooded
 *   unknown address                told to user space, and flooded: no first packet is lost
 *   everything else                forwarded, if its sender fields are the endpoint's own
 */
#ifndef WEFT_ARP_H
#define WEFT_ARP_H

#include "events.h"
#include "source.h"

/* Specification (RFC 826); linux/if_arp.h would pull in the C library. */
#define ARP_HARDWARE_ETHERNET 1
#define ARP_REQUEST 1
#define ARP_REPLY 2

struct arp_ipv4 {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__be32 sender;
	__u8 target_mac[ETH_ALEN];
	__be32 target;
} __attribute__((packed));

static __always_inline bool arp_is_well_formed(const struct arp_ipv4 *arp)
{
	return arp->hardware == bpf_htons(ARP_HARDWARE_ETHERNET) &&
	       arp->protocol == bpf_htons(ETH_P_IP) && arp->hardware_length == ETH_ALEN &&
	       arp->protocol_length == sizeof(arp->target);
}

/* miss_address - asks user space who owns an address. */
static __noinline void miss_address(struct __sk_buff *skb, const struct port *port,
				    const struct neighbour_key *key)
{
	struct event event = { .kind = EVENT_MISS_ADDRESS };

	if (!port || !key || !bucket_take(BUCKET_MISS_EVENT, skb->ifindex, event_rate))
		return;
	event.vni = key->vni;
	event.ifindex = skb->ifindex;
	mac_write(event.mac, mac_read(port->mac));
	address_copy(event.address, key->address);
	event_submit(&event);
}

static __always_inline int arp_reply(struct __sk_buff *skb, struct mac owner)
{
	void *data = pulled(skb, ETH_HLEN + sizeof(struct arp_ipv4));
	struct arp_ipv4 *arp = data + ETH_HLEN;
	struct mac asker;
	__be32 target;

	if (!data)
		return -DROP_HEADER_WRITE;
	asker = mac_read(data + ETH_ALEN);
	target = arp->target;
	mac_write(data, asker);
	mac_write(data + ETH_ALEN, owner);
	arp->operation = bpf_htons(ARP_REPLY);
	mac_write(arp->target_mac, asker);
	arp->target = arp->sender;
	mac_write(arp->sender_mac, owner);
	arp->sender = target;
	count(ARP_ANSWERED, skb->len);
	return bpf_redirect(skb->ifindex, 0);
}

/*
 * arp_handle - checks an ARP packet of a container and answers it if that is ours to do.
 * Returns an action when answered, 0 to forward the frame, or a negative drop reason.
 */
static __noinline int arp_handle(struct __sk_buff *skb, const struct port *port)
{
	void *data = pulled(skb, ETH_HLEN + sizeof(struct arp_ipv4));
	struct arp_ipv4 *arp = data + ETH_HLEN;
	struct neighbour_key key = {};
	struct neighbour *neighbour;
	struct mac destination, own;

	if (!data || !port || !arp_is_well_formed(arp))
		return -DROP_MALFORMED;
	own = mac_read(port->mac);
	if (!mac_equal(mac_read(arp->sender_mac), own))
		return -DROP_SOURCE_MAC;
	if (!source_owns_ipv4(port, arp->sender))
		return -DROP_SOURCE_ADDRESS;
	if (arp->operation != bpf_htons(ARP_REQUEST) || arp->target == arp->sender)
		return 0;
	key.vni = port->vni;
	address_from_ipv4(key.address, arp->target);
	neighbour = bpf_map_lookup_elem(&neighbours, &key);
	if (!neighbour) {
		if (arp->target != port->ipv4)
			miss_address(skb, port, &key);
		return 0;
	}
	destination = mac_read(data);
	if (mac_equal(mac_read(neighbour->mac), own))
		return 0;
	if (!mac_is_group(destination) && !mac_equal(destination, mac_read(neighbour->mac)))
		return 0;
	return arp_reply(skb, mac_read(neighbour->mac));
}

#endif
