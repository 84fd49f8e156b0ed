/* What a process that takes over is handed in memory, and what it makes of other bytes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/secrets.h"

static const struct load old = { .cookies_are_random = true,
	                         .cookies = { .secrets_n = 1, .secrets = { "0123456789abcde" } } };

static bool has_secret_of_old(const struct load *load)
{
	return memcmp(load->cookies.secrets[0], old.cookies.secrets[0], COOKIE_SECRET_LEN) == 0;
}

static void test_cookie(void **state)
{
	(void)state;
	struct load random = { .cookies_are_random = true, .cookies = { .secrets_n = 1 } };
	struct load of_file = { .cookies = { .secrets_n = 1 } };
	int fd = secrets_pack(&old);
	assert_true(fd >= 0);
	assert_int_equal(secrets_unpack(fd, &of_file), 0);
	assert_false(has_secret_of_old(&of_file));
	assert_int_equal(secrets_unpack(fd, &random), 0);
	assert_true(has_secret_of_old(&random));
	close(fd);
	/* One of a file stays where it is. */
	fd = secrets_pack(&of_file);
	assert_true(fd >= 0);
	assert_int_equal(secrets_unpack(fd, &random), 0);
	assert_true(has_secret_of_old(&random));
	close(fd);
}

static int unpack(const uint8_t *bytes, size_t len)
{
	struct load load = { .cookies_are_random = true, .cookies = { .secrets_n = 1 } };
	int fd = memfd_create("secrets", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	int rc = secrets_unpack(fd, &load);
	assert_int_equal(has_secret_of_old(&load), rc == 0 && bytes[0] != 0);
	close(fd);
	return rc;
}

static void test_other_bytes(void **state)
{
	(void)state;
	uint8_t bytes[4096] = { COOKIE_SECRET_LEN };
	memcpy(bytes + 1, old.cookies.secrets[0], COOKIE_SECRET_LEN);
	for (size_t len = 0; len < COOKIE_SECRET_LEN + 2; len++)
		assert_int_equal(unpack(bytes, len), -EPROTO);
	assert_int_equal(unpack(bytes, COOKIE_SECRET_LEN + 2), 0);
	assert_int_equal(unpack(bytes, sizeof(bytes)), 0);
	bytes[0] = COOKIE_SECRET_LEN - 1;
	assert_int_equal(unpack(bytes, sizeof(bytes)), -EPROTO);
	bytes[0] = 0xff;
	assert_int_equal(unpack(bytes, sizeof(bytes)), -EPROTO);
	bytes[0] = 0;
	bytes[1] = 0xff;
	assert_int_equal(unpack(bytes, 10), -EPROTO);
	/* No memory at all. */
	struct load load = { .cookies_are_random = true };
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(secrets_unpack(pair[0], &load), -ESPIPE);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_other_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
