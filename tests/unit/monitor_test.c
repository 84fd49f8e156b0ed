/* The running monitor, file by file: schedule, self-test, judgement, over a mirror of its own on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/utc.h"
#include "mirrormon/quote.h"
#include "tests/unit/support/log_notes.h"
#include "tests/unit/support/monitor_fixture.h"

#define HOUR_MS 3600000U

static const struct http_fake_answer busy = { .text = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" };

static void test_one_failure_is_not_out_of_sync(void **state)
{
	struct monitor_fixture *fx = *state;
	struct watched *first;
	char path[64];
	monitor_fixture_begin_well(fx);
	first = fx->monitor.watched[0];
	/* Its version was seen, its patch was not. */
	http_fake_script(fx->fake, checker_fixture_cdiff(DAILY, path), &busy);
	monitor_fixture_check(first, false);
	http_fake_script(fx->fake, path, NULL);
	monitor_fixture_self_test(fx);
	assert_int_equal(first->standing.failures_n, 1);
	monitor_judge(&fx->monitor);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
	assert_int_equal(first->last.reason, REASON_HTTP_ERROR);
}

static void test_start_with_one_failure(void **state)
{
	struct monitor_fixture *fx = *state;
	monitor_fixture_use_reference(fx);
	monitor_fixture_watch(fx);
	/* As a start knows it from the last run. */
	fx->monitor.databases[1].version = DAILY;
	http_fake_script(fx->fake, NULL, &busy);
	http_fake_script(fx->fake, "/timestamp", &busy);
	monitor_fixture_check(fx->monitor.watched[0], false);
	http_fake_script(fx->fake, NULL, NULL);
	http_fake_script(fx->fake, "/timestamp", NULL);
	for (size_t i = 1; i < fx->monitor.watched_n; i++)
		monitor_fixture_check(fx->monitor.watched[i], false);
	monitor_fixture_self_test(fx);
	while (fx->monitor.watched[0]->held_ms)
		monitor_fixture_self_test(fx);
	assert_int_equal(fx->monitor.watched[0]->standing.failures_n, 1);
	monitor_judge(&fx->monitor);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
}

static void test_databases_move(void **state)
{
	(void)state;
	const char *daily[] = { "daily" };
	const char *both[] = { "main", "daily" };
	const struct conf_checks one = {
		.databases = daily, .databases_n = 1, .patched = "daily", .cdiffs = 2
	};
	const struct conf_checks two = {
		.databases = both, .databases_n = 2, .patched = "daily", .cdiffs = 9
	};
	const struct conf_checks no_patches = { .databases = daily, .databases_n = 1, .patched = "daily" };
	struct seen_database seen[MODEL_DATABASES_MAX] = { { .version = 7, .cdiffs = 3 } };
	monitor_move_databases(&one, &two, seen);
	assert_int_equal(seen[0].version, 0);
	assert_int_equal(seen[1].version, 7);
	assert_int_equal(seen[1].cdiffs, 3);
	monitor_move_databases(&two, &no_patches, seen);
	assert_int_equal(seen[0].version, 7);
	assert_int_equal(seen[1].version, 0);
	/* Nobody has looked for patches: that none were seen says nothing. */
	monitor_move_databases(&no_patches, &one, seen);
	assert_int_equal(seen[0].version, 0);
}

static void test_failing_looks_do_not_starve(void **state)
{
	struct monitor_fixture *fx = *state;
	struct watched *first;
	monitor_fixture_begin_well(fx);
	first = fx->monitor.watched[0];
	uint64_t due_ms = first->due_ms;
	assert_true(uv_timer_get_due_in(&first->timer) > HOUR_MS - 60000);
	monitor_fixture_check(first, true);
	assert_true(first->due_ms == due_ms);
	http_fake_script(fx->fake, NULL, &busy);
	http_fake_script(fx->fake, "/main.cvd", &busy);
	monitor_fixture_check(first, true);
	assert_true(first->held_ms);
	/* Nothing is asked before it is clear what that was. */
	watched_check(first, false);
	assert_false(first->busy);
	http_fake_script(fx->fake, NULL, NULL);
	http_fake_script(fx->fake, "/main.cvd", NULL);
	do
		monitor_fixture_self_test(fx);
	while (first->held_ms);
	/* The whole check is nearer than it was, and stays there, however often a look fails. */
	uint64_t retry_ms = fx->monitor.settings->conf->checks.retry_ms;
	due_ms = first->due_ms;
	assert_true(due_ms <= uv_now(&fx->monitor.loop) + retry_ms);
	http_fake_script(fx->fake, "/main.cvd", &busy);
	monitor_fixture_check(first, true);
	http_fake_script(fx->fake, "/main.cvd", NULL);
	do
		monitor_fixture_self_test(fx);
	while (first->held_ms);
	assert_true(first->due_ms == due_ms);
	assert_true(uv_timer_get_due_in(&first->timer) <= retry_ms);
}

static void test_own_outage_counts_for_nobody(void **state)
{
	struct monitor_fixture *fx = *state;
	struct watched *first;
	monitor_fixture_begin_well(fx);
	first = fx->monitor.watched[0];
	http_fake_script(fx->fake, "/timestamp", &busy);
	for (unsigned i = 0; i < 4; i++) {
		monitor_fixture_check(first, false);
		do
			monitor_fixture_self_test(fx);
		while (first->held_ms);
	}
	assert_false(fx->monitor.self_ok);
	assert_int_equal(first->standing.failures_n, 0);
	assert_int_equal(fx->monitor.dropped_n, 4);
	assert_int_equal(fx->monitor.unchecked_n, 0);
	/* Soon again, not in an hour: nothing is known of it. */
	assert_true(uv_timer_get_due_in(&first->timer) <= fx->monitor.settings->conf->checks.retry_ms);
	http_fake_script(fx->fake, "/timestamp", NULL);
	monitor_fixture_self_test(fx);
	monitor_judge(&fx->monitor);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
}

static void test_own_outage_without_references(void **state)
{
	struct monitor_fixture *fx = *state;
	monitor_fixture_watch(fx);
	monitor_fixture_check_all(fx);
	monitor_judge(&fx->monitor);
	assert_true(fx->monitor.self_ok);
	http_fake_script(fx->fake, "/timestamp", &busy);
	for (unsigned i = 0; i < 6; i++) {
		for (size_t k = 0; k < MONITOR_FIXTURE_N; k++)
			monitor_fixture_check(fx->monitor.watched[k], false);
		monitor_judge(&fx->monitor);
	}
	assert_false(fx->monitor.self_ok);
	/* It is over: who was not looked at meanwhile is as good as before. */
	http_fake_script(fx->fake, "/timestamp", NULL);
	for (size_t k = 0; k < MONITOR_FIXTURE_N; k++)
		monitor_fixture_check(fx->monitor.watched[k], false);
	monitor_judge(&fx->monitor);
	assert_true(fx->monitor.self_ok);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
	/* One of four alone is its own fault. */
	http_fake_script(fx->fake, "/timestamp", &busy);
	for (unsigned i = 0; i < 3; i++) {
		monitor_fixture_check(fx->monitor.watched[0], false);
		monitor_judge(&fx->monitor);
	}
	assert_int_equal(monitor_fixture_out_n(fx), 1);
}

static void test_who_joins(void **state)
{
	struct monitor_fixture *fx = *state;
	/* Of a run before whose standings are lost: a serial, and nothing else. */
	history_set_number(fx->monitor.history, "serial", 1795000000);
	monitor_fixture_watch(fx);
	for (size_t i = 0; i < MONITOR_FIXTURE_N; i++)
		assert_int_equal(fx->monitor.watched[i]->standing.reason, REASON_NONE);
	assert_int_equal(fx->monitor.unchecked_n, MONITOR_FIXTURE_N);
	fx->monitor.settings->pool->mirrors_n++;
	fx->monitor.settings->conf->pool->mirrors_n++;
	monitor_fixture_watch(fx);
	assert_int_equal(fx->monitor.watched_n, MONITOR_FIXTURE_N + 1);
	assert_int_equal(fx->monitor.watched[0]->standing.reason, REASON_NONE);
	assert_int_equal(fx->monitor.watched[MONITOR_FIXTURE_N]->standing.reason, REASON_OUT_OF_SYNC);
	assert_int_equal(fx->monitor.watched[MONITOR_FIXTURE_N]->verdict.reason, REASON_OUT_OF_SYNC);
	assert_int_equal(fx->monitor.unchecked_n, MONITOR_FIXTURE_N + 1);
}

/* Checks are under way while their mirrors leave, and the monitor ends: all is freed, nothing counted twice.
 */
static void test_leaving(void **state)
{
	struct monitor_fixture *fx = *state;
	static const struct http_fake_answer hang = { .text = "HTTP/1.1 200 OK\r\n", .then = HTTP_FAKE_HANG };
	monitor_fixture_watch(fx);
	http_fake_script(fx->fake, "/timestamp", &hang);
	for (size_t i = 0; i < MONITOR_FIXTURE_N; i++)
		watched_check(fx->monitor.watched[i], false);
	while (http_fake_counts(fx->fake).requests_n < MONITOR_FIXTURE_N)
		assert_true(uv_run(&fx->monitor.loop, UV_RUN_ONCE) != 0);
	fx->monitor.settings->pool->mirrors_n -= 2;
	assert_int_equal(monitor_watch_pool(&fx->monitor), 0);
	assert_int_equal(fx->monitor.watched_n, MONITOR_FIXTURE_N - 2);
	assert_int_equal(fx->monitor.unchecked_n, MONITOR_FIXTURE_N - 2);
	assert_non_null(fx->monitor.leaving);
}

static void test_clock_goes_back(void **state)
{
	struct monitor_fixture *fx = *state;
	monitor_fixture_begin_well(fx);
	struct watched *first = fx->monitor.watched[0];
	uint64_t now_s = utc_now();
	/* As if the clock had been a day ahead till now. */
	first->held = (struct check_result){ .at_s = now_s + 86400, .reason = REASON_UNREACHABLE };
	first->held_ms = uv_now(&fx->monitor.loop);
	fx->monitor.databases[0].ready = 63;
	fx->monitor.databases[0].ready_since_s = now_s - 86400;
	fx->monitor.wall_s = now_s + 86400;
	monitor_judge(&fx->monitor);
	assert_false(fx->monitor.self_ok);
	assert_true(fx->monitor.databases[0].ready_since_s >= now_s);
	do
		monitor_fixture_self_test(fx);
	while (first->held_ms);
	assert_int_equal(first->standing.failures_n, 1);
	assert_true(first->standing.checked_s <= utc_now());
	monitor_fixture_check(first, false);
	assert_int_equal(first->standing.failures_n, 0);
}

static struct vote *make_vote(const char *monitor, const struct addr *addr)
{
	char text[512], now[UTC_TEXT_MAX], address[ADDR_TEXT_MAX];
	struct diag diag;
	struct vote *vote = NULL;
	diag_init(&diag);
	int len = snprintf(text, sizeof(text),
	                   "{ \"format\": 1, \"kind\": \"vote\", \"pool\": \"p\", \"monitor\": \"%s\", "
	                   "\"generated\": \"%s\", \"self-ok\": true, \"opinions\": [ { \"mirror\": \"m\", "
	                   "\"address\": \"%s\", \"reason\": \"late\" } ] }",
	                   monitor, utc_format(utc_now(), now), addr_format(addr, address, sizeof(address)));
	assert_int_equal(vote_parse(text, (size_t)len, "vote", "p", utc_now(), &diag, &vote), 0);
	diag_fini(&diag);
	return vote;
}

static void use_others(struct monitor_fixture *fx, const char *first, const char *second)
{
	fx->others[0] = first;
	fx->others[1] = second;
	fx->monitor.settings->conf->votes.others = fx->others;
	fx->monitor.settings->conf->votes.others_n = fx->monitor.colleagues_n = 2;
	fx->monitor.colleagues = calloc(2, sizeof(*fx->monitor.colleagues));
	assert_non_null(fx->monitor.colleagues);
	for (size_t i = 0; i < 2; i++)
		fx->monitor.colleagues[i].source = fx->others[i];
}

static void test_one_voice_one_vote(void **state)
{
	struct monitor_fixture *fx = *state;
	monitor_fixture_begin_well(fx);
	use_others(fx, "a", "b");
	fx->monitor.colleagues[0].vote = make_vote("other", &fx->addrs[0]);
	fx->monitor.colleagues[1].vote = make_vote("other", &fx->addrs[0]);
	monitor_judge(&fx->monitor);
	assert_int_equal(fx->monitor.view->mirrors[0].addrs[0].verdict.votes_n, 2);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
	vote_destroy(fx->monitor.colleagues[1].vote);
	fx->monitor.colleagues[1].vote = make_vote("me", &fx->addrs[0]);
	monitor_judge(&fx->monitor);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
	assert_non_null(strstr(fx->monitor.view->monitors[1].detail, "our own name"));
	vote_destroy(fx->monitor.colleagues[1].vote);
	fx->monitor.colleagues[1].vote = make_vote("third", &fx->addrs[0]);
	monitor_judge(&fx->monitor);
	assert_true(monitor_fixture_out_n(fx) > 0);
}

/* The others reach a mirror that we have lost: what we saw of it last says nothing of what it has by now. */
static void test_outvoted_is_not_out_of_sync(void **state)
{
	struct monitor_fixture *fx = *state;
	struct monitor *monitor = &fx->monitor;
	monitor_fixture_begin_well(fx);
	use_others(fx, "a", "b");
	const struct addr nobody = { .family = 4, .bytes = { 192, 0, 2, 1 } };
	monitor->colleagues[0].vote = make_vote("other", &nobody);
	monitor->colleagues[1].vote = make_vote("third", &nobody);
	struct watched *lost = monitor->watched[0];
	for (unsigned i = 0; i < 3; i++) {
		http_fake_script(fx->fake, "/timestamp", &busy);
		monitor_fixture_check(lost, false);
		http_fake_script(fx->fake, "/timestamp", NULL);
		while (lost->held_ms)
			monitor_fixture_self_test(fx);
	}
	assert_int_equal(lost->standing.reason, REASON_HTTP_ERROR);
	/* As if a version had come since. */
	lost->last.databases[1].version = DAILY - 1;
	monitor_judge(monitor);
	assert_int_equal(monitor->view->mirrors[0].addrs[0].verdict.votes_out, 1);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
	/* Nor does it count as one that has the version. */
	assert_int_equal(monitor->databases[1].have_n, MONITOR_FIXTURE_N - 1);
	assert_int_equal(monitor->databases[1].of_n, MONITOR_FIXTURE_N);
	/* It is seen again, on its way back with us, and lacks the version. */
	lost->standing.failures_n = 0;
	lost->standing.successes_n = 1;
	monitor_judge(monitor);
	assert_int_equal(monitor->view->mirrors[0].verdict.reason, REASON_OUT_OF_SYNC);
	/* That is not forgotten when it is lost once more: it has to show that it has it. */
	lost->standing.failures_n = 1;
	monitor_judge(monitor);
	assert_int_equal(monitor->view->mirrors[0].verdict.reason, REASON_OUT_OF_SYNC);
}

static void test_vote_by_https_ends(void **state)
{
	struct monitor_fixture *fx = *state;
	use_others(fx, "https://127.0.0.1:1/vote", "/dev/zero");
	monitor_read_votes(&fx->monitor);
	assert_true(fx->monitor.colleagues[0].busy);
	assert_string_equal(fx->monitor.colleagues[1].detail, "it is not a regular file");
	while (checker_busy_n(fx->monitor.checker))
		assert_true(uv_run(&fx->monitor.loop, UV_RUN_ONCE) != 0);
	/* Nobody is there: it is told, and tried again. */
	assert_false(fx->monitor.colleagues[0].busy);
	assert_true(fx->monitor.colleagues[0].detail[0]);
}

/* A first check that takes its time puts off what is decided, but not for long. */
static void test_first_round_ends(void **state)
{
	struct monitor_fixture *fx = *state;
	struct monitor *monitor = &fx->monitor;
	static const struct http_fake_answer hang = { .text = "HTTP/1.1 200 OK\r\n", .then = HTTP_FAKE_HANG };
	static const struct http_fake_answer refused = {
		.text = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", .host = "db.de.clamav.net"
	};
	monitor_fixture_use_reference(fx);
	monitor_fixture_watch(fx);
	uint64_t wait_ms = monitor->round_until_ms - uv_now(&monitor->loop);
	assert_true(wait_ms > 0 && wait_ms <= 10000 + 2 * monitor->settings->conf->checks.timeout_ms);
	http_fake_script(fx->fake, "/timestamp", &hang);
	watched_check(monitor->watched[0], false);
	while (http_fake_counts(fx->fake).requests_n < 1)
		assert_true(uv_run(&monitor->loop, UV_RUN_ONCE) != 0);
	http_fake_script(fx->fake, "/timestamp", &refused);
	monitor->watched[1]->turn = 0;
	monitor_fixture_check_known(fx, monitor->watched[1]);
	http_fake_script(fx->fake, "/timestamp", NULL);
	for (size_t i = 2; i < MONITOR_FIXTURE_N; i++)
		monitor_fixture_check_known(fx, monitor->watched[i]);
	assert_true(monitor->self_ok);
	monitor_judge(monitor);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
	/* Another reload is no reason to wait anew. */
	uint64_t until_ms = monitor->round_until_ms;
	monitor_fixture_watch(fx);
	assert_true(monitor->round_until_ms == until_ms);
	monitor->round_until_ms = uv_now(&monitor->loop);
	monitor_judge(monitor);
	assert_int_equal(monitor_fixture_out_n(fx), 1);
	assert_true(monitor->round_told);
}

/* Those that were seen first, of many that were not seen yet, are no quorum for a new version. */
static void test_few_seen_are_no_quorum(void **state)
{
	struct monitor_fixture *fx = *state;
	monitor_fixture_use_reference(fx);
	monitor_fixture_watch(fx);
	fx->monitor.round_until_ms = 0;
	monitor_fixture_check_known(fx, fx->monitor.watched[0]);
	monitor_fixture_self_test(fx);
	monitor_judge(&fx->monitor);
	assert_int_equal(fx->monitor.databases[1].candidate, DAILY);
	assert_int_equal(fx->monitor.databases[1].have_n, 1);
	assert_int_equal(fx->monitor.databases[1].of_n, MONITOR_FIXTURE_N);
	assert_int_equal(fx->monitor.databases[1].version, 0);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
	monitor_fixture_check_known(fx, fx->monitor.watched[1]);
	monitor_fixture_check_known(fx, fx->monitor.watched[2]);
	monitor_judge(&fx->monitor);
	assert_int_equal(fx->monitor.databases[1].version, DAILY);
	/* Who was not seen yet lacks nothing. */
	assert_int_equal(monitor_fixture_out_n(fx), 0);
}

/* Who comes again after the monitor has run for long without it begins on probation, by a restart too. */
static void test_returned_at_a_start(void **state)
{
	struct monitor_fixture *fx = *state;
	struct watched **watched;
	monitor_fixture_begin_well(fx);
	monitor_fixture_restart(fx);
	watched = fx->monitor.watched;
	for (size_t i = 0; i < MONITOR_FIXTURE_N; i++)
		assert_int_equal(watched[i]->standing.reason, REASON_NONE);
	watched[2]->standing.checked_s -= 2 * 86400;
	monitor_fixture_restart(fx);
	watched = fx->monitor.watched;
	for (size_t i = 0; i < MONITOR_FIXTURE_N; i++)
		assert_int_equal(watched[i]->standing.reason, i == 2 ? REASON_OUT_OF_SYNC : REASON_NONE);
	/* It was the monitor that was away. */
	for (size_t i = 0; i < MONITOR_FIXTURE_N; i++) {
		watched[i]->standing = (struct standing){ .checked_s = utc_now() - 30 * 86400 };
		watched[i]->verdict = (struct verdict){ 0 };
	}
	monitor_fixture_restart(fx);
	for (size_t i = 0; i < MONITOR_FIXTURE_N; i++)
		assert_int_equal(fx->monitor.watched[i]->standing.reason, REASON_NONE);
}

/* What a mirror says stays in its field, whatever it is. */
static void test_log_fields(void **state)
{
	struct monitor_fixture *fx = *state;
	static const struct http_fake_answer forged = {
		.text = "HTTP/1.1 403 x\" votes=3/3 to=\"none\\\r\nContent-Length: 0\r\n\r\n",
		.host = "db.de.clamav.net"
	};
	static const char field[] =
	        " detail=\"GET /timestamp (Host db.de.clamav.net): 403 x\\\" votes=3/3 to=\\\"none\\\\\"\n";
	monitor_fixture_begin_well(fx);
	log_notes_begin();
	enum log_level level = log_get_level();
	log_set_level(LOG_LEVEL_DEBUG);
	http_fake_script(fx->fake, "/timestamp", &forged);
	fx->monitor.watched[0]->turn = 0;
	monitor_fixture_check_known(fx, fx->monitor.watched[0]);
	monitor_judge(&fx->monitor);
	log_set_level(level);
	log_notes_end();
	assert_int_equal(monitor_fixture_out_n(fx), 1);
	assert_int_equal(log_notes_n("opinion mirror="), 1);
	assert_int_equal(log_notes_n("address mirror="), 1);
	assert_int_equal(log_notes_n(field), 2);
}

/* A buffer that is too short for a pair ends before it. */
static void test_quote(void **state)
{
	(void)state;
	char quoted[6];
	assert_string_equal(quote_text("a\\b\"", quoted, sizeof(quoted)), "a\\\\b");
	assert_string_equal(quote_text("abcde\"", quoted, sizeof(quoted)), "abcde");
	assert_string_equal(quote_text("", quoted, sizeof(quoted)), "");
}

static void write_file(const char *path, const char *text)
{
	assert_int_equal(file_replace(path, text, strlen(text)), 0);
}

/* A start is no change: with others that can't be read, neither our own opinion moves anybody, nor does one
 * come back that lacked a version and was not seen since. */
static void test_start_keeps_what_held(void **state)
{
	struct monitor_fixture *fx = *state;
	struct monitor *monitor = &fx->monitor;
	struct diag diag;
	char path[] = "/tmp/monitor-feed-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	monitor_fixture_begin_well(fx);
	for (size_t i = 0; i < MONITOR_FIXTURE_N; i++) {
		fx->addrs[i].bytes[3] = (uint8_t)(1 + i); /* 127.0.0.1 ... */
		monitor->watched[i]->addr = fx->addrs[i];
	}
	monitor->watched[0]->standing.reason = REASON_UNREACHABLE;
	diag_init(&diag);
	monitor_judge(monitor);
	assert_int_equal(history_save_standings(monitor->history, monitor->view, &diag), 0);
	diag_fini(&diag);
	monitor_watch_nothing(monitor);
	view_unref(monitor->view);
	monitor->view = NULL;

	use_others(fx, "/nowhere/a", "/nowhere/b");
	monitor->settings->conf->votes.quorum = 2;
	monitor->settings->conf->feed = path;
	write_file(
	        path,
	        "{ \"pool\": \"p\", \"excluded\": [ { \"mirror\": \"m2.example\", \"reason\": "
	        "\"out-of-sync\", \"since\": \"2026-11-21T06:00:00Z\" }, 5, "
	        "{ \"address\": \"127.0.0.2\", \"reason\": \"refused\", \"since\": \"2026-11-21T07:00:00Z\", "
	        "\"detail\": \"403\" } ] }\n");
	monitor_fixture_watch(fx);
	assert_int_equal(monitor->watched[0]->standing.reason, REASON_UNREACHABLE);
	/* Nor is it news since when, whether something is decided yet or not. */
	monitor_judge(monitor);
	assert_int_equal(monitor->view->mirrors[2].verdict.reason, REASON_OUT_OF_SYNC);
	assert_int_equal(monitor->view->mirrors[2].verdict.since_s, 1795240800);
	monitor->round_until_ms = 0;
	monitor_fixture_self_test(fx);
	monitor_judge(monitor);
	const struct mirror_view *mirrors = monitor->view->mirrors;
	assert_int_equal(mirrors[0].verdict.reason, REASON_NONE);
	assert_int_equal(mirrors[1].verdict.reason, REASON_REFUSED);
	assert_int_equal(mirrors[1].verdict.since_s, 1795244400);
	assert_string_equal(mirrors[1].verdict.detail, "403");
	assert_int_equal(mirrors[2].verdict.reason, REASON_OUT_OF_SYNC);
	assert_int_equal(mirrors[2].verdict.since_s, 1795240800);
	assert_int_equal(mirrors[3].verdict.reason, REASON_NONE);
	/* It shows that it has it. The server is at one address alone. */
	assert_int_equal(addr_parse("127.0.0.1", &monitor->watched[2]->addr), 0);
	monitor_fixture_check_known(fx, monitor->watched[2]);
	monitor_judge(monitor);
	assert_int_equal(monitor->view->mirrors[2].verdict.reason, REASON_NONE);

	/* Of another pool: then our own opinion is all there is. */
	monitor_watch_nothing(monitor);
	write_file(path, "{ \"pool\": \"q\", \"excluded\": [ ] }\n");
	monitor_fixture_watch(fx);
	assert_int_equal(monitor->watched[0]->verdict.reason, REASON_UNREACHABLE);
	monitor->settings->conf->feed = NULL;
	assert_int_equal(unlink(path), 0);
}

/* Since when a mirror is out of sync stays, when a reload puts another before it. */
static void test_reload_moves_mirrors(void **state)
{
	struct monitor_fixture *fx = *state;
	struct monitor *monitor = &fx->monitor;
	struct pool *pool = monitor->settings->pool;
	pool->mirrors = fx->mirrors + 1;
	monitor_fixture_begin_well(fx);
	monitor->watched[0]->last.databases[1].version = DAILY - 1;
	monitor_judge(monitor);
	assert_int_equal(monitor->view->mirrors[0].verdict.reason, REASON_OUT_OF_SYNC);
	/* As if that had been a while ago. */
	uint64_t since_s = monitor->told[0].since_s -= 1000;
	monitor_judge(monitor);
	assert_int_equal(monitor->view->mirrors[0].verdict.since_s, since_s);
	pool->mirrors = fx->mirrors;
	pool->mirrors_n = monitor->settings->conf->pool->mirrors_n = MONITOR_FIXTURE_N + 1;
	monitor_fixture_watch(fx);
	monitor->round_until_ms = 0;
	monitor_judge(monitor);
	assert_string_equal(monitor->view->mirrors[1].host, fx->hosts[1]);
	assert_int_equal(monitor->view->mirrors[1].verdict.reason, REASON_OUT_OF_SYNC);
	assert_int_equal(monitor->view->mirrors[1].verdict.since_s, since_s);
	/* While we are not well it stays as it is, too. */
	monitor->self_ok = false;
	monitor_judge(monitor);
	assert_int_equal(monitor->view->mirrors[1].verdict.reason, REASON_OUT_OF_SYNC);
	assert_int_equal(monitor->view->mirrors[1].verdict.since_s, since_s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_databases_move),
		cmocka_unit_test(test_quote),
		cmocka_unit_test_setup_teardown(test_log_fields, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_one_failure_is_not_out_of_sync, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_start_with_one_failure, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_failing_looks_do_not_starve, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_own_outage_counts_for_nobody, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_own_outage_without_references, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_who_joins, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_leaving, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_clock_goes_back, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_one_voice_one_vote, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_outvoted_is_not_out_of_sync, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_vote_by_https_ends, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_first_round_ends, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_few_seen_are_no_quorum, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_returned_at_a_start, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_start_keeps_what_held, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_reload_moves_mirrors, monitor_fixture_setup,
		                                monitor_fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
