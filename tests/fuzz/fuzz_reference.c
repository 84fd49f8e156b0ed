/*
 * The input chooses zones and questions; answer_query() and the reference composer must answer alike.
 */
#include <stdio.h>
#include <stdlib.h>

#include "answer/store_build.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/support/reference_check.h"
#include "tests/unit/support/reference_zone.h"

#define QUESTIONS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct answer_state state;
	static const uint16_t sizes[] = { 0, 512, 700, 1232, 4096 };
	struct chooser chooser = { .data = data, .left = size };
	struct reference_zones zones;
	reference_zones_make(&chooser, &zones);
	struct reference *reference = reference_create(zones.zones, zones.zones_n);
	struct answer_store *store = reference_store(zones.zones, zones.zones_n);
	struct answer_data answer_data = { .store = store, .edns_size = 1232 };
	for (unsigned i = 0; i < QUESTIONS_MAX && chooser.left && reference && store; i++) {
		ldns_rdf *name = reference_choose_name(&chooser, reference);
		uint16_t type = reference_choose_type(&chooser);
		char *wrong = reference_check(reference, &answer_data, &state, name, type,
		                              sizes[chooser_next(&chooser, 5)]);
		if (wrong) {
			fprintf(stderr, "%s", wrong);
			for (size_t k = 0; k < zones.zones_n; k++)
				fprintf(stderr, "--- zone %s ---\n%s", zones.zones[k].name, zones.texts[k]);
			abort();
		}
		ldns_rdf_deep_free(name);
	}
	answer_store_unref(store);
	reference_destroy(reference);
	reference_zones_fini(&zones);
	return 0;
}
