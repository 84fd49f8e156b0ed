/*
 * The gate of a new version: its rules one by one, then random pools that versions spread through, against
 * the rules counted a second time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "mirrormon/decide.h"
#include "tests/unit/support/pool_fixture.h"

#define T0          1795244400U
#define MIRRORS_MAX 24

static const struct conf_announce conf = {
	.enabled = true, .quorum_percent = 60, .limit_s = 7200, .settle_s = 300
};

/* "DE 5 5 4- FR 6 !5": by country the version of each mirror; - without the patch, ! out, 0 not seen. */
static size_t read_mirrors(const char *text, struct gate_mirror *mirrors)
{
	char copy[256];
	char *save = NULL;
	size_t n = 0;
	uint16_t country = COUNTRY_UNKNOWN;
	strcpy(copy, text);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (word[0] >= 'A' && word[0] <= 'Z') {
			country = country_from_code(word);
			continue;
		}
		bool is_out = word[0] == '!';
		mirrors[n++] = (struct gate_mirror){ .country = country,
			                             .is_in = !is_out,
			                             .version = (uint32_t)atoi(word + is_out),
			                             .has_patch = !strchr(word, '-') };
	}
	return n;
}

/* Returns who lacks it, "01" by mirror. */
static const char *pass_with(const struct conf_announce *with, const char *text, uint32_t reference,
                             uint64_t now_s, struct announced *announced)
{
	static char lacks_text[MIRRORS_MAX + 1];
	struct gate_mirror mirrors[MIRRORS_MAX];
	bool lacks[MIRRORS_MAX];
	size_t n = read_mirrors(text, mirrors);
	gate_pass(with, mirrors, n, reference, now_s, announced, lacks);
	for (size_t i = 0; i < n; i++)
		lacks_text[i] = lacks[i] ? '1' : '0';
	lacks_text[n] = '\0';
	return lacks_text;
}

static const char *pass(const char *text, uint32_t reference, uint64_t now_s, struct announced *announced)
{
	return pass_with(&conf, text, reference, now_s, announced);
}

static void test_quorum(void **state)
{
	(void)state;
	static const struct {
		const char *mirrors;
		uint32_t reference, ready, candidate;
		const char *waiting_for;
	} cases[] = {
		{ "DE 5 5 5", 5, 0, 0, "" },
		{ "DE 6 5 5", 6, 0, 6, "DE 1 of 3" },
		{ "DE 6 6 5", 6, 6, 0, "" }, /* 60 % of 3, rounded up, are 2 */
		{ "DE 6 6 5 5", 6, 0, 6, "DE 2 of 4" },
		{ "DE 6 6 6 5 5", 6, 6, 0, "" },
		{ "DE 6 6 6 FR 5", 6, 0, 6, "FR 0 of 1" },
		{ "DE 6 6 6 FR 5 JP 5 5", 6, 0, 6, "FR 0 of 1, JP 0 of 2" },
		{ "DE 6 6 6 FR !5", 6, 6, 0, "" }, /* a country of which nobody is in is not waited for */
		{ "DE 6 6 !5 !5 !5", 6, 6, 0, "" },
		{ "DE 6 6- 5", 6, 0, 6, "DE 1 of 3" }, /* without the patch it does not have it */
		{ "DE 6 6 0", 6, 6, 0, "" },
		{ "DE 6 0 0", 6, 0, 6, "DE 1 of 3" },
		{ "DE 7 6 5", 7, 6, 7, "DE 1 of 3" },  /* a higher one counts for a lower */
		{ "DE 7- 6 5", 7, 6, 7, "DE 0 of 3" }, /* whose patch is its own matter */
		{ "DE 7 7 7", 6, 6, 0, "" },           /* no reference has 7; who has it has 6 as well */
		{ "DE 6 6 5", 0, 6, 0, "" },           /* no reference: two have it */
		{ "DE 7 6 6", 0, 6, 0, "" },           /* one alone proves nothing */
		{ "DE 6", 0, 6, 0, "" },               /* where there is only one */
		{ "DE 6 !5", 0, 6, 0, "" },
		{ "DE 5 5", 9, 0, 9, "DE 0 of 2" }, /* references are ahead */
		{ "DE 4 4", 4, 0, 0, "" },          /* never back */
		{ "DE 4 4", 0, 0, 0, "" },
		{ "", 6, 0, 6, "" },
		{ "-- 6 6", 6, 6, 0, "" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct announced a = { .version = 5 };
		pass(cases[i].mirrors, cases[i].reference, T0, &a);
		if (a.ready != cases[i].ready || a.candidate != cases[i].candidate)
			print_message("case: %s\n", cases[i].mirrors);
		assert_int_equal(a.ready, cases[i].ready);
		assert_int_equal(a.candidate, cases[i].candidate);
		assert_int_equal(a.version, 5);
		assert_string_equal(a.waiting_for, cases[i].waiting_for);
	}
}

static void test_settles(void **state)
{
	(void)state;
	struct announced a = { .version = 5 };
	assert_string_equal(pass("DE 6 5 5", 6, T0, &a), "000");
	assert_int_equal(a.candidate_since_s, T0);
	assert_int_equal(a.have_n, 1);
	assert_int_equal(a.of_n, 3);
	assert_string_equal(pass("DE 6 6 5", 6, T0 + 60, &a), "001");
	assert_int_equal(a.ready, 6);
	assert_int_equal(a.ready_since_s, T0 + 60);
	assert_int_equal(a.candidate_since_s, 0);
	assert_string_equal(pass("DE 6 6 5", 6, T0 + 359, &a), "001");
	assert_int_equal(a.version, 5);
	assert_string_equal(pass("DE 6 6 5", 6, T0 + 360, &a), "001");
	assert_int_equal(a.version, 6);
	assert_int_equal(a.since_s, T0 + 360);
	assert_int_equal(a.ready, 0);
	assert_string_equal(pass("DE 6 6 6", 6, T0 + 400, &a), "000");
	assert_string_equal(pass("DE 6 6 6-", 6, T0 + 400, &a), "001");
	assert_string_equal(pass("DE 6 6 !5", 6, T0 + 400, &a), "000");

	struct conf_announce at_once = conf;
	at_once.settle_s = 0;
	a = (struct announced){ 0 };
	assert_string_equal(pass_with(&at_once, "DE 6 6 5", 6, T0, &a), "001");
	assert_int_equal(a.version, 6);

	/* Nothing is announced yet: nobody lacks it. */
	a = (struct announced){ 0 };
	assert_string_equal(pass("DE 6 0 0", 6, T0, &a), "000");
}

static void test_overtaken(void **state)
{
	(void)state;
	struct announced a = { .version = 5 };
	pass("DE 6 6 5", 7, T0, &a);
	assert_int_equal(a.ready, 6);
	assert_int_equal(a.candidate, 7);
	assert_string_equal(pass("DE 7 7 6", 7, T0 + 200, &a), "001");
	assert_int_equal(a.ready, 7);
	assert_int_equal(a.ready_since_s, T0 + 200);
	pass("DE 7 7 6", 7, T0 + 499, &a);
	assert_int_equal(a.version, 5);
	pass("DE 7 7 6", 7, T0 + 500, &a);
	assert_int_equal(a.version, 7);
}

static void test_limit(void **state)
{
	(void)state;
	struct announced a = { .version = 5 };
	const char *mirrors = "DE 6 6 6 6 6 6 FR 5 5 5 5";
	pass(mirrors, 6, T0, &a);
	pass(mirrors, 6, T0 + 7199, &a);
	assert_int_equal(a.ready, 0);
	assert_string_equal(pass(mirrors, 6, T0 + 7200, &a), "0000001111");
	assert_int_equal(a.ready, 6);

	/* Fewer than 60 % of all are not enough, however long it takes. */
	a = (struct announced){ .version = 5 };
	mirrors = "DE 6 6 6 6 6 5 FR 5 5 5 5";
	pass(mirrors, 6, T0, &a);
	pass(mirrors, 6, T0 + 999999, &a);
	assert_int_equal(a.ready, 0);
	assert_int_equal(a.candidate_since_s, T0);

	/* 0 waits for ever; a newer one does not begin the wait anew. */
	struct conf_announce patient = conf;
	patient.limit_s = 0;
	a = (struct announced){ .version = 5 };
	mirrors = "DE 6 6 6 6 6 6 FR 5 5 5 5";
	pass_with(&patient, mirrors, 6, T0, &a);
	pass_with(&patient, mirrors, 6, T0 + 999999, &a);
	assert_int_equal(a.ready, 0);
	a = (struct announced){ .version = 5 };
	pass(mirrors, 6, T0, &a);
	pass("DE 7 7 7 7 7 7 FR 5 5 5 5", 7, T0 + 7000, &a);
	assert_int_equal(a.candidate, 7);
	pass("DE 7 7 7 7 7 7 FR 5 5 5 5", 7, T0 + 7200, &a);
	assert_int_equal(a.ready, 7);
}

/* Mirrors that had it went out, or were put back to the version before, while the others were leaving. */
static void test_quorum_lost_while_settling(void **state)
{
	(void)state;
	struct announced a = { .version = 5 };
	pass("DE 6 6 5", 6, T0, &a);
	assert_int_equal(a.ready, 6);
	assert_string_equal(pass("DE !6 6 5", 6, T0 + 300, &a), "000");
	assert_int_equal(a.version, 5);
	assert_int_equal(a.ready, 0);
	assert_int_equal(a.candidate, 6);
	assert_int_equal(a.candidate_since_s, T0 + 300);
	pass("DE 6 6 5", 6, T0 + 330, &a);
	assert_int_equal(a.ready_since_s, T0 + 330);
	pass("DE 6 6 5", 6, T0 + 630, &a);
	assert_int_equal(a.version, 6);

	a = (struct announced){ .version = 5 };
	pass("DE 6 6 5", 6, T0, &a);
	pass("DE 5 5 5", 5, T0 + 300, &a); /* a bad one was withdrawn everywhere */
	assert_int_equal(a.version, 5);
	assert_int_equal(a.candidate, 0);
	assert_int_equal(a.ready, 0);
}

static void test_clock_goes_back(void **state)
{
	(void)state;
	struct announced a = { .version = 5 };
	pass("DE 6 6 5", 6, T0, &a);
	pass("DE 6 6 5", 6, T0 - 100000, &a);
	assert_int_equal(a.version, 5);
	pass("DE 6 6 5", 6, T0 - 100000 + 299, &a);
	assert_int_equal(a.version, 5);
	pass("DE 6 6 5", 6, T0 - 100000 + 300, &a);
	assert_int_equal(a.version, 6);

	a = (struct announced){ .version = 5 };
	const char *mirrors = "DE 6 6 6 6 6 6 FR 5 5 5 5";
	pass(mirrors, 6, T0, &a);
	pass(mirrors, 6, T0 - 100000, &a);
	assert_int_equal(a.ready, 0);
	pass(mirrors, 6, T0 - 100000 + 7200, &a);
	assert_int_equal(a.ready, 6);
}

static void test_waiting_for_is_cut(void **state)
{
	(void)state;
	struct gate_mirror mirrors[200];
	bool lacks[200];
	for (unsigned i = 0; i < 200; i++)
		mirrors[i] = (struct gate_mirror){ .country = (uint16_t)(1 + i), .is_in = true };
	struct announced a = { 0 };
	gate_pass(&conf, mirrors, 200, 3, T0, &a, lacks);
	size_t len = strlen(a.waiting_for);
	assert_in_range(len, MODEL_DETAIL_MAX - 30, MODEL_DETAIL_MAX - 1);
	assert_string_equal(a.waiting_for + len - 5, ", ...");
	assert_memory_equal(a.waiting_for, "AA 0 of 1, AB 0 of 1, ", 22);
}

/* The rules again, counted the long way. */

static bool oracle_has(const struct gate_mirror *mirror, uint32_t version)
{
	if (!mirror->is_in || mirror->version < version)
		return false;
	return mirror->version != version || mirror->has_patch;
}

/* country < 0: of all. */
static bool oracle_share(const struct gate_mirror *mirrors, size_t n, uint32_t version, int country)
{
	uint32_t of_n = 0, have_n = 0;
	for (size_t i = 0; i < n; i++) {
		if (!mirrors[i].is_in || (country >= 0 && mirrors[i].country != country))
			continue;
		of_n++;
		have_n += oracle_has(&mirrors[i], version);
	}
	if (of_n == 0)
		return country >= 0;
	return have_n >= 1 && 100 * (uint64_t)have_n >= (uint64_t)conf.quorum_percent * of_n;
}

static bool oracle_quorum(const struct gate_mirror *mirrors, size_t n, uint32_t version)
{
	for (size_t i = 0; i < n; i++) {
		if (!oracle_share(mirrors, n, version, mirrors[i].country))
			return false;
	}
	return oracle_share(mirrors, n, version, -1);
}

static bool oracle_counts(const struct gate_mirror *mirrors, size_t n, uint32_t reference, uint32_t version)
{
	if (reference > 0 && version > reference)
		return false;
	if (version == reference)
		return true;
	uint32_t seen_n = 0, exact_n = 0, in_n = 0;
	for (size_t i = 0; i < n; i++) {
		in_n += mirrors[i].is_in;
		exact_n += mirrors[i].is_in && mirrors[i].version == version;
		seen_n += mirrors[i].is_in && mirrors[i].version >= version;
	}
	return exact_n > 0 && (reference > 0 || in_n < 2 || seen_n >= 2);
}

static uint64_t random_state = 7;

static uint32_t below(uint32_t n)
{
	return random_below(&random_state, n);
}

static void check_pass(const struct gate_mirror *mirrors, size_t n, uint32_t reference, uint64_t now_s,
                       const struct announced *before, const struct announced *after, const bool *lacks)
{
	bool kept = before->ready && oracle_share(mirrors, n, before->ready, -1);
	uint32_t held = kept ? before->ready : before->version;
	uint32_t want = 0;
	for (uint32_t version = 1; version < 40; version++) {
		if (version > held && oracle_counts(mirrors, n, reference, version) &&
		    oracle_quorum(mirrors, n, version))
			want = version;
	}
	uint32_t taken = after->ready ? after->ready : after->version != before->version ? after->version : 0;

	assert_true(after->version >= before->version);
	assert_true(after->ready == 0 || after->ready > after->version);
	assert_true(after->candidate == 0 ||
	            after->candidate > (after->ready ? after->ready : after->version));
	if (want)
		assert_true(taken >= want); /* the limit may allow a higher one */
	if (taken && taken != held) {
		assert_true(oracle_counts(mirrors, n, reference, taken));
		assert_true(oracle_share(mirrors, n, taken, -1));
		uint64_t waited_s = before->candidate ? now_s - before->candidate_since_s : 0;
		if (!oracle_quorum(mirrors, n, taken))
			assert_true(waited_s >= conf.limit_s);
		else if (waited_s < conf.limit_s)
			assert_int_equal(taken, want);
	}
	if (after->version != before->version) {
		assert_int_equal(after->version, before->ready);
		assert_true(now_s - before->ready_since_s >= conf.settle_s);
		assert_true(oracle_share(mirrors, n, after->version, -1));
	} else if (kept && after->ready == before->ready) {
		assert_true(now_s - before->ready_since_s < conf.settle_s);
	}
	uint32_t wanted = after->ready ? after->ready : after->version;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(lacks[i], mirrors[i].is_in && wanted && !oracle_has(&mirrors[i], wanted));
}

static void test_random_spreads(void **state)
{
	(void)state;
	uint32_t announced_n = 0, lost_n = 0, limit_n = 0;
	for (unsigned round = 0; round < 1500; round++) {
		struct gate_mirror mirrors[MIRRORS_MAX];
		bool lacks[MIRRORS_MAX];
		size_t n = 1 + below(MIRRORS_MAX);
		uint32_t countries_n = 1 + below(5), steps = below(8) ? 900 : 2 * 3600, newest = 1;
		for (size_t i = 0; i < n; i++)
			mirrors[i] = (struct gate_mirror){ .country = (uint16_t)below(countries_n),
				                           .is_in = below(6) > 0,
				                           .version = below(3) ? 1 : 0,
				                           .has_patch = true };
		struct announced a = { 0 };
		uint64_t now_s = T0;
		bool has_reference = below(3) > 0;
		for (unsigned step = 0; step < 60; step++) {
			now_s += below(4) ? 30 : below(steps);
			if (below(10) == 0)
				newest++;
			for (unsigned k = below(4); k > 0; k--) {
				struct gate_mirror *mirror = &mirrors[below((uint32_t)n)];
				switch (below(8)) {
				case 0: mirror->is_in = !mirror->is_in; break;
				case 1:
					mirror->version = below(newest + 2); /* back, or it lies */
					break;
				case 2: mirror->has_patch = below(2); break;
				default: mirror->version = newest; mirror->has_patch = true;
				}
			}
			struct announced before = a;
			uint32_t reference = has_reference ? newest : 0;
			gate_pass(&conf, mirrors, n, reference, now_s, &a, lacks);
			check_pass(mirrors, n, reference, now_s, &before, &a, lacks);
			announced_n += a.version != before.version;
			lost_n += before.ready && !a.ready && a.version == before.version;
			limit_n += a.ready != before.ready && a.ready && !oracle_quorum(mirrors, n, a.ready);
		}
	}
	/* What was drawn came to each of these. */
	assert_true(announced_n > 1000 && lost_n > 100 && limit_n > 50);
}

static void test_extreme_numbers(void **state)
{
	(void)state;
	static const uint32_t versions[] = { 0, 1, UINT32_MAX - 1, UINT32_MAX };
	static const uint64_t times[] = { 0, 1, T0, UINT64_MAX - 1, UINT64_MAX };
	for (unsigned round = 0; round < 20000; round++) {
		struct gate_mirror mirrors[4];
		bool lacks[4];
		for (size_t i = 0; i < 4; i++)
			mirrors[i] = (struct gate_mirror){ .country = (uint16_t)(below(2) * (COUNTRY_N - 1)),
				                           .is_in = below(4) > 0,
				                           .version = versions[below(4)],
				                           .has_patch = below(2) };
		struct conf_announce wild = { .quorum_percent = below(2) ? 60 : UINT32_MAX * below(2),
			                      .limit_s = below(2) ? UINT32_MAX : 1,
			                      .settle_s = below(2) ? UINT32_MAX : 0 };
		struct announced a = { .version = versions[below(4)],
			               .candidate = versions[below(4)],
			               .candidate_since_s = times[below(5)],
			               .ready_since_s = times[below(5)] };
		if (a.version < UINT32_MAX && below(2))
			a.ready = UINT32_MAX;
		uint32_t before = a.version;
		gate_pass(&wild, mirrors, below(5), versions[below(4)], times[below(5)], &a, lacks);
		assert_true(a.version >= before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quorum),
		cmocka_unit_test(test_settles),
		cmocka_unit_test(test_overtaken),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_quorum_lost_while_settling),
		cmocka_unit_test(test_clock_goes_back),
		cmocka_unit_test(test_waiting_for_is_cut),
		cmocka_unit_test(test_random_spreads),
		cmocka_unit_test(test_extreme_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
