#include "wire/query.h"

enum wire_verdict wire_ecs_parse(const uint8_t *opt, size_t opt_len, struct wire_ecs *ret_ecs)
{
	if (opt_len < 4)
		return WIRE_FORMERR;
	struct wire_ecs ecs = { .family = wire_get16(opt), .source_len = opt[2] };
	unsigned max;
	if (ecs.family == 1) {
		ecs.addr.family = 4;
		max = 32;
	} else if (ecs.family == 2) {
		ecs.addr.family = 6;
		max = 128;
	} else if (ecs.family == 0) {
		max = 0; /* without an address no family is needed: dig +subnet=0 */
	} else {
		return WIRE_FORMERR;
	}
	size_t addr_len = (ecs.source_len + 7U) / 8;
	if (ecs.source_len > max || opt[3] != 0 || opt_len != 4 + addr_len)
		return WIRE_FORMERR;
	memcpy(ecs.addr.bytes, opt + 4, addr_len);
	unsigned rest = ecs.source_len % 8;
	if (rest && (ecs.addr.bytes[addr_len - 1] & (0xffU >> rest)))
		return WIRE_FORMERR;
	*ret_ecs = ecs;
	return WIRE_OK;
}

size_t wire_name_skip(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *start = at;
	while (at < end) {
		if (*at == 0)
			return (size_t)(at - start) + 1;
		if ((*at & 0xc0) == 0xc0)
			return end - at >= 2 ? (size_t)(at - start) + 2 : 0;
		if (*at > 63)
			return 0;
		at += *at + 1;
		if (at - start >= WIRE_NAME_MAX)
			return 0;
	}
	return 0;
}

/* Lower-case eight bytes at once: bytes 'A'..'Z' get bit 0x20. Bytes of 0x80 and over are left alone. */
static inline uint64_t lower8(uint64_t word)
{
	const uint64_t ones = 0x0101010101010101U;
	uint64_t low7 = word & (0x7f * ones);
	uint64_t over_z = low7 + (0x7f - 'Z') * ones;
	uint64_t from_a = low7 + (0x80 - 'A') * ones;
	uint64_t upper = (from_a ^ over_z) & ~word & (0x80 * ones);
	return word | upper >> 2;
}

/* The question section. at is the first byte after the header. */
static enum wire_verdict parse_question(const uint8_t *at, const uint8_t *end, struct wire_query *query)
{
	const uint8_t *start = at;
	unsigned labels_n = 0;
	for (;;) {
		if (at >= end || *at > 63)
			return WIRE_FORMERR;
		size_t off = (size_t)(at - start);
		if (off >= WIRE_NAME_MAX)
			return WIRE_FORMERR;
		/* A name under 255 bytes cannot have more labels than this array takes. */
		query->label_off[labels_n] = (uint8_t)off;
		if (*at == 0)
			break;
		labels_n++;
		at += *at + 1;
	}
	size_t len = (size_t)(at - start) + 1;
	if (end - start < (ptrdiff_t)len + 4)
		return WIRE_FORMERR;
	query->qname_len = (uint8_t)len;
	query->labels_n = (uint8_t)labels_n;

	size_t i = 0;
	for (; i + 8 <= len; i += 8) {
		uint64_t word;
		memcpy(&word, start + i, 8);
		word = lower8(word);
		memcpy(query->qname + i, &word, 8);
	}
	if (i < len) {
		/* The last bytes are loaded together with what stands before them: the header makes sure
		 * there is enough. */
		uint64_t word;
		memcpy(&word, start + len - 8, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		word >>= 8 * (8 - (len - i));
#else
		word <<= 8 * (8 - (len - i));
#endif
		word = lower8(word);
		memcpy(query->qname + i, &word, 8);
	}

	/* Suffixes are hashed by words too, from any offset: they read up to seven bytes past the padding. */
	memset(query->qname + (len + 7) / 8 * 8, 0, 8);

	query->qtype = wire_get16(start + len);
	query->qclass = wire_get16(start + len + 2);
	query->question_len = (uint16_t)(len + 4);
	return WIRE_OK;
}

/* One option other than the client subnet; those we do not know are stepped over. */
static enum wire_verdict parse_option(unsigned code, const uint8_t *data, size_t len,
                                      struct wire_query *query)
{
	switch (code) {
	case WIRE_OPTION_ZONEVERSION:
		if (len) /* RFC 9660 section 3.1: a question is empty */
			return WIRE_FORMERR;
		query->asked |= WIRE_ASKED_ZONEVERSION;
		break;
	case WIRE_OPTION_COOKIE:
		if (query->asked & WIRE_ASKED_COOKIE) /* RFC 7873 section 5.2: only the first counts */
			break;
		if (len != WIRE_COOKIE_CLIENT_LEN &&
		    (len < WIRE_COOKIE_CLIENT_LEN + WIRE_COOKIE_SERVER_MIN_LEN ||
		     len > WIRE_COOKIE_CLIENT_LEN + WIRE_COOKIE_SERVER_MAX_LEN))
			return WIRE_FORMERR;
		query->cookie = data;
		query->cookie_len = (uint8_t)len;
		query->asked |= WIRE_ASKED_COOKIE;
		break;
	case WIRE_OPTION_NSID: query->asked |= WIRE_ASKED_NSID; break;
	case WIRE_OPTION_KEEPALIVE:
		query->asked |= WIRE_ASKED_KEEPALIVE;
		if (len)
			query->asked |= WIRE_ASKED_KEEPALIVE_FILLED;
		break;
	case WIRE_OPTION_PADDING: query->asked |= WIRE_ASKED_PADDING; break;
	default: break;
	}
	return WIRE_OK;
}

/* The options of an OPT record. */
static enum wire_verdict parse_options(const uint8_t *at, size_t len, struct wire_query *query)
{
	while (len >= 4) {
		uint16_t code = wire_get16(at);
		size_t opt_len = wire_get16(at + 2);
		if (opt_len > len - 4)
			return WIRE_FORMERR;
		if (code == WIRE_OPTION_ECS) {
			if (query->has_ecs || wire_ecs_parse(at + 4, opt_len, &query->ecs) != WIRE_OK)
				return WIRE_FORMERR;
			query->has_ecs = true;
		} else if (parse_option(code, at + 4, opt_len, query) != WIRE_OK) {
			return WIRE_FORMERR;
		}
		at += 4 + opt_len;
		len -= 4 + opt_len;
	}
	return len == 0 ? WIRE_OK : WIRE_FORMERR;
}

/* Everything after the question: records are stepped over, the OPT record is read. */
static enum wire_verdict parse_records(const uint8_t *at, const uint8_t *end, unsigned before_n,
                                       unsigned additional_n, struct wire_query *query)
{
	unsigned version = 0;
	for (unsigned i = 0; i < before_n + additional_n; i++) {
		size_t owner_len = wire_name_skip(at, end);
		if (owner_len == 0 || end - at < (ptrdiff_t)owner_len + 10)
			return WIRE_FORMERR;
		const uint8_t *fixed = at + owner_len;
		size_t rdata_len = wire_get16(fixed + 8);
		const uint8_t *rdata = fixed + 10;
		if (end - rdata < (ptrdiff_t)rdata_len)
			return WIRE_FORMERR;
		if (wire_get16(fixed) == WIRE_TYPE_OPT) {
			if (query->has_edns || owner_len != 1 || i < before_n)
				return WIRE_FORMERR;
			query->has_edns = true;
			query->edns_size = wire_get16(fixed + 2);
			version = fixed[5];
			query->dnssec_ok = (wire_get16(fixed + 6) & WIRE_EDNS_DO) != 0;
			query->options = rdata;
			/* Options of a version we do not know may look different: leave them alone (RFC
			 * 6891 6.1.3). */
			query->options_len = version == 0 ? (uint16_t)rdata_len : 0;
			if (version == 0 && parse_options(rdata, rdata_len, query) != WIRE_OK)
				return WIRE_FORMERR;
		}
		at = rdata + rdata_len;
	}
	return version == 0 ? WIRE_OK : WIRE_BADVERS;
}

/*
 * A request is turned down before its records were read. If it has an OPT record, so will the answer (RFC
 * 6891 section 6.1.1): look for it as far as the records can be stepped over.
 */
__attribute__((cold, noinline)) static void look_for_opt(const uint8_t *req, size_t req_len,
                                                         struct wire_query *query)
{
	const uint8_t *at = req + WIRE_HEADER_LEN;
	const uint8_t *end = req + req_len;
	unsigned questions_n = wire_get16(req + 4);
	unsigned before_n = (unsigned)wire_get16(req + 6) + wire_get16(req + 8);
	unsigned records_n = before_n + wire_get16(req + 10);
	for (unsigned i = 0; i < questions_n; i++) {
		size_t name_len = wire_name_skip(at, end);
		if (name_len == 0 || end - at < (ptrdiff_t)name_len + 4)
			return;
		at += name_len + 4;
	}
	for (unsigned i = 0; i < records_n; i++) {
		size_t owner_len = wire_name_skip(at, end);
		if (owner_len == 0 || end - at < (ptrdiff_t)owner_len + 10)
			return;
		const uint8_t *fixed = at + owner_len;
		size_t rdata_len = wire_get16(fixed + 8);
		if (end - fixed < (ptrdiff_t)rdata_len + 10)
			return;
		if (wire_get16(fixed) == WIRE_TYPE_OPT && owner_len == 1 && i >= before_n) {
			query->has_edns = true;
			query->edns_size = wire_get16(fixed + 2);
			query->dnssec_ok = (wire_get16(fixed + 6) & WIRE_EDNS_DO) != 0;
			query->options = fixed + 10;
			query->options_len = fixed[5] == 0 ? (uint16_t)rdata_len : 0;
			return;
		}
		at = fixed + 10 + rdata_len;
	}
}

/*
 * Of a request that is turned down only the cookie counts: a client that knows our server cookies takes an
 * answer without one for forged (RFC 7873 section 5.3), errors included. It counts wherever it stands among
 * the options, as long as they can be told apart.
 */
__attribute__((cold, noinline)) static enum wire_verdict turn_down(enum wire_verdict verdict,
                                                                   struct wire_query *query)
{
	const uint8_t *at = query->options;
	size_t len = query->has_edns ? query->options_len : 0;
	query->asked = 0;
	while (len >= 4) {
		size_t opt_len = wire_get16(at + 2);
		if (opt_len > len - 4)
			break;
		if (wire_get16(at) == WIRE_OPTION_COOKIE &&
		    parse_option(WIRE_OPTION_COOKIE, at + 4, opt_len, query) != WIRE_OK)
			break;
		at += 4 + opt_len;
		len -= 4 + opt_len;
	}
	if (len)
		query->asked = 0;
	return verdict;
}

enum wire_verdict wire_query_parse(const uint8_t *req, size_t req_len, struct wire_query *query)
{
	query->question_len = 0;
	query->has_edns = false;
	query->has_ecs = false;
	query->asked = 0;
	query->dnssec_ok = false;
	if (req_len < WIRE_HEADER_LEN)
		return WIRE_DROP_SHORT;
	query->id = wire_get16(req);
	query->flags = wire_get16(req + 2);
	if (query->flags & WIRE_FLAG_QR)
		return WIRE_DROP_RESPONSE;
	const uint8_t *end = req + req_len;
	unsigned questions_n = wire_get16(req + 4);
	unsigned opcode = (query->flags & WIRE_FLAG_OPCODE) >> WIRE_OPCODE_SHIFT;
	if (opcode) {
		/* Of these two it is known that a question stands there (RFC 1996 section 3.7, RFC 2136
		 * section 2.3). What else a message may hold is for its opcode to say. */
		if (questions_n == 1 && (opcode == WIRE_OPCODE_NOTIFY || opcode == WIRE_OPCODE_UPDATE))
			(void)parse_question(req + WIRE_HEADER_LEN, end, query);
		look_for_opt(req, req_len, query);
		return turn_down(WIRE_NOTIMP, query);
	}
	/* RFC 7873 section 5.4: without a question, a cookie may be all that is asked for. */
	if (__builtin_expect(questions_n > 1, 0) ||
	    (questions_n == 1 && parse_question(req + WIRE_HEADER_LEN, end, query) != WIRE_OK)) {
		look_for_opt(req, req_len, query);
		return turn_down(WIRE_FORMERR, query);
	}
	unsigned before_n = (unsigned)wire_get16(req + 6) + wire_get16(req + 8);
	unsigned additional_n = wire_get16(req + 10);
	enum wire_verdict verdict = WIRE_OK;
	if (before_n + additional_n)
		verdict = parse_records(req + WIRE_HEADER_LEN + query->question_len, end, before_n,
		                        additional_n, query);
	if (__builtin_expect(query->question_len == 0, 0) && verdict == WIRE_OK)
		verdict = query->asked & WIRE_ASKED_COOKIE ? WIRE_COOKIE_ONLY : WIRE_FORMERR;
	return __builtin_expect(verdict == WIRE_FORMERR, 0) ? turn_down(verdict, query) : verdict;
}
