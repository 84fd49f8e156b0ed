/*
 * accept: a listening TCP socket in a loop.
 *
 *     uv_poll: readable ──> accept4 up to 64 ──> accepted(fd) each
 *                              └─ no descriptor or memory: make_room(), else rest for a moment
 *
 * uv_listen() is not used: where accept() fails for lack of descriptors, libuv 1.44 calls it again at once,
 * for ever, and the loop does nothing else, UDP included. (It keeps a descriptor in reserve against that;
 * another thread may be quicker.)
 */
#ifndef DNSD_NET_ACCEPT_H
#define DNSD_NET_ACCEPT_H

#include <stdbool.h>
#include <uv.h>

struct acceptor {
	uv_poll_t poll; /* first; data: for the owner */
	uv_timer_t rest;
	int fd;
	/** A connection, non-blocking and close-on-exec; the callee owns fd. */
	void (*accepted)(struct acceptor *acceptor, int fd);
	/** accept() has failed, as errno says. Returns true when a descriptor was freed since. */
	bool (*failed)(struct acceptor *acceptor);
	uv_close_cb closed;
};

/** Serve a listening socket, non-blocking, which is owned from here on. Returns 0 or negative errno. */
int acceptor_open(struct acceptor *acceptor, uv_loop_t *loop, int fd,
                  void (*accepted)(struct acceptor *acceptor, int fd),
                  bool (*failed)(struct acceptor *acceptor));
/** Accept what waits in the backlog, then close; closed(poll handle) is called when the memory may go. */
void acceptor_close(struct acceptor *acceptor, uv_close_cb closed);

#endif
