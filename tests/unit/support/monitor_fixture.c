#include "tests/unit/support/monitor_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utc.h"

static const char conf_text[] =
        "monitor: { name = \"me\"; pool = \"p\"; mirrors = \"m\"; };\n"
        "checks: { databases = [ \"main\", \"daily\", \"bytecode\" ]; cdiffs = 1; deep-interval = \"0s\"; "
        "spread-percent = 0; retry = \"5m\"; };\n"
        "decision: { probation = \"10m\"; };\n"
        "announce: { settle = \"0s\"; };\n";

#define TIMERS_N 6
static uv_timer_t *timer(struct monitor *monitor, size_t number)
{
	uv_timer_t *const all[TIMERS_N] = { &monitor->judge_timer, &monitor->beat_timer,
		                            &monitor->self_timer,  &monitor->deep_timer,
		                            &monitor->brief_timer, &monitor->votes_timer };
	return all[number];
}

static void on_tick(uv_timer_t *tick)
{
	(void)tick;
}

/* The first n of them are in the pool: 127.0.0.1, 127.0.0.2, ... */
static struct settings *make_settings(struct monitor_fixture *fx, size_t n)
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

int monitor_fixture_setup(void **state)
{
	struct monitor_fixture *fx = calloc(1, sizeof(*fx));
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
	for (size_t i = 0; i < 2 * MONITOR_FIXTURE_N; i++) {
		snprintf(fx->hosts[i], sizeof(fx->hosts[i]), "m%zu.example", i);
		/* Of several addresses of the kernel's one server. */
		addr_parse("127.0.0.1", &fx->addrs[i]);
		fx->mirrors[i] = (struct mirror){ .host = fx->hosts[i],
			                          .country = country_from_code("DE"),
			                          .weight = 100,
			                          .addrs = &fx->addrs[i],
			                          .addrs_n = 1 };
	}
	for (size_t i = 0; i < TIMERS_N; i++) {
		uv_timer_init(&monitor->loop, timer(monitor, i));
		timer(monitor, i)->data = monitor;
	}
	uv_timer_init(&monitor->loop, &fx->tick);
	uv_timer_start(&fx->tick, on_tick, 20, 20);
	diag_init(&diag);
	assert_int_equal(history_open(NULL, false, &diag, &monitor->history), 0);
	diag_fini(&diag);
	monitor->settings = make_settings(fx, MONITOR_FIXTURE_N);
	assert_int_equal(
	        checker_create(&monitor->loop, &monitor->settings->conf->checks, NULL, &monitor->checker), 0);
	*state = fx;
	return 0;
}

int monitor_fixture_teardown(void **state)
{
	struct monitor_fixture *fx = *state;
	struct monitor *monitor = &fx->monitor;
	monitor->stopping = true;
	checker_close(monitor->checker);
	monitor_watch_nothing(monitor);
	http_fake_close(fx->fake);
	/* What was watched and the checker close their own. */
	uv_close((uv_handle_t *)&fx->tick, NULL);
	for (size_t i = 0; i < TIMERS_N; i++)
		uv_close((uv_handle_t *)timer(monitor, i), NULL);
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

void monitor_fixture_watch(struct monitor_fixture *fx)
{
	assert_int_equal(monitor_watch_pool(&fx->monitor), 0);
	/* Nothing is checked but by the test. */
	for (size_t i = 0; i < fx->monitor.watched_n; i++)
		uv_timer_stop(&fx->monitor.watched[i]->timer);
}

void monitor_fixture_check(struct watched *watched, bool brief)
{
	watched_check(watched, brief);
	assert_true(watched->busy);
	while (watched->busy)
		assert_true(uv_run(&watched->monitor->loop, UV_RUN_ONCE) != 0);
}

void monitor_fixture_check_all(struct monitor_fixture *fx)
{
	for (size_t i = 0; i < fx->monitor.watched_n; i++)
		monitor_fixture_check(fx->monitor.watched[i], false);
	assert_int_equal(fx->monitor.unchecked_n, 0);
}

void monitor_fixture_use_reference(struct monitor_fixture *fx)
{
	snprintf(fx->url, sizeof(fx->url), "http://127.0.0.1:%u", http_fake_port(fx->fake));
	fx->reference.url = fx->url;
	fx->monitor.settings->conf->references = &fx->reference;
	fx->monitor.settings->conf->references_n = 1;
	fx->monitor.references = calloc(1, sizeof(*fx->monitor.references));
	assert_non_null(fx->monitor.references);
}

void monitor_fixture_self_test(struct monitor_fixture *fx)
{
	monitor_self_test(&fx->monitor);
	while (fx->monitor.references_busy_n)
		assert_true(uv_run(&fx->monitor.loop, UV_RUN_ONCE) != 0);
}

size_t monitor_fixture_out_n(const struct monitor_fixture *fx)
{
	size_t n = 0;
	for (size_t i = 0; i < fx->monitor.view->mirrors_n; i++)
		n += fx->monitor.view->mirrors[i].verdict.reason != REASON_NONE;
	return n;
}

/* A pool that is well, with its versions announced. */
void monitor_fixture_begin_well(struct monitor_fixture *fx)
{
	monitor_fixture_use_reference(fx);
	monitor_fixture_watch(fx);
	monitor_fixture_check_all(fx);
	monitor_fixture_self_test(fx);
	assert_true(fx->monitor.self_ok);
	monitor_judge(&fx->monitor);
	assert_int_equal(fx->monitor.databases[1].version, DAILY);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
}

void monitor_fixture_check_known(struct monitor_fixture *fx, struct watched *watched)
{
	monitor_fixture_check(watched, false);
	while (watched->held_ms)
		monitor_fixture_self_test(fx);
}

void monitor_fixture_restart(struct monitor_fixture *fx)
{
	struct diag diag;
	diag_init(&diag);
	monitor_judge(&fx->monitor);
	assert_int_equal(history_save_standings(fx->monitor.history, fx->monitor.view, &diag), 0);
	diag_fini(&diag);
	monitor_watch_nothing(&fx->monitor);
	view_unref(fx->monitor.view);
	fx->monitor.view = NULL;
	monitor_fixture_watch(fx);
}
