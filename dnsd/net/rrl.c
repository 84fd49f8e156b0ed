#include "net/rrl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SET_N     4
#define SLIP_BITS 8
#define SLIP_MASK ((UINT64_C(1) << SLIP_BITS) - 1)
#define MS_NS     UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)

struct bucket {
	uint64_t full_ns;      /* when it has all its tokens again; in the past: it has */
	uint64_t tag_and_slip; /* high bits of the hash; answers over the rate since the last SLIP, below slip
	                        */
};

struct set {
	_Alignas(64) struct bucket buckets[SET_N];
};

struct table {
	struct set *sets;
	uint64_t sets_mask;
	uint64_t seed[2];
	uint64_t now_ns;
	uint64_t told_ms; /* the clock as last told */
};

struct rrl {
	struct rrl_config config;
	struct prefix *exempt;
	uint64_t cost_ns[RRL_KINDS_N];   /* of one answer; 0 = no limit */
	uint64_t window_ns[RRL_KINDS_N]; /* how far ahead a bucket may be; at least the cost, so that one fits
	                                  */
	uint64_t masks[2][2];            /* of IPv4, of IPv6; as the bytes of an address lie in memory */
	struct table *table;
};

static void table_destroy(struct table *table)
{
	if (table)
		free(table->sets);
	free(table);
}

static struct table *table_create(uint32_t buckets_n, const uint64_t seed[2])
{
	size_t sets_n = 1;
	while (sets_n * SET_N < buckets_n)
		sets_n *= 2;
	struct table *table = calloc(1, sizeof(*table));
	if (!table)
		return NULL;
	table->sets = aligned_alloc(_Alignof(struct set), sets_n * sizeof(struct set));
	if (!table->sets) {
		free(table);
		return NULL;
	}
	memset(table->sets, 0, sets_n * sizeof(struct set));
	table->sets_mask = sets_n - 1;
	table->seed[0] = seed[0];
	table->seed[1] = seed[1];
	return table;
}

static void make_mask(unsigned bits, uint64_t mask[2])
{
	struct prefix all = { .addr = { .family = 6 }, .len = (uint8_t)bits };
	memset(all.addr.bytes, 0xff, sizeof(all.addr.bytes));
	prefix_mask(&all);
	memcpy(mask, all.addr.bytes, sizeof(all.addr.bytes));
}

int rrl_create(const struct rrl_config *config, const uint64_t seed[2], struct rrl **ret_rrl)
{
	struct rrl *rrl = calloc(1, sizeof(*rrl));
	if (!rrl)
		return -ENOMEM;
	rrl->config = *config;
	rrl->table = table_create(config->buckets_n, seed);
	rrl->exempt = calloc(config->exempt_n + 1, sizeof(*rrl->exempt));
	if (!rrl->table || !rrl->exempt) {
		rrl_destroy(rrl);
		return -ENOMEM;
	}
	if (config->exempt_n)
		memcpy(rrl->exempt, config->exempt, config->exempt_n * sizeof(*rrl->exempt));
	rrl->config.exempt = rrl->exempt;
	for (unsigned kind = 0; kind < RRL_KINDS_N; kind++) {
		uint64_t rate = config->rate[kind];
		/* Rounded up: never more than the rate. */
		uint64_t cost_ns = rate ? (SECOND_NS * config->share + rate - 1) / rate : 0;
		uint64_t window_ns = config->window_s * SECOND_NS;
		rrl->cost_ns[kind] = cost_ns;
		rrl->window_ns[kind] = window_ns > cost_ns ? window_ns : cost_ns;
	}
	make_mask(config->ipv4_len, rrl->masks[0]);
	make_mask(config->ipv6_len, rrl->masks[1]);
	*ret_rrl = rrl;
	return 0;
}

void rrl_destroy(struct rrl *rrl)
{
	if (!rrl)
		return;
	table_destroy(rrl->table);
	free(rrl->exempt);
	free(rrl);
}

void rrl_inherit(struct rrl *rrl, struct rrl *from)
{
	if (rrl->table->sets_mask != from->table->sets_mask)
		return;
	struct table *table = rrl->table;
	rrl->table = from->table;
	from->table = table;
}

void rrl_set_time(struct rrl *rrl, uint64_t now_ms)
{
	struct table *table = rrl->table;
	if (now_ms > table->told_ms)
		table->now_ns += (now_ms - table->told_ms) * MS_NS;
	table->told_ms = now_ms;
}

/*
 * Multiply, and fold the halves together. With factors that nobody outside knows this spreads well enough for
 * a table whose contents are never shown.
 */
static uint64_t mix(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;
	wide product = (wide)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t rrl_hash(const struct rrl *rrl, const struct addr *source, unsigned kind, const uint8_t *name,
                  size_t name_len, uint16_t type)
{
	const uint64_t *seed = rrl->table->seed;
	const uint64_t *mask = rrl->masks[source->family == 6];
	uint64_t words[2];
	memcpy(words, source->bytes, sizeof(words));
	uint64_t hash = mix((words[0] & mask[0]) ^ seed[0], (words[1] & mask[1]) ^ seed[1]);
	bool has_name =
	        kind == ANSWER_KIND_POSITIVE || kind == ANSWER_KIND_NODATA || kind == ANSWER_KIND_REFERRAL;
	if (kind != ANSWER_KIND_POSITIVE)
		type = 0;
	if (!has_name)
		name_len = 0;
	hash = mix(hash ^ (uint64_t)source->family << 32 ^ (uint64_t)kind << 24 ^ (uint64_t)type << 8 ^
	                   name_len,
	           seed[1]);
	while (name_len) {
		uint64_t word = 0;
		size_t n = name_len < sizeof(word) ? name_len : sizeof(word);
		memcpy(&word, name, n);
		hash = mix(hash ^ word, seed[0]);
		name += n;
		name_len -= n;
	}
	return hash;
}

void rrl_prefetch(const struct rrl *rrl, uint64_t hash)
{
	__builtin_prefetch(&rrl->table->sets[hash & rrl->table->sets_mask], 1);
}

/* The bucket of this tag, or the one that a new tag takes over. */
static struct bucket *find_bucket(struct table *table, uint64_t hash)
{
	struct bucket *buckets = table->sets[hash & table->sets_mask].buckets;
	struct bucket *first = &buckets[0];
	for (unsigned i = 0; i < SET_N; i++) {
		if ((buckets[i].tag_and_slip ^ hash) <= SLIP_MASK)
			return &buckets[i];
		if (buckets[i].full_ns < first->full_ns)
			first = &buckets[i];
	}
	first->tag_and_slip = hash & ~SLIP_MASK;
	first->full_ns = 0;
	return first;
}

enum rrl_verdict rrl_take(struct rrl *rrl, uint64_t hash, unsigned kind)
{
	struct table *table = rrl->table;
	uint64_t cost_ns = rrl->cost_ns[kind];
	if (cost_ns == 0)
		return RRL_PASS;
	uint64_t now_ns = table->now_ns;
	struct bucket *bucket = find_bucket(table, hash);
	uint64_t window_ns = rrl->window_ns[kind];
	uint64_t ahead_ns = bucket->full_ns > now_ns ? bucket->full_ns - now_ns : 0;
	if (ahead_ns > window_ns)
		ahead_ns = window_ns; /* it was longer before a reload */
	if (ahead_ns + cost_ns <= window_ns) {
		bucket->full_ns = now_ns + ahead_ns + cost_ns;
		return RRL_PASS;
	}
	bucket->full_ns = now_ns + ahead_ns;
	if (rrl->config.slip == 0)
		return RRL_DROP;
	uint64_t slip = bucket->tag_and_slip & SLIP_MASK;
	bucket->tag_and_slip = (bucket->tag_and_slip & ~SLIP_MASK) | (slip + 1) % rrl->config.slip;
	return slip == 0 ? RRL_SLIP : RRL_DROP;
}

bool rrl_has_limit(const struct rrl *rrl, unsigned kind)
{
	return rrl->cost_ns[kind] != 0;
}

bool rrl_is_log_only(const struct rrl *rrl)
{
	return rrl->config.log_only;
}

bool rrl_is_exempt(const struct rrl *rrl, const struct addr *source)
{
	return prefixes_contain(rrl->exempt, rrl->config.exempt_n, source);
}
