/*
 * Any bytes to the TCP server, in segments of any size, over a real connection: what comes back must be the
 * answers to the messages in them, in order, whole, and nothing else, as a plain loop over the bytes makes
 * them. With the lowest bit of the first byte set the peer is a front end and begins with a PROXY header.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/proxy.h"
#include "net/tcp.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/support/store_fixture.h"
#include "wire/wire.h"

static const char zone[] = "$TTL 3600\n"
                           "@ SOA ns1 hostmaster 7 3600 600 86400 60\n"
                           "@ NS ns1\n"
                           "ns1 A 192.0.2.53\n"
                           "www CNAME web\n"
                           "web A 192.0.2.80\n"
                           "*.wild MX 5 mail.wild\n";

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	abort();
}

/* --- what must come back --- */

/* The messages of a stream, and of the answer to the current one what has not come back yet. */
struct reference {
	const uint8_t *data;
	size_t len;
	size_t at;
	struct sockaddr_storage peer;
	bool broken; /* the server closes here, with what has not been sent yet or without */
	uint8_t answer[2 + ANSWER_TCP_MAX];
	size_t answer_len;
	size_t answer_at;
};

/* No pressure: what every connection is told. */
#define IDLE_MS 600000

static struct fixture fixture; /* its state follows that of the server, question by question */

/* Make the next answer. False when there is none. */
static bool next_answer(struct reference *ref)
{
	ref->answer_len = ref->answer_at = 0;
	while (ref->answer_len == 0 && !ref->broken && ref->len - ref->at >= 2) {
		size_t message_len = wire_get16(ref->data + ref->at);
		if (message_len == 0)
			ref->broken = true;
		if (message_len == 0 || ref->len - ref->at - 2 < message_len)
			break;
		struct client client = { .peer = (const struct sockaddr *)&ref->peer,
			                 .transport = TRANSPORT_TCP,
			                 .tells_idle = true,
			                 .idle_ms = IDLE_MS };
		size_t len = answer_query(&fixture.data, &client, ref->data + ref->at + 2, message_len,
		                          ref->answer + 2, ANSWER_TCP_MAX, fixture.state);
		wire_put16(ref->answer, (uint16_t)len);
		ref->answer_len = len ? 2 + len : 0;
		ref->at += 2 + message_len;
	}
	return ref->answer_len > 0;
}

static void check_received(struct reference *ref, const uint8_t *data, size_t len)
{
	while (len > 0) {
		if (ref->answer_at == ref->answer_len)
			require(next_answer(ref), "as many bytes as the answers have");
		size_t part = ref->answer_len - ref->answer_at;
		if (part > len)
			part = len;
		require(memcmp(ref->answer + ref->answer_at, data, part) == 0, "the bytes of the answer");
		ref->answer_at += part;
		data += part;
		len -= part;
	}
}

static void begin_reference(struct reference *ref, const uint8_t *data, size_t len,
                            const struct sockaddr_in *peer, bool has_header)
{
	memset(ref, 0, offsetof(struct reference, answer));
	ref->answer_len = ref->answer_at = 0;
	ref->data = data;
	ref->len = len;
	memcpy(&ref->peer, peer, sizeof(*peer));
	if (!has_header)
		return;
	struct proxy_header header;
	enum proxy_verdict verdict = proxy_parse(data, len, &header);
	if (verdict == PROXY_OK) {
		ref->at = header.len;
		if (header.has_addrs)
			memcpy(&ref->peer, &header.source, sizeof(header.source));
	} else {
		ref->len = 0;
		ref->broken = verdict != PROXY_INCOMPLETE;
	}
}

/* --- the server --- */

static uv_loop_t loop;
static struct net_context net;
static struct tcp_server *server;
static struct tcp_listener listener;
static struct sockaddr_in server_addr;
static struct prefix everybody = { .addr = { .family = 4 } };

static void between_batches(struct net_context *context)
{
	(void)context;
}

static void set_up(void)
{
	struct tcp_limits limits = { .idle_ms = IDLE_MS, .clients_max = 100 };
	fixture_init(&fixture, zone, NULL);
	net.data = &fixture.data;
	net.between_batches = between_batches;
	/* An address of our own, where nobody comes who takes us for somebody else. */
	server_addr =
	        (struct sockaddr_in){ .sin_family = AF_INET,
		                      .sin_addr.s_addr = htonl(0x7f640000 + (uint32_t)getpid() % 0x10000) };
	socklen_t len = sizeof(server_addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	require(fd >= 0 && bind(fd, (struct sockaddr *)&server_addr, len) == 0, "socket");
	require(getsockname(fd, (struct sockaddr *)&server_addr, &len) == 0, "getsockname");
	require(listen(fd, 511) == 0, "listen");
	require(uv_loop_init(&loop) == 0, "uv_loop_init");
	require(tcp_server_create(&loop, &net, &limits, &server) == 0, "tcp_server_create");
	require(tcp_listen(&listener, server, fd, false) == 0, "tcp_listen");
}

/* From another address each time, or the ports of one would all be in TIME_WAIT. */
static int connect_client(struct sockaddr_in *ret_peer)
{
	static uint32_t number;
	struct sockaddr_in peer = { .sin_family = AF_INET };
	peer.sin_addr.s_addr = htonl(0x7f020000 + number++ % 0x10000);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;
	require(fd >= 0, "socket");
	require(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) == 0, "setsockopt");
	require(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0, "setsockopt");
	require(bind(fd, (struct sockaddr *)&peer, sizeof(peer)) == 0, "bind");
	/* The fuzzer's alarm interrupts it. */
	while (connect(fd, (struct sockaddr *)&server_addr, sizeof(server_addr)) < 0 && errno != EISCONN)
		require(errno == EINTR || errno == EALREADY, "connect");
	*ret_peer = peer;
	return fd;
}

/* Take what has come back. Returns false once the server has closed. */
static bool receive(int fd, struct reference *ref)
{
	static uint8_t buffer[64 * 1024];
	ssize_t got;
	while ((got = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
		check_received(ref, buffer, (size_t)got);
	return got < 0 && (errno == EAGAIN || errno == EINTR);
}

static void send_all(int fd, const uint8_t *data, size_t len, size_t step, struct reference *ref)
{
	while (len > 0) {
		ssize_t sent = send(fd, data, len < step ? len : step, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return; /* closed by the server: whether rightly so is seen by what has come back */
		data += sent > 0 ? sent : 0;
		len -= sent > 0 ? (size_t)sent : 0;
		uv_run(&loop, UV_RUN_NOWAIT);
		if (!receive(fd, ref))
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct reference ref;
	static uint64_t connections_n;
	if (!server)
		set_up();
	if (size == 0)
		return 0;
	bool has_header = data[0] & 1;
	/* From single bytes (for inputs that are short enough) to all at once. */
	size_t step = (size_t)1 << (data[0] >> 1 & 15);
	if (size / step > 512)
		step = size / 512;
	data++;
	size--;
	fixture.data.front_ends = &everybody;
	fixture.data.front_ends_n = has_header;
	struct sockaddr_in peer;
	int fd = connect_client(&peer);
	begin_reference(&ref, data, size, &peer, has_header);
	send_all(fd, data, size, step, &ref);
	shutdown(fd, SHUT_WR);
	while (receive(fd, &ref))
		uv_run(&loop, UV_RUN_NOWAIT);
	close(fd);
	while (tcp_server_open_n(server) > 0)
		uv_run(&loop, UV_RUN_NOWAIT);
	/* Nothing may be missing, but where the server broke off. */
	bool complete = ref.answer_at == ref.answer_len;
	while (next_answer(&ref))
		complete = false;
	require(complete || ref.broken, "every answer");
	require(memcmp(&net.state.counters, &fixture.state->counters, sizeof(net.state.counters)) == 0,
	        "the same counters");
	require(net.counters.tcp_accepted == ++connections_n, "no connection but ours");
	return 0;
}
