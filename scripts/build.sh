#!/bin/sh
# Builds what changed: the BPF objects and the addon (make knows), and dist/ from src/ when a source is newer.
set -eu

cd "$(dirname "$0")/.."

if [ -e native/Makefile ]; then
	said=$(make -s -C native 2>&1) || {
		printf '%s\nbuild: failed: make -C native\n' "$said" >&2
		exit 1
	}
fi

built=dist/.built
if [ ! -e $built ] || [ -n "$(find src tsconfig.json tsconfig.build.json package-lock.json -newer $built -print -quit)" ]; then
	echo 'build: compiling src to dist'
	# Beside the old one and then in its place: a daemon started meanwhile finds one or the other, whole.
	rm -rf dist.next
	marker=$(mktemp)
	if ! node_modules/.bin/tsc -p tsconfig.build.json --outDir dist.next; then
		rm -rf dist.next "$marker"
		echo 'build: failed: tsc -p tsconfig.build.json' >&2
		exit 1
	fi
	# As old as the start of this build, so that a file saved during it is compiled next time.
	mv "$marker" dist.next/.built
	rm -rf dist
	mv dist.next dist
fi
