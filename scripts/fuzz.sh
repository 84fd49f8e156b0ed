#!/usr/bin/env bash
# fuzz.sh SECONDS "LIBRARIES": each target under libFuzzer with sanitizers, two at a time. Findings stay in build-fuzz/.
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=$1
read -r -a libraries <<<"$2"
mkdir -p build-fuzz
mapfile -t sources < <(ls dnsd/{base,wire,answer,snap,conf}/*.c zones/*.c zones/pool/*.c geo/*.c tools/geodb/mmdb_writer.c tests/unit/support/*.c)

status=0
for target in tests/fuzz/fuzz_*.c; do
	name=$(basename "$target" .c)
	echo "building $name"
	clang -std=c11 -g -O1 -D_GNU_SOURCE -DDNSD_VERSION='"fuzz"' -Idnsd -I. -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -o "build-fuzz/$name" "$target" "${sources[@]}" -lcmocka "${libraries[@]}" || exit 1
done
for target in tests/fuzz/fuzz_*.c; do
	name=$(basename "$target" .c)
	mkdir -p "build-fuzz/$name.corpus" "build-fuzz/$name.found"
	(
		if "build-fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -artifact_prefix="build-fuzz/$name.found/" \
			-print_final_stats=1 "build-fuzz/$name.corpus" "tests/fuzz/$name.in" >"build-fuzz/$name.log" 2>&1; then
			echo "$name: no finding: $(grep -E 'number_of_executed_units' "build-fuzz/$name.log" | awk '{print $2}') inputs in $seconds s"
		else
			echo "$name: FOUND SOMETHING, see build-fuzz/$name.log"
			exit 1
		fi
	) &
	while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n || status=1; done
done
while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n || status=1; done
exit $status
