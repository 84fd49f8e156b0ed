/*
 * zone_rdata: the type and RDATA part of a record, text -> wire, and the same rules for wire that came as \#
 * hex.
 *
 * ldns converts single fields (addresses, hex, base64, key algorithms, ...). It is never given a whole
 * record: the record reader of 1.8.3 cuts numbers to size without a word, takes half a byte of hex for a
 * whole one, asserts on some IPSECKEY and writes before a buffer on a negative WKS port. Numbers, names,
 * strings, LOC and SVCB are ours, and whatever was built is checked once more as wire data.
 *
 *     MX ──table──> "2n" ──┬─> tokens: 10 mail ──> 00 0a 04 m a i l ...
 *                          └─> wire:   two bytes, then one name, then nothing
 */
#ifndef ZONES_ZONE_RDATA_H
#define ZONES_ZONE_RDATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZONE_TYPE_TEXT_MAX 16 /* "TYPE65535", longest mnemonic, final NUL */
#define ZONE_QUOTE_MAX     88 /* zone_quote(): 40 bytes shown, in quotes */
#define ZONE_RDATA_MAX     65535

/** One word of a record as it stands in the file, escapes not yet undone, without the quotes around it. */
struct zone_token {
	const char *text; /* NUL-terminated; no NUL within */
	size_t len;
	bool quoted;
	bool has_quote; /* unquoted, with a quoted part in it: key="some value" */
};

/** What is wrong, what to write instead. */
struct zone_why {
	char text[320];
};

/**
 * A type mnemonic or TYPEnnn (RFC 3597 section 5), any case.
 * Returns 0 or -EINVAL: no such type
 */
int zone_type_from_text(const char *text, uint16_t *ret_type);
/** "MX" or "TYPE65400". Returns text. */
const char *zone_type_to_text(uint16_t type, char text[ZONE_TYPE_TEXT_MAX]);
/** Types that only live in messages, or nowhere (RFC 6895 section 3.1): no zone has them. */
bool zone_type_is_meta(uint16_t type);

/**
 * Text of a name to wire form, case kept; "@" is the origin.
 *
 * name     255 bytes
 * ret_why  set on -EINVAL
 * Returns  length or -EINVAL
 */
int zone_name_from_token(const struct zone_token *token, const uint8_t *origin, size_t origin_len,
                         uint8_t name[255], struct zone_why *ret_why);

/** Undo \DDD and \X. bytes has room for token->len. Returns the length, or -EINVAL: bad escape. */
long zone_token_unescape(const char *text, size_t len, uint8_t *bytes);

/** Digits, or BIND units (1h30m), to seconds. Returns 0 or -EINVAL: no number, over 2^32-1. */
int zone_ttl_from_text(const char *text, uint32_t *ret_ttl_s);

/** A piece of the file for a message: in quotes, cut, bytes that a terminal would act on escaped. Returns
 * out. */
const char *zone_quote(const char *text, char out[ZONE_QUOTE_MAX]);

/**
 * The RDATA words of a record to wire form.
 *
 * rdata    ZONE_RDATA_MAX bytes
 * ret_why  set on -EINVAL
 * Returns  0, -EINVAL or -ENOMEM
 */
int zone_rdata_from_tokens(uint16_t type, const struct zone_token *tokens, size_t tokens_n,
                           const uint8_t *origin, size_t origin_len, uint8_t *rdata, size_t *ret_len,
                           struct zone_why *ret_why);

/** Is this RDATA well-formed for its type? Unknown types are. Returns 0, or -EINVAL with ret_why set. */
int zone_rdata_check(uint16_t type, const uint8_t *rdata, size_t len, struct zone_why *ret_why);

/**
 * Where the name is that ends the RDATA of types which point at one host: NS 0, MX 2, SRV 6, ...
 * Returns the offset, or -1: not such a type
 */
int zone_rdata_target_off(uint16_t type);

#endif
