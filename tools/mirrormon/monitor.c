#include "mirrormon/monitor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/utc.h"
#include "mirrormon/monitor_int.h"
#include "service/notify.h"

#define JUDGE_MS    20     /* results that come together are judged together */
#define BEAT_MS     1000   /* time alone changes things no more often */
#define SELF_MAX_MS 180000 /* at least so often the references are asked */
#define VOTES_MS    60000

static void on_judge(uv_timer_t *timer)
{
	struct monitor *monitor = timer->data;
	struct timespec begun, ended;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begun);
	monitor_judge(monitor);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
	monitor->judge_ms =
	        (uint64_t)((ended.tv_sec - begun.tv_sec) * 1000 + (ended.tv_nsec - begun.tv_nsec) / 1000000);
}

void monitor_touch(struct monitor *monitor)
{
	/* Of a large pool a judgement takes some time: at most a tenth of it all. */
	uint64_t wait_ms = JUDGE_MS + 10 * monitor->judge_ms;
	if (!monitor->stopping && !uv_is_active((uv_handle_t *)&monitor->judge_timer))
		uv_timer_start(&monitor->judge_timer, on_judge, wait_ms < BEAT_MS ? wait_ms : BEAT_MS, 0);
}

/** A version waits, or mirrors that lack one are out: the headers alone are looked at more often. */
static bool version_waits(const struct monitor *monitor)
{
	const struct view *view = monitor->view;
	if (!monitor->settings->conf->announce.enabled || !view)
		return false;
	for (size_t i = 0; i < view->databases_n; i++) {
		if (view->databases[i].candidate || view->databases[i].ready)
			return true;
	}
	for (size_t i = 0; i < view->mirrors_n; i++) {
		if (view->mirrors[i].verdict.reason == REASON_OUT_OF_SYNC)
			return true;
	}
	return false;
}

static bool lacks_newest(const struct monitor *monitor, const struct watched *watched)
{
	for (size_t i = 0; i < monitor->settings->conf->checks.databases_n; i++) {
		const struct announced *announced = &monitor->databases[i];
		uint32_t newest = announced->candidate ? announced->candidate : announced->version;
		if (announced->ready > newest)
			newest = announced->ready;
		const struct seen_database *seen = &watched->last.databases[i];
		bool is_patched = strcmp(announced->name, monitor->settings->conf->checks.patched) == 0 &&
		                  !(seen->cdiffs & 1);
		if (seen->version < newest || (seen->version == newest && is_patched && newest > 0))
			return true;
	}
	return false;
}

static void on_brief(uv_timer_t *timer)
{
	struct monitor *monitor = timer->data;
	if (!version_waits(monitor))
		return;
	for (size_t i = 0; i < monitor->watched_n; i++) {
		struct watched *watched = monitor->watched[i];
		if (watched->standing.reason == REASON_NONE && lacks_newest(monitor, watched))
			watched_check(watched, true);
	}
}

static void on_deep(uv_timer_t *timer)
{
	monitor_draw_lot(timer->data);
}

static void on_self(uv_timer_t *timer)
{
	monitor_self_test(timer->data);
}

static void on_votes(uv_timer_t *timer)
{
	monitor_read_votes(timer->data);
}

static void begin_stop(struct monitor *monitor);

static bool all_is_done(const struct monitor *monitor)
{
	if (monitor->unchecked_n > 0 || monitor->references_busy_n > 0 || monitor->site_busy ||
	    checker_busy_n(monitor->checker) > 0)
		return false;
	for (size_t i = 0; i < monitor->watched_n; i++) {
		if (monitor->watched[i]->held_ms)
			return false;
	}
	return true;
}

static void show_progress(const struct monitor *monitor)
{
	size_t failed_n = 0;
	for (size_t i = 0; i < monitor->watched_n; i++)
		failed_n += monitor->watched[i]->standing.failures_n > 0;
	fprintf(stderr, "\r%zu of %zu addresses checked, %zu failed ",
	        monitor->watched_n - monitor->unchecked_n, monitor->watched_n, failed_n);
}

/** Everything is known: judge and write once, and end when that is done. */
static void end_once(struct monitor *monitor)
{
	if (!monitor->final) {
		if (isatty(STDERR_FILENO))
			fputc('\n', stderr);
		monitor->final = true;
		monitor_judge(monitor);
		if (monitor->self_ok)
			monitor_keep_lot(monitor);
		else
			monitor->status = 1; /* nothing was decided, and no feed is written */
	} else if (mailer_untried_n(monitor->mailer) == 0 && !monitor_prune_rest(monitor)) {
		begin_stop(monitor);
	}
}

static void on_beat(uv_timer_t *timer)
{
	struct monitor *monitor = timer->data;
	if (monitor->once) {
		if (isatty(STDERR_FILENO))
			show_progress(monitor);
		if (all_is_done(monitor) && (monitor->final || !monitor_check_suspects(monitor))) {
			end_once(monitor);
			return;
		}
	}
	monitor_touch(monitor);
}

static void start_timers(struct monitor *monitor)
{
	const struct conf_monitor *conf = monitor->settings->conf;
	uint64_t self_ms = conf->checks.interval_ms < SELF_MAX_MS ? conf->checks.interval_ms : SELF_MAX_MS;
	uint64_t beat_ms = monitor->once ? 100 : BEAT_MS;
	uint64_t votes_ms = conf->checks.interval_ms < VOTES_MS ? conf->checks.interval_ms : VOTES_MS;
	uv_timer_start(&monitor->beat_timer, on_beat, beat_ms, beat_ms);
	uv_timer_start(&monitor->self_timer, on_self, 0, self_ms);
	uv_timer_start(&monitor->brief_timer, on_brief, conf->announce.interval_ms,
	               conf->announce.interval_ms);
	if (conf->checks.deep_interval_ms && !monitor->once)
		uv_timer_start(&monitor->deep_timer, on_deep, conf->checks.deep_interval_ms,
		               conf->checks.deep_interval_ms);
	else
		uv_timer_stop(&monitor->deep_timer);
	if (conf->votes.others_n)
		uv_timer_start(&monitor->votes_timer, on_votes, 0, votes_ms);
	else
		uv_timer_stop(&monitor->votes_timer);
}

static void free_colleagues(struct monitor *monitor)
{
	for (size_t i = 0; i < monitor->colleagues_n; i++)
		vote_destroy(monitor->colleagues[i].vote);
	free(monitor->colleagues);
	monitor->colleagues = NULL;
	monitor->colleagues_n = 0;
}

bool monitor_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/** Of those there were before it stays known what was last heard. */
static void keep_peers(struct monitor *monitor, const struct conf_monitor *before,
                       struct watched_reference *references, struct colleague *colleagues)
{
	const struct conf_monitor *conf = monitor->settings->conf;
	for (size_t i = 0; i < conf->references_n; i++) {
		for (size_t k = 0; k < before->references_n; k++) {
			if (!monitor_same_text(conf->references[i].url, before->references[k].url) ||
			    !monitor_same_text(conf->references[i].address, before->references[k].address))
				continue;
			references[i] = monitor->references[k];
			monitor_move_databases(&before->checks, &conf->checks, references[i].last.databases);
		}
	}
	for (size_t i = 0; i < conf->votes.others_n; i++) {
		for (size_t k = 0; k < monitor->colleagues_n; k++) {
			struct colleague *old = &monitor->colleagues[k];
			if (strcmp(conf->votes.others[i], old->source) != 0)
				continue;
			colleagues[i].vote = old->vote;
			old->vote = NULL;
			memcpy(colleagues[i].detail, old->detail, sizeof(old->detail));
		}
	}
}

/** References and colleagues of a configuration; before: NULL at the start. All are asked anew at once. */
static int set_peers(struct monitor *monitor, const struct conf_monitor *before)
{
	const struct conf_monitor *conf = monitor->settings->conf;
	struct watched_reference *references =
	        calloc(conf->references_n ? conf->references_n : 1, sizeof(*references));
	struct colleague *colleagues =
	        calloc(conf->votes.others_n ? conf->votes.others_n : 1, sizeof(*colleagues));
	if (!references || !colleagues) {
		free(references);
		free(colleagues);
		return -ENOMEM;
	}
	for (size_t i = 0; i < conf->votes.others_n; i++)
		colleagues[i].source = conf->votes.others[i];
	if (before)
		keep_peers(monitor, before, references, colleagues);
	free(monitor->references);
	free_colleagues(monitor);
	monitor->references = references;
	monitor->references_busy_n = 0;
	monitor->colleagues = colleagues;
	monitor->colleagues_n = conf->votes.others_n;
	return 0;
}

/** Databases of the new configuration keep what is known of them by name. */
static void set_databases(struct monitor *monitor)
{
	const struct conf_checks *conf = &monitor->settings->conf->checks;
	struct announced before[MODEL_DATABASES_MAX];
	memcpy(before, monitor->databases, sizeof(before));
	memset(monitor->databases, 0, sizeof(monitor->databases));
	for (size_t i = 0; i < conf->databases_n; i++) {
		for (size_t k = 0; k < MODEL_DATABASES_MAX; k++) {
			if (strcmp(before[k].name, conf->databases[i]) == 0)
				monitor->databases[i] = before[k];
		}
		/* One that was there before the configuration before goes on as well. */
		if (!monitor->databases[i].name[0])
			monitor_read_announced(monitor, conf->databases[i], &monitor->databases[i]);
	}
}

static void reload(struct monitor *monitor)
{
	struct settings *settings = NULL, *before = monitor->settings;
	struct checker *checker = NULL;
	struct diag diag;
	diag_init(&diag);
	int rc = settings_load(monitor->conf_path, &diag, &settings);
	if (rc == 0)
		rc = checker_create(&monitor->loop, &settings->conf->checks, settings->conf->ca_file,
		                    &checker);
	if (rc == 0)
		rc = monitor_output_reload(monitor, settings, &diag);
	log_diag(&diag);
	diag_fini(&diag);
	if (rc < 0) {
		log_error("reload failed, nothing has changed: %s",
		          rc == -EINVAL ? "see above" : strerror(-rc));
		metrics_http_abandon(monitor->http);
		checker_close(checker);
		settings_unref(settings);
		return;
	}
	metrics_http_commit(monitor->http);
	monitor->settings = settings;
	monitor->old_checker = monitor->checker;
	monitor->old_settings = before;
	monitor->checker = checker;
	monitor_forget_witnesses(monitor);
	/* Results by number of database would be taken for those of others. */
	for (size_t i = 0; i < monitor->watched_n; i++) {
		struct watched *watched = monitor->watched[i];
		watched->wants_deep = false;
		memset(watched->versions_before, 0, sizeof(watched->versions_before));
		monitor_move_databases(&before->conf->checks, &settings->conf->checks,
		                       watched->last.databases);
		monitor_move_databases(&before->conf->checks, &settings->conf->checks,
		                       watched->held.databases);
	}
	set_databases(monitor);
	if (set_peers(monitor, before->conf) < 0 || monitor_watch_pool(monitor) < 0) {
		log_error("out of memory: stopping, to be started again");
		monitor->status = 1;
		monitor->is_broken = true;
		begin_stop(monitor);
		return;
	}
	start_timers(monitor);
	log_info("reloaded: mirrors=%zu addresses=%zu", settings->pool->mirrors_n, monitor->watched_n);
}

/**
 * The checker of the configuration before ends what it has begun, unless another is wanted meanwhile: a
 * mirror that takes its time does not put that off.
 */
static void retire_old(struct monitor *monitor)
{
	if (monitor->old_checker && (monitor->reload_wanted || checker_busy_n(monitor->old_checker) == 0)) {
		checker_close(monitor->old_checker);
		monitor_watch_anew(monitor);
		settings_unref(monitor->old_settings);
		monitor->old_checker = NULL;
		monitor->old_settings = NULL;
	}
	if (monitor->reload_wanted && !monitor->stopping) {
		monitor->reload_wanted = false;
		reload(monitor);
	}
}

static void on_prepare(uv_prepare_t *prepare)
{
	retire_old(prepare->data);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct monitor *monitor = signal->data;
	if (number == SIGHUP) {
		monitor->reload_wanted = true;
		retire_old(monitor);
		return;
	}
	log_info("stopping");
	if (monitor->once && !monitor->final)
		monitor->status = 1;
	begin_stop(monitor);
}

#define TIMERS_N 6 /* the first of them */
static uv_handle_t *handle(struct monitor *monitor, size_t number)
{
	uv_handle_t *const all[] = {
		(uv_handle_t *)&monitor->judge_timer, (uv_handle_t *)&monitor->beat_timer,
		(uv_handle_t *)&monitor->self_timer,  (uv_handle_t *)&monitor->deep_timer,
		(uv_handle_t *)&monitor->brief_timer, (uv_handle_t *)&monitor->votes_timer,
		(uv_handle_t *)&monitor->signals[0],  (uv_handle_t *)&monitor->signals[1],
		(uv_handle_t *)&monitor->signals[2],  (uv_handle_t *)&monitor->prepare
	};
	return number < sizeof(all) / sizeof(*all) ? all[number] : NULL;
}

static void init_handles(struct monitor *monitor)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
	for (size_t i = 0; i < TIMERS_N; i++)
		uv_timer_init(&monitor->loop, (uv_timer_t *)handle(monitor, i));
	for (size_t i = 0; i < 3; i++) {
		uv_signal_init(&monitor->loop, &monitor->signals[i]);
		uv_signal_start(&monitor->signals[i], on_signal, numbers[i]);
	}
	sigset_t reload;
	sigemptyset(&reload);
	sigaddset(&reload, SIGHUP);
	pthread_sigmask(SIG_UNBLOCK, &reload, NULL); /* see main() */
	uv_prepare_init(&monitor->loop, &monitor->prepare);
	for (size_t i = 0; handle(monitor, i); i++)
		handle(monitor, i)->data = monitor;
	uv_prepare_start(&monitor->prepare, on_prepare);
}

/* A manager that misses a line notices at most that it is late. */
static void tell_manager(const char *lines)
{
	struct notify notify;
	if (notify_open(getenv("NOTIFY_SOCKET"), &notify) == 0)
		(void)notify_send(&notify, "%s", lines);
	notify_close(&notify);
}

/** End everything that keeps the loop alive; what is known is written once more. */
static void begin_stop(struct monitor *monitor)
{
	if (monitor->stopping)
		return;
	monitor->stopping = true;
	tell_manager("STOPPING=1");
	checker_close(monitor->checker);
	checker_close(monitor->old_checker);
	if (monitor->view)
		monitor_output(monitor, monitor->self_ok && !monitor_is_first_round(monitor), false);
	monitor->checker = monitor->old_checker = NULL;
	monitor_watch_nothing(monitor);
	monitor_output_close(monitor);
	for (size_t i = 0; handle(monitor, i); i++)
		uv_close(handle(monitor, i), NULL);
}

static void free_all(struct monitor *monitor)
{
	history_close(monitor->history);
	history_close(monitor->site_history);
	incidents_destroy(monitor->incidents);
	site_destroy(monitor->site);
	site_destroy(monitor->site_next);
	view_unref(monitor->view);
	free(monitor->references);
	free_colleagues(monitor);
	settings_unref(monitor->old_settings);
	settings_unref(monitor->settings);
	uv_loop_close(&monitor->loop);
	free(monitor);
}

int monitor_run(const char *conf_path, struct settings *settings, bool once)
{
	struct monitor *monitor = calloc(1, sizeof(*monitor));
	if (!monitor || uv_loop_init(&monitor->loop) < 0) {
		free(monitor);
		settings_unref(settings);
		return 1;
	}
	monitor->conf_path = conf_path;
	monitor->settings = settings;
	monitor->once = once;
	monitor->metrics_calls = monitor_metrics_make_calls(monitor);
	init_handles(monitor);
	struct diag diag;
	diag_init(&diag);
	int rc = monitor_output_open(monitor, &diag);
	if (rc == 0)
		rc = checker_create(&monitor->loop, &settings->conf->checks, settings->conf->ca_file,
		                    &monitor->checker);
	if (rc == 0)
		rc = set_peers(monitor, NULL);
	if (rc == 0)
		rc = monitor_watch_pool(monitor);
	log_diag(&diag);
	diag_fini(&diag);
	if (rc == 0) {
		metrics_http_commit(monitor->http);
		start_timers(monitor);
		if (once)
			monitor_draw_lot_of_run(monitor);
		log_info("mirrormon %s: pool=%s mirrors=%zu addresses=%zu references=%zu monitors=%zu",
		         DNSD_VERSION, settings->pool->conf->name, settings->pool->mirrors_n,
		         monitor->watched_n, settings->conf->references_n,
		         1 + settings->conf->votes.others_n);
		tell_manager("READY=1");
	} else {
		log_error("can't start: %s", rc == -EINVAL ? "see above" : strerror(-rc));
		monitor->status = 1;
		begin_stop(monitor);
	}
	uv_run(&monitor->loop, UV_RUN_DEFAULT);
	/* What could not be written for a moment is no failure of the daemon. */
	int status = once || rc < 0 || monitor->is_broken ? monitor->status : 0;
	free_all(monitor);
	return status;
}
