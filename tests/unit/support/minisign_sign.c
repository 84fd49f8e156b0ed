#include "tests/unit/support/minisign_sign.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void encode(const void *bytes, size_t len, char *ret_text, size_t cap)
{
	sodium_bin2base64(ret_text, cap, bytes, len, sodium_base64_VARIANT_ORIGINAL);
}

void sign_make_pair(uint8_t number, struct sign_pair *ret_pair)
{
	if (sodium_init() < 0)
		abort();
	uint8_t seed[crypto_sign_SEEDBYTES] = { number };
	uint8_t bytes[2 + sizeof(struct minisign_key)] = "Ed";
	crypto_sign_seed_keypair(ret_pair->public.key, ret_pair->secret, seed);
	memset(ret_pair->public.id, number, sizeof(ret_pair->public.id));
	memcpy(bytes + 2, &ret_pair->public, sizeof(ret_pair->public));
	encode(bytes, sizeof(bytes), ret_pair->text, sizeof(ret_pair->text));
}

size_t sign_data(const struct sign_pair *pair, const struct sign_form *form, const void *data,
                 size_t data_len, char ret_text[SIGN_TEXT_MAX])
{
	uint8_t bytes[2 + MINISIGN_ID_LEN + crypto_sign_BYTES] = { 'E', form->legacy ? 'd' : 'D' };
	uint8_t *signature = bytes + 2 + MINISIGN_ID_LEN;
	uint8_t hash[crypto_generichash_BYTES_MAX];
	uint8_t both[crypto_sign_BYTES + SIGN_TEXT_MAX];
	uint8_t global[crypto_sign_BYTES];
	char line_2[128];
	char line_4[128];
	const char *end = form->line_end;
	if (strlen(form->untrusted) + form->trusted_len + 512 > SIGN_TEXT_MAX)
		return 0;
	memcpy(bytes + 2, pair->public.id, MINISIGN_ID_LEN);
	crypto_generichash(hash, sizeof(hash), data, data_len, NULL, 0);
	crypto_sign_detached(signature, NULL, form->legacy ? data : hash,
	                     form->legacy ? data_len : sizeof(hash), pair->secret);
	memcpy(both, signature, crypto_sign_BYTES);
	memcpy(both + crypto_sign_BYTES, form->trusted, form->trusted_len);
	crypto_sign_detached(global, NULL, both, crypto_sign_BYTES + form->trusted_len, pair->secret);
	encode(bytes, sizeof(bytes), line_2, sizeof(line_2));
	encode(global, sizeof(global), line_4, sizeof(line_4));
	int len = snprintf(ret_text, SIGN_TEXT_MAX,
	                   "untrusted comment: %s%s%s%strusted comment: ", form->untrusted, end, line_2, end);
	memcpy(ret_text + len, form->trusted, form->trusted_len);
	size_t at = (size_t)len + form->trusted_len;
	return at + (size_t)snprintf(ret_text + at, SIGN_TEXT_MAX - at, "%s%s%s", end, line_4, end);
}
