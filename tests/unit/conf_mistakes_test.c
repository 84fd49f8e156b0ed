/* conf: every mistake with its place and its words. Each text is a whole dnsd.conf, or a mirrors or regions
 * file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/support/conf_fixture.h"

#define MIRRORS                                                                                              \
	"mirrors = ( { host = \"m1.example.org\"; country = \"DE\"; addresses = [ \"192.0.2.1\" ]; } );\n"

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
	folder_put("mirrors.conf", MIRRORS);
	for (size_t i = 0; i < sizeof(main_mistakes) / sizeof(main_mistakes[0]); i++) {
		folder_put("dnsd.conf", main_mistakes[i].text);
		assert_null(conf_fixture_load(main_mistakes[i].name, main_mistakes[i].want));
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
	folder_put("dnsd.conf", "pools = ( { name = \"p\"; mirrors = \"mirrors.conf\"; regions = "
	                        "\"regions.conf\"; } );\n" ZONE(""));
	folder_put("regions.conf", "");
	for (size_t i = 0; i < sizeof(mirrors_mistakes) / sizeof(mirrors_mistakes[0]); i++) {
		folder_put("mirrors.conf", mirrors_mistakes[i].text);
		assert_null(conf_fixture_load(mirrors_mistakes[i].name, mirrors_mistakes[i].want));
	}
	folder_put("mirrors.conf", MIRRORS);
	for (size_t i = 0; i < sizeof(regions_mistakes) / sizeof(regions_mistakes[0]); i++) {
		folder_put("regions.conf", regions_mistakes[i].text);
		assert_null(conf_fixture_load(regions_mistakes[i].name, regions_mistakes[i].want));
	}
	folder_put("dnsd.conf", "pools = (\n{ name = \"p\"; mirrors = \"other.conf\"; } );\n" ZONE(""));
	assert_null(conf_fixture_load(
	        "missing", "dnsd.conf:2: cannot read \"other.conf\": No such file or directory\n"));
}

/* One run shows everything, over all files; a syntax error ends only its own. */
static void test_all_mistakes_in_one_run(void **state)
{
	(void)state;
	folder_put("dnsd.conf",
	           "server: {\n worker = 1;\n edns-size = 1;\n tcp-idle = \"x\";\n};\n"
	           "pools = ( { name = \"p\"; mirrors = \"mirrors.conf\"; } );\n" ZONE("fil = \"x\";"));
	folder_put("mirrors.conf", "mirrors = ( { } );\n");
	conf_fixture_put_folder("conf.d");
	folder_put("conf.d/10.conf", "server: { workers = ; };\n");
	folder_put("conf.d/20.conf", "geo: { nets = ( { net = \"x\"; country = \"DE\"; } ); };\n");
	assert_null(conf_fixture_load(
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_main_mistakes, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_pool_file_mistakes, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_all_mistakes_in_one_run, folder_setup, folder_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
