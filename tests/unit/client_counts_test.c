/* Connections counted by client: against a plain list, through thousands of random steps. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/client_counts.h"

#define CLIENTS_N     200
#define CONNECTIONS_N 500
#define STEPS_N       200000

static struct sockaddr_storage peer_of(const char *text)
{
	struct sockaddr_storage peer = { 0 };
	if (strchr(text, ':')) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&peer;
		in6->sin6_family = AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
		in6->sin6_port = htons((uint16_t)rand());
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)&peer;
		in->sin_family = AF_INET;
		assert_int_equal(inet_pton(AF_INET, text, &in->sin_addr), 1);
		in->sin_port = htons((uint16_t)rand());
	}
	return peer;
}

static uint32_t get(const struct client_counts *counts, const char *text)
{
	struct sockaddr_storage peer = peer_of(text);
	return client_counts_get(counts, (struct sockaddr *)&peer);
}

static void add(struct client_counts *counts, const char *text)
{
	struct sockaddr_storage peer = peer_of(text);
	client_counts_add(counts, (struct sockaddr *)&peer);
}

static void test_prefixes(void **state)
{
	(void)state;
	struct client_counts *counts = client_counts_create(10);
	add(counts, "192.0.2.1");
	add(counts, "192.0.2.1");
	add(counts, "2001:db8:1:2::1");
	add(counts, "2001:db8:1:2:ffff::7");
	add(counts, "2001:db8:1:3::1");
	assert_int_equal(get(counts, "192.0.2.1"), 2);
	assert_int_equal(get(counts, "192.0.2.2"), 0);
	assert_int_equal(get(counts, "2001:db8:1:2::99"), 2);
	assert_int_equal(get(counts, "2001:db8:1:3::99"), 1);
	/* The same bits in the other family. */
	assert_int_equal(get(counts, "c000:201::"), 0);
	/* IPv4 in IPv6 form, as a front end on both families may name its clients. */
	assert_int_equal(get(counts, "::ffff:192.0.2.1"), 2);
	add(counts, "::ffff:192.0.2.3");
	assert_int_equal(get(counts, "192.0.2.3"), 1);
	assert_int_equal(get(counts, "::ffff:192.0.2.4"), 0);
	assert_int_equal(get(counts, "::ffff:192.0.2.3"), 1);
	client_counts_destroy(counts);
}

static void test_random(void **state)
{
	(void)state;
	static unsigned model[CLIENTS_N];
	char text[64];
	unsigned open_n = 0;
	struct client_counts *counts = client_counts_create(CONNECTIONS_N);
	srand(7);
	for (unsigned step = 0; step < STEPS_N; step++) {
		unsigned client = (unsigned)rand() % CLIENTS_N;
		snprintf(text, sizeof(text), client % 2 ? "10.0.0.%u" : "2001:db8:0:%x::1", client);
		struct sockaddr_storage peer = peer_of(text);
		/* Now and then nearly full, now and then nearly empty. */
		bool more = (unsigned)rand() % 100 < (step / 2000 % 2 ? 80U : 20U);
		if (more && open_n < CONNECTIONS_N) {
			client_counts_add(counts, (struct sockaddr *)&peer);
			model[client]++;
			open_n++;
		} else if (!more && model[client]) {
			client_counts_remove(counts, (struct sockaddr *)&peer);
			model[client]--;
			open_n--;
		}
		assert_int_equal(client_counts_get(counts, (struct sockaddr *)&peer), model[client]);
	}
	for (unsigned client = 0; client < CLIENTS_N; client++) {
		snprintf(text, sizeof(text), client % 2 ? "10.0.0.%u" : "2001:db8:0:%x::1", client);
		assert_int_equal(get(counts, text), model[client]);
	}
	client_counts_destroy(counts);
}

/* Every connection a client of its own: the table is as full as it gets. */
static void test_full(void **state)
{
	(void)state;
	char text[64];
	struct client_counts *counts = client_counts_create(CONNECTIONS_N);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < CONNECTIONS_N; i++) {
			snprintf(text, sizeof(text), "10.1.%u.%u", i / 256, i % 256);
			add(counts, text);
		}
		for (unsigned i = 0; i < CONNECTIONS_N; i++) {
			snprintf(text, sizeof(text), "10.1.%u.%u", i / 256, i % 256);
			assert_int_equal(get(counts, text), 1);
			struct sockaddr_storage peer = peer_of(text);
			client_counts_remove(counts, (struct sockaddr *)&peer);
			assert_int_equal(get(counts, text), 0);
		}
	}
	client_counts_destroy(counts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
