/*
 * conf_fixture: configuration files in the folder of the test (folder.h). Messages are compared without its
 * name.
 */
#ifndef TESTS_UNIT_SUPPORT_CONF_FIXTURE_H
#define TESTS_UNIT_SUPPORT_CONF_FIXTURE_H

#include <stddef.h>

#include "conf/conf.h"
#include "tests/unit/support/folder.h"

/* A configuration of one zone, with more of its settings in rest. */
#define ZONE(rest) "zones = ( { name = \"z\"; file = \"z.zone\"; " rest " } );\n"

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
