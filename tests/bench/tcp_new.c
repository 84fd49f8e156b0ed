/*
 * tcp_new: how many queries a second a DNS server answers over TCP when each comes on a connection of its
 * own.
 *
 *     tcp_new PORT SECONDS
 *
 * CLIENTS connections at a time: connect, one question, its answer, close, the next. The client closes first,
 * as resolvers do, so the closed ones wait on this side; source addresses of 127/8 are used in turn, because
 * each has only so many ports. Every answer is checked. Prints answers a second, those that failed, and those
 * wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/queries.h"

#define CLIENTS  64
#define SOURCES  200
#define EVENTS   64
#define VARIANTS 1024
#define FRAME    2 /* bytes of length before a message, RFC 1035 section 4.2.2 */

struct client {
	int fd;
	const struct query *query;
	bool sent;
	size_t have; /* bytes of the answer's frame */
	uint8_t answer[FRAME + 1024];
};

static struct query queries[VARIANTS];
static struct client clients[CLIENTS];
static uint64_t answers_n, failed_n, wrong_n, opened_n;
static struct sockaddr_in server;
static int poller;

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void open_client(struct client *client)
{
	int on = 1;
	struct sockaddr_in from = { .sin_family = AF_INET,
		                    .sin_addr.s_addr = htonl(0x7f010001U + (uint32_t)(opened_n % SOURCES)) };
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	client->query = &queries[opened_n++ % VARIANTS];
	client->sent = false;
	client->have = 0;
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = client };
	if (client->fd < 0 ||
	    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0 ||
	    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    bind(client->fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    (connect(client->fd, (struct sockaddr *)&server, sizeof(server)) < 0 && errno != EINPROGRESS) ||
	    epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &event) < 0) {
		perror("tcp_new");
		exit(1);
	}
}

/* Returns whether the connection goes on. */
static bool send_query(struct client *client)
{
	uint8_t frame[FRAME + QUERY_MAX];
	size_t len = client->query->len;
	frame[0] = (uint8_t)(len >> 8);
	frame[1] = (uint8_t)len;
	memcpy(frame + FRAME, client->query->bytes, len);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
	client->sent = true;
	if (send(client->fd, frame, FRAME + len, MSG_NOSIGNAL) == (ssize_t)(FRAME + len) &&
	    epoll_ctl(poller, EPOLL_CTL_MOD, client->fd, &event) == 0)
		return true;
	failed_n++;
	return false;
}

/* Returns whether the connection goes on: not when its answer is there, nor when it failed. */
static bool read_answer(struct client *client)
{
	ssize_t n = recv(client->fd, client->answer + client->have, sizeof(client->answer) - client->have, 0);
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0) {
		failed_n++;
		return false;
	}
	client->have += (size_t)n;
	size_t len = (size_t)client->answer[0] << 8 | client->answer[1];
	if (client->have < FRAME || client->have < FRAME + len)
		return client->have < sizeof(client->answer);
	answers_n++;
	wrong_n += !query_is_right(client->query, client->answer + FRAME, len);
	return false;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "Usage: tcp_new PORT SECONDS\n");
		return 2;
	}
	server = (struct sockaddr_in){ .sin_family = AF_INET,
		                       .sin_port = htons((uint16_t)atoi(argv[1])),
		                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	for (unsigned i = 0; i < VARIANTS; i++)
		query_make(&queries[i], i % 2 ? QUERY_COUNTRY : QUERY_TXT);
	poller = epoll_create1(0);
	for (unsigned i = 0; i < CLIENTS; i++)
		open_client(&clients[i]);
	double begin = now_s();
	double end = begin + atof(argv[2]);
	double now = begin;
	while (now < end) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(poller, events, EVENTS, 100);
		for (int i = 0; i < n; i++) {
			struct client *client = events[i].data.ptr;
			bool goes_on = client->sent ? read_answer(client) : send_query(client);
			if (!goes_on) {
				close(client->fd);
				open_client(client);
			}
		}
		now = now_s();
	}
	printf("rate=%.0f failed=%" PRIu64 " wrong=%" PRIu64 "\n", (double)answers_n / (now - begin),
	       failed_n, wrong_n);
	return wrong_n ? 1 : 0;
}
