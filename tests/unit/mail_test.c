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
#include "mirrormon/mail_int.h"
#include "tests/unit/support/decision_defaults.h"
#include "tests/unit/support/folder.h"

#define T0        1795244400U /* 2026-11-21 07:00:00 UTC, a Saturday */
#define MIRRORS_N 500

static const char *path;
static struct diag diag;

/* --- a pool --- */

static struct conf_pool conf_pool = { .name = "clamav" };
static const char *hosts[] = { "db.%c.clamav.net", "database.clamav.net" };
static struct conf_monitor conf;
static struct mirror_view mirrors[MIRRORS_N];
static struct address_view addrs[MIRRORS_N];
static char names[MIRRORS_N][32];
static struct view view;
static struct incidents *incidents;
static struct letters letters;

static int setup(void **state)
{
	static char incidents_path[128];
	if (folder_setup(state) < 0)
		return -1;
	snprintf(incidents_path, sizeof(incidents_path), "%s", folder_path("incidents.json"));
	path = incidents_path;
	diag_init(&diag);
	conf_pool.name = "clamav";
	conf = (struct conf_monitor){
		.pool = &conf_pool,
		.checks = { .interval_ms = 3600000, .hosts = hosts, .hosts_n = 2 },
		.decision = DECISION_DEFAULTS,
		.mail = { .team = "team@clamav.test",
		          .from = "monitor@clamav.test",
		          .admin_after = 6,
		          .digest_over_percent = 20 },
		.site = { .url = "https://status.clamav.test" },
	};
	for (size_t i = 0; i < MIRRORS_N; i++) {
		snprintf(names[i], sizeof(names[i]), "m%zu.de.example", i);
		addrs[i] =
		        (struct address_view){ .addr = { .family = 4, .bytes = { 192, 0, 2, (uint8_t)i } } };
		mirrors[i] = (struct mirror_view){ .host = names[i],
			                           .admin = "Jo <jo@de.example> || <alerts@de.example>",
			                           .addrs = &addrs[i],
			                           .addrs_n = 1,
			                           .number = i,
			                           .ramp_permille = 1000 };
	}
	view = (struct view){
		.conf = &conf, .now_s = T0, .self_ok = true, .mirrors = mirrors, .mirrors_n = 20
	};
	incidents = incidents_create();
	return incidents ? 0 : -1;
}

static int teardown(void **state)
{
	diag_fini(&diag);
	letters_fini(&letters);
	incidents_destroy(incidents);
	return folder_teardown(state);
}

static void fails(size_t mirror, enum reason reason, uint32_t failures_n)
{
	struct standing *standing = &addrs[mirror].standing;
	standing->warning = mirrors[mirror].warning = reason;
	if (!standing->warning_since_s)
		standing->warning_since_s = view.now_s;
	standing->failures_n = failures_n;
	strcpy(standing->detail, "GET /timestamp: connection refused");
}

static void is_out(size_t mirror, enum reason reason)
{
	addrs[mirror].verdict =
	        (struct verdict){ .reason = reason, .since_s = view.now_s, .votes_out = 2, .votes_n = 3 };
	mirrors[mirror].verdict = addrs[mirror].verdict;
}

static void is_well(size_t mirror)
{
	addrs[mirror].standing = (struct standing){ 0 };
	addrs[mirror].verdict = mirrors[mirror].verdict = (struct verdict){ 0 };
	mirrors[mirror].warning = REASON_NONE;
}

/* The plan of this moment; returns how many letters. */
static size_t plan(void)
{
	letters_fini(&letters);
	assert_int_equal(mail_plan(incidents, &view, NULL, &letters), 0);
	return letters.n;
}

static void check_letter(size_t i, const char *to, const char *subject)
{
	char line[600];
	assert_true(i < letters.n);
	assert_string_equal(letters.items[i].to, to);
	snprintf(line, sizeof(line), "\nSubject: %s\n", subject);
	if (!strstr(letters.items[i].text, line))
		fail_msg("no \"%s\" in:\n%s", line, letters.items[i].text);
	snprintf(line, sizeof(line), "\nTo: %s\n", to);
	assert_non_null(strstr(letters.items[i].text, line));
}

static void check_has(size_t i, const char *text)
{
	assert_true(i < letters.n);
	if (!strstr(letters.items[i].text, text))
		fail_msg("no \"%s\" in:\n%s", text, letters.items[i].text);
}

static void restart(void)
{
	assert_int_equal(incidents_save(incidents, path, &diag), 0);
	incidents_destroy(incidents);
	incidents = incidents_create();
	assert_int_equal(incidents_load(incidents, path, &diag), 0);
	assert_int_equal(diag.messages_n, 0);
}

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
	assert_int_equal(history_open(NULL, false, &diag, &history), 0);
	struct check_result result = { .at_s = T0 - 60, .reason = REASON_UNREACHABLE };
	strcpy(result.detail, "connection refused");
	history_add_result(history, "m3.de.example", &addrs[3].addr, &result, REASON_NONE);
	history_add_change(history, T0 - 90, "m3.de.example", NULL, REASON_OLD, REASON_NONE, "came back");
	assert_int_equal(history_flush(history, &diag), 0);

	assert_int_equal(plan(), 0);
	fails(3, REASON_UNREACHABLE, 1);
	addrs[3].next_check_s = T0 + 300;
	assert_int_equal(mail_plan(incidents, &view, history, &letters), 0);
	assert_int_equal(letters.n, 1);
	check_letter(0, "team@clamav.test",
	             "[clamav mirrors] m3.de.example: unreachable since 2026-11-21 07:00 UTC");
	check_has(0, "From: monitor@clamav.test\n");
	check_has(0, "\nReply-To: team@clamav.test\n");
	check_has(0, "\nDate: Sat, 21 Nov 2026 07:00:00 +0000\n");
	check_has(0, "\nAuto-Submitted: auto-generated\n");
	check_has(0, "\nMessage-ID: <mirrormon.1795244400.failing.m3-de-example@clamav.test>\n\n");
	check_has(
	        0,
	        "192.0.2.3: unreachable since 2026-11-21 07:00 UTC, still in DNS; 1 failed checks in a row");
	check_has(0, "GET /timestamp: connection refused");
	check_has(0, "after 3 failed checks in a row; there were 1.");
	check_has(0, "The next check is at 2026-11-21 07:05 UTC.");
	check_has(0, "How to mend it: is the web server up");
	check_has(0, "  2026-11-21 06:59 UTC  192.0.2.3  unreachable: connection refused\n");
	check_has(0, "  2026-11-21 06:58 UTC  all of it  old -> in: came back\n");
	check_has(0, "https://status.clamav.test/mirror/m3.de.example.html");
	check_has(0, "No reply is needed if it is mended.");
	history_close(history);
	restart();
	assert_int_equal(plan(), 0);

	view.now_s += 600;
	fails(3, REASON_UNREACHABLE, 5);
	restart();
	assert_int_equal(plan(), 0);
	fails(3, REASON_UNREACHABLE, 6);
	restart();
	assert_int_equal(plan(), 1);
	check_letter(0, "alerts@de.example",
	             "[clamav mirrors] m3.de.example: unreachable since 2026-11-21 07:00 UTC");
	check_has(0, "\nMessage-ID: <mirrormon.1795244400.admin.m3-de-example@clamav.test>\n"
	             "In-Reply-To: <mirrormon.1795244400.failing.m3-de-example@clamav.test>\n"
	             "References: <mirrormon.1795244400.failing.m3-de-example@clamav.test>\n\n");
	assert_int_equal(plan(), 0);

	view.now_s += 600;
	is_out(3, REASON_UNREACHABLE);
	restart();
	assert_int_equal(plan(), 1);
	check_letter(0, "alerts@de.example, team@clamav.test",
	             "[clamav mirrors] m3.de.example: out of DNS, unreachable since 2026-11-21 07:20 UTC");
	check_has(0, "so say 2 of 3 monitors");
	check_has(0, "after 2 good checks in a row over at least 10 minutes");
	check_has(0, "10 % of its share of clients, rising to all of it in\n6 hours");
	check_has(0, "In-Reply-To: <mirrormon.1795244400.admin.");
	check_has(0, "References: <mirrormon.1795244400.failing.m3-de-example@clamav.test>\n"
	             " <mirrormon.1795244400.admin.m3-de-example@clamav.test>\n");
	restart();
	view.now_s += 86400;
	assert_int_equal(plan(), 0);

	is_well(3);
	mirrors[3].ramp_permille = 100;
	mirrors[3].ramp_full_s = view.now_s + 3600;
	restart();
	assert_int_equal(plan(), 1);
	check_letter(0, "alerts@de.example, team@clamav.test",
	             "[clamav mirrors] m3.de.example: well again (unreachable since 2026-11-21 07:00 UTC)");
	check_has(0, "It has 10.0 % of its share of clients");
	assert_null(strstr(letters.items[0].text, "How to mend"));
	restart();
	assert_int_equal(plan(), 0);
	/* The next incident is another. */
	view.now_s += 60;
	fails(3, REASON_HTTP_ERROR, 1);
	assert_int_equal(plan(), 1);
	check_has(0, "The host names are: db.%c.clamav.net database.clamav.net (%c: a country).");
	assert_null(strstr(letters.items[0].text, "In-Reply-To"));
	is_well(3);
	assert_int_equal(plan(), 1);
	check_letter(0, "team@clamav.test",
	             "[clamav mirrors] m3.de.example: well again (http-error since 2026-11-22 07:21 UTC)");
}

static void test_late(void **state)
{
	(void)state;
	fails(1, REASON_LATE, 0);
	addrs[1].standing.timestamp_s = T0 - 90000;
	assert_int_equal(plan(), 1);
	check_has(0, "when its timestamp file is 2 days behind: at 2026-11-22 06:00 UTC,\nunless it is "
	             "updated before");
	check_has(0, "rsync.log");
	view.now_s += 6 * 3600 - 1;
	assert_int_equal(plan(), 0);
	/* Its checks do not fail: time counts as many as there would have been. */
	view.now_s += 1;
	assert_int_equal(plan(), 1);
	check_letter(0, "alerts@de.example",
	             "[clamav mirrors] m1.de.example: late since 2026-11-21 07:00 UTC");
	/* Out, with all steps at once, from another mirror: one letter. */
	is_out(2, REASON_WRONG_CONTENT);
	assert_int_equal(plan(), 1);
	assert_string_equal(letters.items[0].to, "alerts@de.example, team@clamav.test");
	check_has(0, "what it serves is not what we distribute");
	assert_int_equal(plan(), 0);
	/* To wait for a version is no failure. */
	mirrors[5].verdict.reason = REASON_OUT_OF_SYNC;
	mirrors[5].warning = REASON_OUT_OF_SYNC;
	assert_int_equal(plan(), 0);
}

/* One family is out, then the other. */
static void test_families(void **state)
{
	(void)state;
	struct address_view both[2] = { addrs[0],
		                        { .addr = { .family = 6, .bytes = { 0x20, 1, 0xd, 0xb8 } } } };
	mirrors[0].addrs = both;
	mirrors[0].addrs_n = 2;
	both[1].verdict = (struct verdict){ .reason = REASON_UNREACHABLE, .since_s = T0 };
	strcpy(both[1].verdict.detail, "no route");
	assert_int_equal(plan(), 1);
	check_letter(0, "alerts@de.example, team@clamav.test",
	             "[clamav mirrors] m0.de.example: an address is out of DNS, unreachable since 2026-11-21 "
	             "07:00 UTC");
	check_has(0, "192.0.2.0: nothing wrong\n  2001:db8::: out of DNS, unreachable since 2026-11-21 07:00 "
	             "UTC\n    no route");
	assert_int_equal(plan(), 0);
	both[0].verdict = mirrors[0].verdict = both[1].verdict;
	assert_int_equal(plan(), 1);
	check_has(0, "m0.de.example: out of DNS, unreachable");
	assert_int_equal(plan(), 0);
}

static void test_who(void **state)
{
	(void)state;
	/* Without an admin, or one whose address is none, the team hears. */
	mirrors[0].admin = NULL;
	mirrors[1].admin = "Jo";
	mirrors[2].admin = "team@clamav.test";
	for (size_t i = 0; i < 3; i++)
		is_out(i, REASON_OLD);
	assert_int_equal(plan(), 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(letters.items[i].to, "team@clamav.test");
	/* Without a team there is no mail. */
	is_out(3, REASON_OLD);
	conf.mail.team = NULL;
	assert_int_equal(plan(), 0);
	conf.mail.team = "team@clamav.test\nBcc: x@y.example";
	assert_int_equal(plan(), 0);
	conf.mail.team = "team@clamav.test";
	conf.mail.from = "x\ny@z";
	assert_int_equal(plan(), 1);
	check_has(0, "From: team@clamav.test\n");
}

static void test_maintenance(void **state)
{
	(void)state;
	fails(0, REASON_UNREACHABLE, 1);
	assert_int_equal(plan(), 1);
	mirrors[0].in_maintenance = mirrors[1].in_maintenance = true;
	fails(0, REASON_UNREACHABLE, 9);
	fails(1, REASON_UNREACHABLE, 9);
	is_out(0, REASON_UNREACHABLE);
	is_out(1, REASON_UNREACHABLE);
	assert_int_equal(plan(), 0);
	is_well(1);
	assert_int_equal(plan(), 0);
	is_well(0);
	assert_int_equal(plan(), 1);
	check_has(0, "m0.de.example: well again");
	/* Still out when it is over. */
	is_out(1, REASON_UNREACHABLE);
	assert_int_equal(plan(), 0);
	mirrors[1].in_maintenance = false;
	assert_int_equal(plan(), 1);
	check_has(0, "m1.de.example: out of DNS");
}

/* --- storms --- */

static void test_storm(void **state)
{
	(void)state;
	view.mirrors_n = MIRRORS_N;
	is_out(7, REASON_OLD);
	assert_int_equal(plan(), 1);
	view.now_s += 60;
	for (size_t i = 0; i < MIRRORS_N; i++) {
		if (i != 7)
			is_out(i, i % 2 ? REASON_UNREACHABLE : REASON_HTTP_ERROR);
	}
	assert_int_equal(plan(), 1);
	check_letter(0, "team@clamav.test",
	             "[clamav mirrors] 500 of 500 mirrors fail at once since 2026-11-21 07:01 UTC");
	const char *unreachable = strstr(letters.items[0].text, "\nunreachable:\n");
	const char *old = strstr(letters.items[0].text,
	                         "\nold:\n  m7.de.example, out of DNS, since 2026-11-21 07:00 UTC\n");
	assert_true(unreachable && old && unreachable < old);
	for (int i = 0; i < 5; i++) {
		view.now_s += 3600;
		restart();
		assert_int_equal(plan(), 0);
	}
	/* Few enough, but not for long. */
	for (size_t i = 0; i < MIRRORS_N - 2; i++)
		is_well(i);
	assert_int_equal(plan(), 0);
	view.now_s += 300;
	is_out(0, REASON_OLD);
	assert_int_equal(plan(), 0);
	for (size_t i = 0; i < 200; i++)
		is_out(i, REASON_OLD);
	assert_int_equal(plan(), 0);
	for (size_t i = 0; i < 200; i++)
		is_well(i);
	restart();
	assert_int_equal(plan(), 0);
	view.now_s += 599;
	assert_int_equal(plan(), 0);
	view.now_s += 1;
	restart();
	/* Over; what is still out is now treated by itself; who had heard before hears that it is well. */
	assert_int_equal(plan(), 4);
	check_letter(0, "team@clamav.test", "[clamav mirrors] most mirrors are well again: 2 of 500 fail");
	check_has(0, "\nIn-Reply-To: <mirrormon.1795244460.many.clamav@clamav.test>\n");
	check_has(0, "  m498.de.example, out of DNS");
	check_has(1, "m7.de.example: well again");
	check_has(2, "m498.de.example: out of DNS");
	check_has(3, "m499.de.example: out of DNS");
	assert_int_equal(plan(), 0);
	is_well(498);
	assert_int_equal(plan(), 1);
	assert_string_equal(letters.items[0].to, "alerts@de.example, team@clamav.test");
	/* In a pool of four, one is no storm. */
	view.mirrors = mirrors + 1;
	view.mirrors_n = 4;
	fails(2, REASON_LATE, 1);
	assert_int_equal(plan(), 1);
	check_has(0, "m2.de.example: late");
}

static void test_self(void **state)
{
	(void)state;
	fails(0, REASON_LATE, 1);
	assert_int_equal(plan(), 1);
	view.self_ok = false;
	view.self_since_s = view.now_s;
	strcpy(view.self_detail, "1 of 3 references");
	is_out(1, REASON_OLD);
	is_well(0);
	assert_int_equal(plan(), 0);
	view.now_s += 600;
	assert_int_equal(plan(), 1);
	check_letter(0, "team@clamav.test",
	             "[clamav mirrors] the monitor itself is not well since 2026-11-21 07:00 UTC");
	check_has(0, "1 of 3 references");
	restart();
	assert_int_equal(plan(), 0);
	view.self_ok = true;
	view.self_since_s = view.now_s;
	assert_int_equal(plan(), 3);
	check_letter(0, "team@clamav.test", "[clamav mirrors] the monitor itself is well again");
	check_has(1, "m0.de.example: well again");
	check_has(2, "m1.de.example: out of DNS");
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
	conf_pool.name = "clam\r\nBcc: all@example.org\r\n\r\n\x1b[2J av";
	mirrors[0].host = "m0.example\nX-Evil: 1";
	mirrors[0].admin = "<a@b.example\nBcc: c@d.example>";
	mirrors[1].host = "m1>\r\n\r\n.\r\nbody";
	conf.site.url = "https://x\r\n.\r\n";
	fails(0, REASON_WRONG_CONTENT, 9);
	is_out(1, REASON_WRONG_CONTENT);
	strcpy(addrs[0].standing.detail, "\r\n.\r\nBcc: x@y\r\n\xe2\x80\xae\xff\x1b]0;");
	strcpy(addrs[1].verdict.detail, addrs[0].standing.detail);
	assert_int_equal(plan(), 2);
	check_headers(letters.items[0].text);
	check_headers(letters.items[1].text);
	check_has(1, "/mirror/m1_3e_0d_0a_0d_0a._0d_0abody.html\n");
	assert_string_equal(letters.items[0].to, "team@clamav.test");
	check_has(0, "??.??Bcc: x@y??????");
	check_has(0, "\n =?UTF-8?B?");
	/* UTF-8 stays what it is: "clämav" by RFC 2047, plain in the body. */
	conf_pool.name = "cl\xc3\xa4mav";
	is_well(0);
	assert_int_equal(plan(), 1);
	check_headers(letters.items[0].text);
	check_has(0, "\nSubject: =?UTF-8?B?W2Nsw6RtYXYg");
	/* What looks like an encoded word is encoded. */
	conf_pool.name = "=?UTF-8?Q?Bcc?=";
	is_well(1);
	assert_int_equal(plan(), 1);
	check_headers(letters.items[0].text);
	assert_null(strstr(letters.items[0].text, "?Q?"));
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
		"{\"format\":1,\"incidents\":[{\"mirror\":\"a\",\"since\":\"2026-11-21T07:00:00Z\","
		"\"reason\":\"odd\"}]}",
		"{\"format\":1,\"incidents\":[{\"mirror\":\"a\",\"since\":\"2026-11-21T07:00:00Z\","
		"\"reason\":\"old\","
		"\"steps\":[\"fly\"]}]}",
		"{\"format\":1,\"incidents\":[{\"mirror\":\"a\",\"since\":\"2026-11-21T07:00:00Z\","
		"\"reason\":\"old\","
		"\"first\":\"team\"}]}",
		"{\"format\":1,\"incidents\":[{\"mirror\":\"a\",\"since\":\"2026-11-21T07:00:00Z\","
		"\"reason\":\"old\"},"
		"{\"mirror\":\"a\",\"since\":\"2026-11-21T07:00:00Z\",\"reason\":\"old\"}]}",
	};
	fails(0, REASON_LATE, 1);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(file_replace(path, texts[i], strlen(texts[i])), 0);
		if (incidents_load(incidents, path, &diag) != -EINVAL || diag.errors_n != 1)
			fail_msg("taken: %s", texts[i]);
		diag_fini(&diag);
		assert_int_equal(plan(), 1);
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(incidents_load(incidents, path, &diag), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(incidents_load(incidents, path, &diag) < 0);
	assert_true(incidents_save(incidents, path, &diag) < 0);
	assert_int_equal(diag.errors_n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_families, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who, setup, teardown),
		cmocka_unit_test_setup_teardown(test_maintenance, setup, teardown),
		cmocka_unit_test_setup_teardown(test_storm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_self, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_file, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
