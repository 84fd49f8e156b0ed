/* What the server tells over DNS itself: CHAOS names, zone version, extended errors, the serial of a
 * snapshot, whoami. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ldns/ldns.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "answer/pools_build.h"
#include "answer/store_build.h"
#include "tests/unit/support/store_fixture.h"
#include "wire/query.h"
#include "wire/wire.h"

static const char zone[] = "$TTL 1h\n"
                           "@ 60 SOA ns1 hostmaster 1 3600 600 86400 60\n"
                           "@ NS ns1\n"
                           "ns1 A 192.0.2.53\n"
                           "www CNAME ns1\n"
                           "gone CNAME nothing\n"
                           "apex CNAME @\n"
                           "me CNAME whoami\n"
                           "fail CNAME broken.cvd\n"
                           "child NS ns.child\n"
                           "ns.child A 192.0.2.54\n"
                           "*.wild A 192.0.2.55\n"
                           "old DNAME new\n"
                           "host.new A 192.0.2.56\n";
static const char child[] = "@ 30 SOA ns hostmaster 11 3600 600 86400 30\n"
                            "@ 30 NS ns\nns 30 A 192.0.2.54\n";

#define SERIAL 1799999999U

static const struct answer_ident ident = {
	.id = "ns1.example.net",
	.version = "dnsd 1.2",
	.state = "generation=7 serial=1799999999 mirrors=12/13",
	.generation = "7",
};

static int setup(void **state)
{
	struct fixture *fixture = fixture_create(zone, child);
	fixture->data.serial = SERIAL;
	fixture->data.ident = &ident;
	*state = fixture;
	return 0;
}

static unsigned rcode(const uint8_t *resp)
{
	return resp[3] & 15U;
}

/* Where the record behind this one starts. */
static const uint8_t *skip_record(const uint8_t *at, const uint8_t *end)
{
	size_t owner_len = wire_name_skip(at, end);
	assert_true(owner_len > 0);
	return at + owner_len + 10 + wire_get16(at + owner_len + 8);
}

/* The first record of an answer. */
static const uint8_t *first_record(const uint8_t *resp, size_t len)
{
	return resp + WIRE_HEADER_LEN + wire_name_skip(resp + WIRE_HEADER_LEN, resp + len) + 4;
}

/* The data of an option of the answer, NULL = it has none. Checks that the OPT record ends the message. */
static const uint8_t *find_option(const uint8_t *resp, size_t len, uint16_t code, size_t *ret_len)
{
	const uint8_t *at = first_record(resp, len);
	unsigned n = (unsigned)wire_get16(resp + 6) + wire_get16(resp + 8) + wire_get16(resp + 10);
	assert_true(n > 0);
	for (unsigned i = 0; i + 1 < n; i++)
		at = skip_record(at, resp + len);
	assert_int_equal(wire_get16(at + 1), WIRE_TYPE_OPT);
	const uint8_t *end = resp + len;
	assert_ptr_equal(skip_record(at, end), end);
	const uint8_t *found = NULL;
	for (at += WIRE_OPT_LEN; at < end; at += 4 + wire_get16(at + 2)) {
		if (wire_get16(at) == code) {
			assert_null(found);
			found = at + 4;
			*ret_len = wire_get16(at + 2);
		}
	}
	assert_ptr_equal(at, end);
	return found;
}

/* The strings of the one TXT record, "|" between them; checks its class and that its TTL is 0. */
static const char *txt(const uint8_t *resp, size_t len, uint16_t class)
{
	static char text[2048];
	assert_int_equal(wire_get16(resp + 6), 1);
	const uint8_t *at = first_record(resp, len);
	assert_int_equal(wire_get16(at), WIRE_POINTER | WIRE_HEADER_LEN);
	assert_int_equal(wire_get16(at + 2), WIRE_TYPE_TXT);
	assert_int_equal(wire_get16(at + 4), class);
	assert_int_equal(wire_get32(at + 6), 0);
	const uint8_t *end = at + 12 + wire_get16(at + 10);
	size_t used = 0;
	for (at += 12; at < end; at += at[0] + 1) {
		if (used)
			text[used++] = '|';
		memcpy(text + used, at + 1, at[0]);
		used += at[0];
	}
	assert_ptr_equal(at, end);
	text[used] = '\0';
	return text;
}

static void test_chaos(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *name;
		const char *want;
	} cases[] = {
		{ "id.server", "ns1.example.net" },
		{ "hostname.bind", "ns1.example.net" },
		{ "VERSION.bind", "dnsd 1.2" },
		{ "version.Server", "dnsd 1.2" },
		{ "pool.dnsd", "generation=7 serial=1799999999 mirrors=12/13" },
	};
	uint8_t resp[ANSWER_UDP_MAX];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture_question question = { .name = cases[i].name,
			                             .type = WIRE_TYPE_TXT,
			                             .class = WIRE_CLASS_CH };
		size_t len = fixture_send(fixture, &question, resp);
		assert_int_equal(rcode(resp), 0);
		assert_true(wire_get16(resp + 2) & WIRE_FLAG_AA);
		assert_string_equal(txt(resp, len, WIRE_CLASS_CH), cases[i].want);
		assert_ptr_equal(skip_record(first_record(resp, len), resp + len), resp + len);
		question.type = WIRE_TYPE_ANY;
		assert_string_equal(txt(resp, fixture_send(fixture, &question, resp), WIRE_CLASS_CH),
		                    cases[i].want);
		question.type = WIRE_TYPE_A; /* NODATA: no zone, so no SOA */
		len = fixture_send(fixture, &question, resp);
		assert_int_equal(rcode(resp), 0);
		assert_true(wire_get16(resp + 2) & WIRE_FLAG_AA);
		assert_ptr_equal(first_record(resp, len), resp + len);
		question.type = WIRE_TYPE_TXT; /* of class IN it is a name like others: of no zone of ours */
		question.class = WIRE_CLASS_IN;
		fixture_send(fixture, &question, resp);
		assert_int_equal(rcode(resp), WIRE_RCODE_REFUSED);
	}
	static const char *const others[] = { "server", "x.id.server", "authors.bind", "example.net", "." };
	uint64_t refused = fixture->state->counters.refused;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct fixture_question question = { .name = others[i],
			                             .type = WIRE_TYPE_TXT,
			                             .class = WIRE_CLASS_CH };
		fixture_send(fixture, &question, resp);
		assert_int_equal(rcode(resp), WIRE_RCODE_REFUSED);
	}
	assert_int_equal(fixture->state->counters.refused - refused, 5);
}

/* What is not told is refused, and with EDNS there is an OPT record and nothing in it. */
static void test_chaos_off(void **state)
{
	struct fixture *fixture = *state;
	struct answer_ident quiet = { .version = "x" };
	uint8_t resp[ANSWER_UDP_MAX];
	size_t unused;
	struct fixture_question question = {
		.name = "id.server", .type = WIRE_TYPE_TXT, .class = WIRE_CLASS_CH, .edns_size = 1232
	};
	fixture->data.ident = &quiet;
	size_t len = fixture_send(fixture, &question, resp);
	assert_int_equal(rcode(resp), WIRE_RCODE_REFUSED);
	assert_null(find_option(resp, len, WIRE_OPTION_ZONEVERSION, &unused));
	question.name = "version.bind";
	assert_string_equal(txt(resp, fixture_send(fixture, &question, resp), WIRE_CLASS_CH), "x");
	fixture->data.ident = NULL;
	fixture_send(fixture, &question, resp);
	assert_int_equal(rcode(resp), WIRE_RCODE_REFUSED);
}

/* Every SOA of a zone with pools has the serial of the snapshot; that of another zone has its own. */
static void test_serial(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *name;
		uint16_t type;
		unsigned serial;
		const char *what;
	} cases[] = {
		{ "example.net", WIRE_TYPE_SOA, SERIAL, "SOA" },
		{ "ns1.example.net", WIRE_TYPE_TXT, SERIAL, "NODATA" },
		{ "none.of.these.example.net", WIRE_TYPE_A, SERIAL, "NXDOMAIN" },
		{ "a.b.c.ping.example.net", WIRE_TYPE_A, SERIAL, "usage report" },
		{ "db.big.example.net", WIRE_TYPE_AAAA, SERIAL, "a pool's other family" },
		{ "www.example.net", WIRE_TYPE_TXT, SERIAL, "NODATA at the end of a chain" },
		{ "gone.example.net", WIRE_TYPE_A, SERIAL, "NXDOMAIN at the end of a chain" },
		{ "apex.example.net", WIRE_TYPE_SOA, SERIAL, "SOA at the end of a chain" },
		{ "apex.example.net", WIRE_TYPE_MX, SERIAL, "NODATA of the apex by a chain" },
		{ "x.wild.example.net", WIRE_TYPE_MX, SERIAL, "NODATA of a wildcard" },
		{ "child.example.net", WIRE_TYPE_DS, SERIAL, "the parent's side" },
		{ "child.example.net", WIRE_TYPE_SOA, 11, "SOA of a static zone" },
		{ "none.child.example.net", WIRE_TYPE_A, 11, "NXDOMAIN of a static zone" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t resp[ANSWER_UDP_MAX];
		size_t len = fixture_ask(fixture, cases[i].name, cases[i].type, 0, resp);
		ldns_pkt *pkt = NULL;
		assert_int_equal(ldns_wire2pkt(&pkt, resp, len), LDNS_STATUS_OK);
		ldns_rr_list *all = ldns_pkt_all_noquestion(pkt);
		bool found = false;
		for (size_t k = 0; k < ldns_rr_list_rr_count(all); k++) {
			const ldns_rr *rr = ldns_rr_list_rr(all, k);
			if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_SOA)
				continue;
			found = true;
			if (ldns_rdf2native_int32(ldns_rr_rdf(rr, 2)) != cases[i].serial)
				fail_msg("%s: serial %u", cases[i].what,
				         ldns_rdf2native_int32(ldns_rr_rdf(rr, 2)));
			assert_int_equal(ldns_rdf2native_int32(ldns_rr_rdf(rr, 3)), 3600);
		}
		if (!found)
			fail_msg("%s: no SOA", cases[i].what);
		ldns_rr_list_deep_free(all);
		ldns_pkt_free(pkt);
	}
}

static const uint8_t ask_zoneversion[] = { 0, 19, 0, 0 };

/* RFC 9660: asked for, and of a zone of ours. */
static void test_zoneversion(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *name;
		uint16_t type;
		unsigned labels_n; /* 0 = no option in the answer */
		unsigned serial;
	} cases[] = {
		{ "example.net", WIRE_TYPE_SOA, 2, SERIAL },
		{ "ns1.example.net", WIRE_TYPE_A, 2, SERIAL },
		{ "none.example.net", WIRE_TYPE_A, 2, SERIAL },
		{ "www.example.net", WIRE_TYPE_A, 2, SERIAL },
		{ "db.de.example.net", WIRE_TYPE_A, 2, SERIAL },
		{ "db.big.example.net", WIRE_TYPE_A, 2, SERIAL },
		{ "broken.cvd.example.net", WIRE_TYPE_TXT, 2, SERIAL },
		{ "ns.child.example.net", WIRE_TYPE_A, 3, 11 },
		{ "child.example.net", WIRE_TYPE_DS, 2, SERIAL },
		{ "elsewhere.test", WIRE_TYPE_A, 0, 0 },
	};
	uint8_t resp[ANSWER_UDP_MAX];
	size_t option_len;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture_question question = { .name = cases[i].name,
			                             .type = cases[i].type,
			                             .edns_size = 1232,
			                             .options = ask_zoneversion,
			                             .options_len = sizeof(ask_zoneversion) };
		size_t len = fixture_send(fixture, &question, resp);
		assert_true(len <= 1232);
		const uint8_t *option = find_option(resp, len, WIRE_OPTION_ZONEVERSION, &option_len);
		if (cases[i].labels_n == 0) {
			assert_null(option);
			continue;
		}
		assert_non_null(option);
		assert_int_equal(option_len, 6);
		assert_int_equal(option[0], cases[i].labels_n);
		assert_int_equal(option[1], 0);
		assert_int_equal(wire_get32(option + 2), cases[i].serial);
		question.options_len = 0;
		len = fixture_send(fixture, &question, resp);
		assert_null(find_option(resp, len, WIRE_OPTION_ZONEVERSION, &option_len));
	}
	static const uint8_t not_empty[] = { 0, 19, 0, 1, 0 };
	struct fixture_question question = { .name = "example.net",
		                             .type = WIRE_TYPE_SOA,
		                             .edns_size = 1232,
		                             .options = not_empty,
		                             .options_len = sizeof(not_empty) };
	size_t len = fixture_send(fixture, &question, resp);
	assert_int_equal(rcode(resp), WIRE_RCODE_FORMERR);
	assert_null(find_option(resp, len, WIRE_OPTION_ZONEVERSION, &option_len));
}

/* No answer is over its limit for the options it carries: at each size, either whole or TC. */
static void test_room(void **state)
{
	struct fixture *fixture = *state;
	static const uint8_t options[] = { 0, 8, 0, 20, 0, 2, 128, 0, 0x20, 1, 0xd, 0xb8, 0, 0,
		                           0, 0, 0, 0,  0, 0, 0,   0, 0,    1, 0,   19,   0, 0 };
	fixture->data.edns_size = ANSWER_UDP_MAX;
	unsigned whole_n = 0;
	for (uint16_t size = 512; size < 800; size++) {
		uint8_t resp[ANSWER_UDP_MAX];
		size_t option_len;
		struct fixture_question question = { .name = "db.big.example.net",
			                             .type = WIRE_TYPE_A,
			                             .edns_size = size,
			                             .options = options,
			                             .options_len = sizeof(options) };
		size_t len = fixture_send(fixture, &question, resp);
		assert_true(len <= size);
		assert_non_null(find_option(resp, len, WIRE_OPTION_ZONEVERSION, &option_len));
		bool truncated = (wire_get16(resp + 2) & WIRE_FLAG_TC) != 0;
		assert_int_equal(wire_get16(resp + 6), truncated ? 0 : 40);
		whole_n += !truncated;
		if (!truncated && whole_n == 1)
			assert_int_equal(len, size);
	}
	assert_true(whole_n > 0 && whole_n < 288);
}

static void test_extended_error(void **state)
{
	struct fixture *fixture = *state;
	static const char *const names[] = { "broken.cvd.example.net", "fail.example.net" };
	static const char why[] = "version record has no verified source";
	for (size_t i = 0; i < 2; i++) {
		uint8_t resp[ANSWER_UDP_MAX];
		size_t option_len;
		size_t len = fixture_ask(fixture, names[i], WIRE_TYPE_TXT, 1232, resp);
		assert_int_equal(rcode(resp), WIRE_RCODE_SERVFAIL);
		const uint8_t *option = find_option(resp, len, WIRE_OPTION_EDE, &option_len);
		assert_non_null(option);
		assert_int_equal(wire_get16(option), WIRE_EDE_INVALID_DATA);
		assert_int_equal(option_len, 2 + strlen(why));
		assert_memory_equal(option + 2, why, strlen(why));
		fixture_ask(fixture, names[i], WIRE_TYPE_TXT, 0, resp);
		assert_int_equal(rcode(resp), WIRE_RCODE_SERVFAIL);
		assert_int_equal(wire_get16(resp + 10), 0);
		len = fixture_ask(fixture, "current.cvd.example.net", WIRE_TYPE_TXT, 1232, resp);
		assert_null(find_option(resp, len, WIRE_OPTION_EDE, &option_len));
	}
}

static void test_whoami(void **state)
{
	struct fixture *fixture = *state;
	static const uint8_t ecs[] = { 0, 8, 0, 7, 0, 1, 24, 0, 127, 1, 2 };
	static const uint8_t ecs6[] = { 0, 8, 0, 10, 0, 2, 47, 0, 0x20, 0x01, 0x0d, 0xb8, 0, 2 };
	static const uint8_t ecs0[] = { 0, 8, 0, 4, 0, 1, 0, 0 };
	static const struct {
		const uint8_t *options;
		size_t options_len;
		const char *want;
		unsigned scope_len;
	} cases[] = {
		{ NULL, 0,
		  "address=127.2.0.1|country=DE|prefix=127.2.0.0/16|node=ns1.example.net|generation=7", 0 },
		{ ecs, sizeof(ecs),
		  "address=127.2.0.1|ecs=127.1.2.0/24|country=US|prefix=127.1.0.0/16|node=ns1.example.net|"
		  "generation=7",
		  16 },
		{ ecs6, sizeof(ecs6),
		  "address=127.2.0.1|ecs=2001:db8:2::/47|country=unknown|prefix=::/0|node=ns1.example.net|"
		  "generation=7",
		  0 },
		{ ecs0, sizeof(ecs0),
		  "address=127.2.0.1|ecs=0.0.0.0/0|country=DE|prefix=127.2.0.0/16|node=ns1.example.net|"
		  "generation=7",
		  0 },
	};
	uint8_t resp[ANSWER_UDP_MAX];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture_question question = { .name = "WHOami.example.net",
			                             .type = WIRE_TYPE_TXT,
			                             .edns_size = 1232,
			                             .options = cases[i].options,
			                             .options_len = cases[i].options_len };
		size_t len = fixture_send(fixture, &question, resp);
		assert_int_equal(rcode(resp), 0);
		assert_string_equal(txt(resp, len, WIRE_CLASS_IN), cases[i].want);
		size_t option_len;
		const uint8_t *option = find_option(resp, len, WIRE_OPTION_ECS, &option_len);
		assert_int_equal(option != NULL, cases[i].options != NULL);
		if (option)
			assert_int_equal(option[3], cases[i].scope_len);
	}
	/* ANY is the one record; other types are not there; a chain stops before it. */
	size_t len = fixture_ask(fixture, "whoami.example.net", WIRE_TYPE_ANY, 0, resp);
	assert_string_equal(txt(resp, len, WIRE_CLASS_IN), cases[0].want);
	fixture_ask(fixture, "whoami.example.net", WIRE_TYPE_A, 0, resp);
	assert_int_equal(rcode(resp), 0);
	assert_int_equal(wire_get16(resp + 6), 0);
	assert_int_equal(wire_get16(resp + 8), 1);
	fixture_ask(fixture, "me.example.net", WIRE_TYPE_TXT, 0, resp);
	assert_int_equal(rcode(resp), 0);
	assert_int_equal(wire_get16(resp + 6), 1);
	assert_int_equal(wire_get16(resp + 8), 0);
}

/* Whose network is not in allow is refused, whatever client subnet it brings; IPv6 works as IPv4 does. */
static void test_whoami_allow(void **state)
{
	struct fixture *fixture = *state;
	static const uint8_t ecs[] = { 0, 8, 0, 7, 0, 1, 24, 0, 127, 2, 0 };
	uint8_t resp[ANSWER_UDP_MAX];
	size_t option_len;
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f030001) };
	struct fixture_question question = { .name = "whoami.example.net",
		                             .type = WIRE_TYPE_TXT,
		                             .edns_size = 1232,
		                             .options = ecs,
		                             .options_len = sizeof(ecs),
		                             .peer = (struct sockaddr *)&peer };
	size_t len = fixture_send(fixture, &question, resp);
	assert_int_equal(rcode(resp), WIRE_RCODE_REFUSED);
	assert_int_equal(wire_get16(resp + 6), 0);
	const uint8_t *option = find_option(resp, len, WIRE_OPTION_EDE, &option_len);
	assert_non_null(option);
	assert_int_equal(wire_get16(option), WIRE_EDE_PROHIBITED);
	struct sockaddr_in6 peer6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	question.peer = (struct sockaddr *)&peer6;
	question.options_len = 0;
	len = fixture_send(fixture, &question, resp);
	assert_string_equal(txt(resp, len, WIRE_CLASS_IN),
	                    "address=::1|country=unknown|prefix=::/0|node=ns1.example.net|generation=7");
}

/* The longest name of a server still makes strings of at most 255 bytes, and without EDNS it is TC or whole.
 */
static void test_whoami_long(void **state)
{
	struct fixture *fixture = *state;
	struct answer_ident longest = ident;
	memset(longest.id, 'x', sizeof(longest.id) - 1);
	fixture->data.ident = &longest;
	uint8_t resp[ANSWER_UDP_MAX];
	size_t len = fixture_ask(fixture, "whoami.example.net", WIRE_TYPE_TXT, 0, resp);
	assert_true(len <= 512);
	const char *text = strstr(txt(resp, len, WIRE_CLASS_IN), "node=");
	assert_int_equal(strcspn(text, "|"), 255);
	struct fixture_question question = { .name = "id.server",
		                             .type = WIRE_TYPE_TXT,
		                             .class = WIRE_CLASS_CH };
	len = fixture_send(fixture, &question, resp);
	assert_int_equal(strlen(txt(resp, len, WIRE_CLASS_CH)), 255);
}

static struct answer_pools *pools_of(const char *first, uint32_t weight, const char *text)
{
	struct pools_builder *builder = pools_builder_create(3);
	struct addr addrs[2];
	assert_int_equal(addr_parse(first, &addrs[0]), 0);
	assert_int_equal(addr_parse("2001:db8::1", &addrs[1]), 0);
	struct pool_member members[2] = { { .addrs = &addrs[0], .addrs_n = 1, .weight = weight },
		                          { .addrs = &addrs[1], .addrs_n = 1, .weight = 1 } };
	uint32_t set;
	assert_int_equal(pools_builder_add_set(builder, members, 2, 8, 300, &set), 0);
	assert_int_equal(pools_builder_slot_set(builder, 0, set), 0);
	assert_int_equal(pools_builder_slot_text(builder, 1, 300, text), 0);
	assert_int_equal(pools_builder_slot_fail(builder, 2, 24, "why"), 0);
	struct answer_pools *pools;
	assert_int_equal(pools_build(builder, &pools), 0);
	pools_builder_destroy(builder);
	return pools;
}

static void test_pools_equal(void **state)
{
	(void)state;
	struct answer_pools *pools = pools_of("192.0.2.1", 1, "text");
	struct {
		struct answer_pools *other;
		bool equal;
	} cases[] = {
		{ pools_of("192.0.2.1", 1, "text"), true },
		{ pools_of("192.0.2.2", 1, "text"), false },
		{ pools_of("192.0.2.1", 1, "test"), false },
		{ pools_of("2001:db8::2", 1, "text"), false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(answer_pools_equal(pools, cases[i].other), cases[i].equal);
		answer_pools_unref(cases[i].other);
	}
	answer_pools_unref(pools);
}

/* chaos-allow and any-allow: who is outside, and that nothing said is everybody. */
static void test_access(void **state)
{
	struct fixture *fixture = *state;
	uint8_t resp[ANSWER_UDP_MAX];
	size_t len = 0;
	size_t option_len = 0;
	struct prefix allow;
	assert_int_equal(prefix_parse("127.1.0.0/16", &allow), 0); /* the fixture asks from 127.2.0.1 */
	struct sockaddr_in friend = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010009) };
	struct fixture_question chaos = { .name = "id.server",
		                          .type = WIRE_TYPE_TXT,
		                          .class = WIRE_CLASS_CH };
	struct fixture_question any = { .name = "ns1.example.net", .type = WIRE_TYPE_ANY };
	chaos.edns_size = any.edns_size = 1232;

	fixture->data.access = (struct answer_access){ .chaos = &allow, .chaos_n = 1 };
	len = fixture_send(fixture, &chaos, resp);
	assert_int_equal(rcode(resp), WIRE_RCODE_REFUSED);
	const uint8_t *option = find_option(resp, len, WIRE_OPTION_EDE, &option_len);
	assert_non_null(option);
	assert_int_equal(wire_get16(option), 18);
	len = fixture_send(fixture, &any, resp);
	assert_int_equal(wire_get16(first_record(resp, len) + 2), WIRE_TYPE_A);
	/* why is left out when there is no room for it */
	static const uint8_t nsid[] = { 0, WIRE_OPTION_NSID, 0, 0 };
	static const char label[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
	struct answer_ident longest = ident;
	char name[256];
	memset(longest.id, 'x', 240);
	longest.id[240] = '\0';
	snprintf(name, sizeof(name), "%s.%s.%s.id.server", label, label, label);
	struct fixture_question full = chaos;
	full.name = name;
	full.edns_size = 512;
	full.options = nsid;
	full.options_len = sizeof(nsid);
	fixture->data.ident = &longest;
	len = fixture_send(fixture, &full, resp);
	assert_in_range(len, 450, 512);
	assert_non_null(find_option(resp, len, WIRE_OPTION_NSID, &option_len));
	assert_null(find_option(resp, len, WIRE_OPTION_EDE, &option_len));
	fixture->data.ident = &ident;
	chaos.peer = (const struct sockaddr *)&friend;
	len = fixture_send(fixture, &chaos, resp);
	assert_string_equal(txt(resp, len, WIRE_CLASS_CH), ident.id);

	fixture->data.access = (struct answer_access){ .any = &allow, .any_n = 1 };
	chaos.peer = NULL;
	fixture_send(fixture, &chaos, resp);
	assert_int_equal(rcode(resp), WIRE_RCODE_NOERROR);
	static const uint8_t hinfo[] = { 0xc0, 12, 0,   13,  0,   1,   0,   0,   0x0e, 0x10, 0,
		                         9,    7,  'R', 'F', 'C', '8', '4', '8', '2',  0 };
	static const char *const names[] = { "ns1.example.net", "db.de.example.net", "x.wild.example.net" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		any.name = names[i];
		len = fixture_send(fixture, &any, resp);
		assert_int_equal(wire_get16(resp + 6), 1);
		assert_memory_equal(first_record(resp, len), hinfo, sizeof(hinfo));
		assert_ptr_equal(first_record(resp, len) + sizeof(hinfo) + WIRE_OPT_LEN, resp + len);
	}
	any.peer = (const struct sockaddr *)&friend;
	len = fixture_send(fixture, &any, resp);
	assert_int_equal(wire_get16(first_record(resp, len) + 2), WIRE_TYPE_A);
	any.peer = NULL;
	/* What is no list of records stays what it is. */
	any.name = "www.example.net";
	len = fixture_send(fixture, &any, resp);
	assert_int_equal(wire_get16(first_record(resp, len) + 2), WIRE_TYPE_CNAME);
	any.name = "wild.example.net"; /* an empty non-terminal */
	fixture_send(fixture, &any, resp);
	assert_int_equal(rcode(resp), WIRE_RCODE_NOERROR);
	assert_int_equal(wire_get16(resp + 6), 0);
	any.name = "none.example.net";
	fixture_send(fixture, &any, resp);
	assert_int_equal(rcode(resp), WIRE_RCODE_NXDOMAIN);
	/* An alias is answered, and not what it leads to. */
	any.name = "host.old.example.net";
	len = fixture_send(fixture, &any, resp);
	const uint8_t *second = skip_record(first_record(resp, len), resp + len);
	assert_int_equal(wire_get16(resp + 6), 2);
	assert_int_equal(wire_get16(second + wire_name_skip(second, resp + len)), WIRE_TYPE_CNAME);
	any.peer = (const struct sockaddr *)&friend;
	fixture_send(fixture, &any, resp);
	assert_int_equal(wire_get16(resp + 6), 3);
}

static void test_store_equal(void **state)
{
	(void)state;
	struct fixture a;
	struct fixture b;
	struct fixture c;
	char changed[sizeof(zone)];
	memcpy(changed, zone, sizeof(zone));
	memcpy(strstr(changed, "192.0.2.53"), "192.0.2.59", 10);
	fixture_init(&a, zone, child);
	fixture_init(&b, zone, child);
	fixture_init(&c, changed, child);
	assert_true(answer_store_equal(a.store, b.store));
	assert_false(answer_store_equal(a.store, c.store));
	fixture_fini(&a);
	fixture_fini(&b);
	fixture_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_chaos, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_chaos_off, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_serial, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_zoneversion, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_extended_error, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_whoami, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_whoami_allow, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_whoami_long, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_access, setup, fixture_teardown),
		cmocka_unit_test(test_pools_equal),
		cmocka_unit_test(test_store_equal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
