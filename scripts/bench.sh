#!/usr/bin/env bash
# bench.sh BUILD [ROUNDS]: dnsd on one core against the limit of the kernel's sockets (tests/bench/echo.c), load from the other
# core, in interleaved rounds. Prints the median of each kind of query and its ratio to the limit of the same run.
set -eu
cd "$(dirname "$0")/.."
build=$1
rounds=${2:-5}
if [ "$(nproc)" -lt 2 ]; then
	echo "bench: needs two cores, one to serve and one to ask" >&2
	exit 1
fi
work=$(mktemp -d)
pids=()
stop() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	rm -rf "$work"
}
trap stop EXIT

cp -r contrib/clamav.net/. "$work"
sed -i "s|127.0.0.1@5300|127.0.0.1@0|; s|workers = 0|workers = 1|; s|\"../../var/|\"$PWD/var/|" "$work/dnsd.conf"
taskset -c 0 "$build/tests/bench/echo" >"$work/echo.port" &
pids+=($!)
taskset -c 0 "$build/bin/dnsd" -c "$work/dnsd.conf" 2>"$work/dnsd.log" &
pids+=($!)
for _ in $(seq 100); do
	grep -q ' ready: ' "$work/dnsd.log" && break
	sleep 0.1
done
port=$(sed -nE 's/.*listening on 127.0.0.1@([0-9]+)$/\1/p' "$work/dnsd.log")
[ -n "$port" ] || { cat "$work/dnsd.log" >&2; exit 1; }

for _ in $(seq "$rounds"); do
	for kind in echo txt country local nx mix; do
		to=$port
		[ $kind = echo ] && to=$(cat "$work/echo.port")
		taskset -c 1 "$build/tests/bench/flood" "$to" $kind 1 >>"$work/$kind"
	done
done

median() { sed -nE 's/.*rate=([0-9]+).*/\1/p' "$work/$1" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
limit=$(median echo)
printf '%-10s %12s %8s %8s\n' kind answers/s ratio lost
for kind in echo txt country local nx mix; do
	rate=$(median $kind)
	lost=$(sed -nE 's/.*lost=([0-9]+).*/\1/p' "$work/$kind" | awk '{ s += $1 } END { print s }')
	printf '%-10s %12s %8s %8s\n' $kind "$rate" "$(awk "BEGIN { printf \"%.2f\", $rate / $limit }")" "$lost"
done
