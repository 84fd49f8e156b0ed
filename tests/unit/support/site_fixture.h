/*
 * site_fixture: a zone with one pool in a temporary directory, loaded as the daemon does it, with a clock
 * that only the test moves.
 *
 *     DIR/dnsd.conf  DIR/zone  DIR/mirrors.conf  DIR/regions.conf  DIR/feed  DIR/state/
 */
#ifndef TESTS_UNIT_SUPPORT_SITE_FIXTURE_H
#define TESTS_UNIT_SUPPORT_SITE_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "zones/zones.h"

struct site_fixture {
	char dir[64];
	char state_dir[80];
	struct conf *conf;
	struct zones *zones;
	struct diag told; /* by the last site_*() that reads a feed */
};

/** settings: more of the pool "test", such as "feed-hold = \"60s\";". The feed is not there yet. */
void site_init(struct site_fixture *site, const char *mirrors, const char *regions, const char *settings,
               uint64_t now_s);
void site_fini(struct site_fixture *site);

/** The same for both clocks. */
struct version_clock site_clock(uint64_t now_s);

/** Put a feed in place, by rename; NULL takes it away. */
void site_write_feed(const struct site_fixture *site, const char *text);
/** zones_read_feeds(); what it says is in site->told. */
void site_read(struct site_fixture *site, uint64_t now_s);
/** Load the configuration anew, as a reload (with what is in force) or a start does. */
void site_reload(struct site_fixture *site, bool restart, uint64_t now_s);
/** Has it told a message with this in it? */
bool site_has_told(const struct site_fixture *site, const char *text);

/** Write a file of the directory. */
void site_write_file(const char *dir, const char *name, const char *text);

#endif
