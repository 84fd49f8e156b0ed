/* The files of a feed: read privately, and the signature verified before anything else. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "zones/pool/feed.h"

#define BETWEEN_RENAMES_NS 20000000

struct file_bytes {
	char *text;
	size_t len;
};

/* Returns 0, -ENOMEM, or -EINVAL with ret_why: the caller frees the text. */
static int read_file(const char *path, size_t max_bytes, const char *too_large, struct file_bytes *ret_bytes,
                     const char **ret_why)
{
	int rc = file_read(path, max_bytes, &ret_bytes->text, &ret_bytes->len, ret_why);
	if (rc == -EFBIG)
		*ret_why = too_large;
	return rc == 0 || rc == -ENOMEM ? rc : -EINVAL;
}

static void refuse_unsigned(struct diag *diag, const char *path, const char *why)
{
	diag_error(diag, path, 0, "%s; the feed is refused, the last good one stays in force", why);
}

/* Which key has signed? Another key of the same id is no reason to stop. Other bytes are told when is_last.
 */
static int verify(const struct feed_source *source, const char *path, const struct file_bytes *signature,
                  const struct file_bytes *feed, bool is_last, struct diag *diag,
                  char ret_trusted_comment[MINISIGN_COMMENT_MAX + 1], struct minisign_key *ret_signer)
{
	const char *why = NULL;
	int rc = -ENOKEY;
	for (size_t i = 0; i < source->keys_n; i++) {
		const char *key_why = NULL;
		int key_rc = minisign_verify(&source->keys[i], signature->text, signature->len, feed->text,
		                             feed->len, ret_trusted_comment, &key_why);
		if (key_rc == 0) {
			*ret_signer = source->keys[i];
			return 0;
		}
		if (!why || rc == -ENOKEY) {
			why = key_why;
			rc = key_rc;
		}
	}
	if (rc == -EBADMSG && !is_last)
		return rc;
	if (rc == -ENOKEY) {
		char signer[MINISIGN_ID_TEXT_MAX];
		char text[100];
		minisign_signer_text(signature->text, signature->len, signer);
		snprintf(text, sizeof(text), "it was made with key %s, which is none of feed-key", signer);
		refuse_unsigned(diag, path, text);
	} else {
		refuse_unsigned(diag, path, why);
	}
	return rc == -EBADMSG ? rc : -EINVAL;
}

/* Read PATH.minisig and verify. The caller frees ret_signature, also on failure. */
static int check_signature(const struct feed_source *source, const struct file_bytes *feed, bool is_last,
                           struct diag *diag, char ret_trusted_comment[MINISIGN_COMMENT_MAX + 1],
                           struct minisign_key *ret_signer, struct file_bytes *ret_signature)
{
	char path[PATH_MAX];
	char text[200];
	const char *why = strerror(ENAMETOOLONG);
	int len = snprintf(path, sizeof(path), "%s.minisig", source->path);
	int rc = len < 0 || (size_t)len >= sizeof(path)
	                 ? -EINVAL
	                 : read_file(path, MINISIGN_FILE_MAX,
	                             "it is larger than 4096 bytes: this is no signature of minisign",
	                             ret_signature, &why);
	if (rc == -EINVAL) {
		snprintf(text, sizeof(text),
		         "cannot read the signature that feed-key asks for (minisign -S makes it): %s", why);
		refuse_unsigned(diag, path, text);
	}
	if (rc < 0)
		return rc;
	return verify(source, path, ret_signature, feed, is_last, diag, ret_trusted_comment, ret_signer);
}

/* From a trusted hand, but for a log: no tabs. */
static int keep_signature(struct feed *feed, char *trusted_comment, const struct minisign_key *signer,
                          const struct file_bytes *signature)
{
	for (char *c = trusted_comment; *c; c++) {
		if (*c == '\t')
			*c = ' ';
	}
	feed->signer = *signer;
	feed->trusted_comment = arena_strdup(&feed->arena, trusted_comment);
	feed->signature = arena_memdup(&feed->arena, signature->text, signature->len);
	feed->signature_len = signature->len;
	return feed->trusted_comment && feed->signature ? 0 : -ENOMEM;
}

static int load_once(const struct feed_source *source, uint64_t now_s, bool is_last, struct diag *diag,
                     struct feed **ret_feed)
{
	struct file_bytes bytes;
	struct file_bytes signature = { NULL, 0 };
	const char *why;
	char trusted_comment[MINISIGN_COMMENT_MAX + 1];
	struct minisign_key signer;
	int rc = read_file(source->path, source->max_bytes, "it is larger than feed-max-bytes", &bytes, &why);
	if (rc == -EINVAL)
		diag_error(diag, source->path, 0,
		           "cannot read the feed: %s; the last good one stays in force", why);
	if (rc < 0)
		return rc;
	if (source->keys_n)
		rc = check_signature(source, &bytes, is_last, diag, trusted_comment, &signer, &signature);
	struct feed *feed = NULL;
	if (rc == 0)
		rc = feed_parse(bytes.text, bytes.len, source->path, source->pool, now_s, diag, &feed);
	if (rc == 0 && source->keys_n)
		rc = keep_signature(feed, trusted_comment, &signer, &signature);
	free(signature.text);
	free(bytes.text);
	if (rc < 0) {
		feed_unref(feed);
		return rc;
	}
	*ret_feed = feed;
	return 0;
}

int feed_load(const struct feed_source *source, uint64_t now_s, struct diag *diag, struct feed **ret_feed)
{
	int rc = load_once(source, now_s, false, diag, ret_feed);
	if (rc == -EBADMSG) {
		/* Whoever replaces both is perhaps between the two renames, which takes him microseconds. */
		const struct timespec moment = { .tv_nsec = BETWEEN_RENAMES_NS };
		nanosleep(&moment, NULL);
		rc = load_once(source, now_s, true, diag, ret_feed);
	}
	return rc;
}

bool feed_is_by(const struct feed *feed, const struct minisign_key *keys, size_t keys_n)
{
	for (size_t i = 0; i < keys_n && feed->trusted_comment; i++) {
		if (memcmp(&feed->signer, &keys[i], sizeof(keys[i])) == 0)
			return true;
	}
	return keys_n == 0;
}
