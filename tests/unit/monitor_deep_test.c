/* Whole databases in the running monitor: who has to show which, and how many at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/support/monitor_fixture.h"

#define HOUR_MS 3600000U

/* What was wrong has to be shown whole, not another database that was always good. */
static void test_wrong_database_is_shown(void **state)
{
	struct monitor_fixture *fx = *state;
	monitor_fixture_begin_well(fx);
	struct conf_monitor *conf = fx->monitor.settings->conf;
	struct watched *first = fx->monitor.watched[0];
	conf->checks.deep_interval_ms = HOUR_MS;
	conf->checks.sigtool = "";
	conf->decision.probation_s = 0;
	fx->cvd[1][BODY - 1] ^= 1;
	first->wants_deep = true;
	first->deep_database = 1;
	monitor_fixture_check_known(fx, first);
	assert_int_equal(first->standing.reason, REASON_WRONG_CONTENT);
	for (unsigned i = 0; i < 6; i++)
		monitor_fixture_check_known(fx, first);
	assert_int_equal(first->standing.reason, REASON_WRONG_CONTENT);
	/* Nor by way of a milder reason: it has become old as well, and is new again. */
	static const struct http_fake_answer old = {
		.text = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1700000000", .host = "db.de.clamav.net"
	};
	http_fake_script(fx->fake, "/timestamp", &old);
	while (first->standing.reason != REASON_OLD) {
		first->turn = 0;
		first->wants_deep = false; /* as when others have their turn */
		monitor_fixture_check_known(fx, first);
	}
	http_fake_script(fx->fake, "/timestamp", NULL);
	for (unsigned i = 0; i < 6; i++) {
		first->wants_deep = false;
		monitor_fixture_check_known(fx, first);
		assert_int_not_equal(first->standing.reason, REASON_NONE);
	}
	fx->cvd[1][BODY - 1] ^= 1;
	for (unsigned i = 0; i < 3; i++)
		monitor_fixture_check_known(fx, first);
	assert_int_equal(first->standing.reason, REASON_NONE);
}

/* All are suspect at once: a few whole databases at a time, the others in their turn. */
static void test_deeps_are_few(void **state)
{
	struct monitor_fixture *fx = *state;
	struct monitor *monitor = &fx->monitor;
	size_t deep_n = 0;
	monitor->settings->conf->checks.deep_interval_ms = HOUR_MS;
	monitor->settings->conf->checks.sigtool = "";
	monitor->settings->pool->mirrors_n = monitor->settings->conf->pool->mirrors_n = 2 * MONITOR_FIXTURE_N;
	monitor_fixture_watch(fx);
	for (size_t i = 0; i < monitor->watched_n; i++)
		monitor->watched[i]->wants_deep = true;
	for (size_t i = 0; i < monitor->watched_n; i++) {
		watched_check(monitor->watched[i], false);
		deep_n += monitor->watched[i]->request.deep;
	}
	assert_int_equal(deep_n, 4);
	while (checker_busy_n(monitor->checker))
		assert_true(uv_run(&monitor->loop, UV_RUN_ONCE) != 0);
	for (size_t i = 0; i < monitor->watched_n; i++) {
		assert_true(monitor->watched[i]->wants_deep == !monitor->watched[i]->request.deep);
		if (monitor->watched[i]->wants_deep)
			monitor_fixture_check(monitor->watched[i], false);
		assert_false(monitor->watched[i]->wants_deep);
	}
}

/* Run after run with --once a mirror comes back after wrong content, by the database that was wrong. */
static void test_wrong_database_over_starts(void **state)
{
	struct monitor_fixture *fx = *state;
	monitor_fixture_begin_well(fx);
	struct conf_monitor *conf = fx->monitor.settings->conf;
	conf->checks.deep_interval_ms = HOUR_MS;
	conf->checks.sigtool = "";
	conf->decision.probation_s = 0;
	struct watched *first = fx->monitor.watched[0];
	fx->cvd[1][BODY - 1] ^= 1;
	first->wants_deep = true;
	first->deep_database = 1;
	monitor_fixture_check_known(fx, first);
	fx->cvd[1][BODY - 1] ^= 1;
	for (unsigned i = 0; i < 2; i++) {
		monitor_fixture_restart(fx);
		first = fx->monitor.watched[0];
		assert_int_equal(first->standing.reason, REASON_WRONG_CONTENT);
		assert_true(first->wants_deep);
		assert_int_equal(first->deep_database, 1);
		monitor_fixture_check_known(fx, first);
	}
	assert_int_equal(first->standing.reason, REASON_NONE);
}

/* The next check has to show that database whole, and that is all of it. */
static void expect_shown(struct monitor_fixture *fx, struct watched *watched, uint32_t database)
{
	monitor_fixture_check_known(fx, watched);
	assert_int_equal(watched->standing.reason, REASON_NONE);
	assert_true(watched->wants_deep);
	assert_int_equal(watched->deep_database, database);
	monitor_fixture_check_known(fx, watched);
	assert_true(watched->request.deep);
	assert_int_equal(watched->request.deep_database, database);
	assert_true(watched->last.deep);
	assert_false(watched->wants_deep);
}

/* Good headers that look odd: what is behind them? */
static void test_suspects_are_shown(void **state)
{
	struct monitor_fixture *fx = *state;
	monitor_fixture_begin_well(fx);
	struct conf_monitor *conf = fx->monitor.settings->conf;
	struct watched *first = fx->monitor.watched[0];
	struct seen_database *theirs = fx->monitor.references[0].last.databases;
	conf->checks.deep_interval_ms = HOUR_MS;
	conf->checks.sigtool = "";
	monitor_fixture_check_known(fx, first);
	assert_false(first->wants_deep);
	/* Its version went back. */
	first->last.databases[1].version = DAILY + 1;
	expect_shown(fx, first, 1);
	monitor_fixture_check_known(fx, first);
	assert_false(first->wants_deep);
	/* The same version as a reference, built at another time. */
	theirs[2].built_s++;
	expect_shown(fx, first, 2);
	/* Another version than theirs says nothing. */
	theirs[2].version++;
	monitor_fixture_check_known(fx, first);
	assert_false(first->wants_deep);
	/* Nor does anything where no whole database is asked for. */
	conf->checks.deep_interval_ms = 0;
	first->last.databases[0].version++;
	monitor_fixture_check_known(fx, first);
	assert_false(first->wants_deep);
	conf->checks.deep_interval_ms = HOUR_MS;
	/* It was the file of another. */
	first->last.databases[0].version++;
	fx->cvd[0][BODY - 1] ^= 1;
	monitor_fixture_check_known(fx, first);
	assert_int_equal(first->standing.reason, REASON_NONE);
	monitor_fixture_check_known(fx, first);
	assert_int_equal(first->standing.reason, REASON_WRONG_CONTENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wrong_database_is_shown, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_deeps_are_few, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_suspects_are_shown, monitor_fixture_setup,
		                                monitor_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_wrong_database_over_starts, monitor_fixture_setup,
		                                monitor_fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
