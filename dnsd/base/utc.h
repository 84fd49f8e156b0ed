/*
 * utc: times as people write them: "2026-11-21T07:00:00Z", or seconds since 1970.
 */
#ifndef DNSD_BASE_UTC_H
#define DNSD_BASE_UTC_H

#include <stdint.h>

#define UTC_TEXT_MAX 32
#define UTC_MAX_S    999999999999U /* the latest that both forms can say */

/** Now, since 1970. As exact as timers are: time() may lag behind by a tick. */
uint64_t utc_now(void);

/** Either form (RFC 3339 with Z, whole seconds). Returns 0 or -EINVAL; nothing before 1970, no day that its
 * month does not have. */
int utc_parse(const char *text, uint64_t *ret_s);

/** RFC 3339 with Z; past the year 9999, which that can't say, the seconds. Returns text. */
const char *utc_format(uint64_t s, char text[UTC_TEXT_MAX]);

#endif
