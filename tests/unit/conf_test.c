/* conf: every key once, every mistake with its place and its words, files that belong together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"

/* ---- A folder of files for each test; messages are compared without its name. */

static char folder[64];

static int setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/conf_test.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *name)
{
	static char path[256];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void put_bytes(const char *name, const char *bytes, size_t len)
{
	FILE *out = fopen(path_of(name), "w");
	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
}

static void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text));
}

static void put_folder(const char *name)
{
	assert_int_equal(mkdir(path_of(name), 0700), 0);
}

/* All messages, a line each, with the folder left out. */
static char *diag_text(const struct diag *diag)
{
	size_t cap = 1;
	for (size_t i = 0; i < diag->messages_n; i++)
		cap += strlen(diag->messages[i].text) + 1;
	char *text = calloc(1, cap);
	assert_non_null(text);
	for (size_t i = 0; i < diag->messages_n; i++) {
		strcat(text, diag->messages[i].text);
		strcat(text, "\n");
	}
	size_t folder_len = strlen(folder);
	for (char *hit = strstr(text, folder); hit; hit = strstr(hit, folder))
		memmove(hit, hit + folder_len + 1, strlen(hit + folder_len + 1) + 1);
	return text;
}

static void check_messages(const struct diag *diag, const char *name, const char *want)
{
	char *text = diag_text(diag);
	if (strcmp(text, want) != 0)
		fail_msg("%s: got\n%swant\n%s", name, text, want);
	free(text);
}

/* Load dnsd.conf of the folder, which must give these messages; "" = it is good. */
static struct conf *load(const char *name, const char *want)
{
	struct diag diag;
	struct conf *conf = NULL;
	diag_init(&diag);
	int rc = conf_load(path_of("dnsd.conf"), &diag, &conf);
	check_messages(&diag, name, want);
	assert_int_equal(rc, diag.errors_n ? -EINVAL : 0);
	assert_true((rc == 0) == (conf != NULL));
	diag_fini(&diag);
	return conf;
}

static void check_path(const char *path, const char *want)
{
	assert_non_null(path);
	assert_string_equal(path, path_of(want));
}

/* ---- Good configurations. */

#define MIRRORS                                                                                              \
	"mirrors = ( { host = \"m1.example.org\"; country = \"DE\"; addresses = [ \"192.0.2.1\" ]; } );\n"

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
	put("dnsd.conf", full);
	put("mirrors.conf", full_mirrors);
	put("regions.conf", full_regions);
	struct conf *conf = load("every key", "");
	char text[ADDR_TEXT_MAX];

	assert_int_equal(conf->listen_n, 2);
	assert_string_equal(
	        addr_format_sockaddr((struct sockaddr *)&conf->listen[0].addr, text, sizeof(text)),
	        "127.0.0.1@5300");
	assert_string_equal(
	        addr_format_sockaddr((struct sockaddr *)&conf->listen[1].addr, text, sizeof(text)), "::1@53");
	assert_int_equal(conf->listen[1].place.line, 2);
	assert_int_equal(conf->tls_listen_n, 2);
	assert_string_equal(
	        addr_format_sockaddr((struct sockaddr *)&conf->tls_listen[1].addr, text, sizeof(text)),
	        "::1@853");
	assert_non_null(strstr(conf->tls_certificate, "/tls.crt"));
	assert_string_equal(conf->tls_key, "/etc/k");
	assert_int_equal(conf->tcp_clients_per_prefix, 7);
	assert_int_equal(conf->metrics_listen_n, 2);
	assert_string_equal(
	        addr_format_sockaddr((struct sockaddr *)&conf->metrics_listen[0].addr, text, sizeof(text)),
	        "127.0.0.1@9000");
	assert_string_equal(
	        addr_format_sockaddr((struct sockaddr *)&conf->metrics_listen[1].addr, text, sizeof(text)),
	        "::1@9153");
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
	assert_string_equal(zone->whoami.allow[1], "::1");
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
	put("dnsd.conf", "");
	struct conf *conf = load("empty", "dnsd.conf: no zones: every query will be refused\n");
	char text[ADDR_TEXT_MAX];
	assert_int_equal(conf->listen_n, 2);
	assert_string_equal(
	        addr_format_sockaddr((struct sockaddr *)&conf->listen[0].addr, text, sizeof(text)),
	        "0.0.0.0@53");
	assert_string_equal(
	        addr_format_sockaddr((struct sockaddr *)&conf->listen[1].addr, text, sizeof(text)), "::@53");
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
	put("dnsd.conf", "\xef\xbb\xbf# one\r\nserver = { workers : 3 // two\n tcp-idle = 30 /* three\n */, "
	                 "edns-size=+1232 }\r\n"
	                 "zones = [ ];geo:{country-path=\"a\" \".b\\x63\"} # end");
	struct conf *conf = load("syntax", "dnsd.conf: no zones: every query will be refused\n");
	assert_int_equal(conf->workers, 3);
	assert_int_equal(conf->tcp_idle_ms, 30000);
	assert_string_equal(conf->geo.country_path, "a.bc");
	conf_destroy(conf);
}

/* ---- Mistakes. Each text is a whole dnsd.conf, or a mirrors or regions file. */

#define ZONE(rest) "zones = ( { name = \"z\"; file = \"z.zone\"; " rest " } );\n"
#define VERSION(rest)                                                                                        \
	ZONE("versions = ( { name = \"v\"; directory = \"d\"; software = \"1.0\"; " rest " } );")
#define USE(rest)                                                                                            \
	"pools = ( { name = \"p\"; mirrors = \"mirrors.conf\"; } );\n" ZONE(                                 \
	        "pools = ( { pool = \"p\"; " rest " } );")

struct mistake {
	const char *name, *text, *want;
};

static const struct mistake main_mistakes[] = {
	/* Unknown settings. */
	{ "slip", "server: {\n  worker = 1;\n};\n" ZONE(""),
	  "dnsd.conf:2: unknown setting \"worker\" in this server group; did you mean \"workers\"?\n" },
	{ "underscore", "server: {\n  edns_size = 512;\n};\n" ZONE(""),
	  "dnsd.conf:2: unknown setting \"edns_size\" in this server group; did you mean \"edns-size\"?\n" },
	{ "swapped letters", "servre: { };\n" ZONE(""),
	  "dnsd.conf:1: unknown setting \"servre\" in this configuration; did you mean \"server\"?\n" },
	{ "nothing near", "geo: {\n provider = 1; };\n" ZONE(""),
	  "dnsd.conf:2: unknown setting \"provider\" in this geo group; there are: database, database-ipv6, "
	  "country-path, nets, canaries, max-drift, max-age\n" },
	{ "of another group", "max-answers = 3;\n" ZONE(""),
	  "dnsd.conf:1: unknown setting \"max-answers\" in this configuration; it belongs into pools: ( { } "
	  "), here "
	  "are: server, metrics, geo, zones, pools\n" },
	{ "of the top", ZONE("server: { };"),
	  "dnsd.conf:1: unknown setting \"server\" in this zone; it belongs to the top level of the file, "
	  "here are: "
	  "name, file, pools, versions, whoami\n" },

	/* Types. */
	{ "text for number", "server: {\n workers = \"4\"; };\n" ZONE(""),
	  "dnsd.conf:2: workers wants a whole number, found the text \"4\"; write for example workers = "
	  "4;\n" },
	{ "fraction", "server: { workers = 1.5; };\n" ZONE(""),
	  "dnsd.conf:1: workers wants a whole number, found the fraction 1.5; write for example workers = "
	  "4;\n" },
	{ "number for text", "zones = ( { name = 5; file = \"f\"; } );\n",
	  "dnsd.conf:1: name wants a text, found the number 5; write for example name = \"clamav.net\";\n" },
	{ "bool for duration", "server: { tcp-idle = true; };\n" ZONE(""),
	  "dnsd.conf:1: tcp-idle wants a duration, found true; write for example tcp-idle = \"10s\";\n" },
	{ "number for bool", VERSION("warning = 1;"),
	  "dnsd.conf:1: warning wants true or false, found the number 1; write for example warning = "
	  "true;\n" },
	{ "group for list of groups", "zones: { name = \"a\"; };\n",
	  "dnsd.conf:1: zones wants a list of groups, found a group { }; write for example zones = ( { ... } "
	  ");\n" },
	{ "list for group", "server = ( );\n" ZONE(""),
	  "dnsd.conf:1: server wants a group, found a list ( ); write for example server: { ... };\n" },
	{ "text in list of groups", "zones = (\n\"a\"\n);\n",
	  "dnsd.conf:2: zones wants a list of groups, found the text \"a\"; write for example zones = ( { "
	  "... } );\n" },
	{ "number in list of texts", USE("world = [ 1,\n 2 ];"),
	  "dnsd.conf:2: world wants a text or a list of texts, found the number 1; write for example world = "
	  "[ "
	  "\"database\" ];\n" },
	{ "group for a list of texts", USE("world: { };"),
	  "dnsd.conf:2: world wants a text or a list of texts, found a group { }; write for example world = "
	  "[ "
	  "\"database\" ];\n" },
	{ "mixed array", "server: {\n listen = [ \"127.0.0.1\",\n 5 ]; };\n" ZONE(""),
	  "dnsd.conf:3: mismatched element type in array; the values in [ ] must all be of one type\n" },

	/* What the server tells of itself. */
	{ "whoami without name", ZONE("whoami: { allow = \"::1\"; };"),
	  "dnsd.conf:1: this whoami group lacks name; write for example name = \"whoami\";\n" },
	{ "whoami network", ZONE("whoami: { name = \"w\"; allow = [ \"::1\",\n\"10.0.0.1/8\" ]; };"),
	  "dnsd.conf:2: allow: \"10.0.0.1/8\" is no network, or has a bit set past the length of its prefix; "
	  "write for example allow = [ \"127.0.0.0/8\", \"::1/128\" ];\n" },

	/* Ranges. */
	{ "workers", "server: { workers = 257; };\n" ZONE(""),
	  "dnsd.conf:1: workers is 257, but must be 0 to 256\n" },
	{ "negative", "server: { workers = -1; };\n" ZONE(""),
	  "dnsd.conf:1: workers is -1, but must be 0 to 256\n" },
	{ "edns-size low", "server: { edns-size = 511; };\n" ZONE(""),
	  "dnsd.conf:1: edns-size is 511, but must be 512 to 4096\n" },
	{ "edns-size high", "server: { edns-size = 65536000000; };\n" ZONE(""),
	  "dnsd.conf:1: edns-size is 65536000000, but must be 512 to 4096\n" },
	{ "tcp-idle", "server: { tcp-idle = \"11m\"; };\n" ZONE(""),
	  "dnsd.conf:1: tcp-idle is 11m, but must be 1s to 10m\n" },
	{ "pool ttl", "pools = ( { name = \"p\"; mirrors = \"mirrors.conf\"; ttl = 0; } );\n" ZONE(""),
	  "dnsd.conf:1: ttl is 0s, but must be 1s to 1d\n" },
	{ "version ttl", VERSION("ttl = \"8d\";"), "dnsd.conf:1: ttl is 8d, but must be 0s to 7d\n" },
	{ "renew", VERSION("renew = \"3h\";"), "dnsd.conf:1: renew is 3h, but must be 1s to 1h\n" },
	{ "stale-after", VERSION("stale-after = 0;"),
	  "dnsd.conf:1: stale-after is 0s, but must be 1s to 7d\n" },
	{ "refuse-after", VERSION("stale-after = \"30m\"; refuse-after = \"30m\";"),
	  "dnsd.conf:1: refuse-after is 30m, but must be over stale-after, which is 30m; 0 is never\n" },
	{ "stale-after over the default", VERSION("stale-after = \"1d\";"),
	  "dnsd.conf:1: refuse-after is 150m, but must be over stale-after, which is 1d; 0 is never\n" },
	{ "directory and feed",
	  "pools = ( { name = \"p\"; mirrors = \"mirrors.conf\"; feed = \"f\"; } );\n" ZONE(
	          "versions = ( { name = \"v\"; software = \"1\"; directory = \"d\"; feed = \"p\"; } );"),
	  "dnsd.conf:2: this version record has directory and feed; keep one of them\n" },
	{ "feed of no pool", ZONE("versions = ( { name = \"v\"; software = \"1\"; feed = \"p\"; } );"),
	  "dnsd.conf:1: there is no pool \"p\"; define it in pools\n" },
	{ "pool without a feed",
	  "pools = ( { name = \"p\"; mirrors = \"mirrors.conf\"; } );\n" ZONE(
	          "versions = ( { name = \"v\"; software = \"1\"; feed = \"p\"; } );"),
	  "dnsd.conf:2: pool \"p\" has no feed; write feed = \"FILE\"; in that pool\n" },

	/* Durations. */
	{ "unknown unit", "server: { tcp-idle = \"5w\"; };\n" ZONE(""),
	  "dnsd.conf:1: tcp-idle: \"5w\" is no duration: a number of seconds, or a text of a number and ms, "
	  "s, m, h or "
	  "d; write for example tcp-idle = \"10s\";\n" },
	{ "negative duration", "server: { tcp-idle = -5; };\n" ZONE(""),
	  "dnsd.conf:1: tcp-idle: \"-5\" is no duration: a number of seconds, or a text of a number and ms, "
	  "s, m, h or "
	  "d; write for example tcp-idle = \"10s\";\n" },
	{ "part of a second", VERSION("ttl = \"1500ms\";"),
	  "dnsd.conf:1: ttl: \"1500ms\" is not a number of whole seconds; write for example ttl = "
	  "\"5m\";\n" },

	/* Texts. */
	{ "empty text", "zones = ( { name = \"\"; file = \"f\"; } );\n",
	  "dnsd.conf:1: name: \"\" is empty; write for example name = \"clamav.net\";\n" },
	{ "control character", "zones = ( { name = \"z\"; file = \"a\\nb\"; } );\n",
	  "dnsd.conf:1: file: \"a\\x0ab\" has a control character; write for example file = "
	  "\"clamav.net.zone\";\n" },
	{ "empty label", "zones = ( { name = \"a..b\"; file = \"f\"; } );\n",
	  "dnsd.conf:1: name: \"a..b\" has an empty label; write for example name = \"clamav.net\";\n" },
	{ "net with stray bits",
	  "geo: { nets = (\n{ net = \"10.1.0.0/8\"; country = \"DE\"; } ); };\n" ZONE(""),
	  "dnsd.conf:2: net: \"10.1.0.0/8\" is no network, or has a bit set past the length of its prefix; "
	  "write for "
	  "example net = \"10.0.0.0/8\";\n" },
	{ "net country", "geo: { nets = ( { net = \"10.0.0.0/8\"; country = \"DEU\"; } ); };\n" ZONE(""),
	  "dnsd.conf:1: country: \"DEU\" is not a code of two letters; write for example country = "
	  "\"DE\";\n" },
	{ "listen", "server: { listen = [ \"::1@70000\" ]; };\n" ZONE(""),
	  "dnsd.conf:1: listen: \"::1@70000\" is no address with an optional @ and port; write for example "
	  "listen = [ "
	  "\"127.0.0.1@5300\", \"::1@5300\" ];\n" },
	{ "listen empty", "server: { listen = [ ]; };\n" ZONE(""),
	  "dnsd.conf:1: listen is empty; write for example listen = [ \"127.0.0.1@5300\", \"::1@5300\" "
	  "];\n" },
	{ "TLS without certificate", "server: { tls-listen = \"::1\"; tls-key = \"k\"; };\n" ZONE(""),
	  "dnsd.conf:1: tls-listen needs tls-certificate and tls-key; write for example tls-certificate = "
	  "\"/etc/dnsd/tls.crt\"; tls-key = \"/etc/dnsd/tls.key\";\n" },
	{ "TLS on a port that is taken",
	  "server: { listen = [ \"::1\", \"::1@54\" ];\n tls-listen = \"::1@54\";\n"
	  " tls-certificate = \"c\"; tls-key = \"k\"; };\n" ZONE(""),
	  "dnsd.conf:2: tls-listen \"::1@54\" is taken: it is in listen at dnsd.conf:1; give TLS a port of "
	  "its own, usually 853\n" },
	{ "listen twice", "server: { listen = [ \"::1\",\n \"::1@53\" ]; };\n" ZONE(""),
	  "dnsd.conf:2: listen \"::1@53\" is given twice: it is already at dnsd.conf:1\n" },
	{ "software with colon",
	  ZONE("versions = ( { name = \"v\"; directory = \"d\"; software = \"1:0\"; } );"),
	  "dnsd.conf:1: software: \"1:0\" has a colon, which separates the fields of the record; write for "
	  "example "
	  "software = \"1.4.3\";\n" },
	{ "software with space",
	  ZONE("versions = ( { name = \"v\"; directory = \"d\"; software = \"1 0\"; } );"),
	  "dnsd.conf:1: software: \"1 0\" has a space; write for example software = \"1.4.3\";\n" },
	{ "software long",
	  ZONE("versions = ( { name = \"v\"; directory = \"d\"; software = "
	       "\"123456789012345678901234567890123\"; } );"),
	  "dnsd.conf:1: software: \"123456789012345678901234567890123\" is longer than 32 characters; write "
	  "for "
	  "example software = \"1.4.3\";\n" },

	/* Patterns. */
	{ "no %c", USE("country = [ \"db.x\" ];"),
	  "dnsd.conf:2: country: \"db.x\" does not have exactly one %c, the place of the country code; write "
	  "for "
	  "example country = [ \"db.%c\" ];\n" },
	{ "two %c", USE("country-all = [ \"%c.%c\" ];"),
	  "dnsd.conf:2: country-all: \"%c.%c\" does not have exactly one %c, the place of the country code; "
	  "write for "
	  "example country-all = [ \"db.%c.big\" ];\n" },
	{ "%r in country", USE("country-ipv6 = \"db.%r\";"),
	  "dnsd.conf:2: country-ipv6: \"db.%r\" does not have exactly one %c, the place of the country code; "
	  "write for "
	  "example country-ipv6 = [ \"db.%c.ipv6\" ];\n" },
	{ "no %r", USE("region = \"db.%c\";"),
	  "dnsd.conf:2: region: \"db.%c\" does not have exactly one %r, the place of the region's name; "
	  "write for "
	  "example region = [ \"db.%r\" ];\n" },
	{ "no %d", VERSION("database-names = \"cvd\";"),
	  "dnsd.conf:1: database-names: \"cvd\" does not have exactly one %d, the place of the database's "
	  "name; write "
	  "for example database-names = \"%d.cvd\";\n" },
	{ "absolute name", USE("world = \"db.\";"),
	  "dnsd.conf:2: world: \"db.\" ends with a dot, but names here are relative to the zone; write for "
	  "example "
	  "world = [ \"database\" ];\n" },

	/* What is missing, at the line of its group. */
	{ "zone without all", "zones = (\n\n{ } );\n",
	  "dnsd.conf:3: this zone lacks name; write for example name = \"clamav.net\";\n"
	  "dnsd.conf:3: this zone lacks file; write for example file = \"clamav.net.zone\";\n" },
	{ "version numbers", ZONE("versions = (\n{ name = \"v\"; software = \"1\"; daily = 5; } );"),
	  "dnsd.conf:2: this version record lacks main; write main = 62; or name the directory of the .cvd "
	  "files\n"
	  "dnsd.conf:2: this version record lacks bytecode; write bytecode = 335; or name the directory of "
	  "the .cvd "
	  "files\n" },
	{ "pool without names", USE(""),
	  "dnsd.conf:2: this pool makes no name in the zone; give one of world, nearest, country, "
	  "country-ipv6, "
	  "country-all, region, ping\n" },
	{ "no such pool", ZONE("pools = ( { pool = \"p\"; world = \"w\"; } );"),
	  "dnsd.conf:1: there is no pool \"p\"; define it in pools\n" },
	{ "nearly a pool",
	  "pools = ( { name = \"clamav\"; mirrors = \"mirrors.conf\"; } );\n" ZONE(
	          "pools = ( { pool = \"clmav\"; world = \"w\"; } );"),
	  "dnsd.conf:2: there is no pool \"clmav\"; did you mean \"clamav\"?\n" },
	{ "canary", "geo: { canaries = ( { address = \"192.0.2.0/24\"; country = \"DE\"; } ); };\n" ZONE(""),
	  "dnsd.conf:1: address: \"192.0.2.0/24\" is no IPv4 or IPv6 address; write for example address = "
	  "\"192.0.2.1\";\n" },
	{ "drift of nothing", "geo: { max-drift = 0; };\n" ZONE(""),
	  "dnsd.conf:1: max-drift is 0, but must be 1 to 100\n" },
	{ "IPv6 database alone", "geo: { database-ipv6 = \"x\"; };\n" ZONE(""),
	  "dnsd.conf:1: database-ipv6 without database; name a single file as database\n" },

	/* Twice. */
	{ "setting twice", "server: {\n workers = 1;\n workers = 2; };\nserver: { };\n" ZONE(""),
	  "dnsd.conf:3: \"workers\" is given twice: it is already set at dnsd.conf:2\n"
	  "dnsd.conf:4: \"server\" is given twice: it is already set at dnsd.conf:1\n" },
	{ "zone twice",
	  "zones = ( { name = \"a.b\"; file = \"1\"; },\n{ name = \"A.b.\"; file = \"2\"; } );\n",
	  "dnsd.conf:2: zone \"A.b.\" is given twice: it is already at dnsd.conf:1\n" },
	{ "pool twice",
	  "pools = ( { name = \"p\"; mirrors = \"mirrors.conf\"; },\n{ name = \"p\"; mirrors = "
	  "\"mirrors.conf\"; },\n"
	  "{ name = \"p\"; mirrors = \"mirrors.conf\"; } );\n" ZONE(""),
	  "dnsd.conf:2: pool \"p\" is given twice: it is already at dnsd.conf:1\n"
	  "dnsd.conf:3: pool \"p\" is given twice: it is already at dnsd.conf:1\n" },
	{ "version twice",
	  ZONE("versions = ( { name = \"v\"; directory = \"d\"; software = \"1\"; },\n"
	       "{ name = \"v\"; directory = \"d\"; software = \"1\"; } );"),
	  "dnsd.conf:2: version record \"v\" is given twice: it is already at dnsd.conf:1\n" },

	/* Syntax. */
	{ "unit without quotes", "server: {\n tcp-idle = 30s;\n};\n",
	  "dnsd.conf:2: 30s lacks its quotes; write tcp-idle = \"30s\"\n" },
	{ "unit after a blank", "server: {\n tcp-idle = 30 s;\n};\n",
	  "dnsd.conf:2: s after a number; write a number with its unit in quotes and without a space, as in "
	  "\"30s\"\n" },
	{ "text without quotes", "geo: { database = /var/lib/geo.mmdb; };\nserver: { workers = four; };\n",
	  "dnsd.conf:1: /var/lib/geo.mmdb lacks its quotes; write database = \"/var/lib/geo.mmdb\"\n"
	  "dnsd.conf:2: four lacks its quotes; write workers = \"four\"\n" },
	{ "address without quotes", "server: { listen = [ 127.0.0.1@53 ]; };\n",
	  "dnsd.conf:1: 127.0.0.1@53 lacks its quotes; write \"127.0.0.1@53\"\n" },
	{ "IPv6 without quotes", "server: { listen = [ ::1 ]; };\n",
	  "dnsd.conf:1: \":\" stands where a value should; write addresses and other text in quotes\n" },
	{ "yes", VERSION("warning = yes;"), "dnsd.conf:1: yes is not a value; write warning = true\n" },
	{ "hexadecimal", "server: { workers = 0x10; };\n",
	  "dnsd.conf:1: 0x10: write numbers in decimal, without 0x\n" },
	{ "huge", "server: { workers = 99999999999999999999; };\n",
	  "dnsd.conf:1: 99999999999999999999 is too large a number or none at all\n" },
	{ "comma at the end", "server: {\n listen = [\n \"::1\",\n ];\n};\nzones = ( { }, );\n",
	  "dnsd.conf:4: a comma before \"]\"; the last one of a list has none\n"
	  "dnsd.conf:6: a comma before \")\"; the last one of a list has none\n" },
	{ "comma missing", "server: {\n listen = [ \"::1\"\n \"::2\" ]; };\n",
	  "dnsd.conf:3: a comma is missing before \"::2\"\n" },
	{ "comma missing between groups", "zones = ( { }\n { } );\n",
	  "dnsd.conf:2: a comma is missing before {\n" },
	{ "semicolon between groups", "zones = ( { };\n { } );\n",
	  "dnsd.conf:1: \";\" inside a list; its values are separated by commas, and the bracket must be "
	  "closed\n" },
	{ "name with a dot", "zones = ( {\n db.local = 5; } );\n",
	  "dnsd.conf:2: db.local cannot be the name of a setting: only letters, digits and hyphens are; "
	  "names of hosts "
	  "and zones are values, as in name = \"db.local\"\n" },
	{ "name in quotes", "\"db.local\" = 5;\n",
	  "dnsd.conf:1: \"db.local\" stands where the name of a setting should; names of settings have no "
	  "quotes, names "
	  "of hosts and zones are values, as in name = \"db.local\"\n" },
	{ "quote missing", "geo: {\n database = \"x.mmdb;\n};\n",
	  "dnsd.conf:2: the closing \" is missing: \"x.mmdb;\n" },
	{ "group without equals", "server {\n};\n",
	  "dnsd.conf:1: \"=\" or \":\" is missing; write server: { ... };\n" },
	{ "value without equals", "server: { workers 4; };\n",
	  "dnsd.conf:1: \"=\" is missing after workers, found 4; write workers = ...;\n" },
	{ "value missing", "server: {\n workers = ;\n};\n",
	  "dnsd.conf:2: a value is missing after workers: found \";\"\n" },
	{ "two values", "server: { listen = \"::1\", \"::2\"; };\n",
	  "dnsd.conf:1: \"::2\" stands where the name of a setting should; names of settings have no quotes, "
	  "names of "
	  "hosts and zones are values, as in name = \"::2\"\n" },
	{ "setting in a list", "zones = (\n name = \"x\" );\n",
	  "dnsd.conf:2: name lacks its quotes; write \"name\"\n"
	  "dnsd.conf:2: \"=\" inside a list; settings in a list stand in groups, as in ( { name = \"x\"; } "
	  "), and "
	  "addresses in quotes\n" },
	{ "group in an array", "zones = [ { } ];\n",
	  "dnsd.conf:1: [ ] holds plain values only; write a list of groups as ( { ... }, { ... } )\n" },
	{ "not closed", "server: { };\nzones = (\n { name = \"x\"; }\n",
	  "dnsd.conf:2: this \"(\" is never closed\n" },
	{ "closed wrong", "zones = (\n { name = \"x\"; )\n;\n",
	  "dnsd.conf:2: \")\" does not close the \"{\" of dnsd.conf:2\n" },
	{ "closed too often", "server: { };\n};\n", "dnsd.conf:2: \"}\" closes nothing; one is too many\n" },
	{ "comment not closed", "server: { };\n/* x\n\n",
	  "dnsd.conf:2: this comment is never closed; write */ where it ends\n" },
	{ "ends early", "server: { };\nworkers =\n",
	  "dnsd.conf:2: the file ends before the value of workers\n" },
	{ "include unquoted", "@include other.conf\n",
	  "dnsd.conf:1: write @include \"other.conf\", alone on its line\n" },
	{ "include missing file", "\n@include \"none.conf\"\n",
	  "dnsd.conf:2: cannot read \"none.conf\": No such file or directory\n" },
};

static void test_main_mistakes(void **state)
{
	(void)state;
	put("mirrors.conf", MIRRORS);
	for (size_t i = 0; i < sizeof(main_mistakes) / sizeof(main_mistakes[0]); i++) {
		put("dnsd.conf", main_mistakes[i].text);
		assert_null(load(main_mistakes[i].name, main_mistakes[i].want));
	}
}

#define MIRROR(host) "{ host = \"" host "\"; country = \"DE\"; addresses = [ \"192.0.2.1\" ]; }"

static const struct mistake mirrors_mistakes[] = {
	{ "empty", "",
	  "mirrors.conf: no mirrors; write mirrors = ( { host = \"...\"; country = \"..\"; addresses = [ "
	  "\"...\" ]; } );\n" },
	{ "keys", "mirrors = (\n{ hosts = \"a.b\"; } );\n",
	  "mirrors.conf:2: unknown setting \"hosts\" in this mirror; did you mean \"host\"?\n"
	  "mirrors.conf:2: this mirror lacks host; write for example host = \"clamav.example.org\";\n"
	  "mirrors.conf:2: this mirror lacks country; write for example country = \"DE\";\n"
	  "mirrors.conf:2: this mirror lacks addresses; write for example addresses = [ \"192.0.2.1\", "
	  "\"2001:db8::1\" "
	  "];\n" },
	{ "address as host", "mirrors = ( " MIRROR("192.0.2.1") " );\n",
	  "mirrors.conf:1: host: \"192.0.2.1\" is an address, not a host name; write for example host = "
	  "\"clamav.example.org\";\n" },
	{ "host with underscore", "mirrors = ( " MIRROR("a_b.org") " );\n",
	  "mirrors.conf:1: host: \"a_b.org\" has a character that is no letter, digit or hyphen; write for "
	  "example "
	  "host = \"clamav.example.org\";\n" },
	{ "host with hyphen", "mirrors = ( " MIRROR("-b.org") " );\n",
	  "mirrors.conf:1: host: \"-b.org\" has a label that starts or ends with a hyphen; write for example "
	  "host = "
	  "\"clamav.example.org\";\n" },
	{ "hosts twice", "mirrors = ( " MIRROR("a.org") ",\n" MIRROR("b.org") ",\n" MIRROR("A.org") " );\n",
	  "mirrors.conf:3: host \"A.org\" is given twice: it is already at mirrors.conf:1\n" },
	{ "bad address",
	  "mirrors = ( { host = \"a.b\"; country = \"DE\"; addresses = "
	  "[\n\"192.0.2.1\",\n\"192.0.2.300\"\n]; } );\n",
	  "mirrors.conf:3: addresses: \"192.0.2.300\" is no IPv4 or IPv6 address; write for example "
	  "addresses = [ "
	  "\"192.0.2.1\", \"2001:db8::1\" ];\n" },
	{ "no address", "mirrors = ( { host = \"a.b\"; country = \"DE\"; addresses = [ ]; } );\n",
	  "mirrors.conf:1: addresses is empty; write for example addresses = [ \"192.0.2.1\", "
	  "\"2001:db8::1\" ];\n" },
	{ "key of the main file", "server: { };\nmirrors = ( " MIRROR("a.org") " );\n",
	  "mirrors.conf:1: unknown setting \"server\" in this mirrors file; there are: mirrors\n" },
};

static const struct mistake regions_mistakes[] = {
	{ "empty lists",
	  "regions = ( { name = \"a\"; countries = [ ]; } );\nneighbours = ( { country = \"LI\"; } );\n",
	  "regions.conf:1: countries is empty; write for example countries = [ \"DE\", \"FR\" ];\n"
	  "regions.conf:2: this entry of neighbours lacks near; write for example near = [ \"CH\", \"AT\" "
	  "];\n" },
	{ "region name", "regions = ( { name = \"a.b\"; countries = [ \"DE\" ]; } );\n",
	  "regions.conf:1: name: \"a.b\" has a dot; write for example name = \"europe\";\n" },
	{ "twice",
	  "regions = ( { name = \"a\"; countries = \"DE\"; },\n{ name = \"a\"; countries = \"FR\"; } );\n"
	  "neighbours = ( { country = \"LI\"; near = \"CH\"; },\n{ country = \"li\"; near = \"CH\"; } );\n",
	  "regions.conf:2: region \"a\" is given twice: it is already at regions.conf:1\n"
	  "regions.conf:4: entry of neighbours for \"li\" is given twice: it is already at "
	  "regions.conf:3\n" },
};

static void test_pool_file_mistakes(void **state)
{
	(void)state;
	put("dnsd.conf",
	    "pools = ( { name = \"p\"; mirrors = \"mirrors.conf\"; regions = \"regions.conf\"; } );\n" ZONE(
	            ""));
	put("regions.conf", "");
	for (size_t i = 0; i < sizeof(mirrors_mistakes) / sizeof(mirrors_mistakes[0]); i++) {
		put("mirrors.conf", mirrors_mistakes[i].text);
		assert_null(load(mirrors_mistakes[i].name, mirrors_mistakes[i].want));
	}
	put("mirrors.conf", MIRRORS);
	for (size_t i = 0; i < sizeof(regions_mistakes) / sizeof(regions_mistakes[0]); i++) {
		put("regions.conf", regions_mistakes[i].text);
		assert_null(load(regions_mistakes[i].name, regions_mistakes[i].want));
	}
	put("dnsd.conf", "pools = (\n{ name = \"p\"; mirrors = \"other.conf\"; } );\n" ZONE(""));
	assert_null(load("missing", "dnsd.conf:2: cannot read \"other.conf\": No such file or directory\n"));
}

/* One run shows everything, over all files; a syntax error ends only its own. */
static void test_all_mistakes_in_one_run(void **state)
{
	(void)state;
	put("dnsd.conf", "server: {\n worker = 1;\n edns-size = 1;\n tcp-idle = \"x\";\n};\n"
	                 "pools = ( { name = \"p\"; mirrors = \"mirrors.conf\"; } );\n" ZONE("fil = \"x\";"));
	put("mirrors.conf", "mirrors = ( { } );\n");
	put_folder("conf.d");
	put("conf.d/10.conf", "server: { workers = ; };\n");
	put("conf.d/20.conf", "geo: { nets = ( { net = \"x\"; country = \"DE\"; } ); };\n");
	assert_null(load(
	        "many",
	        "dnsd.conf:2: unknown setting \"worker\" in this server group; did you mean \"workers\"?\n"
	        "dnsd.conf:3: edns-size is 1, but must be 512 to 4096\n"
	        "dnsd.conf:4: tcp-idle: \"x\" is no duration: a number of seconds, or a text of a number and "
	        "ms, "
	        "s, m, h or d; write for example tcp-idle = \"10s\";\n"
	        "dnsd.conf:7: unknown setting \"fil\" in this zone; did you mean \"file\"?\n"
	        "conf.d/10.conf:1: a value is missing after workers: found \";\"\n"
	        "conf.d/20.conf:1: net: \"x\" is no network, or has a bit set past the length of its prefix; "
	        "write for example net = \"10.0.0.0/8\";\n"
	        "mirrors.conf:1: this mirror lacks host; write for example host = \"clamav.example.org\";\n"
	        "mirrors.conf:1: this mirror lacks country; write for example country = \"DE\";\n"
	        "mirrors.conf:1: this mirror lacks addresses; write for example addresses = [ \"192.0.2.1\", "
	        "\"2001:db8::1\" ];\n"));
}

/* ---- Several files. */

static void test_folder_is_merged(void **state)
{
	(void)state;
	put("dnsd.conf", "server: { workers = 2; listen = \"127.0.0.1\"; };\nzones = ( { name = \"a\"; file "
	                 "= \"a\"; } );\n");
	put_folder("conf.d");
	put("conf.d/20.conf",
	    "zones = ( { name = \"c\"; file = \"c.zone\"; } );\ngeo: { database = \"d\"; };\n");
	put("conf.d/10.conf", "zones = ( { name = \"b\"; file = \"/b\"; } );\n"
	                      "server: { tcp-idle = 9; listen = [ \"::1\" ]; };\n"
	                      "geo: { nets = ( { net = \"10.0.0.0/8\"; country = \"DE\"; } ); };\n");
	put("conf.d/.30.conf", "nonsense\n");
	put("conf.d/40.conf~", "nonsense\n");
	put("conf.d/.conf", "nonsense\n");
	struct conf *conf = load("merge", "");
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
	put("dnsd.conf", "server: {\n workers = 2; };\n" ZONE(""));
	put_folder("conf.d");
	put("conf.d/10.conf", "server: { workers = 2; };\n");
	put("conf.d/20.conf", "\n" ZONE(""));
	put_folder("conf.d/30.conf");
	assert_null(load("conflicts",
	                 "conf.d/10.conf:1: workers is given twice: it is already set at dnsd.conf:2\n"
	                 "conf.d/30.conf: cannot read it: it is a folder, not a file\n"
	                 "conf.d/20.conf:2: zone \"z\" is given twice: it is already at dnsd.conf:3\n"));
}

static void test_include(void **state)
{
	(void)state;
	put_folder("sub");
	put("dnsd.conf",
	    "server: {\n  @include \"sub/server.conf\"\n  workers = 5;\n};\n@include \"sub/zones.conf\"\n");
	put("sub/server.conf", "# a comment\ntcp-idle = 7;");
	put("sub/zones.conf", "zones = (\n@include \"zone.conf\"\n);\n");
	put("sub/zone.conf", "{ name = \"a\"; file = \"a.zone\"; },\n{ name = \"b\"; file = \"b.zone\"; }");
	struct conf *conf = load("include", "");
	assert_int_equal(conf->workers, 5);
	assert_int_equal(conf->tcp_idle_ms, 7000);
	assert_int_equal(conf->zones_n, 2);
	check_path(conf->zones[1].file, "sub/b.zone");
	check_path(conf->zones[1].place.file, "sub/zone.conf");
	assert_int_equal(conf->zones[1].place.line, 2);
	conf_destroy(conf);

	put("sub/server.conf", "\ntcp-idel = 7; workers = 4;\n");
	assert_null(
	        load("twice",
	             "dnsd.conf:3: \"workers\" is given twice: it is already set at sub/server.conf:2\n"));
	put("sub/server.conf", "\ntcp-idel = 7;\n");
	assert_null(load("slip",
	                 "sub/server.conf:2: unknown setting \"tcp-idel\" in this server group; did you mean "
	                 "\"tcp-idle\"?\n"));
	put("sub/server.conf", "\n@include \"../dnsd.conf\"\n");
	char want[256];
	snprintf(want, sizeof(want),
	         "sub/server.conf:2: this @include goes in a circle: \"dnsd.conf\" is being read already\n");
	assert_null(load("circle", want));
	/* libconfig 1.5 would end the process here. */
	put("dnsd.conf", "@include \"sub\"\n");
	char *full_want = NULL;
	assert_true(asprintf(&full_want, "dnsd.conf:1: cannot read \"sub\": it is a folder, not a file\n") >
	            0);
	assert_null(load("folder", full_want));
	free(full_want);
}

static void test_files_that_cannot_be_read(void **state)
{
	(void)state;
	assert_null(load("missing", "dnsd.conf: cannot read it: No such file or directory\n"));
	put_folder("dnsd.conf");
	assert_null(load("folder", "dnsd.conf: cannot read it: it is a folder, not a file\n"));
	assert_int_equal(rmdir(path_of("dnsd.conf")), 0);
	assert_int_equal(mkfifo(path_of("dnsd.conf"), 0600), 0);
	assert_null(load("pipe", "dnsd.conf: cannot read it: it is not a regular file\n"));
	assert_int_equal(unlink(path_of("dnsd.conf")), 0);
	put_bytes("dnsd.conf", "# a\n\n# b\0c\n", 11);
	assert_null(load("zero byte", "dnsd.conf:3: a zero byte: this is not a text file\n"));
	put("dnsd.conf", "");
	assert_int_equal(truncate(path_of("dnsd.conf"), 64 * 1024 * 1024 + 1), 0);
	assert_null(load("large",
	                 "dnsd.conf: cannot read it: it is too large: 64 MB is the limit for a file with all "
	                 "it includes\n"));
	put("dnsd.conf", ZONE(""));
	put("conf.d", "");
	assert_null(load("no folder",
	                 "conf.d: cannot read this folder of configuration files: Not a directory\n"));
	if (geteuid() != 0) {
		assert_int_equal(chmod(path_of("dnsd.conf"), 0), 0);
		assert_int_equal(unlink(path_of("conf.d")), 0);
		assert_null(load("secret", "dnsd.conf: cannot read it: Permission denied\n"));
	}
}

/* ---- Text without files, and texts made to hurt. */

static struct conf *load_text(enum conf_text_kind kind, const char *text, const char *want)
{
	struct diag diag;
	struct conf *conf = NULL;
	diag_init(&diag);
	int rc = conf_load_text(kind, "text", text, strlen(text), &diag, &conf);
	check_messages(&diag, "text", want);
	assert_int_equal(rc, diag.errors_n ? -EINVAL : 0);
	diag_fini(&diag);
	return conf;
}

static void test_text(void **state)
{
	(void)state;
	struct conf *conf = load_text(CONF_TEXT_MAIN, full, "");
	assert_int_equal(conf->pools[0].mirrors_n, 0);
	conf_destroy(conf);
	conf = load_text(CONF_TEXT_MIRRORS, full_mirrors, "");
	assert_int_equal(conf->pools_n, 1);
	assert_int_equal(conf->pools[0].mirrors_n, 2);
	assert_int_equal(conf->pools[0].ttl_s, 300);
	conf_destroy(conf);
	conf = load_text(CONF_TEXT_REGIONS, full_regions, "");
	assert_int_equal(conf->pools[0].regions_n, 1);
	conf_destroy(conf);
	assert_null(load_text(CONF_TEXT_MAIN, "@include \"/etc/passwd\"\n",
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
	assert_null(load_text(CONF_TEXT_MAIN, text, "text:1: brackets more than 32 deep\n"));

	size_t len = 0;
	for (int i = 0; i < 100000; i++)
		len += (size_t)sprintf(text + len, "a%d = 1;\n", i);
	assert_null(load_text(CONF_TEXT_MAIN, text, "text:257: more than 256 settings in one group\n"));

	strcpy(text, "a = 1 ");
	memset(text + 6, 'b', 1000000);
	strcpy(text + 1000006, " = 2;");
	assert_null(load_text(
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
	struct conf *conf = load_text(CONF_TEXT_MAIN, "server: { chaos-allow = \"::1\"; };\n" ZONE(""), "");
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

	conf = load_text(
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

	assert_null(load_text(
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
	struct conf *conf = load_text(CONF_TEXT_MAIN, text, "");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty_file_has_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_syntax_that_works, setup, teardown),
		cmocka_unit_test_setup_teardown(test_main_mistakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pool_file_mistakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_mistakes_in_one_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder_is_merged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder_conflicts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_include, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_that_cannot_be_read, setup, teardown),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_rate_limit),
		cmocka_unit_test(test_reference_is_a_configuration),
		cmocka_unit_test(test_durations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
