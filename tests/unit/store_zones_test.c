/* Many zones in one store: which of them a name belongs to, and that finding it out takes no time to speak
 * of. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "answer/store_build.h"
#include "wire/name.h"
#include "wire/wire.h"

static const uint8_t soa[] = { 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1 };
static const uint8_t root_ns[] = { 0 };
static const uint8_t address[] = { 192, 0, 2, 1 };

static size_t wire(const char *text, uint8_t name[WIRE_NAME_MAX])
{
	int len = name_from_text(text, NULL, 0, name);
	assert_true(len > 0);
	return (size_t)len;
}

static void add(struct store_builder *builder, int zone, const char *owner, uint16_t type,
                const uint8_t *rdata, size_t rdata_len)
{
	uint8_t name[WIRE_NAME_MAX];
	size_t len = wire(owner, name);
	assert_int_equal(
	        store_builder_add_record(builder, zone, name, len, type, 300, rdata, rdata_len, "zone", 1),
	        0);
}

static int add_zone(struct store_builder *builder, const char *text)
{
	uint8_t name[WIRE_NAME_MAX];
	int zone = store_builder_add_zone(builder, name, wire(text, name));
	if (zone < 0)
		return zone;
	add(builder, zone, text, WIRE_TYPE_SOA, soa, sizeof(soa));
	add(builder, zone, text, WIRE_TYPE_NS, root_ns, sizeof(root_ns));
	return zone;
}

static struct answer_store *build(struct store_builder *builder)
{
	struct diag diag;
	struct answer_store *store = NULL;
	diag_init(&diag);
	if (store_build(builder, &diag, &store) < 0)
		fail_msg("%s", diag.messages_n ? diag.messages[0].text : "out of memory");
	diag_fini(&diag);
	store_builder_destroy(builder);
	return store;
}

/* NULL when it is not in the table. */
static const struct store_node *find(const struct answer_store *store, const char *text)
{
	uint8_t name[WIRE_NAME_MAX + 8] = { 0 };
	size_t len = wire(text, name);
	uint32_t hash = store_hash(name, (uint32_t)len);
	for (uint32_t at = hash & store->slots_mask; store->slots[at].node_plus_1;
	     at = (at + 1) & store->slots_mask) {
		const struct store_node *node = &store->nodes[store->slots[at].node_plus_1 - 1];
		if (store->slots[at].hash == hash && node->name_len == len &&
		    memcmp(store->bytes + node->name_off, name, len) == 0)
			return node;
	}
	return NULL;
}

static const char *const nested[] = { "net", "a.b.example.net", "example.net", "other.net", "." };
#define NESTED_N (sizeof(nested) / sizeof(nested[0]))

/* Each zone has a record and a delegation's DS where the next one begins; zone is the one it is found in. */
static const struct {
	const char *name;
	int zone; /* index in nested; -1 = nowhere */
	int parent_side;
} names[] = {
	{ "net", 0, 4 },
	{ "example.net", 2, 0 },
	{ "a.b.example.net", 1, 2 },
	{ "other.net", 3, 0 },
	{ "x.net", 0, -1 },
	{ "x.example.net", 2, -1 },
	{ "b.example.net", 2, -1 },
	{ "xa.b.example.net", 2, -1 },
	{ "x.a.b.example.net", 1, -1 },
	{ "x", 4, -1 },
	{ "hidden.other.net", -1, -1 },
};

static void test_nested(void **state)
{
	(void)state;
	static const uint8_t ds[] = { 0, 1, 8, 2, 1, 2, 3, 4 };
	/* In whatever order they come. */
	for (size_t first = 0; first < NESTED_N; first++) {
		struct store_builder *builder = store_builder_create();
		int zones[NESTED_N];
		for (size_t i = 0; i < NESTED_N; i++) {
			size_t k = (first + i) % NESTED_N;
			zones[k] = add_zone(builder, nested[k]);
			assert_int_equal(zones[k], i);
			assert_int_equal(add_zone(builder, nested[k]), -EEXIST);
		}
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			if (names[i].zone >= 0 && names[i].parent_side < 0)
				add(builder, zones[names[i].zone], names[i].name, WIRE_TYPE_A, address,
				    sizeof(address));
			if (names[i].parent_side >= 0)
				add(builder, zones[names[i].parent_side], names[i].name, WIRE_TYPE_DS, ds,
				    sizeof(ds));
		}
		/* What "net" says of a name inside "other.net" is nobody's business. */
		add(builder, zones[0], "hidden.other.net", WIRE_TYPE_A, address, sizeof(address));
		struct answer_store *store = build(builder);
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			const struct store_node *node = find(store, names[i].name);
			if (!node != (names[i].zone < 0))
				fail_msg("%s is %s", names[i].name, node ? "there" : "missing");
			if (!node)
				continue;
			assert_int_equal(node->zone, zones[names[i].zone]);
			int side =
			        node->parent_side == STORE_NONE ? -1 : store->nodes[node->parent_side].zone;
			assert_int_equal(side, names[i].parent_side < 0 ? -1 : zones[names[i].parent_side]);
		}
		answer_store_unref(store);
	}
}

/* Processor time of this thread, so that others on the machine do not count. */
static double build_s(unsigned zones_n)
{
	struct timespec begin;
	struct timespec end;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	struct store_builder *builder = store_builder_create();
	assert_true(add_zone(builder, "test") >= 0);
	for (unsigned i = 0; i < zones_n; i++) {
		char name[32];
		snprintf(name, sizeof(name), "z%u.test", i);
		assert_true(add_zone(builder, name) >= 0);
	}
	struct answer_store *store = build(builder);
	assert_int_equal(store->zones_n, zones_n + 1);
	answer_store_unref(store);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	return (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
}

/* Sixteen times as many took over a hundred times as long. */
static void test_growth(void **state)
{
	(void)state;
	double few_s = build_s(1500);
	double many_s = build_s(16 * 1500);
	print_message("1,500 zones: %.3f s; 24,000: %.3f s\n", few_s, many_s);
	assert_true(many_s < 60 * few_s);
}

static void test_too_many(void **state)
{
	(void)state;
	struct store_builder *builder = store_builder_create();
	uint8_t name[WIRE_NAME_MAX];
	char text[32];
	for (int i = 0; i < STORE_ZONES_MAX; i++) {
		snprintf(text, sizeof(text), "z%d", i);
		assert_int_equal(store_builder_add_zone(builder, name, wire(text, name)), i);
	}
	assert_int_equal(store_builder_add_zone(builder, name, wire("one-more", name)), -EOVERFLOW);
	assert_int_equal(store_builder_add_zone(builder, name, wire("z65533", name)), -EEXIST);
	store_builder_destroy(builder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
