/*
 * The status site. With DNSD_STATUS_SITE=FOLDER[,MIRRORS[,WORLD]] in the environment it writes one there,
 * says how long it took, and does nothing else: for the tests in a browser, and to look at.
 */
#include <dirent.h>
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
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "mirrormon/site.h"
#include "mirrormon/site_files.h"
#include "mirrormon/site_int.h"
#include "mirrormon/site_svg.h"
#include "mirrormon/site_text.h"
#include "mirrormon/site_world.h"
#include "tests/unit/support/status_fixture.h"

#define HOURS_FEW 30

struct folder {
	char path[64];
};

static void folder_init(struct folder *folder)
{
	strcpy(folder->path, "/tmp/site_test.XXXXXX");
	assert_non_null(mkdtemp(folder->path));
}

static void folder_fini(struct folder *folder)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", folder->path);
	assert_int_equal(system(command), 0);
}

static char *read_site(const struct folder *folder, const char *path)
{
	char full[512];
	char *text;
	size_t len;
	const char *why;
	snprintf(full, sizeof(full), "%s/%s", folder->path, path);
	if (file_read(full, 64U << 20, &text, &len, &why) < 0)
		fail_msg("%s: %s", full, why);
	return text;
}

static bool has_file(const struct folder *folder, const char *path)
{
	char full[512];
	snprintf(full, sizeof(full), "%s/%s", folder->path, path);
	return access(full, F_OK) == 0;
}

static void expect_in(const struct folder *folder, const char *path, const char *text)
{
	char *page = read_site(folder, path);
	if (!strstr(page, text))
		fail_msg("%s lacks %s", path, text);
	free(page);
}

static void write_text(const struct folder *folder, const char *path, const char *text)
{
	char full[512];
	snprintf(full, sizeof(full), "%s/%s", folder->path, path);
	FILE *file = fopen(full, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void write_site(struct site *site, const struct status_fixture *fixture)
{
	struct diag diag;
	diag_init(&diag);
	int rc = site_write(site, &fixture->view, fixture->history, &diag);
	if (rc < 0 || diag.messages_n)
		fail_msg("site: %s", diag.messages_n ? diag.messages[0].text : strerror(-rc));
	diag_fini(&diag);
}

static struct site *make_site(const char *map)
{
	struct diag diag;
	struct site *site;
	diag_init(&diag);
	assert_int_equal(site_create(map, &diag, &site), 0);
	if (diag.messages_n)
		fail_msg("%s", diag.messages[0].text);
	diag_fini(&diag);
	return site;
}

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
	struct folder folder;
	struct status_fixture fixture;
	char below[128];
	folder_init(&folder);
	/* It makes the folders that are not there. */
	snprintf(below, sizeof(below), "%s/www/status", folder.path);
	status_fixture_init(&fixture, 30, HOURS_FEW, below);
	struct site *site = make_site(NULL);
	write_site(site, &fixture);
	strcpy(folder.path + strlen(folder.path), "/www/status");
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		if (!has_file(&folder, paths[i]))
			fail_msg("no %s", paths[i]);
	}
	assert_false(has_file(&folder, "map.svg"));
	expect_in(&folder, "mirrors.html", "<a href=\"mirror/clamav.mirror3.example.html\">");
	expect_in(&folder, "mirrors.html",
	          "<span class=\"state out\">out</span> <span class=\"reason\">old</span>");
	expect_in(&folder, "mirrors.html", "availability over time, not how often databases arrive");
	expect_in(&folder, "mirrors.html", "too few left: served by");
	expect_in(&folder, "index.html",
	          "<span class=\"state out\">partly out</span> <span class=\"reason\">unreachable</span>");
	expect_in(&folder, "how.html", "<td>After 3 checks in a row have failed.</td>");
	expect_in(&folder, "versions.html", "waiting for DE 1 of 4, FR 1 of 3, JP 0 of 2");
	expect_in(&folder, "mirror/clamav.uni0.example.badge.json", "\"message\": \"OK\"");
	*strchr(folder.path + 5, '/') = '\0';
	site_destroy(site);
	status_fixture_fini(&fixture);
	folder_fini(&folder);
}

static void hostile_texts_are_escaped(void **state)
{
	(void)state;
	static const char evil[] = "\"><script>alert('1')</script>&\x01";
	struct folder folder;
	struct status_fixture fixture;
	folder_init(&folder);
	status_fixture_init(&fixture, 12, 0, folder.path);
	struct site *site = make_site(NULL);
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
	struct diag diag;
	diag_init(&diag);
	assert_int_equal(history_flush(fixture.history, &diag), 0);
	diag_fini(&diag);
	write_site(site, &fixture);
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
		char *page = read_site(&folder, paths[i]);
		assert_null(strstr(page, "<script"));
		assert_null(strstr(page, "\"onload"));
		assert_null(strchr(page, '\x01'));
		free(page);
	}
	/* What was refused as markup is there as text. */
	expect_in(&folder, "mirror/clamav.mirror3.example.html",
	          "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;");
	expect_in(&folder, "mirror/clamav.mirror3.example.csv",
	          "\"http-error: '=1+1 \"\"><script>alert('1')</script>&?\"");
	assert_false(has_file(&folder, "mirror/.htaccess.html"));
	char *page = read_site(&folder, "mirror/clamav.mirror3.example.html");
	assert_null(strstr(page, "@example.org"));
	assert_non_null(strstr(page, "Team 3"));
	free(page);
	site_destroy(site);
	status_fixture_fini(&fixture);
	folder_fini(&folder);
}

static ino_t inode(const struct folder *folder, const char *path)
{
	char full[512];
	struct stat info;
	snprintf(full, sizeof(full), "%s/%s", folder->path, path);
	assert_int_equal(stat(full, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0644);
	return info.st_ino;
}

static void same_files_stay(void **state)
{
	(void)state;
	static const char page[] = "mirror/clamav.net1.example.html";
	struct folder folder;
	struct status_fixture fixture;
	folder_init(&folder);
	status_fixture_init(&fixture, 6, HOURS_FEW, folder.path);
	struct site *site = make_site(NULL);
	write_site(site, &fixture);
	/* Files that are held keep their inode number from being used again. */
	char full[512];
	snprintf(full, sizeof(full), "%s/mirrors.html", folder.path);
	FILE *held = fopen(full, "r");
	snprintf(full, sizeof(full), "%s/%s", folder.path, page);
	FILE *held_page = fopen(full, "r");
	assert_non_null(held);
	assert_non_null(held_page);
	ino_t mirrors = inode(&folder, "mirrors.html");
	ino_t mirror = inode(&folder, page);
	ino_t style = inode(&folder, "style.css");
	write_site(site, &fixture);
	assert_true(inode(&folder, "mirrors.html") == mirrors);
	assert_true(inode(&folder, page) == mirror);
	/* A process that starts anew compares bytes. */
	struct site *again = make_site(NULL);
	write_site(again, &fixture);
	assert_true(inode(&folder, page) == mirror);
	/* A minute later the overview is newer, the page of a mirror without a check is not. */
	fixture.view.now_s += 60;
	write_site(again, &fixture);
	assert_true(inode(&folder, "mirrors.html") != mirrors);
	assert_true(inode(&folder, page) == mirror);
	fixture.addrs[2].verdict.reason = REASON_SLOW;
	write_site(again, &fixture);
	assert_true(inode(&folder, page) != mirror);
	assert_true(inode(&folder, "style.css") == style);
	expect_in(&folder, page, "<span class=\"reason\">slow</span>");
	fclose(held);
	fclose(held_page);
	site_destroy(site);
	site_destroy(again);
	status_fixture_fini(&fixture);
	folder_fini(&folder);
}

static void pages_of_mirrors_that_are_gone_go(void **state)
{
	(void)state;
	struct folder folder;
	struct status_fixture fixture;
	folder_init(&folder);
	status_fixture_init(&fixture, 6, 0, folder.path);
	struct site *site = make_site(NULL);
	write_site(site, &fixture);
	assert_true(has_file(&folder, "mirror/clamav.host5.example.html"));
	write_text(&folder, "mirror/robots.txt", "kept\n");
	write_text(&folder, "mirror/.clamav.uni0.example.html.new", "left by a crash\n");
	status_fixture_fini(&fixture);
	status_fixture_init(&fixture, 5, 0, folder.path);
	write_site(site, &fixture);
	static const char *const suffixes[] = { "html", "json", "csv", "svg", "badge.json" };
	for (size_t i = 0; i < 5; i++) {
		char path[64];
		snprintf(path, sizeof(path), "mirror/clamav.host5.example.%s", suffixes[i]);
		assert_false(has_file(&folder, path));
		snprintf(path, sizeof(path), "mirror/clamav.ftp4.example.%s", suffixes[i]);
		assert_true(has_file(&folder, path));
	}
	assert_true(has_file(&folder, "mirror/robots.txt"));
	assert_false(has_file(&folder, "mirror/.clamav.uni0.example.html.new"));
	site_destroy(site);
	status_fixture_fini(&fixture);
	folder_fini(&folder);
}

static json_t *read_json(const struct folder *folder, const char *path)
{
	char *text = read_site(folder, path);
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
	struct folder folder;
	struct status_fixture fixture;
	folder_init(&folder);
	status_fixture_init(&fixture, 24, HOURS_FEW, folder.path);
	struct site *site = make_site(NULL);
	write_site(site, &fixture);
	json_t *arch = read_json(&folder, "mirrors/status/json/index.json");
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
	json_t *pool = read_json(&folder, "pool.json");
	assert_int_equal(json_integer_value(json_object_get(pool, "format")), 1);
	assert_int_equal(json_integer_value(json_object_get(pool, "serial")), 4711);
	assert_int_equal(json_array_size(json_object_get(pool, "mirrors")), 24);
	json_decref(pool);
	json_t *mirror = read_json(&folder, "mirror/clamav.mirror3.example.json");
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
	json_t *badge = read_json(&folder, "mirror/clamav.mirror3.example.badge.json");
	assert_int_equal(json_integer_value(json_object_get(badge, "schemaVersion")), 1);
	assert_string_equal(json_text(badge, "message"), "out");
	json_decref(badge);
	site_destroy(site);
	status_fixture_fini(&fixture);
	folder_fini(&folder);
}

static void csv_has_its_columns(void **state)
{
	(void)state;
	struct folder folder;
	struct status_fixture fixture;
	folder_init(&folder);
	status_fixture_init(&fixture, 10, HOURS_FEW, folder.path);
	struct site *site = make_site(NULL);
	write_site(site, &fixture);
	char *text = read_site(&folder, "mirror/clamav.mail9.example.csv");
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
	site_destroy(site);
	status_fixture_fini(&fixture);
	folder_fini(&folder);
}

static void world_draws(void **state)
{
	(void)state;
	struct folder folder;
	struct status_fixture fixture;
	char map[128];
	folder_init(&folder);
	snprintf(map, sizeof(map), "%s/world.tsv", folder.path);
	write_text(
	        &folder, "world.tsv",
	        "# viewBox=\"0 0 100 50\" made up\nDE\tGermany\tM1,1l2,0 0,2z\nCH\tSwitz<erland\tM5,5h2v2z\n"
	        "LI\tLiechtenstein\tM9,9h1v1z\nNZ\tNew Zealand\tM20,9h1v1z\nKE\tKenya\tM30,9h1v1z\n");
	status_fixture_init(&fixture, 24, 0, folder.path);
	struct site *site = make_site(map);
	write_site(site, &fixture);
	expect_in(&folder, "map.svg", "viewBox=\"0 0 100 50\"");
	expect_in(&folder, "map.svg",
	          "<path class=\"own\" d=\"M1,1l2,0 0,2z\"><title>Germany: 3 of 4 mirrors in</title>");
	expect_in(
	        &folder, "map.svg",
	        "<path class=\"near\" d=\"M5,5h2v2z\"><title>Switz&lt;erland: 0 of 2 mirrors in; served by ");
	expect_in(&folder, "map.svg",
	          "<path class=\"near\" d=\"M20,9h1v1z\"><title>New Zealand: no mirror; served by AU "
	          "(1)</title>");
	expect_in(&folder, "map.svg",
	          "<path class=\"far\" d=\"M30,9h1v1z\"><title>Kenya: no mirror; served by all of the "
	          "pool</title>");
	expect_in(&folder, "index.html", "<img src=\"map.svg\" width=\"100\" height=\"50\" alt=\"");
	expect_in(&folder, "mirrors.html", ">Germany <span");
	site_destroy(site);
	status_fixture_fini(&fixture);
	folder_fini(&folder);
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
	struct folder folder;
	char map[128];
	folder_init(&folder);
	snprintf(map, sizeof(map), "%s/world.tsv", folder.path);
	for (size_t i = 0; i <= sizeof(worlds) / sizeof(*worlds); i++) {
		if (i < sizeof(worlds) / sizeof(*worlds))
			write_text(&folder, "world.tsv", worlds[i]);
		else
			unlink(map);
		struct diag diag;
		struct site *site;
		diag_init(&diag);
		assert_int_equal(site_create(map, &diag, &site), 0);
		assert_int_equal(diag.messages_n, 1);
		assert_non_null(strstr(diag.messages[0].text, "world.tsv"));
		assert_int_equal(site->world.width, 0);
		site_destroy(site);
		diag_fini(&diag);
	}
	folder_fini(&folder);
}

static void a_full_folder_is_told_once(void **state)
{
	(void)state;
	struct folder folder;
	struct status_fixture fixture;
	char file[128];
	folder_init(&folder);
	status_fixture_init(&fixture, 4, 0, folder.path);
	/* Folders stand where files should be: root, too, can't write there. */
	for (int i = 0; i < 4; i++) {
		snprintf(file, sizeof(file), "%s/%s", folder.path,
		         (const char *[]){ "index.html", "pool.json", "how.html", "pool.csv" }[i]);
		assert_int_equal(mkdir(file, 0755), 0);
	}
	struct site *site = make_site(NULL);
	struct diag diag;
	diag_init(&diag);
	assert_int_equal(site_write(site, &fixture.view, fixture.history, &diag), -EISDIR);
	assert_int_equal(diag.messages_n, 4);
	assert_non_null(strstr(diag.messages[3].text, "1 more files"));
	diag_fini(&diag);
	assert_true(has_file(&folder, "mirrors.html"));
	assert_true(has_file(&folder, "mirror/clamav.uni0.example.html"));
	site_destroy(site);
	status_fixture_fini(&fixture);
	folder_fini(&folder);
}

static void an_empty_pool_has_a_site(void **state)
{
	(void)state;
	struct folder folder;
	struct status_fixture fixture;
	folder_init(&folder);
	status_fixture_init(&fixture, 1, 0, folder.path);
	/* Its only mirror has gone since; nothing has been checked, nothing announced. */
	fixture.view.mirrors_n = 0;
	fixture.view.databases_n = 0;
	fixture.view.monitors_n = 0;
	fixture.view.newest_timestamp_s = 0;
	fixture.conf.site.url = NULL;
	struct site *site = make_site(NULL);
	write_site(site, &fixture);
	expect_in(&folder, "mirrors.html", "The pool has no mirrors.");
	expect_in(&folder, "index.html", "<strong>0 of 0 mirrors</strong>");
	expect_in(&folder, "events.atom", "<updated>2026-11-21T00:00:00Z</updated>");
	json_t *arch = read_json(&folder, "mirrors/status/json/index.json");
	assert_true(json_is_null(json_object_get(arch, "last_check")));
	assert_int_equal(json_array_size(json_object_get(arch, "urls")), 0);
	json_decref(arch);
	site_destroy(site);
	status_fixture_fini(&fixture);
	folder_fini(&folder);
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

/* For a browser, or to look at. */
static int write_for_others(const char *what)
{
	char copy[512];
	snprintf(copy, sizeof(copy), "%s", what);
	char *rest = copy;
	const char *folder = strsep(&rest, ",");
	const char *mirrors_n = strsep(&rest, ",");
	const char *world = strsep(&rest, ",");
	struct status_fixture fixture;
	struct timespec begin;
	struct timespec end;
	status_fixture_init(&fixture, mirrors_n ? strtoul(mirrors_n, NULL, 10) : 40, SITE_HOURS, folder);
	struct site *site = make_site(world && *world ? world : NULL);
	for (int i = 0; i < 3; i++) {
		clock_gettime(CLOCK_MONOTONIC, &begin);
		clock_t cpu = clock();
		fixture.view.now_s = STATUS_NOW_S + 60 * (uint64_t)i / 2;
		write_site(site, &fixture);
		clock_gettime(CLOCK_MONOTONIC, &end);
		printf("%zu mirrors written in %.2f s, of which %.2f s of the processor\n", fixture.n,
		       (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9,
		       (double)(clock() - cpu) / CLOCKS_PER_SEC);
	}
	site_destroy(site);
	status_fixture_fini(&fixture);
	return 0;
}

int main(void)
{
	const char *what = getenv("DNSD_STATUS_SITE");
	if (what)
		return write_for_others(what);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_escapes),
		cmocka_unit_test(durations),
		cmocka_unit_test(file_names),
		cmocka_unit_test(files_are_all_there),
		cmocka_unit_test(hostile_texts_are_escaped),
		cmocka_unit_test(same_files_stay),
		cmocka_unit_test(pages_of_mirrors_that_are_gone_go),
		cmocka_unit_test(json_has_its_fields),
		cmocka_unit_test(csv_has_its_columns),
		cmocka_unit_test(world_draws),
		cmocka_unit_test(damaged_worlds_are_told),
		cmocka_unit_test(a_full_folder_is_told_once),
		cmocka_unit_test(an_empty_pool_has_a_site),
		cmocka_unit_test(rows_add_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
