/*
 * writer: appends names and records to a message, with name compression (RFC 1035 section 4.1.4).
 *
 *     data [0 .. len) written, limit = where the message must end
 *     known: where names start that later names may point to
 *
 * The writer keeps its error: after the first thing that does not fit, everything is a no-op and `full` is
 * set, so one check at the end is enough. wire_writer_mark() and _rewind() take back a record that did not
 * fit.
 */
#ifndef DNSD_WIRE_WRITER_H
#define DNSD_WIRE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More names than this are written without being offered as targets: bounds the work per name. */
#define WIRE_WRITER_KNOWN_MAX 48

struct wire_writer {
	uint8_t *data;
	size_t len;
	size_t limit;
	bool full;
	uint16_t pointer_max; /* the furthest offset that names may point to; WIRE_POINTER_MAX unless lowered
	                       */
	uint16_t known_n;
	uint16_t known[WIRE_WRITER_KNOWN_MAX]; /* offsets of names in data, written out or ending in a pointer
	                                        */
	/* Positions of the compression pointers written, for templates; NULL = not wanted. */
	uint16_t *pointers;
	uint16_t pointers_n;
	uint16_t pointers_cap;
};

/** Start behind what already stands in data[0..len), usually header and question. */
void wire_writer_init(struct wire_writer *writer, uint8_t *data, size_t len, size_t limit);

/** Offer the name at this offset as a target; it must be complete in data. */
void wire_writer_know(struct wire_writer *writer, size_t off);

/**
 * One record.
 *
 * owner_off  offset of the owner if it already stands in the message, else 0 and owner is written
 * rdata      uncompressed; the names in it are compressed for the types of RFC 1035 only (RFC 3597 section 4)
 */
void wire_writer_record(struct wire_writer *writer, const uint8_t *owner, size_t owner_off, uint16_t type,
                        uint32_t ttl_s, const uint8_t *rdata, size_t rdata_len);

struct wire_mark {
	size_t len;
	bool full;
	uint16_t known_n;
	uint16_t pointers_n;
};
struct wire_mark wire_writer_mark(const struct wire_writer *writer);
void wire_writer_rewind(struct wire_writer *writer, struct wire_mark mark);

#endif
