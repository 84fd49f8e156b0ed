/* mirrormon's history: what goes in comes out, means are those of the rows, and no file system can stop it.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirrormon/history_int.h"

#define T0 1795244400U /* 2026-11-21 07:00:00 UTC, a whole hour */

static char dir[64];
static char path[128];
static struct diag diag;
static bool has_namespace;
static struct rlimit file_limit;

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/mirrormon-history-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/history.db", dir);
	diag_init(&diag);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	char command[128];
	diag_fini(&diag);
	setrlimit(RLIMIT_FSIZE, &file_limit);
	umount2(dir, MNT_DETACH);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct history *open_at(const char *at, bool read_only)
{
	struct history *history;
	assert_int_equal(history_open(at, read_only, &diag, &history), 0);
	return history;
}

/* The messages since the last call hold this; "" = there are none. */
static void check_told(const char *what)
{
	char all[4096] = "";
	for (size_t i = 0;
	     i < diag.messages_n && strlen(all) + strlen(diag.messages[i].text) < sizeof(all) - 2; i++)
		strcat(strcat(all, diag.messages[i].text), "\n");
	if (*what ? !strstr(all, what) : *all)
		fail_msg("wanted \"%s\", told:\n%s", what, all);
	diag_fini(&diag);
}

static struct addr parse(const char *text)
{
	struct addr addr;
	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

static void add_good(struct history *history, const char *host, const char *address, uint64_t at_s)
{
	struct addr addr = parse(address);
	struct check_result result = { .at_s = at_s, .timestamp_s = at_s - 600, .total_us = 20000 };
	assert_int_equal(history_add_result(history, host, &addr, &result, REASON_NONE), 0);
}

static size_t checks_n(struct history *history, const char *host)
{
	static struct history_check checks[2000];
	return history_checks(history, host, checks, 2000);
}

static void flush(struct history *history)
{
	assert_int_equal(history_flush(history, &diag), 0);
}

static void run_shell(const char *format, ...)
{
	char command[512];
	va_list args;
	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_int_equal(system(command), 0);
}

static size_t files_n(const char *pattern)
{
	char command[256];
	snprintf(command, sizeof(command), "ls -d %s/%s 2>/dev/null | wc -l", dir, pattern);
	FILE *out = popen(command, "r");
	assert_non_null(out);
	size_t n = 99;
	assert_int_equal(fscanf(out, "%zu", &n), 1);
	pclose(out);
	return n;
}

/* --- in and out --- */

static void fill(struct history *history)
{
	struct addr v4 = parse("192.0.2.1");
	struct addr v6 = parse("2001:db8::1");
	struct check_result result = {
		.at_s = T0 + 10,
		.timestamp_s = T0 - 590,
		.warnings = CHECK_WARN_NO_304,
		.deep = true,
		.connect_us = 1000,
		.first_us = 2000,
		.total_us = 5000,
		.databases = { { 62, T0 - 90000, 0 }, { 27000, T0 - 3600, 0x3ff }, { 333, 7, 0 } },
	};
	assert_int_equal(history_add_result(history, "m1.de.example", &v4, &result, REASON_NONE), 0);
	struct check_result bad = { .at_s = T0 + 20, .reason = REASON_HTTP_ERROR };
	strcpy(bad.detail, "GET /timestamp: 503");
	assert_int_equal(history_add_result(history, "m1.de.example", &v6, &bad, REASON_UNREACHABLE), 0);
	result.brief = true;
	result.at_s = T0 + 30;
	assert_int_equal(history_add_result(history, "m1.de.example", &v4, &result, REASON_NONE), 0);
	assert_int_equal(history_add_change(history, T0 + 20, "m1.de.example", &v6, REASON_NONE,
	                                    REASON_UNREACHABLE, "three times"),
	                 0);
	assert_int_equal(
	        history_add_change(history, T0 + 21, "m2.fr.example", NULL, REASON_OLD, REASON_NONE, NULL),
	        0);
	assert_int_equal(
	        history_add_change(history, T0 + 22, NULL, NULL, REASON_NONE, REASON_NONE, "self-test"), 0);
	assert_int_equal(history_add_version(history, T0 + 5, "m2.fr.example", "daily", 27000), 0);
	assert_int_equal(history_add_version(history, T0 + 9, "m1.de.example", "daily", 27001), 0);
	assert_int_equal(history_add_version(history, T0 + 60, "m2.fr.example", "daily", 27001), 0);
	assert_int_equal(history_add_version(history, T0 + 90, "m2.fr.example", "daily", 27001), 0);
	assert_int_equal(history_add_version(history, T0 + 3, "m2.fr.example", "main", 62), 0);
}

static void check_filled(struct history *history)
{
	struct history_check checks[5];
	char text[ADDR_TEXT_MAX];
	assert_int_equal(history_checks(history, "m1.de.example", checks, 5), 2);
	assert_int_equal(checks[0].at_s, T0 + 20);
	assert_string_equal(addr_format(&checks[0].addr, text, sizeof(text)), "2001:db8::1");
	assert_int_equal(checks[0].result.reason, REASON_HTTP_ERROR);
	assert_int_equal(checks[0].state, REASON_UNREACHABLE);
	assert_string_equal(checks[0].result.detail, "GET /timestamp: 503");
	assert_int_equal(checks[1].result.at_s, T0 + 10);
	assert_int_equal(checks[1].result.timestamp_s, T0 - 590);
	assert_int_equal(checks[1].result.warnings, CHECK_WARN_NO_304);
	assert_true(checks[1].result.deep && !checks[1].result.brief);
	assert_int_equal(checks[1].result.connect_us, 1000);
	assert_int_equal(checks[1].result.first_us, 2000);
	assert_int_equal(checks[1].result.total_us, 5000);
	assert_int_equal(checks[1].result.databases[1].version, 27000);
	assert_int_equal(checks[1].result.databases[1].cdiffs, 0x3ff);
	assert_int_equal(checks[1].result.databases[2].built_s, 7);
	assert_int_equal(history_checks(history, "m1.de.example", checks, 1), 1);
	assert_int_equal(checks[0].at_s, T0 + 20);
	assert_int_equal(history_checks(history, "m9.example", checks, 5), 0);

	struct history_event events[5];
	assert_int_equal(history_events(history, NULL, events, 5), 3);
	assert_string_equal(events[0].host, "");
	assert_string_equal(events[0].detail, "self-test");
	assert_string_equal(events[1].host, "m2.fr.example");
	assert_int_equal(events[1].addr.family, 0);
	assert_int_equal(events[1].from, REASON_OLD);
	assert_int_equal(history_events(history, "m1.de.example", events, 5), 1);
	assert_string_equal(events[0].host, "m1.de.example");
	assert_int_equal(events[0].addr.family, 6);
	assert_int_equal(events[0].to, REASON_UNREACHABLE);
	assert_int_equal(history_events(history, "", events, 5), 1);
	assert_string_equal(events[0].detail, "self-test");
	assert_int_equal(history_events(history, NULL, events, 2), 2);

	struct history_arrival arrivals[5];
	assert_int_equal(history_arrivals(history, "daily", 27000, arrivals, 5), 2);
	assert_string_equal(arrivals[0].host, "m2.fr.example");
	assert_int_equal(arrivals[0].at_s, T0 + 5);
	assert_string_equal(arrivals[1].host, "m1.de.example");
	assert_int_equal(arrivals[1].at_s, T0 + 9);
	assert_int_equal(history_arrivals(history, "daily", 27001, arrivals, 5), 2);
	assert_int_equal(arrivals[1].at_s, T0 + 60);
	assert_int_equal(history_arrivals(history, "daily", 27002, arrivals, 5), 0);
	uint32_t versions[4];
	assert_int_equal(history_versions(history, "daily", versions, 4), 2);
	assert_int_equal(versions[0], 27001);
	assert_int_equal(history_versions(history, "bytecode", versions, 4), 0);

	struct history_span spans[2];
	assert_int_equal(history_spans(history, "m1.de.example", NULL, T0 + 3600, 3600, spans, 2), 0);
	assert_int_equal(spans[0].checks_n, 0);
	assert_int_equal(spans[1].from_s, T0);
	assert_int_equal(spans[1].checks_n, 2);
	assert_int_equal(spans[1].good_n, 1);
	assert_int_equal(spans[1].out_n, 1);
	assert_int_equal(spans[1].worst, REASON_UNREACHABLE);
	assert_int_equal(spans[1].total_ms_mean, 5);
	assert_int_equal(spans[1].age_s_mean, 600);
	struct addr v4 = parse("192.0.2.1");
	assert_int_equal(history_spans(history, "m1.de.example", &v4, T0 + 3600, 3600, spans, 1), 0);
	assert_int_equal(spans[0].checks_n, 1);
	assert_int_equal(history_spans(history, "m1.de.example", &v4, T0, 0, spans, 1), -EINVAL);
}

static void test_in_and_out(void **state)
{
	(void)state;
	struct history *history = open_at(path, false);
	struct history *reader = open_at(path, true);
	fill(history);
	assert_int_equal(checks_n(history, "m1.de.example"), 0);
	flush(history);
	check_filled(history);
	check_filled(reader);
	history_close(reader);
	history_close(history);
	/* A reader that is there before the writer, and what a new process finds. */
	history = open_at(path, false);
	check_filled(history);
	fill(history);
	history_close(history);
	reader = open_at(path, true);
	assert_int_equal(checks_n(reader, "m1.de.example"), 4);
	history_close(reader);
	check_told("");
}

static void test_reader_first(void **state)
{
	(void)state;
	struct history *reader = open_at(path, true);
	assert_int_equal(checks_n(reader, "m1.de.example"), 0);
	struct history *history = open_at(path, false);
	fill(history);
	flush(history);
	check_filled(reader);
	history_close(history);
	history_close(reader);
	check_told("");
}

static void test_in_memory(void **state)
{
	(void)state;
	struct history *history = open_at(NULL, false);
	struct history *reader = open_at(NULL, true);
	fill(history);
	flush(history);
	check_filled(history);
	check_filled(reader);
	history_close(reader);
	history_close(history);
	history = open_at(NULL, false);
	assert_int_equal(checks_n(history, "m1.de.example"), 0);
	history_close(history);
	check_told("");
}

/* Texts of others come out as printable ASCII that fits, whatever went in. */
static void test_hostile_texts(void **state)
{
	(void)state;
	struct history *history = open_at(path, false);
	char host[600];
	memset(host, 'h', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	struct addr addr = parse("192.0.2.1");
	struct check_result result = { .at_s = T0, .reason = REASON_WRONG_CONTENT, .brief = true };
	memset(result.detail, 'd', sizeof(result.detail));
	memcpy(result.detail, "\x1b[2J\n'); DROP TABLE results; --", 31);
	history_add_result(history, host, &addr, &result, REASON_NONE);
	history_add_change(history, T0, host, NULL, REASON_NONE, REASON_OLD, "a\r\nb\xff");
	flush(history);
	struct history_event events[2];
	assert_int_equal(history_events(history, NULL, events, 2), 1);
	assert_int_equal(strlen(events[0].host), 255);
	assert_string_equal(events[0].detail, "a??b?");
	struct history_check checks[2];
	assert_int_equal(history_checks(history, events[0].host, checks, 2), 1);
	assert_true(checks[0].result.brief);
	assert_int_equal(strlen(checks[0].result.detail), MODEL_DETAIL_MAX - 1);
	assert_memory_equal(checks[0].result.detail, "?[2J?'); DROP TABLE results; --d", 32);
	history_close(history);
}

/* --- plans --- */

/* No query reads a whole table, but the one that asks every mirror. */
static void test_plans(void **state)
{
	(void)state;
	struct history *history = open_at(path, false);
	size_t lines_n = 0;
	for (enum history_sql sql = 0; sql < HISTORY_SQL_N; sql++) {
		char text[2048];
		sqlite3_stmt *plan;
		snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", history_sql_text(sql));
		assert_int_equal(sqlite3_prepare_v2(history->db, text, -1, &plan, NULL), SQLITE_OK);
		while (sqlite3_step(plan) == SQLITE_ROW) {
			const char *line = (const char *)sqlite3_column_text(plan, 3);
			bool may_scan = (sql == HISTORY_ARRIVALS && strncmp(line, "SCAN m", 6) == 0) ||
			                /* three databases; what a subquery has read by its index */
			                (sql == HISTORY_PRUNE_MIRROR && strncmp(line, "SCAN d", 6) == 0) ||
			                strncmp(line, "SCAN (subquery", 14) == 0 ||
			                strncmp(line, "SCAN n", 6) == 0;
			if (strncmp(line, "SCAN", 4) == 0 && !may_scan)
				fail_msg("%s\n%s", line, history_sql_text(sql));
			lines_n++;
		}
		sqlite3_finalize(plan);
	}
	assert_true(lines_n > 30);
	history_close(history);
}

/* --- means --- */

static uint64_t random_state = 88172645463325252U;

static uint32_t draw(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state % n);
}

#define ROWS_N  4000
#define HOURS_N 48
static const char *const addresses[] = { "192.0.2.1", "2001:db8::1", "192.0.2.2" };

/* Spans by hand, of rows of one address, or of the first two, which are one mirror's. */
static void sum_by_hand(const struct check_result *results, const enum reason *states, const unsigned *of,
                        int address, struct history_span *span)
{
	uint64_t total_us = 0;
	uint64_t timed_n = 0;
	uint64_t age_s = 0;
	uint64_t aged_n = 0;
	uint64_t until_s = span->from_s + 3600;
	for (size_t i = 0; i < ROWS_N; i++) {
		const struct check_result *result = &results[i];
		if ((address < 0 ? of[i] > 1 : of[i] != (unsigned)address) || result->at_s < span->from_s ||
		    result->at_s >= until_s)
			continue;
		span->checks_n++;
		span->good_n += result->reason == REASON_NONE;
		span->out_n += states[i] != REASON_NONE;
		if (result->reason > span->worst)
			span->worst = result->reason;
		if (states[i] > span->worst)
			span->worst = states[i];
		if (result->reason == REASON_NONE && result->total_us) {
			total_us += result->total_us;
			timed_n++;
		}
		if (result->timestamp_s) {
			age_s += result->timestamp_s < result->at_s ? result->at_s - result->timestamp_s : 0;
			aged_n++;
		}
	}
	span->total_ms_mean = timed_n ? (uint32_t)(total_us / 1000 / timed_n) : 0;
	span->age_s_mean = aged_n ? (uint32_t)(age_s / aged_n) : 0;
}

static void check_spans(struct history *history, const struct check_result *results,
                        const enum reason *states, const unsigned *of)
{
	for (int address = -1; address < 3; address++) {
		struct history_span spans[HOURS_N];
		struct addr addr = parse(addresses[address < 0 ? 0 : address]);
		assert_int_equal(history_spans(history, address < 2 ? "m1.example" : "m2.example",
		                               address < 0 ? NULL : &addr, T0 + HOURS_N * 3600, 3600, spans,
		                               HOURS_N),
		                 0);
		for (size_t i = 0; i < HOURS_N; i++) {
			struct history_span want = { .from_s = T0 + 3600 * i };
			sum_by_hand(results, states, of, address, &want);
			assert_int_equal(spans[i].from_s, want.from_s);
			assert_int_equal(spans[i].checks_n, want.checks_n);
			assert_int_equal(spans[i].good_n, want.good_n);
			assert_int_equal(spans[i].out_n, want.out_n);
			assert_int_equal(spans[i].worst, want.worst);
			assert_int_equal(spans[i].total_ms_mean, want.total_ms_mean);
			assert_int_equal(spans[i].age_s_mean, want.age_s_mean);
		}
	}
}

/* Hours of random rows come to the same from the rows, half pruned in slices of any size, and from means. */
static void test_means_equal_rows(void **state)
{
	(void)state;
	static struct check_result results[ROWS_N];
	static enum reason states[ROWS_N];
	static unsigned of[ROWS_N];
	struct history *history = open_at(path, false);
	for (size_t i = 0; i < ROWS_N; i++) {
		of[i] = draw(3);
		states[i] = draw(4) ? REASON_NONE : (enum reason)draw(REASON_N);
		results[i] = (struct check_result){
			.at_s = T0 + draw(HOURS_N * 3600),
			.reason = draw(3) ? REASON_NONE : (enum reason)draw(REASON_N),
			.total_us = draw(5) ? draw(30000000) : 0,
		};
		results[i].timestamp_s = draw(5) ? results[i].at_s + 1000 - draw(200000) : 0;
		struct addr addr = parse(addresses[of[i]]);
		assert_int_equal(history_add_result(history, of[i] < 2 ? "m1.example" : "m2.example", &addr,
		                                    &results[i], states[i]),
		                 0);
	}
	flush(history);
	check_spans(history, results, states, of);
	size_t slices_n = 0;
	for (uint64_t now_s = T0 + HISTORY_RAW_S; now_s <= T0 + HISTORY_RAW_S + HOURS_N * 3600;
	     now_s += 8 * 3600 + 77) {
		while (history_prune(history, now_s, 1 + draw(60), &diag) == 1)
			slices_n++;
		check_spans(history, results, states, of);
	}
	while (history_prune(history, T0 + HISTORY_RAW_S + (HOURS_N + 25) * 3600, 30, &diag) == 1)
		slices_n++;
	assert_true(slices_n > 20);
	assert_int_equal(checks_n(history, "m1.example"), 0);
	assert_int_equal(checks_n(history, "m2.example"), 0);
	check_spans(history, results, states, of);
	/* A row that comes late joins its hour. */
	struct addr addr = parse("192.0.2.2");
	struct history_span spans[2];
	assert_int_equal(history_spans(history, "m2.example", NULL, T0 + 3600, 3600, spans, 1), 0);
	history_add_result(history, "m2.example", &addr, &(struct check_result){ .at_s = T0 }, REASON_NONE);
	flush(history);
	while (history_prune(history, T0 + HISTORY_RAW_S + (HOURS_N + 25) * 3600, 30, &diag) == 1)
		;
	assert_int_equal(history_spans(history, "m2.example", NULL, T0 + 3600, 3600, spans + 1, 1), 0);
	assert_int_equal(spans[1].checks_n, spans[0].checks_n + 1);
	history_close(history);
	check_told("");
}

static int count(const char *table)
{
	sqlite3 *db;
	sqlite3_stmt *statement;
	char text[128];
	snprintf(text, sizeof(text), "SELECT count(*) FROM %s", table);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int n = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return n;
}

/* After a year nothing is left but numbers, and what a clock that was ahead has written is out at once. */
static void test_a_year_later(void **state)
{
	(void)state;
	struct history *history = open_at(path, false);
	fill(history);
	add_good(history, "m3.example", "192.0.2.3", T0 + 40 * 86400);
	flush(history);
	struct address_view address = { .addr = parse("192.0.2.1") };
	struct mirror_view mirror = { .host = "m1.de.example", .addrs = &address, .addrs_n = 1 };
	struct view view = { .mirrors = &mirror, .mirrors_n = 1 };
	assert_int_equal(history_save_standings(history, &view, &diag), 0);
	assert_int_equal(history_set_number(history, "serial", 7), 0);
	while (history_prune(history, T0 + 3600, 100, &diag) == 1)
		;
	assert_int_equal(checks_n(history, "m3.example"), 0);
	assert_int_equal(checks_n(history, "m1.de.example"), 2);
	assert_int_equal(count("addresses"), 2);
	while (history_prune(history, T0 + HISTORY_RAW_S + 86400 + 3600, 100, &diag) == 1)
		;
	assert_int_equal(count("results"), 0);
	assert_int_equal(count("hours"), 2);
	assert_int_equal(count("changes"), 3);
	while (history_prune(history, T0 + HISTORY_YEAR_S + 3600, 1, &diag) == 1)
		;
	while (history_prune(history, T0 + HISTORY_YEAR_S + 3600, 100, &diag) == 1)
		;
	static const char *const tables[] = { "hours",     "changes", "arrivals", "versions",
		                              "addresses", "mirrors", "standings" };
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (count(tables[i]) != 0)
			fail_msg("%s: %d rows", tables[i], count(tables[i]));
	}
	assert_int_equal(history_get_number(history, "serial"), 7);
	history_close(history);
	check_told("");
}

/* --- standings and numbers --- */

static void test_standings(void **state)
{
	(void)state;
	struct address_view addrs[2] = { { .addr = parse("192.0.2.1") }, { .addr = parse("2001:db8::1") } };
	struct mirror_view mirror = { .host = "m1.de.example", .addrs = addrs, .addrs_n = 2 };
	struct view view = { .mirrors = &mirror, .mirrors_n = 1 };
	addrs[0].standing.reason = REASON_OLD;
	addrs[0].standing.since_s = T0;
	addrs[0].standing.outs_s[7] = 5;
	strcpy(addrs[0].standing.detail, "why");
	struct history *history = open_at(path, false);
	assert_int_equal(history_save_standings(history, &view, &diag), 0);
	addrs[1].standing.failures_n = 2;
	assert_int_equal(history_save_standings(history, &view, &diag), 0);
	history_close(history);
	history = open_at(path, false);
	struct standing standing;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(history_load_standing(history, "m1.de.example", &addrs[i].addr, &standing),
		                 1);
		assert_memory_equal(&standing, &addrs[i].standing, sizeof(standing));
	}
	assert_int_equal(history_load_standing(history, "m2.de.example", &addrs[0].addr, &standing), 0);
	/* Bytes that are another's, and those of another version: dropped, not misread. */
	sqlite3_exec(history->db, "UPDATE standings SET bytes = zeroblob(length(bytes)) WHERE rowid = 1",
	             NULL, NULL, NULL);
	assert_int_equal(history_load_standing(history, "m1.de.example", &addrs[0].addr, &standing), 0);
	sqlite3_exec(history->db, "UPDATE standings SET layout = layout - 1 WHERE rowid = 2", NULL, NULL,
	             NULL);
	assert_int_equal(history_load_standing(history, "m1.de.example", &addrs[1].addr, &standing), 0);
	sqlite3_exec(history->db, "UPDATE standings SET bytes = x'00' WHERE rowid = 1", NULL, NULL, NULL);
	assert_int_equal(history_load_standing(history, "m1.de.example", &addrs[0].addr, &standing), 0);
	history_close(history);
	check_told("");
	history = open_at(path, false);
	check_told("2 standings of mirrors are of another version");
	assert_int_equal(count("standings"), 0);
	history_close(history);
}

static void test_numbers(void **state)
{
	(void)state;
	struct history *history = open_at(path, false);
	assert_int_equal(history_get_number(history, "serial"), 0);
	assert_int_equal(history_set_number(history, "serial", 41), 0);
	assert_int_equal(history_set_number(history, "serial", UINT64_MAX), 0);
	assert_int_equal(history_get_number(history, "serial"), UINT64_MAX);
	char key[80];
	memset(key, 'k', sizeof(key));
	key[79] = '\0';
	assert_int_equal(history_set_number(history, key, 1), -EINVAL);
	for (unsigned i = 1; i < HISTORY_NUMBERS_MAX; i++) {
		snprintf(key, sizeof(key), "number-%u", i);
		assert_int_equal(history_set_number(history, key, i), 0);
	}
	assert_int_equal(history_set_number(history, "one more", 1), -ENOBUFS);
	history_close(history);
	history = open_at(path, false);
	assert_int_equal(history_get_number(history, "serial"), UINT64_MAX);
	assert_int_equal(history_get_number(history, "number-63"), 63);
	history_close(history);
	check_told("");
}

/* --- a file system that is not well --- */

/* rc 0: any error. It fails, is told once, keeps the rows; then it is well, is told, and all rows are there.
 */
static void check_fails(struct history *history, int rc, const char *told)
{
	add_good(history, "m1.example", "192.0.2.1", T0 + 1);
	int failed = history_flush(history, &diag);
	assert_true(rc ? failed == rc : failed < 0);
	check_told(told);
	add_good(history, "m1.example", "192.0.2.1", T0 + 2);
	assert_int_equal(history_flush(history, &diag), failed);
	assert_int_equal(history_flush(history, &diag), failed);
	history_set_number(history, "serial", 9);
	assert_int_equal(history_get_number(history, "serial"), 9);
	check_told("");
}

static void check_recovers(struct history *history, size_t rows_n)
{
	flush(history);
	check_told("can be written again");
	assert_int_equal(checks_n(history, "m1.example"), rows_n);
	flush(history);
	check_told("");
	history_close(history);
	history = open_at(path, false);
	assert_int_equal(checks_n(history, "m1.example"), rows_n);
	assert_int_equal(history_get_number(history, "serial"), 9);
	history_close(history);
	check_told("");
}

static void mount_small(const char *options)
{
	if (!has_namespace)
		skip();
	assert_int_equal(mount("tmpfs", dir, "tmpfs", 0, options), 0);
}

static void test_full_disk(void **state)
{
	(void)state;
	mount_small("size=600k");
	struct history *history = open_at(path, false);
	add_good(history, "m1.example", "192.0.2.1", T0);
	flush(history);
	run_shell("dd if=/dev/zero of=%s/ballast bs=4k 2>/dev/null; true", dir);
	for (unsigned i = 0; i < 5000; i++)
		add_good(history, "m2.example", "192.0.2.2", T0 + i);
	check_fails(history, -ENOSPC, "No space left");
	run_shell("rm %s/ballast", dir);
	check_recovers(history, 3);
}

/* The same where mounting is not allowed: a file that may not grow. */
static void test_file_limit(void **state)
{
	(void)state;
	struct history *history = open_at(path, false);
	add_good(history, "m1.example", "192.0.2.1", T0);
	flush(history);
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit small = { 120000, file_limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (unsigned i = 0; i < 5000; i++)
		add_good(history, "m2.example", "192.0.2.2", T0 + i);
	check_fails(history, 0, "can't be used");
	setrlimit(RLIMIT_FSIZE, &file_limit);
	signal(SIGXFSZ, SIG_DFL);
	check_recovers(history, 3);
}

static void test_locked(void **state)
{
	(void)state;
	int up[2];
	int down[2];
	char byte;
	struct history *history = open_at(path, false);
	add_good(history, "m1.example", "192.0.2.1", T0);
	flush(history);
	assert_int_equal(pipe(up) | pipe(down), 0);
	pid_t child = fork();
	if (child == 0) {
		/* A process with an SQLite of its own: one can't be shared over a fork. */
		dup2(down[0], 0);
		dup2(up[1], 1);
		close(down[1]);
		execlp("sqlite3", "sqlite3", path, (char *)NULL);
		_exit(1);
	}
	static const char lock[] = "BEGIN IMMEDIATE; SELECT 1;\n";
	assert_int_equal(write(down[1], lock, sizeof(lock) - 1), sizeof(lock) - 1);
	assert_int_equal(read(up[0], &byte, 1), 1);
	assert_int_equal(byte, '1');
	struct timespec from;
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &from);
	check_fails(history, -EBUSY, "another process has locked it");
	clock_gettime(CLOCK_MONOTONIC, &until);
	/* Four tries: it never waits long. */
	assert_true(until.tv_sec - from.tv_sec < 4);
	assert_int_equal(checks_n(history, "m1.example"), 1);
	close(down[1]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	close(down[0]);
	close(up[0]);
	close(up[1]);
	check_recovers(history, 3);
}

static void test_read_only_folder(void **state)
{
	(void)state;
	mount_small("size=2m");
	struct history *history = open_at(path, false);
	add_good(history, "m1.example", "192.0.2.1", T0);
	history_close(history);
	assert_int_equal(mount("tmpfs", dir, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=2m"), 0);
	history = open_at(path, false);
	check_told("can't be used");
	add_good(history, "m1.example", "192.0.2.1", T0 + 1);
	assert_true(history_flush(history, &diag) < 0);
	check_told("");
	assert_int_equal(mount("tmpfs", dir, "tmpfs", MS_REMOUNT, "size=2m"), 0);
	flush(history);
	check_told("can be written again");
	assert_int_equal(checks_n(history, "m1.example"), 2);
	history_close(history);
}

static void test_no_folder(void **state)
{
	(void)state;
	run_shell("rmdir %s", dir);
	struct history *history = open_at(path, false);
	check_told("can't be used: No such file");
	add_good(history, "m1.example", "192.0.2.1", T0);
	assert_int_equal(history_flush(history, &diag), -ENOENT);
	assert_int_equal(history_set_number(history, "serial", 9), -ENOENT);
	check_told("");
	run_shell("mkdir %s", dir);
	check_recovers(history, 1);
}

static void test_removed(void **state)
{
	(void)state;
	struct history *history = open_at(path, false);
	struct history *reader = open_at(path, true);
	fill(history);
	flush(history);
	check_filled(reader);
	run_shell("rm %s*", path);
	assert_int_equal(history_set_number(history, "serial", 9), 0);
	fill(history);
	flush(history);
	check_filled(history);
	check_filled(reader);
	assert_int_equal(history_get_number(history, "serial"), 9);
	/* Its log stays behind, and must not be taken for the new one's. */
	run_shell("rm %s", path);
	flush(history);
	add_good(history, "m2.example", "192.0.2.1", T0);
	flush(history);
	assert_int_equal(checks_n(reader, "m2.example"), 1);
	assert_int_equal(checks_n(history, "m1.de.example"), 0);
	add_good(history, "m2.example", "192.0.2.1", T0);
	flush(history);
	assert_int_equal(checks_n(reader, "m2.example"), 2);
	check_told("it was removed or replaced while in use");
	add_good(history, "m1.example", "192.0.2.1", T0);
	run_shell("rm -r %s", dir);
	assert_int_equal(history_flush(history, &diag), -ENOENT);
	assert_int_equal(checks_n(reader, "m1.de.example"), 0);
	run_shell("mkdir %s", dir);
	flush(history);
	assert_int_equal(checks_n(reader, "m1.example"), 1);
	history_close(reader);
	history_close(history);
	check_told("can be written again");
}

static void write_bytes(const char *at, long offset, size_t len, char byte)
{
	FILE *file = fopen(at, "r+");
	if (!file)
		file = fopen(at, "w");
	assert_non_null(file);
	fseek(file, offset, SEEK_SET);
	while (len--)
		fputc(byte, file);
	assert_int_equal(fclose(file), 0);
}

static void test_damaged(void **state)
{
	(void)state;
	/* No database. */
	write_bytes(path, 0, 5000, 'x');
	struct history *history = open_at(path, false);
	check_told("it was damaged and is now");
	fill(history);
	flush(history);
	check_filled(history);
	history_close(history);
	assert_int_equal(files_n("history.db.damaged-*[0-9]"), 1);
	run_shell("rm %s.damaged-*", path);
	/* Cut. */
	assert_int_equal(truncate(path, 20000), 0);
	history = open_at(path, false);
	fill(history);
	flush(history);
	check_told("it was damaged and is now");
	check_filled(history);
	history_close(history);
	/* Every page but the first, while it is closed. */
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	write_bytes(path, 4096, (size_t)st.st_size - 4096, '\xa5');
	history = open_at(path, false);
	fill(history);
	flush(history);
	check_told("it was damaged and is now");
	check_filled(history);
	history_close(history);
	/* Emptied: begun anew where it is. */
	assert_int_equal(truncate(path, 0), 0);
	history = open_at(path, false);
	fill(history);
	flush(history);
	check_filled(history);
	history_close(history);
	assert_int_equal(truncate(path, 100), 0);
	history = open_at(path, false);
	check_told("it was damaged and is now");
	history_close(history);
	run_shell("rm %s.damaged-*", path);
	/* A disk that dies must not be filled with copies. */
	for (unsigned i = 1; i < 6; i++) {
		char old[160];
		snprintf(old, sizeof(old), "%s.damaged-%u", path, i);
		write_bytes(old, 0, 1, 'x');
	}
	write_bytes(path, 0, 5000, 'x');
	history = open_at(path, false);
	check_told("it was damaged and is now");
	assert_int_equal(files_n("history.db.damaged-*[0-9]"), 3);
	history_close(history);
}

/* A page that only a reader comes to: the writer hears of it, and the reader has the new file by itself. */
static void test_damaged_under_reader(void **state)
{
	(void)state;
	struct history *history = open_at(path, false);
	for (unsigned i = 0; i < 3000; i++)
		add_good(history, "m1.example", "192.0.2.1", T0 + i);
	history_close(history);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	/* The first pages hold the tables' roots. */
	write_bytes(path, 30 * 4096, (size_t)st.st_size - 30 * 4096, '\xa5');
	history = open_at(path, false);
	struct history *reader = open_at(path, true);
	check_told("");
	struct history_span spans[1];
	assert_int_equal(history_spans(reader, "m1.example", NULL, T0 + 86400, 86400, spans, 1), -EUCLEAN);
	assert_int_equal(files_n("history.db.damaged"), 1);
	add_good(history, "m2.example", "192.0.2.2", T0);
	flush(history);
	check_told("it was damaged and is now");
	assert_int_equal(files_n("history.db.damaged"), 0);
	assert_int_equal(history_spans(reader, "m2.example", NULL, T0 + 86400, 86400, spans, 1), 0);
	assert_int_equal(spans[0].checks_n, 1);
	flush(history);
	check_told("");
	history_close(reader);
	history_close(history);
	assert_int_equal(files_n("history.db.damaged-*[0-9]"), 1);
}

/* Emptied while it is open, which no program should do: it goes on with a new one. */
static void test_emptied_while_open(void **state)
{
	(void)state;
	struct history *history = open_at(path, false);
	for (unsigned i = 0; i < 3000; i++)
		add_good(history, "m2.example", "192.0.2.1", T0 + i);
	flush(history);
	sqlite3_exec(history->db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
	run_shell("truncate -s 0 %s", path);
	for (unsigned i = 0; i < 3; i++) {
		add_good(history, "m1.example", "192.0.2.1", T0 + i);
		if (history_flush(history, &diag) == 0 && checks_n(history, "m1.example") == i + 1)
			break;
	}
	history_flush(history, &diag);
	assert_true(checks_n(history, "m1.example") >= 1);
	history_close(history);
}

static void test_not_ours(void **state)
{
	(void)state;
	run_shell("sqlite3 %s 'CREATE TABLE mails (text); INSERT INTO mails VALUES (1)'", path);
	struct history *history = open_at(path, false);
	check_told("of another program, or of a newer mirrormon");
	add_good(history, "m1.example", "192.0.2.1", T0);
	assert_int_equal(history_flush(history, &diag), -EMEDIUMTYPE);
	history_close(history);
	assert_int_equal(count("mails"), 1);
	run_shell("rm %s", path);
	history_close(open_at(path, false));
	run_shell("sqlite3 %s 'PRAGMA user_version = 2'", path);
	history_close(open_at(path, false));
	check_told("of another program, or of a newer mirrormon");
	assert_int_equal(files_n("history.db.damaged*"), 0);
}

/* For a year without a disk: bounded, and changes are kept longest. */
static void test_bounded(void **state)
{
	(void)state;
	run_shell("rmdir %s", dir);
	struct history *history = open_at(path, false);
	struct addr addr = parse("192.0.2.1");
	struct check_result result = { .at_s = T0 };
	unsigned kept_n = 0;
	for (unsigned i = 0; i < HISTORY_KEPT_MAX + 5; i++)
		kept_n += history_add_result(history, "m1.example", &addr, &result, REASON_NONE) == 0;
	assert_in_range(kept_n, HISTORY_KEPT_MAX / 2, HISTORY_KEPT_MAX - 1);
	assert_int_equal(history_add_change(history, T0, "m1.example", NULL, REASON_NONE, REASON_OLD, "kept"),
	                 0);
	for (unsigned i = 0; i < HISTORY_KEPT_MAX; i++)
		history_add_change(history, T0, "m1.example", NULL, REASON_NONE, REASON_OLD, "");
	assert_int_equal(history_add_change(history, T0, "m1.example", NULL, REASON_NONE, REASON_OLD, ""),
	                 -ENOBUFS);
	run_shell("mkdir %s", dir);
	int rc;
	size_t flushes_n = 1;
	while ((rc = history_flush(history, &diag)) == 1)
		flushes_n++;
	assert_int_equal(rc, 0);
	assert_int_equal(flushes_n, HISTORY_KEPT_MAX / 10000);
	check_told("that could not be written are lost");
	assert_int_equal(count("results"), kept_n);
	history_close(history);
}

/* 2,000 mirrors with both families, as a whole pass of checks leaves them. */
static void test_large(void **state)
{
	(void)state;
	struct history *history = open_at(path, false);
	struct timespec t[4];
	clock_gettime(CLOCK_MONOTONIC, &t[0]);
	for (unsigned i = 0; i < 2000; i++) {
		char host[32];
		char address[32];
		snprintf(host, sizeof(host), "m%u.example", i);
		snprintf(address, sizeof(address), "192.0.%u.%u", i / 200, i % 200);
		add_good(history, host, address, T0 + i);
		snprintf(address, sizeof(address), "2001:db8::%x", i + 1);
		add_good(history, host, address, T0 + i);
	}
	flush(history);
	clock_gettime(CLOCK_MONOTONIC, &t[1]);
	struct history_span spans[14];
	for (unsigned i = 0; i < 2000; i++) {
		char host[32];
		snprintf(host, sizeof(host), "m%u.example", i);
		assert_int_equal(history_spans(history, host, NULL, T0 + 86400, 86400, spans, 14), 0);
		assert_int_equal(spans[13].checks_n, 2);
	}
	clock_gettime(CLOCK_MONOTONIC, &t[2]);
	while (history_prune(history, T0 + HISTORY_RAW_S + 2 * 86400, 1000, &diag) == 1)
		;
	clock_gettime(CLOCK_MONOTONIC, &t[3]);
	for (int i = 0; i < 3; i++)
		print_message("%s: %ld ms\n", (const char *const[]){ "flush", "spans", "prune" }[i],
		              (t[i + 1].tv_sec - t[i].tv_sec) * 1000 +
		                      (t[i + 1].tv_nsec - t[i].tv_nsec) / 1000000);
	assert_int_equal(count("hours"), 4000);
	history_close(history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_and_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plans, setup, teardown),
		cmocka_unit_test_setup_teardown(test_means_equal_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_year_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_standings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_under_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_emptied_while_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large, setup, teardown),
	};
	getrlimit(RLIMIT_FSIZE, &file_limit);
	has_namespace = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
