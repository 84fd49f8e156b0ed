/*
 * pool_fixture: a pool from the text of its mirrors and regions, and its state and decisions at any second.
 * Everything fails the test when it can't be made.
 */
#ifndef TESTS_UNIT_SUPPORT_POOL_FIXTURE_H
#define TESTS_UNIT_SUPPORT_POOL_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "zones/pool/pool.h"

struct pool_fixture {
	struct arena arena;
	struct conf *mirrors; /* the configurations that conf borrows from */
	struct conf *regions;
	struct conf_pool conf;
	struct pool *pool;
};

/** Texts as in the mirrors and regions files. The pool is called "test". */
void pool_fixture_init(struct pool_fixture *fixture, const char *mirrors, const char *regions);
void pool_fixture_fini(struct pool_fixture *fixture);

/** A feed of either form; the caller calls feed_unref(). */
struct feed *pool_fixture_feed(const char *text, uint64_t now_s);
/**
 * "m0 up -10 100; m3 drain 60 0": host, action, beginning and end as seconds from base_s, 0 at the end for
 * one that lasts. Author "ann", reason "test". The caller calls override_set_unref().
 */
struct override_set *pool_fixture_overrides(const char *text, uint64_t base_s);
/** The caller calls pool_state_fini(). */
struct pool_state pool_fixture_state(const struct pool *pool, const struct feed *feed,
                                     const struct override_set *overrides, uint64_t now_s);

/** "v4: 0 1 v6: 1": the last bytes of the members' addresses, by family. Returns text. */
const char *pool_fixture_describe(const struct pool_decision *decision, char *text, size_t cap);

/** A generator that gives the same numbers everywhere: below n, which is not 0. */
uint32_t random_below(uint64_t *random, uint32_t n);

#endif
