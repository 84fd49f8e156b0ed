/* publish: a feed is signed as minisign would, by a key that is looked at; the pair of files is whole at any
 * time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mirrormon/publish.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/minisign_sign.h"
#include "zones/pool/feed.h"

#define NOW_S UINT64_C(1795000000)

static void put_secret(const char *name, const char *text)
{
	folder_put(name, text);
	assert_int_equal(chmod(folder_path(name), 0600), 0);
}

/* A secret key as minisign writes it: minisign 0.11 -G -W leaves the checksum zero, other programs do not. */
static void put_key(const char *name, const struct sign_pair *pair, bool with_checksum)
{
	uint8_t bytes[158] = { 'E', 'd', 0, 0, 'B', '2' };
	char line[256];
	char text[512];
	memcpy(bytes + 54, pair->public.id, 8);
	memcpy(bytes + 62, pair->secret, 64);
	if (with_checksum) {
		uint8_t summed[2 + 8 + 64] = { 'E', 'd' };
		memcpy(summed + 2, bytes + 54, 72);
		crypto_generichash(bytes + 126, 32, summed, sizeof(summed), NULL, 0);
	}
	sodium_bin2base64(line, sizeof(line), bytes, sizeof(bytes), sodium_base64_VARIANT_ORIGINAL);
	snprintf(text, sizeof(text), "untrusted comment: minisign encrypted secret key\n%s\n", line);
	put_secret(name, text);
}

static struct feed_signer load_key(const char *name)
{
	struct diag diag;
	struct feed_signer signer;
	diag_init(&diag);
	int rc = feed_signer_load(folder_path(name), &diag, &signer);
	if (diag.messages_n)
		fail_msg("%s", diag.messages[0].text);
	assert_int_equal(rc, 0);
	diag_fini(&diag);
	return signer;
}

/* The least that dnsd takes for a feed. */
static const char *feed_text(unsigned serial, char text[128])
{
	snprintf(text, 128, "{ \"format\": 1, \"serial\": %u, \"generated\": %u, \"excluded\": [ ] }\n",
	         serial, (unsigned)NOW_S);
	return text;
}

static void publish(const struct feed_signer *signer, const char *text, int want)
{
	struct diag diag;
	diag_init(&diag);
	assert_int_equal(feed_publish(folder_path("feed.json"), signer, text, strlen(text), NOW_S, &diag),
	                 want);
	struct stat st;
	const char *const names[] = { "feed.json", "feed.json.minisig" };
	/* Other users read them: dnsd, a web server. */
	for (size_t i = 0; i < (signer ? 2 : 1) && want == 0; i++) {
		assert_int_equal(stat(folder_path(names[i]), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0644);
	}
	assert_int_equal(diag.errors_n, want ? 1 : 0);
	diag_fini(&diag);
}

/* Does dnsd take the pair of files? */
static struct feed *load_feed(const struct minisign_key *key)
{
	struct diag diag;
	struct feed *feed = NULL;
	struct feed_source source = { .path = folder_path("feed.json"),
		                      .pool = "test",
		                      .max_bytes = 1 << 20,
		                      .keys = key,
		                      .keys_n = 1 };
	diag_init(&diag);
	int rc = feed_load(&source, NOW_S, &diag, &feed);
	if (diag.messages_n)
		fail_msg("%s", diag.messages[0].text);
	assert_int_equal(rc, 0);
	diag_fini(&diag);
	return feed;
}

static void test_signed(void **state)
{
	(void)state;
	struct sign_pair pair;
	char text[128];
	sign_make_pair(7, &pair);
	for (int with_checksum = 0; with_checksum < 2; with_checksum++) {
		put_key("key", &pair, with_checksum);
		struct feed_signer signer = load_key("key");
		assert_memory_equal(signer.id, pair.public.id, MINISIGN_ID_LEN);
		assert_memory_equal(signer.secret, pair.secret, 64);
		publish(&signer, feed_text(43 + (unsigned)with_checksum, text), 0);
		struct feed *feed = load_feed(&pair.public);
		assert_int_equal(feed->serial, 43 + with_checksum);
		assert_string_equal(feed->trusted_comment, "timestamp:1795000000 file:feed.json hashed");
		feed_unref(feed);
	}
}

static void test_unsigned(void **state)
{
	(void)state;
	publish(NULL, "{}\n", 0);
	char *text = folder_get("feed.json");
	assert_string_equal(text, "{}\n");
	free(text);
	assert_int_equal(access(folder_path("feed.json.minisig"), F_OK), -1);
}

static bool run(const char *command)
{
	return system(command) == 0;
}

/* With the real program: its key signs here, and it verifies. */
static void test_with_minisign(void **state)
{
	(void)state;
	char command[1024];
	if (!run("command -v minisign >/dev/null"))
		skip();
	snprintf(command, sizeof(command), "cd %s && minisign -G -W -p pub -s sec >/dev/null </dev/null",
	         folder_name());
	assert_true(run(command));
	assert_int_equal(chmod(folder_path("sec"), 0600), 0);
	struct feed_signer signer = load_key("sec");
	publish(&signer, "{ \"serial\": 1 }\n", 0);
	snprintf(command, sizeof(command),
	         "cd %s && minisign -V -H -p pub -m feed.json >said && grep -q timestamp:1795000000 said",
	         folder_name());
	assert_true(run(command));
	folder_put("feed.json", "{ \"serial\": 2 }\n");
	snprintf(command, sizeof(command), "cd %s && minisign -V -p pub -m feed.json >said 2>&1",
	         folder_name());
	assert_false(run(command));
}

static const char secret_start[] = "untrusted comment: minisign encrypted secret key\n";

static void check_bad_key(const char *name, const char *want)
{
	char expected[512];
	struct diag diag;
	struct feed_signer signer;
	diag_init(&diag);
	assert_int_equal(feed_signer_load(folder_path(name), &diag, &signer), -EINVAL);
	assert_int_equal(diag.errors_n, 1);
	snprintf(expected, sizeof(expected), "%s: %s", folder_path(name), want);
	assert_string_equal(diag.messages[diag.messages_n - 1].text, expected);
	diag_fini(&diag);
}

/* One byte of the key's 158, or of its text. */
static void put_damaged(size_t at, uint8_t bits)
{
	uint8_t bytes[158];
	char line[256];
	char text[512];
	char *good = folder_get("good");
	assert_int_equal(sodium_base642bin(bytes, sizeof(bytes), good + strlen(secret_start), 212, NULL, NULL,
	                                   NULL, sodium_base64_VARIANT_ORIGINAL),
	                 0);
	bytes[at] ^= bits;
	sodium_bin2base64(line, sizeof(line), bytes, sizeof(bytes), sodium_base64_VARIANT_ORIGINAL);
	snprintf(text, sizeof(text), "%s%s\n", secret_start, line);
	put_secret("bad", text);
	free(good);
}

static void test_bad_keys(void **state)
{
	(void)state;
	static const char damaged[] =
	        "it is damaged; take it from where it was made, or make a new one with minisign -G -W";
	static const char cut[] =
	        "its line 2 is not the 212 characters of a secret key in base64: was it cut off?";
	struct sign_pair pair;
	char text[512];
	sign_make_pair(9, &pair);
	check_bad_key("none", "cannot read the secret key: No such file or directory");
	put_secret("bad", "");
	check_bad_key("bad",
	              "its line 1 does not begin with \"untrusted comment: \": this is no key of minisign");
	put_secret("bad", "untrusted comment: x");
	check_bad_key("bad", "it has no line 2: was it cut off?");
	snprintf(text, sizeof(text), "untrusted comment: minisign public key\n%s\n", pair.text);
	put_secret("bad", text);
	check_bad_key("bad", "this is the public key; name the secret one, which minisign -G wrote with -s");
	put_key("good", &pair, true);
	char *good = folder_get("good");
	snprintf(text, sizeof(text), "%.*s\n", (int)strlen(good) - 5, good);
	put_secret("bad", text);
	check_bad_key("bad", cut);
	snprintf(text, sizeof(text), "%smore\n", good);
	put_secret("bad", text);
	check_bad_key("bad", "something follows its line 2: this is no secret key of minisign");
	free(good);
	put_damaged(0, 1);
	check_bad_key("bad", "this is no key of minisign: its line 2 does not begin with \"RW\"");
	put_damaged(2, 'S');
	check_bad_key("bad",
	              "it has a password, which nobody can type here; make a key without one: minisign "
	              "-G -W");
	put_damaged(4, 1);
	check_bad_key("bad", "it has a checksum of an unknown kind; make a key with minisign -G -W");
	put_damaged(54, 1);
	check_bad_key("bad", damaged);
	put_damaged(157, 1);
	check_bad_key("bad", damaged);
	/* Without a checksum, the two halves of the key still tell. */
	put_key("good", &pair, false);
	put_damaged(62, 1);
	check_bad_key("bad", damaged);
	put_damaged(100, 0x80);
	check_bad_key("bad", damaged);
}

static void test_key_for_everybody(void **state)
{
	(void)state;
	struct diag diag;
	struct feed_signer signer;
	struct sign_pair pair;
	sign_make_pair(9, &pair);
	put_key("key", &pair, false);
	assert_int_equal(chmod(folder_path("key"), 0644), 0);
	diag_init(&diag);
	assert_int_equal(feed_signer_load(folder_path("key"), &diag, &signer), 0);
	assert_int_equal(diag.messages_n, 1);
	assert_int_equal(diag.messages[0].level, DIAG_WARNING);
	assert_non_null(strstr(diag.messages[0].text, "everybody on this machine may read this secret key"));
	diag_fini(&diag);
}

/* A failure on the way leaves the pair that was there, whole. */
static void test_old_pair_stays(void **state)
{
	(void)state;
	struct sign_pair pair;
	char text[128];
	sign_make_pair(3, &pair);
	put_key("key", &pair, false);
	struct feed_signer signer = load_key("key");
	feed_text(42, text);

	/* The feed can't be written, the first time: no signature either. */
	assert_int_equal(mkdir(folder_path("feed.json.new"), 0700), 0);
	publish(&signer, text, -EISDIR);
	assert_int_equal(access(folder_path("feed.json.minisig"), F_OK), -1);
	assert_int_equal(rmdir(folder_path("feed.json.new")), 0);
	publish(&signer, text, 0);

	/* Later ones. */
	assert_int_equal(mkdir(folder_path("feed.json.new"), 0700), 0);
	publish(&signer, "{}", -EISDIR);
	assert_int_equal(mkdir(folder_path("feed.json.minisig.new"), 0700), 0);
	publish(&signer, "{}", -EISDIR);
	struct feed *feed = load_feed(&pair.public);
	assert_int_equal(feed->serial, 42);
	feed_unref(feed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_signed, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_unsigned, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_with_minisign, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_bad_keys, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_key_for_everybody, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_old_pair_stays, folder_setup, folder_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
