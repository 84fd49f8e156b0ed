/*
 * join: `mirrormon add`: does a mirror that wants in do all that the how-to asks for?
 *
 *     template (host, ip address, country, admin) ──> steps, each passed or with how to mend it
 *                                                 ──> mirrors entry
 *
 * Steps: the template; the addresses (unicast, not of another mirror); the host name leads there; port 80
 * without redirect; virtual hosts database.clamav.net and, literally, db.*.clamav.net (Host:
 * db.test.clamav.net, local_test); the timestamp; the databases and their modification times
 * (If-Modified-Since); patches; the country against the geo database.
 */
#ifndef TOOLS_MIRRORMON_JOIN_H
#define TOOLS_MIRRORMON_JOIN_H

#include <stdio.h>

#include "mirrormon/model.h"

struct join_template {
	char host[256];
	char addresses[16][ADDR_TEXT_MAX];
	size_t addresses_n;
	char country[3];
	char admin[512];
};
/** Lines "key: value", any order and case; "ip address" may come more than once or have several, parted by
 * spaces or commas. Returns 0 or -EINVAL with diag. */
int join_parse(const char *text, size_t text_len, const char *file, struct diag *diag,
               struct join_template *ret_template);

/**
 * Run every step and write its outcome to out. append: add the entry to the mirrors file (by rename), else
 * print it. Returns 0 when all passed, 1 when a step failed, negative errno when it could not be tried.
 */
int join_run(const struct conf_monitor *conf, const struct join_template *template, bool append, FILE *out,
             struct diag *diag);

#endif
