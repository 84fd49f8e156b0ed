/*
 * Connections accepted in a loop, and what may be wrong with the listening socket. accept4() is this
 * program's own, so that it can fail.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/accept.h"
#include "net/listener.h"

#define WAIT_MS 5000
/* Nothing that is right calls so often; then it works again, and a test that fails comes to its end. */
#define CALLS_MAX 5000

struct world {
	struct acceptor acceptor; /* first */
	uv_loop_t loop;
	uv_timer_t timer;
	bool late;
	struct listener listener;
	unsigned failed_n;
	unsigned failed_goods; /* so many times it frees a descriptor */
	unsigned revived_n;
	unsigned accepted_n;
	int accepted_fd; /* the last one */
};

static int error; /* of accept4(); 0 = none */
static unsigned calls_n;

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	if (error && ++calls_n < CALLS_MAX) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_accept4, fd, addr, len, flags);
}

static void on_accepted(struct acceptor *acceptor, int fd)
{
	struct world *world = (struct world *)acceptor;
	if (world->accepted_fd >= 0)
		close(world->accepted_fd);
	world->accepted_fd = fd;
	world->accepted_n++;
}

static bool on_failed(struct acceptor *acceptor)
{
	struct world *world = (struct world *)acceptor;
	world->failed_n++;
	if (world->failed_goods == 0)
		return false;
	world->failed_goods--;
	return true;
}

static void on_revived(struct acceptor *acceptor)
{
	((struct world *)acceptor)->revived_n++;
}

static void setup(struct world *world)
{
	struct sockaddr_storage addr = { .ss_family = AF_INET };
	struct diag diag;
	memset(world, 0, sizeof(*world));
	((struct sockaddr_in *)&addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	diag_init(&diag);
	assert_int_equal(listener_open_tls(&addr, NULL, 0, &diag, &world->listener), 0);
	diag_fini(&diag);
	world->accepted_fd = -1;
	error = 0;
	calls_n = 0;
	assert_int_equal(uv_loop_init(&world->loop), 0);
	assert_int_equal(uv_timer_init(&world->loop, &world->timer), 0);
	assert_int_equal(
	        acceptor_open(&world->acceptor, &world->loop, world->listener.tcp_fd, on_accepted, on_failed),
	        0);
	world->acceptor.revived = on_revived;
}

static void end(struct world *world)
{
	if (world->accepted_fd >= 0)
		close(world->accepted_fd);
	uv_close((uv_handle_t *)&world->timer, NULL);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&world->loop), 0);
}

static void teardown(struct world *world)
{
	acceptor_close(&world->acceptor, NULL);
	end(world);
}

static void on_late(uv_timer_t *timer)
{
	((struct world *)timer->data)->late = true;
}

/* Run the loop until the number is reached. */
static void wait_for(struct world *world, const unsigned *number, unsigned want)
{
	world->timer.data = world;
	world->late = false;
	uv_timer_start(&world->timer, on_late, WAIT_MS, 0);
	while (*number < want && !world->late)
		uv_run(&world->loop, UV_RUN_ONCE);
	uv_timer_stop(&world->timer);
	assert_int_equal(*number, want);
}

static int begin_client(const struct world *world)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(
	        connect(fd, (const struct sockaddr *)&world->listener.addr, sizeof(struct sockaddr_in)), 0);
	return fd;
}

/* A client that is accepted, and hears what is said to it. */
static void serve_client(struct world *world)
{
	char byte = 0;
	int fd = begin_client(world);
	wait_for(world, &world->accepted_n, world->accepted_n + 1);
	assert_int_equal(send(world->accepted_fd, "y", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 'y');
	close(fd);
}

/* Another process that has the socket ends it, again and again: it listens on. Nobody has to make room for
 * that. */
static void test_ended(void **unused)
{
	(void)unused;
	struct world world;
	setup(&world);
	serve_client(&world);
	for (unsigned i = 1; i <= 3; i++) {
		int other = dup(world.listener.tcp_fd);
		assert_int_equal(shutdown(other, SHUT_RD), 0);
		close(other);
		wait_for(&world, &world.revived_n, i);
		serve_client(&world);
		serve_client(&world);
	}
	assert_int_equal(world.failed_n, 0);
	teardown(&world);
}

/* One that does listen is left alone, whatever accept() says: who waits would be reset. */
static void test_unusable(void **unused)
{
	(void)unused;
	struct world world;
	setup(&world);
	int fd = begin_client(&world);
	error = EINVAL;
	for (unsigned i = 0; i < 3; i++)
		uv_run(&world.loop, UV_RUN_NOWAIT);
	assert_int_equal(world.revived_n + world.failed_n + world.accepted_n, 0);
	error = 0;
	wait_for(&world, &world.accepted_n, 1);
	close(fd);
	teardown(&world);
}

/* Each connection is refused to us, by a security module say: all others in the loop get their turn. */
static void test_refused(void **unused)
{
	(void)unused;
	struct world world;
	setup(&world);
	int fd = begin_client(&world);
	error = EPERM;
	for (unsigned i = 0; i < 3; i++)
		uv_run(&world.loop, UV_RUN_NOWAIT);
	assert_true(calls_n > 0);
	assert_true(calls_n <= 3 * 64);
	assert_int_equal(world.failed_n + world.accepted_n, 0);
	error = 0;
	wait_for(&world, &world.accepted_n, 1);
	close(fd);
	teardown(&world);
}

/* No descriptor: asked for room each time, and tried once more where there was some. */
static void test_shortage(void **unused)
{
	(void)unused;
	struct world world;
	setup(&world);
	int fd = begin_client(&world);
	error = EMFILE;
	wait_for(&world, &world.failed_n, 1);
	assert_int_equal(calls_n, 1);
	world.failed_goods = 1;
	wait_for(&world, &world.failed_n, 2);
	assert_int_equal(calls_n, 3);
	error = 0;
	wait_for(&world, &world.accepted_n, 1);
	assert_int_equal(world.revived_n, 0);
	close(fd);
	teardown(&world);
}

static void on_close_time(uv_timer_t *timer)
{
	acceptor_close(&((struct world *)timer->data)->acceptor, NULL);
}

/* Closed in the very moment in which it has rested enough. */
static void test_closed_at_rest(void **unused)
{
	(void)unused;
	struct world world;
	const struct timespec past_rest = { .tv_nsec = 100000000 };
	setup(&world);
	int fd = begin_client(&world);
	error = EMFILE;
	wait_for(&world, &world.failed_n, 1);
	uv_timer_start(&world.timer, on_close_time, 1, 0);
	/* Both timers are due in the same round of the loop, this one first. */
	nanosleep(&past_rest, NULL);
	uv_run(&world.loop, UV_RUN_NOWAIT);
	assert_true(uv_is_closing((const uv_handle_t *)&world.acceptor.poll));
	close(fd);
	end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ended),          cmocka_unit_test(test_unusable),
		cmocka_unit_test(test_refused),        cmocka_unit_test(test_shortage),
		cmocka_unit_test(test_closed_at_rest),
	};
	return cmocka_run_group_tests_name("accept", tests, NULL, NULL);
}
