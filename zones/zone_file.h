/*
 * zone_file: a master file (RFC 1035 section 5, RFC 2308 section 4 for $TTL) -> records in wire form.
 *
 * The file loop is ours: ldns_zone_new_frm_fp() 1.8.3 reads freed memory on a second SOA, lets an indented
 * blank line change the default TTL and refuses $INCLUDE. ldns converts single fields of RDATA (zone_rdata.h
 * says why no more).
 *
 *     text ──zone_lexer──> words ──owner, TTL, type, $ORIGIN ...──> RDATA words ──zone_rdata──> struct
 * zone_record
 *
 * A record without a TTL has that of $TTL; without $TTL that of the last record which had one (RFC 1035
 * section 5.1); a SOA that comes before both its own minimum, with a warning; any other record is refused.
 */
#ifndef ZONES_ZONE_FILE_H
#define ZONES_ZONE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/diag.h"

/** One resource record. Names are uncompressed wire form, owner in lower case; RDATA is uncompressed, as
 * written. */
struct zone_record {
	const uint8_t *owner;
	const uint8_t *rdata;
	uint32_t ttl_s;
	uint16_t type;
	uint16_t rdata_len;
	uint8_t owner_len; /* with the root label */
	const char *file;
	unsigned line;
};

struct zone_records {
	struct arena arena;          /* holds all that the records point to */
	struct zone_record *records; /* in file order; malloc'd */
	size_t records_n;
	size_t records_cap;
};

/**
 * Read a zone file.
 *
 * path       the file; $INCLUDE paths are relative to the including file's folder, at most 8 deep, no cycle
 * origin     [origin_len] wire form, lower case: the zone's name and the first $ORIGIN
 * records_max  refuse a file with more records; 0 = no limit
 * diag       every mistake with file and line; reading goes on after each
 * ret_records  initialised by the callee, to be freed with zone_records_fini() whatever is returned
 * Returns    0, or -EINVAL (see diag), -ENOENT, -EIO, -ENOMEM
 */
int zone_file_load(const char *path, const uint8_t *origin, size_t origin_len, size_t records_max,
                   struct diag *diag, struct zone_records *ret_records);
/** The same from memory; file is the name used in messages. For tests and fuzzers: $INCLUDE is refused. */
int zone_text_load(const char *text, size_t text_len, const char *file, const uint8_t *origin,
                   size_t origin_len, size_t records_max, struct diag *diag,
                   struct zone_records *ret_records);
void zone_records_fini(struct zone_records *records);

/**
 * What must hold for a zone to be served (RFC 1034, 1035, 2181 5.2 and 10, 6672 2.4): exactly one SOA, at the
 * apex; NS at the apex; no record outside the zone; no CNAME or DNAME beside other data where forbidden; one
 * CNAME, one DNAME a name; in-zone NS targets have addresses (a warning), nothing but glue below a cut (a
 * warning); TTLs of an RRset alike (a warning; the lowest is used); exact duplicates dropped with a warning;
 * SOA/CNAME/NS targets valid. TTLs over 2^31-1 count as 0 (RFC 2181 section 8), with a warning.
 *
 * file     named in messages that have no line of their own
 * records  are those of zone_file_load() or zone_text_load(): their RDATA is taken to be well-formed.
 * Changes records in place: duplicates removed, TTLs levelled.
 * Returns 0, -EINVAL with diag filled, or -ENOMEM
 * Cost     a million records in about half a second
 */
int zone_check(const char *file, const uint8_t *origin, size_t origin_len, struct zone_records *records,
               struct diag *diag);

#endif
