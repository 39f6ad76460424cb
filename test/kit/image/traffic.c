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

#include "datagram.h"
#include "stream.h"

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
