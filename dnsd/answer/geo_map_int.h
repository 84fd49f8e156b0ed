/*
 * geo_map, inside: how a map lies in memory; for the lookup, the builder and the walk over all ranges.
 */
#ifndef DNSD_ANSWER_GEO_MAP_INT_H
#define DNSD_ANSWER_GEO_MAP_INT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "answer/geo_map.h"

/*
 * Both families share one form: the address stands left-aligned in 128 bits, so that IPv4 is the top 32 of
 * them. A table is one array of 32-bit words. The first 65536 are the root, a slot for each value of the top
 * 16 bits:
 *
 *      slot:  LEAF     one range covers the whole slot: country and prefix length, nothing more to read
 *             NODE     2^bits slots for the next bits: only where very many ranges share the bits so far
 *             SLICE16  sorted starts, the next 16 bits tell them apart
 *             SLICE    the same with 32 or 128 bits
 *
 * Why the prefix length needs nothing from outside a slice: a block must stop short of the nearest neighbour
 * to the left and to the right. A slice holds at least one border; that border alone makes the block longer
 * than the slot's own prefix, and a neighbour outside the slot can never ask for more than that. Where no
 * border lies inside, the length is the same for each address of the slot: it is worked out when the map is
 * built.
 */
#define ROOT_BITS  16
#define ROOT_SLOTS (1U << ROOT_BITS)

enum slot_kind { SLOT_LEAF, SLOT_NODE, SLOT_SLICE16, SLOT_SLICE };

#define KIND_SHIFT      30
#define NODE_BITS_SHIFT 26 /* 4 bits: how many bits a node looks at, less one */
#define NODE_BITS_MAX   16
#define OFFSET_MASK     ((1U << NODE_BITS_SHIFT) - 1)
#define LEAF_LEN_SHIFT  10         /* below: the country */
#define SLICE_WIDE      (1U << 31) /* in a slice's first word, beside the count: 128-bit starts */

__extension__ typedef unsigned __int128 u128;
#define U128_MAX (~(u128)0)

struct table {
	uint32_t *words;
	size_t words_n;
	size_t words_cap;
	size_t ranges_n;
};

struct geo_map {
	unsigned refs_n;
	struct table table4;
	struct table table6;
};

static inline uint64_t load_be64(const uint8_t *bytes)
{
	uint64_t value;
	memcpy(&value, bytes, sizeof(value));
	return __builtin_bswap64(value);
}

static inline u128 wide_start(const uint32_t *key)
{
	return (u128)key[0] << 96 | (u128)key[1] << 64 | (u128)key[2] << 32 | key[3];
}

static inline unsigned slice_country(const uint32_t *countries, uint32_t i)
{
	return countries[i / 2] >> (i % 2 * 16) & 0xffff;
}

static inline u128 addr_left_aligned(const struct addr *addr)
{
	uint64_t high = load_be64(addr->bytes);
	if (addr->family == 4)
		return (u128)(high >> 32) << 96;
	return (u128)high << 64 | load_be64(addr->bytes + 8);
}

/** The addresses past `first` in a block of this length: all bits after the prefix. */
static inline u128 host_bits(unsigned prefix_len)
{
	return prefix_len == 0 ? U128_MAX : prefix_len == 128 ? 0 : U128_MAX >> prefix_len;
}

#endif
