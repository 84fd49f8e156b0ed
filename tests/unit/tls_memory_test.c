/*
 * TLS connections of a worker while memory runs out, also inside OpenSSL: one allocation fails, from the
 * connection's first to its end. That connection is served or ended; the server goes on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cmocka.h>

#include "tests/unit/failing/failing.h"
#include "tests/unit/support/certificate.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/tcp_fixture.h"
#include "tls/tls.h"
#include "wire/request.h"
#include "wire/wire.h"

#define QUESTIONS_N 20
#define ROUNDS_MAX  100000

static const char zone[] =
        "$TTL 3600\n@ SOA ns1 hostmaster 7 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.53\n";

/* --- OpenSSL's memory: the server's share is counted and fails, the client's does not --- */

static bool is_client;

void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);

static void *ssl_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return is_client ? __real_malloc(size) : malloc(size);
}

static void *ssl_realloc(void *old, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return is_client ? __real_realloc(old, size) : realloc(old, size);
}

static void ssl_free(void *memory, const char *file, int line)
{
	(void)file;
	(void)line;
	free(memory);
}

/* --- a server --- */

struct world {
	struct tcp_fixture tcp;
	SSL_CTX *client;
	uint8_t frames[QUESTIONS_N * (2 + WIRE_REQUEST_MAX)];
	size_t frames_len;
	size_t answers_len;
};

static void setup(struct world *world)
{
	struct tls_context *tls;
	struct diag diag;
	memset(world, 0, sizeof(*world));
	diag_init(&diag);
	assert_int_equal(
	        tls_context_create(folder_path("tls.crt"), folder_path("tls.key"), NULL, &diag, &tls), 0);
	diag_fini(&diag);
	tcp_fixture_init(&world->tcp, zone, tls, 0);

	static const uint8_t name[] = "\2db\3big\7example\3net";
	static uint8_t resp[ANSWER_TCP_MAX];
	size_t request_len = wire_request_make(name, sizeof(name), WIRE_TYPE_A, WIRE_CLASS_IN, 1232, NULL,
	                                       world->frames + 2);
	wire_put16(world->frames, (uint16_t)request_len);
	for (size_t i = 1; i < QUESTIONS_N; i++)
		memcpy(world->frames + i * (request_len + 2), world->frames, request_len + 2);
	world->frames_len = QUESTIONS_N * (request_len + 2);
	struct fixture_question question = { .name = "db.big.example.net",
		                             .type = WIRE_TYPE_A,
		                             .edns_size = 1232,
		                             .transport = TRANSPORT_TCP };
	world->answers_len = QUESTIONS_N * (2 + fixture_send(&world->tcp.fixture, &question, resp));
}

static void teardown(struct world *world)
{
	tcp_fixture_fini(&world->tcp);
	SSL_CTX_free(world->client);
}

/* --- a client --- */

struct tls_client {
	SSL *ssl;
	size_t sent_len;
	size_t got_len;
	bool has_ended;
};

static void step(const struct world *world, struct tls_client *client)
{
	static uint8_t data[65536];
	size_t n;
	int rc = 1;
	ERR_clear_error();
	if (client->sent_len == 0)
		rc = SSL_write_ex(client->ssl, world->frames, world->frames_len, &client->sent_len);
	while (rc == 1 && client->got_len < world->answers_len) {
		rc = SSL_read_ex(client->ssl, data, sizeof(data), &n);
		client->got_len += rc == 1 ? n : 0;
	}
	int error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(client->ssl, rc);
	client->has_ended =
	        error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
	ERR_clear_error();
}

/* Handshake, questions, answers, and the end by one side or the other. Returns whether all came. */
static bool talk(struct world *world)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&world->tcp.addr, sizeof(world->tcp.addr)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	is_client = true;
	struct tls_client client = { .ssl = SSL_new(world->client) };
	SSL_set_fd(client.ssl, fd);
	SSL_set_connect_state(client.ssl);
	for (unsigned i = 0; i < ROUNDS_MAX && !client.has_ended && client.got_len < world->answers_len;
	     i++) {
		step(world, &client);
		is_client = false;
		uv_run(&world->tcp.loop, UV_RUN_NOWAIT);
		is_client = true;
	}
	bool is_served = client.got_len == world->answers_len;
	/* Nobody is left waiting. */
	assert_true(is_served || client.has_ended);
	SSL_shutdown(client.ssl);
	SSL_free(client.ssl);
	ERR_clear_error();
	is_client = false;
	close(fd);
	for (unsigned i = 0; i < ROUNDS_MAX && tcp_server_open_n(world->tcp.server); i++)
		uv_run(&world->tcp.loop, UV_RUN_NOWAIT);
	assert_int_equal(tcp_server_open_n(world->tcp.server), 0);
	assert_int_equal(world->tcp.net->counters.tcp_open, 0);
	return is_served;
}

static void check_version(int version)
{
	struct world world;
	setup(&world);
	world.client = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_min_proto_version(world.client, version);
	SSL_CTX_set_max_proto_version(world.client, version);
	/* What OpenSSL makes once for all connections is not the subject. */
	assert_true(talk(&world));
	unsigned ended_n = 0;
	unsigned tried_n = 0;
	bool done = false;
	for (uint64_t nth = 1; !done; nth++) {
		failing_start(nth);
		bool is_served = talk(&world);
		done = failing_stop() < nth;
		assert_true(is_served || !done);
		ended_n += !is_served;
		tried_n++;
		if (nth % 8 == 0)
			assert_true(talk(&world)); /* the next one */
	}
	print_message("         %u allocations failed, %u connections ended\n", tried_n, ended_n);
	assert_true(ended_n > tried_n / 4);
	assert_true(talk(&world));
	teardown(&world);
}

static void test_tls13(void **unused)
{
	(void)unused;
	check_version(TLS1_3_VERSION);
}

static void test_tls12(void **unused)
{
	(void)unused;
	check_version(TLS1_2_VERSION);
}

static int load_context(struct world *world, uint64_t nth, uint64_t *ret_n)
{
	struct tls_context *context = NULL;
	struct diag diag;
	diag_init(&diag);
	failing_start(nth);
	int rc = tls_context_create(folder_path("tls.crt"), folder_path("tls.key"), world->tcp.tls, &diag,
	                            &context);
	*ret_n = failing_stop();
	diag_fini(&diag);
	assert_int_equal(rc == 0, context != NULL);
	tls_context_unref(context);
	return rc;
}

/* A certificate that is loaded meanwhile: there is a whole context or none. OpenSSL has thousands of
 * allocations for one, of which a hundred are tried. */
static void test_context(void **unused)
{
	(void)unused;
	struct world world;
	setup(&world);
	uint64_t n;
	unsigned failed_n = 0;
	assert_int_equal(load_context(&world, 0, &n), 0);
	uint64_t step_n = n / 100 + 1;
	for (uint64_t nth = 1; nth <= n; nth += nth < 20 ? 1 : step_n) {
		uint64_t unused_n;
		int rc = load_context(&world, nth, &unused_n);
		assert_true(rc == 0 || rc == -ENOMEM || rc == -EINVAL);
		failed_n += rc != 0;
	}
	print_message("         %u of them failed, of %u allocations\n", failed_n, (unsigned)n);
	assert_true(failed_n > 10);
	assert_int_equal(load_context(&world, 0, &n), 0);
	teardown(&world);
}

static int group_setup(void **state)
{
	int rc = folder_setup(state);
	certificate_write(folder_path("tls.crt"), folder_path("tls.key"), "test", -60, 30 * 86400L, NULL);
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls13),
		cmocka_unit_test(test_tls12),
		cmocka_unit_test(test_context),
	};
	signal(SIGPIPE, SIG_IGN);
	if (CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free) != 1)
		return 1;
	return cmocka_run_group_tests(tests, group_setup, folder_teardown);
}
