#include "tests/unit/support/store_fixture.h"

#include <ldns/ldns.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/pools_build.h"
#include "answer/store_build.h"
#include "wire/name.h"
#include "wire/wire.h"
#include "zones/zone_file.h"

/* The secrets of RFC 9018 appendix A. */
static const struct answer_cookies cookies = {
	.secrets = { { 0xe5, 0xe9, 0x73, 0xe5, 0xa6, 0xb2, 0xa4, 0x3f, 0x48, 0xe7, 0xdc, 0x84, 0x9e, 0x37,
	               0xbf, 0xcf } },
	.secrets_n = 1,
};

static void print_diag(const struct diag *diag)
{
	for (size_t i = 0; i < diag->messages_n; i++)
		print_message("%s\n", diag->messages[i].text);
}

static int wire(const char *text, uint8_t *name)
{
	int len = name_from_text(text, NULL, 0, name);
	assert_true(len > 0);
	name_lower(name, (size_t)len);
	return len;
}

static void add_zone(struct store_builder *builder, const char *zone_name, const char *text,
                     struct zone_records *records)
{
	uint8_t origin[WIRE_NAME_MAX];
	size_t len = (size_t)wire(zone_name, origin);
	struct diag diag;
	diag_init(&diag);
	int rc = zone_text_load(text, strlen(text), "zone", origin, len, 0, &diag, records);
	if (rc == 0)
		rc = zone_check(zone_name, origin, len, records, &diag);
	if (rc < 0)
		print_diag(&diag);
	assert_int_equal(rc, 0);
	diag_fini(&diag);
	int zone = store_builder_add_zone(builder, origin, len);
	assert_true(zone >= 0);
	for (size_t i = 0; i < records->records_n; i++) {
		const struct zone_record *r = &records->records[i];
		assert_int_equal(store_builder_add_record(builder, zone, r->owner, r->owner_len, r->type,
		                                          r->ttl_s, r->rdata, r->rdata_len, r->file, r->line),
		                 0);
	}
}

static void add_dynamic(struct store_builder *builder, const char *text, uint16_t type,
                        enum store_source source, uint32_t slot)
{
	uint8_t name[WIRE_NAME_MAX];
	int len = wire(text, name);
	assert_int_equal(
	        store_builder_add_dynamic(builder, 0, name, (size_t)len, type, source, slot, "conf", 1), 0);
}

static struct addr address(const char *text)
{
	struct addr addr;
	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

static struct answer_pools *make_pools(void)
{
	struct pools_builder *builder = pools_builder_create(FIXTURE_SLOTS_N);
	struct addr de[5] = { address("192.0.2.1"), address("192.0.2.2"), address("192.0.2.3"),
		              address("192.0.2.4"), address("2001:db8::4") };
	struct pool_member members[4] = {
		{ &de[0], 1, 100, 1 }, { &de[1], 1, 100, 2 }, { &de[2], 1, 100, 3 }, { &de[3], 2, 100, 4 }
	};
	uint32_t set_de;
	assert_int_equal(pools_builder_add_set(builder, members, 4, 3, 300, &set_de), 0);
	struct addr us[2] = { address("198.51.100.1"), address("198.51.100.2") };
	struct pool_member weighted[2] = { { &us[0], 1, 1, 5 }, { &us[1], 1, 3, 6 } };
	uint32_t set_us;
	assert_int_equal(pools_builder_add_set(builder, weighted, 2, 8, 300, &set_us), 0);
	struct addr many[40];
	struct pool_member big[40];
	for (uint8_t i = 0; i < 40; i++) {
		many[i] = address("203.0.113.0");
		many[i].bytes[3] = i;
		big[i] = (struct pool_member){ &many[i], 1, 100, (uint16_t)(10 + i) };
	}
	uint32_t set_big;
	assert_int_equal(pools_builder_add_set(builder, big, 40, 0, 300, &set_big), 0);

	uint32_t by_country[COUNTRY_N];
	for (size_t i = 0; i < COUNTRY_N; i++)
		by_country[i] = set_big;
	by_country[country_from_code("DE")] = set_de;
	by_country[country_from_code("US")] = set_us;
	assert_int_equal(pools_builder_slot_set(builder, FIXTURE_SLOT_COUNTRY, set_de), 0);
	assert_int_equal(pools_builder_slot_nearest(builder, FIXTURE_SLOT_NEAREST, by_country), 0);
	assert_int_equal(pools_builder_slot_text(builder, FIXTURE_SLOT_VERSION, 300,
	                                         "0.99.2:58:23538:1499326140:1:63:46137:305"),
	                 0);
	assert_int_equal(pools_builder_slot_set(builder, FIXTURE_SLOT_BIG, set_big), 0);
	assert_int_equal(pools_builder_slot_fail(builder, FIXTURE_SLOT_FAIL, WIRE_EDE_INVALID_DATA,
	                                         "version record has no verified source"),
	                 0);
	/* mirror 1 has 192.0.2.1, mirror 2 has 2001:db8::4 */
	assert_int_equal(pools_builder_add_address(builder, &de[0], 1), 0);
	assert_int_equal(pools_builder_add_address(builder, &de[4], 2), 0);
	struct answer_pools *pools;
	assert_int_equal(pools_build(builder, &pools), 0);
	pools_builder_destroy(builder);
	return pools;
}

static struct geo_map *make_geo(void)
{
	struct geo_map_builder *builder = geo_map_builder_create();
	struct prefix us;
	struct prefix de;
	assert_int_equal(prefix_parse("127.1.0.0/16", &us), 0);
	assert_int_equal(prefix_parse("127.2.0.0/16", &de), 0);
	assert_int_equal(geo_map_builder_add(builder, &us, country_from_code("US")), 0);
	assert_int_equal(geo_map_builder_add(builder, &de, country_from_code("DE")), 0);
	struct geo_map *map;
	assert_int_equal(geo_map_build(builder, &map), 0);
	geo_map_builder_destroy(builder);
	return map;
}

void fixture_init(struct fixture *fixture, const char *zone_text, const char *child_text)
{
	struct store_builder *builder = store_builder_create();
	struct zone_records records[2] = { 0 };
	add_zone(builder, "example.net", zone_text, &records[0]);
	add_dynamic(builder, "db.de.example.net", WIRE_TYPE_A, STORE_POOL, FIXTURE_SLOT_COUNTRY);
	add_dynamic(builder, "db.de.example.net", WIRE_TYPE_AAAA, STORE_POOL, FIXTURE_SLOT_COUNTRY);
	add_dynamic(builder, "db.local.example.net", WIRE_TYPE_A, STORE_POOL, FIXTURE_SLOT_NEAREST);
	add_dynamic(builder, "db.local.example.net", WIRE_TYPE_AAAA, STORE_POOL, FIXTURE_SLOT_NEAREST);
	add_dynamic(builder, "db.big.example.net", WIRE_TYPE_A, STORE_POOL, FIXTURE_SLOT_BIG);
	add_dynamic(builder, "current.cvd.example.net", WIRE_TYPE_TXT, STORE_TEXT, FIXTURE_SLOT_VERSION);
	add_dynamic(builder, "broken.cvd.example.net", WIRE_TYPE_TXT, STORE_TEXT, FIXTURE_SLOT_FAIL);
	uint8_t name[WIRE_NAME_MAX];
	int len = wire("whoami.example.net", name);
	struct prefix allow[2];
	assert_int_equal(prefix_parse("127.2.0.0/16", &allow[0]), 0);
	assert_int_equal(prefix_parse("::1", &allow[1]), 0);
	assert_int_equal(store_builder_add_whoami(builder, 0, name, (size_t)len, allow, 2, "conf", 2), 0);
	len = wire("ping.example.net", name);
	assert_int_equal(store_builder_add_ping(builder, 0, name, (size_t)len), 0);
	if (child_text)
		add_zone(builder, "child.example.net", child_text, &records[1]);
	struct diag diag;
	diag_init(&diag);
	int rc = store_build(builder, &diag, &fixture->store);
	if (rc < 0)
		print_diag(&diag);
	assert_int_equal(rc, 0);
	diag_fini(&diag);
	store_builder_destroy(builder);
	zone_records_fini(&records[0]);
	if (child_text)
		zone_records_fini(&records[1]);

	fixture->pools = make_pools();
	fixture->geo = make_geo();
	fixture->data = (struct answer_data){ .store = fixture->store,
		                              .pools = fixture->pools,
		                              .geo = fixture->geo,
		                              .edns_size = 1232,
		                              .serial = 7,
		                              .cookies = &cookies };
	fixture->state = calloc(1, sizeof(*fixture->state));
	assert_non_null(fixture->state);
	fixture->state->now_s = FIXTURE_NOW_S;
}

void fixture_fini(struct fixture *fixture)
{
	answer_store_unref(fixture->store);
	answer_pools_unref(fixture->pools);
	geo_map_unref(fixture->geo);
	free(fixture->state);
}

struct fixture *fixture_create(const char *zone_text, const char *child_text)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	fixture_init(fixture, zone_text, child_text);
	return fixture;
}

int fixture_teardown(void **state)
{
	fixture_fini(*state);
	free(*state);
	return 0;
}

size_t fixture_make_request(const struct fixture_question *question, uint8_t req[FIXTURE_REQUEST_MAX])
{
	static const uint8_t header[WIRE_HEADER_LEN] = { 0x12, 0x34, 0x01, 0x00 };
	memcpy(req, header, sizeof(header));
	uint8_t *at = req + WIRE_HEADER_LEN;
	if (question->name) {
		int len = name_from_text(question->name, NULL, 0, at);
		assert_true(len > 0);
		at += len;
		wire_put16(at, question->type);
		wire_put16(at + 2, question->class ? question->class : WIRE_CLASS_IN);
		at += 4;
		req[5] = 1;
	}
	if (question->edns_size) {
		req[11] = 1;
		memset(at, 0, WIRE_OPT_LEN);
		wire_put16(at + 1, WIRE_TYPE_OPT);
		wire_put16(at + 3, question->edns_size);
		wire_put16(at + 9, (uint16_t)question->options_len);
		at += WIRE_OPT_LEN;
		if (question->options_len)
			memcpy(at, question->options, question->options_len);
		at += question->options_len;
	}
	return (size_t)(at - req);
}

size_t fixture_send(struct fixture *fixture, const struct fixture_question *question, uint8_t *resp)
{
	uint8_t req[FIXTURE_REQUEST_MAX];
	size_t req_len = fixture_make_request(question, req);
	struct sockaddr_in usual = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f020001) };
	struct client client = { .peer = question->peer ? question->peer : (struct sockaddr *)&usual,
		                 .transport = question->transport };
	size_t cap = question->transport != TRANSPORT_UDP ? ANSWER_TCP_MAX : ANSWER_UDP_MAX;
	return answer_query(&fixture->data, &client, req, req_len, resp, cap, fixture->state);
}

size_t fixture_ask(struct fixture *fixture, const char *name, uint16_t type, uint16_t edns_size,
                   uint8_t *resp)
{
	struct fixture_question question = { .name = name, .type = type, .edns_size = edns_size };
	return fixture_send(fixture, &question, resp);
}

char *fixture_ask_text(struct fixture *fixture, const char *name, uint16_t type)
{
	uint8_t resp[ANSWER_UDP_MAX];
	size_t len = fixture_ask(fixture, name, type, 0, resp);
	ldns_pkt *pkt = NULL;
	assert_int_equal(ldns_wire2pkt(&pkt, resp, len), LDNS_STATUS_OK);
	char *all = NULL;
	ldns_lookup_table *rcode = ldns_lookup_by_id(ldns_rcodes, (int)ldns_pkt_get_rcode(pkt));
	char *answer = ldns_rr_list2str(ldns_pkt_answer(pkt));
	char *authority = ldns_rr_list2str(ldns_pkt_authority(pkt));
	char *additional = ldns_rr_list2str(ldns_pkt_additional(pkt));
	assert_true(asprintf(&all, "%s%s%s\n%s-\n%s-\n%s", rcode->name, ldns_pkt_aa(pkt) ? " aa" : "",
	                     ldns_pkt_tc(pkt) ? " tc" : "", answer, authority, additional) > 0);
	free(answer);
	free(authority);
	free(additional);
	ldns_pkt_free(pkt);
	return all;
}
