/*
 * site_graphs: the graphs of a mirror's page: 14 days by three hours, and a year by weeks. Each address has a
 * line of its own.
 */
#ifndef TOOLS_MIRRORMON_SITE_GRAPHS_H
#define TOOLS_MIRRORMON_SITE_GRAPHS_H

#include "mirrormon/site_int.h"

#define SITE_LINES_MAX 5 /* that look different: further addresses have none */
#define SITE_GROUP     3 /* hours of which a point of the 14 days is the mean */
#define SITE_GROUPS    (SITE_HOURS / SITE_GROUP)
#define SITE_WEEKS     52                           /* the last of them ends with the 14 days */
#define SITE_WEEKS_OLD (SITE_WEEKS - SITE_DAYS / 7) /* which end where these begin */
#define SITE_WEEK_S    (7 * 86400)

/** Zeroed: no address yet. NAN where nothing was measured. */
struct site_graphs {
	size_t n;                  /* addresses that have a line */
	double hours[SITE_GROUPS]; /* x: since the 14 days began */
	double days[SITE_WEEKS];   /* x: since the year began */
	struct site_row rows[SITE_LINES_MAX];
	double good_percent[SITE_LINES_MAX][SITE_GROUPS];
	double total_ms[SITE_LINES_MAX][SITE_GROUPS];
	double age_h[SITE_LINES_MAX][SITE_GROUPS];
	double year_percent[SITE_LINES_MAX][SITE_WEEKS];
	double total_max, age_max;
	uint64_t checks_n[SITE_WEEKS], good_n[SITE_WEEKS]; /* of all addresses, also those without a line */
};

/** One address more. hours [SITE_HOURS], older [SITE_WEEKS_OLD] */
void site_graphs_add(struct site_graphs *graphs, const struct history_span *hours,
                     const struct history_span *older);
/** What they come to, with its words: of mirror->row, and of the graphs. */
void site_graphs_write(const struct site_run *run, const struct site_mirror *mirror,
                       const struct site_graphs *graphs, struct site_text *text);

#endif
