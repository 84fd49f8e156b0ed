/*
 * version: the database version record that every ClamAV client polls, and where its numbers come from.
 *
 *     0.99.2:58:23538:1499326140:1:63:46137:305
 *     software:main:daily:time:warning:flevel:safebrowsing:bytecode
 *
 * What clients demand of it: no empty field (runs of colons count as one), one record of one string, not
 * older than three hours by its own time field. So the numbers have defaults, and the time is that of the
 * last verification of the source, renewed while the source can be read: a server that has lost its source
 * can't pretend to be current.
 *
 * The numbers come from the headers of the .cvd files of a directory, or from the configuration.
 */
#ifndef ZONES_VERSION_H
#define ZONES_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "conf/conf.h"

#define VERSION_DATABASES_MAX 64
#define VERSION_NAME_MAX      40
#define VERSION_TEXT_MAX      256

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
	bool from_file; /* else from the configuration */
};

/** One record's numbers. Outlives reloads of the configuration: a version never goes back while we run. */
struct version {
	struct version_database databases[VERSION_DATABASES_MAX];
	size_t databases_n;
	uint64_t verified_s; /* time of the last verification, since 1970; 0 = never */
};

/**
 * Verify the source: read the directory's headers, or take the numbers of the configuration.
 *
 * A file that is short, no CVD, or of a lower version than the one served is told in diag and leaves its
 * number as it was; then, or when the directory can't be read, the time of verification is not renewed
 * (third-party files do not count for that).
 *
 * previous   the numbers so far; NULL = none. May be ret_version itself.
 * now_s      becomes verified_s on success
 * ret_names_changed  a database has appeared: there are new names to serve
 * Returns    0, or -EINVAL when the source could not be verified; ret_version is set either way
 */
int version_verify(const struct conf_version *conf, const struct version *previous, uint64_t now_s,
                   struct diag *diag, struct version *ret_version, bool *ret_names_changed);

/** The record's text, VERSION_TEXT_MAX bytes. */
void version_text(const struct conf_version *conf, const struct version *version, char *text);
/** "version:time" of one database; false when there is none of that name. */
bool version_database_text(const struct version *version, const char *database, char *text);

#endif
