/* mirrormon's history on a file system that is not well: nothing stops it, nothing is lost silently. */
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/support/history_fixture.h"

/* rc 0: any error. It fails, is told once, keeps the rows; then it is well, is told, and all rows are there.
 */
static void check_fails(struct history *history, int rc, const char *told)
{
	history_fixture_add_good(history, "m1.example", "192.0.2.1", T0 + 1);
	int failed = history_flush(history, &history_diag);
	assert_true(rc ? failed == rc : failed < 0);
	history_fixture_check_told(told);
	history_fixture_add_good(history, "m1.example", "192.0.2.1", T0 + 2);
	assert_int_equal(history_flush(history, &history_diag), failed);
	assert_int_equal(history_flush(history, &history_diag), failed);
	history_set_number(history, "serial", 9);
	assert_int_equal(history_get_number(history, "serial"), 9);
	history_fixture_check_told("");
}

static void check_recovers(struct history *history, size_t rows_n)
{
	history_fixture_flush(history);
	history_fixture_check_told("can be written again");
	assert_int_equal(history_fixture_checks_n(history, "m1.example"), rows_n);
	history_fixture_flush(history);
	history_fixture_check_told("");
	history_close(history);
	history = history_fixture_open(history_path, false);
	assert_int_equal(history_fixture_checks_n(history, "m1.example"), rows_n);
	assert_int_equal(history_get_number(history, "serial"), 9);
	history_close(history);
	history_fixture_check_told("");
}

static void mount_small(const char *options)
{
	if (!history_has_namespace)
		skip();
	assert_int_equal(mount("tmpfs", history_dir, "tmpfs", 0, options), 0);
}

static void test_full_disk(void **state)
{
	(void)state;
	mount_small("size=600k");
	struct history *history = history_fixture_open(history_path, false);
	history_fixture_add_good(history, "m1.example", "192.0.2.1", T0);
	history_fixture_flush(history);
	history_fixture_shell("dd if=/dev/zero of=%s/ballast bs=4k 2>/dev/null; true", history_dir);
	for (unsigned i = 0; i < 5000; i++)
		history_fixture_add_good(history, "m2.example", "192.0.2.2", T0 + i);
	check_fails(history, -ENOSPC, "No space left");
	history_fixture_shell("rm %s/ballast", history_dir);
	check_recovers(history, 3);
}

/* The same where mounting is not allowed: a file that may not grow. */
static void test_file_limit(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(history_path, false);
	history_fixture_add_good(history, "m1.example", "192.0.2.1", T0);
	history_fixture_flush(history);
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit small = { 120000, history_file_limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (unsigned i = 0; i < 5000; i++)
		history_fixture_add_good(history, "m2.example", "192.0.2.2", T0 + i);
	check_fails(history, 0, "can't be used");
	setrlimit(RLIMIT_FSIZE, &history_file_limit);
	signal(SIGXFSZ, SIG_DFL);
	check_recovers(history, 3);
}

static void test_locked(void **state)
{
	(void)state;
	int up[2];
	int down[2];
	char byte;
	struct history *history = history_fixture_open(history_path, false);
	history_fixture_add_good(history, "m1.example", "192.0.2.1", T0);
	history_fixture_flush(history);
	assert_int_equal(pipe(up) | pipe(down), 0);
	pid_t child = fork();
	if (child == 0) {
		/* A process with an SQLite of its own: one can't be shared over a fork. */
		dup2(down[0], 0);
		dup2(up[1], 1);
		close(down[1]);
		execlp("sqlite3", "sqlite3", history_path, (char *)NULL);
		_exit(1);
	}
	static const char lock[] = "BEGIN IMMEDIATE; SELECT 1;\n";
	assert_int_equal(write(down[1], lock, sizeof(lock) - 1), sizeof(lock) - 1);
	assert_int_equal(read(up[0], &byte, 1), 1);
	assert_int_equal(byte, '1');
	check_fails(history, -EBUSY, "another process has locked it");
	/* The loop waits here: it may not be long. */
	sqlite3_stmt *wait;
	assert_int_equal(sqlite3_prepare_v2(history->db, "PRAGMA busy_timeout", -1, &wait, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(wait), SQLITE_ROW);
	assert_in_range(sqlite3_column_int(wait, 0), 1, 100);
	sqlite3_finalize(wait);
	/* What waits for the next flush is not tried, and waited for, again. */
	assert_int_equal(history_set_number(history, "announced", 7), -EBUSY);
	assert_int_equal(history_set_number(history, "announced", 7), 0);
	assert_int_equal(history_fixture_checks_n(history, "m1.example"), 1);
	close(down[1]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	close(down[0]);
	close(up[0]);
	close(up[1]);
	check_recovers(history, 3);
	history = history_fixture_open(history_path, false);
	assert_int_equal(history_get_number(history, "announced"), 7);
	history_close(history);
}

static void test_read_only_folder(void **state)
{
	(void)state;
	mount_small("size=2m");
	struct history *history = history_fixture_open(history_path, false);
	history_fixture_add_good(history, "m1.example", "192.0.2.1", T0);
	history_close(history);
	assert_int_equal(mount("tmpfs", history_dir, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=2m"), 0);
	history = history_fixture_open(history_path, false);
	history_fixture_check_told("can't be used");
	history_fixture_add_good(history, "m1.example", "192.0.2.1", T0 + 1);
	assert_true(history_flush(history, &history_diag) < 0);
	history_fixture_check_told("");
	assert_int_equal(mount("tmpfs", history_dir, "tmpfs", MS_REMOUNT, "size=2m"), 0);
	history_fixture_flush(history);
	history_fixture_check_told("can be written again");
	assert_int_equal(history_fixture_checks_n(history, "m1.example"), 2);
	history_close(history);
}

static void test_no_folder(void **state)
{
	(void)state;
	history_fixture_shell("rmdir %s", history_dir);
	struct history *history = history_fixture_open(history_path, false);
	history_fixture_check_told("can't be used: No such file");
	history_fixture_add_good(history, "m1.example", "192.0.2.1", T0);
	assert_int_equal(history_flush(history, &history_diag), -ENOENT);
	assert_int_equal(history_set_number(history, "serial", 9), -ENOENT);
	history_fixture_check_told("");
	history_fixture_shell("mkdir %s", history_dir);
	check_recovers(history, 1);
}

static void test_removed(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(history_path, false);
	struct history *reader = history_fixture_open(history_path, true);
	history_fixture_fill(history);
	history_fixture_flush(history);
	history_fixture_check_filled(reader);
	history_fixture_shell("rm %s*", history_path);
	assert_int_equal(history_set_number(history, "serial", 9), 0);
	history_fixture_fill(history);
	history_fixture_flush(history);
	history_fixture_check_filled(history);
	history_fixture_check_filled(reader);
	assert_int_equal(history_get_number(history, "serial"), 9);
	/* Its log stays behind, and must not be taken for the new one's. */
	history_fixture_shell("rm %s", history_path);
	history_fixture_flush(history);
	history_fixture_add_good(history, "m2.example", "192.0.2.1", T0);
	history_fixture_flush(history);
	assert_int_equal(history_fixture_checks_n(reader, "m2.example"), 1);
	assert_int_equal(history_fixture_checks_n(history, "m1.de.example"), 0);
	history_fixture_add_good(history, "m2.example", "192.0.2.1", T0);
	history_fixture_flush(history);
	assert_int_equal(history_fixture_checks_n(reader, "m2.example"), 2);
	history_fixture_check_told("it was removed or replaced while in use");
	history_fixture_add_good(history, "m1.example", "192.0.2.1", T0);
	history_fixture_shell("rm -r %s", history_dir);
	assert_int_equal(history_flush(history, &history_diag), -ENOENT);
	assert_int_equal(history_fixture_checks_n(reader, "m1.de.example"), 0);
	history_fixture_shell("mkdir %s", history_dir);
	history_fixture_flush(history);
	assert_int_equal(history_fixture_checks_n(reader, "m1.example"), 1);
	history_close(reader);
	history_close(history);
	history_fixture_check_told("can be written again");
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

/* What is there goes aside, and what comes then is kept. told "": nothing is said of it. */
static void check_begins_anew(const char *told)
{
	struct history *history = history_fixture_open(history_path, false);
	history_fixture_fill(history);
	history_fixture_flush(history);
	history_fixture_check_told(told);
	history_fixture_check_filled(history);
	history_close(history);
}

static void test_damaged(void **state)
{
	static const char damaged[] = "it was damaged and is now";
	(void)state;
	/* No database. */
	write_bytes(history_path, 0, 5000, 'x');
	check_begins_anew(damaged);
	assert_int_equal(history_fixture_files_n("history.db.damaged-*[0-9]"), 1);
	history_fixture_shell("rm %s.damaged-*", history_path);
	/* Cut. */
	assert_int_equal(truncate(history_path, 20000), 0);
	check_begins_anew(damaged);
	/* Every page but the first, while it is closed. */
	struct stat st;
	assert_int_equal(stat(history_path, &st), 0);
	write_bytes(history_path, 4096, (size_t)st.st_size - 4096, '\xa5');
	check_begins_anew(damaged);
	/* Emptied: begun anew where it is. */
	assert_int_equal(truncate(history_path, 0), 0);
	check_begins_anew("");
	assert_int_equal(truncate(history_path, 100), 0);
	struct history *history = history_fixture_open(history_path, false);
	history_fixture_check_told(damaged);
	history_close(history);
	history_fixture_shell("rm %s.damaged-*", history_path);
	/* A disk that dies must not be filled with copies. */
	for (unsigned i = 1; i < 6; i++) {
		char old[160];
		snprintf(old, sizeof(old), "%s.damaged-%u", history_path, i);
		write_bytes(old, 0, 1, 'x');
	}
	write_bytes(history_path, 0, 5000, 'x');
	history = history_fixture_open(history_path, false);
	history_fixture_check_told(damaged);
	assert_int_equal(history_fixture_files_n("history.db.damaged-*[0-9]"), 3);
	history_close(history);
}

/* A page that only a reader comes to: the writer hears of it, and the reader has the new file by itself. */
static void test_damaged_under_reader(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(history_path, false);
	for (unsigned i = 0; i < 3000; i++)
		history_fixture_add_good(history, "m1.example", "192.0.2.1", T0 + i);
	history_close(history);
	struct stat st;
	assert_int_equal(stat(history_path, &st), 0);
	/* The first pages hold the tables' roots. */
	write_bytes(history_path, 30 * 4096, (size_t)st.st_size - 30 * 4096, '\xa5');
	history = history_fixture_open(history_path, false);
	struct history *reader = history_fixture_open(history_path, true);
	history_fixture_check_told("");
	struct history_span spans[1];
	assert_int_equal(history_spans(reader, "m1.example", NULL, T0 + 86400, 86400, spans, 1), -EUCLEAN);
	assert_int_equal(history_fixture_files_n("history.db.damaged"), 1);
	history_fixture_add_good(history, "m2.example", "192.0.2.2", T0);
	history_fixture_flush(history);
	history_fixture_check_told("it was damaged and is now");
	assert_int_equal(history_fixture_files_n("history.db.damaged"), 0);
	assert_int_equal(history_spans(reader, "m2.example", NULL, T0 + 86400, 86400, spans, 1), 0);
	assert_int_equal(spans[0].checks_n, 1);
	history_fixture_flush(history);
	history_fixture_check_told("");
	history_close(reader);
	history_close(history);
	assert_int_equal(history_fixture_files_n("history.db.damaged-*[0-9]"), 1);
}

/* Numbers are in the new file as well, when the old one has gone; nothing of it is silent, whoever found it.
 */
static void test_numbers_outlive_the_file(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(history_path, false);
	assert_int_equal(history_set_number(history, "announced", 7), 0);
	assert_int_equal(history_set_number(history, "serial", 1), 0);
	history_fixture_shell("rm %s*", history_path);
	assert_int_equal(history_set_number(history, "serial", 2), 0);
	history_fixture_flush(history);
	history_fixture_check_told("it was removed or replaced while in use");
	history_close(history);
	history = history_fixture_open(history_path, false);
	assert_int_equal(history_get_number(history, "announced"), 7);
	assert_int_equal(history_get_number(history, "serial"), 2);
	struct stat st;
	char mark[32];
	char path[160];
	/* As a reader says that it is damaged. */
	assert_int_equal(history_set_number(history, "announced", 8), 0);
	assert_int_equal(stat(history_path, &st), 0);
	snprintf(mark, sizeof(mark), "%ju\n", (uintmax_t)st.st_ino);
	snprintf(path, sizeof(path), "%s.damaged", history_path);
	assert_int_equal(file_replace(path, mark, strlen(mark)), 0);
	assert_int_equal(history_set_number(history, "serial", 3), 0);
	history_fixture_check_told("");
	history_fixture_flush(history);
	history_fixture_check_told("it was damaged and is now");
	history_close(history);
	history = history_fixture_open(history_path, false);
	assert_int_equal(history_get_number(history, "announced"), 8);
	assert_int_equal(history_get_number(history, "serial"), 3);
	history_close(history);
	assert_int_equal(history_fixture_files_n("history.db.damaged-*[0-9]"), 1);
}

/* What could not be written is at the end, too, when it is a number alone. */
static void test_number_at_the_end(void **state)
{
	(void)state;
	history_fixture_shell("rmdir %s", history_dir);
	struct history *history = history_fixture_open(history_path, false);
	history_fixture_check_told("can't be used: No such file");
	assert_int_equal(history_set_number(history, "serial", 9), -ENOENT);
	history_fixture_shell("mkdir %s", history_dir);
	history_close(history);
	history = history_fixture_open(history_path, false);
	assert_int_equal(history_get_number(history, "serial"), 9);
	history_close(history);
}

/* Emptied while it is open, which no program should do: it goes on with a new one. */
static void test_emptied_while_open(void **state)
{
	(void)state;
	struct history *history = history_fixture_open(history_path, false);
	for (unsigned i = 0; i < 3000; i++)
		history_fixture_add_good(history, "m2.example", "192.0.2.1", T0 + i);
	history_fixture_flush(history);
	sqlite3_exec(history->db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
	history_fixture_shell("truncate -s 0 %s", history_path);
	for (unsigned i = 0; i < 3; i++) {
		history_fixture_add_good(history, "m1.example", "192.0.2.1", T0 + i);
		if (history_flush(history, &history_diag) == 0 &&
		    history_fixture_checks_n(history, "m1.example") == i + 1)
			break;
	}
	history_flush(history, &history_diag);
	assert_true(history_fixture_checks_n(history, "m1.example") >= 1);
	history_close(history);
}

static void test_not_ours(void **state)
{
	(void)state;
	history_fixture_shell("sqlite3 %s 'CREATE TABLE mails (text); INSERT INTO mails VALUES (1)'",
	                      history_path);
	struct history *history = history_fixture_open(history_path, false);
	history_fixture_check_told("of another program, or of a newer mirrormon");
	history_fixture_add_good(history, "m1.example", "192.0.2.1", T0);
	assert_int_equal(history_flush(history, &history_diag), -EMEDIUMTYPE);
	history_close(history);
	assert_int_equal(history_fixture_count("mails"), 1);
	history_fixture_shell("rm %s", history_path);
	history_close(history_fixture_open(history_path, false));
	history_fixture_shell("sqlite3 %s 'PRAGMA user_version = 99'", history_path);
	history_close(history_fixture_open(history_path, false));
	history_fixture_check_told("of another program, or of a newer mirrormon");
	assert_int_equal(history_fixture_files_n("history.db.damaged*"), 0);
}

/* For a year without a disk: bounded, and changes are kept longest. */
static void test_bounded(void **state)
{
	(void)state;
	history_fixture_shell("rmdir %s", history_dir);
	struct history *history = history_fixture_open(history_path, false);
	struct addr addr = history_fixture_addr("192.0.2.1");
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
	history_fixture_shell("mkdir %s", history_dir);
	int rc;
	size_t flushes_n = 1;
	while ((rc = history_flush(history, &history_diag)) == 1)
		flushes_n++;
	assert_int_equal(rc, 0);
	assert_int_equal(flushes_n, HISTORY_KEPT_MAX / 10000);
	history_fixture_check_told("that could not be written are lost");
	assert_int_equal(history_fixture_count("results"), kept_n);
	history_close(history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HISTORY_TEST(test_full_disk),
		HISTORY_TEST(test_file_limit),
		HISTORY_TEST(test_locked),
		HISTORY_TEST(test_read_only_folder),
		HISTORY_TEST(test_no_folder),
		HISTORY_TEST(test_removed),
		HISTORY_TEST(test_damaged),
		HISTORY_TEST(test_damaged_under_reader),
		HISTORY_TEST(test_numbers_outlive_the_file),
		HISTORY_TEST(test_number_at_the_end),
		HISTORY_TEST(test_emptied_while_open),
		HISTORY_TEST(test_not_ours),
		HISTORY_TEST(test_bounded),
	};
	return history_fixture_run(tests, sizeof(tests) / sizeof(tests[0]));
}
