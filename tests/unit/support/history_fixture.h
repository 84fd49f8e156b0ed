/*
 * history_fixture: a folder for a history, hosts and rows to put into it, and what is told about it.
 *
 * One test at a time: the folder and the messages are those of the test that runs.
 */
#ifndef TESTS_UNIT_SUPPORT_HISTORY_FIXTURE_H
#define TESTS_UNIT_SUPPORT_HISTORY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "mirrormon/history_int.h"

#define T0 1795244400U /* 2026-11-21 07:00:00 UTC, a whole hour */

extern struct rlimit history_file_limit; /* on the size of files, before any test */
extern char history_dir[64];
extern char history_path[128];
extern struct diag history_diag;   /* what was told since the last check */
extern bool history_has_namespace; /* of mounts: a small disk can be had */

int history_fixture_setup(void **state);
int history_fixture_teardown(void **state);
#define HISTORY_TEST(name)                                                                                   \
	cmocka_unit_test_setup_teardown(name, history_fixture_setup, history_fixture_teardown)

struct history *history_fixture_open(const char *at, bool read_only);
/** The messages since the last call hold this; "" = there are none. */
void history_fixture_check_told(const char *what);
struct addr history_fixture_addr(const char *text);
void history_fixture_add_good(struct history *history, const char *host, const char *address, uint64_t at_s);
size_t history_fixture_checks_n(struct history *history, const char *host);
/** All that waits, which must be less than one flush takes. */
void history_fixture_flush(struct history *history);
/** Run by a shell; must succeed. */
void history_fixture_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Of the folder, by a shell's pattern. */
size_t history_fixture_files_n(const char *pattern);
/** A row of each kind, and more; then looked for. */
void history_fixture_fill(struct history *history);
void history_fixture_check_filled(struct history *history);
/** Rows of a table of the file, by a connection of its own. */
int history_fixture_count(const char *table);
int history_fixture_run(const struct CMUnitTest *tests, size_t tests_n);

#endif
