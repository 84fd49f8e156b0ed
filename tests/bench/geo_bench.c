/*
 * geo_bench DB.mmdb [CHECKS]: load time, size and lookup time of the geo map; both ends of every range and
 * CHECKS random addresses of each kind are compared with libmaxminddb's own answer; at both ends the length
 * that goes with the answer must be that of the largest network there in which there is no other.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <maxminddb.h>

#include "geo/mmdb_load.h"

/* 16 MB of addresses: read in order, so they cost little beside the lookups. */
#define ADDRS_N 1000000
#define ROUNDS  5

enum kind { KIND_V4, KIND_V6, KIND_V6_GLOBAL, KIND_V6_KNOWN, KIND_N };

static const char *const kind_names[KIND_N] = { "IPv4 random", "IPv6 random", "IPv6 in 2000::/3",
	                                        "IPv6 of a country" };

static uint64_t random_state = 88172645463325252;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1d;
}

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void random_addr(const struct geo_map *map, enum kind kind, struct addr *ret_addr)
{
	/* Where the traffic comes from: 2001::/16, 2400::/8 to 2c00::/8 and so on, and there only what has a
	 * country. */
	static const uint8_t tops[] = { 0x20, 0x24, 0x26, 0x28, 0x2a, 0x2c };
	for (;;) {
		uint64_t halves[2] = { random_next(), random_next() };
		struct addr addr = { .family = kind == KIND_V4 ? 4 : 6 };
		memcpy(addr.bytes, halves, kind == KIND_V4 ? 4 : 16);
		if (kind == KIND_V6_GLOBAL)
			addr.bytes[0] = (uint8_t)(0x20 | (addr.bytes[0] & 0x1f));
		if (kind == KIND_V6_KNOWN) {
			addr.bytes[0] = tops[addr.bytes[0] % sizeof(tops)];
			addr.bytes[1] &= 0x1f;
			addr.bytes[3] &=
			        0xf8; /* borders are at short prefixes: let some addresses be near them */
			struct geo_match match;
			geo_map_find(map, &addr, &match);
			if (match.country == COUNTRY_UNKNOWN || match.prefix_len < 24)
				continue;
		}
		*ret_addr = addr;
		return;
	}
}

static void time_lookups(const struct geo_map *map, const struct addr *addrs, const char *name)
{
	double best = 1e9;
	uint64_t sum = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		double start = now_s();
		for (size_t i = 0; i < ADDRS_N; i++) {
			struct geo_match match;
			geo_map_find(map, &addrs[i], &match);
			sum += match.country + match.prefix_len;
		}
		double spent = now_s() - start;
		best = spent < best ? spent : best;
	}
	/* Each address depends on the answer before: what one query waits for, not what overlaps. */
	double start = now_s();
	uint64_t at = 0;
	for (size_t i = 0; i < ADDRS_N; i++) {
		struct geo_match match;
		geo_map_find(map, &addrs[(at + i) % ADDRS_N], &match);
		at += match.prefix_len & 1;
	}
	double chained = now_s() - start;
	printf("%-18s %6.1f ns a lookup, %6.1f ns each waiting for the last (sum %" PRIu64 ")\n", name,
	       best * 1e9 / ADDRS_N, chained * 1e9 / ADDRS_N, sum + at);
}

static uint16_t library_country(MMDB_entry_s *entry)
{
	static const char *const paths[][3] = { { "country", "iso_code" },
		                                { "registered_country", "iso_code" },
		                                { "country_code" } };
	for (unsigned i = 0; i < 3; i++) {
		MMDB_entry_data_s value;
		if (MMDB_aget_value(entry, &value, paths[i]) == MMDB_SUCCESS && value.has_data &&
		    value.data_size == 2) {
			char code[3] = { value.utf8_string[0], value.utf8_string[1], '\0' };
			return country_from_code(code);
		}
	}
	return COUNTRY_UNKNOWN;
}

/** An IPv6 address in an alias of IPv4 is left out by ours on purpose. */
static bool check_one(const MMDB_s *mmdb, const struct geo_map *map, const struct addr *addr)
{
	struct geo_match match;
	geo_map_find(map, addr, &match);
	struct sockaddr_storage sa = { 0 };
	if (addr->family == 4) {
		sa.ss_family = AF_INET;
		memcpy(&((struct sockaddr_in *)&sa)->sin_addr, addr->bytes, 4);
	} else {
		sa.ss_family = AF_INET6;
		memcpy(&((struct sockaddr_in6 *)&sa)->sin6_addr, addr->bytes, 16);
	}
	int status;
	MMDB_lookup_result_s result = MMDB_lookup_sockaddr(mmdb, (struct sockaddr *)&sa, &status);
	uint16_t want = status == MMDB_SUCCESS && result.found_entry ? library_country(&result.entry)
	                                                             : COUNTRY_UNKNOWN;
	bool is_alias = addr->family == 6 && ((addr->bytes[0] == 0x20 && addr->bytes[1] == 0x02) ||
	                                      memcmp(addr->bytes, "\x20\x01\0\0", 4) == 0);
	return is_alias || match.country == want;
}

static int compare_addrs(const struct addr *a, const struct addr *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/* Does the prefix of that length around the address lie within the range? */
static bool is_within(const struct geo_range *range, const struct addr *addr, unsigned len)
{
	struct addr low = *addr;
	struct addr high = *addr;
	for (unsigned i = len / 8; i < (addr->family == 4 ? 4U : 16U); i++) {
		uint8_t host = i == len / 8 ? (uint8_t)(0xff >> len % 8) : 0xff;
		low.bytes[i] &= (uint8_t)~host;
		high.bytes[i] |= host;
	}
	return compare_addrs(&low, &range->first) >= 0 && compare_addrs(&high, &range->last) <= 0;
}

/* A neighbour of another country is at the end of each range, so the largest network within it is the one. */
static bool has_exact_len(const struct geo_map *map, const struct geo_range *range, const struct addr *addr)
{
	struct geo_match match;
	geo_map_find(map, addr, &match);
	return is_within(range, addr, match.prefix_len) &&
	       (match.prefix_len == 0 || !is_within(range, addr, match.prefix_len - 1U));
}

static int check(const char *path, const struct geo_map *map, unsigned kinds_n, unsigned long checks_n)
{
	MMDB_s mmdb;
	if (MMDB_open(path, MMDB_MODE_MMAP, &mmdb) != MMDB_SUCCESS)
		return -1;
	unsigned long wrong_n = 0;
	unsigned long ends_n = 0;
	for (unsigned family = 4; family <= (kinds_n == KIND_N ? 6 : 4); family += 2) {
		struct geo_map_ranges ranges;
		struct geo_range range;
		geo_map_ranges_init(map, (uint8_t)family, &ranges);
		for (; geo_map_ranges_next(&ranges, &range); ends_n += 2)
			for (unsigned end = 0; end < 2; end++) {
				const struct addr *addr = end ? &range.last : &range.first;
				wrong_n += !check_one(&mmdb, map, addr) || !has_exact_len(map, &range, addr);
			}
	}
	for (unsigned kind = 0; kind < kinds_n; kind++) {
		for (unsigned long i = 0; i < checks_n; i++) {
			struct addr addr;
			random_addr(map, (enum kind)kind, &addr);
			wrong_n += !check_one(&mmdb, map, &addr);
		}
	}
	MMDB_close(&mmdb);
	printf("%lu ends of ranges and %lu random addresses compared with libmaxminddb, %lu differ\n", ends_n,
	       checks_n * kinds_n, wrong_n);
	return wrong_n == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("usage: geo_bench DB.mmdb [CHECKS]\n", stderr);
		return 2;
	}
	struct mmdb_load_options options = { .path = argv[1] };
	struct mmdb_load_info info;
	struct geo_map *map;
	struct diag diag;
	diag_init(&diag);
	if (mmdb_load(&options, &diag, &info, &map) < 0) {
		for (size_t i = 0; i < diag.messages_n; i++)
			fprintf(stderr, "%s\n", diag.messages[i].text);
		return 1;
	}
	struct geo_map_size size;
	geo_map_size(map, &size);
	printf("%s: %s, %u nodes, %" PRIu64 " blocks, %u countries, layout %s\n", argv[1], info.database_type,
	       info.nodes_n, info.blocks_n, info.countries_n, info.layout);
	printf("loaded in %u ms; %zu bytes, %zu IPv4 and %zu IPv6 ranges\n", info.load_ms, size.bytes,
	       size.ranges4, size.ranges6);
	unsigned kinds_n = size.ranges6 > 1 ? KIND_N : KIND_V4 + 1;
	struct addr *addrs = calloc(ADDRS_N, sizeof(*addrs));
	if (!addrs)
		return 1;
	for (unsigned kind = 0; kind < kinds_n; kind++) {
		for (size_t i = 0; i < ADDRS_N; i++)
			random_addr(map, (enum kind)kind, &addrs[i]);
		time_lookups(map, addrs, kind_names[kind]);
	}
	int rc = argc > 2 ? check(argv[1], map, kinds_n, strtoul(argv[2], NULL, 10)) : 0;
	free(addrs);
	geo_map_unref(map);
	diag_fini(&diag);
	return rc < 0 ? 1 : 0;
}
