#include "mirrormon/history_int.h"

#include <errno.h>

#define DAY_S           86400
#define ADDRESSES_SLICE 64

/* A statement of (before or after which second, how many rows); counts what it changed. */
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

/* Hours are found by their address only: each call looks at some addresses, and goes on where it was. */
static int prune_hours(struct history *history, uint64_t before_s, size_t rows_max)
{
	size_t changed_n = 0;
	int rc = 0;
	for (size_t i = 0; i < ADDRESSES_SLICE && changed_n < rows_max && rc >= 0; i++) {
		sqlite3_stmt *next = history_statement(history, HISTORY_PRUNE_NEXT_ADDRESS);
		sqlite3_bind_int64(next, 1, history->pruned_address);
		rc = history_step(history, next);
		if (rc == 0)
			history->pruned_address = 0;
		if (rc != 1)
			return rc;
		int64_t address = sqlite3_column_int64(next, 0);
		int64_t mirror = sqlite3_column_int64(next, 1);
		sqlite3_reset(next);
		size_t gone_n = 0;
		if ((rc = prune_by_id(history, HISTORY_PRUNE_HOURS, address, before_s, &changed_n)) < 0 ||
		    (rc = prune_by_id(history, HISTORY_PRUNE_STANDING, address, 0, &gone_n)) < 0 ||
		    (rc = prune_by_id(history, HISTORY_PRUNE_ADDRESS, address, (uint64_t)mirror, &gone_n)) <
		            0 ||
		    (rc = prune_by_id(history, HISTORY_PRUNE_MIRROR, mirror, 0, &gone_n)) < 0)
			return rc;
		if (gone_n)
			history->saved_n = 0;
		history->pruned_address = address;
	}
	return rc;
}

static int prune_all(struct history *history, uint64_t now_s, size_t rows_max, size_t *changed_n)
{
	uint64_t raw_s = now_s > HISTORY_RAW_S ? now_s - HISTORY_RAW_S : 0;
	uint64_t year_s = now_s > HISTORY_YEAR_S ? now_s - HISTORY_YEAR_S : 0;
	size_t condensed_n = 0;
	int rc;
	if ((rc = history_begin(history)) == 0 &&
	    (rc = prune_rows(history, HISTORY_PRUNE_CONDENSE, raw_s, rows_max, &condensed_n)) == 0 &&
	    (rc = prune_rows(history, HISTORY_PRUNE_RESULTS, raw_s, rows_max, changed_n)) == 0 &&
	    /* Of a clock that was ahead. */
	    (rc = prune_rows(history, HISTORY_PRUNE_RESULTS_AHEAD, now_s + DAY_S, rows_max, changed_n)) ==
	            0 &&
	    (rc = prune_rows(history, HISTORY_PRUNE_CHANGES, year_s, rows_max, changed_n)) == 0 &&
	    (rc = prune_rows(history, HISTORY_PRUNE_ARRIVALS, year_s, rows_max, changed_n)) == 0 &&
	    (rc = prune_rows(history, HISTORY_PRUNE_VERSIONS, year_s, rows_max, changed_n)) == 0)
		rc = prune_hours(history, year_s, rows_max);
	return history_end(history, rc);
}

int history_prune(struct history *history, uint64_t now_s, size_t rows_max, struct diag *diag)
{
	size_t changed_n = 0;
	int rc = history_ready(history, diag);
	if (rc == 0 && (rc = prune_all(history, now_s, rows_max, &changed_n)) == -EUCLEAN)
		rc = history_begin_anew(history, diag);
	if (history_tell(history, rc, diag) < 0)
		return rc;
	return changed_n >= rows_max || history->pruned_address ? 1 : 0;
}
