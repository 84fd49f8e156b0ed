#include "answer/cookie.h"

#include <sodium/crypto_shorthash_siphash24.h>

#include "base/addr.h"

_Static_assert(COOKIE_SECRET_LEN == crypto_shorthash_siphash24_KEYBYTES, "the key of SipHash-2-4");

#define VERSION  1
#define HEAD_LEN 8 /* version, reserved, timestamp */
#define HASH_LEN 8

/* What a client cookie, the head of a server cookie and a client make together. */
static uint64_t hash_cookie(const uint8_t *secret, const uint8_t *client_cookie, const uint8_t *head,
                            const struct addr *addr)
{
	uint8_t text[WIRE_COOKIE_CLIENT_LEN + HEAD_LEN + 16];
	uint8_t bytes[HASH_LEN];
	uint64_t hash;
	size_t addr_len = addr->family == 4 ? 4 : 16;
	memcpy(text, client_cookie, WIRE_COOKIE_CLIENT_LEN);
	memcpy(text + WIRE_COOKIE_CLIENT_LEN, head, HEAD_LEN);
	memcpy(text + WIRE_COOKIE_CLIENT_LEN + HEAD_LEN, addr->bytes, addr_len);
	crypto_shorthash_siphash24(bytes, text, WIRE_COOKIE_CLIENT_LEN + HEAD_LEN + addr_len, secret);
	memcpy(&hash, bytes, sizeof(hash));
	return hash;
}

/* The number of the secret that a server cookie was made with, or secrets_n. Hashes are compared as numbers,
 * so that the time it takes does not tell how much of a guess was right. */
static unsigned find_secret(const struct answer_cookies *cookies, const uint8_t *cookie,
                            const struct addr *addr)
{
	const uint8_t *server = cookie + WIRE_COOKIE_CLIENT_LEN;
	uint64_t hash;
	memcpy(&hash, server + HEAD_LEN, sizeof(hash));
	unsigned i = 0;
	while (i < cookies->secrets_n && hash_cookie(cookies->secrets[i], cookie, server, addr) != hash)
		i++;
	return i;
}

enum cookie_kind cookie_check(const struct answer_cookies *cookies, const struct sockaddr *peer,
                              const uint8_t *cookie, size_t cookie_len, uint32_t now_s,
                              uint8_t ret_server[WIRE_COOKIE_SERVER_LEN])
{
	static const uint8_t made_by_us[4] = { VERSION, 0, 0, 0 };
	const uint8_t *server = cookie + WIRE_COOKIE_CLIENT_LEN;
	struct addr addr;
	enum cookie_kind kind = cookie_len == WIRE_COOKIE_CLIENT_LEN ? COOKIE_CLIENT : COOKIE_INVALID;
	addr_from_sockaddr(peer, &addr);
	if (cookie_len == WIRE_COOKIE_CLIENT_LEN + WIRE_COOKIE_SERVER_LEN && server[0] == VERSION) {
		unsigned secret = find_secret(cookies, cookie, &addr);
		/* Serial numbers (RFC 1982): the timestamp starts again in 2106. */
		int32_t age_s = (int32_t)(now_s - wire_get32(server + 4));
		if (secret < cookies->secrets_n)
			kind = age_s > COOKIE_LIFE_S || age_s < -COOKIE_AHEAD_S ? COOKIE_EXPIRED
			                                                        : COOKIE_VALID;
		/* Younger than half its life, by the newest secret, and as we make them: it may go on. */
		if (kind == COOKIE_VALID && secret == 0 && age_s <= COOKIE_LIFE_S / 2 &&
		    memcmp(server, made_by_us, sizeof(made_by_us)) == 0) {
			memcpy(ret_server, server, WIRE_COOKIE_SERVER_LEN);
			return kind;
		}
	}
	memcpy(ret_server, made_by_us, sizeof(made_by_us));
	wire_put32(ret_server + 4, now_s);
	uint64_t hash = hash_cookie(cookies->secrets[0], cookie, ret_server, &addr);
	memcpy(ret_server + HEAD_LEN, &hash, sizeof(hash));
	return kind;
}
