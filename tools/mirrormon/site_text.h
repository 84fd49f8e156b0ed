/*
 * site_text: a text that grows, into which nothing gets unescaped.
 *
 *     site_add(&text, "<a href=\"%s.html\">%s</a>", file, host)
 *                      ^ always a literal, as it is      ^ %s: always escaped, as the text's kind demands
 *
 * Running out of memory is noted in the text and seen once, when it is done.
 */
#ifndef TOOLS_MIRRORMON_SITE_TEXT_H
#define TOOLS_MIRRORMON_SITE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum site_escape {
	SITE_XML, /* HTML, SVG and Atom: element content and attributes in double quotes */
	SITE_CSV, /* inside of double quotes; a spreadsheet takes none of it for a formula */
};

struct site_text {
	char *bytes;
	size_t len, cap;
	enum site_escape escape;
	bool failed; /* out of memory: something is missing */
};

void site_text_init(struct site_text *text, enum site_escape escape);
void site_text_fini(struct site_text *text);

/**
 * Append. Knows %s, %c, %%, and the numbers of printf; the first argument has to be a literal. What is no
 * UTF-8, control characters and those that turn the direction of writing become "?".
 */
#define site_add(text, ...) site_text_add((text), "" __VA_ARGS__)
void site_text_add(struct site_text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Append one text of the same kind to another, as it is. */
void site_text_join(struct site_text *text, const struct site_text *part);

/** <time datetime="2026-11-21T07:00:00Z">2026-11-21 07:00</time>; "never" for 0. */
void site_add_time(struct site_text *text, uint64_t s);

#define SITE_DURATION_MAX 32
/** "45 s", "14 min", "2 h 5 min", "3 d 4 h". Returns text. */
const char *site_duration(uint64_t s, char text[SITE_DURATION_MAX]);

#endif
