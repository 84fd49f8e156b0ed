/*
 * site_int: what the pages of the site are made from.
 *
 *     view ──┐
 *            ├─ site_facts_make() ──> struct site_run: each mirror's state in words, its 14 days,
 *   history ─┘                        who serves each country ──> pages and data files
 */
#ifndef TOOLS_MIRRORMON_SITE_INT_H
#define TOOLS_MIRRORMON_SITE_INT_H

#include "mirrormon/site.h"
#include "mirrormon/site_files.h"
#include "mirrormon/site_text.h"
#include "mirrormon/site_world.h"

#define SITE_DAYS   14
#define SITE_HOURS  (SITE_DAYS * 24)
#define SITE_POINTS (SITE_DAYS * 2) /* of the trend: half days */
#define SITE_EVENTS 50
#define SITE_CHECKS 500 /* in the CSV; the page shows the first 50 */

/* In the order in which the eye should find them. */
enum site_state {
	SITE_OUT,
	SITE_PARTLY, /* an address is out, another one in */
	SITE_PROBATION,
	SITE_LATE,
	SITE_WARNED, /* in, but the last check failed, or was slow */
	SITE_MAINTENANCE,
	SITE_NEW, /* not checked yet */
	SITE_OK,
	SITE_STATE_N
};
/** "OK", "late", "out", "maintenance", "probation", "partly out", "warned", "unchecked" */
const char *site_state_text(enum site_state state);
/** The class of its colour in the style sheet: "ok". */
const char *site_state_class(enum site_state state);

struct site_day {
	uint32_t checks_n, good_n, out_n;
	enum reason worst;
};

/** What history says of one mirror in 14 days. */
struct site_row {
	struct site_day days[SITE_DAYS]; /* oldest first; the last one is today, not over yet */
	uint8_t points[SITE_POINTS];     /* percent of good checks; 255 = there were none */
	uint32_t checks_n, good_n;       /* of 14 days */
	/* Of the last 24 hours, for the JSON of Arch Linux. */
	uint32_t day_checks_n, day_good_n;
	double duration_avg_s, duration_stddev_s, delay_s;
};

/** A judgement in words, of a mirror or of one address. */
struct site_judgement {
	enum site_state state;
	enum reason reason; /* REASON_NONE when all is well */
	uint64_t since_s;   /* 0 = ever */
	const char *detail; /* "" */
};

struct site_mirror {
	const struct mirror_view *view;
	struct site_judgement judgement;
	char file[SITE_FILE_MAX];
	uint64_t timestamp_s; /* the oldest that its addresses had; 0 = none was read */
	uint64_t lag_s;       /* behind the newest of the references */
	uint64_t checked_s, next_check_s;
	uint32_t weight; /* as it is now */
	struct site_row row;
};

struct site_country {
	uint16_t country;
	size_t mirrors_n, in_n;
	enum pool_level level; /* who answers */
	char via[160];         /* "Germany (3 mirrors), France (2 mirrors)"; "" at POOL_LEVEL_COUNTRY */
	bool readmitted;       /* by taking back mirrors that are out */
	size_t members_n;
};

/** What a mirror's files were made from, to leave them alone while it is the same. */
struct site_memo {
	uint64_t host_hash, made_from;
	struct site_row row;
};

struct site {
	struct site_world world;
	struct site_memo *memos; /* sorted by host_hash */
	size_t memos_n;
	struct history_span *spans;   /* [SITE_HOURS] */
	struct history_span *sums;    /* [SITE_HOURS] */
	struct history_span *weeks;   /* [SITE_WEEKS_OLD] */
	struct history_check *checks; /* [SITE_CHECKS] */
	struct history_event *events; /* [SITE_EVENTS] */
	struct history_arrival *arrivals;
	size_t arrivals_cap;
};

/** One writing. */
struct site_run {
	struct site *site;
	const struct view *view;
	struct history *history;
	struct site_files files;
	struct site_mirror *mirrors;    /* [view->mirrors_n], by country, then by host */
	const char **hosts;             /* [view->mirrors_n], by strcmp */
	struct site_country *countries; /* all that there are, by name */
	size_t countries_n;
	size_t state_n[SITE_STATE_N];
	size_t in_n;      /* mirrors that are in, wholly or partly */
	uint64_t until_s; /* end of the day that is running: where graphs end */
};

/* site_facts.c */
int site_facts_make(struct site_run *run);
void site_facts_fini(struct site_run *run);
/** All but row of one mirror. */
void site_facts_judge(const struct view *view, const struct mirror_view *from,
                      struct site_mirror *ret_mirror);
void site_facts_judge_address(const struct mirror_view *mirror, const struct address_view *address,
                              struct site_judgement *ret_judgement);
/** From hourly spans [SITE_HOURS]. */
void site_row_make(const struct history_span *hours, struct site_row *ret_row);
/** English, or the code when there is no world. */
const char *site_country_name(const struct site_run *run, uint16_t country);
/** "Name" of "Name <a> || <alerts>"; "" when there is only an address. */
const char *site_admin_name(const char *admin, char name[80]);
bool site_host_is_plain(const char *host);
/** Is it a mirror's of now? */
bool site_has_host(const struct site_run *run, const char *host);

/* Pages. depth: 1 for those in mirror/ */
void site_page_begin(const struct site_run *run, struct site_text *text, int depth, const char *title,
                     const char *current);
void site_page_end(const struct site_run *run, struct site_text *text, int depth, bool with_time);
/** Write it, unless it lacks something; frees it. */
void site_page_write(struct site_run *run, const char *path, struct site_text *text);
void site_add_state(struct site_text *text, const struct site_judgement *judgement, bool with_since);

void site_write_index(struct site_run *run);
void site_write_mirrors(struct site_run *run);
void site_write_how(struct site_run *run);
void site_write_versions(struct site_run *run);
void site_write_map(struct site_run *run);
void site_write_style(struct site_run *run);
/** Page, JSON, CSV and badges of one mirror, whose row is set on the way. */
void site_write_mirror(struct site_run *run, struct site_mirror *mirror);
void site_write_mirror_data(struct site_run *run, const struct site_mirror *mirror, size_t checks_n,
                            size_t events_n);
void site_write_pool_data(struct site_run *run);
void site_write_atom(struct site_run *run);

#endif
