#include "zones/pool/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "zones/pool/country.h"

#define WEIGHT_MAX 1000000

const char *pool_level_text(enum pool_level level)
{
	static const char *const text[] = { "country", "neighbour", "region", "world" };
	return text[level];
}

void pool_decision_fini(struct pool_decision *decision)
{
	free(decision->members);
	free(decision->addrs);
	memset(decision, 0, sizeof(*decision));
}

/* --- checks --- */

struct seen_addr {
	struct addr addr;
	const struct conf_place *place;
	const char *host;
};

static int compare_seen(const void *a, const void *b)
{
	const struct seen_addr *x = a;
	const struct seen_addr *y = b;
	int order = memcmp(&x->addr, &y->addr, sizeof(x->addr));
	if (order)
		return order;
	/* Files are read in order, so the later place is the one to complain about. */
	return x->place->line < y->place->line ? -1 : x->place->line > y->place->line;
}

static int check_duplicates(const struct conf_pool *conf, struct diag *diag)
{
	size_t total = 0;
	for (size_t i = 0; i < conf->mirrors_n; i++)
		total += conf->mirrors[i].addrs_n;
	struct seen_addr *seen = calloc(total + 1, sizeof(*seen));
	if (!seen)
		return -ENOMEM;
	size_t n = 0;
	for (size_t i = 0; i < conf->mirrors_n; i++) {
		const struct conf_mirror *mirror = &conf->mirrors[i];
		for (size_t k = 0; k < mirror->addrs_n; k++)
			seen[n++] = (struct seen_addr){ mirror->addrs[k].addr, &mirror->addrs[k].place,
				                        mirror->host };
	}
	qsort(seen, n, sizeof(*seen), compare_seen);
	for (size_t i = 1; i < n; i++) {
		if (!addr_equal(&seen[i].addr, &seen[i - 1].addr))
			continue;
		char text[ADDR_TEXT_MAX];
		diag_error(diag, seen[i].place->file, seen[i].place->line,
		           "mirror %s: address %s is already that of %s (line %u); each address stands once",
		           seen[i].host, addr_format(&seen[i].addr, text, sizeof(text)), seen[i - 1].host,
		           seen[i - 1].place->line);
	}
	free(seen);
	return 0;
}

static int make_mirror(const struct conf_mirror *conf, struct arena *arena, struct diag *diag,
                       struct mirror *mirror)
{
	*mirror = (struct mirror){ .host = conf->host, .addrs_n = conf->addrs_n, .place = conf->place };
	mirror->country = country_from_text(conf->country);
	if (mirror->country == COUNTRY_UNKNOWN)
		diag_error(
		        diag, conf->place.file, conf->place.line,
		        "mirror %s: unknown country \"%s\"; write a two-letter ISO 3166 code such as \"DE\"",
		        conf->host, conf->country);
	if (conf->weight < 1 || conf->weight > WEIGHT_MAX)
		diag_error(diag, conf->place.file, conf->place.line,
		           "mirror %s: weight %lld is out of range; write 1 to %d (100 is usual)", conf->host,
		           (long long)conf->weight, WEIGHT_MAX);
	mirror->weight = (uint32_t)conf->weight;

	struct addr *addrs = arena_alloc(arena, conf->addrs_n * sizeof(*addrs));
	if (!addrs)
		return -ENOMEM;
	for (size_t i = 0; i < conf->addrs_n; i++) {
		addrs[i] = conf->addrs[i].addr;
		mirror->has_v4 |= addrs[i].family == 4;
		mirror->has_v6 |= addrs[i].family == 6;
		const char *why;
		char text[ADDR_TEXT_MAX];
		if (!addr_is_unicast(&addrs[i], &why))
			diag_error(
			        diag, conf->addrs[i].place.file, conf->addrs[i].place.line,
			        "mirror %s: address %s is %s; write a unicast address that clients can reach",
			        conf->host, addr_format(&addrs[i], text, sizeof(text)), why);
	}
	mirror->addrs = addrs;
	return 0;
}

static int make_regions(const struct conf_pool *conf, struct arena *arena, struct diag *diag,
                        struct pool *pool)
{
	pool->regions_n = conf->regions_n;
	pool->regions = arena_alloc(arena, (conf->regions_n + 1) * sizeof(*pool->regions));
	if (!pool->regions)
		return -ENOMEM;
	for (size_t i = 0; i < conf->regions_n; i++) {
		const struct conf_region *from = &conf->regions[i];
		pool->regions[i].name = from->name;
		for (size_t k = 0; k < from->countries_n; k++) {
			uint16_t country = country_from_text(from->countries[k]);
			if (country == COUNTRY_UNKNOWN) {
				diag_error(
				        diag, from->place.file, from->place.line,
				        "region %s: unknown country \"%s\"; write a two-letter ISO 3166 code",
				        from->name, from->countries[k]);
				continue;
			}
			/* UK and GB are one country, so a list may name both; two regions may not share one.
			 */
			for (size_t r = 0; r < i; r++) {
				if (pool->regions[r].has[country])
					diag_error(diag, from->place.file, from->place.line,
					           "region %s: country \"%s\" is already in region %s; a "
					           "country has one region",
					           from->name, from->countries[k], pool->regions[r].name);
			}
			pool->regions[i].has[country] = true;
		}
	}
	return 0;
}

static int make_neighbours(const struct conf_pool *conf, struct arena *arena, struct diag *diag,
                           struct pool *pool)
{
	for (size_t i = 0; i < conf->neighbours_n; i++) {
		const struct conf_neighbours *from = &conf->neighbours[i];
		uint16_t country = country_from_text(from->country);
		if (country == COUNTRY_UNKNOWN) {
			diag_error(diag, from->place.file, from->place.line,
			           "neighbours: unknown country \"%s\"; write a two-letter ISO 3166 code",
			           from->country);
			continue;
		}
		if (pool->near[country]) {
			diag_error(diag, from->place.file, from->place.line,
			           "neighbours: country \"%s\" has a list already; put all its neighbours "
			           "into one list",
			           from->country);
			continue;
		}
		uint16_t *near = arena_alloc(arena, (from->near_n + 1) * sizeof(*near));
		if (!near)
			return -ENOMEM;
		size_t n = 0;
		for (size_t k = 0; k < from->near_n; k++) {
			near[n] = country_from_text(from->near[k]);
			if (near[n] == COUNTRY_UNKNOWN || near[n] == country)
				diag_error(diag, from->place.file, from->place.line,
				           "neighbours of %s: \"%s\" is %s", from->country, from->near[k],
				           near[n] == country
				                   ? "the country itself; leave it out"
				                   : "no country; write a two-letter ISO 3166 code");
			else
				n++;
		}
		near[n] = COUNTRY_UNKNOWN;
		pool->near[country] = near;
	}
	return 0;
}

int pool_create(const struct conf_pool *conf, struct arena *arena, struct diag *diag, struct pool **ret_pool)
{
	size_t errors_n = diag->errors_n;
	struct pool *pool = arena_alloc(arena, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	pool->conf = conf;
	pool->mirrors_n = conf->mirrors_n;
	pool->mirrors = arena_alloc(arena, (conf->mirrors_n + 1) * sizeof(*pool->mirrors));
	int rc = pool->mirrors ? 0 : -ENOMEM;
	for (size_t i = 0; i < conf->mirrors_n && rc == 0; i++)
		rc = make_mirror(&conf->mirrors[i], arena, diag, &pool->mirrors[i]);
	if (rc == 0)
		rc = check_duplicates(conf, diag);
	if (rc == 0)
		rc = make_regions(conf, arena, diag, pool);
	if (rc == 0)
		rc = make_neighbours(conf, arena, diag, pool);
	if (rc < 0)
		return rc;
	if (diag->errors_n > errors_n)
		return -EINVAL;
	*ret_pool = pool;
	return 0;
}

int pool_find_region(const struct pool *pool, const char *name)
{
	for (size_t i = 0; i < pool->regions_n; i++) {
		if (strcmp(pool->regions[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

/* --- decisions --- */

/* A set of mirrors while a decision is made. */
struct choice {
	bool *in; /* by mirror */
	size_t n;
	size_t v4_n;
	size_t v6_n;
};

static void choose(const struct pool *pool, size_t i, struct choice *choice)
{
	if (choice->in[i])
		return;
	choice->in[i] = true;
	choice->n++;
	choice->v4_n += pool->mirrors[i].has_v4;
	choice->v6_n += pool->mirrors[i].has_v6;
}

static void choose_country(const struct pool *pool, uint16_t country, struct choice *choice)
{
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		if (pool->mirrors[i].country == country)
			choose(pool, i, choice);
	}
}

static void choose_region(const struct pool *pool, const struct region *region, struct choice *choice)
{
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		if (!region || region->has[pool->mirrors[i].country])
			choose(pool, i, choice);
	}
}

static int region_of(const struct pool *pool, uint16_t country)
{
	for (size_t i = 0; i < pool->regions_n; i++) {
		if (pool->regions[i].has[country])
			return (int)i;
	}
	return -1;
}

enum need { NEED_ANY, NEED_V4, NEED_V6 };

static bool is_enough(const struct pool *pool, const struct choice *choice, enum need need)
{
	size_t n = need == NEED_V4 ? choice->v4_n : need == NEED_V6 ? choice->v6_n : choice->n;
	return n >= pool->conf->min_mirrors && n > 0;
}

/*
 * Widen from the country until there are enough mirrors. Levels add up: the mirrors of a country that has too
 * few stay in, the neighbours help out.
 */
static void widen(const struct pool *pool, uint16_t country, enum need need, struct choice *choice,
                  struct pool_decision *decision)
{
	decision->level = POOL_LEVEL_COUNTRY;
	if (country != COUNTRY_UNKNOWN)
		choose_country(pool, country, choice);
	if (is_enough(pool, choice, need))
		return;
	decision->level = POOL_LEVEL_NEIGHBOUR;
	for (const uint16_t *near = pool->near[country]; near && *near; near++) {
		decision->neighbour = *near;
		choose_country(pool, *near, choice);
		if (is_enough(pool, choice, need))
			return;
	}
	decision->level = POOL_LEVEL_REGION;
	decision->region = region_of(pool, country);
	if (decision->region >= 0)
		choose_region(pool, &pool->regions[decision->region], choice);
	if (is_enough(pool, choice, need))
		return;
	decision->level = POOL_LEVEL_WORLD;
	choose_region(pool, NULL, choice);
}

/* A member with the addresses of only one family. */
static struct pool_member one_family(const struct mirror *mirror, uint8_t family, struct addr **addrs)
{
	struct pool_member member = { .addrs = *addrs, .weight = mirror->weight };
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		if (mirror->addrs[i].family == family)
			(*addrs)[member.addrs_n++] = mirror->addrs[i];
	}
	*addrs += member.addrs_n;
	return member;
}

/* The members: all addresses of the chosen mirrors, and of the others only the family they help out with. */
static int make_members(const struct pool *pool, const struct choice *chosen, const struct choice *helping,
                        uint8_t helping_family, struct pool_decision *decision)
{
	size_t addrs_n = 0;
	for (size_t i = 0; i < pool->mirrors_n; i++)
		addrs_n += pool->mirrors[i].addrs_n;
	decision->members = calloc(pool->mirrors_n + 1, sizeof(*decision->members));
	decision->addrs = helping ? calloc(addrs_n + 1, sizeof(*decision->addrs)) : NULL;
	if (!decision->members || (helping && !decision->addrs))
		return -ENOMEM;
	struct addr *free_addrs = decision->addrs;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		const struct mirror *mirror = &pool->mirrors[i];
		if (chosen->in[i])
			decision->members[decision->members_n++] = (struct pool_member){
				.addrs = mirror->addrs, .addrs_n = mirror->addrs_n, .weight = mirror->weight
			};
		else if (helping && helping->in[i])
			decision->members[decision->members_n++] =
			        one_family(mirror, helping_family, &free_addrs);
	}
	return 0;
}

int pool_decide_country(const struct pool *pool, uint16_t country, bool ipv6_only,
                        struct pool_decision *ret_decision)
{
	struct pool_decision decision = { .country = country, .region = -1 };
	struct choice chosen = { .in = calloc(pool->mirrors_n + 1, sizeof(bool)) };
	struct choice helping = { .in = calloc(pool->mirrors_n + 1, sizeof(bool)) };
	int rc = -ENOMEM;
	if (!chosen.in || !helping.in)
		goto out;
	widen(pool, country, ipv6_only ? NEED_V6 : NEED_ANY, &chosen, &decision);
	decision.level_v4 = decision.level;
	uint8_t help_family = 0;
	if (!ipv6_only && chosen.v4_n == 0)
		help_family = 4;
	else if (!ipv6_only && chosen.v6_n == 0 && pool->conf->borrow_ipv6)
		help_family = 6;
	if (help_family) {
		struct pool_decision wider = decision;
		widen(pool, country, help_family == 4 ? NEED_V4 : NEED_V6, &helping, &wider);
		if (help_family == 4)
			decision.level_v4 = wider.level;
	}
	rc = make_members(pool, &chosen, help_family ? &helping : NULL, help_family, &decision);
out:
	free(chosen.in);
	free(helping.in);
	if (rc < 0)
		pool_decision_fini(&decision);
	else
		*ret_decision = decision;
	return rc;
}

int pool_decide_region(const struct pool *pool, int region, struct pool_decision *ret_decision)
{
	struct pool_decision decision = { .level = POOL_LEVEL_REGION, .region = region };
	struct choice chosen = { .in = calloc(pool->mirrors_n + 1, sizeof(bool)) };
	if (!chosen.in)
		return -ENOMEM;
	choose_region(pool, &pool->regions[region], &chosen);
	if (!is_enough(pool, &chosen, NEED_ANY)) {
		decision.level = POOL_LEVEL_WORLD;
		choose_region(pool, NULL, &chosen);
	}
	decision.level_v4 = decision.level;
	int rc = make_members(pool, &chosen, NULL, 0, &decision);
	free(chosen.in);
	if (rc < 0)
		pool_decision_fini(&decision);
	else
		*ret_decision = decision;
	return rc;
}
