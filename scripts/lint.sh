#!/usr/bin/env bash
# lint.sh FILE...: formatting, clang-tidy, and the arrows between folders (docs/design.md).
set -u
cd "$(dirname "$0")/.." || exit 1
status=0

if ! clang-format --dry-run -Werror "$@"; then
	echo "lint: run 'make fmt'"
	status=1
fi

# never PATTERN-OF-INCLUDE FOLDER...: nothing in these folders may include that.
never() {
	local pattern=$1
	shift
	if grep -nE "#include [<\"]($pattern)" -r "$@" --include='*.[ch]'; then
		echo "lint: this include points the wrong way, see docs/design.md"
		status=1
	fi
}
never 'wire/|answer/|snap/|conf/|net/|worker/|server/|load/|zones/|geo/' dnsd/base
never 'answer/|snap/|conf/|net/|worker/|server/|load/|zones/|geo/' dnsd/wire
never 'snap/|conf/|net/|worker/|server/|load/|zones/|geo/' dnsd/answer
never 'conf/|net/|worker/|server/|load/|zones/|geo/' dnsd/snap
never 'server/|load/|zones/|geo/|conf/' dnsd/net dnsd/worker
never 'wire/|answer/|snap/|net/|worker/|server/|load/|zones/|geo/' dnsd/metrics
never 'wire/|answer/|snap/|conf/|net/|ctl/|worker/|metrics/|server/|load/|zones/|geo/' dnsd/loop
never 'wire/|answer/|snap/|conf/|net/|worker/|metrics/|server/|load/|zones/|geo/' dnsd/ctl
never 'metrics/' dnsd/net dnsd/worker dnsd/conf dnsd/load dnsd/snap dnsd/answer dnsd/wire dnsd/base zones geo
never 'wire/|answer/|snap/|conf/|net/|worker/|server/|load/|zones/|geo/|uv.h' dnsd/sandbox dnsd/service
never 'seccomp.h|sys/capability.h' dnsd/base dnsd/wire dnsd/answer dnsd/snap dnsd/conf dnsd/load dnsd/net dnsd/worker dnsd/server dnsd/ctl zones geo
never 'microhttpd' dnsd/net dnsd/worker dnsd/conf dnsd/load dnsd/snap dnsd/answer dnsd/wire dnsd/base dnsd/server zones geo tools
never 'net/|worker/|server/' dnsd/conf dnsd/load zones geo
never 'uv.h|ldns/|maxminddb|libconfig' dnsd/base dnsd/wire dnsd/answer dnsd/snap
never 'ldns/' dnsd geo
never 'maxminddb' dnsd zones
never 'openssl/(ssl|bio|err)' dnsd/base dnsd/wire dnsd/answer dnsd/snap dnsd/net dnsd/worker dnsd/server dnsd/load dnsd/conf zones geo
never 'wire/|answer/|snap/|net/|worker/|server/|load/|conf/|zones/|geo/|uv.h' dnsd/tls
never 'libconfig' zones geo dnsd/base dnsd/wire dnsd/answer dnsd/snap dnsd/net dnsd/worker dnsd/server dnsd/load
never 'mirrormon/' dnsd zones geo tools/dnsdctl tools/geodb
never 'net/|worker/|server/|ctl/|sandbox/|tls/|ldns/|libconfig' tools/mirrormon
never 'sqlite3' $(find tools/mirrormon -name '*.[ch]' ! -name 'history*')
never 'curl/' $(find tools/mirrormon -name '*.[ch]' ! -name 'checker*')

# never_calls PATTERN-OF-NAME FOLDER...: none of these is called there. It looks at comments as well.
never_calls() {
	local words=$1
	shift
	if grep -nE "(^|[^[:alnum:]_])($words)[[:space:]]*\\(" -r "$@" --include='*.[ch]'; then
		echo "lint: the core runs no program and opens no socket, see docs/sandbox.md"
		status=1
	fi
}
never_calls 'connect|socket|socketpair|exec(l|le|lp|v|ve|vp|vpe|veat)|fexecve|v?fork|clone3?|popen|system|posix_spawnp?|uv_spawn|uv_(tcp|pipe|udp)_connect2?' \
	dnsd/base dnsd/wire dnsd/answer dnsd/snap dnsd/conf dnsd/load dnsd/inspect dnsd/tls zones geo

if grep -nE '#include <assert\.h>' -r dnsd geo zones --include='*.[ch]'; then
	echo "lint: no assertion may end the server: check what a stranger wrote and return an error, see HACKING.md"
	status=1
fi

mapfile -t sources < <(printf '%s\n' "$@" | grep '\.c$')
printf '%s\n' "${sources[@]}" | xargs -P 2 -I{} clang-tidy --quiet {} -- -std=c11 -D_GNU_SOURCE '-DDNSD_VERSION="lint"' -Idnsd -Itools -I. \
	2>/dev/null | grep -E 'warning:|error:' && status=1
exit $status
