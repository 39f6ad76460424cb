#!/bin/sh
# A swarm network of which each node hands out the addresses itself, by the weft IPAM driver, instead of the swarm's
# leader: nodes that cannot reach a leader still start containers. Needs Weft as a managed plugin on each node with one
# store for all and WEFT_SCOPE=local.
#
#   on each node:           config-only.sh node
#   then on one manager:    config-only.sh network
#   to remove it, the other way round: docker network rm red, then on each node docker network rm red-config
#
# Services on it need no endpoint mode: such a network has no virtual addresses, names lead to the tasks.
# docker run --ip has no effect on it: swarm does not pass the address on.
set -eu

case "${1:-}" in
node)
	# What a node needs to know of the network. Of the network itself swarm passes on no subnet, driver or option.
	docker network create --config-only --ipam-driver weft:latest --subnet 10.92.0.0/24 red-config
	;;
network)
	docker network create --driver weft:latest --scope swarm --config-from red-config --attachable red
	;;
*)
	echo 'usage: config-only.sh node | network' >&2
	exit 2
	;;
esac
