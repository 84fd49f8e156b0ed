#include "server/server_metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/utc.h"
#include "metrics/text.h"
#include "server/server_int.h"

/* A worker that has not taken a snapshot over for so long answers nobody. */
#define WORKER_SILENT_MS 10000

static void sample_alone(struct metrics_text *text, const char *name, enum metrics_kind kind,
                         const char *help, uint64_t value)
{
	metrics_text_family(text, name, kind, help);
	metrics_text_sample(text, value, NULL);
}

/* --- counters: read at each scrape --- */

/* Shown with labels or another name by write_queries(). */
static const char *const shown_as_queries[] = {
	"queries_udp", "queries_tcp", "dropped_short", "dropped_response", "formerr",  "notimp",
	"refused",     "badvers",     "servfail",      "noerror",          "nxdomain", "truncated",
	"edns",        "ecs",         "badcookie",     "queries_tls"
};
static const char *const gauges[] = { "tcp_open" };

static bool is_one_of(const char *name, const char *const *names, size_t names_n)
{
	for (size_t i = 0; i < names_n; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}
#define IS_ONE_OF(name, names) is_one_of((name), (names), sizeof(names) / sizeof((names)[0]))

static void write_lines(struct metrics_text *text, const union totals_counters *sum)
{
	for (size_t i = 0; i < TOTALS_COUNTERS_N; i++) {
		const struct totals_counter *counter = &totals_counters[i];
		char name[64];
		if (IS_ONE_OF(counter->name, shown_as_queries))
			continue;
		bool is_gauge = IS_ONE_OF(counter->name, gauges);
		snprintf(name, sizeof(name), "dnsd_%s%s", counter->name, is_gauge ? "" : "_total");
		sample_alone(text, name, is_gauge ? METRICS_GAUGE : METRICS_COUNTER, counter->help,
		             sum->values[i]);
	}
}

static void write_queries(struct metrics_text *text, const struct answer_counters *sum)
{
	const struct {
		const char *rcode;
		uint64_t value;
	} by_rcode[] = {
		{ "NOERROR", sum->noerror }, { "NXDOMAIN", sum->nxdomain },   { "FORMERR", sum->formerr },
		{ "NOTIMP", sum->notimp },   { "REFUSED", sum->refused },     { "SERVFAIL", sum->servfail },
		{ "BADVERS", sum->badvers }, { "BADCOOKIE", sum->badcookie },
	};
	metrics_text_family(text, "dnsd_queries_by_transport_total", METRICS_COUNTER, "requests received");
	metrics_text_sample(text, sum->queries_udp, "transport", "udp", NULL);
	metrics_text_sample(text, sum->queries_tcp, "transport", "tcp", NULL);
	metrics_text_sample(text, sum->queries_tls, "transport", "tls", NULL);
	metrics_text_family(text, "dnsd_queries_by_rcode_total", METRICS_COUNTER,
	                    "answers, truncated ones included");
	for (size_t i = 0; i < sizeof(by_rcode) / sizeof(by_rcode[0]); i++)
		metrics_text_sample(text, by_rcode[i].value, "rcode", by_rcode[i].rcode, NULL);
	sample_alone(text, "dnsd_queries_with_edns_total", METRICS_COUNTER, "requests with an OPT record",
	             sum->edns);
	sample_alone(text, "dnsd_queries_with_ecs_total", METRICS_COUNTER,
	             "requests with a client subnet option", sum->ecs);
	sample_alone(text, "dnsd_answers_truncated_total", METRICS_COUNTER, "UDP answers with TC set",
	             sum->truncated);
	sample_alone(text, "dnsd_queries_dropped_total", METRICS_COUNTER,
	             "packets that get no answer: too short for a header, or answers themselves",
	             sum->dropped_short + sum->dropped_response);
}

static void write_counters(struct metrics_text *text, const struct server *server)
{
	union totals_counters sum = { .values = { 0 } };
	metrics_text_family(text, "dnsd_queries_total", METRICS_COUNTER, "requests received");
	for (size_t i = 0; i < totals_workers_n(server); i++) {
		char worker[24];
		snprintf(worker, sizeof(worker), "%zu", i);
		metrics_text_sample(text, totals_worker_queries(server, i), "worker", worker, NULL);
	}
	totals_read_counters(server, &sum);
	write_queries(text, &sum.answers);
	write_lines(text, &sum);
}

static void write_countries(struct metrics_text *text, const struct server *server)
{
	uint64_t sums[COUNTRY_N] = { 0 };
	totals_read_countries(server, sums);
	metrics_text_family(text, "dnsd_answers_by_country_total", METRICS_COUNTER,
	                    "answers chosen by the country of who asks, -- is unknown");
	for (uint16_t country = 0; country < COUNTRY_N; country++) {
		char code[3];
		country_to_code(country, code);
		if (sums[country])
			metrics_text_sample(text, sums[country], "country", code, NULL);
	}
}

/* Hosts and pools are never changed by a job; those that a reload has dropped keep their series. */
static void write_mirrors(struct metrics_text *text, const struct server *server)
{
	const struct zones *zones = server->load->zones;
	uint64_t *firsts = calloc(ANSWER_MIRRORS_N, sizeof(*firsts));
	struct answer_pings *pings = calloc(ANSWER_MIRRORS_N, sizeof(*pings));
	if (!firsts || !pings) {
		text->failed = true;
		goto out;
	}
	totals_read_first(server, ANSWER_MIRRORS_N, firsts);
	totals_read_pings(server, ANSWER_MIRRORS_N, pings);
	metrics_text_family(text, "dnsd_pool_answers_total", METRICS_COUNTER,
	                    "answers from a pool with the mirror's address first");
	for (size_t i = 0; i < zones->mirror_hosts_n; i++)
		metrics_text_sample(text, firsts[i], "pool", zones->mirror_pools[i], "mirror",
		                    zones->mirror_hosts[i], NULL);
	/* Mirrors past the number of counters share the last one. */
	if (firsts[ANSWER_MIRRORS_N - 1])
		metrics_text_sample(text, firsts[ANSWER_MIRRORS_N - 1], "pool", "", "mirror", "others", NULL);
	metrics_text_family(text, "dnsd_pings_total", METRICS_COUNTER, "usage reports of old clients");
	for (size_t i = 0; i < zones->mirror_hosts_n; i++) {
		if (pings[i].ok == 0 && pings[i].failed == 0)
			continue;
		metrics_text_sample(text, pings[i].ok, "pool", zones->mirror_pools[i], "mirror",
		                    zones->mirror_hosts[i], "result", "ok", NULL);
		metrics_text_sample(text, pings[i].failed, "pool", zones->mirror_pools[i], "mirror",
		                    zones->mirror_hosts[i], "result", "failed", NULL);
	}
out:
	free(firsts);
	free(pings);
}

/* --- geo database, pools, feeds, version records: rendered when no job runs --- */

/* A mirror is as good as the best of its addresses. */
static enum reason reason_of_mirror(const struct mirror *mirror, const struct mirror_state *state)
{
	enum reason best = REASON_N;
	if (state->reason != REASON_NONE || !state->addr_reasons)
		return state->reason;
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		if (state->addr_reasons[i] < best)
			best = state->addr_reasons[i];
	}
	return best == REASON_N ? REASON_NONE : best;
}

static const char *state_text(enum reason reason)
{
	return reason == REASON_NONE ? "in" : reason_text(reason);
}

static void write_pool_states(struct metrics_text *text, const struct zones *zones)
{
	metrics_text_family(text, "dnsd_pool_mirrors", METRICS_GAUGE,
	                    "mirrors of the pool: in, or out for this reason");
	for (size_t p = 0; p < zones->conf->pools_n; p++) {
		uint64_t counts[REASON_N] = { 0 };
		const struct pool *pool = zones->pools[p];
		for (size_t i = 0; i < pool->mirrors_n; i++)
			counts[reason_of_mirror(&pool->mirrors[i], &zones->feeds[p].state.mirrors[i])]++;
		for (int reason = 0; reason < REASON_N; reason++)
			metrics_text_sample(text, counts[reason], "pool", pool->conf->name, "state",
			                    state_text((enum reason)reason), NULL);
	}
	metrics_text_family(text, "dnsd_mirror_state", METRICS_GAUGE, "1: the mirror is in this state");
	for (size_t p = 0; p < zones->conf->pools_n; p++) {
		const struct pool *pool = zones->pools[p];
		for (size_t i = 0; i < pool->mirrors_n; i++) {
			enum reason reason =
			        reason_of_mirror(&pool->mirrors[i], &zones->feeds[p].state.mirrors[i]);
			metrics_text_sample(text, 1, "pool", pool->conf->name, "mirror",
			                    pool->mirrors[i].host, "state", state_text(reason), NULL);
		}
	}
}

static void write_feeds(struct metrics_text *text, const struct zones *zones)
{
	metrics_text_family(text, "dnsd_feed_serial", METRICS_GAUGE, "serial of the feed in force");
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		if (zones->feeds[i].feed)
			metrics_text_sample(text, zones->feeds[i].feed->serial, "pool",
			                    zones->conf->pools[i].name, NULL);
	}
	metrics_text_family(text, "dnsd_feed_generated_timestamp_seconds", METRICS_GAUGE,
	                    "when the feed in force was made");
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		if (zones->feeds[i].feed && zones->feeds[i].feed->generated_s)
			metrics_text_sample(text, zones->feeds[i].feed->generated_s, "pool",
			                    zones->conf->pools[i].name, NULL);
	}
	metrics_text_family(text, "dnsd_feed_held", METRICS_GAUGE,
	                    "1: a feed that takes out too much at once is held back");
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		if (zones->conf->pools[i].feed_file)
			metrics_text_sample(text, zones->feeds[i].held != NULL, "pool",
			                    zones->conf->pools[i].name, NULL);
	}
}

static void write_versions(struct metrics_text *text, const struct zones *zones)
{
	metrics_text_family(text, "dnsd_version_verified_timestamp_seconds", METRICS_GAUGE,
	                    "when the source of the version record was last verified; clients take a record "
	                    "of three hours for stale");
	for (size_t i = 0; i < zones->versions_n; i++) {
		const struct zones_version *entry = &zones->versions[i];
		metrics_text_sample(text, entry->version.verified_s, "zone", entry->zone->name, "name",
		                    entry->conf->name, NULL);
	}
	metrics_text_family(text, "dnsd_version_number", METRICS_GAUGE,
	                    "version of the database, as announced");
	for (size_t i = 0; i < zones->versions_n; i++) {
		const struct zones_version *entry = &zones->versions[i];
		for (size_t d = 0; d < entry->version.databases_n; d++)
			metrics_text_sample(text, entry->version.databases[d].version, "zone",
			                    entry->zone->name, "name", entry->conf->name, "database",
			                    entry->version.databases[d].name, NULL);
	}
}

static void write_files(struct metrics_text *text, const struct load *load)
{
	metrics_text_family(text, "dnsd_tls_certificate_expires_timestamp_seconds", METRICS_GAUGE,
	                    "when the certificate for TLS ends");
	if (load->tls)
		metrics_text_sample(text, tls_context_expires_s(load->tls), NULL);
	metrics_text_family(text, "dnsd_geo_database_build_timestamp_seconds", METRICS_GAUGE,
	                    "when the geo database was made");
	if (load->geo)
		metrics_text_sample(text, load->geo_info.built_s, NULL);
}

static void note_source(struct server_metrics *metrics, uint64_t at_s, const char *kind, const char *of,
                        const char *in)
{
	if (at_s == 0)
		return; /* never, or not said */
	struct metrics_source *source = &metrics->sources[metrics->sources_n++];
	snprintf(source->name, sizeof(source->name), "%s%s%s%s%s", kind, *of ? ":" : "", of, *in ? "." : "",
	         in);
	source->at_s = at_s;
}

static int note_sources(struct server *server)
{
	struct server_metrics *metrics = &server->metrics;
	const struct zones *zones = server->load->zones;
	free(metrics->sources);
	metrics->sources_n = 0;
	metrics->sources = calloc(zones->versions_n + zones->conf->pools_n + 2, sizeof(*metrics->sources));
	if (!metrics->sources)
		return -ENOMEM;
	note_source(metrics, metrics->reloaded_s, "config", "", "");
	note_source(metrics, server->load->geo ? server->load->geo_info.built_s : 0, "geo", "", "");
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		if (zones->feeds[i].feed)
			note_source(metrics, zones->feeds[i].feed->generated_s, "feed",
			            zones->conf->pools[i].name, "");
	}
	for (size_t i = 0; i < zones->versions_n; i++)
		note_source(metrics, zones->versions[i].version.verified_s, "version",
		            zones->versions[i].conf->name, zones->versions[i].zone->name);
	return 0;
}

void server_metrics_note_state(struct server *server)
{
	const struct zones *zones = server->load->zones;
	struct metrics_text text;
	free(server->metrics.state);
	server->metrics.state = NULL;
	if (server->load->conf->metrics_listen_n == 0 || note_sources(server) < 0)
		return;
	metrics_text_init(&text);
	write_files(&text, server->load);
	write_pool_states(&text, zones);
	write_feeds(&text, zones);
	write_versions(&text, zones);
	server->metrics.state = metrics_text_take(&text, &server->metrics.state_len);
}

void server_metrics_note_reload(struct server *server, bool failed)
{
	server->metrics.reload_failed = failed;
	if (!failed)
		server->metrics.reloaded_s = utc_now();
}

/* --- answers --- */

static void write_server(struct metrics_text *text, const struct server *server)
{
	const struct server_metrics *metrics = &server->metrics;
	metrics_text_family(text, "dnsd_build_info", METRICS_GAUGE, "always 1; the version is in the label");
	metrics_text_sample(text, 1, "version", DNSD_VERSION, NULL);
	sample_alone(text, "dnsd_time_up_seconds_total", METRICS_COUNTER,
	             "since the start; it goes on over restarts without a gap",
	             totals_up_s(server) + server_metrics_up_s(server));
	sample_alone(text, "dnsd_snapshot_generation", METRICS_GAUGE,
	             "rises with each change of what is answered", server->generation);
	sample_alone(text, "dnsd_config_last_reload_successful", METRICS_GAUGE,
	             "0: the last reload was refused", !metrics->reload_failed);
	sample_alone(text, "dnsd_config_last_reload_success_timestamp_seconds", METRICS_GAUGE,
	             "when the configuration in use was taken over", metrics->reloaded_s);
	metrics_text_family(text, "dnsd_state_source_age_seconds", METRICS_GAUGE,
	                    "time since the source was made or last verified");
	uint64_t now = utc_now();
	for (size_t i = 0; i < metrics->sources_n; i++)
		metrics_text_sample(text, now > metrics->sources[i].at_s ? now - metrics->sources[i].at_s : 0,
		                    "source", metrics->sources[i].name, NULL);
}

static char *render(void *context, size_t *ret_len)
{
	const struct server *server = context;
	struct metrics_text text;
	metrics_text_init(&text);
	write_server(&text, server);
	write_counters(&text, server);
	write_countries(&text, server);
	write_mirrors(&text, server);
	if (!server->metrics.state)
		text.failed = true;
	else
		metrics_text_append(&text, server->metrics.state, server->metrics.state_len);
	return metrics_text_take(&text, ret_len);
}

static bool is_healthy(void *context, char *text, size_t cap)
{
	struct server *server = context;
	if (server->stopping) {
		snprintf(text, cap, "stopping");
		return false;
	}
	if (!server->snap) {
		snprintf(text, cap, "no snapshot in use");
		return false;
	}
	bool is_late = uv_now(&server->loop) - server->metrics.published_ms > WORKER_SILENT_MS;
	for (unsigned i = 0; i < server->workers_n; i++) {
		bool stopped = worker_stopped(server->workers[i]);
		if (stopped || (is_late && worker_adopted(server->workers[i]) != server->snap)) {
			snprintf(text, cap, stopped ? "worker %u has ended" : "worker %u does not respond",
			         i);
			return false;
		}
	}
	return true;
}

/* --- life --- */

/* Sockets that the service manager has opened for us. */
static int adopt_activated(struct server *server)
{
	const struct conf *conf = server->load->conf;
	for (size_t i = 0; i < conf->metrics_listen_n; i++) {
		const struct sockaddr_storage *addr = &conf->metrics_listen[i].addr;
		int fd = activation_take(&server->activation, addr, SOCK_STREAM);
		int rc = fd < 0 ? 0 : metrics_http_adopt(server->metrics.http, addr, fd);
		if (rc < 0) {
			log_error("cannot serve metrics on a socket of the service manager: %s",
			          strerror(-rc));
			return rc;
		}
	}
	return 0;
}

int server_metrics_start(struct server *server)
{
	struct metrics_calls calls = { .render = render, .is_healthy = is_healthy, .context = server };
	struct diag diag;
	int rc = metrics_http_create(&server->loop, &calls, &server->metrics.http);
	if (rc < 0) {
		log_error("cannot start the metrics: %s", strerror(-rc));
		return rc;
	}
	const struct conf *conf = server->load->conf;
	if (server->takeover)
		rc = takeover_give_metrics(server->takeover, server->metrics.http);
	else
		rc = adopt_activated(server);
	if (rc < 0)
		return rc;
	diag_init(&diag);
	privileges_begin_sockets(&server->confinement.privileges);
	rc = metrics_http_prepare(server->metrics.http, conf->metrics_listen, conf->metrics_listen_n, &diag);
	privileges_end_sockets(&server->confinement.privileges);
	log_diag(&diag);
	diag_fini(&diag);
	return rc;
}

void server_metrics_serve(struct server *server)
{
	server->metrics.started_ns = uv_hrtime();
	server_metrics_note_reload(server, false);
	server_metrics_note_state(server);
	metrics_http_commit(server->metrics.http);
}

uint64_t server_metrics_up_s(const struct server *server)
{
	const struct server_metrics *metrics = &server->metrics;
	return ((metrics->ended_ns ? metrics->ended_ns : uv_hrtime()) - metrics->started_ns) / 1000000000;
}

void server_metrics_note_end(struct server *server)
{
	server->metrics.ended_ns = uv_hrtime();
}

void server_metrics_stop(struct server *server)
{
	metrics_http_close(server->metrics.http);
	server->metrics.http = NULL;
}

void server_metrics_free(struct server *server)
{
	free(server->metrics.state);
	free(server->metrics.sources);
}
