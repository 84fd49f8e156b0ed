/* What changes in a pool over time: reasons, overrides, windows, ramps, and the seconds at which they count.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/pool_fixture.h"
#include "zones/pool/country.h"

#define T0 1795244400U /* 2026-11-21T07:00:00Z */

static const char regions[] =
        "regions = ( { name = \"europe\"; countries = [ \"DE\", \"FR\", \"CH\", \"AT\", \"LI\" ]; },\n"
        "            { name = \"asia\"; countries = [ \"JP\", \"TW\" ]; } );\n"
        "neighbours = ( { country = \"LI\"; near = [ \"CH\", \"AT\" ]; },\n"
        "               { country = \"DE\"; near = [ \"AT\", \"FR\" ]; } );\n";

/* m6 has a window of the first hour of each day and one in between; the number of a mirror is its address's.
 */
static const char mirrors[] =
        "mirrors = (\n"
        " { host = \"m0\"; country = \"DE\"; addresses = [ \"192.0.2.0\", \"2001:db8::\" ]; },\n"
        " { host = \"m1\"; country = \"DE\"; addresses = [ \"192.0.2.1\" ]; },\n"
        " { host = \"m2\"; country = \"FR\"; addresses = [ \"192.0.2.2\" ]; weight = 30; },\n"
        " { host = \"m3\"; country = \"CH\"; addresses = [ \"192.0.2.3\", \"2001:db8::3\" ]; },\n"
        " { host = \"m4\"; country = \"AT\"; addresses = [ \"192.0.2.4\" ]; },\n"
        " { host = \"m5\"; country = \"JP\"; addresses = [ \"192.0.2.5\", \"2001:db8::5\" ]; },\n"
        " { host = \"m6\"; country = \"TW\"; addresses = [ \"192.0.2.6\", \"192.0.2.66\", \"2001:db8::6\" "
        "];\n"
        "   maintenance = (\n"
        "    { from = \"2026-11-21T08:00:00Z\"; until = \"2026-11-21T09:00:00Z\"; every = \"7d\"; reason = "
        "\"a\"; },\n"
        "    { from = \"2026-11-21T08:30:00Z\"; until = \"2026-11-21T09:30:00Z\"; reason = \"b\"; } ); }\n"
        ");\n";

#define WINDOW 3600U /* from T0, when the first window of m6 begins */
#define WEEK   604800U

static struct pool_fixture fixture;

static int setup(void **state)
{
	(void)state;
	pool_fixture_init(&fixture, mirrors, regions);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pool_fixture_fini(&fixture);
	return 0;
}

/* --- who answers --- */

#define ALL_BUT_6(reason)                                                                                    \
	"m0 " reason "\nm1 " reason "\nm2 " reason "\nm3 " reason "\nm4 " reason "\nm5 " reason "\n"

static const struct {
	const char *what;
	const char *feed;
	const char *overrides;
	const char *country;
	enum pool_level level;
	enum pool_level level_v4;
	enum reason readmitted;
	const char *want;
} rules[] = {
	{ "nobody is out", "# none\n", "", "DE", POOL_LEVEL_COUNTRY, POOL_LEVEL_COUNTRY, REASON_NONE,
	  "v4: 0 1 v6: 0" },
	{ "all of a country: its neighbour, nearest first", "m0 unreachable\nm1 old\n", "", "DE",
	  POOL_LEVEL_NEIGHBOUR, POOL_LEVEL_NEIGHBOUR, REASON_NONE, "v4: 4 v6:" },
	{ "and its next neighbour", "m0 unreachable\nm1 old\nm4 http-error\n", "", "DE", POOL_LEVEL_NEIGHBOUR,
	  POOL_LEVEL_NEIGHBOUR, REASON_NONE, "v4: 2 v6:" },
	{ "all that are late: taken back before the neighbours", "m0 late\nm1 slow\n", "", "DE",
	  POOL_LEVEL_COUNTRY, POOL_LEVEL_COUNTRY, REASON_LATE, "v4: 0 v6: 0" },
	{ "neighbours out: their late ones are not asked for", "m0 old\nm1 old\nm2 late\nm4 late\n", "", "DE",
	  POOL_LEVEL_REGION, POOL_LEVEL_REGION, REASON_NONE, "v4: 3 v6: 3" },
	{ "all of a region: the world", "m0 old\nm1 old\nm2 old\nm3 old\nm4 old\n", "", "FR",
	  POOL_LEVEL_WORLD, POOL_LEVEL_WORLD, REASON_NONE, "v4: 5 6 66 v6: 5 6" },
	{ "the floor: the least bad of all", ALL_BUT_6("unreachable") "m6 http-error\n", "", "DE",
	  POOL_LEVEL_WORLD, POOL_LEVEL_WORLD, REASON_HTTP_ERROR, "v4: 6 66 v6: 6" },
	{ "the floor: old before http-error", ALL_BUT_6("http-error") "m6 old\n", "", "JP", POOL_LEVEL_WORLD,
	  POOL_LEVEL_WORLD, REASON_OLD, "v4: 6 66 v6: 6" },
	{ "the floor: a late one of elsewhere before the old ones of here", ALL_BUT_6("old") "m6 late\n", "",
	  "DE", POOL_LEVEL_WORLD, POOL_LEVEL_WORLD, REASON_LATE, "v4: 6 66 v6: 6" },
	{ "the floor: all are equally bad", ALL_BUT_6("unreachable") "m6 unreachable\n", "", "TW",
	  POOL_LEVEL_WORLD, POOL_LEVEL_WORLD, REASON_UNREACHABLE, "v4: 0 1 2 3 4 5 6 66 v6: 0 3 5 6" },
	{ "never: wrong content", ALL_BUT_6("wrong-content") "m6 unreachable\n", "", "DE", POOL_LEVEL_WORLD,
	  POOL_LEVEL_WORLD, REASON_UNREACHABLE, "v4: 6 66 v6: 6" },
	{ "never: refused, admin, maintenance",
	  "m0 refused\nm1 admin\nm2 maintenance\nm3 refused\nm4 admin\nm5 maintenance\nm6 wrong-content\n",
	  "", "DE", POOL_LEVEL_WORLD, POOL_LEVEL_WORLD, REASON_NONE, "v4: v6:" },
	{ "never: by an operator's word", ALL_BUT_6("refused") "m6 late\n", "m6 down -9 0", "TW",
	  POOL_LEVEL_WORLD, POOL_LEVEL_WORLD, REASON_NONE, "v4: v6:" },
	{ "never: an address of wrong content, though its mirror is merely late",
	  "m6 late\n192.0.2.6 wrong-content\n", "", "TW", POOL_LEVEL_COUNTRY, POOL_LEVEL_COUNTRY, REASON_LATE,
	  "v4: 66 v6: 6" },
	{ "never: nor when its mirror is unreachable", ALL_BUT_6("admin") "m6 old\n192.0.2.66 refused\n", "",
	  "TW", POOL_LEVEL_WORLD, POOL_LEVEL_WORLD, REASON_OLD, "v4: 6 v6: 6" },
	{ "an address that is worse than its mirror comes back later",
	  ALL_BUT_6("refused") "m6 late\n192.0.2.66 unreachable\n", "", "TW", POOL_LEVEL_COUNTRY,
	  POOL_LEVEL_COUNTRY, REASON_LATE, "v4: 6 v6: 6" },
	{ "a mirror that is worse than its address", "m6 wrong-content\n192.0.2.6 late\n", "", "TW",
	  POOL_LEVEL_REGION, POOL_LEVEL_REGION, REASON_NONE, "v4: 5 v6: 5" },
	{ "one family out: IPv4 from the neighbour, IPv6 stays",
	  "192.0.2.0 unreachable\n192.0.2.1 unreachable\n", "", "DE", POOL_LEVEL_COUNTRY,
	  POOL_LEVEL_NEIGHBOUR, REASON_NONE, "v4: 4 v6: 0" },
	{ "one family out that is merely late: taken back", "192.0.2.0 late\n192.0.2.1 late\n", "", "DE",
	  POOL_LEVEL_COUNTRY, POOL_LEVEL_COUNTRY, REASON_NONE, "v4: 0 1 v6: 0" },
	{ "IPv6 out: an empty AAAA", "2001:db8:: unreachable\n", "", "DE", POOL_LEVEL_COUNTRY,
	  POOL_LEVEL_COUNTRY, REASON_NONE, "v4: 0 1 v6:" },
	{ "IPv4 out everywhere: the least bad of it",
	  "m1 old\nm2 old\nm4 refused\n192.0.2.0 old\n192.0.2.3 http-error\n192.0.2.5 http-error\n"
	  "192.0.2.6 http-error\n192.0.2.66 http-error\n",
	  "", "DE", POOL_LEVEL_COUNTRY, POOL_LEVEL_WORLD, REASON_NONE, "v4: 0 1 2 v6: 0" },
	{ "override over feed: up", "m0 wrong-content\n192.0.2.0 refused\nm1 old\n", "m0 up -9 0", "DE",
	  POOL_LEVEL_COUNTRY, POOL_LEVEL_COUNTRY, REASON_NONE, "v4: 0 v6: 0" },
	{ "override over feed: down", "m0 late\nm1 old\n", "m0 down -9 0", "DE", POOL_LEVEL_NEIGHBOUR,
	  POOL_LEVEL_NEIGHBOUR, REASON_NONE, "v4: 4 v6:" },
	{ "override over feed: drain, before its moment", "m1 old\n", "m0 drain 1 0", "DE",
	  POOL_LEVEL_COUNTRY, POOL_LEVEL_COUNTRY, REASON_NONE, "v4: 0 v6: 0" },
	{ "override over feed: drain, at its moment", "m1 old\n", "m0 drain 0 0", "DE", POOL_LEVEL_NEIGHBOUR,
	  POOL_LEVEL_NEIGHBOUR, REASON_NONE, "v4: 4 v6:" },
	{ "override over feed: drain, its last second", "m1 old\n", "m0 drain -60 1", "DE",
	  POOL_LEVEL_NEIGHBOUR, POOL_LEVEL_NEIGHBOUR, REASON_NONE, "v4: 4 v6:" },
	{ "override over feed: drain, at its end", "m1 old\n", "m0 drain -61 -1", "DE", POOL_LEVEL_COUNTRY,
	  POOL_LEVEL_COUNTRY, REASON_NONE, "v4: 0 v6: 0" },
	{ "override that has ended: the feed counts again", "m0 old\nm1 old\n", "m0 up -60 -1", "DE",
	  POOL_LEVEL_NEIGHBOUR, POOL_LEVEL_NEIGHBOUR, REASON_NONE, "v4: 4 v6:" },
	{ "override of another mirror", "m0 old\nm1 old\n", "m5 up -60 0; m77 up -60 0", "DE",
	  POOL_LEVEL_NEIGHBOUR, POOL_LEVEL_NEIGHBOUR, REASON_NONE, "v4: 4 v6:" },
};

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct feed *feed = pool_fixture_feed(rules[i].feed, T0);
		struct override_set *overrides = pool_fixture_overrides(rules[i].overrides, T0);
		struct pool_state now = pool_fixture_state(fixture.pool, feed, overrides, T0);
		struct pool_decision decision;
		assert_int_equal(pool_decide_country(fixture.pool, &now, country_from_text(rules[i].country),
		                                     false, &decision),
		                 0);
		char text[256];
		pool_fixture_describe(&decision, text, sizeof(text));
		if (decision.level != rules[i].level || decision.level_v4 != rules[i].level_v4 ||
		    decision.readmitted != rules[i].readmitted || strcmp(text, rules[i].want) != 0)
			fail_msg("%s: level %s, IPv4 from %s, taken back %s, %s", rules[i].what,
			         pool_level_text(decision.level), pool_level_text(decision.level_v4),
			         reason_text(decision.readmitted), text);
		pool_decision_fini(&decision);
		pool_state_fini(&now);
		override_set_unref(overrides);
		feed_unref(feed);
	}
}

/* --- one mirror, second by second --- */

#define RAMP(entry) "{ \"format\": 1, \"serial\": 1, \"generated\": 1795244400, \"weights\": [ " entry " ] }"

static const struct {
	const char *what;
	const char *feed;
	const char *overrides;
	unsigned mirror;
	int64_t at_s; /* from T0 */
	enum reason reason;
	enum cause cause;
	uint32_t permille;
	int64_t until_s;  /* from T0; 0 = none */
	int64_t out_at_s; /* from T0; 0 = none */
} moments[] = {
	{ "a second before", "", "", 6, WINDOW - 1, REASON_NONE, CAUSE_NONE, 1000, 0, WINDOW },
	{ "the first second", "", "", 6, WINDOW, REASON_MAINTENANCE, CAUSE_WINDOW, 1000, WINDOW + 3600,
	  WINDOW + 1800 },
	{ "two overlap: that of before goes on", "", "", 6, WINDOW + 1800, REASON_MAINTENANCE, CAUSE_WINDOW,
	  1000, WINDOW + 3600, 0 },
	{ "the last second of the first", "", "", 6, WINDOW + 3599, REASON_MAINTENANCE, CAUSE_WINDOW, 1000,
	  WINDOW + 3600, 0 },
	{ "the end of the first: the other goes on", "", "", 6, WINDOW + 3600, REASON_MAINTENANCE,
	  CAUSE_WINDOW, 1000, WINDOW + 5400, WINDOW + WEEK },
	{ "the last second of both", "", "", 6, WINDOW + 5399, REASON_MAINTENANCE, CAUSE_WINDOW, 1000,
	  WINDOW + 5400, WINDOW + WEEK },
	{ "the end of both", "", "", 6, WINDOW + 5400, REASON_NONE, CAUSE_NONE, 1000, 0, WINDOW + WEEK },
	{ "a week later, a second before", "", "", 6, WINDOW + WEEK - 1, REASON_NONE, CAUSE_NONE, 1000, 0,
	  WINDOW + WEEK },
	{ "a week later", "", "", 6, WINDOW + WEEK, REASON_MAINTENANCE, CAUSE_WINDOW, 1000,
	  WINDOW + WEEK + 3600, 0 },
	{ "a week later, the last second", "", "", 6, WINDOW + WEEK + 3599, REASON_MAINTENANCE, CAUSE_WINDOW,
	  1000, WINDOW + WEEK + 3600, 0 },
	{ "a week later, the end", "", "", 6, WINDOW + WEEK + 3600, REASON_NONE, CAUSE_NONE, 1000, 0,
	  WINDOW + 2 * WEEK },
	{ "fifty weeks later", "", "", 6, WINDOW + 50 * (int64_t)WEEK, REASON_MAINTENANCE, CAUSE_WINDOW, 1000,
	  WINDOW + 50 * (int64_t)WEEK + 3600, 0 },
	{ "fifty weeks later, the end", "", "", 6, WINDOW + 50 * (int64_t)WEEK + 3600, REASON_NONE,
	  CAUSE_NONE, 1000, 0, WINDOW + 51 * (int64_t)WEEK },
	{ "the feed's reason is worse", "m6 wrong-content\n", "", 6, WINDOW, REASON_WRONG_CONTENT, CAUSE_FEED,
	  1000, 0, WINDOW + 1800 },
	{ "the feed's reason is better", "m6 unreachable\n", "", 6, WINDOW, REASON_MAINTENANCE, CAUSE_WINDOW,
	  1000, WINDOW + 3600, WINDOW + 1800 },
	{ "up in a window", "", "m6 up 0 0", 6, WINDOW, REASON_NONE, CAUSE_OVERRIDE, 1000, 0, 0 },
	{ "up until the window is there", "", "m6 up 0 3700", 6, 3500, REASON_NONE, CAUSE_OVERRIDE, 1000,
	  3700, 3700 },
	{ "up until before it", "", "m6 up 0 3550", 6, 3500, REASON_NONE, CAUSE_OVERRIDE, 1000, 3550,
	  WINDOW },
	{ "up until it is over", "", "m6 up 0 9600", 6, 9000, REASON_NONE, CAUSE_OVERRIDE, 1000, 9600,
	  WINDOW + WEEK },
	{ "up in a window that may hide a feed's reason", "", "m6 up 0 9600", 6, 8999, REASON_NONE,
	  CAUSE_OVERRIDE, 1000, 9600, 9600 },
	{ "up, with the feed against it: out again at the end", "m0 old\n", "m0 up 0 60", 0, 30, REASON_NONE,
	  CAUSE_OVERRIDE, 1000, 60, 60 },
	{ "up, with the feed against an address", "192.0.2.0 old\n", "m0 up 0 60", 0, 30, REASON_NONE,
	  CAUSE_OVERRIDE, 1000, 60, 60 },
	{ "up, and nothing against it", "", "m0 up 0 60", 0, 30, REASON_NONE, CAUSE_OVERRIDE, 1000, 60, 0 },
	{ "up to come", "m0 old\n", "m0 up 60 90", 0, 59, REASON_OLD, CAUSE_FEED, 1000, 0, 0 },
	{ "up at its end", "m0 old\n", "m0 up 0 60", 0, 60, REASON_OLD, CAUSE_FEED, 1000, 0, 0 },
	{ "down to come", "", "m0 down 60 90", 0, 59, REASON_NONE, CAUSE_NONE, 1000, 0, 60 },
	{ "down", "", "m0 down 60 90", 0, 60, REASON_ADMIN, CAUSE_OVERRIDE, 1000, 90, 0 },
	{ "down, the last second", "", "m0 down 60 90", 0, 89, REASON_ADMIN, CAUSE_OVERRIDE, 1000, 90, 0 },
	{ "down, the end", "", "m0 down 60 90", 0, 90, REASON_NONE, CAUSE_NONE, 1000, 0, 0 },
	{ "drain to come, before a window", "", "m6 drain 60 90", 6, 0, REASON_NONE, CAUSE_NONE, 1000, 0,
	  60 },
	{ "drain to come, after a window's beginning", "", "m6 drain 3660 0", 6, 0, REASON_NONE, CAUSE_NONE,
	  1000, 0, WINDOW },
	{ "drain", "", "m6 drain 60 90", 6, 60, REASON_MAINTENANCE, CAUSE_OVERRIDE, 1000, 90, 0 },
	{ "drain is over, the window comes", "", "m6 drain 60 90", 6, 90, REASON_NONE, CAUSE_NONE, 1000, 0,
	  WINDOW },
	{ "a feed past its end keeps its state", "valid-until 1795244401\nm0 old\n", "", 0, 86400, REASON_OLD,
	  CAUSE_FEED, 1000, 0, 0 },
	{ "a weight that stays", RAMP("{ \"mirror\": \"m0\", \"factor\": 0.25 }"), "", 0, 9, REASON_NONE,
	  CAUSE_FEED, 250, 0, 0 },
	{ "a ramp not begun",
	  RAMP("{ \"mirror\": \"m0\", \"factor\": 0.5, \"from\": 1795244500, \"full-at\": 1795244600 }"), "",
	  0, 99, REASON_NONE, CAUSE_FEED, 500, 200, 0 },
	{ "a ramp, its first step",
	  RAMP("{ \"mirror\": \"m0\", \"factor\": 0.5, \"from\": 1795244500, \"full-at\": 1795244600 }"), "",
	  0, 109, REASON_NONE, CAUSE_FEED, 500, 200, 0 },
	{ "a ramp, its second step",
	  RAMP("{ \"mirror\": \"m0\", \"factor\": 0.5, \"from\": 1795244500, \"full-at\": 1795244600 }"), "",
	  0, 110, REASON_NONE, CAUSE_FEED, 550, 200, 0 },
	{ "a ramp, its last step",
	  RAMP("{ \"mirror\": \"m0\", \"factor\": 0.5, \"from\": 1795244500, \"full-at\": 1795244600 }"), "",
	  0, 199, REASON_NONE, CAUSE_FEED, 950, 200, 0 },
	{ "a ramp, its end",
	  RAMP("{ \"mirror\": \"m0\", \"factor\": 0.5, \"from\": 1795244500, \"full-at\": 1795244600 }"), "",
	  0, 200, REASON_NONE, CAUSE_NONE, 1000, 0, 0 },
	{ "a ramp shorter than its steps",
	  RAMP("{ \"mirror\": \"m0\", \"factor\": 0.5, \"full-at\": 1795244403 }"), "", 0, 1, REASON_NONE,
	  CAUSE_FEED, 650, 3, 0 },
	{ "up ends a ramp", RAMP("{ \"mirror\": \"m0\", \"factor\": 0.5, \"full-at\": 1795245000 }"),
	  "m0 up 0 60", 0, 1, REASON_NONE, CAUSE_OVERRIDE, 1000, 60, 0 },
};

static void test_moments(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
		struct feed *feed = pool_fixture_feed(*moments[i].feed ? moments[i].feed : "# none\n", T0);
		struct override_set *overrides = pool_fixture_overrides(moments[i].overrides, T0);
		struct pool_state now =
		        pool_fixture_state(fixture.pool, feed, overrides, T0 + (uint64_t)moments[i].at_s);
		const struct mirror_state *m = &now.mirrors[moments[i].mirror];
		uint64_t until_s = moments[i].until_s ? T0 + (uint64_t)moments[i].until_s : 0;
		uint64_t out_at_s = moments[i].out_at_s ? T0 + (uint64_t)moments[i].out_at_s : 0;
		if (m->reason != moments[i].reason || m->cause != moments[i].cause ||
		    m->permille != moments[i].permille || m->until_s != until_s || m->out_at_s != out_at_s)
			fail_msg("%s: %s by %s, %u, until %" PRId64 ", out at %" PRId64, moments[i].what,
			         reason_text(m->reason), cause_text(m->cause), m->permille,
			         m->until_s ? (int64_t)m->until_s - T0 : 0,
			         m->out_at_s ? (int64_t)m->out_at_s - T0 : 0);
		pool_state_fini(&now);
		override_set_unref(overrides);
		feed_unref(feed);
	}
}

/* --- time-to-live --- */

static void test_ttl_before(void **state)
{
	(void)state;
	static const uint32_t ttls_s[] = { 1, 2, 3, 60, 300, 512, 1000, 86400 };
	for (size_t i = 0; i < sizeof(ttls_s) / sizeof(ttls_s[0]); i++) {
		uint32_t ttl_s = ttls_s[i];
		uint32_t before_s = 0;
		for (uint64_t away_s = 0; away_s <= 2000; away_s++) {
			/* An answer of the end of this second must be gone when the moment comes. */
			uint64_t left_s = away_s ? away_s - 1 : 0;
			uint32_t want_s = 1;
			for (uint32_t power = 1; power <= left_s; power *= 2)
				want_s = power;
			if (want_s > ttl_s)
				want_s = ttl_s;
			uint32_t got_s = pool_ttl_before(ttl_s, T0 + away_s, T0);
			if (got_s != want_s || got_s < 1 || got_s > ttl_s || (left_s > 0 && got_s > left_s) ||
			    got_s < before_s)
				fail_msg("ttl %u, %" PRIu64 " s away: %u, want %u", ttl_s, away_s, got_s,
				         want_s);
			before_s = got_s;
		}
		assert_int_equal(pool_ttl_before(ttl_s, T0 - 100, T0), 1);
	}
}

static bool same_answers(const struct pool_state *a, const struct pool_state *b)
{
	for (size_t i = 0; i < fixture.pool->mirrors_n; i++) {
		if (!mirror_state_equal(&fixture.pool->mirrors[i], &a->mirrors[i], &b->mirrors[i]))
			return false;
	}
	static const char *const asked[] = { "DE", "TW", "BR" };
	bool same = true;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		struct pool_decision x;
		struct pool_decision y;
		uint16_t country = country_from_text(asked[i]);
		assert_int_equal(pool_decide_country(fixture.pool, a, country, false, &x), 0);
		assert_int_equal(pool_decide_country(fixture.pool, b, country, false, &y), 0);
		char x_text[128];
		char y_text[128];
		same &= x.ttl_s == y.ttl_s && strcmp(pool_fixture_describe(&x, x_text, sizeof(x_text)),
		                                     pool_fixture_describe(&y, y_text, sizeof(y_text))) == 0;
		pool_decision_fini(&x);
		pool_decision_fini(&y);
	}
	return same;
}

/* Two hours and a half in which everything happens: who looks only at the seconds of next_s misses nothing.
 */
static void test_next(void **state)
{
	(void)state;
	struct feed *feed = pool_fixture_feed(
	        "{ \"format\": 1, \"serial\": 1, \"generated\": 1795244400,\n"
	        "  \"excluded\": [ { \"mirror\": \"m2\", \"reason\": \"late\" },"
	        "                  { \"address\": \"192.0.2.3\", \"reason\": \"old\" } ],\n"
	        "  \"weights\": [ { \"mirror\": \"m1\", \"factor\": 0.1, \"full-at\": 1795245137 },"
	        "                 { \"mirror\": \"m4\", \"factor\": 0.5, \"from\": 1795246000, \"full-at\": "
	        "1795246007 } ] }",
	        T0);
	struct override_set *overrides = pool_fixture_overrides(
	        "m0 drain 700 2000; m2 up -5 1300; m3 down 2500 2600; m5 up 100 4000; m6 up 3500 7100", T0);
	struct pool_state known = pool_fixture_state(fixture.pool, feed, overrides, T0);
	unsigned visits_n = 0;
	unsigned changes_n = 0;
	for (uint64_t now_s = T0 + 1; now_s < T0 + 10000; now_s++) {
		struct pool_state now = pool_fixture_state(fixture.pool, feed, overrides, now_s);
		bool same = same_answers(&known, &now);
		assert_true(now.next_s == 0 || now.next_s > now_s);
		if (known.next_s != now_s) {
			if (!same)
				fail_msg("T0 + %" PRIu64 ": something changed, next_s was T0 + %" PRId64,
				         now_s - T0, (int64_t)known.next_s - T0);
			pool_state_fini(&now);
			continue;
		}
		visits_n++;
		changes_n += !same;
		pool_state_fini(&known);
		known = now;
	}
	assert_true(changes_n > 60);
	assert_true(visits_n < 200);
	pool_state_fini(&known);
	override_set_unref(overrides);
	feed_unref(feed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_moments),
		cmocka_unit_test(test_ttl_before),
		cmocka_unit_test(test_next),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
