/* What the running server says of itself. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/object.h"
#include "base/utc.h"
#include "server/server_int.h"
#include "zones/explain.h"

/* --- status --- */

static void add_problem(json_t *problems, const char *fmt, const char *what)
{
	char text[512];
	snprintf(text, sizeof(text), fmt, what);
	json_array_append_new(problems, json_string(text));
}

static json_t *pool_status(const struct zones *zones, size_t number, json_t *problems)
{
	const struct pool *pool = zones->pools[number];
	const struct zones_feed *entry = &zones->feeds[number];
	json_t *object = json_object();
	json_object_set_new(object, "pool", json_string(pool->conf->name));
	object_set_number(object, "mirrors", pool->mirrors_n);
	object_set_number(object, "out", entry->state.out_n);
	if (entry->feed) {
		object_set_number(object, "feed-serial", entry->feed->serial);
		object_set_time(object, "feed-generated", entry->feed->generated_s);
	}
	json_object_set_new(object, "feed-held", json_boolean(entry->held != NULL));
	json_object_set_new(object, "feed-expired", json_boolean(entry->feed && entry->stale_told));
	if (pool->conf->feed_file && !entry->feed)
		add_problem(problems, "pool %s: there is no feed", pool->conf->name);
	if (entry->held && !zones_feed_is_rejected(entry))
		add_problem(problems, "pool %s: a feed that takes out too much is held back",
		            pool->conf->name);
	if (entry->feed && entry->stale_told)
		add_problem(problems, "pool %s: the feed has expired", pool->conf->name);
	if (entry->state.out_n == pool->mirrors_n)
		add_problem(problems, "pool %s: every mirror is out", pool->conf->name);
	return object;
}

json_t *command_status(const struct server *server)
{
	const struct zones *zones = server->load->zones;
	json_t *object = json_object();
	json_t *pools = json_array();
	json_t *problems = json_array();
	json_object_set_new(object, "version", json_string(DNSD_VERSION));
	object_set_number(object, "pid", (uint64_t)getpid());
	object_set_time(object, "started", server->started_s);
	object_set_number(object, "generation", server->generation);
	json_object_set_new(object, "config", json_string(server->conf_path));
	object_set_time(object, "last-reload", server->metrics.reloaded_s);
	json_object_set_new(object, "last-reload-ok", json_boolean(!server->metrics.reload_failed));
	if (server->metrics.reload_failed)
		add_problem(problems, "%s", "the last reload failed; the configuration before it is in use");
	object_set_number(object, "workers", server->workers_n);
	object_set_number(object, "zones", server->load->conf->zones_n);
	object_set_number(object, "records", zones->records_n);
	object_set_number(object, "names", zones->store->names_n);
	for (size_t i = 0; i < server->load->conf->pools_n; i++)
		json_array_append_new(pools, pool_status(zones, i, problems));
	json_object_set_new(object, "pools", pools);
	json_object_set_new(object, "versions", explain_versions(zones));
	json_object_set_new(object, "geo",
	                    server->load->geo ? json_string(server->load->geo_info.database_type)
	                                      : json_null());
	json_object_set_new(object, "state-directory",
	                    server->load->conf->state_dir ? json_string(server->load->conf->state_dir)
	                                                  : json_null());
	startup_show(&server->confinement, object);
	for (unsigned i = 0; i < server->workers_n; i++) {
		if (worker_filter_error(server->workers[i]))
			add_problem(problems, "a worker runs without its sandbox: %s",
			            strerror(worker_filter_error(server->workers[i])));
	}
	if (keeping_error(server->keeping))
		add_problem(problems, "the state cannot be kept: %s",
		            strerror(keeping_error(server->keeping)));
	json_object_set_new(object, "problems", problems);
	return object;
}

json_t *command_stats(const struct server *server)
{
	union totals_counters sum = { .values = { 0 } };
	totals_read_counters(server, &sum);
	json_t *object = json_object();
	for (size_t i = 0; i < TOTALS_COUNTERS_N; i++)
		object_set_number(object, totals_counters[i].name, sum.values[i]);
	return object;
}
