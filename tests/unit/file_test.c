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

#include "base/file.h"

#define OTHER_ID 65534

struct fixture {
	char folder[64];
	char path[96];
	mode_t umask;
};

/* What the new file was at the moment it took the old one's place. */
static struct stat renamed;

/* Instead of libc's. */
int rename(const char *from, const char *to)
{
	assert_int_equal(lstat(from, &renamed), 0);
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));
	assert_non_null(fx);
	strcpy(fx->folder, "/tmp/dnsd-file-XXXXXX");
	assert_non_null(mkdtemp(fx->folder));
	snprintf(fx->path, sizeof(fx->path), "%s/file", fx->folder);
	fx->umask = umask(0022);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;
	umask(fx->umask);
	unlink(fx->path);
	/* Fails when a PATH.new is left. */
	int rc = rmdir(fx->folder);
	free(fx);
	return rc;
}

static void expect(const struct fixture *fx, const char *text, mode_t mode)
{
	struct stat st;
	char *read = NULL;
	size_t len;
	const char *why;
	assert_int_equal(file_read(fx->path, 100, &read, &len, &why), 0);
	assert_string_equal(read, text);
	free(read);
	assert_int_equal(stat(fx->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(renamed.st_ino, st.st_ino);
	assert_int_equal(renamed.st_mode & 07777, mode);
	assert_int_equal(renamed.st_uid, st.st_uid);
	assert_int_equal(renamed.st_gid, st.st_gid);
}

static void test_replace(void **state)
{
	struct fixture *fx = *state;
	assert_int_equal(file_replace(fx->path, "one", 3), 0);
	expect(fx, "one", 0640);
	assert_int_equal(chmod(fx->path, 0644), 0);
	assert_int_equal(file_replace(fx->path, "two", 3), 0);
	expect(fx, "two", 0640);
	umask(0077);
	assert_int_equal(file_replace(fx->path, "three", 5), 0);
	expect(fx, "three", 0600);
}

static void test_publish(void **state)
{
	struct fixture *fx = *state;
	static const mode_t umasks[] = { 0022, 0077, 0000 };
	for (size_t i = 0; i < 3; i++) {
		umask(umasks[i]);
		assert_int_equal(file_publish(fx->path, "one", 3), 0);
		expect(fx, "one", 0644);
		assert_int_equal(file_replace(fx->path, "two", 3), 0);
		assert_int_equal(file_publish(fx->path, "three", 5), 0);
		expect(fx, "three", 0644);
	}
}

static void test_rewrite(void **state)
{
	struct fixture *fx = *state;
	static const mode_t modes[] = { 0600, 0640, 0664, 0666, 0444 };
	bool is_owned = false;
	assert_int_equal(file_rewrite(fx->path, "none", 4, &is_owned), -ENOENT);
	assert_int_equal(access(fx->path, F_OK), -1);
	assert_int_equal(file_replace(fx->path, "one", 3), 0);
	umask(0077);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		assert_int_equal(chmod(fx->path, modes[i]), 0);
		assert_int_equal(file_rewrite(fx->path, "two", 3, &is_owned), 0);
		assert_true(is_owned);
		expect(fx, "two", modes[i]);
	}
	/* A symbolic link would be replaced instead of what it leads to. */
	char link[128];
	snprintf(link, sizeof(link), "%s.link", fx->path);
	assert_int_equal(symlink("file", link), 0);
	assert_int_equal(file_rewrite(link, "three", 5, &is_owned), -EINVAL);
	expect(fx, "two", 0444);
	unlink(link);
}

static void test_rewrite_owner(void **state)
{
	struct fixture *fx = *state;
	bool is_owned = false;
	if (geteuid() != 0)
		skip();
	assert_int_equal(file_replace(fx->path, "one", 3), 0);
	assert_int_equal(chown(fx->path, OTHER_ID, OTHER_ID), 0);
	assert_int_equal(chmod(fx->path, 0660), 0);
	assert_int_equal(file_rewrite(fx->path, "two", 3, &is_owned), 0);
	assert_true(is_owned);
	expect(fx, "two", 0660);
	assert_int_equal(renamed.st_uid, OTHER_ID);
	assert_int_equal(renamed.st_gid, OTHER_ID);

	/* Somebody who may write to the folder, but can't give away files. */
	assert_int_equal(chown(fx->path, 0, 0), 0);
	assert_int_equal(chmod(fx->folder, 0777), 0);
	assert_int_equal(seteuid(OTHER_ID), 0);
	int rc = file_rewrite(fx->path, "three", 5, &is_owned);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(rc, 0);
	assert_false(is_owned);
	expect(fx, "three", 0660);
	assert_int_equal(renamed.st_uid, OTHER_ID);
}

/* The old one stays when the new one can't be written. */
static void test_failure(void **state)
{
	struct fixture *fx = *state;
	char fresh[128];
	bool is_owned;
	assert_int_equal(file_publish(fx->path, "one", 3), 0);
	snprintf(fresh, sizeof(fresh), "%s.new", fx->path);
	assert_int_equal(mkdir(fresh, 0700), 0);
	assert_int_equal(file_replace(fx->path, "two", 3), -EISDIR);
	assert_int_equal(file_publish(fx->path, "two", 3), -EISDIR);
	assert_int_equal(file_rewrite(fx->path, "two", 3, &is_owned), -EISDIR);
	expect(fx, "one", 0644);
	assert_int_equal(rmdir(fresh), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_publish, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rewrite, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rewrite_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
