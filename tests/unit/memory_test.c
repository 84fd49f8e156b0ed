/*
 * Memory runs out: each allocation of each step fails once. The step then either says so, and everything is
 * as it was, or does without (a message, a line of the journal). A sanitizer sees what is not freed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "answer/pools_build.h"
#include "answer/store_build.h"
#include "geo/mmdb_load.h"
#include "load/load.h"
#include "tests/unit/failing/failing.h"
#include "tests/unit/support/site_fixture.h"
#include "tools/geodb/mmdb_writer.h"
#include "wire/name.h"
#include "wire/wire.h"
#include "zones/history.h"

#define NOW_S 1795000000

static char dir[] = "/tmp/memory_test.XXXXXX";
static char conf_path[64];

static const char conf_text[] =
        "server: { listen = [ \"127.0.0.1@0\" ]; state-directory = \"state\"; };\n"
        "geo: { database = \"geo.mmdb\"; };\n"
        "zones = ( { name = \"example.net\"; file = \"zone\";\n"
        "  pools = ( { pool = \"one\"; world = [ \"database\" ]; nearest = [ \"db.local\" ]; region = [ "
        "\"db.%r\" ]; ping = [ \"ping\" ]; },\n"
        "            { pool = \"two\"; world = [ \"other\" ]; } );\n"
        "  versions = ( { name = \"current.cvd\"; software = \"1.4.3\"; directory = \"cvd\"; main = 62; "
        "bytecode = 335; renew = \"1h\"; } );\n"
        "  whoami = { name = \"whoami\"; allow = [ \"127.0.0.0/8\" ]; }; } );\n"
        "pools = ( { name = \"one\"; mirrors = \"mirrors.conf\"; regions = \"regions.conf\"; feed = "
        "\"feed\";\n"
        "    max-removal = 100; },\n"
        "  { name = \"two\"; mirrors = \"mirrors.conf\"; regions = \"regions.conf\"; } );\n";

static const char zone_text[] = "$TTL 300\n"
                                "@ SOA ns1 hostmaster 1 3600 600 86400 300\n"
                                "@ NS ns1\n"
                                "@ NS ns1\n"
                                "ns1 A 192.0.2.250\n"
                                "www CNAME ns1\n"
                                "sub NS ns.sub\n"
                                "ns.sub A 192.0.2.251\n"
                                "*.wild TXT \"x\"\n"
                                "old DNAME new\n";

static const char mirrors_text[] =
        "mirrors = (\n"
        "  { host = \"m1.de.example\"; country = \"DE\"; addresses = [ \"192.0.2.1\", \"2001:db8::1\" ]; },\n"
        "  { host = \"m2.de.example\"; country = \"DE\"; addresses = [ \"192.0.2.2\" ]; weight = 50;\n"
        "    maintenance = ( { from = \"2027-01-01T00:00:00Z\"; until = \"2027-01-02T00:00:00Z\"; reason = "
        "\"disks\"; } ); },\n"
        "  { host = \"m3.fr.example\"; country = \"FR\"; addresses = [ \"192.0.2.3\" ]; } );\n";

static const char regions_text[] = "regions = ( { name = \"eu\"; countries = [ \"DE\", \"FR\" ]; } );\n"
                                   "neighbours = ( { country = \"AT\"; near = [ \"DE\" ]; } );\n";

static const char feed_text[] =
        "{ \"format\": 1, \"serial\": %u, \"generated\": 1794999000, \"excluded\": [ { \"mirror\": \"%s\",\n"
        "  \"reason\": \"old\", \"detail\": \"3 behind\" } ], \"weights\": [ { \"mirror\": "
        "\"m2.de.example\", "
        "\"factor\": 0.5 } ],\n"
        "  \"versions\": { \"verified\": 1794999000, \"daily\": 27500 } }\n";

static void write_feed(unsigned serial, const char *host)
{
	char text[1024];
	snprintf(text, sizeof(text), feed_text, serial, host);
	site_write_file(dir, "feed", text);
}

static void write_geo(void)
{
	char path[64];
	struct mmdb_writer_options options = { 0 };
	struct mmdb_writer *writer = mmdb_writer_create(&options);
	struct prefix prefix;
	snprintf(path, sizeof(path), "%s/geo.mmdb", dir);
	assert_non_null(writer);
	assert_int_equal(prefix_parse("192.0.2.0/25", &prefix), 0);
	assert_int_equal(mmdb_writer_insert(writer, &prefix, "DE"), 0);
	assert_int_equal(prefix_parse("2001:db8::/32", &prefix), 0);
	assert_int_equal(mmdb_writer_insert(writer, &prefix, "FR"), 0);
	assert_int_equal(mmdb_writer_write(writer, path, NULL), 0);
	mmdb_writer_destroy(writer);
}

static int make_site(void **unused)
{
	(void)unused;
	char path[96];
	assert_non_null(mkdtemp(dir));
	snprintf(conf_path, sizeof(conf_path), "%s/dnsd.conf", dir);
	site_write_file(dir, "dnsd.conf", conf_text);
	site_write_file(dir, "zone", zone_text);
	site_write_file(dir, "mirrors.conf", mirrors_text);
	site_write_file(dir, "regions.conf", regions_text);
	write_feed(5, "m3.fr.example");
	write_geo();
	snprintf(path, sizeof(path), "%s/state", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	site_write_file(
	        path, "overrides.json",
	        "{ \"format\": 1, \"overrides\": [ { \"pool\": \"two\", \"mirror\": \"m1.de.example\", "
	        "\"action\": \"down\", \"set\": \"2026-01-01T00:00:00Z\", \"from\": "
	        "\"2026-01-01T00:00:00Z\", \"author\": \"a\", "
	        "\"reason\": \"b\" } ] }\n");
	snprintf(path, sizeof(path), "%s/cvd", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	char header[513];
	snprintf(header, sizeof(header), "%-512s",
	         "ClamAV-VDB:22 Jun 2021 21-34 "
	         "-0400:27500:1000:90:0123456789abcdef0123456789abcdef:sig:builder:"
	         "1624410840");
	site_write_file(path, "daily.cvd", header);
	return 0;
}

static int remove_site(void **unused)
{
	(void)unused;
	char command[64];
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) == 0 ? 0 : -1;
}

static void tell(const struct diag *diag)
{
	for (size_t i = 0; i < diag->messages_n; i++)
		print_message("%s\n", diag->messages[i].text);
}

static struct load *load_now(void)
{
	struct diag diag;
	struct load *load;
	diag_init(&diag);
	int rc = load_create(conf_path, NULL, &diag, &load);
	if (rc < 0)
		tell(&diag);
	assert_int_equal(rc, 0);
	diag_fini(&diag);
	return load;
}

static struct answer_pools *compile_now(struct zones *zones)
{
	struct answer_pools *pools;
	assert_int_equal(zones_compile(zones, site_clock(NOW_S), &pools), 0);
	return pools;
}

static void check_same(const struct load *a, const struct load *b)
{
	struct answer_pools *x = compile_now(a->zones);
	struct answer_pools *y = compile_now(b->zones);
	assert_true(answer_store_equal(a->zones->store, b->zones->store));
	assert_true(answer_pools_equal(x, y));
	assert_true((a->geo == NULL) == (b->geo == NULL));
	answer_pools_unref(x);
	answer_pools_unref(y);
}

/* --- steps, each with one allocation that fails --- */

/* Of what is left out an operator must hear. */
static size_t count_warnings(const struct diag *diag)
{
	size_t n = diag->suppressed_n;
	for (size_t i = 0; i < diag->messages_n; i++)
		n += diag->messages[i].level != DIAG_INFO;
	return n;
}

/* With memory there is one: a name server stands twice in the zone. */
#define WARNINGS_ALWAYS_N 1

/* A start; with previous, a reload. whole: what it gives with memory. Returns whether it has come to its end.
 */
static bool try_load(const struct load *previous, const struct load *whole, uint64_t nth, bool *ret_done)
{
	struct diag diag;
	struct load *load = NULL;
	diag_init(&diag);
	failing_start(nth);
	int rc = load_create(conf_path, previous, &diag, &load);
	uint64_t n = failing_stop();
	*ret_done = n < nth;
	assert_true((rc == 0) == (load != NULL));
	if (load && whole && count_warnings(&diag) == WARNINGS_ALWAYS_N)
		check_same(load, whole);
	if (rc < 0 && n < nth)
		tell(&diag);
	assert_true(rc == 0 || n >= nth);
	diag_fini(&diag);
	load_destroy(load);
	return rc == 0;
}

static void test_start(void **unused)
{
	(void)unused;
	bool done = false;
	unsigned failed_n = 0;
	struct load *whole = load_now();
	for (uint64_t nth = 1; !done; nth++)
		failed_n += !try_load(NULL, whole, nth, &done);
	load_destroy(whole);
	assert_true(failed_n > 50);
}

/* Without a feed, from the one that was kept: that is in force, or its loss is told. */
static void test_start_from_saved(void **unused)
{
	(void)unused;
	char path[96];
	char text[1024];
	snprintf(path, sizeof(path), "%s/state", dir);
	snprintf(text, sizeof(text), feed_text, 5, "m3.fr.example");
	site_write_file(path, "feed-one.saved", text);
	snprintf(path, sizeof(path), "%s/feed", dir);
	assert_int_equal(unlink(path), 0);
	struct diag diag;
	struct load *whole;
	diag_init(&diag);
	assert_int_equal(load_create(conf_path, NULL, &diag, &whole), 0);
	assert_non_null(whole->zones->feeds[0].feed);
	size_t warnings_n = count_warnings(&diag);
	diag_fini(&diag);
	bool done = false;
	for (uint64_t nth = 1; !done; nth++) {
		struct load *load = NULL;
		diag_init(&diag);
		failing_start(nth);
		int rc = load_create(conf_path, NULL, &diag, &load);
		done = failing_stop() < nth;
		/* Told: it may look like no JSON to who parses it without memory. */
		assert_true(rc < 0 || load->zones->feeds[0].feed || count_warnings(&diag) > warnings_n);
		diag_fini(&diag);
		load_destroy(load);
	}
	load_destroy(whole);
	snprintf(path, sizeof(path), "%s/state/feed-one.saved", dir);
	assert_int_equal(unlink(path), 0);
	write_feed(5, "m3.fr.example");
}

/* A store is whole, or there is none: no referral may lack its glue, and no zone file is to blame. */
static int build_store(uint64_t nth, bool *ret_done, struct answer_store **ret_store)
{
	static const struct {
		const char *owner;
		uint16_t type;
		uint16_t rdata_len;
		const char *rdata;
	} records[] = {
		{ "example.net", WIRE_TYPE_SOA, 22, "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1" },
		{ "example.net", WIRE_TYPE_NS, 20, "\2ns\3sub\7example\3net" },
		{ "sub.example.net", WIRE_TYPE_NS, 20, "\2ns\3sub\7example\3net" },
		{ "ns.sub.example.net", WIRE_TYPE_A, 4, "\300\0\2\1" },
	};
	struct store_builder *builder = store_builder_create();
	struct diag diag;
	uint8_t name[WIRE_NAME_MAX];
	int len = name_from_text("example.net", NULL, 0, name);
	assert_non_null(builder);
	assert_int_equal(store_builder_add_zone(builder, name, (size_t)len), 0);
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		len = name_from_text(records[i].owner, NULL, 0, name);
		assert_int_equal(store_builder_add_record(builder, 0, name, (size_t)len, records[i].type, 300,
		                                          (const uint8_t *)records[i].rdata,
		                                          records[i].rdata_len, "zone", 1),
		                 0);
	}
	diag_init(&diag);
	failing_start(nth);
	int rc = store_build(builder, &diag, ret_store);
	*ret_done = failing_stop() < nth;
	assert_int_equal(diag.errors_n, 0);
	diag_fini(&diag);
	store_builder_destroy(builder);
	return rc;
}

static void test_store(void **unused)
{
	(void)unused;
	struct answer_store *whole;
	bool done;
	assert_int_equal(build_store(0, &done, &whole), 0);
	done = false;
	for (uint64_t nth = 1; !done; nth++) {
		struct answer_store *store = NULL;
		int rc = build_store(nth, &done, &store);
		assert_true(rc == 0 ? answer_store_equal(store, whole) : rc == -ENOMEM && !store);
		answer_store_unref(store);
	}
	answer_store_unref(whole);
}

static void test_reload(void **unused)
{
	(void)unused;
	struct load *load = load_now();
	struct answer_pools *before = compile_now(load->zones);
	write_feed(6, "m1.de.example");
	bool done = false;
	for (uint64_t nth = 1; !done; nth++) {
		try_load(load, NULL, nth, &done);
		struct answer_pools *after = compile_now(load->zones);
		assert_true(answer_pools_equal(before, after));
		answer_pools_unref(after);
	}
	answer_pools_unref(before);
	load_destroy(load);
	write_feed(5, "m3.fr.example");
}

static void test_snap(void **unused)
{
	(void)unused;
	struct load *load = load_now();
	struct snap *first;
	assert_int_equal(load_make_snap(load, 1, NULL, NOW_S, &first), 0);
	bool done = false;
	for (uint64_t nth = 1; !done; nth++) {
		struct snap *snap = NULL;
		failing_start(nth);
		int rc = load_make_snap(load, 2, first, NOW_S + 5, &snap);
		done = failing_stop() < nth;
		assert_true(rc == 0 ? snap != NULL : rc == -ENOMEM && snap == NULL);
		/* Nothing has changed, so the serial is that of before; a pool that was left out would show.
		 */
		if (snap)
			assert_int_equal(snap->data.serial, first->data.serial);
		snap_destroy(snap);
	}
	snap_destroy(first);
	load_destroy(load);
}

static void test_feed(void **unused)
{
	(void)unused;
	bool done = false;
	for (uint64_t nth = 1; !done; nth++) {
		write_feed(5, "m3.fr.example");
		struct load *load = load_now();
		struct answer_pools *before = compile_now(load->zones);
		write_feed(6, "m2.de.example");
		struct diag diag;
		diag_init(&diag);
		failing_start(nth);
		int rc = zones_read_feeds(load->zones, NOW_S, &diag);
		done = failing_stop() < nth;
		diag_fini(&diag);
		assert_true(rc == 0 || rc == -ENOMEM);
		struct answer_pools *after = compile_now(load->zones);
		/* Each pool is as it was or as it will be. A feed that could not be read is told, and rc 0.
		 */
		assert_true(!done || !answer_pools_equal(before, after));
		answer_pools_unref(after);
		/* The next look makes up for it. */
		diag_init(&diag);
		assert_int_equal(zones_read_feeds(load->zones, NOW_S, &diag), 0);
		diag_fini(&diag);
		after = compile_now(load->zones);
		assert_false(answer_pools_equal(before, after));
		answer_pools_unref(after);
		answer_pools_unref(before);
		load_destroy(load);
	}
	write_feed(5, "m3.fr.example");
}

/* Both pools have one: either both overrides are in force then, or neither. */
static void test_overrides(void **unused)
{
	(void)unused;
	struct load *load = load_now();
	struct zones *zones = load->zones;
	struct override add = { .pool = "one",
		                .host = "m1.de.example",
		                .action = OVERRIDE_DOWN,
		                .set_s = NOW_S,
		                .from_s = NOW_S,
		                .author = "me",
		                .reason = "disk" };
	struct override_set *one;
	struct override_set *both;
	assert_int_equal(override_set_change(zones->overrides, "one", add.host, &add, NOW_S, &one), 0);
	add.pool = "two";
	add.host = "m2.de.example";
	assert_int_equal(override_set_change(one, "two", add.host, &add, NOW_S, &both), 0);
	struct answer_pools *before = compile_now(zones);
	bool done = false;
	for (uint64_t nth = 1; !done; nth++) {
		struct override_set *was = override_set_ref(zones->overrides);
		failing_start(nth);
		int rc = zones_set_overrides(zones, both, NOW_S);
		done = failing_stop() < nth;
		struct answer_pools *after = compile_now(zones);
		assert_true(answer_pools_equal(before, after) == (rc < 0));
		assert_ptr_equal(zones->overrides, rc < 0 ? was : both);
		answer_pools_unref(after);
		if (rc == 0)
			assert_int_equal(zones_set_overrides(zones, was, NOW_S), 0);
		override_set_unref(was);
	}
	answer_pools_unref(before);
	override_set_unref(one);
	override_set_unref(both);
	load_destroy(load);
}

static void test_change_override(void **unused)
{
	(void)unused;
	struct load *load = load_now();
	struct override add = { .pool = "one",
		                .host = "m1.de.example",
		                .action = OVERRIDE_UP,
		                .set_s = NOW_S,
		                .from_s = NOW_S,
		                .author = "me",
		                .reason = "done" };
	bool done = false;
	for (uint64_t nth = 1; !done; nth++) {
		struct override_set *set = NULL;
		failing_start(nth);
		int rc = override_set_change(load->zones->overrides, "one", add.host, &add, NOW_S, &set);
		done = failing_stop() < nth;
		assert_true(rc == 0 ? set != NULL : rc == -ENOMEM && set == NULL);
		assert_int_equal(load->zones->overrides->n, 1);
		override_set_unref(set);
		failing_start(nth);
		json_t *json = override_set_to_json(load->zones->overrides);
		done &= failing_stop() < nth;
		json_decref(json);
	}
	load_destroy(load);
}

static void test_geo(void **unused)
{
	(void)unused;
	char path[64];
	snprintf(path, sizeof(path), "%s/geo.mmdb", dir);
	struct mmdb_load_options options = { .path = path, .country_path = "country.iso_code" };
	bool done = false;
	for (uint64_t nth = 1; !done; nth++) {
		struct diag diag;
		struct mmdb_load_info info;
		struct geo_map *map = NULL;
		diag_init(&diag);
		failing_start(nth);
		int rc = mmdb_load(&options, &diag, &info, &map);
		done = failing_stop() < nth;
		assert_true((rc == 0) == (map != NULL));
		assert_true(rc == 0 || !done);
		geo_map_unref(map);
		diag_fini(&diag);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_geo),       cmocka_unit_test(test_change_override),
		cmocka_unit_test(test_overrides), cmocka_unit_test(test_feed),
		cmocka_unit_test(test_snap),      cmocka_unit_test(test_start),
		cmocka_unit_test(test_reload),    cmocka_unit_test(test_start_from_saved),
		cmocka_unit_test(test_store),
	};
	return cmocka_run_group_tests(tests, make_site, remove_site);
}
