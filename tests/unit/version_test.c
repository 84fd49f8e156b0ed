/* CVD headers, and the version record made of a directory of them. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "zones/version.h"
#include "zones/versions.h"
#include "zones/zones.h"

#define MD5  "0123456789abcdef0123456789abcdef"
#define GOOD "ClamAV-VDB:22 Jun 2021 21-34 -0400:27500:4000000:90:" MD5 ":signature:builder:1624412040"

static void pad(const char *text, uint8_t header[CVD_HEADER_LEN])
{
	memset(header, ' ', CVD_HEADER_LEN);
	memcpy(header, text, strlen(text));
}

static const struct {
	const char *text;
	const char *why; /* part of the reason; NULL = fine */
} headers[] = {
	{ GOOD, NULL },
	{ "ClamAV-VDB:22 Jun 2003 21-34 -0400:12:300:1:" MD5 ":s:builder",
	  NULL }, /* the oldest have eight fields */
	{ GOOD "\n", NULL },
	{ "ClamAV-VDX:22 Jun 2021 21-34 -0400:27500:4000000:90:" MD5 ":s:b:1", "does not begin" },
	{ "<html><body>404</body></html>", "does not begin" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400:27500:4000000", "fewer than eight" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400:x:4000000:90:" MD5 ":s:b:1", "no number" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400::4000000:90:" MD5 ":s:b:1", "no number" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400:-1:4000000:90:" MD5 ":s:b:1", "no number" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400:0:4000000:90:" MD5 ":s:b:1", "no number" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400:99999999999:4000000:90:" MD5 ":s:b:1", "no number" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400:1:4:90:" MD5 ":s\x01:b:1", "not text" },
};

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		uint8_t bytes[CVD_HEADER_LEN];
		pad(headers[i].text, bytes);
		struct cvd_header header;
		const char *why = NULL;
		int rc = cvd_header_parse(bytes, sizeof(bytes), &header, &why);
		if (headers[i].why ? rc == 0 || !strstr(why, headers[i].why) : rc != 0)
			fail_msg("%s: %d %s", headers[i].text, rc, why ? why : "");
	}
	uint8_t bytes[CVD_HEADER_LEN];
	pad(GOOD, bytes);
	struct cvd_header header;
	const char *why;
	assert_int_equal(cvd_header_parse(bytes, CVD_HEADER_LEN - 1, &header, &why), -EINVAL);
	assert_int_equal(cvd_header_parse(bytes, CVD_HEADER_LEN, &header, &why), 0);
	assert_int_equal(header.version, 27500);
	assert_int_equal(header.signatures_n, 4000000);
	assert_int_equal(header.flevel, 90);
	assert_int_equal(header.built_s, 1624412040);
}

struct directory {
	char path[64];
	struct conf_version conf;
};

static int setup(void **state)
{
	struct directory *dir = calloc(1, sizeof(*dir));
	assert_non_null(dir);
	strcpy(dir->path, "/tmp/dnsd-version-XXXXXX");
	assert_non_null(mkdtemp(dir->path));
	dir->conf = (struct conf_version){ .directory = dir->path,
		                           .main = 62,
		                           .safebrowsing = 49192,
		                           .software = "1.4.3",
		                           .flevel = 90,
		                           .warning = true };
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	struct directory *dir = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", dir->path);
	int rc = system(command);
	free(dir);
	return rc;
}

static void write_file(const struct directory *dir, const char *name, const void *bytes, size_t len)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir->path, name);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void write_cvd(const struct directory *dir, const char *name, unsigned version)
{
	char text[CVD_HEADER_LEN];
	snprintf(text, sizeof(text), "ClamAV-VDB:22 Jun 2021 21-34 -0400:%u:1:90:" MD5 ":s:b:1", version);
	uint8_t header[CVD_HEADER_LEN];
	pad(text, header);
	write_file(dir, name, header, sizeof(header));
}

static void expect(const struct directory *dir, struct version *version, uint64_t now_s, int want_rc,
                   const char *want_text, const char *want_message)
{
	struct diag diag;
	diag_init(&diag);
	bool names_changed;
	struct version_clock clock = { .now_s = now_s, .boot_s = (int64_t)now_s };
	assert_int_equal(version_verify(&dir->conf, version, NULL, clock, &diag, version, &names_changed),
	                 want_rc);
	char text[VERSION_TEXT_MAX];
	version_text(&dir->conf, version, text);
	assert_string_equal(text, want_text);
	bool found = !want_message;
	for (size_t i = 0; i < diag.messages_n; i++)
		found |= want_message && strstr(diag.messages[i].text, want_message);
	assert_true(found);
	diag_fini(&diag);
}

static void test_directory(void **state)
{
	const struct directory *dir = *state;
	struct version version = { 0 };
	write_cvd(dir, "daily.cvd", 27500);
	write_cvd(dir, "bytecode.cvd", 335);
	write_cvd(dir, "test.cvd", 6);
	write_file(dir, "README", "hello", 5);
	expect(dir, &version, 1000, 0, "1.4.3:62:27500:1000:1:90:49192:335", NULL);
	char text[VERSION_TEXT_MAX];
	assert_true(version_database_text(&version, "test", text));
	assert_string_equal(text, "6:1000");
	assert_false(version_database_text(&version, "valhalla", text));

	/* a new version */
	write_cvd(dir, "daily.cvd", 27501);
	expect(dir, &version, 1100, 0, "1.4.3:62:27501:1100:1:90:49192:335", NULL);
	/* what is bad keeps number and time */
	write_cvd(dir, "daily.cvd", 27499);
	expect(dir, &version, 1200, -EINVAL, "1.4.3:62:27501:1100:1:90:49192:335", "lower than 27501");
	/* a restart alone does not help: version_restore() */
	expect(dir, &version, 1200, -EINVAL, "1.4.3:62:27501:1100:1:90:49192:335", "remove versions.json");
	write_file(dir, "daily.cvd", "ClamAV-VDB:22 Jun", 17);
	expect(dir, &version, 1300, -EINVAL, "1.4.3:62:27501:1100:1:90:49192:335", "shorter than");
	write_file(dir, "daily.cvd", "", 0);
	expect(dir, &version, 1300, -EINVAL, "1.4.3:62:27501:1100:1:90:49192:335", "shorter than");
	/* a third-party file does not keep the record from being renewed */
	write_cvd(dir, "daily.cvd", 27502);
	write_cvd(dir, "test.cvd", 1);
	expect(dir, &version, 1400, 0, "1.4.3:62:27502:1400:1:90:49192:335", "lower than 6");
}

static void test_source_lost(void **state)
{
	struct directory *dir = *state;
	struct version version = { 0 };
	write_cvd(dir, "daily.cvd", 27500);
	write_cvd(dir, "bytecode.cvd", 335);
	expect(dir, &version, 1000, 0, "1.4.3:62:27500:1000:1:90:49192:335", NULL);
	dir->conf.directory = "/nonexistent/directory";
	expect(dir, &version, 1100, -EINVAL, "1.4.3:62:27500:1000:1:90:49192:335",
	       "cannot read the database directory");
	dir->conf.directory = dir->path;
	char path[128];
	/* one of the files gone, then all but a third party's */
	write_cvd(dir, "test.cvd", 6);
	snprintf(path, sizeof(path), "%s/daily.cvd", dir->path);
	assert_int_equal(unlink(path), 0);
	expect(dir, &version, 1150, -EINVAL, "1.4.3:62:27500:1000:1:90:49192:335", "daily.cvd is gone");
	write_cvd(dir, "daily.cvd", 27500);
	/* a FIFO must neither block nor count */
	snprintf(path, sizeof(path), "%s/main.cvd", dir->path);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect(dir, &version, 1200, -EINVAL, "1.4.3:62:27500:1000:1:90:49192:335", "not a regular file");
}

static void test_fixed_numbers(void **state)
{
	struct directory *dir = *state;
	dir->conf.directory = NULL;
	dir->conf.daily = 100;
	dir->conf.bytecode = 7;
	struct version version = { 0 };
	expect(dir, &version, 1000, 0, "1.4.3:62:100:1000:1:90:49192:7", NULL);
	dir->conf.warning = false;
	expect(dir, &version, 2000, 0, "1.4.3:62:100:2000:0:90:49192:7", NULL);
}

/* --- freshness --- */

#define HOUR 3600
#define T0   1795245600 /* 2026-11-21T07:20:00Z */

static const struct {
	const char *what;
	int64_t age_s;
	uint32_t stale_after_s, refuse_after_s;
	enum version_freshness want;
	int64_t next_s; /* after now; 0 = nothing more changes */
} ages[] = {
	{ "just verified", 0, 60, 150, VERSION_FRESH, 60 },
	{ "last fresh second", 59, 60, 150, VERSION_FRESH, 1 },
	{ "stale to the second", 60, 60, 150, VERSION_STALE, 90 },
	{ "last second of an answer", 149, 60, 150, VERSION_STALE, 1 },
	{ "refused to the second", 150, 60, 150, VERSION_REFUSED, 0 },
	{ "refused for long", 1000000, 60, 150, VERSION_REFUSED, 0 },
	{ "never refused", 1000000, 60, 0, VERSION_STALE, 0 },
	{ "never anything", 1000000, 0, 0, VERSION_FRESH, 0 },
};

static void test_freshness(void **state)
{
	(void)state;
	for (int feed = 0; feed < 2; feed++) {
		for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
			struct conf_version conf = { .feed = feed ? "clamav" : NULL,
				                     .stale_after_s = ages[i].stale_after_s,
				                     .refuse_after_s = ages[i].refuse_after_s };
			/* Only one of the two clocks counts. */
			struct version version = { .verified_s = T0, .verified_boot_s = -500 };
			struct version_clock clock = { .now_s = T0 + (feed ? (uint64_t)ages[i].age_s : 7),
				                       .boot_s = feed ? 12345 : -500 + ages[i].age_s };
			if (version_freshness(&conf, &version, clock) != ages[i].want)
				fail_msg("%s: freshness %d", ages[i].what,
				         version_freshness(&conf, &version, clock));
			uint64_t want = ages[i].next_s ? clock.now_s + (uint64_t)ages[i].next_s : 0;
			assert_int_equal(version_next_s(&conf, &version, clock), want);
			version.verified_s = 0;
			assert_int_equal(version_freshness(&conf, &version, clock), VERSION_REFUSED);
			assert_int_equal(version_next_s(&conf, &version, clock), 0);
		}
	}
}

/* A record of fixed numbers verified at a moment of both clocks; how often the time was talked about. */
static size_t verify_at(const struct conf_version *conf, struct version *version, const struct feed *feed,
                        uint64_t now_s, int64_t boot_s, int want_rc)
{
	struct diag diag;
	diag_init(&diag);
	bool names_changed;
	struct version_clock clock = { .now_s = now_s, .boot_s = boot_s };
	assert_int_equal(version_verify(conf, version, feed, clock, &diag, version, &names_changed), want_rc);
	size_t told_n = diag.messages_n;
	diag_fini(&diag);
	return told_n;
}

static void test_clock_jumps(void **state)
{
	struct directory *dir = *state;
	struct conf_version *conf = &dir->conf;
	conf->directory = NULL;
	conf->stale_after_s = HOUR;
	conf->refuse_after_s = 2 * HOUR;
	struct version version = { 0 };
	assert_int_equal(verify_at(conf, &version, NULL, T0, 1000, 0), 0);

	/* Two days ahead, a minute later: fresh, and the text follows at the next verification. */
	struct version_clock ahead = { .now_s = T0 + 48 * HOUR, .boot_s = 1060 };
	assert_int_equal(version_freshness(conf, &version, ahead), VERSION_FRESH);
	assert_int_equal(version_next_s(conf, &version, ahead), ahead.now_s + HOUR - 60);
	assert_int_equal(verify_at(conf, &version, NULL, ahead.now_s, 1060, 0), 0);
	assert_int_equal(version.verified_s, ahead.now_s);

	/* Set right again: that was more than three hours off, so the text goes back with it. */
	assert_int_equal(verify_at(conf, &version, NULL, T0 + 120, 1120, 0), 1);
	assert_int_equal(version.verified_s, T0 + 120);
	assert_int_equal(version.verified_boot_s, 1120);

	/* Back by three hours to the second: the text waits, told once, and the age counts on. */
	assert_int_equal(verify_at(conf, &version, NULL, T0 + 120 - 3 * HOUR, 1180, 0), 1);
	assert_int_equal(version.verified_s, T0 + 120);
	assert_int_equal(verify_at(conf, &version, NULL, T0 + 180 - 3 * HOUR, 1240, 0), 0);
	assert_int_equal(version.verified_s, T0 + 120);
	assert_int_equal(version.verified_boot_s, 1240);
	struct version_clock back = { .now_s = T0 - 2 * HOUR, .boot_s = 1240 + HOUR };
	assert_int_equal(version_freshness(conf, &version, back), VERSION_STALE);

	/* The clock has caught up; another jump is another episode. */
	assert_int_equal(verify_at(conf, &version, NULL, T0 + 121, 1300, 0), 0);
	assert_int_equal(version.verified_s, T0 + 121);
	assert_int_equal(verify_at(conf, &version, NULL, T0, 1360, 0), 1);
	/* A second more than three hours. */
	assert_int_equal(verify_at(conf, &version, NULL, T0 + 120 - 3 * HOUR, 1420, 0), 1);
	assert_int_equal(version.verified_s, T0 + 120 - 3 * HOUR);
}

/* --- a feed as the source --- */

struct world {
	struct conf_version conf;
	struct version version;
	struct feed_version said[4];
	struct feed feed;
};

static struct world make_world(uint64_t verified_s, uint32_t daily)
{
	struct world world = { .conf = { .name = "current.cvd",
		                         .feed = "clamav",
		                         .safebrowsing = 49192,
		                         .software = "1.4.3",
		                         .flevel = 90,
		                         .stale_after_s = HOUR,
		                         .refuse_after_s = 2 * HOUR },
		               .said = { { "main", 62 }, { "bytecode", 335 }, { "daily", daily } },
		               .feed = { .versions_n = 3, .versions_verified_s = verified_s } };
	return world;
}

static void expect_feed(struct world *world, uint64_t now_s, int want_rc, const char *want_text,
                        const char *want_message)
{
	struct diag diag;
	diag_init(&diag);
	bool names_changed;
	struct version_clock clock = { .now_s = now_s, .boot_s = 5000 };
	world->feed.versions = world->said;
	int rc = version_verify(&world->conf, &world->version, world->feed.versions_n ? &world->feed : NULL,
	                        clock, &diag, &world->version, &names_changed);
	assert_int_equal(rc, want_rc);
	char text[VERSION_TEXT_MAX];
	version_text(&world->conf, &world->version, text);
	assert_string_equal(text, want_text);
	assert_int_equal(diag.messages_n > 0, want_message != NULL);
	if (want_message && !strstr(diag.messages[0].text, want_message))
		fail_msg("\"%s\" is not in: %s", want_message, diag.messages[0].text);
	diag_fini(&diag);
}

static void test_feed(void **state)
{
	(void)state;
	struct world world = make_world(1000, 27500);
	expect_feed(&world, 1500, 0, "1.4.3:62:27500:1000:0:90:49192:335", NULL);
	/* The same feed verifies nothing anew. */
	expect_feed(&world, 1600, 0, "1.4.3:62:27500:1000:0:90:49192:335", NULL);
	struct version_clock clock = { .now_s = 1000 + HOUR, .boot_s = 5000 };
	assert_int_equal(version_freshness(&world.conf, &world.version, clock), VERSION_STALE);

	world.said[2].version = 27501;
	world.feed.versions_verified_s = 1700;
	expect_feed(&world, 1800, 0, "1.4.3:62:27501:1700:0:90:49192:335", NULL);
	/* Going back: number and time stay, whatever it says; what else it says is taken. */
	world.said[1].version = 336;
	world.said[2].version = 27500;
	world.feed.versions_verified_s = 1850;
	expect_feed(&world, 1900, -EINVAL, "1.4.3:62:27501:1700:0:90:49192:336",
	            "27500 of daily is lower than");
	world.said[2].version = 27502;
	expect_feed(&world, 1900, 0, "1.4.3:62:27502:1850:0:90:49192:336", NULL);
	/* An older time does not make the record older. */
	world.feed.versions_verified_s = 1840;
	expect_feed(&world, 1900, 0, "1.4.3:62:27502:1850:0:90:49192:336", NULL);
	world.feed.versions_verified_s = 0;
	expect_feed(&world, 1900, -EINVAL, "1.4.3:62:27502:1850:0:90:49192:336", "do not say when");
	world.feed.versions_n = 0;
	expect_feed(&world, 1900, -EINVAL, "1.4.3:62:27502:1850:0:90:49192:336", "has no versions");
}

static void test_feed_future(void **state)
{
	(void)state;
	/* Never from the future, and the same words do not make it younger as time goes by. */
	struct world world = make_world(9999999, 27500);
	expect_feed(&world, 1500, 0, "1.4.3:62:27500:1500:0:90:49192:335", NULL);
	expect_feed(&world, 1600, 0, "1.4.3:62:27500:1500:0:90:49192:335", NULL);
	struct version_clock clock = { .now_s = 1500 + 2 * HOUR, .boot_s = 5000 };
	assert_int_equal(version_freshness(&world.conf, &world.version, clock), VERSION_REFUSED);
	world.feed.versions_verified_s++;
	expect_feed(&world, 1700, 0, "1.4.3:62:27500:1700:0:90:49192:335", NULL);
}

static void test_feed_start(void **state)
{
	(void)state;
	/* Nothing to start with: no record until the feed has all of it. */
	struct world world = make_world(1000, 27500);
	world.feed.versions_n = 0;
	expect_feed(&world, 1500, -EINVAL, "1.4.3:0:0:0:0:90:49192:0", "has no versions");
	world.feed.versions_n = 2;
	expect_feed(&world, 1500, -EINVAL, "1.4.3:62:0:0:0:90:49192:335", "no version of database \"daily\"");
	world.feed.versions_n = 3;
	expect_feed(&world, 1500, 0, "1.4.3:62:27500:1000:0:90:49192:335", NULL);

	/* Start values count from the start, once; a feed below them goes back. */
	world = make_world(1600, 27499);
	world.conf.main = 61;
	world.conf.daily = 27500;
	world.conf.bytecode = 335;
	world.feed.versions_n = 0;
	expect_feed(&world, 1500, -EINVAL, "1.4.3:61:27500:1500:0:90:49192:335", "has no versions");
	expect_feed(&world, 1550, -EINVAL, "1.4.3:61:27500:1500:0:90:49192:335", "has no versions");
	world.feed.versions_n = 3;
	expect_feed(&world, 1700, -EINVAL, "1.4.3:62:27500:1500:0:90:49192:335", "lower than 27500");
	world.said[2].version = 27500;
	expect_feed(&world, 1700, 0, "1.4.3:62:27500:1600:0:90:49192:335", NULL);
}

static void test_feed_names(void **state)
{
	(void)state;
	struct world world = make_world(1000, 27500);
	world.said[3] = (struct feed_version){ "a.b", 5 };
	world.feed.versions_n = 4;
	expect_feed(&world, 1500, 0, "1.4.3:62:27500:1000:0:90:49192:335",
	            "\"a.b\" is no name of a database");
	world.said[3].database = "valhalla";
	expect_feed(&world, 1500, 0, "1.4.3:62:27500:1000:0:90:49192:335", NULL);
	char text[VERSION_TEXT_MAX];
	assert_true(version_database_text(&world.version, "valhalla", text));
	assert_string_equal(text, "5:1000");
}

/* --- over a restart --- */

static void test_restore(void **state)
{
	(void)state;
	struct version_clock clock = { .now_s = 2000, .boot_s = 100 };
	struct version kept = { .verified_s = 1900 };
	assert_int_equal(version_set_number(&kept, "daily", 27500), 0);
	assert_int_equal(version_set_number(&kept, "main", 62), 0);
	assert_int_equal(version_set_number(&kept, "a b", 62), -EINVAL);

	/* The source has the same or better: what it says now counts. */
	struct version version = { .verified_s = 2000, .verified_boot_s = 100 };
	version_set_number(&version, "daily", 27501);
	version_set_number(&version, "main", 62);
	version_restore(&version, &kept, clock);
	assert_int_equal(version.databases[0].version, 27501);
	assert_int_equal(version.verified_s, 2000);

	/* It has less: the number is raised, and that nobody has verified since. */
	version.databases[0].version = 27499;
	version_restore(&version, &kept, clock);
	assert_int_equal(version.databases[0].version, 27500);
	assert_int_equal(version.verified_s, 1900);
	assert_int_equal(version.verified_boot_s, 0);

	/* Nothing was verified; and a time from the future is none. */
	version = (struct version){ 0 };
	kept.verified_s = 99999;
	version_restore(&version, &kept, clock);
	assert_int_equal(version.databases_n, 2);
	assert_int_equal(version.verified_s, 2000);
	assert_int_equal(version.verified_boot_s, 100);
}

static void test_json(void **state)
{
	(void)state;
	struct conf_zone zone = { .name = "clamav.test" };
	struct conf_version conf = { .name = "current.cvd", .feed = "clamav" };
	struct zones_version entries[2] = { { .zone = &zone, .conf = &conf },
		                            { .zone = &zone, .conf = &conf } };
	struct zones from = { .versions = &entries[0], .versions_n = 1 };
	struct version_clock clock = { .now_s = 2000, .boot_s = 100 };
	entries[0].version.verified_s = 1900;
	version_set_number(&entries[0].version, "daily", 27500);
	struct diag diag;
	diag_init(&diag);
	json_t *json = zones_versions_to_json(&from);
	assert_non_null(json);
	assert_int_equal(zones__restore_version(&entries[1], json, clock, &diag), 0);
	assert_string_equal(entries[1].version.databases[0].name, "daily");
	assert_int_equal(entries[1].version.databases[0].version, 27500);
	assert_int_equal(entries[1].version.verified_s, 1900);
	json_decref(json);
	assert_int_equal(diag.messages_n, 0);

	static const char *const damaged[] = {
		"{}",
		"[ 1 ]",
		"[ { \"zone\": \"clamav.test\", \"name\": \"current.cvd\", \"verified\": -1, \"databases\": "
		"{} } ]",
		"[ { \"zone\": \"clamav.test\", \"name\": \"current.cvd\", \"verified\": 1950, "
		"\"databases\": { \"daily\": 0 } } ]",
		"[ { \"zone\": \"clamav.test\", \"name\": \"current.cvd\", \"verified\": 1950, "
		"\"databases\": { \"../x\": 7 } } ]",
	};
	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		json = json_loads(damaged[i], 0, NULL);
		assert_non_null(json);
		assert_int_equal(zones__restore_version(&entries[1], json, clock, &diag), -EINVAL);
		assert_int_equal(diag.messages_n, i + 1);
		assert_int_equal(entries[1].version.verified_s, 1900);
		assert_int_equal(entries[1].version.databases_n, 1);
		json_decref(json);
	}
	diag_fini(&diag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_source_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fixed_numbers, setup, teardown),
		cmocka_unit_test(test_freshness),
		cmocka_unit_test_setup_teardown(test_clock_jumps, setup, teardown),
		cmocka_unit_test(test_feed),
		cmocka_unit_test(test_feed_future),
		cmocka_unit_test(test_feed_start),
		cmocka_unit_test(test_feed_names),
		cmocka_unit_test(test_restore),
		cmocka_unit_test(test_json),
	};
	return cmocka_run_group_tests_name("version", tests, NULL, NULL);
}
