/*
 * history_int: what the files of history share.
 *
 *     history.c        rows that wait, one transaction for each flush; standings, numbers
 *     history_file.c   the file: open, damaged, removed, begun anew; statements
 *     history_read.c   what the site and the mails ask
 *     history_prune.c  raw rows to means, old rows out
 */
#ifndef TOOLS_MIRRORMON_HISTORY_INT_H
#define TOOLS_MIRRORMON_HISTORY_INT_H

#include <sqlite3.h>
#include <sys/types.h>

#include "mirrormon/history.h"

/** Columns are counted from 0, parameters from 1; both as the texts in history_file.c have them. */
enum history_sql {
	HISTORY_BEGIN,
	HISTORY_BEGIN_READING,
	HISTORY_COMMIT,
	HISTORY_MIRROR_ADD,
	HISTORY_MIRROR_FIND,
	HISTORY_ADDRESS_ADD,
	HISTORY_ADDRESS_FIND,
	HISTORY_DATABASE_ADD,
	HISTORY_DATABASE_FIND,
	HISTORY_RESULT_ADD,
	HISTORY_CHANGE_ADD,
	HISTORY_ARRIVAL_ADD,
	HISTORY_VERSION_ADD,
	HISTORY_STANDING_SET,
	HISTORY_STANDING_GET,
	HISTORY_NUMBER_SET,
	HISTORY_NUMBER_GET,
	HISTORY_SPANS_RAW,
	HISTORY_SPANS_HOURS,
	HISTORY_SPANS_DAYS,
	HISTORY_EVENTS,
	HISTORY_EVENTS_MIRROR,
	HISTORY_CHECKS,
	HISTORY_ARRIVALS,
	HISTORY_VERSIONS,
	HISTORY_STATE,
	HISTORY_SEEN,
	HISTORY_PRUNE_DUE,
	HISTORY_PRUNE_CONDENSE_HOURS,
	HISTORY_PRUNE_CONDENSE_DAYS,
	HISTORY_PRUNE_RESULTS,
	HISTORY_PRUNE_RESULTS_AHEAD,
	HISTORY_PRUNE_CHANGES,
	HISTORY_PRUNE_ARRIVALS,
	HISTORY_PRUNE_VERSIONS,
	HISTORY_PRUNE_NEXT_ADDRESS,
	HISTORY_PRUNE_HOURS,
	HISTORY_PRUNE_DAYS,
	HISTORY_PRUNE_STANDING,
	HISTORY_PRUNE_ADDRESS,
	HISTORY_PRUNE_NEXT_MIRROR,
	HISTORY_PRUNE_MIRROR,
	HISTORY_SQL_N
};
/** For the test that looks at the plans of all of them. */
const char *history_sql_text(enum history_sql sql);

/* of results.flags */
#define HISTORY_FLAG_DEEP  1
#define HISTORY_FLAG_BRIEF 2

#define HISTORY_DATABASES_N 3
#define HISTORY_KEPT_MAX    100000 /* rows that wait */

enum history_kind { HISTORY_RESULT, HISTORY_CHANGE, HISTORY_VERSION };

/** A row that waits to be written. */
struct history_row {
	enum history_kind kind;
	uint64_t at_s;
	struct addr addr;     /* family 0: of the whole mirror */
	enum reason from, to; /* of a result: its reason, the state */
	unsigned warnings, flags;
	uint64_t timestamp_s;
	uint32_t connect_us, first_us, total_us;
	uint32_t version; /* HISTORY_VERSION */
	struct seen_database databases[HISTORY_DATABASES_N];
	char *host;         /* NULL: of the monitor; the same memory as detail */
	const char *detail; /* HISTORY_VERSION: the database */
};

#define HISTORY_NUMBERS_MAX 64
struct history_number {
	char key[64];
	uint64_t number;
	bool is_written;
};

struct history {
	char *path; /* NULL: in memory */
	bool read_only;
	sqlite3 *db; /* NULL: it can't be used now */
	sqlite3_stmt *statements[HISTORY_SQL_N];
	dev_t dev; /* of the file that db has open */
	ino_t ino;
	int told;           /* error that was told last; 0 = all is well */
	char *moved_to;     /* where a damaged file is now; told with the next that can be */
	bool was_removed;   /* the file, while in use; the same */
	int before_changes; /* of db, at the last BEGIN */
	bool has_written;   /* the last transaction: only then is something well again */

	struct history_row *rows;
	size_t rows_n, rows_cap;
	size_t dropped_n; /* rows there was no room for, since this was told last */
	struct history_number numbers[HISTORY_NUMBERS_MAX];
	size_t numbers_n;
	uint64_t *saved; /* by the view's order of addresses: a sum of what was saved last */
	size_t saved_n;
	bool has_place; /* in the two that follow: those of the process before were read */
	int64_t pruned_address, pruned_mirror; /* the last that were looked at; 0 = all */
};

/**
 * Have the database open, and be it the one that is at its path. diag may be NULL. What it tells is told
 * once: history_tell(). Returns 0 or negative errno.
 */
int history_ready(struct history *history, struct diag *diag);
void history_disconnect(struct history *history);
/** For the next process: how far history_prune() has come. */
void history_keep_place(struct history *history);
/** It is damaged: move it aside, and begin anew. Returns 0 or negative errno. */
int history_begin_anew(struct history *history, struct diag *diag);
/** Tell of an error when it is not the one that was told last, or that all is well again. Returns rc. */
int history_tell(struct history *history, int rc, struct diag *diag);
/** What an SQLite error comes to: -EUCLEAN when the file is damaged. */
int history_errno(struct history *history, int error);

/** A statement without values from before, or NULL when there is no database. */
sqlite3_stmt *history_statement(struct history *history, enum history_sql sql);
/** 1 with a row, 0 at the end, or negative errno; but for a row it is then reset. */
int history_step(struct history *history, sqlite3_stmt *statement);
int history_run(struct history *history, enum history_sql sql);

int history_begin(struct history *history);
/** COMMIT when rc is 0, else, and when that fails, ROLLBACK. Returns 0 or negative errno. */
int history_end(struct history *history, int rc);

/** What is read until the end is of one moment, whatever is written meanwhile. */
int history_begin_reading(struct history *history);
/** Returns rc, or negative errno when rc was none. */
int history_end_reading(struct history *history, int rc);

void history_bind_text(sqlite3_stmt *statement, int column, const char *text);
void history_bind_number(sqlite3_stmt *statement, int column, uint64_t number);
/** The text form; family 0 or NULL: "". */
void history_bind_addr(sqlite3_stmt *statement, int column, const struct addr *addr);
/** The first row of a statement that asks about an address of a mirror; reset it when it was read. Returns 1,
 * 0 when there is none, or negative errno. */
int history_first_of(struct history *history, enum history_sql sql, const char *host, const struct addr *addr,
                     sqlite3_stmt **ret_statement);
/** What is read may be damaged: numbers are cut to their range, texts are printable ASCII. */
uint64_t history_column_number(sqlite3_stmt *statement, int column, uint64_t max);
enum reason history_column_reason(sqlite3_stmt *statement, int column);
void history_column_text(sqlite3_stmt *statement, int column, char *text, size_t cap);
void history_column_addr(sqlite3_stmt *statement, int column, struct addr *ret_addr);

#endif
