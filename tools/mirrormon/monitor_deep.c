/* Whole databases: who has to show one, and which. */
#include <stdio.h>
#include <string.h>

#include "mirrormon/monitor_int.h"

/* Whole databases that are fetched at a time, each up to deep-max-bytes on our disk: what makes one mirror
 * suspect may make all. */
#define DEEPS_MAX 4

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

void watched_look_deeper(struct watched *watched, const struct check_result *result)
{
	const struct monitor *monitor = watched->monitor;
	const struct conf_checks *conf = &monitor->settings->conf->checks;
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
	for (size_t i = 0; i < conf->databases_n; i++) {
		const struct seen_database *now = &result->databases[i],
		                           *before = &watched->last.databases[i];
		bool is_odd = before->version && now->version && now->version < before->version;
		for (size_t k = 0; k < monitor->settings->conf->references_n && !is_odd; k++) {
			const struct seen_database *theirs = &monitor->references[k].last.databases[i];
			is_odd = theirs->version && theirs->version == now->version &&
			         theirs->built_s != now->built_s;
		}
		if (is_odd) {
			want_deep(watched, (uint32_t)i);
			return;
		}
	}
}
