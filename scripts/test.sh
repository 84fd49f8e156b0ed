#!/usr/bin/env bash
# Run tests that are already built and add up their results.
#   test.sh BUILD BUILD-ASAN   everything, and most of it with the sanitizers' build too
#   test.sh --quick BUILD      unit tests and corpora only
#   test.sh --all-asan BUILD   everything with the sanitizers' build
set -u
cd "$(dirname "$0")/.." || exit 1

passed=0 failed=0 skipped=0
ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0:allocator_may_return_null=1}
UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export ASAN_OPTIONS UBSAN_OPTIONS

# One program of cmocka tests: its own count, or one failure when it did not get to the end.
unit() { # build
	local program out rc n bad
	for program in "$1"/tests/unit/*_test; do
		[ -x "$program" ] || continue
		out=$(timeout 300 "$program" 2>&1)
		rc=$?
		n=$(printf '%s\n' "$out" | sed -nE 's/^\[  PASSED  \] ([0-9]+) test.*/\1/p' | tail -n 1)
		bad=$(printf '%s\n' "$out" | grep -cE '^\[  FAILED  \] [a-z_]+$')
		if [ "$rc" -eq 0 ] && [ -n "$n" ]; then
			passed=$((passed + n))
			printf 'ok    %s: %s tests\n' "$program" "$n"
		else
			[ "$bad" -gt 0 ] || bad=1
			passed=$((passed + ${n:-0}))
			failed=$((failed + bad))
			printf 'FAIL  %s (status %s)\n' "$program" "$rc"
			printf '%s\n' "$out" | tail -n 60
		fi
	done
}

replay() { # build
	local program name out
	for program in "$1"/tests/fuzz/replay_fuzz_*; do
		[ -x "$program" ] && [ "${program%.d}" = "$program" ] || continue
		name=${program##*/replay_}
		if out=$(timeout 300 "$program" "tests/fuzz/$name.in" 2>&1); then
			passed=$((passed + 1))
			printf 'ok    %s: %s\n' "$program" "$out"
		else
			failed=$((failed + 1))
			printf 'FAIL  %s\n' "$program"
			printf '%s\n' "$out" | tail -n 40
		fi
	done
}

# Everything below writes its lines to a log, whose last line adds them up: it may run beside others.
quick() { # build
	unit "$1"
	# Without sanitizers `make test` builds none: what is there would be of an older `make check`.
	is_measured "$1" || replay "$1"
	echo "$passed passed, $failed failed, $skipped skipped"
}

func() { # build argument...
	local build=$1
	shift
	DNSD_BIN=$build/bin/dnsd DNSDCTL_BIN=$build/bin/dnsdctl GEODB_BIN=$build/bin/dnsd-geodb \
		MIRRORMON_BIN=$build/bin/mirrormon WORLD_TSV=$build/world.tsv \
		/usr/bin/python3 tests/func/run.py "$@" 2>&1
}

beside() { # build name command...: in the background, to be joined; the log is BUILD/NAME.log
	local log=$1/$2.log
	shift 2
	"$@" >"$log" 2>&1 &
}

join() { # build name: show it, count it
	local line
	cat "$1/$2.log"
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$1/$2.log" | tail -n 1)
	if [ -z "$line" ]; then
		failed=$((failed + 1))
		echo "FAIL  $1: the $2 tests did not get to their end"
		return
	fi
	# shellcheck disable=SC2086
	set -- $line
	passed=$((passed + $1))
	failed=$((failed + $3))
	skipped=$((skipped + ${5:-0}))
}

# These measure time, or need all of the machine. What a sanitizer has built is too slow to be measured: there they
# are like others.
alone=t40_tcp.greedy,t47_crowd.crowd,t48_tls.beside,t80,t82,t91_takeover.many
# With the sanitizers only by `make asan`: long, and nearly all in code that the others run as well; or a browser at work.
asan_only=t47,t61,t63,t64,t71,t78_state,t80,t81,t82,t83,t91,t98

is_measured() { # build
	[[ $1 != *-asan ]]
}

# Many tests wait for time to pass: more of them run at a time than there are processors.
all() { # tests-not-to-be-run-with-sanitizers build...
	local build not=$1
	shift
	for build; do
		beside "$build" quick quick "$build"
		if is_measured "$build"; then
			beside "$build" most func "$build" --jobs=2 "--not=$alone"
		else
			beside "$build" most func "$build" --jobs=2 ${not:+"--not=$not"}
		fi
	done
	wait
	for build; do join "$build" quick; join "$build" most; done
	for build; do
		is_measured "$build" || continue
		# shellcheck disable=SC2086
		func "$build" ${alone//,/ } | tee "$build/alone.log"
		join "$build" alone >/dev/null
	done
}

case "$1" in
--quick) unit "$2"; replay "$2" ;;
--all-asan) all "" "$2" ;;
*) all "$asan_only" "$@" ;;
esac

echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
