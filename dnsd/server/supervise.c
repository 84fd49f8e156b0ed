#include "server/supervise.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "server/server_int.h"
#include "service/notify.h"
#include "service/watchdog.h"
#include "wire/name.h"
#include "wire/wire.h"

#define PROBE_MAX    512
#define PROBE_TRY_MS 200
/* Rounds missed when the log names the worker: its last answer is three of the four in the manager's limit
 * ago. */
#define TELL_AFTER_ROUNDS 1
/* The manager takes no more messages for now: when it is tried again, and how long a new main process may
 * wait for that. */
#define AGAIN_MS          100
#define HAND_OVER_MS      2000
#define HAND_OVER_STEP_MS 20

struct probe {
	uv_poll_t poll;
	struct supervise *supervise;
	unsigned worker;
	int fd;        /* ours */
	int worker_fd; /* -1 = the worker has it */
};

struct supervise {
	struct server *server;
	struct notify notify;
	uint64_t limit_us; /* of the manager; 0 = it wants no watchdog */
	uv_timer_t timer;
	struct watchdog watchdog;
	struct probe *probes;
	unsigned probes_n;
	bool started;
	uv_timer_t again;
	char unsaid[128]; /* lines that the manager has not taken yet; a status goes with them */
	bool has_unsaid;
	char status[256]; /* as told last */
};

static uint64_t round_ms(const struct supervise *supervise)
{
	uint64_t ms = supervise->limit_us / 1000 / WATCHDOG_ROUNDS;
	return ms ? ms : 1;
}

/* --- status --- */

static void format_status(const struct server *server, char *text, size_t cap)
{
	const struct conf *conf = server->load->conf;
	size_t in_n;
	size_t all_n = zones_mirrors_n(server->load->zones, &in_n);
	int len = snprintf(text, cap, "%s: generation=%" PRIu64 " zones=%zu",
	                   server->stopping ? "stopping" : "serving", server->generation, conf->zones_n);
	if (conf->pools_n && len > 0 && (size_t)len < cap)
		len += snprintf(text + len, cap - (size_t)len, " mirrors=%zu/%zu", in_n, all_n);
	if (server->metrics.reload_failed && len > 0 && (size_t)len < cap)
		snprintf(text + len, cap - (size_t)len, "; the last reload failed, see the log");
}

static void on_again(uv_timer_t *timer);

/* A READY=1 that is lost would have a healthy server killed, a MAINPID= the new one. */
static int say(struct supervise *supervise, const char *state)
{
	/* The status is the new process's to tell. */
	int rc = supervise->server->handed_over
	                 ? notify_send(&supervise->notify, "%s", state)
	                 : notify_send(&supervise->notify, "%sSTATUS=%s\n", state, supervise->status);
	supervise->has_unsaid = rc == -EAGAIN || rc == -ENOBUFS;
	if (supervise->has_unsaid) {
		if (state != supervise->unsaid)
			snprintf(supervise->unsaid, sizeof(supervise->unsaid), "%s", state);
		uv_timer_start(&supervise->again, on_again, AGAIN_MS, 0);
	} else if (rc < 0) {
		log_debug("cannot tell the service manager: %s", strerror(-rc));
	}
	return rc;
}

static void on_again(uv_timer_t *timer)
{
	struct supervise *supervise = timer->data;
	if (supervise->has_unsaid)
		(void)say(supervise, supervise->unsaid);
	if (!supervise->has_unsaid)
		uv_async_send(&supervise->server->notify);
}

/* Lines that are not said yet are said with it, unless it has newer ones. */
static void tell(struct supervise *supervise, const char *state)
{
	char status[sizeof(supervise->status)];
	format_status(supervise->server, status, sizeof(status));
	if (!*state && strcmp(status, supervise->status) == 0)
		return;
	memcpy(supervise->status, status, sizeof(status));
	(void)say(supervise, *state || !supervise->has_unsaid ? state : supervise->unsaid);
}

/* --- the watchdog --- */

/* The zone's SOA: a question that a healthy server always has an answer to. */
static size_t make_question(const struct server *server, uint16_t id, uint8_t *wire)
{
	const struct conf *conf = server->load->conf;
	memset(wire, 0, WIRE_HEADER_LEN + 1);
	wire_put16(wire, id);
	wire[5] = 1;
	uint8_t *at = wire + WIRE_HEADER_LEN;
	int name_len = name_from_text(conf->zones_n ? conf->zones[0].name : ".", NULL, 0, at);
	at += name_len < 0 ? 1 : name_len; /* of the root, which stands there as a zero byte */
	wire_put16(at, WIRE_TYPE_SOA);
	wire_put16(at + 2, WIRE_CLASS_IN);
	return (size_t)(at + 4 - wire);
}

static void on_answer(uv_poll_t *poll, int status, int events)
{
	struct probe *probe = poll->data;
	struct supervise *supervise = probe->supervise;
	uint8_t wire[PROBE_MAX];
	ssize_t len;
	(void)events;
	while ((len = recv(probe->fd, wire, sizeof(wire), MSG_DONTWAIT)) >= 0) {
		bool is_answer = len >= WIRE_HEADER_LEN && wire_get16(wire + 2) & WIRE_FLAG_QR;
		if (is_answer && !supervise->server->handed_over &&
		    watchdog_answered(&supervise->watchdog, probe->worker, wire_get16(wire)))
			notify_send(&supervise->notify, "WATCHDOG=1\n");
	}
	/* libuv gives up a socket after an error, which recv() has taken. */
	if (status < 0 && !supervise->server->stopping)
		uv_poll_start(poll, UV_READABLE, on_answer);
}

static void on_round(uv_timer_t *timer)
{
	struct supervise *supervise = timer->data;
	/* Workers that stop close their sockets at different times. */
	if (supervise->server->stopping || supervise->probes_n == 0) {
		notify_send(&supervise->notify, "WATCHDOG=1\n");
		return;
	}
	for (unsigned i = 0; i < supervise->probes_n; i++) {
		if (watchdog_missed(&supervise->watchdog, i) == TELL_AFTER_ROUNDS)
			log_error("watchdog: worker %u has not answered for %" PRIu64
			          " ms; the service manager will end this process when that goes on",
			          i, (TELL_AFTER_ROUNDS + 1) * round_ms(supervise));
	}
	uint16_t id = (uint16_t)watchdog_begin(&supervise->watchdog);
	uint8_t wire[PROBE_MAX];
	size_t len = make_question(supervise->server, id, wire);
	for (unsigned i = 0; i < supervise->probes_n; i++)
		(void)send(supervise->probes[i].fd, wire, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A byte each way: a firewall on loopback would make healthy workers look dead, and the manager restart us
 * for ever. */
static int try_pair(const int fds[2])
{
	char byte = 0;
	for (int i = 0; i < 2; i++) {
		struct pollfd other = { .fd = fds[1 - i], .events = POLLIN };
		if (send(fds[i], &byte, 1, MSG_NOSIGNAL) < 0)
			return -errno;
		if (poll(&other, 1, PROBE_TRY_MS) != 1 || recv(other.fd, &byte, 1, MSG_DONTWAIT) != 1)
			return -EHOSTUNREACH;
	}
	return 0;
}

/* Two UDP sockets on loopback that hear nobody but each other. */
static int open_pair(int fds[2])
{
	struct sockaddr_in addrs[2];
	int rc = 0;
	fds[0] = fds[1] = -1;
	for (int i = 0; i < 2 && rc == 0; i++) {
		addrs[i] = (struct sockaddr_in){ .sin_family = AF_INET,
			                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof(addrs[i]);
		fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fds[i] < 0 || bind(fds[i], (struct sockaddr *)&addrs[i], sizeof(addrs[i])) < 0 ||
		    getsockname(fds[i], (struct sockaddr *)&addrs[i], &len) < 0)
			rc = -errno;
	}
	for (int i = 0; i < 2 && rc == 0; i++) {
		if (connect(fds[i], (struct sockaddr *)&addrs[1 - i], sizeof(addrs[0])) < 0)
			rc = -errno;
	}
	if (rc == 0)
		rc = try_pair(fds);
	for (int i = 0; i < 2 && rc < 0; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	return rc;
}

static int open_pairs(struct supervise *supervise, unsigned workers_n)
{
	for (unsigned i = 0; i < workers_n; i++) {
		int fds[2];
		int rc = open_pair(fds);
		if (rc < 0) {
			for (unsigned k = 0; k < i; k++) {
				close(supervise->probes[k].fd);
				close(supervise->probes[k].worker_fd);
			}
			return rc;
		}
		supervise->probes[i] = (struct probe){
			.supervise = supervise, .worker = i, .fd = fds[0], .worker_fd = fds[1]
		};
	}
	return 0;
}

int supervise_open_probes(struct supervise *supervise, unsigned workers_n)
{
	if (!supervise->limit_us)
		return 0;
	int rc = watchdog_init(&supervise->watchdog, workers_n);
	supervise->probes = rc == 0 ? calloc(workers_n, sizeof(*supervise->probes)) : NULL;
	if (!supervise->probes)
		return -ENOMEM;
	rc = open_pairs(supervise, workers_n);
	if (rc < 0) {
		log_warning(
		        "watchdog: it sees the main thread only: no UDP packet gets over loopback: %s; look "
		        "after the firewall",
		        strerror(-rc));
		return 0;
	}
	for (unsigned i = 0; i < workers_n && rc == 0; i++) {
		struct probe *probe = &supervise->probes[i];
		rc = uv_poll_init(&supervise->server->loop, &probe->poll, probe->fd);
		if (rc < 0)
			break;
		supervise->probes_n++;
		probe->poll.data = probe;
		rc = uv_poll_start(&probe->poll, UV_READABLE, on_answer);
	}
	if (rc < 0)
		log_error("watchdog: %s", uv_strerror(rc));
	return rc;
}

int supervise_probe_fd(const struct supervise *supervise, unsigned worker)
{
	return worker < supervise->probes_n ? supervise->probes[worker].worker_fd : -1;
}

/* --- life --- */

int supervise_create(struct server *server, struct supervise **ret_supervise)
{
	struct supervise *supervise = calloc(1, sizeof(*supervise));
	if (!supervise)
		return -ENOMEM;
	supervise->server = server;
	int rc = notify_open(getenv("NOTIFY_SOCKET"), &supervise->notify);
	if (rc < 0)
		log_warning("cannot use NOTIFY_SOCKET=%s: %s", getenv("NOTIFY_SOCKET"), strerror(-rc));
	if (supervise->notify.fd >= 0)
		supervise->limit_us = notify_watchdog_us(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	uv_timer_init(&server->loop, &supervise->timer);
	uv_timer_init(&server->loop, &supervise->again);
	supervise->timer.data = supervise->again.data = supervise;
	*ret_supervise = supervise;
	return 0;
}

void supervise_start(struct supervise *supervise)
{
	supervise->started = true;
	tell(supervise, "READY=1\n");
	if (!supervise->limit_us)
		return;
	log_info("watchdog: every worker is asked each %" PRIu64 " ms", round_ms(supervise));
	uv_timer_start(&supervise->timer, on_round, 0, round_ms(supervise));
}

void supervise_reloading(struct supervise *supervise)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (supervise->started)
		notify_send(&supervise->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading\n",
		            (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

void supervise_job_done(struct supervise *supervise, bool was_reload)
{
	if (supervise->started && !supervise->server->stopping)
		tell(supervise, was_reload ? "READY=1\n" : "");
}

void supervise_stopping(struct supervise *supervise)
{
	char text[96];
	uint64_t ms = (uint64_t)supervise->server->load->conf->stop_drain_ms + STOP_TOLD_MS;
	snprintf(text, sizeof(text), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\n", ms * 1000);
	tell(supervise, text);
}

void supervise_describe(const struct supervise *supervise, json_t *body)
{
	if (supervise->notify.fd < 0)
		return;
	json_object_set_new(body, "notify", json_string(getenv("NOTIFY_SOCKET")));
	json_object_set_new(body, "watchdog-us", json_integer((json_int_t)supervise->limit_us));
}

void supervise_hand_over(struct supervise *supervise, int pid)
{
	char text[32];
	snprintf(text, sizeof(text), "MAINPID=%d\n", pid);
	supervise->started = supervise->has_unsaid = false;
	uv_timer_stop(&supervise->timer);
	/* Waits a moment: the new one says READY=1 next, which the manager would not take before. */
	for (int ms = 0; pid && say(supervise, text) == -EAGAIN && ms < HAND_OVER_MS; ms += HAND_OVER_STEP_MS)
		(void)poll(NULL, 0, HAND_OVER_STEP_MS);
}

bool supervise_is_heard(const struct supervise *supervise)
{
	return !supervise->has_unsaid;
}

void supervise_close(struct supervise *supervise)
{
	if (!supervise)
		return;
	uv_close((uv_handle_t *)&supervise->timer, NULL);
	uv_close((uv_handle_t *)&supervise->again, NULL);
	for (unsigned i = 0; i < supervise->probes_n; i++)
		uv_close((uv_handle_t *)&supervise->probes[i].poll, NULL);
}

void supervise_free(struct supervise *supervise)
{
	if (!supervise)
		return;
	for (unsigned i = 0; i < supervise->probes_n; i++)
		close(supervise->probes[i].fd);
	free(supervise->probes);
	watchdog_fini(&supervise->watchdog);
	notify_close(&supervise->notify);
	free(supervise);
}
