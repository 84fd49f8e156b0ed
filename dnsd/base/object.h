/*
 * object: JSON objects as records of the journal and responses of the control socket are made of.
 *
 * What memory is lacking for is left out while they are made; whoever needs it whole looks. As text, a value
 * is whole or not there.
 */
#ifndef DNSD_BASE_OBJECT_H
#define DNSD_BASE_OBJECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** NULL when there is no such key, or it is no text. */
const char *object_get_text(const json_t *object, const char *key);

/** A text for people. JSON has one encoding, configurations and plain feeds may have any: of what is not
 * UTF-8, "?" for each byte that is not ASCII. NULL when out of memory. */
json_t *object_text(const char *text);

/** As object_text(); NULL leaves the key out. */
void object_set_text(json_t *object, const char *key, const char *text);
void object_set_number(json_t *object, const char *key, uint64_t number);
/** As utc_format() writes it; 0 leaves the key out. */
void object_set_time(json_t *object, const char *key, uint64_t time_s);

/**
 * The text of a value. Not by json_dumps(): where that lacks memory, it may leave out a key and go on
 * (jansson 2.14).
 *
 * flags    of json_dumps()
 * end      put behind it: "" or "\n"
 * ret_len  length with end, without the NUL behind it
 * Returns  the whole of it, which the caller frees; NULL when out of memory, or value is NULL
 */
char *object_dump(const json_t *value, size_t flags, const char *end, size_t *ret_len);

/**
 * Has a text more brackets in each other than this? jansson reads up to 2048 levels; what is read here has a
 * few. Strings are stepped over, so that brackets in them do not count.
 */
bool object_is_deep(const char *text, size_t text_len, size_t most);

#endif
