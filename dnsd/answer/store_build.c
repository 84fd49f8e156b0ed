#include "answer/store_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answer/store_build_int.h"
#include "wire/name.h"
#include "wire/wire.h"

struct store_builder *store_builder_create(void)
{
	struct store_builder *builder = calloc(1, sizeof(*builder));
	if (!builder)
		return NULL;
	arena_init(&builder->arena);
	grow_init(&builder->nodes, sizeof(struct build_node));
	grow_init(&builder->records, sizeof(struct build_record));
	grow_init(&builder->zones, sizeof(struct build_zone));
	grow_init(&builder->out_nodes, sizeof(struct store_node));
	grow_init(&builder->out_rrsets, sizeof(struct store_rrset));
	grow_init(&builder->out_answers, sizeof(struct answer));
	grow_init(&builder->out_fixups, sizeof(uint16_t));
	grow_init(&builder->out_bytes, 1);
	grow_init(&builder->out_zones, sizeof(struct store_zone));
	grow_init(&builder->out_prefixes, sizeof(struct prefix));
	return builder;
}

void store_builder_destroy(struct store_builder *builder)
{
	if (!builder)
		return;
	arena_fini(&builder->arena);
	struct grow *grows[] = { &builder->nodes,       &builder->records,    &builder->zones,
		                 &builder->out_nodes,   &builder->out_rrsets, &builder->out_answers,
		                 &builder->out_fixups,  &builder->out_bytes,  &builder->out_zones,
		                 &builder->out_prefixes };
	for (size_t i = 0; i < sizeof(grows) / sizeof(grows[0]); i++)
		grow_fini(grows[i]);
	free(builder->slots);
	free(builder->zone_slots);
	free(builder->message);
	free(builder->pointers);
	free(builder);
}

static size_t padded(size_t len)
{
	return (len + 7) / 8 * 8;
}

/* Find a name of a zone: its slot in the hash table, which is empty when the name is not there. */
uint32_t *store__find_slot(const struct store_builder *builder, uint32_t hash, uint16_t zone,
                           const uint8_t *name, size_t name_len)
{
	uint32_t at = (hash + zone * 0x9e3779b1U) & (builder->slots_n - 1);
	while (builder->slots[at]) {
		const struct build_node *node = node_at(builder, builder->slots[at] - 1);
		if (node->hash == hash && node->zone == zone &&
		    name_equal(node->name, node->name_len, name, name_len))
			break;
		at = (at + 1) & (builder->slots_n - 1);
	}
	return &builder->slots[at];
}

static int grow_slots(struct store_builder *builder)
{
	if (builder->nodes.n * 2 < builder->slots_n)
		return 0;
	uint32_t slots_n = builder->slots_n ? builder->slots_n * 2 : 1024;
	uint32_t *slots = calloc(slots_n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(builder->slots);
	builder->slots = slots;
	builder->slots_n = slots_n;
	for (uint32_t i = 0; i < builder->nodes.n; i++) {
		const struct build_node *node = node_at(builder, i);
		*store__find_slot(builder, node->hash, node->zone, node->name, node->name_len) = i + 1;
	}
	return 0;
}

uint32_t store__hash_name(const uint8_t *name, size_t name_len, uint8_t copy[264])
{
	memcpy(copy, name, name_len);
	memset(copy + name_len, 0, 264 - name_len);
	return store_hash(copy, (uint32_t)name_len);
}

/* The node of a name, made when new, with the empty non-terminals up to the apex. Index, or STORE_NONE: no
 * memory. */
static uint32_t get_node(struct store_builder *builder, uint16_t zone, const uint8_t *name, size_t name_len,
                         bool apex)
{
	if (grow_slots(builder) < 0)
		return STORE_NONE;
	uint8_t copy[264];
	uint32_t hash = store__hash_name(name, name_len, copy);
	uint32_t *slot = store__find_slot(builder, hash, zone, name, name_len);
	if (*slot)
		return *slot - 1;
	uint32_t index = (uint32_t)builder->nodes.n;
	uint8_t *kept = arena_memdup(&builder->arena, copy, padded(name_len));
	struct build_node *node = kept ? grow_add(&builder->nodes, 1) : NULL;
	if (!node)
		return STORE_NONE;
	*slot = index + 1;
	*node = (struct build_node){ .name = kept,
		                     .hash = hash,
		                     .zone = zone,
		                     .name_len = (uint8_t)name_len,
		                     .labels_n = (uint8_t)name_labels(name),
		                     .parent = index,
		                     .out = STORE_NONE };
	if (!apex) {
		size_t label = (size_t)name[0] + 1;
		uint32_t parent = get_node(builder, zone, name + label, name_len - label, false);
		if (parent == STORE_NONE)
			return STORE_NONE;
		node_at(builder, index)->parent = parent;
	}
	return index;
}

int store_builder_add_zone(struct store_builder *builder, const uint8_t *name, size_t name_len)
{
	size_t zones_n = builder->zones.n;
	if (store__grow_zone_slots(builder) < 0)
		return -ENOMEM;
	uint16_t *slot = store__find_zone_slot(builder, name, name_len);
	if (*slot)
		return -EEXIST;
	if (zones_n == STORE_ZONES_MAX)
		return -EOVERFLOW;
	uint32_t apex = get_node(builder, (uint16_t)zones_n, name, name_len, true);
	struct build_zone *zone = apex == STORE_NONE ? NULL : grow_add(&builder->zones, 1);
	if (!zone)
		return -ENOMEM;
	zone->apex = apex;
	*slot = (uint16_t)(zones_n + 1);
	return (int)zones_n;
}

static int add(struct store_builder *builder, int zone, const uint8_t *owner, size_t owner_len,
               struct build_record record)
{
	uint32_t index = get_node(builder, (uint16_t)zone, owner, owner_len, false);
	struct build_record *place = index == STORE_NONE ? NULL : grow_add(&builder->records, 1);
	if (!place)
		return -ENOMEM;
	struct build_node *node = node_at(builder, index);
	*place = record;
	place->next = node->records;
	node->records = (uint32_t)builder->records.n;
	if (record.source == STORE_STATIC) {
		node->has_ns |= record.type == WIRE_TYPE_NS;
		node->has_cname |= record.type == WIRE_TYPE_CNAME;
		node->has_dname |= record.type == WIRE_TYPE_DNAME;
	}
	return 0;
}

int store_builder_add_record(struct store_builder *builder, int zone, const uint8_t *owner, size_t owner_len,
                             uint16_t type, uint32_t ttl_s, const uint8_t *rdata, size_t rdata_len,
                             const char *file, unsigned line)
{
	return add(builder, zone, owner, owner_len,
	           (struct build_record){ .type = type,
	                                  .ttl_s = ttl_s,
	                                  .rdata = rdata,
	                                  .rdata_len = (uint16_t)rdata_len,
	                                  .source = STORE_STATIC,
	                                  .file = file,
	                                  .line = line });
}

int store_builder_add_dynamic(struct store_builder *builder, int zone, const uint8_t *owner, size_t owner_len,
                              uint16_t type, enum store_source source, uint32_t slot, const char *file,
                              unsigned line)
{
	((struct build_zone *)builder->zones.items)[zone].dynamic = true;
	return add(
	        builder, zone, owner, owner_len,
	        (struct build_record){
	                .type = type, .source = (uint8_t)source, .ref = slot, .file = file, .line = line });
}

int store_builder_add_whoami(struct store_builder *builder, int zone, const uint8_t *owner, size_t owner_len,
                             const struct prefix *allow, size_t allow_n, const char *file, unsigned line)
{
	uint32_t first = (uint32_t)builder->out_prefixes.n;
	struct prefix *place = grow_add(&builder->out_prefixes, allow_n);
	if (!place)
		return -ENOMEM;
	memcpy(place, allow, allow_n * sizeof(*allow));
	return add(builder, zone, owner, owner_len,
	           (struct build_record){ .type = WIRE_TYPE_TXT,
	                                  .source = STORE_WHOAMI,
	                                  .ref = first,
	                                  .allow_n = (uint32_t)allow_n,
	                                  .file = file,
	                                  .line = line });
}

int store_builder_add_ping(struct store_builder *builder, int zone, const uint8_t *owner, size_t owner_len)
{
	uint32_t index = get_node(builder, (uint16_t)zone, owner, owner_len, false);
	if (index == STORE_NONE)
		return -ENOMEM;
	node_at(builder, index)->ping = true;
	return 0;
}

static bool is_apex(const struct store_builder *builder, uint32_t index)
{
	return node_at(builder, index)->parent == index;
}

static bool is_cut(const struct store_builder *builder, uint32_t index)
{
	const struct build_node *node = node_at(builder, index);
	/* A wildcard cannot delegate (RFC 4592 section 4.2 leaves it undefined): its NS records are plain
	 * data here. */
	return node->has_ns && !is_apex(builder, index) && !is_wildcard_name(node->name);
}

static bool is_below_cut(const struct store_builder *builder, uint32_t index)
{
	while (!is_apex(builder, index)) {
		index = node_at(builder, index)->parent;
		if (is_cut(builder, index))
			return true;
	}
	return false;
}

size_t store__gather(const struct store_builder *builder, const struct build_node *node, uint16_t type,
                     const struct build_record **list, size_t list_cap)
{
	size_t n = 0;
	for (uint32_t i = node->records; i; i = record_at(builder, i - 1)->next) {
		const struct build_record *record = record_at(builder, i - 1);
		if (record->type == type && record->source == STORE_STATIC) {
			if (n < list_cap)
				list[n] = record;
			n++;
		}
	}
	for (size_t i = 0; i < n / 2 && n <= list_cap; i++) {
		const struct build_record *swap = list[i];
		list[i] = list[n - 1 - i];
		list[n - 1 - i] = swap;
	}
	return n;
}

void store__refuse(struct store_builder *builder, const struct build_record *record,
                   const struct build_node *node, const char *what)
{
	char text[NAME_TEXT_MAX];
	diag_error(builder->diag, record->file, record->line, "%s: %s", name_to_text(node->name, text), what);
	builder->failed = true;
}

const struct build_record *store__any_record(const struct store_builder *builder,
                                             const struct build_node *node, uint16_t type)
{
	for (uint32_t i = node->records; i; i = record_at(builder, i - 1)->next) {
		if (record_at(builder, i - 1)->type == type)
			return record_at(builder, i - 1);
	}
	return NULL;
}

/* Uncompressed records of an RRset, for answers put together from several names. */
static int keep_records(struct store_builder *builder, const struct build_node *node, uint16_t type,
                        struct store_rrset *rrset)
{
	size_t n = store__gather(builder, node, type, NULL, 0);
	const struct build_record **list = calloc(n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	store__gather(builder, node, type, list, n);
	rrset->records_off = (uint32_t)builder->out_bytes.n;
	rrset->records_n = (uint32_t)n;
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		uint8_t *place = grow_add(&builder->out_bytes, 6 + (size_t)list[i]->rdata_len);
		if (!place) {
			rc = -ENOMEM;
			break;
		}
		memcpy(place, &list[i]->ttl_s, 4);
		memcpy(place + 4, &list[i]->rdata_len, 2);
		memcpy(place + 6, list[i]->rdata, list[i]->rdata_len);
	}
	free(list);
	return rc;
}

static int compare_types(const void *a, const void *b)
{
	uint16_t x = *(const uint16_t *)a;
	uint16_t y = *(const uint16_t *)b;
	return x < y ? -1 : x > y;
}

/* Is there something of a pool and something of the zone file that cannot stand at one name? */
static void check_conflicts(struct store_builder *builder, const struct build_node *node)
{
	for (uint32_t i = node->records; i; i = record_at(builder, i - 1)->next) {
		const struct build_record *made = record_at(builder, i - 1);
		if (made->source == STORE_STATIC)
			continue;
		for (uint32_t k = node->records; k; k = record_at(builder, k - 1)->next) {
			const struct build_record *other = record_at(builder, k - 1);
			if (other == made)
				continue;
			if (other->source == STORE_STATIC &&
			    (other->type == made->type || other->type == WIRE_TYPE_CNAME ||
			     (other->type == WIRE_TYPE_NS &&
			      !is_apex(builder, (uint32_t)(node - node_at(builder, 0))))))
				store__refuse(
				        builder, other, node,
				        made->source == STORE_WHOAMI
				                ? "whoami makes the TXT record of this name; remove it from "
				                  "the zone file or call whoami something else"
				                : "a pool makes the records of this name; remove it from the "
				                  "zone file or from the pool's names");
			else if (other->source != STORE_STATIC && other->type == made->type && k < i)
				store__refuse(
				        builder, made, node,
				        "two pools (or two lists of one pool) make this name; keep one");
		}
	}
}

static int make_rrsets(struct store_builder *builder, const struct build_node *node, bool parent_side,
                       struct store_node *out)
{
	struct grow types;
	grow_init(&types, sizeof(uint16_t));
	for (uint32_t i = node->records; i; i = record_at(builder, i - 1)->next) {
		uint16_t type = record_at(builder, i - 1)->type;
		if (parent_side && type != WIRE_TYPE_DS)
			continue;
		uint16_t *place = grow_add(&types, 1);
		if (!place) {
			grow_fini(&types);
			return -ENOMEM;
		}
		*place = type;
	}
	if (types.n)
		qsort(types.items, types.n, sizeof(uint16_t), compare_types);

	int rc = 0;
	const uint16_t *list = types.items;
	out->rrsets_off = (uint32_t)builder->out_rrsets.n;
	for (size_t i = 0; i < types.n && rc == 0; i++) {
		if (i && list[i] == list[i - 1])
			continue;
		const struct build_record *record = store__any_record(builder, node, list[i]);
		struct store_rrset rrset = { .type = list[i], .source = record->source, .ref = record->ref };
		if (record->source == STORE_WHOAMI)
			rrset.records_n = record->allow_n;
		if (record->source == STORE_STATIC) {
			rrset.ref = store__make_rrset_answer(builder, node, list[i]);
			if (rrset.ref == STORE_NONE) {
				rc = builder->failed ? 0 : -ENOMEM;
				continue;
			}
			rc = keep_records(builder, node, list[i], &rrset);
			if (rc < 0)
				continue;
		}
		struct store_rrset *place = grow_add(&builder->out_rrsets, 1);
		if (!place) {
			rc = -ENOMEM;
			continue;
		}
		*place = rrset;
		out->rrsets_n++;
	}
	grow_fini(&types);
	return rc;
}

/* --- the store --- */

/* Which nodes are served, and their numbers: first those found by name, then the parent sides. */
static int number_nodes(struct store_builder *builder)
{
	for (int parent_side = 0; parent_side <= 1; parent_side++) {
		for (uint32_t i = 0; i < builder->nodes.n; i++) {
			struct build_node *node = node_at(builder, i);
			bool at_apex;
			uint16_t zone = store__deepest_zone(builder, node, &at_apex);
			bool side = zone != node->zone;
			if ((side && !at_apex) || side != parent_side || is_below_cut(builder, i))
				continue;
			node->parent_side = side;
			node->out = (uint32_t)builder->out_nodes.n;
			if (!grow_add(&builder->out_nodes, 1))
				return -ENOMEM;
		}
	}
	return 0;
}

static bool is_below_dname(const struct store_builder *builder, uint32_t index)
{
	while (!is_apex(builder, index)) {
		index = node_at(builder, index)->parent;
		if (node_at(builder, index)->has_dname)
			return true;
	}
	return false;
}

/* A pool's name or a version record that no question would reach: better refused than silently missing. */
static void check_reachable(struct store_builder *builder)
{
	for (uint32_t i = 0; i < builder->nodes.n; i++) {
		const struct build_node *node = node_at(builder, i);
		bool reachable = node->out != STORE_NONE && !node->parent_side && !is_below_dname(builder, i);
		for (uint32_t k = node->records; k && !reachable; k = record_at(builder, k - 1)->next) {
			const struct build_record *record = record_at(builder, k - 1);
			if (record->source == STORE_STATIC)
				continue;
			store__refuse(builder, record, node,
			              "this name lies below a delegation or a DNAME, or in another zone that "
			              "is served here, so nobody would get its answer; choose another name, "
			              "or remove the NS or DNAME record");
			break;
		}
	}
}

static struct store_node *out_node(const struct store_builder *builder, uint32_t number)
{
	return (struct store_node *)builder->out_nodes.items + number;
}

static int make_node(struct store_builder *builder, uint32_t index)
{
	const struct build_node *node = node_at(builder, index);
	struct store_node out = {
		.name_off = (uint32_t)builder->out_bytes.n,
		.wildcard = STORE_NONE,
		.parent_side = STORE_NONE,
		.referral = STORE_NONE,
		.zone = node->zone,
		.name_len = node->name_len,
		.labels_n = node->labels_n,
	};
	uint8_t *name = grow_add(&builder->out_bytes, padded(node->name_len) + 8);
	if (!name)
		return -ENOMEM;
	/* Names are compared by words: let them start at one. */
	size_t misplaced = out.name_off % 8;
	if (misplaced) {
		name += 8 - misplaced;
		out.name_off += (uint32_t)(8 - misplaced);
	}
	memcpy(name, node->name, padded(node->name_len));

	check_conflicts(builder, node);
	if (is_apex(builder, index))
		out.flags |= STORE_APEX;
	if (node->has_cname)
		out.flags |= STORE_CNAME;
	if (node->has_dname)
		out.flags |= STORE_DNAME;
	if (node->ping)
		out.flags |= STORE_PING;
	if (is_cut(builder, index) && !node->parent_side) {
		out.flags |= STORE_CUT;
		out.referral = store__make_referral(builder, node);
		if (out.referral == STORE_NONE && !builder->failed)
			return -ENOMEM;
	}
	int rc = make_rrsets(builder, node, node->parent_side || (out.flags & STORE_CUT), &out);
	if (rc < 0)
		return rc;
	*out_node(builder, node->out) = out;
	return 0;
}

/* The child's apex learns where its parent side is: DS questions are the parent's (RFC 4035 section 3.1.4.1).
 */
static void link_nodes(struct store_builder *builder)
{
	for (uint32_t i = 0; i < builder->nodes.n; i++) {
		const struct build_node *node = node_at(builder, i);
		if (node->out == STORE_NONE)
			continue;
		if (node->parent_side) {
			bool at_apex;
			uint16_t zone = store__deepest_zone(builder, node, &at_apex);
			const struct build_zone *zones = builder->zones.items;
			/* Of several ancestors the nearest zone is the parent, even if it has forgotten its
			 * child. */
			if (store__parent_zone(builder, zone) == node->zone)
				out_node(builder, node_at(builder, zones[zone].apex)->out)->parent_side =
				        node->out;
		} else if (is_wildcard_name(node->name)) {
			const struct build_node *parent = node_at(builder, node->parent);
			if (node->parent != i && parent->out != STORE_NONE && !parent->parent_side)
				out_node(builder, parent->out)->wildcard = node->out;
		}
	}
}

static int make_zone(struct store_builder *builder, uint32_t number)
{
	const struct build_zone *zones = builder->zones.items;
	const struct build_node *apex = node_at(builder, zones[number].apex);
	const struct build_record *soa = store__any_record(builder, apex, WIRE_TYPE_SOA);
	struct store_zone zone = { .apex = apex->out };
	if (!soa || soa->rdata_len < 20) {
		diag_error(builder->diag, soa ? soa->file : NULL, soa ? soa->line : 0,
		           "a zone without a SOA record");
		return -EINVAL;
	}
	/* RFC 2308 section 3: the smaller of the SOA's own TTL and its last field. */
	uint32_t minimum_s = wire_get32(soa->rdata + soa->rdata_len - 4);
	zone.soa_ttl_s = soa->ttl_s < minimum_s ? soa->ttl_s : minimum_s;
	zone.soa_off = (uint32_t)builder->out_bytes.n;
	zone.soa_len = soa->rdata_len;
	if (((const struct build_zone *)builder->zones.items)[number].dynamic)
		zone.flags |= STORE_ZONE_DYNAMIC;
	uint8_t *bytes = grow_add(&builder->out_bytes, soa->rdata_len);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, soa->rdata, soa->rdata_len);

	zone.negative = store__make_negative(builder, apex, soa, zone.soa_ttl_s);
	struct store_zone *place = zone.negative == STORE_NONE ? NULL : grow_add(&builder->out_zones, 1);
	if (!place)
		return -ENOMEM;
	*place = zone;
	return 0;
}

/* The table by name. Parent sides are reached from their child's apex only. */
static int make_slots(const struct store_builder *builder, struct answer_store *store)
{
	uint32_t slots_n = 64;
	while (slots_n < builder->out_nodes.n * 2)
		slots_n *= 2;
	struct store_slot *slots = calloc(slots_n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < builder->nodes.n; i++) {
		const struct build_node *node = node_at(builder, i);
		if (node->out == STORE_NONE || node->parent_side)
			continue;
		uint32_t at = node->hash & (slots_n - 1);
		while (slots[at].node_plus_1)
			at = (at + 1) & (slots_n - 1);
		slots[at] = (struct store_slot){ .hash = node->hash, .node_plus_1 = node->out + 1 };
		if (node->labels_n > store->labels_max)
			store->labels_max = node->labels_n;
		store->names_n += node->records != 0;
	}
	store->slots = slots;
	store->slots_mask = slots_n - 1;
	return 0;
}

int store_build(struct store_builder *builder, struct diag *diag, struct answer_store **ret_store)
{
	builder->diag = diag;
	builder->failed = false;
	builder->message = malloc(WIRE_MESSAGE_MAX + 1);
	builder->pointers = calloc(POINTERS_MAX, sizeof(*builder->pointers));
	struct answer_store *store = calloc(1, sizeof(*store));
	int rc = -ENOMEM;
	if (store)
		store->refs = 1;
	if (!builder->message || !builder->pointers || !store || grow_slots(builder) < 0)
		goto out;
	store__note_inner_zones(builder);
	rc = number_nodes(builder);
	if (rc == 0)
		check_reachable(builder);
	for (uint32_t i = 0; i < builder->nodes.n && rc == 0; i++) {
		if (node_at(builder, i)->out != STORE_NONE)
			rc = make_node(builder, i);
	}
	for (uint32_t i = 0; i < builder->zones.n && rc == 0; i++)
		rc = make_zone(builder, i);
	if (rc == 0 && builder->failed)
		rc = -EINVAL;
	if (rc == 0)
		rc = make_slots(builder, store);
	if (rc < 0)
		goto out;
	link_nodes(builder);
	store->nodes_n = (uint32_t)builder->out_nodes.n;
	store->rrsets_n = (uint32_t)builder->out_rrsets.n;
	store->answers_n = (uint32_t)builder->out_answers.n;
	store->zones_n = (uint32_t)builder->out_zones.n;
	store->fixups_n = (uint32_t)builder->out_fixups.n;
	store->bytes_len = (uint32_t)builder->out_bytes.n;
	store->nodes = grow_take(&builder->out_nodes);
	store->rrsets = grow_take(&builder->out_rrsets);
	store->answers = grow_take(&builder->out_answers);
	store->zones = grow_take(&builder->out_zones);
	store->fixups = grow_take(&builder->out_fixups);
	store->bytes = grow_take(&builder->out_bytes);
	store->prefixes = grow_take(&builder->out_prefixes);
	*ret_store = store;
	store = NULL;
out:
	answer_store_unref(store);
	return rc;
}

bool answer_store_equal(const struct answer_store *a, const struct answer_store *b)
{
	if (a == b)
		return true;
	/* The bytes hold all names and all answers; types and TTLs stand in the answers. */
	return a->nodes_n == b->nodes_n && a->rrsets_n == b->rrsets_n && a->zones_n == b->zones_n &&
	       a->answers_n == b->answers_n && a->bytes_len == b->bytes_len &&
	       memcmp(a->bytes, b->bytes, a->bytes_len) == 0;
}

struct answer_store *answer_store_ref(struct answer_store *store)
{
	if (store)
		__atomic_add_fetch(&store->refs, 1, __ATOMIC_RELAXED);
	return store;
}

void answer_store_unref(struct answer_store *store)
{
	if (!store)
		return;
	if (__atomic_sub_fetch(&store->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free((void *)store->slots);
	free((void *)store->nodes);
	free((void *)store->rrsets);
	free((void *)store->answers);
	free((void *)store->zones);
	free((void *)store->fixups);
	free((void *)store->bytes);
	free((void *)store->prefixes);
	free(store);
}
