/*
 * Keys and signatures of any bytes. The first byte says what the rest is: "k" the text of a key, "s" a
 * .minisig file, "c" and "l" a trusted comment, which is signed here in the hashed and the legacy form: such
 * a signature must verify, but for a comment that is too long or not plain, and must not verify for other
 * data.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/support/minisign_sign.h"

static const char feed[] = "serial 7\nm1.de.example unreachable\n";

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void try_key(const char *text)
{
	struct minisign_key key;
	const char *why = NULL;
	bool good = minisign_key_parse(text, &key, &why) == 0;
	require(good == (why == NULL) && (!good || strlen(text) == SIGN_KEY_TEXT_MAX - 1));
}

static bool is_good_comment(const uint8_t *comment, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((comment[i] < ' ' && comment[i] != '\t') || comment[i] == 0x7f)
			return false;
	}
	return len <= MINISIGN_COMMENT_MAX;
}

static void try_comment(const uint8_t *comment, size_t len, bool legacy)
{
	struct sign_pair pair;
	struct sign_form form = { .legacy = legacy,
		                  .untrusted = "",
		                  .trusted = (const char *)comment,
		                  .trusted_len = len,
		                  .line_end = len & 1 ? "\r\n" : "\n" };
	char text[SIGN_TEXT_MAX];
	char got[MINISIGN_COMMENT_MAX + 1];
	const char *why = NULL;
	sign_make_pair(1, &pair);
	size_t text_len = sign_data(&pair, &form, feed, sizeof(feed), text);
	if (text_len == 0)
		return;
	int rc = minisign_verify(&pair.public, text, text_len, feed, sizeof(feed), got, &why);
	require((rc == 0) == is_good_comment(comment, len) && (rc == 0) == (why == NULL));
	require(rc != 0 || (strlen(got) == len && memcmp(got, comment, len) == 0));
	require(minisign_verify(&pair.public, text, text_len, feed, sizeof(feed) - 1, got, &why) != 0);
}

/* Only the seeds are signed by this key, so what verifies has their comments. */
static void try_signature(const char *text, size_t len)
{
	struct minisign_key key;
	const char *why = NULL;
	char comment[MINISIGN_COMMENT_MAX + 1];
	char signer[MINISIGN_ID_TEXT_MAX];
	require(minisign_key_parse("RWSIXWIwsLElKNCoBDIyMoYOQloxsE/uD1zHflDcUJ7Q+DFmDeSTKipQ", &key, &why) ==
	        0);
	int rc = minisign_verify(&key, text, len, feed, sizeof(feed) - 1, comment, &why);
	require((rc == 0) == (why == NULL));
	require(rc != 0 || strcmp(comment, "timestamp:1795254117\tfile:feed.txt\thashed") == 0 ||
	        strcmp(comment, "timestamp:1795254117\tfile:feed.txt") == 0);
	minisign_signer_text(text, len, signer);
	require(rc != 0 || strcmp(signer, "2825B1B030625D88") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	/* A copy of just this size, so that a read behind its end shows. */
	char *text = malloc(size);
	require(text != NULL);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] == 'k')
		try_key(text);
	else if (data[0] == 'c' || data[0] == 'l')
		try_comment(data + 1, size - 1, data[0] == 'l');
	else if (data[0] == 's') {
		char *exact = malloc(size - 1 ? size - 1 : 1);
		require(exact != NULL);
		memcpy(exact, data + 1, size - 1);
		try_signature(exact, size - 1);
		free(exact);
	}
	free(text);
	return 0;
}
