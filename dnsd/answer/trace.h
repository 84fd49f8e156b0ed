/*
 * trace: what answer_query() went by, for explain. Recorded by the very code that answers, when somebody
 * wants to know.
 */
#ifndef DNSD_ANSWER_TRACE_H
#define DNSD_ANSWER_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "answer/geo_map.h"

enum trace_found {
	TRACE_NONE, /* not asked: the request was refused before its name was looked at */
	TRACE_NAME,
	TRACE_WILDCARD,
	TRACE_DELEGATION,
	TRACE_DNAME,
	TRACE_PING,
	TRACE_NO_NAME,
	TRACE_OUTSIDE,
};

/** Zeroed by the caller before the query. */
struct answer_trace {
	enum trace_found found;
	bool has_slot; /* the answer is a pool's or a version record's */
	uint32_t slot; /* in answer_pools.slots; the last one where an alias leads to several */
	bool by_country;
	bool by_subnet; /* by_country: the client subnet was looked up, not the source address */
	struct geo_match match;
};

#endif
