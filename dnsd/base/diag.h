/*
 * diag: what a loader has to say to the operator.
 *
 * Libraries never print. A loader appends messages of the form
 *
 *     file:line: what is wrong, what to write instead
 *
 * and goes on to the next mistake where it can, so that one run shows all errors of a file. The caller
 * decides where the text goes: terminal, log, or the control client that asked for the reload.
 */
#ifndef DNSD_BASE_DIAG_H
#define DNSD_BASE_DIAG_H

#include <stdarg.h>
#include <stddef.h>

enum diag_level { DIAG_ERROR, DIAG_WARNING, DIAG_INFO };

struct diag_message {
	enum diag_level level;
	char *text; /* one line, no newline at its end */
};

struct diag {
	struct diag_message *messages;
	size_t messages_n;
	size_t messages_cap;
	size_t errors_n;
	size_t suppressed_n; /* messages past DIAG_MESSAGES_MAX, errors last: counted, not kept */
};

/* A file of garbage gives thousands of errors; nobody reads past the first few hundred. */
#define DIAG_MESSAGES_MAX 500

void diag_init(struct diag *diag);
void diag_fini(struct diag *diag);
/** Append all messages of one to another; from is empty then. */
void diag_move(struct diag *from, struct diag *to);

/**
 * Append a message.
 *
 * file     may be NULL: the message then has no place
 * line     from 1; 0 leaves the line out
 * fmt      printf format, no newline at its end
 */
void diag_add(struct diag *diag, enum diag_level level, const char *file, unsigned line, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));

#define diag_error(diag, file, line, ...)   diag_add((diag), DIAG_ERROR, (file), (line), __VA_ARGS__)
#define diag_warning(diag, file, line, ...) diag_add((diag), DIAG_WARNING, (file), (line), __VA_ARGS__)
#define diag_info(diag, ...)                diag_add((diag), DIAG_INFO, NULL, 0, __VA_ARGS__)

#endif
