/* What is read of a feed, where its two forms meet what people and programs write. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "zones/pool/feed.h"

#define T0 1795244400U

static int parse(const char *text, struct diag *diag, struct feed **ret_feed)
{
	diag_init(diag);
	return feed_parse(text, strlen(text), "feed", "test", T0, diag, ret_feed);
}

/* Both forms take the same numbers: a time without its colons is a usual serial. */
static void test_serials(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t serial; /* 0 = refused */
	} table[] = {
		{ "1", 1 },
		{ "999999999999", 999999999999 },
		{ "20261121070000", 20261121070000 },
		{ "9223372036854775807", INT64_MAX },
		{ "9223372036854775808", 0 },
		{ "99999999999999999999999999", 0 },
		{ "-1", 0 },
		{ "1.5", 0 },
		{ "0x10", 0 },
	};
	static const char *const forms[] = { "serial %s\n", "{ \"format\": 1, \"serial\": %s }" };
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		for (size_t form = 0; form < 2; form++) {
			char text[100];
			struct diag diag;
			struct feed *feed = NULL;
			snprintf(text, sizeof(text), forms[form], table[i].text);
			int rc = parse(text, &diag, &feed);
			if ((rc == 0) != (table[i].serial != 0))
				fail_msg("%s: %d", text, rc);
			if (rc == 0)
				assert_int_equal(feed->serial, table[i].serial);
			feed_unref(feed);
			diag_fini(&diag);
		}
	}
}

/* A detail that is too long ends between two characters, or journal and explain could not tell it. */
static void test_long_detail(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		char text[600];
		size_t used = (size_t)snprintf(text, sizeof(text), "m1 late %.*s", (int)shift, "abc");
		for (unsigned i = 0; i < 60; i++)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "\xf0\x9f\x90\xa2");
		snprintf(text + used, sizeof(text) - used, "\n");
		struct diag diag;
		struct feed *feed;
		assert_int_equal(parse(text, &diag, &feed), 0);
		const char *detail = feed->exclusions[0].detail;
		assert_int_equal(strlen(detail), shift + (200 - shift) / 4 * 4);
		json_t *value = json_string(detail);
		assert_non_null(value);
		json_decref(value);
		feed_unref(feed);
		diag_fini(&diag);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serials),
		cmocka_unit_test(test_long_detail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
