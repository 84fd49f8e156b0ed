/* The running monitor, file by file: schedule, self-test, judgement, over a mirror of its own on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utc.h"
#include "mirrormon/monitor_int.h"
#include "tests/unit/support/checker_fixture.h"

#define MIRRORS_N 4
#define HOUR_MS   3600000U

static const char conf_text[] =
        "monitor: { name = \"me\"; pool = \"p\"; mirrors = \"m\"; };\n"
        "checks: { databases = [ \"main\", \"daily\", \"bytecode\" ]; cdiffs = 1; deep-interval = \"0s\"; "
        "spread-percent = 0; retry = \"5m\"; };\n"
        "decision: { probation = \"10m\"; };\n"
        "announce: { settle = \"0s\"; };\n";

struct fixture {
	struct monitor monitor;
	struct http_fake *fake;
	uv_timer_t tick;
	char timestamp[32];
	char cvd[3][BODY];
	struct conf_mirror conf_mirrors[2 * MIRRORS_N];
	struct mirror mirrors[2 * MIRRORS_N];
	struct addr addrs[2 * MIRRORS_N];
	char hosts[2 * MIRRORS_N][16];
	char url[64];
	struct conf_reference reference;
	const char *others[2];
};

static void on_tick(uv_timer_t *tick)
{
	(void)tick;
}

/* The first n of them are in the pool: 127.0.0.1, 127.0.0.2, ... */
static struct settings *make_settings(struct fixture *fx, size_t n)
{
	struct settings *settings = calloc(1, sizeof(*settings));
	struct diag diag;
	assert_non_null(settings);
	settings->refs = 1;
	arena_init(&settings->arena);
	diag_init(&diag);
	assert_int_equal(conf_monitor_load_text("conf", conf_text, strlen(conf_text), &diag, &settings->conf),
	                 0);
	diag_fini(&diag);
	settings->pool = arena_alloc(&settings->arena, sizeof(*settings->pool));
	assert_non_null(settings->pool);
	memset(settings->pool, 0, sizeof(*settings->pool));
	settings->pool->conf = settings->conf->pool;
	settings->pool->mirrors = fx->mirrors;
	settings->pool->mirrors_n = n;
	settings->conf->pool->mirrors = fx->conf_mirrors;
	settings->conf->pool->mirrors_n = n;
	settings->conf->checks.port = http_fake_port(fx->fake);
	return settings;
}

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));
	struct monitor *monitor = &fx->monitor;
	struct diag diag;
	char path[64];
	assert_non_null(fx);
	assert_int_equal(uv_loop_init(&monitor->loop), 0);
	fx->fake = http_fake_create(&monitor->loop, 4);
	assert_non_null(fx->fake);
	snprintf(fx->timestamp, sizeof(fx->timestamp), "%llu\n", (unsigned long long)utc_now() - 60);
	http_fake_add(fx->fake, "/timestamp", fx->timestamp, strlen(fx->timestamp), BUILT);
	for (size_t i = 0; i < 3; i++) {
		checker_fixture_fill_cvd(fx->cvd[i], checker_fixture_versions[i]);
		snprintf(path, sizeof(path), "/%s.cvd", checker_fixture_databases[i]);
		http_fake_add(fx->fake, path, fx->cvd[i], BODY, BUILT);
	}
	http_fake_add(fx->fake, checker_fixture_cdiff(DAILY, path), "ClamAV-Diff", 11, BUILT);
	for (size_t i = 0; i < 2 * MIRRORS_N; i++) {
		snprintf(fx->hosts[i], sizeof(fx->hosts[i]), "m%zu.example", i);
		/* Of several addresses of the kernel's one server. */
		addr_parse("127.0.0.1", &fx->addrs[i]);
		fx->mirrors[i] = (struct mirror){ .host = fx->hosts[i],
			                          .country = country_from_code("DE"),
			                          .weight = 100,
			                          .addrs = &fx->addrs[i],
			                          .addrs_n = 1 };
	}
	uv_timer_t *timers[] = { &monitor->judge_timer, &monitor->beat_timer,  &monitor->self_timer,
		                 &monitor->deep_timer,  &monitor->brief_timer, &monitor->votes_timer };
	for (size_t i = 0; i < sizeof(timers) / sizeof(*timers); i++) {
		uv_timer_init(&monitor->loop, timers[i]);
		timers[i]->data = monitor;
	}
	uv_timer_init(&monitor->loop, &fx->tick);
	uv_timer_start(&fx->tick, on_tick, 20, 20);
	diag_init(&diag);
	assert_int_equal(history_open(NULL, false, &diag, &monitor->history), 0);
	diag_fini(&diag);
	monitor->settings = make_settings(fx, MIRRORS_N);
	assert_int_equal(
	        checker_create(&monitor->loop, &monitor->settings->conf->checks, NULL, &monitor->checker), 0);
	*state = fx;
	return 0;
}

static void close_each(uv_handle_t *handle, void *context)
{
	(void)context;
	if (!uv_is_closing(handle) && handle->type == UV_TIMER)
		uv_close(handle, NULL);
}

static int teardown(void **state)
{
	struct fixture *fx = *state;
	struct monitor *monitor = &fx->monitor;
	monitor->stopping = true;
	checker_close(monitor->checker);
	monitor_watch_nothing(monitor);
	http_fake_close(fx->fake);
	/* What was watched and the checker close their own. */
	uv_close((uv_handle_t *)&fx->tick, NULL);
	uv_timer_t *timers[] = { &monitor->judge_timer, &monitor->beat_timer,  &monitor->self_timer,
		                 &monitor->deep_timer,  &monitor->brief_timer, &monitor->votes_timer };
	for (size_t i = 0; i < sizeof(timers) / sizeof(*timers); i++)
		close_each((uv_handle_t *)timers[i], NULL);
	assert_int_equal(uv_run(&monitor->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&monitor->loop), 0);
	for (size_t i = 0; i < monitor->colleagues_n; i++)
		vote_destroy(monitor->colleagues[i].vote);
	free(monitor->colleagues);
	free(monitor->references);
	view_unref(monitor->view);
	history_close(monitor->history);
	settings_unref(monitor->settings);
	free(fx);
	return 0;
}

static void watch(struct fixture *fx)
{
	assert_int_equal(monitor_watch_pool(&fx->monitor), 0);
	/* Nothing is checked but by the test. */
	for (size_t i = 0; i < fx->monitor.watched_n; i++)
		uv_timer_stop(&fx->monitor.watched[i]->timer);
}

static void check(struct watched *watched, bool brief)
{
	watched_check(watched, brief);
	assert_true(watched->busy);
	while (watched->busy)
		assert_true(uv_run(&watched->monitor->loop, UV_RUN_ONCE) != 0);
}

static void check_all(struct fixture *fx)
{
	for (size_t i = 0; i < fx->monitor.watched_n; i++)
		check(fx->monitor.watched[i], false);
	assert_int_equal(fx->monitor.unchecked_n, 0);
}

static void use_reference(struct fixture *fx)
{
	snprintf(fx->url, sizeof(fx->url), "http://127.0.0.1:%u", http_fake_port(fx->fake));
	fx->reference.url = fx->url;
	fx->monitor.settings->conf->references = &fx->reference;
	fx->monitor.settings->conf->references_n = 1;
	fx->monitor.references = calloc(1, sizeof(*fx->monitor.references));
	assert_non_null(fx->monitor.references);
}

static void test_self(struct fixture *fx)
{
	monitor_self_test(&fx->monitor);
	while (fx->monitor.references_busy_n)
		assert_true(uv_run(&fx->monitor.loop, UV_RUN_ONCE) != 0);
}

static size_t out_n(const struct fixture *fx)
{
	size_t n = 0;
	for (size_t i = 0; i < fx->monitor.view->mirrors_n; i++)
		n += fx->monitor.view->mirrors[i].verdict.reason != REASON_NONE;
	return n;
}

/* A pool that is well, with its versions announced. */
static void begin_well(struct fixture *fx)
{
	use_reference(fx);
	watch(fx);
	check_all(fx);
	test_self(fx);
	assert_true(fx->monitor.self_ok);
	monitor_judge(&fx->monitor);
	assert_int_equal(fx->monitor.databases[1].version, DAILY);
	assert_int_equal(out_n(fx), 0);
}

static const struct http_fake_answer no_cdiff = { .text = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" };

static void test_one_failure_is_not_out_of_sync(void **state)
{
	struct fixture *fx = *state;
	struct watched *first;
	char path[64];
	begin_well(fx);
	first = fx->monitor.watched[0];
	/* Its version was seen, its patch was not. */
	http_fake_script(fx->fake, checker_fixture_cdiff(DAILY, path), &no_cdiff);
	check(first, false);
	http_fake_script(fx->fake, path, NULL);
	test_self(fx);
	assert_int_equal(first->standing.failures_n, 1);
	monitor_judge(&fx->monitor);
	assert_int_equal(out_n(fx), 0);
	assert_int_equal(first->last.reason, REASON_HTTP_ERROR);
}

static void test_start_with_one_failure(void **state)
{
	struct fixture *fx = *state;
	use_reference(fx);
	watch(fx);
	/* As a start knows it from the last run. */
	fx->monitor.databases[1].version = DAILY;
	static const struct http_fake_answer busy = {
		.text = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
	};
	http_fake_script(fx->fake, NULL, &busy);
	http_fake_script(fx->fake, "/timestamp", &busy);
	check(fx->monitor.watched[0], false);
	http_fake_script(fx->fake, NULL, NULL);
	http_fake_script(fx->fake, "/timestamp", NULL);
	for (size_t i = 1; i < fx->monitor.watched_n; i++)
		check(fx->monitor.watched[i], false);
	test_self(fx);
	while (fx->monitor.watched[0]->held_ms)
		test_self(fx);
	assert_int_equal(fx->monitor.watched[0]->standing.failures_n, 1);
	monitor_judge(&fx->monitor);
	assert_int_equal(out_n(fx), 0);
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
	struct fixture *fx = *state;
	struct watched *first;
	static const struct http_fake_answer busy = {
		.text = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
	};
	begin_well(fx);
	first = fx->monitor.watched[0];
	uint64_t due_ms = first->due_ms;
	assert_true(uv_timer_get_due_in(&first->timer) > HOUR_MS - 60000);
	check(first, true);
	assert_true(first->due_ms == due_ms);
	http_fake_script(fx->fake, NULL, &busy);
	http_fake_script(fx->fake, "/main.cvd", &busy);
	check(first, true);
	assert_true(first->held_ms);
	/* Nothing is asked before it is clear what that was. */
	watched_check(first, false);
	assert_false(first->busy);
	http_fake_script(fx->fake, NULL, NULL);
	http_fake_script(fx->fake, "/main.cvd", NULL);
	do
		test_self(fx);
	while (first->held_ms);
	/* The whole check is nearer than it was, and stays there, however often a look fails. */
	uint64_t retry_ms = fx->monitor.settings->conf->checks.retry_ms;
	due_ms = first->due_ms;
	assert_true(due_ms <= uv_now(&fx->monitor.loop) + retry_ms);
	http_fake_script(fx->fake, "/main.cvd", &busy);
	check(first, true);
	http_fake_script(fx->fake, "/main.cvd", NULL);
	do
		test_self(fx);
	while (first->held_ms);
	assert_true(first->due_ms == due_ms);
	assert_true(uv_timer_get_due_in(&first->timer) <= retry_ms);
}

static void test_own_outage_counts_for_nobody(void **state)
{
	struct fixture *fx = *state;
	static const struct http_fake_answer busy = {
		.text = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
	};
	struct watched *first;
	begin_well(fx);
	first = fx->monitor.watched[0];
	http_fake_script(fx->fake, "/timestamp", &busy);
	for (unsigned i = 0; i < 4; i++) {
		check(first, false);
		do
			test_self(fx);
		while (first->held_ms);
	}
	assert_false(fx->monitor.self_ok);
	assert_int_equal(first->standing.failures_n, 0);
	assert_int_equal(fx->monitor.dropped_n, 4);
	assert_int_equal(fx->monitor.unchecked_n, 0);
	/* Soon again, not in an hour: nothing is known of it. */
	assert_true(uv_timer_get_due_in(&first->timer) <= fx->monitor.settings->conf->checks.retry_ms);
	http_fake_script(fx->fake, "/timestamp", NULL);
	test_self(fx);
	monitor_judge(&fx->monitor);
	assert_int_equal(out_n(fx), 0);
}

static void test_own_outage_without_references(void **state)
{
	struct fixture *fx = *state;
	static const struct http_fake_answer busy = {
		.text = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
	};
	watch(fx);
	check_all(fx);
	monitor_judge(&fx->monitor);
	assert_true(fx->monitor.self_ok);
	http_fake_script(fx->fake, "/timestamp", &busy);
	for (unsigned i = 0; i < 6; i++) {
		for (size_t k = 0; k < MIRRORS_N; k++)
			check(fx->monitor.watched[k], false);
		monitor_judge(&fx->monitor);
	}
	assert_false(fx->monitor.self_ok);
	/* It is over: who was not looked at meanwhile is as good as before. */
	http_fake_script(fx->fake, "/timestamp", NULL);
	for (size_t k = 0; k < MIRRORS_N; k++)
		check(fx->monitor.watched[k], false);
	monitor_judge(&fx->monitor);
	assert_true(fx->monitor.self_ok);
	assert_int_equal(out_n(fx), 0);
	/* One of four alone is its own fault. */
	http_fake_script(fx->fake, "/timestamp", &busy);
	for (unsigned i = 0; i < 3; i++) {
		check(fx->monitor.watched[0], false);
		monitor_judge(&fx->monitor);
	}
	assert_int_equal(out_n(fx), 1);
}

static void test_who_joins(void **state)
{
	struct fixture *fx = *state;
	/* Of a run before whose standings are lost: a serial, and nothing else. */
	history_set_number(fx->monitor.history, "serial", 1795000000);
	watch(fx);
	for (size_t i = 0; i < MIRRORS_N; i++)
		assert_int_equal(fx->monitor.watched[i]->standing.reason, REASON_NONE);
	assert_int_equal(fx->monitor.unchecked_n, MIRRORS_N);
	fx->monitor.settings->pool->mirrors_n++;
	fx->monitor.settings->conf->pool->mirrors_n++;
	watch(fx);
	assert_int_equal(fx->monitor.watched_n, MIRRORS_N + 1);
	assert_int_equal(fx->monitor.watched[0]->standing.reason, REASON_NONE);
	assert_int_equal(fx->monitor.watched[MIRRORS_N]->standing.reason, REASON_OUT_OF_SYNC);
	assert_int_equal(fx->monitor.watched[MIRRORS_N]->verdict.reason, REASON_OUT_OF_SYNC);
	assert_int_equal(fx->monitor.unchecked_n, MIRRORS_N + 1);
}

/* Checks are under way while their mirrors leave, and the monitor ends: all is freed, nothing counted twice.
 */
static void test_leaving(void **state)
{
	struct fixture *fx = *state;
	static const struct http_fake_answer hang = { .text = "HTTP/1.1 200 OK\r\n", .then = HTTP_FAKE_HANG };
	watch(fx);
	http_fake_script(fx->fake, "/timestamp", &hang);
	for (size_t i = 0; i < MIRRORS_N; i++)
		watched_check(fx->monitor.watched[i], false);
	while (http_fake_counts(fx->fake).requests_n < MIRRORS_N)
		assert_true(uv_run(&fx->monitor.loop, UV_RUN_ONCE) != 0);
	fx->monitor.settings->pool->mirrors_n -= 2;
	assert_int_equal(monitor_watch_pool(&fx->monitor), 0);
	assert_int_equal(fx->monitor.watched_n, MIRRORS_N - 2);
	assert_int_equal(fx->monitor.unchecked_n, MIRRORS_N - 2);
	assert_non_null(fx->monitor.leaving);
}

static void test_clock_goes_back(void **state)
{
	struct fixture *fx = *state;
	begin_well(fx);
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
		test_self(fx);
	while (first->held_ms);
	assert_int_equal(first->standing.failures_n, 1);
	assert_true(first->standing.checked_s <= utc_now());
	check(first, false);
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

static void use_others(struct fixture *fx, const char *first, const char *second)
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
	struct fixture *fx = *state;
	begin_well(fx);
	use_others(fx, "a", "b");
	fx->monitor.colleagues[0].vote = make_vote("other", &fx->addrs[0]);
	fx->monitor.colleagues[1].vote = make_vote("other", &fx->addrs[0]);
	monitor_judge(&fx->monitor);
	assert_int_equal(fx->monitor.view->mirrors[0].addrs[0].verdict.votes_n, 2);
	assert_int_equal(out_n(fx), 0);
	vote_destroy(fx->monitor.colleagues[1].vote);
	fx->monitor.colleagues[1].vote = make_vote("me", &fx->addrs[0]);
	monitor_judge(&fx->monitor);
	assert_int_equal(out_n(fx), 0);
	assert_non_null(strstr(fx->monitor.view->monitors[1].detail, "our own name"));
	vote_destroy(fx->monitor.colleagues[1].vote);
	fx->monitor.colleagues[1].vote = make_vote("third", &fx->addrs[0]);
	monitor_judge(&fx->monitor);
	assert_true(out_n(fx) > 0);
}

static void test_vote_by_https_ends(void **state)
{
	struct fixture *fx = *state;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_databases_move),
		cmocka_unit_test_setup_teardown(test_one_failure_is_not_out_of_sync, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start_with_one_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failing_looks_do_not_starve, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_outage_counts_for_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_outage_without_references, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_joins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaving, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clock_goes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_voice_one_vote, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vote_by_https_ends, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
