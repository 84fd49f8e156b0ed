/*
 * watchdog: which workers have answered the questions they are asked, round by round.
 *
 *     round 7 asked ──> worker 0 answers 7, worker 1 answers 7 ──> the service manager may be told
 *     round 8 asked ──> worker 0 answers 8, worker 1 does not  ──> nothing is told, and the manager's time
 * runs out
 *
 * An answer counts up to WATCHDOG_LATE_MAX rounds later, so that one lost packet or a busy moment is no
 * alarm. With four rounds in the manager's limit, the last thing that a worker which hangs has answered was
 * told before it hung or at most that much later.
 */
#ifndef DNSD_SERVICE_WATCHDOG_H
#define DNSD_SERVICE_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#define WATCHDOG_ROUNDS   4 /* in the manager's limit */
#define WATCHDOG_LATE_MAX 1

struct watchdog {
	unsigned workers_n;
	uint64_t round;     /* the one that is asked now; 0 = none yet */
	uint64_t told;      /* the last one that all have answered */
	uint64_t *answered; /* the last one of each worker */
};

/** Returns 0 or -ENOMEM. */
int watchdog_init(struct watchdog *watchdog, unsigned workers_n);
void watchdog_fini(struct watchdog *watchdog);

/** A new round begins. Returns its number; the low 16 bits are the id of its questions. */
uint64_t watchdog_begin(struct watchdog *watchdog);

/** A worker has answered a question with this id. Returns whether the manager is to be told now. */
bool watchdog_answered(struct watchdog *watchdog, unsigned worker, uint16_t id);

/** Rounds that the worker owes an answer to, without the one under way. */
uint64_t watchdog_missed(const struct watchdog *watchdog, unsigned worker);

#endif
