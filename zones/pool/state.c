#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "zones/pool/pool.h"

const char *cause_text(enum cause cause)
{
	static const char *const text[] = { "none", "feed", "window", "override" };
	return text[cause];
}

int pool_state_init(const struct pool *pool, struct pool_state *state)
{
	memset(state, 0, sizeof(*state));
	arena_init(&state->arena);
	state->mirrors = arena_alloc(&state->arena, (pool->mirrors_n + 1) * sizeof(*state->mirrors));
	if (!state->mirrors)
		return -ENOMEM;
	for (size_t i = 0; i < pool->mirrors_n; i++)
		state->mirrors[i].permille = 1000;
	return 0;
}

void pool_state_fini(struct pool_state *state)
{
	arena_fini(&state->arena);
	state->mirrors = NULL;
}

/* A feed names mirrors by host, and may have many: both sides are sorted once. */
struct by_host {
	const char *host;
	size_t mirror;
};

struct by_addr {
	struct addr addr;
	size_t mirror;
	size_t number; /* of the mirror's addresses */
};

static int compare_hosts(const void *a, const void *b)
{
	return strcmp(((const struct by_host *)a)->host, ((const struct by_host *)b)->host);
}

static int compare_addrs(const void *a, const void *b)
{
	return memcmp(&((const struct by_addr *)a)->addr, &((const struct by_addr *)b)->addr,
	              sizeof(struct addr));
}

struct index {
	struct by_host *hosts;
	size_t hosts_n;
	struct by_addr *addrs;
	size_t addrs_n;
};

static int make_index(const struct pool *pool, struct index *index)
{
	size_t addrs_n = 0;
	for (size_t i = 0; i < pool->mirrors_n; i++)
		addrs_n += pool->mirrors[i].addrs_n;
	index->hosts = calloc(pool->mirrors_n + 1, sizeof(*index->hosts));
	index->addrs = calloc(addrs_n + 1, sizeof(*index->addrs));
	if (!index->hosts || !index->addrs)
		return -ENOMEM;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		const struct mirror *mirror = &pool->mirrors[i];
		index->hosts[index->hosts_n++] = (struct by_host){ mirror->host, i };
		for (size_t k = 0; k < mirror->addrs_n; k++)
			index->addrs[index->addrs_n++] =
			        (struct by_addr){ .addr = mirror->addrs[k], .mirror = i, .number = k };
	}
	qsort(index->hosts, index->hosts_n, sizeof(*index->hosts), compare_hosts);
	qsort(index->addrs, index->addrs_n, sizeof(*index->addrs), compare_addrs);
	return 0;
}

static bool find_host(const struct index *index, const char *host, size_t *ret_mirror)
{
	struct by_host wanted = { .host = host };
	const struct by_host *found =
	        bsearch(&wanted, index->hosts, index->hosts_n, sizeof(wanted), compare_hosts);
	if (found)
		*ret_mirror = found->mirror;
	return found;
}

/* Of two reasons the worse one counts. Returns whether it is this one. */
static bool worsen(enum reason *reason, enum reason other)
{
	if (other <= *reason)
		return false;
	*reason = other;
	return true;
}

/* The state outlives the feed. NULL stays NULL. */
static int keep_text(struct pool_state *state, const char *text, const char **ret_kept)
{
	*ret_kept = text ? arena_strdup(&state->arena, text) : NULL;
	return text && !*ret_kept ? -ENOMEM : 0;
}

/* --- the feed --- */

static int exclude_addr(const struct pool *pool, const struct index *index,
                        const struct feed_exclusion *exclusion, struct pool_state *state, bool *ret_found)
{
	struct by_addr wanted = { .addr = exclusion->addr };
	const struct by_addr *found =
	        bsearch(&wanted, index->addrs, index->addrs_n, sizeof(wanted), compare_addrs);
	*ret_found = found;
	if (!found)
		return 0;
	struct mirror_state *mirror = &state->mirrors[found->mirror];
	if (!mirror->addr_reasons) {
		size_t addrs_n = pool->mirrors[found->mirror].addrs_n;
		mirror->addr_reasons = arena_alloc(&state->arena, addrs_n * sizeof(*mirror->addr_reasons));
		if (!mirror->addr_reasons)
			return -ENOMEM;
	}
	if (!worsen(&mirror->addr_reasons[found->number], exclusion->reason) || mirror->cause != CAUSE_NONE)
		return 0;
	mirror->cause = CAUSE_FEED;
	mirror->since_s = exclusion->since_s;
	return keep_text(state, exclusion->detail, &mirror->detail);
}

static int exclude_host(const struct index *index, const struct feed_exclusion *exclusion,
                        struct pool_state *state, bool *ret_found)
{
	size_t number = 0;
	*ret_found = find_host(index, exclusion->host, &number);
	struct mirror_state *mirror = &state->mirrors[number];
	if (!*ret_found || !worsen(&mirror->reason, exclusion->reason))
		return 0;
	mirror->cause = CAUSE_FEED;
	mirror->since_s = exclusion->since_s;
	return keep_text(state, exclusion->detail, &mirror->detail);
}

#define RAMP_STEPS 10

/* The share of a mirror that comes back, and when it rises next (0 = it does not). */
static uint32_t ramp(const struct feed_weight *weight, uint64_t now_s, uint64_t *ret_next_s)
{
	*ret_next_s = 0;
	if (weight->full_s == 0)
		return weight->permille;
	if (now_s >= weight->full_s)
		return 1000;
	uint64_t length_s = weight->full_s - weight->from_s;
	uint64_t gone_s = now_s > weight->from_s ? now_s - weight->from_s : 0;
	uint64_t step = gone_s * RAMP_STEPS / length_s;
	*ret_next_s = weight->from_s + ((step + 1) * length_s + RAMP_STEPS - 1) / RAMP_STEPS;
	return weight->permille + (uint32_t)((1000 - weight->permille) * step / RAMP_STEPS);
}

static void want_at(struct pool_state *state, uint64_t at_s)
{
	if (at_s > state->at_s && (state->next_s == 0 || at_s < state->next_s))
		state->next_s = at_s;
}

static int apply_feed(const struct pool *pool, const struct index *index, const struct feed *feed,
                      const char *file, struct diag *diag, struct pool_state *state)
{
	for (size_t i = 0; i < feed->exclusions_n; i++) {
		const struct feed_exclusion *exclusion = &feed->exclusions[i];
		char text[ADDR_TEXT_MAX];
		bool found;
		int rc = exclusion->host ? exclude_host(index, exclusion, state, &found)
		                         : exclude_addr(pool, index, exclusion, state, &found);
		if (rc < 0)
			return rc;
		if (!found)
			diag_warning(diag, file, exclusion->place,
			             "pool %s has no mirror or address \"%s\"; this entry is ignored",
			             pool->conf->name,
			             exclusion->host ? exclusion->host
			                             : addr_format(&exclusion->addr, text, sizeof(text)));
	}
	for (size_t i = 0; i < feed->weights_n; i++) {
		const struct feed_weight *weight = &feed->weights[i];
		size_t number = 0;
		if (!find_host(index, weight->host, &number)) {
			diag_warning(diag, file, weight->place,
			             "pool %s has no mirror \"%s\"; its weight is ignored", pool->conf->name,
			             weight->host);
			continue;
		}
		struct mirror_state *mirror = &state->mirrors[number];
		uint64_t next_s;
		mirror->permille = ramp(weight, state->at_s, &next_s);
		want_at(state, next_s);
		if (mirror->permille < 1000 && mirror->cause == CAUSE_NONE) {
			mirror->cause = CAUSE_FEED;
			mirror->since_s = weight->from_s;
			mirror->until_s = weight->full_s;
		}
	}
	return 0;
}

/* --- windows and overrides --- */

/* The next beginning of a window, or the present one's. Returns false when it is over for good. */
static bool find_window(const struct conf_window *window, uint64_t now_s, uint64_t *ret_from_s,
                        uint64_t *ret_until_s)
{
	uint64_t shift_s = 0;
	if (now_s >= window->until_s) {
		if (window->every_s == 0)
			return false;
		shift_s = ((now_s - window->until_s) / window->every_s + 1) * window->every_s;
	}
	*ret_from_s = window->from_s + shift_s;
	*ret_until_s = window->until_s + shift_s;
	return true;
}

/* It leaves at a moment to come: answers that hold it may not be kept for longer. */
static void plan_out(struct mirror_state *mirror, uint64_t at_s)
{
	if (mirror->out_at_s == 0 || at_s < mirror->out_at_s)
		mirror->out_at_s = at_s;
}

static int apply_windows(const struct pool *pool, struct pool_state *state)
{
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		struct mirror_state *mirror = &state->mirrors[i];
		for (size_t k = 0; k < pool->mirrors[i].windows_n; k++) {
			const struct conf_window *window = &pool->mirrors[i].windows[k];
			uint64_t from_s;
			uint64_t until_s;
			if (!find_window(window, state->at_s, &from_s, &until_s))
				continue;
			if (from_s > state->at_s) {
				plan_out(mirror, from_s);
				continue;
			}
			want_at(state, until_s);
			if (!worsen(&mirror->reason, REASON_MAINTENANCE))
				continue;
			mirror->cause = CAUSE_WINDOW;
			mirror->since_s = from_s;
			mirror->until_s = until_s;
			if (keep_text(state, window->reason, &mirror->detail) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

/*
 * When an override that keeps it in is over, what else is said of it counts again. A window that is open now
 * may hide what the feed says, so that it counts too, though it may be closed by then.
 */
static void plan_after_up(const struct mirror *mirror, uint64_t until_s, struct mirror_state *state)
{
	state->out_at_s = 0;
	if (state->reason != REASON_NONE || state->addr_reasons)
		plan_out(state, until_s);
	for (size_t i = 0; i < mirror->windows_n; i++) {
		uint64_t from_s;
		uint64_t end_s;
		if (find_window(&mirror->windows[i], until_s, &from_s, &end_s))
			plan_out(state, from_s > until_s ? from_s : until_s);
	}
}

static int apply_override(const struct pool *pool, size_t number, const struct override *override,
                          struct pool_state *state)
{
	struct mirror_state *mirror = &state->mirrors[number];
	if (override->until_s && override->until_s <= state->at_s)
		return 0;
	if (override->from_s > state->at_s) {
		want_at(state, override->from_s);
		if (override->action != OVERRIDE_UP)
			plan_out(mirror, override->from_s);
		return 0;
	}
	want_at(state, override->until_s);
	if (override->action == OVERRIDE_UP && override->until_s)
		plan_after_up(&pool->mirrors[number], override->until_s, mirror);
	else
		mirror->out_at_s = 0;
	mirror->cause = CAUSE_OVERRIDE;
	mirror->since_s = override->from_s;
	mirror->until_s = override->until_s;
	switch (override->action) {
	case OVERRIDE_DOWN: mirror->reason = REASON_ADMIN; break;
	case OVERRIDE_DRAIN: mirror->reason = REASON_MAINTENANCE; break;
	default:
		mirror->reason = REASON_NONE;
		mirror->addr_reasons = NULL;
		mirror->permille = 1000;
		break;
	}
	return keep_text(state, override->reason, &mirror->detail) < 0 ||
	                       keep_text(state, override->author, &mirror->author) < 0
	               ? -ENOMEM
	               : 0;
}

static int apply_overrides(const struct pool *pool, const struct index *index,
                           const struct override_set *overrides, struct pool_state *state)
{
	for (size_t i = 0; overrides && i < overrides->n; i++) {
		const struct override *override = &overrides->items[i];
		size_t number = 0;
		if (strcmp(override->pool, pool->conf->name) != 0 ||
		    !find_host(index, override->host, &number))
			continue; /* its mirror may come back with the next configuration */
		if (apply_override(pool, number, override, state) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* --- the whole --- */

bool pool_state_is_in(const struct pool *pool, const struct pool_state *state, size_t mirror)
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

bool mirror_state_equal(const struct mirror *mirror, const struct mirror_state *a,
                        const struct mirror_state *b)
{
	if (a->reason != b->reason || a->permille != b->permille || a->cause != b->cause ||
	    a->until_s != b->until_s || a->out_at_s != b->out_at_s)
		return false;
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		enum reason x = a->addr_reasons ? a->addr_reasons[i] : REASON_NONE;
		enum reason y = b->addr_reasons ? b->addr_reasons[i] : REASON_NONE;
		if (x != y)
			return false;
	}
	return true;
}

int pool_find_mirror(const struct pool *pool, const char *host)
{
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		if (strcmp(pool->mirrors[i].host, host) == 0)
			return (int)i;
	}
	return -1;
}

uint32_t pool_ttl_before(uint32_t ttl_s, uint64_t out_at_s, uint64_t now_s)
{
	uint64_t left_s = out_at_s > now_s + 1 ? out_at_s - now_s - 1 : 1;
	uint32_t step_s = 1;
	while (step_s < ttl_s && (uint64_t)step_s * 2 <= left_s)
		step_s *= 2;
	return step_s < ttl_s ? step_s : ttl_s;
}

/* When the time-to-live of its names steps down next, and when it is out. */
static void want_steps(struct pool_state *state, uint64_t out_at_s)
{
	uint64_t step_s = 1;
	while (out_at_s > step_s * 2 && out_at_s - step_s * 2 > state->at_s)
		step_s *= 2;
	want_at(state, out_at_s > step_s ? out_at_s - step_s : out_at_s);
	want_at(state, out_at_s);
}

static int make(const struct pool *pool, const struct feed *feed, bool planned,
                const struct override_set *overrides, uint64_t now_s, const char *file, struct diag *diag,
                struct pool_state *ret_state)
{
	struct pool_state state;
	struct index index = { 0 };
	int rc = pool_state_init(pool, &state);
	state.at_s = now_s;
	if (rc == 0)
		rc = make_index(pool, &index);
	if (rc == 0 && feed)
		rc = apply_feed(pool, &index, feed, file, diag, &state);
	if (rc == 0 && planned)
		rc = apply_windows(pool, &state);
	if (rc == 0)
		rc = apply_overrides(pool, &index, overrides, &state);
	free(index.hosts);
	free(index.addrs);
	if (rc < 0) {
		pool_state_fini(&state);
		return rc;
	}
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		state.out_n += !pool_state_is_in(pool, &state, i);
		if (state.mirrors[i].out_at_s)
			want_steps(&state, state.mirrors[i].out_at_s);
	}
	*ret_state = state;
	return 0;
}

int pool_state_make(const struct pool *pool, const struct feed *feed, const struct override_set *overrides,
                    uint64_t now_s, const char *file, struct diag *diag, struct pool_state *ret_state)
{
	return make(pool, feed, true, overrides, now_s, file, diag, ret_state);
}

int pool_state_of_feed(const struct pool *pool, const struct feed *feed, uint64_t now_s, const char *file,
                       struct diag *diag, struct pool_state *ret_state)
{
	return make(pool, feed, false, NULL, now_s, file, diag, ret_state);
}
