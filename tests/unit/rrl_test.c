/* Response rate limiting over simulated time: the table alone, then its verdicts on real answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "net/net_context.h"
#include "net/rate_limit.h"
#include "net/rrl.h"
#include "tests/unit/support/store_fixture.h"
#include "wire/name.h"
#include "wire/request.h"
#include "wire/wire.h"

static const uint64_t seed[2] = { UINT64_C(0x243f6a8885a308d3), UINT64_C(0x13198a2e03707344) };

/* Only positive answers have a limit. */
static struct rrl_config config_of(uint32_t rate, uint32_t window_s, uint32_t slip)
{
	return (struct rrl_config){ .rate = { [ANSWER_KIND_POSITIVE] = rate },
		                    .share = 1,
		                    .window_s = window_s,
		                    .slip = slip,
		                    .ipv4_len = 24,
		                    .ipv6_len = 56,
		                    .buckets_n = 65536 };
}

static struct rrl *create(const struct rrl_config *config)
{
	struct rrl *rrl = NULL;
	assert_int_equal(rrl_create(config, seed, &rrl), 0);
	return rrl;
}

static struct addr address(const char *text)
{
	struct addr addr;
	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

static uint64_t hash_of(const struct rrl *rrl, const char *source, unsigned kind, const char *name,
                        uint16_t type)
{
	struct addr addr = address(source);
	return rrl_hash(rrl, &addr, kind, (const uint8_t *)name, strlen(name), type);
}

static enum rrl_verdict take(struct rrl *rrl, const char *source)
{
	return rrl_take(rrl, hash_of(rrl, source, ANSWER_KIND_POSITIVE, "name", 1), ANSWER_KIND_POSITIVE);
}

static unsigned passes(struct rrl *rrl, const char *source, unsigned times)
{
	unsigned n = 0;
	while (times--)
		n += take(rrl, source) == RRL_PASS;
	return n;
}

/* Asked far more often than allowed, each bucket gives rate * window at once and then its rate, for ever. */
static void test_steady(void **state)
{
	(void)state;
	static const struct {
		uint32_t rate, share, window_s;
	} cases[] = { { 100, 1, 1 }, { 100, 1, 5 }, { 1, 1, 1 },   { 3, 1, 2 },
		      { 7, 1, 15 },  { 999, 1, 1 }, { 100, 4, 5 }, { 100, 3, 5 },
		      { 10, 16, 5 }, { 1, 256, 1 }, { 50, 64, 60 } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rrl_config config = config_of(cases[i].rate, cases[i].window_s, 2);
		config.share = cases[i].share;
		struct rrl *rrl = create(&config);
		const uint64_t seconds = 600;
		uint64_t passed = 0;
		for (uint64_t ms = 0; ms < seconds * 1000; ms++) {
			rrl_set_time(rrl, 123456 + ms);
			passed += passes(rrl, "192.0.2.1", 3);
		}
		uint64_t over_ms = seconds * 1000 - 1 + cases[i].window_s * 1000;
		uint64_t want = over_ms * cases[i].rate / cases[i].share / 1000;
		if (cases[i].rate * cases[i].window_s < cases[i].share) /* one at once, whatever the window */
			want = (seconds * 1000 - 1) * cases[i].rate / cases[i].share / 1000 + 1;
		/* A cost that is no whole number of nanoseconds is rounded up: at most one less. */
		bool is_whole = UINT64_C(1000000000) * cases[i].share % cases[i].rate == 0;
		assert_in_range(passed, is_whole ? want : want - 1, want);
		rrl_destroy(rrl);
	}
}

/* In any stretch of time no more than rate * (window + stretch), however the requests are spaced. */
static void test_bursts(void **state)
{
	(void)state;
	struct rrl_config config = config_of(20, 5, 2);
	struct rrl *rrl = create(&config);
	rrl_set_time(rrl, 1000);
	assert_int_equal(passes(rrl, "192.0.2.1", 1000), 100); /* the window at once */
	rrl_set_time(rrl, 1049);
	assert_int_equal(passes(rrl, "192.0.2.1", 1000), 0);
	rrl_set_time(rrl, 1050);
	assert_int_equal(passes(rrl, "192.0.2.1", 1000), 1);
	rrl_set_time(rrl, 3050);
	assert_int_equal(passes(rrl, "192.0.2.1", 1000),
	                 40); /* two seconds' worth, however many were refused before */
	rrl_set_time(rrl, 100000);
	assert_int_equal(passes(rrl, "192.0.2.1", 1000),
	                 100); /* silence is saved up to the window, no further */
	rrl_destroy(rrl);
}

static void test_slip(void **state)
{
	(void)state;
	static const char *const patterns[] = { "DDDDDDDD", "SSSSSSSS", "SDSDSDSD", "SDDSDDSD" };
	for (uint32_t slip = 0; slip < sizeof(patterns) / sizeof(patterns[0]); slip++) {
		struct rrl_config config = config_of(1, 1, slip);
		struct rrl *rrl = create(&config);
		rrl_set_time(rrl, 5);
		char got[9] = "";
		assert_int_equal(take(rrl, "192.0.2.1"), RRL_PASS);
		for (size_t i = 0; i < 8; i++) {
			enum rrl_verdict verdict = take(rrl, "192.0.2.1");
			got[i] = verdict == RRL_PASS ? 'P' : verdict == RRL_SLIP ? 'S' : 'D';
		}
		assert_string_equal(got, patterns[slip]);
		rrl_destroy(rrl);
	}
}

/* What shares a bucket and what does not. */
static void test_keys(void **state)
{
	(void)state;
	struct rrl_config config = config_of(1, 1, 0);
	struct rrl *rrl = create(&config);
	static const struct {
		const char *source;
		unsigned kind;
		const char *name;
		uint16_t type;
		bool same; /* as 192.0.2.1 or 2001:db8:0:1200::1, kind, "one" and type 1 */
	} cases[] = {
		{ "192.0.2.254", ANSWER_KIND_POSITIVE, "one", 1, true },
		{ "192.0.3.1", ANSWER_KIND_POSITIVE, "one", 1, false },
		{ "192.0.2.1", ANSWER_KIND_POSITIVE, "two", 1, false },
		{ "192.0.2.1", ANSWER_KIND_POSITIVE, "one", 28, false },
		{ "192.0.2.1", ANSWER_KIND_POSITIVE, "one and some words more", 1, false },
		{ "192.0.2.1", ANSWER_KIND_NODATA, "one", 28, true },
		{ "192.0.2.1", ANSWER_KIND_NODATA, "two", 1, false },
		{ "192.0.2.1", ANSWER_KIND_REFERRAL, "one", 28, true },
		{ "192.0.2.1", ANSWER_KIND_REFERRAL, "two", 1, false },
		{ "192.0.2.1", ANSWER_KIND_NXDOMAIN, "two", 28, true },
		{ "192.0.2.1", ANSWER_KIND_ERROR, "two", 28, true },
		{ "192.0.2.1", RRL_ALL, "two", 28, true },
		{ "192.0.3.1", RRL_ALL, "one", 1, false },
		{ "2001:db8:0:12ff:8000::", ANSWER_KIND_POSITIVE, "one", 1, true },
		{ "2001:db8:0:1300::1", ANSWER_KIND_POSITIVE, "one", 1, false },
		{ "2001:db8:0:1300::1", ANSWER_KIND_ERROR, "one", 1, false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *source = strchr(cases[i].source, ':') ? "2001:db8:0:1200::1" : "192.0.2.1";
		uint64_t one = hash_of(rrl, source, cases[i].kind, "one", 1);
		uint64_t other = hash_of(rrl, cases[i].source, cases[i].kind, cases[i].name, cases[i].type);
		if ((one == other) != cases[i].same)
			fail_msg("case %zu: %s is %sthe same", i, cases[i].name, one == other ? "" : "not ");
	}
	/* Kinds have buckets of their own, and so have families. */
	for (unsigned a = 0; a < RRL_KINDS_N; a++) {
		for (unsigned b = 0; b < a; b++)
			assert_true(hash_of(rrl, "192.0.2.1", a, "", 0) !=
			            hash_of(rrl, "192.0.2.1", b, "", 0));
	}
	assert_true(hash_of(rrl, "192.0.2.0", RRL_ALL, "", 0) != hash_of(rrl, "c000:200::", RRL_ALL, "", 0));
	rrl_destroy(rrl);

	config.ipv4_len = 32;
	config.ipv6_len = 128;
	rrl = create(&config);
	assert_true(hash_of(rrl, "192.0.2.1", RRL_ALL, "", 0) != hash_of(rrl, "192.0.2.2", RRL_ALL, "", 0));
	assert_true(hash_of(rrl, "2001:db8::1", RRL_ALL, "", 0) !=
	            hash_of(rrl, "2001:db8::2", RRL_ALL, "", 0));
	rrl_destroy(rrl);
}

/* xorshift64: the same prefixes in each run. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A million prefixes, many times what the table holds, neither take memory nor wash out the one that is
 * flooded. */
static void test_replacement(void **state)
{
	(void)state;
	struct rrl_config config = config_of(100, 5, 2);
	struct rrl *rrl = create(&config);
	struct mallinfo2 before = mallinfo2();
	struct addr random = { .family = 4 };
	uint64_t number = 88172645463325252U;
	uint64_t flood_passed = 0;
	uint64_t random_limited = 0;
	const unsigned seconds = 10;
	for (unsigned i = 0; i < 1000000; i++) {
		rrl_set_time(rrl, i / (1000000 / (seconds * 1000)));
		uint64_t bits = next_random(&number);
		memcpy(random.bytes, &bits, 3);
		if (random.bytes[0] == 192 && random.bytes[1] == 0 && random.bytes[2] == 2)
			continue;
		uint64_t hash = rrl_hash(rrl, &random, ANSWER_KIND_POSITIVE, (const uint8_t *)"name", 4, 1);
		random_limited += rrl_take(rrl, hash, ANSWER_KIND_POSITIVE) != RRL_PASS;
		if (i % 50 == 0) /* 2,000 a second */
			flood_passed += take(rrl, "192.0.2.77") == RRL_PASS;
	}
	assert_int_equal(random_limited, 0);
	/* Rate times window and the ten seconds; the last moments fill no whole answer. */
	assert_in_range(flood_passed, 1495, 1500);
	struct mallinfo2 after = mallinfo2();
	assert_int_equal(before.uordblks, after.uordblks);
	assert_int_equal(before.hblkhd, after.hblkhd);
	rrl_destroy(rrl);
}

/* Time goes on from where it was: nobody is let through, and nobody is locked out. */
static void test_clock_back(void **state)
{
	(void)state;
	struct rrl_config config = config_of(10, 1, 2);
	struct rrl *rrl = create(&config);
	rrl_set_time(rrl, 5000000);
	assert_int_equal(passes(rrl, "192.0.2.1", 100), 10);
	assert_int_equal(passes(rrl, "192.0.3.1", 1), 1);
	rrl_set_time(rrl, 1000);
	assert_int_equal(passes(rrl, "192.0.2.1", 100), 0);
	assert_int_equal(passes(rrl, "192.0.3.1", 100), 9);
	rrl_set_time(rrl, 1500);
	assert_int_equal(passes(rrl, "192.0.2.1", 100), 5);
	rrl_set_time(rrl, 0);
	assert_int_equal(passes(rrl, "192.0.2.1", 100), 0);
	rrl_set_time(rrl, UINT32_MAX);
	assert_int_equal(passes(rrl, "192.0.2.1", 100), 10);
	rrl_destroy(rrl);
}

/* A reload changes rates and keeps what is known, unless the table has another size. */
static void test_inherit(void **state)
{
	(void)state;
	struct rrl_config config = config_of(10, 5, 2);
	struct rrl *first = create(&config);
	rrl_set_time(first, 7000);
	assert_int_equal(passes(first, "192.0.2.1", 100), 50);

	config.window_s = 1;
	config.buckets_n = 65535; /* rounded up to the same */
	struct rrl *second = create(&config);
	rrl_inherit(second, first);
	rrl_destroy(first);
	rrl_set_time(second, 7000);
	assert_int_equal(passes(second, "192.0.2.1", 100), 0);
	rrl_set_time(second, 7500); /* the shorter window holds for the debt of the longer one */
	assert_int_equal(passes(second, "192.0.2.1", 100), 5);

	config.buckets_n = 1024;
	struct rrl *third = create(&config);
	rrl_inherit(third, second);
	rrl_destroy(second);
	rrl_set_time(third, 7500);
	assert_int_equal(passes(third, "192.0.2.1", 100), 10);
	rrl_destroy(third);
}

static void test_exempt(void **state)
{
	(void)state;
	struct prefix exempt[2];
	assert_int_equal(prefix_parse("192.0.2.128/25", &exempt[0]), 0);
	assert_int_equal(prefix_parse("2001:db8::/32", &exempt[1]), 0);
	struct rrl_config config = config_of(10, 5, 2);
	config.exempt = exempt;
	config.exempt_n = 2;
	struct rrl *rrl = create(&config);
	memset(exempt, 0, sizeof(exempt)); /* it has a copy */
	struct addr in4 = address("192.0.2.130");
	struct addr out4 = address("192.0.2.1");
	struct addr in6 = address("2001:db8:ffff::1");
	struct addr out6 = address("2001:db9::1");
	assert_true(rrl_is_exempt(rrl, &in4) && rrl_is_exempt(rrl, &in6));
	assert_false(rrl_is_exempt(rrl, &out4) || rrl_is_exempt(rrl, &out6));
	rrl_destroy(rrl);
}

/* A kind without a rate is never limited, and takes no bucket. */
static void test_no_limit(void **state)
{
	(void)state;
	struct rrl_config config = config_of(0, 1, 2);
	config.rate[ANSWER_KIND_ERROR] = 1;
	struct rrl *rrl = create(&config);
	assert_false(rrl_has_limit(rrl, ANSWER_KIND_POSITIVE));
	assert_true(rrl_has_limit(rrl, ANSWER_KIND_ERROR));
	assert_int_equal(passes(rrl, "192.0.2.1", 1000), 1000);
	rrl_destroy(rrl);
}

/* --- on answers --- */

static const char zone[] = "$TTL 1h\n"
                           "@ 60 SOA ns1 hostmaster 1 3600 600 86400 60\n"
                           "@ NS ns1\n"
                           "ns1 A 192.0.2.53\n"
                           "www A 192.0.2.80\n"
                           "alias CNAME www\n"
                           "fail CNAME broken.cvd\n"
                           "sub NS ns.sub\n"
                           "ns.sub A 192.0.2.54\n"
                           "*.wild A 192.0.2.55\n"
                           "old DNAME wild\n";

struct world {
	struct fixture fixture;
	struct net_context net;
	struct answer_request request;
	struct sockaddr_in peer;
	uint8_t req[WIRE_REQUEST_MAX];
	uint8_t resp[ANSWER_UDP_MAX];
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	fixture_init(&world->fixture, zone, NULL);
	world->net.data = &world->fixture.data;
	world->peer = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f020001) };
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	rrl_destroy(world->net.rrl);
	fixture_fini(&world->fixture);
	free(world);
	return 0;
}

static void ask(struct world *world, const char *text, uint16_t type)
{
	uint8_t name[WIRE_NAME_MAX];
	struct prefix subnet = { .addr = { .family = 4, .bytes = { 127, 2, 3 } }, .len = 24 };
	int name_len = name_from_text(text, NULL, 0, name);
	assert_true(name_len > 0);
	world->request.client =
	        (struct client){ .peer = (const struct sockaddr *)&world->peer, .transport = TRANSPORT_UDP };
	world->request.req = world->req;
	world->request.req_len =
	        wire_request_make(name, (size_t)name_len, type, WIRE_CLASS_IN, 1232, &subnet, world->req);
	answer_queries(world->net.data, &world->request, 1, world->resp, world->fixture.state);
}

/* Kind, owner and type of each sort of answer, and where its parts lie. */
static void test_notes(void **state)
{
	struct world *world = *state;
	static const struct {
		const char *name;
		uint16_t type;
		uint8_t kind;
		uint16_t noted;
		const char *owner; /* of the bucket; NULL = none */
	} cases[] = {
		{ "www.example.net", WIRE_TYPE_A, ANSWER_KIND_POSITIVE, WIRE_TYPE_A, "www.example.net" },
		{ "WWW.example.net", WIRE_TYPE_ANY, ANSWER_KIND_POSITIVE, WIRE_TYPE_A, "www.example.net" },
		{ "x.wild.example.net", WIRE_TYPE_A, ANSWER_KIND_POSITIVE, WIRE_TYPE_A,
		  "*.wild.example.net" },
		{ "x.old.example.net", WIRE_TYPE_A, ANSWER_KIND_POSITIVE, 0, "old.example.net" },
		{ "alias.example.net", WIRE_TYPE_A, ANSWER_KIND_POSITIVE, 0, "alias.example.net" },
		{ "alias.example.net", WIRE_TYPE_MX, ANSWER_KIND_POSITIVE, 0, "alias.example.net" },
		{ "db.de.example.net", WIRE_TYPE_A, ANSWER_KIND_POSITIVE, WIRE_TYPE_A, "db.de.example.net" },
		{ "db.local.example.net", WIRE_TYPE_A, ANSWER_KIND_POSITIVE, WIRE_TYPE_A,
		  "db.local.example.net" },
		{ "current.cvd.example.net", WIRE_TYPE_TXT, ANSWER_KIND_POSITIVE, WIRE_TYPE_TXT,
		  "current.cvd.example.net" },
		{ "whoami.example.net", WIRE_TYPE_TXT, ANSWER_KIND_POSITIVE, WIRE_TYPE_TXT,
		  "whoami.example.net" },
		{ "www.example.net", WIRE_TYPE_MX, ANSWER_KIND_NODATA, 0, "www.example.net" },
		{ "x.ping.example.net", WIRE_TYPE_A, ANSWER_KIND_NODATA, 0, "ping.example.net" },
		{ "x.www.example.net", WIRE_TYPE_A, ANSWER_KIND_NXDOMAIN, 0, "www.example.net" },
		{ "sub.example.net", WIRE_TYPE_A, ANSWER_KIND_REFERRAL, 0, "sub.example.net" },
		{ "x.sub.example.net", WIRE_TYPE_A, ANSWER_KIND_REFERRAL, 0, "sub.example.net" },
		{ "broken.cvd.example.net", WIRE_TYPE_TXT, ANSWER_KIND_ERROR, WIRE_TYPE_TXT,
		  "broken.cvd.example.net" },
		{ "fail.example.net", WIRE_TYPE_TXT, ANSWER_KIND_ERROR, 0, "fail.example.net" },
		{ "elsewhere.test", WIRE_TYPE_A, ANSWER_KIND_ERROR, 0, NULL },
		{ "example.net", WIRE_TYPE_AXFR, ANSWER_KIND_ERROR, 0, NULL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(world, cases[i].name, cases[i].type);
		const struct answer_note *note = &world->request.note;
		if (note->kind != cases[i].kind || note->type != cases[i].noted ||
		    !note->node != !cases[i].owner)
			fail_msg("%s: kind %u type %u", cases[i].name, note->kind, note->type);
		if (cases[i].owner && note->node) {
			uint8_t name[WIRE_NAME_MAX];
			int name_len = name_from_text(cases[i].owner, NULL, 0, name);
			assert_int_equal(note->node->name_len, name_len);
			assert_memory_equal(world->fixture.store->bytes + note->node->name_off, name,
			                    (size_t)name_len);
		}
		const uint8_t *resp = world->request.resp;
		assert_int_equal(note->body_off, WIRE_HEADER_LEN + strlen(cases[i].name) + 2 + 4);
		assert_int_equal(resp[note->opt_off], 0);
		assert_int_equal(wire_get16(resp + note->opt_off + 1), WIRE_TYPE_OPT);
		assert_int_equal(note->opt_off + WIRE_OPT_LEN + wire_get16(resp + note->opt_off + 9),
		                 world->request.resp_len);
	}
}

static void limit_to_one(struct world *world, uint32_t slip)
{
	struct rrl_config config = {
		.share = 1, .window_s = 1, .slip = slip, .ipv4_len = 24, .ipv6_len = 56, .buckets_n = 1024
	};
	for (unsigned kind = 0; kind < ANSWER_KINDS_N; kind++)
		config.rate[kind] = 1;
	rrl_destroy(world->net.rrl);
	world->net.rrl = create(&config);
}

/* A second answer within the second: the question and the options are left of it, and TC. */
static void test_truncated(void **state)
{
	struct world *world = *state;
	static const char *const names[] = { "www.example.net", "x.www.example.net", "x.sub.example.net",
		                             "alias.example.net", "db.local.example.net" };
	limit_to_one(world, 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint8_t before[ANSWER_UDP_MAX];
		ask(world, names[i], WIRE_TYPE_A);
		size_t before_len = world->request.resp_len;
		struct answer_note note = world->request.note;
		memcpy(before, world->request.resp, before_len);
		rate_limit_apply(&world->net, &world->request, 1);
		assert_int_equal(world->request.resp_len, before_len);
		assert_memory_equal(world->request.resp, before, before_len);

		ask(world, names[i], WIRE_TYPE_A);
		rate_limit_apply(&world->net, &world->request, 1);
		const uint8_t *resp = world->request.resp;
		size_t opt_len = before_len - note.opt_off;
		assert_int_equal(opt_len, WIRE_OPT_LEN + 8 + 3); /* the client subnet is in it */
		assert_int_equal(world->request.resp_len, note.body_off + opt_len);
		assert_int_equal(wire_get16(resp + 2), (wire_get16(before + 2) & ~15U) | WIRE_FLAG_TC);
		static const uint8_t counts[] = { 0, 1, 0, 0, 0, 0, 0, 1 };
		assert_memory_equal(resp + 4, counts, sizeof(counts));
		assert_memory_equal(resp + WIRE_HEADER_LEN, before + WIRE_HEADER_LEN,
		                    note.body_off - WIRE_HEADER_LEN);
		assert_memory_equal(resp + note.body_off, before + note.opt_off, opt_len);
		assert_int_equal(world->net.counters.rrl_slipped, i + 1);
	}
	assert_int_equal(world->net.state.counters.truncated, 5);
	assert_int_equal(world->net.counters.rrl_positive, 3);
	assert_int_equal(world->net.counters.rrl_nxdomain, 1);
	assert_int_equal(world->net.counters.rrl_referral, 1);

	/* An error has nothing to lose, and slips as it is. */
	for (unsigned times = 0; times < 2; times++) {
		ask(world, "elsewhere.test", WIRE_TYPE_A);
		size_t len = world->request.resp_len;
		rate_limit_apply(&world->net, &world->request, 1);
		assert_int_equal(world->request.resp_len, len);
		assert_int_equal(wire_get16(world->request.resp + 2) & (WIRE_FLAG_TC | 15),
		                 WIRE_RCODE_REFUSED);
	}
	assert_int_equal(world->net.counters.rrl_error, 1);
	assert_int_equal(world->net.counters.rrl_slipped, 6);
}

/* Whatever is sent in, what an answer is told to be made of is inside it, and cutting it down leaves a
 * message. */
static void test_any_request(void **state)
{
	struct world *world = *state;
	static const char *const names[] = { "www.example.net",   "x.old.example.net", "db.local.example.net",
		                             "x.sub.example.net", "x.example.net",     "whoami.example.net" };
	uint64_t number = 88172645463325252U;
	size_t kinds[ANSWER_KINDS_N] = { 0 };
	limit_to_one(world, 1);
	for (unsigned i = 0; i < 300000; i++) {
		if (i % 50 == 0)
			ask(world, names[i / 50 % 6], i % 100 ? WIRE_TYPE_A : WIRE_TYPE_TXT);
		uint64_t bits = next_random(&number);
		if (world->request.req_len > 0 && i % 50) {
			world->req[bits % world->request.req_len] = (uint8_t)(bits >> 32);
			if (bits >> 61 == 0)
				world->request.req_len -= bits >> 58 & 1;
		}
		answer_queries(world->net.data, &world->request, 1, world->resp, world->fixture.state);
		size_t len = world->request.resp_len;
		const struct answer_note *note = &world->request.note;
		kinds[note->kind]++;
		if (len) {
			assert_in_range(note->body_off, WIRE_HEADER_LEN, note->opt_off);
			assert_in_range(note->opt_off, note->body_off, len);
		}
		rate_limit_apply(&world->net, &world->request, 1);
		assert_in_range(world->request.resp_len, 0, len);
		const uint8_t *resp = world->request.resp;
		if (note->kind == ANSWER_KIND_ERROR || !(wire_get16(resp + 2) & WIRE_FLAG_TC))
			continue;
		assert_int_equal(wire_get16(resp + 4), 1);
		assert_int_equal(world->request.resp_len, note->body_off + len - note->opt_off);
		assert_int_equal(wire_get16(resp + 10), len > note->opt_off);
	}
	for (unsigned kind = 0; kind < ANSWER_KINDS_N; kind++)
		assert_true(kinds[kind] > 100);
	assert_true(world->net.counters.rrl_slipped > 100000);
}

/* Without slip nothing is sent; a valid cookie is trusted, and takes nobody's share. */
static void test_cookie(void **state)
{
	struct world *world = *state;
	limit_to_one(world, 0);
	for (unsigned i = 0; i < 10; i++) {
		ask(world, "www.example.net", WIRE_TYPE_A);
		world->request.note.cookie_ok = true;
		rate_limit_apply(&world->net, &world->request, 1);
		assert_int_equal(world->request.resp_len, world->request.note.opt_off + WIRE_OPT_LEN + 11);
	}
	world->request.note.cookie_ok = false;
	for (unsigned i = 0; i < 3; i++) {
		ask(world, "www.example.net", WIRE_TYPE_A);
		world->request.note.cookie_ok = false;
		rate_limit_apply(&world->net, &world->request, 1);
		assert_int_equal(world->request.resp_len > 0, i == 0);
	}
	assert_int_equal(world->net.counters.rrl_dropped, 2);
	assert_int_equal(world->net.counters.rrl_positive, 2);
	assert_int_equal(world->net.counters.rrl_slipped, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steady),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_slip),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_replacement),
		cmocka_unit_test(test_clock_back),
		cmocka_unit_test(test_inherit),
		cmocka_unit_test(test_exempt),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test_setup_teardown(test_notes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cookie, setup, teardown),
	};
	return cmocka_run_group_tests_name("rrl", tests, NULL, NULL);
}
