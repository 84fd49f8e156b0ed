#include "answer/pools_build.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "wire/wire.h"

/* Lists longer than this are cycled through instead of having rows of their own. */
#define ROWS_TAKE_MAX 32
/* At least so many rows, so that weights and several addresses of a mirror come out right. */
#define ROWS_MIN 64
#define ROWS_MAX 65536
/* Of so few mirrors those that are not in the row yet are drawn from; of more one hardly comes up twice. */
#define DRAW_LEFT_MAX 64
/* Header, longest question, OPT with a options: what an answer needs beside the records. */
#define MESSAGE_OVERHEAD (WIRE_HEADER_LEN + WIRE_NAME_MAX + 4 + WIRE_OPT_LEN + WIRE_OPTIONS_MAX)

/* A mirror while one family's list is made. */
struct share {
	uint32_t weight;
	uint16_t first; /* its first record */
	uint16_t records_n;
	uint16_t next; /* which of its records comes next, so that they share its weight */
	uint64_t due;  /* when it is next in the first place: see spread() */
};

/* Rows that were made: numbers of records, which fit every list of the same weights and counts. */
struct made_rows {
	uint32_t off;
	uint32_t rows_n;
	uint32_t shares_off;
	uint32_t shares_n;
	uint16_t take_n;
};

struct pools_builder {
	struct pool_slot *slots;
	bool *slots_set;
	uint32_t slots_n;
	struct grow sets;       /* struct pool_set */
	struct grow by_country; /* uint32_t */
	struct grow rows;       /* uint16_t */
	struct grow made;       /* struct made_rows */
	struct grow shares;     /* struct share: of the lists that rows were made for, as they were before */
	struct grow bytes;      /* uint8_t */
	struct grow mirrors;    /* uint16_t */
	struct grow addresses;  /* struct pool_address */
};

struct pools_builder *pools_builder_create(uint32_t slots_n)
{
	struct pools_builder *builder = calloc(1, sizeof(*builder));
	if (!builder)
		return NULL;
	builder->slots_n = slots_n;
	builder->slots = calloc(slots_n + 1, sizeof(*builder->slots));
	builder->slots_set = calloc(slots_n + 1, sizeof(*builder->slots_set));
	grow_init(&builder->sets, sizeof(struct pool_set));
	grow_init(&builder->by_country, sizeof(uint32_t));
	grow_init(&builder->rows, sizeof(uint16_t));
	grow_init(&builder->made, sizeof(struct made_rows));
	grow_init(&builder->shares, sizeof(struct share));
	grow_init(&builder->bytes, 1);
	grow_init(&builder->mirrors, sizeof(uint16_t));
	grow_init(&builder->addresses, sizeof(struct pool_address));
	if (!builder->slots || !builder->slots_set) {
		pools_builder_destroy(builder);
		return NULL;
	}
	return builder;
}

void pools_builder_destroy(struct pools_builder *builder)
{
	if (!builder)
		return;
	free(builder->slots);
	free(builder->slots_set);
	grow_fini(&builder->sets);
	grow_fini(&builder->by_country);
	grow_fini(&builder->rows);
	grow_fini(&builder->made);
	grow_fini(&builder->shares);
	grow_fini(&builder->bytes);
	grow_fini(&builder->mirrors);
	grow_fini(&builder->addresses);
	free(builder);
}

/* splitmix64: the rows only need to look mixed, and to come out the same for the same pool. */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15U);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

/* A number below n. */
static uint64_t draw_below(uint64_t *state, uint64_t n)
{
	/* A division takes as long as the rest of a draw. */
	return n <= UINT32_MAX ? ((draw(state) >> 32) * n) >> 32 : draw(state) % n;
}

static uint32_t greatest_divisor(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* A min-heap of shares by due time. */
static void heap_sink(uint32_t *heap, size_t heap_n, const struct share *shares, size_t at)
{
	for (;;) {
		size_t least = at;
		for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap_n; child++) {
			const struct share *a = &shares[heap[child]];
			const struct share *b = &shares[heap[least]];
			if (a->due < b->due || (a->due == b->due && heap[child] < heap[least]))
				least = child;
		}
		if (least == at)
			return;
		uint32_t swap = heap[at];
		heap[at] = heap[least];
		heap[least] = swap;
		at = least;
	}
}

static uint16_t share_next_record(struct share *share)
{
	uint16_t record = (uint16_t)(share->first + share->next);
	share->next = (uint16_t)((share->next + 1) % share->records_n);
	return record;
}

/* How many rows: a multiple of the reduced sum of weights, so that the shares are exact where that is
 * affordable. */
static uint32_t rows_wanted(const struct share *shares, size_t shares_n)
{
	uint32_t divisor = 0;
	uint64_t sum = 0;
	for (size_t i = 0; i < shares_n; i++) {
		divisor = greatest_divisor(shares[i].weight, divisor);
		sum += shares[i].weight;
	}
	uint64_t rows = sum / divisor;
	if (rows < ROWS_MIN) {
		/* Six is a multiple of 1, 2 and 3: the usual numbers of addresses of one mirror come out even
		 * too. */
		uint64_t times = (ROWS_MIN + rows - 1) / rows;
		rows *= (times + 5) / 6 * 6;
	}
	uint64_t most = 4 * shares_n > 2048 ? 4 * shares_n : 2048;
	if (most > ROWS_MAX)
		most = ROWS_MAX;
	return (uint32_t)(rows < most ? rows : most);
}

/*
 * Spread the first places: mirror i is due at (k + 1/2) / weight for k = 0, 1, 2 ...; taking the earliest
 * each time gives every mirror its share, as evenly spaced as can be (stride scheduling).
 */
static void spread(struct share *shares, size_t shares_n, uint32_t *heap, uint32_t *firsts, uint32_t rows_n)
{
	/* Over any weight by far; times ROWS_MAX it fits 64 bits. */
	const uint64_t unit = UINT64_C(1) << 46;
	for (size_t i = 0; i < shares_n; i++) {
		shares[i].due = unit / shares[i].weight / 2;
		heap[i] = (uint32_t)i;
	}
	for (size_t i = shares_n / 2; i-- > 0;)
		heap_sink(heap, shares_n, shares, i);
	for (uint32_t row = 0; row < rows_n; row++) {
		firsts[row] = heap[0];
		shares[heap[0]].due += unit / shares[heap[0]].weight;
		heap_sink(heap, shares_n, shares, 0);
	}
}

/* The share that a point of the summed weights falls into. */
static uint32_t share_at(const uint64_t *sums, size_t shares_n, uint64_t point)
{
	size_t low = 0;
	size_t high = shares_n - 1;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (sums[middle] > point)
			high = middle;
		else
			low = middle + 1;
	}
	return (uint32_t)low;
}

/* Mirrors that a row may still get. */
struct pot {
	const struct share *shares;
	size_t shares_n;
	const uint64_t *sums;           /* of the weights up to each share */
	uint64_t left_sum;              /* of up to DRAW_LEFT_MAX shares: what is not drawn yet ... */
	uint32_t left[DRAW_LEFT_MAX];   /* ... and of whom */
	uint32_t chosen[ROWS_TAKE_MAX]; /* drawn, in order */
	uint16_t chosen_n;
	unsigned tries;
};

static void pot_choose(struct pot *pot, uint32_t pick)
{
	pot->chosen[pot->chosen_n++] = pick;
	if (pot->shares_n <= DRAW_LEFT_MAX) {
		pot->left_sum -= pot->left[pick];
		pot->left[pick] = 0;
	}
}

static void pot_begin(struct pot *pot, uint32_t first)
{
	pot->chosen_n = 0;
	pot->tries = 0;
	if (pot->shares_n <= DRAW_LEFT_MAX) {
		pot->left_sum = pot->sums[pot->shares_n - 1];
		for (size_t i = 0; i < pot->shares_n; i++)
			pot->left[i] = pot->shares[i].weight;
	}
	pot_choose(pot, first);
}

/* One that is not in yet, by weight; there must be one. */
static uint32_t pot_draw(struct pot *pot, uint64_t *random)
{
	if (pot->shares_n <= DRAW_LEFT_MAX) {
		uint64_t point = draw_below(random, pot->left_sum);
		uint32_t pick = 0;
		while (point >= pot->left[pick])
			point -= pot->left[pick++];
		return pick;
	}
	for (;;) {
		uint32_t pick;
		if (pot->tries++ < 8U * ROWS_TAKE_MAX)
			pick = share_at(pot->sums, pot->shares_n,
			                draw_below(random, pot->sums[pot->shares_n - 1]));
		else /* a heavy mirror keeps coming up: draw evenly */
			pick = (uint32_t)draw_below(random, pot->shares_n);
		bool used = false;
		for (uint16_t i = 0; i < pot->chosen_n && !used; i++)
			used = pot->chosen[i] == pick;
		if (!used)
			return pick;
	}
}

/*
 * One row: the mirror in the first place, then others drawn by weight, one address each; when all mirrors are
 * in, their further addresses.
 */
static void fill_row(struct share *shares, struct pot *pot, uint32_t first, uint16_t take, uint64_t *random,
                     uint16_t *row)
{
	uint16_t records_n = 0;
	pot_begin(pot, first);
	row[records_n++] = share_next_record(&shares[first]);
	while (records_n < take && pot->chosen_n < pot->shares_n) {
		uint32_t pick = pot_draw(pot, random);
		pot_choose(pot, pick);
		row[records_n++] = share_next_record(&shares[pick]);
	}
	for (uint16_t i = 0; i < pot->chosen_n && records_n < take; i++) {
		const struct share *share = &shares[pot->chosen[i]];
		for (uint16_t k = 1; k < share->records_n && records_n < take; k++) {
			/* next already points behind the one taken above */
			row[records_n++] =
			        (uint16_t)(share->first + (share->next + k - 1) % share->records_n);
		}
	}
}

static const struct made_rows *find_rows(const struct pools_builder *builder, const struct share *shares,
                                         size_t shares_n, uint16_t take_n)
{
	const struct made_rows *made = builder->made.items;
	for (size_t i = 0; i < builder->made.n; i++) {
		const struct share *others = (const struct share *)builder->shares.items + made[i].shares_off;
		bool same = made[i].shares_n == shares_n && made[i].take_n == take_n;
		for (size_t k = 0; k < shares_n && same; k++)
			same = shares[k].weight == others[k].weight &&
			       shares[k].records_n == others[k].records_n;
		if (same)
			return &made[i];
	}
	return NULL;
}

static int note_rows(struct pools_builder *builder, const struct share *shares, size_t shares_n,
                     const struct pool_list *list)
{
	struct made_rows *made = grow_add(&builder->made, 1);
	struct share *copy = grow_add(&builder->shares, shares_n);
	if (!made || !copy)
		return -ENOMEM;
	memcpy(copy, shares, shares_n * sizeof(*copy));
	*made = (struct made_rows){ .off = list->rows_off,
		                    .rows_n = list->rows_n,
		                    .shares_off = (uint32_t)(builder->shares.n - shares_n),
		                    .shares_n = (uint32_t)shares_n,
		                    .take_n = list->take_n };
	return 0;
}

static int make_rows(struct pools_builder *builder, struct share *shares, size_t shares_n, uint16_t records_n,
                     struct pool_list *list)
{
	list->cycle = list->take_n > ROWS_TAKE_MAX;
	const struct made_rows *made = find_rows(builder, shares, shares_n, list->take_n);
	if (made) {
		list->rows_off = made->off;
		list->rows_n = made->rows_n;
		return 0;
	}
	list->rows_n = rows_wanted(shares, shares_n);
	list->rows_off = (uint32_t)builder->rows.n;
	if (note_rows(builder, shares, shares_n, list) < 0)
		return -ENOMEM;
	uint32_t row_len = list->cycle ? 1 : list->take_n;

	int rc = -ENOMEM;
	uint32_t *heap = calloc(shares_n, sizeof(*heap));
	uint32_t *firsts = calloc(list->rows_n, sizeof(*firsts));
	uint64_t *sums = calloc(shares_n, sizeof(*sums));
	uint16_t *rows = grow_add(&builder->rows, (size_t)list->rows_n * row_len);
	if (!heap || !firsts || !sums || !rows)
		goto out;
	uint64_t sum = 0;
	for (size_t i = 0; i < shares_n; i++)
		sums[i] = sum += shares[i].weight;
	spread(shares, shares_n, heap, firsts, list->rows_n);
	struct pot pot = { .shares = shares, .shares_n = shares_n, .sums = sums };
	uint64_t random = records_n;
	for (uint32_t row = 0; row < list->rows_n; row++) {
		if (list->cycle)
			rows[row] = share_next_record(&shares[firsts[row]]);
		else
			fill_row(shares, &pot, firsts[row], list->take_n, &random,
			         rows + (size_t)row * row_len);
	}
	rc = 0;
out:
	free(heap);
	free(firsts);
	free(sums);
	return rc;
}

static int add_list(struct pools_builder *builder, const struct pool_member *members, size_t members_n,
                    uint32_t take, uint32_t ttl_s, uint8_t family, struct pool_list *list)
{
	size_t record_len = family == 4 ? POOL_RR4_LEN : POOL_RR6_LEN;
	size_t addr_len = family == 4 ? 4 : 16;
	size_t fits = (WIRE_MESSAGE_MAX - MESSAGE_OVERHEAD) / record_len;
	memset(list, 0, sizeof(*list));
	list->records_off = (uint32_t)builder->bytes.n;
	list->mirrors_off = (uint32_t)builder->mirrors.n;

	struct share *shares = calloc(members_n + 1, sizeof(*shares));
	if (!shares)
		return -ENOMEM;
	size_t shares_n = 0;
	uint32_t records_n = 0;
	int rc = -ENOMEM;
	for (size_t i = 0; i < members_n; i++) {
		struct share *share = &shares[shares_n];
		*share = (struct share){ .weight = members[i].weight, .first = (uint16_t)records_n };
		for (size_t k = 0; k < members[i].addrs_n && records_n < UINT16_MAX; k++) {
			if (members[i].addrs[k].family != family)
				continue;
			uint8_t *record = grow_add(&builder->bytes, record_len);
			uint16_t *mirror = grow_add(&builder->mirrors, 1);
			if (!record || !mirror)
				goto out;
			*mirror = members[i].mirror;
			wire_put16(record, WIRE_POINTER | WIRE_HEADER_LEN);
			wire_put16(record + 2, family == 4 ? WIRE_TYPE_A : WIRE_TYPE_AAAA);
			wire_put16(record + 4, WIRE_CLASS_IN);
			wire_put32(record + 6, ttl_s);
			wire_put16(record + 10, (uint16_t)addr_len);
			memcpy(record + 12, members[i].addrs[k].bytes, addr_len);
			records_n++;
			share->records_n++;
		}
		if (share->records_n)
			shares_n++;
	}
	list->records_n = (uint16_t)records_n;
	uint32_t most = records_n < fits ? records_n : (uint32_t)fits;
	list->take_n = (uint16_t)(take && take < most ? take : most);
	rc = records_n ? make_rows(builder, shares, shares_n, (uint16_t)records_n, list) : 0;
out:
	free(shares);
	return rc;
}

int pools_builder_add_set(struct pools_builder *builder, const struct pool_member *members, size_t members_n,
                          uint32_t take, uint32_t ttl_s, uint32_t *ret_set)
{
	struct pool_set set;
	if (add_list(builder, members, members_n, take, ttl_s, 4, &set.v4) < 0 ||
	    add_list(builder, members, members_n, take, ttl_s, 6, &set.v6) < 0)
		return -ENOMEM;
	uint32_t number = (uint32_t)builder->sets.n;
	set.v4.rotation = (uint16_t)(number * 2);
	set.v6.rotation = (uint16_t)(number * 2 + 1);
	struct pool_set *place = grow_add(&builder->sets, 1);
	if (!place)
		return -ENOMEM;
	*place = set;
	*ret_set = number;
	return 0;
}

static int set_slot(struct pools_builder *builder, uint32_t slot, struct pool_slot value)
{
	if (slot >= builder->slots_n)
		return -EINVAL;
	builder->slots[slot] = value;
	builder->slots_set[slot] = true;
	return 0;
}

int pools_builder_slot_set(struct pools_builder *builder, uint32_t slot, uint32_t set)
{
	return set_slot(builder, slot, (struct pool_slot){ .kind = POOL_SLOT_SET, .ref = set });
}

int pools_builder_slot_nearest(struct pools_builder *builder, uint32_t slot, const uint32_t *set_by_country)
{
	uint32_t first = (uint32_t)builder->by_country.n;
	uint32_t *place = grow_add(&builder->by_country, COUNTRY_N);
	if (!place)
		return -ENOMEM;
	memcpy(place, set_by_country, COUNTRY_N * sizeof(*place));
	return set_slot(builder, slot, (struct pool_slot){ .kind = POOL_SLOT_NEAREST, .ref = first });
}

int pools_builder_slot_text(struct pools_builder *builder, uint32_t slot, uint32_t ttl_s, const char *text)
{
	size_t text_len = strlen(text);
	if (text_len > 255)
		return -EINVAL;
	uint16_t len = (uint16_t)(12 + 1 + text_len);
	uint32_t off = (uint32_t)builder->bytes.n;
	uint8_t *record = grow_add(&builder->bytes, len);
	if (!record)
		return -ENOMEM;
	wire_put16(record, WIRE_POINTER | WIRE_HEADER_LEN);
	wire_put16(record + 2, WIRE_TYPE_TXT);
	wire_put16(record + 4, WIRE_CLASS_IN);
	wire_put32(record + 6, ttl_s);
	wire_put16(record + 10, (uint16_t)(1 + text_len));
	record[12] = (uint8_t)text_len;
	memcpy(record + 13, text, text_len);
	return set_slot(builder, slot, (struct pool_slot){ .kind = POOL_SLOT_TEXT, .len = len, .ref = off });
}

int pools_builder_slot_fail(struct pools_builder *builder, uint32_t slot, uint16_t ede_code,
                            const char *ede_text)
{
	size_t text_len = strnlen(ede_text, POOLS_EDE_TEXT_MAX);
	uint32_t off = (uint32_t)builder->bytes.n;
	uint8_t *error = grow_add(&builder->bytes, 2 + text_len);
	if (!error)
		return -ENOMEM;
	wire_put16(error, ede_code);
	memcpy(error + 2, ede_text, text_len);
	return set_slot(
	        builder, slot,
	        (struct pool_slot){ .kind = POOL_SLOT_FAIL, .len = (uint16_t)(2 + text_len), .ref = off });
}

int pools_builder_add_address(struct pools_builder *builder, const struct addr *addr, uint16_t mirror)
{
	struct pool_address *place = grow_add(&builder->addresses, 1);
	if (!place)
		return -ENOMEM;
	*place = (struct pool_address){ .addr = *addr, .mirror = mirror };
	return 0;
}

static int make_addresses(const struct pools_builder *builder, struct answer_pools *pools)
{
	uint32_t table_n = 64;
	while (table_n < builder->addresses.n * 2)
		table_n *= 2;
	struct pool_address *table = calloc(table_n, sizeof(*table));
	if (!table)
		return -ENOMEM;
	const struct pool_address *list = builder->addresses.items;
	for (size_t i = 0; i < builder->addresses.n; i++) {
		uint32_t at = pool_address_hash(&list[i].addr) & (table_n - 1);
		while (table[at].addr.family && !addr_equal(&table[at].addr, &list[i].addr))
			at = (at + 1) & (table_n - 1);
		if (table[at].addr.family == 0)
			table[at] = list[i];
	}
	pools->addresses = table;
	pools->addresses_mask = table_n - 1;
	return 0;
}

int pools_build(struct pools_builder *builder, struct answer_pools **ret_pools)
{
	for (uint32_t i = 0; i < builder->slots_n; i++) {
		if (!builder->slots_set[i])
			return -EINVAL;
	}
	struct answer_pools *pools = calloc(1, sizeof(*pools));
	if (!pools)
		return -ENOMEM;
	if (make_addresses(builder, pools) < 0) {
		free(pools);
		return -ENOMEM;
	}
	pools->refs = 1;
	pools->slots_n = builder->slots_n;
	pools->slots = builder->slots;
	builder->slots = NULL;
	pools->sets_n = (uint32_t)builder->sets.n;
	pools->sets = grow_take(&builder->sets);
	pools->by_country_n = (uint32_t)builder->by_country.n;
	pools->by_country = grow_take(&builder->by_country);
	pools->rows_n = (uint32_t)builder->rows.n;
	pools->rows = grow_take(&builder->rows);
	pools->bytes_len = (uint32_t)builder->bytes.n;
	pools->bytes = grow_take(&builder->bytes);
	pools->mirrors = grow_take(&builder->mirrors);
	*ret_pools = pools;
	return 0;
}

static bool same_bytes(const void *a, const void *b, size_t len)
{
	return len == 0 || memcmp(a, b, len) == 0;
}

/* By fields: the bytes between them are anything. */
static bool same_slot(const struct pool_slot *a, const struct pool_slot *b)
{
	return a->kind == b->kind && a->len == b->len && a->ref == b->ref;
}

static bool same_list(const struct pool_list *a, const struct pool_list *b)
{
	return a->records_off == b->records_off && a->rows_off == b->rows_off && a->rows_n == b->rows_n &&
	       a->records_n == b->records_n && a->take_n == b->take_n && a->rotation == b->rotation &&
	       a->cycle == b->cycle;
}

bool answer_pools_equal(const struct answer_pools *a, const struct answer_pools *b)
{
	if (a->slots_n != b->slots_n || a->sets_n != b->sets_n || a->by_country_n != b->by_country_n ||
	    a->rows_n != b->rows_n || a->bytes_len != b->bytes_len)
		return false;
	for (uint32_t i = 0; i < a->slots_n; i++) {
		if (!same_slot(&a->slots[i], &b->slots[i]))
			return false;
	}
	for (uint32_t i = 0; i < a->sets_n; i++) {
		if (!same_list(&a->sets[i].v4, &b->sets[i].v4) || !same_list(&a->sets[i].v6, &b->sets[i].v6))
			return false;
	}
	return same_bytes(a->by_country, b->by_country, a->by_country_n * sizeof(*a->by_country)) &&
	       same_bytes(a->rows, b->rows, a->rows_n * sizeof(*a->rows)) &&
	       same_bytes(a->bytes, b->bytes, a->bytes_len);
}

struct answer_pools *answer_pools_ref(struct answer_pools *pools)
{
	if (pools)
		__atomic_add_fetch(&pools->refs, 1, __ATOMIC_RELAXED);
	return pools;
}

void answer_pools_unref(struct answer_pools *pools)
{
	if (!pools || __atomic_sub_fetch(&pools->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free((void *)pools->slots);
	free((void *)pools->sets);
	free((void *)pools->by_country);
	free((void *)pools->rows);
	free((void *)pools->bytes);
	free((void *)pools->mirrors);
	free((void *)pools->addresses);
	free(pools);
}
