/*
 * publish_int: what the files of publish share.
 */
#ifndef TOOLS_MIRRORMON_PUBLISH_INT_H
#define TOOLS_MIRRORMON_PUBLISH_INT_H

#include <stddef.h>

#define PUBLISH_FORMAT 1
#define VOTE_KIND      "vote"

/** A copy cut to fit into cap bytes, what is no printable ASCII made "?". Returns copy. */
const char *publish_clean(const char *text, char *copy, size_t cap);

#endif
