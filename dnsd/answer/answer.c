#include "answer/answer.h"

#include "answer/answer_int.h"
#include "wire/wire.h"

/* --- finding names --- */

static bool same_words(const uint8_t *a, const uint8_t *b, unsigned len)
{
	unsigned i = 0;
	for (; i + 8 <= len; i += 8) {
		uint64_t x;
		uint64_t y;
		memcpy(&x, a + i, 8);
		memcpy(&y, b + i, 8);
		if (x != y)
			return false;
	}
	if (i == len)
		return true;
	uint64_t x;
	uint64_t y;
	memcpy(&x, a + i, 8);
	memcpy(&y, b + i, 8);
	return x == y;
}

static inline bool has_name(const struct answer_store *store, const struct store_node *node,
                            const uint8_t *name, unsigned name_len)
{
	return node->name_len == name_len && same_words(store->bytes + node->name_off, name, name_len);
}

/* name must be readable, and zero, up to the next whole word behind name_len. */
static const struct store_node *find_exact(const struct answer_store *store, const uint8_t *name,
                                           unsigned name_len)
{
	uint32_t hash = store_hash(name, name_len);
	for (uint32_t at = hash & store->slots_mask;; at = (at + 1) & store->slots_mask) {
		struct store_slot slot = store->slots[at];
		if (slot.node_plus_1 == 0)
			return NULL;
		if (slot.hash != hash)
			continue;
		const struct store_node *node = &store->nodes[slot.node_plus_1 - 1];
		if (has_name(store, node, name, name_len))
			return node;
	}
}

struct found answer_find(const struct answer_store *store, const uint8_t *name, unsigned name_len,
                         const uint8_t *label_off, unsigned labels_n)
{
	const struct store_node *node =
	        labels_n <= store->labels_max ? find_exact(store, name, name_len) : NULL;
	if (node)
		return (struct found){ FOUND_NAME, node };

	/* The closest encloser: the longest suffix that exists. Empty non-terminals are in the table, so the
	 * first hit is it. */
	unsigned skip = labels_n > store->labels_max ? labels_n - store->labels_max : 1;
	for (; skip <= labels_n && !node; skip++)
		node = find_exact(store, name + label_off[skip], name_len - label_off[skip]);
	if (!node)
		return (struct found){ FOUND_OUTSIDE, NULL };
	if (node->flags & STORE_CUT)
		return (struct found){ FOUND_CUT, node };
	if (node->flags & STORE_DNAME)
		return (struct found){ FOUND_DNAME, node };
	if (node->wildcard != STORE_NONE)
		return (struct found){ FOUND_WILDCARD, &store->nodes[node->wildcard] };
	if (node->flags & STORE_PING)
		return (struct found){ FOUND_PING, node };
	return (struct found){ FOUND_NOTHING, node };
}

const struct store_rrset *answer_find_rrset(const struct answer_store *store, const struct store_node *node,
                                            uint16_t type)
{
	const struct store_rrset *rrsets = store->rrsets + node->rrsets_off;
	unsigned low = 0;
	unsigned high = node->rrsets_n;
	while (high - low > 8) {
		unsigned middle = (low + high) / 2;
		if (rrsets[middle].type <= type)
			low = middle;
		else
			high = middle;
	}
	for (; low < high; low++) {
		if (rrsets[low].type == type)
			return &rrsets[low];
	}
	return NULL;
}

/* One RRset for ANY: the first that is not a pool's empty family. */
const struct store_rrset *answer_any_rrset(struct reply *reply, const struct store_node *node)
{
	const struct store_rrset *rrsets = reply->data->store->rrsets + node->rrsets_off;
	for (unsigned i = 0; i < node->rrsets_n; i++) {
		if (rrsets[i].source != STORE_POOL || answer_choose(reply, &rrsets[i]).list->take_n)
			return &rrsets[i];
	}
	return NULL;
}

/* --- pieces of an answer --- */

size_t answer_start(struct reply *reply, uint16_t flags, unsigned answer_n, unsigned authority_n,
                    unsigned additional_n)
{
	const struct wire_query *query = reply->query;
	uint8_t *resp = reply->resp;
	size_t len = WIRE_HEADER_LEN + (size_t)query->question_len;
	memcpy(resp, reply->req, len); /* the question as it came, case included */
	wire_put16(resp + 2,
	           (uint16_t)(WIRE_FLAG_QR | (query->flags & (WIRE_FLAG_OPCODE | WIRE_FLAG_RD)) | flags));
	wire_put16(resp + 4, query->question_len ? 1 : 0);
	wire_put16(resp + 6, (uint16_t)answer_n);
	wire_put16(resp + 8, (uint16_t)authority_n);
	wire_put16(resp + 10, (uint16_t)(additional_n + query->has_edns));
	reply->note->body_off = (uint16_t)len;
	return len;
}

size_t answer_finish(struct reply *reply, size_t len, unsigned extended_rcode)
{
	const struct wire_query *query = reply->query;
	reply->note->opt_off = (uint16_t)len;
	if (!query->has_edns)
		return len;
	uint8_t *opt = reply->resp + len;
	size_t ecs_len = answer_ecs_len(query);
	opt[0] = 0;
	wire_put16(opt + 1, WIRE_TYPE_OPT);
	wire_put16(opt + 3, reply->data->edns_size);
	opt[5] = (uint8_t)extended_rcode;
	opt[6] = 0;
	wire_put16(opt + 7, query->dnssec_ok ? WIRE_EDNS_DO : 0);
	uint8_t *at = opt + WIRE_OPT_LEN;
	if (ecs_len) {
		uint8_t *ecs = at;
		wire_put16(ecs, WIRE_OPTION_ECS);
		wire_put16(ecs + 2, (uint16_t)(ecs_len - 4));
		wire_put16(ecs + 4, query->ecs.family);
		ecs[6] = query->ecs.source_len;
		/* RFC 7871 section 7.2.1: nothing was to be used of a /0, so the answer is for everybody. */
		ecs[7] = query->ecs.source_len ? reply->scope_len : 0;
		memcpy(ecs + 8, query->ecs.addr.bytes, ecs_len - 8);
		at += ecs_len;
	}
	if (__builtin_expect(reply->options || reply->ede, 0))
		at = answer_options_put(reply, at);
	wire_put16(opt + 9, (uint16_t)(at - opt - WIRE_OPT_LEN));
	return (size_t)(at - reply->resp);
}

size_t answer_truncated(struct reply *reply, uint16_t flags)
{
	reply->state->counters.truncated++;
	return answer_finish(reply, answer_start(reply, flags | WIRE_FLAG_TC, 0, 0, 0), 0);
}

size_t answer_rcode(struct reply *reply, enum wire_rcode rcode)
{
	reply->note->kind = ANSWER_KIND_ERROR;
	return answer_finish(reply, answer_start(reply, rcode & 15, 0, 0, 0), rcode >> 4);
}

/* --- answers by kind --- */

static size_t answer_form(struct reply *reply, const struct answer_form *form, uint16_t flags)
{
	const struct answer_store *store = reply->data->store;
	size_t room = reply->body_max - WIRE_HEADER_LEN - reply->query->question_len;
	size_t len = form->bytes_len;
	unsigned additional_n = form->additional_n;
	if (form->authoritative)
		flags |= WIRE_FLAG_AA;
	if (len > room) {
		len = form->required_len;
		additional_n = form->required_additional_n;
		if (len > room)
			return answer_truncated(reply, flags);
	}
	size_t start = answer_start(reply, flags, form->answer_n, form->authority_n, additional_n);
	memcpy(reply->resp + start, store->bytes + form->bytes_off, len);
	if (form->serial_off)
		wire_put32(reply->resp + start + form->serial_off, reply->data->serial);
	int delta = (int)reply->query->qname_len - form->base_qname_len;
	if (delta && form->fixups_n) {
		const uint16_t *fixups = store->fixups + form->fixups_off;
		for (unsigned i = 0; i < form->fixups_n && fixups[i] < len; i++) {
			uint8_t *at = reply->resp + start + fixups[i];
			wire_put16(at, (uint16_t)(wire_get16(at) + delta));
		}
	}
	return answer_finish(reply, start + len, 0);
}

size_t answer_negative(struct reply *reply, const struct store_node *node, enum wire_rcode rcode)
{
	const struct answer_store *store = reply->data->store;
	if (rcode == WIRE_RCODE_NXDOMAIN) {
		reply->note->kind = ANSWER_KIND_NXDOMAIN;
		reply->state->counters.nxdomain++;
	} else {
		reply->note->kind = ANSWER_KIND_NODATA;
		reply->state->counters.noerror++;
	}
	return answer_form(reply, &store->answers[store->zones[node->zone].negative].plain, (uint16_t)rcode);
}

static size_t answer_referral(struct reply *reply, const struct store_node *cut)
{
	reply->note->kind = ANSWER_KIND_REFERRAL;
	reply->state->counters.noerror++;
	return answer_form(reply, &reply->data->store->answers[cut->referral].plain, 0);
}

void answer_match_client(struct reply *reply, struct addr *ret_addr, struct geo_match *ret_match)
{
	const struct wire_query *query = reply->query;
	if (query->has_ecs && query->ecs.source_len)
		*ret_addr = query->ecs.addr;
	else
		addr_from_sockaddr(reply->client->peer, ret_addr);
	if (reply->match)
		*ret_match = *reply->match;
	else
		geo_map_find(reply->data->geo, ret_addr, ret_match);
	reply->scope_len = ret_match->prefix_len;
}

static void count_due(struct due_list *due, uint64_t *counters)
{
	for (uint32_t i = 0; i < due->n; i++)
		counters[due->places[i]]++;
	due->n = 0;
}

static inline void count_later(struct due_list *due, uint64_t *counters, uint16_t place)
{
	if (due->n == ANSWER_DUE_N)
		count_due(due, counters);
	due->places[due->n++] = place;
}

static uint32_t set_for_client(struct reply *reply, const struct pool_slot *slot)
{
	const struct answer_pools *pools = reply->data->pools;
	if (reply->is_located)
		return pools->by_country[slot->ref + reply->country];
	struct addr addr;
	struct geo_match match;
	struct answer_counters *counters = &reply->state->counters;
	answer_match_client(reply, &addr, &match);
	reply->is_located = true;
	reply->country = match.country;
	if (__builtin_expect(reply->state->trace != NULL, 0)) {
		reply->state->trace->by_country = true;
		reply->state->trace->by_subnet = reply->query->has_ecs && reply->query->ecs.source_len;
		reply->state->trace->match = match;
	}
	if (reply->due)
		count_later(&reply->due->countries, reply->state->countries, match.country);
	else
		reply->state->countries[match.country]++;
	counters->pool_geo++;
	if (match.country == COUNTRY_UNKNOWN)
		counters->geo_unknown++;
	return pools->by_country[slot->ref + match.country];
}

struct pool_row answer_choose(struct reply *reply, const struct store_rrset *rrset)
{
	const struct answer_pools *pools = reply->data->pools;
	const struct pool_slot *slot = &pools->slots[rrset->ref];
	answer_trace_slot(reply, rrset->ref);
	uint32_t number = slot->kind == POOL_SLOT_NEAREST ? set_for_client(reply, slot) : slot->ref;
	const struct pool_set *set = &pools->sets[number];
	bool v4 = rrset->type == WIRE_TYPE_A;
	struct pool_row chosen = {
		.list = v4 ? &set->v4 : &set->v6,
		.record_len = v4 ? POOL_RR4_LEN : POOL_RR6_LEN,
	};
	chosen.records = pools->bytes + chosen.list->records_off;
	return chosen;
}

void answer_take_turn(struct reply *reply, struct pool_row *chosen)
{
	const struct answer_pools *pools = reply->data->pools;
	const struct pool_list *list = chosen->list;
	uint32_t *turn = &reply->state->rotation[list->rotation % ANSWER_ROTATION_N];
	uint32_t row = *turn;
	if (row >= list->rows_n)
		row %= list->rows_n; /* the turn of another snapshot or of another answer in the same place */
	*turn = row + 1;
	const uint16_t *first;
	if (list->cycle) {
		first = pools->rows + list->rows_off + row;
		chosen->cycle_start = *first;
	} else {
		first = pools->rows + list->rows_off + (size_t)row * list->take_n;
		chosen->row = first;
	}
	uint16_t mirror = pools->mirrors[list->mirrors_off + *first];
	if (reply->due)
		count_later(&reply->due->first, reply->state->first, mirror);
	else
		reply->state->first[mirror]++;
}

static size_t answer_pool(struct reply *reply, const struct store_node *node, const struct store_rrset *rrset)
{
	struct pool_row chosen = answer_choose(reply, rrset);
	unsigned take_n = chosen.list->take_n;
	if (take_n == 0)
		return answer_negative(reply, node, WIRE_RCODE_NOERROR);
	reply->state->counters.noerror++;
	reply->state->counters.pool++;
	size_t room = reply->body_max - WIRE_HEADER_LEN - reply->query->question_len;
	/* Before a turn is taken: the client comes again over TCP, and would else get every second row only.
	 */
	if (take_n * chosen.record_len > room)
		return answer_truncated(reply, WIRE_FLAG_AA);
	answer_take_turn(reply, &chosen);
	size_t len = answer_start(reply, WIRE_FLAG_AA, take_n, 0, 0);
	uint8_t *at = reply->resp + len;
	/* Two loops, so that each copies a length known to the compiler. */
	if (chosen.record_len == POOL_RR4_LEN) {
		for (unsigned i = 0; i < take_n; i++, at += POOL_RR4_LEN)
			memcpy(at, pool_row_record(&chosen, i), POOL_RR4_LEN);
	} else {
		for (unsigned i = 0; i < take_n; i++, at += POOL_RR6_LEN)
			memcpy(at, pool_row_record(&chosen, i), POOL_RR6_LEN);
	}
	return answer_finish(reply, (size_t)(at - reply->resp), 0);
}

enum wire_rcode answer_slot_failed(struct reply *reply, const struct pool_slot *slot)
{
	reply->ede = reply->data->pools->bytes + slot->ref;
	reply->ede_len = slot->len;
	return WIRE_RCODE_SERVFAIL;
}

static size_t answer_text(struct reply *reply, const struct store_rrset *rrset)
{
	const struct answer_pools *pools = reply->data->pools;
	const struct pool_slot *slot = &pools->slots[rrset->ref];
	answer_trace_slot(reply, rrset->ref);
	if (slot->kind != POOL_SLOT_TEXT) {
		reply->state->counters.servfail++;
		return answer_rcode(reply, answer_slot_failed(reply, slot));
	}
	reply->state->counters.noerror++;
	if (WIRE_HEADER_LEN + (size_t)reply->query->question_len + slot->len > reply->body_max)
		return answer_truncated(reply, WIRE_FLAG_AA);
	size_t len = answer_start(reply, WIRE_FLAG_AA, 1, 0, 0);
	memcpy(reply->resp + len, pools->bytes + slot->ref, slot->len);
	return answer_finish(reply, len + slot->len, 0);
}

static size_t answer_rrset(struct reply *reply, const struct store_node *node,
                           const struct store_rrset *rrset)
{
	reply->note->kind = ANSWER_KIND_POSITIVE;
	reply->note->type = rrset->type;
	if (rrset->source == STORE_POOL)
		return answer_pool(reply, node, rrset);
	if (rrset->source == STORE_TEXT)
		return answer_text(reply, rrset);
	if (rrset->source == STORE_WHOAMI)
		return answer_whoami(reply, rrset);
	reply->state->counters.noerror++;
	return answer_form(reply, &reply->data->store->answers[rrset->ref].plain, 0);
}

/*
 * A name that is there, or the wildcard that stands for it. ANY gets one RRset (RFC 8482 section 4.1), which
 * keeps it from being worth a spoofer's while; outside any-allow not even that, but for a CNAME, which must
 * not be hidden (section 4.2).
 */
static size_t answer_name(struct reply *reply, struct found found)
{
	const struct answer_store *store = reply->data->store;
	const struct store_node *node = found.node;
	uint16_t qtype = reply->query->qtype;
	if (qtype == WIRE_TYPE_DS && node->parent_side != STORE_NONE)
		reply->node = node = &store->nodes[node->parent_side];
	else if ((node->flags & STORE_CUT) && qtype != WIRE_TYPE_DS)
		return answer_referral(reply, node);

	const struct store_rrset *rrset;
	if (qtype == WIRE_TYPE_ANY) {
		if (answer_any_is_closed(reply, node))
			return answer_hinfo(reply);
		rrset = answer_any_rrset(reply, node);
	} else {
		rrset = answer_find_rrset(store, node, qtype);
	}
	if (rrset)
		return answer_rrset(reply, node, rrset);
	if (node->flags & STORE_CNAME)
		return answer_chain(reply, found);
	return answer_negative(reply, node, WIRE_RCODE_NOERROR);
}

static void trace_found(struct answer_trace *trace, enum found_kind kind)
{
	static const enum trace_found found[] = {
		[FOUND_NAME] = TRACE_NAME,       [FOUND_WILDCARD] = TRACE_WILDCARD,
		[FOUND_CUT] = TRACE_DELEGATION,  [FOUND_DNAME] = TRACE_DNAME,
		[FOUND_PING] = TRACE_PING,       [FOUND_NOTHING] = TRACE_NO_NAME,
		[FOUND_OUTSIDE] = TRACE_OUTSIDE,
	};
	trace->found = found[kind];
}

static size_t answer_question(struct reply *reply)
{
	const struct wire_query *query = reply->query;
	struct answer_counters *counters = &reply->state->counters;
	switch (query->qtype) {
	case WIRE_TYPE_AXFR:
	case WIRE_TYPE_IXFR: counters->refused++; return answer_rcode(reply, WIRE_RCODE_REFUSED);
	case WIRE_TYPE_MAILA:
	case WIRE_TYPE_MAILB: counters->notimp++; return answer_rcode(reply, WIRE_RCODE_NOTIMP);
	case 0:
	case WIRE_TYPE_OPT:
	case WIRE_TYPE_TSIG:
	case WIRE_TYPE_TKEY: counters->formerr++; return answer_rcode(reply, WIRE_RCODE_FORMERR);
	default: break;
	}
	struct found found = { FOUND_OUTSIDE, NULL };
	if (query->qclass == WIRE_CLASS_CH)
		return answer_chaos(reply);
	if (query->qclass == WIRE_CLASS_IN) {
		const struct answer_store *store = reply->data->store;
		if (reply->likely && has_name(store, reply->likely, query->qname, query->qname_len))
			found = (struct found){ FOUND_NAME, reply->likely };
		else
			found = answer_find(store, query->qname, query->qname_len, query->label_off,
			                    query->labels_n);
	}
	if (__builtin_expect(reply->state->trace != NULL, 0))
		trace_found(reply->state->trace, found.kind);
	reply->node = found.node;
	reply->note->node = found.node;
	switch (found.kind) {
	case FOUND_NAME:
	case FOUND_WILDCARD: return answer_name(reply, found);
	case FOUND_CUT: return answer_referral(reply, found.node);
	case FOUND_DNAME: return answer_chain(reply, found);
	case FOUND_PING: return answer_ping(reply, found.node);
	case FOUND_NOTHING: return answer_negative(reply, found.node, WIRE_RCODE_NXDOMAIN);
	case FOUND_OUTSIDE: break;
	}
	counters->refused++;
	return answer_rcode(reply, WIRE_RCODE_REFUSED);
}

static size_t answer_parsed(const struct answer_data *data, const struct client *client, const uint8_t *req,
                            struct parsed *parsed, uint8_t *resp, size_t resp_cap, struct answer_state *state,
                            struct answer_note *note)
{
	enum wire_verdict verdict = parsed->verdict;
	struct wire_query *query = &parsed->query;
	struct answer_counters *counters = &state->counters;
	bool udp = client->transport == TRANSPORT_UDP;
	if (udp)
		counters->queries_udp++;
	else if (client->transport == TRANSPORT_TLS)
		counters->queries_tls++;
	else
		counters->queries_tcp++;

	size_t limit = WIRE_MESSAGE_MAX;
	if (udp) {
		limit = WIRE_PLAIN_UDP;
		/* RFC 6891 section 6.2.3: sizes under 512 count as 512. */
		if (query->has_edns && query->edns_size > WIRE_PLAIN_UDP)
			limit = query->edns_size < data->edns_size ? query->edns_size : data->edns_size;
	}
	if (limit > resp_cap)
		limit = resp_cap;

	struct reply reply = {
		.data = data,
		.client = client,
		.req = req,
		.query = query,
		.likely = parsed->likely,
		.due = parsed->due,
		.match = parsed->is_located ? &parsed->match : NULL,
		.state = state,
		.note = note,
		.resp = resp,
		.limit = limit,
	};
	struct answer_options options;
	if (__builtin_expect(query->asked != 0, 0)) {
		verdict = answer_options_begin(&reply, verdict, &options);
		note->cookie_ok = options.cookie_ok;
		/* Kept free from the start: nobody takes a turn in a pool for an answer that does not fit. */
		if (verdict == WIRE_OK)
			limit -= options.len;
	}
	if (verdict == WIRE_OK) {
		counters->edns += query->has_edns;
		counters->ecs += query->has_ecs;
		reply.body_max = limit - (query->has_edns ? WIRE_OPT_LEN + answer_ecs_len(query) : 0);
		return answer_question(&reply);
	}
	query->has_ecs = false;
	switch (verdict) {
	case WIRE_OK: break;
	case WIRE_DROP_SHORT: counters->dropped_short++; return 0;
	case WIRE_DROP_RESPONSE: counters->dropped_response++; return 0;
	case WIRE_NOTIMP: counters->notimp++; return answer_rcode(&reply, WIRE_RCODE_NOTIMP);
	case WIRE_BADVERS: counters->badvers++; return answer_rcode(&reply, WIRE_RCODE_BADVERS);
	case WIRE_COOKIE_ONLY:
		counters->edns++;
		counters->noerror++;
		return answer_rcode(&reply, WIRE_RCODE_NOERROR);
	case WIRE_BADCOOKIE:
		counters->edns++;
		counters->badcookie++;
		return answer_rcode(&reply, WIRE_RCODE_BADCOOKIE);
	case WIRE_FORMERR: break;
	}
	counters->formerr++;
	return answer_rcode(&reply, WIRE_RCODE_FORMERR);
}

size_t answer_query(const struct answer_data *data, const struct client *client, const uint8_t *req,
                    size_t req_len, uint8_t *resp, size_t resp_cap, struct answer_state *state)
{
	struct parsed parsed;
	struct answer_note note;
	parsed.is_located = false;
	parsed.likely = NULL;
	parsed.due = NULL;
	parsed.verdict = wire_query_parse(req, req_len, &parsed.query);
	return answer_parsed(data, client, req, &parsed, resp, resp_cap, state, &note);
}

void answer_queries(const struct answer_data *data, struct answer_request *requests, size_t requests_n,
                    uint8_t *resp, struct answer_state *state)
{
	struct parsed group[ANSWER_GROUP_N];
	struct answer_due due;
	due.countries.n = 0;
	due.first.n = 0;
	while (requests_n) {
		size_t n = requests_n < ANSWER_GROUP_N ? requests_n : ANSWER_GROUP_N;
		for (size_t i = 0; i < n; i++) {
			group[i].is_located = false;
			group[i].likely = NULL;
			group[i].due = &due;
			group[i].verdict =
			        wire_query_parse(requests[i].req, requests[i].req_len, &group[i].query);
		}
		if (n > 1)
			answer_prefetch(data, state, group, n);
		for (size_t i = 0; i < n; i++) {
			struct answer_request *request = &requests[i];
			request->resp = resp;
			request->note = (struct answer_note){ .kind = ANSWER_KIND_ERROR };
			request->resp_len = answer_parsed(data, &request->client, request->req, &group[i],
			                                  resp, ANSWER_UDP_MAX, state, &request->note);
			resp += (request->resp_len + 15) / 16 * 16;
		}
		requests += n;
		requests_n -= n;
	}
	count_due(&due.countries, state->countries);
	count_due(&due.first, state->first);
}

void answer_truncate(struct answer_request *request)
{
	const struct answer_note *note = &request->note;
	uint8_t *resp = request->resp;
	size_t opt_len = request->resp_len - note->opt_off;
	memmove(resp + note->body_off, resp + note->opt_off, opt_len);
	uint16_t flags = wire_get16(resp + 2);
	wire_put16(resp + 2, (uint16_t)((flags & ~15U) | WIRE_FLAG_TC));
	memset(resp + 6, 0, 4);
	wire_put16(resp + 10, opt_len ? 1 : 0);
	request->resp_len = note->body_off + opt_len;
}
