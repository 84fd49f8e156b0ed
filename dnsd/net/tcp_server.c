#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/proxy.h"
#include "net/tcp_int.h"

/* A connection idle for less than this is not closed in favour of a new one. */
#define DISPLACE_AFTER_MS 500
#define IDLE_PRESSED_MS   1000
/* Who takes less of its answers within the idle limit does not get on. */
#define TAKES_MIN_BYTES    4096
#define DRAIN_QUIET_MS     50
#define DRAIN_HANDSHAKE_MS 1000
#define TIMER_STEP_MIN_MS  10
#define TIMER_STEP_MAX_MS  250
/* --- lists by activity --- */

static void list_remove(struct tcp_conn *conn, enum tcp_list list)
{
	struct tcp_server *server = conn->server;
	struct tcp_link *link = &conn->links[list];
	if (link->older)
		link->older->links[list].newer = link->newer;
	else
		server->lists[list].oldest = link->newer;
	if (link->newer)
		link->newer->links[list].older = link->older;
	else
		server->lists[list].newest = link->older;
	server->lists[list].n--;
}

static void list_append(struct tcp_conn *conn, enum tcp_list list)
{
	struct tcp_server *server = conn->server;
	struct tcp_conn *newest = server->lists[list].newest;
	conn->links[list].older = newest;
	conn->links[list].newer = NULL;
	if (newest)
		newest->links[list].newer = conn;
	else
		server->lists[list].oldest = conn;
	server->lists[list].newest = conn;
	server->lists[list].n++;
}

void tcp_server_touch(struct tcp_conn *conn)
{
	conn->active_ms = uv_now(conn->server->loop);
	conn->queued_then = tcp_conn_queued(conn);
	list_remove(conn, TCP_LIST_OPEN);
	list_append(conn, TCP_LIST_OPEN);
	if (conn->held_len) {
		list_remove(conn, TCP_LIST_HOLDING);
		list_append(conn, TCP_LIST_HOLDING);
	}
}

void tcp_server_note_handshake(struct tcp_conn *conn)
{
	struct net_counters *counters = &conn->server->net->counters;
	counters->tls_handshakes++;
	counters->tls_resumed += tls_session_is_resumed(conn->tls);
	list_remove(conn, TCP_LIST_SHAKING);
	tcp_server_touch(conn);
}

/* --- what is kept for them --- */

bool tcp_server_hold(struct tcp_conn *conn, size_t len)
{
	struct tcp_server *server = conn->server;
	if (conn->held_len == 0)
		list_append(conn, TCP_LIST_HOLDING);
	conn->held_len += len;
	server->held_len += len;
	while (server->held_len > TCP_HELD_MAX) {
		struct tcp_conn *stuck = server->lists[TCP_LIST_HOLDING].oldest;
		server->net->counters.tcp_stuck_closed++;
		if (stuck == conn)
			return false;
		tcp_conn_close(stuck);
	}
	return true;
}

void tcp_server_release(struct tcp_conn *conn, size_t len)
{
	if (len == 0)
		return;
	conn->held_len -= len;
	conn->server->held_len -= len;
	if (conn->held_len == 0)
		list_remove(conn, TCP_LIST_HOLDING);
}

/* --- turns --- */

static void on_turns(uv_idle_t *idle);

/* It does not change while a connection waits. */
static enum tcp_line line_of(const struct tcp_conn *conn)
{
	return tcp_conn_is_shaking_hands(conn) ? TCP_LINE_HANDSHAKES : TCP_LINE_REQUESTS;
}

void tcp_server_join_line(struct tcp_conn *conn)
{
	struct tcp_server *server = conn->server;
	enum tcp_line line = line_of(conn);
	conn->waiting = true;
	conn->next_turn = NULL;
	*server->lines[line].end = conn;
	server->lines[line].end = &conn->next_turn;
	uv_idle_start(&server->idle, on_turns);
}

static void leave_line(struct tcp_conn *conn)
{
	struct tcp_server *server = conn->server;
	enum tcp_line line = line_of(conn);
	for (struct tcp_conn **at = &server->lines[line].first; conn->waiting && *at;
	     at = &(*at)->next_turn) {
		if (*at != conn)
			continue;
		*at = conn->next_turn;
		if (server->lines[line].end == &conn->next_turn)
			server->lines[line].end = at;
		break;
	}
	conn->waiting = false;
	if (!server->lines[TCP_LINE_REQUESTS].first && !server->lines[TCP_LINE_HANDSHAKES].first)
		uv_idle_stop(&server->idle);
}

static void begin_round(struct tcp_server *server)
{
	server->work_left = TCP_WORK_ALL;
	server->handshakes_left = TCP_HANDSHAKES_ALL;
}

/* A round of turns, as far as the work of this round goes; whoever joins meanwhile waits for the next. */
static void on_turns(uv_idle_t *idle)
{
	struct tcp_server *server = idle->data;
	size_t n = 0;
	for (const struct tcp_conn *conn = server->lines[TCP_LINE_REQUESTS].first; conn;
	     conn = conn->next_turn)
		n++;
	begin_round(server);
	struct tcp_conn *conn;
	for (; n && (conn = server->lines[TCP_LINE_REQUESTS].first) && server->work_left; n--) {
		leave_line(conn);
		tcp_conn_take_turn(conn);
	}
	while (server->handshakes_left && (conn = server->lines[TCP_LINE_HANDSHAKES].first)) {
		leave_line(conn);
		tcp_conn_take_turn(conn);
	}
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct tcp_server *server = prepare->data;
	begin_round(server);
	/* Those that wait have had theirs, and new ones stand behind them. */
	if (server->lines[TCP_LINE_HANDSHAKES].first)
		server->handshakes_left = 0;
}

/* --- limits --- */

uint32_t tcp_server_idle_ms(const struct tcp_server *server)
{
	uint32_t idle_ms = server->limits.idle_ms;
	uint32_t half = server->limits.clients_max / 2;
	if (server->open_n <= half || idle_ms <= IDLE_PRESSED_MS)
		return idle_ms;
	uint32_t over = server->open_n < server->limits.clients_max ? server->open_n - half
	                                                            : server->limits.clients_max - half;
	return idle_ms -
	       (uint32_t)((uint64_t)(idle_ms - IDLE_PRESSED_MS) * over / (server->limits.clients_max - half));
}

uint32_t tcp_server_keepalive_ms(const struct tcp_server *server)
{
	bool wants_end =
	        server->leaving || server->drain_from_ms || server->open_n >= server->limits.clients_max;
	return wants_end ? 0 : tcp_server_idle_ms(server);
}

/* One that reads slowly is not idle, if it does read. */
static bool takes_answers(const struct tcp_conn *conn)
{
	size_t queued = tcp_conn_queued(conn);
	return queued < conn->queued_then && conn->queued_then - queued >= TAKES_MIN_BYTES;
}

static void on_timer(uv_timer_t *timer)
{
	struct tcp_server *server = timer->data;
	uint64_t now_ms = uv_now(server->loop);
	struct tcp_conn *newer;
	for (struct tcp_conn *conn = server->lists[TCP_LIST_SHAKING].oldest;
	     conn && now_ms - conn->active_ms >= TCP_PATIENCE_MS; conn = newer) {
		newer = conn->links[TCP_LIST_SHAKING].newer;
		server->net->counters.tcp_idle_closed++;
		tcp_conn_close(conn);
	}
	for (struct tcp_conn *conn = server->lists[TCP_LIST_OPEN].oldest; conn; conn = newer) {
		newer = conn->links[TCP_LIST_OPEN].newer;
		uint64_t quiet_ms = now_ms - conn->active_ms;
		/* Each that is closed makes the limit longer. */
		if (quiet_ms < tcp_server_idle_ms(server))
			break;
		if (quiet_ms < TCP_PATIENCE_MS && tcp_conn_queued(conn))
			continue;
		if (takes_answers(conn)) {
			tcp_server_touch(conn);
			continue;
		}
		server->net->counters.tcp_idle_closed++;
		tcp_conn_close(conn);
	}
}

static void start_timer(struct tcp_server *server)
{
	uint64_t step_ms = server->limits.idle_ms / 8;
	if (step_ms < TIMER_STEP_MIN_MS)
		step_ms = TIMER_STEP_MIN_MS;
	if (step_ms > TIMER_STEP_MAX_MS)
		step_ms = TIMER_STEP_MAX_MS;
	uv_timer_start(&server->timer, on_timer, step_ms, step_ms);
}

int tcp_server_create(uv_loop_t *loop, struct net_context *net, const struct tcp_limits *limits,
                      struct tcp_server **ret_server)
{
	struct tcp_server *server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->loop = loop;
	server->net = net;
	server->limits = *limits;
	tls_context_ref(limits->tls);
	for (int line = 0; line < TCP_LINES_N; line++)
		server->lines[line].end = &server->lines[line].first;
	begin_round(server);
	server->io = tls_io_create();
	server->counts = client_counts_create(limits->clients_max);
	int rc = server->io && server->counts ? uv_timer_init(loop, &server->timer) : -ENOMEM;
	if (rc == 0)
		rc = uv_prepare_init(loop, &server->prepare);
	if (rc == 0)
		rc = uv_idle_init(loop, &server->idle);
	if (rc < 0) {
		tcp_server_destroy(server);
		return rc;
	}
	server->timer.data = server;
	server->prepare.data = server;
	server->idle.data = server;
	uv_prepare_start(&server->prepare, on_prepare);
	start_timer(server);
	*ret_server = server;
	return 0;
}

/* Room for the connections that are open, even where they are more than there may be from now on. */
static bool count_anew(struct tcp_server *server, uint32_t clients_max)
{
	struct client_counts *counts =
	        client_counts_create(clients_max > server->open_n ? clients_max : server->open_n);
	if (!counts)
		return false;
	for (const struct tcp_conn *conn = server->lists[TCP_LIST_OPEN].oldest; conn;
	     conn = conn->links[TCP_LIST_OPEN].newer)
		client_counts_add(counts, (const struct sockaddr *)&conn->peer);
	client_counts_destroy(server->counts);
	server->counts = counts;
	return true;
}

void tcp_server_set_limits(struct tcp_server *server, const struct tcp_limits *limits)
{
	uint32_t clients_max = server->limits.clients_max;
	tls_context_ref(limits->tls);
	tls_context_unref(server->limits.tls);
	server->limits = *limits;
	/* Without memory for more, there are no more. */
	if (limits->clients_max != clients_max && !count_anew(server, limits->clients_max) &&
	    limits->clients_max > clients_max)
		server->limits.clients_max = clients_max;
	start_timer(server);
}

uint32_t tcp_server_open_n(const struct tcp_server *server)
{
	return server->open_n;
}

/* --- connections that come and go --- */

static bool has_room_for_client(struct tcp_server *server, const struct tcp_conn *conn)
{
	if (!server->limits.prefix_max ||
	    client_counts_get(server->counts, (const struct sockaddr *)&conn->peer) <
	            server->limits.prefix_max)
		return true;
	server->net->counters.tcp_refused_prefix++;
	return false;
}

bool tcp_server_set_client(struct tcp_conn *conn, const struct sockaddr *client, size_t client_len)
{
	struct tcp_server *server = conn->server;
	client_counts_remove(server->counts, (const struct sockaddr *)&conn->peer);
	memcpy(&conn->peer, client, client_len);
	bool has_room = has_room_for_client(server, conn);
	client_counts_add(server->counts, (const struct sockaddr *)&conn->peer);
	return has_room;
}

/*
 * The connection that has been idle longest gives way, if it really is. Where most have not even done their
 * handshake, the first of those does: it is a flood, and would else keep out who comes without TLS. Among
 * themselves they wait for their turn, or nobody would ever get to the end of a handshake.
 */
static bool displace_oldest(struct tcp_server *server, bool for_tls)
{
	struct tcp_conn *oldest = server->lists[TCP_LIST_OPEN].oldest;
	if (!for_tls && server->lists[TCP_LIST_SHAKING].n > server->limits.clients_max / 2)
		oldest = server->lists[TCP_LIST_SHAKING].oldest;
	else if (!oldest || uv_now(server->loop) - oldest->active_ms < DISPLACE_AFTER_MS)
		return false;
	server->net->counters.tcp_displaced++;
	tcp_conn_close(oldest);
	return true;
}

static bool may_open(struct tcp_server *server, const struct tcp_conn *conn)
{
	/* Of a front end there may be as many as there are clients behind it. */
	if (!conn->wants_header && !has_room_for_client(server, conn))
		return false;
	if (server->open_n < server->limits.clients_max)
		return true;
	if (displace_oldest(server, conn->tls != NULL))
		return true;
	server->net->counters.tcp_refused++;
	return false;
}

static void on_refused_closed(uv_handle_t *handle)
{
	struct tcp_conn *conn = (struct tcp_conn *)handle;
	tls_session_destroy(conn->tls);
	free(conn);
}

static void refuse(struct tcp_conn *conn)
{
	uv_close((uv_handle_t *)&conn->tcp, on_refused_closed);
}

/* A new connection whose handle is open. */
static void serve_connection(struct tcp_conn *conn, bool tls)
{
	struct tcp_server *server = conn->server;
	int len = sizeof(conn->peer);
	if (uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&conn->peer, &len) < 0) {
		server->net->counters.tcp_refused++;
		refuse(conn);
		return;
	}
	conn->wants_header = proxy_is_front_end(server->net->data, (const struct sockaddr *)&conn->peer);
	if (tls && server->limits.tls)
		conn->tls = tls_session_create(server->limits.tls);
	conn->before_tls = conn->wants_header && conn->tls;
	/* Room is made before the new one is in the list, where it would be the newest. */
	if ((tls && !conn->tls) || !may_open(server, conn)) {
		refuse(conn);
		return;
	}
	server->open_n++;
	server->net->counters.tcp_open++;
	server->net->counters.tcp_accepted++;
	client_counts_add(server->counts, (const struct sockaddr *)&conn->peer);
	conn->active_ms = uv_now(server->loop);
	list_append(conn, TCP_LIST_OPEN);
	if (conn->tls)
		list_append(conn, TCP_LIST_SHAKING);
	tcp_conn_start(conn);
}

void tcp_server_forget(struct tcp_conn *conn)
{
	struct tcp_server *server = conn->server;
	if (conn->waiting)
		leave_line(conn);
	list_remove(conn, TCP_LIST_OPEN);
	if (tcp_conn_is_shaking_hands(conn)) {
		list_remove(conn, TCP_LIST_SHAKING);
		server->net->counters.tls_handshake_failures++;
	}
	tcp_server_release(conn, conn->held_len);
	client_counts_remove(server->counts, (const struct sockaddr *)&conn->peer);
	server->open_n--;
	server->net->counters.tcp_open--;
}

static struct tcp_conn *new_connection(struct tcp_server *server)
{
	struct tcp_conn *conn = calloc(1, sizeof(*conn));
	if (conn && uv_tcp_init(server->loop, &conn->tcp) < 0) {
		free(conn);
		conn = NULL;
	}
	if (conn)
		conn->server = server;
	return conn;
}

static void on_accepted(struct acceptor *acceptor, int fd)
{
	struct tcp_listener *listener = (struct tcp_listener *)acceptor;
	struct tcp_conn *conn = new_connection(listener->server);
	if (conn && uv_tcp_open(&conn->tcp, fd) == 0) {
		serve_connection(conn, listener->tls);
		return;
	}
	close(fd);
	if (conn)
		refuse(conn);
}

/* Out of descriptors: somebody idle gives one back. */
static bool on_accept_failed(struct acceptor *acceptor)
{
	const struct tcp_listener *listener = (struct tcp_listener *)acceptor;
	listener->server->net->counters.tcp_accept_errors++;
	return displace_oldest(listener->server, listener->tls);
}

static void on_revived(struct acceptor *acceptor)
{
	const struct tcp_listener *listener = (struct tcp_listener *)acceptor;
	listener->server->net->counters.tcp_revived++;
}

int tcp_listen(struct tcp_listener *listener, struct tcp_server *server, int fd, bool tls)
{
	listener->tls = tls;
	listener->server = server;
	int rc = acceptor_open(&listener->acceptor, server->loop, fd, on_accepted, on_accept_failed);
	listener->acceptor.revived = on_revived;
	return rc;
}

void tcp_listener_close(struct tcp_listener *listener, uv_close_cb closed)
{
	acceptor_drain(&listener->acceptor);
	acceptor_close(&listener->acceptor, closed);
}

/* --- the end --- */

void tcp_server_drain(struct tcp_server *server)
{
	uint64_t now_ms = uv_now(server->loop);
	if (server->drain_from_ms == 0)
		server->drain_from_ms = now_ms;
	struct tcp_conn *newer;
	for (struct tcp_conn *conn = server->lists[TCP_LIST_OPEN].oldest; conn; conn = newer) {
		newer = conn->links[TCP_LIST_OPEN].newer;
		uint64_t quiet_from_ms =
		        conn->active_ms > server->drain_from_ms ? conn->active_ms : server->drain_from_ms;
		uint64_t quiet_ms = tcp_conn_is_shaking_hands(conn) ? DRAIN_HANDSHAKE_MS : DRAIN_QUIET_MS;
		/* A request may be on its way, or wait to be read: closing under it would reset the
		 * connection. */
		if (now_ms - quiet_from_ms >= quiet_ms && tcp_conn_queued(conn) == 0 && !conn->paused &&
		    !conn->waiting)
			tcp_conn_close(conn);
	}
}

void tcp_server_leave(struct tcp_server *server)
{
	uint64_t now_ms = uv_now(server->loop);
	server->leaving = true;
	for (struct tcp_conn *conn = server->lists[TCP_LIST_OPEN].oldest; conn;
	     conn = conn->links[TCP_LIST_OPEN].newer) {
		/* Of one that asks all the time a request is on its way; it ends behind the answer. */
		if (now_ms - conn->active_ms >= DRAIN_QUIET_MS)
			tcp_conn_leave(conn);
	}
}

void tcp_server_close(struct tcp_server *server)
{
	while (server->lists[TCP_LIST_OPEN].oldest)
		tcp_conn_close(server->lists[TCP_LIST_OPEN].oldest);
	uv_close((uv_handle_t *)&server->timer, NULL);
	uv_close((uv_handle_t *)&server->prepare, NULL);
	uv_close((uv_handle_t *)&server->idle, NULL);
}

void tcp_server_destroy(struct tcp_server *server)
{
	client_counts_destroy(server->counts);
	tls_context_unref(server->limits.tls);
	tls_io_destroy(server->io);
	free(server);
}
