/*
 * monitor_int: what the files of the running monitor share. Everything on the loop's thread.
 */
#ifndef TOOLS_MIRRORMON_MONITOR_INT_H
#define TOOLS_MIRRORMON_MONITOR_INT_H

#include <uv.h>

#include "metrics/http.h"
#include "mirrormon/checker.h"
#include "mirrormon/decide.h"
#include "mirrormon/history.h"
#include "mirrormon/mail.h"
#include "mirrormon/model.h"
#include "mirrormon/publish.h"
#include "mirrormon/site.h"

struct monitor;

/** An address that is checked. Lives until its mirror leaves the configuration and its check has ended. */
struct watched {
	struct monitor *monitor;
	uv_timer_t timer; /* of its next check */
	char *host;
	struct addr addr;
	size_t mirror;                      /* in the pool; SIZE_MAX = no longer in it */
	bool busy;                          /* a check is under way, */
	const struct conf_checks *asked_by; /* by this configuration */
	bool is_checked;                    /* once since the start, whatever came of it */
	bool is_new;                        /* while a pool is taken over: nothing is known of it */
	bool is_kept;                       /* and: it is in the new one */
	uint64_t due_ms;                    /* of its next whole check, by the loop's clock */
	bool wants_deep;
	uint32_t deep_database;
	bool was_deep; /* a whole one has been asked for since the start */
	/* By the last good check before the start, in the order of then; 0 = not known. */
	uint32_t versions_before[MODEL_DATABASES_MAX];
	char owed[VERSION_NAME_MAX]; /* the database it has to show whole before it is back; "" = none */
	unsigned turn;
	struct check_request request;
	struct standing standing;
	struct check_result last;
	bool is_witness;          /* that check is to show whether its family works */
	enum reason heard;        /* of the last check, whether it counted or not */
	struct check_result held; /* failed, and waits for the self-test to say whether it is to blame */
	uint64_t held_ms; /* when it came in, by the loop's clock; 0 = none is held. No check begins meanwhile
	                   */
	struct verdict verdict;
	uint64_t checks_n, failures_n[REASON_N];
	struct watched *next; /* of those that have left, but are still being checked */
	double score;         /* of the last hundred checks or so, for metrics; it starts at 0 */
};

/**
 * IPv4 or IPv6, as they work from here. References may show one family and not the other, and who is
 * unreachable over a family that has broken here is not to blame.
 */
struct family {
	uint64_t shown_ms; /* an answer came over it, by the loop's clock; 0 = none yet */
	uint64_t asked_ms; /* witnesses were asked last */
	uint64_t lost_ms;  /* and none of them answered, nor anybody since; 0 = it is not lost */
	size_t asked_n;    /* witnesses whose answer is awaited */
	size_t next;       /* of the watched: who is the next witness */
	bool is_awaited;   /* checks are held until it is clear */
	bool is_lacking;   /* it can't be checked from here, as the log has said */
};
enum family_word {
	FAMILY_WORKS,
	FAMILY_LOST,
	FAMILY_UNCLEAR, /* ask for it */
};

/** A reference and what was last seen of it. */
struct watched_reference {
	struct check_result last;
};

/** Another monitor. */
struct colleague {
	const char *source; /* in the configuration */
	struct vote *vote;  /* NULL = none yet */
	bool busy;
	char detail[MODEL_DETAIL_MAX]; /* why there is no newer one */
};

struct monitor {
	uv_loop_t loop;
	const char *conf_path;
	struct settings *settings;
	bool once;
	bool final;                 /* with once: all is known, and is written now */
	uint64_t drawn_s;           /* with once: the lot fell in this run; 0 = it was not its turn */
	uint64_t suspects_until_ms; /* with once: so long, by the loop's clock, more of them are looked at */
	uint64_t prune_until_ms;    /* with once: the same for what is old; 0 = has not begun */
	bool stopping;
	int status;     /* with once */
	bool is_broken; /* it stops by itself, to be started again */

	uv_signal_t signals[3];
	uv_timer_t judge_timer; /* soon after something has changed */
	uv_timer_t beat_timer;  /* when nothing does: time passes, the feed is renewed */
	uv_timer_t self_timer;
	uv_timer_t deep_timer;
	uv_timer_t brief_timer; /* looks at headers while a version waits */
	uv_timer_t votes_timer;
	uv_prepare_t prepare;

	struct checker *checker;
	struct checker *old_checker; /* of the configuration before: ends what it has begun */
	struct settings *old_settings;
	bool reload_wanted;
	struct watched **watched;
	size_t watched_n;
	struct watched *leaving; /* no longer in the pool */
	size_t unchecked_n;      /* not checked since the start */
	uint64_t round_until_ms; /* so long, by the loop's clock, those are waited for; 0 = not at all */
	bool round_told;         /* the log has said that this is over */

	struct watched_reference *references;
	size_t references_busy_n;
	uint64_t self_begun_ms; /* the self-test under way or the last one, by the loop's clock */
	uint64_t self_ended_ms; /* the last one that has ended: when it began */
	bool self_ok;
	uint64_t self_since_s;
	char self_detail[MODEL_DETAIL_MAX];
	uint64_t newest_timestamp_s;
	uint64_t verified_s;

	struct colleague *colleagues;
	size_t colleagues_n;
	struct announced databases[MODEL_DATABASES_MAX];
	/* What has been told of each mirror of the pool: to notice changes, and since when the gate says what
	 * it says anew each time. */
	struct verdict *told;
	uint64_t serial;
	uint64_t wall_s; /* at the last judgement, and the loop's clock then: to notice jumps */
	uint64_t wall_loop_ms;
	uint64_t judge_ms; /* of the processor, for the last judgement */

	struct view *view; /* the last one */
	struct feed_signer signer;
	bool is_signing;
	uint64_t feed_hash;       /* of what matters of the feed last written */
	uint64_t feed_written_ms; /* 0 = not yet */
	uint64_t feed_tried_ms;
	uint64_t vote_written_ms;
	bool vote_changed, save_changed; /* since they were written */
	uint64_t flushed_ms;
	uint64_t saved_ms; /* the standings */
	bool feed_failed;
	struct history *history;
	bool history_failed;
	uint64_t pruned_ms;
	struct incidents *incidents;
	struct mailer *mailer;
	struct site *site;
	struct site *site_next; /* of a new configuration, while the other is at work; NULL = none */
	bool site_busy;
	struct history *site_history; /* of the site's thread */
	uint64_t site_begun_ms;
	uv_work_t site_work;
	struct view *site_view;
	struct diag site_diag;
	int site_status;
	bool site_failed;
	struct metrics_calls metrics_calls;
	struct metrics_http *http;
	struct family families[2]; /* IPv4, IPv6 */
	uint64_t dropped_n;        /* failed checks that were the monitor's own fault */
	uint64_t changes_n;
};

/** Something has changed: judge soon. */
void monitor_touch(struct monitor *monitor);
/** Either may be NULL. */
bool monitor_same_text(const char *a, const char *b);

/* monitor_self.c */
/** Are we well? Nothing while one is under way. */
void monitor_self_test(struct monitor *monitor);
/** For results that are held: soon, but many are asked about at once. */
void monitor_self_soon(struct monitor *monitor);
/** Failed checks that came in before the self-test began, and whose family works: were they ours? Without
 * references all that are held. */
void monitor_release_held(struct monitor *monitor);
/** Read what the others say. */
void monitor_read_votes(struct monitor *monitor);
/** Counts for the next judgement? why is set when not. One voice has one vote, whatever the files. */
bool monitor_vote_counts(const struct monitor *monitor, const struct colleague *colleague, uint64_t now_s,
                         const char **ret_why);
/** Highest version of a database that a reference has; 0 = none is known. */
uint32_t monitor_reference_version(const struct monitor *monitor, size_t database);

/* monitor_family.c */
/** An answer came over it, whatever it was. */
void monitor_note_answer(struct monitor *monitor, unsigned family);
/** Does it work, by what has come since? */
enum family_word monitor_family_says(const struct monitor *monitor, unsigned family, uint64_t since_ms);
/** Ask who was well of late, and references by their names, unless that is under way. Returns true when held
 * checks can be looked at anew at once: there is nobody to ask, so it is lost. */
bool monitor_ask_family(struct monitor *monitor, unsigned family);
/** The check of a witness has ended. */
void monitor_witness_ended(struct monitor *monitor, unsigned family);
/** With another configuration: nobody is awaited any more. */
void monitor_forget_witnesses(struct monitor *monitor);
/** It can't be checked from here; told once. */
void monitor_tell_lack(struct monitor *monitor, unsigned family, const char *why);

/* monitor_deep.c */
/** May one more be fetched now? */
bool monitor_has_room_for_deep(const struct monitor *monitor);
/** A whole database of a mirror that is drawn, now. Returns false when there is nobody. */
bool monitor_draw_lot(struct monitor *monitor);
/** With once: in the run that begins, unless a run within deep-interval did. */
void monitor_draw_lot_of_run(struct monitor *monitor);
/** The run was one that counts: the lot that fell in it, too. */
void monitor_keep_lot(struct monitor *monitor);
/** With once, when all were checked: who looks odd, and was not asked for a whole database, is. Returns false
 * when nobody is left, or the time for it is over. */
bool monitor_check_suspects(struct monitor *monitor);
/** After wrong content: the database that the finding is about has to be shown whole, else any. */
void watched_owe(struct watched *watched, const char *detail);
/** What a result says of whole databases: one that was owed is shown, or something asks for a look at one. */
void watched_look_deeper(struct watched *watched, const struct check_result *result);

/* monitor_schedule.c */
/** Addresses are waited for that were not looked at yet: nothing is decided before. */
bool monitor_is_first_round(const struct monitor *monitor);
/** That this has an end without them, is told once. */
void monitor_tell_round(struct monitor *monitor);
/** A result counts: into the standing, the history, the counters. */
void watched_observe(struct watched *watched, const struct check_result *result);
void watched_check(struct watched *watched, bool brief);
/** Next check after so many ms, spread; 0 = as its state asks for. */
void watched_wait(struct watched *watched, uint64_t ms);
/** The same after a check: a look between does not put off the whole check, one that failed brings it nearer.
 */
void watched_wait_after(struct watched *watched, bool brief, bool failed, uint64_t ms);
/** Take the addresses of a pool: those there are go on, new ones begin, old ones end. New ones are on
 * probation, unless most of the pool is new: then nothing is known yet. Returns 0 or -ENOMEM. */
int monitor_watch_pool(struct monitor *monitor);
void monitor_watch_nothing(struct monitor *monitor);
/** The checker that was asked by another configuration is closed: what it was at begins anew. */
void monitor_watch_anew(struct monitor *monitor);
/** What was seen by the databases of one configuration, by those of another; not seen where patches are now
 * looked for, but were not then. */
void monitor_move_databases(const struct conf_checks *from, const struct conf_checks *to,
                            struct seen_database databases[MODEL_DATABASES_MAX]);

/* monitor_restore.c */
/** Our last feed; NULL when there is none. Take json_decref() for it. */
struct json_t *monitor_read_feed(const struct conf_monitor *conf);
/** At a start, with votes of others: what held is what the feed says. feed may be NULL. */
void monitor_restore_verdicts(const struct conf_monitor *conf, const struct json_t *feed,
                              struct watched *const *list, size_t n);
/** Who was out of sync is so, by mirror of the pool, until the gate says other. */
void monitor_restore_told(const struct settings *settings, const struct json_t *feed, struct verdict *told);

/* monitor_judge.c */
/** A mirror's verdict, address by address: out when all are, by the worst of them. The first sets sum. */
void monitor_sum_up(const struct verdict *one, bool is_first, struct verdict *sum);
/** Everything that follows from what is known: verdicts, gate, view, and its publication. */
void monitor_judge(struct monitor *monitor);

/* monitor_output.c */
/** Give monitor->view to feed, vote, history, mail and site. Returns 0 or the first error. */
int monitor_output(struct monitor *monitor, bool is_deciding, bool changed);
/** At the start: what is written and kept. Returns 0 or negative errno with diag. */
int monitor_output_open(struct monitor *monitor, struct diag *diag);
/** What a new configuration changes of it. */
int monitor_output_reload(struct monitor *monitor, const struct settings *settings, struct diag *diag);
/** What the gate has come to, for the next start. */
void monitor_read_announced(struct monitor *monitor, const char *database, struct announced *announced);
void monitor_keep_announced(struct monitor *monitor, const struct announced *announced);
/** With once, at its end: as much of what is old as there is time for. Call it until it returns false. */
bool monitor_prune_rest(struct monitor *monitor);
void monitor_output_close(struct monitor *monitor);

/* monitor_metrics.c */
/** What the HTTP server calls, with the monitor as context. */
struct metrics_calls monitor_metrics_make_calls(struct monitor *monitor);

#endif
