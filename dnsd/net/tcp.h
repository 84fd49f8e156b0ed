/*
 * tcp: DNS over TCP (RFC 7766) and TLS (RFC 7858): two bytes of length before each message, any number of
 * messages a connection.
 *
 *     bytes ──(TLS)──frames──> answer_query() each, in order ──(TLS)──> one write ──> what the peer does not
 *     take waits, bounded
 *
 * A connection of a front end begins with a PROXY header (net/proxy.h), which says who the client is. One
 * that was accepted before its peer became a front end, or ceased to be one, goes on as it began.
 * Over TLS the header stands inside, where dnsdist puts it, or before the handshake, where others do.
 *
 * Memory of a worker, beside buffers of a fixed size: for each connection its struct and, with TLS, the
 * session; and what is kept for all of them together, TCP_HELD_MAX. That is requests that are not complete
 * yet (at most 64 KiB a connection), requests read but not answered because the peer does not read (at most
 * one read, 64 KiB), and answers it has not taken (at most TCP_QUEUE_MAX plus one answer). Where all together
 * would need more, the connection that has gone longest without getting on is closed. An idle one holds its
 * struct and session alone.
 *
 * The idle limit counts from the last complete request or the last answer taken: sending single bytes does
 * not extend it. It shrinks while more than half of the connections are in use, to a second when all are. A
 * TLS handshake has to be done within TCP_PATIENCE_MS, and answers on their way are waited for that long in
 * any case: a lost packet takes its time.
 */
#ifndef DNSD_NET_TCP_H
#define DNSD_NET_TCP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "loop/accept.h"
#include "net/net_context.h"
#include "tls/tls.h"

#define TCP_QUEUE_MAX   (128 * 1024)
#define TCP_HELD_MAX    (64 * 1024 * 1024)
#define TCP_PATIENCE_MS 5000

/** What an operator may set. */
struct tcp_limits {
	uint32_t idle_ms;
	uint32_t clients_max;
	uint32_t prefix_max;     /* of one IPv4 address or IPv6 /64; 0 = no limit */
	struct tls_context *tls; /* for connections from now on; NULL = none are taken */
};

/** All connections of one worker. */
struct tcp_server;

/** limits: copied; a reference of its own is taken of tls. Returns 0 or negative errno. */
int tcp_server_create(uv_loop_t *loop, struct net_context *net, const struct tcp_limits *limits,
                      struct tcp_server **ret_server);
/** Connections that are open stay so, under the idle limit that is new. */
void tcp_server_set_limits(struct tcp_server *server, const struct tcp_limits *limits);
uint32_t tcp_server_open_n(const struct tcp_server *server);
/** The idle limit as it is under the present pressure. */
uint32_t tcp_server_idle_ms(const struct tcp_server *server);
/** What clients are told of it (RFC 7828 section 3.3.2); 0 where the sooner they close the better: the server
 * ends, or who comes next takes the place of one that is idle. */
uint32_t tcp_server_keepalive_ms(const struct tcp_server *server);

struct tcp_listener {
	struct acceptor acceptor; /* acceptor.poll.data: for the owner */
	bool tls;
	struct tcp_server *server;
};

/** Accept from a listening socket, which is owned from here on. Returns 0 or negative errno. */
int tcp_listen(struct tcp_listener *listener, struct tcp_server *server, int fd, bool tls);
/** Accept what waits in the backlog, then close; connections live on. */
void tcp_listener_close(struct tcp_listener *listener, uv_close_cb closed);

/** No new connections come: those that have been quiet for a moment and have taken their answers are closed.
 * Call again. */
void tcp_server_drain(struct tcp_server *server);
/** Connections end: as soon as nothing of one is unanswered it gets a FIN, those that ask behind an answer.
 * What it sends then is dropped (a close would reset it) until it has closed its side (RFC 7766
 * section 6.2.4). Call again: the quiet ones are found by looking. */
void tcp_server_leave(struct tcp_server *server);
/** Close everything now; freed when the loop has run the close callbacks. Call last. */
void tcp_server_close(struct tcp_server *server);
/** After the loop has ended. */
void tcp_server_destroy(struct tcp_server *server);

#endif
