# Fills .lab/ with what the lab needs (sourced by setup.sh): two Docker engines of different age, Consul,
# Docker Compose, an image registry, and an image.
#
# Nothing is installed: packages are downloaded with a private apt configuration (own sources, lists and cache under
# .lab/) and unpacked, so a machine that runs Docker keeps it as it is and one without gets none. The mirror is the
# machine's own, asked from apt; WEFT_LAB_MIRROR names another one.
#
#   .lab/runtime       containerd, runc, tini: for both engines
#   .lab/engine-20.10  the oldest engine in use          .lab/engine-28  the newest that runs here, 26 or later
#   .lab/compose       the cli plugin of the newest suite that runs here
#   .lab/consul        unless a consul is on PATH
#   .lab/docker-registry   unless a docker-registry is on PATH
#   .lab/image.tar     root file system of the test image; .lab/traffic is the traffic tool in it
# shellcheck shell=sh disable=SC2154

done_stamp() { [ -e "$lab/stamps/$1" ] && { [ -d "$lab/$1" ] || [ -e "$lab/$1.tar" ]; }; }
stamp() { : >"$lab/stamps/$1"; }

prepare_lab() {
	prepare_runtime
	prepare_engine_old
	prepare_engine_new
	prepare_compose
	prepare_consul
	prepare_registry
	prepare_image
	rm -rf $lab/apt $lab/download
}

# Suites by the age of what they hold. Both families keep old suites on the same mirror as new ones.
suites() {
	. /etc/os-release
	case $ID in
	ubuntu) echo 'old=jammy new=noble-updates,jammy-updates consul=jammy components=main,universe' ;;
	*) echo 'old=bookworm new=sid,trixie consul=bullseye components=main' ;;
	esac
}

setting() { suites | tr ' ' '\n' | sed -n "s/^$1=//p" | tr ',' ' '; }

mirror() {
	[ -z "${WEFT_LAB_MIRROR:-}" ] || { echo "$WEFT_LAB_MIRROR" && return; }
	. /etc/os-release
	apt-get indextargets --format '$(RELEASE) $(SITE)' 'Created-By: Packages' 2>/dev/null |
		awk -v suite="${VERSION_CODENAME:-}" '
			$1 ~ /security|updates|backports/ { next }
			$1 == suite { exact = exact ? exact : $2 }
			{ any = any ? any : $2 }
			END { print exact ? exact : any }'
}

# The private apt: made at most once per set-up, and only when something has to be downloaded.
private_apt() {
	[ ! -e $lab/apt/ready ] || return 0
	. /etc/os-release
	site=$(mirror)
	[ -n "$site" ] || die 'apt names no package mirror; set WEFT_LAB_MIRROR to one that has Debian or Ubuntu suites'
	say 'reading package lists (private to .lab)'
	apt=$PWD/$lab/apt
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
	key=/usr/share/keyrings/$ID-archive-keyring.gpg
	options=
	[ ! -r "$key" ] || options="[signed-by=$key] "
	for suite in $(setting old) $(setting new) $(setting consul); do
		echo "deb $options$site $suite $(setting components)"
	done | sort -u >"$apt/sources.list"
	# A suite that has left the mirror makes this fail although the others were read: what counts is the download.
	own_apt update >>$log 2>&1 || true
	: >"$apt/ready"
}

# As options because these come last: some machines' apt.conf.d switches off the cache that spares 5 s a call.
own_apt() {
	command=$1
	shift
	apt-get -q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/parts" \
		-o Dir::Etc::preferences="$apt/none" -o Dir::Etc::preferencesparts="$apt/parts" \
		-o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o Dir::Cache::pkgcache=pkgcache.bin \
		-o Dir::Cache::srcpkgcache=srcpkgcache.bin -o Acquire::Languages=none -o APT::Sandbox::User=root "$command" "$@"
}

# unpack DIRECTORY SUITE PACKAGE...: 0 when every package was there.
unpack() {
	into=$1 suite=$2
	shift 2
	private_apt
	rm -rf $lab/download "$into"
	mkdir -p $lab/download "$into"
	for package in "$@"; do
		shift
		set -- "$@" "$package/$suite"
	done
	(cd $lab/download && own_apt download "$@") >>$log 2>&1 || return 1
	for file in $lab/download/*.deb; do
		dpkg -x "$file" "$into" >>$log 2>&1 || return 1
	done
	rm -rf "$into/usr/share" $lab/download
}

prepare_runtime() {
	done_stamp runtime && return
	say 'unpacking containerd and runc'
	# Some suites have containerd and runc also as -app packages; the plain ones serve here.
	unpack $lab/runtime "$(setting old)" containerd runc tini || die "no containerd, runc and tini at $(mirror) ($log)"
	# What `docker run --init` looks for.
	ln -sf ../bin/tini-static $lab/runtime/usr/sbin/docker-init
	runs $lab/runtime/usr/bin/containerd && runs $lab/runtime/usr/sbin/runc || die "containerd does not run here ($log)"
	stamp runtime
}

runs() { "$@" --version >>$log 2>&1; }

prepare_engine_old() {
	done_stamp engine-20.10 && return
	say 'unpacking the older Docker engine'
	unpack $lab/engine-20.10 "$(setting old)" docker.io || die "no docker.io for $(setting old) at $(mirror) ($log)"
	runs $lab/engine-20.10/usr/sbin/dockerd || runs $lab/engine-20.10/usr/bin/dockerd || die "dockerd does not run ($log)"
	stamp engine-20.10
}

# The newest suite comes first; its engine may be linked against a newer C library than this machine's.
prepare_engine_new() {
	done_stamp engine-28 && return
	say 'unpacking the newer Docker engine'
	for suite in $(setting new); do
		unpack $lab/engine-28 "$suite" docker.io docker-cli || unpack $lab/engine-28 "$suite" docker.io || continue
		is_new_engine $lab/engine-28/usr/sbin/dockerd || is_new_engine $lab/engine-28/usr/bin/dockerd || continue
		runs $lab/engine-28/usr/bin/docker || continue
		stamp engine-28
		return
	done
	die "no docker.io 26 or newer that runs here at $(mirror) in $(setting new) ($log)"
}

is_new_engine() {
	major=$("$1" --version 2>>$log | sed -n 's/^Docker version \([0-9]*\)\..*/\1/p')
	[ "${major:-0}" -ge 26 ]
}

# Version 2, a program by itself. Debian and Ubuntu give the package different names and the program different places;
# under this one the docker command finds it, too.
prepare_compose() {
	done_stamp compose && return
	say 'unpacking Docker Compose'
	for suite in $(setting new); do
		unpack $lab/compose "$suite" docker-compose-v2 || unpack $lab/compose "$suite" docker-compose || continue
		found=$(find $lab/compose -type f -name docker-compose -perm -u=x | head -n 1)
		[ -n "$found" ] && "$found" version --short 2>>$log | grep -q '^v\?[2-9]' || continue
		mkdir -p $lab/compose/cli-plugins
		mv "$found" $lab/compose/cli-plugins/docker-compose
		stamp compose
		return
	done
	die "no Docker Compose 2 that runs here at $(mirror) in $(setting new) ($log)"
}

prepare_consul() {
	command -v consul >/dev/null && return
	done_stamp consul && return
	say 'unpacking Consul'
	unpack $lab/consul "$(setting consul)" consul || die "no consul for $(setting consul) at $(mirror); put one on PATH"
	runs $lab/consul/usr/bin/consul || die "Consul does not run here ($log)"
	stamp consul
}

# Of the suite of the older engine.
prepare_registry() {
	command -v docker-registry >/dev/null && return
	done_stamp docker-registry && return
	say 'unpacking the image registry'
	unpack $lab/docker-registry "$(setting old)" docker-registry ||
		die "no docker-registry for $(setting old) at $(mirror); put one on PATH"
	runs $lab/docker-registry/usr/bin/docker-registry || die "docker-registry does not run here ($log)"
	stamp docker-registry
}

prepare_image() {
	source=test/kit/image
	done_stamp image && [ -z "$(find $source -newer $lab/stamps/image -print -quit)" ] && return
	say 'making the test image'
	quietly 'compiling the traffic tool' cc -std=gnu11 -O2 -Wall -Wextra -Werror -static -o $lab/traffic $source/traffic.c
	root=$lab/image
	rm -rf $root
	mkdir -p $root/bin $root/etc $root/proc $root/sys $root/dev $root/run $root/var $root/root
	mkdir -m 1777 $root/tmp
	cp "$(command -v busybox)" $root/bin/busybox
	for applet in $(busybox --list); do
		[ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
	done
	cp $lab/traffic $root/bin/traffic
	cp "$(command -v iperf3)" $root/bin/iperf3
	for library in $(ldd "$(command -v iperf3)" | grep -o '/[^ ]*'); do
		mkdir -p "$root$(dirname "$library")"
		cp -L "$library" "$root$library"
	done
	echo 'root:x:0:0:root:/root:/bin/sh' >$root/etc/passwd
	echo 'root:x:0:' >$root/etc/group
	quietly 'packing the test image' tar -C $root --owner=0 --group=0 --sort=name -cf $lab/image.tar .
	rm -rf $root
	stamp image
}
