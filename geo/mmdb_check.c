#include "geo/mmdb_check.h"

#include <string.h>

/* Real records nest to about 5. */
#define DEPTH_MAX          24
#define METADATA_BYTES_MAX (128 * 1024)

/* Metadata takes about 30 values; a second look at parts of it may take as many again, never a loop of loops.
 */
#define STEPS_METADATA 10000

enum value_type {
	TYPE_POINTER = 1,
	TYPE_STRING = 2,
	TYPE_DOUBLE = 3,
	TYPE_BYTES = 4,
	TYPE_UINT16 = 5,
	TYPE_UINT32 = 6,
	TYPE_MAP = 7,
	TYPE_INT32 = 8,
	TYPE_UINT64 = 9,
	TYPE_UINT128 = 10,
	TYPE_ARRAY = 11,
	TYPE_BOOLEAN = 14,
	TYPE_FLOAT = 15,
};

bool mmdb_metadata_find(const uint8_t *bytes, size_t size, struct mmdb_part *ret_metadata)
{
	static const uint8_t marker[MMDB_MARKER_BYTES + 1] = "\xab\xcd\xefMaxMind.com";
	size_t lowest = size > METADATA_BYTES_MAX ? size - METADATA_BYTES_MAX : 0;
	for (size_t at = size; at >= lowest + MMDB_MARKER_BYTES; at--) {
		if (memcmp(bytes + at - MMDB_MARKER_BYTES, marker, MMDB_MARKER_BYTES) == 0) {
			ret_metadata->base = bytes + at;
			ret_metadata->size = size - at;
			return true;
		}
	}
	return false;
}

struct value {
	unsigned type;
	size_t size; /* bytes, entries, the truth of a boolean, or where a pointer leads */
	size_t next; /* offset after control bytes; of the content, where there is any */
};

static uint32_t read_number(const uint8_t *at, unsigned n)
{
	uint32_t number = 0;
	for (unsigned i = 0; i < n; i++)
		number = number << 8 | at[i];
	return number;
}

/** Pointers: 2 bits say how many bytes more, 3 bits belong to the number; the shorter forms start where the
 * one before ends. */
static bool read_pointer(const struct mmdb_part *part, unsigned control, size_t at, struct value *ret_value)
{
	static const uint32_t starts[4] = { 0, 2048, 526336, 0 };
	unsigned form = control >> 3 & 3;
	unsigned n = form + 1;
	if (part->size - at < n)
		return false;
	uint32_t top = form == 3 ? 0 : (control & 7U) << (8 * n);
	ret_value->size = (size_t)(top | read_number(part->base + at, n)) + starts[form];
	ret_value->next = at + n;
	return ret_value->size < part->size;
}

static bool read_control(const struct mmdb_part *part, size_t offset, struct value *ret_value)
{
	if (offset >= part->size)
		return false;
	unsigned control = part->base[offset++];
	ret_value->type = control >> 5;
	if (ret_value->type == TYPE_POINTER)
		return read_pointer(part, control, offset, ret_value);
	if (ret_value->type == 0) {
		if (offset >= part->size)
			return false;
		ret_value->type = 7U + part->base[offset++];
	}
	static const uint32_t starts[3] = { 29, 285, 65821 };
	ret_value->size = control & 0x1f;
	if (ret_value->size >= 29) {
		unsigned n = (unsigned)ret_value->size - 28;
		if (part->size - offset < n)
			return false;
		ret_value->size = (size_t)read_number(part->base + offset, n) + starts[n - 1];
		offset += n;
	}
	ret_value->next = offset;
	return true;
}

/** Bytes of content of a type that holds no other values; false: no such type, or not in this size. */
static bool content_bytes(const struct value *value, size_t *ret_bytes)
{
	*ret_bytes = value->size;
	switch (value->type) {
	case TYPE_STRING:
	case TYPE_BYTES: return true;
	case TYPE_DOUBLE: return value->size == 8;
	case TYPE_FLOAT: return value->size == 4;
	case TYPE_UINT16: return value->size <= 2;
	case TYPE_UINT32:
	case TYPE_INT32: return value->size <= 4;
	case TYPE_UINT64: return value->size <= 8;
	case TYPE_UINT128: return value->size <= 16;
	case TYPE_BOOLEAN: *ret_bytes = 0; return value->size <= 1;
	default: return false;
	}
}

static bool check_value(const struct mmdb_part *part, size_t offset, unsigned depth, uint64_t *steps,
                        size_t *ret_next);

/** What a pointer leads to; it may not be a pointer again (format specification, "pointer"). */
static bool check_target(const struct mmdb_part *part, size_t offset, unsigned depth, uint64_t *steps)
{
	struct value target;
	size_t next;
	return read_control(part, offset, &target) && target.type != TYPE_POINTER &&
	       check_value(part, offset, depth, steps, &next);
}

/** The value at offset or, when that is a pointer, the one it leads to. */
static bool read_resolved(const struct mmdb_part *part, size_t offset, struct value *ret_value)
{
	if (!read_control(part, offset, ret_value))
		return false;
	return ret_value->type != TYPE_POINTER || read_control(part, ret_value->size, ret_value);
}

static bool is_string(const struct mmdb_part *part, size_t offset)
{
	struct value value;
	return read_resolved(part, offset, &value) && value.type == TYPE_STRING;
}

static bool check_value(const struct mmdb_part *part, size_t offset, unsigned depth, uint64_t *steps,
                        size_t *ret_next)
{
	struct value value;
	if (*steps == 0 || depth > DEPTH_MAX || !read_control(part, offset, &value))
		return false;
	(*steps)--;
	*ret_next = value.next;
	if (value.type == TYPE_POINTER)
		return check_target(part, value.size, depth + 1, steps);
	if (value.type != TYPE_MAP && value.type != TYPE_ARRAY) {
		size_t bytes;
		if (!content_bytes(&value, &bytes) || part->size - value.next < bytes)
			return false;
		*ret_next = value.next + bytes;
		return true;
	}
	for (size_t i = 0; i < value.size; i++) {
		if (value.type == TYPE_MAP && (!is_string(part, *ret_next) ||
		                               !check_value(part, *ret_next, depth + 1, steps, ret_next)))
			return false;
		if (!check_value(part, *ret_next, depth + 1, steps, ret_next))
			return false;
	}
	return true;
}

bool mmdb_value_is_sound(const struct mmdb_part *part, size_t offset, uint64_t *steps)
{
	size_t next;
	return check_value(part, offset, 0, steps, &next);
}

/** Any container at offset: does it hold strings alone? The metadata was found sound before. */
static bool holds_strings(const struct mmdb_part *part, size_t offset, uint64_t *steps)
{
	struct value container;
	if (!read_resolved(part, offset, &container) ||
	    (container.type != TYPE_MAP && container.type != TYPE_ARRAY))
		return false;
	size_t n = container.type == TYPE_MAP ? container.size * 2 : container.size;
	size_t at = container.next;
	for (size_t i = 0; i < n; i++) {
		if (!is_string(part, at) || !check_value(part, at, 0, steps, &at))
			return false;
	}
	return true;
}

static bool is_key(const struct mmdb_part *part, size_t offset, const char *name)
{
	struct value key;
	return read_resolved(part, offset, &key) && key.type == TYPE_STRING && key.size == strlen(name) &&
	       part->size - key.next >= key.size && memcmp(part->base + key.next, name, key.size) == 0;
}

bool mmdb_metadata_is_sound(const struct mmdb_part *metadata)
{
	uint64_t steps = STEPS_METADATA;
	struct value map;
	if (!mmdb_value_is_sound(metadata, 0, &steps) || !read_control(metadata, 0, &map) ||
	    map.type != TYPE_MAP)
		return false;
	size_t at = map.next;
	for (size_t i = 0; i < map.size; i++) {
		size_t key = at;
		if (!check_value(metadata, key, 1, &steps, &at))
			return false;
		size_t value = at;
		if ((is_key(metadata, key, "languages") || is_key(metadata, key, "description")) &&
		    !holds_strings(metadata, value, &steps))
			return false;
		if (!check_value(metadata, value, 1, &steps, &at))
			return false;
	}
	return true;
}
