/*
 * mmdb_load: a MaxMind DB file -> struct geo_map. The only folder that sees libmaxminddb.
 *
 *     file ──copy──> private memory ──checks, tree walk, records decoded──> (prefix, country) ──> geo_map
 *
 * libmaxminddb 1.7.1 maps the file; a file rewritten in place would then raise SIGBUS or change under us, and
 * its tree walk trusts more than it should. So the bytes are copied first, the copy is what the library sees,
 * the search tree is walked here with every node number checked, and libmaxminddb decodes each distinct data
 * record once, after it was found sound (mmdb_check.h).
 *
 * The tree is walked twice, since nothing is built of a file that is not whole: once to check it, to count,
 * and to find where its records keep the country, then to build, in one pass and in ascending order.
 *
 * The library opens by name only: the copy is a memfd, opened as /proc/self/fd/N, so /proc must be there.
 *
 * Taken as damage: a node reached twice or never (but for the aliases of IPv4), a depth past the address, a
 * record outside the data. IPv4 is the tree below ::/96. Its aliases ::ffff:0:0/96, 2001::/32 and 2002::/16,
 * and ::/96 itself, are unknown in the IPv6 table: an IPv4-mapped address is looked up as IPv4
 * (addr_from_sockaddr()).
 */
#ifndef GEO_MMDB_LOAD_H
#define GEO_MMDB_LOAD_H

#include <stdint.h>

#include "answer/geo_map.h"
#include "base/diag.h"

struct mmdb_load_options {
	const char *path;         /* IPv4 and IPv6, or IPv4 only when path_ipv6 is given */
	const char *path_ipv6;    /* may be NULL */
	const char *country_path; /* dotted, such as "country.iso_code"; NULL = detect */
	const struct mmdb_net {
		struct prefix prefix;
		uint16_t country;
	} * nets; /* overrides */
	size_t nets_n;
};

struct mmdb_load_info {
	char database_type[64]; /* from the metadata, printable */
	char layout[128];       /* which path won: "country.iso_code" */
	uint64_t built_s;       /* since 1970; of two files the older one */
	uint32_t ip_version;    /* 4 or 6 */
	uint32_t record_bits;   /* 24, 28 or 32 */
	uint32_t nodes_n;
	uint64_t blocks_n;    /* leaves with a country */
	uint32_t countries_n; /* distinct */
	uint32_t load_ms;
};

/**
 * Returns 0, or -EINVAL (diag says file and why: truncated, damaged tree, no country in it, ...), -ENOENT,
 * -EIO, -ENOMEM. Never crashes or loops on any input; time and memory are bounded by the file's size.
 */
int mmdb_load(const struct mmdb_load_options *options, struct diag *diag, struct mmdb_load_info *ret_info,
              struct geo_map **ret_map);

#endif
