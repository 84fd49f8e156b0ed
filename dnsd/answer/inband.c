/*
 * What the server tells of itself and of who asks, over DNS itself: names of class CH, and whoami.
 */
#include "answer/answer_int.h"

/* Longest TXT record of whoami: three texts of an address with a length, country, id, generation. */
#define WHOAMI_MAX (12 + 3 * (8 + ADDR_TEXT_MAX) + 16 + 256 + 32)

/* key and value as one TXT string, cut at what a string can hold. */
static uint8_t *put_string(uint8_t *at, const char *key, const char *value)
{
	size_t key_len = strlen(key);
	size_t value_len = strlen(value);
	if (value_len > 255 - key_len)
		value_len = 255 - key_len;
	at[0] = (uint8_t)(key_len + value_len);
	memcpy(at + 1, key, key_len);
	memcpy(at + 1 + key_len, value, value_len);
	return at + 1 + key_len + value_len;
}

/* Without printf(), which looks at the locale. */
static uint8_t *put_prefix(uint8_t *at, const char *key, const struct addr *addr, unsigned len)
{
	char text[ADDR_TEXT_MAX + 4];
	size_t text_len = strlen(addr_format(addr, text, ADDR_TEXT_MAX));
	text[text_len++] = '/';
	if (len >= 100)
		text[text_len++] = (char)('0' + len / 100);
	if (len >= 10)
		text[text_len++] = (char)('0' + len / 10 % 10);
	text[text_len++] = (char)('0' + len % 10);
	text[text_len] = '\0';
	return put_string(at, key, text);
}

/* The block of that length around an address. */
static struct addr cut_addr(const struct addr *addr, unsigned len)
{
	struct addr cut = *addr;
	for (unsigned i = 0; i < sizeof(cut.bytes); i++) {
		unsigned bits = len > 8 * i ? len - 8 * i : 0;
		if (bits < 8)
			cut.bytes[i] &= (uint8_t)(0xff00U >> bits);
	}
	return cut;
}

/* The TXT record [record_len] at the name asked for, or TC. */
static size_t answer_record(struct reply *reply, const uint8_t *record, size_t record_len)
{
	reply->note->kind = ANSWER_KIND_POSITIVE;
	reply->state->counters.noerror++;
	if (WIRE_HEADER_LEN + (size_t)reply->query->question_len + record_len > reply->body_max)
		return answer_truncated(reply, WIRE_FLAG_AA);
	size_t len = answer_start(reply, WIRE_FLAG_AA, 1, 0, 0);
	memcpy(reply->resp + len, record, record_len);
	return answer_finish(reply, len + record_len, 0);
}

/* Everything of a TXT record before its RDATA; TTL 0: it is true for this one question. */
static void put_record_head(uint8_t *record, uint16_t class, size_t rdata_len)
{
	wire_put16(record, WIRE_POINTER | WIRE_HEADER_LEN);
	wire_put16(record + 2, WIRE_TYPE_TXT);
	wire_put16(record + 4, class);
	wire_put32(record + 6, 0);
	wire_put16(record + 10, (uint16_t)rdata_len);
}

bool answer_is_allowed(const struct reply *reply, const struct prefix *allow, uint32_t allow_n)
{
	struct addr peer;
	addr_from_sockaddr(reply->client->peer, &peer);
	return allow_n == 0 || prefixes_contain(allow, allow_n, &peer);
}

bool answer_any_is_closed(const struct reply *reply, const struct store_node *node)
{
	const struct answer_access *access = &reply->data->access;
	return node->rrsets_n && !(node->flags & STORE_CNAME) &&
	       !answer_is_allowed(reply, access->any, access->any_n);
}

/* REFUSED with extended error 18, Prohibited (RFC 8914 section 4.19). why: the error as it is sent */
static size_t answer_prohibited(struct reply *reply, const uint8_t *why, size_t why_len)
{
	reply->state->counters.refused++;
	reply->ede = why;
	reply->ede_len = why_len;
	return answer_rcode(reply, WIRE_RCODE_REFUSED);
}

size_t answer_hinfo(struct reply *reply)
{
	static const uint8_t record[] = "\xc0\x0c\0\x0d\0\x01\0\0\x0e\x10\0\x09\x07"
	                                "RFC8482"; /* TTL 3600 */
	reply->note->type = WIRE_TYPE_HINFO;
	return answer_record(reply, record, sizeof(record)); /* its final NUL is the empty OS */
}

size_t answer_whoami(struct reply *reply, const struct store_rrset *rrset)
{
	static const uint8_t not_open[] = "\0\x12whoami is not open to this address";
	const struct wire_query *query = reply->query;
	if (!answer_is_allowed(reply, reply->data->store->prefixes + rrset->ref, rrset->records_n))
		return answer_prohibited(reply, not_open, sizeof(not_open) - 1);

	struct addr peer;
	addr_from_sockaddr(reply->client->peer, &peer);
	uint8_t record[WHOAMI_MAX];
	char text[ADDR_TEXT_MAX];
	char country[3];
	struct addr addr;
	struct geo_match match;
	answer_match_client(reply, &addr, &match);
	struct addr block = cut_addr(&addr, match.prefix_len);
	uint8_t *at = put_string(record + 12, "address=", addr_format(&peer, text, sizeof(text)));
	if (query->has_ecs && query->ecs.family)
		at = put_prefix(at, "ecs=", &query->ecs.addr, query->ecs.source_len);
	country_to_code(match.country, country);
	at = put_string(at, "country=", match.country == COUNTRY_UNKNOWN ? "unknown" : country);
	at = put_prefix(at, "prefix=", &block, match.prefix_len);
	const struct answer_ident *ident = reply->data->ident;
	if (ident && ident->id[0])
		at = put_string(at, "node=", ident->id);
	if (ident)
		at = put_string(at, "generation=", ident->generation);
	put_record_head(record, WIRE_CLASS_IN, (size_t)(at - record) - 12);
	return answer_record(reply, record, (size_t)(at - record));
}

/* What a name of class CH says; NULL = no such name. */
static const char *chaos_text(const struct wire_query *query, const struct answer_ident *ident)
{
	static const struct {
		char name[16]; /* wire form, lower case, with the root */
		size_t text_off;
	} names[] = {
		{ "\2id\6server", offsetof(struct answer_ident, id) },
		{ "\10hostname\4bind", offsetof(struct answer_ident, id) },
		{ "\7version\4bind", offsetof(struct answer_ident, version) },
		{ "\7version\6server", offsetof(struct answer_ident, version) },
		{ "\4pool\4dnsd", offsetof(struct answer_ident, state) },
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (query->qname_len == strlen(names[i].name) + 1 &&
		    memcmp(query->qname, names[i].name, query->qname_len) == 0)
			return (const char *)ident + names[i].text_off;
	}
	return NULL;
}

size_t answer_chaos(struct reply *reply)
{
	static const uint8_t not_open[] = "\0\x12"
	                                  "class CH is not open to this address";
	const struct wire_query *query = reply->query;
	const struct answer_access *access = &reply->data->access;
	if (!answer_is_allowed(reply, access->chaos, access->chaos_n))
		return answer_prohibited(reply, not_open, sizeof(not_open) - 1);
	const char *text = reply->data->ident ? chaos_text(query, reply->data->ident) : NULL;
	if (!text || !text[0]) {
		reply->state->counters.refused++;
		return answer_rcode(reply, WIRE_RCODE_REFUSED);
	}
	if (query->qtype != WIRE_TYPE_TXT && query->qtype != WIRE_TYPE_ANY) {
		reply->note->kind = ANSWER_KIND_NODATA;
		reply->state->counters.noerror++;
		/* No SOA: there is no zone of this class. */
		return answer_finish(reply, answer_start(reply, WIRE_FLAG_AA, 0, 0, 0), 0);
	}
	uint8_t record[12 + 256];
	const uint8_t *end = put_string(record + 12, "", text);
	put_record_head(record, WIRE_CLASS_CH, (size_t)(end - record) - 12);
	return answer_record(reply, record, (size_t)(end - record));
}
