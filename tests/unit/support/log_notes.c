#include "tests/unit/support/log_notes.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

static char notes[65536];

static void note(void *context, enum log_level level, const char *line)
{
	(void)context;
	(void)level;
	size_t len = strlen(notes);
	snprintf(notes + len, sizeof(notes) - len, "%s\n", line);
}

void log_notes_begin(void)
{
	notes[0] = '\0';
	log_set_echo(note, NULL);
}

void log_notes_end(void)
{
	log_set_echo(NULL, NULL);
}

const char *log_notes(void)
{
	return notes;
}

size_t log_notes_n(const char *what)
{
	size_t n = 0;
	for (const char *at = notes; (at = strstr(at, what)); at += strlen(what))
		n++;
	return n;
}
