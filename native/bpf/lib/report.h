/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Membership reports of an endpoint: IGMP (RFC 1112, 2236, 3376) and MLD (RFC 2710, 3810). The older
 * versions name one group; the newest lists records of groups and sources, alike in both families
 * but for the length of an address. Sources are not kept: whoever wants some of a group's sources
 * gets the group, and its host filters.
 */
#ifndef WEFT_REPORT_H
#define WEFT_REPORT_H

#include "member.h"
#include "snoop.h"

/* Specification: record types (RFC 3376 section 4.2.12, RFC 3810 section 5.2.12). */
#define RECORD_IS_INCLUDE 1
#define RECORD_IS_EXCLUDE 2
#define RECORD_TO_INCLUDE 3
#define RECORD_TO_EXCLUDE 4
#define RECORD_ALLOW 5
#define RECORD_BLOCK 6
/* Implementation: fills a jumbo frame of 9,000 bytes with the shortest records. */
#define RECORDS_MAX 1120

/* What old messages and new ones begin with; a single group follows at 4 (IGMP) or 8 (MLD). */
struct report_head {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be16 reserved;
	__be16 records;
};

struct record_head {
	__u8 type;
	__u8 auxiliary; /* words behind the sources */
	__be16 sources;
};

struct report {
	struct __sk_buff *skb;
	__u32 at;
	__u32 end;
	bool is_ipv6;
	bool is_malformed;
	bool is_news;
};

/* report_group - reads the group at an offset. Returns 0, or a negative drop reason. */
static __always_inline int report_group(struct __sk_buff *skb, __u32 at, bool is_ipv6,
					__be32 group[4])
{
	__be32 ipv4;

	if (is_ipv6)
		return bpf_skb_load_bytes(skb, at, group, 16) ? -DROP_MALFORMED : 0;
	if (bpf_skb_load_bytes(skb, at, &ipv4, sizeof(ipv4)))
		return -DROP_MALFORMED;
	address_from_ipv4(group, ipv4);
	return 0;
}

/*
 * record_take - one record. Blocking sources is no leave: where it was the last wanted one, the next
 * queries go unanswered and the membership expires.
 */
static __always_inline bool record_take(__u32 ifindex, const struct record_head *head,
					const __be32 group[4])
{
	bool has_sources = head->sources;

	if (!group_is_snooped(group))
		return false;
	switch (head->type) {
	case RECORD_IS_EXCLUDE:
	case RECORD_TO_EXCLUDE:
		return member_join(ifindex, group);
	case RECORD_IS_INCLUDE:
	case RECORD_ALLOW:
		return has_sources && member_join(ifindex, group);
	case RECORD_TO_INCLUDE:
		return has_sources ? member_join(ifindex, group) : member_leave(ifindex, group);
	default: /* RECORD_BLOCK, and what a later version may bring */
		return false;
	}
}

/* report_record - the callback of bpf_loop. Returns 0: go on. */
static long report_record(__u32 index, struct report *report)
{
	__u32 address_bytes = report->is_ipv6 ? 16 : 4;
	struct record_head head;
	__be32 group[4];
	__u32 next;

	report->is_malformed = true;
	if (bpf_skb_load_bytes(report->skb, report->at, &head, sizeof(head)) ||
	    report_group(report->skb, report->at + sizeof(head), report->is_ipv6, group))
		return 1;
	next = report->at + sizeof(head) + (bpf_ntohs(head.sources) + 1) * address_bytes +
	       head.auxiliary * 4;
	if (next > report->end)
		return 1;
	report->at = next;
	report->is_malformed = false;
	if (record_take(report->skb->ifindex, &head, group))
		report->is_news = true;
	return 0;
}

/* report_single - a message about one group. */
static __always_inline void report_single(struct report *report, bool is_leave)
{
	__be32 group[4];

	report->at += report->is_ipv6 ? sizeof(struct report_head) : sizeof(struct report_head) / 2;
	report->is_malformed = report->at + (report->is_ipv6 ? 16 : 4) > report->end ||
			       report_group(report->skb, report->at, report->is_ipv6, group);
	if (report->is_malformed || !group_is_snooped(group))
		return;
	report->is_news = is_leave ? member_leave(report->skb->ifindex, group) :
				     member_join(report->skb->ifindex, group);
}

/* report_take - notes what a report says. Returns 0, or a negative drop reason. */
static __noinline int report_take(struct __sk_buff *skb, __u32 vni, const struct snooped *snooped)
{
	struct report report = { .skb = skb };
	struct report_head head;

	if (!snooped || snooped->end > skb->len ||
	    bpf_skb_load_bytes(skb, snooped->at, &head, sizeof(head)))
		return -DROP_MALFORMED;
	report.at = snooped->at;
	report.end = snooped->end;
	report.is_ipv6 = snooped->family == AF_INET6;
	switch (snooped->type) {
	case IGMP_REPORT_V3:
	case MLD_REPORT_V2:
		report.at += sizeof(head);
		bpf_loop(bpf_ntohs(head.records) < RECORDS_MAX ? bpf_ntohs(head.records) :
								 RECORDS_MAX,
			 report_record, &report, 0);
		break;
	case IGMP_LEAVE:
	case MLD_DONE:
		report_single(&report, true);
		break;
	case 0:
		return -DROP_MALFORMED;
	default:
		report_single(&report, false);
	}
	if (report.is_news)
		members_changed(skb, vni);
	return report.is_malformed ? -DROP_MALFORMED : 0;
}

#endif
