#include "conf/schema.h"

#include <string.h>

#include "conf/conf.h"
#include "conf/read.h"
#include "conf/schema_table.h"

#define RATE_LIMIT_EXEMPT_MAX 256 /* they are looked through one by one */

/* The reader writes the place of a list item to its first bytes. */
_Static_assert(offsetof(struct conf_net, place) == 0, "place first");
_Static_assert(offsetof(struct conf_canary, place) == 0, "place first");
_Static_assert(offsetof(struct conf_geo, place) == 0, "place first");
_Static_assert(offsetof(struct conf_zone, place) == 0, "place first");
_Static_assert(offsetof(struct conf_zone_pool, place) == 0, "place first");
_Static_assert(offsetof(struct conf_version, place) == 0, "place first");
_Static_assert(offsetof(struct conf_pool, place) == 0, "place first");
_Static_assert(offsetof(struct conf_whoami, place) == 0, "place first");
_Static_assert(offsetof(struct conf_rate_limit, place) == 0, "place first");

const char *const conf_listen_default[2] = { "0.0.0.0@53", "::@53" };

static const struct conf_key rate_limit_keys[] = {
	{ "enabled", CONF_BOOL, AT(conf_rate_limit, enabled), .fallback = "false", .example = "true",
	  .help = "Whether answers over UDP are limited at all." },
	{ "log-only", CONF_BOOL, AT(conf_rate_limit, log_only), .fallback = "false", .example = "true",
	  .help = "Count what would be held back, and send it all the same." },
	{ "positive", CONF_NUMBER, AT(conf_rate_limit, positive), .fallback = "100", .max = 1000000,
	  .example = "100",
	  .help = "Answers a second to one prefix with records of one name and type; 0 is no limit." },
	{ "nodata", CONF_NUMBER, AT(conf_rate_limit, nodata), .fallback = "100", .max = 1000000,
	  .example = "100",
	  .help = "Answers a second to one prefix that a name has no such type; 0 is no limit." },
	{ "nxdomain", CONF_NUMBER, AT(conf_rate_limit, nxdomain), .fallback = "100", .max = 1000000,
	  .example = "100",
	  .help = "Answers a second to one prefix that there is no such name, for all names together; 0 is "
	          "no limit." },
	{ "referral", CONF_NUMBER, AT(conf_rate_limit, referral), .fallback = "100", .max = 1000000,
	  .example = "100", .help = "Referrals a second to one prefix for one delegation; 0 is no limit." },
	{ "error", CONF_NUMBER, AT(conf_rate_limit, error), .fallback = "50", .max = 1000000, .example = "50",
	  .help = "Errors a second to one prefix, REFUSED among them; 0 is no limit." },
	{ "all", CONF_NUMBER, AT(conf_rate_limit, all), .fallback = "1000", .max = 1000000, .example = "1000",
	  .help = "Answers a second to one prefix, of all kinds and names together; 0 is no limit." },
	{ "window", CONF_DURATION_S, AT(conf_rate_limit, window_s), .fallback = "5s", .min = SECOND,
	  .max = MINUTE, .example = "\"5s\"",
	  .help = "So many seconds' worth of answers may be sent at once." },
	{ "slip", CONF_NUMBER, AT(conf_rate_limit, slip), .fallback = "2", .max = 10, .example = "2",
	  .help = "One of so many answers over the rate is sent truncated, so that who really asks comes "
	          "over TCP; 1 is each of them, 0 is none." },
	{ "ipv4-prefix", CONF_NUMBER, AT(conf_rate_limit, ipv4_prefix), .fallback = "24", .min = 1, .max = 32,
	  .example = "24", .help = "Bits of an IPv4 address that make a prefix." },
	{ "ipv6-prefix", CONF_NUMBER, AT(conf_rate_limit, ipv6_prefix), .fallback = "56", .min = 1,
	  .max = 128, .example = "56", .help = "Bits of an IPv6 address that make a prefix." },
	{ "exempt", CONF_PREFIXES, LIST(conf_rate_limit, exempt), .example = "[ \"192.0.2.0/24\" ]",
	  .help = "Networks that are not limited." },
	{ "table-size", CONF_NUMBER, AT(conf_rate_limit, table_size), .fallback = "65536", .min = 1024,
	  .max = 16777216, .example = "65536",
	  .help = "Prefixes, kinds and names that a worker keeps apart, at 16 bytes each; rounded up to a "
	          "power of two." },
};

static void rate_limit_finish(struct conf_reader *reader, void *item, uint64_t given)
{
	const struct conf_rate_limit *limit = item;
	(void)given;
	if (limit->exempt_n > RATE_LIMIT_EXEMPT_MAX)
		conf_reader_error(reader, limit->place,
		                  "exempt has %zu networks, the limit is %d; join them to larger ones",
		                  limit->exempt_n, RATE_LIMIT_EXEMPT_MAX);
}

static const struct conf_group rate_limit_group = {
	.noun = "rate-limit group",
	.where = "server: { rate-limit: { } }",
	.keys = rate_limit_keys,
	.keys_n = COUNT(rate_limit_keys),
	.placed = true,
	.finish = rate_limit_finish,
};
static const char *check_account(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	return *text == '-' || text[strspn(text, letters)] || strlen(text) > 32
	               ? "is no name of a user or group: up to 32 letters, digits, _ and -"
	               : NULL;
}

static const char *check_sandbox(const char *text)
{
	return strcmp(text, "on") == 0 || strcmp(text, "log") == 0 || strcmp(text, "off") == 0
	               ? NULL
	               : "is not one of \"on\", \"log\", \"off\"";
}

static const struct conf_key server_keys[] = {
	{ "listen", CONF_LISTEN, LIST(conf, listen), .port = CONF_LISTEN_PORT,
	  .example = "[ \"127.0.0.1@5300\", \"::1@5300\" ]",
	  .help = "Addresses to answer on, each with @ and a port (53 when left out); default all addresses, "
	          "port 53." },
	{ "workers", CONF_NUMBER, AT(conf, workers), .fallback = "0", .max = 256, .example = "4",
	  .help = "Worker threads; 0 starts one for each core." },
	{ "edns-size", CONF_NUMBER, AT(conf, edns_size), .fallback = "1232", .min = 512, .max = 4096,
	  .example = "1232",
	  .help = "Largest UDP answer in bytes, and the size we advertise; 1232 never needs IP fragments." },
	{ "tcp-idle", CONF_DURATION_MS, AT(conf, tcp_idle_ms), .fallback = "10s", .min = SECOND,
	  .max = 10 * MINUTE, .example = "\"10s\"",
	  .help = "A TCP connection is closed after this long without a query." },
	{ "tcp-clients", CONF_NUMBER, AT(conf, tcp_clients_max), .fallback = "1000", .min = 1, .max = 1000000,
	  .example = "1000", .help = "TCP connections a worker keeps open at a time." },
	{ "tcp-clients-per-prefix", CONF_NUMBER, AT(conf, tcp_clients_per_prefix), .fallback = "100",
	  .max = 1000000, .example = "100",
	  .help = "TCP connections a worker keeps open for one IPv4 address or one IPv6 /64; 0 is no "
	          "limit." },
	{ "tls-listen", CONF_LISTEN, LIST(conf, tls_listen), .port = CONF_TLS_PORT,
	  .example = "[ \"127.0.0.1@8530\" ]",
	  .help = "Addresses to answer on over TLS, each with @ and a port (853 when left out); default "
	          "none." },
	{ "tls-certificate", CONF_PATH, AT(conf, tls_certificate), .example = "\"/etc/dnsd/tls.crt\"",
	  .help = "The certificate for TLS in PEM, then those that lead to the root's; read anew at each "
	          "reload." },
	{ "tls-key", CONF_PATH, AT(conf, tls_key), .example = "\"/etc/dnsd/tls.key\"",
	  .help = "The certificate's private key in PEM, without a passphrase; read anew at each reload." },
	{ "stop-drain", CONF_DURATION_MS, AT(conf, stop_drain_ms), .fallback = "5s", .max = 10 * MINUTE,
	  .example = "\"5s\"",
	  .help = "How long open TCP connections may finish when the server is told to stop." },
	{ "restart-timeout", CONF_DURATION_MS, AT(conf, restart_timeout_ms), .fallback = "25s", .min = 100,
	  .max = 10 * MINUTE, .example = "\"25s\"",
	  .help = "dnsdctl restart: a new process that does not serve by then is given up." },
	{ "restart-drain", CONF_DURATION_MS, AT(conf, restart_drain_ms), .fallback = "30s",
	  .max = 10 * MINUTE, .example = "\"30s\"",
	  .help = "dnsdctl restart: how long open TCP connections live on in the old process." },
	{ "max-zone-records", CONF_NUMBER, AT(conf, max_zone_records), .fallback = "0", .max = UINT32_MAX,
	  .example = "100000", .help = "A zone file with more records is refused; 0 is no limit." },
	{ "proxy-allow", CONF_PREFIXES, LIST(conf, proxy_allow),
	  .example = "[ \"192.0.2.7\", \"2001:db8:7::/64\" ]",
	  .help = "Front ends (dnsdist, say) that put a PROXY header, version 2, before what they pass on; "
	          "from them nothing is taken without one, from others none is read." },
	{ "control", CONF_PATH, AT(conf, control), .example = "\"/run/dnsd/control.sock\"",
	  .help = "The socket that dnsdctl talks to; without one there is no control of the running "
	          "server." },
	{ "control-group", CONF_TEXT, AT(conf, control_group), .check = check_account, .example = "\"adm\"",
	  .help = "The group that may use the control socket, beside its owner." },
	{ "state-directory", CONF_PATH, AT(conf, state_dir), .example = "\"/var/lib/dnsd\"",
	  .help = "Where overrides, the journal and the last good feeds are kept over a restart." },
	{ "journal-max-bytes", CONF_NUMBER, AT(conf, journal_max_bytes), .fallback = "16777216", .min = 4096,
	  .max = 1073741824, .example = "16777216",
	  .help = "A journal of this size is set aside for a new one." },
	{ "journal-files", CONF_NUMBER, AT(conf, journal_files), .fallback = "8", .min = 1, .max = 1000,
	  .example = "8", .help = "How many journals that were set aside are kept." },
	{ "user", CONF_TEXT, AT(conf, user), .check = check_account, .example = "\"dnsd\"",
	  .help = "The user to become once the sockets are bound; default none, the server stays who it "
	          "is." },
	{ "group", CONF_TEXT, AT(conf, group), .check = check_account, .example = "\"dnsd\"",
	  .help = "The group to take with user; default that of the user." },
	{ "keep-bind-capability", CONF_BOOL, AT(conf, keep_bind_capability), .fallback = "false",
	  .example = "true",
	  .help = "Keep the right to open ports under 1024, so that a reload can add such an address." },
	{ "sandbox", CONF_TEXT, AT(conf, sandbox), .check = check_sandbox, .fallback = "on",
	  .example = "\"on\"",
	  .help = "Allow threads only the system calls they need: on, off, or log what would be refused." },
	{ "id", CONF_TEXT, AT(conf, id), .check = conf_check_string, .may_be_empty = true,
	  .example = "\"ns1.example.net\"",
	  .help = "What id.server and hostname.bind answer; default the host name, \"\" tells nothing." },
	{ "version-text", CONF_TEXT, AT(conf, version_text), .check = conf_check_string, .may_be_empty = true,
	  .example = "\"dnsd\"",
	  .help = "What version.bind answers; default the program and its version, \"\" tells nothing." },
	{ "chaos-allow", CONF_PREFIXES, LIST(conf, chaos_allow),
	  .example = "[ \"127.0.0.0/8\", \"::1/128\" ]",
	  .help = "Networks whose questions of class CH are answered; default all. Others are refused." },
	{ "any-allow", CONF_PREFIXES, LIST(conf, any_allow), .example = "[ \"127.0.0.0/8\", \"::1/128\" ]",
	  .help = "Networks that get records for ANY; default all. Others get a HINFO record (RFC 8482)." },
	{ "rate-limit", CONF_GROUP, AT(conf, rate_limit), .group = &rate_limit_group, .example = "{ ... }",
	  .shown = true, .help = "Limits on answers over UDP, against forged sources." },
	{ "cookies", CONF_TEXT, AT(conf, cookies), .check = conf_check_cookies, .fallback = "on",
	  .example = "\"require\"",
	  .help = "DNS Cookies: on, off, or require: over UDP, a client that knows cookies must have one of "
	          "ours." },
	{ "cookie-secret-file", CONF_PATH, AT(conf, cookie_secret_file), .example = "\"cookie-secrets\"",
	  .help = "Secrets of 32 hex digits, shared by all servers of the zones; read again at reload." },
};

static const struct conf_group server_group = {
	.noun = "server group",
	.where = "server: { }",
	.keys = server_keys,
	.keys_n = COUNT(server_keys),
};

static const struct conf_key metrics_keys[] = {
	{ "listen", CONF_LISTEN, LIST(conf, metrics_listen), .port = CONF_METRICS_PORT,
	  .example = "[ \"127.0.0.1@9153\" ]",
	  .help = "Addresses to serve /metrics and /healthz on over HTTP, each with @ and a port (9153 when "
	          "left out); default none." },
};

static const struct conf_group metrics_group = {
	.noun = "metrics group",
	.where = "metrics: { }",
	.keys = metrics_keys,
	.keys_n = COUNT(metrics_keys),
};

static const struct conf_key net_keys[] = {
	{ "net", CONF_PREFIX, true, AT(conf_net, prefix), .example = "\"10.0.0.0/8\"",
	  .help = "An IPv4 or IPv6 network, with no bit set past its length." },
	{ "country", CONF_COUNTRY, true, AT(conf_net, country), .example = "\"DE\"",
	  .help = "The two-letter code of the country to take it for." },
};

static const struct conf_group net_group = {
	.noun = "net",
	.where = "geo: { nets = ( { } ) }",
	.keys = net_keys,
	.keys_n = COUNT(net_keys),
	.size = sizeof(struct conf_net),
	.placed = true,
};

static const struct conf_key canary_keys[] = {
	{ "address", CONF_ADDRESS, true, AT(conf_canary, addr), .example = "\"192.0.2.1\"",
	  .help = "An IPv4 or IPv6 address whose country you know for sure." },
	{ "country", CONF_COUNTRY, true, AT(conf_canary, country), .example = "\"DE\"",
	  .help = "The two-letter code that the database must give for it." },
};

static const struct conf_group canary_group = {
	.noun = "canary",
	.where = "geo: { canaries = ( { } ) }",
	.keys = canary_keys,
	.keys_n = COUNT(canary_keys),
	.size = sizeof(struct conf_canary),
	.placed = true,
};

static const struct conf_key geo_keys[] = {
	{ "database", CONF_PATH, AT(conf_geo, database), .example = "\"country.mmdb\"",
	  .help = "The country database in MaxMind format; without one every client is of unknown country." },
	{ "database-ipv6", CONF_PATH, AT(conf_geo, database_ipv6), .example = "\"country-ipv6.mmdb\"",
	  .help = "A second database for IPv6 clients, where the first has IPv4 only." },
	{ "country-path", CONF_TEXT, AT(conf_geo, country_path), .check = conf_check_key_path,
	  .example = "\"country.iso_code\"",
	  .help = "Where the country code stands in a record of the database; found by itself in the usual "
	          "ones." },
	{ "nets", CONF_GROUPS, LIST(conf_geo, nets), .group = &net_group, .example = "( { ... } )",
	  .help = "Networks whose country you know better than the database." },
	{ "canaries", CONF_GROUPS, LIST(conf_geo, canaries), .group = &canary_group, .example = "( { ... } )",
	  .help = "Addresses whose country you know; a database that says otherwise is refused." },
	{ "max-drift", CONF_NUMBER, AT(conf_geo, max_drift_percent), .fallback = "10", .min = 1, .max = 100,
	  .example = "10",
	  .help = "A new database that moves more than this percentage of the address space to other "
	          "countries is refused." },
	{ "max-age", CONF_DURATION_S, AT(conf_geo, max_age_s), .fallback = "60d", .max = 3650 * DAY,
	  .example = "\"60d\"",
	  .help = "A warning is logged once a day when the database was built longer ago; 0 is never." },
};

static const struct conf_group geo_group = {
	.noun = "geo group",
	.where = "geo: { }",
	.keys = geo_keys,
	.keys_n = COUNT(geo_keys),
	.placed = true,
};

static void zone_pool_finish(struct conf_reader *reader, void *item, uint64_t given)
{
	const struct conf_zone_pool *use = item;
	size_t names = use->world_n + use->nearest_n + use->country_n + use->country_ipv6_n;
	names += use->country_all_n + use->region_n + use->ping_n;
	(void)given;
	if (names == 0 && reader->group_good)
		conf_reader_error(reader, use->place,
		                  "this pool makes no name in the zone; give one of world, nearest, country, "
		                  "country-ipv6, country-all, region, ping");
}

static const struct conf_key zone_pool_keys[] = {
	{ "pool", CONF_TEXT, true, AT(conf_zone_pool, pool), .check = conf_check_label,
	  .example = "\"clamav\"", .help = "The name of a pool from pools." },
	{ "world", CONF_TEXTS, LIST(conf_zone_pool, world), .check = conf_check_relative,
	  .example = "[ \"database\" ]", .shown = true,
	  .help = "Names answered with mirrors of the whole pool." },
	{ "nearest", CONF_TEXTS, LIST(conf_zone_pool, nearest), .check = conf_check_relative,
	  .example = "[ \"db.local\" ]", .shown = true,
	  .help = "Names answered with mirrors of the country of whoever asks." },
	{ "country", CONF_TEXTS, LIST(conf_zone_pool, country), .check = conf_check_country_pattern,
	  .example = "[ \"db.%c\" ]", .shown = true,
	  .help = "One name for each country, whose code stands at %c." },
	{ "country-ipv6", CONF_TEXTS, LIST(conf_zone_pool, country_ipv6), .check = conf_check_country_pattern,
	  .example = "[ \"db.%c.ipv6\" ]", .shown = true, .help = "The same with IPv6 addresses only." },
	{ "country-all", CONF_TEXTS, LIST(conf_zone_pool, country_all), .check = conf_check_country_pattern,
	  .example = "[ \"db.%c.big\" ]", .shown = true,
	  .help = "The same with every mirror of the country, past max-answers." },
	{ "region", CONF_TEXTS, LIST(conf_zone_pool, region), .check = conf_check_region_pattern,
	  .example = "[ \"db.%r\" ]", .shown = true,
	  .help = "One name for each region of the regions file, whose name stands at %r." },
	{ "ping", CONF_TEXTS, LIST(conf_zone_pool, ping), .check = conf_check_relative,
	  .example = "[ \"ping\" ]", .shown = true,
	  .help = "Names below which old clients report their use; answered and counted." },
};

static const struct conf_group zone_pool_group = {
	.noun = "pool of a zone",
	.where = "zones: ( { pools = ( { } ) } )",
	.keys = zone_pool_keys,
	.keys_n = COUNT(zone_pool_keys),
	.size = sizeof(struct conf_zone_pool),
	.placed = true,
	.finish = zone_pool_finish,
};

/* Without a folder to look into, the numbers have to stand here: an empty field stops every client. */
static void version_finish(struct conf_reader *reader, void *item, uint64_t given)
{
	static const char *const numbers[] = { "main", "daily", "bytecode" };
	const struct conf_version *version = item;
	char refuse[32];
	char stale[32];
	if (version->refuse_after_s && version->refuse_after_s <= version->stale_after_s)
		conf_reader_error(
		        reader, version->place,
		        "refuse-after is %s, but must be over stale-after, which is %s; 0 is never",
		        conf_format_duration(version->refuse_after_s * UINT64_C(1000), refuse,
		                             sizeof(refuse)),
		        conf_format_duration(version->stale_after_s * UINT64_C(1000), stale, sizeof(stale)));
	if (version->directory && version->feed)
		conf_reader_error(reader, version->place,
		                  "this version record has directory and feed; keep one of them");
	if (version->directory || version->feed)
		return;
	const struct conf_group *group = reader->group;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		int key = conf_schema_find(group, numbers[i]);
		if (key >= 0 && !(given & (UINT64_C(1) << key)))
			conf_reader_error(reader, version->place,
			                  "this version record lacks %s; write %s = %s; or name the "
			                  "directory of the .cvd files",
			                  numbers[i], numbers[i], group->keys[key].example);
	}
}

static const struct conf_key version_keys[] = {
	{ "name", CONF_TEXT, true, AT(conf_version, name), .check = conf_check_relative,
	  .example = "\"current.cvd\"", .help = "The name of the TXT record in the zone." },
	{ "directory", CONF_PATH, AT(conf_version, directory), .example = "\"/srv/cvd\"", .shown = true,
	  .help = "A folder of .cvd files whose version numbers are announced." },
	{ "feed", CONF_TEXT, AT(conf_version, feed), .check = conf_check_label, .example = "\"clamav\"",
	  .help = "A pool whose feed tells the version numbers, instead of a directory." },
	{ "main", CONF_NUMBER, AT(conf_version, main), .min = 1, .max = UINT32_MAX, .example = "62",
	  .help = "Version of main.cvd, where no directory has it." },
	{ "daily", CONF_NUMBER, AT(conf_version, daily), .min = 1, .max = UINT32_MAX, .example = "27500",
	  .help = "Version of daily.cvd, where no directory has it." },
	{ "bytecode", CONF_NUMBER, AT(conf_version, bytecode), .min = 1, .max = UINT32_MAX, .example = "335",
	  .help = "Version of bytecode.cvd, where no directory has it." },
	{ "safebrowsing", CONF_NUMBER, AT(conf_version, safebrowsing), .fallback = "49192", .min = 1,
	  .max = UINT32_MAX, .example = "49192",
	  .help = "Version of the safebrowsing database, which ended with 49192 and must still be "
	          "announced." },
	{ "software", CONF_TEXT, true, AT(conf_version, software), .check = conf_check_software,
	  .example = "\"1.4.3\"", .help = "The recommended version of the client software." },
	{ "flevel", CONF_NUMBER, AT(conf_version, flevel), .fallback = "90", .min = 1, .max = 10000,
	  .example = "90", .help = "The functionality level clients should have." },
	{ "warning", CONF_BOOL, AT(conf_version, warning), .fallback = "false", .example = "true",
	  .help = "Whether clients with older software tell their users so." },
	{ "ttl", CONF_DURATION_S, AT(conf_version, ttl_s), .fallback = "5m", .max = 7 * DAY,
	  .example = "\"5m\"", .help = "How long resolvers may keep the record." },
	{ "renew", CONF_DURATION_S, AT(conf_version, renew_s), .fallback = "5m", .min = SECOND, .max = HOUR,
	  .example = "\"5m\"",
	  .help = "How often the source is verified and the record's time renewed; clients distrust one of 3 "
	          "hours." },
	{ "stale-after", CONF_DURATION_S, AT(conf_version, stale_after_s), .fallback = "1h", .min = SECOND,
	  .max = 7 * DAY, .example = "\"1h\"",
	  .help = "A record that could not be verified for so long is told in the log." },
	{ "refuse-after", CONF_DURATION_S, AT(conf_version, refuse_after_s), .fallback = "150m",
	  .max = 7 * DAY, .example = "\"150m\"",
	  .help = "And for so long: SERVFAIL, so that resolvers ask another name server; 0 is never." },
	{ "database-names", CONF_TEXT, AT(conf_version, database_names), .check = conf_check_database_pattern,
	  .example = "\"%d.cvd\"", .help = "Also one record for each database, whose name stands at %d." },
};

static const struct conf_group version_group = {
	.noun = "version record",
	.where = "zones: ( { versions = ( { } ) } )",
	.keys = version_keys,
	.keys_n = COUNT(version_keys),
	.size = sizeof(struct conf_version),
	.placed = true,
	.finish = version_finish,
};

static const struct conf_key whoami_keys[] = {
	{ "name", CONF_TEXT, true, AT(conf_whoami, name), .check = conf_check_relative,
	  .example = "\"whoami\"",
	  .help = "The name in the zone; its TXT record says how a client is seen." },
	{ "allow", CONF_PREFIXES, LIST(conf_whoami, allow), .example = "[ \"127.0.0.0/8\", \"::1/128\" ]",
	  .help = "Networks that are answered; default loopback. Others are refused." },
};

static const struct conf_group whoami_group = {
	.noun = "whoami group",
	.where = "zones: ( { whoami: { } } )",
	.keys = whoami_keys,
	.keys_n = COUNT(whoami_keys),
	.placed = true,
};

static const struct conf_key zone_keys[] = {
	{ "name", CONF_TEXT, true, AT(conf_zone, name), .check = conf_check_zone, .example = "\"clamav.net\"",
	  .help = "The name of the zone; the final dot may be left out." },
	{ "file", CONF_PATH, true, AT(conf_zone, file), .example = "\"clamav.net.zone\"",
	  .help = "The zone file with SOA, NS and all ordinary records." },
	{ "pools", CONF_GROUPS, LIST(conf_zone, pools), .group = &zone_pool_group, .example = "( { ... } )",
	  .shown = true, .help = "Names of the zone that are answered from pools of mirrors." },
	{ "versions", CONF_GROUPS, LIST(conf_zone, versions), .group = &version_group,
	  .example = "( { ... } )", .shown = true,
	  .help = "Records that announce the versions of the ClamAV databases." },
	{ "whoami", CONF_GROUP, AT(conf_zone, whoami), .group = &whoami_group, .example = "{ ... }",
	  .help = "A name that tells a client its address, country and network as they are seen here." },
};

static const struct conf_group zone_group = {
	.noun = "zone",
	.where = "zones: ( { } )",
	.keys = zone_keys,
	.keys_n = COUNT(zone_keys),
	.size = sizeof(struct conf_zone),
	.placed = true,
};

/* Whoever writes feed-key wants signatures checked: what would silently check none is a mistake. */
static void pool_finish(struct conf_reader *reader, void *item, uint64_t given)
{
	const struct conf_pool *pool = item;
	int key = conf_schema_find(reader->group, "feed-key");
	if (key < 0 || !(given & (UINT64_C(1) << key)) || !reader->group_good)
		return;
	if (pool->feed_keys_n == 0)
		conf_reader_error(reader, pool->place,
		                  "feed-key is empty; write for example feed-key = %s; or leave it out",
		                  reader->group->keys[key].example);
	else if (!pool->feed_file)
		conf_reader_error(reader, pool->place,
		                  "feed-key without feed: name the file that is signed, or leave it out");
}

static const struct conf_key pool_keys[] = {
	{ "name", CONF_TEXT, true, AT(conf_pool, name), .check = conf_check_label, .example = "\"clamav\"",
	  .help = "What zones call it." },
	{ "mirrors", CONF_PATH, true, AT(conf_pool, mirrors_file), .example = "\"mirrors.conf\"",
	  .help = "The file that lists the mirrors." },
	{ "regions", CONF_PATH, AT(conf_pool, regions_file), .example = "\"regions.conf\"", .shown = true,
	  .help = "The file of regions and neighbours; without one, a country without mirrors is served the "
	          "world." },
	{ "ttl", CONF_DURATION_S, AT(conf_pool, ttl_s), .fallback = "5m", .min = SECOND, .max = DAY,
	  .example = "\"5m\"",
	  .help = "How long resolvers may keep an answer, and so a mirror that has gone." },
	{ "max-answers", CONF_NUMBER, AT(conf_pool, max_answers), .fallback = "8", .min = 1, .max = 255,
	  .example = "8", .help = "Most addresses in one answer." },
	{ "min-mirrors", CONF_NUMBER, AT(conf_pool, min_mirrors), .fallback = "1", .min = 1, .max = 255,
	  .example = "2",
	  .help = "A country with fewer mirrors is served its neighbours', its region's or the world's." },
	{ "feed", CONF_PATH, AT(conf_pool, feed_file), .example = "\"/var/lib/mirrormon/exclusions.json\"",
	  .help = "The exclusion feed: which mirrors are out, and why. Watched; replace it by rename." },
	{ "feed-key", CONF_TEXTS, LIST(conf_pool, feed_keys),
	  .example = "[ \"RWSIXWIwsLElKNCoBDIyMoYOQloxsE/uD1zHflDcUJ7Q+DFmDeSTKipQ\" ]",
	  .help = "Public keys of minisign: only a feed that one of them has signed is believed." },
	{ "feed-max-bytes", CONF_NUMBER, AT(conf_pool, feed_max_bytes), .fallback = "4194304", .min = 1024,
	  .max = 1073741824, .example = "4194304", .help = "A larger feed is refused." },
	{ "max-removal", CONF_NUMBER, AT(conf_pool, max_removal_percent), .fallback = "30", .min = 1,
	  .max = 100, .example = "30",
	  .help = "A feed that takes out more than this percentage of the pool is held back at "
	          "first." },
	{ "feed-hold", CONF_DURATION_S, AT(conf_pool, feed_hold_s), .fallback = "10m", .min = SECOND,
	  .max = DAY, .example = "\"10m\"",
	  .help = "How long such a feed must go on saying so before it comes into force." },
	{ "removal-window", CONF_DURATION_S, AT(conf_pool, removal_window_s), .fallback = "1d", .min = SECOND,
	  .max = 30 * DAY, .example = "\"1d\"",
	  .help = "What feeds have taken out in the time before counts as well, so that a monitor that goes "
	          "wrong slowly is noticed." },
	{ "borrow-ipv6", CONF_BOOL, AT(conf_pool, borrow_ipv6), .fallback = "false", .example = "true",
	  .help = "Whether a name without IPv6 mirrors of its own is answered with others; else it has no "
	          "AAAA." },
};

static const struct conf_group pool_group = {
	.noun = "pool",
	.where = "pools: ( { } )",
	.keys = pool_keys,
	.keys_n = COUNT(pool_keys),
	.size = sizeof(struct conf_pool),
	.placed = true,
	.finish = pool_finish,
};

const struct conf_group *const conf_schema_pool = &pool_group;

static const struct conf_key main_keys[] = {
	{ "server", CONF_GROUP, .group = &server_group, .example = "{ ... }", .shown = true,
	  .help = "The server itself." },
	{ "metrics", CONF_GROUP, .group = &metrics_group, .example = "{ ... }", .shown = true,
	  .help = "Counters and states for Prometheus." },
	{ "geo", CONF_GROUP, AT(conf, geo), .group = &geo_group, .example = "{ ... }", .shown = true,
	  .help = "How the country of a client is found." },
	{ "zones", CONF_GROUPS, LIST(conf, zones), .group = &zone_group, .example = "( { ... } )",
	  .shown = true, .help = "The zones to answer for." },
	{ "pools", CONF_GROUPS, LIST(conf, pools), .group = &pool_group, .example = "( { ... } )",
	  .shown = true, .help = "Pools of mirrors; zones say which names are answered from them." },
};

const struct conf_group conf_schema_main = {
	.noun = "configuration",
	.keys = main_keys,
	.keys_n = COUNT(main_keys),
};

int conf_schema_find(const struct conf_group *group, const char *name)
{
	for (size_t i = 0; i < group->keys_n; i++) {
		if (strcmp(group->keys[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

const struct conf_group *conf_schema_owner(const struct conf_group *root, const char *name)
{
	if (conf_schema_find(root, name) >= 0)
		return root;
	for (size_t i = 0; i < root->keys_n; i++) {
		const struct conf_group *owner =
		        root->keys[i].group ? conf_schema_owner(root->keys[i].group, name) : NULL;
		if (owner)
			return owner;
	}
	return NULL;
}

const char *conf_type_noun(enum conf_type type)
{
	switch (type) {
	case CONF_NUMBER: return "a whole number";
	case CONF_DURATION_S:
	case CONF_DURATION_MS: return "a duration";
	case CONF_BOOL: return "true or false";
	case CONF_TIME: return "a time";
	case CONF_TEXT: return "a text";
	case CONF_PATH: return "a file name";
	case CONF_COUNTRY: return "a country code";
	case CONF_PREFIX: return "a network";
	case CONF_ADDRESS: return "an address";
	case CONF_TEXTS:
	case CONF_PREFIXES: return "a text or a list of texts";
	case CONF_LISTEN:
	case CONF_ADDRESSES: return "a list of addresses";
	case CONF_GROUP: return "a group";
	case CONF_GROUPS: return "a list of groups";
	}
	return "a value";
}

bool conf_type_is_quoted(enum conf_type type)
{
	return type != CONF_NUMBER && type != CONF_BOOL && type != CONF_GROUP && type != CONF_GROUPS;
}
