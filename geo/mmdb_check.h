/*
 * mmdb_check: is a value of the MaxMind DB format sound? Asked before libmaxminddb may decode it.
 *
 *     control byte: type in 3 bits, size in 5 | more type | more size | content: bytes, or the entries of a
 * map or array
 *
 * libmaxminddb 1.7.1 recurses as deep as the nesting of a record goes and follows what pointers repeat; on
 * crafted or damaged bytes that ends its stack or takes for ever. Here each step is counted and each byte is
 * within its part.
 */
#ifndef GEO_MMDB_CHECK_H
#define GEO_MMDB_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MMDB_SEPARATOR_BYTES 16
#define MMDB_MARKER_BYTES    14

/** A data section or the metadata: offsets and pointers count from base. */
struct mmdb_part {
	const uint8_t *base;
	size_t size;
};

/** The metadata: what follows the last marker in the last 128 KiB of the file. */
bool mmdb_metadata_find(const uint8_t *bytes, size_t size, struct mmdb_part *ret_metadata);

/**
 * Does a whole value begin at offset, with all that it holds or points at, not nested too deeply?
 * steps  work allowed; taken off for each value visited, refused at 0
 */
bool mmdb_value_is_sound(const struct mmdb_part *part, size_t offset, uint64_t *steps);

/**
 * Is the metadata sound and of the shape that libmaxminddb expects: a map, its "languages" an array of
 * strings and its "description" a map of strings? On other shapes MMDB_open() of 1.7.1 gives an error and
 * leaks.
 */
bool mmdb_metadata_is_sound(const struct mmdb_part *metadata);

#endif
