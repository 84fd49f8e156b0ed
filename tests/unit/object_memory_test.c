/* Memory runs out while JSON becomes text: what is written or sent is then whole, or not there at all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/object.h"
#include "server/channel.h"
#include "tests/unit/failing/failing.h"
#include "zones/journal.h"
#include "zones/keep.h"

/* Keys come to stand at each offset, those where a buffer has to grow among them. */
#define LENGTHS_N 40

static char dir[] = "/tmp/object_memory_test.XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	char command[64];
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) == 0 ? 0 : -1;
}

static const char *text_of_length(size_t len, char text[LENGTHS_N + 1])
{
	memset(text, 'x', len);
	text[len] = '\0';
	return text;
}

static json_t *make_object(size_t len)
{
	char text[LENGTHS_N + 1];
	return json_pack("{sssis{sb}}", "say", text_of_length(len, text), "number", 1, "inner", "true", 1);
}

static void test_dump(void **state)
{
	(void)state;
	unsigned failed_n = 0;
	for (size_t len = 0; len < LENGTHS_N; len++) {
		json_t *object = make_object(len);
		char *want = json_dumps(object, JSON_COMPACT);
		bool done = false;
		for (uint64_t nth = 1; !done; nth++) {
			size_t text_len;
			failing_start(nth);
			char *text = object_dump(object, JSON_COMPACT, "\n", &text_len);
			done = failing_stop() < nth;
			assert_true(text || !done);
			failed_n += text == NULL;
			if (!text)
				continue;
			assert_int_equal(text_len, strlen(want) + 1);
			assert_memory_equal(text, want, text_len - 1);
			assert_string_equal(text + text_len - 1, "\n");
			free(text);
		}
		free(want);
		json_decref(object);
	}
	assert_true(failed_n >= 2 * LENGTHS_N);
	size_t len;
	assert_null(object_dump(NULL, JSON_COMPACT, "", &len));
}

static void read_back(const char *name, char **ret_text)
{
	char path[64];
	size_t len;
	const char *why;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_read(path, 1 << 20, ret_text, &len, &why), 0);
}

/* An override that loses a key is none after a restart. */
static void test_keep_overrides(void **state)
{
	(void)state;
	for (size_t len = 1; len < LENGTHS_N; len++) {
		char reason[LENGTHS_N + 1];
		struct override override = { .pool = "one",
			                     .host = "m1.de.example",
			                     .action = OVERRIDE_DOWN,
			                     .set_s = 1795000000,
			                     .from_s = 1795000000,
			                     .until_s = 1795003600,
			                     .author = "me",
			                     .reason = text_of_length(len, reason) };
		struct override_set *set;
		char *want;
		assert_int_equal(
		        override_set_change(NULL, "one", override.host, &override, override.set_s, &set), 0);
		assert_int_equal(keep_write_overrides(dir, set), 0);
		read_back("overrides.json", &want);
		bool done = false;
		for (uint64_t nth = 1; !done; nth++) {
			char *text;
			failing_start(nth);
			int rc = keep_write_overrides(dir, set);
			done = failing_stop() < nth;
			assert_int_equal(rc, done ? 0 : -ENOMEM);
			read_back("overrides.json", &text);
			assert_string_equal(text, want);
			free(text);
		}
		free(want);
		override_set_unref(set);
	}
}

static void test_journal(void **state)
{
	(void)state;
	struct journal *journal;
	char *text;
	size_t whole_n = 0;
	assert_int_equal(journal_open(dir, 1 << 20, 2, &journal), 0);
	for (size_t len = 0; len < LENGTHS_N; len++) {
		json_t *records = json_pack("[oo]", make_object(len), make_object(len));
		bool done = false;
		for (uint64_t nth = 1; !done; nth++) {
			failing_start(nth);
			int rc = journal_append(journal, records);
			done = failing_stop() < nth;
			assert_int_equal(rc, done ? 0 : -ENOMEM);
		}
		whole_n += 2;
		json_decref(records);
	}
	journal_close(journal);
	read_back("journal.jsonl", &text);
	size_t lines_n = 0;
	for (const char *at = text; *at; at = strchr(at, '\n') + 1)
		lines_n++;
	assert_int_equal(lines_n, whole_n);
	free(text);
}

static void test_channel(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	struct channel *from = channel_create(fds[0]);
	struct channel *to = channel_create(fds[1]);
	for (size_t len = 0; len < LENGTHS_N; len++) {
		json_t *want = make_object(len);
		bool done = false;
		for (uint64_t nth = 1; !done; nth++) {
			struct channel_message message;
			json_t *body = make_object(len);
			failing_start(nth);
			int rc = channel_send(from, body, NULL, 0);
			done = failing_stop() < nth;
			assert_int_equal(rc, done ? 0 : -ENOMEM);
			if (rc < 0)
				continue;
			assert_int_equal(channel_receive(to, &message), 0);
			assert_true(json_equal(message.body, want));
			channel_message_fini(&message);
		}
		json_decref(want);
	}
	channel_destroy(from);
	channel_destroy(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_keep_overrides),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_channel),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
