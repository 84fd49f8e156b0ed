/*
 * watch: tells when a file in a directory has been written or renamed into place.
 *
 * Directories are watched, not files: writers that do it right replace a file by rename.
 */
#ifndef DNSD_SERVER_WATCH_H
#define DNSD_SERVER_WATCH_H

#include <stdbool.h>
#include <uv.h>

struct watch;

/** changed(context) is called on the loop, once for a burst of events, but for files of names that are ours
 * to write. Returns 0 or negative errno. */
int watch_create(uv_loop_t *loop, void (*changed)(void *context), bool (*ignores)(const char *name),
                 void *context, struct watch **ret_watch);
void watch_destroy(struct watch *watch);

/** A directory that can't be watched is told in the log; its changes are then only seen at the next renewal.
 */
void watch_add(struct watch *watch, const char *directory);
/** The directory that a file is in. */
void watch_add_file(struct watch *watch, const char *file);
void watch_clear(struct watch *watch);

#endif
