#include "loop/accept.h"

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
	if (!acceptor->paused)
		uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
}

/* Connections that wait, at most so many. */
static void accept_waiting(struct acceptor *acceptor, unsigned most, bool *ret_exhausted)
{
	for (unsigned i = 0; i < most && !acceptor->paused; i++) {
		int fd = accept_one(acceptor, ret_exhausted);
		if (fd < 0)
			break;
		acceptor->accepted(acceptor, fd);
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct acceptor *acceptor = (struct acceptor *)poll;
	bool exhausted = status < 0;
	(void)events;
	if (!exhausted)
		accept_waiting(acceptor, ACCEPTS_A_WAKEUP, &exhausted);
	if (exhausted) {
		uv_poll_stop(poll);
		uv_timer_start(&acceptor->rest, on_rested, REST_MS, 0);
	}
}

int acceptor_open(struct acceptor *acceptor, uv_loop_t *loop, int fd,
                  void (*accepted)(struct acceptor *acceptor, int fd),
                  bool (*failed)(struct acceptor *acceptor))
{
	int rc = uv_poll_init(loop, &acceptor->poll, fd);
	if (rc < 0)
		return rc;
	uv_timer_init(loop, &acceptor->rest);
	acceptor->rest.data = acceptor;
	acceptor->fd = fd;
	acceptor->paused = false;
	acceptor->accepted = accepted;
	acceptor->failed = failed;
	uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
	return 0;
}

void acceptor_pause(struct acceptor *acceptor)
{
	acceptor->paused = true;
	uv_poll_stop(&acceptor->poll);
}

void acceptor_resume(struct acceptor *acceptor)
{
	acceptor->paused = false;
	uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
}

void acceptor_drain(struct acceptor *acceptor)
{
	bool exhausted = false;
	accept_waiting(acceptor, ACCEPTS_AT_CLOSE, &exhausted);
}

static void on_rest_closed(uv_handle_t *handle)
{
	struct acceptor *acceptor = handle->data;
	if (acceptor->closed)
		acceptor->closed((uv_handle_t *)&acceptor->poll);
}

static void on_poll_closed(uv_handle_t *handle)
{
	uv_close((uv_handle_t *)&((struct acceptor *)handle)->rest, on_rest_closed);
}

void acceptor_close(struct acceptor *acceptor, uv_close_cb closed)
{
	acceptor->closed = closed;
	/* uv_close() takes the number out of epoll, even behind uv_poll_stop(): by then it must be ours
	 * still. */
	uv_close((uv_handle_t *)&acceptor->poll, on_poll_closed);
	close(acceptor->fd);
}
