/* What the status site is made with: escaped texts, file names, sums, the shapes of the world. */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirrormon/site_files.h"
#include "mirrormon/site_graphs.h"
#include "mirrormon/site_svg.h"
#include "mirrormon/site_text.h"
#include "mirrormon/site_world.h"
#include "tests/unit/support/folder.h"

static void text_escapes(void **state)
{
	(void)state;
	struct site_text text;
	site_text_init(&text, SITE_XML);
	site_add(&text, "<b>%s</b>%5.1f%%|%" PRIu64 "|%zu|%d|%02x|%c", "<a href=\"x\">'&", 2.25, UINT64_MAX,
	         (size_t)7, 42, 10, '<');
	/* Numbers that printf() is spared of, and those next to them. */
	site_add(&text, "%.1f %.3f %.2f %.1f %.1f %.0f %d %u %.1f", 0.0, 12.0625, 99.999, -1.5, 1e12, 7.0, -3,
	         0U, 0.05);
	static const char expected[] =
	        "<b>&lt;a href=&quot;x&quot;&gt;&#39;&amp;</b>  2.2%|18446744073709551615|7|42|0a|&lt;"
	        "0.0 12.063 100.00 -1.5 1000000000000.0 7 -3 0 0.1";
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.bytes, expected, text.len);
	site_text_fini(&text);
	/* Good UTF-8 stays; cut off, overlong, surrogate, control and bidi characters do not. */
	site_text_init(&text, SITE_XML);
	site_add(
	        &text, "%s",
	        "\xc3\x85land \xe2\x80\xae \xc3( \xc0\xaf \xed\xa0\x80 \x01\n\x7f \xf0\x9f\x90\xa7 \xe2\x82");
	assert_memory_equal(text.bytes, "\xc3\x85land ??? ?( ?? ??? ??? \xf0\x9f\x90\xa7 ??", text.len);
	assert_int_equal(text.len, strlen("\xc3\x85land ??? ?( ?? ??? ??? \xf0\x9f\x90\xa7 ??"));
	site_text_fini(&text);
	site_text_init(&text, SITE_CSV);
	site_add(&text, "\"%s\",\"%s\"", "=cmd|' /C calc'!A0", "say \"no\"\n");
	assert_memory_equal(text.bytes, "\"'=cmd|' /C calc'!A0\",\"say \"\"no\"\"?\"", text.len);
	site_text_fini(&text);
}

static void durations(void **state)
{
	(void)state;
	static const struct {
		uint64_t s;
		const char *text;
	} cases[] = { { 0, "0 s" },         { 119, "119 s" },  { 120, "2 min" },        { 7199, "119 min" },
		      { 7200, "2 h" },      { 86400, "24 h" }, { 90061, "25 h 1 min" }, { 172800, "2 d" },
		      { 180000, "2 d 2 h" } };
	char text[SITE_DURATION_MAX];
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(site_duration(cases[i].s, text), cases[i].text);
}

static void file_names(void **state)
{
	(void)state;
	static const struct {
		const char *host, *name;
	} cases[] = { { "clamav.Example.org", "clamav.example.org" },
		      { "../../etc/passwd", "_2e._2f.._2fetc_2fpasswd" },
		      { ".hidden", "_2ehidden" },
		      { "a_b", "a_5fb" },
		      { "", "_" },
		      { "x.badge", "x_2ebadge" },
		      { "a b\"<", "a_20b_22_3c" } };
	char name[SITE_FILE_MAX];
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(site_file_name(cases[i].host, name), cases[i].name);
	/* Too long ones are cut, and still differ. */
	char host[600];
	char other[SITE_FILE_MAX];
	memset(host, '/', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	site_file_name(host, name);
	host[sizeof(host) - 2] = '_';
	site_file_name(host, other);
	assert_true(strlen(name) < SITE_FILE_MAX);
	assert_null(strchr(name, '/'));
	assert_string_not_equal(name, other);
}

static void rows_add_up(void **state)
{
	(void)state;
	struct history_span hours[SITE_HOURS] = { 0 };
	struct site_row row;
	for (size_t i = 24; i < 48; i++)
		hours[i] = (struct history_span){
			.checks_n = 2, .good_n = 2, .total_ms_mean = i % 2 ? 100 : 300, .age_s_mean = 3600
		};
	hours[30].good_n = 1;
	hours[30].worst = REASON_HTTP_ERROR;
	hours[47].good_n = 0;
	hours[47].worst = REASON_UNREACHABLE;
	site_row_make(hours, &row);
	assert_int_equal(row.days[0].checks_n, 0);
	assert_int_equal(row.days[1].checks_n, 48);
	assert_int_equal(row.days[1].good_n, 45);
	assert_int_equal(row.days[1].worst, REASON_UNREACHABLE);
	assert_int_equal(row.points[1], 255);
	assert_int_equal(row.points[2], 95);
	assert_int_equal(row.points[3], 91);
	assert_int_equal(row.day_checks_n, 48);
	/* 23 good checks of 300 ms, 22 of 100 ms. */
	assert_true(row.duration_avg_s > 0.2021 && row.duration_avg_s < 0.2023);
	assert_true(row.duration_stddev_s > 0.0999 && row.duration_stddev_s < 0.1);
	assert_true(row.delay_s > 3599.9 && row.delay_s < 3600.1);
	struct site_tick ticks[SITE_TICKS_MAX];
	double top;
	assert_int_equal(site_svg_ticks(100, " %", ticks, &top), 5);
	assert_string_equal(ticks[1].label, "25 %");
	site_svg_ticks(1234, " ms", ticks, &top);
	assert_true(top >= 1234 && top <= 2000);
}

static void damaged_worlds_are_told(void **state)
{
	(void)state;
	static const char *const worlds[] = {
		"",
		"DE\tGermany\tM1,1z\n",
		"# viewBox=\"0 0 100 50\"\nDE\tGermany\tM1,1z",
		"# viewBox=\"0 0 100 50\"\nDE\tGermany\tM1,1z\"/><script>\n",
		"# viewBox=\"0 0 100 50\"\nGermany\tM1,1z\n",
		"# viewBox=\"0 0 100 50\"\nDE\tGermany\tM1,1z\nDE\tGermany\tM1,1z\n",
		"# viewBox=\"0 0 0 50\"\n",
		"# viewBox=\"0 0 100 50\"\n1A\tGermany\tM1,1z\n"
	};
	for (size_t i = 0; i <= sizeof(worlds) / sizeof(*worlds); i++) {
		if (i < sizeof(worlds) / sizeof(*worlds))
			folder_put("world.tsv", worlds[i]);
		else
			unlink(folder_path("world.tsv"));
		struct diag diag;
		struct site *site;
		diag_init(&diag);
		assert_int_equal(site_create(folder_path("world.tsv"), &diag, &site), 0);
		assert_int_equal(diag.messages_n, 1);
		assert_non_null(strstr(diag.messages[0].text, "world.tsv"));
		assert_int_equal(site->world.width, 0);
		site_destroy(site);
		diag_fini(&diag);
	}
}

/* Addresses past the fifth have no line, but count. */
static void weeks_add_up(void **state)
{
	(void)state;
	static struct site_graphs graphs;
	struct history_span hours[SITE_HOURS] = { 0 };
	struct history_span older[SITE_WEEKS_OLD] = { 0 };
	older[0] = (struct history_span){ .checks_n = 168, .good_n = 84 };
	hours[0] = (struct history_span){ .checks_n = 3, .good_n = 3 };
	hours[7 * 24] = (struct history_span){ .checks_n = 4, .good_n = 1 };
	memset(&graphs, 0, sizeof(graphs));
	for (size_t i = 0; i < SITE_LINES_MAX + 2; i++)
		site_graphs_add(&graphs, hours, older);
	assert_int_equal(graphs.n, SITE_LINES_MAX);
	assert_int_equal(graphs.checks_n[0], 168 * (SITE_LINES_MAX + 2));
	assert_int_equal(graphs.good_n[SITE_WEEKS - 1], SITE_LINES_MAX + 2);
	for (size_t i = 0; i < SITE_LINES_MAX; i++) {
		assert_true(graphs.year_percent[i][0] == 50.0);
		assert_true(isnan(graphs.year_percent[i][1]));
		assert_true(graphs.year_percent[i][SITE_WEEKS - 2] == 100.0);
		assert_true(graphs.year_percent[i][SITE_WEEKS - 1] == 25.0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_escapes),
		cmocka_unit_test(durations),
		cmocka_unit_test(file_names),
		cmocka_unit_test(rows_add_up),
		cmocka_unit_test(weeks_add_up),
		cmocka_unit_test_setup_teardown(damaged_worlds_are_told, folder_setup, folder_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
