/*
 * history: what has happened to the mirrors, as records for the journal, and the way back from them.
 *
 *     state before ─┐
 *     state after ──┴─> history_note_*() ──> records ──journal──> history_replay() ──> state of a moment
 *
 * A record is a JSON object with "t" (seconds since 1970), "time" (the same for people) and "type":
 *
 *     base      the whole state of a pool: at a start, a reload, a new journal
 *     mirror    one mirror: "old" and "new" in a word, "state" in full, and the cause
 *     name      a pool name is answered from elsewhere, or with another number of mirrors
 *     feed      a feed came into force, was held, accepted, rejected, has expired
 *     override  an operator has set or taken back one
 *
 * docs/journal.md describes them for users. Replay needs base and mirror only.
 */
#ifndef ZONES_HISTORY_H
#define ZONES_HISTORY_H

#include <jansson.h>
#include <stdint.h>

#include "base/diag.h"
#include "zones/pool/pool.h"
#include "zones/zones.h"

/* Each appends to the array records; NULL records or no memory leaves the record out. */
void history_note_mirrors(json_t *records, const struct pool *pool, const struct feed *feed,
                          const struct pool_state *before, const struct pool_state *after);
void history_note_feed(json_t *records, const struct pool *pool, const struct feed *feed, const char *event,
                       const char *author, uint64_t now_s);
/** event: "set", "taken back" */
void history_note_override(json_t *records, const struct override *override, const char *event,
                           const char *author, uint64_t now_s);
void history_note_name(json_t *records, const struct pool *pool, const char *name,
                       const struct zones_name_state *before, const struct zones_name_state *after,
                       uint64_t now_s);
/** Returns 0 or -ENOMEM: without this one, what follows can't be replayed. */
int history_note_base(json_t *records, const struct pool *pool, const struct pool_state *state,
                      const char *why, uint64_t now_s);

/** A mirror's state as an object, its defaults left out; NULL when out of memory. */
json_t *history_mirror_state(const struct mirror *mirror, const struct mirror_state *state);

/**
 * The states of all pools at a moment, from the journal in directory, as they were after the last change at
 * or before at_s. Mirrors that the pools have no more are left out with a warning.
 *
 * ret_states  [pools] filled on success; the caller calls pool_state_fini() on each
 * Returns     0; -ENOENT when the journal does not reach back so far (diag); -EINVAL (diag); -ENOMEM
 */
int history_replay(const char *directory, const struct zones *zones, uint64_t at_s, struct diag *diag,
                   struct pool_state *ret_states);

#endif
