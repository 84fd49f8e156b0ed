/* Are we well ourselves, and what do the other monitors say? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/utc.h"
#include "mirrormon/monitor_int.h"

#define VOTE_MAX_BYTES (4 << 20)
#define SELF_GAP_MS    2000 /* between self-tests for the sake of checks that failed */

static uint32_t references_quorum(const struct conf_monitor *conf)
{
	return conf->references_quorum ? conf->references_quorum : (uint32_t)conf->references_n / 2 + 1;
}

uint32_t monitor_reference_version(const struct monitor *monitor, size_t database)
{
	uint32_t version = 0;
	for (size_t i = 0; i < monitor->settings->conf->references_n; i++) {
		const struct check_result *last = &monitor->references[i].last;
		if (last->reason == REASON_NONE && last->databases[database].version > version)
			version = last->databases[database].version;
	}
	return version;
}

static void set_self(struct monitor *monitor, bool ok, const char *detail)
{
	if (ok != monitor->self_ok || monitor->self_since_s == 0) {
		uint64_t now_s = utc_now();
		if (ok)
			log_info("self-test passed: %s", detail);
		else
			log_error("self-test failed, nothing is decided: %s", detail);
		if (monitor->self_since_s)
			history_add_change(monitor->history, now_s, NULL, NULL,
			                   ok ? REASON_UNREACHABLE : REASON_NONE,
			                   ok ? REASON_NONE : REASON_UNREACHABLE, detail);
		monitor->self_since_s = now_s;
	}
	monitor->vote_changed |= ok != monitor->self_ok;
	monitor->self_ok = ok;
	snprintf(monitor->self_detail, sizeof(monitor->self_detail), "%s", detail);
}

/** What says now of a check that failed. */
static enum family_word judge_held(const struct monitor *monitor, const struct watched *watched)
{
	/* What it found while we are not well says nothing. */
	if (!monitor->self_ok)
		return FAMILY_LOST;
	/* Whoever has said something was reached. */
	if (watched->held.reason != REASON_UNREACHABLE)
		return FAMILY_WORKS;
	return monitor_family_says(monitor, watched->addr.family, watched->held_ms);
}

static void release(struct watched *watched, bool counts)
{
	struct monitor *monitor = watched->monitor;
	watched->held_ms = 0;
	if (counts)
		watched_observe(watched, &watched->held);
	else
		monitor->dropped_n++;
	/* Looked at it was: it has not been away. */
	if (watched->held.at_s > watched->standing.checked_s)
		watched->standing.checked_s = watched->held.at_s;
	/* While a family is lost all of it fails, each with the whole time limit: not oftener than else. */
	if (!monitor->once)
		watched_wait_after(watched, watched->held.brief, true,
		                   monitor->self_ok ? 0 : monitor->settings->conf->checks.retry_ms);
}

void monitor_release_held(struct monitor *monitor)
{
	bool is_wanted = false, is_unclear[2] = { false, false };
	for (size_t i = 0; i < monitor->watched_n; i++) {
		struct watched *watched = monitor->watched[i];
		if (watched->held_ms == 0)
			continue;
		if (monitor->settings->conf->references_n && watched->held_ms > monitor->self_ended_ms) {
			is_wanted = true;
			continue;
		}
		enum family_word word = judge_held(monitor, watched);
		if (word == FAMILY_UNCLEAR)
			is_unclear[watched->addr.family == 6] = true;
		else
			release(watched, word == FAMILY_WORKS);
	}
	if (is_wanted)
		monitor_self_soon(monitor);
	bool is_lost = false;
	for (size_t i = 0; i < 2; i++) {
		monitor->families[i].is_awaited = is_unclear[i];
		is_lost |= is_unclear[i] && monitor_ask_family(monitor, i == 1 ? 6 : 4);
	}
	if (is_lost)
		monitor_release_held(monitor);
}

static void end_self_test(struct monitor *monitor)
{
	const struct conf_monitor *conf = monitor->settings->conf;
	uint32_t good_n = 0;
	uint64_t newest_s = 0, now_s = utc_now();
	const char *why = "";
	for (size_t i = 0; i < conf->references_n; i++) {
		const struct check_result *last = &monitor->references[i].last;
		if (last->reason != REASON_NONE || last->timestamp_s == 0) {
			why = last->detail;
			continue;
		}
		good_n++;
		if (last->timestamp_s > newest_s)
			newest_s = last->timestamp_s;
	}
	char detail[MODEL_DETAIL_MAX];
	bool ok = good_n >= references_quorum(conf);
	snprintf(detail, sizeof(detail), "%u of %zu references are well%s%.*s", good_n, conf->references_n,
	         why[0] ? "; " : "", 128, why);
	if (ok) {
		monitor->newest_timestamp_s = newest_s;
		monitor->verified_s = now_s;
	}
	set_self(monitor, ok, detail);
	monitor->self_ended_ms = monitor->self_begun_ms;
	monitor_release_held(monitor);
	monitor_touch(monitor);
}

static void on_reference(void *context, const struct conf_reference *reference,
                         const struct check_result *result)
{
	struct monitor *monitor = context;
	const struct conf_monitor *conf = monitor->settings->conf;
	/* An answer to the configuration before is nobody's. */
	if (reference < conf->references || reference >= conf->references + conf->references_n)
		return;
	struct watched_reference *watched = &monitor->references[reference - conf->references];
	watched->last = *result;
	if (result->family && result->reason != REASON_UNREACHABLE)
		monitor_note_answer(monitor, result->family);
	if (--monitor->references_busy_n == 0)
		end_self_test(monitor);
}

/** Without references: are most of the mirrors well? Told when all were looked at. */
static void test_by_mirrors(struct monitor *monitor)
{
	size_t good_n = 0, n = 0;
	uint64_t newest_s = 0;
	if (monitor_is_first_round(monitor))
		return;
	for (size_t i = 0; i < monitor->watched_n; i++) {
		const struct watched *watched = monitor->watched[i];
		/* Of a family that is lost here nothing is known, nor of those nobody has looked at. */
		if (monitor->families[watched->addr.family == 6].is_lacking || !watched->is_checked)
			continue;
		n++;
		good_n += watched->heard == REASON_NONE;
		if (watched->heard == REASON_NONE && watched->last.timestamp_s > newest_s)
			newest_s = watched->last.timestamp_s;
	}
	char detail[MODEL_DETAIL_MAX];
	snprintf(detail, sizeof(detail), "no references: %zu of %zu addresses are well", good_n, n);
	bool ok = monitor->watched_n == 0 || 2 * good_n > n;
	if (ok) {
		monitor->newest_timestamp_s = newest_s;
		monitor->verified_s = utc_now();
	}
	set_self(monitor, ok, detail);
	monitor_release_held(monitor);
}

void monitor_self_test(struct monitor *monitor)
{
	const struct conf_monitor *conf = monitor->settings->conf;
	if (monitor->stopping)
		return;
	if (conf->references_n == 0) {
		test_by_mirrors(monitor);
		return;
	}
	if (monitor->references_busy_n > 0)
		return;
	uv_update_time(&monitor->loop);
	monitor->self_begun_ms = uv_now(&monitor->loop) + 1;
	for (size_t i = 0; i < conf->references_n; i++) {
		if (checker_start_reference(monitor->checker, &conf->references[i], 0, on_reference,
		                            monitor) == 0)
			monitor->references_busy_n++;
	}
	if (monitor->references_busy_n == 0)
		set_self(monitor, false, "out of memory");
}

static void on_self_soon(uv_timer_t *timer)
{
	monitor_self_test(timer->data);
}

void monitor_self_soon(struct monitor *monitor)
{
	const struct conf_monitor *conf = monitor->settings->conf;
	/* Without references the judgement that follows begins with one; the end of one looks for more. */
	if (conf->references_n == 0 || monitor->references_busy_n > 0)
		return;
	uint64_t gap_ms = conf->checks.retry_ms / 4 < SELF_GAP_MS ? conf->checks.retry_ms / 4 : SELF_GAP_MS;
	uint64_t now_ms = uv_now(&monitor->loop), next_ms = monitor->self_begun_ms + gap_ms;
	if (monitor->self_begun_ms == 0 || monitor->once || now_ms >= next_ms)
		monitor_self_test(monitor);
	else if (uv_timer_get_due_in(&monitor->self_timer) > next_ms - now_ms)
		uv_timer_start(&monitor->self_timer, on_self_soon, next_ms - now_ms,
		               uv_timer_get_repeat(&monitor->self_timer));
}

static void take_vote(struct monitor *monitor, struct colleague *colleague, const char *text, size_t text_len)
{
	struct diag diag;
	struct vote *vote = NULL;
	diag_init(&diag);
	int rc = vote_parse(text, text_len, colleague->source, monitor->settings->pool->conf->name, utc_now(),
	                    &diag, &vote);
	if (rc == 0) {
		bool is_new = !colleague->vote || colleague->vote->generated_s != vote->generated_s;
		vote_destroy(colleague->vote);
		colleague->vote = vote;
		if (colleague->detail[0])
			log_info("vote of %s again", colleague->source);
		colleague->detail[0] = '\0';
		if (is_new)
			monitor_touch(monitor);
	} else {
		const char *why = strerror(-rc);
		/* Warnings may come before what it is refused for. */
		for (size_t i = diag.messages_n; i > 0; i--) {
			if (diag.messages[i - 1].level == DIAG_ERROR)
				why = diag.messages[i - 1].text;
		}
		if (strncmp(colleague->detail, why, sizeof(colleague->detail) - 1) != 0)
			log_warning("vote refused, the last one counts until it is too old: %s", why);
		snprintf(colleague->detail, sizeof(colleague->detail), "%s", why);
	}
	diag_fini(&diag);
}

static void vote_failed(struct colleague *colleague, const char *why)
{
	if (strncmp(colleague->detail, why, sizeof(colleague->detail) - 1) != 0)
		log_warning("no vote from %s: %s", colleague->source, why);
	snprintf(colleague->detail, sizeof(colleague->detail), "%s", why);
}

static void on_fetched(void *context, const char *url, int status, const char *text, size_t text_len,
                       const char *why)
{
	struct monitor *monitor = context;
	for (size_t i = 0; i < monitor->settings->conf->votes.others_n; i++) {
		struct colleague *colleague = &monitor->colleagues[i];
		if (strcmp(colleague->source, url) != 0)
			continue;
		colleague->busy = false;
		if (status == 0)
			take_vote(monitor, colleague, text, text_len);
		else
			vote_failed(colleague, why ? why : strerror(-status));
	}
}

void monitor_read_votes(struct monitor *monitor)
{
	for (size_t i = 0; i < monitor->settings->conf->votes.others_n; i++) {
		struct colleague *colleague = &monitor->colleagues[i];
		if (strncmp(colleague->source, "https://", 8) == 0) {
			if (!colleague->busy && checker_fetch(monitor->checker, colleague->source,
			                                      VOTE_MAX_BYTES, on_fetched, monitor) == 0)
				colleague->busy = true;
			continue;
		}
		char *text;
		size_t text_len;
		const char *why;
		if (file_read(colleague->source, VOTE_MAX_BYTES, &text, &text_len, &why) == 0) {
			take_vote(monitor, colleague, text, text_len);
			free(text);
		} else {
			vote_failed(colleague, why);
		}
	}
}

bool monitor_vote_counts(const struct monitor *monitor, const struct colleague *colleague, uint64_t now_s,
                         const char **ret_why)
{
	const struct vote *vote = colleague->vote;
	*ret_why = "";
	if (!vote)
		*ret_why = colleague->detail[0] ? colleague->detail : "not read yet";
	else if (vote->generated_s + monitor->settings->conf->votes.valid_s <= now_s)
		*ret_why = "too old";
	else if (!vote->self_ok)
		*ret_why = "its own self-test has failed";
	else if (strcmp(vote->monitor, monitor->settings->conf->name) == 0)
		*ret_why = "it has our own name, and ours counts already";
	for (const struct colleague *other = monitor->colleagues; !**ret_why && other < colleague; other++) {
		if (other->vote && strcmp(other->vote->monitor, vote->monitor) == 0)
			*ret_why = "another of the votes is by the same monitor";
	}
	return !**ret_why;
}
