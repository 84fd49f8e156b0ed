#include "service/watchdog.h"

#include <errno.h>
#include <stdlib.h>

int watchdog_init(struct watchdog *watchdog, unsigned workers_n)
{
	*watchdog = (struct watchdog){ .workers_n = workers_n };
	watchdog->answered = calloc(workers_n + 1, sizeof(*watchdog->answered));
	return watchdog->answered ? 0 : -ENOMEM;
}

void watchdog_fini(struct watchdog *watchdog)
{
	free(watchdog->answered);
	watchdog->answered = NULL;
}

uint64_t watchdog_begin(struct watchdog *watchdog)
{
	return ++watchdog->round;
}

bool watchdog_answered(struct watchdog *watchdog, unsigned worker, uint16_t id)
{
	uint64_t late = (uint16_t)(watchdog->round - id);
	if (worker >= watchdog->workers_n || late > WATCHDOG_LATE_MAX || late >= watchdog->round)
		return false;
	uint64_t round = watchdog->round - late;
	if (round > watchdog->answered[worker])
		watchdog->answered[worker] = round;
	uint64_t all = watchdog->round;
	for (unsigned i = 0; i < watchdog->workers_n; i++) {
		if (watchdog->answered[i] < all)
			all = watchdog->answered[i];
	}
	if (all <= watchdog->told)
		return false;
	watchdog->told = all;
	return true;
}

uint64_t watchdog_missed(const struct watchdog *watchdog, unsigned worker)
{
	uint64_t owed = watchdog->round - watchdog->answered[worker];
	return owed ? owed - 1 : 0;
}
