/* Who answers for a country: the levels, both families from one decision, and what a pool refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "tests/unit/support/pool_fixture.h"
#include "zones/pool/country.h"
#include "zones/pool/pool.h"

#define MIRRORS_MAX 16

/* A pool in a few words: "DE 4 6" is a mirror of Germany with both families. Mirror i has address .i and ::i.
 */
struct small_pool {
	struct arena arena;
	struct conf_pool conf;
	struct conf_mirror mirrors[MIRRORS_MAX];
	struct conf_mirror_addr addrs[MIRRORS_MAX][2];
	char hosts[MIRRORS_MAX][16];
	char countries[MIRRORS_MAX][3];
	struct pool *pool;
	struct pool_state state;
};

static const char *europe[] = { "DE", "FR", "CH", "LI", "AT", "GB" };
static const char *asia[] = { "JP", "TW" };
static struct conf_region regions[] = { { .name = "europe", .countries = europe, .countries_n = 6 },
	                                { .name = "asia", .countries = asia, .countries_n = 2 } };
static const char *near_li[] = { "CH", "AT" };
static struct conf_neighbours neighbours[] = { { .country = "LI", .near = near_li, .near_n = 2 } };

static void make(struct small_pool *small, const char *const *mirrors, uint32_t min_mirrors, bool borrow_ipv6)
{
	memset(small, 0, sizeof(*small));
	arena_init(&small->arena);
	size_t n = 0;
	for (; mirrors[n]; n++) {
		struct conf_mirror *mirror = &small->mirrors[n];
		snprintf(small->hosts[n], sizeof(small->hosts[n]), "m%zu", n);
		memcpy(small->countries[n], mirrors[n], 2);
		*mirror = (struct conf_mirror){ .host = small->hosts[n],
			                        .country = small->countries[n],
			                        .weight = 100 };
		mirror->addrs = small->addrs[n];
		if (strchr(mirrors[n], '4'))
			small->addrs[n][mirror->addrs_n++].addr =
			        (struct addr){ .family = 4, .bytes = { 192, 0, 2, (uint8_t)n } };
		if (strchr(mirrors[n], '6'))
			small->addrs[n][mirror->addrs_n++].addr =
			        (struct addr){ .family = 6,
				               .bytes = { 0x20, 1, 0xd, 0xb8, [15] = (uint8_t)n } };
	}
	small->conf = (struct conf_pool){ .name = "test",
		                          .min_mirrors = min_mirrors,
		                          .borrow_ipv6 = borrow_ipv6,
		                          .mirrors = small->mirrors,
		                          .mirrors_n = n,
		                          .regions = regions,
		                          .regions_n = 2,
		                          .neighbours = neighbours,
		                          .neighbours_n = 1 };
	struct diag diag;
	diag_init(&diag);
	assert_int_equal(pool_create(&small->conf, &small->arena, &diag, &small->pool), 0);
	assert_int_equal(diag.messages_n, 0);
	diag_fini(&diag);
	assert_int_equal(pool_state_init(small->pool, &small->state), 0);
}

static void drop(struct small_pool *small)
{
	pool_state_fini(&small->state);
	arena_fini(&small->arena);
}

static const char *const plain[] = { "DE 4 6", "DE 4", "FR 4", "CH 4 6", "AT 4", "JP 4 6", NULL };
static const char *const no_v4[] = { "DE 6", "FR 4", "JP 4", NULL };
static const char *const no_v6[] = { "DE 4", "FR 4 6", "JP 4", NULL };

static const struct {
	const char *what;
	const char *const *mirrors;
	uint32_t min_mirrors;
	bool borrow_ipv6;
	const char *country; /* "--" = the world */
	bool ipv6_only;
	enum pool_level level;
	const char *want;
} decisions[] = {
	{ "its own", plain, 1, false, "DE", false, POOL_LEVEL_COUNTRY, "v4: 0 1 v6: 0" },
	{ "neighbour", plain, 1, false, "LI", false, POOL_LEVEL_NEIGHBOUR, "v4: 3 v6: 3" },
	{ "two neighbours needed", plain, 2, false, "LI", false, POOL_LEVEL_NEIGHBOUR, "v4: 3 4 v6: 3" },
	{ "region, no neighbours named", plain, 1, false, "GB", false, POOL_LEVEL_REGION,
	  "v4: 0 1 2 3 4 v6: 0 3" },
	{ "region, for TW", plain, 1, false, "TW", false, POOL_LEVEL_REGION, "v4: 5 v6: 5" },
	{ "region too small: world", plain, 2, false, "TW", false, POOL_LEVEL_WORLD,
	  "v4: 0 1 2 3 4 5 v6: 0 3 5" },
	{ "in no region: world", plain, 1, false, "BR", false, POOL_LEVEL_WORLD,
	  "v4: 0 1 2 3 4 5 v6: 0 3 5" },
	{ "unknown: world", plain, 1, false, "--", false, POOL_LEVEL_WORLD, "v4: 0 1 2 3 4 5 v6: 0 3 5" },
	{ "too few: the region helps, its own stay", plain, 3, false, "DE", false, POOL_LEVEL_REGION,
	  "v4: 0 1 2 3 4 v6: 0 3" },
	{ "more wanted than there are: all", plain, 99, false, "DE", false, POOL_LEVEL_WORLD,
	  "v4: 0 1 2 3 4 5 v6: 0 3 5" },
	{ "no IPv6 here: AAAA empty", plain, 1, false, "FR", false, POOL_LEVEL_COUNTRY, "v4: 2 v6:" },
	{ "no IPv6 here, borrowed", plain, 1, true, "FR", false, POOL_LEVEL_COUNTRY, "v4: 2 v6: 0 3" },
	{ "no IPv4 here: from the region", no_v4, 1, false, "DE", false, POOL_LEVEL_COUNTRY, "v4: 1 v6: 0" },
	{ "IPv6 name: only mirrors with IPv6 count", no_v6, 1, false, "DE", true, POOL_LEVEL_REGION,
	  "v4: 0 1 v6: 1" },
	{ "IPv6 name: none in the region", no_v6, 1, false, "JP", true, POOL_LEVEL_WORLD, "v4: 0 1 2 v6: 1" },
	{ "UK is GB", plain, 1, false, "UK", false, POOL_LEVEL_REGION, "v4: 0 1 2 3 4 v6: 0 3" },
};

static void test_decisions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(decisions) / sizeof(decisions[0]); i++) {
		struct small_pool small;
		make(&small, decisions[i].mirrors, decisions[i].min_mirrors, decisions[i].borrow_ipv6);
		struct pool_decision decision;
		assert_int_equal(pool_decide_country(small.pool, &small.state,
		                                     country_from_text(decisions[i].country),
		                                     decisions[i].ipv6_only, &decision),
		                 0);
		char text[256];
		pool_fixture_describe(&decision, text, sizeof(text));
		if (decision.level != decisions[i].level || strcmp(text, decisions[i].want) != 0)
			fail_msg("%s: level %s, %s", decisions[i].what, pool_level_text(decision.level),
			         text);
		pool_decision_fini(&decision);
		drop(&small);
	}
}

/* Who is in when some are out: "0 late, 3 unreachable" by mirror number, "0.1" the second address of mirror
 * 0. */
static void set_out(struct small_pool *small, const char *out)
{
	static enum reason addr_reasons[MIRRORS_MAX][2];
	memset(addr_reasons, 0, sizeof(addr_reasons));
	char copy[256];
	strcpy(copy, out);
	for (char *entry = strtok(copy, ","); entry; entry = strtok(NULL, ",")) {
		unsigned mirror;
		unsigned addr;
		char reason[32];
		if (sscanf(entry, " %u.%u %31s", &mirror, &addr, reason) == 3) {
			addr_reasons[mirror][addr] = reason_from_text(reason);
			small->state.mirrors[mirror].addr_reasons = addr_reasons[mirror];
		} else {
			assert_int_equal(sscanf(entry, " %u %31s", &mirror, reason), 2);
			small->state.mirrors[mirror].reason = reason_from_text(reason);
		}
		assert_int_not_equal(reason_from_text(reason), REASON_N);
	}
}

static const struct {
	const char *what;
	uint32_t min_mirrors;
	const char *out;
	const char *country;
	enum pool_level level;
	enum reason readmitted;
	const char *want;
} exclusions[] = {
	{ "one of two out", 1, "0 unreachable", "DE", POOL_LEVEL_COUNTRY, REASON_NONE, "v4: 1 v6:" },
	{ "one address out", 1, "0.0 unreachable", "DE", POOL_LEVEL_COUNTRY, REASON_NONE, "v4: 1 v6: 0" },
	{ "all out: borrow from the region", 1, "0 unreachable, 1 old", "DE", POOL_LEVEL_REGION, REASON_NONE,
	  "v4: 2 3 4 v6: 3" },
	{ "all out, one only late: it works, so it stays", 1, "0 unreachable, 1 late", "DE",
	  POOL_LEVEL_COUNTRY, REASON_LATE, "v4: 1 v6:" },
	{ "late before slow before out-of-sync", 1, "0 out-of-sync, 1 slow", "DE", POOL_LEVEL_COUNTRY,
	  REASON_SLOW, "v4: 1 v6:" },
	{ "two wanted: the late one too", 2, "0 late", "DE", POOL_LEVEL_COUNTRY, REASON_LATE,
	  "v4: 0 1 v6: 0" },
	{ "wrong content is not taken back", 1, "0 wrong-content, 1 refused", "DE", POOL_LEVEL_REGION,
	  REASON_NONE, "v4: 2 3 4 v6: 3" },
	{ "neighbour out: the next one", 1, "3 unreachable", "LI", POOL_LEVEL_NEIGHBOUR, REASON_NONE,
	  "v4: 4 v6:" },
	{ "the region out: the world", 1, "0 old, 1 old, 2 old, 3 old, 4 old", "DE", POOL_LEVEL_WORLD,
	  REASON_NONE, "v4: 5 v6: 5" },
	{ "all of the pool out: the least bad", 1,
	  "0 unreachable, 1 old, 2 old, 3 http-error, 4 unreachable, 5 http-error", "DE", POOL_LEVEL_WORLD,
	  REASON_OLD, "v4: 1 2 v6:" },
	{ "all out and none may come back", 1,
	  "0 admin, 1 admin, 2 admin, 3 refused, 4 wrong-content, 5 maintenance", "DE", POOL_LEVEL_WORLD,
	  REASON_NONE, "v4: v6:" },
	{ "all out but one, which no one may take back", 1,
	  "0 admin, 1 unreachable, 2 admin, 3 admin, 4 admin, 5 admin", "JP", POOL_LEVEL_WORLD,
	  REASON_UNREACHABLE, "v4: 1 v6:" },
	{ "few left, but alive: the dead stay out", 3, "0 old, 1 old, 2 unreachable, 3 old, 4 old", "JP",
	  POOL_LEVEL_WORLD, REASON_NONE, "v4: 5 v6: 5" },
};

static void test_exclusions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(exclusions) / sizeof(exclusions[0]); i++) {
		struct small_pool small;
		make(&small, plain, exclusions[i].min_mirrors, false);
		set_out(&small, exclusions[i].out);
		struct pool_decision decision;
		assert_int_equal(pool_decide_country(small.pool, &small.state,
		                                     country_from_text(exclusions[i].country), false,
		                                     &decision),
		                 0);
		char text[256];
		pool_fixture_describe(&decision, text, sizeof(text));
		if (decision.level != exclusions[i].level ||
		    decision.readmitted != exclusions[i].readmitted || strcmp(text, exclusions[i].want) != 0)
			fail_msg("%s: level %s, taken back %s, %s", exclusions[i].what,
			         pool_level_text(decision.level), reason_text(decision.readmitted), text);
		pool_decision_fini(&decision);
		drop(&small);
	}
}

/* A mirror that comes back rises in steps, whatever the weights are written in. */
static void test_small_weights(void **state)
{
	(void)state;
	static const uint32_t permilles[] = { 1, 100, 325, 1000 };
	for (size_t i = 0; i < sizeof(permilles) / sizeof(permilles[0]); i++) {
		struct small_pool small;
		struct pool_decision decision;
		make(&small, plain, 1, false);
		for (size_t k = 0; k < small.pool->mirrors_n; k++)
			small.pool->mirrors[k].weight = 1;
		small.state.mirrors[0].permille = permilles[i];
		assert_int_equal(pool_decide_country(small.pool, &small.state, country_from_text("DE"), false,
		                                     &decision),
		                 0);
		assert_int_equal(decision.members_n, 2);
		assert_int_equal(decision.members[0].weight * UINT64_C(1000),
		                 (uint64_t)decision.members[1].weight * permilles[i]);
		pool_decision_fini(&decision);
		drop(&small);
	}
}

static void test_regions(void **state)
{
	(void)state;
	struct small_pool small;
	make(&small, plain, 1, false);
	assert_string_equal(small.pool->regions[1].name, "asia");
	struct pool_decision decision;
	char text[256];
	assert_int_equal(pool_decide_region(small.pool, &small.state, 1, &decision), 0);
	pool_fixture_describe(&decision, text, sizeof(text));
	assert_string_equal(text, "v4: 5 v6: 5");
	pool_decision_fini(&decision);
	drop(&small);
	/* a region without mirrors is not answered with nothing */
	make(&small, no_v6, 1, false);
	small.pool->regions[1].has[country_from_text("JP")] = false;
	assert_int_equal(pool_decide_region(small.pool, &small.state, 1, &decision), 0);
	assert_int_equal(decision.level, POOL_LEVEL_WORLD);
	assert_int_equal(decision.members_n, 3);
	pool_decision_fini(&decision);
	drop(&small);
}

static void expect_refused(struct conf_pool *conf, const char *want)
{
	struct arena arena;
	arena_init(&arena);
	struct diag diag;
	diag_init(&diag);
	struct pool *pool;
	assert_int_equal(pool_create(conf, &arena, &diag, &pool), -22);
	bool found = false;
	for (size_t i = 0; i < diag.messages_n; i++)
		found |= strcmp(diag.messages[i].text, want) == 0;
	if (!found)
		fail_msg("want \"%s\", got \"%s\"", want, diag.messages_n ? diag.messages[0].text : "");
	diag_fini(&diag);
	arena_fini(&arena);
}

static void test_refused(void **state)
{
	(void)state;
	struct conf_mirror_addr addr[2] = { { .place = { "m.conf", 3 } }, { .place = { "m.conf", 7 } } };
	assert_int_equal(addr_parse("192.0.2.1", &addr[0].addr), 0);
	assert_int_equal(addr_parse("192.0.2.1", &addr[1].addr), 0);
	struct conf_mirror mirror[2] = {
		{ .place = { "m.conf", 2 },
		  .host = "a",
		  .country = "DE",
		  .addrs = &addr[0],
		  .addrs_n = 1,
		  .weight = 100 },
		{ .place = { "m.conf", 6 },
		  .host = "b",
		  .country = "FR",
		  .addrs = &addr[1],
		  .addrs_n = 1,
		  .weight = 100 },
	};
	struct conf_pool conf = { .name = "p", .mirrors = mirror, .mirrors_n = 2 };
	expect_refused(&conf, "m.conf:7: mirror b: address 192.0.2.1 is already that of a (line 3); each "
	                      "address stands once");
	assert_int_equal(addr_parse("192.0.2.2", &addr[1].addr), 0);
	mirror[1].country = "XX";
	expect_refused(&conf, "m.conf:6: mirror b: unknown country \"XX\"; write a two-letter ISO 3166 code "
	                      "such as \"DE\"");
	mirror[1].country = "FR";
	mirror[1].weight = 0;
	expect_refused(&conf,
	               "m.conf:6: mirror b: weight 0 is out of range; write 1 to 1000000 (100 is usual)");
	mirror[1].weight = 100;
	static const struct {
		const char *addr;
		const char *why;
	} bad[] = {
		{ "127.0.0.1", "a loopback address" },
		{ "224.0.0.1", "a multicast address" },
		{ "0.0.0.0", "in \"this network\" 0.0.0.0/8" },
		{ "255.255.255.255", "in the reserved range 240.0.0.0/4" },
		{ "169.254.1.1", "a link-local address" },
		{ "::1", "the unspecified or the loopback address" },
		{ "fe80::1", "a link-local address" },
		{ "ff02::1", "a multicast address" },
		{ "::ffff:192.0.2.1", "an IPv4 address in IPv6 form" },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char want[256];
		char text[ADDR_TEXT_MAX];
		assert_int_equal(addr_parse(bad[i].addr, &addr[1].addr), 0);
		snprintf(want, sizeof(want),
		         "m.conf:7: mirror b: address %s is %s; write a unicast address that clients can "
		         "reach",
		         addr_format(&addr[1].addr, text, sizeof(text)), bad[i].why);
		expect_refused(&conf, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decisions),     cmocka_unit_test(test_exclusions),
		cmocka_unit_test(test_small_weights), cmocka_unit_test(test_regions),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
