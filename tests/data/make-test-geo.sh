#!/bin/sh
# make-test-geo.sh DNSD-GEODB OUT-DIR: the small databases of the functional tests.
#
# 127.N.0.0/16 is cut into countries, so that a test chooses its country by its source address alone.
# loopback.mmdb    the usual one: GeoIP2 layout, 24-bit records, both families
# registered.mmdb  registered_country.iso_code only      flat.mmdb    country_code
# rec28.mmdb, rec32.mmdb  other record sizes             v4only.mmdb, v6only.mmdb  one family
set -eu

if [ $# -ne 2 ]; then
	echo "usage: $0 DNSD-GEODB OUT-DIR" >&2
	exit 2
fi
geodb=$1
out=$2
mkdir -p "$out"

# The same bytes on each run.
SOURCE_DATE_EPOCH=1767225600
export SOURCE_DATE_EPOCH

v4() {
	cat <<-END
		127.1.0.0/16 US
		127.2.0.0/16 DE
		127.3.0.0/16 FR
		127.4.0.0/16 GB
		127.5.0.0/16 JP
		127.6.0.0/16 NL
		127.7.0.0/16 RU
		127.8.0.0/16 SE
		127.9.0.0/16 IT
		127.10.0.0/16 AU
		127.11.0.0/16 CN
		127.12.0.0/16 CZ
		127.13.0.0/16 BE
		127.14.0.0/16 BR
		127.15.0.0/16 AT
		127.16.0.0/16 EU
		127.17.0.0/16 ZA
		127.18.0.0/16 NZ
		127.19.0.0/16 IN
		127.20.0.0/16 LI
		# documentation networks
		192.0.2.0/25 US
		192.0.2.128/25 DE
		198.51.100.0/24 FR
		203.0.113.0/24 JP
		# larger ones, for client subnets of many lengths
		5.0.0.0/9 DE
		5.128.0.0/10 FR
		8.0.0.0/9 US
		41.0.0.0/11 ZA
		133.0.0.0/8 JP
	END
}

v6() {
	cat <<-END
		2001:db8:1::/48 US
		2001:db8:2::/48 DE
		2001:db8:3::/48 FR
		2600::/12 US
		2a00:1::/32 DE
		2a00:2::/32 FR
		2400:4000::/22 JP
	END
}

make() {
	file=$1
	shift
	"$geodb" --type dnsd-test --description "made by make-test-geo.sh" "$@" "$out/$file" >/dev/null
}

{ v4; v6; } | make loopback.mmdb
{ v4; v6; } | make registered.mmdb --layout registered
{ v4; v6; } | make flat.mmdb --layout flat
{ v4; v6; } | make rec28.mmdb --record-size 28
{ v4; v6; } | make rec32.mmdb --record-size 32
v4 | make v4only.mmdb --ip-version 4
v6 | make v6only.mmdb
