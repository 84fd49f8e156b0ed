/*
 * zone_rdata, inside: the type table's rows and what the files of RDATA share.
 *
 * Field letters:
 *   a IPv4  6 IPv6  n name  1 2 4 number of so many bytes  p seconds or 1h30m  s string  o string or nothing
 *   S strings to the end  k rest as bytes  K tag  x hex to the end  b base64 to the end  g key algorithm
 *   c certificate type  U D M the TLSA numbers  t type  T time  m type bitmap  3 salt  h hash  e E EUI  i
 * ILNP L APL  G IPSECKEY  R AMTRELAY  l LOC  v SVCB parameters
 */
#ifndef ZONES_ZONE_RDATA_INT_H
#define ZONES_ZONE_RDATA_INT_H

#include <stddef.h>
#include <stdint.h>

#include <ldns/ldns.h>

#include "zones/zone_rdata.h"

#define ZONE_BASE64_ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

struct zone_type_info {
	uint16_t type;
	const char *name;
	const char *fields; /* letters as above */
	const char *usage;  /* what to write, for messages */
};

/** RDATA on its way from text to wire. */
struct zone_rdata_build {
	const struct zone_type_info *info;
	const struct zone_token *tokens;
	size_t tokens_n;
	size_t at; /* next token */
	const uint8_t *origin;
	size_t origin_len;
	uint8_t *rdata; /* ZONE_RDATA_MAX bytes */
	size_t len;
	struct zone_why *why;
};

typedef ldns_status (*zone_ldns_convert)(ldns_rdf **rdf, const char *text);

const struct zone_type_info *zone_type_find(uint16_t type);
int zone_number_from_text(const char *text, uint64_t max, uint64_t *ret_number);
/** Sets the reason; returns -EINVAL. */
int zone_why_set(struct zone_why *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** The two types with a text form of their own (zone_rdata_special.c). */
int zone_rdata__loc(struct zone_rdata_build *b);
int zone_rdata__svcparams(struct zone_rdata_build *b);

#endif
