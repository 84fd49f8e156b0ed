#include "ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/object.h"
#include "inspect/response.h"
#include "loop/accept.h"

#define BACKLOG     128
#define DEPTH_MAX   16
#define REQUEST_MS  10000 /* for a request to come in whole, and between two */
#define RESPONSE_MS 30000 /* for a response to be read */
#define CROWDED_MS  1000  /* for both, when others wait for their turn */

struct client {
	uv_pipe_t pipe;
	uv_timer_t timer;
	uv_write_t write;
	struct ctl *ctl;
	struct client *next;
	struct ctl_request request;
	bool busy; /* a request is under way or its response is being written */
	bool closing;
	bool too_long;   /* the line: its beginning has been dropped */
	unsigned open_n; /* handles not closed yet, and one for a request under way */
	char *response;
	size_t used;
	char buffer[CTL_REQUEST_MAX];
};

struct ctl {
	struct acceptor acceptor; /* acceptor.poll.data: the ctl */
	struct client *clients;
	unsigned clients_n;
	int waiting_fd; /* who has come and has no place yet; -1 = nobody */
	bool crowded;   /* somebody waits, here or in the backlog */
	ctl_handler *handler;
	void *context;
	bool retired;
	dev_t file_device; /* the socket's file, to know it again */
	ino_t file_number;
	unsigned refs; /* the owner, the listener's handle, and each client */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static void ctl_unref(struct ctl *ctl)
{
	if (--ctl->refs == 0)
		free(ctl);
}

static void client_unref(struct client *client)
{
	if (--client->open_n)
		return;
	ctl_unref(client->ctl);
	free(client->response);
	free(client);
}

static void seat_waiting(struct ctl *ctl);

static void on_client_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;
	seat_waiting(client->ctl);
	client_unref(client);
}

static void close_client(struct client *client)
{
	if (client->closing)
		return;
	client->closing = true;
	for (struct client **at = &client->ctl->clients; *at; at = &(*at)->next) {
		if (*at == client) {
			*at = client->next;
			client->ctl->clients_n--;
			break;
		}
	}
	uv_close((uv_handle_t *)&client->pipe, on_client_closed);
	uv_close((uv_handle_t *)&client->timer, on_client_closed);
}

static void on_timeout(uv_timer_t *timer)
{
	close_client(timer->data);
}

static void limit_time(struct client *client, unsigned ms)
{
	if (client->ctl->crowded && ms > CROWDED_MS)
		ms = CROWDED_MS;
	uv_timer_start(&client->timer, on_timeout, ms, 0);
}

static bool take_request(struct client *client);
static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *client = handle->data;
	(void)suggested;
	buf->base = client->buffer + client->used;
	buf->len = sizeof(client->buffer) - client->used;
}

static void on_written(uv_write_t *write, int status)
{
	struct client *client = write->data;
	free(client->response);
	client->response = NULL;
	client->busy = false;
	if (status < 0 || client->ctl->retired) {
		close_client(client);
		return;
	}
	limit_time(client, REQUEST_MS);
	if (take_request(client))
		uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read);
}

/* text is a line; it is freed later. NULL: memory ran out. */
static void send_text(struct client *client, char *text, size_t len)
{
	static const char no_memory[] = "{\"ok\":false,\"error\":\"out of memory\"}\n";
	if (!text) {
		text = strdup(no_memory);
		len = sizeof(no_memory) - 1;
	}
	if (client->closing || !text) {
		free(text);
		close_client(client);
		return;
	}
	client->response = text;
	uv_buf_t part = uv_buf_init(text, (unsigned)len);
	client->write.data = client;
	limit_time(client, RESPONSE_MS);
	if (uv_write(&client->write, (uv_stream_t *)&client->pipe, &part, 1, on_written) < 0)
		close_client(client);
}

void ctl_reply_text(struct ctl_request *request, char *text, size_t len)
{
	struct client *client = (struct client *)(void *)((char *)request - offsetof(struct client, request));
	json_decref(request->body);
	request->body = NULL;
	send_text(client, text, len);
	client_unref(client);
}

void ctl_reply(struct ctl_request *request, json_t *response)
{
	size_t len = 0;
	char *text = object_dump(response, JSON_COMPACT, "\n", &len);
	json_decref(response);
	ctl_reply_text(request, text, len);
}

int ctl_take_socket(struct ctl_request *request)
{
	struct client *client = (struct client *)(void *)((char *)request - offsetof(struct client, request));
	uv_os_fd_t own;
	if (client->closing || uv_fileno((uv_handle_t *)&client->pipe, &own) < 0)
		return -EPIPE;
	int fd = fcntl(own, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	json_decref(request->body);
	request->body = NULL;
	close_client(client);
	client_unref(client);
	return fd;
}

/* From here on its request is under way, and it is not read from. */
static void begin_request(struct client *client, json_t *body)
{
	client->busy = true;
	uv_read_stop((uv_stream_t *)&client->pipe);
	client->request.body = body;
	client->open_n++;
}

/* Begin with the first whole line there is. Returns true when there is none: more has to be read. Else the
 * client may be gone. */
static bool take_request(struct client *client)
{
	char *newline = memchr(client->buffer, '\n', client->used);
	if (!newline) {
		if (client->used == sizeof(client->buffer)) {
			client->too_long = true;
			client->used = 0;
		}
		return true;
	}
	size_t len = (size_t)(newline - client->buffer);
	json_error_t error;
	json_t *body = NULL;
	if (client->too_long)
		snprintf(error.text, sizeof(error.text), "it is longer than %d bytes", CTL_REQUEST_MAX);
	else if (object_is_deep(client->buffer, len, DEPTH_MAX))
		snprintf(error.text, sizeof(error.text), "brackets too deep");
	else
		body = json_loadb(client->buffer, len, JSON_REJECT_DUPLICATES, &error);
	client->too_long = false;
	client->used -= len + 1;
	memmove(client->buffer, newline + 1, client->used);
	begin_request(client, body);
	if (!json_is_object(body)) {
		ctl_reply(&client->request, response_error("a request is a JSON object on a line: %s",
		                                           body ? "this is none" : error.text));
		return false;
	}
	/* Its time is now that of whoever carries it out. */
	uv_timer_stop(&client->timer);
	client->ctl->handler(client->ctl->context, &client->request);
	return false;
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct client *client = stream->data;
	(void)buf;
	/* A client that has only closed its side waits for an answer; it might be half of a request, so it is
	 * not carried out. */
	if (got == UV_EOF && (client->used || client->too_long)) {
		client->used = 0;
		client->too_long = false;
		begin_request(client, NULL);
		ctl_reply(&client->request, response_error("a request is a JSON object on a line: the end of "
		                                           "the line is missing"));
		return;
	}
	if (got < 0) {
		close_client(client);
		return;
	}
	client->used += (size_t)got;
	if (!client->busy)
		take_request(client);
}

static void read_peer(struct client *client)
{
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(cred);
	uv_os_fd_t fd;
	if (uv_fileno((uv_handle_t *)&client->pipe, &fd) == 0)
		(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len); /* -1 says: not known */
	client->request.uid = cred.uid;
	client->request.pid = cred.pid;
}

/* Who keeps a place without anything being done for him has little time left. */
static void hurry_clients(struct ctl *ctl)
{
	for (struct client *client = ctl->clients; client; client = client->next) {
		if (uv_is_active((uv_handle_t *)&client->timer) &&
		    uv_timer_get_due_in(&client->timer) > CROWDED_MS)
			limit_time(client, CROWDED_MS);
	}
}

static void set_crowded(struct ctl *ctl)
{
	ctl->crowded = true;
	hurry_clients(ctl);
}

static void take_client(struct ctl *ctl, int fd)
{
	uv_loop_t *loop = ctl->acceptor.poll.loop;
	struct client *client = calloc(1, sizeof(*client));
	if (!client) {
		close(fd);
		return;
	}
	ctl->crowded = false;
	client->ctl = ctl;
	client->open_n = 2;
	ctl->refs++;
	uv_pipe_init(loop, &client->pipe, 0);
	uv_timer_init(loop, &client->timer);
	client->pipe.data = client;
	client->timer.data = client;
	client->next = ctl->clients;
	ctl->clients = client;
	ctl->clients_n++;
	if (uv_pipe_open(&client->pipe, fd) < 0) {
		close(fd);
		close_client(client);
		return;
	}
	read_peer(client);
	limit_time(client, REQUEST_MS);
	uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read);
}

static void on_accepted(struct acceptor *acceptor, int fd)
{
	struct ctl *ctl = acceptor->poll.data;
	if (ctl->clients_n < CTL_CLIENTS_MAX) {
		take_client(ctl, fd);
		return;
	}
	ctl->waiting_fd = fd;
	acceptor_pause(acceptor);
	set_crowded(ctl);
}

/* A place has become free. */
static void seat_waiting(struct ctl *ctl)
{
	int fd = ctl->waiting_fd;
	if (fd < 0 || ctl->clients_n >= CTL_CLIENTS_MAX)
		return;
	ctl->waiting_fd = -1;
	take_client(ctl, fd);
	acceptor_resume(&ctl->acceptor);
}

/* Out of descriptors: those that do nothing give theirs back, in a second. */
static bool on_accept_failed(struct acceptor *acceptor)
{
	set_crowded(acceptor->poll.data);
	return false;
}

/* --- the socket file --- */

/* A file that nobody listens on is what a killed process has left. Others stay: only a refusal says that
 * nobody does; a socket of another kind or one that we may not write to is somebody's. */
static int clear_place(const struct sockaddr_un *address)
{
	struct stat st;
	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
	close(fd);
	switch (error) {
	case ECONNREFUSED: return unlink(address->sun_path) < 0 ? -errno : 0;
	case ENOENT: return 0;     /* gone meanwhile */
	case EPERM: return -EBUSY; /* the sandbox connects to nothing: who answers there can't be known */
	case 0:
	case EAGAIN:
	case EPROTOTYPE: return -EADDRINUSE;
	default: return -error;
	}
}

static int set_group(const char *path, const char *group)
{
	const struct group *entry = group ? getgrnam(group) : NULL;
	if (group && !entry)
		return -ENOENT;
	if (entry && chown(path, (uid_t)-1, entry->gr_gid) < 0)
		return -errno;
	return 0;
}

static int open_socket(const char *path, const char *group)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	int rc = clear_place(&address);
	if (rc < 0)
		return rc;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Never open to all, not even for a moment. */
	mode_t before = umask(0117);
	rc = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(before);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	rc = set_group(path, group);
	if (rc < 0) {
		close(fd);
		unlink(path);
		return rc;
	}
	return fd;
}

/* Takes fd over, also on failure. */
static int listen_on(uv_loop_t *loop, const char *path, int fd, ctl_handler *handler, void *context,
                     struct ctl **ret_ctl)
{
	struct ctl *ctl = calloc(1, sizeof(*ctl));
	int rc = ctl ? 0 : -ENOMEM;
	if (rc == 0 && listen(fd, BACKLOG) < 0)
		rc = -errno;
	if (rc == 0)
		rc = acceptor_open(&ctl->acceptor, loop, fd, on_accepted, on_accept_failed);
	if (rc < 0) {
		close(fd);
		free(ctl);
		return rc;
	}
	ctl->acceptor.poll.data = ctl;
	ctl->waiting_fd = -1;
	ctl->handler = handler;
	ctl->context = context;
	ctl->refs = 2;
	snprintf(ctl->path, sizeof(ctl->path), "%s", path);
	struct stat st;
	if (lstat(path, &st) == 0) {
		ctl->file_device = st.st_dev;
		ctl->file_number = st.st_ino;
	}
	*ret_ctl = ctl;
	return 0;
}

int ctl_create(uv_loop_t *loop, const char *path, const char *group, ctl_handler *handler, void *context,
               struct ctl **ret_ctl)
{
	int fd = open_socket(path, group);
	if (fd < 0)
		return fd;
	int rc = listen_on(loop, path, fd, handler, context, ret_ctl);
	if (rc < 0)
		unlink(path);
	return rc;
}

int ctl_adopt(uv_loop_t *loop, const char *path, int fd, ctl_handler *handler, void *context,
              struct ctl **ret_ctl)
{
	return listen_on(loop, path, fd, handler, context, ret_ctl);
}

int ctl_fd(const struct ctl *ctl)
{
	return ctl->acceptor.fd;
}

static void on_ctl_closed(uv_handle_t *handle)
{
	ctl_unref(handle->data);
}

static void stop_listening(struct ctl *ctl)
{
	ctl->retired = true;
	if (ctl->waiting_fd >= 0)
		close(ctl->waiting_fd);
	ctl->waiting_fd = -1;
	/* Who waits in the backlog is left to whoever listens on the socket beside us. */
	acceptor_close(&ctl->acceptor, on_ctl_closed);
}

void ctl_release(struct ctl *ctl)
{
	if (!ctl || ctl->retired)
		return;
	stop_listening(ctl);
	hurry_clients(ctl);
}

void ctl_retire(struct ctl *ctl)
{
	if (!ctl || ctl->retired)
		return;
	if (ctl_is_there(ctl))
		unlink(ctl->path);
	stop_listening(ctl);
	for (struct client *client = ctl->clients, *next; client; client = next) {
		next = client->next;
		if (!client->busy)
			close_client(client);
	}
}

void ctl_destroy(struct ctl *ctl)
{
	if (!ctl)
		return;
	ctl_retire(ctl);
	while (ctl->clients)
		close_client(ctl->clients);
	ctl_unref(ctl);
}

bool ctl_is_there(const struct ctl *ctl)
{
	struct stat st;
	return lstat(ctl->path, &st) == 0 && st.st_dev == ctl->file_device && st.st_ino == ctl->file_number;
}

const char *ctl_path(const struct ctl *ctl)
{
	return ctl->path;
}
