/*
 * conf_fixture: a folder of configuration files for each test. Messages are compared without its name.
 */
#ifndef TESTS_UNIT_SUPPORT_CONF_FIXTURE_H
#define TESTS_UNIT_SUPPORT_CONF_FIXTURE_H

#include <stddef.h>

#include "conf/conf.h"

/* A configuration of one zone, with more of its settings in rest. */
#define ZONE(rest) "zones = ( { name = \"z\"; file = \"z.zone\"; " rest " } );\n"

/** For cmocka_unit_test_setup_teardown(). */
int conf_fixture_setup(void **state);
int conf_fixture_teardown(void **state);

/** The path of a file of the folder: static memory, good until the next call. */
const char *conf_fixture_path(const char *name);
void conf_fixture_put_bytes(const char *name, const char *bytes, size_t len);
void conf_fixture_put(const char *name, const char *text);
void conf_fixture_put_folder(const char *name);

/**
 * Load dnsd.conf of the folder.
 *
 * name     of the case, for what is said when it fails
 * want     the messages, a line each; "" = none
 * Returns  NULL when there were errors; the caller destroys it
 */
struct conf *conf_fixture_load(const char *name, const char *want);
/** The same of a text that is in no file. */
struct conf *conf_fixture_load_text(enum conf_text_kind kind, const char *text, const char *want);

#endif
