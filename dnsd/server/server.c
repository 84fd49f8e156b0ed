#include "server/server.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "base/utc.h"
#include "server/rate_limit_conf.h"
#include "server/server_int.h"

/* Open files that are no client's. */
#define FILES_BESIDE 100

/* --- events --- */

static void on_watch(void *context)
{
	server_start_job(context, JOB_RENEW);
}

static void close_handles(struct server *server)
{
	for (size_t i = 0; i < sizeof(server->signals) / sizeof(server->signals[0]); i++)
		uv_close((uv_handle_t *)&server->signals[i], NULL);
	uv_close((uv_handle_t *)&server->renew, NULL);
	uv_close((uv_handle_t *)&server->keep_again, NULL);
	uv_close((uv_handle_t *)&server->waits, NULL);
	clock_destroy(server->clock);
	takeover_stop(server->takeover);
	server_metrics_stop(server);
	server_drop_commands(server);
	ctl_destroy(server->ctl_before);
	ctl_destroy(server->ctl);
	uv_close((uv_handle_t *)&server->notify, NULL);
	watch_destroy(server->watch);
	server->watch = NULL;
	supervise_close(server->supervise);
}

/* A file on a disk that does not answer can't be waited for: neither by us nor by exit(), which would join
 * the thread. */
static void on_late(uv_timer_t *timer)
{
	struct server *server = timer->data;
	bool is_lost = false;
	for (unsigned i = 0; i < server->workers_n; i++) {
		if (!worker_stopped(server->workers[i])) {
			log_error("worker %u does not end", i);
			is_lost = true;
		}
	}
	if (server->job_running != JOB_NONE)
		log_error("%s does not end: one of the files it reads or the disk does not answer",
		          server_job_text(server->job_running));
	if (!server->handed_over && !keeping_is_settled(server->keeping, server->load)) {
		log_error("%s: the state is not written whole: what has changed last may be forgotten",
		          server->load->conf->state_dir);
		is_lost = true;
	}
	handover_kill(server);
	log_warning("stopped without waiting any longer");
	_exit(is_lost ? 1 : 0);
}

static void on_notify(uv_async_t *async)
{
	struct server *server = async->data;
	server_settle(server);
	if (!server->stopping) {
		server_start_wanted(server);
		return;
	}
	for (unsigned i = 0; i < server->workers_n; i++) {
		if (!worker_stopped(server->workers[i]))
			return;
	}
	if (uv_is_closing((uv_handle_t *)async) || !handover_end(server))
		return;
	close_handles(server);
	server->ended = true;
	keeping_retry(server->keeping);
	server_keep_last(server);
}

static void log_counters(const struct server *server)
{
	union totals_counters sum = { .values = { 0 } };
	totals_read_counters(server, &sum);
	for (size_t i = 0; i < TOTALS_COUNTERS_N; i++)
		log_info("counter %s=%" PRIu64, totals_counters[i].name, sum.values[i]);
}

static void log_pings(const struct server *server)
{
	const struct zones *zones = server->load->zones;
	struct answer_pings *sums = calloc(zones->mirror_hosts_n + 1, sizeof(*sums));
	if (!sums)
		return;
	totals_read_pings(server, zones->mirror_hosts_n, sums);
	for (size_t i = 0; i < zones->mirror_hosts_n; i++) {
		if (sums[i].ok || sums[i].failed)
			log_info("pings mirror=%s ok=%" PRIu64 " failed=%" PRIu64, zones->mirror_hosts[i],
			         sums[i].ok, sums[i].failed);
	}
	free(sums);
}

static void begin_stop(struct server *server, int signal)
{
	if (server->stopping && (!server->handed_over || server->hurried))
		return;
	server->stopping = true;
	server->hurried = server->handed_over;
	handover_abort(server, "the server is stopping");
	log_info("stopping: signal=%s", signal == SIGTERM ? "SIGTERM" : "SIGINT");
	if (!server->handed_over)
		supervise_stopping(server->supervise);
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_stop(server->workers[i], server->load->conf->stop_drain_ms);
	uv_timer_start(&server->late, on_late, (uint64_t)server->load->conf->stop_drain_ms + STOP_LATE_MS, 0);
	uv_async_send(&server->notify);
}

static void on_signal(uv_signal_t *handle, int signal)
{
	struct server *server = handle->data;
	switch (signal) {
	case SIGHUP:
		if (!handover_pass_signal(server, signal))
			server_start_job(server, JOB_RELOAD);
		break;
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

/* Each socket and connection is an open file: as many as we may have. Before another process hands over its
 * sockets: it has raised its own limit, and they may be more than we were started with. */
static void raise_file_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* A word if that is too few. */
static void check_file_limit(const struct conf *conf, unsigned workers_n)
{
	struct rlimit limit;
	uint64_t wanted = (uint64_t)conf->tcp_clients_max * workers_n + FILES_BESIDE;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_max < wanted)
		log_warning("tcp-clients = %u for each of %u workers needs %" PRIu64
		            " open files, and the limit is %" PRIu64
		            ": raise it (LimitNOFILE= in systemd), or "
		            "lower tcp-clients",
		            conf->tcp_clients_max, workers_n, wanted, (uint64_t)limit.rlim_max);
}

/* Only who has filters needs it: they outlive exec, also those that refuse nothing. Whatever becomes of it,
 * the server serves. */
static void settle_launcher(struct server *server)
{
	const struct confinement *confinement = &server->confinement;
	bool is_needed = confinement->filters[FILTER_MAIN] != NULL;
	int rc =
	        server->launcher && is_needed ? launcher_drop(server->launcher, &confinement->privileges) : 0;
	if (rc < 0)
		log_warning(
		        "the launcher cannot give up its rights: %s; in the sandbox \"dnsdctl restart\" will "
		        "be refused",
		        strerror(-rc));
	if (rc == 0 && is_needed)
		return;
	launcher_destroy(server->launcher);
	server->launcher = NULL;
	/* The new process of a restart comes from here then. */
	rc = server->load->conf->keep_bind_capability ? privileges_pass_on() : 0;
	if (rc < 0)
		log_warning("keep-bind-capability will be lost at a restart: %s", strerror(-rc));
}

static int start_workers(struct server *server)
{
	const struct conf *conf = server->load->conf;
	int cores[WORKERS_MAX];
	unsigned cores_n = usable_cores(cores);
	unsigned workers_n = conf->workers ? conf->workers : cores_n;
	if (workers_n > WORKERS_MAX)
		workers_n = WORKERS_MAX;
	check_file_limit(conf, workers_n);
	struct diag diag;
	diag_init(&diag);
	const struct bindings *passed = server->takeover ? takeover_bindings(server->takeover) : NULL;
	const struct privileges *privileges = &server->confinement.privileges;
	int rc = startup_bind(conf, workers_n, passed, &server->activation, privileges, &diag,
	                      &server->bindings);
	if (rc == 0)
		rc = startup_drop(conf, &server->confinement, &diag);
	if (rc == 0)
		settle_launcher(server);
	if (rc == 0)
		rc = supervise_open_probes(server->supervise, workers_n);
	log_diag(&diag);
	diag_fini(&diag);
	struct rrl_config limit = rate_limit_conf(&conf->rate_limit, workers_n);
	for (unsigned i = 0; i < workers_n && rc == 0; i++) {
		struct worker_config config = {
			.index = i,
			/* Fewer or more threads than cores: the kernel places them better. */
			.cpu = workers_n == cores_n ? cores[i] : -1,
			.tcp = server_tcp_limits(server->load),
			.rate_limit = conf->rate_limit.enabled ? &limit : NULL,
			.notify = &server->notify,
			.probe_fd = supervise_probe_fd(server->supervise, i),
			.filter = server->confinement.filters[FILTER_WORKER],
		};
		rc = worker_start(&config, server->snap, bindings_of(server->bindings, i),
		                  bindings_n(server->bindings, i), &server->workers[i]);
		if (rc == 0)
			server->workers_n++;
		else
			log_error("cannot start a worker: %s", strerror(-rc));
	}
	return rc;
}

void server_set_rate_limit(struct server *server)
{
	const struct conf_rate_limit *conf = &server->load->conf->rate_limit;
	struct rrl_config limit = rate_limit_conf(conf, server->workers_n);
	int rc = 0;
	for (unsigned i = 0; i < server->workers_n && rc == 0; i++)
		rc = worker_set_rate_limit(server->workers[i], conf->enabled ? &limit : NULL);
	if (rc < 0)
		log_error("rate limits stay as they were: %s", strerror(-rc));
}

static void held_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGUSR2);
}

void server_hold_signals(void)
{
	sigset_t set;
	held_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int start_events(struct server *server)
{
	static const int numbers[] = { SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2 };
	sigset_t held;
	int rc = uv_async_init(&server->loop, &server->notify, on_notify);
	server->notify.data = server;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && rc == 0; i++) {
		rc = uv_signal_init(&server->loop, &server->signals[i]);
		server->signals[i].data = server;
		if (rc == 0)
			rc = uv_signal_start(&server->signals[i], on_signal, numbers[i]);
	}
	held_signals(&held);
	pthread_sigmask(SIG_UNBLOCK, &held, NULL);
	if (rc == 0)
		rc = uv_timer_init(&server->loop, &server->renew);
	server->renew.data = server;
	if (rc == 0)
		rc = uv_timer_init(&server->loop, &server->keep_again);
	server->keep_again.data = server;
	if (rc == 0)
		rc = uv_timer_init(&server->loop, &server->waits);
	server->waits.data = server;
	if (rc == 0)
		rc = uv_timer_init(&server->loop, &server->late);
	server->late.data = server;
	if (rc == 0)
		uv_unref((uv_handle_t *)&server->late);
	if (rc == 0)
		rc = clock_create(&server->loop, on_watch, server, &server->clock);
	if (rc == 0)
		rc = watch_create(&server->loop, on_watch, server, &server->watch);
	return rc;
}

/* The program as it was named, which may be another file by then: that is what an upgrade is. NULL when out
 * of memory. */
static char *find_program(const char *name)
{
	char path[PATH_MAX];
	char folder[PATH_MAX];
	int len = -1;
	if (*name == '/')
		return strdup(name);
	if (strchr(name, '/')) {
		if (getcwd(folder, sizeof(folder)))
			len = snprintf(path, sizeof(path), "%s/%s", folder, name);
		return len > 0 && (size_t)len < sizeof(path) ? strdup(path) : NULL;
	}
	const char *search = getenv("PATH");
	for (const char *at = search ? search : "/usr/sbin:/usr/bin"; at; at = strchr(at, ':')) {
		at += *at == ':';
		len = snprintf(path, sizeof(path), "%.*s/%s", (int)strcspn(at, ":"), at, name);
		if (len > 0 && (size_t)len < sizeof(path) && access(path, X_OK) == 0)
			return strdup(path);
	}
	ssize_t got = readlink("/proc/self/exe", path, sizeof(path) - 1);
	return got > 0 ? strndup(path, (size_t)got) : NULL;
}

static int load_start(struct server *server, bool again)
{
	struct diag diag;
	diag_init(&diag);
	struct load *before = server->load;
	server->load = NULL;
	int rc = startup_load(server->conf_path, again ? before : NULL, &server->confinement.privileges,
	                      &diag, &server->load);
	log_diag(&diag);
	diag_fini(&diag);
	if (again)
		load_destroy(before);
	return rc;
}

/* What the service manager has opened; where another process hands over, its sockets are those. */
static int take_activated(struct server *server)
{
	struct diag diag;
	if (server->takeover)
		return 0;
	diag_init(&diag);
	int rc = activation_init(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), ACTIVATION_FIRST_FD, &diag,
	                         &server->activation);
	log_diag(&diag);
	diag_fini(&diag);
	return rc;
}

/* All that is to be answered. Where another process hands over, its numbers go on. */
static int load_all(struct server *server)
{
	uint64_t serial_s = utc_now();
	int rc = load_start(server, false);
	if (rc == 0 && server->takeover) {
		bool changed;
		rc = takeover_receive(server->takeover, &changed);
		if (rc == 0 && changed)
			rc = load_start(server, true);
		if (rc == 0)
			rc = takeover_give_overrides(server->takeover, server->load->zones);
		if (rc == 0)
			takeover_give_secrets(server->takeover, server->load);
		server->generation = takeover_generation(server->takeover) + 1;
		/* Several changes within a second take it past the clock, and this one may be another. */
		if (takeover_serial(server->takeover) >= serial_s)
			serial_s = (uint64_t)takeover_serial(server->takeover) + 1;
	}
	if (rc == 0)
		rc = load_make_snap(server->load, server->generation, NULL, serial_s, &server->snap);
	if (rc < 0 && rc != -ECANCELED)
		log_error("cannot load %s: %s", server->conf_path,
		          rc == -EINVAL ? "see above" : strerror(-rc));
	return rc;
}

/* What is done by one process only: from here on it is this one. */
static int begin_service(struct server *server)
{
	struct diag diag;
	server->waiting = false;
	server_metrics_serve(server);
	server_watch_sources(server);
	server_set_renew_timer(server);
	diag_init(&diag);
	server_set_control(server, server->load->conf, &diag);
	log_diag(&diag);
	diag_fini(&diag);
	/* Before the first background job: its thread is to have the filter too. */
	int rc = startup_confine(&server->confinement);
	if (rc < 0 && !server->takeover)
		return rc; /* else nobody would serve: the process before has ended */
	if (server->takeover) {
		takeover_follow(server->takeover, server);
		keeping_want_overrides(server->keeping);
	}
	keeping_want_base(server->keeping, server->takeover ? "takeover" : "start");
	server_start_wanted(server);
	clock_set(server->clock, zones_next_change(server->load->zones, version_clock_now()));
	/* What came up while neither process watched the sources. */
	if (server->takeover)
		server_start_job(server, takeover_wants_reload(server->takeover) ? JOB_RELOAD : JOB_RENEW);
	else if (server_has_to_look(server))
		server_start_job(server, JOB_RENEW);
	bindings_log_changes(NULL, server->bindings);
	server->trim_wanted = true;
	server_settle(server);
	log_info("ready: version=%s pid=%d workers=%u", DNSD_VERSION, (int)getpid(), server->workers_n);
	supervise_start(server->supervise);
	return 0;
}

static void free_server(struct server *server)
{
	launcher_destroy(server->launcher);
	takeover_destroy(server->takeover);
	supervise_free(server->supervise);
	startup_free(&server->confinement);
	totals_destroy(server->totals);
	keeping_destroy(server->keeping);
	server_metrics_free(server);
	bindings_destroy(server->bindings);
	activation_fini(&server->activation);
	snap_destroy(server->snap);
	load_destroy(server->load);
	free(server->conf_path);
	free(server->program);
	free(server);
}

static void run_to_end(struct server *server)
{
	uv_run(&server->loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&server->late, NULL);
	uv_run(&server->loop, UV_RUN_DEFAULT);
}

int server_create(const struct server_start *start, struct server **ret_server)
{
	struct server *server = calloc(1, sizeof(*server));
	if (!server) {
		launcher_destroy(start->launcher);
		return -ENOMEM;
	}
	server->launcher = start->launcher;
	server->generation = 1;
	server->started_s = utc_now();
	server->argv = start->argv;
	server->conf_path = strdup(start->conf_path);
	server->program = find_program(start->argv[0]);
	raise_file_limit();
	int rc = server->conf_path && server->program ? 0 : -ENOMEM;
	if (rc == 0)
		rc = takeover_open(start->conf_path, start->takeover, &server->takeover);
	server->waiting = server->takeover != NULL;
	if (rc == 0)
		rc = load_all(server);
	if (rc < 0)
		goto fail;
	server_log_loaded(server, "loaded");
	/* A job and a batch for the disk, one of each at a time. Every thread of the pool costs an arena of
	 * the allocator, which grows to what a job needs; more threads only spread them. */
	setenv("UV_THREADPOOL_SIZE", "2", 0);
	rc = uv_loop_init(&server->loop);
	if (rc == 0)
		rc = start_events(server);
	server->keeping = keeping_create(&server->loop, server_keeping_written, server);
	if (!server->keeping)
		rc = -ENOMEM;
	if (rc == 0)
		rc = supervise_create(server, &server->supervise);
	if (rc < 0) {
		log_error("cannot set up the main loop: %s", uv_strerror(rc));
		goto fail; /* half set up, it can't be taken apart; the process ends */
	}
	/* Workers last: what fails before they read has cost no query. */
	rc = take_activated(server);
	if (rc == 0)
		rc = server_metrics_start(server);
	if (rc == 0)
		rc = start_workers(server);
	if (rc == 0 && server->takeover)
		rc = takeover_confirm(server->takeover, server);
	if (rc == 0)
		rc = begin_service(server);
	if (rc < 0)
		goto fail_running;
	*ret_server = server;
	return 0;
fail_running:
	server->stopping = true;
	for (unsigned i = 0; i < server->workers_n; i++) {
		/* Where another process goes on, clients may have connected to us meanwhile. */
		worker_stop(server->workers[i], server->takeover ? server->load->conf->stop_drain_ms : 0);
		worker_join(server->workers[i]);
	}
	server->workers_n = 0;
	if (!uv_is_closing((uv_handle_t *)&server->notify))
		close_handles(server);
	run_to_end(server);
	uv_loop_close(&server->loop);
fail:
	free_server(server);
	return rc;
}

int server_run(struct server *server)
{
	run_to_end(server);
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
	uv_loop_close(&server->loop);
	free_server(server);
}
