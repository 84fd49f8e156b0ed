#include "tests/unit/failing/failing.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
	bool on;
	uint64_t n;
	uint64_t nth;
} failing;

/* Called from one thread only. */
static bool fails(void)
{
	if (!failing.on || ++failing.n != failing.nth)
		return false;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
int __real_vasprintf(char **text, const char *fmt, va_list args);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_vasprintf(char **text, const char *fmt, va_list args);
int __wrap_asprintf(char **text, const char *fmt, ...);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

/* What text holds after a failure is not defined: make it hurt. */
int __wrap_vasprintf(char **text, const char *fmt, va_list args)
{
	if (!fails())
		return __real_vasprintf(text, fmt, args);
	*text = (char *)1;
	return -1;
}

int __wrap_asprintf(char **text, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int len = __wrap_vasprintf(text, fmt, args);
	va_end(args);
	return len;
}

void failing_start(uint64_t nth)
{
	json_set_alloc_funcs(__wrap_malloc, free);
	failing.n = 0;
	failing.nth = nth;
	failing.on = true;
}

uint64_t failing_stop(void)
{
	failing.on = false;
	return failing.n;
}
