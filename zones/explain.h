/*
 * explain: why an answer is what it is.
 *
 *     question ──answer_query() with its trace──> answer, name, slot, matched network
 *                zones_decide_slot() ───────────> every mirror that was asked, and what became of it
 *
 * Both are the functions that serve; so this is no second opinion. That what they say fits together is
 * checked
 * ("agrees").
 */
#ifndef ZONES_EXPLAIN_H
#define ZONES_EXPLAIN_H

#include <jansson.h>
#include <stdint.h>

#include "answer/data.h"
#include "base/addr.h"
#include "zones/zones.h"

struct explain_question {
	const uint8_t *name; /* wire form */
	size_t name_len;
	uint16_t type;
	struct addr from;            /* who asks */
	const struct prefix *subnet; /* the client subnet in the request; NULL = none */
};

/**
 * zones  as they were when data.pools were compiled
 * Returns 0 with an object (docs/control.md describes it; caller calls json_decref()), or -ENOMEM
 */
int explain_question(const struct zones *zones, const struct answer_data *data,
                     const struct explain_question *question, json_t **ret_explanation);

/** A pool's mirrors with their states, its names with theirs: for `dnsdctl pool show`. NULL: out of memory.
 */
json_t *explain_pool(const struct zones *zones, size_t number);
/** The feed of a pool: in force, held. NULL: out of memory. */
json_t *explain_feed(const struct zones *zones, size_t number);
/** The version records. NULL: out of memory. */
json_t *explain_versions(const struct zones *zones);

/**
 * The same zones at a moment of the past, by the journal in directory: for explain and pool show with --at.
 *
 * ret_past  shares all but the states with zones, which must outlive it; end it with explain_past_end()
 * Returns   as history_replay()
 */
int explain_past_begin(const struct zones *zones, const char *directory, uint64_t at_s, struct diag *diag,
                       struct zones *ret_past);
void explain_past_end(struct zones *past);

#endif
