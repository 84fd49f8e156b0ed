/* Whole databases: who has to show one, and which. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/utc.h"
#include "mirrormon/monitor_int.h"

/* Whole databases that are fetched at a time, each up to deep-max-bytes on our disk: what makes one mirror
 * suspect may make all. */
#define DEEPS_MAX 4
/* A run with --once goes on so long with them, or it would not have ended when the next one begins. */
#define SUSPECTS_MS 60000
#define DRAWN_AT    "deep-at"

bool monitor_has_room_for_deep(const struct monitor *monitor)
{
	size_t n = 0;
	for (size_t i = 0; i < monitor->watched_n; i++)
		n += monitor->watched[i]->busy && monitor->watched[i]->request.deep;
	return n < DEEPS_MAX;
}

/** The number of the database that is owed; the first where that is no longer asked for. */
static uint32_t owed_database(const struct watched *watched)
{
	const struct conf_checks *conf = &watched->monitor->settings->conf->checks;
	for (size_t i = 0; i < conf->databases_n; i++) {
		if (strcmp(conf->databases[i], watched->owed) == 0)
			return (uint32_t)i;
	}
	return 0;
}

static void want_deep(struct watched *watched, uint32_t database)
{
	watched->wants_deep = true;
	watched->deep_database = database;
}

/** A finding begins with what was asked: "GET /daily.cvd ...". */
void watched_owe(struct watched *watched, const char *detail)
{
	static const char verb[] = "GET /", suffix[] = ".cvd";
	const struct conf_checks *conf = &watched->monitor->settings->conf->checks;
	size_t found = 0;
	for (size_t i = 0; i < conf->databases_n && strncmp(detail, verb, sizeof(verb) - 1) == 0; i++) {
		const char *name = detail + sizeof(verb) - 1;
		size_t len = strlen(conf->databases[i]);
		if (strncmp(name, conf->databases[i], len) == 0 &&
		    strncmp(name + len, suffix, sizeof(suffix) - 1) == 0)
			found = i;
	}
	if (conf->databases_n)
		snprintf(watched->owed, sizeof(watched->owed), "%s", conf->databases[found]);
	/* With the next check: a run with --once has but one. */
	if (conf->deep_interval_ms)
		want_deep(watched, owed_database(watched));
}

static bool is_odd(const struct watched *watched, const struct seen_database *now, size_t database)
{
	const struct monitor *monitor = watched->monitor;
	uint32_t before = watched->last.databases[database].version;
	if (before == 0)
		before = watched->versions_before[database];
	if (now->version && now->version < before)
		return true;
	for (size_t i = 0; i < monitor->settings->conf->references_n; i++) {
		const struct seen_database *theirs = &monitor->references[i].last.databases[database];
		if (theirs->version && theirs->version == now->version && theirs->built_s != now->built_s)
			return true;
	}
	return false;
}

static void look_for_odd(struct watched *watched, const struct check_result *result)
{
	for (size_t i = 0; i < watched->monitor->settings->conf->checks.databases_n; i++) {
		if (is_odd(watched, &result->databases[i], i)) {
			want_deep(watched, (uint32_t)i);
			return;
		}
	}
}

void watched_look_deeper(struct watched *watched, const struct check_result *result)
{
	const struct conf_checks *conf = &watched->monitor->settings->conf->checks;
	if (conf->deep_interval_ms == 0 ||
	    (result->deep && watched->request.deep_database == owed_database(watched)))
		watched->owed[0] = '\0';
	/* The lot may have fallen while another check was under way. */
	if (watched->request.deep)
		watched->wants_deep = false;
	if (conf->deep_interval_ms == 0 || result->reason != REASON_NONE)
		return;
	if (watched->owed[0])
		want_deep(watched, owed_database(watched));
	if (watched->owed[0] || result->deep)
		return;
	look_for_odd(watched, result);
}

bool monitor_draw_lot(struct monitor *monitor)
{
	size_t databases_n = monitor->settings->conf->checks.databases_n;
	uint32_t lots[2];
	if (monitor->watched_n == 0 || databases_n == 0 || getrandom(lots, sizeof(lots), 0) != sizeof(lots))
		return false;
	struct watched *watched = monitor->watched[lots[0] % monitor->watched_n];
	/* One that has to show a certain one shows that. */
	if (!watched->wants_deep)
		watched->deep_database = (uint32_t)(lots[1] % databases_n);
	watched->wants_deep = true;
	watched_check(watched, false);
	return true;
}

void monitor_draw_lot_of_run(struct monitor *monitor)
{
	uint64_t now_s = utc_now(), drawn_s = history_get_number(monitor->history, DRAWN_AT);
	uint64_t interval_ms = monitor->settings->conf->checks.deep_interval_ms;
	/* Runs of cron are not as far apart as it says to the second; nor does a clock that went back put it
	 * off for good. */
	bool is_due = now_s < drawn_s || now_s - drawn_s >= (interval_ms - interval_ms / 10) / 1000;
	if (interval_ms && is_due && monitor_draw_lot(monitor))
		monitor->drawn_s = now_s;
}

void monitor_keep_lot(struct monitor *monitor)
{
	if (monitor->drawn_s)
		history_set_number(monitor->history, DRAWN_AT, monitor->drawn_s);
}

bool monitor_check_suspects(struct monitor *monitor)
{
	uint64_t now_ms = uv_now(&monitor->loop);
	bool is_any = false;
	if (monitor->settings->conf->checks.deep_interval_ms == 0)
		return false;
	if (monitor->suspects_until_ms == 0)
		monitor->suspects_until_ms = now_ms + SUSPECTS_MS;
	for (size_t i = 0; i < monitor->watched_n && now_ms < monitor->suspects_until_ms; i++) {
		struct watched *watched = monitor->watched[i];
		/* Who is known to be bad need not be looked at again so soon. */
		if (watched->was_deep || watched->last.at_s == 0 || watched->last.reason != REASON_NONE)
			continue;
		/* The references may have been heard after it. */
		if (!watched->wants_deep)
			look_for_odd(watched, &watched->last);
		if (!watched->wants_deep)
			continue;
		if (!monitor_has_room_for_deep(monitor))
			break;
		watched_check(watched, false);
		is_any |= watched->busy;
	}
	return is_any;
}
