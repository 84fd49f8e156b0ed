/* answer_query() on a small zone: each case is a question and the whole answer, as a careful reader of the
 * RFCs expects it. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ldns/ldns.h>

#include "answer/store_build.h"
#include "tests/unit/support/store_fixture.h"
#include "wire/name.h"
#include "wire/request.h"
#include "wire/wire.h"
#include "zones/zone_file.h"

static const char zone[] = "$TTL 3600\n"
                           "@ SOA ns1 hostmaster 7 3600 600 86400 60\n"
                           "@ NS ns1\n"
                           "@ NS ns.elsewhere.test.\n"
                           "ns1 A 192.0.2.53\n"
                           "ns1 AAAA 2001:db8::53\n"
                           "@ MX 10 mail\n"
                           "mail A 192.0.2.25\n"
                           "www CNAME web\n"
                           "web A 192.0.2.80\n"
                           "out CNAME www.elsewhere.test.\n"
                           "pool CNAME db.de\n"
                           "big CNAME db.big\n"
                           "report CNAME x.ping\n"
                           "gone CNAME nothing\n"
                           "loop1 CNAME loop2\n"
                           "loop2 CNAME loop1\n"
                           "a.b.deep A 192.0.2.7\n"
                           "*.wild A 192.0.2.9\n"
                           "*.wild MX 5 mail.wild\n"
                           "x.there.wild A 192.0.2.10\n"
                           "*.cwild CNAME web\n"
                           "sub NS ns.sub\n"
                           "sub NS ns1\n"
                           "ns.sub A 192.0.2.54\n"
                           "sub DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000\n"
                           "child NS ns.child\n"
                           "ns.child A 192.0.2.55\n"
                           "child DS 2 8 2 1111111111111111111111111111111111111111111111111111111111111111\n"
                           "old DNAME new\n"
                           "www.new A 192.0.2.81\n"
                           "old2 DNAME old\n"
                           "far DNAME elsewhere.test.\n"
                           "grow DNAME b.grow2\n"
                           "grow2 DNAME c.grow\n"
                           "odd TYPE65400 \\# 3 010203\n";

static const char child[] = "$TTL 300\n"
                            "@ SOA ns hostmaster 1 3600 600 86400 30\n"
                            "@ NS ns\n"
                            "ns A 192.0.2.55\n";

#define SOA_LINE "example.net.\t60\tIN\tSOA\tns1.example.net. hostmaster.example.net. 7 3600 600 86400 60\n"
#define SOA_CHILD                                                                                            \
	"child.example.net.\t30\tIN\tSOA\tns.child.example.net. hostmaster.child.example.net. 1 3600 600 "   \
	"86400 30\n"

static const struct {
	const char *name;
	uint16_t type;
	const char *want;
} cases[] = {
	{ "web.example.net", WIRE_TYPE_A, "NOERROR aa\nweb.example.net.\t3600\tIN\tA\t192.0.2.80\n-\n-\n" },
	/* the question's case comes back */
	{ "WeB.eXample.net", WIRE_TYPE_A, "NOERROR aa\nWeB.eXample.net.\t3600\tIN\tA\t192.0.2.80\n-\n-\n" },
	/* additional addresses for MX and NS, RFC 1035 section 3.3.9 and 3.3.11 */
	{ "example.net", WIRE_TYPE_MX,
	  "NOERROR aa\nexample.net.\t3600\tIN\tMX\t10 "
	  "mail.example.net.\n-\n-\nmail.example.net.\t3600\tIN\tA\t192.0.2.25\n" },
	{ "example.net", WIRE_TYPE_NS,
	  "NOERROR "
	  "aa\nexample.net.\t3600\tIN\tNS\tns1.example.net.\nexample.net.\t3600\tIN\tNS\tns.elsewhere.test."
	  "\n-\n-\n"
	  "ns1.example.net.\t3600\tIN\tA\t192.0.2.53\nns1.example.net.\t3600\tIN\tAAAA\t2001:db8::53\n" },
	/* NODATA and NXDOMAIN, RFC 2308 */
	{ "web.example.net", WIRE_TYPE_TXT, "NOERROR aa\n-\n" SOA_LINE "-\n" },
	{ "none.example.net", WIRE_TYPE_A, "NXDOMAIN aa\n-\n" SOA_LINE "-\n" },
	{ "x.web.example.net", WIRE_TYPE_A, "NXDOMAIN aa\n-\n" SOA_LINE "-\n" },
	/* empty non-terminals, RFC 8020 */
	{ "deep.example.net", WIRE_TYPE_A, "NOERROR aa\n-\n" SOA_LINE "-\n" },
	{ "b.deep.example.net", WIRE_TYPE_A, "NOERROR aa\n-\n" SOA_LINE "-\n" },
	{ "cvd.example.net", WIRE_TYPE_TXT, "NOERROR aa\n-\n" SOA_LINE "-\n" },
	{ "c.deep.example.net", WIRE_TYPE_A, "NXDOMAIN aa\n-\n" SOA_LINE "-\n" },
	/* CNAME, RFC 1034 section 4.3.2 step 3a */
	{ "www.example.net", WIRE_TYPE_A,
	  "NOERROR "
	  "aa\nwww.example.net.\t3600\tIN\tCNAME\tweb.example.net.\nweb.example.net.\t3600\tIN\tA\t192.0.2."
	  "80\n-\n-\n" },
	{ "www.example.net", WIRE_TYPE_CNAME,
	  "NOERROR aa\nwww.example.net.\t3600\tIN\tCNAME\tweb.example.net.\n-\n-\n" },
	{ "www.example.net", WIRE_TYPE_TXT,
	  "NOERROR aa\nwww.example.net.\t3600\tIN\tCNAME\tweb.example.net.\n-\n" SOA_LINE "-\n" },
	{ "out.example.net", WIRE_TYPE_A,
	  "NOERROR aa\nout.example.net.\t3600\tIN\tCNAME\twww.elsewhere.test.\n-\n-\n" },
	/* the last name of the chain decides the rcode, RFC 6604 section 3 */
	{ "gone.example.net", WIRE_TYPE_A,
	  "NXDOMAIN aa\ngone.example.net.\t3600\tIN\tCNAME\tnothing.example.net.\n-\n" SOA_LINE "-\n" },
	{ "report.example.net", WIRE_TYPE_A,
	  "NOERROR aa\nreport.example.net.\t3600\tIN\tCNAME\tx.ping.example.net.\n-\n" SOA_LINE "-\n" },
	/* wildcards, RFC 4592 */
	{ "q.wild.example.net", WIRE_TYPE_A,
	  "NOERROR aa\nq.wild.example.net.\t3600\tIN\tA\t192.0.2.9\n-\n-\n" },
	{ "p.q.wild.example.net", WIRE_TYPE_MX,
	  "NOERROR aa\np.q.wild.example.net.\t3600\tIN\tMX\t5 mail.wild.example.net.\n-\n-\n" },
	{ "q.wild.example.net", WIRE_TYPE_TXT, "NOERROR aa\n-\n" SOA_LINE "-\n" },
	{ "*.wild.example.net", WIRE_TYPE_A,
	  "NOERROR aa\n*.wild.example.net.\t3600\tIN\tA\t192.0.2.9\n-\n-\n" },
	{ "wild.example.net", WIRE_TYPE_A, "NOERROR aa\n-\n" SOA_LINE "-\n" },
	/* an existing name, even an empty one, hides the wildcard */
	{ "there.wild.example.net", WIRE_TYPE_A, "NOERROR aa\n-\n" SOA_LINE "-\n" },
	{ "y.there.wild.example.net", WIRE_TYPE_A, "NXDOMAIN aa\n-\n" SOA_LINE "-\n" },
	{ "any.cwild.example.net", WIRE_TYPE_A,
	  "NOERROR "
	  "aa\nany.cwild.example.net.\t3600\tIN\tCNAME\tweb.example.net.\nweb.example.net.\t3600\tIN\tA\t192."
	  "0.2.80\n-\n-\n" },
	/* delegation: the parent's DS with authority, all else a referral with glue; in-domain glue first */
	{ "www.sub.example.net", WIRE_TYPE_A,
	  "NOERROR\n-\nsub.example.net.\t3600\tIN\tNS\tns.sub.example.net.\nsub.example.net."
	  "\t3600\tIN\tNS\tns1.example.net.\n-\n"
	  "ns.sub.example.net.\t3600\tIN\tA\t192.0.2.54\nns1.example.net.\t3600\tIN\tA\t192.0.2.53\n"
	  "ns1.example.net.\t3600\tIN\tAAAA\t2001:db8::53\n" },
	{ "ns.sub.example.net", WIRE_TYPE_A,
	  "NOERROR\n-\nsub.example.net.\t3600\tIN\tNS\tns.sub.example.net.\nsub.example.net."
	  "\t3600\tIN\tNS\tns1.example.net.\n-\n"
	  "ns.sub.example.net.\t3600\tIN\tA\t192.0.2.54\nns1.example.net.\t3600\tIN\tA\t192.0.2.53\n"
	  "ns1.example.net.\t3600\tIN\tAAAA\t2001:db8::53\n" },
	{ "sub.example.net", WIRE_TYPE_DS,
	  "NOERROR aa\nsub.example.net.\t3600\tIN\tDS\t1 8 2 "
	  "0000000000000000000000000000000000000000000000000000000000000000\n"
	  "-\n-\n" },
	/* a child zone served beside its parent: the child answers, DS is the parent's */
	{ "child.example.net", WIRE_TYPE_NS,
	  "NOERROR "
	  "aa\nchild.example.net.\t300\tIN\tNS\tns.child.example.net.\n-\n-\nns.child.example.net."
	  "\t300\tIN\tA\t192.0.2.55\n" },
	{ "nope.child.example.net", WIRE_TYPE_A, "NXDOMAIN aa\n-\n" SOA_CHILD "-\n" },
	{ "child.example.net", WIRE_TYPE_DS,
	  "NOERROR aa\nchild.example.net.\t3600\tIN\tDS\t2 8 2 "
	  "1111111111111111111111111111111111111111111111111111111111111111\n"
	  "-\n-\n" },
	/* DNAME, RFC 6672: the owner itself is not renamed, what is below is, again and again */
	{ "old.example.net", WIRE_TYPE_A, "NOERROR aa\n-\n" SOA_LINE "-\n" },
	{ "old.example.net", WIRE_TYPE_DNAME,
	  "NOERROR aa\nold.example.net.\t3600\tIN\tDNAME\tnew.example.net.\n-\n-\n" },
	{ "www.old.example.net", WIRE_TYPE_A,
	  "NOERROR "
	  "aa\nold.example.net.\t3600\tIN\tDNAME\tnew.example.net.\nwww.old.example.net."
	  "\t3600\tIN\tCNAME\twww.new.example.net.\n"
	  "www.new.example.net.\t3600\tIN\tA\t192.0.2.81\n-\n-\n" },
	{ "WWW.old2.example.net", WIRE_TYPE_A,
	  "NOERROR "
	  "aa\nold2.example.net.\t3600\tIN\tDNAME\told.example.net.\nWWW.old2.example.net."
	  "\t3600\tIN\tCNAME\tWWW.old.example.net.\n"
	  "old.example.net.\t3600\tIN\tDNAME\tnew.example.net.\nWWW.old.example.net.\t3600\tIN\tCNAME\twww."
	  "new.example.net.\n"
	  "www.new.example.net.\t3600\tIN\tA\t192.0.2.81\n-\n-\n" },
	{ "x.far.example.net", WIRE_TYPE_A,
	  "NOERROR "
	  "aa\nfar.example.net.\t3600\tIN\tDNAME\telsewhere.test.\nx.far.example.net.\t3600\tIN\tCNAME\tx."
	  "elsewhere.test.\n-\n-\n" },
	{ "x.old.example.net", WIRE_TYPE_A,
	  "NXDOMAIN "
	  "aa\nold.example.net.\t3600\tIN\tDNAME\tnew.example.net.\nx.old.example.net.\t3600\tIN\tCNAME\tx."
	  "new.example.net.\n-\n" SOA_LINE "-\n" },
	/* unknown types, RFC 3597 */
	{ "odd.example.net", 65400,
	  "NOERROR aa\nodd.example.net.\t3600\tIN\tTYPE65400\t\\# 3 010203\n-\n-\n" },
	{ "web.example.net", 65535, "NOERROR aa\n-\n" SOA_LINE "-\n" },
	/* ANY gets one RRset, RFC 8482 */
	{ "ns1.example.net", WIRE_TYPE_ANY, "NOERROR aa\nns1.example.net.\t3600\tIN\tA\t192.0.2.53\n-\n-\n" },
	/* the version record, and nothing but it */
	{ "current.cvd.example.net", WIRE_TYPE_TXT,
	  "NOERROR "
	  "aa\ncurrent.cvd.example.net.\t300\tIN\tTXT\t\"0.99.2:58:23538:1499326140:1:63:46137:305\"\n-\n-"
	  "\n" },
	{ "current.cvd.example.net", WIRE_TYPE_A, "NOERROR aa\n-\n" SOA_LINE "-\n" },
	/* usage reports of old clients */
	{ "daily.15023.64.1.0.C000020A.ping.example.net", WIRE_TYPE_A, "NOERROR aa\n-\n" SOA_LINE "-\n" },
	{ "elsewhere.test", WIRE_TYPE_A, "REFUSED\n-\n-\n" },
	{ "net", WIRE_TYPE_A, "REFUSED\n-\n-\n" },
	{ ".", WIRE_TYPE_NS, "REFUSED\n-\n-\n" },
	{ "web.example.net", WIRE_TYPE_AXFR, "REFUSED\n-\n-\n" },
};

static void test_cases(void **test_state)
{
	(void)test_state;
	struct fixture fixture;
	fixture_init(&fixture, zone, child);
	size_t failed_n = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *got = fixture_ask_text(&fixture, cases[i].name, cases[i].type);
		if (strcmp(got, cases[i].want) != 0) {
			print_error("%s type %u\n--- want\n%s--- got\n%s", cases[i].name, cases[i].type,
			            cases[i].want, got);
			failed_n++;
		}
		free(got);
	}
	assert_int_equal(failed_n, 0);
	fixture_fini(&fixture);
}

/* Answers of more than 16 KiB to question names of every length: a pointer has 14 bits. */
static void test_large_wildcard(void **test_state)
{
	(void)test_state;
	size_t cap = 200000;
	char *text = malloc(cap);
	assert_non_null(text);
	size_t used = (size_t)snprintf(
	        text, cap, "$TTL 60\n@ SOA ns1 h 7 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.53\n");
	static const char filler[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	for (int i = 0; i < 60; i++) {
		char target[256];
		snprintf(target, sizeof(target), "t%02d.%s.%s.%s.%s", i, filler, filler, filler, filler);
		used += (size_t)snprintf(text + used, cap - used,
		                         "*.w SRV 1 1 80 %s\n%s A 192.0.2.1\n%s A 192.0.2.2\n", target,
		                         target, target);
	}
	struct fixture fixture;
	fixture_init(&fixture, text, NULL);
	free(text);
	uint8_t *resp = malloc(ANSWER_TCP_MAX);
	assert_non_null(resp);
	char name[256] = "";
	for (unsigned labels = 1; labels < 100; labels++) {
		uint8_t req[300] = { 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
		snprintf(name, sizeof(name), "%s", "");
		for (unsigned i = 0; i < labels; i++)
			strcat(name, "q.");
		strcat(name, "w.example.net");
		int len = name_from_text(name, NULL, 0, req + WIRE_HEADER_LEN);
		assert_true(len > 0);
		memcpy(req + WIRE_HEADER_LEN + len, "\0\x21\0\1", 4);
		struct sockaddr_in peer = { .sin_family = AF_INET };
		struct client client = { .peer = (struct sockaddr *)&peer, .transport = TRANSPORT_TCP };
		size_t got = answer_query(&fixture.data, &client, req, WIRE_HEADER_LEN + (size_t)len + 4,
		                          resp, ANSWER_TCP_MAX, fixture.state);
		assert_true(got > 16384);
		ldns_pkt *pkt = NULL;
		assert_int_equal(ldns_wire2pkt(&pkt, resp, got), LDNS_STATUS_OK);
		assert_int_equal(ldns_pkt_ancount(pkt), 60);
		ldns_pkt_free(pkt);
	}
	free(resp);
	fixture_fini(&fixture);
}

/* Addresses that need not be there are left out when they do not fit, and nothing is written where they would
 * be. */
static void test_left_out(void **test_state)
{
	(void)test_state;
	size_t cap = 40000;
	char *text = malloc(cap);
	assert_non_null(text);
	size_t used =
	        (size_t)snprintf(text, cap,
	                         "$TTL 60\n@ SOA ns1 h 7 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.53\n"
	                         "sub NS s1\nsub NS s2\n");
	for (int i = 0; i < 600; i++)
		used += (size_t)snprintf(text + used, cap - used, "s%d A 198.51.%d.%d\n", 1 + i % 2, i / 200,
		                         i % 200);
	struct fixture fixture;
	fixture_init(&fixture, text, NULL);
	free(text);
	uint8_t *resp = malloc(ANSWER_TCP_MAX);
	assert_non_null(resp);
	memset(resp, 0xaa, ANSWER_TCP_MAX);
	size_t got = fixture_ask(&fixture, "www.sub.example.net", WIRE_TYPE_A, 1232, resp);
	assert_int_equal(resp[2] & 2, 0); /* no TC */
	assert_int_equal(wire_get16(resp + 8), 2);
	assert_int_equal(wire_get16(resp + 10), 1);
	assert_true(got < 200);
	for (size_t i = got; i < ANSWER_TCP_MAX; i++)
		assert_int_equal(resp[i], 0xaa);
	free(resp);
	fixture_fini(&fixture);
}

/* Addresses that no message has room for: as many names' as fit are there. */
static void test_additional_overflow(void **test_state)
{
	(void)test_state;
	size_t cap = 300000;
	char *text = malloc(cap);
	uint8_t *resp = malloc(ANSWER_TCP_MAX);
	assert_non_null(text);
	assert_non_null(resp);
	size_t used = (size_t)snprintf(text, cap,
	                               "$TTL 60\n@ SOA ns1 h 7 3600 600 86400 60\n@ NS ns1\n"
	                               "many MX 1 h0\nmany MX 1 h1\nmany MX 1 h2\nh2 A 192.0.2.7\n");
	for (int i = 0; i < 6000; i++)
		used += (size_t)snprintf(text + used, cap - used, "h%d A 10.0.%d.%d\n", i % 2, i / 250,
		                         i % 250);
	struct fixture fixture;
	fixture_init(&fixture, text, NULL);
	free(text);
	struct fixture_question question = { .name = "many.example.net",
		                             .type = WIRE_TYPE_MX,
		                             .transport = TRANSPORT_TCP };
	size_t len = fixture_send(&fixture, &question, resp);
	assert_int_equal(resp[2] & 2, 0);
	assert_int_equal(wire_get16(resp + 6), 3);
	assert_int_equal(wire_get16(resp + 10), 3001); /* h1 does not fit behind h0, h2 does */
	assert_int_equal(resp[len - 1], 7);
	free(resp);
	fixture_fini(&fixture);
}

struct hashed {
	uint32_t hash;
	uint32_t number;
};

static int compare_hashed(const void *a, const void *b)
{
	uint32_t x = ((const struct hashed *)a)->hash;
	uint32_t y = ((const struct hashed *)b)->hash;
	return (x > y) - (x < y);
}

/* Asked for in one batch, where a name is looked for by its hash before its turn comes: the first is there,
 * with address 192.0.2.1, and so is the second if both are, with 192.0.2.2. */
static void expect_together(struct fixture *fixture, const uint32_t numbers[2], bool both)
{
	struct sockaddr_in peer = { .sin_family = AF_INET };
	uint8_t reqs[2][WIRE_REQUEST_MAX];
	static uint8_t resps[2 * ANSWER_UDP_MAX];
	struct answer_request batch[2];
	for (unsigned i = 0; i < 2; i++) {
		char text[64];
		uint8_t name[WIRE_NAME_MAX];
		snprintf(text, sizeof(text), "h%06x.example.net", numbers[i]);
		int name_len = name_from_text(text, NULL, 0, name);
		batch[i] = (struct answer_request){
			.client = { .peer = (const struct sockaddr *)&peer, .transport = TRANSPORT_UDP },
			.req = reqs[i],
		};
		batch[i].req_len = wire_request_make(name, (size_t)name_len, WIRE_TYPE_A, WIRE_CLASS_IN, 0,
		                                     NULL, reqs[i]);
	}
	answer_queries(&fixture->data, batch, 2, resps, fixture->state);
	for (unsigned i = 0; i < 2; i++) {
		bool is_there = i == 0 || both;
		assert_int_equal(batch[i].resp[3] & 15, is_there ? WIRE_RCODE_NOERROR : WIRE_RCODE_NXDOMAIN);
		if (is_there)
			assert_int_equal(batch[i].resp[batch[i].note.opt_off - 1], i + 1);
	}
}

/* Two names of one hash: of so many names some are. Each has its own answer, or none. */
static void test_same_hash(void **test_state)
{
	(void)test_state;
	enum { NAMES_N = 200000 };
	struct hashed *list = calloc(NAMES_N, sizeof(*list));
	assert_non_null(list);
	char text[64];
	for (uint32_t i = 0; i < NAMES_N; i++) {
		uint8_t name[264] = { 0 };
		snprintf(text, sizeof(text), "h%06x.example.net", i);
		int len = name_from_text(text, NULL, 0, name);
		list[i] = (struct hashed){ store_hash(name, (uint32_t)len), i };
	}
	qsort(list, NAMES_N, sizeof(*list), compare_hashed);
	size_t at = 1;
	while (at < NAMES_N && list[at].hash != list[at - 1].hash)
		at++;
	assert_true(at < NAMES_N);
	char zone_text[256];
	for (unsigned both = 0; both <= 1; both++) {
		struct fixture fixture;
		uint8_t resp[ANSWER_UDP_MAX];
		int len = snprintf(zone_text, sizeof(zone_text),
		                   "$TTL 60\n@ SOA ns1 h 7 3600 600 86400 60\n@ NS ns1\nh%06x A 192.0.2.1\n",
		                   list[at].number);
		if (both)
			snprintf(zone_text + len, sizeof(zone_text) - (size_t)len, "h%06x A 192.0.2.2\n",
			         list[at - 1].number);
		fixture_init(&fixture, zone_text, NULL);
		snprintf(text, sizeof(text), "h%06x.example.net", list[at].number);
		size_t got = fixture_ask(&fixture, text, WIRE_TYPE_A, 0, resp);
		assert_int_equal(resp[got - 1], 1);
		snprintf(text, sizeof(text), "h%06x.example.net", list[at - 1].number);
		got = fixture_ask(&fixture, text, WIRE_TYPE_A, 0, resp);
		assert_int_equal(resp[3] & 15, both ? WIRE_RCODE_NOERROR : WIRE_RCODE_NXDOMAIN);
		if (both)
			assert_int_equal(resp[got - 1], 2);
		expect_together(&fixture, (const uint32_t[]){ list[at].number, list[at - 1].number }, both);
		fixture_fini(&fixture);
	}
	free(list);
}

/* What can't be served is refused when it is built. */
static void expect_not_built(const char *zone_text, const char *dynamic_name, const char *want)
{
	struct store_builder *builder = store_builder_create();
	uint8_t origin[WIRE_NAME_MAX];
	int origin_len = name_from_text("example.net", NULL, 0, origin);
	struct zone_records records;
	struct diag diag;
	diag_init(&diag);
	assert_int_equal(zone_text_load(zone_text, strlen(zone_text), "zone", origin, (size_t)origin_len, 0,
	                                &diag, &records),
	                 0);
	assert_int_equal(store_builder_add_zone(builder, origin, (size_t)origin_len), 0);
	for (size_t i = 0; i < records.records_n; i++) {
		const struct zone_record *r = &records.records[i];
		assert_int_equal(store_builder_add_record(builder, 0, r->owner, r->owner_len, r->type,
		                                          r->ttl_s, r->rdata, r->rdata_len, r->file, r->line),
		                 0);
	}
	if (dynamic_name) {
		uint8_t name[WIRE_NAME_MAX];
		int len = name_from_text(dynamic_name, NULL, 0, name);
		assert_int_equal(store_builder_add_dynamic(builder, 0, name, (size_t)len, WIRE_TYPE_TXT,
		                                           STORE_TEXT, 0, "conf", 7),
		                 0);
	}
	struct answer_store *store = NULL;
	assert_int_equal(store_build(builder, &diag, &store), -22);
	assert_null(store);
	bool found = false;
	for (size_t i = 0; i < diag.messages_n; i++)
		found |= strstr(diag.messages[i].text, want) != NULL;
	if (!found)
		fail_msg("want \"%s\", got \"%s\"", want, diag.messages_n ? diag.messages[0].text : "");
	diag_fini(&diag);
	store_builder_destroy(builder);
	zone_records_fini(&records);
}

static void test_refused_at_build(void **test_state)
{
	(void)test_state;
#define SOA "@ 60 SOA ns1 h 7 3600 600 86400 60\n@ 60 NS ns1\nns1 60 A 192.0.2.53\n"
	expect_not_built(SOA "cvd 60 NS ns.cvd\nns.cvd 60 A 192.0.2.54\n", "current.cvd.example.net",
	                 "conf:7: current.cvd.example.net: this name lies below a delegation");
	expect_not_built(SOA "cvd 60 DNAME elsewhere.test.\n", "current.cvd.example.net",
	                 "this name lies below a delegation or a DNAME");
	size_t cap = 400000;
	char *text = malloc(cap);
	assert_non_null(text);
	size_t used = (size_t)snprintf(text, cap, SOA);
	for (int i = 0; i < 6001; i++)
		used += (size_t)snprintf(text + used, cap - used, "sub 60 NS ns%d.elsewhere.test.\n", i);
	expect_not_built(text, NULL, "this delegation does not fit a DNS message");
	free(text);
#undef SOA
}

/* Of a name with many types each is found, and those between are not. */
static void test_many_types(void **test_state)
{
	(void)test_state;
	char text[1024];
	size_t used =
	        (size_t)snprintf(text, sizeof(text), "$TTL 60\n@ SOA ns1 h 7 3600 600 86400 60\n@ NS ns1\n");
	for (unsigned type = 65300; type < 65330; type += 2)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "many TYPE%u \\# 1 %02u\n", type,
		                         type % 100);
	struct fixture fixture;
	fixture_init(&fixture, text, NULL);
	for (uint16_t type = 65299; type < 65331; type++) {
		uint8_t resp[ANSWER_UDP_MAX];
		size_t len = fixture_ask(&fixture, "many.example.net", type, 0, resp);
		bool there = type % 2 == 0 && type < 65330;
		assert_int_equal(wire_get16(resp + 6), there);
		assert_int_equal(wire_get16(resp + 8), !there);
		if (there)
			assert_int_equal((resp[len - 1] >> 4) * 10 + (resp[len - 1] & 15), type % 100);
	}
	fixture_fini(&fixture);
}

static void test_loop_ends(void **test_state)
{
	(void)test_state;
	struct fixture fixture;
	fixture_init(&fixture, zone, NULL);
	uint8_t resp[ANSWER_UDP_MAX];
	size_t len = fixture_ask(&fixture, "loop1.example.net", WIRE_TYPE_A, 1232, resp);
	assert_true(len > WIRE_HEADER_LEN);
	assert_int_equal(resp[3] & 15, WIRE_RCODE_NOERROR);
	/* each record once */
	assert_int_equal(wire_get16(resp + 6), 2);
	/* names that grow with each link: the bound */
	len = fixture_ask(&fixture, "a.grow.example.net", WIRE_TYPE_A, 1232, resp);
	assert_true(len > WIRE_HEADER_LEN);
	assert_in_range(wire_get16(resp + 6), 2, 34);
	fixture_fini(&fixture);
}

static void test_names_compressed(void **test_state)
{
	(void)test_state;
	struct fixture fixture;
	fixture_init(&fixture, zone, NULL);
	uint8_t resp[ANSWER_UDP_MAX];
	/* question 29; MX 12 + 2 + "mail" 5 + pointer 2; A with owner pointer 16 */
	size_t len = fixture_ask(&fixture, "example.net", WIRE_TYPE_MX, 0, resp);
	assert_int_equal(len, 12 + 17 + (12 + 2 + 5 + 2) + 16);
	fixture_fini(&fixture);
}

/* Together or one by one: the same bytes, counters and turns. */
static void test_together(void **state)
{
	(void)state;
	enum { N = 53 };
	static uint8_t reqs[N][WIRE_REQUEST_MAX];
	static uint8_t resps[N * ANSWER_UDP_MAX];
	static uint8_t resp[ANSWER_UDP_MAX];
	static const char *const more[] = { "db.local.example.net", "db.big.example.net",
		                            "current.cvd.example.net", "no.such.test" };
	struct answer_request batch[N];
	struct fixture alone;
	struct fixture together;
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f020001) };
	fixture_init(&alone, zone, child);
	fixture_init(&together, zone, child);
	size_t cases_n = sizeof(cases) / sizeof(cases[0]);
	for (size_t i = 0; i < N; i++) {
		const char *text = i % 3 ? cases[i % cases_n].name : more[i / 3 % 4];
		/* Those of db.local, at each twelfth place: none, US, DE, none, IPv6. */
		struct prefix subnet = {
			.addr = { .family = i % 16 ? 4 : 6, .bytes = { 127, (uint8_t)(i / 12) } }, .len = 16
		};
		uint8_t name[WIRE_NAME_MAX];
		int name_len = name_from_text(text, NULL, 0, name);
		assert_true(name_len > 0);
		batch[i] = (struct answer_request){
			.client = { .peer = (const struct sockaddr *)&peer, .transport = TRANSPORT_UDP },
			.req = reqs[i],
		};
		batch[i].req_len = wire_request_make(name, (size_t)name_len, i % 5 ? 1 : 16, WIRE_CLASS_IN,
		                                     1232, i % 9 ? &subnet : NULL, reqs[i]);
		if (i % 7 == 0)
			batch[i].req_len -= i % 30; /* cut off */
	}
	answer_queries(&together.data, batch, N, resps, together.state);
	for (size_t i = 0; i < N; i++) {
		size_t len = answer_query(&alone.data, &batch[i].client, reqs[i], batch[i].req_len, resp,
		                          sizeof(resp), alone.state);
		assert_int_equal(batch[i].resp_len, len);
		assert_memory_equal(batch[i].resp, resp, len);
	}
	assert_int_equal(together.state->counters.pool_geo, 4);
	assert_true(together.state->countries[country_from_code("US")] > 0);
	assert_memory_equal(alone.state, together.state, sizeof(*alone.state));
	fixture_fini(&alone);
	fixture_fini(&together);
}

/* More requests at once than counters wait for: each is counted, and once. */
static void test_counted_together(void **test_state)
{
	(void)test_state;
	enum { N = 200 };
	static uint8_t resps[N * ANSWER_UDP_MAX];
	struct answer_request batch[N];
	struct fixture fixture;
	struct sockaddr_in peer = { .sin_family = AF_INET };
	struct prefix subnet = { .addr = { .family = 4, .bytes = { 127, 1 } }, .len = 16 };
	uint8_t name[WIRE_NAME_MAX];
	uint8_t req[WIRE_REQUEST_MAX];
	fixture_init(&fixture, zone, NULL);
	int name_len = name_from_text("db.local.example.net", NULL, 0, name);
	size_t req_len =
	        wire_request_make(name, (size_t)name_len, WIRE_TYPE_A, WIRE_CLASS_IN, 1232, &subnet, req);
	for (unsigned i = 0; i < N; i++)
		batch[i] = (struct answer_request){
			.client = { .peer = (const struct sockaddr *)&peer, .transport = TRANSPORT_UDP },
			.req = req,
			.req_len = req_len,
		};
	answer_queries(&fixture.data, batch, N, resps, fixture.state);
	assert_int_equal(fixture.state->countries[country_from_code("US")], N);
	uint64_t firsts = 0;
	for (unsigned i = 0; i < ANSWER_MIRRORS_N; i++)
		firsts += fixture.state->first[i];
	assert_int_equal(firsts, N);
	fixture_fini(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_loop_ends),
		cmocka_unit_test(test_names_compressed),
		cmocka_unit_test(test_large_wildcard),
		cmocka_unit_test(test_same_hash),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_additional_overflow),
		cmocka_unit_test(test_many_types),
		cmocka_unit_test(test_refused_at_build),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_counted_together),
	};
	return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
