/*
 * Inside server/: the running daemon's state, shared by its main part (server.c) and what shows it.
 */
#ifndef DNSD_SERVER_SERVER_INT_H
#define DNSD_SERVER_SERVER_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/diag.h"
#include "load/load.h"
#include "server/bindings.h"
#include "server/server.h"
#include "server/server_metrics.h"
#include "server/watch.h"
#include "snap/snap.h"
#include "worker/worker.h"

#define WORKERS_MAX 256

/* A snapshot that some worker may still use. */
struct retired {
	struct retired *next;
	struct snap *snap;
};

enum job_kind { JOB_NONE, JOB_RENEW, JOB_RELOAD };

struct job {
	uv_work_t work;
	struct server *server;
	enum job_kind kind;
	int rc;
	struct diag diag;
	struct load *load; /* RELOAD */
	struct snap *snap;
	uint64_t next_s;    /* RENEW: when a feed wants to be looked at again, since 1970; 0 = not */
	bool names_changed; /* RENEW found a database that has no name yet */
};

struct server {
	uv_loop_t loop;
	uv_signal_t signals[5];
	uv_async_t notify;
	uv_timer_t renew; /* version records, at their interval */
	uv_timer_t look;  /* feeds, at the moment one of them names */
	char *conf_path;
	struct load *load;
	struct snap *snap;
	struct retired *retired;
	uint64_t generation;
	struct bindings *bindings;
	struct watch *watch;
	struct worker *workers[WORKERS_MAX];
	unsigned workers_n;
	struct job job;
	enum job_kind job_running;
	enum job_kind job_wanted; /* asked for while one runs; the larger kind wins */
	bool stopping;
	struct server_metrics metrics;
};

#endif
