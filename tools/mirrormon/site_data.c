/* The same for programs: JSON, CSV, badges, Atom. */
#include "mirrormon/site_int.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/object.h"
#include "base/utc.h"
#include "mirrormon/site_svg.h"

#define POOL_JSON_FORMAT 1
#define CHECKS_IN_JSON   50

static void write_json(struct site_run *run, const char *path, json_t *root)
{
	size_t len;
	char *bytes = object_dump(root, JSON_INDENT(1) | JSON_REAL_PRECISION(8), "", &len);
	if (bytes) {
		site_files_write(&run->files, path, bytes, len);
	} else if (run->files.status == 0) {
		run->files.status = -ENOMEM;
		diag_error(run->files.diag, path, 0, "out of memory; the site goes on with its other files");
	}
	free(bytes);
	json_decref(root);
}

static void set_reason(json_t *object, const char *key, enum reason reason)
{
	json_object_set_new(object, key,
	                    reason == REASON_NONE ? json_null() : json_string(reason_text(reason)));
}

static void set_judgement(json_t *object, const struct site_judgement *judgement)
{
	object_set_text(object, "state", site_state_text(judgement->state));
	set_reason(object, "reason", judgement->reason);
	object_set_time(object, "since", judgement->since_s);
	if (judgement->detail && *judgement->detail)
		object_set_text(object, "detail", judgement->detail);
}

static json_t *make_address(const struct site_run *run, const struct mirror_view *mirror,
                            const struct address_view *address)
{
	const struct conf_checks *checks = &run->view->conf->checks;
	json_t *object = json_object();
	char addr[ADDR_TEXT_MAX];
	struct site_judgement judgement;
	site_facts_judge_address(mirror, address, &judgement);
	object_set_text(object, "address", addr_format(&address->addr, addr, sizeof(addr)));
	object_set_number(object, "family", address->addr.family);
	set_judgement(object, &judgement);
	object_set_number(object, "votes_out", address->verdict.votes_out);
	object_set_number(object, "votes", address->verdict.votes_n);
	set_reason(object, "own_vote", address->standing.reason);
	object_set_number(object, "failures", address->standing.failures_n);
	object_set_number(object, "successes", address->standing.successes_n);
	object_set_time(object, "timestamp", address->standing.timestamp_s);
	object_set_time(object, "checked", address->standing.checked_s);
	object_set_time(object, "next_check", address->next_check_s);
	json_t *databases = json_object();
	for (size_t i = 0; i < checks->databases_n && i < MODEL_DATABASES_MAX; i++) {
		if (address->last.databases[i].version)
			object_set_number(databases, checks->databases[i],
			                  address->last.databases[i].version);
	}
	json_object_set_new(object, "databases", databases);
	return object;
}

static json_t *make_days(const struct site_run *run, const struct site_row *row)
{
	json_t *days = json_array();
	for (size_t i = 0; i < SITE_DAYS; i++) {
		json_t *day = json_object();
		char utc[UTC_TEXT_MAX];
		utc_format(run->until_s - (SITE_DAYS - i) * 86400, utc);
		utc[10] = '\0';
		object_set_text(day, "day", utc);
		object_set_number(day, "checks", row->days[i].checks_n);
		object_set_number(day, "good", row->days[i].good_n);
		object_set_number(day, "out", row->days[i].out_n);
		set_reason(day, "worst", row->days[i].worst);
		json_array_append_new(days, day);
	}
	return days;
}

static json_t *make_mirror(const struct site_run *run, const struct site_mirror *mirror)
{
	const struct mirror_view *view = mirror->view;
	json_t *object = json_object();
	char code[3];
	country_to_code(view->country, code);
	object_set_text(object, "host", view->host);
	object_set_text(object, "country", code);
	set_judgement(object, &mirror->judgement);
	object_set_number(object, "weight", view->weight);
	object_set_number(object, "weight_permille_at_return", view->ramp_permille);
	object_set_time(object, "returned", view->ramp_from_s);
	object_set_time(object, "full_weight", view->ramp_full_s);
	object_set_time(object, "timestamp", mirror->timestamp_s);
	object_set_number(object, "lag_s", mirror->lag_s);
	object_set_time(object, "checked", mirror->checked_s);
	object_set_time(object, "next_check", mirror->next_check_s);
	json_object_set_new(object, "days", make_days(run, &mirror->row));
	json_t *addresses = json_array();
	for (size_t i = 0; i < view->addrs_n; i++)
		json_array_append_new(addresses, make_address(run, view, &view->addrs[i]));
	json_object_set_new(object, "addresses", addresses);
	return object;
}

static json_t *make_event(const struct history_event *event)
{
	json_t *object = json_object();
	char addr[ADDR_TEXT_MAX];
	object_set_time(object, "at", event->at_s);
	if (event->addr.family)
		object_set_text(object, "address", addr_format(&event->addr, addr, sizeof(addr)));
	set_reason(object, "from", event->from);
	set_reason(object, "to", event->to);
	object_set_text(object, "detail", event->detail);
	return object;
}

static json_t *make_check(const struct history_check *check)
{
	const struct check_result *result = &check->result;
	json_t *object = json_object();
	char addr[ADDR_TEXT_MAX];
	object_set_time(object, "at", check->at_s);
	object_set_text(object, "address", addr_format(&check->addr, addr, sizeof(addr)));
	set_reason(object, "failure", result->reason);
	object_set_text(object, "detail", result->detail);
	set_reason(object, "then", check->state);
	object_set_time(object, "timestamp", result->timestamp_s);
	object_set_number(object, "connect_us", result->connect_us);
	object_set_number(object, "first_us", result->first_us);
	object_set_number(object, "total_us", result->total_us);
	return object;
}

/* The lines of NTP Pool's log.csv, with what a mirror has instead of an offset. */
static void write_csv(struct site_run *run, const struct site_mirror *mirror, size_t checks_n)
{
	const struct mirror_view *view = mirror->view;
	double *scores =
	        calloc(view->addrs_n + 1, sizeof(*scores)); /* the last for addresses that have gone */
	struct site_text text;
	char path[SITE_FILE_MAX + 32];
	site_text_init(&text, SITE_CSV);
	text.failed = !scores;
	site_add(&text, "ts_epoch,ts,address,family,state,age,score,monitor,rtt,error\n");
	for (size_t i = checks_n; scores && i-- > 0;) {
		const struct history_check *check = &run->site->checks[i];
		const struct check_result *result = &check->result;
		size_t number = 0;
		while (number < view->addrs_n && !addr_equal(&view->addrs[number].addr, &check->addr))
			number++;
		bool good = result->reason == REASON_NONE;
		scores[number] = scores[number] * 0.95 + (good ? 1 : -5);
		char addr[ADDR_TEXT_MAX];
		char utc[UTC_TEXT_MAX];
		site_add(&text, "%" PRIu64 ",%s,%s,%d,%s,", check->at_s, utc_format(check->at_s, utc),
		         addr_format(&check->addr, addr, sizeof(addr)), check->addr.family,
		         check->state == REASON_NONE ? "in" : reason_text(check->state));
		if (result->timestamp_s && result->timestamp_s <= check->at_s)
			site_add(&text, "%" PRIu64, check->at_s - result->timestamp_s);
		site_add(&text, ",%.1f,\"%s\",%.3f,\"%s%s%s\"\n", scores[number], run->view->conf->name,
		         result->connect_us / 1e3, good ? "" : reason_text(result->reason),
		         good || !*result->detail ? "" : ": ", good ? "" : result->detail);
	}
	free(scores);
	snprintf(path, sizeof(path), "mirror/%s.csv", mirror->file);
	site_page_write(run, path, &text);
}

static void write_badges(struct site_run *run, const struct site_mirror *mirror)
{
	static const char *const colours[SITE_STATE_N] = {
		[SITE_OUT] = "#b91c27",  [SITE_PARTLY] = "#b91c27", [SITE_PROBATION] = "#0a6478",
		[SITE_LATE] = "#8a5a00", [SITE_WARNED] = "#8a5a00", [SITE_MAINTENANCE] = "#5b4bb5",
		[SITE_NEW] = "#555d66",  [SITE_OK] = "#1a7f37",
	};
	const char *message = site_state_text(mirror->judgement.state);
	const char *colour = colours[mirror->judgement.state];
	struct site_text text;
	char path[SITE_FILE_MAX + 32];
	site_text_init(&text, SITE_XML);
	site_svg_badge(&text, "mirror", message, colour);
	snprintf(path, sizeof(path), "mirror/%s.svg", mirror->file);
	site_page_write(run, path, &text);
	json_t *badge = json_object();
	object_set_number(badge, "schemaVersion", 1);
	object_set_text(badge, "label", "mirror");
	object_set_text(badge, "message", message);
	object_set_text(badge, "color", colour);
	snprintf(path, sizeof(path), "mirror/%s.badge.json", mirror->file);
	write_json(run, path, badge);
}

void site_write_mirror_data(struct site_run *run, const struct site_mirror *mirror, size_t checks_n,
                            size_t events_n)
{
	char path[SITE_FILE_MAX + 32];
	json_t *object = make_mirror(run, mirror);
	object_set_number(object, "format", POOL_JSON_FORMAT);
	json_t *events = json_array();
	for (size_t i = 0; i < events_n; i++)
		json_array_append_new(events, make_event(&run->site->events[i]));
	json_object_set_new(object, "changes", events);
	json_t *checks = json_array();
	for (size_t i = 0; i < checks_n && i < CHECKS_IN_JSON; i++)
		json_array_append_new(checks, make_check(&run->site->checks[i]));
	json_object_set_new(object, "checks", checks);
	snprintf(path, sizeof(path), "mirror/%s.json", mirror->file);
	write_json(run, path, object);
	write_csv(run, mirror, checks_n);
	write_badges(run, mirror);
}

/* Arch Linux' mirrors/status/json, version 3: seconds, times as ISO 8601, null for what is not known. */
static json_t *make_arch_url(const struct site_run *run, const struct site_mirror *mirror)
{
	const struct mirror_view *view = mirror->view;
	const struct site_row *row = &mirror->row;
	const char *site_url = run->view->conf->site.url;
	json_t *url = json_object();
	char text[600];
	char code[3];
	country_to_code(view->country, code);
	snprintf(text, sizeof(text), "http://%s/", view->host);
	object_set_text(url, "url", text);
	object_set_text(url, "protocol", "http");
	object_set_time(url, "last_sync", mirror->timestamp_s);
	if (mirror->timestamp_s == 0)
		json_object_set_new(url, "last_sync", json_null());
	double completion = row->day_checks_n ? (double)row->day_good_n / row->day_checks_n : 0;
	json_object_set_new(url, "completion_pct", row->day_checks_n ? json_real(completion) : json_null());
	bool known = row->day_good_n > 0;
	json_object_set_new(url, "delay", known ? json_integer((json_int_t)row->delay_s) : json_null());
	json_object_set_new(url, "duration_avg", known ? json_real(row->duration_avg_s) : json_null());
	json_object_set_new(url, "duration_stddev", known ? json_real(row->duration_stddev_s) : json_null());
	double score =
	        known ? (row->delay_s / 3600 + row->duration_avg_s + row->duration_stddev_s) / completion : 0;
	json_object_set_new(url, "score", known ? json_real(score) : json_null());
	json_object_set_new(url, "active",
	                    json_boolean(view->verdict.reason == REASON_NONE && !view->in_maintenance));
	object_set_text(url, "country", site_country_name(run, view->country));
	object_set_text(url, "country_code", code);
	json_object_set_new(url, "isos", json_false());
	bool has[2] = { false, false };
	for (size_t i = 0; i < view->addrs_n; i++)
		has[view->addrs[i].addr.family == 6] = true;
	json_object_set_new(url, "ipv4", json_boolean(has[0]));
	json_object_set_new(url, "ipv6", json_boolean(has[1]));
	snprintf(text, sizeof(text), "%s/mirror/%s.html", site_url ? site_url : "", mirror->file);
	object_set_text(url, "details", text);
	return url;
}

static void write_arch(struct site_run *run)
{
	json_t *root = json_object();
	json_t *urls = json_array();
	uint64_t last_s = 0;
	uint32_t most = 0;
	for (size_t i = 0; i < run->view->mirrors_n; i++) {
		const struct site_mirror *mirror = &run->mirrors[i];
		last_s = mirror->checked_s > last_s ? mirror->checked_s : last_s;
		most = mirror->row.day_checks_n > most ? mirror->row.day_checks_n : most;
		json_array_append_new(urls, make_arch_url(run, mirror));
	}
	object_set_number(root, "cutoff", 86400);
	json_object_set_new(root, "last_check", json_null());
	object_set_time(root, "last_check", last_s);
	object_set_number(root, "num_checks", most);
	object_set_number(root, "check_frequency", run->view->conf->checks.interval_ms / 1000);
	object_set_number(root, "version", 3);
	json_object_set_new(root, "urls", urls);
	write_json(run, "mirrors/status/json/index.json", root);
}

static json_t *make_databases(const struct view *view)
{
	json_t *databases = json_array();
	for (size_t i = 0; i < view->databases_n; i++) {
		const struct announced *announced = &view->databases[i];
		json_t *object = json_object();
		object_set_text(object, "name", announced->name);
		object_set_number(object, "version", announced->version);
		object_set_time(object, "since", announced->since_s);
		if (announced->candidate && announced->candidate != announced->version) {
			object_set_number(object, "candidate", announced->candidate);
			object_set_time(object, "candidate_since", announced->candidate_since_s);
			object_set_number(object, "have", announced->have_n);
			object_set_number(object, "of", announced->of_n);
			object_set_text(object, "waiting_for", announced->waiting_for);
		}
		json_array_append_new(databases, object);
	}
	return databases;
}

static json_t *make_countries(const struct site_run *run)
{
	json_t *countries = json_array();
	for (size_t i = 0; i < run->countries_n; i++) {
		const struct site_country *country = &run->countries[i];
		json_t *object = json_object();
		char code[3];
		country_to_code(country->country, code);
		object_set_text(object, "code", code);
		object_set_text(object, "name", site_country_name(run, country->country));
		object_set_number(object, "mirrors", country->mirrors_n);
		object_set_number(object, "in", country->in_n);
		object_set_text(object, "level", pool_level_text(country->level));
		if (country->via[0])
			object_set_text(object, "served_by", country->via);
		json_object_set_new(object, "readmitted", json_boolean(country->readmitted));
		json_array_append_new(countries, object);
	}
	return countries;
}

static json_t *make_rules(const struct conf_decision *decision)
{
	json_t *rules = json_object();
	object_set_number(rules, "late_after_s", decision->late_after_s);
	object_set_number(rules, "old_after_s", decision->old_after_s);
	object_set_number(rules, "unreachable_after", decision->unreachable_after);
	object_set_number(rules, "slow_over_ms", decision->slow_over_ms);
	object_set_number(rules, "slow_after", decision->slow_after);
	object_set_number(rules, "return_after", decision->return_after);
	object_set_number(rules, "probation_s", decision->probation_s);
	object_set_number(rules, "probation_max_s", decision->probation_max_s);
	object_set_number(rules, "flap_window_s", decision->flap_window_s);
	object_set_number(rules, "ramp_s", decision->ramp_s);
	object_set_number(rules, "ramp_percent", decision->ramp_percent);
	return rules;
}

static void write_pool_csv(struct site_run *run)
{
	struct site_text text;
	site_text_init(&text, SITE_CSV);
	site_add(&text, "host,country,address,family,state,reason,since,timestamp,weight,checked,next_check,"
	                "votes_out,votes\n");
	for (size_t i = 0; i < run->view->mirrors_n; i++) {
		const struct site_mirror *mirror = &run->mirrors[i];
		for (size_t a = 0; a < mirror->view->addrs_n; a++) {
			const struct address_view *address = &mirror->view->addrs[a];
			struct site_judgement judgement;
			char addr[ADDR_TEXT_MAX];
			char code[3];
			country_to_code(mirror->view->country, code);
			site_facts_judge_address(mirror->view, address, &judgement);
			site_add(&text,
			         "\"%s\",%s,%s,%d,%s,%s,%" PRIu64 ",%" PRIu64 ",%u,%" PRIu64 ",%" PRIu64
			         ",%u,%u\n",
			         mirror->view->host, code, addr_format(&address->addr, addr, sizeof(addr)),
			         address->addr.family, site_state_text(judgement.state),
			         judgement.reason == REASON_NONE ? "" : reason_text(judgement.reason),
			         judgement.since_s, address->standing.timestamp_s, mirror->weight,
			         address->standing.checked_s, address->next_check_s,
			         address->verdict.votes_out, address->verdict.votes_n);
		}
	}
	site_page_write(run, "pool.csv", &text);
}

void site_write_pool_data(struct site_run *run)
{
	const struct view *view = run->view;
	json_t *root = json_object();
	object_set_number(root, "format", POOL_JSON_FORMAT);
	object_set_text(root, "pool", view->conf->pool->name);
	object_set_text(root, "monitor", view->conf->name);
	object_set_time(root, "generated", view->now_s);
	object_set_number(root, "serial", view->serial);
	json_object_set_new(root, "self_ok", json_boolean(view->self_ok));
	if (*view->self_detail)
		object_set_text(root, "self_detail", view->self_detail);
	object_set_time(root, "newest_timestamp", view->newest_timestamp_s);
	json_object_set_new(root, "rules", make_rules(&view->conf->decision));
	object_set_time(root, "verified", view->verified_s);
	json_object_set_new(root, "databases", make_databases(view));
	json_t *monitors = json_array();
	for (size_t i = 0; i < view->monitors_n; i++) {
		json_t *monitor = json_object();
		object_set_text(monitor, "name", view->monitors[i].name);
		object_set_time(monitor, "generated", view->monitors[i].generated_s);
		json_object_set_new(monitor, "counts", json_boolean(view->monitors[i].counts));
		object_set_text(monitor, "detail", view->monitors[i].detail);
		json_array_append_new(monitors, monitor);
	}
	json_object_set_new(root, "monitors", monitors);
	json_object_set_new(root, "countries", make_countries(run));
	json_t *mirrors = json_array();
	for (size_t i = 0; i < view->mirrors_n; i++)
		json_array_append_new(mirrors, make_mirror(run, &run->mirrors[i]));
	json_object_set_new(root, "mirrors", mirrors);
	write_json(run, "pool.json", root);
	write_pool_csv(run);
	write_arch(run);
}

static void add_entry(const struct site_run *run, const struct history_event *event, struct site_text *text)
{
	const char *url = run->view->conf->site.url;
	const char *who = event->host[0] ? event->host : "the monitor";
	char addr[ADDR_TEXT_MAX];
	char utc[UTC_TEXT_MAX];
	char file[SITE_FILE_MAX];
	site_file_name(event->host[0] ? event->host : "monitor", file);
	const char *from = event->from == REASON_NONE ? "in" : reason_text(event->from);
	const char *to = event->to == REASON_NONE ? "in" : reason_text(event->to);
	const char *at = event->addr.family ? addr_format(&event->addr, addr, sizeof(addr)) : "";
	site_add(text,
	         "<entry>\n<id>urn:mirrormon:%s:%s:%" PRIu64
	         ":%s:%s</id>\n<title>%s%s%s: %s, was %s</title>\n"
	         "<updated>%s</updated>\n",
	         run->view->conf->pool->name, file, event->at_s, at, to, who, *at ? " " : "", at, to, from,
	         utc_format(event->at_s, utc));
	if (url && site_has_host(run, event->host))
		site_add(text, "<link href=\"%s/mirror/%s.html\"/>\n", url, file);
	site_add(text, "<content type=\"text\">%s</content>\n</entry>\n", event->detail);
}

void site_write_atom(struct site_run *run)
{
	struct history_event *events = run->site->events;
	const struct conf_monitor *conf = run->view->conf;
	size_t n = history_events(run->history, NULL, events, SITE_EVENTS);
	struct site_text text;
	char utc[UTC_TEXT_MAX];
	site_text_init(&text, SITE_XML);
	/* The day will do while nothing has happened: the file stays the same. */
	utc_format(n ? events[0].at_s : run->until_s - 86400, utc);
	site_add(&text,
	         "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n"
	         "<title>%s: changes of state</title>\n<id>urn:mirrormon:%s</id>\n<updated>%s</updated>\n"
	         "<author><name>%s</name></author>\n",
	         conf->site.title, conf->pool->name, utc, conf->name);
	if (conf->site.url)
		site_add(&text, "<link rel=\"self\" href=\"%s/events.atom\"/>\n<link href=\"%s/\"/>\n",
		         conf->site.url, conf->site.url);
	for (size_t i = 0; i < n; i++)
		add_entry(run, &events[i], &text);
	site_add(&text, "</feed>\n");
	site_page_write(run, "events.atom", &text);
}
