/*
 * log_notes: what is logged while a test runs, to be looked at.
 */
#ifndef TESTS_UNIT_SUPPORT_LOG_NOTES_H
#define TESTS_UNIT_SUPPORT_LOG_NOTES_H

#include <stddef.h>

/** What was noted before is forgotten. */
void log_notes_begin(void);
void log_notes_end(void);
/** All lines. */
const char *log_notes(void);
/** How many times this stands in them. */
size_t log_notes_n(const char *what);

#endif
