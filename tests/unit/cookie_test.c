/* Server cookies: the examples of RFC 9018 appendix A, their age, and the file of secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <sodium/crypto_shorthash_siphash24.h>
#include <stdio.h>
#include <string.h>

#include "answer/cookie.h"
#include "base/addr.h"
#include "load/load_cookies.h"

#define SECRET     "e5e973e5a6b2a43f48e7dc849e37bfcf"
#define SECRET_OLD "dd3bdf9344b678b185a6f5cb60fca715"
#define SECRET_NEW "445536bcd2513298075a5d379663c962"

static size_t unhex(const char *hex, uint8_t *bytes)
{
	size_t n = strlen(hex) / 2;
	for (size_t i = 0; i < n; i++) {
		unsigned byte;
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		bytes[i] = (uint8_t)byte;
	}
	return n;
}

static struct answer_cookies secrets(const char *first, const char *second)
{
	struct answer_cookies cookies = { .secrets_n = second ? 2 : 1 };
	unhex(first, cookies.secrets[0]);
	if (second)
		unhex(second, cookies.secrets[1]);
	return cookies;
}

static enum cookie_kind check(const struct answer_cookies *cookies, const char *client, const char *cookie,
                              uint32_t now_s, char answer[64])
{
	uint8_t bytes[64];
	uint8_t server[WIRE_COOKIE_SERVER_LEN];
	struct addr addr;
	struct sockaddr_storage peer;
	size_t len = unhex(cookie, bytes);
	assert_int_equal(addr_parse(client, &addr), 0);
	addr_to_sockaddr(&addr, 4242, &peer);
	enum cookie_kind kind =
	        cookie_check(cookies, (const struct sockaddr *)&peer, bytes, len, now_s, server);
	memcpy(answer, cookie, 16);
	for (size_t i = 0; i < sizeof(server); i++)
		sprintf(answer + 16 + 2 * i, "%02x", server[i]);
	return kind;
}

/* A later version may hash the same way: it is not ours to accept all the same. */
static void test_version(void **state)
{
	struct answer_cookies cookies = secrets(SECRET, NULL);
	(void)state;
	for (unsigned version = 0; version < 4; version++) {
		/* client cookie, version, reserved, timestamp, 192.0.2.1 */
		uint8_t text[20] = { 1, 2, 3, 4, 5,   6, 7, 8, (uint8_t)version, 0, 0, 0,
			             1, 2, 3, 4, 192, 0, 2, 1 };
		uint8_t hash[8];
		char cookie[64];
		char got[64];
		crypto_shorthash_siphash24(hash, text, sizeof(text), cookies.secrets[0]);
		for (size_t i = 0; i < 16; i++)
			sprintf(cookie + 2 * i, "%02x", text[i]);
		for (size_t i = 0; i < 8; i++)
			sprintf(cookie + 32 + 2 * i, "%02x", hash[i]);
		assert_int_equal(check(&cookies, "192.0.2.1", cookie, 0x01020304, got),
		                 version == 1 ? COOKIE_VALID : COOKIE_INVALID);
	}
}

static const struct {
	const char *name;
	const char *secret;
	const char *old_secret;
	const char *client;
	const char *cookie;
	uint32_t now_s;
	enum cookie_kind want;
	const char *answer;
} examples[] = {
	{ "A.1, a new cookie", SECRET, NULL, "198.51.100.100", "2464c4abcf10c957", 1559731985, COOKIE_CLIENT,
	  "2464c4abcf10c957010000005cf79f111f8130c3eee29480" },
	{ "A.2, renewed after 40 minutes", SECRET, NULL, "198.51.100.100",
	  "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559734385, COOKIE_VALID,
	  "2464c4abcf10c957010000005cf7a871d4a564a1442aca77" },
	/* The example calls it valid and answers 1 h 52 min later, which section 4.3 would not. */
	{ "A.3, reserved bytes set, renewed", SECRET, NULL, "203.0.113.203",
	  "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559734700, COOKIE_EXPIRED,
	  "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e" },
	{ "A.4, IPv6, with the secret before this one", SECRET_NEW, SECRET_OLD,
	  "2001:db8:220:1:59de:d0f4:8769:82b8", "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
	  1559741961, COOKIE_VALID, "22681ab97d52c298010000005cf7c609a6bb79d16625507a" },
	{ "A.4, once that secret is gone", SECRET_NEW, NULL, "2001:db8:220:1:59de:d0f4:8769:82b8",
	  "22681ab97d52c298010000005cf7c57926556bd0934c72f8", 1559741961, COOKIE_INVALID,
	  "22681ab97d52c298010000005cf7c609a6bb79d16625507a" },
	{ "A.1, young: the same again", SECRET, NULL, "198.51.100.100",
	  "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559731985 + 60, COOKIE_VALID,
	  "2464c4abcf10c957010000005cf79f111f8130c3eee29480" },
	{ "A.1, young, but no longer by the first secret: a new one", SECRET_NEW, SECRET, "198.51.100.100",
	  "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559731985 + 60, COOKIE_VALID, NULL },
	{ "A.3, young, reserved bytes set: hashed as they are, answered with zeros", SECRET, NULL,
	  "203.0.113.203", "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559727985 + 1, COOKIE_VALID,
	  NULL },
	{ "another address", SECRET, NULL, "198.51.100.101",
	  "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559731985, COOKIE_INVALID, NULL },
	{ "another client cookie", SECRET, NULL, "198.51.100.100",
	  "2464c4abcf10c958010000005cf79f111f8130c3eee29480", 1559731985, COOKIE_INVALID, NULL },
	{ "another time", SECRET, NULL, "198.51.100.100", "2464c4abcf10c957010000005cf79f121f8130c3eee29480",
	  1559731985, COOKIE_INVALID, NULL },
	{ "another hash", SECRET, NULL, "198.51.100.100", "2464c4abcf10c957010000005cf79f111f8130c3eee29481",
	  1559731985, COOKIE_INVALID, NULL },
	{ "another version", SECRET, NULL, "198.51.100.100",
	  "2464c4abcf10c957020000005cf79f111f8130c3eee29480", 1559731985, COOKIE_INVALID, NULL },
	{ "one byte longer", SECRET, NULL, "198.51.100.100",
	  "2464c4abcf10c957010000005cf79f111f8130c3eee2948000", 1559731985, COOKIE_INVALID, NULL },
	{ "the shortest of any server", SECRET, NULL, "198.51.100.100", "2464c4abcf10c957010000005cf79f11",
	  1559731985, COOKIE_INVALID, NULL },
};

static void test_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		struct answer_cookies cookies = secrets(examples[i].secret, examples[i].old_secret);
		char got[64];
		char again[64];
		enum cookie_kind kind =
		        check(&cookies, examples[i].client, examples[i].cookie, examples[i].now_s, got);
		if (kind != examples[i].want || (examples[i].answer && strcmp(got, examples[i].answer) != 0))
			fail_msg("%s: kind %d, answer %s", examples[i].name, kind, got);
		/* Whatever came: what is answered is good, and young enough to stay. */
		assert_int_equal(check(&cookies, examples[i].client, got, examples[i].now_s, again),
		                 COOKIE_VALID);
		assert_string_equal(again, got);
		assert_memory_equal(got + 16, "01000000", 8);
	}
}

static void test_age(void **state)
{
	static const struct {
		int64_t age_s;
		enum cookie_kind want;
		bool same;
	} cases[] = {
		{ 0, COOKIE_VALID, true },       { 1800, COOKIE_VALID, true },
		{ 1801, COOKIE_VALID, false },   { 3600, COOKIE_VALID, false },
		{ 3601, COOKIE_EXPIRED, false }, { -300, COOKIE_VALID, true },
		{ -301, COOKIE_EXPIRED, false }, { 86400, COOKIE_EXPIRED, false },
	};
	/* Also across the year 2038, and over the end of 32 bits in 2106. */
	static const uint32_t made[] = { 1559731985, INT32_MAX - 2, UINT32_MAX - 2, 2 };
	struct answer_cookies cookies = secrets(SECRET, NULL);
	(void)state;
	for (size_t m = 0; m < sizeof(made) / sizeof(made[0]); m++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			char cookie[64];
			char got[64];
			uint32_t now_s = (uint32_t)(made[m] + cases[i].age_s);
			check(&cookies, "192.0.2.1", "0011223344556677", made[m], cookie);
			enum cookie_kind kind = check(&cookies, "192.0.2.1", cookie, now_s, got);
			if (kind != cases[i].want || (strcmp(cookie, got) == 0) != cases[i].same)
				fail_msg("made %u, age %d: kind %d, %s", made[m], (int)cases[i].age_s, kind,
				         got);
		}
	}
}

/* Each text of a file, and the mistakes told of it, "|" after each; none = it is good. */
static const struct {
	const char *text;
	const char *want;
	unsigned secrets_n;
} files[] = {
	{ SECRET, "", 1 },
	{ SECRET "\n" SECRET_OLD "\n", "", 2 },
	{ "# newest first\n\n  " SECRET "\t\r\n# and then\n" SECRET_OLD "\n" SECRET_NEW "\n\n", "", 3 },
	{ "E5E973E5A6B2A43F48E7DC849E37BFCF\n", "", 1 },
	{ "", "f: there is no cookie secret; make one with: openssl rand -hex 16|", 0 },
	{ "# none\n", "f: there is no cookie secret; make one with: openssl rand -hex 16|", 0 },
	{ "e5e973\n" SECRET "\n" SECRET_OLD "00\n",
	  "f:1: a cookie secret is 32 hex digits, but 6 bytes stand here; make one with: openssl rand -hex "
	  "16|"
	  "f:3: a cookie secret is 32 hex digits, but 34 bytes stand here; make one with: openssl rand -hex "
	  "16|",
	  0 },
	{ "e5e973e5a6b2a43f48e7dc849e37bfcg\n",
	  "f:1: a cookie secret is hex digits, and something else is in it; make one with: openssl rand -hex "
	  "16|",
	  0 },
	{ SECRET "\n\n" SECRET "\n", "f:3: this cookie secret stands further up too; leave it out|", 0 },
	{ SECRET "\n" SECRET_OLD "\n" SECRET_NEW "\n00000000000000000000000000000001\n",
	  "f:4: more than 3 cookie secrets; leave out the oldest, whose cookies have expired|", 0 },
};

static void test_file(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct diag diag;
		struct answer_cookies cookies = { .secrets_n = 99 };
		char told[1024] = "";
		diag_init(&diag);
		int rc = load_cookie_secrets("f", files[i].text, strlen(files[i].text), &diag, &cookies);
		for (size_t m = 0; m < diag.messages_n; m++) {
			strcat(told, diag.messages[m].text);
			strcat(told, "|");
		}
		assert_string_equal(told, files[i].want);
		assert_null(strstr(told, "e5e973")); /* a log is no place for a secret */
		assert_int_equal(rc, files[i].want[0] ? -EINVAL : 0);
		assert_int_equal(cookies.secrets_n, rc == 0 ? files[i].secrets_n : 99);
		diag_fini(&diag);
		if (rc == 0) {
			uint8_t first[COOKIE_SECRET_LEN];
			unhex(SECRET, first);
			assert_memory_equal(cookies.secrets[0], first, sizeof(first));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_file),
	};
	return cmocka_run_group_tests_name("cookie", tests, NULL, NULL);
}
