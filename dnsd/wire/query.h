/*
 * query: one request, taken apart and checked.
 *
 *     header | QNAME QTYPE QCLASS | (records, skipped) | OPT { options: client subnet, what else is asked
 *                                                              for; unknown ones skipped }
 */
#ifndef DNSD_WIRE_QUERY_H
#define DNSD_WIRE_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "wire/wire.h"

enum wire_verdict {
	WIRE_OK,
	WIRE_DROP_SHORT,    /* no header: nothing to answer to */
	WIRE_DROP_RESPONSE, /* QR=1: answering could start a loop (CVE-2012-0206 of a peer) */
	WIRE_FORMERR,
	WIRE_NOTIMP,
	WIRE_BADVERS,
	WIRE_COOKIE_ONLY, /* no question, but a cookie: a cookie is all that is wanted (RFC 7873 section 5.4)
	                   */
	WIRE_BADCOOKIE,   /* never from here: answer/ knows what a cookie is worth */
};

/** Options by which something is asked for, beside the client subnet. */
enum wire_asked {
	WIRE_ASKED_ZONEVERSION = 1 << 0, /* RFC 9660: the answer shall name the version of its zone */
	WIRE_ASKED_COOKIE = 1 << 1,
	WIRE_ASKED_NSID = 1 << 2, /* RFC 5001: which server is this */
	WIRE_ASKED_KEEPALIVE = 1 << 3,
	WIRE_ASKED_KEEPALIVE_FILLED =
	        1 << 4, /* and it had data, which only an answer may have (RFC 7828 3.1) */
	WIRE_ASKED_PADDING = 1 << 5,
};

/** EDNS Client Subnet as sent: the address is zero-padded, network order. */
struct wire_ecs {
	struct addr addr;
	uint8_t source_len; /* bits */
	uint16_t family;    /* 1 or 2 as on the wire; 0 only with source_len 0, and addr is nobody's then */
};

struct wire_query {
	uint16_t id;
	uint16_t flags;
	uint16_t question_len; /* bytes of the question section, 0 when it could not be read */
	uint16_t qtype;
	uint16_t qclass;
	uint8_t qname_len;
	uint8_t labels_n; /* without the root */
	bool has_edns;
	bool has_ecs;
	uint8_t asked; /* of enum wire_asked */
	bool dnssec_ok;
	uint8_t cookie_len;    /* 8, or 16 to 40 with that of a server */
	uint16_t edns_size;    /* as asked */
	const uint8_t *cookie; /* [cookie_len] in the request, when WIRE_ASKED_COOKIE */
	uint16_t options_len;
	const uint8_t *options; /* [options_len] of the OPT record, if it is of version 0; when has_edns */
	struct wire_ecs ecs;
	uint8_t label_off[WIRE_LABELS_MAX +
	                  1]; /* where each label starts in qname; the last entry is the root's */
	/* QNAME in lower case, zero-padded to whole 8-byte words so that names compare by words. */
	uint8_t qname[264] __attribute__((aligned(8)));
};

/**
 * Take a request apart.
 *
 * Source    RFC 1035 section 4.1; RFC 9619 (QDCOUNT 1), RFC 7873 section 5.4 (or 0); RFC 6891 section 6.1.1
 *           (one OPT, owner root); RFC 1035 section 4.1.4 allows pointers in names, but the question is the
 *           first name of a message: FORMERR
 *
 * ret_query  id and flags are set unless a DROP is returned; question_len and what the question holds are set
 *            when it could be read (also with FORMERR or BADVERS from a later part, and with NOTIMP for
 * NOTIFY and UPDATE); has_edns, edns_size and dnssec_ok for every verdict but a DROP, as far as an OPT record
 * could be found; options on WIRE_OK and WIRE_COOKIE_ONLY; of FORMERR and NOTIMP the cookie alone, if the
 * options can be told apart Cost       one pass, no allocation; a second one over what is turned down early
 */
enum wire_verdict wire_query_parse(const uint8_t *req, size_t req_len, struct wire_query *ret_query);

/**
 * Parse the EDNS Client Subnet option of one query.
 *
 * Source   RFC 7871 section 6 (layout, FORMERR), 7.1.2 (scope 0 in queries)
 * opt      [opt_len] option data without code and length; borrowed
 * ret_ecs  set on WIRE_OK
 * Returns  WIRE_OK, or WIRE_FORMERR: length does not match the prefix, prefix too long for the family,
 * unknown family, scope not 0, or a bit set past the prefix. Family 0 is taken with a prefix of 0:
 * section 7.1.2 calls the family irrelevant there, and dig sends it
 */
enum wire_verdict wire_ecs_parse(const uint8_t *opt, size_t opt_len, struct wire_ecs *ret_ecs);

/** Length of the (possibly compressed) name at [at, end) as it stands there, 0 when it runs out of the
 * message. */
size_t wire_name_skip(const uint8_t *at, const uint8_t *end);

#endif
