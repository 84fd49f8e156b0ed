/*
 * reference_check: one question to answer_query() over UDP and TCP, and to the reference; the answers must
 * mean the same.
 */
#ifndef TESTS_UNIT_SUPPORT_REFERENCE_CHECK_H
#define TESTS_UNIT_SUPPORT_REFERENCE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "answer/answer.h"
#include "answer/data.h"
#include "tests/unit/support/reference.h"

/** The zones as the daemon would serve them; NULL when it would refuse them. */
struct answer_store *reference_store(const struct reference_zone *zones, size_t zones_n);

/**
 * edns_size  0 = a request without OPT
 * Returns    NULL when they agree, else what is different; the caller frees
 */
char *reference_check(const struct reference *reference, const struct answer_data *data,
                      struct answer_state *state, const ldns_rdf *qname, uint16_t qtype, uint16_t edns_size);

#endif
