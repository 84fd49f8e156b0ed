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
#include "base/utc.h"
#include "server/rate_limit_conf.h"
#include "server/server_int.h"

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
	clock_destroy(server->clock);
	server_metrics_stop(server);
	server_drop_commands(server);
	ctl_destroy(server->ctl_before);
	ctl_destroy(server->ctl);
	uv_close((uv_handle_t *)&server->notify, NULL);
	watch_destroy(server->watch);
	server->watch = NULL;
	supervise_close(server->supervise);
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
	supervise_stopping(server->supervise);
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_stop(server->workers[i], server->load->conf->stop_drain_ms);
	uv_async_send(&server->notify);
}

static void on_signal(uv_signal_t *handle, int signal)
{
	struct server *server = handle->data;
	switch (signal) {
	case SIGHUP: server_start_job(server, JOB_RELOAD); break;
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
	int rc = startup_bind(conf, workers_n, &diag, &server->bindings);
	if (rc == 0)
		rc = startup_drop(conf, &server->confinement, &diag);
	if (rc == 0)
		rc = supervise_open_probes(server->supervise, workers_n);
	log_diag(&diag);
	diag_fini(&diag);
	struct rrl_config limit = { .exempt = NULL };
	if (rc == 0)
		rc = rate_limit_conf(&conf->rate_limit, workers_n, &limit);
	for (unsigned i = 0; i < workers_n && rc == 0; i++) {
		struct worker_config config = {
			.index = i,
			/* Fewer or more threads than cores: the kernel places them better. */
			.cpu = workers_n == cores_n ? cores[i] : -1,
			.tcp_idle_ms = conf->tcp_idle_ms,
			.tcp_clients_max = conf->tcp_clients_max,
			.rate_limit = conf->rate_limit.enabled ? &limit : NULL,
			.notify = &server->notify,
			.probe_fd = supervise_probe_fd(server->supervise, i),
			.filter = server->confinement.filters[FILTER_WORKER],
		};
		rc = worker_start(&config, server->snap, bindings_of(server->bindings, i),
		                  bindings_n(server->bindings), &server->workers[i]);
		if (rc == 0)
			server->workers_n++;
		else
			log_error("cannot start a worker: %s", strerror(-rc));
	}
	free((void *)limit.exempt);
	return rc;
}

void server_set_rate_limit(struct server *server)
{
	const struct conf_rate_limit *conf = &server->load->conf->rate_limit;
	struct rrl_config limit = { .exempt = NULL };
	int rc = rate_limit_conf(conf, server->workers_n, &limit);
	for (unsigned i = 0; i < server->workers_n && rc == 0; i++)
		rc = worker_set_rate_limit(server->workers[i], conf->enabled ? &limit : NULL);
	if (rc < 0)
		log_error("rate limits stay as they were: %s", strerror(-rc));
	free((void *)limit.exempt);
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
	server->renew.data = server;
	if (rc == 0)
		rc = uv_timer_init(&server->loop, &server->keep_again);
	server->keep_again.data = server;
	if (rc == 0)
		rc = clock_create(&server->loop, on_watch, server, &server->clock);
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
	server->started_s = utc_now();
	server->conf_path = strdup(conf_path);
	int rc = server->conf_path
	                 ? startup_load(conf_path, &server->confinement.privileges, &diag, &server->load)
	                 : -ENOMEM;
	log_diag(&diag);
	diag_fini(&diag);
	if (rc == 0)
		rc = load_make_snap(server->load, server->generation, NULL, utc_now(), &server->snap);
	if (rc < 0) {
		log_error("cannot load %s: %s", conf_path, rc == -EINVAL ? "see above" : strerror(-rc));
		goto fail;
	}
	server_log_loaded(server, "loaded");
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
	rc = start_workers(server);
	if (rc == 0)
		rc = server_metrics_start(server);
	if (rc < 0)
		goto fail_running;
	server_watch_sources(server);
	server_set_renew_timer(server);
	diag_init(&diag);
	server_set_control(server, server->load->conf, &diag);
	log_diag(&diag);
	diag_fini(&diag);
	/* Before the first background job: its thread is to have the filter too. */
	rc = startup_confine(&server->confinement);
	if (rc < 0)
		goto fail_running;
	keeping_want_base(server->keeping, "start");
	server_start_wanted(server);
	clock_set(server->clock, zones_next_change(server->load->zones, version_clock_now()));
	if (server_has_to_look(server))
		server_start_job(server, JOB_RENEW);
	bindings_log_changes(NULL, server->bindings);
	server->trim_wanted = true;
	server_settle(server);
	log_info("ready: version=%s pid=%d workers=%u", DNSD_VERSION, (int)getpid(), server->workers_n);
	supervise_start(server->supervise);
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
	supervise_free(server->supervise);
	startup_free(&server->confinement);
	keeping_destroy(server->keeping);
	server_metrics_free(server);
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
	keeping_run_last(server->keeping, server->load);
	keeping_destroy(server->keeping);
	supervise_free(server->supervise);
	startup_free(&server->confinement);
	server_metrics_free(server);
	bindings_destroy(server->bindings);
	snap_destroy(server->snap);
	load_destroy(server->load);
	uv_loop_close(&server->loop);
	free(server->conf_path);
	free(server);
}
