#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "zones/pool/pool.h"

const char *pool_level_text(enum pool_level level)
{
	static const char *const text[] = { "country", "neighbour", "region", "world" };
	return text[level];
}

void pool_decision_fini(struct pool_decision *decision)
{
	free(decision->members);
	free(decision->addrs);
	free(decision->picks);
	memset(decision, 0, sizeof(*decision));
}

/* What a name needs: any address, or one of a family. */
enum need { NEED_ANY, NEED_V4, NEED_V6 };

/*
 * The mirrors taken so far. admitted says for each which of its addresses: 0 none, else those whose reason
 * for being out is below it (1: those that are in the pool, 2: those that are late as well, ...).
 */
struct choice {
	const struct pool *pool;
	const struct pool_state *state;
	uint8_t *admitted;
	struct pool_pick *picks; /* borrowed; NULL = nobody records */
	enum pool_level level;   /* being looked at */
	enum need need;
	size_t n; /* mirrors with an address that counts */
	enum reason readmitted;
};

/* Of the mirror's reason and its address's the worse one counts. */
static enum reason reason_of(const struct mirror_state *state, size_t addr)
{
	enum reason own = state->addr_reasons ? state->addr_reasons[addr] : REASON_NONE;
	return own > state->reason ? own : state->reason;
}

static bool is_admitted(const struct choice *choice, size_t mirror, size_t addr)
{
	return reason_of(&choice->state->mirrors[mirror], addr) < choice->admitted[mirror];
}

static bool counts(const struct choice *choice, size_t mirror)
{
	const struct mirror *m = &choice->pool->mirrors[mirror];
	for (size_t i = 0; i < m->addrs_n; i++) {
		bool fits =
		        choice->need == NEED_ANY || m->addrs[i].family == (choice->need == NEED_V4 ? 4 : 6);
		if (fits && is_admitted(choice, mirror, i))
			return true;
	}
	return false;
}

/* Take a mirror's addresses whose reason is no worse than this. */
static void admit(struct choice *choice, size_t mirror, enum reason worst)
{
	struct pool_pick *pick = choice->picks ? &choice->picks[mirror] : NULL;
	if (pick && !pick->asked) {
		pick->asked = true;
		pick->level = choice->level;
	}
	if (choice->admitted[mirror] > worst)
		return;
	bool counted = choice->admitted[mirror] && counts(choice, mirror);
	choice->admitted[mirror] = (uint8_t)(worst + 1);
	if (counted || !counts(choice, mirror))
		return;
	choice->n++;
	if (worst > choice->readmitted)
		choice->readmitted = worst;
}

static bool is_enough(const struct choice *choice)
{
	return choice->n >= choice->pool->conf->min_mirrors && choice->n > 0;
}

static void admit_country(struct choice *choice, uint16_t country, enum reason worst)
{
	const struct pool *pool = choice->pool;
	for (size_t i = pool->country_at[country]; i < pool->country_at[country + 1]; i++)
		admit(choice, pool->by_country[i], worst);
}

/* A region's mirrors; NULL = the world's. */
static void admit_region(struct choice *choice, const struct region *region, enum reason worst)
{
	for (size_t i = 0; i < choice->pool->mirrors_n; i++) {
		if (!region || region->has[choice->pool->mirrors[i].country])
			admit(choice, i, worst);
	}
}

int pool_region_of(const struct pool *pool, uint16_t country)
{
	for (size_t i = 0; i < pool->regions_n; i++) {
		if (pool->regions[i].has[country])
			return (int)i;
	}
	return -1;
}

size_t pool_country_mirrors_n(const struct pool *pool, uint16_t country)
{
	return pool->country_at[country + 1] - pool->country_at[country];
}

size_t pool_class_of(const struct pool *pool, uint16_t country)
{
	bool own = pool_country_mirrors_n(pool, country) || pool->near[country];
	return own ? country : (size_t)(COUNTRY_N + 1 + pool_region_of(pool, country));
}

size_t pool_classes_n(const struct pool *pool)
{
	return COUNTRY_N + 1 + pool->regions_n;
}

/*
 * The last resort, when the whole world has too few in the pool: take back the least bad, one reason after
 * the other. Those that are old or dead only when there would be nothing at all.
 */
static void take_back(struct choice *choice)
{
	for (int worst = REASON_NONE + 1; worst <= REASON_HARD_LAST && !is_enough(choice); worst++) {
		if (worst > REASON_MILD_LAST && choice->n > 0)
			return;
		admit_region(choice, NULL, (enum reason)worst);
	}
}

/*
 * Widen from the country until there are enough mirrors. Levels add up: the mirrors of a country that has too
 * few stay in, the others help out.
 */
static void widen(struct choice *choice, uint16_t country, struct pool_decision *decision)
{
	const struct pool *pool = choice->pool;
	choice->level = POOL_LEVEL_COUNTRY;
	for (int worst = REASON_NONE; worst <= REASON_MILD_LAST && country != COUNTRY_UNKNOWN; worst++) {
		admit_country(choice, country, (enum reason)worst);
		if (is_enough(choice))
			return;
	}
	choice->level = POOL_LEVEL_NEIGHBOUR;
	for (const uint16_t *near = pool->near[country]; near && *near; near++) {
		decision->neighbour = *near;
		admit_country(choice, *near, REASON_NONE);
		if (is_enough(choice))
			return;
	}
	choice->level = POOL_LEVEL_REGION;
	decision->region = pool_region_of(pool, country);
	if (decision->region >= 0)
		admit_region(choice, &pool->regions[decision->region], REASON_NONE);
	if (is_enough(choice))
		return;
	choice->level = POOL_LEVEL_WORLD;
	admit_region(choice, NULL, REASON_NONE);
	if (!is_enough(choice))
		take_back(choice);
}

/* A region's own mirrors, else the world's. */
static void widen_region(struct choice *choice, int region)
{
	choice->level = POOL_LEVEL_REGION;
	for (int worst = REASON_NONE; worst <= REASON_MILD_LAST && !is_enough(choice); worst++)
		admit_region(choice, &choice->pool->regions[region], (enum reason)worst);
	if (is_enough(choice))
		return;
	choice->level = POOL_LEVEL_WORLD;
	admit_region(choice, NULL, REASON_NONE);
	if (!is_enough(choice))
		take_back(choice);
}

/* --- members --- */

static bool has_family(const struct choice *choice, uint8_t family)
{
	for (size_t i = 0; i < choice->pool->mirrors_n; i++) {
		const struct mirror *mirror = &choice->pool->mirrors[i];
		for (size_t k = 0; k < mirror->addrs_n; k++) {
			if (mirror->addrs[k].family == family && is_admitted(choice, i, k))
				return true;
		}
	}
	return false;
}

/* In thousandths, so that a small weight can rise in steps as well. */
static uint32_t weight_of(const struct mirror *mirror, const struct mirror_state *state)
{
	return mirror->weight * state->permille;
}

/* The addresses of the chosen mirrors that are admitted, and of those that help out only the family they help
 * out with. */
static int make_members(const struct choice *chosen, const struct choice *helping,
                        struct pool_decision *decision)
{
	const struct pool *pool = chosen->pool;
	size_t addrs_n = 0;
	for (size_t i = 0; i < pool->mirrors_n; i++)
		addrs_n += pool->mirrors[i].addrs_n;
	decision->members = calloc(pool->mirrors_n + 1, sizeof(*decision->members));
	decision->addrs = calloc(addrs_n + 1, sizeof(*decision->addrs));
	if (!decision->members || !decision->addrs)
		return -ENOMEM;
	uint8_t helping_family = helping ? (helping->need == NEED_V4 ? 4 : 6) : 0;
	struct addr *at = decision->addrs;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		const struct mirror *mirror = &pool->mirrors[i];
		const struct mirror_state *state = &chosen->state->mirrors[i];
		struct pool_member member = { .addrs = at,
			                      .weight = weight_of(mirror, state),
			                      .mirror = mirror->number };
		bool own = false;
		for (size_t k = 0; k < mirror->addrs_n; k++) {
			bool helps = helping && mirror->addrs[k].family == helping_family &&
			             is_admitted(helping, i, k);
			own |= is_admitted(chosen, i, k);
			if (helps || is_admitted(chosen, i, k))
				at[member.addrs_n++] = mirror->addrs[k];
		}
		at += member.addrs_n;
		if (member.addrs_n == 0)
			continue;
		decision->members[decision->members_n++] = member;
		decision->picks[i].taken = true;
		decision->picks[i].family_only = !own;
		if (state->out_at_s) {
			uint32_t ttl_s =
			        pool_ttl_before(pool->conf->ttl_s, state->out_at_s, chosen->state->at_s);
			if (ttl_s < decision->ttl_s) {
				decision->ttl_s = ttl_s;
				decision->ttl_mirror = (int)i;
			}
		}
	}
	return 0;
}

static int choice_init(struct choice *choice, const struct pool *pool, const struct pool_state *state,
                       enum need need, struct pool_pick *picks)
{
	*choice = (struct choice){ .pool = pool, .state = state, .need = need, .picks = picks };
	choice->admitted = calloc(pool->mirrors_n + 1, sizeof(*choice->admitted));
	return choice->admitted ? 0 : -ENOMEM;
}

/* What a name asks for: the mirrors of a country, or of a region (region >= 0). */
struct wish {
	uint16_t country;
	int region;
	bool ipv6_only;
};

static void widen_wish(struct choice *choice, const struct wish *wish, struct pool_decision *decision)
{
	if (wish->region >= 0)
		widen_region(choice, wish->region);
	else
		widen(choice, wish->country, decision);
}

static int decide(const struct pool *pool, const struct pool_state *state, const struct wish *wish,
                  struct pool_decision *ret_decision)
{
	struct pool_decision decision = {
		.country = wish->country, .region = wish->region, .ttl_s = pool->conf->ttl_s, .ttl_mirror = -1
	};
	struct choice chosen = { .admitted = NULL };
	struct choice helping = { .admitted = NULL };
	decision.picks = calloc(pool->mirrors_n + 1, sizeof(*decision.picks));
	int rc = decision.picks ? 0 : -ENOMEM;
	if (rc == 0)
		rc = choice_init(&chosen, pool, state, wish->ipv6_only ? NEED_V6 : NEED_ANY, decision.picks);
	if (rc == 0)
		widen_wish(&chosen, wish, &decision);
	decision.level = decision.level_v4 = chosen.level;
	decision.readmitted = chosen.readmitted;
	bool help = false;
	if (rc == 0 && !wish->ipv6_only) {
		bool v4_missing = !has_family(&chosen, 4);
		help = v4_missing || (wish->region < 0 && pool->conf->borrow_ipv6 && !has_family(&chosen, 6));
		if (help)
			rc = choice_init(&helping, pool, state, v4_missing ? NEED_V4 : NEED_V6,
			                 decision.picks);
		if (help && rc == 0) {
			struct pool_decision wider = decision;
			widen_wish(&helping, wish, &wider);
			if (v4_missing)
				decision.level_v4 = helping.level;
		}
	}
	if (rc == 0)
		rc = make_members(&chosen, help ? &helping : NULL, &decision);
	free(chosen.admitted);
	free(helping.admitted);
	if (rc < 0)
		pool_decision_fini(&decision);
	else
		*ret_decision = decision;
	return rc;
}

int pool_decide_country(const struct pool *pool, const struct pool_state *state, uint16_t country,
                        bool ipv6_only, struct pool_decision *ret_decision)
{
	struct wish wish = { .country = country, .region = -1, .ipv6_only = ipv6_only };
	return decide(pool, state, &wish, ret_decision);
}

int pool_decide_region(const struct pool *pool, const struct pool_state *state, int region,
                       struct pool_decision *ret_decision)
{
	struct wish wish = { .country = COUNTRY_UNKNOWN, .region = region };
	return decide(pool, state, &wish, ret_decision);
}
