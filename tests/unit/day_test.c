/*
 * A day in the life of a pool, in a second: feeds, overrides and windows by a script, the clock driven by
 * zones_next_change() alone. Afterwards the journal must give back every moment of it, and explain must agree
 * with what was answered then.
 */
#include <inttypes.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "answer/data.h"
#include "answer/pools_build.h"
#include "tests/unit/support/pool_fixture.h"
#include "tests/unit/support/site_fixture.h"
#include "wire/name.h"
#include "wire/wire.h"
#include "zones/explain.h"
#include "zones/history.h"
#include "zones/journal.h"

#define T0          1795244400U /* 2026-11-21T07:00:00Z */
#define DAY         86400U
#define JOURNAL_MAX 8192
#define FILES_N     50
#define MOMENTS_MAX 2000
#define SEED        20261121U

static const char regions[] = "regions = ( { name = \"europe\"; countries = [ \"DE\", \"FR\", \"CH\", "
                              "\"AT\", \"LI\", \"GB\" ]; },\n"
                              "            { name = \"asia\"; countries = [ \"JP\", \"TW\" ]; } );\n"
                              "neighbours = ( { country = \"LI\"; near = [ \"CH\", \"DE\" ]; },\n"
                              "               { country = \"CH\"; near = [ \"DE\" ]; } );\n";

/* m0-m5 DE, m6-m8 FR, m9 CH, m10-m11 JP, m12-m19 US. Every third has no IPv6. */
static void make_mirrors(char *text, size_t cap)
{
	static const struct {
		unsigned mirror;
		const char *windows;
	} windows[] = {
		{ 2, "{ from = \"2026-11-21T09:00:00Z\"; until = \"2026-11-21T10:30:00Z\"; reason = "
		     "\"disks\"; }" },
		{ 9,
		  "{ from = \"2026-11-07T12:00:00Z\"; until = \"2026-11-07T12:20:00Z\"; every = \"7d\"; "
		  "reason = "
		  "\"weekly\"; }, { from = \"2026-11-21T12:10:00Z\"; until = \"2026-11-21T12:40:00Z\"; }" },
		{ 13,
		  "{ from = \"2026-11-20T23:00:00Z\"; until = \"2026-11-20T23:07:00Z\"; every = \"6h\"; }" },
	};
	size_t used = (size_t)snprintf(text, cap, "mirrors = (\n");
	for (unsigned i = 0; i < 20; i++) {
		const char *country = i < 6 ? "DE" : i < 9 ? "FR" : i < 10 ? "CH" : i < 12 ? "JP" : "US";
		used += (size_t)snprintf(text + used, cap - used,
		                         "{ host = \"m%u\"; country = \"%s\"; weight = %u; addresses = [ "
		                         "\"192.0.2.%u\"",
		                         i, country, 50 + 10 * i, i + 1);
		if (i % 3)
			used += (size_t)snprintf(text + used, cap - used, ", \"2001:db8::%x\"", i + 1);
		if (i % 5 == 0)
			used += (size_t)snprintf(text + used, cap - used, ", \"198.51.100.%u\"", i + 1);
		used += (size_t)snprintf(text + used, cap - used, " ];");
		for (size_t k = 0; k < sizeof(windows) / sizeof(windows[0]); k++) {
			if (windows[k].mirror == i)
				used += (size_t)snprintf(text + used, cap - used, " maintenance = ( %s );",
				                         windows[k].windows);
		}
		used += (size_t)snprintf(text + used, cap - used, " }%s\n", i < 19 ? "," : ");");
	}
	assert_true(used < cap);
}

/* --- the script --- */

enum event_kind { FEED, OVERRIDES, ACCEPT, REJECT };

#define OUT(host, reason)                                                                                    \
	"{ \"mirror\": \"" host "\", \"reason\": \"" reason "\", \"since\": @-600, \"detail\": \"seen\" }"
#define ADDR(addr, reason) "{ \"address\": \"" addr "\", \"reason\": \"" reason "\" }"

/* In a feed, @N is the event's time and N seconds; its serial is the event's number. */
static const struct {
	uint32_t at_s;
	enum event_kind kind;
	const char *text; /* a feed's lists; overrides as in pool_fixture.h, their times from the event on */
} events[] = {
	{ 60, FEED, "\"excluded\": [ " OUT("m1", "late") " ]" },
	{ 400, FEED, "\"excluded\": [ " OUT("m1", "old") ", " OUT("m9", "late") " ]" },
	{ 1000, FEED, "\"excluded\": [ " OUT("m1", "unreachable") ", " OUT("m9", "unreachable") " ]" },
	{ 1500, OVERRIDES, "m1 up 0 3600; m7 drain 300 7200" },
	{ 2000, FEED, "\"excluded\": [ " OUT("m9", "http-error") ", " ADDR("192.0.2.1", "unreachable") " ]" },
	{ 5400, FEED,
	  "\"excluded\": [ " OUT("m10", "late") " ], \"weights\": [ { \"mirror\": \"m9\", \"factor\": 0.1, "
	                                        "\"full-at\": @1800 } ]" },
	{ 5400, OVERRIDES, "m0 drain 900 0" },
	{ 9000, FEED, "\"excluded\": [ " OUT("m10", "wrong-content") ", " OUT("m11", "unreachable") " ]" },
	{ 12000, FEED,
	  "\"excluded\": [ " OUT("m12", "old") ", " OUT("m13", "old") ", " OUT("m14", "old") ", " OUT(
	          "m15", "old") ", " OUT("m16", "old") ", " OUT("m17",
	                                                        "old") ", " OUT("m18",
	                                                                        "old") ", " OUT("m19",
	                                                                                        "old") " ]" },
	{ 15000, FEED,
	  "\"excluded\": [ " ADDR("192.0.2.2", "slow") ", " ADDR("2001:db8::2", "out-of-sync") " ]" },
	{ 20000, FEED, "\"excluded\": [ " OUT("m6", "old") ", " OUT("m7", "old") ", " OUT("m8", "old") " ]" },
	{ 20100, ACCEPT, "" },
	{ 26000, FEED,
	  "\"excluded\": [ " OUT("m0", "old") ", " OUT("m1", "old") ", " OUT("m2", "old") ", " OUT(
	          "m3", "old") ", " OUT("m4", "old") ", " OUT("m5", "old") " ]" },
	{ 26300, REJECT, "" },
	{ 30000, OVERRIDES, "m5 down 0 1200; m13 up 0 9000; m14 drain 700 1500" },
	{ 33000, FEED,
	  "\"valid-until\": @600, \"weights\": [ { \"mirror\": \"m12\", \"factor\": 0.5, \"full-at\": @77 }, "
	  "{ \"mirror\": \"m8\", \"factor\": 0.3 } ]" },
	{ 40000, FEED, "\"excluded\": [ " OUT("m10", "unreachable") ", " OUT("m11", "unreachable") " ]" },
	{ 40700, FEED, "\"excluded\": [ " OUT("m10", "unreachable") ", " OUT("m11", "late") " ]" },
	{ 50000, OVERRIDES, "" },
	{ 60000, FEED, "\"excluded\": [ " OUT("m1", "refused") ", " ADDR("198.51.100.6", "refused") " ]" },
	{ 70000, OVERRIDES, "m2 down 0 100; m3 drain 260 1000; m4 up 50 100" },
	{ 80000, FEED, "\"excluded\": [ ]" },
};

#define EVENTS_N (sizeof(events) / sizeof(events[0]))

/* What was in force from a moment on. */
struct moment {
	uint64_t at_s;
	struct pool_state state;
	struct answer_pools *pools;
	uint64_t *decisions; /* by slot: a hash of everything in it */
};

struct day {
	struct site_fixture site;
	struct journal *journal;
	struct moment moments[MOMENTS_MAX];
	size_t moments_n;
	unsigned rotations_n;
};

static void write_script_feed(const struct day *day, size_t event)
{
	char text[4096];
	uint64_t base_s = T0 + events[event].at_s;
	size_t used = (size_t)snprintf(text, sizeof(text),
	                               "{ \"format\": 1, \"serial\": %zu, \"generated\": %" PRIu64
	                               ", \"monitor\": \"mon\", ",
	                               event + 1, base_s);
	for (const char *at = events[event].text; *at && used < sizeof(text) - 32; at++) {
		char *end = NULL;
		if (*at == '@') {
			long off_s = strtol(at + 1, &end, 10);
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%" PRIu64,
			                         base_s + (uint64_t)off_s);
			at = end - 1;
		} else {
			text[used++] = *at;
		}
	}
	snprintf(text + used, sizeof(text) - used, " }");
	site_write_feed(&day->site, text);
}

static void run_event(struct day *day, size_t event)
{
	uint64_t now_s = T0 + events[event].at_s;
	struct override_set *overrides;
	switch (events[event].kind) {
	case FEED: write_script_feed(day, event); break;
	case ACCEPT: assert_int_equal(zones_accept_feed(day->site.zones, 0, "ann", now_s), 0); break;
	case REJECT: assert_int_equal(zones_reject_feed(day->site.zones, 0, "ann", now_s), 0); break;
	case OVERRIDES:
		overrides = pool_fixture_overrides(events[event].text, now_s);
		assert_int_equal(zones_set_overrides(day->site.zones, overrides, now_s), 0);
		override_set_unref(overrides);
		break;
	}
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
	for (const uint8_t *at = bytes; len--; at++)
		hash = (hash ^ *at) * 0x100000001b3U;
	return hash;
}

static bool is_of_pool(const struct zones_slot *slot)
{
	return slot->kind != ZONES_VERSION && slot->kind != ZONES_VERSION_DATABASE;
}

/* Everything that a decision says, for a slot. For "nearest" names the country changes with the slot. */
static uint64_t hash_decision(const struct zones *zones, size_t slot)
{
	struct pool_decision decision = { .members_n = 0 };
	uint16_t country = country_from_code(slot % 2 ? "TW" : "LI");
	assert_int_equal(zones_decide_slot(zones, &zones->slots[slot], country, &decision), 0);
	uint64_t hash = 0xcbf29ce484222325U;
	uint32_t numbers[] = { decision.level,
		               decision.level_v4,
		               decision.readmitted,
		               decision.ttl_s,
		               (uint32_t)decision.ttl_mirror,
		               decision.neighbour,
		               (uint32_t)decision.members_n };
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		hash = (hash ^ numbers[i]) * 0x100000001b3U;
	for (size_t i = 0; i < decision.members_n; i++) {
		const struct pool_member *member = &decision.members[i];
		hash = mix(hash, &member->weight, sizeof(member->weight));
		hash = mix(hash, &member->mirror, sizeof(member->mirror));
		hash = mix(hash, member->addrs, member->addrs_n * sizeof(*member->addrs));
	}
	pool_decision_fini(&decision);
	return hash;
}

static void append_news(struct day *day)
{
	json_t *news = zones_take_news(day->site.zones);
	if (news)
		assert_int_equal(journal_append(day->journal, news), 0);
	json_decref(news);
}

/* As the daemon does it: look at the feeds, compile, write the journal. */
static void step(struct day *day, uint64_t now_s)
{
	struct zones *zones = day->site.zones;
	site_read(&day->site, now_s);
	assert_true(day->moments_n < MOMENTS_MAX);
	struct moment *moment = &day->moments[day->moments_n++];
	moment->at_s = now_s;
	assert_int_equal(zones_compile(zones, site_clock(now_s), &moment->pools), 0);
	moment->state = pool_fixture_state(zones->pools[0], zones->feeds[0].feed, zones->overrides, now_s);
	moment->decisions = calloc(zones->slots_n, sizeof(*moment->decisions));
	assert_non_null(moment->decisions);
	for (size_t i = 0; i < zones->slots_n; i++)
		moment->decisions[i] = is_of_pool(&zones->slots[i]) ? hash_decision(zones, i) : 0;
	append_news(day);
	if (journal_is_full(day->journal)) {
		assert_int_equal(journal_rotate(day->journal), 0);
		assert_int_equal(zones_note_base(zones, "new journal", now_s), 0);
		append_news(day);
		day->rotations_n++;
	}
}

static int setup(void **state)
{
	static char mirrors[8192];
	struct day *day = calloc(1, sizeof(*day));
	assert_non_null(day);
	make_mirrors(mirrors, sizeof(mirrors));
	site_init(&day->site, mirrors, regions, "max-answers = 4; max-removal = 30; feed-hold = \"10m\";",
	          T0);
	assert_int_equal(journal_open(day->site.state_dir, JOURNAL_MAX, FILES_N, &day->journal), 0);
	assert_int_equal(zones_note_base(day->site.zones, "start", T0), 0);
	step(day, T0);
	size_t event = 0;
	for (;;) {
		uint64_t now_s = day->moments[day->moments_n - 1].at_s;
		uint64_t next_s = zones_next_change(day->site.zones, site_clock(now_s));
		uint64_t event_s = event < EVENTS_N ? T0 + events[event].at_s : UINT64_MAX;
		assert_true(next_s == 0 || next_s > now_s);
		if (next_s == 0 || event_s <= next_s)
			next_s = event_s;
		if (next_s > T0 + DAY)
			break;
		for (; event < EVENTS_N && T0 + events[event].at_s == next_s; event++)
			run_event(day, event);
		step(day, next_s);
	}
	assert_int_equal(event, EVENTS_N);
	print_message("seed %u: %zu moments, %u journals\n", SEED, day->moments_n, day->rotations_n + 1);
	*state = day;
	return 0;
}

static int teardown(void **state)
{
	struct day *day = *state;
	for (size_t i = 0; i < day->moments_n; i++) {
		pool_state_fini(&day->moments[i].state);
		answer_pools_unref(day->moments[i].pools);
		free(day->moments[i].decisions);
	}
	journal_close(day->journal);
	site_fini(&day->site);
	free(day);
	return 0;
}

static const struct moment *moment_at(const struct day *day, uint64_t at_s)
{
	size_t i = day->moments_n - 1;
	while (day->moments[i].at_s > at_s)
		i--;
	return &day->moments[i];
}

static void begin_past(const struct day *day, uint64_t at_s, struct zones *ret_past)
{
	struct diag diag;
	diag_init(&diag);
	int rc = explain_past_begin(day->site.zones, day->site.state_dir, at_s, &diag, ret_past);
	if (rc < 0 || diag.messages_n)
		fail_msg("T0 + %" PRIu64 ": %d %s", at_s - T0, rc,
		         diag.messages_n ? diag.messages[0].text : "");
	diag_fini(&diag);
}

/* The journal's state of a second against that which was in force. */
static void check_second(const struct day *day, uint64_t at_s)
{
	const struct moment *moment = moment_at(day, at_s);
	const struct pool *pool = day->site.zones->pools[0];
	struct zones past;
	begin_past(day, at_s, &past);
	const struct pool_state *state = &past.feeds[0].state;
	assert_int_equal(state->out_n, moment->state.out_n);
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		if (!mirror_state_equal(&pool->mirrors[i], &state->mirrors[i], &moment->state.mirrors[i]))
			fail_msg("T0 + %" PRIu64 ": mirror %zu is %s by %s, was %s by %s", at_s - T0, i,
			         reason_text(state->mirrors[i].reason), cause_text(state->mirrors[i].cause),
			         reason_text(moment->state.mirrors[i].reason),
			         cause_text(moment->state.mirrors[i].cause));
	}
	for (size_t i = 0; i < past.slots_n; i++) {
		if (is_of_pool(&past.slots[i]) && hash_decision(&past, i) != moment->decisions[i])
			fail_msg("T0 + %" PRIu64 ": %s is decided otherwise than at T0 + %" PRIu64, at_s - T0,
			         past.slots[i].name, moment->at_s - T0);
	}
	explain_past_end(&past);
}

static void test_replay(void **state)
{
	const struct day *day = *state;
	uint64_t random = SEED;
	assert_true(day->rotations_n >= 3);
	for (size_t i = 0; i < day->moments_n; i++) {
		uint64_t at_s = day->moments[i].at_s;
		uint64_t before_s = i ? day->moments[i - 1].at_s : at_s;
		check_second(day, at_s);
		if (at_s - 1 > before_s)
			check_second(day, at_s - 1);
		if (i + 1 < day->moments_n && at_s + 1 < day->moments[i + 1].at_s - 1)
			check_second(day, at_s + 1);
	}
	for (unsigned i = 0; i < 500; i++)
		check_second(day, T0 + random_below(&random, DAY));
}

static void test_before(void **state)
{
	const struct day *day = *state;
	struct diag diag;
	struct zones past;
	diag_init(&diag);
	assert_int_equal(explain_past_begin(day->site.zones, day->site.state_dir, T0 - 1, &diag, &past), -2);
	assert_int_equal(diag.errors_n, 1);
	diag_fini(&diag);
	/* After it: as it was last. */
	begin_past(day, T0 + 100 * DAY, &past);
	const struct moment *last = &day->moments[day->moments_n - 1];
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(past.feeds[0].state.mirrors[i].reason, last->state.mirrors[i].reason);
	explain_past_end(&past);
}

/* --- explain --- */

static struct geo_map *make_geo(void)
{
	static const char *const nets[][2] = { { "127.1.0.0/16", "DE" }, { "127.2.0.0/16", "FR" },
		                               { "127.3.0.0/16", "CH" }, { "127.4.0.0/16", "JP" },
		                               { "127.5.0.0/16", "US" }, { "127.6.0.0/16", "LI" },
		                               { "127.7.0.0/16", "BR" } };
	struct geo_map_builder *builder = geo_map_builder_create();
	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++) {
		struct prefix prefix;
		assert_int_equal(prefix_parse(nets[i][0], &prefix), 0);
		assert_int_equal(geo_map_builder_add(builder, &prefix, country_from_code(nets[i][1])), 0);
	}
	struct geo_map *map;
	assert_int_equal(geo_map_build(builder, &map), 0);
	geo_map_builder_destroy(builder);
	return map;
}

static bool has_member(const json_t *members, const char *text)
{
	for (size_t i = 0; i < json_array_size(members); i++) {
		if (strcmp(json_string_value(json_array_get(members, i)), text) == 0)
			return true;
	}
	return false;
}

/* "db.de.example.net. 300 IN A 192.0.2.1": the answer that was given then, against what explain says of it.
 */
static bool is_agreed(const json_t *told)
{
	const json_t *answer = json_object_get(told, "answer");
	const json_t *members = json_object_get(told, "members");
	for (size_t i = 0; i < json_array_size(answer); i++) {
		char type[8];
		char addr[64];
		unsigned ttl_s;
		assert_int_equal(sscanf(json_string_value(json_array_get(answer, i)), "%*s %u IN %7s %63s",
		                        &ttl_s, type, addr),
		                 3);
		if (ttl_s != json_integer_value(json_object_get(told, "ttl")) || !has_member(members, addr))
			return false;
	}
	return json_is_true(json_object_get(told, "agrees"));
}

/* Returns whether the answer was a pool's. */
static bool check_question(const struct zones *past, const struct answer_data *then, uint64_t at_s,
                           uint64_t *random)
{
	static const char *const names[] = { "database",   "db.local",   "db.local",   "db.de",     "db.fr",
		                             "db.ch",      "db.jp",      "db.us",      "db.li",     "db.br",
		                             "db.de.ipv6", "db.jp.ipv6", "db.us.big",  "db.europe", "db.asia",
		                             "ns1",        "nosuch",     "x.db.local", "db.uk",     "db.tw" };
	uint8_t origin[WIRE_NAME_MAX];
	uint8_t name[WIRE_NAME_MAX];
	int origin_len = name_from_text("example.net", NULL, 0, origin);
	const char *text = names[random_below(random, sizeof(names) / sizeof(names[0]))];
	int name_len = name_from_text(text, origin, (size_t)origin_len, name);
	assert_true(name_len > 0);
	struct prefix subnet = { .addr = { .family = 4,
		                           .bytes = { 127, (uint8_t)random_below(random, 9),
		                                      (uint8_t)random_below(random, 256) } },
		                 .len = 24 };
	struct explain_question question = {
		.name = name,
		.name_len = (size_t)name_len,
		.type = random_below(random, 2) ? WIRE_TYPE_A : WIRE_TYPE_AAAA,
		.from = { .family = 4,
		          .bytes = { 127, (uint8_t)random_below(random, 9),
		                     (uint8_t)random_below(random, 256), 1 } },
		.subnet = random_below(random, 2) ? &subnet : NULL,
	};
	json_t *told;
	assert_int_equal(explain_question(past, then, &question, &told), 0);
	bool of_pool = json_object_get(told, "pool");
	if (of_pool && !is_agreed(told))
		fail_msg("%s at T0 + %" PRIu64 " does not agree", text, at_s - T0);
	json_decref(told);
	return of_pool;
}

static void test_explain(void **state)
{
	const struct day *day = *state;
	uint64_t random = SEED;
	struct geo_map *geo = make_geo();
	unsigned pools_n = 0;
	for (unsigned i = 0; i < 250; i++) {
		/* Half of the time where something happens. */
		uint64_t at_s = i % 2 ? T0 + random_below(&random, DAY)
		                      : day->moments[random_below(&random, (uint32_t)day->moments_n)].at_s;
		const struct moment *moment = moment_at(day, at_s);
		struct answer_data then = { .store = day->site.zones->store,
			                    .pools = moment->pools,
			                    .geo = geo,
			                    .edns_size = 1232,
			                    .serial = 1 };
		struct zones past;
		begin_past(day, at_s, &past);
		for (unsigned k = 0; k < 40; k++)
			pools_n += check_question(&past, &then, at_s, &random);
		/* What is made of the past is what was made then, and an explanation of it is its own. */
		struct answer_pools *again;
		assert_int_equal(zones_compile(&past, site_clock(at_s), &again), 0);
		assert_true(answer_pools_equal(again, moment->pools));
		answer_pools_unref(again);
		explain_past_end(&past);
	}
	assert_true(pools_n > 5000);
	geo_map_unref(geo);
}

/* The check would notice: an explanation of one state does not agree with the answers of another. */
static void test_explain_disagrees(void **state)
{
	const struct day *day = *state;
	uint8_t name[WIRE_NAME_MAX];
	int name_len = name_from_text("database.example.net", NULL, 0, name);
	struct explain_question question = { .name = name,
		                             .name_len = (size_t)name_len,
		                             .type = WIRE_TYPE_A,
		                             .from = { .family = 4, .bytes = { 127 } } };
	const struct moment *lowered = NULL;
	for (size_t i = 0; i < day->moments_n && !lowered; i++) {
		if (day->moments[i].state.mirrors[2].out_at_s == day->moments[i].at_s + 64)
			lowered = &day->moments[i];
	}
	assert_non_null(lowered);
	if (!lowered)
		return;
	struct answer_data then = {
		.store = day->site.zones->store, .pools = lowered->pools, .edns_size = 1232, .serial = 1
	};
	struct zones past;
	begin_past(day, T0, &past);
	json_t *told;
	assert_int_equal(explain_question(&past, &then, &question, &told), 0);
	assert_true(json_is_false(json_object_get(told, "agrees")));
	json_decref(told);
	explain_past_end(&past);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_before),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_explain_disagrees),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
