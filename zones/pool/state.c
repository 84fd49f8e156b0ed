#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "zones/pool/pool.h"

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

/* Of two reasons the worse one counts. */
static void worsen(enum reason *reason, enum reason other)
{
	if (other > *reason)
		*reason = other;
}

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
	worsen(&mirror->addr_reasons[found->number], exclusion->reason);
	return 0;
}

static int apply(const struct pool *pool, const struct index *index, const struct feed *feed,
                 const char *file, struct diag *diag, struct pool_state *state)
{
	for (size_t i = 0; i < feed->exclusions_n; i++) {
		const struct feed_exclusion *exclusion = &feed->exclusions[i];
		char text[ADDR_TEXT_MAX];
		bool found;
		if (exclusion->host) {
			size_t mirror = 0;
			found = find_host(index, exclusion->host, &mirror);
			if (found)
				worsen(&state->mirrors[mirror].reason, exclusion->reason);
		} else if (exclude_addr(pool, index, exclusion, state, &found) < 0) {
			return -ENOMEM;
		}
		if (!found)
			diag_warning(diag, file, exclusion->place,
			             "pool %s has no mirror or address \"%s\"; this entry is ignored",
			             pool->conf->name,
			             exclusion->host ? exclusion->host
			                             : addr_format(&exclusion->addr, text, sizeof(text)));
	}
	for (size_t i = 0; i < feed->weights_n; i++) {
		size_t mirror = 0;
		if (find_host(index, feed->weights[i].host, &mirror))
			state->mirrors[mirror].permille = feed->weights[i].permille;
		else
			diag_warning(diag, file, feed->weights[i].place,
			             "pool %s has no mirror \"%s\"; its weight is ignored", pool->conf->name,
			             feed->weights[i].host);
	}
	return 0;
}

/* A mirror is wholly out when none of its addresses is left. */
static void count_out(const struct pool *pool, struct pool_state *state)
{
	state->out_n = 0;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		const struct mirror_state *mirror = &state->mirrors[i];
		size_t left_n = mirror->reason == REASON_NONE ? pool->mirrors[i].addrs_n : 0;
		for (size_t k = 0; k < pool->mirrors[i].addrs_n && mirror->addr_reasons && left_n; k++)
			left_n -= mirror->addr_reasons[k] != REASON_NONE;
		state->out_n += left_n == 0;
	}
}

int pool_state_apply_feed(const struct pool *pool, const struct feed *feed, const char *file,
                          struct diag *diag, struct pool_state *state)
{
	struct index index = { 0 };
	int rc = make_index(pool, &index);
	if (rc == 0)
		rc = apply(pool, &index, feed, file, diag, state);
	free(index.hosts);
	free(index.addrs);
	if (rc == 0)
		count_out(pool, state);
	return rc;
}
