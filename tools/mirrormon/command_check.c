#include "mirrormon/command_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utc.h"
#include "mirrormon/checker.h"

struct address_check {
	struct check_request request;
	struct check_result result;
};

struct run {
	const struct conf_monitor *conf;
	struct address_check *checks;
	size_t checks_n;
};

static void on_done(void *context, const struct check_request *request, const struct check_result *result)
{
	struct run *run = context;
	for (size_t i = 0; i < run->checks_n; i++) {
		if (&run->checks[i].request == request)
			run->checks[i].result = *result;
	}
}

static const struct conf_mirror *find_mirror(const struct conf_monitor *conf, const char *host)
{
	for (size_t i = 0; i < conf->pool->mirrors_n; i++) {
		if (strcasecmp(conf->pool->mirrors[i].host, host) == 0)
			return &conf->pool->mirrors[i];
	}
	return NULL;
}

static unsigned number_of_patched(const struct conf_checks *conf)
{
	for (size_t i = 0; i < conf->databases_n; i++) {
		if (strcmp(conf->databases[i], conf->patched) == 0)
			return (unsigned)i;
	}
	return 0;
}

/* Returns true when the address is late. */
static bool print_timestamp(const struct conf_monitor *conf, const struct check_result *result, FILE *out)
{
	char text[UTC_TEXT_MAX];
	uint64_t age_s = result->at_s > result->timestamp_s ? result->at_s - result->timestamp_s : 0;
	bool is_late = conf->decision.late_after_s && age_s >= conf->decision.late_after_s;
	if (!result->timestamp_s)
		return false;
	fprintf(out, "  timestamp  %s, %" PRIu64 " h %" PRIu64 " min old%s\n",
	        utc_format(result->timestamp_s, text), age_s / 3600, age_s / 60 % 60,
	        !is_late                              ? ""
	        : age_s >= conf->decision.old_after_s ? ": old, it would be taken out"
	                                              : ": late");
	return is_late;
}

static void print_databases(const struct conf_checks *conf, const struct check_result *result, FILE *out)
{
	char built[UTC_TEXT_MAX];
	for (size_t i = 0; i < conf->databases_n && i < MODEL_DATABASES_MAX; i++) {
		const struct seen_database *seen = &result->databases[i];
		if (!seen->version)
			continue;
		fprintf(out, "  %-10s version %" PRIu32 ", built %s", conf->databases[i], seen->version,
		        seen->built_s ? utc_format(seen->built_s, built) : "at an unknown time");
		if (conf->cdiffs && strcmp(conf->databases[i], conf->patched) == 0 &&
		    !(result->untried & CHECK_PART_PATCHES))
			fprintf(out, ", %d of the last %" PRIu32 " patches%s",
			        __builtin_popcount(seen->cdiffs), conf->cdiffs,
			        seen->cdiffs & 1 ? "" : ", not the newest");
		fputc('\n', out);
	}
}

static void print_warnings(unsigned warnings, FILE *out)
{
	if (warnings & CHECK_WARN_NO_304)
		fputs("  warning    If-Modified-Since with the build time brings the file again, not 304: "
		      "keep "
		      "the modification times (rsync --times)\n",
		      out);
	if (warnings & CHECK_WARN_CDIFF_GAP)
		fputs("  warning    a patch before the newest is missing or empty: clients behind it fetch "
		      "the "
		      "whole database\n",
		      out);
	if (warnings & CHECK_WARN_HOST_HEADER)
		fputs("  warning    it answers to one of the pool's names only: set up a ServerAlias for "
		      "each\n",
		      out);
}

static void print_untried(const struct conf_monitor *conf, const struct address_check *check, FILE *out)
{
	const struct check_result *result = &check->result;
	const struct conf_checks *checks = &conf->checks;
	const char *before = "  not tried  ";
	for (size_t i = 0; i < checks->databases_n && i < MODEL_DATABASES_MAX; i++) {
		if (!(result->untried_databases & 1U << i))
			continue;
		fprintf(out, "%s%s.cvd", before, checks->databases[i]);
		before = ", ";
	}
	const struct {
		enum check_part part;
		const char *text, *database;
	} parts[] = {
		{ CHECK_PART_PATCHES, "patches of ", checks->patched },
		{ CHECK_PART_OTHER_HOST, "another Host header", "" },
		{ CHECK_PART_UNCHANGED, "If-Modified-Since", "" },
		{ CHECK_PART_WHOLE, "a whole ", checks->databases[check->request.deep_database] },
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (!(result->untried & parts[i].part))
			continue;
		fprintf(out, "%s%s%s", before, parts[i].text, parts[i].database);
		before = ", ";
	}
	if (result->untried || result->untried_databases)
		fputs(": a check ends with its first finding\n", out);
}

/* Returns true when there was a finding. */
static bool print_check(const struct conf_monitor *conf, const struct address_check *check, FILE *out)
{
	char text[ADDR_TEXT_MAX];
	const struct check_result *result = &check->result;
	const char *address = addr_format(&check->request.addr, text, sizeof(text));
	if (result->at_s == 0) {
		fprintf(out, "%s  not checked from here: %s\n", address,
		        result->detail[0] ? result->detail : "no memory or file descriptor was free for it");
		return true;
	}
	fprintf(out, "%s  %s\n", address,
	        result->reason == REASON_NONE ? "good" : reason_text(result->reason));
	if (result->detail[0])
		fprintf(out, "  %s\n", result->detail);
	bool is_late = print_timestamp(conf, result, out);
	print_databases(&conf->checks, result, out);
	print_untried(conf, check, out);
	if (check->request.deep && !(result->untried & CHECK_PART_WHOLE))
		fprintf(out, "  whole      %s%s\n", conf->checks.databases[check->request.deep_database],
		        result->deep                    ? " fetched and verified"
		        : result->reason != REASON_NONE ? " not verified, see above"
		                                        : " not verified: see the log, is sigtool there?");
	print_warnings(result->warnings, out);
	fprintf(out,
	        "  time       connected in %" PRIu32 ".%03" PRIu32 " ms, first byte after %" PRIu32
	        ".%03" PRIu32 " ms, all requests %" PRIu32 ".%03" PRIu32 " ms\n",
	        result->connect_us / 1000, result->connect_us % 1000, result->first_us / 1000,
	        result->first_us % 1000, result->total_us / 1000, result->total_us % 1000);
	return result->reason != REASON_NONE || result->warnings || is_late;
}

static int run_checks(struct run *run, const struct conf_mirror *mirror)
{
	uv_loop_t loop;
	struct checker *checker = NULL;
	int rc = uv_loop_init(&loop);
	if (rc < 0)
		return rc;
	rc = checker_create(&loop, &run->conf->checks, run->conf->ca_file, &checker);
	for (size_t i = 0; i < run->checks_n && rc == 0; i++) {
		struct check_request *request = &run->checks[i].request;
		request->host = mirror->host;
		request->addr = mirror->addrs[i].addr;
		request->country = country_from_code(mirror->country);
		request->deep = i == 0 && run->conf->checks.databases_n;
		request->deep_database = number_of_patched(&run->conf->checks);
		rc = checker_start(checker, request, on_done, run);
	}
	/* A checker that is idle keeps no handle active. */
	if (rc == 0)
		uv_run(&loop, UV_RUN_DEFAULT);
	checker_close(checker);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return rc;
}

int command_check(const struct conf_monitor *conf, const char *host, FILE *out)
{
	const struct conf_mirror *mirror = find_mirror(conf, host);
	if (!mirror) {
		fprintf(out, "%s: no mirror of pool %s has this name\n", host, conf->pool->name);
		return -ENOENT;
	}
	struct run run = { .conf = conf, .checks_n = mirror->addrs_n };
	run.checks = calloc(run.checks_n + 1, sizeof(*run.checks));
	int rc = run.checks ? run_checks(&run, mirror) : -ENOMEM;
	if (rc < 0)
		fprintf(out, "%s: cannot be checked: %s\n", host, strerror(-rc));
	for (size_t i = 0; rc >= 0 && i < run.checks_n; i++)
		rc |= print_check(conf, &run.checks[i], out);
	free(run.checks);
	return rc;
}
