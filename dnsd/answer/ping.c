/*
 * Usage reports: <db>.<version>.<flevel>.<result>.<win>.<mirror...>.ping.ZONE, which is what clients of 2011
 * to 2019 tell after an update. They read no answer but wait for one.
 */
#include "answer/answer_int.h"

/* Hex digits of one label, as many as the family's address has. */
static bool read_hex(const uint8_t *label, struct addr *addr)
{
	addr->family = label[0] == 8 ? 4 : 6;
	for (unsigned i = 0; i < label[0]; i++) {
		uint8_t c = label[1 + i];
		unsigned digit;
		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else
			return false;
		addr->bytes[i / 2] = (uint8_t)((unsigned)addr->bytes[i / 2] << 4 | digit);
	}
	return true;
}

/*
 * The mirror of a report: one label of 8 or 32 hex digits (0.98 and later), or the address as text, which
 * makes four labels of an IPv4 one and one with colons of an IPv6 one (0.97).
 */
static bool read_ping_mirror(const struct wire_query *query, unsigned labels_n, struct addr *addr)
{
	const uint8_t *label = query->qname + query->label_off[5];
	memset(addr, 0, sizeof(*addr));
	if (labels_n == 1 && (label[0] == 8 || label[0] == 32) && !memchr(label + 1, ':', label[0]))
		return read_hex(label, addr);
	char text[64];
	size_t used = 0;
	for (unsigned i = 0; i < labels_n; i++, label += label[0] + 1) {
		if (used + label[0] + 2 > sizeof(text))
			return false;
		if (i)
			text[used++] = '.';
		memcpy(text + used, label + 1, label[0]);
		used += label[0];
	}
	text[used] = '\0';
	return addr_parse(text, addr) == 0;
}

static struct answer_pings *find_pings(struct reply *reply, const struct addr *addr)
{
	const struct answer_pools *pools = reply->data->pools;
	uint32_t at = pool_address_hash(addr) & pools->addresses_mask;
	for (; pools->addresses[at].addr.family; at = (at + 1) & pools->addresses_mask) {
		if (addr_equal(&pools->addresses[at].addr, addr))
			return &reply->state->pings[pools->addresses[at].mirror];
	}
	return NULL;
}

size_t answer_ping(struct reply *reply, const struct store_node *node)
{
	const struct wire_query *query = reply->query;
	unsigned report_labels = query->labels_n - node->labels_n;
	struct addr addr;
	if (report_labels >= 6 && read_ping_mirror(query, report_labels - 5, &addr)) {
		const uint8_t *result = query->qname + query->label_off[3];
		struct answer_pings *pings = find_pings(reply, &addr);
		if (result[0] == 1 && result[1] == '1') {
			reply->state->counters.ping_ok++;
			if (pings)
				pings->ok++;
		} else if (result[0] == 1 && result[1] == '0') {
			reply->state->counters.ping_failed++;
			if (pings)
				pings->failed++;
		}
	}
	return answer_negative(reply, node, WIRE_RCODE_NOERROR);
}
