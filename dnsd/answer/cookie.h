/*
 * cookie: server cookies, by which a client shows that answers reach it.
 *
 *     0         1          4           8
 *     | version | reserved | timestamp | SipHash-2-4 of client cookie, these eight bytes, client address |
 *
 * Any server of a fleet that has the secret checks them, and nobody keeps a state.
 *
 * Source: RFC 9018 section 4, RFC 7873.
 */
#ifndef DNSD_ANSWER_COOKIE_H
#define DNSD_ANSWER_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "wire/wire.h"

#define COOKIE_SECRET_LEN  16
#define COOKIE_SECRETS_MAX 3

/* RFC 9018 section 4.3: how old a cookie may be, and how far ahead of our clock. */
#define COOKIE_LIFE_S  3600
#define COOKIE_AHEAD_S 300

struct answer_cookies {
	uint8_t secrets[COOKIE_SECRETS_MAX]
	               [COOKIE_SECRET_LEN]; /* the first makes cookies, all are accepted */
	uint8_t secrets_n;                  /* at least 1 */
	bool required; /* over UDP, who sends a cookie gets BADCOOKIE until it sends a valid one of ours */
};

enum cookie_kind {
	COOKIE_CLIENT,  /* of a client alone */
	COOKIE_VALID,   /* with one of ours */
	COOKIE_EXPIRED, /* of ours, but too old or ahead of the clock */
	COOKIE_INVALID, /* not of ours, or not for this client */
};

/**
 * Check a cookie and choose the one to answer with: the same while it is valid and young, else a new one.
 *
 * peer        whose it is
 * cookie      [cookie_len] as in the option, 8 or 16 to 40 bytes
 * ret_server  what stands behind the client's own eight bytes in the answer
 * Cost        at most COOKIE_SECRETS_MAX + 1 hashes of 32 bytes; no allocation, no lock
 */
enum cookie_kind cookie_check(const struct answer_cookies *cookies, const struct sockaddr *peer,
                              const uint8_t *cookie, size_t cookie_len, uint32_t now_s,
                              uint8_t ret_server[WIRE_COOKIE_SERVER_LEN]);

#endif
