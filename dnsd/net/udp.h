/*
 * udp: requests in batches from one UDP socket.
 *
 *     uv_poll: readable ──> recvmmsg 64 ──> answer_query() each ──> rate limits ──> sendmmsg ──> again, up to
 * 16 times, while a batch is full
 *
 * While batches are full the socket is out of epoll's set, and each round of the loop comes by itself
 * (uv_idle): else the kernel would tell epoll of every answer that has left.
 *
 * A socket from which nothing can be received any more, however often it is tried, rests for a moment before
 * each further try: the loop would do nothing else.
 *
 * A socket bound to one address needs no control messages. One bound to a wildcard gets with each request the
 * address it was sent to, and the answer is sent from there.
 *
 * From a front end (net/proxy.h) a PROXY header stands before the message: the client is whom it names, the
 * answer goes to the front end.
 */
#ifndef DNSD_NET_UDP_H
#define DNSD_NET_UDP_H

#include <stdbool.h>
#include <uv.h>

#include "net/net_context.h"

/** Buffers of one worker, shared by its sockets. */
struct udp_buffers;
struct udp_buffers *udp_buffers_create(void);
void udp_buffers_destroy(struct udp_buffers *buffers);

struct udp_socket {
	uv_poll_t poll;  /* first; data: for the owner */
	uv_idle_t turns; /* in place of poll while there is more than a batch to do */
	uv_timer_t rest;
	uv_close_cb closed;
	unsigned failures_n; /* since something was received */
	int fd;
	bool wildcard;
	bool is_own; /* nobody but this process sends to it: no PROXY header is wanted, no rate holds */
	struct udp_buffers *buffers;
	struct net_context *net;
};

/** Start serving. The socket owns fd on success. Returns 0 or negative errno: then no handle is open. */
int udp_open(struct udp_socket *udp, uv_loop_t *loop, int fd, bool wildcard, struct udp_buffers *buffers,
             struct net_context *net);
/** Answer what waits in the queue, then close; closed(poll handle) is called when the memory may go;
 * NULL is fine. */
void udp_close(struct udp_socket *udp, uv_close_cb closed);

#endif
