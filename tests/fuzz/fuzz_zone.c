/*
 * Any bytes as a zone file, then zone_check(). What was read must be well-formed, and read the same again
 * from the generic form of RFC 3597. A zone that passes is served: its records are asked for, also through an
 * alias, and each answer can be walked.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/answer.h"
#include "answer/data.h"
#include "answer/store_build.h"
#include "tests/fuzz/fuzz.h"
#include "wire/name.h"
#include "wire/query.h"
#include "wire/request.h"
#include "wire/wire.h"
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

/** Where the records of an answer to one question end. */
static size_t walk(const uint8_t *msg, size_t len)
{
	const uint8_t *end = msg + len;
	const uint8_t *at = msg + WIRE_HEADER_LEN;
	unsigned records_n = wire_get16(msg + 6) + wire_get16(msg + 8) + (unsigned)wire_get16(msg + 10);
	at += wire_name_skip(at, end) + 4;
	for (unsigned i = 0; i < records_n; i++) {
		size_t owner_len = wire_name_skip(at, end);
		require(owner_len > 0 && end - at >= (ptrdiff_t)owner_len + 10);
		at += owner_len + 10;
		require(end - at >= wire_get16(at - 2));
		at += wire_get16(at - 2);
	}
	return (size_t)(at - msg);
}

static void ask(const struct answer_store *store, const uint8_t *name, size_t name_length, uint16_t type)
{
	static struct answer_state state;
	static uint8_t resp[ANSWER_TCP_MAX];
	uint8_t req[WIRE_REQUEST_MAX];
	const struct sockaddr_in peer = { .sin_family = AF_INET };
	const struct answer_data data = { .store = store, .edns_size = 1232 };
	size_t req_len = wire_request_make(name, name_length, type, WIRE_CLASS_IN, 1232, NULL, req);
	for (int transport = TRANSPORT_UDP; transport <= TRANSPORT_TCP; transport++) {
		const struct client client = { .peer = (const struct sockaddr *)&peer,
			                       .transport = (enum transport)transport };
		size_t cap = transport == TRANSPORT_UDP ? ANSWER_UDP_MAX : ANSWER_TCP_MAX;
		size_t len = answer_query(&data, &client, req, req_len, resp, cap, &state);
		require(len >= WIRE_HEADER_LEN && len <= (transport == TRANSPORT_UDP ? 1232U : cap));
		require(walk(resp, len) == len);
	}
}

#define ASKED_MAX 64

static void serve(const struct zone_records *records, struct diag *diag)
{
	static const uint8_t alias[] = "\5alias\7example\3com";
	const struct zone_record *last = &records->records[records->records_n - 1];
	struct store_builder *builder = store_builder_create();
	struct answer_store *store = NULL;
	size_t errors_n = diag->errors_n;
	bool has_alias = true;
	require(builder != NULL && store_builder_add_zone(builder, origin, sizeof(origin)) == 0);
	for (size_t i = 0; i < records->records_n; i++) {
		const struct zone_record *record = &records->records[i];
		has_alias &= !name_is_under(record->owner, record->owner_len, alias, sizeof(alias));
		require(store_builder_add_record(builder, 0, record->owner, record->owner_len, record->type,
		                                 record->ttl_s, record->rdata, record->rdata_len,
		                                 record->file, record->line) == 0);
	}
	if (has_alias)
		require(store_builder_add_record(builder, 0, alias, sizeof(alias), WIRE_TYPE_CNAME, 1,
		                                 last->owner, last->owner_len, "fuzz", 1) == 0);
	int rc = store_build(builder, diag, &store);
	require((rc == 0) == (store != NULL) && (rc == 0 || diag->errors_n > errors_n));
	for (size_t i = 0; store && i < records->records_n && i < ASKED_MAX; i++)
		ask(store, records->records[i].owner, records->records[i].owner_len,
		    records->records[i].type);
	if (store && has_alias)
		ask(store, alias, sizeof(alias), last->type);
	answer_store_unref(store);
	store_builder_destroy(builder);
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
	bool is_good = zone_check("fuzz", origin, sizeof(origin), &records, &diag) == 0;
	require(records.records_n <= before_n);
	if (rc == 0 && is_good)
		serve(&records, &diag);
	zone_records_fini(&records);
	diag_fini(&diag);
	return 0;
}
