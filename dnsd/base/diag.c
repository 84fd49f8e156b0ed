#include "base/diag.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void diag_init(struct diag *diag)
{
	memset(diag, 0, sizeof(*diag));
}

void diag_fini(struct diag *diag)
{
	for (size_t i = 0; i < diag->messages_n; i++)
		free(diag->messages[i].text);
	free(diag->messages);
	diag_init(diag);
}

/* An error says why something did not come to be: the last of what is less than that makes way for it. */
static bool drop_lesser(struct diag *diag)
{
	size_t i = diag->messages_n;
	while (i > 0 && diag->messages[i - 1].level == DIAG_ERROR)
		i--;
	if (i == 0)
		return false;
	free(diag->messages[i - 1].text);
	memmove(&diag->messages[i - 1], &diag->messages[i], (diag->messages_n - i) * sizeof(*diag->messages));
	diag->messages_n--;
	diag->suppressed_n++;
	return true;
}

/* For one message more. Returns false when it is to be counted only. */
static bool make_room(struct diag *diag, enum diag_level level)
{
	if (diag->messages_n >= DIAG_MESSAGES_MAX)
		return level == DIAG_ERROR && drop_lesser(diag);
	if (diag->messages_n < diag->messages_cap)
		return true;
	size_t cap = diag->messages_cap ? diag->messages_cap * 2 : 16;
	struct diag_message *grown = realloc(diag->messages, cap * sizeof(*grown));
	if (!grown)
		return false;
	diag->messages = grown;
	diag->messages_cap = cap;
	return true;
}

void diag_move(struct diag *from, struct diag *to)
{
	to->errors_n += from->errors_n;
	to->suppressed_n += from->suppressed_n;
	for (size_t i = 0; i < from->messages_n; i++) {
		if (make_room(to, from->messages[i].level)) {
			to->messages[to->messages_n++] = from->messages[i];
		} else {
			free(from->messages[i].text);
			to->suppressed_n++;
		}
	}
	from->messages_n = 0;
	diag_fini(from);
}

void diag_add(struct diag *diag, enum diag_level level, const char *file, unsigned line, const char *fmt, ...)
{
	if (level == DIAG_ERROR)
		diag->errors_n++;
	if (!make_room(diag, level)) {
		diag->suppressed_n++;
		return;
	}
	char *body = NULL;
	va_list args;
	va_start(args, fmt);
	int body_len = vasprintf(&body, fmt, args);
	va_end(args);
	if (body_len < 0) {
		diag->suppressed_n++;
		return;
	}
	char *text = NULL;
	int text_len;
	if (file && line)
		text_len = asprintf(&text, "%s:%u: %s", file, line, body);
	else if (file)
		text_len = asprintf(&text, "%s: %s", file, body);
	else
		text_len = asprintf(&text, "%s", body);
	free(body);
	if (text_len < 0) {
		diag->suppressed_n++;
		return;
	}
	diag->messages[diag->messages_n++] = (struct diag_message){ .level = level, .text = text };
}
