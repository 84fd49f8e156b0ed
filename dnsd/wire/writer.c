#include "wire/writer.h"

#include <string.h>

#include "wire/name.h"
#include "wire/wire.h"

void wire_writer_init(struct wire_writer *writer, uint8_t *data, size_t len, size_t limit)
{
	writer->data = data;
	writer->len = len;
	writer->limit = limit;
	writer->full = len > limit;
	writer->pointer_max = WIRE_POINTER_MAX;
	writer->known_n = 0;
	writer->pointers = NULL;
	writer->pointers_n = 0;
	writer->pointers_cap = 0;
}

void wire_writer_know(struct wire_writer *writer, size_t off)
{
	if (writer->known_n < WIRE_WRITER_KNOWN_MAX && off <= writer->pointer_max)
		writer->known[writer->known_n++] = (uint16_t)off;
}

static void put(struct wire_writer *writer, const void *bytes, size_t len)
{
	if (writer->full || len > writer->limit - writer->len) {
		writer->full = true;
		return;
	}
	memcpy(writer->data + writer->len, bytes, len);
	writer->len += len;
}

static void put16(struct wire_writer *writer, uint16_t value)
{
	uint8_t bytes[2];
	wire_put16(bytes, value);
	put(writer, bytes, sizeof(bytes));
}

static void put32(struct wire_writer *writer, uint32_t value)
{
	uint8_t bytes[4];
	wire_put32(bytes, value);
	put(writer, bytes, sizeof(bytes));
}

/* A compression pointer. */
static void put_pointer(struct wire_writer *writer, size_t off)
{
	if (writer->pointers && !writer->full) {
		if (writer->pointers_n == writer->pointers_cap) {
			writer->full = true;
			return;
		}
		writer->pointers[writer->pointers_n++] = (uint16_t)writer->len;
	}
	put16(writer, (uint16_t)(WIRE_POINTER | off));
}

static bool same_label(const uint8_t *a, const uint8_t *b)
{
	if (a[0] != b[0])
		return false;
	for (unsigned i = 1; i <= a[0]; i++) {
		uint8_t x = a[i];
		uint8_t y = b[i];
		if (x >= 'A' && x <= 'Z')
			x = (uint8_t)(x + 32);
		if (y >= 'A' && y <= 'Z')
			y = (uint8_t)(y + 32);
		if (x != y)
			return false;
	}
	return true;
}

/* Follow the pointers of a name in our own message; they only go backwards, because we wrote them. */
static size_t resolve(const struct wire_writer *writer, size_t off)
{
	while ((writer->data[off] & 0xc0) == 0xc0)
		off = wire_get16(writer->data + off) & WIRE_POINTER_MAX;
	return off;
}

/*
 * Find the longest suffix of name that a known name also ends in. Compared from the left: for each known name
 * the label starts are walked in step once the numbers of labels left are equal.
 */
static size_t find_suffix(const struct wire_writer *writer, const uint8_t *name, unsigned labels,
                          const uint8_t **ret_at)
{
	size_t best_off = 0;
	unsigned best_labels = 0;
	for (unsigned k = 0; k < writer->known_n; k++) {
		uint16_t offs[WIRE_LABELS_MAX + 1];
		unsigned known_labels = 0;
		size_t off = resolve(writer, writer->known[k]);
		while (writer->data[off] && known_labels < WIRE_LABELS_MAX) {
			offs[known_labels++] = (uint16_t)off;
			off = resolve(writer, off + writer->data[off] + 1);
		}
		unsigned common = labels < known_labels ? labels : known_labels;
		if (common <= best_labels)
			continue;
		const uint8_t *label = name;
		for (unsigned i = labels; i > common; i--)
			label += *label + 1;
		unsigned run = 0; /* equal labels up to the root, counted from the last mismatch */
		for (unsigned i = 0; i < common; i++) {
			run = same_label(label, writer->data + offs[known_labels - common + i]) ? run + 1 : 0;
			label += *label + 1;
		}
		if (run > best_labels && offs[known_labels - run] <= writer->pointer_max) {
			best_labels = run;
			best_off = offs[known_labels - run];
		}
	}
	const uint8_t *at = name;
	for (unsigned i = labels; i > best_labels; i--)
		at += *at + 1;
	*ret_at = at;
	return best_labels ? best_off : 0;
}

/* A name, as short as the known names allow; the case of the name that stood first wins (RFC 4343
 * section 4.1). */
static void put_name(struct wire_writer *writer, const uint8_t *name)
{
	if (writer->full)
		return;
	const uint8_t *suffix;
	size_t suffix_off = find_suffix(writer, name, name_labels(name), &suffix);
	size_t start = writer->len;
	put(writer, name, (size_t)(suffix - name));
	if (suffix_off)
		put_pointer(writer, suffix_off);
	else
		put(writer, "", 1);
	if (!writer->full && suffix != name)
		wire_writer_know(writer, start);
}

/* How RDATA of a type is laid out, as far as names in it go: names after `skip` fixed bytes. Returns the
 * number of names. */
static unsigned rdata_names(uint16_t type, unsigned *ret_skip)
{
	*ret_skip = 0;
	switch (type) {
	case WIRE_TYPE_NS:
	case WIRE_TYPE_MD:
	case WIRE_TYPE_MF:
	case WIRE_TYPE_CNAME:
	case WIRE_TYPE_MB:
	case WIRE_TYPE_MG:
	case WIRE_TYPE_MR:
	case WIRE_TYPE_PTR: return 1;
	case WIRE_TYPE_SOA:
	case WIRE_TYPE_MINFO: return 2;
	case WIRE_TYPE_MX: *ret_skip = 2; return 1;
	default: return 0;
	}
}

void wire_writer_record(struct wire_writer *writer, const uint8_t *owner, size_t owner_off, uint16_t type,
                        uint32_t ttl_s, const uint8_t *rdata, size_t rdata_len)
{
	if (owner_off)
		put_pointer(writer, owner_off);
	else
		put_name(writer, owner);
	put16(writer, type);
	put16(writer, WIRE_CLASS_IN);
	put32(writer, ttl_s);
	size_t length_at = writer->len;
	put16(writer, 0);

	unsigned skip;
	unsigned names_n = rdata_names(type, &skip);
	const uint8_t *at = rdata;
	const uint8_t *end = rdata + rdata_len;
	if (names_n) {
		put(writer, at, skip);
		at += skip;
		for (unsigned i = 0; i < names_n; i++) {
			size_t len = name_len(at, (size_t)(end - at));
			put_name(writer, at);
			at += len;
		}
	}
	put(writer, at, (size_t)(end - at));
	if (!writer->full)
		wire_put16(writer->data + length_at, (uint16_t)(writer->len - length_at - 2));
}

struct wire_mark wire_writer_mark(const struct wire_writer *writer)
{
	return (struct wire_mark){ .len = writer->len,
		                   .full = writer->full,
		                   .known_n = writer->known_n,
		                   .pointers_n = writer->pointers_n };
}

void wire_writer_rewind(struct wire_writer *writer, struct wire_mark mark)
{
	writer->len = mark.len;
	writer->known_n = mark.known_n;
	writer->pointers_n = mark.pointers_n;
	writer->full = mark.full;
}
