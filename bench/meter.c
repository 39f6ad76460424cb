// SPDX-License-Identifier: Apache-2.0
/*
 * meter - what a network path costs in CPU time, several paths compared in one run.
 *
 * One thread, pinned to one CPU, holds a connected socket pair for each path, its two ends in two network namespaces.
 * On veth devices the kernel carries a packet all the way into the receiver's queue inside the sender's system call,
 * so the time that call takes is the CPU time of the whole path, both hosts included. Paths take turns round by round
 * in a rotating order: what slows the machine down slows them all. Medians repeat within about 2 %, where separate
 * iperf runs on a busy machine differ by half.
 *
 *   meter MODE BYTES ROUNDS PATH...      PATH = LABEL,SENDER_NETNS_FILE,RECEIVER_NETNS_FILE,RECEIVER_ADDRESS[,LINK=PROGRAM]...
 *
 * LINK=PROGRAM, two pinned BPF objects: at each turn of the path the link gets the program. So variants of a program are
 * compared over one and the same devices and tables, and the place of neither in memory tells for or against one.
 *
 * RECEIVER_ADDRESS is IPv4 or IPv6, also link-local with its device (fe80::2%eth0), or IPv4 broadcast.
 *
 *   udp     one-way datagrams, in batches           ns per datagram
 *   rr      UDP request and answer                  ns per exchange
 *   tcprr   TCP request and answer                  ns per exchange
 *   stream  TCP, BYTES per write                    ns per write, sent and received
 *
 * Prints one JSON object per path: label, median, p10, p90 and p99 in ns, samples, lost, and `overFirstNs`: by how much a
 * turn's median exceeds that of the first path's turn in the same round, its median over all rounds. It tells differences
 * of one per cent also on a machine whose speed changes by the second.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <time.h>

#include "meter-path.h"

enum { MAX_PATHS = 24, MAX_BYTES = 1 << 20 };
enum { BATCH = 16, BATCHES = 16, EXCHANGES = 32, WRITES = 8, WARM_UP = 2 };
static const int64_t limit_ns = 300000000; /* one exchange; a path that takes longer has lost it */

static char out[MAX_BYTES], in[MAX_BYTES];

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void record(struct path *path, int64_t value)
{
	path->samples[path->count++] = value;
}

static void round_udp(struct path *path, size_t bytes)
{
	size_t received = 0;

	for (int batch = -WARM_UP; batch < BATCHES; batch++) {
		int64_t start = now();

		for (int i = 0; i < BATCH; i++)
			send(path->sender, out, bytes, MSG_DONTWAIT);
		if (batch >= 0)
			record(path, (now() - start) / BATCH);
	}
	while (recv(path->receiver, in, sizeof(in), MSG_DONTWAIT) >= 0)
		received++;
	path->lost += (BATCHES + WARM_UP) * BATCH - received;
}

/* Waits, without sleeping, for one datagram or `bytes` of a stream; -1 when the limit has passed. */
static ssize_t take(int fd, size_t bytes, bool is_stream, int64_t deadline, struct sockaddr_in6 *from)
{
	socklen_t length = sizeof(*from);
	size_t total = 0;

	while (now() < deadline) {
		ssize_t got = recvfrom(fd, in, is_stream ? bytes - total : sizeof(in), MSG_DONTWAIT,
				       (struct sockaddr *)from, from ? &length : NULL);

		if (got < 0)
			continue;
		total += got;
		if (!is_stream || total >= bytes)
			return total;
	}
	return -1;
}

static bool exchange(struct path *path, size_t bytes, bool is_stream)
{
	int64_t deadline = now() + limit_ns;
	struct sockaddr_in6 from; /* the larger of the two families */

	if (send(path->sender, out, bytes, 0) < 0)
		return false;
	if (take(path->receiver, bytes, is_stream, deadline, is_stream ? NULL : &from) < 0)
		return false;
	if (is_stream)
		send(path->receiver, out, bytes, 0);
	else
		sendto(path->receiver, out, bytes, 0, (struct sockaddr *)&from, sizeof(from));
	return take(path->sender, bytes, is_stream, deadline, NULL) >= 0;
}

static void round_exchanges(struct path *path, size_t bytes, bool is_stream)
{
	for (int i = -WARM_UP; i < EXCHANGES; i++) {
		int64_t start = now();

		if (!exchange(path, bytes, is_stream))
			path->lost++;
		else if (i >= 0)
			record(path, now() - start);
	}
}

static bool stream_once(struct path *path, size_t bytes)
{
	size_t target = bytes * WRITES, sent = 0, received = 0;
	int64_t deadline = now() + limit_ns;

	while (received < target && now() < deadline) {
		size_t left = target - sent < bytes ? target - sent : bytes;
		ssize_t n = left > 0 ? send(path->sender, out, left, MSG_DONTWAIT) : 0;

		sent += n > 0 ? n : 0;
		n = recv(path->receiver, in, sizeof(in), MSG_DONTWAIT);
		received += n > 0 ? n : 0;
	}
	return received >= target;
}

static void round_stream(struct path *path, size_t bytes)
{
	for (int i = -WARM_UP; i < EXCHANGES; i++) {
		int64_t start = now();

		if (!stream_once(path, bytes))
			path->lost++;
		else if (i >= 0)
			record(path, (now() - start) / WRITES);
	}
}

static int compare(const void *left, const void *right)
{
	int64_t l = *(const int64_t *)left, r = *(const int64_t *)right;

	return l < r ? -1 : l > r;
}

static int64_t median(int64_t *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return count > 0 ? values[count / 2] : 0;
}

/* Median of what was recorded since `start`; sorts it. */
static void end_turn(struct path *path, size_t start, int round)
{
	path->turns[round] = median(path->samples + start, path->count - start);
}

static int64_t over_first(const struct path *first, const struct path *path, int rounds)
{
	int64_t *differences = calloc(rounds, sizeof(*differences)), result;
	size_t count = 0;

	for (int round = 0; round < rounds; round++)
		if (first->turns[round] > 0 && path->turns[round] > 0)
			differences[count++] = path->turns[round] - first->turns[round];
	result = median(differences, count);
	free(differences);
	return result;
}

static void print(struct path *path, int64_t over_first)
{
	int64_t *s = path->samples;
	size_t n = path->count;

	if (n == 0) {
		printf("{\"label\":\"%s\",\"samples\":0,\"lost\":%zu}\n", path->label, path->lost);
		return;
	}
	printf("{\"label\":\"%s\",\"medianNs\":%ld,\"overFirstNs\":%ld,\"p10Ns\":%ld,\"p90Ns\":%ld,\"p99Ns\":%ld,\"samples\":%zu,\"lost\":%zu}\n",
	       path->label, median(s, n), over_first, s[n / 10], s[n * 9 / 10], s[n * 99 / 100], n, path->lost);
}

static enum mode parse_mode(const char *text)
{
	static const char *const names[] = { "udp", "rr", "tcprr", "stream" };

	for (int i = 0; i < 4; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	fprintf(stderr, "meter: mode '%s' is none of udp, rr, tcprr, stream\n", text);
	exit(2);
}

int main(int argc, char **argv)
{
	struct path paths[MAX_PATHS];
	int count = argc - 4;
	cpu_set_t cpus;

	if (count < 1 || count > MAX_PATHS) {
		fprintf(stderr, "usage: meter udp|rr|tcprr|stream BYTES ROUNDS LABEL,NETNS,NETNS,ADDRESS...\n");
		return 2;
	}
	enum mode mode = parse_mode(argv[1]);
	size_t bytes = strtoul(argv[2], NULL, 10);
	int rounds = atoi(argv[3]);

	if (bytes < 1 || bytes > MAX_BYTES || rounds < 1) {
		fprintf(stderr, "meter: BYTES is 1 to %d, ROUNDS at least 1\n", MAX_BYTES);
		return 2;
	}
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	for (int i = 0; i < count; i++) {
		paths[i] = connect_path(argv[i + 4], mode, i);
		paths[i].samples = calloc((size_t)rounds * EXCHANGES, sizeof(int64_t));
		paths[i].turns = calloc(rounds, sizeof(int64_t));
	}
	for (int round = 0; round < rounds; round++) {
		for (int turn = 0; turn < count; turn++) {
			struct path *path = &paths[(round + turn) % count];

			size_t start = path->count;

			install(path);
			if (mode == UDP)
				round_udp(path, bytes);
			else if (mode == STREAM)
				round_stream(path, bytes);
			else
				round_exchanges(path, bytes, mode == TCP_RR);
			end_turn(path, start, round);
		}
	}
	for (int i = 0; i < count; i++)
		print(&paths[i], over_first(&paths[0], &paths[i], rounds));
	return 0;
}
