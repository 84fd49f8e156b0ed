/*
 * takeover: a new process goes on where the old one stops, with the same sockets. No query is lost.
 *
 *     old                                        new
 *      |  dnsdctl restart: starts it, a socketpair in DNSD_TAKEOVER_FD
 *      |  or dnsd --takeover: it connects to the control socket, {"command": "takeover"}
 *      |── welcome ──────────────────────────────>|  loads everything
 *      |<────────────────────────────── loaded ───|
 *      |  ends its job, writes its state, begins no other
 *      |── sockets, metrics, secrets, control ───>|  (SCM_RIGHTS: the very same sockets)
 *      |── handover {changed, ...} ──────────────>|  loads again if the state has changed; workers read:
 *      |                                          |  both answer from the same queues
 *      |<───────────────────────────── serving ───|
 *      |── yours, totals ────────────────────────>|  state directory, control socket and metrics are its own
 *      |  reads no more; open TCP connections
 *      |  live on for restart-drain
 *      |── totals, each second and at the end ───>|
 *
 * Nobody but the old process decides: until it has read "serving" it can go on as if nothing had been, and
 * does when the new one says "failed", closes, dies, or is late (restart-timeout); it says "abort" then. From
 * "yours" on, the new one is the server. What the old process owns is written by it up to "handover" and
 * never again after "yours"; the new one writes nothing before that. A new process that sees the connection
 * end after "handover" without a word knows that the old one is dead, and is the server as well.
 *
 * Messages are those of channel.h. Keys that are not known are ignored, so that versions can differ.
 *
 *     welcome   pid; before it the new process says nothing but the request
 *     loaded    protocol, manager (it has a service manager of its own)
 *     sockets   port (as configured: 0 stays 0), tls; descriptors: UDP, TCP, UDP, TCP, ...; with tls TCP
 *               alone
 *     metrics   port; one descriptor
 *     secrets   one descriptor, of secrets.h
 *     control   path; one descriptor
 *     handover  changed, generation, serial, names (of mirrors, by number), overrides (where there is no
 *               state directory: the file as it would be), notify and watchdog-us (our service manager)
 *     yours     reload (was asked for, and not begun)
 *     totals    of totals.h; before the first one the manager is told of its new main process
 *     failed    error, messages (as the response of a reload)
 *     abort     error
 */
#ifndef DNSD_SERVER_TAKEOVER_H
#define DNSD_SERVER_TAKEOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "ctl/ctl.h"
#include "load/load.h"
#include "metrics/http.h"
#include "server/bindings.h"
#include "zones/zones.h"

#define TAKEOVER_VARIABLE "DNSD_TAKEOVER_FD"
#define TAKEOVER_PROTOCOL 1

struct server;

/* --- the new process: takeover.c; the calls wait --- */

struct takeover;

/**
 * Find the process to take over from: the one that has started us, or with wanted the one that listens on the
 * control socket of the configuration. From here on all that is logged as wrong is kept, to be told to it.
 *
 * ret_takeover  NULL: there is none, this is a start like any other
 * Returns       0 or negative errno, logged
 */
int takeover_open(const char *conf_path, bool wanted, struct takeover **ret_takeover);

/**
 * All is loaded: get the sockets.
 *
 * ret_changed  what was loaded from the state directory is no longer true: load again
 * Returns      0 or negative errno, logged
 */
int takeover_receive(struct takeover *takeover, bool *ret_changed);
/** For bindings_create(): the sockets that came. */
const struct bindings *takeover_bindings(const struct takeover *takeover);
/** The snapshot that was in use; numbers go on from there. */
uint64_t takeover_generation(const struct takeover *takeover);
uint32_t takeover_serial(const struct takeover *takeover);
/** Put overrides into force that are nowhere on disk. Returns 0 or negative errno, logged. */
int takeover_give_overrides(struct takeover *takeover, struct zones *zones);
/** Put ticket keys and cookie secret into force. What can't be is told, and is no failure. */
void takeover_give_secrets(struct takeover *takeover, struct load *load);
int takeover_give_metrics(struct takeover *takeover, struct metrics_http *http);

/**
 * The workers read: tell it, and wait for the verdict while the server's loop runs. On success the server is
 * this one: counters go on, and sockets that are not used any more are closed.
 * Returns 0, or -ECANCELED: end (logged)
 */
int takeover_confirm(struct takeover *takeover, struct server *server);
/** Was a reload asked for that the old process has not begun? */
bool takeover_wants_reload(const struct takeover *takeover);
/** The control socket of this path, or -1; the caller owns it. */
int takeover_take_control(struct takeover *takeover, const char *path);
/** Listen to what the old process still counts, on the server's loop. */
void takeover_follow(struct takeover *takeover, struct server *server);
/** Has the old process ended, as far as we know? True for NULL. */
bool takeover_is_over(const struct takeover *takeover);
/** Stop to follow; before the loop ends. NULL is fine. */
void takeover_stop(struct takeover *takeover);
/** The start has failed, or the loop has ended: tell why where nobody knows yet, close everything. */
void takeover_destroy(struct takeover *takeover);

/* --- the old process: handover.c; nothing waits but for a peer that does not read --- */

struct handover;

/** {"command": "restart"} and {"command": "takeover"}: the response comes when it is known. */
void handover_restart(struct server *server, struct ctl_request *request);
void handover_to_client(struct server *server, struct ctl_request *request);
/** Called before a job is begun: goes on where it waited for the last one. Have jobs to wait? */
bool handover_holds_jobs(struct server *server);
/** The server is told to stop: the new process is not to take over any more. */
void handover_abort(struct server *server, const char *why);
/** Nobody waits for new processes any longer that were told to end. */
void handover_kill(struct server *server);
/** Whoever signals us may mean the server, which is another process now. Returns whether it is. */
bool handover_pass_signal(struct server *server, int signal);
/** All workers have ended: tell the last counters and close. False while another process, that handed over to
 * us, may still tell us some. */
bool handover_end(struct server *server);

#endif
