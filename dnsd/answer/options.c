/*
 * EDNS options by which a query asks for something: zone version (RFC 9660), cookie (RFC 7873, 9018), server
 * id (RFC 5001), keepalive (RFC 7828), padding (RFC 7830, 8467). Away from the usual path: most queries have
 * none.
 *
 *     query's options ──answer_options_begin()──> how much room they need, and whether the query is answered
 *                     ──answer_options_put()────> bytes in the OPT record of the answer
 */
#include "answer/answer_int.h"

/* RFC 8467 section 4.1: answers are as long as a multiple of this. */
#define PADDING_BLOCK 468

/* Returns whether the query may be answered. */
static bool begin_cookie(struct reply *reply, bool is_only_cookie, struct answer_options *options)
{
	const struct wire_query *query = reply->query;
	const struct answer_cookies *cookies = reply->data->cookies;
	struct answer_counters *counters = &reply->state->counters;
	enum cookie_kind kind = cookie_check(cookies, reply->client->peer, query->cookie, query->cookie_len,
	                                     reply->state->now_s, options->server_cookie);
	switch (kind) {
	case COOKIE_CLIENT: counters->cookie_client++; break;
	case COOKIE_VALID: counters->cookie_valid++; break;
	case COOKIE_EXPIRED: counters->cookie_expired++; break;
	case COOKIE_INVALID: counters->cookie_invalid++; break;
	}
	options->has_cookie = true;
	options->cookie_ok = kind == COOKIE_VALID;
	options->len += WIRE_COOKIE_LEN;
	/* RFC 7873 section 5.4: who asks for nothing else is told what its server cookie is worth. */
	if (is_only_cookie)
		return kind == COOKIE_VALID || kind == COOKIE_CLIENT;
	return kind == COOKIE_VALID || !cookies->required || reply->client->transport != TRANSPORT_UDP;
}

/* A long id beside a long question may be more than fits into a small answer: then it is left out. */
static void begin_nsid(const struct reply *reply, struct answer_options *options)
{
	const struct wire_query *query = reply->query;
	const char *id = reply->data->ident->id;
	size_t id_len = strlen(id);
	size_t least_len = WIRE_HEADER_LEN + (size_t)query->question_len + WIRE_OPT_LEN +
	                   answer_ecs_len(query) + options->len;
	if (id_len == 0 || least_len + 4 + id_len > reply->limit)
		return;
	options->nsid = id;
	options->nsid_len = (uint8_t)id_len;
	options->len += 4 + id_len;
}

enum wire_verdict answer_options_begin(struct reply *reply, enum wire_verdict verdict,
                                       struct answer_options *ret_options)
{
	const struct answer_data *data = reply->data;
	enum transport transport = reply->client->transport;
	unsigned asked = reply->query->asked;
	struct answer_options options = { 0 };
	reply->options = ret_options;
	/* RFC 7828 section 3.2.1: the client's is empty; over UDP nobody looks at it (section 3.2.2). */
	if ((transport != TRANSPORT_UDP && (asked & WIRE_ASKED_KEEPALIVE_FILLED)) ||
	    (verdict == WIRE_COOKIE_ONLY && !data->cookies))
		verdict = WIRE_FORMERR;
	if (verdict == WIRE_FORMERR || verdict == WIRE_NOTIMP) {
		if ((asked & WIRE_ASKED_COOKIE) && data->cookies)
			(void)begin_cookie(reply, false, &options); /* what it is worth changes nothing */
		*ret_options = options;
		return verdict;
	}
	options.is_padded = (asked & WIRE_ASKED_PADDING) && transport == TRANSPORT_TLS;
	if (asked & WIRE_ASKED_ZONEVERSION) {
		options.has_zoneversion = true;
		options.len += WIRE_ZONEVERSION_LEN;
	}
	if (transport != TRANSPORT_UDP && (asked & WIRE_ASKED_KEEPALIVE) && reply->client->tells_idle) {
		uint32_t idle_100ms = reply->client->idle_ms / 100;
		options.has_keepalive = true;
		options.idle_100ms = (uint16_t)(idle_100ms < UINT16_MAX ? idle_100ms : UINT16_MAX);
		options.len += WIRE_KEEPALIVE_LEN;
	}
	if ((asked & WIRE_ASKED_COOKIE) && data->cookies &&
	    !begin_cookie(reply, verdict == WIRE_COOKIE_ONLY, &options))
		verdict = WIRE_BADCOOKIE;
	if ((asked & WIRE_ASKED_NSID) && data->ident)
		begin_nsid(reply, &options);
	*ret_options = options;
	return verdict;
}

static uint8_t *put_head(uint8_t *at, uint16_t code, size_t len)
{
	wire_put16(at, code);
	wire_put16(at + 2, (uint16_t)len);
	return at + 4;
}

/* RFC 9660 section 3.2: how many labels the zone's name has, type 0 (SOA-SERIAL), the serial. */
static uint8_t *put_zoneversion(const struct reply *reply, uint8_t *at)
{
	const struct answer_store *store = reply->data->store;
	const struct store_zone *zone = &store->zones[reply->node->zone];
	at = put_head(at, WIRE_OPTION_ZONEVERSION, WIRE_ZONEVERSION_LEN - 4);
	at[0] = store->nodes[zone->apex].labels_n;
	at[1] = 0;
	wire_put32(at + 2, answer_zone_serial(reply->data, zone));
	return at + WIRE_ZONEVERSION_LEN - 4;
}

static uint8_t *put_cookie(uint8_t *at, const uint8_t *client_cookie, const uint8_t *server_cookie)
{
	at = put_head(at, WIRE_OPTION_COOKIE, WIRE_COOKIE_CLIENT_LEN + WIRE_COOKIE_SERVER_LEN);
	memcpy(at, client_cookie, WIRE_COOKIE_CLIENT_LEN);
	memcpy(at + WIRE_COOKIE_CLIENT_LEN, server_cookie, WIRE_COOKIE_SERVER_LEN);
	return at + WIRE_COOKIE_CLIENT_LEN + WIRE_COOKIE_SERVER_LEN;
}

static uint8_t *put_bytes(uint8_t *at, uint16_t code, const void *bytes, size_t len)
{
	at = put_head(at, code, len);
	memcpy(at, bytes, len);
	return at + len;
}

/* The last option, so that the message ends at a multiple of the block, or at its limit. */
static uint8_t *put_padding(const struct reply *reply, uint8_t *at)
{
	size_t len = (size_t)(at - reply->resp) + 4;
	if (len > reply->limit)
		return at;
	size_t padded_len = (len + PADDING_BLOCK - 1) / PADDING_BLOCK * PADDING_BLOCK;
	if (padded_len > reply->limit)
		padded_len = reply->limit;
	at = put_head(at, WIRE_OPTION_PADDING, padded_len - len);
	memset(at, 0, padded_len - len);
	return at + (padded_len - len);
}

uint8_t *answer_options_put(const struct reply *reply, uint8_t *at)
{
	static const struct answer_options none;
	const struct answer_options *options = reply->options ? reply->options : &none;
	if (options->has_zoneversion && reply->node)
		at = put_zoneversion(reply, at);
	if (options->has_cookie)
		at = put_cookie(at, reply->query->cookie, options->server_cookie);
	if (options->has_keepalive) {
		at = put_head(at, WIRE_OPTION_KEEPALIVE, 2);
		wire_put16(at, options->idle_100ms);
		at += 2;
	}
	if (options->nsid)
		at = put_bytes(at, WIRE_OPTION_NSID, options->nsid, options->nsid_len);
	if (reply->ede && (size_t)(at - reply->resp) + 4 + reply->ede_len <= reply->limit)
		at = put_bytes(at, WIRE_OPTION_EDE, reply->ede, reply->ede_len);
	if (options->is_padded)
		at = put_padding(reply, at);
	return at;
}
