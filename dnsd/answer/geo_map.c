#include "answer/geo_map.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <string.h>
#include <sys/mman.h>

#include "answer/geo_map_int.h"

/* Up to this many ranges are searched; more are cut by a node first, down to about NODE_FILL a slot. */
#define SLICE_MAX 24
#define HUGE_PAGE ((size_t)2 << 20)
#define NODE_FILL 4

uint16_t country_from_code(const char *code)
{
	unsigned number = 1;
	for (unsigned i = 0; i < 2; i++) {
		char letter = code[i];
		if (letter >= 'a' && letter <= 'z')
			letter = (char)(letter - 'a' + 'A');
		if (letter < 'A' || letter > 'Z')
			return COUNTRY_UNKNOWN;
		number += (unsigned)(letter - 'A') * (i == 0 ? 26 : 1);
	}
	return code[2] ? COUNTRY_UNKNOWN : (uint16_t)number;
}

void country_to_code(uint16_t country, char ret_code[3])
{
	bool known = country != COUNTRY_UNKNOWN && country < COUNTRY_N;
	ret_code[0] = (char)(known ? 'A' + (country - 1) / 26 : '-');
	ret_code[1] = (char)(known ? 'A' + (country - 1) % 26 : '-');
	ret_code[2] = '\0';
}

/* ---- lookup ---- */

/** The 64 bits from bit `depth` (1..127) on. */
static inline uint64_t bits_from(uint64_t high, uint64_t low, unsigned depth)
{
	if (depth >= 64)
		return low << (depth - 64);
	return high << depth | low >> (64 - depth);
}

static unsigned clz128(u128 value)
{
	uint64_t high = (uint64_t)(value >> 64);
	return high ? (unsigned)__builtin_clzll(high) : 64 + (unsigned)__builtin_clzll((uint64_t)value);
}

/** The last of n sorted words (n >= 1, the first is not above key) that is not above key. */
static inline uint32_t last_not_above(const uint32_t *sorted, uint32_t n, uint32_t key)
{
	uint32_t at = 0;
	while (n > 1) {
		uint32_t half = n / 2;
		at += sorted[at + half] <= key ? half : 0;
		n -= half;
	}
	return at;
}

/*
 * The block around `at` must differ from the address before its range and from the one after it: it is one
 * bit longer than the longer of the two common prefixes. The smaller XOR has the longer one. At an edge of
 * the slice there is nothing to differ from: the XOR then has a bit above the window.
 */
static inline void find_in_slice16(const uint32_t *slice, uint32_t window, unsigned depth,
                                   struct geo_match *ret_match)
{
	uint32_t n = slice[0];
	const uint32_t *entries = slice + 1;
	uint32_t i = last_not_above(entries, n, window << 16 | 0xffff);
	uint32_t before = window ^ ((entries[i] >> 16) - 1);
	uint32_t next =
	        entries[i + 1]; /* past the last entry: whatever follows, or the table's padding; unused */
	uint32_t after = i + 1 < n ? window ^ next >> 16 : UINT32_MAX;
	uint32_t nearer = before < after ? before : after;
	ret_match->country = (uint16_t)entries[i];
	ret_match->prefix_len = (uint8_t)(depth + (unsigned)__builtin_clz(nearer) - 16 + 1);
}

static inline void find_in_slice32(const uint32_t *slice, uint32_t window, unsigned depth,
                                   struct geo_match *ret_match)
{
	uint32_t n = slice[0];
	const uint32_t *starts = slice + 1;
	uint32_t i = last_not_above(starts, n, window);
	uint64_t before = window ^ ((uint64_t)starts[i] - 1);
	uint32_t next = starts[i + 1]; /* past the last start: the countries; unused */
	uint64_t after = i + 1 < n ? (uint64_t)(window ^ next) : UINT64_MAX;
	uint64_t nearer = before < after ? before : after;
	ret_match->country = (uint16_t)slice_country(starts + n, i);
	ret_match->prefix_len = (uint8_t)(depth + (unsigned)__builtin_clzll(nearer) - 32 + 1);
}

static void find_in_slice128(const uint32_t *slice, u128 at, struct geo_match *ret_match)
{
	uint32_t n = slice[0] & ~SLICE_WIDE;
	const uint32_t *starts = slice + 1;
	uint32_t i = 0;
	for (uint32_t left = n; left > 1;) {
		uint32_t half = left / 2;
		if (wide_start(starts + 4 * (size_t)(i + half)) <= at)
			i += half;
		left -= half;
	}
	u128 before = i > 0 ? at ^ (wide_start(starts + 4 * (size_t)i) - 1) : U128_MAX;
	u128 after = i + 1 < n ? at ^ wide_start(starts + 4 * (size_t)(i + 1)) : U128_MAX;
	ret_match->country = (uint16_t)slice_country(starts + 4 * (size_t)n, i);
	ret_match->prefix_len = (uint8_t)(clz128(before < after ? before : after) + 1);
}

static inline void table_find(const uint32_t *words, uint64_t high, uint64_t low, struct geo_match *ret_match)
{
	uint32_t slot = words[high >> (64 - ROOT_BITS)];
	unsigned depth = ROOT_BITS;
	while (slot >> KIND_SHIFT == SLOT_NODE) {
		unsigned bits = (slot >> NODE_BITS_SHIFT & 0xf) + 1;
		slot = words[(slot & OFFSET_MASK) + (bits_from(high, low, depth) >> (64 - bits))];
		depth += bits;
	}
	if (slot >> KIND_SHIFT == SLOT_LEAF) {
		ret_match->country = (uint16_t)(slot & ((1U << LEAF_LEN_SHIFT) - 1));
		ret_match->prefix_len = (uint8_t)(slot >> LEAF_LEN_SHIFT);
		return;
	}
	const uint32_t *slice = words + (slot & OFFSET_MASK);
	uint64_t window = bits_from(high, low, depth);
	if (slot >> KIND_SHIFT == SLOT_SLICE16)
		find_in_slice16(slice, (uint32_t)(window >> 48), depth, ret_match);
	else if (!(slice[0] & SLICE_WIDE))
		find_in_slice32(slice, (uint32_t)(window >> 32), depth, ret_match);
	else
		find_in_slice128(slice, (u128)high << 64 | low, ret_match);
}

void geo_map_find(const struct geo_map *map, const struct addr *addr, struct geo_match *ret_match)
{
	if (map && addr->family == 4) {
		uint64_t high = load_be64(addr->bytes) & 0xffffffff00000000U;
		table_find(map->table4.words, high, 0, ret_match);
	} else if (map && addr->family == 6) {
		table_find(map->table6.words, load_be64(addr->bytes), load_be64(addr->bytes + 8), ret_match);
	} else {
		*ret_match = (struct geo_match){ .country = COUNTRY_UNKNOWN, .prefix_len = 0 };
	}
}

void geo_map_prefetch(const struct geo_map *map, const struct addr *addr, unsigned step)
{
	if (!map || addr->family == 0)
		return;
	const uint32_t *words = addr->family == 4 ? map->table4.words : map->table6.words;
	uint64_t high = load_be64(addr->bytes);
	const uint32_t *at = &words[high >> (64 - ROOT_BITS)];
	unsigned depth = ROOT_BITS;
	while (step-- > 0) {
		uint32_t slot = *at;
		if (slot >> KIND_SHIFT == SLOT_LEAF)
			return;
		at = words + (slot & OFFSET_MASK);
		if (slot >> KIND_SHIFT != SLOT_NODE) {
			__builtin_prefetch(at + SLICE_MAX / 2); /* it may reach into the next line */
			break;
		}
		unsigned bits = (slot >> NODE_BITS_SHIFT & 0xf) + 1;
		if (depth + bits > 64)
			return;
		at += high << depth >> (64 - bits);
		depth += bits;
	}
	__builtin_prefetch(at);
}

void geo_map_size(const struct geo_map *map, struct geo_map_size *ret_size)
{
	*ret_size = (struct geo_map_size){ 0 };
	if (!map)
		return;
	ret_size->bytes = sizeof(*map) + (map->table4.words_cap + map->table6.words_cap) * sizeof(uint32_t);
	ret_size->ranges4 = map->table4.ranges_n;
	ret_size->ranges6 = map->table6.ranges_n;
}

struct geo_map *geo_map_ref(struct geo_map *map)
{
	if (map)
		__atomic_add_fetch(&map->refs_n, 1, __ATOMIC_RELAXED);
	return map;
}

void geo_map_unref(struct geo_map *map)
{
	if (!map || __atomic_sub_fetch(&map->refs_n, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	free(map->table4.words);
	free(map->table6.words);
	free(map);
}

/* ---- builder ---- */

/** All addresses first..last, both included, are of one country. */
struct range {
	u128 first;
	u128 last;
	uint16_t country;
	uint8_t prefix_len; /* of an override */
	uint32_t order;     /* of an override: when it came */
};

struct ranges {
	struct range *items;
	size_t n;
	size_t cap;
};

struct geo_map_builder {
	struct ranges blocks[2];    /* IPv4, IPv6; ascending, disjoint, equal neighbours already joined */
	struct ranges overrides[2]; /* in the order they came */
};

static int ranges_append(struct ranges *ranges, const struct range *range)
{
	if (ranges->n == ranges->cap) {
		size_t cap = ranges->cap ? ranges->cap * 2 : 64;
		struct range *grown = realloc(ranges->items, cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		ranges->items = grown;
		ranges->cap = cap;
	}
	ranges->items[ranges->n++] = *range;
	return 0;
}

static int range_from_prefix(const struct prefix *prefix, uint16_t country, struct range *ret_range)
{
	unsigned len_max = prefix->addr.family == 4 ? 32 : 128;
	if ((prefix->addr.family != 4 && prefix->addr.family != 6) || prefix->len > len_max ||
	    country >= COUNTRY_N)
		return -EINVAL;
	u128 first = addr_left_aligned(&prefix->addr);
	if (first & host_bits(prefix->len))
		return -EINVAL;
	*ret_range = (struct range){ .first = first,
		                     .last = first | host_bits(prefix->len),
		                     .country = country,
		                     .prefix_len = prefix->len };
	return 0;
}

struct geo_map_builder *geo_map_builder_create(void)
{
	return calloc(1, sizeof(struct geo_map_builder));
}

void geo_map_builder_destroy(struct geo_map_builder *builder)
{
	if (!builder)
		return;
	for (unsigned i = 0; i < 2; i++) {
		free(builder->blocks[i].items);
		free(builder->overrides[i].items);
	}
	free(builder);
}

int geo_map_builder_add(struct geo_map_builder *builder, const struct prefix *block, uint16_t country)
{
	struct range range;
	int rc = range_from_prefix(block, country, &range);
	if (rc < 0)
		return rc;
	struct ranges *blocks = &builder->blocks[block->addr.family == 6];
	if (blocks->n == 0)
		return ranges_append(blocks, &range);
	struct range *previous = &blocks->items[blocks->n - 1];
	if (range.first <= previous->last)
		return -EINVAL;
	if (range.first == previous->last + 1 && country == previous->country) {
		previous->last = range.last;
		return 0;
	}
	return ranges_append(blocks, &range);
}

int geo_map_builder_override(struct geo_map_builder *builder, const struct prefix *net, uint16_t country)
{
	struct range range;
	int rc = range_from_prefix(net, country, &range);
	if (rc < 0)
		return rc;
	struct ranges *overrides = &builder->overrides[net->addr.family == 6];
	range.order = (uint32_t)overrides->n;
	return ranges_append(overrides, &range);
}

/* ---- build: blocks and overrides -> points -> words ---- */

/** From here to the next point the country is this one. The first point is at 0. */
struct point {
	u128 start;
	uint16_t country;
};

struct points {
	struct point *items;
	size_t n;
	size_t cap;
};

/** Outer nets before the nets inside them; of equal ones the last that came comes last. */
static int compare_overrides(const void *left, const void *right)
{
	const struct range *a = left;
	const struct range *b = right;
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->prefix_len != b->prefix_len)
		return a->prefix_len < b->prefix_len ? -1 : 1;
	return a->order < b->order ? -1 : 1;
}

static int append_if_any(struct ranges *flat, u128 first, u128 last, uint16_t country)
{
	return first > last ? 0 : ranges_append(flat, &(struct range){ first, last, country, 0, 0 });
}

/** Nested overrides -> disjoint ranges, the innermost net winning. ret_flat is the caller's to free, also on
 * error. */
static int flatten_overrides(const struct ranges *overrides, struct ranges *ret_flat)
{
	if (overrides->n == 0)
		return 0;
	struct range *sorted = malloc(overrides->n * sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, overrides->items, overrides->n * sizeof(*sorted));
	qsort(sorted, overrides->n, sizeof(*sorted), compare_overrides);

	const struct range
	        *open[129]; /* nets around the present place, each inside the one before: one a length */
	unsigned open_n = 0;
	u128 at = 0;
	int rc = 0;
	for (size_t i = 0; i < overrides->n && rc == 0; i++) {
		const struct range *net = &sorted[i];
		if (i + 1 < overrides->n && net[1].first == net->first && net[1].last == net->last)
			continue;
		while (rc == 0 && open_n > 0 && open[open_n - 1]->last < net->first) {
			rc = append_if_any(ret_flat, at, open[open_n - 1]->last, open[open_n - 1]->country);
			at = open[--open_n]->last + 1;
		}
		if (rc == 0 && open_n > 0 && at < net->first)
			rc = append_if_any(ret_flat, at, net->first - 1, open[open_n - 1]->country);
		at = net->first;
		open[open_n++] = net;
	}
	while (rc == 0 && open_n > 0) {
		const struct range *net = open[--open_n];
		rc = append_if_any(ret_flat, at, net->last, net->country);
		if (net->last == U128_MAX)
			break; /* whatever is still open ends here too */
		at = net->last + 1;
	}
	free(sorted);
	return rc;
}

static int points_append(struct points *points, u128 start, uint16_t country)
{
	if (points->n > 0 && points->items[points->n - 1].country == country)
		return 0;
	if (points->n == points->cap) {
		size_t cap = points->cap ? points->cap * 2 : 64;
		struct point *grown = realloc(points->items, cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		points->items = grown;
		points->cap = cap;
	}
	points->items[points->n++] = (struct point){ .start = start, .country = country };
	return 0;
}

/** Lay the overrides over the blocks and the blocks over the unknown; join equal neighbours. */
static int paint_points(const struct ranges *blocks, const struct ranges *nets, struct points *ret_points)
{
	size_t block_i = 0;
	size_t net_i = 0;
	u128 at = 0;
	for (;;) {
		while (block_i < blocks->n && blocks->items[block_i].last < at)
			block_i++;
		while (net_i < nets->n && nets->items[net_i].last < at)
			net_i++;
		const struct range *block = block_i < blocks->n ? &blocks->items[block_i] : NULL;
		const struct range *net = net_i < nets->n ? &nets->items[net_i] : NULL;
		uint16_t country = COUNTRY_UNKNOWN;
		u128 last = net ? net->first - 1 : U128_MAX;
		if (net && net->first <= at) {
			country = net->country;
			last = net->last;
		} else if (block && block->first <= at) {
			country = block->country;
			last = block->last < last ? block->last : last;
		} else if (block && block->first - 1 < last) {
			last = block->first - 1;
		}
		int rc = points_append(ret_points, at, country);
		if (rc < 0)
			return rc;
		if (last == U128_MAX)
			return 0;
		at = last + 1;
	}
}

/** Room for n words more; their offset must fit into a slot. */
static int table_reserve(struct table *table, size_t n, uint32_t *ret_offset)
{
	if (n > OFFSET_MASK || table->words_n + n > OFFSET_MASK)
		return -ENOMEM;
	if (table->words_n + n > table->words_cap) {
		size_t cap = table->words_cap ? table->words_cap : 2 * ROOT_SLOTS;
		while (cap < table->words_n + n)
			cap *= 2;
		uint32_t *grown = realloc(table->words, cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		table->words = grown;
		table->words_cap = cap;
	}
	memset(table->words + table->words_n, 0, n * sizeof(uint32_t));
	*ret_offset = (uint32_t)table->words_n;
	table->words_n += n;
	return 0;
}

static uint32_t slot_make(enum slot_kind kind, uint32_t rest)
{
	return (uint32_t)kind << KIND_SHIFT | rest;
}

/** The shortest block around `at` within first..last. A neighbour of 0 or past the end of the space does not
 * bind. */
static unsigned shortest_block_len(u128 at, u128 first, u128 last)
{
	if (first == 0 && last == U128_MAX)
		return 0;
	u128 before = first == 0 ? U128_MAX : at ^ (first - 1);
	u128 after = last == U128_MAX ? U128_MAX : at ^ (last + 1);
	return clz128(before < after ? before : after) + 1;
}

/**
 * A slot: the addresses that share the first `depth` bits of `base`.
 * points[0] is the range that holds base; points[1] to points[points_n - 1] start within the slot.
 * points_end is the end of all points, for the range that leaves the slot.
 */
struct slot_job {
	const struct point *points;
	size_t points_n;
	const struct point *points_end;
	u128 base;
	unsigned depth;
};

static uint32_t build_leaf(const struct slot_job *job)
{
	const struct point *range = job->points;
	u128 last = range + 1 < job->points_end ? range[1].start - 1 : U128_MAX;
	unsigned len = shortest_block_len(job->base, range->start, last);
	return slot_make(SLOT_LEAF, (uint32_t)len << LEAF_LEN_SHIFT | range->country);
}

/** Bits after `depth` that tell the borders of the slot apart from any other address. */
static unsigned window_bits(const struct slot_job *job)
{
	u128 all = 0;
	for (size_t i = 1; i < job->points_n; i++)
		all |= job->points[i].start;
	uint64_t low = (uint64_t)all;
	unsigned zeros =
	        low ? (unsigned)__builtin_ctzll(low) : 64 + (unsigned)__builtin_ctzll((uint64_t)(all >> 64));
	return 128 - zeros - job->depth;
}

static int build_slice(struct table *table, const struct slot_job *job, uint32_t *ret_slot)
{
	size_t n = job->points_n;
	unsigned bits = window_bits(job);
	unsigned words_each = bits <= 16 ? 0 : bits <= 32 ? 1 : 4; /* 0: start and country share a word */
	size_t size = 1 + n * words_each + (words_each ? (n + 1) / 2 : n);
	uint32_t offset;
	int rc = table_reserve(table, size, &offset);
	if (rc < 0)
		return rc;
	uint32_t *slice = table->words + offset;
	slice[0] = (uint32_t)n | (words_each == 4 ? SLICE_WIDE : 0);
	for (size_t i = 0; i < n; i++) {
		u128 start = i > 0 ? job->points[i].start : job->base;
		uint32_t country = job->points[i].country;
		uint64_t window = (uint64_t)(start << job->depth >> 64);
		uint32_t *key = slice + 1 + i * words_each;
		switch (words_each) {
		case 0: slice[1 + i] = (uint32_t)(window >> 48) << 16 | country; continue;
		case 1: key[0] = (uint32_t)(window >> 32); break;
		default:
			for (unsigned word = 0; word < 4; word++)
				key[word] = (uint32_t)(start >> (96 - 32 * word));
			break;
		}
		slice[1 + n * words_each + i / 2] |= country << (i % 2 * 16);
	}
	*ret_slot = slot_make(words_each ? SLOT_SLICE : SLOT_SLICE16, offset);
	return 0;
}

/** Of a slot's borders, how many fall into its fullest part when `bits` more bits cut it? */
static size_t fullest_part(const struct slot_job *job, unsigned bits)
{
	unsigned shift = 128 - job->depth - bits;
	size_t run = 0;
	size_t fullest = 0;
	for (size_t i = 1; i < job->points_n; i++) {
		bool same = i > 1 && job->points[i].start >> shift == job->points[i - 1].start >> shift;
		run = same ? run + 1 : 1;
		fullest = run > fullest ? run : fullest;
	}
	return fullest;
}

static int build_slot(struct table *table, const struct slot_job *job, uint32_t *ret_slot);

/** Fill 2^bits slots from `offset` on. */
static int build_parts(struct table *table, const struct slot_job *job, unsigned bits, uint32_t offset)
{
	struct slot_job part = { .points_end = job->points_end, .depth = job->depth + bits };
	u128 part_size = (u128)1 << (128 - part.depth);
	const struct point *points = job->points;
	const struct point *job_end = job->points + job->points_n;
	for (uint32_t i = 0; i < 1U << bits; i++) {
		part.base = job->base + part_size * i;
		u128 last = part.base + (part_size - 1);
		while (points + 1 < job_end && points[1].start <= part.base)
			points++;
		size_t n = 1;
		while (points + n < job_end && points[n].start <= last)
			n++;
		part.points = points;
		part.points_n = n;
		uint32_t slot;
		int rc = build_slot(table, &part, &slot);
		if (rc < 0)
			return rc;
		table->words[offset + i] = slot; /* only now: words may have moved */
		points += n - 1;
	}
	return 0;
}

/** Recursion: each level uses up at least one of 112 bits. */
static int build_slot(struct table *table, const struct slot_job *job, uint32_t *ret_slot)
{
	if (job->points_n == 1) {
		*ret_slot = build_leaf(job);
		return 0;
	}
	if (job->points_n <= SLICE_MAX)
		return build_slice(table, job, ret_slot);
	unsigned bits = 1;
	while (bits < NODE_BITS_MAX && (size_t)NODE_FILL << bits < job->points_n)
		bits++;
	/* A node that leaves nearly all in one part costs memory and gains a bit or two: then rather a long
	 * search. */
	if (fullest_part(job, bits) > job->points_n / 4 * 3)
		return build_slice(table, job, ret_slot);
	uint32_t offset;
	int rc = table_reserve(table, (size_t)1 << bits, &offset);
	if (rc == 0)
		rc = build_parts(table, job, bits, offset);
	if (rc == 0)
		*ret_slot = slot_make(SLOT_NODE, (bits - 1) << NODE_BITS_SHIFT | offset);
	return rc;
}

/*
 * Cut to size. A lookup touches a place or two anywhere in a table of megabytes: with pages of 4 KB most of
 * its time goes into finding the page.
 */
static void fit_table(struct table *table)
{
	size_t bytes = table->words_n * sizeof(*table->words);
	uint32_t *fitted = NULL;
	if (bytes >= HUGE_PAGE) {
		bytes = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
		fitted = aligned_alloc(HUGE_PAGE, bytes);
		if (fitted) {
			(void)madvise(fitted, bytes,
			              MADV_HUGEPAGE); /* where there are none it is as before */
			memcpy(fitted, table->words, table->words_n * sizeof(*fitted));
			free(table->words);
		}
	} else {
		fitted = realloc(table->words, bytes);
	}
	if (fitted) {
		table->words = fitted;
		table->words_cap = bytes / sizeof(*fitted);
	}
}

static int build_table(struct table *table, const struct ranges *blocks, const struct ranges *overrides)
{
	struct ranges nets = { 0 };
	struct points points = { 0 };
	int rc = flatten_overrides(overrides, &nets);
	if (rc == 0)
		rc = paint_points(blocks, &nets, &points);
	free(nets.items);
	uint32_t offset = 0;
	if (rc == 0)
		rc = table_reserve(table, ROOT_SLOTS, &offset);
	if (rc == 0) {
		struct slot_job root = { .points = points.items,
			                 .points_n = points.n,
			                 .points_end = points.items + points.n };
		rc = build_parts(table, &root, ROOT_BITS, offset);
	}
	if (rc == 0)
		rc = table_reserve(table, 1, &offset); /* padding: the search looks one word past a slice */
	table->ranges_n = points.n;
	free(points.items);
	if (rc < 0)
		return rc;
	fit_table(table);
	return 0;
}

int geo_map_build(const struct geo_map_builder *builder, struct geo_map **ret_map)
{
	struct geo_map *map = calloc(1, sizeof(*map));
	if (!map)
		return -ENOMEM;
	map->refs_n = 1;
	int rc = build_table(&map->table4, &builder->blocks[0], &builder->overrides[0]);
	if (rc == 0)
		rc = build_table(&map->table6, &builder->blocks[1], &builder->overrides[1]);
	if (rc < 0) {
		geo_map_unref(map);
		return rc;
	}
	*ret_map = map;
	return 0;
}

/* ---- oracle ---- */

static uint16_t country_at_slow(const struct ranges *blocks, const struct ranges *overrides, u128 at)
{
	uint16_t country = COUNTRY_UNKNOWN;
	for (size_t i = 0; i < blocks->n; i++) {
		if (blocks->items[i].first <= at && at <= blocks->items[i].last)
			country = blocks->items[i].country;
	}
	int longest = -1;
	for (size_t i = 0; i < overrides->n; i++) {
		const struct range *net = &overrides->items[i];
		if (net->first <= at && at <= net->last && net->prefix_len >= longest) {
			country = net->country;
			longest = net->prefix_len;
		}
	}
	return country;
}

/** Move the ends of ret_piece towards `at` as far as the border of any range makes it. */
static void narrow_piece(const struct ranges *ranges, u128 at, struct range *piece)
{
	for (size_t i = 0; i < ranges->n; i++) {
		const struct range *range = &ranges->items[i];
		if (range->first > at && range->first - 1 < piece->last)
			piece->last = range->first - 1;
		if (range->first <= at && range->first > piece->first)
			piece->first = range->first;
		if (range->last >= at && range->last < piece->last)
			piece->last = range->last;
		if (range->last < at && range->last + 1 > piece->first)
			piece->first = range->last + 1;
	}
}

/** The largest piece around `at` with no border of anything inside it. */
static struct range piece_around(const struct ranges *blocks, const struct ranges *overrides, u128 at)
{
	struct range piece = { .first = 0, .last = U128_MAX };
	narrow_piece(blocks, at, &piece);
	narrow_piece(overrides, at, &piece);
	return piece;
}

void geo_map_builder_find_slow(const struct geo_map_builder *builder, const struct addr *addr,
                               struct geo_match *ret_match)
{
	*ret_match = (struct geo_match){ .country = COUNTRY_UNKNOWN, .prefix_len = 0 };
	if (addr->family != 4 && addr->family != 6)
		return;
	const struct ranges *blocks = &builder->blocks[addr->family == 6];
	const struct ranges *overrides = &builder->overrides[addr->family == 6];
	u128 at = addr_left_aligned(addr);
	ret_match->country = country_at_slow(blocks, overrides, at);

	struct range range = piece_around(blocks, overrides, at);
	while (range.last != U128_MAX &&
	       country_at_slow(blocks, overrides, range.last + 1) == ret_match->country)
		range.last = piece_around(blocks, overrides, range.last + 1).last;
	while (range.first != 0 && country_at_slow(blocks, overrides, range.first - 1) == ret_match->country)
		range.first = piece_around(blocks, overrides, range.first - 1).first;

	unsigned len = 0;
	while ((at & ~host_bits(len)) < range.first || (at | host_bits(len)) > range.last)
		len++;
	ret_match->prefix_len = (uint8_t)len;
}
