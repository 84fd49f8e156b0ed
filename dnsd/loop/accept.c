#include "loop/accept.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* A bound, so that UDP and the connections get their turn in a storm of new ones. */
#define ACCEPTS_A_WAKEUP 64
#define ACCEPTS_AT_CLOSE 1024
/* Descriptors come back when connections end; until then the new ones wait in the backlog. */
#define REST_MS 50

enum outcome {
	TAKEN,    /* those that waited, or as many as may be at a time */
	SHORT,    /* others wait, and can't be accepted now */
	UNUSABLE, /* accept() does not work on this socket */
};

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_rested(uv_timer_t *timer)
{
	struct acceptor *acceptor = timer->data;
	if (!acceptor->paused)
		uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
}

/* Its peer is gone already, or not wanted; accept(2) lists the errors that are a connection's own. */
static bool is_of_connection(int error)
{
	return error == EINTR || error == ECONNABORTED || error == EPROTO || error == EPERM;
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Connections that wait, at most so many. */
static enum outcome accept_waiting(struct acceptor *acceptor, unsigned most)
{
	bool freed = false;
	unsigned lost_n = 0;
	for (unsigned i = 0; i < most && !acceptor->paused; i++) {
		int fd = accept4(acceptor->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			freed = false;
			acceptor->accepted(acceptor, fd);
		} else if (errno == EAGAIN) {
			return TAKEN;
		} else if (is_of_connection(errno)) {
			lost_n++;
		} else if (!is_shortage(errno)) {
			return UNUSABLE;
		} else {
			if (freed || !acceptor->failed(acceptor))
				return SHORT;
			freed = true;
		}
	}
	/* Where each one is lost, the next will be too. */
	return lost_n == most ? SHORT : TAKEN;
}

/*
 * Has the socket ceased to listen? An operator has ended it ("ss -K -l"), or another process that has it too
 * (shutdown()). Its address is its own still, and it may listen again without any right. One that ss has
 * ended would reset whoever comes then; what shutdown() does to a socket that listens makes it as new.
 */
static void revive(struct acceptor *acceptor)
{
	int value = 0;
	socklen_t len = sizeof(value);
	/* Taken off, or epoll would tell it again for ever. */
	(void)getsockopt(acceptor->fd, SOL_SOCKET, SO_ERROR, &value, &len);
	if (getsockopt(acceptor->fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) < 0 || value)
		return;
	if (listen(acceptor->fd, ACCEPT_BACKLOG) == 0 && shutdown(acceptor->fd, SHUT_RD) == 0 &&
	    listen(acceptor->fd, ACCEPT_BACKLOG) == 0 && acceptor->revived)
		acceptor->revived(acceptor);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct acceptor *acceptor = (struct acceptor *)poll;
	enum outcome outcome = status < 0 ? UNUSABLE : accept_waiting(acceptor, ACCEPTS_A_WAKEUP);
	(void)events;
	if (outcome == TAKEN)
		return;
	if (outcome == UNUSABLE)
		revive(acceptor);
	/* Also behind that: whoever ends it may do so without end. */
	uv_poll_stop(poll);
	uv_timer_start(&acceptor->rest, on_rested, REST_MS, 0);
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
	acceptor->revived = NULL;
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
	(void)accept_waiting(acceptor, ACCEPTS_AT_CLOSE);
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
	uv_timer_stop(&acceptor->rest);
	/* uv_close() takes the number out of epoll, even behind uv_poll_stop(): by then it must be ours
	 * still. */
	uv_close((uv_handle_t *)&acceptor->poll, on_poll_closed);
	close(acceptor->fd);
}
