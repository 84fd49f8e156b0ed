#include "mirrormon/history_int.h"

#include <errno.h>

#define DAY_S   86400
#define SLICE_N 64

/* Where a process has ended, the next one goes on: with --once each has but a few seconds for it, and the
 * last addresses would else never have their turn. */
#define PLACE_ADDRESS "pruned-address"
#define PLACE_MIRROR  "pruned-mirror"

static void find_place(struct history *history)
{
	if (history->has_place)
		return;
	history->has_place = true;
	history->pruned_address = (int64_t)history_get_number(history, PLACE_ADDRESS);
	history->pruned_mirror = (int64_t)history_get_number(history, PLACE_MIRROR);
}

static void keep_number(struct history *history, const char *key, int64_t number)
{
	if (history_get_number(history, key) != (uint64_t)number)
		history_set_number(history, key, (uint64_t)number);
}

void history_keep_place(struct history *history)
{
	if (!history->has_place)
		return;
	keep_number(history, PLACE_ADDRESS, history->pruned_address);
	keep_number(history, PLACE_MIRROR, history->pruned_mirror);
}

/* A statement of (before which second, how many rows); counts what it changed. */
static int prune_rows(struct history *history, enum history_sql sql, uint64_t at_s, size_t rows_max,
                      size_t *changed_n)
{
	sqlite3_stmt *statement = history_statement(history, sql);
	history_bind_number(statement, 1, at_s);
	history_bind_number(statement, 2, rows_max);
	int rc = history_step(history, statement);
	if (rc == 0)
		*changed_n += (size_t)sqlite3_changes(history->db);
	return rc;
}

static int prune_by_id(struct history *history, enum history_sql sql, int64_t id, uint64_t second,
                       size_t *changed_n)
{
	sqlite3_stmt *statement = history_statement(history, sql);
	sqlite3_bind_int64(statement, 1, id);
	if (sqlite3_bind_parameter_count(statement) == 2)
		history_bind_number(statement, 2, second);
	int rc = history_step(history, statement);
	if (rc == 0)
		*changed_n += (size_t)sqlite3_changes(history->db);
	return rc;
}

/* The next of a table after *last, which is set to it, or to 0 at the end. Returns 1, 0 or negative errno. */
static int find_next(struct history *history, enum history_sql sql, int64_t *last, int64_t *ret_parent)
{
	sqlite3_stmt *statement = history_statement(history, sql);
	sqlite3_bind_int64(statement, 1, *last);
	int rc = history_step(history, statement);
	if (rc < 0)
		return rc;
	*last = rc == 1 ? sqlite3_column_int64(statement, 0) : 0;
	*ret_parent = rc == 1 ? sqlite3_column_int64(statement, 1) : 0;
	sqlite3_reset(statement);
	return rc;
}

/* Raw rows of an address become means a day at a time: its hours of a day are on one page, and each page that
 * changes has to be written. Returns 1 when rows_max were not enough, 0, or negative errno. */
static int condense(struct history *history, int64_t address, uint64_t raw_s, size_t rows_max)
{
	sqlite3_stmt *due = history_statement(history, HISTORY_PRUNE_DUE);
	sqlite3_bind_int64(due, 1, address);
	history_bind_number(due, 2, raw_s > DAY_S ? raw_s - DAY_S : 0);
	int rc = history_step(history, due);
	if (rc != 1)
		return rc;
	sqlite3_reset(due);
	static const enum history_sql steps[] = { HISTORY_PRUNE_CONDENSE_HOURS, HISTORY_PRUNE_CONDENSE_DAYS,
		                                  HISTORY_PRUNE_RESULTS };
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		sqlite3_stmt *statement = history_statement(history, steps[i]);
		sqlite3_bind_int64(statement, 1, address);
		history_bind_number(statement, 2, raw_s);
		history_bind_number(statement, 3, rows_max);
		if ((rc = history_step(history, statement)) < 0)
			return rc;
	}
	return (size_t)sqlite3_changes(history->db) >= rows_max;
}

/* Each call looks at some addresses, and goes on where it was. Returns 1 when there are more. */
static int prune_addresses(struct history *history, uint64_t now_s, size_t rows_max)
{
	uint64_t raw_s = now_s > HISTORY_RAW_S ? now_s - HISTORY_RAW_S : 0;
	uint64_t year_s = now_s > HISTORY_YEAR_S ? now_s - HISTORY_YEAR_S : 0;
	int before = sqlite3_total_changes(history->db);
	for (size_t i = 0; i < SLICE_N && (size_t)(sqlite3_total_changes(history->db) - before) < rows_max;
	     i++) {
		int64_t mirror;
		size_t gone_n = 0;
		int64_t last = history->pruned_address;
		int rc = find_next(history, HISTORY_PRUNE_NEXT_ADDRESS, &history->pruned_address, &mirror);
		if (rc != 1)
			return rc;
		int64_t address = history->pruned_address;
		if ((rc = condense(history, address, raw_s, rows_max)) == 1) {
			history->pruned_address = last;
			return 1;
		}
		if (rc < 0 ||
		    /* Of a clock that was ahead. */
		    (rc = prune_by_id(history, HISTORY_PRUNE_RESULTS_AHEAD, address, now_s + DAY_S,
		                      &gone_n)) < 0 ||
		    (rc = prune_by_id(history, HISTORY_PRUNE_HOURS, address, year_s, &gone_n)) < 0 ||
		    (rc = prune_by_id(history, HISTORY_PRUNE_DAYS, address, year_s, &gone_n)) < 0)
			return rc;
		gone_n = 0;
		if ((rc = prune_by_id(history, HISTORY_PRUNE_STANDING, address, 0, &gone_n)) < 0 ||
		    (rc = prune_by_id(history, HISTORY_PRUNE_ADDRESS, address, (uint64_t)mirror, &gone_n)) <
		            0)
			return rc;
		/* It may have been a standing's: all are saved again. */
		if (gone_n)
			history->saved_n = 0;
	}
	return 1;
}

/* The same for mirrors of which nothing is left. */
static int prune_mirrors(struct history *history)
{
	for (size_t i = 0; i < SLICE_N; i++) {
		int64_t none;
		size_t gone_n = 0;
		int rc = find_next(history, HISTORY_PRUNE_NEXT_MIRROR, &history->pruned_mirror, &none);
		if (rc == 1)
			rc = prune_by_id(history, HISTORY_PRUNE_MIRROR, history->pruned_mirror, 0, &gone_n);
		if (rc < 0 || history->pruned_mirror == 0)
			return rc;
	}
	return 1;
}

static int prune_all(struct history *history, uint64_t now_s, size_t rows_max, size_t *changed_n)
{
	uint64_t year_s = now_s > HISTORY_YEAR_S ? now_s - HISTORY_YEAR_S : 0;
	int rc;
	if ((rc = history_begin(history)) == 0 &&
	    (rc = prune_rows(history, HISTORY_PRUNE_CHANGES, year_s, rows_max, changed_n)) == 0 &&
	    (rc = prune_rows(history, HISTORY_PRUNE_ARRIVALS, year_s, rows_max, changed_n)) == 0 &&
	    (rc = prune_rows(history, HISTORY_PRUNE_VERSIONS, year_s, rows_max, changed_n)) == 0)
		rc = history->pruned_mirror ? 0 : prune_addresses(history, now_s, rows_max);
	if (rc == 0)
		rc = prune_mirrors(history);
	int ended = history_end(history, rc < 0 ? rc : 0);
	return ended < 0 ? ended : rc;
}

int history_prune(struct history *history, uint64_t now_s, size_t rows_max, struct diag *diag)
{
	size_t changed_n = 0;
	int rc = history_ready(history, diag);
	if (rc == 0)
		find_place(history);
	if (rc == 0 && (rc = prune_all(history, now_s, rows_max, &changed_n)) == -EUCLEAN)
		rc = history_begin_anew(history, diag);
	if (rc < 0)
		return history_tell(history, rc, diag);
	history_tell(history, 0, diag);
	return rc || changed_n >= rows_max;
}
