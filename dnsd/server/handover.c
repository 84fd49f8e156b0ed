/* The old process: hands its sockets over to a new one, and goes on if that fails. */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/object.h"
#include "inspect/response.h"
#include "server/channel.h"
#include "server/replacement.h"
#include "server/secrets.h"
#include "server/server_int.h"
#include "server/takeover.h"

/* A new process that is told to end has so long before it is killed. */
#define KILL_AFTER_MS 5000
#define TOTALS_MS     1000

enum phase {
	PHASE_LOADING,  /* the new one loads, and we work as ever */
	PHASE_FREEZING, /* our state is on its way to the disk */
	PHASE_HANDED,   /* it has the sockets, and may read from them already */
	PHASE_LEAVING,  /* it is the server */
	PHASE_ABORTED,
};

struct handover {
	struct server *server;
	struct channel *channel;
	enum phase phase;
	uv_poll_t poll;
	uv_timer_t timer;                /* restart-timeout; then, by phase, totals or the kill */
	struct replacement *replacement; /* NULL = we have not started it */
	unsigned open_n;                 /* handles not closed yet */
	bool exited;
	bool silent;              /* it has closed its end */
	bool has_another_manager; /* it is none of our service manager's processes */
	int64_t exit_status;
	int term_signal;
	pid_t pid;
	uint64_t changes; /* of our state, when it began to load */
	uint64_t begin_ms;
	struct ctl_request *request; /* waits for the outcome; NULL = nobody does */
	char *error;                 /* what the new one says */
	json_t *messages;
};

/* --- life --- */

static void unref(struct handover *handover)
{
	if (--handover->open_n)
		return;
	channel_destroy(handover->channel);
	json_decref(handover->messages);
	free(handover->error);
	free(handover);
}

static void on_closed(uv_handle_t *handle)
{
	unref(handle->data);
}

static void close_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, on_closed);
}

static void close_replacement(struct handover *handover)
{
	replacement_close(handover->replacement);
	handover->replacement = NULL;
}

static void reply(struct handover *handover, json_t *response)
{
	if (handover->request)
		ctl_reply(handover->request, response);
	else
		json_decref(response);
	handover->request = NULL;
}

/* What became of it, as a text. */
static const char *exit_text(const struct handover *handover, char *text, size_t cap)
{
	if (handover->term_signal)
		snprintf(text, cap, "the new process, pid %d, was ended by signal %d (%s)",
		         (int)handover->pid, handover->term_signal, strsignal(handover->term_signal));
	else
		snprintf(text, cap,
		         "the new process, pid %d, ended with status %" PRId64
		         " without a word; is %s the program you want?",
		         (int)handover->pid, handover->exit_status, handover->server->program);
	return text;
}

/* --- failure: all goes on as before --- */

static void on_kill(uv_timer_t *timer)
{
	struct handover *handover = timer->data;
	log_warning("takeover: pid=%d does not end; it is killed", (int)handover->pid);
	replacement_kill(handover->replacement, SIGKILL);
}

static void fail(struct handover *handover, const char *why)
{
	struct server *server = handover->server;
	log_error("takeover failed, this process goes on: %s", why);
	json_t *response = response_error("%s", why);
	if (response && handover->messages)
		json_object_set(response, "messages", handover->messages);
	(void)channel_send(handover->channel, json_pack("{ssss}", "say", "abort", "error", why), NULL, 0);
	reply(handover, response);
	bool had_sockets = handover->phase == PHASE_HANDED;
	handover->phase = PHASE_ABORTED;
	server->handover = NULL;
	uv_timer_stop(&handover->timer);
	close_handle((uv_handle_t *)&handover->poll);
	bool is_running = handover->replacement && !handover->exited;
	if (is_running && (had_sockets || server->stopping)) {
		server->ending = handover;
		/* It may have requests that it should answer first. */
		replacement_kill(handover->replacement, SIGTERM);
		uv_timer_start(&handover->timer, on_kill, KILL_AFTER_MS, 0);
	} else if (is_running && !server->launcher) {
		replacement_kill(handover->replacement, SIGKILL); /* our child: its end is waited for */
	} else {
		if (is_running)
			replacement_kill(handover->replacement, SIGKILL);
		close_handle((uv_handle_t *)&handover->timer);
		close_replacement(handover);
	}
	channel_destroy(handover->channel);
	handover->channel = NULL;
	server_start_wanted(server);
}

/* It is gone. What it has said by then is known; its status perhaps not yet. */
static void fail_gone(struct handover *handover)
{
	char text[400];
	if (handover->phase == PHASE_ABORTED || !handover->silent ||
	    (handover->replacement && !handover->exited))
		return;
	if (handover->error) {
		snprintf(text, sizeof(text), "%s", handover->error);
		fail(handover, text);
	} else if (handover->replacement) {
		fail(handover, exit_text(handover, text, sizeof(text)));
	} else {
		fail(handover, "the new process has closed the connection before it served");
	}
}

void handover_abort(struct server *server, const char *why)
{
	if (server->handover && server->handover->phase < PHASE_LEAVING)
		fail(server->handover, why);
}

static void on_timeout(uv_timer_t *timer)
{
	struct handover *handover = timer->data;
	const struct server *server = handover->server;
	char text[200];
	/* Once loaded it waits for us. */
	const char *why = handover->phase != PHASE_FREEZING ? "its log says how far it came"
	                  : server->job_running == JOB_NONE
	                          ? "it waits for the state, which this process has not written yet"
	                          : "it waits for a job of this process that does not end, such as a reload";
	snprintf(text, sizeof(text),
	         "the new process, pid %d, does not serve after %" PRIu32 " ms (restart-timeout); %s",
	         (int)handover->pid, server->load->conf->restart_timeout_ms, why);
	fail(handover, text);
}

/* --- success --- */

static int send_totals(struct handover *handover)
{
	return channel_send(handover->channel,
	                    json_pack("{ssso}", "say", "totals", "totals", totals_to_json(handover->server)),
	                    NULL, 0);
}

static void on_totals(uv_timer_t *timer)
{
	(void)send_totals(timer->data); /* a new process that is gone needs none */
}

static void commit(struct handover *handover)
{
	struct server *server = handover->server;
	const struct conf *conf = server->load->conf;
	/* A reload that had to wait may be of files that the new one had read before they were changed. */
	json_t *yours = json_pack("{sssb}", "say", "yours", "reload", server->job_wanted == JOB_RELOAD);
	if (channel_send(handover->channel, yours, NULL, 0) < 0) {
		fail(handover, "the new process has closed the connection before it was confirmed");
		return;
	}
	/* From here on nothing of the state directory is ours. */
	handover->phase = PHASE_LEAVING;
	server->stopping = server->handed_over = true;
	server_metrics_note_end(server);
	/* Before the new one says READY=1, which it does when it has the totals: the manager may listen to
	 * its main process only. */
	supervise_hand_over(server->supervise, handover->has_another_manager ? 0 : (int)handover->pid);
	(void)send_totals(handover);
	uv_timer_stop(&server->renew);
	uv_timer_stop(&server->keep_again);
	clock_set(server->clock, 0);
	metrics_http_retire(server->metrics.http);
	ctl_release(server->ctl);
	if (server->launcher) {
		/* With it the new process comes to init, or a service manager: those get to know its end. */
		close_replacement(handover);
		launcher_destroy(server->launcher);
		server->launcher = NULL;
	}
	server_drop_waiting_commands(server);
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_leave(server->workers[i], conf->restart_drain_ms);
	uint64_t took_ms = uv_now(&server->loop) - handover->begin_ms;
	reply(handover, response_done(json_pack("{sIsIsI}", "pid", (json_int_t)handover->pid, "pid-before",
	                                        (json_int_t)getpid(), "took-ms", (json_int_t)took_ms)));
	log_info("handed over: pid=%d is the server now, after %" PRIu64
	         " ms; open TCP connections may live on here for %" PRIu32 " ms",
	         (int)handover->pid, took_ms, conf->restart_drain_ms);
	uv_timer_start(&handover->timer, on_totals, TOTALS_MS, TOTALS_MS);
	uv_async_send(&server->notify);
}

void handover_kill(struct server *server)
{
	if (server->ending)
		replacement_kill(server->ending->replacement, SIGKILL);
}

bool handover_pass_signal(struct server *server, int signal)
{
	if (!server->handed_over || !server->handover)
		return false;
	/* One of another PID name space has no number here, and 0 is all of our own process group, us among
	 * them: we would signal ourselves without end. */
	if (server->handover->pid > 0)
		(void)kill(server->handover->pid, signal); /* it may have ended since */
	else
		log_warning("signal %d is not passed on: the process that has taken over is in another "
		            "PID name space; send it there",
		            signal);
	return true;
}

bool handover_end(struct server *server)
{
	struct handover *handover = server->handover;
	if (!handover)
		return true;
	if ((!takeover_is_over(server->takeover) || !supervise_is_heard(server->supervise)) &&
	    !server->hurried)
		return false;
	(void)send_totals(handover);
	server->handover = NULL;
	close_handle((uv_handle_t *)&handover->poll);
	close_handle((uv_handle_t *)&handover->timer);
	close_replacement(handover);
	return true;
}

/* --- what is handed over --- */

static uint16_t port_of(const struct sockaddr_storage *addr)
{
	return ntohs(addr->ss_family == AF_INET ? ((const struct sockaddr_in *)addr)->sin_port
	                                        : ((const struct sockaddr_in6 *)addr)->sin6_port);
}

static int send_binding(struct handover *handover, const struct binding *binding)
{
	int rc = 0;
	for (size_t at = 0; at < binding->sockets_n && rc == 0;) {
		int fds[CHANNEL_FDS_MAX];
		size_t fds_n = 0;
		for (; at < binding->sockets_n && fds_n + 2 <= CHANNEL_FDS_MAX; at++) {
			if (!binding->tls)
				fds[fds_n++] = binding->sockets[at].udp_fd;
			fds[fds_n++] = binding->sockets[at].tcp_fd;
		}
		rc = channel_send(handover->channel,
		                  json_pack("{sssisb}", "say", "sockets", "port",
		                            port_of(&binding->requested), "tls", binding->tls),
		                  fds, fds_n);
	}
	return rc;
}

static void send_metrics(void *context, const struct sockaddr_storage *requested, int fd)
{
	struct handover *handover = context;
	(void)channel_send(handover->channel,
	                   json_pack("{sssi}", "say", "metrics", "port", port_of(requested)), &fd, 1);
}

static void send_secrets(struct handover *handover)
{
	int fd = secrets_pack(handover->server->load);
	if (fd < 0) {
		log_warning("takeover: clients will begin TLS sessions and cookies anew: %s", strerror(-fd));
		return;
	}
	(void)channel_send(handover->channel, json_pack("{ss}", "say", "secrets"), &fd, 1);
	close(fd);
}

static int send_all(struct handover *handover)
{
	struct server *server = handover->server;
	int rc = 0;
	for (size_t i = 0; i < bindings_addresses_n(server->bindings) && rc == 0; i++)
		rc = send_binding(handover, bindings_address(server->bindings, i));
	metrics_http_each(server->metrics.http, send_metrics, handover);
	send_secrets(handover);
	if (rc == 0 && server->ctl) {
		int fd = ctl_fd(server->ctl);
		rc = channel_send(handover->channel,
		                  json_pack("{ssss}", "say", "control", "path", ctl_path(server->ctl)), &fd,
		                  1);
	}
	if (rc < 0)
		return rc;
	const struct zones *zones = server->load->zones;
	json_t *body =
	        json_pack("{sssbsIsIso}", "say", "handover", "changed", handover->changes != server->changes,
	                  "generation", (json_int_t)server->generation, "serial",
	                  (json_int_t)server->snap->data.serial, "names", totals_names_to_json(zones));
	if (!server->load->conf->state_dir && zones->overrides &&
	    json_object_set_new(body, "overrides", override_set_to_json(zones->overrides)) < 0) {
		json_decref(body);
		return -ENOMEM; /* without them, the new process would answer otherwise */
	}
	if (!handover->has_another_manager)
		supervise_describe(server->supervise, body);
	return channel_send(handover->channel, body, NULL, 0);
}

bool handover_holds_jobs(struct server *server)
{
	struct handover *handover = server->handover;
	if (!handover || handover->phase == PHASE_LOADING)
		return false;
	if (handover->phase != PHASE_FREEZING)
		return true;
	if (keeping_error(server->keeping)) {
		char text[200];
		snprintf(text, sizeof(text),
		         "the state cannot be kept (%s), so a new process would not know it; mend the state "
		         "directory first",
		         strerror(keeping_error(server->keeping)));
		fail(handover, text);
		return true; /* what had waited has been begun by that */
	}
	if (!keeping_is_settled(server->keeping, server->load))
		return true;
	handover->phase = PHASE_HANDED;
	int rc = send_all(handover);
	if (rc < 0) {
		char text[200];
		snprintf(text, sizeof(text), "the new process does not take the sockets: %s", strerror(-rc));
		fail(handover, text);
	}
	return true;
}

/* --- what the new one says --- */

static void on_message(struct handover *handover, const struct channel_message *message)
{
	if (strcmp(message->say, "loaded") == 0 && handover->phase == PHASE_LOADING) {
		handover->phase = PHASE_FREEZING;
		/* Who was started by us has ours. */
		handover->has_another_manager =
		        !handover->replacement && json_is_true(json_object_get(message->body, "manager"));
		server_start_wanted(handover->server);
	} else if (strcmp(message->say, "serving") == 0 && handover->phase == PHASE_HANDED) {
		commit(handover);
	} else if (strcmp(message->say, "failed") == 0 && handover->phase < PHASE_LEAVING) {
		const char *error = object_get_text(message->body, "error");
		free(handover->error);
		handover->error = strdup(error ? error : "the new process could not start");
		json_decref(handover->messages);
		handover->messages = json_incref(json_object_get(message->body, "messages"));
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct handover *handover = poll->data;
	struct channel_message message;
	int rc = -EAGAIN;
	(void)status;
	(void)events;
	while (handover->channel && (rc = channel_receive(handover->channel, &message)) == 0) {
		on_message(handover, &message);
		channel_message_fini(&message);
	}
	if (rc == -EAGAIN || handover->phase == PHASE_ABORTED)
		return;
	uv_poll_stop(poll);
	handover->silent = true;
	if (handover->phase < PHASE_LEAVING)
		fail_gone(handover);
}

static void on_end(void *context, int64_t exit_status, int term_signal)
{
	struct handover *handover = context;
	handover->exited = true;
	handover->exit_status = exit_status;
	handover->term_signal = term_signal;
	if (handover->phase == PHASE_ABORTED) {
		if (handover->server->ending == handover)
			handover->server->ending = NULL;
		close_handle((uv_handle_t *)&handover->timer);
		close_replacement(handover);
	} else if (handover->phase < PHASE_LEAVING) {
		fail_gone(handover);
	}
}

/* --- beginning --- */

/* A second one would take the sockets from under the first. */
static bool is_free(const struct server *server, struct ctl_request *request)
{
	if (server->handover)
		ctl_reply(request, response_error("a restart is under way: pid %d takes over; wait for it",
		                                  (int)server->handover->pid));
	else if (server->ending)
		ctl_reply(request, response_error("the new process of the restart before, pid %d, has not "
		                                  "ended; try again in a few seconds",
		                                  (int)server->ending->pid));
	return !server->handover && !server->ending;
}

static int begin(struct server *server, int fd, struct handover **ret_handover)
{
	struct handover *handover = calloc(1, sizeof(*handover));
	if (!handover) {
		close(fd);
		return -ENOMEM;
	}
	handover->server = server;
	handover->open_n = 2;
	handover->changes = server->changes;
	handover->begin_ms = uv_now(&server->loop);
	handover->channel = channel_create(fd);
	if (!handover->channel) {
		free(handover);
		return -ENOMEM;
	}
	int rc = uv_poll_init(&server->loop, &handover->poll, fd);
	if (rc < 0) {
		channel_destroy(handover->channel);
		free(handover);
		return rc;
	}
	uv_timer_init(&server->loop, &handover->timer);
	handover->poll.data = handover->timer.data = handover;
	uv_poll_start(&handover->poll, UV_READABLE, on_readable);
	uv_timer_start(&handover->timer, on_timeout, server->load->conf->restart_timeout_ms, 0);
	server->handover = handover;
	*ret_handover = handover;
	(void)channel_send(handover->channel, json_pack("{sssi}", "say", "welcome", "pid", (int)getpid()),
	                   NULL, 0); /* who is gone is seen as that */
	return 0;
}

static bool is_confined(const struct server *server)
{
	return server->confinement.filters[FILTER_MAIN] && server->confinement.mode == FILTER_ON;
}

void handover_restart(struct server *server, struct ctl_request *request)
{
	char author[COMMAND_AUTHOR_MAX];
	int pair[2];
	struct handover *handover;
	if (!is_free(server, request))
		return;
	if (is_confined(server) && !server->launcher) {
		ctl_reply(
		        request,
		        response_error("the sandbox (server.sandbox) lets this process start no program, and "
		                       "it has no launcher (see the log of its start); run \"%.300s -c "
		                       "%.300s --takeover\" in its place",
		                       server->program, server->conf_path));
		return;
	}
	log_info("control: user=\"%s\" pid=%d restart", command_author(request, author), (int)request->pid);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		ctl_reply(request, response_error("cannot restart: %s", strerror(errno)));
		return;
	}
	int rc = begin(server, pair[0], &handover);
	if (rc < 0) {
		close(pair[1]);
		ctl_reply(request, response_error("cannot restart: %s", strerror(-rc)));
		return;
	}
	handover->request = request;
	struct replacement_start start = { .loop = &server->loop,
		                           .launcher = server->launcher,
		                           .program = server->program,
		                           .argv = server->argv,
		                           .variable = TAKEOVER_VARIABLE,
		                           .fd = pair[1],
		                           .on_end = on_end,
		                           .context = handover };
	rc = replacement_create(&start, &handover->replacement);
	close(pair[1]);
	if (rc == 0) {
		handover->pid = replacement_pid(handover->replacement);
	} else {
		char text[400];
		snprintf(text, sizeof(text), "cannot start %.300s: %s", server->program,
		         rc == -EBUSY ? "the new process of the restart before has not ended; try again"
		                      : uv_strerror(rc));
		fail(handover, text);
	}
}

void handover_to_client(struct server *server, struct ctl_request *request)
{
	struct handover *handover;
	pid_t pid = request->pid;
	if (!is_free(server, request))
		return;
	/* Who has the sockets gives the answers: that is more than whoever may command. */
	if (request->uid != 0 && request->uid != geteuid()) {
		ctl_reply(request, response_error("only root and the user of dnsd may take its sockets"));
		return;
	}
	int fd = ctl_take_socket(request);
	if (fd < 0) {
		ctl_reply(request, response_error("cannot hand over: %s", strerror(-fd)));
		return;
	}
	log_info("pid=%d asks to take over", (int)pid);
	if (begin(server, fd, &handover) == 0)
		handover->pid = pid;
}
