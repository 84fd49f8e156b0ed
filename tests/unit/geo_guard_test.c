/* geo_guard: canaries, and the drift against a count of every address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo/geo_guard.h"

static uint64_t random_state = 0x2545f4914f6cdd1d;

static unsigned random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 33) % n;
}

/** "10.0.0.0/8 DE; 2001:db8::/32 FR": a map of that. Later ones win. */
static struct geo_map *make_map(const char *text)
{
	struct geo_map_builder *builder = geo_map_builder_create();
	assert_non_null(builder);
	char net[64];
	char code[3];
	int len = 0;
	for (; sscanf(text, " %63[^ ] %2[A-Z]%n", net, code, &len) == 2; text += len + (text[len] == ';')) {
		struct prefix prefix;
		assert_int_equal(prefix_parse(net, &prefix), 0);
		assert_int_equal(geo_map_builder_override(builder, &prefix, country_from_code(code)), 0);
	}
	assert_int_equal(*text, '\0');
	struct geo_map *map = NULL;
	assert_int_equal(geo_map_build(builder, &map), 0);
	geo_map_builder_destroy(builder);
	return map;
}

/** The messages, a line each, must be these. */
static void check_guard(const char *old_text, const char *new_text, const struct geo_canary *canaries,
                        size_t canaries_n, unsigned permille, const char *want)
{
	struct geo_map *old = old_text ? make_map(old_text) : NULL;
	struct geo_map *new = make_map(new_text);
	struct diag diag;
	diag_init(&diag);
	int rc = geo_guard_check(old, new, canaries, canaries_n, permille, "x.mmdb", &diag);
	char got[4096] = "";
	for (size_t i = 0; i < diag.messages_n; i++) {
		assert_int_equal(diag.messages[i].level, DIAG_ERROR);
		strcat(strcat(got, diag.messages[i].text), "\n");
	}
	assert_string_equal(got, want);
	assert_int_equal(rc, want[0] ? -EINVAL : 0);
	diag_fini(&diag);
	geo_map_unref(old);
	geo_map_unref(new);
}

static struct geo_canary canary(const char *addr, const char *code, unsigned line)
{
	struct geo_canary made = { .country = country_from_code(code), .file = "dnsd.conf", .line = line };
	assert_int_equal(addr_parse(addr, &made.addr), 0);
	return made;
}

#define CANARY_HINT "; put a good database there, or correct the canary\n"
#define DRIFT_HINT  " %; if that is right, set max-drift = 100 and reload\n"

static void test_canaries(void **state)
{
	(void)state;
	static const char map[] = "192.0.2.0/24 DE; 2001:db8::/32 FR";
	struct geo_canary good[] = { canary("192.0.2.255", "DE", 1), canary("2001:db8::1", "FR", 2) };
	check_guard(NULL, map, good, 2, 20, "");
	check_guard(map, map, good, 2, 20, "");
	check_guard(NULL, map, NULL, 0, 20, "");
	struct geo_canary bad[] = { canary("192.0.2.1", "FR", 12), good[0], canary("2001:db9::", "FR", 13) };
	check_guard(
	        NULL, map, bad, 3, 1000,
	        "x.mmdb: canary 192.0.2.1 (from dnsd.conf:12) is DE in the database, not FR" CANARY_HINT
	        "x.mmdb: canary 2001:db9:: (from dnsd.conf:13) is of unknown country in the database, not "
	        "FR" CANARY_HINT);
	/* Both kinds of trouble at once. */
	check_guard(
	        "192.0.2.0/24 FR", map, bad, 1, 999,
	        "x.mmdb: canary 192.0.2.1 (from dnsd.conf:12) is DE in the new database, not FR" CANARY_HINT
	        "x.mmdb: 100.0 % of the IPv4 address space moves to another country: FR -> DE 100.0 %; over "
	        "max-drift 99.9" DRIFT_HINT);
}

static void test_drift(void **state)
{
	(void)state;
	static const struct {
		const char *name, *old, *new;
		unsigned permille;
		const char *want;
	} cases[] = {
		{ "nothing", "10.0.0.0/8 DE", "10.0.0.0/8 DE", 1, "" },
		{ "at the limit", "10.0.0.0/8 DE", "10.0.0.0/8 DE; 10.0.0.0/9 FR", 500, "" },
		{ "one address over it", "10.0.0.0/8 DE", "10.0.0.0/8 DE; 10.0.0.0/9 FR; 10.128.0.0/32 FR",
		  500,
		  "x.mmdb: 50.1 % of the IPv4 address space moves to another country: DE -> FR 50.0 %; over "
		  "max-drift 50" DRIFT_HINT },
		{ "the whole space", "0.0.0.0/0 DE", "0.0.0.0/0 FR", 1000, "" },
		{ "the whole space, refused", "0.0.0.0/0 DE", "0.0.0.0/0 FR", 20,
		  "x.mmdb: 100.0 % of the IPv4 address space moves to another country: DE -> FR 100.0 %; "
		  "over "
		  "max-drift 2" DRIFT_HINT },
		{ "known becomes unknown", "10.0.0.0/24 DE", "10.0.0.0/25 DE", 499,
		  "x.mmdb: 50.0 % of the IPv4 address space moves to another country: DE -> -- 50.0 %; over "
		  "max-drift 49.9" DRIFT_HINT },
		{ "growth", "10.0.0.0/24 DE", "0.0.0.0/0 FR; 10.0.0.0/24 DE", 1, "" },
		{ "from nothing", "", "0.0.0.0/0 FR; ::/0 FR", 1, "" },
		{ "to nothing", "255.255.255.255/32 DE; 2000::/3 DE", "", 10,
		  "x.mmdb: 100.0 % of the IPv4 address space moves to another country: DE -> -- 100.0 %; "
		  "over "
		  "max-drift 1" DRIFT_HINT "x.mmdb: 100.0 % of the IPv6 address space moves to another "
		  "country: DE -> -- 100.0 %; over "
		  "max-drift 1" DRIFT_HINT },
		{ "five largest, in order", "10.0.0.0/8 DE",
		  "10.0.0.0/8 DE; 10.0.0.0/9 FR; 10.128.0.0/12 US; 10.144.0.0/13 JP; 10.152.0.0/14 GB; "
		  "10.156.0.0/15 IT; 10.158.0.0/16 SE",
		  10,
		  "x.mmdb: 62.2 % of the IPv4 address space moves to another country: DE -> FR 50.0 %, DE -> "
		  "US 6.2 "
		  "%, DE -> JP 3.1 %, DE -> GB 1.6 %, DE -> IT 0.8 %; over max-drift 1" DRIFT_HINT },
		{ "IPv6 outside 2000::/3", "fd00::/8 DE; 1fff::/16 DE; 4000::/16 DE; 2001:db8::/32 DE",
		  "fd00::/8 FR; 1fff::/16 FR; 4000::/16 FR; 2001:db8::/32 DE", 1, "" },
		{ "IPv6 across its edges", "1000::/4 DE; 2000::/3 DE; 4000::/3 DE", "2000::/4 DE", 10,
		  "x.mmdb: 50.0 % of the IPv6 address space moves to another country: DE -> -- 50.0 %; over "
		  "max-drift 1" DRIFT_HINT },
		{ "IPv6, a single address", "2000::1/128 DE; 2000::3/128 DE; 2000::5/128 DE; 2000::7/128 DE",
		  "2000::1/128 DE; 2000::3/128 DE; 2000::5/128 FR; 2000::7/128 DE", 249,
		  "x.mmdb: 25.0 % of the IPv6 address space moves to another country: DE -> FR 25.0 %; over "
		  "max-drift 24.9" DRIFT_HINT },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("    %s\n", cases[i].name);
		check_guard(cases[i].old, cases[i].new, NULL, 0, cases[i].permille, cases[i].want);
	}
}

#define CELLS 4096 /* blocks of the smallest size in the random maps */

/** The first address of cell i: 10.0.0.0/20 by addresses, 2001:db8::/36 by /48. */
static struct addr cell_addr(uint8_t family, unsigned i)
{
	static const uint8_t base4[16] = { 10 };
	static const uint8_t base6[16] = { 0x20, 0x01, 0x0d, 0xb8 };
	struct addr addr = { .family = family };
	memcpy(addr.bytes, family == 4 ? base4 : base6, 16);
	unsigned at = family == 4 ? 2 : 4;
	addr.bytes[at] = (uint8_t)(i >> 8);
	addr.bytes[at + 1] = (uint8_t)i;
	return addr;
}

static struct geo_map *random_map(uint8_t family, struct geo_map_builder *builder, unsigned nets_n)
{
	for (unsigned n = 0; n < nets_n; n++) {
		unsigned bits = random_below(12);
		struct prefix net = { .addr = cell_addr(family, random_below(CELLS) >> bits << bits),
			              .len = (uint8_t)((family == 4 ? 32 : 48) - bits) };
		assert_int_equal(geo_map_builder_override(builder, &net, (uint16_t)random_below(4)), 0);
	}
	struct geo_map *map = NULL;
	assert_int_equal(geo_map_build(builder, &map), 0);
	return map;
}

static int guard_rc(const struct geo_map *old, const struct geo_map *new, unsigned permille)
{
	struct diag diag;
	diag_init(&diag);
	int rc = geo_guard_check(old, new, NULL, 0, permille, "x.mmdb", &diag);
	diag_fini(&diag);
	return rc;
}

/** The verdict just above and just below the share that counting each cell gives. */
static void check_random(uint8_t family)
{
	struct geo_map_builder *builder = geo_map_builder_create();
	assert_non_null(builder);
	struct geo_map *old = random_map(family, builder, 1 + random_below(60));
	struct geo_map *new = random_map(family, builder, random_below(12));
	unsigned base = 0;
	unsigned moved = 0;
	for (unsigned i = 0; i < CELLS; i++) {
		struct addr addr = cell_addr(family, i);
		struct geo_match was;
		struct geo_match is;
		geo_map_find(old, &addr, &was);
		geo_map_find(new, &addr, &is);
		base += was.country != COUNTRY_UNKNOWN;
		moved += was.country != COUNTRY_UNKNOWN && was.country != is.country;
	}
	unsigned permille = base ? moved * 1000 / base : 0;
	for (unsigned limit = permille > 2 ? permille - 2 : 1; limit <= permille + 2 && limit <= 1000;
	     limit++)
		assert_int_equal(guard_rc(old, new, limit), moved * 1000 > base * limit ? -EINVAL : 0);
	geo_map_unref(old);
	geo_map_unref(new);
	geo_map_builder_destroy(builder);
}

static void test_random(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 400; round++)
		check_random(round % 2 ? 4 : 6);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canaries),
		cmocka_unit_test(test_drift),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
