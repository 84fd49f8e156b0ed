#include "tests/unit/support/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct zone {
	ldns_rdf *apex;
	ldns_rr_list *records;
};

struct reference {
	struct zone *zones;
	size_t zones_n;
};

static bool same_name(const ldns_rdf *a, const ldns_rdf *b)
{
	return ldns_dname_compare(a, b) == 0;
}

static bool is_at_or_below(const ldns_rdf *name, const ldns_rdf *above)
{
	return same_name(name, above) || ldns_dname_is_subdomain(name, above);
}

/* --- zones --- */

static bool is_there(const ldns_rr_list *list, const ldns_rr *rr)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		if (ldns_rr_compare(ldns_rr_list_rr(list, i), rr) == 0)
			return true;
	}
	return false;
}

static bool same_rrset(const ldns_rr *a, const ldns_rr *b)
{
	return ldns_rr_get_type(a) == ldns_rr_get_type(b) && same_name(ldns_rr_owner(a), ldns_rr_owner(b));
}

/* RFC 2181 section 5: no record twice; the records of an RRset have the lowest of their TTLs. */
static void add_record(struct zone *zone, ldns_rr *rr)
{
	if (is_there(zone->records, rr)) {
		ldns_rr_free(rr);
		return;
	}
	ldns_rr_list_push_rr(zone->records, rr);
	uint32_t lowest_s = UINT32_MAX;
	for (size_t i = 0; i < ldns_rr_list_rr_count(zone->records); i++) {
		const ldns_rr *other = ldns_rr_list_rr(zone->records, i);
		if (same_rrset(other, rr) && ldns_rr_ttl(other) < lowest_s)
			lowest_s = ldns_rr_ttl(other);
	}
	for (size_t i = 0; i < ldns_rr_list_rr_count(zone->records); i++) {
		ldns_rr *other = ldns_rr_list_rr(zone->records, i);
		if (same_rrset(other, rr))
			ldns_rr_set_ttl(other, lowest_s);
	}
}

static bool read_zone(const struct reference_zone *from, struct zone *zone)
{
	zone->apex = ldns_dname_new_frm_str(from->name);
	zone->records = ldns_rr_list_new();
	FILE *file = fmemopen((void *)from->text, strlen(from->text), "r");
	ldns_zone *read = NULL;
	if (!zone->apex || !zone->records || !file)
		abort();
	ldns_status status = ldns_zone_new_frm_fp(&read, file, zone->apex, 0, LDNS_RR_CLASS_IN);
	fclose(file);
	if (status != LDNS_STATUS_OK) {
		fprintf(stderr, "reference: zone %s: %s\n", from->name, ldns_get_errorstr_by_id(status));
		return false;
	}
	add_record(zone, ldns_rr_clone(ldns_zone_soa(read)));
	for (size_t i = 0; i < ldns_zone_rr_count(read); i++)
		add_record(zone, ldns_rr_clone(ldns_rr_list_rr(ldns_zone_rrs(read), i)));
	ldns_zone_deep_free(read);
	return true;
}

struct reference *reference_create(const struct reference_zone *zones, size_t zones_n)
{
	struct reference *reference = calloc(1, sizeof(*reference));
	if (!reference)
		abort();
	reference->zones = calloc(zones_n, sizeof(*reference->zones));
	reference->zones_n = zones_n;
	if (!reference->zones)
		abort();
	bool good = true;
	for (size_t i = 0; i < zones_n; i++)
		good &= read_zone(&zones[i], &reference->zones[i]);
	if (!good) {
		reference_destroy(reference);
		return NULL;
	}
	return reference;
}

void reference_destroy(struct reference *reference)
{
	if (!reference)
		return;
	for (size_t i = 0; i < reference->zones_n; i++) {
		ldns_rdf_deep_free(reference->zones[i].apex);
		ldns_rr_list_deep_free(reference->zones[i].records);
	}
	free(reference->zones);
	free(reference);
}

const ldns_rr_list *reference_records(const struct reference *reference, size_t zone)
{
	return reference->zones[zone].records;
}

size_t reference_zones_n(const struct reference *reference)
{
	return reference->zones_n;
}

/* A name exists when it has records, or one below it has (RFC 4592 section 2.2.2). */
static bool exists(const struct zone *zone, const ldns_rdf *name)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(zone->records); i++) {
		if (is_at_or_below(ldns_rr_owner(ldns_rr_list_rr(zone->records, i)), name))
			return true;
	}
	return false;
}

/* Step 2: the zone nearest to the name; for DS the parent's side, if that is ours too (RFC 4035 section
 * 3.1.4.1). A parent that has forgotten its child must not deny it. */
static const struct zone *find_zone(const struct reference *reference, const ldns_rdf *name,
                                    ldns_rr_type type)
{
	const struct zone *found = NULL;
	const struct zone *above = NULL;
	for (size_t i = 0; i < reference->zones_n; i++) {
		const struct zone *zone = &reference->zones[i];
		if (is_at_or_below(name, zone->apex) &&
		    (!found || ldns_dname_label_count(zone->apex) > ldns_dname_label_count(found->apex)))
			found = zone;
	}
	if (!found || type != LDNS_RR_TYPE_DS || !same_name(name, found->apex))
		return found;
	for (size_t i = 0; i < reference->zones_n; i++) {
		const struct zone *zone = &reference->zones[i];
		if (zone != found && is_at_or_below(name, zone->apex) &&
		    (!above || ldns_dname_label_count(zone->apex) > ldns_dname_label_count(above->apex)))
			above = zone;
	}
	return above && exists(above, name) ? above : found;
}

static bool has_type(const struct zone *zone, const ldns_rdf *name, ldns_rr_type type)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(zone->records); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(zone->records, i);
		if (ldns_rr_get_type(rr) == type && same_name(ldns_rr_owner(rr), name))
			return true;
	}
	return false;
}

static bool is_wildcard(const ldns_rdf *name)
{
	return ldns_rdf_size(name) > 2 && memcmp(ldns_rdf_data(name), "\1*", 2) == 0;
}

static bool is_cut(const struct zone *zone, const ldns_rdf *name)
{
	return has_type(zone, name, LDNS_RR_TYPE_NS) && !same_name(name, zone->apex) && !is_wildcard(name);
}

/* --- one answer --- */

struct compose {
	const struct reference *reference;
	const struct zone *zone;
	ldns_rr_type type;
	struct reference_answer *answer;
	ldns_rdf *name; /* where the chain has come to; owned */
	ldns_rdf *passed[REFERENCE_LINKS_MAX + 1];
	unsigned links_n;
};

/* The records of a type at from, under the name owner. type ANY: all. Returns how many. */
static size_t copy_rrset(const struct zone *zone, const ldns_rdf *from, ldns_rr_type type,
                         const ldns_rdf *owner, ldns_rr_list *to)
{
	size_t n = 0;
	for (size_t i = 0; i < ldns_rr_list_rr_count(zone->records); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(zone->records, i);
		if ((type != LDNS_RR_TYPE_ANY && ldns_rr_get_type(rr) != type) ||
		    !same_name(ldns_rr_owner(rr), from))
			continue;
		ldns_rr *copy = ldns_rr_clone(rr);
		ldns_rdf_deep_free(ldns_rr_owner(copy));
		ldns_rr_set_owner(copy, ldns_rdf_clone(owner));
		n++;
		if (is_there(to, copy))
			ldns_rr_free(copy);
		else
			ldns_rr_list_push_rr(to, copy);
	}
	return n;
}

/* RFC 2308 section 3. */
static void add_soa(struct compose *compose)
{
	const struct zone *zone = compose->zone;
	ldns_rr_list *authority = compose->answer->authority;
	copy_rrset(zone, zone->apex, LDNS_RR_TYPE_SOA, zone->apex, authority);
	ldns_rr *soa = ldns_rr_list_rr(authority, 0);
	uint32_t minimum_s = ldns_rdf2native_int32(ldns_rr_rdf(soa, 6));
	if (minimum_s < ldns_rr_ttl(soa))
		ldns_rr_set_ttl(soa, minimum_s);
}

static const ldns_rdf *target_of(const ldns_rr *rr)
{
	switch (ldns_rr_get_type(rr)) {
	case LDNS_RR_TYPE_NS: return ldns_rr_rdf(rr, 0);
	case LDNS_RR_TYPE_MX: return ldns_rr_rdf(rr, 1);
	case LDNS_RR_TYPE_SRV: return ldns_rr_rdf(rr, 3);
	default: return NULL;
	}
}

/* Step 6: addresses of the names in the records, from local data. cut: of a referral, else NULL. */
static void add_addresses(struct compose *compose, const ldns_rr_list *records, const ldns_rdf *cut,
                          const ldns_rdf *owner)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(records); i++) {
		const ldns_rdf *target = target_of(ldns_rr_list_rr(records, i));
		if (!target || (!cut && same_name(target, owner)))
			continue;
		bool required = cut && is_at_or_below(target, cut);
		ldns_rr_list *to = required ? compose->answer->glue : compose->answer->extra;
		copy_rrset(compose->zone, target, LDNS_RR_TYPE_A, target, to);
		copy_rrset(compose->zone, target, LDNS_RR_TYPE_AAAA, target, to);
	}
}

/* Step 3b. In a chain it ends here: who asks goes on with the last name by itself. */
static void refer(struct compose *compose, const ldns_rdf *cut)
{
	if (compose->links_n)
		return;
	compose->answer->authoritative = false;
	copy_rrset(compose->zone, cut, LDNS_RR_TYPE_NS, cut, compose->answer->authority);
	add_addresses(compose, compose->answer->authority, cut, cut);
	compose->answer->all_extra = true;
}

/* Go on with another name; owned from here. Returns false when the chain ends there. */
static bool go_to(struct compose *compose, ldns_rdf *name)
{
	compose->passed[compose->links_n++] = compose->name;
	compose->name = name;
	if (compose->links_n == REFERENCE_LINKS_MAX ||
	    find_zone(compose->reference, name, LDNS_RR_TYPE_A) != compose->zone)
		return false;
	for (unsigned i = 0; i < compose->links_n; i++) {
		if (same_name(compose->passed[i], name))
			return false;
	}
	return true;
}

/* RFC 6672 section 3.2. Returns true when the chain goes on. */
static bool rename_name(struct compose *compose, const ldns_rdf *at)
{
	struct reference_answer *answer = compose->answer;
	ldns_rr_list *dname = ldns_rr_list_new();
	copy_rrset(compose->zone, at, LDNS_RR_TYPE_DNAME, at, dname);
	const ldns_rr *rr = ldns_rr_list_rr(dname, 0);
	if (!is_there(answer->answer, rr))
		ldns_rr_list_push_rr(answer->answer, ldns_rr_clone(rr));
	ldns_rdf *target = NULL;
	size_t above = ldns_dname_label_count(at);
	size_t labels = ldns_dname_label_count(compose->name);
	size_t prefix_len = 0;
	for (size_t i = 0; i < labels - above; i++)
		prefix_len += 1U + ldns_rdf_data(compose->name)[prefix_len];
	const ldns_rdf *to = ldns_rr_rdf(rr, 0);
	if (prefix_len + ldns_rdf_size(to) > LDNS_MAX_DOMAINLEN) {
		answer->rcode = LDNS_RCODE_YXDOMAIN;
	} else {
		uint8_t wire[LDNS_MAX_DOMAINLEN];
		memcpy(wire, ldns_rdf_data(compose->name), prefix_len);
		memcpy(wire + prefix_len, ldns_rdf_data(to), ldns_rdf_size(to));
		target = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, prefix_len + ldns_rdf_size(to), wire);
		ldns_rr *cname = ldns_rr_new();
		ldns_rr_set_owner(cname, ldns_rdf_clone(compose->name));
		ldns_rr_set_type(cname, LDNS_RR_TYPE_CNAME);
		ldns_rr_set_class(cname, LDNS_RR_CLASS_IN);
		ldns_rr_set_ttl(cname, ldns_rr_ttl(rr));
		ldns_rr_push_rdf(cname, ldns_rdf_clone(target));
		ldns_rr_list_push_rr(answer->answer, cname);
	}
	ldns_rr_list_deep_free(dname);
	return target && go_to(compose, target);
}

/* Step 3a, and the wildcard of step 3c: the records at from are those of the name. Returns true when the
 * chain goes on. */
static bool answer_from(struct compose *compose, const ldns_rdf *from)
{
	struct reference_answer *answer = compose->answer;
	const struct zone *zone = compose->zone;
	size_t before_n = ldns_rr_list_rr_count(answer->answer);
	if (copy_rrset(zone, from, compose->type, compose->name, answer->answer)) {
		answer->any = compose->type == LDNS_RR_TYPE_ANY;
		answer->links_n = before_n;
		/* In a chain nothing is added. */
		if (before_n == 0)
			add_addresses(compose, answer->answer, NULL, from);
		answer->all_extra = before_n == 0 && !answer->any;
		return false;
	}
	if (!has_type(zone, from, LDNS_RR_TYPE_CNAME)) {
		add_soa(compose);
		return false;
	}
	ldns_rr_list *cname = ldns_rr_list_new();
	copy_rrset(zone, from, LDNS_RR_TYPE_CNAME, compose->name, cname);
	ldns_rdf *target = ldns_rdf_clone(ldns_rr_rdf(ldns_rr_list_rr(cname, 0), 0));
	ldns_rr_list_cat(answer->answer, cname);
	ldns_rr_list_free(cname);
	return go_to(compose, target);
}

/* The last labels of a name, as many as said; the caller frees. */
static ldns_rdf *last_labels(const ldns_rdf *name, size_t labels)
{
	return ldns_dname_clone_from(name, (uint16_t)(ldns_dname_label_count(name) - labels));
}

/* Step 3: down from the apex, label by label. Returns true when the chain goes on with another name. */
static bool match_down(struct compose *compose)
{
	const struct zone *zone = compose->zone;
	size_t labels = ldns_dname_label_count(compose->name);
	for (size_t n = ldns_dname_label_count(zone->apex); n <= labels; n++) {
		ldns_rdf *at = last_labels(compose->name, n);
		bool whole = n == labels;
		bool more = false;
		bool done = true;
		if (is_cut(zone, at) && !(whole && compose->type == LDNS_RR_TYPE_DS)) {
			refer(compose, at);
		} else if (!exists(zone, at)) {
			ldns_rdf *encloser = last_labels(compose->name, n - 1);
			ldns_rdf *star = ldns_dname_new_frm_str("*");
			ldns_dname_cat(star, encloser);
			if (exists(zone, star)) {
				more = answer_from(compose, star);
			} else {
				compose->answer->rcode = LDNS_RCODE_NXDOMAIN;
				add_soa(compose);
			}
			ldns_rdf_deep_free(star);
			ldns_rdf_deep_free(encloser);
		} else if (whole) {
			more = answer_from(compose, at);
		} else if (has_type(zone, at, LDNS_RR_TYPE_DNAME)) {
			more = rename_name(compose, at);
		} else {
			done = false;
		}
		ldns_rdf_deep_free(at);
		if (done)
			return more;
	}
	return false;
}

void reference_compose(const struct reference *reference, const ldns_rdf *qname, ldns_rr_type qtype,
                       struct reference_answer *ret_answer)
{
	*ret_answer = (struct reference_answer){ .answer = ldns_rr_list_new(),
		                                 .authority = ldns_rr_list_new(),
		                                 .glue = ldns_rr_list_new(),
		                                 .extra = ldns_rr_list_new() };
	struct compose compose = { .reference = reference, .type = qtype, .answer = ret_answer };
	compose.zone = find_zone(reference, qname, qtype);
	if (!compose.zone) {
		ret_answer->rcode = LDNS_RCODE_REFUSED;
		return;
	}
	ret_answer->authoritative = true;
	compose.name = ldns_rdf_clone(qname);
	while (match_down(&compose)) {
	}
	for (unsigned i = 0; i < compose.links_n; i++)
		ldns_rdf_deep_free(compose.passed[i]);
	ldns_rdf_deep_free(compose.name);
}

void reference_answer_fini(struct reference_answer *answer)
{
	ldns_rr_list_deep_free(answer->answer);
	ldns_rr_list_deep_free(answer->authority);
	ldns_rr_list_deep_free(answer->glue);
	ldns_rr_list_deep_free(answer->extra);
}
