/* answer_query() on names of pools: who comes first and how often, who is near, what is counted. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ldns/ldns.h>

#include "tests/unit/support/hex.h"
#include "tests/unit/support/store_fixture.h"
#include "wire/name.h"
#include "wire/wire.h"

static const char zone[] = "$TTL 3600\n"
                           "@ SOA ns1 hostmaster 7 3600 600 86400 60\n"
                           "@ NS ns1\n"
                           "ns1 A 192.0.2.53\n"
                           "big CNAME db.big\n";

/* First address of each of count A answers, counted by last byte. */
static void count_first(struct fixture *fixture, const char *name, unsigned count, unsigned by_byte[256])
{
	uint8_t resp[ANSWER_UDP_MAX];
	memset(by_byte, 0, 256 * sizeof(*by_byte));
	for (unsigned i = 0; i < count; i++) {
		size_t len = fixture_ask(fixture, name, WIRE_TYPE_A, 1232, resp);
		assert_true(len > 0);
		const uint8_t *question_end = resp + WIRE_HEADER_LEN + strlen(name) + 2 + 4;
		by_byte[question_end[15]]++;
	}
}

static void test_rotation(void **test_state)
{
	(void)test_state;
	struct fixture fixture;
	fixture_init(&fixture, zone, NULL);
	unsigned first[256];
	count_first(&fixture, "db.de.example.net", 200, first);
	for (unsigned i = 1; i <= 4; i++)
		assert_in_range(first[i], 35, 65);
	/* Asked in pairs of A and AAAA, as stub resolvers do, the shares must hold too. */
	unsigned pairs[256] = { 0 };
	uint8_t resp[ANSWER_UDP_MAX];
	for (unsigned i = 0; i < 200; i++) {
		fixture_ask(&fixture, "db.de.example.net", WIRE_TYPE_A, 0, resp);
		pairs[resp[WIRE_HEADER_LEN + 19 + 4 + 15]]++;
		fixture_ask(&fixture, "db.de.example.net", WIRE_TYPE_AAAA, 0, resp);
		assert_int_equal(wire_get16(resp + 6), 1);
	}
	for (unsigned i = 1; i <= 4; i++)
		assert_in_range(pairs[i], 35, 65);
	fixture_fini(&fixture);
}

/* UDP says TC, the client comes again over TCP: over all of these each mirror is first as often as the
 * others. */
static void check_rotation_after_truncation(const char *name, size_t last_octet_off)
{
	struct fixture fixture;
	fixture_init(&fixture, zone, NULL);
	unsigned first[256] = { 0 };
	uint8_t *resp = malloc(ANSWER_TCP_MAX);
	assert_non_null(resp);
	for (unsigned i = 0; i < 400; i++) {
		uint8_t req[300] = { 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
		int len = name_from_text(name, NULL, 0, req + WIRE_HEADER_LEN);
		memcpy(req + WIRE_HEADER_LEN + len, "\0\1\0\1", 4);
		struct sockaddr_in peer = { .sin_family = AF_INET };
		for (int tcp = 0; tcp <= 1; tcp++) {
			struct client client = { .peer = (struct sockaddr *)&peer,
				                 .transport = tcp ? TRANSPORT_TCP : TRANSPORT_UDP };
			answer_query(&fixture.data, &client, req, WIRE_HEADER_LEN + (size_t)len + 4, resp,
			             ANSWER_TCP_MAX, fixture.state);
			assert_int_equal((resp[2] & 2) != 0, !tcp);
		}
		first[resp[WIRE_HEADER_LEN + (size_t)len + 4 + last_octet_off]]++;
	}
	for (unsigned i = 0; i < 40; i++)
		assert_in_range(first[i], 9, 11);
	free(resp);
	fixture_fini(&fixture);
}

static void test_rotation_after_truncation(void **test_state)
{
	(void)test_state;
	check_rotation_after_truncation("db.big.example.net", 15);
	/* behind the CNAME, whose data is six labels' bytes and a pointer, and an owner that points to that
	 */
	check_rotation_after_truncation("big.example.net", 12 + 5 + 15);
}

/* ANY of a pool that has no IPv4 at the moment is its IPv6. */
static void test_any_of_one_family(void **test_state)
{
	(void)test_state;
	struct fixture fixture;
	uint8_t resp[ANSWER_UDP_MAX];
	fixture_init(&fixture, zone, NULL);
	const struct pool_slot *slot = &fixture.pools->slots[FIXTURE_SLOT_COUNTRY];
	((struct pool_set *)fixture.pools->sets)[slot->ref].v4.take_n = 0;
	size_t len = fixture_ask(&fixture, "db.de.example.net", WIRE_TYPE_ANY, 0, resp);
	assert_int_equal(wire_get16(resp + 6), 1);
	assert_int_equal(wire_get16(resp + len - 28 + 2), WIRE_TYPE_AAAA);
	fixture_fini(&fixture);
}

static size_t ask_from(struct fixture *fixture, uint32_t peer_addr, const char *ecs_hex, uint8_t *resp)
{
	uint8_t req[256] = { 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1 };
	static const uint8_t question[] = "\x02"
	                                  "db\x05local\x07"
	                                  "example\x03net\0\0\1\0\1\0\0\x29\x04\xd0\0\0\0\0";
	size_t len = WIRE_HEADER_LEN;
	memcpy(req + len, question, sizeof(question) - 1);
	len += sizeof(question) - 1;
	size_t option_len = strlen(ecs_hex) / 2;
	wire_put16(req + len, (uint16_t)(option_len ? option_len + 4 : 0));
	len += 2;
	if (option_len) {
		wire_put16(req + len, WIRE_OPTION_ECS);
		wire_put16(req + len + 2, (uint16_t)option_len);
		len += 4;
		len += unhex(ecs_hex, req + len);
	}
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(peer_addr) };
	struct client client = { .peer = (struct sockaddr *)&peer, .transport = TRANSPORT_UDP };
	return answer_query(&fixture->data, &client, req, len, resp, ANSWER_UDP_MAX, fixture->state);
}

static void test_nearest(void **test_state)
{
	(void)test_state;
	static const struct {
		const char *what;
		uint32_t peer;
		const char *ecs;
		uint8_t rcode;
		uint8_t first_byte; /* of the first address */
		int scope;          /* -1: no option */
	} table[] = {
		{ "by source, DE", 0x7f020001, "", 0, 192, -1 },
		{ "by source, US", 0x7f010001, "", 0, 198, -1 },
		{ "by source, unknown", 0x7f630001, "", 0, 203, -1 },
		{ "subnet wins over source", 0x7f010001, "000118007f0200", 0, 192, 16 },
		{ "subnet /32", 0x7f020001, "000120007f010203", 0, 198, 16 },
		{ "unknown subnet has a scope too: 128/1 is all unknown", 0x7f020001, "00011800c00002", 0,
		  203, 1 },
		{ "source /0: by source address, scope 0", 0x7f020001, "00010000", 0, 192, 0 },
		{ "IPv6, unknown", 0x7f020001, "0002380020010db8000100", 0, 203, 0 },
		/* RFC 7871 section 6 */
		{ "one octet too many", 0x7f020001, "00011800c0000200", 1, 0, -1 },
		{ "one too few", 0x7f020001, "00011800c000", 1, 0, -1 },
		{ "bit past the prefix", 0x7f020001, "00011400c0000f", 1, 0, -1 },
		{ "scope in a query", 0x7f020001, "00011818c00002", 1, 0, -1 },
		{ "prefix too long", 0x7f020001, "00012100c000020100", 1, 0, -1 },
		{ "unknown family", 0x7f020001, "00031800c00002", 1, 0, -1 },
		{ "too short", 0x7f020001, "0001", 1, 0, -1 },
	};
	struct fixture fixture;
	fixture_init(&fixture, zone, NULL);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint8_t resp[ANSWER_UDP_MAX];
		size_t len = ask_from(&fixture, table[i].peer, table[i].ecs, resp);
		if ((resp[3] & 15) != table[i].rcode)
			fail_msg("%s: rcode %d", table[i].what, resp[3] & 15);
		if (table[i].rcode)
			continue;
		const uint8_t *records = resp + WIRE_HEADER_LEN + 22 + 4;
		if (records[12] != table[i].first_byte)
			fail_msg("%s: first address begins with %u", table[i].what, records[12]);
		size_t answers_len = 16U * wire_get16(resp + 6);
		const uint8_t *opt = records + answers_len;
		int scope = wire_get16(opt + 9) ? opt[WIRE_OPT_LEN + 7] : -1;
		if (scope != table[i].scope)
			fail_msg("%s: scope %d", table[i].what, scope);
		assert_ptr_equal(opt + WIRE_OPT_LEN + wire_get16(opt + 9), resp + len);
	}
	/* an answer that does not depend on the client says so */
	fixture_fini(&fixture);
}

static void test_sizes(void **test_state)
{
	(void)test_state;
	struct fixture fixture;
	fixture_init(&fixture, zone, NULL);
	uint8_t resp[ANSWER_UDP_MAX];
	/* 40 records of 16 bytes need 640: more than a plain UDP answer, less than 1232 */
	size_t len = fixture_ask(&fixture, "db.big.example.net", WIRE_TYPE_A, 0, resp);
	assert_int_equal(len, 12 + 20 + 4);
	assert_true(wire_get16(resp + 2) & WIRE_FLAG_TC);
	assert_int_equal(wire_get16(resp + 6), 0);
	fixture_ask(&fixture, "db.big.example.net", WIRE_TYPE_A, 1, resp);
	assert_true(wire_get16(resp + 2) & WIRE_FLAG_TC);
	len = fixture_ask(&fixture, "db.big.example.net", WIRE_TYPE_A, 1232, resp);
	assert_int_equal(len, 12 + 20 + 4 + 640 + 11);
	assert_false(wire_get16(resp + 2) & WIRE_FLAG_TC);
	assert_int_equal(fixture.state->counters.truncated, 2);
	fixture_fini(&fixture);
}

static void test_ping_counts(void **test_state)
{
	(void)test_state;
	/* As clients of 0.97 and 0.98 write a mirror, and what counts for nothing. */
	static const struct {
		const char *report;
		unsigned mirror; /* 0 = none of ours */
		int result;      /* 1, 0; -1 = no report at all */
	} table[] = {
		{ "daily.15023.64.1.0.192.0.2.1", 1, 1 },
		{ "main.55.76.0.0.C0000201", 1, 0 },
		{ "daily.1.76.1.1.20010db8000000000000000000000004", 2, 1 },
		{ "daily.1.69.0.0.2001:db8::4", 2, 0 },
		{ "daily.25378.93.1.0.6810DB54", 0, 1 },
		{ "daily.25378.93.2.0.C0000201", 0, -1 },
		{ "daily.25378.93.1.0.C000020", 0, -1 },
		{ "daily.25378.93.1.0.C000020X", 0, -1 },
		{ "daily.25378.93.1.0.192.0.2.256", 0, -1 },
		{ "daily.25378.93.1.0.1.2.3.4.5", 0, -1 },
		{ "0.0", 0, -1 },
	};
	struct fixture fixture;
	fixture_init(&fixture, zone, NULL);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct answer_counters before = fixture.state->counters;
		memset(fixture.state->pings, 0, sizeof(fixture.state->pings));
		char name[128];
		uint8_t resp[ANSWER_UDP_MAX];
		snprintf(name, sizeof(name), "%s.ping.example.net", table[i].report);
		assert_true(fixture_ask(&fixture, name, WIRE_TYPE_A, 0, resp) > 0);
		const struct answer_state *now = fixture.state;
		bool right = now->counters.ping_ok - before.ping_ok == (table[i].result == 1) &&
		             now->counters.ping_failed - before.ping_failed == (table[i].result == 0);
		for (unsigned m = 1; m <= 2; m++) {
			bool mine = table[i].mirror == m;
			right &= now->pings[m].ok == (mine && table[i].result == 1) &&
			         now->pings[m].failed == (mine && table[i].result == 0);
		}
		if (!right)
			fail_msg("%s", table[i].report);
	}
	fixture_fini(&fixture);
}

/* Who asked from where, and who stood first: once an answer, for ANY and behind a CNAME too. */
static void test_counts_by_country_and_mirror(void **test_state)
{
	(void)test_state;
	static const struct {
		const char *name;
		uint16_t type;
		bool nearest;
		uint16_t edns_size;
		bool answered; /* with addresses */
	} table[] = {
		{ "db.local.example.net", WIRE_TYPE_A, true, 0, true },
		{ "db.local.example.net", WIRE_TYPE_AAAA, true, 0, true },
		{ "db.local.example.net", WIRE_TYPE_ANY, true, 0, true },
		{ "db.local.example.net", WIRE_TYPE_TXT, false, 0, false },
		{ "db.de.example.net", WIRE_TYPE_A, false, 0, true },
		{ "mirror.example.net", WIRE_TYPE_A, true, 0, true },
		{ "db.big.example.net", WIRE_TYPE_A, false, 1232, true },
		{ "db.big.example.net", WIRE_TYPE_A, false, 0, false }, /* truncated */
		{ "example.net", WIRE_TYPE_SOA, false, 0, false },
	};
	struct fixture fixture;
	fixture_init(&fixture,
	             "@ 300 SOA ns1 hostmaster 1 3600 600 86400 300\n"
	             "@ 300 NS ns1\nns1 300 A 192.0.2.53\nmirror 300 CNAME db.local\n",
	             NULL);
	struct answer_state *state = fixture.state;
	for (size_t i = 0; i < 8 * sizeof(table) / sizeof(table[0]); i++) {
		size_t t = i / 8;
		uint8_t resp[ANSWER_UDP_MAX];
		memset(state->countries, 0, sizeof(state->countries));
		memset(state->first, 0, sizeof(state->first));
		size_t len = fixture_ask(&fixture, table[t].name, table[t].type, table[t].edns_size, resp);
		uint64_t countries = 0;
		uint64_t firsts = 0;
		for (size_t c = 0; c < COUNTRY_N; c++)
			countries += state->countries[c];
		for (size_t m = 0; m < ANSWER_MIRRORS_N; m++)
			firsts += state->first[m];
		assert_int_equal(countries, table[t].nearest);
		assert_int_equal(state->countries[country_from_code("DE")], table[t].nearest);
		assert_int_equal(firsts, table[t].answered);
		ldns_pkt *pkt = NULL;
		assert_int_equal(ldns_wire2pkt(&pkt, resp, len), LDNS_STATUS_OK);
		const ldns_rr_list *list = ldns_pkt_answer(pkt);
		for (size_t r = 0; r < ldns_rr_list_rr_count(list) && table[t].answered; r++) {
			const ldns_rr *rr = ldns_rr_list_rr(list, r);
			if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_CNAME)
				continue;
			/* The fixture's mirrors by address: 192.0.2.N is N, 203.0.113.N is 10 + N. */
			const uint8_t *address = ldns_rdf_data(ldns_rr_rdf(rr, 0));
			bool v4 = ldns_rr_get_type(rr) == LDNS_RR_TYPE_A;
			unsigned mirror = !v4 ? 4U : address[0] == 203 ? 10U + address[3] : address[3];
			assert_int_equal(state->first[mirror], 1);
			break;
		}
		ldns_pkt_free(pkt);
	}
	fixture_fini(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_rotation_after_truncation),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_any_of_one_family),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_ping_counts),
		cmocka_unit_test(test_counts_by_country_and_mirror),
	};
	return cmocka_run_group_tests_name("answer_pool", tests, NULL, NULL);
}
