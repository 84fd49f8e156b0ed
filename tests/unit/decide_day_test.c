/*
 * Four days of the example pool, made up by tests/data/make-monitor-day.py with faults of each kind that the
 * rules know: what is decided is compared event by event. Faults last from the first time to the second;
 * checks are an hour apart, or five minutes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirrormon/decide.h"
#include "tests/unit/support/decision_defaults.h"

#define START         1795219200U
#define ADDRESSES_MAX 400

static const struct conf_decision conf = DECISION_DEFAULTS;

static const char expected[] =
        /* One address gives another page from 15:00 to 16:30. */
        "d0 15:11 198.51.100.30 out wrong-content\n"
        "d0 16:40 198.51.100.30 in\n"
        /* A country is cut off from 10:00 to 10:20: these were asked then, and two of them three times. */
        "d1 10:00 203.0.113.11 warned unreachable\n"
        "d1 10:04 203.0.113.10 warned unreachable\n"
        "d1 10:09 203.0.113.6 warned unreachable\n"
        "d1 10:10 203.0.113.9 warned unreachable\n"
        "d1 10:11 203.0.113.11 out unreachable\n"
        "d1 10:14 203.0.113.10 out unreachable\n"
        "d1 10:19 2001:db8:3:7::80 warned unreachable\n"
        "d1 10:20 203.0.113.9 well\n"
        "d1 10:20 203.0.113.6 well\n"
        "d1 10:24 2001:db8:3:7::80 well\n"
        "d1 10:30 203.0.113.11 in\n"
        "d1 10:34 203.0.113.10 in\n"
        /* Nothing was pushed to two mirrors since d0 12:00; to one again at d1 21:00, the other at d3 03:00.
         */
        "d1 12:01 198.51.100.51 warned late\n"
        "d1 12:01 192.0.2.4 warned late\n"
        "d1 12:01 192.0.2.5 warned late\n"
        "d1 12:01 2001:db8:b:1::80 warned late\n"
        "d1 21:03 192.0.2.4 well\n"
        "d1 21:35 192.0.2.5 well\n"
        /* Three times away for 75 minutes: the probation is 10, 20 and 40 minutes. */
        "d2 01:56 198.51.100.73 warned unreachable\n"
        "d2 02:06 198.51.100.73 out unreachable\n"
        "d2 02:31 198.51.100.73 in\n"
        "d2 04:00 198.51.100.73 warned unreachable\n"
        "d2 04:10 198.51.100.73 out unreachable\n"
        "d2 05:44 198.51.100.73 in\n"
        "d2 07:03 198.51.100.73 warned unreachable\n"
        "d2 07:13 198.51.100.73 out unreachable\n"
        "d2 08:57 198.51.100.73 in\n"
        /* Those of d0 12:00 are two days behind. */
        "d2 12:01 198.51.100.51 out old\n"
        "d2 12:01 2001:db8:b:1::80 out old\n"
        /* Slow from 10:00 to 18:00: the fifth such check, until only four of the last nine are, and one more.
         */
        "d2 14:13 198.51.100.18 out slow\n"
        "d2 22:57 198.51.100.18 in\n"
        "d3 04:11 2001:db8:b:1::80 in\n"
        "d3 04:44 198.51.100.51 in\n"
        /* 403 from 06:00 to 07:00 and 503 until 07:30, which is milder: nothing of that is told. */
        "d3 06:31 198.51.100.25 out refused\n"
        "d3 07:49 198.51.100.25 in\n"
        /* 503 from 09:00 to 11:00. */
        "d3 09:01 198.51.100.4 warned http-error\n"
        "d3 09:11 198.51.100.4 out http-error\n"
        "d3 11:10 198.51.100.4 in\n";

struct replayed {
	char address[ADDR_TEXT_MAX];
	struct standing standing;
};
static struct replayed addresses[ADDRESSES_MAX];
static size_t addresses_n;

static struct replayed *find(const char *address)
{
	for (size_t i = 0; i < addresses_n; i++) {
		if (strcmp(addresses[i].address, address) == 0)
			return &addresses[i];
	}
	assert_true(addresses_n < ADDRESSES_MAX);
	snprintf(addresses[addresses_n].address, ADDR_TEXT_MAX, "%s", address);
	return &addresses[addresses_n++];
}

/* "d1 12:01 192.0.2.4 warned late", "... out old", "... in", "... well". */
static void tell(FILE *log, const struct replayed *replayed, const struct standing *before, uint64_t now_s)
{
	const struct standing *after = &replayed->standing;
	uint64_t passed_s = now_s - START;
	const char *what = NULL, *reason = "";
	if (after->reason != before->reason) {
		what = after->reason ? "out " : "in";
		reason = after->reason ? reason_text(after->reason) : "";
	} else if (after->warning != before->warning) {
		what = after->warning ? "warned " : "well";
		reason = after->warning ? reason_text(after->warning) : "";
	}
	if (what)
		fprintf(log, "d%u %02u:%02u %s %s%s\n", (unsigned)(passed_s / 86400),
		        (unsigned)(passed_s / 3600 % 24), (unsigned)(passed_s / 60 % 60), replayed->address,
		        what, reason);
}

static void replay(FILE *day, FILE *log)
{
	char line[512];
	uint64_t newest_s = 0;
	unsigned checks_n = 0;
	while (fgets(line, sizeof(line), day)) {
		char *rest = line;
		const char *fields[7];
		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < 7; i++) {
			fields[i] = strsep(&rest, ",");
			assert_non_null(fields[i]);
		}
		uint64_t at_s = strtoull(fields[1], NULL, 10);
		if (strcmp(fields[0], "push") == 0) {
			newest_s = strtoull(fields[4], NULL, 10);
			for (size_t i = 0; i < addresses_n; i++) {
				struct standing before = addresses[i].standing;
				standing_pass(&addresses[i].standing, at_s, newest_s, &conf);
				tell(log, &addresses[i], &before, at_s);
			}
			continue;
		}
		struct replayed *replayed = find(fields[2]);
		struct standing before = replayed->standing;
		struct check_result result = { .at_s = at_s,
			                       .reason = fields[3][0] ? reason_from_text(fields[3])
			                                              : REASON_NONE,
			                       .timestamp_s = strtoull(fields[4], NULL, 10),
			                       .total_us = (uint32_t)atoi(fields[5]) * 1000 };
		snprintf(result.detail, sizeof(result.detail), "%s", fields[6]);
		assert_int_not_equal(result.reason, REASON_N);
		standing_observe(&replayed->standing, &result, newest_s, &conf);
		tell(log, replayed, &before, at_s);
		checks_n++;
	}
	assert_in_range(checks_n, addresses_n * 90, addresses_n * 110);
}

static void test_day(void **state)
{
	(void)state;
	FILE *day = popen("python3 tests/data/make-monitor-day.py contrib/clamav.net/mirrors.conf", "r");
	char *text = NULL;
	size_t len = 0;
	FILE *log = open_memstream(&text, &len);
	assert_non_null(day);
	assert_non_null(log);
	replay(day, log);
	assert_int_equal(pclose(day), 0);
	fclose(log);
	assert_int_equal(addresses_n, 203);
	assert_string_equal(text, expected);
	for (size_t i = 0; i < addresses_n; i++)
		assert_int_equal(addresses[i].standing.reason, REASON_NONE);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_day) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
