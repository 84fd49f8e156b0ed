/*
 * Any bytes as the header of a CVD file, as they are and padded to a whole header. What was read must be read
 * the same again from a header made of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "zones/version.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static int parse(const uint8_t *bytes, size_t len, struct cvd_header *ret_header)
{
	const char *why = NULL;
	int rc = cvd_header_parse(bytes, len, ret_header, &why);
	require(rc == 0 || rc == -EINVAL);
	require(rc == 0 || (why && why[0]));
	require(rc < 0 || (len >= CVD_HEADER_LEN && ret_header->version > 0));
	return rc;
}

static bool equal(const struct cvd_header *a, const struct cvd_header *b)
{
	return a->version == b->version && a->signatures_n == b->signatures_n && a->flevel == b->flevel &&
	       a->built_s == b->built_s;
}

static void pad(uint8_t header[CVD_HEADER_LEN], const void *bytes, size_t len)
{
	memset(header, ' ', CVD_HEADER_LEN);
	memcpy(header, bytes, len < CVD_HEADER_LEN ? len : CVD_HEADER_LEN);
}

static void check_again(const struct cvd_header *header)
{
	char text[CVD_HEADER_LEN];
	uint8_t bytes[CVD_HEADER_LEN];
	struct cvd_header again;
	int len = snprintf(text, sizeof(text),
	                   "ClamAV-VDB:now:%" PRIu32 ":%" PRIu32 ":%" PRIu32 ":md5:s:b:%" PRIu64,
	                   header->version, header->signatures_n, header->flevel, header->built_s);
	pad(bytes, text, (size_t)len);
	require(parse(bytes, sizeof(bytes), &again) == 0 && equal(header, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t bytes[CVD_HEADER_LEN];
	struct cvd_header header;
	struct cvd_header padded;
	if (size == 0)
		data = (const uint8_t *)"";
	pad(bytes, data, size);
	int rc = parse(bytes, sizeof(bytes), &padded);
	if (rc == 0)
		check_again(&padded);
	/* Bytes behind the header do not count; a header that lacks some is none. */
	int rc_whole = parse(data, size, &header);
	require(rc_whole == (size < CVD_HEADER_LEN ? -EINVAL : rc));
	require(rc_whole < 0 || equal(&header, &padded));
	return 0;
}
