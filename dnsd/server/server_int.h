/*
 * Inside server/: the running daemon's state, shared by its main part (server.c), what is done in the
 * background (jobs.c), what operators ask for (command*.c) and what shows it.
 */
#ifndef DNSD_SERVER_SERVER_INT_H
#define DNSD_SERVER_SERVER_INT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/diag.h"
#include "ctl/ctl.h"
#include "load/load.h"
#include "sandbox/launcher.h"
#include "server/bindings.h"
#include "server/clock.h"
#include "server/keeping.h"
#include "server/server.h"
#include "server/server_metrics.h"
#include "server/startup.h"
#include "server/supervise.h"
#include "server/takeover.h"
#include "server/totals.h"
#include "server/watch.h"
#include "snap/snap.h"
#include "worker/worker.h"

#define WORKERS_MAX 256
/* Told to stop, beside the time for connections: when what hangs is left behind, and what the service manager
 * is told that it takes. */
#define STOP_LATE_MS       8000
#define STOP_TOLD_MS       10000
#define COMMAND_AUTHOR_MAX 128

/* A snapshot that some worker may still use. */
struct retired {
	struct retired *next;
	struct snap *snap;
};

/* An operator's request, from its arrival to its response. */
struct command {
	struct command *next;
	struct ctl_request *request;
	char *text; /* the response as a line, made by the job already; NULL = there is response */
	size_t text_len;
	json_t *response;    /* made by now, and sent when ... */
	uint64_t generation; /* ... all workers serve this one ... */
	uint64_t kept;       /* ... and so much of the news is on disk */
	uint64_t since_ms;   /* uv_now() of its arrival */
	bool is_kept;        /* it promises to outlive a restart */
};

struct command_queue {
	struct command *first;
	struct command **end;
};

/* One at a time, on libuv's thread pool: a job alone may touch the load in use. */
enum job_kind {
	JOB_NONE,
	JOB_COMMAND, /* carry out an operator's request */
	JOB_RENEW,   /* look at the sources again */
	JOB_RELOAD,  /* read the configuration and all it names */
};

struct job {
	uv_work_t work;
	struct server *server;
	enum job_kind kind;
	int rc;
	struct diag diag;
	struct load *load;       /* RELOAD */
	struct snap *snap;       /* NULL = nothing to publish */
	struct command *command; /* COMMAND, and a RELOAD that was asked for by one */
	uint64_t next_s;         /* when something changes with nothing but time, since 1970; 0 = never */
	bool names_changed;      /* RENEW found a database that has no name yet */
	bool changed;            /* COMMAND: the pools are not what they were */
	bool overrides_changed;  /* COMMAND: others are in force */
	json_t *response;        /* COMMAND */
	json_t *news;            /* noted by this job, for the journal */
};

struct server {
	uv_loop_t loop;
	uv_signal_t signals[5];
	uv_async_t notify;
	uv_timer_t renew;    /* version records, at their interval */
	struct clock *clock; /* pools, at the moment something changes */
	char *conf_path;
	struct load *load;
	struct snap *snap;
	struct retired *retired;
	bool trim_wanted; /* a load has ended: what it needed meanwhile goes back to the system */
	uint64_t generation;
	struct activation activation; /* sockets of the service manager that nobody has taken yet */
	struct bindings *bindings;
	struct watch *watch;
	struct worker *workers[WORKERS_MAX];
	unsigned workers_n;
	struct job job;
	enum job_kind job_running;
	enum job_kind job_wanted; /* RENEW or RELOAD asked for while one runs; the larger kind wins */
	bool job_was_command;     /* commands and other jobs take turns */
	struct server_metrics metrics;
	struct ctl *ctl;
	struct ctl *ctl_before;        /* retired: the one that a reload has moved away from, or NULL */
	struct command_queue commands; /* to be carried out */
	struct command_queue answered; /* to be sent, once clients see what was changed */
	uv_timer_t waits;              /* runs while there are commands */
	bool wait_told;                /* the log has it that they wait for long */
	struct keeping *keeping;
	struct confinement confinement;
	struct supervise *supervise;
	uv_timer_t keep_again; /* after the state could not be kept */
	uv_timer_t late;       /* of a stop; it keeps the loop from nothing */
	uint64_t started_s;    /* since 1970 */
	bool stopping;
	char *program; /* what dnsdctl restart starts, with these arguments */
	char **argv;
	struct launcher *launcher; /* starts it where the sandbox does not let us; NULL = none */
	struct takeover *takeover; /* the process that we take over from, or have; NULL = none */
	bool waiting;              /* for its word: the state directory is still its own */
	struct handover *handover; /* the process that takes over from us; NULL = none */
	struct handover *ending;   /* the one that failed to, and is told to end; NULL = none */
	bool handed_over;          /* the state directory is no longer ours */
	bool hurried;              /* told to stop while the last connections end */
	bool ended;                /* stopped but for the background: all handles are closed */
	uint64_t changes;          /* of what the state directory has, and what is to be in it */
	struct totals *totals;     /* counters of the processes before; NULL = there were none */
};

/* --- jobs.c --- */

/** What the configuration says of TCP and TLS; tls is borrowed. */
struct tcp_limits server_tcp_limits(const struct load *load);
/** Ask for RENEW or RELOAD; it runs at once or after what runs now. */
void server_start_job(struct server *server, enum job_kind kind);
/** Start what was asked for while something else ran. */
void server_start_wanted(struct server *server);
/** Free snapshots that no worker uses any more, and answer the commands that waited for that. */
void server_settle(struct server *server);
/** A batch of what is kept has been written. */
void server_keeping_written(void *context);
/** After the workers have ended: write what is to be kept, in the background, once no job is left. */
void server_keep_last(struct server *server);
/** Answer those that were not begun: another process is the server. */
void server_drop_waiting_commands(struct server *server);
/** Answer all commands: the server stops. */
void server_drop_commands(struct server *server);
/** Returns whether a source has changed that has not been looked at since. */
bool server_watch_sources(struct server *server);
/** Is there something that may have changed since it was loaded, before it was watched? */
bool server_has_to_look(const struct server *server);
void server_set_renew_timer(struct server *server);
void server_log_loaded(const struct server *server, const char *what);
/** Give the workers the rate limits of the configuration in force. */
void server_set_rate_limit(struct server *server);
/** Open the control socket that the configuration names, or close it. Where that can't be, the one before
 * stays (told). */
void server_set_control(struct server *server, const struct conf *conf, struct diag *diag);

/* --- waits.c --- */

/** A job that runs, in a sentence. */
const char *server_job_text(enum job_kind kind);
/** A command has come: a warning, once, when it or another waits for more than a few seconds. */
void server_watch_waits(struct server *server);

/* --- command.c, command_show.c --- */

/** Carry out a request, on the thread pool, the load being this job's. Sets job->response, and job->changed
 * when the pools have to be compiled anew. */
void command_run(struct job *job);
/** Who asks: the user the kernel names; for root, who became root with sudo, as the client says. */
const char *command_author(const struct ctl_request *request, char text[COMMAND_AUTHOR_MAX]);
/** The responses of a reload. */
json_t *command_reload_response(const struct server *server, const struct diag *diag, int rc);

json_t *command_status(const struct server *server);
json_t *command_stats(const struct server *server);

#endif
