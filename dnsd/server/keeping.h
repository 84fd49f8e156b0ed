/*
 * keeping: writes to the state directory what has happened, beside everything else.
 *
 *     job ends ──news, what has changed──> keeping_run() ──one batch on the thread pool──>
 *     overrides, journal, feeds, versions
 *
 * A batch has copies or references of all it writes: it never looks at the load in use, so that a disk that
 * hangs delays no feed and no reload. Batches are written one after the other, in order.
 */
#ifndef DNSD_SERVER_KEEPING_H
#define DNSD_SERVER_KEEPING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "load/load.h"

struct keeping;

/** written(context) is called on the loop when a batch has been, well or not. NULL when out of memory. */
struct keeping *keeping_create(uv_loop_t *loop, void (*written)(void *context), void *context);
/** After the loop has ended. */
void keeping_destroy(struct keeping *keeping);

/** Records for the journal; the reference is taken over, NULL is fine. */
void keeping_add(struct keeping *keeping, json_t *news);
/* What the next batch shall hold as well. */
void keeping_want_base(struct keeping *keeping, const char *why);
void keeping_want_overrides(struct keeping *keeping);
void keeping_want_versions(struct keeping *keeping);
/** What could not be written is tried again with the next batch. */
void keeping_retry(struct keeping *keeping);

/** Begin a batch if there is something to write and none is under way. Main thread, while no job changes the
 * load. */
void keeping_run(struct keeping *keeping, const struct load *load);

/** Is nothing under way, and nothing left to write? Not to be believed while keeping_error() is set. */
bool keeping_is_settled(struct keeping *keeping, const struct load *load);

/** A number that rises with all that is to be written, and the one up to which the batches have come. */
uint64_t keeping_asked(const struct keeping *keeping);
uint64_t keeping_done(const struct keeping *keeping);
/** What went wrong with the last batch, an errno; 0 = nothing. */
int keeping_error(const struct keeping *keeping);

#endif
