#include "tests/bench/queries.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SUBNET_LEN 3

static uint64_t random_state = 88172645463325252ULL;

uint64_t query_draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

enum query_kind query_draw_mix(void)
{
	unsigned share = (unsigned)(query_draw() % 100);
	return share < 50 ? QUERY_TXT : share < 80 ? QUERY_COUNTRY : share < 95 ? QUERY_LOCAL : QUERY_NX;
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

void query_make(struct query *query, enum query_kind kind)
{
	char name[64];
	uint8_t *bytes = query->bytes;
	memset(query, 0, sizeof(*query));
	uint16_t type = kind == QUERY_TXT ? 16 : 1;
	query->is_pool = kind == QUERY_COUNTRY || kind == QUERY_LOCAL;
	size_t code = query_draw() % ((sizeof(codes) - 1) / 3) * 3;
	switch (kind) {
	case QUERY_TXT: strcpy(name, "current.cvd.clamav.net"); break;
	case QUERY_COUNTRY: snprintf(name, sizeof(name), "db.%.2s.clamav.net", codes + code); break;
	case QUERY_LOCAL: strcpy(name, "db.local.clamav.net"); break;
	default:
		snprintf(name, sizeof(name), "x%05u.clamav.net", (unsigned)(query_draw() % 100000));
		query->nxdomain = true;
		break;
	}
	bytes[2] = 1; /* RD, as resolvers' clients send it */
	bytes[5] = 1;
	unsigned len = 12 + put_name(bytes + 12, name);
	bytes[len + 1] = (uint8_t)type;
	bytes[len + 3] = 1;
	len += 4;
	if (kind == QUERY_LOCAL) {
		static const uint8_t opt[] = { 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0 };
		bytes[11] = 1;
		query->has_subnet = true;
		memcpy(bytes + len, opt, sizeof(opt));
		len += sizeof(opt) + SUBNET_LEN;
		query_draw_subnet(bytes + len);
	}
	query->len = len;
}

void query_draw_subnet(uint8_t *end)
{
	uint64_t address = query_draw();
	memcpy(end - SUBNET_LEN, &address, SUBNET_LEN);
}

bool query_is_right(const struct query *query, const uint8_t *answer, size_t len)
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

bool query_is_of_one_state(const struct query *query, const uint8_t *answer, size_t len)
{
	enum { RECORD_LEN = 16 }; /* an owner that is a pointer, and four bytes of address */
	size_t question_end = 12 + strlen((const char *)query->bytes + 12) + 1 + 4;
	unsigned records_n = (unsigned)(answer[6] << 8 | answer[7]);
	if (!query->is_pool)
		return true;
	if (len < question_end + (size_t)records_n * RECORD_LEN)
		return false;
	const uint8_t *last = answer + question_end + RECORD_LEN - 1; /* byte of an address */
	for (unsigned i = 1; i < records_n; i++) {
		if ((last[(size_t)i * RECORD_LEN] ^ last[0]) & 1)
			return false;
	}
	return true;
}

int query_connect(uint16_t port, unsigned number)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in to = { .sin_family = AF_INET,
		                  .sin_port = htons(port),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int bytes = 4 << 20;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	from.sin_addr.s_addr = htonl(0x7f000000U | (number % 20 + 1) << 16 | (number + 1));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -1;
	return fd;
}

int query_kind_from_text(const char *text)
{
	static const char *const kinds[] = { "txt", "country", "local", "nx", "mix" };
	for (int i = 0; i < 5; i++) {
		if (strcmp(text, kinds[i]) == 0)
			return i;
	}
	return -1;
}
