/*
 * The names of a zone go into a hash table, the records are put in groups by name, and each group is sorted
 * by type and RDATA: RRsets and duplicates then lie side by side. A million records take about a second,
 * however they are spread over names.
 *
 *     table[hash] -> node { name, first, count } -> order[first .. first + count] -> records (in file order)
 */
#include "zones/zone_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/name.h"
#include "wire/wire.h"
#include "zones/zone_rdata.h"

enum {
	TYPE_A = 1,
	TYPE_NS = 2,
	TYPE_CNAME = 5,
	TYPE_SOA = 6,
	TYPE_PTR = 12,
	TYPE_MX = 15,
	TYPE_KEY = 25,
	TYPE_AAAA = 28,
	TYPE_SRV = 33,
	TYPE_DNAME = 39,
	TYPE_DS = 43,
	TYPE_RRSIG = 46,
	TYPE_NSEC = 47
};

#define TTL_MAX_S 0x7fffffffu /* RFC 2181 section 8 */

#define CNAME_STEPS_MAX 16 /* a chain that long is reported as a loop would be */

/** One owner name. */
struct node {
	const uint8_t *name;
	uint64_t hash;
	size_t first; /* of its records in order[] */
	size_t count;
	const struct zone_record *cname; /* first of its type here, or NULL */
	const struct zone_record *dname;
	const struct zone_record *ns;
	const struct zone_record *address; /* A or AAAA */
	uint8_t name_len;
};

struct check {
	const char *file; /* for what has no line of its own */
	const char *zone_name;
	const uint8_t *origin;
	size_t origin_len;
	uint8_t doubled[2 * WIRE_NAME_MAX]; /* origin.origin: what a forgotten final dot makes */
	size_t doubled_len;
	struct diag *diag;
	struct zone_record *records;
	size_t records_n;
	struct node *nodes;
	size_t nodes_n;
	size_t *table; /* node number + 1; 0 = empty */
	size_t table_mask;
	struct zone_record **order;
	uint32_t *node_of; /* by record */
	bool *dropped;     /* by record */
};

/* ---- names ---- */

static uint64_t name_hash(const uint8_t *name, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ name[i]) * UINT64_C(0x100000001b3);
	hash ^= hash >> 32;
	hash *= UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

/** The table's place of a name: its node, or where it would go. */
static size_t *find_slot(const struct check *check, const uint8_t *name, size_t len, uint64_t hash)
{
	size_t at = (size_t)hash & check->table_mask;
	for (;; at = (at + 1) & check->table_mask) {
		if (check->table[at] == 0)
			return &check->table[at];
		const struct node *node = &check->nodes[check->table[at] - 1];
		if (node->hash == hash && name_equal(node->name, node->name_len, name, len))
			return &check->table[at];
	}
}

static const struct node *find_node(const struct check *check, const uint8_t *name, size_t len)
{
	size_t slot = *find_slot(check, name, len, name_hash(name, len));
	return slot ? &check->nodes[slot - 1] : NULL;
}

static bool is_in_zone(const struct check *check, const uint8_t *name, size_t len)
{
	return name_is_under(name, len, check->origin, check->origin_len);
}

static bool is_apex(const struct check *check, const struct node *node)
{
	return node->name_len == check->origin_len;
}

static bool is_wildcard(const struct node *node)
{
	return node->name[0] == 1 && node->name[1] == '*';
}

static bool is_cut(const struct check *check, const struct node *node)
{
	/* At a wildcard they are plain data, as the answers take them. */
	return node->ns && !is_apex(check, node) && !is_wildcard(node);
}

/**
 * The highest name above (not at) this one at which the zone's own data ends: a delegation or a DNAME. NULL:
 * none. name  in the zone, below or at the apex
 */
static const struct node *find_boundary(const struct check *check, const uint8_t *name, size_t len)
{
	const struct node *found = NULL;
	while (len > check->origin_len) {
		size_t label = (size_t)name[0] + 1;
		name += label;
		len -= label;
		const struct node *node = find_node(check, name, len);
		if (node && (node->dname || is_cut(check, node)))
			found = node;
	}
	return found;
}

/** Would a query for this name, which has no node, be answered from a wildcard? Close enough for a warning.
 */
static const struct node *find_wildcard(const struct check *check, const uint8_t *name, size_t len)
{
	uint8_t wildcard[WIRE_NAME_MAX + 2];
	while (len > check->origin_len) {
		size_t label = (size_t)name[0] + 1;
		name += label;
		len -= label;
		wildcard[0] = 1;
		wildcard[1] = '*';
		memcpy(wildcard + 2, name, len);
		const struct node *node = find_node(check, wildcard, len + 2);
		if (node)
			return node;
	}
	return NULL;
}

/* ---- groups ---- */

/** Names in RDATA are equal in any case (RFC 4343); -1, 0, 1. */
static int rdata_order(const struct zone_record *a, const struct zone_record *b)
{
	size_t len = a->rdata_len < b->rdata_len ? a->rdata_len : b->rdata_len;
	int off = zone_rdata_target_off(a->type);
	size_t exact_len = off < 0 || (size_t)off > len ? len : (size_t)off;
	int rc = memcmp(a->rdata, b->rdata, exact_len);
	if (rc)
		return rc;
	/* Length bytes are below 64: no letters. */
	for (size_t i = exact_len; i < len; i++) {
		uint8_t x = a->rdata[i];
		uint8_t y = b->rdata[i];
		x = x >= 'A' && x <= 'Z' ? (uint8_t)(x | 0x20) : x;
		y = y >= 'A' && y <= 'Z' ? (uint8_t)(y | 0x20) : y;
		if (x != y)
			return x < y ? -1 : 1;
	}
	return (a->rdata_len > b->rdata_len) - (a->rdata_len < b->rdata_len);
}

/** By type, then RDATA, then place in the file. */
static int record_order(const void *a_place, const void *b_place)
{
	const struct zone_record *a = *(struct zone_record *const *)a_place;
	const struct zone_record *b = *(struct zone_record *const *)b_place;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	int rc = rdata_order(a, b);
	if (rc)
		return rc;
	return (a > b) - (a < b);
}

static void note_type(struct node *node, const struct zone_record *record)
{
	switch (record->type) {
	case TYPE_CNAME: node->cname = node->cname ? node->cname : record; break;
	case TYPE_DNAME: node->dname = node->dname ? node->dname : record; break;
	case TYPE_NS: node->ns = node->ns ? node->ns : record; break;
	case TYPE_A:
	case TYPE_AAAA: node->address = node->address ? node->address : record; break;
	default: break;
	}
}

/** Nodes, and the records of each side by side in order[]. Records outside the zone are reported and left
 * out. */
static int group_records(struct check *check)
{
	size_t table_n = 64;
	while (table_n < check->records_n * 2)
		table_n *= 2;
	check->table_mask = table_n - 1;
	check->table = calloc(table_n, sizeof(*check->table));
	check->nodes = calloc(check->records_n + 1, sizeof(*check->nodes));
	check->order = calloc(check->records_n + 1, sizeof(*check->order));
	check->node_of = calloc(check->records_n + 1, sizeof(*check->node_of));
	check->dropped = calloc(check->records_n + 1, sizeof(*check->dropped));
	if (!check->table || !check->nodes || !check->order || !check->node_of || !check->dropped)
		return -ENOMEM;

	const struct zone_record *before = NULL;
	uint32_t node_number = 0;
	for (size_t i = 0; i < check->records_n; i++) {
		const struct zone_record *record = &check->records[i];
		char text[NAME_TEXT_MAX];
		if (!is_in_zone(check, record->owner, record->owner_len)) {
			diag_error(check->diag, record->file, record->line,
			           "%s is not in zone %s; correct the owner or its $ORIGIN, or remove the "
			           "record",
			           name_to_text(record->owner, text), check->zone_name);
			check->dropped[i] = true;
			continue;
		}
		/* Neighbours most often have one owner, and then share its bytes. */
		if (!before || before->owner != record->owner) {
			uint64_t hash = name_hash(record->owner, record->owner_len);
			size_t *slot = find_slot(check, record->owner, record->owner_len, hash);
			if (*slot == 0) {
				check->nodes[check->nodes_n] = (struct node){ .name = record->owner,
					                                      .hash = hash,
					                                      .name_len = record->owner_len };
				*slot = ++check->nodes_n;
			}
			node_number = (uint32_t)(*slot - 1);
			before = record;
		}
		check->node_of[i] = node_number;
		check->nodes[node_number].count++;
		note_type(&check->nodes[node_number], record);
	}
	size_t first = 0;
	for (size_t i = 0; i < check->nodes_n; i++) {
		check->nodes[i].first = first;
		first += check->nodes[i].count;
		check->nodes[i].count = 0;
	}
	for (size_t i = 0; i < check->records_n; i++) {
		if (check->dropped[i])
			continue;
		struct node *node = &check->nodes[check->node_of[i]];
		check->order[node->first + node->count++] = &check->records[i];
	}
	for (size_t i = 0; i < check->nodes_n; i++) {
		if (check->nodes[i].count > 1)
			qsort(check->order + check->nodes[i].first, check->nodes[i].count,
			      sizeof(*check->order), record_order);
	}
	return 0;
}

/* ---- RRsets ---- */

static const struct zone_record *later(const struct zone_record *a, const struct zone_record *b)
{
	return a > b ? a : b; /* one array, in file order */
}

/** RFC 2181 section 5: no duplicates, one TTL. set[0..n) in order[], all of one name and type. */
static void check_rrset(struct check *check, struct zone_record **set, size_t n)
{
	char name[NAME_TEXT_MAX];
	char type[ZONE_TYPE_TEXT_MAX];
	uint32_t lowest_s = UINT32_MAX;
	const struct zone_record *high = NULL;
	const struct zone_record *low = NULL;
	const struct zone_record *odd = NULL;
	for (size_t i = 0; i < n; i++) {
		if (set[i]->ttl_s > TTL_MAX_S) {
			diag_warning(check->diag, set[i]->file, set[i]->line,
			             "TTL %u is over 2147483647 and counts as 0 (RFC 2181 section 8); write "
			             "a smaller one",
			             set[i]->ttl_s);
			set[i]->ttl_s = 0;
		}
		if (set[i]->ttl_s < lowest_s) {
			lowest_s = set[i]->ttl_s;
			low = set[i];
		}
		if (!high || set[i]->ttl_s > high->ttl_s)
			high = set[i];
		if (i > 0 && rdata_order(set[i - 1], set[i]) == 0) {
			diag_warning(check->diag, set[i]->file, set[i]->line,
			             "%s %s is a duplicate of line %u, ignored; remove it",
			             name_to_text(set[i]->owner, name), zone_type_to_text(set[i]->type, type),
			             set[i - 1]->line);
			check->dropped[set[i] - check->records] = true;
		}
	}
	/* RRSIG records of a name sign different RRsets, each with its own TTL (RFC 4034 section 3). */
	if (n < 2 || set[0]->type == TYPE_RRSIG || high->ttl_s == lowest_s)
		return;
	odd = later(low, high);
	diag_warning(check->diag, odd->file, odd->line,
	             "%s %s has TTLs from %u to %u, %u is used for all; write the same for each (RFC 2181 "
	             "section 5.2)",
	             name_to_text(odd->owner, name), zone_type_to_text(odd->type, type), lowest_s,
	             high->ttl_s, lowest_s);
	for (size_t i = 0; i < n; i++)
		set[i]->ttl_s = lowest_s;
}

/** The first record of the set that was not dropped as a duplicate comes first in the file among its equals.
 */
static size_t count_kept(const struct check *check, struct zone_record *const *set, size_t n,
                         const struct zone_record **ret_first, const struct zone_record **ret_second)
{
	size_t kept = 0;
	const struct zone_record *first = NULL;
	const struct zone_record *second = NULL;
	for (size_t i = 0; i < n; i++) {
		if (check->dropped[set[i] - check->records])
			continue;
		kept++;
		if (!first || set[i] < first) {
			second = first;
			first = set[i];
		} else if (!second || set[i] < second) {
			second = set[i];
		}
	}
	*ret_first = first;
	*ret_second = second;
	return kept;
}

/** Types of which a name has one. */
static void check_single(struct check *check, struct zone_record *const *set, size_t n)
{
	const struct zone_record *first;
	const struct zone_record *second;
	char name[NAME_TEXT_MAX];
	char type[ZONE_TYPE_TEXT_MAX];
	if (count_kept(check, set, n, &first, &second) > 1)
		diag_error(check->diag, second->file, second->line,
		           "%s has a second %s, the first is at %s:%u; leave one",
		           name_to_text(second->owner, name), zone_type_to_text(second->type, type),
		           first->file, first->line);
}

/** "192.0.2.1." as a host name: numbers only. */
static bool looks_like_address(const uint8_t *name)
{
	unsigned labels = 0;
	for (const uint8_t *label = name; *label; label += *label + 1) {
		if (labels++ == 4)
			return true; /* 192.0.2.1.example.com.: the dot was forgotten, too */
		for (unsigned i = 1; i <= *label; i++) {
			if (label[i] < '0' || label[i] > '9')
				return false;
		}
	}
	return labels == 4;
}

static void check_ns_address(const struct check *check, const struct zone_record *record,
                             const struct node *owner, const uint8_t *target, size_t len)
{
	char name[NAME_TEXT_MAX];
	const struct node *node = find_node(check, target, len);
	const struct node *boundary = node && is_cut(check, node) ? node : find_boundary(check, target, len);
	if (node && node->address)
		return;
	if (boundary && boundary->dname && !is_cut(check, boundary)) {
		diag_warning(check->diag, record->file, record->line,
		             "name server %s lies below a DNAME and has no address; write its real name",
		             name_to_text(target, name));
	} else if (boundary) {
		/* In another child's zone the address may come from there; only a child's own servers need
		 * glue. */
		if (is_cut(check, owner) && name_is_under(target, len, owner->name, owner->name_len))
			diag_warning(check->diag, record->file, record->line,
			             "glue is missing: name server %s lies in the zone it serves; write its "
			             "A or AAAA record here",
			             name_to_text(target, name));
	} else {
		const struct node *wildcard = node ? NULL : find_wildcard(check, target, len);
		if (!wildcard || !(wildcard->address || wildcard->cname))
			diag_warning(check->diag, record->file, record->line,
			             "name server %s has no address in this zone; write its A or AAAA record",
			             name_to_text(target, name));
	}
}

/** What a record points at. */
static void check_target(const struct check *check, const struct zone_record *record,
                         const struct node *owner)
{
	uint8_t target[WIRE_NAME_MAX];
	char name[NAME_TEXT_MAX];
	char type[ZONE_TYPE_TEXT_MAX];
	int off = zone_rdata_target_off(record->type);
	if (off < 0)
		return;
	size_t len = (size_t)record->rdata_len - (size_t)off;
	memcpy(target, record->rdata + off, len);
	name_lower(target, len);
	zone_type_to_text(record->type, type);
	bool is_host = record->type == TYPE_NS || record->type == TYPE_MX || record->type == TYPE_SRV;
	if (record->type == TYPE_NS && len == 1)
		diag_warning(check->diag, record->file, record->line,
		             "NS points at the root; write the name of a server");
	if ((is_host || record->type == TYPE_CNAME) && looks_like_address(target))
		diag_warning(check->diag, record->file, record->line,
		             "%s points at %s, which looks like an address; write a host name", type,
		             name_to_text(target, name));
	else if (check->origin_len > 1 && name_is_under(target, len, check->doubled, check->doubled_len))
		diag_warning(
		        check->diag, record->file, record->line,
		        "%s points at %s, with the zone's name twice; write a dot at the end of full names",
		        type, name_to_text(target, name));
	if (!is_host || !is_in_zone(check, target, len))
		return;
	const struct node *node = find_node(check, target, len);
	if (node && node->cname)
		diag_warning(check->diag, record->file, record->line,
		             "%s points at %s, which is a CNAME (RFC 2181 section 10.3); write the name it "
		             "leads to",
		             type, name_to_text(target, name));
	else if (record->type == TYPE_NS)
		check_ns_address(check, record, owner, target, len);
}

/** A chain that comes back to its start. Each loop is told once for each name on it: all of them have to
 * change. */
static void check_cname_loop(const struct check *check, const struct node *node)
{
	char name[NAME_TEXT_MAX];
	const struct node *at = node;
	for (int i = 0; i < CNAME_STEPS_MAX && at && at->cname; i++) {
		uint8_t target[WIRE_NAME_MAX];
		memcpy(target, at->cname->rdata, at->cname->rdata_len);
		name_lower(target, at->cname->rdata_len);
		at = find_node(check, target, at->cname->rdata_len);
		if (at == node) {
			diag_warning(check->diag, node->cname->file, node->cname->line,
			             "CNAME %s leads back to itself; no client gets an answer, let it point "
			             "elsewhere",
			             name_to_text(node->name, name));
			return;
		}
	}
}

/* ---- names and what stands at them ---- */

/** Types that may stand beside a CNAME (RFC 2181 section 10.1, RFC 4034 section 2.5). */
static bool goes_with_cname(uint16_t type)
{
	return type == TYPE_CNAME || type == TYPE_RRSIG || type == TYPE_NSEC || type == TYPE_KEY;
}

/** What the parent's side of a cut may hold (RFC 4034 section 2, 3.1.4; glue when a server has the cut's
 * name). */
static bool goes_with_cut(uint16_t type)
{
	return type == TYPE_NS || type == TYPE_DS || type == TYPE_NSEC || type == TYPE_RRSIG ||
	       type == TYPE_A || type == TYPE_AAAA;
}

static void check_cname(const struct check *check, const struct node *node, const struct zone_record *record)
{
	char name[NAME_TEXT_MAX];
	char type[ZONE_TYPE_TEXT_MAX];
	if (goes_with_cname(record->type) || is_apex(check, node))
		return;
	const struct zone_record *place = later(record, node->cname);
	diag_error(check->diag, place->file, place->line,
	           "%s has both a CNAME (line %u) and %s (line %u); a CNAME stands alone (RFC 1034 section "
	           "3.6.2), remove one",
	           name_to_text(node->name, name), node->cname->line, zone_type_to_text(record->type, type),
	           record->line);
}

/** record is the first of its RRset in order[]. */
static void check_place(const struct check *check, const struct node *node, const struct zone_record *record,
                        const struct node *boundary)
{
	char name[NAME_TEXT_MAX];
	char above[NAME_TEXT_MAX];
	char type[ZONE_TYPE_TEXT_MAX];
	name_to_text(node->name, name);
	zone_type_to_text(record->type, type);

	if (boundary && boundary->dname && !is_cut(check, boundary)) {
		diag_error(check->diag, record->file, record->line,
		           "%s lies below the DNAME of %s (line %u), which covers all names under it (RFC "
		           "6672 section 2.4); remove one",
		           name, name_to_text(boundary->name, above), boundary->dname->line);
		return;
	}
	if (boundary && record->type != TYPE_A && record->type != TYPE_AAAA) {
		diag_warning(check->diag, record->file, record->line,
		             "%s %s lies below the delegation of %s (line %u) and is never answered; move it "
		             "to that zone",
		             name, type, name_to_text(boundary->name, above), boundary->ns->line);
		return;
	}
	if (record->type == TYPE_SOA && !is_apex(check, node))
		diag_error(check->diag, record->file, record->line,
		           "SOA at %s; the one SOA of a zone stands at its own name %s, move it there", name,
		           check->zone_name);
	if (record->type == TYPE_CNAME && is_apex(check, node))
		diag_error(check->diag, record->file, record->line,
		           "CNAME at the zone's own name %s, where SOA and NS stand; write A and AAAA "
		           "records there",
		           name);
	if (node->cname)
		check_cname(check, node, record);
	if (record->type == TYPE_DNAME && is_cut(check, node)) {
		const struct zone_record *place = later(record, node->ns);
		diag_error(check->diag, place->file, place->line,
		           "%s has both NS (line %u) and DNAME (line %u) (RFC 6672 section 2.3); remove one",
		           name, node->ns->line, record->line);
	} else if (is_cut(check, node) && !goes_with_cut(record->type) && !node->cname) {
		diag_warning(
		        check->diag, record->file, record->line,
		        "%s %s stands at a delegation (line %u) and is never answered; move it to that zone",
		        name, type, node->ns->line);
	}
	if (is_wildcard(node) && (record->type == TYPE_NS || record->type == TYPE_DNAME))
		diag_warning(check->diag, record->file, record->line,
		             "%s at the wildcard %s: its meaning is not defined (RFC 4592 section 4); write "
		             "the names out",
		             type, name);
	if (record->type == TYPE_DS && is_apex(check, node))
		diag_warning(check->diag, record->file, record->line,
		             "DS at the zone's own name; it belongs to the parent zone, remove it here");
	else if (record->type == TYPE_DS && !node->ns)
		diag_warning(check->diag, record->file, record->line,
		             "DS at %s, which has no NS and is no delegation; write its NS records, or "
		             "remove the DS",
		             name);
}

static const struct zone_record *first_in_file(struct zone_record *const *set, size_t n)
{
	const struct zone_record *first = set[0];
	for (size_t i = 1; i < n; i++)
		first = set[i] < first ? set[i] : first;
	return first;
}

static void check_node(struct check *check, const struct node *node)
{
	const struct node *boundary = find_boundary(check, node->name, node->name_len);
	struct zone_record **group = check->order + node->first;
	for (size_t at = 0; at < node->count;) {
		size_t end = at + 1;
		while (end < node->count && group[end]->type == group[at]->type)
			end++;
		uint16_t type = group[at]->type;
		check_rrset(check, group + at, end - at);
		if (type == TYPE_SOA || type == TYPE_CNAME || type == TYPE_DNAME)
			check_single(check, group + at, end - at);
		check_place(check, node, first_in_file(group + at, end - at), boundary);
		for (size_t i = at; i < end && !boundary; i++) {
			if (!check->dropped[group[i] - check->records])
				check_target(check, group[i], node);
		}
		at = end;
	}
	if (node->cname && !boundary)
		check_cname_loop(check, node);
}

static void check_apex(const struct check *check)
{
	const struct node *apex = find_node(check, check->origin, check->origin_len);
	bool has_soa = false;
	for (size_t i = 0; apex && i < apex->count; i++)
		has_soa = has_soa || check->order[apex->first + i]->type == TYPE_SOA;
	if (!has_soa)
		diag_error(check->diag, check->file, 0,
		           "no SOA record at %s; write one, @ IN SOA MNAME RNAME SERIAL REFRESH RETRY EXPIRE "
		           "MINIMUM",
		           check->zone_name);
	if (!apex || !apex->ns)
		diag_error(check->diag, check->file, 0,
		           "no NS record at %s; write one for each name server, @ IN NS HOST",
		           check->zone_name);
}

static void remove_dropped(struct check *check, struct zone_records *records)
{
	size_t kept = 0;
	for (size_t i = 0; i < records->records_n; i++) {
		if (!check->dropped[i])
			records->records[kept++] = records->records[i];
	}
	records->records_n = kept;
}

static int check_all(struct check *check)
{
	int rc = group_records(check);
	if (rc < 0)
		return rc;
	check_apex(check);
	/* The analyzer loses sight of nodes here; zone_check() frees them. */
	for (size_t i = 0; i < check->nodes_n; i++) /* NOLINT(clang-analyzer-unix.Malloc) */
		check_node(check, &check->nodes[i]);
	return 0;
}

int zone_check(const char *file, const uint8_t *origin, size_t origin_len, struct zone_records *records,
               struct diag *diag)
{
	size_t errors_before = diag->errors_n;
	char zone_name[NAME_TEXT_MAX];
	struct check check = { .file = file,
		               .zone_name = name_to_text(origin, zone_name),
		               .origin = origin,
		               .origin_len = origin_len,
		               .diag = diag,
		               .records = records->records,
		               .records_n = records->records_n };
	if (records->records_n >= UINT32_MAX)
		return -ENOMEM;
	memcpy(check.doubled, origin, origin_len - 1);
	memcpy(check.doubled + origin_len - 1, origin, origin_len);
	check.doubled_len = 2 * origin_len - 1;

	int rc = check_all(&check);
	if (rc == 0) {
		remove_dropped(&check, records);
		rc = diag->errors_n > errors_before ? -EINVAL : 0;
	}
	free(check.table);
	free(check.nodes);
	free(check.order);
	free(check.node_of);
	free(check.dropped);
	return rc;
}
