/*
 * feeds: inside zones/: the feeds of a load of the configuration.
 */
#ifndef ZONES_FEEDS_H
#define ZONES_FEEDS_H

#include "zones/zones.h"

/**
 * Give each pool its state: the feed in force in previous (may be NULL) where the pool has the same name,
 * then what the feed files say now. Returns 0 or -ENOMEM.
 */
int zones_carry_feeds(struct zones *zones, const struct zones *previous, uint64_t now_s, struct diag *diag);

#endif
