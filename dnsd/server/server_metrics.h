/*
 * server_metrics: what /metrics and /healthz say of the running daemon.
 *
 *     counters of the workers ──summed at each scrape──────────────────┐
 *     pools, feeds, version records ──server_metrics_note()──> text ───┴─> GET /metrics
 *
 * A job on the thread pool changes the state of pools, feeds and version records, and the geo database. So
 * that part is rendered when no job runs, and kept; a scrape never looks at it.
 */
#ifndef DNSD_SERVER_SERVER_METRICS_H
#define DNSD_SERVER_SERVER_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/http.h"

struct server;

/* Something that is to be renewed from time to time, and when it last was. */
struct metrics_source {
	char name[320];
	uint64_t at_s; /* since 1970 */
};

/** Part of struct server; zeroed memory is a valid start. */
struct server_metrics {
	struct metrics_http *http;
	uint64_t started_ns;   /* uv_hrtime() when this process became the server */
	uint64_t ended_ns;     /* when another one did in its place; 0 = it is */
	uint64_t published_ms; /* uv_now() when workers were given the snapshot in use */
	uint64_t reloaded_s;   /* when a configuration was last taken over, since 1970 */
	bool reload_failed;    /* the last one */
	char *state;           /* [state_len] the part that is kept; NULL = out of memory */
	size_t state_len;
	struct metrics_source *sources;
	size_t sources_n;
};

/** Open what the configuration in use says. Returns 0 or negative errno, logged. */
int server_metrics_start(struct server *server);

/** Begin to answer. From then on the sockets are known to be this process's. */
void server_metrics_serve(struct server *server);
/** For how many seconds this process has been the server. */
uint64_t server_metrics_up_s(const struct server *server);
/** Another process is the server: its time counts, no longer ours. */
void server_metrics_note_end(struct server *server);

/** The configuration of the load in use has been taken over, or a new one was refused. */
void server_metrics_note_reload(struct server *server, bool failed);
/** Render what jobs change. Main thread, while no job runs: at the start and when one has ended. */
void server_metrics_note_state(struct server *server);

void server_metrics_stop(struct server *server);
/** After the loop has ended. */
void server_metrics_free(struct server *server);

#endif
