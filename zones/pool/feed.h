/*
 * feed: the exclusion feed of a pool: which mirrors or addresses are out, and why.
 *
 *     monitor ──writes, renames──> feed file ──feed_parse()──> struct feed ──> members of each name
 *        └──── signs ────> its signature ─┘ feed_load()
 *
 * Two forms: JSON, told by a first byte of "{", and plain text for people and cron jobs, one "ADDRESS-or-HOST
 * reason [detail]" a line. docs/feed.md describes both.
 */
#ifndef ZONES_POOL_FEED_H
#define ZONES_POOL_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/diag.h"
#include "zones/pool/minisign.h"
#include "zones/pool/reason.h"

#define FEED_FORMAT 1

struct feed_exclusion {
	const char *host; /* a whole mirror; NULL = the address below alone */
	struct addr addr;
	enum reason reason;
	uint64_t since_s;   /* since 1970; 0 = not said */
	const char *detail; /* for people; NULL = none */
	unsigned place;     /* line of the plain form, or number of the entry from 1: for messages */
};

/** A returning mirror ramps up: its weight times permille / 1000, rising to all of it in ten steps. */
struct feed_weight {
	const char *host;
	uint32_t permille; /* 1..1000, from from_s on */
	uint64_t from_s;   /* since 1970; as generated when it is not said */
	uint64_t full_s;   /* full weight from then on; 0 = it stays as it is */
	unsigned place;
};

/** A database version the monitor has seen on enough mirrors. */
struct feed_version {
	const char *database; /* "daily" */
	uint32_t version;
};

struct feed {
	struct arena arena;     /* holds everything below */
	unsigned refs;          /* atomic */
	const char *pool;       /* NULL in the plain form */
	uint64_t serial;        /* plain form: from a line "serial N", else 0 = not said */
	uint64_t generated_s;   /* 0 = not said */
	uint64_t valid_until_s; /* 0 = for ever */
	const char *monitor;
	struct feed_exclusion *exclusions;
	size_t exclusions_n;
	struct feed_weight *weights;
	size_t weights_n;
	struct feed_version *versions;
	size_t versions_n;
	uint64_t versions_verified_s; /* when the versions were last verified */
	const char *text;             /* as it came, to be kept over a restart */
	size_t text_len;
	const char *signature; /* the file of it, when one was asked for */
	size_t signature_len;
	const char *trusted_comment; /* of its signature, for people; NULL = no signature was asked for */
	struct minisign_key signer;  /* whose signature that was */
};

/**
 * Parse and check a feed for form.
 *
 * Refused as a whole (-EINVAL): what is no JSON, truncated, nested deeper than 16, of an unknown format
 * number, of another pool, without a serial, generated more than 5 minutes after now_s, valid-until before
 * generated; a value of the wrong type. Ignored with a warning naming the entry: an unknown reason, an
 * unknown key, a bad address, a weight out of range.
 *
 * pool   the name this feed must carry
 * file   for messages
 * Returns 0 with ret_feed set (caller calls feed_unref()), -EINVAL (diag), -ENOMEM
 */
int feed_parse(const char *text, size_t text_len, const char *file, const char *pool, uint64_t now_s,
               struct diag *diag, struct feed **ret_feed);

/** Where a feed comes from, and who may write it. Everything is borrowed. */
struct feed_source {
	const char *path;
	const char *pool; /* the name it must carry */
	size_t max_bytes;
	const struct minisign_key
	        *keys; /* one of them must have signed it; none = no signature is looked at */
	size_t keys_n;
};

/**
 * Read a file of at most max_bytes privately, and parse it. Refused: not a regular file, no permission,
 * larger, changed while it was read. With keys, PATH.minisig beside it must be its signature by one of them,
 * which is verified before a byte of the feed is looked at.
 *
 * Returns as feed_parse(); -EBADMSG (diag) when one of the keys has signed, but other bytes: as it looks
 * between the two renames of a writer, so the next look may find a pair.
 */
int feed_load(const struct feed_source *source, uint64_t now_s, struct diag *diag, struct feed **ret_feed);

/** Would these keys let this feed in? Without keys, all are. */
bool feed_is_by(const struct feed *feed, const struct minisign_key *keys, size_t keys_n);

/** A feed starts with one reference; loads of two configurations may share it. NULL is fine. */
struct feed *feed_ref(struct feed *feed);
void feed_unref(struct feed *feed);

#endif
