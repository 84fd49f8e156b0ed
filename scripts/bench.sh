#!/usr/bin/env bash
# bench.sh [--quick] BUILD [ROUNDS] [SECONDS]: dnsd on one core against its peers and against the limit, load from another core.
#
# The limit is tests/bench/echo.c: what the kernel's sockets allow a server that does nothing; "whole" is the same with what it sends back as long as
# answers are and never in fragments, as dnsd sends. The peers are those of scripts/peers.sh; all
# have the site of scripts/bench_site.py. First every server must give the answers that dnsd's own explanation of them demands.
# Then one server at a time is asked in slices of SECONDS (default 0.2), server by server, kind by kind, ROUNDS times (default 21), so that the
# noise of a shared machine hits all alike, and each slice is compared with the limit's of the same round. Servers that are not asked cost nothing.
# --quick: dnsd and the limit only, five seconds, no peers needed.
#
# SITE, PEERS: where bench_site.py and peers.sh put theirs (var/bench, var/peers). Writes SITE/results.json (results-quick.json), SITE/bench.svg and the
# tables; what was measured is told in docs/performance.md. Exits with 1 when an answer was wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=
if [ "${1:-}" = --quick ]; then
	quick=1
	shift
fi
if [ $# -lt 1 ] || [ $# -gt 3 ]; then
	echo "usage: $0 [--quick] BUILD [ROUNDS] [SECONDS]" >&2
	exit 2
fi
build=$1
rounds=${2:-${quick:+2}}
rounds=${rounds:-21}
slice=${3:-${quick:+0.25}}
slice=${slice:-0.2}
site=${SITE:-var/bench}
peers=${PEERS:-var/peers}
tcp_rounds=3
# Many short rounds: what else the machine does spoils some of them, not their median.
latency_rounds=9
latency_slice=0.5
server_core=0
driver_core=1
start_deadline_s=60
if [ "$(nproc)" -lt 2 ]; then
	echo "bench: needs two cores, one to serve and one to ask" >&2
	exit 1
fi
answer_bytes=99 # of the mix; TXT 93, country 98, local 123, NXDOMAIN 86
limits=(limit whole)
servers=(dnsd gdnsd knot nsd)
if [ -n "$quick" ]; then
	limits=(limit)
	servers=(dnsd)
fi
kinds=(txt country local nx mix)

declare -A pid port
stop() {
	for server in "${!pid[@]}"; do kill "${pid[$server]}" 2>/dev/null || true; done
	wait
}
trap stop EXIT

fail() { # SERVER TEXT
	echo "bench: $1 $2; its log, $work/$1.log, ends:" >&2
	tail -n 5 "$work/$1.log" >&2
	exit 1
}

ask() { dig +short +time=1 +tries=1 -p "$1" @127.0.0.1 current.cvd.clamav.net TXT 2>/dev/null | grep -q '^"1\.4\.3:62:'; }

start() { # SERVER
	local root=$peers/root/usr command
	case $1 in
	limit) command=("$build/tests/bench/echo") ;;
	whole) command=("$build/tests/bench/echo" "$answer_bytes") ;;
	dnsd) command=("$build/bin/dnsd" -c "$site/dnsd/dnsd.conf") ;;
	gdnsd) command=("$root/sbin/gdnsd" -c "$site/gdnsd" start) ;;
	knot) command=("$root/sbin/knotd" -c "$site/knot/knot.conf") ;;
	nsd) command=("$root/sbin/nsd" -d -c "$site/nsd/nsd.conf") ;;
	esac
	case $1 in
	limit | whole | dnsd) libraries='' ;;
	*) libraries=$(echo "$PWD/$root"/lib/*-linux-gnu) ;;
	esac
	LD_LIBRARY_PATH=$libraries taskset -c $server_core "${command[@]}" >"$work/$1.log" 2>&1 &
	pid[$1]=$!
}

is_limit() { [[ " ${limits[*]} " = *" $1 "* ]]; }

wait_ready() { # SERVER
	local end=$((SECONDS + start_deadline_s))
	while ! {
		case $1 in
		limit | whole) port[$1]=$(head -n 1 "$work/$1.log") ;;
		dnsd) port[$1]=$(sed -nE 's/.*listening on 127.0.0.1@([0-9]+)$/\1/p' "$work/dnsd.log") ;;
		*) port[$1]=$(awk -v server="$1" '$1 == server { print $2 }' "$site/ports") ;;
		esac
		[ -n "${port[$1]}" ] && { is_limit "$1" || ask "${port[$1]}"; }
	}; do
		kill -0 "${pid[$1]}" 2>/dev/null || fail "$1" "has ended"
		[ $SECONDS -lt $end ] || fail "$1" "does not answer within $start_deadline_s s"
		sleep 0.1
	done
}

# The process and those it started: NSD answers from a child of its own.
family() {
	local children child
	echo "$1"
	read -ra children < <(cat "/proc/$1/task"/*/children) || true
	for child in "${children[@]}"; do family "$child"; done
}

cpu() { # SERVER: nanoseconds on a core, and of them ticks in the program and in the kernel
	local one files=()
	for one in ${members[$1]}; do files+=("/proc/$one/task"/*/schedstat "/proc/$one/stat"); done
	awk 'FILENAME ~ /schedstat$/ { ns += $1; next } { sub(/.*\) /, ""); user += $12; system_ += $13 }
		END { printf "%.0f %d %d\n", ns, user, system_ }' "${files[@]}"
}

# Run what asks, and write its figures with what the server spent meanwhile: WORDS... ns user system, then the driver's line.
measure() { # FILE SERVER WORDS -- COMMAND...
	local file=$1 server=$2 words=() before after line
	shift 2
	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	shift
	before=$(cpu "$server")
	line=$(taskset -c $driver_core "$@") || true # wrong answers are in the line
	after=$(cpu "$server")
	awk -v words="${words[*]}" -v server="$server" -v before="$before" -v after="$after" -v line="$line" 'BEGIN {
		split(before, b, " "); split(after, a, " ")
		printf "%s server=%s cpu_ns=%.0f user=%d system=%d %s\n", words, server, a[1] - b[1], a[2] - b[2], a[3] - b[3], line }' >>"$work/$file"
}

# What a server has no answer for: NSD no geography.
can() { [ "$1" != nsd ] || { [ "$2" != local ] && [ "$2" != mix ]; }; }

measure_udp() {
	local round kind server
	for round in $(seq "$rounds"); do
		for kind in "${kinds[@]}"; do
			for server in "${limits[@]}" "${servers[@]}"; do
				can "$server" "$kind" || continue
				local how=()
				! is_limit "$server" || how=("echo")
				measure udp "$server" round="$round" kind="$kind" -- \
					"$build/tests/bench/flood" "${port[$server]}" "$kind" "$slice" "${how[@]}"
			done
		done
	done
}

# At shares of what the server itself was found to answer.
measure_latency() {
	local round kind server percent rate
	for round in $(seq $latency_rounds); do
		for kind in txt mix; do
			for percent in 25 50 90; do
				for server in "${servers[@]}"; do
					can "$server" $kind || continue
					rate=$(scripts/bench_report.py "$work" --capacity "$kind" "$server" $percent)
					measure latency "$server" round="$round" kind=$kind percent=$percent offered="$rate" -- \
						"$build/tests/bench/load" "${port[$server]}" $kind $latency_slice "$rate"
				done
			done
		done
	done
}

dnsperf_line() { # PORT
	dnsperf -s 127.0.0.1 -p "$1" -m tcp -c 16 -q 512 -T 1 -l 1 -d "$work/tcp.queries" 2>&1 |
		awk '/Queries per second/ { rate = $4 } /Queries lost/ { lost = $3 } END { printf "rate=%.0f lost=%d\n", rate, lost }'
}
export -f dnsperf_line

measure_tcp() {
	local round server
	for round in $(seq $tcp_rounds); do
		for server in "${servers[@]}"; do
			measure tcp "$server" round="$round" kind=kept -- bash -c "work=$work; dnsperf_line ${port[$server]}"
			measure tcp "$server" round="$round" kind=new -- "$build/tests/bench/tcp_new" "${port[$server]}" 1
		done
	done
}

work=$site/work
rm -rf "$work"
mkdir -p "$work"
printf 'current.cvd.clamav.net TXT\ndb.de.clamav.net A\n' >"$work/tcp.queries"
for server in "${limits[@]}" "${servers[@]}"; do start "$server"; done
for server in "${limits[@]}" "${servers[@]}"; do wait_ready "$server"; done
declare -A members
for server in "${limits[@]}" "${servers[@]}"; do members[$server]=$(family "${pid[$server]}" | tr '\n' ' '); done

verified=(--dnsctl "$build/bin/dnsdctl")
for server in "${servers[@]}"; do verified+=("$server=${port[$server]}"); done
scripts/bench_verify.py "$site" "${verified[@]}"

measure_udp
if [ -z "$quick" ]; then
	measure_latency
	measure_tcp
	for server in gdnsd knot nsd; do
		echo "$server $(dpkg-deb -f "$(compgen -G "$peers/debs/${server}_*.deb" | sort -V | tail -n 1)" Version)"
	done >"$work/versions"
fi
results=$site/results${quick:+-quick}
scripts/bench_report.py "$work" --json "$results.json" --rounds "$rounds" --seconds "$slice"
[ -n "$quick" ] || scripts/bench_plot.py "$results.json" >"$site/bench.svg"
