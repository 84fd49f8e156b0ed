/*
 * mail_fixture: a pool of mirrors as a view, which a test makes ill and well again, and the letters that
 * follow from it. One for the process, in a state of its own before each test.
 */
#ifndef TESTS_UNIT_SUPPORT_MAIL_FIXTURE_H
#define TESTS_UNIT_SUPPORT_MAIL_FIXTURE_H

#include "mirrormon/mail_int.h"

#define MAIL_FIXTURE_T0 1795244400U /* 2026-11-21 07:00:00 UTC, a Saturday */
#define MAIL_FIXTURE_N  500

struct mail_fixture {
	char path[128]; /* of the incidents; not there yet */
	struct diag diag;
	struct conf_pool conf_pool;
	struct conf_monitor conf;
	struct mirror_view mirrors[MAIL_FIXTURE_N];
	struct address_view addrs[MAIL_FIXTURE_N]; /* one each */
	char names[MAIL_FIXTURE_N][32];
	struct view view; /* at MAIL_FIXTURE_T0, of 20 of the mirrors, all of them well */
	struct incidents *incidents;
	struct letters letters; /* of the last plan */
};
extern struct mail_fixture mail_fx;

/** As cmocka calls them. */
int mail_fixture_setup(void **state);
int mail_fixture_teardown(void **state);

/** At mail_fx.view.now_s: in with a warning, out by two of three votes, well again. */
void mail_fixture_fails(size_t mirror, enum reason reason, uint32_t failures_n);
void mail_fixture_is_out(size_t mirror, enum reason reason);
void mail_fixture_is_well(size_t mirror);

/** The plan of this moment; returns how many letters. */
size_t mail_fixture_plan(void);
/** To whom the letter goes, and about what. */
void mail_fixture_check(size_t letter, const char *to, const char *subject);
/** It has this in it. */
void mail_fixture_has(size_t letter, const char *text);

/** As the next process finds what has been told. */
void mail_fixture_restart(void);

#endif
