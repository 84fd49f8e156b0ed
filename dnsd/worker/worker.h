/*
 * worker: a thread that answers queries, with its own libuv loop, sockets, buffers, counters.
 *
 *     main ──snapshot pointer, listeners, stop──> worker (uv_async) ──adopted, drained──> main (uv_async)
 *
 * Sockets are opened by the main thread (binding may need privilege) and owned by the worker from the
 * hand-over on. A worker changes to a new snapshot only between two batches, then says so; main frees the old
 * one when all have.
 */
#ifndef DNSD_WORKER_WORKER_H
#define DNSD_WORKER_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "answer/answer.h"
#include "net/listener.h"
#include "net/net_context.h"
#include "net/tcp.h"
#include "sandbox/filter.h"
#include "snap/snap.h"

struct rrl_config;
struct worker;

struct worker_config {
	unsigned index;
	int cpu;               /* pin to this core; -1 = do not pin */
	struct tcp_limits tcp; /* tls: a reference of its own is taken */
	const struct rrl_config
	        *rate_limit; /* net/rrl.h; borrowed while the worker starts; NULL = no limits */
	uv_async_t *notify;  /* main's: signalled when a snapshot was adopted, listeners were changed or the
	                        worker has drained */
	int probe_fd;        /* a UDP socket of the watchdog, owned; -1 = none */
	const struct filter
	        *filter; /* the system calls the thread may make; NULL = all. Outlives the worker */
};

/** Start the thread. listeners: open sockets, owned by the worker on success. Returns 0 or
 * negative errno. */
int worker_start(const struct worker_config *config, const struct snap *snap,
                 const struct listener *listeners, size_t listeners_n, struct worker **ret_worker);

/** Post a new snapshot; it is in use soon after, see worker_adopted(). Main thread only. */
void worker_publish(struct worker *worker, const struct snap *snap);
/** The snapshot this worker uses now: once it equals the one published, the one before is not touched any
 * more. */
const struct snap *worker_adopted(const struct worker *worker);

/** New limits for connections from now on; a reference of its own is taken of tls. Posted before
 * worker_set_listeners(), they hold for the first connection of a new listener. */
void worker_set_tcp(struct worker *worker, const struct tcp_limits *limits);
/**
 * Limit answers over UDP so from now on; NULL = not at all. What is known of prefixes stays, unless the table
 * has another size. Returns 0 or -ENOMEM: nothing has changed.
 */
int worker_set_rate_limit(struct worker *worker, const struct rrl_config *config);
/**
 * Replace the set of listeners. Sockets in both sets (same fd) stay as they are; the others of the old set
 * answer what already waits in their queue, then close (open TCP connections live on). Takes the sockets
 * over. Main thread only.
 */
int worker_set_listeners(struct worker *worker, const struct listener *listeners, size_t listeners_n);
/** True once the last worker_set_listeners() is in force. */
bool worker_listeners_done(const struct worker *worker);

/**
 * Stop: answer what waits in the UDP queues, accept no more, let TCP connections finish what they have sent
 * for up to drain_ms, then end the thread. worker_stopped() turns true; worker_join() frees it.
 */
void worker_stop(struct worker *worker, uint32_t drain_ms);
/**
 * Another process has the same sockets and serves: take no more from them, and let TCP connections live on,
 * idle limit and all, for up to leave_ms; each of those left then ends after its next answer
 * (tcp_server_leave()). Then the thread ends as after worker_stop(), which may still be called to hurry.
 */
void worker_leave(struct worker *worker, uint32_t leave_ms);
bool worker_stopped(const struct worker *worker);
/** Why the filter could not be installed, an errno; 0 = it was, or there is none. */
int worker_filter_error(const struct worker *worker);
void worker_join(struct worker *worker);

/** Add this worker's counters to the sums. Any thread; values may lag by a batch. */
void worker_read_counters(const struct worker *worker, struct answer_counters *sum,
                          struct net_counters *sum_net);
/** The same for the usage reports about the first n mirrors. */
void worker_read_pings(const struct worker *worker, size_t n, struct answer_pings *sums);
/** The same for the countries of who asked; sums has COUNTRY_N entries. */
void worker_read_countries(const struct worker *worker, uint64_t *sums);
/** The same for the first n mirrors that stood first in answers. */
void worker_read_first(const struct worker *worker, size_t n, uint64_t *sums);

#endif
