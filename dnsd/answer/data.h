/*
 * data: all that a query needs, as flat tables. Built at load, then read-only.
 *
 *     answer_data ── store   what the zone files say: names, and for each type of a name a ready-made answer
 *                 ├─ pools   what changes while we run: members of each pool name, the version records
 *                 └─ geo     address -> country
 *
 * The store of a zone does not change when a mirror goes; so the two are separate objects, and a name of the
 * store that belongs to a pool holds a slot number that the pools object resolves.
 *
 *     name ──hash──> store_node ── store_rrset {type, STATIC, answer} ──> bytes of a whole answer behind the
 * question └─ store_rrset {type, POOL,   slot  } ──> pool_slot ──> pool_set ──> A list, AAAA list
 *
 * Everything is numbered by offsets into arrays, so that one object is a handful of blocks.
 */
#ifndef DNSD_ANSWER_DATA_H
#define DNSD_ANSWER_DATA_H

#include <stdint.h>

#include "answer/cookie.h"
#include "answer/geo_map.h"
#include "base/addr.h"
#include "wire/wire.h"

/*
 * A ready-made answer: what follows the question, names compressed. Pointers into the question's name and
 * behind it assume a QNAME of base_qname_len bytes; for wildcards, referrals and negative answers the real
 * QNAME has another length, and each pointer listed in fixups moves by the difference.
 */
struct answer_form {
	uint32_t bytes_off;  /* in store.bytes */
	uint32_t fixups_off; /* in store.fixups; each a position in the bytes */
	uint16_t bytes_len;
	uint16_t fixups_n;
	uint16_t answer_n, authority_n, additional_n;
	uint16_t required_len; /* what may not be left out without TC (RFC 2181 section 9, RFC 9471) */
	uint16_t required_additional_n;
	uint8_t base_qname_len;
	uint8_t authoritative; /* AA */
	uint16_t serial_off;   /* in the bytes: the SOA's serial, in a zone that answers with
	                          answer_data.serial;   0 = none */
};

/* With room for the form that goes to clients that set DO, once zones are signed. */
struct answer {
	struct answer_form plain;
	struct answer_form secure; /* bytes_len 0 = none */
};

enum store_source {
	STORE_STATIC, /* ref = index in store.answers */
	STORE_POOL,   /* ref = slot in pools.slots, addresses of the RRset's type */
	STORE_TEXT,   /* ref = slot in pools.slots, a TXT record */
	STORE_WHOAMI, /* ref, records_n = who may ask: a range of store.prefixes */
};

struct store_rrset {
	uint16_t type;
	uint8_t source; /* enum store_source */
	uint32_t ref;
	/* STATIC only, for chains: count records of {ttl u32, len u16, RDATA uncompressed} in store.bytes,
	 * host order */
	uint32_t records_off;
	uint32_t records_n;
};

enum store_flags {
	STORE_APEX = 1 << 0,
	STORE_CUT = 1 << 1, /* a delegation: what is below is somebody else's */
	STORE_DNAME = 1 << 2,
	STORE_CNAME = 1 << 3,
	STORE_PING = 1 << 4, /* names below are usage reports of old clients */
};

#define STORE_NONE UINT32_MAX

struct store_node {
	uint32_t name_off;    /* in store.bytes: lower case, zero-padded to 8 */
	uint32_t rrsets_off;  /* in store.rrsets, sorted by type */
	uint32_t wildcard;    /* node of "*.NAME", or STORE_NONE */
	uint32_t parent_side; /* at an apex: node for what the parent zone says of this name (DS), or
	                         STORE_NONE */
	uint32_t referral;    /* at a cut: index in store.answers */
	uint16_t rrsets_n;
	uint16_t zone;
	uint8_t name_len;
	uint8_t labels_n;
	uint8_t flags;
};

enum store_zone_flags {
	STORE_ZONE_DYNAMIC = 1 << 0, /* has pools or version records: its SOA serial is answer_data.serial */
};

struct store_zone {
	uint32_t apex;     /* node */
	uint32_t negative; /* answer: the SOA at the negative TTL (RFC 2308 section 3), in the authority
	                      section */
	uint32_t soa_off;  /* in store.bytes: the SOA's RDATA, uncompressed */
	uint16_t soa_len;
	uint32_t soa_ttl_s; /* negative TTL */
	uint8_t flags;
};

struct store_slot {
	uint32_t hash;
	uint32_t node_plus_1; /* 0 = empty */
};

struct answer_store {
	const struct store_slot *slots; /* open addressing, linear probing, at most half full */
	uint32_t slots_mask;
	uint32_t labels_max; /* the deepest name: no need to look for longer ones */
	const struct store_node *nodes;
	const struct store_rrset *rrsets;
	const struct answer *answers;
	const struct store_zone *zones;
	const uint16_t *fixups;
	const uint8_t *bytes;
	const struct prefix *prefixes;
	uint32_t nodes_n, rrsets_n, answers_n, zones_n, fixups_n, bytes_len;
	uint32_t names_n; /* names in zone files and pools, without empty non-terminals */
	unsigned refs;
};

/* Addresses of one family of a set, as records ready to copy: pointer to QNAME, type, class, TTL, length,
 * address. */
#define POOL_RR4_LEN 16
#define POOL_RR6_LEN 28

struct pool_list {
	uint32_t records_off; /* in pools.bytes */
	uint32_t mirrors_off; /* in pools.mirrors: whose each record is */
	uint32_t rows_off;    /* in pools.rows: rows_n rows of take_n record numbers; used when cycle is 0 */
	uint32_t rows_n;
	uint16_t records_n;
	uint16_t take_n;   /* records in one answer */
	uint16_t rotation; /* slot in answer_state.rotation */
	uint8_t cycle; /* a long list: rows hold one number each, where the cycle through the records starts
	                */
};

/* Who is in the answer: both families from one decision. */
struct pool_set {
	struct pool_list v4;
	struct pool_list v6;
};

enum pool_slot_kind {
	POOL_SLOT_SET,     /* ref = set */
	POOL_SLOT_NEAREST, /* ref = first of COUNTRY_N entries in pools.by_country, each a set */
	POOL_SLOT_TEXT,    /* ref = offset in pools.bytes of a whole TXT record, len its length */
	POOL_SLOT_FAIL, /* SERVFAIL: the version record has no trustworthy source. ref = offset in pools.bytes
	                   of an extended error (RFC 8914 section 2: INFO-CODE and text), len its length */
};

struct pool_slot {
	uint8_t kind; /* enum pool_slot_kind */
	uint16_t len;
	uint32_t ref;
};

/** Whose an address is: a table by hash, linear probing. */
struct pool_address {
	struct addr addr; /* family 0 = empty */
	uint16_t mirror;  /* place in answer_state.pings */
};

struct answer_pools {
	const struct pool_slot *slots;
	const struct pool_set *sets;
	const uint32_t *by_country;
	const uint16_t *rows;
	const uint8_t *bytes;
	const uint16_t *mirrors; /* places in answer_state.first */
	const struct pool_address *addresses;
	uint32_t addresses_mask;
	uint32_t slots_n, sets_n, by_country_n, rows_n, bytes_len;
	unsigned refs;
};

/** What the server says of itself, each the text of a TXT string; empty = not told. */
struct answer_ident {
	char id[256];      /* server.id */
	char version[256]; /* server.version-text */
	char state[256];   /* "generation=7 serial=1700000000 mirrors=12/13" */
	char generation[24];
};

/** Source addresses that may ask for something; none = everybody. */
struct answer_access {
	const struct prefix *chaos; /* names of class CH; others are refused */
	const struct prefix *any;   /* ANY; others get a HINFO */
	uint32_t chaos_n, any_n;
};

struct answer_data {
	const struct answer_store *store;
	const struct answer_pools *pools;
	const struct geo_map *geo;            /* NULL: every client is of unknown country */
	uint16_t edns_size;                   /* largest UDP answer, and what we advertise */
	uint32_t serial;                      /* SOA serial of all zones that have STORE_ZONE_DYNAMIC */
	const struct answer_ident *ident;     /* NULL: nothing is told */
	const struct answer_cookies *cookies; /* NULL: cookies are ignored */
	/* Not for answer_query(): peers that say with a PROXY header who asks, see net/proxy.h */
	const struct prefix *front_ends;
	size_t front_ends_n;
	struct answer_access access;
};

/** The serial that a zone's file gives. */
static inline uint32_t store_zone_serial(const struct answer_store *store, const struct store_zone *zone)
{
	return wire_get32(store->bytes + zone->soa_off + zone->soa_len - WIRE_SOA_FIXED_LEN);
}

static inline uint32_t pool_address_hash(const struct addr *addr)
{
	uint64_t high;
	uint64_t low;
	__builtin_memcpy(&high, addr->bytes, 8);
	__builtin_memcpy(&low, addr->bytes + 8, 8);
	uint64_t hash = (high ^ (low * 0x9e3779b97f4a7c15U)) * 0xd6e8feb86659fd93U;
	return (uint32_t)(hash ^ hash >> 32);
}

/* The hash of a lower-case name, zero-padded to whole 8-byte words. Same for builder and query. */
static inline uint32_t store_hash(const uint8_t *name, uint32_t len)
{
	uint64_t hash = 0x9e3779b97f4a7c15U ^ len;
	for (uint32_t i = 0; i < len; i += 8) {
		uint64_t word;
		__builtin_memcpy(&word, name + i, 8);
		hash = (hash ^ word) * 0xd6e8feb86659fd93U;
		hash ^= hash >> 32;
	}
	return (uint32_t)hash;
}

#endif
