/* What is kept on disk: the journal and its files, overrides, saved feeds; whole, damaged and on a full disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/support/folder.h"
#include "tests/unit/support/pool_fixture.h"
#include "tests/unit/support/site_fixture.h"
#include "zones/history.h"
#include "zones/journal.h"
#include "zones/keep.h"

#define T0 1795244400U

/* --- the journal --- */

static struct journal *open_journal(size_t max_bytes, unsigned files_n)
{
	struct journal *journal;
	assert_int_equal(journal_open(folder_name(), max_bytes, files_n, &journal), 0);
	return journal;
}

/* One record for each number from first to last, with a padding of so many bytes. */
static int append(struct journal *journal, unsigned first, unsigned last, size_t padding)
{
	char pad[4096];
	assert_true(padding < sizeof(pad));
	memset(pad, 'x', padding);
	json_t *records = json_array();
	for (unsigned t = first; t <= last; t++)
		json_array_append_new(records, json_pack("{si ss ss#}", "t", (int)t, "type", "base", "pad",
		                                         pad, (int)padding));
	int rc = journal_append(journal, records);
	json_decref(records);
	return rc;
}

struct reading {
	char text[4096];
	size_t len;
	unsigned stop_at; /* 0 = never */
};

static bool note(const json_t *record, void *context)
{
	struct reading *reading = context;
	unsigned t = (unsigned)json_integer_value(json_object_get(record, "t"));
	reading->len += (size_t)snprintf(reading->text + reading->len, sizeof(reading->text) - reading->len,
	                                 "%s%u", reading->len ? " " : "", t);
	return t != reading->stop_at || t == 0;
}

/* The records read from a second on, and how many messages that gave. */
static void expect(uint64_t from_s, const char *want, size_t want_messages_n)
{
	struct reading reading = { .len = 0 };
	struct diag diag;
	diag_init(&diag);
	assert_int_equal(journal_read(folder_name(), from_s, note, &reading, &diag), 0);
	assert_string_equal(reading.text, want);
	assert_int_equal(diag.messages_n, want_messages_n);
	diag_fini(&diag);
}

static void add_bytes(const char *name, const char *bytes, size_t len)
{
	FILE *file = fopen(folder_path(name), "ae");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static off_t size_of(const char *name)
{
	struct stat st;
	return stat(folder_path(name), &st) == 0 ? st.st_size : -1;
}

static void test_append(void **state)
{
	(void)state;
	struct diag diag;
	diag_init(&diag);
	struct reading reading = { .len = 0 };
	assert_int_equal(journal_read(folder_name(), 0, note, &reading, &diag), -ENOENT);
	assert_int_equal(diag.errors_n, 1);
	diag_fini(&diag);

	struct journal *journal = open_journal(1000, 3);
	expect(0, "", 0);
	assert_int_equal(append(journal, 1, 3, 0), 0);
	expect(2, "1 2 3", 0);
	assert_int_equal(append(journal, 4, 3, 0), 0); /* none */
	assert_false(journal_is_full(journal));
	assert_int_equal(append(journal, 4, 4, 1000), 0);
	assert_true(journal_is_full(journal));
	journal_close(journal);
	/* A new start goes on where it was, and knows how much is there. */
	journal = open_journal(1000, 3);
	assert_true(journal_is_full(journal));
	assert_int_equal(append(journal, 5, 5, 0), 0);
	expect(0, "1 2 3 4 5", 0);
	journal_close(journal);
	journal_close(NULL);
}

static void test_rotate(void **state)
{
	(void)state;
	struct journal *journal = open_journal(100, 3);
	for (unsigned file = 0; file < 6; file++) {
		assert_int_equal(append(journal, 10 * file + 10, 10 * file + 12, 30), 0);
		assert_true(journal_is_full(journal));
		assert_int_equal(journal_rotate(journal), 0);
		assert_false(journal_is_full(journal));
	}
	/* Three are kept beside the one being written, which has nothing yet. */
	assert_int_equal(size_of("journal.jsonl"), 0);
	assert_true(size_of("journal.jsonl.3") > 0);
	assert_int_equal(size_of("journal.jsonl.4"), -1);
	expect(UINT64_MAX, "60 61 62", 0);
	assert_int_equal(append(journal, 70, 71, 0), 0);
	/* From the last file that begins at or before the second asked for. */
	expect(71, "70 71", 0);
	expect(70, "70 71", 0);
	expect(69, "60 61 62 70 71", 0);
	expect(60, "60 61 62 70 71", 0);
	expect(59, "50 51 52 60 61 62 70 71", 0);
	expect(41, "40 41 42 50 51 52 60 61 62 70 71", 0);
	expect(0, "40 41 42 50 51 52 60 61 62 70 71", 0);

	struct reading reading = { .stop_at = 51 };
	struct diag diag;
	diag_init(&diag);
	assert_int_equal(journal_read(folder_name(), 0, note, &reading, &diag), 0);
	assert_string_equal(reading.text, "40 41 42 50 51");
	diag_fini(&diag);
	journal_close(journal);
}

static const struct {
	const char *what;
	const char *left; /* behind the last line; NULL = the file is nothing else but what follows */
	const char *only;
} cuts[] = {
	{ "a record cut off", "{\"t\":2,\"pad\":\"xx", NULL },
	{ "one byte", "{", NULL },
	{ "a whole record without its end", "{\"t\":2}", NULL },
	{ "zero bytes of a crash", "\0\0\0\0", NULL },
	{ "nothing but half a line", NULL, "{\"t\":1,\"pa" },
};

static void test_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		unlink(folder_path("journal.jsonl"));
		if (cuts[i].only) {
			add_bytes("journal.jsonl", cuts[i].only, strlen(cuts[i].only));
			expect(0, "", 0); /* not yet whole for who reads meanwhile, and no mistake */
		} else {
			add_bytes("journal.jsonl", "{\"t\":1}\n", 8);
			add_bytes("journal.jsonl", cuts[i].left, cuts[i].left[0] ? strlen(cuts[i].left) : 4);
		}
		struct journal *journal = open_journal(1000, 3);
		assert_int_equal(size_of("journal.jsonl"), cuts[i].only ? 0 : 8);
		assert_int_equal(append(journal, 3, 3, 0), 0);
		expect(0, cuts[i].only ? "3" : "1 3", 0);
		journal_close(journal);
	}
	/* More than a block of it. */
	unlink(folder_path("journal.jsonl"));
	add_bytes("journal.jsonl", "{\"t\":1}\n", 8);
	for (unsigned i = 0; i < 1000; i++)
		add_bytes("journal.jsonl", "0123456789", 10);
	struct journal *journal = open_journal(1000, 3);
	assert_int_equal(size_of("journal.jsonl"), 8);
	journal_close(journal);
}

static void test_garbage(void **state)
{
	(void)state;
	static const char garbage[] =
	        "{\"t\":1}\nno JSON\n\n{\"t\":2\n\xff\xfe\n{\"t\":3}\n{\"t\":\"x\"}\n[]\n{\"t\":4}\n";
	add_bytes("journal.jsonl", garbage, sizeof(garbage) - 1);
	/* Records without a time are records; what to make of them is up to who reads. */
	expect(0, "1 3 0 0 4", 4);
	/* Garbage does not hide the base behind it: the file before is not needed. */
	struct journal *journal = open_journal(1, 3);
	assert_int_equal(journal_rotate(journal), 0);
	add_bytes("journal.jsonl", "garbage\n", 8);
	assert_int_equal(append(journal, 5, 5, 0), 0);
	expect(5, "5", 1);
	expect(4, "1 3 0 0 4 5", 5);
	journal_close(journal);
	/* What is behind a bad record is not read as part of it by a replay. */
	assert_int_equal(unlink(folder_path("journal.jsonl.1")), 0);
	expect(5, "5", 1);
}

/* The disk is full: here, no file may grow past a limit. */
static void limit_files(rlim_t bytes)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk(void **state)
{
	(void)state;
	struct rlimit before;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_IGN);
	struct journal *journal = open_journal(100, 3);
	assert_int_equal(append(journal, 1, 2, 10), 0);
	off_t len = size_of("journal.jsonl");
	limit_files((rlim_t)len + 1000);
	/* Part of it fits: all or nothing. */
	int rc = append(journal, 3, 30, 100);
	off_t after = size_of("journal.jsonl");
	int rc_small = append(journal, 4, 4, 10);
	struct override_set *set = pool_fixture_overrides("m0 down 0 0", T0);
	assert_int_equal(keep_write_overrides(folder_name(), set), 0);
	limit_files(10);
	struct override_set *more = pool_fixture_overrides("m0 down 0 0; m1 down 0 0", T0);
	int rc_keep = keep_write_overrides(folder_name(), more);
	limit_files(before.rlim_cur);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(rc, -EFBIG);
	assert_int_equal(after, len);
	assert_int_equal(rc_small, 0);
	expect(0, "1 2 4", 0);
	journal_close(journal);
	/* The overrides are those of before. */
	assert_int_equal(rc_keep, -EFBIG);
	struct diag diag;
	diag_init(&diag);
	struct override_set *read;
	assert_int_equal(keep_read_overrides(folder_name(), &diag, &read), 0);
	assert_int_equal(diag.messages_n, 0);
	assert_int_equal(read->n, 1);
	override_set_unref(read);
	override_set_unref(more);
	override_set_unref(set);
	diag_fini(&diag);
}

/* Killed between two renames: one number is free, nothing is lost, and the next rotation closes the gap. */
static void test_rotate_killed(void **state)
{
	(void)state;
	for (unsigned gap = 0; gap < 4; gap++) {
		struct journal *journal = open_journal(10, 4);
		for (unsigned t = 1; t <= 4; t++) {
			assert_int_equal(append(journal, t * 10, t * 10, 10), 0);
			if (t < 4)
				assert_int_equal(journal_rotate(journal), 0);
		}
		journal_close(journal);
		for (unsigned number = 4; number > gap; number--) {
			char from[32];
			char to[32];
			snprintf(from, sizeof(from), number > 1 ? "journal.jsonl.%u" : "journal.jsonl",
			         number - 1);
			snprintf(to, sizeof(to), "journal.jsonl.%u", number);
			assert_int_equal(rename(folder_path(from), folder_path(to)), 0);
		}
		expect(0, "10 20 30 40", 0);
		expect(10, "10 20 30 40", 0);
		expect(25, "20 30 40", 0);
		journal = open_journal(10, 4);
		assert_int_equal(append(journal, 50, 50, 10), 0);
		expect(0, "10 20 30 40 50", 0);
		assert_int_equal(journal_rotate(journal), 0);
		assert_int_equal(append(journal, 60, 60, 10), 0);
		expect(0, gap ? "10 20 30 40 50 60" : "20 30 40 50 60", 0);
		journal_close(journal);
		assert_int_equal(folder_teardown(NULL), 0);
		assert_int_equal(folder_setup(NULL), 0);
	}
}

/* No new file can be made: it goes on in the old one. */
static void test_rotate_fails(void **state)
{
	(void)state;
	struct journal *journal = open_journal(10, 3);
	assert_int_equal(append(journal, 1, 2, 10), 0);
	struct rlimit before;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	struct rlimit none = { .rlim_cur = 0, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int rc = journal_rotate(journal);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(rc, -EMFILE);
	assert_int_equal(append(journal, 3, 3, 10), 0);
	expect(0, "1 2 3", 0);
	assert_int_equal(journal_rotate(journal), 0);
	assert_int_equal(append(journal, 4, 4, 10), 0);
	expect(0, "1 2 3 4", 0);
	journal_close(journal);
}

/* --- overrides --- */

static void test_override_set(void **state)
{
	(void)state;
	struct override_set *set = pool_fixture_overrides("m0 up 0 100; m1 down 0 0; m2 drain 50 200", T0);
	assert_int_equal(set->n, 3);
	struct override add = { .pool = "test",
		                .host = "m1",
		                .action = OVERRIDE_UP,
		                .from_s = T0,
		                .author = "bob",
		                .reason = "other" };
	/* Instead of that of the same mirror; the old set stays as it was. */
	struct override_set *changed;
	assert_int_equal(override_set_change(set, "test", "m1", &add, T0 + 99, &changed), 0);
	assert_int_equal(changed->n, 3);
	assert_int_equal(override_set_find(changed, "test", "m1")->action, OVERRIDE_UP);
	assert_string_equal(override_set_find(changed, "test", "m1")->author, "bob");
	assert_int_equal(override_set_find(set, "test", "m1")->action, OVERRIDE_DOWN);
	assert_null(override_set_find(changed, "other", "m1"));
	assert_null(override_set_find(NULL, "test", "m1"));
	override_set_unref(changed);
	/* Those that have ended are gone, those to come are not. */
	assert_int_equal(override_set_change(set, "test", "m1", NULL, T0 + 100, &changed), 0);
	assert_int_equal(changed->n, 1);
	assert_non_null(override_set_find(changed, "test", "m2"));
	override_set_unref(changed);
	/* The same host in another pool is another mirror. */
	add.pool = "other";
	assert_int_equal(override_set_change(set, "other", "m1", &add, T0, &changed), 0);
	assert_int_equal(changed->n, 4);
	override_set_unref(changed);
	assert_int_equal(override_set_change(NULL, "test", "m1", NULL, T0, &changed), 0);
	assert_int_equal(changed->n, 0);
	override_set_unref(changed);
	override_set_unref(override_set_ref(NULL));
	for (int i = 0; i < OVERRIDE_ACTION_N; i++) {
		const char *text = override_action_text((enum override_action)i);
		assert_int_equal(override_action_from_text(text), i);
	}
	assert_int_equal(override_action_from_text("auto"), OVERRIDE_ACTION_N);
	override_set_unref(set);
}

static void test_overrides_kept(void **state)
{
	(void)state;
	struct diag diag;
	diag_init(&diag);
	struct override_set *read;
	assert_int_equal(keep_read_overrides(folder_name(), &diag, &read), 0); /* there is no file */
	assert_int_equal(read->n, 0);
	assert_int_equal(diag.messages_n, 0);
	override_set_unref(read);

	struct override_set *set = pool_fixture_overrides("m0 up 0 100; m1 down -7 0; m2 drain 50 200", T0);
	assert_int_equal(keep_write_overrides(folder_name(), set), 0);
	assert_int_equal(keep_read_overrides(folder_name(), &diag, &read), 0);
	assert_int_equal(diag.messages_n, 0);
	assert_int_equal(read->n, set->n);
	for (size_t i = 0; i < set->n; i++) {
		const struct override *a = &set->items[i];
		const struct override *b = &read->items[i];
		assert_string_equal(a->pool, b->pool);
		assert_string_equal(a->host, b->host);
		assert_string_equal(a->author, b->author);
		assert_string_equal(a->reason, b->reason);
		assert_int_equal(a->action, b->action);
		assert_int_equal(a->set_s, b->set_s);
		assert_int_equal(a->from_s, b->from_s);
		assert_int_equal(a->until_s, b->until_s);
	}
	override_set_unref(read);
	override_set_unref(set);
	diag_fini(&diag);
}

#define GOOD "{\"pool\":\"test\",\"mirror\":\"m0\",\"action\":\"down\",\"author\":\"ann\",\"reason\":\"r\"}"

static const struct {
	const char *text;
	size_t want_n;
	const char *message; /* NULL = none */
} kept[] = {
	{ "{\"format\":1,\"overrides\":[]}", 0, NULL },
	{ "{\"format\":1,\"overrides\":[" GOOD "]}", 1, NULL },
	{ "{\"format\":1,\"overrides\":[" GOOD "," GOOD "]}", 1, NULL },
	{ "{\"format\":1,\"overrides\":[7," GOOD "]}", 1, "entry 1 is not understood" },
	{ "{\"format\":1,\"overrides\":[{\"pool\":\"test\",\"mirror\":\"m0\",\"action\":\"out\",\"author\":"
	  "\"a\","
	  "\"reason\":\"r\"}]}",
	  0, "entry 1 is not understood" },
	{ "{\"format\":1,\"overrides\":[{\"pool\":\"test\",\"mirror\":\"m0\",\"action\":\"up\",\"author\":"
	  "\"a\","
	  "\"reason\":\"r\",\"until\":\"soon\"}]}",
	  0, "entry 1 is not understood" },
	{ "{\"format\":2,\"overrides\":[" GOOD "]}", 0, "wrong format" },
	{ "{\"format\":1}", 0, "wrong format" },
	{ "{\"format\":1,\"overrides\":[" GOOD, 0, "no overrides" },
	{ "", 0, "no overrides" },
};

static void test_overrides_damaged(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		struct diag diag;
		diag_init(&diag);
		folder_put("overrides.json", kept[i].text);
		struct override_set *read;
		assert_int_equal(keep_read_overrides(folder_name(), &diag, &read), 0);
		if (read->n != kept[i].want_n || diag.messages_n != (kept[i].message ? 1 : 0) ||
		    (kept[i].message && !strstr(diag.messages[0].text, kept[i].message)))
			fail_msg("%s: %zu, %s", kept[i].text, read->n,
			         diag.messages_n ? diag.messages[0].text : "nothing told");
		override_set_unref(read);
		diag_fini(&diag);
	}
}

/* --- saved feeds --- */

static void test_feed_kept(void **state)
{
	(void)state;
	static const char json[] =
	        "{ \"format\": 1, \"serial\": 7, \"pool\": \"test\", \"excluded\": [ { \"mirror\": "
	        "\"m0\", \"reason\": \"old\", \"detail\": \"\u00e4\" } ] }";
	static const char plain[] = "# by hand\nserial 8\nm0 late\n192.0.2.1 old\n";
	struct pool_fixture fixture;
	pool_fixture_init(&fixture,
	                  "mirrors = ( { host = \"m0\"; country = \"DE\"; addresses = \"192.0.2.1\"; } );",
	                  "regions = ();");
	struct diag diag;
	struct feed *read;
	diag_init(&diag);
	assert_int_equal(keep_read_feed(folder_name(), fixture.pool, T0, &diag, &read), 0);
	assert_null(read);
	assert_int_equal(diag.messages_n, 0);
	const char *const texts[] = { json, plain };
	for (size_t i = 0; i < 2; i++) {
		struct feed *feed = pool_fixture_feed(texts[i], T0);
		assert_int_equal(keep_write_feed(folder_name(), "test", feed), 0);
		assert_int_equal(keep_read_feed(folder_name(), fixture.pool, T0, &diag, &read), 0);
		assert_non_null(read);
		assert_int_equal(diag.messages_n, 0);
		assert_int_equal(read->text_len, strlen(texts[i]));
		assert_memory_equal(read->text, texts[i], read->text_len);
		assert_int_equal(read->serial, feed->serial);
		assert_int_equal(read->exclusions_n, feed->exclusions_n);
		feed_unref(read);
		feed_unref(feed);
	}
	static const char *const damaged[] = { "", "{ \"format\": 1, \"serial\": 7", "m0 late",
		                               "{ \"format\": 1, \"serial\": 7, \"pool\": \"other\" }" };
	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		diag_fini(&diag);
		diag_init(&diag);
		folder_put("feed-test.saved", damaged[i]);
		assert_int_equal(keep_read_feed(folder_name(), fixture.pool, T0, &diag, &read), 0);
		assert_null(read);
		assert_int_equal(diag.messages_n, 1);
		assert_int_equal(diag.errors_n, 0); /* a start goes on without it */
		assert_non_null(strstr(diag.messages[0].text, "feed-test.saved"));
	}
	diag_fini(&diag);
	pool_fixture_fini(&fixture);
}

/* --- the way back --- */

/* A monitor that counts in microseconds is refused; a date that only seconds can say must not spoil the
 * journal. */
static void test_strange_times(void **state)
{
	(void)state;
	static const struct {
		const char *since;
		bool is_refused;
	} times[] = { { "1795244400000000", true },    { "1000000000000", true },
		      { "9000000000000000000", true }, { "999999999999", false },
		      { "253402300800", false },       { "253402300799", false },
		      { "\"999999999998\"", false } };
	struct site_fixture site;
	site_init(&site,
	          "mirrors = ( { host = \"m0\"; country = \"DE\"; addresses = \"192.0.2.1\"; },"
	          " { host = \"m1\"; country = \"DE\"; addresses = \"192.0.2.2\"; } );",
	          "regions = ();", "max-removal = 100;", T0);
	struct journal *journal;
	assert_int_equal(journal_open(site.state_dir, 1 << 20, 3, &journal), 0);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		char text[512];
		snprintf(text, sizeof(text),
		         "{ \"format\": 1, \"serial\": %zu, \"excluded\": [ { \"mirror\": \"m%zu\", "
		         "\"reason\": \"old\", "
		         "\"since\": %s } ] }",
		         i + 1, i % 2, times[i].since);
		site_write_feed(&site, text);
		site_read(&site, T0 + i);
		assert_int_equal(site_has_told(&site, "\"since\" is no time"), times[i].is_refused);
		assert_int_equal(zones_note_base(site.zones, "test", T0 + i), 0);
		json_t *news = zones_take_news(site.zones);
		assert_int_equal(journal_append(journal, news), 0);
		json_decref(news);
		struct pool_state past;
		struct diag diag;
		diag_init(&diag);
		assert_int_equal(history_replay(site.state_dir, site.zones, T0 + i, &diag, &past), 0);
		for (size_t k = 0; k < 2; k++)
			assert_true(mirror_state_equal(&site.zones->pools[0]->mirrors[k], &past.mirrors[k],
			                               &site.zones->feeds[0].state.mirrors[k]));
		pool_state_fini(&past);
		diag_fini(&diag);
	}
	journal_close(journal);
	site_fini(&site);
}

/* A record that somebody has edited is told, not guessed at. */
static void test_strange_state(void **state)
{
	(void)state;
	struct site_fixture site;
	site_init(&site, "mirrors = ( { host = \"m0\"; country = \"DE\"; addresses = \"192.0.2.1\"; } );",
	          "regions = ();", "", T0);
	site_write_file(site.state_dir, "journal.jsonl",
	                "{\"t\":1,\"type\":\"base\",\"pool\":\"test\",\"mirrors\":1,\"states\":{}}\n"
	                "{\"t\":2,\"type\":\"mirror\",\"pool\":\"test\",\"mirror\":\"m0\",\"state\":{"
	                "\"reason\":\"old\"}}\n"
	                "{\"t\":3,\"type\":\"mirror\",\"pool\":\"gone\",\"mirror\":\"m0\",\"state\":{}}\n"
	                "{\"t\":4,\"type\":\"mirror\",\"pool\":\"test\",\"mirror\":\"gone\",\"state\":{}}\n"
	                "{\"t\":5,\"type\":\"mirror\",\"pool\":\"test\",\"mirror\":\"m0\",\"state\":{\"out-"
	                "at\":\"soon\"}}\n"
	                "{\"t\":6,\"type\":\"mirror\",\"pool\":\"test\",\"mirror\":\"m0\",\"state\":[]}\n");
	static const struct {
		uint64_t at_s;
		int rc;
		enum reason reason;
		size_t messages_n;
	} moments[] = { { 0, -ENOENT, REASON_NONE, 1 }, { 1, 0, REASON_NONE, 0 }, { 3, 0, REASON_OLD, 0 },
		        { 4, 0, REASON_OLD, 1 },        { 5, 0, REASON_NONE, 1 }, /* a time that is none says
		                                                                     nothing */
		        { 6, -EINVAL, REASON_NONE, 2 } };
	for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
		struct pool_state past;
		struct diag diag;
		diag_init(&diag);
		assert_int_equal(history_replay(site.state_dir, site.zones, moments[i].at_s, &diag, &past),
		                 moments[i].rc);
		assert_int_equal(diag.messages_n, moments[i].messages_n);
		if (moments[i].rc == 0) {
			assert_int_equal(past.mirrors[0].reason, moments[i].reason);
			pool_state_fini(&past);
		}
		diag_fini(&diag);
	}
	site_fini(&site);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_append),
		TEST(test_rotate),
		TEST(test_cut),
		TEST(test_garbage),
		TEST(test_full_disk),
		TEST(test_rotate_fails),
		TEST(test_rotate_killed),
		TEST(test_override_set),
		TEST(test_overrides_kept),
		TEST(test_overrides_damaged),
		TEST(test_feed_kept),
		TEST(test_strange_times),
		TEST(test_strange_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
