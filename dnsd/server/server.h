/*
 * server: the running daemon on its main thread: workers, listeners, the snapshot in use, and its changes.
 *
 *     SIGHUP ────────┐
 *     inotify, timer ┼─> job on the thread pool ──new snapshot──> publish to workers ──all adopted──> free
 * the old start ─────────┘   (one at a time)
 */
#ifndef DNSD_SERVER_SERVER_H
#define DNSD_SERVER_SERVER_H

struct server;

/**
 * Load, open the listeners, start the workers. Tells its progress in the log.
 * Returns 0, or negative errno with the reasons logged.
 */
int server_create(const char *conf_path, struct server **ret_server);

/** Serve until SIGTERM or SIGINT. Returns the exit status. */
int server_run(struct server *server);

void server_destroy(struct server *server);

#endif
