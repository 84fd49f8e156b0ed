#include "zones/explain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "answer/answer.h"
#include "answer/trace.h"
#include "base/object.h"
#include "base/utc.h"
#include "wire/name.h"
#include "wire/request.h"
#include "wire/wire.h"
#include "zones/history.h"

static void set_country(json_t *object, const char *key, uint16_t country)
{
	char code[3];
	country_to_code(country, code);
	object_set_text(object, key, country == COUNTRY_UNKNOWN ? "unknown" : code);
}

static void set_addr(json_t *object, const char *key, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	object_set_text(object, key, addr_format(addr, text, sizeof(text)));
}

static void set_prefix(json_t *object, const char *key, const struct prefix *prefix)
{
	char text[ADDR_TEXT_MAX];
	object_set_text(object, key, prefix_format(prefix, text, sizeof(text)));
}

/* --- the answer --- */

/* What answer_query() made of the question. */
struct asked {
	struct answer_trace trace;
	ldns_pkt *pkt;
	uint8_t scope_len;
	bool has_scope;
};

/* The scope in the client subnet option of an answer, which ldns keeps as bytes. */
static void read_scope(const ldns_pkt *pkt, struct asked *asked)
{
	const ldns_rdf *edns = ldns_pkt_edns_data(pkt);
	const uint8_t *at = edns ? ldns_rdf_data(edns) : NULL;
	size_t left = edns ? ldns_rdf_size(edns) : 0;
	while (left >= 4) {
		size_t len = wire_get16(at + 2);
		if (len > left - 4)
			return;
		if (wire_get16(at) == WIRE_OPTION_ECS && len >= 4) {
			asked->has_scope = true;
			asked->scope_len = at[7];
		}
		at += 4 + len;
		left -= 4 + len;
	}
}

/* Over TCP, so that nothing is cut off. */
static int ask(const struct answer_data *data, const struct explain_question *question, struct asked *asked)
{
	uint8_t req[WIRE_REQUEST_MAX];
	struct sockaddr_storage peer;
	struct answer_state *state = calloc(1, sizeof(*state));
	uint8_t *resp = malloc(ANSWER_TCP_MAX);
	int rc = state && resp ? 0 : -ENOMEM;
	if (rc == 0) {
		size_t req_len = wire_request_make(question->name, question->name_len, question->type,
		                                   WIRE_CLASS_IN, ANSWER_UDP_MAX, question->subnet, req);
		addr_to_sockaddr(&question->from, 53, &peer);
		struct client client = { .peer = (const struct sockaddr *)&peer, .transport = TRANSPORT_TCP };
		state->trace = &asked->trace;
		size_t len = answer_query(data, &client, req, req_len, resp, ANSWER_TCP_MAX, state);
		if (ldns_wire2pkt(&asked->pkt, resp, len) != LDNS_STATUS_OK)
			rc = -ENOMEM; /* what we write is well-formed */
		else
			read_scope(asked->pkt, asked);
	}
	free(state);
	free(resp);
	return rc;
}

static json_t *answer_texts(const ldns_rr_list *list)
{
	json_t *texts = json_array();
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		char *text = ldns_rr2str(ldns_rr_list_rr(list, i));
		if (!text)
			continue;
		for (char *at = text; *at; at++) {
			if (*at == '\t')
				*at = ' ';
		}
		text[strcspn(text, "\n")] = '\0';
		json_array_append_new(texts, json_string(text));
		free(text);
	}
	return texts;
}

static const char *result_text(const struct asked *asked, const struct zones_slot *slot)
{
	const ldns_pkt *pkt = asked->pkt;
	bool empty = ldns_rr_list_rr_count(ldns_pkt_answer(pkt)) == 0;
	switch (asked->trace.found) {
	case TRACE_NONE: return "refused as asked";
	case TRACE_OUTSIDE: return "in no zone of ours";
	case TRACE_NO_NAME: return "no such name";
	case TRACE_DELEGATION: return "delegated to other servers";
	case TRACE_PING: return "usage report";
	default: break;
	}
	if (ldns_pkt_get_rcode(pkt) == LDNS_RCODE_SERVFAIL)
		return "out of order";
	if (slot)
		return slot->kind == ZONES_VERSION || slot->kind == ZONES_VERSION_DATABASE ? "version record"
		                                                                           : "pool";
	if (empty)
		return "no record of this type";
	return asked->trace.found == TRACE_WILDCARD ? "wildcard of the zone file" : "zone file";
}

/* --- the decision --- */

static json_t *mirror_base(const struct mirror *mirror, const struct mirror_state *state)
{
	json_t *object = history_mirror_state(mirror, state);
	if (!object)
		return NULL;
	object_set_text(object, "mirror", mirror->host);
	set_country(object, "country", mirror->country);
	object_set_number(object, "weight", mirror->weight);
	object_set_text(object, "state", state->reason == REASON_NONE ? "in" : reason_text(state->reason));
	return object;
}

static json_t *addr_list(const struct mirror *mirror)
{
	json_t *list = json_array();
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		char text[ADDR_TEXT_MAX];
		json_array_append_new(list, json_string(addr_format(&mirror->addrs[i], text, sizeof(text))));
	}
	return list;
}

static void tell_mirrors(const struct zones *zones, const struct zones_slot *slot,
                         const struct pool_decision *decision, json_t *object)
{
	const struct pool *pool = zones->pools[slot->pool];
	const struct pool_state *state = &zones->feeds[slot->pool].state;
	json_t *mirrors = json_array();
	size_t others_n = 0;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		const struct pool_pick *pick = &decision->picks[i];
		if (!pick->asked) {
			others_n++;
			continue;
		}
		json_t *entry = mirror_base(&pool->mirrors[i], &state->mirrors[i]);
		if (!entry)
			continue;
		json_object_set_new(entry, "addresses-all", addr_list(&pool->mirrors[i]));
		json_object_set_new(entry, "used", json_boolean(pick->taken));
		object_set_text(entry, "level", pool_level_text(pick->level));
		if (pick->taken && state->mirrors[i].reason != REASON_NONE)
			json_object_set_new(entry, "taken-back", json_true());
		if (pick->family_only)
			json_object_set_new(entry, "one-family", json_true());
		json_array_append_new(mirrors, entry);
	}
	json_object_set_new(object, "mirrors", mirrors);
	object_set_number(object, "mirrors-not-asked", others_n);
}

/* The addresses of one family that the name may be answered with. */
static json_t *member_texts(const struct pool_decision *decision, uint8_t family)
{
	json_t *members = json_array();
	for (size_t i = 0; i < decision->members_n; i++) {
		for (size_t k = 0; k < decision->members[i].addrs_n; k++) {
			char text[ADDR_TEXT_MAX];
			const struct addr *addr = &decision->members[i].addrs[k];
			if (addr->family == family)
				json_array_append_new(members,
				                      json_string(addr_format(addr, text, sizeof(text))));
		}
	}
	return members;
}

static bool has_text(const json_t *list, const char *text)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
			return true;
	}
	return false;
}

/* Does the answer hold members only, as many as it should, for as long as decided? */
static bool agrees(const ldns_pkt *pkt, uint16_t type, const json_t *members, size_t most, uint32_t ttl_s)
{
	const ldns_rr_list *list = ldns_pkt_answer(pkt);
	size_t n = 0;
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		char text[INET6_ADDRSTRLEN];
		struct addr addr = { .family = type == WIRE_TYPE_A ? 4 : 6 };
		if ((uint16_t)ldns_rr_get_type(rr) != type)
			continue;
		memcpy(addr.bytes, ldns_rdf_data(ldns_rr_rdf(rr, 0)), ldns_rdf_size(ldns_rr_rdf(rr, 0)));
		if (!has_text(members, addr_format(&addr, text, sizeof(text))) || ldns_rr_ttl(rr) != ttl_s)
			return false;
		n++;
	}
	size_t members_n = json_array_size(members);
	return n == (members_n < most ? members_n : most);
}

static void tell_level(const struct pool *pool, const struct pool_decision *decision, json_t *object)
{
	object_set_text(object, "level", pool_level_text(decision->level));
	if (decision->level == POOL_LEVEL_NEIGHBOUR)
		set_country(object, "neighbour", decision->neighbour);
	if (decision->level == POOL_LEVEL_REGION && decision->region >= 0)
		object_set_text(object, "region", pool->regions[decision->region].name);
	if (decision->level_v4 != decision->level)
		object_set_text(object, "level-ipv4", pool_level_text(decision->level_v4));
	if (decision->readmitted != REASON_NONE)
		object_set_text(object, "taken-back-up-to", reason_text(decision->readmitted));
}

static const char *slot_kind_text(enum zones_slot_kind kind)
{
	static const char *const text[] = { "world",       "nearest", "country", "country-ipv6",
		                            "country-all", "region",  "version", "version-database" };
	return text[kind];
}

static int tell_pool(const struct zones *zones, const struct explain_question *question,
                     const struct asked *asked, const struct zones_slot *slot, json_t *object)
{
	const struct pool *pool = zones->pools[slot->pool];
	struct pool_decision decision;
	int rc = zones_decide_slot(zones, slot, asked->trace.match.country, &decision);
	if (rc < 0)
		return rc;
	object_set_text(object, "pool", pool->conf->name);
	object_set_text(object, "kind", slot_kind_text(slot->kind));
	object_set_text(object, "pool-name", slot->name);
	if (slot->kind == ZONES_REGION)
		object_set_text(object, "asked-region", pool->regions[slot->region].name);
	else if (slot->kind != ZONES_WORLD)
		set_country(object, "asked-country", decision.country);
	object_set_number(object, "min-mirrors", pool->conf->min_mirrors);
	tell_level(pool, &decision, object);
	object_set_number(object, "ttl", decision.ttl_s);
	if (decision.ttl_mirror >= 0) {
		object_set_text(object, "ttl-lowered-for", pool->mirrors[decision.ttl_mirror].host);
		object_set_time(object, "ttl-lowered-until",
		                zones->feeds[slot->pool].state.mirrors[decision.ttl_mirror].out_at_s);
	}
	size_t most = slot->kind == ZONES_COUNTRY_ALL ? SIZE_MAX : pool->conf->max_answers;
	if (most != SIZE_MAX)
		object_set_number(object, "max-answers", most);
	json_t *members = member_texts(&decision, question->type == WIRE_TYPE_AAAA ? 6 : 4);
	bool address = question->type == WIRE_TYPE_A || question->type == WIRE_TYPE_AAAA;
	if (address && asked->trace.found != TRACE_PING)
		json_object_set_new(
		        object, "agrees",
		        json_boolean(agrees(asked->pkt, question->type, members, most, decision.ttl_s)));
	json_object_set_new(object, "members", members);
	tell_mirrors(zones, slot, &decision, object);
	pool_decision_fini(&decision);
	return 0;
}

static json_t *client_of(const struct explain_question *question, const struct asked *asked)
{
	json_t *object = json_object();
	set_addr(object, "address", &question->from);
	if (question->subnet)
		set_prefix(object, "subnet", question->subnet);
	if (!asked->trace.by_country)
		return object;
	object_set_text(object, "used", asked->trace.by_subnet ? "subnet" : "address");
	set_country(object, "country", asked->trace.match.country);
	bool by_subnet = asked->trace.by_subnet && question->subnet;
	struct prefix network = { .addr = by_subnet ? question->subnet->addr : question->from,
		                  .len = asked->trace.match.prefix_len };
	prefix_mask(&network);
	set_prefix(object, "network", &network);
	return object;
}

int explain_question(const struct zones *zones, const struct answer_data *data,
                     const struct explain_question *question, json_t **ret_explanation)
{
	struct asked asked = { .pkt = NULL };
	int rc = ask(data, question, &asked);
	json_t *object = rc == 0 ? json_object() : NULL;
	if (!object) {
		ldns_pkt_free(asked.pkt);
		return -ENOMEM;
	}
	const struct zones_slot *slot = asked.trace.has_slot ? &zones->slots[asked.trace.slot] : NULL;
	char name[NAME_TEXT_MAX];
	char *type = ldns_rr_type2str((ldns_rr_type)question->type);
	char *rcode = ldns_pkt_rcode2str(ldns_pkt_get_rcode(asked.pkt));
	object_set_text(object, "name", name_to_text(question->name, name));
	object_set_text(object, "type", type ? type : "?");
	json_object_set_new(object, "client", client_of(question, &asked));
	object_set_text(object, "result", result_text(&asked, slot));
	object_set_text(object, "rcode", rcode ? rcode : "?");
	json_object_set_new(object, "authoritative", json_boolean(ldns_pkt_aa(asked.pkt)));
	if (asked.has_scope)
		object_set_number(object, "scope", asked.scope_len);
	json_object_set_new(object, "answer", answer_texts(ldns_pkt_answer(asked.pkt)));
	json_object_set_new(object, "authority", answer_texts(ldns_pkt_authority(asked.pkt)));
	if (slot && slot->kind != ZONES_VERSION && slot->kind != ZONES_VERSION_DATABASE)
		rc = tell_pool(zones, question, &asked, slot, object);
	free(type);
	free(rcode);
	ldns_pkt_free(asked.pkt);
	if (rc < 0)
		json_decref(object);
	else
		*ret_explanation = object;
	return rc;
}

/* --- pools, feeds, versions --- */

/* Mirrors that a name would have with nobody out. */
static size_t own_mirrors(const struct pool *pool, const struct zones_slot *slot)
{
	size_t n = 0;
	if (slot->kind == ZONES_WORLD)
		return pool->mirrors_n;
	if (slot->kind != ZONES_REGION)
		return pool_country_mirrors_n(pool, slot->country);
	for (uint16_t country = 0; country < COUNTRY_N; country++)
		n += pool->regions[slot->region].has[country] ? pool_country_mirrors_n(pool, country) : 0;
	return n;
}

/* What was decided for a name, without its lists. */
struct decided {
	bool known;
	struct pool_decision decision;
};

/* Names that are answered alike share an entry: those of a class, for IPv6 alone or not, and those of a
 * region. */
static size_t decided_number(const struct pool *pool, const struct zones_slot *slot)
{
	size_t classes_n = pool_classes_n(pool);
	if (slot->kind == ZONES_REGION)
		return classes_n * 2 + (size_t)slot->region;
	size_t class = pool_class_of(pool, slot->kind == ZONES_WORLD ? COUNTRY_UNKNOWN : slot->country);
	return slot->kind == ZONES_COUNTRY_IPV6 ? classes_n + class : class;
}

static const struct pool_decision *decide_once(const struct zones *zones, const struct zones_slot *slot,
                                               struct decided *entries)
{
	struct decided *entry = &entries[decided_number(zones->pools[slot->pool], slot)];
	struct pool_decision decision;
	if (entry->known)
		return &entry->decision;
	if (zones_decide_slot(zones, slot, COUNTRY_UNKNOWN, &decision) < 0)
		return NULL;
	entry->known = true;
	entry->decision = decision;
	entry->decision.picks = NULL;
	entry->decision.members = NULL;
	entry->decision.addrs = NULL;
	pool_decision_fini(&decision);
	return &entry->decision;
}

static json_t *name_list(const struct zones *zones, size_t number)
{
	const struct pool *pool = zones->pools[number];
	json_t *names = json_array();
	struct decided *entries = calloc(pool_classes_n(pool) * 2 + pool->regions_n, sizeof(*entries));
	for (size_t i = 0; i < zones->slots_n && entries; i++) {
		const struct zones_slot *slot = &zones->slots[i];
		bool version = slot->kind == ZONES_VERSION || slot->kind == ZONES_VERSION_DATABASE;
		if (version || slot->pool != number || slot->kind == ZONES_NEAREST)
			continue;
		const struct pool_decision *decision = decide_once(zones, slot, entries);
		if (!decision)
			continue;
		json_t *entry = json_object();
		object_set_text(entry, "name", slot->name);
		object_set_text(entry, "kind", slot_kind_text(slot->kind));
		object_set_number(entry, "own-mirrors", own_mirrors(pool, slot));
		tell_level(pool, decision, entry);
		object_set_number(entry, "mirrors", decision->members_n);
		object_set_number(entry, "ttl", decision->ttl_s);
		json_array_append_new(names, entry);
	}
	free(entries);
	return names;
}

json_t *explain_pool(const struct zones *zones, size_t number)
{
	const struct pool *pool = zones->pools[number];
	const struct zones_feed *entry = &zones->feeds[number];
	json_t *object = json_object();
	json_t *mirrors = json_array();
	if (!object || !mirrors) {
		json_decref(object);
		json_decref(mirrors);
		return NULL;
	}
	object_set_text(object, "pool", pool->conf->name);
	object_set_time(object, "at", entry->state.at_s);
	object_set_number(object, "mirrors-total", pool->mirrors_n);
	object_set_number(object, "mirrors-out", entry->state.out_n);
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		json_t *mirror = mirror_base(&pool->mirrors[i], &entry->state.mirrors[i]);
		if (!mirror)
			continue;
		json_object_set_new(mirror, "addresses-all", addr_list(&pool->mirrors[i]));
		json_array_append_new(mirrors, mirror);
	}
	json_object_set_new(object, "mirrors", mirrors);
	json_object_set_new(object, "names", name_list(zones, number));
	return object;
}

static json_t *feed_object(const struct feed *feed)
{
	json_t *object = json_object();
	object_set_number(object, "serial", feed->serial);
	object_set_time(object, "generated", feed->generated_s);
	object_set_time(object, "valid-until", feed->valid_until_s);
	if (feed->monitor)
		object_set_text(object, "monitor", feed->monitor);
	json_t *excluded = json_array();
	for (size_t i = 0; i < feed->exclusions_n; i++) {
		const struct feed_exclusion *exclusion = &feed->exclusions[i];
		json_t *entry = json_object();
		if (exclusion->host)
			object_set_text(entry, "mirror", exclusion->host);
		else
			set_addr(entry, "address", &exclusion->addr);
		object_set_text(entry, "reason", reason_text(exclusion->reason));
		object_set_time(entry, "since", exclusion->since_s);
		if (exclusion->detail)
			object_set_text(entry, "detail", exclusion->detail);
		json_array_append_new(excluded, entry);
	}
	json_object_set_new(object, "excluded", excluded);
	return object;
}

json_t *explain_feed(const struct zones *zones, size_t number)
{
	const struct pool *pool = zones->pools[number];
	const struct zones_feed *entry = &zones->feeds[number];
	json_t *object = json_object();
	if (!object)
		return NULL;
	object_set_text(object, "pool", pool->conf->name);
	if (pool->conf->feed_file)
		object_set_text(object, "file", pool->conf->feed_file);
	if (entry->feed)
		json_object_set_new(object, "in-force", feed_object(entry->feed));
	if (entry->feed)
		json_object_set_new(object, "expired", json_boolean(entry->stale_told));
	if (!entry->held)
		return object;
	json_t *held = feed_object(entry->held);
	object_set_time(held, "held-since", entry->held_since_s);
	bool rejected = zones_feed_is_rejected(entry);
	json_object_set_new(held, "rejected", json_boolean(rejected));
	if (!rejected)
		object_set_time(held, "comes-into-force", entry->held_until_s);
	object_set_number(held, "takes-out", entry->held_finding.removed_n);
	if (entry->held_finding.emptied != COUNTRY_UNKNOWN)
		set_country(held, "empties", entry->held_finding.emptied);
	json_object_set_new(object, "held", held);
	return object;
}

static const char *freshness_text(enum version_freshness freshness)
{
	static const char *const text[] = { "fresh", "stale", "refused" };
	return text[freshness];
}

static const char *source_text(const struct conf_version *conf)
{
	if (conf->directory)
		return conf->directory;
	return conf->feed ? conf->feed : "configuration";
}

json_t *explain_versions(const struct zones *zones)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < zones->versions_n; i++) {
		const struct zones_version *entry = &zones->versions[i];
		char text[VERSION_TEXT_MAX];
		json_t *object = json_object();
		json_t *databases = json_object();
		object_set_text(object, "zone", entry->zone->name);
		object_set_text(object, "name", entry->conf->name);
		object_set_text(object, "source", source_text(entry->conf));
		object_set_time(object, "verified", entry->version.verified_s);
		object_set_text(
		        object, "state",
		        freshness_text(version_freshness(entry->conf, &entry->version, version_clock_now())));
		version_text(entry->conf, &entry->version, text);
		object_set_text(object, "text", text);
		for (size_t k = 0; k < entry->version.databases_n; k++)
			object_set_number(databases, entry->version.databases[k].name,
			                  entry->version.databases[k].version);
		json_object_set_new(object, "databases", databases);
		json_array_append_new(list, object);
	}
	return list;
}

/* --- the past --- */

int explain_past_begin(const struct zones *zones, const char *directory, uint64_t at_s, struct diag *diag,
                       struct zones *ret_past)
{
	size_t pools_n = zones->conf->pools_n;
	struct pool_state *states = calloc(pools_n + 1, sizeof(*states));
	struct zones_feed *feeds = calloc(pools_n + 1, sizeof(*feeds));
	int rc = states && feeds ? history_replay(directory, zones, at_s, diag, states) : -ENOMEM;
	for (size_t i = 0; i < pools_n && rc == 0; i++)
		feeds[i].state = states[i];
	free(states);
	if (rc < 0) {
		free(feeds);
		return rc;
	}
	*ret_past = *zones;
	ret_past->feeds = feeds;
	/* Looking back is not news. */
	ret_past->news = NULL;
	ret_past->name_states = NULL;
	return 0;
}

void explain_past_end(struct zones *past)
{
	for (size_t i = 0; i < past->conf->pools_n; i++)
		pool_state_fini(&past->feeds[i].state);
	free(past->feeds);
}
