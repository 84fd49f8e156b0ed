#include "tests/unit/support/mail_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/decision_defaults.h"
#include "tests/unit/support/folder.h"

struct mail_fixture mail_fx;

static const char *hosts[] = { "db.%c.clamav.net", "database.clamav.net" };

int mail_fixture_setup(void **state)
{
	if (folder_setup(state) < 0)
		return -1;
	mail_fx = (struct mail_fixture){ 0 };
	snprintf(mail_fx.path, sizeof(mail_fx.path), "%s", folder_path("incidents.json"));
	diag_init(&mail_fx.diag);
	mail_fx.conf_pool.name = "clamav";
	mail_fx.conf = (struct conf_monitor){
		.pool = &mail_fx.conf_pool,
		.checks = { .interval_ms = 3600000, .hosts = hosts, .hosts_n = 2 },
		.decision = DECISION_DEFAULTS,
		.mail = { .team = "team@clamav.test",
		          .from = "monitor@clamav.test",
		          .admin_after = 6,
		          .digest_over_percent = 20 },
		.site = { .url = "https://status.clamav.test" },
	};
	for (size_t i = 0; i < MAIL_FIXTURE_N; i++) {
		snprintf(mail_fx.names[i], sizeof(mail_fx.names[i]), "m%zu.de.example", i);
		mail_fx.addrs[i] =
		        (struct address_view){ .addr = { .family = 4, .bytes = { 192, 0, 2, (uint8_t)i } } };
		mail_fx.mirrors[i] =
		        (struct mirror_view){ .host = mail_fx.names[i],
			                      .admin = "Jo <jo@de.example> || <alerts@de.example>",
			                      .addrs = &mail_fx.addrs[i],
			                      .addrs_n = 1,
			                      .number = i,
			                      .ramp_permille = 1000 };
	}
	mail_fx.view = (struct view){ .conf = &mail_fx.conf,
		                      .now_s = MAIL_FIXTURE_T0,
		                      .self_ok = true,
		                      .mirrors = mail_fx.mirrors,
		                      .mirrors_n = 20 };
	mail_fx.incidents = incidents_create();
	return mail_fx.incidents ? 0 : -1;
}

int mail_fixture_teardown(void **state)
{
	diag_fini(&mail_fx.diag);
	letters_fini(&mail_fx.letters);
	incidents_destroy(mail_fx.incidents);
	return folder_teardown(state);
}

void mail_fixture_fails(size_t mirror, enum reason reason, uint32_t failures_n)
{
	struct standing *standing = &mail_fx.addrs[mirror].standing;
	standing->warning = mail_fx.mirrors[mirror].warning = reason;
	if (!standing->warning_since_s)
		standing->warning_since_s = mail_fx.view.now_s;
	standing->failures_n = failures_n;
	strcpy(standing->detail, "GET /timestamp: connection refused");
}

void mail_fixture_is_out(size_t mirror, enum reason reason)
{
	mail_fx.addrs[mirror].verdict = (struct verdict){
		.reason = reason, .since_s = mail_fx.view.now_s, .votes_out = 2, .votes_n = 3
	};
	mail_fx.mirrors[mirror].verdict = mail_fx.addrs[mirror].verdict;
}

void mail_fixture_is_well(size_t mirror)
{
	mail_fx.addrs[mirror].standing = (struct standing){ 0 };
	mail_fx.addrs[mirror].verdict = mail_fx.mirrors[mirror].verdict = (struct verdict){ 0 };
	mail_fx.mirrors[mirror].warning = REASON_NONE;
}

size_t mail_fixture_plan(void)
{
	letters_fini(&mail_fx.letters);
	assert_int_equal(mail_plan(mail_fx.incidents, &mail_fx.view, NULL, &mail_fx.letters), 0);
	return mail_fx.letters.n;
}

void mail_fixture_check(size_t i, const char *to, const char *subject)
{
	char line[600];
	assert_true(i < mail_fx.letters.n);
	assert_string_equal(mail_fx.letters.items[i].to, to);
	snprintf(line, sizeof(line), "\nSubject: %s\n", subject);
	if (!strstr(mail_fx.letters.items[i].text, line))
		fail_msg("no \"%s\" in:\n%s", line, mail_fx.letters.items[i].text);
	snprintf(line, sizeof(line), "\nTo: %s\n", to);
	assert_non_null(strstr(mail_fx.letters.items[i].text, line));
}

void mail_fixture_has(size_t i, const char *text)
{
	assert_true(i < mail_fx.letters.n);
	if (!strstr(mail_fx.letters.items[i].text, text))
		fail_msg("no \"%s\" in:\n%s", text, mail_fx.letters.items[i].text);
}

void mail_fixture_restart(void)
{
	assert_int_equal(incidents_save(mail_fx.incidents, mail_fx.path, &mail_fx.diag), 0);
	incidents_destroy(mail_fx.incidents);
	mail_fx.incidents = incidents_create();
	assert_int_equal(incidents_load(mail_fx.incidents, mail_fx.path, &mail_fx.diag), 0);
	assert_int_equal(mail_fx.diag.messages_n, 0);
}
