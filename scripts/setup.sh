#!/usr/bin/env bash
# setup.sh build|run|test: install what is missing on Debian 12, and nothing else.
#
# Instant and offline when everything is in place. Needs root or sudo only when something is missing; without either it
# prints what to install and stops.
set -euo pipefail

# To compile. libldns-dev brings libssl-dev; we use it ourselves too, for TLS.
build_packages=(gcc libc6-dev make pkg-config binutils libcurl4-openssl-dev libldns-dev libssl-dev libmaxminddb-dev libuv1-dev
	libconfig-dev libjansson-dev libmicrohttpd-dev libseccomp-dev libsodium-dev libsqlite3-dev zlib1g-dev)
# To make the country database (the .deb is fetched with apt-get and checked against its signature chain) and to ask.
run_packages=(dpkg ca-certificates bind9-dnsutils)
# Unit tests and lint; then the functional tests: kdig, drill, unbound, dnsperf, and a real client in a network namespace.
test_packages=(libcmocka-dev clang clang-tidy clang-format cppcheck libclang-rt-14-dev
	python3 python3-dnspython afl++ chromium chromium-driver clamav clamav-freshclam dnsdist dnsperf knot-dnsutils iproute2 ldnsutils llvm nginx-light procps minisign
	openssl sqlite3 strace systemd tidy unbound valgrind)

usage() {
	cat <<-END
		usage: $0 build|run|test
		  build  what compiling needs
		  run    and the country database, and dig
		  test   and everything for the tests
		Installs by apt-get only what is missing.
	END
}

# Of the packages named, those that are installed, one a line. Unknown ones make dpkg-query fail: that is no error here.
installed_of() {
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' || true
}

set_missing() { # to those of $@ that are not installed
	local package installed
	installed=" $(installed_of "$@" | tr '\n' ' ')"
	missing=()
	for package in "$@"; do
		[[ $installed == *" $package "* ]] || missing+=("$package")
	done
}

case ${1:-} in
build) wanted=("${build_packages[@]}") ;;
run) wanted=("${build_packages[@]}" "${run_packages[@]}") ;;
test) wanted=("${build_packages[@]}" "${run_packages[@]}" "${test_packages[@]}") ;;
-h | --help | help)
	usage
	exit 0
	;;
*)
	usage >&2
	exit 2
	;;
esac

if ! command -v dpkg-query >/dev/null; then
	echo "$0: this is not Debian: install the equivalents of: ${wanted[*]}" >&2
	exit 1
fi

set_missing "${wanted[@]}"
[ ${#missing[@]} -gt 0 ] || exit 0

echo "setup: missing: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		cat >&2 <<-END
			setup: these packages are missing, and there is no sudo to install them with. As root:

			    apt-get update && apt-get install --no-install-recommends ${missing[*]}

		END
		exit 1
	fi
	as_root=(sudo)
fi

# clamav-freshclam would start its service at once and fetch hundreds of megabytes, dnsdist and unbound would take port 53, nginx port 80: we want
# the programs, not the services. policy-rc.d is Debian's way to say so; one that is there already (containers) is left alone.
policy=/usr/sbin/policy-rc.d
made_policy=
remove_policy() {
	[ -z "$made_policy" ] || "${as_root[@]}" rm -f "$policy"
}
trap remove_policy EXIT
if [ ! -e "$policy" ]; then
	made_policy=1
	# shellcheck disable=SC2016 # for the script being written
	printf '#!/bin/sh\n# made by dnsd scripts/setup.sh for one installation\nexit 101\n' |
		"${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod 755 "$policy"
fi

"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
	apt-get install -q -y --no-install-recommends "${missing[@]}"

# Not at the next boot either.
for service in clamav-freshclam dnsdist nginx unbound; do
	if [[ " ${missing[*]} " == *" $service "* ]] && command -v systemctl >/dev/null; then
		"${as_root[@]}" systemctl disable "$service" >/dev/null 2>&1 || true
	fi
done

installed=("${missing[@]}")
set_missing "${wanted[@]}"
if [ ${#missing[@]} -gt 0 ]; then
	echo "setup: still missing after apt-get install: ${missing[*]}" >&2
	exit 1
fi
echo "setup: installed: ${installed[*]}"
