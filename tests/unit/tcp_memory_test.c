/*
 * TCP connections of a worker while memory runs out: each allocation fails once. The connection that needed
 * it may end; the server goes on, and the next connection is served.
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

#include <cmocka.h>

#include "tests/unit/failing/failing.h"
#include "tests/unit/support/tcp_fixture.h"
#include "wire/request.h"
#include "wire/wire.h"

#define QUESTIONS_N 400
#define ROUNDS_MAX  20000

static const char zone[] =
        "$TTL 3600\n@ SOA ns1 hostmaster 7 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.53\n";

/* What an accepted socket does not take has to be kept. */
#define SEND_BUFFER 4096

static int connect_client(const struct tcp_fixture *world)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int small = 4096;
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&world->addr, sizeof(world->addr)), 0);
	return fd;
}

static void turn(struct tcp_fixture *world, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		uv_run(&world->loop, UV_RUN_NOWAIT);
}

/* Bytes of answers until so many have come, or the server has closed. */
static size_t receive(struct tcp_fixture *world, int fd, size_t most)
{
	uint8_t data[4096];
	size_t got = 0;
	for (unsigned i = 0; i < ROUNDS_MAX && got < most; i++) {
		turn(world, 1);
		ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	return got;
}

/* Half a request, the other half with many more, and only then the answers are read. */
static size_t talk(struct tcp_fixture *world, const uint8_t *frames, size_t frame_len, size_t answers_len)
{
	int fd = connect_client(world);
	turn(world, 3);
	(void)send(fd, frames, 5, MSG_NOSIGNAL);
	turn(world, 3);
	(void)send(fd, frames + 5, QUESTIONS_N * frame_len - 5, MSG_NOSIGNAL | MSG_DONTWAIT);
	turn(world, 20);
	size_t got = receive(world, fd, answers_len);
	close(fd);
	turn(world, 5);
	return got;
}

static void test_connections(void **unused)
{
	(void)unused;
	static const uint8_t name[] = "\2db\3big\7example\3net";
	static uint8_t frames[QUESTIONS_N * (2 + WIRE_REQUEST_MAX)];
	static uint8_t resp[ANSWER_TCP_MAX];
	struct tcp_fixture world;
	tcp_fixture_init(&world, zone, NULL, SEND_BUFFER);
	size_t len =
	        wire_request_make(name, sizeof(name), WIRE_TYPE_A, WIRE_CLASS_IN, 1232, NULL, frames + 2);
	wire_put16(frames, (uint16_t)len);
	for (unsigned i = 1; i < QUESTIONS_N; i++)
		memcpy(frames + i * (len + 2), frames, len + 2);
	struct fixture_question question = { .name = "db.big.example.net",
		                             .type = WIRE_TYPE_A,
		                             .edns_size = 1232,
		                             .transport = TRANSPORT_TCP };
	size_t all = QUESTIONS_N * (2 + fixture_send(&world.fixture, &question, resp));
	bool done = false;
	unsigned ended_n = 0;
	for (uint64_t nth = 1; !done; nth++) {
		failing_start(nth);
		size_t got = talk(&world, frames, len + 2, all);
		done = failing_stop() < nth;
		assert_true(got <= all);
		assert_true(got == all || !done);
		ended_n += got < all;
		assert_int_equal(tcp_server_open_n(world.server), 0);
		assert_int_equal(world.net->counters.tcp_open, 0);
	}
	/* At the connection, at half a request, at answers that wait. */
	assert_true(ended_n >= 3);
	assert_int_equal(talk(&world, frames, len + 2, all), all);
	tcp_fixture_fini(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
