/* publish: a feed says to dnsd what the view says; votes come back as they were written, and bad ones are
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirrormon/publish.h"
#include "tests/unit/support/pool_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW_S        UINT64_C(1795000000)
#define HOUR         UINT64_C(3600)

/* ---- A view made by hand. */

static const char mirrors_text[] =
        "mirrors = (\n"
        "  { host = \"in.de\"; country = \"DE\"; addresses = [ \"192.0.2.1\" ]; },\n"
        "  { host = \"out.de\"; country = \"DE\"; addresses = [ \"192.0.2.2\", \"2001:db8::2\" ]; },\n"
        "  { host = \"half.fr\"; country = \"FR\"; addresses = [ \"192.0.2.3\", \"2001:db8::3\" ]; },\n"
        "  { host = \"unsynced.fr\"; country = \"FR\"; addresses = [ \"192.0.2.4\", \"2001:db8::4\" ]; },\n"
        "  { host = \"ramping.fr\"; country = \"FR\"; addresses = [ \"192.0.2.5\" ]; },\n"
        "  { host = \"ramped.fr\"; country = \"FR\"; addresses = [ \"192.0.2.6\" ]; },\n"
        "  { host = \"silent.fr\"; country = \"FR\"; addresses = [ \"192.0.2.7\", \"2001:db8::7\" ]; }\n"
        ");\n";

enum { M_IN, M_OUT, M_HALF, M_UNSYNCED, M_RAMPING, M_RAMPED, M_SILENT, MIRRORS_N };

struct fixture {
	struct pool_fixture pool;
	struct conf_monitor conf;
	struct announced databases[2];
	struct address_view addrs[MIRRORS_N][2];
	struct mirror_view mirrors[MIRRORS_N];
	struct view view;
};

static void set_verdict(struct verdict *verdict, enum reason reason, uint64_t since_s, const char *detail)
{
	verdict->reason = reason;
	verdict->since_s = since_s;
	snprintf(verdict->detail, sizeof(verdict->detail), "%s", detail);
}

static void fixture_init(struct fixture *fixture)
{
	memset(fixture, 0, sizeof(*fixture));
	pool_fixture_init(&fixture->pool, mirrors_text, "");
	fixture->conf =
	        (struct conf_monitor){ .name = "mon1", .feed_valid_s = 7200, .pool = &fixture->pool.conf };
	fixture->conf.announce.enabled = true;
	for (size_t i = 0; i < MIRRORS_N; i++) {
		const struct mirror *mirror = &fixture->pool.pool->mirrors[i];
		for (size_t k = 0; k < mirror->addrs_n; k++)
			fixture->addrs[i][k].addr = mirror->addrs[k];
		fixture->mirrors[i] = (struct mirror_view){ .host = mirror->host,
			                                    .addrs = fixture->addrs[i],
			                                    .addrs_n = mirror->addrs_n,
			                                    .number = i,
			                                    .ramp_permille = 1000 };
	}
	set_verdict(&fixture->mirrors[M_OUT].verdict, REASON_HTTP_ERROR, NOW_S - 2 * HOUR,
	            "404 for daily.cvd");
	set_verdict(&fixture->addrs[M_OUT][0].verdict, REASON_HTTP_ERROR, NOW_S - 2 * HOUR, "404");
	set_verdict(&fixture->addrs[M_OUT][1].verdict, REASON_UNREACHABLE, NOW_S - 3 * HOUR, "timeout");
	set_verdict(&fixture->addrs[M_HALF][1].verdict, REASON_OLD, NOW_S - HOUR, "49 h behind");
	set_verdict(&fixture->mirrors[M_UNSYNCED].verdict, REASON_OUT_OF_SYNC, NOW_S - 60, "daily 26000");
	set_verdict(&fixture->addrs[M_UNSYNCED][0].verdict, REASON_WRONG_CONTENT, NOW_S - HOUR, "HTML");
	set_verdict(&fixture->addrs[M_UNSYNCED][1].verdict, REASON_LATE, NOW_S - HOUR, "a day");
	fixture->mirrors[M_RAMPING].ramp_permille = 123;
	fixture->mirrors[M_RAMPING].ramp_from_s = NOW_S - 2 * HOUR;
	fixture->mirrors[M_RAMPING].ramp_full_s = NOW_S + 8 * HOUR;
	fixture->mirrors[M_RAMPED].ramp_permille = 100;
	fixture->mirrors[M_RAMPED].ramp_from_s = NOW_S - 2 * HOUR;
	fixture->mirrors[M_RAMPED].ramp_full_s = NOW_S;
	/* The mirror itself says nothing, but all its addresses are out. */
	set_verdict(&fixture->addrs[M_SILENT][0].verdict, REASON_REFUSED, NOW_S - 5, "403");
	set_verdict(&fixture->addrs[M_SILENT][1].verdict, REASON_SLOW, NOW_S - 7, "12 s");
	fixture->databases[0] = (struct announced){ .name = "daily", .version = 27500 };
	fixture->databases[1] = (struct announced){ .name = "main" };
	fixture->view = (struct view){ .conf = &fixture->conf,
		                       .pool = fixture->pool.pool,
		                       .now_s = NOW_S,
		                       .serial = 42,
		                       .self_ok = true,
		                       .mirrors = fixture->mirrors,
		                       .mirrors_n = MIRRORS_N,
		                       .databases = fixture->databases,
		                       .databases_n = 2,
		                       .verified_s = NOW_S - 30 };
}

static void fixture_fini(struct fixture *fixture)
{
	pool_fixture_fini(&fixture->pool);
}

/* As dnsd reads it, which must have nothing to say about it. */
static struct feed *feed_of(const struct view *view)
{
	struct diag diag;
	struct feed *feed = NULL;
	size_t len = 0;
	char *text = feed_format(view, &len);
	assert_non_null(text);
	assert_int_equal(strlen(text), len);
	assert_int_equal(text[len - 1], '\n');
	for (size_t i = 0; i < len; i++)
		assert_true(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
	diag_init(&diag);
	int rc = feed_parse(text, len, "feed", "test", view->now_s, &diag, &feed);
	if (diag.messages_n)
		fail_msg("%s\n%s", diag.messages[0].text, text);
	assert_int_equal(rc, 0);
	diag_fini(&diag);
	free(text);
	return feed;
}

static void test_feed_head(void **state)
{
	(void)state;
	struct fixture fixture;
	fixture_init(&fixture);
	struct feed *feed = feed_of(&fixture.view);
	assert_string_equal(feed->pool, "test");
	assert_int_equal(feed->serial, 42);
	assert_int_equal(feed->generated_s, NOW_S);
	assert_int_equal(feed->valid_until_s, NOW_S + 7200);
	assert_string_equal(feed->monitor, "mon1");
	assert_int_equal(feed->versions_n, 1);
	assert_string_equal(feed->versions[0].database, "daily");
	assert_int_equal(feed->versions[0].version, 27500);
	assert_int_equal(feed->versions_verified_s, NOW_S - 30);
	feed_unref(feed);
	fixture_fini(&fixture);
}

static void test_feed_state(void **state)
{
	(void)state;
	struct fixture fixture;
	fixture_init(&fixture);
	struct feed *feed = feed_of(&fixture.view);
	struct pool_state pool = pool_fixture_state(fixture.pool.pool, feed, NULL, NOW_S);
	const struct mirror_state *mirrors = pool.mirrors;
	assert_int_equal(pool.out_n, 3);

	assert_int_equal(mirrors[M_IN].reason, REASON_NONE);
	assert_null(mirrors[M_IN].addr_reasons);
	assert_int_equal(mirrors[M_IN].permille, 1000);

	assert_int_equal(mirrors[M_OUT].reason, REASON_HTTP_ERROR);
	assert_int_equal(mirrors[M_OUT].since_s, NOW_S - 2 * HOUR);
	assert_string_equal(mirrors[M_OUT].detail, "404 for daily.cvd");
	assert_int_equal(mirrors[M_OUT].addr_reasons[0], REASON_NONE);
	assert_int_equal(mirrors[M_OUT].addr_reasons[1], REASON_UNREACHABLE);

	assert_int_equal(mirrors[M_HALF].reason, REASON_NONE);
	assert_int_equal(mirrors[M_HALF].addr_reasons[0], REASON_NONE);
	assert_int_equal(mirrors[M_HALF].addr_reasons[1], REASON_OLD);
	assert_string_equal(mirrors[M_HALF].detail, "49 h behind");
	assert_true(pool_state_is_in(fixture.pool.pool, &pool, M_HALF));

	/* Taken back when too few are left, but never with the address of wrong content. */
	assert_int_equal(mirrors[M_UNSYNCED].reason, REASON_OUT_OF_SYNC);
	assert_int_equal(mirrors[M_UNSYNCED].addr_reasons[0], REASON_WRONG_CONTENT);
	assert_int_equal(mirrors[M_UNSYNCED].addr_reasons[1], REASON_NONE);

	/* Two of ten steps from 123. */
	assert_int_equal(mirrors[M_RAMPING].permille, 123 + 877 * 2 / 10);
	assert_int_equal(mirrors[M_RAMPED].permille, 1000);

	assert_int_equal(mirrors[M_SILENT].reason, REASON_SLOW);
	assert_string_equal(mirrors[M_SILENT].detail, "12 s");
	assert_int_equal(mirrors[M_SILENT].addr_reasons[0], REASON_REFUSED);
	pool_state_fini(&pool);
	feed_unref(feed);
	fixture_fini(&fixture);
}

/* Whatever the verdicts: each address is out in dnsd by the worse of its own and its mirror's. */
static void test_feed_of_any_view(void **state)
{
	(void)state;
	struct fixture fixture;
	uint64_t random = 5;
	fixture_init(&fixture);
	for (int round = 0; round < 1000; round++) {
		for (size_t i = 0; i < MIRRORS_N; i++) {
			struct mirror_view *mirror = &fixture.mirrors[i];
			mirror->verdict.reason =
			        random_below(&random, 3) ? 0 : random_below(&random, REASON_N);
			mirror->ramp_permille =
			        random_below(&random, 2) ? 1000 : 1 + random_below(&random, 999);
			mirror->ramp_from_s = NOW_S;
			mirror->ramp_full_s = NOW_S + 1 + random_below(&random, 9999);
			for (size_t k = 0; k < mirror->addrs_n; k++)
				fixture.addrs[i][k].verdict.reason =
				        random_below(&random, 2) ? 0 : random_below(&random, REASON_N);
		}
		struct feed *feed = feed_of(&fixture.view);
		struct pool_state pool = pool_fixture_state(fixture.pool.pool, feed, NULL, NOW_S);
		for (size_t i = 0; i < MIRRORS_N; i++) {
			const struct mirror_state *got = &pool.mirrors[i];
			bool is_in = false;
			for (size_t k = 0; k < fixture.mirrors[i].addrs_n; k++) {
				enum reason whole = fixture.mirrors[i].verdict.reason;
				enum reason own = fixture.addrs[i][k].verdict.reason;
				enum reason addr = got->addr_reasons ? got->addr_reasons[k] : REASON_NONE;
				assert_int_equal(addr > got->reason ? addr : got->reason,
				                 own > whole ? own : whole);
				is_in |= own == REASON_NONE && whole == REASON_NONE;
			}
			assert_int_equal(got->reason == REASON_NONE, is_in);
			if (is_in)
				assert_int_equal(got->permille, fixture.mirrors[i].ramp_permille);
		}
		pool_state_fini(&pool);
		feed_unref(feed);
	}
	fixture_fini(&fixture);
}

/* What dnsd would rather not read is left out; what a mirror wrote is made harmless. */
static void test_feed_edges(void **state)
{
	(void)state;
	struct fixture fixture;
	fixture_init(&fixture);
	struct view *view = &fixture.view;

	view->verified_s = 0;
	struct feed *feed = feed_of(view);
	assert_int_equal(feed->versions_n, 0);
	feed_unref(feed);
	view->verified_s = NOW_S;
	fixture.conf.announce.enabled = false;
	feed = feed_of(view);
	assert_int_equal(feed->versions_n, 0);
	feed_unref(feed);

	/* A mirror that is out has no weight; a rise without an end, or one of nothing, is still one. */
	set_verdict(&fixture.mirrors[M_RAMPING].verdict, REASON_ADMIN, 0, "");
	fixture.mirrors[M_RAMPED] =
	        (struct mirror_view){ .host = "ramped.fr", .addrs = fixture.addrs[M_RAMPED], .addrs_n = 1 };
	feed = feed_of(view);
	assert_int_equal(feed->weights_n, 1);
	assert_string_equal(feed->weights[0].host, "ramped.fr");
	assert_int_equal(feed->weights[0].permille, 1);
	assert_int_equal(feed->weights[0].from_s, NOW_S);
	assert_int_equal(feed->weights[0].full_s, 0);
	feed_unref(feed);

	set_verdict(&fixture.addrs[M_HALF][1].verdict, REASON_LATE, 0, "\x1b[31m\"\\\n\xff\xc3\xa4</b>");
	feed = feed_of(view);
	size_t found_n = 0;
	for (size_t i = 0; i < feed->exclusions_n; i++) {
		const struct feed_exclusion *exclusion = &feed->exclusions[i];
		if (exclusion->reason != REASON_LATE)
			continue;
		assert_string_equal(exclusion->detail, "?[31m\"\\???"
		                                       "?</b>");
		assert_int_equal(exclusion->since_s, 0);
		found_n++;
	}
	assert_int_equal(found_n, 1);
	feed_unref(feed);

	view->mirrors_n = 0;
	feed = feed_of(view);
	assert_int_equal(feed->exclusions_n, 0);
	feed_unref(feed);
	fixture_fini(&fixture);
}

/* ---- Votes. */

static void check_opinion(const struct vote *vote, const char *address, enum reason reason, uint64_t since_s,
                          const char *detail)
{
	struct addr addr;
	assert_int_equal(addr_parse(address, &addr), 0);
	struct opinion opinion = vote_find(vote, &addr);
	assert_int_equal(opinion.reason, reason);
	assert_int_equal(opinion.since_s, since_s);
	assert_true((opinion.detail == NULL) == (detail == NULL));
	if (detail)
		assert_string_equal(opinion.detail, detail);
}

static void set_standing(struct standing *standing, enum reason reason, uint64_t since_s, const char *detail)
{
	standing->reason = reason;
	standing->since_s = since_s;
	snprintf(standing->detail, sizeof(standing->detail), "%s", detail);
}

/* Our own opinions, not what the votes came to. */
static void test_vote_comes_back(void **state)
{
	(void)state;
	struct fixture fixture;
	struct diag diag;
	struct vote *vote = NULL;
	size_t len = 0;
	fixture_init(&fixture);
	set_standing(&fixture.addrs[M_RAMPED][0].standing, REASON_UNREACHABLE, NOW_S - 100,
	             "no \"route\"\x7f");
	set_standing(&fixture.addrs[M_HALF][1].standing, REASON_WRONG_CONTENT, NOW_S - 200, "");
	set_standing(&fixture.addrs[M_IN][0].standing, REASON_OLD, NOW_S - 300, "old");
	for (int self_ok = 0; self_ok < 2; self_ok++) {
		fixture.view.self_ok = self_ok;
		char *text = vote_format(&fixture.view, &len);
		assert_non_null(text);
		assert_int_equal(strlen(text), len);
		diag_init(&diag);
		int rc = vote_parse(text, len, "vote", "test", NOW_S, &diag, &vote);
		if (diag.messages_n)
			fail_msg("%s\n%s", diag.messages[0].text, text);
		assert_int_equal(rc, 0);
		assert_string_equal(vote->monitor, "mon1");
		assert_int_equal(vote->generated_s, NOW_S);
		assert_int_equal(vote->self_ok, self_ok);
		assert_int_equal(vote->entries_n, 3);
		check_opinion(vote, "192.0.2.6", REASON_UNREACHABLE, NOW_S - 100, "no \"route\"?");
		check_opinion(vote, "2001:db8::3", REASON_WRONG_CONTENT, NOW_S - 200, NULL);
		check_opinion(vote, "192.0.2.1", REASON_OLD, NOW_S - 300, "old");
		check_opinion(vote, "192.0.2.2", REASON_NONE, 0, NULL);
		check_opinion(vote, "2001:db8::", REASON_NONE, 0, NULL);
		vote_destroy(vote);
		diag_fini(&diag);
		free(text);
	}
	fixture_fini(&fixture);
}

#define HEAD                                                                                                 \
	"{ \"format\": 1, \"kind\": \"vote\", \"pool\": \"test\", \"monitor\": \"b\", \"generated\": "       \
	"1795000000, \"self-ok\": true, \"opinions\": [ "
#define ENTRY(address, reason)                                                                               \
	"{ \"mirror\": \"m\", \"address\": \"" address "\", \"reason\": \"" reason "\" }"

static const struct {
	const char *text;
	const char *want; /* the first message, without "; this vote is refused" where it is */
} bad_votes[] = {
	{ "", "vote:1: no JSON, or cut off: '[' or '{' expected near end of file" },
	{ "[ ]", "vote: no JSON object" },
	{ "{\n\"format\": 1,\n", "vote:3: no JSON, or cut off: string or '}' expected near end of file" },
	{ "{ \"format\": 1, \"format\": 1 }",
	  "vote:1: no JSON, or cut off: duplicate object key near '\"format\"'" },
	{ "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", "vote: brackets deeper than 16: this is no vote" },
	{ "{ }", "vote: \"format\" is not 1, the only one there is" },
	{ "{ \"format\": \"1\" }", "vote: \"format\" is not 1, the only one there is" },
	{ "{ \"format\": 1 }", "vote: \"kind\" is not \"vote\"" },
	{ "{ \"format\": 1, \"kind\": 3 }", "vote: \"kind\" is no text" },
	{ "{ \"format\": 1, \"kind\": \"vote\" }", "vote: it is for pool \"\", this is pool \"test\"" },
	{ "{ \"format\": 1, \"kind\": \"vote\", \"pool\": \"o\\u001b\" }",
	  "vote: it is for pool \"o?\", this is pool \"test\"" },
	{ "{ \"format\": 1, \"kind\": \"vote\", \"pool\": \"test\", \"monitor\": \"\" }",
	  "vote: no \"monitor\": up to 127 characters of printable ASCII" },
	{ "{ \"format\": 1, \"kind\": \"vote\", \"pool\": \"test\", \"monitor\": \"m\\n\" }",
	  "vote: no \"monitor\": up to 127 characters of printable ASCII" },
	{ "{ \"format\": 1, \"kind\": \"vote\", \"pool\": \"test\", \"monitor\": \"b\", \"self-ok\": 1 }",
	  "vote: \"self-ok\" is neither true nor false" },
	{ "{ \"format\": 1, \"kind\": \"vote\", \"pool\": \"test\", \"monitor\": \"b\", \"self-ok\": true }",
	  "vote: no \"generated\": when was it made?" },
	{ "{ \"format\": 1, \"kind\": \"vote\", \"pool\": \"test\", \"monitor\": \"b\", \"self-ok\": true, "
	  "\"generated\": \"noon\" }",
	  "vote: \"generated\" is no time; write \"2026-11-21T07:00:00Z\" or seconds since 1970" },
	{ "{ \"format\": 1, \"kind\": \"vote\", \"pool\": \"test\", \"monitor\": \"b\", \"self-ok\": true, "
	  "\"generated\": 1795000301 }",
	  "vote: it was generated in the future: a wrong clock" },
	{ "{ \"format\": 1, \"kind\": \"vote\", \"pool\": \"test\", \"monitor\": \"b\", \"self-ok\": true, "
	  "\"generated\": 1795000300 }",
	  "vote: no list \"opinions\"" },
	{ HEAD "7 ] }", "vote: entry 1 of \"opinions\" is no object" },
	{ HEAD "{ } ] }", "vote: entry 1 of \"opinions\" needs \"mirror\", \"address\" and \"reason\"" },
	{ HEAD ENTRY("192.0.2.1", "late") ", { \"mirror\": [ ] } ] }",
	  "vote: entry 2 of \"opinions\": \"mirror\" is no text" },
	{ HEAD "{ \"mirror\": \"m\", \"address\": \"::1\", \"reason\": \"late\", \"since\": true } ] }",
	  "vote: entry 1 of \"opinions\": \"since\" is no time" },
	{ HEAD ENTRY("192.0.2.1", "late") "," ENTRY("::1", "old") "," ENTRY("192.0.2.1", "old") " ] }",
	  "vote: \"opinions\" has address 192.0.2.1 twice" },
};

static void test_bad_votes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad_votes); i++) {
		struct diag diag;
		struct vote *vote = NULL;
		char want[512];
		diag_init(&diag);
		int rc = vote_parse(bad_votes[i].text, strlen(bad_votes[i].text), "vote", "test", NOW_S,
		                    &diag, &vote);
		snprintf(want, sizeof(want), "%s; this vote is refused", bad_votes[i].want);
		if (rc != -EINVAL || vote || diag.errors_n != 1 ||
		    strcmp(diag.messages[diag.messages_n - 1].text, want) != 0)
			fail_msg("%s: got\n%s\nwant\n%s", bad_votes[i].text,
			         diag.messages_n ? diag.messages[diag.messages_n - 1].text : "nothing", want);
		diag_fini(&diag);
	}
	char *large = calloc(1, VOTE_BYTES_MAX + 1);
	struct diag diag;
	struct vote *vote = NULL;
	assert_non_null(large);
	memset(large, ' ', VOTE_BYTES_MAX + 1);
	diag_init(&diag);
	assert_int_equal(vote_parse(large, VOTE_BYTES_MAX + 1, "vote", "test", NOW_S, &diag, &vote), -EINVAL);
	assert_string_equal(diag.messages[0].text,
	                    "vote: it is larger than 4194304 bytes; this vote is refused");
	diag_fini(&diag);
	free(large);
}

/* Entries nobody understands do not spoil the rest. */
static void test_vote_warnings(void **state)
{
	(void)state;
	static const char text[] = HEAD ENTRY("192.0.2.1", "tired\\u0007") "," ENTRY(
	        "m1.example", "late") ","
	                              "{ \"mirror\": \"m\", \"address\": \"192.0.2.9\", \"reason\": "
	                              "\"slow\", \"since\": 1795009999, "
	                              "\"colour\": 1 } ] }";
	static const char *const want[] = {
		"vote: entry 1 of \"opinions\": unknown reason \"tired?\"; it is ignored",
		"vote: entry 2 of \"opinions\": no address: \"m1.example\"; it is ignored",
		"vote: unknown key \"colour\" is ignored",
	};
	struct diag diag;
	struct vote *vote = NULL;
	diag_init(&diag);
	assert_int_equal(vote_parse(text, strlen(text), "vote", "test", NOW_S, &diag, &vote), 0);
	assert_int_equal(diag.messages_n, COUNT(want));
	for (size_t i = 0; i < COUNT(want); i++)
		assert_string_equal(diag.messages[i].text, want[i]);
	assert_int_equal(vote->entries_n, 1);
	/* A time to come is none. */
	check_opinion(vote, "192.0.2.9", REASON_SLOW, NOW_S, NULL);
	vote_destroy(vote);
	diag_fini(&diag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_feed_head),        cmocka_unit_test(test_feed_state),
		cmocka_unit_test(test_feed_of_any_view), cmocka_unit_test(test_feed_edges),
		cmocka_unit_test(test_vote_comes_back),  cmocka_unit_test(test_bad_votes),
		cmocka_unit_test(test_vote_warnings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
