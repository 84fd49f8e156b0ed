/* The process that starts the program again, from outside the sandbox. */
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/filter.h"
#include "sandbox/launcher.h"

static char script[] =
        "printf '%s %s %s %s' \"$DNSD_TEST_FD\" \"$WATCHDOG_PID\" \"$$\" \"${LISTEN_FDS-none}\" >&3";
static char *const argv_of_script[] = { "sh", "-c", script, NULL };

/* 0, or the number of what is wrong. */
static int start_once(struct launcher *launcher)
{
	int pair[2];
	pid_t pid = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 1;
	int rc = launcher_start(launcher, pair[1], &pid);
	close(pair[1]);
	if (rc < 0)
		return 2;
	char text[128] = "";
	size_t len = 0;
	ssize_t got;
	while (len < sizeof(text) - 1 && (got = recv(pair[0], text + len, sizeof(text) - 1 - len, 0)) > 0)
		len += (size_t)got;
	close(pair[0]); /* the program has ended: its end is closed */
	char want[128];
	snprintf(want, sizeof(want), "3 %d %d none", (int)pid, (int)pid);
	return strcmp(text, want) == 0 ? 0 : 3;
}

/* Whatever we are: nobody else. */
static const struct privileges stay = { 0 };

static void set_environment(void)
{
	setenv("WATCHDOG_PID", "1", 1);
	setenv("LISTEN_FDS", "4", 1);
}

static void test_start(void **state)
{
	(void)state;
	struct launcher *launcher;
	set_environment();
	assert_int_equal(launcher_create(argv_of_script, "DNSD_TEST_FD", &launcher), 0);
	assert_int_equal(launcher_drop(launcher, &stay), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(start_once(launcher), 0);
	launcher_destroy(launcher);
	assert_int_equal(waitpid(-1, NULL, 0), -1); /* until it has ended */
	signal(SIGCHLD, SIG_DFL);
	launcher_destroy(NULL);
}

/* Not needed: it has ended before anything else is done. */
static void test_unused(void **state)
{
	(void)state;
	struct launcher *launcher;
	assert_int_equal(launcher_create(argv_of_script, "DNSD_TEST_FD", &launcher), 0);
	launcher_destroy(launcher);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* What has taken over main may ask for anything. */
static void test_refused(void **state)
{
	(void)state;
	struct launcher *launcher;
	static char wait[] = "read x <&3";
	static char *const argv[] = { "sh", "-c", wait, NULL };
	int pair[2];
	pid_t pid = 0;
	pid_t ended = 0;
	int status = -1;
	assert_int_equal(launcher_create(argv, "DNSD_TEST_FD", &launcher), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(launcher_start(launcher, pair[1], &pid), -EPERM); /* with all its rights */
	assert_int_equal(launcher_drop(launcher, &stay), 0);
	assert_int_equal(launcher_drop(launcher, &stay), -EPERM);
	assert_int_equal(launcher_start(launcher, -1, &pid), -EINVAL);
	assert_int_equal(launcher_start(launcher, pair[1], &pid), 0);
	assert_int_equal(launcher_start(launcher, pair[1], &ended), -EBUSY); /* two at a time */
	assert_int_equal(launcher_ended(launcher, &ended, &status), -EAGAIN);
	assert_int_equal(kill(pid, SIGTERM), 0);
	struct pollfd news = { .fd = launcher_fd(launcher), .events = POLLIN };
	assert_int_equal(poll(&news, 1, 20000), 1);
	assert_int_equal(launcher_ended(launcher, &ended, &status), 0);
	assert_int_equal(ended, pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	/* News that nobody has read is in nobody's way. */
	assert_int_equal(launcher_start(launcher, pair[1], &pid), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(launcher_start(launcher, pair[1], &pid), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	close(pair[0]);
	close(pair[1]);
	launcher_destroy(launcher);
	assert_int_equal(waitpid(-1, NULL, 0), -1);
	signal(SIGCHLD, SIG_DFL);
}

/* From root to nobody, for good; what it starts has the right to bind, and no other. */
static void test_rights(void **state)
{
	(void)state;
	static char show[] = "exec grep -E '^(Uid|CapPrm|CapEff|NoNewPrivs)' /proc/self/status >&3";
	static char *const argv[] = { "sh", "-c", show, NULL };
	static const char want[] = "Uid:\t65534\t65534\t65534\t65534\nCapPrm:\t0000000000000400\n"
	                           "CapEff:\t0000000000000400\nNoNewPrivs:\t1\n";
	const struct privileges nobody = { .changes = true, .uid = 65534, .gid = 65534, .user = "nobody" };
	struct launcher *launcher;
	int pair[2];
	pid_t pid;
	char text[512] = "";
	size_t len = 0;
	ssize_t got;
	if (geteuid() != 0 || prctl(PR_CAPBSET_READ, CAP_NET_BIND_SERVICE, 0, 0, 0) != 1)
		skip();
	assert_int_equal(launcher_create(argv, "DNSD_TEST_FD", &launcher), 0);
	assert_int_equal(launcher_drop(launcher, &nobody), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(launcher_start(launcher, pair[1], &pid), 0);
	close(pair[1]);
	while (len < sizeof(text) - 1 && (got = recv(pair[0], text + len, sizeof(text) - 1 - len, 0)) > 0)
		len += (size_t)got;
	assert_string_equal(text, want);
	close(pair[0]);
	launcher_destroy(launcher);
	assert_int_equal(waitpid(-1, NULL, 0), -1);
	signal(SIGCHLD, SIG_DFL);
}

/* Main may do so under its filter, and the program is not under it. */
static void test_confined(void **state)
{
	(void)state;
	set_environment();
	struct filter *filter;
	assert_int_equal(filter_create(FILTER_MAIN, FILTER_ON, &filter), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct launcher *launcher;
		if (launcher_create(argv_of_script, "DNSD_TEST_FD", &launcher) < 0 ||
		    launcher_drop(launcher, &stay) < 0 || filter_install(filter) < 0)
			_exit(10);
		_exit(start_once(launcher));
	}
	filter_destroy(filter);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A program that is none. */
static void test_no_program(void **state)
{
	(void)state;
	static char *const argv[] = { "/nonexistent/dnsd", NULL };
	struct launcher *launcher;
	int pair[2];
	pid_t pid;
	assert_int_equal(launcher_create(argv, "DNSD_TEST_FD", &launcher), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(launcher_drop(launcher, &stay), 0);
	assert_int_equal(launcher_start(launcher, pair[1], &pid), -ENOENT);
	assert_int_equal(launcher_start(launcher, pair[1], &pid), -ENOENT);
	close(pair[1]);
	close(pair[0]);
	launcher_destroy(launcher);
	assert_int_equal(waitpid(-1, NULL, 0), -1);
	signal(SIGCHLD, SIG_DFL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),    cmocka_unit_test(test_unused),
		cmocka_unit_test(test_refused),  cmocka_unit_test(test_rights),
		cmocka_unit_test(test_confined), cmocka_unit_test(test_no_program),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
