/*
 * Any bytes as a zone file, then zone_check(). What was read must be well-formed, and read the same again
 * from the generic form of RFC 3597.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "wire/name.h"
#include "zones/zone_file.h"
#include "zones/zone_rdata.h"

static const uint8_t origin[] = "\7example\3com";

static void require(bool holds)
{
	if (!holds)
		abort();
}

/** The records as text: OWNER TTL TYPEnnn \# LENGTH HEX. */
static char *generic_text(const struct zone_records *records, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);
	require(out != NULL);
	for (size_t i = 0; i < records->records_n; i++) {
		const struct zone_record *record = &records->records[i];
		for (size_t at = 0; record->owner[at]; at += (size_t)record->owner[at] + 1) {
			for (size_t k = 1; k <= record->owner[at]; k++)
				fprintf(out, "\\%03u", record->owner[at + k]);
			fputc('.', out);
		}
		if (record->owner_len == 1)
			fputc('.', out);
		fprintf(out, " %u TYPE%u \\# %u ", record->ttl_s, record->type, record->rdata_len);
		for (unsigned k = 0; k < record->rdata_len; k++)
			fprintf(out, "%02x", record->rdata[k]);
		fputc('\n', out);
	}
	require(fclose(out) == 0);
	return text;
}

static void check_record(const struct zone_record *record)
{
	uint8_t lower[255];
	struct zone_why why;
	require(name_len(record->owner, record->owner_len) == record->owner_len);
	memcpy(lower, record->owner, record->owner_len);
	name_lower(lower, record->owner_len);
	require(memcmp(lower, record->owner, record->owner_len) == 0);
	require(!zone_type_is_meta(record->type));
	require(zone_rdata_check(record->type, record->rdata, record->rdata_len, &why) == 0);
	require(record->line > 0);
}

static void check_again(const struct zone_records *records)
{
	struct diag diag;
	struct zone_records again;
	size_t text_len;
	/* A record may have 64 KiB of RDATA: over the limit in hex. */
	for (size_t i = 0; i < records->records_n; i++) {
		if (records->records[i].rdata_len > 60000)
			return;
	}
	char *text = generic_text(records, &text_len);
	diag_init(&diag);
	require(zone_text_load(text, text_len, "again", origin, sizeof(origin), 0, &diag, &again) == 0);
	require(again.records_n == records->records_n && diag.messages_n == 0);
	for (size_t i = 0; i < again.records_n; i++) {
		const struct zone_record *a = &again.records[i];
		const struct zone_record *b = &records->records[i];
		require(a->type == b->type && a->ttl_s == b->ttl_s && a->rdata_len == b->rdata_len);
		require(name_equal(a->owner, a->owner_len, b->owner, b->owner_len));
		require(memcmp(a->rdata, b->rdata, a->rdata_len) == 0);
	}
	zone_records_fini(&again);
	diag_fini(&diag);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diag diag;
	struct zone_records records;
	diag_init(&diag);
	int rc = zone_text_load((const char *)data, size, "fuzz", origin, sizeof(origin), 100000, &diag,
	                        &records);
	require(rc == 0 || diag.errors_n > 0);
	for (size_t i = 0; i < records.records_n; i++)
		check_record(&records.records[i]);
	check_again(&records);
	size_t before_n = records.records_n;
	zone_check("example.com", origin, sizeof(origin), &records, &diag);
	require(records.records_n <= before_n);
	zone_records_fini(&records);
	diag_fini(&diag);
	return 0;
}
