/*
 * clock: wakes the loop at a moment of the wall clock, and whenever that clock is set.
 */
#ifndef DNSD_SERVER_CLOCK_H
#define DNSD_SERVER_CLOCK_H

#include <stdint.h>
#include <uv.h>

struct clock;

/** reached(context) is called on the loop. Returns 0 or negative errno. */
int clock_create(uv_loop_t *loop, void (*reached)(void *context), void *context, struct clock **ret_clock);
void clock_destroy(struct clock *clock);

/** Wake at at_s, since 1970, at once when that is over; 0 = only when the clock is set. */
void clock_set(struct clock *clock, uint64_t at_s);

#endif
