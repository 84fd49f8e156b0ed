/* mirrors.html: each mirror with all that is known of it, by country. */
#include "mirrormon/site_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utc.h"
#include "mirrormon/site_svg.h"

static void add_summary(const struct site_run *run, struct site_text *text)
{
	const struct view *view = run->view;
	size_t countries_n = 0;
	for (size_t i = 0; i < run->countries_n; i++)
		countries_n += run->countries[i].in_n > 0;
	site_add(text,
	         "<p class=\"summary\"><strong>%zu of %zu mirrors</strong> are in the pool, in %zu %s: ",
	         run->in_n, view->mirrors_n, countries_n, countries_n == 1 ? "country" : "countries");
	const char *comma = "";
	for (int state = SITE_STATE_N - 1; state >= 0; state--) {
		if (run->state_n[state] == 0)
			continue;
		site_add(text, "%s<span class=\"state %s\">%zu %s</span>", comma,
		         site_state_class((enum site_state)state), run->state_n[state],
		         site_state_text((enum site_state)state));
		comma = ", ";
	}
	site_add(text, ". The newest timestamp is of ");
	site_add_time(text, view->newest_timestamp_s);
	site_add(text, ".</p>\n");
}

static void add_age(const struct site_run *run, const struct site_mirror *mirror, struct site_text *text)
{
	char age[SITE_DURATION_MAX];
	char lag[SITE_DURATION_MAX];
	uint64_t now_s = run->view->now_s;
	site_add(text, "<td data-label=\"Timestamp\">");
	if (mirror->timestamp_s == 0)
		site_add(text, "not read");
	else if (mirror->timestamp_s > now_s)
		site_add(text, "%s ahead of time", site_duration(mirror->timestamp_s - now_s, age));
	else
		site_add(text, "%s old", site_duration(now_s - mirror->timestamp_s, age));
	if (mirror->lag_s)
		site_add(text, " <span class=\"quiet\">%s behind</span>", site_duration(mirror->lag_s, lag));
	site_add(text, "</td>");
}

/* The worst of the addresses of one family. */
static void add_family(const struct mirror_view *mirror, uint8_t family, struct site_text *text)
{
	struct site_judgement worst = { .state = SITE_STATE_N };
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		struct site_judgement one;
		if (mirror->addrs[i].addr.family != family)
			continue;
		site_facts_judge_address(mirror, &mirror->addrs[i], &one);
		if (one.state < worst.state)
			worst = one;
	}
	site_add(text, "<td data-label=\"IPv%d\">", family);
	if (worst.state == SITE_STATE_N)
		site_add(text, "<span class=\"quiet\">none</span>");
	else
		site_add_state(text, &worst, false);
	site_add(text, "</td>");
}

static void add_votes(const struct mirror_view *mirror, struct site_text *text)
{
	uint32_t out = 0;
	uint32_t of = 0;
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		const struct verdict *verdict = &mirror->addrs[i].verdict;
		if (verdict->votes_out >= out) {
			out = verdict->votes_out;
			of = verdict->votes_n;
		}
	}
	if (of)
		site_add(text, "<td data-label=\"Votes\">%u of %u out</td>", out, of);
	else
		site_add(text, "<td data-label=\"Votes\"><span class=\"quiet\">none</span></td>");
}

static void add_percent(struct site_text *text, uint32_t good_n, uint32_t checks_n)
{
	if (checks_n)
		site_add(text, " <span class=\"percent\">%.1f %%</span>", 100.0 * good_n / checks_n);
}

/* On a wide page there is room for the time of day alone; past a day from now it would mislead. */
static void add_next_check(uint64_t now_s, uint64_t at_s, struct site_text *text)
{
	char utc[UTC_TEXT_MAX];
	if (at_s == 0) {
		site_add(text, "<span class=\"quiet\">not planned</span>");
	} else if (at_s > now_s + 43200 || at_s + 43200 < now_s) {
		site_add_time(text, at_s);
	} else {
		utc_format(at_s, utc);
		site_add(text, "<time datetime=\"%s\">", utc);
		utc[16] = '\0';
		site_add(text, "%s</time>", utc + 11);
	}
}

static void add_mirror(const struct site_run *run, const struct site_mirror *mirror, struct site_text *text)
{
	const struct mirror_view *view = mirror->view;
	const struct site_judgement *judgement = &mirror->judgement;
	site_add(text,
	         "<tr>\n<th scope=\"row\"><a href=\"mirror/%s.html\">%s</a></th>\n<td data-label=\"State\">",
	         mirror->file, view->host);
	site_add_state(text, judgement, true);
	if (judgement->detail && *judgement->detail)
		site_add(text, " <span class=\"detail\">%s</span>", judgement->detail);
	site_add(text, "</td>\n");
	add_age(run, mirror, text);
	site_add(text, "\n");
	add_family(view, 4, text);
	add_family(view, 6, text);
	site_add(text, "\n<td data-label=\"Last 14 days\">");
	site_svg_days(text, &mirror->row);
	site_add(text, "</td>\n<td data-label=\"Availability\">");
	site_svg_trend(text, &mirror->row);
	add_percent(text, mirror->row.good_n, mirror->row.checks_n);
	site_add(text, "</td>\n<td data-label=\"Weight\">%u", mirror->weight);
	if (mirror->weight != view->weight)
		site_add(text, " <span class=\"quiet\">of %u, rising</span>", view->weight);
	site_add(text, "</td>\n");
	add_votes(view, text);
	site_add(text, "<td data-label=\"Next check\">");
	add_next_check(run->view->now_s, mirror->next_check_s, text);
	site_add(text, "</td>\n</tr>\n");
}

static const struct site_country *find_country(const struct site_run *run, uint16_t code)
{
	for (size_t i = 0; i < run->countries_n; i++) {
		if (run->countries[i].country == code)
			return &run->countries[i];
	}
	return NULL;
}

static void add_country(const struct site_run *run, uint16_t code, struct site_text *text)
{
	char letters[3];
	country_to_code(code, letters);
	const struct site_country *country = find_country(run, code);
	site_add(text, "<tbody>\n<tr class=\"country\"><th colspan=\"10\" scope=\"rowgroup\" id=\"%s\">%s",
	         letters, site_country_name(run, code));
	if (country)
		site_add(text, " <span class=\"quiet\">%s%s%zu of %zu in</span>",
		         run->site->world.width ? letters : "", run->site->world.width ? ", " : "",
		         country->in_n, country->mirrors_n);
	if (country && country->level != POOL_LEVEL_COUNTRY)
		site_add(text, " <span class=\"reason\">too few left: served by %s</span>", country->via);
	else if (country && country->readmitted)
		site_add(text, " <span class=\"reason\">too few left: mirrors that are out are served after "
		               "all</span>");
	site_add(text, "</th></tr>\n");
}

void site_write_mirrors(struct site_run *run)
{
	struct site_text text;
	site_page_begin(run, &text, 0, "Mirrors", "mirrors.html");
	add_summary(run, &text);
	site_add(&text,
	         "<p>This page shows availability over time, not how often databases arrive: for that see "
	         "<a href=\"versions.html\">Databases</a>. What the states mean and when a mirror is taken "
	         "out is told in "
	         "<a href=\"how.html\">How it is decided</a>.</p>\n");
	site_add(&text,
	         "<p class=\"legend\">Days: <span class=\"key d-good\"></span> all checks good, "
	         "<span class=\"key d-mostly\"></span> 90 %% or more, <span class=\"key d-partly\"></span> "
	         "less, "
	         "<span class=\"key d-bad\"></span> none, <span class=\"key d-empty\"></span> no checks. "
	         "The worse, the lower the block.</p>\n");
	site_add(
	        &text,
	        "<div class=\"scroll\" role=\"region\" aria-labelledby=\"mirrors\" tabindex=\"0\">\n"
	        "<table class=\"cards wide\">\n<caption id=\"mirrors\">Mirrors by "
	        "country</caption>\n<thead>\n<tr>"
	        "<th scope=\"col\">Mirror</th><th scope=\"col\">State</th><th scope=\"col\">Timestamp</th>"
	        "<th scope=\"col\">IPv4</th><th scope=\"col\">IPv6</th><th scope=\"col\">Last 14 days</th>"
	        "<th scope=\"col\">Availability</th><th scope=\"col\">Weight</th><th scope=\"col\">Votes</th>"
	        "<th scope=\"col\">Next check</th></tr>\n</thead>\n");
	for (size_t i = 0; i < run->view->mirrors_n; i++) {
		uint16_t country = run->mirrors[i].view->country;
		if (i == 0 || country != run->mirrors[i - 1].view->country)
			add_country(run, country, &text);
		add_mirror(run, &run->mirrors[i], &text);
		if (i + 1 == run->view->mirrors_n || country != run->mirrors[i + 1].view->country)
			site_add(&text, "</tbody>\n");
	}
	if (run->view->mirrors_n == 0)
		site_add(&text,
		         "<tbody>\n<tr><td colspan=\"10\">The pool has no mirrors.</td></tr>\n</tbody>\n");
	site_add(&text, "</table>\n</div>\n");
	site_page_end(run, &text, 0, true);
	site_page_write(run, "mirrors.html", &text);
}
