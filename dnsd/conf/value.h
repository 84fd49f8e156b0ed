/*
 * value: the text forms that settings share, each checked by one function. Inside conf only.
 *
 *     "90s" -> 90000 ms      "db.%c" -> fine      "a..b" -> "has an empty label"
 *
 * A check returns NULL when the text is good, else a phrase that goes on after the quoted text.
 */
#ifndef DNSD_CONF_VALUE_H
#define DNSD_CONF_VALUE_H

#include <stddef.h>
#include <stdint.h>

#define CONF_TEXT_MAX 128 /* room for every text that is formatted here, with its final NUL */

typedef const char *conf_check_fn(const char *text);

/** "5m": the largest unit that divides; cap >= CONF_TEXT_MAX. Returns text. */
const char *conf_format_duration(uint64_t ms, char *text, size_t cap);

/** Text of a file made safe for one line of a message: control bytes escaped, cut when long. Returns quoted.
 */
const char *conf_quote(const char *text, size_t len, char *quoted, size_t cap);

/** Edits (insert, delete, replace, swap of neighbours) that make a into b; long texts count as far apart. */
size_t conf_distance(const char *a, const char *b);

/** The nearest of names to text, when it is near enough to be a slip; else NULL. */
const char *conf_nearest(const char *text, const char *const *names, size_t names_n);

conf_check_fn conf_check_host;             /* a host name: letters, digits, hyphens; not an address */
conf_check_fn conf_check_zone;             /* the name of a zone, with or without the final dot */
conf_check_fn conf_check_relative;         /* a name inside a zone */
conf_check_fn conf_check_country_pattern;  /* with one %c */
conf_check_fn conf_check_region_pattern;   /* with one %r */
conf_check_fn conf_check_database_pattern; /* with one %d */
conf_check_fn conf_check_label;            /* one label: letters, digits, hyphens */
conf_check_fn conf_check_software;         /* field 0 of the version record */
conf_check_fn conf_check_string;           /* for a TXT string, with room for a key before it */
conf_check_fn conf_check_key_path;         /* "country.iso_code" */
conf_check_fn conf_check_cookies;          /* "on", "off", "require" */

#endif
