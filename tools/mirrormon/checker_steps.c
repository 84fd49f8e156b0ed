#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utc.h"
#include "mirrormon/checker_int.h"

#define FUTURE_MAX_S 300
#define HEADER_RANGE "0-511"

void job_fail(struct job *job, enum reason reason, const char *fmt, ...)
{
	char text[MODEL_DETAIL_MAX * 2];
	char line[sizeof(text) + sizeof(job->what)];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	int len = snprintf(line, sizeof(line), "%s: %s", job->what, text);
	job->result.reason = reason;
	checker_copy_printable(line, (size_t)len, job->result.detail, sizeof(job->result.detail));
}

static const struct conf_checks *conf_of(const struct job *job)
{
	return job->checker->conf;
}

static uint64_t now_of(const struct job *job)
{
	return job->request && job->request->now_s ? job->request->now_s : utc_now();
}

/* "db.%c.clamav.net": as clients of that country write it, or those whose country is not known. */
static void expand_host(const char *pattern, uint16_t country, char host[CHECKER_HOST_MAX])
{
	char code[8] = "local";
	size_t len = 0;
	if (country != COUNTRY_UNKNOWN)
		country_to_code(country, code);
	for (const char *at = pattern; *at && len < CHECKER_HOST_MAX - sizeof(code); at++) {
		if (at[0] == '%' && at[1] == 'c') {
			for (const char *c = code; *c; c++)
				host[len++] = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
			at++;
		} else {
			host[len++] = *at;
		}
	}
	host[len] = '\0';
}

static void set_host(struct job *job, unsigned turn)
{
	const struct conf_checks *conf = conf_of(job);
	if (conf->hosts_n)
		expand_host(conf->hosts[turn % conf->hosts_n], job->request->country, job->host);
	else
		snprintf(job->host, sizeof(job->host), "%s", job->request->host);
}

/* Connections are kept by the name in the URL: one of its own keeps checks of an address apart. */
static int set_target(struct job *job)
{
	char text[ADDR_TEXT_MAX];
	struct addr addr = { 0 };
	if (job->kind == JOB_CHECK) {
		addr = job->request->addr;
		snprintf(job->base, sizeof(job->base), "http://check-%" PRIu64 ".invalid", job->number);
		set_host(job, job->request->turn);
	} else if (job->kind == JOB_REFERENCE) {
		const char *url = job->reference->url;
		size_t len = strlen(url);
		while (len && url[len - 1] == '/')
			len--;
		if (len >= sizeof(job->base) ||
		    (job->reference->address && addr_parse(job->reference->address, &addr) < 0))
			return -EINVAL;
		memcpy(job->base, url, len);
		job->base[len] = '\0';
	}
	if (addr.family == 0)
		return 0;
	addr_format(&addr, text, sizeof(text));
	int len = snprintf(job->connect_to, sizeof(job->connect_to),
	                   addr.family == 6 ? "::[%s]:" : "::%s:", text);
	if (job->kind == JOB_CHECK)
		snprintf(job->connect_to + len, sizeof(job->connect_to) - (size_t)len, "%u",
		         (unsigned)conf_of(job)->port);
	return 0;
}

static int ask_path(struct job *job, const char *path, struct ask *ask)
{
	char url[CHECKER_URL_MAX];
	int len = snprintf(url, sizeof(url), "%s%s", job->base, path);
	if (len >= (int)sizeof(url))
		return -EINVAL;
	ask->url = url;
	ask->connect_to = job->connect_to[0] ? job->connect_to : NULL;
	ask->host = job->host[0] ? job->host : NULL;
	ask->family = job->family;
	snprintf(job->what, sizeof(job->what), "%s %s%s%s (%s%s)", ask->head ? "HEAD" : "GET", path,
	         ask->range ? ", bytes " : "", ask->range ? ask->range : "", ask->host ? "Host " : "",
	         ask->host ? ask->host : job->base);
	return checker_job_ask(job, ask);
}

static int ask_timestamp(struct job *job)
{
	return ask_path(job, "/timestamp", &(struct ask){ .body_max = CHECKER_TIMESTAMP_MAX });
}

static int ask_header(struct job *job, unsigned database, const char *since)
{
	char path[VERSION_NAME_MAX + 8];
	snprintf(path, sizeof(path), "/%.*s.cvd", VERSION_NAME_MAX, conf_of(job)->databases[database]);
	return ask_path(job, path,
	                &(struct ask){ .range = HEADER_RANGE,
	                               .if_modified_since = since,
	                               .body_max = CVD_HEADER_LEN });
}

static int ask_cdiff(struct job *job, uint32_t version)
{
	char path[VERSION_NAME_MAX + 24];
	snprintf(path, sizeof(path), "/%.*s-%" PRIu32 ".cdiff", VERSION_NAME_MAX, conf_of(job)->patched,
	         version);
	return ask_path(job, path,
	                &(struct ask){ .head = !job->head_refused,
	                               .range = job->head_refused ? "0-0" : NULL,
	                               .body_max = 1 });
}

static int ask_whole(struct job *job)
{
	char path[VERSION_NAME_MAX + 8];
	if (!job->deep)
		job->deep = deep_create(job);
	if (!job->deep)
		return -errno;
	snprintf(path, sizeof(path), "/%.*s.cvd", VERSION_NAME_MAX,
	         conf_of(job)->databases[job->request->deep_database]);
	return ask_path(job, path,
	                &(struct ask){ .is_deep = true, .body_max = conf_of(job)->deep_max_bytes });
}

static size_t databases_n(const struct job *job)
{
	size_t n = conf_of(job)->databases_n;
	return n < MODEL_DATABASES_MAX ? n : MODEL_DATABASES_MAX;
}

/* Number of the database that has patches; -1 = none. */
static int patched_of(const struct job *job)
{
	for (size_t i = 0; i < databases_n(job); i++) {
		if (strcmp(conf_of(job)->databases[i], conf_of(job)->patched) == 0)
			return (int)i;
	}
	return -1;
}

/* Does a patch of that number count have to be there? None leads to the first version. */
static bool has_cdiff(const struct job *job, unsigned index)
{
	int patched = patched_of(job);
	uint32_t n = conf_of(job)->cdiffs < MODEL_CDIFFS_MAX ? conf_of(job)->cdiffs : MODEL_CDIFFS_MAX;
	if (job->kind != JOB_CHECK || patched < 0)
		return false;
	if (job->request->brief && n > 1)
		n = 1;
	return index < n && job->result.databases[patched].version > index + 1;
}

/* The database whose modification time is looked at; -1 = none has a build time. */
static int dated_of(const struct job *job)
{
	int patched = patched_of(job);
	if (patched >= 0 && job->result.databases[patched].built_s)
		return patched;
	for (size_t i = 0; i < databases_n(job); i++) {
		if (job->result.databases[i].built_s)
			return (int)i;
	}
	return -1;
}

static bool is_step_wanted(const struct job *job)
{
	bool is_full = job->kind == JOB_CHECK && !job->request->brief;
	switch (job->step) {
	case STEP_TIMESTAMP: return job->index == 0 && (is_full || job->kind == JOB_REFERENCE);
	case STEP_HEADER: return job->index < databases_n(job);
	case STEP_CDIFF: return has_cdiff(job, job->index);
	case STEP_OTHER_HOST: return is_full && job->index == 0 && conf_of(job)->hosts_n > 1;
	case STEP_UNCHANGED: return is_full && job->index == 0 && dated_of(job) >= 0;
	case STEP_DEEP:
		return job->kind == JOB_CHECK && job->index == 0 && job->request->deep &&
		       job->request->deep_database < databases_n(job);
	case STEP_END: break;
	}
	return false;
}

/* Returns 1 when something was asked, 0 when the job is done, negative errno. */
static int ask_next(struct job *job)
{
	while (job->step != STEP_END && !is_step_wanted(job)) {
		job->step++;
		job->index = 0;
	}
	int rc = 0;
	switch (job->step) {
	case STEP_TIMESTAMP: rc = ask_timestamp(job); break;
	case STEP_HEADER: rc = ask_header(job, job->index, NULL); break;
	case STEP_CDIFF:
		rc = ask_cdiff(job, job->result.databases[patched_of(job)].version - job->index);
		break;
	case STEP_OTHER_HOST:
		set_host(job, job->request->turn + 1);
		rc = ask_timestamp(job);
		set_host(job, job->request->turn);
		break;
	case STEP_UNCHANGED: {
		char date[CHECKER_DATE_MAX];
		unsigned database = (unsigned)dated_of(job);
		if (checker_format_date(job->result.databases[database].built_s, date) < 0) {
			job->step = STEP_DEEP;
			return ask_next(job);
		}
		rc = ask_header(job, database, date);
		break;
	}
	case STEP_DEEP: rc = ask_whole(job); break;
	case STEP_END: return 0;
	}
	return rc < 0 ? rc : 1;
}

/* Let a range come as asked, or the whole file whose rest was not read. */
static bool is_range_good(struct job *job, uint64_t asked_n)
{
	const struct reply *reply = &job->transfer->reply;
	if (reply->status == 200)
		return true;
	if (reply->status != 206) {
		job_fail(job, REASON_HTTP_ERROR, "%u %s, not 206 or 200", reply->status, reply->phrase);
		return false;
	}
	if (!reply->has_range) {
		job_fail(job, REASON_HTTP_ERROR, "206 without a Content-Range of one range of bytes");
		return false;
	}
	if (reply->range.first != 0 || reply->range.last >= asked_n) {
		job_fail(job, REASON_HTTP_ERROR, "Content-Range %" PRIu64 "-%" PRIu64 ", not 0-%" PRIu64,
		         reply->range.first, reply->range.last, asked_n - 1);
		return false;
	}
	if (reply->is_cut || reply->body_len != reply->range.last + 1) {
		job_fail(job, REASON_HTTP_ERROR, "Content-Range of %" PRIu64 " bytes, but %s%" PRIu64 " came",
		         reply->range.last + 1, reply->is_cut ? "more than " : "", reply->body_len);
		return false;
	}
	return true;
}

static void read_timestamp(struct job *job)
{
	const struct reply *reply = &job->transfer->reply;
	uint64_t s;
	if (reply->status != 200) {
		job_fail(job, REASON_HTTP_ERROR, "%u %s, not 200", reply->status, reply->phrase);
	} else if (reply->is_cut) {
		job_fail(job, REASON_HTTP_ERROR, "more than %d bytes", CHECKER_TIMESTAMP_MAX);
	} else if (checker_parse_timestamp(job->transfer->body, (size_t)reply->body_len, &s) < 0) {
		char text[48];
		size_t len = strcspn(job->transfer->body, "\r\n");
		checker_copy_printable(job->transfer->body, len, text, sizeof(text));
		job_fail(job, REASON_WRONG_CONTENT, "\"%s\" is no time in seconds since 1970", text);
	} else if (s > now_of(job) + FUTURE_MAX_S) {
		char text[UTC_TEXT_MAX];
		char now[UTC_TEXT_MAX];
		job_fail(job, REASON_WRONG_CONTENT, "%s is in the future, it is %s", utc_format(s, text),
		         utc_format(now_of(job), now));
	} else {
		job->result.timestamp_s = s;
	}
}

static void read_header(struct job *job)
{
	const struct reply *reply = &job->transfer->reply;
	struct cvd_header header;
	const char *why;
	if (!is_range_good(job, CVD_HEADER_LEN))
		return;
	if (cvd_header_parse((const uint8_t *)job->transfer->body, (size_t)reply->body_len, &header, &why) <
	    0) {
		job_fail(job, REASON_WRONG_CONTENT, "%s", why);
		return;
	}
	job->result.databases[job->index].version = header.version;
	job->result.databases[job->index].built_s = header.built_s;
}

/* Returns true when it has to be asked again, in another way. */
static bool read_cdiff(struct job *job, enum reason reason, const char *text)
{
	const struct reply *reply = &job->transfer->reply;
	bool is_whole = !reply->fault && (reply->code == CURLE_OK || reply->is_cut);
	bool is_missing = is_whole && (reply->status == 404 || reply->status == 410 ||
	                               /* no first byte: it is empty */
	                               (job->head_refused && reply->status == 416));
	if (!job->head_refused && is_whole &&
	    (reply->status == 405 || reply->status == 501 || (reply->status == 200 && !reply->has_length))) {
		job->head_refused = true;
		return true;
	}
	bool has = false;
	if (reason != REASON_NONE && !is_missing) {
		job_fail(job, reason, "%s", text);
		return false;
	}
	if (!is_missing && job->head_refused) {
		if (!is_range_good(job, 1))
			return false;
		has = reply->body_len > 0;
	} else if (!is_missing) {
		if (reply->status != 200) {
			job_fail(job, REASON_HTTP_ERROR, "%u %s, not 200", reply->status, reply->phrase);
			return false;
		}
		has = reply->length > 0;
	}
	if (has)
		job->result.databases[patched_of(job)].cdiffs |= 1U << job->index;
	else if (job->index)
		job->result.warnings |= CHECK_WARN_CDIFF_GAP;
	return false;
}

static void count(struct job *job)
{
	const struct reply *reply = &job->transfer->reply;
	struct check_result *result = &job->result;
	uint64_t total_us = result->total_us + reply->total_us;
	if (reply->family)
		result->family = reply->family;
	if (job->step == STEP_DEEP)
		return;
	if (!job->was_connected) {
		job->was_connected = true;
		result->connect_us =
		        (uint32_t)(reply->connect_us < UINT32_MAX ? reply->connect_us : UINT32_MAX);
		result->first_us = (uint32_t)(reply->first_us < UINT32_MAX ? reply->first_us : UINT32_MAX);
	}
	result->total_us = (uint32_t)(total_us < UINT32_MAX ? total_us : UINT32_MAX);
}

/* What this step's answer means. Returns true when sigtool has been started. */
static bool read_answer(struct job *job)
{
	const struct transfer *transfer = job->transfer;
	const struct reply *reply = &transfer->reply;
	char text[MODEL_DETAIL_MAX];
	enum reason reason = transfer_judge(transfer, conf_of(job), text, sizeof(text));
	bool is_http = reason == REASON_HTTP_ERROR || reason == REASON_REFUSED;
	if (job->step == STEP_OTHER_HOST) {
		if (is_http || (reason == REASON_NONE && reply->status != 200))
			job->result.warnings |= CHECK_WARN_HOST_HEADER;
		else if (reason != REASON_NONE)
			job_fail(job, reason, "%s", text);
		return false;
	}
	if (job->step == STEP_CDIFF) {
		if (!read_cdiff(job, reason, text))
			job->index++;
		return false;
	}
	if (reason != REASON_NONE) {
		job_fail(job, reason, "%s", text);
		return false;
	}
	if (job->step == STEP_UNCHANGED) {
		if (reply->status != 304)
			job->result.warnings |= CHECK_WARN_NO_304;
		return false;
	}
	if (reply->status == 304) {
		job_fail(job, REASON_HTTP_ERROR, "304 %s, but nothing was asked to be newer", reply->phrase);
		return false;
	}
	switch (job->step) {
	case STEP_TIMESTAMP: read_timestamp(job); break;
	case STEP_HEADER: read_header(job); break;
	case STEP_DEEP:
		if (reply->status != 200)
			job_fail(job, REASON_HTTP_ERROR, "%u %s, not 200", reply->status, reply->phrase);
		else if (reply->is_cut)
			job_fail(job, REASON_HTTP_ERROR, "longer than %" PRIu64 " bytes (deep-max-bytes)",
			         conf_of(job)->deep_max_bytes);
		else
			return deep_finish(job->deep);
		break;
	case STEP_CDIFF:
	case STEP_OTHER_HOST:
	case STEP_UNCHANGED:
	case STEP_END: break;
	}
	return false;
}

/* It ends with what it found: what would have followed? */
static void note_untried(struct job *job)
{
	struct check_result *result = &job->result;
	const struct conf_checks *conf = conf_of(job);
	bool is_check = job->kind == JOB_CHECK;
	bool is_full = is_check && !job->request->brief;
	size_t asked_n = job->step == STEP_TIMESTAMP ? 0
	                 : job->step == STEP_HEADER  ? job->index + 1
	                                             : databases_n(job);
	for (size_t i = asked_n; i < databases_n(job); i++)
		result->untried_databases |= 1U << i;
	/* Of patches the index is that of the next. */
	if (job->step == STEP_CDIFF
	            ? has_cdiff(job, job->index)
	            : job->step < STEP_CDIFF && is_check && conf->cdiffs && patched_of(job) >= 0)
		result->untried |= CHECK_PART_PATCHES;
	if (job->step < STEP_OTHER_HOST && is_full && conf->hosts_n > 1)
		result->untried |= CHECK_PART_OTHER_HOST;
	if (job->step < STEP_UNCHANGED && is_full && databases_n(job))
		result->untried |= CHECK_PART_UNCHANGED;
	if (job->step < STEP_DEEP && is_check && job->request->deep &&
	    job->request->deep_database < databases_n(job))
		result->untried |= CHECK_PART_WHOLE;
}

/* It has ended for want of something of ours: as if there had been no check. */
static void forget(struct job *job)
{
	int os_error = job->transfer ? job->transfer->reply.os_error : 0;
	memset(&job->result, 0, sizeof(job->result));
	if (os_error)
		snprintf(job->result.detail, sizeof(job->result.detail), "%s", strerror(os_error));
}

static void finish(struct job *job)
{
	job->result.at_s = now_of(job);
	job->result.brief = job->kind == JOB_CHECK && job->request->brief;
}

int job_begin(struct job *job)
{
	if (job->kind == JOB_FETCH)
		return checker_job_ask(
		        job,
		        &(struct ask){ .url = job->url, .is_https_only = true, .body_max = job->fetch_max });
	if (set_target(job) < 0) {
		snprintf(job->what, sizeof(job->what), "reference");
		finish(job);
		job_fail(job, REASON_UNREACHABLE, "%.80s is no URL or %.60s no address", job->reference->url,
		         job->reference->address ? job->reference->address : "");
		return -EINVAL;
	}
	int rc = ask_next(job);
	if (rc == 0)
		finish(job);
	return rc > 0 ? 0 : rc < 0 ? rc : -ENOENT;
}

bool job_step(struct job *job)
{
	if (job->kind == JOB_FETCH)
		return false;
	if (transfer_is_our_fault(job->transfer)) {
		forget(job);
		return false;
	}
	/* A disk of ours that is full ends a deep check, but what was found before holds. */
	if (job->transfer->reply.is_disk_full) {
		finish(job);
		return false;
	}
	count(job);
	finish(job);
	if (read_answer(job))
		return true;
	if (job->result.reason != REASON_NONE) {
		note_untried(job);
		return false;
	}
	if (job->step != STEP_CDIFF)
		job->index++;
	int rc = ask_next(job);
	if (rc < 0 && job->step != STEP_DEEP)
		forget(job);
	return rc > 0;
}
