/*
 * The two types whose text is a language of its own: LOC (RFC 1876) and the parameters of SVCB and HTTPS (RFC
 * 9460). ldns 1.8.3 reads both, but LOC without minutes takes those of the other axis, 0.5m becomes five
 * centimetres, and newer SVCB keys (dohpath, ohttp) are unknown to it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "zones/zone_rdata.h"
#include "zones/zone_rdata_int.h"

static int refuse(struct zone_rdata_build *b, const char *text, const char *what)
{
	char shown[ZONE_QUOTE_MAX];
	return zone_why_set(b->why, "%s: %s; write %s %s", zone_quote(text, shown), what, b->info->name,
	                    b->info->usage);
}

static int put(struct zone_rdata_build *b, const void *data, size_t len)
{
	if (len > ZONE_RDATA_MAX - b->len)
		return zone_why_set(b->why, "RDATA over 65535 bytes; leave parameters out");
	if (len)
		memcpy(b->rdata + b->len, data, len);
	b->len += len;
	return 0;
}

static int put_u16(struct zone_rdata_build *b, size_t number)
{
	uint8_t data[2] = { (uint8_t)(number >> 8), (uint8_t)number };
	return put(b, data, 2);
}

static int put_u32(struct zone_rdata_build *b, uint32_t number)
{
	uint8_t data[4] = { (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
		            (uint8_t)number };
	return put(b, data, 4);
}

/* ---- LOC ---- */

/** "12.345" with that many decimals at most -> 12345; text may end in a unit letter. Returns 0 or -EINVAL. */
static int fixed_from_text(const char *text, unsigned decimals, char unit, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;
	unsigned digits = 0;
	unsigned after = 0;
	bool dot = false;
	for (; (*text >= '0' && *text <= '9') || (*text == '.' && !dot); text++) {
		if (*text == '.') {
			dot = true;
			continue;
		}
		if (dot && ++after > decimals)
			return -EINVAL;
		digits++;
		number = number * 10 + (uint64_t)(*text - '0');
		if (number > max)
			return -EINVAL;
	}
	if (!digits || (*text && ((*text | 0x20) != unit || text[1])))
		return -EINVAL;
	for (; after < decimals; after++)
		number *= 10;
	if (number > max)
		return -EINVAL;
	*ret_number = number;
	return 0;
}

static const char *loc_word(struct zone_rdata_build *b)
{
	return b->at < b->tokens_n && !b->tokens[b->at].quoted && !b->tokens[b->at].has_quote
	               ? b->tokens[b->at].text
	               : NULL;
}

/** degrees [minutes [seconds]] LETTER -> thousandths of a second around 2^31. */
static int loc_axis(struct zone_rdata_build *b, const char *letters, unsigned degrees_max)
{
	uint64_t number;
	uint64_t total = 0;
	for (int i = 0; i < 4; i++) {
		const char *text = loc_word(b);
		if (!text)
			return refuse(b, "LOC", "ends in the middle of an angle");
		b->at++;
		if (i > 0 && text[0] && !text[1] && strchr(letters, text[0] & ~0x20)) {
			if (total > (uint64_t)degrees_max * 3600000)
				return refuse(b, text, "angle too large");
			bool plus = (text[0] & ~0x20) == letters[0];
			uint32_t middle = (uint32_t)1 << 31;
			return put_u32(b, plus ? middle + (uint32_t)total : middle - (uint32_t)total);
		}
		int rc = i == 0   ? fixed_from_text(text, 0, 0, degrees_max, &number)
		         : i == 1 ? fixed_from_text(text, 0, 0, 59, &number)
		         : i == 2 ? fixed_from_text(text, 3, 0, 59999, &number)
		                  : -EINVAL;
		if (rc < 0)
			return refuse(b, text, "not an angle");
		total += number * (i == 0 ? 3600000 : i == 1 ? 60000 : 1);
	}
	return -EINVAL;
}

static int loc_altitude(struct zone_rdata_build *b)
{
	const char *text = loc_word(b);
	uint64_t cm;
	if (!text)
		return refuse(b, "LOC", "no altitude");
	bool minus = text[0] == '-';
	if (fixed_from_text(text + minus, 2, 'm', minus ? 10000000 : UINT32_MAX - 10000000, &cm) < 0)
		return refuse(b, text, "not an altitude");
	b->at++;
	return put_u32(b, minus ? 10000000 - (uint32_t)cm : 10000000 + (uint32_t)cm);
}

int zone_rdata__loc(struct zone_rdata_build *b)
{
	uint8_t head[4] = { 0, 0x12, 0x16, 0x13 }; /* version, 1 m, 10000 m, 10 m (RFC 1876 section 3) */
	size_t start = b->len;
	int rc = put(b, head, sizeof(head));
	if (rc == 0)
		rc = loc_axis(b, "NS", 90);
	if (rc == 0)
		rc = loc_axis(b, "EW", 180);
	if (rc == 0)
		rc = loc_altitude(b);
	for (size_t i = 1; rc == 0 && i < 4 && b->at < b->tokens_n; i++) {
		uint64_t cm;
		unsigned exponent = 0;
		const char *text = loc_word(b);
		if (!text || fixed_from_text(text, 2, 'm', 9000000000, &cm) < 0)
			return refuse(b, b->tokens[b->at].text, "not a length in metres up to 90000000m");
		b->at++;
		for (; cm >= 10; cm /= 10)
			exponent++;
		b->rdata[start + i] = (uint8_t)(cm << 4 | exponent);
	}
	return rc;
}

/* ---- SVCB parameters ---- */

enum { KEY_MANDATORY, KEY_ALPN, KEY_NO_ALPN, KEY_PORT, KEY_IPV4, KEY_ECH, KEY_IPV6, KEY_DOHPATH, KEY_OHTTP };

static const char *const key_names[] = { "mandatory", "alpn",     "no-default-alpn", "port", "ipv4hint",
	                                 "ech",       "ipv6hint", "dohpath",         "ohttp" };

/** One parameter of the list, before they are put in order. */
struct param {
	uint16_t key;
	const struct zone_token *token;
	size_t value_off; /* in the token's text; at its end when there is none */
};

static int key_from_text(const char *text, size_t len, uint16_t *ret_key)
{
	char number_text[6];
	uint64_t number;
	for (size_t i = 0; i < sizeof(key_names) / sizeof(key_names[0]); i++) {
		if (strlen(key_names[i]) == len && strncasecmp(key_names[i], text, len) == 0) {
			*ret_key = (uint16_t)i;
			return 0;
		}
	}
	if (len < 4 || len > 8 || strncasecmp(text, "key", 3) != 0)
		return -EINVAL;
	memcpy(number_text, text + 3, len - 3);
	number_text[len - 3] = '\0';
	if (zone_number_from_text(number_text, 65534, &number) < 0) /* 65535 is reserved */
		return -EINVAL;
	*ret_key = (uint16_t)number;
	return 0;
}

static int param_order(const void *a, const void *b)
{
	return (int)((const struct param *)a)->key - (int)((const struct param *)b)->key;
}

/** The item at *at of a comma list to NUL-terminated text, \, and \\ undone (RFC 9460 appendix A.1). */
static size_t list_item(const uint8_t *value, size_t len, size_t *at, char *item)
{
	size_t used = 0;
	while (*at < len && value[*at] != ',') {
		if (value[*at] == '\\' && *at + 1 < len)
			(*at)++;
		item[used++] = (char)value[(*at)++];
	}
	if (*at < len)
		(*at)++; /* the comma; a list that ends in one has an empty last item, seen by the caller */
	item[used] = '\0';
	return used;
}

static int u16_order(const void *a, const void *b)
{
	return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/** Comma list of keys, in order and without repeats (RFC 9460 section 8). */
static int put_mandatory(struct zone_rdata_build *b, const struct param *param, const uint8_t *value,
                         size_t len, char *item)
{
	uint16_t *keys = malloc((len + 1) * sizeof(*keys));
	size_t keys_n = 0;
	int rc = 0;
	if (!keys)
		return -ENOMEM;
	for (size_t at = 0; rc == 0 && at < len;) {
		size_t item_len = list_item(value, len, &at, item);
		if (key_from_text(item, item_len, &keys[keys_n++]) < 0)
			rc = refuse(b, param->token->text, "a key in this list is unknown");
	}
	if (rc == 0)
		qsort(keys, keys_n, sizeof(*keys), u16_order);
	for (size_t i = 0; rc == 0 && i < keys_n; i++)
		rc = put_u16(b, keys[i]);
	free(keys);
	return rc;
}

/**
 * One value to wire.
 * value  [len] the text with its escapes undone
 * item   len + 1 bytes to work in
 */
static int put_value(struct zone_rdata_build *b, const struct param *param, const uint8_t *value, size_t len,
                     char *item)
{
	const char *text = param->token->text;
	uint64_t number;
	uint8_t address[16];
	size_t at = 0;
	int rc = 0;
	bool has_list = param->key == KEY_MANDATORY || param->key == KEY_ALPN || param->key == KEY_IPV4 ||
	                param->key == KEY_IPV6;
	if (has_list && (len == 0 || value[len - 1] == ','))
		return refuse(b, text, "an empty item in a list");
	switch (param->key) {
	case KEY_MANDATORY: return put_mandatory(b, param, value, len, item);
	case KEY_ALPN:
		while (rc == 0 && at < len) {
			size_t item_len = list_item(value, len, &at, item);
			uint8_t item_len_byte = (uint8_t)item_len;
			if (item_len == 0 || item_len > 255)
				return refuse(b, text, "a protocol has 1 to 255 bytes");
			rc = put(b, &item_len_byte, 1);
			if (rc == 0)
				rc = put(b, item, item_len);
		}
		return rc;
	case KEY_NO_ALPN:
	case KEY_OHTTP: return len ? refuse(b, text, "this key has no value") : 0;
	case KEY_PORT:
		memcpy(item, value, len);
		item[len] = '\0';
		if (strlen(item) != len || zone_number_from_text(item, 65535, &number) < 0)
			return refuse(b, text, "not a port number");
		return put_u16(b, number);
	case KEY_IPV4:
	case KEY_IPV6:
		while (rc == 0 && at < len) {
			size_t item_len = list_item(value, len, &at, item);
			bool v4 = param->key == KEY_IPV4;
			if (strlen(item) != item_len ||
			    inet_pton(v4 ? AF_INET : AF_INET6, item, address) != 1)
				return refuse(b, text,
				              v4 ? "not a list of IPv4 addresses"
				                 : "not a list of IPv6 addresses");
			rc = put(b, address, v4 ? 4 : 16);
		}
		return rc;
	case KEY_ECH: {
		memcpy(item, value, len);
		item[len] = '\0';
		size_t pad = len >= 2 ? (size_t)(item[len - 1] == '=') + (size_t)(item[len - 2] == '=') : 0;
		ldns_rdf *rdf = NULL;
		if (len == 0 || len % 4 || strspn(item, ZONE_BASE64_ALPHABET) != len - pad ||
		    len / 4 * 3 - pad >= ZONE_RDATA_MAX || ldns_str2rdf_b64(&rdf, item) != LDNS_STATUS_OK)
			rc = refuse(b, text, "not base64");
		else
			rc = put(b, ldns_rdf_data(rdf), ldns_rdf_size(rdf));
		if (rdf)
			ldns_rdf_deep_free(rdf);
		return rc;
	}
	default: return put(b, value, len);
	}
}

static int put_param(struct zone_rdata_build *b, const struct param *param, uint8_t *value, char *item)
{
	const char *text = param->token->text + param->value_off;
	size_t text_len = param->token->len - param->value_off;
	if (text_len >= 2 && text[0] == '"' && text[text_len - 1] == '"') {
		text++;
		text_len -= 2;
	}
	for (size_t i = 0; i < text_len; i++) {
		if (text[i] == '\\')
			i++;
		else if (text[i] == '"')
			return refuse(b, param->token->text, "a quote inside a value; quote the whole value");
	}
	long len = zone_token_unescape(text, text_len, value);
	if (len < 0)
		return refuse(b, param->token->text,
		              "bad escape, write \\DDD with three digits up to 255, or \\X");
	int rc = put_u16(b, param->key);
	size_t len_off = b->len;
	if (rc == 0)
		rc = put_u16(b, 0);
	if (rc == 0)
		rc = put_value(b, param, value, (size_t)len, item);
	if (rc == 0) {
		size_t value_len = b->len - len_off - 2;
		b->rdata[len_off] = (uint8_t)(value_len >> 8);
		b->rdata[len_off + 1] = (uint8_t)value_len;
	}
	return rc;
}

int zone_rdata__svcparams(struct zone_rdata_build *b)
{
	size_t params_n = b->tokens_n - b->at;
	size_t longest = 0;
	int rc = 0;
	if (params_n == 0)
		return 0;
	struct param *params = calloc(params_n, sizeof(*params));
	uint8_t *value = NULL;
	char *item = NULL;
	if (!params)
		return -ENOMEM;
	for (size_t i = 0; i < params_n; i++) {
		const struct zone_token *token = &b->tokens[b->at++];
		const char *equals = memchr(token->text, '=', token->len);
		size_t key_len = equals ? (size_t)(equals - token->text) : token->len;
		if (token->quoted || key_from_text(token->text, key_len, &params[i].key) < 0) {
			rc = refuse(b, token->text, "no service parameter");
			goto out;
		}
		params[i].token = token;
		params[i].value_off = equals ? key_len + 1 : token->len;
		longest = token->len > longest ? token->len : longest;
	}
	value = malloc(longest + 1);
	item = malloc(longest + 1);
	if (!value || !item) {
		rc = -ENOMEM;
		goto out;
	}
	qsort(params, params_n, sizeof(*params), param_order);
	for (size_t i = 0; rc == 0 && i < params_n; i++) {
		if (i > 0 && params[i].key == params[i - 1].key)
			rc = refuse(b, params[i].token->text, "this key is there twice");
		else
			rc = put_param(b, &params[i], value, item);
	}
out:
	free(item);
	free(value);
	free(params);
	return rc;
}
