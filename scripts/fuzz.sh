#!/usr/bin/env bash
# fuzz.sh SECONDS "LIBRARIES" [NAME...]: each target, or those named, under libFuzzer with sanitizers, two at a time.
# What it finds stays in build-fuzz/NAME.found/, what it has learned in build-fuzz/NAME.corpus/.
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=$1
read -r -a libraries <<<"$2"
shift 2
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
	mapfile -t names < <(basename -s .c tests/fuzz/fuzz_*.c)
fi
build="build-fuzz"
sanitizers="address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

# By the Makefile, so that only what has changed is compiled; warnings are the business of lint.sh.
compile() { # sanitizers target...
	local san=$1
	shift
	"${MAKE:-make}" -s --no-print-directory CC=clang BUILD=$build OPT="-O1 -g" CFLAGS=-w SAN="-fsanitize=$san" "$@"
}
# To build a map is a loop over 64K entries: watched by the fuzzer, it would take most of the time and teach it nothing.
compile "$sanitizers" $build/dnsd/answer/geo_map.o || exit 1
compile "fuzzer-no-link,$sanitizers" "${names[@]/#/$build/tests/fuzz/replay_}" || exit 1
# Once more, with the fuzzer's main().
for name in "${names[@]}"; do
	# shellcheck disable=SC2086
	clang -fsanitize=fuzzer,$sanitizers -o "$build/$name" "$build/tests/fuzz/$name.o" $build/tools/geodb/mmdb_writer.o \
		$build/tests/unit/support/*.o $build/libdnsserve.a $build/libdnsload.a $build/libdnscore.a -lcmocka "${libraries[@]}" || exit 1
done

run() { # name
	local name=$1 log=$build/$1.log
	mkdir -p "$build/$name.corpus" "$build/$name.found"
	if "$build/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -artifact_prefix="$build/$name.found/" \
		-print_final_stats=1 "$build/$name.corpus" "tests/fuzz/$name.in" >"$log" 2>&1; then
		echo "$name: no finding: $(awk '/number_of_executed_units/ { print $2 }' "$log") inputs in $seconds s"
	else
		echo "$name: FOUND SOMETHING, see $log"
		return 1
	fi
}

status=0
running=()
for name in "${names[@]}"; do
	run "$name" &
	running+=($!)
	if [ ${#running[@]} -eq 2 ]; then
		wait "${running[0]}" || status=1
		running=("${running[1]}")
	fi
done
for pid in "${running[@]}"; do
	wait "$pid" || status=1
done
exit $status
