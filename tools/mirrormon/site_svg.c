#include "mirrormon/site_svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_WIDTH 9
#define DAYS_HEIGHT 20

/* What a day was like, and how high its block is: read without colours too. */
enum day_kind { DAY_GOOD, DAY_MOSTLY, DAY_PARTLY, DAY_BAD, DAY_EMPTY, DAY_N };
static const struct {
	const char *css, *words;
	unsigned height;
} day_kinds[DAY_N] = {
	[DAY_GOOD] = { "d-good", "all good", 20 },
	[DAY_MOSTLY] = { "d-mostly", "90 % good or more", 15 },
	[DAY_PARTLY] = { "d-partly", "less", 10 },
	[DAY_BAD] = { "d-bad", "none good", 6 },
	[DAY_EMPTY] = { "d-empty", "without checks", 2 },
};

static enum day_kind day_kind(const struct site_day *day)
{
	if (day->checks_n == 0)
		return DAY_EMPTY;
	if (day->good_n == 0)
		return DAY_BAD;
	if (day->good_n >= day->checks_n)
		return DAY_GOOD;
	return (uint64_t)day->good_n * 10 >= (uint64_t)day->checks_n * 9 ? DAY_MOSTLY : DAY_PARTLY;
}

void site_svg_days(struct site_text *text, const struct site_row *row)
{
	unsigned count[DAY_N] = { 0 };
	for (size_t i = 0; i < SITE_DAYS; i++)
		count[day_kind(&row->days[i])]++;
	site_add(text,
	         "<svg class=\"days\" role=\"img\" viewBox=\"0 0 %u %u\" width=\"%u\" height=\"%u\" "
	         "aria-label=\"",
	         SITE_DAYS * BLOCK_WIDTH - 1, DAYS_HEIGHT, SITE_DAYS * BLOCK_WIDTH - 1, DAYS_HEIGHT);
	const char *comma = "Days: ";
	for (int kind = 0; kind < DAY_N; kind++) {
		if (count[kind] == 0)
			continue;
		site_add(text, "%s%u %s", comma, count[kind], day_kinds[kind].words);
		comma = ", ";
	}
	site_add(text, "\">");
	for (int kind = 0; kind < DAY_N; kind++) {
		if (count[kind] == 0)
			continue;
		unsigned height = day_kinds[kind].height;
		site_add(text, "<path class=\"%s\" d=\"", day_kinds[kind].css);
		for (unsigned i = 0; i < SITE_DAYS; i++) {
			if (day_kind(&row->days[i]) == (enum day_kind)kind)
				site_add(text, "M%u %uh%uv%uh-%uz", i * BLOCK_WIDTH, DAYS_HEIGHT - height,
				         BLOCK_WIDTH - 1, height, BLOCK_WIDTH - 1);
		}
		site_add(text, "\"/>");
	}
	site_add(text, "</svg>");
}

void site_svg_trend(struct site_text *text, const struct site_row *row)
{
	if (row->checks_n == 0) {
		site_add(text, "<span class=\"quiet\">no checks yet</span>");
		return;
	}
	site_add(text, "<svg class=\"trend\" role=\"img\" viewBox=\"0 0 84 24\" width=\"84\" height=\"24\" "
	               "aria-label=\"Availability in half days:");
	int last = -1;
	for (size_t i = 0; i < SITE_POINTS; i++) {
		if (row->points[i] > 100 || row->points[i] == last)
			continue;
		last = row->points[i];
		site_add(text, " %d", last);
	}
	site_add(text, " percent\"><path class=\"base\" d=\"M0 23.5h84\"/><path class=\"line\" d=\"");
	bool pen_down = false;
	for (unsigned i = 0; i < SITE_POINTS; i++) {
		bool there = row->points[i] <= 100;
		if (there)
			site_add(text, "%s%u %.1f", pen_down ? "L" : "M", 1 + i * 3,
			         22 - row->points[i] * 0.2);
		/* One point alone is a dot, by a round cap. */
		if (there && !pen_down)
			site_add(text, "h0");
		pen_down = there;
	}
	site_add(text, "\"/></svg>");
}

/* Of the chart, in units of its view box. */
#define LEFT   58.0
#define RIGHT  452.0
#define TOP    8.0
#define BOTTOM 150.0

static double place_x(const struct site_chart *chart, double x)
{
	return LEFT + (RIGHT - LEFT) * fmin(fmax(x / chart->x_max, 0), 1);
}

static double place_y(const struct site_chart *chart, double y)
{
	return BOTTOM - (BOTTOM - TOP) * fmin(fmax(y / chart->y_max, 0), 1);
}

static void draw_line(struct site_text *text, const struct site_chart *chart, size_t number)
{
	const struct site_line *line = &chart->lines[number];
	bool pen_down = false;
	site_add(text, "<path class=\"line l%zu\" d=\"", number % 5);
	for (size_t i = 0; i < line->n; i++) {
		if (isnan(line->y[i])) {
			pen_down = false;
			continue;
		}
		double x = place_x(chart, line->x[i]);
		double y = place_y(chart, line->y[i]);
		if (!pen_down)
			site_add(text, "M%.1f %.1fh0", x, y);
		else if (line->steps)
			site_add(text, "H%.1fV%.1f", x, y);
		else
			site_add(text, "L%.1f %.1f", x, y);
		pen_down = true;
	}
	site_add(text, "\"/>");
}

void site_svg_chart(struct site_text *text, const struct site_chart *chart)
{
	site_add(text, "<svg class=\"chart\" role=\"img\" viewBox=\"0 0 480 176\" aria-label=\"%s\">\n",
	         chart->label);
	for (size_t i = 0; i < chart->y_ticks_n; i++) {
		double y = place_y(chart, chart->y_ticks[i].at);
		site_add(text,
		         "<path class=\"grid\" d=\"M%.0f %.1fH%.0f\"/><text x=\"%.0f\" y=\"%.1f\" "
		         "class=\"end\">%s</text>\n",
		         LEFT, y, RIGHT, LEFT - 5, y + 4, chart->y_ticks[i].label);
	}
	for (size_t i = 0; i < chart->x_ticks_n; i++) {
		double x = place_x(chart, chart->x_ticks[i].at);
		site_add(text,
		         "<path class=\"grid\" d=\"M%.1f %.0fv4\"/><text x=\"%.1f\" y=\"168\" "
		         "class=\"mid\">%s</text>\n",
		         x, BOTTOM, x, chart->x_ticks[i].label);
	}
	for (size_t i = 0; i < chart->limits_n; i++) {
		if (chart->limits[i].at > chart->y_max)
			continue;
		double y = place_y(chart, chart->limits[i].at);
		site_add(text,
		         "<path class=\"limit\" d=\"M%.0f %.1fH%.0f\"/><text x=\"%.0f\" y=\"%.1f\" "
		         "class=\"end\">%s</text>\n",
		         LEFT, y, RIGHT, RIGHT, y - 3, chart->limits[i].label);
	}
	for (size_t i = 0; i < chart->lines_n; i++)
		draw_line(text, chart, i);
	site_add(text, "</svg>\n");
}

size_t site_svg_ticks(double max, const char *unit, struct site_tick ticks[SITE_TICKS_MAX], double *ret_top)
{
	static const double factors[] = { 1, 2, 2.5, 5, 10 };
	double rough = fmax(max, 1e-3) / 4;
	double power = pow(10, floor(log10(rough)));
	double step = power * 10;
	for (size_t i = 0; i < sizeof(factors) / sizeof(*factors); i++) {
		if (power * factors[i] >= rough * 0.999) {
			step = power * factors[i];
			break;
		}
	}
	size_t n = 0;
	do {
		ticks[n].at = step * (double)n;
		snprintf(ticks[n].label, sizeof(ticks[n].label), "%.4g%s", ticks[n].at, unit);
		n++;
	} while (n < SITE_TICKS_MAX && ticks[n - 1].at < max * 0.999);
	*ret_top = ticks[n - 1].at;
	return n;
}

void site_svg_badge(struct site_text *text, const char *label, const char *message, const char *colour)
{
	unsigned left = (unsigned)strlen(label) * 7 + 12;
	unsigned right = (unsigned)strlen(message) * 7 + 12;
	site_add(text,
	         "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"20\" role=\"img\" "
	         "aria-label=\"%s: %s\">"
	         "<title>%s: %s</title>\n"
	         "<clipPath id=\"r\"><rect width=\"%u\" height=\"20\" rx=\"3\"/></clipPath>\n"
	         "<g clip-path=\"url(#r)\"><rect width=\"%u\" height=\"20\" fill=\"#454c54\"/>"
	         "<rect x=\"%u\" width=\"%u\" height=\"20\" fill=\"%s\"/></g>\n",
	         left + right, label, message, label, message, left + right, left, left, right, colour);
	site_add(text,
	         "<g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,DejaVu Sans,sans-serif\" "
	         "font-size=\"11\">"
	         "<text x=\"%u\" y=\"14\" textLength=\"%u\">%s</text><text x=\"%u\" y=\"14\" "
	         "textLength=\"%u\">%s</text></g></svg>\n",
	         left / 2, left - 12, label, left + right / 2, right - 12, message);
}
