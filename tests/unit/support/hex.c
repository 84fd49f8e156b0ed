#include "tests/unit/support/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

size_t unhex(const char *hex, uint8_t *bytes)
{
	size_t n = 0;
	while (*hex) {
		unsigned byte;
		if (*hex == ' ') {
			hex++;
			continue;
		}
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		bytes[n++] = (uint8_t)byte;
		hex += 2;
	}
	return n;
}
