/*
 * versions: inside zones/: the version records of a load of the configuration.
 */
#ifndef ZONES_VERSIONS_H
#define ZONES_VERSIONS_H

#include "zones/zones.h"

/** The record of this name in the zone of this name; zones may be NULL. NULL = there is none. */
struct zones_version *zones__find_version(const struct zones *zones, const char *zone, const char *name);

/** Verify one record again; what has become of its freshness is told. Returns 0 or -EINVAL, as
 * version_verify().
 */
int zones__verify_version(const struct zones *zones, struct zones_version *entry, struct version_clock clock,
                          struct diag *diag, bool *ret_names_changed);

#endif
