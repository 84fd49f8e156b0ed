#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tls_int.h"

/* Of a record (RFC 8446 section 5.1), then of the message in it (section 4). */
#define RECORD_HEADER_LEN  5
#define MESSAGE_HEADER_LEN 4
#define HEAD_LEN           (RECORD_HEADER_LEN + MESSAGE_HEADER_LEN)
#define RECORD_HANDSHAKE   22
#define MESSAGE_HELLO      1
/* New keys cost as much as so many records of a byte. */
#define KEY_UPDATE_RECORDS 16

struct tls_session {
	struct tls_context *context;
	SSL *ssl; /* NULL until the first bytes are those of a handshake */
	uint8_t head[HEAD_LEN];
	uint8_t head_n;
	bool is_open;
	bool has_failed;
	bool is_flooded;
	unsigned key_updates_n; /* of the peer, and ... */
	size_t data_len;        /* ... its data, since the last time that was TLS_KEY_UPDATES_LEN */
};

/* --- between OpenSSL and us: what it reads and writes is in struct tls_io --- */

static int io_read(BIO *bio, char *data, size_t cap, size_t *ret_len)
{
	struct tls_io *io = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (io->in_len == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	size_t len = cap < io->in_len ? cap : io->in_len;
	memcpy(data, io->in, len);
	io->in += len;
	io->in_len -= len;
	*ret_len = len;
	return 1;
}

static int io_write(BIO *bio, const char *data, size_t len, size_t *ret_len)
{
	struct tls_io *io = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (io->out_cap - io->out_len < len) {
		size_t cap = io->out_cap + len > 2 * io->out_cap ? io->out_cap + len : 2 * io->out_cap;
		uint8_t *out = realloc(io->out, cap);
		if (!out)
			return 0;
		io->out = out;
		io->out_cap = cap;
	}
	memcpy(io->out + io->out_len, data, len);
	io->out_len += len;
	*ret_len = len;
	return 1;
}

static long io_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

struct tls_io *tls_io_create(void)
{
	struct tls_io *io = calloc(1, sizeof(*io));
	if (!io)
		return NULL;
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "dnsd");
	BIO *bio = NULL;
	if (method && BIO_meth_set_read_ex(method, io_read) && BIO_meth_set_write_ex(method, io_write) &&
	    BIO_meth_set_ctrl(method, io_control))
		bio = BIO_new(method);
	if (!bio) {
		BIO_meth_free(method);
		free(io);
		return NULL;
	}
	BIO_set_data(bio, io);
	BIO_set_init(bio, 1);
	io->method = method;
	io->bio = bio;
	return io;
}

void tls_io_destroy(struct tls_io *io)
{
	if (!io)
		return;
	BIO_free(io->bio);
	BIO_meth_free(io->method);
	free(io->out);
	free(io);
}

/* --- one session --- */

struct tls_session *tls_session_create(struct tls_context *context)
{
	struct tls_session *session = calloc(1, sizeof(*session));
	if (session)
		session->context = tls_context_ref(context);
	return session;
}

void tls_session_destroy(struct tls_session *session)
{
	if (!session)
		return;
	SSL_free(session->ssl);
	tls_context_unref(session->context);
	free(session);
}

/* OpenSSL takes any number of records and new keys, and does not come back between them: they are counted
 * here. Where new keys are too many it gets nothing more of what has come. */
static void on_message(int is_ours, int version, int type, const void *message, size_t len, SSL *ssl,
                       void *context)
{
	struct tls_session *session = SSL_get_app_data(ssl);
	struct tls_io *io = BIO_get_data(SSL_get_rbio(ssl));
	(void)version;
	(void)context;
	if (is_ours)
		return;
	if (type == SSL3_RT_HEADER)
		io->records_n++;
	if (type != SSL3_RT_HANDSHAKE || len == 0 || *(const uint8_t *)message != SSL3_MT_KEY_UPDATE)
		return;
	io->records_n += KEY_UPDATE_RECORDS;
	if (++session->key_updates_n <= TLS_KEY_UPDATES_MAX)
		return;
	io->in_len = 0;
	session->is_flooded = true;
}

void tls_session_watch(SSL_CTX *ssl_ctx)
{
	SSL_CTX_set_msg_callback(ssl_ctx, on_message);
}

static bool begin(struct tls_session *session, struct tls_io *io)
{
	session->ssl = SSL_new(session->context->ssl_ctx);
	if (!session->ssl || SSL_set_app_data(session->ssl, session) != 1)
		return false;
	BIO_up_ref(io->bio);
	SSL_set0_rbio(session->ssl, io->bio);
	BIO_up_ref(io->bio);
	SSL_set0_wbio(session->ssl, io->bio);
	SSL_set_accept_state(session->ssl);
	return true;
}

static bool looks_like_hello(const uint8_t *head)
{
	const uint8_t *message = head + RECORD_HEADER_LEN;
	size_t len = (size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3];
	return head[0] == RECORD_HANDSHAKE && head[1] == 3 && message[0] == MESSAGE_HELLO &&
	       len <= TLS_HELLO_MAX;
}

static enum tls_state fail(struct tls_session *session)
{
	session->has_failed = true;
	ERR_clear_error();
	return TLS_FAILED;
}

/*
 * The first bytes, before OpenSSL is asked to make anything. Returns TLS_OPEN when it may go on with the
 * rest.
 */
static enum tls_state check_head(struct tls_session *session, struct tls_io *io, const uint8_t **data,
                                 size_t *len)
{
	size_t n = HEAD_LEN - session->head_n;
	if (n > *len)
		n = *len;
	memcpy(session->head + session->head_n, *data, n);
	session->head_n = (uint8_t)(session->head_n + n);
	*data += n;
	*len -= n;
	if (session->head[0] != RECORD_HANDSHAKE && session->head_n)
		return fail(session);
	if (session->head_n < HEAD_LEN)
		return TLS_HANDSHAKE;
	if (!looks_like_hello(session->head) || !begin(session, io))
		return fail(session);
	io->in = session->head;
	io->in_len = HEAD_LEN;
	if (SSL_do_handshake(session->ssl) == 1 || SSL_get_error(session->ssl, -1) != SSL_ERROR_WANT_READ)
		return fail(session);
	return TLS_OPEN;
}

static enum tls_state shake_hands(struct tls_session *session)
{
	int rc = SSL_do_handshake(session->ssl);
	if (rc == 1) {
		session->is_open = true;
		return TLS_OPEN;
	}
	return SSL_get_error(session->ssl, rc) == SSL_ERROR_WANT_READ ? TLS_HANDSHAKE : fail(session);
}

static enum tls_state read_plain(struct tls_session *session, uint8_t *plain, size_t plain_cap, size_t *len)
{
	for (;;) {
		size_t n;
		if (SSL_read_ex(session->ssl, plain + *len, plain_cap - *len, &n) == 1) {
			*len += n;
			session->data_len += n;
			if (session->data_len >= TLS_KEY_UPDATES_LEN) {
				session->data_len = 0;
				session->key_updates_n = 0;
			}
			continue;
		}
		switch (SSL_get_error(session->ssl, 0)) {
		case SSL_ERROR_WANT_READ: return session->is_flooded ? fail(session) : TLS_OPEN;
		case SSL_ERROR_ZERO_RETURN: return TLS_ENDED;
		default: return fail(session);
		}
	}
}

enum tls_state tls_session_receive(struct tls_session *session, struct tls_io *io, const uint8_t *data,
                                   size_t len, uint8_t *plain, size_t plain_cap, size_t *ret_plain_len)
{
	*ret_plain_len = 0;
	enum tls_state state = TLS_OPEN;
	io->out_len = 0;
	io->records_n = 0;
	ERR_clear_error();
	if (session->has_failed)
		return TLS_FAILED;
	if (!session->ssl)
		state = check_head(session, io, &data, &len);
	if (state != TLS_OPEN)
		return state;
	io->in = data;
	io->in_len = len;
	if (!session->is_open)
		state = shake_hands(session);
	if (state == TLS_OPEN)
		state = read_plain(session, plain, plain_cap, ret_plain_len);
	io->in_len = 0;
	return state;
}

int tls_session_send(struct tls_session *session, struct tls_io *io, const uint8_t *plain, size_t len)
{
	size_t n;
	io->out_len = 0;
	ERR_clear_error();
	if (session->has_failed || !session->is_open)
		return -EIO;
	if (SSL_write_ex(session->ssl, plain, len, &n) == 1 && n == len)
		return 0;
	fail(session);
	return -EIO;
}

void tls_session_end(struct tls_session *session, struct tls_io *io)
{
	io->out_len = 0;
	ERR_clear_error();
	if (session->is_open && !session->has_failed)
		SSL_shutdown(session->ssl);
	ERR_clear_error();
}

bool tls_session_is_open(const struct tls_session *session)
{
	return session->is_open;
}

bool tls_session_is_resumed(const struct tls_session *session)
{
	return session->is_open && SSL_session_reused(session->ssl);
}
