/* mirror/HOST.html: all that is known of one mirror. */
#include "mirrormon/site_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mirrormon/site_graphs.h"
#include "mirrormon/site_svg.h"

#define CHECKS_SHOWN 50

static void add_overview(const struct site_run *run, const struct site_mirror *mirror, struct site_text *text)
{
	const struct mirror_view *view = mirror->view;
	char code[3];
	char name[80];
	char lag[SITE_DURATION_MAX];
	country_to_code(view->country, code);
	site_add(text, "<dl>\n<dt>State</dt><dd>");
	site_add_state(text, &mirror->judgement, true);
	if (mirror->judgement.detail && *mirror->judgement.detail)
		site_add(text, " <span class=\"detail\">%s</span>", mirror->judgement.detail);
	site_add(text, "</dd>\n<dt>Country</dt><dd><a href=\"../mirrors.html#%s\">%s</a></dd>\n", code,
	         site_country_name(run, view->country));
	if (site_host_is_plain(view->host))
		site_add(text,
		         "<dt>Address</dt><dd><a href=\"http://%s/\" rel=\"nofollow\">http://%s/</a></dd>\n",
		         view->host, view->host);
	if (*site_admin_name(view->admin, name))
		site_add(text, "<dt>Run by</dt><dd>%s</dd>\n", name);
	site_add(text, "<dt>Timestamp</dt><dd>");
	site_add_time(text, mirror->timestamp_s);
	if (mirror->lag_s)
		site_add(text, ", %s behind the newest", site_duration(mirror->lag_s, lag));
	site_add(text, "</dd>\n<dt>Weight</dt><dd>%u", view->weight);
	if (mirror->weight != view->weight) {
		site_add(text, ", back at %u.%u %% since ", view->ramp_permille / 10,
		         view->ramp_permille % 10);
		site_add_time(text, view->ramp_from_s);
		site_add(text, ", rising to all of it by ");
		site_add_time(text, view->ramp_full_s);
	}
	site_add(text, "</dd>\n<dt>Last check</dt><dd>");
	site_add_time(text, mirror->checked_s);
	site_add(text, "</dd>\n<dt>Next check</dt><dd>");
	site_add_time(text, mirror->next_check_s);
	site_add(text, "</dd>\n</dl>\n");
}

static void add_databases(const struct site_run *run, const struct check_result *last, struct site_text *text)
{
	const struct conf_checks *checks = &run->view->conf->checks;
	size_t n = 0;
	for (size_t i = 0; i < checks->databases_n && i < MODEL_DATABASES_MAX; i++) {
		if (last->databases[i].version == 0)
			continue;
		if (n++ == 0)
			site_add(text, "<dt>Databases</dt><dd>");
		site_add(text, "%s%s %u", n > 1 ? ", " : "", checks->databases[i],
		         last->databases[i].version);
	}
	if (n)
		site_add(text, "</dd>\n");
}

static void add_warnings(const struct check_result *last, struct site_text *text)
{
	static const struct {
		enum check_warning bit;
		const char *words;
	} warnings[] = {
		{ CHECK_WARN_NO_304,
		  "a request with If-Modified-Since brings the whole file instead of 304" },
		{ CHECK_WARN_CDIFF_GAP, "an older patch (.cdiff) is missing" },
		{ CHECK_WARN_HOST_HEADER, "it answers to one of the host names only" },
	};
	for (size_t i = 0; i < sizeof(warnings) / sizeof(*warnings); i++) {
		if (last->warnings & warnings[i].bit)
			site_add(text, "<dt>To be mended</dt><dd>%s</dd>\n", warnings[i].words);
	}
}

static void add_address(const struct site_run *run, const struct site_mirror *mirror, size_t number,
                        const struct site_graphs *graphs, struct site_text *text)
{
	const struct address_view *address = &mirror->view->addrs[number];
	const struct standing *standing = &address->standing;
	struct site_judgement judgement;
	char addr[ADDR_TEXT_MAX];
	site_facts_judge_address(mirror->view, address, &judgement);
	site_add(text, "<h3>%s <span class=\"quiet\">IPv%d</span></h3>\n<dl>\n<dt>State</dt><dd>",
	         addr_format(&address->addr, addr, sizeof(addr)), address->addr.family);
	site_add_state(text, &judgement, true);
	if (judgement.detail && *judgement.detail)
		site_add(text, " <span class=\"detail\">%s</span>", judgement.detail);
	site_add(text, "</dd>\n");
	if (address->verdict.votes_n)
		site_add(text, "<dt>Votes</dt><dd>%u of %u monitors say out</dd>\n",
		         address->verdict.votes_out, address->verdict.votes_n);
	site_add(text, "<dt>This monitor</dt><dd>%s; %u failed and %u good in a row</dd>\n",
	         standing->reason == REASON_NONE ? "in" : reason_text(standing->reason), standing->failures_n,
	         standing->successes_n);
	site_add(text, "<dt>Timestamp</dt><dd>");
	site_add_time(text, standing->timestamp_s);
	site_add(text, "</dd>\n");
	add_databases(run, &address->last, text);
	add_warnings(&address->last, text);
	if (standing->outs_n)
		site_add(text,
		         "<dt>Went out</dt><dd>%u time%s lately, which makes the way back longer</dd>\n",
		         standing->outs_n, standing->outs_n == 1 ? "" : "s");
	if (standing->returned_s) {
		site_add(text, "<dt>Came back</dt><dd>");
		site_add_time(text, standing->returned_s);
		site_add(text, "</dd>\n");
	}
	if (number < graphs->n) {
		site_add(text, "<dt>14 days</dt><dd>");
		site_svg_days(text, &graphs->rows[number]);
		site_add(text, "</dd>\n");
	}
	site_add(text, "<dt>Checked</dt><dd>");
	site_add_time(text, standing->checked_s);
	site_add(text, ", next ");
	site_add_time(text, address->next_check_s);
	site_add(text, "</dd>\n</dl>\n");
}

static void add_events(const struct site_run *run, size_t n, struct site_text *text)
{
	site_add(text, "<section aria-labelledby=\"changes\">\n<h2 id=\"changes\">Changes of state</h2>\n");
	if (n == 0)
		site_add(text, "<p>None in the last year.</p>\n");
	else
		site_add(text, "<div class=\"scroll\" role=\"region\" aria-label=\"Changes of state\" "
		               "tabindex=\"0\">\n<table class=\"cards\">\n"
		               "<caption>Newest first</caption>\n<thead><tr><th scope=\"col\">When</th><th "
		               "scope=\"col\">Address</th>"
		               "<th scope=\"col\">From</th><th scope=\"col\">To</th><th "
		               "scope=\"col\">Evidence</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < n; i++) {
		const struct history_event *event = &run->site->events[i];
		char addr[ADDR_TEXT_MAX];
		site_add(text, "<tr><th scope=\"row\">");
		site_add_time(text, event->at_s);
		site_add(text,
		         "</th><td data-label=\"Address\">%s</td><td data-label=\"From\">%s</td><td "
		         "data-label=\"To\">%s</td>"
		         "<td data-label=\"Evidence\">%s</td></tr>\n",
		         event->addr.family ? addr_format(&event->addr, addr, sizeof(addr)) : "all",
		         event->from == REASON_NONE ? "in" : reason_text(event->from),
		         event->to == REASON_NONE ? "in" : reason_text(event->to), event->detail);
	}
	if (n)
		site_add(text, "</tbody>\n</table>\n</div>\n");
	site_add(text, "</section>\n");
}

static void add_check(const struct history_check *check, struct site_text *text)
{
	const struct check_result *result = &check->result;
	char addr[ADDR_TEXT_MAX];
	site_add(text, "<tr><th scope=\"row\">");
	site_add_time(text, check->at_s);
	site_add(text, "</th><td data-label=\"Address\">%s</td><td data-label=\"Result\">",
	         addr_format(&check->addr, addr, sizeof(addr)));
	if (result->reason == REASON_NONE)
		site_add(text, "<span class=\"state ok\">good</span>%s",
		         result->deep ? ", whole database verified" : "");
	else
		site_add(text, "<span class=\"state out\">failed</span> <span class=\"reason\">%s</span>",
		         reason_text(result->reason));
	if (*result->detail)
		site_add(text, " <span class=\"detail\">%s</span>", result->detail);
	site_add(text, "</td><td data-label=\"Then\">%s</td><td data-label=\"Timestamp\">",
	         check->state == REASON_NONE ? "in" : reason_text(check->state));
	if (result->timestamp_s)
		site_add_time(text, result->timestamp_s);
	else
		site_add(text, "<span class=\"quiet\">not read</span>");
	site_add(text,
	         "</td><td class=\"number\" data-label=\"Connect\">%u ms</td><td class=\"number\" "
	         "data-label=\"All\">%u ms</td></tr>\n",
	         result->connect_us / 1000, result->total_us / 1000);
}

static void add_checks(const struct site_run *run, const struct site_mirror *mirror, size_t n,
                       struct site_text *text)
{
	site_add(text, "<section aria-labelledby=\"checks\">\n<h2 id=\"checks\">Last checks</h2>\n");
	if (n == 0)
		site_add(text, "<p>None yet.</p>\n");
	else
		site_add(text,
		         "<p>More of them, for programs: <a href=\"%s.csv\">%s.csv</a>, <a "
		         "href=\"%s.json\">%s.json</a>.</p>\n"
		         "<div class=\"scroll\" role=\"region\" aria-label=\"Last checks\" "
		         "tabindex=\"0\">\n<table class=\"cards\">\n"
		         "<caption>Newest first</caption>\n<thead><tr><th scope=\"col\">When</th><th "
		         "scope=\"col\">Address</th>"
		         "<th scope=\"col\">Result</th><th scope=\"col\">Then</th><th "
		         "scope=\"col\">Timestamp</th>"
		         "<th scope=\"col\" class=\"number\">Connect</th><th scope=\"col\" "
		         "class=\"number\">All</th></tr></thead>\n<tbody>\n",
		         mirror->file, mirror->file, mirror->file, mirror->file);
	for (size_t i = 0; i < n && i < CHECKS_SHOWN; i++)
		add_check(&run->site->checks[i], text);
	if (n)
		site_add(text, "</tbody>\n</table>\n</div>\n");
	site_add(text, "</section>\n");
}

static void add_badge(const struct site_run *run, const struct site_mirror *mirror, struct site_text *text)
{
	const char *url = run->view->conf->site.url;
	const char *file = mirror->file;
	site_add(text,
	         "<section aria-labelledby=\"badge\">\n<h2 id=\"badge\">Badge</h2>\n<p><img src=\"%s.svg\" "
	         "alt=\"Mirror: %s\" "
	         "height=\"20\"></p>\n<p>To show it elsewhere:</p>\n",
	         file, site_state_text(mirror->judgement.state));
	if (!url)
		url = "https://STATUS-SITE";
	/* The snippet is shown, so what it holds is escaped twice: once as HTML that is shown, once by us. */
	site_add(text, "<pre tabindex=\"0\"><code>%s%s/mirror/%s.html%s%s/mirror/%s.svg%s</code></pre>\n",
	         "<a href=\"", url, file, "\"><img src=\"", url, file, "\" alt=\"mirror status\"></a>");
	site_add(text,
	         "<p>For shields.io and its like: <a "
	         "href=\"%s.badge.json\">%s.badge.json</a>.</p>\n</section>\n",
	         file, file);
}

/* What can't be read is told by the history itself; the page is then without graphs. */
static void read_spans(struct site_run *run, const char *host, const struct addr *addr)
{
	struct site *site = run->site;
	if (history_spans(run->history, host, addr, run->until_s, 3600, site->spans, SITE_HOURS) < 0)
		memset(site->spans, 0, SITE_HOURS * sizeof(*site->spans));
	if (history_spans(run->history, host, addr, run->until_s - (uint64_t)SITE_DAYS * 86400, SITE_WEEK_S,
	                  site->weeks, SITE_WEEKS_OLD) < 0)
		memset(site->weeks, 0, SITE_WEEKS_OLD * sizeof(*site->weeks));
}

/* The mirror is all of its addresses together: one reading less for each. */
static void add_spans(struct history_span *sums, const struct history_span *spans)
{
	for (size_t i = 0; i < SITE_HOURS; i++) {
		struct history_span *sum = &sums[i];
		const struct history_span *span = &spans[i];
		uint64_t good_n = (uint64_t)sum->good_n + span->good_n;
		if (good_n) {
			uint64_t total = (uint64_t)sum->total_ms_mean * sum->good_n +
			                 (uint64_t)span->total_ms_mean * span->good_n;
			uint64_t age = (uint64_t)sum->age_s_mean * sum->good_n +
			               (uint64_t)span->age_s_mean * span->good_n;
			sum->total_ms_mean = (uint32_t)(total / good_n);
			sum->age_s_mean = (uint32_t)(age / good_n);
		}
		sum->checks_n += span->checks_n;
		sum->good_n += span->good_n;
		sum->out_n += span->out_n;
		sum->worst = span->worst > sum->worst ? span->worst : sum->worst;
	}
}

void site_write_mirror(struct site_run *run, struct site_mirror *mirror)
{
	const struct mirror_view *view = mirror->view;
	struct site *site = run->site;
	struct site_graphs graphs = { 0 };
	memset(site->sums, 0, SITE_HOURS * sizeof(*site->sums));
	for (size_t i = 0; i < view->addrs_n; i++) {
		read_spans(run, view->host, &view->addrs[i].addr);
		add_spans(site->sums, site->spans);
		site_graphs_add(&graphs, site->spans, site->weeks);
	}
	site_row_make(site->sums, &mirror->row);
	size_t checks_n = history_checks(run->history, view->host, site->checks, SITE_CHECKS);
	size_t events_n = history_events(run->history, view->host, site->events, SITE_EVENTS);
	struct site_text text;
	char path[SITE_FILE_MAX + 32];
	site_page_begin(run, &text, 1, view->host, "");
	add_overview(run, mirror, &text);
	site_add(&text, "<section aria-labelledby=\"addresses\">\n<h2 id=\"addresses\">Addresses</h2>\n");
	for (size_t i = 0; i < view->addrs_n; i++)
		add_address(run, mirror, i, &graphs, &text);
	site_add(&text, "</section>\n");
	site_graphs_write(run, mirror, &graphs, &text);
	add_events(run, events_n, &text);
	add_checks(run, mirror, checks_n, &text);
	add_badge(run, mirror, &text);
	site_page_end(run, &text, 1, false);
	snprintf(path, sizeof(path), "mirror/%s.html", mirror->file);
	site_page_write(run, path, &text);
	site_write_mirror_data(run, mirror, checks_n, events_n);
}
