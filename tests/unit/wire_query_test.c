/* Taking requests apart: one table of client subnet options, one of whole messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/hex.h"
#include "wire/name.h"
#include "wire/query.h"

static const struct {
	const char *name;
	const char *hex;
	enum wire_verdict want;
	unsigned source_len;
} subnets[] = {
	{ "v4 /24", "00011800c00002", WIRE_OK, 24 },
	{ "v4 /0", "00010000", WIRE_OK, 0 },
	{ "v4 /32", "00012000c0000201", WIRE_OK, 32 },
	{ "v6 /56", "0002380020010db8000100", WIRE_OK, 56 },
	{ "v6 /128", "0002800020010db8000000000000000000000001", WIRE_OK, 128 },
	{ "v4 /20", "00011400c00000", WIRE_OK, 20 },
	/* RFC 7871 section 6: as many octets as the prefix needs, no bit set past it */
	{ "v4 /24, 4 octets", "00011800c0000200", WIRE_FORMERR, 0 },
	{ "v4 /24, 2 octets", "00011800c000", WIRE_FORMERR, 0 },
	{ "v4 /20, stray bit", "00011400c0000f", WIRE_FORMERR, 0 },
	{ "v4 /33", "00012100c000020100", WIRE_FORMERR, 0 },
	{ "v6 /129", "0002810020010db800000000000000000000000100", WIRE_FORMERR, 0 },
	/* RFC 7871 section 7.1.2: the scope is 0 in a query */
	{ "scope set in query", "00011818c00002", WIRE_FORMERR, 0 },
	{ "no family, no address: dig +subnet=0", "00000000", WIRE_OK, 0 },
	{ "family 0 with a prefix", "00000800c0", WIRE_FORMERR, 0 },
	{ "family 0 with a scope", "00000008", WIRE_FORMERR, 0 },
	{ "family 0 with an octet", "0000000000", WIRE_FORMERR, 0 },
	{ "family 3 without a prefix", "00030000", WIRE_FORMERR, 0 },
	{ "family 3", "00031800c00002", WIRE_FORMERR, 0 },
	{ "three bytes", "000118", WIRE_FORMERR, 0 },
	{ "nothing", "", WIRE_FORMERR, 0 },
};

static void test_subnets(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(subnets) / sizeof(subnets[0]); i++) {
		uint8_t bytes[64];
		size_t len = unhex(subnets[i].hex, bytes);
		struct wire_ecs ecs = { 0 };
		enum wire_verdict got = wire_ecs_parse(bytes, len, &ecs);
		if (got != subnets[i].want || (got == WIRE_OK && ecs.source_len != subnets[i].source_len))
			fail_msg("%s: verdict %d, source %u", subnets[i].name, got, ecs.source_len);
	}
}

#define QUESTION "03777777 07657861 6d706c65 036e6574 00 0001 0001" /* www.example.net A IN */
#define OPT      "00 0029 04d0 00000000 0000"

static const struct {
	const char *name;
	const char *hex;
	enum wire_verdict want;
	unsigned question_len;
} messages[] = {
	{ "plain", "1234 0100 0001 0000 0000 0000" QUESTION, WIRE_OK, 21 },
	{ "root", "1234 0100 0001 0000 0000 0000 00 0002 0001", WIRE_OK, 5 },
	{ "with OPT", "1234 0100 0001 0000 0000 0001" QUESTION OPT, WIRE_OK, 21 },
	{ "bytes behind the message are ignored", "1234 0100 0001 0000 0000 0000" QUESTION "ffff", WIRE_OK,
	  21 },
	{ "an option nobody knows is ignored",
	  "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00000000 0006 fde9 0002 abcd", WIRE_OK, 21 },
	{ "nothing", "", WIRE_DROP_SHORT, 0 },
	{ "11 bytes", "1234 0100 0001 0000 0000 00", WIRE_DROP_SHORT, 0 },
	{ "a response", "1234 8100 0001 0000 0000 0000" QUESTION, WIRE_DROP_RESPONSE, 0 },
	{ "NOTIFY", "1234 2000 0001 0000 0000 0000" QUESTION, WIRE_NOTIMP, 21 },
	{ "opcode 15", "1234 7800 0001 0000 0000 0000" QUESTION, WIRE_NOTIMP, 0 },
	{ "header only", "1234 0100 0000 0000 0000 0000", WIRE_FORMERR, 0 },
	{ "one question promised, none there", "1234 0100 0001 0000 0000 0000", WIRE_FORMERR, 0 },
	/* RFC 9619 */
	{ "two questions", "1234 0100 0002 0000 0000 0000" QUESTION QUESTION, WIRE_FORMERR, 0 },
	{ "name cut off", "1234 0100 0001 0000 0000 0000 03777777 0765", WIRE_FORMERR, 0 },
	{ "type cut off", "1234 0100 0001 0000 0000 0000 03777777 00 0001 00", WIRE_FORMERR, 0 },
	{ "compression pointer", "1234 0100 0001 0000 0000 0000 c00c 0001 0001", WIRE_FORMERR, 0 },
	{ "label type 01", "1234 0100 0001 0000 0000 0000 41 00 0001 0001", WIRE_FORMERR, 0 },
	/* RFC 6891 section 6.1.1 */
	{ "two OPTs", "1234 0100 0001 0000 0000 0002" QUESTION OPT OPT, WIRE_FORMERR, 21 },
	{ "OPT with an owner", "1234 0100 0001 0000 0000 0001" QUESTION "0161 00 0029 04d0 00000000 0000",
	  WIRE_FORMERR, 21 },
	{ "OPT promised, none there", "1234 0100 0001 0000 0000 0001" QUESTION, WIRE_FORMERR, 21 },
	{ "OPT in the authority section", "1234 0100 0001 0000 0001 0000" QUESTION OPT, WIRE_FORMERR, 21 },
	{ "OPT options cut off", "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00000000 0004 0008",
	  WIRE_FORMERR, 21 },
	{ "option longer than the OPT",
	  "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00000000 0004 0008 0001", WIRE_FORMERR, 21 },
	{ "two client subnets",
	  "1234 0100 0001 0000 0000 0001" QUESTION
	  "00 0029 04d0 00000000 0010 0008 0004 00010000 0008 0004 00010000",
	  WIRE_FORMERR, 21 },
	/* RFC 7873 sections 5.2 and 5.4 */
	{ "a client cookie",
	  "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00000000 000c 000a 0008 0102030405060708",
	  WIRE_OK, 21 },
	{ "a cookie of 7 bytes",
	  "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00000000 000b 000a 0007 01020304050607",
	  WIRE_FORMERR, 21 },
	{ "a cookie of 15 bytes",
	  "1234 0100 0001 0000 0000 0001" QUESTION
	  "00 0029 04d0 00000000 0013 000a 000f 010203040506070801020304050607",
	  WIRE_FORMERR, 21 },
	{ "no question, a cookie",
	  "1234 0100 0000 0000 0000 0001 00 0029 04d0 00000000 000c 000a 0008 0102030405060708",
	  WIRE_COOKIE_ONLY, 0 },
	{ "no question, no cookie", "1234 0100 0000 0000 0000 0001" OPT, WIRE_FORMERR, 0 },
	{ "no question, EDNS version 1, a cookie",
	  "1234 0100 0000 0000 0000 0001 00 0029 04d0 00010000 000c 000a 0008 0102030405060708", WIRE_BADVERS,
	  0 },
	{ "no question, a cookie, a record too few",
	  "1234 0100 0000 0000 0000 0002 00 0029 04d0 00000000 000c 000a 0008 0102030405060708", WIRE_FORMERR,
	  0 },
	{ "two questions, a cookie",
	  "1234 0100 0002 0000 0000 0001" QUESTION QUESTION
	  "00 0029 04d0 00000000 000c 000a 0008 0102030405060708",
	  WIRE_FORMERR, 0 },
	{ "server id, keepalive and padding with data",
	  "1234 0100 0001 0000 0000 0001" QUESTION
	  "00 0029 04d0 00000000 0010 0003 0001 00 000b 0002 0001 000c 0001 00",
	  WIRE_OK, 21 },
	{ "EDNS version 1", "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00010000 0000",
	  WIRE_BADVERS, 21 },
};

static void test_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		uint8_t bytes[600];
		size_t len = unhex(messages[i].hex, bytes);
		/* of exact size, so that a sanitizer sees a read past the end */
		uint8_t *copy = malloc(len + 1);
		assert_non_null(copy);
		memcpy(copy, bytes, len);
		struct wire_query query;
		enum wire_verdict got = wire_query_parse(copy, len, &query);
		if (got != messages[i].want)
			fail_msg("%s: verdict %d", messages[i].name, got);
		if (got != WIRE_DROP_SHORT && query.question_len != messages[i].question_len)
			fail_msg("%s: question of %u bytes", messages[i].name, query.question_len);
		free(copy);
	}
}

/* RFC 6891 section 6.1.1: the answer has an OPT record if the request has, whatever is wrong with the rest.
 */
static const struct {
	const char *name;
	const char *hex;
	bool has_edns;
	bool dnssec_ok;
} turned_down[] = {
	{ "NOTIFY", "1234 2000 0001 0000 0000 0001" QUESTION OPT, true, false },
	{ "NOTIFY without", "1234 2000 0001 0000 0000 0000" QUESTION, false, false },
	{ "opcode 15, OPT only", "1234 7800 0000 0000 0000 0001 00 0029 04d0 00008000 0000", true, true },
	{ "UPDATE with records before",
	  "1234 2800 0001 0001 0001 0001" QUESTION
	  "c00c 0001 00fe 00000000 0000 c00c 0001 0001 0000003c 0004 c0000201" OPT,
	  true, false },
	{ "UPDATE, a record is cut",
	  "1234 2800 0001 0001 0000 0001" QUESTION "c00c 0001 00fe 00000000 00ff" OPT, false, false },
	{ "UPDATE, OPT among what is to be added", "1234 2800 0001 0000 0001 0000" QUESTION OPT, false,
	  false },
	{ "no question", "1234 0100 0000 0000 0000 0001" OPT, true, false },
	{ "two questions", "1234 0100 0002 0000 0000 0001" QUESTION QUESTION OPT, true, false },
	{ "two questions promised", "1234 0100 0002 0000 0000 0001" QUESTION OPT, false, false },
	{ "a pointer as question", "1234 0100 0001 0000 0000 0001 c00c 0001 0001" OPT, true, false },
	{ "a bad label", "1234 0100 0001 0000 0000 0001 41 00 0001 0001" OPT, false, false },
	{ "OPT is cut", "1234 0100 0000 0000 0000 0001 00 0029 04d0 00000000", false, false },
	{ "OPT is longer than the message", "1234 0100 0000 0000 0000 0001 00 0029 04d0 00000000 0001", false,
	  false },
	{ "many promised", "1234 0100 ffff ffff ffff ffff", false, false },
};

static void test_turned_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(turned_down) / sizeof(turned_down[0]); i++) {
		uint8_t bytes[600];
		size_t len = unhex(turned_down[i].hex, bytes);
		uint8_t *copy = malloc(len);
		assert_non_null(copy);
		memcpy(copy, bytes, len);
		struct wire_query query;
		assert_int_not_equal(wire_query_parse(copy, len, &query), WIRE_OK);
		if (query.has_edns != turned_down[i].has_edns || query.dnssec_ok != turned_down[i].dnssec_ok)
			fail_msg("%s: OPT %d, DO %d", turned_down[i].name, query.has_edns, query.dnssec_ok);
		free(copy);
	}
}

/* Of what is turned down: is there a cookie, how long is the question that comes back? */
#define COOKIE      "000a 0008 0102030405060708"
#define OPT_OF(len) "00 0029 04d0 00000000 " len " "
static const struct {
	const char *name;
	const char *hex;
	enum wire_verdict verdict;
	bool has_cookie;
	unsigned question_len;
} salvaged[] = {
	{ "two questions", "1234 0100 0002 0000 0000 0001" QUESTION QUESTION OPT_OF("000c") COOKIE,
	  WIRE_FORMERR, true, 0 },
	{ "a record is missing", "1234 0100 0001 0000 0000 0002" QUESTION OPT_OF("000c") COOKIE, WIRE_FORMERR,
	  true, 21 },
	{ "bad subnet before", "1234 0100 0001 0000 0000 0001" QUESTION OPT_OF("0010") "0008 0000" COOKIE,
	  WIRE_FORMERR, true, 21 },
	{ "bad subnet behind", "1234 0100 0001 0000 0000 0001" QUESTION OPT_OF("0010") COOKIE "0008 0000",
	  WIRE_FORMERR, true, 21 },
	{ "options cut", "1234 0100 0001 0000 0000 0001" QUESTION OPT_OF("000f") COOKIE "0003 00",
	  WIRE_FORMERR, false, 21 },
	{ "two OPTs, the first counts", "1234 0100 0001 0000 0000 0002" QUESTION OPT_OF("000c") COOKIE OPT,
	  WIRE_FORMERR, true, 21 },
	{ "NSID and no question", "1234 0100 0000 0000 0000 0001" OPT_OF("0004") "0003 0000", WIRE_FORMERR,
	  false, 0 },
	{ "version 1", "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00010000 000c " COOKIE,
	  WIRE_BADVERS, false, 21 },
	{ "version 1 and two questions",
	  "1234 0100 0002 0000 0000 0001" QUESTION QUESTION "00 0029 04d0 00010000 000c " COOKIE,
	  WIRE_FORMERR, false, 0 },
	{ "NOTIFY", "1234 2000 0001 0000 0000 0001" QUESTION OPT_OF("000c") COOKIE, WIRE_NOTIMP, true, 21 },
	{ "UPDATE", "1234 2800 0001 0000 0000 0000" QUESTION, WIRE_NOTIMP, false, 21 },
	{ "UPDATE of a pointer", "1234 2800 0001 0000 0000 0000 c00c 0006 0001", WIRE_NOTIMP, false, 0 },
	{ "NOTIFY, cut", "1234 2000 0001 0000 0000 0000 0161 00 0006", WIRE_NOTIMP, false, 0 },
	{ "UPDATE of two zones", "1234 2800 0002 0000 0000 0000" QUESTION QUESTION, WIRE_NOTIMP, false, 0 },
	{ "STATUS", "1234 1000 0001 0000 0000 0001" QUESTION OPT_OF("000c") COOKIE, WIRE_NOTIMP, true, 0 },
	{ "opcode 15", "1234 7800 0001 0000 0000 0000" QUESTION, WIRE_NOTIMP, false, 0 },
};

static void test_salvaged(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(salvaged) / sizeof(salvaged[0]); i++) {
		uint8_t bytes[600];
		size_t len = unhex(salvaged[i].hex, bytes);
		uint8_t *copy = malloc(len);
		assert_non_null(copy);
		memcpy(copy, bytes, len);
		struct wire_query query;
		if (wire_query_parse(copy, len, &query) != salvaged[i].verdict)
			fail_msg("%s: another verdict", salvaged[i].name);
		if (query.asked != (salvaged[i].has_cookie ? WIRE_ASKED_COOKIE : 0) ||
		    query.question_len != salvaged[i].question_len)
			fail_msg("%s: asked %x, question of %u bytes", salvaged[i].name, query.asked,
			         query.question_len);
		if (salvaged[i].has_cookie) {
			assert_int_equal(query.cookie_len, 8);
			assert_memory_equal(query.cookie, "\1\2\3\4\5\6\7\10", 8);
		}
		free(copy);
	}
}

/* Lower case and padding, for every length of name. */
static void test_names_lowered(void **state)
{
	(void)state;
	for (unsigned len = 1; len <= 254; len++) {
		uint8_t req[300] = { 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
		uint8_t *at = req + WIRE_HEADER_LEN;
		unsigned left = len - 1; /* bytes of labels; each takes its length byte too */
		unsigned labels = 0;
		while (left >= 2) {
			unsigned label = left - 1 > 63 ? 63 : left - 1;
			if (left - 1 - label == 1)
				label--; /* a single byte left over could not be a label */
			*at++ = (uint8_t)label;
			for (unsigned k = 0; k < label; k++)
				*at++ = (uint8_t)("AZaz@[`{09-\xc1\xda"[k % 13]);
			left -= label + 1;
			labels++;
		}
		if (left)
			continue;
		*at++ = 0;
		memcpy(at, "\0\1\0\1", 4);
		size_t total = (size_t)(at + 4 - req);
		uint8_t *copy = malloc(total);
		assert_non_null(copy);
		memcpy(copy, req, total);
		struct wire_query query;
		memset(&query, 0xee, sizeof(query));
		assert_int_equal(wire_query_parse(copy, total, &query), WIRE_OK);
		assert_int_equal(query.qname_len, len);
		assert_int_equal(query.labels_n, labels);
		uint8_t want[300] = { 0 };
		memcpy(want, req + WIRE_HEADER_LEN, len);
		name_lower(want, len);
		assert_memory_equal(query.qname, want, (len + 7) / 8 * 8 + 8);
		free(copy);
	}
}

static void test_longest_name(void **state)
{
	(void)state;
	uint8_t req[400] = { 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
	struct wire_query query;
	/* 127 labels of one letter: 255 bytes, the most there can be (RFC 1035 section 2.3.4) */
	for (unsigned i = 0; i < 127; i++)
		memcpy(req + WIRE_HEADER_LEN + 2 * i, "\1a", 2);
	memcpy(req + WIRE_HEADER_LEN + 254, "\0\0\1\0\1", 5);
	assert_int_equal(wire_query_parse(req, WIRE_HEADER_LEN + 259, &query), WIRE_OK);
	assert_int_equal(query.labels_n, 127);
	/* one letter more */
	req[WIRE_HEADER_LEN] = 2;
	memmove(req + WIRE_HEADER_LEN + 2, req + WIRE_HEADER_LEN + 1, 258);
	assert_int_equal(wire_query_parse(req, WIRE_HEADER_LEN + 260, &query), WIRE_FORMERR);
}

static const struct {
	const char *text;
	const char *hex; /* NULL = refused */
} names[] = {
	{ ".", "00" },
	{ "net", "036e657400" },
	{ "net.", "036e657400" },
	{ "a.b", "0161016200" },
	{ "a\\.b.c", "03612e62016300" },
	{ "\\097", "016100" },
	{ "", NULL },
	{ "..", NULL },
	{ ".a", NULL },
	{ "a..b", NULL },
	{ "\\300", NULL },
	{ "\\09", NULL },
	{ "a\\", NULL },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL }, /* 64 */
};

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint8_t name[WIRE_NAME_MAX];
		uint8_t want[WIRE_NAME_MAX];
		int len = name_from_text(names[i].text, NULL, 0, name);
		if (!names[i].hex) {
			if (len >= 0)
				fail_msg("\"%s\" was taken", names[i].text);
			continue;
		}
		assert_int_equal(len, unhex(names[i].hex, want));
		assert_memory_equal(name, want, (size_t)len);
		char text[NAME_TEXT_MAX];
		uint8_t again[WIRE_NAME_MAX];
		assert_int_equal(name_from_text(name_to_text(name, text), NULL, 0, again), len);
		assert_memory_equal(name, again, (size_t)len);
	}
	/* every byte survives the way to text and back */
	uint8_t all[WIRE_NAME_MAX];
	size_t used = 0;
	for (unsigned byte = 0; byte < 240; byte++) {
		if (byte % 60 == 0)
			all[used++] = 60;
		all[used++] = (uint8_t)byte;
	}
	all[used++] = 0;
	char text[NAME_TEXT_MAX];
	uint8_t again[WIRE_NAME_MAX];
	assert_int_equal(name_from_text(name_to_text(all, text), NULL, 0, again), used);
	assert_memory_equal(all, again, used);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_subnets),       cmocka_unit_test(test_messages),
		cmocka_unit_test(test_turned_down),   cmocka_unit_test(test_salvaged),
		cmocka_unit_test(test_names_lowered), cmocka_unit_test(test_longest_name),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests_name("wire_query", tests, NULL, NULL);
}
