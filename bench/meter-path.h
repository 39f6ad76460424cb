/* SPDX-License-Identifier: Apache-2.0 */
/* A path of the meter: a connected pair of sockets in two network namespaces, and the BPF programs that belong to it. */
#ifndef METER_PATH_H
#define METER_PATH_H

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_SWAPS = 8, FIRST_PORT = 7801 };

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

static void die(const char *what)
{
	fprintf(stderr, "meter: %s: %s\n", what, strerror(errno));
	exit(1);
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

static int open_socket(enum mode mode, int family)
{
	int fd = socket(family, mode == UDP || mode == RR ? SOCK_DGRAM : SOCK_STREAM, 0);
	int size = 4 << 20, one = 1;

	if (fd < 0)
		die("socket");
	/* Stream receivers keep the kernel's own sizing: a forced buffer would turn auto-tuning off. */
	setsockopt(fd, SOL_SOCKET, mode == STREAM ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
	return fd;
}

/* In the namespace the caller is in, which gives the device of a link-local address its number. */
static struct addrinfo *resolve(const char *address, int index)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV }, *found;
	char port[8];

	snprintf(port, sizeof(port), "%d", FIRST_PORT + index);
	if (getaddrinfo(address, port, &hints, &found) != 0) {
		fprintf(stderr, "meter: '%s' is no address here\n", address);
		exit(2);
	}
	return found;
}

static int listen_at(const struct addrinfo *address, enum mode mode)
{
	int fd = open_socket(mode, address->ai_family);

	if (bind(fd, address->ai_addr, address->ai_addrlen) != 0)
		die("bind");
	if ((mode == TCP_RR || mode == STREAM) && listen(fd, 1) != 0)
		die("listen");
	return fd;
}

/* "LABEL,SENDER,RECEIVER,ADDRESS..." -> a connected pair; text is cut up in place. */
static struct path connect_path(char *text, enum mode mode, int index)
{
	struct path path = { .label = strsep(&text, ",") };
	const char *sender = strsep(&text, ","), *receiver = strsep(&text, ","), *place = strsep(&text, ",");
	struct addrinfo *address;
	int one = 1;

	if (place == NULL) {
		fprintf(stderr, "meter: path '%s' is not LABEL,NETNS,NETNS,ADDRESS\n", path.label);
		exit(2);
	}
	read_swaps(&path, text);
	install(&path);
	enter(receiver);
	path.receiver = listen_at(resolve(place, index), mode);
	enter(sender);
	address = resolve(place, index);
	path.sender = open_socket(mode, address->ai_family);
	if (connect(path.sender, address->ai_addr, address->ai_addrlen) != 0)
		die(path.label);
	if (mode == TCP_RR || mode == STREAM) {
		path.receiver = accept(path.receiver, NULL, NULL);
		if (path.receiver < 0)
			die("accept");
		setsockopt(path.sender, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(path.receiver, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	return path;
}

#endif
