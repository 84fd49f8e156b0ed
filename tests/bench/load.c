/*
 * load: asks a DNS server at a steady rate over UDP, and tells how long its answers take.
 *
 *     load PORT txt|country|local|nx|mix|echo SECONDS RATE
 *
 * SOCKETS connected sockets on 127.x source addresses. Every answer is matched to its query by id; one in
 * SAMPLE is checked. A query unanswered for a second counts as lost. Prints: answers a second, lost, wrong,
 * and latency percentiles of the sample in microseconds. What a server can do at most, flood measures.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/queries.h"

#define SOCKETS   16
#define WINDOW    64
#define SAMPLE    16
#define LOST_NS   1000000000ULL
#define VARIANTS  4096
#define LATENCIES (1 << 20)

struct client {
	int fd;
	uint32_t sequence;
	unsigned waiting_n;
	uint64_t sent_ns[WINDOW];
	uint16_t ids[WINDOW];
	bool busy[WINDOW];
	const struct query *query[WINDOW];
};

static struct query queries[VARIANTS];
static struct client clients[SOCKETS];
static uint32_t latencies[LATENCIES];
static size_t latencies_n;
static uint64_t answers_n, lost_n, wrong_n, sent_n;
static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void forget_lost(struct client *client)
{
	uint64_t now = now_ns();
	for (unsigned slot = 0; slot < WINDOW; slot++) {
		if (client->busy[slot] && now - client->sent_ns[slot] > LOST_NS) {
			client->busy[slot] = false;
			client->waiting_n--;
			lost_n++;
		}
	}
}

/* Send up to budget queries into free places of the window. */
static unsigned send_some(struct client *client, unsigned budget)
{
	static struct mmsghdr out[WINDOW];
	static struct iovec iov[WINDOW];
	static uint8_t bytes[WINDOW][QUERY_MAX];
	unsigned n = 0;
	uint64_t now = now_ns();
	for (unsigned slot = 0; slot < WINDOW && n < budget; slot++) {
		if (client->busy[slot])
			continue;
		const struct query *query = &queries[client->sequence++ % VARIANTS];
		uint16_t id = (uint16_t)((query_draw() & 0xffc0U) | slot);
		memcpy(bytes[n], query->bytes, query->len);
		if (query->has_subnet)
			query_draw_subnet(bytes[n] + query->len);
		bytes[n][0] = (uint8_t)(id >> 8);
		bytes[n][1] = (uint8_t)id;
		iov[n] = (struct iovec){ bytes[n], query->len };
		out[n].msg_hdr = (struct msghdr){ .msg_iov = &iov[n], .msg_iovlen = 1 };
		client->ids[slot] = id;
		client->busy[slot] = true;
		client->query[slot] = query;
		client->sent_ns[slot] = now;
		n++;
	}
	unsigned done = 0;
	while (done < n) {
		int sent = sendmmsg(client->fd, out + done, n - done, 0);
		if (sent > 0)
			done += (unsigned)sent;
		else if (errno != EINTR && errno != EAGAIN && errno != ECONNREFUSED)
			break;
	}
	client->waiting_n += n;
	sent_n += n;
	return n;
}

static unsigned receive_some(struct client *client, bool echo)
{
	static struct mmsghdr in[WINDOW];
	static struct iovec iov[WINDOW];
	static uint8_t bytes[WINDOW][2048 + 64];
	for (unsigned i = 0; i < WINDOW; i++) {
		iov[i] = (struct iovec){ bytes[i], 2048 };
		in[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	int n = recvmmsg(client->fd, in, WINDOW, MSG_DONTWAIT, NULL);
	if (n <= 0)
		return 0;
	uint64_t now = now_ns();
	for (int i = 0; i < n; i++) {
		unsigned slot = bytes[i][1] & (WINDOW - 1);
		uint16_t id = (uint16_t)(bytes[i][0] << 8 | bytes[i][1]);
		if (!client->busy[slot] || client->ids[slot] != id)
			continue;
		client->busy[slot] = false;
		client->waiting_n--;
		answers_n++;
		if (answers_n % SAMPLE)
			continue;
		if (latencies_n < LATENCIES)
			latencies[latencies_n++] = (uint32_t)((now - client->sent_ns[slot]) / 100);
		if (!echo && !query_is_right(client->query[slot], bytes[i], in[i].msg_len))
			wrong_n++;
	}
	return (unsigned)n;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static double percentile(double share)
{
	return latencies_n ? latencies[(size_t)(share * (double)(latencies_n - 1))] / 10.0 : 0;
}

static int connect_clients(uint16_t port)
{
	for (unsigned i = 0; i < SOCKETS; i++) {
		clients[i].fd = query_connect(port, i);
		if (clients[i].fd < 0) {
			perror("load");
			return -1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	bool echo = argc >= 5 && strcmp(argv[2], "echo") == 0;
	int kind = argc < 5 ? -1 : query_kind_from_text(echo ? "txt" : argv[2]);
	if (kind < 0) {
		fprintf(stderr, "Usage: load PORT txt|country|local|nx|mix|echo SECONDS RATE\n");
		return 2;
	}
	double seconds = atof(argv[3]);
	double rate = atof(argv[4]);
	for (unsigned i = 0; i < VARIANTS; i++)
		query_make(&queries[i], kind == QUERY_KINDS_N ? query_draw_mix() : (enum query_kind)kind);
	if (connect_clients((uint16_t)atoi(argv[1])) < 0)
		return 1;

	uint64_t start = now_ns();
	uint64_t end = start + (uint64_t)(seconds * 1e9);
	uint64_t last_look = start;
	for (uint64_t now = start; now < end; now = now_ns()) {
		unsigned moved = 0;
		for (unsigned i = 0; i < SOCKETS; i++) {
			moved += receive_some(&clients[i], echo);
			double due = rate * (double)(now - start) / 1e9 - (double)sent_n;
			unsigned budget = due <= 0 ? 0 : due > 8 ? 8 : (unsigned)due;
			if (budget)
				moved += send_some(&clients[i], budget);
		}
		if (!moved) {
			struct timespec pause = { 0, 20000 };
			nanosleep(&pause, NULL);
		}
		if (now - last_look > LOST_NS / 4) {
			for (unsigned i = 0; i < SOCKETS; i++)
				forget_lost(&clients[i]);
			last_look = now;
		}
	}
	double took = (double)(now_ns() - start) / 1e9;
	uint64_t counted = answers_n;
	/* What is still under way has a second to arrive. */
	uint64_t last = now_ns() + LOST_NS;
	unsigned waiting = 1;
	while (waiting && now_ns() < last) {
		waiting = 0;
		for (unsigned i = 0; i < SOCKETS; i++) {
			receive_some(&clients[i], echo);
			waiting += clients[i].waiting_n;
		}
	}
	lost_n += waiting;
	qsort(latencies, latencies_n, sizeof(*latencies), compare);
	printf("rate=%.0f lost=%" PRIu64 " wrong=%" PRIu64 " p50=%.1f p90=%.1f p99=%.1f p999=%.1f\n",
	       (double)counted / took, lost_n, wrong_n, percentile(0.5), percentile(0.9), percentile(0.99),
	       percentile(0.999));
	return wrong_n ? 1 : 0;
}
