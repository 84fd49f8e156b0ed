/*
 * Inside tls/: a context, as its sessions see it.
 */
#ifndef DNSD_TLS_TLS_INT_H
#define DNSD_TLS_TLS_INT_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdint.h>

#include "tls/tls.h"

struct tls_tickets;

struct tls_context {
	atomic_uint refs;
	SSL_CTX *ssl_ctx; /* no session of it outlives this struct */
	struct tls_tickets *tickets;
	uint64_t expires_s;
};

/* --- tls_session.c --- */

/** Have sessions see the messages that come, so that who sends new keys without end is given up. */
void tls_session_watch(SSL_CTX *ssl_ctx);

/* --- tls_tickets.c --- */

/** The ticket keys of this process. Any thread. */
struct tls_tickets *tls_tickets_create(void);
struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets);
void tls_tickets_unref(struct tls_tickets *tickets);
void tls_tickets_turn(struct tls_tickets *tickets, uint64_t now_s);
void tls_tickets_write(struct tls_tickets *tickets, uint8_t ret_bytes[TLS_KEYS_LEN]);
/** Returns 0 or -EINVAL. */
int tls_tickets_read(struct tls_tickets *tickets, const uint8_t *bytes, size_t len);
/** Have tickets made and read with these keys, which have to outlive ssl_ctx. Returns 0 or -EINVAL. */
int tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *ssl_ctx);

#endif
