/*
 * hex: bytes written in a test as hex digits.
 */
#ifndef TESTS_UNIT_SUPPORT_HEX_H
#define TESTS_UNIT_SUPPORT_HEX_H

#include <stddef.h>
#include <stdint.h>

/** "21 12 000c": blanks are skipped. Fails the test at anything else. Returns how many bytes there are. */
size_t unhex(const char *hex, uint8_t *bytes);

#endif
