/* What is said to a service manager, and what it hands over. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/activation.h"
#include "service/notify.h"
#include "service/watchdog.h"

/* --- notify --- */

static void check_sent(const char *path, const struct sockaddr_un *address, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)address, len), 0);
	struct notify notify;
	assert_int_equal(notify_open(path, &notify), 0);
	assert_true(notify.fd >= 0);
	assert_int_equal(notify_send(&notify, "READY=%d\nSTATUS=%s\n", 1, "fine"), 0);
	char text[64] = "";
	assert_int_equal(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), 20);
	assert_string_equal(text, "READY=1\nSTATUS=fine\n");
	close(fd);
	if (address->sun_path[0])
		unlink(address->sun_path);
	/* Nobody is there any more: told, and nothing else happens. */
	assert_int_equal(notify_send(&notify, "WATCHDOG=1\n"),
	                 address->sun_path[0] ? -ENOENT : -ECONNREFUSED);
	char longer[2000];
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(notify_send(&notify, "%s", longer), -EMSGSIZE);
	notify_close(&notify);
	assert_int_equal(notify_send(&notify, "WATCHDOG=1\n"), 0);
}

static void test_notify(void **state)
{
	(void)state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/dnsd-notify-%d", (int)getpid());
	char path[128];
	snprintf(path, sizeof(path), "%s", address.sun_path);
	check_sent(path, &address, sizeof(address));

	int len = snprintf(path, sizeof(path), "@dnsd-notify-%d", (int)getpid());
	memset(&address, 0, sizeof(address));
	address.sun_family = AF_UNIX;
	memcpy(address.sun_path + 1, path + 1, (size_t)len - 1);
	check_sent(path, &address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len));
}

static void test_notify_nobody(void **state)
{
	(void)state;
	static const char *const none[] = { NULL, "" };
	static const char *const wrong[] = { "relative/path", "/", "@", "vsock:2:1234" };
	struct notify notify;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(notify_open(none[i], &notify), 0);
		assert_int_equal(notify.fd, -1);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(notify_open(wrong[i], &notify), -EAFNOSUPPORT);
		assert_int_equal(notify.fd, -1);
	}
	char longer[200];
	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(notify_open(longer, &notify), -ENAMETOOLONG);
	assert_int_equal(notify_send(&notify, "READY=1\n"), 0);
}

static void test_watchdog_limit(void **state)
{
	(void)state;
	char pid[16];
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_int_equal(notify_watchdog_us("20000000", pid), 20000000);
	assert_int_equal(notify_watchdog_us("20000000", NULL), 20000000);
	assert_int_equal(notify_watchdog_us("20000000", "1"), 0); /* meant for another */
	assert_int_equal(notify_watchdog_us(NULL, pid), 0);
	assert_int_equal(notify_watchdog_us("0", NULL), 0);
	assert_int_equal(notify_watchdog_us("-5", NULL), 0);
	assert_int_equal(notify_watchdog_us("5s", NULL), 0);
	assert_int_equal(notify_watchdog_us("99999999999999999999999", NULL), 0);
}

/* --- watchdog --- */

static void test_watchdog_all(void **state)
{
	(void)state;
	struct watchdog watchdog;
	assert_int_equal(watchdog_init(&watchdog, 3), 0);
	/* Nothing was asked. */
	assert_false(watchdog_answered(&watchdog, 0, 0));
	assert_int_equal(watchdog_begin(&watchdog), 1);
	assert_false(watchdog_answered(&watchdog, 0, 1));
	assert_false(watchdog_answered(&watchdog, 2, 1));
	assert_false(watchdog_answered(&watchdog, 2, 1)); /* twice is not two */
	assert_true(watchdog_answered(&watchdog, 1, 1));
	assert_false(watchdog_answered(&watchdog, 1, 1)); /* told once */
	watchdog_fini(&watchdog);
}

/* A worker that hangs: whatever the others do, nothing is told from then on. */
static void test_watchdog_hung(void **state)
{
	(void)state;
	struct watchdog watchdog;
	assert_int_equal(watchdog_init(&watchdog, 2), 0);
	watchdog_begin(&watchdog);
	assert_false(watchdog_answered(&watchdog, 0, 1));
	assert_true(watchdog_answered(&watchdog, 1, 1));
	for (uint16_t round = 2; round < 10; round++) {
		assert_int_equal(watchdog_begin(&watchdog), round);
		assert_false(watchdog_answered(&watchdog, 0, round));
		assert_int_equal(watchdog_missed(&watchdog, 0), 0);
		assert_int_equal(watchdog_missed(&watchdog, 1), round - 2);
	}
	/* It wakes up, and answers all that has waited in its socket: only what is recent counts. */
	for (uint16_t round = 2; round < 8; round++)
		assert_false(watchdog_answered(&watchdog, 1, round));
	assert_true(watchdog_answered(&watchdog, 1, 8));
	assert_true(watchdog_answered(&watchdog, 1, 9));
	assert_int_equal(watchdog_missed(&watchdog, 1), 0);
	watchdog_fini(&watchdog);
}

/* Always one round late, or every second packet lost: slow, not hung. */
static void test_watchdog_slow(void **state)
{
	(void)state;
	struct watchdog watchdog;
	assert_int_equal(watchdog_init(&watchdog, 1), 0);
	watchdog_begin(&watchdog);
	for (uint16_t round = 2; round < 6; round++) {
		watchdog_begin(&watchdog);
		assert_true(watchdog_answered(&watchdog, 0, (uint16_t)(round - 1)));
	}
	watchdog_begin(&watchdog);
	watchdog_begin(&watchdog);
	assert_true(watchdog_answered(&watchdog, 0, 7));
	assert_false(watchdog_answered(&watchdog, 0, 8)); /* from the future: forged */
	assert_false(watchdog_answered(&watchdog, 1, 7)); /* no such worker */
	watchdog_fini(&watchdog);
}

/* The id of a question has 16 bits, the number of its round has more. */
static void test_watchdog_wraps(void **state)
{
	(void)state;
	struct watchdog watchdog;
	assert_int_equal(watchdog_init(&watchdog, 1), 0);
	for (uint32_t round = 1; round < 70000; round++) {
		watchdog_begin(&watchdog);
		assert_true(watchdog_answered(&watchdog, 0, (uint16_t)round));
	}
	watchdog_fini(&watchdog);
}

/* --- activation --- */

#define FIRST_FD 200

static char own_pid[16];

/* A socket on that port, on one of the kernel's choice for 0. Returns -1 when somebody else has the port. */
static int bound(int type, bool listens, uint16_t *port)
{
	int fd = socket(AF_INET, type, 0);
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(*port) };
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	socklen_t len = sizeof(addr);
	int one = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		assert_int_equal(errno, EADDRINUSE);
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*port = ntohs(addr.sin_port);
	if (listens)
		assert_int_equal(listen(fd, 5), 0);
	return fd;
}

/* One that nobody has for UDP: a socket with SO_REUSEPORT may be given that of another server of ours. */
static uint16_t free_port(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	close(fd);
	return ntohs(addr.sin_port);
}

/* A pair on one port: one that is free for UDP may be somebody's for TCP, or still be in TIME_WAIT. */
static uint16_t bound_pair(int *ret_udp_fd, int *ret_tcp_fd)
{
	for (int tries = 0; tries < 50; tries++) {
		uint16_t port = free_port();
		int udp_fd = bound(SOCK_DGRAM, false, &port);
		int tcp_fd = udp_fd >= 0 ? bound(SOCK_STREAM, true, &port) : -1;
		if (tcp_fd >= 0) {
			*ret_udp_fd = udp_fd;
			*ret_tcp_fd = tcp_fd;
			return port;
		}
		if (udp_fd >= 0)
			close(udp_fd);
	}
	fail_msg("no port that is free for UDP and TCP");
	return 0;
}

static void put(int fd, int number)
{
	assert_int_equal(dup2(fd, FIRST_FD + number), FIRST_FD + number);
	close(fd);
}

static int init(const char *fds, struct diag *diag, struct activation *activation)
{
	snprintf(own_pid, sizeof(own_pid), "%d", (int)getpid());
	return activation_init(own_pid, fds, FIRST_FD, diag, activation);
}

static void test_activation(void **state)
{
	(void)state;
	int udp_fd = -1;
	int tcp_fd = -1;
	uint16_t port = bound_pair(&udp_fd, &tcp_fd);
	put(udp_fd, 0);
	put(tcp_fd, 1);
	put(bound(SOCK_DGRAM, false, &port), 2);
	struct diag diag;
	struct activation activation;
	diag_init(&diag);
	assert_int_equal(init("3", &diag, &activation), 0);
	assert_int_equal(activation.sockets_n, 3);
	assert_true(fcntl(FIRST_FD, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(FIRST_FD, F_GETFL) & O_NONBLOCK);

	struct sockaddr_storage addr = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&addr;
	*in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(activation_count(&activation, &addr, SOCK_DGRAM), 2);
	assert_int_equal(activation_count(&activation, &addr, SOCK_STREAM), 1);
	assert_int_equal(activation_take(&activation, &addr, SOCK_DGRAM), FIRST_FD);
	assert_int_equal(activation_take(&activation, &addr, SOCK_STREAM), FIRST_FD + 1);
	assert_int_equal(activation_take(&activation, &addr, SOCK_STREAM), -1);
	in->sin_port = htons((uint16_t)(port ^ 1));
	assert_int_equal(activation_take(&activation, &addr, SOCK_DGRAM), -1);

	assert_int_equal(activation_check_taken(&activation, &diag), -EINVAL);
	char want[160];
	snprintf(want, sizeof(want),
	         "descriptor 202, passed by the service manager, is UDP 127.0.0.1@%u, which server.listen "
	         "does not "
	         "have; add \"127.0.0.1@%u\"",
	         port, port);
	assert_non_null(strstr(diag.messages[0].text, want));
	activation_fini(&activation);
	assert_int_equal(fcntl(FIRST_FD + 2, F_GETFD), -1); /* closed */
	assert_true(fcntl(FIRST_FD, F_GETFD) >= 0);
	close(FIRST_FD);
	close(FIRST_FD + 1);
	diag_fini(&diag);
}

static void test_activation_none(void **state)
{
	(void)state;
	struct diag diag;
	struct activation activation;
	diag_init(&diag);
	assert_int_equal(activation_init(NULL, "1", FIRST_FD, &diag, &activation), 0);
	assert_int_equal(activation_init("1", "1", FIRST_FD, &diag, &activation), 0); /* meant for another */
	assert_int_equal(init(NULL, &diag, &activation), 0);
	assert_int_equal(init("0", &diag, &activation), 0);
	assert_int_equal(activation.sockets_n, 0);
	assert_int_equal(activation_check_taken(&activation, &diag), 0);
	activation_fini(&activation);
	static const char *const wrong[] = { "", "-1", "3x", "5000", "99999999999999999999" };
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(init(wrong[i], &diag, &activation), -EINVAL);
	assert_int_equal(diag.errors_n, 5);
	diag_fini(&diag);
}

static void check_refused(int fd, const char *want)
{
	struct diag diag;
	struct activation activation;
	diag_init(&diag);
	if (fd >= 0)
		put(fd, 0);
	assert_int_equal(init("1", &diag, &activation), -EINVAL);
	assert_int_equal(diag.errors_n, 1);
	if (!strstr(diag.messages[0].text, want))
		fail_msg("\"%s\" lacks \"%s\"", diag.messages[0].text, want);
	close(FIRST_FD);
	diag_fini(&diag);
}

static void test_activation_refused(void **state)
{
	(void)state;
	uint16_t port = 0;
	check_refused(-1, "is not open");
	check_refused(open("/dev/null", O_RDONLY), "is no socket");
	check_refused(socket(AF_UNIX, SOCK_STREAM, 0), "is no internet socket");
	check_refused(socket(AF_UNIX, SOCK_SEQPACKET, 0), "is neither UDP nor TCP");
	check_refused(bound(SOCK_STREAM, false, &port), "is a connection, not a listener");
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	int zero = 0;
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	check_refused(fd, "BindIPv6Only=ipv6-only");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notify),          cmocka_unit_test(test_notify_nobody),
		cmocka_unit_test(test_watchdog_limit),  cmocka_unit_test(test_watchdog_all),
		cmocka_unit_test(test_watchdog_hung),   cmocka_unit_test(test_watchdog_slow),
		cmocka_unit_test(test_watchdog_wraps),  cmocka_unit_test(test_activation),
		cmocka_unit_test(test_activation_none), cmocka_unit_test(test_activation_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
