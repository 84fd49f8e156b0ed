/*
 * flood: what a DNS server can do at most over UDP.
 *
 *     flood PORT txt|country|local|nx|mix SECONDS [states|echo]
 *
 * Sends more than any server takes: bursts of one kind of question leave as one UDP_SEGMENT send, which costs
 * a fraction of what the server pays for answering them one by one. Of the answers only one in SAMPLE reaches
 * this process, the others are dropped by a socket filter, so that a server is not slowed down by a reader
 * that shares its machine; they are told by their ids. Those that arrive are counted and checked. Queries
 * that the server has no room for are dropped in its socket, unseen. Prints answers a second and how many of
 * the sample were wrong. With "states" answers with even and odd addresses are wrong, too; with "echo" none
 * is looked at.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/queries.h"

#define SOCKETS  32
#define BURST    32   /* questions in one send */
#define VARIANTS 4096 /* of each kind; a power of two, the ids are their numbers */
#define SAMPLE   16
#define READ_MAX 64

/* All questions of one kind, one behind the other, ready to be sent. */
struct deck {
	struct query queries[VARIANTS];
	uint8_t *bytes;
	unsigned len; /* of one */
	unsigned next;
};

static struct deck decks[QUERY_KINDS_N];
static uint64_t answers_n, wrong_n;

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void fill_deck(struct deck *deck, enum query_kind kind)
{
	for (unsigned i = 0; i < VARIANTS; i++) {
		/* Those whose answers are let through stand at another place in each burst: of one for which
		 * the server has no room, the end is lost. */
		unsigned number = (i & ~(SAMPLE - 1U)) | ((i + i / BURST) & (SAMPLE - 1U));
		struct query *query = &deck->queries[number];
		query_make(query, kind);
		uint16_t id = (uint16_t)((unsigned)kind << 12 | number);
		query->bytes[0] = (uint8_t)(id >> 8);
		query->bytes[1] = (uint8_t)id;
		if (!deck->bytes) {
			deck->len = query->len;
			deck->bytes = malloc((size_t)deck->len * VARIANTS);
		}
		if (!deck->bytes || query->len != deck->len) {
			fprintf(stderr, "flood: out of memory, or questions of different length\n");
			exit(1);
		}
		memcpy(deck->bytes + (size_t)i * deck->len, query->bytes, deck->len);
	}
}

/* Let through answers whose id is a multiple of SAMPLE. A filter of a UDP socket sees the UDP header first.
 */
static int set_filter(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 8),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SAMPLE - 1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

/* The client subnet stands last in a question. Of a few thousand, a server would have all that it knows about
 * them in its cache. */
static void draw_subnets(uint8_t *bytes, unsigned len)
{
	for (unsigned i = 1; i <= BURST; i++)
		query_draw_subnet(bytes + (size_t)i * len);
}

static void send_burst(int fd, struct deck *deck)
{
	if (deck == &decks[QUERY_LOCAL])
		draw_subnets(deck->bytes + (size_t)deck->next * deck->len, deck->len);
	struct iovec iov = { deck->bytes + (size_t)deck->next * deck->len, (size_t)deck->len * BURST };
	union {
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *segment = CMSG_FIRSTHDR(&msg);
	uint16_t size = (uint16_t)deck->len;
	segment->cmsg_level = IPPROTO_UDP;
	segment->cmsg_type = UDP_SEGMENT;
	segment->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(segment), &size, sizeof(size));
	deck->next = (deck->next + BURST) % VARIANTS;
	if (sendmsg(fd, &msg, 0) < 0 && errno != EAGAIN && errno != ECONNREFUSED) {
		perror("flood: sendmsg");
		exit(1);
	}
}

static bool is_wrong(const uint8_t *answer, unsigned len, bool states)
{
	unsigned id = (unsigned)(answer[0] << 8 | answer[1]);
	if (id >> 12 >= QUERY_KINDS_N)
		return true;
	const struct query *query = &decks[id >> 12].queries[id % VARIANTS];
	return !query_is_right(query, answer, len) || (states && !query_is_of_one_state(query, answer, len));
}

static unsigned read_answers(int fd, bool echo, bool states)
{
	static struct mmsghdr in[READ_MAX];
	static struct iovec iov[READ_MAX];
	static uint8_t bytes[READ_MAX][2048];
	for (unsigned i = 0; i < READ_MAX; i++) {
		iov[i] = (struct iovec){ bytes[i], sizeof(bytes[i]) };
		in[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	int n = recvmmsg(fd, in, READ_MAX, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		answers_n++;
		if (!echo && is_wrong(bytes[i], in[i].msg_len, states))
			wrong_n++;
	}
	return n > 0 ? (unsigned)n : 0;
}

int main(int argc, char **argv)
{
	bool states = argc == 5 && strcmp(argv[4], "states") == 0;
	bool echo = argc == 5 && strcmp(argv[4], "echo") == 0;
	int kind = argc == 4 || states || echo ? query_kind_from_text(argv[2]) : -1;
	if (kind < 0) {
		fprintf(stderr, "Usage: flood PORT txt|country|local|nx|mix SECONDS [states|echo]\n");
		return 2;
	}
	for (int i = 0; i < QUERY_KINDS_N; i++)
		fill_deck(&decks[i], (enum query_kind)i);
	int fds[SOCKETS];
	for (unsigned i = 0; i < SOCKETS; i++) {
		fds[i] = query_connect((uint16_t)atoi(argv[1]), i);
		if (fds[i] < 0 || set_filter(fds[i]) < 0) {
			perror("flood");
			return 1;
		}
	}
	uint64_t begin = now_ns();
	uint64_t length = (uint64_t)(atof(argv[3]) * 1e9);
	uint64_t warm_n = 0;
	uint64_t warm = begin + length / 10; /* full buffers on both sides, before the count begins */
	uint64_t now = begin;
	uint64_t counted_from = 0;
	while (now < begin + length) {
		for (unsigned i = 0; i < SOCKETS; i++) {
			enum query_kind of = kind == QUERY_KINDS_N ? query_draw_mix() : (enum query_kind)kind;
			send_burst(fds[i], &decks[of]);
			read_answers(fds[i], echo, states);
		}
		now = now_ns();
		if (!counted_from && now >= warm) {
			counted_from = now;
			warm_n = answers_n;
		}
	}
	/* Nothing was counted where this process has hardly run. */
	double took = counted_from ? (double)(now - counted_from) / 1e9 : 0;
	printf("rate=%.0f wrong=%" PRIu64 " sample=%" PRIu64 "\n",
	       took > 0 ? (double)(answers_n - warm_n) * SAMPLE / took : 0, wrong_n, answers_n);
	return wrong_n ? 1 : 0;
}
