/*
 * Inside answer/: what the builder of the store (store_build.c: which names there are) and the maker of its
 * answers (store_answer.c: the bytes of each answer) share.
 */
#ifndef DNSD_ANSWER_STORE_BUILD_INT_H
#define DNSD_ANSWER_STORE_BUILD_INT_H

#include <stdbool.h>

#include "answer/store_build.h"
#include "base/arena.h"
#include "base/grow.h"
#include "wire/wire.h"

/* A zone's answers are made in a buffer of one message; what two OPT and client subnet bytes take is left
 * free. */
#define TEMPLATE_MAX (WIRE_MESSAGE_MAX - WIRE_OPT_LEN - WIRE_OPTIONS_MAX)
#define POINTERS_MAX 8192

struct build_record {
	uint32_t next; /* index + 1 of the next record of the name; 0 = last */
	uint32_t ttl_s;
	uint32_t ref;     /* slot, for names of a pool; first prefix, for whoami */
	uint32_t allow_n; /* prefixes, for whoami */
	const uint8_t *rdata;
	uint16_t rdata_len;
	uint16_t type;
	uint8_t source; /* enum store_source */
	const char *file;
	unsigned line;
};

struct build_node {
	const uint8_t *name; /* padded to 8 */
	uint32_t hash;
	uint32_t records; /* index + 1 of the newest record */
	uint32_t parent;  /* the name one label up in the same zone; own index at the apex */
	uint32_t out;     /* number in the store, STORE_NONE = not served */
	uint16_t zone;
	uint8_t name_len;
	uint8_t labels_n;
	bool has_ns, has_cname, has_dname, ping;
	bool parent_side; /* this zone has the name only as the parent of another zone we serve */
};

struct build_zone {
	uint32_t apex;
	bool has_inner; /* another zone lies inside; known while the store is made */
	bool dynamic;   /* answers from pools are in it */
};

struct store_builder {
	struct arena arena;   /* names */
	struct grow nodes;    /* struct build_node */
	struct grow records;  /* struct build_record */
	struct grow zones;    /* struct build_zone */
	uint16_t *zone_slots; /* hash table of zone number + 1, by the name of the apex */
	uint32_t zone_slots_n;
	uint32_t *slots; /* hash table of node index + 1, by (zone, name) */
	uint32_t slots_n;

	/* While the store is made: */
	struct grow out_nodes, out_rrsets, out_answers, out_fixups, out_bytes, out_zones, out_prefixes;
	uint8_t *message;
	uint16_t *pointers;
	struct diag *diag;
	bool failed; /* an RRset was refused */
};

static inline struct build_node *node_at(const struct store_builder *builder, uint32_t index)
{
	return (struct build_node *)builder->nodes.items + index;
}

static inline struct build_record *record_at(const struct store_builder *builder, uint32_t index)
{
	return (struct build_record *)builder->records.items + index;
}

static inline bool is_wildcard_name(const uint8_t *name)
{
	return name[0] == 1 && name[1] == '*';
}

/** Index + 1 of a name of a zone in its place of the hash table; 0 when it is not there. */
uint32_t *store__find_slot(const struct store_builder *builder, uint32_t hash, uint16_t zone,
                           const uint8_t *name, size_t name_len);
/** Hash of a lower-case name; copy gets it zero-padded. */
uint32_t store__hash_name(const uint8_t *name, size_t name_len, uint8_t copy[264]);

/** Number + 1 of the zone of exactly this name in its place of the hash table; 0 when there is none. */
uint16_t *store__find_zone_slot(const struct store_builder *builder, const uint8_t *name, size_t name_len);
/** Room for one zone more in that table. Returns 0 or -ENOMEM. */
int store__grow_zone_slots(struct store_builder *builder);
/** Note which zones have others inside; before the two below. */
void store__note_inner_zones(struct store_builder *builder);
/** The deepest zone whose apex is at or above the name. */
uint16_t store__deepest_zone(const struct store_builder *builder, const struct build_node *node,
                             bool *ret_at_apex);
/** The zone around another one, of those served here; itself when there is none. */
uint16_t store__parent_zone(const struct store_builder *builder, uint16_t child);

/** The static records of one type of a node, in the order they were added; at most list_cap of them. Returns
 * how many. */
size_t store__gather(const struct store_builder *builder, const struct build_node *node, uint16_t type,
                     const struct build_record **list, size_t list_cap);
/** Any record of that type, or NULL. */
const struct build_record *store__any_record(const struct store_builder *builder,
                                             const struct build_node *node, uint16_t type);

/** Tell that this record cannot be; store_build() will fail. */
void store__refuse(struct store_builder *builder, const struct build_record *record,
                   const struct build_node *node, const char *what);

/*
 * Answers. Each returns its number in out_answers, or STORE_NONE: refused (told, builder->failed set) or no
 * memory.
 */
uint32_t store__make_rrset_answer(struct store_builder *builder, const struct build_node *node,
                                  uint16_t type);
uint32_t store__make_referral(struct store_builder *builder, const struct build_node *node);
/** The zone's SOA in the authority section, at the negative TTL. */
uint32_t store__make_negative(struct store_builder *builder, const struct build_node *apex,
                              const struct build_record *soa, uint32_t ttl_s);

#endif
