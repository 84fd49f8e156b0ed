/*
 * monitor: the configuration of mirrormon, the monitor of a pool's mirrors.
 *
 *     mirrormon.conf ──libconfig──> struct conf_monitor, and one struct conf_pool with its mirrors and
 * regions
 *
 * Same reader, same messages, same mirrors and regions files as dnsd.conf (conf.h).
 */
#ifndef DNSD_CONF_MONITOR_H
#define DNSD_CONF_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/diag.h"
#include "conf/conf.h"

#define CONF_MONITOR_NAME_LEN  127 /* of a monitor; printable ASCII */
#define CONF_DATABASES_MAX     8
#define CONF_DATABASE_NAME_LEN 39
#define CONF_HOSTS_MAX         16
#define CONF_CDIFFS_MAX        32
#define CONF_SLOW_AFTER_MAX    16 /* the last 2 * 16 - 1 checks are remembered in 32 bits */
#define CONF_VOTES_MAX         63 /* of other monitors */

/** checks: { }: what is asked of a mirror, and how often. */
struct conf_checks {
	struct conf_place place;
	uint32_t interval_ms;        /* between two checks of an address, spread out; default 1h */
	uint32_t retry_ms;           /* of one that has just failed or come back; default 5m */
	uint32_t spread_percent;     /* each wait is so much longer or shorter, by chance; default 10 */
	uint32_t connect_timeout_ms; /* default 10s */
	uint32_t timeout_ms;         /* of one request; default 30s */
	uint32_t concurrency;        /* addresses checked at a time; default 256 */
	uint16_t port;               /* default 80 */
	const char **databases;      /* "main", "daily", "bytecode": names without ".cvd" */
	size_t databases_n;
	const char *patched; /* the one of them that has .cdiff files; default "daily"; "" = none */
	uint32_t cdiffs;     /* how many of its last patches are looked for; default 10, at most 32 */
	const char **hosts;  /* Host headers to ask with in turn, %c = country; default "db.%c.clamav.net",
	                        "database.clamav.net" */
	size_t hosts_n;
	uint32_t deep_interval_ms; /* a whole database from one mirror, drawn by lot; 0 = never; default 1h */
	uint64_t deep_max_bytes;   /* default 1 GiB */
	const char *sigtool;       /* program that verifies it; default "sigtool"; "" = header and MD5 only */
};

/** references: ( { } ): hosts of our own that show whether the monitor itself is well. */
struct conf_reference {
	struct conf_place place;
	const char *url;     /* "http://HOST[:PORT]" or "https://HOST[:PORT]", with a path or not */
	const char *address; /* connect there whatever the host's name says; NULL = by its name */
};

/** decision: { }: when a mirror is warned, out, and back. */
struct conf_decision {
	struct conf_place place;
	uint32_t late_after_s;      /* its timestamp is so far behind: warned, `late`; default 1d */
	uint32_t old_after_s;       /* and out, `old`; default 2d; over late_after_s */
	uint32_t unreachable_after; /* failed checks in a row until it is out; default 3 */
	uint32_t slow_over_ms;      /* a check that takes longer is slow; 0 = none is; default 10s */
	uint32_t slow_after;        /* so many of the last 2 * slow_after - 1: out, `slow`; default 5 */
	uint32_t return_after;      /* good checks in a row until it is back; default 2 */
	uint32_t probation_s; /* and for so long good; doubled for each time it was out in flap_window_s */
	uint32_t probation_max_s; /* default 1d; probation 10m */
	uint32_t flap_window_s;   /* default 1d */
	uint32_t ramp_s;          /* back at ramp_percent of its weight, rising to all of it; default 6h */
	uint32_t ramp_percent;    /* default 10 */
};

/** votes: { }: several monitors, one decision. */
struct conf_votes {
	struct conf_place place;
	const char *file;    /* ours, written for the others; NULL = none is written */
	const char **others; /* paths or https:// URLs of theirs */
	size_t others_n;
	uint32_t valid_s; /* an older vote does not count; default 3h */
	uint32_t quorum;  /* votes needed, ours included, for any change; default: more than half of all */
};

/** announce: { }: when a new version of a database goes into DNS. */
struct conf_announce {
	struct conf_place place;
	bool enabled;            /* default true; false: versions are not in the feed */
	uint32_t quorum_percent; /* of each country's mirrors that are in; default 60 */
	uint32_t limit_s;     /* then quorum_percent of all mirrors suffice; 0 = wait for ever; default 2h */
	uint32_t settle_s;    /* with a quorum, mirrors that lack it leave so long before it is announced: the
	                         pool's    TTL, so that no cache has them then; default 5m, 0 = at once */
	uint32_t interval_ms; /* between looks at the mirrors while a version waits; default 30s */
};

/** mail: { }: who is told. */
struct conf_mail {
	struct conf_place place;
	const char *team;             /* address; NULL = no mail at all */
	const char *from;             /* default: team */
	const char *sendmail;         /* default "/usr/sbin/sendmail" */
	uint32_t admin_after;         /* failed checks until the mirror's admin hears of it; default 6 */
	uint32_t digest_over_percent; /* of the pool failing at once: one mail to the team, none to admins; 20
	                               */
};

/** site: { }: the status site. */
struct conf_site {
	struct conf_place place;
	const char *directory; /* NULL = none is written */
	const char *url;      /* where it is served, for mails and badges, without a final "/"; may be NULL */
	const char *title;    /* default "Mirror status" */
	const char *map;      /* world.tsv; NULL = no map */
	uint32_t interval_ms; /* at least between two writings; default 1m */
};

struct conf_monitor {
	struct arena arena; /* everything below lives here */

	/* monitor: { } */
	struct conf_place place;
	const char *name;          /* of this monitor, in feed and votes; default the host name */
	const char *state_dir;     /* history.db and the rest; NULL = nothing outlives a restart */
	const char *feed;          /* path; NULL = none is written */
	const char *feed_key;      /* path of a minisign secret key without password; NULL = unsigned */
	uint32_t feed_valid_s;     /* valid-until; default 1d */
	uint32_t feed_interval_ms; /* rewritten at least so often, its `verified` renewed; default 1m */
	const char *geo;           /* country database for `mirrormon add`; NULL = not looked at */
	const char *ca_file;       /* PEM: whose certificates https:// takes; NULL = the system's */

	struct conf_pool *pool; /* name, mirrors, regions: one */
	struct conf_checks checks;
	struct conf_reference *references;
	size_t references_n;
	uint32_t references_quorum; /* of them that must be well; default: more than half */
	struct conf_decision decision;
	struct conf_votes votes;
	struct conf_announce announce;
	struct conf_mail mail;
	struct conf_site site;
	struct conf_listen *metrics_listen;
	size_t metrics_listen_n;
};

/**
 * Read mirrormon.conf with the mirrors and regions files it names.
 *
 * diag      gets every mistake found
 * ret_conf  set on success; caller calls conf_monitor_destroy()
 * Returns   0, or -EINVAL (see diag), -ENOMEM
 */
int conf_monitor_load(const char *path, struct diag *diag, struct conf_monitor **ret_conf);
void conf_monitor_destroy(struct conf_monitor *conf);

/** For tests and fuzzers: bytes at hand; opens no file, so the pool is empty. */
int conf_monitor_load_text(const char *name, const char *text, size_t text_len, struct diag *diag,
                           struct conf_monitor **ret_conf);

/** Write the reference of all keys, for `mirrormon --print-defaults`. Returns 0 or negative errno. */
int conf_monitor_print_reference(int fd);

#endif
