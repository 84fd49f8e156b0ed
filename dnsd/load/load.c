#include "load/load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/pools_build.h"
#include "load/load_geo.h"
#include "zones/keep.h"

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
	int geo_rc = load__geo(load, previous, diag);
	rc = zones_load(load->conf, previous ? previous->zones : NULL, version_clock_now(), diag,
	                &load->zones);
	if (rc == 0)
		rc = geo_rc;
	if (rc < 0)
		goto out;
	if (previous && load->geo && !load->geo_reused)
		load__geo_tell(load, diag);
	if (!previous && load->conf->state_dir)
		keep_read_versions(load->conf->state_dir, version_clock_now(), diag, load->zones);
	load->took_ms = (uint32_t)(now_ms() - start_ms);
	*ret_load = load;
	return 0;
out:
	load_destroy(load);
	return rc;
}

int load_make_snap(const struct load *load, uint64_t generation, struct snap **ret_snap)
{
	struct answer_pools *pools;
	int rc = zones_compile(load->zones, version_clock_now(), &pools);
	if (rc < 0)
		return rc;
	rc = snap_create(load->zones->store, pools, load->geo, load->conf->edns_size, generation, ret_snap);
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
