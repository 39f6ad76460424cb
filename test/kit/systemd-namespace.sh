#!/bin/sh
# The machine that one systemd sees: run as process 1 of PID, mount, UTS, IPC and cgroup namespaces of its own, inside the
# network namespace of its node. Becomes that systemd, with the units of DIRECTORY/units and no other. Its /run/docker is
# the one of the node's engine; everything else that units may write, but for pins, goes with it.
#
#   systemd-namespace.sh DIRECTORY BPF_DIRECTORY ENGINE_DIRECTORY HOST_NAME CLONE NODE_PROGRAM
set -eu
directory=$1 bpf=$2 engine=$3 name=$4 clone=$5 node=$6

mount --make-rprivate /

# What is below is out of reach soon, so it is tied together here first.
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir -p /mnt/clone /mnt/units /mnt/bpf /mnt/engine /mnt/etc/upper /mnt/etc/work
mount --bind "$clone" /mnt/clone
mount --bind "$directory" /mnt/units
mount --bind "$bpf" /mnt/bpf
mount --bind "$engine" /mnt/engine

# The kernel's file systems as these namespaces have them. A shared /proc/sys is not this machine's to change.
umount --lazy --recursive /sys
[ ! -d /run/netns ] || umount --quiet --lazy --recursive /run/netns || true
umount --lazy --recursive /proc
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,bind,ro /proc/sys
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --move /mnt/bpf /sys/fs/bpf

# /etc as it is, but with writes kept here.
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/etc/upper,workdir=/mnt/etc/work /etc
echo "$name" >/etc/hostname
mkdir -p /etc/weft
cp "$directory/weft.env" /etc/weft/weft.env

mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/docker
mount --bind /mnt/engine/run /run/docker
ln -s /mnt/engine/docker.sock /run/docker.sock
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir /opt/weft
mount --move /mnt/clone /opt/weft
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
# Wherever this machine has Node.js: units find it on systemd's own path.
mount -t tmpfs -o mode=755 tmpfs /usr/local/sbin
touch /usr/local/sbin/node
mount --bind "$node" /usr/local/sbin/node
mount -t tmpfs -o mode=1777 tmpfs /tmp

# A container is what systemd takes itself for: it then leaves the clock, the modules and the console alone.
exec env -i container=lab "WEFT_LAB=$WEFT_LAB" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	SYSTEMD_UNIT_PATH=/mnt/units /lib/systemd/systemd --system --unit=basic.target --log-target=console --show-status=no
