/*
 * What holds for every pool, whatever a feed, operators and windows say: pools, states and clocks drawn at
 * random from a fixed seed, against rules written down a second time, the plain way.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/pool_fixture.h"
#include "zones/pool/country.h"

#define SEED        42U
#define ROUNDS      20000U
#define T0          1795244400U
#define MIRRORS_MAX 60
#define ADDRS_MAX   4
#define WINDOWS_MAX 2
#define COUNTRIES_N 12
#define FEED_MAX    80

static const char *const codes[COUNTRIES_N] = { "DE", "FR", "CH", "LI", "AT", "GB",
	                                        "JP", "TW", "US", "BR", "ZA", "NO" };

/* All that makes one pool, its feed and its overrides; conf structs, so that nothing is parsed. */
struct draw {
	uint64_t random;
	uint64_t now_s;
	struct arena arena;
	struct conf_pool conf;
	struct conf_mirror mirrors[MIRRORS_MAX];
	struct conf_mirror_addr addrs[MIRRORS_MAX][ADDRS_MAX];
	struct conf_window windows[MIRRORS_MAX][WINDOWS_MAX];
	char hosts[MIRRORS_MAX][8];
	struct conf_region regions[3];
	const char *region_countries[3][COUNTRIES_N];
	struct conf_neighbours neighbours[COUNTRIES_N];
	const char *near[COUNTRIES_N][3];
	struct feed feed;
	struct feed_exclusion exclusions[FEED_MAX];
	struct feed_weight weights[MIRRORS_MAX];
	struct override_set overrides;
	struct override items[MIRRORS_MAX];
	struct pool *pool;
	struct pool_state state;
};

static uint32_t below(struct draw *draw, uint32_t n)
{
	return random_below(&draw->random, n);
}

/* A second near now: many of them at it, or one off. */
static uint64_t near_now(struct draw *draw, uint32_t most_s)
{
	if (below(draw, 4) == 0)
		return draw->now_s - 1 + below(draw, 3);
	return draw->now_s - most_s + below(draw, 2 * most_s);
}

static void draw_mirror(struct draw *draw, unsigned i)
{
	struct conf_mirror *mirror = &draw->mirrors[i];
	snprintf(draw->hosts[i], sizeof(draw->hosts[i]), "m%u", i);
	*mirror = (struct conf_mirror){ .host = draw->hosts[i],
		                        .country = codes[below(draw, 1 + below(draw, COUNTRIES_N))],
		                        .weight = 1 + below(draw, 1000),
		                        .addrs = draw->addrs[i],
		                        .windows = draw->windows[i] };
	mirror->addrs_n = 1 + below(draw, ADDRS_MAX);
	for (uint8_t k = 0; k < mirror->addrs_n; k++) {
		struct addr v4 = { .family = 4, .bytes = { 10, 0, (uint8_t)i, k } };
		struct addr v6 = { .family = 6, .bytes = { 0x20, 1, 0xd, 0xb8, [14] = (uint8_t)i, k } };
		draw->addrs[i][k] = (struct conf_mirror_addr){ .addr = below(draw, 2) ? v4 : v6 };
	}
	mirror->windows_n = below(draw, 3) ? 0 : 1 + below(draw, WINDOWS_MAX);
	for (size_t k = 0; k < mirror->windows_n; k++) {
		struct conf_window *window = &draw->windows[i][k];
		*window = (struct conf_window){ .from_s = near_now(draw, 700), .reason = "test" };
		window->until_s = window->from_s + 1 + below(draw, 900);
		if (below(draw, 2)) {
			window->every_s = 3600 * (1 + below(draw, 48));
			uint64_t shift_s = (uint64_t)window->every_s * below(draw, 60);
			window->from_s -= shift_s;
			window->until_s -= shift_s;
		}
	}
}

static void draw_geography(struct draw *draw)
{
	draw->conf.regions = draw->regions;
	draw->conf.regions_n = below(draw, 4);
	for (size_t r = 0; r < draw->conf.regions_n; r++)
		draw->regions[r] =
		        (struct conf_region){ .name = codes[r], .countries = draw->region_countries[r] };
	for (size_t c = 0; c < COUNTRIES_N && draw->conf.regions_n; c++) {
		size_t r = below(draw, 4);
		if (r < draw->conf.regions_n)
			draw->region_countries[r][draw->regions[r].countries_n++] = codes[c];
	}
	draw->conf.neighbours = draw->neighbours;
	draw->conf.neighbours_n = 0;
	for (size_t c = 0; c < COUNTRIES_N; c++) {
		if (below(draw, 3))
			continue;
		struct conf_neighbours *list = &draw->neighbours[draw->conf.neighbours_n++];
		*list = (struct conf_neighbours){ .country = codes[c], .near = draw->near[c] };
		for (size_t k = 0; k < 1 + below(draw, 3) && list->near_n < 3; k++)
			draw->near[c][list->near_n++] =
			        codes[(c + 1 + below(draw, COUNTRIES_N - 1)) % COUNTRIES_N];
	}
}

static void draw_feed(struct draw *draw)
{
	size_t mirrors_n = draw->conf.mirrors_n;
	uint32_t share = below(draw, 5); /* from nearly nobody to nearly everybody */
	draw->feed = (struct feed){ .exclusions = draw->exclusions, .weights = draw->weights };
	for (size_t i = 0; i < mirrors_n && draw->feed.exclusions_n + 2 < FEED_MAX; i++) {
		struct feed_exclusion out = { .reason = (enum reason)(1 + below(draw, REASON_N - 1)) };
		if (below(draw, 4) < share) {
			out.host = draw->hosts[i];
			draw->exclusions[draw->feed.exclusions_n++] = out;
		}
		if (below(draw, 6) < share) {
			out.host = NULL;
			out.reason = (enum reason)(1 + below(draw, REASON_N - 1));
			out.addr = draw->addrs[i][below(draw, (uint32_t)draw->mirrors[i].addrs_n)].addr;
			draw->exclusions[draw->feed.exclusions_n++] = out;
		}
		if (below(draw, 6) == 0) {
			struct feed_weight weight = { .host = draw->hosts[i],
				                      .permille = 1 + below(draw, 1000),
				                      .from_s = near_now(draw, 1000) };
			weight.full_s = below(draw, 3) ? weight.from_s + 1 + below(draw, 2000) : 0;
			draw->weights[draw->feed.weights_n++] = weight;
		}
	}
}

static void draw_overrides(struct draw *draw)
{
	draw->overrides = (struct override_set){ .refs = 1, .items = draw->items };
	for (size_t i = 0; i < draw->conf.mirrors_n; i++) {
		if (below(draw, 5))
			continue;
		struct override item = { .pool = "test",
			                 .host = draw->hosts[i],
			                 .action = (enum override_action)below(draw, OVERRIDE_ACTION_N),
			                 .from_s = near_now(draw, 700),
			                 .author = "ann",
			                 .reason = "test" };
		item.until_s = below(draw, 2) ? item.from_s + 1 + below(draw, 900) : 0;
		draw->items[draw->overrides.n++] = item;
	}
}

static void draw_round(struct draw *draw, unsigned round)
{
	draw->now_s = T0 + below(draw, 100000);
	draw->conf = (struct conf_pool){ .name = "test",
		                         .ttl_s = below(draw, 2) ? 300 : 1 + below(draw, 1000),
		                         .min_mirrors = 1 + round % 4,
		                         .borrow_ipv6 = round % 3 == 0,
		                         .mirrors = draw->mirrors,
		                         .mirrors_n = 1 + below(draw, 1 + below(draw, MIRRORS_MAX)) };
	for (unsigned i = 0; i < draw->conf.mirrors_n; i++)
		draw_mirror(draw, i);
	draw_geography(draw);
	draw_feed(draw);
	draw_overrides(draw);
	struct diag diag;
	diag_init(&diag);
	arena_init(&draw->arena);
	if (pool_create(&draw->conf, &draw->arena, &diag, &draw->pool) < 0)
		fail_msg("round %u: %s", round, diag.messages[0].text);
	for (size_t i = 0; i < draw->conf.mirrors_n; i++)
		draw->pool->mirrors[i].number = (uint16_t)i;
	diag_fini(&diag);
	draw->state = pool_fixture_state(draw->pool, &draw->feed, &draw->overrides, draw->now_s);
}

/* --- the rules once more --- */

static const struct override *override_at(const struct draw *draw, size_t mirror, uint64_t at_s)
{
	const struct override *item = override_set_find(&draw->overrides, "test", draw->hosts[mirror]);
	bool counts = item && item->from_s <= at_s && (item->until_s == 0 || at_s < item->until_s);
	return counts ? item : NULL;
}

static bool is_window(const struct conf_window *window, uint64_t at_s)
{
	uint64_t in_s = at_s - window->from_s;
	if (at_s < window->from_s)
		return false;
	return (window->every_s ? in_s % window->every_s : in_s) < window->until_s - window->from_s;
}

/* Why an address is out at a second. */
static enum reason reason_at(const struct draw *draw, size_t mirror, size_t addr, uint64_t at_s)
{
	const struct conf_mirror *conf = &draw->mirrors[mirror];
	const struct override *override = override_at(draw, mirror, at_s);
	if (override && override->action == OVERRIDE_UP)
		return REASON_NONE;
	enum reason whole = REASON_NONE;
	enum reason own = REASON_NONE;
	for (size_t i = 0; i < draw->feed.exclusions_n; i++) {
		const struct feed_exclusion *out = &draw->exclusions[i];
		if (out->host == draw->hosts[mirror] && out->reason > whole)
			whole = out->reason;
		if (!out->host && addr_equal(&out->addr, &conf->addrs[addr].addr) && out->reason > own)
			own = out->reason;
	}
	for (size_t i = 0; i < conf->windows_n; i++) {
		if (is_window(&conf->windows[i], at_s) && whole < REASON_MAINTENANCE)
			whole = REASON_MAINTENANCE;
	}
	if (override)
		whole = override->action == OVERRIDE_DOWN ? REASON_ADMIN : REASON_MAINTENANCE;
	return own > whole ? own : whole;
}

static uint32_t weight_at(const struct draw *draw, size_t mirror, uint64_t at_s)
{
	uint64_t permille = 1000;
	for (size_t i = 0; i < draw->feed.weights_n; i++) {
		const struct feed_weight *weight = &draw->weights[i];
		if (weight->host != draw->hosts[mirror])
			continue;
		permille = weight->permille;
		uint64_t tenths = 0;
		for (uint64_t tenth = 1; weight->full_s && tenth <= 10; tenth++)
			tenths += 10 * (int64_t)(at_s - weight->from_s) >=
			          (int64_t)(tenth * (weight->full_s - weight->from_s));
		permille += (1000 - permille) * tenths / 10;
	}
	const struct override *override = override_at(draw, mirror, at_s);
	if (override && override->action == OVERRIDE_UP)
		permille = 1000;
	return (uint32_t)((uint64_t)draw->mirrors[mirror].weight * permille);
}

/* --- what must hold --- */

enum family { ANY = 0, V4 = 4, V6 = 6 };

/* Mirrors of a country (COUNTRY_UNKNOWN: of all) with an address of the family that is out for no worse
 * reason. */
static size_t count_mirrors(const struct draw *draw, uint16_t country, enum family family, enum reason worst)
{
	size_t n = 0;
	for (size_t i = 0; i < draw->conf.mirrors_n; i++) {
		bool has = false;
		for (size_t k = 0; k < draw->mirrors[i].addrs_n; k++)
			has |= (family == ANY || draw->addrs[i][k].addr.family == family) &&
			       reason_at(draw, i, k, draw->now_s) <= worst;
		n += has && (country == COUNTRY_UNKNOWN || draw->pool->mirrors[i].country == country);
	}
	return n;
}

/* Is an address of a member still as good until the answer has gone from every cache? */
static void check_lifetime(const struct draw *draw, size_t mirror, size_t addr, uint32_t ttl_s)
{
	const struct conf_mirror *conf = &draw->mirrors[mirror];
	const struct override *item = override_set_find(&draw->overrides, "test", draw->hosts[mirror]);
	uint64_t moments_s[WINDOWS_MAX + 2] = { item ? item->from_s : 0, item ? item->until_s : 0 };
	for (size_t i = 0; i < conf->windows_n; i++) {
		const struct conf_window *window = &conf->windows[i];
		moments_s[2 + i] = window->from_s;
		while (window->every_s && moments_s[2 + i] <= draw->now_s)
			moments_s[2 + i] += window->every_s;
	}
	enum reason now = reason_at(draw, mirror, addr, draw->now_s);
	for (size_t i = 0; i < WINDOWS_MAX + 2; i++) {
		uint64_t at_s = moments_s[i];
		/* It was asked for at the end of this second at the latest; one second is the shortest there
		 * is. */
		if (ttl_s > 1 && at_s > draw->now_s && at_s < draw->now_s + 1 + ttl_s &&
		    reason_at(draw, mirror, addr, at_s) > now)
			fail_msg("m%zu is %s in %" PRIu64 " s, but the answer lives for %u s", mirror,
			         reason_text(reason_at(draw, mirror, addr, at_s)), at_s - draw->now_s, ttl_s);
	}
}

/* What was found of a decision's members. */
struct seen {
	bool taken[MIRRORS_MAX];
	bool v4, v6;
	bool helps[7]; /* by family: a member that helps out with it alone */
	bool own[7];   /* by family: a member of the level itself has an address that is in the pool */
	bool dead[7];  /* by family: an address that is old, broken or not reached was taken back */
};

static void check_member(const struct draw *draw, const struct pool_decision *decision,
                         const struct pool_member *member, struct seen *seen)
{
	size_t number = member->mirror;
	const struct conf_mirror *conf = &draw->mirrors[number];
	bool helps = decision->picks[number].family_only;
	seen->taken[number] = true;
	assert_true(member->addrs_n > 0);
	assert_int_equal(member->weight, weight_at(draw, number, draw->now_s));
	size_t found_n = 0;
	for (size_t k = 0; k < conf->addrs_n; k++) {
		const struct addr *addr = &conf->addrs[k].addr;
		enum reason reason = reason_at(draw, number, k, draw->now_s);
		bool in = false;
		for (size_t i = 0; i < member->addrs_n; i++)
			in |= addr_equal(&member->addrs[i], addr);
		found_n += in;
		if (in && reason > REASON_HARD_LAST)
			fail_msg("m%zu is in, and %s", number, reason_text(reason));
		if (in)
			check_lifetime(draw, number, k, decision->ttl_s);
		seen->dead[addr->family] |= in && reason > REASON_OUT_OF_SYNC;
		seen->v4 |= in && addr->family == 4;
		seen->v6 |= in && addr->family == 6;
		if (!helps && reason == REASON_NONE) {
			/* Both families of a member, all of it that is in the pool. */
			assert_true(in);
			seen->own[addr->family] = true;
		}
		if (helps && in)
			seen->helps[addr->family] = true;
	}
	assert_int_equal(found_n, member->addrs_n);
}

static void check_decision(const struct draw *draw, const struct pool_decision *decision, bool ipv6_only)
{
	struct seen seen = { .v4 = false };
	for (size_t i = 0; i < decision->members_n; i++) {
		assert_false(seen.taken[decision->members[i].mirror]);
		check_member(draw, decision, &decision->members[i], &seen);
	}
	for (size_t i = 0; i < draw->conf.mirrors_n; i++) {
		const struct pool_pick *pick = &decision->picks[i];
		assert_int_equal(pick->taken, seen.taken[i]);
		assert_true(pick->asked || !pick->taken);
		assert_true(pick->taken || !pick->family_only);
		assert_true(!pick->taken || pick->level <= decision->level || pick->family_only);
	}
	/* Nobody goes without as long as there is anybody at all. */
	size_t any_n = count_mirrors(draw, COUNTRY_UNKNOWN, ANY, REASON_UNREACHABLE);
	size_t v4_n = count_mirrors(draw, COUNTRY_UNKNOWN, V4, REASON_UNREACHABLE);
	size_t v6_n = count_mirrors(draw, COUNTRY_UNKNOWN, V6, REASON_UNREACHABLE);
	if (ipv6_only) {
		assert_int_equal(seen.v6, v6_n > 0);
	} else {
		assert_int_equal(decision->members_n > 0, any_n > 0);
		assert_int_equal(seen.v4, v4_n > 0);
	}
	/* The dead come back only where the whole world has none that works. */
	if (!ipv6_only)
		assert_false(seen.dead[4] && count_mirrors(draw, COUNTRY_UNKNOWN, V4, REASON_OUT_OF_SYNC));
	assert_false(seen.dead[6] && count_mirrors(draw, COUNTRY_UNKNOWN, V6, REASON_OUT_OF_SYNC));
	/* A family comes from elsewhere only where it is missing. */
	assert_false(seen.helps[4] && seen.own[4]);
	assert_false(seen.helps[6] && (seen.own[6] || !draw->conf.borrow_ipv6));
	assert_false(decision->level_v4 != decision->level && seen.own[4]);
	assert_true(decision->ttl_s >= 1 && decision->ttl_s <= draw->conf.ttl_s);
	assert_int_equal(decision->ttl_mirror >= 0, decision->ttl_s < draw->conf.ttl_s);
}

static bool is_near(const struct draw *draw, uint16_t country, uint16_t other)
{
	for (const uint16_t *near = draw->pool->near[country]; near && *near; near++) {
		if (*near == other)
			return true;
	}
	return false;
}

/* Nobody is asked who is farther away than need be. */
static void check_country(const struct draw *draw, uint16_t country, bool ipv6_only)
{
	struct pool_decision decision;
	assert_int_equal(pool_decide_country(draw->pool, &draw->state, country, ipv6_only, &decision), 0);
	check_decision(draw, &decision, ipv6_only);
	if (country == COUNTRY_UNKNOWN) {
		assert_int_equal(decision.level, POOL_LEVEL_WORLD);
	} else {
		size_t own_n = count_mirrors(draw, country, ipv6_only ? V6 : ANY, REASON_OUT_OF_SYNC);
		assert_int_equal(decision.level == POOL_LEVEL_COUNTRY, own_n >= draw->conf.min_mirrors);
	}
	for (size_t i = 0; i < decision.members_n; i++) {
		uint16_t of = draw->pool->mirrors[decision.members[i].mirror].country;
		bool helps = decision.picks[decision.members[i].mirror].family_only;
		if (decision.level == POOL_LEVEL_COUNTRY && !helps)
			assert_int_equal(of, country);
		if (decision.level == POOL_LEVEL_NEIGHBOUR && !helps)
			assert_true(of == country || is_near(draw, country, of));
		if (decision.level == POOL_LEVEL_REGION && !helps)
			assert_true(of == country || is_near(draw, country, of) ||
			            draw->pool->regions[decision.region].has[of]);
	}
	pool_decision_fini(&decision);
}

static void check_same_decision(const struct draw *draw, uint16_t country, uint16_t other, bool ipv6_only)
{
	struct pool_decision a;
	struct pool_decision b;
	assert_int_equal(pool_decide_country(draw->pool, &draw->state, country, ipv6_only, &a), 0);
	assert_int_equal(pool_decide_country(draw->pool, &draw->state, other, ipv6_only, &b), 0);
	assert_true(a.level == b.level && a.level_v4 == b.level_v4 && a.neighbour == b.neighbour &&
	            a.region == b.region && a.readmitted == b.readmitted);
	assert_true(a.ttl_s == b.ttl_s && a.ttl_mirror == b.ttl_mirror);
	assert_memory_equal(a.picks, b.picks, draw->conf.mirrors_n * sizeof(*a.picks));
	assert_int_equal(a.members_n, b.members_n);
	for (size_t i = 0; i < a.members_n; i++)
		assert_true(a.members[i].mirror == b.members[i].mirror &&
		            a.members[i].addrs_n == b.members[i].addrs_n);
	pool_decision_fini(&a);
	pool_decision_fini(&b);
}

/* Countries of a class are answered alike. Returns how many pairs there were. */
static unsigned check_classes(const struct draw *draw)
{
	uint16_t countries[COUNTRIES_N + 2] = { COUNTRY_UNKNOWN, country_from_text("NZ") };
	unsigned pairs_n = 0;
	for (size_t i = 0; i < COUNTRIES_N; i++)
		countries[i + 2] = country_from_text(codes[i]);
	for (size_t i = 0; i < COUNTRIES_N + 2; i++) {
		uint16_t country = countries[i];
		size_t own_n = 0;
		for (size_t k = 0; k < draw->conf.mirrors_n; k++)
			own_n += draw->pool->mirrors[k].country == country;
		assert_int_equal(pool_country_mirrors_n(draw->pool, country), own_n);
		assert_true(pool_class_of(draw->pool, country) < pool_classes_n(draw->pool));
		for (size_t k = 0; k < i; k++) {
			if (pool_class_of(draw->pool, countries[k]) != pool_class_of(draw->pool, country))
				continue;
			check_same_decision(draw, country, countries[k], pairs_n++ % 2);
		}
	}
	return pairs_n;
}

static void check_state(const struct draw *draw)
{
	size_t out_n = 0;
	for (size_t i = 0; i < draw->conf.mirrors_n; i++) {
		const struct mirror_state *state = &draw->state.mirrors[i];
		bool in = false;
		for (size_t k = 0; k < draw->mirrors[i].addrs_n; k++) {
			enum reason own = state->addr_reasons ? state->addr_reasons[k] : REASON_NONE;
			enum reason worse = own > state->reason ? own : state->reason;
			assert_int_equal(worse, reason_at(draw, i, k, draw->now_s));
			in |= worse == REASON_NONE;
		}
		assert_int_equal(pool_state_is_in(draw->pool, &draw->state, i), in);
		out_n += !in;
	}
	assert_int_equal(draw->state.out_n, out_n);
	assert_true(draw->state.next_s == 0 || draw->state.next_s > draw->now_s);
}

static void test_properties(void **state)
{
	(void)state;
	struct draw *draw = calloc(1, sizeof(*draw));
	assert_non_null(draw);
	draw->random = SEED;
	unsigned pairs_n = 0;
	print_message("seed %u, %u rounds\n", SEED, ROUNDS);
	for (unsigned round = 0; round < ROUNDS; round++) {
		draw_round(draw, round);
		check_state(draw);
		check_country(draw, COUNTRY_UNKNOWN, round % 2);
		for (unsigned k = 0; k < 4; k++)
			check_country(draw, country_from_text(codes[(round + 3 * k) % COUNTRIES_N]), k == 3);
		check_country(draw, country_from_text("NZ"), false);
		for (size_t r = 0; r < draw->pool->regions_n; r++) {
			struct pool_decision decision;
			assert_int_equal(pool_decide_region(draw->pool, &draw->state, (int)r, &decision), 0);
			check_decision(draw, &decision, false);
			pool_decision_fini(&decision);
		}
		if (round % 16 == 0)
			pairs_n += check_classes(draw);
		pool_state_fini(&draw->state);
		arena_fini(&draw->arena);
	}
	assert_true(pairs_n > ROUNDS / 16);
	free(draw);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_properties) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
