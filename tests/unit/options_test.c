/* EDNS options by which a query asks for something: what answer_query() makes of each, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/hex.h"
#include "tests/unit/support/store_fixture.h"
#include "wire/query.h"
#include "wire/wire.h"

static const char zone[] = "$TTL 1h\n"
                           "@ 60 SOA ns1 hostmaster 1 3600 600 86400 60\n"
                           "@ NS ns1\n"
                           "ns1 A 192.0.2.53\n";

#define CLIENT   "000a 0008 2464c4abcf10c957"
#define COOKIE_1 "000a 0018 2464c4abcf10c957 01000000 5cf79f11 1f8130c3eee29480" /* RFC 9018 A.1 */
#define COOKIE_2 "000a 0018 2464c4abcf10c957 01000000 5cf7a871 d4a564a1442aca77" /* and A.2 */
#define MADE_1_S 1559731985
/* As struct got has it. */
#define COOKIE_2_OPTION "000a 0018 2464c4abcf10c957010000005cf7a871d4a564a1442aca77"
#define NSID            "0003 0003 6e7331"
#define IDLE            "000b 0002 007b" /* 12.3 s */

static const struct answer_ident ident = { .id = "ns1" };

/* Who asks in RFC 9018 A.1 and A.2: 198.51.100.100. */
static struct sockaddr_in example_peer(void)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc6336464) };
}

static uint32_t idle_ms = 12300;
static bool tells_idle = true;

static int setup(void **state)
{
	struct fixture *fixture = fixture_create(zone, NULL);
	fixture->data.ident = &ident;
	*state = fixture;
	return 0;
}

/* A message with these options; name NULL = without a question. Returns its length. */
static size_t make_request(const char *name, uint16_t type, uint16_t edns_size, const char *options,
                           uint8_t req[FIXTURE_REQUEST_MAX])
{
	uint8_t bytes[FIXTURE_REQUEST_MAX];
	struct fixture_question question = { .name = name,
		                             .type = type,
		                             .edns_size = edns_size,
		                             .options = bytes,
		                             .options_len = unhex(options, bytes) };
	return fixture_make_request(&question, req);
}

struct got {
	size_t len;
	unsigned rcode; /* extended */
	unsigned answers_n;
	bool truncated;
	bool has_opt;
	char options[2048]; /* hex, blanks after code and length, "|" between options */
	uint8_t resp[ANSWER_TCP_MAX];
};

static const struct got *read_answer(struct got *got)
{
	const uint8_t *end = got->resp + got->len;
	const uint8_t *at = got->resp + WIRE_HEADER_LEN;
	if (wire_get16(got->resp + 4))
		at += wire_name_skip(at, end) + 4;
	unsigned n =
	        (unsigned)wire_get16(got->resp + 6) + wire_get16(got->resp + 8) + wire_get16(got->resp + 10);
	got->rcode = got->resp[3] & 15U;
	got->answers_n = wire_get16(got->resp + 6);
	got->truncated = (wire_get16(got->resp + 2) & WIRE_FLAG_TC) != 0;
	got->has_opt = false;
	got->options[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		size_t owner_len = wire_name_skip(at, end);
		assert_true(owner_len > 0);
		const uint8_t *rdata = at + owner_len + 10;
		const uint8_t *next = rdata + wire_get16(rdata - 2);
		if (wire_get16(rdata - 10) == WIRE_TYPE_OPT) {
			assert_int_equal(i + 1, n);
			got->has_opt = true;
			got->rcode |= (unsigned)rdata[-6] << 4;
			char *text = got->options;
			while (rdata < next) {
				size_t len = wire_get16(rdata + 2);
				assert_true(rdata + 4 + len <= next);
				text += sprintf(text, "%s%04x %04x", rdata > at + owner_len + 10 ? "|" : "",
				                wire_get16(rdata), (unsigned)len);
				for (size_t b = 0; b < len && len < 600; b++)
					text += sprintf(text, "%s%02x", b ? "" : " ", rdata[4 + b]);
				rdata += 4 + len;
			}
		}
		at = next;
	}
	assert_ptr_equal(at, end);
	return got;
}

/* From 198.51.100.100. */
static const struct got *ask(struct fixture *fixture, enum transport transport, const char *name,
                             const char *options)
{
	static struct got got;
	uint8_t req[1024];
	struct sockaddr_in from = example_peer();
	struct client client = { .peer = (const struct sockaddr *)&from,
		                 .transport = transport,
		                 .tells_idle = tells_idle,
		                 .idle_ms = idle_ms };
	size_t req_len = make_request(name, WIRE_TYPE_A, 1232, options, req);
	got.len = answer_query(&fixture->data, &client, req, req_len, got.resp,
	                       transport == TRANSPORT_UDP ? ANSWER_UDP_MAX : ANSWER_TCP_MAX, fixture->state);
	assert_true(got.len >= WIRE_HEADER_LEN);
	assert_memory_equal(got.resp, req, 2);
	return read_answer(&got);
}

static void expect(const struct got *got, unsigned rcode, unsigned answers_n, const char *options)
{
	char want[2048];
	uint8_t bytes[1024];
	size_t len = unhex(options, bytes);
	size_t used = 0;
	want[0] = '\0';
	for (size_t at = 0; at < len; at += 4U + wire_get16(bytes + at + 2)) {
		unsigned option_len = wire_get16(bytes + at + 2);
		used += (size_t)sprintf(want + used, "%s%04x %04x", at ? "|" : "", wire_get16(bytes + at),
		                        option_len);
		for (unsigned i = 0; i < option_len; i++)
			used += (size_t)sprintf(want + used, "%s%02x", i ? "" : " ", bytes[at + 4 + i]);
	}
	assert_int_equal(got->rcode, rcode);
	assert_int_equal(got->answers_n, answers_n);
	assert_true(got->has_opt);
	assert_string_equal(got->options, want);
}

#define NAME "ns1.example.net"

static void test_cookie(void **state)
{
	struct fixture *fixture = *state;
	struct answer_counters *counters = &fixture->state->counters;
	expect(ask(fixture, TRANSPORT_UDP, NAME, ""), 0, 1, "");
	fixture->state->now_s = MADE_1_S;
	expect(ask(fixture, TRANSPORT_UDP, NAME, CLIENT), 0, 1, COOKIE_1);
	assert_int_equal(counters->cookie_client, 1);
	expect(ask(fixture, TRANSPORT_UDP, NAME, COOKIE_1), 0, 1, COOKIE_1);
	fixture->state->now_s = MADE_1_S + 1800;
	expect(ask(fixture, TRANSPORT_UDP, NAME, COOKIE_1), 0, 1, COOKIE_1);
	fixture->state->now_s = FIXTURE_NOW_S;
	expect(ask(fixture, TRANSPORT_UDP, NAME, COOKIE_1), 0, 1, COOKIE_2);
	expect(ask(fixture, TRANSPORT_TCP, NAME, COOKIE_1), 0, 1, COOKIE_2);
	assert_int_equal(counters->cookie_valid, 4);
	fixture->state->now_s = MADE_1_S - 301;
	assert_int_equal(ask(fixture, TRANSPORT_UDP, NAME, COOKIE_1)->answers_n, 1);
	assert_int_equal(counters->cookie_expired, 1);
	fixture->state->now_s = FIXTURE_NOW_S;
	expect(ask(fixture, TRANSPORT_UDP, NAME,
	           "000a 0018 2464c4abcf10c957 01000000 5cf79f11 ffffffffffffffff"),
	       0, 1, COOKIE_2);
	assert_int_equal(counters->cookie_invalid, 1);
	/* beside any other answer of ours, and beside an empty one */
	expect(ask(fixture, TRANSPORT_UDP, "elsewhere.test", CLIENT), WIRE_RCODE_REFUSED, 0, COOKIE_2);
	expect(ask(fixture, TRANSPORT_UDP, "no.example.net", CLIENT), WIRE_RCODE_NXDOMAIN, 0, COOKIE_2);
	/* only the first of several counts, RFC 7873 section 5.2 */
	expect(ask(fixture, TRANSPORT_UDP, NAME, CLIENT " 000a 0003 010203 000a 0008 0000000000000000"), 0, 1,
	       COOKIE_2);
	assert_int_equal(counters->cookie_client, 4);
	assert_int_equal(counters->edns, 11);
	assert_int_equal(counters->badcookie, 0);
}

static void test_cookie_length(void **state)
{
	struct fixture *fixture = *state;
	for (unsigned len = 0; len <= 60; len++) {
		char options[256];
		size_t used = (size_t)sprintf(options, "000a %04x ", len);
		for (unsigned i = 0; i < len; i++)
			used += (size_t)sprintf(options + used, "%02x", i);
		bool good = len == 8 || (len >= 16 && len <= 40);
		const struct got *got = ask(fixture, TRANSPORT_UDP, NAME, options);
		assert_int_equal(got->rcode, good ? 0 : WIRE_RCODE_FORMERR);
		assert_int_equal(got->answers_n, good);
		if (!good)
			assert_string_equal(got->options, "");
	}
	assert_int_equal(fixture->state->counters.cookie_invalid, 25);
	assert_int_equal(fixture->state->counters.cookie_client, 1);
}

static void test_cookie_required(void **state)
{
	struct fixture *fixture = *state;
	struct answer_cookies required = *fixture->data.cookies;
	struct answer_counters *counters = &fixture->state->counters;
	required.required = true;
	fixture->data.cookies = &required;
	uint32_t slots[ANSWER_ROTATION_N];
	memcpy(slots, fixture->state->rotation, sizeof(slots));
	expect(ask(fixture, TRANSPORT_UDP, "db.de.example.net", CLIENT), WIRE_RCODE_BADCOOKIE, 0, COOKIE_2);
	expect(ask(fixture, TRANSPORT_UDP, "db.de.example.net",
	           "000a 0010 2464c4abcf10c957 0000000000000000"),
	       WIRE_RCODE_BADCOOKIE, 0, COOKIE_2);
	assert_int_equal(counters->badcookie, 2);
	assert_int_equal(counters->noerror, 0);
	assert_int_equal(counters->edns, 2);
	assert_memory_equal(slots, fixture->state->rotation, sizeof(slots));
	expect(ask(fixture, TRANSPORT_UDP, NAME, COOKIE_2), 0, 1, COOKIE_2);
	/* over TCP the address is no lie, and who knows no cookies can't be asked for one */
	expect(ask(fixture, TRANSPORT_TCP, NAME, CLIENT), 0, 1, COOKIE_2);
	expect(ask(fixture, TRANSPORT_TLS, NAME, CLIENT), 0, 1, COOKIE_2);
	expect(ask(fixture, TRANSPORT_UDP, NAME, ""), 0, 1, "");
	assert_int_equal(counters->badcookie, 2);
}

static void test_cookie_off(void **state)
{
	struct fixture *fixture = *state;
	fixture->data.cookies = NULL;
	expect(ask(fixture, TRANSPORT_UDP, NAME, CLIENT), 0, 1, "");
	expect(ask(fixture, TRANSPORT_UDP, NAME, COOKIE_2 NSID), 0, 1, NSID);
	expect(ask(fixture, TRANSPORT_UDP, NULL, CLIENT), WIRE_RCODE_FORMERR, 0, "");
	assert_int_equal(fixture->state->counters.cookie_client, 0);
	assert_int_equal(fixture->state->counters.cookie_valid, 0);
}

/* RFC 7873 section 5.4. */
static void test_no_question(void **state)
{
	struct fixture *fixture = *state;
	struct answer_counters *counters = &fixture->state->counters;
	const struct got *got = ask(fixture, TRANSPORT_UDP, NULL, CLIENT);
	expect(got, 0, 0, COOKIE_2);
	assert_int_equal(wire_get16(got->resp + 4), 0);
	assert_int_equal(got->len, WIRE_HEADER_LEN + WIRE_OPT_LEN + WIRE_COOKIE_LEN);
	expect(ask(fixture, TRANSPORT_UDP, NULL, COOKIE_1), 0, 0, COOKIE_2);
	expect(ask(fixture, TRANSPORT_UDP, NULL, "000a 0010 2464c4abcf10c957 0000000000000000"),
	       WIRE_RCODE_BADCOOKIE, 0, COOKIE_2);
	expect(ask(fixture, TRANSPORT_TCP, NULL, CLIENT NSID "000b 0000"), 0, 0, COOKIE_2 IDLE NSID);
	assert_int_equal(counters->noerror, 3);
	assert_int_equal(counters->badcookie, 1);
	assert_int_equal(counters->edns, 4);
	assert_int_equal(counters->formerr, 0);
	expect(ask(fixture, TRANSPORT_UDP, NULL, ""), WIRE_RCODE_FORMERR, 0, "");
	expect(ask(fixture, TRANSPORT_UDP, NULL, "0003 0000"), WIRE_RCODE_FORMERR, 0, "");
	expect(ask(fixture, TRANSPORT_UDP, NULL, "000a 0007 2464c4abcf10c9"), WIRE_RCODE_FORMERR, 0, "");
	/* a zone version asked for is of no zone */
	expect(ask(fixture, TRANSPORT_UDP, NULL, CLIENT "0013 0000"), 0, 0, COOKIE_2);
	assert_int_equal(counters->formerr, 3);
}

static void test_nsid(void **state)
{
	struct fixture *fixture = *state;
	expect(ask(fixture, TRANSPORT_UDP, NAME, "0003 0000"), 0, 1, NSID);
	expect(ask(fixture, TRANSPORT_TCP, NAME, "0003 0000"), 0, 1, NSID);
	expect(ask(fixture, TRANSPORT_UDP, "elsewhere.test", "0003 0000"), WIRE_RCODE_REFUSED, 0, NSID);
	expect(ask(fixture, TRANSPORT_UDP, NAME, "0003 0004 61626364"), 0, 1, NSID);
	expect(ask(fixture, TRANSPORT_UDP, NAME, "0003 0000 0003 0000"), 0, 1, NSID);
	static const struct answer_ident nobody;
	fixture->data.ident = &nobody;
	expect(ask(fixture, TRANSPORT_UDP, NAME, "0003 0000"), 0, 1, "");
	fixture->data.ident = NULL;
	expect(ask(fixture, TRANSPORT_UDP, NAME, "0003 0000"), 0, 1, "");
}

static void test_keepalive(void **state)
{
	struct fixture *fixture = *state;
	expect(ask(fixture, TRANSPORT_TCP, NAME, "000b 0000"), 0, 1, IDLE);
	expect(ask(fixture, TRANSPORT_TLS, NAME, "000b 0000"), 0, 1, IDLE);
	expect(ask(fixture, TRANSPORT_TCP, NAME, ""), 0, 1, "");
	/* RFC 7828 section 3.2: over UDP it is not looked at */
	expect(ask(fixture, TRANSPORT_UDP, NAME, "000b 0000"), 0, 1, "");
	expect(ask(fixture, TRANSPORT_UDP, NAME, "000b 0002 0064"), 0, 1, "");
	assert_int_equal(fixture->state->counters.formerr, 0);
	expect(ask(fixture, TRANSPORT_TCP, NAME, "000b 0002 0064"), WIRE_RCODE_FORMERR, 0, "");
	expect(ask(fixture, TRANSPORT_TLS, NAME, CLIENT "000b 0001 00"), WIRE_RCODE_FORMERR, 0, COOKIE_2);
	assert_int_equal(fixture->state->counters.formerr, 2);
	uint32_t usual_ms = idle_ms;
	idle_ms = 10000000;
	expect(ask(fixture, TRANSPORT_TCP, NAME, "000b 0000"), 0, 1, "000b 0002 ffff");
	idle_ms = 0;
	expect(ask(fixture, TRANSPORT_TCP, NAME, "000b 0000"), 0, 1, "000b 0002 0000");
	idle_ms = usual_ms;
	tells_idle = false;
	expect(ask(fixture, TRANSPORT_TCP, NAME, "000b 0000"), 0, 1, "");
	tells_idle = true;
}

/* Order is ours and always the same: zone version, cookie, keepalive, id, padding. */
static void test_all_together(void **state)
{
	struct fixture *fixture = *state;
	expect(ask(fixture, TRANSPORT_TCP, NAME, "0003 0000 000c 0000 000b 0000 0013 0000" CLIENT), 0, 1,
	       "0013 0006 0200 00000007" COOKIE_2 IDLE NSID);
}

static void test_padding(void **state)
{
	struct fixture *fixture = *state;
	static const char *const names[] = { NAME, "db.big.example.net", "elsewhere.test", "no.example.net" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t plain_len = ask(fixture, TRANSPORT_TLS, names[i], CLIENT)->len;
		/* RFC 7830 section 6, 8467 section 4.1: only when asked for, and only where it hides
		 * something */
		assert_int_equal(ask(fixture, TRANSPORT_UDP, names[i], CLIENT "000c 0003 000000")->len,
		                 plain_len);
		assert_int_equal(ask(fixture, TRANSPORT_TCP, names[i], CLIENT "000c 0000")->len, plain_len);
		const struct got *got =
		        ask(fixture, TRANSPORT_TLS, names[i], "000c 0008 0102030405060708" CLIENT);
		assert_int_equal(got->len, (plain_len + 4 + 467) / 468 * 468);
		const char *padding = strstr(got->options, "|000c ");
		assert_non_null(padding); /* behind all others */
		assert_null(strchr(padding + 1, '|'));
		size_t padding_len = got->len - plain_len - 4;
		assert_int_equal(strtoul(padding + 6, NULL, 16), padding_len);
		for (size_t b = 0; b < padding_len; b++)
			assert_int_equal(got->resp[got->len - 1 - b], 0);
	}
}

/* Where the limit is in the way, up to the limit; where not even an empty option has room, none. */
static void test_padding_at_limit(void **state)
{
	struct fixture *fixture = *state;
	static struct got got;
	uint8_t req[1024];
	size_t plain_len = ask(fixture, TRANSPORT_TLS, "db.big.example.net", "")->len;
	struct sockaddr_in from = example_peer();
	struct client client = { .peer = (const struct sockaddr *)&from, .transport = TRANSPORT_TLS };
	size_t req_len = make_request("db.big.example.net", WIRE_TYPE_A, 1232, "000c 0000", req);
	for (size_t cap = plain_len; cap < plain_len + 600; cap++) {
		got.len = answer_query(&fixture->data, &client, req, req_len, got.resp, cap, fixture->state);
		read_answer(&got);
		assert_false(got.truncated);
		size_t want = (plain_len + 4 + 467) / 468 * 468;
		if (cap < plain_len + 4)
			want = plain_len;
		else if (want > cap)
			want = cap;
		assert_int_equal(got.len, want);
	}
}

/* With all options, at each size: whole or TC, never over it, and TC takes no turn. */
static void test_room(void **state)
{
	struct fixture *fixture = *state;
	static const char options[] = "0008 0014 0002 8000 20010db8000000000000000000000001"
	                              "0013 0000 0003 0000" CLIENT;
	struct sockaddr_in from = example_peer();
	struct client client = { .peer = (const struct sockaddr *)&from, .transport = TRANSPORT_UDP };
	struct answer_ident longest = { .state = "" };
	unsigned whole_n = 0;
	memset(longest.id, 'x', sizeof(longest.id) - 1);
	fixture->data.ident = &longest;
	fixture->data.edns_size = ANSWER_UDP_MAX;
	for (uint16_t size = 512; size < 1232; size++) {
		static struct got got;
		uint8_t req[1024];
		uint32_t before[ANSWER_ROTATION_N];
		memcpy(before, fixture->state->rotation, sizeof(before));
		size_t req_len = make_request("db.big.example.net", WIRE_TYPE_A, size, options, req);
		got.len = answer_query(&fixture->data, &client, req, req_len, got.resp, ANSWER_UDP_MAX,
		                       fixture->state);
		read_answer(&got);
		assert_true(got.len <= size);
		assert_int_equal(got.answers_n, got.truncated ? 0 : 40);
		assert_non_null(strstr(got.options, "0003 00ff 7878"));
		assert_non_null(strstr(got.options, COOKIE_2_OPTION));
		assert_int_equal(memcmp(before, fixture->state->rotation, sizeof(before)) == 0,
		                 got.truncated);
		whole_n += !got.truncated;
		if (!got.truncated && whole_n == 1)
			assert_int_equal(got.len, size);
	}
	assert_true(whole_n > 0 && whole_n < 720);
}

/* The longest name, the longest id and the smallest answer: the id is what is left out. */
static void test_room_for_id(void **state)
{
	struct fixture *fixture = *state;
	static struct got got;
	char name[300] = "";
	uint8_t req[1024];
	struct sockaddr_in from = example_peer();
	struct client client = { .peer = (const struct sockaddr *)&from, .transport = TRANSPORT_UDP };
	struct answer_ident longest = { .state = "" };
	memset(longest.id, 'x', sizeof(longest.id) - 1);
	fixture->data.ident = &longest;
	bool had_id = true;
	for (unsigned labels = 0; labels < 120; labels++) {
		snprintf(name, sizeof(name), "%s", "");
		for (unsigned i = 0; i < labels; i++)
			strcat(name, "q.");
		strcat(name, "example.net");
		size_t req_len = make_request(name, WIRE_TYPE_A, 512,
		                              "0003 0000 0013 0000 0008 0014 0002 8000 "
		                              "20010db8000000000000000000000001" CLIENT,
		                              req);
		got.len = answer_query(&fixture->data, &client, req, req_len, got.resp, ANSWER_UDP_MAX,
		                       fixture->state);
		read_answer(&got);
		assert_true(got.len <= 512);
		assert_non_null(strstr(got.options, COOKIE_2_OPTION));
		bool has_id = strstr(got.options, "0003 00ff") != NULL;
		assert_true(had_id || !has_id);
		had_id = has_id;
	}
	assert_false(had_id);
}

static const struct got *ask_raw(struct fixture *fixture, const uint8_t *req, size_t req_len)
{
	static struct got got;
	struct sockaddr_in from = example_peer();
	struct client client = { .peer = (const struct sockaddr *)&from, .transport = TRANSPORT_TLS };
	got.len =
	        answer_query(&fixture->data, &client, req, req_len, got.resp, ANSWER_TCP_MAX, fixture->state);
	assert_true(got.len >= WIRE_HEADER_LEN);
	return read_answer(&got);
}

/* What is turned down has a cookie and nothing else, wherever the client's stands; RFC 7873 section 5.3:
 * without one a client that knows ours takes the answer for forged. */
static void test_errors(void **state)
{
	struct fixture *fixture = *state;
	struct answer_counters *counters = &fixture->state->counters;
	uint8_t req[1024];
	expect(ask(fixture, TRANSPORT_TLS, NAME, CLIENT "0003 0000 000c 0000 0013 0001 00"),
	       WIRE_RCODE_FORMERR, 0, COOKIE_2);
	expect(ask(fixture, TRANSPORT_UDP, NAME, CLIENT "0003 0000 0008 0001 00"), WIRE_RCODE_FORMERR, 0,
	       COOKIE_2);
	expect(ask(fixture, TRANSPORT_UDP, NAME, "0008 0001 00 0003 0000" COOKIE_1), WIRE_RCODE_FORMERR, 0,
	       COOKIE_2);
	assert_int_equal(counters->cookie_client, 2);
	assert_int_equal(counters->cookie_valid, 1);
	/* no cookie of its own, or options that can't be told apart */
	expect(ask(fixture, TRANSPORT_UDP, NAME, "0008 0001 00 0003 0000"), WIRE_RCODE_FORMERR, 0, "");
	expect(ask(fixture, TRANSPORT_UDP, NAME, CLIENT "0003 0001"), WIRE_RCODE_FORMERR, 0, "");
	expect(ask(fixture, TRANSPORT_UDP, NAME, CLIENT "00"), WIRE_RCODE_FORMERR, 0, "");
	expect(ask(fixture, TRANSPORT_UDP, NAME, "0008 0001 00 000a 0007 2464c4abcf10c9"), WIRE_RCODE_FORMERR,
	       0, "");
	/* a client subnet that was fine until there was another */
	expect(ask(fixture, TRANSPORT_UDP, NAME, "0008 0004 0001 0000 0008 0004 0001 0000"),
	       WIRE_RCODE_FORMERR, 0, "");
	/* a version nobody knows, whose options may look different */
	size_t req_len = make_request(NAME, WIRE_TYPE_A, 1232, CLIENT "0003 0000", req);
	uint8_t *version = req + WIRE_HEADER_LEN + 17 + 4 + 6;
	*version = 1;
	expect(ask_raw(fixture, req, req_len), WIRE_RCODE_BADVERS, 0, "");
	/* opcodes: STATUS of that version, and of ours; UPDATE with a cookie that is required */
	req[2] = 2 << 3;
	expect(ask_raw(fixture, req, req_len), WIRE_RCODE_NOTIMP, 0, "");
	*version = 0;
	expect(ask_raw(fixture, req, req_len), WIRE_RCODE_NOTIMP, 0, COOKIE_2);
	struct answer_cookies required = *fixture->data.cookies;
	required.required = true;
	fixture->data.cookies = &required;
	req[2] = 5 << 3;
	expect(ask_raw(fixture, req, req_len), WIRE_RCODE_NOTIMP, 0, COOKIE_2);
	fixture->data.cookies = NULL;
	expect(ask_raw(fixture, req, req_len), WIRE_RCODE_NOTIMP, 0, "");
	assert_int_equal(counters->cookie_client, 4);
	assert_int_equal(counters->badcookie, 0);
}

/* Who limits rates asks for note.cookie_ok: it is set anew for each request of a batch. */
static void test_batch(void **state)
{
	struct fixture *fixture = *state;
	static const char *const options[] = { COOKIE_2,
		                               CLIENT,
		                               "",
		                               COOKIE_1,
		                               "000a 0007 2464c4abcf10c9",
		                               "000a 0010 2464c4abcf10c957 0000000000000000",
		                               "0003 0000",
		                               COOKIE_2,
		                               COOKIE_1,
		                               CLIENT };
	enum { N = sizeof(options) / sizeof(options[0]) };
	static uint8_t reqs[N][1024];
	static uint8_t resps[N * ANSWER_UDP_MAX];
	struct answer_request batch[N];
	struct sockaddr_in from = example_peer();
	for (size_t i = 0; i < N; i++) {
		batch[i] = (struct answer_request){
			.client = { .peer = (const struct sockaddr *)&from, .transport = TRANSPORT_UDP },
			.req = reqs[i],
			.note = { .cookie_ok = true },
		};
		batch[i].req_len = make_request(i == 8 ? NULL : NAME, WIRE_TYPE_A, 1232, options[i], reqs[i]);
	}
	reqs[7][2] = 15 << 3; /* an opcode that nobody knows, and a valid cookie all the same */
	answer_queries(&fixture->data, batch, N, resps, fixture->state);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(batch[i].note.cookie_ok,
		                 options[i] == options[0] || options[i] == options[3]);
	batch[0].req_len = 3;
	answer_queries(&fixture->data, batch, 1, resps, fixture->state);
	assert_false(batch[0].note.cookie_ok);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cookie, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_cookie_length, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_cookie_required, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_cookie_off, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_no_question, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_nsid, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_keepalive, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_all_together, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_padding, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_padding_at_limit, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_room_for_id, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_batch, setup, fixture_teardown),
	};
	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
