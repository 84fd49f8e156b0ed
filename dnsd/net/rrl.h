/*
 * rrl: response rate limiting, as a table and a clock that is told the time. No socket, system call or lock.
 *
 *     prefix of the source ─┐                      ┌─ 4 buckets of 16 bytes: one line of the cache
 *     kind of answer ───────┼─ seeded hash ──> set ┤  tag, and the moment at which the bucket will be full
 * again name, type ───────────┘                      └─ ──> PASS, SLIP (send it truncated), DROP
 *
 * A bucket is a token bucket kept as one moment (the "virtual scheduling" form of the leaky bucket, ITU-T
 * I.371 annex A): each answer moves it 1/rate into the future, and an answer that would move it more than
 * `window` ahead of now is over the rate. So rate * window answers may come at once, and rate a second for
 * ever; what is refused costs nothing, and a prefix that is flooded still gets its rate.
 *
 * A new prefix takes the bucket of its set that is the first to be full again. A moment that has passed holds
 * nothing worth keeping, and whoever is over the rate has the latest: a million sources that ask once each do
 * not wash out the one that is flooded.
 *
 * Who shares a bucket, in one prefix:
 *   positive  the same owner (a wildcard or DNAME is one owner) and type, as BIND does, and Knot did
 * before 3.4. The flood that pays is the same large answer again and again; a resolver that asks for many
 * names asks for each of them once in its TTL. nodata    the same owner, whatever the type: there are 65,536
 * of them to go through. referral  the same delegation. nxdomain, error  all of them: the names are the
 * sender's to invent. all       everything, also what has passed its own limit: names to go through are
 * public.
 */
#ifndef DNSD_NET_RRL_H
#define DNSD_NET_RRL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/answer.h"
#include "base/addr.h"

/** A limit beside those by enum answer_kind: all answers to a prefix. */
#define RRL_ALL     ANSWER_KINDS_N
#define RRL_KINDS_N (ANSWER_KINDS_N + 1)

enum rrl_verdict { RRL_PASS, RRL_SLIP, RRL_DROP };

struct rrl_config {
	uint32_t rate[RRL_KINDS_N]; /* answers a second; 0 = no limit */
	uint32_t share;             /* of the rates: 1/share, for one of so many workers; at least 1 */
	uint32_t window_s;          /* at least 1 */
	uint32_t slip;    /* each slip-th answer over the rate is a SLIP, the first one first; 0 = none */
	uint8_t ipv4_len; /* bits of the source that make a prefix */
	uint8_t ipv6_len;
	uint32_t buckets_n; /* rounded up to a power of two, at least 4 */
	bool log_only;      /* for whoever applies the verdicts */
	const struct prefix *exempt;
	size_t exempt_n;
};

struct rrl;

/**
 * config    copied, with its prefixes
 * seed      unknown to those who send, so that nobody can choose whose bucket to share
 * Returns   0 or -ENOMEM. All memory there will be is taken here.
 */
int rrl_create(const struct rrl_config *config, const uint64_t seed[2], struct rrl **ret_rrl);
void rrl_destroy(struct rrl *rrl);

/** Go on with the table, seed and time of another one when both tables are of one size; destroy that one
 * then. */
void rrl_inherit(struct rrl *rrl, struct rrl *from);

/** Tell the time, from any moment on. A clock that goes back stands still for that step. */
void rrl_set_time(struct rrl *rrl, uint64_t now_ms);

/** Which bucket: for the kind RRL_ALL, and kinds without a name, name_len and type are not looked at. */
uint64_t rrl_hash(const struct rrl *rrl, const struct addr *source, unsigned kind, const uint8_t *name,
                  size_t name_len, uint16_t type);
/** Fetch its set into the cache. */
void rrl_prefetch(const struct rrl *rrl, uint64_t hash);
/** One more answer of this kind, now. */
enum rrl_verdict rrl_take(struct rrl *rrl, uint64_t hash, unsigned kind);

bool rrl_has_limit(const struct rrl *rrl, unsigned kind);
bool rrl_is_log_only(const struct rrl *rrl);
/** Cost: one comparison a prefix. Ask only for what is over the rate. */
bool rrl_is_exempt(const struct rrl *rrl, const struct addr *source);

#endif
