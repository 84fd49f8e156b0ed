#include "load/load_geo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "geo/geo_guard.h"
#include "zones/pool/country.h"

#define DAY_S 86400
/* Two writes within a tick of the file system's clock leave the same stamp; a tick is 10 ms at most. */
#define STAMP_SETTLED_NS 20000000
#define STAMP_WAITS_MAX  5

/* --- stamps --- */

static struct load_stamp stamp_of(const char *path)
{
	struct load_stamp stamp = { 0 };
	struct stat st;
	if (path && stat(path, &st) == 0) {
		stamp.device = st.st_dev;
		stamp.inode = st.st_ino;
		stamp.size = st.st_size;
		stamp.modified = st.st_mtim;
		stamp.changed = st.st_ctim;
	}
	return stamp;
}

static void stamps_of(const struct conf_geo *conf, struct load_stamp ret_stamps[2])
{
	ret_stamps[0] = stamp_of(conf->database);
	ret_stamps[1] = stamp_of(conf->database_ipv6);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_stamps(const struct load_stamp a[2], const struct load_stamp b[2])
{
	for (unsigned i = 0; i < 2; i++) {
		if (a[i].device != b[i].device || a[i].inode != b[i].inode || a[i].size != b[i].size ||
		    !same_time(&a[i].modified, &b[i].modified) || !same_time(&a[i].changed, &b[i].changed))
			return false;
	}
	return true;
}

/* How long until a further write must show in the stamp; 0 = it would now. A clock that went back does not
 * count. */
static int64_t unsettled_ns(const struct load_stamp *stamp)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (stamp->inode == 0 || now.tv_sec < stamp->changed.tv_sec || now.tv_sec - stamp->changed.tv_sec > 1)
		return 0;
	int64_t age_ns = (now.tv_sec - stamp->changed.tv_sec) * INT64_C(1000000000) + now.tv_nsec -
	                 stamp->changed.tv_nsec;
	return age_ns >= 0 && age_ns < STAMP_SETTLED_NS ? STAMP_SETTLED_NS - age_ns : 0;
}

/* The stamps from which a file written to later differs for sure. Never called on the query path. */
static void settle_stamps(const struct conf_geo *conf, struct load_stamp ret_stamps[2])
{
	for (unsigned i = 0; i < STAMP_WAITS_MAX; i++) {
		stamps_of(conf, ret_stamps);
		int64_t wait_ns = unsettled_ns(&ret_stamps[0]);
		int64_t other_ns = unsettled_ns(&ret_stamps[1]);
		if (other_ns > wait_ns)
			wait_ns = other_ns;
		if (wait_ns == 0)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = (long)wait_ns }, NULL);
	}
}

/* --- configurations --- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_files(const struct conf_geo *a, const struct conf_geo *b)
{
	return same_text(a->database, b->database) && same_text(a->database_ipv6, b->database_ipv6);
}

static bool same_reading(const struct conf_geo *a, const struct conf_geo *b)
{
	if (!same_text(a->country_path, b->country_path) || a->nets_n != b->nets_n)
		return false;
	for (size_t i = 0; i < a->nets_n; i++) {
		if (memcmp(&a->nets[i].prefix, &b->nets[i].prefix, sizeof(a->nets[i].prefix)) != 0 ||
		    strcmp(a->nets[i].country, b->nets[i].country) != 0)
			return false;
	}
	return true;
}

/* --- loading --- */

/** A table, what is known of it, and the files it was made of. */
struct table {
	struct geo_map *map;
	struct mmdb_load_info info;
	struct load_stamp stamps[2];
};

static int check_table(const struct conf_geo *conf, const struct geo_map *old, const struct geo_map *new,
                       struct diag *diag)
{
	struct geo_canary *canaries = calloc(conf->canaries_n + 1, sizeof(*canaries));
	if (!canaries)
		return -ENOMEM;
	for (size_t i = 0; i < conf->canaries_n; i++) {
		canaries[i].addr = conf->canaries[i].addr;
		canaries[i].country = country_canonical(country_from_code(conf->canaries[i].country));
		canaries[i].file = conf->canaries[i].place.file;
		canaries[i].line = conf->canaries[i].place.line;
	}
	int rc = geo_guard_check(old, new, canaries, conf->canaries_n, conf->max_drift_percent * 10,
	                         conf->database, diag);
	free(canaries);
	return rc;
}

/* Read the files, and check what is in them; old may be NULL. Stamps are those from before the files were
 * read. */
static int table_load(const struct conf_geo *conf, const struct geo_map *old, struct diag *diag,
                      struct table *table)
{
	struct mmdb_net *nets = calloc(conf->nets_n + 1, sizeof(*nets));
	if (!nets)
		return -ENOMEM;
	for (size_t i = 0; i < conf->nets_n; i++) {
		nets[i].prefix = conf->nets[i].prefix;
		nets[i].country = country_canonical(country_from_code(conf->nets[i].country));
	}
	struct mmdb_load_options options = { .path = conf->database,
		                             .path_ipv6 = conf->database_ipv6,
		                             .country_path = conf->country_path,
		                             .nets = nets,
		                             .nets_n = conf->nets_n };
	int rc = mmdb_load(&options, diag, &table->info, &table->map);
	free(nets);
	if (rc < 0)
		return rc;
	rc = check_table(conf, old, table->map, diag);
	if (rc < 0) {
		geo_map_unref(table->map);
		table->map = NULL;
	}
	return rc;
}

static const char *format_built(uint64_t built_s, char *text, size_t cap)
{
	time_t built = (time_t)built_s;
	struct tm utc;
	if (built_s > INT64_MAX / 2 || !gmtime_r(&built, &utc) ||
	    strftime(text, cap, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		return "unknown";
	return text;
}

static void put_in_use(struct load *load, const struct table *table)
{
	geo_map_unref(load->geo);
	load->geo = table->map;
	load->geo_info = table->info;
	memcpy(load->geo_stamp, table->stamps, sizeof(load->geo_stamp));
	load->geo_is_refused = false;
	load->geo_is_outdated = false;
	load->geo_age_told_s = 0;
}

void load__geo_tell(const struct load *load, struct diag *diag)
{
	struct geo_map_size size;
	char built[32];
	geo_map_size(load->geo, &size);
	diag_info(diag, "geo database in use: %s built=%s ranges=%zu+%zu took=%" PRIu32 "ms",
	          load->geo_info.database_type, format_built(load->geo_info.built_s, built, sizeof(built)),
	          size.ranges4, size.ranges6, load->geo_info.load_ms);
}

static void tell_as_warnings(const struct diag *told, struct diag *diag)
{
	for (size_t i = 0; i < told->messages_n; i++)
		diag_warning(diag, NULL, 0, "%s", told->messages[i].text);
}

/* A file for which there was no memory is not to blame: it is tried again. */
static void refuse(struct load *load, const struct load_stamp stamps[2], int rc, struct diag *told,
                   struct diag *diag)
{
	const struct conf_geo *conf = &load->conf->geo;
	char built[32];
	if (told->messages_n == 0)
		diag_error(told, conf->database, 0, "cannot load it: %s", strerror(-rc));
	tell_as_warnings(told, diag);
	diag_warning(diag, conf->database, 0, "refused; the geo database built %s stays in use%s",
	             format_built(load->geo_info.built_s, built, sizeof(built)),
	             load->geo_is_outdated ? ", without the changes of nets and country-path" : "");
	memcpy(load->geo_refused, stamps, sizeof(load->geo_refused));
	load->geo_is_refused = rc != -ENOMEM;
}

static void tell_age(struct load *load, time_t now_s, struct diag *diag)
{
	const struct conf_geo *conf = &load->conf->geo;
	uint64_t now = (uint64_t)now_s;
	uint64_t built_s = load->geo_info.built_s;
	if (conf->max_age_s == 0 || built_s > now || now - built_s <= conf->max_age_s)
		return;
	if (load->geo_age_told_s && now_s >= load->geo_age_told_s && now_s - load->geo_age_told_s < DAY_S)
		return;
	load->geo_age_told_s = now_s;
	char built[32];
	diag_warning(diag, conf->database, 0,
	             "built %s, %" PRIu64 " days ago: older than max-age; put a newer database there",
	             format_built(built_s, built, sizeof(built)), (now - built_s) / DAY_S);
}

/* The table in use goes on, for now. */
static void take_over(struct load *load, const struct load *previous)
{
	load->geo = geo_map_ref(previous->geo);
	load->geo_info = previous->geo_info;
	memcpy(load->geo_stamp, previous->geo_stamp, sizeof(load->geo_stamp));
	load->geo_is_outdated =
	        previous->geo_is_outdated || !same_reading(&load->conf->geo, &previous->conf->geo);
	load->geo_reused = true;
	if (load->conf->geo.max_age_s == previous->conf->geo.max_age_s)
		load->geo_age_told_s = previous->geo_age_told_s;
}

/* What a new table is compared with. Where only nets or country-path have changed, the operator wants the
 * difference. */
static const struct geo_map *drift_base(const struct load *load, const struct load *previous,
                                        const struct load_stamp stamps[2])
{
	bool same_path = same_text(load->conf->geo.country_path, previous->conf->geo.country_path);
	return same_path && !same_stamps(stamps, load->geo_stamp) ? load->geo : NULL;
}

/* Load the files as they are now and put the table in use, or refuse it and keep the one in use. */
static int renew(struct load *load, const struct load *previous, struct diag *diag)
{
	struct diag told;
	struct table table = { 0 };
	diag_init(&told);
	settle_stamps(&load->conf->geo, table.stamps);
	int rc = table_load(&load->conf->geo, drift_base(load, previous, table.stamps), &told, &table);
	if (rc < 0) {
		refuse(load, table.stamps, rc, &told, diag);
	} else {
		put_in_use(load, &table);
		load->geo_reused = false;
	}
	diag_fini(&told);
	return rc;
}

int load__geo(struct load *load, const struct load *previous, struct diag *diag)
{
	const struct conf_geo *conf = &load->conf->geo;
	if (!conf->database)
		return 0;
	if (!previous || !previous->geo || !same_files(conf, &previous->conf->geo)) {
		struct table table = { 0 };
		size_t errors_n = diag->errors_n;
		settle_stamps(conf, table.stamps);
		int rc = table_load(conf, NULL, diag, &table);
		if (rc < 0 && diag->errors_n == errors_n)
			diag_error(diag, conf->place.file, conf->place.line,
			           "cannot load geo database %s: %s", conf->database, strerror(-rc));
		if (rc < 0)
			return rc;
		put_in_use(load, &table);
		tell_age(load, time(NULL), diag);
		return 0;
	}
	struct load_stamp stamps[2];
	take_over(load, previous);
	stamps_of(conf, stamps);
	if (load->geo_is_outdated || !same_stamps(stamps, load->geo_stamp)) {
		renew(load, previous, diag);
	} else {
		/* The canaries may be new, and the table is not: nothing better is at hand. */
		struct diag told;
		diag_init(&told);
		if (check_table(conf, NULL, load->geo, &told) < 0)
			tell_as_warnings(&told, diag);
		diag_fini(&told);
	}
	tell_age(load, time(NULL), diag);
	return 0;
}

bool load_geo_is_due(const struct load *load)
{
	struct load_stamp stamps[2];
	if (!load->conf->geo.database)
		return false;
	stamps_of(&load->conf->geo, stamps);
	return (load->geo_is_outdated || !same_stamps(stamps, load->geo_stamp)) &&
	       (!load->geo_is_refused || !same_stamps(stamps, load->geo_refused));
}

int load_renew_geo(struct load *load, struct diag *diag, bool *ret_changed)
{
	bool due = load_geo_is_due(load);
	int rc = due ? renew(load, load, diag) : 0;
	bool changed = due && rc == 0;
	if (changed)
		load__geo_tell(load, diag);
	if (load->geo)
		tell_age(load, time(NULL), diag);
	if (ret_changed)
		*ret_changed = changed;
	return rc;
}
