/*
 * failing: memory that runs out at a chosen moment. The program is linked with --wrap for the allocating
 * functions (Makefile), so that what our code asks for is counted; jansson asks through us too. ldns,
 * libmaxminddb, libconfig and libc inside are not touched.
 */
#ifndef TESTS_UNIT_FAILING_FAILING_H
#define TESTS_UNIT_FAILING_FAILING_H

#include <stdbool.h>
#include <stdint.h>

/** From here on, the nth allocation (from 1) fails, and only that one; 0 = none does. */
void failing_start(uint64_t nth);
/** Nothing fails any more. Returns how many allocations there were since the start. */
uint64_t failing_stop(void);

#endif
