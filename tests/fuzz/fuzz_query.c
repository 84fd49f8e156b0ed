/*
 * One request of any bytes to answer_query(), over UDP, TCP and TLS. Whatever comes, the answer must be a
 * well-formed message that fits its limit, with the question's id, and there is one over each or over none.
 * Over TLS it is padded where that is asked for.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/support/store_fixture.h"
#include "wire/query.h"
#include "wire/wire.h"

#define PADDING_BLOCK 468U /* RFC 8467 section 4.1; no answer of these zones comes near the limit */

static const char zone[] = "$TTL 3600\n"
                           "@ SOA ns1 hostmaster 7 3600 600 86400 60\n"
                           "@ NS ns1\n"
                           "ns1 A 192.0.2.53\n"
                           "@ MX 10 mail\n"
                           "mail A 192.0.2.25\n"
                           "www CNAME web\n"
                           "web A 192.0.2.80\n"
                           "pool CNAME db.local\n"
                           "loop1 CNAME loop2\n"
                           "loop2 CNAME loop1\n"
                           "a.b.deep A 192.0.2.7\n"
                           "*.wild MX 5 mail.wild\n"
                           "*.cwild CNAME q.wild\n"
                           "sub NS ns.sub\n"
                           "ns.sub A 192.0.2.54\n"
                           "child NS ns.child\n"
                           "ns.child A 192.0.2.55\n"
                           "old DNAME new\n"
                           "www.new A 192.0.2.81\n"
                           "grow DNAME a-longer-label.grow2\n"
                           "grow2 DNAME an-even-longer-label.grow\n"
                           "odd TYPE65400 \\# 3 010203\n";
static const char child[] = "@ 300 SOA ns hostmaster 1 3600 600 86400 30\n"
                            "@ 300 NS ns\n"
                            "ns 300 A 192.0.2.55\n";

/* The records of a message: every name and length inside it. Returns where they end, or NULL. */
static const uint8_t *walk(const uint8_t *msg, size_t len)
{
	const uint8_t *end = msg + len;
	const uint8_t *at = msg + WIRE_HEADER_LEN;
	for (unsigned i = 0; i < wire_get16(msg + 4); i++) {
		size_t name = wire_name_skip(at, end);
		if (!name || end - at < (ptrdiff_t)name + 4)
			return NULL;
		at += name + 4;
	}
	unsigned records_n = wire_get16(msg + 6) + wire_get16(msg + 8) + (unsigned)wire_get16(msg + 10);
	for (unsigned i = 0; i < records_n; i++) {
		size_t name = wire_name_skip(at, end);
		if (!name || end - at < (ptrdiff_t)name + 10)
			return NULL;
		/* Compression pointers lead backwards, into names. */
		if (name >= 2 && (at[name - 2] & 0xc0) == 0xc0 &&
		    at + name - 2 <= msg + (wire_get16(at + name - 2) & WIRE_POINTER_MAX))
			return NULL;
		size_t rdata = wire_get16(at + name + 8);
		at += name + 10;
		if (end - at < (ptrdiff_t)rdata)
			return NULL;
		at += rdata;
	}
	return at;
}

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture fixture;
	static uint8_t resp[ANSWER_TCP_MAX];
	static const struct answer_ident ident = { "ns1", "dnsd 1.2", "generation=1 serial=7 mirrors=1/2",
		                                   "1" };
	if (!fixture.store) {
		fixture_init(&fixture, zone, child);
		fixture.data.ident = &ident;
	}
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f020001) };
	struct wire_query query;
	bool pads = wire_query_parse(data, size, &query) == WIRE_OK && (query.asked & WIRE_ASKED_PADDING) &&
	            !(query.asked & WIRE_ASKED_KEEPALIVE_FILLED);
	bool is_answered = false;
	for (int transport = TRANSPORT_UDP; transport <= TRANSPORT_TLS; transport++) {
		bool udp = transport == TRANSPORT_UDP;
		struct client client = { .peer = (struct sockaddr *)&peer,
			                 .transport = (enum transport)transport,
			                 .tells_idle = !udp,
			                 .idle_ms = 12300 };
		size_t len = answer_query(&fixture.data, &client, data, size, resp,
		                          udp ? ANSWER_UDP_MAX : ANSWER_TCP_MAX, fixture.state);
		require(udp || (len > 0) == is_answered);
		is_answered = len > 0;
		if (len == 0) {
			require(size < WIRE_HEADER_LEN || (data[2] & 0x80));
			continue;
		}
		require(len >= WIRE_HEADER_LEN && len <= (udp ? 1232U : ANSWER_TCP_MAX));
		require(resp[0] == data[0] && resp[1] == data[1] && (resp[2] & 0x80));
		require(walk(resp, len) == resp + len);
		if (transport == TRANSPORT_TLS && pads)
			require(len % PADDING_BLOCK == 0);
	}
	return 0;
}
