/* The breaker: which feeds are held back, for how long, and what an operator's word does. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/site_fixture.h"
#include "zones/keep.h"
#include "zones/pool/country.h"

#define T0     1795244400U
#define HOLD   600U
#define WINDOW 3600U

/* Ten mirrors, so that max-removal = 30 is three: m0 to m2 in DE, m3 alone in FR, m4 to m9 in US. */
static void init(struct site_fixture *site)
{
	static const char *const countries[10] = {
		"DE", "DE", "DE", "FR", "US", "US", "US", "US", "US", "US"
	};
	char mirrors[2048] = "mirrors = (\n";
	size_t used = strlen(mirrors);
	for (unsigned i = 0; i < 10; i++)
		used += (size_t)snprintf(mirrors + used, sizeof(mirrors) - used,
		                         "{ host = \"m%u\"; country = \"%s\"; addresses = [ \"192.0.2.%u\", "
		                         "\"2001:db8::%u\" ]; }%s\n",
		                         i, countries[i], i, i, i < 9 ? "," : ");");
	site_init(site, mirrors, "regions = ( { name = \"europe\"; countries = [ \"DE\", \"FR\" ]; } );\n",
	          "max-removal = 30; feed-hold = \"10m\"; removal-window = \"1h\";", T0);
}

/* Mirrors by number, "4 5": unreachable all of them. */
static void write_feed(const struct site_fixture *site, unsigned serial, const char *out)
{
	char text[1024];
	size_t used = (size_t)snprintf(text, sizeof(text), "serial %u\n", serial);
	for (; *out; out++) {
		if (*out != ' ')
			used += (size_t)snprintf(text + used, sizeof(text) - used, "m%c unreachable\n", *out);
	}
	site_write_feed(site, text);
}

static const struct zones_feed *entry_of(const struct site_fixture *site)
{
	return &site->zones->feeds[0];
}

/* The serial in force, that which is held, and how many mirrors are out. */
static void expect(const struct site_fixture *site, unsigned in_force, unsigned held, size_t out_n, int line)
{
	const struct zones_feed *entry = entry_of(site);
	uint64_t serial = entry->feed ? entry->feed->serial : 0;
	uint64_t held_serial = entry->held ? entry->held->serial : 0;
	if (serial != in_force || held_serial != held || entry->state.out_n != out_n)
		fail_msg("line %d: %" PRIu64 " in force, %" PRIu64 " held, %zu out", line, serial,
		         held_serial, entry->state.out_n);
}

#define EXPECT(in_force, held, out_n) expect(&site, in_force, held, out_n, __LINE__)

static void step(struct site_fixture *site, unsigned serial, const char *out, uint64_t now_s)
{
	write_feed(site, serial, out);
	site_read(site, now_s);
}

/* By a start with an empty feed; then what one more feed does. */
static const struct {
	const char *what;
	const char *before;
	const char *next;
	size_t removed_n; /* 0 = not held */
	const char *emptied;
} steps[] = {
	{ "at the limit", "", "456", 0, NULL },
	{ "one over", "", "4567", 4, NULL },
	{ "a country of several", "", "012", 3, "DE" },
	{ "two of three", "", "01", 0, NULL },
	{ "a country of one", "", "3", 0, NULL },
	{ "everybody", "", "0123456789", 10, "US" },
	{ "the limit is for what is new", "456", "4567", 4, NULL },
	{ "brings all back", "456", "", 0, NULL },
	{ "brings some back", "012", "01", 0, NULL },
	{ "the same again", "456", "456", 0, NULL },
	{ "others instead, as many, one of them new", "456", "457", 0, NULL },
};

static void test_limits(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct site_fixture site;
		init(&site);
		step(&site, 1, "", T0);
		step(&site, 2, steps[i].before, T0 + 1);
		bool first_held = entry_of(&site)->held;
		/* What is in force by an operator's word counts as before all the same. */
		if (first_held)
			assert_int_equal(zones_accept_feed(site.zones, 0, "ann", T0 + 1), 0);
		step(&site, 3, steps[i].next, T0 + 2);
		const struct zones_feed *entry = entry_of(&site);
		if (!entry->held != !steps[i].removed_n)
			fail_msg("%s: %s", steps[i].what, entry->held ? "held" : "not held");
		assert_int_equal(entry->feed->serial, entry->held ? 2 : 3);
		assert_int_equal(entry->state.out_n, strlen(entry->held ? steps[i].before : steps[i].next));
		if (entry->held) {
			assert_true(site_has_told(&site, "held back for 600 s"));
			assert_int_equal(entry->held_finding.removed_n, steps[i].removed_n);
			assert_int_equal(entry->held_finding.emptied,
			                 steps[i].emptied ? country_from_text(steps[i].emptied)
			                                  : COUNTRY_UNKNOWN);
		}
		site_fini(&site);
	}
}

static void test_hold(void **state)
{
	(void)state;
	struct site_fixture site;
	init(&site);
	step(&site, 1, "", T0);
	step(&site, 2, "45678", T0 + 100);
	EXPECT(1, 2, 0);
	assert_int_equal(zones_next_change(site.zones, site_clock(T0 + 100)), T0 + 100 + HOLD);
	/* A newer one that says the same does not begin the hold anew. */
	step(&site, 3, "45678", T0 + 400);
	EXPECT(1, 3, 0);
	assert_false(site_has_told(&site, "held back"));
	site_read(&site, T0 + 100 + HOLD - 1);
	EXPECT(1, 3, 0);
	site_read(&site, T0 + 100 + HOLD);
	EXPECT(3, 0, 5);
	assert_true(site_has_told(&site, "still says the same"));
	/* In force, it stays so; one more is now little. */
	site_read(&site, T0 + 100 + HOLD + 1);
	EXPECT(3, 0, 5);
	step(&site, 4, "456780", T0 + 100 + HOLD + 2);
	EXPECT(4, 0, 6);
	site_fini(&site);
}

static void test_less_drastic(void **state)
{
	(void)state;
	struct site_fixture site;
	init(&site);
	step(&site, 1, "", T0);
	step(&site, 2, "45678", T0 + 10);
	EXPECT(1, 2, 0);
	step(&site, 3, "45", T0 + 20);
	EXPECT(3, 0, 2);
	/* The next one that is drastic is held for its whole time. */
	step(&site, 4, "45678", T0 + 10 + HOLD);
	EXPECT(3, 4, 2);
	/* A feed that is broken, or goes back, ends the hold: nothing persists. */
	site_write_feed(&site, "{ \"format\": 1,");
	site_read(&site, T0 + 20 + HOLD);
	EXPECT(3, 0, 2);
	step(&site, 5, "456789", T0 + 30 + HOLD);
	EXPECT(3, 5, 2);
	step(&site, 2, "45", T0 + 40 + HOLD);
	EXPECT(3, 0, 2);
	site_write_feed(&site, NULL);
	site_read(&site, T0 + 50 + HOLD);
	EXPECT(3, 0, 2);
	site_fini(&site);
}

static void test_operator(void **state)
{
	(void)state;
	struct site_fixture site;
	init(&site);
	step(&site, 1, "", T0);
	assert_int_equal(zones_accept_feed(site.zones, 0, "ann", T0), -ENOENT);
	assert_int_equal(zones_reject_feed(site.zones, 0, "ann", T0), -ENOENT);
	step(&site, 2, "45678", T0 + 10);
	assert_int_equal(zones_accept_feed(site.zones, 0, "ann", T0 + 20), 0);
	EXPECT(2, 0, 5);
	site_read(&site, T0 + 30);
	EXPECT(2, 0, 5);
	step(&site, 3, "", T0 + 40);
	EXPECT(3, 0, 0);

	/* Rejected: however long it says so. */
	step(&site, 4, "45678", T0 + 1000);
	EXPECT(3, 4, 0);
	assert_int_equal(zones_reject_feed(site.zones, 0, "ann", T0 + 1010), 0);
	assert_int_equal(zones_next_change(site.zones, site_clock(T0 + 1010)), 0);
	site_read(&site, T0 + 1000 + HOLD);
	EXPECT(3, 4, 0);
	site_read(&site, T0 + 1000 + 100 * HOLD);
	EXPECT(3, 4, 0);
	/* Nor when the one before came back in between. */
	step(&site, 3, "", T0 + 1001 + 100 * HOLD);
	step(&site, 4, "45678", T0 + 1002 + 100 * HOLD);
	site_read(&site, T0 + 1002 + 200 * HOLD);
	assert_int_equal(entry_of(&site)->feed->serial, 3);
	assert_int_equal(zones_next_change(site.zones, site_clock(T0 + 1002 + 200 * HOLD)), 0);
	/* A higher serial is another feed: held for its own time, and told. */
	uint64_t late_s = T0 + 1003 + 200 * HOLD;
	step(&site, 5, "45678", late_s);
	EXPECT(3, 5, 0);
	assert_true(site_has_told(&site, "serial 5 takes out 5 of 10"));
	assert_int_equal(zones_next_change(site.zones, site_clock(late_s)), late_s + HOLD);
	site_read(&site, late_s + HOLD - 1);
	EXPECT(3, 5, 0);
	site_read(&site, late_s + HOLD);
	EXPECT(5, 0, 5);
	site_fini(&site);
}

/* A plain feed need not have a serial; then it can't be rejected, but it comes into force by itself. */
static void test_no_serial(void **state)
{
	(void)state;
	struct site_fixture site;
	init(&site);
	site_write_feed(&site, "# nobody\n");
	site_read(&site, T0);
	site_write_feed(&site, "m4 old\nm5 old\nm6 old\nm7 old\n");
	site_read(&site, T0 + 10);
	assert_non_null(entry_of(&site)->held);
	assert_false(zones_feed_is_rejected(entry_of(&site)));
	assert_int_equal(zones_reject_feed(site.zones, 0, "ann", T0 + 10), -EINVAL);
	assert_int_equal(zones_next_change(site.zones, site_clock(T0 + 10)), T0 + 10 + HOLD);
	site_read(&site, T0 + 10 + HOLD);
	EXPECT(0, 0, 4);
	site_fini(&site);
}

/* One every minute: none of them is much, all of them are. */
static void test_drip(void **state)
{
	(void)state;
	struct site_fixture site;
	init(&site);
	step(&site, 1, "", T0);
	step(&site, 2, "4", T0 + 60);
	step(&site, 3, "45", T0 + 120);
	step(&site, 4, "456", T0 + 180);
	EXPECT(4, 0, 3);
	step(&site, 5, "4560", T0 + 240);
	EXPECT(4, 5, 3);
	assert_true(site_has_told(&site, "takes out 4 of 10 mirrors within 3600 s: held back for 600 s"));
	assert_int_equal(entry_of(&site)->held_finding.recent_n, 3);
	step(&site, 6, "456", T0 + 250);
	EXPECT(6, 0, 3);
	/* What went out longer ago than removal-window does not count any more. */
	step(&site, 7, "4560", T0 + 60 + WINDOW - 1);
	EXPECT(6, 7, 3);
	step(&site, 8, "4560", T0 + 60 + WINDOW);
	EXPECT(8, 0, 4);
	/* In and out again is no new beginning for the others. */
	step(&site, 9, "456", T0 + 61 + WINDOW);
	step(&site, 10, "45601", T0 + 62 + WINDOW);
	EXPECT(9, 10, 3);
	site_fini(&site);
}

/* One every eleven minutes, which is over feed-hold each time: a monitor that has gone mad slowly. */
static void test_slow(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		const char *out[10];
		size_t passes_n; /* feeds before the one that is held */
		const char *emptied;
		const char *after;
	} cases[] = {
		{ "over the limit", { "4", "45", "456", "4567", NULL }, 3, NULL, "45670" },
		{ "a country of several", { "0", "01", "012", NULL }, 2, "DE", "01245" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct site_fixture site;
		init(&site);
		step(&site, 1, "", T0);
		size_t n = 0;
		for (; cases[i].out[n]; n++) {
			step(&site, (unsigned)n + 2, cases[i].out[n], T0 + (n + 1) * (HOLD + 60));
			if (!entry_of(&site)->held != (n < cases[i].passes_n))
				fail_msg("%s: feed %zu is %s", cases[i].what, n,
				         entry_of(&site)->held ? "held" : "not held");
		}
		assert_int_equal(entry_of(&site)->held_finding.emptied,
		                 cases[i].emptied ? country_from_text(cases[i].emptied) : COUNTRY_UNKNOWN);
		/* It persists: in force, and none of it counts any more. */
		uint64_t held_s = T0 + n * (HOLD + 60);
		site_read(&site, held_s + HOLD);
		EXPECT((unsigned)n + 1, 0, strlen(cases[i].out[n - 1]));
		step(&site, 20, cases[i].after, held_s + HOLD + 1);
		EXPECT(20, 0, 5);
		site_fini(&site);
	}
}

/* While a feed is held it comes to want more: that is no older for what it wanted before. */
static void test_grows(void **state)
{
	(void)state;
	struct site_fixture site;
	init(&site);
	step(&site, 1, "", T0);
	step(&site, 2, "45678", T0);
	EXPECT(1, 2, 0);
	/* One more would pass by itself. */
	step(&site, 3, "456780", T0 + HOLD - 1);
	EXPECT(1, 3, 0);
	assert_false(site_has_told(&site, "held back"));
	assert_int_equal(zones_next_change(site.zones, site_clock(T0 + HOLD - 1)), T0 + HOLD);
	/* All would not. */
	step(&site, 4, "0123456789", T0 + HOLD - 1);
	EXPECT(1, 4, 0);
	assert_true(site_has_told(&site, "takes out 10 of 10 mirrors at once and empties country US: held "
	                                 "back for 600 s"));
	assert_int_equal(zones_next_change(site.zones, site_clock(T0 + HOLD - 1)), T0 + 2 * HOLD - 1);
	site_read(&site, T0 + 2 * HOLD - 2);
	EXPECT(1, 4, 0);
	assert_false(site_has_told(&site, "held back"));
	/* The first ones alone have been asked for long enough. */
	step(&site, 5, "45678", T0 + 2 * HOLD - 2);
	EXPECT(5, 0, 5);
	step(&site, 6, "0123456789", T0 + 2 * HOLD - 2);
	EXPECT(5, 6, 5);
	site_read(&site, T0 + 3 * HOLD - 2);
	EXPECT(6, 0, 10);
	site_fini(&site);
}

/* Of whom a text says so: "0-2 late, 3 old". */
static void step_reasons(struct site_fixture *site, unsigned serial, const char *out, uint64_t now_s)
{
	char text[2048];
	char copy[128];
	char *rest;
	size_t used = (size_t)snprintf(text, sizeof(text), "serial %u\n", serial);
	assert_true(strlen(out) < sizeof(copy));
	strcpy(copy, out);
	for (char *entry = strtok_r(copy, ",", &rest); entry; entry = strtok_r(NULL, ",", &rest)) {
		unsigned first;
		unsigned last;
		char family[4];
		char reason[24];
		assert_int_equal(sscanf(entry, " %u-%u %3s %23s", &first, &last, family, reason), 4);
		for (unsigned i = first; i <= last; i++)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u %s\n",
			                         strcmp(family, "v6") == 0 ? "2001:db8::" : "m", i, reason);
	}
	site_write_feed(site, text);
	site_read(site, now_s);
}

static const struct {
	const char *what;
	const char *before;
	const char *next;
	bool held;
	const char *emptied;
} reasons[] = {
	{ "a country that is out of sync has its mirrors still", "", "0-2 all out-of-sync", false, NULL },
	{ "so one that is late or slow", "", "0-1 all late, 2-2 all slow", false, NULL },
	{ "so one where one is slow", "", "0-1 all unreachable, 2-2 all slow", false, NULL },
	{ "one more would be too much", "", "0-3 all slow", true, NULL },
	{ "out of sync counts half", "", "4-9 all out-of-sync", false, NULL },
	{ "but it counts", "", "3-9 all out-of-sync", true, NULL },
	{ "beside others", "", "0-3 all out-of-sync, 4-4 all old", false, NULL },
	{ "beside more of them", "", "0-3 all out-of-sync, 4-5 all old", true, NULL },
	{ "from slow to dead", "0-2 all slow", "0-2 all unreachable", true, "DE" },
	{ "one of them", "0-2 all slow", "0-0 all wrong-content, 1-2 all slow", false, NULL },
	{ "from out of sync to dead", "4-9 all out-of-sync", "4-9 all old", true, "US" },
	{ "from dead to slow", "0-1 all old", "0-1 all slow", false, NULL },
	{ "all slow over IPv6, which has nobody then", "", "0-2 v6 slow", true, "DE" },
	{ "and over IPv4", "", "0-2 all slow, 0-2 v6 unreachable", true, "DE" },
};

static void test_reasons(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		struct site_fixture site;
		init(&site);
		step(&site, 1, "", T0);
		step_reasons(&site, 2, reasons[i].before, T0 + 1);
		assert_null(entry_of(&site)->held);
		step_reasons(&site, 3, reasons[i].next, T0 + 2);
		const struct zones_feed *entry = entry_of(&site);
		if (!entry->held != !reasons[i].held)
			fail_msg("%s: %s", reasons[i].what, entry->held ? "held" : "not held");
		uint16_t emptied =
		        reasons[i].emptied ? country_from_text(reasons[i].emptied) : COUNTRY_UNKNOWN;
		if (entry->held && entry->held_finding.emptied != emptied)
			fail_msg("%s: empties %u", reasons[i].what, entry->held_finding.emptied);
		site_fini(&site);
	}
}

/* Each renewal reads the feed again. What is odd about it is told once, and again by a reload; its object, by
 * which the saved one is known, stays the same. */
static void test_again(void **state)
{
	(void)state;
	struct site_fixture site;
	init(&site);
	site_write_feed(&site, "serial 1\nm4 old\nnobody old\nm5 tired\n");
	site_read(&site, T0);
	EXPECT(1, 0, 1);
	assert_true(site_has_told(&site, "no mirror or address \"nobody\""));
	assert_true(site_has_told(&site, "unknown reason \"tired\""));
	const struct feed *feed = entry_of(&site)->feed;
	site_read(&site, T0 + 60);
	assert_int_equal(site.told.messages_n, 0);
	assert_ptr_equal(entry_of(&site)->feed, feed);
	site_reload(&site, false, T0 + 70);
	assert_true(site_has_told(&site, "no mirror or address \"nobody\""));
	/* What is wrong with one that is refused is told each time. */
	site_write_feed(&site, "serial 2\nm4\n");
	for (unsigned i = 0; i < 2; i++) {
		site_read(&site, T0 + 80 + i);
		assert_true(site_has_told(&site, "without a reason"));
	}
	EXPECT(1, 0, 1);
	site_fini(&site);
}

/* A feed of another network's mirrors: so many warnings that nobody would see what matters. */
static void test_many_warnings(void **state)
{
	(void)state;
	struct site_fixture site;
	init(&site);
	step(&site, 1, "", T0);
	char *text = NULL;
	size_t text_len;
	FILE *out = open_memstream(&text, &text_len);
	assert_non_null(out);
	fputs("serial 2\nm4 old\nm5 old\nm6 old\nm7 old\n", out);
	for (unsigned i = 0; i < 2 * DIAG_MESSAGES_MAX; i++)
		fprintf(out, "other%u old\n", i);
	assert_int_equal(fclose(out), 0);
	site_write_feed(&site, text);
	site_read(&site, T0 + 10);
	EXPECT(1, 2, 0);
	assert_int_equal(site.told.messages_n, DIAG_MESSAGES_MAX);
	assert_true(site_has_told(&site, "held back for 600 s"));
	free(text);
	site_fini(&site);
}

static void test_clock(void **state)
{
	(void)state;
	struct site_fixture site;
	init(&site);
	step(&site, 1, "", T0);
	step(&site, 2, "45678", T0 + 50000);
	EXPECT(1, 2, 0);
	/* A day back: held for its time from then on, not for a day. */
	site_read(&site, T0 - 86400);
	EXPECT(1, 2, 0);
	assert_int_equal(zones_next_change(site.zones, site_clock(T0 - 86400)), T0 - 86400 + HOLD);
	site_read(&site, T0 - 86400 + HOLD);
	EXPECT(2, 0, 5);
	/* Removals that are noted for later than now are old ones. */
	step(&site, 3, "", T0);
	step(&site, 4, "456", T0 + 1);
	step(&site, 5, "4567", T0 - 86400);
	EXPECT(5, 0, 4);
	site_fini(&site);
}

static void test_reload(void **state)
{
	(void)state;
	struct site_fixture site;
	init(&site);
	step(&site, 1, "", T0);
	step(&site, 2, "45", T0 + 10);
	step(&site, 3, "456789", T0 + 20);
	EXPECT(2, 3, 2);
	/* A reload carries what is held on, with its time. */
	site_reload(&site, false, T0 + 300);
	EXPECT(2, 3, 2);
	assert_int_equal(entry_of(&site)->held_since_s, T0 + 20);
	/* So does a feed that is saved over a restart: the file is judged against it. */
	assert_int_equal(keep_write_feed(site.state_dir, "test", entry_of(&site)->feed), 0);
	site_reload(&site, true, T0 + 400);
	EXPECT(2, 3, 2);
	/* Without anything to compare with, what the feed says is in force at once. */
	char path[160];
	snprintf(path, sizeof(path), "%s/feed-test.saved", site.state_dir);
	assert_int_equal(remove(path), 0);
	site_reload(&site, true, T0 + 500);
	EXPECT(3, 0, 6);
	site_fini(&site);
}

static void test_expired(void **state)
{
	(void)state;
	struct site_fixture site;
	init(&site);
	char text[128];
	snprintf(text, sizeof(text), "serial 1\nvalid-until %u\nm0 old\n", T0 + 60);
	site_write_feed(&site, text);
	site_read(&site, T0);
	EXPECT(1, 0, 1);
	assert_int_equal(zones_next_change(site.zones, site_clock(T0)), T0 + 61);
	/* Looked at in its last second, it is not over; but the next one is not forgotten. */
	site_read(&site, T0 + 60);
	assert_false(site_has_told(&site, "was valid until"));
	assert_int_equal(zones_next_change(site.zones, site_clock(T0 + 60)), T0 + 61);
	site_read(&site, T0 + 61);
	assert_true(site_has_told(&site, "was valid until"));
	EXPECT(1, 0, 1);
	assert_int_equal(zones_next_change(site.zones, site_clock(T0 + 61)), 0);
	site_read(&site, T0 + 62);
	assert_false(site_has_told(&site, "was valid until"));
	step(&site, 2, "", T0 + 70);
	EXPECT(2, 0, 0);
	site_fini(&site);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),       cmocka_unit_test(test_hold),
		cmocka_unit_test(test_less_drastic), cmocka_unit_test(test_operator),
		cmocka_unit_test(test_no_serial),    cmocka_unit_test(test_drip),
		cmocka_unit_test(test_clock),        cmocka_unit_test(test_reload),
		cmocka_unit_test(test_expired),      cmocka_unit_test(test_slow),
		cmocka_unit_test(test_grows),        cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_again),        cmocka_unit_test(test_many_warnings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
