/*
 * decision_defaults: the rules as they are when nothing is configured; monitor_conf_test compares them with
 * what conf comes to.
 */
#ifndef TESTS_UNIT_SUPPORT_DECISION_DEFAULTS_H
#define TESTS_UNIT_SUPPORT_DECISION_DEFAULTS_H

#include "conf/monitor.h"

/* An initializer. */
#define DECISION_DEFAULTS                                                                                    \
	{                                                                                                    \
		.late_after_s = 86400, .old_after_s = 2 * 86400, .unreachable_after = 3,                     \
		.slow_over_ms = 10000, .slow_after = 5, .return_after = 2, .probation_s = 600,               \
		.probation_max_s = 86400, .flap_window_s = 86400, .ramp_s = 6 * 3600, .ramp_percent = 10,    \
	}

#endif
