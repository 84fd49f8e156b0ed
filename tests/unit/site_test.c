/*
 * The status site. With DNSD_STATUS_SITE=FOLDER[,MIRRORS[,WORLD]] in the environment it writes one there,
 * says how long it took, and does nothing else: for the tests in a browser, and to look at.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "mirrormon/site.h"
#include "mirrormon/site_graphs.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/status_fixture.h"

#define HOURS_FEW 30

static void expect_in(const char *path, const char *text)
{
	char *page = folder_get(path);
	if (!strstr(page, text))
		fail_msg("%s lacks %s", path, text);
	free(page);
}

static void expect_not_in(const char *path, const char *text)
{
	char *page = folder_get(path);
	if (strstr(page, text))
		fail_msg("%s has %s", path, text);
	free(page);
}

static struct status_fixture fixture;
static struct site *site; /* NULL until begin() */

static void write_site(struct site *one)
{
	struct diag diag;
	diag_init(&diag);
	int rc = site_write(one, &fixture.view, fixture.history, &diag);
	if (rc < 0 || diag.messages_n)
		fail_msg("site: %s", diag.messages_n ? diag.messages[0].text : strerror(-rc));
	diag_fini(&diag);
}

static struct site *make_site(const char *map)
{
	struct diag diag;
	struct site *made;
	diag_init(&diag);
	assert_int_equal(site_create(map, &diag, &made), 0);
	if (diag.messages_n)
		fail_msg("%s", diag.messages[0].text);
	diag_fini(&diag);
	return made;
}

/* A pool, and what is to write its site into the folder; ended by teardown(). */
static void begin_with_map(size_t mirrors_n, unsigned hours, const char *map)
{
	status_fixture_init(&fixture, mirrors_n, hours, folder_name());
	site = make_site(map);
}

static void begin(size_t mirrors_n, unsigned hours)
{
	begin_with_map(mirrors_n, hours, NULL);
}

static int teardown(void **state)
{
	site_destroy(site);
	site = NULL;
	status_fixture_fini(&fixture);
	return folder_teardown(state);
}

static void flush(void)
{
	struct diag diag;
	diag_init(&diag);
	assert_int_equal(history_flush(fixture.history, &diag), 0);
	diag_fini(&diag);
}

static void files_are_all_there(void **state)
{
	(void)state;
	static const char *const paths[] = { "index.html",
		                             "mirrors.html",
		                             "how.html",
		                             "versions.html",
		                             "style.css",
		                             "icon.svg",
		                             "pool.json",
		                             "pool.csv",
		                             "events.atom",
		                             "mirrors/status/json/index.json",
		                             "mirror/clamav.uni0.example.html",
		                             "mirror/clamav.uni0.example.json",
		                             "mirror/clamav.uni0.example.csv",
		                             "mirror/clamav.uni0.example.svg",
		                             "mirror/clamav.uni0.example.badge.json" };
	begin(30, HOURS_FEW);
	/* It makes the folders that are not there, for others to enter. */
	static const char *const folders[] = { "www", "www/status", "www/status/mirror",
		                               "www/status/mirrors/status/json" };
	fixture.conf.site.directory = folder_path("www/status");
	mode_t mask = umask(077);
	write_site(site);
	umask(mask);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		struct stat info;
		assert_int_equal(stat(folder_path(folders[i]), &info), 0);
		assert_int_equal(info.st_mode & 07777, 0755);
	}
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		char below[128];
		snprintf(below, sizeof(below), "www/status/%s", paths[i]);
		if (!folder_has(below))
			fail_msg("no %s", paths[i]);
	}
	/* Another folder has none of them yet. */
	fixture.conf.site.directory = folder_name();
	write_site(site);
	assert_false(folder_has("map.svg"));
	expect_in("mirrors.html", "<a href=\"mirror/clamav.mirror3.example.html\">");
	expect_in("mirrors.html", "<span class=\"state out\">out</span> <span class=\"reason\">old</span>");
	expect_in("mirrors.html", "availability over time, not how often databases arrive");
	expect_in("mirrors.html", "too few left: served by");
	expect_in("index.html",
	          "<span class=\"state out\">partly out</span> <span class=\"reason\">unreachable</span>");
	expect_in("how.html", "<td>After 3 checks in a row have failed.</td>");
	expect_in("how.html",
	          "60 % of the mirrors that are in have it, with its patch; after 2 h, when so many of "
	          "the whole pool have it, whatever the countries. From then on a mirror without it "
	          "is out-of-sync, and 5 min later it goes into DNS.");
	expect_in("versions.html", "waiting for DE 1 of 4, FR 1 of 3, JP 0 of 2");
	expect_in("mirror/clamav.uni0.example.badge.json", "\"message\": \"OK\"");
}

static void hostile_texts_are_escaped(void **state)
{
	(void)state;
	static const char evil[] = "\"><script>alert('1')</script>&\x01";
	begin(12, 0);
	fixture.mirrors[0].host = "../../<script>alert(2)</script>";
	fixture.mirrors[1].host = ".htaccess";
	fixture.mirrors[0].admin = "<script>x</script> <a@b>";
	fixture.mirrors[1].admin = "Ann \"<b>\" <a@b>";
	fixture.conf.site.title = "T<script>itle";
	fixture.conf.site.url = "https://x/\"onload=\"";
	fixture.conf.name = evil;
	fixture.view.self_ok = false;
	snprintf(fixture.view.self_detail, sizeof(fixture.view.self_detail), "%s", evil);
	snprintf(fixture.monitors[0].detail, sizeof(fixture.monitors[0].detail), "%s", evil);
	snprintf(fixture.monitors[0].name, sizeof(fixture.monitors[0].name), "%s", evil);
	snprintf(fixture.databases[1].waiting_for, sizeof(fixture.databases[1].waiting_for), "%s", evil);
	snprintf(fixture.databases[1].name, sizeof(fixture.databases[1].name), "%s", "d<script>");
	snprintf(fixture.mirrors[3].verdict.detail, sizeof(fixture.mirrors[3].verdict.detail), "%s", evil);
	snprintf(fixture.addrs[6].verdict.detail, sizeof(fixture.addrs[6].verdict.detail), "%s", evil);
	struct check_result result = { .at_s = STATUS_NOW_S - 100, .reason = REASON_HTTP_ERROR };
	snprintf(result.detail, sizeof(result.detail), "=1+1 %s", evil);
	assert_int_equal(history_add_result(fixture.history, fixture.mirrors[3].host, &fixture.addrs[6].addr,
	                                    &result, REASON_OLD),
	                 0);
	assert_int_equal(history_add_change(fixture.history, STATUS_NOW_S, fixture.mirrors[0].host, NULL,
	                                    REASON_NONE, REASON_OLD, evil),
	                 0);
	assert_int_equal(history_add_version(fixture.history, STATUS_NOW_S - 50, evil, "d<script>", 7), 0);
	flush();
	write_site(site);
	static const char *const paths[] = {
		"index.html",
		"mirrors.html",
		"how.html",
		"versions.html",
		"events.atom",
		"mirror/clamav.mirror3.example.html",
		"mirror/_2e._2f.._2f_3cscript_3ealert_282_29_3c_2fscript_3e.html",
		"mirror/_2ehtaccess.html"
	};
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		char *page = folder_get(paths[i]);
		assert_null(strstr(page, "<script"));
		assert_null(strstr(page, "\"onload"));
		assert_null(strchr(page, '\x01'));
		free(page);
	}
	/* What was refused as markup is there as text. */
	expect_in("mirror/clamav.mirror3.example.html", "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;");
	expect_in("mirror/clamav.mirror3.example.csv",
	          "\"http-error: '=1+1 \"\"><script>alert('1')</script>&?\"");
	assert_false(folder_has("mirror/.htaccess.html"));
	char *page = folder_get("mirror/clamav.mirror3.example.html");
	assert_null(strstr(page, "@example.org"));
	assert_non_null(strstr(page, "Team 3"));
	free(page);
}

static ino_t inode(const char *path)
{
	struct stat info;
	assert_int_equal(stat(folder_path(path), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0644);
	return info.st_ino;
}

static void same_files_stay(void **state)
{
	(void)state;
	static const char page[] = "mirror/clamav.net1.example.html";
	begin(6, HOURS_FEW);
	write_site(site);
	/* Files that are held keep their inode number from being used again. */
	FILE *held = fopen(folder_path("mirrors.html"), "r");
	FILE *held_page = fopen(folder_path(page), "r");
	assert_non_null(held);
	assert_non_null(held_page);
	ino_t mirrors = inode("mirrors.html");
	ino_t mirror = inode(page);
	ino_t style = inode("style.css");
	write_site(site);
	assert_true(inode("mirrors.html") == mirrors);
	assert_true(inode(page) == mirror);
	/* A process that starts anew compares bytes. */
	struct site *again = make_site(NULL);
	write_site(again);
	assert_true(inode(page) == mirror);
	/* A minute later the overview is newer, the page of a mirror without a check is not. */
	fixture.view.now_s += 60;
	write_site(again);
	assert_true(inode("mirrors.html") != mirrors);
	assert_true(inode(page) == mirror);
	fixture.addrs[2].verdict.reason = REASON_SLOW;
	write_site(again);
	assert_true(inode(page) != mirror);
	assert_true(inode("style.css") == style);
	expect_in(page, "<span class=\"reason\">slow</span>");
	fclose(held);
	fclose(held_page);
	site_destroy(again);
}

static void pages_of_mirrors_that_are_gone_go(void **state)
{
	(void)state;
	begin(6, 0);
	write_site(site);
	assert_true(folder_has("mirror/clamav.host5.example.html"));
	folder_put("mirror/robots.txt", "kept\n");
	folder_put("mirror/.clamav.uni0.example.html.new", "left by a crash\n");
	status_fixture_fini(&fixture);
	status_fixture_init(&fixture, 5, 0, folder_name());
	write_site(site);
	static const char *const suffixes[] = { "html", "json", "csv", "svg", "badge.json" };
	for (size_t i = 0; i < 5; i++) {
		char path[64];
		snprintf(path, sizeof(path), "mirror/clamav.host5.example.%s", suffixes[i]);
		assert_false(folder_has(path));
		snprintf(path, sizeof(path), "mirror/clamav.ftp4.example.%s", suffixes[i]);
		assert_true(folder_has(path));
	}
	assert_true(folder_has("mirror/robots.txt"));
	assert_false(folder_has("mirror/.clamav.uni0.example.html.new"));
}

/* A page is written when its history comes, though that is later than the check which it is of. */
static void pages_follow_their_history(void **state)
{
	(void)state;
	static const char page[] = "mirror/clamav.net1.example.html";
	begin(4, HOURS_FEW);
	struct check_result result = { .at_s = STATUS_NOW_S - 30, .reason = REASON_HTTP_ERROR };
	snprintf(result.detail, sizeof(result.detail), "came late");
	assert_int_equal(history_add_result(fixture.history, fixture.mirrors[1].host, &fixture.addrs[2].addr,
	                                    &result, REASON_NONE),
	                 0);
	write_site(site);
	expect_not_in(page, "came late");
	flush();
	write_site(site);
	expect_in(page, "came late");
	assert_int_equal(history_add_change(fixture.history, STATUS_NOW_S - 30, fixture.mirrors[1].host, NULL,
	                                    REASON_OLD, REASON_NONE, "changed late"),
	                 0);
	write_site(site);
	expect_not_in(page, "changed late");
	flush();
	write_site(site);
	expect_in(page, "changed late");
}

/* "133 of 134" is of mirrors that there are; the page of one that has gone is not linked. */
static void what_has_gone_does_not_count(void **state)
{
	(void)state;
	static const char *const hosts[] = { "clamav.uni0.example", "clamav.net1.example", "gone.example",
		                             "clamav.lab2.example", "gone-too.example" };
	begin(4, 0);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(history_add_version(fixture.history, STATUS_NOW_S - 6000 + 60 * i, hosts[i],
		                                     "daily", 27804),
		                 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(history_add_change(fixture.history, STATUS_NOW_S - 60, hosts[i], NULL,
		                                    REASON_NONE, REASON_OLD, ""),
		                 0);
	flush();
	write_site(site);
	expect_in("versions.html", "<td data-label=\"Mirrors now\">3 of 4</td>");
	expect_in("versions.html", "<td data-label=\"On 50 %\">1 min</td>");
	expect_in("versions.html", "<td data-label=\"On all\"><span class=\"quiet\">not yet</span></td>");
	expect_in("events.atom", "<link href=\"https://status.example/mirror/clamav.lab2.example.html\"/>");
	expect_in("events.atom", "<title>gone.example: old, was in</title>");
	expect_not_in("events.atom", "mirror/gone.example.html");
	expect_not_in("index.html", "mirror/gone.example.html");
}

/* A check a day for 52 weeks, of which those of one were bad; then half a year is pruned away, means stay. */
static void a_year_is_drawn(void **state)
{
	(void)state;
	static const char page[] = "mirror/clamav.uni0.example.html";
	begin(2, 0);
	const uint64_t begin_s = (STATUS_NOW_S / 86400 + 1) * 86400 - SITE_WEEKS * (uint64_t)SITE_WEEK_S;
	for (unsigned day = 0; day < SITE_WEEKS * 7; day++) {
		struct check_result result = { .at_s = begin_s + day * 86400 + 3600,
			                       .reason = day / 7 == 10 ? REASON_UNREACHABLE : REASON_NONE };
		assert_int_equal(history_add_result(fixture.history, fixture.mirrors[0].host,
		                                    &fixture.addrs[0].addr, &result, REASON_NONE),
		                 0);
	}
	flush();
	struct diag diag;
	diag_init(&diag);
	for (int i = 0; i < 2; i++) {
		write_site(site);
		expect_in(page, "<p>98.07 % of 364 checks in 52 weeks were good; in the worst week, from "
		                "2026-02-01 on, 0.00 %.</p>");
		expect_in(page, "aria-label=\"Availability by weeks in the last year. 98.07 % of 364 checks");
		expect_in(page, "L130.0 8.0L137.6 150.0L");
		expect_in(page, ">Dec 2025</text>");
		expect_in(page, ">Oct 2026</text>");
		while (history_prune(fixture.history, STATUS_NOW_S, 100, &diag) > 0)
			;
		fixture.addrs[0].last.at_s++;
	}
	diag_fini(&diag);
	expect_in("mirror/clamav.net1.example.html", "<p>No checks before the last 14 days.</p>");
	expect_not_in("mirror/clamav.net1.example.html", "Availability by weeks");
}

static json_t *read_json(const char *path)
{
	char *text = folder_get(path);
	json_error_t error;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		fail_msg("%s:%d: %s", path, error.line, error.text);
	free(text);
	return root;
}

static const char *json_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	if (!text)
		fail_msg("no text %s", key);
	return text;
}

static void json_has_its_fields(void **state)
{
	(void)state;
	static const char *const arch_keys[] = {
		"url",    "protocol",     "last_sync",       "completion_pct",
		"delay",  "duration_avg", "duration_stddev", "score",
		"active", "country",      "country_code",    "isos",
		"ipv4",   "ipv6",         "details"
	};
	begin(24, HOURS_FEW);
	write_site(site);
	json_t *arch = read_json("mirrors/status/json/index.json");
	assert_int_equal(json_integer_value(json_object_get(arch, "version")), 3);
	assert_int_equal(json_integer_value(json_object_get(arch, "cutoff")), 86400);
	assert_int_equal(json_integer_value(json_object_get(arch, "check_frequency")), 3600);
	json_t *urls = json_object_get(arch, "urls");
	assert_int_equal(json_array_size(urls), 24);
	size_t i;
	json_t *url;
	size_t active_n = 0;
	json_array_foreach(urls, i, url)
	{
		assert_int_equal(json_object_size(url), sizeof(arch_keys) / sizeof(*arch_keys));
		for (size_t k = 0; k < sizeof(arch_keys) / sizeof(*arch_keys); k++)
			assert_non_null(json_object_get(url, arch_keys[k]));
		active_n += json_is_true(json_object_get(url, "active"));
	}
	/* Old, wrong content, two of Switzerland, probation, maintenance. */
	assert_int_equal(active_n, 24 - 6);
	json_decref(arch);
	json_t *pool = read_json("pool.json");
	assert_int_equal(json_integer_value(json_object_get(pool, "format")), 1);
	assert_int_equal(json_integer_value(json_object_get(pool, "serial")), 4711);
	assert_int_equal(json_array_size(json_object_get(pool, "mirrors")), 24);
	json_decref(pool);
	json_t *mirror = read_json("mirror/clamav.mirror3.example.json");
	assert_string_equal(json_text(mirror, "state"), "out");
	assert_string_equal(json_text(mirror, "reason"), "old");
	assert_string_equal(json_text(mirror, "since"), "2026-11-20T08:46:40Z");
	assert_int_equal(json_array_size(json_object_get(mirror, "days")), SITE_DAYS);
	assert_int_equal(json_array_size(json_object_get(mirror, "changes")), 1);
	assert_int_equal(json_array_size(json_object_get(mirror, "checks")), 50);
	json_t *address = json_array_get(json_object_get(mirror, "addresses"), 1);
	assert_string_equal(json_text(address, "address"), "2001:db8:4::1");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(address, "databases"), "daily")),
	                 27804);
	json_decref(mirror);
	json_t *badge = read_json("mirror/clamav.mirror3.example.badge.json");
	assert_int_equal(json_integer_value(json_object_get(badge, "schemaVersion")), 1);
	assert_string_equal(json_text(badge, "message"), "out");
	json_decref(badge);
}

static void csv_has_its_columns(void **state)
{
	(void)state;
	begin(10, HOURS_FEW);
	write_site(site);
	char *text = folder_get("mirror/clamav.mail9.example.csv");
	assert_non_null(strstr(
	        text,
	        "\"wrong-content: daily.cvd: first bytes are \"\"<!DOCTYPE html>\"\", not ClamAV-VDB\""));
	char *rest = text;
	char *line = strsep(&rest, "\n");
	assert_string_equal(line, "ts_epoch,ts,address,family,state,age,score,monitor,rtt,error");
	size_t n = 0;
	uint64_t before_s = 0;
	double score = 0;
	while ((line = strsep(&rest, "\n")) && *line) {
		uint64_t at_s = strtoull(line, NULL, 10);
		assert_true(at_s >= before_s);
		before_s = at_s;
		size_t commas = 0;
		bool quoted = false;
		for (const char *c = line; *c; c++) {
			quoted ^= *c == '"';
			commas += *c == ',' && !quoted;
		}
		assert_int_equal(commas, 9);
		n++;
		/* The last one of IPv4. */
		char state_text[32];
		char addr[64];
		if (sscanf(line, "%*u,%*[^,],%63[^,],4,%31[^,],%*[^,],%lf", addr, state_text, &score) == 3)
			assert_string_equal(addr, "10.0.9.1");
	}
	assert_int_equal(n, 2 * HOURS_FEW);
	/* 30 checks of which the last few failed: it has fallen far below what 26 good ones had made. */
	assert_true(score < 5);
	free(text);
}

static void world_draws(void **state)
{
	(void)state;
	folder_put(
	        "world.tsv",
	        "# viewBox=\"0 0 100 50\" made up\nDE\tGermany\tM1,1l2,0 0,2z\nCH\tSwitz<erland\tM5,5h2v2z\n"
	        "LI\tLiechtenstein\tM9,9h1v1z\nNZ\tNew Zealand\tM20,9h1v1z\nKE\tKenya\tM30,9h1v1z\n");
	begin_with_map(24, 0, folder_path("world.tsv"));
	write_site(site);
	expect_in("map.svg", "viewBox=\"0 0 100 50\"");
	expect_in("map.svg",
	          "<path class=\"own\" d=\"M1,1l2,0 0,2z\"><title>Germany: 3 of 4 mirrors in</title>");
	expect_in(
	        "map.svg",
	        "<path class=\"near\" d=\"M5,5h2v2z\"><title>Switz&lt;erland: 0 of 2 mirrors in; served by ");
	expect_in("map.svg",
	          "<path class=\"near\" d=\"M20,9h1v1z\"><title>New Zealand: no mirror; served by AU "
	          "(1)</title>");
	expect_in("map.svg",
	          "<path class=\"far\" d=\"M30,9h1v1z\"><title>Kenya: no mirror; served by all of the "
	          "pool</title>");
	expect_in("index.html", "<img src=\"map.svg\" width=\"100\" height=\"50\" alt=\"");
	expect_in("mirrors.html", ">Germany <span");
}

static void a_full_folder_is_told_once(void **state)
{
	(void)state;
	static const char *const names[] = { "index.html", "pool.json", "how.html", "pool.csv" };
	begin(4, 0);
	/* Folders stand where files should be: root, too, can't write there. */
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(mkdir(folder_path(names[i]), 0755), 0);
	struct diag diag;
	diag_init(&diag);
	assert_int_equal(site_write(site, &fixture.view, fixture.history, &diag), -EISDIR);
	assert_int_equal(diag.messages_n, 4);
	assert_non_null(strstr(diag.messages[3].text, "1 more files"));
	diag_fini(&diag);
	assert_true(folder_has("mirrors.html"));
	assert_true(folder_has("mirror/clamav.uni0.example.html"));
}

static void an_empty_pool_has_a_site(void **state)
{
	(void)state;
	begin(1, 0);
	/* Its only mirror has gone since; nothing has been checked, nothing announced. */
	fixture.view.mirrors_n = 0;
	fixture.view.databases_n = 0;
	fixture.view.monitors_n = 0;
	fixture.view.newest_timestamp_s = 0;
	fixture.conf.site.url = NULL;
	write_site(site);
	expect_in("mirrors.html", "The pool has no mirrors.");
	expect_in("index.html", "<strong>0 of 0 mirrors</strong>");
	expect_in("events.atom", "<updated>2026-11-21T00:00:00Z</updated>");
	json_t *arch = read_json("mirrors/status/json/index.json");
	assert_true(json_is_null(json_object_get(arch, "last_check")));
	assert_int_equal(json_array_size(json_object_get(arch, "urls")), 0);
	json_decref(arch);
}

/* For a browser, or to look at. */
static int write_for_others(const char *what)
{
	char copy[512];
	snprintf(copy, sizeof(copy), "%s", what);
	char *rest = copy;
	const char *folder = strsep(&rest, ",");
	const char *mirrors_n = strsep(&rest, ",");
	const char *world = strsep(&rest, ",");
	struct timespec from;
	struct timespec until;
	status_fixture_init(&fixture, mirrors_n ? strtoul(mirrors_n, NULL, 10) : 40, SITE_HOURS, folder);
	site = make_site(world && *world ? world : NULL);
	for (int i = 0; i < 3; i++) {
		clock_gettime(CLOCK_MONOTONIC, &from);
		clock_t cpu = clock();
		fixture.view.now_s = STATUS_NOW_S + 60 * (uint64_t)i / 2;
		write_site(site);
		clock_gettime(CLOCK_MONOTONIC, &until);
		printf("%zu mirrors written in %.2f s, of which %.2f s of the processor\n", fixture.n,
		       (double)(until.tv_sec - from.tv_sec) + (double)(until.tv_nsec - from.tv_nsec) / 1e9,
		       (double)(clock() - cpu) / CLOCKS_PER_SEC);
	}
	return 0;
}

int main(void)
{
	const char *what = getenv("DNSD_STATUS_SITE");
	if (what)
		return write_for_others(what);
#define WITH_SITE(name) cmocka_unit_test_setup_teardown(name, folder_setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_SITE(files_are_all_there),
		WITH_SITE(hostile_texts_are_escaped),
		WITH_SITE(same_files_stay),
		WITH_SITE(pages_of_mirrors_that_are_gone_go),
		WITH_SITE(pages_follow_their_history),
		WITH_SITE(what_has_gone_does_not_count),
		WITH_SITE(a_year_is_drawn),
		WITH_SITE(json_has_its_fields),
		WITH_SITE(csv_has_its_columns),
		WITH_SITE(world_draws),
		WITH_SITE(a_full_folder_is_told_once),
		WITH_SITE(an_empty_pool_has_a_site),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
