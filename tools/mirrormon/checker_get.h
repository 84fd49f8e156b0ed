/*
 * checker_get: one small file of one address, asked for as the checker asks, and waited for. For the command
 * line; the monitor's loop never waits.
 */
#ifndef TOOLS_MIRRORMON_CHECKER_GET_H
#define TOOLS_MIRRORMON_CHECKER_GET_H

#include "mirrormon/model.h"

/** What came. */
struct checker_page {
	enum reason reason;            /* NONE: an answer below 300 */
	unsigned status;               /* 0 = none came */
	char detail[MODEL_DETAIL_MAX]; /* "404 Not Found"; "301 Moved Permanently, to https://..." */
};

/**
 * http, to the port of conf, with a Host header. Of the body at most 4 KiB are read.
 * Returns 0, or negative errno: it could not be tried, for want of something of ours: -ENOMEM, -EMFILE,
 * -ENETUNREACH without a route from here, -EIO when the system does not say what.
 */
int checker_get(const struct conf_checks *conf, const struct addr *addr, const char *host, const char *path,
                struct checker_page *ret_page);

#endif
