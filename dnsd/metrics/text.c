#include "metrics/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 4096

void metrics_text_init(struct metrics_text *text)
{
	*text = (struct metrics_text){ .bytes = NULL };
}

void metrics_text_fini(struct metrics_text *text)
{
	free(text->bytes);
	metrics_text_init(text);
}

void metrics_text_append(struct metrics_text *text, const char *bytes, size_t len)
{
	if (text->failed || len == 0)
		return;
	if (len > text->cap - text->len) {
		size_t cap = text->cap ? text->cap : FIRST_BYTES;
		while (cap - text->len < len)
			cap *= 2;
		char *grown = realloc(text->bytes, cap);
		if (!grown) {
			text->failed = true;
			return;
		}
		text->bytes = grown;
		text->cap = cap;
	}
	memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
}

static void append(struct metrics_text *text, const char *string)
{
	metrics_text_append(text, string, strlen(string));
}

/* HELP knows no escape for a quote, label values do. */
static void append_escaped(struct metrics_text *text, const char *value, bool is_label)
{
	for (; *value; value++) {
		if (*value == '\\')
			append(text, "\\\\");
		else if (*value == '\n')
			append(text, "\\n");
		else if (*value == '"' && is_label)
			append(text, "\\\"");
		else
			metrics_text_append(text, *value >= ' ' && *value <= '~' ? value : "?", 1);
	}
}

void metrics_text_family(struct metrics_text *text, const char *name, enum metrics_kind kind,
                         const char *help)
{
	text->family = name;
	append(text, "# HELP ");
	append(text, name);
	append(text, " ");
	append_escaped(text, help, false);
	append(text, "\n# TYPE ");
	append(text, name);
	append(text, kind == METRICS_COUNTER ? " counter\n" : " gauge\n");
}

static void append_sample(struct metrics_text *text, const char *number, va_list labels)
{
	const char *before = "{";
	append(text, text->family);
	for (const char *name; (name = va_arg(labels, const char *)) != NULL; before = ",") {
		append(text, before);
		append(text, name);
		append(text, "=\"");
		append_escaped(text, va_arg(labels, const char *), true);
		append(text, "\"");
	}
	append(text, *before == ',' ? "} " : " ");
	append(text, number);
	append(text, "\n");
}

void metrics_text_sample(struct metrics_text *text, uint64_t value, ...)
{
	char number[32];
	snprintf(number, sizeof(number), "%" PRIu64, value);
	va_list labels;
	va_start(labels, value);
	append_sample(text, number, labels);
	va_end(labels);
}

void metrics_text_sample_real(struct metrics_text *text, double value, ...)
{
	char number[32];
	snprintf(number, sizeof(number), "%.6g", value);
	va_list labels;
	va_start(labels, value);
	append_sample(text, number, labels);
	va_end(labels);
}

char *metrics_text_take(struct metrics_text *text, size_t *ret_len)
{
	char *bytes = text->failed ? NULL : text->bytes;
	if (bytes)
		*ret_len = text->len;
	else
		free(text->bytes);
	metrics_text_init(text);
	return bytes;
}
