/* What the view and the history say, in the words of the pages. */
#include "mirrormon/site_int.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zones/pool/country.h"

static const struct {
	const char *text, *css;
} states[SITE_STATE_N] = {
	[SITE_OUT] = { "out", "out" },
	[SITE_PARTLY] = { "partly out", "out" },
	[SITE_PROBATION] = { "probation", "probation" },
	[SITE_LATE] = { "late", "late" },
	[SITE_WARNED] = { "warned", "late" },
	[SITE_MAINTENANCE] = { "maintenance", "maintenance" },
	[SITE_NEW] = { "unchecked", "new" },
	[SITE_OK] = { "OK", "ok" },
};

const char *site_state_text(enum site_state state)
{
	return states[state].text;
}

const char *site_state_class(enum site_state state)
{
	return states[state].css;
}

const char *site_country_name(const struct site_run *run, uint16_t country)
{
	static _Thread_local char code[3];
	if (country == COUNTRY_UNKNOWN)
		return "unknown";
	const char *name = run->site->world.names[country];
	if (name)
		return name;
	country_to_code(country, code);
	return code;
}

const char *site_admin_name(const char *admin, char name[80])
{
	const char *bracket = admin ? strchr(admin, '<') : NULL;
	size_t len = bracket ? (size_t)(bracket - admin) : 0;
	while (len && strchr(" \t\"", admin[len - 1]))
		len--;
	size_t skip = 0;
	while (skip < len && strchr(" \t\"", admin[skip]))
		skip++;
	snprintf(name, 80, "%.*s", (int)(len - skip), admin ? admin + skip : "");
	/* Addresses are for us, not for whoever gathers them. */
	if (strchr(name, '@'))
		name[0] = '\0';
	return name;
}

bool site_host_is_plain(const char *host)
{
	return *host && *host != '-' && *host != '.' &&
	       !host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")];
}

static struct site_judgement judgement(enum site_state state, enum reason reason, uint64_t since_s,
                                       const char *detail)
{
	return (struct site_judgement){
		.state = state, .reason = reason, .since_s = since_s, .detail = detail
	};
}

static enum site_state state_of_reason(enum reason reason, bool probation)
{
	if (reason == REASON_MAINTENANCE)
		return SITE_MAINTENANCE;
	return probation ? SITE_PROBATION : SITE_OUT;
}

static bool is_good_again(const struct standing *standing)
{
	return standing->reason != REASON_NONE && standing->failures_n == 0 && standing->successes_n > 0 &&
	       standing->good_since_s != 0 && standing->warning == REASON_NONE;
}

void site_facts_judge_address(const struct mirror_view *mirror, const struct address_view *address,
                              struct site_judgement *ret)
{
	const struct standing *standing = &address->standing;
	const struct verdict *verdict = &address->verdict;
	if (mirror->in_maintenance)
		*ret = judgement(SITE_MAINTENANCE, REASON_MAINTENANCE, mirror->verdict.since_s,
		                 mirror->verdict.detail);
	else if (verdict->reason != REASON_NONE)
		*ret = judgement(
		        state_of_reason(verdict->reason, mirror->probation && is_good_again(standing)),
		        verdict->reason, verdict->since_s,
		        *verdict->detail ? verdict->detail : standing->detail);
	else if (address->last.at_s == 0 && standing->checked_s == 0)
		*ret = judgement(SITE_NEW, REASON_NONE, 0, "");
	else if (standing->warning != REASON_NONE)
		*ret = judgement(standing->warning == REASON_LATE ? SITE_LATE : SITE_WARNED,
		                 standing->warning, standing->warning_since_s, standing->detail);
	else
		*ret = judgement(SITE_OK, REASON_NONE, verdict->since_s, "");
}

static struct site_judgement judge_mirror(const struct mirror_view *mirror)
{
	const struct verdict *verdict = &mirror->verdict;
	if (mirror->in_maintenance)
		return judgement(SITE_MAINTENANCE, REASON_MAINTENANCE, verdict->since_s, verdict->detail);
	if (verdict->reason != REASON_NONE)
		return judgement(state_of_reason(verdict->reason, mirror->probation), verdict->reason,
		                 verdict->since_s, verdict->detail);
	struct site_judgement worst = judgement(SITE_OK, REASON_NONE, verdict->since_s, "");
	bool one_checked = false;
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		struct site_judgement one;
		site_facts_judge_address(mirror, &mirror->addrs[i], &one);
		one_checked |= one.state != SITE_NEW;
		if (one.state == SITE_OUT || one.state == SITE_PROBATION || one.state == SITE_MAINTENANCE)
			one.state = SITE_PARTLY;
		if (one.state != SITE_NEW && one.state < worst.state)
			worst = one;
	}
	return one_checked ? worst : judgement(SITE_NEW, REASON_NONE, 0, "");
}

static uint32_t weight_now(const struct view *view, const struct mirror_view *mirror)
{
	uint64_t permille = mirror->ramp_permille;
	if (permille >= 1000 || mirror->ramp_full_s <= mirror->ramp_from_s ||
	    view->now_s >= mirror->ramp_full_s)
		return mirror->weight;
	if (view->now_s > mirror->ramp_from_s)
		permille += (1000 - permille) * (view->now_s - mirror->ramp_from_s) /
		            (mirror->ramp_full_s - mirror->ramp_from_s);
	uint64_t weight = mirror->weight * permille / 1000;
	return weight ? (uint32_t)weight : 1;
}

void site_facts_judge(const struct view *view, const struct mirror_view *from, struct site_mirror *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->view = from;
	ret->judgement = judge_mirror(from);
	site_file_name(from->host, ret->file);
	ret->weight = weight_now(view, from);
	for (size_t i = 0; i < from->addrs_n; i++) {
		const struct address_view *address = &from->addrs[i];
		uint64_t timestamp_s = address->standing.timestamp_s;
		if (timestamp_s && (ret->timestamp_s == 0 || timestamp_s < ret->timestamp_s))
			ret->timestamp_s = timestamp_s;
		if (address->standing.checked_s > ret->checked_s)
			ret->checked_s = address->standing.checked_s;
		if (address->next_check_s &&
		    (ret->next_check_s == 0 || address->next_check_s < ret->next_check_s))
			ret->next_check_s = address->next_check_s;
	}
	if (ret->timestamp_s && view->newest_timestamp_s > ret->timestamp_s)
		ret->lag_s = view->newest_timestamp_s - ret->timestamp_s;
}

static void add_day(struct site_day *day, const struct history_span *span)
{
	day->checks_n += span->checks_n;
	day->good_n += span->good_n;
	day->out_n += span->out_n;
	if (span->worst > day->worst)
		day->worst = span->worst;
}

void site_row_make(const struct history_span *hours, struct site_row *ret)
{
	memset(ret, 0, sizeof(*ret));
	struct site_day points[SITE_POINTS] = { 0 };
	size_t last = 0; /* hour of the last check */
	for (size_t i = 0; i < SITE_HOURS; i++) {
		add_day(&ret->days[i / 24], &hours[i]);
		add_day(&points[i / 12], &hours[i]);
		ret->checks_n += hours[i].checks_n;
		ret->good_n += hours[i].good_n;
		last = hours[i].checks_n ? i : last;
	}
	for (size_t i = 0; i < SITE_POINTS; i++)
		ret->points[i] =
		        (uint8_t)(points[i].checks_n ? 100 * (uint64_t)points[i].good_n / points[i].checks_n
		                                     : 255);
	double sum = 0;
	double squares = 0;
	double age = 0;
	for (size_t i = last >= 23 ? last - 23 : 0; i <= last; i++) {
		double seconds = hours[i].total_ms_mean / 1e3;
		ret->day_checks_n += hours[i].checks_n;
		ret->day_good_n += hours[i].good_n;
		sum += hours[i].good_n * seconds;
		squares += hours[i].good_n * seconds * seconds;
		age += hours[i].good_n * (double)hours[i].age_s_mean;
	}
	if (ret->day_good_n) {
		double mean = sum / ret->day_good_n;
		ret->duration_avg_s = mean;
		ret->duration_stddev_s = sqrt(fmax(squares / ret->day_good_n - mean * mean, 0));
		ret->delay_s = age / ret->day_good_n;
	}
}

/* The pool as DNS has it once it has read our feed. */
static int make_state(const struct view *view, struct pool_state *state)
{
	int rc = pool_state_init(view->pool, state);
	for (size_t i = 0; rc == 0 && i < view->mirrors_n; i++) {
		const struct mirror_view *mirror = &view->mirrors[i];
		const struct mirror *of_pool = &view->pool->mirrors[mirror->number];
		struct mirror_state *to = &state->mirrors[mirror->number];
		to->reason = mirror->in_maintenance ? REASON_MAINTENANCE : mirror->verdict.reason;
		state->out_n += to->reason != REASON_NONE;
		to->addr_reasons =
		        arena_alloc(&state->arena, (of_pool->addrs_n + 1) * sizeof(*to->addr_reasons));
		if (!to->addr_reasons) {
			pool_state_fini(state);
			return -ENOMEM;
		}
		for (size_t a = 0; a < of_pool->addrs_n; a++) {
			for (size_t k = 0; k < mirror->addrs_n; k++) {
				if (addr_equal(&of_pool->addrs[a], &mirror->addrs[k].addr))
					to->addr_reasons[a] = mirror->addrs[k].verdict.reason;
			}
		}
	}
	return rc;
}

static void describe_via(const struct site_run *run, const struct pool_decision *decision,
                         struct site_country *country)
{
	const struct pool *pool = run->view->pool;
	uint32_t taken[COUNTRY_N] = { 0 };
	size_t mirrors_n = 0;
	size_t countries_n = 0;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		if (!decision->picks || !decision->picks[i].taken)
			continue;
		mirrors_n++;
		countries_n += taken[pool->mirrors[i].country]++ == 0;
	}
	char *via = country->via;
	size_t cap = sizeof(country->via);
	if (decision->level == POOL_LEVEL_WORLD) {
		snprintf(via, cap, "all of the pool");
		return;
	}
	if (decision->level == POOL_LEVEL_REGION) {
		snprintf(via, cap, "region %.60s: %zu mirror%s in %zu %s",
		         decision->region >= 0 ? pool->regions[decision->region].name : "?", mirrors_n,
		         mirrors_n == 1 ? "" : "s", countries_n, countries_n == 1 ? "country" : "countries");
		return;
	}
	size_t len = 0;
	for (uint16_t code = 1; code < COUNTRY_N && len < cap; code++) {
		if (taken[code])
			len += (size_t)snprintf(via + len, cap - len, "%s%s (%u)", len ? ", " : "",
			                        site_country_name(run, code), taken[code]);
	}
}

static bool is_listed(const struct site_run *run, uint16_t code, const size_t *mirrors_n)
{
	if (mirrors_n[code])
		return true;
	const struct site_world *world = &run->site->world;
	if (world->width)
		return world->names[code] != NULL;
	/* Codes of no country that can be on a map. */
	return country_is_known(code) && country_canonical(code) == code && code != country_from_code("AP") &&
	       code != country_from_code("EU");
}

static int name_order(const void *a_item, const void *b_item, void *context)
{
	const struct site_country *a = a_item;
	const struct site_country *b = b_item;
	char name[128];
	/* The name may be in a buffer that the next call uses again. */
	snprintf(name, sizeof(name), "%s", site_country_name(context, a->country));
	return strcmp(name, site_country_name(context, b->country));
}

static int mirror_order(const void *a_item, const void *b_item, void *context)
{
	const struct site_mirror *a = a_item;
	const struct site_mirror *b = b_item;
	if (a->view->country != b->view->country) {
		struct site_country one = { .country = a->view->country };
		struct site_country other = { .country = b->view->country };
		int order = name_order(&one, &other, context);
		return order ? order
		             : (a->view->country > b->view->country) - (a->view->country < b->view->country);
	}
	return strcmp(a->view->host, b->view->host);
}

static int make_countries(struct site_run *run)
{
	size_t mirrors_n[COUNTRY_N] = { 0 };
	size_t in_n[COUNTRY_N] = { 0 };
	const struct view *view = run->view;
	for (size_t i = 0; i < view->mirrors_n; i++) {
		const struct mirror_view *mirror = &view->mirrors[i];
		mirrors_n[mirror->country]++;
		in_n[mirror->country] += mirror->verdict.reason == REASON_NONE && !mirror->in_maintenance;
	}
	run->countries = calloc(COUNTRY_N, sizeof(*run->countries));
	struct pool_state state;
	int rc = run->countries ? make_state(view, &state) : -ENOMEM;
	if (rc < 0)
		return rc;
	for (uint16_t code = 1; rc == 0 && code < COUNTRY_N; code++) {
		if (!is_listed(run, code, mirrors_n))
			continue;
		struct site_country *country = &run->countries[run->countries_n++];
		*country = (struct site_country){ .country = code,
			                          .mirrors_n = mirrors_n[code],
			                          .in_n = in_n[code] };
		struct pool_decision decision;
		rc = pool_decide_country(view->pool, &state, code, false, &decision);
		if (rc < 0)
			break;
		country->level = decision.level;
		country->members_n = decision.members_n;
		country->readmitted = decision.readmitted != REASON_NONE;
		if (decision.level != POOL_LEVEL_COUNTRY)
			describe_via(run, &decision, country);
		pool_decision_fini(&decision);
	}
	pool_state_fini(&state);
	qsort_r(run->countries, run->countries_n, sizeof(*run->countries), name_order, run);
	return rc;
}

bool site_has_host(const struct site_run *run, const char *host)
{
	size_t n = run->view->mirrors_n;
	return n && bsearch(&host, run->hosts, n, sizeof(*run->hosts), site_files_order);
}

int site_facts_make(struct site_run *run)
{
	const struct view *view = run->view;
	run->until_s = (view->now_s / 86400 + 1) * 86400;
	run->mirrors = calloc(view->mirrors_n + 1, sizeof(*run->mirrors));
	run->hosts = calloc(view->mirrors_n + 1, sizeof(*run->hosts));
	if (!run->mirrors || !run->hosts)
		return -ENOMEM;
	for (size_t i = 0; i < view->mirrors_n; i++) {
		struct site_mirror *mirror = &run->mirrors[i];
		site_facts_judge(view, &view->mirrors[i], mirror);
		run->hosts[i] = view->mirrors[i].host;
		run->state_n[mirror->judgement.state]++;
		run->in_n +=
		        view->mirrors[i].verdict.reason == REASON_NONE && !view->mirrors[i].in_maintenance;
	}
	qsort_r(run->mirrors, view->mirrors_n, sizeof(*run->mirrors), mirror_order, run);
	qsort(run->hosts, view->mirrors_n, sizeof(*run->hosts), site_files_order);
	return make_countries(run);
}

void site_facts_fini(struct site_run *run)
{
	free(run->mirrors);
	free(run->hosts);
	free(run->countries);
}
