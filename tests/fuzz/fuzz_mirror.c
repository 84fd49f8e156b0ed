/*
 * What a mirror or sigtool writes, any bytes. The first byte says what the rest is: "t" a timestamp, "s" a
 * status line, "r" a Content-Range, "h" a header line, "g" the output of sigtool, "i" the beginning of a tar,
 * "m" a CVD header for its MD5.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utc.h"
#include "mirrormon/checker_parse.h"
#include "tests/fuzz/fuzz.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void require_printable(const char *text, size_t cap)
{
	size_t len = strnlen(text, cap);
	require(len < cap);
	for (size_t i = 0; i < len; i++)
		require(text[i] >= 0x20 && text[i] <= 0x7e);
}

static void try_timestamp(const char *text, size_t len)
{
	uint64_t s;
	uint64_t again;
	char number[32];
	if (checker_parse_timestamp(text, len, &s) < 0)
		return;
	require(s > 0 && s <= UTC_MAX_S);
	snprintf(number, sizeof(number), "%" PRIu64 " again", s);
	require(checker_parse_timestamp(number, strlen(number), &again) == 0 && again == s);
}

static void try_status(const char *line, size_t len)
{
	unsigned status;
	char phrase[CHECKER_PHRASE_MAX];
	if (checker_parse_status(line, len, &status, phrase) < 0)
		return;
	require(status >= 100 && status <= 999);
	require_printable(phrase, sizeof(phrase));
}

static void try_range(const char *value, size_t len)
{
	struct content_range range;
	struct content_range again;
	char text[128];
	if (checker_parse_content_range(value, len, &range) < 0)
		return;
	require(range.first <= range.last && range.last < range.whole);
	int n = range.whole == UINT64_MAX
	                ? snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/*", range.first,
	                           range.last)
	                : snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range.first,
	                           range.last, range.whole);
	require(checker_parse_content_range(text, (size_t)n, &again) == 0 && again.first == range.first &&
	        again.last == range.last && again.whole == range.whole);
}

static void try_header(const char *line, size_t len)
{
	static const char *const names[] = { "Content-Range", "Content-Length", "Location" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value;
		size_t value_len;
		uint64_t number;
		char copy[80];
		if (!checker_header_value(line, len, names[i], &value, &value_len))
			continue;
		require(value >= line && value + value_len <= line + len);
		checker_copy_printable(value, value_len, copy, sizeof(copy));
		require_printable(copy, sizeof(copy));
		require(checker_parse_number(value, value_len, INT64_MAX, &number) < 0 ||
		        number <= INT64_MAX);
		try_range(value, value_len);
	}
}

static void try_sigtool(const char *output, size_t len)
{
	uint32_t version = 0;
	require(checker_parse_sigtool(output, len, 1, &version) != SIGTOOL_GOOD && version == 0);
	require(checker_parse_sigtool(output, len, 0, &version) != SIGTOOL_BAD);
	require(checker_parse_sigtool(output, len, 139, &version) == SIGTOOL_UNCLEAR);
}

static void try_info(const uint8_t *tar, size_t len)
{
	char name[VERSION_NAME_MAX];
	struct cvd_header header;
	if (checker_parse_info(tar, len, name, &header) < 0)
		return;
	require_printable(name, sizeof(name));
	require(name[0] && header.version > 0);
}

static void try_md5(const uint8_t *bytes, size_t len)
{
	uint8_t header[CVD_HEADER_LEN];
	char md5[33];
	memset(header, ' ', sizeof(header));
	memcpy(header, bytes, len < sizeof(header) ? len : sizeof(header));
	require(checker_parse_md5(header, md5) < 0 ||
	        (strlen(md5) == 32 && strspn(md5, "0123456789abcdef") == 32));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	/* Exactly as long as it is, so that a byte too far is seen. */
	size_t len = size - 1;
	char *text = malloc(len ? len : 1);
	require(text != NULL);
	memcpy(text, data + 1, len);
	switch (data[0]) {
	case 't': try_timestamp(text, len); break;
	case 's': try_status(text, len); break;
	case 'r': try_range(text, len); break;
	case 'h': try_header(text, len); break;
	case 'g': try_sigtool(text, len); break;
	case 'i': try_info((const uint8_t *)text, len); break;
	case 'm': try_md5((const uint8_t *)text, len); break;
	default: break;
	}
	free(text);
	return 0;
}
