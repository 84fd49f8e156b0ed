/*
 * supervise: what the service manager (systemd, or who speaks its protocol) is told, and the watchdog.
 *
 *     four times in WatchdogSec:
 *     main ──SOA of a zone, over UDP──> each worker's probe socket ──> answer_query()
 *     main <──────────answer─────────── all have answered ──> WATCHDOG=1
 *
 * A probe socket is one more UDP socket of the worker, on loopback, connected to its other end in the main
 * thread: what it shows is that the worker's loop, its sockets and its answers work. Without $NOTIFY_SOCKET
 * all of this is nothing.
 */
#ifndef DNSD_SERVER_SUPERVISE_H
#define DNSD_SERVER_SUPERVISE_H

#include <jansson.h>
#include <stdbool.h>

struct server;
struct supervise;

/** Reads the environment. The server's loop must be there. Returns 0 or negative errno. */
int supervise_create(struct server *server, struct supervise **ret_supervise);
/** Where the manager wants a watchdog. What can't be opened is told, and not watched. */
int supervise_open_probes(struct supervise *supervise, unsigned workers_n);
/** The worker's end, which is its own from then on; -1 = none. */
int supervise_probe_fd(const struct supervise *supervise, unsigned worker);

/** READY=1: every query is answered from here on. */
void supervise_start(struct supervise *supervise);
void supervise_reloading(struct supervise *supervise);
/** STATUS=, and READY=1 after a reload. */
void supervise_job_done(struct supervise *supervise, bool was_reload);
void supervise_stopping(struct supervise *supervise);

/** For a process that takes over and does not come from the manager: "notify", "watchdog-us". */
void supervise_describe(const struct supervise *supervise, json_t *body);
/** Another process is the server, as server->handed_over says: nothing is told or watched any more but that.
 * pid 0: not one of the manager's. */
void supervise_hand_over(struct supervise *supervise, int pid);
/** Has the manager taken all of that? Signals the server's notify when it has, later. */
bool supervise_is_heard(const struct supervise *supervise);
/** Close the handles; NULL is fine. */
void supervise_close(struct supervise *supervise);
/** After the loop has ended; NULL is fine. */
void supervise_free(struct supervise *supervise);

#endif
