/*
 * Is RDATA well-formed? For what was read from text (ldns is not trusted) and for \# hex of known types: the
 * answer builder and every client take names and lengths in RDATA at their word.
 */
#include <errno.h>
#include <string.h>

#include "wire/name.h"
#include "zones/zone_rdata.h"
#include "zones/zone_rdata_int.h"

/** What is left of the RDATA. A read past its end gives zeros and sticks in bad. */
struct reader {
	const uint8_t *data;
	size_t left;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t len)
{
	if (r->bad || len > r->left) {
		r->bad = true;
		return NULL;
	}
	const uint8_t *data = r->data;
	r->data += len;
	r->left -= len;
	return data;
}

static unsigned take_u8(struct reader *r)
{
	const uint8_t *data = take(r, 1);
	return data ? data[0] : 0;
}

static unsigned take_u16(struct reader *r)
{
	const uint8_t *data = take(r, 2);
	return data ? (unsigned)data[0] << 8 | data[1] : 0;
}

static uint32_t take_u32(struct reader *r)
{
	uint32_t high = take_u16(r);
	return high << 16 | take_u16(r);
}

static void take_name(struct reader *r)
{
	size_t len = name_len(r->data, r->left);
	if (len == 0)
		r->bad = true;
	else
		take(r, len);
}

static void take_string(struct reader *r)
{
	take(r, take_u8(r));
}

static void take_tag(struct reader *r)
{
	unsigned len = take_u8(r);
	const uint8_t *tag = take(r, len);
	if (!tag || len == 0) {
		r->bad = true;
		return;
	}
	for (unsigned i = 0; i < len; i++) {
		uint8_t lower = tag[i] | 0x20;
		if (!((tag[i] >= '0' && tag[i] <= '9') || (lower >= 'a' && lower <= 'z')))
			r->bad = true;
	}
}

/** RFC 4034 section 4.1.2: windows in order, 1 to 32 bytes each, no zero byte at the end. */
static void take_bitmap(struct reader *r)
{
	int last = -1;
	while (r->left && !r->bad) {
		int window = (int)take_u8(r);
		unsigned len = take_u8(r);
		const uint8_t *bits = take(r, len);
		if (window <= last || len == 0 || len > 32 || !bits || bits[len - 1] == 0)
			r->bad = true;
		last = window;
	}
}

/** RFC 3123 section 4. */
static void take_apl(struct reader *r)
{
	while (r->left && !r->bad) {
		unsigned family = take_u16(r);
		unsigned prefix = take_u8(r);
		unsigned len = take_u8(r) & 0x7f;
		const uint8_t *address = take(r, len);
		if (!address || (len && address[len - 1] == 0) || (family == 1 && (prefix > 32 || len > 4)) ||
		    (family == 2 && (prefix > 128 || len > 16)))
			r->bad = true;
	}
}

static void take_loc(struct reader *r)
{
	unsigned version = take_u8(r);
	if (version != 0) { /* undefined: anything goes (RFC 1876 section 2) */
		take(r, r->left);
		return;
	}
	for (int i = 0; i < 3; i++) {
		unsigned precision = take_u8(r);
		if (precision >> 4 > 9 || (precision & 15) > 9)
			r->bad = true;
	}
	for (uint32_t degrees = 90; degrees <= 180; degrees += 90) {
		int64_t angle = (int64_t)take_u32(r) - INT64_C(0x80000000);
		if (angle > (int64_t)degrees * 3600000 || angle < -(int64_t)degrees * 3600000)
			r->bad = true;
	}
	take(r, 4);
}

static void take_gateway(struct reader *r, unsigned type)
{
	switch (type) {
	case 0: break;
	case 1: take(r, 4); break;
	case 2: take(r, 16); break;
	case 3: take_name(r); break;
	default: r->bad = true;
	}
}

static bool svc_value_is_good(unsigned key, struct reader value)
{
	size_t len = value.left;
	switch (key) {
	case 1:
		if (len == 0)
			return false;
		while (value.left && !value.bad) {
			unsigned item_len = take_u8(&value);
			take(&value, item_len);
			if (item_len == 0)
				value.bad = true;
		}
		return !value.bad;
	case 2:
	case 8: return len == 0;
	case 3: return len == 2;
	case 4: return len && len % 4 == 0;
	case 5: return len > 0;
	case 6: return len && len % 16 == 0;
	default: return key != 65535;
	}
}

/** RFC 9460 sections 2.2, 7 and 8. */
static void take_svcparams(struct reader *r)
{
	struct reader mandatory = { .data = NULL };
	struct reader all = *r;
	int last = -1;
	while (r->left && !r->bad) {
		int key = (int)take_u16(r);
		struct reader value = { .left = take_u16(r) };
		value.data = take(r, value.left);
		if (key <= last || !value.data || !svc_value_is_good((unsigned)key, value))
			r->bad = true;
		else if (key == 0)
			mandatory = value;
		last = key;
	}
	if (r->bad || !mandatory.data)
		return;
	if (mandatory.left == 0)
		r->bad = true;
	/* Both lists are in order: one pass over both. */
	for (unsigned before = 0; mandatory.left && !r->bad;) {
		unsigned want = take_u16(&mandatory);
		unsigned have = 0;
		while (all.left && have < want) {
			have = take_u16(&all);
			take(&all, take_u16(&all));
		}
		if (mandatory.bad || want <= before || have != want)
			r->bad = true;
		before = want;
	}
}

static void take_field(struct reader *r, char code)
{
	switch (code) {
	case 'a': take(r, 4); break;
	case '6': take(r, 16); break;
	case 'n': take_name(r); break;
	case '1':
	case 'g':
	case 'U':
	case 'D':
	case 'M': take(r, 1); break;
	case '2':
	case 't':
	case 'c': take(r, 2); break;
	case '4':
	case 'p':
	case 'T': take(r, 4); break;
	case 's': take_string(r); break;
	case 'o':
		if (r->left)
			take_string(r);
		break;
	case 'S':
		do
			take_string(r);
		while (r->left && !r->bad);
		break;
	case 'k': take(r, r->left); break;
	case 'K': take_tag(r); break;
	case 'x':
	case 'b':
		r->bad = r->bad || r->left == 0;
		take(r, r->left);
		break;
	case 'm': take_bitmap(r); break;
	case '3': take_string(r); break;
	case 'h': {
		unsigned len = take_u8(r);
		take(r, len);
		r->bad = r->bad || len == 0;
		break;
	}
	case 'e': take(r, 6); break;
	case 'E':
	case 'i': take(r, 8); break;
	case 'L': take_apl(r); break;
	case 'G': {
		take(r, 1);
		unsigned type = take_u8(r);
		unsigned algorithm = take_u8(r);
		take_gateway(r, type);
		r->bad = r->bad || (algorithm != 0 && r->left == 0);
		take(r, r->left);
		break;
	}
	case 'R':
		take(r, 1);
		take_gateway(r, take_u8(r) & 0x7f);
		break;
	case 'l': take_loc(r); break;
	case 'v': take_svcparams(r); break;
	default: r->bad = true;
	}
}

/** A digest of the wrong size never matches: nearly always a cut paste. 0 = any size. */
static size_t digest_len(uint16_t type, const uint8_t *rdata, size_t *ret_off)
{
	static const uint8_t ds[] = {
		0, 20, 32, 32, 48, 32, 32
	}; /* SHA-1, SHA-256, GOST, SHA-384, GOST 2012, SM3 */
	static const uint8_t sshfp[] = { 0, 20, 32 };
	static const uint8_t tlsa[] = { 0, 32, 64 };
	switch (type) {
	case LDNS_RR_TYPE_DS:
	case LDNS_RR_TYPE_CDS: *ret_off = 4; return rdata[3] < sizeof(ds) ? ds[rdata[3]] : 0;
	case LDNS_RR_TYPE_SSHFP: *ret_off = 2; return rdata[1] < sizeof(sshfp) ? sshfp[rdata[1]] : 0;
	case LDNS_RR_TYPE_TLSA: *ret_off = 3; return rdata[2] < sizeof(tlsa) ? tlsa[rdata[2]] : 0;
	default: return 0;
	}
}

int zone_rdata_check(uint16_t type, const uint8_t *rdata, size_t len, struct zone_why *ret_why)
{
	const struct zone_type_info *info = zone_type_find(type);
	struct reader reader = { .data = rdata, .left = len };
	if (!info)
		return 0;
	for (const char *code = info->fields; *code; code++)
		take_field(&reader, *code);
	if (reader.bad || reader.left)
		return zone_why_set(ret_why, "these %zu bytes are not well-formed %s RDATA; write %s %s", len,
		                    info->name, info->name, info->usage);
	size_t off = 0;
	size_t want = digest_len(type, rdata, &off);
	if (want && len - off != want)
		return zone_why_set(ret_why, "%s digest of %zu bytes where its type has %zu; copy it whole",
		                    info->name, len - off, want);
	return 0;
}
