/* Filters and privileges: each case in a process of its own, which tells by its end what has happened. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/filter.h"
#include "sandbox/filter_int.h"
#include "sandbox/privileges.h"

#define KILLED 1000 /* as a result: by SIGSYS */

/* Made before the filter is in force. */
static int tcp_fd;

/* --- calls: 0, or the errno they fail with --- */

static int result(long rc)
{
	return rc < 0 ? errno : 0;
}

static int call_socket_inet(void)
{
	return result(socket(AF_INET, SOCK_STREAM, 0));
}
static int call_socket_unix(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}
static int call_socket_netlink(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW, 0));
}
static int call_socket_packet(void)
{
	return result(socket(AF_PACKET, SOCK_RAW, 0));
}
static int call_connect(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(1) };
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result(connect(tcp_fd, (struct sockaddr *)&addr, sizeof(addr)));
}
static int call_fast_open(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(1) };
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result(sendto(tcp_fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&addr, sizeof(addr)));
}
static int call_fast_open_many(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(1) };
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	struct iovec part = { .iov_base = "x", .iov_len = 1 };
	struct mmsghdr message = { .msg_hdr = { .msg_name = &addr,
		                                .msg_namelen = sizeof(addr),
		                                .msg_iov = &part,
		                                .msg_iovlen = 1 } };
	return result(sendmmsg(tcp_fd, &message, 1, MSG_FASTOPEN));
}
static int call_bind(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result(bind(tcp_fd, (struct sockaddr *)&addr, sizeof(addr)));
}
static int call_open_read(void)
{
	return result(open("/dev/null", O_RDONLY | O_CLOEXEC));
}
static int call_open_write(void)
{
	return result(open("/dev/null", O_WRONLY | O_CLOEXEC));
}
static int call_unlink(void)
{
	return result(unlink("/nonexistent/file"));
}
static int call_map(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
	               ? errno
	               : 0;
}
static int call_map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
	               ? errno
	               : 0;
}
static int call_mount(void)
{
	return result(mount("none", "/nonexistent", "tmpfs", 0, NULL));
}
static int call_setuid(void)
{
	return result(syscall(SYS_setuid, getuid()));
}
static int call_kill(void)
{
	return result(syscall(SYS_kill, getpid(), 0));
}
static int call_exec(void)
{
	char *const arguments[] = { NULL };
	return result(execve("/nonexistent", arguments, arguments));
}
static int call_fork(void)
{
#ifdef SYS_fork
	return result(syscall(SYS_fork));
#else
	return KILLED; /* some machines have clone only */
#endif
}
static int call_clone_process(void)
{
	return result(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}
static int call_clone3(void)
{
	return result(syscall(SYS_clone3, NULL, 0));
}
static int call_ptrace(void)
{
	return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}
static void *no_work(void *argument)
{
	return argument;
}
static int call_thread(void)
{
	pthread_t thread;
	int rc = pthread_create(&thread, NULL, no_work, NULL);
	if (rc == 0)
		pthread_join(thread, NULL);
	return rc;
}

/* want: of the worker, of the main thread. plain: where a sanitizer needs the call, it is on the list. */
static const struct {
	const char *name;
	int (*call)(void);
	int want[FILTER_KINDS];
	bool plain;
} cases[] = {
	{ "socket, internet", call_socket_inet, { EPERM, 0 }, false },
	{ "socket, unix", call_socket_unix, { EPERM, 0 }, false },
	{ "socket, netlink", call_socket_netlink, { EPERM, EPERM }, false },
	{ "socket, packet", call_socket_packet, { EPERM, EPERM }, false },
	{ "connect", call_connect, { EPERM, EPERM }, false },
	{ "connect by fast open", call_fast_open, { EPERM, EPERM }, false },
	{ "connect by fast open of several", call_fast_open_many, { EPERM, EPERM }, false },
	{ "bind", call_bind, { EPERM, 0 }, false },
	{ "open for reading", call_open_read, { 0, 0 }, false },
	{ "open for writing", call_open_write, { EPERM, 0 }, true },
	{ "unlink", call_unlink, { EPERM, ENOENT }, true },
	{ "memory", call_map, { 0, 0 }, false },
	{ "memory for code", call_map_code, { EPERM, EPERM }, true },
	{ "mount", call_mount, { EPERM, EPERM }, false },
	{ "setuid", call_setuid, { EPERM, EPERM }, false },
	{ "kill", call_kill, { EPERM, 0 }, true },
	{ "execve", call_exec, { KILLED, KILLED }, true },
	{ "fork", call_fork, { KILLED, KILLED }, true },
	{ "clone of a process", call_clone_process, { EPERM, EPERM }, true },
	{ "clone3", call_clone3, { ENOSYS, ENOSYS }, false },
	{ "ptrace", call_ptrace, { KILLED, KILLED }, true },
	{ "a thread", call_thread, { EPERM, 0 }, true },
};

static bool is_sanitized(void)
{
	return filter__sanitizer_list.rules_n > 0;
}

struct job {
	const struct filter *filter;
	int (*call)(void);
	int result;
};

static void *run_job(void *argument)
{
	struct job *job = argument;
	int rc = filter_install(job->filter);
	job->result = rc < 0 ? 500 : job->call();
	return NULL;
}

/* In a thread of a process of its own, as a worker's is; the process ends with what the call has said. */
static int in_thread(enum filter_kind kind, enum filter_mode mode, int (*call)(void))
{
	struct filter *filter;
	assert_int_equal(filter_create(kind, mode, &filter), 0);
	tcp_fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(tcp_fd >= 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct job job = { .filter = filter, .call = call };
		pthread_t thread;
		if (pthread_create(&thread, NULL, run_job, &job) != 0)
			_exit(255);
		pthread_join(thread, NULL);
		if (job.result == KILLED)
			raise(SIGSYS);
		_exit(job.result == 500 ? 254 : job.result);
	}
	filter_destroy(filter);
	close(tcp_fd);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : -WTERMSIG(status);
	return WEXITSTATUS(status);
}

static void test_forbidden(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].plain && is_sanitized())
			continue;
		for (int kind = 0; kind < FILTER_KINDS; kind++) {
			int got = in_thread((enum filter_kind)kind, FILTER_ON, cases[i].call);
			if (got != cases[i].want[kind])
				fail_msg("%s in %s: got %d, want %d", cases[i].name,
				         kind == FILTER_WORKER ? "a worker" : "the main thread", got,
				         cases[i].want[kind]);
		}
	}
}

/* Mode log: nothing fails that would not have failed without it. */
static void test_log(void **state)
{
	(void)state;
	assert_int_equal(in_thread(FILTER_WORKER, FILTER_LOG, call_socket_inet), 0);
	assert_int_equal(in_thread(FILTER_WORKER, FILTER_LOG, call_exec), ENOENT);
	assert_int_equal(in_thread(FILTER_MAIN, FILTER_LOG, call_connect), ECONNREFUSED);
	assert_int_equal(in_thread(FILTER_MAIN, FILTER_LOG, call_unlink), ENOENT);
}

static void test_mode(void **state)
{
	(void)state;
	enum filter_mode mode = FILTER_LOG;
	assert_int_equal(filter_mode_parse("off", &mode), 0);
	assert_int_equal(mode, FILTER_OFF);
	assert_int_equal(filter_mode_parse("on", &mode), 0);
	assert_int_equal(mode, FILTER_ON);
	assert_int_equal(filter_mode_parse("log", &mode), 0);
	assert_int_equal(mode, FILTER_LOG);
	assert_int_equal(filter_mode_parse("yes", &mode), -EINVAL);
	assert_int_equal(mode, FILTER_LOG);
}

/* The worker's list is part of the main thread's, and each line says why. */
static void test_lists(void **state)
{
	(void)state;
	const struct filter_call *call;
	size_t worker_n = 0;
	for (size_t i = 0; (call = filter_call_at(FILTER_WORKER, i)); i++) {
		assert_true(*call->name && *call->why);
		assert_string_not_equal(call->name, "connect");
		assert_string_not_equal(call->name, "socket");
		worker_n++;
	}
	size_t main_n = 0;
	while (filter_call_at(FILTER_MAIN, main_n))
		main_n++;
	assert_true(worker_n > 20 && main_n > worker_n);
	assert_null(filter_call_at(FILTER_MAIN, main_n + 1));
}

/* --- privileges --- */

static uint64_t status_field(const char *name)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	unsigned long long value = UINT64_MAX;
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtoull(line + strlen(name) + 1, NULL, 16);
	}
	if (file)
		fclose(file);
	return value;
}

#define BIND_BIT (UINT64_C(1) << CAP_NET_BIND_SERVICE)

/* 0, or the number of what is wrong: in a process that can't go back. */
static int check_dropped(bool keep_bind)
{
	struct diag diag;
	struct privileges privileges;
	diag_init(&diag);
	if (privileges_find("nobody", NULL, &diag, &privileges) < 0)
		return 1;
	if (privileges_borrow(&privileges) < 0 || geteuid() != privileges.uid || getuid() != 0)
		return 2;
	if (open("/etc/shadow", O_RDONLY) >= 0)
		return 3;
	if (privileges_return(&privileges) < 0 || geteuid() != 0)
		return 4;
	if (privileges_drop(&privileges, keep_bind) < 0)
		return 5;
	uid_t uid[3];
	gid_t gid[3];
	if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
		return 6;
	for (int i = 0; i < 3; i++) {
		if (uid[i] != privileges.uid || gid[i] != privileges.gid)
			return 7;
	}
	if (setuid(0) == 0 || seteuid(0) == 0)
		return 8;
	gid_t groups[64];
	int groups_n = getgroups(64, groups);
	for (int i = 0; i < groups_n; i++) {
		if (groups[i] == 0)
			return 9;
	}
	uint64_t wanted = keep_bind ? BIND_BIT : 0;
	if (status_field("CapPrm:") != wanted || status_field("CapEff:") != wanted ||
	    status_field("CapInh:") != 0 || status_field("CapAmb:") != 0 || status_field("CapBnd:") != wanted)
		return 10;
	if (status_field("NoNewPrivs:") != 1)
		return 11;
	diag_fini(&diag);
	return 0;
}

static int in_process(int (*check)(bool), bool argument)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(check(argument));
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_drop(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_process(check_dropped, false), 0);
	assert_int_equal(in_process(check_dropped, true), 0);
}

/* As under systemd: not root, with a capability that was given. */
static int check_ordinary(bool keep_bind)
{
	struct diag diag;
	struct privileges privileges;
	diag_init(&diag);
	if (privileges_find("nobody", NULL, &diag, &privileges) < 0 || privileges_drop(&privileges, true) < 0)
		return 1;
	if (privileges_find("nobody", NULL, &diag, &privileges) < 0 || privileges.changes)
		return 2; /* who we are already is fine */
	if (privileges_find("daemon", NULL, &diag, &privileges) != -EINVAL || diag.errors_n != 1 ||
	    !strstr(diag.messages[0].text, "only root can become another user"))
		return 3;
	struct privileges none;
	if (privileges_find(NULL, NULL, &diag, &none) < 0 || privileges_drop(&none, keep_bind) < 0)
		return 4;
	if (status_field("CapPrm:") != (keep_bind ? BIND_BIT : 0))
		return 5;
	diag_fini(&diag);
	return 0;
}

static void test_ordinary(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_process(check_ordinary, false), 0);
	assert_int_equal(in_process(check_ordinary, true), 0);
}

static void check_refused(const char *user, const char *group, const char *want)
{
	struct diag diag;
	struct privileges privileges;
	diag_init(&diag);
	assert_int_equal(privileges_find(user, group, &diag, &privileges), -EINVAL);
	assert_int_equal(diag.errors_n, 1);
	if (!strstr(diag.messages[0].text, want))
		fail_msg("\"%s\" lacks \"%s\"", diag.messages[0].text, want);
	diag_fini(&diag);
}

static void test_find(void **state)
{
	(void)state;
	check_refused("no-such-user", NULL, "there is no such user; make it with: useradd");
	check_refused("root", NULL, "that is root; leave the setting out");
	check_refused(NULL, "nogroup", "has no server.user beside it");
	check_refused("nobody", "no-such-group", "there is no such group");
	if (geteuid() != 0)
		return;
	struct diag diag;
	struct privileges privileges;
	diag_init(&diag);
	assert_int_equal(privileges_find("nobody", "daemon", &diag, &privileges), 0);
	assert_int_equal(privileges.gid, getgrnam("daemon")->gr_gid);
	assert_int_equal(privileges.uid, getpwnam("nobody")->pw_uid);
	assert_true(privileges.changes);
	diag_fini(&diag);
}

static void test_state(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	char folder[] = "/tmp/dnsd-sandbox-XXXXXX";
	assert_non_null(mkdtemp(folder));
	char file[64];
	snprintf(file, sizeof(file), "%s/overrides.json", folder);
	int fd = open(file, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	struct diag diag;
	struct privileges privileges;
	diag_init(&diag);
	assert_int_equal(privileges_find("nobody", NULL, &diag, &privileges), 0);
	assert_int_equal(privileges_borrow(&privileges), 0);
	int folder_rc = privileges_check_state(&privileges, folder, &diag);
	assert_int_equal(privileges_return(&privileges), 0);
	assert_int_equal(chown(folder, privileges.uid, privileges.gid), 0);
	assert_int_equal(privileges_borrow(&privileges), 0);
	int file_rc = privileges_check_state(&privileges, folder, &diag);
	assert_int_equal(privileges_return(&privileges), 0);
	assert_int_equal(chown(file, privileges.uid, privileges.gid), 0);
	assert_int_equal(privileges_borrow(&privileges), 0);
	int good_rc = privileges_check_state(&privileges, folder, &diag);
	int missing_rc = privileges_check_state(&privileges, "/nonexistent/state", &diag);
	assert_int_equal(privileges_return(&privileges), 0);
	unlink(file);
	rmdir(folder);
	assert_int_equal(folder_rc, -EACCES);
	assert_int_equal(file_rc, -EACCES);
	assert_int_equal(good_rc, 0);
	assert_int_equal(missing_rc, 0);
	assert_int_equal(diag.errors_n, 2);
	assert_non_null(
	        strstr(diag.messages[0].text, "user \"nobody\" may not write to the state directory"));
	assert_non_null(strstr(diag.messages[1].text, "may not read and write overrides.json"));
	diag_fini(&diag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forbidden), cmocka_unit_test(test_log),
		cmocka_unit_test(test_mode),      cmocka_unit_test(test_lists),
		cmocka_unit_test(test_drop),      cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_find),      cmocka_unit_test(test_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
