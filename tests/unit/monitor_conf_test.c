/* mirrormon.conf: every key once, its defaults, its mistakes with their words; the documents that describe
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/monitor.h"
#include "conf/schema.h"
#include "tests/unit/support/decision_defaults.h"
#include "tests/unit/support/folder.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NAME         "folder/m.conf"
#define OWN          "monitor: { pool = \"clamav\"; mirrors = \"mirrors.conf\"; };\n"

/* All messages, a line each. */
static void check_messages(const struct diag *diag, const char *what, const char *want)
{
	char text[8192] = "";
	size_t used = 0;
	for (size_t i = 0; i < diag->messages_n && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\n", diag->messages[i].text);
	if (strcmp(text, want) != 0)
		fail_msg("%s: got\n%swant\n%s", what, text, want);
}

static struct conf_monitor *load_text(const char *text, const char *want)
{
	struct diag diag;
	struct conf_monitor *conf = NULL;
	diag_init(&diag);
	int rc = conf_monitor_load_text(NAME, text, strlen(text), &diag, &conf);
	check_messages(&diag, text, want);
	assert_int_equal(rc, *want ? -EINVAL : 0);
	assert_true((conf != NULL) == (rc == 0));
	diag_fini(&diag);
	return conf;
}

static void check_texts(const char **texts, size_t texts_n, const char *want)
{
	char all[512] = "";
	for (size_t i = 0; i < texts_n; i++) {
		strcat(all, texts[i]);
		strcat(all, " ");
	}
	assert_string_equal(all, want);
}

static const char full[] =
        "monitor: { name = \"mon 1\"; pool = \"clamav\"; mirrors = \"mirrors.conf\"; regions = \"/r.conf\";\n"
        "  state-directory = \"state\"; feed = \"feed.json\"; feed-key = \"/etc/key\"; feed-valid = \"2s\";\n"
        "  feed-interval = \"100ms\"; geo = \"geo.mmdb\"; references-quorum = 1; ca-file = \"ca.pem\"; };\n"
        "checks: { interval = \"200ms\"; retry = \"100ms\"; spread-percent = 0; connect-timeout = "
        "\"300ms\";\n"
        "  timeout = \"400ms\"; concurrency = 7; port = 8080; databases = [ \"daily\", \"my_own-1\" ];\n"
        "  patched = \"\"; cdiffs = 32; hosts = [ \"db.%c.x.example\" ]; deep-interval = 0;\n"
        "  deep-max-bytes = 5000; sigtool = \"/opt/sigtool\"; };\n"
        "references = ( { url = \"http://ref.example:8080/cvd\"; address = \"127.0.0.1\"; },\n"
        "  { url = \"https://[2001:db8::1]:1\"; } );\n"
        "decision: { late-after = \"1s\"; old-after = \"2s\"; unreachable-after = 4; slow-over = 0;\n"
        "  slow-after = 16; return-after = 3; probation = \"5s\"; probation-max = \"6s\";\n"
        "  flap-window = \"7s\"; ramp = \"8s\"; ramp-percent = 100; };\n"
        "votes: { file = \"vote.json\"; others = [ \"https://b.example/v\", \"c.json\", \"/d.json\" ];\n"
        "  valid = \"9s\"; quorum = 4; };\n"
        "announce: { enabled = false; quorum-percent = 61; limit = 0; settle = \"3s\"; interval = \"110ms\"; "
        "};\n"
        "mail: { team = \"team@a.example\"; from = \"root@localhost\"; sendmail = \"/bin/true\";\n"
        "  admin-after = 8; digest-over-percent = 21; };\n"
        "site: { directory = \"site\"; url = \"https://a.example/x\"; title = \"<b>\"; map = \"world.tsv\";\n"
        "  interval = \"120ms\"; };\n"
        "metrics: { listen = [ \"127.0.0.1\", \"::1@0\" ]; };\n";

static void check_same_decision(const struct conf_decision *decision, const struct conf_decision *want)
{
	assert_int_equal(decision->late_after_s, want->late_after_s);
	assert_int_equal(decision->old_after_s, want->old_after_s);
	assert_int_equal(decision->unreachable_after, want->unreachable_after);
	assert_int_equal(decision->slow_over_ms, want->slow_over_ms);
	assert_int_equal(decision->slow_after, want->slow_after);
	assert_int_equal(decision->return_after, want->return_after);
	assert_int_equal(decision->probation_s, want->probation_s);
	assert_int_equal(decision->probation_max_s, want->probation_max_s);
	assert_int_equal(decision->flap_window_s, want->flap_window_s);
	assert_int_equal(decision->ramp_s, want->ramp_s);
	assert_int_equal(decision->ramp_percent, want->ramp_percent);
}

static void check_same_checks(const struct conf_checks *checks, const struct conf_checks *want)
{
	assert_int_equal(checks->interval_ms, want->interval_ms);
	assert_int_equal(checks->retry_ms, want->retry_ms);
	assert_int_equal(checks->spread_percent, want->spread_percent);
	assert_int_equal(checks->connect_timeout_ms, want->connect_timeout_ms);
	assert_int_equal(checks->timeout_ms, want->timeout_ms);
	assert_int_equal(checks->concurrency, want->concurrency);
	assert_int_equal(checks->port, want->port);
	assert_string_equal(checks->patched, want->patched);
	assert_int_equal(checks->cdiffs, want->cdiffs);
	assert_int_equal(checks->deep_interval_ms, want->deep_interval_ms);
	assert_int_equal(checks->deep_max_bytes, want->deep_max_bytes);
	assert_string_equal(checks->sigtool, want->sigtool);
}

/* What has a default, but for lists. */
static void check_same(const struct conf_monitor *conf, const struct conf_monitor *want)
{
	assert_int_equal(conf->feed_valid_s, want->feed_valid_s);
	assert_int_equal(conf->feed_interval_ms, want->feed_interval_ms);
	assert_int_equal(conf->references_n, want->references_n);
	assert_int_equal(conf->references_quorum, want->references_quorum);
	check_same_checks(&conf->checks, &want->checks);
	check_same_decision(&conf->decision, &want->decision);
	assert_int_equal(conf->votes.others_n, want->votes.others_n);
	assert_int_equal(conf->votes.valid_s, want->votes.valid_s);
	assert_int_equal(conf->votes.quorum, want->votes.quorum);
	assert_int_equal(conf->announce.enabled, want->announce.enabled);
	assert_int_equal(conf->announce.quorum_percent, want->announce.quorum_percent);
	assert_int_equal(conf->announce.limit_s, want->announce.limit_s);
	assert_int_equal(conf->announce.settle_s, want->announce.settle_s);
	assert_int_equal(conf->announce.interval_ms, want->announce.interval_ms);
	assert_string_equal(conf->mail.sendmail, want->mail.sendmail);
	assert_int_equal(conf->mail.admin_after, want->mail.admin_after);
	assert_int_equal(conf->mail.digest_over_percent, want->mail.digest_over_percent);
	assert_string_equal(conf->site.title, want->site.title);
	assert_int_equal(conf->site.interval_ms, want->site.interval_ms);
}

static const struct conf_monitor full_conf = {
	.feed_valid_s = 2,
	.feed_interval_ms = 100,
	.references_n = 2,
	.references_quorum = 1,
	.checks = { .interval_ms = 200,
	            .retry_ms = 100,
	            .spread_percent = 0,
	            .connect_timeout_ms = 300,
	            .timeout_ms = 400,
	            .concurrency = 7,
	            .port = 8080,
	            .patched = "",
	            .cdiffs = 32,
	            .deep_interval_ms = 0,
	            .deep_max_bytes = 5000,
	            .sigtool = "/opt/sigtool" },
	.decision = { .late_after_s = 1,
	              .old_after_s = 2,
	              .unreachable_after = 4,
	              .slow_over_ms = 0,
	              .slow_after = 16,
	              .return_after = 3,
	              .probation_s = 5,
	              .probation_max_s = 6,
	              .flap_window_s = 7,
	              .ramp_s = 8,
	              .ramp_percent = 100 },
	.votes = { .others_n = 3, .valid_s = 9, .quorum = 4 },
	.announce = { .enabled = false,
	              .quorum_percent = 61,
	              .limit_s = 0,
	              .settle_s = 3,
	              .interval_ms = 110 },
	.mail = { .sendmail = "/bin/true", .admin_after = 8, .digest_over_percent = 21 },
	.site = { .title = "<b>", .interval_ms = 120 },
};

/* The numbers of monitor.h. */
static const struct conf_monitor default_conf = {
	.feed_valid_s = 86400,
	.feed_interval_ms = 60000,
	.checks = { .interval_ms = 3600000,
	            .retry_ms = 300000,
	            .spread_percent = 10,
	            .connect_timeout_ms = 10000,
	            .timeout_ms = 30000,
	            .concurrency = 256,
	            .port = 80,
	            .patched = "daily",
	            .cdiffs = 10,
	            .deep_interval_ms = 3600000,
	            .deep_max_bytes = 1073741824,
	            .sigtool = "sigtool" },
	.decision = DECISION_DEFAULTS,
	.votes = { .valid_s = 10800, .quorum = 1 },
	.announce = { .enabled = true,
	              .quorum_percent = 60,
	              .limit_s = 7200,
	              .settle_s = 300,
	              .interval_ms = 30000 },
	.mail = { .sendmail = "/usr/sbin/sendmail", .admin_after = 6, .digest_over_percent = 20 },
	.site = { .title = "Mirror status", .interval_ms = 60000 },
};

static void check_own(const struct conf_monitor *conf)
{
	assert_string_equal(conf->place.file, NAME);
	assert_int_equal(conf->place.line, 1);
	assert_string_equal(conf->name, "mon 1");
	assert_string_equal(conf->pool->name, "clamav");
	assert_string_equal(conf->pool->mirrors_file, "folder/mirrors.conf");
	assert_string_equal(conf->pool->regions_file, "/r.conf");
	assert_string_equal(conf->pool->place.file, NAME);
	assert_int_equal(conf->pool->ttl_s, 300);
	assert_int_equal(conf->pool->mirrors_n, 0);
	assert_string_equal(conf->state_dir, "folder/state");
	assert_string_equal(conf->feed, "folder/feed.json");
	assert_string_equal(conf->feed_key, "/etc/key");
	assert_string_equal(conf->geo, "folder/geo.mmdb");
	assert_string_equal(conf->ca_file, "folder/ca.pem");
	assert_string_equal(conf->references[0].url, "http://ref.example:8080/cvd");
	assert_string_equal(conf->references[0].address, "127.0.0.1");
	assert_string_equal(conf->references[1].url, "https://[2001:db8::1]:1");
	assert_null(conf->references[1].address);
	assert_int_equal(conf->references[1].place.line, 9);
	assert_int_equal(conf->metrics_listen_n, 2);
	char text[ADDR_TEXT_MAX];
	assert_string_equal(addr_format_sockaddr((const struct sockaddr *)&conf->metrics_listen[0].addr, text,
	                                         sizeof(text)),
	                    "127.0.0.1@9154");
}

static void check_rest(const struct conf_monitor *conf)
{
	assert_int_equal(conf->checks.place.line, 4);
	check_texts(conf->checks.databases, conf->checks.databases_n, "daily my_own-1 ");
	check_texts(conf->checks.hosts, conf->checks.hosts_n, "db.%c.x.example ");
	assert_string_equal(conf->votes.file, "folder/vote.json");
	check_texts(conf->votes.others, conf->votes.others_n, "https://b.example/v folder/c.json /d.json ");
	assert_string_equal(conf->mail.team, "team@a.example");
	assert_string_equal(conf->mail.from, "root@localhost");
	assert_string_equal(conf->site.directory, "folder/site");
	assert_string_equal(conf->site.url, "https://a.example/x");
	assert_string_equal(conf->site.map, "folder/world.tsv");
}

static void test_every_key(void **state)
{
	(void)state;
	struct conf_monitor *conf = load_text(full, "");
	check_same(conf, &full_conf);
	check_own(conf);
	check_rest(conf);
	conf_monitor_destroy(conf);
}

static void check_defaults(const struct conf_monitor *conf)
{
	check_same(conf, &default_conf);
	check_texts(conf->checks.databases, conf->checks.databases_n, "main daily bytecode ");
	check_texts(conf->checks.hosts, conf->checks.hosts_n, "db.%c.clamav.net database.clamav.net ");
}

static void test_defaults(void **state)
{
	(void)state;
	char host[128] = "";
	struct conf_monitor *conf = load_text(OWN, "");
	check_defaults(conf);
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	assert_string_equal(conf->name, host);
	assert_null(conf->pool->regions_file);
	assert_null(conf->state_dir);
	assert_null(conf->feed);
	assert_null(conf->feed_key);
	assert_null(conf->geo);
	assert_null(conf->votes.file);
	assert_null(conf->mail.team);
	assert_null(conf->mail.from);
	assert_null(conf->site.directory);
	assert_null(conf->site.url);
	assert_null(conf->site.map);
	assert_int_equal(conf->metrics_listen_n, 0);
	conf_monitor_destroy(conf);
}

/* Defaults that depend on other keys. */
static void test_defaults_give_way(void **state)
{
	(void)state;
	struct conf_monitor *conf = load_text(
	        OWN "checks: { interval = \"1m\"; timeout = \"5s\"; databases = \"main\"; };\n"
	            "references = ( { url = \"http://a.example\" }, { url = \"http://b.example\" } );\n"
	            "decision: { probation = \"3d\"; }; mail: { team = \"a@b.example\"; };\n"
	            "votes: { others = [ \"a\", \"b\", \"c\" ]; };\n",
	        "");
	assert_int_equal(conf->checks.retry_ms, 60000);
	assert_int_equal(conf->checks.connect_timeout_ms, 5000);
	assert_string_equal(conf->checks.patched, "");
	assert_int_equal(conf->references_quorum, 2);
	assert_int_equal(conf->decision.probation_max_s, 3 * 86400);
	assert_string_equal(conf->mail.from, "a@b.example");
	assert_int_equal(conf->votes.quorum, 3);
	conf_monitor_destroy(conf);
}

#define URL_EXAMPLE  "; write for example url = \"http://db1.example.org\";\n"
#define SITE_EXAMPLE "; write for example url = \"https://mirrors.example.org\";\n"
#define TEAM_EXAMPLE "; write for example team = \"team@example.org\";\n"
#define HOST_EXAMPLE "; write for example hosts = [ \"db.%c.clamav.net\", \"database.clamav.net\" ];\n"
#define VOTE_EXAMPLE "; write for example others = [ \"https://mon2.example.org/vote.json\" ];\n"
#define ALONE        "is not one mail address alone: no name, no brackets, no list"

/* Behind OWN, so all in line 2. */
static const struct {
	const char *text;
	const char *want; /* behind "folder/m.conf:2: " */
} mistakes[] = {
	{ "checks: { interval = \"99ms\"; };", "interval is 99ms, but must be 100ms to 7d\n" },
	{ "checks: { retry = \"2h\"; };", "retry is 2h, but must be at most interval, which is 1h\n" },
	{ "checks: { connect-timeout = \"31s\"; };",
	  "connect-timeout is 31s, but must be at most timeout, which is 30s\n" },
	{ "checks: { deep-interval = \"5ms\"; };",
	  "deep-interval is 5ms, but must be at least 100ms; 0 is never\n" },
	{ "checks: { port = 0; };", "port is 0, but must be 1 to 65535\n" },
	{ "checks: { cdiffs = 33; };", "cdiffs is 33, but must be 0 to 32\n" },
	{ "checks: { patched = \"weekly\"; };", "patched is \"weekly\", which is not among databases; write "
	                                        "one of them, or patched = \"\"; for none\n" },
	{ "checks: { databases = [ \"main\" ]; patched = \"daily\"; };",
	  "patched is \"daily\", which is not among databases; write one of them, or patched = \"\"; for "
	  "none\n" },
	{ "checks: { databases = [ ]; };", "databases is empty; write for example databases = [ \"main\", "
	                                   "\"daily\", \"bytecode\" ]; or leave it "
	                                   "out\n" },
	{ "checks: { databases = [ \"main\", \"daily\", \"main\" ]; };", "databases has \"main\" twice\n" },
	{ "checks: { databases = [ \"daily.cvd\" ]; };",
	  "databases: \"daily.cvd\" is no name of a database: lower-case letters, digits, - and _, without "
	  "\".cvd\"; write for example databases = [ \"main\", \"daily\", \"bytecode\" ];\n" },
	{ "checks: { databases = [ \"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"daily\" ]; };",
	  "databases has 9 entries, the limit is 8\n" },
	{ "checks: { hosts = [ \"db.%r.x.example\" ]; };",
	  "hosts: \"db.%r.x.example\" has a % that is not the one %c, the place of the country "
	  "code" HOST_EXAMPLE },
	{ "checks: { hosts = [ \"%c.%c\" ]; };",
	  "hosts: \"%c.%c\" has a % that is not the one %c, the place of the country code" HOST_EXAMPLE },
	{ "checks: { hosts = [ \"a b\" ]; };",
	  "hosts: \"a b\" has a character that is no letter, digit or hyphen" HOST_EXAMPLE },
	{ "checks: { sigtool = \"bin/sigtool\"; };",
	  "sigtool: \"bin/sigtool\" is neither the name of a program nor its whole path; write for example "
	  "sigtool = \"/usr/bin/sigtool\";\n" },
	{ "references = ( { } );", "this reference lacks url" URL_EXAMPLE },
	{ "references = ( { url = \"ftp://a.example\" } );",
	  "url: \"ftp://a.example\" does not begin with http:// or https://" URL_EXAMPLE },
	{ "references = ( { url = \"http://\" } );", "url: \"http://\" names no host" URL_EXAMPLE },
	{ "references = ( { url = \"http://:80\" } );", "url: \"http://:80\" names no host" URL_EXAMPLE },
	{ "references = ( { url = \"http://a.example:0\" } );",
	  "url: \"http://a.example:0\" has a port that is not 1 to 65535" URL_EXAMPLE },
	{ "references = ( { url = \"http://a.example:99999999999\" } );",
	  "url: \"http://a.example:99999999999\" has a port that is not 1 to 65535" URL_EXAMPLE },
	{ "references = ( { url = \"http://a.example:8x/\" } );",
	  "url: \"http://a.example:8x/\" has a port that is not 1 to 65535" URL_EXAMPLE },
	{ "references = ( { url = \"http://[::1\" } );",
	  "url: \"http://[::1\" has a bracket without its end" URL_EXAMPLE },
	{ "references = ( { url = \"http://[1.2.3.4]/\" } );",
	  "url: \"http://[1.2.3.4]/\" has no IPv6 address in its brackets" URL_EXAMPLE },
	{ "references = ( { url = \"http://u:p@a.example\" } );",
	  "url: \"http://u:p@a.example\" has a user name in it" URL_EXAMPLE },
	{ "references = ( { url = \"http://a.example/ x\" } );",
	  "url: \"http://a.example/ x\" has a character that stands in no URL; write it as % and two hex "
	  "digits" URL_EXAMPLE },
	{ "references = ( { url = \"http://a_b.example\" } );",
	  "url: \"http://a_b.example\" has a character that is no letter, digit or hyphen" URL_EXAMPLE },
	{ "references = ( { url = \"http://a.example\"; address = \"a.example\"; } );",
	  "address: \"a.example\" is no IPv4 or IPv6 address; write for example address = \"192.0.2.9\";\n" },
	{ "decision: { old-after = \"1d\"; };",
	  "old-after is 1d, but must be over late-after, which is 1d\n" },
	{ "decision: { late-after = \"3d\"; };",
	  "old-after is 2d, but must be over late-after, which is 3d\n" },
	{ "decision: { probation-max = \"5m\"; };",
	  "probation-max is 5m, but must be at least probation, which is 10m\n" },
	{ "decision: { late-after = \"1500ms\"; };", "late-after: \"1500ms\" is not a number of whole "
	                                             "seconds; write for example late-after = \"1d\";\n" },
	{ "decision: { slow-after = 17; };", "slow-after is 17, but must be 1 to 16\n" },
	{ "decision: { ramp = 0; };", "ramp is 0s, but must be 1s to 30d\n" },
	{ "votes: { others = [ \"http://b.example/v\" ]; };",
	  "others: \"http://b.example/v\" does not begin with https://" VOTE_EXAMPLE },
	{ "votes: { others = [ \"b\", \"./b\", \"b\" ]; };", "others has \"folder/b\" twice\n" },
	{ "votes: { file = \"v\"; others = [ \"v\" ]; };",
	  "others has our own file, whose vote would count twice; leave it out there\n" },
	{ "votes: { others = [ \"b\" ]; quorum = 3; };",
	  "quorum is 3, but there are only 2 votes, ours among them\n" },
	{ "announce: { quorum-percent = 101; };", "quorum-percent is 101, but must be 1 to 100\n" },
	{ "mail: { team = \"Team <t@a.example>\"; };", "team: \"Team <t@a.example>\" " ALONE TEAM_EXAMPLE },
	{ "mail: { team = \"t@a.example,b.example\"; };",
	  "team: \"t@a.example,b.example\" " ALONE TEAM_EXAMPLE },
	{ "mail: { team = \"a@b.example\\nBcc: c\"; };",
	  "team: \"a@b.example\\x0aBcc: c\" has a control character" TEAM_EXAMPLE },
	{ "mail: { team = \"team\"; };", "team: \"team\" is no mail address NAME@HOST" TEAM_EXAMPLE },
	{ "mail: { team = \"a@b@c\"; };", "team: \"a@b@c\" is no mail address NAME@HOST" TEAM_EXAMPLE },
	{ "mail: { team = \"@b\"; };", "team: \"@b\" is no mail address NAME@HOST" TEAM_EXAMPLE },
	{ "mail: { team = \"a@\"; };", "team: \"a@\" is empty" TEAM_EXAMPLE },
	{ "mail: { team = \"-oQ/tmp@b\"; };", "team: \"-oQ/tmp@b\" begins with a hyphen" TEAM_EXAMPLE },
	{ "mail: { from = \"a@b.example\"; };",
	  "from without team: no mail is sent; write for example team = \"a@b.example\";\n" },
	{ "mail: { sendmail = \"sendmail\"; };",
	  "sendmail: \"sendmail\" is not the whole path of a program; write for example sendmail = "
	  "\"/usr/sbin/sendmail\";\n" },
	{ "site: { url = \"https://a.example/\"; };",
	  "url: \"https://a.example/\" ends with a slash" SITE_EXAMPLE },
	{ "site: { url = \"https://a.example?x\"; };",
	  "url: \"https://a.example?x\" has a ?, but names of pages are put behind it" SITE_EXAMPLE },
	{ "site: { titel = \"x\"; };",
	  "unknown setting \"titel\" in this site group; did you mean \"title\"?\n" },
	{ "site: { late-after = \"1d\"; };",
	  "unknown setting \"late-after\" in this site group; it belongs into decision: { }, here are: "
	  "directory, url, title, map, interval\n" },
	{ "metrics: { listen = [ \"127.0.0.1@1\", \"127.0.0.1@1\" ]; };",
	  "listen \"127.0.0.1@1\" is given twice: it is already at folder/m.conf:2\n" },
};

static void test_mistakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(mistakes); i++) {
		char text[1024];
		char want[1024];
		snprintf(text, sizeof(text), OWN "%s", mistakes[i].text);
		snprintf(want, sizeof(want), NAME ":2: %s", mistakes[i].want);
		load_text(text, want);
	}
}

static void test_own_mistakes(void **state)
{
	(void)state;
	load_text("", NAME ":1: this configuration lacks monitor; write for example monitor = { ... };\n");
	load_text("monitor: { };", NAME
	          ":1: this monitor group lacks pool; write for example pool = \"clamav\";\n" NAME
	          ":1: this monitor group lacks mirrors; write for example mirrors = \"mirrors.conf\";\n");
	load_text("monitor: { name = \"m\xc3\xb6n\"; pool = \"a\"; mirrors = \"m\"; };", NAME
	          ":1: name: \"m\xc3\xb6n\" has a character that is no printable ASCII; write for example "
	          "name = \"mon1.example.org\";\n");
	load_text("monitor: { pool = \"a\"; mirrors = \"m\"; feed-key = \"k\"; };",
	          NAME ":1: feed-key without feed: name the file to sign, or leave it out\n");
	load_text("monitor: { pool = \"a\"; mirrors = \"m\"; feed-valid = \"1m\"; };",
	          NAME ":1: feed-valid is 1m, but must be over feed-interval, which is 1m\n");
	load_text("monitor: { pool = \"a\"; mirrors = \"m\"; references-quorum = 1; };",
	          NAME ":1: references-quorum is 1, but there are only 0 references\n");
	load_text("monitor: { pool = \"a\"; mirrors = \"m\"; feed = \"f\"; };\nvotes: { file = \"./f\"; };\n"
	          "references = ( { url = \"x\" }, { url = \"http://b.example\"; } );",
	          NAME ":3: url: \"x\" does not begin with http:// or https://" URL_EXAMPLE);
	load_text("monitor: { pool = \"a\"; mirrors = \"m\"; feed = \"f\"; };\nvotes: { file = \"f\"; };\n",
	          NAME ":2: file of votes is that of the feed too; give each a file of its own\n");
}

static struct conf_monitor *load_file(const char *path, const char *want)
{
	struct diag diag;
	struct conf_monitor *conf = NULL;
	diag_init(&diag);
	int rc = conf_monitor_load(path, &diag, &conf);
	check_messages(&diag, path, want);
	assert_int_equal(rc, *want ? -EINVAL : 0);
	diag_fini(&diag);
	return conf;
}

/* The files of a pool are those of dnsd, with its messages. */
static void test_files(void **state)
{
	(void)state;
	char path[128];
	char want[512];
	snprintf(path, sizeof(path), "%s", folder_path("m.conf"));
	snprintf(want, sizeof(want), "%s: cannot read it: No such file or directory\n", path);
	load_file(path, want);

	folder_put("m.conf", OWN "# no references\n");
	snprintf(want, sizeof(want), "%s:1: cannot read \"%s\": No such file or directory\n", path,
	         folder_path("mirrors.conf"));
	load_file(path, want);

	folder_put("mirrors.conf", "mirrors = ( { host = \"m1.example\"; addresses = \"192.0.2.1\"; } );\n");
	snprintf(want, sizeof(want), "%s:1: this mirror lacks country; write for example country = \"DE\";\n",
	         folder_path("mirrors.conf"));
	load_file(path, want);

	folder_put(
	        "mirrors.conf",
	        "mirrors = ( { host = \"m1.example\"; country = \"DE\"; addresses = \"192.0.2.1\"; } );\n");
	struct conf_monitor *conf = load_file(path, "");
	assert_int_equal(conf->pool->mirrors_n, 1);
	assert_string_equal(conf->pool->mirrors[0].host, "m1.example");
	conf_monitor_destroy(conf);
}

static void test_example(void **state)
{
	(void)state;
	struct conf_monitor *conf = load_file("contrib/clamav.net/mirrormon.conf", "");
	assert_true(conf->pool->mirrors_n > 100);
	assert_true(conf->pool->regions_n > 0);
	assert_int_equal(conf->references_quorum, 2);
	assert_int_equal(conf->votes.quorum, 2);
	assert_string_equal(conf->pool->mirrors_file, "contrib/clamav.net/mirrors.conf");
	conf_monitor_destroy(conf);
}

static void test_reference_is_a_configuration(void **state)
{
	(void)state;
	char text[32 * 1024] = "";
	FILE *file = tmpfile();
	assert_non_null(file);
	conf_monitor_print_reference(fileno(file));
	rewind(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 1000);
	fclose(file);
	struct conf_monitor *conf = load_text(text, "");
	check_defaults(conf);
	conf_monitor_destroy(conf);
	assert_non_null(strstr(text, "# a duration, 100ms to 7d; default 1h\n"));
	assert_non_null(strstr(text, "The mirrors file"));
}

/* ---- docs/mirrormon-config.md has a section for each group, and a row for each key of it. */

static const char *type_word(enum conf_type type)
{
	switch (type) {
	case CONF_NUMBER: return "number";
	case CONF_DURATION_S:
	case CONF_DURATION_MS: return "duration";
	case CONF_BOOL: return "switch";
	case CONF_TEXT: return "text";
	case CONF_PATH: return "path";
	case CONF_TEXTS: return "texts";
	case CONF_LISTEN: return "addresses";
	default: return "?";
	}
}

static void check_section(const char *doc, const char *name, const struct conf_group *group)
{
	char heading[64];
	snprintf(heading, sizeof(heading), "\n## %s\n", name);
	const char *section = strstr(doc, heading);
	if (!section) {
		fail_msg("no section %s", name);
		return;
	}
	section += strlen(heading);
	const char *end = strstr(section, "\n## ");
	size_t rows_n = 0;
	for (const char *row = section; (row = strstr(row, "\n| `")) && (!end || row < end); row++)
		rows_n++;
	assert_int_equal(rows_n, group->keys_n);
	for (size_t i = 0; i < group->keys_n; i++) {
		const struct conf_key *key = &group->keys[i];
		char row[256];
		snprintf(row, sizeof(row), "\n| `%s` | %s | %s%s", key->name, type_word(key->type),
		         key->required   ? "required |"
		         : key->fallback ? "default "
		                         : "",
		         key->fallback ? key->fallback : "");
		const char *found = strstr(section, row);
		if (!found || (end && found > end))
			fail_msg("section %s has no row %s", name, row + 1);
	}
}

static void test_document_has_every_key(void **state)
{
	(void)state;
	static char doc[64 * 1024];
	FILE *file = fopen("docs/mirrormon-config.md", "re");
	if (!file) {
		fail_msg("docs/mirrormon-config.md: run from the top of the tree");
		return;
	}
	assert_true(fread(doc, 1, sizeof(doc) - 1, file) > 1000);
	fclose(file);
	for (size_t i = 0; i < conf_schema_monitor.keys_n; i++)
		check_section(doc, conf_schema_monitor.keys[i].name, conf_schema_monitor.keys[i].group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_defaults_give_way),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_own_mistakes),
		cmocka_unit_test_setup_teardown(test_files, folder_setup, folder_teardown),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_reference_is_a_configuration),
		cmocka_unit_test(test_document_has_every_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
