/*
 * server: the running daemon on its main thread: workers, listeners, the snapshot in use, and its changes.
 *
 *     SIGHUP ────────┐
 *     inotify, timer ┼─> job on the thread pool ──new snapshot──> publish to workers ──all adopted──> free
 * the old start ─────────┘   (one at a time)
 */
#ifndef DNSD_SERVER_SERVER_H
#define DNSD_SERVER_SERVER_H

#include <stdbool.h>

struct launcher;
struct server;

/** How the process was started; borrowed, for as long as the server is. */
struct server_start {
	const char *conf_path;
	char **argv;               /* for the process that a restart starts */
	bool takeover;             /* from the process that listens on the control socket, if there is one */
	struct launcher *launcher; /* the server's from here on; NULL = no restart out of the sandbox */
};

/** Keep HUP, USR1 and USR2 back until server_create() can take them: a reload of whatever is called dnsd must
 * not end one that still loads. Before there are threads. */
void server_hold_signals(void);

/**
 * Load, open the listeners or take them over (takeover.h), start the workers. Tells its progress in the log.
 * Returns 0, or negative errno with the reasons logged.
 */
int server_create(const struct server_start *start, struct server **ret_server);

/** Serve until SIGTERM or SIGINT. What hangs then is left behind: the process ends in here. Returns the exit
 * status. */
int server_run(struct server *server);

void server_destroy(struct server *server);

#endif
