/*
 * tls: DNS over TLS (RFC 7858) as bytes in, bytes out, by OpenSSL. Sees no socket and no event loop.
 *
 *     bytes of the peer ──tls_session_receive()──> plain bytes      ┐ what has to go to the peer meanwhile
 *     plain bytes ──────────tls_session_send()──> bytes for the peer ┘ is in tls_io.out
 *
 * TLS 1.3 and 1.2 with AEAD suites and ephemeral keys (RFC 9325); no renegotiation, no compression, no early
 * data. ALPN "dot" (RFC 9103 section 7.1) is chosen where it is offered; a client that offers only other
 * protocols is refused, one that offers none is served.
 *
 * Sessions are resumed by tickets that any worker accepts. Their keys live in memory alone, and go to no
 * process but one that takes over: a new one every TLS_TICKET_KEY_S seconds, the one before is kept for
 * tickets it has made, older ones are wiped.
 */
#ifndef DNSD_TLS_TLS_H
#define DNSD_TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

#define TLS_TICKET_KEY_S 3600
#define TLS_KEYS_LEN     170 /* of all ticket keys, for another process */
/* A client's first message may not claim to be longer; OpenSSL would make room for it at once. */
#define TLS_HELLO_MAX (16 * 1024)
/* What a session may hold of a record that is not complete yet. */
#define TLS_RECORD_MAX (17 * 1024)
/* New keys (RFC 8446 section 4.6.3) cost the peer 27 bytes and us several derivations: so many are taken for
 * each so many bytes of its data, then the session fails. Honest peers send one in some millions of records.
 */
#define TLS_KEY_UPDATES_MAX 100
#define TLS_KEY_UPDATES_LEN (64 * 1024)

/** Certificate, key and settings; read-only once made, shared by all workers and counted by references. */
struct tls_context;

/**
 * Read certificate and key.
 *
 * certificate  PEM file: the server's certificate, then those up to the root's
 * key          PEM file: its private key, without a passphrase
 * previous     whose tickets are to be accepted still; may be NULL
 * diag         gets every mistake, and a warning for a certificate out of date or a key that all may read
 * Returns      0, -EINVAL (see diag), -ENOMEM
 */
int tls_context_create(const char *certificate, const char *key, const struct tls_context *previous,
                       struct diag *diag, struct tls_context **ret_context);
/** Any thread. NULL is fine for both. */
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

/** When the certificate ends, in seconds since 1970. */
uint64_t tls_context_expires_s(const struct tls_context *context);

/** Make new ticket keys if those in use are due at now_s (of CLOCK_BOOTTIME). Happens by itself with each
 * ticket; for tests. */
void tls_context_turn_keys(struct tls_context *context, uint64_t now_s);

/** The ticket keys, for a process that takes over. Whoever gets the bytes wipes them. */
void tls_context_export_keys(const struct tls_context *context, uint8_t ret_bytes[TLS_KEYS_LEN]);
/**
 * Go on with the keys of another process, in place of those in use.
 *
 * bytes    [len] of tls_context_export_keys(); stay the caller's
 * Returns  0 or -EINVAL: nothing has changed
 */
int tls_context_import_keys(struct tls_context *context, const uint8_t *bytes, size_t len);

/** Where the sessions of one worker meet the outside: one for all, since only one is at work at a time. */
struct tls_io {
	const uint8_t *in;
	size_t in_len;
	uint8_t *out; /* for the peer of the session that was at work last; whoever sends it sets out_len to 0
	               */
	size_t out_len;
	size_t out_cap;
	unsigned records_n; /* opened by the last tls_session_receive(); new keys count as several */
	void *method;       /* of OpenSSL, as the next */
	void *bio;
};

/** Returns NULL when there is no memory. */
struct tls_io *tls_io_create(void);
/** After all sessions that used it. NULL is fine. */
void tls_io_destroy(struct tls_io *io);

struct tls_session;

/** A server's side. Holds a reference of the context. Small until the peer has begun a handshake. */
struct tls_session *tls_session_create(struct tls_context *context);
void tls_session_destroy(struct tls_session *session);

enum tls_state {
	TLS_HANDSHAKE, /* not open yet */
	TLS_OPEN,
	TLS_ENDED,  /* the peer has said that it will send no more (close_notify); it may still be sent to */
	TLS_FAILED, /* close the connection; io->out may have an alert for the peer */
};

/**
 * Take bytes of the peer, all of them.
 *
 * plain          [plain_cap] gets what they say; at least len + TLS_RECORD_MAX
 * ret_plain_len  set, also when the state is TLS_ENDED
 */
enum tls_state tls_session_receive(struct tls_session *session, struct tls_io *io, const uint8_t *data,
                                   size_t len, uint8_t *plain, size_t plain_cap, size_t *ret_plain_len);

/** Add the bytes for the peer to io->out. Returns 0 or -EIO: close the connection. */
int tls_session_send(struct tls_session *session, struct tls_io *io, const uint8_t *plain, size_t len);

/** Say that nothing more will be sent (close_notify), if the handshake has come so far. */
void tls_session_end(struct tls_session *session, struct tls_io *io);

/** The handshake is done. */
bool tls_session_is_open(const struct tls_session *session);
/** ... and was a short one, by a ticket. */
bool tls_session_is_resumed(const struct tls_session *session);

#endif
