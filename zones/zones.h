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

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/data.h"
#include "base/arena.h"
#include "base/diag.h"
#include "conf/conf.h"
#include "zones/pool/breaker.h"
#include "zones/pool/pool.h"
#include "zones/version.h"

struct json_t;

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
	const char *name; /* without final dot */
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
	struct feed *feed; /* in force; NULL = none so far */
	struct feed *held; /* takes out too much at once; NULL = none is held */
	uint64_t held_since_s;
	uint64_t held_until_s;               /* in force then, if it still says so */
	struct breaker_finding held_finding; /* what is too much about it */
	uint64_t rejected_serial;            /* an operator does not want this one; 0 = none */
	bool stale_told;
	struct breaker_out *outs; /* [BREAKER_FAMILIES_N * mirror + is_ipv6] */
	struct pool_state state;
};

/** How a pool name is answered, to tell when that changes. */
struct zones_name_state {
	uint8_t known; /* 0: not decided yet */
	uint8_t level, level_v4, readmitted;
	uint16_t neighbour;
	uint32_t members_n;
};

struct zones {
	struct arena arena;
	const struct conf *conf; /* borrowed: outlives this */
	struct answer_store *store;
	struct pool **pools;      /* in the order of conf->pools */
	struct zones_feed *feeds; /* one for each pool */
	struct override_set *overrides;
	json_t *news;                         /* records for the journal, see zones/history.h; NULL = nobody
	                                         wants any */
	struct zones_name_state *name_states; /* one for each slot; NULL = nobody wants to know */
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
 * Load all zone files, check the pools, read their feeds, verify the version sources, build the store.
 *
 * previous  the zones in use, whose version numbers carry over where zone and name agree; NULL at start: then
 *           those kept in the state directory do
 * Returns   0, -EINVAL (diag has all mistakes), -ENOMEM. A version source that can't be verified is a warning
 * when there are numbers to go on with, an error when there are none; a feed may come later.
 */
int zones_load(const struct conf *conf, const struct zones *previous, struct version_clock clock,
               struct diag *diag, struct zones **ret_zones);
void zones_destroy(struct zones *zones);

/**
 * Verify all version sources again, after zones_read_feeds(), so that what a feed takes out and what it
 * announces go together. A record that has become stale, refused or fresh again is told once.
 * ret_names_changed: there are names that only a reload brings.
 * Returns 0, or -EINVAL when one could not be verified (diag).
 */
int zones_verify_versions(struct zones *zones, struct version_clock clock, struct diag *diag,
                          bool *ret_names_changed);

/** When a version record becomes stale or is refused unless it is verified, since 1970; 0 = none does. */
uint64_t zones_versions_next_s(const struct zones *zones, struct version_clock clock);

/**
 * The numbers and times of verification, to be kept over a restart. NULL when out of memory.
 *
 *     [ { "zone": "clamav.net", "name": "current.cvd", "verified": 1795245600, "databases": { "daily": 27501
 * } } ]
 */
struct json_t *zones_versions_to_json(const struct zones *zones);

/**
 * Read the pools' feeds again and put what they say into force.
 *
 * Refused, with the reason in diag and the state as it was: a feed that can't be read or parsed, one whose
 * serial goes back. Held: one that takes out too much (zones/pool/breaker.h); it comes into force when it
 * still says so after feed-hold. A feed past its valid-until stays in force (fail static), with a warning.
 *
 * Returns 0, or -ENOMEM
 */
int zones_read_feeds(struct zones *zones, uint64_t now_s, struct diag *diag);

/** When something changes with nothing but time, since 1970; 0 = never. */
uint64_t zones_next_change(const struct zones *zones, struct version_clock clock);

/**
 * An operator's word on the feed that is held: put it into force, or never do. author is noted.
 * Returns 0; -ENOENT when none is held; -EINVAL when it has no serial by which to know it again (reject);
 * -ENOMEM
 */
int zones_accept_feed(struct zones *zones, size_t pool, const char *author, uint64_t now_s);
int zones_reject_feed(struct zones *zones, size_t pool, const char *author, uint64_t now_s);
/** Is a feed held that an operator has rejected? */
bool zones_feed_is_rejected(const struct zones_feed *entry);

/** Put other overrides into force; takes a reference. Returns 0 or -ENOMEM, all being as it was then. */
int zones_set_overrides(struct zones *zones, struct override_set *overrides, uint64_t now_s);

/** How many mirrors all pools have together. ret_in_n: those that are not wholly out. */
size_t zones_mirrors_n(const struct zones *zones, size_t *ret_in_n);

/** Number of the pool of that name, or -1. */
int zones_find_pool(const struct zones *zones, const char *name);

/** What has been noted for the journal since the last time; caller calls json_decref(). NULL = nothing. */
json_t *zones_take_news(struct zones *zones);

/** A mirror as reports name it. */
struct zones_mirror_name {
	const char *pool;
	const char *host;
};

/**
 * The numbers of mirrors by their names, for counters that another process has counted. Who is in no pool any
 * more gets a number too, and keeps it over reloads. Before anybody else uses zones.
 * ret_numbers  [n] as mirror.number
 * Returns      0 or -ENOMEM
 */
int zones_number_names(struct zones *zones, const struct zones_mirror_name *names, size_t n,
                       uint16_t *ret_numbers);

/** Note the whole state of all pools, so that the journal can be replayed from here. why: "start", ... */
int zones_note_base(struct zones *zones, const char *why, uint64_t now_s);

/**
 * Who answers for a pool name: the decision that zones_compile() makes for its slot. country counts for
 * ZONES_NEAREST only. Returns 0 or -ENOMEM; the caller calls pool_decision_fini().
 */
int zones_decide_slot(const struct zones *zones, const struct zones_slot *slot, uint16_t country,
                      struct pool_decision *ret_decision);

/** Decide every pool name, note what has changed, and write the version records. Returns 0 or -ENOMEM. */
int zones_compile(struct zones *zones, struct version_clock clock, struct answer_pools **ret_pools);

#endif
