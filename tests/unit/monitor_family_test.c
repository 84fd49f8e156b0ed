/* The monitor's own network: a family that has broken, and something in between that answers for everybody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/log_notes.h"
#include "tests/unit/support/monitor_fixture.h"

static struct http_fake *fake6; /* of use_reference6() */

static int setup(void **state)
{
	log_notes_begin();
	return monitor_fixture_setup(state);
}

static int teardown(void **state)
{
	log_notes_end();
	if (fake6)
		http_fake_close(fake6);
	fake6 = NULL;
	return monitor_fixture_teardown(state);
}

/* Until no check is held, and none is under way. */
static void settle(struct monitor_fixture *fx)
{
	bool is_busy = true;
	while (is_busy) {
		monitor_fixture_self_test(fx);
		is_busy = checker_busy_n(fx->monitor.checker) > 0;
		for (size_t i = 0; i < fx->monitor.watched_n; i++)
			is_busy |= fx->monitor.watched[i]->held_ms != 0;
		if (is_busy)
			assert_true(uv_run(&fx->monitor.loop, UV_RUN_ONCE) != 0);
	}
}

static void check_settled(struct watched *watched, struct monitor_fixture *fx)
{
	monitor_fixture_check(watched, false);
	settle(fx);
}

/* Nobody listens there: a connection is refused. */
static void move(struct watched *watched, const char *address)
{
	assert_int_equal(addr_parse(address, &watched->addr), 0);
}

/* Nobody answers any more, so many checks long. */
static void lose_all(struct monitor_fixture *fx, unsigned rounds_n)
{
	for (size_t i = 0; i < MONITOR_FIXTURE_N; i++)
		move(fx->monitor.watched[i], "127.0.0.2");
	for (unsigned round = 0; round < rounds_n; round++) {
		for (size_t i = 0; i < MONITOR_FIXTURE_N; i++)
			check_settled(fx->monitor.watched[i], fx);
	}
	monitor_judge(&fx->monitor);
}

/* A reference that is reached over IPv6. False where there is none. */
static bool use_reference6(struct monitor_fixture *fx)
{
	char path[64];
	fake6 = http_fake_create(&fx->monitor.loop, 6);
	if (!fake6)
		return false;
	http_fake_add(fake6, "/timestamp", fx->timestamp, strlen(fx->timestamp), BUILT);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/%s.cvd", checker_fixture_databases[i]);
		http_fake_add(fake6, path, fx->cvd[i], BODY, BUILT);
	}
	monitor_fixture_use_reference(fx);
	snprintf(fx->url, sizeof(fx->url), "http://[::1]:%u", http_fake_port(fake6));
	return true;
}

/* Who is down while others of its family answer is to blame, though no reference has that family. */
static void test_one_is_down(void **state)
{
	struct monitor_fixture *fx = *state;
	if (!use_reference6(fx))
		skip();
	addr_parse("127.0.0.2", &fx->addrs[0]);
	monitor_fixture_watch(fx);
	struct watched *first = fx->monitor.watched[0];
	/* The others were not looked at yet: they are asked for it. */
	for (unsigned i = 1; i <= 3; i++) {
		check_settled(first, fx);
		assert_int_equal(first->standing.failures_n, i);
	}
	assert_int_equal(fx->monitor.unchecked_n, 0);
	monitor_judge(&fx->monitor);
	assert_int_equal(monitor_fixture_out_n(fx), 1);
	assert_int_equal(fx->monitor.view->mirrors[0].verdict.reason, REASON_UNREACHABLE);
	assert_int_equal(log_notes_n("can't be checked"), 0);
}

static void test_family_is_lost(void **state)
{
	struct monitor_fixture *fx = *state;
	if (!use_reference6(fx))
		skip();
	monitor_fixture_watch(fx);
	monitor_fixture_check_all(fx);
	settle(fx);
	lose_all(fx, 4);
	assert_true(fx->monitor.self_ok);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
	for (size_t i = 0; i < MONITOR_FIXTURE_N; i++) {
		assert_int_equal(fx->monitor.watched[i]->standing.failures_n, 0);
		/* It was looked at all the same: it has not been away. */
		assert_true(fx->monitor.watched[i]->standing.checked_s >= fx->monitor.watched[i]->held.at_s);
	}
	assert_int_equal(log_notes_n("IPv4 addresses can't be checked from here"), 1);
	assert_true(fx->monitor.dropped_n >= 4UL * MONITOR_FIXTURE_N);

	/* One answers: it works, and who does not answer now is to blame. */
	move(fx->monitor.watched[0], "127.0.0.1");
	check_settled(fx->monitor.watched[0], fx);
	assert_int_equal(log_notes_n("IPv4 addresses are checked again"), 1);
	for (unsigned i = 0; i < 3; i++)
		check_settled(fx->monitor.watched[1], fx);
	monitor_judge(&fx->monitor);
	assert_int_equal(monitor_fixture_out_n(fx), 1);
}

/* Without references the family that is lost is all there is: nothing is decided. */
static void test_lost_without_references(void **state)
{
	struct monitor_fixture *fx = *state;
	monitor_fixture_watch(fx);
	monitor_fixture_check_all(fx);
	monitor_judge(&fx->monitor);
	assert_true(fx->monitor.self_ok);
	lose_all(fx, 3);
	assert_false(fx->monitor.self_ok);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
	for (size_t i = 0; i < MONITOR_FIXTURE_N; i++) {
		move(fx->monitor.watched[i], "127.0.0.1");
		check_settled(fx->monitor.watched[i], fx);
	}
	monitor_judge(&fx->monitor);
	assert_true(fx->monitor.self_ok);
	assert_int_equal(monitor_fixture_out_n(fx), 0);
}

/* A new configuration in the middle: answers to the one before are nobody's, and it is asked anew. */
static void test_reload_forgets_witnesses(void **state)
{
	struct monitor_fixture *fx = *state;
	if (!use_reference6(fx))
		skip();
	monitor_fixture_watch(fx);
	monitor_fixture_check_all(fx);
	struct watched *first = fx->monitor.watched[0];
	move(first, "127.0.0.2");
	monitor_fixture_check(first, false);
	while (fx->monitor.families[0].asked_n == 0)
		monitor_fixture_self_test(fx);
	monitor_forget_witnesses(&fx->monitor);
	settle(fx);
	assert_int_equal(fx->monitor.families[0].asked_n, 0);
	assert_int_equal(first->standing.failures_n, 1);
}

/* A proxy that answers for everybody, references too, shows nothing of mirrors. */
static void test_wrong_content_may_be_us(void **state)
{
	struct monitor_fixture *fx = *state;
	static const struct http_fake_answer login = {
		.text = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nPlease log in"
	};
	static const struct http_fake_answer refused = { .text = "HTTP/1.1 403 Forbidden\r\nContent-Length: "
		                                                 "0\r\n\r\n" };
	const struct http_fake_answer *answers[] = { &login, &refused };
	monitor_fixture_begin_well(fx);
	for (size_t k = 0; k < 2; k++) {
		http_fake_script(fx->fake, "/timestamp", answers[k]);
		for (size_t i = 0; i < MONITOR_FIXTURE_N; i++)
			check_settled(fx->monitor.watched[i], fx);
		assert_false(fx->monitor.self_ok);
		http_fake_script(fx->fake, "/timestamp", NULL);
		monitor_fixture_self_test(fx);
		assert_true(fx->monitor.self_ok);
		monitor_judge(&fx->monitor);
		assert_int_equal(monitor_fixture_out_n(fx), 0);
	}
	/* While the reference is well, one check is enough. */
	const struct http_fake_answer here = { .text = login.text, .host = "database.clamav.net" };
	http_fake_script(fx->fake, "/timestamp", &here);
	fx->monitor.watched[0]->turn = 1;
	check_settled(fx->monitor.watched[0], fx);
	assert_true(fx->monitor.self_ok);
	monitor_judge(&fx->monitor);
	assert_int_equal(monitor_fixture_out_n(fx), 1);
	assert_int_equal(fx->monitor.view->mirrors[0].verdict.reason, REASON_WRONG_CONTENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_is_down, setup, teardown),
		cmocka_unit_test_setup_teardown(test_family_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_without_references, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reload_forgets_witnesses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_content_may_be_us, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
