/*
 * override: what an operator says of a mirror, over what the feed says.
 *
 *     dnsdctl mirror down|drain|up NAME --for 2h ──> struct override ──> pool_state_make()
 *                                                       └──> overrides.json in the state directory
 *
 *     down    out at once (reason admin)
 *     drain   out from a moment on (reason maintenance); until then the TTL of its names goes down, so that
 *             nobody has it in a cache when the moment comes
 *     up      in, whatever the feed says
 *
 * A set is never changed: one more or one less makes a new set, so that what is in use and what is on its way
 * to disk can be the same one.
 */
#ifndef ZONES_POOL_OVERRIDE_H
#define ZONES_POOL_OVERRIDE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/diag.h"

enum override_action { OVERRIDE_DOWN, OVERRIDE_DRAIN, OVERRIDE_UP, OVERRIDE_ACTION_N };

struct override {
	const char *pool;
	const char *host;
	enum override_action action;
	uint64_t set_s;   /* when it was said, since 1970 */
	uint64_t from_s;  /* in force from then on */
	uint64_t until_s; /* ends by itself; 0 = lasts until it is taken back */
	const char *author;
	const char *reason;
};

/* At most one for each mirror. */
struct override_set {
	struct arena arena; /* holds the texts */
	unsigned refs;      /* atomic */
	struct override *items;
	size_t n;
};

const char *override_action_text(enum override_action action);
/** OVERRIDE_ACTION_N when there is none of that name. */
enum override_action override_action_from_text(const char *text);

/**
 * A copy of set (may be NULL) without what it has of this mirror, without those that have ended by now_s, and
 * with add (may be NULL). Returns 0 or -ENOMEM.
 */
int override_set_change(const struct override_set *set, const char *pool, const char *host,
                        const struct override *add, uint64_t now_s, struct override_set **ret_set);

/** The override of a mirror, ended or not, or NULL. set may be NULL. */
const struct override *override_set_find(const struct override_set *set, const char *pool, const char *host);

/** One as an object; NULL when out of memory, or when a text is not UTF-8. */
json_t *override_to_json(const struct override *override);
/** {"format": 1, "overrides": [...]}, all of them or NULL; set may be NULL. */
json_t *override_set_to_json(const struct override_set *set);

/**
 * Read what override_set_to_json() made. An entry that is not understood is told and left out; the rest
 * counts. Returns 0, -EINVAL (no such file: diag), -ENOMEM.
 */
int override_set_parse(const char *text, size_t text_len, const char *file, struct diag *diag,
                       struct override_set **ret_set);

/** NULL is fine in both. */
struct override_set *override_set_ref(struct override_set *set);
void override_set_unref(struct override_set *set);

#endif
