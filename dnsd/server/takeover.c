/* The new process: takes the sockets over from the old one. */
#include "server/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/object.h"
#include "base/utc.h"
#include "server/channel.h"
#include "server/secrets.h"
#include "server/server_int.h"

#define MESSAGES_MAX 100
#define WAIT_STEP_MS 20

struct passed_metrics {
	struct sockaddr_storage requested;
	int fd; /* -1 = taken */
};

struct takeover {
	struct channel *channel; /* NULL = over */
	struct server *server;
	uv_poll_t poll;
	bool following;
	bool confirmed;
	bool wants_reload;
	uint64_t limit_ms; /* by when the old process says something, or never will; 0 = it ends us itself */
	pid_t pid;         /* of the old process */
	struct bindings *bindings;
	struct passed_metrics *metrics;
	size_t metrics_n;
	int secrets_fd; /* -1 = none, as the next */
	int control_fd;
	char *control_path;
	uint64_t generation;
	uint32_t serial;
	json_t *names;
	json_t *overrides; /* NULL: they are on disk */
	json_t *messages;  /* what was logged as wrong */
};

static void on_log(void *context, enum log_level level, const char *text)
{
	struct takeover *takeover = context;
	if (level > LOG_LEVEL_WARNING || json_array_size(takeover->messages) >= MESSAGES_MAX)
		return;
	json_array_append_new(takeover->messages,
	                      json_pack("{ssso}", "level", level == LOG_LEVEL_ERROR ? "error" : "warning",
	                                "text", object_text(text)));
}

/* --- finding the old process --- */

/* Connect to the control socket and ask. Returns a socket; -ENOENT when nobody is there. */
static int connect_control(const char *path, uint64_t limit_ms)
{
	struct timeval limit = { .tv_sec = (time_t)(limit_ms / 1000),
		                 .tv_usec = (suseconds_t)(limit_ms % 1000 * 1000) };
	static const char request[] = "{\"command\":\"takeover\"}\n";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* It holds for connect() too, which waits where nobody accepts. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == (ssize_t)(sizeof(request) - 1))
		return fd;
	int rc = errno == ECONNREFUSED ? -ENOENT : errno == EAGAIN ? -ETIMEDOUT : -errno;
	close(fd);
	return rc;
}

static const char *advice(int rc)
{
	switch (rc) {
	case -EMFILE: return "; raise the limit of open files (LimitNOFILE=)";
	case -ETIMEDOUT: return "; if it hangs, end it, and start without --takeover";
	default: return "";
	}
}

/* Returns a socket; -ENOENT when there is nobody to take over from; another negative errno, logged. */
static int find_old(const char *conf_path, uint64_t *ret_limit_ms)
{
	struct conf *conf = NULL;
	struct diag diag;
	diag_init(&diag);
	int rc = conf_load(conf_path, &diag, &conf);
	if (rc < 0)
		log_diag(&diag);
	diag_fini(&diag);
	if (rc == 0 && !conf->control) {
		log_error("%s: --takeover needs the control socket of the running server; set \"control\" in "
		          "the server group",
		          conf_path);
		rc = -EINVAL;
	}
	if (rc == 0) {
		/* One that lives gives us up in half of that. */
		*ret_limit_ms = 2 * (uint64_t)conf->restart_timeout_ms;
		rc = connect_control(conf->control, *ret_limit_ms);
		if (rc == -ENOENT)
			log_info("%s: no server is running: a start like any other", conf->control);
		else if (rc < 0)
			log_error("%s: cannot reach the running server: %s%s", conf->control, strerror(-rc),
			          advice(rc));
	} else if (rc == -ENOENT) {
		rc = -EINVAL; /* the configuration, not the server */
	}
	conf_destroy(conf);
	return rc;
}

static int inherited_fd(const char *text)
{
	char *end;
	long fd = strtol(text, &end, 10);
	int type = 0;
	socklen_t len = sizeof(type);
	if (!*text || *end || fd < 3 || fd > 1 << 20 ||
	    getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM) {
		log_error(TAKEOVER_VARIABLE "=%.40s is no socket; it is set by dnsd for the process that it "
		                            "starts, unset it",
		          text);
		return -EINVAL;
	}
	fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	return (int)fd;
}

/* The next message, waiting. What the old one says against it is logged. */
static int receive(struct takeover *takeover, struct channel_message *ret_message)
{
	uint64_t begin_ns = uv_hrtime();
	int rc;
	while ((rc = channel_receive(takeover->channel, ret_message)) == -EAGAIN) {
		uint64_t waited_ms = (uv_hrtime() - begin_ns) / 1000000;
		if (takeover->limit_ms && waited_ms >= takeover->limit_ms) {
			rc = -ETIMEDOUT;
			break;
		}
		channel_wait(takeover->channel,
		             takeover->limit_ms ? (int)(takeover->limit_ms - waited_ms) : -1);
	}
	if (rc < 0) {
		log_error("the process to take over from does not go on: %s%s",
		          rc == -EPIPE ? "it has closed the connection" : strerror(-rc), advice(rc));
		return rc;
	}
	const char *error = object_get_text(ret_message->body, "error");
	if (!error)
		return 0;
	log_error("the running server says: %s", error);
	channel_message_fini(ret_message);
	return -ECANCELED;
}

int takeover_open(const char *conf_path, bool wanted, struct takeover **ret_takeover)
{
	const char *text = getenv(TAKEOVER_VARIABLE);
	*ret_takeover = NULL;
	if (!text && !wanted)
		return 0;
	uint64_t limit_ms = 0;
	int fd = text ? inherited_fd(text) : find_old(conf_path, &limit_ms);
	unsetenv(TAKEOVER_VARIABLE);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	struct takeover *takeover = calloc(1, sizeof(*takeover));
	struct channel *channel = channel_create(fd);
	if (!takeover || !channel) {
		free(takeover);
		channel_destroy(channel);
		return -ENOMEM;
	}
	takeover->channel = channel;
	takeover->limit_ms = limit_ms;
	takeover->secrets_fd = takeover->control_fd = -1;
	takeover->bindings = bindings_create_empty();
	takeover->messages = json_array();
	log_set_echo(on_log, takeover);
	struct channel_message message;
	int rc = takeover->bindings && takeover->messages ? receive(takeover, &message) : -ENOMEM;
	if (rc < 0) {
		takeover_destroy(takeover);
		return rc;
	}
	takeover->pid = (pid_t)json_integer_value(json_object_get(message.body, "pid"));
	channel_message_fini(&message);
	log_info("taking over from pid=%d", (int)takeover->pid);
	*ret_takeover = takeover;
	return 0;
}

/* --- what it hands over --- */

/* The address as configured there: that of the socket, but for a port that was 0. */
static int requested_of(int fd, const json_t *body, struct sockaddr_storage *ret)
{
	socklen_t len = sizeof(*ret);
	memset(ret, 0, sizeof(*ret));
	if (getsockname(fd, (struct sockaddr *)ret, &len) < 0)
		return -errno;
	in_port_t port = htons((uint16_t)json_integer_value(json_object_get(body, "port")));
	if (ret->ss_family == AF_INET)
		((struct sockaddr_in *)ret)->sin_port = port;
	else if (ret->ss_family == AF_INET6)
		((struct sockaddr_in6 *)ret)->sin6_port = port;
	else
		return -EINVAL;
	return 0;
}

static int take_sockets(struct takeover *takeover, struct channel_message *message)
{
	bool tls = json_is_true(json_object_get(message->body, "tls"));
	size_t step = tls ? 1 : 2;
	for (size_t i = 0; i + step <= message->fds_n; i += step) {
		struct listener listener;
		struct sockaddr_storage requested;
		int rc = listener_from_fds(tls ? -1 : message->fds[i], message->fds[i + step - 1], &listener);
		if (rc == 0)
			rc = requested_of(message->fds[i], message->body, &requested);
		if (rc == 0)
			rc = bindings_add(takeover->bindings, &requested, &listener);
		if (rc < 0)
			return rc;
		message->fds[i] = message->fds[i + step - 1] = -1;
	}
	return 0;
}

static int take_metrics(struct takeover *takeover, struct channel_message *message)
{
	if (message->fds_n != 1)
		return -EPROTO;
	struct passed_metrics *metrics =
	        realloc(takeover->metrics, (takeover->metrics_n + 1) * sizeof(*metrics));
	if (!metrics)
		return -ENOMEM;
	takeover->metrics = metrics;
	struct passed_metrics *entry = &metrics[takeover->metrics_n];
	int rc = requested_of(message->fds[0], message->body, &entry->requested);
	if (rc < 0)
		return rc;
	entry->fd = message->fds[0];
	message->fds[0] = -1;
	takeover->metrics_n++;
	return 0;
}

static int take_secrets(struct takeover *takeover, struct channel_message *message)
{
	if (message->fds_n != 1 || takeover->secrets_fd >= 0)
		return -EPROTO;
	takeover->secrets_fd = message->fds[0];
	message->fds[0] = -1;
	return 0;
}

static int take_control(struct takeover *takeover, struct channel_message *message)
{
	const char *path = object_get_text(message->body, "path");
	if (message->fds_n != 1 || !path || takeover->control_path)
		return -EPROTO;
	takeover->control_path = strdup(path);
	if (!takeover->control_path)
		return -ENOMEM;
	takeover->control_fd = message->fds[0];
	message->fds[0] = -1;
	return 0;
}

/* It has no use for us without hearing of us: the manager of the process before is ours then. */
static void take_manager(const json_t *body)
{
	const char *path = object_get_text(body, "notify");
	char limit_us[24];
	if (!path || getenv("NOTIFY_SOCKET"))
		return;
	snprintf(limit_us, sizeof(limit_us), "%" JSON_INTEGER_FORMAT,
	         json_integer_value(json_object_get(body, "watchdog-us")));
	setenv("NOTIFY_SOCKET", path, 1);
	setenv("WATCHDOG_USEC", limit_us, 1);
	unsetenv("WATCHDOG_PID");
}

static void take_handover(struct takeover *takeover, const json_t *body, bool *ret_changed)
{
	takeover->generation = (uint64_t)json_integer_value(json_object_get(body, "generation"));
	takeover->serial = (uint32_t)json_integer_value(json_object_get(body, "serial"));
	takeover->names = json_incref(json_object_get(body, "names"));
	takeover->overrides = json_incref(json_object_get(body, "overrides"));
	take_manager(body);
	*ret_changed = json_is_true(json_object_get(body, "changed"));
}

int takeover_receive(struct takeover *takeover, bool *ret_changed)
{
	int rc = channel_send(takeover->channel,
	                      json_pack("{sssisb}", "say", "loaded", "protocol", TAKEOVER_PROTOCOL, "manager",
	                                getenv("NOTIFY_SOCKET") != NULL),
	                      NULL, 0);
	bool done = false;
	while (rc == 0 && !done) {
		struct channel_message message;
		rc = receive(takeover, &message);
		if (rc < 0)
			return rc;
		if (strcmp(message.say, "sockets") == 0)
			rc = take_sockets(takeover, &message);
		else if (strcmp(message.say, "metrics") == 0)
			rc = take_metrics(takeover, &message);
		else if (strcmp(message.say, "secrets") == 0)
			rc = take_secrets(takeover, &message);
		else if (strcmp(message.say, "control") == 0)
			rc = take_control(takeover, &message);
		else if (strcmp(message.say, "handover") == 0)
			done = true;
		if (done)
			take_handover(takeover, message.body, ret_changed);
		channel_message_fini(&message);
	}
	if (rc < 0)
		log_error("cannot take over what the running server hands over: %s", strerror(-rc));
	return rc;
}

const struct bindings *takeover_bindings(const struct takeover *takeover)
{
	return takeover->bindings;
}

uint64_t takeover_generation(const struct takeover *takeover)
{
	return takeover->generation;
}

uint32_t takeover_serial(const struct takeover *takeover)
{
	return takeover->serial;
}

int takeover_give_overrides(struct takeover *takeover, struct zones *zones)
{
	struct override_set *set;
	struct diag diag;
	if (!takeover->overrides)
		return 0;
	diag_init(&diag);
	size_t len;
	char *text = object_dump(takeover->overrides, JSON_COMPACT, "", &len);
	int rc = text ? override_set_parse(text, len, "overrides of the running server", &diag, &set)
	              : -ENOMEM;
	log_diag(&diag);
	diag_fini(&diag);
	free(text);
	if (rc < 0)
		return rc;
	rc = zones_set_overrides(zones, set, utc_now());
	override_set_unref(set);
	return rc;
}

void takeover_give_secrets(struct takeover *takeover, struct load *load)
{
	if (takeover->secrets_fd < 0)
		return;
	int rc = secrets_unpack(takeover->secrets_fd, load);
	if (rc < 0)
		log_warning("takeover: clients will begin TLS sessions and cookies anew: %s", strerror(-rc));
	close(takeover->secrets_fd);
	takeover->secrets_fd = -1;
}

int takeover_give_metrics(struct takeover *takeover, struct metrics_http *http)
{
	int rc = 0;
	for (size_t i = 0; i < takeover->metrics_n && rc == 0; i++) {
		rc = metrics_http_adopt(http, &takeover->metrics[i].requested, takeover->metrics[i].fd);
		takeover->metrics[i].fd = -1;
	}
	return rc;
}

/* --- the verdict --- */

static void read_totals(struct server *server, const json_t *body)
{
	if (server->totals)
		totals_from_json(server->totals, json_object_get(body, "totals"));
}

/* Returns 0 when nothing is left to wait for, -EAGAIN, or -ECANCELED. */
static int read_verdict(struct takeover *takeover, struct server *server)
{
	struct channel_message message;
	int rc = channel_receive(takeover->channel, &message);
	if (rc == -EAGAIN)
		return rc;
	if (rc < 0) {
		if (!takeover->confirmed)
			log_warning("the process before, pid=%d, has died; its last counters are lost",
			            (int)takeover->pid);
		takeover->confirmed = true;
		return 0;
	}
	const char *error = object_get_text(message.body, "error");
	if (error) {
		log_error("the running server goes on itself: %s", error);
		rc = -ECANCELED;
	} else if (strcmp(message.say, "yours") == 0) {
		takeover->confirmed = true;
		takeover->wants_reload = json_is_true(json_object_get(message.body, "reload"));
		rc = -EAGAIN;
	} else if (strcmp(message.say, "totals") == 0) {
		read_totals(server, message.body);
	} else {
		rc = -EAGAIN;
	}
	channel_message_fini(&message);
	return rc;
}

int takeover_confirm(struct takeover *takeover, struct server *server)
{
	server->totals = totals_create();
	int rc = server->totals ? totals_names_from_json(server->totals, takeover->names, server->load->zones)
	                        : -ENOMEM;
	if (rc == 0)
		rc = channel_send(takeover->channel, json_pack("{ss}", "say", "serving"), NULL, 0);
	/* Who has closed has said "abort" before, or is dead: then nobody else is left to serve. */
	if (rc < 0 && rc != -EPIPE && rc != -ECONNRESET) {
		log_error("cannot take over: %s", strerror(-rc));
		return -ECANCELED;
	}
	/* No limit: whoever gave up by himself could meet a "yours" on its way, and nobody would serve. */
	while ((rc = read_verdict(takeover, server)) == -EAGAIN) {
		channel_wait(takeover->channel, WAIT_STEP_MS);
		uv_run(&server->loop, UV_RUN_NOWAIT);
		if (server->stopping)
			return -ECANCELED;
	}
	if (rc < 0)
		return rc;
	bindings_close_others(takeover->bindings, server->bindings);
	bindings_destroy(takeover->bindings);
	takeover->bindings = NULL;
	log_set_echo(NULL, NULL);
	return 0;
}

bool takeover_wants_reload(const struct takeover *takeover)
{
	return takeover->wants_reload;
}

int takeover_take_control(struct takeover *takeover, const char *path)
{
	if (!takeover || !takeover->control_path || strcmp(takeover->control_path, path) != 0)
		return -1;
	int fd = takeover->control_fd;
	takeover->control_fd = -1;
	return fd;
}

/* --- afterwards --- */

static void on_follow(uv_poll_t *poll, int status, int events)
{
	struct takeover *takeover = poll->data;
	struct channel_message message;
	int rc;
	(void)status;
	(void)events;
	while ((rc = channel_receive(takeover->channel, &message)) == 0) {
		if (strcmp(message.say, "totals") == 0)
			read_totals(takeover->server, message.body);
		channel_message_fini(&message);
	}
	if (rc == -EAGAIN)
		return;
	totals_note_end(takeover->server->totals);
	log_info("the process before, pid=%d, has ended its last connections", (int)takeover->pid);
	uv_async_send(&takeover->server->notify);
	takeover_stop(takeover);
}

void takeover_follow(struct takeover *takeover, struct server *server)
{
	/* A control socket that the configuration has no more: nobody else removes the file. */
	if (takeover->control_fd >= 0) {
		unlink(takeover->control_path);
		close(takeover->control_fd);
		takeover->control_fd = -1;
	}
	takeover->server = server;
	takeover->poll.data = takeover;
	if (uv_poll_init(&server->loop, &takeover->poll, channel_fd(takeover->channel)) < 0)
		return;
	takeover->following = true;
	uv_poll_start(&takeover->poll, UV_READABLE, on_follow);
}

bool takeover_is_over(const struct takeover *takeover)
{
	return !takeover || !takeover->following;
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct takeover *takeover = handle->data;
	channel_destroy(takeover->channel);
	takeover->channel = NULL;
}

void takeover_stop(struct takeover *takeover)
{
	if (!takeover || !takeover->following)
		return;
	takeover->following = false;
	uv_close((uv_handle_t *)&takeover->poll, on_poll_closed);
}

void takeover_destroy(struct takeover *takeover)
{
	if (!takeover)
		return;
	log_set_echo(NULL, NULL);
	if (takeover->channel && !takeover->confirmed)
		(void)channel_send(takeover->channel, /* who is gone has nothing to be told */
		                   json_pack("{sssssO}", "say", "failed", "error",
		                             "the new process could not start, nothing has changed",
		                             "messages", takeover->messages),
		                   NULL, 0);
	channel_destroy(takeover->channel);
	for (size_t i = 0; i < takeover->metrics_n; i++) {
		if (takeover->metrics[i].fd >= 0)
			close(takeover->metrics[i].fd);
	}
	if (takeover->secrets_fd >= 0)
		close(takeover->secrets_fd);
	if (takeover->control_fd >= 0)
		close(takeover->control_fd);
	if (takeover->bindings)
		bindings_destroy(takeover->bindings);
	free(takeover->metrics);
	free(takeover->control_path);
	json_decref(takeover->names);
	json_decref(takeover->overrides);
	json_decref(takeover->messages);
	free(takeover);
}
