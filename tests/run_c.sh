#!/usr/bin/env bash
# run_c.sh PROGRAM... -- runs C test programs one after the other, shows cmocka's closing lines
# (everything of a program that fails) and ends with 'N passed, N failed'.
# A program under tests/fuzz replays its corpus. RUNNER is put before each program.
set -u
passed=0 failed=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

# Sum of the counts in cmocka's (or the replay's) lines that hold this word.
count()
{
	sed -n "s/^\[  $1  \] \([0-9][0-9]*\) .*/\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'
}

for program in "$@"; do
	args=()
	case $program in
	*/tests/fuzz/*) args=("tests/fuzz/corpus/${program##*/}") ;;
	esac
	echo "== ${program#build/}"
	# shellcheck disable=SC2086
	timeout -k 5 "${TEST_TIMEOUT:-180}" ${RUNNER:-} "$program" "${args[@]}" >"$log" 2>&1 </dev/null
	rc=$?
	ok=$(count PASSED) bad=$(count FAILED)
	# Crashed, timed out, or ran nothing at all: that is a failure that cmocka did not count.
	if [ $rc != 0 ] && [ "$bad" = 0 ] || [ $((ok + bad)) = 0 ]; then
		bad=$((bad + 1))
	fi
	passed=$((passed + ok)) failed=$((failed + bad))
	if [ "$bad" = 0 ]; then
		grep '^\[  PASSED  \]' "$log"
	else
		cat "$log"
		echo "== $program failed (exit code $rc)"
	fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
