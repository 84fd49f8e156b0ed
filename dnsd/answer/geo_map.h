/*
 * geo_map: address -> (country, prefix length), flat and read-only.
 *
 * The world as sorted ranges of one country each, neighbours of the same country merged:
 *
 *      start_0        start_1          start_2
 *        |---- DE ------|----- FR -------|--- unknown --- ...      covers the whole space, no gap
 *
 * A small first-level index finds the few ranges that share the leading bits, a short search finds the range.
 * The prefix length is not stored: it is the shortest block around the address that lies within its range, so
 * it is exact (RFC 7871 section 7.2.1: an answer's scope must not be shorter than the region in which it
 * holds).
 *
 * Nothing here knows MMDB: geo/ feeds the builder.
 */
#ifndef DNSD_ANSWER_GEO_MAP_H
#define DNSD_ANSWER_GEO_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/* Country numbers are the two letters of the code, 'A'..'Z' each: 1 + 26*first + second; 0 = unknown. */
#define COUNTRY_UNKNOWN 0
#define COUNTRY_N       677

/** "DE" or "de" -> number; COUNTRY_UNKNOWN when it is not two letters. */
uint16_t country_from_code(const char *code);
/** number -> "DE"; "--" for unknown. */
void country_to_code(uint16_t country, char ret_code[3]);

struct geo_map;

struct geo_match {
	uint16_t country;
	uint8_t prefix_len; /* 0..32 for IPv4, 0..128 for IPv6 */
};

/** Cost: no allocation, no lock, a handful of cache lines. A map of NULL gives unknown with length 0. */
void geo_map_find(const struct geo_map *map, const struct addr *addr, struct geo_match *ret_match);

/**
 * Fetch what geo_map_find() will read into the cache, one link of the way at a time, so that the fetches of
 * several addresses overlap: call it with step 0 for all of them, then with step 1, then 2.
 */
void geo_map_prefetch(const struct geo_map *map, const struct addr *addr, unsigned step);

/** Bytes held, and ranges of each family. */
struct geo_map_size {
	size_t bytes;
	size_t ranges4;
	size_t ranges6;
};
void geo_map_size(const struct geo_map *map, struct geo_map_size *ret_size);

/**
 * All ranges of a family in ascending order, without a gap, neighbours of different countries: for whoever
 * compares whole maps. Not for queries. A map of NULL is one range of unknown country.
 *
 *     struct geo_map_ranges ranges;
 *     geo_map_ranges_init(map, 4, &ranges);
 *     while (geo_map_ranges_next(&ranges, &range))
 *             ...
 */
struct geo_range {
	struct addr first; /* both ends included */
	struct addr last;
	uint16_t country;
};
struct geo_map_ranges {
	const struct geo_map *map; /* borrowed */
	uint8_t family;
	bool started;
	bool done;
	struct addr last;
};
void geo_map_ranges_init(const struct geo_map *map, uint8_t family, struct geo_map_ranges *ret_ranges);
bool geo_map_ranges_next(struct geo_map_ranges *ranges, struct geo_range *ret_range);

/** Shared by snapshots: freed with the last reference, on whatever thread. NULL is fine. Queries never count.
 */
struct geo_map *geo_map_ref(struct geo_map *map);
void geo_map_unref(struct geo_map *map);

/*
 * Building: blocks come in ascending address order without overlap (that is how a tree walk yields them); a
 * gap between two blocks is of unknown country. Overrides may overlap each other and the blocks: longest
 * prefix wins, of equal ones the later.
 */
struct geo_map_builder;

struct geo_map_builder *geo_map_builder_create(void);
void geo_map_builder_destroy(struct geo_map_builder *builder);
/** Returns 0, -ENOMEM, or -EINVAL: the block does not come after the last one of its family, has a bit set
 * past its length, or the country is none. */
int geo_map_builder_add(struct geo_map_builder *builder, const struct prefix *block, uint16_t country);
int geo_map_builder_override(struct geo_map_builder *builder, const struct prefix *net, uint16_t country);
/** Returns 0 or -ENOMEM. The map starts with one reference. The builder stays the caller's to destroy. */
int geo_map_build(const struct geo_map_builder *builder, struct geo_map **ret_map);

/**
 * The same answer found the plain way, a linear pass over the builder's blocks and overrides: the oracle of
 * the tests.
 */
void geo_map_builder_find_slow(const struct geo_map_builder *builder, const struct addr *addr,
                               struct geo_match *ret_match);

#endif
