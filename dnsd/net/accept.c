#include "net/accept.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* A bound, so that UDP and the connections get their turn in a storm of new ones. */
#define ACCEPTS_A_WAKEUP 64
#define ACCEPTS_AT_CLOSE 1024
/* Descriptors come back when connections end; until then the new ones wait in the backlog. */
#define REST_MS 50

/* Returns the descriptor, or -1: none waits, or none can be had. */
static int accept_one(struct acceptor *acceptor, bool *ret_exhausted)
{
	bool freed = false;
	for (;;) {
		int fd = accept4(acceptor->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0 || errno == EAGAIN)
			return fd;
		/* Its peer is gone already; accept(2) lists the errors that are a connection's own. */
		if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == EPERM)
			continue;
		if (freed || !acceptor->failed(acceptor)) {
			*ret_exhausted = true;
			return -1;
		}
		freed = true;
	}
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_rested(uv_timer_t *timer)
{
	struct acceptor *acceptor = timer->data;
	uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct acceptor *acceptor = (struct acceptor *)poll;
	bool exhausted = status < 0;
	(void)events;
	for (unsigned i = 0; i < ACCEPTS_A_WAKEUP && !exhausted; i++) {
		int fd = accept_one(acceptor, &exhausted);
		if (fd < 0)
			break;
		acceptor->accepted(acceptor, fd);
	}
	if (exhausted) {
		uv_poll_stop(poll);
		uv_timer_start(&acceptor->rest, on_rested, REST_MS, 0);
	}
}

int acceptor_open(struct acceptor *acceptor, uv_loop_t *loop, int fd,
                  void (*accepted)(struct acceptor *acceptor, int fd),
                  bool (*failed)(struct acceptor *acceptor))
{
	acceptor->fd = fd;
	acceptor->accepted = accepted;
	acceptor->failed = failed;
	int rc = uv_timer_init(loop, &acceptor->rest);
	acceptor->rest.data = acceptor;
	if (rc == 0)
		rc = uv_poll_init(loop, &acceptor->poll, fd);
	if (rc == 0)
		rc = uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
	return rc;
}

static void on_rest_closed(uv_handle_t *handle)
{
	struct acceptor *acceptor = handle->data;
	acceptor->closed((uv_handle_t *)&acceptor->poll);
}

static void on_poll_closed(uv_handle_t *handle)
{
	uv_close((uv_handle_t *)&((struct acceptor *)handle)->rest, on_rest_closed);
}

void acceptor_close(struct acceptor *acceptor, uv_close_cb closed)
{
	/* Connections the kernel has accepted for us would be reset with the socket. */
	bool exhausted = false;
	for (unsigned i = 0; i < ACCEPTS_AT_CLOSE; i++) {
		int fd = accept_one(acceptor, &exhausted);
		if (fd < 0)
			break;
		acceptor->accepted(acceptor, fd);
	}
	acceptor->closed = closed;
	/* uv_close() takes the number out of epoll, even behind uv_poll_stop(): by then it must be ours
	 * still. */
	uv_close((uv_handle_t *)&acceptor->poll, on_poll_closed);
	close(acceptor->fd);
}
