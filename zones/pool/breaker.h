/*
 * breaker: is what a feed takes out more likely a sick monitor than a dead network?
 *
 *     feed in force ──breaker_note()──> struct breaker_out, by mirror and family
 *     next feed ──breaker_judge()──> too much? ──no──> in force
 *                                       └─yes─> held: breaker_hold() ──each removal for feed-hold──> in force
 *
 * Compared is what the feeds alone say, now and removal-window ago: else a sick monitor that takes mirrors
 * out one by one would never be noticed. A removal that was held counts no more once the feeds have asked for
 * it for all of feed-hold; one that joins it later has its own time. The families are looked at apart: a
 * monitor whose own IPv6 is broken takes half of each mirror, and nobody whole.
 *
 * Pure: no clock, no file; whoever calls has the state to himself.
 */
#ifndef ZONES_POOL_BREAKER_H
#define ZONES_POOL_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zones/pool/pool.h"

#define BREAKER_FAMILIES_N 2 /* IPv4, IPv6 */

/** What the feeds say of one family of one mirror. Zeroed: it is in. */
struct breaker_out {
	uint64_t since_s;   /* when the feed in force made it so; 0 = it is in, 1 = long ago */
	uint64_t held_s;    /* since when feeds that are held want it so; 0 = they don't */
	uint8_t grade;      /* by the feed in force: enum grade of breaker.c */
	uint8_t held_grade; /* by the one that is held */
};

struct breaker_finding {
	bool is_too_much;
	size_t removed_n; /* mirrors that the feed takes out, or all IPv4 or IPv6 of */
	size_t recent_n;  /* of these, taken out by feeds before it, within removal-window */
	uint16_t emptied; /* a country that it leaves with nobody, or COUNTRY_UNKNOWN */
};

/** One entry for each family of each mirror, all in; the caller frees. NULL when out of memory. */
struct breaker_out *breaker_create(const struct pool *pool);

/**
 * Would this feed take out too much at once: more than max-removal of the pool, or all of a country that has
 * several mirrors, or all of a family? next is the state of the feed alone. One that makes nothing worse is
 * never too much.
 *
 * patient  leave out what was held for all of feed-hold
 */
struct breaker_finding breaker_judge(const struct pool *pool, const struct breaker_out *outs,
                                     const struct pool_state *next, uint64_t now_s, bool patient);

/**
 * The feed is held. is_first: it is the first one; else what was held before goes on. Returns when it will be
 * too much no more if it goes on saying so.
 */
uint64_t breaker_hold(const struct pool *pool, struct breaker_out *outs, const struct pool_state *next,
                      bool is_first, uint64_t now_s);

/** Nothing is held any more. */
void breaker_forget_held(const struct pool *pool, struct breaker_out *outs);

/** The feed is in force; nothing is held. is_settled: what it takes out is not held against the next one. */
void breaker_note(const struct pool *pool, struct breaker_out *outs, const struct pool_state *state,
                  bool is_settled, uint64_t now_s);

/** The same after a reload: mirrors that are new, or the first addresses of a family, are no news to a feed
 * that has had them out all the time. */
void breaker_carry(const struct pool *pool, struct breaker_out *outs, const struct pool *pool_before,
                   const struct breaker_out *outs_before);

#endif
