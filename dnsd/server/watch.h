/*
 * watch: tells when a file has been written or renamed into place.
 *
 * Directories are watched, not files: writers that do it right replace a file by rename. Of what happens in
 * them only the files that were asked for count.
 */
#ifndef DNSD_SERVER_WATCH_H
#define DNSD_SERVER_WATCH_H

#include <stdbool.h>
#include <uv.h>

struct watch;

/** changed(context) is called on the loop, once for a burst of events. Returns 0 or negative errno. */
int watch_create(uv_loop_t *loop, void (*changed)(void *context), void *context, struct watch **ret_watch);
void watch_destroy(struct watch *watch);

/** A directory that can't be watched is told in the log, and tried again every few seconds: changed() is
 * called when it can be, and each minute until then. A file is known by its name alone: it may come later, or
 * be a link. */
void watch_add_file(struct watch *watch, const char *file);
/** All files of a directory whose names end so. */
void watch_add_folder(struct watch *watch, const char *directory, const char *end);
/** Returns whether something has happened that changed() has not been called for. */
bool watch_clear(struct watch *watch);

#endif
