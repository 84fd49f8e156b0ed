/*
 * publish: the feed for dnsd, and our vote for the other monitors.
 *
 *     view ──feed_format()──> JSON ──sign──> FILE.minisig, FILE: each by rename, the feed last
 *
 * The form of the feed is in docs/feed.md. A vote is the same for one monitor's own opinion:
 *
 *     { "format": 1, "kind": "vote", "pool": "clamav", "monitor": "mon1", "generated": "...",
 *       "self-ok": true,
 *       "opinions": [ { "mirror": "m1.de.example", "address": "192.0.2.1", "reason": "late",
 *                       "since": "...", "detail": "..." } ] }
 *
 * with an entry for each address that is out by its opinion; the rest is in.
 */
#ifndef TOOLS_MIRRORMON_PUBLISH_H
#define TOOLS_MIRRORMON_PUBLISH_H

#include "mirrormon/decide.h"
#include "mirrormon/model.h"
#include "zones/pool/minisign.h"

/** The feed of a view. The caller frees; NULL when out of memory. */
char *feed_format(const struct view *view, size_t *ret_len);

struct feed_signer {
	uint8_t id[MINISIGN_ID_LEN];
	uint8_t secret[64]; /* Ed25519, as libsodium has it */
};
/** Read an unencrypted minisign secret key (minisign -G -W). Returns 0 or -EINVAL with diag. */
int feed_signer_load(const char *path, struct diag *diag, struct feed_signer *ret_signer);

/** Write it: signature first when signer is not NULL, then the feed; both for all to read, mode 0644. Returns
 * 0 or negative errno with diag; the old pair is then as it was. */
int feed_publish(const char *path, const struct feed_signer *signer, const char *text, size_t text_len,
                 uint64_t now_s, struct diag *diag);

char *vote_format(const struct view *view, size_t *ret_len);

/** What another monitor says. */
struct vote_entry {
	const char *host;
	struct addr addr;
	struct opinion opinion;
};
struct vote {
	struct arena arena; /* holds everything below */
	const char *monitor;
	uint64_t generated_s;
	bool self_ok;
	struct vote_entry *entries; /* sorted by address */
	size_t entries_n;
};
#define VOTE_BYTES_MAX (4U << 20) /* of its text */
/** Refused as a whole like a feed (docs/feed.md). Returns 0, -EINVAL with diag, -ENOMEM. */
int vote_parse(const char *text, size_t text_len, const char *file, const char *pool, uint64_t now_s,
               struct diag *diag, struct vote **ret_vote);
void vote_destroy(struct vote *vote);
/** Its opinion of an address: in when it does not name it. */
struct opinion vote_find(const struct vote *vote, const struct addr *addr);

#endif
