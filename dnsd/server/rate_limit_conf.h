/*
 * rate_limit_conf: the group rate-limit of a configuration as what a worker wants to have it.
 */
#ifndef DNSD_SERVER_RATE_LIMIT_CONF_H
#define DNSD_SERVER_RATE_LIMIT_CONF_H

#include "conf/conf.h"
#include "net/rrl.h"

/** exempt is borrowed from conf. */
struct rrl_config rate_limit_conf(const struct conf_rate_limit *conf, unsigned workers_n);

#endif
