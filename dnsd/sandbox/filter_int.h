/*
 * Inside sandbox/: the lists of filter_lists.c as filter.c makes filters of them.
 */
#ifndef DNSD_SANDBOX_FILTER_INT_H
#define DNSD_SANDBOX_FILTER_INT_H

#include <stdint.h>

#include "sandbox/filter.h"

/* (argument & mask) == value, as in seccomp(2); a call that is listed twice is allowed by either line. */
struct filter_rule {
	struct filter_call call;
	bool is_limited;
	unsigned argument; /* from 0 */
	uint64_t mask;
	uint64_t value;
};

struct filter_list {
	const struct filter_rule *rules;
	size_t rules_n;
};

extern const struct filter_list filter__worker_list;
extern const struct filter_list filter__main_list; /* beside the worker's */
/* In builds with a sanitizer, for both: its reports and its search for leaks. Else empty. */
extern const struct filter_list filter__sanitizer_list;
/* The process is killed. Not in builds with a sanitizer: it runs its symbolizer. */
extern const char *const filter__kill_names[];

#endif
