/* versions.html: what is announced of each database, and how its versions spread over the pool. */
#include "mirrormon/site_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "mirrormon/site_svg.h"

#define CURVES_MAX  5
#define MINUTES_MIN 10.0
#define MINUTES_MAX 1440.0

/* How one version came to the mirrors. */
struct spread {
	uint32_t version;
	uint64_t first_s;
	size_t n;        /* mirrors that have it */
	double *minutes; /* [n + 2] since first_s, from 0 on, the last one being the end of the line */
	double *percent; /* [n + 2] */
};

static bool read_spread(struct site_run *run, const char *database, uint32_t version, struct spread *ret)
{
	struct site *site = run->site;
	size_t mirrors_n = run->view->mirrors_n;
	size_t arrivals_n =
	        history_arrivals(run->history, database, version, site->arrivals, site->arrivals_cap);
	size_t n = 0;
	/* Mirrors that have gone since had it as well. */
	for (size_t i = 0; i < arrivals_n; i++) {
		if (site_has_host(run, site->arrivals[i].host))
			site->arrivals[n++] = site->arrivals[i];
	}
	*ret = (struct spread){ .version = version, .n = n };
	if (n == 0 || mirrors_n == 0)
		return false;
	ret->minutes = calloc(n + 2, sizeof(double));
	ret->percent = calloc(n + 2, sizeof(double));
	if (!ret->minutes || !ret->percent)
		return false;
	ret->first_s = site->arrivals[0].at_s;
	for (size_t i = 0; i < n; i++) {
		uint64_t at_s = site->arrivals[i].at_s;
		ret->minutes[i + 1] = at_s > ret->first_s ? (double)(at_s - ret->first_s) / 60 : 0;
		ret->percent[i + 1] = fmin(100.0 * (double)(i + 1) / (double)mirrors_n, 100);
	}
	return true;
}

/* Minutes until so many percent of the pool had it; negative: they do not yet. */
static double minutes_until(const struct spread *spread, double percent)
{
	for (size_t i = 1; i <= spread->n; i++) {
		if (spread->percent[i] >= percent - 1e-9)
			return spread->minutes[i];
	}
	return -1;
}

static void add_minutes(struct site_text *text, const char *label, double minutes)
{
	if (minutes < 0)
		site_add(text, "<td data-label=\"%s\"><span class=\"quiet\">not yet</span></td>", label);
	else
		site_add(text, "<td data-label=\"%s\">%.0f min</td>", label, minutes);
}

static void draw(const struct site_run *run, const char *database, struct spread *spreads, size_t n,
                 struct site_text *text)
{
	double longest = MINUTES_MIN;
	for (size_t i = 0; i < n; i++)
		longest = fmax(longest, spreads[i].minutes[spreads[i].n]);
	struct site_tick x_ticks[SITE_TICKS_MAX];
	struct site_tick y_ticks[SITE_TICKS_MAX];
	struct site_line lines[CURVES_MAX];
	char label[160];
	snprintf(label, sizeof(label),
	         "Mirrors that have the last versions of %.40s, by minutes since each was first seen; in "
	         "numbers below.",
	         database);
	struct site_chart chart = {
		.label = label, .x_ticks = x_ticks, .y_ticks = y_ticks, .lines = lines, .lines_n = n
	};
	chart.x_ticks_n = site_svg_ticks(fmin(longest, MINUTES_MAX), " min", x_ticks, &chart.x_max);
	chart.y_ticks_n = site_svg_ticks(100, " %", y_ticks, &chart.y_max);
	for (size_t i = 0; i < n; i++) {
		struct spread *spread = &spreads[i];
		double age = run->view->now_s > spread->first_s
		                     ? (double)(run->view->now_s - spread->first_s) / 60
		                     : 0;
		spread->minutes[spread->n + 1] = fmax(fmin(age, chart.x_max), spread->minutes[spread->n]);
		spread->percent[spread->n + 1] = spread->percent[spread->n];
		lines[i] = (struct site_line){
			.x = spread->minutes, .y = spread->percent, .n = spread->n + 2, .steps = true
		};
	}
	site_add(
	        text,
	        "<figure>\n<figcaption>Mirrors that have it, by time since it was first seen</figcaption>\n");
	site_svg_chart(text, &chart);
	site_add(text, "</figure>\n");
}

static void add_table(const struct site_run *run, const struct spread *spreads, size_t n,
                      struct site_text *text)
{
	site_add(text,
	         "<table class=\"cards\">\n<caption>The same in numbers</caption>\n<thead><tr><th "
	         "scope=\"col\">Version</th>"
	         "<th scope=\"col\">First seen</th><th scope=\"col\">On 50 %%</th><th scope=\"col\">On 90 "
	         "%%</th>"
	         "<th scope=\"col\">On all</th><th scope=\"col\">Mirrors now</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < n; i++) {
		site_add(text,
		         "<tr><th scope=\"row\">%u <svg class=\"sample\" width=\"30\" height=\"8\" "
		         "viewBox=\"0 0 30 8\" aria-hidden=\"true\">"
		         "<path class=\"line l%zu\" d=\"M1 4h28\"/></svg></th><td data-label=\"First seen\">",
		         spreads[i].version, i);
		site_add_time(text, spreads[i].first_s);
		site_add(text, "</td>");
		add_minutes(text, "On 50 %", minutes_until(&spreads[i], 50));
		add_minutes(text, "On 90 %", minutes_until(&spreads[i], 90));
		add_minutes(text, "On all", minutes_until(&spreads[i], 100));
		site_add(text, "<td data-label=\"Mirrors now\">%zu of %zu</td></tr>\n", spreads[i].n,
		         run->view->mirrors_n);
	}
	site_add(text, "</tbody>\n</table>\n");
}

static void add_announced(const struct site_run *run, const struct announced *announced,
                          struct site_text *text)
{
	site_add(text, "<dl>\n<dt>In DNS</dt><dd>");
	if (!run->view->conf->announce.enabled)
		site_add(text, "not announced by this monitor");
	else if (announced->version == 0)
		site_add(text, "none yet");
	else
		site_add(text, "version %u", announced->version);
	if (announced->version && announced->since_s) {
		site_add(text, " since ");
		site_add_time(text, announced->since_s);
	}
	site_add(text, "</dd>\n");
	if (announced->candidate && announced->candidate != announced->version) {
		site_add(text, "<dt>Next</dt><dd>version %u, first seen ", announced->candidate);
		site_add_time(text, announced->candidate_since_s);
		site_add(text, ", on %u of %u mirrors", announced->have_n, announced->of_n);
		if (*announced->waiting_for)
			site_add(text, " <span class=\"detail\">waiting for %s</span>",
			         announced->waiting_for);
		site_add(text, "</dd>\n");
	}
	site_add(text, "</dl>\n");
}

static void add_database(struct site_run *run, const struct announced *announced, size_t number,
                         struct site_text *text)
{
	uint32_t versions[CURVES_MAX];
	struct spread spreads[CURVES_MAX] = { 0 };
	size_t n = 0;
	site_add(text, "<section aria-labelledby=\"d%zu\">\n<h2 id=\"d%zu\">%s</h2>\n", number, number,
	         announced->name);
	add_announced(run, announced, text);
	size_t versions_n = history_versions(run->history, announced->name, versions, CURVES_MAX);
	for (size_t i = 0; i < versions_n; i++) {
		if (read_spread(run, announced->name, versions[i], &spreads[n])) {
			n++;
		} else {
			free(spreads[n].minutes);
			free(spreads[n].percent);
			spreads[n] = (struct spread){ 0 };
		}
	}
	if (n) {
		draw(run, announced->name, spreads, n, text);
		add_table(run, spreads, n, text);
	} else {
		site_add(text, "<p>No version has been seen yet.</p>\n");
	}
	for (size_t i = 0; i < n; i++) {
		free(spreads[i].minutes);
		free(spreads[i].percent);
	}
	site_add(text, "</section>\n");
}

void site_write_versions(struct site_run *run)
{
	struct site *site = run->site;
	const struct view *view = run->view;
	/* Some more than the pool has now: mirrors leave it. */
	size_t cap = view->mirrors_n * 2 + 16;
	if (site->arrivals_cap < cap) {
		free(site->arrivals);
		site->arrivals = calloc(cap, sizeof(*site->arrivals));
		site->arrivals_cap = site->arrivals ? cap : 0;
	}
	struct site_text text;
	site_page_begin(run, &text, 0, "Databases", "versions.html");
	site_add(&text, "<p>Which version of each database is announced in DNS, and how fast the last ones "
	                "came to the mirrors. Versions were "
	                "last verified ");
	site_add_time(&text, view->verified_s);
	site_add(&text, ".</p>\n");
	for (size_t i = 0; i < view->databases_n; i++)
		add_database(run, &view->databases[i], i, &text);
	site_page_end(run, &text, 0, true);
	site_page_write(run, "versions.html", &text);
}
