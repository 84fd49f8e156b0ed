/*
 * log: one event a line on standard error.
 *
 * Under systemd (JOURNAL_STREAM names standard error, systemd.exec(5)) lines start with the "<N>" priority
 * that journald reads and carry no time stamp; elsewhere they start with a UTC time. Only the main thread and
 * the loaders log; the packet path counts instead.
 */
#ifndef DNSD_BASE_LOG_H
#define DNSD_BASE_LOG_H

#include "base/diag.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/** Process-wide: messages above this level are dropped. Starts at LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Each line that is written is given to echo too, without stamp and level; NULL = no longer. Main thread. */
void log_set_echo(void (*echo)(void *context, enum log_level level, const char *text), void *context);

/** Every message of a loader, at its own level, in order. */
void log_diag(const struct diag *diag);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
