/*
 * checker_fixture: a checker with a good mirror to ask (http_fake), which a test then makes bad.
 */
#ifndef TESTS_UNIT_SUPPORT_CHECKER_FIXTURE_H
#define TESTS_UNIT_SUPPORT_CHECKER_FIXTURE_H

#include "mirrormon/checker.h"
#include "tests/unit/support/http_fake.h"

#define NOW   1624500000U
#define BUILT 1624412040U
#define DAILY 27500U
#define BODY  3000

/** main, daily and bytecode, as conf has them. */
extern const char *const checker_fixture_databases[3];
extern const unsigned checker_fixture_versions[3];

struct checker_fixture {
	uv_loop_t loop;
	uv_timer_t tick; /* so that no turn of the loop waits for ever */
	struct http_fake *fake;
	struct conf_checks conf;
	struct checker *checker;
	char timestamp[64];
	char cvd[3][BODY];
	char tmp[64];
	struct check_request request;
	struct check_result result;
	unsigned done_n;
};

/** As cmocka calls them. teardown checks that nothing is left on disk or in the loop. */
int checker_fixture_setup(void **state);
int checker_fixture_teardown(void **state);
/** With a server of that family; fake is NULL when there is no such family here. */
void checker_fixture_start(struct checker_fixture *fx, int family);
void checker_fixture_stop(struct checker_fixture *fx);

/** One check of fx->request, into fx->result. */
void checker_fixture_run(struct checker_fixture *fx);
/** The callback of checks of fx->request: into fx->result. */
void checker_fixture_done(void *context, const struct check_request *request,
                          const struct check_result *result);
/** Its reason, and this in its detail. */
void checker_fixture_expect(struct checker_fixture *fx, enum reason reason, const char *detail);

/** How many folders of whole databases are left. */
size_t checker_fixture_left_n(const struct checker_fixture *fx);
void checker_fixture_fill_cvd(char cvd[BODY], unsigned version);
const char *checker_fixture_cdiff(unsigned version, char path[64]);

#endif
