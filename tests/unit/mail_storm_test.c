/* Many that fail at once: one mail to the team, and when that is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/mail_fixture.h"

static void test_storm(void **state)
{
	(void)state;
	mail_fx.view.mirrors_n = MAIL_FIXTURE_N;
	mail_fixture_is_out(7, REASON_OLD);
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fx.view.now_s += 60;
	for (size_t i = 0; i < MAIL_FIXTURE_N; i++) {
		if (i != 7)
			mail_fixture_is_out(i, i % 2 ? REASON_UNREACHABLE : REASON_HTTP_ERROR);
	}
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_check(0, "team@clamav.test",
	                   "[clamav mirrors] 500 of 500 mirrors fail at once since 2026-11-21 07:01 UTC");
	const char *unreachable = strstr(mail_fx.letters.items[0].text, "\nunreachable:\n");
	const char *old = strstr(mail_fx.letters.items[0].text,
	                         "\nold:\n  m7.de.example, out of DNS, since 2026-11-21 07:00 UTC\n");
	assert_true(unreachable && old && unreachable < old);
	for (int i = 0; i < 5; i++) {
		mail_fx.view.now_s += 3600;
		mail_fixture_restart();
		assert_int_equal(mail_fixture_plan(), 0);
	}
	/* Few enough, but not for long. */
	for (size_t i = 0; i < MAIL_FIXTURE_N - 2; i++)
		mail_fixture_is_well(i);
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fx.view.now_s += 300;
	mail_fixture_is_out(0, REASON_OLD);
	assert_int_equal(mail_fixture_plan(), 0);
	for (size_t i = 0; i < 200; i++)
		mail_fixture_is_out(i, REASON_OLD);
	assert_int_equal(mail_fixture_plan(), 0);
	for (size_t i = 0; i < 200; i++)
		mail_fixture_is_well(i);
	mail_fixture_restart();
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fx.view.now_s += 599;
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fx.view.now_s += 1;
	mail_fixture_restart();
	/* Over; what is still out is now treated by itself; who had heard before hears that it is well. */
	assert_int_equal(mail_fixture_plan(), 4);
	mail_fixture_check(0, "team@clamav.test",
	                   "[clamav mirrors] most mirrors are well again: 2 of 500 fail");
	mail_fixture_has(0, "\nIn-Reply-To: <mirrormon.1795244460.many.clamav@clamav.test>\n");
	mail_fixture_has(0, "  m498.de.example, out of DNS");
	mail_fixture_has(1, "m7.de.example: well again");
	mail_fixture_has(2, "m498.de.example: out of DNS");
	mail_fixture_has(3, "m499.de.example: out of DNS");
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fixture_is_well(498);
	assert_int_equal(mail_fixture_plan(), 1);
	assert_string_equal(mail_fx.letters.items[0].to, "alerts@de.example, team@clamav.test");
	/* In a pool of four, one is no storm. */
	mail_fx.view.mirrors = mail_fx.mirrors + 1;
	mail_fx.view.mirrors_n = 4;
	mail_fixture_fails(2, REASON_LATE, 1);
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_has(0, "m2.de.example: late");
}

/* Those that went out one after the other are no storm, however many they have become. */
static void test_long_out_is_no_storm(void **state)
{
	(void)state;
	char subject[128];
	mail_fx.view.mirrors_n = 10;
	for (size_t i = 0; i < 5; i++) {
		mail_fixture_is_out(i, REASON_UNREACHABLE);
		assert_int_equal(mail_fixture_plan(), 1);
		snprintf(subject, sizeof(subject),
		         "[clamav mirrors] m%zu.de.example: out of DNS, unreachable since 2026-11-2%zu 07:00 "
		         "UTC",
		         i, 1 + i);
		mail_fixture_check(0, "alerts@de.example, team@clamav.test", subject);
		for (unsigned hour = 0; hour < 24; hour++) {
			mail_fx.view.now_s += 3600;
			mail_fixture_restart();
			assert_int_equal(mail_fixture_plan(), 0);
		}
	}
	/* Nor does an incident of each begin anew when it takes another turn. */
	for (size_t i = 0; i < 5; i++)
		mail_fixture_is_out(i, REASON_OLD);
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fixture_is_well(2);
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_has(0, "m2.de.example: well again");
}

/* Three of ten are out for long; then half of the pool fails within two intervals. */
static void begin_storm(void)
{
	mail_fx.view.mirrors_n = 10;
	for (size_t i = 0; i < 3; i++) {
		mail_fixture_is_out(i, REASON_OLD);
		assert_int_equal(mail_fixture_plan(), 1);
		mail_fx.view.now_s += 86400;
	}
	/* Two of them are too few, and heard of by themselves. */
	for (size_t i = 5; i < 7; i++) {
		mail_fixture_fails(i, REASON_HTTP_ERROR, 1);
		assert_int_equal(mail_fixture_plan(), 1);
		mail_fx.view.now_s += 3600;
	}
	for (size_t i = 7; i < 10; i++)
		mail_fixture_fails(i, REASON_HTTP_ERROR, 1);
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_check(0, "team@clamav.test",
	                   "[clamav mirrors] 5 of 10 mirrors fail at once since 2026-11-24 09:00 UTC");
	mail_fixture_has(0, "5 of 10 mirrors began to fail at about the same time, over 20 %.");
	mail_fixture_has(0, "\n3 more fail for longer: they are in this list too.\n");
	mail_fixture_has(0, "\n  m0.de.example, out of DNS, since 2026-11-21 07:00 UTC\n");
	mail_fixture_has(0, "\n  m9.de.example, since 2026-11-24 09:00 UTC\n");
}

/* It is over when those of it are well, whoever was out before. */
static void test_storm_ends(void **state)
{
	(void)state;
	begin_storm();
	mail_fx.view.now_s += 6 * 3600;
	mail_fixture_restart();
	for (size_t i = 5; i < 10; i++)
		mail_fixture_is_out(i, REASON_HTTP_ERROR);
	assert_int_equal(mail_fixture_plan(), 0);
	for (size_t i = 5; i < 10; i++)
		mail_fixture_is_well(i);
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fx.view.now_s += 600;
	mail_fixture_restart();
	/* Of the storm, the two hear that were told of before it. */
	assert_int_equal(mail_fixture_plan(), 3);
	mail_fixture_check(0, "team@clamav.test",
	                   "[clamav mirrors] most mirrors are well again: 3 of 10 fail");
	mail_fixture_has(0, "\nIn-Reply-To: <mirrormon.1795510800.many.clamav@clamav.test>\n");
	mail_fixture_has(1, "m5.de.example: well again");
	mail_fixture_has(2, "m6.de.example: well again");
	assert_int_equal(mail_fixture_plan(), 0);
}

/* One that lasts is no longer at once: admins have to hear of it. */
static void test_storm_lasts(void **state)
{
	(void)state;
	begin_storm();
	for (size_t i = 5; i < 10; i++)
		mail_fixture_is_out(i, REASON_HTTP_ERROR);
	mail_fx.view.now_s += 86399;
	mail_fixture_restart();
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fx.view.now_s += 1;
	mail_fixture_restart();
	assert_int_equal(mail_fixture_plan(), 6);
	mail_fixture_check(0, "team@clamav.test", "[clamav mirrors] 8 of 10 mirrors still fail after a day");
	mail_fixture_has(0, "\nIn-Reply-To: <mirrormon.1795510800.many.clamav@clamav.test>\n");
	mail_fixture_has(0, "their admins hear of it now");
	mail_fixture_has(1, "m5.de.example: out of DNS, http-error");
	mail_fixture_has(5, "m9.de.example: out of DNS, http-error");
	assert_string_equal(mail_fx.letters.items[5].to, "alerts@de.example, team@clamav.test");
	mail_fixture_restart();
	assert_int_equal(mail_fixture_plan(), 0);
	/* The next one is heard of by itself. */
	mail_fixture_is_out(4, REASON_REFUSED);
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_has(0, "m4.de.example: out of DNS, refused");
}

/* A day has passed, and others have begun to fail at once: that is the next one, and admins still wait. */
static void test_storm_after_storm(void **state)
{
	(void)state;
	mail_fx.view.mirrors_n = 10;
	for (size_t i = 0; i < 3; i++)
		mail_fixture_is_out(i, REASON_OLD);
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fx.view.now_s += 86000;
	for (size_t i = 3; i < 7; i++)
		mail_fixture_is_out(i, REASON_OLD);
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fx.view.now_s += 400;
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_check(0, "team@clamav.test",
	                   "[clamav mirrors] 4 of 10 mirrors fail at once since 2026-11-22 07:00 UTC");
	mail_fixture_restart();
	/* A clock that goes back does not keep it going. */
	mail_fx.view.now_s -= 10 * 86400;
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fx.view.now_s += 86400;
	mail_fixture_restart();
	assert_true(mail_fixture_plan() > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_storm, mail_fixture_setup, mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_long_out_is_no_storm, mail_fixture_setup,
		                                mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_storm_ends, mail_fixture_setup, mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_storm_lasts, mail_fixture_setup, mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_storm_after_storm, mail_fixture_setup,
		                                mail_fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
