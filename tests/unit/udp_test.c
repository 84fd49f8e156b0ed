/*
 * The UDP socket of a worker in a loop of its own: when much comes, and what the kernel may report at it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/udp.h"
#include "tests/unit/support/store_fixture.h"
#include "wire/request.h"
#include "wire/wire.h"

#define WAIT_MS 20000
#define BATCH   64 /* of udp.c */

static const char zone[] =
        "$TTL 3600\n@ SOA ns1 hostmaster 7 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.53\n";

struct world {
	struct fixture fixture;
	uv_loop_t loop;
	uv_timer_t timer;
	bool late;
	struct udp_buffers *buffers;
	struct net_context *net;
	struct udp_socket udp;
	struct sockaddr_in addr; /* of the server */
	int feeder;              /* sends a batch of questions for each that is read; -1 = nobody does */
	unsigned batches_n;
	unsigned unwatched_n; /* of them with the socket out of epoll's set */
};

static struct world *current; /* whose batches are looked at */

static void send_question(const struct world *world, int fd);

static void between_batches(struct net_context *net)
{
	struct world *world = current;
	(void)net;
	if (!world)
		return;
	/* As it is told now, or not at all. */
	struct epoll_event event = { .events = EPOLLIN, .data.fd = world->udp.fd };
	world->batches_n++;
	if (epoll_ctl(uv_backend_fd(&world->loop), EPOLL_CTL_MOD, world->udp.fd, &event) < 0) {
		assert_int_equal(errno, ENOENT);
		world->unwatched_n++;
	}
	for (unsigned i = 0; i < BATCH && world->feeder >= 0; i++)
		send_question(world, world->feeder);
}

static int open_socket(uint16_t port, struct sockaddr_in *ret_addr)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		                    .sin_port = htons(port),
		                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_addr = addr;
	return fd;
}

/* The server on that socket, of which the world has the address. */
static void setup_on(struct world *world, int fd)
{
	memset(world, 0, sizeof(*world));
	world->feeder = -1;
	fixture_init(&world->fixture, zone, NULL);
	world->net = calloc(1, sizeof(*world->net));
	world->buffers = udp_buffers_create();
	assert_true(world->net && world->buffers);
	world->net->data = &world->fixture.data;
	world->net->between_batches = between_batches;
	assert_int_equal(uv_loop_init(&world->loop), 0);
	assert_int_equal(uv_timer_init(&world->loop, &world->timer), 0);
	assert_int_equal(udp_open(&world->udp, &world->loop, fd, false, world->buffers, world->net), 0);
}

static void setup(struct world *world)
{
	struct sockaddr_in addr;
	setup_on(world, open_socket(0, &addr));
	world->addr = addr;
}

static void end(struct world *world)
{
	current = NULL;
	uv_close((uv_handle_t *)&world->timer, NULL);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&world->loop), 0);
	udp_buffers_destroy(world->buffers);
	free(world->net);
	fixture_fini(&world->fixture);
}

static void teardown(struct world *world)
{
	udp_close(&world->udp, NULL);
	end(world);
}

static void on_late(uv_timer_t *timer)
{
	((struct world *)timer->data)->late = true;
}

/* Let the server work until it has had so many requests. Returns false when it does not get them. */
static bool serve(struct world *world, uint64_t queries_n)
{
	world->timer.data = world;
	world->late = false;
	uv_timer_start(&world->timer, on_late, WAIT_MS, 0);
	while (world->net->state.counters.queries_udp < queries_n && !world->late)
		uv_run(&world->loop, UV_RUN_ONCE);
	uv_timer_stop(&world->timer);
	return !world->late;
}

/* Let it work until the kernel has reported something. */
static bool meet_error(struct world *world)
{
	world->timer.data = world;
	world->late = false;
	uv_timer_start(&world->timer, on_late, WAIT_MS, 0);
	while (world->net->counters.udp_receive_errors == 0 && !world->late)
		uv_run(&world->loop, UV_RUN_ONCE);
	uv_timer_stop(&world->timer);
	return !world->late;
}

static void send_question(const struct world *world, int fd)
{
	static const uint8_t name[] = "\3ns1\7example\3net";
	uint8_t req[WIRE_REQUEST_MAX];
	size_t len = wire_request_make(name, sizeof(name), WIRE_TYPE_A, WIRE_CLASS_IN, 1232, NULL, req);
	assert_int_equal(sendto(fd, req, len, 0, (const struct sockaddr *)&world->addr, sizeof(world->addr)),
	                 len);
}

/* One client has gone before its answer comes, and the kernel says so; the next is served as ever. */
static void ask_after_error(struct world *world)
{
	struct sockaddr_in addr;
	int gone = open_socket(0, &addr);
	send_question(world, gone);
	close(gone);
	assert_true(serve(world, 1));
	int client = open_socket(ntohs(addr.sin_port), &addr);
	assert_true(meet_error(world));
	send_question(world, client);
	assert_true(serve(world, 2));
	uint8_t answer[512];
	assert_true(recv(client, answer, sizeof(answer), 0) > 0);
	assert_int_equal(answer[7], 1);
	close(client);
	assert_int_equal(world->net->counters.udp_socket_errors, world->net->counters.udp_receive_errors);
	/* Nothing is left that would keep the loop awake. */
	for (unsigned i = 0; i < 3; i++)
		uv_run(&world->loop, UV_RUN_NOWAIT);
	uint64_t errors_n = world->net->counters.udp_receive_errors;
	for (unsigned i = 0; i < 20; i++)
		uv_run(&world->loop, UV_RUN_NOWAIT);
	assert_int_equal(world->net->counters.udp_receive_errors, errors_n);
}

/* A socket that came from elsewhere (takeover, socket activation) may have the queue of errors switched on.
 */
static void test_error_queue(void **unused)
{
	(void)unused;
	struct world world;
	int on = 1;
	setup(&world);
	assert_int_equal(setsockopt(world.udp.fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
	ask_after_error(&world);
	teardown(&world);
}

/* The error of a connected socket, which is on the socket itself. */
static void test_socket_error(void **unused)
{
	(void)unused;
	struct world world;
	struct sockaddr_in addr;
	setup(&world);
	int probe = open_socket(0, &addr);
	close(probe);
	assert_int_equal(connect(world.udp.fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(send(world.udp.fd, "x", 1, 0), 1); /* nobody is there: ICMP */
	assert_true(meet_error(&world));
	int client = open_socket(ntohs(addr.sin_port), &addr);
	send_question(&world, client);
	assert_true(serve(&world, 1));
	close(client);
	teardown(&world);
}

static void count_answers(int fd, unsigned want)
{
	uint8_t answer[512];
	for (unsigned i = 0; i < want; i++)
		assert_true(recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0);
	assert_int_equal(recv(fd, answer, sizeof(answer), MSG_DONTWAIT), -1);
}

/* While batches are full nobody waits at the socket; all are answered, and who comes later too. */
static void test_full_batches(void **unused)
{
	(void)unused;
	struct world world;
	struct sockaddr_in addr;
	const unsigned rest = 5;
	setup(&world);
	current = &world;
	int client = open_socket(0, &addr);
	for (unsigned i = 0; i < 2 * BATCH + rest; i++)
		send_question(&world, client);
	assert_true(serve(&world, 2 * BATCH + rest));
	count_answers(client, 2 * BATCH + rest);
	assert_int_equal(world.batches_n, 3);
	assert_int_equal(world.unwatched_n, 3);
	assert_false(uv_is_active((const uv_handle_t *)&world.udp.turns));

	send_question(&world, client);
	assert_true(serve(&world, 2 * BATCH + rest + 1));
	count_answers(client, 1);
	assert_int_equal(world.batches_n, 4);
	assert_int_equal(world.unwatched_n, 3);

	/* Nothing at all behind a full batch. */
	for (unsigned i = 0; i < BATCH; i++)
		send_question(&world, client);
	assert_true(serve(&world, 3 * BATCH + rest + 1));
	count_answers(client, BATCH);
	assert_false(uv_is_active((const uv_handle_t *)&world.udp.turns));
	send_question(&world, client);
	assert_true(serve(&world, 3 * BATCH + rest + 2));
	count_answers(client, 1);
	close(client);
	teardown(&world);
}

/* However much comes, the rest of the loop has its turn; and what waits when it closes is answered still. */
static void test_endless(void **unused)
{
	(void)unused;
	struct world world;
	struct sockaddr_in addr;
	setup(&world);
	current = &world;
	world.feeder = open_socket(0, &addr);
	for (unsigned i = 0; i < BATCH; i++)
		send_question(&world, world.feeder);
	uv_run(&world.loop, UV_RUN_NOWAIT);
	unsigned a_round = world.batches_n;
	assert_in_range(a_round, 2, 16);
	for (unsigned i = 2; i < 5; i++) {
		uv_run(&world.loop, UV_RUN_NOWAIT);
		assert_int_equal(world.batches_n, i * a_round);
	}
	assert_int_equal(world.unwatched_n, world.batches_n);
	int client = world.feeder;
	world.feeder = -1;
	teardown(&world);
	assert_int_equal(world.batches_n, 4 * a_round + 1);
	close(client);
}

static void on_close_time(uv_timer_t *timer)
{
	struct world *world = timer->data;
	world->feeder = -1;
	udp_close(&world->udp, NULL);
}

/* Closed between two turns: none follows. */
static void test_closed_when_busy(void **unused)
{
	(void)unused;
	struct world world;
	struct sockaddr_in addr;
	setup(&world);
	current = &world;
	int client = open_socket(0, &addr);
	world.feeder = client;
	for (unsigned i = 0; i < BATCH; i++)
		send_question(&world, client);
	uv_run(&world.loop, UV_RUN_NOWAIT);
	assert_true(uv_is_active((const uv_handle_t *)&world.udp.turns));
	world.timer.data = &world;
	uv_timer_start(&world.timer, on_close_time, 0, 0);
	uv_run(&world.loop, UV_RUN_NOWAIT);
	assert_true(uv_is_closing((const uv_handle_t *)&world.udp.poll));
	assert_int_equal(world.net->counters.udp_receive_errors, 0);
	close(client);
	end(&world);
}

/* Closed in the very moment in which it has rested enough. */
static void test_closed_at_rest(void **unused)
{
	(void)unused;
	struct world world;
	int ends[2];
	const struct timespec past_rest = { .tv_nsec = 100000000 };
	/* Always readable, and no socket: nothing can ever be received. */
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	setup_on(&world, ends[0]);
	for (unsigned i = 0; i < 100 && world.net->counters.udp_rests == 0; i++)
		uv_run(&world.loop, UV_RUN_NOWAIT);
	assert_int_equal(world.net->counters.udp_rests, 1);
	world.timer.data = &world;
	uv_timer_start(&world.timer, on_close_time, 1, 0);
	/* Both timers are due in the same round of the loop, this one first. */
	nanosleep(&past_rest, NULL);
	uv_run(&world.loop, UV_RUN_NOWAIT);
	assert_true(uv_is_closing((const uv_handle_t *)&world.udp.poll));
	close(ends[1]);
	end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_queue),      cmocka_unit_test(test_socket_error),
		cmocka_unit_test(test_full_batches),     cmocka_unit_test(test_endless),
		cmocka_unit_test(test_closed_when_busy), cmocka_unit_test(test_closed_at_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
