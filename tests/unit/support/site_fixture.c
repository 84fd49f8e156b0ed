#include "tests/unit/support/site_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char zone_text[] =
        "$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 86400 300\n@ NS ns1\nns1 A 192.0.2.250\n";

static const char conf_text[] =
        "server: { listen = [ \"127.0.0.1@0\" ]; state-directory = \"state\"; };\n"
        "zones = ( { name = \"example.net\"; file = \"zone\"; pools = ( { pool = \"test\";\n"
        "  world = [ \"database\" ]; nearest = [ \"db.local\" ]; country = [ \"db.%%c\" ];\n"
        "  country-ipv6 = [ \"db.%%c.ipv6\" ]; country-all = [ \"db.%%c.big\" ]; region = [ \"db.%%r\" ]; } "
        "); } );\n"
        "pools = ( { name = \"test\"; mirrors = \"mirrors.conf\"; regions = \"regions.conf\"; feed = "
        "\"feed\";\n"
        "  ttl = \"5m\"; %s } );\n";

struct version_clock site_clock(uint64_t now_s)
{
	return (struct version_clock){ .now_s = now_s, .boot_s = (int64_t)now_s };
}

void site_write_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
}

static void expect_good(const struct diag *diag, int rc)
{
	for (size_t i = 0; i < diag->messages_n && rc < 0; i++)
		print_message("%s\n", diag->messages[i].text);
	assert_int_equal(rc, 0);
}

void site_init(struct site_fixture *site, const char *mirrors, const char *regions, const char *settings,
               uint64_t now_s)
{
	memset(site, 0, sizeof(*site));
	strcpy(site->dir, "/tmp/dnsd-site-XXXXXX");
	assert_non_null(mkdtemp(site->dir));
	snprintf(site->state_dir, sizeof(site->state_dir), "%s/state", site->dir);
	assert_int_equal(mkdir(site->state_dir, 0700), 0);
	char text[2048];
	snprintf(text, sizeof(text), conf_text, settings);
	site_write_file(site->dir, "dnsd.conf", text);
	site_write_file(site->dir, "zone", zone_text);
	site_write_file(site->dir, "mirrors.conf", mirrors);
	site_write_file(site->dir, "regions.conf", regions);
	diag_init(&site->told);
	char path[128];
	snprintf(path, sizeof(path), "%s/dnsd.conf", site->dir);
	expect_good(&site->told, conf_load(path, &site->told, &site->conf));
	expect_good(&site->told, zones_load(site->conf, NULL, site_clock(now_s), &site->told, &site->zones));
}

void site_fini(struct site_fixture *site)
{
	zones_destroy(site->zones);
	conf_destroy(site->conf);
	diag_fini(&site->told);
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", site->dir);
	assert_int_equal(system(command), 0);
}

void site_write_feed(const struct site_fixture *site, const char *text)
{
	char path[128];
	char new_path[128];
	snprintf(path, sizeof(path), "%s/feed", site->dir);
	snprintf(new_path, sizeof(new_path), "%s/feed.new", site->dir);
	if (text) {
		site_write_file(site->dir, "feed.new", text);
		assert_int_equal(rename(new_path, path), 0);
	} else {
		unlink(path);
	}
}

static void forget_told(struct site_fixture *site)
{
	diag_fini(&site->told);
	diag_init(&site->told);
}

void site_read(struct site_fixture *site, uint64_t now_s)
{
	forget_told(site);
	assert_int_equal(zones_read_feeds(site->zones, now_s, &site->told), 0);
}

void site_reload(struct site_fixture *site, bool restart, uint64_t now_s)
{
	struct zones *zones;
	forget_told(site);
	expect_good(&site->told, zones_load(site->conf, restart ? NULL : site->zones, site_clock(now_s),
	                                    &site->told, &zones));
	zones_destroy(site->zones);
	site->zones = zones;
}

bool site_has_told(const struct site_fixture *site, const char *text)
{
	for (size_t i = 0; i < site->told.messages_n; i++) {
		if (strstr(site->told.messages[i].text, text))
			return true;
	}
	return false;
}
