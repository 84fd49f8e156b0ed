#include "answer/answer_int.h"
#include "wire/name.h"
#include "wire/writer.h"

/*
 * Links followed in one answer. A longer chain, or a loop, ends the answer there: the resolver asks on with
 * the last target, and nobody can make us work for more than this.
 */
#define CHAIN_LINKS_MAX 16

/* A name that the chain has come through, and what led on from it. */
struct passed {
	const struct store_node *node; /* the owner of the CNAME or DNAME */
	unsigned name_len;
	uint8_t name[WIRE_NAME_MAX];
};

struct chain {
	struct reply *reply;
	struct wire_writer writer;
	uint16_t zone; /* links are followed inside the zone of the question */
	unsigned answer_n;
	unsigned authority_n;
	enum wire_rcode rcode;
	struct passed *passed; /* room for CHAIN_LINKS_MAX */
	unsigned passed_n;
	/* The name the chain has come to, lower case, padded as answer_find() wants it. */
	uint8_t name[264] __attribute__((aligned(8)));
	uint8_t label_off[WIRE_LABELS_MAX + 1];
	unsigned name_len;
	unsigned labels_n;
};

static void chain_go_to(struct chain *chain, const uint8_t *name)
{
	chain->name_len = (unsigned)name_len(name, WIRE_NAME_MAX);
	memcpy(chain->name, name, chain->name_len);
	memset(chain->name + chain->name_len, 0, sizeof(chain->name) - chain->name_len);
	name_lower(chain->name, chain->name_len);
	chain->labels_n = 0;
	unsigned off = 0;
	while (chain->name[off]) {
		chain->label_off[chain->labels_n++] = (uint8_t)off;
		off += chain->name[off] + 1U;
	}
	chain->label_off[chain->labels_n] = (uint8_t)off;
}

struct stored_record {
	uint32_t ttl_s;
	uint16_t rdata_len;
	const uint8_t *rdata;
};

static const uint8_t *next_record(const uint8_t *at, struct stored_record *ret_record)
{
	memcpy(&ret_record->ttl_s, at, 4);
	memcpy(&ret_record->rdata_len, at + 4, 2);
	ret_record->rdata = at + 6;
	return at + 6 + ret_record->rdata_len;
}

/* owner_off: where the owner stands in the message already; 0 = it is written. Returns where it stands then,
 * 0 = unknown. */
static size_t add_record(struct chain *chain, const uint8_t *owner, size_t owner_off, uint16_t type,
                         const struct stored_record *record)
{
	size_t start = chain->writer.len;
	wire_writer_record(&chain->writer, owner, owner_off, type, record->ttl_s, record->rdata,
	                   record->rdata_len);
	chain->answer_n++;
	if (owner_off || chain->writer.full)
		return owner_off;
	uint16_t first = wire_get16(chain->writer.data + start);
	if ((first & WIRE_POINTER) == WIRE_POINTER)
		return first & WIRE_POINTER_MAX;
	return start <= WIRE_POINTER_MAX ? start : 0;
}

/* Behind a SOA just written: in a zone with pools its serial is that of the snapshot. */
static void set_serial(struct chain *chain)
{
	const struct answer_data *data = chain->reply->data;
	if (!chain->writer.full && data->store->zones[chain->zone].flags & STORE_ZONE_DYNAMIC)
		wire_put32(chain->writer.data + chain->writer.len - WIRE_SOA_FIXED_LEN, data->serial);
}

static void add_static(struct chain *chain, const struct store_rrset *rrset)
{
	const uint8_t *at = chain->reply->data->store->bytes + rrset->records_off;
	size_t owner_off = 0;
	for (uint32_t i = 0; i < rrset->records_n && !chain->writer.full; i++) {
		struct stored_record record;
		at = next_record(at, &record);
		owner_off = add_record(chain, chain->name, owner_off, rrset->type, &record);
		if (rrset->type == WIRE_TYPE_SOA)
			set_serial(chain);
	}
}

/* Records made ready for another owner: what stands behind their owner pointer. */
static size_t add_ready(struct chain *chain, const uint8_t *ready, size_t owner_off, uint16_t type)
{
	struct stored_record record = { .ttl_s = wire_get32(ready + 6),
		                        .rdata_len = wire_get16(ready + 10),
		                        .rdata = ready + 12 };
	return add_record(chain, chain->name, owner_off, type, &record);
}

static void add_negative(struct chain *chain, enum wire_rcode rcode)
{
	const struct answer_store *store = chain->reply->data->store;
	const struct store_zone *zone = &store->zones[chain->zone];
	const struct store_node *apex = &store->nodes[zone->apex];
	wire_writer_record(&chain->writer, store->bytes + apex->name_off, 0, WIRE_TYPE_SOA, zone->soa_ttl_s,
	                   store->bytes + zone->soa_off, zone->soa_len);
	set_serial(chain);
	chain->authority_n = 1;
	chain->rcode = rcode;
}

static void add_rrset(struct chain *chain, const struct store_rrset *rrset)
{
	const struct answer_pools *pools = chain->reply->data->pools;
	if (rrset->source == STORE_STATIC) {
		add_static(chain, rrset);
	} else if (rrset->source == STORE_POOL) {
		struct pool_row row = answer_choose(chain->reply, rrset);
		unsigned take_n = row.list->take_n;
		if (take_n == 0) {
			add_negative(chain, WIRE_RCODE_NOERROR);
		} else if (take_n * row.record_len > chain->writer.limit - chain->writer.len) {
			chain->writer.full = true; /* no turn is taken for a truncated answer */
		} else {
			size_t owner_off = 0;
			answer_take_turn(chain->reply, &row);
			chain->reply->state->counters.pool++;
			for (uint32_t i = 0; i < take_n; i++)
				owner_off =
				        add_ready(chain, pool_row_record(&row, i), owner_off, rrset->type);
		}
	} else if (rrset->source == STORE_TEXT) {
		const struct pool_slot *slot = &pools->slots[rrset->ref];
		answer_trace_slot(chain->reply, rrset->ref);
		if (slot->kind == POOL_SLOT_TEXT)
			add_ready(chain, pools->bytes + slot->ref, 0, rrset->type);
		else
			chain->rcode = answer_slot_failed(chain->reply, slot);
	}
}

static bool has_passed_node(const struct chain *chain, const struct store_node *node)
{
	for (unsigned i = 0; i < chain->passed_n; i++) {
		if (chain->passed[i].node == node)
			return true;
	}
	return false;
}

/* From the name the chain is at, by the record of node, to the next. Returns true when the chain goes on: it
 * has not been there, and there are links left. */
static bool chain_follow(struct chain *chain, const struct store_node *node, const uint8_t *target)
{
	struct passed *passed = &chain->passed[chain->passed_n++];
	passed->node = node;
	passed->name_len = chain->name_len;
	memcpy(passed->name, chain->name, chain->name_len);
	chain_go_to(chain, target);
	/* By name: a wildcard or a DNAME leads on from many. */
	for (unsigned i = 0; i < chain->passed_n; i++) {
		if (name_equal(chain->passed[i].name, chain->passed[i].name_len, chain->name,
		               chain->name_len))
			return false;
	}
	return chain->passed_n < CHAIN_LINKS_MAX;
}

/* A link: the CNAME at this name. Returns true when the chain goes on. */
static bool follow_cname(struct chain *chain, const struct store_node *node)
{
	const struct answer_store *store = chain->reply->data->store;
	const struct store_rrset *rrset = answer_find_rrset(store, node, WIRE_TYPE_CNAME);
	struct stored_record record;
	next_record(store->bytes + rrset->records_off, &record);
	add_record(chain, chain->name, 0, WIRE_TYPE_CNAME, &record);
	return chain_follow(chain, node, record.rdata);
}

/*
 * A link by DNAME (RFC 6672 section 3.2): the record itself, then a CNAME made of it, with the same TTL
 * (section 3.1). A target that would be too long is YXDOMAIN.
 */
static bool follow_dname(struct chain *chain, const struct store_node *node)
{
	const struct answer_store *store = chain->reply->data->store;
	const struct store_rrset *rrset = answer_find_rrset(store, node, WIRE_TYPE_DNAME);
	struct stored_record dname;
	next_record(store->bytes + rrset->records_off, &dname);
	bool at_question = chain->answer_n == 0;
	/* Names may come through the same DNAME again, grown or shortened; the record itself stands once. */
	if (!has_passed_node(chain, node))
		add_record(chain, store->bytes + node->name_off, 0, WIRE_TYPE_DNAME, &dname);

	unsigned prefix_len = chain->name_len - node->name_len;
	if (prefix_len + dname.rdata_len > WIRE_NAME_MAX) {
		chain->rcode = WIRE_RCODE_YXDOMAIN;
		return false;
	}
	uint8_t target[WIRE_NAME_MAX];
	memcpy(target, chain->name, prefix_len);
	/* While it is still the question's own name, keep the case it was asked in. */
	if (at_question)
		memcpy(target, chain->reply->req + WIRE_HEADER_LEN, prefix_len);
	memcpy(target + prefix_len, dname.rdata, dname.rdata_len);
	struct stored_record cname = { .ttl_s = dname.ttl_s,
		                       .rdata_len = (uint16_t)(prefix_len + dname.rdata_len),
		                       .rdata = target };
	add_record(chain, chain->name, 0, WIRE_TYPE_CNAME, &cname);
	return chain_follow(chain, node, target);
}

/* One name of the chain. Returns true when it leads to another one. */
static bool chain_step(struct chain *chain, struct found found)
{
	const struct answer_store *store = chain->reply->data->store;
	/* Outside the zone, or in somebody else's part of it: the resolver knows best whom to ask. */
	if (found.kind == FOUND_OUTSIDE || found.node->zone != chain->zone || found.kind == FOUND_CUT)
		return false;
	switch (found.kind) {
	case FOUND_DNAME: return follow_dname(chain, found.node);
	case FOUND_NOTHING: add_negative(chain, WIRE_RCODE_NXDOMAIN); return false;
	case FOUND_PING: add_negative(chain, WIRE_RCODE_NOERROR); return false;
	default: break;
	}
	uint16_t qtype = chain->reply->query->qtype;
	if ((found.node->flags & STORE_CUT) && qtype != WIRE_TYPE_DS)
		return false;
	if (qtype == WIRE_TYPE_ANY && answer_any_is_closed(chain->reply, found.node))
		return false; /* the alias is enough of an answer */
	const struct store_rrset *rrset;
	if (qtype == WIRE_TYPE_ANY)
		rrset = answer_any_rrset(chain->reply, found.node);
	else
		rrset = answer_find_rrset(store, found.node, qtype);
	if (rrset && rrset->type == WIRE_TYPE_DNAME && found.kind == FOUND_NAME &&
	    has_passed_node(chain, found.node))
		return false; /* it stands in the answer already */
	if (rrset)
		add_rrset(chain, rrset);
	else if (found.node->flags & STORE_CNAME)
		return follow_cname(chain, found.node);
	else
		add_negative(chain, WIRE_RCODE_NOERROR);
	return false;
}

size_t answer_chain(struct reply *reply, struct found found)
{
	struct passed passed[CHAIN_LINKS_MAX];
	struct chain chain = { .reply = reply, .zone = found.node->zone, .passed = passed };
	const struct wire_query *query = reply->query;
	size_t start = answer_start(reply, WIRE_FLAG_AA, 0, 0, 0);
	wire_writer_init(&chain.writer, reply->resp, start, reply->body_max);
	if (query->qname_len > 1)
		wire_writer_know(&chain.writer, WIRE_HEADER_LEN);
	chain_go_to(&chain, query->qname);

	while (chain_step(&chain, found) && !chain.writer.full)
		found = answer_find(reply->data->store, chain.name, chain.name_len, chain.label_off,
		                    chain.labels_n);

	struct answer_counters *counters = &reply->state->counters;
	reply->note->kind = chain.rcode == WIRE_RCODE_SERVFAIL ? ANSWER_KIND_ERROR : ANSWER_KIND_POSITIVE;
	if (chain.rcode == WIRE_RCODE_NXDOMAIN)
		counters->nxdomain++;
	else if (chain.rcode == WIRE_RCODE_SERVFAIL)
		counters->servfail++;
	else
		counters->noerror++;
	uint16_t flags = (uint16_t)(WIRE_FLAG_AA | chain.rcode);
	if (chain.writer.full)
		return answer_truncated(reply, flags);
	answer_start(reply, flags, chain.answer_n, chain.authority_n, 0);
	return answer_finish(reply, chain.writer.len, 0);
}
