/* Which of the zones a name belongs to. */
#include <errno.h>
#include <stdlib.h>

#include "answer/store_build_int.h"
#include "wire/name.h"

static const struct build_node *apex_of(const struct store_builder *builder, uint32_t zone)
{
	const struct build_zone *zones = builder->zones.items;
	return node_at(builder, zones[zone].apex);
}

uint16_t *store__find_zone_slot(const struct store_builder *builder, const uint8_t *name, size_t name_len)
{
	uint8_t copy[264];
	uint32_t hash = store__hash_name(name, name_len, copy);
	uint32_t at = hash & (builder->zone_slots_n - 1);
	while (builder->zone_slots[at]) {
		const struct build_node *apex = apex_of(builder, builder->zone_slots[at] - 1U);
		if (apex->hash == hash && name_equal(apex->name, apex->name_len, name, name_len))
			break;
		at = (at + 1) & (builder->zone_slots_n - 1);
	}
	return &builder->zone_slots[at];
}

int store__grow_zone_slots(struct store_builder *builder)
{
	if (builder->zones.n * 2 < builder->zone_slots_n)
		return 0;
	uint32_t slots_n = builder->zone_slots_n ? builder->zone_slots_n * 2 : 64;
	uint16_t *slots = calloc(slots_n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(builder->zone_slots);
	builder->zone_slots = slots;
	builder->zone_slots_n = slots_n;
	for (uint32_t i = 0; i < builder->zones.n; i++) {
		const struct build_node *apex = apex_of(builder, i);
		*store__find_zone_slot(builder, apex->name, apex->name_len) = (uint16_t)(i + 1);
	}
	return 0;
}

/* The zone whose apex is at or above the name, the deepest of those below above_len; `none` when there is
 * none.
 */
static uint16_t zone_around(const struct store_builder *builder, const uint8_t *name, size_t name_len,
                            size_t above_len, uint16_t none)
{
	while (name_len > above_len) {
		uint16_t zone_plus_1 = *store__find_zone_slot(builder, name, name_len);
		if (zone_plus_1)
			return (uint16_t)(zone_plus_1 - 1);
		size_t label = (size_t)name[0] + 1;
		if (name_len <= label)
			break;
		name += label;
		name_len -= label;
	}
	return none;
}

uint16_t store__deepest_zone(const struct store_builder *builder, const struct build_node *node,
                             bool *ret_at_apex)
{
	const struct build_zone *zones = builder->zones.items;
	uint16_t zone = node->zone;
	if (zones[zone].has_inner)
		zone = zone_around(builder, node->name, node->name_len, apex_of(builder, zone)->name_len,
		                   zone);
	*ret_at_apex = node->name_len == apex_of(builder, zone)->name_len;
	return zone;
}

uint16_t store__parent_zone(const struct store_builder *builder, uint16_t child)
{
	const struct build_node *below = apex_of(builder, child);
	size_t label = (size_t)below->name[0] + 1;
	if (below->name_len <= label)
		return child;
	return zone_around(builder, below->name + label, below->name_len - label, 0, child);
}

void store__note_inner_zones(struct store_builder *builder)
{
	struct build_zone *zones = builder->zones.items;
	for (uint32_t i = 0; i < builder->zones.n; i++) {
		uint16_t parent = store__parent_zone(builder, (uint16_t)i);
		zones[parent].has_inner |= parent != i;
	}
}
