/* /metrics and /healthz: what the last view says. */
#include <stdio.h>
#include <stdlib.h>

#include "metrics/text.h"
#include "mirrormon/monitor_int.h"

static void alone(struct metrics_text *text, const char *name, enum metrics_kind kind, const char *help,
                  uint64_t value)
{
	metrics_text_family(text, name, kind, help);
	metrics_text_sample(text, value, NULL);
}

static const char *family_of(const struct addr *addr)
{
	return addr->family == 6 ? "ipv6" : "ipv4";
}

static void write_checks(struct metrics_text *text, const struct monitor *monitor)
{
	const struct view *view = monitor->view;
	char addr[ADDR_TEXT_MAX];
	metrics_text_family(text, "mirrormon_checks_total", METRICS_COUNTER, "checks that ended");
	for (size_t i = 0; i < monitor->watched_n; i++) {
		const struct watched *one = monitor->watched[i];
		metrics_text_sample(text, one->checks_n, "mirror", one->host, "family", family_of(&one->addr),
		                    "address", addr_format(&one->addr, addr, sizeof(addr)), NULL);
	}
	metrics_text_family(text, "mirrormon_check_failures_total", METRICS_COUNTER, "checks that failed");
	for (size_t i = 0; i < monitor->watched_n; i++) {
		const struct watched *one = monitor->watched[i];
		addr_format(&one->addr, addr, sizeof(addr));
		for (int reason = REASON_NONE + 1; reason < REASON_N; reason++) {
			if (one->failures_n[reason])
				metrics_text_sample(text, one->failures_n[reason], "mirror", one->host,
				                    "family", family_of(&one->addr), "address", addr,
				                    "reason", reason_text((enum reason)reason), NULL);
		}
	}
	metrics_text_family(text, "mirrormon_check_duration_seconds", METRICS_GAUGE,
	                    "of the last check, by phase");
	for (size_t i = 0; i < view->mirrors_n; i++) {
		for (size_t k = 0; k < view->mirrors[i].addrs_n; k++) {
			const struct address_view *one = &view->mirrors[i].addrs[k];
			const struct {
				const char *phase;
				uint32_t us;
			} phases[] = { { "connect", one->last.connect_us },
				       { "first-byte", one->last.first_us },
				       { "total", one->last.total_us } };
			addr_format(&one->addr, addr, sizeof(addr));
			for (size_t p = 0; one->last.at_s && p < 3; p++)
				metrics_text_sample_real(text, phases[p].us / 1e6, "mirror",
				                         view->mirrors[i].host, "family",
				                         family_of(&one->addr), "address", addr, "phase",
				                         phases[p].phase, NULL);
		}
	}
}

static void write_mirrors(struct metrics_text *text, const struct monitor *monitor)
{
	const struct view *view = monitor->view;
	metrics_text_family(text, "mirrormon_mirror_age_seconds", METRICS_GAUGE,
	                    "how far the timestamp of a mirror is behind the newest");
	for (size_t i = 0; i < view->mirrors_n; i++) {
		const struct mirror_view *mirror = &view->mirrors[i];
		uint64_t behind_s = 0;
		for (size_t k = 0; k < mirror->addrs_n; k++) {
			uint64_t at_s = mirror->addrs[k].standing.timestamp_s;
			if (at_s && view->newest_timestamp_s > at_s &&
			    view->newest_timestamp_s - at_s > behind_s)
				behind_s = view->newest_timestamp_s - at_s;
		}
		metrics_text_sample(text, behind_s, "mirror", mirror->host, NULL);
	}
	metrics_text_family(
	        text, "mirrormon_mirror_score", METRICS_GAUGE,
	        "as the NTP Pool reckons: 0.95 score + 1 for a good check, - 5 for another; at most 20");
	for (size_t i = 0; i < monitor->watched_n; i++) {
		const struct watched *one = monitor->watched[i];
		char addr[ADDR_TEXT_MAX];
		metrics_text_sample_real(text, one->score, "mirror", one->host, "family",
		                         family_of(&one->addr), "address",
		                         addr_format(&one->addr, addr, sizeof(addr)), NULL);
	}
	metrics_text_family(text, "mirrormon_mirror_up", METRICS_GAUGE, "1 = in the pool, by the votes");
	for (size_t i = 0; i < view->mirrors_n; i++)
		metrics_text_sample(text, view->mirrors[i].verdict.reason == REASON_NONE, "mirror",
		                    view->mirrors[i].host, "reason",
		                    reason_text(view->mirrors[i].verdict.reason), NULL);

	uint64_t by_reason[REASON_N] = { 0 }, warned = 0;
	for (size_t i = 0; i < view->mirrors_n; i++) {
		by_reason[view->mirrors[i].verdict.reason]++;
		warned += view->mirrors[i].verdict.reason == REASON_NONE &&
		          view->mirrors[i].warning != REASON_NONE;
	}
	metrics_text_family(text, "mirrormon_mirrors", METRICS_GAUGE,
	                    "mirrors by why they are out; none = in");
	for (int reason = REASON_NONE; reason < REASON_N; reason++)
		metrics_text_sample(text, by_reason[reason], "reason", reason_text((enum reason)reason),
		                    NULL);
	alone(text, "mirrormon_mirrors_warned", METRICS_GAUGE, "mirrors that are in with a warning", warned);
}

static void write_versions(struct metrics_text *text, const struct view *view)
{
	metrics_text_family(text, "mirrormon_announced_version", METRICS_GAUGE,
	                    "version that DNS is to announce");
	for (size_t i = 0; i < view->databases_n; i++)
		metrics_text_sample(text, view->databases[i].version, "database", view->databases[i].name,
		                    NULL);
	metrics_text_family(text, "mirrormon_candidate_version", METRICS_GAUGE,
	                    "version that waits; 0 = none");
	for (size_t i = 0; i < view->databases_n; i++)
		metrics_text_sample(text, view->databases[i].candidate, "database", view->databases[i].name,
		                    NULL);
	metrics_text_family(text, "mirrormon_candidate_wait_seconds", METRICS_GAUGE,
	                    "for how long it has waited");
	for (size_t i = 0; i < view->databases_n; i++) {
		uint64_t since_s = view->databases[i].candidate_since_s;
		metrics_text_sample(text, since_s && view->now_s > since_s ? view->now_s - since_s : 0,
		                    "database", view->databases[i].name, NULL);
	}
}

static char *render(void *context, size_t *ret_len)
{
	struct monitor *monitor = context;
	struct metrics_text text;
	metrics_text_init(&text);
	metrics_text_family(&text, "mirrormon_build_info", METRICS_GAUGE, "the version that runs");
	metrics_text_sample(&text, 1, "version", DNSD_VERSION, NULL);
	alone(&text, "mirrormon_self_ok", METRICS_GAUGE, "1 = the last self-test passed", monitor->self_ok);
	alone(&text, "mirrormon_checks_dropped_total", METRICS_COUNTER,
	      "failed checks that were put down to the monitor itself", monitor->dropped_n);
	alone(&text, "mirrormon_state_changes_total", METRICS_COUNTER, "addresses that went out or came back",
	      monitor->changes_n);
	alone(&text, "mirrormon_feed_serial", METRICS_GAUGE, "of the feed last written", monitor->serial);
	alone(&text, "mirrormon_feed_failed", METRICS_GAUGE, "1 = the last feed could not be written",
	      monitor->feed_failed);
	alone(&text, "mirrormon_verified_timestamp_seconds", METRICS_GAUGE,
	      "when the versions were last verified, since 1970", monitor->verified_s);
	alone(&text, "mirrormon_unchecked_addresses", METRICS_GAUGE, "not checked since the start",
	      monitor->unchecked_n);
	metrics_text_family(&text, "mirrormon_family_checked", METRICS_GAUGE,
	                    "1 = addresses of this family can be checked from here");
	for (size_t i = 0; i < 2; i++)
		metrics_text_sample(&text, !monitor->families[i].is_lacking, "family",
		                    i == 1 ? "ipv6" : "ipv4", NULL);
	if (monitor->view) {
		write_checks(&text, monitor);
		write_mirrors(&text, monitor);
		write_versions(&text, monitor->view);
	}
	return metrics_text_take(&text, ret_len);
}

static bool is_healthy(void *context, char *text, size_t cap)
{
	const struct monitor *monitor = context;
	if (!monitor->self_ok)
		snprintf(text, cap, "self-test: %s",
		         monitor->self_since_s ? monitor->self_detail : "not done yet");
	else if (monitor_is_first_round(monitor))
		snprintf(text, cap, "first round: %zu addresses are not checked yet", monitor->unchecked_n);
	else if (monitor->feed_failed)
		snprintf(text, cap, "the feed can't be written");
	else
		return true;
	return false;
}

struct metrics_calls monitor_metrics_make_calls(struct monitor *monitor)
{
	return (struct metrics_calls){ .render = render, .is_healthy = is_healthy, .context = monitor };
}
