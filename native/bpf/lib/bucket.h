/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Token buckets without tokens: the generic cell rate algorithm. A bucket is one instant, the time
 * at which it would be empty again if nothing more came; each frame moves it one interval on, and a
 * frame that would move it more than a second ahead of now is refused. So rate and burst are the
 * same number, and one compare-and-swap replaces a lock.
 */
#ifndef WEFT_BUCKET_H
#define WEFT_BUCKET_H

#include "maps.h"

#define SECOND_NS 1000000000ULL
#define BUCKET_ATTEMPTS 4 /* lost races before a frame is refused */

/* bucket_take - whether one more is allowed now. */
static __noinline bool bucket_take(enum bucket_kind kind, __u32 id, __u32 rate)
{
	struct bucket_key key = { .kind = kind, .id = id };
	__u64 now, interval;
	struct bucket *bucket;

	if (rate == 0)
		return true;
	now = bpf_ktime_get_ns();
	interval = SECOND_NS / rate;
	bucket = bpf_map_lookup_elem(&buckets, &key);
	if (!bucket) {
		struct bucket first = { .empty_at = now + interval };

		bpf_map_update_elem(&buckets, &key, &first, BPF_NOEXIST);
		return true;
	}
	for (int attempt = 0; attempt < BUCKET_ATTEMPTS; attempt++) {
		__u64 seen = *(volatile __u64 *)&bucket->empty_at;
		__u64 next = (seen > now ? seen : now) + interval;

		if (next > now + SECOND_NS)
			return false;
		if (__sync_val_compare_and_swap(&bucket->empty_at, seen, next) == seen)
			return true;
	}
	return false;
}

#endif
