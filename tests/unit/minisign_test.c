/* Keys and signatures of minisign: one fixed set made by the program, the others made here and then damaged.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/support/minisign_sign.h"
#include "zones/pool/feed.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Made by minisign 0.11: -G -W, then -S and -S -l of program_data. */
static const char program_key[] = "RWSIXWIwsLElKNCoBDIyMoYOQloxsE/uD1zHflDcUJ7Q+DFmDeSTKipQ";
static const char program_data[] = "serial 7\nm1.de.example unreachable\n";
static const char program_hashed[] =
        "untrusted comment: signature from minisign secret key\n"
        "RUSIXWIwsLElKKzFCOmK5qJ/"
        "ALCKGHDIk7LBk+4FypavIFcjxUbqY0EH9MGU27rFbIiDTWQtzgcfM5HOhQfIuzWCNmNnJAkrewk=\n"
        "trusted comment: timestamp:1795254117\tfile:feed.txt\thashed\n"
        "BTNdD/SjnOd1/F3OoU1zgeCT676vc77hYLWSq3Kve/ILoRs5YW9bIQQd76CoJvrPa0Ef8bJch4lZpYFsxwgjCg==\n";
static const char program_legacy[] =
        "untrusted comment: signature from minisign secret key\n"
        "RWSIXWIwsLElKGVKnB3RjkzxMJx5yR7Me2uZhADBhKUlYQ4y+AZ5hCJaUcukR/8JcMcK/"
        "ADS97n3Tb34riw81tTAZtUinblRuAw=\n"
        "trusted comment: timestamp:1795254117\tfile:feed.txt\n"
        "wr6XbRbViBpH+pJGvprjd2/QblA9xZgURarjq6hpY6zrljEzMa6siDdnA6COS1bHlosIZLfQmHBBz8iQFPOMCQ==\n";

static const char data[] = "serial 1\n192.0.2.1 unreachable\n";
#define DATA_LEN (sizeof(data) - 1)

static void test_program(void **state)
{
	(void)state;
	struct minisign_key key;
	const char *why = NULL;
	char comment[MINISIGN_COMMENT_MAX + 1];
	assert_int_equal(minisign_key_parse(program_key, &key, &why), 0);
	assert_int_equal(minisign_verify(&key, program_hashed, strlen(program_hashed), program_data,
	                                 strlen(program_data), comment, &why),
	                 0);
	assert_string_equal(comment, "timestamp:1795254117\tfile:feed.txt\thashed");
	assert_int_equal(minisign_verify(&key, program_legacy, strlen(program_legacy), program_data,
	                                 strlen(program_data), comment, &why),
	                 0);
	assert_string_equal(comment, "timestamp:1795254117\tfile:feed.txt");
	assert_int_equal(minisign_verify(&key, program_legacy, strlen(program_legacy), program_data,
	                                 strlen(program_data) - 1, comment, &why),
	                 -EBADMSG);
	char signer[MINISIGN_ID_TEXT_MAX];
	minisign_signer_text(program_hashed, strlen(program_hashed), signer);
	assert_string_equal(signer, "2825B1B030625D88");
	minisign_signer_text(program_key, strlen(program_key), signer);
	assert_string_equal(signer, "?");
}

static const struct {
	const char *text;
	const char *why; /* part of the reason */
} bad_keys[] = {
	{ "", "56 characters" },
	{ "RWSIXWIwsLElKNCoBDIyMoYOQloxsE/uD1zHflDcUJ7Q+DFmDeSTKip", "56 characters" },
	{ "RWSIXWIwsLElKNCoBDIyMoYOQloxsE/uD1zHflDcUJ7Q+DFmDeSTKipQA", "56 characters" },
	{ "RWSIXWIwsLElKNCoBDIyMoYOQloxsE/uD1zHflDcUJ7Q+DFmDeSTKipQAAAA", "56 characters" },
	{ "RWSIXWIwsLElKNCoBDIyMoYOQloxsE_uD1zHflDcUJ7Q-DFmDeSTKipQ", "56 characters" },
	{ "RWSIXWIwsLElKNCoBDIyMoYOQloxsE/uD1zHflDcUJ7Q+DFmDeSTKipQ\n", "space or a line end" },
	{ "untrusted comment: minisign public key 2825B1B030625D88", "second line alone" },
	{ "RUSIXWIwsLElKNCoBDIyMoYOQloxsE/uD1zHflDcUJ7Q+DFmDeSTKipQ", "begin with \"RW\"" },
	/* y = 2 is on no point of the curve; y = 1 is its neutral element, under which anybody can sign. */
	{ "RWQAAAAAAAAAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "a character is wrong" },
	{ "RWQAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "a character is wrong" },
};

static void test_keys(void **state)
{
	(void)state;
	struct minisign_key key;
	const char *why = NULL;
	for (size_t i = 0; i < COUNT(bad_keys); i++) {
		why = NULL;
		int rc = minisign_key_parse(bad_keys[i].text, &key, &why);
		if (rc != -EINVAL || !strstr(why, bad_keys[i].why))
			fail_msg("%s: %d %s", bad_keys[i].text, rc, why ? why : "");
	}
	char secret[213];
	memset(secret, 'A', sizeof(secret) - 1);
	secret[sizeof(secret) - 1] = '\0';
	assert_int_equal(minisign_key_parse(secret, &key, &why), -EINVAL);
	assert_non_null(strstr(why, "secret key"));
	struct sign_pair pair;
	sign_make_pair(1, &pair);
	assert_int_equal(minisign_key_parse(pair.text, &key, &why), 0);
	assert_memory_equal(&key, &pair.public, sizeof(key));
}

static const struct sign_form usual = {
	.untrusted = "by the monitor", .trusted = "serial 1\tof today", .trusted_len = 17, .line_end = "\n"
};

static int verify(const struct sign_pair *pair, const char *text, size_t len, const char **ret_why)
{
	char comment[MINISIGN_COMMENT_MAX + 1];
	*ret_why = "";
	return minisign_verify(&pair->public, text, len, data, DATA_LEN, comment, ret_why);
}

static void test_forms(void **state)
{
	(void)state;
	struct sign_pair pair;
	sign_make_pair(1, &pair);
	for (unsigned i = 0; i < 4; i++) {
		struct sign_form form = usual;
		char text[SIGN_TEXT_MAX];
		char comment[MINISIGN_COMMENT_MAX + 1];
		const char *why = "";
		form.legacy = i & 1;
		form.line_end = i & 2 ? "\r\n" : "\n";
		size_t len = sign_data(&pair, &form, data, DATA_LEN, text);
		if (minisign_verify(&pair.public, text, len, data, DATA_LEN, comment, &why) != 0)
			fail_msg("form %u: %s", i, why);
		assert_string_equal(comment, "serial 1\tof today");
		/* The last line may end with the file. */
		assert_int_equal(verify(&pair, text, len - strlen(form.line_end), &why), 0);
		/* The other form of the same signature is one of other bytes. */
		text[strlen("untrusted comment: by the monitor") + strlen(form.line_end) + 1] =
		        form.legacy ? 'U' : 'W';
		assert_int_equal(verify(&pair, text, len, &why), -EBADMSG);
	}
}

static void test_other_bytes(void **state)
{
	(void)state;
	struct sign_pair pair;
	struct sign_pair other;
	char text[SIGN_TEXT_MAX];
	char comment[MINISIGN_COMMENT_MAX + 1] = "untouched";
	const char *why;
	sign_make_pair(1, &pair);
	sign_make_pair(2, &other);
	size_t len = sign_data(&pair, &usual, data, DATA_LEN, text);
	for (size_t bit = 0; bit < DATA_LEN * 8; bit++) {
		char changed[sizeof(data)];
		memcpy(changed, data, sizeof(data));
		changed[bit / 8] = (char)(changed[bit / 8] ^ (1 << bit % 8));
		assert_int_equal(minisign_verify(&pair.public, text, len, changed, DATA_LEN, comment, &why),
		                 -EBADMSG);
	}
	assert_non_null(strstr(why, "other bytes"));
	assert_int_equal(minisign_verify(&pair.public, text, len, data, 0, comment, &why), -EBADMSG);
	assert_int_equal(minisign_verify(&other.public, text, len, data, DATA_LEN, comment, &why), -ENOKEY);
	memcpy(other.public.id, pair.public.id, sizeof(other.public.id));
	assert_int_equal(minisign_verify(&other.public, text, len, data, DATA_LEN, comment, &why), -EBADMSG);
	assert_string_equal(comment, "untouched");
}

/* A file that is changed anywhere but in the untrusted comment is no signature any more. */
static void test_damaged(void **state)
{
	(void)state;
	struct sign_pair pair;
	char text[SIGN_TEXT_MAX];
	const char *why;
	sign_make_pair(1, &pair);
	size_t len = sign_data(&pair, &usual, data, DATA_LEN, text);
	size_t comment_from = strlen("untrusted comment: ");
	size_t comment_to = comment_from + strlen(usual.untrusted);
	for (size_t i = 0; i < len - 1; i++) {
		char kept = text[i];
		text[i] = kept == 'Q' ? 'g' : 'Q';
		bool good = verify(&pair, text, len, &why) == 0;
		if (good != (i >= comment_from && i < comment_to))
			fail_msg("byte %zu changed: %s", i, good ? "accepted" : why);
		text[i] = kept;
	}
	for (size_t cut = 0; cut < len - 1; cut++)
		assert_int_equal(verify(&pair, text, cut, &why), -EINVAL);
	assert_int_equal(verify(&pair, text, len, &why), 0);
}

static const struct {
	const char *text;
	const char *why;
} bad_texts[] = {
	{ "", "line 1" },
	{ "RUSIXWIwsLElKKzF\n", "line 1" },
	{ "untrusted comment:\nx\ny\nz\n", "line 1" },
	{ "untrusted comment: x", "no line 2" },
	{ "untrusted comment: x\nRWSIXWIwsLElKNCoBDIyMoYOQloxsE/uD1zHflDcUJ7Q+DFmDeSTKipQ\n", "line 2" },
	{ "untrusted comment: x\n"
	  "RVSIXWIwsLElKKzFCOmK5qJ/"
	  "ALCKGHDIk7LBk+4FypavIFcjxUbqY0EH9MGU27rFbIiDTWQtzgcfM5HOhQfIuzWCNmNnJAkrewk=\n",
	  "unknown algorithm" },
	{ "untrusted comment: verify with x.pub\n"
	  "RWSIXWIwsLElKGVKnB3RjkzxMJx5yR7Me2uZhADBhKUlYQ4y+AZ5hCJaUcukR/8JcMcK/"
	  "ADS97n3Tb34riw81tTAZtUinblRuAw=\n",
	  "signify" },
};

static void test_refused(void **state)
{
	(void)state;
	struct sign_pair pair;
	char text[SIGN_TEXT_MAX];
	static char long_comment[MINISIGN_COMMENT_MAX + 2];
	const char *why;
	sign_make_pair(1, &pair);
	for (size_t i = 0; i < COUNT(bad_texts); i++) {
		int rc = verify(&pair, bad_texts[i].text, strlen(bad_texts[i].text), &why);
		if (rc != -EINVAL || !strstr(why, bad_texts[i].why))
			fail_msg("%s: %d %s", bad_texts[i].text, rc, why);
	}
	size_t len = sign_data(&pair, &usual, data, DATA_LEN, text);
	memcpy(text + len, "\n", 2);
	assert_int_equal(verify(&pair, text, len + 1, &why), -EINVAL);
	assert_non_null(strstr(why, "follows"));

	memset(long_comment, 'x', sizeof(long_comment));
	struct sign_form form = usual;
	form.trusted = long_comment;
	form.trusted_len = MINISIGN_COMMENT_MAX;
	assert_int_equal(verify(&pair, text, sign_data(&pair, &form, data, DATA_LEN, text), &why), 0);
	form.trusted_len++;
	assert_int_equal(verify(&pair, text, sign_data(&pair, &form, data, DATA_LEN, text), &why), -EINVAL);
	assert_non_null(strstr(why, "longer than 1024"));
	form.trusted = "a\0b";
	form.trusted_len = 3;
	assert_int_equal(verify(&pair, text, sign_data(&pair, &form, data, DATA_LEN, text), &why), -EINVAL);
	assert_non_null(strstr(why, "control characters"));
	form.trusted = "\033[2J";
	form.trusted_len = 4;
	assert_int_equal(verify(&pair, text, sign_data(&pair, &form, data, DATA_LEN, text), &why), -EINVAL);
	form.trusted_len = 0;
	assert_int_equal(verify(&pair, text, sign_data(&pair, &form, data, DATA_LEN, text), &why), 0);
	assert_int_equal(verify(&pair, text, MINISIGN_FILE_MAX + 1, &why), -EINVAL);
	assert_non_null(strstr(why, "4096"));
}

/* --- with the feed --- */

static void write_file(const char *folder, const char *name, const char *text, size_t len)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

/* Load, and see that there is one message with this in it, or none. */
static struct feed *load(const struct feed_source *source, int want_rc, const char *message)
{
	struct diag diag;
	struct feed *feed = NULL;
	diag_init(&diag);
	int rc = feed_load(source, 1795000000, &diag, &feed);
	if (rc != want_rc || diag.errors_n != (message != NULL) ||
	    (message && !strstr(diag.messages[0].text, message)))
		fail_msg("%d instead of %d, %zu errors: %s", rc, want_rc, diag.errors_n,
		         diag.errors_n ? diag.messages[0].text : "");
	diag_fini(&diag);
	return feed;
}

static void test_feed(void **state)
{
	(void)state;
	char folder[] = "/tmp/minisign_test.XXXXXX";
	char path[64];
	char text[SIGN_TEXT_MAX];
	struct sign_pair pairs[2];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/feed", folder);
	sign_make_pair(1, &pairs[0]);
	sign_make_pair(2, &pairs[1]);
	const struct minisign_key keys[2] = { pairs[0].public, pairs[1].public };
	struct feed_source source = { .path = path, .pool = "clamav", .max_bytes = 5000 };
	write_file(folder, "feed", data, DATA_LEN);

	struct feed *feed = load(&source, 0, NULL);
	assert_null(feed->trusted_comment);
	assert_true(feed_is_by(feed, NULL, 0));
	assert_false(feed_is_by(feed, keys, 2));
	feed_unref(feed);

	source.keys = keys;
	source.keys_n = 1;
	load(&source, -EINVAL, "feed.minisig: cannot read the signature that feed-key asks for");
	write_file(folder, "feed.minisig", text, sign_data(&pairs[1], &usual, data, DATA_LEN, text));
	load(&source, -EINVAL,
	     "made with key 202020202020202, which is none of feed-key; the feed is refused");
	source.keys_n = 2;
	feed = load(&source, 0, NULL);
	assert_string_equal(feed->trusted_comment, "serial 1 of today");
	assert_true(feed_is_by(feed, keys, 2));
	assert_false(feed_is_by(feed, keys, 1));
	assert_true(feed_is_by(feed, NULL, 0));
	feed_unref(feed);

	/* Nothing of a feed is looked at before its signature: that it is no feed either is not told. */
	write_file(folder, "feed", "{", 1);
	load(&source, -EBADMSG,
	     "feed.minisig: it was made for other bytes; the feed is refused, the last good one");
	write_file(folder, "feed.minisig", text, sign_data(&pairs[0], &usual, "{", 1, text));
	load(&source, -EINVAL, "feed:1: no JSON, or cut off");
	memset(text, 'x', SIGN_TEXT_MAX);
	write_file(folder, "feed.minisig", text, MINISIGN_FILE_MAX + 1);
	load(&source, -EINVAL, "larger than 4096 bytes");

	unlink(path);
	load(&source, -EINVAL, "cannot read the feed: No such file");
	strcat(path, ".minisig");
	unlink(path);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_program), cmocka_unit_test(test_keys),
		cmocka_unit_test(test_forms),   cmocka_unit_test(test_other_bytes),
		cmocka_unit_test(test_damaged), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_feed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
