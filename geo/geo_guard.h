/*
 * geo_guard: is a new geo table sane enough to take the place of the one in use?
 *
 *     canaries   addresses whose country the operator knows: each must map to it
 *     drift      the share of the address space that moves to another country
 *
 *     old   |--- DE ---|---- FR ----|-- unknown --|-- DE --|
 *     new   |--- DE ------|-- FR ---|---- US -----|- unkn. |
 *                      DE .. moved: FR -> DE       moved: DE -> --
 *     base  |-----------------------|             |--------|
 *
 * Database makers correct a per cent or two of the address space a month; much more at once is another
 * product, another layout, or damage that the checks of mmdb_load do not see.
 */
#ifndef GEO_GEO_GUARD_H
#define GEO_GEO_GUARD_H

#include <stddef.h>
#include <stdint.h>

#include "answer/geo_map.h"
#include "base/diag.h"

struct geo_canary {
	struct addr addr;
	uint16_t country; /* what it must map to */
	const char *file; /* where the operator said so; borrowed */
	unsigned line;
};

/**
 * Compare a new table with the canaries and with the one in use.
 *
 * The drift is exact: IPv4 counted by addresses, IPv6 by addresses inside 2000::/3 only (the rest is not in
 * use, and its size would drown everything), each family against the limit by itself. The base is the space
 * of known country in the old table: a country that becomes unknown has moved, space that becomes known is
 * growth and has not.
 *
 * old                 the table in use; NULL = none, or one that says nothing about this: no drift
 * canaries            [canaries_n] may be NULL when there are none
 * max_drift_permille  1..1000; 1000 = everything may move
 * file                of the new database, for messages
 * Returns  0, or -EINVAL (an error in diag for each canary that fails and each family that drifts), -ENOMEM
 * Cost     one pass over both tables; a few MB while it runs
 */
int geo_guard_check(const struct geo_map *old, const struct geo_map *new, const struct geo_canary *canaries,
                    size_t canaries_n, unsigned max_drift_permille, const char *file, struct diag *diag);

#endif
