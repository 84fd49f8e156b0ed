#include "zones/pool/breaker.h"

#include <stdlib.h>
#include <string.h>

#define LONG_AGO 1

/* How far out a family of a mirror is. Mild ones are taken back where nobody else is left: see decide.c. */
enum grade { GRADE_IN, GRADE_MILD, GRADE_OUT };

/* Of a family, in a country or in the whole pool: how many mirrors ... */
struct tally {
	size_t before_n; /* ... could answer, as of removal-window ago */
	size_t in_n;     /* ... are in */
	size_t mild_n;   /* ... answer when nobody is in */
	size_t fresh_n;  /* ... are taken out */
};

struct breaker_out *breaker_create(const struct pool *pool)
{
	return calloc(BREAKER_FAMILIES_N * pool->mirrors_n + 1, sizeof(struct breaker_out));
}

/* The best address of a family counts. Returns false when the mirror has none. */
static bool find_reason(const struct pool *pool, const struct pool_state *state, size_t mirror,
                        unsigned family, enum reason *ret_reason)
{
	const struct mirror *conf = &pool->mirrors[mirror];
	const struct mirror_state *now = &state->mirrors[mirror];
	bool has = false;
	for (size_t i = 0; i < conf->addrs_n; i++) {
		if ((conf->addrs[i].family == 6) != (family == 1))
			continue;
		enum reason reason = now->addr_reasons && now->addr_reasons[i] > now->reason
		                             ? now->addr_reasons[i]
		                             : now->reason;
		if (!has || reason < *ret_reason)
			*ret_reason = reason;
		has = true;
	}
	return has;
}

static enum grade grade_of(enum reason reason)
{
	if (reason == REASON_NONE)
		return GRADE_IN;
	return reason <= REASON_MILD_LAST ? GRADE_MILD : GRADE_OUT;
}

static uint64_t window_s(const struct pool *pool)
{
	uint32_t window_s = pool->conf->removal_window_s;
	return window_s > pool->conf->feed_hold_s ? window_s : pool->conf->feed_hold_s;
}

/* Taken out not long ago? A clock that went back does not make a removal young for ever. */
static bool is_young(const struct pool *pool, const struct breaker_out *out, uint64_t now_s)
{
	return out->since_s > LONG_AGO && out->since_s <= now_s && now_s - out->since_s < window_s(pool);
}

/* Held for all of its time? */
static bool is_patient(const struct pool *pool, const struct breaker_out *out, uint64_t now_s)
{
	return out->held_s && out->held_s <= now_s && now_s - out->held_s >= pool->conf->feed_hold_s;
}

static void count(struct tally *tally, enum grade grade, bool before, bool fresh)
{
	tally->before_n += before;
	tally->in_n += grade == GRADE_IN;
	tally->mild_n += grade == GRADE_MILD;
	tally->fresh_n += fresh;
}

/*
 * Is nobody left, where there were several? A country with a single mirror does not count: there the feed is
 * the only way to get a dead mirror out, and its neighbours stand by. Nor does one whose mirrors are merely
 * late, slow or out of sync: it has them still. any_in_n: mirrors with an address in, of whatever family.
 */
static bool is_emptied(const struct tally *tally, size_t any_in_n)
{
	size_t left_n = tally->in_n + (any_in_n ? 0 : tally->mild_n);
	return tally->before_n > 1 && left_n == 0 && tally->fresh_n > 0;
}

struct breaker_finding breaker_judge(const struct pool *pool, const struct breaker_out *outs,
                                     const struct pool_state *next, uint64_t now_s, bool patient)
{
	struct breaker_finding finding = { .emptied = COUNTRY_UNKNOWN };
	/* By country; COUNTRY_UNKNOWN, where no mirror is: all of the pool. */
	struct tally tallies[BREAKER_FAMILIES_N][COUNTRY_N] = { 0 };
	size_t any_in_n[COUNTRY_N] = { 0 };
	size_t halves_n = 0;
	bool any_worse = false;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		uint16_t country = pool->mirrors[i].country;
		bool is_in = false;
		bool is_recent = true;
		unsigned halves = 0;
		for (unsigned family = 0; family < BREAKER_FAMILIES_N; family++) {
			const struct breaker_out *out = &outs[BREAKER_FAMILIES_N * i + family];
			enum reason reason;
			if (!find_reason(pool, next, i, family, &reason))
				continue;
			enum grade grade = grade_of(reason);
			bool was_in = out->grade == GRADE_IN || is_young(pool, out, now_s);
			bool worse = grade > out->grade;
			bool fresh = grade != GRADE_IN && (was_in || worse) &&
			             !(patient && is_patient(pool, out, now_s));
			bool before = was_in || out->grade == GRADE_MILD;
			count(&tallies[family][country], grade, before, fresh);
			count(&tallies[family][COUNTRY_UNKNOWN], grade, before, fresh);
			is_in |= grade == GRADE_IN;
			any_worse |= worse;
			if (!fresh)
				continue;
			is_recent &= !worse;
			/* At each new version some are out of sync for a while. */
			if (reason != REASON_OUT_OF_SYNC)
				halves = 2;
			else if (halves == 0)
				halves = 1;
		}
		any_in_n[country] += is_in;
		any_in_n[COUNTRY_UNKNOWN] += is_in;
		halves_n += halves;
		finding.removed_n += halves != 0;
		finding.recent_n += halves && is_recent;
	}
	bool any_emptied = false;
	for (unsigned family = 0; family < BREAKER_FAMILIES_N; family++) {
		for (uint16_t country = 0; country < COUNTRY_N; country++) {
			if (!is_emptied(&tallies[family][country], any_in_n[country]))
				continue;
			any_emptied = true;
			if (country != COUNTRY_UNKNOWN)
				finding.emptied = country;
		}
	}
	/* One that makes nothing worse can only do good. */
	finding.is_too_much =
	        any_worse &&
	        (any_emptied || halves_n * 50 > pool->mirrors_n * pool->conf->max_removal_percent);
	return finding;
}

/* When the next removal has been held for all of its time; 0 = all have. */
static uint64_t next_patient(const struct pool *pool, const struct breaker_out *outs, uint64_t now_s)
{
	uint64_t next_s = 0;
	for (size_t i = 0; i < BREAKER_FAMILIES_N * pool->mirrors_n; i++) {
		uint64_t at_s = outs[i].held_s ? outs[i].held_s + pool->conf->feed_hold_s : 0;
		if (at_s > now_s && (next_s == 0 || at_s < next_s))
			next_s = at_s;
	}
	return next_s;
}

uint64_t breaker_hold(const struct pool *pool, struct breaker_out *outs, const struct pool_state *next,
                      bool is_first, uint64_t now_s)
{
	for (size_t i = 0; i < BREAKER_FAMILIES_N * pool->mirrors_n; i++) {
		struct breaker_out *out = &outs[i];
		enum reason reason = REASON_NONE;
		find_reason(pool, next, i / BREAKER_FAMILIES_N, i % BREAKER_FAMILIES_N, &reason);
		enum grade grade = grade_of(reason);
		bool is_new = is_first || out->held_s == 0 || grade > out->held_grade;
		/* Nor does a clock that went back hold it for ever. */
		if (is_new || out->held_s > now_s)
			out->held_s = now_s;
		if (grade == GRADE_IN)
			out->held_s = 0;
		out->held_grade = (uint8_t)grade;
	}
	uint64_t at_s = now_s;
	while (breaker_judge(pool, outs, next, at_s, true).is_too_much) {
		uint64_t later_s = next_patient(pool, outs, at_s);
		if (later_s == 0)
			break;
		at_s = later_s;
	}
	return at_s;
}

void breaker_forget_held(const struct pool *pool, struct breaker_out *outs)
{
	for (size_t i = 0; i < BREAKER_FAMILIES_N * pool->mirrors_n; i++) {
		outs[i].held_s = 0;
		outs[i].held_grade = GRADE_IN;
	}
}

void breaker_note(const struct pool *pool, struct breaker_out *outs, const struct pool_state *state,
                  bool is_settled, uint64_t now_s)
{
	for (size_t i = 0; i < BREAKER_FAMILIES_N * pool->mirrors_n; i++) {
		struct breaker_out *out = &outs[i];
		enum reason reason = REASON_NONE;
		find_reason(pool, state, i / BREAKER_FAMILIES_N, i % BREAKER_FAMILIES_N, &reason);
		enum grade grade = grade_of(reason);
		uint64_t since_s = out->since_s;
		if (grade == GRADE_IN)
			since_s = 0;
		else if (is_settled || is_patient(pool, out, now_s))
			since_s = LONG_AGO;
		else if (grade > out->grade)
			since_s = now_s;
		*out = (struct breaker_out){ .since_s = since_s, .grade = (uint8_t)grade };
	}
}

static bool has_family(const struct pool *pool, size_t mirror, unsigned family)
{
	const struct mirror *conf = &pool->mirrors[mirror];
	for (size_t i = 0; i < conf->addrs_n; i++) {
		if ((conf->addrs[i].family == 6) == (family == 1))
			return true;
	}
	return false;
}

void breaker_carry(const struct pool *pool, struct breaker_out *outs, const struct pool *pool_before,
                   const struct breaker_out *outs_before)
{
	/* Lists of mirrors change little: the next one is nearly always where the last one was. */
	size_t next = 0;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		const char *host = pool->mirrors[i].host;
		bool there =
		        next < pool_before->mirrors_n && strcmp(pool_before->mirrors[next].host, host) == 0;
		int number = there ? (int)next : pool_find_mirror(pool_before, host);
		for (unsigned family = 0; family < BREAKER_FAMILIES_N; family++) {
			struct breaker_out *out = &outs[BREAKER_FAMILIES_N * i + family];
			if (number < 0 || !has_family(pool_before, (size_t)number, family))
				*out = (struct breaker_out){ .since_s = LONG_AGO, .grade = GRADE_OUT };
			else
				*out = outs_before[BREAKER_FAMILIES_N * (size_t)number + family];
		}
		if (number >= 0)
			next = (size_t)number + 1;
	}
}
