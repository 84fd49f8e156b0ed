#include <stdbool.h>

#include "answer/geo_map.h"
#include "answer/geo_map_int.h"

/** Where range i of a slice starts. */
static u128 slice_start(uint32_t slot, const uint32_t *slice, unsigned depth, u128 base, uint32_t i)
{
	if (slot >> KIND_SHIFT == SLOT_SLICE16)
		return base | (u128)(slice[1 + i] >> 16) << 112 >> depth;
	if (slice[0] & SLICE_WIDE)
		return i > 0 ? wide_start(slice + 1 + 4 * (size_t)i) : base;
	return base | (u128)slice[1 + i] << 96 >> depth;
}

static uint16_t slice_country_at(uint32_t slot, const uint32_t *slice, uint32_t n, uint32_t i)
{
	if (slot >> KIND_SHIFT == SLOT_SLICE16)
		return (uint16_t)slice[1 + i];
	size_t starts_words = n * (slice[0] & SLICE_WIDE ? (size_t)4 : 1);
	return (uint16_t)slice_country(slice + 1 + starts_words, i);
}

/** The country at `at`, and the last address up to which the slot or slice entry there says the same. */
static uint16_t piece_at(const uint32_t *words, u128 at, u128 *ret_last)
{
	uint32_t slot = words[at >> (128 - ROOT_BITS)];
	unsigned depth = ROOT_BITS;
	while (slot >> KIND_SHIFT == SLOT_NODE) {
		unsigned bits = (slot >> NODE_BITS_SHIFT & 0xf) + 1;
		slot = words[(slot & OFFSET_MASK) + (size_t)(at << depth >> (128 - bits))];
		depth += bits;
	}
	*ret_last = at | host_bits(depth);
	if (slot >> KIND_SHIFT == SLOT_LEAF)
		return (uint16_t)(slot & ((1U << LEAF_LEN_SHIFT) - 1));
	const uint32_t *slice = words + (slot & OFFSET_MASK);
	u128 base = at & ~host_bits(depth);
	uint32_t n = slice[0] & ~SLICE_WIDE;
	uint32_t i = 0;
	for (uint32_t left = n; left > 1;) {
		uint32_t half = left / 2;
		if (slice_start(slot, slice, depth, base, i + half) <= at)
			i += half;
		left -= half;
	}
	if (i + 1 < n)
		*ret_last = slice_start(slot, slice, depth, base, i + 1) - 1;
	return slice_country_at(slot, slice, n, i);
}

static void addr_from_aligned(u128 aligned, uint8_t family, struct addr *ret_addr)
{
	*ret_addr = (struct addr){ .family = family };
	for (unsigned i = 0; i < (family == 4 ? 4U : 16U); i++)
		ret_addr->bytes[i] = (uint8_t)(aligned >> (120 - 8 * i));
}

void geo_map_ranges_init(const struct geo_map *map, uint8_t family, struct geo_map_ranges *ret_ranges)
{
	*ret_ranges = (struct geo_map_ranges){ .map = map, .family = family };
}

bool geo_map_ranges_next(struct geo_map_ranges *ranges, struct geo_range *ret_range)
{
	if (ranges->done)
		return false;
	u128 first = 0;
	if (ranges->started) {
		u128 last_bits = ranges->family == 4 ? host_bits(32) : 0; /* IPv4 stands in the top 32 bits */
		first = (addr_left_aligned(&ranges->last) | last_bits) + 1;
	}
	u128 last = U128_MAX;
	uint16_t country = COUNTRY_UNKNOWN;
	if (ranges->map) {
		const struct table *table = ranges->family == 4 ? &ranges->map->table4 : &ranges->map->table6;
		country = piece_at(table->words, first, &last);
		u128 more;
		while (last != U128_MAX && piece_at(table->words, last + 1, &more) == country)
			last = more;
	}
	ranges->started = true;
	ranges->done = last == U128_MAX;
	addr_from_aligned(last, ranges->family, &ranges->last);
	addr_from_aligned(first, ranges->family, &ret_range->first);
	ret_range->last = ranges->last;
	ret_range->country = country;
	return true;
}
