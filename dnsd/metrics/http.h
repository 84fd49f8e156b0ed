/*
 * http: /metrics and /healthz over HTTP, on the loop of whoever asks: no thread, no wait.
 *
 *     listening sockets ──accept──> libmicrohttpd, whose epoll descriptor and timeouts the loop watches
 *                                        └─> render(), is_healthy()
 *
 * Connections are few and short-lived: METRICS_CONNECTIONS_MAX at a time, closed after
 * METRICS_IDLE_S without a byte and after each answer. When all are taken the oldest makes room, so that
 * clients who connect and say nothing, or read slowly, cannot keep a scrape waiting. Accepting is done here
 * for that reason: the library would stop to accept instead.
 */
#ifndef DNSD_METRICS_HTTP_H
#define DNSD_METRICS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/diag.h"
#include "conf/conf.h"

#define METRICS_CONNECTIONS_MAX 16
#define METRICS_IDLE_S          10
#define METRICS_HEALTH_TEXT_MAX 256

struct metrics_calls {
	/** The text for GET /metrics, freed here; NULL when out of memory. */
	char *(*render)(void *context, size_t *ret_len);
	/** For GET /healthz: is all well? If not, text says why in one line without a newline. */
	bool (*is_healthy)(void *context, char *text, size_t cap);
	void *context;
};

struct metrics_http;

/** Nothing is served yet. Returns 0 or negative errno. */
int metrics_http_create(uv_loop_t *loop, const struct metrics_calls *calls, struct metrics_http **ret_http);

/**
 * Open what is to be served from now on, without changing anything yet; metrics_http_commit() or
 * metrics_http_abandon() must follow. A socket whose address was served before stays the same.
 *
 * listen   [listen_n] port 0: the kernel chooses
 * Returns  0, or negative errno with diag filled and nothing left to abandon
 */
int metrics_http_prepare(struct metrics_http *http, const struct conf_listen *listen, size_t listen_n,
                         struct diag *diag);
/**
 * A socket of this address that another process has listened on, or the service manager:
 * metrics_http_prepare() finds it in place of a new one. requested: as configured there. Owned from here on;
 * returns 0 or negative errno.
 */
int metrics_http_adopt(struct metrics_http *http, const struct sockaddr_storage *requested, int fd);
/** Tell each socket that is served on. */
void metrics_http_each(const struct metrics_http *http,
                       void (*tell)(void *context, const struct sockaddr_storage *requested, int fd),
                       void *context);
/** Accept no more: another process does. Requests under way are answered. NULL is fine. */
void metrics_http_retire(struct metrics_http *http);
/** Serve on what was prepared and close the other sockets, each with a line in the log. */
void metrics_http_commit(struct metrics_http *http);
void metrics_http_abandon(struct metrics_http *http);

/** Close everything; memory is freed by the loop. NULL is fine. */
void metrics_http_close(struct metrics_http *http);

#endif
