#include "zones/pool/minisign.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ALGORITHM_LEN   2
#define HASH_LEN        64
#define UNTRUSTED       "untrusted comment: "
#define TRUSTED         "trusted comment: "
#define SECRET_TEXT_LEN 212 /* the base64 line of a secret key file */

_Static_assert(MINISIGN_KEY_LEN == crypto_sign_PUBLICKEYBYTES, "the key of Ed25519");
_Static_assert(HASH_LEN == crypto_generichash_BYTES_MAX, "BLAKE2b-512");

struct public_bytes {
	uint8_t algorithm[ALGORITHM_LEN];
	uint8_t id[MINISIGN_ID_LEN];
	uint8_t key[MINISIGN_KEY_LEN];
};

struct signature_bytes {
	uint8_t algorithm[ALGORITHM_LEN];
	uint8_t id[MINISIGN_ID_LEN];
	uint8_t signature[crypto_sign_BYTES];
};

/* All are arrays of bytes, so a struct is laid out as the file is. */
_Static_assert(sizeof(struct public_bytes) == 42, "packed");
_Static_assert(sizeof(struct signature_bytes) == 74, "packed");

struct span {
	const char *text;
	size_t len;
};

struct signature {
	struct signature_bytes bytes;
	struct span trusted; /* without "trusted comment: " */
	uint8_t global[crypto_sign_BYTES];
};

/* sodium_init() may be called again and from several threads at once; whoever comes second waits for the
 * first. */
static int start_sodium(const char **ret_why)
{
	if (sodium_init() >= 0)
		return 0;
	*ret_why = "cannot be checked: libsodium does not start";
	return -EIO;
}

static bool decode(struct span text, void *ret_bytes, size_t bytes_len)
{
	size_t got;
	return sodium_base642bin(ret_bytes, bytes_len, text.text, text.len, NULL, &got, NULL,
	                         sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       got == bytes_len;
}

int minisign_key_parse(const char *text, struct minisign_key *ret_key, const char **ret_why)
{
	struct public_bytes bytes;
	struct span span = { text, strlen(text) };
	int rc = start_sodium(ret_why);
	if (rc < 0)
		return rc;
	rc = -EINVAL;
	if (strstr(text, "comment:"))
		*ret_why = "holds the comment of a .pub file; write its second line alone";
	else if (span.len == SECRET_TEXT_LEN)
		*ret_why =
		        "is a secret key, which belongs on no server; write the second line of the .pub file";
	else if (strpbrk(text, " \t\r\n"))
		*ret_why = "has a space or a line end in it; write the second line of the .pub file alone";
	else if (!decode(span, &bytes, sizeof(bytes)))
		*ret_why = "is not the 56 characters of a public key in base64; write the second line of the "
		           ".pub file";
	else if (memcmp(bytes.algorithm, "Ed", ALGORITHM_LEN) != 0)
		*ret_why = "is no key of minisign, they begin with \"RW\"; write the second line of the .pub "
		           "file";
	else if (!crypto_core_ed25519_is_valid_point(bytes.key))
		*ret_why =
		        "is no key of Ed25519: a character is wrong; copy the second line of the .pub file";
	else
		rc = 0;
	if (rc == 0) {
		memcpy(ret_key->id, bytes.id, sizeof(ret_key->id));
		memcpy(ret_key->key, bytes.key, sizeof(ret_key->key));
	}
	return rc;
}

/* The next line without its end, LF or CR LF; false behind the last. */
static bool next_line(struct span *rest, struct span *ret_line)
{
	if (rest->len == 0)
		return false;
	const char *newline = memchr(rest->text, '\n', rest->len);
	size_t len = newline ? (size_t)(newline - rest->text) : rest->len;
	size_t used = newline ? len + 1 : len;
	*ret_line = (struct span){ rest->text, len };
	if (len && rest->text[len - 1] == '\r')
		ret_line->len--;
	rest->text += used;
	rest->len -= used;
	return true;
}

static bool take_prefix(struct span *line, const char *prefix)
{
	size_t len = strlen(prefix);
	if (line->len < len || memcmp(line->text, prefix, len) != 0)
		return false;
	line->text += len;
	line->len -= len;
	return true;
}

/* minisign's own comments have tabs; everything else below a space could only mislead whoever reads the log.
 */
static bool is_plain(struct span comment)
{
	for (size_t i = 0; i < comment.len; i++) {
		unsigned char c = (unsigned char)comment.text[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* Returns NULL, or what is wrong. */
static const char *parse_signature(const char *text, size_t text_len, struct signature *ret)
{
	struct span rest = { text, text_len };
	struct span untrusted;
	struct span line;
	if (text_len > MINISIGN_FILE_MAX)
		return "it is larger than 4096 bytes: this is no signature of minisign";
	if (!next_line(&rest, &untrusted) || !take_prefix(&untrusted, UNTRUSTED))
		return "its line 1 does not begin with \"" UNTRUSTED "\": this is no signature of minisign";
	if (!next_line(&rest, &line))
		return "it has no line 2: was it cut off?";
	if (!decode(line, &ret->bytes, sizeof(ret->bytes)))
		return "its line 2 is not the 100 characters of a signature in base64: was it cut off?";
	if (memcmp(ret->bytes.algorithm, "Ed", ALGORITHM_LEN) != 0 &&
	    memcmp(ret->bytes.algorithm, "ED", ALGORITHM_LEN) != 0)
		return "its line 2 is of an unknown algorithm; sign with minisign -S";
	if (!next_line(&rest, &ret->trusted) || !take_prefix(&ret->trusted, TRUSTED))
		return "its line 3 does not begin with \"" TRUSTED
		       "\": was it cut off, or made by signify? Sign with minisign -S";
	if (!next_line(&rest, &line) || !decode(line, ret->global, sizeof(ret->global)))
		return "its line 4 is not the 88 characters of a signature in base64: was it cut off?";
	if (rest.len)
		return "something follows its line 4; a signature has four lines";
	if (untrusted.len > MINISIGN_COMMENT_MAX || ret->trusted.len > MINISIGN_COMMENT_MAX)
		return "a comment of it is longer than 1024 bytes; sign with shorter ones (minisign -c, -t)";
	if (!is_plain(untrusted) || !is_plain(ret->trusted))
		return "a comment of it holds control characters; sign with plain ones (minisign -c, -t)";
	return NULL;
}

static bool is_of_data(const struct minisign_key *key, const struct signature_bytes *bytes, const void *data,
                       size_t data_len)
{
	if (bytes->algorithm[1] == 'd')
		return crypto_sign_verify_detached(bytes->signature, data, data_len, key->key) == 0;
	uint8_t hash[HASH_LEN];
	return crypto_generichash(hash, sizeof(hash), data, data_len, NULL, 0) == 0 &&
	       crypto_sign_verify_detached(bytes->signature, hash, sizeof(hash), key->key) == 0;
}

static bool is_of_comment(const struct minisign_key *key, const struct signature *signature)
{
	uint8_t signed_bytes[crypto_sign_BYTES + MINISIGN_COMMENT_MAX];
	memcpy(signed_bytes, signature->bytes.signature, crypto_sign_BYTES);
	memcpy(signed_bytes + crypto_sign_BYTES, signature->trusted.text, signature->trusted.len);
	return crypto_sign_verify_detached(signature->global, signed_bytes,
	                                   crypto_sign_BYTES + signature->trusted.len, key->key) == 0;
}

int minisign_verify(const struct minisign_key *key, const char *sig_text, size_t sig_len, const void *data,
                    size_t data_len, char ret_trusted_comment[MINISIGN_COMMENT_MAX + 1], const char **ret_why)
{
	struct signature signature;
	const char *why = parse_signature(sig_text, sig_len, &signature);
	if (why) {
		*ret_why = why;
		return -EINVAL;
	}
	if (memcmp(signature.bytes.id, key->id, sizeof(key->id)) != 0) {
		*ret_why = "it was made with another key";
		return -ENOKEY;
	}
	int rc = start_sodium(ret_why);
	if (rc < 0)
		return rc;
	if (!is_of_data(key, &signature.bytes, data, data_len)) {
		*ret_why = "it was made for other bytes";
		return -EBADMSG;
	}
	if (!is_of_comment(key, &signature)) {
		*ret_why = "its trusted comment was changed after it was made";
		return -EBADMSG;
	}
	memcpy(ret_trusted_comment, signature.trusted.text, signature.trusted.len);
	ret_trusted_comment[signature.trusted.len] = '\0';
	return 0;
}

void minisign_signer_text(const char *sig_text, size_t sig_len, char ret_text[MINISIGN_ID_TEXT_MAX])
{
	struct signature signature;
	if (parse_signature(sig_text, sig_len, &signature)) {
		memcpy(ret_text, "?", 2);
		return;
	}
	/* minisign prints the id as a number of little-endian bytes, without leading zeros. */
	uint64_t id = 0;
	for (size_t i = MINISIGN_ID_LEN; i-- > 0;)
		id = id << 8 | signature.bytes.id[i];
	snprintf(ret_text, MINISIGN_ID_TEXT_MAX, "%" PRIX64, id);
}
