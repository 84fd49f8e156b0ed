/*
 * zones: configuration -> what is answered.
 *
 *     zone files ─┐                                  ┌─> answer_store   (once per reload)
 *     pool names ─┼─ zones_load() ─> slots: who ─────┤
 *     mirrors ────┘                  makes which name └─> answer_pools   zones_compile(): again at each
 * change of mirrors or version records
 */
#ifndef ZONES_ZONES_H
#define ZONES_ZONES_H

#include <stddef.h>
#include <stdint.h>

#include "answer/data.h"
#include "base/arena.h"
#include "base/diag.h"
#include "conf/conf.h"
#include "zones/pool/pool.h"
#include "zones/version.h"

enum zones_slot_kind {
	ZONES_WORLD,
	ZONES_NEAREST,
	ZONES_COUNTRY,
	ZONES_COUNTRY_IPV6,
	ZONES_COUNTRY_ALL,
	ZONES_REGION,
	ZONES_VERSION,          /* the record of all databases */
	ZONES_VERSION_DATABASE, /* the record of one */
};

/** What a slot of answer_pools is for. */
struct zones_slot {
	enum zones_slot_kind kind;
	uint16_t country;
	int region;
	size_t pool;          /* index in zones.pools */
	size_t version;       /* index in zones.versions */
	const char *database; /* ZONES_VERSION_DATABASE */
};

struct zones_version {
	const struct conf_zone *zone;
	const struct conf_version *conf;
	struct version version;
};

/** What is known of a pool's mirrors now, and from which feed. */
struct zones_feed {
	struct feed *feed;    /* in force; NULL = none so far */
	uint64_t held_serial; /* of a feed that takes out too much at once; 0 = none is held */
	uint64_t held_since_s;
	bool stale_told;
	struct pool_state state;
};

struct zones {
	struct arena arena;
	const struct conf *conf; /* borrowed: outlives this */
	struct answer_store *store;
	struct pool **pools;      /* in the order of conf->pools */
	struct zones_feed *feeds; /* one for each pool */
	struct zones_slot *slots;
	size_t slots_n;
	const char **mirror_hosts; /* by mirror.number, for reports; hosts that were dropped stay in it */
	const char **mirror_pools; /* the pool of each */
	size_t mirror_hosts_n;
	struct zones_version *versions; /* of all zones */
	size_t versions_n;
	size_t records_n;
};

/**
 * Load all zone files, check the pools, verify the version sources, build the store.
 *
 * previous  the zones in use, whose version numbers carry over where zone and name agree; NULL at start
 * now_s     since 1970
 * Returns   0, -EINVAL (diag has all mistakes), -ENOMEM. A version source that can't be verified is a warning
 * when there are numbers to go on with, an error when there are none.
 */
int zones_load(const struct conf *conf, const struct zones *previous, uint64_t now_s, struct diag *diag,
               struct zones **ret_zones);
void zones_destroy(struct zones *zones);

/**
 * Verify all version sources again. ret_names_changed: there are names that only a reload brings.
 * Returns 0, or -EINVAL when one could not be verified (diag).
 */
int zones_verify_versions(struct zones *zones, uint64_t now_s, struct diag *diag, bool *ret_names_changed);

/**
 * Read the pools' feeds again and put what they say into force.
 *
 * Refused, with the reason in diag and the state as it was: a feed that can't be read or parsed, one whose
 * serial goes back. Held: one that takes out more than max-removal of the pool at once, or all of several
 * mirrors of a country; it comes into force when it still says so after feed-hold. A feed past its
 * valid-until stays in force (fail static), with a warning.
 *
 * ret_next_s  when to look again though no file has changed, since 1970; 0 = no need
 * Returns     0, or -ENOMEM
 */
int zones_read_feeds(struct zones *zones, uint64_t now_s, struct diag *diag, uint64_t *ret_next_s);

/** Decide every pool name and write the version records. Returns 0 or -ENOMEM. */
int zones_compile(const struct zones *zones, struct answer_pools **ret_pools);

#endif
