/*
 * A well-formed question with an OPT record whose options are made of the input, so that they are parsed to
 * their end. Whatever the options say, the answer must keep to the rules below.
 *
 *     byte 0    flags, see enum flag
 *     byte 1    name, in names[]
 *     byte 2    type, in types[]
 *     byte 3    class (low two bits), or from 0xf0 on an opcode
 *     byte 4    EDNS version, 0 below 0xc0
 *     byte 5, 6 EDNS size
 *     then      options: code (in options[]), length, that many bytes; the client subnet is put right where
 *               its length leaves a choice
 */
#include <ldns/ldns.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/support/store_fixture.h"
#include "wire/query.h"
#include "wire/wire.h"

#define REQUEST_MAX 2048
#define EDNS_SIZE   1232

enum flag {
	FLAG_TCP = 1,
	FLAG_NO_OPT = 2,
	FLAG_RESPONSE = 4,
	FLAG_DO = 8,
	FLAG_TWO_OPT = 16,
	FLAG_IPV6 = 32,
	FLAG_RD = 64,
	FLAG_RECORD_BEFORE = 128, /* another record before the OPT */
};

/* Codes that are only answered when asked for (RFC 5001, 7871, 7873, 7828, 7830, 9660). */
enum {
	OPTION_NSID = 3,
	OPTION_COOKIE = 10,
	OPTION_KEEPALIVE = 11,
	OPTION_PADDING = 12,
	RCODE_BADCOOKIE = 23,
};

static const char zone[] = "$TTL 3600\n"
                           "@ SOA ns1 hostmaster 7 3600 600 86400 60\n"
                           "@ NS ns1\n"
                           "ns1 A 192.0.2.53\n"
                           "www CNAME web\n"
                           "web A 192.0.2.80\n"
                           "pool CNAME db.local\n"
                           "*.wild MX 5 mail.wild\n"
                           "sub NS ns.sub\n"
                           "ns.sub A 192.0.2.54\n"
                           "old DNAME new\n"
                           "www.new A 192.0.2.81\n";

static const char *const names[] = {
	"example.net",
	"www.example.net",
	"db.local.example.net",
	"db.big.example.net",
	"current.cvd.example.net",
	"broken.cvd.example.net",
	"whoami.example.net",
	"pool.example.net",
	"x.wild.example.net",
	"a.sub.example.net",
	"www.old.example.net",
	"nothing.example.net",
	"1.2.3.ping.example.net",
	"example.com",
	"id.server",
	"pool.dnsd",
};

static const uint16_t types[] = { WIRE_TYPE_A,     WIRE_TYPE_AAAA, WIRE_TYPE_TXT, WIRE_TYPE_SOA,
	                          WIRE_TYPE_ANY,   WIRE_TYPE_MX,   WIRE_TYPE_DS,  WIRE_TYPE_AXFR,
	                          WIRE_TYPE_MAILA, 65400 };

static const uint16_t options[] = { WIRE_OPTION_ECS,
	                            WIRE_OPTION_ZONEVERSION,
	                            OPTION_COOKIE,
	                            OPTION_NSID,
	                            OPTION_KEEPALIVE,
	                            OPTION_PADDING,
	                            WIRE_OPTION_EDE,
	                            9,
	                            13,
	                            65001 };

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* A request, and what holds of its answer. */
struct asked {
	uint8_t req[REQUEST_MAX];
	size_t len;
	unsigned opt_n;
	unsigned version;
	unsigned opcode;
	uint16_t size;
	bool tcp;
	unsigned codes_n;
	uint16_t code[REQUEST_MAX / 4];
	unsigned ecs_n;
	bool ecs_good;
	uint8_t ecs[4 + 16];
	size_t ecs_len;
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static bool has_code(const struct asked *asked, uint16_t code)
{
	for (unsigned i = 0; i < asked->codes_n; i++) {
		if (asked->code[i] == code)
			return true;
	}
	return false;
}

/* The bytes as a client subnet: as long as its source prefix says, with zeros behind it, unless the first
 * byte says to leave it as it is. */
static size_t mend_ecs(struct asked *asked, uint8_t *at, size_t len)
{
	if (len >= 4 && at[0] < 0x80) {
		unsigned family = 1 + (at[1] & 1);
		unsigned source = at[2] % (family == 1 ? 33U : 129U);
		size_t addr_len = (source + 7) / 8;
		if (len >= 4 + addr_len) {
			len = 4 + addr_len;
			at[0] = 0;
			at[1] = (uint8_t)family;
			at[2] = (uint8_t)source;
			at[3] = 0;
			if (source % 8)
				at[len - 1] &= (uint8_t)(0xff00U >> source % 8);
		}
	}
	struct wire_ecs ecs;
	asked->ecs_n++;
	asked->ecs_good = wire_ecs_parse(at, len, &ecs) == WIRE_OK;
	if (asked->ecs_good) {
		memcpy(asked->ecs, at, len);
		asked->ecs_len = len;
	}
	return len;
}

static void put_opt(struct asked *asked, unsigned flags, const uint8_t *data, size_t size)
{
	uint8_t *opt = asked->req + asked->len;
	memset(opt, 0, WIRE_OPT_LEN);
	wire_put16(opt + 1, WIRE_TYPE_OPT);
	wire_put16(opt + 3, asked->size);
	opt[6] = (uint8_t)asked->version;
	wire_put16(opt + 7, flags & FLAG_DO ? WIRE_EDNS_DO : 0);
	uint8_t *at = opt + WIRE_OPT_LEN;
	const uint8_t *end = data + size;
	while (end - data >= 2 && asked->codes_n < 64) {
		uint16_t code = options[data[0] % N(options)];
		size_t len = data[1];
		data += 2;
		if (len > (size_t)(end - data))
			len = (size_t)(end - data);
		if (at + 4 + len > asked->req + sizeof(asked->req) - WIRE_OPT_LEN)
			break;
		memcpy(at + 4, data, len);
		data += len;
		if (code == WIRE_OPTION_ECS)
			len = mend_ecs(asked, at + 4, len);
		wire_put16(at, code);
		wire_put16(at + 2, (uint16_t)len);
		asked->code[asked->codes_n++] = code;
		at += 4 + len;
	}
	wire_put16(opt + 9, (uint16_t)(at - opt - WIRE_OPT_LEN));
	asked->len = (size_t)(at - asked->req);
	asked->opt_n++;
	asked->req[11]++;
}

static void make_request(const uint8_t *data, size_t size, struct asked *asked)
{
	uint8_t head[7] = { 0 };
	memcpy(head, data, size < sizeof(head) ? size : sizeof(head));
	data += size < sizeof(head) ? size : sizeof(head);
	size -= size < sizeof(head) ? size : sizeof(head);
	unsigned flags = head[0];
	memset(asked, 0, sizeof(*asked));
	asked->tcp = flags & FLAG_TCP;
	asked->opcode = head[3] < 0xf0 ? 0 : head[3] & 15;
	asked->version = head[4] < 0xc0 ? 0 : head[4] & 63;
	asked->size = wire_get16(head + 5);

	static const uint16_t classes[] = { WIRE_CLASS_IN, WIRE_CLASS_CH, WIRE_CLASS_NONE, WIRE_CLASS_ANY };
	ldns_rdf *name = ldns_dname_new_frm_str(names[head[1] % N(names)]);
	require(name != NULL);
	wire_put16(asked->req, 0x1234);
	asked->req[2] = (uint8_t)((flags & FLAG_RESPONSE ? 0x80U : 0U) | asked->opcode << 3 |
	                          (flags & FLAG_RD ? 1U : 0U));
	asked->req[5] = 1;
	uint8_t *at = asked->req + WIRE_HEADER_LEN;
	memcpy(at, ldns_rdf_data(name), ldns_rdf_size(name));
	at += ldns_rdf_size(name);
	ldns_rdf_deep_free(name);
	wire_put16(at, types[head[2] % N(types)]);
	wire_put16(at + 2, classes[asked->opcode ? 0 : head[3] & 3]);
	at += 4;
	if (flags & FLAG_RECORD_BEFORE) {
		static const uint8_t record[] = { 1, 'x', 0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1 };
		memcpy(at, record, sizeof(record));
		at += sizeof(record);
		asked->req[11]++;
	}
	asked->len = (size_t)(at - asked->req);
	if (!(flags & FLAG_NO_OPT))
		put_opt(asked, flags, data, size);
	if (flags & FLAG_TWO_OPT && asked->opt_n && asked->len + WIRE_OPT_LEN <= sizeof(asked->req))
		put_opt(asked, flags, data, 0);
}

/* Where the records of a section end. */
static const uint8_t *skip_records(const uint8_t *at, const uint8_t *end, unsigned n)
{
	for (; n > 0; n--) {
		size_t name = wire_name_skip(at, end);
		require(name && end - at >= (ptrdiff_t)name + 10);
		at += name + 10 + wire_get16(at + name + 8);
		require(at <= end);
	}
	return at;
}

/* The options of the answer's OPT record [at, end). */
static void check_options(const struct asked *asked, const uint8_t *at, const uint8_t *end)
{
	static const uint16_t only_asked[] = { OPTION_NSID,      WIRE_OPTION_ECS, OPTION_COOKIE,
		                               OPTION_KEEPALIVE, OPTION_PADDING,  WIRE_OPTION_ZONEVERSION };
	unsigned seen[N(only_asked)] = { 0 };
	while (at < end) {
		require(end - at >= 4);
		uint16_t code = wire_get16(at);
		size_t len = wire_get16(at + 2);
		require(end - at >= (ptrdiff_t)(4 + len));
		for (size_t i = 0; i < N(only_asked); i++) {
			if (code == only_asked[i])
				require(has_code(asked, code) && seen[i]++ == 0);
		}
		/* Family, source and address come back as they were (RFC 7871 section 7.2.1). */
		if (code == WIRE_OPTION_ECS) {
			require(asked->ecs_good && len == asked->ecs_len &&
			        memcmp(at + 4, asked->ecs, 3) == 0);
			require(memcmp(at + 8, asked->ecs + 4, len - 4) == 0);
			require(at[7] <= (at[5] == 1 ? 32 : 128) && (asked->ecs[2] || at[7] == 0));
		}
		if (code == WIRE_OPTION_EDE)
			require(len >= 2);
		if (code == OPTION_KEEPALIVE)
			require(asked->tcp && len == 2);
		at += 4 + len;
	}
}

/* The answer's own OPT record; it stands anywhere in the additional section. Returns how many there are. */
static unsigned check_opts(const struct asked *asked, const uint8_t *resp, size_t len, unsigned *ret_rcode)
{
	const uint8_t *end = resp + len;
	const uint8_t *at = resp + WIRE_HEADER_LEN;
	unsigned opt_n = 0;
	if (wire_get16(resp + 4))
		at += wire_name_skip(at, end) + 4;
	at = skip_records(at, end, (unsigned)wire_get16(resp + 6) + wire_get16(resp + 8));
	*ret_rcode = resp[3] & 15;
	for (unsigned i = wire_get16(resp + 10); i > 0; i--) {
		const uint8_t *next = skip_records(at, end, 1);
		size_t name = wire_name_skip(at, end);
		if (wire_get16(at + name) == WIRE_TYPE_OPT) {
			require(name == 1 && at[6] == 0);
			require(wire_get16(at + 3) == EDNS_SIZE);
			*ret_rcode |= (unsigned)at[5] << 4;
			check_options(asked, at + WIRE_OPT_LEN, next);
			opt_n++;
		}
		at = next;
	}
	require(at == end);
	return opt_n;
}

static void check_rcode(const struct asked *asked, unsigned rcode, unsigned opt_n)
{
	require(opt_n <= 1 && (opt_n == 0 || asked->opt_n));
	if (asked->opcode) {
		require(rcode == WIRE_RCODE_NOTIMP || rcode == WIRE_RCODE_REFUSED || rcode == 9);
		return;
	}
	if (asked->opt_n > 1) { /* RFC 6891 section 6.1.1 */
		require(rcode == WIRE_RCODE_FORMERR);
		return;
	}
	if (asked->opt_n && asked->version) { /* whatever its options look like (RFC 6891 section 6.1.3) */
		require(rcode == WIRE_RCODE_BADVERS && opt_n == 1);
		return;
	}
	if (asked->ecs_n && !asked->ecs_good)
		require(rcode == WIRE_RCODE_FORMERR);
	if (rcode == WIRE_RCODE_FORMERR)
		return;
	require(opt_n == asked->opt_n);
	require(rcode <= WIRE_RCODE_YXDOMAIN || rcode == RCODE_BADCOOKIE);
	require(rcode != RCODE_BADCOOKIE || has_code(asked, OPTION_COOKIE));
}

static void check_answer(const struct asked *asked, const uint8_t *resp, size_t len)
{
	const uint8_t *req = asked->req;
	size_t limit = ANSWER_TCP_MAX;
	if (!asked->tcp)
		limit = asked->opt_n && asked->size > WIRE_PLAIN_UDP
		                ? (asked->size < EDNS_SIZE ? asked->size : EDNS_SIZE)
		                : WIRE_PLAIN_UDP;
	require(len >= WIRE_HEADER_LEN && len <= limit);
	require(resp[0] == req[0] && resp[1] == req[1]);
	require((resp[2] & 0xf9) == (0x80 | (req[2] & 0x79))); /* QR, opcode, RD */
	require((resp[3] & 0xf0) == 0);                        /* RA, Z, AD, CD */
	require(!asked->tcp || !(resp[2] & 2));

	ldns_pkt *pkt = NULL;
	require(ldns_wire2pkt(&pkt, resp, len) == LDNS_STATUS_OK);
	if (wire_get16(resp + 4)) {
		size_t question_len = wire_name_skip(req + WIRE_HEADER_LEN, req + asked->len) + 4;
		require(wire_get16(resp + 4) == 1 && len >= WIRE_HEADER_LEN + question_len);
		require(memcmp(resp + WIRE_HEADER_LEN, req + WIRE_HEADER_LEN, question_len) == 0);
	}
	unsigned rcode;
	unsigned opt_n = check_opts(asked, resp, len, &rcode);
	require(ldns_pkt_edns(pkt) == (opt_n == 1));
	ldns_pkt_free(pkt);
	check_rcode(asked, rcode, opt_n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture fixture;
	static struct asked asked;
	static uint8_t resp[ANSWER_TCP_MAX];
	static const struct answer_ident ident = { "ns1", "dnsd 1.2", "generation=1 serial=7 mirrors=1/2",
		                                   "1" };
	if (!fixture.store) {
		fixture_init(&fixture, zone, NULL);
		fixture.data.ident = &ident;
	}
	make_request(data, size, &asked);
	struct sockaddr_in peer4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f020001) };
	struct sockaddr_in6 peer6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	bool ipv6 = size && data[0] & FLAG_IPV6;
	struct client client = { .peer = ipv6 ? (struct sockaddr *)&peer6 : (struct sockaddr *)&peer4,
		                 .transport = asked.tcp ? TRANSPORT_TCP : TRANSPORT_UDP,
		                 .tells_idle = true,
		                 .idle_ms = 12300 };
	size_t len = answer_query(&fixture.data, &client, asked.req, asked.len, resp,
	                          asked.tcp ? ANSWER_TCP_MAX : ANSWER_UDP_MAX, fixture.state);
	require((len == 0) == ((asked.req[2] & 0x80) != 0));
	if (len)
		check_answer(&asked, resp, len);
	return 0;
}
