// SPDX-License-Identifier: Apache-2.0
/*
 * traffic - bounded test traffic whose every datagram is accounted for.
 *
 *   traffic send    ADDRESS PORT COUNT BYTES INTERVAL_US [DEVICE]   COUNT numbered datagrams (uni-, broad- or multicast)
 *   traffic receive PORT SECONDS [GROUP DEVICE]                     what arrives until then, or until SIGTERM
 *   traffic echo    PORT SECONDS                                    sends every datagram back
 *   traffic ask     ADDRESS PORT COUNT INTERVAL_US BYTES            numbered requests to an echo: lost, late, round trips
 *   traffic sink    PORT SECONDS                                    one TCP stream, its length and checksum
 *   traffic pour    ADDRESS PORT BYTES SEED                         BYTES of a reproducible stream, the same checksum
 *
 * Listeners print "ready" when bound; each mode ends by itself and prints one line of JSON. ADDRESS is IPv4 or IPv6.
 * With DEVICE, multicast joins and leaves there, and other datagrams are bound to it. Statically linked, so that it
 * runs in the test image and, from outside, in any network namespace.
 */

#define _GNU_SOURCE /* ppoll */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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
static char buffer[1 << 17];
static volatile sig_atomic_t told_to_end;

static void fail(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

static struct sockaddr_in6 parse_address(const char *text, const char *port)
{
	char mapped[INET6_ADDRSTRLEN + 8];
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
				   .sin6_port = htons((uint16_t)atoi(port)) };

	/* One family for both: IPv4 as ::ffff:a.b.c.d on a dual-stack socket. */
	snprintf(mapped, sizeof(mapped), strchr(text, ':') ? "%s" : "::ffff:%s", text);
	errno = EINVAL;
	if (inet_pton(AF_INET6, mapped, &to.sin6_addr) != 1)
		fail(text);
	return to;
}

static int open_socket(int type, const char *port)
{
	const int off = 0, on = 1, room = 4 << 20;
	struct sockaddr_in6 any = { .sin6_family = AF_INET6,
				    .sin6_port = htons((uint16_t)(port ? atoi(port) : 0)) };
	int fd = socket(AF_INET6, type, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		fail("socket");
	if (type == SOCK_DGRAM && (setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) ||
				   setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room))))
		/* Without CAP_NET_ADMIN (a container) the default buffer must do. */
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (port && bind(fd, (struct sockaddr *)&any, sizeof(any)))
		fail("bind");
	return fd;
}

static int is_multicast(const struct sockaddr_in6 *a)
{
	return IN6_IS_ADDR_V4MAPPED(&a->sin6_addr) ? (a->sin6_addr.s6_addr[12] & 0xf0) == 0xe0 :
						     IN6_IS_ADDR_MULTICAST(&a->sin6_addr);
}

static int device_index(const char *device)
{
	int index = (int)if_nametoindex(device);

	if (!index)
		fail(device);
	return index;
}

static void choose_device(int fd, const struct sockaddr_in6 *to, const char *device)
{
	struct ip_mreqn four = { .imr_ifindex = device_index(device) };
	const int hops = 8;

	if (!is_multicast(to)) {
		if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)))
			fail("bind to device");
	} else if (IN6_IS_ADDR_V4MAPPED(&to->sin6_addr)) {
		if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &four, sizeof(four)) ||
		    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops, sizeof(hops)))
			fail("multicast device");
	} else if (setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &four.imr_ifindex,
			      sizeof(int)) ||
		   setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops))) {
		fail("multicast device");
	}
}

static void join_group(int fd, const char *group, const char *device)
{
	struct sockaddr_in6 address = parse_address(group, "0");
	struct ip_mreqn four = { .imr_ifindex = device_index(device) };
	struct ipv6_mreq six = { .ipv6mr_multiaddr = address.sin6_addr,
				 .ipv6mr_interface = (unsigned)four.imr_ifindex };

	memcpy(&four.imr_multiaddr, &address.sin6_addr.s6_addr[12], 4);
	if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr) ?
		    setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &four, sizeof(four)) :
		    setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &six, sizeof(six)))
		fail("join group");
}

/* Sleeps, then spins the last 60 us: a sleep alone overshoots by that much. */
static void wait_until(uint64_t at_ns)
{
	uint64_t t = now_ns();

	if (t + 60000 < at_ns)
		usleep((useconds_t)((at_ns - t - 60000) / 1000));
	while (now_ns() < at_ns)
		;
}

static uint32_t bounded(const char *text, uint32_t low, uint32_t high)
{
	unsigned long value = strtoul(text, NULL, 10);

	errno = ERANGE;
	if (value < low || value > high)
		fail(text);
	return (uint32_t)value;
}

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

/* FNV-1a over 64-bit words carried across reads: order, length and content all count. */
struct checksum {
	uint64_t value, bytes, pending;
};

static void add_bytes(struct checksum *sum, const unsigned char *data, size_t length)
{
	for (size_t i = 0; i < length; i++, sum->bytes++) {
		sum->pending = sum->pending << 8 | data[i];
		if ((sum->bytes & 7) == 7)
			sum->value = (sum->value ^ sum->pending) * 0x100000001b3u;
	}
}

static void report_stream(const struct checksum *sum, uint64_t start)
{
	printf("{\"bytes\":%llu,\"checksum\":\"%016llx\",\"seconds\":%.6f}\n",
	       (unsigned long long)sum->bytes,
	       (unsigned long long)((sum->value ^ sum->pending) * 0x100000001b3u),
	       (double)(now_ns() - start) / 1e9);
}

static int sink_mode(char **arg)
{
	struct checksum sum = { .value = 0xcbf29ce484222325u };
	struct timeval limit = { .tv_sec = (time_t)bounded(arg[1], 1, 600) };
	int listener = open_socket(SOCK_STREAM, arg[0]), fd;
	ssize_t length;

	if (setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    listen(listener, 1))
		fail("listen");
	ready();
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		fail("accept");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	uint64_t start = now_ns();

	while ((length = recv(fd, buffer, sizeof(buffer), 0)) > 0)
		add_bytes(&sum, (unsigned char *)buffer, (size_t)length);
	if (length < 0)
		fail("receive");
	report_stream(&sum, start);
	return 0;
}

static int pour_mode(char **arg)
{
	struct sockaddr_in6 to = parse_address(arg[0], arg[1]);
	struct checksum sum = { .value = 0xcbf29ce484222325u };
	uint64_t left = strtoull(arg[2], NULL, 10), state = strtoull(arg[3], NULL, 10) * 2 + 1,
		 start = now_ns();
	struct timeval limit = { .tv_sec = 20 };
	int fd = open_socket(SOCK_STREAM, NULL);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		fail("connect");
	while (left > 0) {
		size_t length = left < sizeof(buffer) ? (size_t)left : sizeof(buffer);

		for (size_t i = 0; i < length; i += 8) {
			state ^= state << 13, state ^= state >> 7,
				state ^= state << 17; /* xorshift64 */
			memcpy(buffer + i, &state, 8);
		}
		add_bytes(&sum, (unsigned char *)buffer, length);
		for (size_t at = 0; at < length;) {
			ssize_t sent = send(fd, buffer + at, length - at, MSG_NOSIGNAL);

			if (sent <= 0)
				fail("send");
			at += (size_t)sent;
		}
		left -= length;
	}
	report_stream(&sum, start);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	char **arg = argv + 2;

	argc -= 2;
	if (!strcmp(mode, "send") && (argc == 5 || argc == 6))
		return send_mode(arg, argc == 6 ? arg[5] : NULL);
	if (!strcmp(mode, "receive") && (argc == 2 || argc == 4))
		return receive_mode(arg, argc == 4 ? arg[2] : NULL, argc == 4 ? arg[3] : NULL);
	if (!strcmp(mode, "echo") && argc == 2)
		return echo_mode(arg);
	if (!strcmp(mode, "ask") && argc == 5)
		return ask_mode(arg);
	if (!strcmp(mode, "sink") && argc == 2)
		return sink_mode(arg);
	if (!strcmp(mode, "pour") && argc == 4)
		return pour_mode(arg);
	fputs("usage: traffic send|receive|echo|ask|sink|pour ... (see the head of traffic.c)\n",
	      stderr);
	return 2;
}
