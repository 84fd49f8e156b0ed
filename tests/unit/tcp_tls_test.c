/* What connections through TLS may take of a worker between two looks at UDP, by bytes that OpenSSL has read.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cmocka.h>

#include "net/tcp_int.h"
#include "tests/unit/support/certificate.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/tcp_fixture.h"
#include "wire/request.h"
#include "wire/wire.h"

#define CLIENTS_N  20
#define RECORDS_N  5000
#define LOOKS_MAX  20000
#define RECORD_LEN 23 /* of TLS 1.3, with a byte in it */
/* Between two looks connections have their turns, and those that epoll names are read: the work of a round
 * each, and what the last one to read adds. */
#define RECORDS_A_LOOK (2 * (2048 + 512))
#define ALPN_LEN       15000

static const char zone[] =
        "$TTL 3600\n@ SOA ns1 hostmaster 7 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.53\n";

struct world {
	struct tcp_fixture tcp;
	SSL_CTX *client_ctx;
	uint64_t taken_most; /* bytes that OpenSSL has read between two looks */
};

struct asker {
	int fd;
	SSL *ssl;
	BIO *in, *out;
};

static void setup(struct world *world)
{
	struct tls_context *tls;
	struct diag diag;
	memset(world, 0, sizeof(*world));
	certificate_write(folder_path("tls.crt"), folder_path("tls.key"), "ns1", -60, 86400, NULL);
	diag_init(&diag);
	assert_int_equal(
	        tls_context_create(folder_path("tls.crt"), folder_path("tls.key"), NULL, &diag, &tls), 0);
	diag_fini(&diag);
	tcp_fixture_init(&world->tcp, zone, tls, 0);
	world->client_ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_min_proto_version(world->client_ctx, TLS1_3_VERSION);
}

static void teardown(struct world *world)
{
	tcp_fixture_fini(&world->tcp);
	SSL_CTX_free(world->client_ctx);
	ERR_clear_error();
}

/* One round of the loop. Returns how much OpenSSL has read in it. */
static uint64_t turn(struct world *world)
{
	uint64_t before = BIO_number_read(world->tcp.server->io->bio);
	uv_run(&world->tcp.loop, UV_RUN_NOWAIT);
	uint64_t taken = BIO_number_read(world->tcp.server->io->bio) - before;
	if (taken > world->taken_most)
		world->taken_most = taken;
	return taken;
}

static void open_client(const struct world *world, struct asker *client)
{
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(client->fd >= 0);
	assert_int_equal(
	        connect(client->fd, (const struct sockaddr *)&world->tcp.addr, sizeof(world->tcp.addr)), 0);
	client->ssl = SSL_new(world->client_ctx);
	client->in = BIO_new(BIO_s_mem());
	client->out = BIO_new(BIO_s_mem());
	SSL_set_bio(client->ssl, client->in, client->out);
	SSL_set_connect_state(client->ssl);
}

static void close_client(struct asker *client)
{
	SSL_free(client->ssl);
	close(client->fd);
	ERR_clear_error();
}

/* Send as much as the kernel takes of what the client has said. */
static void send_some(struct asker *client)
{
	char *data;
	long len = BIO_get_mem_data(client->out, &data);
	ssize_t sent = len ? send(client->fd, data, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	assert_true(sent >= 0 || errno == EAGAIN);
	for (ssize_t at = 0; at < sent;) {
		char taken[4096];
		at += BIO_read(client->out, taken,
		               sent - at < (ssize_t)sizeof(taken) ? (int)(sent - at) : (int)sizeof(taken));
	}
}

static void receive_some(struct asker *client)
{
	uint8_t data[4096];
	ssize_t n;
	while ((n = recv(client->fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		BIO_write(client->in, data, (int)n);
}

static void shake_hands(struct world *world, struct asker *client)
{
	for (unsigned i = 0; i < LOOKS_MAX; i++) {
		ERR_clear_error();
		int rc = SSL_do_handshake(client->ssl);
		assert_true(rc == 1 || SSL_get_error(client->ssl, rc) == SSL_ERROR_WANT_READ);
		send_some(client);
		turn(world);
		receive_some(client);
		if (rc == 1 && BIO_pending(client->out) == 0)
			return;
	}
	fail_msg("no handshake");
}

/* Say it in records of a byte each, not sent yet. */
static void say_bytewise(struct asker *client, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(SSL_write(client->ssl, data + i, 1), 1);
}

/* Frame of a question. Returns its length. */
static size_t make_question(uint8_t frame[2 + WIRE_REQUEST_MAX])
{
	static const uint8_t name[] = "\2db\3big\7example\3net";
	size_t len = wire_request_make(name, sizeof(name), WIRE_TYPE_A, WIRE_CLASS_IN, 1232, NULL, frame + 2);
	wire_put16(frame, (uint16_t)len);
	return 2 + len;
}

/* Bytes of answers so far. */
static size_t read_answers(struct asker *client, uint8_t *data, size_t cap)
{
	size_t len = 0;
	size_t n;
	receive_some(client);
	while (len < cap && SSL_read_ex(client->ssl, data + len, cap - len, &n) == 1)
		len += n;
	return len;
}

/* A long message a byte a record, on many connections: so much of it at a time, and between it a question of
 * another client is answered soon. */
static void test_small_records(void **unused)
{
	(void)unused;
	static const uint8_t message[RECORDS_N] = { 0xff, 0xff };
	static uint8_t answer[ANSWER_TCP_MAX];
	static struct asker clients[CLIENTS_N + 1];
	struct asker *other = &clients[CLIENTS_N];
	uint8_t frame[2 + WIRE_REQUEST_MAX];
	size_t frame_len = make_question(frame);
	struct world world;
	setup(&world);
	for (size_t i = 0; i <= CLIENTS_N; i++) {
		open_client(&world, &clients[i]);
		shake_hands(&world, &clients[i]);
	}
	uint64_t begin = BIO_number_read(world.tcp.server->io->bio);
	for (size_t i = 0; i < CLIENTS_N; i++) {
		say_bytewise(&clients[i], message, sizeof(message));
		send_some(&clients[i]);
	}
	assert_int_equal(SSL_write(other->ssl, frame, (int)frame_len), (int)frame_len);
	send_some(other);
	world.taken_most = 0;
	uint64_t all = (uint64_t)CLIENTS_N * RECORDS_N * RECORD_LEN;
	uint64_t taken = 0;
	unsigned looks_n = 0;
	unsigned answered_at = 0;
	uint64_t taken_then = 0;
	for (; taken < all && looks_n < LOOKS_MAX; looks_n++) {
		turn(&world);
		for (size_t i = 0; i < CLIENTS_N; i++)
			send_some(&clients[i]);
		taken = BIO_number_read(world.tcp.server->io->bio) - begin;
		if (!answered_at && read_answers(other, answer, sizeof(answer))) {
			answered_at = looks_n + 1;
			taken_then = taken;
		}
	}
	assert_true(taken >= all);
	if (world.taken_most > (uint64_t)RECORDS_A_LOOK * RECORD_LEN)
		fail_msg("%llu records between two looks", (unsigned long long)world.taken_most / RECORD_LEN);
	assert_in_range(answered_at, 1, 10);
	assert_true(taken_then < all / 2);
	/* They are read from still, and their end is seen. */
	assert_int_equal(tcp_server_open_n(world.tcp.server), CLIENTS_N + 1);
	for (size_t i = 0; i <= CLIENTS_N; i++) {
		say_bytewise(&clients[i], message, 1000);
		send_some(&clients[i]);
		close_client(&clients[i]);
	}
	for (looks_n = 0; tcp_server_open_n(world.tcp.server) && looks_n < LOOKS_MAX; looks_n++)
		turn(&world);
	assert_int_equal(tcp_server_open_n(world.tcp.server), 0);
	teardown(&world);
}

/* Questions in such records are answered all, though their clients wait for turns again and again. */
static void test_answered(void **unused)
{
	(void)unused;
	enum { QUESTIONS_N = 100 };
	static uint8_t answers[QUESTIONS_N * 2048];
	static struct asker clients[CLIENTS_N];
	static size_t got[CLIENTS_N];
	uint8_t frame[2 + WIRE_REQUEST_MAX];
	size_t frame_len = make_question(frame);
	struct world world;
	setup(&world);
	struct fixture_question question = { .name = "db.big.example.net",
		                             .type = WIRE_TYPE_A,
		                             .edns_size = 1232,
		                             .transport = TRANSPORT_TLS };
	size_t all = QUESTIONS_N * (2 + fixture_send(&world.tcp.fixture, &question, answers));
	assert_true(all <= sizeof(answers));
	for (size_t i = 0; i < CLIENTS_N; i++) {
		open_client(&world, &clients[i]);
		shake_hands(&world, &clients[i]);
		for (unsigned n = 0; n < QUESTIONS_N; n++)
			say_bytewise(&clients[i], frame, frame_len);
	}
	world.taken_most = 0;
	size_t done_n = 0;
	for (unsigned looks_n = 0; done_n < CLIENTS_N && looks_n < LOOKS_MAX; looks_n++) {
		for (size_t i = 0; i < CLIENTS_N; i++)
			send_some(&clients[i]);
		turn(&world);
		done_n = 0;
		for (size_t i = 0; i < CLIENTS_N; i++) {
			got[i] += read_answers(&clients[i], answers, sizeof(answers));
			assert_true(got[i] <= all);
			done_n += got[i] == all;
		}
	}
	assert_int_equal(done_n, CLIENTS_N);
	assert_true(world.taken_most <= (uint64_t)RECORDS_A_LOOK * RECORD_LEN);
	for (size_t i = 0; i < CLIENTS_N; i++)
		close_client(&clients[i]);
	teardown(&world);
}

/* The first message of a handshake, long by what it offers, a byte a record behind its head. */
static size_t make_bytewise_hello(const struct world *world, uint8_t **ret_data)
{
	enum { HEADER_LEN = 5, HEAD_LEN = 4 };
	uint8_t *offers = calloc(1, ALPN_LEN);
	for (size_t at = 0; at < ALPN_LEN; at += 250) {
		offers[at] = 249;
		memset(offers + at + 1, 'x', 249);
	}
	struct asker client;
	open_client(world, &client);
	assert_int_equal(SSL_set_alpn_protos(client.ssl, offers, ALPN_LEN), 0);
	assert_true(SSL_do_handshake(client.ssl) < 0);
	char *hello;
	size_t len = (size_t)BIO_get_mem_data(client.out, &hello);
	assert_in_range(len, ALPN_LEN, TLS_HELLO_MAX);
	uint8_t *data = malloc(len * (HEADER_LEN + 1));
	size_t at = 0;
	for (size_t from = HEADER_LEN; from < len;) {
		size_t n = from == HEADER_LEN ? HEAD_LEN : 1;
		memcpy(data + at, hello, HEADER_LEN);
		wire_put16(data + at + 3, (uint16_t)n);
		memcpy(data + at + HEADER_LEN, hello + from, n);
		at += HEADER_LEN + n;
		from += n;
	}
	close_client(&client);
	free(offers);
	*ret_data = data;
	return at;
}

/* In a handshake, too: pieces of a message take turns as signatures do. */
static void test_small_records_of_handshake(void **unused)
{
	(void)unused;
	static struct asker clients[CLIENTS_N];
	struct world world;
	setup(&world);
	uint8_t *data;
	size_t len = make_bytewise_hello(&world, &data);
	while (turn(&world) || tcp_server_open_n(world.tcp.server)) {
	}
	uint64_t failures_n = world.tcp.net->counters.tls_handshake_failures;
	for (size_t i = 0; i < CLIENTS_N; i++) {
		open_client(&world, &clients[i]);
		BIO_write(clients[i].out, data, (int)len);
		send_some(&clients[i]);
	}
	free(data);
	world.taken_most = 0;
	/* What is offered is not to be had, so each ends by a refusal, when all of it has been read. */
	for (unsigned i = 0;
	     i < LOOKS_MAX && world.tcp.net->counters.tls_handshake_failures < failures_n + CLIENTS_N; i++) {
		turn(&world);
		for (size_t j = 0; j < CLIENTS_N; j++)
			send_some(&clients[j]);
	}
	assert_int_equal(world.tcp.net->counters.tls_handshake_failures, failures_n + CLIENTS_N);
	if (world.taken_most > 3 * (uint64_t)TCP_TLS_READ_BYTES)
		fail_msg("%llu bytes of handshakes between two looks", (unsigned long long)world.taken_most);
	for (size_t i = 0; i < CLIENTS_N; i++)
		close_client(&clients[i]);
	teardown(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_small_records, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_answered, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_small_records_of_handshake, folder_setup,
		                                folder_teardown),
	};
	return cmocka_run_group_tests_name("tcp_tls", tests, NULL, NULL);
}
