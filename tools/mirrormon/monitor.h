/*
 * monitor: the running monitor. One thread and one loop; the site is written on another.
 *
 *     timers ──> checker ──results──> standings ──┐
 *     references, votes of others ────────────────┴──> judgement ──> view ──> feed, vote, history,
 *                                                                             mail, site, metrics
 */
#ifndef TOOLS_MIRRORMON_MONITOR_H
#define TOOLS_MIRRORMON_MONITOR_H

#include <stdbool.h>

#include "mirrormon/model.h"

/**
 * Run until SIGTERM or SIGINT, or, with once, until each address has been checked once and all is written.
 * SIGHUP reads the configuration again.
 *
 * conf_path  borrowed, for reloads
 * settings   its first reading; taken over
 * Returns    exit status: 0, or 1 when it could not start, or, with once, when something could not be written
 */
int monitor_run(const char *conf_path, struct settings *settings, bool once);

/** What else a configuration names can be used: for -t. Returns 0 or negative errno with diag. */
int monitor_check(const struct settings *settings, struct diag *diag);

#endif
