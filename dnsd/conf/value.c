#include "conf/value.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "conf/conf.h"

#define DURATION_DIGITS_MAX 11 /* so that days of milliseconds cannot overflow 64 bits */
#define QUOTE_BYTES_MAX     60
#define NAME_MAX_TEXT       253 /* of a domain name in text form, RFC 1035 section 2.3.4 */
#define LABEL_MAX           63
#define SOFTWARE_MAX        32
#define STRING_MAX          200
#define DISTANCE_TEXT_MAX   40 /* no key is longer */

static const struct {
	const char *name;
	uint64_t ms;
} units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
};
#define UNITS_N (sizeof(units) / sizeof(units[0]))

int conf_parse_duration(const char *text, uint64_t *ret_ms)
{
	uint64_t number = 0;
	size_t digits = 0;
	while (text[digits] >= '0' && text[digits] <= '9') {
		if (digits == DURATION_DIGITS_MAX)
			return -EINVAL;
		number = number * 10 + (uint64_t)(text[digits] - '0');
		digits++;
	}
	if (digits == 0)
		return -EINVAL;
	const char *unit = text[digits] ? text + digits : "s";
	for (size_t i = 0; i < UNITS_N; i++) {
		if (strcmp(unit, units[i].name) == 0) {
			*ret_ms = number * units[i].ms;
			return 0;
		}
	}
	return -EINVAL;
}

const char *conf_format_duration(uint64_t ms, char *text, size_t cap)
{
	if (ms == 0) {
		snprintf(text, cap, "0s");
		return text;
	}
	size_t i = 0;
	while (ms % units[i].ms != 0)
		i++;
	snprintf(text, cap, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].name);
	return text;
}

const char *conf_quote(const char *text, size_t len, char *quoted, size_t cap)
{
	size_t used = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (i == QUOTE_BYTES_MAX || used + 8 > cap) {
			used += (size_t)snprintf(quoted + used, cap - used, "...");
			break;
		}
		if (c < 0x20 || c == 0x7f)
			used += (size_t)snprintf(quoted + used, cap - used, "\\x%02x", c);
		else
			quoted[used++] = (char)c;
	}
	quoted[used] = '\0';
	return quoted;
}

static size_t smallest(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t conf_distance(const char *a, const char *b)
{
	size_t a_len = strlen(a);
	size_t b_len = strlen(b);
	if (a_len > DISTANCE_TEXT_MAX || b_len > DISTANCE_TEXT_MAX)
		return DISTANCE_TEXT_MAX;
	size_t table[DISTANCE_TEXT_MAX + 1][DISTANCE_TEXT_MAX + 1];
	for (size_t i = 0; i <= a_len; i++)
		table[i][0] = i;
	for (size_t j = 0; j <= b_len; j++)
		table[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		for (size_t j = 1; j <= b_len; j++) {
			size_t replace = table[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			size_t best = smallest(replace, smallest(table[i - 1][j], table[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = smallest(best, table[i - 2][j - 2] + 1);
			table[i][j] = best;
		}
	}
	return table[a_len][b_len];
}

const char *conf_nearest(const char *text, const char *const *names, size_t names_n)
{
	size_t len = strlen(text);
	size_t best_distance = len <= 4 ? 1 : len <= 8 ? 2 : 3;
	const char *best = NULL;
	for (size_t i = 0; i < names_n; i++) {
		size_t distance = conf_distance(text, names[i]);
		if (distance < best_distance || (distance == best_distance && !best)) {
			best_distance = distance;
			best = names[i];
		}
	}
	return best;
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* One walk over the labels serves every kind of name; underscores are for names that are no hosts. */
static const char *check_labels(const char *text, bool underscore)
{
	size_t len = strlen(text);
	if (len == 0)
		return "is empty";
	if (len > NAME_MAX_TEXT)
		return "is longer than 253 characters";
	size_t label_len = 0;
	for (size_t i = 0; i <= len; i++) {
		char c = text[i];
		if (c == '.' || c == '\0') {
			if (label_len == 0)
				return c == '\0' ? "ends with a dot" : "has an empty label";
			if (label_len > LABEL_MAX)
				return "has a label of more than 63 characters";
			if (!underscore && (text[i - 1] == '-' || text[i - label_len] == '-'))
				return "has a label that starts or ends with a hyphen";
			label_len = 0;
			continue;
		}
		if (!is_letter_or_digit(c) && c != '-' && !(underscore && c == '_'))
			return underscore ? "has a character that is no letter, digit, hyphen or underscore"
			                  : "has a character that is no letter, digit or hyphen";
		label_len++;
	}
	return NULL;
}

const char *conf_check_host(const char *text)
{
	struct addr addr;
	if (addr_parse(text, &addr) == 0)
		return "is an address, not a host name";
	return check_labels(text, false);
}

const char *conf_check_label(const char *text)
{
	return strchr(text, '.') ? "has a dot" : check_labels(text, false);
}

const char *conf_check_zone(const char *text)
{
	char copy[NAME_MAX_TEXT + 2];
	size_t len = strlen(text);
	if (strcmp(text, ".") == 0)
		return NULL;
	if (len >= sizeof(copy))
		return "is longer than 253 characters";
	memcpy(copy, text, len + 1);
	if (len > 0 && copy[len - 1] == '.')
		copy[len - 1] = '\0';
	return check_labels(copy, true);
}

const char *conf_check_relative(const char *text)
{
	size_t len = strlen(text);
	if (len > 0 && text[len - 1] == '.')
		return "ends with a dot, but names here are relative to the zone";
	return check_labels(text, true);
}

static const char *check_pattern(const char *text, char letter, const char *missing)
{
	char copy[NAME_MAX_TEXT + 1];
	size_t len = strlen(text);
	if (len >= sizeof(copy))
		return "is longer than 253 characters";
	memcpy(copy, text, len + 1);
	char *mark = strchr(copy, '%');
	if (!mark || mark[1] != letter || strchr(mark + 1, '%'))
		return missing;
	memset(mark, 'x', 2);
	return conf_check_relative(copy);
}

const char *conf_check_country_pattern(const char *text)
{
	return check_pattern(text, 'c', "does not have exactly one %c, the place of the country code");
}

const char *conf_check_region_pattern(const char *text)
{
	return check_pattern(text, 'r', "does not have exactly one %r, the place of the region's name");
}

const char *conf_check_database_pattern(const char *text)
{
	return check_pattern(text, 'd', "does not have exactly one %d, the place of the database's name");
}

const char *conf_check_software(const char *text)
{
	size_t len = strlen(text);
	if (len == 0)
		return "is empty, and clients stop at an empty field";
	if (len > SOFTWARE_MAX)
		return "is longer than 32 characters";
	for (size_t i = 0; i < len; i++) {
		if (text[i] == ':')
			return "has a colon, which separates the fields of the record";
		if (text[i] == ' ')
			return "has a space";
		if (text[i] < '!' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
			return "has a character that is no plain version text";
	}
	return NULL;
}

const char *conf_check_key_path(const char *text)
{
	size_t len = strlen(text);
	if (len == 0)
		return "is empty";
	if (text[0] == '.' || text[len - 1] == '.' || strstr(text, ".."))
		return "has an empty part";
	return NULL;
}

const char *conf_check_string(const char *text)
{
	return strlen(text) > STRING_MAX ? "is longer than 200 characters" : NULL;
}

const char *conf_check_cookies(const char *text)
{
	if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0 && strcmp(text, "require") != 0)
		return "is none of \"on\", \"off\" and \"require\"";
	return NULL;
}
