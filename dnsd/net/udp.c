#include "net/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/proxy.h"
#include "net/rate_limit.h"
#include "wire/wire.h"

#define BATCH            64
#define BATCHES_A_WAKEUP 16
/* Bound for the last round before a socket closes: more than its receive buffer can hold in small packets. */
#define BATCHES_AT_CLOSE 1024
/* The kernel may be short of memory for a moment: so many failures in a row are more than that. */
#define FAILURES_MAX 16
#define REST_MS      50
/*
 * Larger requests are cut and then found malformed: no sensible one comes near. The stride is no multiple
 * of 4096, so that the first lines of the buffers do not all fall into the same few sets of the cache.
 * A PROXY header takes its share of this, at most half.
 */
#define REQUEST_MAX    2048
#define REQUEST_STRIDE (REQUEST_MAX + 64)
#define HUGE_PAGE      ((size_t)2 << 20)

_Static_assert(PROXY_HEADER_MAX <= REQUEST_MAX / 2, "room for a request behind the header");

union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct udp_buffers {
	struct mmsghdr in[BATCH];
	struct mmsghdr out[BATCH];
	struct iovec in_iov[BATCH];
	struct iovec out_iov[BATCH];
	struct sockaddr_in6 peers[BATCH]; /* large enough for both families */
	struct answer_request batch[BATCH];
	bool is_plain;                   /* no front ends: request i came in packet i, from peer i */
	uint8_t packet_of[BATCH];        /* which packet a request came in */
	uint8_t request_of[BATCH];       /* which request a message to be sent answers */
	union proxy_addr clients[BATCH]; /* of a request, as a front end says */
	union control in_control[BATCH];
	union control out_control[BATCH];
	uint8_t requests[BATCH][REQUEST_STRIDE];
	uint8_t answers[BATCH * ANSWER_UDP_MAX];
};

static void set_plain(struct udp_buffers *b)
{
	for (unsigned i = 0; i < BATCH; i++) {
		b->batch[i].client.peer = (const struct sockaddr *)&b->peers[i];
		b->batch[i].req = b->requests[i];
		b->packet_of[i] = (uint8_t)i;
	}
	b->is_plain = true;
}

struct udp_buffers *udp_buffers_create(void)
{
	/* Each packet lies in another page, which is found faster when they are all one. */
	struct udp_buffers *b =
	        aligned_alloc(HUGE_PAGE, (sizeof(*b) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
	if (!b)
		return NULL;
	(void)madvise(b, sizeof(*b), MADV_HUGEPAGE); /* where there are none it is as before */
	memset(b, 0, sizeof(*b));
	for (unsigned i = 0; i < BATCH; i++) {
		b->in_iov[i] = (struct iovec){ .iov_base = b->requests[i], .iov_len = REQUEST_MAX };
		b->in[i].msg_hdr.msg_iov = &b->in_iov[i];
		b->in[i].msg_hdr.msg_iovlen = 1;
		b->in[i].msg_hdr.msg_name = &b->peers[i];
		b->out[i].msg_hdr.msg_iov = &b->out_iov[i];
		b->out[i].msg_hdr.msg_iovlen = 1;
		b->batch[i].client.transport = TRANSPORT_UDP;
	}
	set_plain(b);
	return b;
}

void udp_buffers_destroy(struct udp_buffers *buffers)
{
	free(buffers);
}

/* The answer leaves from the address the request was sent to. */
static void set_source(const struct msghdr *in, struct msghdr *out, union control *control)
{
	struct cmsghdr *got = CMSG_FIRSTHDR(in);
	if (!got)
		return;
	out->msg_control = control;
	out->msg_controllen = sizeof(*control);
	struct cmsghdr *set = CMSG_FIRSTHDR(out);
	if (got->cmsg_level == IPPROTO_IP && got->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo asked;
		memcpy(&asked, CMSG_DATA(got), sizeof(asked));
		struct in_pktinfo from = { .ipi_spec_dst = asked.ipi_addr };
		set->cmsg_level = IPPROTO_IP;
		set->cmsg_type = IP_PKTINFO;
		set->cmsg_len = CMSG_LEN(sizeof(from));
		memcpy(CMSG_DATA(set), &from, sizeof(from));
		out->msg_controllen = CMSG_SPACE(sizeof(from));
	} else if (got->cmsg_level == IPPROTO_IPV6 && got->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo from;
		memcpy(&from, CMSG_DATA(got), sizeof(from));
		/* The interface matters for link-local addresses only; elsewhere routing decides. */
		if (!IN6_IS_ADDR_LINKLOCAL(&from.ipi6_addr))
			from.ipi6_ifindex = 0;
		set->cmsg_level = IPPROTO_IPV6;
		set->cmsg_type = IPV6_PKTINFO;
		set->cmsg_len = CMSG_LEN(sizeof(from));
		memcpy(CMSG_DATA(set), &from, sizeof(from));
		out->msg_controllen = CMSG_SPACE(sizeof(from));
	} else {
		out->msg_control = NULL;
		out->msg_controllen = 0;
	}
}

/* An answer that does not fit through the interface: the client is sent to TCP (RFC 9715 3.1 R4). Returns
 * false when that is what has just failed. */
static bool shrink(struct udp_socket *udp, unsigned message)
{
	struct udp_buffers *b = udp->buffers;
	struct answer_request *request = &b->batch[b->request_of[message]];
	if (wire_get16(request->resp + 2) & WIRE_FLAG_TC)
		return false;
	answer_truncate(request);
	b->out_iov[message].iov_len = request->resp_len;
	udp->net->counters.udp_too_large++;
	udp->net->state.counters.truncated++;
	return true;
}

static void send_answers(struct udp_socket *udp, unsigned out_n)
{
	struct mmsghdr *out = udp->buffers->out;
	unsigned done = 0;
	bool again = true; /* one more try when the send buffer is full */
	while (done < out_n) {
		int sent = sendmmsg(udp->fd, out + done, out_n - done, 0);
		if (sent > 0) {
			done += (unsigned)sent;
			again = true;
		} else if (errno == EAGAIN && again) {
			again = false;
		} else if (errno == EMSGSIZE && shrink(udp, done)) {
			again = true;
		} else if (errno != EINTR) {
			/* This one can't be sent (its peer unreachable, say); the others still can. */
			udp->net->counters.udp_send_errors++;
			done++;
		}
	}
}

/* With front ends: requests out of packets, without those that may not be answered. Returns how many. */
static unsigned take_packets(struct udp_buffers *b, unsigned in_n, struct net_context *net)
{
	unsigned n = 0;
	b->is_plain = false;
	for (unsigned i = 0; i < in_n; i++) {
		struct answer_request *request = &b->batch[n];
		request->client.peer = (const struct sockaddr *)&b->peers[i];
		request->req = b->requests[i];
		request->req_len = b->in[i].msg_len;
		if (proxy_is_front_end(net->data, request->client.peer)) {
			struct proxy_header header;
			enum proxy_verdict verdict = proxy_parse(request->req, request->req_len, &header);
			if (verdict == PROXY_INCOMPLETE) /* here the rest never comes */
				verdict = PROXY_BAD;
			proxy_count(&net->counters, verdict);
			if (verdict != PROXY_OK)
				continue;
			request->req += header.len;
			request->req_len -= header.len;
			if (header.has_addrs) {
				b->clients[n] = header.source;
				request->client.peer = &b->clients[n].sa;
			}
		}
		b->packet_of[n++] = (uint8_t)i;
	}
	return n;
}

static void on_readable(uv_poll_t *poll, int status, int events);
static void on_turn(uv_idle_t *turns);

/*
 * Of each answer that has left, the kernel tells those who wait at the socket for room to send, and under two
 * locks epoll finds that nobody did: 4 % of an answer. So while there is always something to read nobody
 * waits there.
 */
static void be_busy(struct udp_socket *udp)
{
	uv_poll_stop(&udp->poll);
	uv_timer_stop(&udp->rest);
	uv_idle_start(&udp->turns, on_turn);
}

static bool is_busy(const struct udp_socket *udp)
{
	return uv_is_active((const uv_handle_t *)&udp->turns);
}

static void on_rested(uv_timer_t *timer)
{
	struct udp_socket *udp = timer->data;
	uv_poll_start(&udp->poll, UV_READABLE, on_readable);
}

static void note_failure(struct udp_socket *udp)
{
	udp->net->counters.udp_receive_errors++;
	if (++udp->failures_n < FAILURES_MAX)
		return;
	udp->net->counters.udp_rests++;
	uv_idle_stop(&udp->turns);
	uv_poll_stop(&udp->poll);
	uv_timer_start(&udp->rest, on_rested, REST_MS, 0);
}

/* One batch. Returns how many packets there were. */
static unsigned serve_batch(struct udp_socket *udp)
{
	struct udp_buffers *b = udp->buffers;
	struct net_context *net = udp->net;
	for (unsigned i = 0; i < BATCH; i++) {
		b->in[i].msg_hdr.msg_namelen = sizeof(b->peers[i]);
		if (udp->wildcard) {
			b->in[i].msg_hdr.msg_control = &b->in_control[i];
			b->in[i].msg_hdr.msg_controllen = sizeof(b->in_control[i]);
		} else {
			b->in[i].msg_hdr.msg_control = NULL;
			b->in[i].msg_hdr.msg_controllen = 0;
		}
	}
	int in_n = recvmmsg(udp->fd, b->in, BATCH, MSG_DONTWAIT, NULL);
	if (in_n <= 0) {
		if (in_n < 0 && errno != EAGAIN && errno != EINTR) {
			net->counters.udp_receive_no_memory += errno == ENOMEM || errno == ENOBUFS;
			note_failure(udp);
		}
		return 0;
	}
	udp->failures_n = 0;
	if (in_n == BATCH && !is_busy(udp))
		be_busy(udp);
	net->between_batches(net);
	unsigned requests_n = (unsigned)in_n;
	if (net->data->front_ends_n && !udp->is_own) {
		requests_n = take_packets(b, requests_n, net);
	} else {
		if (!b->is_plain)
			set_plain(b);
		for (unsigned i = 0; i < requests_n; i++)
			b->batch[i].req_len = b->in[i].msg_len;
	}
	answer_queries(net->data, b->batch, requests_n, b->answers, &net->state);
	if (net->rrl && !udp->is_own)
		rate_limit_apply(net, b->batch, requests_n);
	unsigned out_n = 0;
	for (unsigned k = 0; k < requests_n; k++) {
		size_t len = b->batch[k].resp_len;
		unsigned i = b->packet_of[k];
		/* sin_port and sin6_port stand at the same place. Nothing can be sent to port 0. */
		if (len == 0 || b->peers[i].sin6_port == 0)
			continue;
		struct msghdr *out = &b->out[out_n].msg_hdr;
		b->out_iov[out_n] = (struct iovec){ .iov_base = b->batch[k].resp, .iov_len = len };
		out->msg_name = &b->peers[i];
		out->msg_namelen = b->in[i].msg_hdr.msg_namelen;
		out->msg_control = NULL;
		out->msg_controllen = 0;
		b->request_of[out_n] = (uint8_t)k;
		if (udp->wildcard)
			set_source(&b->in[i].msg_hdr, out, &b->out_control[out_n]);
		out_n++;
	}
	send_answers(udp, out_n);
	return (unsigned)in_n;
}

/*
 * Something has been reported at the socket, by ICMP say. It is taken off, or it would be told again at once.
 */
static void take_error(struct udp_socket *udp)
{
	struct msghdr nothing = { 0 };
	int error;
	socklen_t len = sizeof(error);
	udp->net->counters.udp_socket_errors++;
	(void)getsockopt(udp->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	for (unsigned i = 0; i < BATCH && recvmsg(udp->fd, &nothing, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0; i++) {
	}
}

/* Bounded, so that TCP and the main thread's messages get their turn under full load. */
static void serve(struct udp_socket *udp)
{
	for (unsigned i = 0; i < BATCHES_A_WAKEUP; i++) {
		if (serve_batch(udp) == BATCH)
			continue;
		if (is_busy(udp)) {
			uv_idle_stop(&udp->turns);
			uv_poll_start(&udp->poll, UV_READABLE, on_readable);
		}
		return;
	}
}

static void on_turn(uv_idle_t *turns)
{
	serve(turns->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	/* The poll handle is the first member, whatever its data pointer is used for. */
	struct udp_socket *udp = (struct udp_socket *)poll;
	(void)events;
	if (status < 0) {
		take_error(udp);
		uv_poll_start(poll, UV_READABLE, on_readable); /* libuv has stopped it */
		note_failure(udp);
	}
	serve(udp);
}

int udp_open(struct udp_socket *udp, uv_loop_t *loop, int fd, bool wildcard, struct udp_buffers *buffers,
             struct net_context *net)
{
	int rc = uv_poll_init(loop, &udp->poll, fd);
	if (rc < 0)
		return rc;
	uv_idle_init(loop, &udp->turns);
	udp->turns.data = udp;
	uv_timer_init(loop, &udp->rest);
	udp->rest.data = udp;
	udp->failures_n = 0;
	udp->fd = fd;
	udp->wildcard = wildcard;
	udp->buffers = buffers;
	udp->net = net;
	uv_poll_start(&udp->poll, UV_READABLE, on_readable);
	return 0;
}

static void on_rest_closed(uv_handle_t *handle)
{
	struct udp_socket *udp = handle->data;
	if (udp->closed)
		udp->closed((uv_handle_t *)&udp->poll);
}

static void on_turns_closed(uv_handle_t *handle)
{
	uv_close((uv_handle_t *)&((struct udp_socket *)handle->data)->rest, on_rest_closed);
}

static void on_poll_closed(uv_handle_t *handle)
{
	uv_close((uv_handle_t *)&((struct udp_socket *)handle)->turns, on_turns_closed);
}

void udp_close(struct udp_socket *udp, uv_close_cb closed)
{
	for (unsigned i = 0; i < BATCHES_AT_CLOSE && serve_batch(udp); i++) {
	}
	/* uv_close() takes the number out of epoll, even behind uv_poll_stop(): by then it must be ours
	 * still. */
	udp->closed = closed;
	uv_idle_stop(&udp->turns);
	uv_timer_stop(&udp->rest);
	uv_close((uv_handle_t *)&udp->poll, on_poll_closed);
	close(udp->fd);
}
