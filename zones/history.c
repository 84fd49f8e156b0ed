#include "zones/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/object.h"
#include "base/utc.h"
#include "zones/journal.h"
#include "zones/pool/country.h"

/* --- making records --- */

static json_t *record(const char *type, const struct pool *pool, uint64_t now_s)
{
	json_t *object = json_object();
	json_object_set_new(object, "t", json_integer((json_int_t)now_s));
	object_set_time(object, "time", now_s);
	object_set_text(object, "type", type);
	object_set_text(object, "pool", pool->conf->name);
	return object;
}

json_t *history_mirror_state(const struct mirror *mirror, const struct mirror_state *state)
{
	json_t *object = json_object();
	if (state->reason != REASON_NONE)
		object_set_text(object, "reason", reason_text(state->reason));
	if (state->cause != CAUSE_NONE)
		object_set_text(object, "cause", cause_text(state->cause));
	if (state->permille != 1000)
		json_object_set_new(object, "permille", json_integer(state->permille));
	object_set_time(object, "since", state->since_s);
	object_set_time(object, "until", state->until_s);
	object_set_time(object, "out-at", state->out_at_s);
	object_set_text(object, "detail", state->detail);
	object_set_text(object, "author", state->author);
	json_t *addresses = NULL;
	for (size_t i = 0; i < mirror->addrs_n && state->addr_reasons; i++) {
		char text[ADDR_TEXT_MAX];
		if (state->addr_reasons[i] == REASON_NONE)
			continue;
		if (!addresses)
			addresses = json_object();
		object_set_text(addresses, addr_format(&mirror->addrs[i], text, sizeof(text)),
		                reason_text(state->addr_reasons[i]));
	}
	if (addresses)
		json_object_set_new(object, "addresses", addresses);
	return object;
}

/* "in", "late", "in without 192.0.2.1": the state in a word, for old and new. */
static const char *state_word(const struct mirror *mirror, const struct mirror_state *state, char *text,
                              size_t cap)
{
	size_t out_n = 0;
	for (size_t i = 0; i < mirror->addrs_n && state->addr_reasons; i++)
		out_n += state->addr_reasons[i] != REASON_NONE;
	if (state->reason != REASON_NONE)
		return reason_text(state->reason);
	if (out_n)
		snprintf(text, cap, "in without %zu of %zu addresses", out_n, mirror->addrs_n);
	else if (state->permille != 1000)
		snprintf(text, cap, "in at %u.%u %% of its weight", state->permille / 10,
		         state->permille % 10);
	else if (state->out_at_s)
		snprintf(text, cap, "draining");
	else
		snprintf(text, cap, "in");
	return text;
}

void history_note_mirrors(json_t *records, const struct pool *pool, const struct feed *feed,
                          const struct pool_state *before, const struct pool_state *after)
{
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		const struct mirror *mirror = &pool->mirrors[i];
		const struct mirror_state *old = &before->mirrors[i];
		const struct mirror_state *new = &after->mirrors[i];
		if (mirror_state_equal(mirror, old, new))
			continue;
		char old_text[96];
		char new_text[96];
		json_t *object = record("mirror", pool, after->at_s);
		object_set_text(object, "mirror", mirror->host);
		object_set_text(object, "old", state_word(mirror, old, old_text, sizeof(old_text)));
		object_set_text(object, "new", state_word(mirror, new, new_text, sizeof(new_text)));
		/* What brought it back is what had taken it out: the feed, or time. */
		enum cause cause = new->cause != CAUSE_NONE ? new->cause : old->cause;
		object_set_text(object, "cause", cause_text(cause));
		if (cause == CAUSE_FEED && feed) {
			json_object_set_new(object, "serial", json_integer((json_int_t)feed->serial));
			object_set_text(object, "monitor", feed->monitor);
		}
		object_set_text(object, "author", new->cause == CAUSE_OVERRIDE ? new->author : old->author);
		json_object_set_new(object, "state", history_mirror_state(mirror, new));
		json_array_append_new(records, object);
	}
}

void history_note_feed(json_t *records, const struct pool *pool, const struct feed *feed, const char *event,
                       const char *author, uint64_t now_s)
{
	if (!records)
		return;
	json_t *object = record("feed", pool, now_s);
	object_set_text(object, "event", event);
	json_object_set_new(object, "serial", json_integer((json_int_t)feed->serial));
	json_object_set_new(object, "excluded", json_integer((json_int_t)feed->exclusions_n));
	object_set_text(object, "monitor", feed->monitor);
	object_set_text(object, "author", author);
	json_array_append_new(records, object);
}

void history_note_override(json_t *records, const struct override *override, const char *event,
                           const char *author, uint64_t now_s)
{
	json_t *object = override_to_json(override);
	if (!records || !object) {
		json_decref(object);
		return;
	}
	json_object_set_new(object, "t", json_integer((json_int_t)now_s));
	object_set_time(object, "time", now_s);
	object_set_text(object, "type", "override");
	object_set_text(object, "event", event);
	object_set_text(object, "author", author);
	json_array_append_new(records, object);
}

/* "country", "neighbour AT, taken back up to late": where a name's members come from. */
static const char *level_text(const struct zones_name_state *state, char *text, size_t cap)
{
	char code[3];
	char neighbour[8] = "";
	if (state->level == POOL_LEVEL_NEIGHBOUR) {
		country_to_code(state->neighbour, code);
		snprintf(neighbour, sizeof(neighbour), " %s", code);
	}
	snprintf(text, cap, "%s%s%s%s%s%s", pool_level_text((enum pool_level)state->level), neighbour,
	         state->level_v4 != state->level ? ", IPv4 from " : "",
	         state->level_v4 != state->level ? pool_level_text((enum pool_level)state->level_v4) : "",
	         state->readmitted ? ", taken back up to " : "",
	         state->readmitted ? reason_text((enum reason)state->readmitted) : "");
	return text;
}

void history_note_name(json_t *records, const struct pool *pool, const char *name,
                       const struct zones_name_state *before, const struct zones_name_state *after,
                       uint64_t now_s)
{
	char text[128];
	json_t *object = record("name", pool, now_s);
	object_set_text(object, "name", name);
	object_set_text(object, "old", level_text(before, text, sizeof(text)));
	object_set_text(object, "new", level_text(after, text, sizeof(text)));
	json_object_set_new(object, "old-mirrors", json_integer(before->members_n));
	json_object_set_new(object, "mirrors", json_integer(after->members_n));
	json_array_append_new(records, object);
}

int history_note_base(json_t *records, const struct pool *pool, const struct pool_state *state,
                      const char *why, uint64_t now_s)
{
	static const struct mirror_state nothing = { .permille = 1000 };
	json_t *mirrors = json_object();
	json_t *object = record("base", pool, now_s);
	object_set_text(object, "why", why);
	json_object_set_new(object, "mirrors", json_integer((json_int_t)pool->mirrors_n));
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		const struct mirror *mirror = &pool->mirrors[i];
		if (!mirror_state_equal(mirror, &state->mirrors[i], &nothing))
			json_object_set_new(mirrors, mirror->host,
			                    history_mirror_state(mirror, &state->mirrors[i]));
	}
	json_object_set_new(object, "states", mirrors);
	return mirrors && json_array_append_new(records, object) == 0 ? 0 : -ENOMEM;
}

/* --- the way back --- */

#define READS_MAX 10

struct replay {
	const struct zones *zones;
	uint64_t at_s;
	struct diag *diag;
	struct pool_state *states; /* mirrors NULL: no base yet */
	int rc;
};

/* 0 for a time that is out of all reason, as feeds may have it. */
static uint64_t read_time(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	uint64_t time_s = 0;
	return text && utc_parse(text, &time_s) == 0 ? time_s : 0;
}

static int keep_text(struct arena *arena, const json_t *object, const char *key, const char **ret_text)
{
	const char *text = json_string_value(json_object_get(object, key));
	*ret_text = text ? arena_strdup(arena, text) : NULL;
	return text && !*ret_text ? -ENOMEM : 0;
}

static enum cause read_cause(const json_t *object)
{
	const char *text = json_string_value(json_object_get(object, "cause"));
	for (int cause = 0; text && cause < CAUSE_N; cause++) {
		if (strcmp(cause_text((enum cause)cause), text) == 0)
			return (enum cause)cause;
	}
	return CAUSE_NONE;
}

static enum reason read_reason(const json_t *value)
{
	enum reason reason = json_is_string(value) ? reason_from_text(json_string_value(value)) : REASON_NONE;
	return reason == REASON_N ? REASON_NONE : reason;
}

static int read_state(const struct mirror *mirror, const json_t *object, struct arena *arena,
                      struct mirror_state *ret_state)
{
	const json_t *permille = json_object_get(object, "permille");
	const json_t *addresses = json_object_get(object, "addresses");
	struct mirror_state state = { .reason = read_reason(json_object_get(object, "reason")),
		                      .cause = read_cause(object),
		                      .permille = 1000,
		                      .since_s = read_time(object, "since"),
		                      .until_s = read_time(object, "until"),
		                      .out_at_s = read_time(object, "out-at") };
	if (json_is_integer(permille) && json_integer_value(permille) > 0 &&
	    json_integer_value(permille) <= 1000)
		state.permille = (uint32_t)json_integer_value(permille);
	if (!json_is_object(object))
		return -EINVAL;
	if (keep_text(arena, object, "detail", &state.detail) < 0 ||
	    keep_text(arena, object, "author", &state.author) < 0)
		return -ENOMEM;
	if (addresses) {
		state.addr_reasons = arena_alloc(arena, mirror->addrs_n * sizeof(*state.addr_reasons));
		if (!state.addr_reasons)
			return -ENOMEM;
	}
	for (size_t i = 0; i < mirror->addrs_n && addresses; i++) {
		char text[ADDR_TEXT_MAX];
		addr_format(&mirror->addrs[i], text, sizeof(text));
		state.addr_reasons[i] = read_reason(json_object_get(addresses, text));
	}
	*ret_state = state;
	return 0;
}

static int set_mirror(struct replay *replay, size_t pool_number, const char *host, const json_t *object)
{
	const struct pool *pool = replay->zones->pools[pool_number];
	struct pool_state *state = &replay->states[pool_number];
	int number = pool_find_mirror(pool, host);
	if (number < 0) {
		diag_warning(replay->diag, NULL, 0,
		             "the journal names mirror \"%.253s\", which pool %s has no more", host,
		             pool->conf->name);
		return 0;
	}
	int rc = read_state(&pool->mirrors[number], object, &state->arena, &state->mirrors[number]);
	if (rc == -EINVAL)
		diag_error(replay->diag, NULL, 0,
		           "the journal's state of mirror \"%.253s\" is not understood; what follows can't "
		           "be told",
		           host);
	return rc;
}

static int replay_base(struct replay *replay, size_t number, const json_t *object)
{
	const struct pool *pool = replay->zones->pools[number];
	struct pool_state *state = &replay->states[number];
	if (state->mirrors)
		pool_state_fini(state);
	int rc = pool_state_init(pool, state);
	if (rc == 0 && json_integer_value(json_object_get(object, "mirrors")) != (json_int_t)pool->mirrors_n)
		diag_warning(replay->diag, NULL, 0,
		             "pool %s had another number of mirrors then; shown are those of now",
		             pool->conf->name);
	const char *host;
	json_t *entry;
	json_object_foreach(json_object_get(object, "states"), host, entry)
	{
		if (rc == 0)
			rc = set_mirror(replay, number, host, entry);
	}
	return rc;
}

/* Returns false to stop. */
static bool replay_record(const json_t *object, void *context)
{
	struct replay *replay = context;
	const char *type = json_string_value(json_object_get(object, "type"));
	const char *pool = json_string_value(json_object_get(object, "pool"));
	if (!type || !pool || (uint64_t)json_integer_value(json_object_get(object, "t")) > replay->at_s)
		return true;
	int number = zones_find_pool(replay->zones, pool);
	if (number < 0)
		return true;
	if (strcmp(type, "base") == 0) {
		replay->rc = replay_base(replay, (size_t)number, object);
	} else if (strcmp(type, "mirror") == 0 && replay->states[number].mirrors) {
		const char *host = json_string_value(json_object_get(object, "mirror"));
		if (host)
			replay->rc =
			        set_mirror(replay, (size_t)number, host, json_object_get(object, "state"));
	}
	return replay->rc == 0;
}

int history_replay(const char *directory, const struct zones *zones, uint64_t at_s, struct diag *diag,
                   struct pool_state *ret_states)
{
	size_t pools_n = zones->conf->pools_n;
	struct replay replay = { .zones = zones, .at_s = at_s, .diag = diag, .states = ret_states };
	memset(ret_states, 0, pools_n * sizeof(*ret_states));
	int rc = journal_read(directory, at_s, replay_record, &replay, diag);
	/* A journal that is set aside while it is read: once more, from the new names. */
	for (unsigned tries = 0; rc == -EAGAIN && tries < READS_MAX; tries++) {
		replay.rc = 0;
		rc = journal_read(directory, at_s, replay_record, &replay, diag);
	}
	if (rc == 0)
		rc = replay.rc;
	for (size_t i = 0; i < pools_n && rc == 0; i++) {
		struct pool_state *state = &ret_states[i];
		if (!state->mirrors) {
			char text[UTC_TEXT_MAX];
			diag_error(diag, NULL, 0, "the journal in %s does not reach back to %s", directory,
			           utc_format(at_s, text));
			rc = -ENOENT;
			break;
		}
		state->at_s = at_s;
		for (size_t k = 0; k < zones->pools[i]->mirrors_n; k++)
			state->out_n += !pool_state_is_in(zones->pools[i], state, k);
	}
	for (size_t i = 0; i < pools_n && rc < 0; i++) {
		if (ret_states[i].mirrors)
			pool_state_fini(&ret_states[i]);
	}
	return rc;
}
