/*
 * minisign: Ed25519 signatures in the form of the program minisign, over libsodium.
 *
 *     .pub      untrusted comment: ...             .minisig  untrusted comment: ...
 *               base64("Ed" id[8] key[32])                   base64("ED" id[8] signature[64])
 *                                                            trusted comment: ...
 *                                                            base64(signature of signature + trusted comment)
 *
 * "ED" signs BLAKE2b-512 of the data, "Ed" (minisign -l, and all before 0.10) the data itself. These two
 * letters are not signed. That does no harm here: the one who swaps them would need a feed that is the hash
 * of another, or the hash's inverse.
 *
 * Source: jedisct1.github.io/minisign, "Signature format" and "Public key format"; RFC 8032 (Ed25519), RFC
 * 7693 (BLAKE2b). Nothing here keeps a state or allocates; any thread may call.
 */
#ifndef ZONES_POOL_MINISIGN_H
#define ZONES_POOL_MINISIGN_H

#include <stddef.h>
#include <stdint.h>

#define MINISIGN_ID_LEN      8
#define MINISIGN_ID_TEXT_MAX (2 * MINISIGN_ID_LEN + 1)
#define MINISIGN_KEY_LEN     32
#define MINISIGN_COMMENT_MAX 1024 /* bytes of a comment behind its "trusted comment: " */
#define MINISIGN_FILE_MAX    4096 /* a .minisig is never larger: two comments, two signatures */

struct minisign_key {
	uint8_t id[MINISIGN_ID_LEN];
	uint8_t key[MINISIGN_KEY_LEN];
};

/**
 * Parse a public key: the second line of a .pub file, 56 characters.
 *
 * ret_why  set on failure: goes on a sentence that begins with the key, such as "has a space in it"
 * Returns  0, -EINVAL, or -EIO when libsodium can't start
 */
int minisign_key_parse(const char *text, struct minisign_key *ret_key, const char **ret_why);

/**
 * Is this text the signature of these bytes by this key, and its trusted comment too?
 *
 * sig_text             [sig_len] a whole .minisig file: four lines that end with LF or CR LF, the last one
 * also with the file data                 [data_len] what was signed ret_trusted_comment  ended with NUL,
 * without control characters but for tabs; set on success ret_why              set on failure: a clause about
 * the signature, "it was made for other bytes" Returns  0; -EINVAL: no signature in this form; -ENOKEY: by a
 * key of another id; -EBADMSG: by that id, but not of these bytes, or the trusted comment was changed; -EIO
 * when libsodium can't start
 */
int minisign_verify(const struct minisign_key *key, const char *sig_text, size_t sig_len, const void *data,
                    size_t data_len, char ret_trusted_comment[MINISIGN_COMMENT_MAX + 1],
                    const char **ret_why);

/** The id of the key that a well-formed signature names, as minisign prints it; else "?". For messages only.
 */
void minisign_signer_text(const char *sig_text, size_t sig_len, char ret_text[MINISIGN_ID_TEXT_MAX]);

#endif
