/*
 * instructions: one kind of question, answered over and over, for valgrind to count.
 *
 *     valgrind --tool=callgrind --toggle-collect=answer_query build/tests/bench/instructions KIND
 *
 * Instructions repeat exactly where times do not, so CI can hold a ceiling (tests/func/t92_instructions.py).
 * The zone and the pools are those of the unit tests.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/store_fixture.h"
#include "wire/name.h"
#include "wire/request.h"
#include "wire/wire.h"

static const char zone[] = "$TTL 3600\n"
                           "@ SOA ns1 hostmaster 7 3600 600 86400 60\n"
                           "@ NS ns1\n"
                           "ns1 A 192.0.2.53\n"
                           "www A 192.0.2.80\n"
                           "alias CNAME www\n"
                           "sub NS ns.sub\n"
                           "ns.sub A 192.0.2.54\n";

static const struct {
	const char *kind;
	const char *name;
	uint16_t type;
	bool subnet;
} kinds[] = {
	{ "txt", "current.cvd.example.net", WIRE_TYPE_TXT, false },
	{ "country", "db.de.example.net", WIRE_TYPE_A, false },
	{ "local", "db.local.example.net", WIRE_TYPE_A, true },
	{ "static", "www.example.net", WIRE_TYPE_A, false },
	{ "nxdomain", "nothing.example.net", WIRE_TYPE_A, false },
	{ "referral", "host.sub.example.net", WIRE_TYPE_A, false },
	{ "cname", "alias.example.net", WIRE_TYPE_A, false },
};

int main(int argc, char **argv)
{
	uint8_t name[WIRE_NAME_MAX];
	uint8_t req[WIRE_REQUEST_MAX];
	static uint8_t resp[ANSWER_UDP_MAX];
	struct fixture fixture;
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f020001) };
	struct client client = { .peer = (const struct sockaddr *)&peer, .transport = TRANSPORT_UDP };
	struct prefix subnet = { .addr = { .family = 4, .bytes = { 127, 2, 3 } }, .len = 24 };
	size_t kind = 0;
	while (kind < sizeof(kinds) / sizeof(kinds[0]) &&
	       (argc != 3 || strcmp(argv[1], kinds[kind].kind) != 0))
		kind++;
	if (kind == sizeof(kinds) / sizeof(kinds[0])) {
		fprintf(stderr,
		        "Usage: instructions txt|country|local|static|nxdomain|referral|cname TIMES\n");
		return 2;
	}
	fixture_init(&fixture, zone, NULL);
	int name_len = name_from_text(kinds[kind].name, NULL, 0, name);
	size_t req_len = wire_request_make(name, (size_t)name_len, kinds[kind].type, WIRE_CLASS_IN, 1232,
	                                   kinds[kind].subnet ? &subnet : NULL, req);
	size_t len = 0;
	for (long times = strtol(argv[2], NULL, 10); times > 0; times--)
		len = answer_query(&fixture.data, &client, req, req_len, resp, sizeof(resp), fixture.state);
	printf("len=%zu rcode=%d answers=%d\n", len, resp[3] & 15, resp[7]);
	fixture_fini(&fixture);
	return len == 0;
}
