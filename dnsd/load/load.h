/*
 * load: everything a configuration names, read and checked: zones, pools, version sources, geo database.
 *
 *     dnsd.conf ──> conf ──> zones ──┐
 *                     └────> geo ────┴─> load ──load_make_snap()──> snap
 *
 * The daemon's start, its reload, `dnsd -t` and `dnsdctl` all come through here, so that a check finds what a
 * start would. Nothing here binds a socket.
 */
#ifndef DNSD_LOAD_LOAD_H
#define DNSD_LOAD_LOAD_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/diag.h"
#include "conf/conf.h"
#include "geo/mmdb_load.h"
#include "snap/snap.h"
#include "tls/tls.h"
#include "zones/zones.h"

/** Tells one state of a file from another, without reading it. */
struct load_stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified;
	struct timespec changed; /* also moves when modified is set back, or permissions change */
};

struct load {
	struct conf *conf;
	struct zones *zones;
	struct tls_context *tls; /* NULL when there is no certificate */
	struct geo_map *geo;     /* NULL when none is configured */
	struct mmdb_load_info geo_info;
	struct answer_cookies cookies;
	bool cookies_are_random;          /* no file has them: made once, and kept over reloads, takeovers */
	struct load_stamp geo_stamp[2];   /* the files that the table was made of */
	struct load_stamp geo_refused[2]; /* those that were refused since, when geo_is_refused */
	bool geo_is_refused;
	bool geo_is_outdated;  /* the table was made under other nets or country-path, and kept since */
	time_t geo_age_told_s; /* when its age was told last, since 1970; 0 = not yet */
	bool geo_reused;       /* the files had not changed: the table of the load before was taken */
	uint32_t took_ms;
};

/**
 * Load a configuration.
 *
 * previous  what is in use: its version numbers carry over, its random cookie secret, and its geo table when
 * the files are the same or the new ones are refused; may be NULL Returns   0, -EINVAL (diag has every
 * mistake), -ENOMEM
 */
int load_create(const char *path, const struct load *previous, struct diag *diag, struct load **ret_load);
/**
 * As load_create() at a start, with a configuration that was read before.
 *
 * conf     taken over, also on failure
 * read_ms  how long that took
 * unused   a load that came to nothing: its geo table is taken when the files are the same; NULL = none
 */
int load_create_of(struct conf *conf, uint32_t read_ms, const struct load *unused, struct diag *diag,
                   struct load **ret_load);
void load_destroy(struct load *load);

/** Are there files of the geo database that are neither in use nor refused? Cost: two stat() calls. */
bool load_geo_is_due(const struct load *load);

/**
 * When the geo database is due, take it into use: a new one is loaded
 * beside the one in use and takes its place if geo_guard_check() lets it; refused, it is told once, and
 * looked at again when its files change or at the next load_create().
 *
 * Also tells once a day that the database in use is older than max-age. Not while another thread uses load.
 *
 * ret_changed  true when load->geo is another table now; may be NULL
 * Returns      0, or why the new one was refused (told as warnings in diag): -EINVAL, -ENOENT, -EIO, -ENOMEM
 */
int load_renew_geo(struct load *load, struct diag *diag, bool *ret_changed);

/**
 * Decide the pools and bundle a snapshot.
 *
 * previous  the snapshot in use, NULL at start: while nothing that is answered has changed since, the SOA
 * serial of the zones with pools stays; else it becomes now_s, and rises in any case (RFC 1982), and is not
 *           below that of a zone file
 * now_s     since 1970
 * Returns   0 or -ENOMEM
 */
int load_make_snap(const struct load *load, uint64_t generation, const struct snap *previous, uint64_t now_s,
                   struct snap **ret_snap);

/** "2 zones (31 records, 1012 names), 134 mirrors, geo ...": for the log. */
void load_describe(const struct load *load, char *text, size_t cap);

#endif
