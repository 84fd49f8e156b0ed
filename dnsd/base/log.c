#include "base/log.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static _Atomic enum log_level level_max = LOG_LEVEL_INFO;
static void (*echo_line)(void *context, enum log_level level, const char *text);
static void *echo_context;

void log_set_echo(void (*echo)(void *context, enum log_level level, const char *text), void *context)
{
	echo_line = echo;
	echo_context = context;
}

void log_set_level(enum log_level level)
{
	level_max = level;
}

enum log_level log_get_level(void)
{
	return level_max;
}

/* A shell that comes from a service has the variable too, and what it starts may log to a terminal or a file.
 */
static bool is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long device;
	unsigned long long inode;
	struct stat st;
	return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	static const int priority[] = { 3, 4, 6, 7 };
	static const char *const word[] = { "error", "warning", "info", "debug" };
	if (level > level_max)
		return;

	/* One write per line, so that lines of several processes on one terminal do not mix. */
	char line[2048];
	int used;
	if (is_journal()) {
		used = snprintf(line, sizeof(line), "<%d>", priority[level]);
	} else {
		time_t now = time(NULL);
		struct tm utc;
		gmtime_r(&now, &utc);
		char stamp[32];
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &utc);
		used = snprintf(line, sizeof(line), "%s %s: ", stamp, word[level]);
	}
	va_list args;
	va_start(args, fmt);
	int body = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, fmt, args);
	va_end(args);
	if (body < 0)
		return;
	size_t len = (size_t)used + (size_t)body;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len] = '\0';
	if (echo_line)
		echo_line(echo_context, level, line + used);
	line[len++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, len);
	(void)written; /* nowhere left to complain */
}

void log_diag(const struct diag *diag)
{
	static const enum log_level level[] = { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO };
	for (size_t i = 0; i < diag->messages_n; i++)
		log_write(level[diag->messages[i].level], "%s", diag->messages[i].text);
	if (diag->suppressed_n)
		log_write(LOG_LEVEL_ERROR, "and %zu more messages like these", diag->suppressed_n);
}
