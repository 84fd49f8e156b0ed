/*
 * versions: inside zones/: the version records of a load of the configuration.
 */
#ifndef ZONES_VERSIONS_H
#define ZONES_VERSIONS_H

#include "zones/zones.h"

/** The record of this name in the zone of this name; zones may be NULL. NULL = there is none. */
struct zones_version *zones__find_version(const struct zones *zones, const char *zone, const char *name);

/**
 * Verify one record again; what has become of its freshness is told.
 * kept     what zones__restore_version() puts back behind that; NULL = nothing
 * Returns  0 or -EINVAL, as version_verify()
 */
int zones__verify_version(const struct zones *zones, struct zones_version *entry, const json_t *kept,
                          struct version_clock clock, struct diag *diag, bool *ret_names_changed);

/**
 * Put back what zones_versions_to_json() gave for a record of this zone and name, if it has a directory or a
 * feed. A number goes up only; where the source now has a lower one, or could not be verified, the record
 * goes back to the time of verification it had. Returns 0, or -EINVAL when something was no such list (diag;
 * the rest of it counts)
 */
int zones__restore_version(struct zones_version *entry, const json_t *list, struct version_clock clock,
                           struct diag *diag);

#endif
