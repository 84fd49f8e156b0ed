/*
 * checker_parse: what mirrors write, read. Pure; everything here is untrusted and may be any bytes.
 */
#ifndef TOOLS_MIRRORMON_CHECKER_PARSE_H
#define TOOLS_MIRRORMON_CHECKER_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zones/version.h"

/**
 * The first line of a timestamp file: seconds since 1970 or RFC 3339 with Z, and behind blanks whatever older
 * mirrors add. Returns 0 or -EINVAL; a time is over 0 and at most UTC_MAX_S.
 */
int checker_parse_timestamp(const char *text, size_t text_len, uint64_t *ret_s);

/** "HTTP/1.1 404 Not Found", or of 1.0. ret_phrase gets what is printable of the phrase, cut. Returns 0 or
 * -EINVAL. */
#define CHECKER_PHRASE_MAX 40
int checker_parse_status(const char *line, size_t line_len, unsigned *ret_status,
                         char ret_phrase[CHECKER_PHRASE_MAX]);

/** If the line is the header of that name: its value without the blanks around it. */
bool checker_header_value(const char *line, size_t line_len, const char *name, const char **ret_value,
                          size_t *ret_value_len);

/** Content-Range: "bytes 0-511/1024" or ".../ *" (RFC 9110 14.4), then whole is UINT64_MAX. */
struct content_range {
	uint64_t first, last, whole;
};
int checker_parse_content_range(const char *value, size_t value_len, struct content_range *ret_range);

/** Decimal digits and nothing else. Returns 0 or -EINVAL. */
int checker_parse_number(const char *text, size_t text_len, uint64_t max, uint64_t *ret_number);

/** What `sigtool -i` says. */
enum sigtool_word {
	SIGTOOL_GOOD,    /* exit status 0 and "Verification OK." */
	SIGTOOL_BAD,     /* the file is no database, or not signed for these bytes */
	SIGTOOL_UNCLEAR, /* it failed in another way: that says nothing about the file */
};
enum sigtool_word checker_parse_sigtool(const char *output, size_t output_len, int64_t exit_status,
                                        uint32_t *ret_version);

/**
 * Name and header inside a database, which its signature covers while the outer header is not: from the
 * unpacked beginning of the tar behind byte 512, the first member that ends in ".info".
 *
 * Returns 0 or -EINVAL
 */
int checker_parse_info(const uint8_t *tar, size_t tar_len, char ret_name[VERSION_NAME_MAX],
                       struct cvd_header *ret_header);

/** MD5 field of a CVD header that cvd_header_parse() took, in lower case. Returns 0 or -EINVAL: not 32 hex
 * digits. */
int checker_parse_md5(const uint8_t header[CVD_HEADER_LEN], char ret_md5[33]);

/** Copy what is printable ASCII, the rest as "?", cut to cap with "..." at its end. */
void checker_copy_printable(const char *text, size_t text_len, char *ret_text, size_t cap);

/** "Tue, 22 Jun 2021 18:58:22 GMT" (RFC 9110 5.6.7). Returns 0, or -EINVAL past the year 9999. */
#define CHECKER_DATE_MAX 32
int checker_format_date(uint64_t s, char ret_text[CHECKER_DATE_MAX]);

#endif
