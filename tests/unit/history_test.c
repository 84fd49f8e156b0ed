/* mirrormon's history: what goes in comes out, and means are those of the rows. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/unit/support/history_fixture.h"

static void test_in_and_out(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(history_path, false);
	struct history *reader = history_fixture_open(history_path, true);
	history_fixture_fill(history);
	assert_int_equal(history_fixture_checks_n(history, "m1.de.example"), 0);
	history_fixture_flush(history);
	history_fixture_check_filled(history);
	history_fixture_check_filled(reader);
	history_close(reader);
	history_close(history);
	/* A reader that is there before the writer, and what a new process finds. */
	history = history_fixture_open(history_path, false);
	history_fixture_check_filled(history);
	history_fixture_fill(history);
	history_close(history);
	reader = history_fixture_open(history_path, true);
	assert_int_equal(history_fixture_checks_n(reader, "m1.de.example"), 4);
	history_close(reader);
	history_fixture_check_told("");
}

static void test_reader_first(void **state)
{
	(void)state;
	struct history *reader = history_fixture_open(history_path, true);
	assert_int_equal(history_fixture_checks_n(reader, "m1.de.example"), 0);
	struct history *history = history_fixture_open(history_path, false);
	history_fixture_fill(history);
	history_fixture_flush(history);
	history_fixture_check_filled(reader);
	history_close(history);
	history_close(reader);
	history_fixture_check_told("");
}

static void test_in_memory(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(NULL, false);
	struct history *reader = history_fixture_open(NULL, true);
	history_fixture_fill(history);
	history_fixture_flush(history);
	history_fixture_check_filled(history);
	history_fixture_check_filled(reader);
	history_close(reader);
	history_close(history);
	history = history_fixture_open(NULL, false);
	assert_int_equal(history_fixture_checks_n(history, "m1.de.example"), 0);
	history_close(history);
	history_fixture_check_told("");
}

/* Texts of others come out as printable ASCII that fits, whatever went in. */
static void test_hostile_texts(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(history_path, false);
	char host[600];
	memset(host, 'h', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	struct addr addr = history_fixture_addr("192.0.2.1");
	struct check_result result = { .at_s = T0, .reason = REASON_WRONG_CONTENT, .brief = true };
	memset(result.detail, 'd', sizeof(result.detail));
	memcpy(result.detail, "\x1b[2J\n'); DROP TABLE results; --", 31);
	history_add_result(history, host, &addr, &result, REASON_NONE);
	history_add_change(history, T0, host, NULL, REASON_NONE, REASON_OLD, "a\r\nb\xff");
	history_fixture_flush(history);
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
	struct history *history = history_fixture_open(history_path, false);
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
                        int address, uint32_t span_s, struct history_span *span)
{
	uint64_t total_us = 0;
	uint64_t timed_n = 0;
	uint64_t age_s = 0;
	uint64_t aged_n = 0;
	uint64_t until_s = span->from_s + span_s;
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

/* Those of the mirror that has an address, or of the address alone: -1 is the first mirror's two. */
static void check_spans_of(struct history *history, const struct check_result *results,
                           const enum reason *states, const unsigned *of, uint64_t until_s, uint32_t span_s,
                           size_t n)
{
	for (int address = -1; address < 3; address++) {
		struct history_span spans[HOURS_N];
		struct addr addr = history_fixture_addr(addresses[address < 0 ? 0 : address]);
		assert_int_equal(history_spans(history, address < 2 ? "m1.example" : "m2.example",
		                               address < 0 ? NULL : &addr, until_s, span_s, spans, n),
		                 0);
		for (size_t i = 0; i < n; i++) {
			struct history_span want = { .from_s = until_s - span_s * (n - i) };
			sum_by_hand(results, states, of, address, span_s, &want);
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

/* By hours, by days, which have means of their own, and by the two together. */
static void check_spans(struct history *history, const struct check_result *results,
                        const enum reason *states, const unsigned *of)
{
	const uint64_t midnight_s = T0 - T0 % 86400 + 3 * 86400;
	check_spans_of(history, results, states, of, T0 + HOURS_N * 3600, 3600, HOURS_N);
	check_spans_of(history, results, states, of, midnight_s, 86400, 4);
	check_spans_of(history, results, states, of, midnight_s, 7 * 86400, 2);
	check_spans_of(history, results, states, of, midnight_s - 3600, 86400, 4);
}

/* Hours of random rows come to the same from the rows, half pruned in slices of any size, and from means. */
static void test_means_equal_rows(void **state)
{
	(void)state;
	static struct check_result results[ROWS_N];
	static enum reason states[ROWS_N];
	static unsigned of[ROWS_N];
	struct history *history = history_fixture_open(history_path, false);
	for (size_t i = 0; i < ROWS_N; i++) {
		of[i] = draw(3);
		states[i] = draw(4) ? REASON_NONE : (enum reason)draw(REASON_N);
		results[i] = (struct check_result){
			.at_s = T0 + draw(HOURS_N * 3600),
			.reason = draw(3) ? REASON_NONE : (enum reason)draw(REASON_N),
			.total_us = draw(5) ? draw(30000000) : 0,
		};
		results[i].timestamp_s = draw(5) ? results[i].at_s + 1000 - draw(200000) : 0;
		struct addr addr = history_fixture_addr(addresses[of[i]]);
		assert_int_equal(history_add_result(history, of[i] < 2 ? "m1.example" : "m2.example", &addr,
		                                    &results[i], states[i]),
		                 0);
	}
	history_fixture_flush(history);
	check_spans(history, results, states, of);
	size_t slices_n = 0;
	for (uint64_t now_s = T0 + HISTORY_RAW_S; now_s <= T0 + HISTORY_RAW_S + HOURS_N * 3600;
	     now_s += 8 * 3600 + 77) {
		while (history_prune(history, now_s, 1 + draw(60), &history_diag) == 1)
			slices_n++;
		check_spans(history, results, states, of);
	}
	while (history_prune(history, T0 + HISTORY_RAW_S + (HOURS_N + 25) * 3600, 30, &history_diag) == 1)
		slices_n++;
	assert_true(slices_n > 20);
	assert_int_equal(history_fixture_checks_n(history, "m1.example"), 0);
	assert_int_equal(history_fixture_checks_n(history, "m2.example"), 0);
	check_spans(history, results, states, of);
	/* A row that comes late joins its hour. */
	struct addr addr = history_fixture_addr("192.0.2.2");
	struct history_span spans[2];
	assert_int_equal(history_spans(history, "m2.example", NULL, T0 + 3600, 3600, spans, 1), 0);
	history_add_result(history, "m2.example", &addr, &(struct check_result){ .at_s = T0 }, REASON_NONE);
	history_fixture_flush(history);
	while (history_prune(history, T0 + HISTORY_RAW_S + (HOURS_N + 25) * 3600, 30, &history_diag) == 1)
		;
	assert_int_equal(history_spans(history, "m2.example", NULL, T0 + 3600, 3600, spans + 1, 1), 0);
	assert_int_equal(spans[1].checks_n, spans[0].checks_n + 1);
	history_close(history);
	history_fixture_check_told("");
}

/* A slice for each process, as with --once where time is short: the next one begins where that has ended. */
static void test_prune_goes_on(void **state)
{
	(void)state;
	const uint64_t later_s = T0 + HISTORY_RAW_S + 3 * 86400;
	struct history *history = history_fixture_open(history_path, false);
	for (unsigned i = 0; i < 150; i++) {
		char address[32];
		snprintf(address, sizeof(address), "192.0.2.%u", i);
		history_fixture_add_good(history, "m1.example", address, T0);
	}
	history_fixture_flush(history);
	history_close(history);
	for (unsigned i = 1; i <= 3; i++) {
		history = history_fixture_open(history_path, false);
		assert_int_equal(history_prune(history, later_s, 1000, &history_diag), i < 3);
		history_close(history);
		assert_int_equal(history_fixture_count("hours"), i < 3 ? 64 * i : 150);
	}
	assert_int_equal(history_fixture_count("results"), 0);
	/* And begins anew after the last. */
	history = history_fixture_open(history_path, false);
	history_fixture_add_good(history, "m1.example", "192.0.2.0", T0 + 3600);
	history_fixture_flush(history);
	assert_int_equal(history_prune(history, later_s, 1000, &history_diag), 1);
	history_close(history);
	assert_int_equal(history_fixture_count("results"), 0);
	history_fixture_check_told("");
}

struct mover {
	struct history *writer;
	bool has_moved;
};

/* Before the statement that reads means begins: all rows become means. */
static int move_rows(unsigned type, void *context, void *statement, void *sql)
{
	struct mover *mover = context;
	(void)type;
	(void)statement;
	if (mover->has_moved || strncmp(sql, "SELECT s.", 9) != 0)
		return 0;
	mover->has_moved = true;
	while (history_prune(mover->writer, T0 + HISTORY_RAW_S + 2 * 86400, 100, &history_diag) == 1)
		;
	return 0;
}

/* Rows that become means while they are read count once. */
static void test_one_moment(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(history_path, false);
	for (unsigned i = 0; i < 30; i++)
		history_fixture_add_good(history, "m1.example", "192.0.2.1", T0 + i);
	history_fixture_flush(history);
	struct history *reader = history_fixture_open(history_path, true);
	struct mover mover = { .writer = history };
	struct history_span spans[1];
	sqlite3_trace_v2(reader->db, SQLITE_TRACE_STMT, move_rows, &mover);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(history_spans(reader, "m1.example", NULL, T0 + 3600, 3600, spans, 1), 0);
		assert_int_equal(spans[0].checks_n, 30);
	}
	assert_true(mover.has_moved);
	assert_int_equal(history_fixture_count("results"), 0);
	/* It reads what comes then. */
	history_fixture_add_good(history, "m1.example", "192.0.2.1", T0 + 50);
	history_fixture_flush(history);
	assert_int_equal(history_spans(reader, "m1.example", NULL, T0 + 3600, 3600, spans, 1), 0);
	assert_int_equal(spans[0].checks_n, 31);
	history_close(reader);
	history_close(history);
	history_fixture_check_told("");
}

/* One that was begun without daily means has them from its hourly ones. */
static void test_upgrade(void **state)
{
	(void)state;
	const uint64_t midnight_s = T0 - T0 % 86400 + 2 * 86400;
	struct history_span want[2];
	struct history_span spans[2];
	struct history *history = history_fixture_open(history_path, false);
	for (unsigned i = 0; i < 60; i++)
		history_fixture_add_good(history, i % 3 ? "m1.example" : "m2.example", "192.0.2.1",
		                         T0 + i * 1800);
	history_fixture_flush(history);
	while (history_prune(history, T0 + HISTORY_RAW_S + 3 * 86400, 100, &history_diag) == 1)
		;
	assert_int_equal(history_spans(history, "m1.example", NULL, midnight_s, 86400, want, 2), 0);
	assert_int_equal(want[0].checks_n + want[1].checks_n, 40);
	history_close(history);
	history_fixture_shell("sqlite3 %s 'DROP TABLE days; PRAGMA user_version = 1'", history_path);
	/* Not by who only reads. */
	struct history *reader = history_fixture_open(history_path, true);
	assert_int_equal(history_spans(reader, "m1.example", NULL, midnight_s, 86400, spans, 2), -ENOENT);
	history = history_fixture_open(history_path, false);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		        history_spans(i ? reader : history, "m1.example", NULL, midnight_s, 86400, spans, 2),
		        0);
		assert_memory_equal(spans, want, sizeof(want));
	}
	history_close(history);
	history_close(reader);
	history_close(history_fixture_open(history_path, false));
	history_fixture_check_told("");
}

static void test_state(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(history_path, false);
	assert_int_equal(history_state(history, "m1.example"), 0);
	uint64_t before = 0;
	for (int i = 0; i < 4; i++) {
		if (i < 3)
			history_fixture_add_good(history, "m1.example", i == 1 ? "192.0.2.2" : "192.0.2.1",
			                         T0 + (i == 2));
		else
			assert_int_equal(history_add_change(history, T0, "m1.example", NULL, REASON_NONE,
			                                    REASON_OLD, ""),
			                 0);
		history_fixture_add_good(history, "m2.example", "192.0.2.9", T0 + 50);
		assert_int_equal(history_state(history, "m1.example"), before);
		history_fixture_flush(history);
		assert_int_not_equal(history_state(history, "m1.example"), before);
		before = history_state(history, "m1.example");
	}
	history_close(history);
	history_fixture_check_told("");
}

/* After a year nothing is left but numbers, and what a clock that was ahead has written is out at once. */
static void test_a_year_later(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(history_path, false);
	history_fixture_fill(history);
	history_fixture_add_good(history, "m3.example", "192.0.2.3", T0 + 40 * 86400);
	history_fixture_flush(history);
	struct address_view address = { .addr = history_fixture_addr("192.0.2.1") };
	struct mirror_view mirror = { .host = "m1.de.example", .addrs = &address, .addrs_n = 1 };
	struct view view = { .mirrors = &mirror, .mirrors_n = 1 };
	assert_int_equal(history_save_standings(history, &view, &history_diag), 0);
	assert_int_equal(history_set_number(history, "serial", 7), 0);
	while (history_prune(history, T0 + 3600, 100, &history_diag) == 1)
		;
	assert_int_equal(history_fixture_checks_n(history, "m3.example"), 0);
	assert_int_equal(history_fixture_checks_n(history, "m1.de.example"), 2);
	assert_int_equal(history_fixture_count("addresses"), 2);
	while (history_prune(history, T0 + HISTORY_RAW_S + 86400 + 3600, 100, &history_diag) == 1)
		;
	assert_int_equal(history_fixture_count("results"), 0);
	assert_int_equal(history_fixture_count("hours"), 2);
	assert_int_equal(history_fixture_count("changes"), 3);
	while (history_prune(history, T0 + HISTORY_YEAR_S + 3600, 1, &history_diag) == 1)
		;
	while (history_prune(history, T0 + HISTORY_YEAR_S + 3600, 100, &history_diag) == 1)
		;
	static const char *const tables[] = { "hours",    "days",      "changes", "arrivals",
		                              "versions", "addresses", "mirrors", "standings" };
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (history_fixture_count(tables[i]) != 0)
			fail_msg("%s: %d rows", tables[i], history_fixture_count(tables[i]));
	}
	assert_int_equal(history_get_number(history, "serial"), 7);
	history_close(history);
	history_fixture_check_told("");
}

/* --- standings and numbers --- */

static void test_standings(void **state)
{
	(void)state;
	struct address_view addrs[2] = { { .addr = history_fixture_addr("192.0.2.1") },
		                         { .addr = history_fixture_addr("2001:db8::1") } };
	struct mirror_view mirror = { .host = "m1.de.example", .addrs = addrs, .addrs_n = 2 };
	struct view view = { .mirrors = &mirror, .mirrors_n = 1 };
	addrs[0].standing.reason = REASON_OLD;
	addrs[0].standing.since_s = T0;
	addrs[0].standing.outs_s[7] = 5;
	strcpy(addrs[0].standing.detail, "why");
	struct history *history = history_fixture_open(history_path, false);
	assert_int_equal(history_save_standings(history, &view, &history_diag), 0);
	addrs[1].standing.failures_n = 2;
	assert_int_equal(history_save_standings(history, &view, &history_diag), 0);
	history_close(history);
	history = history_fixture_open(history_path, false);
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
	history_fixture_check_told("");
	history = history_fixture_open(history_path, false);
	history_fixture_check_told("2 standings of mirrors are of another version");
	assert_int_equal(history_fixture_count("standings"), 0);
	history_close(history);
}

static void test_numbers(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(history_path, false);
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
	history = history_fixture_open(history_path, false);
	assert_int_equal(history_get_number(history, "serial"), UINT64_MAX);
	assert_int_equal(history_get_number(history, "number-63"), 63);
	history_close(history);
	history_fixture_check_told("");
}

/* 2,000 mirrors with both families, as a whole pass of checks leaves them. */
static void test_large(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(history_path, false);
	struct timespec t[4];
	clock_gettime(CLOCK_MONOTONIC, &t[0]);
	for (unsigned i = 0; i < 2000; i++) {
		char host[32];
		char address[32];
		snprintf(host, sizeof(host), "m%u.example", i);
		snprintf(address, sizeof(address), "192.0.%u.%u", i / 200, i % 200);
		history_fixture_add_good(history, host, address, T0 + i);
		snprintf(address, sizeof(address), "2001:db8::%x", i + 1);
		history_fixture_add_good(history, host, address, T0 + i);
	}
	history_fixture_flush(history);
	clock_gettime(CLOCK_MONOTONIC, &t[1]);
	struct history_span spans[14];
	for (unsigned i = 0; i < 2000; i++) {
		char host[32];
		snprintf(host, sizeof(host), "m%u.example", i);
		assert_int_equal(history_spans(history, host, NULL, T0 + 86400, 86400, spans, 14), 0);
		assert_int_equal(spans[13].checks_n, 2);
	}
	clock_gettime(CLOCK_MONOTONIC, &t[2]);
	while (history_prune(history, T0 + HISTORY_RAW_S + 2 * 86400, 1000, &history_diag) == 1)
		;
	clock_gettime(CLOCK_MONOTONIC, &t[3]);
	for (int i = 0; i < 3; i++)
		print_message("%s: %ld ms\n", (const char *const[]){ "flush", "spans", "prune" }[i],
		              (t[i + 1].tv_sec - t[i].tv_sec) * 1000 +
		                      (t[i + 1].tv_nsec - t[i].tv_nsec) / 1000000);
	assert_int_equal(history_fixture_count("hours"), 4000);
	history_close(history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HISTORY_TEST(test_in_and_out), HISTORY_TEST(test_reader_first),
		HISTORY_TEST(test_in_memory),  HISTORY_TEST(test_hostile_texts),
		HISTORY_TEST(test_plans),      HISTORY_TEST(test_means_equal_rows),
		HISTORY_TEST(test_one_moment), HISTORY_TEST(test_upgrade),
		HISTORY_TEST(test_state),      HISTORY_TEST(test_a_year_later),
		HISTORY_TEST(test_standings),  HISTORY_TEST(test_numbers),
		HISTORY_TEST(test_large),      HISTORY_TEST(test_prune_goes_on),
	};
	return history_fixture_run(tests, sizeof(tests) / sizeof(tests[0]));
}
