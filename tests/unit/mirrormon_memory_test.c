/* Memory runs out in mirrormon: its configuration, feed and votes are then whole, or not there at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mirrormon/publish.h"
#include "tests/unit/failing/failing.h"

#define NOW_S 1795000000

static const char conf_text[] =
        "monitor: { pool = \"p\"; mirrors = \"m\"; feed = \"f\"; references-quorum = 1; };\n"
        "checks: { databases = [ \"daily\" ]; };\n"
        "references = ( { url = \"http://a.example\"; } );\n"
        "votes: { others = [ \"b\", \"https://c.example/v\" ]; };\n"
        "metrics: { listen = \"127.0.0.1\"; };\n";

static const char vote_text[] =
        "{ \"format\": 1, \"kind\": \"vote\", \"pool\": \"p\", \"monitor\": \"b\", \"generated\": "
        "1795000000,\n"
        "  \"self-ok\": true, \"opinions\": [\n"
        "  { \"mirror\": \"m\", \"address\": \"::1\", \"reason\": \"late\", \"detail\": \"d\" },\n"
        "  { \"mirror\": \"m\", \"address\": \"::2\", \"reason\": \"old\" } ] }\n";

static void test_conf(void **state)
{
	(void)state;
	bool done = false;
	unsigned failed_n = 0;
	for (uint64_t nth = 1; !done; nth++) {
		struct diag diag;
		struct conf_monitor *conf = NULL;
		diag_init(&diag);
		failing_start(nth);
		int rc = conf_monitor_load_text("d/conf", conf_text, strlen(conf_text), &diag, &conf);
		done = failing_stop() < nth;
		assert_true((rc == 0) == (conf != NULL));
		assert_true(rc == 0 || !done);
		failed_n += rc < 0;
		if (conf) {
			assert_int_equal(conf->checks.hosts_n, 2);
			assert_int_equal(conf->votes.others_n, 2);
			assert_string_equal(conf->votes.others[0], "d/b");
			assert_non_null(conf->name);
		}
		conf_monitor_destroy(conf);
		diag_fini(&diag);
	}
	assert_true(failed_n > 5);
}

static void test_vote_parse(void **state)
{
	(void)state;
	bool done = false;
	unsigned failed_n = 0;
	for (uint64_t nth = 1; !done; nth++) {
		struct diag diag;
		struct vote *vote = NULL;
		diag_init(&diag);
		failing_start(nth);
		int rc = vote_parse(vote_text, strlen(vote_text), "vote", "p", NOW_S, &diag, &vote);
		done = failing_stop() < nth;
		assert_true((rc == 0) == (vote != NULL));
		assert_true(rc == 0 || !done);
		failed_n += rc < 0;
		if (vote)
			assert_int_equal(vote->entries_n, 2);
		vote_destroy(vote);
		diag_fini(&diag);
	}
	assert_true(failed_n > 3);
}

/* What is written is what is written with memory enough: an exclusion that is left out brings a mirror back.
 */
static void test_formats(void **state)
{
	(void)state;
	struct conf_pool pool = { .name = "p" };
	struct conf_monitor conf = { .name = "mon", .pool = &pool, .announce = { .enabled = true } };
	struct announced database = { .name = "daily", .version = 3 };
	struct address_view addr = { .verdict = { .reason = REASON_OLD, .detail = "d" },
		                     .standing = { .reason = REASON_LATE, .since_s = 5 } };
	struct mirror_view mirrors[] = {
		{ .host = "m1", .addrs = &addr, .addrs_n = 1 },
		{ .host = "m2", .ramp_permille = 10, .ramp_full_s = NOW_S + 9 },
	};
	struct view view = { .conf = &conf,
		             .now_s = NOW_S,
		             .serial = 1,
		             .verified_s = NOW_S,
		             .mirrors = mirrors,
		             .mirrors_n = 2,
		             .databases = &database,
		             .databases_n = 1 };
	char *(*const formats[])(const struct view *, size_t *) = { feed_format, vote_format };
	assert_int_equal(addr_parse("192.0.2.1", &addr.addr), 0);
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		bool done = false;
		unsigned failed_n = 0;
		size_t len = 0;
		char *want = formats[i](&view, &len);
		assert_non_null(want);
		for (uint64_t nth = 1; !done; nth++) {
			failing_start(nth);
			char *text = formats[i](&view, &len);
			done = failing_stop() < nth;
			assert_true(text || !done);
			failed_n += text == NULL;
			if (text)
				assert_string_equal(text, want);
			free(text);
		}
		assert_true(failed_n > 0);
		free(want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conf),
		cmocka_unit_test(test_vote_parse),
		cmocka_unit_test(test_formats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
