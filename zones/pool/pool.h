/*
 * pool: the mirrors of a network, and who of them answers for a country.
 *
 *     country ──has enough mirrors?──yes──> its mirrors
 *                    └─no──> neighbours, nearest first ──> region ──> world        (the first level with
 * enough)
 *
 * One decision serves both families: A and AAAA of a name come from the same mirrors. Only when a family has
 * no address at that level, and this family is IPv4 (or the pool says borrow-ipv6), it comes from the next
 * level that has one: an IPv4-only resolver's client would else get nothing, while an empty AAAA beside a
 * full A is no loss.
 */
#ifndef ZONES_POOL_POOL_H
#define ZONES_POOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/geo_map.h"
#include "answer/pools_build.h"
#include "base/arena.h"
#include "base/diag.h"
#include "conf/conf.h"
#include "zones/pool/feed.h"
#include "zones/pool/override.h"
#include "zones/pool/reason.h"

struct mirror {
	const char *host;
	uint16_t country;
	uint32_t weight;
	const struct addr *addrs;
	size_t addrs_n;
	const struct conf_window *windows; /* planned maintenance */
	size_t windows_n;
	struct conf_place place;
	uint16_t number; /* of its counters, ANSWER_MIRRORS_N - 1 for all that are too many; the same after a
	                    reload */
};

struct region {
	const char *name;
	bool has[COUNTRY_N]; /* by country */
};

struct pool {
	const struct conf_pool *conf;
	struct mirror *mirrors;
	size_t mirrors_n;
	uint32_t *by_country; /* numbers of all mirrors, those of a country one behind the other */
	uint32_t country_at[COUNTRY_N + 1]; /* where they begin; they end where those of the next one do */
	struct region *regions;
	size_t regions_n;
	const uint16_t
	        *near[COUNTRY_N]; /* neighbours, nearest first, ended by COUNTRY_UNKNOWN; NULL = none named */
	struct minisign_key
	        *feed_keys; /* one of them must have signed the feed; none = it needs no signature */
	size_t feed_keys_n;
};

/** What a mirror's state comes from; of several the operator's word counts. */
enum cause { CAUSE_NONE, CAUSE_FEED, CAUSE_WINDOW, CAUSE_OVERRIDE, CAUSE_N };
/** "feed"; "none" for CAUSE_NONE. */
const char *cause_text(enum cause cause);

/** What is known of a mirror at one moment. Zeroed but for permille: in, nothing known. */
struct mirror_state {
	enum reason reason;        /* of the whole mirror */
	enum reason *addr_reasons; /* by address, beside that; NULL = none */
	uint32_t permille;         /* of its weight */
	enum cause cause;          /* of reason and permille; an override may also keep a mirror in */
	uint64_t since_s, until_s; /* as the cause says; 0 = it does not say */
	uint64_t out_at_s;         /* when it will leave the pool, as planned; 0 = nothing is planned */
	const char *detail;        /* for people; NULL = none */
	const char *author;        /* CAUSE_OVERRIDE */
};

struct pool_state {
	struct arena arena;
	struct mirror_state *mirrors; /* as many as the pool has */
	size_t out_n;                 /* mirrors that are wholly out */
	uint64_t at_s;                /* the moment this is the state of */
	uint64_t next_s;              /* when it changes with nothing but time; 0 = never */
};

/**
 * The state of a pool at a moment: what the feed says, then the maintenance windows, then the overrides.
 * Pure: the same arguments give the same state.
 *
 * feed, overrides  may be NULL; the state keeps no pointer into them
 * file             the feed's, for messages: entries for mirrors or addresses that the pool does not have are
 *                  ignored with a warning
 * Returns          0 or -ENOMEM; the caller calls pool_state_fini() after success
 */
int pool_state_make(const struct pool *pool, const struct feed *feed, const struct override_set *overrides,
                    uint64_t now_s, const char *file, struct diag *diag, struct pool_state *ret_state);
/** The same of what the feed alone says. */
int pool_state_of_feed(const struct pool *pool, const struct feed *feed, uint64_t now_s, const char *file,
                       struct diag *diag, struct pool_state *ret_state);
/** Everything in. Returns 0 or -ENOMEM. */
int pool_state_init(const struct pool *pool, struct pool_state *state);
void pool_state_fini(struct pool_state *state);

/** Is an address of the mirror in the pool? */
bool pool_state_is_in(const struct pool *pool, const struct pool_state *state, size_t mirror);

/** Are answers the same with both? Since when and why in words does not count. */
bool mirror_state_equal(const struct mirror *mirror, const struct mirror_state *a,
                        const struct mirror_state *b);

/** Number of the mirror of that host, or -1. */
int pool_find_mirror(const struct pool *pool, const char *host);

/**
 * How long an answer may be kept whose member leaves at out_at_s: the largest power of two of seconds that is
 * over before, so that it steps down as the moment comes near; at most ttl_s, at least 1.
 */
uint32_t pool_ttl_before(uint32_t ttl_s, uint64_t out_at_s, uint64_t now_s);

/** Where the members of a name came from. */
enum pool_level { POOL_LEVEL_COUNTRY, POOL_LEVEL_NEIGHBOUR, POOL_LEVEL_REGION, POOL_LEVEL_WORLD };
const char *pool_level_text(enum pool_level level);

/** What became of one mirror in a decision: the recorder of explain. */
struct pool_pick {
	bool asked;            /* its country was in a level that was looked at */
	enum pool_level level; /* the first such level */
	bool taken;            /* it is a member, with one address at least */
	bool family_only;      /* it helps out with one family alone */
};

struct pool_decision {
	enum pool_level level;
	uint16_t country;         /* asked for */
	uint16_t neighbour;       /* POOL_LEVEL_NEIGHBOUR: the last one taken */
	int region;               /* POOL_LEVEL_REGION: which */
	enum pool_level level_v4; /* where the IPv4 addresses came from, when not from level */
	enum reason
	        readmitted; /* the worst reason of which members were taken back; REASON_NONE = none were */
	uint32_t ttl_s;     /* the pool's, less when a member leaves soon */
	int ttl_mirror;     /* the member that leaves first; -1 = none does */
	struct pool_pick *picks; /* by mirror: who was asked, and who was taken */
	size_t members_n;
	struct pool_member *members; /* weight and addresses; the caller frees with pool_decision_fini() */
	struct addr *addrs;          /* what the members point to when families differ; may be NULL */
};
void pool_decision_fini(struct pool_decision *decision);

/**
 * Check and prepare a pool. Everything is kept in arena.
 *
 * Told with file:line: unknown country, address outside unicast, address used twice, weight out
 * of 1..1,000,000, a country in two regions, a neighbours list for an unknown country or naming itself, a
 * feed key that is none.
 * Returns 0, -EINVAL (diag), -ENOMEM.
 */
int pool_create(const struct conf_pool *conf, struct arena *arena, struct diag *diag, struct pool **ret_pool);

/** Number of the region that a country is in, or -1. */
int pool_region_of(const struct pool *pool, uint16_t country);
/** How many mirrors a country has, in or out. */
size_t pool_country_mirrors_n(const struct pool *pool, uint16_t country);

/**
 * Countries that have neither mirrors nor neighbours of their own are answered alike wherever they are in the
 * same region: they are one class, and can be decided once.
 *
 * Returns  the number of the class, below pool_classes_n()
 */
size_t pool_class_of(const struct pool *pool, uint16_t country);
size_t pool_classes_n(const struct pool *pool);

/**
 * Who answers for a country; COUNTRY_UNKNOWN asks for the world. ipv6_only: for a name that has AAAA records
 * only, so that only mirrors with such an address count.
 */
int pool_decide_country(const struct pool *pool, const struct pool_state *state, uint16_t country,
                        bool ipv6_only, struct pool_decision *ret_decision);
int pool_decide_region(const struct pool *pool, const struct pool_state *state, int region,
                       struct pool_decision *ret_decision);

#endif
