/*
 * What holds for every history of an address: lists of checks and passes drawn from a fixed seed, against
 * the rules of decide.h applied the plain way, which looks through the whole list for each answer and keeps
 * no count. And the majority, for every list of opinions of up to four monitors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirrormon/decide.h"
#include "tests/unit/support/pool_fixture.h"

#define T0       1795244400U
#define ROUNDS   4000U
#define EVENTS_N 90U

/* A check that has ended, or a look at the clock. */
struct event {
	bool is_check;
	uint64_t now_s; /* of a pass */
	struct check_result result;
	uint64_t newest_s;
};

/* What an oracle says after an event. */
struct state {
	enum reason reason, warning;
	uint64_t since_s, returned_s;
	uint32_t outs_n;
};

static uint64_t random_state;

static uint32_t below(uint32_t n)
{
	return random_below(&random_state, n);
}

/* The oracle. */

static uint64_t time_of(const struct event *event)
{
	return event->is_check ? event->result.at_s : event->now_s;
}

/* Does event k count as a check, given which of those before it do? */
static bool counts(const struct event *events, const bool *counted, size_t k)
{
	const struct check_result *result = &events[k].result;
	if (!events[k].is_check || result->at_s == 0)
		return false;
	if (result->brief && result->reason != REASON_WRONG_CONTENT)
		return false;
	for (size_t i = 0; i < k; i++) {
		if (counted[i] && events[i].result.at_s > result->at_s)
			return false;
	}
	return true;
}

static enum reason age_at(const struct event *events, const bool *counted, size_t k,
                          const struct conf_decision *conf)
{
	uint64_t timestamp_s = 0;
	for (size_t i = 0; i <= k; i++) {
		if (counted[i] && events[i].result.timestamp_s)
			timestamp_s = events[i].result.timestamp_s;
	}
	if (timestamp_s == 0 || events[k].newest_s <= timestamp_s)
		return REASON_NONE;
	uint64_t behind_s = events[k].newest_s - timestamp_s;
	return behind_s >= conf->old_after_s    ? REASON_OLD
	       : behind_s >= conf->late_after_s ? REASON_LATE
	                                        : REASON_NONE;
}

static enum reason last_failure(const struct event *events, const bool *counted, size_t k)
{
	for (size_t i = k + 1; i-- > 0;) {
		if (counted[i])
			return events[i].result.reason;
	}
	return REASON_NONE;
}

static uint32_t failed_in_row(const struct event *events, const bool *counted, size_t k)
{
	uint32_t n = 0;
	for (size_t i = k + 1; i-- > 0;) {
		if (counted[i] && events[i].result.reason == REASON_NONE)
			return n;
		n += counted[i];
	}
	return n;
}

static bool slow_at(const struct event *events, const bool *counted, size_t k,
                    const struct conf_decision *conf)
{
	uint32_t looked_n = 0, slow_n = 0;
	for (size_t i = k + 1; i-- > 0 && looked_n < 2 * conf->slow_after - 1 && looked_n < 32;) {
		if (!counted[i] || events[i].result.reason != REASON_NONE)
			continue;
		looked_n++;
		slow_n += conf->slow_over_ms && events[i].result.total_us > 1000 * conf->slow_over_ms;
	}
	return slow_n >= conf->slow_after;
}

/* Which rule holds at event k? */
static enum reason rule_at(const struct event *events, const bool *counted, size_t k,
                           const struct conf_decision *conf)
{
	enum reason failed = last_failure(events, counted, k);
	if (failed == REASON_WRONG_CONTENT || failed == REASON_REFUSED)
		return failed;
	if (failed != REASON_NONE && failed_in_row(events, counted, k) >= conf->unreachable_after)
		return failed;
	if (age_at(events, counted, k, conf) == REASON_OLD)
		return REASON_OLD;
	return slow_at(events, counted, k, conf) ? REASON_SLOW : REASON_NONE;
}

/* A check is looked at always, a pass only when it can show lateness. */
static bool is_looked_at(const struct event *events, const bool *counted, size_t k,
                         const struct conf_decision *conf)
{
	return events[k].is_check ? counted[k] : age_at(events, counted, k, conf) != REASON_NONE;
}

static bool may_return(const struct event *events, const bool *counted, size_t k, const uint64_t *outs_s,
                       size_t outs_n, const struct conf_decision *conf)
{
	uint64_t now_s = time_of(&events[k]), first_s = 0;
	uint32_t good_n = 0, recent_n = 0;
	for (size_t i = k + 1; i-- > 0;) {
		if (!is_looked_at(events, counted, i, conf))
			continue;
		if (rule_at(events, counted, i, conf) != REASON_NONE ||
		    (counted[i] && events[i].result.reason != REASON_NONE))
			break;
		if (counted[i]) {
			good_n++;
			first_s = events[i].result.at_s;
		}
	}
	for (size_t i = outs_n > 8 ? outs_n - 8 : 0; i < outs_n; i++)
		recent_n += outs_s[i] + conf->flap_window_s > now_s;
	uint64_t probation_s = conf->probation_s;
	for (uint32_t i = 1; i < recent_n; i++)
		probation_s *= 2;
	if (probation_s > conf->probation_max_s)
		probation_s = conf->probation_max_s;
	return good_n >= 1 && good_n >= conf->return_after && now_s - first_s >= probation_s;
}

/* The state after the last of n events, from the first one on. */
static struct state oracle(const struct event *events, size_t n, const struct conf_decision *conf)
{
	struct state state = { 0 };
	bool counted[EVENTS_N];
	uint64_t outs_s[EVENTS_N];
	for (size_t k = 0; k < n; k++)
		counted[k] = counts(events, counted, k);
	for (size_t k = 0; k < n; k++) {
		bool was_checked = false;
		for (size_t i = 0; i <= k; i++)
			was_checked |= counted[i];
		if (!was_checked || !is_looked_at(events, counted, k, conf))
			continue;
		enum reason rule = rule_at(events, counted, k, conf);
		enum reason failed = last_failure(events, counted, k);
		bool stays = (state.reason == REASON_WRONG_CONTENT || state.reason == REASON_REFUSED) &&
		             failed != REASON_NONE && rule != REASON_WRONG_CONTENT && rule != REASON_REFUSED;
		if (rule != REASON_NONE && rule != state.reason && !stays) {
			if (state.reason == REASON_NONE)
				outs_s[state.outs_n++] = time_of(&events[k]);
			state.reason = rule;
			state.since_s = time_of(&events[k]);
		} else if (rule == REASON_NONE && state.reason != REASON_NONE && counted[k] &&
		           may_return(events, counted, k, outs_s, state.outs_n, conf)) {
			state.reason = REASON_NONE;
			state.since_s = state.returned_s = time_of(&events[k]);
		}
		state.warning = REASON_NONE;
		if (state.reason == REASON_NONE)
			state.warning = failed != REASON_NONE ? failed : age_at(events, counted, k, conf);
	}
	return state;
}

/* Histories. */

static struct conf_decision draw_conf(void)
{
	struct conf_decision conf = { .unreachable_after = 1 + below(4),
		                      .late_after_s = 3600 * (1 + below(3)),
		                      .slow_over_ms = below(4) ? 1000 : 0,
		                      .slow_after = below(8) ? 1 + below(5) : 14 + below(6),
		                      .return_after = 1 + below(3),
		                      .probation_s = below(3) ? 600 : below(3),
		                      .probation_max_s = 600 * (1 + below(20)),
		                      .flap_window_s = 3600 * (1 + below(24)),
		                      .ramp_s = 3600 * below(3),
		                      .ramp_percent = 1 + below(100) };
	conf.old_after_s = conf.late_after_s + 1 + 3600 * below(3);
	return conf;
}

/* Days of a mirror that has good and bad hours, each with its own mix of faults. */
static void draw_events(struct event *events, const struct conf_decision *conf)
{
	static const enum reason faults[] = { REASON_UNREACHABLE, REASON_UNREACHABLE, REASON_HTTP_ERROR,
		                              REASON_WRONG_CONTENT, REASON_REFUSED };
	uint64_t now_s = T0, newest_s = T0 - 60, own_s = newest_s;
	uint32_t bad = 0, slow = 0;
	bool stalled = false;
	for (unsigned k = 0; k < EVENTS_N; k++) {
		struct event *event = &events[k];
		memset(event, 0, sizeof(*event));
		now_s += below(3) ? 60 + below(600) : below(3) ? 0 : below(5000);
		if (below(12) == 0) {
			bad = below(3) ? 0 : below(10);
			slow = below(2) ? 0 : below(10);
			stalled = below(3) == 0;
		}
		if (below(4) == 0)
			newest_s = now_s - below(100);
		if (!stalled)
			own_s = newest_s;
		event->newest_s = below(20) ? newest_s : 0;
		if (below(10) == 0) /* right at the boundary */
			event->newest_s =
			        own_s + (below(2) ? conf->late_after_s : conf->old_after_s) - below(2);
		event->is_check = below(4) > 0;
		event->now_s = below(30) ? now_s : now_s - below(9000);
		if (!event->is_check)
			continue;
		event->result.at_s = below(40) ? event->now_s : 0;
		event->result.brief = below(10) == 0;
		event->result.reason = below(10) < bad ? faults[below(5)] : REASON_NONE;
		event->result.total_us = below(10) < slow ? 1000000 + below(3) : 1000;
		event->result.timestamp_s = event->result.reason == REASON_NONE || below(2) ? own_s : 0;
		snprintf(event->result.detail, MODEL_DETAIL_MAX, "check %u", k);
	}
}

static void apply(struct standing *standing, const struct event *event, const struct conf_decision *conf)
{
	if (event->is_check)
		standing_observe(standing, &event->result, event->newest_s, conf);
	else
		standing_pass(standing, event->now_s, event->newest_s, conf);
}

static uint32_t seen[REASON_N]; /* how often each was a reason to go out */
static uint32_t returns_n;

static void check_step(const struct standing *before, const struct standing *after, const struct event *event,
                       const struct conf_decision *conf)
{
	if (!event->is_check && before->reason != REASON_NONE)
		assert_int_not_equal(after->reason, REASON_NONE);
	if (before->reason == REASON_NONE && after->reason != REASON_NONE) {
		seen[after->reason]++;
		assert_int_equal(after->since_s, time_of(event));
		assert_int_equal(after->outs_s[0], after->since_s);
	}
	if (before->reason != REASON_NONE && after->reason == REASON_NONE) {
		returns_n++;
		assert_int_equal(event->result.reason, REASON_NONE);
		assert_true(after->successes_n >= conf->return_after);
		assert_true(event->result.at_s - after->good_since_s >=
		            standing_probation_s(before, event->result.at_s, conf));
		assert_int_equal(after->returned_s, event->result.at_s);
		uint64_t full_s;
		uint32_t permille = standing_ramp(after, after->returned_s, conf, &full_s);
		bool ramps = conf->ramp_s && conf->ramp_percent < 100;
		assert_int_equal(permille, ramps ? conf->ramp_percent * 10 : 1000);
		assert_int_equal(full_s, ramps ? after->returned_s + conf->ramp_s : 0);
	}
	assert_true(after->reason == REASON_NONE || after->warning == REASON_NONE);
	assert_true((after->warning == REASON_NONE) == (after->warning_since_s == 0));
	assert_true(after->checked_s >= before->checked_s);
	assert_true(after->outs_n <= 8);
}

static void test_histories(void **state)
{
	(void)state;
	random_state = 42;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct event events[EVENTS_N];
		struct conf_decision conf = draw_conf();
		draw_events(events, &conf);
		struct standing standing = { 0 };
		/* The oracle is slow: it is asked at every event of some histories, at the end of the others.
		 */
		bool every = round % 40 == 0;
		for (unsigned k = 0; k < EVENTS_N; k++) {
			struct standing before = standing;
			apply(&standing, &events[k], &conf);
			check_step(&before, &standing, &events[k], &conf);
			if (!every && k + 1 < EVENTS_N && below(60))
				continue;
			struct state want = oracle(events, k + 1, &conf);
			if (standing.reason != want.reason || standing.warning != want.warning)
				print_message("round %u, event %u\n", round, k);
			assert_int_equal(standing.reason, want.reason);
			assert_int_equal(standing.since_s, want.since_s);
			assert_int_equal(standing.warning, want.warning);
			assert_int_equal(standing.returned_s, want.returned_s);
			assert_int_equal(standing.outs_n, want.outs_n < 8 ? want.outs_n : 8);
		}
	}
	/* What was drawn came to each of these. */
	static const enum reason all[] = { REASON_SLOW,        REASON_OLD,           REASON_HTTP_ERROR,
		                           REASON_UNREACHABLE, REASON_WRONG_CONTENT, REASON_REFUSED };
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		assert_true(seen[all[i]] > 200);
	assert_true(returns_n > 2000);
}

/* A monitor that starts again from what it stored goes on as if it had never stopped. */
static void test_restarts(void **state)
{
	(void)state;
	random_state = 43;
	for (unsigned round = 0; round < ROUNDS / 4; round++) {
		struct event events[EVENTS_N];
		struct conf_decision conf = draw_conf();
		draw_events(events, &conf);
		struct standing whole = { 0 }, parts = { 0 };
		for (unsigned k = 0; k < EVENTS_N; k++) {
			if (below(5) == 0) {
				uint8_t stored[sizeof(parts)];
				memcpy(stored, &parts, sizeof(parts));
				memset(&parts, 0xa5, sizeof(parts));
				memcpy(&parts, stored, sizeof(parts));
			}
			apply(&whole, &events[k], &conf);
			apply(&parts, &events[k], &conf);
			assert_memory_equal(&whole, &parts, sizeof(whole));
		}
	}
}

/* Nothing overflows in a way that a sanitizer would stop at, and what is out of range is not read. */
static void test_extreme_numbers(void **state)
{
	(void)state;
	static const uint64_t times[] = { 0, 1, T0, INT64_MAX, UINT64_MAX - 1, UINT64_MAX };
	static const uint32_t numbers[] = { 0, 1, 2, 16, 17, 32, 33, INT32_MAX, UINT32_MAX - 1, UINT32_MAX };
	static const enum reason reasons[] = { REASON_NONE, REASON_UNREACHABLE, REASON_WRONG_CONTENT };
	random_state = 44;
	for (unsigned round = 0; round < 20000; round++) {
		struct conf_decision conf = { 0 };
		uint32_t *fields[] = { &conf.late_after_s, &conf.old_after_s,     &conf.unreachable_after,
			               &conf.slow_over_ms, &conf.slow_after,      &conf.return_after,
			               &conf.probation_s,  &conf.probation_max_s, &conf.flap_window_s,
			               &conf.ramp_s };
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			*fields[i] = numbers[below(10)];
		conf.ramp_percent = below(101);
		struct standing standing = { 0 };
		for (unsigned k = 0; k < 12; k++) {
			struct event event = { .is_check = below(3) > 0,
				               .now_s = times[below(6)],
				               .newest_s = times[below(6)],
				               .result = { .at_s = times[below(6)],
				                           .reason = reasons[below(3)],
				                           .timestamp_s = times[below(6)],
				                           .total_us = numbers[below(10)] } };
			struct standing before = standing;
			apply(&standing, &event, &conf);
			if (!event.is_check && before.reason != REASON_NONE)
				assert_int_not_equal(standing.reason, REASON_NONE);
			uint64_t full_s;
			assert_true(standing_ramp(&standing, event.now_s, &conf, &full_s) <= 1000);
			assert_true(standing_probation_s(&standing, event.now_s, &conf) <=
			            conf.probation_max_s);
			if (below(4) == 0) {
				standing_set_back(&standing, event.now_s);
				assert_true(standing.checked_s <= event.now_s &&
				            standing.since_s <= event.now_s);
			}
		}
	}
}

static uint32_t out_of(const struct opinion *opinions, size_t n)
{
	uint32_t out_n = 0;
	for (size_t i = 0; i < n; i++)
		out_n += opinions[i].reason != REASON_NONE;
	return out_n;
}

static bool is_said(const struct opinion *opinions, size_t n, enum reason reason)
{
	bool said = reason == REASON_NONE;
	for (size_t i = 0; i < n; i++)
		said |= opinions[i].reason == reason;
	return said;
}

static void check_opinions(const struct opinion *opinions, size_t n, uint32_t quorum,
                           const struct verdict *before)
{
	struct verdict got;
	judge(opinions, n, quorum, before, T0, &got);
	uint32_t out_n = out_of(opinions, n);
	assert_int_equal(got.votes_n, n);
	assert_int_equal(got.votes_out, out_n);
	if (n == 0 || n < quorum) {
		assert_int_equal(got.reason, before->reason);
		assert_int_equal(got.since_s, before->since_s);
		assert_string_equal(got.detail, before->detail);
		return;
	}
	assert_int_equal(got.reason != REASON_NONE, out_n > n - out_n);
	assert_true(is_said(opinions, n, got.reason));
	/* One against all others moves nothing, whatever held before. */
	if (n >= 2 && out_n == 1)
		assert_int_equal(got.reason, REASON_NONE);
	if (n >= 3 && out_n == n - 1)
		assert_int_not_equal(got.reason, REASON_NONE);
	/* No other reason is given by more of them. */
	for (int other = 1; got.reason != REASON_NONE && other < REASON_N; other++) {
		int more = 0;
		for (size_t i = 0; i < n; i++)
			more += ((int)opinions[i].reason == other) - (opinions[i].reason == got.reason);
		assert_true(more < 0 || (more == 0 && other <= (int)got.reason));
	}
	/* Who speaks first does not matter. */
	struct opinion turned[4];
	struct verdict same;
	for (size_t i = 0; i < n; i++)
		turned[i] = opinions[n - 1 - i];
	judge(turned, n, quorum, before, T0, &same);
	assert_int_equal(same.reason, got.reason);
	assert_int_equal(same.since_s, got.since_s);
}

static void test_all_opinions(void **state)
{
	(void)state;
	static const enum reason reasons[] = { REASON_NONE, REASON_SLOW, REASON_UNREACHABLE,
		                               REASON_WRONG_CONTENT };
	for (unsigned drawn = 0; drawn < 256; drawn++) {
		struct opinion opinions[4];
		for (unsigned i = 0; i < 4; i++)
			opinions[i] = (struct opinion){ .reason = reasons[drawn >> (2 * i) & 3],
				                        .since_s = T0 - i * 10,
				                        .detail = i % 2 ? "detail" : NULL };
		for (unsigned n = 0; n <= 4; n++) {
			for (uint32_t quorum = 0; quorum <= 5; quorum++) {
				for (size_t b = 0; b < 4; b++) {
					struct verdict before = { .reason = reasons[b],
						                  .since_s = T0 - 1000,
						                  .detail = "before" };
					check_opinions(opinions, n, quorum, &before);
				}
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_histories),
		cmocka_unit_test(test_restarts),
		cmocka_unit_test(test_extreme_numbers),
		cmocka_unit_test(test_all_opinions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
