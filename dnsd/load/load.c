#include "load/load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answer/pools_build.h"
#include "answer/store_build.h"
#include "load/load_cookies.h"
#include "load/load_geo.h"

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
	tls_context_unref(load->tls);
	geo_map_unref(load->geo);
	conf_destroy(load->conf);
	free(load);
}

/* Takes conf over, also on failure. */
static int create(struct conf *conf, uint32_t read_ms, const struct load *previous, const struct load *geo_of,
                  struct diag *diag, struct load **ret_load)
{
	uint64_t start_ms = now_ms();
	struct load *load = calloc(1, sizeof(*load));
	if (!load) {
		conf_destroy(conf);
		return -ENOMEM;
	}
	load->conf = conf;
	/* Each is tried whatever the others say, so that one run shows the mistakes of all. */
	int tls_rc = 0;
	if (load->conf->tls_certificate && load->conf->tls_key)
		tls_rc = tls_context_create(load->conf->tls_certificate, load->conf->tls_key,
		                            previous ? previous->tls : NULL, diag, &load->tls);
	int geo_rc = load__geo(load, geo_of, diag);
	int cookies_rc = load__cookies(load, previous, diag);
	int rc = zones_load(load->conf, previous ? previous->zones : NULL, version_clock_now(), diag,
	                    &load->zones);
	if (rc == 0)
		rc = geo_rc;
	if (rc == 0)
		rc = cookies_rc;
	if (rc == 0)
		rc = tls_rc;
	if (rc < 0)
		goto out;
	if (previous && load->geo && !load->geo_reused)
		load__geo_tell(load, diag);
	load->took_ms = read_ms + (uint32_t)(now_ms() - start_ms);
	*ret_load = load;
	return 0;
out:
	load_destroy(load);
	return rc;
}

int load_create(const char *path, const struct load *previous, struct diag *diag, struct load **ret_load)
{
	uint64_t start_ms = now_ms();
	struct conf *conf;
	int rc = conf_load(path, diag, &conf);
	if (rc < 0)
		return rc;
	return create(conf, (uint32_t)(now_ms() - start_ms), previous, previous, diag, ret_load);
}

int load_create_of(struct conf *conf, uint32_t read_ms, const struct load *unused, struct diag *diag,
                   struct load **ret_load)
{
	return create(conf, read_ms, NULL, unused, diag, ret_load);
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
		uint32_t file_serial = store_zone_serial(store, zone);
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
	size_t in_n;
	size_t all_n = zones_mirrors_n(load->zones, &in_n);
	snprintf(ident->state, sizeof(ident->state),
	         "generation=%" PRIu64 " serial=%" PRIu32 " mirrors=%zu/%zu", generation, serial, in_n,
	         all_n);
	snprintf(ident->generation, sizeof(ident->generation), "%" PRIu64, generation);
}

static int set_access(const struct conf *conf, struct snap *snap)
{
	struct answer_access access = { .chaos = conf->chaos_allow,
		                        .any = conf->any_allow,
		                        .chaos_n = (uint32_t)conf->chaos_allow_n,
		                        .any_n = (uint32_t)conf->any_allow_n };
	return snap_set_access(snap, &access);
}

int load_make_snap(const struct load *load, uint64_t generation, const struct snap *previous, uint64_t now_s,
                   struct snap **ret_snap)
{
	struct answer_pools *pools;
	struct answer_store *store = load->zones->store;
	int rc = zones_compile(load->zones, version_clock_now(), &pools);
	if (rc < 0)
		return rc;
	uint32_t serial = next_serial(store, pools, previous, now_s);
	struct answer_ident ident;
	struct snap *snap = NULL;
	describe_server(load, generation, serial, &ident);
	rc = snap_create(store, pools, load->geo, load->conf->edns_size, generation, serial, &ident, &snap);
	answer_pools_unref(pools);
	if (rc == 0)
		rc = set_access(load->conf, snap);
	if (rc == 0)
		rc = snap_set_front_ends(snap, load->conf->proxy_allow, load->conf->proxy_allow_n);
	if (rc < 0) {
		snap_destroy(snap);
		return rc;
	}
	snap_set_cookies(snap, strcmp(load->conf->cookies, "off") == 0 ? NULL : &load->cookies);
	*ret_snap = snap;
	return 0;
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
