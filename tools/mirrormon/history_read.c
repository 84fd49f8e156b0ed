#include "mirrormon/history_int.h"

#include <errno.h>
#include <string.h>

#define DAY_S 86400

void history_bind_text(sqlite3_stmt *statement, int column, const char *text)
{
	sqlite3_bind_text(statement, column, text, -1, SQLITE_TRANSIENT);
}

void history_bind_number(sqlite3_stmt *statement, int column, uint64_t number)
{
	sqlite3_bind_int64(statement, column, number > INT64_MAX ? INT64_MAX : (int64_t)number);
}

void history_bind_addr(sqlite3_stmt *statement, int column, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	history_bind_text(statement, column,
	                  addr && addr->family ? addr_format(addr, text, sizeof(text)) : "");
}

uint64_t history_column_number(sqlite3_stmt *statement, int column, uint64_t max)
{
	int64_t number = sqlite3_column_int64(statement, column);
	if (number < 0)
		return 0;
	return (uint64_t)number > max ? max : (uint64_t)number;
}

enum reason history_column_reason(sqlite3_stmt *statement, int column)
{
	return (enum reason)history_column_number(statement, column, REASON_N - 1);
}

void history_column_text(sqlite3_stmt *statement, int column, char *text, size_t cap)
{
	const unsigned char *from = sqlite3_column_text(statement, column);
	size_t n = 0;
	for (; from && from[n] && n < cap - 1; n++)
		text[n] = from[n] >= ' ' && from[n] <= '~' ? (char)from[n] : '?';
	text[n] = '\0';
}

void history_column_addr(sqlite3_stmt *statement, int column, struct addr *ret_addr)
{
	char text[ADDR_TEXT_MAX];
	history_column_text(statement, column, text, sizeof(text));
	if (addr_parse(text, ret_addr) < 0)
		*ret_addr = (struct addr){ 0 };
}

/* --- spans --- */

/* Sums on the way to a span's means. */
struct span_sums {
	uint64_t timed_n, total_us;
	uint64_t aged_n, age_s;
};

static void add_to_span(struct history_span *span, struct span_sums *sums, const struct history_span *part,
                        const struct span_sums *part_sums)
{
	span->checks_n += part->checks_n;
	span->good_n += part->good_n;
	span->out_n += part->out_n;
	if (part->worst > span->worst)
		span->worst = part->worst;
	sums->timed_n += part_sums->timed_n;
	sums->total_us += part_sums->total_us;
	sums->aged_n += part_sums->aged_n;
	sums->age_s += part_sums->age_s;
}

/* A raw row as a part of a span. */
static void read_result(sqlite3_stmt *statement, struct history_span *part, struct span_sums *sums)
{
	enum reason reason = history_column_reason(statement, 1);
	enum reason state = history_column_reason(statement, 2);
	uint64_t total_us = history_column_number(statement, 4, UINT32_MAX);
	uint64_t timestamp_s = history_column_number(statement, 5, INT64_MAX);
	bool is_good = reason == REASON_NONE;
	part->from_s = history_column_number(statement, 0, INT64_MAX);
	part->checks_n = 1;
	part->good_n = is_good;
	part->out_n = state != REASON_NONE;
	part->worst = reason > state ? reason : state;
	sums->timed_n = is_good && total_us > 0;
	sums->total_us = is_good ? total_us : 0;
	sums->aged_n = timestamp_s > 0;
	sums->age_s = timestamp_s > 0 && part->from_s > timestamp_s ? part->from_s - timestamp_s : 0;
}

static void read_hour(sqlite3_stmt *statement, struct history_span *part, struct span_sums *sums)
{
	part->from_s = history_column_number(statement, 0, INT64_MAX);
	part->checks_n = (uint32_t)history_column_number(statement, 1, UINT32_MAX);
	part->good_n = (uint32_t)history_column_number(statement, 2, part->checks_n);
	part->out_n = (uint32_t)history_column_number(statement, 3, part->checks_n);
	part->worst = history_column_reason(statement, 4);
	sums->timed_n = history_column_number(statement, 5, UINT32_MAX);
	sums->total_us = history_column_number(statement, 6, INT64_MAX);
	sums->aged_n = history_column_number(statement, 7, UINT32_MAX);
	sums->age_s = history_column_number(statement, 8, INT64_MAX);
}

static uint32_t mean(uint64_t sum, uint64_t n)
{
	uint64_t result = n ? sum / n : 0;
	return result > UINT32_MAX ? UINT32_MAX : (uint32_t)result;
}

#define SPANS_SLICE 512 /* whose sums are held at a time */

static int read_spans(struct history *history, enum history_sql sql, const char *host,
                      const struct addr *addr, struct history_span *spans, struct span_sums *sums,
                      size_t spans_n, uint32_t span_s)
{
	sqlite3_stmt *statement = history_statement(history, sql);
	uint64_t from_s = spans[0].from_s;
	history_bind_text(statement, 1, host);
	history_bind_addr(statement, 2, addr);
	history_bind_number(statement, 3, from_s);
	history_bind_number(statement, 4, from_s + (uint64_t)span_s * spans_n);
	int rc;
	while ((rc = history_step(history, statement)) == 1) {
		struct history_span part = { 0 };
		struct span_sums part_sums;
		if (sql == HISTORY_SPANS_RAW)
			read_result(statement, &part, &part_sums);
		else
			read_hour(statement, &part, &part_sums);
		uint64_t i = (part.from_s - from_s) / span_s;
		if (part.from_s >= from_s && i < spans_n)
			add_to_span(&spans[i], &sums[i], &part, &part_sums);
	}
	return rc;
}

int history_spans(struct history *history, const char *host, const struct addr *addr, uint64_t until_s,
                  uint32_t span_s, struct history_span *spans, size_t spans_n)
{
	uint64_t whole_s = (uint64_t)span_s * spans_n;
	if (span_s == 0 || until_s < whole_s || until_s > INT64_MAX)
		return -EINVAL;
	for (size_t i = 0; i < spans_n; i++)
		spans[i] = (struct history_span){ .from_s = until_s - whole_s + (uint64_t)span_s * i };
	enum history_sql means =
	        span_s % DAY_S == 0 && until_s % DAY_S == 0 ? HISTORY_SPANS_DAYS : HISTORY_SPANS_HOURS;
	int rc = history_ready(history, NULL);
	/* Rows that become means in between would be counted twice, or not at all. */
	if (rc < 0 || (rc = history_begin_reading(history)) < 0)
		return rc;
	for (size_t done = 0; done < spans_n && rc == 0; done += SPANS_SLICE) {
		struct span_sums sums[SPANS_SLICE] = { 0 };
		struct history_span *slice = spans + done;
		size_t n = spans_n - done < SPANS_SLICE ? spans_n - done : SPANS_SLICE;
		if ((rc = read_spans(history, HISTORY_SPANS_RAW, host, addr, slice, sums, n, span_s)) < 0 ||
		    (rc = read_spans(history, means, host, addr, slice, sums, n, span_s)) < 0)
			break;
		for (size_t i = 0; i < n; i++) {
			slice[i].total_ms_mean = mean(sums[i].total_us / 1000, sums[i].timed_n);
			slice[i].age_s_mean = mean(sums[i].age_s, sums[i].aged_n);
		}
	}
	return history_end_reading(history, rc);
}

/* --- lists --- */

/* What is asked for, and how a row becomes an item. */
struct list {
	enum history_sql sql;
	const char *of; /* mirror or database; NULL: all */
	uint32_t version;
	void (*read)(sqlite3_stmt *statement, void *item);
	size_t item_size;
};

/* Returns how many items were set. */
static size_t read_list(struct history *history, const struct list *list, void *items, size_t items_max)
{
	size_t n = 0;
	char *at = items;
	if (history_ready(history, NULL) < 0)
		return 0;
	sqlite3_stmt *statement = history_statement(history, list->sql);
	history_bind_number(statement, 1, items_max);
	if (list->of)
		history_bind_text(statement, 2, list->of);
	if (sqlite3_bind_parameter_count(statement) > 2)
		history_bind_number(statement, 3, list->version);
	while (n < items_max && history_step(history, statement) == 1)
		list->read(statement, at + list->item_size * n++);
	sqlite3_reset(statement);
	return n;
}

static void read_event(sqlite3_stmt *statement, void *item)
{
	struct history_event *event = item;
	event->at_s = history_column_number(statement, 0, INT64_MAX);
	history_column_text(statement, 1, event->host, sizeof(event->host));
	history_column_addr(statement, 2, &event->addr);
	event->from = history_column_reason(statement, 3);
	event->to = history_column_reason(statement, 4);
	history_column_text(statement, 5, event->detail, sizeof(event->detail));
}

size_t history_events(struct history *history, const char *host, struct history_event *events,
                      size_t events_max)
{
	struct list list = { .sql = host ? HISTORY_EVENTS_MIRROR : HISTORY_EVENTS,
		             .of = host,
		             .read = read_event,
		             .item_size = sizeof(*events) };
	return read_list(history, &list, events, events_max);
}

static void read_check(sqlite3_stmt *statement, void *item)
{
	struct history_check *check = item;
	struct check_result *result = &check->result;
	memset(check, 0, sizeof(*check));
	check->at_s = result->at_s = history_column_number(statement, 0, INT64_MAX);
	history_column_addr(statement, 1, &check->addr);
	result->reason = history_column_reason(statement, 2);
	check->state = history_column_reason(statement, 3);
	result->warnings = (unsigned)history_column_number(statement, 4, UINT32_MAX);
	uint64_t flags = history_column_number(statement, 5, UINT32_MAX);
	result->deep = flags & HISTORY_FLAG_DEEP;
	result->brief = flags & HISTORY_FLAG_BRIEF;
	result->timestamp_s = history_column_number(statement, 6, INT64_MAX);
	result->connect_us = (uint32_t)history_column_number(statement, 7, UINT32_MAX);
	result->first_us = (uint32_t)history_column_number(statement, 8, UINT32_MAX);
	result->total_us = (uint32_t)history_column_number(statement, 9, UINT32_MAX);
	for (int i = 0; i < HISTORY_DATABASES_N; i++) {
		struct seen_database *database = &result->databases[i];
		database->version = (uint32_t)history_column_number(statement, 10 + 3 * i, UINT32_MAX);
		database->built_s = history_column_number(statement, 11 + 3 * i, INT64_MAX);
		database->cdiffs = (uint32_t)history_column_number(statement, 12 + 3 * i, UINT32_MAX);
	}
	history_column_text(statement, 19, result->detail, sizeof(result->detail));
}

size_t history_checks(struct history *history, const char *host, struct history_check *checks,
                      size_t checks_max)
{
	struct list list = {
		.sql = HISTORY_CHECKS, .of = host, .read = read_check, .item_size = sizeof(*checks)
	};
	return read_list(history, &list, checks, checks_max);
}

static void read_arrival(sqlite3_stmt *statement, void *item)
{
	struct history_arrival *arrival = item;
	history_column_text(statement, 0, arrival->host, sizeof(arrival->host));
	arrival->at_s = history_column_number(statement, 1, INT64_MAX);
}

size_t history_arrivals(struct history *history, const char *database, uint32_t version,
                        struct history_arrival *arrivals, size_t arrivals_max)
{
	struct list list = { .sql = HISTORY_ARRIVALS,
		             .of = database,
		             .version = version,
		             .read = read_arrival,
		             .item_size = sizeof(*arrivals) };
	return read_list(history, &list, arrivals, arrivals_max);
}

static void read_version(sqlite3_stmt *statement, void *item)
{
	*(uint32_t *)item = (uint32_t)history_column_number(statement, 0, UINT32_MAX);
}

size_t history_versions(struct history *history, const char *database, uint32_t *versions,
                        size_t versions_max)
{
	struct list list = {
		.sql = HISTORY_VERSIONS, .of = database, .read = read_version, .item_size = sizeof(*versions)
	};
	return read_list(history, &list, versions, versions_max);
}

int history_load_versions(struct history *history, const char *host, const struct addr *addr,
                          uint32_t ret_versions[MODEL_DATABASES_MAX])
{
	sqlite3_stmt *statement;
	int rc = history_first_of(history, HISTORY_SEEN, host, addr, &statement);
	if (rc != 1)
		return rc;
	for (int i = 0; i < MODEL_DATABASES_MAX; i++)
		ret_versions[i] = i < HISTORY_DATABASES_N
		                          ? (uint32_t)history_column_number(statement, i, UINT32_MAX)
		                          : 0;
	sqlite3_reset(statement);
	return 1;
}

uint64_t history_state(struct history *history, const char *host)
{
	if (history_ready(history, NULL) < 0)
		return 0;
	sqlite3_stmt *statement = history_statement(history, HISTORY_STATE);
	history_bind_text(statement, 1, host);
	uint64_t state =
	        history_step(history, statement) == 1 ? history_column_number(statement, 0, INT64_MAX) : 0;
	sqlite3_reset(statement);
	return state;
}
