/* listener: sockets that can be had, and what is said of those that cannot. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/listener.h"

static struct sockaddr_storage address(const char *text, uint16_t port)
{
	struct sockaddr_storage storage = { .ss_family = strchr(text, ':') ? AF_INET6 : AF_INET };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
	/* sin_port and sin6_port stand at the same place. */
	v4->sin_port = htons(port);
	assert_int_equal(inet_pton(storage.ss_family, text,
	                           storage.ss_family == AF_INET ? (void *)&v4->sin_addr : &v6->sin6_addr),
	                 1);
	return storage;
}

static in_port_t port_of(const struct listener *listener)
{
	return ntohs(((const struct sockaddr_in *)&listener->addr)->sin_port);
}

static struct listener open_good(const char *text, uint16_t port)
{
	struct listener listener = { .udp_fd = -1, .tcp_fd = -1 };
	struct diag diag;
	struct sockaddr_storage addr = address(text, port);
	diag_init(&diag);
	assert_int_equal(listener_open(&addr, NULL, 0, &diag, &listener), 0);
	assert_int_equal(diag.messages_n, 0);
	diag_fini(&diag);
	return listener;
}

static void expect_refused(const struct sockaddr_storage *addr, int rc, const char *words)
{
	struct listener listener;
	struct diag diag;
	diag_init(&diag);
	assert_int_equal(listener_open(addr, "dnsd.conf", 3, &diag, &listener), rc);
	assert_int_equal(diag.errors_n, 1);
	if (!strstr(diag.messages[0].text, words) || strncmp(diag.messages[0].text, "dnsd.conf:3: ", 13) != 0)
		fail_msg("\"%s\" does not say \"%s\"", diag.messages[0].text, words);
	diag_fini(&diag);
}

/* The number that the next descriptor gets. */
static unsigned next_descriptor(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	close(fd);
	return (unsigned)fd;
}

static bool has_ipv6(void)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has = fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
	if (fd >= 0)
		close(fd);
	return has;
}

static void test_pair(void **unused)
{
	(void)unused;
	static const char *const addrs[] = { "127.0.0.1", "0.0.0.0", "::1", "::" };
	for (size_t i = 0; i < (has_ipv6() ? 4 : 2); i++) {
		struct listener listener = open_good(addrs[i], 0);
		struct sockaddr_in6 tcp = { 0 };
		socklen_t len = sizeof(tcp);
		assert_true(port_of(&listener) != 0);
		assert_int_equal(getsockname(listener.tcp_fd, (struct sockaddr *)&tcp, &len), 0);
		assert_int_equal(ntohs(tcp.sin6_port), port_of(&listener));
		assert_int_equal(listener.wildcard, i % 2);
		/* Another of ours may share it: that is how each worker has its own. */
		struct listener second = open_good(addrs[i], port_of(&listener));
		listener_close(&second);
		listener_close(&listener);
	}
}

static void test_taken(void **unused)
{
	(void)unused;
	for (int type = 0; type <= 1; type++) {
		struct sockaddr_storage addr = address("127.0.0.1", 0);
		socklen_t len = sizeof(struct sockaddr_in);
		int fd = socket(AF_INET, (type ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
		if (type)
			assert_int_equal(listen(fd, 1), 0);
		assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
		expect_refused(&addr, -EADDRINUSE, "another server has this address");
		close(fd);
	}
}

/* One that shares the port is seen; another that has it for one address, or for all, is not in the way. */
static void check_free(const char *own, const char *other, const char *all)
{
	struct listener listener = open_good(own, 0);
	uint16_t port = port_of(&listener);
	struct sockaddr_storage others[] = { address(other, port), address(own, 0),
		                             address(strcmp(own, all) == 0 ? other : all, port) };
	for (int tls = 0; tls <= 1; tls++) {
		assert_false(listener_is_free(&listener.addr, tls));
		for (size_t i = 0; i < 3; i++)
			assert_true(listener_is_free(&others[i], tls));
	}
	listener_close(&listener);
	for (int tls = 0; tls <= 1; tls++)
		assert_true(listener_is_free(&listener.addr, tls));
}

static void test_is_free(void **unused)
{
	(void)unused;
	check_free("127.0.0.1", "127.0.0.2", "0.0.0.0");
	check_free("0.0.0.0", "127.0.0.2", "0.0.0.0");
	if (!has_ipv6())
		return;
	check_free("::1", "2001:db8::1", "::");
	check_free("::", "::1", "::");
}

static void test_not_ours(void **unused)
{
	(void)unused;
	struct sockaddr_storage addr = address("192.0.2.1", 0);
	expect_refused(&addr, -EADDRNOTAVAIL, "no interface of this machine");
	if (!has_ipv6())
		return;
	addr = address("2001:db8::1", 5353);
	expect_refused(&addr, -EADDRNOTAVAIL, "no interface of this machine");
}

/* However many descriptors are left: an error, and none is lost. */
static void test_no_descriptors(void **unused)
{
	(void)unused;
	struct rlimit before;
	unsigned next = next_descriptor();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (int port = 0; port <= 1; port++) {
		struct sockaddr_storage addr = address("127.0.0.1", 0);
		if (port) {
			struct listener listener = open_good("127.0.0.1", 0);
			addr = listener.addr;
			listener_close(&listener);
		}
		for (unsigned left = 0; left < 2; left++) {
			struct rlimit low = { .rlim_cur = next + left, .rlim_max = before.rlim_max };
			assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
			expect_refused(&addr, -EMFILE, "Too many open files");
			assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
			assert_int_equal(next_descriptor(), next);
		}
	}
}

/* Bound by somebody else without sharing: others of ours have their place beside it all the same. */
static void test_adopted(void **unused)
{
	(void)unused;
	struct listener listener = open_good("127.0.0.1", 0);
	struct sockaddr_storage addr = listener.addr;
	struct diag diag;
	int fds[2];
	listener_close(&listener);
	for (int type = 0; type <= 1; type++) {
		fds[type] =
		        socket(AF_INET, (type ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fds[type], (struct sockaddr *)&addr, sizeof(struct sockaddr_in)), 0);
	}
	assert_int_equal(listen(fds[1], 1), 0);
	diag_init(&diag);
	assert_int_equal(listener_adopt(&addr, fds[0], fds[1], NULL, 0, &diag, &listener), 0);
	diag_fini(&diag);
	struct listener second = open_good("127.0.0.1", port_of(&listener));
	struct listener all = open_good("0.0.0.0", port_of(&listener));
	listener_close(&all);
	assert_false(listener_is_free(&addr, false));
	assert_false(listener_is_free(&addr, true));
	listener_close(&second);
	listener_close(&listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pair),           cmocka_unit_test(test_taken),
		cmocka_unit_test(test_is_free),        cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_no_descriptors), cmocka_unit_test(test_adopted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
