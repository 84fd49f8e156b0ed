/*
 * Inside net/: one connection (tcp_conn.c) and all of a worker (tcp_server.c), as they see each other.
 *
 *     server ──accepts, gives turns, closes──> conn
 *     conn ──"I have got on", "I keep so many bytes", "I wait for a turn", "I am closed"──> server
 */
#ifndef DNSD_NET_TCP_INT_H
#define DNSD_NET_TCP_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "answer/answer.h"
#include "net/client_counts.h"
#include "net/tcp.h"

#define TCP_READ_BYTES (64 * 1024)
/* Answers of one read are collected here and written at once. */
#define TCP_OUT_BYTES (TCP_QUEUE_MAX + 2 + ANSWER_TCP_MAX)
/*
 * Between two looks at UDP, a turn of a connection ends after so much work, and so do the turns of all
 * together; the others wait in line. Counted in bytes of answers, each answer being worth TCP_WORK_MESSAGE at
 * least, and each record of TLS TCP_WORK_RECORD: opening one with a single byte costs as much as an answer.
 * Handshakes of TLS, which cost a signature each, stand in a line of their own.
 */
#define TCP_WORK_CONNECTION (64 * 1024)
#define TCP_WORK_ALL        (256 * 1024)
#define TCP_WORK_MESSAGE    128
#define TCP_WORK_RECORD     128
#define TCP_HANDSHAKES_ALL  1
/* A step of a handshake in more records than this is worth a signature. */
#define TCP_HANDSHAKE_RECORDS 16
/* What comes through TLS is known to cost something only when it has: so much is read at a time, which is
 * less than TCP_WORK_CONNECTION in the smallest of records. */
#define TCP_TLS_READ_BYTES (8 * 1024)

enum tcp_line { TCP_LINE_REQUESTS, TCP_LINE_HANDSHAKES, TCP_LINES_N };

/* Connections stand in lists by when they last got on: a request complete, an answer taken. */
enum tcp_list {
	TCP_LIST_OPEN,
	TCP_LIST_HOLDING, /* only while held_len is not 0 */
	TCP_LIST_SHAKING, /* only until the handshake of TLS is done */
	TCP_LISTS_N
};

struct tcp_link {
	struct tcp_conn *older, *newer;
};

struct tcp_conn {
	uv_tcp_t tcp;
	struct tcp_server *server;
	struct tcp_link links[TCP_LISTS_N];
	struct tcp_conn *next_turn; /* in line; only while waiting */
	uint64_t active_ms;
	size_t queued_then;           /* answers not taken by then */
	struct sockaddr_storage peer; /* the client; until a PROXY header has come, the front end */
	struct tls_session *tls;      /* NULL: plain TCP */
	uint8_t *in; /* bytes read, not answered yet; before TLS is open, not decrypted either */
	size_t in_len;
	size_t in_cap;
	size_t held_len;   /* bytes kept for it: in_cap, and answers it has not taken */
	bool paused;       /* not reading: too many answers wait */
	bool ended;        /* the peer has sent all it will */
	bool wants_header; /* from a front end, whose PROXY header has not come yet */
	bool before_tls;   /* ... and may stand before the handshake; nothing was given to TLS yet */
	bool left;         /* our side is closed: what still comes is dropped */
	uv_shutdown_t shutdown;
	bool waiting; /* not reading: in line for its next turn, or for the next step of its handshake */
	bool reads_in_turn; /* what it is in line for is to be read; set back by its turn */
};

struct tcp_server {
	uv_loop_t *loop;
	struct net_context *net;
	uv_timer_t timer;
	struct tcp_limits limits;
	uint32_t open_n;
	uint64_t drain_from_ms; /* 0 = not draining */
	bool leaving;           /* connections end behind an answer */
	struct {
		struct tcp_conn *oldest, *newest;
		uint32_t n;
	} lists[TCP_LISTS_N];
	struct client_counts *counts;
	size_t held_len; /* of all */
	struct {
		struct tcp_conn *first;
		struct tcp_conn **end;
	} lines[TCP_LINES_N];
	uv_prepare_t prepare; /* before UDP and everybody's reads: the work of a round begins */
	uv_idle_t idle;       /* runs while somebody is in line */
	size_t work_left;
	unsigned handshakes_left;
	struct tls_io *io;
	size_t out_len;
	uint8_t read_buffer[TCP_READ_BYTES];
	uint8_t out[TCP_OUT_BYTES];
	uint8_t plain[TCP_READ_BYTES + TLS_RECORD_MAX]; /* what TLS has made of the last read */
};

/* --- tcp_server.c --- */

/** The connection has got on. */
void tcp_server_touch(struct tcp_conn *conn);
/** Its TLS handshake is done. */
void tcp_server_note_handshake(struct tcp_conn *conn);
/** So many bytes more are kept for it. Others may be closed for that; false = it should be itself. */
bool tcp_server_hold(struct tcp_conn *conn, size_t len);
void tcp_server_release(struct tcp_conn *conn, size_t len);
void tcp_server_join_line(struct tcp_conn *conn);
/** A front end says who the client is. False = of that one there are enough. */
bool tcp_server_set_client(struct tcp_conn *conn, const struct sockaddr *client, size_t client_len);
/** It is being closed: take it out of everything. */
void tcp_server_forget(struct tcp_conn *conn);

/* --- tcp_conn.c --- */

/** Begin to read. */
void tcp_conn_start(struct tcp_conn *conn);
/** Its turn has come: go on with what it has kept. */
void tcp_conn_take_turn(struct tcp_conn *conn);
/** Bytes of answers that the peer has not taken. */
size_t tcp_conn_queued(const struct tcp_conn *conn);
/** Close our side, if nothing of it is unanswered; what it still sends is dropped until it closes its own. */
void tcp_conn_leave(struct tcp_conn *conn);
/** Close it now; freed when the loop has run the close callback. */
void tcp_conn_close(struct tcp_conn *conn);

static inline bool tcp_conn_is_closing(const struct tcp_conn *conn)
{
	return uv_is_closing((const uv_handle_t *)&conn->tcp);
}

static inline bool tcp_conn_is_shaking_hands(const struct tcp_conn *conn)
{
	return conn->tls && !tls_session_is_open(conn->tls);
}

#endif
