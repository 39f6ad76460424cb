// SPDX-License-Identifier: Apache-2.0
/*
 * Numbered datagrams: the modes send, receive, echo and ask. Each datagram has a number and the time it was sent, so
 * that a loss, a second copy and a change of order are told apart, and a round trip can be measured without a table.
 */
#pragma once

#include "socket.h"

#include <signal.h>

#define MAGIC 0x77656674u /* "weft": anything else that arrives is foreign */
#define MAX_COUNT 1000000
#define MAX_BYTES 65000

struct datagram {
	uint32_t magic;
	uint32_t sequence;
	uint64_t sent_ns;
};

struct tally {
	uint8_t seen[MAX_COUNT];
	uint32_t received, distinct, duplicates, foreign, misordered, bytes;
	int64_t highest;
};

static struct tally tally = { .highest = -1 };
static volatile sig_atomic_t told_to_end;

static int send_numbered(int fd, const struct sockaddr_in6 *to, uint32_t sequence, uint32_t bytes)
{
	struct datagram head = { .magic = htonl(MAGIC),
				 .sequence = htonl(sequence),
				 .sent_ns = now_ns() };

	memcpy(buffer, &head, sizeof(head));
	return sendto(fd, buffer, bytes, 0, (const struct sockaddr *)to, sizeof(*to)) ==
	       (ssize_t)bytes;
}

static int send_mode(char **arg, const char *device)
{
	struct sockaddr_in6 to = parse_address(arg[0], arg[1]);
	uint32_t count = bounded(arg[2], 1, MAX_COUNT),
		 bytes = bounded(arg[3], sizeof(struct datagram), MAX_BYTES);
	uint64_t interval_ns = bounded(arg[4], 0, 10000000) * 1000ull, start = now_ns();
	uint32_t sent = 0, refused = 0;
	int fd = open_socket(SOCK_DGRAM, NULL);

	if (device)
		choose_device(fd, &to, device);
	for (uint32_t i = 0; i < count; i++) {
		wait_until(start + i * interval_ns);
		if (send_numbered(fd, &to, i, bytes))
			sent++;
		else
			refused++;
	}
	printf("{\"sent\":%u,\"refused\":%u}\n", sent, refused);
	return 0;
}

/* Returns 1 when the datagram is one of ours and is the first with its number. */
static int count_datagram(const char *data, ssize_t length)
{
	struct datagram head;

	memcpy(&head, data, sizeof(head));
	if (length < (ssize_t)sizeof(head) || ntohl(head.magic) != MAGIC ||
	    ntohl(head.sequence) >= MAX_COUNT) {
		tally.foreign++;
		return 0;
	}
	uint32_t sequence = ntohl(head.sequence);

	tally.received++;
	tally.bytes += (uint32_t)length;
	if (tally.seen[sequence]) {
		tally.duplicates++;
		return 0;
	}
	tally.seen[sequence] = 1;
	tally.distinct++;
	if (sequence < tally.highest)
		tally.misordered++;
	else
		tally.highest = sequence;
	return 1;
}

static void end_soon(int signal)
{
	told_to_end = signal;
}

static int receive_mode(char **arg, const char *group, const char *device)
{
	uint64_t end = now_ns() + bounded(arg[1], 1, 600) * 1000000000ull;
	int fd = open_socket(SOCK_DGRAM, arg[0]);
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	signal(SIGTERM, end_soon);
	if (group)
		join_group(fd, group, device);
	ready();
	/* In short waits: a signal just before poll() would not interrupt it. */
	for (uint64_t t = now_ns(); t < end && !told_to_end; t = now_ns()) {
		if (poll(&wait, 1, 20) > 0)
			count_datagram(buffer, recv(fd, buffer, sizeof(buffer), 0));
	}
	printf("{\"received\":%u,\"distinct\":%u,\"duplicates\":%u,\"misordered\":%u,\"foreign\":%"
	       "u,\"bytes\":%u}\n",
	       tally.received, tally.distinct, tally.duplicates, tally.misordered, tally.foreign,
	       tally.bytes);
	return 0;
}

static int echo_mode(char **arg)
{
	uint64_t end = now_ns() + bounded(arg[1], 1, 3600) * 1000000000ull;
	int fd = open_socket(SOCK_DGRAM, arg[0]);
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	ready();
	for (uint64_t t = now_ns(); t < end; t = now_ns()) {
		struct sockaddr_in6 from;
		socklen_t size = sizeof(from);

		if (poll(&wait, 1, (int)((end - t) / 1000000) + 1) <= 0)
			continue;
		ssize_t length =
			recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &size);

		if (length > 0)
			sendto(fd, buffer, (size_t)length, 0, (struct sockaddr *)&from, size);
	}
	return 0;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Takes the answers that are there, or the first that comes before until_ns. */
static void take_answers(int fd, uint64_t until_ns, uint32_t *round_trips_us)
{
	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		uint64_t t = now_ns();
		struct timespec left = { 0 };
		struct datagram head;

		if (until_ns > t) {
			left.tv_sec = (time_t)((until_ns - t) / 1000000000u);
			left.tv_nsec = (long)((until_ns - t) % 1000000000u);
		}
		if (ppoll(&wait, 1, &left, NULL) <= 0)
			return;
		ssize_t length = recv(fd, buffer, sizeof(buffer), 0);

		memcpy(&head, buffer, sizeof(head));
		if (length > 0 && count_datagram(buffer, length))
			round_trips_us[tally.distinct - 1] =
				(uint32_t)((now_ns() - head.sent_ns) / 1000);
	}
}

static int ask_mode(char **arg)
{
	struct sockaddr_in6 to = parse_address(arg[0], arg[1]);
	uint32_t count = bounded(arg[2], 1, MAX_COUNT),
		 bytes = bounded(arg[4], sizeof(struct datagram), MAX_BYTES);
	uint64_t interval_ns = bounded(arg[3], 1, 10000000) * 1000ull, start = now_ns();
	uint32_t *round_trips = calloc(count, sizeof(*round_trips)), refused = 0;
	int fd = open_socket(SOCK_DGRAM, NULL);

	if (!round_trips)
		fail("memory");
	for (uint32_t i = 0; i < count; i++) {
		take_answers(fd, start + i * interval_ns, round_trips);
		refused += !send_numbered(fd, &to, i, bytes);
	}
	for (uint64_t end = now_ns() + 1000000000u;
	     tally.distinct < count - refused && now_ns() < end;)
		take_answers(fd, now_ns() + 10000000u, round_trips);
	/* A little longer for duplicates, which are what a doubled path would show. */
	take_answers(fd, now_ns() + 50000000u, round_trips);
	qsort(round_trips, tally.distinct, sizeof(*round_trips), compare_u32);
	uint32_t last = tally.distinct ? tally.distinct - 1 : 0;

	printf("{\"sent\":%u,\"answered\":%u,\"duplicates\":%u,\"misordered\":%u,\"refused\":%u,"
	       "\"p50Us\":%u,\"p99Us\":%u}\n",
	       count, tally.distinct, tally.duplicates, tally.misordered, refused,
	       round_trips[last / 2], round_trips[(uint64_t)last * 99 / 100]);
	return 0;
}
