/*
 * Signatures of the feed, as minisign makes them, and the two files of a signed feed.
 *
 *     secret key: "Ed" kdf[2] "B2" salt[32] opslimit[8] memlimit[8] id[8] seed[32] public[32] checksum[32]
 *
 * kdf is two zero bytes for a key without a password. The checksum is BLAKE2b-256 of "Ed", id, seed and
 * public key; minisign 0.11 leaves it zero in a key that never had a password.
 *
 * Source: jedisct1.github.io/minisign, "Secret key format" and "Signature format"; keys made by minisign
 * 0.11.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "mirrormon/publish.h"
#include "mirrormon/publish_int.h"

#define KEY_FILE_MAX 4096
#define UNTRUSTED    "untrusted comment: "
#define CHECKSUM_LEN 32

struct secret_bytes {
	uint8_t algorithm[2];
	uint8_t kdf[2];
	uint8_t checksum_algorithm[2];
	uint8_t kdf_values[48];
	uint8_t id[MINISIGN_ID_LEN];
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	uint8_t checksum[CHECKSUM_LEN];
};

/* All are arrays of bytes, so the struct is laid out as the file is. */
_Static_assert(sizeof(struct secret_bytes) == 158, "packed");
_Static_assert(sizeof(((struct feed_signer *)0)->secret) == crypto_sign_SECRETKEYBYTES, "the key of Ed25519");

static bool checksum_is_good(const struct secret_bytes *bytes)
{
	uint8_t checksum[CHECKSUM_LEN];
	crypto_generichash_state state;
	if (sodium_is_zero(bytes->checksum, sizeof(bytes->checksum)))
		return true;
	crypto_generichash_init(&state, NULL, 0, sizeof(checksum));
	crypto_generichash_update(&state, bytes->algorithm, sizeof(bytes->algorithm));
	crypto_generichash_update(&state, bytes->id, sizeof(bytes->id));
	crypto_generichash_update(&state, bytes->secret, sizeof(bytes->secret));
	crypto_generichash_final(&state, checksum, sizeof(checksum));
	return sodium_memcmp(checksum, bytes->checksum, sizeof(checksum)) == 0;
}

/* The public half follows from the other: a damaged key would sign what no server believes. */
static bool halves_fit(const struct secret_bytes *bytes)
{
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	crypto_sign_seed_keypair(public_key, secret, bytes->secret);
	bool fit = sodium_memcmp(secret, bytes->secret, sizeof(secret)) == 0;
	sodium_memzero(secret, sizeof(secret));
	return fit;
}

/* Returns NULL, or what is wrong with the bytes. */
static const char *check_secret(const struct secret_bytes *bytes)
{
	static const uint8_t no_kdf[2] = { 0, 0 };
	if (memcmp(bytes->algorithm, "Ed", 2) != 0)
		return "this is no key of minisign: its line 2 does not begin with \"RW\"";
	if (memcmp(bytes->kdf, no_kdf, sizeof(no_kdf)) != 0)
		return "it has a password, which nobody can type here; make a key without one: minisign -G "
		       "-W";
	if (memcmp(bytes->checksum_algorithm, "B2", 2) != 0)
		return "it has a checksum of an unknown kind; make a key with minisign -G -W";
	if (!checksum_is_good(bytes) || !halves_fit(bytes))
		return "it is damaged; take it from where it was made, or make a new one with minisign -G "
		       "-W";
	return NULL;
}

/* Two lines, the first a comment. Returns NULL, or what is wrong. */
static const char *parse_secret(const char *text, size_t text_len, struct secret_bytes *ret_bytes)
{
	size_t got = 0;
	if (text_len < strlen(UNTRUSTED) || memcmp(text, UNTRUSTED, strlen(UNTRUSTED)) != 0)
		return "its line 1 does not begin with \"" UNTRUSTED "\": this is no key of minisign";
	const char *line = memchr(text, '\n', text_len);
	if (!line)
		return "it has no line 2: was it cut off?";
	line++;
	size_t line_len = strcspn(line, "\r\n");
	const char *rest = line + line_len;
	if (rest[strspn(rest, "\r\n")] || rest + strspn(rest, "\r\n") != text + text_len)
		return "something follows its line 2: this is no secret key of minisign";
	/* A .pub file is the likely slip. */
	if (line_len == 56)
		return "this is the public key; name the secret one, which minisign -G wrote with -s";
	if (sodium_base642bin((unsigned char *)ret_bytes, sizeof(*ret_bytes), line, line_len, NULL, &got,
	                      NULL, sodium_base64_VARIANT_ORIGINAL) < 0 ||
	    got != sizeof(*ret_bytes))
		return "its line 2 is not the 212 characters of a secret key in base64: was it cut off?";
	return check_secret(ret_bytes);
}

int feed_signer_load(const char *path, struct diag *diag, struct feed_signer *ret_signer)
{
	char *text = NULL;
	size_t text_len = 0;
	const char *why = NULL;
	struct secret_bytes bytes;
	struct stat st;
	int rc = file_read(path, KEY_FILE_MAX, &text, &text_len, &why);
	if (rc < 0) {
		diag_error(diag, path, 0, "cannot read the secret key: %s", why);
		return rc == -ENOMEM ? rc : -EINVAL;
	}
	if (stat(path, &st) == 0 && st.st_mode & S_IRWXO)
		diag_warning(diag, path, 0, "everybody on this machine may read this secret key; chmod 600");
	if (sodium_init() < 0)
		why = "libsodium does not start";
	else
		why = parse_secret(text, text_len, &bytes);
	if (why) {
		diag_error(diag, path, 0, "%s", why);
	} else {
		memcpy(ret_signer->id, bytes.id, sizeof(ret_signer->id));
		memcpy(ret_signer->secret, bytes.secret, sizeof(ret_signer->secret));
	}
	sodium_memzero(&bytes, sizeof(bytes));
	sodium_memzero(text, text_len);
	free(text);
	return why ? -EINVAL : 0;
}

struct signature_bytes {
	uint8_t algorithm[2];
	uint8_t id[MINISIGN_ID_LEN];
	uint8_t signature[crypto_sign_BYTES];
};
_Static_assert(sizeof(struct signature_bytes) == 74, "packed");

/* Four lines; returns their length. The comment is that of minisign itself. */
static size_t sign(const struct feed_signer *signer, const char *path, const char *text, size_t text_len,
                   uint64_t now_s, char ret_file[MINISIGN_FILE_MAX])
{
	struct signature_bytes bytes = { .algorithm = { 'E', 'D' } };
	uint8_t hash[crypto_generichash_BYTES_MAX];
	uint8_t with_comment[crypto_sign_BYTES + MINISIGN_COMMENT_MAX];
	uint8_t global[crypto_sign_BYTES];
	char name[NAME_MAX + 1];
	char comment[MINISIGN_COMMENT_MAX];
	char line_2[128];
	char line_4[128];
	const char *slash = strrchr(path, '/');
	int comment_len = snprintf(comment, sizeof(comment), "timestamp:%" PRIu64 "\tfile:%s\thashed", now_s,
	                           publish_clean(slash ? slash + 1 : path, name, sizeof(name)));
	memcpy(bytes.id, signer->id, sizeof(bytes.id));
	crypto_generichash(hash, sizeof(hash), (const unsigned char *)text, text_len, NULL, 0);
	crypto_sign_detached(bytes.signature, NULL, hash, sizeof(hash), signer->secret);
	memcpy(with_comment, bytes.signature, crypto_sign_BYTES);
	memcpy(with_comment + crypto_sign_BYTES, comment, (size_t)comment_len);
	crypto_sign_detached(global, NULL, with_comment, crypto_sign_BYTES + (size_t)comment_len,
	                     signer->secret);
	sodium_bin2base64(line_2, sizeof(line_2), (const unsigned char *)&bytes, sizeof(bytes),
	                  sodium_base64_VARIANT_ORIGINAL);
	sodium_bin2base64(line_4, sizeof(line_4), global, sizeof(global), sodium_base64_VARIANT_ORIGINAL);
	return (size_t)snprintf(ret_file, MINISIGN_FILE_MAX,
	                        UNTRUSTED "signature from mirrormon\n%s\ntrusted comment: %s\n%s\n", line_2,
	                        comment, line_4);
}

/* The signature that was there before belongs to the feed that still is. */
static void put_back(const char *path, const char *old, size_t old_len, struct diag *diag)
{
	int rc = old ? file_publish(path, old, old_len) : unlink(path) < 0 ? -errno : 0;
	if (rc < 0)
		diag_error(diag, path, 0,
		           "cannot put the old signature back: %s; dnsd keeps the feed that it has",
		           strerror(-rc));
}

int feed_publish(const char *path, const struct feed_signer *signer, const char *text, size_t text_len,
                 uint64_t now_s, struct diag *diag)
{
	char signature[MINISIGN_FILE_MAX];
	char signature_path[PATH_MAX];
	char *old = NULL;
	size_t old_len = 0;
	const char *why;
	if (!signer) {
		int feed_rc = file_publish(path, text, text_len);
		if (feed_rc < 0)
			diag_error(diag, path, 0, "cannot write the feed: %s", strerror(-feed_rc));
		return feed_rc;
	}
	int path_len = snprintf(signature_path, sizeof(signature_path), "%s.minisig", path);
	if (path_len < 0 || (size_t)path_len >= sizeof(signature_path)) {
		diag_error(diag, path, 0, "cannot write the signature: %s", strerror(ENAMETOOLONG));
		return -ENAMETOOLONG;
	}
	size_t signature_len = sign(signer, path, text, text_len, now_s, signature);
	int rc = file_read(signature_path, MINISIGN_FILE_MAX, &old, &old_len, &why);
	if (rc < 0 && rc != -ENOENT) {
		diag_error(diag, signature_path, 0, "cannot read the signature there is: %s", why);
		return rc;
	}
	/* dnsd looks as soon as one is renamed: the less lies between, the rarer it sees two that do not fit.
	 */
	bool is_half;
	rc = file_publish_two(
	        &(struct file_content){ .path = signature_path, .bytes = signature, .len = signature_len },
	        &(struct file_content){ .path = path, .bytes = text, .len = text_len }, &is_half);
	if (rc < 0)
		diag_error(diag, path, 0, "cannot write the feed and its signature: %s", strerror(-rc));
	if (is_half)
		put_back(signature_path, old, old_len, diag);
	free(old);
	return rc;
}
