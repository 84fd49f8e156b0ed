/*
 * load_geo: inside load: the geo table of a load of the configuration.
 */
#ifndef DNSD_LOAD_LOAD_GEO_H
#define DNSD_LOAD_LOAD_GEO_H

#include "load/load.h"

/**
 * Fill in the geo part of load from load->conf.
 *
 * With the same files as in previous, what is wrong with them is a warning and the table of previous is kept:
 * a bad download must not keep a configuration from being used. At the start, and with other files, it is an
 * error.
 *
 * Returns 0, or -EINVAL, -ENOENT, -EIO (diag), -ENOMEM
 */
int load__geo(struct load *load, const struct load *previous, struct diag *diag);

/** Put into diag that another table is in use now. */
void load__geo_tell(const struct load *load, struct diag *diag);

#endif
