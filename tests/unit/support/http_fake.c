#include "tests/unit/support/http_fake.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define FILES_MAX   64
#define REQUEST_MAX 4096
#define LOG_MAX     65536

struct file {
	char path[64];
	const void *bytes; /* NULL: there is none */
	size_t len;
	uint64_t mtime_s;
	const struct http_fake_answer *script;
};

struct http_fake {
	uv_loop_t *loop;
	uv_tcp_t listener;
	struct file files[FILES_MAX];
	size_t files_n;
	const struct http_fake_answer *script;
	unsigned head_status;
	struct http_fake_counts counts;
	char requests[LOG_MAX];
	size_t requests_len;
	char last[REQUEST_MAX];
	struct connection *connections;
	size_t handles_n;
};

struct connection {
	struct connection *next, *prev;
	struct http_fake *fake;
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_write_t write;
	unsigned handles_n;
	bool is_closing;
	bool is_answering;
	char request[REQUEST_MAX];
	size_t request_len;
	char *out;
	size_t out_len, out_off;
	struct http_fake_answer answer;
};

static void free_fake(struct http_fake *fake)
{
	if (--fake->handles_n == 0)
		free(fake);
}

static void on_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;
	struct http_fake *fake = connection->fake;
	if (--connection->handles_n == 0) {
		free(connection->out);
		free(connection);
	}
	free_fake(fake);
}

static void drop(struct connection *connection, bool reset)
{
	struct http_fake *fake = connection->fake;
	if (connection->is_closing)
		return;
	connection->is_closing = true;
	fake->counts.open_n--;
	if (connection->prev)
		connection->prev->next = connection->next;
	else
		fake->connections = connection->next;
	if (connection->next)
		connection->next->prev = connection->prev;
	uv_close((uv_handle_t *)&connection->timer, on_closed);
	if (!reset || uv_tcp_close_reset(&connection->tcp, on_closed) < 0)
		uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

static void send_more(struct connection *connection);
static void next_request(struct connection *connection);

static void on_drop(uv_timer_t *timer)
{
	send_more(timer->data);
}

static void on_written(uv_write_t *write, int status)
{
	struct connection *connection = write->data;
	if (status < 0) {
		drop(connection, false);
		return;
	}
	if (connection->is_closing)
		return;
	if (connection->answer.drop_ms)
		uv_timer_start(&connection->timer, on_drop, connection->answer.drop_ms, 0);
	else
		send_more(connection);
}

static void send_more(struct connection *connection)
{
	struct http_fake_answer *answer = &connection->answer;
	uv_buf_t buf;
	if (connection->out_off < connection->out_len) {
		size_t len = connection->out_len - connection->out_off;
		buf = uv_buf_init(connection->out + connection->out_off,
		                  (unsigned)(answer->drop_ms ? 1 : len));
		connection->out_off += buf.len;
	} else if (answer->then == HTTP_FAKE_AGAIN) {
		buf = uv_buf_init((char *)(uintptr_t)answer->again, (unsigned)strlen(answer->again));
	} else {
		connection->is_answering = answer->then == HTTP_FAKE_HANG;
		if (answer->then == HTTP_FAKE_CLOSE || answer->then == HTTP_FAKE_RESET)
			drop(connection, answer->then == HTTP_FAKE_RESET);
		else if (answer->then == HTTP_FAKE_KEEP)
			next_request(connection);
		return;
	}
	connection->fake->counts.sent_len += buf.len;
	connection->write.data = connection;
	if (uv_write(&connection->write, (uv_stream_t *)&connection->tcp, &buf, 1, on_written) < 0)
		drop(connection, false);
}

static bool get_header(const char *request, const char *name, char *ret_value, size_t cap)
{
	size_t name_len = strlen(name);
	for (const char *line = strstr(request, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
			const char *value = line + name_len + 1 + strspn(line + name_len + 1, " ");
			snprintf(ret_value, cap, "%.*s", (int)strcspn(value, "\r\n"), value);
			return true;
		}
	}
	return false;
}

static struct file *find_file(struct http_fake *fake, const char *path)
{
	for (size_t i = 0; i < fake->files_n; i++) {
		if (strcmp(fake->files[i].path, path) == 0)
			return &fake->files[i];
	}
	return NULL;
}

static void set_out(struct connection *connection, const char *head, const void *body, size_t body_len)
{
	size_t head_len = strlen(head);
	free(connection->out);
	connection->out = malloc(head_len + body_len + 1);
	if (!connection->out)
		abort();
	memcpy(connection->out, head, head_len);
	if (body_len)
		memcpy(connection->out + head_len, body, body_len);
	connection->out_len = head_len + body_len;
	connection->out_off = 0;
}

static bool is_unchanged(const struct file *file, const char *request)
{
	char since[64];
	struct tm utc = { 0 };
	return get_header(request, "If-Modified-Since", since, sizeof(since)) &&
	       strptime(since, "%a, %d %b %Y %H:%M:%S GMT", &utc) && (uint64_t)timegm(&utc) >= file->mtime_s;
}

static void serve(struct connection *connection, const struct file *file, bool head)
{
	static const char missing[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n";
	char text[512];
	char range[64];
	unsigned long first;
	unsigned long last;
	if (!file || !file->bytes) {
		set_out(connection, missing, "gone\n", head ? 0 : 5);
	} else if (head && connection->fake->head_status) {
		snprintf(text, sizeof(text), "HTTP/1.1 %u No\r\n\r\n", connection->fake->head_status);
		set_out(connection, text, NULL, 0);
	} else if (is_unchanged(file, connection->request)) {
		set_out(connection, "HTTP/1.1 304 Not Modified\r\n\r\n", NULL, 0);
	} else if (get_header(connection->request, "Range", range, sizeof(range)) &&
	           sscanf(range, "bytes=%lu-%lu", &first, &last) == 2) {
		if (first >= file->len) {
			set_out(connection, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n",
			        NULL, 0);
			return;
		}
		if (last >= file->len)
			last = file->len - 1;
		snprintf(text, sizeof(text),
		         "HTTP/1.1 206 Partial Content\r\nContent-Length: %lu\r\n"
		         "Content-Range: bytes %lu-%lu/%zu\r\n\r\n",
		         last - first + 1, first, last, file->len);
		set_out(connection, text, (const char *)file->bytes + first, head ? 0 : last - first + 1);
	} else {
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", file->len);
		set_out(connection, text, file->bytes, head ? 0 : file->len);
	}
}

static bool fits(const struct http_fake_answer *answer, const char *request, const char *host,
                 const char *method)
{
	char range[64];
	return answer && (!answer->host || strcmp(answer->host, host) == 0) &&
	       (!answer->method || strcmp(answer->method, method) == 0) &&
	       (!answer->is_for_whole || !get_header(request, "Range", range, sizeof(range))) &&
	       (!answer->is_for_newer || get_header(request, "If-Modified-Since", range, sizeof(range)));
}

static void answer_request(struct connection *connection)
{
	struct http_fake *fake = connection->fake;
	char method[16] = "";
	char path[64] = "";
	char host[256] = "";
	sscanf(connection->request, "%15s %63s", method, path);
	get_header(connection->request, "Host", host, sizeof(host));
	fake->counts.requests_n++;
	snprintf(fake->last, sizeof(fake->last), "%s", connection->request);
	int len = snprintf(fake->requests + fake->requests_len, LOG_MAX - fake->requests_len, "%s %s %s\n",
	                   method, path, host);
	if (fake->requests_len + (size_t)len < LOG_MAX)
		fake->requests_len += (size_t)len;
	struct file *file = find_file(fake, path);
	const struct http_fake_answer *script = file && file->script ? file->script : fake->script;
	if (!fits(script, connection->request, host, method))
		script = NULL;
	connection->answer = script ? *script : (struct http_fake_answer){ .then = HTTP_FAKE_KEEP };
	if (script)
		set_out(connection, "", script->text,
		        script->text_len ? script->text_len : strlen(script->text));
	else
		serve(connection, file, strcmp(method, "HEAD") == 0);
	connection->is_answering = true;
	send_more(connection);
}

static void next_request(struct connection *connection)
{
	char *end = strstr(connection->request, "\r\n\r\n");
	if (!end || connection->is_answering || connection->is_closing)
		return;
	size_t used = (size_t)(end + 4 - connection->request);
	char rest[REQUEST_MAX];
	size_t rest_len = connection->request_len - used;
	memcpy(rest, connection->request + used, rest_len);
	connection->request[used] = '\0';
	connection->request_len = 0;
	answer_request(connection);
	memcpy(connection->request, rest, rest_len);
	connection->request_len = rest_len;
	connection->request[rest_len] = '\0';
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct connection *connection = handle->data;
	(void)suggested;
	*buf = uv_buf_init(connection->request + connection->request_len,
	                   (unsigned)(REQUEST_MAX - 1 - connection->request_len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct connection *connection = stream->data;
	(void)buf;
	if (n < 0) {
		drop(connection, false);
		return;
	}
	connection->request_len += (size_t)n;
	connection->request[connection->request_len] = '\0';
	next_request(connection);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct http_fake *fake = listener->data;
	struct connection *connection = calloc(1, sizeof(*connection));
	if (status < 0 || !connection)
		abort();
	connection->fake = fake;
	uv_tcp_init(fake->loop, &connection->tcp);
	uv_timer_init(fake->loop, &connection->timer);
	connection->tcp.data = connection->timer.data = connection;
	connection->handles_n = 2;
	fake->handles_n += 2;
	connection->next = fake->connections;
	if (fake->connections)
		fake->connections->prev = connection;
	fake->connections = connection;
	fake->counts.connections_n++;
	if (++fake->counts.open_n > fake->counts.open_max_n)
		fake->counts.open_max_n = fake->counts.open_n;
	if (uv_accept(listener, (uv_stream_t *)&connection->tcp) < 0 ||
	    uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read) < 0)
		drop(connection, false);
}

struct http_fake *http_fake_create(uv_loop_t *loop, int family)
{
	struct http_fake *fake = calloc(1, sizeof(*fake));
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	if (!fake)
		abort();
	fake->loop = loop;
	fake->handles_n = 1;
	uv_tcp_init(loop, &fake->listener);
	fake->listener.data = fake;
	int rc = uv_tcp_bind(&fake->listener,
	                     family == 6 ? (const struct sockaddr *)&sin6 : (const struct sockaddr *)&sin, 0);
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&fake->listener, 1024, on_connection);
	if (rc < 0) {
		http_fake_close(fake);
		return NULL;
	}
	return fake;
}

static void on_listener_closed(uv_handle_t *handle)
{
	free_fake(handle->data);
}

void http_fake_close(struct http_fake *fake)
{
	while (fake->connections)
		drop(fake->connections, false);
	uv_close((uv_handle_t *)&fake->listener, on_listener_closed);
}

uint16_t http_fake_port(const struct http_fake *fake)
{
	struct sockaddr_storage sa;
	int len = sizeof(sa);
	if (uv_tcp_getsockname(&fake->listener, (struct sockaddr *)&sa, &len) < 0)
		return 0;
	return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
	                                      : ((struct sockaddr_in *)&sa)->sin_port);
}

static struct file *take_file(struct http_fake *fake, const char *path)
{
	struct file *file = find_file(fake, path);
	if (file)
		return file;
	if (fake->files_n == FILES_MAX || strlen(path) >= sizeof(file->path))
		abort();
	file = &fake->files[fake->files_n++];
	strcpy(file->path, path);
	return file;
}

void http_fake_add(struct http_fake *fake, const char *path, const void *bytes, size_t len, uint64_t mtime_s)
{
	struct file *file = take_file(fake, path);
	file->bytes = bytes;
	file->len = len;
	file->mtime_s = mtime_s;
}

void http_fake_remove(struct http_fake *fake, const char *path)
{
	take_file(fake, path)->bytes = NULL;
}

void http_fake_script(struct http_fake *fake, const char *path, const struct http_fake_answer *answer)
{
	if (path)
		take_file(fake, path)->script = answer;
	else
		fake->script = answer;
}

void http_fake_refuse_head(struct http_fake *fake, unsigned status)
{
	fake->head_status = status;
}

struct http_fake_counts http_fake_counts(const struct http_fake *fake)
{
	return fake->counts;
}

const char *http_fake_requests(const struct http_fake *fake)
{
	return fake->requests;
}

const char *http_fake_last(const struct http_fake *fake)
{
	return fake->last;
}
