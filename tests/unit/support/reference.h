/*
 * reference: answers composed the slow, obvious way, to compare answer_query() with.
 *
 *     zone text ──ldns──> list of records ──RFC 1034 section 4.3.2, step by step──> sections
 *
 * Nothing is shared with the code that is compared: no store, no parser, no writer. Static data only: no
 * pools, no DNSSEC.
 *
 * Where the RFCs leave a choice, this one was made: a chain of CNAME and DNAME stays inside the zone it began
 * in and ends after REFERENCE_LINKS_MAX links or where it comes back; ANY is answered with one RRset (RFC
 * 8482 section 4.1); NS at a wildcard is plain data (RFC 4592 section 4.2 leaves it undefined).
 */
#ifndef TESTS_UNIT_SUPPORT_REFERENCE_H
#define TESTS_UNIT_SUPPORT_REFERENCE_H

#include <ldns/ldns.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REFERENCE_LINKS_MAX 16

struct reference;

/** A zone: its name, and its file as text. */
struct reference_zone {
	const char *name;
	const char *text;
};

/** NULL when ldns does not understand a zone. */
struct reference *reference_create(const struct reference_zone *zones, size_t zones_n);
void reference_destroy(struct reference *reference);

/** Owner names of all records, as often as they have some; borrowed. */
const ldns_rr_list *reference_records(const struct reference *reference, size_t zone);
size_t reference_zones_n(const struct reference *reference);

/** What the sections hold, each a set. All lists belong to the answer. */
struct reference_answer {
	ldns_pkt_rcode rcode;
	bool authoritative;
	bool any;       /* behind the links the answer section is one of the RRsets in answer */
	size_t links_n; /* with any: so many of answer lead to the name, and are there in any case */
	ldns_rr_list *answer;
	ldns_rr_list *authority;
	ldns_rr_list *glue;  /* of the additional section, what may not be left out without TC (RFC 9471) */
	ldns_rr_list *extra; /* of the additional section, what may be left out */
	bool all_extra;      /* where there is room, extra is not left out */
};

void reference_compose(const struct reference *reference, const ldns_rdf *qname, ldns_rr_type qtype,
                       struct reference_answer *ret_answer);
void reference_answer_fini(struct reference_answer *answer);

#endif
