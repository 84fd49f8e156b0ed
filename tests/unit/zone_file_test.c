#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "wire/name.h"
#include "wire/wire.h"
#include "wire/writer.h"
#include "zones/zone_file.h"
#include "zones/zone_rdata.h"

static const uint8_t origin[] = "\7example\3com";

/** What was read, one record a line: OWNER TTL TYPE HEX, then the messages; E: error, W: warning. */
static char *report(const struct zone_records *records, const struct diag *diag)
{
	char *text = NULL;
	size_t text_len;
	char name[NAME_TEXT_MAX];
	char type[ZONE_TYPE_TEXT_MAX];
	FILE *out = open_memstream(&text, &text_len);
	assert_non_null(out);
	for (size_t i = 0; i < records->records_n; i++) {
		const struct zone_record *record = &records->records[i];
		fprintf(out, "%s %u %s ", name_to_text(record->owner, name), record->ttl_s,
		        zone_type_to_text(record->type, type));
		for (unsigned k = 0; k < record->rdata_len; k++)
			fprintf(out, "%02x", record->rdata[k]);
		fputc('\n', out);
	}
	for (size_t i = 0; i < diag->messages_n; i++)
		fprintf(out, "%c: %s\n", diag->messages[i].level == DIAG_ERROR ? 'E' : 'W',
		        diag->messages[i].text);
	assert_int_equal(fclose(out), 0);
	return text;
}

/** Load text as file "z" and compare. */
static void expect(const char *name, const char *text, size_t text_len, size_t records_max, const char *want)
{
	struct diag diag;
	struct zone_records records;
	diag_init(&diag);
	int rc = zone_text_load(text, text_len, "z", origin, sizeof(origin), records_max, &diag, &records);
	char *have = report(&records, &diag);
	if (strcmp(have, want) != 0)
		print_error("%s:\n--- have\n%s--- want\n%s", name, have, want);
	assert_string_equal(have, want);
	assert_int_equal(rc, diag.errors_n ? -EINVAL : 0);
	free(have);
	zone_records_fini(&records);
	diag_fini(&diag);
}

#define EXAMPLE "076578616d706c6503636f6d00"

static const struct {
	const char *name, *text, *want;
} syntax_cases[] = {
	{ "empty", "", "" },
	{ "no final newline", "a 60 A 192.0.2.1", "a.example.com 60 A c0000201\n" },
	{ "CR LF", "a 60 A 192.0.2.1\r\n\r\n\t60 A 192.0.2.2\r\n",
	  "a.example.com 60 A c0000201\na.example.com 60 A c0000202\n" },
	{ "owner: lower case, RDATA as written", "AbC 60 NS DeF\n",
	  "abc.example.com 60 NS 03446546" EXAMPLE "\n" },
	{ "@ and absolute", "@ 60 NS @\nexample.com. 60 NS a.b.\n",
	  "example.com 60 NS " EXAMPLE "\nexample.com 60 NS 0161016200\n" },
	{ "root", ". 60 NS .\n", ". 60 NS 00\n" },
	{ "escaped @ and $", "\\@ 60 A 192.0.2.1\n\\$TTL 60 A 192.0.2.1\n",
	  "@.example.com 60 A c0000201\n$ttl.example.com 60 A c0000201\n" },
	{ "escapes in names", "a\\.b\\032c 60 A 192.0.2.1\n", "a\\.b\\032c.example.com 60 A c0000201\n" },
	{ "blank owner, blank and comment lines between",
	  "a 60 A 192.0.2.1\n\n   \n\t; TTL 5\n; x\n  60 A 192.0.2.2 ; y\n",
	  "a.example.com 60 A c0000201\na.example.com 60 A c0000202\n" },
	{ "indented comment does not change the TTL", "$TTL 60\n   ; $TTL 5\na A 192.0.2.1\n",
	  "a.example.com 60 A c0000201\n" },
	{ "TTL and class in any order",
	  "a 60 IN A 192.0.2.1\na IN 61 A 192.0.2.1\na in A 192.0.2.1\na CLASS1 A 192.0.2.1\n",
	  "a.example.com 60 A c0000201\na.example.com 61 A c0000201\na.example.com 61 A c0000201\n"
	  "a.example.com 61 A c0000201\n" },
	{ "TTL units",
	  "a 1w2d3h4m5s A 192.0.2.1\na 1H30M A 192.0.2.1\na 0 A 192.0.2.1\na 4294967295 A 192.0.2.1\n",
	  "a.example.com 788645 A c0000201\na.example.com 5400 A c0000201\na.example.com 0 A c0000201\n"
	  "a.example.com 4294967295 A c0000201\n" },
	{ "$TTL goes before the last TTL",
	  "$TTL 1h\na 60 A 192.0.2.1\na A 192.0.2.2\n$TTL 5\na A 192.0.2.3\n",
	  "a.example.com 60 A c0000201\na.example.com 3600 A c0000202\na.example.com 5 A c0000203\n" },
	{ "last TTL without $TTL", "a 60 A 192.0.2.1\na A 192.0.2.2\n",
	  "a.example.com 60 A c0000201\na.example.com 60 A c0000202\n" },
	{ "no TTL at all: told once", "a A 192.0.2.1\na A 192.0.2.2\n",
	  "a.example.com 0 A c0000202\n"
	  "E: z:1: no TTL and no $TTL above; write $TTL 3600 at the top of the file\n" },
	{ "SOA minimum as TTL", "@ SOA a. b. 1 2 3 4 300\n@ NS a.\n",
	  "example.com 300 SOA 016100016200000000010000000200000003000000040000012c\nexample.com 300 NS "
	  "016100\n"
	  "W: z:1: no TTL and no $TTL above, the SOA minimum 300 is used; write $TTL 300 at the top of the "
	  "file\n" },
	{ "SOA over lines", "$TTL 1\n@ IN SOA a. b. ( 1 ; serial\n\t1h\n 15m 4w\n1d )\n",
	  "example.com 1 SOA 0161000162000000000100000e10000003840024ea0000015180\n" },
	{ "parentheses: nested, across words, with comments",
	  "a 60 TXT(x(y);)\n  z ; (\n)\nb 60 A 192.0.2.1\n",
	  "a.example.com 60 TXT 01780179017a\nb.example.com 60 A c0000201\n" },
	{ "owner in parentheses", "( a\n60 A 192.0.2.1 )\n", "a.example.com 60 A c0000201\n" },
	{ "$ORIGIN",
	  "$ORIGIN a\nb 60 A 192.0.2.1\n$ORIGIN c.d.\n@ 60 A 192.0.2.1\n$origin e\nf 60 A 192.0.2.1\n",
	  "b.a.example.com 60 A c0000201\nc.d 60 A c0000201\nf.e.c.d 60 A c0000201\n" },
	{ "UTF-8 mark",
	  "\xef\xbb\xbf"
	  "a 60 A 192.0.2.1\n",
	  "a.example.com 60 A c0000201\n"
	  "W: z:1: the file starts with a UTF-8 byte order mark, ignored; save it without\n" },
	{ "open parenthesis", "a 60 A 192.0.2.1\nb 60 TXT ( x\n y\nc 60 A 192.0.2.1\n",
	  "a.example.com 60 A c0000201\n"
	  "E: z:2: this parenthesis is never closed; close it with ) where the record ends\n" },
	{ "closing parenthesis", "a 60 A 192.0.2.1 )\nb 60 A 192.0.2.1\n",
	  "b.example.com 60 A c0000201\nE: z:1: ) without (; remove it, or open with (\n" },
	{ "open quote", "a 60 TXT \"x\nb 60 A 192.0.2.1\n",
	  "b.example.com 60 A c0000201\n"
	  "E: z:1: a quoted string does not end on its line; close it with \", or write \\\" for a quote in "
	  "it\n" },
	{ "open quote at the end", "a 60 TXT \"x",
	  "E: z:1: a quoted string does not end on its line; close it with \", or write \\\" for a quote in "
	  "it\n" },
	{ "backslash at the end", "a 60 TXT x\\\nb 60 TXT y\\",
	  "E: z:1: a backslash at the end of a line; put the record in parentheses to go on on the next\n"
	  "E: z:2: a backslash at the end of a line; put the record in parentheses to go on on the next\n" },
	{ "CR in a line", "a 60 TXT x\ry\n",
	  "E: z:1: a carriage return within a line; end lines with LF or CR LF\n" },
	{ "$GENERATE", "$GENERATE 1-9 a$ A 192.0.2.$\nb 60 A 192.0.2.1\n",
	  "b.example.com 60 A c0000201\nE: z:1: $GENERATE is not supported; write the records out\n" },
	{ "$INCLUDE from memory", "$INCLUDE x\n",
	  "E: z:1: $INCLUDE only works in a file; write the records out\n" },
	{ "unknown directive", "$FOO 1\n",
	  "E: z:1: \"$FOO\": no such directive; there are $ORIGIN, $TTL and $INCLUDE, and a name that starts "
	  "with $ is "
	  "written \\$\n" },
	{ "directives without or with too much", "$TTL\n$TTL 1 2\n$TTL x\n$ORIGIN\n$ORIGIN a..b\n$INCLUDE\n",
	  "E: z:1: $TTL takes one time; write $TTL 3600 or $TTL 1h\n"
	  "E: z:2: $TTL takes one time; write $TTL 3600 or $TTL 1h\n"
	  "E: z:3: $TTL: \"x\" is not a time; write $TTL 3600 or $TTL 1h\n"
	  "E: z:4: $ORIGIN takes one name; write $ORIGIN NAME.\n"
	  "E: z:5: $ORIGIN: name \"a..b\": two dots in a row, or a dot in front; write one dot between "
	  "labels\n"
	  "E: z:6: $INCLUDE takes a file and perhaps an origin; write $INCLUDE FILE [ORIGIN.]\n" },
	{ "indented directive", "a 60 A 192.0.2.1\n $TTL 60\n",
	  "a.example.com 60 A c0000201\n"
	  "E: z:2: \"$TTL\" after a blank; write directives from the first column\n" },
	{ "no owner yet", " 60 A 192.0.2.1\n 60 A 192.0.2.2\na 60 A 192.0.2.3\n",
	  "a.example.com 60 A c0000203\n"
	  "E: z:1: the line starts with a blank and there is no owner before; write the owner, @ for the "
	  "zone\n" },
	{ "bad owner: its followers are not given to another name",
	  "a 60 A 192.0.2.1\na..b 60 A 192.0.2.2\n  60 A 192.0.2.3\n",
	  "a.example.com 60 A c0000201\n"
	  "E: z:2: name \"a..b\": two dots in a row, or a dot in front; write one dot between labels\n" },
	{ "owner forgotten", "A 192.0.2.1\n",
	  "E: z:1: \"192.0.2.1\" is no TTL; write seconds up to 4294967295, or a time like 1h30m\n" },
	{ "owner forgotten, other type", "NS a.\n",
	  "E: z:1: \"a.\" is no record type; write an owner in front, or a blank for the owner before\n" },
	{ "owner only", "a\na 60 IN\n",
	  "E: z:1: no record type; write [OWNER] [TTL] [IN] TYPE DATA\n"
	  "E: z:2: no record type; write [OWNER] [TTL] [IN] TYPE DATA\n" },
	{ "class", "a 60 CH TXT x\na 60 CLASS3 TXT x\n",
	  "E: z:1: class \"CH\"; only class IN is served, write IN or leave it out\n"
	  "E: z:2: class \"CLASS3\"; only class IN is served, write IN or leave it out\n" },
	{ "TTL", "a 4294967296 A 192.0.2.1\na 1x A 192.0.2.1\na 1h30 A 192.0.2.1\na 9999w A 192.0.2.1\n",
	  "a.example.com 3630 A c0000201\n"
	  "E: z:1: \"4294967296\" is no TTL; write seconds up to 4294967295, or a time like 1h30m\n"
	  "E: z:2: \"1x\" is no TTL; write seconds up to 4294967295, or a time like 1h30m\n"
	  "E: z:4: \"9999w\" is no TTL; write seconds up to 4294967295, or a time like 1h30m\n" },
	{ "types that no zone has",
	  "a 1 ANY\na 1 AXFR\na 1 OPT x\na 1 TSIG\na 1 TYPE0 \\# 0\na 1 TYPE255 \\# 0\na 1 TYPE65535 \\# 0\n",
	  "E: z:1: type \"ANY\" exists in messages only; remove the record\n"
	  "E: z:2: type \"AXFR\" exists in messages only; remove the record\n"
	  "E: z:3: type \"OPT\" exists in messages only; remove the record\n"
	  "E: z:4: type \"TSIG\" exists in messages only; remove the record\n"
	  "E: z:5: type \"TYPE0\" exists in messages only; remove the record\n"
	  "E: z:6: type \"TYPE255\" exists in messages only; remove the record\n"
	  "E: z:7: type \"TYPE65535\" exists in messages only; remove the record\n" },
	{ "types that are none", "a 1 FOO x\na 1 TYPE65536 \\# 0\na 1 TYPE12x \\# 0\na 1 \"A\" 192.0.2.1\n",
	  "E: z:1: \"FOO\" is no record type; correct it, or write TYPEnnn \\# LENGTH HEX\n"
	  "E: z:2: \"TYPE65536\" is no record type; correct it, or write TYPEnnn \\# LENGTH HEX\n"
	  "E: z:3: \"TYPE12x\" is no record type; correct it, or write TYPEnnn \\# LENGTH HEX\n"
	  "E: z:4: \"A\" is no record type; correct it, or write TYPEnnn \\# LENGTH HEX\n" },
	{ "names",
	  "m\xc3\xbcller 1 A 192.0.2.1\n\"a\" 1 A 192.0.2.1\na\\25 1 A 192.0.2.1\na\\256 1 A 192.0.2.1\n.a 1 "
	  "A 192.0.2.1\n"
	  "a 1 NS \"b\"\n",
	  "E: z:1: name \"m\\195\\188ller\": a byte that is not ASCII; write the xn-- form of the name, or "
	  "the byte as \\DDD\n"
	  "E: z:2: name \"a\" in quotes; write names without quotes\n"
	  "E: z:3: name \"a\\25\": bad escape; write \\DDD with three digits up to 255, or \\X\n"
	  "E: z:4: name \"a\\256\": bad escape; write \\DDD with three digits up to 255, or \\X\n"
	  "E: z:5: name \".a\": two dots in a row, or a dot in front; write one dot between labels\n"
	  "E: z:6: name \"b\" in quotes; write names without quotes\n" },
	{ "control bytes do not reach a terminal", "a 1 \x1b[2J x\n",
	  "E: z:1: \"\\027[2J\" is no record type; correct it, or write TYPEnnn \\# LENGTH HEX\n" },
	{ "every mistake is reported, and lines stay right",
	  "a 1 A x\nb 1 TXT ( \"y\n)\nc 1 A 192.0.2.1\n  1 A z\n",
	  "c.example.com 1 A c0000201\n"
	  "E: z:1: \"x\": not an IPv4 address; write A ADDRESS\n"
	  "E: z:2: a quoted string does not end on its line; close it with \", or write \\\" for a quote in "
	  "it\n"
	  "E: z:5: \"z\": not an IPv4 address; write A ADDRESS\n" },
};

static void test_syntax(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(syntax_cases) / sizeof(syntax_cases[0]); i++)
		expect(syntax_cases[i].name, syntax_cases[i].text, strlen(syntax_cases[i].text), 0,
		       syntax_cases[i].want);
}

/* One record: what stands behind "a 1", and its type and RDATA in hex. */
static const struct {
	const char *text, *want;
} rdata_cases[] = {
	{ "A 192.0.2.255", "A c00002ff" },
	{ "AAAA 2001:DB8::1", "AAAA 20010db8000000000000000000000001" },
	{ "AAAA ::ffff:192.0.2.1", "AAAA 00000000000000000000ffffc0000201" },
	{ "CNAME b", "CNAME 0162" EXAMPLE },
	{ "DNAME b.", "DNAME 016200" },
	{ "PTR B.c.", "PTR 0142016300" },
	{ "MX 65535 b.", "MX ffff016200" },
	{ "MX 0 .", "MX 000000" },
	{ "TXT x", "TXT 0178" },
	{ "TXT \"\"", "TXT 00" },
	{ "TXT \"a b\" \"c;d\" (\"e)\")", "TXT 03612062"
	                                  "03633b64"
	                                  "026529" },
	{ "TXT \"a\"\"b\"", "TXT 01610162" },
	{ "TXT \"q\\\"\\\\\\000\\255\" a\\ b", "TXT 0571225c00ff"
	                                       "03612062" },
	{ "TXT k=v\\;x", "TXT 056b3d763b78" },
	{ "TXT m\xc3\xbc", "TXT 036dc3bc" },
	{ "SPF \"v=spf1 -all\"", "SPF 0b763d73706631202d616c6c" },
	{ "SRV 1 2 443 b.", "SRV 0001000201bb016200" },
	{ "CAA 0 issue \"ca.example\"", "CAA 00056973737565"
	                                "63612e6578616d706c65" },
	{ "CAA 128 iodef \"\"", "CAA 8005696f646566" },
	{ "NAPTR 100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .", "NAPTR 0064000a"
	                                                         "0175"
	                                                         "074532552b736970"
	                                                         "0e215e2e2a24217369703a61406221"
	                                                         "00" },
	{ "HINFO PC-Intel \"Unix v7\"", "HINFO 0850432d496e74656c"
	                                "07556e6978207637" },
	{ "DS 60485 5 1 2BB183AF5F22588179A53B0A 98631FAD1A292118", /* RFC 4034 section 5.4 */
	  "DS ec4505012bb183af5f22588179a53b0a98631fad1a292118" },
	{ "DS 60485 RSASHA1 1 ( 2BB183AF5F22588179A53B0A\n 98631FAD1A292118 )",
	  "DS ec4505012bb183af5f22588179a53b0a98631fad1a292118" },
	{ "CDS 0 0 0 00", "CDS 0000000000" },
	{ "DNSKEY 256 3 8 AQID BAUG", "DNSKEY 01000308010203040506" },
	{ "CDNSKEY 0 3 0 AA==", "CDNSKEY 0000030000" },
	{ "TLSA 3 1 1 000102030405060708090a0b0c0d0e0f 101112131415161718191a1b1c1d1e1f",
	  "TLSA 030101000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" },
	{ "TLSA DANE-EE SPKI FULL aa", "TLSA 030100aa" },
	{ "SSHFP 2 1 123456789abcdef67890123456789abcdef67890",
	  "SSHFP 0201123456789abcdef67890123456789abcdef67890" }, /* RFC 4255 section 3.2 */
	{ "LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m", "LOC 000016138b3cf018"
	                                                              "810cbce0"
	                                                              "009895b8" },
	{ "LOC 42 21 54 N 71 06 18 W -24m 30m", "LOC 00331613"
	                                        "89172dd0"
	                                        "70be15f0"
	                                        "00988d20" },
	{ "LOC 32 S 116 E 10m", "LOC 00121613"
	                        "79223000"
	                        "98e41200"
	                        "00989a68" },
	{ "LOC 0 0 0.5 s 0 0 0.001 w 0 0.5m", "LOC 00511613"
	                                      "7ffffe0c"
	                                      "7fffffff"
	                                      "00989680" },
	{ "RP a b", "RP 0161" EXAMPLE "0162" EXAMPLE },
	{ "APL 1:192.168.32.0/21 !1:192.168.38.0/28", "APL 00011503c0a820"
	                                              "00011c83c0a826" }, /* RFC 3123 section 5 */
	{ "CERT PGP 0 0 AQI=", "CERT 00030000000102" },
	{ "URI 10 1 \"ftp://a/\"", "URI 000a00016674703a2f2f612f" },
	{ "IPSECKEY 10 1 2 192.0.2.38 AQNR", "IPSECKEY 0a0102c0000226010351" },
	{ "IPSECKEY 10 0 0 .", "IPSECKEY 0a0000" },
	{ "IPSECKEY 10 3 2 b. AQNR", "IPSECKEY 0a0302016200010351" },
	{ "AMTRELAY 10 1 2 2001:db8::1", "AMTRELAY 0a8220010db8000000000000000000000001" },
	{ "EUI48 00-00-5e-00-53-2a", "EUI48 00005e00532a" },
	{ "EUI64 00-00-5e-ef-10-00-00-2a", "EUI64 00005eef1000002a" },
	{ "NID 10 0014:4fff:ff20:ee64", "NID 000a00144fffff20ee64" },
	{ "L32 10 192.0.2.1", "L32 000ac0000201" },
	{ "NSEC b. A MX RRSIG NSEC TYPE1234", /* RFC 4034 section 4.3 */
	  "NSEC 016200"
	  "0006400100000003"
	  "041b000000000000000000000000000000000000000000000000000020" },
	{ "NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX",
	  "NSEC3 0101000c04aabbccdd"
	  "14174eb2409fe28bcb4887a1836f957f0a8425e27b"
	  "00020001" },
	{ "NSEC3PARAM 1 0 0 -", "NSEC3PARAM 0100000000" },
	{ "RRSIG A 5 3 86400 20030322173103 20030220173103 2642 b. AQID", /* RFC 4034 section 3.3 */
	  "RRSIG 0001050300015180"
	  "3e7c9dd7"
	  "3e5510d7"
	  "0a52"
	  "016200"
	  "010203" },
	{ "RRSIG A 5 3 1h 1 2 3 b. AQID", "not a number from 0 to 4294967295" },
	{ "SVCB 0 b.", "SVCB 0000016200" },
	{ "HTTPS 1 .", "HTTPS 000100" },
	/* RFC 9460 appendix D.2 */
	{ "SVCB 16 foo.example.com. port=53", "SVCB 001003666f6f" EXAMPLE "000300020035" },
	{ "SVCB 1 foo.example.com. key667=hello", "SVCB 000103666f6f" EXAMPLE "029b000568656c6c6f" },
	{ "SVCB 1 foo.example.com. key667=\"hello\\210qoo\"",
	  "SVCB 000103666f6f" EXAMPLE "029b000968656c6c6fd2716f6f" },
	{ "SVCB 1 b. ipv6hint=\"2001:db8::1,2001:db8::53:1\"", "SVCB 0001016200"
	                                                       "00060020"
	                                                       "20010db8000000000000000000000001"
	                                                       "20010db8000000000000000000530001" },
	{ "SVCB 16 foo.example.org. ( alpn=h2,h3-19 mandatory=ipv4hint,alpn\n ipv4hint=192.0.2.1 )",
	  "SVCB 001003666f6f076578616d706c65036f726700"
	  "0000000400010004"
	  "000100090268320568332d3139"
	  "00040004c0000201" },
	{ "SVCB 16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"",
	  "SVCB 001003666f6f076578616d706c65036f726700"
	  "0001000c"
	  "08665c6f6f2c626172"
	  "026832" },
	{ "SVCB 16 foo.example.org. alpn=f\\\\\\092oo\\092,bar,h2",
	  "SVCB 001003666f6f076578616d706c65036f726700"
	  "0001000c"
	  "08665c6f6f2c626172"
	  "026832" },
	{ "HTTPS 1 . no-default-alpn alpn=h3 ech=AQID dohpath=/q{?dns}", "HTTPS 000100"
	                                                                 "00010003026833"
	                                                                 "00020000"
	                                                                 "00050003010203"
	                                                                 "000700082f717b3f646e737d" },
	{ "TYPE65400 \\# 4 01020304", "TYPE65400 01020304" },
	{ "TYPE65400 \\# 4 0102 03 04", "TYPE65400 01020304" },
	{ "TYPE65400 \\# 0", "TYPE65400 " },
	{ "TYPE1 192.0.2.1", "A c0000201" },
	{ "A \\# 4 C0000201", "A c0000201" },
	{ "TYPE15 \\# 5 000a016200", "MX 000a016200" },
	{ "HIP \\# 1 00", "TYPE55 00" },
	/* refused */
	{ "A 192.0.2", "not an IPv4 address; write A ADDRESS" },
	{ "A 192.0.2.256", "not an IPv4 address; write A ADDRESS" },
	{ "A 192.0.2.01", "not an IPv4 address; write A ADDRESS" },
	{ "A 192.0.2.1.", "not an IPv4 address; write A ADDRESS" },
	{ "A", "A record ends too early; write A ADDRESS" },
	{ "A 192.0.2.1 192.0.2.2", "\"192.0.2.2\": more than the record has room for; write A ADDRESS" },
	{ "A \"192.0.2.1\"", "no quotes here; write A ADDRESS" },
	{ "AAAA 192.0.2.1", "not an IPv6 address" },
	{ "AAAA 2001:db8::1%eth0", "not an IPv6 address" },
	{ "MX 65536 b.", "\"65536\": not a number from 0 to 65535; write MX PREFERENCE HOST" },
	{ "MX -1 b.", "not a number from 0 to 65535" },
	{ "MX 0x10 b.", "not a number from 0 to 65535" },
	{ "MX b.", "not a number from 0 to 65535" },
	{ "MX 10", "MX record ends too early" },
	{ "SOA a. b. 4294967296 1 1 1 1", "not a number from 0 to 4294967295" },
	{ "SOA a. b. 1 1 1 1", "SOA record ends too early" },
	{ "SOA a. b. 1 1x 1 1 1", "not a time in seconds or like 1h30m" },
	{ "TXT", "TXT record ends too early" },
	{ "TXT \"a\\256\"", "bad escape" },
	{ "TXT k=\"v w\"", "a quote inside a word, quote the whole word" },
	{ "CAA 0 is-sue x", "not well-formed CAA" },
	{ "CAA 0 \"\" x", "a tag has 1 to 255 letters or digits" },
	{ "DS 1 8 2 aabb", "DS digest of 2 bytes where its type has 32; copy it whole" },
	{ "DS 1 8 9 aab", "an odd number of hex digits" },
	{ "DS 1 8 9 zz", "not hex" },
	{ "DS 1 NOALG 9 aa", "not a key algorithm" },
	{ "DS 1 -1 9 aa", "not a key algorithm" },
	{ "DS 1 256 9 aa", "not a number from 0 to 255" },
	{ "DNSKEY 256 3 8 AQI", "not base64, or cut off" },
	{ "DNSKEY 256 3 8 A=I=", "not base64, or cut off" },
	{ "DNSKEY 256 3 8", "DNSKEY record ends too early" },
	{ "LOC 91 N 0 E 0", "not an angle" },
	{ "LOC 90 1 N 0 E 0", "angle too large" },
	{ "LOC 1 60 N 0 E 0", "not an angle" },
	{ "LOC 1 N 0 E", "no altitude" },
	{ "LOC 1 N 0 E 0 1m 1m 1m 1m", "more than the record has room for" },
	{ "LOC 1 N 0 E 0 90000001m", "not a length in metres up to 90000000m" },
	{ "LOC 1 2 3 4 N 0 E 0", "not an angle" },
	{ "APL 1:192.0.2.0/33", "not an address prefix" },
	{ "APL 3:x/1", "not an address prefix" },
	{ "APL 1:192.0.2.0/24x", "not an address prefix" },
	{ "IPSECKEY 10 4 2 x AQNR", "gateway type is not 0, 1, 2 or 3" },
	{ "IPSECKEY 10 1 2 192.0.2.38", "IPSECKEY record ends too early" },
	{ "CERT 0 0 0 AA==", "CERT 0000" },
	{ "WKS 192.0.2.1 6 -25", "no text form is known for TYPE11; write TYPE11 \\# LENGTH HEX (RFC 3597)" },
	{ "HIP 2 200100107B1A74DF365639CC39F1D578 AwEA", "no text form is known for TYPE55" },
	{ "NSEC b. FOO", "no record type" },
	{ "RRSIG A 5 3 1 20031322173103 1 3 b. AQID", "not a time; write YYYYMMDDHHmmSS" },
	{ "SVCB 1 b. foo=1", "no service parameter" },
	{ "SVCB 1 b. key65535=1", "no service parameter" },
	{ "SVCB 1 b. port=1 port=2", "this key is there twice" },
	{ "SVCB 1 b. port=65536", "not a port number" },
	{ "SVCB 1 b. port", "not a port number" },
	{ "SVCB 1 b. alpn=h2,,h3", "a protocol has 1 to 255 bytes" },
	{ "SVCB 1 b. alpn=h2,", "an empty item in a list" },
	{ "SVCB 1 b. alpn=", "an empty item in a list" },
	{ "SVCB 1 b. no-default-alpn=x", "this key has no value" },
	{ "SVCB 1 b. ipv4hint=192.0.2.1,x", "not a list of IPv4 addresses" },
	{ "SVCB 1 b. mandatory=alpn", "not well-formed SVCB" },
	{ "SVCB 1 b. mandatory=alpn,alpn alpn=h2", "not well-formed SVCB" },
	{ "SVCB 1 b. mandatory=mandatory", "not well-formed SVCB" },
	{ "SVCB 1 b. ech=x", "not base64" },
	{ "SVCB 1 b. key667=\"a\"b", "a quote inside a value" },
	{ "TYPE65400 x", "no text form is known for TYPE65400; write TYPE65400 \\# LENGTH HEX (RFC 3597)" },
	{ "TYPE65400 \\#", "no length after \\#; write \\# LENGTH HEX" },
	{ "TYPE65400 \\# 65536 00", "no length after \\#; write \\# LENGTH HEX" },
	{ "TYPE65400 \\# 4 010203", "6 hex digits after \\# where length 4 asks for 8; correct one of them" },
	{ "TYPE65400 \\# 1 0102", "4 hex digits after \\# where length 1 asks for 2" },
	{ "TYPE65400 \\# 1 0x", "\"0x\" is not hex" },
	{ "A \\# 3 c00002", "these 3 bytes are not well-formed A RDATA; write A ADDRESS" },
	{ "MX \\# 4 000ac00c", "not well-formed MX" }, /* a compression pointer */
	{ "NS \\# 3 016162", "not well-formed NS" },
	{ "MD b", "a.example.com 1 MD 0162076578616d706c6503636f6d00" },
	{ "TYPE3 \\# 3 016100", "a.example.com 1 MD 016100" },
	{ "TYPE3 \\# 1 ff", "not well-formed MD" },
	{ "TYPE4 \\# 0", "not well-formed MF" },
	{ "TXT \\# 2 0261", "not well-formed TXT" },
	{ "TXT \\# 0", "not well-formed TXT" },
	{ "NSEC \\# 4 00000000", "not well-formed NSEC" },
};

static void test_rdata(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rdata_cases) / sizeof(rdata_cases[0]); i++) {
		char line[512];
		struct diag diag;
		struct zone_records records;
		diag_init(&diag);
		snprintf(line, sizeof(line), "a 1 %s\n", rdata_cases[i].text);
		zone_text_load(line, strlen(line), "z", origin, sizeof(origin), 0, &diag, &records);
		char *have = report(&records, &diag);
		if (!strstr(have, rdata_cases[i].want))
			print_error("%s\nhave %swant %s\n", rdata_cases[i].text, have, rdata_cases[i].want);
		assert_non_null(strstr(have, rdata_cases[i].want));
		free(have);
		zone_records_fini(&records);
		diag_fini(&diag);
	}
}

/** Where the writer compresses names of a type's RDATA it takes them at their word: these types are all
 * checked. */
static void test_compressed(void **state)
{
	(void)state;
	static const uint8_t name[] = { 1, 1, 1, 1, 0 }; /* a name from any of its bytes on */
	unsigned compressed_n = 0;
	for (unsigned type = 1; type < 65536; type++) {
		bool compressed = false;
		for (size_t skip = 0; skip <= 6; skip++) {
			uint8_t message[256] = { 0 };
			uint8_t rdata[32] = { 0 };
			struct wire_writer writer;
			memcpy(message + WIRE_HEADER_LEN, name, sizeof(name));
			memcpy(rdata + skip, name, sizeof(name));
			wire_writer_init(&writer, message, WIRE_HEADER_LEN + sizeof(name), sizeof(message));
			wire_writer_know(&writer, WIRE_HEADER_LEN);
			wire_writer_record(&writer, name, WIRE_HEADER_LEN, (uint16_t)type, 1, rdata,
			                   sizeof(rdata));
			compressed |= writer.len < WIRE_HEADER_LEN + sizeof(name) + 12 + sizeof(rdata);
		}
		static const uint8_t bad[] = { 0xff };
		struct zone_why why;
		if (compressed && (zone_rdata_check((uint16_t)type, bad, 1, &why) == 0 ||
		                   zone_rdata_check((uint16_t)type, bad, 0, &why) == 0))
			fail_msg("type %u is compressed, and its data is not checked", type);
		compressed_n += compressed;
	}
	assert_int_equal(compressed_n, 11); /* those of RFC 1035 (RFC 3597 section 4) */
}

/** text, with what repeated n times in place of each %. */
static char *repeat(const char *text, const char *what, size_t n, size_t *ret_len)
{
	char *out = NULL;
	FILE *stream = open_memstream(&out, ret_len);
	assert_non_null(stream);
	for (; *text; text++) {
		if (*text != '%') {
			fputc(*text, stream);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			fputs(what, stream);
	}
	assert_int_equal(fclose(stream), 0);
	return out;
}

#define B10 "b.b.b.b.b.b.b.b.b.b."
#define A31 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define X38 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
	const char *name, *text, *what;
	size_t n;
	const char *want;
} long_cases[] = {
	{ "label of 63", "%a 1 A 192.0.2.1\n", "aa", 31, A31 A31 "a.example.com 1 A c0000201\n" },
	{ "label of 64", "$ORIGIN .\n% 1 A 192.0.2.1\n", "\\097", 64, /* cut where the message has no room */
	  "E: z:2: name \"LABEL\": a label is over 63 bytes long; shorten it\n" },
	{ "name of 255", "$ORIGIN .\n%a 1 A 192.0.2.1\n", "b.", 126,
	  B10 B10 B10 B10 B10 B10 B10 B10 B10 B10 B10 B10 "b.b.b.b.b.b.a 1 A c0000201\n" },
	{ "name of 257", "$ORIGIN .\n%a 1 A 192.0.2.1\n", "b.", 127,
	  "E: z:2: name \"NAME\": over 255 bytes long with its origin; shorten it, or end it with a dot\n" },
	{ "string of 256", "a 1 TXT \"%\"\n", "x", 256,
	  "E: z:1: \"STRING\": a string is over 255 bytes; split it into several quoted strings, clients "
	  "join them; "
	  "write TXT \"TEXT\" ...\n" },
	{ "RDATA over 65535", "a 1 TXT %\n", "xxxxxxxx ", 7282,
	  "E: z:1: RDATA over 65535 bytes; split it into several records\n" },
	{ "record of one long word", "a 1 TXT %\nb 1 A 192.0.2.1\n", "x", 140000,
	  "b.example.com 1 A c0000201\nE: z:1: record over 131072 bytes long; split it\n" },
	{ "record of one long string", "a 1 TXT \"%\"\nb 1 A 192.0.2.1\n", "x", 300000,
	  "b.example.com 1 A c0000201\nE: z:1: record over 131072 bytes long; split it\n" },
	{ "record of many words", "a 1 TXT %\nb 1 A 192.0.2.1\n", "x ", 70000,
	  "b.example.com 1 A c0000201\nE: z:1: record over 131072 bytes long; split it\n" },
	{ "parenthesis open for too long", "a 1 TXT (\n%\nb 1 A 192.0.2.1\n", "; comment\n", 14000,
	  "b.example.com 1 A c0000201\n"
	  "E: z:1: this parenthesis is not closed within 131072 bytes; close it with )\n" },
	{ "a long comment is no record", "a 1 A 192.0.2.1 ;%\n", "x", 200000,
	  "a.example.com 1 A c0000201\n" },
	{ "many empty lines", "%a 1 A 192.0.2.1\na 1 X\n", "\n", 100000,
	  "a.example.com 1 A c0000201\n"
	  "E: z:100002: \"X\" is no record type; correct it, or write TYPEnnn \\# LENGTH HEX\n" },
};

/** What zone_quote() shows of a long word. */
static void put_shown(char *want, size_t cap, const char *pattern, const char *text, const char *mark)
{
	char shown[ZONE_QUOTE_MAX];
	const char *at = strstr(pattern, mark);
	if (!at) {
		snprintf(want, cap, "%s", pattern);
		return;
	}
	snprintf(want, cap, "%.*s%s%s", (int)(at - pattern), pattern, zone_quote(text, shown),
	         at + strlen(mark));
}

static void test_long(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(long_cases) / sizeof(long_cases[0]); i++) {
		size_t len;
		size_t word_len;
		char want[1024];
		char *text = repeat(long_cases[i].text, long_cases[i].what, long_cases[i].n, &len);
		char *word = repeat("%a", long_cases[i].what, long_cases[i].n, &word_len);
		const char *mark = strstr(long_cases[i].want, "\"LABEL\"")  ? "\"LABEL\""
		                   : strstr(long_cases[i].want, "\"NAME\"") ? "\"NAME\""
		                                                            : "\"STRING\"";
		put_shown(want, sizeof(want), long_cases[i].want, word, mark);
		expect(long_cases[i].name, text, len, 0, want);
		free(word);
		free(text);
	}
}

static void test_nul(void **state)
{
	(void)state;
	static const char text[] = "a 1 TXT x\0y\nb 1 TXT \"\0\"\nc 1 TXT \\\0\n\0\nd 1 A 192.0.2.1\n";
	expect("NUL", text, sizeof(text) - 1, 0,
	       "d.example.com 1 A c0000201\n"
	       "E: z:1: NUL byte; remove it, or write \\000 in a string\n"
	       "E: z:2: NUL byte; remove it, or write \\000 in a string\n"
	       "E: z:3: NUL byte; remove it, or write \\000 in a string\n"
	       "E: z:4: NUL byte; remove it, or write \\000 in a string\n");
}

static void test_records_max(void **state)
{
	(void)state;
	static const char text[] = "a 1 A 192.0.2.1\nb 1 A 192.0.2.1\nc 1 A 192.0.2.1\nd 1 X\n";
	expect("limit", text, sizeof(text) - 1, 2,
	       "a.example.com 1 A c0000201\nb.example.com 1 A c0000201\n"
	       "E: z:3: more than 2 records; raise the limit or split the zone. The rest is not read\n");
}

/* ---- files ---- */

static char folder[] = "/tmp/zone_file_test.XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) && chdir(folder) == 0 && mkdir("sub", 0700) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	static const char *const names[] = { "z", "a", "b", "w x", "sub/c", "sub/d", "sub", "fifo", "1",
		                             "2", "3", "4", "5",   "6",     "7",     "8",   "9" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)remove(names[i]);
	return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void expect_file(const char *name, int want_rc, const char *want)
{
	struct diag diag;
	struct zone_records records;
	diag_init(&diag);
	assert_int_equal(zone_file_load(name, origin, sizeof(origin), 0, &diag, &records), want_rc);
	char *have = report(&records, &diag);
	assert_string_equal(have, want);
	free(have);
	zone_records_fini(&records);
	diag_fini(&diag);
}

static void test_include(void **state)
{
	(void)state;
	write_file(
	        "z",
	        "$TTL 60\na A 192.0.2.1\n$INCLUDE sub/c q\n  A 192.0.2.2\nb A 192.0.2.3\n$INCLUDE \"w x\"\n"
	        "e X\n");
	/* Relative to the file that includes; origin and owner end with the file, $TTL stays. */
	write_file("sub/c", "  A 192.0.2.4\n@ A 192.0.2.5\n$TTL 61\n$INCLUDE d\n$ORIGIN r.\ns A 192.0.2.6");
	write_file("sub/d", "d A 192.0.2.7\n\nd X\n");
	write_file("w x", "$ORIGIN t\nw A 192.0.2.8\n");
	expect_file("z", -EINVAL,
	            "a.example.com 60 A c0000201\n"
	            "a.example.com 60 A c0000204\n"
	            "q.example.com 60 A c0000205\n"
	            "d.q.example.com 61 A c0000207\n"
	            "s.r 61 A c0000206\n"
	            "a.example.com 61 A c0000202\n"
	            "b.example.com 61 A c0000203\n"
	            "w.t.example.com 61 A c0000208\n"
	            "E: sub/d:3: \"X\" is no record type; correct it, or write TYPEnnn \\# LENGTH HEX\n"
	            "E: z:7: \"X\" is no record type; correct it, or write TYPEnnn \\# LENGTH HEX\n");
}

#define READ    "$INCLUDE: cannot read "
#define CORRECT "; correct the path, which counts from the folder of this file\n"
#define CYCLE   " is already being read, it would include itself for ever; remove one of the $INCLUDE lines\n"

static void test_include_refused(void **state)
{
	(void)state;
	assert_int_equal(mkfifo("fifo", 0600), 0);
	write_file("z",
	           "$INCLUDE gone\n$INCLUDE sub\n$INCLUDE fifo\n$INCLUDE z\n$INCLUDE a\n$INCLUDE a b..c\n"
	           "$INCLUDE \"\"\n$INCLUDE x\\000y\n$INCLUDE a b c\nz 1 A 192.0.2.1\n");
	write_file("a", "$INCLUDE ./b\na 1 A 192.0.2.1\n");
	write_file("b", "$INCLUDE a\nb 1 A 192.0.2.1\n");
	expect_file("z", -EINVAL,
	            "b.example.com 1 A c0000201\n"
	            "a.example.com 1 A c0000201\n"
	            "z.example.com 1 A c0000201\n"
	            "E: z:1: " READ "gone: No such file or directory" CORRECT "E: z:2: " READ
	            "sub: Is a directory" CORRECT "E: z:3: " READ "fifo: not a regular file" CORRECT
	            "E: z:4: $INCLUDE: z" CYCLE "E: ./b:1: $INCLUDE: ./a" CYCLE
	            "E: z:6: $INCLUDE origin: name \"b..c\": two dots in a row, or a dot in front; write one "
	            "dot between "
	            "labels\n"
	            "E: z:7: $INCLUDE: no file name; write $INCLUDE FILE [ORIGIN.]\n"
	            "E: z:8: $INCLUDE: no file name; write $INCLUDE FILE [ORIGIN.]\n"
	            "E: z:9: $INCLUDE takes a file and perhaps an origin; write $INCLUDE FILE [ORIGIN.]\n");
}

static void test_include_depth(void **state)
{
	(void)state;
	for (int i = 1; i <= 9; i++) {
		char name[2] = { (char)('0' + i), '\0' };
		char text[64];
		if (i < 9)
			snprintf(text, sizeof(text), "$INCLUDE %d\na 1 A 192.0.2.%d\n", i + 1, i);
		else
			snprintf(text, sizeof(text), "a 1 A 192.0.2.9\n");
		write_file(name, text);
	}
	write_file("z", "$INCLUDE 2\n");
	expect_file("z", 0,
	            "a.example.com 1 A c0000209\na.example.com 1 A c0000208\na.example.com 1 A c0000207\n"
	            "a.example.com 1 A c0000206\na.example.com 1 A c0000205\na.example.com 1 A c0000204\n"
	            "a.example.com 1 A c0000203\na.example.com 1 A c0000202\n");
	write_file("z", "$INCLUDE 1\n");
	expect_file("z", -EINVAL,
	            "a.example.com 1 A c0000208\na.example.com 1 A c0000207\na.example.com 1 A c0000206\n"
	            "a.example.com 1 A c0000205\na.example.com 1 A c0000204\na.example.com 1 A c0000203\n"
	            "a.example.com 1 A c0000202\na.example.com 1 A c0000201\n"
	            "E: 8:1: $INCLUDE more than 8 files deep; put the records into fewer files\n");
}

static void test_file_refused(void **state)
{
	(void)state;
	expect_file("gone", -ENOENT, "E: gone: cannot read the zone file: No such file or directory\n");
	expect_file("sub", -EIO, "E: sub: cannot read the zone file: Is a directory\n");
	write_file("z", "");
	expect_file("z", 0, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),        cmocka_unit_test(test_rdata),
		cmocka_unit_test(test_compressed),    cmocka_unit_test(test_long),
		cmocka_unit_test(test_nul),           cmocka_unit_test(test_records_max),
		cmocka_unit_test(test_include),       cmocka_unit_test(test_include_refused),
		cmocka_unit_test(test_include_depth), cmocka_unit_test(test_file_refused),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
