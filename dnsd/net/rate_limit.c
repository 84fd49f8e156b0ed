#include "net/rate_limit.h"

#include <time.h>

#include "net/rrl.h"

/* Answers whose buckets are fetched together. */
#define GROUP_N 16

struct limited {
	struct answer_request *request;
	struct addr source;
	uint64_t hash;
	uint64_t hash_all;
};

static void count_kind(struct net_counters *counters, unsigned kind)
{
	switch (kind) {
	case ANSWER_KIND_POSITIVE: counters->rrl_positive++; break;
	case ANSWER_KIND_NODATA: counters->rrl_nodata++; break;
	case ANSWER_KIND_NXDOMAIN: counters->rrl_nxdomain++; break;
	case ANSWER_KIND_REFERRAL: counters->rrl_referral++; break;
	case ANSWER_KIND_ERROR: counters->rrl_error++; break;
	default: counters->rrl_all++; break;
	}
}

static void limit(struct net_context *net, const struct limited *limited)
{
	struct answer_request *request = limited->request;
	struct net_counters *counters = &net->counters;
	unsigned kind = request->note.kind;
	enum rrl_verdict verdict = rrl_take(net->rrl, limited->hash, kind);
	if (verdict == RRL_PASS) {
		kind = RRL_ALL;
		verdict = rrl_take(net->rrl, limited->hash_all, kind);
	}
	if (verdict == RRL_PASS || rrl_is_exempt(net->rrl, &limited->source))
		return;
	count_kind(counters, kind);
	if (rrl_is_log_only(net->rrl)) {
		counters->rrl_would_drop++;
	} else if (verdict == RRL_DROP) {
		counters->rrl_dropped++;
		request->resp_len = 0;
	} else {
		counters->rrl_slipped++;
		if (request->note.kind == ANSWER_KIND_ERROR)
			return;
		net->state.counters.truncated++;
		answer_truncate(request);
	}
}

static void prepare(const struct net_context *net, struct limited *limited)
{
	const struct answer_note *note = &limited->request->note;
	const struct rrl *rrl = net->rrl;
	const uint8_t *name = note->node ? net->data->store->bytes + note->node->name_off : NULL;
	size_t name_len = note->node ? note->node->name_len : 0;
	addr_from_sockaddr(limited->request->client.peer, &limited->source);
	limited->hash = rrl_hash(rrl, &limited->source, note->kind, name, name_len, note->type);
	rrl_prefetch(rrl, limited->hash);
	limited->hash_all = 0;
	if (rrl_has_limit(rrl, RRL_ALL)) {
		limited->hash_all = rrl_hash(rrl, &limited->source, RRL_ALL, NULL, 0, 0);
		rrl_prefetch(rrl, limited->hash_all);
	}
}

void rate_limit_apply(struct net_context *net, struct answer_request *batch, size_t batch_n)
{
	struct limited group[GROUP_N];
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE,
	              &now); /* no system call, and a tick is fine enough for seconds */
	rrl_set_time(net->rrl, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
	while (batch_n) {
		size_t n = 0;
		for (; batch_n && n < GROUP_N; batch++, batch_n--) {
			if (batch->resp_len == 0 || batch->note.cookie_ok)
				continue;
			group[n].request = batch;
			prepare(net, &group[n++]);
		}
		for (size_t i = 0; i < n; i++)
			limit(net, &group[i]);
	}
}
