/*
 * Inside answer/: one query on its way, shared by the usual path (answer.c) and the one that puts an answer
 * together from several names (chain.c).
 */
#ifndef DNSD_ANSWER_ANSWER_INT_H
#define DNSD_ANSWER_ANSWER_INT_H

#include "answer/answer.h"
#include "answer/data.h"
#include "answer/trace.h"
#include "wire/query.h"

/** Options that were asked for, and what the answer says in them. */
struct answer_options {
	size_t len; /* of all of them, code and length included; without padding */
	bool has_zoneversion;
	bool has_cookie;
	bool has_keepalive;
	bool is_padded;
	bool cookie_ok; /* the query had a valid server cookie */
	uint16_t idle_100ms;
	uint8_t nsid_len;
	const char *nsid; /* [nsid_len] the server's id; NULL = not told */
	uint8_t server_cookie[WIRE_COOKIE_SERVER_LEN];
};

/* Requests that are counted together. */
#define ANSWER_DUE_N 64

/** Counters that are due one more, by their place: of several at once the ways to memory overlap. */
struct due_list {
	uint32_t n;
	uint16_t places[ANSWER_DUE_N];
};

struct answer_due {
	struct due_list countries; /* of answer_state.countries */
	struct due_list first;     /* of answer_state.first */
};

/** A request between its parsing and its answer. */
struct parsed {
	enum wire_verdict verdict;
	bool is_located;                 /* match is known */
	struct geo_match match;          /* of the client subnet */
	const struct store_node *likely; /* has the hash of the name; NULL = none has, or nobody looked */
	struct answer_due *due;          /* NULL = count at once */
	struct wire_query query;
};

/* As many as hide the way to memory; more would only push each other out of the first cache. */
#define ANSWER_GROUP_N 16

/**
 * Fetch into the cache what the answers to a group (n <= ANSWER_GROUP_N) will read. It has no say in them;
 * nodes and countries that it has found on the way it leaves in the group.
 */
void answer_prefetch(const struct answer_data *data, const struct answer_state *state, struct parsed *group,
                     size_t n);

struct reply {
	const struct answer_data *data;
	const struct client *client;
	const uint8_t *req;
	struct wire_query *query;
	const struct store_node *likely; /* likely and due: see struct parsed */
	struct answer_due *due;
	const struct geo_match *match; /* where the client subnet is; NULL = not known yet */
	struct answer_state *state;
	struct answer_note *note;
	uint8_t *resp;
	size_t limit;                  /* of the whole message */
	size_t body_max;               /* where the sections must end, so that the OPT record still fits */
	uint8_t scope_len;             /* for the client subnet option */
	bool is_located;               /* country is known: a request for ANY comes by more than once */
	uint16_t country;              /* of who asks */
	const struct store_node *node; /* a name of the zone that answers; NULL = none does */
	const struct answer_options *options; /* NULL = nothing was asked for by options */
	const uint8_t *ede;                   /* [ede_len] extended error; sent when there is room for it */
	size_t ede_len;
};

/** Where a name leads (RFC 1034 section 4.3.2 step 3). */
enum found_kind {
	FOUND_NAME,     /* the name exists */
	FOUND_WILDCARD, /* it does not, but "*" below its closest encloser does */
	FOUND_CUT,      /* it is below a delegation */
	FOUND_DNAME,    /* it is below a DNAME */
	FOUND_PING,     /* it is a usage report */
	FOUND_NOTHING,  /* in a zone of ours, NXDOMAIN */
	FOUND_OUTSIDE,  /* in no zone of ours */
};

struct found {
	enum found_kind kind;
	const struct store_node
	        *node; /* the name, the wildcard, the cut, the owner of the DNAME, or the closest encloser */
};

/**
 * name       lower case, zero-padded to whole words and eight bytes more
 * label_off  where each label starts, the root last
 */
struct found answer_find(const struct answer_store *store, const uint8_t *name, unsigned name_len,
                         const uint8_t *label_off, unsigned labels_n);

const struct store_rrset *answer_find_rrset(const struct answer_store *store, const struct store_node *node,
                                            uint16_t type);

static inline void answer_trace_slot(struct reply *reply, uint32_t slot)
{
	struct answer_trace *trace = reply->state->trace;
	if (__builtin_expect(trace != NULL, 0)) {
		trace->has_slot = true;
		trace->slot = slot;
	}
}

/** The next row of a pool's answer. */
struct pool_row {
	const struct pool_list *list; /* NULL: the slot is out of order (SERVFAIL) */
	const uint8_t *records;       /* all of the list, record_len apart */
	const uint16_t *row;          /* take_n numbers, when the list has rows */
	uint32_t cycle_start;         /* else the first one, to go round from */
	size_t record_len;
};

/** Choose a list, by country where the name is of that kind. Sets reply->scope_len. take_n may be 0. */
struct pool_row answer_choose(struct reply *reply, const struct store_rrset *rrset);
/** Take the next row of a list that is not empty; only for an answer that fits. */
void answer_take_turn(struct reply *reply, struct pool_row *chosen);

const struct store_rrset *answer_any_rrset(struct reply *reply, const struct store_node *node);
static inline const uint8_t *pool_row_record(const struct pool_row *row, uint32_t i)
{
	uint32_t number;
	if (row->list->cycle) {
		number = row->cycle_start + i;
		if (number >= row->list->records_n)
			number -= row->list->records_n;
	} else {
		number = row->row[i];
	}
	return row->records + number * row->record_len;
}

/** Header and question of the answer; the sections follow at the returned offset. */
size_t answer_start(struct reply *reply, uint16_t flags, unsigned answer_n, unsigned authority_n,
                    unsigned additional_n);
/** Append OPT to len bytes of answer. Returns the final length. */
size_t answer_finish(struct reply *reply, size_t len, unsigned extended_rcode);
/** An answer of nothing but its RCODE. */
size_t answer_rcode(struct reply *reply, enum wire_rcode rcode);
/** What was asked for does not fit: an empty answer with TC (RFC 2181 section 9). */
size_t answer_truncated(struct reply *reply, uint16_t flags);

/** No such type, or no such name: the zone's SOA says for how long (RFC 2308 section 3). */
size_t answer_negative(struct reply *reply, const struct store_node *node, enum wire_rcode rcode);

/** A slot of pools that cannot be answered from: why, for the extended error. Returns the RCODE. */
enum wire_rcode answer_slot_failed(struct reply *reply, const struct pool_slot *slot);

/** Where whoever asks is, by client subnet or source address. Sets reply->scope_len. ret_addr: which address
 * that was. */
void answer_match_client(struct reply *reply, struct addr *ret_addr, struct geo_match *ret_match);

/** Is the source address in one of these networks? None given: everybody is. */
bool answer_is_allowed(const struct reply *reply, const struct prefix *allow, uint32_t allow_n);
/** Is who asks for ANY to get no RRset of this name? But for a CNAME, which must not be hidden (RFC 8482
 * section 4.2). */
bool answer_any_is_closed(const struct reply *reply, const struct store_node *node);
/** The answer to ANY for those who get no RRset (RFC 8482 section 4.2). */
size_t answer_hinfo(struct reply *reply);
/** Length of the client subnet option of the answer; 0 = it has none. */
static inline size_t answer_ecs_len(const struct wire_query *query)
{
	return query->has_ecs ? 8U + (query->ecs.source_len + 7U) / 8 : 0;
}

/**
 * Look at the options of a query that asks for something by them. reply->limit is set; reply->options will
 * be. With FORMERR and NOTIMP they are the cookie at most.
 *
 * verdict  OK, COOKIE_ONLY, FORMERR or NOTIMP: what the query was found to be
 * Returns  the same, FORMERR, or BADCOOKIE
 */
enum wire_verdict answer_options_begin(struct reply *reply, enum wire_verdict verdict,
                                       struct answer_options *ret_options);
/** Put the options that were asked for, and an extended error and padding if they have room, behind the
 * others of the OPT record. Returns where they end. */
uint8_t *answer_options_put(const struct reply *reply, uint8_t *at);

/** A usage report: count it by mirror. node: the name below which reports are taken. */
size_t answer_ping(struct reply *reply, const struct store_node *node);
/** A question of class CH: what server is this (RFC 4892)? */
size_t answer_chaos(struct reply *reply);
/** The TXT record of whoami. */
size_t answer_whoami(struct reply *reply, const struct store_rrset *rrset);

/** The serial that the SOA of this zone is answered with. */
static inline uint32_t answer_zone_serial(const struct answer_data *data, const struct store_zone *zone)
{
	if (zone->flags & STORE_ZONE_DYNAMIC)
		return data->serial;
	return store_zone_serial(data->store, zone);
}

/** An answer that follows CNAME and DNAME records (RFC 1034 section 4.3.2 step 3a, RFC 6672 section 3.2). */
size_t answer_chain(struct reply *reply, struct found found);

#endif
