#include "mirrormon/history_int.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/utc.h"

#define SCHEMA         2
#define APPLICATION    0x6d69726d /* "mirm" */
#define BUSY_MS        50         /* the loop waits so long for another process */
#define DAMAGED_MAX    3          /* files that are kept; a dying disk must not fill up */
#define WAL_KEPT_BYTES "16777216"

/* Sums, so that slices add up: the means are made when they are read. Those of days, too: a year of hours is
 * much to read for each page of the site. */
#define SUMS                                                                                                 \
	"checks_n INTEGER NOT NULL, good_n INTEGER NOT NULL, out_n INTEGER NOT NULL, worst INTEGER NOT "     \
	"NULL,"                                                                                              \
	" timed_n INTEGER NOT NULL, total_us INTEGER NOT NULL, aged_n INTEGER NOT NULL, age_s INTEGER NOT "  \
	"NULL"
#define DAYS_TABLE                                                                                           \
	"CREATE TABLE days (address INTEGER, day INTEGER, " SUMS                                             \
	", PRIMARY KEY (address, day)) WITHOUT ROWID;"

/* Reasons by their number in zones/pool/reason.h: only ever add at the end, or raise SCHEMA. */
static const char schema[] =
        "CREATE TABLE mirrors (id INTEGER PRIMARY KEY, host TEXT NOT NULL UNIQUE);"
        "CREATE TABLE addresses (id INTEGER PRIMARY KEY, mirror INTEGER NOT NULL, address TEXT NOT NULL,"
        " UNIQUE (mirror, address));"
        "CREATE TABLE databases (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
        /* By address, as they are asked for and pruned; n parts those of one second. */
        "CREATE TABLE results (address INTEGER, at_s INTEGER, n INTEGER,"
        " reason INTEGER NOT NULL, state INTEGER NOT NULL, warnings INTEGER NOT NULL, flags INTEGER NOT NULL,"
        " timestamp_s INTEGER NOT NULL, connect_us INTEGER NOT NULL, first_us INTEGER NOT NULL,"
        " total_us INTEGER NOT NULL, version_0 INTEGER, built_0 INTEGER, cdiffs_0 INTEGER, version_1 INTEGER,"
        " built_1 INTEGER, cdiffs_1 INTEGER, version_2 INTEGER, built_2 INTEGER, cdiffs_2 INTEGER,"
        " detail TEXT NOT NULL, PRIMARY KEY (address, at_s, n)) WITHOUT ROWID;"
        "CREATE TABLE hours (address INTEGER, hour INTEGER, " SUMS
        ", PRIMARY KEY (address, hour)) WITHOUT ROWID;" DAYS_TABLE
        "CREATE TABLE changes (id INTEGER PRIMARY KEY, at_s INTEGER NOT NULL, mirror INTEGER NOT NULL,"
        " address INTEGER NOT NULL, old INTEGER NOT NULL, new INTEGER NOT NULL, detail TEXT NOT NULL);"
        "CREATE INDEX changes_by_mirror ON changes (mirror, at_s);"
        "CREATE INDEX changes_by_time ON changes (at_s);"
        "CREATE TABLE arrivals (database INTEGER, mirror INTEGER, version INTEGER, at_s INTEGER NOT NULL,"
        " PRIMARY KEY (database, mirror, version)) WITHOUT ROWID;"
        "CREATE INDEX arrivals_by_time ON arrivals (at_s);"
        "CREATE TABLE versions (database INTEGER, version INTEGER, at_s INTEGER NOT NULL,"
        " PRIMARY KEY (database, version)) WITHOUT ROWID;"
        "CREATE INDEX versions_by_time ON versions (at_s);"
        "CREATE TABLE standings (address INTEGER PRIMARY KEY, layout INTEGER NOT NULL, bytes BLOB NOT NULL);"
        "CREATE TABLE numbers (key TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;";

#define ADD_SUMS                                                                                             \
	" ON CONFLICT DO UPDATE SET checks_n = checks_n + excluded.checks_n, good_n = good_n + "             \
	"excluded.good_n, out_n = out_n + excluded.out_n, worst = max(worst, excluded.worst), timed_n = "    \
	"timed_n + excluded.timed_n, total_us = total_us + excluded.total_us, aged_n = aged_n + "            \
	"excluded.aged_n, age_s = age_s + excluded.age_s"

/* From the schema before. */
static const char upgrade[] = DAYS_TABLE
        "INSERT INTO days SELECT address, hour / 86400 * 86400, checks_n, good_n, out_n, worst, timed_n,"
        " total_us, aged_n, age_s FROM hours WHERE true" ADD_SUMS ";";

#define CONDENSE(table, seconds)                                                                             \
	"INSERT INTO " table " SELECT address, at_s / " seconds " * " seconds                                \
	", count(*), sum(reason = 0), sum(state <> 0), max(max(reason, state)),"                             \
	" sum(reason = 0 AND total_us > 0), sum(iif(reason = 0, total_us, 0)), sum(timestamp_s > 0),"        \
	" sum(iif(timestamp_s > 0, max(at_s - timestamp_s, 0), 0))"                                          \
	" FROM (SELECT * FROM results WHERE address = ?1 AND at_s < ?2 ORDER BY at_s, n LIMIT ?3)"           \
	" WHERE true GROUP BY 1, 2" ADD_SUMS

#define SPANS_OF(table, at)                                                                                  \
	"SELECT s." at ", s.checks_n, s.good_n, s.out_n, s.worst, s.timed_n, s.total_us, s.aged_n, s.age_s"  \
	" FROM addresses a JOIN " table " s ON s.address = a.id"                                             \
	" WHERE a.mirror = (SELECT id FROM mirrors WHERE host = ?1) AND (?2 = '' OR a.address = ?2)"         \
	" AND s." at " >= ?3 AND s." at " < ?4"

static const char *const texts[HISTORY_SQL_N] = {
	[HISTORY_BEGIN] = "BEGIN IMMEDIATE",
	[HISTORY_BEGIN_READING] = "BEGIN",
	[HISTORY_COMMIT] = "COMMIT",
	[HISTORY_MIRROR_ADD] = "INSERT INTO mirrors (host) VALUES (?)",
	[HISTORY_MIRROR_FIND] = "SELECT id FROM mirrors WHERE host = ?",
	[HISTORY_ADDRESS_ADD] = "INSERT INTO addresses (mirror, address) VALUES (?, ?)",
	[HISTORY_ADDRESS_FIND] = "SELECT id FROM addresses WHERE mirror = ? AND address = ?",
	[HISTORY_DATABASE_ADD] = "INSERT INTO databases (name) VALUES (?)",
	[HISTORY_DATABASE_FIND] = "SELECT id FROM databases WHERE name = ?",
	[HISTORY_RESULT_ADD] =
	        "INSERT INTO results (address, at_s, n, reason, state, warnings, flags, timestamp_s,"
	        " connect_us, first_us, total_us, version_0, built_0, cdiffs_0, version_1, built_1,"
	        " cdiffs_1, version_2, built_2, cdiffs_2, detail) VALUES (?1, ?2,"
	        " (SELECT coalesce(max(n) + 1, 0) FROM results WHERE address = ?1 AND at_s = ?2), ?3, ?4, ?5,"
	        " ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
	[HISTORY_CHANGE_ADD] =
	        "INSERT INTO changes (at_s, mirror, address, old, new, detail) VALUES (?, ?, ?, ?, ?, ?)",
	[HISTORY_ARRIVAL_ADD] = "INSERT INTO arrivals (database, mirror, version, at_s) VALUES (?, ?, ?, ?)"
	                        " ON CONFLICT DO UPDATE SET at_s = min(at_s, excluded.at_s)",
	[HISTORY_VERSION_ADD] = "INSERT INTO versions (database, version, at_s) VALUES (?, ?, ?)"
	                        " ON CONFLICT DO UPDATE SET at_s = min(at_s, excluded.at_s)",
	[HISTORY_STANDING_SET] =
	        "INSERT INTO standings (address, layout, bytes) VALUES (?, ?, ?)"
	        " ON CONFLICT DO UPDATE SET layout = excluded.layout, bytes = excluded.bytes",
	[HISTORY_STANDING_GET] = "SELECT layout, bytes FROM standings WHERE address ="
	                         " (SELECT a.id FROM addresses a JOIN mirrors m ON m.id = a.mirror"
	                         " WHERE m.host = ? AND a.address = ?)",
	[HISTORY_NUMBER_SET] = "INSERT INTO numbers (key, number) VALUES (?, ?)"
	                       " ON CONFLICT DO UPDATE SET number = excluded.number",
	[HISTORY_NUMBER_GET] = "SELECT number FROM numbers WHERE key = ?",
	[HISTORY_SPANS_RAW] =
	        "SELECT r.at_s, r.reason, r.state, r.flags, r.total_us, r.timestamp_s FROM addresses a"
	        " JOIN results r ON r.address = a.id"
	        " WHERE a.mirror = (SELECT id FROM mirrors WHERE host = ?1) AND (?2 = '' OR a.address = ?2)"
	        " AND r.at_s >= ?3 AND r.at_s < ?4",
	[HISTORY_SPANS_HOURS] = SPANS_OF("hours", "hour"),
	[HISTORY_SPANS_DAYS] = SPANS_OF("days", "day"),
	/* Lists: ?1 how many at most, ?2 the mirror or database, ?3 the version. */
	[HISTORY_EVENTS] = "SELECT c.at_s, m.host, a.address, c.old, c.new, c.detail FROM changes c"
	                   " LEFT JOIN mirrors m ON m.id = c.mirror LEFT JOIN addresses a ON a.id = c.address"
	                   " WHERE c.at_s <= 9223372036854775807 ORDER BY c.at_s DESC, c.id DESC LIMIT ?1",
	[HISTORY_EVENTS_MIRROR] =
	        "SELECT c.at_s, ?2, a.address, c.old, c.new, c.detail FROM changes c"
	        " LEFT JOIN addresses a ON a.id = c.address"
	        " WHERE c.mirror = CASE ?2 WHEN '' THEN 0 ELSE (SELECT id FROM mirrors WHERE host = ?2) END"
	        " ORDER BY c.at_s DESC, c.id DESC LIMIT ?1",
	/* The newest of each address first, so that a long history costs nothing. */
	[HISTORY_CHECKS] = "SELECT r.at_s, a.address, r.reason, r.state, r.warnings, r.flags, r.timestamp_s, "
	                   "r.connect_us,"
	                   " r.first_us, r.total_us, r.version_0, r.built_0, r.cdiffs_0, r.version_1, "
	                   "r.built_1, r.cdiffs_1,"
	                   " r.version_2, r.built_2, r.cdiffs_2, r.detail"
	                   " FROM addresses a JOIN results r ON r.address = a.id AND r.at_s >="
	                   " (SELECT min(n.at_s) FROM (SELECT at_s FROM results WHERE address = a.id"
	                   " ORDER BY at_s DESC LIMIT ?1) n)"
	                   " WHERE a.mirror = (SELECT id FROM mirrors WHERE host = ?2)"
	                   " ORDER BY r.at_s DESC, r.address DESC, r.n DESC LIMIT ?1",
	/* A mirror may skip versions, and for a while go back: the first of the next eight that it had. */
	[HISTORY_ARRIVALS] = "SELECT m.host, (SELECT min(n.at_s) FROM (SELECT at_s FROM arrivals"
	                     " WHERE database = (SELECT id FROM databases WHERE name = ?2) AND mirror = m.id"
	                     " AND version >= ?3 ORDER BY version LIMIT 8) n) AS first"
	                     " FROM mirrors m WHERE first IS NOT NULL ORDER BY first, m.host LIMIT ?1",
	[HISTORY_VERSIONS] = "SELECT version FROM versions"
	                     " WHERE database = (SELECT id FROM databases WHERE name = ?2)"
	                     " ORDER BY version DESC LIMIT ?1",
	[HISTORY_STATE] = "SELECT coalesce((SELECT sum((SELECT max(at_s) FROM results WHERE address = a.id))"
	                  " FROM addresses a WHERE a.mirror = m.id), 0)"
	                  " + coalesce((SELECT id FROM changes WHERE mirror = m.id ORDER BY at_s DESC, id "
	                  "DESC LIMIT 1), "
	                  "0)"
	                  " FROM mirrors m WHERE m.host = ?1",
	[HISTORY_SEEN] = "SELECT version_0, version_1, version_2 FROM results WHERE address ="
	                 " (SELECT a.id FROM addresses a JOIN mirrors m ON m.id = a.mirror"
	                 " WHERE m.host = ? AND a.address = ?)"
	                 " AND reason = 0 ORDER BY at_s DESC, n DESC LIMIT 1",
	[HISTORY_PRUNE_DUE] = "SELECT 1 FROM results WHERE address = ?1 AND at_s < ?2 LIMIT 1",
	[HISTORY_PRUNE_CONDENSE_HOURS] = CONDENSE("hours", "3600"),
	[HISTORY_PRUNE_CONDENSE_DAYS] = CONDENSE("days", "86400"),
	[HISTORY_PRUNE_RESULTS] =
	        "DELETE FROM results WHERE (address, at_s, n) IN (SELECT address, at_s, n FROM results"
	        " WHERE address = ?1 AND at_s < ?2 ORDER BY at_s, n LIMIT ?3)",
	[HISTORY_PRUNE_RESULTS_AHEAD] = "DELETE FROM results WHERE address = ?1 AND at_s > ?2",
	[HISTORY_PRUNE_CHANGES] = "DELETE FROM changes WHERE id IN"
	                          " (SELECT id FROM changes WHERE at_s < ?1 LIMIT ?2)",
	[HISTORY_PRUNE_ARRIVALS] =
	        "DELETE FROM arrivals WHERE (database, mirror, version) IN"
	        " (SELECT database, mirror, version FROM arrivals WHERE at_s < ?1 LIMIT ?2)",
	[HISTORY_PRUNE_VERSIONS] = "DELETE FROM versions WHERE (database, version) IN"
	                           " (SELECT database, version FROM versions WHERE at_s < ?1 LIMIT ?2)",
	[HISTORY_PRUNE_NEXT_ADDRESS] = "SELECT id, mirror FROM addresses WHERE id > ?1 ORDER BY id LIMIT 1",
	[HISTORY_PRUNE_HOURS] = "DELETE FROM hours WHERE address = ?1 AND hour < ?2",
	[HISTORY_PRUNE_DAYS] = "DELETE FROM days WHERE address = ?1 AND day < ?2",
	[HISTORY_PRUNE_STANDING] = "DELETE FROM standings WHERE address = ?1"
	                           " AND NOT EXISTS (SELECT 1 FROM hours WHERE address = ?1)"
	                           " AND NOT EXISTS (SELECT 1 FROM results WHERE address = ?1)",
	[HISTORY_PRUNE_ADDRESS] =
	        "DELETE FROM addresses WHERE id = ?1"
	        " AND NOT EXISTS (SELECT 1 FROM hours WHERE address = ?1)"
	        " AND NOT EXISTS (SELECT 1 FROM results WHERE address = ?1)"
	        " AND NOT EXISTS (SELECT 1 FROM standings WHERE address = ?1)"
	        " AND NOT EXISTS (SELECT 1 FROM changes WHERE mirror = ?2 AND address = ?1)",
	[HISTORY_PRUNE_NEXT_MIRROR] = "SELECT id FROM mirrors WHERE id > ?1 ORDER BY id LIMIT 1",
	[HISTORY_PRUNE_MIRROR] =
	        "DELETE FROM mirrors WHERE id = ?1"
	        " AND NOT EXISTS (SELECT 1 FROM addresses WHERE mirror = ?1)"
	        " AND NOT EXISTS (SELECT 1 FROM changes WHERE mirror = ?1)"
	        " AND NOT EXISTS (SELECT 1 FROM databases d CROSS JOIN arrivals a ON a.database = d.id"
	        " WHERE a.mirror = ?1)",
};

const char *history_sql_text(enum history_sql sql)
{
	return texts[sql];
}

/* --- errors --- */

int history_errno(struct history *history, int error)
{
	int system = history->db ? sqlite3_system_errno(history->db) : 0;
	switch (error & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE: return 0;
	case SQLITE_FULL: return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return -EUCLEAN;
	case SQLITE_READONLY: return -EROFS;
	case SQLITE_NOMEM: return -ENOMEM;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR: return system > 0 ? -system : -EIO;
	default: return -EIO;
	}
}

/* What was found where there was nobody to be told. */
static void tell_found(struct history *history, struct diag *diag)
{
	if (history->moved_to)
		diag_error(diag, history->path, 0,
		           "it was damaged and is now %s, a new one is begun; \"sqlite3 %s .recover\" shows "
		           "what can be read",
		           history->moved_to, history->moved_to);
	if (history->was_removed)
		diag_warning(diag, history->path, 0,
		             "it was removed or replaced while in use; what is there now is used");
	free(history->moved_to);
	history->moved_to = NULL;
	history->was_removed = false;
}

int history_tell(struct history *history, int rc, struct diag *diag)
{
	const char *path = history->path ? history->path : "history in memory";
	if (diag)
		tell_found(history, diag);
	if (!diag || (rc == 0 && history->told && !history->has_written))
		return rc;
	if (rc == 0 && history->told)
		diag_info(diag, "%s: can be written again", path);
	else if (rc == -EBUSY && history->told != rc)
		diag_error(diag, path, 0,
		           "another process has locked it; results are kept in memory meanwhile");
	else if (rc == -EUCLEAN && history->told != rc)
		diag_error(diag, path, 0, "it is damaged and can't be moved aside; move it away by hand");
	else if (rc == -EMEDIUMTYPE && history->told != rc)
		diag_error(diag, path, 0,
		           "it is the database of another program, or of a newer mirrormon; move it away, or "
		           "name another state-directory");
	else if (rc < 0 && history->told != rc)
		diag_error(diag, path, 0,
		           "can't be used: %s; results are kept in memory, and this is tried again",
		           strerror(-rc));
	history->told = rc;
	if (history->dropped_n && (rc == 0 || history->dropped_n >= HISTORY_KEPT_MAX)) {
		diag_warning(diag, path, 0, "%zu results and changes that could not be written are lost",
		             history->dropped_n);
		history->dropped_n = 0;
	}
	return rc;
}

/* --- the file --- */

void history_disconnect(struct history *history)
{
	for (size_t i = 0; i < HISTORY_SQL_N; i++) {
		sqlite3_finalize(history->statements[i]);
		history->statements[i] = NULL;
	}
	sqlite3_close(history->db);
	history->db = NULL;
	/* The next one may be another file, which has none of it. */
	free(history->saved);
	history->saved = NULL;
	history->saved_n = 0;
	for (size_t i = 0; i < history->numbers_n; i++)
		history->numbers[i].is_written = false;
}

static int get_pragma(struct history *history, const char *text, int64_t *ret_number)
{
	sqlite3_stmt *statement;
	int error = sqlite3_prepare_v2(history->db, text, -1, &statement, NULL);
	if (error != SQLITE_OK)
		return history_errno(history, error);
	error = sqlite3_step(statement);
	if (error == SQLITE_ROW)
		*ret_number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return error == SQLITE_ROW ? 0 : history_errno(history, error == SQLITE_DONE ? SQLITE_ERROR : error);
}

static int execute(struct history *history, const char *text)
{
	return history_errno(history, sqlite3_exec(history->db, text, NULL, NULL, NULL));
}

/* Tables, when there are none; refused when they are not ours. */
static int have_schema(struct history *history)
{
	int64_t application = 0;
	int64_t version = 0;
	int64_t tables_n = 0;
	int rc;
	if ((rc = get_pragma(history, "PRAGMA application_id", &application)) < 0 ||
	    (rc = get_pragma(history, "PRAGMA user_version", &version)) < 0 ||
	    (rc = get_pragma(history, "SELECT count(*) FROM sqlite_schema", &tables_n)) < 0)
		return rc;
	if (tables_n && (application != APPLICATION || version < 1 || version > SCHEMA))
		return -EMEDIUMTYPE;
	if (tables_n && version == SCHEMA)
		return 0;
	/* The writer makes it, or makes it what it has to be. */
	if (history->read_only)
		return -ENOENT;
	char pragmas[128];
	snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
	         APPLICATION, SCHEMA);
	if ((rc = execute(history, "BEGIN IMMEDIATE")) < 0)
		return rc;
	if ((rc = execute(history, tables_n ? upgrade : schema)) < 0 || (rc = execute(history, pragmas)) < 0)
		sqlite3_exec(history->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

static int prepare_all(struct history *history)
{
	for (size_t i = 0; i < HISTORY_SQL_N; i++) {
		int error = sqlite3_prepare_v3(history->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
		                               &history->statements[i], NULL);
		/* A table or a column is missing. */
		if (error == SQLITE_ERROR)
			return -EUCLEAN;
		if (error != SQLITE_OK)
			return history_errno(history, error);
	}
	return 0;
}

static int set_up(struct history *history)
{
	int rc;
	sqlite3_busy_timeout(history->db, BUSY_MS);
	if (!history->read_only && sqlite3_db_readonly(history->db, "main") == 1)
		return -EROFS;
	if (history->read_only) {
		rc = execute(history, "PRAGMA mmap_size = 0; PRAGMA query_only = 1");
	} else {
		/* NORMAL: a power cut may cost the last transactions, never the file. */
		rc = execute(history,
		             "PRAGMA mmap_size = 0; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		             "PRAGMA journal_size_limit = " WAL_KEPT_BYTES);
	}
	if (rc < 0 || (rc = have_schema(history)) < 0)
		return rc;
	return prepare_all(history);
}

static int connect_file(struct history *history)
{
	struct stat st = { 0 };
	/* One that is shared by the connections of this process, and ends with the last. */
	const char *path = history->path ? history->path : "file:/mirrormon?vfs=memdb";
	int flags = SQLITE_OPEN_NOMUTEX | (history->path ? 0 : SQLITE_OPEN_URI);
	flags |= history->read_only && history->path ? SQLITE_OPEN_READONLY
	                                             : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	int error = sqlite3_open_v2(path, &history->db, flags, NULL);
	int rc = history_errno(history, error);
	if (rc == 0)
		rc = set_up(history);
	if (rc == 0 && history->path && stat(history->path, &st) < 0)
		rc = -errno;
	if (rc < 0) {
		history_disconnect(history);
		return rc;
	}
	if (history->path) {
		history->dev = st.st_dev;
		history->ino = st.st_ino;
	}
	return 0;
}

/* Files that were moved aside before, but for the newest of them, are removed. */
static void remove_old_damaged(const char *path)
{
	char folder[PATH_MAX];
	char oldest[PATH_MAX];
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	for (;;) {
		DIR *dir = opendir(folder);
		const struct dirent *entry;
		size_t n = 0;
		uint64_t oldest_s = UINT64_MAX;
		while (dir && (entry = readdir(dir))) {
			char *end;
			if (strncmp(entry->d_name, name, strlen(name)) != 0 ||
			    strncmp(entry->d_name + strlen(name), ".damaged-", 9) != 0)
				continue;
			uint64_t at_s = strtoull(entry->d_name + strlen(name) + 9, &end, 10);
			n += *end == '\0';
			if (*end == '\0' && at_s < oldest_s)
				oldest_s = at_s;
		}
		if (dir)
			closedir(dir);
		if (n < DAMAGED_MAX ||
		    snprintf(oldest, sizeof(oldest) - 4, "%s.damaged-%" PRIu64, path, oldest_s) >=
		            (int)sizeof(oldest) - 4 ||
		    unlink(oldest) < 0)
			return;
		strcat(oldest, "-wal");
		unlink(oldest);
	}
}

int history_begin_anew(struct history *history, struct diag *diag)
{
	char from[PATH_MAX];
	char to[PATH_MAX];
	history_disconnect(history);
	if (history->read_only)
		return -EUCLEAN;
	if (!history->path)
		return connect_file(history);
	remove_old_damaged(history->path);
	uint64_t now_s = utc_now();
	if (snprintf(to, sizeof(to), "%s.damaged-%" PRIu64, history->path, now_s) >= (int)sizeof(to) - 4)
		return -ENAMETOOLONG;
	if (rename(history->path, to) < 0 && errno != ENOENT)
		return -EUCLEAN;
	free(history->moved_to);
	history->moved_to = strdup(to);
	if (diag)
		tell_found(history, diag);
	/* The log belongs to it; beside a new database it would be taken for that one's. */
	snprintf(from, sizeof(from), "%s-wal", history->path);
	strcat(to, "-wal");
	if (rename(from, to) < 0)
		unlink(from);
	snprintf(from, sizeof(from), "%s-shm", history->path);
	unlink(from);
	snprintf(from, sizeof(from), "%s.damaged", history->path);
	unlink(from);
	return connect_file(history);
}

/* What a reader has found damaged, the writer moves aside: told by a file with its inode's number. */
static void mark_damaged(struct history *history)
{
	char path[PATH_MAX];
	char text[32];
	int len = snprintf(text, sizeof(text), "%" PRIuMAX "\n", (uintmax_t)history->ino);
	if (history->path && snprintf(path, sizeof(path), "%s.damaged", history->path) < (int)sizeof(path) &&
	    history->ino)
		(void)file_replace(path, text, (size_t)len);
}

static bool is_marked_damaged(struct history *history)
{
	char path[PATH_MAX];
	char *text;
	size_t len;
	const char *why;
	if (snprintf(path, sizeof(path), "%s.damaged", history->path) >= (int)sizeof(path) ||
	    file_read(path, 64, &text, &len, &why) < 0)
		return false;
	bool same = strtoumax(text, NULL, 10) == (uintmax_t)history->ino;
	free(text);
	unlink(path);
	return same;
}

int history_ready(struct history *history, struct diag *diag)
{
	struct stat st;
	bool was_removed = false;
	if (history->db && history->path) {
		if (stat(history->path, &st) < 0 || st.st_dev != history->dev || st.st_ino != history->ino) {
			was_removed = true;
			history_disconnect(history);
		} else if (!history->read_only && is_marked_damaged(history)) {
			return history_begin_anew(history, diag);
		}
	}
	if (history->db)
		return 0;
	int rc = connect_file(history);
	if (rc == -EUCLEAN)
		rc = history_begin_anew(history, diag);
	history->was_removed |= rc == 0 && was_removed && !history->read_only;
	if (diag)
		tell_found(history, diag);
	return rc;
}

/* --- statements --- */

sqlite3_stmt *history_statement(struct history *history, enum history_sql sql)
{
	sqlite3_stmt *statement = history->statements[sql];
	if (statement) {
		sqlite3_reset(statement);
		sqlite3_clear_bindings(statement);
	}
	return statement;
}

int history_step(struct history *history, sqlite3_stmt *statement)
{
	if (!statement)
		return -EIO;
	int error = sqlite3_step(statement);
	if (error == SQLITE_ROW)
		return 1;
	int rc = history_errno(history, error);
	sqlite3_reset(statement);
	if (rc == -EUCLEAN)
		mark_damaged(history);
	return rc;
}

int history_run(struct history *history, enum history_sql sql)
{
	return history_step(history, history_statement(history, sql));
}

int history_begin(struct history *history)
{
	history->has_written = false;
	history->before_changes = sqlite3_total_changes(history->db);
	return history_run(history, HISTORY_BEGIN);
}

int history_end(struct history *history, int rc)
{
	if (rc == 0)
		rc = history_run(history, HISTORY_COMMIT);
	if (rc == 0)
		history->has_written = sqlite3_total_changes(history->db) != history->before_changes;
	if (rc < 0 && history->db && !sqlite3_get_autocommit(history->db))
		sqlite3_exec(history->db, "ROLLBACK", NULL, NULL, NULL);
	/* What is wrong with the connection may be mended by a new one; these two are not. */
	if (rc < 0 && rc != -EBUSY && rc != -ENOSPC)
		history_disconnect(history);
	return rc;
}

int history_begin_reading(struct history *history)
{
	return history_run(history, HISTORY_BEGIN_READING);
}

int history_end_reading(struct history *history, int rc)
{
	int ended = history_run(history, HISTORY_COMMIT);
	/* Never left in a transaction: what it reads would stay as it is now. */
	if (ended < 0 && history->db && !sqlite3_get_autocommit(history->db))
		history_disconnect(history);
	return rc < 0 ? rc : ended;
}
