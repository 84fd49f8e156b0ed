#!/usr/bin/env bash
# peers.sh DIR: the servers that `make bench` compares dnsd with, from Debian: gdnsd, Knot with its geoip module, NSD.
#
# They are unpacked below DIR/root and never installed: an installed server would start on port 53. apt-get checks what it fetches against
# the archive's signature. Instant and offline when all is there.
#
# To run one: LD_LIBRARY_PATH=DIR/root/usr/lib/$(gcc -print-multiarch) DIR/root/usr/sbin/gdnsd ...
set -euo pipefail

packages=(gdnsd knot knot-module-geoip nsd)
programs=(gdnsd knotd nsd)

if [ $# -ne 1 ]; then
	echo "usage: $0 DIR" >&2
	exit 2
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)

# Programs that start and find their libraries, and the module of which Knot knows only the name.
is_complete() {
	local program
	for program in "${programs[@]}"; do
		[ -x "$dir/root/usr/sbin/$program" ] || return 1
		! LD_LIBRARY_PATH=$(echo "$dir"/root/usr/lib/*-linux-gnu) ldd "$dir/root/usr/sbin/$program" | grep -q 'not found' || return 1
	done
	compgen -G "$dir/root/usr/lib/*/knot/modules-*/geoip.so" >/dev/null
}

is_complete && exit 0

# As root with what they depend on and is not installed. Without root apt-get can fetch what it is told, and no more.
fetch() {
	mkdir -p "$dir/debs/partial"
	# apt's download sandbox user can't write here; as root it would only warn about that.
	local sandbox=(-o APT::Sandbox::User="$(id -un)")
	if [ "$(id -u)" -eq 0 ]; then
		apt-get -q install -y -d --no-install-recommends "${sandbox[@]}" -o Dir::Cache::archives="$dir/debs" "${packages[@]}"
	else
		(cd "$dir/debs" && apt-get -q download "${sandbox[@]}" "${packages[@]}" libev4 liburcu8)
	fi
}

echo "peers: downloading ${packages[*]}"
if ! fetch; then
	# No or outdated package lists: get them, which takes root.
	as_root=()
	if [ "$(id -u)" -ne 0 ]; then
		if ! command -v sudo >/dev/null; then
			echo "$0: cannot download ${packages[*]}; as root run apt-get update, then this again" >&2
			exit 1
		fi
		as_root=(sudo)
	fi
	"${as_root[@]}" apt-get update -q
	fetch
fi
rm -rf "$dir/root"
mkdir "$dir/root"
for deb in "$dir"/debs/*.deb; do
	dpkg -x "$deb" "$dir/root"
done
if ! is_complete; then
	echo "$0: not all of ${programs[*]} run from $dir/root; as root apt-get install their libraries" >&2
	exit 1
fi
