#!/bin/sh
# Everything that can be judged without running the program. All steps run, one line each; what a failed one said
# follows its line. Exit code 1 when one failed.
set -u

cd "$(dirname "$0")/.."
PATH="$PWD/node_modules/.bin:$PATH"
failed=0

# step NAME COMMAND...
step() {
	name=$1
	shift
	if said=$("$@" 2>&1 </dev/null); then
		printf 'ok      %s\n' "$name"
	else
		printf 'FAILED  %s: %s\n%s\n' "$name" "$*" "$said"
		failed=1
	fi
}

native_format() {
	find native test/kit/image test/kit/former-schema \( -name build -o -name vmlinux.h \) -prune -o -type f \( -name '*.c' -o -name '*.h' -o -name '*.cc' \) -print |
		sort | xargs clang-format --dry-run -Werror
}

step 'lint and format' biome check --error-on-warnings --max-diagnostics=100
step 'types' tsc --noEmit
step 'dependency rule' depcruise --config .dependency-cruiser.cjs src
step 'dead code' knip
step 'native format' native_format
step 'generated layout' node --import tsx scripts/generate-layout.ts --check
step 'generated docs' node --import tsx scripts/generate-docs.ts --check

exit $failed
