#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/object.h"
#include "base/utc.h"
#include "inspect/response.h"
#include "server/server_int.h"

/* Without version records, how often the age of the geo database is looked at. */
#define GEO_LOOK_S 3600

/* How soon to try again when the state could not be kept. */
#define KEEP_AGAIN_MS 3000

/* How soon to look again when there was no memory to look. */
#define RENEW_AGAIN_S 3

/* --- snapshots --- */

static uint64_t oldest_adopted(const struct server *server)
{
	uint64_t oldest = server->generation;
	for (unsigned i = 0; i < server->workers_n; i++) {
		uint64_t adopted = worker_adopted(server->workers[i])->generation;
		if (adopted < oldest)
			oldest = adopted;
	}
	return oldest;
}

static int publish(struct server *server, struct snap *snap)
{
	struct retired *retired = calloc(1, sizeof(*retired));
	if (!retired)
		return -ENOMEM;
	retired->snap = server->snap;
	retired->next = server->retired;
	server->retired = retired;
	server->snap = snap;
	server->generation = snap->generation;
	server->metrics.published_ms = uv_now(&server->loop);
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_publish(server->workers[i], snap);
	return 0;
}

/* --- commands --- */

static void push(struct command_queue *queue, struct command *command)
{
	command->next = NULL;
	if (!queue->end)
		queue->end = &queue->first;
	*queue->end = command;
	queue->end = &command->next;
}

static struct command *pop(struct command_queue *queue)
{
	struct command *command = queue->first;
	if (command) {
		queue->first = command->next;
		if (!queue->first)
			queue->end = &queue->first;
	}
	return command;
}

static void answer(struct command *command, json_t *response)
{
	if (command->text) {
		json_decref(response);
		ctl_reply_text(command->request, command->text, command->text_len);
	} else {
		ctl_reply(command->request, response);
	}
	free(command);
}

/* Commands are answered in the order in which they were carried out. */
static void answer_commands(struct server *server, uint64_t adopted)
{
	while (server->answered.first && server->answered.first->generation <= adopted &&
	       server->answered.first->kept <= keeping_done(server->keeping)) {
		struct command *command = pop(&server->answered);
		int error = keeping_error(server->keeping);
		if (command->is_kept && error && command->response)
			json_object_set_new(command->response, "warning",
			                    json_sprintf("not kept over a restart: %s", strerror(error)));
		answer(command, command->response);
	}
}

static void finish_command(struct server *server, struct command *command, json_t *response)
{
	command->response = response;
	command->generation = server->generation;
	command->kept = keeping_asked(server->keeping);
	push(&server->answered, command);
}

void server_settle(struct server *server)
{
	uint64_t oldest = oldest_adopted(server);
	for (struct retired **at = &server->retired; *at;) {
		struct retired *retired = *at;
		if (retired->snap->generation < oldest) {
			*at = retired->next;
			snap_destroy(retired->snap);
			free(retired);
		} else {
			at = &retired->next;
		}
	}
	/* Reading 10,000 mirrors takes some 80 MB for a moment, which the allocator would keep. */
	if (server->trim_wanted && !server->retired) {
		server->trim_wanted = false;
		malloc_trim(0);
	}
	answer_commands(server, oldest);
}

/* Another process is the server by now, or soon: there, nothing is in the way of the same request. */
static json_t *stopping_response(const struct server *server)
{
	if (!server->handed_over)
		return response_error("the server is stopping");
	json_t *response = response_error("the server was restarted meanwhile, nothing was done; ask again");
	json_object_set_new(response, "retry", json_true());
	return response;
}

static void on_request(void *context, struct ctl_request *request)
{
	struct server *server = context;
	if (server->stopping) {
		ctl_reply(request, stopping_response(server));
		return;
	}
	const char *name = object_get_text(request->body, "command");
	if (name && strcmp(name, "restart") == 0) {
		handover_restart(server, request);
		return;
	}
	if (name && strcmp(name, "takeover") == 0) {
		handover_to_client(server, request);
		return;
	}
	struct command *command = calloc(1, sizeof(*command));
	if (!command) {
		ctl_reply(request, NULL);
		return;
	}
	command->request = request;
	command->since_ms = uv_now(&server->loop);
	push(&server->commands, command);
	server_watch_waits(server);
	server_start_wanted(server);
}

static void tell_control(const struct server *server, const struct conf *conf, int rc, struct diag *diag)
{
	const char *why = strerror(-rc);
	if (rc == -EADDRINUSE)
		why = "another process answers on it";
	else if (rc == -EBUSY)
		why = "a socket is there, and a running server in its sandbox cannot ask who answers on it; "
		      "remove the file, or restart";
	else if (rc == -EACCES)
		why = "this user may not write to its folder, or to the socket that is there";
	else if (rc == -EPERM && conf->control_group)
		why = "this user is not in the group of control-group; say: usermod -a -G GROUP USER";
	else if (rc == -EEXIST)
		why = "this file is no socket";
	else if (rc == -ENOENT && conf->control_group)
		why = "its folder or the group of control-group does not exist";
	diag_error(diag, conf->control, 0,
	           "cannot open the control socket: %s; dnsdctl reaches this server %s", why,
	           server->ctl && ctl_is_there(server->ctl) ? ctl_path(server->ctl) : "not at all");
}

void server_set_control(struct server *server, const struct conf *conf, struct diag *diag)
{
	struct ctl *ctl = NULL;
	/* A file that was removed is made anew: nobody could reach this server any more. */
	if (server->ctl && conf->control && strcmp(ctl_path(server->ctl), conf->control) == 0 &&
	    ctl_is_there(server->ctl))
		return;
	int fd = conf->control ? takeover_take_control(server->takeover, conf->control) : -1;
	int rc = 0;
	if (fd >= 0)
		rc = ctl_adopt(&server->loop, conf->control, fd, on_request, server, &ctl);
	else if (conf->control)
		rc = ctl_create(&server->loop, conf->control, conf->control_group, on_request, server, &ctl);
	if (rc < 0) {
		tell_control(server, conf, rc, diag);
		return;
	}
	/* Who asked for the reload is a client of the one before. */
	ctl_retire(server->ctl);
	ctl_destroy(server->ctl_before);
	server->ctl_before = server->ctl;
	server->ctl = ctl;
	if (ctl)
		log_info("control socket: %s", conf->control);
}

/* --- keeping --- */

/* A response can only wait for a batch that begins, and it begins when no job changes the load. */
static void keep(struct server *server)
{
	if (server->job_running == JOB_NONE)
		keeping_run(server->keeping, server->load);
}

void server_keep_last(struct server *server)
{
	if (server->ended && !server->handed_over)
		keep(server);
}

static void on_keep_again(uv_timer_t *timer)
{
	struct server *server = timer->data;
	keeping_retry(server->keeping);
	server_start_wanted(server);
}

void server_keeping_written(void *context)
{
	struct server *server = context;
	server->changes++;
	server_settle(server);
	server_keep_last(server);
	if (server->stopping)
		return;
	if (keeping_error(server->keeping))
		uv_timer_start(&server->keep_again, on_keep_again, KEEP_AGAIN_MS, 0);
	server_start_wanted(server);
}

/* --- jobs --- */

static void run_renew(struct job *job)
{
	struct zones *zones = job->server->load->zones;
	struct version_clock clock = version_clock_now();
	job->rc = zones_read_feeds(zones, clock.now_s, &job->diag);
	/* A source that fails keeps its last numbers and time: the record is published all the same. */
	zones_verify_versions(zones, clock, &job->diag, &job->names_changed);
	/* A database that is refused has been told, and the one in use stays. */
	load_renew_geo(job->server->load, &job->diag, NULL);
}

/* All mirrors of a large pool are a long text. To the response to a change, something may be added. */
static void make_text(struct job *job)
{
	struct command *command = job->command;
	if (job->rc < 0 || job->changed)
		return;
	command->text = object_dump(job->response, JSON_COMPACT, "\n", &command->text_len);
	if (command->text) {
		json_decref(job->response);
		job->response = NULL;
	}
}

static void job_run(uv_work_t *work)
{
	struct job *job = work->data;
	struct server *server = job->server;
	const struct load *load = server->load;
	bool changed = true;
	switch (job->kind) {
	case JOB_COMMAND:
		command_run(job);
		changed = job->rc == 0 && job->changed;
		make_text(job);
		break;
	case JOB_RELOAD:
		job->rc = load_create(server->conf_path, server->load, &job->diag, &job->load);
		load = job->load;
		break;
	default: run_renew(job); break;
	}
	if (job->rc == 0 && changed) {
		job->next_s = zones_next_change(load->zones, version_clock_now());
		job->rc = load_make_snap(load, server->generation + 1, server->snap, utc_now(), &job->snap);
	}
	if (job->rc == 0 && job->kind == JOB_RELOAD)
		job->rc = zones_note_base(load->zones, "reload", utc_now());
	if (job->rc == 0)
		job->news = zones_take_news(load->zones);
}

bool server_watch_sources(struct server *server)
{
	bool changed = watch_clear(server->watch);
	for (size_t i = 0; i < server->load->zones->versions_n; i++) {
		const struct conf_version *conf = server->load->zones->versions[i].conf;
		if (conf->directory)
			watch_add_folder(server->watch, conf->directory, ".cvd");
	}
	for (size_t i = 0; i < server->load->conf->pools_n; i++) {
		const struct conf_pool *pool = &server->load->conf->pools[i];
		if (!pool->feed_file)
			continue;
		watch_add_file(server->watch, pool->feed_file);
		char signature[PATH_MAX];
		int len = snprintf(signature, sizeof(signature), "%s.minisig", pool->feed_file);
		if (pool->feed_keys_n && len > 0 && (size_t)len < sizeof(signature))
			watch_add_file(server->watch, signature);
	}
	const struct conf_geo *geo = &server->load->conf->geo;
	if (geo->database)
		watch_add_file(server->watch, geo->database);
	if (geo->database_ipv6)
		watch_add_file(server->watch, geo->database_ipv6);
	return changed;
}

bool server_has_to_look(const struct server *server)
{
	if (load_geo_is_due(server->load))
		return true;
	for (size_t i = 0; i < server->load->zones->versions_n; i++) {
		if (server->load->zones->versions[i].conf->directory)
			return true;
	}
	for (size_t i = 0; i < server->load->conf->pools_n; i++) {
		if (server->load->conf->pools[i].feed_file)
			return true;
	}
	return false;
}

void server_log_loaded(const struct server *server, const char *what)
{
	char text[1024];
	load_describe(server->load, text, sizeof(text));
	log_info("%s: generation=%" PRIu64 " %s", what, server->generation, text);
}

struct tcp_limits server_tcp_limits(const struct load *load)
{
	return (struct tcp_limits){ .idle_ms = load->conf->tcp_idle_ms,
		                    .clients_max = load->conf->tcp_clients_max,
		                    .prefix_max = load->conf->tcp_clients_per_prefix,
		                    .tls = load->tls };
}

static int set_listeners(struct server *server, const struct load *load, struct diag *diag)
{
	struct bindings *bindings;
	int rc = bindings_create(server->bindings, load->conf, server->workers_n, diag, &bindings);
	if (rc == -EACCES && !load->conf->keep_bind_capability)
		diag_error(
		        diag, NULL, 0,
		        "the server gave up the right to open ports under 1024 when it had started: restart "
		        "it, or set server.keep-bind-capability = true before that");
	if (rc < 0)
		return rc;
	/* First: a new listener for TLS needs the certificate. */
	struct tcp_limits limits = server_tcp_limits(load);
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_set_tcp(server->workers[i], &limits);
	for (unsigned i = 0; i < server->workers_n && rc == 0; i++)
		rc = worker_set_listeners(server->workers[i], bindings_of(bindings, i),
		                          bindings_n(bindings, i));
	bindings_log_changes(server->bindings, bindings);
	bindings_destroy(server->bindings);
	server->bindings = bindings;
	return rc;
}

/* For the journal. Before the job's command is finished: its response waits for this. */
static void note_news(struct server *server, struct job *job)
{
	keeping_add(server->keeping, job->news);
	job->news = NULL;
}

static void finish_reload(struct server *server, struct job *job)
{
	int rc = job->rc;
	if (rc == 0)
		rc = metrics_http_prepare(server->metrics.http, job->load->conf->metrics_listen,
		                          job->load->conf->metrics_listen_n, &job->diag);
	if (rc == 0)
		rc = set_listeners(server, job->load, &job->diag);
	if (rc == 0)
		rc = publish(server, job->snap);
	if (rc == 0)
		server_set_control(server, job->load->conf, &job->diag);
	log_diag(&job->diag);
	server_metrics_note_reload(server, rc < 0);
	if (rc < 0) {
		metrics_http_abandon(server->metrics.http);
		snap_destroy(job->snap);
		load_destroy(job->load);
		log_error("reload failed, nothing has changed: errors=%zu%s%s", job->diag.errors_n,
		          rc == -EINVAL ? "" : " reason=", rc == -EINVAL ? "" : strerror(-rc));
		/* Whoever asked may have meant a source, not the configuration. It may also have been mended
		 * meanwhile. */
		if (server->job_wanted < JOB_RENEW)
			server->job_wanted = JOB_RENEW;
	} else {
		if (job->load->conf->workers != server->load->conf->workers)
			log_warning("server.workers has changed: it takes effect at the next start");
		startup_tell_changes(server->load->conf, job->load->conf);
		load_destroy(server->load);
		server->load = job->load;
		server->trim_wanted = true;
		server_set_rate_limit(server);
		metrics_http_commit(server->metrics.http);
		bool changed = server_watch_sources(server);
		server_set_renew_timer(server);
		server_log_loaded(server, "reloaded");
		note_news(server, job);
		/* Sources may have changed before the watch was set, and the moment of the next change is
		 * theirs to tell. */
		clock_set(server->clock, job->next_s);
		if ((changed || server_has_to_look(server)) && server->job_wanted < JOB_RENEW)
			server->job_wanted = JOB_RENEW;
	}
	if (job->command)
		finish_command(server, job->command, command_reload_response(server, &job->diag, rc));
}

static void finish_change(struct server *server, struct job *job)
{
	int rc = job->rc;
	if (rc == 0 && job->snap)
		rc = publish(server, job->snap);
	log_diag(&job->diag);
	if (rc < 0) {
		snap_destroy(job->snap);
		log_error("version records and pools not renewed: %s", strerror(-rc));
	} else if (job->snap) {
		log_debug("version records and pools renewed: generation=%" PRIu64, server->generation);
	}
	if (job->names_changed)
		server->job_wanted = JOB_RELOAD;
	/* What the clock waited for may be over, and nothing else might come. */
	if (rc < 0 && job->kind == JOB_RENEW)
		clock_set(server->clock, utc_now() + RENEW_AGAIN_S);
	else if (job->snap)
		clock_set(server->clock, job->next_s);
	if (job->kind == JOB_RENEW)
		keeping_want_versions(server->keeping);
	if (job->command)
		finish_command(server, job->command,
		               rc < 0 ? response_error("nothing has changed: %s", strerror(-rc))
		                      : json_incref(job->response));
}

static void job_done(uv_work_t *work, int status)
{
	struct job *job = work->data;
	struct server *server = job->server;
	server->job_running = JOB_NONE;
	if (job->kind != JOB_COMMAND || job->changed)
		server->changes++;
	if (status < 0 || server->stopping) {
		snap_destroy(job->snap);
		load_destroy(job->load);
		if (job->command)
			answer(job->command, response_error("the server is stopping"));
	} else {
		/* Before the command is finished: its response waits for what it has changed. */
		if (job->kind != JOB_RELOAD)
			note_news(server, job);
		if (job->overrides_changed) {
			keeping_want_overrides(server->keeping);
			job->command->is_kept = server->load->conf->state_dir != NULL;
		}
		if (job->kind == JOB_RELOAD)
			finish_reload(server, job);
		else
			finish_change(server, job);
	}
	json_decref(job->news);
	json_decref(job->response);
	diag_fini(&job->diag);
	if (job->kind == JOB_RENEW || job->kind == JOB_RELOAD || job->changed)
		server_metrics_note_state(server);
	supervise_job_done(server->supervise, job->kind == JOB_RELOAD);
	server_start_wanted(server);
	server_settle(server);
	server_keep_last(server);
}

/* Have all workers taken over the sockets of the last reload? Until then their sets must not change again. */
static bool listeners_settled(const struct server *server)
{
	for (unsigned i = 0; i < server->workers_n; i++) {
		if (!worker_listeners_done(server->workers[i]))
			return false;
	}
	return true;
}

static void run_job(struct server *server, enum job_kind kind, struct command *command)
{
	/* Before the sources are read, so that no change falls between; a directory may have been replaced by
	 * another. */
	if (kind == JOB_RENEW) {
		server_watch_sources(server);
		keeping_retry(server->keeping);
	}
	struct job *job = &server->job;
	memset(job, 0, sizeof(*job));
	diag_init(&job->diag);
	job->server = server;
	job->kind = kind;
	job->command = command;
	job->work.data = job;
	server->job_running = kind;
	server->job_was_command = command != NULL;
	if (kind == JOB_RELOAD)
		supervise_reloading(server->supervise);
	int rc = uv_queue_work(&server->loop, &job->work, job_run, job_done);
	if (rc < 0) {
		log_error("cannot start a background job: %s", uv_strerror(rc));
		server->job_running = JOB_NONE;
		if (command)
			answer(command, NULL);
	}
}

static void run_command(struct server *server)
{
	struct command *command = pop(&server->commands);
	const char *name = json_string_value(json_object_get(command->request->body, "command"));
	bool reload = name && strcmp(name, "reload") == 0;
	char author[COMMAND_AUTHOR_MAX];
	if (reload)
		log_info("control: user=\"%s\" pid=%d reload", command_author(command->request, author),
		         (int)command->request->pid);
	run_job(server, reload ? JOB_RELOAD : JOB_COMMAND, command);
}

/* Who looks back wants to see what has just happened: it is on disk first. */
static bool may_run(const struct server *server, const struct command *command)
{
	return !json_object_get(command->request->body, "at") ||
	       keeping_done(server->keeping) == keeping_asked(server->keeping);
}

/* Commands take turns with other jobs, so that neither waits for ever. */
void server_start_wanted(struct server *server)
{
	if (server->stopping || server->waiting || server->job_running != JOB_NONE)
		return;
	keep(server);
	if (!listeners_settled(server) || handover_holds_jobs(server))
		return;
	enum job_kind wanted = server->job_wanted;
	if (server->commands.first && may_run(server, server->commands.first) &&
	    (wanted == JOB_NONE || !server->job_was_command)) {
		run_command(server);
	} else if (wanted != JOB_NONE) {
		server->job_wanted = JOB_NONE;
		run_job(server, wanted, NULL);
	}
}

void server_start_job(struct server *server, enum job_kind kind)
{
	if (kind > server->job_wanted)
		server->job_wanted = kind;
	server_start_wanted(server);
}

static void on_renew(uv_timer_t *timer)
{
	server_start_job(timer->data, JOB_RENEW);
}

void server_set_renew_timer(struct server *server)
{
	uint32_t shortest_s = 0;
	for (size_t i = 0; i < server->load->zones->versions_n; i++) {
		uint32_t renew_s = server->load->zones->versions[i].conf->renew_s;
		if (shortest_s == 0 || renew_s < shortest_s)
			shortest_s = renew_s;
	}
	if (shortest_s == 0 && server->load->geo)
		shortest_s = GEO_LOOK_S;
	if (shortest_s)
		uv_timer_start(&server->renew, on_renew, (uint64_t)shortest_s * 1000,
		               (uint64_t)shortest_s * 1000);
	else
		uv_timer_stop(&server->renew);
}

void server_drop_waiting_commands(struct server *server)
{
	struct command *command;
	while ((command = pop(&server->commands)))
		answer(command, stopping_response(server));
}

void server_drop_commands(struct server *server)
{
	struct command *command;
	while ((command = pop(&server->answered))) {
		if (command->is_kept && command->kept > keeping_done(server->keeping) && command->response)
			json_object_set_new(command->response, "warning",
			                    json_string("it may not outlive the restart: the server is "
			                                "stopping, and has not written it yet"));
		answer(command, command->response);
	}
	server_drop_waiting_commands(server);
}
