#include "wire/name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "wire/wire.h"

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int name_from_text(const char *text, const uint8_t *origin, size_t origin_len, uint8_t name[255])
{
	if (strcmp(text, ".") == 0) {
		name[0] = 0;
		return 1;
	}
	size_t length_at = 0; /* where the current label's length byte is */
	size_t used = 1;
	bool absolute = false;
	const char *at = text;
	while (*at) {
		if (*at == '.') {
			size_t label = used - length_at - 1;
			if (label == 0)
				return -EINVAL;
			name[length_at] = (uint8_t)label;
			if (at[1] == '\0') {
				absolute = true;
				length_at = used;
				break;
			}
			if (used >= WIRE_NAME_MAX)
				return -EINVAL;
			length_at = used++;
			at++;
			continue;
		}
		unsigned char byte = (unsigned char)*at++;
		if (byte == '\\') {
			if (is_digit(at[0])) {
				if (!is_digit(at[1]) || !is_digit(at[2]))
					return -EINVAL;
				int value = (at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0');
				if (value > 255)
					return -EINVAL;
				byte = (unsigned char)value;
				at += 3;
			} else if (*at) {
				byte = (unsigned char)*at++;
			} else {
				return -EINVAL;
			}
		}
		if (used - length_at - 1 >= 63 || used >= WIRE_NAME_MAX)
			return -EINVAL;
		name[used++] = byte;
	}
	if (!absolute) {
		size_t label = used - length_at - 1;
		if (label == 0)
			return -EINVAL;
		name[length_at] = (uint8_t)label;
		length_at = used;
	}
	if (!absolute && origin) {
		if (length_at + origin_len > WIRE_NAME_MAX)
			return -EINVAL;
		memcpy(name + length_at, origin, origin_len);
		return (int)(length_at + origin_len);
	}
	if (length_at >= WIRE_NAME_MAX)
		return -EINVAL;
	name[length_at] = 0;
	return (int)length_at + 1;
}

const char *name_to_text(const uint8_t *name, char text[NAME_TEXT_MAX])
{
	if (name[0] == 0)
		return strcpy(text, ".");
	char *out = text;
	for (const uint8_t *label = name; *label; label += *label + 1) {
		if (label != name)
			*out++ = '.';
		for (unsigned i = 1; i <= *label; i++) {
			uint8_t byte = label[i];
			if (byte == '.' || byte == '\\') {
				*out++ = '\\';
				*out++ = (char)byte;
			} else if (byte > 0x20 && byte < 0x7f) {
				*out++ = (char)byte;
			} else {
				*out++ = '\\';
				*out++ = (char)('0' + byte / 100);
				*out++ = (char)('0' + byte / 10 % 10);
				*out++ = (char)('0' + byte % 10);
			}
		}
	}
	*out = '\0';
	return text;
}

size_t name_len(const uint8_t *name, size_t cap)
{
	size_t at = 0;
	while (at < cap && at < WIRE_NAME_MAX) {
		if (name[at] == 0)
			return at + 1;
		if (name[at] > 63)
			return 0;
		at += (size_t)name[at] + 1;
	}
	return 0;
}

void name_lower(uint8_t *name, size_t len)
{
	/* Length bytes are below 64, letters above: one loop over everything. */
	for (size_t i = 0; i < len; i++) {
		if (name[i] >= 'A' && name[i] <= 'Z')
			name[i] = (uint8_t)(name[i] + ('a' - 'A'));
	}
}

unsigned name_labels(const uint8_t *name)
{
	unsigned labels = 0;
	for (const uint8_t *label = name; *label; label += *label + 1)
		labels++;
	return labels;
}

bool name_is_under(const uint8_t *name, size_t len, const uint8_t *zone, size_t zone_len)
{
	const uint8_t *end = name + len;
	for (const uint8_t *label = name;; label += *label + 1) {
		size_t rest = (size_t)(end - label);
		if (rest <= zone_len)
			return rest == zone_len && memcmp(label, zone, zone_len) == 0;
	}
}

bool name_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}
