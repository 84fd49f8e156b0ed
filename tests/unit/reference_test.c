/*
 * answer_query() against the plain composer in support/reference.c: random zones and the repository's own,
 * random questions, always the same ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/store_build.h"
#include "tests/unit/support/reference_check.h"
#include "tests/unit/support/reference_zone.h"

/* A sanitizer makes it twenty times as slow. */
#if defined(__SANITIZE_ADDRESS__)
#define ZONE_SETS        80
#define QUESTIONS_A_FILE 300
#else
#define ZONE_SETS        1000
#define QUESTIONS_A_FILE 4000
#endif
#define QUESTIONS_A_SET 50

static struct answer_state state;

static bool ask_many(struct chooser *chooser, const struct reference *reference,
                     const struct answer_store *store, unsigned questions_n)
{
	static const uint16_t sizes[] = { 0, 512, 700, 1232, 4096 };
	struct answer_data data = { .store = store, .edns_size = chooser_next(chooser, 4) ? 1232 : 4096 };
	for (unsigned i = 0; i < questions_n; i++) {
		ldns_rdf *name = reference_choose_name(chooser, reference);
		uint16_t type = reference_choose_type(chooser);
		uint16_t size = sizes[chooser_next(chooser, 5)];
		char *wrong = reference_check(reference, &data, &state, name, type, size);
		ldns_rdf_deep_free(name);
		if (wrong) {
			fprintf(stderr, "%s", wrong); /* print_message() cuts */
			free(wrong);
			return false;
		}
	}
	return true;
}

static void test_random(void **unused)
{
	(void)unused;
	struct chooser chooser = { .state = 20261121 };
	unsigned asked_n = 0;
	unsigned wrong_n = 0;
	for (unsigned i = 0; i < ZONE_SETS; i++) {
		struct reference_zones zones;
		reference_zones_make(&chooser, &zones);
		struct answer_store *store = reference_store(zones.zones, zones.zones_n);
		struct reference *reference = store ? reference_create(zones.zones, zones.zones_n) : NULL;
		if (store) {
			assert_non_null(reference);
			asked_n++;
			if (!ask_many(&chooser, reference, store, QUESTIONS_A_SET)) {
				wrong_n++;
				for (size_t k = 0; k < zones.zones_n; k++)
					fprintf(stderr, "--- zone %s ---\n%s\n", zones.zones[k].name,
					        zones.texts[k]);
			}
		}
		reference_destroy(reference);
		answer_store_unref(store);
		reference_zones_fini(&zones);
		if (wrong_n >= 3)
			break;
	}
	assert_int_equal(wrong_n, 0);
	/* Few are refused, by rules that the maker does not know. */
	assert_true(asked_n > ZONE_SETS * 9 / 10);
}

static void check_zones(const struct reference_zone *zones, size_t zones_n)
{
	struct chooser chooser = { .state = 20261121 };
	struct answer_store *store = reference_store(zones, zones_n);
	struct reference *reference = reference_create(zones, zones_n);
	assert_non_null(store);
	assert_non_null(reference);
	assert_true(ask_many(&chooser, reference, store, QUESTIONS_A_FILE));
	reference_destroy(reference);
	answer_store_unref(store);
}

static void test_example(void **unused)
{
	(void)unused;
	static char text[65536];
	FILE *file = fopen("contrib/clamav.net/clamav.net.zone", "re");
	assert_non_null(file);
	size_t len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	assert_true(len > 100);
	const struct reference_zone zone = { "clamav.net.", text };
	check_zones(&zone, 1);
}

static void test_usual(void **unused)
{
	(void)unused;
	const struct reference_zone zones[] = {
		{ "example.net.", "$TTL 3600\n"
		                  "@ SOA ns1 hostmaster 7 3600 600 86400 60\n"
		                  "@ NS ns1\n"
		                  "@ NS ns.sub\n"
		                  "ns1 A 192.0.2.53\n"
		                  "@ MX 10 mail\n"
		                  "mail A 192.0.2.25\n"
		                  "www CNAME web\n"
		                  "web A 192.0.2.80\n"
		                  "loop1 CNAME loop2\n"
		                  "loop2 CNAME loop1\n"
		                  "a.b.deep A 192.0.2.7\n"
		                  "*.wild MX 5 mail.wild\n"
		                  "*.cwild CNAME q.wild\n"
		                  "*.x CNAME one.y\n"
		                  "*.y CNAME two.x\n"
		                  "sub NS ns.sub\n"
		                  "ns.sub A 192.0.2.54\n"
		                  "child NS ns.child\n"
		                  "child DS 12345 13 2 "
		                  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
		                  "ns.child A 192.0.2.55\n"
		                  "old DNAME new\n"
		                  "www.new A 192.0.2.81\n"
		                  "there DNAME back\n"
		                  "back DNAME there\n"
		                  "grow DNAME a-longer-label.grow2\n"
		                  "grow2 DNAME an-even-longer-label.grow\n"
		                  "odd TYPE65400 \\# 3 010203\n" },
		{ "child.example.net.", "@ 300 SOA ns hostmaster 1 3600 600 86400 30\n"
		                        "@ 300 NS ns\n"
		                        "ns 300 A 192.0.2.55\n" },
	};
	check_zones(zones, 2);
}

/* A grandparent that delegates past the zone between says nothing of DS: it is not the parent. */
static void test_grandparent(void **unused)
{
	(void)unused;
	const struct reference_zone zones[] = {
		{ "test.", "@ 300 SOA ns h 1 3600 600 86400 30\n@ 300 NS ns.b\na.b 300 NS ns.invalid.\n"
		           "a.b 300 DS 12345 13 2 "
		           "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n" },
		{ "b.test.", "@ 300 SOA ns h 2 3600 600 86400 30\n@ 300 NS ns\nns 300 A 192.0.2.1\n" },
		{ "a.b.test.", "@ 300 SOA ns h 3 3600 600 86400 30\n@ 300 NS ns\nns 300 A 192.0.2.2\n" },
	};
	check_zones(zones, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usual),
		cmocka_unit_test(test_grandparent),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
