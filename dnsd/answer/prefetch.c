#include "answer/answer_int.h"

/*
 * Each step reads what the one before has fetched, for all of the group before any goes on: so the fetches
 * of a group overlap, where one answer after the other would wait for each.
 */

#define LINE 64
/* Of a pool's records; of more than this an answer takes a few only. */
#define RECORDS_FETCHED (4 * LINE)

/* The first node with that hash; NULL: there is none. Nearly always its place is the first, or in the same
 * line. */
static const struct store_node *likely_node(const struct answer_store *store, uint32_t hash)
{
	for (uint32_t at = hash & store->slots_mask;; at = (at + 1) & store->slots_mask) {
		struct store_slot slot = store->slots[at];
		if (slot.node_plus_1 == 0)
			return NULL;
		if (slot.hash == hash)
			return &store->nodes[slot.node_plus_1 - 1];
	}
}

/* The way to the names, and meanwhile that to the countries of client subnets. */
static void prefetch_nodes(const struct answer_data *data, struct parsed *group, size_t n)
{
	const struct answer_store *store = data->store;
	uint32_t hashes[ANSWER_GROUP_N];
	for (unsigned step = 0; step < 3; step++) {
		for (size_t i = 0; i < n; i++) {
			const struct wire_query *query = &group[i].query;
			const struct store_node *node = group[i].likely;
			if (group[i].verdict != WIRE_OK)
				continue;
			if (query->has_ecs)
				geo_map_prefetch(data->geo, &query->ecs.addr, step);
			if (step == 0) {
				hashes[i] = store_hash(query->qname, query->qname_len);
				__builtin_prefetch(&store->slots[hashes[i] & store->slots_mask]);
			} else if (step == 1) {
				group[i].likely = likely_node(store, hashes[i]);
				__builtin_prefetch(group[i].likely);
			} else if (node) {
				__builtin_prefetch(store->bytes + node->name_off);
				__builtin_prefetch(store->rrsets + node->rrsets_off);
			}
		}
	}
}

/* Which set a pool's name has for this client; NULL: it has none, or that takes more to say. */
static const uint32_t *set_number(const struct answer_data *data, const struct store_node *node,
                                  struct parsed *parsed)
{
	const struct answer_pools *pools = data->pools;
	uint16_t type = parsed->query.qtype;
	if (type != WIRE_TYPE_A && type != WIRE_TYPE_AAAA)
		return NULL;
	const struct store_rrset *rrset = answer_find_rrset(data->store, node, type);
	if (!rrset || rrset->source != STORE_POOL)
		return NULL;
	const struct pool_slot *slot = &pools->slots[rrset->ref];
	if (slot->kind == POOL_SLOT_SET)
		return &slot->ref;
	if (!parsed->query.has_ecs || !parsed->query.ecs.source_len)
		return NULL;
	parsed->is_located = true;
	geo_map_find(data->geo, &parsed->query.ecs.addr, &parsed->match);
	return &pools->by_country[slot->ref + parsed->match.country];
}

void answer_prefetch(const struct answer_data *data, const struct answer_state *state, struct parsed *group,
                     size_t n)
{
	const struct answer_pools *pools = data->pools;
	struct {
		const uint32_t *number;
		const struct pool_list *list;
		bool v4;
	} sets[ANSWER_GROUP_N];
	size_t sets_n = 0;
	prefetch_nodes(data, group, n);
	for (size_t i = 0; i < n; i++) {
		const uint32_t *number =
		        group[i].likely ? set_number(data, group[i].likely, &group[i]) : NULL;
		if (!number)
			continue;
		__builtin_prefetch(number);
		sets[sets_n].number = number;
		sets[sets_n++].v4 = group[i].query.qtype == WIRE_TYPE_A;
	}
	for (size_t i = 0; i < sets_n; i++) {
		const struct pool_set *set = &pools->sets[*sets[i].number];
		sets[i].list = sets[i].v4 ? &set->v4 : &set->v6;
		__builtin_prefetch(sets[i].list);
	}
	for (size_t i = 0; i < sets_n; i++) {
		const struct pool_list *list = sets[i].list;
		__builtin_prefetch(&state->rotation[list->rotation % ANSWER_ROTATION_N], 1);
		__builtin_prefetch(pools->mirrors + list->mirrors_off);
		const uint8_t *records = pools->bytes + list->records_off;
		size_t records_len = (size_t)list->records_n * (sets[i].v4 ? POOL_RR4_LEN : POOL_RR6_LEN);
		for (size_t off = 0; off < records_len && off < RECORDS_FETCHED; off += LINE)
			__builtin_prefetch(records + off);
	}
	for (size_t i = 0; i < sets_n; i++) {
		const struct pool_list *list = sets[i].list;
		uint32_t row = state->rotation[list->rotation % ANSWER_ROTATION_N];
		if (row < list->rows_n) /* else it goes round, which is seldom */
			__builtin_prefetch(pools->rows + list->rows_off +
			                   (size_t)row * (list->cycle ? 1 : list->take_n));
	}
}
