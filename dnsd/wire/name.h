/*
 * name: domain names in wire form (RFC 1035 section 3.1), uncompressed.
 *
 *     \3 w w w \6 c l a m a v \3 n e t \0        length counts every byte, the root label included
 */
#ifndef DNSD_WIRE_NAME_H
#define DNSD_WIRE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_TEXT_MAX 1025 /* every byte as \DDD, dots, final NUL */

/**
 * Text ("db.local.clamav.net", final dot optional, \. and \DDD escapes) to wire form, case kept.
 *
 * origin   [origin_len] appended to a name without final dot; NULL = such a name is complete
 * name     WIRE_NAME_MAX bytes
 * Returns  length, or -EINVAL: empty label, label over 63, name over 255, bad escape
 */
int name_from_text(const char *text, const uint8_t *origin, size_t origin_len, uint8_t name[255]);

/** Wire form to text without final dot (the root is "."). Returns text. */
const char *name_to_text(const uint8_t *name, char text[NAME_TEXT_MAX]);

/** Length of a wire name within [cap] bytes, or 0: cut off, compressed, over 255 bytes. */
size_t name_len(const uint8_t *name, size_t cap);

/** ASCII upper case to lower case, in place (RFC 4343). */
void name_lower(uint8_t *name, size_t len);

/** Labels without the root: "net" has 1. */
unsigned name_labels(const uint8_t *name);

/** Is name at or below zone? Both lower case. */
bool name_is_under(const uint8_t *name, size_t len, const uint8_t *zone, size_t zone_len);

/** Byte-wise equality of two lower-case names. */
bool name_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

#endif
