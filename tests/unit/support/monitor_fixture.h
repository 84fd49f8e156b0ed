/*
 * monitor_fixture: a monitor without its own main loop, over a good mirror on loopback (http_fake) that a
 * test then makes bad. Nothing is checked, tested or judged but by the test.
 */
#ifndef TESTS_UNIT_SUPPORT_MONITOR_FIXTURE_H
#define TESTS_UNIT_SUPPORT_MONITOR_FIXTURE_H

#include "mirrormon/monitor_int.h"
#include "tests/unit/support/checker_fixture.h"

#define MONITOR_FIXTURE_N 4

struct monitor_fixture {
	struct monitor monitor;
	struct http_fake *fake;
	uv_timer_t tick;
	char timestamp[32];
	char cvd[3][BODY];
	struct conf_mirror conf_mirrors[2 * MONITOR_FIXTURE_N];
	struct mirror mirrors[2 * MONITOR_FIXTURE_N];
	struct addr addrs[2 * MONITOR_FIXTURE_N];
	char hosts[2 * MONITOR_FIXTURE_N][16];
	char url[64];
	struct conf_reference reference;
	const char *others[2];
};

/** As cmocka calls them. */
int monitor_fixture_setup(void **state);
int monitor_fixture_teardown(void **state);
/** Take the pool; no check begins by itself. */
void monitor_fixture_watch(struct monitor_fixture *fx);
/** One check to its end. */
void monitor_fixture_check(struct watched *watched, bool brief);
void monitor_fixture_check_all(struct monitor_fixture *fx);
/** The good server is a reference as well. */
void monitor_fixture_use_reference(struct monitor_fixture *fx);
/** One self-test to its end. */
void monitor_fixture_self_test(struct monitor_fixture *fx);
/** A check that counts then, or has been put down to us. */
void monitor_fixture_check_known(struct monitor_fixture *fx, struct watched *watched);
/** As a new process finds it, by its history. */
void monitor_fixture_restart(struct monitor_fixture *fx);
/** Mirrors that are out by the last view. */
size_t monitor_fixture_out_n(const struct monitor_fixture *fx);
/** A pool that is well, with its versions announced. */
void monitor_fixture_begin_well(struct monitor_fixture *fx);

#endif
