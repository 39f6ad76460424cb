/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Counting every frame, and telling user space about some. Counters are per CPU and never lose one;
 * events are sampled by a bucket per device and kind, so that a container that misbehaves cannot
 * hide what happens to another.
 */
#ifndef WEFT_EVENTS_H
#define WEFT_EVENTS_H

#include "address.h"
#include "bucket.h"
#include "mac.h"
#include "maps.h"

static __always_inline void count(enum reason reason, __u32 bytes)
{
	__u32 index = reason;
	struct counter *counter = bpf_map_lookup_elem(&counters, &index);

	if (!counter)
		return;
	counter->packets++;
	counter->bytes += bytes;
}

/* event_submit - a full ring loses the event; the next miss or drop makes another. */
static __noinline int event_submit(const struct event *event)
{
	if (!event)
		return 0;
	return bpf_ringbuf_output(&events, (void *)event, sizeof(*event), 0);
}

/* Where a frame came from, for the event about it. */
struct origin {
	__u32 vni;
	__u32 frame; /* offset of the inner frame in the packet */
	__be32 vtep[4]; /* zero: a container */
};

/* drop - counts, reports a sample, and is the verdict. */
static __noinline int drop(struct __sk_buff *skb, enum reason reason, const struct origin *origin)
{
	struct event event = { .kind = EVENT_DROP, .reason = reason };

	if (!origin)
		return TC_ACT_SHOT;
	count(reason, skb->len - origin->frame);
	if (!bucket_take(BUCKET_DROP_EVENT, skb->ifindex, event_rate))
		return TC_ACT_SHOT;
	event.vni = origin->vni;
	event.ifindex = skb->ifindex;
	address_copy(event.vtep, origin->vtep);
	bpf_skb_load_bytes(skb, origin->frame + ETH_ALEN, event.mac, ETH_ALEN);
	event_submit(&event);
	return TC_ACT_SHOT;
}

#endif
