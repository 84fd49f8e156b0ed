#include "answer/answer_int.h"

/*
 * Each step reads what the one before has fetched, for all of the group before any goes on: so the fetches
 * of a group overlap, where one answer after the other would wait for each.
 */

/* The way to the names, and meanwhile that to the countries of client subnets. */
static void prefetch_nodes(const struct answer_data *data, const struct parsed *group, size_t n,
                           const struct store_node **ret_nodes)
{
	const struct answer_store *store = data->store;
	const struct store_slot *slots[ANSWER_GROUP_N];
	for (unsigned step = 0; step < 3; step++) {
		for (size_t i = 0; i < n; i++) {
			const struct wire_query *query = &group[i].query;
			if (group[i].verdict != WIRE_OK) {
				ret_nodes[i] = NULL;
				continue;
			}
			if (query->has_ecs)
				geo_map_prefetch(data->geo, &query->ecs.addr, step);
			if (step == 0) {
				slots[i] = &store->slots[store_hash(query->qname, query->qname_len) &
				                         store->slots_mask];
				__builtin_prefetch(slots[i]);
			} else if (step == 1) {
				uint32_t node_plus_1 = slots[i]->node_plus_1;
				ret_nodes[i] = node_plus_1 ? &store->nodes[node_plus_1 - 1] : NULL;
				__builtin_prefetch(ret_nodes[i]);
			} else if (ret_nodes[i]) {
				__builtin_prefetch(store->bytes + ret_nodes[i]->name_off);
				__builtin_prefetch(store->rrsets + ret_nodes[i]->rrsets_off);
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
	const struct store_node *nodes[ANSWER_GROUP_N];
	struct {
		const uint32_t *number;
		const struct pool_list *list;
		bool v4;
	} sets[ANSWER_GROUP_N];
	size_t sets_n = 0;
	prefetch_nodes(data, group, n, nodes);
	for (size_t i = 0; i < n; i++) {
		const uint32_t *number = nodes[i] ? set_number(data, nodes[i], &group[i]) : NULL;
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
		__builtin_prefetch(pools->rows + list->rows_off);
		__builtin_prefetch(pools->mirrors + list->mirrors_off);
		__builtin_prefetch(pools->bytes + list->records_off);
	}
}
