/*
 * accept: a listening socket in a loop.
 *
 *     uv_poll: readable ──> accept4 up to 64 ──> accepted(fd) each
 *                              ├─ no descriptor or memory: failed(), else rest for a moment
 *                              └─ it listens no more: begin again to listen, and rest for a moment
 *
 * uv_listen() is not used: where accept() fails for lack of descriptors, libuv 1.44 calls it again at once,
 * for ever, and the loop does nothing else. (It keeps a descriptor in reserve against that, and closes who
 * waits; another thread may be quicker.)
 */
#ifndef DNSD_LOOP_ACCEPT_H
#define DNSD_LOOP_ACCEPT_H

#include <stdbool.h>
#include <uv.h>

/** How many may wait to be accepted. */
#define ACCEPT_BACKLOG 511

struct acceptor {
	uv_poll_t poll; /* first; data: for the owner */
	uv_timer_t rest;
	int fd;
	bool paused;
	/** A connection, non-blocking and close-on-exec; the callee owns fd. */
	void (*accepted)(struct acceptor *acceptor, int fd);
	/** No descriptor or memory is there for who waits. Returns true when a descriptor was freed since. */
	bool (*failed)(struct acceptor *acceptor);
	/** The socket had ceased to listen, and does again. NULL after acceptor_open(): nobody wants to know.
	 */
	void (*revived)(struct acceptor *acceptor);
	uv_close_cb closed;
};

/** Serve a listening socket, non-blocking, which is owned from here on. Returns 0 or negative errno: then no
 * handle is open, and fd is the caller's still. */
int acceptor_open(struct acceptor *acceptor, uv_loop_t *loop, int fd,
                  void (*accepted)(struct acceptor *acceptor, int fd),
                  bool (*failed)(struct acceptor *acceptor));
/** Accept nothing more, from accepted() too; who comes waits in the backlog. */
void acceptor_pause(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);
/** Accept what waits in the backlog: with the last descriptor of the socket it would be reset. */
void acceptor_drain(struct acceptor *acceptor);
/** closed(poll handle) is called when the memory may go; NULL is fine. */
void acceptor_close(struct acceptor *acceptor, uv_close_cb closed);

#endif
