#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/utc.h"
#include "mirrormon/monitor_int.h"
#include "mirrormon/quote.h"

/* At a start checks do not all begin at once: so far apart, over so long at most, or the interval where that
 * is shorter. */
#define FIRST_APART_MS 20
#define FIRST_ROUND_MS 10000
/* Then nothing waits any longer for who has not been looked at: so many times the limit of one request. A
 * mirror that takes its time could else put off all decisions by the time of all requests of a check. */
#define FIRST_TIMES 2
#define AWAY_S      86400

/** Evenly of 0..below - 1; good enough for spreading. */
static uint64_t draw(uint64_t below)
{
	uint64_t number = 0;
	if (below == 0 || getrandom(&number, sizeof(number), 0) != sizeof(number))
		return 0;
	return number % below;
}

static void on_result(void *context, const struct check_request *request, const struct check_result *result);

static void free_watched(uv_handle_t *handle)
{
	struct watched *watched = handle->data;
	free(watched->host);
	free(watched);
}

/** Its mirror has gone, and no check of it is under way. */
static void drop(struct watched *watched)
{
	uv_close((uv_handle_t *)&watched->timer, free_watched);
}

/** The check of one that has gone has ended. */
static void leave(struct watched *watched)
{
	struct watched **link = &watched->monitor->leaving;
	while (*link != watched)
		link = &(*link)->next;
	*link = watched->next;
	drop(watched);
}

bool monitor_is_first_round(const struct monitor *monitor)
{
	return monitor->unchecked_n > 0 &&
	       (monitor->once || uv_now(&monitor->loop) < monitor->round_until_ms);
}

void monitor_tell_round(struct monitor *monitor)
{
	if (monitor->unchecked_n == 0 || monitor->round_told || monitor_is_first_round(monitor))
		return;
	const char *host = "";
	for (size_t i = 0; i < monitor->watched_n && !*host; i++) {
		if (!monitor->watched[i]->is_checked)
			host = monitor->watched[i]->host;
	}
	monitor->round_told = true;
	log_warning("decided without %zu addresses, whose first check takes its time: %s%s",
	            monitor->unchecked_n, host, monitor->unchecked_n > 1 ? " and others" : "");
}

/** New ones are waited for, but not longer when it is done again and again. */
static void begin_round(struct monitor *monitor, uint64_t first_ms, size_t unchecked_before_n)
{
	uint64_t wait_ms = first_ms + FIRST_TIMES * (uint64_t)monitor->settings->conf->checks.timeout_ms;
	if (unchecked_before_n > 0 || monitor->unchecked_n == 0)
		return;
	uv_update_time(&monitor->loop);
	monitor->round_until_ms = uv_now(&monitor->loop) + wait_ms;
	monitor->round_told = false;
	if (!monitor->once)
		log_info("nothing is decided before %zu addresses were looked at, for %llu s at most",
		         monitor->unchecked_n, (unsigned long long)(wait_ms / 1000));
}

static void note_checked(struct watched *watched)
{
	watched->monitor->unchecked_n -= !watched->is_checked;
	watched->is_checked = true;
}

void watched_check(struct watched *watched, bool brief)
{
	struct monitor *monitor = watched->monitor;
	if (watched->busy || watched->held_ms || watched->mirror == SIZE_MAX || monitor->stopping)
		return;
	const struct mirror *mirror = &monitor->settings->pool->mirrors[watched->mirror];
	watched->request = (struct check_request){
		.host = watched->host,
		.addr = watched->addr,
		.country = mirror->country,
		.turn = watched->turn++,
		.brief = brief && watched->last.at_s != 0,
		.deep = watched->wants_deep && !brief && monitor_has_room_for_deep(monitor),
		.deep_database = watched->deep_database,
	};
	if (checker_start(monitor->checker, &watched->request, on_result, watched) == 0) {
		watched->busy = true;
		watched->was_deep |= watched->request.deep;
		watched->asked_by = &monitor->settings->conf->checks;
		uv_timer_stop(&watched->timer);
	} else {
		watched_wait(watched, monitor->settings->conf->checks.retry_ms);
	}
}

static void on_timer(uv_timer_t *timer)
{
	watched_check(timer->data, false);
}

void watched_wait(struct watched *watched, uint64_t ms)
{
	const struct conf_checks *conf = &watched->monitor->settings->conf->checks;
	const struct standing *standing = &watched->standing;
	if (ms == 0) {
		/* Whoever fails, and whoever is good again but not back yet, is looked at more often. */
		bool unsettled = standing->failures_n > 0 ||
		                 (standing->reason != REASON_NONE && standing->successes_n > 0);
		/* What has failed for long is not asked for it again and again. */
		bool given_up = standing->reason != REASON_NONE && standing->failures_n > 8;
		ms = unsettled && !given_up && conf->retry_ms < conf->interval_ms ? conf->retry_ms
		                                                                  : conf->interval_ms;
	}
	uint64_t spread = ms * conf->spread_percent / 100;
	ms = ms - spread + draw(2 * spread + 1);
	watched->due_ms = uv_now(&watched->monitor->loop) + ms;
	uv_timer_start(&watched->timer, on_timer, ms, 0);
}

void watched_wait_after(struct watched *watched, bool brief, bool failed, uint64_t ms)
{
	if (!brief || watched->due_ms == 0) {
		watched_wait(watched, ms);
		return;
	}
	uint64_t now_ms = uv_now(&watched->monitor->loop);
	uint64_t retry_ms = watched->monitor->settings->conf->checks.retry_ms;
	if (failed && watched->due_ms > now_ms + retry_ms)
		watched->due_ms = now_ms + retry_ms;
	uv_timer_start(&watched->timer, on_timer, watched->due_ms > now_ms ? watched->due_ms - now_ms : 0, 0);
}

static void note_versions(struct watched *watched, const struct check_result *result)
{
	struct monitor *monitor = watched->monitor;
	const struct conf_checks *conf = &monitor->settings->conf->checks;
	for (size_t i = 0; i < conf->databases_n && result->reason == REASON_NONE; i++) {
		/* A mirror may say anything; what no reference has is no version. */
		uint32_t known = monitor_reference_version(monitor, i),
		         version = result->databases[i].version;
		if (version > watched->last.databases[i].version && (known == 0 || version <= known))
			history_add_version(monitor->history, result->at_s, watched->host, conf->databases[i],
			                    version);
	}
}

void watched_observe(struct watched *watched, const struct check_result *result)
{
	struct monitor *monitor = watched->monitor;
	const struct conf_monitor *conf = monitor->settings->conf;
	struct standing before = watched->standing;

	watched_look_deeper(watched, result);
	/* Nobody who owes it is back, not by way of a milder reason either. */
	struct standing after = before;
	standing_observe(&after, result, monitor->newest_timestamp_s, &conf->decision);
	if (!watched->owed[0] || after.reason != REASON_NONE)
		watched->standing = after;
	if (result->reason == REASON_WRONG_CONTENT)
		watched_owe(watched, result->detail);
	note_versions(watched, result);
	history_add_result(monitor->history, watched->host, &watched->addr, result, watched->standing.reason);

	watched->checks_n++;
	watched->score = 0.95 * watched->score + (result->reason == REASON_NONE ? 1 : -5);
	if (result->reason != REASON_NONE)
		watched->failures_n[result->reason]++;
	/* What was not asked for is as it was; a check that failed may have ended before the patches. */
	struct check_result kept = watched->last;
	watched->last = *result;
	for (size_t i = 0; i < conf->checks.databases_n; i++) {
		struct seen_database *seen = &watched->last.databases[i];
		if (seen->version == 0 || result->reason != REASON_NONE)
			*seen = kept.databases[i];
		else if (result->brief && seen->version == kept.databases[i].version)
			seen->cdiffs |= kept.databases[i].cdiffs & ~1U;
	}
	if (result->timestamp_s == 0)
		watched->last.timestamp_s = kept.timestamp_s;
	if (result->brief) {
		watched->last.total_us = kept.total_us;
		watched->last.warnings = kept.warnings;
	}
	char detail[QUOTE_DETAIL_MAX];
	if (before.reason != watched->standing.reason)
		log_debug("opinion mirror=%s from=%s to=%s detail=\"%s\"", watched->host,
		          reason_text(before.reason), reason_text(watched->standing.reason),
		          quote_text(watched->standing.detail, detail, sizeof(detail)));
}

static void take_result(struct watched *watched, const struct check_result *result)
{
	struct monitor *monitor = watched->monitor;
	const struct conf_checks *conf = &monitor->settings->conf->checks;
	struct check_result one = *result;
	monitor_move_databases(watched->asked_by, conf, one.databases);
	/* Of which database it was, is by the numbers of the configuration before. */
	one.deep = one.deep && watched->asked_by == conf;
	watched->heard = one.reason;
	if (one.reason != REASON_NONE) {
		/* It may be us: our network, or something in it that answers for everybody. Whether it is
		 * shows a self-test that begins after this moment. */
		watched->held = one;
		watched->held_ms = uv_now(&monitor->loop) + 1;
		monitor_self_soon(monitor);
	} else {
		watched_observe(watched, &one);
		if (!monitor->once)
			watched_wait_after(watched, one.brief, false, 0);
	}
	if (one.reason != REASON_UNREACHABLE)
		monitor_note_answer(monitor, watched->addr.family);
}

static void on_result(void *context, const struct check_request *request, const struct check_result *result)
{
	struct watched *watched = context;
	struct monitor *monitor = watched->monitor;
	const struct conf_checks *conf = &monitor->settings->conf->checks;
	watched->busy = false;
	if (watched->mirror == SIZE_MAX) {
		leave(watched);
		return;
	}
	bool is_witness = watched->is_witness;
	watched->is_witness = false;
	note_checked(watched);
	if (result->at_s == 0) {
		/* Our own lack of memory or descriptors: it was no check. */
		monitor->dropped_n++;
		monitor_tell_lack(monitor, watched->addr.family,
		                  result->detail[0] ? result->detail : "no memory was free for it");
		if (!monitor->once)
			watched_wait_after(watched, request->brief, false, conf->retry_ms);
	} else {
		take_result(watched, result);
	}
	if (is_witness)
		monitor_witness_ended(monitor, watched->addr.family);
	monitor_touch(monitor);
}

static bool is_patched(const struct conf_checks *conf, const char *database)
{
	return conf->cdiffs > 0 && strcmp(conf->patched, database) == 0;
}

void monitor_move_databases(const struct conf_checks *from, const struct conf_checks *to,
                            struct seen_database databases[MODEL_DATABASES_MAX])
{
	struct seen_database before[MODEL_DATABASES_MAX];
	if (from == to)
		return;
	memcpy(before, databases, sizeof(before));
	memset(databases, 0, sizeof(before));
	for (size_t i = 0; i < to->databases_n; i++) {
		bool is_patched_now = is_patched(to, to->databases[i]);
		for (size_t k = 0; k < from->databases_n; k++) {
			if (strcmp(from->databases[k], to->databases[i]) == 0 &&
			    (!is_patched_now || is_patched(from, from->databases[k])))
				databases[i] = before[k];
		}
	}
}

/** Most pools are in the order of the pool before: what is looked for comes next. */
static struct watched *find(const struct monitor *monitor, const char *host, const struct addr *addr,
                            size_t *next)
{
	for (size_t i = 0; i < monitor->watched_n; i++, (*next)++) {
		if (*next >= monitor->watched_n)
			*next = 0;
		struct watched *one = monitor->watched[*next];
		if (addr_equal(&one->addr, addr) && strcmp(one->host, host) == 0)
			return one;
	}
	return NULL;
}

static void set_verdict(struct watched *watched)
{
	watched->verdict.reason = watched->standing.reason;
	watched->verdict.since_s = watched->standing.since_s;
	memcpy(watched->verdict.detail, watched->standing.detail, sizeof(watched->verdict.detail));
}

static struct watched *begin(struct monitor *monitor, const char *host, const struct addr *addr,
                             uint64_t now_s)
{
	struct watched *watched = calloc(1, sizeof(*watched));
	if (!watched)
		return NULL;
	watched->host = strdup(host);
	if (!watched->host) {
		free(watched);
		return NULL;
	}
	watched->monitor = monitor;
	watched->addr = *addr;
	watched->turn = (unsigned)draw(64);
	uv_timer_init(&monitor->loop, &watched->timer);
	watched->timer.data = watched;
	struct standing *standing = &watched->standing;
	if (history_load_standing(monitor->history, host, addr, standing) == 1) {
		standing_set_back(standing, now_s);
		if (standing->reason == REASON_WRONG_CONTENT)
			watched_owe(watched, standing->detail);
	} else {
		watched->is_new = true;
	}
	history_load_versions(monitor->history, host, addr, watched->versions_before);
	set_verdict(watched);
	monitor->unchecked_n++;
	return watched;
}

static void end(struct monitor *monitor, struct watched *watched)
{
	note_checked(watched);
	watched->mirror = SIZE_MAX;
	watched->held_ms = 0;
	if (watched->busy) {
		watched->next = monitor->leaving;
		monitor->leaving = watched;
	} else {
		drop(watched);
	}
}

/**
 * One that was removed, and comes again when nobody has looked at it for long, has to show that it is good.
 * In a run that is by the clock. At a start by when others of its family were looked at last, for nobody was
 * for a while; and with a margin, for a check that was under way, or was none, may have kept one of them
 * back.
 */
static void find_returned(const struct monitor *monitor, struct watched *const *list, size_t n,
                          uint64_t now_s)
{
	uint64_t recent_s = 2 * (uint64_t)monitor->settings->conf->checks.interval_ms / 1000;
	uint64_t last_s[2] = { now_s, now_s };
	if (monitor->watched_n == 0) {
		recent_s += AWAY_S;
		last_s[0] = last_s[1] = 0;
		for (size_t i = 0; i < n; i++) {
			uint64_t *one_s = &last_s[list[i]->addr.family == 6];
			if (list[i]->standing.checked_s > *one_s)
				*one_s = list[i]->standing.checked_s;
		}
	}
	for (size_t i = 0; i < n; i++) {
		struct watched *watched = list[i];
		if (!watched->is_kept && watched->standing.reason == REASON_NONE &&
		    last_s[watched->addr.family == 6] > watched->standing.checked_s + recent_s)
			watched->is_new = true;
	}
}

/**
 * Who joins has to show that it works. But where most are new, it is us who know nothing yet: on the first
 * day, or without the history that there was. Then all are taken as they are, or the pool would be empty.
 */
static void admit(struct watched *const *list, size_t n, uint64_t now_s)
{
	size_t new_n = 0;
	for (size_t i = 0; i < n; i++)
		new_n += list[i]->is_new;
	for (size_t i = 0; i < n; i++) {
		if (list[i]->is_new && 2 * new_n <= n) {
			standing_join(&list[i]->standing, now_s);
			set_verdict(list[i]);
		}
		list[i]->is_new = false;
	}
}

/** What has been told of each mirror so far: by the view before, or by the standings that were kept. */
static void set_told(const struct monitor *monitor, struct watched *const *list, size_t n,
                     struct verdict *told)
{
	const struct pool *pool = monitor->settings->pool;
	const struct view *view = monitor->view;
	for (size_t i = 0; i < n; i++) {
		bool is_first = i == 0 || list[i - 1]->mirror != list[i]->mirror;
		monitor_sum_up(&list[i]->verdict, is_first, &told[list[i]->mirror]);
	}
	size_t next = 0;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		const struct mirror *mirror = &pool->mirrors[i];
		for (size_t k = 0; view && k < view->mirrors_n; k++, next++) {
			if (next >= view->mirrors_n)
				next = 0;
			if (strcmp(view->mirrors[next].host, mirror->host) == 0) {
				told[i] = view->mirrors[next].verdict;
				break;
			}
		}
	}
}

int monitor_watch_pool(struct monitor *monitor)
{
	const struct pool *pool = monitor->settings->pool;
	const struct conf_checks *conf = &monitor->settings->conf->checks;
	size_t n = 0, at = 0, next = 0, unchecked_n = monitor->unchecked_n;
	for (size_t i = 0; i < pool->mirrors_n; i++)
		n += pool->mirrors[i].addrs_n;
	struct watched **list = calloc(n ? n : 1, sizeof(*list));
	struct verdict *told = calloc(pool->mirrors_n ? pool->mirrors_n : 1, sizeof(*told));
	if (!list || !told) {
		free(list);
		free(told);
		return -ENOMEM;
	}
	uint64_t now_s = utc_now();
	uint64_t first_ms = conf->interval_ms < FIRST_ROUND_MS ? conf->interval_ms : FIRST_ROUND_MS;
	if (n * FIRST_APART_MS < first_ms)
		first_ms = n * FIRST_APART_MS;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		const struct mirror *mirror = &pool->mirrors[i];
		for (size_t k = 0; k < mirror->addrs_n; k++) {
			struct watched *watched = find(monitor, mirror->host, &mirror->addrs[k], &next);
			if (watched) {
				watched->is_kept = true;
				/* The interval may have become a shorter one. */
				if (!watched->busy && !watched->held_ms &&
				    uv_timer_get_due_in(&watched->timer) > 2 * (uint64_t)conf->interval_ms)
					watched_wait(watched, 1 + draw(conf->interval_ms));
			} else {
				watched = begin(monitor, mirror->host, &mirror->addrs[k], now_s);
				if (!watched)
					goto fail;
				watched->is_kept = false;
				uv_timer_start(&watched->timer, on_timer, monitor->once ? 0 : draw(first_ms),
				               0);
			}
			list[at++] = watched;
			watched->mirror = i;
		}
	}
	find_returned(monitor, list, n, now_s);
	for (size_t i = 0; i < monitor->watched_n; i++) {
		struct watched *old = monitor->watched[i];
		if (!old->is_kept)
			end(monitor, old);
		old->is_kept = false;
	}
	admit(list, n, now_s);
	json_t *feed = monitor->watched_n == 0 ? monitor_read_feed(monitor->settings->conf) : NULL;
	monitor_restore_verdicts(monitor->settings->conf, feed, list, n);
	set_told(monitor, list, n, told);
	monitor_restore_told(monitor->settings, feed, told);
	json_decref(feed);
	free(monitor->watched);
	free(monitor->told);
	monitor->watched = list;
	monitor->watched_n = n;
	monitor->told = told;
	begin_round(monitor, first_ms, unchecked_n);
	return 0;

fail:
	for (size_t i = 0; i < at; i++) {
		if (!list[i]->is_kept)
			end(monitor, list[i]);
	}
	free(list);
	free(told);
	return -ENOMEM;
}

void monitor_watch_nothing(struct monitor *monitor)
{
	for (size_t i = 0; i < monitor->watched_n; i++) {
		monitor->watched[i]->busy = false; /* the checker has been closed */
		end(monitor, monitor->watched[i]);
	}
	while (monitor->leaving)
		leave(monitor->leaving);
	free(monitor->watched);
	free(monitor->told);
	monitor->watched = NULL;
	monitor->told = NULL;
	monitor->watched_n = 0;
}

void monitor_watch_anew(struct monitor *monitor)
{
	for (size_t i = 0; i < monitor->watched_n; i++) {
		struct watched *watched = monitor->watched[i];
		if (!watched->busy || watched->asked_by == &monitor->settings->conf->checks)
			continue;
		watched->busy = false;
		uv_timer_start(&watched->timer, on_timer, 0, 0);
	}
	/* None of these was asked by the newest configuration: it does not have them. */
	while (monitor->leaving)
		leave(monitor->leaving);
}
