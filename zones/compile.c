#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answer/pools_build.h"
#include "base/grow.h"
#include "wire/wire.h"
#include "zones/history.h"
#include "zones/pool/country.h"
#include "zones/zones.h"

/* Sets already made. Many countries without mirrors end at the same members: they share one set. */
struct made_set {
	uint64_t hash;
	size_t pool;
	uint32_t take;
	uint32_t set;
	struct pool_decision decision; /* kept to compare with */
};

struct compile {
	struct zones *zones;
	struct pools_builder *builder;
	struct version_clock clock;
	struct grow made;        /* struct made_set */
	struct made_name *names; /* [pools][FORMS_N][classes_n], made on first use */
	size_t classes_n;        /* of the pool that has most */
};

/* A name's answer, decided already. */
struct made_name {
	uint32_t set;
	struct zones_name_state state; /* known: it is */
};

/* Plain, IPv6 only, all. */
#define FORMS_N 3

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ at[i]) * 0x100000001b3U;
	return hash;
}

static uint64_t hash_members(const struct pool_decision *decision)
{
	uint64_t hash = mix(0xcbf29ce484222325U, &decision->ttl_s, sizeof(decision->ttl_s));
	for (size_t i = 0; i < decision->members_n; i++) {
		const struct pool_member *member = &decision->members[i];
		hash = mix(hash, &member->weight, sizeof(member->weight));
		hash = mix(hash, member->addrs, member->addrs_n * sizeof(*member->addrs));
	}
	return hash;
}

static bool same_members(const struct pool_decision *a, const struct pool_decision *b)
{
	if (a->members_n != b->members_n || a->ttl_s != b->ttl_s)
		return false;
	for (size_t i = 0; i < a->members_n; i++) {
		const struct pool_member *x = &a->members[i];
		const struct pool_member *y = &b->members[i];
		if (x->weight != y->weight || x->addrs_n != y->addrs_n ||
		    memcmp(x->addrs, y->addrs, x->addrs_n * sizeof(*x->addrs)) != 0)
			return false;
	}
	return true;
}

/* The set of a decision; takes the decision over. */
static int set_of_decision(struct compile *compile, size_t pool, uint32_t take, struct pool_decision decision,
                           uint32_t *ret_set)
{
	uint64_t hash = hash_members(&decision);
	struct made_set *made = compile->made.items;
	for (size_t i = 0; i < compile->made.n; i++) {
		if (made[i].hash == hash && made[i].pool == pool && made[i].take == take &&
		    same_members(&made[i].decision, &decision)) {
			pool_decision_fini(&decision);
			*ret_set = made[i].set;
			return 0;
		}
	}
	uint32_t set = 0;
	int rc = pools_builder_add_set(compile->builder, decision.members, decision.members_n, take,
	                               decision.ttl_s, &set);
	struct made_set *entry = rc == 0 ? grow_add(&compile->made, 1) : NULL;
	if (!entry) {
		pool_decision_fini(&decision);
		return -ENOMEM;
	}
	*entry = (struct made_set){
		.hash = hash, .pool = pool, .take = take, .set = set, .decision = decision
	};
	*ret_set = set;
	return 0;
}

static struct zones_name_state state_of(const struct pool_decision *decision)
{
	struct zones_name_state state = { .known = 1,
		                          .level = (uint8_t)decision->level,
		                          .level_v4 = (uint8_t)decision->level_v4,
		                          .readmitted = (uint8_t)decision->readmitted,
		                          .members_n = (uint32_t)decision->members_n };
	if (decision->level == POOL_LEVEL_NEIGHBOUR)
		state.neighbour = decision->neighbour;
	return state;
}

/* Tell the journal when a name is answered from elsewhere. How many mirrors they are follows from the records
 * of the mirrors. */
static void note_name(struct compile *compile, size_t slot_number, struct zones_name_state now)
{
	struct zones *zones = compile->zones;
	if (!zones->name_states || !zones->news)
		return;
	const struct zones_slot *slot = &zones->slots[slot_number];
	struct zones_name_state *before = &zones->name_states[slot_number];
	bool same = before->level == now.level && before->level_v4 == now.level_v4 &&
	            before->readmitted == now.readmitted && before->neighbour == now.neighbour;
	if (before->known && !same)
		history_note_name(zones->news, zones->pools[slot->pool], slot->name, before, &now,
		                  zones->feeds[slot->pool].state.at_s);
	*before = now;
}

static struct made_name *name_of(const struct compile *compile, const struct zones_slot *slot,
                                 uint16_t country)
{
	static const size_t forms[] = { [ZONES_COUNTRY_IPV6] = 1, [ZONES_COUNTRY_ALL] = 2 };
	size_t form =
	        slot->kind == ZONES_COUNTRY_IPV6 || slot->kind == ZONES_COUNTRY_ALL ? forms[slot->kind] : 0;
	size_t class = pool_class_of(compile->zones->pools[slot->pool], country);
	return &compile->names[(slot->pool * FORMS_N + form) * compile->classes_n + class];
}

/* The set and state of a name that asks for a country, or for the world. */
static int make_country(struct compile *compile, const struct zones_slot *slot, uint16_t country,
                        struct made_name *ret_name)
{
	struct made_name *made = name_of(compile, slot, country);
	if (!made->state.known) {
		const struct pool *pool = compile->zones->pools[slot->pool];
		struct pool_decision decision;
		int rc = pool_decide_country(pool, &compile->zones->feeds[slot->pool].state, country,
		                             slot->kind == ZONES_COUNTRY_IPV6, &decision);
		if (rc < 0)
			return rc;
		struct zones_name_state state = state_of(&decision);
		uint32_t take = slot->kind == ZONES_COUNTRY_ALL ? 0 : pool->conf->max_answers;
		rc = set_of_decision(compile, slot->pool, take, decision, &made->set);
		if (rc < 0)
			return rc;
		made->state = state;
	}
	*ret_name = *made;
	return 0;
}

/* Which country a name asks for. */
static uint16_t asked_country(const struct zones_slot *slot, uint16_t client_country)
{
	if (slot->kind == ZONES_NEAREST)
		return country_is_known(client_country) ? country_canonical(client_country) : COUNTRY_UNKNOWN;
	return slot->kind == ZONES_WORLD ? COUNTRY_UNKNOWN : slot->country;
}

/* For each country the set of that country; the same that its own name has. */
static int compile_nearest(struct compile *compile, uint32_t slot_number, const struct zones_slot *slot)
{
	uint32_t by_country[COUNTRY_N];
	for (uint16_t country = 0; country < COUNTRY_N; country++) {
		struct made_name name;
		int rc = make_country(compile, slot, asked_country(slot, country), &name);
		if (rc < 0)
			return rc;
		by_country[country] = name.set;
	}
	return pools_builder_slot_nearest(compile->builder, slot_number, by_country);
}

static int compile_version(struct compile *compile, uint32_t slot_number, const struct zones_slot *slot)
{
	const struct zones_version *entry = &compile->zones->versions[slot->version];
	static const char no_source[] = "version record has no verified source";
	char text[VERSION_TEXT_MAX];
	if (version_freshness(entry->conf, &entry->version, compile->clock) == VERSION_REFUSED)
		return pools_builder_slot_fail(compile->builder, slot_number, WIRE_EDE_INVALID_DATA,
		                               no_source);
	if (slot->kind == ZONES_VERSION)
		version_text(entry->conf, &entry->version, text);
	else if (!version_database_text(&entry->version, slot->database, text))
		return pools_builder_slot_fail(compile->builder, slot_number, WIRE_EDE_INVALID_DATA,
		                               no_source);
	return pools_builder_slot_text(compile->builder, slot_number, entry->conf->ttl_s, text);
}

int zones_decide_slot(const struct zones *zones, const struct zones_slot *slot, uint16_t country,
                      struct pool_decision *ret_decision)
{
	const struct pool *pool = zones->pools[slot->pool];
	const struct pool_state *state = &zones->feeds[slot->pool].state;
	if (slot->kind == ZONES_REGION)
		return pool_decide_region(pool, state, slot->region, ret_decision);
	return pool_decide_country(pool, state, asked_country(slot, country),
	                           slot->kind == ZONES_COUNTRY_IPV6, ret_decision);
}

static int make_region(struct compile *compile, const struct zones_slot *slot, struct made_name *ret_name)
{
	struct pool_decision decision;
	int rc = zones_decide_slot(compile->zones, slot, COUNTRY_UNKNOWN, &decision);
	if (rc < 0)
		return rc;
	ret_name->state = state_of(&decision);
	return set_of_decision(compile, slot->pool, compile->zones->pools[slot->pool]->conf->max_answers,
	                       decision, &ret_name->set);
}

static int compile_slot(struct compile *compile, uint32_t slot_number, const struct zones_slot *slot)
{
	if (slot->kind == ZONES_VERSION || slot->kind == ZONES_VERSION_DATABASE)
		return compile_version(compile, slot_number, slot);
	if (slot->kind == ZONES_NEAREST)
		return compile_nearest(compile, slot_number, slot);
	struct made_name name;
	int rc = slot->kind == ZONES_REGION ? make_region(compile, slot, &name)
	                                    : make_country(compile, slot, asked_country(slot, 0), &name);
	if (rc < 0)
		return rc;
	note_name(compile, slot_number, name.state);
	return pools_builder_slot_set(compile->builder, slot_number, name.set);
}

static int add_addresses(struct compile *compile)
{
	for (size_t i = 0; i < compile->zones->conf->pools_n; i++) {
		const struct pool *pool = compile->zones->pools[i];
		for (size_t k = 0; k < pool->mirrors_n; k++) {
			const struct mirror *mirror = &pool->mirrors[k];
			for (size_t a = 0; a < mirror->addrs_n; a++) {
				if (pools_builder_add_address(compile->builder, &mirror->addrs[a],
				                              mirror->number) < 0)
					return -ENOMEM;
			}
		}
	}
	return 0;
}

static int prepare(struct compile *compile)
{
	const struct zones *zones = compile->zones;
	size_t pools_n = zones->conf->pools_n;
	for (size_t i = 0; i < pools_n; i++) {
		if (pool_classes_n(zones->pools[i]) > compile->classes_n)
			compile->classes_n = pool_classes_n(zones->pools[i]);
	}
	compile->names = calloc(pools_n * FORMS_N * compile->classes_n + 1, sizeof(*compile->names));
	return compile->builder && compile->names ? 0 : -ENOMEM;
}

int zones_compile(struct zones *zones, struct version_clock clock, struct answer_pools **ret_pools)
{
	struct compile compile = {
		.zones = zones,
		.clock = clock,
		.builder = pools_builder_create((uint32_t)zones->slots_n),
	};
	grow_init(&compile.made, sizeof(struct made_set));
	int rc = prepare(&compile);
	for (size_t i = 0; i < zones->slots_n && rc == 0; i++)
		rc = compile_slot(&compile, (uint32_t)i, &zones->slots[i]);
	if (rc == 0)
		rc = add_addresses(&compile);
	if (rc == 0)
		rc = pools_build(compile.builder, ret_pools);
	struct made_set *made = compile.made.items;
	for (size_t i = 0; i < compile.made.n; i++)
		pool_decision_fini(&made[i].decision);
	grow_fini(&compile.made);
	free(compile.names);
	pools_builder_destroy(compile.builder);
	return rc;
}
