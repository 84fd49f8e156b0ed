#include "net/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "net/proxy.h"
#include "wire/wire.h"

#define READ_BYTES (64 * 1024)
/* Answers of one read are collected here and written at once. */
#define OUT_BYTES (128 * 1024 + 2 + ANSWER_TCP_MAX)
/* A connection idle for less than this is not closed in favour of a new one. */
#define DISPLACE_AFTER_MS 500
#define DRAIN_QUIET_MS    50
/*
 * Between two looks at UDP, a turn of a connection ends after so much work, and so do the turns of all
 * together; the others wait in line. Counted in bytes of answers, each answer being worth WORK_MESSAGE at
 * least.
 */
#define WORK_CONNECTION (64 * 1024)
#define WORK_ALL        (256 * 1024)
#define WORK_MESSAGE    128

struct connection {
	uv_tcp_t tcp;
	struct tcp_server *server;
	struct connection *older, *newer; /* by last activity */
	struct connection *next_turn;     /* in line; only while waiting */
	uint64_t active_ms;
	struct sockaddr_storage peer;
	uint8_t *in; /* bytes read, not answered yet */
	size_t in_len;
	size_t in_cap;
	bool paused;       /* not reading: too many answers wait */
	bool ended;        /* the peer has sent all it will */
	bool waiting;      /* not reading: in line for its next turn */
	bool wants_header; /* from a front end, whose PROXY header has not come yet */
	bool left;         /* our side is closed: what still comes is dropped */
	uv_shutdown_t shutdown;
};

struct tcp_server {
	uv_loop_t *loop;
	struct net_context *net;
	uv_timer_t timer;
	uint32_t idle_ms;
	uint32_t clients_max;
	uint32_t open_n;
	uint64_t drain_from_ms; /* 0 = not draining */
	bool leaving;
	struct connection *oldest, *newest;
	struct connection *line; /* first of those that wait for their turn */
	struct connection **line_end;
	uv_prepare_t prepare; /* before UDP and everybody's reads: the work of a round begins */
	uv_idle_t idle;       /* runs while somebody is in line */
	size_t work_left;
	size_t out_len;
	uint8_t read_buffer[READ_BYTES];
	uint8_t out[OUT_BYTES];
};

/* Answers that did not go out at once. */
struct pending_write {
	uv_write_t write;
	uint8_t data[];
};

/* --- the list by activity --- */

static void unlink_connection(struct connection *conn)
{
	struct tcp_server *server = conn->server;
	if (conn->older)
		conn->older->newer = conn->newer;
	else
		server->oldest = conn->newer;
	if (conn->newer)
		conn->newer->older = conn->older;
	else
		server->newest = conn->older;
}

static void append_connection(struct connection *conn)
{
	struct tcp_server *server = conn->server;
	conn->older = server->newest;
	conn->newer = NULL;
	if (server->newest)
		server->newest->newer = conn;
	else
		server->oldest = conn;
	server->newest = conn;
	conn->active_ms = uv_now(server->loop);
}

static void touch(struct connection *conn)
{
	unlink_connection(conn);
	append_connection(conn);
}

/* --- one connection --- */

static void on_closed(uv_handle_t *handle)
{
	struct connection *conn = (struct connection *)handle;
	free(conn->in);
	free(conn);
}

static void leave_line(struct connection *conn)
{
	struct tcp_server *server = conn->server;
	for (struct connection **at = &server->line; conn->waiting && *at; at = &(*at)->next_turn) {
		if (*at != conn)
			continue;
		*at = conn->next_turn;
		if (server->line_end == &conn->next_turn)
			server->line_end = at;
		break;
	}
	conn->waiting = false;
	if (!server->line)
		uv_idle_stop(&server->idle);
}

static void on_turns(uv_idle_t *idle);

static void join_line(struct connection *conn)
{
	struct tcp_server *server = conn->server;
	conn->waiting = true;
	conn->next_turn = NULL;
	*server->line_end = conn;
	server->line_end = &conn->next_turn;
	uv_idle_start(&server->idle, on_turns);
}

static void close_connection(struct connection *conn)
{
	if (uv_is_closing((uv_handle_t *)&conn->tcp))
		return;
	if (conn->waiting)
		leave_line(conn);
	unlink_connection(conn);
	conn->server->open_n--;
	conn->server->net->counters.tcp_open--;
	uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void process_kept(struct connection *conn);

static size_t queued(const struct connection *conn)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp);
}

/* Nothing left to do for a peer that has sent everything. */
static void close_when_done(struct connection *conn)
{
	if (conn->ended && queued(conn) == 0 && !conn->paused && !conn->waiting)
		close_connection(conn);
}

/* Has the kernel bytes of it that we have not read? */
static bool has_unread(const struct connection *conn)
{
	uv_os_fd_t fd;
	int unread = 0;
	return uv_fileno((const uv_handle_t *)&conn->tcp, &fd) == 0 && ioctl(fd, FIONREAD, &unread) == 0 &&
	       unread > 0;
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
	(void)shutdown; /* what comes next is the peer's end */
	(void)status;
}

/* Close our side, if nothing of it is unanswered. */
static void leave_when_done(struct connection *conn)
{
	if (uv_is_closing((uv_handle_t *)&conn->tcp) || conn->left || conn->ended || conn->in_len ||
	    queued(conn) || conn->paused || conn->waiting || has_unread(conn))
		return;
	conn->left = uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->tcp, on_shutdown) == 0;
}

static void on_written(uv_write_t *write, int status)
{
	struct connection *conn = (struct connection *)write->handle;
	free(write);
	if (status < 0 || uv_is_closing((uv_handle_t *)&conn->tcp)) {
		close_connection(conn);
		return;
	}
	touch(conn);
	if (conn->paused && !conn->waiting && queued(conn) <= TCP_QUEUE_MAX / 2)
		process_kept(conn);
	else
		close_when_done(conn);
	if (conn->server->leaving)
		leave_when_done(conn);
}

/* Send what is in server->out. What the kernel does not take now is kept for later. */
static void flush(struct connection *conn)
{
	struct tcp_server *server = conn->server;
	size_t len = server->out_len;
	const uint8_t *data = server->out;
	server->out_len = 0;
	if (len == 0)
		return;
	if (queued(conn) == 0) {
		uv_buf_t buf = uv_buf_init((char *)server->out, (unsigned)len);
		int sent = uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
		if (sent < 0 && sent != UV_EAGAIN) {
			close_connection(conn);
			return;
		}
		if (sent > 0) {
			data += sent;
			len -= (size_t)sent;
		}
		if (len == 0)
			return;
	}
	struct pending_write *pending = malloc(sizeof(*pending) + len);
	if (!pending) {
		close_connection(conn);
		return;
	}
	memcpy(pending->data, data, len);
	uv_buf_t buf = uv_buf_init((char *)pending->data, (unsigned)len);
	if (uv_write(&pending->write, (uv_stream_t *)&conn->tcp, &buf, 1, on_written) < 0) {
		free(pending);
		close_connection(conn);
	}
}

/* The PROXY header before the first message: from here on the client is whom it names. Returns its length;
 * 0 = it is not all there yet, or there is none to come and the connection closes. */
static size_t take_header(struct connection *conn, const uint8_t *data, size_t len)
{
	struct proxy_header header;
	enum proxy_verdict verdict = proxy_parse(data, len, &header);
	proxy_count(&conn->server->net->counters, verdict);
	if (verdict == PROXY_NONE || verdict == PROXY_BAD)
		close_connection(conn);
	if (verdict != PROXY_OK)
		return 0;
	conn->wants_header = false;
	if (header.has_addrs)
		memcpy(&conn->peer, &header.source, sizeof(header.source));
	return header.len;
}

/* Answer complete requests at data until the turn is over. Returns the bytes used; sets paused when the peer
 * should read first, and has_more when it is the others' turn first. */
static size_t process(struct connection *conn, const uint8_t *data, size_t len, bool *ret_has_more)
{
	struct tcp_server *server = conn->server;
	struct net_context *net = server->net;
	size_t at = conn->wants_header ? take_header(conn, data, len) : 0;
	size_t work = 0;
	bool any = false;
	conn->paused = false;
	*ret_has_more = false;
	while (!conn->wants_header && len - at >= 2) {
		size_t message_len = wire_get16(data + at);
		if (message_len == 0) { /* no message can be that short: whatever this is, it is not DNS */
			flush(conn);
			close_connection(conn);
			return len;
		}
		if (len - at - 2 < message_len)
			break;
		if (work >= WORK_CONNECTION || work >= server->work_left) {
			*ret_has_more = true;
			break;
		}
		if (queued(conn) + server->out_len > TCP_QUEUE_MAX) {
			flush(conn);
			if (uv_is_closing((uv_handle_t *)&conn->tcp))
				return len;
			if (queued(conn) > TCP_QUEUE_MAX / 2) {
				conn->paused = true;
				break;
			}
		}
		struct client client = { .peer = (const struct sockaddr *)&conn->peer,
			                 .transport = TRANSPORT_TCP };
		uint8_t *out = server->out + server->out_len;
		size_t answer_len = answer_query(net->data, &client, data + at + 2, message_len, out + 2,
		                                 ANSWER_TCP_MAX, &net->state);
		if (answer_len) {
			wire_put16(out, (uint16_t)answer_len);
			server->out_len += 2 + answer_len;
		}
		at += 2 + message_len;
		work += answer_len > WORK_MESSAGE ? answer_len : WORK_MESSAGE;
		any = true;
	}
	server->work_left -= work < server->work_left ? work : server->work_left;
	flush(conn);
	if (any && !uv_is_closing((uv_handle_t *)&conn->tcp))
		touch(conn);
	return at;
}

/* Keep bytes for later behind those kept already. */
static int keep(struct connection *conn, const uint8_t *data, size_t len)
{
	if (conn->in_cap - conn->in_len < len) {
		size_t cap = conn->in_len + len;
		/* Room for the whole message, once its length is known. */
		if (conn->in_len == 0 && len >= 2 && cap < 2U + wire_get16(data))
			cap = 2U + wire_get16(data);
		uint8_t *in = realloc(conn->in, cap);
		if (!in)
			return -ENOMEM;
		conn->in = in;
		conn->in_cap = cap;
	}
	memcpy(conn->in + conn->in_len, data, len);
	conn->in_len += len;
	return 0;
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct tcp_server *server = ((struct connection *)handle)->server;
	(void)suggested;
	*buf = uv_buf_init((char *)server->read_buffer, READ_BYTES);
}

static void after_processing(struct connection *conn, bool has_more)
{
	if (uv_is_closing((uv_handle_t *)&conn->tcp))
		return;
	if (conn->in_len == 0) {
		free(conn->in);
		conn->in = NULL;
		conn->in_cap = 0;
	}
	if (has_more && !conn->waiting)
		join_line(conn);
	if (conn->paused || conn->waiting)
		uv_read_stop((uv_stream_t *)&conn->tcp);
	else if (!conn->ended)
		uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
	close_when_done(conn);
	if (conn->server->leaving)
		leave_when_done(conn);
}

static void process_kept(struct connection *conn)
{
	conn->server->net->between_batches(conn->server->net);
	bool has_more;
	size_t used = process(conn, conn->in, conn->in_len, &has_more);
	if (uv_is_closing((uv_handle_t *)&conn->tcp))
		return;
	conn->in_len -= used;
	memmove(conn->in, conn->in + used, conn->in_len);
	after_processing(conn, has_more);
}

/* A round of turns, as far as the work of this round goes; whoever joins meanwhile waits for the next. */
static void on_turns(uv_idle_t *idle)
{
	struct tcp_server *server = idle->data;
	size_t n = 0;
	for (const struct connection *conn = server->line; conn; conn = conn->next_turn)
		n++;
	server->work_left = WORK_ALL;
	for (; n && server->line && server->work_left; n--) {
		struct connection *conn = server->line;
		leave_line(conn);
		process_kept(conn);
	}
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct tcp_server *server = prepare->data;
	server->work_left = WORK_ALL;
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
	struct connection *conn = (struct connection *)stream;
	if (nread == 0)
		return;
	if (nread < 0) {
		/* Half-closed: it may still take answers (RFC 7766 section 6.2.4). Anything else is the end.
		 */
		if (nread != UV_EOF) {
			close_connection(conn);
			return;
		}
		conn->ended = true;
		uv_read_stop(stream);
		if (conn->left)
			close_connection(conn);
		close_when_done(conn);
		return;
	}
	if (conn->left)
		return;
	const uint8_t *data = (const uint8_t *)buf->base;
	size_t len = (size_t)nread;
	if (conn->in_len) {
		if (keep(conn, data, len) < 0)
			close_connection(conn);
		else
			process_kept(conn);
		return;
	}
	conn->server->net->between_batches(conn->server->net);
	bool has_more;
	size_t used = process(conn, data, len, &has_more);
	if (uv_is_closing((uv_handle_t *)&conn->tcp))
		return;
	if (used < len && keep(conn, data + used, len - used) < 0) {
		close_connection(conn);
		return;
	}
	after_processing(conn, has_more);
}

/* --- all connections --- */

static void on_timer(uv_timer_t *timer)
{
	struct tcp_server *server = timer->data;
	uint64_t now_ms = uv_now(server->loop);
	while (server->oldest && now_ms - server->oldest->active_ms >= server->idle_ms) {
		server->net->counters.tcp_idle_closed++;
		close_connection(server->oldest);
	}
}

static void start_timer(struct tcp_server *server)
{
	uint64_t step_ms = server->idle_ms / 8;
	if (step_ms < 10)
		step_ms = 10;
	if (step_ms > 1000)
		step_ms = 1000;
	uv_timer_start(&server->timer, on_timer, step_ms, step_ms);
}

int tcp_server_create(uv_loop_t *loop, struct net_context *net, uint32_t idle_ms, uint32_t clients_max,
                      struct tcp_server **ret_server)
{
	struct tcp_server *server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->loop = loop;
	server->net = net;
	server->idle_ms = idle_ms;
	server->clients_max = clients_max;
	server->line_end = &server->line;
	server->work_left = WORK_ALL;
	int rc = uv_timer_init(loop, &server->timer);
	if (rc == 0)
		rc = uv_prepare_init(loop, &server->prepare);
	if (rc == 0)
		rc = uv_idle_init(loop, &server->idle);
	if (rc < 0) {
		free(server);
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

void tcp_server_set_limits(struct tcp_server *server, uint32_t idle_ms, uint32_t clients_max)
{
	server->idle_ms = idle_ms;
	server->clients_max = clients_max;
	start_timer(server);
}

uint32_t tcp_server_open_n(const struct tcp_server *server)
{
	return server->open_n;
}

/* Is there room for one more? The connection that has been idle longest gives way, if it really is. */
static bool make_room(struct tcp_server *server)
{
	if (server->open_n < server->clients_max)
		return true;
	struct connection *oldest = server->oldest;
	if (!oldest || uv_now(server->loop) - oldest->active_ms < DISPLACE_AFTER_MS)
		return false;
	server->net->counters.tcp_displaced++;
	close_connection(oldest);
	return true;
}

static void on_refused_closed(uv_handle_t *handle)
{
	free(handle);
}

/* A new connection whose handle is open. */
static void serve_connection(struct connection *conn)
{
	struct tcp_server *server = conn->server;
	int len = sizeof(conn->peer);
	/* Room is made before the new one is in the list, where it would be the newest. */
	if (!make_room(server) || uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&conn->peer, &len) < 0) {
		server->net->counters.tcp_refused++;
		uv_close((uv_handle_t *)&conn->tcp, on_refused_closed);
		return;
	}
	server->open_n++;
	server->net->counters.tcp_open++;
	server->net->counters.tcp_accepted++;
	append_connection(conn);
	conn->wants_header = proxy_is_front_end(server->net->data, (const struct sockaddr *)&conn->peer);
	uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
}

static struct connection *new_connection(struct tcp_server *server)
{
	struct connection *conn = calloc(1, sizeof(*conn));
	if (conn && uv_tcp_init(server->loop, &conn->tcp) < 0) {
		free(conn);
		conn = NULL;
	}
	if (conn)
		conn->server = server;
	return conn;
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct tcp_server *server = ((struct tcp_listener *)stream)->server;
	if (status < 0) /* out of descriptors, or the peer is gone already; libuv tries again */
		return;
	struct connection *conn = new_connection(server);
	if (!conn)
		return;
	if (uv_accept(stream, (uv_stream_t *)&conn->tcp) < 0)
		uv_close((uv_handle_t *)&conn->tcp, on_refused_closed);
	else
		serve_connection(conn);
}

int tcp_listen(struct tcp_listener *listener, struct tcp_server *server, int fd)
{
	listener->fd = fd;
	listener->server = server;
	int rc = uv_tcp_init(server->loop, &listener->tcp);
	if (rc == 0)
		rc = uv_tcp_open(&listener->tcp, fd);
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&listener->tcp, 511, on_connection);
	return rc;
}

void tcp_listener_close(struct tcp_listener *listener, uv_close_cb closed)
{
	/* Connections the kernel has accepted for us would be reset with the socket. */
	for (unsigned i = 0; i < 1024; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			break;
		struct connection *conn = new_connection(listener->server);
		if (conn && uv_tcp_open(&conn->tcp, fd) == 0)
			serve_connection(conn);
		else if (conn)
			uv_close((uv_handle_t *)&conn->tcp, on_refused_closed);
	}
	uv_close((uv_handle_t *)&listener->tcp, closed);
}

void tcp_server_drain(struct tcp_server *server)
{
	uint64_t now_ms = uv_now(server->loop);
	if (server->drain_from_ms == 0)
		server->drain_from_ms = now_ms;
	struct connection *next;
	for (struct connection *conn = server->oldest; conn; conn = next) {
		next = conn->newer;
		uint64_t quiet_from_ms =
		        conn->active_ms > server->drain_from_ms ? conn->active_ms : server->drain_from_ms;
		/* A request may be on its way, or wait to be read: closing under it would reset the
		 * connection. */
		if (now_ms - quiet_from_ms >= DRAIN_QUIET_MS && queued(conn) == 0 && !conn->paused &&
		    !conn->waiting)
			close_connection(conn);
	}
}

void tcp_server_leave(struct tcp_server *server)
{
	uint64_t now_ms = uv_now(server->loop);
	server->leaving = true;
	for (struct connection *conn = server->oldest; conn; conn = conn->newer) {
		/* Of one that asks all the time a request is on its way; it ends behind the answer. */
		if (now_ms - conn->active_ms >= DRAIN_QUIET_MS)
			leave_when_done(conn);
	}
}

void tcp_server_close(struct tcp_server *server)
{
	while (server->oldest)
		close_connection(server->oldest);
	uv_close((uv_handle_t *)&server->timer, NULL);
	uv_close((uv_handle_t *)&server->prepare, NULL);
	uv_close((uv_handle_t *)&server->idle, NULL);
}

void tcp_server_destroy(struct tcp_server *server)
{
	free(server);
}
