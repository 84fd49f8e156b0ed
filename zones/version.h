/*
 * version: the database version record that every ClamAV client polls, and where its numbers come from.
 *
 *     0.99.2:58:23538:1499326140:1:63:46137:305
 *     software:main:daily:time:warning:flevel:safebrowsing:bytecode
 *
 * What clients demand of it: no empty field (runs of colons count as one), one record of one string, not
 * older than three hours by its own time field. So the numbers have defaults, and the time is that of the
 * last verification of the source, renewed while the source can be read: a server that has lost its source
 * can't pretend to be current. Past stale-after it says so in the log; past refuse-after it does not answer
 * for the record any more, so that resolvers ask another name server.
 *
 * The numbers come from the headers of the .cvd files of a directory, from a pool's feed, or from the
 * configuration.
 */
#ifndef ZONES_VERSION_H
#define ZONES_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "conf/conf.h"
#include "zones/pool/feed.h"

#define VERSION_DATABASES_MAX 64
#define VERSION_NAME_MAX      40
#define VERSION_TEXT_MAX      256
#define VERSION_AHEAD_MAX_S   10800 /* clients distrust a time field that is off by more */

/** First 512 bytes of a CVD file: colon-separated text, padded with spaces. */
#define CVD_HEADER_LEN 512
struct cvd_header {
	uint32_t version;
	uint32_t signatures_n;
	uint32_t flevel;
	uint64_t built_s; /* since 1970; 0 where the oldest files have no such field */
};

/**
 * Parse a CVD header.
 * ret_why  set when refused: what is wrong, a static phrase
 * Returns  0 or -EINVAL
 */
int cvd_header_parse(const uint8_t *bytes, size_t len, struct cvd_header *ret_header, const char **ret_why);

struct version_database {
	char name[VERSION_NAME_MAX]; /* "daily" */
	uint32_t version;
	bool from_source; /* a file or a feed; else from the configuration */
};

/**
 * Now, on two clocks: since 1970, which a person or a time server may set to anything, and since boot, which
 * only ever goes on.
 */
struct version_clock {
	uint64_t now_s;
	int64_t boot_s;
};
struct version_clock version_clock_now(void);

/** What becomes of a record as its last verification grows old. */
enum version_freshness {
	VERSION_FRESH,
	VERSION_STALE,   /* answered, and the log says so once */
	VERSION_REFUSED, /* SERVFAIL */
};

/** One record's numbers. Outlives reloads of the configuration: a version never goes back while we run. */
struct version {
	struct version_database databases[VERSION_DATABASES_MAX];
	size_t databases_n;
	uint64_t verified_s;     /* announced: time of the last verification, since 1970; 0 = never */
	int64_t verified_boot_s; /* the same moment by the other clock; negative = before boot */
	uint64_t stated_s;       /* "verified" of the feed last read, which may be in the future; 0 = none */
	bool ahead_told;         /* that verified_s is ahead of a clock that went back */
	enum version_freshness told; /* what the log said last */
};

/**
 * Verify the source: read the directory's headers, take what the feed says, or the numbers of the
 * configuration.
 *
 * A file that is short, no CVD, or of a lower version than the one served is told in diag and leaves its
 * number as it was; then, or when the directory can't be read, the time of verification is not renewed
 * (third-party files do not count for that). The same holds for a lower version in a feed, and for a feed
 * that does not say when it verified its versions.
 *
 * The time announced does not go back, unless it is more than VERSION_AHEAD_MAX_S ahead of now: then it came
 * from a wrong clock, and clients would distrust it anyway.
 *
 * previous   the numbers so far; NULL = none. May be ret_version itself.
 * feed       of the pool conf->feed; NULL = there is none yet, or conf does not ask for one
 * clock      becomes the time of verification on success; with a feed, its own time does, at most now
 * ret_names_changed  a database has appeared: there are new names to serve
 * Returns    0, or -EINVAL when the source could not be verified; ret_version is set either way
 */
int version_verify(const struct conf_version *conf, const struct version *previous, const struct feed *feed,
                   struct version_clock clock, struct diag *diag, struct version *ret_version,
                   bool *ret_names_changed);

/**
 * Seconds since the last verification, which there must have been: by the clock since boot, so that setting
 * the clock neither ages a record nor keeps it young. A feed's time comes from another machine, so that one
 * counts by the clock since 1970; the age is negative when that clock went back.
 */
int64_t version_age_s(const struct conf_version *conf, const struct version *version,
                      struct version_clock clock);

/** Stale from the age of stale_after_s on, refused from refuse_after_s on (0 = never), and if never verified.
 */
enum version_freshness version_freshness(const struct conf_version *conf, const struct version *version,
                                         struct version_clock clock);

/** When the freshness changes next if nothing is verified until then, since 1970; 0 = never. */
uint64_t version_next_s(const struct conf_version *conf, const struct version *version,
                        struct version_clock clock);

/**
 * Set a database's number as if its source had told it. Returns 0, or -EINVAL: no name of a database, or too
 * many of them.
 */
int version_set_number(struct version *version, const char *database, uint32_t number);

/**
 * Put back what was served before a restart. A number that is lower now is raised; then, or if there was no
 * verification since the start, the time of verification is the one kept (at most now).
 */
void version_restore(struct version *version, const struct version *kept, struct version_clock clock);

/** The record's text, VERSION_TEXT_MAX bytes. */
void version_text(const struct conf_version *conf, const struct version *version, char *text);
/** "version:time" of one database; false when there is none of that name. */
bool version_database_text(const struct version *version, const char *database, char *text);

#endif
