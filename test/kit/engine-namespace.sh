#!/bin/sh
# The machine that one Docker engine sees: run in mount and UTS namespaces of its own, inside the network namespace of
# its node. Holds them until it is killed, so that engines can be stopped and started again in the same surroundings,
# as on a real machine. Nothing of it is visible outside.
#
#   engine-namespace.sh DIRECTORY BPF_DIRECTORY HOST_NAME
set -eu
directory=$1 bpf=$2

hostname "$3"
mount --make-rprivate /

# A fresh /sys shows the devices of this network namespace; the cgroups move across, the pins are this node's.
mkdir -p "$directory/cgroup"
mount --move /sys/fs/cgroup "$directory/cgroup"
mount -t sysfs sysfs /sys
mount --move "$directory/cgroup" /sys/fs/cgroup
mount --bind "$bpf" /sys/fs/bpf

# An empty /run of its own, but /run/docker is a directory outside: the plugin's socket must be visible there.
mount -t tmpfs tmpfs /run
mkdir -p /run/docker "$directory/run"
mount --bind "$directory/run" /run/docker

# /etc as it is, but with writes kept here: the engine makes /etc/docker.
mkdir -p /run/etc/upper /run/etc/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work /etc
rm -rf /etc/docker
# No network beyond the lab: a look-up is refused at once instead of waiting for a time limit.
rm -f /etc/resolv.conf
echo 'nameserver 127.0.0.1' >/etc/resolv.conf

# Which storage driver works on this disk.
mkdir -p "$directory/try/lower" "$directory/try/upper" "$directory/try/work" "$directory/try/merged"
if mount -t overlay overlay -o "lowerdir=$directory/try/lower,upperdir=$directory/try/upper,workdir=$directory/try/work" \
	"$directory/try/merged" 2>/dev/null; then
	umount "$directory/try/merged"
	driver=overlay2
else
	driver=vfs
fi
rm -rf "$directory/try"

echo "storage driver: $driver"
exec sleep infinity
