#!/usr/bin/env bash
# geodb.sh [--refresh] OUT-DIR DNSD-GEODB: make OUT-DIR/country.mmdb from Debian's tor-geoipdb.
#
# The package is downloaded (apt-get checks it against the archive's signature) and unpacked, not installed: it depends
# on the tor daemon. Does nothing, at once and offline, when the database exists; --refresh makes it anew.
#
# Data: IPFire Location database, https://location.ipfire.org/, licence CC BY-SA 4.0. So is the file made of it: pass it
# on with this attribution, and don't commit it.
set -euo pipefail

usage="usage: $0 [--refresh] OUT-DIR DNSD-GEODB"
attribution="IPFire Location database (https://location.ipfire.org/), CC BY-SA 4.0"

refresh=
if [ "${1:-}" = --refresh ]; then
	refresh=1
	shift
fi
if [ $# -ne 2 ]; then
	echo "$usage" >&2
	exit 2
fi
out_dir=$1
geodb=$2
out=$out_dir/country.mmdb

if [ -s "$out" ] && [ -z "$refresh" ]; then
	exit 0
fi
if [ ! -x "$geodb" ]; then
	echo "$0: $geodb is not there yet: make it first" >&2
	exit 1
fi
case $geodb in
/*) ;;
*) geodb=$PWD/$geodb ;;
esac

mkdir -p "$out_dir"
out_dir=$(cd "$out_dir" && pwd)
out=$out_dir/country.mmdb
work=$(mktemp -d "$out_dir/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# A .deb from an earlier run serves when there is no network; --refresh asks for the newest.
if [ -n "$refresh" ] || ! compgen -G "$out_dir/tor-geoipdb_*.deb" >/dev/null; then
	echo "geodb: downloading tor-geoipdb"
	# apt's download sandbox user can't write here; as root it would only warn about that.
	fetch() { (cd "$work" && apt-get -q -o APT::Sandbox::User="$(id -un)" download tor-geoipdb); }
	if ! fetch; then
		# No or outdated package lists: get them, which takes root.
		as_root=()
		if [ "$(id -u)" -ne 0 ]; then
			if ! command -v sudo >/dev/null; then
				echo "$0: cannot download tor-geoipdb; as root run apt-get update, then this again" >&2
				exit 1
			fi
			as_root=(sudo)
		fi
		"${as_root[@]}" apt-get update -q
		fetch
	fi
	rm -f "$out_dir"/tor-geoipdb_*.deb
	mv "$work"/tor-geoipdb_*.deb "$out_dir/"
fi
deb=$(compgen -G "$out_dir/tor-geoipdb_*.deb" | sort -V | tail -n 1)

dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work" ./usr/share/tor/geoip ./usr/share/tor/geoip6
echo "geodb: making $out"
"$geodb" --type Country --description "$attribution" "$work/country.mmdb" \
	"$work/usr/share/tor/geoip" "$work/usr/share/tor/geoip6"
mv "$work/country.mmdb" "$out" # by rename: a running dnsd sees the old file or the new one
echo "geodb: data from the $attribution"
