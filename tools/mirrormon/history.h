/*
 * history: what was measured and what was decided, in an SQLite database (WAL).
 *
 *     results (7 to 8 days) ──history_prune()──> hourly and daily means (a year)
 *     changes of state (a year)
 *     versions: when each mirror had which (a year)
 *     standings: what decide made of it all, for the next start
 *
 * No failure here stops the monitor: what can't be written is counted, told once and dropped, and tried anew
 * with the next flush. A damaged database is moved aside to FILE.damaged-SECONDS and a new one begun. One
 * connection per thread: open it twice.
 */
#ifndef TOOLS_MIRRORMON_HISTORY_H
#define TOOLS_MIRRORMON_HISTORY_H

#include "mirrormon/model.h"

#define HISTORY_RAW_S  (7 * 86400)
#define HISTORY_YEAR_S (366 * 86400)

struct history;

/**
 * path NULL: in memory, shared by all that are open in this process. read_only: for the site's thread.
 *
 * Returns 0 also when the file can't be used now: then diag has why, rows are kept in memory, and it is tried
 * anew with each flush or query. Negative errno when out of memory.
 */
int history_open(const char *path, bool read_only, struct diag *diag, struct history **ret_history);
void history_close(struct history *history);

/** Kept in memory until history_flush(), which writes all in one transaction. Brief results are kept only
 * when they found wrong content: they are no checks else (decide.h). Return 0, -ENOMEM, or -ENOBUFS when too
 * much waits already: counted, and told by a later flush. */
int history_add_result(struct history *history, const char *host, const struct addr *addr,
                       const struct check_result *result, enum reason state);
/** addr NULL: of the whole mirror; host NULL: of the monitor (self-test), database versions. */
int history_add_change(struct history *history, uint64_t at_s, const char *host, const struct addr *addr,
                       enum reason from, enum reason to, const char *detail);
int history_add_version(struct history *history, uint64_t at_s, const char *host, const char *database,
                        uint32_t version);
/**
 * Returns 0, or negative errno; what was kept then stays for the next one, at most 100,000 rows. diag gets an
 * error once, and a word when it is over. At most 10,000 rows at a time; 1 when more wait. What still waits
 * at history_close() is written then, or lost.
 */
int history_flush(struct history *history, struct diag *diag);

int history_save_standings(struct history *history, const struct view *view, struct diag *diag);
/** Returns 1 when there is one. */
int history_load_standing(struct history *history, const char *host, const struct addr *addr,
                          struct standing *ret_standing);

/** Versions of the databases, the first three, by the last good check that was written. 0 = not seen. Returns
 * 1 when there is one. */
int history_load_versions(struct history *history, const char *host, const struct addr *addr,
                          uint32_t ret_versions[MODEL_DATABASES_MAX]);

/** A number that outlives restarts: the feed's serial, announced versions. 0 when there is none. */
uint64_t history_get_number(struct history *history, const char *key);
/** Written at once; when that fails, known to history_get_number() and written by the next flush, not tried
 * when it is set again. After a power cut it may be one of the last seconds before. Returns 0 or negative
 * errno. */
int history_set_number(struct history *history, const char *key, uint64_t number);

/** Raw to means, old rows out; a slice of at most so many rows, so that it never takes long. Returns 1 when
 * there is more to do, 0, or negative errno with diag. Call it once an hour or oftener, while it says 1 soon
 * again. */
int history_prune(struct history *history, uint64_t now_s, size_t rows_max, struct diag *diag);

/* For the site. addr NULL: all addresses of the mirror together. */

/** One piece of time: good_n of checks_n found nothing wrong; worst is the worst of what the others found and
 * of the states meanwhile. Means are of good checks (time) and of those that saw a timestamp (age). */
struct history_span {
	uint64_t from_s;
	uint32_t checks_n, good_n, out_n; /* out_n: checks made while it was out */
	enum reason worst;
	uint32_t total_ms_mean;
	uint32_t age_s_mean; /* of its timestamp */
};
/** spans_n spans of span_s seconds that end at until_s; from raw rows or means, whichever there are. Whole
 * days of UTC are made from daily means, others from hourly ones: a day is then a row to read, not 24. */
int history_spans(struct history *history, const char *host, const struct addr *addr, uint64_t until_s,
                  uint32_t span_s, struct history_span *spans, size_t spans_n);

struct history_event {
	uint64_t at_s;
	char host[256];   /* "": of the monitor itself */
	struct addr addr; /* family 0: of the whole mirror */
	enum reason from, to;
	char detail[MODEL_DETAIL_MAX];
};
/** Newest first; host NULL: of all, "": of the monitor. Returns how many were set. */
size_t history_events(struct history *history, const char *host, struct history_event *events,
                      size_t events_max);

struct history_check {
	uint64_t at_s;
	struct addr addr;
	struct check_result result; /* of databases the first three */
	enum reason state;
};
/** Newest first. */
size_t history_checks(struct history *history, const char *host, struct history_check *checks,
                      size_t checks_max);

struct history_arrival {
	char host[256];
	uint64_t at_s; /* first seen there */
};
/** When each mirror was first seen with a version, or a higher one; ascending. */
size_t history_arrivals(struct history *history, const char *database, uint32_t version,
                        struct history_arrival *arrivals, size_t arrivals_max);
/** Versions of a database that were seen, newest first. */
size_t history_versions(struct history *history, const char *database, uint32_t *versions,
                        size_t versions_max);

/** A number that is another one when there are more checks or changes of a mirror to read. 0: none can be. */
uint64_t history_state(struct history *history, const char *host);

#endif
