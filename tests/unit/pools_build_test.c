/* Rows of a pool's answer: shares by weight, no repetition, all addresses used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/pools_build.h"

static struct addr address4(unsigned number)
{
	return (struct addr){ .family = 4, .bytes = { 192, 0, (uint8_t)(number >> 8), (uint8_t)number } };
}

static struct answer_pools *build(const struct pool_member *members, size_t members_n, uint32_t take)
{
	struct pools_builder *builder = pools_builder_create(1);
	uint32_t set;
	assert_int_equal(pools_builder_add_set(builder, members, members_n, take, 300, &set), 0);
	assert_int_equal(pools_builder_slot_set(builder, 0, set), 0);
	struct answer_pools *pools;
	assert_int_equal(pools_build(builder, &pools), 0);
	pools_builder_destroy(builder);
	return pools;
}

/* How often each record is first, over all rows; checks that no row repeats a record. */
static unsigned *count_firsts(const struct answer_pools *pools)
{
	const struct pool_list *list = &pools->sets[0].v4;
	unsigned *first = calloc(list->records_n, sizeof(*first));
	assert_non_null(first);
	for (uint32_t row = 0; row < list->rows_n; row++) {
		const uint16_t *numbers =
		        pools->rows + list->rows_off + (size_t)row * (list->cycle ? 1 : list->take_n);
		first[numbers[0]]++;
		for (unsigned i = 0; i < list->take_n && !list->cycle; i++) {
			assert_true(numbers[i] < list->records_n);
			for (unsigned k = 0; k < i; k++)
				assert_int_not_equal(numbers[k], numbers[i]);
		}
	}
	return first;
}

static void test_equal_shares(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 140; n++) {
		struct addr addrs[140];
		struct pool_member members[140];
		for (unsigned i = 0; i < n; i++) {
			addrs[i] = address4(i);
			members[i] = (struct pool_member){ &addrs[i], 1, 100, (uint16_t)i };
		}
		struct answer_pools *pools = build(members, n, 8);
		const struct pool_list *list = &pools->sets[0].v4;
		assert_int_equal(list->take_n, n < 8 ? n : 8);
		unsigned *first = count_firsts(pools);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(first[i], list->rows_n / n);
		free(first);
		answer_pools_unref(pools);
	}
}

static void test_weights(void **state)
{
	(void)state;
	static const struct {
		uint32_t weight[4];
	} table[] = { { { 1, 3, 0, 0 } },
		      { { 100, 300, 0, 0 } },
		      { { 1, 1, 1, 1 } },
		      { { 10, 20, 30, 40 } },
		      { { 1, 1000, 0, 0 } },
		      { { 999983, 17, 0, 0 } },
		      { { 1000000000, 999999000, 1, 0 } } };
	for (size_t t = 0; t < sizeof(table) / sizeof(table[0]); t++) {
		struct addr addrs[4];
		struct pool_member members[4];
		size_t n = 0;
		double sum = 0;
		for (unsigned i = 0; i < 4 && table[t].weight[i]; i++) {
			addrs[i] = address4(i);
			members[n++] = (struct pool_member){ &addrs[i], 1, table[t].weight[i], (uint16_t)i };
			sum += table[t].weight[i];
		}
		struct answer_pools *pools = build(members, n, 8);
		const struct pool_list *list = &pools->sets[0].v4;
		unsigned *first = count_firsts(pools);
		for (size_t i = 0; i < n; i++) {
			double want = table[t].weight[i] / sum * list->rows_n;
			assert_true(first[i] >= want - 1 && first[i] <= want + 1);
		}
		free(first);
		answer_pools_unref(pools);
	}
}

/* A mirror's weight is its own, however many addresses it has. */
static void test_several_addresses(void **state)
{
	(void)state;
	struct addr addrs[4] = { address4(1), address4(2), address4(3), address4(4) };
	struct pool_member members[2] = { { &addrs[0], 3, 100, 7 }, { &addrs[3], 1, 100, 9 } };
	struct answer_pools *pools = build(members, 2, 8);
	const struct pool_list *list = &pools->sets[0].v4;
	assert_int_equal(list->take_n, 4);
	static const uint16_t mirrors[] = { 7, 7, 7, 9 };
	assert_memory_equal(pools->mirrors + list->mirrors_off, mirrors, sizeof(mirrors));
	unsigned *first = count_firsts(pools);
	assert_int_equal(first[3], list->rows_n / 2);
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(first[i], list->rows_n / 6 - 1, list->rows_n / 6 + 1);
	free(first);
	answer_pools_unref(pools);
	/* With room for two, both mirrors are in every answer. */
	pools = build(members, 2, 2);
	list = &pools->sets[0].v4;
	for (uint32_t row = 0; row < list->rows_n; row++) {
		const uint16_t *numbers = pools->rows + list->rows_off + (size_t)row * 2;
		assert_true((numbers[0] == 3) != (numbers[1] == 3));
	}
	answer_pools_unref(pools);
}

/* Rows are shared between lists of the same weights, but not when the mirrors have other numbers of
 * addresses. */
static void test_rows_shared(void **state)
{
	(void)state;
	struct addr addrs[4] = { address4(1), address4(2), address4(3), address4(4) };
	struct pool_member two[2] = { { &addrs[0], 2, 100, 7 }, { &addrs[2], 2, 100, 9 } };
	struct pool_member one[2] = { { &addrs[0], 1, 100, 7 }, { &addrs[2], 1, 100, 9 } };
	struct pools_builder *builder = pools_builder_create(1);
	uint32_t set;
	assert_int_equal(pools_builder_add_set(builder, two, 2, 1, 300, &set), 0);
	assert_int_equal(pools_builder_add_set(builder, one, 2, 1, 300, &set), 0);
	assert_int_equal(pools_builder_add_set(builder, two, 2, 1, 60, &set), 0);
	assert_int_equal(pools_builder_slot_set(builder, 0, set), 0);
	struct answer_pools *pools;
	assert_int_equal(pools_build(builder, &pools), 0);
	pools_builder_destroy(builder);
	const struct pool_set *sets = pools->sets;
	assert_int_equal(sets[0].v4.rows_off, sets[2].v4.rows_off);
	assert_int_not_equal(sets[0].v4.rows_off, sets[1].v4.rows_off);
	for (size_t i = 0; i < 3; i++) {
		unsigned seen = 0;
		for (uint32_t row = 0; row < sets[i].v4.rows_n; row++)
			seen |= 1U << pools->rows[sets[i].v4.rows_off + row];
		assert_int_equal(seen, i == 1 ? 3 : 15);
	}
	answer_pools_unref(pools);
}

static void test_large(void **state)
{
	(void)state;
	enum { MANY = 10000 };
	struct addr *addrs = calloc(MANY, sizeof(*addrs));
	struct pool_member *members = calloc(MANY, sizeof(*members));
	for (unsigned i = 0; i < MANY; i++) {
		addrs[i] = address4(i);
		members[i] = (struct pool_member){ &addrs[i], 1, 100, (uint16_t)i };
	}
	struct answer_pools *pools = build(members, MANY, 8);
	unsigned *first = count_firsts(pools);
	for (unsigned i = 0; i < MANY; i++)
		assert_true(first[i] >= 1);
	free(first);
	answer_pools_unref(pools);
	/* all of them: no more than a message holds, going round from everywhere */
	pools = build(members, MANY, 0);
	assert_in_range(pools->sets[0].v4.take_n, 4000, 4095);
	assert_true(pools->sets[0].v4.cycle);
	answer_pools_unref(pools);
	free(addrs);
	free(members);
}

static void test_empty(void **state)
{
	(void)state;
	struct answer_pools *pools = build(NULL, 0, 8);
	assert_int_equal(pools->sets[0].v4.take_n, 0);
	assert_int_equal(pools->sets[0].v6.take_n, 0);
	answer_pools_unref(pools);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_shares),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_several_addresses),
		cmocka_unit_test(test_rows_shared),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_empty),
	};
	return cmocka_run_group_tests_name("pools_build", tests, NULL, NULL);
}
