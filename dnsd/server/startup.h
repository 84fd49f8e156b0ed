/*
 * startup: what is done once, in this order, from the rights the process was started with to those it needs.
 *
 *     startup_load ──> startup_bind ──> startup_drop ──> workers, each ──> startup_confine
 *     as the user      as root, or by   for good         with a filter     the main thread and
 *                      the manager                                         its background
 */
#ifndef DNSD_SERVER_STARTUP_H
#define DNSD_SERVER_STARTUP_H

#include <jansson.h>

#include "base/diag.h"
#include "load/load.h"
#include "sandbox/filter.h"
#include "sandbox/privileges.h"
#include "server/bindings.h"

/* What we have become. */
struct confinement {
	struct privileges privileges;
	enum filter_mode mode;
	bool is_unavailable;                  /* the kernel has no filters */
	struct filter *filters[FILTER_KINDS]; /* NULL = none */
};

/** load_create() for a first time, or in place of a load that came to nothing (unused, else NULL), with the
 * rights of server.user, so that a reload can read all that this can. The configuration is read twice where
 * those are others than ours, else once. */
int startup_load(const char *conf_path, const struct load *unused, struct privileges *ret_privileges,
                 struct diag *diag, struct load **ret_load);

/**
 * Open the listeners, those from the service manager among them (what is left in given then is an error), or
 * those passed by a process before (NULL: there is none). All become the user's, as far as they can. An
 * address that another server has is waited for, but not for long.
 */
int startup_bind(const struct conf *conf, unsigned workers_n, const struct bindings *passed,
                 struct activation *given, const struct privileges *privileges, struct diag *diag,
                 struct bindings **ret_bindings);

/** Become server.user and make the filters. Returns 0 or negative errno with diag filled. */
int startup_drop(const struct conf *conf, struct confinement *confinement, struct diag *diag);

/** The filter of the main thread. Returns 0 or negative errno, told. */
int startup_confine(const struct confinement *confinement);
void startup_free(struct confinement *confinement);

/** A warning for each setting that only a start heeds. */
void startup_tell_changes(const struct conf *before, const struct conf *now);
/** "user", "sandbox" of the status. */
void startup_show(const struct confinement *confinement, json_t *status);

#endif
