#include "tests/unit/support/reference_zone.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OWNERS_MAX    64
#define NAME_TEXT_CAP 300
#define N(array)      ((unsigned)(sizeof(array) / sizeof((array)[0])))

enum role { ROLE_NONE, ROLE_DATA, ROLE_CNAME, ROLE_DNAME, ROLE_CUT };

struct owner {
	char name[NAME_TEXT_CAP];
	enum role role;
};

struct making {
	struct chooser *chooser;
	const char *const *apexes; /* of all zones; the first is the parent */
	unsigned apexes_n;
	const char *apex;
	FILE *out;
	struct owner owners[OWNERS_MAX];
	unsigned owners_n;
};

unsigned chooser_next(struct chooser *chooser, unsigned n)
{
	if (chooser->state) {
		chooser->state ^= chooser->state << 13;
		chooser->state ^= chooser->state >> 7;
		chooser->state ^= chooser->state << 17;
		return (unsigned)((chooser->state >> 16) % n);
	}
	if (chooser->left == 0)
		return 0;
	chooser->left--;
	return *chooser->data++ % n;
}

/* --- names --- */

static const char *const labels[] = {
	"a", "b", "c", "*", "a", "b", "A", "a-label-that-is-as-long-as-they-may-be-which-is-63-bytes-exactly",
};

static void add_label(char *name, const char *label)
{
	char copy[NAME_TEXT_CAP];
	size_t name_len = strlen(name);
	if (strlen(label) + 1 + name_len > 250 || strlen(label) > 63)
		return;
	snprintf(copy, sizeof(copy), "%s.%s", label, strcmp(name, ".") == 0 ? "" : name);
	memcpy(name, copy, strlen(copy) + 1);
}

static void random_below(struct chooser *chooser, const char *apex, char name[NAME_TEXT_CAP])
{
	snprintf(name, NAME_TEXT_CAP, "%s", apex);
	for (unsigned depth = chooser_next(chooser, 4); depth > 0; depth--)
		add_label(name, labels[chooser_next(chooser, N(labels))]);
}

/* What a record points at: mostly something of the zone. */
static void random_target(struct making *making, char name[NAME_TEXT_CAP])
{
	struct chooser *chooser = making->chooser;
	unsigned kind = chooser_next(chooser, 10);
	if (kind == 0)
		snprintf(name, NAME_TEXT_CAP, "elsewhere.invalid.");
	else if (kind == 1)
		random_below(chooser, making->apexes[chooser_next(chooser, making->apexes_n)], name);
	else if (kind < 6 && making->owners_n)
		snprintf(name, NAME_TEXT_CAP, "%s",
		         making->owners[chooser_next(chooser, making->owners_n)].name);
	else
		random_below(chooser, making->apex, name);
}

static bool is_below(const char *name, const char *above)
{
	if (strcmp(above, ".") == 0)
		return strcmp(name, ".") != 0;
	size_t name_len = strlen(name);
	size_t above_len = strlen(above);
	return name_len > above_len + 1 && strcasecmp(name + name_len - above_len, above) == 0 &&
	       name[name_len - above_len - 1] == '.';
}

static struct owner *find_owner(struct making *making, const char *name)
{
	for (unsigned i = 0; i < making->owners_n; i++) {
		if (strcasecmp(making->owners[i].name, name) == 0)
			return &making->owners[i];
	}
	return NULL;
}

/* May the name have this role beside the others (RFC 1034 section 3.6.2, RFC 6672 section 2.4)? */
static bool may_be(struct making *making, const char *name, enum role role)
{
	const struct owner *there = find_owner(making, name);
	bool at_apex = strcasecmp(name, making->apex) == 0;
	if (there && (there->role != role || role == ROLE_CNAME || role == ROLE_DNAME))
		return false;
	if (at_apex && (role == ROLE_CNAME || role == ROLE_CUT))
		return false;
	for (unsigned i = 0; i < making->apexes_n; i++) {
		if (!at_apex && strcasecmp(making->apexes[i], name) == 0 && role != ROLE_CUT)
			return false;
	}
	for (unsigned i = 0; i < making->owners_n; i++) {
		const struct owner *other = &making->owners[i];
		if ((other->role == ROLE_DNAME && is_below(name, other->name)) ||
		    (role == ROLE_DNAME && is_below(other->name, name)))
			return false;
	}
	return true;
}

static bool take(struct making *making, const char *name, enum role role)
{
	if (!may_be(making, name, role) || making->owners_n == OWNERS_MAX)
		return false;
	if (!find_owner(making, name)) {
		struct owner *owner = &making->owners[making->owners_n++];
		snprintf(owner->name, sizeof(owner->name), "%s", name);
		owner->role = role;
	}
	return true;
}

/* --- records --- */

static void put(struct making *making, const char *owner, const char *type, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
static void put(struct making *making, const char *owner, const char *type, const char *fmt, ...)
{
	va_list args;
	/* The same for all records of an RRset. */
	fprintf(making->out, "%s %u IN %s ", owner, 300 + (unsigned)type[0], type);
	va_start(args, fmt);
	vfprintf(making->out, fmt, args);
	va_end(args);
	fputc('\n', making->out);
}

static void put_address(struct making *making, const char *owner)
{
	struct chooser *chooser = making->chooser;
	if (chooser_next(chooser, 3))
		put(making, owner, "A", "192.0.2.%u", chooser_next(chooser, 256));
	else
		put(making, owner, "AAAA", "2001:db8::%x", chooser_next(chooser, 256));
}

static void put_texts(struct making *making, const char *owner)
{
	static const unsigned lengths[] = { 5, 100, 250 };
	struct chooser *chooser = making->chooser;
	unsigned n = chooser_next(chooser, 4) ? 1 : 2 + chooser_next(chooser, 24);
	int len = (int)lengths[chooser_next(chooser, N(lengths))];
	for (unsigned i = 0; i < n; i++)
		put(making, owner, "TXT", "\"%u%*s\"", i, len, "x");
}

static void put_data(struct making *making, const char *owner)
{
	struct chooser *chooser = making->chooser;
	for (unsigned n = 1 + chooser_next(chooser, 4); n > 0; n--) {
		char target[NAME_TEXT_CAP];
		random_target(making, target);
		switch (chooser_next(chooser, 7)) {
		case 0: put_texts(making, owner); break;
		case 1: put(making, owner, "MX", "%u %s", chooser_next(chooser, 3), target); break;
		case 2: put(making, owner, "SRV", "0 0 53 %s", target); break;
		case 3: put(making, owner, "TYPE65400", "\\# 2 00%02x", chooser_next(chooser, 256)); break;
		default: put_address(making, owner); break;
		}
	}
}

static void put_servers(struct making *making, const char *owner)
{
	struct chooser *chooser = making->chooser;
	for (unsigned n = 1 + chooser_next(chooser, 3); n > 0; n--) {
		char target[NAME_TEXT_CAP];
		if (chooser_next(chooser, 2))
			random_below(chooser, owner, target);
		else
			random_target(making, target);
		put(making, owner, "NS", "%s", target);
		if (chooser_next(chooser, 3) && is_below(target, making->apex) &&
		    take(making, target, ROLE_DATA))
			put_address(making, target);
	}
}

static void put_cut(struct making *making, const char *owner)
{
	put_servers(making, owner);
	if (chooser_next(making->chooser, 2))
		put(making, owner, "DS", "%u 13 2 %064x", chooser_next(making->chooser, 100), 1U);
}

/* What stands behind a label directly below the apex. */
static const char *apex_suffix(const struct making *making)
{
	return strcmp(making->apex, ".") == 0 ? "" : making->apex;
}

static void put_owner(struct making *making, const char *owner, enum role role)
{
	char target[NAME_TEXT_CAP];
	if (!take(making, owner, role))
		return;
	random_target(making, target);
	switch (role) {
	case ROLE_DATA: put_data(making, owner); break;
	case ROLE_CNAME: put(making, owner, "CNAME", "%s", target); break;
	case ROLE_DNAME:
		put(making, owner, "DNAME", "%s", target);
		if (chooser_next(making->chooser, 4) == 1)
			put_address(making, owner);
		break;
	default: put_cut(making, owner); break;
	}
}

/* A long way to go. */
static void put_chain(struct making *making)
{
	unsigned links_n = 5 + chooser_next(making->chooser, 16);
	char name[NAME_TEXT_CAP + 8];
	for (unsigned i = 0; i < links_n; i++) {
		snprintf(name, sizeof(name), "l%u.%s", i, apex_suffix(making));
		if (take(making, name, ROLE_CNAME))
			put(making, name, "CNAME", "l%u.%s", i + 1, apex_suffix(making));
	}
}

/* All below the apex goes elsewhere. */
static void put_apex_dname(struct making *making)
{
	char target[NAME_TEXT_CAP];
	random_target(making, target);
	put(making, making->apex, "DNAME", "%s", target);
	making->owners[0].role = ROLE_DNAME;
}

static char *make_zone(struct making *making)
{
	static const enum role roles[] = { ROLE_DATA,  ROLE_DATA,  ROLE_DATA, ROLE_DATA, ROLE_DATA,
		                           ROLE_CNAME, ROLE_CNAME, ROLE_CUT,  ROLE_CUT,  ROLE_DNAME };
	struct chooser *chooser = making->chooser;
	char *text = NULL;
	size_t text_len;
	making->owners_n = 0;
	making->out = open_memstream(&text, &text_len);
	if (!making->out)
		abort();
	const char *apex = making->apex;
	take(making, apex, ROLE_DATA);
	put(making, apex, "SOA", "ns.%s h.%s %u 3600 600 86400 %u", apex_suffix(making), apex_suffix(making),
	    chooser_next(chooser, 9), chooser_next(chooser, 2) ? 60U : 3600U);
	put_servers(making, apex);
	if (chooser_next(chooser, 32) == 1 && making->owners_n == 1)
		put_apex_dname(making);
	/* Where there is a child zone, nearly always its delegation. */
	for (unsigned i = 0; i < making->apexes_n; i++) {
		if (is_below(making->apexes[i], apex) && chooser_next(chooser, 4))
			put_owner(making, making->apexes[i], ROLE_CUT);
	}
	if (chooser_next(chooser, 8) == 1)
		put_chain(making);
	for (unsigned n = chooser_next(chooser, 16); n > 0; n--) {
		char owner[NAME_TEXT_CAP];
		random_below(chooser, apex, owner);
		put_owner(making, owner, roles[chooser_next(chooser, N(roles))]);
	}
	fclose(making->out);
	return text;
}

void reference_zones_make(struct chooser *chooser, struct reference_zones *ret_zones)
{
	static const char *const usual[] = { "test.", "b.test.", "a.b.test." };
	static const char *const from_root[] = { ".", "b.", "a.b." };
	struct making *making = calloc(1, sizeof(*making));
	if (!making)
		abort();
	making->chooser = chooser;
	const char *const *apexes = chooser_next(chooser, 8) == 1 ? from_root : usual;
	making->apexes = apexes;
	making->apexes_n = 1 + chooser_next(chooser, 5);
	if (making->apexes_n > REFERENCE_ZONES_MAX)
		making->apexes_n = 1;
	ret_zones->zones_n = making->apexes_n;
	for (unsigned i = 0; i < making->apexes_n; i++) {
		making->apex = apexes[i];
		ret_zones->texts[i] = make_zone(making);
		ret_zones->zones[i] = (struct reference_zone){ apexes[i], ret_zones->texts[i] };
	}
	free(making);
}

void reference_zones_fini(struct reference_zones *zones)
{
	for (size_t i = 0; i < zones->zones_n; i++)
		free(zones->texts[i]);
}

/* --- questions --- */

static void random_case(struct chooser *chooser, char *name)
{
	for (; *name; name++) {
		if (chooser_next(chooser, 3) == 1)
			*name = (char)toupper((unsigned char)*name);
	}
}

ldns_rdf *reference_choose_name(struct chooser *chooser, const struct reference *reference)
{
	char name[NAME_TEXT_CAP * 4];
	const ldns_rr_list *records =
	        reference_records(reference, chooser_next(chooser, (unsigned)reference_zones_n(reference)));
	const ldns_rr *rr =
	        ldns_rr_list_rr(records, chooser_next(chooser, (unsigned)ldns_rr_list_rr_count(records)));
	const ldns_rdf *from = ldns_rr_owner(rr);
	/* Or what it points at. */
	for (size_t i = 0; i < ldns_rr_rd_count(rr) && chooser_next(chooser, 4) == 1; i++) {
		if (ldns_rdf_get_type(ldns_rr_rdf(rr, i)) == LDNS_RDF_TYPE_DNAME)
			from = ldns_rr_rdf(rr, i);
	}
	char *text = ldns_rdf2str(from);
	if (!text)
		abort();
	snprintf(name, sizeof(name), "%s", text);
	free(text);
	unsigned kind = chooser_next(chooser, 6);
	if (kind == 1 && strcmp(name, ".") != 0) { /* above */
		const char *dot = strchr(name, '.');
		if (dot[1])
			memmove(name, dot + 1, strlen(dot));
	} else if (kind >= 2) { /* below, or at it once in three times */
		for (unsigned n = chooser_next(chooser, 3); n > 0; n--)
			add_label(name, labels[chooser_next(chooser, N(labels))]);
	}
	if (chooser_next(chooser, 4) == 1)
		random_case(chooser, name);
	ldns_rdf *rdf = ldns_dname_new_frm_str(name);
	if (!rdf)
		abort();
	return rdf;
}

uint16_t reference_choose_type(struct chooser *chooser)
{
	static const uint16_t types[] = { LDNS_RR_TYPE_A,    LDNS_RR_TYPE_AAAA, LDNS_RR_TYPE_NS,
		                          LDNS_RR_TYPE_TXT,  LDNS_RR_TYPE_MX,   LDNS_RR_TYPE_CNAME,
		                          LDNS_RR_TYPE_SOA,  LDNS_RR_TYPE_DS,   LDNS_RR_TYPE_DNAME,
		                          LDNS_RR_TYPE_SRV,  LDNS_RR_TYPE_ANY,  65400,
		                          LDNS_RR_TYPE_HINFO };
	return types[chooser_next(chooser, N(types))];
}
