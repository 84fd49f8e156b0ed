#include "base/utc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_DIGITS_MAX 12 /* of UTC_MAX_S */
#define YEAR_10000_S       253402300800U

uint64_t utc_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec;
}

int utc_parse(const char *text, uint64_t *ret_s)
{
	struct tm utc = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
	if (end && strcmp(end, "Z") == 0) {
		int mday = utc.tm_mday;
		struct tm day = { .tm_year = utc.tm_year, .tm_mon = utc.tm_mon, .tm_mday = mday };
		time_t seconds = timegm(&utc);
		/* Of the 31st of November it would make the 1st of December. */
		if (seconds < 0 || timegm(&day) < 0 || day.tm_mday != mday)
			return -EINVAL;
		*ret_s = (uint64_t)seconds;
		return 0;
	}
	if (*text < '0' || *text > '9' || strlen(text) > SECONDS_DIGITS_MAX)
		return -EINVAL;
	char *rest;
	*ret_s = strtoull(text, &rest, 10);
	return *rest ? -EINVAL : 0;
}

const char *utc_format(uint64_t s, char text[UTC_TEXT_MAX])
{
	time_t seconds = (time_t)s;
	struct tm utc;
	if (s >= YEAR_10000_S || !gmtime_r(&seconds, &utc) ||
	    strftime(text, UTC_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		snprintf(text, UTC_TEXT_MAX, "%" PRIu64, s);
	return text;
}
