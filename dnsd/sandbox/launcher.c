#include "sandbox/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
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
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 2000
/* The program before may be on its way out when the next is wanted: killed, but not dead. */
#define ENDING_STEP_MS 10
#define ENDING_STEPS_N 100

struct launcher {
	int fd; /* -1 = it has not answered in time, and is not asked again */
	pid_t pid;
	bool is_dropped;
};

union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

/* Both ends are of one program: structs travel as they are. */
struct question {
	enum { ASK_DROP, ASK_START } what; /* START has a descriptor beside it */
	struct privileges privileges;      /* DROP */
};

struct answer {
	enum { TELL_RESULT, TELL_END } what;
	int number; /* RESULT: a pid, 0, or negative errno; END: the pid */
	int status; /* END: as of waitpid() */
};

/* --- in the launcher --- */

struct service {
	char *const *argv;
	const char *variable;
	bool is_dropped;
	pid_t child; /* 0 = none */
};

static void on_child(int number)
{
	(void)number; /* only to end ppoll() */
}

static void set_signals(void (*handler)(int))
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGUSR1, SIGUSR2, SIGPIPE };
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		signal(numbers[i], handler);
}

/* Returns errno: there is no such program. */
static int become_program(const struct service *service, int fd)
{
	char number[16];
	sigset_t child;
	set_signals(SIG_DFL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &child, NULL);
	if (dup2(fd, LAUNCHER_FD) < 0)
		return errno;
	/* At exec, since what reports a failure is among them. */
	close_range(LAUNCHER_FD + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
	snprintf(number, sizeof(number), "%d", LAUNCHER_FD);
	setenv(service->variable, number, 1);
	/* The sockets come from the process before, not from the manager. */
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	snprintf(number, sizeof(number), "%d", (int)getpid());
	if (getenv("WATCHDOG_PID"))
		setenv("WATCHDOG_PID", number, 1);
	execvp(service->argv[0], service->argv);
	return errno;
}

static void tell(const struct answer *answer)
{
	if (send(LAUNCHER_FD, answer, sizeof(*answer), MSG_NOSIGNAL) < 0)
		_exit(0);
}

static void look_after_child(struct service *service)
{
	struct answer answer = { .what = TELL_END, .number = service->child };
	if (service->child <= 0 || waitpid(service->child, &answer.status, WNOHANG) != service->child)
		return;
	service->child = 0;
	tell(&answer);
}

static int start(struct service *service, int fd)
{
	static const struct timespec step = { .tv_nsec = ENDING_STEP_MS * 1000000L };
	int report[2];
	if (fd < 0)
		return -EINVAL;
	if (!service->is_dropped)
		return -EPERM;
	for (int i = 0; service->child > 0 && i < ENDING_STEPS_N; i++) {
		look_after_child(service);
		if (service->child > 0)
			nanosleep(&step, NULL);
	}
	if (service->child > 0)
		return -EBUSY;
	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		int error = become_program(service, fd);
		_exit(write(report[1], &error, sizeof(error)) == sizeof(error) ? 127 : 126);
	}
	int rc = pid < 0 ? -errno : pid;
	close(report[1]);
	int error;
	if (pid > 0 && read(report[0], &error, sizeof(error)) == sizeof(error)) {
		(void)waitpid(pid, NULL, 0);
		rc = -error;
	} else if (pid > 0) {
		service->child = pid;
	}
	close(report[0]);
	return rc;
}

static int drop(struct service *service, const struct privileges *privileges)
{
	if (service->is_dropped)
		return -EPERM;
	int rc = privileges_drop(privileges, true);
	if (rc == 0)
		rc = privileges_pass_on();
	/* No core file and no debugger of the same user. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	service->is_dropped = rc == 0;
	return rc;
}

/* Ends the process when main is gone. */
static void receive(struct service *service)
{
	struct question question = { 0 };
	union control control;
	struct iovec iov = { .iov_base = &question, .iov_len = sizeof(question) };
	struct msghdr header = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t got = recvmsg(LAUNCHER_FD, &header, MSG_CMSG_CLOEXEC);
	if (got < 0 && errno == EINTR)
		return;
	if (got != sizeof(question))
		_exit(0);
	int fd = -1;
	const struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	struct answer answer = { .what = TELL_RESULT };
	question.privileges.user[sizeof(question.privileges.user) - 1] = '\0';
	answer.number = question.what == ASK_START  ? start(service, fd)
	                : question.what == ASK_DROP ? drop(service, &question.privileges)
	                                            : -EINVAL;
	if (fd >= 0)
		close(fd);
	tell(&answer);
}

static _Noreturn void serve(int own, char *const *argv, const char *variable)
{
	struct service service = { .argv = argv, .variable = variable };
	struct pollfd question = { .fd = LAUNCHER_FD, .events = POLLIN };
	sigset_t child;
	sigset_t none;
	prctl(PR_SET_NAME, "dnsd-launcher");
	set_signals(SIG_IGN);
	signal(SIGCHLD, on_child);
	sigemptyset(&none);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	/* So every other descriptor has a higher number than the one that the program gets. */
	if (own != LAUNCHER_FD && dup3(own, LAUNCHER_FD, O_CLOEXEC) < 0)
		_exit(1);
	close_range(LAUNCHER_FD + 1, UINT_MAX, 0);
	for (;;) {
		int n = ppoll(&question, 1, NULL, &none);
		look_after_child(&service);
		if (n > 0)
			receive(&service);
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
	if (launcher->fd >= 0)
		close(launcher->fd);
	if (!launcher->is_dropped)
		(void)waitpid(launcher->pid, NULL, 0);
	free(launcher);
}

static int receive_answer(const struct launcher *launcher, struct answer *ret_answer)
{
	ssize_t got = recv(launcher->fd, ret_answer, sizeof(*ret_answer), MSG_DONTWAIT);
	if (got < 0)
		return -errno;
	return got == sizeof(*ret_answer) ? 0 : -EPIPE;
}

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The next result; ends of programs that were given up are passed over. */
static int wait_for_result(const struct launcher *launcher, int *ret_number)
{
	uint64_t end_ms = now_ms() + ANSWER_MS;
	for (;;) {
		struct answer answer;
		int rc = receive_answer(launcher, &answer);
		if (rc == 0 && answer.what == TELL_RESULT) {
			*ret_number = answer.number;
			return 0;
		}
		if (rc < 0 && rc != -EAGAIN)
			return rc;
		uint64_t at_ms = now_ms();
		if (at_ms >= end_ms)
			return -ETIMEDOUT;
		struct pollfd pollfd = { .fd = launcher->fd, .events = POLLIN };
		if (rc == -EAGAIN && poll(&pollfd, 1, (int)(end_ms - at_ms)) < 0 && errno != EINTR)
			return -errno;
	}
}

static int ask(struct launcher *launcher, const struct question *question, int fd, int *ret_number)
{
	union control control = { 0 };
	struct iovec iov = { .iov_base = (void *)question, .iov_len = sizeof(*question) };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (launcher->fd < 0)
		return -EPIPE;
	if (fd >= 0) {
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	int rc = sendmsg(launcher->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
	if (rc == 0)
		rc = wait_for_result(launcher, ret_number);
	if (rc == -ETIMEDOUT) {
		/* A late answer would be taken for that to the next question. */
		close(launcher->fd);
		launcher->fd = -1;
	}
	return rc;
}

int launcher_drop(struct launcher *launcher, const struct privileges *privileges)
{
	struct question question = { .what = ASK_DROP, .privileges = *privileges };
	int number = 0;
	int rc = ask(launcher, &question, -1, &number);
	if (rc == 0)
		rc = number;
	if (rc < 0)
		return rc;
	launcher->is_dropped = true;
	signal(SIGCHLD, SIG_IGN);
	return 0;
}

int launcher_start(struct launcher *launcher, int fd, pid_t *ret_pid)
{
	struct question question = { .what = ASK_START };
	int number = 0;
	int rc = ask(launcher, &question, fd, &number);
	if (rc == 0 && number < 0)
		rc = number;
	if (rc == 0)
		*ret_pid = number;
	return rc;
}

int launcher_fd(const struct launcher *launcher)
{
	return launcher->fd;
}

int launcher_ended(struct launcher *launcher, pid_t *ret_pid, int *ret_status)
{
	struct answer answer = { 0 };
	int rc;
	do {
		rc = receive_answer(launcher, &answer);
	} while (rc == 0 && answer.what != TELL_END);
	if (rc < 0)
		return rc;
	*ret_pid = answer.number;
	*ret_status = answer.status;
	return 0;
}
