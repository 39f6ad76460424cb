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
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PATHS = 24, MAX_SWAPS = 8, MAX_BYTES = 1 << 20, FIRST_PORT = 7801 };
enum { BATCH = 16, BATCHES = 16, EXCHANGES = 32, WRITES = 8, WARM_UP = 2 };
static const int64_t limit_ns = 300000000; /* one exchange; a path that takes longer has lost it */

enum mode { UDP, RR, TCP_RR, STREAM };

struct swap {
	int link, program;
};

struct path {
	const char *label;
	int sender, receiver;
	struct swap swaps[MAX_SWAPS];
	size_t swap_count;
	int64_t *samples, *turns; /* a turn's median, by round */
	size_t count, lost;
};

static char out[MAX_BYTES], in[MAX_BYTES];

static void die(const char *what)
{
	fprintf(stderr, "meter: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int open_pin(const char *file)
{
	union bpf_attr attr = { .pathname = (uintptr_t)file };
	int fd = syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr));

	if (fd < 0)
		die(file);
	return fd;
}

static void install(const struct path *path)
{
	for (size_t i = 0; i < path->swap_count; i++) {
		const struct swap *swap = &path->swaps[i];
		union bpf_attr attr = { .link_update = { .link_fd = swap->link, .new_prog_fd = swap->program } };

		if (syscall(SYS_bpf, BPF_LINK_UPDATE, &attr, sizeof(attr)) != 0)
			die(path->label);
	}
}

/* "LINK=PROGRAM,LINK=PROGRAM" or NULL; cut up in place. */
static void read_swaps(struct path *path, char *text)
{
	while (text != NULL) {
		char *program = strsep(&text, ","), *link = strsep(&program, "=");

		if (program == NULL || path->swap_count == MAX_SWAPS) {
			fprintf(stderr, "meter: path '%s' has a bad LINK=PROGRAM\n", path->label);
			exit(2);
		}
		path->swaps[path->swap_count++] = (struct swap){ open_pin(link), open_pin(program) };
	}
}

static void enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
		die(netns);
	close(fd);
}

static int open_socket(enum mode mode)
{
	int fd = socket(AF_INET, mode == UDP || mode == RR ? SOCK_DGRAM : SOCK_STREAM, 0);
	int size = 4 << 20, one = 1;

	if (fd < 0)
		die("socket");
	/* Stream receivers keep the kernel's own sizing: a forced buffer would turn auto-tuning off. */
	setsockopt(fd, SOL_SOCKET, mode == STREAM ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return fd;
}

/* "LABEL,SENDER,RECEIVER,ADDRESS" → a connected pair; text is cut up in place. */
static struct path connect_path(char *text, enum mode mode, int index)
{
	struct path path = { .label = strsep(&text, ",") };
	const char *sender = strsep(&text, ","), *receiver = strsep(&text, ","), *place = strsep(&text, ",");
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(FIRST_PORT + index) };
	int one = 1, listener;

	if (place == NULL || inet_pton(AF_INET, place, &address.sin_addr) != 1) {
		fprintf(stderr, "meter: path '%s' is not LABEL,NETNS,NETNS,ADDRESS\n", path.label);
		exit(2);
	}
	read_swaps(&path, text);
	install(&path);
	enter(receiver);
	listener = open_socket(mode);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0)
		die("bind");
	if ((mode == TCP_RR || mode == STREAM) && listen(listener, 1) != 0)
		die("listen");
	enter(sender);
	path.sender = open_socket(mode);
	if (connect(path.sender, (struct sockaddr *)&address, sizeof(address)) != 0)
		die(path.label);
	path.receiver = listener;
	if (mode == TCP_RR || mode == STREAM) {
		path.receiver = accept(listener, NULL, NULL);
		if (path.receiver < 0)
			die("accept");
		setsockopt(path.sender, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(path.receiver, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	return path;
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
static ssize_t take(int fd, size_t bytes, bool is_stream, int64_t deadline, struct sockaddr_in *from)
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
	struct sockaddr_in from;

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
