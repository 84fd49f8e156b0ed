/* conf: every key once, what is left out, files that belong together, texts made to hurt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/support/conf_fixture.h"

static void check_path(const char *path, const char *want)
{
	assert_non_null(path);
	assert_string_equal(path, folder_path(want));
}

static void check_listen(const struct conf_listen *listen, const char *want)
{
	char text[ADDR_TEXT_MAX];
	assert_string_equal(addr_format_sockaddr((const struct sockaddr *)&listen->addr, text, sizeof(text)),
	                    want);
}

/* ---- Good configurations. */

static const char full[] =
        "server: {\n"
        "  listen = [ \"127.0.0.1@5300\", \"::1\" ];\n"
        "  workers = 4; edns-size = 1400; tcp-idle = \"20s\"; tcp-clients = 77; stop-drain = \"250ms\";\n"
        "  tls-listen = [ \"127.0.0.1@8530\", \"::1\" ]; tls-certificate = \"tls.crt\"; "
        "  tls-key = \"/etc/k\"; tcp-clients-per-prefix = 7; "
        "  max-zone-records = 4000000000; id = \"ns1\"; version-text = \"\";\n"
        "}; metrics: { listen = [ \"127.0.0.1@9000\", \"::1\" ]; };\n"
        "geo: {\n"
        "  database = \"geo/country.mmdb\"; database-ipv6 = \"/var/geo/v6.mmdb\";\n"
        "  country-path = \"country.iso_code\";\n"
        "  nets = ( { net = \"10.0.0.0/8\"; country = \"de\"; }, { net = \"fd00::/8\"; country = \"FR\"; } "
        "); canaries = ( { address = \"2001:db8::1\"; country = \"fr\"; } ); max-drift = 7; max-age = 0;\n"
        "};\n"
        "zones = ( {\n"
        "  name = \"clamav.net\"; file = \"clamav.net.zone\";\n"
        "  pools = ( { pool = \"clamav\"; world = [ \"database\", \"db\" ]; nearest = ( \"db.local\" );\n"
        "    country = \"db.%c\"; country-ipv6 = [ \"db.%c.ipv6\" ]; country-all = [ \"db.%c.big\" ];\n"
        "    region = [ \"db.%r\" ]; ping = [ \"ping\" ]; } );\n"
        "  versions = (\n"
        "    { name = \"current.cvd\"; directory = \"cvd\"; software = \"1.4.3\"; flevel = 91; warning = "
        "true;\n"
        "      main = 62; daily = 27500; bytecode = 335; safebrowsing = 49193; ttl = 0; renew = \"1h\";\n"
        "      stale-after = \"40m\"; refuse-after = 0;\n"
        "      database-names = \"%d.cvd\"; },\n"
        "    { name = \"old.cvd\"; main = 1; daily = 2; bytecode = 3; software = \"1.0\"; }\n"
        "  );\n"
        "  whoami = { name = \"who\"; allow = [ \"0.0.0.0/0\", \"::1\" ]; };\n"
        "} );\n"
        "pools = ( { name = \"clamav\"; mirrors = \"mirrors.conf\"; regions = \"regions.conf\"; ttl = 60;\n"
        "  max-answers = 6; min-mirrors = 2; borrow-ipv6 = true; } );\n";

static const char full_mirrors[] =
        "mirrors = (\n"
        "  { host = \"m1.example.org\"; country = \"DE\"; addresses = [\n"
        "      \"192.0.2.1\",\n"
        "      \"2001:db8::1\"\n"
        "    ]; weight = -5; admin = \"A B <a@example.org> || <alerts@example.org>\"; },\n"
        "  { host = \"m2.example.org\"; country = \"zz\"; addresses = \"192.0.2.2\"; }\n"
        ");\n";

static const char full_regions[] = "regions = ( { name = \"europe\"; countries = [ \"DE\", \"FR\" ]; } );\n"
                                   "neighbours = ( { country = \"LI\"; near = [ \"CH\", \"AT\" ]; } );\n";

static void test_every_key(void **state)
{
	(void)state;
	folder_put("dnsd.conf", full);
	folder_put("mirrors.conf", full_mirrors);
	folder_put("regions.conf", full_regions);
	struct conf *conf = conf_fixture_load("every key", "");
	char text[ADDR_TEXT_MAX];

	assert_int_equal(conf->listen_n, 2);
	check_listen(&conf->listen[0], "127.0.0.1@5300");
	check_listen(&conf->listen[1], "::1@53");
	assert_int_equal(conf->listen[1].place.line, 2);
	assert_int_equal(conf->tls_listen_n, 2);
	check_listen(&conf->tls_listen[1], "::1@853");
	assert_non_null(strstr(conf->tls_certificate, "/tls.crt"));
	assert_string_equal(conf->tls_key, "/etc/k");
	assert_int_equal(conf->tcp_clients_per_prefix, 7);
	assert_int_equal(conf->metrics_listen_n, 2);
	check_listen(&conf->metrics_listen[0], "127.0.0.1@9000");
	check_listen(&conf->metrics_listen[1], "::1@9153");
	assert_int_equal(conf->workers, 4);
	assert_int_equal(conf->edns_size, 1400);
	assert_int_equal(conf->tcp_idle_ms, 20000);
	assert_int_equal(conf->tcp_clients_max, 77);
	assert_int_equal(conf->stop_drain_ms, 250);
	assert_int_equal(conf->max_zone_records, 4000000000);
	assert_string_equal(conf->id, "ns1");
	assert_string_equal(conf->version_text, "");

	check_path(conf->geo.database, "geo/country.mmdb");
	assert_string_equal(conf->geo.database_ipv6, "/var/geo/v6.mmdb");
	assert_string_equal(conf->geo.country_path, "country.iso_code");
	assert_int_equal(conf->geo.place.line, 6);
	assert_int_equal(conf->geo.nets_n, 2);
	assert_string_equal(conf->geo.nets[0].country, "DE");
	assert_int_equal(conf->geo.nets[0].prefix.len, 8);
	assert_string_equal(prefix_format(&conf->geo.nets[1].prefix, text, sizeof(text)), "fd00::/8");
	assert_int_equal(conf->geo.nets[1].place.line, 9);
	assert_int_equal(conf->geo.canaries_n, 1);
	assert_string_equal(addr_format(&conf->geo.canaries[0].addr, text, sizeof(text)), "2001:db8::1");
	assert_string_equal(conf->geo.canaries[0].country, "FR");
	assert_int_equal(conf->geo.canaries[0].place.line, 9);
	assert_int_equal(conf->geo.max_drift_percent, 7);
	assert_int_equal(conf->geo.max_age_s, 0);

	assert_int_equal(conf->zones_n, 1);
	const struct conf_zone *zone = &conf->zones[0];
	assert_string_equal(zone->name, "clamav.net");
	check_path(zone->file, "clamav.net.zone");
	assert_int_equal(zone->place.line, 11);
	check_path(zone->place.file, "dnsd.conf");

	assert_int_equal(zone->pools_n, 1);
	const struct conf_zone_pool *use = &zone->pools[0];
	assert_string_equal(use->pool, "clamav");
	assert_int_equal(use->world_n, 2);
	assert_string_equal(use->world[1], "db");
	assert_int_equal(use->nearest_n, 1);
	assert_string_equal(use->nearest[0], "db.local");
	assert_int_equal(use->country_n, 1);
	assert_string_equal(use->country[0], "db.%c");
	assert_string_equal(use->country_ipv6[0], "db.%c.ipv6");
	assert_string_equal(use->country_all[0], "db.%c.big");
	assert_string_equal(use->region[0], "db.%r");
	assert_string_equal(use->ping[0], "ping");

	assert_string_equal(zone->whoami.name, "who");
	assert_int_equal(zone->whoami.allow_n, 2);
	assert_string_equal(prefix_format(&zone->whoami.allow[1], text, sizeof(text)), "::1/128");
	assert_int_equal(zone->versions_n, 2);
	const struct conf_version *version = &zone->versions[0];
	assert_string_equal(version->name, "current.cvd");
	check_path(version->directory, "cvd");
	assert_string_equal(version->software, "1.4.3");
	assert_int_equal(version->flevel, 91);
	assert_true(version->warning);
	assert_int_equal(version->main, 62);
	assert_int_equal(version->daily, 27500);
	assert_int_equal(version->bytecode, 335);
	assert_int_equal(version->safebrowsing, 49193);
	assert_int_equal(version->ttl_s, 0);
	assert_int_equal(version->renew_s, 3600);
	assert_int_equal(version->stale_after_s, 2400);
	assert_int_equal(version->refuse_after_s, 0);
	assert_null(version->feed);
	assert_string_equal(version->database_names, "%d.cvd");
	version++;
	assert_null(version->directory);
	assert_int_equal(version->safebrowsing, 49192);
	assert_int_equal(version->flevel, 90);
	assert_false(version->warning);
	assert_int_equal(version->ttl_s, 300);
	assert_int_equal(version->renew_s, 300);
	assert_int_equal(version->stale_after_s, 3600);
	assert_int_equal(version->refuse_after_s, 9000);
	assert_null(version->database_names);

	assert_int_equal(conf->pools_n, 1);
	const struct conf_pool *pool = &conf->pools[0];
	assert_string_equal(pool->name, "clamav");
	check_path(pool->mirrors_file, "mirrors.conf");
	check_path(pool->regions_file, "regions.conf");
	assert_int_equal(pool->ttl_s, 60);
	assert_int_equal(pool->max_answers, 6);
	assert_int_equal(pool->min_mirrors, 2);
	assert_true(pool->borrow_ipv6);

	assert_int_equal(pool->mirrors_n, 2);
	const struct conf_mirror *mirror = &pool->mirrors[0];
	assert_string_equal(mirror->host, "m1.example.org");
	assert_string_equal(mirror->country, "DE");
	assert_int_equal(mirror->weight, -5);
	assert_string_equal(mirror->admin, "A B <a@example.org> || <alerts@example.org>");
	assert_int_equal(mirror->addrs_n, 2);
	assert_string_equal(addr_format(&mirror->addrs[1].addr, text, sizeof(text)), "2001:db8::1");
	/* libconfig alone would say 5: the line of what follows. */
	assert_int_equal(mirror->addrs[1].place.line, 4);
	check_path(mirror->addrs[1].place.file, "mirrors.conf");
	mirror++;
	assert_int_equal(mirror->place.line, 6);
	assert_int_equal(mirror->weight, 100);
	assert_null(mirror->admin);
	assert_int_equal(mirror->addrs_n, 1);

	assert_int_equal(pool->regions_n, 1);
	assert_string_equal(pool->regions[0].name, "europe");
	assert_int_equal(pool->regions[0].countries_n, 2);
	assert_string_equal(pool->regions[0].countries[1], "FR");
	assert_int_equal(pool->neighbours_n, 1);
	assert_string_equal(pool->neighbours[0].country, "LI");
	assert_string_equal(pool->neighbours[0].near[0], "CH");
	assert_int_equal(pool->neighbours[0].place.line, 2);
	conf_destroy(conf);
}

static void test_empty_file_has_defaults(void **state)
{
	(void)state;
	folder_put("dnsd.conf", "");
	struct conf *conf = conf_fixture_load("empty", "dnsd.conf: no zones: every query will be refused\n");
	assert_int_equal(conf->listen_n, 2);
	check_listen(&conf->listen[0], "0.0.0.0@53");
	check_listen(&conf->listen[1], "::@53");
	assert_int_equal(conf->workers, 0);
	assert_int_equal(conf->edns_size, 1232);
	assert_int_equal(conf->tcp_idle_ms, 10000);
	assert_int_equal(conf->tcp_clients_max, 1000);
	assert_int_equal(conf->metrics_listen_n, 0);
	assert_int_equal(conf->stop_drain_ms, 5000);
	assert_int_equal(conf->max_zone_records, 0);
	assert_null(conf->geo.database);
	assert_int_equal(conf->geo.max_drift_percent, 10);
	assert_int_equal(conf->geo.max_age_s, 60 * 86400);
	conf_destroy(conf);
}

/* What libconfig takes, we take: both signs, comments of three kinds, a mark in front, no final newline. */
static void test_syntax_that_works(void **state)
{
	(void)state;
	folder_put("dnsd.conf",
	           "\xef\xbb\xbf# one\r\nserver = { workers : 3 // two\n tcp-idle = 30 /* three\n */, "
	           "edns-size=+1232 }\r\n"
	           "zones = [ ];geo:{country-path=\"a\" \".b\\x63\"} # end");
	struct conf *conf = conf_fixture_load("syntax", "dnsd.conf: no zones: every query will be refused\n");
	assert_int_equal(conf->workers, 3);
	assert_int_equal(conf->tcp_idle_ms, 30000);
	assert_string_equal(conf->geo.country_path, "a.bc");
	conf_destroy(conf);
}

/* ---- Several files. */

static void test_folder_is_merged(void **state)
{
	(void)state;
	folder_put("dnsd.conf",
	           "server: { workers = 2; listen = \"127.0.0.1\"; };\nzones = ( { name = \"a\"; file "
	           "= \"a\"; } );\n");
	conf_fixture_put_folder("conf.d");
	folder_put("conf.d/20.conf",
	           "zones = ( { name = \"c\"; file = \"c.zone\"; } );\ngeo: { database = \"d\"; };\n");
	folder_put("conf.d/10.conf", "zones = ( { name = \"b\"; file = \"/b\"; } );\n"
	                             "server: { tcp-idle = 9; listen = [ \"::1\" ]; };\n"
	                             "geo: { nets = ( { net = \"10.0.0.0/8\"; country = \"DE\"; } ); };\n");
	folder_put("conf.d/.30.conf", "nonsense\n");
	folder_put("conf.d/40.conf~", "nonsense\n");
	folder_put("conf.d/.conf", "nonsense\n");
	struct conf *conf = conf_fixture_load("merge", "");
	assert_int_equal(conf->zones_n, 3);
	assert_string_equal(conf->zones[0].name, "a");
	assert_string_equal(conf->zones[1].name, "b");
	assert_string_equal(conf->zones[1].file, "/b");
	assert_string_equal(conf->zones[2].name, "c");
	check_path(conf->zones[2].file, "conf.d/c.zone");
	check_path(conf->zones[2].place.file, "conf.d/20.conf");
	assert_int_equal(conf->listen_n, 2);
	assert_int_equal(conf->workers, 2);
	assert_int_equal(conf->tcp_idle_ms, 9000);
	assert_int_equal(conf->geo.nets_n, 1);
	check_path(conf->geo.database, "conf.d/d");
	check_path(conf->geo.place.file, "conf.d/10.conf");
	conf_destroy(conf);
}

static void test_folder_conflicts(void **state)
{
	(void)state;
	folder_put("dnsd.conf", "server: {\n workers = 2; };\n" ZONE(""));
	conf_fixture_put_folder("conf.d");
	folder_put("conf.d/10.conf", "server: { workers = 2; };\n");
	folder_put("conf.d/20.conf", "\n" ZONE(""));
	conf_fixture_put_folder("conf.d/30.conf");
	assert_null(conf_fixture_load(
	        "conflicts", "conf.d/10.conf:1: workers is given twice: it is already set at dnsd.conf:2\n"
	                     "conf.d/30.conf: cannot read it: it is a folder, not a file\n"
	                     "conf.d/20.conf:2: zone \"z\" is given twice: it is already at dnsd.conf:3\n"));
}

static void test_include(void **state)
{
	(void)state;
	conf_fixture_put_folder("sub");
	folder_put("dnsd.conf", "server: {\n  @include \"sub/server.conf\"\n  workers = "
	                        "5;\n};\n@include \"sub/zones.conf\"\n");
	folder_put("sub/server.conf", "# a comment\ntcp-idle = 7;");
	folder_put("sub/zones.conf", "zones = (\n@include \"zone.conf\"\n);\n");
	folder_put("sub/zone.conf",
	           "{ name = \"a\"; file = \"a.zone\"; },\n{ name = \"b\"; file = \"b.zone\"; }");
	struct conf *conf = conf_fixture_load("include", "");
	assert_int_equal(conf->workers, 5);
	assert_int_equal(conf->tcp_idle_ms, 7000);
	assert_int_equal(conf->zones_n, 2);
	check_path(conf->zones[1].file, "sub/b.zone");
	check_path(conf->zones[1].place.file, "sub/zone.conf");
	assert_int_equal(conf->zones[1].place.line, 2);
	conf_destroy(conf);

	folder_put("sub/server.conf", "\ntcp-idel = 7; workers = 4;\n");
	assert_null(conf_fixture_load(
	        "twice",
	        "dnsd.conf:3: \"workers\" is given twice: it is already set at sub/server.conf:2\n"));
	folder_put("sub/server.conf", "\ntcp-idel = 7;\n");
	assert_null(conf_fixture_load(
	        "slip", "sub/server.conf:2: unknown setting \"tcp-idel\" in this server group; did you mean "
	                "\"tcp-idle\"?\n"));
	folder_put("sub/server.conf", "\n@include \"../dnsd.conf\"\n");
	char want[256];
	snprintf(want, sizeof(want),
	         "sub/server.conf:2: this @include goes in a circle: \"dnsd.conf\" is being read already\n");
	assert_null(conf_fixture_load("circle", want));
	/* libconfig 1.5 would end the process here. */
	folder_put("dnsd.conf", "@include \"sub\"\n");
	char *full_want = NULL;
	assert_true(asprintf(&full_want, "dnsd.conf:1: cannot read \"sub\": it is a folder, not a file\n") >
	            0);
	assert_null(conf_fixture_load("folder", full_want));
	free(full_want);
}

static void test_files_that_cannot_be_read(void **state)
{
	(void)state;
	assert_null(conf_fixture_load("missing", "dnsd.conf: cannot read it: No such file or directory\n"));
	conf_fixture_put_folder("dnsd.conf");
	assert_null(conf_fixture_load("folder", "dnsd.conf: cannot read it: it is a folder, not a file\n"));
	assert_int_equal(rmdir(folder_path("dnsd.conf")), 0);
	assert_int_equal(mkfifo(folder_path("dnsd.conf"), 0600), 0);
	assert_null(conf_fixture_load("pipe", "dnsd.conf: cannot read it: it is not a regular file\n"));
	assert_int_equal(unlink(folder_path("dnsd.conf")), 0);
	folder_put_bytes("dnsd.conf", "# a\n\n# b\0c\n", 11);
	assert_null(conf_fixture_load("zero byte", "dnsd.conf:3: a zero byte: this is not a text file\n"));
	folder_put("dnsd.conf", "");
	assert_int_equal(truncate(folder_path("dnsd.conf"), 64 * 1024 * 1024 + 1), 0);
	assert_null(conf_fixture_load(
	        "large", "dnsd.conf: cannot read it: it is too large: 64 MB is the limit for a file with all "
	                 "it includes\n"));
	folder_put("dnsd.conf", ZONE(""));
	folder_put("conf.d", "");
	assert_null(conf_fixture_load(
	        "no folder", "conf.d: cannot read this folder of configuration files: Not a directory\n"));
	if (geteuid() != 0) {
		assert_int_equal(chmod(folder_path("dnsd.conf"), 0), 0);
		assert_int_equal(unlink(folder_path("conf.d")), 0);
		assert_null(conf_fixture_load("secret", "dnsd.conf: cannot read it: Permission denied\n"));
	}
}

/* ---- Text without files, and texts made to hurt. */

static void test_text(void **state)
{
	(void)state;
	struct conf *conf = conf_fixture_load_text(CONF_TEXT_MAIN, full, "");
	assert_int_equal(conf->pools[0].mirrors_n, 0);
	conf_destroy(conf);
	conf = conf_fixture_load_text(CONF_TEXT_MIRRORS, full_mirrors, "");
	assert_int_equal(conf->pools_n, 1);
	assert_int_equal(conf->pools[0].mirrors_n, 2);
	assert_int_equal(conf->pools[0].ttl_s, 300);
	conf_destroy(conf);
	conf = conf_fixture_load_text(CONF_TEXT_REGIONS, full_regions, "");
	assert_int_equal(conf->pools[0].regions_n, 1);
	conf_destroy(conf);
	assert_null(conf_fixture_load_text(
	        CONF_TEXT_MAIN, "@include \"/etc/passwd\"\n",
	        "text:1: @include is not possible here: this text is not in a file\n"));
}

/* libconfig would look at each name for each other one, and recurse for each bracket. */
static void test_limits(void **state)
{
	(void)state;
	char *text = malloc(2000000);
	assert_non_null(text);
	strcpy(text, "a = ");
	memset(text + 4, '(', 1000000);
	text[1000004] = '\0';
	assert_null(conf_fixture_load_text(CONF_TEXT_MAIN, text, "text:1: brackets more than 32 deep\n"));

	size_t len = 0;
	for (int i = 0; i < 100000; i++)
		len += (size_t)sprintf(text + len, "a%d = 1;\n", i);
	assert_null(conf_fixture_load_text(CONF_TEXT_MAIN, text,
	                                   "text:257: more than 256 settings in one group\n"));

	strcpy(text, "a = 1 ");
	memset(text + 6, 'b', 1000000);
	strcpy(text + 1000006, " = 2;");
	assert_null(conf_fixture_load_text(
	        CONF_TEXT_MAIN, text,
	        "text:1: unknown setting \"a\" in this configuration; there are: server, metrics, geo, "
	        "zones, pools\n"
	        "text:1: unknown setting \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb...\" "
	        "in this configuration; there are: server, metrics, geo, zones, pools\n"));
	free(text);
}

static void test_rate_limit(void **state)
{
	(void)state;
	struct conf *conf =
	        conf_fixture_load_text(CONF_TEXT_MAIN, "server: { chaos-allow = \"::1\"; };\n" ZONE(""), "");
	const struct conf_rate_limit *limit = &conf->rate_limit;
	assert_false(limit->enabled || limit->log_only);
	assert_int_equal(limit->positive, 100);
	assert_int_equal(limit->error, 50);
	assert_int_equal(limit->all, 1000);
	assert_int_equal(limit->window_s, 5);
	assert_int_equal(limit->slip, 2);
	assert_int_equal(limit->ipv4_prefix, 24);
	assert_int_equal(limit->ipv6_prefix, 56);
	assert_int_equal(limit->table_size, 65536);
	assert_int_equal(limit->exempt_n, 0);
	assert_int_equal(conf->chaos_allow_n, 1);
	assert_int_equal(conf->any_allow_n, 0);
	conf_destroy(conf);

	conf = conf_fixture_load_text(
	        CONF_TEXT_MAIN,
	        "server: { any-allow = [ \"10.0.0.0/8\", \"::1\" ];\n"
	        "rate-limit = { enabled = true; log-only = true; positive = 1; nodata = 2;\n"
	        "nxdomain = 3; referral = 4; error = 5; all = 0; window = \"1m\"; slip = 0; ipv4-prefix = "
	        "32;\n"
	        "ipv6-prefix = 64; table-size = 1024; exempt = [ \"192.0.2.0/24\", \"::/0\" ]; }; };\n" ZONE(
	                ""),
	        "");
	limit = &conf->rate_limit;
	assert_true(limit->enabled && limit->log_only);
	assert_int_equal(limit->positive, 1);
	assert_int_equal(limit->nodata, 2);
	assert_int_equal(limit->nxdomain, 3);
	assert_int_equal(limit->referral, 4);
	assert_int_equal(limit->error, 5);
	assert_int_equal(limit->all, 0);
	assert_int_equal(limit->window_s, 60);
	assert_int_equal(limit->slip, 0);
	assert_int_equal(limit->ipv4_prefix, 32);
	assert_int_equal(limit->ipv6_prefix, 64);
	assert_int_equal(limit->table_size, 1024);
	assert_int_equal(limit->exempt_n, 2);
	assert_int_equal(conf->any_allow_n, 2);
	conf_destroy(conf);

	assert_null(conf_fixture_load_text(
	        CONF_TEXT_MAIN,
	        "server: { chaos-allow = \"10.0.0.1/8\";\nrate-limit = { table-size = 100; }; };\n" ZONE(""),
	        "text:1: chaos-allow: \"10.0.0.1/8\" is no network, or has a bit set past the length of its "
	        "prefix; write for example chaos-allow = [ \"127.0.0.0/8\", \"::1/128\" ];\n"
	        "text:2: table-size is 100, but must be 1024 to 16777216\n"));
}

static void test_reference_is_a_configuration(void **state)
{
	(void)state;
	FILE *file = tmpfile();
	assert_non_null(file);
	conf_print_reference(fileno(file));
	char *text = calloc(1, 64 * 1024);
	assert_non_null(text);
	rewind(file);
	assert_true(fread(text, 1, 64 * 1024 - 1, file) > 1000);
	fclose(file);
	struct conf *conf = conf_fixture_load_text(CONF_TEXT_MAIN, text, "");
	assert_int_equal(conf->zones_n, 1);
	assert_int_equal(conf->tcp_idle_ms, 10000);
	assert_null(conf->geo.database);
	assert_non_null(strstr(text, "# a duration, 1s to 10m; default 10s\n"));
	conf_destroy(conf);
	free(text);
}

static void test_durations(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ms; /* -1 = refused */
	} cases[] = {
		{ "90s", 90000 },
		{ "5m", 300000 },
		{ "2h", 7200000 },
		{ "1d", 86400000 },
		{ "250ms", 250 },
		{ "30", 30000 },
		{ "0", 0 },
		{ "007s", 7000 },
		{ "99999999999d", INT64_C(8639999999913600000) },
		{ "", -1 },
		{ "s", -1 },
		{ "5 m", -1 },
		{ "5M", -1 },
		{ "5w", -1 },
		{ "-5s", -1 },
		{ "+5s", -1 },
		{ "1.5h", -1 },
		{ "1h30m", -1 },
		{ "5s ", -1 },
		{ " 5s", -1 },
		{ "5mss", -1 },
		{ "0x5", -1 },
		{ "999999999999", -1 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ms = 1;
		int rc = conf_parse_duration(cases[i].text, &ms);
		if (rc != (cases[i].ms < 0 ? -EINVAL : 0) || (rc == 0 && ms != (uint64_t)cases[i].ms))
			fail_msg("\"%s\": rc %d, %llu ms", cases[i].text, rc, (unsigned long long)ms);
	}
}

/* Whatever a group may be called. */
static void test_accounts(void **state)
{
	(void)state;
	struct conf *conf = conf_fixture_load_text(
	        CONF_TEXT_MAIN, "server: { control-group = \"_dns_ops\"; user = \"_dnsd\"; };\n" ZONE(""),
	        "");
	assert_string_equal(conf->control_group, "_dns_ops");
	conf_destroy(conf);
	assert_null(conf_fixture_load_text(CONF_TEXT_MAIN,
	                                   "server: { control-group = \"dns ops\"; };\n" ZONE(""),
	                                   "text:1: control-group: \"dns ops\" is no name of a user or "
	                                   "group: up to 32 letters, digits, _ and "
	                                   "-; write for example control-group = \"adm\";\n"));
}

/* In all ways that docs/config.md has. */
static void test_times(void **state)
{
	(void)state;
	struct conf *conf = conf_fixture_load_text(
	        CONF_TEXT_MIRRORS,
	        "mirrors = ( { host = \"a.b\"; country = \"DE\"; addresses = \"192.0.2.1\"; maintenance = (\n"
	        "{ from = 1796090400; until = \"1796094000\"; },\n"
	        "{ from = \"2028-02-29T00:00:00Z\"; until = \"2028-03-01T00:00:00Z\"; } ); } );\n",
	        "");
	const struct conf_window *windows = conf->pools[0].mirrors[0].windows;
	assert_int_equal(windows[0].from_s, 1796090400);
	assert_int_equal(windows[0].until_s, 1796094000);
	assert_int_equal(windows[1].from_s, 1835395200);
	assert_int_equal(windows[1].until_s, 1835481600);
	conf_destroy(conf);

	assert_null(conf_fixture_load_text(
	        CONF_TEXT_MIRRORS,
	        "mirrors = ( { host = \"a.b\"; country = \"DE\"; addresses = \"192.0.2.1\"; maintenance = (\n"
	        "{ from = -1; until = 1.5; },\n"
	        "{ from = \"2026-11-31T00:00:00Z\"; until = \"2027-02-29T00:00:00Z\"; } ); } );\n",
	        "text:2: from is -1, but must be 0 to 999999999999 seconds since 1970; write for example "
	        "from = "
	        "\"2026-12-01T02:00:00Z\";\n"
	        "text:2: until wants a time, found the fraction 1.5; write for example until = "
	        "\"2026-12-01T04:00:00Z\";\n"
	        "text:3: from: \"2026-11-31T00:00:00Z\" is no time; write it like 2026-12-01T02:00:00Z; "
	        "write "
	        "for example from = \"2026-12-01T02:00:00Z\";\n"
	        "text:3: until: \"2027-02-29T00:00:00Z\" is no time; write it like 2026-12-01T02:00:00Z; "
	        "write "
	        "for example until = \"2026-12-01T04:00:00Z\";\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_key, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_empty_file_has_defaults, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_syntax_that_works, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_folder_is_merged, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_folder_conflicts, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_include, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_files_that_cannot_be_read, folder_setup,
		                                folder_teardown),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_rate_limit),
		cmocka_unit_test(test_reference_is_a_configuration),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_accounts),
		cmocka_unit_test(test_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
