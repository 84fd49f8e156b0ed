/*
 * The keys of mirrormon.conf. What they mean together is checked in monitor.c, which also makes the defaults
 * that depend on other keys.
 */
#include <string.h>

#include "base/addr.h"
#include "conf/monitor_int.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MOMENT       INT64_C(100) /* ms: the shortest wait between two rounds of anything */
#define SECOND       INT64_C(1000)
#define MINUTE       (60 * SECOND)
#define HOUR         (60 * MINUTE)
#define DAY          (24 * HOUR)

#define URL_MAX  2000
#define HOST_MAX 253
#define MAIL_MAX 254 /* RFC 5321 section 4.5.3.1.3 */

#define AT(type, field)   .off = offsetof(struct type, field), .size = sizeof(((struct type *)0)->field)
#define LIST(type, field) AT(type, field), .n_off = offsetof(struct type, field##_n)

/* The group "monitor" fills the struct from its place on, and the pool behind it. */
#define FROM(field)    (offsetof(struct monitor_document, field) - offsetof(struct monitor_document, conf.place))
#define MONITOR(field) .off = FROM(conf.field), .size = sizeof(((struct monitor_document *)0)->conf.field)
#define POOL(field)    .off = FROM(pool.field), .size = sizeof(((struct monitor_document *)0)->pool.field)

/* The reader writes the place of a group to its first bytes. */
_Static_assert(offsetof(struct conf_checks, place) == 0, "place first");
_Static_assert(offsetof(struct conf_reference, place) == 0, "place first");
_Static_assert(offsetof(struct conf_decision, place) == 0, "place first");
_Static_assert(offsetof(struct conf_votes, place) == 0, "place first");
_Static_assert(offsetof(struct conf_announce, place) == 0, "place first");
_Static_assert(offsetof(struct conf_mail, place) == 0, "place first");
_Static_assert(offsetof(struct conf_site, place) == 0, "place first");

static const char *check_name(const char *text)
{
	for (size_t i = 0; text[i]; i++) {
		if (text[i] < ' ' || text[i] > '~')
			return "has a character that is no printable ASCII";
	}
	return strlen(text) > CONF_MONITOR_NAME_LEN ? "is longer than 127 characters" : NULL;
}

/* As the feed has them: docs/feed.md. */
static const char *check_database(const char *text)
{
	if (text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-")])
		return "is no name of a database: lower-case letters, digits, - and _, without \".cvd\"";
	if (strcmp(text, "verified") == 0)
		return "is another key of the feed's versions";
	return strlen(text) > CONF_DATABASE_NAME_LEN ? "is longer than 39 characters" : NULL;
}

static const char *check_host_pattern(const char *text)
{
	char copy[HOST_MAX + 1];
	size_t len = strlen(text);
	if (len > HOST_MAX)
		return "is longer than 253 characters";
	memcpy(copy, text, len + 1);
	char *mark = strchr(copy, '%');
	if (mark && (mark[1] != 'c' || strchr(mark + 1, '%')))
		return "has a % that is not the one %c, the place of the country code";
	if (mark)
		memset(mark, 'x', 2);
	return conf_check_host(copy);
}

static const char *check_program(const char *text)
{
	return strchr(text, '/') && text[0] != '/' ? "is neither the name of a program nor its whole path"
	                                           : NULL;
}

static const char *check_whole_path(const char *text)
{
	return text[0] != '/' ? "is not the whole path of a program" : NULL;
}

static const char *check_port(const char *text)
{
	static const char bad[] = "has a port that is not 1 to 65535";
	uint32_t port = 0;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return bad;
		port = port * 10 + (uint32_t)(*text - '0');
		if (port > UINT16_MAX)
			return bad;
	}
	return port ? NULL : bad;
}

/* HOST[:PORT], ended by NUL. */
static const char *check_authority(char *text)
{
	struct addr addr;
	char *port;
	if (text[0] == '[') {
		char *end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return "has a bracket without its end";
		port = end[1] ? end + 2 : NULL;
		*end = '\0';
		if (addr_parse(text + 1, &addr) < 0 || addr.family != 6)
			return "has no IPv6 address in its brackets";
	} else {
		port = strchr(text, ':');
		if (port)
			*port++ = '\0';
		if (!text[0])
			return "names no host";
		const char *why = addr_parse(text, &addr) == 0 ? NULL : conf_check_host(text);
		if (why)
			return why;
	}
	return port ? check_port(port) : NULL;
}

static const char *check_url(const char *text, bool plain_is_good)
{
	char authority[HOST_MAX + sizeof(":65535")];
	const char *host;
	if (strncmp(text, "https://", 8) == 0)
		host = text + 8;
	else if (plain_is_good && strncmp(text, "http://", 7) == 0)
		host = text + 7;
	else
		return plain_is_good ? "does not begin with http:// or https://"
		                     : "does not begin with https://";
	if (strlen(text) > URL_MAX)
		return "is longer than 2000 characters";
	for (const char *c = text; *c; c++) {
		if (*c <= ' ' || *c > '~' || strchr("\"<>\\^`{|}#'", *c))
			return "has a character that stands in no URL; write it as % and two hex digits";
	}
	size_t len = strcspn(host, "/?");
	if (memchr(host, '@', len))
		return "has a user name in it";
	if (len >= sizeof(authority))
		return "has a host of more than 253 characters";
	memcpy(authority, host, len);
	authority[len] = '\0';
	return check_authority(authority);
}

static const char *check_reference_url(const char *text)
{
	return check_url(text, true);
}

static const char *check_site_url(const char *text)
{
	const char *why = check_url(text, true);
	if (why)
		return why;
	if (strchr(text, '?'))
		return "has a ?, but names of pages are put behind it";
	return text[strlen(text) - 1] == '/' ? "ends with a slash" : NULL;
}

/* What is no URL is a path; but a vote that anybody on the way can change is worth nothing. */
static const char *check_vote(const char *text)
{
	return strstr(text, "://") ? check_url(text, false) : NULL;
}

static const char *check_address(const char *text)
{
	struct addr addr;
	return addr_parse(text, &addr) < 0 ? "is no IPv4 or IPv6 address" : NULL;
}

/* It stands in the head of a mail, as one of a list: nothing there may end it. */
static const char *check_mail(const char *text)
{
	const char *at = strchr(text, '@');
	if (!at || at == text || strchr(at + 1, '@'))
		return "is no mail address NAME@HOST";
	if (strlen(text) > MAIL_MAX)
		return "is longer than 254 characters";
	for (const char *c = text; *c; c++) {
		if (*c <= ' ' || *c > '~' || strchr("\"(),:;<>[\\]|", *c))
			return "is not one mail address alone: no name, no brackets, no list";
	}
	if (text[0] == '-')
		return "begins with a hyphen";
	return conf_check_host(at + 1);
}

static const struct conf_key monitor_keys[] = {
	{ "name", CONF_TEXT, MONITOR(name), .check = check_name, .example = "\"mon1.example.org\"",
	  .help = "What this monitor is called in the feed and in its vote; default the host name." },
	{ "pool", CONF_TEXT, true, POOL(name), .check = conf_check_label, .example = "\"clamav\"",
	  .help = "The name of the pool, as dnsd.conf has it." },
	{ "mirrors", CONF_PATH, true, POOL(mirrors_file), .example = "\"mirrors.conf\"",
	  .help = "The file that lists the mirrors: the same that dnsd reads." },
	{ "regions", CONF_PATH, POOL(regions_file), .example = "\"regions.conf\"", .shown = true,
	  .help = "The file of regions and neighbours, for the map and the list of countries." },
	{ "state-directory", CONF_PATH, MONITOR(state_dir), .example = "\"/var/lib/mirrormon\"",
	  .help = "Where the history and the standing of each mirror are kept over a restart; without one "
	          "nothing is." },
	{ "feed", CONF_PATH, MONITOR(feed), .example = "\"/var/lib/mirrormon/exclusions.json\"",
	  .help = "The exclusion feed to write, for dnsd; without one none is written." },
	{ "feed-key", CONF_PATH, MONITOR(feed_key), .example = "\"monitor.key\"",
	  .help = "A secret key of minisign without a password, to sign the feed with; without one it is not "
	          "signed." },
	{ "feed-valid", CONF_DURATION_S, MONITOR(feed_valid_s), .fallback = "1d", .min = SECOND,
	  .max = 365 * DAY, .example = "\"1d\"",
	  .help = "For so long a feed counts without another; dnsd tells of an older one." },
	{ "feed-interval", CONF_DURATION_MS, MONITOR(feed_interval_ms), .fallback = "1m", .min = MOMENT,
	  .max = DAY, .example = "\"1m\"",
	  .help = "The feed is written when something changes, and at least so often." },
	{ "geo", CONF_PATH, MONITOR(geo), .example = "\"country.mmdb\"",
	  .help = "A country database, for `mirrormon add` to compare a new mirror's country with." },
	{ "ca-file", CONF_PATH, MONITOR(ca_file), .example = "\"/etc/mirrormon/ca.pem\"",
	  .help = "Authorities whose certificates votes and references by https:// must have, in PEM; "
	          "default "
	          "those of the system." },
	{ "references-quorum", CONF_NUMBER, MONITOR(references_quorum), .min = 1, .max = CONF_REFERENCES_MAX,
	  .example = "2",
	  .help = "So many of references must be well, or nothing is decided; default more than half." },
};

static const struct conf_group monitor_group = {
	.noun = "monitor group",
	.where = "monitor: { }",
	.keys = monitor_keys,
	.keys_n = COUNT(monitor_keys),
	.placed = true,
	.finish = conf_monitor_finish_own,
};

static const struct conf_key checks_keys[] = {
	{ "interval", CONF_DURATION_MS, AT(conf_checks, interval_ms), .fallback = "1h", .min = MOMENT,
	  .max = 7 * DAY, .example = "\"1h\"", .help = "Between two checks of an address." },
	{ "retry", CONF_DURATION_MS, AT(conf_checks, retry_ms), .fallback = "5m", .min = MOMENT,
	  .max = 7 * DAY, .example = "\"5m\"",
	  .help = "The same for an address that has just failed or come back; at most interval." },
	{ "spread-percent", CONF_NUMBER, AT(conf_checks, spread_percent), .fallback = "10", .max = 50,
	  .example = "10",
	  .help = "Each wait is by chance up to so much longer or shorter, so that checks do not come in "
	          "step." },
	{ "connect-timeout", CONF_DURATION_MS, AT(conf_checks, connect_timeout_ms), .fallback = "10s",
	  .min = MOMENT, .max = HOUR, .example = "\"10s\"",
	  .help = "For a connection to stand; at most timeout." },
	{ "timeout", CONF_DURATION_MS, AT(conf_checks, timeout_ms), .fallback = "30s", .min = MOMENT,
	  .max = HOUR, .example = "\"30s\"", .help = "For one request." },
	{ "concurrency", CONF_NUMBER, AT(conf_checks, concurrency), .fallback = "256", .min = 1, .max = 10000,
	  .example = "256", .help = "Addresses checked at a time." },
	{ "port", CONF_NUMBER, AT(conf_checks, port), .fallback = "80", .min = 1, .max = UINT16_MAX,
	  .example = "80", .help = "The port of the mirrors; clients only know 80." },
	{ "databases", CONF_TEXTS, LIST(conf_checks, databases), .check = check_database,
	  .example = "[ \"main\", \"daily\", \"bytecode\" ]",
	  .help = "The databases every mirror must have, without \".cvd\", at most 8; default main, daily, "
	          "bytecode." },
	{ "patched", CONF_TEXT, AT(conf_checks, patched), .check = check_database, .fallback = "daily",
	  .may_be_empty = true, .example = "\"daily\"",
	  .help = "The one of them that has .cdiff files; \"\" is none." },
	{ "cdiffs", CONF_NUMBER, AT(conf_checks, cdiffs), .fallback = "10", .max = CONF_CDIFFS_MAX,
	  .example = "10", .help = "How many of its last patches are looked for." },
	{ "hosts", CONF_TEXTS, LIST(conf_checks, hosts), .check = check_host_pattern,
	  .example = "[ \"db.%c.clamav.net\", \"database.clamav.net\" ]",
	  .help = "Names to ask mirrors by, in turn; %c becomes the country's code; default db.%c.clamav.net "
	          "and database.clamav.net." },
	{ "deep-interval", CONF_DURATION_MS, AT(conf_checks, deep_interval_ms), .fallback = "1h",
	  .max = 7 * DAY, .example = "\"1h\"",
	  .help = "Between two whole databases, each fetched from a mirror drawn by lot, and verified; 0 is "
	          "never." },
	{ "deep-max-bytes", CONF_NUMBER, AT(conf_checks, deep_max_bytes), .fallback = "1073741824",
	  .min = 1024, .max = INT64_C(1) << 40, .example = "1073741824",
	  .help = "A larger database is given up." },
	{ "sigtool", CONF_TEXT, AT(conf_checks, sigtool), .check = check_program, .fallback = "sigtool",
	  .may_be_empty = true, .example = "\"/usr/bin/sigtool\"",
	  .help = "ClamAV's program that verifies a database; \"\" compares header and MD5 only." },
};

static const struct conf_group checks_group = {
	.noun = "checks group",
	.where = "checks: { }",
	.keys = checks_keys,
	.keys_n = COUNT(checks_keys),
	.placed = true,
	.finish = conf_monitor_finish_checks,
};

static const struct conf_key reference_keys[] = {
	{ "url", CONF_TEXT, true, AT(conf_reference, url), .check = check_reference_url,
	  .example = "\"http://db1.example.org\"",
	  .help = "http:// or https:// with a host, and a port and a path where needed." },
	{ "address", CONF_TEXT, AT(conf_reference, address), .check = check_address,
	  .example = "\"192.0.2.9\"", .help = "Connect there; default where the name of the host leads." },
};

static const struct conf_group reference_group = {
	.noun = "reference",
	.where = "references = ( { } )",
	.keys = reference_keys,
	.keys_n = COUNT(reference_keys),
	.size = sizeof(struct conf_reference),
	.placed = true,
};

static const struct conf_key decision_keys[] = {
	{ "late-after", CONF_DURATION_S, AT(conf_decision, late_after_s), .fallback = "1d", .min = SECOND,
	  .max = 365 * DAY, .example = "\"1d\"",
	  .help = "A mirror whose timestamp file is so far behind is late: the team is warned." },
	{ "old-after", CONF_DURATION_S, AT(conf_decision, old_after_s), .fallback = "2d", .min = SECOND,
	  .max = 365 * DAY, .example = "\"2d\"", .help = "And so far: old, and out; over late-after." },
	{ "unreachable-after", CONF_NUMBER, AT(conf_decision, unreachable_after), .fallback = "3", .min = 1,
	  .max = 1000, .example = "3", .help = "An address is out after so many failed checks in a row." },
	{ "slow-over", CONF_DURATION_MS, AT(conf_decision, slow_over_ms), .fallback = "10s", .max = HOUR,
	  .example = "\"10s\"", .help = "A check that takes longer is slow; 0: none is." },
	{ "slow-after", CONF_NUMBER, AT(conf_decision, slow_after), .fallback = "5", .min = 1,
	  .max = CONF_SLOW_AFTER_MAX, .example = "5",
	  .help = "So many slow ones of the last twice as many less one: slow, and out." },
	{ "return-after", CONF_NUMBER, AT(conf_decision, return_after), .fallback = "2", .min = 1,
	  .max = 1000, .example = "2", .help = "It comes back after so many good checks in a row," },
	{ "probation", CONF_DURATION_S, AT(conf_decision, probation_s), .fallback = "10m", .min = SECOND,
	  .max = 30 * DAY, .example = "\"10m\"",
	  .help = "that span so long a time; twice that for each time it was out in flap-window." },
	{ "probation-max", CONF_DURATION_S, AT(conf_decision, probation_max_s), .fallback = "1d",
	  .min = SECOND, .max = 30 * DAY, .example = "\"1d\"", .help = "But never longer than this." },
	{ "flap-window", CONF_DURATION_S, AT(conf_decision, flap_window_s), .fallback = "1d", .min = SECOND,
	  .max = 30 * DAY, .example = "\"1d\"",
	  .help = "How far back the times that it was out are counted." },
	{ "ramp", CONF_DURATION_S, AT(conf_decision, ramp_s), .fallback = "6h", .min = SECOND,
	  .max = 30 * DAY, .example = "\"6h\"",
	  .help = "Back again, its weight rises to all of it in this time," },
	{ "ramp-percent", CONF_NUMBER, AT(conf_decision, ramp_percent), .fallback = "10", .min = 1,
	  .max = 100, .example = "10", .help = "from this percentage on; 100: it has all of it at once." },
};

static const struct conf_group decision_group = {
	.noun = "decision group",
	.where = "decision: { }",
	.keys = decision_keys,
	.keys_n = COUNT(decision_keys),
	.placed = true,
	.finish = conf_monitor_finish_decision,
};

static const struct conf_key votes_keys[] = {
	{ "file", CONF_PATH, AT(conf_votes, file), .example = "\"/srv/www/vote.json\"",
	  .help = "Our vote, to be written for the other monitors; without one none is written." },
	{ "others", CONF_TEXTS, LIST(conf_votes, others), .check = check_vote,
	  .example = "[ \"https://mon2.example.org/vote.json\" ]",
	  .help = "Their votes: https:// URLs or file names; default none, we decide alone." },
	{ "valid", CONF_DURATION_S, AT(conf_votes, valid_s), .fallback = "3h", .min = SECOND, .max = 7 * DAY,
	  .example = "\"3h\"", .help = "An older vote does not count." },
	{ "quorum", CONF_NUMBER, AT(conf_votes, quorum), .min = 1, .max = CONF_VOTES_MAX + 1, .example = "2",
	  .help = "Votes needed for any change, ours among them; default more than half of all." },
};

static const struct conf_group votes_group = {
	.noun = "votes group",
	.where = "votes: { }",
	.keys = votes_keys,
	.keys_n = COUNT(votes_keys),
	.placed = true,
	.finish = conf_monitor_finish_votes,
};

static const struct conf_key announce_keys[] = {
	{ "enabled", CONF_BOOL, AT(conf_announce, enabled), .fallback = "true", .example = "true",
	  .help = "Whether the feed tells dnsd the versions of the databases." },
	{ "quorum-percent", CONF_NUMBER, AT(conf_announce, quorum_percent), .fallback = "60", .min = 1,
	  .max = 100, .example = "60",
	  .help = "A new version is announced when so many of each country's mirrors that are in have it." },
	{ "limit", CONF_DURATION_S, AT(conf_announce, limit_s), .fallback = "2h", .max = 7 * DAY,
	  .example = "\"2h\"",
	  .help = "And after this long when so many of the whole pool have it, whatever the countries; 0: "
	          "never." },
	{ "settle", CONF_DURATION_S, AT(conf_announce, settle_s), .fallback = "5m", .max = DAY,
	  .example = "\"5m\"",
	  .help = "Mirrors that lack it leave the pool so long before it is announced: the TTL of the "
	          "pool." },
	{ "interval", CONF_DURATION_MS, AT(conf_announce, interval_ms), .fallback = "30s", .min = MOMENT,
	  .max = HOUR, .example = "\"30s\"",
	  .help = "Between two looks at the mirrors while a version waits." },
};

static const struct conf_group announce_group = {
	.noun = "announce group",
	.where = "announce: { }",
	.keys = announce_keys,
	.keys_n = COUNT(announce_keys),
	.placed = true,
};

static const struct conf_key mail_keys[] = {
	{ "team", CONF_TEXT, AT(conf_mail, team), .check = check_mail, .example = "\"team@example.org\"",
	  .help = "Who is told of everything; without it no mail is sent, to admins neither." },
	{ "from", CONF_TEXT, AT(conf_mail, from), .check = check_mail, .example = "\"monitor@example.org\"",
	  .help = "The sender; default team." },
	{ "sendmail", CONF_TEXT, AT(conf_mail, sendmail), .check = check_whole_path,
	  .fallback = "/usr/sbin/sendmail", .example = "\"/usr/sbin/sendmail\"",
	  .help = "The program that sends them, called with -t." },
	{ "admin-after", CONF_NUMBER, AT(conf_mail, admin_after), .fallback = "6", .min = 1, .max = 1000,
	  .example = "6", .help = "A mirror's admin is told after so many failed checks." },
	{ "digest-over-percent", CONF_NUMBER, AT(conf_mail, digest_over_percent), .fallback = "20", .min = 1,
	  .max = 100, .example = "20",
	  .help = "When more of the pool fails at once, the team gets one mail, and admins none." },
};

static const struct conf_group mail_group = {
	.noun = "mail group",
	.where = "mail: { }",
	.keys = mail_keys,
	.keys_n = COUNT(mail_keys),
	.placed = true,
	.finish = conf_monitor_finish_mail,
};

static const struct conf_key site_keys[] = {
	{ "directory", CONF_PATH, AT(conf_site, directory), .example = "\"/srv/www/mirrors\"",
	  .help = "The folder of the status site; without one none is written." },
	{ "url", CONF_TEXT, AT(conf_site, url), .check = check_site_url,
	  .example = "\"https://mirrors.example.org\"",
	  .help = "Where it is served, for mails and badges, without a slash at its end." },
	{ "title", CONF_TEXT, AT(conf_site, title), .check = conf_check_string, .fallback = "Mirror status",
	  .example = "\"Mirror status\"", .help = "Its title." },
	{ "map", CONF_PATH, AT(conf_site, map), .example = "\"world.tsv\"",
	  .help = "The shapes of countries, for its map; without it there is none." },
	{ "interval", CONF_DURATION_MS, AT(conf_site, interval_ms), .fallback = "1m", .min = MOMENT,
	  .max = DAY, .example = "\"1m\"", .help = "At least so long between two writings of it." },
};

static const struct conf_group site_group = {
	.noun = "site group",
	.where = "site: { }",
	.keys = site_keys,
	.keys_n = COUNT(site_keys),
	.placed = true,
};

static const struct conf_key metrics_keys[] = {
	{ "listen", CONF_LISTEN, LIST(conf_monitor, metrics_listen), .port = CONF_MONITOR_PORT,
	  .example = "[ \"127.0.0.1@9154\" ]",
	  .help = "Addresses to serve /metrics on over HTTP, each with @ and a port (9154 when left out); "
	          "default none." },
};

static const struct conf_group metrics_group = {
	.noun = "metrics group",
	.where = "metrics: { }",
	.keys = metrics_keys,
	.keys_n = COUNT(metrics_keys),
};

static const struct conf_key main_keys[] = {
	{ "monitor", CONF_GROUP, true, .off = offsetof(struct monitor_document, conf.place),
	  .group = &monitor_group, .example = "{ ... }", .shown = true,
	  .help = "The monitor, its pool, and what it writes for dnsd." },
	{ "checks", CONF_GROUP, AT(conf_monitor, checks), .group = &checks_group, .example = "{ ... }",
	  .shown = true, .help = "What is asked of a mirror, and how often." },
	{ "references", CONF_GROUPS, LIST(conf_monitor, references), .group = &reference_group,
	  .example = "( { ... } )",
	  .help = "Hosts of your own that serve the databases. They show whether the monitor itself is well, "
	          "and what is the newest." },
	{ "decision", CONF_GROUP, AT(conf_monitor, decision), .group = &decision_group, .example = "{ ... }",
	  .shown = true, .help = "When a mirror is warned, out, and back." },
	{ "votes", CONF_GROUP, AT(conf_monitor, votes), .group = &votes_group, .example = "{ ... }",
	  .shown = true, .help = "Several monitors that decide together." },
	{ "announce", CONF_GROUP, AT(conf_monitor, announce), .group = &announce_group, .example = "{ ... }",
	  .shown = true, .help = "When a new version of a database goes into DNS." },
	{ "mail", CONF_GROUP, AT(conf_monitor, mail), .group = &mail_group, .example = "{ ... }",
	  .shown = true, .help = "Who is told." },
	{ "site", CONF_GROUP, AT(conf_monitor, site), .group = &site_group, .example = "{ ... }",
	  .shown = true, .help = "The status site: files for any web server." },
	{ "metrics", CONF_GROUP, .group = &metrics_group, .example = "{ ... }", .shown = true,
	  .help = "Counters and states for Prometheus." },
};

const struct conf_group conf_schema_monitor = {
	.noun = "configuration",
	.keys = main_keys,
	.keys_n = COUNT(main_keys),
	.finish = conf_monitor_finish_all,
};
