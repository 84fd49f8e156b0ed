#include "zones/pool/reason.h"

#include <string.h>

static const char *const texts[REASON_N] = { "none",          "late",       "slow",        "out-of-sync",
	                                     "old",           "http-error", "unreachable", "maintenance",
	                                     "wrong-content", "refused",    "admin" };

const char *reason_text(enum reason reason)
{
	return texts[reason];
}

enum reason reason_from_text(const char *text)
{
	for (int i = REASON_NONE + 1; i < REASON_N; i++) {
		if (strcmp(texts[i], text) == 0)
			return (enum reason)i;
	}
	return REASON_N;
}
