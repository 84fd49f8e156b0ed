/*
 * command_check: `mirrormon check HOST`: what the monitor would find now, for people.
 */
#ifndef TOOLS_MIRRORMON_COMMAND_CHECK_H
#define TOOLS_MIRRORMON_COMMAND_CHECK_H

#include <stdio.h>

#include "conf/monitor.h"

/**
 * Check all addresses of a mirror at once, with a whole database from the first, and print a report. Runs a
 * loop of its own until it is done; nothing is stored or decided.
 *
 * host     as in the mirrors file, upper or lower case
 * Returns  0 when all is well, 1 when something was found, negative errno when it could not be tried (said
 *          on out too)
 */
int command_check(const struct conf_monitor *conf, const char *host, FILE *out);

#endif
