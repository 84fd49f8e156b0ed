#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "net/proxy.h"
#include "net/tcp_int.h"
#include "wire/wire.h"

/* A message whose length is known is kept in room that grows from this: most that say they are long are
 * never sent. */
#define KEEP_BYTES_MIN 512

/* Answers that did not go out at once. */
struct pending_write {
	uv_write_t write;
	size_t len;
	uint8_t data[];
};

/* --- the end --- */

static void on_closed(uv_handle_t *handle)
{
	struct tcp_conn *conn = (struct tcp_conn *)handle;
	free(conn->in);
	tls_session_destroy(conn->tls);
	free(conn);
}

/* What TLS has to say goes out if the socket takes it; behind answers that wait it would come too late. */
static void say_goodbye(struct tcp_conn *conn)
{
	struct tls_io *io = conn->server->io;
	if (tcp_conn_queued(conn))
		return;
	tls_session_end(conn->tls, io);
	if (io->out_len) {
		uv_buf_t buf = uv_buf_init((char *)io->out, (unsigned)io->out_len);
		(void)uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
	}
	io->out_len = 0;
}

void tcp_conn_close(struct tcp_conn *conn)
{
	if (tcp_conn_is_closing(conn))
		return;
	if (conn->tls && !conn->left)
		say_goodbye(conn);
	tcp_server_forget(conn);
	uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

size_t tcp_conn_queued(const struct tcp_conn *conn)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp);
}

/* Nothing left to do for a peer that has sent everything. What is kept is the beginning of something then. */
static void close_when_done(struct tcp_conn *conn)
{
	struct net_counters *counters = &conn->server->net->counters;
	if (!conn->ended || tcp_conn_queued(conn) || conn->paused || conn->waiting)
		return;
	if (conn->in_len && conn->wants_header)
		proxy_count(counters, PROXY_BAD);
	else if (conn->in_len)
		counters->tcp_bad_frames++;
	tcp_conn_close(conn);
}

/* Has the kernel bytes of it that we have not read? */
static bool has_unread(const struct tcp_conn *conn)
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

void tcp_conn_leave(struct tcp_conn *conn)
{
	if (tcp_conn_is_closing(conn) || conn->left || conn->ended || conn->in_len || tcp_conn_queued(conn) ||
	    conn->paused || conn->waiting || tcp_conn_is_shaking_hands(conn) || has_unread(conn))
		return;
	if (conn->tls)
		say_goodbye(conn);
	conn->left = uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->tcp, on_shutdown) == 0;
}

/* --- out --- */

static void on_written(uv_write_t *write, int status)
{
	struct tcp_conn *conn = (struct tcp_conn *)write->handle;
	struct pending_write *pending = (struct pending_write *)write;
	size_t len = sizeof(*pending) + pending->len;
	free(pending);
	if (tcp_conn_is_closing(conn))
		return;
	tcp_server_release(conn, len);
	if (status < 0) {
		tcp_conn_close(conn);
		return;
	}
	tcp_server_touch(conn);
	if (conn->paused && !conn->waiting && tcp_conn_queued(conn) <= TCP_QUEUE_MAX / 2)
		tcp_conn_take_turn(conn);
	else
		close_when_done(conn);
	if (conn->server->leaving)
		tcp_conn_leave(conn);
}

/* Send bytes as they are. What the kernel does not take now is kept for later. */
static void send_bytes(struct tcp_conn *conn, const uint8_t *data, size_t len)
{
	if (len == 0)
		return;
	if (tcp_conn_queued(conn) == 0) {
		uv_buf_t buf = uv_buf_init((char *)data, (unsigned)len);
		int sent = uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
		if (sent < 0 && sent != UV_EAGAIN) {
			tcp_conn_close(conn);
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
		tcp_conn_close(conn);
		return;
	}
	pending->len = len;
	memcpy(pending->data, data, len);
	uv_buf_t buf = uv_buf_init((char *)pending->data, (unsigned)len);
	/* Data may be gone after hold(): others that are closed for us say goodbye by the same buffer. */
	if (!tcp_server_hold(conn, sizeof(*pending) + len) ||
	    uv_write(&pending->write, (uv_stream_t *)&conn->tcp, &buf, 1, on_written) < 0) {
		free(pending);
		tcp_conn_close(conn);
	}
}

static void send_tls_output(struct tcp_conn *conn)
{
	struct tls_io *io = conn->server->io;
	size_t len = io->out_len;
	io->out_len = 0;
	send_bytes(conn, io->out, len);
}

/* Send what is in server->out. */
static void flush(struct tcp_conn *conn)
{
	struct tcp_server *server = conn->server;
	size_t len = server->out_len;
	server->out_len = 0;
	if (len == 0)
		return;
	if (!conn->tls)
		send_bytes(conn, server->out, len);
	else if (tls_session_send(conn->tls, server->io, server->out, len) < 0)
		tcp_conn_close(conn);
	else
		send_tls_output(conn);
}

/* --- requests --- */

/* The PROXY header before the first message, or before TLS: from here on the client is whom it names.
 * Returns its length; 0 = it is not all there yet, or the connection closes. */
static size_t take_header(struct tcp_conn *conn, const uint8_t *data, size_t len)
{
	struct proxy_header header;
	enum proxy_verdict verdict = proxy_parse(data, len, &header);
	proxy_count(&conn->server->net->counters, verdict);
	if (verdict == PROXY_INCOMPLETE)
		return 0;
	if (verdict != PROXY_OK ||
	    (header.has_addrs && !tcp_server_set_client(conn, &header.source.sa, sizeof(header.source)))) {
		tcp_conn_close(conn);
		return 0;
	}
	conn->wants_header = false;
	return header.len;
}

static void spend(struct tcp_server *server, size_t work)
{
	server->work_left -= work < server->work_left ? work : server->work_left;
}

/* Answer complete requests at data until the turn is over. Returns the bytes used; sets paused when the peer
 * should read first, and has_more when it is the others' turn first. */
static size_t process(struct tcp_conn *conn, const uint8_t *data, size_t len, bool *ret_has_more)
{
	struct tcp_server *server = conn->server;
	struct net_context *net = server->net;
	size_t at = conn->wants_header ? take_header(conn, data, len) : 0;
	size_t work = 0;
	bool any = false;
	uint32_t idle_ms = tcp_server_keepalive_ms(server);
	conn->paused = false;
	*ret_has_more = false;
	while (!conn->wants_header && len - at >= 2) {
		size_t message_len = wire_get16(data + at);
		if (message_len == 0) { /* no message can be that short: whatever this is, it is not DNS */
			server->net->counters.tcp_bad_frames++;
			flush(conn);
			tcp_conn_close(conn);
			return len;
		}
		if (len - at - 2 < message_len)
			break;
		if (work >= TCP_WORK_CONNECTION || work >= server->work_left) {
			*ret_has_more = true;
			break;
		}
		if (tcp_conn_queued(conn) + server->out_len > TCP_QUEUE_MAX) {
			flush(conn);
			if (tcp_conn_is_closing(conn))
				return len;
			if (tcp_conn_queued(conn) > TCP_QUEUE_MAX / 2) {
				conn->paused = true;
				break;
			}
		}
		struct client client = { .peer = (const struct sockaddr *)&conn->peer,
			                 .transport = conn->tls ? TRANSPORT_TLS : TRANSPORT_TCP,
			                 .tells_idle = true,
			                 .idle_ms = idle_ms };
		uint8_t *out = server->out + server->out_len;
		size_t answer_len = answer_query(net->data, &client, data + at + 2, message_len, out + 2,
		                                 ANSWER_TCP_MAX, &net->state);
		if (answer_len) {
			wire_put16(out, (uint16_t)answer_len);
			server->out_len += 2 + answer_len;
		}
		at += 2 + message_len;
		work += answer_len > TCP_WORK_MESSAGE ? answer_len : TCP_WORK_MESSAGE;
		any = true;
	}
	spend(server, work);
	flush(conn);
	if (any && !tcp_conn_is_closing(conn))
		tcp_server_touch(conn);
	return at;
}

static void drop_kept(struct tcp_conn *conn)
{
	tcp_server_release(conn, conn->in_cap);
	free(conn->in);
	conn->in = NULL;
	conn->in_len = 0;
	conn->in_cap = 0;
}

/* Keep bytes for later behind those kept already. */
static int keep(struct tcp_conn *conn, const uint8_t *data, size_t len)
{
	size_t cap = conn->in_len + len;
	if (conn->in_cap < cap) {
		if (cap < 2 * conn->in_cap)
			cap = 2 * conn->in_cap;
		if (cap < KEEP_BYTES_MIN)
			cap = KEEP_BYTES_MIN;
		if (!tcp_server_hold(conn, cap - conn->in_cap))
			return -ENOBUFS;
		uint8_t *in = realloc(conn->in, cap);
		if (!in) {
			tcp_server_release(conn, cap - conn->in_cap);
			return -ENOMEM;
		}
		conn->in = in;
		conn->in_cap = cap;
	}
	memcpy(conn->in + conn->in_len, data, len);
	conn->in_len += len;
	return 0;
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf);

/* Records are opened as soon as they are read: when the work of this round is done there is no room for them,
 * and on_read() hears of it. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct tcp_conn *conn = (struct tcp_conn *)handle;
	struct tcp_server *server = conn->server;
	bool opens_records = conn->tls && !conn->left && !tcp_conn_is_shaking_hands(conn);
	(void)suggested;
	if (opens_records && !server->work_left)
		*buf = uv_buf_init(NULL, 0);
	else
		*buf = uv_buf_init((char *)server->read_buffer,
		                   conn->tls ? TCP_TLS_READ_BYTES : TCP_READ_BYTES);
}

static void after_processing(struct tcp_conn *conn, bool has_more)
{
	if (tcp_conn_is_closing(conn))
		return;
	if (conn->in_len == 0)
		drop_kept(conn);
	if (has_more && !conn->waiting)
		tcp_server_join_line(conn);
	if (conn->paused || conn->waiting)
		uv_read_stop((uv_stream_t *)&conn->tcp);
	else if (!conn->ended)
		uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
	close_when_done(conn);
	if (conn->server->leaving)
		tcp_conn_leave(conn);
}

static void process_kept(struct tcp_conn *conn)
{
	conn->server->net->between_batches(conn->server->net);
	bool has_more;
	size_t used = process(conn, conn->in, conn->in_len, &has_more);
	if (tcp_conn_is_closing(conn))
		return;
	conn->in_len -= used;
	memmove(conn->in, conn->in + used, conn->in_len);
	after_processing(conn, has_more);
}

/* Messages, or parts of them. */
static void take_stream(struct tcp_conn *conn, const uint8_t *data, size_t len)
{
	if (conn->in_len) {
		if (len && keep(conn, data, len) < 0)
			tcp_conn_close(conn);
		else
			process_kept(conn);
		return;
	}
	conn->server->net->between_batches(conn->server->net);
	bool has_more;
	size_t used = process(conn, data, len, &has_more);
	if (tcp_conn_is_closing(conn))
		return;
	if (used < len && keep(conn, data + used, len - used) < 0) {
		tcp_conn_close(conn);
		return;
	}
	after_processing(conn, has_more);
}

/* --- in --- */

static void take_tls(struct tcp_conn *conn, const uint8_t *data, size_t len)
{
	struct tcp_server *server = conn->server;
	bool was_open = tls_session_is_open(conn->tls);
	size_t plain_len;
	enum tls_state state = tls_session_receive(conn->tls, server->io, data, len, server->plain,
	                                           sizeof(server->plain), &plain_len);
	spend(server, (size_t)server->io->records_n * TCP_WORK_RECORD);
	/* To sign has cost us something, or to put pieces together; what we still wait for has not. */
	if (!was_open && server->handshakes_left &&
	    (server->io->out_len || server->io->records_n > TCP_HANDSHAKE_RECORDS))
		server->handshakes_left--;
	if (!was_open && tls_session_is_open(conn->tls))
		tcp_server_note_handshake(conn);
	/* TLS has answers of its own (RFC 8446 section 4.6.3), and who does not read them gets no more. */
	bool floods = server->io->out_len && tcp_conn_queued(conn) > TCP_QUEUE_MAX;
	send_tls_output(conn);
	if (state == TLS_FAILED || floods) {
		server->net->counters.tls_errors += tls_session_is_open(conn->tls);
		tcp_conn_close(conn);
	}
	if (tcp_conn_is_closing(conn))
		return;
	if (state == TLS_ENDED) {
		conn->ended = true;
		uv_read_stop((uv_stream_t *)&conn->tcp);
	}
	take_stream(conn, server->plain, plain_len);
}

/* Handshakes take turns as requests do. */
static void take_tls_in_turn(struct tcp_conn *conn, const uint8_t *data, size_t len)
{
	if (!tcp_conn_is_shaking_hands(conn) || conn->server->handshakes_left)
		take_tls(conn, data, len);
	else if (keep(conn, data, len) < 0)
		tcp_conn_close(conn);
	else
		after_processing(conn, true);
}

/* What is kept is the caller's from here on. */
static uint8_t *take_kept(struct tcp_conn *conn)
{
	uint8_t *data = conn->in;
	conn->in = NULL;
	drop_kept(conn);
	return data;
}

/* The PROXY header before TLS, if it does not stand inside: the first byte tells. */
static void take_beginning(struct tcp_conn *conn, const uint8_t *data, size_t len)
{
	if (conn->in_len == 0 && *data != PROXY_FIRST_BYTE) {
		conn->before_tls = false;
		take_tls_in_turn(conn, data, len);
		return;
	}
	if (keep(conn, data, len) < 0) {
		tcp_conn_close(conn);
		return;
	}
	size_t header_len = take_header(conn, conn->in, conn->in_len);
	if (header_len == 0)
		return;
	conn->before_tls = false;
	size_t rest_len = conn->in_len - header_len;
	uint8_t *kept = take_kept(conn);
	if (rest_len)
		take_tls_in_turn(conn, kept + header_len, rest_len);
	free(kept);
}

/*
 * Bytes as they come from the socket. Whatever stands before messages and TLS belongs here.
 */
static void take_bytes(struct tcp_conn *conn, const uint8_t *data, size_t len)
{
	if (conn->before_tls)
		take_beginning(conn, data, len);
	else if (conn->tls)
		take_tls_in_turn(conn, data, len);
	else
		take_stream(conn, data, len);
}

/*
 * In its turn and not when epoll tells of it next: by then those that epoll names first, always the same,
 * may have done all the work of a round.
 */
static void read_in_turn(struct tcp_conn *conn)
{
	uv_os_fd_t fd;
	uv_buf_t buf;
	conn->reads_in_turn = false;
	after_processing(conn, false);
	if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) < 0)
		return;
	on_alloc((uv_handle_t *)&conn->tcp, 0, &buf);
	ssize_t n = read(fd, buf.base, buf.len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	on_read((uv_stream_t *)&conn->tcp, n > 0 ? n : n < 0 ? -errno : UV_EOF, &buf);
}

void tcp_conn_take_turn(struct tcp_conn *conn)
{
	if (conn->reads_in_turn) {
		read_in_turn(conn);
		return;
	}
	if (!tcp_conn_is_shaking_hands(conn)) {
		process_kept(conn);
		return;
	}
	size_t len = conn->in_len;
	uint8_t *data = take_kept(conn);
	take_tls(conn, data, len);
	free(data);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
	struct tcp_conn *conn = (struct tcp_conn *)stream;
	if (nread == 0)
		return;
	if (!buf->base) {
		uv_read_stop(stream);
		conn->reads_in_turn = true;
		tcp_server_join_line(conn);
		return;
	}
	if (nread > 0 && conn->left)
		return;
	if (nread > 0) {
		take_bytes(conn, (const uint8_t *)buf->base, (size_t)nread);
		return;
	}
	/* Half-closed: it may still take answers (RFC 7766 section 6.2.4). Anything else is the end. */
	if (nread != UV_EOF || conn->left) {
		tcp_conn_close(conn);
		return;
	}
	conn->ended = true;
	uv_read_stop(stream);
	close_when_done(conn);
}

void tcp_conn_start(struct tcp_conn *conn)
{
	uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
}
