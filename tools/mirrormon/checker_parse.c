#include "mirrormon/checker_parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/utc.h"

#define TAR_BLOCK     512
#define YEAR_10000_S  253402300800U
#define STATUS_DIGITS 3

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int checker_parse_number(const char *text, size_t text_len, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;
	if (text_len == 0 || text_len > 19)
		return -EINVAL;
	for (size_t i = 0; i < text_len; i++) {
		if (!is_digit(text[i]))
			return -EINVAL;
		number = number * 10 + (uint64_t)(text[i] - '0');
	}
	if (number > max)
		return -EINVAL;
	*ret_number = number;
	return 0;
}

int checker_parse_timestamp(const char *text, size_t text_len, uint64_t *ret_s)
{
	char word[UTC_TEXT_MAX];
	size_t len = 0;
	while (len < text_len && !is_blank(text[len]))
		len++;
	if (len == 0 || len >= sizeof(word) || memchr(text, '\0', len))
		return -EINVAL;
	memcpy(word, text, len);
	word[len] = '\0';
	uint64_t s;
	if (!is_digit(word[0]) || utc_parse(word, &s) < 0 || s == 0 || s > UTC_MAX_S)
		return -EINVAL;
	*ret_s = s;
	return 0;
}

int checker_parse_status(const char *line, size_t line_len, unsigned *ret_status,
                         char ret_phrase[CHECKER_PHRASE_MAX])
{
	while (line_len && is_blank(line[line_len - 1]))
		line_len--;
	const char *end = line + line_len;
	if (line_len < 9 || (memcmp(line, "HTTP/1.1 ", 9) != 0 && memcmp(line, "HTTP/1.0 ", 9) != 0))
		return -EINVAL;
	const char *code = line + 9;
	uint64_t status;
	if (end - code < STATUS_DIGITS || checker_parse_number(code, STATUS_DIGITS, 999, &status) < 0 ||
	    status < 100 || (end - code > STATUS_DIGITS && code[STATUS_DIGITS] != ' '))
		return -EINVAL;
	*ret_status = (unsigned)status;
	const char *phrase = end - code > STATUS_DIGITS ? code + STATUS_DIGITS + 1 : end;
	checker_copy_printable(phrase, (size_t)(end - phrase), ret_phrase, CHECKER_PHRASE_MAX);
	return 0;
}

bool checker_header_value(const char *line, size_t line_len, const char *name, const char **ret_value,
                          size_t *ret_value_len)
{
	size_t name_len = strlen(name);
	if (line_len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
		return false;
	const char *value = line + name_len + 1;
	size_t len = line_len - name_len - 1;
	while (len && is_blank(*value)) {
		value++;
		len--;
	}
	while (len && is_blank(value[len - 1]))
		len--;
	*ret_value = value;
	*ret_value_len = len;
	return true;
}

int checker_parse_content_range(const char *value, size_t value_len, struct content_range *ret_range)
{
	static const char unit[] = "bytes ";
	const char *at = value + sizeof(unit) - 1;
	const char *end = value + value_len;
	if (value_len < sizeof(unit) || strncasecmp(value, unit, sizeof(unit) - 1) != 0)
		return -EINVAL;
	const char *hyphen = memchr(at, '-', (size_t)(end - at));
	const char *slash = hyphen ? memchr(hyphen, '/', (size_t)(end - hyphen)) : NULL;
	if (!slash)
		return -EINVAL;
	struct content_range range = { .whole = UINT64_MAX };
	bool unknown = end - slash == 2 && slash[1] == '*';
	if (checker_parse_number(at, (size_t)(hyphen - at), UINT64_MAX, &range.first) < 0 ||
	    checker_parse_number(hyphen + 1, (size_t)(slash - hyphen - 1), UINT64_MAX, &range.last) < 0)
		return -EINVAL;
	if (!unknown &&
	    checker_parse_number(slash + 1, (size_t)(end - slash - 1), UINT64_MAX, &range.whole) < 0)
		return -EINVAL;
	if (range.first > range.last || range.last >= range.whole)
		return -EINVAL;
	*ret_range = range;
	return 0;
}

/* Of the line that begins so, what follows; NULL when there is none. */
static const char *line_after(const char *text, size_t text_len, const char *prefix, size_t *ret_len)
{
	size_t prefix_len = strlen(prefix);
	const char *end = text + text_len;
	for (const char *line = text; line < end;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		size_t len = (size_t)((newline ? newline : end) - line);
		if (len >= prefix_len && memcmp(line, prefix, prefix_len) == 0) {
			*ret_len = len - prefix_len;
			return line + prefix_len;
		}
		if (!newline)
			break;
		line = newline + 1;
	}
	return NULL;
}

enum sigtool_word checker_parse_sigtool(const char *output, size_t output_len, int64_t exit_status,
                                        uint32_t *ret_version)
{
	size_t len;
	if (exit_status != 0) {
		bool judged =
		        line_after(output, output_len, "ERROR: cvdinfo: Verification:", &len) ||
		        line_after(output, output_len, "ERROR: cvdinfo: Can't read/parse CVD header", &len);
		return exit_status == 1 && judged ? SIGTOOL_BAD : SIGTOOL_UNCLEAR;
	}
	uint64_t version;
	const char *text = line_after(output, output_len, "Version: ", &len);
	if (!text || checker_parse_number(text, len, UINT32_MAX, &version) < 0 ||
	    !line_after(output, output_len, "Verification OK.", &len))
		return SIGTOOL_UNCLEAR;
	*ret_version = (uint32_t)version;
	return SIGTOOL_GOOD;
}

/* Size field of a tar header: octal digits, ended by a blank or NUL. */
static int parse_tar_size(const uint8_t field[12], size_t *ret_size)
{
	size_t size = 0;
	size_t digits = 0;
	for (size_t i = 0; i < 12 && field[i] >= '0' && field[i] <= '7'; i++, digits++)
		size = size * 8 + (size_t)(field[i] - '0');
	if (digits == 0)
		return -EINVAL;
	*ret_size = size;
	return 0;
}

static int parse_info_member(const uint8_t *text, size_t len, struct cvd_header *ret_header)
{
	uint8_t padded[CVD_HEADER_LEN];
	const char *why;
	memset(padded, ' ', sizeof(padded));
	const uint8_t *newline = memchr(text, '\n', len);
	len = newline ? (size_t)(newline - text) : len;
	if (len > sizeof(padded))
		return -EINVAL;
	memcpy(padded, text, len);
	return cvd_header_parse(padded, sizeof(padded), ret_header, &why);
}

int checker_parse_info(const uint8_t *tar, size_t tar_len, char ret_name[VERSION_NAME_MAX],
                       struct cvd_header *ret_header)
{
	static const char suffix[] = ".info";
	const size_t suffix_len = sizeof(suffix) - 1;
	for (size_t off = 0; tar_len - off > TAR_BLOCK && tar[off];) {
		const char *name = (const char *)tar + off;
		size_t name_len = strnlen(name, 100);
		size_t size;
		if (parse_tar_size(tar + off + 124, &size) < 0)
			return -EINVAL;
		off += TAR_BLOCK;
		if (name_len > suffix_len && memcmp(name + name_len - suffix_len, suffix, suffix_len) == 0) {
			name_len -= suffix_len;
			size_t len = size < tar_len - off ? size : tar_len - off;
			if (name_len >= VERSION_NAME_MAX || parse_info_member(tar + off, len, ret_header) < 0)
				return -EINVAL;
			checker_copy_printable(name, name_len, ret_name, VERSION_NAME_MAX);
			return 0;
		}
		if (size > tar_len - off)
			return -EINVAL;
		off += (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
		if (off >= tar_len)
			return -EINVAL;
	}
	return -EINVAL;
}

int checker_parse_md5(const uint8_t header[CVD_HEADER_LEN], char ret_md5[33])
{
	const uint8_t *at = header;
	const uint8_t *end = header + CVD_HEADER_LEN;
	for (unsigned field = 0; field < 5; field++) {
		const uint8_t *colon = memchr(at, ':', (size_t)(end - at));
		if (!colon)
			return -EINVAL;
		at = colon + 1;
	}
	if (end - at < 33 || at[32] != ':')
		return -EINVAL;
	for (size_t i = 0; i < 32; i++) {
		char c = (char)(at[i] >= 'A' && at[i] <= 'F' ? at[i] + ('a' - 'A') : at[i]);
		if (!is_digit(c) && (c < 'a' || c > 'f'))
			return -EINVAL;
		ret_md5[i] = c;
	}
	ret_md5[32] = '\0';
	return 0;
}

void checker_copy_printable(const char *text, size_t text_len, char *ret_text, size_t cap)
{
	size_t len = text_len < cap - 1 ? text_len : cap - 1;
	for (size_t i = 0; i < len; i++)
		ret_text[i] = (char)(text[i] >= 0x20 && text[i] <= 0x7e ? text[i] : '?');
	ret_text[len] = '\0';
	if (len < text_len && cap > 4)
		memcpy(ret_text + cap - 4, "...", 3);
}

int checker_format_date(uint64_t s, char ret_text[CHECKER_DATE_MAX])
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
		                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t seconds = (time_t)s;
	struct tm utc;
	if (s >= YEAR_10000_S || !gmtime_r(&seconds, &utc))
		return -EINVAL;
	snprintf(ret_text, CHECKER_DATE_MAX, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[utc.tm_wday % 7],
	         (unsigned)utc.tm_mday % 100, months[utc.tm_mon % 12], (unsigned)(utc.tm_year + 1900) % 10000,
	         (unsigned)utc.tm_hour % 100, (unsigned)utc.tm_min % 100, (unsigned)utc.tm_sec % 100);
	return 0;
}
