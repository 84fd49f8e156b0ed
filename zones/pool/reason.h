/*
 * reason: why a mirror is out of the pool. One vocabulary for the feed, the log, explain, the status page and
 * mails.
 */
#ifndef ZONES_POOL_REASON_H
#define ZONES_POOL_REASON_H

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

/* Up to here a mirror works: it is behind or slow. */
#define REASON_MILD_LAST REASON_OUT_OF_SYNC
/* Up to here it is taken back when too few are left. */
#define REASON_HARD_LAST REASON_UNREACHABLE

/** "out-of-sync"; "none" for REASON_NONE. */
const char *reason_text(enum reason reason);
/** REASON_N when there is no such reason. "none" is not one that can be given. */
enum reason reason_from_text(const char *text);

#endif
