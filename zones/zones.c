#include "zones/zones.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/answer.h"
#include "answer/store_build.h"
#include "base/grow.h"
#include "wire/name.h"
#include "wire/wire.h"
#include "zones/feeds.h"
#include "zones/keep.h"
#include "zones/versions.h"
#include "zones/pool/country.h"
#include "zones/zone_file.h"

/* State of one load. */
struct load {
	struct zones *zones;
	struct store_builder *builder;
	struct diag *diag;
	struct zone_records *records; /* one per zone: the builder borrows from them */
	struct grow slots;            /* struct zones_slot */
	json_t *kept_versions;        /* of before a restart; NULL = there are none, or this is no start */
	/* The zone at hand: */
	const struct conf_zone *zone;
	int zone_number;
	uint8_t origin[WIRE_NAME_MAX];
	size_t origin_len;
};

void zones_destroy(struct zones *zones)
{
	if (!zones)
		return;
	answer_store_unref(zones->store);
	override_set_unref(zones->overrides);
	json_decref(zones->news);
	for (size_t i = 0; zones->feeds && i < zones->conf->pools_n; i++) {
		pool_state_fini(&zones->feeds[i].state);
		feed_unref(zones->feeds[i].feed);
		feed_unref(zones->feeds[i].held);
		free(zones->feeds[i].outs);
	}
	free(zones->slots);
	arena_fini(&zones->arena);
	free(zones);
}

/* --- names of pools and version records --- */

/* A name pattern with its variable replaced, as an owner name in the zone. Returns its length or -EINVAL
 * (told). */
static int expand_name(struct load *load, const struct conf_place *place, const char *pattern,
                       const char *variable, const char *value, uint8_t name[WIRE_NAME_MAX])
{
	char text[512];
	const char *at = variable ? strstr(pattern, variable) : NULL;
	if (at)
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - pattern), pattern, value,
		         at + strlen(variable));
	else
		snprintf(text, sizeof(text), "%s", pattern);
	int len = strcmp(text, "@") == 0 ? -1 : name_from_text(text, load->origin, load->origin_len, name);
	if (strcmp(text, "@") == 0) {
		memcpy(name, load->origin, load->origin_len);
		len = (int)load->origin_len;
	}
	if (len < 0) {
		diag_error(load->diag, place->file, place->line,
		           "\"%s\" gives the name \"%s\", which is no domain name inside zone %s", pattern,
		           text, load->zone->name);
		return -EINVAL;
	}
	name_lower(name, (size_t)len);
	if (!name_is_under(name, (size_t)len, load->origin, load->origin_len)) {
		diag_error(load->diag, place->file, place->line,
		           "\"%s\" is not inside zone %s; write it without the zone's name", text,
		           load->zone->name);
		return -EINVAL;
	}
	return len;
}

/* One name with a slot of its own, for the types given (0 = no second type). */
static int add_name(struct load *load, const struct conf_place *place, const uint8_t *name, int name_len,
                    enum store_source source, uint16_t type, uint16_t type2, struct zones_slot slot)
{
	uint32_t number = (uint32_t)load->slots.n;
	struct zones_slot *entry = grow_add(&load->slots, 1);
	if (!entry)
		return -ENOMEM;
	char text[NAME_TEXT_MAX];
	*entry = slot;
	entry->name = arena_strdup(&load->zones->arena, name_to_text(name, text));
	if (!entry->name)
		return -ENOMEM;
	int rc = store_builder_add_dynamic(load->builder, load->zone_number, name, (size_t)name_len, type,
	                                   source, number, place->file, place->line);
	if (rc == 0 && type2)
		rc = store_builder_add_dynamic(load->builder, load->zone_number, name, (size_t)name_len,
		                               type2, source, number, place->file, place->line);
	return rc;
}

static int add_plain_names(struct load *load, const struct conf_zone_pool *use, const char *const *patterns,
                           size_t patterns_n, struct zones_slot slot)
{
	for (size_t i = 0; i < patterns_n; i++) {
		uint8_t name[WIRE_NAME_MAX];
		int len = expand_name(load, &use->place, patterns[i], NULL, NULL, name);
		if (len < 0)
			continue;
		int rc =
		        add_name(load, &use->place, name, len, STORE_POOL, WIRE_TYPE_A, WIRE_TYPE_AAAA, slot);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int add_country_names(struct load *load, const struct conf_zone_pool *use, const char *const *patterns,
                             size_t patterns_n, struct zones_slot slot)
{
	for (size_t i = 0; i < patterns_n; i++) {
		for (uint16_t country = 1; country < COUNTRY_N; country++) {
			if (!country_is_tld(country))
				continue;
			char code[3];
			country_to_code(country, code);
			uint8_t name[WIRE_NAME_MAX];
			int len = expand_name(load, &use->place, patterns[i], "%c", code, name);
			if (len < 0)
				break; /* one message for the pattern will do */
			slot.country = country_canonical(country);
			bool ipv6_only = slot.kind == ZONES_COUNTRY_IPV6;
			int rc = add_name(load, &use->place, name, len, STORE_POOL,
			                  ipv6_only ? WIRE_TYPE_AAAA : WIRE_TYPE_A,
			                  ipv6_only ? 0 : WIRE_TYPE_AAAA, slot);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int add_region_names(struct load *load, const struct conf_zone_pool *use, struct zones_slot slot)
{
	const struct pool *pool = load->zones->pools[slot.pool];
	for (size_t i = 0; i < use->region_n; i++) {
		for (size_t r = 0; r < pool->regions_n; r++) {
			uint8_t name[WIRE_NAME_MAX];
			int len = expand_name(load, &use->place, use->region[i], "%r", pool->regions[r].name,
			                      name);
			if (len < 0)
				continue;
			slot.region = (int)r;
			int rc = add_name(load, &use->place, name, len, STORE_POOL, WIRE_TYPE_A,
			                  WIRE_TYPE_AAAA, slot);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int add_pool_names(struct load *load, const struct conf_zone_pool *use)
{
	const struct conf *conf = load->zones->conf;
	size_t pool = 0;
	while (pool < conf->pools_n && strcmp(conf->pools[pool].name, use->pool) != 0)
		pool++;
	if (pool == conf->pools_n) {
		diag_error(
		        load->diag, use->place.file, use->place.line,
		        "zone %s: there is no pool \"%s\"; add it to the list \"pools\" or correct the name",
		        load->zone->name, use->pool);
		return 0;
	}
	if (!load->zones->pools[pool])
		return 0; /* its own mistakes have been told */

	struct zones_slot slot = { .pool = pool, .region = -1 };
	slot.kind = ZONES_WORLD;
	int rc = add_plain_names(load, use, use->world, use->world_n, slot);
	slot.kind = ZONES_NEAREST;
	if (rc == 0)
		rc = add_plain_names(load, use, use->nearest, use->nearest_n, slot);
	slot.kind = ZONES_COUNTRY;
	if (rc == 0)
		rc = add_country_names(load, use, use->country, use->country_n, slot);
	slot.kind = ZONES_COUNTRY_IPV6;
	if (rc == 0)
		rc = add_country_names(load, use, use->country_ipv6, use->country_ipv6_n, slot);
	slot.kind = ZONES_COUNTRY_ALL;
	if (rc == 0)
		rc = add_country_names(load, use, use->country_all, use->country_all_n, slot);
	slot.kind = ZONES_REGION;
	if (rc == 0)
		rc = add_region_names(load, use, slot);
	for (size_t i = 0; i < use->ping_n && rc == 0; i++) {
		uint8_t name[WIRE_NAME_MAX];
		int len = expand_name(load, &use->place, use->ping[i], NULL, NULL, name);
		if (len > 0)
			rc = store_builder_add_ping(load->builder, load->zone_number, name, (size_t)len);
	}
	return rc;
}

/* The record's numbers must be there from the first answer on: an empty field breaks every client. */
static void check_numbers(struct load *load, const struct zones_version *entry)
{
	for (size_t i = 0; i < entry->version.databases_n; i++) {
		const struct version_database *database = &entry->version.databases[i];
		if (database->version == 0)
			diag_error(load->diag, entry->conf->place.file, entry->conf->place.line,
			           "version record %s: no version of database \"%s\"; put its .cvd file into "
			           "the directory or set \"%s\" to a number",
			           entry->conf->name, database->name, database->name);
	}
}

static int add_version_names(struct load *load, const struct conf_version *conf, const struct zones *previous,
                             struct version_clock clock)
{
	struct zones *zones = load->zones;
	size_t number = zones->versions_n++;
	struct zones_version *entry = &zones->versions[number];
	*entry = (struct zones_version){ .zone = load->zone, .conf = conf };
	const struct zones_version *before = zones__find_version(previous, load->zone->name, conf->name);
	if (before)
		entry->version = before->version;
	bool names_changed;
	struct diag told;
	diag_init(&told);
	int verified = zones__verify_version(zones, entry, load->kept_versions, clock, &told, &names_changed);
	/* What is wrong with the source is no reason to refuse a configuration that can be served. */
	for (size_t i = 0; i < told.messages_n; i++)
		diag_add(load->diag,
		         told.messages[i].level == DIAG_ERROR ? DIAG_WARNING : told.messages[i].level, NULL,
		         0, "%s", told.messages[i].text);
	diag_fini(&told);
	if (!conf->feed)
		check_numbers(load, entry);
	if (verified < 0 && entry->version.verified_s == 0 && !conf->feed)
		diag_error(load->diag, conf->place.file, conf->place.line,
		           "version record %s: its directory could not be verified, and there is no earlier "
		           "state to serve",
		           conf->name);

	uint8_t name[WIRE_NAME_MAX];
	int len = expand_name(load, &conf->place, conf->name, NULL, NULL, name);
	if (len < 0)
		return 0;
	struct zones_slot slot = { .kind = ZONES_VERSION, .version = number, .region = -1 };
	int rc = add_name(load, &conf->place, name, len, STORE_TEXT, WIRE_TYPE_TXT, 0, slot);
	for (size_t i = 0; conf->database_names && i < entry->version.databases_n && rc == 0; i++) {
		uint8_t database[WIRE_NAME_MAX];
		int database_len = expand_name(load, &conf->place, conf->database_names, "%d",
		                               entry->version.databases[i].name, database);
		if (database_len < 0 || name_equal(name, (size_t)len, database, (size_t)database_len))
			continue;
		slot.kind = ZONES_VERSION_DATABASE;
		slot.database = arena_strdup(&zones->arena, entry->version.databases[i].name);
		rc = slot.database ? add_name(load, &conf->place, database, database_len, STORE_TEXT,
		                              WIRE_TYPE_TXT, 0, slot)
		                   : -ENOMEM;
	}
	return rc;
}

/* --- whoami --- */

static int add_whoami(struct load *load, const struct conf_whoami *conf)
{
	static const struct prefix loopback[] = {
		{ .addr = { .family = 4, .bytes = { 127 } }, .len = 8 },
		{ .addr = { .family = 6, .bytes = { [15] = 1 } }, .len = 128 },
	};
	const struct prefix *allow = conf->allow_n ? conf->allow : loopback;
	size_t allow_n = conf->allow_n ? conf->allow_n : sizeof(loopback) / sizeof(loopback[0]);
	uint8_t name[WIRE_NAME_MAX];
	int len = expand_name(load, &conf->place, conf->name, NULL, NULL, name);
	if (len < 0)
		return 0;
	return store_builder_add_whoami(load->builder, load->zone_number, name, (size_t)len, allow, allow_n,
	                                conf->place.file, conf->place.line);
}

/* --- zone files --- */

static int load_zone(struct load *load, const struct zones *previous, struct version_clock clock,
                     struct zone_records *records)
{
	const struct conf_zone *zone = load->zone;
	int len = name_from_text(zone->name, NULL, 0, load->origin);
	if (len < 0) {
		diag_error(load->diag, zone->place.file, zone->place.line,
		           "zone name \"%s\" is no domain name; write something like \"clamav.net\"",
		           zone->name);
		return 0;
	}
	load->origin_len = (size_t)len;
	name_lower(load->origin, load->origin_len);
	load->zone_number = store_builder_add_zone(load->builder, load->origin, load->origin_len);
	if (load->zone_number == -EEXIST) {
		diag_error(load->diag, zone->place.file, zone->place.line, "zone %s is there twice; keep one",
		           zone->name);
		return 0;
	}
	if (load->zone_number == -EOVERFLOW) {
		diag_error(load->diag, zone->place.file, zone->place.line,
		           "zone %s is one too many: a server has %d zones at most", zone->name,
		           STORE_ZONES_MAX);
		return 0;
	}
	if (load->zone_number < 0)
		return load->zone_number;

	size_t errors_n = load->diag->errors_n;
	int rc = zone_file_load(zone->file, load->origin, load->origin_len,
	                        load->zones->conf->max_zone_records, load->diag, records);
	if (rc == 0)
		rc = zone_check(zone->file, load->origin, load->origin_len, records, load->diag);
	if (rc < 0 && load->diag->errors_n == errors_n) {
		if (rc == -ENOMEM)
			return rc;
		diag_error(load->diag, zone->place.file, zone->place.line, "zone %s: cannot load %s: %s",
		           zone->name, zone->file, strerror(-rc));
	}
	rc = 0;
	for (size_t i = 0; i < records->records_n && rc == 0 && load->diag->errors_n == errors_n; i++) {
		const struct zone_record *record = &records->records[i];
		rc = store_builder_add_record(load->builder, load->zone_number, record->owner,
		                              record->owner_len, record->type, record->ttl_s, record->rdata,
		                              record->rdata_len, record->file, record->line);
	}
	load->zones->records_n += records->records_n;
	for (size_t i = 0; i < zone->pools_n && rc == 0; i++)
		rc = add_pool_names(load, &zone->pools[i]);
	for (size_t i = 0; i < zone->versions_n && rc == 0; i++)
		rc = add_version_names(load, &zone->versions[i], previous, clock);
	if (rc == 0 && zone->whoami.name)
		rc = add_whoami(load, &zone->whoami);
	return rc;
}

static int load_pools(struct load *load)
{
	struct zones *zones = load->zones;
	const struct conf *conf = zones->conf;
	zones->pools = arena_alloc(&zones->arena, (conf->pools_n + 1) * sizeof(*zones->pools));
	zones->feeds = arena_alloc(&zones->arena, (conf->pools_n + 1) * sizeof(*zones->feeds));
	if (!zones->pools || !zones->feeds)
		return -ENOMEM;
	for (size_t i = 0; i < conf->pools_n; i++) {
		int rc = pool_create(&conf->pools[i], &zones->arena, load->diag, &zones->pools[i]);
		if (rc == -ENOMEM)
			return rc;
	}
	return 0;
}

/* --- numbers of mirrors --- */

struct numbered {
	const char *host;
	const char *pool;
	uint16_t number;
};

static int compare_numbered(const void *a, const void *b)
{
	const struct numbered *x = a;
	const struct numbered *y = b;
	int order = strcmp(x->host, y->host);
	return order ? order : strcmp(x->pool, y->pool);
}

/*
 * Counters of a mirror go on over reloads: its number is found again by its host and pool. Mirrors past the
 * number of counters share the last one.
 */
static int number_mirrors(struct zones *zones, const struct zones *previous)
{
	size_t known_n = previous ? previous->mirror_hosts_n : 0;
	size_t most = known_n;
	for (size_t i = 0; i < zones->conf->pools_n; i++)
		most += zones->conf->pools[i].mirrors_n;
	struct numbered *known = calloc(known_n + 1, sizeof(*known));
	zones->mirror_hosts = arena_alloc(&zones->arena, (most + 1) * sizeof(*zones->mirror_hosts));
	zones->mirror_pools = arena_alloc(&zones->arena, (most + 1) * sizeof(*zones->mirror_pools));
	int rc = known && zones->mirror_hosts && zones->mirror_pools ? 0 : -ENOMEM;
	for (size_t i = 0; i < known_n && rc == 0; i++) {
		zones->mirror_hosts[i] = arena_strdup(&zones->arena, previous->mirror_hosts[i]);
		zones->mirror_pools[i] = arena_strdup(&zones->arena, previous->mirror_pools[i]);
		known[i] = (struct numbered){ zones->mirror_hosts[i], zones->mirror_pools[i], (uint16_t)i };
		rc = known[i].host && known[i].pool ? 0 : -ENOMEM;
	}
	zones->mirror_hosts_n = known_n;
	if (rc == 0 && known_n)
		qsort(known, known_n, sizeof(*known), compare_numbered);
	for (size_t i = 0; i < zones->conf->pools_n && rc == 0; i++) {
		for (size_t k = 0; k < zones->pools[i]->mirrors_n; k++) {
			struct mirror *mirror = &zones->pools[i]->mirrors[k];
			struct numbered wanted = { mirror->host, zones->conf->pools[i].name, 0 };
			const struct numbered *found =
			        known_n ? bsearch(&wanted, known, known_n, sizeof(*known), compare_numbered)
			                : NULL;
			if (found) {
				mirror->number = found->number;
			} else if (zones->mirror_hosts_n < ANSWER_MIRRORS_N - 1) {
				mirror->number = (uint16_t)zones->mirror_hosts_n;
				zones->mirror_pools[zones->mirror_hosts_n] = wanted.pool;
				zones->mirror_hosts[zones->mirror_hosts_n++] = mirror->host;
			} else {
				mirror->number = ANSWER_MIRRORS_N - 1;
			}
		}
	}
	free(known);
	return rc;
}

int zones_number_names(struct zones *zones, const struct zones_mirror_name *names, size_t n,
                       uint16_t *ret_numbers)
{
	size_t known_n = zones->mirror_hosts_n;
	struct numbered *known = calloc(known_n + 1, sizeof(*known));
	const char **hosts = arena_alloc(&zones->arena, (known_n + n + 1) * sizeof(*hosts));
	const char **pools = arena_alloc(&zones->arena, (known_n + n + 1) * sizeof(*pools));
	int rc = known && hosts && pools ? 0 : -ENOMEM;
	for (size_t i = 0; i < known_n && rc == 0; i++) {
		hosts[i] = zones->mirror_hosts[i];
		pools[i] = zones->mirror_pools[i];
		known[i] = (struct numbered){ hosts[i], pools[i], (uint16_t)i };
	}
	if (rc == 0 && known_n)
		qsort(known, known_n, sizeof(*known), compare_numbered);
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct numbered wanted = { names[i].host, names[i].pool, 0 };
		const struct numbered *found =
		        known_n ? bsearch(&wanted, known, known_n, sizeof(*known), compare_numbered) : NULL;
		size_t number = found ? found->number : zones->mirror_hosts_n;
		ret_numbers[i] = (uint16_t)(number < ANSWER_MIRRORS_N ? number : ANSWER_MIRRORS_N - 1);
		if (found || number >= ANSWER_MIRRORS_N - 1)
			continue;
		hosts[number] = arena_strdup(&zones->arena, names[i].host);
		pools[number] = arena_strdup(&zones->arena, names[i].pool);
		rc = hosts[number] && pools[number] ? 0 : -ENOMEM;
		zones->mirror_hosts_n += rc == 0;
	}
	if (rc == 0) {
		zones->mirror_hosts = hosts;
		zones->mirror_pools = pools;
	} else {
		zones->mirror_hosts_n = known_n;
	}
	free(known);
	return rc;
}

int zones_load(const struct conf *conf, const struct zones *previous, struct version_clock clock,
               struct diag *diag, struct zones **ret_zones)
{
	struct zones *zones = calloc(1, sizeof(*zones));
	struct load load = { .zones = zones, .diag = diag, .builder = store_builder_create() };
	load.records = calloc(conf->zones_n + 1, sizeof(*load.records));
	grow_init(&load.slots, sizeof(struct zones_slot));
	size_t errors_n = diag->errors_n;
	size_t loaded_n = 0;
	int rc = -ENOMEM;
	if (!zones || !load.builder || !load.records)
		goto out;
	arena_init(&zones->arena);
	zones->conf = conf;
	size_t versions_n = 0;
	for (size_t i = 0; i < conf->zones_n; i++)
		versions_n += conf->zones[i].versions_n;
	zones->versions = arena_alloc(&zones->arena, (versions_n + 1) * sizeof(*zones->versions));
	rc = zones->versions ? load_pools(&load) : -ENOMEM;
	/* Before the zones: version records may be made of what a feed says. */
	if (rc == 0 && diag->errors_n == errors_n)
		rc = zones_carry_feeds(zones, previous, clock.now_s, diag);
	if (rc == 0 && !previous && conf->state_dir)
		load.kept_versions = keep_read_versions(conf->state_dir, diag);
	for (; loaded_n < conf->zones_n && rc == 0; loaded_n++) {
		load.zone = &conf->zones[loaded_n];
		rc = load_zone(&load, previous, clock, &load.records[loaded_n]);
	}
	if (rc == 0 && diag->errors_n > errors_n)
		rc = -EINVAL;
	if (rc == 0)
		rc = number_mirrors(zones, previous);
	if (rc == 0)
		rc = store_build(load.builder, diag, &zones->store);
	if (rc < 0)
		goto out;
	zones->slots_n = load.slots.n;
	zones->slots = grow_take(&load.slots);
	zones->name_states = arena_alloc(&zones->arena, (zones->slots_n + 1) * sizeof(*zones->name_states));
	zones->news = json_array();
	rc = zones->name_states && zones->news ? 0 : -ENOMEM;
	if (rc < 0)
		goto out;
	*ret_zones = zones;
	zones = NULL;
out:
	for (size_t i = 0; load.records && i < loaded_n; i++)
		zone_records_fini(&load.records[i]);
	free(load.records);
	json_decref(load.kept_versions);
	grow_fini(&load.slots);
	store_builder_destroy(load.builder);
	zones_destroy(zones);
	return rc;
}
