#include "mirrormon/site_graphs.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/utc.h"
#include "mirrormon/site_svg.h"

static double percent_of(uint64_t good_n, uint64_t checks_n)
{
	return checks_n ? 100.0 * (double)good_n / (double)checks_n : NAN;
}

static void add_weeks(struct site_graphs *graphs, const struct history_span *hours,
                      const struct history_span *older, double year_percent[SITE_WEEKS])
{
	uint64_t checks_n[SITE_WEEKS] = { 0 };
	uint64_t good_n[SITE_WEEKS] = { 0 };
	for (size_t i = 0; i < SITE_WEEKS_OLD; i++) {
		checks_n[i] = older[i].checks_n;
		good_n[i] = older[i].good_n;
	}
	for (size_t i = 0; i < SITE_HOURS; i++) {
		checks_n[SITE_WEEKS_OLD + i / (7 * 24)] += hours[i].checks_n;
		good_n[SITE_WEEKS_OLD + i / (7 * 24)] += hours[i].good_n;
	}
	for (size_t i = 0; i < SITE_WEEKS; i++) {
		graphs->checks_n[i] += checks_n[i];
		graphs->good_n[i] += good_n[i];
		graphs->days[i] = (double)i * 7 + 3.5;
		year_percent[i] = percent_of(good_n[i], checks_n[i]);
	}
}

void site_graphs_add(struct site_graphs *graphs, const struct history_span *hours,
                     const struct history_span *older)
{
	double no_line[SITE_WEEKS];
	size_t line = graphs->n;
	add_weeks(graphs, hours, older, line < SITE_LINES_MAX ? graphs->year_percent[line] : no_line);
	if (line == SITE_LINES_MAX)
		return;
	graphs->n++;
	site_row_make(hours, &graphs->rows[line]);
	for (size_t i = 0; i < SITE_GROUPS; i++) {
		uint64_t checks_n = 0;
		uint64_t good_n = 0;
		double total = 0;
		double age = 0;
		for (size_t k = i * SITE_GROUP; k < (i + 1) * SITE_GROUP; k++) {
			checks_n += hours[k].checks_n;
			good_n += hours[k].good_n;
			total += (double)hours[k].good_n * hours[k].total_ms_mean;
			age += (double)hours[k].good_n * hours[k].age_s_mean;
		}
		graphs->hours[i] = (double)(i * SITE_GROUP) + SITE_GROUP / 2.0;
		graphs->good_percent[line][i] = percent_of(good_n, checks_n);
		graphs->total_ms[line][i] = good_n ? total / (double)good_n : NAN;
		graphs->age_h[line][i] = good_n ? age / (double)good_n / 3600 : NAN;
		graphs->total_max = fmax(graphs->total_max, good_n ? total / (double)good_n : 0);
		graphs->age_max = fmax(graphs->age_max, good_n ? age / (double)good_n / 3600 : 0);
	}
}

static size_t day_ticks(const struct site_run *run, struct site_tick ticks[SITE_TICKS_MAX])
{
	size_t n = 0;
	for (unsigned day = 0; day < SITE_DAYS && n < SITE_TICKS_MAX; day += 2) {
		time_t at = (time_t)(run->until_s - (SITE_DAYS - day) * 86400);
		struct tm parts;
		gmtime_r(&at, &parts);
		ticks[n].at = day * 24;
		strftime(ticks[n].label, sizeof(ticks[n].label), "%d %b", &parts);
		n++;
	}
	return n;
}

/* Where every other month begins. */
static size_t month_ticks(const struct site_run *run, struct site_tick ticks[SITE_TICKS_MAX])
{
	time_t begin = (time_t)(run->until_s - (uint64_t)SITE_WEEKS * SITE_WEEK_S);
	struct tm parts;
	size_t n = 0;
	gmtime_r(&begin, &parts);
	parts = (struct tm){ .tm_year = parts.tm_year, .tm_mon = parts.tm_mon + 1, .tm_mday = 1 };
	for (; n < SITE_TICKS_MAX; parts.tm_mon += 2) {
		double day = (double)(timegm(&parts) - begin) / 86400;
		if (day >= SITE_WEEKS * 7)
			break;
		ticks[n].at = day;
		strftime(ticks[n].label, sizeof(ticks[n].label), "%b %Y", &parts);
		n++;
	}
	return n;
}

/* One graph: what its lines have in common, and where they are. */
struct figure {
	const char *title, *when, *summary;
	const double *x;      /* [points_n] */
	const double *values; /* [graphs->n][points_n] */
	size_t points_n;
	double x_max, y_max;
	const char *unit;
	const struct site_tick *x_ticks, *limits;
	size_t x_ticks_n, limits_n;
};

static void add_figure(struct site_text *text, const struct site_graphs *graphs,
                       const struct mirror_view *mirror, const struct figure *figure)
{
	struct site_tick y_ticks[SITE_TICKS_MAX];
	struct site_line lines[SITE_LINES_MAX];
	char label[256];
	snprintf(label, sizeof(label), "%s in %s. %s", figure->title, figure->when, figure->summary);
	struct site_chart chart = { .label = label,
		                    .x_max = figure->x_max,
		                    .x_ticks = figure->x_ticks,
		                    .x_ticks_n = figure->x_ticks_n,
		                    .y_ticks = y_ticks,
		                    .limits = figure->limits,
		                    .limits_n = figure->limits_n,
		                    .lines = lines,
		                    .lines_n = graphs->n };
	chart.y_ticks_n = site_svg_ticks(figure->y_max, figure->unit, y_ticks, &chart.y_max);
	site_add(text, "<figure>\n<figcaption>%s", figure->title);
	for (size_t i = 0; i < graphs->n; i++) {
		char addr[ADDR_TEXT_MAX];
		lines[i] = (struct site_line){ .x = figure->x,
			                       .y = figure->values + i * figure->points_n,
			                       .n = figure->points_n };
		if (graphs->n > 1)
			site_add(text,
			         " <span class=\"quiet\"><svg width=\"30\" height=\"8\" viewBox=\"0 0 30 8\" "
			         "aria-hidden=\"true\">"
			         "<path class=\"line l%zu\" d=\"M1 4h28\"/></svg> %s</span>",
			         i, addr_format(&mirror->addrs[i].addr, addr, sizeof(addr)));
	}
	site_add(text, "</figcaption>\n");
	site_svg_chart(text, &chart);
	site_add(text, "</figure>\n");
}

static void add_days(const struct site_run *run, const struct site_mirror *mirror,
                     const struct site_graphs *graphs, struct site_text *text)
{
	const struct conf_decision *decision = &run->view->conf->decision;
	struct site_tick x_ticks[SITE_TICKS_MAX];
	struct site_tick slow = { .at = decision->slow_over_ms, .label = "slow" };
	struct site_tick ages[] = { { .at = decision->late_after_s / 3600.0, .label = "late" },
		                    { .at = decision->old_after_s / 3600.0, .label = "old" } };
	char summary[160] = "No checks yet.";
	struct figure figure = { .title = "Availability",
		                 .when = "the last 14 days",
		                 .summary = summary,
		                 .x = graphs->hours,
		                 .values = graphs->good_percent[0],
		                 .points_n = SITE_GROUPS,
		                 .x_max = SITE_HOURS,
		                 .y_max = 100,
		                 .unit = " %",
		                 .x_ticks = x_ticks,
		                 .x_ticks_n = day_ticks(run, x_ticks) };
	if (mirror->row.checks_n)
		snprintf(summary, sizeof(summary), "%.1f %% of %u checks were good.",
		         percent_of(mirror->row.good_n, mirror->row.checks_n), mirror->row.checks_n);
	site_add(text,
	         "<section aria-labelledby=\"graphs\">\n<h2 id=\"graphs\">Last 14 days</h2>\n<p>%s</p>\n",
	         summary);
	add_figure(text, graphs, mirror->view, &figure);
	snprintf(summary, sizeof(summary), "Highest mean of three hours: %.0f ms.", graphs->total_max);
	figure.title = "Time that a check takes";
	figure.values = graphs->total_ms[0];
	figure.y_max = fmax(graphs->total_max, 10);
	figure.unit = " ms";
	figure.limits = &slow;
	figure.limits_n = decision->slow_over_ms ? 1 : 0;
	add_figure(text, graphs, mirror->view, &figure);
	snprintf(summary, sizeof(summary), "Highest mean of three hours: %.1f h.", graphs->age_max);
	figure.title = "Age of the timestamp";
	figure.values = graphs->age_h[0];
	figure.y_max = fmax(graphs->age_max, 4);
	figure.unit = " h";
	figure.limits = ages;
	figure.limits_n = 2;
	add_figure(text, graphs, mirror->view, &figure);
	site_add(text, "</section>\n");
}

/* All is well only when it is: never rounded up to 100. */
static double rounded_down(uint64_t good_n, uint64_t checks_n)
{
	return floor((double)good_n * 10000.0 / (double)checks_n) / 100;
}

static void add_year(const struct site_run *run, const struct site_mirror *mirror,
                     const struct site_graphs *graphs, struct site_text *text)
{
	uint64_t checks_n = 0;
	uint64_t good_n = 0;
	uint64_t old_n = 0;
	size_t worst = SITE_WEEKS;
	for (size_t i = 0; i < SITE_WEEKS; i++) {
		checks_n += graphs->checks_n[i];
		good_n += graphs->good_n[i];
		old_n += i < SITE_WEEKS_OLD ? graphs->checks_n[i] : 0;
		if (graphs->good_n[i] < graphs->checks_n[i] &&
		    (worst == SITE_WEEKS ||
		     percent_of(graphs->good_n[i], graphs->checks_n[i]) <
		             percent_of(graphs->good_n[worst], graphs->checks_n[worst])))
			worst = i;
	}
	site_add(text, "<section aria-labelledby=\"year\">\n<h2 id=\"year\">Last year</h2>\n");
	if (old_n == 0) {
		site_add(text, "<p>No checks before the last 14 days.</p>\n</section>\n");
		return;
	}
	char summary[160];
	char utc[UTC_TEXT_MAX];
	int len = snprintf(summary, sizeof(summary), "%.2f %% of %" PRIu64 " checks in 52 weeks were good",
	                   rounded_down(good_n, checks_n), checks_n);
	if (worst < SITE_WEEKS) {
		utc_format(run->until_s - (SITE_WEEKS - worst) * SITE_WEEK_S, utc);
		snprintf(summary + len, sizeof(summary) - (size_t)len,
		         "; in the worst week, from %.10s on, %.2f %%.", utc,
		         rounded_down(graphs->good_n[worst], graphs->checks_n[worst]));
	} else {
		snprintf(summary + len, sizeof(summary) - (size_t)len, ".");
	}
	struct site_tick x_ticks[SITE_TICKS_MAX];
	struct figure figure = { .title = "Availability by weeks",
		                 .when = "the last year",
		                 .summary = summary,
		                 .x = graphs->days,
		                 .values = graphs->year_percent[0],
		                 .points_n = SITE_WEEKS,
		                 .x_max = SITE_WEEKS * 7,
		                 .y_max = 100,
		                 .unit = " %",
		                 .x_ticks = x_ticks,
		                 .x_ticks_n = month_ticks(run, x_ticks) };
	site_add(text, "<p>%s</p>\n", summary);
	add_figure(text, graphs, mirror->view, &figure);
	site_add(text, "</section>\n");
}

void site_graphs_write(const struct site_run *run, const struct site_mirror *mirror,
                       const struct site_graphs *graphs, struct site_text *text)
{
	add_days(run, mirror, graphs, text);
	add_year(run, mirror, graphs, text);
}
