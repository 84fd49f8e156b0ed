/* TLS without sockets: a client of OpenSSL and a session of ours, whose bytes are carried by hand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cmocka.h>

#include "base/diag.h"
#include "tests/unit/support/certificate.h"
#include "tls/tls.h"

#define DAY_S    86400L
#define BULK_LEN 200000

static char folder[] = "/tmp/dnsd-tls-test-XXXXXX";

/* --- certificates --- */

static const char *path_of(const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void write_text(const char *name, const char *mode, const char *text)
{
	FILE *file = fopen(path_of(name), mode);
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* NAME.crt and NAME.key; the second with a passphrase when there is one. */
static void make_certificate(const char *name, long from_s, long until_s, const char *passphrase)
{
	char certificate[64];
	char key[64];
	snprintf(certificate, sizeof(certificate), "%s.crt", name);
	snprintf(key, sizeof(key), "%s.key", name);
	certificate_write(path_of(certificate), path_of(key), name, from_s, until_s, passphrase);
}

static struct tls_context *make_context(const char *name, const struct tls_context *previous)
{
	char certificate[64];
	char key[64];
	snprintf(certificate, sizeof(certificate), "%s.crt", name);
	snprintf(key, sizeof(key), "%s.key", name);
	struct diag diag;
	diag_init(&diag);
	struct tls_context *context = NULL;
	assert_int_equal(tls_context_create(path_of(certificate), path_of(key), previous, &diag, &context),
	                 0);
	assert_int_equal(diag.messages_n, 0);
	diag_fini(&diag);
	return context;
}

/* --- two ends --- */

struct pair {
	struct tls_io *io;
	struct tls_session *session;
	SSL *client;
	BIO *to_client, *from_client;
	enum tls_state state;
	uint8_t got[2 * BULK_LEN]; /* by the server */
	size_t got_len;
};

static SSL_CTX *client_ctx(int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	return ctx;
}

/* ctx: taken over */
static struct pair *open_pair(struct tls_context *context, SSL_CTX *ctx)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	assert_non_null(pair);
	pair->io = tls_io_create();
	pair->session = tls_session_create(context);
	pair->client = SSL_new(ctx);
	SSL_CTX_free(ctx);
	pair->to_client = BIO_new(BIO_s_mem());
	pair->from_client = BIO_new(BIO_s_mem());
	SSL_set_bio(pair->client, pair->to_client, pair->from_client);
	SSL_set_connect_state(pair->client);
	return pair;
}

static void close_pair(struct pair *pair)
{
	tls_session_destroy(pair->session);
	tls_io_destroy(pair->io);
	SSL_free(pair->client);
	ERR_clear_error();
	free(pair);
}

static void deliver(struct pair *pair)
{
	if (pair->io->out_len)
		BIO_write(pair->to_client, pair->io->out, (int)pair->io->out_len);
	pair->io->out_len = 0;
}

static void give_server(struct pair *pair, const uint8_t *data, size_t len)
{
	uint8_t *plain = malloc(len + TLS_RECORD_MAX);
	size_t plain_len;
	pair->state = tls_session_receive(pair->session, pair->io, data, len, plain, len + TLS_RECORD_MAX,
	                                  &plain_len);
	assert_true(pair->got_len + plain_len <= sizeof(pair->got));
	memcpy(pair->got + pair->got_len, plain, plain_len);
	pair->got_len += plain_len;
	free(plain);
	deliver(pair);
}

/* What the client has written, in pieces of step bytes. */
static void carry(struct pair *pair, size_t step)
{
	char *all;
	size_t len = (size_t)BIO_get_mem_data(pair->from_client, &all);
	uint8_t *data = malloc(len + 1);
	memcpy(data, all, len);
	BIO_reset(pair->from_client);
	for (size_t at = 0; at < len; at += step)
		give_server(pair, data + at, len - at < step ? len - at : step);
	free(data);
}

/* Returns whether both sides are done. */
static bool shake_hands(struct pair *pair, size_t step)
{
	for (unsigned i = 0; i < 10; i++) {
		int rc = SSL_do_handshake(pair->client);
		carry(pair, step);
		if (rc == 1 && pair->state == TLS_OPEN)
			return tls_session_is_open(pair->session);
	}
	return false;
}

/* Returns how many bytes the client has read. */
static size_t client_read(struct pair *pair, uint8_t *data, size_t cap)
{
	size_t len = 0;
	size_t n;
	while (len < cap && SSL_read_ex(pair->client, data + len, cap - len, &n) == 1)
		len += n;
	return len;
}

/* --- tests --- */

static const struct {
	const char *name;
	int version;
	const char *suites; /* of TLS 1.2 */
	bool want;
} versions[] = {
	{ "TLS 1.3", TLS1_3_VERSION, NULL, true },
	{ "TLS 1.2", TLS1_2_VERSION, NULL, true },
	{ "AES-GCM", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true },
	{ "ChaCha", TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true },
	{ "CBC", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA", false },
	{ "TLS 1.1", TLS1_1_VERSION, NULL, false },
	{ "TLS 1.0", TLS1_VERSION, NULL, false },
};

static void test_versions(void **state)
{
	(void)state;
	struct tls_context *context = make_context("good", NULL);
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		SSL_CTX *ctx = client_ctx(versions[i].version);
		if (versions[i].suites)
			assert_int_equal(SSL_CTX_set_cipher_list(ctx, versions[i].suites), 1);
		struct pair *pair = open_pair(context, ctx);
		bool done = shake_hands(pair, SIZE_MAX / 2);
		if (done != versions[i].want)
			fail_msg("%s: handshake %s", versions[i].name, done ? "done" : "refused");
		assert_int_equal(pair->state, versions[i].want ? TLS_OPEN : TLS_FAILED);
		close_pair(pair);
	}
	tls_context_unref(context);
}

static const struct {
	const char *name;
	const char *offered; /* each with its length */
	const char *chosen;  /* "" = none, NULL = refused */
} alpns[] = {
	{ "none", NULL, "" },
	{ "dot", "\3dot", "dot" },
	{ "dot among others", "\2h2\3dot\10http/1.1", "dot" },
	{ "others", "\2h2\10http/1.1", NULL },
	{ "longer", "\4dots", NULL },
};

/* RFC 9103 section 7.1; RFC 7301 section 3.2. */
static void test_alpn(void **state)
{
	(void)state;
	struct tls_context *context = make_context("good", NULL);
	for (size_t i = 0; i < sizeof(alpns) / sizeof(alpns[0]); i++) {
		SSL_CTX *ctx = client_ctx(TLS1_3_VERSION);
		if (alpns[i].offered)
			SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)alpns[i].offered,
			                        (unsigned)strlen(alpns[i].offered));
		struct pair *pair = open_pair(context, ctx);
		if (shake_hands(pair, SIZE_MAX / 2) != (alpns[i].chosen != NULL))
			fail_msg("%s", alpns[i].name);
		const unsigned char *chosen;
		unsigned chosen_len;
		SSL_get0_alpn_selected(pair->client, &chosen, &chosen_len);
		if (alpns[i].chosen) {
			assert_int_equal(chosen_len, strlen(alpns[i].chosen));
			assert_memory_equal(chosen, alpns[i].chosen, chosen_len);
		}
		close_pair(pair);
	}
	tls_context_unref(context);
}

static void check_bulk(struct pair *pair, size_t step)
{
	uint8_t *data = malloc(BULK_LEN);
	uint8_t *back = malloc(BULK_LEN);
	for (size_t i = 0; i < BULK_LEN; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(SSL_write(pair->client, data, BULK_LEN), BULK_LEN);
	carry(pair, step);
	assert_int_equal(pair->got_len, BULK_LEN);
	assert_memory_equal(pair->got, data, BULK_LEN);
	assert_int_equal(tls_session_send(pair->session, pair->io, data, BULK_LEN), 0);
	deliver(pair);
	assert_int_equal(client_read(pair, back, BULK_LEN), BULK_LEN);
	assert_memory_equal(back, data, BULK_LEN);
	free(data);
	free(back);
}

/* Bytes come in pieces of any size, from the first of the handshake on. */
static void test_pieces(void **state)
{
	(void)state;
	static const int both[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	static const size_t steps[] = { 1, 3, 9, 1000, 65536 };
	struct tls_context *context = make_context("good", NULL);
	for (size_t i = 0; i < 2; i++) {
		for (size_t j = 0; j < sizeof(steps) / sizeof(steps[0]); j++) {
			struct pair *pair = open_pair(context, client_ctx(both[i]));
			assert_true(shake_hands(pair, steps[j]));
			check_bulk(pair, steps[j] < 1000 ? 1000 : steps[j]);
			close_pair(pair);
		}
	}
	tls_context_unref(context);
}

/* A client's session, to be resumed. */
static SSL_SESSION *saved;

/* Connect, by the session saved if there is one, and save the next. Returns whether it was resumed. */
static bool connect_again(struct tls_context *context, int version)
{
	struct pair *pair = open_pair(context, client_ctx(version));
	if (saved)
		assert_int_equal(SSL_set_session(pair->client, saved), 1);
	assert_true(shake_hands(pair, SIZE_MAX / 2));
	assert_int_equal(tls_session_send(pair->session, pair->io, (const uint8_t *)"x", 1), 0);
	deliver(pair);
	uint8_t byte;
	assert_int_equal(client_read(pair, &byte, 1), 1);
	bool resumed = SSL_session_reused(pair->client);
	assert_int_equal(tls_session_is_resumed(pair->session), resumed);
	SSL_SESSION_free(saved);
	saved = SSL_get1_session(pair->client);
	assert_true(SSL_SESSION_has_ticket(saved));
	/* Without this the client would take its session for one that was broken off. */
	SSL_shutdown(pair->client);
	close_pair(pair);
	return resumed;
}

static uint64_t boot_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec;
}

static void test_tickets(void **state)
{
	(void)state;
	static const int both[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	for (size_t i = 0; i < 2; i++) {
		struct tls_context *first = make_context("good", NULL);
		assert_false(connect_again(first, both[i]));
		assert_true(connect_again(first, both[i]));
		assert_true(connect_again(first, both[i]));
		/* After a reload, with another certificate even: the keys go over. */
		struct tls_context *second = make_context("other", first);
		tls_context_unref(first);
		assert_true(connect_again(second, both[i]));
		/* A ticket of the key before is taken, and another one given for it. */
		tls_context_turn_keys(second, boot_s() + TLS_TICKET_KEY_S);
		assert_true(connect_again(second, both[i]));
		tls_context_turn_keys(second, boot_s() + 2 * TLS_TICKET_KEY_S);
		assert_true(connect_again(second, both[i]));
		/* One that is older than two keys is not. */
		tls_context_turn_keys(second, boot_s() + 3 * TLS_TICKET_KEY_S);
		tls_context_turn_keys(second, boot_s() + 4 * TLS_TICKET_KEY_S);
		assert_false(connect_again(second, both[i]));
		/* Nor after a long quiet time. */
		tls_context_turn_keys(second, boot_s() + 20 * TLS_TICKET_KEY_S);
		assert_false(connect_again(second, both[i]));
		/* Another process has other keys. */
		struct tls_context *stranger = make_context("good", NULL);
		assert_false(connect_again(stranger, both[i]));
		tls_context_unref(stranger);
		tls_context_unref(second);
		SSL_SESSION_free(saved);
		saved = NULL;
	}
}

/* Another process, of another certificate, goes on with the keys: tickets of both ages are good. */
static void test_keys_of_another(void **state)
{
	(void)state;
	uint8_t keys[TLS_KEYS_LEN + 1] = { 0 };
	struct tls_context *first = make_context("good", NULL);
	struct tls_context *second = make_context("other", NULL);
	/* None yet: made when they are needed. */
	tls_context_export_keys(first, keys);
	assert_int_equal(tls_context_import_keys(second, keys, TLS_KEYS_LEN), 0);
	assert_false(connect_again(second, TLS1_3_VERSION));
	SSL_SESSION_free(saved);
	saved = NULL;

	assert_false(connect_again(first, TLS1_3_VERSION));
	tls_context_export_keys(first, keys);
	assert_int_equal(tls_context_import_keys(second, keys, TLS_KEYS_LEN), 0);
	assert_true(connect_again(second, TLS1_3_VERSION));
	tls_context_turn_keys(first, boot_s() + TLS_TICKET_KEY_S);
	/* Their time is one to come: refused, and nothing has changed. */
	tls_context_export_keys(first, keys);
	assert_int_equal(tls_context_import_keys(second, keys, TLS_KEYS_LEN), -EINVAL);
	assert_true(connect_again(second, TLS1_3_VERSION));
	assert_int_equal(tls_context_import_keys(second, keys, TLS_KEYS_LEN - 1), -EINVAL);
	assert_int_equal(tls_context_import_keys(second, keys, TLS_KEYS_LEN + 1), -EINVAL);
	assert_int_equal(tls_context_import_keys(second, keys, 0), -EINVAL);
	/* With a time that has been: the ticket is of the key before. */
	struct tls_context *third = make_context("good", NULL);
	uint64_t now_s = boot_s();
	for (int i = 0; i < 8; i++)
		keys[i] = (uint8_t)(now_s >> 8 * (7 - i));
	assert_int_equal(tls_context_import_keys(third, keys, TLS_KEYS_LEN), 0);
	assert_true(connect_again(third, TLS1_3_VERSION));
	tls_context_unref(third);
	tls_context_unref(second);
	tls_context_unref(first);
	SSL_SESSION_free(saved);
	saved = NULL;
}

/* A context that is replaced lives on in the sessions it was made for. */
static void test_replaced(void **state)
{
	(void)state;
	struct tls_context *context = make_context("good", NULL);
	struct pair *pair = open_pair(context, client_ctx(TLS1_3_VERSION));
	tls_context_unref(context);
	assert_true(shake_hands(pair, 100));
	check_bulk(pair, 5000);
	close_pair(pair);
}

static const struct {
	const char *name;
	const char *data;
	size_t len;
} strangers[] = {
	{ "DNS without TLS", "\0\x1d\x12\x34\0\0\0\1", 8 },
	{ "HTTP", "GET / HTTP/1.1\r\n\r\n", 18 },
	{ "one byte", "\x80", 1 },
	{ "application data first", "\x17\x03\x03\0\x20\1\0\0\x1c", 9 },
	{ "not a hello", "\x16\x03\x01\0\x20\2\0\0\x1c", 9 },
	{ "an older protocol", "\x16\x02\0\0\x20\1\0\0\x1c", 9 },
	{ "a hello of 16 MB", "\x16\x03\x01\x40\0\1\xff\xff\xff", 9 },
	{ "a hello of 128 KB", "\x16\x03\x01\x40\0\1\1\xff\xf0", 9 },
	{ "a header in two records", "\x16\x03\x01\0\1\1\x16\x03\x01\0\3\0\1\0", 14 },
};

/* Refused by their first bytes, before anything is made for them. */
static void test_strangers(void **state)
{
	(void)state;
	struct tls_context *context = make_context("good", NULL);
	for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
		for (size_t step = 1; step < 20; step += 18) {
			struct pair *pair = open_pair(context, client_ctx(TLS1_3_VERSION));
			const uint8_t *data = (const uint8_t *)strangers[i].data;
			for (size_t at = 0; at < strangers[i].len; at += step)
				give_server(pair, data + at,
				            strangers[i].len - at < step ? strangers[i].len - at : step);
			if (pair->state != TLS_FAILED)
				fail_msg("%s: state %d", strangers[i].name, pair->state);
			assert_false(tls_session_is_open(pair->session));
			assert_int_equal(tls_session_send(pair->session, pair->io, data, 1), -5);
			tls_session_end(pair->session, pair->io);
			assert_int_equal(pair->io->out_len, 0);
			close_pair(pair);
		}
	}
	tls_context_unref(context);
}

/* Any bit of a handshake or a record turned over is noticed, and nothing else happens. */
static void test_damaged(void **state)
{
	(void)state;
	struct tls_context *context = make_context("good", NULL);
	struct pair *pair = open_pair(context, client_ctx(TLS1_3_VERSION));
	SSL_do_handshake(pair->client);
	char *hello;
	size_t len = (size_t)BIO_get_mem_data(pair->from_client, &hello);
	for (size_t at = 0; at < len; at++) {
		struct pair *victim = open_pair(context, client_ctx(TLS1_3_VERSION));
		uint8_t *data = malloc(len);
		memcpy(data, hello, len);
		data[at] ^= (uint8_t)(1U << at % 8);
		give_server(victim, data, len);
		/* Many changes make another good hello; none makes a handshake. */
		assert_false(tls_session_is_open(victim->session));
		free(data);
		close_pair(victim);
	}
	assert_true(shake_hands(pair, SIZE_MAX / 2));
	assert_int_equal(SSL_write(pair->client, "question", 8), 8);
	len = (size_t)BIO_get_mem_data(pair->from_client, &hello);
	hello[len / 2] ^= 1;
	carry(pair, SIZE_MAX / 2);
	assert_int_equal(pair->state, TLS_FAILED);
	assert_int_equal(pair->got_len, 0);
	close_pair(pair);
	tls_context_unref(context);
}

static void test_renegotiation(void **state)
{
	(void)state;
	struct tls_context *context = make_context("good", NULL);
	struct pair *pair = open_pair(context, client_ctx(TLS1_2_VERSION));
	assert_true(shake_hands(pair, SIZE_MAX / 2));
	assert_int_equal(SSL_renegotiate(pair->client), 1);
	assert_int_not_equal(SSL_do_handshake(pair->client), 1);
	carry(pair, SIZE_MAX / 2);
	int rc = SSL_do_handshake(pair->client);
	assert_int_not_equal(rc, 1);
	assert_int_equal(SSL_get_error(pair->client, rc), SSL_ERROR_SSL);
	assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
	close_pair(pair);
	tls_context_unref(context);
}

/* A pair of TLS 1.3 behind its handshake; the client has read its tickets. */
static struct pair *open_ready(struct tls_context *context)
{
	struct pair *pair = open_pair(context, client_ctx(TLS1_3_VERSION));
	uint8_t nothing;
	assert_true(shake_hands(pair, SIZE_MAX / 2));
	client_read(pair, &nothing, 1);
	return pair;
}

/* RFC 8446 section 4.6.3: each request for new keys is answered by new keys, and data goes on. */
static void test_key_updates(void **state)
{
	(void)state;
	struct tls_context *context = make_context("good", NULL);
	struct pair *pair = open_ready(context);
	uint8_t nothing;
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(SSL_key_update(pair->client, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(pair->client), 1);
		carry(pair, 7);
		assert_int_equal(pair->state, TLS_OPEN);
		assert_true(BIO_pending(pair->to_client) < 100);
		client_read(pair, &nothing, 1);
	}
	check_bulk(pair, 5000);
	close_pair(pair);
	tls_context_unref(context);
}

/* Who sends new keys and nothing else makes us derive without end; also all in one read. */
static void test_key_update_flood(void **state)
{
	(void)state;
	struct tls_context *context = make_context("good", NULL);
	for (int at_once = 0; at_once <= 1; at_once++) {
		struct pair *pair = open_ready(context);
		unsigned n = 0;
		for (; n < 5 * TLS_KEY_UPDATES_MAX && pair->state == TLS_OPEN; n++) {
			assert_int_equal(SSL_key_update(pair->client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
			assert_int_equal(SSL_do_handshake(pair->client), 1);
			if (!at_once)
				carry(pair, SIZE_MAX / 2);
		}
		carry(pair, SIZE_MAX / 2);
		assert_int_equal(pair->state, TLS_FAILED);
		assert_true(at_once || n == TLS_KEY_UPDATES_MAX + 1);
		close_pair(pair);
	}
	/* Beside data they may go on for ever. */
	struct pair *pair = open_pair(context, client_ctx(TLS1_3_VERSION));
	static const uint8_t data[16000];
	assert_true(shake_hands(pair, SIZE_MAX / 2));
	for (unsigned i = 0; i < 3 * TLS_KEY_UPDATES_MAX; i++) {
		assert_int_equal(SSL_key_update(pair->client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		assert_int_equal(SSL_write(pair->client, data, sizeof(data)), sizeof(data));
		carry(pair, SIZE_MAX / 2);
		assert_int_equal(pair->state, TLS_OPEN);
		pair->got_len = 0;
	}
	close_pair(pair);
	tls_context_unref(context);
}

/* What a read has cost: its records, however little is in them, and new keys more. */
static void test_records(void **state)
{
	(void)state;
	struct tls_context *context = make_context("good", NULL);
	struct pair *pair = open_ready(context);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(SSL_write(pair->client, "x", 1), 1);
	carry(pair, SIZE_MAX / 2);
	assert_int_equal(pair->got_len, 1000);
	assert_int_equal(pair->io->records_n, 1000);
	assert_int_equal(SSL_write(pair->client, "xyz", 3), 3);
	carry(pair, SIZE_MAX / 2);
	assert_int_equal(pair->io->records_n, 1);
	assert_int_equal(tls_session_send(pair->session, pair->io, (const uint8_t *)"answer", 6), 0);
	deliver(pair);
	assert_int_equal(pair->io->records_n, 1);
	assert_int_equal(SSL_key_update(pair->client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
	assert_int_equal(SSL_do_handshake(pair->client), 1);
	carry(pair, SIZE_MAX / 2);
	assert_in_range(pair->io->records_n, 2, 100);
	assert_int_equal(pair->state, TLS_OPEN);
	close_pair(pair);
	tls_context_unref(context);
}

/* A client that says it will send no more is heard to the end, and still gets its answer. */
static void test_half_closed(void **state)
{
	(void)state;
	struct tls_context *context = make_context("good", NULL);
	struct pair *pair = open_pair(context, client_ctx(TLS1_3_VERSION));
	assert_true(shake_hands(pair, SIZE_MAX / 2));
	assert_int_equal(SSL_write(pair->client, "question", 8), 8);
	SSL_shutdown(pair->client);
	carry(pair, SIZE_MAX / 2);
	assert_int_equal(pair->state, TLS_ENDED);
	assert_int_equal(pair->got_len, 8);
	assert_int_equal(tls_session_send(pair->session, pair->io, (const uint8_t *)"answer", 6), 0);
	deliver(pair);
	uint8_t answer[16];
	assert_int_equal(client_read(pair, answer, sizeof(answer)), 6);
	tls_session_end(pair->session, pair->io);
	assert_true(pair->io->out_len > 0);
	deliver(pair);
	int rc = SSL_read(pair->client, answer, 1);
	assert_int_equal(SSL_get_error(pair->client, rc), SSL_ERROR_ZERO_RETURN);
	close_pair(pair);
	tls_context_unref(context);
}

static const struct {
	const char *name, *certificate, *key;
	int rc;
	const char *want; /* in the first message; NULL = no message */
} files[] = {
	{ "good", "good.crt", "good.key", 0, NULL },
	{ "no certificate file", "none.crt", "good.key", -22,
	  "none.crt: cannot read the certificate of TLS: No such file or directory" },
	{ "no key file", "good.crt", "none.key", -22, "none.key: cannot read the key of TLS: No such file" },
	{ "a folder", ".", "good.key", -22, "cannot read the certificate of TLS: it is not a regular file" },
	{ "empty", "empty", "good.key", -22,
	  "empty: there is no certificate in it; write the server's in PEM" },
	{ "key for certificate", "good.key", "good.key", -22, "good.key: there is no certificate in it" },
	{ "certificate for key", "good.crt", "good.crt", -22, "good.crt: there is no private key in it" },
	{ "key of another", "good.crt", "other.key", -22,
	  "good.crt: key values mismatch; give the key that this certificate was made for" },
	{ "passphrase", "good.crt", "locked.key", -22,
	  "this key has a passphrase, which nobody can be asked for" },
	{ "chain", "chain.crt", "good.key", 0, NULL },
	{ "damaged chain", "broken.crt", "good.key", -22, "a certificate behind the first is damaged" },
	{ "expired", "old.crt", "old.key", 0, "old.crt: the certificate has expired" },
	{ "soon", "soon.crt", "soon.key", 0, "soon.crt: the certificate expires within a week" },
	{ "not yet", "young.crt", "young.key", 0, "young.crt: the certificate is not valid yet" },
	{ "for all to read", "good.crt", "open.key", 0,
	  "open.key: everybody on this machine can read this key" },
};

static void copy(const char *from, const char *to, const char *mode)
{
	char text[16384];
	FILE *file = fopen(path_of(from), "r");
	assert_non_null(file);
	size_t len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	write_text(to, mode, text);
}

static void test_files(void **state)
{
	(void)state;
	write_text("empty", "w", "");
	copy("good.crt", "chain.crt", "w");
	copy("other.crt", "chain.crt", "a");
	copy("good.crt", "broken.crt", "w");
	write_text("broken.crt", "a", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	copy("good.key", "open.key", "w");
	chmod(path_of("open.key"), 0644);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct diag diag;
		diag_init(&diag);
		struct tls_context *context = NULL;
		int rc = tls_context_create(path_of(files[i].certificate), path_of(files[i].key), NULL, &diag,
		                            &context);
		if (rc != files[i].rc)
			fail_msg("%s: returned %d", files[i].name, rc);
		assert_int_equal(context != NULL, rc == 0);
		assert_int_equal(diag.messages_n, files[i].want ? 1 : 0);
		if (files[i].want && !strstr(diag.messages[0].text, files[i].want))
			fail_msg("%s: \"%s\"", files[i].name, diag.messages[0].text);
		diag_fini(&diag);
		tls_context_unref(context);
	}
	/* Both mistakes are told at once. */
	struct diag diag;
	diag_init(&diag);
	struct tls_context *context = NULL;
	assert_int_equal(tls_context_create(path_of("none"), path_of("empty"), NULL, &diag, &context), -22);
	assert_int_equal(diag.errors_n, 2);
	diag_fini(&diag);
	assert_int_equal(ERR_peek_error(), 0);
}

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	make_certificate("good", -DAY_S, 100 * DAY_S, NULL);
	make_certificate("other", -DAY_S, 100 * DAY_S, NULL);
	make_certificate("locked", -DAY_S, 100 * DAY_S, "secret");
	make_certificate("old", -100 * DAY_S, -DAY_S, NULL);
	make_certificate("soon", -100 * DAY_S, DAY_S, NULL);
	make_certificate("young", DAY_S, 100 * DAY_S, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	char command[300];
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),         cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_pieces),           cmocka_unit_test(test_tickets),
		cmocka_unit_test(test_keys_of_another),  cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_strangers),        cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_renegotiation),    cmocka_unit_test(test_key_updates),
		cmocka_unit_test(test_key_update_flood), cmocka_unit_test(test_records),
		cmocka_unit_test(test_half_closed),      cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
