/* The journal on disk: what is left of it after a crash or a full disk, and what can be read then. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/support/folder.h"
#include "zones/journal.h"

static void append(struct journal *journal, uint64_t t, const char *type)
{
	json_t *records = json_pack("[{sIss}]", "t", (json_int_t)t, "type", type);
	assert_int_equal(journal_append(journal, records), 0);
	json_decref(records);
}

static bool note(const json_t *record, void *context)
{
	char *text = context;
	size_t used = strlen(text);
	snprintf(text + used, 200 - used, "%s%s%lld", used ? " " : "",
	         json_string_value(json_object_get(record, "type")),
	         (long long)json_integer_value(json_object_get(record, "t")));
	return true;
}

/* The records that a look back to a moment reads, as "type t" without a space. */
static const char *records_from(uint64_t from_s, char text[200])
{
	struct diag diag;
	diag_init(&diag);
	text[0] = '\0';
	int rc = journal_read(folder_name(), from_s, note, text, &diag);
	if (rc < 0)
		snprintf(text, 200, "%s", strerror(-rc));
	diag_fini(&diag);
	return text;
}

static void write_two_files(struct journal **ret_journal)
{
	assert_int_equal(journal_open(folder_name(), 4096, 3, ret_journal), 0);
	append(*ret_journal, 10, "base");
	append(*ret_journal, 20, "mirror");
	assert_int_equal(journal_rotate(*ret_journal), 0);
	append(*ret_journal, 30, "base");
	append(*ret_journal, 40, "mirror");
}

static void test_rotated(void **state)
{
	(void)state;
	struct journal *journal;
	char text[200];
	write_two_files(&journal);
	journal_close(journal);
	assert_string_equal(records_from(50, text), "base30 mirror40");
	assert_string_equal(records_from(30, text), "base30 mirror40");
	assert_string_equal(records_from(29, text), "base10 mirror20 base30 mirror40");
	assert_string_equal(records_from(5, text), "base10 mirror20 base30 mirror40");
}

/* A crash after the file was set aside and before there is a new one. */
static void test_set_aside(void **state)
{
	(void)state;
	struct journal *journal;
	char text[200];
	write_two_files(&journal);
	journal_close(journal);
	/* Out of the way. */
	assert_int_equal(rename(folder_path("journal.jsonl"), folder_path("journal.jsonl.2")), 0);
	assert_string_equal(records_from(50, text), "base10 mirror20");
}

/* A crash between two of the renames of a rotation: a number is missing. */
static void test_number_missing(void **state)
{
	(void)state;
	struct journal *journal;
	char text[200];
	write_two_files(&journal);
	assert_int_equal(rename(folder_path("journal.jsonl.1"), folder_path("journal.jsonl.2")), 0);
	assert_string_equal(records_from(50, text), "base30 mirror40");
	assert_string_equal(records_from(20, text), "base10 mirror20 base30 mirror40");
	assert_int_equal(journal_rotate(journal), 0);
	append(journal, 50, "base");
	journal_close(journal);
	assert_string_equal(records_from(20, text), "base10 mirror20 base30 mirror40 base50");
}

/* The base of a new file could not be written: the one before has it. */
static void test_base_lost(void **state)
{
	(void)state;
	struct journal *journal;
	char text[200];
	write_two_files(&journal);
	assert_int_equal(journal_rotate(journal), 0);
	append(journal, 50, "mirror");
	append(journal, 60, "base");
	journal_close(journal);
	assert_string_equal(records_from(55, text), "base30 mirror40 mirror50 base60");
	assert_string_equal(records_from(60, text), "mirror50 base60");
}

/* Half a line of a crash is taken away, and what follows is read. */
static void test_half_line(void **state)
{
	(void)state;
	struct journal *journal;
	char text[200];
	write_two_files(&journal);
	journal_close(journal);
	FILE *file = fopen(folder_path("journal.jsonl"), "a");
	assert_non_null(file);
	fputs("{\"t\":45,\"type\":\"mir", file);
	fclose(file);
	assert_string_equal(records_from(50, text), "base30 mirror40");
	assert_int_equal(journal_open(folder_name(), 4096, 3, &journal), 0);
	append(journal, 50, "base");
	journal_close(journal);
	assert_string_equal(records_from(50, text), "base30 mirror40 base50");
}

static void test_none(void **state)
{
	(void)state;
	char text[200];
	assert_string_equal(records_from(50, text), strerror(ENOENT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rotated, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_set_aside, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_number_missing, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_base_lost, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_half_line, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_none, folder_setup, folder_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
