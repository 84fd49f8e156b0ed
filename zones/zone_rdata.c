#include "zones/zone_rdata.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ldns/ldns.h>

#include "wire/name.h"
#include "zones/zone_rdata_int.h"

#define NAME_LEN_MAX  255
#define LABEL_LEN_MAX 63

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/** Decimal digits only, at most max. Returns 0 or -EINVAL. */
int zone_number_from_text(const char *text, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;
	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (!is_digit(*text))
			return -EINVAL;
		number = number * 10 + (uint64_t)(*text - '0');
		if (number > max)
			return -EINVAL;
	}
	*ret_number = number;
	return 0;
}

int zone_why_set(struct zone_why *why, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, args);
	va_end(args);
	return -EINVAL;
}

const char *zone_quote(const char *text, char out[ZONE_QUOTE_MAX])
{
	char *at = out;
	char *end = out + ZONE_QUOTE_MAX - sizeof("\\000...\"");
	*at++ = '"';
	for (; *text && at < end; text++) {
		unsigned char byte = (unsigned char)*text;
		if (byte >= 0x20 && byte < 0x7f)
			*at++ = (char)byte;
		else
			at += snprintf(at, 5, "\\%03u", byte);
	}
	strcpy(at, *text ? "...\"" : "\"");
	return out;
}

int zone_ttl_from_text(const char *text, uint32_t *ret_ttl_s)
{
	uint64_t total = 0;
	if (!is_digit(*text))
		return -EINVAL;
	while (*text) {
		uint64_t number = 0;
		if (!is_digit(*text))
			return -EINVAL;
		for (; is_digit(*text); text++) {
			number = number * 10 + (uint64_t)(*text - '0');
			if (number > UINT32_MAX)
				return -EINVAL;
		}
		switch (*text) {
		case 'w':
		case 'W': number *= 604800; break;
		case 'd':
		case 'D': number *= 86400; break;
		case 'h':
		case 'H': number *= 3600; break;
		case 'm':
		case 'M': number *= 60; break;
		case 's':
		case 'S':
		case '\0': break;
		default: return -EINVAL;
		}
		total += number;
		if (total > UINT32_MAX)
			return -EINVAL;
		if (*text)
			text++;
	}
	*ret_ttl_s = (uint32_t)total;
	return 0;
}

long zone_token_unescape(const char *text, size_t len, uint8_t *bytes)
{
	size_t used = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\\') {
			bytes[used++] = (uint8_t)text[i];
			continue;
		}
		if (++i == len)
			return -EINVAL;
		if (!is_digit(text[i])) {
			bytes[used++] = (uint8_t)text[i];
			continue;
		}
		if (len - i < 3 || !is_digit(text[i + 1]) || !is_digit(text[i + 2]))
			return -EINVAL;
		int value = (text[i] - '0') * 100 + (text[i + 1] - '0') * 10 + (text[i + 2] - '0');
		if (value > 255)
			return -EINVAL;
		bytes[used++] = (uint8_t)value;
		i += 2;
	}
	return (long)used;
}

/** Why name_from_text() said no: it has one error code for all. */
static int name_why(const struct zone_token *token, struct zone_why *ret_why)
{
	char shown[ZONE_QUOTE_MAX];
	size_t label = 0;
	const char *text = token->text;
	zone_quote(text, shown);
	for (size_t i = 0; i < token->len; i++) {
		if (text[i] == '.') {
			if (label == 0)
				return zone_why_set(
				        ret_why,
				        "name %s: two dots in a row, or a dot in front; write one dot "
				        "between labels",
				        shown);
			label = 0;
			continue;
		}
		if (text[i] == '\\') {
			size_t escape_len = i + 1 < token->len && is_digit(text[i + 1]) ? 4 : 2;
			uint8_t byte[4];
			if (token->len - i < escape_len ||
			    zone_token_unescape(text + i, escape_len, byte) != 1)
				return zone_why_set(
				        ret_why,
				        "name %s: bad escape; write \\DDD with three digits up to 255, "
				        "or \\X",
				        shown);
			i += escape_len - 1;
		}
		if (++label > LABEL_LEN_MAX)
			return zone_why_set(ret_why, "name %s: a label is over 63 bytes long; shorten it",
			                    shown);
	}
	return zone_why_set(ret_why,
	                    "name %s: over 255 bytes long with its origin; shorten it, or end it with a dot",
	                    shown);
}

int zone_name_from_token(const struct zone_token *token, const uint8_t *origin, size_t origin_len,
                         uint8_t name[255], struct zone_why *ret_why)
{
	char shown[ZONE_QUOTE_MAX];
	if (token->quoted || token->has_quote)
		return zone_why_set(ret_why, "name %s in quotes; write names without quotes",
		                    zone_quote(token->text, shown));
	if (token->len == 1 && token->text[0] == '@') {
		memcpy(name, origin, origin_len);
		return (int)origin_len;
	}
	for (const char *at = token->text; *at; at++) {
		if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
			return zone_why_set(
			        ret_why,
			        "name %s: a byte that is not ASCII; write the xn-- form of the name, "
			        "or the byte as \\DDD",
			        zone_quote(token->text, shown));
	}
	int len = name_from_text(token->text, origin, origin_len, name);
	return len < 0 ? name_why(token, ret_why) : len;
}

/* ---- fields from text ---- */

static int put(struct zone_rdata_build *b, const void *data, size_t len)
{
	if (len > ZONE_RDATA_MAX - b->len)
		return zone_why_set(b->why, "RDATA over 65535 bytes; split it into several records");
	memcpy(b->rdata + b->len, data, len);
	b->len += len;
	return 0;
}

static int put_number(struct zone_rdata_build *b, uint64_t number, size_t bytes)
{
	uint8_t data[8];
	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
	return put(b, data, bytes);
}

static int refuse(struct zone_rdata_build *b, const struct zone_token *token, const char *what)
{
	char shown[ZONE_QUOTE_MAX];
	return zone_why_set(b->why, "%s: %s; write %s %s", zone_quote(token->text, shown), what,
	                    b->info->name, b->info->usage);
}

/** The next word, or NULL with the reason set. Quotes are for strings only. */
static const struct zone_token *next(struct zone_rdata_build *b, bool quotes_ok)
{
	if (b->at == b->tokens_n) {
		zone_why_set(b->why, "%s record ends too early; write %s %s", b->info->name, b->info->name,
		             b->info->usage);
		return NULL;
	}
	const struct zone_token *token = &b->tokens[b->at++];
	if (token->has_quote || (token->quoted && !quotes_ok)) {
		refuse(b, token,
		       token->has_quote ? "a quote inside a word, quote the whole word" : "no quotes here");
		return NULL;
	}
	return token;
}

static int field_number(struct zone_rdata_build *b, size_t bytes)
{
	uint64_t number;
	uint64_t max = ((uint64_t)1 << (8 * bytes)) - 1;
	const struct zone_token *token = next(b, false);
	if (!token)
		return -EINVAL;
	if (zone_number_from_text(token->text, max, &number) < 0) {
		char what[64];
		snprintf(what, sizeof(what), "not a number from 0 to %llu", (unsigned long long)max);
		return refuse(b, token, what);
	}
	return put_number(b, number, bytes);
}

static int field_period(struct zone_rdata_build *b)
{
	uint32_t period_s;
	const struct zone_token *token = next(b, false);
	if (!token)
		return -EINVAL;
	if (zone_ttl_from_text(token->text, &period_s) < 0)
		return refuse(b, token, "not a time in seconds or like 1h30m");
	return put_number(b, period_s, 4);
}

static int field_name(struct zone_rdata_build *b)
{
	uint8_t name[NAME_LEN_MAX];
	if (b->at == b->tokens_n)
		return next(b, false) ? 0 : -EINVAL;
	int len = zone_name_from_token(&b->tokens[b->at++], b->origin, b->origin_len, name, b->why);
	return len < 0 ? len : put(b, name, (size_t)len);
}

static int bad_escape(struct zone_rdata_build *b, const struct zone_token *token)
{
	return refuse(b, token, "bad escape, write \\DDD with three digits up to 255, or \\X");
}

/** A <character-string> (RFC 1035 section 3.3). */
static int field_string(struct zone_rdata_build *b)
{
	uint8_t bytes[1 + 255];
	const struct zone_token *token = next(b, true);
	if (!token)
		return -EINVAL;
	/* At most four characters a byte; longer text is over 255 bytes, or has a bad escape nobody needs to
	 * hear of. */
	long len = token->len > 4 * 255 ? (long)token->len : 0;
	if (!len) {
		uint8_t long_bytes[4 * 255];
		len = zone_token_unescape(token->text, token->len, long_bytes);
		if (len < 0)
			return bad_escape(b, token);
		if (len <= 255)
			memcpy(bytes + 1, long_bytes, (size_t)len);
	}
	if (len > 255)
		return refuse(b, token,
		              "a string is over 255 bytes; split it into several quoted strings, clients "
		              "join them");
	bytes[0] = (uint8_t)len;
	return put(b, bytes, 1 + (size_t)len);
}

/** A string that fills the rest of the RDATA, without a length byte (CAA, URI). */
static int field_long_string(struct zone_rdata_build *b)
{
	const struct zone_token *token = next(b, true);
	if (!token)
		return -EINVAL;
	uint8_t *bytes = malloc(token->len + 1);
	if (!bytes)
		return -ENOMEM;
	long len = zone_token_unescape(token->text, token->len, bytes);
	int rc = len < 0 ? bad_escape(b, token) : put(b, bytes, (size_t)len);
	free(bytes);
	return rc;
}

/** CAA tag (RFC 8659 section 4.1): letters and digits. */
static int field_tag(struct zone_rdata_build *b)
{
	const struct zone_token *token = next(b, true);
	if (!token)
		return -EINVAL;
	if (token->len == 0 || token->len > 255)
		return refuse(b, token, "a tag has 1 to 255 letters or digits");
	int rc = put_number(b, token->len, 1);
	return rc < 0 ? rc : put(b, token->text, token->len);
}

/**
 * Have ldns convert text. The converter is called directly, not through ldns_rdf_new_frm_str(), which loses
 * what the converter made when it then reports an error (CERT type 0). want_len  length the result must have,
 * 0 = any but none
 */
static int put_ldns(struct zone_rdata_build *b, zone_ldns_convert convert, const char *text, size_t want_len,
                    const char *what)
{
	ldns_rdf *rdf = NULL;
	ldns_status status = convert(&rdf, text);
	int rc;
	if (status == LDNS_STATUS_MEM_ERR) {
		rc = -ENOMEM;
	} else if (status != LDNS_STATUS_OK || !rdf || ldns_rdf_size(rdf) == 0 ||
	           (want_len && ldns_rdf_size(rdf) != want_len)) {
		struct zone_token token = { .text = text };
		rc = refuse(b, &token, what);
	} else {
		rc = put(b, ldns_rdf_data(rdf), ldns_rdf_size(rdf));
	}
	if (rdf)
		ldns_rdf_deep_free(rdf);
	return rc;
}

static int field_ldns(struct zone_rdata_build *b, zone_ldns_convert convert, size_t want_len,
                      const char *what)
{
	const struct zone_token *token = next(b, false);
	return token ? put_ldns(b, convert, token->text, want_len, what) : -EINVAL;
}

static int field_ipv4(struct zone_rdata_build *b)
{
	const char *what = "not an IPv4 address";
	size_t start = b->len;
	const struct zone_token *token = next(b, false);
	if (!token)
		return -EINVAL;
	int rc = put_ldns(b, ldns_str2rdf_a, token->text, 4, what);
	if (rc < 0)
		return rc;
	/* ldns reads 010 as ten; other programs as eight. */
	const uint8_t *a = b->rdata + start;
	char text[16];
	snprintf(text, sizeof(text), "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
	return strcmp(text, token->text) == 0 ? 0 : refuse(b, token, what);
}

/** A number, or a mnemonic that ldns knows. */
static int field_mnemonic(struct zone_rdata_build *b, zone_ldns_convert convert, size_t bytes,
                          const char *what)
{
	if (b->at < b->tokens_n && !is_digit(b->tokens[b->at].text[0])) {
		const char *text = b->tokens[b->at].text;
		/* ldns takes a sign for a number; only letters may start a mnemonic. */
		if ((text[0] | 0x20) < 'a' || (text[0] | 0x20) > 'z')
			return refuse(b, &b->tokens[b->at], what);
		return field_ldns(b, convert, bytes, what);
	}
	return field_number(b, bytes);
}

static int field_type(struct zone_rdata_build *b)
{
	uint16_t type;
	const struct zone_token *token = next(b, false);
	if (!token)
		return -EINVAL;
	if (zone_type_from_text(token->text, &type) < 0)
		return refuse(b, token, "no record type");
	return put_number(b, type, 2);
}

/** RRSIG times (RFC 4034 section 3.2): YYYYMMDDHHmmSS or seconds. */
static int field_time(struct zone_rdata_build *b)
{
	const char *what = "not a time; write YYYYMMDDHHmmSS or seconds since 1970";
	uint64_t number;
	const struct zone_token *token = next(b, false);
	if (!token)
		return -EINVAL;
	if (zone_number_from_text(token->text, 99999999999999, &number) < 0)
		return refuse(b, token, what);
	if (token->len == 14)
		return put_ldns(b, ldns_str2rdf_time, token->text, 4, what);
	return number > UINT32_MAX ? refuse(b, token, what) : put_number(b, number, 4);
}

/** All words that are left as one string for ldns, which accepts base64 and hex in pieces otherwise than we
 * do. */
static int join_rest(struct zone_rdata_build *b, bool may_be_empty, char **ret_text, size_t *ret_len)
{
	size_t len = 0;
	if (b->at == b->tokens_n && !may_be_empty)
		return next(b, false) ? 0 : -EINVAL;
	for (size_t i = b->at; i < b->tokens_n; i++)
		len += b->tokens[i].len;
	char *text = malloc(len + 1);
	if (!text)
		return -ENOMEM;
	len = 0;
	while (b->at < b->tokens_n) {
		const struct zone_token *token = next(b, false);
		if (!token) {
			free(text);
			return -EINVAL;
		}
		memcpy(text + len, token->text, token->len);
		len += token->len;
	}
	text[len] = '\0';
	*ret_text = text;
	*ret_len = len;
	return 0;
}

static int field_hex(struct zone_rdata_build *b)
{
	char *text;
	size_t len;
	int rc = join_rest(b, false, &text, &len);
	if (rc < 0)
		return rc;
	struct zone_token token = { .text = text };
	if (len % 2)
		rc = refuse(b, &token, "an odd number of hex digits"); /* ldns would add half a byte */
	else if (len / 2 > ZONE_RDATA_MAX)
		rc = refuse(b, &token, "too long");
	else
		rc = put_ldns(b, ldns_str2rdf_hex, text, len / 2, "not hex");
	free(text);
	return rc;
}

static int field_base64(struct zone_rdata_build *b, bool may_be_empty)
{
	char *text;
	size_t len;
	int rc = join_rest(b, may_be_empty, &text, &len);
	if (rc < 0)
		return rc;
	size_t pad = len >= 2 ? (size_t)(text[len - 1] == '=') + (size_t)(text[len - 2] == '=') : 0;
	struct zone_token token = { .text = text };
	if (len == 0)
		rc = 0;
	else if (len % 4 || strspn(text, ZONE_BASE64_ALPHABET) != len - pad)
		rc = refuse(b, &token, "not base64, or cut off");
	else if (len / 4 * 3 - pad >= ZONE_RDATA_MAX) /* ldns takes 65535 bytes for its own error mark */
		rc = refuse(b, &token, "too long");
	else
		rc = put_ldns(b, ldns_str2rdf_b64, text, len / 4 * 3 - pad, "not base64, or cut off");
	free(text);
	return rc;
}

/** NSEC3 salt: "-" or hex (RFC 5155 section 3.3); ldns wraps at 256 bytes. */
static int field_salt(struct zone_rdata_build *b)
{
	const struct zone_token *token = next(b, false);
	if (!token)
		return -EINVAL;
	if (token->len > 510)
		return refuse(b, token, "a salt is over 255 bytes");
	return put_ldns(b, ldns_str2rdf_nsec3_salt, token->text, 0, "not a salt in hex, or - for none");
}

/** NSEC3 next hash: base32hex without padding. ldns keeps its length in one byte without a check. */
static int field_hash(struct zone_rdata_build *b)
{
	const char *what = "not a hash in base32hex";
	const struct zone_token *token = next(b, false);
	if (!token)
		return -EINVAL;
	if (token->len > 64 ||
	    strspn(token->text, "0123456789abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUV") != token->len ||
	    token->len % 8)
		return refuse(b, token, what);
	return put_ldns(b, ldns_str2rdf_b32_ext, token->text, 1 + token->len / 8 * 5, what);
}

/** Type bitmap (RFC 4034 section 4.1.2). Done here: ldns puts 256 KiB on the stack and takes any word for
 * type 0. */
static int field_bitmap(struct zone_rdata_build *b)
{
	uint8_t *bits = calloc(1, 65536 / 8);
	int rc = 0;
	if (!bits)
		return -ENOMEM;
	while (rc == 0 && b->at < b->tokens_n) {
		uint16_t type;
		const struct zone_token *token = next(b, false);
		if (!token)
			rc = -EINVAL;
		else if (zone_type_from_text(token->text, &type) < 0)
			rc = refuse(b, token, "no record type");
		else
			bits[type / 8] = (uint8_t)(bits[type / 8] | 0x80 >> type % 8);
	}
	for (unsigned window = 0; rc == 0 && window < 256; window++) {
		size_t len = 32;
		while (len && bits[window * 32 + len - 1] == 0)
			len--;
		if (!len)
			continue;
		rc = put_number(b, window << 8 | len, 2);
		if (rc == 0)
			rc = put(b, bits + window * 32, len);
	}
	free(bits);
	return rc;
}

/** APL (RFC 3123): [!]afi:address/prefix. ldns reads the numbers with atoi(): they are checked before. */
static int field_apl(struct zone_rdata_build *b)
{
	const char *what = "not an address prefix";
	while (b->at < b->tokens_n) {
		const struct zone_token *token = next(b, false);
		if (!token)
			return -EINVAL;
		const char *text = token->text + (token->text[0] == '!');
		const char *slash = strchr(text, '/');
		uint64_t prefix;
		if ((text[0] != '1' && text[0] != '2') || text[1] != ':' || !slash ||
		    zone_number_from_text(slash + 1, text[0] == '1' ? 32 : 128, &prefix) < 0)
			return refuse(b, token, what);
		int rc = put_ldns(b, ldns_str2rdf_apl, token->text, 0, what);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/** What IPSECKEY (RFC 4025 section 2.5) and AMTRELAY (RFC 8777 section 4.2.3) point at, by type. */
static int put_gateway(struct zone_rdata_build *b, unsigned type)
{
	if (type == 1)
		return field_ipv4(b);
	if (type == 2)
		return field_ldns(b, ldns_str2rdf_aaaa, 16, "not an IPv6 address");
	if (type == 3)
		return field_name(b);
	const struct zone_token *token = next(b, false);
	if (!token)
		return -EINVAL;
	if (type != 0)
		return refuse(b, token, "gateway type is not 0, 1, 2 or 3");
	return strcmp(token->text, ".") == 0 ? 0 : refuse(b, token, "gateway of type 0 is a dot");
}

static int field_ipseckey(struct zone_rdata_build *b)
{
	size_t start = b->len;
	int rc = 0;
	for (int i = 0; rc == 0 && i < 3; i++)
		rc = field_number(b, 1);
	if (rc == 0)
		rc = put_gateway(b, b->rdata[start + 1]);
	/* Algorithm 0: no key (RFC 4025 section 2.4). */
	return rc < 0 ? rc : field_base64(b, b->rdata[start + 2] == 0);
}

static int field_amtrelay(struct zone_rdata_build *b)
{
	size_t start = b->len;
	int rc = field_number(b, 1);
	if (rc < 0)
		return rc;
	const struct zone_token *token = next(b, false);
	if (!token)
		return -EINVAL;
	if (strcmp(token->text, "0") != 0 && strcmp(token->text, "1") != 0)
		return refuse(b, token, "discovery is 0 or 1");
	rc = field_number(b, 1);
	if (rc < 0)
		return rc;
	unsigned type = b->rdata[start + 1];
	rc = put_gateway(b, type);
	if (rc == 0 && token->text[0] == '1')
		b->rdata[start + 1] = (uint8_t)(type | 0x80);
	return rc;
}

static int field_from_text(struct zone_rdata_build *b, char code)
{
	switch (code) {
	case 'a': return field_ipv4(b);
	case '6': return field_ldns(b, ldns_str2rdf_aaaa, 16, "not an IPv6 address");
	case 'n': return field_name(b);
	case '1': return field_number(b, 1);
	case '2': return field_number(b, 2);
	case '4': return field_number(b, 4);
	case 'p': return field_period(b);
	case 's': return field_string(b);
	case 'o': return b->at < b->tokens_n ? field_string(b) : 0;
	case 'S': {
		int rc = field_string(b);
		while (rc == 0 && b->at < b->tokens_n)
			rc = field_string(b);
		return rc;
	}
	case 'k': return field_long_string(b);
	case 'K': return field_tag(b);
	case 'x': return field_hex(b);
	case 'b': return field_base64(b, false);
	case 'g': return field_mnemonic(b, ldns_str2rdf_alg, 1, "not a key algorithm");
	case 'c': return field_mnemonic(b, ldns_str2rdf_cert_alg, 2, "not a certificate type");
	case 'U': return field_mnemonic(b, ldns_str2rdf_certificate_usage, 1, "not a certificate usage");
	case 'D': return field_mnemonic(b, ldns_str2rdf_selector, 1, "not a selector");
	case 'M': return field_mnemonic(b, ldns_str2rdf_matching_type, 1, "not a matching type");
	case 't': return field_type(b);
	case 'T': return field_time(b);
	case 'm': return field_bitmap(b);
	case '3': return field_salt(b);
	case 'h': return field_hash(b);
	case 'e': return field_ldns(b, ldns_str2rdf_eui48, 6, "not six bytes in hex with dashes");
	case 'E': return field_ldns(b, ldns_str2rdf_eui64, 8, "not eight bytes in hex with dashes");
	case 'i': return field_ldns(b, ldns_str2rdf_ilnp64, 8, "not four groups of four hex digits");
	case 'L': return field_apl(b);
	case 'G': return field_ipseckey(b);
	case 'R': return field_amtrelay(b);
	case 'l': return zone_rdata__loc(b);
	case 'v': return zone_rdata__svcparams(b);
	default: return zone_why_set(b->why, "field %c has no reader", code);
	}
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	char lower = (char)(c | 0x20);
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/** RFC 3597 section 5: \# LENGTH HEX... */
static int rdata_from_generic(const struct zone_token *tokens, size_t tokens_n, uint8_t *rdata,
                              size_t *ret_len, struct zone_why *ret_why)
{
	char shown[ZONE_QUOTE_MAX];
	uint64_t want;
	if (tokens_n < 2 || zone_number_from_text(tokens[1].text, ZONE_RDATA_MAX, &want) < 0)
		return zone_why_set(ret_why, "no length after \\#; write \\# LENGTH HEX");
	size_t digits = 0;
	for (size_t i = 2; i < tokens_n; i++) {
		for (const char *at = tokens[i].text; *at; at++, digits++) {
			int value = hex_value(*at);
			if (value < 0 || tokens[i].quoted)
				return zone_why_set(ret_why, "%s is not hex; write \\# LENGTH HEX",
				                    zone_quote(tokens[i].text, shown));
			if (digits / 2 >= want)
				continue; /* only counted, for the message */
			uint8_t *byte = &rdata[digits / 2];
			*byte = (uint8_t)(digits % 2 ? *byte | value : value << 4);
		}
	}
	if (digits != 2 * want)
		return zone_why_set(
		        ret_why, "%zu hex digits after \\# where length %u asks for %u; correct one of them",
		        digits, (unsigned)want, (unsigned)want * 2);
	*ret_len = (size_t)want;
	return 0;
}

int zone_rdata_from_tokens(uint16_t type, const struct zone_token *tokens, size_t tokens_n,
                           const uint8_t *origin, size_t origin_len, uint8_t *rdata, size_t *ret_len,
                           struct zone_why *ret_why)
{
	char type_text[ZONE_TYPE_TEXT_MAX];
	const struct zone_type_info *info = zone_type_find(type);
	size_t len = 0;
	if (tokens_n > 0 && !tokens[0].quoted && strcmp(tokens[0].text, "\\#") == 0) {
		int rc = rdata_from_generic(tokens, tokens_n, rdata, &len, ret_why);
		if (rc < 0)
			return rc;
	} else if (!info) {
		return zone_why_set(ret_why,
		                    "no text form is known for %s; write %s \\# LENGTH HEX (RFC 3597)",
		                    zone_type_to_text(type, type_text), type_text);
	} else {
		struct zone_rdata_build b = { .info = info,
			                      .tokens = tokens,
			                      .tokens_n = tokens_n,
			                      .origin = origin,
			                      .origin_len = origin_len,
			                      .rdata = rdata,
			                      .why = ret_why };
		for (const char *code = info->fields; *code; code++) {
			int rc = field_from_text(&b, *code);
			if (rc < 0)
				return rc;
		}
		if (b.at < tokens_n)
			return refuse(&b, &tokens[b.at], "more than the record has room for");
		len = b.len;
	}
	int rc = zone_rdata_check(type, rdata, len, ret_why);
	if (rc == 0)
		*ret_len = len;
	return rc;
}
