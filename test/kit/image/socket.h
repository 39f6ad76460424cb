// SPDX-License-Identifier: Apache-2.0
/*
 * What both kinds of traffic need: time, arguments within bounds, and sockets of either address family, multicast and
 * devices included.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 17];

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
