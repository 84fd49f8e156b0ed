#include "server/rate_limit_conf.h"

struct rrl_config rate_limit_conf(const struct conf_rate_limit *conf, unsigned workers_n)
{
	return (struct rrl_config){
		.rate = { [ANSWER_KIND_POSITIVE] = conf->positive,
		          [ANSWER_KIND_NODATA] = conf->nodata,
		          [ANSWER_KIND_NXDOMAIN] = conf->nxdomain,
		          [ANSWER_KIND_REFERRAL] = conf->referral,
		          [ANSWER_KIND_ERROR] = conf->error,
		          [RRL_ALL] = conf->all },
		/* Workers share nothing, and the kernel spreads requests over them by address and port. */
		.share = workers_n,
		.window_s = conf->window_s,
		.slip = conf->slip,
		.ipv4_len = (uint8_t)conf->ipv4_prefix,
		.ipv6_len = (uint8_t)conf->ipv6_prefix,
		.buckets_n = conf->table_size,
		.log_only = conf->log_only,
		.exempt = conf->exempt,
		.exempt_n = conf->exempt_n,
	};
}
