/* What the view becomes: feed, vote, history, mail, site. Each may fail without the others. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/utc.h"
#include "mirrormon/hash.h"
#include "mirrormon/monitor.h"
#include "mirrormon/monitor_int.h"

#define FLUSH_MS      1000
#define GAP_MS        2000  /* between two feeds with changes */
#define AGAIN_MS      10000 /* between two tries of what can't be written */
#define SAVE_MS       600000
#define PRUNE_MS      60000
#define PRUNE_ROWS    2000
#define PRUNE_ONCE_MS 10000 /* with --once, in all, */
#define PRUNE_TURN_MS 50    /* and until a signal is heard */
#define STATE_FILE    "history.db"
#define INCIDENT_FILE "incidents.json"
#define LETTER_FOLDER "letters"

static char *state_path(const struct conf_monitor *conf, const char *name)
{
	char *path = NULL;
	if (conf->state_dir && asprintf(&path, "%s/%s", conf->state_dir, name) < 0)
		return NULL;
	return path;
}

/** Of what a feed says about the mirrors: two with the same hash need not both be written at once. */
static uint64_t hash_feed(const struct view *view)
{
	uint64_t state = HASH_START;
	for (size_t i = 0; i < view->mirrors_n; i++) {
		const struct mirror_view *mirror = &view->mirrors[i];
		state = hash_number(state, mirror->verdict.reason);
		state = hash_number(state, mirror->ramp_from_s);
		for (size_t k = 0; k < mirror->addrs_n; k++)
			state = hash_number(state, mirror->addrs[k].verdict.reason);
	}
	for (size_t i = 0; i < view->databases_n; i++)
		state = hash_number(state, view->databases[i].version);
	return state;
}

static void log_and_clear(struct diag *diag)
{
	log_diag(diag);
	diag_fini(diag);
	diag_init(diag);
}

/** A serial that rises even when the state directory was lost: the time, or one more than the last. */
static uint64_t next_serial(const struct monitor *monitor, uint64_t now_s)
{
	return now_s > monitor->serial ? now_s : monitor->serial + 1;
}

/** What changes at about the same time is written together: dnsd then sees how much leaves at once. */
static uint64_t gap_ms(const struct conf_monitor *conf)
{
	return conf->feed_interval_ms < GAP_MS ? conf->feed_interval_ms : GAP_MS;
}

static int write_feed(struct monitor *monitor, uint64_t now_ms, struct diag *diag)
{
	struct view *view = monitor->view;
	const struct conf_monitor *conf = view->conf;
	uint64_t state = hash_feed(view);
	if (monitor->feed_failed && now_ms - monitor->feed_tried_ms < AGAIN_MS &&
	    now_ms - monitor->feed_tried_ms < conf->feed_interval_ms)
		return 0;
	uint64_t wait_ms =
	        state != monitor->feed_hash || monitor->feed_failed ? gap_ms(conf) : conf->feed_interval_ms;
	if (monitor->feed_written_ms && now_ms - monitor->feed_written_ms < wait_ms)
		return 0;
	/* Only the loop's thread has this view so far. */
	view->serial = next_serial(monitor, view->now_s);
	monitor->feed_tried_ms = now_ms;
	size_t text_len;
	struct diag told_already;
	diag_init(&told_already);
	char *text = feed_format(view, &text_len);
	int rc = text ? feed_publish(conf->feed, monitor->is_signing ? &monitor->signer : NULL, text,
	                             text_len, view->now_s, monitor->feed_failed ? &told_already : diag)
	              : -ENOMEM;
	free(text);
	diag_fini(&told_already);
	if (rc == 0) {
		monitor->serial = view->serial;
		history_set_number(monitor->history, "serial", monitor->serial);
		monitor->feed_hash = state;
		monitor->feed_written_ms = now_ms;
	}
	if (monitor->feed_failed != (rc < 0)) {
		if (rc < 0)
			log_error("feed not written, the last one stays: %s: %s", conf->feed, strerror(-rc));
		else
			log_info("feed written again: %s", conf->feed);
	}
	monitor->feed_failed = rc < 0;
	return rc;
}

static int write_vote(struct monitor *monitor, uint64_t now_ms, struct diag *diag)
{
	const struct conf_monitor *conf = monitor->view->conf;
	uint64_t wait_ms = monitor->vote_changed ? gap_ms(conf) : conf->feed_interval_ms;
	if (monitor->vote_written_ms && now_ms - monitor->vote_written_ms < wait_ms)
		return 0;
	size_t text_len;
	char *text = vote_format(monitor->view, &text_len);
	int rc = text ? feed_publish(conf->votes.file, NULL, text, text_len, monitor->view->now_s, diag)
	              : -ENOMEM;
	free(text);
	monitor->vote_written_ms = now_ms;
	monitor->vote_changed = false;
	return rc;
}

static int keep_history(struct monitor *monitor, uint64_t now_ms, struct diag *diag)
{
	int rc = 0;
	bool is_end = monitor->stopping || monitor->final;
	if (is_end || now_ms - monitor->flushed_ms >= FLUSH_MS) {
		if (is_end || monitor->save_changed || now_ms - monitor->saved_ms >= SAVE_MS) {
			rc = history_save_standings(monitor->history, monitor->view, diag);
			monitor->saved_ms = now_ms;
			monitor->save_changed = false;
		}
		int flush_rc = history_flush(monitor->history, diag);
		rc = rc ? rc : flush_rc;
		monitor->flushed_ms = now_ms;
	}
	/* By a clock that is wrong all of it is old, or of the future: the self-test sees that. */
	if (!monitor->once && monitor->self_ok && now_ms - monitor->pruned_ms >= PRUNE_MS) {
		int more = history_prune(monitor->history, monitor->view->now_s, PRUNE_ROWS, diag);
		/* A slice a second until all is done. */
		monitor->pruned_ms = more == 1 ? now_ms - PRUNE_MS + FLUSH_MS : now_ms;
	}
	return rc;
}

bool monitor_prune_rest(struct monitor *monitor)
{
	uint64_t now_ms = uv_hrtime() / 1000000, until_ms = now_ms + PRUNE_TURN_MS;
	int more = monitor->view && monitor->self_ok; /* see above */
	struct diag diag;
	if (monitor->prune_until_ms == 0)
		monitor->prune_until_ms = now_ms + PRUNE_ONCE_MS;
	diag_init(&diag);
	for (; more == 1 && now_ms < until_ms && now_ms < monitor->prune_until_ms;
	     now_ms = uv_hrtime() / 1000000)
		more = history_prune(monitor->history, monitor->view->now_s, PRUNE_ROWS, &diag);
	log_diag(&diag);
	diag_fini(&diag);
	return more == 1 && now_ms < monitor->prune_until_ms;
}

static void write_mail(struct monitor *monitor, struct diag *diag)
{
	struct letters letters = { 0 };
	if (mail_plan(monitor->incidents, monitor->view, monitor->history, &letters) < 0) {
		log_error("out of memory: mail is put off");
		return;
	}
	if (letters.n == 0)
		return;
	/* Before it is noted as told: a crash between the two tells it twice, and loses nothing. */
	mailer_send(monitor->mailer, &letters, monitor->view->now_s);
	char *path = state_path(monitor->view->conf, INCIDENT_FILE);
	if (path)
		incidents_save(monitor->incidents, path, diag);
	free(path);
}

static void site_on_thread(uv_work_t *work)
{
	struct monitor *monitor = work->data;
	struct diag diag;
	diag_init(&diag);
	/* Opened here: a connection belongs to one thread at a time. */
	if (!monitor->site_history) {
		char *path = state_path(monitor->site_view->conf, STATE_FILE);
		if (history_open(path, true, &diag, &monitor->site_history) < 0)
			monitor->site_history = NULL;
		free(path);
	}
	monitor->site_status = site_write(monitor->site, monitor->site_view, monitor->site_history, &diag);
	monitor->site_diag = diag;
}

/** A new one when the thread no longer needs the other. */
static void take_site(struct monitor *monitor)
{
	if (!monitor->site_next || monitor->site_busy)
		return;
	site_destroy(monitor->site);
	monitor->site = monitor->site_next;
	monitor->site_next = NULL;
}

static void after_site(uv_work_t *work, int status)
{
	struct monitor *monitor = work->data;
	(void)status;
	if (monitor->site_status < 0 && !monitor->site_failed)
		log_diag(&monitor->site_diag);
	if (monitor->site_failed != (monitor->site_status < 0))
		log_info("site %s", monitor->site_status < 0 ? "not written whole" : "written again");
	monitor->site_failed = monitor->site_status < 0;
	if (monitor->site_failed && monitor->once)
		monitor->status = 1;
	diag_fini(&monitor->site_diag);
	view_unref(monitor->site_view);
	monitor->site_view = NULL;
	monitor->site_busy = false;
	take_site(monitor);
}

static void write_site(struct monitor *monitor, uint64_t now_ms)
{
	if (monitor->site_busy || (monitor->site_begun_ms &&
	                           now_ms - monitor->site_begun_ms < monitor->view->conf->site.interval_ms))
		return;
	monitor->site_work.data = monitor;
	monitor->site_view = view_ref(monitor->view);
	if (uv_queue_work(&monitor->loop, &monitor->site_work, site_on_thread, after_site) < 0) {
		view_unref(monitor->site_view);
		monitor->site_view = NULL;
		return;
	}
	monitor->site_busy = true;
	monitor->site_begun_ms = now_ms;
}

int monitor_output(struct monitor *monitor, bool is_deciding, bool changed)
{
	const struct conf_monitor *conf = monitor->view->conf;
	uint64_t now_ms = uv_now(&monitor->loop);
	if (monitor->once && !monitor->final)
		return 0;
	struct diag diag;
	diag_init(&diag);
	int rc = 0, part = 0;
	bool is_first_round = monitor_is_first_round(monitor);
	monitor->vote_changed |= changed;
	monitor->save_changed |= changed;
	/* At the end the view is the one before, and letters would not be sent any more. */
	bool is_end = monitor->stopping;
	if (conf->feed && is_deciding && !is_end)
		rc = write_feed(monitor, now_ms, &diag);
	if (conf->votes.file && !is_first_round && !is_end && (part = write_vote(monitor, now_ms, &diag)) < 0)
		rc = rc ? rc : part;
	if ((part = keep_history(monitor, now_ms, &diag)) < 0)
		rc = rc ? rc : part;
	if (conf->mail.team && !is_first_round && !is_end)
		write_mail(monitor, &diag);
	log_and_clear(&diag);
	diag_fini(&diag);
	if (conf->site.directory && !is_first_round && !is_end)
		write_site(monitor, now_ms);
	return rc;
}

/** What a configuration names beside mirrors and regions. ret_site NULL: there is to be none. */
static int load_parts(const struct conf_monitor *conf, struct diag *diag, struct feed_signer *ret_signer,
                      struct site **ret_site)
{
	int rc = conf->feed_key ? feed_signer_load(conf->feed_key, diag, ret_signer) : 0;
	int site_rc = conf->site.directory ? site_create(conf->site.map, diag, ret_site) : 0;
	return rc ? rc : site_rc;
}

int monitor_check(const struct settings *settings, struct diag *diag)
{
	struct feed_signer signer;
	struct site *site = NULL;
	int rc = load_parts(settings->conf, diag, &signer, &site);
	site_destroy(site);
	return rc;
}

int monitor_output_reload(struct monitor *monitor, const struct settings *settings, struct diag *diag)
{
	const struct conf_monitor *conf = settings->conf;
	struct feed_signer signer = { 0 };
	struct site *site = NULL;
	int rc = load_parts(conf, diag, &signer, &site);
	if (rc == 0)
		rc = metrics_http_prepare(monitor->http, conf->metrics_listen, conf->metrics_listen_n, diag);
	if (rc == 0)
		rc = mailer_set_sendmail(monitor->mailer, conf->mail.sendmail);
	if (rc < 0) {
		site_destroy(site);
		return rc;
	}
	if (!monitor_same_text(conf->state_dir, monitor->settings->conf->state_dir))
		diag_warning(diag, monitor->conf_path, conf->place.line,
		             "another state-directory is taken with the next start, not by a reload");
	monitor->signer = signer;
	monitor->is_signing = conf->feed_key != NULL;
	site_destroy(monitor->site_next);
	monitor->site_next = site;
	take_site(monitor);
	return 0;
}

/* What of the gate outlives a restart, and the time between two runs with --once. */
#define GATE_NUMBERS_N 5
static const char *const gate_numbers[GATE_NUMBERS_N] = { "announced", "announced-since", "ready",
	                                                  "ready-since", "candidate-since" };

static void name_number(char *key, size_t cap, size_t number, const char *database)
{
	snprintf(key, cap, "%s:%s", gate_numbers[number], database);
}

void monitor_read_announced(struct monitor *monitor, const char *database, struct announced *announced)
{
	uint64_t numbers[GATE_NUMBERS_N];
	char key[VERSION_NAME_MAX + 24];
	for (size_t i = 0; i < GATE_NUMBERS_N; i++) {
		name_number(key, sizeof(key), i, database);
		numbers[i] = history_get_number(monitor->history, key);
	}
	snprintf(announced->name, sizeof(announced->name), "%s", database);
	announced->version = (uint32_t)numbers[0];
	announced->since_s = numbers[1];
	announced->ready = (uint32_t)numbers[2];
	announced->ready_since_s = numbers[3];
	/* Which one waits the gate finds by itself; since when is all that it has to be told. */
	announced->candidate_since_s = numbers[4];
	announced->candidate = numbers[4] ? announced->version + 1 : 0;
}

void monitor_keep_announced(struct monitor *monitor, const struct announced *announced)
{
	const uint64_t numbers[GATE_NUMBERS_N] = { announced->version, announced->since_s, announced->ready,
		                                   announced->ready_since_s, announced->candidate_since_s };
	char key[VERSION_NAME_MAX + 24];
	for (size_t i = 0; i < GATE_NUMBERS_N; i++) {
		name_number(key, sizeof(key), i, announced->name);
		history_set_number(monitor->history, key, numbers[i]); /* nothing, when it is the same */
	}
}

/** Of the feed that is there: the history may have been lost, and dnsd believes no lower one. 0 = none. */
static uint64_t written_serial(const struct conf_monitor *conf)
{
	json_t *feed = monitor_read_feed(conf);
	json_int_t serial = json_integer_value(json_object_get(feed, "serial"));
	json_decref(feed);
	return serial > 0 ? (uint64_t)serial : 0;
}

int monitor_output_open(struct monitor *monitor, struct diag *diag)
{
	const struct conf_monitor *conf = monitor->settings->conf;
	char *path = state_path(conf, STATE_FILE);
	int rc = history_open(path, false, diag, &monitor->history);
	free(path);
	if (rc < 0)
		return rc;
	monitor->serial = history_get_number(monitor->history, "serial");
	uint64_t written = written_serial(conf);
	if (written > monitor->serial)
		monitor->serial = written;
	for (size_t i = 0; i < conf->checks.databases_n; i++)
		monitor_read_announced(monitor, conf->checks.databases[i], &monitor->databases[i]);
	monitor->incidents = incidents_create();
	if (!monitor->incidents)
		return -ENOMEM;
	path = state_path(conf, INCIDENT_FILE);
	if (path)
		incidents_load(monitor->incidents, path, diag);
	free(path);
	path = state_path(conf, LETTER_FOLDER);
	rc = mailer_create(&monitor->loop, conf->mail.sendmail, path, &monitor->mailer);
	free(path);
	if (rc == 0 && conf->mail.team)
		mailer_load(monitor->mailer, utc_now());
	if (rc == 0)
		rc = metrics_http_create(&monitor->loop, &monitor->metrics_calls, &monitor->http);
	return rc == 0 ? monitor_output_reload(monitor, monitor->settings, diag) : rc;
}

void monitor_output_close(struct monitor *monitor)
{
	mailer_close(monitor->mailer);
	metrics_http_close(monitor->http);
	monitor->mailer = NULL;
	monitor->http = NULL;
}
