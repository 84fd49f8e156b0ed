#include "mirrormon/decide.h"

#include <stdio.h>
#include <string.h>

#define OUTS_N (sizeof(((struct standing *)NULL)->outs_s) / sizeof(uint64_t))

/** What a check alone says; NONE: nothing against the mirror. */
static bool is_failure(const struct check_result *result)
{
	return result->reason != REASON_NONE;
}

static bool is_at_once(enum reason reason)
{
	return reason == REASON_WRONG_CONTENT || reason == REASON_REFUSED;
}

/** A clock that went back has not gone on. */
static uint64_t passed_s(uint64_t from_s, uint64_t now_s)
{
	return now_s > from_s ? now_s - from_s : 0;
}

/** late_after_s and old_after_s behind are reached, not passed. */
static enum reason age_reason(const struct standing *standing, uint64_t newest_s,
                              const struct conf_decision *conf)
{
	if (newest_s == 0 || standing->timestamp_s == 0)
		return REASON_NONE;
	uint64_t behind = passed_s(standing->timestamp_s, newest_s);
	if (behind >= conf->old_after_s)
		return REASON_OLD;
	return behind >= conf->late_after_s ? REASON_LATE : REASON_NONE;
}

static bool is_slow(const struct standing *standing, const struct conf_decision *conf)
{
	if (conf->slow_over_ms == 0 || conf->slow_after == 0)
		return false;
	unsigned window = 2 * conf->slow_after - 1;
	uint32_t mask = window >= 32 ? UINT32_MAX : (1U << window) - 1;
	return (unsigned)__builtin_popcount(standing->slow_bits & mask) >= conf->slow_after;
}

/** Why it would have to be out by what is known now, whatever it is; NONE = nothing speaks against it. */
static enum reason reason_now(const struct standing *standing, enum reason failing, uint64_t newest_s,
                              const struct conf_decision *conf)
{
	if (is_at_once(failing))
		return failing;
	if (failing != REASON_NONE && standing->failures_n >= conf->unreachable_after)
		return failing;
	if (age_reason(standing, newest_s, conf) == REASON_OLD)
		return REASON_OLD;
	return is_slow(standing, conf) ? REASON_SLOW : REASON_NONE;
}

static void set_detail(struct standing *standing, const char *text)
{
	/* Never both the same memory: a standing does not observe itself. */
	snprintf(standing->detail, sizeof(standing->detail), "%s", text);
}

static void describe(struct standing *standing, enum reason reason, uint64_t newest_s,
                     const struct conf_decision *conf)
{
	char text[MODEL_DETAIL_MAX];
	if (reason == REASON_OLD || reason == REASON_LATE) {
		uint64_t behind = passed_s(standing->timestamp_s, newest_s);
		snprintf(text, sizeof(text), "its timestamp is %llu h %02llu min behind the newest",
		         (unsigned long long)(behind / 3600), (unsigned long long)(behind / 60 % 60));
	} else if (reason == REASON_SLOW) {
		snprintf(text, sizeof(text), "%u of the last %u checks took longer than %.1f s",
		         conf->slow_after, 2 * conf->slow_after - 1, conf->slow_over_ms / 1000.0);
	} else {
		return;
	}
	set_detail(standing, text);
}

/** Times it went out that still count, of those that are remembered. */
static uint32_t count_outs(const struct standing *standing, uint64_t now_s, const struct conf_decision *conf)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < standing->outs_n && i < OUTS_N; i++)
		n += passed_s(standing->outs_s[i], now_s) < conf->flap_window_s;
	return n;
}

uint64_t standing_probation_s(const struct standing *standing, uint64_t now_s,
                              const struct conf_decision *conf)
{
	uint64_t probation = conf->probation_s;
	for (uint32_t n = count_outs(standing, now_s, conf); n > 1 && probation < conf->probation_max_s; n--)
		probation *= 2;
	return probation < conf->probation_max_s ? probation : conf->probation_max_s;
}

static void go_out(struct standing *standing, enum reason reason, uint64_t now_s)
{
	if (standing->reason == REASON_NONE) {
		memmove(standing->outs_s + 1, standing->outs_s, sizeof(standing->outs_s) - sizeof(uint64_t));
		standing->outs_s[0] = now_s;
		if (standing->outs_n < OUTS_N)
			standing->outs_n++;
	}
	standing->reason = reason;
	standing->since_s = now_s;
}

/**
 * A mirror that had wrong content and is now unreachable may not be used when too few are left, which an
 * unreachable one may: nobody has seen it right since.
 */
static bool outlasts(const struct standing *standing, enum reason failing)
{
	return failing != REASON_NONE && !is_at_once(failing) && is_at_once(standing->reason);
}

/**
 * What holds at a moment. failing: reason of the last check, if that failed; is_check: it is that check's
 * moment. Nothing comes back by waiting: only a check shows that it is good.
 */
static void settle(struct standing *standing, enum reason failing, bool is_check, uint64_t now_s,
                   uint64_t newest_s, const struct conf_decision *conf)
{
	enum reason now = reason_now(standing, failing, newest_s, conf);
	enum reason age = age_reason(standing, newest_s, conf);

	if (now != REASON_NONE) {
		standing->successes_n = 0;
		standing->good_since_s = 0;
		if (!outlasts(standing, failing)) {
			if (now != standing->reason)
				go_out(standing, now, now_s);
			describe(standing, now, newest_s, conf);
		}
	} else if (is_check && standing->reason != REASON_NONE && standing->successes_n > 0 &&
	           standing->successes_n >= conf->return_after &&
	           now_s - standing->good_since_s >= standing_probation_s(standing, now_s, conf)) {
		standing->reason = REASON_NONE;
		standing->since_s = standing->returned_s = now_s;
		standing->detail[0] = '\0';
	}

	/* Of one that is in: what it has to be warned of. */
	enum reason warning = REASON_NONE;
	if (standing->reason == REASON_NONE)
		warning = failing != REASON_NONE ? failing : age;
	if (warning != standing->warning) {
		standing->warning = warning;
		standing->warning_since_s = warning == REASON_NONE ? 0 : now_s;
	}
	if (warning == REASON_LATE)
		describe(standing, warning, newest_s, conf);
}

/** The reason of the last check, kept between checks by what it left behind. */
static enum reason failing_of(const struct standing *standing)
{
	return standing->failures_n > 0 ? standing->failing : REASON_NONE;
}

void standing_observe(struct standing *standing, const struct check_result *result,
                      uint64_t newest_timestamp_s, const struct conf_decision *conf)
{
	if (result->at_s == 0 || result->at_s < standing->checked_s)
		return;
	if (result->brief && result->reason != REASON_WRONG_CONTENT)
		return;
	standing->checked_s = result->at_s;
	if (result->timestamp_s)
		standing->timestamp_s = result->timestamp_s;

	if (is_failure(result)) {
		if (standing->failures_n == 0)
			standing->failing_since_s = result->at_s;
		if (standing->failures_n < UINT32_MAX)
			standing->failures_n++;
		standing->failing = result->reason;
		standing->successes_n = 0;
		standing->good_since_s = 0;
		if (!outlasts(standing, result->reason))
			set_detail(standing, result->detail);
	} else {
		bool slow = conf->slow_over_ms && result->total_us > conf->slow_over_ms * UINT64_C(1000);
		standing->slow_bits = standing->slow_bits << 1 | slow;
		standing->failures_n = 0;
		standing->failing = REASON_NONE;
		standing->failing_since_s = 0;
		if (standing->successes_n == 0)
			standing->good_since_s = result->at_s;
		if (standing->successes_n < UINT32_MAX)
			standing->successes_n++;
		if (standing->reason == REASON_NONE)
			standing->detail[0] = '\0';
	}
	settle(standing, failing_of(standing), true, result->at_s, newest_timestamp_s, conf);
}

void standing_pass(struct standing *standing, uint64_t now_s, uint64_t newest_timestamp_s,
                   const struct conf_decision *conf)
{
	if (standing->checked_s == 0 || age_reason(standing, newest_timestamp_s, conf) == REASON_NONE)
		return;
	settle(standing, failing_of(standing), false, now_s, newest_timestamp_s, conf);
}

void standing_set_back(struct standing *standing, uint64_t now_s)
{
	uint64_t *times[] = { &standing->since_s,      &standing->warning_since_s, &standing->failing_since_s,
		              &standing->good_since_s, &standing->checked_s,       &standing->returned_s };
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		if (*times[i] > now_s)
			*times[i] = now_s;
	}
	for (size_t i = 0; i < OUTS_N; i++) {
		if (standing->outs_s[i] > now_s)
			standing->outs_s[i] = now_s;
	}
}

void standing_join(struct standing *standing, uint64_t now_s)
{
	*standing = (struct standing){ .reason = REASON_OUT_OF_SYNC, .since_s = now_s };
	set_detail(standing, "new: on probation");
}

uint32_t standing_ramp(const struct standing *standing, uint64_t now_s, const struct conf_decision *conf,
                       uint64_t *ret_full_s)
{
	*ret_full_s = 0;
	if (standing->returned_s == 0 || conf->ramp_s == 0 || conf->ramp_percent >= 100)
		return 1000;
	uint64_t full_s = standing->returned_s + conf->ramp_s;
	if (now_s >= full_s)
		return 1000;
	*ret_full_s = full_s;
	return conf->ramp_percent * 10;
}

void judge(const struct opinion *opinions, size_t opinions_n, uint32_t quorum, const struct verdict *before,
           uint64_t now_s, struct verdict *ret_verdict)
{
	uint32_t out_n = 0, by_reason[REASON_N] = { 0 };
	for (size_t i = 0; i < opinions_n; i++) {
		if (opinions[i].reason == REASON_NONE)
			continue;
		out_n++;
		by_reason[opinions[i].reason]++;
	}
	struct verdict verdict = *before;
	verdict.votes_out = out_n;
	verdict.votes_n = (uint32_t)opinions_n;
	if (opinions_n < quorum || opinions_n == 0) {
		*ret_verdict = verdict;
		return;
	}

	enum reason reason = REASON_NONE;
	if (2 * (size_t)out_n > opinions_n) {
		for (int i = REASON_NONE + 1; i < REASON_N; i++) {
			if (by_reason[i] > 0 && (reason == REASON_NONE || by_reason[i] >= by_reason[reason]))
				reason = (enum reason)i;
		}
	}
	if (reason != before->reason)
		verdict.since_s = now_s;
	verdict.reason = reason;
	verdict.detail[0] = '\0';
	for (size_t i = 0; reason != REASON_NONE && i < opinions_n; i++) {
		if (opinions[i].reason != reason)
			continue;
		if (opinions[i].since_s && opinions[i].since_s < verdict.since_s)
			verdict.since_s = opinions[i].since_s;
		if (opinions[i].detail && !verdict.detail[0])
			snprintf(verdict.detail, sizeof(verdict.detail), "%s", opinions[i].detail);
	}
	*ret_verdict = verdict;
}
