/*
 * reason: why a mirror is out of the pool. One vocabulary for the feed, the log, explain, the status page and
 * mails.
 */
#ifndef ZONES_POOL_REASON_H
#define ZONES_POOL_REASON_H

#include <stdbool.h>

/* In the order in which mirrors are taken back when too few are left: the first are the least bad. */
enum reason {
	REASON_NONE, /* in the pool */
	REASON_LATE, /* its databases are a day behind */
	REASON_SLOW,
	REASON_OUT_OF_SYNC, /* lacks the version being announced */
	REASON_OLD,         /* two days behind */
	REASON_HTTP_ERROR,
	REASON_UNREACHABLE,
	/* Never taken back: */
	REASON_MAINTENANCE,
	REASON_WRONG_CONTENT,
	REASON_REFUSED,
	REASON_ADMIN,
	REASON_N
};

/** "out-of-sync"; "none" for REASON_NONE. */
const char *reason_text(enum reason reason);
/** REASON_N when there is no such reason. "none" is not one that can be given. */
enum reason reason_from_text(const char *text);
/** May a mirror that is out for this reason be used when too few are left? */
bool reason_is_readmissible(enum reason reason);

#endif
