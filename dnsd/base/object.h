/*
 * object: JSON objects as records of the journal and responses of the control socket are made of.
 *
 * What memory is lacking for is left out; whoever needs it whole looks.
 */
#ifndef DNSD_BASE_OBJECT_H
#define DNSD_BASE_OBJECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** NULL when there is no such key, or it is no text. */
const char *object_get_text(const json_t *object, const char *key);

/** NULL leaves the key out. JSON has one encoding, texts of plain feeds any: others become a mark. */
void object_set_text(json_t *object, const char *key, const char *text);
void object_set_number(json_t *object, const char *key, uint64_t number);
/** As utc_format() writes it; 0 leaves the key out. */
void object_set_time(json_t *object, const char *key, uint64_t time_s);

/**
 * Has a text more brackets in each other than this? jansson reads up to 2048 levels; what is read here has a
 * few. Strings are stepped over, so that brackets in them do not count.
 */
bool object_is_deep(const char *text, size_t text_len, size_t most);

#endif
