#include "load/load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "answer/pools_build.h"
#include "answer/store_build.h"
#include "wire/wire.h"

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void load_destroy(struct load *load)
{
	if (!load)
		return;
	zones_destroy(load->zones);
	geo_map_unref(load->geo);
	conf_destroy(load->conf);
	free(load);
}

static struct load_stamp stamp_of(const char *path)
{
	struct load_stamp stamp = { 0 };
	struct stat st;
	if (path && stat(path, &st) == 0) {
		stamp.device = st.st_dev;
		stamp.inode = st.st_ino;
		stamp.size = st.st_size;
		stamp.modified = st.st_mtim;
	}
	return stamp;
}

static bool same_stamp(const struct load_stamp *a, const struct load_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_geo(const struct load *load, const struct load *previous)
{
	const struct conf_geo *a = &load->conf->geo;
	const struct conf_geo *b = &previous->conf->geo;
	if (!previous->geo || !same_text(a->database, b->database) ||
	    !same_text(a->database_ipv6, b->database_ipv6) || !same_text(a->country_path, b->country_path) ||
	    a->nets_n != b->nets_n || !same_stamp(&load->geo_stamp[0], &previous->geo_stamp[0]) ||
	    !same_stamp(&load->geo_stamp[1], &previous->geo_stamp[1]))
		return false;
	for (size_t i = 0; i < a->nets_n; i++) {
		if (memcmp(&a->nets[i].prefix, &b->nets[i].prefix, sizeof(a->nets[i].prefix)) != 0 ||
		    strcmp(a->nets[i].country, b->nets[i].country) != 0)
			return false;
	}
	return true;
}

static int load_geo(struct load *load, const struct load *previous, struct diag *diag)
{
	const struct conf_geo *conf = &load->conf->geo;
	if (!conf->database)
		return 0;
	load->geo_stamp[0] = stamp_of(conf->database);
	load->geo_stamp[1] = stamp_of(conf->database_ipv6);
	if (previous && same_geo(load, previous)) {
		load->geo = geo_map_ref(previous->geo);
		load->geo_info = previous->geo_info;
		load->geo_reused = true;
		return 0;
	}
	struct mmdb_net *nets = calloc(conf->nets_n + 1, sizeof(*nets));
	if (!nets)
		return -ENOMEM;
	for (size_t i = 0; i < conf->nets_n; i++) {
		nets[i].prefix = conf->nets[i].prefix;
		nets[i].country = country_from_code(conf->nets[i].country);
	}
	struct mmdb_load_options options = { .path = conf->database,
		                             .path_ipv6 = conf->database_ipv6,
		                             .country_path = conf->country_path,
		                             .nets = nets,
		                             .nets_n = conf->nets_n };
	size_t errors_n = diag->errors_n;
	int rc = mmdb_load(&options, diag, &load->geo_info, &load->geo);
	free(nets);
	if (rc < 0 && diag->errors_n == errors_n)
		diag_error(diag, conf->place.file, conf->place.line, "cannot load geo database %s: %s",
		           conf->database, strerror(-rc));
	return rc;
}

int load_create(const char *path, const struct load *previous, struct diag *diag, struct load **ret_load)
{
	uint64_t start_ms = now_ms();
	struct load *load = calloc(1, sizeof(*load));
	if (!load)
		return -ENOMEM;
	int rc = conf_load(path, diag, &load->conf);
	if (rc < 0)
		goto out;
	/* Both are tried whatever the other says, so that one run shows the mistakes of both. */
	int geo_rc = load_geo(load, previous, diag);
	rc = zones_load(load->conf, previous ? previous->zones : NULL, (uint64_t)time(NULL), diag,
	                &load->zones);
	if (rc == 0)
		rc = geo_rc;
	if (rc < 0)
		goto out;
	load->took_ms = (uint32_t)(now_ms() - start_ms);
	*ret_load = load;
	return 0;
out:
	load_destroy(load);
	return rc;
}

/* RFC 1982 section 3.2, with 32 bits. */
static bool serial_is_less(uint32_t a, uint32_t b)
{
	return a != b && b - a < UINT32_C(0x80000000);
}

static uint32_t next_serial(const struct answer_store *store, const struct answer_pools *pools,
                            const struct snap *previous, uint64_t now_s)
{
	uint32_t serial = (uint32_t)now_s;
	if (previous && answer_store_equal(store, previous->store) &&
	    answer_pools_equal(pools, previous->pools))
		return previous->data.serial;
	if (previous && !serial_is_less(previous->data.serial, serial))
		serial = previous->data.serial + 1;
	for (uint32_t i = 0; i < store->zones_n; i++) {
		const struct store_zone *zone = &store->zones[i];
		uint32_t file_serial =
		        wire_get32(store->bytes + zone->soa_off + zone->soa_len - WIRE_SOA_FIXED_LEN);
		if (zone->flags & STORE_ZONE_DYNAMIC && serial_is_less(serial, file_serial))
			serial = file_serial;
	}
	return serial;
}

/* What the server says of itself. The text of a TXT string: what does not fit is cut. */
static void describe_server(const struct load *load, uint64_t generation, uint32_t serial,
                            struct answer_ident *ident)
{
	memset(ident, 0, sizeof(*ident));
	const struct conf *conf = load->conf;
	if (conf->id)
		snprintf(ident->id, sizeof(ident->id), "%s", conf->id);
	else if (gethostname(ident->id, sizeof(ident->id) - 1) < 0)
		ident->id[0] = '\0';
	snprintf(ident->version, sizeof(ident->version), "%s",
	         conf->version_text ? conf->version_text : "dnsd " DNSD_VERSION);
	size_t all_n = 0;
	size_t out_n = 0;
	for (size_t i = 0; i < conf->pools_n; i++) {
		all_n += load->zones->pools[i]->mirrors_n;
		out_n += load->zones->feeds[i].state.out_n;
	}
	snprintf(ident->state, sizeof(ident->state),
	         "generation=%" PRIu64 " serial=%" PRIu32 " mirrors=%zu/%zu", generation, serial,
	         all_n - out_n, all_n);
	snprintf(ident->generation, sizeof(ident->generation), "%" PRIu64, generation);
}

int load_make_snap(const struct load *load, uint64_t generation, const struct snap *previous, uint64_t now_s,
                   struct snap **ret_snap)
{
	struct answer_pools *pools;
	struct answer_store *store = load->zones->store;
	int rc = zones_compile(load->zones, &pools);
	if (rc < 0)
		return rc;
	uint32_t serial = next_serial(store, pools, previous, now_s);
	struct answer_ident ident;
	describe_server(load, generation, serial, &ident);
	rc = snap_create(store, pools, load->geo, load->conf->edns_size, generation, serial, &ident,
	                 ret_snap);
	answer_pools_unref(pools);
	return rc;
}

void load_describe(const struct load *load, char *text, size_t cap)
{
	size_t mirrors_n = 0;
	for (size_t i = 0; i < load->conf->pools_n; i++)
		mirrors_n += load->conf->pools[i].mirrors_n;
	int len = snprintf(text, cap, "zones=%zu records=%zu names=%u mirrors=%zu", load->conf->zones_n,
	                   load->zones->records_n, load->zones->store->names_n, mirrors_n);
	if (len < 0 || (size_t)len >= cap)
		return;
	text += len;
	cap -= (size_t)len;
	if (!load->geo) {
		snprintf(text, cap, " geo=none time=%" PRIu32 "ms", load->took_ms);
		return;
	}
	struct geo_map_size size;
	geo_map_size(load->geo, &size);
	snprintf(text, cap,
	         " geo=%s layout=\"%s\" record-bits=%u blocks=%" PRIu64
	         " countries=%u ranges=%zu+%zu%s time=%" PRIu32 "ms",
	         load->geo_info.database_type, load->geo_info.layout, load->geo_info.record_bits,
	         load->geo_info.blocks_n, load->geo_info.countries_n, size.ranges4, size.ranges6,
	         load->geo_reused ? " (unchanged)" : "", load->took_ms);
}
