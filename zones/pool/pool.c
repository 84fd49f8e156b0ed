#include "zones/pool/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "zones/pool/country.h"

#define WEIGHT_MAX 1000000 /* times 1000 is what a list is made of: 32 bits */

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
	mirror->windows = conf->windows;
	mirror->windows_n = conf->windows_n;
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

static int sort_by_country(struct arena *arena, struct pool *pool)
{
	uint32_t next[COUNTRY_N];
	pool->by_country = arena_alloc(arena, (pool->mirrors_n + 1) * sizeof(*pool->by_country));
	if (!pool->by_country)
		return -ENOMEM;
	for (size_t i = 0; i < pool->mirrors_n; i++)
		pool->country_at[pool->mirrors[i].country + 1]++;
	for (size_t country = 0; country < COUNTRY_N; country++) {
		next[country] = pool->country_at[country];
		pool->country_at[country + 1] += pool->country_at[country];
	}
	for (size_t i = 0; i < pool->mirrors_n; i++)
		pool->by_country[next[pool->mirrors[i].country]++] = (uint32_t)i;
	return 0;
}

static int make_feed_keys(const struct conf_pool *conf, struct arena *arena, struct diag *diag,
                          struct pool *pool)
{
	pool->feed_keys_n = conf->feed_keys_n;
	pool->feed_keys = arena_alloc(arena, (conf->feed_keys_n + 1) * sizeof(*pool->feed_keys));
	if (!pool->feed_keys)
		return -ENOMEM;
	for (size_t i = 0; i < conf->feed_keys_n; i++) {
		const char *why;
		/* Not the whole text: it may be a secret key by mistake. */
		if (minisign_key_parse(conf->feed_keys[i], &pool->feed_keys[i], &why) < 0)
			diag_error(diag, conf->place.file, conf->place.line,
			           "pool %s: feed-key %zu (\"%.12s...\") %s", conf->name, i + 1,
			           conf->feed_keys[i], why);
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
		rc = sort_by_country(arena, pool);
	if (rc == 0)
		rc = check_duplicates(conf, diag);
	if (rc == 0)
		rc = make_regions(conf, arena, diag, pool);
	if (rc == 0)
		rc = make_neighbours(conf, arena, diag, pool);
	if (rc == 0)
		rc = make_feed_keys(conf, arena, diag, pool);
	if (rc < 0)
		return rc;
	if (diag->errors_n > errors_n)
		return -EINVAL;
	*ret_pool = pool;
	return 0;
}
