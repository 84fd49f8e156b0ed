#include "tests/unit/support/history_fixture.h"

#include <errno.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "tests/unit/support/folder.h"

char history_dir[64];
char history_path[128];
struct diag history_diag;
bool history_has_namespace;
struct rlimit history_file_limit;

int history_fixture_setup(void **state)
{
	if (folder_setup(state) < 0)
		return -1;
	snprintf(history_dir, sizeof(history_dir), "%s", folder_name());
	snprintf(history_path, sizeof(history_path), "%s/history.db", history_dir);
	diag_init(&history_diag);
	return 0;
}

int history_fixture_teardown(void **state)
{
	diag_fini(&history_diag);
	setrlimit(RLIMIT_FSIZE, &history_file_limit);
	umount2(history_dir, MNT_DETACH);
	return folder_teardown(state);
}

struct history *history_fixture_open(const char *at, bool read_only)
{
	struct history *history;
	assert_int_equal(history_open(at, read_only, &history_diag, &history), 0);
	return history;
}

void history_fixture_check_told(const char *what)
{
	char all[4096] = "";
	for (size_t i = 0; i < history_diag.messages_n &&
	                   strlen(all) + strlen(history_diag.messages[i].text) < sizeof(all) - 2;
	     i++)
		strcat(strcat(all, history_diag.messages[i].text), "\n");
	if (*what ? !strstr(all, what) : *all)
		fail_msg("wanted \"%s\", told:\n%s", what, all);
	diag_fini(&history_diag);
}

struct addr history_fixture_addr(const char *text)
{
	struct addr addr;
	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

void history_fixture_add_good(struct history *history, const char *host, const char *address, uint64_t at_s)
{
	struct addr addr = history_fixture_addr(address);
	struct check_result result = { .at_s = at_s, .timestamp_s = at_s - 600, .total_us = 20000 };
	assert_int_equal(history_add_result(history, host, &addr, &result, REASON_NONE), 0);
}

size_t history_fixture_checks_n(struct history *history, const char *host)
{
	static struct history_check checks[2000];
	return history_checks(history, host, checks, 2000);
}

void history_fixture_flush(struct history *history)
{
	assert_int_equal(history_flush(history, &history_diag), 0);
}

void history_fixture_shell(const char *format, ...)
{
	char command[512];
	va_list args;
	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_int_equal(system(command), 0);
}

size_t history_fixture_files_n(const char *pattern)
{
	char command[256];
	snprintf(command, sizeof(command), "ls -d %s/%s 2>/dev/null | wc -l", history_dir, pattern);
	FILE *out = popen(command, "r");
	assert_non_null(out);
	size_t n = 99;
	assert_int_equal(fscanf(out, "%zu", &n), 1);
	pclose(out);
	return n;
}

void history_fixture_fill(struct history *history)
{
	struct addr v4 = history_fixture_addr("192.0.2.1");
	struct addr v6 = history_fixture_addr("2001:db8::1");
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

void history_fixture_check_filled(struct history *history)
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
	struct addr v4 = history_fixture_addr("192.0.2.1");
	assert_int_equal(history_spans(history, "m1.de.example", &v4, T0 + 3600, 3600, spans, 1), 0);
	assert_int_equal(spans[0].checks_n, 1);
	assert_int_equal(history_spans(history, "m1.de.example", &v4, T0, 0, spans, 1), -EINVAL);
}

int history_fixture_count(const char *table)
{
	sqlite3 *db;
	sqlite3_stmt *statement;
	char text[128];
	snprintf(text, sizeof(text), "SELECT count(*) FROM %s", table);
	assert_int_equal(sqlite3_open_v2(history_path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int n = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return n;
}

int history_fixture_run(const struct CMUnitTest *tests, size_t tests_n)
{
	getrlimit(RLIMIT_FSIZE, &history_file_limit);
	history_has_namespace =
	        unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return _cmocka_run_group_tests("history", tests, tests_n, NULL, NULL);
}
