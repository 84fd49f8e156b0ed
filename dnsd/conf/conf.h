/*
 * conf: configuration files -> one struct, checked for form.
 *
 *     dnsd.conf + conf.d/[!.]*.conf ──libconfig──> struct conf (one arena, freed whole)
 *
 * This folder is the only one that sees libconfig. It knows which keys exist, their types, units, ranges and
 * defaults, and reports every mistake of a file with its line; it opens no zone, no geo database. What the
 * values mean together (does country "xx" exist, is an address used twice) is checked by whoever uses them,
 * which is why most things here keep the file and line they came from.
 *
 * The mirrors and regions files named by a pool are read here too, with the same rules.
 */
#ifndef DNSD_CONF_CONF_H
#define DNSD_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/diag.h"

/** Where a setting stands, for later messages. */
struct conf_place {
	const char *file;
	unsigned line;
};

struct conf_listen {
	struct conf_place place;
	struct sockaddr_storage addr;
};

/** geo.nets: a network whose country the operator knows better than the database. */
struct conf_net {
	struct conf_place place;
	struct prefix prefix;
	char country[3]; /* two upper-case letters */
};

/** geo.canaries: an address whose country a sane database knows. */
struct conf_canary {
	struct conf_place place;
	struct addr addr;
	char country[3]; /* two upper-case letters */
};

struct conf_geo {
	struct conf_place place;
	const char *database;      /* path; NULL = no geo database: every client is of unknown country */
	const char *database_ipv6; /* path of a second file for IPv6; NULL = one file for both */
	const char *country_path;  /* dotted path of the country code in a record; NULL = detect */
	struct conf_net *nets;
	size_t nets_n;
	struct conf_canary *canaries;
	size_t canaries_n;
	uint32_t max_drift_percent; /* a new database that moves more of the address space is refused */
	uint32_t max_age_s;         /* a database built longer ago is told; 0 = never */
};

/** The ClamAV version record of one zone; docs/config.md describes the eight fields. */
struct conf_version {
	struct conf_place place;
	const char *name;      /* relative to the zone, such as "current.cvd" */
	const char *directory; /* of .cvd files; NULL = fixed numbers below */
	const char *feed; /* name of a struct conf_pool whose feed has the numbers; never with directory */
	uint32_t main, daily, bytecode,
	        safebrowsing; /* fixed, or used where the directory has no such file */
	const char *software; /* field 0 */
	uint32_t flevel;      /* field 5 */
	bool warning;         /* field 4 */
	uint32_t ttl_s;
	uint32_t renew_s;           /* how often the source is verified and the time field renewed */
	uint32_t stale_after_s;     /* not verified for so long: told; 0 (only in tests) = never */
	uint32_t refuse_after_s;    /* and for so long: SERVFAIL; over stale_after_s, or 0 = never */
	const char *database_names; /* pattern such as "%d.cvd" for one record a database; NULL = none */
};

/** A pool used in a zone: which names it makes there. Each list holds names relative to the zone. */
struct conf_zone_pool {
	struct conf_place place;
	const char *pool;   /* name of a struct conf_pool */
	const char **world; /* every mirror of the pool, "database" */
	size_t world_n;
	const char **nearest; /* by the country of who asks, "db.local" */
	size_t nearest_n;
	const char **country; /* patterns with %c, "db.%c" */
	size_t country_n;
	const char **country_ipv6; /* AAAA only, "db.%c.ipv6" */
	size_t country_ipv6_n;
	const char **country_all; /* no max-answers, "db.%c.big" */
	size_t country_all_n;
	const char **region; /* patterns with %r, "db.%r" */
	size_t region_n;
	const char **ping; /* subtrees of usage reports, "ping" */
	size_t ping_n;
};

/** A name that tells whoever asks how it is seen. */
struct conf_whoami {
	struct conf_place place;
	const char *name;     /* relative to the zone; NULL = there is none */
	struct prefix *allow; /* none = loopback */
	size_t allow_n;
};

struct conf_zone {
	struct conf_place place;
	const char *name; /* "clamav.net", no final dot needed */
	const char *file; /* path, resolved against the folder of the file that names it */
	struct conf_zone_pool *pools;
	size_t pools_n;
	struct conf_version *versions;
	size_t versions_n;
	struct conf_whoami whoami;
};

struct conf_mirror_addr {
	struct conf_place place;
	struct addr addr;
};

/** Planned maintenance: the mirror is out from one moment to another, and again each every_s. */
struct conf_window {
	struct conf_place place;
	uint64_t from_s; /* since 1970 */
	uint64_t until_s;
	uint32_t every_s; /* 0 = once */
	const char *reason;
};

struct conf_mirror {
	struct conf_place place;
	const char *host;
	const char *country;            /* as written */
	struct conf_mirror_addr *addrs; /* both families */
	size_t addrs_n;
	int64_t weight;    /* as written, default 100; range checked by zones/pool */
	const char *admin; /* may be NULL */
	struct conf_window *windows;
	size_t windows_n;
};

struct conf_region {
	struct conf_place place;
	const char *name;
	const char **countries;
	size_t countries_n;
};

struct conf_neighbours {
	struct conf_place place;
	const char *country;
	const char **near; /* nearest first */
	size_t near_n;
};

struct conf_pool {
	struct conf_place place;
	const char *name;
	const char *mirrors_file;
	const char *regions_file; /* NULL = no regions, no neighbours */
	uint32_t ttl_s;
	uint32_t max_answers;  /* addresses in one answer */
	uint32_t min_mirrors;  /* fewer in a country: neighbours, region, world */
	const char *feed_file; /* exclusion feed, watched; NULL = every mirror is always in */
	/* public keys of minisign, as written: one must have signed the feed; none = no signature */
	const char **feed_keys;
	size_t feed_keys_n;
	uint32_t feed_max_bytes;
	uint32_t max_removal_percent; /* a feed that takes out more of the pool at once is held ... */
	uint32_t feed_hold_s;         /* ... for so long */
	uint32_t removal_window_s;    /* so far back removals are counted; less than feed_hold_s means that */
	bool borrow_ipv6; /* a name without IPv6 mirrors of its own borrows them; else its AAAA is empty */

	struct conf_mirror *mirrors; /* from mirrors_file */
	size_t mirrors_n;
	struct conf_region *regions; /* from regions_file */
	size_t regions_n;
	struct conf_neighbours *neighbours;
	size_t neighbours_n;
};

/** server: { rate-limit }: answers a second to a prefix over UDP, over all workers together. */
struct conf_rate_limit {
	struct conf_place place;
	bool enabled;
	bool log_only;
	uint32_t positive, nodata, nxdomain, referral, error; /* each 0 = no limit */
	uint32_t all;                                         /* all kinds and names together */
	uint32_t window_s;                                    /* so many seconds' worth may come at once */
	uint32_t slip;        /* each slip-th answer over the rate is sent truncated; 0 = none */
	uint32_t ipv4_prefix; /* bits */
	uint32_t ipv6_prefix;
	uint32_t table_size; /* buckets of 16 bytes, per worker */
	struct prefix *exempt;
	size_t exempt_n;
};

struct conf {
	struct arena arena; /* everything below lives here */

	/* server: { } */
	struct conf_listen *listen;
	size_t listen_n;    /* at least 1 */
	uint32_t workers;   /* 0 = one per core */
	uint16_t edns_size; /* largest UDP answer and what we advertise, default 1232 */
	uint32_t tcp_idle_ms;
	uint32_t tcp_clients_max;        /* per worker */
	uint32_t tcp_clients_per_prefix; /* per worker, of one IPv4 address or IPv6 /64; 0 = no limit */
	struct conf_listen *tls_listen;  /* for DNS over TLS; none = not served */
	size_t tls_listen_n;
	const char *tls_certificate; /* path; NULL only where tls_listen_n is 0, as the next */
	const char *tls_key;
	uint32_t stop_drain_ms;      /* SIGTERM: how long open TCP connections may finish */
	uint32_t restart_timeout_ms; /* dnsdctl restart: when a new process that does not serve is given up */
	uint32_t restart_drain_ms;   /* and how long TCP connections live on in the old one */
	uint32_t max_zone_records;   /* 0 = no limit */
	struct prefix *proxy_allow;  /* front ends that send PROXY headers */
	size_t proxy_allow_n;
	const char *id;            /* for id.server, hostname.bind; NULL = the host name, "" = not told */
	const char *version_text;  /* for version.bind; NULL = "dnsd VERSION", "" = not told */
	const char *control;       /* path of the control socket; NULL = none */
	const char *control_group; /* group that may use it; NULL = our own */
	const char *state_dir;     /* what outlives a restart; NULL = nothing does */
	uint32_t journal_max_bytes;
	uint32_t journal_files;     /* old journals that are kept */
	struct prefix *chaos_allow; /* none = everybody */
	size_t chaos_allow_n;
	struct prefix *any_allow; /* the same */
	size_t any_allow_n;
	struct conf_rate_limit rate_limit;
	const char *cookies;            /* "on", "off" or "require" */
	const char *cookie_secret_file; /* secrets that servers share; NULL = one of our own */
	const char *user;               /* to become once the sockets are bound; NULL = stay who we are */
	const char *group;              /* NULL = that of the user */
	bool keep_bind_capability;
	const char *sandbox; /* "on", "log", "off" */

	/* metrics: { } */
	struct conf_listen *metrics_listen; /* HTTP; none = no metrics */
	size_t metrics_listen_n;

	struct conf_geo geo;
	struct conf_zone *zones;
	size_t zones_n;
	struct conf_pool *pools;
	size_t pools_n;
};

/**
 * Read a configuration with all files it names (conf.d, mirrors, regions; not zones or databases).
 *
 * path      main file; conf.d is the folder of that name beside it, read in sorted order, when it exists
 * diag      gets every mistake found
 * ret_conf  set on success; caller calls conf_destroy()
 * Returns   0, or -EINVAL (see diag), -ENOMEM
 */
int conf_load(const char *path, struct diag *diag, struct conf **ret_conf);
void conf_destroy(struct conf *conf);

enum conf_text_kind { CONF_TEXT_MAIN, CONF_TEXT_MIRRORS, CONF_TEXT_REGIONS };

/**
 * For tests and fuzzers: the same reading and checking of bytes at hand. Opens no file: there is no conf.d,
 * the mirrors and regions files of pools stay unread (so their lists are empty), and @include is refused.
 * Text of a mirrors or regions file gives a configuration of one pool, with default settings, that has what
 * the text says.
 *
 * name      stands for the file in messages and before relative paths
 * text      [text_len] any bytes, no final NUL needed
 */
int conf_load_text(enum conf_text_kind kind, const char *name, const char *text, size_t text_len,
                   struct diag *diag, struct conf **ret_conf);

/** "90s", "5m", "2h", "1d", "250ms", or a plain number of seconds. Returns 0 or -EINVAL. */
int conf_parse_duration(const char *text, uint64_t *ret_ms);

/** Write the reference of all keys: name, type, default, range, one sentence; for `dnsd --print-defaults`.
 * Returns 0 or negative errno. */
int conf_print_reference(int fd);

#endif
