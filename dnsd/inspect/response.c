#include "inspect/response.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/object.h"

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
	return json_pack("{sbso}", "ok", 0, "error", object_text(text));
}
