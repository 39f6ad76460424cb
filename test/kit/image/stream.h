// SPDX-License-Identifier: Apache-2.0
/* One TCP stream of reproducible bytes, checksummed at both ends: the modes sink and pour. */
#pragma once

#include "socket.h"

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
