/*
 * keep: what outlives a restart, as files of the state directory.
 *
 *     overrides.json    what operators have said           written before it is confirmed to them
 *     feed-POOL.saved   the last feed in force, as it came  read at a start when the feed itself is of no use
 *     versions.json     numbers of the version records      so that they never go back, and for a lost source
 *     journal.jsonl     zones/journal.h
 *
 * A daemon without the directory, or with one that is full or read-only, serves all the same and says so.
 */
#ifndef ZONES_KEEP_H
#define ZONES_KEEP_H

#include "base/diag.h"
#include "zones/pool/feed.h"
#include "zones/pool/override.h"
#include "zones/zones.h"

/** The overrides that were kept; an empty set when there are none or the file is of no use (diag). Returns 0
 * or -ENOMEM. */
int keep_read_overrides(const char *directory, struct diag *diag, struct override_set **ret_set);
/** Returns 0 or negative errno, the file being as it was then. */
int keep_write_overrides(const char *directory, const struct override_set *set);

/** The numbers of the version records, as zones_versions_to_json() gave them; caller calls json_decref().
 * NULL: the file is not there, or of no use (diag). */
json_t *keep_read_versions(const char *directory, struct diag *diag);
/** text is what zones_versions_to_json() gives. */
int keep_write_versions(const char *directory, const char *text);

/** The last feed of a pool that was in force; NULL when there is none or it is of no use (diag). Returns 0 or
 * -ENOMEM. */
int keep_read_feed(const char *directory, const struct pool *pool, uint64_t now_s, struct diag *diag,
                   struct feed **ret_feed);
int keep_write_feed(const char *directory, const char *pool, const struct feed *feed);

#endif
