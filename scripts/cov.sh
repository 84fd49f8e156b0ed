#!/usr/bin/env bash
# cov.sh BUILD: run unit tests, fuzz corpora and the functional tests of the network on a build with --coverage, then
# print which lines they have come to.
set -u
cd "$(dirname "$0")/.." || exit 1
build=$1
packet_code=(dnsd/wire dnsd/answer dnsd/net)
status=0
find "$build" -name '*.gcda' -delete
for program in "$build"/tests/unit/*_test "$build"/tests/fuzz/replay_fuzz_*; do
	[ -x "$program" ] && [ "${program%.d}" = "$program" ] || continue
	input=()
	[[ $program != */replay_* ]] || input=("tests/fuzz/${program##*/replay_}.in")
	if ! "$program" "${input[@]}" >"$build/cov.log" 2>&1; then
		echo "cov: $program has failed:" >&2
		tail -n 20 "$build/cov.log" >&2
		status=1
	fi
done
DNSD_BIN=$build/bin/dnsd DNSDCTL_BIN=$build/bin/dnsdctl GEODB_BIN=$build/bin/dnsd-geodb \
	/usr/bin/python3 tests/func/run.py --not=t40_tcp.greedy,t48_tls.beside,t91_takeover.many t10 t20 t30 t35 t36 t40 t41 t42 t46 t47_crowd.prefix t47_crowd.idle t47_crowd.held t48 t50 t87 t91 t93 t94_service.shared t94_service.one_each t94_service.wildcard t94_service.refused t95 t96 >"$build/cov.log" 2>&1 || {
	echo "cov: functional tests have failed:" >&2
	grep FAIL "$build/cov.log" | head -n 20 >&2
	status=1
}
scripts/cov.py "$build" "${packet_code[@]}" || status=1
exit $status
