/* CVD headers, and the version record made of a directory of them. */
#include <errno.h>
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

#include "zones/version.h"

#define MD5  "0123456789abcdef0123456789abcdef"
#define GOOD "ClamAV-VDB:22 Jun 2021 21-34 -0400:27500:4000000:90:" MD5 ":signature:builder:1624412040"

static void pad(const char *text, uint8_t header[CVD_HEADER_LEN])
{
	memset(header, ' ', CVD_HEADER_LEN);
	memcpy(header, text, strlen(text));
}

static const struct {
	const char *text;
	const char *why; /* part of the reason; NULL = fine */
} headers[] = {
	{ GOOD, NULL },
	{ "ClamAV-VDB:22 Jun 2003 21-34 -0400:12:300:1:" MD5 ":s:builder",
	  NULL }, /* the oldest have eight fields */
	{ GOOD "\n", NULL },
	{ "ClamAV-VDX:22 Jun 2021 21-34 -0400:27500:4000000:90:" MD5 ":s:b:1", "does not begin" },
	{ "<html><body>404</body></html>", "does not begin" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400:27500:4000000", "fewer than eight" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400:x:4000000:90:" MD5 ":s:b:1", "no number" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400::4000000:90:" MD5 ":s:b:1", "no number" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400:-1:4000000:90:" MD5 ":s:b:1", "no number" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400:0:4000000:90:" MD5 ":s:b:1", "no number" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400:99999999999:4000000:90:" MD5 ":s:b:1", "no number" },
	{ "ClamAV-VDB:22 Jun 2021 21-34 -0400:1:4:90:" MD5 ":s\x01:b:1", "not text" },
};

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		uint8_t bytes[CVD_HEADER_LEN];
		pad(headers[i].text, bytes);
		struct cvd_header header;
		const char *why = NULL;
		int rc = cvd_header_parse(bytes, sizeof(bytes), &header, &why);
		if (headers[i].why ? rc == 0 || !strstr(why, headers[i].why) : rc != 0)
			fail_msg("%s: %d %s", headers[i].text, rc, why ? why : "");
	}
	uint8_t bytes[CVD_HEADER_LEN];
	pad(GOOD, bytes);
	struct cvd_header header;
	const char *why;
	assert_int_equal(cvd_header_parse(bytes, CVD_HEADER_LEN - 1, &header, &why), -EINVAL);
	assert_int_equal(cvd_header_parse(bytes, CVD_HEADER_LEN, &header, &why), 0);
	assert_int_equal(header.version, 27500);
	assert_int_equal(header.signatures_n, 4000000);
	assert_int_equal(header.flevel, 90);
	assert_int_equal(header.built_s, 1624412040);
}

struct directory {
	char path[64];
	struct conf_version conf;
};

static int setup(void **state)
{
	struct directory *dir = calloc(1, sizeof(*dir));
	assert_non_null(dir);
	strcpy(dir->path, "/tmp/dnsd-version-XXXXXX");
	assert_non_null(mkdtemp(dir->path));
	dir->conf = (struct conf_version){ .directory = dir->path,
		                           .main = 62,
		                           .safebrowsing = 49192,
		                           .software = "1.4.3",
		                           .flevel = 90,
		                           .warning = true };
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	struct directory *dir = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", dir->path);
	int rc = system(command);
	free(dir);
	return rc;
}

static void write_file(const struct directory *dir, const char *name, const void *bytes, size_t len)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir->path, name);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void write_cvd(const struct directory *dir, const char *name, unsigned version)
{
	char text[CVD_HEADER_LEN];
	snprintf(text, sizeof(text), "ClamAV-VDB:22 Jun 2021 21-34 -0400:%u:1:90:" MD5 ":s:b:1", version);
	uint8_t header[CVD_HEADER_LEN];
	pad(text, header);
	write_file(dir, name, header, sizeof(header));
}

static void expect(const struct directory *dir, struct version *version, uint64_t now_s, int want_rc,
                   const char *want_text, const char *want_message)
{
	struct diag diag;
	diag_init(&diag);
	bool names_changed;
	assert_int_equal(version_verify(&dir->conf, version, now_s, &diag, version, &names_changed), want_rc);
	char text[VERSION_TEXT_MAX];
	version_text(&dir->conf, version, text);
	assert_string_equal(text, want_text);
	bool found = !want_message;
	for (size_t i = 0; i < diag.messages_n; i++)
		found |= want_message && strstr(diag.messages[i].text, want_message);
	assert_true(found);
	diag_fini(&diag);
}

static void test_directory(void **state)
{
	const struct directory *dir = *state;
	struct version version = { 0 };
	write_cvd(dir, "daily.cvd", 27500);
	write_cvd(dir, "bytecode.cvd", 335);
	write_cvd(dir, "test.cvd", 6);
	write_file(dir, "README", "hello", 5);
	expect(dir, &version, 1000, 0, "1.4.3:62:27500:1000:1:90:49192:335", NULL);
	char text[VERSION_TEXT_MAX];
	assert_true(version_database_text(&version, "test", text));
	assert_string_equal(text, "6:1000");
	assert_false(version_database_text(&version, "valhalla", text));

	/* a new version */
	write_cvd(dir, "daily.cvd", 27501);
	expect(dir, &version, 1100, 0, "1.4.3:62:27501:1100:1:90:49192:335", NULL);
	/* what is bad keeps number and time */
	write_cvd(dir, "daily.cvd", 27499);
	expect(dir, &version, 1200, -EINVAL, "1.4.3:62:27501:1100:1:90:49192:335", "lower than 27501");
	write_file(dir, "daily.cvd", "ClamAV-VDB:22 Jun", 17);
	expect(dir, &version, 1300, -EINVAL, "1.4.3:62:27501:1100:1:90:49192:335", "shorter than");
	write_file(dir, "daily.cvd", "", 0);
	expect(dir, &version, 1300, -EINVAL, "1.4.3:62:27501:1100:1:90:49192:335", "shorter than");
	/* a third-party file does not keep the record from being renewed */
	write_cvd(dir, "daily.cvd", 27502);
	write_cvd(dir, "test.cvd", 1);
	expect(dir, &version, 1400, 0, "1.4.3:62:27502:1400:1:90:49192:335", "lower than 6");
}

static void test_source_lost(void **state)
{
	struct directory *dir = *state;
	struct version version = { 0 };
	write_cvd(dir, "daily.cvd", 27500);
	write_cvd(dir, "bytecode.cvd", 335);
	expect(dir, &version, 1000, 0, "1.4.3:62:27500:1000:1:90:49192:335", NULL);
	dir->conf.directory = "/nonexistent/directory";
	expect(dir, &version, 1100, -EINVAL, "1.4.3:62:27500:1000:1:90:49192:335",
	       "cannot read the database directory");
	dir->conf.directory = dir->path;
	char path[128];
	/* one of the files gone, then all but a third party's */
	write_cvd(dir, "test.cvd", 6);
	snprintf(path, sizeof(path), "%s/daily.cvd", dir->path);
	assert_int_equal(unlink(path), 0);
	expect(dir, &version, 1150, -EINVAL, "1.4.3:62:27500:1000:1:90:49192:335", "daily.cvd is gone");
	write_cvd(dir, "daily.cvd", 27500);
	/* a FIFO must neither block nor count */
	snprintf(path, sizeof(path), "%s/main.cvd", dir->path);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect(dir, &version, 1200, -EINVAL, "1.4.3:62:27500:1000:1:90:49192:335", "not a regular file");
}

static void test_fixed_numbers(void **state)
{
	struct directory *dir = *state;
	dir->conf.directory = NULL;
	dir->conf.daily = 100;
	dir->conf.bytecode = 7;
	struct version version = { 0 };
	expect(dir, &version, 1000, 0, "1.4.3:62:100:1000:1:90:49192:7", NULL);
	dir->conf.warning = false;
	expect(dir, &version, 2000, 0, "1.4.3:62:100:2000:0:90:49192:7", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_source_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fixed_numbers, setup, teardown),
	};
	return cmocka_run_group_tests_name("version", tests, NULL, NULL);
}
