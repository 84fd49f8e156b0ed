/*
 * snap: one immutable bundle of all that queries need, and its life.
 *
 *     loader builds ──> main publishes to each worker ──> worker adopts between two batches ──> main frees
 * the old
 *
 * A worker holds a plain pointer; it never counts references. Who makes and frees snapshots does: a snapshot
 * may share its parts (zones, geo table) with the one before, and loading runs beside the main thread, so the
 * counts are atomic.
 */
#ifndef DNSD_SNAP_SNAP_H
#define DNSD_SNAP_SNAP_H

#include <stdint.h>

#include "answer/data.h"

struct snap {
	struct answer_data data;    /* what answer_query() takes; points into the parts */
	struct answer_store *store; /* parts, one reference each */
	struct answer_pools *pools;
	struct geo_map *geo;
	struct answer_ident ident;
	struct prefix *front_ends;
	struct prefix *prefixes; /* those of data.access */
	struct answer_cookies cookies;
	uint64_t generation; /* rises by one with each snapshot of this process */
};

/**
 * Bundle parts. Takes its own reference of each; geo may be NULL. ident is copied; NULL = nothing is told.
 * serial  that of the zones with pools or version records
 * Returns 0 or -ENOMEM.
 */
int snap_create(struct answer_store *store, struct answer_pools *pools, struct geo_map *geo,
                uint16_t edns_size, uint64_t generation, uint32_t serial, const struct answer_ident *ident,
                struct snap **ret_snap);
/** Before it is published: who puts a PROXY header before what it sends. Copied. Returns 0 or -ENOMEM. */
int snap_set_front_ends(struct snap *snap, const struct prefix *front_ends, size_t front_ends_n);
/** Say who may ask what, before it is published. The prefixes are copied. Returns 0 or -ENOMEM. */
int snap_set_access(struct snap *snap, const struct answer_access *access);
/** Say by which secrets cookies are made and checked (copied; NULL = cookies are ignored), before it is
 * published. */
void snap_set_cookies(struct snap *snap, const struct answer_cookies *cookies);
/** Only after every worker has adopted another one. NULL is fine. */
void snap_destroy(struct snap *snap);

#endif
