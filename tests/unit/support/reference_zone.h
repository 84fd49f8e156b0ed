/*
 * reference_zone: zones and questions by chance, made of few labels, so that they meet: delegations with and
 * without glue, wildcards, empty non-terminals, CNAME and DNAME chains and loops, DNAME at an apex, child
 * zones beside their parents, the root as a zone, RRsets too large for UDP.
 */
#ifndef TESTS_UNIT_SUPPORT_REFERENCE_ZONE_H
#define TESTS_UNIT_SUPPORT_REFERENCE_ZONE_H

#include <ldns/ldns.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/support/reference.h"

/** Where choices come from: a generator of numbers, or the bytes of a fuzzer. */
struct chooser {
	uint64_t state;      /* not 0: the generator's */
	const uint8_t *data; /* [left], when state is 0; then every choice is 0 */
	size_t left;
};

/** 0 to n - 1. */
unsigned chooser_next(struct chooser *chooser, unsigned n);

#define REFERENCE_ZONES_MAX 3

struct reference_zones {
	struct reference_zone zones[REFERENCE_ZONES_MAX];
	char *texts[REFERENCE_ZONES_MAX];
	size_t zones_n;
};

void reference_zones_make(struct chooser *chooser, struct reference_zones *ret_zones);
void reference_zones_fini(struct reference_zones *zones);

/** A name to ask for: one of a zone, above, below or beside it; the caller frees. */
ldns_rdf *reference_choose_name(struct chooser *chooser, const struct reference *reference);
uint16_t reference_choose_type(struct chooser *chooser);

#endif
