/* What TCP clients are told of the idle limit, by how the server is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/tcp_int.h"

#define IDLE_MS     60000
#define CLIENTS_MAX 100

static const struct tcp_limits limits = { .idle_ms = IDLE_MS, .clients_max = CLIENTS_MAX };

static struct tcp_server *create(uv_loop_t *loop, struct net_context *net)
{
	struct tcp_server *server;
	assert_int_equal(uv_loop_init(loop), 0);
	assert_int_equal(tcp_server_create(loop, net, &limits, &server), 0);
	return server;
}

static void destroy(uv_loop_t *loop, struct tcp_server *server)
{
	tcp_server_close(server);
	uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(loop), 0);
	tcp_server_destroy(server);
}

/* RFC 7828 section 3.3.2: what will be applied, and 0 for "close". */
static void test_keepalive(void **state)
{
	static struct net_context net;
	uv_loop_t loop;
	struct tcp_server *server = create(&loop, &net);
	(void)state;
	assert_int_equal(tcp_server_keepalive_ms(server), IDLE_MS);
	uint32_t before_ms = IDLE_MS;
	for (server->open_n = 1; server->open_n < CLIENTS_MAX; server->open_n++) {
		uint32_t told_ms = tcp_server_keepalive_ms(server);
		assert_int_equal(told_ms, tcp_server_idle_ms(server));
		assert_true(server->open_n <= CLIENTS_MAX / 2 ? told_ms == IDLE_MS : told_ms < before_ms);
		assert_true(told_ms >= 1000);
		before_ms = told_ms;
	}
	assert_int_equal(tcp_server_keepalive_ms(server), 0); /* each new one takes an idle one's place */
	server->open_n = 0;
	tcp_server_leave(server);
	assert_int_equal(tcp_server_keepalive_ms(server), 0);
	destroy(&loop, server);
	server = create(&loop, &net);
	uv_update_time(&loop);
	tcp_server_drain(server);
	assert_int_equal(tcp_server_keepalive_ms(server), 0);
	destroy(&loop, server);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_keepalive) };
	return cmocka_run_group_tests_name("tcp_server", tests, NULL, NULL);
}
