/*
 * decide: from results to who is in. Pure: no clock, no file, no memory but the arguments.
 *
 *     standing ──standing_observe(result)──> standing ──standing_pass(now)──> standing
 *
 * The rules, in the order in which they are looked at:
 *
 *     wrong content                                     out at once, `wrong-content`
 *     403 or 429                                        out at once, `refused`
 *     unreachable_after checks failed in a row          out, by the last's reason: unreachable, http-error
 *     timestamp old_after_s behind the newest           out, `old`; late_after_s behind: warned, `late`
 *     slow_after of the last 2 * slow_after - 1 slow    out, `slow`; of those that did not fail, 32 at most
 *
 * and back in after return_after good checks in a row that span the probation, which doubles with each time
 * it went out within flap_window_s; then its weight rises from ramp_percent to all of it in ramp_s. A check
 * is good when it did not fail and none of the above holds at it. `wrong-content` and `refused` give way to a
 * milder reason only when a check has not failed: a mirror that was last seen with wrong content does not
 * become one that was merely unreachable. Nothing here looks at other mirrors.
 */
#ifndef TOOLS_MIRRORMON_DECIDE_H
#define TOOLS_MIRRORMON_DECIDE_H

#include "mirrormon/model.h"

/**
 * A check has ended. Results must come in the order of their times; one that is older than the last is
 * ignored. Brief results count as checks only when they failed with wrong content.
 *
 * newest_timestamp_s  of the references when the check was made; 0 = not known: lateness is then not judged
 */
void standing_observe(struct standing *standing, const struct check_result *result,
                      uint64_t newest_timestamp_s, const struct conf_decision *conf);

/** Time has passed, the newest timestamp has moved: a mirror can become late without a check, never good. */
void standing_pass(struct standing *standing, uint64_t now_s, uint64_t newest_timestamp_s,
                   const struct conf_decision *conf);

/**
 * The clock has gone back to now_s: what happened in its future happened now. Otherwise no check would count
 * until the clock has caught up.
 */
void standing_set_back(struct standing *standing, uint64_t now_s);

/** A mirror has joined: it is out until it has been good for the probation, then its weight rises. */
void standing_join(struct standing *standing, uint64_t now_s);

/** How long it has to be good before it is back. */
uint64_t standing_probation_s(const struct standing *standing, uint64_t now_s,
                              const struct conf_decision *conf);

/** Permille of its weight at the moment of return, and when it is full again; ret_full_s 0 = it is. */
uint32_t standing_ramp(const struct standing *standing, uint64_t now_s, const struct conf_decision *conf,
                       uint64_t *ret_full_s);

/** What one monitor says of one address. */
struct opinion {
	enum reason reason;
	uint64_t since_s;
	const char *detail; /* may be NULL */
};

/**
 * The majority. More than half of the opinions say out: out, with the reason most of these give (of equals
 * the one that is worse by enum reason), the earliest since of those who give it. Fewer than quorum opinions:
 * what held before.
 */
void judge(const struct opinion *opinions, size_t opinions_n, uint32_t quorum, const struct verdict *before,
           uint64_t now_s, struct verdict *ret_verdict);

/** The gate of one database. By mirror of the pool: what counts. */
struct gate_mirror {
	uint16_t country;
	bool is_in;       /* after votes; only these count for the quorum */
	uint32_t version; /* the lowest of its addresses that are in; 0 = not seen */
	bool has_patch;   /* to that version; true where the database has no patches */
};

/**
 * Which version is to be announced? The highest for which there is a quorum, never a lower one than before:
 * in each country with mirrors that are in, quorum_percent of them (rounded up) have it, or a higher one,
 * with the patch to it. When limit_s has passed since a higher one than the announced was first seen,
 * countries that lag are no longer waited for: then quorum_percent of all mirrors that are in suffice. Fewer
 * never do, for who follows the record has to find what it announces.
 *
 * With its quorum a version is ready: mirrors that lack it leave the pool. It is announced settle_s later,
 * when caches have forgotten them; unless less than quorum_percent of all mirrors that are in have it by
 * then: it waits again. A clock that went back begins a wait anew.
 *
 * Versions count that a reference has, or, where no reference was asked (reference 0), two mirrors; one where
 * there is only one.
 *
 * mirrors       [mirrors_n]
 * reference     highest version of the references; 0 = none is known
 * announced     of before; set anew
 * ret_lacks     [mirrors_n] set: is in, but lacks what is announced or ready: `out-of-sync`
 */
void gate_pass(const struct conf_announce *conf, const struct gate_mirror *mirrors, size_t mirrors_n,
               uint32_t reference, uint64_t now_s, struct announced *announced, bool *ret_lacks);

#endif
