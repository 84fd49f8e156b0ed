#include "zones/feeds.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Put a feed into force: a fresh state, then what it says. */
static int apply_feed(const struct pool *pool, struct feed *feed, struct diag *diag, struct zones_feed *entry)
{
	struct pool_state state;
	int rc = pool_state_init(pool, &state);
	if (rc == 0 && feed)
		rc = pool_state_apply_feed(pool, feed, pool->conf->feed_file, diag, &state);
	if (rc < 0) {
		pool_state_fini(&state);
		return rc;
	}
	pool_state_fini(&entry->state);
	entry->state = state;
	feed_ref(feed);
	feed_unref(entry->feed);
	entry->feed = feed;
	entry->held_serial = 0;
	entry->stale_told = false;
	return 0;
}

static bool is_in(const struct pool *pool, const struct pool_state *state, size_t mirror)
{
	const struct mirror_state *m = &state->mirrors[mirror];
	if (m->reason != REASON_NONE)
		return false;
	for (size_t i = 0; i < pool->mirrors[mirror].addrs_n; i++) {
		if (!m->addr_reasons || m->addr_reasons[i] == REASON_NONE)
			return true;
	}
	return false;
}

/*
 * Does the change take out too much at once? A country with a single mirror does not count as emptied: there
 * the feed is the only way to get a dead mirror out, and its neighbours stand by.
 */
static bool is_too_much(const struct pool *pool, const struct pool_state *now, const struct pool_state *next,
                        size_t *ret_removed_n, uint16_t *ret_emptied)
{
	size_t in_now[COUNTRY_N] = { 0 };
	size_t in_next[COUNTRY_N] = { 0 };
	size_t removed_n = 0;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		bool was = is_in(pool, now, i);
		bool is = is_in(pool, next, i);
		in_now[pool->mirrors[i].country] += was;
		in_next[pool->mirrors[i].country] += is;
		removed_n += was && !is;
	}
	*ret_removed_n = removed_n;
	*ret_emptied = COUNTRY_UNKNOWN;
	for (uint16_t country = 1; country < COUNTRY_N; country++) {
		if (in_now[country] > 1 && in_next[country] == 0)
			*ret_emptied = country;
	}
	return removed_n * 100 > pool->mirrors_n * pool->conf->max_removal_percent ||
	       *ret_emptied != COUNTRY_UNKNOWN;
}

/* The breaker; the first feed there is has nothing to compare with. Returns true when the feed may come into
 * force now. */
static bool may_apply(const struct pool *pool, const struct feed *feed, uint64_t now_s, struct diag *diag,
                      struct zones_feed *entry, int *ret_rc)
{
	struct pool_state next;
	struct diag ignored;
	diag_init(&ignored);
	*ret_rc = pool_state_init(pool, &next);
	if (*ret_rc == 0)
		*ret_rc = pool_state_apply_feed(pool, feed, pool->conf->feed_file, &ignored, &next);
	diag_fini(&ignored);
	size_t removed_n = 0;
	uint16_t emptied = COUNTRY_UNKNOWN;
	bool too_much = *ret_rc == 0 && is_too_much(pool, &entry->state, &next, &removed_n, &emptied);
	pool_state_fini(&next);
	if (*ret_rc < 0)
		return false;
	if (!too_much)
		return true;
	char code[3];
	country_to_code(emptied, code);
	if (entry->held_serial == 0) {
		entry->held_since_s = now_s;
		diag_error(diag, pool->conf->feed_file, 0,
		           "serial %" PRIu64
		           " takes out %zu of %zu mirrors at once%s%s: held back for %" PRIu32
		           " s; it comes into force if it still says so then",
		           feed->serial, removed_n, pool->mirrors_n,
		           emptied == COUNTRY_UNKNOWN ? "" : " and empties country ",
		           emptied == COUNTRY_UNKNOWN ? "" : code, pool->conf->feed_hold_s);
	}
	entry->held_serial = feed->serial ? feed->serial : 1;
	/* A clock that went back does not hold a feed for ever. */
	if (now_s < entry->held_since_s)
		entry->held_since_s = now_s;
	if (now_s - entry->held_since_s < pool->conf->feed_hold_s)
		return false;
	diag_warning(diag, pool->conf->feed_file, 0,
	             "serial %" PRIu64 " was held back and still says the same: in force now", feed->serial);
	return true;
}

static int read_feed(const struct pool *pool, uint64_t now_s, struct diag *diag, struct zones_feed *entry)
{
	const char *file = pool->conf->feed_file;
	const struct feed_source source = { .path = file,
		                            .pool = pool->conf->name,
		                            .max_bytes = pool->conf->feed_max_bytes,
		                            .keys = pool->feed_keys,
		                            .keys_n = pool->feed_keys_n };
	struct feed *feed;
	int rc = feed_load(&source, now_s, diag, &feed);
	if (rc < 0) {
		/* The one that was held does not persist. But a look between a writer's two renames says
		 * nothing: each feed of a busy monitor would else begin the hold anew. */
		if (rc != -EBADMSG || now_s - entry->held_since_s >= pool->conf->feed_hold_s)
			entry->held_serial = 0;
		return rc == -ENOMEM ? rc : 0; /* told; the state stays */
	}
	if (entry->feed && feed->serial < entry->feed->serial) {
		entry->held_serial = 0;
		diag_error(diag, file, 0,
		           "serial %" PRIu64 " is lower than %" PRIu64
		           ", which is in force; the feed is ignored, write a higher serial",
		           feed->serial, entry->feed->serial);
	} else if (!entry->feed || may_apply(pool, feed, now_s, diag, entry, &rc)) {
		bool news = !entry->feed || feed->serial != entry->feed->serial;
		rc = apply_feed(pool, feed, diag, entry);
		if (rc == 0 && news)
			diag_info(diag, "pool %s: feed serial %" PRIu64 " in force: %zu of %zu mirrors out",
			          pool->conf->name, feed->serial, entry->state.out_n, pool->mirrors_n);
	}
	feed_unref(feed);
	return rc;
}

static void check_stale(const struct pool *pool, uint64_t now_s, struct diag *diag, struct zones_feed *entry)
{
	const struct feed *feed = entry->feed;
	if (!feed || feed->valid_until_s == 0 || now_s <= feed->valid_until_s || entry->stale_told)
		return;
	entry->stale_told = true;
	diag_error(diag, pool->conf->feed_file, 0,
	           "serial %" PRIu64 " was valid until %" PRIu64
	           " and there is no newer one; its last state is kept, look after the monitor",
	           feed->serial, feed->valid_until_s);
}

static void want_at(uint64_t at_s, uint64_t *next_s)
{
	if (*next_s == 0 || at_s < *next_s)
		*next_s = at_s;
}

int zones_read_feeds(struct zones *zones, uint64_t now_s, struct diag *diag, uint64_t *ret_next_s)
{
	int rc = 0;
	*ret_next_s = 0;
	for (size_t i = 0; i < zones->conf->pools_n && rc == 0; i++) {
		const struct pool *pool = zones->pools[i];
		struct zones_feed *entry = &zones->feeds[i];
		if (!pool->conf->feed_file)
			continue;
		rc = read_feed(pool, now_s, diag, entry);
		check_stale(pool, now_s, diag, entry);
		if (entry->held_serial)
			want_at(entry->held_since_s + pool->conf->feed_hold_s, ret_next_s);
		if (entry->feed && entry->feed->valid_until_s > now_s)
			want_at(entry->feed->valid_until_s + 1, ret_next_s);
	}
	return rc;
}

static const struct zones_feed *find_previous(const struct zones *previous, const char *name)
{
	for (size_t i = 0; previous && i < previous->conf->pools_n; i++) {
		if (strcmp(previous->conf->pools[i].name, name) == 0)
			return &previous->feeds[i];
	}
	return NULL;
}

int zones_carry_feeds(struct zones *zones, const struct zones *previous, uint64_t now_s, struct diag *diag)
{
	struct diag ignored; /* what the feed in force says was told when it came into force */
	diag_init(&ignored);
	int rc = 0;
	for (size_t i = 0; i < zones->conf->pools_n && rc == 0; i++) {
		const struct pool *pool = zones->pools[i];
		const struct zones_feed *before = find_previous(previous, pool->conf->name);
		bool carry = before && pool->conf->feed_file;
		if (carry && before->feed && !feed_is_by(before->feed, pool->feed_keys, pool->feed_keys_n)) {
			diag_warning(diag, pool->conf->feed_file, 0,
			             "serial %" PRIu64
			             ", which is in force, is signed by none of feed-key: no longer in force",
			             before->feed->serial);
			carry = false;
		}
		rc = apply_feed(pool, carry ? before->feed : NULL, &ignored, &zones->feeds[i]);
		if (carry) {
			zones->feeds[i].held_serial = before->held_serial;
			zones->feeds[i].held_since_s = before->held_since_s;
			zones->feeds[i].stale_told = before->stale_told;
		}
	}
	diag_fini(&ignored);
	if (rc < 0)
		return rc;
	/* A feed that is bad must not keep a configuration from being used: mirrors are then in, or as they
	 * were. */
	struct diag told;
	diag_init(&told);
	uint64_t next_s;
	rc = zones_read_feeds(zones, now_s, &told, &next_s);
	for (size_t i = 0; i < told.messages_n; i++)
		diag_add(diag, told.messages[i].level == DIAG_ERROR ? DIAG_WARNING : told.messages[i].level,
		         NULL, 0, "%s", told.messages[i].text);
	diag_fini(&told);
	return rc;
}
