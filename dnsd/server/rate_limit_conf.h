/*
 * rate_limit_conf: the group rate-limit of a configuration as what a worker wants to have it.
 */
#ifndef DNSD_SERVER_RATE_LIMIT_CONF_H
#define DNSD_SERVER_RATE_LIMIT_CONF_H

#include "conf/conf.h"
#include "net/rrl.h"

/** Returns 0 or -ENOMEM. Then ret_config->exempt is from malloc(), and the caller frees it. */
int rate_limit_conf(const struct conf_rate_limit *conf, unsigned workers_n, struct rrl_config *ret_config);

#endif
