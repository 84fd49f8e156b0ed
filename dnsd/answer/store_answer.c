#include "answer/store_build_int.h"

#include <stdlib.h>
#include <string.h>

#include "wire/name.h"
#include "wire/writer.h"

#define ADDITIONAL_NAMES_MAX 64

struct template
{
	struct wire_writer writer;
	const struct build_node *base; /* stands as the question name */
	unsigned answer_n, authority_n, additional_n;
	size_t required_len;
	unsigned required_additional_n;
	bool wildcard;  /* the base is "*.x": the query name is another one */
	bool no_memory; /* records are missing: nothing of it is kept. Writer.full would say that they do not
	                   fit */
	size_t soa_end; /* where the SOA ends whose serial is filled in while answering; 0 = none */
	/* Names whose addresses belong in the additional section. */
	const uint8_t *targets[ADDITIONAL_NAMES_MAX];
	unsigned targets_n;
};

/* An answer starts behind the question; the base name stands there while it is made. */
static void template_start(struct store_builder *builder, struct template *template,
                           const struct build_node *base)
{
	memset(template, 0, sizeof(*template));
	template->base = base;
	template->wildcard = is_wildcard_name(base->name);
	memset(builder->message, 0, WIRE_HEADER_LEN);
	memcpy(builder->message + WIRE_HEADER_LEN, base->name, base->name_len);
	size_t len = WIRE_HEADER_LEN + (size_t)base->name_len + 4;
	memset(builder->message + len - 4, 0, 4);
	wire_writer_init(&template->writer, builder->message, len, TEMPLATE_MAX);
	/* A longer question name moves every target further; none may move past what a pointer can say. */
	template->writer.pointer_max = (uint16_t)(WIRE_POINTER_MAX - (WIRE_NAME_MAX - base->name_len));
	template->writer.pointers = builder->pointers;
	template->writer.pointers_cap = POINTERS_MAX;
	/* Below a wildcard only what stands behind the asterisk is in the real question. */
	if (template->wildcard)
		wire_writer_know(&template->writer, WIRE_HEADER_LEN + 2);
	else if (base->name_len > 1)
		wire_writer_know(&template->writer, WIRE_HEADER_LEN);
}

static void template_want_addresses(struct template *template, const struct build_record *record)
{
	size_t skip;
	switch (record->type) {
	case WIRE_TYPE_NS: skip = 0; break;
	case WIRE_TYPE_MX: skip = 2; break;
	case WIRE_TYPE_SRV: skip = 6; break;
	default: return;
	}
	if (template->targets_n < ADDITIONAL_NAMES_MAX && record->rdata_len > skip)
		template->targets[template->targets_n++] = record->rdata + skip;
}

/* A zone with pools has another serial in each snapshot: remember where it stands. */
static void template_note_serial(const struct store_builder *builder, struct template *template,
                                 const struct build_node *node, uint16_t type)
{
	const struct build_zone *zones = builder->zones.items;
	if (type == WIRE_TYPE_SOA && zones[node->zone].dynamic)
		template->soa_end = template->writer.len;
}

/* The RRset's owner is the question name. */
static unsigned template_add_rrset(struct store_builder *builder, struct template *template,
                                   const struct build_node *node, uint16_t type)
{
	size_t n = store__gather(builder, node, type, NULL, 0);
	const struct build_record **list = calloc(n + 1, sizeof(*list));
	if (!list) {
		template->no_memory = true;
		return 0;
	}
	store__gather(builder, node, type, list, n);
	for (size_t i = 0; i < n; i++) {
		bool at_question = node == template->base && node->name_len > 1;
		wire_writer_record(&template->writer, node->name, at_question ? WIRE_HEADER_LEN : 0, type,
		                   list[i]->ttl_s, list[i]->rdata, list[i]->rdata_len);
		template_want_addresses(template, list[i]);
		template_note_serial(builder, template, node, type);
	}
	free(list);
	return (unsigned)n;
}

/* Static addresses of a name of the same zone, glue included. in_domain: which of the two kinds is wanted. */
static void template_add_addresses(struct store_builder *builder, struct template *template,
                                   const uint8_t *name, const struct build_node *cut, bool in_domain)
{
	uint8_t lower[WIRE_NAME_MAX];
	size_t len = name_len(name, WIRE_NAME_MAX);
	memcpy(lower, name, len);
	name_lower(lower, len);
	if (cut && name_is_under(lower, len, cut->name, cut->name_len) != in_domain)
		return;
	uint8_t copy[264];
	uint32_t hash = store__hash_name(lower, len, copy);
	uint32_t slot = *store__find_slot(builder, hash, template->base->zone, lower, len);
	if (!slot)
		return;
	const struct build_node *node = node_at(builder, slot - 1);
	if (!cut && node == template->base)
		return; /* the client has asked for it by name */
	static const uint16_t types[] = { WIRE_TYPE_A, WIRE_TYPE_AAAA };
	for (size_t i = 0; i < 2; i++)
		template->additional_n += template_add_rrset(builder, template, node, types[i]);
}

static bool same_name(const uint8_t *a, const uint8_t *b)
{
	size_t len = name_len(a, WIRE_NAME_MAX);
	if (len != name_len(b, WIRE_NAME_MAX))
		return false;
	uint8_t x[WIRE_NAME_MAX];
	uint8_t y[WIRE_NAME_MAX];
	memcpy(x, a, len);
	memcpy(y, b, len);
	name_lower(x, len);
	name_lower(y, len);
	return memcmp(x, y, len) == 0;
}

/*
 * The additional section. In a referral (cut given) the addresses of name servers inside the delegated zone
 * come first and are required: without them the delegation cannot be followed (RFC 9471 section 3).
 */
static void template_add_additional(struct store_builder *builder, struct template *template,
                                    const struct build_node *cut)
{
	template->required_len = template->writer.len;
	unsigned targets_n = 0;
	for (unsigned i = 0; i < template->targets_n; i++) {
		bool seen = false;
		for (unsigned k = 0; k < targets_n && !seen; k++)
			seen = same_name(template->targets[k], template->targets[i]);
		if (!seen)
			template->targets[targets_n++] = template->targets[i];
	}
	for (int in_domain = cut ? 1 : 0; in_domain >= 0; in_domain--) {
		for (unsigned i = 0; i < targets_n; i++) {
			struct wire_mark mark = wire_writer_mark(&template->writer);
			unsigned before = template->additional_n;
			template_add_addresses(builder, template, template->targets[i], cut, in_domain);
			if (template->writer.full) { /* optional: leave this name's out */
				wire_writer_rewind(&template->writer, mark);
				template->additional_n = before;
			}
		}
		if (in_domain) {
			template->required_len = template->writer.len;
			template->required_additional_n = template->additional_n;
		}
	}
}

/* Keep what was written as an answer. Returns its number, or STORE_NONE: too large (told) or no memory. */
static uint32_t template_finish(struct store_builder *builder, struct template *template, bool authoritative,
                                bool fixed_name)
{
	size_t start = WIRE_HEADER_LEN + (size_t) template->base->name_len + 4;
	if (template->writer.full || template->no_memory)
		return STORE_NONE;
	size_t len = template->writer.len - start;
	struct answer answer = { .plain = {
		                         .bytes_off = (uint32_t)builder->out_bytes.n,
		                         .bytes_len = (uint16_t)len,
		                         .fixups_off = (uint32_t)builder->out_fixups.n,
		                         .answer_n = (uint16_t) template->answer_n,
		                         .authority_n = (uint16_t) template->authority_n,
		                         .additional_n = (uint16_t) template->additional_n,
		                         .required_len = (uint16_t)(template->required_len - start),
		                         .required_additional_n = (uint16_t) template->required_additional_n,
		                         .base_qname_len = template->base->name_len,
		                         .authoritative = authoritative,
		                 } };
	if (template->soa_end)
		answer.plain.serial_off = (uint16_t)(template->soa_end - start - WIRE_SOA_FIXED_LEN);
	uint8_t *bytes = grow_add(&builder->out_bytes, len);
	if (!bytes)
		return STORE_NONE;
	memcpy(bytes, builder->message + start, len);
	for (unsigned i = 0; i < template->writer.pointers_n && !fixed_name; i++) {
		uint16_t at = builder->pointers[i];
		uint16_t target = wire_get16(builder->message + at) & WIRE_POINTER_MAX;
		/* An owner that is the question name itself stays where it is, however long the name. */
		if (template->wildcard && target == WIRE_HEADER_LEN)
			continue;
		uint16_t *fixup = grow_add(&builder->out_fixups, 1);
		if (!fixup)
			return STORE_NONE;
		*fixup = (uint16_t)(at - start);
		answer.plain.fixups_n++;
	}
	uint32_t number = (uint32_t)builder->out_answers.n;
	struct answer *place = grow_add(&builder->out_answers, 1);
	if (!place)
		return STORE_NONE;
	*place = answer;
	return number;
}

uint32_t store__make_rrset_answer(struct store_builder *builder, const struct build_node *node, uint16_t type)
{
	struct template template;
	template_start(builder, &template, node);
	template.answer_n = template_add_rrset(builder, &template, node, type);
	if (template.writer.full) {
		store__refuse(builder, store__any_record(builder, node, type), node,
		              "these records are larger than a DNS message can be (64 KiB); use fewer or "
		              "shorter ones");
		return STORE_NONE;
	}
	template_add_additional(builder, &template, NULL);
	return template_finish(builder, &template, true, !template.wildcard);
}

uint32_t store__make_referral(struct store_builder *builder, const struct build_node *node)
{
	struct template template;
	template_start(builder, &template, node);
	template.authority_n = template_add_rrset(builder, &template, node, WIRE_TYPE_NS);
	if (template.writer.full) {
		store__refuse(builder, store__any_record(builder, node, WIRE_TYPE_NS), node,
		              "this delegation does not fit a DNS message");
		return STORE_NONE;
	}
	template_add_additional(builder, &template, node);
	template.wildcard = false; /* whatever is asked lies below: every pointer moves */
	return template_finish(builder, &template, false, false);
}

uint32_t store__make_negative(struct store_builder *builder, const struct build_node *apex,
                              const struct build_record *soa, uint32_t ttl_s)
{
	struct template template;
	template_start(builder, &template, apex);
	template.wildcard = false;
	wire_writer_record(&template.writer, apex->name, apex->name_len > 1 ? WIRE_HEADER_LEN : 0,
	                   WIRE_TYPE_SOA, ttl_s, soa->rdata, soa->rdata_len);
	template_note_serial(builder, &template, apex, WIRE_TYPE_SOA);
	template.authority_n = 1;
	template.required_len = template.writer.len;
	return template_finish(builder, &template, true, false);
}
