#include "inspect/response.h"

#include <stdarg.h>
#include <stdio.h>

json_t *response_done(json_t *result)
{
	return result ? json_pack("{sbso}", "ok", 1, "result", result) : NULL;
}

json_t *response_error(const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	json_t *value = json_string(text);
	return json_pack("{sbso}", "ok", 0, "error", value ? value : json_string("(not UTF-8)"));
}
