#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/name.h"
#include "zones/zone_file.h"
#include "zones/zone_rdata.h"

static const uint8_t origin[] = "\7example\3com";

/* In front of each text: lines 1 to 4. Text starts at line 5. */
#define APEX "$TTL 60\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n"

static const struct {
	const char *name, *text, *want;
} cases[] = {
	{ "good", "www CNAME ns1\nmx MX 10 ns1\n* TXT x\n", "" },
	{ "in the zone or not", "a.example.org. A 192.0.2.1\ncom. A 192.0.2.1\nxexample.com. A 192.0.2.1\n",
	  "E: z:5: a.example.org is not in zone example.com; correct the owner or its $ORIGIN, or remove the "
	  "record\n"
	  "E: z:6: com is not in zone example.com; correct the owner or its $ORIGIN, or remove the record\n"
	  "E: z:7: xexample.com is not in zone example.com; correct the owner or its $ORIGIN, or remove the "
	  "record\n" },
	{ "second SOA", "@ SOA ns1 host 2 2 3 4 5\n",
	  "E: z:5: example.com has a second SOA, the first is at z:2; leave one\n" },
	{ "second SOA, the same", "@ SOA ns1 host 1 2 3 4 5\n",
	  "W: z:5: example.com SOA is a duplicate of line 2, ignored; remove it\n" },
	{ "SOA elsewhere", "a SOA ns1 host 1 2 3 4 5\n",
	  "E: z:5: SOA at a.example.com; the one SOA of a zone stands at its own name example.com, move it "
	  "there\n" },
	{ "CNAME at the apex", "@ CNAME ns1\n",
	  "E: z:5: CNAME at the zone's own name example.com, where SOA and NS stand; write A and AAAA "
	  "records there\n" },
	{ "CNAME beside data", "a CNAME ns1\na TXT x\na TXT y\nb A 192.0.2.1\nb CNAME ns1\n",
	  "E: z:6: a.example.com has both a CNAME (line 5) and TXT (line 6); a CNAME stands alone (RFC 1034 "
	  "section "
	  "3.6.2), remove one\n"
	  "E: z:9: b.example.com has both a CNAME (line 9) and A (line 8); a CNAME stands alone (RFC 1034 "
	  "section "
	  "3.6.2), remove one\n" },
	{ "CNAME beside its signatures",
	  "a CNAME ns1\na RRSIG CNAME 8 3 60 2 1 1 @ AA==\na NSEC b CNAME RRSIG NSEC\n", "" },
	{ "second CNAME", "a CNAME ns1\na CNAME b\n",
	  "E: z:6: a.example.com has a second CNAME, the first is at z:5; leave one\n" },
	{ "second CNAME, the same in other letters", "a CNAME NS1\na CNAME ns1\n",
	  "W: z:6: a.example.com CNAME is a duplicate of line 5, ignored; remove it\n" },
	{ "second DNAME", "a DNAME b\na DNAME c\n",
	  "E: z:6: a.example.com has a second DNAME, the first is at z:5; leave one\n" },
	{ "DNAME beside CNAME", "a DNAME b\na CNAME c\n",
	  "E: z:6: a.example.com has both a CNAME (line 6) and DNAME (line 5); a CNAME stands alone (RFC "
	  "1034 section "
	  "3.6.2), remove one\n" },
	{ "DNAME beside NS", "a NS ns1\na DNAME b\n",
	  "E: z:6: a.example.com has both NS (line 5) and DNAME (line 6) (RFC 6672 section 2.3); remove "
	  "one\n" },
	{ "DNAME beside other data", "a DNAME b\na A 192.0.2.1\n", "" },
	{ "below a DNAME", "a DNAME b\nc.d.a A 192.0.2.1\nxa A 192.0.2.1\n",
	  "E: z:6: c.d.a.example.com lies below the DNAME of a.example.com (line 5), which covers all names "
	  "under it "
	  "(RFC 6672 section 2.4); remove one\n" },
	{ "below a delegation",
	  "s NS ns1\ns DS 1 8 250 00\ng.s A 192.0.2.1\ng.s AAAA ::1\ng.s TXT x\nd.s DNAME a\nx.d.s A "
	  "192.0.2.1\n",
	  "W: z:9: g.s.example.com TXT lies below the delegation of s.example.com (line 5) and is never "
	  "answered; move "
	  "it to that zone\n"
	  "W: z:10: d.s.example.com DNAME lies below the delegation of s.example.com (line 5) and is never "
	  "answered; "
	  "move it to that zone\n" },
	{ "at a delegation", "s NS ns1\ns A 192.0.2.1\ns MX 1 ns1\n",
	  "W: z:7: s.example.com MX stands at a delegation (line 5) and is never answered; move it to that "
	  "zone\n" },
	{ "glue",
	  "s NS a.s\ns NS b.s\ns NS c.example.net.\ns NS d.t\nt NS ns1\na.s A 192.0.2.1\nu NS u\nu A "
	  "192.0.2.1\n",
	  "W: z:6: glue is missing: name server b.s.example.com lies in the zone it serves; write its A or "
	  "AAAA record "
	  "here\n" },
	{ "name server without an address", "@ NS a\nb NS c\n",
	  "W: z:5: name server a.example.com has no address in this zone; write its A or AAAA record\n"
	  "W: z:6: name server c.example.com has no address in this zone; write its A or AAAA record\n" },
	{ "name server by wildcard", "* A 192.0.2.1\nb NS c\n", "" },
	{ "name server below a DNAME", "d DNAME e\nb NS c.d\n",
	  "W: z:6: name server c.d.example.com lies below a DNAME and has no address; write its real "
	  "name\n" },
	{ "hosts that are a CNAME", "c CNAME ns1\n@ NS C\na MX 1 c\na SRV 0 0 1 c\n",
	  "W: z:6: NS points at c.example.com, which is a CNAME (RFC 2181 section 10.3); write the name it "
	  "leads to\n"
	  "W: z:7: MX points at c.example.com, which is a CNAME (RFC 2181 section 10.3); write the name it "
	  "leads to\n"
	  "W: z:8: SRV points at c.example.com, which is a CNAME (RFC 2181 section 10.3); write the name it "
	  "leads to\n" },
	{ "hosts that are nonsense",
	  "@ NS .\na MX 1 192.0.2.1\na MX 2 192.0.2.1.\na MX 0 .\nb CNAME x.example.com\n",
	  "W: z:5: NS points at the root; write the name of a server\n"
	  "W: z:6: MX points at 192.0.2.1.example.com, which looks like an address; write a host name\n"
	  "W: z:7: MX points at 192.0.2.1, which looks like an address; write a host name\n"
	  "W: z:9: CNAME points at x.example.com.example.com, with the zone's name twice; write a dot at the "
	  "end of "
	  "full names\n" },
	{ "CNAME loops", "a CNAME a\nb CNAME c\nc CNAME B\nd CNAME b\n",
	  "W: z:5: CNAME a.example.com leads back to itself; no client gets an answer, let it point "
	  "elsewhere\n"
	  "W: z:6: CNAME b.example.com leads back to itself; no client gets an answer, let it point "
	  "elsewhere\n"
	  "W: z:7: CNAME c.example.com leads back to itself; no client gets an answer, let it point "
	  "elsewhere\n" },
	{ "wildcards", "* NS ns1\n*.w DNAME a\n",
	  "W: z:5: NS at the wildcard *.example.com: its meaning is not defined (RFC 4592 section 4); write "
	  "the names "
	  "out\n"
	  "W: z:6: DNAME at the wildcard *.w.example.com: its meaning is not defined (RFC 4592 section 4); "
	  "write the "
	  "names out\n" },
	/* The answers take NS at a wildcard for plain data: what stands beside it or below is served. */
	{ "beside NS at a wildcard, and below", "*.w NS ns1\n*.w TXT x\na.*.w TXT x\n",
	  "W: z:5: NS at the wildcard *.w.example.com: its meaning is not defined (RFC 4592 section 4); "
	  "write the "
	  "names out\n" },
	{ "DS", "@ DS 1 8 250 00\na DS 1 8 250 00\n",
	  "W: z:5: DS at the zone's own name; it belongs to the parent zone, remove it here\n"
	  "W: z:6: DS at a.example.com, which has no NS and is no delegation; write its NS records, or "
	  "remove the DS\n" },
	{ "MX preference is no letter", "a MX 65 b\na MX 97 b\n", "" },
	{ "TXT differs in case", "a TXT x\na TXT X\n", "" },
};

static void load(const char *text, struct diag *diag, struct zone_records *records)
{
	assert_int_equal(zone_text_load(text, strlen(text), "z", origin, sizeof(origin), 0, diag, records),
	                 0);
	assert_int_equal(diag->messages_n, 0);
}

static void test_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct diag diag;
		struct zone_records records;
		char text[1024];
		char have[4096] = "";
		size_t have_len = 0;
		diag_init(&diag);
		snprintf(text, sizeof(text), "%s%s", APEX, cases[i].text);
		load(text, &diag, &records);
		int rc = zone_check("z", origin, sizeof(origin), &records, &diag);
		for (size_t k = 0; k < diag.messages_n; k++)
			have_len += (size_t)snprintf(have + have_len, sizeof(have) - have_len, "%c: %s\n",
			                             diag.messages[k].level == DIAG_ERROR ? 'E' : 'W',
			                             diag.messages[k].text);
		if (strcmp(have, cases[i].want) != 0)
			print_error("%s\n--- have\n%s--- want\n%s", cases[i].name, have, cases[i].want);
		assert_string_equal(have, cases[i].want);
		assert_int_equal(rc, diag.errors_n ? -EINVAL : 0);
		zone_records_fini(&records);
		diag_fini(&diag);
	}
}

static void test_empty(void **state)
{
	(void)state;
	struct diag diag;
	struct zone_records records;
	diag_init(&diag);
	load("", &diag, &records);
	assert_int_equal(zone_check("z", origin, sizeof(origin), &records, &diag), -EINVAL);
	assert_int_equal(diag.messages_n, 2);
	assert_string_equal(diag.messages[0].text,
	                    "z: no SOA record at example.com; write one, @ IN SOA MNAME RNAME SERIAL REFRESH "
	                    "RETRY EXPIRE MINIMUM");
	assert_string_equal(diag.messages[1].text, "z: no NS record at example.com; write one for each name "
	                                           "server, @ IN NS HOST");
	zone_records_fini(&records);
	diag_fini(&diag);
}

/** RFC 2181 sections 5 and 8: what remains of duplicates and unequal TTLs. */
static void test_changes(void **state)
{
	(void)state;
	static const struct {
		const char *owner;
		uint32_t ttl_s;
		uint16_t type;
		unsigned line;
	} want[] = {
		{ "example.com", 60, 6, 2 },
		{ "example.com", 60, 2, 3 },
		{ "ns1.example.com", 60, 1, 4 },
		{ "a.example.com", 30, 1, 5 },
		{ "b.example.com", 60, 1, 6 },
		{ "a.example.com", 30, 1, 7 },
		{ "a.example.com", 90, 28, 9 },
		{ "c.example.com", 0, 1, 10 },
		{ "d.example.com", 2147483647, 1, 11 },
		{ "e.example.com", 1, 46, 12 },
		{ "e.example.com", 2, 46, 13 },
	};
	static const char *const messages[] = {
		("z:8: a.example.com A is a duplicate of line 5, ignored; remove it"),
		("z:8: a.example.com A has TTLs from 30 to 90, 30 is used for all; write the same for each "
		 "(RFC 2181 section "
		 "5.2)"),
		("z:10: TTL 2147483648 is over 2147483647 and counts as 0 (RFC 2181 section 8); write a "
		 "smaller one"),
	};
	struct diag diag;
	struct zone_records records;
	char name[NAME_TEXT_MAX];
	diag_init(&diag);
	load(APEX "a 90 A 192.0.2.2\nb 60 A 192.0.2.1\na 90 A 192.0.2.1\nA 30 A 192.0.2.2\na 90 AAAA ::1\n"
	          "c 2147483648 A 192.0.2.1\nd 2147483647 A 192.0.2.1\n"
	          "e 1 RRSIG A 8 3 1 2 1 1 @ AA==\ne 2 RRSIG TXT 8 3 1 2 1 1 @ AA==\n",
	     &diag, &records);
	assert_int_equal(zone_check("z", origin, sizeof(origin), &records, &diag), 0);
	assert_int_equal(diag.messages_n, sizeof(messages) / sizeof(messages[0]));
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		assert_string_equal(diag.messages[i].text, messages[i]);
	assert_int_equal(records.records_n, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < records.records_n; i++) {
		const struct zone_record *record = &records.records[i];
		assert_string_equal(name_to_text(record->owner, name), want[i].owner);
		assert_int_equal(record->ttl_s, want[i].ttl_s);
		assert_int_equal(record->type, want[i].type);
		assert_int_equal(record->line, want[i].line);
	}
	zone_records_fini(&records);
	diag_fini(&diag);
}

/** The root as a zone: its name has no label. */
static void test_root(void **state)
{
	(void)state;
	static const uint8_t root[] = { 0 };
	static const char text[] =
	        "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\na A 192.0.2.1\ncom NS ns.com\nx.com TXT y\n";
	struct diag diag;
	struct zone_records records;
	diag_init(&diag);
	assert_int_equal(zone_text_load(text, strlen(text), "z", root, 1, 0, &diag, &records), 0);
	assert_int_equal(zone_check("z", root, 1, &records, &diag), 0);
	assert_int_equal(diag.messages_n, 2);
	assert_string_equal(diag.messages[0].text,
	                    "z:5: glue is missing: name server ns.com lies in the zone it serves; "
	                    "write its A or AAAA record here");
	zone_records_fini(&records);
	diag_fini(&diag);
}

/** All at one name, all apart, all duplicates: none may be quadratic. The test's own time limit is the check.
 */
static void test_large(void **state)
{
	(void)state;
	static const char *const formats[] = { "a A 10.%zu.%zu.%zu\n", "n%zu-%zu-%zu A 192.0.2.1\n",
		                               "a A 192.0.2.1\n", "n%zu-%zu-%zu CNAME n0-0-0\n" };
	for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
		struct diag diag;
		struct zone_records records;
		char *text = NULL;
		size_t text_len;
		FILE *out = open_memstream(&text, &text_len);
		assert_non_null(out);
		fputs(APEX, out);
		for (size_t i = 0; i < 100000; i++) {
			fprintf(out, formats[f], i >> 16, i >> 8 & 255, i & 255);
		}
		assert_int_equal(fclose(out), 0);
		diag_init(&diag);
		load(text, &diag, &records);
		assert_int_equal(zone_check("z", origin, sizeof(origin), &records, &diag), 0);
		assert_int_equal(records.records_n, f == 2 ? 4 : 100003);
		zone_records_fini(&records);
		diag_fini(&diag);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages), cmocka_unit_test(test_empty), cmocka_unit_test(test_changes),
		cmocka_unit_test(test_root),     cmocka_unit_test(test_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
