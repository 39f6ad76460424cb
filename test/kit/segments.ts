/** Packets that a kernel segments late, as no program of the lab sends them: compiled when needed, gone with the process. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './command.ts';

/**
 *   datagrams ADDRESS PORT SEGMENT COUNT   COUNT writes of ten segments, by UDP_SEGMENT; a refusal (EMSGSIZE) ends it with 3
 *   stream ADDRESS PORT BYTES PAUSE_US [options]
 *                                          TCP, with a pause after each write of 64 KiB; with `options` over IPv6 with
 *                                          destination options of 16 bytes on every packet
 *   count PORT                             prints how many datagrams came once none came for a second
 */
const source = `
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[65536];

static int open_to(int type, char *address, char *port, int has_options)
{
	struct addrinfo hints = { .ai_socktype = type, .ai_flags = AI_NUMERICHOST }, *found;
	int fd;

	if (getaddrinfo(address, port, &hints, &found))
		exit(1);
	fd = socket(found->ai_family, type, 0);
	if (has_options) {
		/* Type 0x1e: for experiments, to be skipped by those who do not know it (RFC 4727). */
		unsigned char options[16] = { 0, 1, 0x1e, 12 };

		if (setsockopt(fd, IPPROTO_IPV6, 59 /* IPV6_DSTOPTS */, options, sizeof(options)))
			exit(4);
	}
	if (connect(fd, found->ai_addr, found->ai_addrlen))
		exit(2);
	return fd;
}

static int datagrams(char **words)
{
	int fd = open_to(SOCK_DGRAM, words[2], words[3], 0), segment = atoi(words[4]);

	setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	for (int sent = atoi(words[5]); sent > 0; sent--, usleep(5000))
		if (send(fd, buffer, segment * 10, 0) < 0)
			return errno == EMSGSIZE || errno == EINVAL ? 3 : 1;
	return 0;
}

static int stream(char **words)
{
	int fd = open_to(SOCK_STREAM, words[2], words[3], words[6] != NULL);

	for (long left = atol(words[4]); left > 0; usleep(atoi(words[5]))) {
		long written = write(fd, buffer, left < 65536 ? left : 65536);

		if (written <= 0)
			return 1;
		left -= written;
	}
	shutdown(fd, SHUT_WR);
	return read(fd, buffer, 1) == 0 ? 0 : 1;
}

static int count(char **words)
{
	struct sockaddr_in6 own = { .sin6_family = AF_INET6, .sin6_port = htons(atoi(words[2])) };
	struct timeval patience = { .tv_sec = 20 }, pause = { .tv_sec = 1 };
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), size = 8 << 20, counted = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)))
		return 1;
	puts("ready");
	fflush(stdout);
	for (; recv(fd, buffer, sizeof(buffer), 0) >= 0; counted++)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof(pause));
	printf("%d\\n", counted);
	return 0;
}

int main(int number, char **words)
{
	return words[1][0] == 'd' ? datagrams(words) : words[1][0] == 's' ? stream(words) : count(words);
}
`;

/** @returns the path of the program */
export async function compileSegments(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), `wft-${process.pid}-segments-`));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'segments');
  writeFileSync(`${path}.c`, source);
  await run(['cc', '-O1', '-o', path, `${path}.c`]);
  return path;
}
