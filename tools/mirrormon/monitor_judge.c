/* From standings and votes to what holds, and to the view that all output is made of. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/utc.h"
#include "mirrormon/monitor_int.h"
#include "mirrormon/quote.h"

/* The wall clock and the loop's may go apart by so much before it counts as set by somebody. */
#define JUMP_S 60

#define OTHERS_MAX 64 /* votes that are looked at */

/** What happened in the future happened now, and what waits for a time to pass waits all of it. */
static void set_back(struct monitor *monitor, uint64_t now_s)
{
	for (size_t i = 0; i < monitor->watched_n; i++) {
		struct watched *watched = monitor->watched[i];
		standing_set_back(&watched->standing, now_s);
		if (watched->last.at_s > now_s)
			watched->last.at_s = now_s;
		if (watched->held.at_s > now_s)
			watched->held.at_s = now_s;
	}
	for (size_t i = 0; i < MODEL_DATABASES_MAX; i++) {
		if (monitor->databases[i].candidate)
			monitor->databases[i].candidate_since_s = now_s;
		if (monitor->databases[i].ready)
			monitor->databases[i].ready_since_s = now_s;
	}
}

static void notice_jump(struct monitor *monitor, uint64_t now_s)
{
	uint64_t loop_ms = uv_now(&monitor->loop);
	if (monitor->wall_s) {
		int64_t off_s = (int64_t)(now_s - monitor->wall_s) -
		                (int64_t)((loop_ms - monitor->wall_loop_ms) / 1000);
		if (off_s > JUMP_S || off_s < -JUMP_S) {
			log_warning(
			        "the clock was set by %lld s: nothing is decided before the next self-test",
			        (long long)off_s);
			set_back(monitor, now_s);
			if (monitor->verified_s > now_s)
				monitor->verified_s = now_s;
			monitor->self_ok = false;
			monitor->self_since_s = now_s;
			snprintf(monitor->self_detail, sizeof(monitor->self_detail),
			         "the clock was set by %lld s", (long long)off_s);
			monitor_self_test(monitor);
		}
	}
	monitor->wall_s = now_s;
	monitor->wall_loop_ms = loop_ms;
}

/** The others' that count now. */
struct ballot {
	const struct vote *votes[OTHERS_MAX];
	size_t n;
};

static void count_votes(const struct monitor *monitor, uint64_t now_s, struct ballot *ret_ballot)
{
	const char *why;
	ret_ballot->n = 0;
	for (size_t i = 0; i < monitor->colleagues_n && ret_ballot->n < OTHERS_MAX; i++) {
		if (monitor_vote_counts(monitor, &monitor->colleagues[i], now_s, &why))
			ret_ballot->votes[ret_ballot->n++] = monitor->colleagues[i].vote;
	}
}

static void judge_address(struct monitor *monitor, struct watched *watched, const struct ballot *ballot,
                          uint64_t now_s)
{
	const struct conf_votes *conf = &monitor->settings->conf->votes;
	struct opinion opinions[1 + OTHERS_MAX];
	size_t n = 0;
	opinions[n++] = (struct opinion){ .reason = watched->standing.reason,
		                          .since_s = watched->standing.since_s,
		                          .detail = watched->standing.detail };
	for (size_t i = 0; i < ballot->n; i++)
		opinions[n++] = vote_find(ballot->votes[i], &watched->addr);
	uint32_t quorum = conf->quorum ? conf->quorum : (uint32_t)(1 + conf->others_n) / 2 + 1;
	struct verdict before = watched->verdict;
	judge(opinions, n, quorum, &before, now_s, &watched->verdict);
	if (before.reason == watched->verdict.reason)
		return;
	monitor->changes_n++;
	char text[ADDR_TEXT_MAX], detail[QUOTE_DETAIL_MAX];
	addr_format(&watched->addr, text, sizeof(text));
	log_info("address mirror=%s address=%s from=%s to=%s votes=%u/%u detail=\"%s\"", watched->host, text,
	         reason_text(before.reason), reason_text(watched->verdict.reason), watched->verdict.votes_out,
	         watched->verdict.votes_n, quote_text(watched->verdict.detail, detail, sizeof(detail)));
	history_add_change(monitor->history, now_s, watched->host, &watched->addr, before.reason,
	                   watched->verdict.reason, watched->verdict.detail);
}

void monitor_sum_up(const struct verdict *one, bool is_first, struct verdict *sum)
{
	if (!is_first && sum->reason == REASON_NONE)
		return;
	uint64_t since_s = is_first || one->since_s > sum->since_s ? one->since_s : sum->since_s;
	if (is_first || one->reason == REASON_NONE || one->reason > sum->reason)
		*sum = *one;
	if (sum->reason == REASON_NONE)
		sum->detail[0] = '\0';
	else
		sum->since_s = since_s; /* wholly out since the last of them is */
}

static bool is_in_window(const struct mirror *mirror, uint64_t now_s)
{
	for (size_t i = 0; i < mirror->windows_n; i++) {
		const struct conf_window *window = &mirror->windows[i];
		if (now_s < window->from_s)
			continue;
		uint64_t at_s = now_s - window->from_s;
		if (window->every_s)
			at_s %= window->every_s;
		if (at_s < window->until_s - window->from_s)
			return true;
	}
	return false;
}

/** Is it in by the votes of others, though we cannot see it? What it has by now, nobody here knows. */
static bool is_out_of_sight(const struct address_view *addr)
{
	return addr->standing.reason != REASON_NONE && addr->standing.failures_n > 0;
}

/**
 * What of its addresses that are in counts for the gate: the least of those that have shown a version. Where
 * none has yet, since a start or a new configuration, or none can be seen from here, it is 0: the mirror
 * counts among those that would have to have a new one, or the few that were seen would be a quorum, and
 * lacks none.
 */
static void set_gate(const struct mirror_view *mirror, size_t database, bool has_patches,
                     struct gate_mirror *ret_gate)
{
	*ret_gate =
	        (struct gate_mirror){ .country = mirror->country, .version = UINT32_MAX, .has_patch = true };
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		const struct address_view *addr = &mirror->addrs[i];
		const struct seen_database *seen = &addr->last.databases[database];
		if (addr->verdict.reason != REASON_NONE)
			continue;
		ret_gate->is_in = true;
		if (seen->version == 0 || is_out_of_sight(addr))
			continue;
		bool has_patch = !has_patches || (seen->cdiffs & 1);
		if (seen->version < ret_gate->version) {
			ret_gate->version = seen->version;
			ret_gate->has_patch = has_patch;
		} else if (seen->version == ret_gate->version) {
			ret_gate->has_patch = ret_gate->has_patch && has_patch;
		}
	}
	if (ret_gate->version == UINT32_MAX)
		ret_gate->version = 0;
}

/** Returns false when out of memory. */
static bool pass_gate(struct monitor *monitor, struct view *view, struct mirror_view *mirrors)
{
	const struct conf_checks *checks = &view->conf->checks;
	struct gate_mirror *gate = calloc(view->mirrors_n ? view->mirrors_n : 1, sizeof(*gate));
	bool *lacks = calloc(view->mirrors_n ? view->mirrors_n : 1, sizeof(*lacks));
	for (size_t d = 0; gate && lacks && d < checks->databases_n; d++) {
		struct announced *announced = &monitor->databases[d];
		uint32_t before = announced->version, ready_before = announced->ready;
		bool has_patches = strcmp(checks->databases[d], checks->patched) == 0 && checks->cdiffs > 0;
		for (size_t i = 0; i < view->mirrors_n; i++)
			set_gate(&mirrors[i], d, has_patches, &gate[i]);
		gate_pass(&view->conf->announce, gate, view->mirrors_n, monitor_reference_version(monitor, d),
		          view->now_s, announced, lacks);
		for (size_t i = 0; i < view->mirrors_n; i++) {
			/* One that lacked it has to show that it has it now. */
			bool is_unseen = gate[i].version == 0;
			if (mirrors[i].verdict.reason != REASON_NONE || !lacks[i] ||
			    (is_unseen && monitor->told[i].reason != REASON_OUT_OF_SYNC))
				continue;
			mirrors[i].verdict.reason = REASON_OUT_OF_SYNC;
			mirrors[i].verdict.since_s = view->now_s;
			snprintf(mirrors[i].verdict.detail, MODEL_DETAIL_MAX, "%s %s %u, %u is %s",
			         is_unseen ? "was not seen yet since it lacked" : "has", checks->databases[d],
			         is_unseen ? announced->version : gate[i].version,
			         announced->ready ? announced->ready : announced->version,
			         announced->ready ? "about to be announced" : "announced");
		}
		if (announced->ready && announced->ready != ready_before)
			log_info("version ready: database=%s version=%u have=%u of=%u", announced->name,
			         announced->ready, announced->have_n, announced->of_n);
		monitor_keep_announced(monitor, announced);
		if (announced->version == before)
			continue;
		log_info("version announced: database=%s version=%u before=%u have=%u of=%u", announced->name,
		         announced->version, before, announced->have_n, announced->of_n);
	}
	bool is_done = gate && lacks;
	free(gate);
	free(lacks);
	return is_done;
}

/** While nothing is decided, the gate's word holds as it was. */
static void keep_gate(const struct monitor *monitor, struct mirror_view *mirrors, size_t mirrors_n)
{
	for (size_t i = 0; i < mirrors_n; i++) {
		if (monitor->told[i].reason == REASON_OUT_OF_SYNC && mirrors[i].verdict.reason == REASON_NONE)
			mirrors[i].verdict = monitor->told[i];
	}
}

/** Changes of whole mirrors, the gate's among them: told and kept. Returns whether there was one. */
static bool note_changes(struct monitor *monitor, struct mirror_view *mirrors, size_t mirrors_n,
                         uint64_t now_s)
{
	bool changed = false;
	for (size_t i = 0; i < mirrors_n; i++) {
		struct verdict *verdict = &mirrors[i].verdict;
		enum reason before = monitor->told[i].reason;
		if (before == REASON_OUT_OF_SYNC && verdict->reason == before)
			verdict->since_s = monitor->told[i].since_s;
		monitor->told[i] = *verdict;
		if (before == verdict->reason)
			continue;
		changed = true;
		log_info("mirror %s: %s -> %s%s%s", mirrors[i].host, reason_text(before),
		         reason_text(verdict->reason), verdict->detail[0] ? ": " : "", verdict->detail);
		history_add_change(monitor->history, now_s, mirrors[i].host, NULL, before, verdict->reason,
		                   verdict->detail);
	}
	return changed;
}

static void view_mirror(struct view *view, size_t number, struct watched *const *watched, size_t addrs_n,
                        struct mirror_view *ret_mirror, struct address_view *addrs)
{
	const struct mirror *mirror = &view->pool->mirrors[number];
	const struct conf_mirror *conf = &view->conf->pool->mirrors[number];
	*ret_mirror = (struct mirror_view){
		.host = mirror->host,
		.admin = conf->admin,
		.country = mirror->country,
		.weight = mirror->weight,
		.number = number,
		.addrs = addrs,
		.addrs_n = addrs_n,
		.ramp_permille = 1000,
		.in_maintenance = is_in_window(mirror, view->now_s),
	};
	for (size_t i = 0; i < addrs_n; i++) {
		const struct watched *one = watched[i];
		uint64_t full_s, due_ms = uv_timer_get_due_in(&one->timer);
		addrs[i] = (struct address_view){ .addr = one->addr,
			                          .standing = one->standing,
			                          .last = one->last,
			                          .verdict = one->verdict,
			                          .next_check_s = view->now_s + due_ms / 1000 };
		if (one->standing.warning > ret_mirror->warning)
			ret_mirror->warning = one->standing.warning;
		if (one->standing.reason != REASON_NONE && one->standing.successes_n > 0)
			ret_mirror->probation = true;
		/* The feed has one weight for a mirror: that of the address which came back last. */
		uint32_t permille =
		        standing_ramp(&one->standing, view->now_s, &view->conf->decision, &full_s);
		if (permille < 1000 && full_s > ret_mirror->ramp_full_s) {
			ret_mirror->ramp_permille = permille;
			ret_mirror->ramp_from_s = one->standing.returned_s;
			ret_mirror->ramp_full_s = full_s;
		}
		monitor_sum_up(&one->verdict, i == 0, &ret_mirror->verdict);
	}
}

static bool view_monitors(const struct monitor *monitor, struct view *view)
{
	size_t n = view->conf->votes.others_n;
	struct monitor_view *views = arena_alloc(&view->arena, (n ? n : 1) * sizeof(*views));
	if (!views)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct colleague *colleague = &monitor->colleagues[i];
		const char *why;
		views[i].counts = monitor_vote_counts(monitor, colleague, view->now_s, &why);
		snprintf(views[i].detail, sizeof(views[i].detail), "%s", why);
		snprintf(views[i].name, sizeof(views[i].name), "%s",
		         colleague->vote ? colleague->vote->monitor : colleague->source);
		views[i].generated_s = colleague->vote ? colleague->vote->generated_s : 0;
	}
	view->monitors = views;
	view->monitors_n = n;
	return true;
}

static struct view *make_view(struct monitor *monitor, uint64_t now_s, struct mirror_view **ret_mirrors)
{
	struct view *view = view_create(monitor->settings);
	if (!view)
		return NULL;
	const struct pool *pool = view->pool;
	struct mirror_view *mirrors = arena_alloc(&view->arena, (pool->mirrors_n + 1) * sizeof(*mirrors));
	struct address_view *addrs = arena_alloc(&view->arena, (monitor->watched_n + 1) * sizeof(*addrs));
	if (!mirrors || !addrs || !view_monitors(monitor, view)) {
		view_unref(view);
		return NULL;
	}
	view->now_s = now_s;
	view->serial = monitor->serial;
	view->self_ok = monitor->self_ok;
	view->self_since_s = monitor->self_since_s;
	memcpy(view->self_detail, monitor->self_detail, sizeof(view->self_detail));
	view->newest_timestamp_s = monitor->newest_timestamp_s;
	view->verified_s = monitor->verified_s;
	view->mirrors = mirrors;
	view->mirrors_n = pool->mirrors_n;
	/* monitor->watched is in the order of the pool. */
	size_t at = 0;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		size_t addrs_n = pool->mirrors[i].addrs_n;
		view_mirror(view, i, monitor->watched + at, addrs_n, &mirrors[i], addrs + at);
		at += addrs_n;
	}
	*ret_mirrors = mirrors;
	return view;
}

void monitor_judge(struct monitor *monitor)
{
	const struct conf_monitor *conf = monitor->settings->conf;
	uint64_t now_s = utc_now();
	notice_jump(monitor, now_s);
	if (conf->references_n == 0)
		monitor_self_test(monitor);

	/* Before all were looked at once, a feed would let everybody in, and mails would say so. */
	bool is_deciding = monitor->self_ok && !monitor_is_first_round(monitor);
	monitor_tell_round(monitor);
	uint64_t changes_n = monitor->changes_n;
	if (is_deciding) {
		struct ballot ballot;
		count_votes(monitor, now_s, &ballot);
		for (size_t i = 0; i < monitor->watched_n; i++) {
			standing_pass(&monitor->watched[i]->standing, now_s, monitor->newest_timestamp_s,
			              &conf->decision);
			judge_address(monitor, monitor->watched[i], &ballot, now_s);
		}
	}
	struct mirror_view *mirrors;
	struct view *view = make_view(monitor, now_s, &mirrors);
	if (!view) {
		log_error("out of memory: nothing is decided");
		return;
	}
	bool changed = monitor->changes_n != changes_n;
	if (is_deciding) {
		/* Without the gate, mirrors would be back that lack what is announced. */
		if (conf->announce.enabled && !pass_gate(monitor, view, mirrors)) {
			log_error("out of memory: nothing is decided");
			view_unref(view);
			return;
		}
		changed |= note_changes(monitor, mirrors, view->mirrors_n, now_s);
	} else {
		keep_gate(monitor, mirrors, view->mirrors_n);
	}
	view->databases = arena_memdup(&view->arena, monitor->databases, sizeof(monitor->databases));
	view->databases_n = view->databases ? conf->checks.databases_n : 0;
	view_unref(monitor->view);
	monitor->view = view;
	if (monitor_output(monitor, is_deciding, changed) < 0)
		monitor->status = 1;
}
