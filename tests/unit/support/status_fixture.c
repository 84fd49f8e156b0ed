#include "tests/unit/support/status_fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/geo_map.h"
#include "tests/unit/support/decision_defaults.h"

#define FLUSH_EACH 20000

static const char countries[][3] = { "DE", "US", "FR", "GB", "US", "DE", "NL", "DE", "JP", "FR",
	                             "US", "CH", "PL", "IT", "CA", "SE", "AT", "DE", "US", "TW",
	                             "NL", "GB", "AU", "CH", "CZ", "BR", "FR", "IT", "DE", "US",
	                             "FI", "ZA", "PL", "CA", "JP", "FR", "US", "GB", "RU", "NL" };
static const char *const words[] = { "uni",  "net",     "lab",     "mirror", "ftp",    "host",
	                             "city", "archive", "example", "mail",   "campus", "backbone" };
static const char regions[] =
        "regions: ( { name: \"europe\"; countries: [ \"AT\", \"BE\", \"CH\", \"CZ\", \"DE\", \"DK\", \"ES\", "
        "\"FI\", \"FR\", "
        "\"GB\", \"IE\", \"IT\", \"LI\", \"LU\", \"NL\", \"NO\", \"PL\", \"PT\", \"RU\", \"SE\", \"SK\", "
        "\"UA\" ]; },"
        " { name: \"north-america\"; countries: [ \"CA\", \"MX\", \"US\" ]; },"
        " { name: \"asia\"; countries: [ \"CN\", \"HK\", \"IN\", \"JP\", \"KR\", \"SG\", \"TW\" ]; },"
        " { name: \"south-america\"; countries: [ \"AR\", \"BR\", \"CL\", \"PE\", \"UY\" ]; } );\n"
        "neighbours: ( { country: \"CH\"; near: [ \"AT\", \"DE\" ]; }, { country: \"LI\"; near: [ \"CH\", "
        "\"AT\" ]; },"
        " { country: \"BE\"; near: [ \"NL\", \"FR\" ]; }, { country: \"NZ\"; near: [ \"AU\" ]; } );\n";

static const char *country_of(size_t number)
{
	return countries[number % (sizeof(countries) / sizeof(*countries))];
}

static void make_pool(struct status_fixture *fixture)
{
	size_t cap = fixture->n * 300 + 64;
	char *text = malloc(cap);
	assert_non_null(text);
	size_t len = (size_t)snprintf(text, cap, "mirrors: (\n");
	for (size_t i = 0; i < fixture->n; i++)
		len += (size_t)snprintf(
		        text + len, cap - len,
		        "%s{ host: \"clamav.%s%zu.example\"; country: \"%s\"; addresses: [ \"10.%zu.%zu.1\", "
		        "\"2001:db8:%zx::1\" ]; weight: %d; admin: \"Team %zu <admin%zu@example.org> || "
		        "<alerts@example.org>\"; }\n",
		        i ? "," : "", words[i % 12], i, country_of(i), i / 256, i % 256, i + 1,
		        i % 4 == 1 ? 200 : 100, i, i);
	snprintf(text + len, cap - len, ");\n");
	pool_fixture_init(&fixture->pool, text, regions);
	free(text);
}

static void make_conf(struct status_fixture *fixture, const char *directory)
{
	static const char *databases[] = { "main", "daily", "bytecode" };
	static const char *hosts[] = { "db.%c.clamav.net", "database.clamav.net" };
	static const char *others[] = { "https://two.example/vote.json", "https://three.example/vote.json" };
	struct conf_monitor *conf = &fixture->conf;
	conf->name = "monitor.example";
	conf->pool = &fixture->pool.conf;
	conf->checks = (struct conf_checks){ .interval_ms = 3600000,
		                             .retry_ms = 300000,
		                             .spread_percent = 10,
		                             .connect_timeout_ms = 10000,
		                             .timeout_ms = 30000,
		                             .port = 80,
		                             .databases = databases,
		                             .databases_n = 3,
		                             .patched = "daily",
		                             .cdiffs = 10,
		                             .hosts = hosts,
		                             .hosts_n = 2,
		                             .deep_interval_ms = 3600000 };
	conf->references_n = 3;
	conf->references_quorum = 2;
	conf->decision = (struct conf_decision)DECISION_DEFAULTS;
	conf->votes = (struct conf_votes){ .others = others, .others_n = 2, .valid_s = 10800, .quorum = 2 };
	conf->announce = (struct conf_announce){
		.enabled = true, .quorum_percent = 60, .limit_s = 7200, .settle_s = 300
	};
	conf->site = (struct conf_site){ .directory = directory,
		                         .url = "https://status.example",
		                         .title = "ClamAV mirrors" };
}

static void set_out(struct address_view *address, enum reason reason, uint64_t since_s, const char *detail)
{
	address->verdict =
	        (struct verdict){ .reason = reason, .since_s = since_s, .votes_out = 3, .votes_n = 3 };
	snprintf(address->verdict.detail, sizeof(address->verdict.detail), "%s", detail);
	address->standing.reason = reason;
	address->standing.since_s = since_s;
	address->standing.failures_n = 12;
	address->standing.successes_n = 0;
	address->standing.outs_n = 1;
	snprintf(address->standing.detail, sizeof(address->standing.detail), "%s", detail);
}

static void set_mirror_out(struct status_fixture *fixture, size_t i, enum reason reason, uint64_t since_s,
                           const char *detail)
{
	set_out(&fixture->addrs[2 * i], reason, since_s, detail);
	set_out(&fixture->addrs[2 * i + 1], reason, since_s, detail);
	fixture->mirrors[i].verdict = fixture->addrs[2 * i].verdict;
}

static void set_warning(struct address_view *address, enum reason reason, uint64_t since_s,
                        const char *detail)
{
	address->standing.warning = reason;
	address->standing.warning_since_s = since_s;
	snprintf(address->standing.detail, sizeof(address->standing.detail), "%s", detail);
}

static void make_faults(struct status_fixture *fixture, size_t i)
{
	struct mirror_view *mirror = &fixture->mirrors[i];
	struct address_view *addrs = &fixture->addrs[2 * i];
	const uint64_t now_s = STATUS_NOW_S;
	switch (i) {
	case 3:
		set_mirror_out(fixture, i, REASON_OLD, now_s - 80000,
		               "timestamp is 2 d 22 h behind the newest");
		addrs[0].standing.timestamp_s = addrs[1].standing.timestamp_s = now_s - 252000;
		break;
	case 7:
		set_out(&addrs[1], REASON_UNREACHABLE, now_s - 190000,
		        "connect to 2001:db8:8::1 port 80: timed out after 10 s");
		break;
	case 9:
		set_mirror_out(fixture, i, REASON_WRONG_CONTENT, now_s - 5400,
		               "daily.cvd: first bytes are \"<!DOCTYPE html>\", not ClamAV-VDB");
		break;
	case 11:
		if (strcmp(country_of(i), "CH") != 0)
			break;
		set_mirror_out(fixture, i, REASON_UNREACHABLE, now_s - 400000, "connect: connection refused");
		break;
	case 12:
		set_warning(&addrs[0], REASON_LATE, now_s - 9000, "timestamp is 1 d 2 h behind the newest");
		set_warning(&addrs[1], REASON_LATE, now_s - 9000, "timestamp is 1 d 2 h behind the newest");
		addrs[0].standing.timestamp_s = addrs[1].standing.timestamp_s = now_s - 97000;
		mirror->warning = REASON_LATE;
		break;
	case 13:
		set_warning(&addrs[0], REASON_HTTP_ERROR, now_s - 1500, "timestamp: HTTP 503, expected 200");
		addrs[0].standing.failures_n = 2;
		addrs[0].standing.successes_n = 0;
		mirror->warning = REASON_HTTP_ERROR;
		break;
	case 15:
		set_mirror_out(fixture, i, REASON_UNREACHABLE, now_s - 7200, "connect: no route to host");
		for (size_t k = 0; k < 2; k++) {
			addrs[k].standing.failures_n = 0;
			addrs[k].standing.successes_n = 1;
			addrs[k].standing.good_since_s = now_s - 300;
		}
		mirror->probation = true;
		break;
	case 17:
		mirror->in_maintenance = true;
		mirror->verdict = (struct verdict){ .reason = REASON_MAINTENANCE, .since_s = now_s - 3600 };
		snprintf(mirror->verdict.detail, sizeof(mirror->verdict.detail), "new disks");
		break;
	case 19:
		addrs[0].standing = addrs[1].standing = (struct standing){ 0 };
		addrs[0].last = addrs[1].last = (struct check_result){ 0 };
		break;
	case 21:
		mirror->ramp_permille = 100;
		mirror->ramp_from_s = now_s - 7200;
		mirror->ramp_full_s = now_s + 14400;
		break;
	case 23:
		set_mirror_out(fixture, i, REASON_UNREACHABLE, now_s - 500000,
		               "connect: timed out after 10 s");
		break;
	default: break;
	}
}

static void make_view(struct status_fixture *fixture)
{
	size_t n = fixture->n;
	fixture->mirrors = arena_alloc(&fixture->arena, (n + 1) * sizeof(*fixture->mirrors));
	fixture->addrs = arena_alloc(&fixture->arena, (2 * n + 1) * sizeof(*fixture->addrs));
	assert_non_null(fixture->mirrors);
	assert_non_null(fixture->addrs);
	for (size_t i = 0; i < n; i++) {
		const struct mirror *of_pool = &fixture->pool.pool->mirrors[i];
		struct mirror_view *mirror = &fixture->mirrors[i];
		*mirror = (struct mirror_view){ .host = of_pool->host,
			                        .admin = fixture->pool.conf.mirrors[i].admin,
			                        .country = of_pool->country,
			                        .weight = of_pool->weight,
			                        .number = i,
			                        .addrs = &fixture->addrs[2 * i],
			                        .addrs_n = of_pool->addrs_n,
			                        .ramp_permille = 1000 };
		for (size_t a = 0; a < of_pool->addrs_n; a++) {
			struct address_view *address = &fixture->addrs[2 * i + a];
			address->addr = of_pool->addrs[a];
			address->verdict =
			        (struct verdict){ .since_s = STATUS_NOW_S - 1000000, .votes_n = 3 };
			address->standing = (struct standing){ .since_s = STATUS_NOW_S - 1000000,
				                               .successes_n = 200,
				                               .good_since_s = STATUS_NOW_S - 720000,
				                               .checked_s = STATUS_NOW_S - 60 * (i % 55) - 20,
				                               .timestamp_s = STATUS_NOW_S - 5400 };
			address->last = (struct check_result){
				.at_s = address->standing.checked_s,
				.timestamp_s = STATUS_NOW_S - 5400,
				.connect_us = 21000,
				.first_us = 45000,
				.total_us = 310000,
				.databases = { { 62, 0, 0 }, { 27804, 0, 0x3ff }, { 339, 0, 0 } },
				.warnings = i % 10 == 4 ? CHECK_WARN_NO_304 : 0
			};
			address->next_check_s = address->standing.checked_s + 3600;
		}
		mirror->verdict.since_s = STATUS_NOW_S - 1000000;
		make_faults(fixture, i);
	}
	fixture->databases[0] =
	        (struct announced){ .name = "main", .version = 62, .since_s = STATUS_NOW_S - 8000000 };
	fixture->databases[1] = (struct announced){ .name = "daily",
		                                    .version = 27804,
		                                    .since_s = STATUS_NOW_S - 70000,
		                                    .candidate = 27805,
		                                    .candidate_since_s = STATUS_NOW_S - 1500,
		                                    .have_n = 21,
		                                    .of_n = 33,
		                                    .waiting_for = "DE 1 of 4, FR 1 of 3, JP 0 of 2" };
	fixture->databases[2] =
	        (struct announced){ .name = "bytecode", .version = 339, .since_s = STATUS_NOW_S - 900000 };
	fixture->monitors[0] = (struct monitor_view){ .name = "two.example",
		                                      .generated_s = STATUS_NOW_S - 200,
		                                      .counts = true };
	fixture->monitors[1] = (struct monitor_view){ .name = "three.example",
		                                      .generated_s = STATUS_NOW_S - 20000,
		                                      .detail = "its vote is older than 3h" };
	fixture->view = (struct view){ .conf = &fixture->conf,
		                       .pool = fixture->pool.pool,
		                       .now_s = STATUS_NOW_S,
		                       .serial = 4711,
		                       .self_ok = true,
		                       .newest_timestamp_s = STATUS_NOW_S - 5400,
		                       .mirrors = fixture->mirrors,
		                       .mirrors_n = n,
		                       .databases = fixture->databases,
		                       .databases_n = 3,
		                       .verified_s = STATUS_NOW_S - 40,
		                       .monitors = fixture->monitors,
		                       .monitors_n = 2 };
}

static void flush(struct status_fixture *fixture)
{
	struct diag diag;
	diag_init(&diag);
	int rc;
	while ((rc = history_flush(fixture->history, &diag)) > 0)
		;
	if (rc < 0 || diag.messages_n)
		fail_msg("history: %s", diag.messages_n ? diag.messages[0].text : strerror(-rc));
	diag_fini(&diag);
}

/* One check of the past, in keeping with how the mirror is now. */
static void make_check(struct status_fixture *fixture, size_t i, size_t a, uint64_t at_s, uint64_t *random)
{
	const struct address_view *address = &fixture->addrs[2 * i + a];
	struct check_result result = { .at_s = at_s };
	enum reason state = REASON_NONE;
	uint64_t bad_since_s = address->verdict.since_s;
	if (address->verdict.reason != REASON_NONE && at_s + 7200 > bad_since_s) {
		state = at_s >= bad_since_s ? address->verdict.reason : REASON_NONE;
		result.reason = address->verdict.reason == REASON_OLD ? REASON_NONE : address->verdict.reason;
		snprintf(result.detail, sizeof(result.detail), "%s", address->verdict.detail);
	} else if (random_below(random, 100) < (i % 7 == 2 ? 12U : 1U)) {
		result.reason = REASON_HTTP_ERROR;
		snprintf(result.detail, sizeof(result.detail), "timestamp: HTTP 500, expected 200");
	}
	result.timestamp_s =
	        at_s - 600 - (at_s % 10800) - (address->verdict.reason == REASON_OLD ? 90000 : 0);
	uint32_t base_us = 40000 + (uint32_t)(i % 9) * 30000 + (a ? 15000 : 0);
	result.connect_us = base_us / 4 + random_below(random, 9000);
	result.first_us = result.connect_us * 2;
	result.total_us = base_us * 5 + random_below(random, 120000);
	assert_int_equal(history_add_result(fixture->history, fixture->mirrors[i].host, &address->addr,
	                                    &result, state),
	                 0);
}

/* As it would have been kept: a week of results, means before. */
static void prune(struct status_fixture *fixture, uint64_t now_s)
{
	struct diag diag;
	diag_init(&diag);
	while (history_prune(fixture->history, now_s, FLUSH_EACH, &diag) > 0)
		;
	if (diag.messages_n)
		fail_msg("history: %s", diag.messages[0].text);
	diag_fini(&diag);
}

/* A check a day until so many hours ago. */
static void make_year(struct status_fixture *fixture, unsigned hours)
{
	uint64_t random = 43;
	for (unsigned day = 365; day > hours / 24; day--) {
		uint64_t day_s = STATUS_NOW_S - 86400 * (uint64_t)day;
		for (size_t i = 0; i < fixture->n; i++) {
			for (size_t a = 0; i != 19 && a < fixture->mirrors[i].addrs_n; a++)
				make_check(fixture, i, a, day_s + 3600 * (i % 11) + a, &random);
		}
		flush(fixture);
		if (day % 30 == 0)
			prune(fixture, day_s);
	}
}

static void make_history(struct status_fixture *fixture, unsigned hours)
{
	uint64_t random = 42;
	size_t kept = 0;
	if (hours >= STATUS_HOURS_YEAR)
		make_year(fixture, hours);
	for (unsigned hour = hours; hour-- > 0;) {
		for (size_t i = 0; i < fixture->n; i++) {
			uint64_t at_s = STATUS_NOW_S - 3600 * (uint64_t)hour - 60 * (i % 55) - 20;
			for (size_t a = 0; i != 19 && a < fixture->mirrors[i].addrs_n; a++)
				make_check(fixture, i, a, at_s + a, &random);
			kept += 2;
			if (kept % FLUSH_EACH == 0)
				flush(fixture);
		}
	}
	for (size_t i = 0; hours && i < fixture->n; i++) {
		const char *host = fixture->mirrors[i].host;
		for (uint32_t k = 0; k < 6; k++) {
			uint64_t from_s =
			        k == 5 ? STATUS_NOW_S - 1500 : STATUS_NOW_S - 70000 - (4 - k) * 86400;
			uint64_t at_s = from_s + random_below(&random, 600 + k * 300) * (i % 8 == 0 ? 4 : 1);
			if (at_s <= STATUS_NOW_S && fixture->mirrors[i].verdict.reason == REASON_NONE)
				assert_int_equal(
				        history_add_version(fixture->history, at_s, host, "daily", 27800 + k),
				        0);
		}
		const struct verdict *verdict = &fixture->mirrors[i].verdict;
		if (verdict->reason == REASON_NONE)
			continue;
		assert_int_equal(history_add_change(fixture->history, verdict->since_s, host, NULL,
		                                    REASON_NONE, verdict->reason, verdict->detail),
		                 0);
	}
	if (hours && fixture->n > 21)
		assert_int_equal(history_add_change(fixture->history, STATUS_NOW_S - 7200,
		                                    fixture->mirrors[21].host, &fixture->addrs[42].addr,
		                                    REASON_SLOW, REASON_NONE, "2 good checks in a row"),
		                 0);
	flush(fixture);
	prune(fixture, STATUS_NOW_S);
}

void status_fixture_init(struct status_fixture *fixture, size_t mirrors_n, unsigned hours,
                         const char *directory)
{
	memset(fixture, 0, sizeof(*fixture));
	fixture->n = mirrors_n;
	arena_init(&fixture->arena);
	make_pool(fixture);
	make_conf(fixture, directory);
	make_view(fixture);
	struct diag diag;
	diag_init(&diag);
	if (history_open(NULL, false, &diag, &fixture->history) < 0)
		fail_msg("history: %s", diag.messages_n ? diag.messages[0].text : "");
	diag_fini(&diag);
	make_history(fixture, hours);
}

void status_fixture_fini(struct status_fixture *fixture)
{
	history_close(fixture->history);
	pool_fixture_fini(&fixture->pool);
	arena_fini(&fixture->arena);
}
