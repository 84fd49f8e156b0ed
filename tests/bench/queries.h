/*
 * queries: the questions of the benches, and what a right answer to them is.
 *
 * Those of one kind have one length, so that a burst of them can leave as one UDP_SEGMENT send.
 */
#ifndef TESTS_BENCH_QUERIES_H
#define TESTS_BENCH_QUERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum query_kind { QUERY_TXT, QUERY_COUNTRY, QUERY_LOCAL, QUERY_NX, QUERY_KINDS_N };

#define QUERY_MAX 96

struct query {
	uint8_t bytes[QUERY_MAX];
	unsigned len;
	bool nxdomain;
	bool is_pool;    /* answered with addresses of mirrors */
	bool has_subnet; /* its last bytes: see query_draw_subnet() */
};

/** The same sequence in each run. */
uint64_t query_draw(void);

/** 50 % TXT, 30 % country, 15 % local, 5 % NXDOMAIN. */
enum query_kind query_draw_mix(void);

/** A question of a kind with id 0: its country, client subnet or label drawn. */
void query_make(struct query *query, enum query_kind kind);

/** Another client subnet, a /24 of IPv4, for a question of kind local; end: behind its last byte. */
void query_draw_subnet(uint8_t *end);

/** Does the answer fit: the question, the rcode, and something in it? */
bool query_is_right(const struct query *query, const uint8_t *answer, size_t len);

/** Are the addresses of a right answer all even, or all odd? Where a pool changes between its even and its
 * odd mirrors, others are of two states. */
bool query_is_of_one_state(const struct query *query, const uint8_t *answer, size_t len);

/** A connected socket from a 127.x address of its own, by number; -1 with errno. */
int query_connect(uint16_t port, unsigned number);

/** "txt" ...; QUERY_KINDS_N for "mix", -1 for none of these. */
int query_kind_from_text(const char *text);

#endif
