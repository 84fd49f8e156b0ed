/*
 * load: keeps a DNS server busy over UDP and counts its answers.
 *
 *     load PORT KIND SECONDS [RATE]     KIND: txt country local mix
 *
 * SOCKETS connected sockets on 127.x source addresses, each with a window of queries under way, sent and
 * received in batches; RATE (queries a second) bounds it, without it the server is saturated. Every answer is
 * matched to its query by id; one in SAMPLE is checked: question, rcode, and that there is something in it. A
 * query unanswered for a second counts as lost. Prints: answers a second, lost_n, wrong_n, and latency
 * percentiles of the sample in microseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS   16
#define WINDOW    64
#define SAMPLE    16
#define LOST_NS   1000000000ULL
#define QUERY_MAX 96
#define VARIANTS  4096
#define LATENCIES (1 << 20)

enum kind { KIND_TXT, KIND_COUNTRY, KIND_LOCAL, KIND_NX, KIND_MIX };

struct query {
	uint8_t bytes[QUERY_MAX];
	unsigned len;
	bool nxdomain;
};

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
static uint64_t random_state = 88172645463325252ULL;

static uint64_t draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static unsigned put_name(uint8_t *at, const char *text)
{
	unsigned used = 0;
	while (*text) {
		const char *dot = strchrnul(text, '.');
		at[used++] = (uint8_t)(dot - text);
		memcpy(at + used, text, (size_t)(dot - text));
		used += (unsigned)(dot - text);
		text = *dot ? dot + 1 : dot;
	}
	at[used++] = 0;
	return used;
}

/* The country-code top-level domains: each is a name, whatever the pool. */
static const char codes[] = "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi "
                            "bj bm bn bo br bs bt bv bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu "
                            "cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga "
                            "gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id "
                            "ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la "
                            "lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms "
                            "mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph "
                            "pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk "
                            "sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt "
                            "tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw ";

static void make_query(struct query *query, enum kind kind)
{
	char name[64];
	uint8_t *bytes = query->bytes;
	memset(query, 0, sizeof(*query));
	if (kind == KIND_MIX) {
		unsigned share = (unsigned)(draw() % 100);
		kind = share < 50 ? KIND_TXT : share < 80 ? KIND_COUNTRY : share < 95 ? KIND_LOCAL : KIND_NX;
	}
	uint16_t type = kind == KIND_TXT ? 16 : 1;
	size_t code = draw() % ((sizeof(codes) - 1) / 3) * 3;
	switch (kind) {
	case KIND_TXT: strcpy(name, "current.cvd.clamav.net"); break;
	case KIND_COUNTRY: snprintf(name, sizeof(name), "db.%.2s.clamav.net", codes + code); break;
	case KIND_LOCAL: strcpy(name, "db.local.clamav.net"); break;
	default:
		snprintf(name, sizeof(name), "x%llx.clamav.net", (unsigned long long)draw() % 100000);
		query->nxdomain = true;
		break;
	}
	bytes[2] = 1; /* RD, as resolvers' clients send it */
	bytes[5] = 1;
	unsigned len = 12 + put_name(bytes + 12, name);
	bytes[len + 1] = (uint8_t)type;
	bytes[len + 3] = 1;
	len += 4;
	if (kind == KIND_LOCAL) {
		static const uint8_t opt[] = { 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0 };
		bytes[11] = 1;
		memcpy(bytes + len, opt, sizeof(opt));
		len += sizeof(opt);
		uint64_t address = draw();
		memcpy(bytes + len, &address, 3);
		len += 3;
	}
	query->len = len;
}

/* Is this the answer to that query? Only the sample comes here. */
static bool is_right(const struct query *query, const uint8_t *answer, size_t len)
{
	if (len < query->len || (answer[2] & 0x80) == 0)
		return false;
	unsigned rcode = answer[3] & 15;
	unsigned records_n = (unsigned)(answer[6] << 8 | answer[7]);
	size_t name_len = strlen((const char *)query->bytes + 12) + 1;
	if (memcmp(answer + 12, query->bytes + 12, name_len + 4) != 0)
		return false;
	return query->nxdomain ? rcode == 3 : rcode == 0 && records_n > 0;
}

static void forget_lost(struct client *client, uint64_t now)
{
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
		uint16_t id = (uint16_t)((draw() & 0xffc0U) | slot);
		memcpy(bytes[n], query->bytes, query->len);
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
		if (!echo && !is_right(client->query[slot], bytes[i], in[i].msg_len))
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
		struct sockaddr_in from = { .sin_family = AF_INET,
			                    .sin_addr.s_addr =
			                            htonl(0x7f000000U | (i % 20 + 1) << 16 | (i + 1)) };
		struct sockaddr_in to = { .sin_family = AF_INET,
			                  .sin_port = htons(port),
			                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		int bytes = 4 << 20;
		clients[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		setsockopt(clients[i].fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
		if (clients[i].fd < 0 || bind(clients[i].fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
		    connect(clients[i].fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
			perror("load");
			return -1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "txt", "country", "local", "nx", "mix", "echo" };
	int kind = -1;
	for (int i = 0; i < 6 && argc >= 4; i++) {
		if (strcmp(argv[2], kinds[i]) == 0)
			kind = i;
	}
	if (kind < 0) {
		fprintf(stderr, "Usage: load PORT txt|country|local|nx|mix|echo SECONDS [RATE]\n");
		return 2;
	}
	bool echo = kind == 5;
	double seconds = atof(argv[3]);
	double rate = argc > 4 ? atof(argv[4]) : 0;
	for (unsigned i = 0; i < VARIANTS; i++)
		make_query(&queries[i], echo ? KIND_TXT : (enum kind)kind);
	if (connect_clients((uint16_t)atoi(argv[1])) < 0)
		return 1;

	uint64_t start = now_ns();
	uint64_t end = start + (uint64_t)(seconds * 1e9);
	uint64_t last_look = start;
	for (uint64_t now = start; now < end; now = now_ns()) {
		unsigned moved = 0;
		for (unsigned i = 0; i < SOCKETS; i++) {
			moved += receive_some(&clients[i], echo);
			unsigned budget = WINDOW;
			if (rate > 0) {
				double due = rate * (double)(now - start) / 1e9 - (double)sent_n;
				budget = due <= 0 ? 0 : due > 8 ? 8 : (unsigned)due;
			}
			/* Half a window at a time: both sides work in batches then. */
			if (budget && (rate > 0 || clients[i].waiting_n <= WINDOW / 2))
				moved += send_some(&clients[i], budget);
		}
		if (!moved && rate > 0) {
			struct timespec pause = { 0, 20000 };
			nanosleep(&pause, NULL);
		}
		if (now - last_look > LOST_NS / 4) {
			for (unsigned i = 0; i < SOCKETS; i++)
				forget_lost(&clients[i], now);
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
