/* decide: each rule at its boundary, with the numbers of the documentation's defaults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "mirrormon/decide.h"
#include "tests/unit/support/decision_defaults.h"

#define T0     1795244400U
#define DAY    86400U
#define NEWEST (T0 - 600U)

static const struct conf_decision conf = DECISION_DEFAULTS;

static struct check_result result_at(uint64_t at_s, enum reason reason)
{
	struct check_result result = { .at_s = at_s, .reason = reason, .total_us = 100000 };
	if (reason == REASON_NONE)
		result.timestamp_s = NEWEST;
	else
		strcpy(result.detail, reason_text(reason));
	return result;
}

static void observe(struct standing *standing, uint64_t at_s, enum reason reason)
{
	struct check_result result = result_at(at_s, reason);
	standing_observe(standing, &result, NEWEST, &conf);
}

static void observe_slow(struct standing *standing, uint64_t at_s, uint32_t total_us)
{
	struct check_result result = result_at(at_s, REASON_NONE);
	result.total_us = total_us;
	standing_observe(standing, &result, NEWEST, &conf);
}

static void observe_behind(struct standing *standing, uint64_t at_s, uint64_t behind_s)
{
	struct check_result result = result_at(at_s, REASON_NONE);
	result.timestamp_s = NEWEST - behind_s;
	standing_observe(standing, &result, NEWEST, &conf);
}

static void test_at_once(void **state)
{
	(void)state;
	static const enum reason reasons[] = { REASON_WRONG_CONTENT, REASON_REFUSED };
	for (size_t i = 0; i < 2; i++) {
		struct standing s = { 0 };
		observe(&s, T0, REASON_NONE);
		assert_int_equal(s.reason, REASON_NONE);
		observe(&s, T0 + 3600, reasons[i]);
		assert_int_equal(s.reason, reasons[i]);
		assert_int_equal(s.since_s, T0 + 3600);
		assert_string_equal(s.detail, reason_text(reasons[i]));
		assert_int_equal(s.warning, REASON_NONE);
	}
}

static void test_unreachable_after(void **state)
{
	(void)state;
	struct standing s = { 0 };
	observe(&s, T0, REASON_UNREACHABLE);
	assert_int_equal(s.reason, REASON_NONE);
	assert_int_equal(s.warning, REASON_UNREACHABLE);
	assert_int_equal(s.warning_since_s, T0);
	observe(&s, T0 + 300, REASON_UNREACHABLE);
	assert_int_equal(s.reason, REASON_NONE);
	assert_int_equal(s.warning_since_s, T0);
	observe(&s, T0 + 600, REASON_HTTP_ERROR);
	assert_int_equal(s.reason, REASON_HTTP_ERROR); /* by the last of them */
	assert_int_equal(s.since_s, T0 + 600);
	assert_int_equal(s.failing_since_s, T0);
	assert_int_equal(s.failures_n, 3);
	assert_int_equal(s.warning, REASON_NONE);

	/* A good one in between begins the count anew, and nothing is left of it. */
	memset(&s, 0, sizeof(s));
	for (unsigned i = 0; i < 8; i++)
		observe(&s, T0 + i * 300, i % 3 == 2 ? REASON_NONE : REASON_UNREACHABLE);
	assert_int_equal(s.reason, REASON_NONE);
	assert_int_equal(s.outs_n, 0);
	observe(&s, T0 + 3000, REASON_NONE);
	assert_int_equal(s.warning, REASON_NONE);
	assert_int_equal(s.warning_since_s, 0);
	assert_string_equal(s.detail, "");
}

/* The reason of one that is out follows what is found, its time begins anew, and it is out once. */
static void test_reason_changes(void **state)
{
	(void)state;
	struct standing s = { 0 };
	for (unsigned i = 0; i < 3; i++)
		observe(&s, T0 + i, REASON_UNREACHABLE);
	observe(&s, T0 + 10, REASON_HTTP_ERROR);
	assert_int_equal(s.reason, REASON_HTTP_ERROR);
	assert_int_equal(s.since_s, T0 + 10);
	observe(&s, T0 + 20, REASON_WRONG_CONTENT);
	assert_int_equal(s.reason, REASON_WRONG_CONTENT);
	observe_behind(&s, T0 + 30, 2 * DAY);
	assert_int_equal(s.reason, REASON_OLD); /* its content is right again, but old */
	assert_int_equal(s.outs_n, 1);
	assert_int_equal(s.outs_s[0], T0 + 2);
}

/* What was wrong when it was last seen may be given out to nobody, even if too few mirrors are left. */
static void test_wrong_content_does_not_turn_milder(void **state)
{
	(void)state;
	struct standing s = { 0 };
	observe_behind(&s, T0, DAY);
	observe(&s, T0 + 1, REASON_WRONG_CONTENT);
	for (unsigned i = 0; i < 9; i++)
		observe(&s, T0 + 10 + i, REASON_UNREACHABLE);
	assert_int_equal(s.reason, REASON_WRONG_CONTENT);
	assert_int_equal(s.since_s, T0 + 1);
	assert_string_equal(s.detail, "wrong-content");
	assert_int_equal(s.failures_n, 10);
	standing_pass(&s, T0 + 5 * DAY, NEWEST + 5 * DAY, &conf);
	assert_int_equal(s.reason, REASON_WRONG_CONTENT);
	observe(&s, T0 + 100, REASON_REFUSED);
	assert_int_equal(s.reason, REASON_REFUSED); /* not taken back either */
	observe(&s, T0 + 101, REASON_HTTP_ERROR);
	assert_int_equal(s.reason, REASON_REFUSED);
	observe(&s, T0 + 200, REASON_NONE);
	observe(&s, T0 + 800, REASON_NONE);
	assert_int_equal(s.reason, REASON_NONE);
	for (unsigned i = 0; i < 3; i++)
		observe(&s, T0 + 900 + i, REASON_UNREACHABLE);
	assert_int_equal(s.reason, REASON_UNREACHABLE);
}

static void test_late_and_old(void **state)
{
	(void)state;
	static const struct {
		uint64_t behind_s;
		enum reason warning, reason;
	} cases[] = {
		{ 0, REASON_NONE, REASON_NONE },      { DAY - 1, REASON_NONE, REASON_NONE },
		{ DAY, REASON_LATE, REASON_NONE },    { 2 * DAY - 1, REASON_LATE, REASON_NONE },
		{ 2 * DAY, REASON_NONE, REASON_OLD }, { 90 * DAY, REASON_NONE, REASON_OLD },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct standing s = { 0 };
		observe_behind(&s, T0, cases[i].behind_s);
		assert_int_equal(s.warning, cases[i].warning);
		assert_int_equal(s.reason, cases[i].reason);
		/* The same without a check, because others have gone on. */
		struct standing by_time = { 0 };
		observe(&by_time, T0, REASON_NONE);
		standing_pass(&by_time, T0 + cases[i].behind_s, NEWEST + cases[i].behind_s, &conf);
		assert_int_equal(by_time.warning, cases[i].warning);
		assert_int_equal(by_time.reason, cases[i].reason);
		assert_int_equal(by_time.since_s, cases[i].reason ? T0 + cases[i].behind_s : 0);
	}
	struct standing s = { 0 };
	observe_behind(&s, T0, 2 * DAY + 3600 + 120);
	assert_string_equal(s.detail, "its timestamp is 49 h 02 min behind the newest");
}

static void test_lateness_unknown(void **state)
{
	(void)state;
	struct standing s = { 0 };
	struct check_result result = result_at(T0, REASON_NONE);
	result.timestamp_s = NEWEST - 9 * DAY;
	standing_observe(&s, &result, 0, &conf); /* no reference was asked */
	assert_int_equal(s.reason, REASON_NONE);
	assert_int_equal(s.warning, REASON_NONE);
	standing_pass(&s, T0 + 9 * DAY, 0, &conf);
	assert_int_equal(s.reason, REASON_NONE);
	result.at_s++;
	result.timestamp_s = 0; /* none was read: the last one counts */
	standing_observe(&s, &result, NEWEST, &conf);
	assert_int_equal(s.reason, REASON_OLD);

	/* Ahead of the newest is not behind it, and nothing is late that was never checked. */
	memset(&s, 0, sizeof(s));
	standing_pass(&s, T0, NEWEST, &conf);
	struct standing untouched = { 0 };
	assert_memory_equal(&s, &untouched, sizeof(s));
	result = result_at(T0, REASON_NONE);
	result.timestamp_s = NEWEST + DAY;
	standing_observe(&s, &result, NEWEST, &conf);
	assert_int_equal(s.warning, REASON_NONE);
}

static void test_slow(void **state)
{
	(void)state;
	struct standing s = { 0 };
	for (unsigned i = 0; i < 40; i++)
		observe_slow(&s, T0 + i, 10000000); /* as long as that is not longer */
	assert_int_equal(s.slow_bits, 0);
	observe_slow(&s, T0 + 50, 10000001);
	assert_int_equal(s.slow_bits, 1);

	/* Five of nine, whichever; a failed check is none of the nine. */
	static const struct {
		const char *checks; /* s slow, f fast, x failed */
		enum reason reason;
	} cases[] = {
		{ "ssss", REASON_NONE },       { "sssss", REASON_SLOW },        { "sfsfsfsfs", REASON_SLOW },
		{ "sfsfsffsfs", REASON_NONE }, { "sssfffffs", REASON_NONE },    { "sfffsssfs", REASON_SLOW },
		{ "sffffsssfs", REASON_NONE }, { "sxsfxsfsfxxs", REASON_SLOW },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&s, 0, sizeof(s));
		for (unsigned k = 0; cases[i].checks[k]; k++) {
			assert_int_equal(s.reason, REASON_NONE);
			if (cases[i].checks[k] == 'x')
				observe(&s, T0 + k, REASON_UNREACHABLE);
			else
				observe_slow(&s, T0 + k, cases[i].checks[k] == 's' ? 30000000 : 1);
		}
		assert_int_equal(s.reason, cases[i].reason);
	}
	memset(&s, 0, sizeof(s));
	for (unsigned i = 0; i < 5; i++)
		observe_slow(&s, T0 + i, 12000000);
	assert_string_equal(s.detail, "5 of the last 9 checks took longer than 10.0 s");

	/* The good checks are counted from where fewer than five of nine are slow. */
	for (unsigned i = 0; i < 4; i++)
		observe(&s, T0 + 1000 + i, REASON_NONE);
	assert_int_equal(s.successes_n, 0);
	observe(&s, T0 + 2000, REASON_NONE);
	observe(&s, T0 + 2600, REASON_NONE);
	assert_int_equal(s.reason, REASON_NONE);

	struct conf_decision never = conf;
	never.slow_over_ms = 0;
	memset(&s, 0, sizeof(s));
	for (unsigned i = 0; i < 40; i++) {
		struct check_result result = result_at(T0 + i, REASON_NONE);
		result.total_us = UINT32_MAX;
		standing_observe(&s, &result, NEWEST, &never);
	}
	assert_int_equal(s.reason, REASON_NONE);
}

static void test_return(void **state)
{
	(void)state;
	struct standing s = { 0 };
	observe(&s, T0, REASON_WRONG_CONTENT);
	observe(&s, T0 + 100, REASON_NONE);
	assert_int_equal(s.good_since_s, T0 + 100);
	observe(&s, T0 + 699, REASON_NONE); /* two of them, a second short of the probation */
	assert_int_equal(s.reason, REASON_WRONG_CONTENT);
	struct standing again = s;
	observe(&s, T0 + 700, REASON_NONE);
	assert_int_equal(s.reason, REASON_NONE);
	assert_int_equal(s.since_s, T0 + 700);
	assert_int_equal(s.returned_s, T0 + 700);
	assert_string_equal(s.detail, "");

	/* One failure begins it anew, though alone it would take nobody out. */
	observe(&again, T0 + 700, REASON_UNREACHABLE);
	assert_int_equal(again.reason, REASON_WRONG_CONTENT);
	observe(&again, T0 + 1000, REASON_NONE);
	observe(&again, T0 + 1599, REASON_NONE);
	assert_int_equal(again.reason, REASON_WRONG_CONTENT);
	observe(&again, T0 + 1600, REASON_NONE);
	assert_int_equal(again.reason, REASON_NONE);

	/* The probation is over with the first good check after a long while, but it takes two. */
	struct conf_decision at_once = conf;
	at_once.probation_s = 0;
	memset(&s, 0, sizeof(s));
	observe(&s, T0, REASON_REFUSED);
	struct check_result result = result_at(T0 + DAY, REASON_NONE);
	standing_observe(&s, &result, NEWEST, &at_once);
	assert_int_equal(s.reason, REASON_REFUSED);
	result.at_s++;
	standing_observe(&s, &result, NEWEST, &at_once);
	assert_int_equal(s.reason, REASON_NONE);
}

/* A late mirror is warned, not bad: it comes back, but by a check only. */
static void test_nothing_returns_by_waiting(void **state)
{
	(void)state;
	struct standing s = { 0 };
	observe(&s, T0, REASON_WRONG_CONTENT);
	observe_behind(&s, T0 + 100, DAY);
	observe_behind(&s, T0 + 200, DAY);
	standing_pass(&s, T0 + 700, NEWEST, &conf);
	standing_pass(&s, T0 + DAY / 2, NEWEST + DAY / 2, &conf);
	assert_int_equal(s.reason, REASON_WRONG_CONTENT);
	observe_behind(&s, T0 + DAY / 2, DAY);
	assert_int_equal(s.reason, REASON_NONE);
	assert_int_equal(s.warning, REASON_LATE);

	/* And what time alone shows to be old has to be good from there on. */
	memset(&s, 0, sizeof(s));
	observe(&s, T0, REASON_WRONG_CONTENT);
	observe(&s, T0 + 100, REASON_NONE);
	standing_pass(&s, T0 + 2 * DAY, NEWEST + 2 * DAY, &conf);
	assert_int_equal(s.reason, REASON_OLD);
	assert_int_equal(s.successes_n, 0);
}

static void test_flapping_doubles_probation(void **state)
{
	(void)state;
	struct standing s = { 0 };
	uint64_t now_s = T0;
	static const uint64_t wait_s[] = { 600, 1200, 2400, 4800, 9600 };
	assert_int_equal(standing_probation_s(&s, now_s, &conf), 600);
	for (size_t i = 0; i < 5; i++) {
		observe(&s, now_s, REASON_REFUSED);
		observe(&s, ++now_s, REASON_NONE);
		assert_int_equal(standing_probation_s(&s, now_s, &conf), wait_s[i]);
		observe(&s, now_s + wait_s[i] - 1, REASON_NONE);
		assert_int_equal(s.reason, REASON_REFUSED);
		observe(&s, now_s += wait_s[i], REASON_NONE);
		assert_int_equal(s.reason, REASON_NONE);
		now_s++;
	}
	/* An out counts until flap_window_s have passed since. */
	assert_int_equal(standing_probation_s(&s, T0 + DAY - 1, &conf), 9600);
	assert_int_equal(standing_probation_s(&s, T0 + DAY, &conf), 4800);
	assert_int_equal(standing_probation_s(&s, T0 + 9 * DAY, &conf), 600);

	/* Eight are remembered, and probation_max_s is the end of it. */
	struct conf_decision quick = conf;
	quick.probation_s = 1;
	quick.probation_max_s = 100;
	quick.return_after = 1;
	memset(&s, 0, sizeof(s));
	for (unsigned i = 0; i < 30; i++) {
		struct check_result bad = result_at(T0 + 1000 * i, REASON_REFUSED);
		standing_observe(&s, &bad, NEWEST, &quick);
		struct check_result good = result_at(T0 + 1000 * i + 1, REASON_NONE);
		standing_observe(&s, &good, NEWEST, &quick);
		uint64_t probation_s = standing_probation_s(&s, good.at_s, &quick);
		assert_int_equal(probation_s, i < 7 ? 1U << i : 100);
		good.at_s += probation_s;
		standing_observe(&s, &good, NEWEST, &quick);
		assert_int_equal(s.reason, REASON_NONE);
	}
	assert_int_equal(s.outs_n, 8);
	assert_int_equal(s.outs_s[0], T0 + 29000);
	assert_int_equal(s.outs_s[7], T0 + 22000);
}

static void test_ramp(void **state)
{
	(void)state;
	struct standing s = { 0 };
	uint64_t full_s = 1;
	assert_int_equal(standing_ramp(&s, T0, &conf, &full_s), 1000); /* it was never out */
	assert_int_equal(full_s, 0);
	s.returned_s = T0;
	assert_int_equal(standing_ramp(&s, T0, &conf, &full_s), 100);
	assert_int_equal(full_s, T0 + 21600);
	assert_int_equal(standing_ramp(&s, T0 + 21599, &conf, &full_s), 100);
	assert_int_equal(standing_ramp(&s, T0 + 21600, &conf, &full_s), 1000);
	assert_int_equal(full_s, 0);
	struct conf_decision none = conf;
	none.ramp_s = 0;
	assert_int_equal(standing_ramp(&s, T0, &none, &full_s), 1000);
	none = conf;
	none.ramp_percent = 100;
	assert_int_equal(standing_ramp(&s, T0, &none, &full_s), 1000);
}

static void test_brief(void **state)
{
	(void)state;
	struct standing s = { 0 };
	observe(&s, T0, REASON_UNREACHABLE);
	struct standing before = s;
	static const enum reason ignored[] = { REASON_NONE, REASON_UNREACHABLE, REASON_HTTP_ERROR,
		                               REASON_REFUSED };
	for (size_t i = 0; i < 4; i++) {
		struct check_result brief = result_at(T0 + 10 + i, ignored[i]);
		brief.brief = true;
		standing_observe(&s, &brief, NEWEST, &conf);
		assert_memory_equal(&s, &before, sizeof(s));
	}
	struct check_result wrong = result_at(T0 + 20, REASON_WRONG_CONTENT);
	wrong.brief = true;
	standing_observe(&s, &wrong, NEWEST, &conf);
	assert_int_equal(s.reason, REASON_WRONG_CONTENT);
	assert_int_equal(s.checked_s, T0 + 20);
}

static void test_out_of_order(void **state)
{
	(void)state;
	struct standing s = { 0 };
	observe(&s, T0, REASON_NONE);
	struct standing before = s;
	observe(&s, T0 - 1, REASON_WRONG_CONTENT);
	observe(&s, 0, REASON_WRONG_CONTENT); /* there was none */
	assert_memory_equal(&s, &before, sizeof(s));
	observe(&s, T0, REASON_WRONG_CONTENT); /* of the same second: not older */
	assert_int_equal(s.reason, REASON_WRONG_CONTENT);
	struct standing fresh = { 0 }, zero = { 0 };
	observe(&fresh, 0, REASON_WRONG_CONTENT);
	assert_memory_equal(&fresh, &zero, sizeof(fresh));
}

static void test_clock_jumps(void **state)
{
	(void)state;
	/* Ahead by a year and back: the checks after that would all be older than the last. */
	struct standing s = { 0 };
	observe(&s, T0, REASON_NONE);
	observe(&s, T0 + 365 * DAY, REASON_REFUSED);
	observe(&s, T0 + 365 * DAY + 5, REASON_NONE);
	struct standing stuck = s;
	observe(&stuck, T0 + 100, REASON_NONE);
	observe(&stuck, T0 + 900, REASON_NONE);
	assert_int_equal(stuck.reason, REASON_REFUSED);
	standing_set_back(&s, T0 + 50);
	assert_int_equal(s.reason, REASON_REFUSED); /* keeps what was decided */
	assert_int_equal(s.since_s, T0 + 50);
	assert_int_equal(s.outs_s[0], T0 + 50);
	assert_int_equal(s.good_since_s, T0 + 50);
	observe(&s, T0 + 100, REASON_NONE);
	observe(&s, T0 + 649, REASON_NONE);
	assert_int_equal(s.reason, REASON_REFUSED);
	observe(&s, T0 + 650, REASON_NONE);
	assert_int_equal(s.reason, REASON_NONE);
	struct standing before = s;
	standing_set_back(&s, T0 + 650); /* no time is ahead: nothing to do */
	assert_memory_equal(&s, &before, sizeof(s));

	/* A pass with a clock that is behind makes nobody good. */
	memset(&s, 0, sizeof(s));
	observe(&s, T0, REASON_WRONG_CONTENT);
	observe_behind(&s, T0 + 1, DAY);
	observe_behind(&s, T0 + 2, DAY);
	standing_pass(&s, T0 - 5000, NEWEST, &conf);
	assert_int_equal(s.reason, REASON_WRONG_CONTENT);
}

static void test_join(void **state)
{
	(void)state;
	struct standing s = { .failures_n = 7 };
	uint64_t full_s;
	standing_join(&s, T0);
	assert_int_equal(s.reason, REASON_OUT_OF_SYNC);
	assert_int_equal(s.since_s, T0);
	assert_int_equal(s.failures_n, 0);
	assert_string_equal(s.detail, "new: on probation");
	observe(&s, T0 + 1, REASON_NONE);
	observe(&s, T0 + 600, REASON_NONE);
	assert_int_equal(s.reason, REASON_OUT_OF_SYNC);
	assert_string_equal(s.detail, "new: on probation");
	observe(&s, T0 + 601, REASON_NONE);
	assert_int_equal(s.reason, REASON_NONE);
	assert_int_equal(standing_ramp(&s, T0 + 601, &conf, &full_s), 100);
	assert_int_equal(s.outs_n, 0); /* it was never in */
}

static struct verdict decide(const char *opinions, uint32_t quorum, const struct verdict *before)
{
	static const enum reason reasons[] = {
		['-'] = REASON_NONE,          ['o'] = REASON_OLD,     ['u'] = REASON_UNREACHABLE,
		['w'] = REASON_WRONG_CONTENT, ['r'] = REASON_REFUSED, ['s'] = REASON_SLOW,
	};
	struct opinion list[16];
	char details[16][24];
	size_t n = strlen(opinions);
	for (size_t i = 0; i < n; i++) {
		snprintf(details[i], sizeof(details[i]), "%zu", i);
		list[i] = (struct opinion){ .reason = reasons[(unsigned char)opinions[i]],
			                    .since_s = 1000 - i,
			                    .detail = details[i] };
	}
	struct verdict verdict;
	judge(list, n, quorum, before, 2000, &verdict);
	return verdict;
}

static void test_judge(void **state)
{
	(void)state;
	static const struct {
		const char *opinions;
		uint32_t quorum;
		enum reason before, want;
		uint64_t since_s;
	} cases[] = {
		{ "u", 1, REASON_NONE, REASON_UNREACHABLE, 1000 },
		{ "u", 2, REASON_NONE, REASON_NONE, 500 },
		{ "-", 2, REASON_OLD, REASON_OLD, 500 },
		{ "", 0, REASON_OLD, REASON_OLD, 500 },
		{ "u-", 2, REASON_NONE, REASON_NONE, 500 }, /* half is not more than half */
		{ "uu", 2, REASON_NONE, REASON_UNREACHABLE, 999 },
		{ "u-u", 2, REASON_NONE, REASON_UNREACHABLE, 998 },
		{ "u--", 2, REASON_NONE, REASON_NONE, 500 },
		{ "w--", 2, REASON_NONE, REASON_NONE, 500 },
		{ "--u", 2, REASON_UNREACHABLE, REASON_NONE, 2000 },
		{ "uuo-", 3, REASON_NONE, REASON_UNREACHABLE, 999 },
		{ "uo-", 2, REASON_NONE, REASON_UNREACHABLE, 1000 }, /* of equals the worse */
		{ "wou-s", 3, REASON_NONE, REASON_WRONG_CONTENT, 1000 },
		{ "owowoo-", 3, REASON_NONE, REASON_OLD, 995 },
		{ "uu", 2, REASON_UNREACHABLE, REASON_UNREACHABLE,
		  500 }, /* since it was out, not since they say */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct verdict before = { .reason = cases[i].before, .since_s = 500, .detail = "before" };
		struct verdict got = decide(cases[i].opinions, cases[i].quorum, &before);
		assert_int_equal(got.reason, cases[i].want);
		assert_int_equal(got.since_s, cases[i].since_s);
		assert_int_equal(got.votes_n, strlen(cases[i].opinions));
		size_t out_n = 0;
		for (const char *p = cases[i].opinions; *p; p++)
			out_n += *p != '-';
		assert_int_equal(got.votes_out, out_n);
	}
	struct verdict none = { .reason = REASON_NONE };
	assert_string_equal(decide("-wu-ww", 3, &none).detail, "1"); /* of the first who gives the reason */
	struct verdict out = { .reason = REASON_OLD, .detail = "before" };
	assert_string_equal(decide("---", 2, &out).detail, "");
	assert_string_equal(decide("-", 2, &out).detail, "before");

	/* Without since and detail: from now on. */
	struct opinion bare = { .reason = REASON_OLD };
	struct verdict got;
	judge(&bare, 1, 1, &none, 2000, &got);
	assert_int_equal(got.since_s, 2000);
	assert_string_equal(got.detail, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_unreachable_after),
		cmocka_unit_test(test_reason_changes),
		cmocka_unit_test(test_wrong_content_does_not_turn_milder),
		cmocka_unit_test(test_late_and_old),
		cmocka_unit_test(test_lateness_unknown),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_return),
		cmocka_unit_test(test_nothing_returns_by_waiting),
		cmocka_unit_test(test_flapping_doubles_probation),
		cmocka_unit_test(test_ramp),
		cmocka_unit_test(test_brief),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_clock_jumps),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_judge),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
