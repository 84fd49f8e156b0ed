#include "tests/unit/support/tcp_fixture.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tls/tls.h"

#define BACKLOG 64

static void between_batches(struct net_context *net)
{
	(void)net;
}

static int open_listener(int send_buffer, struct sockaddr_in *ret_addr)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	if (send_buffer)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, BACKLOG), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_addr = addr;
	return fd;
}

void tcp_fixture_init(struct tcp_fixture *fixture, const char *zone, struct tls_context *tls, int send_buffer)
{
	memset(fixture, 0, sizeof(*fixture));
	fixture_init(&fixture->fixture, zone, NULL);
	fixture->tls = tls;
	fixture->net = calloc(1, sizeof(*fixture->net));
	assert_non_null(fixture->net);
	fixture->net->data = &fixture->fixture.data;
	fixture->net->between_batches = between_batches;
	assert_int_equal(uv_loop_init(&fixture->loop), 0);
	struct tcp_limits limits = { .idle_ms = 60000, .clients_max = 100, .tls = tls };
	assert_int_equal(tcp_server_create(&fixture->loop, fixture->net, &limits, &fixture->server), 0);
	int fd = open_listener(send_buffer, &fixture->addr);
	assert_int_equal(tcp_listen(&fixture->listener, fixture->server, fd, tls != NULL), 0);
}

void tcp_fixture_fini(struct tcp_fixture *fixture)
{
	tcp_listener_close(&fixture->listener, NULL);
	tcp_server_close(fixture->server);
	uv_run(&fixture->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&fixture->loop), 0);
	tcp_server_destroy(fixture->server);
	if (fixture->tls)
		tls_context_unref(fixture->tls);
	free(fixture->net);
	fixture_fini(&fixture->fixture);
}
