#include "base/object.h"

#include <stdlib.h>
#include <string.h>

#include "base/utc.h"

const char *object_get_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

json_t *object_text(const char *text)
{
	json_t *value = json_string(text);
	char *copy = value ? NULL : strdup(text);
	if (!copy)
		return value;
	for (char *at = copy; *at; at++) {
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	}
	value = json_string(copy);
	free(copy);
	return value;
}

void object_set_text(json_t *object, const char *key, const char *text)
{
	if (!text)
		return;
	json_object_set_new(object, key, object_text(text));
}

void object_set_number(json_t *object, const char *key, uint64_t number)
{
	json_object_set_new(object, key, json_integer((json_int_t)number));
}

void object_set_time(json_t *object, const char *key, uint64_t time_s)
{
	char text[UTC_TEXT_MAX];
	if (time_s)
		json_object_set_new(object, key, json_string(utc_format(time_s, text)));
}

char *object_dump(const json_t *value, size_t flags, const char *end, size_t *ret_len)
{
	size_t end_len = strlen(end);
	/* Without a buffer it counts. It allocates for its search for loops alone, and says when it can't. */
	size_t len = json_dumpb(value, NULL, 0, flags);
	char *text = len ? malloc(len + end_len + 1) : NULL;
	if (!text || json_dumpb(value, text, len, flags) != len) {
		free(text);
		return NULL;
	}
	memcpy(text + len, end, end_len + 1);
	*ret_len = len + end_len;
	return text;
}

bool object_is_deep(const char *text, size_t text_len, size_t most)
{
	size_t depth = 0;
	bool in_string = false;
	for (size_t i = 0; i < text_len; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
		} else if (text[i] == '"') {
			in_string = true;
		} else if (text[i] == '{' || text[i] == '[') {
			if (++depth > most)
				return true;
		} else if ((text[i] == '}' || text[i] == ']') && depth) {
			depth--;
		}
	}
	return false;
}
