#include "sandbox/launcher.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 2000

struct launcher {
	int fd;
	pid_t pid;
};

union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

/* --- in the launcher --- */

static void set_signals(void (*handler)(int))
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE };
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		signal(numbers[i], handler);
}

static _Noreturn void become_program(char *const *argv, const char *variable, int fd)
{
	char number[16];
	set_signals(SIG_DFL);
	/* dup2() of a number to itself would leave it close-on-exec. */
	int spare = fd == LAUNCHER_FD ? dup(fd) : fd;
	if (spare < 0 || dup2(spare, LAUNCHER_FD) < 0)
		_exit(127);
	close_range(LAUNCHER_FD + 1, UINT_MAX, 0);
	snprintf(number, sizeof(number), "%d", LAUNCHER_FD);
	setenv(variable, number, 1);
	/* The sockets come from the process before, not from the manager. */
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	snprintf(number, sizeof(number), "%d", (int)getpid());
	if (getenv("WATCHDOG_PID"))
		setenv("WATCHDOG_PID", number, 1);
	execvp(argv[0], argv);
	_exit(127);
}

/* The descriptor of a request; -1 = there was none. Ends the process when main is gone. */
static int receive(int own)
{
	uint8_t byte;
	union control control;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr header = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t got;
	do {
		got = recvmsg(own, &header, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got <= 0)
		_exit(0);
	int fd = -1;
	const struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

static _Noreturn void serve(int own, char *const *argv, const char *variable)
{
	prctl(PR_SET_NAME, "dnsd-launcher");
	set_signals(SIG_IGN);
	if (own > LAUNCHER_FD)
		close_range(LAUNCHER_FD, (unsigned)own - 1, 0);
	close_range((unsigned)own + 1, UINT_MAX, 0);
	for (;;) {
		int fd = receive(own);
		int32_t answer = -EINVAL;
		if (fd >= 0) {
			pid_t pid = fork();
			if (pid == 0)
				become_program(argv, variable, fd);
			answer = pid < 0 ? -errno : pid;
			close(fd);
		}
		if (send(own, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
			_exit(0);
	}
}

/* --- in main --- */

int launcher_create(char *const *argv, const char *variable, struct launcher **ret_launcher)
{
	struct launcher *launcher = calloc(1, sizeof(*launcher));
	int pair[2];
	if (!launcher)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		int rc = -errno;
		free(launcher);
		return rc;
	}
	launcher->pid = fork();
	if (launcher->pid == 0)
		serve(pair[1], argv, variable);
	int rc = launcher->pid < 0 ? -errno : 0;
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		free(launcher);
		return rc;
	}
	launcher->fd = pair[0];
	*ret_launcher = launcher;
	return 0;
}

void launcher_destroy(struct launcher *launcher)
{
	if (!launcher)
		return;
	close(launcher->fd);
	/* In the sandbox this is refused, and init does it. */
	(void)waitpid(launcher->pid, NULL, 0);
	free(launcher);
}

int launcher_start(struct launcher *launcher, int fd, pid_t *ret_pid)
{
	uint8_t byte = 0;
	union control control = { 0 };
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr header = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	if (sendmsg(launcher->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	struct pollfd answer_is_there = { .fd = launcher->fd, .events = POLLIN };
	int32_t answer;
	int rc = poll(&answer_is_there, 1, ANSWER_MS);
	if (rc <= 0)
		return rc < 0 ? -errno : -ETIMEDOUT;
	ssize_t got = recv(launcher->fd, &answer, sizeof(answer), MSG_DONTWAIT);
	if (got != sizeof(answer))
		return got < 0 ? -errno : -EPIPE;
	if (answer < 0)
		return answer;
	*ret_pid = answer;
	return 0;
}
