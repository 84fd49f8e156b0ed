/*
 * pools_build: who is in each pool name -> struct answer_pools.
 *
 * Balance is made here, not per query: each list gets rows of record numbers, in which the first place of the
 * rows is shared out by weight (evenly spread, so that any run of queries sees the right shares) and the
 * other places are drawn by weight. A query copies the records of the next row.
 */
#ifndef DNSD_ANSWER_POOLS_BUILD_H
#define DNSD_ANSWER_POOLS_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/data.h"
#include "base/addr.h"

struct pool_member {
	const struct addr *addrs; /* both families, borrowed for the call */
	size_t addrs_n;
	uint32_t weight; /* at least 1; the mirror's, shared by its addresses of a family */
	uint16_t mirror; /* its place in answer_state.first */
};

struct pools_builder;

struct pools_builder *pools_builder_create(uint32_t slots_n);
void pools_builder_destroy(struct pools_builder *builder);

/**
 * take  addresses in one answer; 0 = all that a message can hold
 * Returns 0 or -ENOMEM.
 */
int pools_builder_add_set(struct pools_builder *builder, const struct pool_member *members, size_t members_n,
                          uint32_t take, uint32_t ttl_s, uint32_t *ret_set);

int pools_builder_slot_set(struct pools_builder *builder, uint32_t slot, uint32_t set);
/** set_by_country has COUNTRY_N entries. */
int pools_builder_slot_nearest(struct pools_builder *builder, uint32_t slot, const uint32_t *set_by_country);
/** A TXT record of one string of at most 255 bytes. */
int pools_builder_slot_text(struct pools_builder *builder, uint32_t slot, uint32_t ttl_s, const char *text);
/** SERVFAIL; ede_code and ede_text say why to who asks with EDNS (RFC 8914). The text is cut at
 * POOLS_EDE_TEXT_MAX bytes. */
#define POOLS_EDE_TEXT_MAX 96
int pools_builder_slot_fail(struct pools_builder *builder, uint32_t slot, uint16_t ede_code,
                            const char *ede_text);

/** This address is that mirror's: counts usage reports about it. Of two mirrors with one address the first
 * counts. */
int pools_builder_add_address(struct pools_builder *builder, const struct addr *addr, uint16_t mirror);

/** The result starts with one reference. Returns 0, -ENOMEM, or -EINVAL: a slot was not set. */
int pools_build(struct pools_builder *builder, struct answer_pools **ret_pools);

/** Would every query be answered the same by both, but for whose turn it is? */
bool answer_pools_equal(const struct answer_pools *a, const struct answer_pools *b);

struct answer_pools *answer_pools_ref(struct answer_pools *pools);
void answer_pools_unref(struct answer_pools *pools);

#endif
