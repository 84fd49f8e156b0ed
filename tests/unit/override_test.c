/* Sets of overrides on their way to disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "zones/pool/override.h"

/* One that can't be written must not go missing without a word: it has been confirmed. */
static void test_all_or_none(void **state)
{
	(void)state;
	struct override override = {
		.pool = "p", .host = "m1", .action = OVERRIDE_DOWN, .author = "me", .reason = "disk"
	};
	struct override_set *one;
	struct override_set *two;
	assert_int_equal(override_set_change(NULL, "p", "m1", &override, 1, &one), 0);
	json_t *json = override_set_to_json(one);
	assert_int_equal(json_array_size(json_object_get(json, "overrides")), 1);
	json_decref(json);
	override.host = "m2";
	override.author = "\xfcwe";
	assert_int_equal(override_set_change(one, "p", "m2", &override, 1, &two), 0);
	assert_null(override_set_to_json(two));
	override_set_unref(one);
	override_set_unref(two);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_all_or_none) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
