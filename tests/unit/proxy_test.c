/* The PROXY header: each field at its bounds, each header cut at every byte, checksums, who may send one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "net/proxy.h"
#include "tests/unit/support/hex.h"

#define SIG   "0d0a0d0a000d0a515549540a "
#define ADDR4 "c0000207 c6336401 1234 0035 "
#define ADDR6 "20010db8000100000000000000000007 20010db8000200000000000000000001 1234 0035 "

/* At the end of memory of its own, so that a sanitizer sees a read past it. */
static enum proxy_verdict parse(const uint8_t *data, size_t len, struct proxy_header *ret_header)
{
	uint8_t *copy = malloc(len + (len == 0));
	assert_non_null(copy);
	memcpy(copy, data, len);
	enum proxy_verdict verdict = proxy_parse(copy, len, ret_header);
	free(copy);
	return verdict;
}

static const struct {
	const char *name;
	const char *hex;
	enum proxy_verdict want;
	const char *source; /* NULL = the connection's own */
	const char *destination;
} headers[] = {
	{ "UDP over IPv4", SIG "21 12 000c" ADDR4, PROXY_OK, "192.0.2.7@4660", "198.51.100.1@53" },
	{ "TCP over IPv4", SIG "21 11 000c" ADDR4, PROXY_OK, "192.0.2.7@4660", "198.51.100.1@53" },
	{ "UDP over IPv6", SIG "21 22 0024" ADDR6, PROXY_OK, "2001:db8:1::7@4660", "2001:db8:2::1@53" },
	{ "TCP over IPv6", SIG "21 21 0024" ADDR6, PROXY_OK, "2001:db8:1::7@4660", "2001:db8:2::1@53" },
	{ "largest ports and addresses", SIG "21 12 000c ffffffff ffffffff ffff ffff", PROXY_OK,
	  "255.255.255.255@65535", "255.255.255.255@65535" },
	{ "smallest", SIG "21 12 000c 00000000 00000000 0000 0000", PROXY_OK, "0.0.0.0@0", "0.0.0.0@0" },

	/* the connection's own addresses */
	{ "LOCAL", SIG "20 00 0000", PROXY_OK, NULL, NULL },
	{ "LOCAL, addresses ignored", SIG "20 11 000c" ADDR4, PROXY_OK, NULL, NULL },
	{ "LOCAL, family ignored", SIG "20 ff 0000", PROXY_OK, NULL, NULL },
	{ "LOCAL, block of no sense", SIG "20 21 0003 030005", PROXY_OK, NULL, NULL },
	{ "UNSPEC", SIG "21 00 0000", PROXY_OK, NULL, NULL },
	{ "UNSPEC, block skipped", SIG "21 00 0005 0102030405", PROXY_OK, NULL, NULL },
	{ "UNSPEC family, STREAM", SIG "21 01 0000", PROXY_OK, NULL, NULL },
	{ "INET, UNSPEC protocol", SIG "21 10 000c" ADDR4, PROXY_OK, NULL, NULL },

	/* version, command, family, protocol: all others */
	{ "version 0", SIG "01 12 000c" ADDR4, PROXY_BAD, NULL, NULL },
	{ "version 1", SIG "11 12 000c" ADDR4, PROXY_BAD, NULL, NULL },
	{ "version 3", SIG "31 12 000c" ADDR4, PROXY_BAD, NULL, NULL },
	{ "version 15", SIG "f1 12 000c" ADDR4, PROXY_BAD, NULL, NULL },
	{ "command 2", SIG "22 12 000c" ADDR4, PROXY_BAD, NULL, NULL },
	{ "command 15", SIG "2f 12 000c" ADDR4, PROXY_BAD, NULL, NULL },
	{ "family 4", SIG "21 41 000c" ADDR4, PROXY_BAD, NULL, NULL },
	{ "family 15", SIG "21 f1 000c" ADDR4, PROXY_BAD, NULL, NULL },
	{ "protocol 3", SIG "21 13 000c" ADDR4, PROXY_BAD, NULL, NULL },
	{ "protocol 15", SIG "21 1f 000c" ADDR4, PROXY_BAD, NULL, NULL },
	{ "UNSPEC family, protocol 3", SIG "21 03 0000", PROXY_BAD, NULL, NULL },

	/* lengths */
	{ "IPv4, 11 bytes", SIG "21 12 000b" ADDR4, PROXY_BAD, NULL, NULL },
	{ "IPv4, none", SIG "21 12 0000" ADDR4, PROXY_BAD, NULL, NULL },
	{ "IPv6, 35 bytes", SIG "21 22 0023" ADDR6, PROXY_BAD, NULL, NULL },
	{ "IPv6, 12 bytes", SIG "21 22 000c" ADDR6, PROXY_BAD, NULL, NULL },
	{ "UNIX, 215 bytes", SIG "21 31 00d7", PROXY_BAD, NULL, NULL },
	{ "UNIX, 216 bytes to come", SIG "21 32 00d8 00", PROXY_INCOMPLETE, NULL, NULL },
	{ "1009 bytes and so over 1024", SIG "21 12 03f1" ADDR4, PROXY_BAD, NULL, NULL },
	{ "1008 bytes to come", SIG "21 12 03f0" ADDR4, PROXY_INCOMPLETE, NULL, NULL },
	{ "65535 bytes", SIG "21 12 ffff" ADDR4, PROXY_BAD, NULL, NULL },
	{ "LOCAL, 65535 bytes", SIG "20 00 ffff", PROXY_BAD, NULL, NULL },

	/* TLVs */
	{ "one TLV", SIG "21 12 0010" ADDR4 "ea 0001 41", PROXY_OK, "192.0.2.7@4660", "198.51.100.1@53" },
	{ "an empty TLV", SIG "21 12 000f" ADDR4 "04 0000", PROXY_OK, "192.0.2.7@4660", "198.51.100.1@53" },
	{ "SSL with a TLV in it, one byte over",
	  SIG "21 11 001e" ADDR4 "20 0010 01 00000000 21 0007 544c53 76312e33", PROXY_BAD, NULL, NULL },
	{ "SSL with a TLV in it", SIG "21 11 001e" ADDR4 "20 000f 01 00000000 21 0007 544c53 76312e33",
	  PROXY_OK, "192.0.2.7@4660", "198.51.100.1@53" },
	{ "two TLVs after IPv6", SIG "21 22 002c" ADDR6 "e0 0002 4142 04 0000", PROXY_OK,
	  "2001:db8:1::7@4660", "2001:db8:2::1@53" },
	{ "a TLV of one byte", SIG "21 12 000d" ADDR4 "04", PROXY_BAD, NULL, NULL },
	{ "a TLV of two bytes", SIG "21 12 000e" ADDR4 "04 00", PROXY_BAD, NULL, NULL },
	{ "a TLV one byte over", SIG "21 12 0010" ADDR4 "04 0002 00 00", PROXY_BAD, NULL, NULL },
	{ "a TLV far over", SIG "21 12 0010" ADDR4 "04 ffff 00", PROXY_BAD, NULL, NULL },
	{ "the second TLV over", SIG "21 12 0013" ADDR4 "04 0001 00 05 0001", PROXY_BAD, NULL, NULL },
	{ "a checksum of 3 bytes", SIG "21 12 0012" ADDR4 "03 0003 000000", PROXY_BAD, NULL, NULL },
	{ "a checksum of 5 bytes", SIG "21 12 0014" ADDR4 "03 0005 0000000000", PROXY_BAD, NULL, NULL },
	{ "a wrong checksum", SIG "21 12 0013" ADDR4 "03 0004 00000000", PROXY_BAD, NULL, NULL },

	/* something else */
	{ "version 1, as text", "50524f58592054435034203139322e302e322e37", PROXY_NONE, NULL, NULL },
	{ "a DNS message", "1234 0100 0001 0000 0000 0000 00 0002 0001", PROXY_NONE, NULL, NULL },
	{ "one byte", "0d", PROXY_INCOMPLETE, NULL, NULL },
	{ "one other byte", "0a", PROXY_NONE, NULL, NULL },
};

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		uint8_t bytes[256];
		size_t len = unhex(headers[i].hex, bytes);
		struct proxy_header header = { .len = 12345 };
		enum proxy_verdict got = parse(bytes, len, &header);
		if (got != headers[i].want)
			fail_msg("%s: verdict %d, not %d", headers[i].name, got, headers[i].want);
		if (got != PROXY_OK) {
			assert_int_equal(header.len, 12345);
			continue;
		}
		if (header.len != len || header.has_addrs != (headers[i].source != NULL))
			fail_msg("%s: %zu of %zu bytes, addresses %d", headers[i].name, header.len, len,
			         header.has_addrs);
		if (header.has_addrs) {
			char text[ADDR_TEXT_MAX];
			addr_format_sockaddr(&header.source.sa, text, sizeof(text));
			assert_string_equal(text, headers[i].source);
			addr_format_sockaddr(&header.destination.sa, text, sizeof(text));
			assert_string_equal(text, headers[i].destination);
		}
	}
}

/* Every good header: cut anywhere it is incomplete; with a message behind it, it is the same. */
static void test_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		uint8_t bytes[300];
		size_t len = unhex(headers[i].hex, bytes);
		struct proxy_header header;
		if (headers[i].want != PROXY_OK)
			continue;
		for (size_t cut = 0; cut < len; cut++) {
			if (parse(bytes, cut, &header) != PROXY_INCOMPLETE)
				fail_msg("%s, cut to %zu", headers[i].name, cut);
		}
		memset(bytes + len, 0xff, 20);
		assert_int_equal(parse(bytes, len + 20, &header), PROXY_OK);
		assert_int_equal(header.len, len);
	}
}

/* One bit off anywhere in the signature, and it is none: said at that byte, not later. */
static void test_signature(void **state)
{
	(void)state;
	uint8_t good[64];
	size_t len = unhex(SIG "21 12 000c" ADDR4, good);
	for (size_t bit = 0; bit < 96; bit++) {
		uint8_t bytes[64];
		struct proxy_header header;
		memcpy(bytes, good, len);
		bytes[bit / 8] ^= (uint8_t)(0x80U >> bit % 8);
		assert_int_equal(parse(bytes, len, &header), PROXY_NONE);
		assert_int_equal(parse(bytes, bit / 8 + 1, &header), PROXY_NONE);
		assert_int_equal(parse(bytes, bit / 8, &header), PROXY_INCOMPLETE);
	}
}

/* What is wrong is known as soon as it has come. */
static void test_early(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		enum proxy_verdict want;
	} beginnings[] = {
		{ SIG "11", PROXY_BAD },           { SIG "22", PROXY_BAD },
		{ SIG "21 13", PROXY_BAD },        { SIG "21 40", PROXY_BAD },
		{ SIG "20 40", PROXY_INCOMPLETE }, { SIG "21 12 04", PROXY_INCOMPLETE },
		{ SIG "21 12 0400", PROXY_BAD },   { SIG "21 12 000b", PROXY_BAD },
	};
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
		uint8_t bytes[64];
		struct proxy_header header;
		size_t len = unhex(beginnings[i].hex, bytes);
		if (parse(bytes, len, &header) != beginnings[i].want)
			fail_msg("%s", beginnings[i].hex);
	}
}

/* The largest: 1024 bytes, most of them one TLV. And an AF_UNIX one, whose addresses are of no use. */
static void test_long(void **state)
{
	(void)state;
	uint8_t bytes[PROXY_HEADER_MAX + 1];
	struct proxy_header header;
	memset(bytes, 0, sizeof(bytes));
	size_t len = unhex(SIG "21 12 03f0" ADDR4 "04 03e1", bytes);
	for (size_t cut = len; cut < PROXY_HEADER_MAX; cut++)
		assert_int_equal(parse(bytes, cut, &header), PROXY_INCOMPLETE);
	assert_int_equal(parse(bytes, PROXY_HEADER_MAX, &header), PROXY_OK);
	assert_int_equal(header.len, PROXY_HEADER_MAX);
	bytes[30]++; /* the TLV is one byte longer than the header has room */
	assert_int_equal(parse(bytes, sizeof(bytes), &header), PROXY_BAD);

	memset(bytes, '/', sizeof(bytes));
	unhex(SIG "21 31 00d8", bytes);
	assert_int_equal(parse(bytes, 16 + 215, &header), PROXY_INCOMPLETE);
	assert_int_equal(parse(bytes, 16 + 216, &header), PROXY_OK);
	assert_false(header.has_addrs);
	assert_int_equal(header.len, 16 + 216);
}

/* Bit by bit, as the definition has it. */
static uint32_t plain_crc32c(const uint8_t *data, size_t len)
{
	uint32_t crc = 0xffffffff;
	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void test_checksum(void **state)
{
	(void)state;
	assert_int_equal(plain_crc32c((const uint8_t *)"123456789", 9), 0xe3069283);
	/* the checksum alone; between others; before others */
	static const struct {
		const char *hex;
		size_t crc_off;
	} forms[] = {
		{ SIG "21 12 0013" ADDR4 "03 0004 00000000", 31 },
		{ SIG "21 12 0020" ADDR4 "ea 0004 64617461 03 0004 00000000 e0 0003 010203", 38 },
		{ SIG "21 22 0032" ADDR6 "03 0004 00000000 04 0004 00000000", 55 },
	};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		uint8_t bytes[128];
		struct proxy_header header;
		size_t len = unhex(forms[i].hex, bytes);
		uint32_t crc = plain_crc32c(bytes, len);
		for (unsigned k = 0; k < 4; k++)
			bytes[forms[i].crc_off + k] = (uint8_t)(crc >> (24 - 8 * k));
		assert_int_equal(parse(bytes, len, &header), PROXY_OK);
		assert_true(header.has_addrs);
		/* Any bit of addresses, ports and TLVs that turns is noticed, but for those that say that
		 * there is a checksum. */
		for (size_t bit = 16 * 8; bit < len * 8; bit++) {
			if (bit / 8 == forms[i].crc_off - 3)
				continue;
			bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
			assert_int_not_equal(parse(bytes, len, &header), PROXY_OK);
			bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
	}
	/* Two of them can't both be right. */
	uint8_t bytes[128];
	struct proxy_header header;
	size_t len = unhex(SIG "21 12 001a" ADDR4 "03 0004 00000000 03 0004 00000000", bytes);
	assert_int_equal(parse(bytes, len, &header), PROXY_BAD);
}

static void test_front_ends(void **state)
{
	(void)state;
	static const char *const texts[] = { "192.0.2.7", "198.51.100.0/24", "2001:db8:7::/64" };
	static const struct {
		const char *peer;
		bool want;
	} peers[] = {
		{ "192.0.2.7@1", true },        { "192.0.2.6@1", false },
		{ "192.0.2.8@1", false },       { "198.51.100.0@1", true },
		{ "198.51.100.255@1", true },   { "198.51.101.0@1", false },
		{ "2001:db8:7::1@1", true },    { "2001:db8:7:1::1@1", false },
		{ "::ffff:192.0.2.7@1", true }, { "::ffff:192.0.2.8@1", false },
		{ "::c000:207@1", false },
	};
	struct prefix front_ends[3];
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(prefix_parse(texts[i], &front_ends[i]), 0);
	struct answer_data data = { .front_ends = front_ends, .front_ends_n = 3 };
	struct answer_data nobody = { .front_ends = NULL };
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		struct sockaddr_storage peer;
		assert_int_equal(addr_parse_listen(peers[i].peer, 0, &peer), 0);
		if (proxy_is_front_end(&data, (const struct sockaddr *)&peer) != peers[i].want)
			fail_msg("%s", peers[i].peer);
		assert_false(proxy_is_front_end(&nobody, (const struct sockaddr *)&peer));
	}
}

static void test_counters(void **state)
{
	(void)state;
	struct net_counters counters = { 0 };
	proxy_count(&counters, PROXY_INCOMPLETE);
	proxy_count(&counters, PROXY_OK);
	for (unsigned i = 0; i < 2; i++)
		proxy_count(&counters, PROXY_BAD);
	for (unsigned i = 0; i < 3; i++)
		proxy_count(&counters, PROXY_NONE);
	struct net_counters want = { .proxy_ok = 1, .proxy_bad = 2, .proxy_missing = 3 };
	assert_memory_equal(&counters, &want, sizeof(want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),    cmocka_unit_test(test_cut),
		cmocka_unit_test(test_signature),  cmocka_unit_test(test_early),
		cmocka_unit_test(test_long),       cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_front_ends), cmocka_unit_test(test_counters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
