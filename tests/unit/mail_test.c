/* mirrormon's mails: who is told what, once; letters that nobody can add a header to. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "tests/unit/support/mail_fixture.h"

/* --- addresses --- */

static void test_addresses(void **state)
{
	(void)state;
	static const struct {
		const char *admin, *want; /* NULL: none */
	} cases[] = {
		{ "Jo <jo@example.org>", "jo@example.org" },
		{ "Jo <jo@example.org> || <alerts@example.org>", "alerts@example.org" },
		{ "Jo <jo@example.org>||alerts@example.org", "alerts@example.org" },
		{ "Jo <jo@example.org> || <>", "jo@example.org" },
		{ "Jo <jo@example.org> || <nobody>", "jo@example.org" },
		{ "jo@example.org", "jo@example.org" },
		{ "  < jo+x.y@mail.example.org > ", "jo+x.y@mail.example.org" },
		{ "J\xc3\xb6 \"||\" <jo@example.org>", "jo@example.org" },
		{ "", NULL },
		{ "Jo", NULL },
		{ "jo@example.org\nBcc: all@example.org", NULL },
		{ "<jo@example.org\r\nBcc: x@y>", NULL },
		{ "<jo@example.org, x@example.org>", NULL },
		{ "<-oQ/tmp@example.org>", NULL },
		{ "<jo@>", NULL },
		{ "<@example.org>", NULL },
		{ "<a@b@example.org>", NULL },
		{ "<.a@example.org>", NULL },
		{ "<a..b@example.org>", NULL },
		{ "<a@-example.org>", NULL },
		{ "<a@example-.org>", NULL },
		{ "<a@example.org.>", NULL },
		{ "<\"a b\"@example.org>", NULL },
		{ "<j\xc3\xb6@example.org>", NULL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char address[MAIL_ADDRESS_MAX] = "";
		int rc = mail_admin_address(cases[i].admin, address, sizeof(address));
		if (rc != (cases[i].want ? 0 : -EINVAL) ||
		    (cases[i].want && strcmp(address, cases[i].want) != 0))
			fail_msg("%s: %d %s", cases[i].admin, rc, address);
	}
	char small[10];
	assert_int_equal(mail_admin_address("jo@example.org", small, sizeof(small)), -EINVAL);
}

/* --- one incident, step by step, with a restart before each --- */

static void test_steps(void **state)
{
	(void)state;
	struct history *history;
	assert_int_equal(history_open(NULL, false, &mail_fx.diag, &history), 0);
	struct check_result result = { .at_s = MAIL_FIXTURE_T0 - 60, .reason = REASON_UNREACHABLE };
	strcpy(result.detail, "connection refused");
	history_add_result(history, "m3.de.example", &mail_fx.addrs[3].addr, &result, REASON_NONE);
	history_add_change(history, MAIL_FIXTURE_T0 - 90, "m3.de.example", NULL, REASON_OLD, REASON_NONE,
	                   "came back");
	assert_int_equal(history_flush(history, &mail_fx.diag), 0);

	assert_int_equal(mail_fixture_plan(), 0);
	mail_fixture_fails(3, REASON_UNREACHABLE, 1);
	mail_fx.addrs[3].next_check_s = MAIL_FIXTURE_T0 + 300;
	assert_int_equal(mail_plan(mail_fx.incidents, &mail_fx.view, history, &mail_fx.letters), 0);
	assert_int_equal(mail_fx.letters.n, 1);
	mail_fixture_check(0, "team@clamav.test",
	                   "[clamav mirrors] m3.de.example: unreachable since 2026-11-21 07:00 UTC");
	mail_fixture_has(0, "From: monitor@clamav.test\n");
	mail_fixture_has(0, "\nReply-To: team@clamav.test\n");
	mail_fixture_has(0, "\nDate: Sat, 21 Nov 2026 07:00:00 +0000\n");
	mail_fixture_has(0, "\nAuto-Submitted: auto-generated\n");
	mail_fixture_has(0, "\nMessage-ID: <mirrormon.1795244400.failing.m3-de-example@clamav.test>\n\n");
	mail_fixture_has(
	        0,
	        "192.0.2.3: unreachable since 2026-11-21 07:00 UTC, still in DNS; 1 failed checks in a row");
	mail_fixture_has(0, "GET /timestamp: connection refused");
	mail_fixture_has(0, "after 3 failed checks in a row; there were 1.");
	mail_fixture_has(0, "The next check is at 2026-11-21 07:05 UTC.");
	mail_fixture_has(0, "How to mend it: is the web server up");
	mail_fixture_has(0, "  2026-11-21 06:59 UTC  192.0.2.3  unreachable: connection refused\n");
	mail_fixture_has(0, "  2026-11-21 06:58 UTC  all of it  old -> in: came back\n");
	mail_fixture_has(0, "https://status.clamav.test/mirror/m3.de.example.html");
	mail_fixture_has(0, "No reply is needed if it is mended.");
	history_close(history);
	mail_fixture_restart();
	assert_int_equal(mail_fixture_plan(), 0);

	mail_fx.view.now_s += 600;
	mail_fixture_fails(3, REASON_UNREACHABLE, 5);
	mail_fixture_restart();
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fixture_fails(3, REASON_UNREACHABLE, 6);
	mail_fixture_restart();
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_check(0, "alerts@de.example",
	                   "[clamav mirrors] m3.de.example: unreachable since 2026-11-21 07:00 UTC");
	mail_fixture_has(0, "\nMessage-ID: <mirrormon.1795244400.admin.m3-de-example@clamav.test>\n"
	                    "In-Reply-To: <mirrormon.1795244400.failing.m3-de-example@clamav.test>\n"
	                    "References: <mirrormon.1795244400.failing.m3-de-example@clamav.test>\n\n");
	assert_int_equal(mail_fixture_plan(), 0);

	mail_fx.view.now_s += 600;
	mail_fixture_is_out(3, REASON_UNREACHABLE);
	mail_fixture_restart();
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_check(
	        0, "alerts@de.example, team@clamav.test",
	        "[clamav mirrors] m3.de.example: out of DNS, unreachable since 2026-11-21 07:20 UTC");
	mail_fixture_has(0, "so say 2 of 3 monitors");
	mail_fixture_has(0, "after 2 good checks in a row over at least 10 minutes");
	mail_fixture_has(0, "10 % of its share of clients, rising to all of it in\n6 hours");
	mail_fixture_has(0, "In-Reply-To: <mirrormon.1795244400.admin.");
	mail_fixture_has(0, "References: <mirrormon.1795244400.failing.m3-de-example@clamav.test>\n"
	                    " <mirrormon.1795244400.admin.m3-de-example@clamav.test>\n");
	mail_fixture_restart();
	mail_fx.view.now_s += 86400;
	assert_int_equal(mail_fixture_plan(), 0);

	mail_fixture_is_well(3);
	mail_fx.mirrors[3].ramp_permille = 100;
	mail_fx.mirrors[3].ramp_full_s = mail_fx.view.now_s + 3600;
	mail_fixture_restart();
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_check(
	        0, "alerts@de.example, team@clamav.test",
	        "[clamav mirrors] m3.de.example: well again (unreachable since 2026-11-21 07:00 UTC)");
	mail_fixture_has(0, "It has 10.0 % of its share of clients");
	assert_null(strstr(mail_fx.letters.items[0].text, "How to mend"));
	mail_fixture_restart();
	assert_int_equal(mail_fixture_plan(), 0);
	/* The next incident is another. */
	mail_fx.view.now_s += 60;
	mail_fixture_fails(3, REASON_HTTP_ERROR, 1);
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_has(0, "The host names are: db.%c.clamav.net database.clamav.net (%c: a country).");
	assert_null(strstr(mail_fx.letters.items[0].text, "In-Reply-To"));
	mail_fixture_is_well(3);
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_check(
	        0, "team@clamav.test",
	        "[clamav mirrors] m3.de.example: well again (http-error since 2026-11-22 07:21 UTC)");
}

static void test_late(void **state)
{
	(void)state;
	mail_fixture_fails(1, REASON_LATE, 0);
	mail_fx.addrs[1].standing.timestamp_s = MAIL_FIXTURE_T0 - 90000;
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_has(0,
	                 "when its timestamp file is 2 days behind: at 2026-11-22 06:00 UTC,\nunless it is "
	                 "updated before");
	mail_fixture_has(0, "rsync.log");
	mail_fx.view.now_s += 6 * 3600 - 1;
	assert_int_equal(mail_fixture_plan(), 0);
	/* Its checks do not fail: time counts as many as there would have been. */
	mail_fx.view.now_s += 1;
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_check(0, "alerts@de.example",
	                   "[clamav mirrors] m1.de.example: late since 2026-11-21 07:00 UTC");
	/* Out, with all steps at once, from another mirror: one letter. */
	mail_fixture_is_out(2, REASON_WRONG_CONTENT);
	assert_int_equal(mail_fixture_plan(), 1);
	assert_string_equal(mail_fx.letters.items[0].to, "alerts@de.example, team@clamav.test");
	mail_fixture_has(0, "what it serves is not what we distribute");
	assert_int_equal(mail_fixture_plan(), 0);
	/* To wait for a version is no failure. */
	mail_fx.mirrors[5].verdict.reason = REASON_OUT_OF_SYNC;
	mail_fx.mirrors[5].warning = REASON_OUT_OF_SYNC;
	assert_int_equal(mail_fixture_plan(), 0);
}

/* One family is out, then the other. */
static void test_families(void **state)
{
	(void)state;
	struct address_view both[2] = { mail_fx.addrs[0],
		                        { .addr = { .family = 6, .bytes = { 0x20, 1, 0xd, 0xb8 } } } };
	mail_fx.mirrors[0].addrs = both;
	mail_fx.mirrors[0].addrs_n = 2;
	both[1].verdict = (struct verdict){ .reason = REASON_UNREACHABLE, .since_s = MAIL_FIXTURE_T0 };
	strcpy(both[1].verdict.detail, "no route");
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_check(
	        0, "alerts@de.example, team@clamav.test",
	        "[clamav mirrors] m0.de.example: an address is out of DNS, unreachable since 2026-11-21 "
	        "07:00 UTC");
	mail_fixture_has(
	        0, "192.0.2.0: nothing wrong\n  2001:db8::: out of DNS, unreachable since 2026-11-21 07:00 "
	           "UTC\n    no route");
	assert_int_equal(mail_fixture_plan(), 0);
	both[0].verdict = mail_fx.mirrors[0].verdict = both[1].verdict;
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_has(0, "m0.de.example: out of DNS, unreachable");
	assert_int_equal(mail_fixture_plan(), 0);
}

/* What is wrong without being a reason: with the evidence of its address, and what to do. */
static void test_warnings(void **state)
{
	(void)state;
	static const char unchanged[] = "\n    To be mended: a request with If-Modified-Since brings the "
	                                "whole file, not 304. Keep the times of\n"
	                                "    files when they are copied (rsync --times).\n";
	struct address_view both[2] = { mail_fx.addrs[0],
		                        { .addr = { .family = 6, .bytes = { 0x20, 1, 0xd, 0xb8 } } } };
	mail_fx.mirrors[0].addrs = both;
	mail_fx.mirrors[0].addrs_n = 2;
	both[0].last.warnings = CHECK_WARN_NO_304;
	both[1].last.warnings = CHECK_WARN_CDIFF_GAP | CHECK_WARN_HOST_HEADER;
	/* No reason for a letter by themselves. */
	assert_int_equal(mail_fixture_plan(), 0);
	both[1].standing = (struct standing){ .warning = REASON_HTTP_ERROR,
		                              .warning_since_s = MAIL_FIXTURE_T0,
		                              .failures_n = 1,
		                              .detail = "GET /timestamp: 503 Busy" };
	mail_fx.mirrors[0].warning = REASON_HTTP_ERROR;
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_has(0, "  192.0.2.0: nothing wrong\n    To be mended: ");
	mail_fixture_has(0, unchanged);
	mail_fixture_has(0, "\n    GET /timestamp: 503 Busy\n    To be mended: an older patch (.cdiff) is "
	                    "missing or empty: ");
	mail_fixture_has(0, "\n    To be mended: it answers to one of the host names only: ");
	assert_null(strstr(strstr(mail_fx.letters.items[0].text, unchanged) + 1, unchanged));
	/* All is well but for that. */
	both[1].standing = (struct standing){ 0 };
	both[1].last.warnings = 0;
	mail_fx.mirrors[0].warning = REASON_NONE;
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_has(0, "is well again.");
	mail_fixture_has(0, "  192.0.2.0: nothing wrong\n    To be mended: ");
	mail_fixture_has(0, unchanged);
	assert_null(strstr(mail_fx.letters.items[0].text, "Nothing has to be done"));
	assert_null(strstr(mail_fx.letters.items[0].text, "2001:db8::"));
}

static void test_who(void **state)
{
	(void)state;
	/* Without an admin, or one whose address is none, the team hears. */
	mail_fx.mirrors[0].admin = NULL;
	mail_fx.mirrors[1].admin = "Jo";
	mail_fx.mirrors[2].admin = "team@clamav.test";
	for (size_t i = 0; i < 3; i++)
		mail_fixture_is_out(i, REASON_OLD);
	assert_int_equal(mail_fixture_plan(), 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(mail_fx.letters.items[i].to, "team@clamav.test");
	/* Without a team there is no mail. */
	mail_fixture_is_out(3, REASON_OLD);
	mail_fx.conf.mail.team = NULL;
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fx.conf.mail.team = "team@clamav.test\nBcc: x@y.example";
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fx.conf.mail.team = "team@clamav.test";
	mail_fx.conf.mail.from = "x\ny@z";
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_has(0, "From: team@clamav.test\n");
}

/* Nothing during announced maintenance, neither of what breaks nor of what is mended: that is told after it.
 */
static void test_maintenance(void **state)
{
	(void)state;
	struct mirror_view *mirrors = mail_fx.mirrors;
	for (size_t i = 0; i < 2; i++)
		mail_fixture_fails(i, REASON_UNREACHABLE, 1);
	assert_int_equal(mail_fixture_plan(), 2);
	for (size_t i = 0; i < 4; i++) {
		mirrors[i].in_maintenance = true;
		mail_fixture_fails(i, REASON_UNREACHABLE, 9);
		mail_fixture_is_out(i, REASON_UNREACHABLE);
	}
	assert_int_equal(mail_fixture_plan(), 0);
	/* Well within the window: 0 and 1, of which the team has heard, and 2, of which nobody has. */
	mail_fx.view.now_s += 600;
	for (size_t i = 0; i < 3; i++)
		mail_fixture_is_well(i);
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fixture_restart();
	assert_int_equal(mail_fixture_plan(), 0);
	/* And not for long. */
	mail_fx.view.now_s += 600;
	mail_fixture_is_out(1, REASON_REFUSED);
	assert_int_equal(mail_fixture_plan(), 0);
	/* It is over. */
	for (size_t i = 0; i < 4; i++)
		mirrors[i].in_maintenance = false;
	assert_int_equal(mail_fixture_plan(), 3);
	mail_fixture_check(
	        0, "team@clamav.test",
	        "[clamav mirrors] m0.de.example: well again (unreachable since 2026-11-21 07:00 UTC)");
	mail_fixture_has(1, "m1.de.example: out of DNS, refused");
	mail_fixture_has(1, "\nIn-Reply-To: <mirrormon.1795244400.failing.m1-de-example@clamav.test>\n");
	mail_fixture_has(2, "m3.de.example: out of DNS, unreachable");
	assert_int_equal(mail_fixture_plan(), 0);
}

/* --- the monitor itself --- */

static void test_self(void **state)
{
	(void)state;
	mail_fixture_fails(0, REASON_LATE, 1);
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fx.view.self_ok = false;
	mail_fx.view.self_since_s = mail_fx.view.now_s;
	strcpy(mail_fx.view.self_detail, "1 of 3 references");
	mail_fixture_is_out(1, REASON_OLD);
	mail_fixture_is_well(0);
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fx.view.now_s += 600;
	assert_int_equal(mail_fixture_plan(), 1);
	mail_fixture_check(0, "team@clamav.test",
	                   "[clamav mirrors] the monitor itself is not well since 2026-11-21 07:00 UTC");
	mail_fixture_has(0, "1 of 3 references");
	mail_fixture_restart();
	assert_int_equal(mail_fixture_plan(), 0);
	mail_fx.view.self_ok = true;
	mail_fx.view.self_since_s = mail_fx.view.now_s;
	assert_int_equal(mail_fixture_plan(), 3);
	mail_fixture_check(0, "team@clamav.test", "[clamav mirrors] the monitor itself is well again");
	mail_fixture_has(1, "m0.de.example: well again");
	mail_fixture_has(2, "m1.de.example: out of DNS");
}

/* --- hostile texts --- */

/* Headers end at the first empty line; each is a known one, once. */
static void check_headers(const char *text)
{
	static const char *const known[] = { "From",         "To",           "Reply-To",
		                             "Subject",      "Date",         "Message-ID",
		                             "In-Reply-To",  "References",   "Auto-Submitted",
		                             "MIME-Version", "Content-Type", "Content-Transfer-Encoding" };
	unsigned seen = 0;
	for (const char *line = text; *line != '\n'; line = strchr(line, '\n') + 1) {
		size_t i = 0;
		assert_non_null(strchr(line, '\n'));
		for (const char *c = line; *c != '\n'; c++)
			assert_in_range(*c, ' ', '~');
		if (*line == ' ')
			continue;
		while (i < 12 &&
		       (strncmp(line, known[i], strlen(known[i])) != 0 || line[strlen(known[i])] != ':'))
			i++;
		if (i == 12 || seen & 1U << i)
			fail_msg("header %s", line);
		seen |= 1U << i;
	}
	for (const char *c = text; *c; c++)
		assert_true(*c == '\n' || ((unsigned char)*c >= ' ' && *c != 0x7f));
}

static void test_hostile_texts(void **state)
{
	(void)state;
	mail_fx.conf_pool.name = "clam\r\nBcc: all@example.org\r\n\r\n\x1b[2J av";
	mail_fx.mirrors[0].host = "m0.example\nX-Evil: 1";
	mail_fx.mirrors[0].admin = "<a@b.example\nBcc: c@d.example>";
	mail_fx.mirrors[1].host = "m1>\r\n\r\n.\r\nbody";
	mail_fx.conf.site.url = "https://x\r\n.\r\n";
	mail_fixture_fails(0, REASON_WRONG_CONTENT, 9);
	mail_fixture_is_out(1, REASON_WRONG_CONTENT);
	strcpy(mail_fx.addrs[0].standing.detail, "\r\n.\r\nBcc: x@y\r\n\xe2\x80\xae\xff\x1b]0;");
	strcpy(mail_fx.addrs[1].verdict.detail, mail_fx.addrs[0].standing.detail);
	assert_int_equal(mail_fixture_plan(), 2);
	check_headers(mail_fx.letters.items[0].text);
	check_headers(mail_fx.letters.items[1].text);
	mail_fixture_has(1, "/mirror/m1_3e_0d_0a_0d_0a._0d_0abody.html\n");
	assert_string_equal(mail_fx.letters.items[0].to, "team@clamav.test");
	mail_fixture_has(0, "??.??Bcc: x@y??????");
	mail_fixture_has(0, "\n =?UTF-8?B?");
	/* UTF-8 stays what it is: "clämav" by RFC 2047, plain in the body. */
	mail_fx.conf_pool.name = "cl\xc3\xa4mav";
	mail_fixture_is_well(0);
	assert_int_equal(mail_fixture_plan(), 1);
	check_headers(mail_fx.letters.items[0].text);
	mail_fixture_has(0, "\nSubject: =?UTF-8?B?W2Nsw6RtYXYg");
	/* What looks like an encoded word is encoded. */
	mail_fx.conf_pool.name = "=?UTF-8?Q?Bcc?=";
	mail_fixture_is_well(1);
	assert_int_equal(mail_fixture_plan(), 1);
	check_headers(mail_fx.letters.items[0].text);
	assert_null(strstr(mail_fx.letters.items[0].text, "?Q?"));
}

/* --- the file --- */

static void test_damaged_file(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"{\"format\":2,\"incidents\":[]}",
		"{\"format\":1}",
		"{\"format\":1,\"incidents\":[1]}",
		"{\"format\":1,\"incidents\":[{\"mirror\":\"a\",\"since\":\"x\",\"reason\":\"old\"}]}",
		"{\"format\":1,\"incidents\":[{\"mirror\":\"a\",\"since\":\"2026-11-21MAIL_FIXTURE_T07:00:"
		"00Z\","
		"\"reason\":\"odd\"}]}",
		"{\"format\":1,\"incidents\":[{\"mirror\":\"a\",\"since\":\"2026-11-21MAIL_FIXTURE_T07:00:"
		"00Z\","
		"\"reason\":\"old\","
		"\"steps\":[\"fly\"]}]}",
		"{\"format\":1,\"incidents\":[{\"mirror\":\"a\",\"since\":\"2026-11-21MAIL_FIXTURE_T07:00:"
		"00Z\","
		"\"reason\":\"old\","
		"\"first\":\"team\"}]}",
		"{\"format\":1,\"incidents\":[{\"mirror\":\"a\",\"since\":\"2026-11-21MAIL_FIXTURE_T07:00:"
		"00Z\","
		"\"reason\":\"old\"},"
		"{\"mirror\":\"a\",\"since\":\"2026-11-21MAIL_FIXTURE_T07:00:00Z\",\"reason\":\"old\"}]}",
	};
	mail_fixture_fails(0, REASON_LATE, 1);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(file_replace(mail_fx.path, texts[i], strlen(texts[i])), 0);
		if (incidents_load(mail_fx.incidents, mail_fx.path, &mail_fx.diag) != -EINVAL ||
		    mail_fx.diag.errors_n != 1)
			fail_msg("taken: %s", texts[i]);
		diag_fini(&mail_fx.diag);
		assert_int_equal(mail_fixture_plan(), 1);
	}
	assert_int_equal(unlink(mail_fx.path), 0);
	assert_int_equal(incidents_load(mail_fx.incidents, mail_fx.path, &mail_fx.diag), 0);
	assert_int_equal(mkdir(mail_fx.path, 0700), 0);
	assert_true(incidents_load(mail_fx.incidents, mail_fx.path, &mail_fx.diag) < 0);
	assert_true(incidents_save(mail_fx.incidents, mail_fx.path, &mail_fx.diag) < 0);
	assert_int_equal(mail_fx.diag.errors_n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_addresses, mail_fixture_setup, mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_steps, mail_fixture_setup, mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_late, mail_fixture_setup, mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_families, mail_fixture_setup, mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_warnings, mail_fixture_setup, mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_who, mail_fixture_setup, mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_maintenance, mail_fixture_setup, mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_self, mail_fixture_setup, mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_hostile_texts, mail_fixture_setup,
		                                mail_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_damaged_file, mail_fixture_setup, mail_fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
