#include "zones/feeds.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utc.h"
#include "zones/history.h"
#include "zones/keep.h"

/* A pool's state of now; nothing is changed yet. */
static int make_state(const struct zones *zones, size_t number, const struct feed *feed,
                      const struct override_set *overrides, uint64_t now_s, struct diag *diag,
                      struct pool_state *ret_state)
{
	const struct pool *pool = zones->pools[number];
	return pool_state_make(pool, feed, overrides, now_s, pool->conf->feed_file, diag, ret_state);
}

/* It takes the place of the one before; what is different goes into the journal. */
static void take_state(struct zones *zones, size_t number, struct pool_state state)
{
	struct zones_feed *entry = &zones->feeds[number];
	if (entry->state.mirrors && zones->news)
		history_note_mirrors(zones->news, zones->pools[number], entry->feed, &entry->state, &state);
	pool_state_fini(&entry->state);
	entry->state = state;
}

static int remake(struct zones *zones, size_t number, uint64_t now_s, struct diag *diag)
{
	struct pool_state state;
	int rc = make_state(zones, number, zones->feeds[number].feed, zones->overrides, now_s, diag, &state);
	if (rc == 0)
		take_state(zones, number, state);
	return rc;
}

/* --- what is held --- */

static void drop_held(const struct pool *pool, struct zones_feed *entry)
{
	feed_unref(entry->held);
	entry->held = NULL;
	breaker_forget_held(pool, entry->outs);
}

static void tell_held(const struct pool *pool, const struct feed *feed, const struct zones_feed *entry,
                      uint64_t now_s, struct diag *diag)
{
	const struct breaker_finding *finding = &entry->held_finding;
	char code[3];
	char when[40] = "at once";
	bool emptied = finding->emptied != COUNTRY_UNKNOWN;
	country_to_code(finding->emptied, code);
	if (finding->recent_n)
		snprintf(when, sizeof(when), "within %" PRIu32 " s", pool->conf->removal_window_s);
	diag_error(diag, pool->conf->feed_file, 0,
	           "serial %" PRIu64 " takes out %zu of %zu mirrors %s%s%s: held back for %" PRIu64
	           " s; it comes into force if it still says so then, or by \"dnsdctl feed accept\"",
	           feed->serial, finding->removed_n, pool->mirrors_n, when,
	           emptied ? " and empties country " : "", emptied ? code : "", entry->held_until_s - now_s);
}

/* Hold a feed that takes out too much. next is the state it wants. */
static void hold(const struct zones *zones, size_t number, struct feed *feed, const struct pool_state *next,
                 uint64_t now_s, struct diag *diag)
{
	const struct pool *pool = zones->pools[number];
	struct zones_feed *entry = &zones->feeds[number];
	/* One after a feed that was rejected is another matter: it is told, and has its own time. */
	bool first = !entry->held || zones_feed_is_rejected(entry);
	feed_ref(feed);
	feed_unref(entry->held);
	entry->held = feed;
	if (zones_feed_is_rejected(entry))
		return;
	if (first || now_s < entry->held_since_s)
		entry->held_since_s = now_s;
	if (first) {
		entry->held_until_s = 0;
		history_note_feed(zones->news, pool, feed, "held", NULL, now_s);
	}
	uint64_t before_s = entry->held_until_s;
	entry->held_until_s = breaker_hold(pool, entry->outs, next, first, now_s);
	/* Again when it has come to want more. */
	if (entry->held_until_s > before_s)
		tell_held(pool, feed, entry, now_s, diag);
}

/* --- reading --- */

static void put_into_force(struct zones *zones, size_t number, struct feed *feed, uint64_t now_s)
{
	struct zones_feed *entry = &zones->feeds[number];
	bool news = !entry->feed || feed->serial != entry->feed->serial;
	if (news || feed->valid_until_s != entry->feed->valid_until_s)
		entry->stale_told = false;
	feed_ref(feed);
	drop_held(zones->pools[number], entry);
	feed_unref(entry->feed);
	entry->feed = feed;
	if (news)
		entry->stale_told = false;
	/* What was in force before comes back while the monitor is mended; the rejected one may follow again.
	 */
	if (feed->serial >= entry->rejected_serial)
		entry->rejected_serial = 0;
	if (news)
		history_note_feed(zones->news, zones->pools[number], feed, "in force", NULL, now_s);
}

/* Has it been held for long enough? */
static bool has_persisted(const struct pool *pool, const struct zones_feed *entry,
                          const struct pool_state *next, uint64_t now_s)
{
	return entry->held && !zones_feed_is_rejected(entry) &&
	       !breaker_judge(pool, entry->outs, next, now_s, true).is_too_much;
}

/* Judge a feed that has been read, and put it into force if it may be. is_news: its entries were not told of
 * yet.
 */
static int take_feed(struct zones *zones, size_t number, struct feed *feed, bool is_news, uint64_t now_s,
                     struct diag *diag)
{
	const struct pool *pool = zones->pools[number];
	struct zones_feed *entry = &zones->feeds[number];
	struct pool_state next;
	struct diag told;
	bool news = !entry->feed || feed->serial != entry->feed->serial;
	diag_init(&told);
	int rc = pool_state_of_feed(pool, feed, now_s, pool->conf->feed_file, &told, &next);
	if (is_news)
		diag_move(&told, diag);
	diag_fini(&told);
	if (rc < 0)
		return rc;
	bool is_held = false;
	if (entry->feed) {
		struct breaker_finding finding = breaker_judge(pool, entry->outs, &next, now_s, false);
		bool persisted = finding.is_too_much && has_persisted(pool, entry, &next, now_s);
		is_held = finding.is_too_much && !persisted;
		if (is_held)
			entry->held_finding = finding;
		if (persisted)
			diag_warning(diag, pool->conf->feed_file, 0,
			             "serial %" PRIu64 " was held back and still says the same: in force now",
			             feed->serial);
	}
	if (is_held) {
		hold(zones, number, feed, &next, now_s, diag);
	} else {
		breaker_note(pool, entry->outs, &next, !entry->feed, now_s);
		put_into_force(zones, number, feed, now_s);
		if (news)
			diag_info(diag, "pool %s: feed serial %" PRIu64 " in force: %zu of %zu mirrors out",
			          pool->conf->name, feed->serial, next.out_n, pool->mirrors_n);
	}
	pool_state_fini(&next);
	return 0;
}

static bool same_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool same_feed(const struct feed *a, const struct feed *b)
{
	return a && b && same_bytes(a->text, a->text_len, b->text, b->text_len) &&
	       same_bytes(a->signature, a->signature_len, b->signature, b->signature_len);
}

static int read_feed(struct zones *zones, size_t number, uint64_t now_s, struct diag *diag)
{
	const struct pool *pool = zones->pools[number];
	struct zones_feed *entry = &zones->feeds[number];
	const char *file = pool->conf->feed_file;
	const struct feed_source source = { .path = file,
		                            .pool = pool->conf->name,
		                            .max_bytes = pool->conf->feed_max_bytes,
		                            .keys = pool->feed_keys,
		                            .keys_n = pool->feed_keys_n };
	struct feed *feed = NULL;
	struct diag told;
	diag_init(&told);
	int rc = feed_load(&source, now_s, &told, &feed);
	/* It is read again with each renewal. What is odd about its entries was told the first time, and at a
	 * reload; what is in force already stays the same object, which is not saved once more. */
	bool in_force = rc == 0 && same_feed(feed, entry->feed);
	bool is_news = !entry->state.mirrors || !(in_force || (rc == 0 && same_feed(feed, entry->held)));
	if (rc < 0 || is_news)
		diag_move(&told, diag);
	diag_fini(&told);
	if (in_force) {
		feed_unref(feed);
		feed = feed_ref(entry->feed);
	}
	if (rc < 0) {
		/* The one that was held does not persist. But a look between a writer's two renames, or
		 * without memory, says nothing: each feed of a busy monitor would else begin the hold anew.
		 */
		if (rc != -ENOMEM && (rc != -EBADMSG || now_s >= entry->held_until_s))
			drop_held(pool, entry);
		return rc == -ENOMEM ? rc : 0; /* told; the state stays */
	}
	if (entry->feed && feed->serial < entry->feed->serial) {
		drop_held(pool, entry);
		diag_error(diag, file, 0,
		           "serial %" PRIu64 " is lower than %" PRIu64
		           ", which is in force; the feed is ignored, write a higher serial",
		           feed->serial, entry->feed->serial);
	} else {
		rc = take_feed(zones, number, feed, is_news, now_s, diag);
	}
	feed_unref(feed);
	return rc;
}

static void check_stale(const struct zones *zones, size_t number, uint64_t now_s, struct diag *diag)
{
	const struct pool *pool = zones->pools[number];
	struct zones_feed *entry = &zones->feeds[number];
	const struct feed *feed = entry->feed;
	if (!feed || feed->valid_until_s == 0 || now_s <= feed->valid_until_s) {
		entry->stale_told = false;
		return;
	}
	if (entry->stale_told)
		return;
	char until[UTC_TEXT_MAX];
	entry->stale_told = true;
	diag_error(diag, pool->conf->feed_file, 0,
	           "serial %" PRIu64
	           " was valid until %s and there is no newer one; its last state is kept, look after the "
	           "monitor",
	           feed->serial, utc_format(feed->valid_until_s, until));
	history_note_feed(zones->news, pool, feed, "expired", NULL, now_s);
}

static void want_at(uint64_t at_s, uint64_t *next_s)
{
	if (at_s && (*next_s == 0 || at_s < *next_s))
		*next_s = at_s;
}

bool zones_feed_is_rejected(const struct zones_feed *entry)
{
	return entry->held && entry->rejected_serial && entry->held->serial == entry->rejected_serial;
}

uint64_t zones_next_change(const struct zones *zones, struct version_clock clock)
{
	uint64_t next_s = zones_versions_next_s(zones, clock);
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		const struct zones_feed *entry = &zones->feeds[i];
		if (entry->held && !zones_feed_is_rejected(entry))
			want_at(entry->held_until_s, &next_s);
		if (entry->feed && entry->feed->valid_until_s >= clock.now_s)
			want_at(entry->feed->valid_until_s + 1, &next_s);
		want_at(entry->state.next_s, &next_s);
	}
	return next_s;
}

int zones_read_feeds(struct zones *zones, uint64_t now_s, struct diag *diag)
{
	int rc = 0;
	struct diag told; /* entries that fit no mirror were told when the feed was judged */
	diag_init(&told);
	for (size_t i = 0; i < zones->conf->pools_n && rc == 0; i++) {
		if (zones->pools[i]->conf->feed_file) {
			rc = read_feed(zones, i, now_s, diag);
			check_stale(zones, i, now_s, diag);
		}
		if (rc == 0)
			rc = remake(zones, i, now_s, &told);
	}
	diag_fini(&told);
	return rc;
}

int zones_accept_feed(struct zones *zones, size_t pool, const char *author, uint64_t now_s)
{
	struct zones_feed *entry = &zones->feeds[pool];
	struct pool_state next;
	struct pool_state state;
	struct diag told;
	if (!entry->held)
		return -ENOENT;
	diag_init(&told);
	int rc = pool_state_of_feed(zones->pools[pool], entry->held, now_s, NULL, &told, &next);
	if (rc == 0) {
		rc = make_state(zones, pool, entry->held, zones->overrides, now_s, &told, &state);
		if (rc == 0) {
			history_note_feed(zones->news, zones->pools[pool], entry->held, "accepted", author,
			                  now_s);
			breaker_note(zones->pools[pool], entry->outs, &next, true, now_s);
			put_into_force(zones, pool, entry->held, now_s);
			take_state(zones, pool, state);
		}
		pool_state_fini(&next);
	}
	diag_fini(&told);
	return rc;
}

int zones_reject_feed(struct zones *zones, size_t pool, const char *author, uint64_t now_s)
{
	struct zones_feed *entry = &zones->feeds[pool];
	if (!entry->held)
		return -ENOENT;
	if (entry->held->serial == 0)
		return -EINVAL;
	entry->rejected_serial = entry->held->serial;
	breaker_forget_held(zones->pools[pool], entry->outs);
	history_note_feed(zones->news, zones->pools[pool], entry->held, "rejected", author, now_s);
	return 0;
}

int zones_set_overrides(struct zones *zones, struct override_set *overrides, uint64_t now_s)
{
	size_t pools_n = zones->conf->pools_n;
	struct pool_state *states = calloc(pools_n + 1, sizeof(*states));
	if (!states)
		return -ENOMEM;
	struct diag told;
	diag_init(&told);
	/* All are made before one is taken: half of them would be a state that nobody has asked for. */
	int rc = 0;
	size_t made_n = 0;
	while (made_n < pools_n && rc == 0) {
		rc = make_state(zones, made_n, zones->feeds[made_n].feed, overrides, now_s, &told,
		                &states[made_n]);
		made_n += rc == 0;
	}
	for (size_t i = 0; i < made_n; i++) {
		if (rc == 0)
			take_state(zones, i, states[i]);
		else
			pool_state_fini(&states[i]);
	}
	diag_fini(&told);
	free(states);
	if (rc == 0) {
		override_set_ref(overrides);
		override_set_unref(zones->overrides);
		zones->overrides = overrides;
	}
	return rc;
}

static const struct zones_feed *find_previous(const struct zones *previous, const char *name,
                                              const struct pool **ret_pool)
{
	int number = previous ? zones_find_pool(previous, name) : -1;
	if (number < 0)
		return NULL;
	*ret_pool = previous->pools[number];
	return &previous->feeds[number];
}

static void carry_feed(const struct pool *pool, const struct zones_feed *before,
                       const struct pool *pool_before, struct zones_feed *entry)
{
	entry->feed = feed_ref(before->feed);
	entry->held = feed_ref(before->held);
	entry->held_since_s = before->held_since_s;
	entry->held_until_s = before->held_until_s;
	entry->held_finding = before->held_finding;
	entry->rejected_serial = before->rejected_serial;
	entry->stale_told = before->stale_told;
	breaker_carry(pool, entry->outs, pool_before, before->outs);
}

/* A feed that was in force before a restart: what it took out is not news to the breaker. */
static int settle_feed(const struct pool *pool, struct zones_feed *entry, uint64_t now_s)
{
	struct pool_state state;
	struct diag ignored;
	diag_init(&ignored);
	int rc = pool_state_of_feed(pool, entry->feed, now_s, pool->conf->feed_file, &ignored, &state);
	diag_fini(&ignored);
	if (rc < 0)
		return rc;
	breaker_note(pool, entry->outs, &state, true, now_s);
	pool_state_fini(&state);
	return 0;
}

int zones_carry_feeds(struct zones *zones, const struct zones *previous, uint64_t now_s, struct diag *diag)
{
	const char *state_dir = zones->conf->state_dir;
	if (previous)
		zones->overrides = override_set_ref(previous->overrides);
	else if (state_dir && keep_read_overrides(state_dir, diag, &zones->overrides) < 0)
		return -ENOMEM;
	int rc = 0;
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		const struct pool *pool = zones->pools[i];
		const struct pool *pool_before = NULL;
		const struct zones_feed *before = find_previous(previous, pool->conf->name, &pool_before);
		struct zones_feed *entry = &zones->feeds[i];
		entry->outs = breaker_create(pool);
		if (!entry->outs)
			return -ENOMEM;
		if (before && before->feed && pool->conf->feed_file &&
		    !feed_is_by(before->feed, pool->feed_keys, pool->feed_keys_n))
			diag_warning(diag, pool->conf->feed_file, 0,
			             "serial %" PRIu64
			             ", which is in force, is signed by none of feed-key: no longer in force",
			             before->feed->serial);
		else if (before && pool->conf->feed_file)
			carry_feed(pool, before, pool_before, entry);
		else if (!previous && pool->conf->feed_file && state_dir)
			rc = keep_read_feed(state_dir, pool, now_s, diag, &entry->feed);
		if (rc == 0 && entry->feed && !before)
			rc = settle_feed(pool, entry, now_s);
		if (rc < 0)
			return rc;
	}
	/* A feed that is bad must not keep a configuration from being used: mirrors are then in, or as they
	 * were. */
	struct diag told;
	diag_init(&told);
	rc = zones_read_feeds(zones, now_s, &told);
	for (size_t i = 0; i < told.messages_n; i++)
		diag_add(diag, told.messages[i].level == DIAG_ERROR ? DIAG_WARNING : told.messages[i].level,
		         NULL, 0, "%s", told.messages[i].text);
	diag_fini(&told);
	return rc;
}

size_t zones_mirrors_n(const struct zones *zones, size_t *ret_in_n)
{
	size_t all_n = 0;
	size_t out_n = 0;
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		all_n += zones->pools[i]->mirrors_n;
		out_n += zones->feeds[i].state.out_n;
	}
	*ret_in_n = all_n - out_n;
	return all_n;
}

int zones_find_pool(const struct zones *zones, const char *name)
{
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		if (strcmp(zones->conf->pools[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

json_t *zones_take_news(struct zones *zones)
{
	if (!zones->news || json_array_size(zones->news) == 0)
		return NULL;
	json_t *fresh = json_array();
	if (!fresh)
		return NULL; /* they wait for the next time */
	json_t *news = zones->news;
	zones->news = fresh;
	return news;
}

int zones_note_base(struct zones *zones, const char *why, uint64_t now_s)
{
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		if (history_note_base(zones->news, zones->pools[i], &zones->feeds[i].state, why, now_s) < 0)
			return -ENOMEM;
	}
	return 0;
}
