/*
 * totals: counters that go on when another process takes over.
 *
 *     workers of this process ──┐
 *                               ├─ sums ──> metrics, stats, log
 *     process before this one ──┘           and, as JSON, the process after this one
 *
 * Counters travel by name, countries by code, mirrors by the number they had there (the names of the numbers
 * once), so that another version and another configuration can read them. The process before goes on counting
 * while its last TCP connections end: it tells again, and the later word takes the place of the earlier.
 */
#ifndef DNSD_SERVER_TOTALS_H
#define DNSD_SERVER_TOTALS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/answer.h"
#include "net/net_context.h"
#include "zones/zones.h"

struct server;
struct totals;

/** The counters of answer.h and net_context.h, by field and by number. */
union totals_counters {
	struct {
		struct answer_counters answers;
		struct net_counters net;
	};
	uint64_t values[(sizeof(struct answer_counters) + sizeof(struct net_counters)) / sizeof(uint64_t)];
};
#define TOTALS_COUNTERS_N (sizeof(union totals_counters) / sizeof(uint64_t))

/** What values[] are. */
struct totals_counter {
	const char *name;
	const char *help;
};
extern const struct totals_counter totals_counters[TOTALS_COUNTERS_N];

/** What all processes before this one have counted: nothing so far. NULL when out of memory. */
struct totals *totals_create(void);
void totals_destroy(struct totals *totals);

/** The names of mirrors by their numbers there: [["pool", "host"], ...] */
json_t *totals_names_to_json(const struct zones *zones);
/** Find their numbers in zones, or give them some. Once, before totals_from_json(). Returns 0, -EINVAL or
 * -ENOMEM. */
int totals_names_from_json(struct totals *totals, const json_t *names, struct zones *zones);

/** Sums of this server and all before it. */
json_t *totals_to_json(const struct server *server);
/** Take the place of what was known so far. What is of another form counts nothing. */
void totals_from_json(struct totals *totals, const json_t *json);
/** Nobody is left there: no connection is open. */
void totals_note_end(struct totals *totals);

/* Like worker_read_...(), of all workers and those before. */
void totals_read_counters(const struct server *server, union totals_counters *sum);
void totals_read_pings(const struct server *server, size_t n, struct answer_pings *sums);
void totals_read_countries(const struct server *server, uint64_t *sums);
void totals_read_first(const struct server *server, size_t n, uint64_t *sums);
/** Requests by worker; there may have been more workers before than there are now. */
size_t totals_workers_n(const struct server *server);
uint64_t totals_worker_queries(const struct server *server, size_t worker);
/** Seconds for which processes before this one have served. */
uint64_t totals_up_s(const struct server *server);

#endif
