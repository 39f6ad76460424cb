#!/bin/sh
# Makes a fresh Debian or Ubuntu machine ready for demo, tests and bench: system packages, npm packages, build, lab.
# Every step looks first whether there is anything to do, so a second run takes about a second and needs no network.
# The machine itself gets nothing but packages for building and measuring: no daemon is installed or started.
set -eu

cd "$(dirname "$0")/.."
lab=.lab
log=$lab/setup.log
mkdir -p $lab/stamps

say() { printf 'setup: %s\n' "$*"; }

die() {
	printf 'setup: failed: %s\n' "$*" >&2
	exit 1
}

# quietly WHAT COMMAND...: runs it with its words in the log; when it fails, says what failed and its first complaint.
quietly() {
	what=$1
	shift
	before=$(wc -l <$log)
	"$@" >>$log 2>&1 && return
	complaint=$(tail -n "+$((before + 1))" $log | grep -iE '^E: |error' | grep -vE '^npm error( code.*)?$' | head -n 1)
	[ -n "$complaint" ] || complaint=$(tail -n 1 $log)
	die "$what: $(echo "$complaint" | cut -c 1-200) (all of it: $log)"
}

[ "$(id -u)" = 0 ] || die 'run it as root: network namespaces, eBPF and Docker engines need it'

# One set-up at a time in this clone; a second one waits for the first and then finds everything done.
if [ "${WEFT_SETUP_LOCKED:-}" != 1 ]; then
	command -v flock >/dev/null || die 'flock (package util-linux) is missing'
	WEFT_SETUP_LOCKED=1 exec flock $lab/lock sh scripts/setup.sh "$@"
fi
: >$log

check_system() {
	[ -r /etc/os-release ] || die 'this is not Debian or Ubuntu (no /etc/os-release)'
	. /etc/os-release
	case "${ID:-}:${VERSION_ID:-99}" in
	debian:1[2-9] | debian:[2-9][0-9]) ;;
	ubuntu:2[2-9].* | ubuntu:[3-9][0-9].*) ;;
	*) die "needs Debian 12 or newer, or Ubuntu 22.04 or newer; this is ${PRETTY_NAME:-unknown}" ;;
	esac
	command -v apt-get >/dev/null || die 'apt-get is missing'
	command -v node >/dev/null || die 'Node.js 20.19 or newer is missing'
	node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
		die "needs Node.js 20.19 or newer; this is $(node --version)"
	command -v npm >/dev/null || die 'npm is missing'
}

# The last line: libraries of the unpacked engines, and systemd, which tests start in namespaces; without systemd-sysv it
# does not become the machine's own. (Debian 12's bpftool is a package; Ubuntu's is part of linux-tools.)
packages='clang llvm libbpf-dev libelf-dev zlib1g-dev build-essential python3 pkg-config
	iproute2 iptables iperf3 busybox-static tcpdump ethtool clang-format jq procps ca-certificates
	nftables libdevmapper1.02.1 libseccomp2 libsystemd0 systemd'

missing_packages() {
	command -v bpftool >/dev/null || [ -x /usr/sbin/bpftool ] || echo bpftool
	# shellcheck disable=SC2086
	dpkg-query -W -f '${Package} ${db:Status-Status}\n' $packages 2>/dev/null >$lab/installed || true
	for package in $packages; do
		grep -qx "$package installed" $lab/installed || echo "$package"
	done
}

install_packages() {
	missing=$(missing_packages | tr '\n' ' ')
	[ -n "$missing" ] || return 0
	say "installing packages: $missing"
	export DEBIAN_FRONTEND=noninteractive
	quietly 'apt-get update' apt-get update -q
	case " $missing" in
	*' bpftool '*)
		apt-cache policy bpftool | grep -q 'Candidate: [0-9]' ||
			missing="linux-tools-common linux-tools-generic linux-tools-$(uname -r) $(echo "$missing" | sed 's/bpftool //')"
		;;
	esac
	# shellcheck disable=SC2086
	quietly 'apt-get install' apt-get install -q -y --no-install-recommends $missing
}

# Installs from the lock file when it is newer than what is installed, and builds the addons an npm told not to run
# install scripts left unbuilt.
install_modules() {
	if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
		say 'installing npm packages'
		quietly 'npm ci' npm ci --loglevel=error
		touch node_modules/.package-lock.json
	fi
	for addon in raw-socket syscall-napi buffer2address; do
		[ -n "$(find node_modules/$addon -name '*.node' -print -quit)" ] && continue
		say "building the addon of $addon"
		quietly "npm rebuild $addon" npm rebuild --loglevel=error --foreground-scripts $addon
		[ -n "$(find node_modules/$addon -name '*.node' -print -quit)" ] || die "npm rebuild left no addon in $addon"
	done
}

check_system
install_packages
install_modules
. scripts/lab.sh
prepare_lab
sh scripts/build.sh || die 'npm run build (what it said is above)'
say 'ready'
