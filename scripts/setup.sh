#!/usr/bin/env bash
# setup.sh build|run|map|test: install what is missing on Debian 12, and nothing else.
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
test_packages=(libcmocka-dev clang clang-tidy clang-format libclang-rt-14-dev
	python3 python3-dnspython afl++ chromium chromium-driver clamav clamav-freshclam dnsdist dnsperf knot-dnsutils
	iproute2 ldnsutils llvm nginx-light procps minisign openssl sqlite3 strace systemd tidy unbound valgrind)
# To draw the world map of the status site: node and npm that are in PATH already will do, of whatever origin.
map_packages=()
command -v node >/dev/null || map_packages+=(nodejs)
command -v npm >/dev/null || map_packages+=(npm)
map_folder=$(cd "$(dirname "$0")" && pwd)/worldmap

usage() {
	cat <<-END
		usage: $0 build|run|map|test
		  build  what compiling needs
		  run    and the country database, and dig
		  map    what drawing the world map of the status site needs: node, npm, and packages of npm in scripts/worldmap
		  test   everything for the tests, the map among it
		Installs by apt-get and npm only what is missing.
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

# What was installed last is kept beside it, so that a changed list is noticed.
install_map_packages() {
	local installed=$map_folder/node_modules/.installed.json
	if cmp -s "$map_folder/package.json" "$installed"; then return 0; fi
	echo "setup: npm install in $map_folder"
	# By itself npm tries for minutes where there is no way to the registry.
	if ! (cd "$map_folder" && timeout 120 npm install --no-audit --no-fund --ignore-scripts --no-package-lock --loglevel=error \
		--fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-timeout=30000); then
		echo "setup: the packages that draw the world map are missing: npm could not install them, see above" >&2
		return 1
	fi
	cp "$map_folder/package.json" "$installed"
}

# The programs and their tests do without a map.
finish() { # level
	case $1 in
	map) install_map_packages ;;
	test) install_map_packages || echo "setup: going on without; the tests of the map will be skipped" >&2 ;;
	esac
}

case ${1:-} in
build) wanted=("${build_packages[@]}") ;;
run) wanted=("${build_packages[@]}" "${run_packages[@]}") ;;
map) wanted=("${map_packages[@]}") ;;
test) wanted=("${build_packages[@]}" "${run_packages[@]}" "${test_packages[@]}" "${map_packages[@]}") ;;
-h | --help | help)
	usage
	exit 0
	;;
*)
	usage >&2
	exit 2
	;;
esac

if [ ${#wanted[@]} -eq 0 ]; then
	finish "$1"
	exit
fi

if ! command -v dpkg-query >/dev/null; then
	echo "$0: this is not Debian: install the equivalents of: ${wanted[*]}" >&2
	exit 1
fi

set_missing "${wanted[@]}"
if [ ${#missing[@]} -eq 0 ]; then
	finish "$1"
	exit
fi

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

# Of the services, those that are new here: one that the machine had before is its owner's.
services=()
for service in clamav-freshclam dnsdist nginx unbound; do
	[ -e "/lib/systemd/system/$service.service" ] || services+=("$service")
done

"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
	apt-get install -q -y --no-install-recommends "${missing[@]}"

# Not at the next boot either. Packages and services differ in name, and a package may bring another's service.
if command -v systemctl >/dev/null; then
	for service in "${services[@]}"; do
		"${as_root[@]}" systemctl disable "$service" >/dev/null 2>&1 || true
	done
fi

installed=("${missing[@]}")
set_missing "${wanted[@]}"
if [ ${#missing[@]} -gt 0 ]; then
	echo "setup: still missing after apt-get install: ${missing[*]}" >&2
	exit 1
fi
echo "setup: installed: ${installed[*]}"
finish "$1"
