#include "mirrormon/history_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirrormon/hash.h"

#define FLUSH_MAX    10000 /* rows of one transaction: a tenth of a second */
#define RESULTS_KEPT (HISTORY_KEPT_MAX - HISTORY_KEPT_MAX / 10) /* the rest is for changes */

/* Raise it when a field of struct standing changes its meaning; a reason more or a new length show anyway. */
#define STANDING_LAYOUT (1000 + REASON_N)

int history_open(const char *path, bool read_only, struct diag *diag, struct history **ret_history)
{
	struct history *history = calloc(1, sizeof(*history));
	if (!history || (path && !(history->path = strdup(path)))) {
		free(history);
		return -ENOMEM;
	}
	history->read_only = read_only;
	int rc = history_ready(history, diag);
	/* The reader's file is made by the writer, now or later. */
	if (!read_only || rc != -ENOENT)
		history_tell(history, rc, diag);
	char text[128];
	snprintf(text, sizeof(text), "DELETE FROM standings WHERE layout <> %d OR length(bytes) <> %zu",
	         STANDING_LAYOUT, sizeof(struct standing) + sizeof(uint64_t));
	if (rc == 0 && !read_only && sqlite3_exec(history->db, text, NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_changes(history->db) > 0)
		diag_warning(
		        diag, path, 0,
		        "%d standings of mirrors are of another version of mirrormon and were dropped; they "
		        "start with the next checks",
		        sqlite3_changes(history->db));
	*ret_history = history;
	return 0;
}

static bool has_numbers_to_write(const struct history *history)
{
	for (size_t i = 0; i < history->numbers_n; i++) {
		if (!history->numbers[i].is_written)
			return true;
	}
	return false;
}

void history_close(struct history *history)
{
	if (!history)
		return;
	history_keep_place(history);
	while ((history->rows_n || has_numbers_to_write(history)) && history_flush(history, NULL) > 0)
		;
	history_disconnect(history);
	for (size_t i = 0; i < history->rows_n; i++)
		free(history->rows[i].host);
	free(history->rows);
	free(history->moved_to);
	free(history->path);
	free(history);
}

/* --- rows that wait --- */

/* Takes the texts over as copies; what is longer than a host or a detail may be is cut. */
static int add_row(struct history *history, const struct history_row *row, const char *host,
                   const char *detail)
{
	if (history->rows_n >= (row->kind == HISTORY_RESULT ? RESULTS_KEPT : HISTORY_KEPT_MAX)) {
		history->dropped_n++;
		return -ENOBUFS;
	}
	if (history->rows_n == history->rows_cap) {
		size_t cap = history->rows_cap ? history->rows_cap * 2 : 256;
		struct history_row *rows = realloc(history->rows, cap * sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		history->rows = rows;
		history->rows_cap = cap;
	}
	size_t host_len = host ? strnlen(host, 255) : 0;
	size_t detail_len = detail ? strnlen(detail, MODEL_DETAIL_MAX - 1) : 0;
	char *text = calloc(1, host_len + detail_len + 2);
	if (!text)
		return -ENOMEM;
	memcpy(text, host ? host : "", host_len);
	memcpy(text + host_len + 1, detail ? detail : "", detail_len);
	struct history_row *added = &history->rows[history->rows_n++];
	*added = *row;
	added->host = text;
	added->detail = text + host_len + 1;
	return 0;
}

int history_add_result(struct history *history, const char *host, const struct addr *addr,
                       const struct check_result *result, enum reason state)
{
	if (result->brief && result->reason != REASON_WRONG_CONTENT)
		return 0;
	struct history_row row = {
		.kind = HISTORY_RESULT,
		.at_s = result->at_s,
		.addr = *addr,
		.from = result->reason,
		.to = state,
		.warnings = result->warnings,
		.flags = (result->deep ? HISTORY_FLAG_DEEP : 0U) | (result->brief ? HISTORY_FLAG_BRIEF : 0U),
		.timestamp_s = result->timestamp_s,
		.connect_us = result->connect_us,
		.first_us = result->first_us,
		.total_us = result->total_us,
	};
	memcpy(row.databases, result->databases, sizeof(row.databases));
	return add_row(history, &row, host, result->detail);
}

int history_add_change(struct history *history, uint64_t at_s, const char *host, const struct addr *addr,
                       enum reason from, enum reason to, const char *detail)
{
	struct history_row row = { .kind = HISTORY_CHANGE, .at_s = at_s, .from = from, .to = to };
	if (addr)
		row.addr = *addr;
	return add_row(history, &row, host, detail);
}

int history_add_version(struct history *history, uint64_t at_s, const char *host, const char *database,
                        uint32_t version)
{
	struct history_row row = { .kind = HISTORY_VERSION, .at_s = at_s, .version = version };
	return add_row(history, &row, host, database);
}

/* --- writing --- */

/* The number of what find finds, or of what add then adds. Both have the same parameters. */
static int find_or_add(struct history *history, enum history_sql find, enum history_sql add, int64_t parent,
                       const char *text, int64_t *ret_id)
{
	for (int tries = 0; tries < 2; tries++) {
		sqlite3_stmt *statement = history_statement(history, tries ? add : find);
		int column = 1;
		if (parent)
			sqlite3_bind_int64(statement, column++, parent);
		history_bind_text(statement, column, text);
		int rc = history_step(history, statement);
		if (rc < 0)
			return rc;
		*ret_id =
		        rc == 1 ? sqlite3_column_int64(statement, 0) : sqlite3_last_insert_rowid(history->db);
		sqlite3_reset(statement);
		if (rc == 1)
			return 0;
	}
	return 0;
}

/* mirror 0: of the monitor; address 0: of the whole mirror. */
static int find_address(struct history *history, const char *host, const struct addr *addr,
                        int64_t *ret_mirror, int64_t *ret_address)
{
	*ret_mirror = *ret_address = 0;
	if (!*host)
		return 0;
	int rc = find_or_add(history, HISTORY_MIRROR_FIND, HISTORY_MIRROR_ADD, 0, host, ret_mirror);
	char text[ADDR_TEXT_MAX];
	if (rc == 0 && addr->family)
		rc = find_or_add(history, HISTORY_ADDRESS_FIND, HISTORY_ADDRESS_ADD, *ret_mirror,
		                 addr_format(addr, text, sizeof(text)), ret_address);
	return rc;
}

static int write_result(struct history *history, const struct history_row *row, int64_t address)
{
	sqlite3_stmt *statement = history_statement(history, HISTORY_RESULT_ADD);
	const uint64_t numbers[] = { (uint64_t)address, row->at_s,    row->from,        row->to,
		                     row->warnings,     row->flags,   row->timestamp_s, row->connect_us,
		                     row->first_us,     row->total_us };
	int column = 1;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		history_bind_number(statement, column++, numbers[i]);
	for (size_t i = 0; i < HISTORY_DATABASES_N; i++, column += 3) {
		if (!row->databases[i].version)
			continue;
		history_bind_number(statement, column, row->databases[i].version);
		history_bind_number(statement, column + 1, row->databases[i].built_s);
		history_bind_number(statement, column + 2, row->databases[i].cdiffs);
	}
	history_bind_text(statement, column, row->detail);
	return history_step(history, statement);
}

static int write_change(struct history *history, const struct history_row *row, int64_t mirror,
                        int64_t address)
{
	sqlite3_stmt *statement = history_statement(history, HISTORY_CHANGE_ADD);
	history_bind_number(statement, 1, row->at_s);
	sqlite3_bind_int64(statement, 2, mirror);
	sqlite3_bind_int64(statement, 3, address);
	history_bind_number(statement, 4, row->from);
	history_bind_number(statement, 5, row->to);
	history_bind_text(statement, 6, row->detail);
	return history_step(history, statement);
}

static int write_version(struct history *history, const struct history_row *row, int64_t mirror)
{
	int64_t database;
	int rc = find_or_add(history, HISTORY_DATABASE_FIND, HISTORY_DATABASE_ADD, 0, row->detail, &database);
	if (rc < 0)
		return rc;
	sqlite3_stmt *statement = history_statement(history, HISTORY_VERSION_ADD);
	sqlite3_bind_int64(statement, 1, database);
	history_bind_number(statement, 2, row->version);
	history_bind_number(statement, 3, row->at_s);
	rc = history_step(history, statement);
	if (rc < 0 || !mirror)
		return rc;
	statement = history_statement(history, HISTORY_ARRIVAL_ADD);
	sqlite3_bind_int64(statement, 1, database);
	sqlite3_bind_int64(statement, 2, mirror);
	history_bind_number(statement, 3, row->version);
	history_bind_number(statement, 4, row->at_s);
	return history_step(history, statement);
}

static int write_row(struct history *history, const struct history_row *row)
{
	int64_t mirror;
	int64_t address;
	int rc = find_address(history, row->host, &row->addr, &mirror, &address);
	if (rc < 0)
		return rc;
	switch (row->kind) {
	case HISTORY_RESULT: return write_result(history, row, address);
	case HISTORY_CHANGE: return write_change(history, row, mirror, address);
	case HISTORY_VERSION: return write_version(history, row, mirror);
	}
	return 0;
}

static int write_number(struct history *history, const struct history_number *number)
{
	sqlite3_stmt *statement = history_statement(history, HISTORY_NUMBER_SET);
	history_bind_text(statement, 1, number->key);
	sqlite3_bind_int64(statement, 2, (int64_t)number->number);
	return history_step(history, statement);
}

static int write_all(struct history *history, size_t rows_n)
{
	int rc = history_begin(history);
	for (size_t i = 0; i < rows_n && rc == 0; i++)
		rc = write_row(history, &history->rows[i]);
	for (size_t i = 0; i < history->numbers_n && rc == 0; i++) {
		if (!history->numbers[i].is_written)
			rc = write_number(history, &history->numbers[i]);
	}
	return history_end(history, rc);
}

int history_flush(struct history *history, struct diag *diag)
{
	history->has_written = false;
	int rc = history_ready(history, diag);
	size_t rows_n = history->rows_n < FLUSH_MAX ? history->rows_n : FLUSH_MAX;
	if (rc == 0 && (rows_n || has_numbers_to_write(history))) {
		rc = write_all(history, rows_n);
		if (rc == -EUCLEAN && (rc = history_begin_anew(history, diag)) == 0)
			rc = write_all(history, rows_n);
	}
	if (history_tell(history, rc, diag) < 0)
		return rc;
	for (size_t i = 0; i < rows_n; i++)
		free(history->rows[i].host);
	history->rows_n -= rows_n;
	if (history->rows_n)
		memmove(history->rows, history->rows + rows_n, history->rows_n * sizeof(*history->rows));
	for (size_t i = 0; i < history->numbers_n; i++)
		history->numbers[i].is_written = true;
	return history->rows_n ? 1 : 0;
}

/* --- standings --- */

struct stored_standing {
	uint8_t standing[sizeof(struct standing)];
	uint8_t sum[sizeof(uint64_t)]; /* finds a damaged page */
};

static int write_standing(struct history *history, const char *host, const struct addr *addr,
                          const struct standing *standing)
{
	int64_t mirror;
	int64_t address;
	struct stored_standing stored;
	int rc = find_address(history, host, addr, &mirror, &address);
	if (rc < 0)
		return rc;
	uint64_t sum = hash_bytes(HASH_START, standing, sizeof(*standing));
	memcpy(stored.standing, standing, sizeof(*standing));
	memcpy(stored.sum, &sum, sizeof(sum));
	sqlite3_stmt *statement = history_statement(history, HISTORY_STANDING_SET);
	sqlite3_bind_int64(statement, 1, address);
	sqlite3_bind_int64(statement, 2, STANDING_LAYOUT);
	sqlite3_bind_blob(statement, 3, &stored, sizeof(stored), SQLITE_TRANSIENT);
	return history_step(history, statement);
}

static uint64_t sum_address(const char *host, const struct address_view *address)
{
	uint64_t sum = hash_bytes(HASH_START, host, strlen(host));
	sum = hash_bytes(sum, &address->addr, sizeof(address->addr));
	sum = hash_bytes(sum, &address->standing, sizeof(address->standing));
	return sum ? sum : 1;
}

/* Only what is another than was saved last; sums of what is now saved go to sums. */
static int write_standings(struct history *history, const struct view *view, uint64_t *sums)
{
	size_t n = 0;
	int rc = history_begin(history);
	for (size_t i = 0; i < view->mirrors_n && rc == 0; i++) {
		const struct mirror_view *mirror = &view->mirrors[i];
		for (size_t j = 0; j < mirror->addrs_n && rc == 0; j++, n++) {
			const struct address_view *address = &mirror->addrs[j];
			sums[n] = sum_address(mirror->host, address);
			if (n >= history->saved_n || history->saved[n] != sums[n])
				rc = write_standing(history, mirror->host, &address->addr,
				                    &address->standing);
		}
	}
	return history_end(history, rc);
}

int history_save_standings(struct history *history, const struct view *view, struct diag *diag)
{
	size_t n = 0;
	for (size_t i = 0; i < view->mirrors_n; i++)
		n += view->mirrors[i].addrs_n;
	uint64_t *sums = calloc(n ? n : 1, sizeof(*sums));
	if (!sums)
		return -ENOMEM;
	int rc = history_ready(history, diag);
	if (rc == 0 && (rc = write_standings(history, view, sums)) == -EUCLEAN &&
	    (rc = history_begin_anew(history, diag)) == 0)
		rc = write_standings(history, view, sums);
	free(history->saved);
	history->saved = NULL;
	history->saved_n = 0;
	if (rc == 0) {
		history->saved = sums;
		history->saved_n = n;
	} else {
		free(sums);
	}
	return history_tell(history, rc, diag);
}

int history_first_of(struct history *history, enum history_sql sql, const char *host, const struct addr *addr,
                     sqlite3_stmt **ret_statement)
{
	int rc = history_ready(history, NULL);
	if (rc < 0)
		return rc;
	*ret_statement = history_statement(history, sql);
	history_bind_text(*ret_statement, 1, host);
	history_bind_addr(*ret_statement, 2, addr);
	return history_step(history, *ret_statement);
}

int history_load_standing(struct history *history, const char *host, const struct addr *addr,
                          struct standing *ret_standing)
{
	sqlite3_stmt *statement;
	int rc = history_first_of(history, HISTORY_STANDING_GET, host, addr, &statement);
	if (rc != 1)
		return rc;
	struct stored_standing stored;
	struct standing standing;
	uint64_t sum;
	const void *bytes = sqlite3_column_blob(statement, 1);
	rc = 0;
	if (bytes && sqlite3_column_int64(statement, 0) == STANDING_LAYOUT &&
	    sqlite3_column_bytes(statement, 1) == sizeof(stored)) {
		memcpy(&stored, bytes, sizeof(stored));
		memcpy(&standing, stored.standing, sizeof(standing));
		memcpy(&sum, stored.sum, sizeof(sum));
		rc = sum == hash_bytes(HASH_START, &standing, sizeof(standing)) &&
		     standing.reason < REASON_N && standing.warning < REASON_N &&
		     memchr(standing.detail, '\0', sizeof(standing.detail));
	}
	sqlite3_reset(statement);
	if (rc == 1)
		*ret_standing = standing;
	return rc;
}

/* --- numbers --- */

static struct history_number *find_number(struct history *history, const char *key)
{
	for (size_t i = 0; i < history->numbers_n; i++) {
		if (strcmp(history->numbers[i].key, key) == 0)
			return &history->numbers[i];
	}
	return NULL;
}

uint64_t history_get_number(struct history *history, const char *key)
{
	const struct history_number *number = find_number(history, key);
	if (number)
		return number->number;
	if (history_ready(history, NULL) < 0)
		return 0;
	sqlite3_stmt *statement = history_statement(history, HISTORY_NUMBER_GET);
	history_bind_text(statement, 1, key);
	if (history_step(history, statement) != 1)
		return 0;
	uint64_t value = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return value;
}

int history_set_number(struct history *history, const char *key, uint64_t number)
{
	struct history_number *kept = find_number(history, key);
	/* Written, or left to the next flush: tried each time, one that is locked would hold up the loop. */
	if (kept && kept->number == number)
		return 0;
	if (strlen(key) >= sizeof(kept->key))
		return -EINVAL;
	if (!kept && history->numbers_n == HISTORY_NUMBERS_MAX)
		return -ENOBUFS;
	if (!kept) {
		kept = &history->numbers[history->numbers_n++];
		strcpy(kept->key, key);
	}
	kept->number = number;
	kept->is_written = false;
	int rc = history_ready(history, NULL);
	if (rc == 0 && (rc = history_begin(history)) == 0)
		rc = history_end(history, write_number(history, kept));
	kept->is_written = rc == 0;
	return rc;
}
