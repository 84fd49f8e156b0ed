/* geo_map: tables of known answers, then random maps against the plain oracle, at every border and at random.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answer/geo_map.h"

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned random_below(unsigned n)
{
	return (unsigned)(random_next() >> 33) % n;
}

static struct prefix net(const char *text)
{
	struct prefix prefix;
	if (prefix_parse(text, &prefix) < 0)
		fail_msg("not a prefix: %s", text);
	return prefix;
}

static void add(struct geo_map_builder *builder, const char *prefix, const char *code)
{
	struct prefix block = net(prefix);
	assert_int_equal(geo_map_builder_add(builder, &block, country_from_code(code)), 0);
}

static void override(struct geo_map_builder *builder, const char *prefix, const char *code)
{
	struct prefix block = net(prefix);
	assert_int_equal(geo_map_builder_override(builder, &block, country_from_code(code)), 0);
}

static struct geo_map *build(const struct geo_map_builder *builder)
{
	struct geo_map *map = NULL;
	assert_int_equal(geo_map_build(builder, &map), 0);
	assert_non_null(map);
	return map;
}

static void check_find(const struct geo_map *map, const char *text, const char *code, unsigned len)
{
	struct addr addr;
	struct geo_match match;
	char got[3];
	assert_int_equal(addr_parse(text, &addr), 0);
	geo_map_find(map, &addr, &match);
	country_to_code(match.country, got);
	if (strcmp(got, code) != 0 || match.prefix_len != len)
		fail_msg("%s: got %s/%u, want %s/%u", text, got, match.prefix_len, code, len);
}

static void check_same_as_oracle(const struct geo_map_builder *builder, const struct geo_map *map,
                                 const struct addr *addr)
{
	struct geo_match fast;
	struct geo_match slow;
	geo_map_find(map, addr, &fast);
	geo_map_builder_find_slow(builder, addr, &slow);
	if (fast.country != slow.country || fast.prefix_len != slow.prefix_len) {
		char text[ADDR_TEXT_MAX];
		fail_msg("%s: map says %u/%u, oracle %u/%u", addr_format(addr, text, sizeof(text)),
		         fast.country, fast.prefix_len, slow.country, slow.prefix_len);
	}
}

static void test_country_codes(void **state)
{
	(void)state;
	assert_int_equal(country_from_code("AA"), 1);
	assert_int_equal(country_from_code("ZZ"), COUNTRY_N - 1);
	assert_int_equal(country_from_code("de"), country_from_code("DE"));
	static const char *const bad[] = { "", "D", "DEU", "D1", "--", "\xc4\xb6" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(country_from_code(bad[i]), COUNTRY_UNKNOWN);
	char code[3];
	for (uint16_t country = 1; country < COUNTRY_N; country++) {
		country_to_code(country, code);
		assert_int_equal(country_from_code(code), country);
	}
	country_to_code(COUNTRY_UNKNOWN, code);
	assert_string_equal(code, "--");
	country_to_code(COUNTRY_N, code);
	assert_string_equal(code, "--");
}

static void test_empty(void **state)
{
	(void)state;
	struct geo_map_builder *builder = geo_map_builder_create();
	struct geo_map *map = build(builder);
	check_find(map, "192.0.2.1", "--", 0);
	check_find(map, "2001:db8::1", "--", 0);
	check_find(NULL, "192.0.2.1", "--", 0);
	struct addr none = { 0 };
	struct geo_match match = { .country = 5, .prefix_len = 5 };
	geo_map_find(map, &none, &match);
	assert_int_equal(match.country, COUNTRY_UNKNOWN);
	assert_int_equal(match.prefix_len, 0);
	struct geo_map_size size;
	geo_map_size(map, &size);
	assert_int_equal(size.ranges4, 1);
	assert_int_equal(size.ranges6, 1);
	geo_map_size(NULL, &size);
	assert_int_equal(size.bytes, 0);
	assert_ptr_equal(geo_map_ref(map), map);
	geo_map_unref(map);
	check_find(map, "192.0.2.1", "--", 0);
	geo_map_unref(map);
	geo_map_unref(NULL);
	geo_map_builder_destroy(builder);
	geo_map_builder_destroy(NULL);
}

static void test_known_answers(void **state)
{
	(void)state;
	struct geo_map_builder *builder = geo_map_builder_create();
	add(builder, "0.0.0.0/8", "AU");
	add(builder, "10.0.0.0/9", "DE");
	add(builder, "10.128.0.0/9", "DE"); /* joined: 10/8 */
	add(builder, "192.0.2.0/25", "US");
	add(builder, "192.0.2.128/25", "DE");
	add(builder, "198.51.100.7/32", "FR");
	add(builder, "255.255.255.255/32", "JP");
	add(builder, "::/128", "AU");
	add(builder, "2001:db8:1::/48", "US");
	add(builder, "2001:db8:2::/48", "DE");
	add(builder, "2001:db8:3:4:5:6:7:8/128", "FR");
	add(builder, "2a00::/12", "DE");
	add(builder, "2a10::/12", "DE");
	add(builder, "8000::/1", "JP");
	override(builder, "10.1.0.0/16", "FR");
	override(builder, "10.1.2.0/24", "GB");
	override(builder, "10.1.2.3/32", "--"); /* taken out: unknown */
	override(builder, "10.9.0.0/16", "IT");
	override(builder, "10.9.0.0/16", "SE"); /* the later of equals */
	struct geo_map *map = build(builder);

	static const struct {
		const char *addr, *code;
		unsigned len;
	} cases[] = {
		{ "0.0.0.0", "AU", 8 },
		{ "0.255.255.255", "AU", 8 },
		{ "1.0.0.0", "--", 8 },
		{ "2.0.0.0", "--", 7 },
		{ "9.255.255.255", "--", 7 },
		{ "10.0.0.0", "DE", 16 },
		{ "10.1.0.0", "FR", 23 },
		{ "10.1.2.2", "GB", 32 },
		{ "10.1.2.3", "--", 32 },
		{ "10.1.2.4", "GB", 30 },
		{ "10.1.3.0", "FR", 24 },
		{ "10.9.1.1", "SE", 16 },
		{ "10.128.0.1", "DE", 9 },
		{ "11.0.0.0", "--", 8 },
		{ "192.0.2.0", "US", 25 },
		{ "192.0.2.127", "US", 25 },
		{ "192.0.2.128", "DE", 25 },
		{ "192.0.3.0", "--", 24 },
		{ "198.51.100.7", "FR", 32 },
		{ "198.51.100.6", "--", 32 },
		{ "198.51.100.0", "--", 30 },
		{ "255.255.255.255", "JP", 32 },
		{ "255.255.255.254", "--", 32 },
		{ "255.0.0.0", "--", 9 },
		{ "::", "AU", 128 },
		{ "::1", "--", 128 },
		{ "::2", "--", 127 },
		{ "1000::", "--", 4 },
		{ "2001:db8:1::", "US", 48 },
		{ "2001:db8:1:ffff:ffff:ffff:ffff:ffff", "US", 48 },
		{ "2001:db8:2:1::", "DE", 48 },
		{ "2001:db8:3::", "--", 62 },
		{ "2001:db8:3:4:5:6:7:8", "FR", 128 },
		{ "2001:db8:3:4:5:6:7:9", "--", 128 },
		{ "2001:db8:3:4:5:6:7:0", "--", 125 },
		{ "2a00::1", "DE", 11 },
		{ "2a1f:ffff::", "DE", 11 },
		{ "2a20::", "--", 11 },
		{ "8000::", "JP", 1 },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "JP", 1 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_find(map, cases[i].addr, cases[i].code, cases[i].len);
		struct addr addr;
		assert_int_equal(addr_parse(cases[i].addr, &addr), 0);
		check_same_as_oracle(builder, map, &addr);
	}
	geo_map_unref(map);
	geo_map_builder_destroy(builder);
}

static void test_order_and_range(void **state)
{
	(void)state;
	struct geo_map_builder *builder = geo_map_builder_create();
	add(builder, "10.0.0.0/8", "DE");
	static const char *const late[] = { "10.0.0.0/8", "10.255.255.255/32", "9.0.0.0/8", "0.0.0.0/0" };
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		struct prefix block = net(late[i]);
		assert_int_equal(geo_map_builder_add(builder, &block, 1), -EINVAL);
	}
	add(builder, "2001:db8::/32", "DE"); /* the families do not wait for each other */
	add(builder, "11.0.0.0/8", "DE");

	struct prefix bad = net("12.0.0.0/8");
	assert_int_equal(geo_map_builder_add(builder, &bad, COUNTRY_N), -EINVAL);
	bad.len = 33;
	assert_int_equal(geo_map_builder_add(builder, &bad, 1), -EINVAL);
	assert_int_equal(geo_map_builder_override(builder, &bad, 1), -EINVAL);
	bad.len = 4; /* 12.0.0.0 has a bit set past /4 */
	assert_int_equal(geo_map_builder_add(builder, &bad, 1), -EINVAL);
	bad = (struct prefix){ 0 };
	assert_int_equal(geo_map_builder_add(builder, &bad, 1), -EINVAL);

	struct geo_map *map = build(builder);
	struct geo_map_size size;
	geo_map_size(map, &size);
	assert_int_equal(size.ranges4, 3);
	check_find(map, "10.0.0.1", "DE", 7);
	geo_map_unref(map);
	geo_map_builder_destroy(builder);
}

/** One country for everything, and one override for everything. */
static void test_whole_space(void **state)
{
	(void)state;
	struct geo_map_builder *builder = geo_map_builder_create();
	add(builder, "0.0.0.0/0", "DE");
	add(builder, "::/1", "US");
	add(builder, "8000::/1", "US");
	struct geo_map *map = build(builder);
	check_find(map, "0.0.0.0", "DE", 0);
	check_find(map, "255.255.255.255", "DE", 0);
	check_find(map, "::", "US", 0);
	geo_map_unref(map);
	override(builder, "0.0.0.0/0", "FR");
	override(builder, "::/0", "FR");
	override(builder, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "FR");
	map = build(builder);
	check_find(map, "10.0.0.0", "FR", 0);
	check_find(map, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "FR", 0);
	geo_map_unref(map);
	geo_map_builder_destroy(builder);
}

static void addr_step(struct addr *addr, int step)
{
	for (int i = addr->family == 4 ? 3 : 15; i >= 0; i--) {
		addr->bytes[i] = (uint8_t)(addr->bytes[i] + step);
		if (addr->bytes[i] != (step > 0 ? 0 : 0xff))
			return;
	}
}

static void clear_host_bits(struct addr *addr, unsigned len)
{
	for (unsigned bit = len; bit < 128; bit++)
		addr->bytes[bit / 8] = (uint8_t)(addr->bytes[bit / 8] & ~(0x80U >> bit % 8));
}

static void set_host_bits(struct addr *addr, unsigned len)
{
	for (unsigned bit = len; bit < (addr->family == 4 ? 32U : 128U); bit++)
		addr->bytes[bit / 8] = (uint8_t)(addr->bytes[bit / 8] | 0x80U >> bit % 8);
}

#define NETS_MAX 160

/**
 * A random address near others: it shares a random number of leading bits with `seed`, so that many borders
 * fall into the same slot, down to single addresses.
 */
static struct addr random_addr(uint8_t family, const struct addr *seed)
{
	struct addr addr = { .family = family };
	unsigned bytes_n = family == 4 ? 4 : 16;
	for (unsigned i = 0; i < bytes_n; i++)
		addr.bytes[i] = (uint8_t)random_next();
	unsigned shared = random_below(bytes_n * 8);
	for (unsigned bit = 0; bit < shared; bit++) {
		uint8_t mask = (uint8_t)(0x80U >> bit % 8);
		addr.bytes[bit / 8] =
		        (uint8_t)((addr.bytes[bit / 8] & ~mask) | (seed->bytes[bit / 8] & mask));
	}
	return addr;
}

/** All ranges meet, differ from their neighbours, say what a lookup says, and are as many as were counted. */
static void check_ranges(const struct geo_map *map, uint8_t family)
{
	struct geo_map_ranges ranges;
	struct geo_range range;
	struct addr next = { .family = family };
	int country = -1;
	size_t n = 0;
	geo_map_ranges_init(map, family, &ranges);
	while (geo_map_ranges_next(&ranges, &range)) {
		struct geo_match match;
		assert_memory_equal(&range.first, &next, sizeof(next));
		geo_map_find(map, &range.first, &match);
		assert_int_equal(match.country, range.country);
		geo_map_find(map, &range.last, &match);
		assert_int_equal(match.country, range.country);
		assert_int_not_equal(range.country, country);
		country = range.country;
		next = range.last;
		addr_step(&next, 1);
		n++;
	}
	struct addr zero = { .family = family };
	assert_memory_equal(&next, &zero, sizeof(next));
	struct geo_map_size size;
	geo_map_size(map, &size);
	assert_int_equal(n, family == 4 ? size.ranges4 : size.ranges6);
	assert_false(geo_map_ranges_next(&ranges, &range));
}

static void check_borders(const struct geo_map_builder *builder, const struct geo_map *map,
                          const struct prefix *prefix)
{
	struct addr edge = prefix->addr;
	check_same_as_oracle(builder, map, &edge);
	addr_step(&edge, -1);
	check_same_as_oracle(builder, map, &edge);
	edge = prefix->addr;
	set_host_bits(&edge, prefix->len);
	check_same_as_oracle(builder, map, &edge);
	addr_step(&edge, 1);
	check_same_as_oracle(builder, map, &edge);
}

static void check_random_map(uint8_t family, unsigned nets_n, unsigned countries_n)
{
	struct geo_map_builder *builder = geo_map_builder_create();
	struct prefix nets[NETS_MAX];
	unsigned kept_n = 0;
	struct addr seed = { .family = family };
	for (unsigned i = 0; i < 16; i++)
		seed.bytes[i] = family == 4 && i >= 4 ? 0 : (uint8_t)random_next();
	/* An ordinary block must come after the last: walk upwards by the tries that do. */
	for (unsigned i = 0; i < nets_n; i++) {
		struct prefix *prefix = &nets[kept_n];
		unsigned len_max = family == 4 ? 32 : 128;
		unsigned len =
		        random_below(2) ? random_below(len_max + 1) : len_max - random_below(len_max / 2);
		prefix->addr = random_addr(family, &seed);
		prefix->len = (uint8_t)len;
		clear_host_bits(&prefix->addr, len);
		uint16_t country = (uint16_t)random_below(countries_n);
		if (geo_map_builder_add(builder, prefix, country) == 0)
			kept_n++;
		else if (random_below(2) && geo_map_builder_override(builder, prefix, country) == 0)
			kept_n++;
	}
	struct geo_map *map = build(builder);
	for (unsigned i = 0; i < kept_n; i++)
		check_borders(builder, map, &nets[i]);
	for (unsigned i = 0; i < 100; i++) {
		struct addr addr =
		        random_addr(family, i % 2 && kept_n ? &nets[random_below(kept_n)].addr : &seed);
		check_same_as_oracle(builder, map, &addr);
	}
	check_ranges(map, 4);
	check_ranges(map, 6);
	geo_map_unref(map);
	geo_map_builder_destroy(builder);
}

static void test_random_maps(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 600; round++)
		check_random_map(round % 2 ? 4 : 6, 1 + random_below(NETS_MAX), 2 + random_below(4));
}

/** Very many neighbours in one place: each kind of slot, and nodes within nodes. */
static void check_dense(const char *base, unsigned len, unsigned n, unsigned checks_n)
{
	struct geo_map_builder *builder = geo_map_builder_create();
	struct prefix block = net(base);
	block.len = (uint8_t)len;
	struct prefix *blocks = calloc(n, sizeof(*blocks));
	assert_non_null(blocks);
	for (unsigned i = 0; i < n; i++) {
		blocks[i] = block;
		assert_int_equal(geo_map_builder_add(builder, &block, (uint16_t)(1 + random_below(3))), 0);
		for (unsigned skip = random_below(3) ? 1 : 1 + random_below(5); skip > 0; skip--) {
			set_host_bits(&block.addr, len);
			addr_step(&block.addr, 1);
		}
	}
	struct geo_map *map = build(builder);
	for (unsigned i = 0; i < checks_n; i++)
		check_borders(builder, map, &blocks[random_below(n)]);
	check_ranges(map, block.addr.family);
	free(blocks);
	geo_map_unref(map);
	geo_map_builder_destroy(builder);
}

static void test_dense(void **state)
{
	(void)state;
	check_dense("10.0.0.0/8", 24, 5000, 400);
	check_dense("10.0.0.0/8", 32, 5000, 400);
	check_dense("10.0.255.255/32", 32, 300, 300);
	check_dense("2a00::/16", 29, 5000, 400);
	check_dense("2a00::/16", 48, 5000, 400);
	check_dense("2001:db8::/32", 64, 5000, 400);
	check_dense("2001:db8::/32", 128, 5000, 400);
	check_dense("2001:db8:ffff:ffff::/64", 65, 300, 300);
	check_dense("2001:db8::ffff:ffff/128", 128, 300, 300);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_country_codes), cmocka_unit_test(test_empty),
		cmocka_unit_test(test_known_answers), cmocka_unit_test(test_order_and_range),
		cmocka_unit_test(test_whole_space),   cmocka_unit_test(test_random_maps),
		cmocka_unit_test(test_dense),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
