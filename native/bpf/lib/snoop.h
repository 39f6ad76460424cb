/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Whom a group frame is for (RFC 4541, for IGMP and MLD alike):
 *
 *   everybody   broadcast; what is not IP; the well-known groups of the link, 224.0.0.0/24 and
 *               ff02::/16, which hosts use without having said so (section 2.1.2) and which ND needs
 *   members     all other groups
 *   routers     reports and leaves: another host that heard them would keep its own back
 *               (section 2.1.1)
 *
 * Queries and PIM come from multicast routers only: they go to everybody, and mark who sent them.
 * Checksums are not looked at: no wire that could change a bit lies before this program.
 */
#ifndef WEFT_SNOOP_H
#define WEFT_SNOOP_H

#include "address.h"
#include "frame.h"

/* Specification: IGMP (RFC 1112, 2236, 3376), MLD (RFC 2710, 3810), PIM (RFC 7761). */
#define IPPROTO_PIM_NUMBER 103
#define IPV4_FRAGMENT 0x3fff /* more fragments, or an offset */
#define IGMP_QUERY 0x11
#define IGMP_REPORT_V1 0x12
#define IGMP_REPORT_V2 0x16
#define IGMP_LEAVE 0x17
#define IGMP_REPORT_V3 0x22
#define MLD_QUERY 130
#define MLD_REPORT_V1 131
#define MLD_DONE 132
#define MLD_REPORT_V2 143
#define MLD_HOP_LIMIT 1

enum snoop_kind {
	SNOOP_EVERYBODY = 0,
	SNOOP_MEMBERS, /* of `group` */
	SNOOP_ROUTER, /* from a router, for everybody */
	SNOOP_REPORT, /* for routers */
};

struct snooped {
	enum snoop_kind kind;
	__u32 at; /* where a report begins, and */
	__u32 end; /* where its packet ends */
	__u8 type; /* of a report; zero for a fragment of one, which no host sends */
	__u8 family;
	__be32 group[4]; /* zero, that is everything, unless the kind is SNOOP_MEMBERS */
};

/* group_is_snooped - whether hosts report it, and only members get it. */
static __always_inline bool group_is_snooped(const __be32 group[4])
{
	if (address_is_multicast(group))
		return (group[0] & bpf_htonl(0xffff0000)) != bpf_htonl(0xff020000);
	return address_is_mapped(group) &&
	       (group[3] & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) &&
	       (group[3] & bpf_htonl(0xffffff00)) != bpf_htonl(0xe0000000);
}

static __always_inline void snoop_destination(struct snooped *snooped, const __be32 destination[4])
{
	if (!group_is_snooped(destination))
		return;
	snooped->kind = SNOOP_MEMBERS;
	address_copy(snooped->group, destination);
}

static __always_inline enum snoop_kind igmp_kind(__u8 type)
{
	switch (type) {
	case IGMP_QUERY:
		return SNOOP_ROUTER;
	case 0: /* a fragment */
	case IGMP_REPORT_V1:
	case IGMP_REPORT_V2:
	case IGMP_REPORT_V3:
	case IGMP_LEAVE:
		return SNOOP_REPORT;
	default: /* section 2.1.1 (3): of unknown use, for everybody */
		return SNOOP_EVERYBODY;
	}
}

static __always_inline enum snoop_kind mld_kind(__u8 type)
{
	switch (type) {
	case MLD_QUERY:
		return SNOOP_ROUTER;
	case MLD_REPORT_V1:
	case MLD_REPORT_V2:
	case MLD_DONE:
		return SNOOP_REPORT;
	default:
		return SNOOP_EVERYBODY;
	}
}

static __always_inline void snoop_ipv4(struct __sk_buff *skb, struct snooped *snooped)
{
	__be32 destination[4];
	struct iphdr ip;
	__u8 type = 0;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return;
	snooped->family = AF_INET;
	snooped->at = ETH_HLEN + (*(__u8 *)&ip & 0x0f) * 4;
	snooped->end = ETH_HLEN + bpf_ntohs(ip.tot_len);
	if (ip.protocol == IPPROTO_IGMP) {
		if (!(ip.frag_off & bpf_htons(IPV4_FRAGMENT)))
			bpf_skb_load_bytes(skb, snooped->at, &type, sizeof(type));
		snooped->type = type;
		snooped->kind = igmp_kind(type);
	} else if (ip.protocol == IPPROTO_PIM_NUMBER) {
		snooped->kind = SNOOP_ROUTER;
	} else {
		address_from_ipv4(destination, ip.daddr);
		snoop_destination(snooped, destination);
	}
}

/* snoop_mld - MLD is ICMPv6 behind a hop-by-hop header, and never passes a router. */
static __always_inline void snoop_mld(struct __sk_buff *skb, struct snooped *snooped)
{
	__u8 option[2], type;

	if (bpf_skb_load_bytes(skb, snooped->at, option, sizeof(option)) ||
	    option[0] != IPPROTO_ICMPV6)
		return;
	snooped->at += (option[1] + 1) * 8;
	if (bpf_skb_load_bytes(skb, snooped->at, &type, sizeof(type)))
		return;
	snooped->type = type;
	snooped->kind = mld_kind(type);
}

static __always_inline void snoop_ipv6(struct __sk_buff *skb, struct snooped *snooped)
{
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return;
	snooped->family = AF_INET6;
	snooped->at = ETH_HLEN + sizeof(ip);
	snooped->end = snooped->at + bpf_ntohs(ip.payload_len);
	if (ip.nexthdr == IPPROTO_HOPOPTS && ip.hop_limit == MLD_HOP_LIMIT)
		snoop_mld(skb, snooped);
	else if (ip.nexthdr == IPPROTO_PIM_NUMBER)
		snooped->kind = SNOOP_ROUTER;
	if (snooped->kind == SNOOP_EVERYBODY)
		snoop_destination(snooped, ip.daddr.s6_addr32);
}

/* snoop_read - reads a group frame; `snooped` must be zero. */
static __noinline int snoop_read(struct __sk_buff *skb, const struct frame *frame,
				 struct snooped *snooped)
{
	if (!frame || !snooped || mac_is_broadcast(frame->destination))
		return 0;
	if (frame->family == AF_INET)
		snoop_ipv4(skb, snooped);
	else if (frame->family == AF_INET6)
		snoop_ipv6(skb, snooped);
	return 0;
}

#endif
