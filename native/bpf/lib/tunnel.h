/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The kernel's road: tunnel metadata for the collect-metadata vxlan device. It carries what the
 * fast path declines, one copy of each group frame per remote VTEP, and whatever needs outer
 * fragmentation. About 2.9 us dearer than the fast path, and never wrong.
 */
#ifndef WEFT_TUNNEL_H
#define WEFT_TUNNEL_H

#include "address.h"
#include "frame.h"
#include "maps.h"

#define TUNNEL_TTL 64

/* tunnel_key_put - addresses the packet to a VTEP. Returns 0, or a negative drop reason. */
static __noinline int tunnel_key_put(struct __sk_buff *skb, __u32 vni, const struct vtep *vtep,
				     __u64 flags)
{
	struct bpf_tunnel_key key = { .tunnel_id = vni, .tunnel_ttl = TUNNEL_TTL };
	struct settings *own;
	__u32 which = SETTINGS_OWN;

	own = bpf_map_lookup_elem(&settings, &which);
	if (!own || !vtep)
		return -DROP_TUNNEL;
	flags |= BPF_F_ZERO_CSUM_TX;
	if (vtep->family == AF_INET6) {
		address_copy((__be32 *)key.remote_ipv6, vtep->address);
		address_copy((__be32 *)key.local_ipv6, own->ipv6);
		flags |= BPF_F_TUNINFO_IPV6;
	} else {
		/* This helper wants IPv4 in host order, unlike IPv6. */
		key.remote_ipv4 = bpf_ntohl(vtep->address[3]);
		key.local_ipv4 = bpf_ntohl(own->ipv4);
	}
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), flags) ? -DROP_TUNNEL : 0;
}

static __always_inline bool address_is_of(const __be32 address[4], const struct settings *vtep)
{
	return address_is_mapped(address) ? address[3] == vtep->ipv4 :
					    address_equal(address, vtep->ipv6);
}

/* address_is_ours - the device's socket takes what comes to any address of this node. */
static __noinline bool address_is_ours(const __be32 address[4])
{
	__u32 own = SETTINGS_OWN, former = SETTINGS_FORMER;
	struct settings *vtep = bpf_map_lookup_elem(&settings, &own);

	if (!vtep || !address)
		return false;
	if (address_is_of(address, vtep))
		return true;
	vtep = bpf_map_lookup_elem(&settings, &former);
	return vtep && address_is_of(address, vtep);
}

/*
 * tunnel_key_take - reads VNI and outer source of a packet that came out of the vxlan device.
 * The helper checks the family it is asked for, so it tells which one it was.
 * Returns 0, or a negative drop reason.
 */
static __always_inline int tunnel_key_take(struct __sk_buff *skb, __u32 *vni, __be32 source[4])
{
	struct bpf_tunnel_key key = {};
	__be32 destination[4] = {};

	if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0)) {
		address_from_ipv4(source, bpf_htonl(key.remote_ipv4));
		address_from_ipv4(destination, bpf_htonl(key.local_ipv4));
	} else if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6)) {
		address_copy(source, (__be32 *)key.remote_ipv6);
		address_copy(destination, (__be32 *)key.local_ipv6);
	} else {
		return -DROP_TUNNEL;
	}
	*vni = key.tunnel_id;
	return address_is_ours(destination) ? 0 : -DROP_NOT_OUR_VTEP;
}

#endif
