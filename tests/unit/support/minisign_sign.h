/*
 * minisign_sign: signatures as minisign makes them, for tests: keys from a seed, no files.
 */
#ifndef TESTS_UNIT_SUPPORT_MINISIGN_SIGN_H
#define TESTS_UNIT_SUPPORT_MINISIGN_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zones/pool/minisign.h"

#define SIGN_KEY_TEXT_MAX 57
#define SIGN_TEXT_MAX     8192

struct sign_pair {
	struct minisign_key public;
	uint8_t secret[64];
	char text[SIGN_KEY_TEXT_MAX]; /* of the public key, as in a .pub file */
};

/** The pair of a number, always the same; so is its id. */
void sign_make_pair(uint8_t number, struct sign_pair *ret_pair);

struct sign_form {
	bool legacy;           /* sign the data, not its hash */
	const char *untrusted; /* comments without their prefixes */
	const char *trusted;   /* [trusted_len] any bytes */
	size_t trusted_len;
	const char *line_end; /* "\n" or "\r\n" */
};

/** A whole .minisig file of these bytes. Returns its length; 0 = the comments are too long for the buffer. */
size_t sign_data(const struct sign_pair *pair, const struct sign_form *form, const void *data,
                 size_t data_len, char ret_text[SIGN_TEXT_MAX]);

#endif
