#include "worker/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "net/rrl.h"
#include "net/udp.h"

#define CACHE_LINE    64
#define DRAIN_STEP_MS 5
#define LEAVE_STEP_MS 20
/* For clients to take notice of the end of their connection. */
#define LEAVE_GRACE_MS  3000
#define LISTEN_AGAIN_MS 1000

/* One address being served. */
struct serving {
	struct listener listener; /* its sockets */
	struct udp_socket udp;    /* not with TLS */
	struct tcp_listener tcp;
	bool has_udp; /* the loop watches it */
	bool has_tcp;
	struct serving *next;
	unsigned open_n; /* handles not closed yet */
};

/* What the main thread has posted and the worker has not picked up. */
struct mailbox {
	uv_mutex_t lock; /* never taken on the query path */
	struct listener *listeners;
	size_t listeners_n;
	bool has_listeners;
	bool has_limits;
	struct tcp_limits limits; /* with a reference of tls while has_limits */
	struct rrl *rrl;
	bool has_rrl;
	bool stop;
	uint32_t drain_ms;
	bool leave;
	uint32_t leave_ms;
};

struct worker {
	struct net_context net; /* first: its address is the worker's */
	struct worker_config config;
	uv_thread_t thread;
	uv_loop_t loop;
	uv_async_t wake;
	uv_timer_t drain;
	uv_timer_t listen_again;
	struct udp_buffers *buffers;
	struct tcp_server *tcp;
	struct serving *servings;
	struct udp_socket probe; /* fd -1 = none */
	const struct snap *snap;
	uint64_t drain_until_ms; /* or leave until then */
	bool stopping;
	bool leaving;
	struct mailbox mailbox;
	/* Shared with the main thread, on a line of their own. */
	_Alignas(CACHE_LINE) _Atomic(const struct snap *) next;
	_Atomic(const struct snap *) adopted;
	atomic_bool listeners_done;
	atomic_bool stopped;
	atomic_int filter_error;
};

/* Zeroed memory on cache lines of its own, to be freed with free(). */
static void *create_on_lines(size_t size)
{
	size = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	void *memory = aligned_alloc(CACHE_LINE, size);
	if (memory)
		memset(memory, 0, size);
	return memory;
}

static void adopt(struct worker *worker)
{
	const struct snap *next = atomic_load_explicit(&worker->next, memory_order_acquire);
	if (next == worker->snap)
		return;
	worker->snap = next;
	worker->net.data = &next->data;
	atomic_store_explicit(&worker->adopted, next, memory_order_release); /* main may free the old one */
	uv_async_send(worker->config.notify);
}

static void between_batches(struct net_context *net)
{
	adopt((struct worker *)net);
	/* Read from memory that the kernel shares: no system call. Seconds need no finer clock. */
	struct timespec now;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	net->state.now_s = (uint32_t)now.tv_sec;
}

/* --- listeners --- */

static void on_serving_closed(uv_handle_t *handle)
{
	struct serving *serving = handle->data;
	if (--serving->open_n == 0)
		free(serving);
}

static struct serving *find_serving(const struct worker *worker, int tcp_fd)
{
	struct serving *serving = worker->servings;
	while (serving && serving->listener.tcp_fd != tcp_fd)
		serving = serving->next;
	return serving;
}

/* What the loop does not watch yet. Returns 0 or negative errno: the rest may be watched all the same. */
static int watch_sockets(struct worker *worker, struct serving *serving)
{
	const struct listener *listener = &serving->listener;
	int rc = 0;
	if (!listener->tls && !serving->has_udp) {
		rc = udp_open(&serving->udp, &worker->loop, listener->udp_fd, listener->wildcard,
		              worker->buffers, &worker->net);
		serving->has_udp = rc == 0;
		serving->udp.poll.data = serving;
	}
	if (!serving->has_tcp) {
		int tcp_rc = tcp_listen(&serving->tcp, worker->tcp, listener->tcp_fd, listener->tls);
		serving->has_tcp = tcp_rc == 0;
		serving->tcp.acceptor.poll.data = serving;
		if (rc == 0)
			rc = tcp_rc;
	}
	return rc;
}

static int start_serving(struct worker *worker, const struct listener *listener)
{
	/* Written with each batch: on lines that no other worker's memory shares. */
	struct serving *serving = create_on_lines(sizeof(*serving));
	if (!serving)
		return -ENOMEM;
	serving->listener = *listener;
	serving->next = worker->servings;
	worker->servings = serving;
	return watch_sockets(worker, serving);
}

static void stop_serving(struct serving *serving)
{
	serving->open_n = (unsigned)serving->has_udp + serving->has_tcp;
	if (serving->has_udp)
		udp_close(&serving->udp, on_serving_closed);
	else if (!serving->listener.tls)
		close(serving->listener.udp_fd);
	if (serving->has_tcp)
		tcp_listener_close(&serving->tcp, on_serving_closed);
	else
		close(serving->listener.tcp_fd);
	if (serving->open_n == 0)
		free(serving);
}

static bool has_listener(const struct listener *listeners, size_t listeners_n, int tcp_fd)
{
	for (size_t i = 0; i < listeners_n; i++) {
		if (listeners[i].tcp_fd == tcp_fd)
			return true;
	}
	return false;
}

/*
 * The kernel goes on to hand a socket its share of the clients, so one that cannot be watched, for lack of
 * memory say, is tried until it can.
 */
static void on_listen_again(uv_timer_t *timer)
{
	struct worker *worker = timer->data;
	bool failed = false;
	for (struct serving *serving = worker->servings; serving; serving = serving->next) {
		if (watch_sockets(worker, serving) < 0) {
			worker->net.counters.listen_failures++;
			failed = true;
		}
	}
	if (!failed)
		uv_timer_stop(timer);
}

static void change_listeners(struct worker *worker, const struct listener *listeners, size_t listeners_n)
{
	/* New ones first: an address that moves is never without a socket. */
	for (size_t i = 0; i < listeners_n; i++) {
		if (find_serving(worker, listeners[i].tcp_fd) || start_serving(worker, &listeners[i]) == 0)
			continue;
		worker->net.counters.listen_failures++;
		uv_timer_start(&worker->listen_again, on_listen_again, LISTEN_AGAIN_MS, LISTEN_AGAIN_MS);
	}
	for (struct serving **at = &worker->servings; *at;) {
		struct serving *serving = *at;
		if (has_listener(listeners, listeners_n, serving->listener.tcp_fd)) {
			at = &serving->next;
		} else {
			*at = serving->next;
			stop_serving(serving);
		}
	}
	atomic_store(&worker->listeners_done, true);
	uv_async_send(worker->config.notify);
}

/* --- rate limits --- */

static int create_rate_limit(const struct rrl_config *config, struct rrl **ret_rrl)
{
	uint64_t seed[2] = { 0 };
	/* Waits at most at the start of the machine, and then gives so few bytes whole. */
	(void)!getrandom(seed, sizeof(seed), 0);
	return rrl_create(config, seed, ret_rrl);
}

static void change_rate_limit(struct worker *worker, struct rrl *rrl)
{
	if (rrl && worker->net.rrl)
		rrl_inherit(rrl, worker->net.rrl);
	rrl_destroy(worker->net.rrl);
	worker->net.rrl = rrl;
}

/* --- stop --- */

static void end(struct worker *worker)
{
	tcp_server_close(worker->tcp);
	uv_close((uv_handle_t *)&worker->drain, NULL);
	uv_close((uv_handle_t *)&worker->listen_again, NULL);
	uv_close((uv_handle_t *)&worker->wake, NULL);
}

static void on_drain(uv_timer_t *timer)
{
	struct worker *worker = timer->data;
	tcp_server_drain(worker->tcp);
	if (tcp_server_open_n(worker->tcp) && uv_now(&worker->loop) < worker->drain_until_ms)
		return;
	end(worker);
}

static void on_leave(uv_timer_t *timer)
{
	struct worker *worker = timer->data;
	uint64_t now_ms = uv_now(&worker->loop);
	if (tcp_server_open_n(worker->tcp)) {
		if (now_ms < worker->drain_until_ms)
			return;
		tcp_server_leave(worker->tcp);
		if (now_ms < worker->drain_until_ms + LEAVE_GRACE_MS)
			return;
	}
	end(worker);
}

static void close_probe(struct worker *worker)
{
	if (worker->probe.fd < 0)
		return;
	udp_close(&worker->probe, NULL);
	worker->probe.fd = -1;
}

static void begin_leave(struct worker *worker, uint32_t leave_ms)
{
	if (worker->stopping)
		return;
	worker->stopping = worker->leaving = true;
	change_listeners(worker, NULL, 0);
	close_probe(worker);
	uv_update_time(&worker->loop);
	worker->drain_until_ms = uv_now(&worker->loop) + leave_ms;
	uv_timer_start(&worker->drain, on_leave, 0, LEAVE_STEP_MS);
}

static void begin_stop(struct worker *worker, uint32_t drain_ms)
{
	if (worker->stopping && !worker->leaving)
		return;
	if (!worker->leaving)
		change_listeners(worker, NULL, 0);
	worker->stopping = true;
	worker->leaving = false;
	close_probe(worker);
	if (uv_is_closing((uv_handle_t *)&worker->drain))
		return;
	uv_update_time(&worker->loop);
	tcp_server_drain(worker->tcp);
	worker->drain_until_ms = uv_now(&worker->loop) + drain_ms;
	uv_timer_start(&worker->drain, on_drain, 0, DRAIN_STEP_MS);
}

/* --- thread --- */

static void on_wake(uv_async_t *async)
{
	struct worker *worker = async->data;
	struct mailbox *mailbox = &worker->mailbox;
	adopt(worker);
	uv_mutex_lock(&mailbox->lock);
	struct mailbox got = *mailbox;
	mailbox->listeners = NULL;
	mailbox->has_listeners = false;
	mailbox->has_limits = false;
	mailbox->rrl = NULL;
	mailbox->has_rrl = false;
	uv_mutex_unlock(&mailbox->lock);
	if (got.has_limits) {
		tcp_server_set_limits(worker->tcp, &got.limits);
		tls_context_unref(got.limits.tls);
	}
	if (got.has_rrl)
		change_rate_limit(worker, got.rrl);
	if (got.has_listeners && !worker->stopping)
		change_listeners(worker, got.listeners, got.listeners_n);
	free(got.listeners);
	if (got.leave)
		begin_leave(worker, got.leave_ms);
	if (got.stop)
		begin_stop(worker, got.drain_ms);
}

static void run(void *argument)
{
	struct worker *worker = argument;
	char name[16];
	snprintf(name, sizeof(name), "dnsd-worker-%u", worker->config.index);
	pthread_setname_np(pthread_self(), name);
	if (worker->config.cpu >= 0) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET((size_t)worker->config.cpu, &set);
		/* Only a matter of speed: where it is not allowed, the kernel places the thread. */
		(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	}
	if (worker->config.filter)
		atomic_store(&worker->filter_error, -filter_install(worker->config.filter));
	uv_run(&worker->loop, UV_RUN_DEFAULT);
	atomic_store(&worker->stopped, true);
	uv_async_send(worker->config.notify);
}

/* Rotation goes on from a random place, so that workers and restarts do not step together. */
static void seed_rotation(struct answer_state *state)
{
	size_t done = 0;
	while (done < sizeof(state->rotation)) {
		ssize_t got = getrandom((uint8_t *)state->rotation + done, sizeof(state->rotation) - done, 0);
		if (got <= 0)
			return;
		done += (size_t)got;
	}
}

static int start_thread(struct worker *worker)
{
	/* Signals are the main thread's: blocked while the thread is made, they stay so in it. */
	sigset_t all;
	sigset_t before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = uv_thread_create(&worker->thread, run, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int worker_start(const struct worker_config *config, const struct snap *snap,
                 const struct listener *listeners, size_t listeners_n, struct worker **ret_worker)
{
	struct worker *worker = create_on_lines(sizeof(*worker));
	if (!worker)
		return -ENOMEM;
	worker->config = *config;
	worker->snap = snap;
	worker->net.data = &snap->data;
	worker->net.between_batches = between_batches;
	atomic_init(&worker->next, snap);
	atomic_init(&worker->adopted, snap);
	atomic_init(&worker->listeners_done, true);
	seed_rotation(&worker->net.state);
	worker->buffers = udp_buffers_create();
	int rc = worker->buffers ? uv_loop_init(&worker->loop) : -ENOMEM;
	if (rc == 0 && config->rate_limit)
		rc = create_rate_limit(config->rate_limit, &worker->net.rrl);
	if (rc == 0)
		rc = uv_mutex_init(&worker->mailbox.lock);
	if (rc == 0)
		rc = uv_async_init(&worker->loop, &worker->wake, on_wake);
	if (rc == 0)
		rc = uv_timer_init(&worker->loop, &worker->drain);
	if (rc == 0)
		rc = uv_timer_init(&worker->loop, &worker->listen_again);
	worker->wake.data = worker;
	worker->listen_again.data = worker;
	worker->drain.data = worker;
	if (rc == 0)
		rc = tcp_server_create(&worker->loop, &worker->net, &config->tcp, &worker->tcp);
	worker->config.tcp.tls = NULL; /* the server has a reference, we have none */
	for (size_t i = 0; i < listeners_n && rc == 0; i++)
		rc = start_serving(worker, &listeners[i]);
	worker->probe.fd = -1;
	worker->probe.is_own = true;
	if (rc == 0 && config->probe_fd >= 0)
		rc = udp_open(&worker->probe, &worker->loop, config->probe_fd, false, worker->buffers,
		              &worker->net);
	if (rc == 0)
		rc = start_thread(worker);
	if (rc < 0)
		return rc; /* the process ends: a loop with open handles is not taken apart */
	*ret_worker = worker;
	return 0;
}

void worker_publish(struct worker *worker, const struct snap *snap)
{
	atomic_store_explicit(&worker->next, snap, memory_order_release);
	uv_async_send(&worker->wake);
}

const struct snap *worker_adopted(const struct worker *worker)
{
	return atomic_load_explicit(&worker->adopted, memory_order_acquire);
}

void worker_set_tcp(struct worker *worker, const struct tcp_limits *limits)
{
	uv_mutex_lock(&worker->mailbox.lock);
	if (worker->mailbox.has_limits)
		tls_context_unref(worker->mailbox.limits.tls);
	worker->mailbox.has_limits = true;
	worker->mailbox.limits = *limits;
	tls_context_ref(limits->tls);
	uv_mutex_unlock(&worker->mailbox.lock);
	uv_async_send(&worker->wake);
}

int worker_set_rate_limit(struct worker *worker, const struct rrl_config *config)
{
	struct rrl *rrl = NULL;
	int rc = config ? create_rate_limit(config, &rrl) : 0;
	if (rc < 0)
		return rc;
	uv_mutex_lock(&worker->mailbox.lock);
	rrl_destroy(worker->mailbox.rrl); /* never looked at */
	worker->mailbox.rrl = rrl;
	worker->mailbox.has_rrl = true;
	uv_mutex_unlock(&worker->mailbox.lock);
	uv_async_send(&worker->wake);
	return 0;
}

int worker_set_listeners(struct worker *worker, const struct listener *listeners, size_t listeners_n)
{
	struct listener *copy = calloc(listeners_n + 1, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, listeners, listeners_n * sizeof(*copy));
	uv_mutex_lock(&worker->mailbox.lock);
	free(worker->mailbox
	             .listeners); /* a set that was never looked at: its new sockets are in this one too */
	worker->mailbox.listeners = copy;
	worker->mailbox.listeners_n = listeners_n;
	worker->mailbox.has_listeners = true;
	atomic_store(&worker->listeners_done, false);
	uv_mutex_unlock(&worker->mailbox.lock);
	uv_async_send(&worker->wake);
	return 0;
}

bool worker_listeners_done(const struct worker *worker)
{
	return atomic_load(&worker->listeners_done);
}

void worker_stop(struct worker *worker, uint32_t drain_ms)
{
	uv_mutex_lock(&worker->mailbox.lock);
	if (!worker->mailbox.stop) /* said twice, the first counts */
		worker->mailbox.drain_ms = drain_ms;
	worker->mailbox.stop = true;
	uv_mutex_unlock(&worker->mailbox.lock);
	uv_async_send(&worker->wake);
}

void worker_leave(struct worker *worker, uint32_t leave_ms)
{
	uv_mutex_lock(&worker->mailbox.lock);
	worker->mailbox.leave = true;
	worker->mailbox.leave_ms = leave_ms;
	uv_mutex_unlock(&worker->mailbox.lock);
	uv_async_send(&worker->wake);
}

bool worker_stopped(const struct worker *worker)
{
	return atomic_load(&worker->stopped);
}

int worker_filter_error(const struct worker *worker)
{
	return atomic_load(&worker->filter_error);
}

void worker_join(struct worker *worker)
{
	uv_thread_join(&worker->thread);
	uv_loop_close(&worker->loop);
	uv_mutex_destroy(&worker->mailbox.lock);
	free(worker->mailbox.listeners);
	rrl_destroy(worker->mailbox.rrl);
	rrl_destroy(worker->net.rrl);
	if (worker->mailbox.has_limits)
		tls_context_unref(worker->mailbox.limits.tls);
	tcp_server_destroy(worker->tcp);
	udp_buffers_destroy(worker->buffers);
	free(worker);
}

/* The worker writes plain aligned 64-bit counters; they are read one by one, each whole. */
static void add_counters(uint64_t *sum, const uint64_t *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(*sum); i++)
		sum[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void worker_read_counters(const struct worker *worker, struct answer_counters *sum,
                          struct net_counters *sum_net)
{
	add_counters((uint64_t *)sum, (const uint64_t *)&worker->net.state.counters, sizeof(*sum));
	add_counters((uint64_t *)sum_net, (const uint64_t *)&worker->net.counters, sizeof(*sum_net));
}

void worker_read_pings(const struct worker *worker, size_t n, struct answer_pings *sums)
{
	add_counters((uint64_t *)sums, (const uint64_t *)worker->net.state.pings, n * sizeof(*sums));
}

void worker_read_countries(const struct worker *worker, uint64_t *sums)
{
	add_counters(sums, worker->net.state.countries, COUNTRY_N * sizeof(*sums));
}

void worker_read_first(const struct worker *worker, size_t n, uint64_t *sums)
{
	add_counters(sums, worker->net.state.first, n * sizeof(*sums));
}
