#include "metrics/http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "base/addr.h"
#include "base/log.h"
#include "loop/accept.h"
#include "metrics/text.h"

#define BACKLOG           64
#define REQUEST_BYTES_MAX 8192         /* of one connection: request line, headers, and ours */
#define SEND_BUFFER_BYTES (128 * 1024) /* what a client that does not read costs the kernel */

struct listener {
	struct acceptor acceptor; /* first */
	struct metrics_http *http;
	struct listener *next;
	struct sockaddr_storage requested; /* as configured: a port of 0 stays 0 */
	struct sockaddr_storage bound;
	bool is_new;    /* prepared, not served yet */
	bool is_wanted; /* by what was prepared last */
};

struct connection {
	bool is_open;
	int fd;         /* the library's */
	uint64_t since; /* smaller is older */
};

struct metrics_http {
	uv_loop_t *loop;
	struct metrics_calls calls;
	struct MHD_Daemon *daemon; /* NULL until there is something to serve */
	uv_poll_t epoll;           /* the daemon's; initialized when daemon is set */
	uv_timer_t timeout;        /* when the daemon wants to run at the latest */
	struct listener *listeners;
	struct connection connections[METRICS_CONNECTIONS_MAX];
	unsigned connections_n;
	uint64_t connections_made;
	unsigned handles_n; /* open; the last one frees */
};

/* --- the library on our loop --- */

static void on_timeout(uv_timer_t *timer);

static void run(struct metrics_http *http)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;
	MHD_run(http->daemon);
	if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES)
		uv_timer_start(&http->timeout, on_timeout, wait_ms, 0);
	else
		uv_timer_stop(&http->timeout);
}

static void on_timeout(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_epoll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **at,
                          enum MHD_ConnectionNotificationCode what)
{
	struct metrics_http *http = context;
	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		struct connection *connection = *at;
		if (connection && connection->is_open) {
			connection->is_open = false;
			http->connections_n--;
		}
		return;
	}
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	for (size_t i = 0; i < METRICS_CONNECTIONS_MAX && info; i++) {
		struct connection *connection = &http->connections[i];
		if (connection->is_open)
			continue;
		*connection = (struct connection){ true, info->connect_fd, http->connections_made++ };
		*at = connection;
		http->connections_n++;
		return;
	}
}

/* --- answers --- */

/* Takes the body over. A connection serves one request: scrapes are many seconds apart. */
static enum MHD_Result answer(struct MHD_Connection *mhd, unsigned status, const char *type, char *body,
                              size_t body_len)
{
	struct MHD_Response *response =
	        MHD_create_response_from_buffer(body_len, body, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	enum MHD_Result result = MHD_queue_response(mhd, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_line(struct MHD_Connection *mhd, unsigned status, const char *line)
{
	size_t len = strlen(line);
	char *body = malloc(len + 1);
	if (!body)
		return MHD_NO;
	memcpy(body, line, len);
	body[len] = '\n';
	return answer(mhd, status, "text/plain; charset=utf-8", body, len + 1);
}

/* Answered when the headers are there, so that a body is never read. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **request)
{
	const struct metrics_calls *calls = &((struct metrics_http *)context)->calls;
	(void)version;
	(void)upload_data;
	(void)upload_data_size;
	(void)request;
	bool is_metrics = strcmp(url, "/metrics") == 0;
	if (!is_metrics && strcmp(url, "/healthz") != 0)
		return answer_line(mhd, MHD_HTTP_NOT_FOUND, "here are /metrics and /healthz");
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_line(mhd, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
	if (is_metrics) {
		size_t len;
		char *text = calls->render(calls->context, &len);
		return text ? answer(mhd, MHD_HTTP_OK, METRICS_TEXT_TYPE, text, len)
		            : answer_line(mhd, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	}
	char why[METRICS_HEALTH_TEXT_MAX];
	bool is_healthy = calls->is_healthy(calls->context, why, sizeof(why));
	return answer_line(mhd, is_healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
	                   is_healthy ? "ok" : why);
}

/* --- accepting --- */

static void make_room(struct metrics_http *http)
{
	const struct connection *oldest = NULL;
	for (size_t i = 0; i < METRICS_CONNECTIONS_MAX; i++) {
		const struct connection *connection = &http->connections[i];
		if (connection->is_open && (!oldest || connection->since < oldest->since))
			oldest = connection;
	}
	/* The library has no call to close a connection; it sees the end of this one as the client's. */
	if (oldest)
		shutdown(oldest->fd, SHUT_RDWR);
	MHD_run(http->daemon);
}

static void on_accepted(struct acceptor *acceptor, int fd)
{
	struct metrics_http *http = ((struct listener *)acceptor)->http;
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0) {
		close(fd);
		return;
	}
	if (http->connections_n == METRICS_CONNECTIONS_MAX)
		make_room(http);
	/* Closes the socket where it fails. */
	MHD_add_connection(http->daemon, fd, (struct sockaddr *)&peer, peer_len);
	run(http);
}

/* Descriptors come back: connections end soon. */
static bool on_accept_failed(struct acceptor *acceptor)
{
	(void)acceptor;
	return false;
}

static void on_revived(struct acceptor *acceptor)
{
	const struct listener *listener = (struct listener *)acceptor;
	char text[ADDR_TEXT_MAX];
	log_warning("metrics on %s: somebody had ended the socket; it listens again",
	            addr_format_sockaddr((const struct sockaddr *)&listener->bound, text, sizeof(text)));
}

/* --- listeners --- */

static void release(struct metrics_http *http)
{
	if (--http->handles_n == 0)
		free(http);
}

static void on_closed(uv_handle_t *handle)
{
	release(handle->data);
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct listener *listener = (struct listener *)handle;
	release(listener->http);
	free(listener);
}

/* At its end, and nothing is accepted before metrics_http_commit(). Takes both over, also on failure. */
static int append_listener(struct metrics_http *http, struct listener *listener, int fd)
{
	int rc = acceptor_open(&listener->acceptor, http->loop, fd, on_accepted, on_accept_failed);
	if (rc < 0) {
		close(fd);
		free(listener);
		return rc;
	}
	acceptor_pause(&listener->acceptor);
	listener->acceptor.revived = on_revived;
	listener->http = http;
	listener->is_new = true;
	http->handles_n++;
	struct listener **at = &http->listeners;
	while (*at)
		at = &(*at)->next;
	*at = listener;
	return 0;
}

/*
 * Our own may overlap, 127.0.0.1 and 0.0.0.0 at one port, as those of before and the new ones do at a reload
 * that moves from one to the other. Only while they are bound: with those of another dnsd nothing is shared.
 */
static void set_sharing(struct metrics_http *http, int on)
{
	for (struct listener *listener = http->listeners; listener; listener = listener->next)
		(void)setsockopt(listener->acceptor.fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
}

static int open_socket(struct sockaddr_storage *addr, int sharing, int *ret_fd)
{
	bool v4 = addr->ss_family == AF_INET;
	socklen_t len = v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	int on = 1;
	int send_bytes = SEND_BUFFER_BYTES;
	int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Connections in TIME_WAIT do not block a restart; another server on this address does. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &sharing, sizeof(sharing)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes)) < 0 ||
	    (!v4 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    bind(fd, (const struct sockaddr *)addr, len) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)addr, &len) < 0) {
		int rc = -errno;
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

static const char *advice(int rc)
{
	switch (rc) {
	case -EACCES: return "; ports under 1024 need root or CAP_NET_BIND_SERVICE";
	case -EADDRINUSE: return "; somebody has this address and port, stop it or choose another port";
	case -EADDRNOTAVAIL: return "; no interface of this machine has this address";
	default: return "";
	}
}

/* Before the first, sharing would be with others. */
static int add_listener(struct metrics_http *http, const struct conf_listen *listen)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	if (!listener)
		return -ENOMEM;
	listener->requested = listener->bound = listen->addr;
	listener->is_wanted = true;
	int fd = -1;
	int rc = open_socket(&listener->bound, http->listeners != NULL, &fd);
	if (rc == 0)
		return append_listener(http, listener, fd);
	free(listener);
	return rc;
}

int metrics_http_adopt(struct metrics_http *http, const struct sockaddr_storage *requested, int fd)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	socklen_t len = sizeof(listener->bound);
	int on = 1;
	int send_bytes = SEND_BUFFER_BYTES;
	int rc = listener ? 0 : -ENOMEM;
	if (rc == 0 && getsockname(fd, (struct sockaddr *)&listener->bound, &len) < 0)
		rc = -errno;
	/* A service manager may have chosen others. */
	if (rc == 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	                setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes)) < 0))
		rc = -errno;
	if (rc < 0) {
		close(fd);
		free(listener);
		return rc;
	}
	listener->requested = *requested;
	return append_listener(http, listener, fd);
}

static struct listener *find_listener(struct metrics_http *http, const struct sockaddr_storage *requested)
{
	for (struct listener *listener = http->listeners; listener; listener = listener->next) {
		/* Two requests for a port of the kernel's choice are two listeners. */
		if (!listener->is_wanted && memcmp(&listener->requested, requested, sizeof(*requested)) == 0)
			return listener;
	}
	return NULL;
}

/* Close the listeners that are new, or else those that are no longer wanted. */
static void close_listeners(struct metrics_http *http, bool new_ones)
{
	char text[ADDR_TEXT_MAX];
	for (struct listener **at = &http->listeners; *at;) {
		struct listener *listener = *at;
		if (new_ones ? !listener->is_new : listener->is_wanted) {
			at = &listener->next;
			continue;
		}
		*at = listener->next;
		if (!listener->is_new)
			log_info("metrics no longer on %s",
			         addr_format_sockaddr((const struct sockaddr *)&listener->bound, text,
			                              sizeof(text)));
		acceptor_close(&listener->acceptor, on_listener_closed);
	}
}

/* --- life --- */

static int start_daemon(struct metrics_http *http)
{
	/* SIGPIPE is ignored by main(): the library needs no handler of its own. */
	http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request,
	                                http, MHD_OPTION_CONNECTION_LIMIT, (unsigned)METRICS_CONNECTIONS_MAX,
	                                MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)METRICS_IDLE_S,
	                                MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES_MAX,
	                                MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
	                                MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!http->daemon)
		return errno ? -errno : -ENOMEM;
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int rc = info ? uv_poll_init(http->loop, &http->epoll, info->epoll_fd) : -ENOSYS;
	if (rc < 0) {
		MHD_stop_daemon(http->daemon);
		http->daemon = NULL;
		return rc;
	}
	http->handles_n++;
	http->epoll.data = http;
	uv_poll_start(&http->epoll, UV_READABLE, on_epoll);
	return 0;
}

int metrics_http_create(uv_loop_t *loop, const struct metrics_calls *calls, struct metrics_http **ret_http)
{
	struct metrics_http *http = calloc(1, sizeof(*http));
	if (!http)
		return -ENOMEM;
	http->loop = loop;
	http->calls = *calls;
	uv_timer_init(loop, &http->timeout);
	http->timeout.data = http;
	http->handles_n = 1;
	*ret_http = http;
	return 0;
}

int metrics_http_prepare(struct metrics_http *http, const struct conf_listen *listen, size_t listen_n,
                         struct diag *diag)
{
	for (struct listener *listener = http->listeners; listener; listener = listener->next)
		listener->is_wanted = false;
	int rc = listen_n && !http->daemon ? start_daemon(http) : 0;
	if (rc < 0)
		diag_error(diag, NULL, 0, "cannot start the HTTP server of the metrics: %s", strerror(-rc));
	for (size_t i = 0; i < listen_n && rc == 0; i++) {
		struct listener *same = find_listener(http, &listen[i].addr);
		if (same) {
			same->is_wanted = true;
			continue;
		}
		set_sharing(http, 1);
		rc = add_listener(http, &listen[i]);
		char text[ADDR_TEXT_MAX];
		if (rc < 0)
			diag_error(diag, listen[i].place.file, listen[i].place.line,
			           "cannot serve metrics on %s: %s%s",
			           addr_format_sockaddr((const struct sockaddr *)&listen[i].addr, text,
			                                sizeof(text)),
			           strerror(-rc), advice(rc));
	}
	set_sharing(http, 0);
	if (rc < 0)
		metrics_http_abandon(http);
	return rc;
}

void metrics_http_commit(struct metrics_http *http)
{
	char text[ADDR_TEXT_MAX];
	close_listeners(http, false);
	for (struct listener *listener = http->listeners; listener; listener = listener->next) {
		if (!listener->is_new)
			continue;
		listener->is_new = false;
		acceptor_resume(&listener->acceptor);
		log_info("metrics on %s",
		         addr_format_sockaddr((const struct sockaddr *)&listener->bound, text, sizeof(text)));
	}
}

void metrics_http_abandon(struct metrics_http *http)
{
	close_listeners(http, true);
}

void metrics_http_each(const struct metrics_http *http,
                       void (*tell)(void *context, const struct sockaddr_storage *requested, int fd),
                       void *context)
{
	for (const struct listener *listener = http->listeners; listener; listener = listener->next)
		tell(context, &listener->requested, listener->acceptor.fd);
}

void metrics_http_retire(struct metrics_http *http)
{
	while (http && http->listeners) {
		struct listener *listener = http->listeners;
		http->listeners = listener->next;
		acceptor_close(&listener->acceptor, on_listener_closed);
	}
}

void metrics_http_close(struct metrics_http *http)
{
	if (!http)
		return;
	metrics_http_retire(http);
	uv_close((uv_handle_t *)&http->timeout, on_closed);
	if (http->daemon) {
		/* First out of our loop, then closed by the library. */
		uv_close((uv_handle_t *)&http->epoll, on_closed);
		MHD_stop_daemon(http->daemon);
	}
}
