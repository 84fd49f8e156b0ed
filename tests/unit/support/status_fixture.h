/*
 * status_fixture: a made-up pool under watch: a view of any number of mirrors, some of them not well, with 14
 * days of history, or a year. The same every time. Everything fails the test when it can't be made.
 */
#ifndef TESTS_UNIT_SUPPORT_STATUS_FIXTURE_H
#define TESTS_UNIT_SUPPORT_STATUS_FIXTURE_H

#include "mirrormon/history.h"
#include "mirrormon/model.h"
#include "tests/unit/support/pool_fixture.h"

#define STATUS_NOW_S      1795244400U /* 2026-11-21T07:00:00Z */
#define STATUS_HOURS_YEAR (14 * 24)   /* so many hours of history, and a check a day for the year before */

struct status_fixture {
	struct pool_fixture pool;
	struct arena arena;
	struct conf_monitor conf;
	struct mirror_view *mirrors; /* [n] */
	struct address_view *addrs;  /* [2 * n]: those of mirror i are 2 * i and 2 * i + 1 */
	struct announced databases[3];
	struct monitor_view monitors[2];
	struct view view;
	struct history *history; /* in memory */
	size_t n;
};

/**
 * Mirrors by number: 3 is old, 7 lacks IPv6, 9 has wrong content, 11 is late, 13 has just failed a check, 15
 * is on probation, 17 in maintenance, 19 not checked yet, 21 rising to its weight; those of Switzerland are
 * unreachable. hours: of history; none for a fixture that is quickly made.
 */
void status_fixture_init(struct status_fixture *fixture, size_t mirrors_n, unsigned hours,
                         const char *directory);
void status_fixture_fini(struct status_fixture *fixture);

#endif
