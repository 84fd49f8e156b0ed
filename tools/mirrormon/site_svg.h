/*
 * site_svg: small drawings inside of pages, coloured by the style sheet, each with its text alternative.
 */
#ifndef TOOLS_MIRRORMON_SITE_SVG_H
#define TOOLS_MIRRORMON_SITE_SVG_H

#include "mirrormon/site_int.h"

/** 14 blocks, one a day: the worse the lower. first_s: the beginning of the first day. */
void site_svg_days(struct site_text *text, const struct site_row *row);
/** Percent of good checks as a line. */
void site_svg_trend(struct site_text *text, const struct site_row *row);

struct site_tick {
	double at;
	char label[24];
};

/** Points from left to right; y NAN: there is none. steps: a value holds until the next one. */
struct site_line {
	const double *x, *y;
	size_t n;
	bool steps;
};

struct site_chart {
	const char *label; /* the text alternative */
	double x_max, y_max;
	const struct site_tick *x_ticks, *y_ticks, *limits; /* limits: lines across, such as thresholds */
	size_t x_ticks_n, y_ticks_n, limits_n;
	const struct site_line *lines; /* at most 5 look different */
	size_t lines_n;
};
void site_svg_chart(struct site_text *text, const struct site_chart *chart);

#define SITE_TICKS_MAX 8
/** Round steps from 0 to past max, of which *ret_top is the last. Returns how many. */
size_t site_svg_ticks(double max, const char *unit, struct site_tick ticks[SITE_TICKS_MAX], double *ret_top);

/** A picture of its own, "mirror | OK", with colours of its own. */
void site_svg_badge(struct site_text *text, const char *label, const char *message, const char *colour);

#endif
