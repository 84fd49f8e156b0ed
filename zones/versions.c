#include "zones/versions.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct zones_version *zones__find_version(const struct zones *zones, const char *zone, const char *name)
{
	for (size_t i = 0; zones && i < zones->versions_n; i++) {
		if (strcmp(zones->versions[i].zone->name, zone) == 0 &&
		    strcmp(zones->versions[i].conf->name, name) == 0)
			return &zones->versions[i];
	}
	return NULL;
}

/* --- verifying --- */

static const struct feed *find_feed(const struct zones *zones, const char *pool)
{
	int number = pool ? zones_find_pool(zones, pool) : -1;
	return number < 0 ? NULL : zones->feeds[number].feed;
}

/* "not verified since 2026-11-21T07:00:00Z (1 h 2 min)" */
static void format_age(const struct zones_version *entry, struct version_clock clock, char *text, size_t cap)
{
	if (entry->version.verified_s == 0) {
		snprintf(text, cap, "never verified");
		return;
	}
	time_t verified = (time_t)entry->version.verified_s;
	struct tm utc;
	char stamp[40] = "?";
	if (gmtime_r(&verified, &utc))
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &utc);
	int64_t age_s = version_age_s(entry->conf, &entry->version, clock);
	char age[64];
	if (age_s < 60)
		snprintf(age, sizeof(age), "%" PRId64 " s", age_s);
	else if (age_s < 3600)
		snprintf(age, sizeof(age), "%" PRId64 " min", age_s / 60);
	else
		snprintf(age, sizeof(age), "%" PRId64 " h %" PRId64 " min", age_s / 3600, age_s / 60 % 60);
	snprintf(text, cap, "not verified since %s (%s)", stamp, age);
}

/* Once an episode, and again when it gets worse. */
static void tell_freshness(struct zones_version *entry, struct version_clock clock, struct diag *diag)
{
	const struct conf_version *conf = entry->conf;
	enum version_freshness freshness = version_freshness(conf, &entry->version, clock);
	enum version_freshness told = entry->version.told;
	entry->version.told = freshness;
	if (freshness == VERSION_FRESH && told != VERSION_FRESH)
		diag_info(diag, "version record %s of %s: verified again", conf->name, entry->zone->name);
	if (freshness <= told)
		return;
	char age[128];
	format_age(entry, clock, age, sizeof(age));
	diag_error(diag, NULL, 0, "version record %s of %s: %s%s; look after %s%s", conf->name,
	           entry->zone->name, age, freshness == VERSION_REFUSED ? ", now answered with SERVFAIL" : "",
	           conf->feed        ? "the feed of pool "
	           : conf->directory ? ""
	                             : "the server",
	           conf->feed        ? conf->feed
	           : conf->directory ? conf->directory
	                             : "");
}

int zones__verify_version(const struct zones *zones, struct zones_version *entry, const json_t *kept,
                          struct version_clock clock, struct diag *diag, bool *ret_names_changed)
{
	int rc = version_verify(entry->conf, &entry->version, find_feed(zones, entry->conf->feed), clock,
	                        diag, &entry->version, ret_names_changed);
	if (kept)
		(void)zones__restore_version(entry, kept, clock, diag);
	tell_freshness(entry, clock, diag);
	return rc;
}

int zones_verify_versions(struct zones *zones, struct version_clock clock, struct diag *diag,
                          bool *ret_names_changed)
{
	int rc = 0;
	*ret_names_changed = false;
	for (size_t i = 0; i < zones->versions_n; i++) {
		struct zones_version *entry = &zones->versions[i];
		bool changed = false;
		if (zones__verify_version(zones, entry, NULL, clock, diag, &changed) < 0)
			rc = -EINVAL;
		*ret_names_changed |= changed && entry->conf->database_names;
	}
	return rc;
}

uint64_t zones_versions_next_s(const struct zones *zones, struct version_clock clock)
{
	uint64_t next_s = 0;
	for (size_t i = 0; i < zones->versions_n; i++) {
		uint64_t at_s = version_next_s(zones->versions[i].conf, &zones->versions[i].version, clock);
		if (at_s && (next_s == 0 || at_s < next_s))
			next_s = at_s;
	}
	return next_s;
}

/* --- kept over a restart --- */

static json_t *entry_to_json(const struct zones_version *entry)
{
	json_t *databases = json_object();
	for (size_t i = 0; databases && i < entry->version.databases_n; i++) {
		const struct version_database *database = &entry->version.databases[i];
		if (database->from_source &&
		    json_object_set_new(databases, database->name, json_integer(database->version)) < 0) {
			json_decref(databases);
			return NULL;
		}
	}
	return json_pack("{s:s, s:s, s:I, s:o}", "zone", entry->zone->name, "name", entry->conf->name,
	                 "verified", (json_int_t)entry->version.verified_s, "databases", databases);
}

json_t *zones_versions_to_json(const struct zones *zones)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < zones->versions_n; i++) {
		if (json_array_append_new(list, entry_to_json(&zones->versions[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* One element of the list; of another record it is left alone. */
static int restore_from(struct zones_version *entry, const json_t *json, struct version_clock clock)
{
	const char *zone = json_string_value(json_object_get(json, "zone"));
	const char *name = json_string_value(json_object_get(json, "name"));
	const json_t *verified = json_object_get(json, "verified");
	json_t *databases = json_object_get(json, "databases");
	if (!zone || !name || !json_is_integer(verified) || json_integer_value(verified) < 0 ||
	    !json_is_object(databases))
		return -EINVAL;
	if (strcmp(zone, entry->zone->name) != 0 || strcmp(name, entry->conf->name) != 0 ||
	    (!entry->conf->directory && !entry->conf->feed))
		return 0;
	struct version kept = { .verified_s = (uint64_t)json_integer_value(verified) };
	const char *database;
	const json_t *value;
	json_object_foreach(databases, database, value)
	{
		json_int_t number = json_is_integer(value) ? json_integer_value(value) : 0;
		if (number < 1 || number > UINT32_MAX ||
		    version_set_number(&kept, database, (uint32_t)number) < 0)
			return -EINVAL;
	}
	version_restore(&entry->version, &kept, clock);
	return 0;
}

int zones__restore_version(struct zones_version *entry, const json_t *list, struct version_clock clock,
                           struct diag *diag)
{
	int rc = json_is_array(list) ? 0 : -EINVAL;
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (restore_from(entry, json_array_get(list, i), clock) < 0)
			rc = -EINVAL;
	}
	if (rc < 0)
		diag_warning(
		        diag, NULL, 0,
		        "version record %s of %s: the version numbers kept from the last run are damaged; "
		        "what is wrong in them is left out",
		        entry->conf->name, entry->zone->name);
	return rc;
}
