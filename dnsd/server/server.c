#include "server/server.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "load/load.h"
#include "server/bindings.h"
#include "server/watch.h"
#include "worker/worker.h"

#define WORKERS_MAX 256

/* A snapshot that some worker may still use. */
struct retired {
	struct retired *next;
	struct snap *snap;
};

enum job_kind { JOB_NONE, JOB_RENEW, JOB_RELOAD };

struct job {
	uv_work_t work;
	struct server *server;
	enum job_kind kind;
	int rc;
	struct diag diag;
	struct load *load; /* RELOAD */
	struct snap *snap;
	uint64_t next_s;    /* RENEW: when a feed wants to be looked at again, since 1970; 0 = not */
	bool names_changed; /* RENEW found a database that has no name yet */
};

struct server {
	uv_loop_t loop;
	uv_signal_t signals[5];
	uv_async_t notify;
	uv_timer_t renew; /* version records, at their interval */
	uv_timer_t look;  /* feeds, at the moment one of them names */
	char *conf_path;
	struct load *load;
	struct snap *snap;
	struct retired *retired;
	uint64_t generation;
	struct bindings *bindings;
	struct watch *watch;
	struct worker *workers[WORKERS_MAX];
	unsigned workers_n;
	struct job job;
	enum job_kind job_running;
	enum job_kind job_wanted; /* asked for while one runs; the larger kind wins */
	bool stopping;
};

static void start_job(struct server *server, enum job_kind kind);

/* What was asked for while something else ran. */
static void start_wanted(struct server *server)
{
	enum job_kind wanted = server->job_wanted;
	server->job_wanted = JOB_NONE;
	if (wanted != JOB_NONE)
		start_job(server, wanted);
}

/* --- snapshots --- */

static void free_retired(struct server *server)
{
	uint64_t oldest = server->generation;
	for (unsigned i = 0; i < server->workers_n; i++) {
		uint64_t adopted = worker_adopted(server->workers[i])->generation;
		if (adopted < oldest)
			oldest = adopted;
	}
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
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_publish(server->workers[i], snap);
	return 0;
}

/* --- jobs --- */

static void job_run(uv_work_t *work)
{
	struct job *job = work->data;
	const struct server *server = job->server;
	const struct load *load = server->load;
	if (job->kind == JOB_RELOAD) {
		job->rc = load_create(server->conf_path, server->load, &job->diag, &job->load);
		load = job->load;
	} else {
		/* A source that fails keeps its last numbers and time: the record is published all the same.
		 */
		uint64_t now_s = (uint64_t)time(NULL);
		zones_verify_versions(server->load->zones, now_s, &job->diag, &job->names_changed);
		job->rc = zones_read_feeds(server->load->zones, now_s, &job->diag, &job->next_s);
	}
	if (job->rc == 0)
		job->rc = load_make_snap(load, server->generation + 1, server->snap, (uint64_t)time(NULL),
		                         &job->snap);
}

static void watch_sources(struct server *server)
{
	watch_clear(server->watch);
	for (size_t i = 0; i < server->load->zones->versions_n; i++) {
		const struct conf_version *conf = server->load->zones->versions[i].conf;
		if (conf->directory)
			watch_add(server->watch, conf->directory);
	}
	for (size_t i = 0; i < server->load->conf->pools_n; i++) {
		if (server->load->conf->pools[i].feed_file)
			watch_add_file(server->watch, server->load->conf->pools[i].feed_file);
	}
}

static bool has_feeds(const struct server *server)
{
	for (size_t i = 0; i < server->load->conf->pools_n; i++) {
		if (server->load->conf->pools[i].feed_file)
			return true;
	}
	return false;
}

static void set_renew_timer(struct server *server);
static void on_renew(uv_timer_t *timer);

static void log_loaded(const struct server *server, const char *what)
{
	char text[1024];
	load_describe(server->load, text, sizeof(text));
	log_info("%s: generation=%" PRIu64 " %s", what, server->generation, text);
}

static int set_listeners(struct server *server, const struct conf *conf, struct diag *diag)
{
	struct bindings *bindings;
	int rc = bindings_create(server->bindings, conf->listen, conf->listen_n, server->workers_n, diag,
	                         &bindings);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < server->workers_n && rc == 0; i++)
		rc = worker_set_listeners(server->workers[i], bindings_of(bindings, i), bindings_n(bindings));
	bindings_log_changes(server->bindings, bindings);
	bindings_destroy(server->bindings);
	server->bindings = bindings;
	return rc;
}

static void finish_reload(struct server *server, struct job *job)
{
	int rc = job->rc;
	if (rc == 0)
		rc = set_listeners(server, job->load->conf, &job->diag);
	if (rc == 0)
		rc = publish(server, job->snap);
	log_diag(&job->diag);
	if (rc < 0) {
		snap_destroy(job->snap);
		load_destroy(job->load);
		log_error("reload failed, nothing has changed: errors=%zu%s%s", job->diag.errors_n,
		          rc == -EINVAL ? "" : " reason=", rc == -EINVAL ? "" : strerror(-rc));
		server->job_wanted =
		        JOB_RENEW; /* whoever asked may have meant a source, not the configuration */
		return;
	}
	server->generation++;
	if (job->load->conf->workers != server->load->conf->workers)
		log_warning("server.workers has changed: it takes effect at the next start");
	load_destroy(server->load);
	server->load = job->load;
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_set_tcp(server->workers[i], server->load->conf->tcp_idle_ms,
		               server->load->conf->tcp_clients_max);
	watch_sources(server);
	set_renew_timer(server);
	log_loaded(server, "reloaded");
	/* The feeds may have changed before the watch was set, and they set the timer. */
	if (has_feeds(server) && server->job_wanted < JOB_RENEW)
		server->job_wanted = JOB_RENEW;
}

/* Feeds change with time too: one that is held, one that expires. */
static void set_look_timer(struct server *server, uint64_t next_s)
{
	uint64_t now_s = (uint64_t)time(NULL);
	if (next_s)
		uv_timer_start(&server->look, on_renew, next_s > now_s ? (next_s - now_s) * 1000 : 1000, 0);
	else
		uv_timer_stop(&server->look);
}

static void finish_renew(struct server *server, struct job *job)
{
	int rc = job->rc == 0 ? publish(server, job->snap) : job->rc;
	log_diag(&job->diag);
	if (rc < 0) {
		snap_destroy(job->snap);
		log_error("version records and pools not renewed: %s", strerror(-rc));
	} else {
		server->generation++;
		log_debug("version records and pools renewed: generation=%" PRIu64, server->generation);
	}
	if (job->names_changed)
		server->job_wanted = JOB_RELOAD;
	set_look_timer(server, job->next_s);
}

static void job_done(uv_work_t *work, int status)
{
	struct job *job = work->data;
	struct server *server = job->server;
	server->job_running = JOB_NONE;
	if (status < 0 || server->stopping) {
		snap_destroy(job->snap);
		load_destroy(job->load);
	} else if (job->kind == JOB_RELOAD) {
		finish_reload(server, job);
	} else {
		finish_renew(server, job);
	}
	diag_fini(&job->diag);
	free_retired(server);
	start_wanted(server);
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

/* One job at a time: it alone may touch the load in use. A job asked for meanwhile runs after it, once. */
static void start_job(struct server *server, enum job_kind kind)
{
	if (server->stopping)
		return;
	if (server->job_running != JOB_NONE || !listeners_settled(server)) {
		if (kind > server->job_wanted)
			server->job_wanted = kind;
		return;
	}
	/* Before the sources are read, so that no change falls between; a directory may have been replaced by
	 * another. */
	if (kind == JOB_RENEW)
		watch_sources(server);
	struct job *job = &server->job;
	memset(job, 0, sizeof(*job));
	diag_init(&job->diag);
	job->server = server;
	job->kind = kind;
	job->work.data = job;
	int rc = uv_queue_work(&server->loop, &job->work, job_run, job_done);
	if (rc < 0)
		log_error("cannot start a background job: %s", uv_strerror(rc));
	else
		server->job_running = kind;
}

/* --- events --- */

static void on_watch(void *context)
{
	start_job(context, JOB_RENEW);
}

static void on_renew(uv_timer_t *timer)
{
	start_job(timer->data, JOB_RENEW);
}

static void set_renew_timer(struct server *server)
{
	uint32_t shortest_s = 0;
	for (size_t i = 0; i < server->load->zones->versions_n; i++) {
		uint32_t renew_s = server->load->zones->versions[i].conf->renew_s;
		if (shortest_s == 0 || renew_s < shortest_s)
			shortest_s = renew_s;
	}
	if (shortest_s)
		uv_timer_start(&server->renew, on_renew, (uint64_t)shortest_s * 1000,
		               (uint64_t)shortest_s * 1000);
	else
		uv_timer_stop(&server->renew);
}

static void close_handles(struct server *server)
{
	for (size_t i = 0; i < sizeof(server->signals) / sizeof(server->signals[0]); i++)
		uv_close((uv_handle_t *)&server->signals[i], NULL);
	uv_close((uv_handle_t *)&server->renew, NULL);
	uv_close((uv_handle_t *)&server->look, NULL);
	uv_close((uv_handle_t *)&server->notify, NULL);
	watch_destroy(server->watch);
	server->watch = NULL;
}

static void on_notify(uv_async_t *async)
{
	struct server *server = async->data;
	free_retired(server);
	if (!server->stopping) {
		start_wanted(server);
		return;
	}
	for (unsigned i = 0; i < server->workers_n; i++) {
		if (!worker_stopped(server->workers[i]))
			return;
	}
	if (!uv_is_closing((uv_handle_t *)async))
		close_handles(server);
}

static void log_counters(const struct server *server)
{
	struct answer_counters sum = { 0 };
	struct net_counters sum_net = { 0 };
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_read_counters(server->workers[i], &sum, &sum_net);
#define LOG_COUNTER(name, help) log_info("counter " #name "=%" PRIu64, sum.name);
	ANSWER_COUNTERS(LOG_COUNTER)
#undef LOG_COUNTER
#define LOG_COUNTER(name, help) log_info("counter " #name "=%" PRIu64, sum_net.name);
	NET_COUNTERS(LOG_COUNTER)
#undef LOG_COUNTER
}

static void log_pings(const struct server *server)
{
	const struct zones *zones = server->load->zones;
	struct answer_pings *sums = calloc(zones->mirror_hosts_n + 1, sizeof(*sums));
	if (!sums)
		return;
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_read_pings(server->workers[i], zones->mirror_hosts_n, sums);
	for (size_t i = 0; i < zones->mirror_hosts_n; i++) {
		if (sums[i].ok || sums[i].failed)
			log_info("pings mirror=%s ok=%" PRIu64 " failed=%" PRIu64, zones->mirror_hosts[i],
			         sums[i].ok, sums[i].failed);
	}
	free(sums);
}

static void begin_stop(struct server *server, int signal)
{
	if (server->stopping)
		return;
	server->stopping = true;
	log_info("stopping: signal=%s", signal == SIGTERM ? "SIGTERM" : "SIGINT");
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_stop(server->workers[i], server->load->conf->stop_drain_ms);
	uv_async_send(&server->notify);
}

static void on_signal(uv_signal_t *handle, int signal)
{
	struct server *server = handle->data;
	switch (signal) {
	case SIGHUP: start_job(server, JOB_RELOAD); break;
	case SIGUSR1:
		log_pings(server);
		log_counters(server);
		break;
	case SIGUSR2:
		log_set_level(log_get_level() == LOG_LEVEL_DEBUG ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG);
		log_info("log level: %s", log_get_level() == LOG_LEVEL_DEBUG ? "debug" : "info");
		break;
	default: begin_stop(server, signal); break;
	}
}

/* --- start --- */

/* The cores we may run on, in order; returns how many. */
static unsigned usable_cores(int cores[WORKERS_MAX])
{
	cpu_set_t set;
	unsigned n = 0;
	if (sched_getaffinity(0, sizeof(set), &set) == 0) {
		for (int cpu = 0; cpu < CPU_SETSIZE && n < WORKERS_MAX; cpu++) {
			if (CPU_ISSET((size_t)cpu, &set))
				cores[n++] = cpu;
		}
	}
	if (n == 0)
		cores[n++] = -1;
	return n;
}

static int start_workers(struct server *server)
{
	const struct conf *conf = server->load->conf;
	int cores[WORKERS_MAX];
	unsigned cores_n = usable_cores(cores);
	unsigned workers_n = conf->workers ? conf->workers : cores_n;
	if (workers_n > WORKERS_MAX)
		workers_n = WORKERS_MAX;
	struct diag diag;
	diag_init(&diag);
	int rc = bindings_create(NULL, conf->listen, conf->listen_n, workers_n, &diag, &server->bindings);
	log_diag(&diag);
	diag_fini(&diag);
	for (unsigned i = 0; i < workers_n && rc == 0; i++) {
		struct worker_config config = {
			.index = i,
			/* Fewer or more threads than cores: the kernel places them better. */
			.cpu = workers_n == cores_n ? cores[i] : -1,
			.tcp_idle_ms = conf->tcp_idle_ms,
			.tcp_clients_max = conf->tcp_clients_max,
			.notify = &server->notify
		};
		rc = worker_start(&config, server->snap, bindings_of(server->bindings, i),
		                  bindings_n(server->bindings), &server->workers[i]);
		if (rc == 0)
			server->workers_n++;
		else
			log_error("cannot start a worker: %s", strerror(-rc));
	}
	return rc;
}

static int start_events(struct server *server)
{
	static const int numbers[] = { SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2 };
	int rc = uv_async_init(&server->loop, &server->notify, on_notify);
	server->notify.data = server;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && rc == 0; i++) {
		rc = uv_signal_init(&server->loop, &server->signals[i]);
		server->signals[i].data = server;
		if (rc == 0)
			rc = uv_signal_start(&server->signals[i], on_signal, numbers[i]);
	}
	if (rc == 0)
		rc = uv_timer_init(&server->loop, &server->renew);
	if (rc == 0)
		rc = uv_timer_init(&server->loop, &server->look);
	server->renew.data = server;
	server->look.data = server;
	if (rc == 0)
		rc = watch_create(&server->loop, on_watch, server, &server->watch);
	return rc;
}

int server_create(const char *conf_path, struct server **ret_server)
{
	struct server *server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	struct diag diag;
	diag_init(&diag);
	server->generation = 1;
	server->conf_path = strdup(conf_path);
	int rc = server->conf_path ? load_create(conf_path, NULL, &diag, &server->load) : -ENOMEM;
	log_diag(&diag);
	diag_fini(&diag);
	if (rc == 0)
		rc = load_make_snap(server->load, server->generation, NULL, (uint64_t)time(NULL),
		                    &server->snap);
	if (rc < 0) {
		log_error("cannot load %s: %s", conf_path, rc == -EINVAL ? "see above" : strerror(-rc));
		goto fail;
	}
	log_loaded(server, "loaded");
	rc = uv_loop_init(&server->loop);
	if (rc == 0)
		rc = start_events(server);
	if (rc < 0) {
		log_error("cannot set up the main loop: %s", uv_strerror(rc));
		goto fail; /* half set up, it can't be taken apart; the process ends */
	}
	rc = start_workers(server);
	if (rc < 0)
		goto fail_running;
	watch_sources(server);
	set_renew_timer(server);
	if (has_feeds(server))
		start_job(server, JOB_RENEW);
	bindings_log_changes(NULL, server->bindings);
	log_info("ready: version=%s pid=%d workers=%u", DNSD_VERSION, (int)getpid(), server->workers_n);
	*ret_server = server;
	return 0;
fail_running:
	for (unsigned i = 0; i < server->workers_n; i++) {
		worker_stop(server->workers[i], 0);
		worker_join(server->workers[i]);
	}
	close_handles(server);
	uv_run(&server->loop, UV_RUN_DEFAULT);
	uv_loop_close(&server->loop);
fail:
	bindings_destroy(server->bindings);
	snap_destroy(server->snap);
	load_destroy(server->load);
	free(server->conf_path);
	free(server);
	return rc;
}

int server_run(struct server *server)
{
	uv_run(&server->loop, UV_RUN_DEFAULT);
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_join(server->workers[i]);
	log_info("stopped");
	return 0;
}

void server_destroy(struct server *server)
{
	if (!server)
		return;
	while (server->retired) {
		struct retired *retired = server->retired;
		server->retired = retired->next;
		snap_destroy(retired->snap);
		free(retired);
	}
	bindings_destroy(server->bindings);
	snap_destroy(server->snap);
	load_destroy(server->load);
	uv_loop_close(&server->loop);
	free(server->conf_path);
	free(server);
}
