/*
 * folder: a temporary folder for each test, and small files in it.
 *
 * One test at a time: the folder is that of the test that runs. Everything fails the test when it can't be
 * done.
 */
#ifndef TESTS_UNIT_SUPPORT_FOLDER_H
#define TESTS_UNIT_SUPPORT_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/** For cmocka_unit_test_setup_teardown(), or for a whole group. */
int folder_setup(void **state);
int folder_teardown(void **state);

const char *folder_name(void);
/** Static memory, good until the fourth call after it. */
const char *folder_path(const char *name);
void folder_put_bytes(const char *name, const char *bytes, size_t len);
void folder_put(const char *name, const char *text);
/** The caller frees it. */
char *folder_get(const char *name);
bool folder_has(const char *name);

#endif
