#include "tests/unit/support/reference_check.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/store_build.h"
#include "wire/name.h"
#include "wire/wire.h"
#include "zones/zone_file.h"

static bool add_zone(struct store_builder *builder, const struct reference_zone *zone,
                     struct zone_records *records)
{
	uint8_t origin[WIRE_NAME_MAX];
	struct diag diag;
	int len = name_from_text(zone->name, NULL, 0, origin);
	if (len < 0)
		abort();
	name_lower(origin, (size_t)len);
	diag_init(&diag);
	int rc = zone_text_load(zone->text, strlen(zone->text), "zone", origin, (size_t)len, 0, &diag,
	                        records);
	if (rc == 0)
		rc = zone_check(zone->name, origin, (size_t)len, records, &diag);
	diag_fini(&diag);
	if (rc < 0)
		return false;
	int number = store_builder_add_zone(builder, origin, (size_t)len);
	if (number < 0)
		abort();
	for (size_t i = 0; i < records->records_n; i++) {
		const struct zone_record *r = &records->records[i];
		if (store_builder_add_record(builder, number, r->owner, r->owner_len, r->type, r->ttl_s,
		                             r->rdata, r->rdata_len, r->file, r->line) < 0)
			abort();
	}
	return true;
}

struct answer_store *reference_store(const struct reference_zone *zones, size_t zones_n)
{
	struct store_builder *builder = store_builder_create();
	struct zone_records *records = calloc(zones_n, sizeof(*records));
	struct answer_store *store = NULL;
	struct diag diag;
	bool good = true;
	if (!builder || !records)
		abort();
	for (size_t i = 0; i < zones_n; i++)
		good &= add_zone(builder, &zones[i], &records[i]);
	diag_init(&diag);
	if (good && store_build(builder, &diag, &store) < 0)
		store = NULL;
	diag_fini(&diag);
	store_builder_destroy(builder);
	for (size_t i = 0; i < zones_n; i++)
		zone_records_fini(&records[i]);
	free(records);
	return store;
}

struct checked {
	const struct reference_answer *want;
	const struct answer_data *data;
	struct answer_state *state;
	const ldns_rdf *qname;
	uint16_t qtype;
	uint16_t edns_size;
	uint8_t tcp[ANSWER_TCP_MAX];
	size_t tcp_len;
	uint8_t udp[ANSWER_UDP_MAX];
	size_t udp_len;
};

static size_t ask(const struct checked *checked, enum transport transport, uint8_t *resp)
{
	uint8_t req[WIRE_HEADER_LEN + WIRE_NAME_MAX + 4 + WIRE_OPT_LEN] = { 0x12, 0x34, 0, 0, 0, 1 };
	uint8_t *at = req + WIRE_HEADER_LEN;
	memcpy(at, ldns_rdf_data(checked->qname), ldns_rdf_size(checked->qname));
	at += ldns_rdf_size(checked->qname);
	wire_put16(at, checked->qtype);
	wire_put16(at + 2, WIRE_CLASS_IN);
	at += 4;
	if (checked->edns_size) {
		req[11] = 1;
		wire_put16(at + 1, WIRE_TYPE_OPT);
		wire_put16(at + 3, checked->edns_size);
		at += WIRE_OPT_LEN;
	}
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct client client = { .peer = (struct sockaddr *)&peer, .transport = transport };
	return answer_query(checked->data, &client, req, (size_t)(at - req), resp,
	                    transport == TRANSPORT_TCP ? ANSWER_TCP_MAX : ANSWER_UDP_MAX, checked->state);
}

/* --- sets of records --- */

/* Same owner, type, TTL and data. Names are equal in any case: compression takes the case that stood first.
 */
static bool same_record(const ldns_rr *a, const ldns_rr *b)
{
	return ldns_rr_ttl(a) == ldns_rr_ttl(b) && ldns_rr_get_class(a) == ldns_rr_get_class(b) &&
	       ldns_rr_compare(a, b) == 0;
}

static bool has_record(const ldns_rr_list *list, const ldns_rr *rr)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		if (same_record(ldns_rr_list_rr(list, i), rr))
			return true;
	}
	return false;
}

static bool has_all(const ldns_rr_list *list, const ldns_rr_list *of)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(of); i++) {
		if (!has_record(list, ldns_rr_list_rr(of, i)))
			return false;
	}
	return true;
}

static bool has_duplicate(const ldns_rr_list *list)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		for (size_t k = 0; k < i; k++) {
			if (same_record(ldns_rr_list_rr(list, i), ldns_rr_list_rr(list, k)))
				return true;
		}
	}
	return false;
}

static bool same_set(const ldns_rr_list *a, const ldns_rr_list *b)
{
	return ldns_rr_list_rr_count(a) == ldns_rr_list_rr_count(b) && has_all(a, b) && has_all(b, a);
}

/* For ANY: one whole RRset of those there are, whichever; behind the links that lead to the name. */
static bool same_any(const ldns_rr_list *got, const struct reference_answer *want)
{
	size_t want_n = ldns_rr_list_rr_count(want->answer);
	const ldns_rr *chosen = NULL;
	bool is_link = false; /* a DNAME of the name itself has led to it: that may be the one */
	if (!has_all(want->answer, got))
		return false;
	for (size_t i = want->links_n; i < want_n && !chosen; i++) {
		if (has_record(got, ldns_rr_list_rr(want->answer, i)))
			chosen = ldns_rr_list_rr(want->answer, i);
	}
	for (size_t i = 0; i < want_n; i++) {
		const ldns_rr *rr = ldns_rr_list_rr(want->answer, i);
		bool wanted =
		        i < want->links_n || (chosen && ldns_rr_get_type(rr) == ldns_rr_get_type(chosen));
		if (wanted != has_record(got, rr))
			return false;
		is_link |=
		        i < want->links_n && ldns_rr_get_type(rr) == LDNS_RR_TYPE_DNAME &&
		        (want_n == want->links_n ||
		         ldns_dname_compare(ldns_rr_owner(rr),
		                            ldns_rr_owner(ldns_rr_list_rr(want->answer, want_n - 1))) == 0);
	}
	return chosen || is_link;
}

/* --- one message --- */

/* What is wrong with it, or NULL. complete: nothing was left out for lack of room. */
static const char *compare(const struct reference_answer *want, const ldns_pkt *pkt, bool complete)
{
	const ldns_rr_list *answer = ldns_pkt_answer(pkt);
	const ldns_rr_list *authority = ldns_pkt_authority(pkt);
	const ldns_rr_list *additional = ldns_pkt_additional(pkt);
	if (!ldns_pkt_qr(pkt) || ldns_pkt_ra(pkt) || ldns_pkt_ad(pkt))
		return "flags";
	/* A chain that is cut off has not come to its rcode. */
	if (ldns_pkt_get_rcode(pkt) != want->rcode &&
	    !(ldns_pkt_tc(pkt) && ldns_pkt_get_rcode(pkt) == LDNS_RCODE_NOERROR))
		return "rcode";
	if (ldns_pkt_aa(pkt) != want->authoritative)
		return "AA";
	if (ldns_pkt_tc(pkt))
		return ldns_rr_list_rr_count(answer) + ldns_rr_list_rr_count(authority) +
		                       ldns_rr_list_rr_count(additional)
		               ? "records beside TC"
		               : NULL;
	if (has_duplicate(answer) || has_duplicate(authority) || has_duplicate(additional))
		return "a record twice in a section";
	if (want->any ? !same_any(answer, want) : !same_set(answer, want->answer))
		return "answer section";
	if (!same_set(authority, want->authority))
		return "authority section";
	if (!has_all(additional, want->glue))
		return "glue is missing";
	for (size_t i = 0; i < ldns_rr_list_rr_count(additional); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(additional, i);
		if (!has_record(want->glue, rr) && !has_record(want->extra, rr))
			return "additional section: a record that does not belong there";
	}
	if (complete && want->all_extra && !has_all(additional, want->extra))
		return "additional section: something was left out";
	return NULL;
}

/* How long the answer over TCP is without what may be left out of it. Glue stands first. */
static size_t required_len(const struct checked *checked, const ldns_pkt *tcp)
{
	const ldns_rr_list *additional = ldns_pkt_additional(tcp);
	size_t glue_n = ldns_rr_list_rr_count(checked->want->glue);
	size_t skip = (size_t)wire_get16(checked->tcp + 6) + wire_get16(checked->tcp + 8) + glue_n;
	size_t pos = WIRE_HEADER_LEN + ldns_rdf_size(checked->qname) + 4;
	for (size_t i = 0; i < glue_n; i++) {
		if (i >= ldns_rr_list_rr_count(additional) ||
		    !has_record(checked->want->glue, ldns_rr_list_rr(additional, i)))
			return SIZE_MAX;
	}
	for (; skip > 0; skip--) {
		ldns_rr *rr = NULL;
		if (ldns_wire2rr(&rr, checked->tcp, checked->tcp_len, &pos, LDNS_SECTION_ANSWER) !=
		    LDNS_STATUS_OK)
			return SIZE_MAX;
		ldns_rr_free(rr);
	}
	return pos + (checked->edns_size ? WIRE_OPT_LEN : 0);
}

static const char *compare_sizes(const struct checked *checked, const ldns_pkt *tcp, const ldns_pkt *udp)
{
	size_t limit = checked->edns_size < WIRE_PLAIN_UDP ? WIRE_PLAIN_UDP : checked->edns_size;
	if (limit > checked->data->edns_size)
		limit = checked->data->edns_size;
	if (ldns_pkt_tc(tcp))
		return "TC over TCP";
	if (checked->udp_len > limit)
		return "larger than the limit";
	if (checked->tcp_len <= limit)
		return checked->udp_len == checked->tcp_len &&
		                       memcmp(checked->udp, checked->tcp, checked->udp_len) == 0
		               ? NULL
		               : "UDP and TCP differ though there is room";
	size_t required = required_len(checked, tcp);
	if (required == SIZE_MAX)
		return "glue does not stand first";
	if (ldns_pkt_tc(udp) != (required > limit))
		return ldns_pkt_tc(udp) ? "TC though what is required fits" : "no TC though it does not fit";
	return NULL;
}

static const char *compare_both(const struct checked *checked, ldns_pkt **ret_tcp, ldns_pkt **ret_udp)
{
	if (ldns_wire2pkt(ret_tcp, checked->tcp, checked->tcp_len) != LDNS_STATUS_OK ||
	    ldns_wire2pkt(ret_udp, checked->udp, checked->udp_len) != LDNS_STATUS_OK)
		return "no well-formed message";
	const char *wrong = compare(checked->want, *ret_tcp, true);
	if (!wrong)
		wrong = compare(checked->want, *ret_udp, false);
	return wrong ? wrong : compare_sizes(checked, *ret_tcp, *ret_udp);
}

static void print_list(FILE *out, const char *title, const ldns_rr_list *list)
{
	char *text = ldns_rr_list2str(list);
	fprintf(out, ";; %s\n%s", title, text ? text : "\n");
	free(text);
}

static void print_packet(FILE *out, const char *title, const ldns_pkt *pkt)
{
	char *text = pkt ? ldns_pkt2str(pkt) : NULL;
	fprintf(out, "--- %s ---\n%s", title, text ? text : "not readable\n");
	free(text);
}

char *reference_check(const struct reference *reference, const struct answer_data *data,
                      struct answer_state *state, const ldns_rdf *qname, uint16_t qtype, uint16_t edns_size)
{
	static struct checked checked;
	struct reference_answer want;
	ldns_pkt *tcp = NULL;
	ldns_pkt *udp = NULL;
	char *text = NULL;
	size_t text_len;
	reference_compose(reference, qname, (ldns_rr_type)qtype, &want);
	checked.want = &want;
	checked.data = data;
	checked.state = state;
	checked.qname = qname;
	checked.qtype = qtype;
	checked.edns_size = edns_size;
	checked.tcp_len = ask(&checked, TRANSPORT_TCP, checked.tcp);
	checked.udp_len = ask(&checked, TRANSPORT_UDP, checked.udp);
	const char *wrong = compare_both(&checked, &tcp, &udp);
	FILE *out = wrong ? open_memstream(&text, &text_len) : NULL;
	if (out) {
		char *name = ldns_rdf2str(qname);
		fprintf(out, "%s TYPE%u, EDNS size %u: %s\n--- the reference: rcode %d%s%s ---\n", name,
		        qtype, edns_size, wrong, want.rcode, want.authoritative ? ", AA" : "",
		        want.any ? ", one RRset of" : "");
		free(name);
		print_list(out, "answer", want.answer);
		print_list(out, "authority", want.authority);
		print_list(out, "additional, required", want.glue);
		print_list(out, "additional", want.extra);
		print_packet(out, "over TCP", tcp);
		print_packet(out, "over UDP", udp);
		fclose(out);
	}
	ldns_pkt_free(tcp);
	ldns_pkt_free(udp);
	reference_answer_fini(&want);
	return text;
}
