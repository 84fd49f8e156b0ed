/* The text exposition format: exact bytes, escapes, growth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/text.h"

/* Takes the text and compares it. */
static void check_text(struct metrics_text *text, const char *want)
{
	size_t len;
	char *bytes = metrics_text_take(text, &len);
	assert_non_null(bytes);
	assert_int_equal(len, strlen(want));
	assert_memory_equal(bytes, want, len);
	free(bytes);
	assert_int_equal(text->len, 0);
	metrics_text_fini(text);
}

static void test_families(void **state)
{
	(void)state;
	struct metrics_text text;
	metrics_text_init(&text);
	metrics_text_family(&text, "dnsd_a_total", METRICS_COUNTER, "what a is");
	metrics_text_sample(&text, 0, NULL);
	metrics_text_family(&text, "dnsd_b", METRICS_GAUGE, "what b is");
	metrics_text_sample(&text, UINT64_MAX, "x", "1", NULL);
	metrics_text_sample(&text, 7, "x", "2", "y", "", NULL);
	metrics_text_sample_real(&text, -0.25, "x", "3", NULL);
	metrics_text_sample_real(&text, 0.000227, NULL);
	metrics_text_family(&text, "dnsd_c", METRICS_GAUGE, "nothing yet");
	metrics_text_append(&text, "# HELP dnsd_d d\n", 16);
	check_text(&text, "# HELP dnsd_a_total what a is\n"
	                  "# TYPE dnsd_a_total counter\n"
	                  "dnsd_a_total 0\n"
	                  "# HELP dnsd_b what b is\n"
	                  "# TYPE dnsd_b gauge\n"
	                  "dnsd_b{x=\"1\"} 18446744073709551615\n"
	                  "dnsd_b{x=\"2\",y=\"\"} 7\n"
	                  "dnsd_b{x=\"3\"} -0.25\n"
	                  "dnsd_b 0.000227\n"
	                  "# HELP dnsd_c nothing yet\n"
	                  "# TYPE dnsd_c gauge\n"
	                  "# HELP dnsd_d d\n");
}

static void test_escapes(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		const char *label;
		const char *help;
	} table[] = {
		{ "plain text.", "plain text.", "plain text." },
		{ "a\\b", "a\\\\b", "a\\\\b" },
		{ "a\"b", "a\\\"b", "a\"b" },
		{ "a\nb", "a\\nb", "a\\nb" },
		{ "\\n\n", "\\\\n\\n", "\\\\n\\n" },
		{ "a\tb\r\x7f", "a?b??", "a?b??" },
		{ "a\xff\xc3\xa4", "a???", "a???" },
		{ "x=\"1\"} 3", "x=\\\"1\\\"} 3", "x=\"1\"} 3" },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char want[256];
		struct metrics_text text;
		metrics_text_init(&text);
		metrics_text_family(&text, "f", METRICS_GAUGE, table[i].value);
		metrics_text_sample(&text, 1, "l", table[i].value, NULL);
		snprintf(want, sizeof(want), "# HELP f %s\n# TYPE f gauge\nf{l=\"%s\"} 1\n", table[i].help,
		         table[i].label);
		check_text(&text, want);
	}
}

static void test_grows(void **state)
{
	(void)state;
	enum { SAMPLES = 20000 };
	struct metrics_text text;
	metrics_text_init(&text);
	metrics_text_family(&text, "f", METRICS_GAUGE, "many");
	for (uint64_t i = 0; i < SAMPLES; i++)
		metrics_text_sample(&text, i, "i", "a-label-of-some-length", NULL);
	size_t len;
	char *bytes = metrics_text_take(&text, &len);
	assert_non_null(bytes);
	unsigned lines = 0;
	const char *at = bytes;
	for (const char *end; (end = memchr(at, '\n', len - (size_t)(at - bytes))) != NULL; at = end + 1) {
		char want[64];
		snprintf(want, sizeof(want), "f{i=\"a-label-of-some-length\"} %u\n", lines++ - 2);
		if (lines > 2)
			assert_memory_equal(at, want, strlen(want));
	}
	assert_int_equal(at - bytes, len);
	assert_int_equal(lines, SAMPLES + 2);
	free(bytes);
}

/* Once memory has run out there is no text, whatever is written later. */
static void test_failed(void **state)
{
	(void)state;
	size_t len = 77;
	struct metrics_text text;
	metrics_text_init(&text);
	metrics_text_family(&text, "f", METRICS_GAUGE, "half");
	text.failed = true;
	metrics_text_sample(&text, 1, NULL);
	assert_null(metrics_text_take(&text, &len));
	assert_int_equal(len, 77);
	metrics_text_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_failed),
	};
	return cmocka_run_group_tests_name("metrics text", tests, NULL, NULL);
}
