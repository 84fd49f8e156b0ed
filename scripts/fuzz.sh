#!/usr/bin/env bash
# fuzz.sh libfuzzer|afl SECONDS "LIBRARIES" [TARGET...]: each target, or those named ("query" or "fuzz_query"), under
# libFuzzer or AFL++ with sanitizers. SECONDS of processor time in all, spread evenly over the targets.
#
# What is found stays in build-fuzz/NAME.found/ (build-afl/ for AFL++): its path is printed and the exit status is 1. What
# has been learned stays in NAME.corpus/, and the next run goes on from there. To keep the best of it:
#     build-fuzz/fuzz_query -merge=1 tests/fuzz/fuzz_query.in build-fuzz/fuzz_query.corpus
set -u
cd "$(dirname "$0")/.." || exit 1
engine=$1
seconds=$2
read -r -a libraries <<<"$3"
shift 3
names=()
for name in "$@"; do
	name=fuzz_${name#fuzz_}
	if [ ! -e "tests/fuzz/$name.c" ]; then
		echo "$0: there is no target $name; see tests/fuzz" >&2
		exit 2
	fi
	names+=("$name")
done
if [ ${#names[@]} -eq 0 ]; then
	mapfile -t names < <(basename -s .c tests/fuzz/fuzz_*.c)
fi
each=$((seconds / ${#names[@]}))
[ "$each" -ge 5 ] || each=5
sanitizers="address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
case $engine in
libfuzzer) build=build-fuzz compiler=clang instrument="-fsanitize=fuzzer-no-link,$sanitizers" ;;
afl) build=build-afl compiler=afl-clang-fast instrument="-fsanitize=$sanitizers" ;;
*)
	echo "$0: \"$engine\" is neither libfuzzer nor afl" >&2
	exit 2
	;;
esac
export AFL_QUIET=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_NO_UI=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_AUTORESUME=1

# By the Makefile, so that only what has changed is compiled; warnings are the business of lint.sh.
compile() { # compiler san target...
	local compiler=$1 san=$2
	shift 2
	"${MAKE:-make}" -s --no-print-directory CC="$compiler" BUILD=$build OPT="-O1 -g" CFLAGS=-w SAN="$san" "$@" >&2
}
# To build a map is a loop over 64K entries: watched by the fuzzer, it would take most of the time and teach it nothing.
compile clang "-fsanitize=$sanitizers" $build/dnsd/answer/geo_map.o || exit 1
compile $compiler "$instrument" "${names[@]/#/$build/tests/fuzz/replay_}" || exit 1
# Once more, with the fuzzer's main().
for name in "${names[@]}"; do
	# shellcheck disable=SC2086
	$compiler -fsanitize=fuzzer,$sanitizers -o "$build/$name" "$build/tests/fuzz/$name.o" $build/tools/geodb/mmdb_writer.o \
		$build/tests/unit/support/*.o $build/libmirrormon.a $build/libdnsserve.a $build/libdnsload.a $build/libdnscore.a -lcmocka \
		"${libraries[@]}" || exit 1
done

run_libfuzzer() { # name; prints how many inputs
	local name=$1
	"$build/$name" -max_total_time="$each" -timeout=20 -rss_limit_mb=4096 -artifact_prefix="$build/$name.found/" \
		-print_final_stats=1 "$build/$name.corpus" "tests/fuzz/$name.in" >"$build/$name.log" 2>&1
	status=$?
	awk '/number_of_executed_units/ { print $2 }' "$build/$name.log"
	return $status
}

run_afl() { # name; prints how many inputs
	local name=$1 options=abort_on_error=1:symbolize=0:detect_leaks=0:allocator_may_return_null=1
	ASAN_OPTIONS=$options UBSAN_OPTIONS=$options afl-fuzz -i "tests/fuzz/$name.in" -o "$build/$name.corpus" -V "$each" \
		-t 2000+ -m none -- "$build/$name" >"$build/$name.log" 2>&1 || return 1
	cp "$build/$name".corpus/default/{crashes,hangs}/id* "$build/$name.found/" 2>/dev/null
	awk '/^execs_done/ { print $3 }' "$build/$name.corpus/default/fuzzer_stats"
}

run() { # name
	local name=$1 inputs found
	mkdir -p "$build/$name.corpus" "$build/$name.found"
	# What an earlier run has found and is mended now.
	for found in "$build/$name.found"/*; do
		[ ! -e "$found" ] || ! "$build/tests/fuzz/replay_$name" "$found" >/dev/null 2>&1 || rm "$found"
	done
	inputs=$("run_$engine" "$name")
	if [ $? -eq 0 ] && [ -z "$(ls -A "$build/$name.found")" ]; then
		echo "$name: no finding: $inputs inputs in $each s"
		return 0
	fi
	echo "$name: FOUND SOMETHING, see $build/$name.log and"
	find "$build/$name.found" -type f | sed "s|^|    $build/tests/fuzz/replay_$name |"
	return 1
}

# As many at a time as there are processors.
most=$(nproc)
status=0
running=()
for name in "${names[@]}"; do
	run "$name" &
	running+=($!)
	if [ ${#running[@]} -ge "$most" ]; then
		wait "${running[0]}" || status=1
		running=("${running[@]:1}")
	fi
done
for pid in "${running[@]}"; do
	wait "$pid" || status=1
done
exit $status
