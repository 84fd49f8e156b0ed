/*
 * model: the shapes that the parts of mirrormon hand to each other.
 *
 *     mirrors ──checker──> check_result ──decide──> standing ──judge, with the votes of others──> verdict
 *                               │                                                          gate ──> announced
 *                               └──> history
 *     view: all of it at one moment, a copy that is never changed ──> feed, vote, site, mail, metrics
 *
 * An address is what is checked and judged: the two families of a mirror fail apart.
 */
#ifndef TOOLS_MIRRORMON_MODEL_H
#define TOOLS_MIRRORMON_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "conf/monitor.h"
#include "zones/pool/pool.h"
#include "zones/pool/reason.h"
#include "zones/version.h"

#define MODEL_DETAIL_MAX    192 /* one line of printable ASCII, with its final NUL */
#define MODEL_DATABASES_MAX 8
#define MODEL_CDIFFS_MAX    32

/** What a mirror has of one database; by the database's number in conf_checks. Zero: not seen. */
struct seen_database {
	uint32_t version;
	uint64_t built_s;
	uint32_t cdiffs; /* bit i: there is a patch to version - i, not empty */
};

/** Things that are wrong without being a reason to take a mirror out: told on its page, and to its admin in
 * the mails of an incident. */
enum check_warning {
	CHECK_WARN_NO_304 = 1, /* If-Modified-Since with the build time of the header brings the whole file */
	CHECK_WARN_CDIFF_GAP = 2,   /* an older patch is missing */
	CHECK_WARN_HOST_HEADER = 4, /* answers to one of the names only */
};

/** Parts of a check that come after the headers of the databases. */
enum check_part {
	CHECK_PART_PATCHES = 1,
	CHECK_PART_OTHER_HOST = 2,
	CHECK_PART_UNCHANGED = 4, /* If-Modified-Since */
	CHECK_PART_WHOLE = 8,
};

/** What one check of one address came to. */
struct check_result {
	uint64_t at_s;      /* since 1970, when it ended; 0 = there was none */
	enum reason reason; /* NONE, UNREACHABLE, HTTP_ERROR, WRONG_CONTENT or REFUSED (403, 429) */
	char detail[MODEL_DETAIL_MAX]; /* what was asked, what came, what was expected; "" when all was well
	                                */
	uint64_t timestamp_s;          /* what its timestamp file says; 0 = it was not read */
	struct seen_database databases[MODEL_DATABASES_MAX];
	unsigned warnings; /* enum check_warning */
	/* Due, but not tried: a check ends with its first finding. Not kept in the history. */
	uint32_t untried_databases; /* bit i: its header */
	unsigned untried;           /* enum check_part */
	bool deep;                  /* a whole database was fetched and verified */
	bool brief;                 /* headers only, while a version waits to be announced */
	unsigned family;            /* 4 or 6: over which it was connected; 0 = it was not. Not kept either */
	uint32_t connect_us;        /* of the first request */
	uint32_t first_us;          /* its first byte */
	uint32_t total_us;          /* of all requests but the deep one */
};

/**
 * What the history of one address comes to: decide.h. Plain numbers without pointers, so that it can be
 * stored and compared whole. Zeroed: nothing is known, and it is in.
 */
struct standing {
	enum reason reason; /* why it is out; REASON_NONE = in */
	uint64_t since_s;   /* of reason, or of being in; 0 = ever */
	enum reason
	        warning; /* what is wrong though it is in, or what would be the reason next; NONE = nothing */
	uint64_t warning_since_s;
	enum reason failing;  /* of the last check, when it failed */
	uint32_t failures_n;  /* checks in a row that failed */
	uint32_t successes_n; /* checks in a row that did not */
	uint64_t failing_since_s;
	uint64_t good_since_s;
	uint64_t checked_s;            /* last check of any result */
	uint64_t timestamp_s;          /* last one read */
	uint32_t slow_bits;            /* last 32 checks, newest lowest: was it slow? */
	uint32_t outs_n;               /* times it went out in the flap window */
	uint64_t outs_s[8];            /* when, newest first */
	uint64_t returned_s;           /* when it came back last; 0 = it was never out */
	char detail[MODEL_DETAIL_MAX]; /* of the last check that failed, or of reason */
};

/** What holds for an address or a mirror after the votes. */
struct verdict {
	enum reason reason; /* REASON_NONE = in */
	uint64_t since_s;
	char detail[MODEL_DETAIL_MAX];
	uint32_t votes_out; /* monitors that say out, */
	uint32_t votes_n;   /* of so many that count */
};

/** A database's version in DNS, and the one that waits. */
struct announced {
	char name[VERSION_NAME_MAX];
	uint32_t version; /* 0 = none yet */
	uint64_t since_s;
	uint32_t candidate; /* seen, not yet on enough mirrors; 0 = none */
	uint64_t candidate_since_s;
	uint32_t ready; /* has its quorum: mirrors that lack it leave, and it is announced settle_s later; 0 =
	                   none */
	uint64_t ready_since_s;
	uint32_t have_n, of_n;              /* mirrors that have the candidate, of those that count */
	char waiting_for[MODEL_DETAIL_MAX]; /* "DE 1 of 3, FR 0 of 2"; "" */
};

struct address_view {
	struct addr addr;
	struct standing standing; /* our own */
	struct check_result last; /* at_s 0: not checked yet */
	struct verdict verdict;
	uint64_t next_check_s;
};

/** Another monitor, and whether its vote counts. */
struct monitor_view {
	char name[128];
	uint64_t generated_s;          /* 0 = never read */
	bool counts;                   /* fresh, and well by its own word */
	char detail[MODEL_DETAIL_MAX]; /* why it does not count; "" */
};

struct mirror_view {
	const char *host;
	const char *admin; /* may be NULL */
	uint16_t country;
	uint32_t weight;
	size_t number; /* in the pool */
	const struct address_view *addrs;
	size_t addrs_n;
	struct verdict
	        verdict;     /* of all of it: NONE while one address is in. OUT_OF_SYNC comes from the gate */
	enum reason warning; /* worst of its addresses' */
	uint32_t ramp_permille; /* 1000 = full weight; as ramp_from_s says */
	uint64_t ramp_from_s, ramp_full_s;
	bool in_maintenance; /* a planned window is open */
	bool probation;      /* good again, not back yet */
};

/** The configuration and the pool made of it; shared by views, so that a reload does not pull them away. */
struct settings {
	unsigned refs; /* atomic */
	struct arena arena;
	struct conf_monitor *conf;
	struct pool *pool; /* in arena */
};
/** Load a configuration whole. Returns 0, -EINVAL (diag has every mistake), -ENOMEM. */
int settings_load(const char *path, struct diag *diag, struct settings **ret_settings);
struct settings *settings_ref(struct settings *settings);
/** NULL is fine. */
void settings_unref(struct settings *settings);

/** Everything at one moment. Never changed once made; read by any thread. */
struct view {
	struct arena arena;        /* holds everything below */
	unsigned refs;             /* atomic */
	struct settings *settings; /* of conf and pool; a reference */
	const struct conf_monitor *conf;
	const struct pool *pool;
	uint64_t now_s;
	uint64_t serial; /* of the feed */
	bool self_ok;    /* else nothing was decided, and all verdicts are those from before */
	uint64_t self_since_s;
	char self_detail[MODEL_DETAIL_MAX];
	uint64_t newest_timestamp_s;       /* of the references; what mirrors are late against */
	const struct mirror_view *mirrors; /* as many as the pool has, in its order */
	size_t mirrors_n;
	const struct announced *databases; /* in the order of conf_checks */
	size_t databases_n;
	uint64_t verified_s;                 /* when the versions were last verified */
	const struct monitor_view *monitors; /* the others */
	size_t monitors_n;
};

/** Empty, with one reference; for whoever fills it. NULL when out of memory. */
struct view *view_create(struct settings *settings);
struct view *view_ref(struct view *view);
/** On any thread. NULL is fine. */
void view_unref(struct view *view);

#endif
