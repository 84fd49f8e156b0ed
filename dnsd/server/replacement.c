#include "server/replacement.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct replacement {
	union {
		uv_handle_t handle;
		uv_process_t process; /* a child of ours */
		uv_poll_t poll;       /* of the launcher: it tells the end */
	};
	struct launcher *launcher;
	pid_t pid;
	replacement_on_end *on_end;
	void *context;
};

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* --- a child of ours --- */

static void on_process_exit(uv_process_t *process, int64_t exit_status, int term_signal)
{
	struct replacement *replacement = process->data;
	replacement->on_end(replacement->context, exit_status, term_signal);
}

/* Our own environment and the number of the socket. NULL when out of memory; the caller frees the list. */
static char **make_environment(char *variable)
{
	size_t n = 0;
	while (environ[n])
		n++;
	char **list = calloc(n + 2, sizeof(*list));
	size_t kept_n = 0;
	for (size_t i = 0; i < n && list; i++) {
		/* The watchdog of the service manager is for its main process, which is the new one then. */
		if (strncmp(environ[i], "WATCHDOG_PID=", 13) != 0)
			list[kept_n++] = environ[i];
	}
	if (list)
		list[kept_n] = variable;
	return list;
}

static int spawn(struct replacement *replacement, const struct replacement_start *start)
{
	char variable[80];
	snprintf(variable, sizeof(variable), "%s=%d", start->variable, REPLACEMENT_FD);
	char **environment = make_environment(variable);
	if (!environment) {
		free(replacement);
		return -ENOMEM;
	}
	uv_stdio_container_t stdio[REPLACEMENT_FD + 1];
	for (int i = 0; i < REPLACEMENT_FD; i++)
		stdio[i] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = i };
	stdio[REPLACEMENT_FD] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = start->fd };
	uv_process_options_t options = { .file = start->program,
		                         .args = start->argv,
		                         .env = environment,
		                         .stdio = stdio,
		                         .stdio_count = REPLACEMENT_FD + 1,
		                         .exit_cb = on_process_exit };
	int rc = uv_spawn(start->loop, &replacement->process, &options);
	free(environment);
	replacement->process.data = replacement;
	replacement->pid = replacement->process.pid;
	if (rc < 0)
		replacement_close(replacement);
	return rc;
}

/* --- of the launcher --- */

static void on_news(uv_poll_t *poll, int status, int events)
{
	struct replacement *replacement = poll->data;
	pid_t pid = 0;
	int ended = 0;
	int rc;
	(void)status;
	(void)events;
	while ((rc = launcher_ended(replacement->launcher, &pid, &ended)) == 0 && pid != replacement->pid)
		;
	if (rc == -EAGAIN)
		return;
	/* Where the launcher itself has ended, nobody will know more. */
	uv_poll_stop(poll);
	replacement->on_end(replacement->context, rc == 0 && WIFEXITED(ended) ? WEXITSTATUS(ended) : 0,
	                    rc == 0 && WIFSIGNALED(ended) ? WTERMSIG(ended) : 0);
}

static int launch(struct replacement *replacement, const struct replacement_start *start)
{
	int rc = launcher_start(start->launcher, start->fd, &replacement->pid);
	if (rc == 0) {
		rc = uv_poll_init(start->loop, &replacement->poll, launcher_fd(start->launcher));
		if (rc < 0)
			(void)kill(replacement->pid, SIGKILL);
	}
	if (rc < 0) {
		free(replacement);
		return rc;
	}
	replacement->launcher = start->launcher;
	replacement->poll.data = replacement;
	uv_poll_start(&replacement->poll, UV_READABLE, on_news);
	return 0;
}

/* --- both --- */

int replacement_create(const struct replacement_start *start, struct replacement **ret_replacement)
{
	struct replacement *replacement = calloc(1, sizeof(*replacement));
	if (!replacement)
		return -ENOMEM;
	replacement->on_end = start->on_end;
	replacement->context = start->context;
	int rc = start->launcher ? launch(replacement, start) : spawn(replacement, start);
	if (rc == 0)
		*ret_replacement = replacement;
	return rc;
}

void replacement_close(struct replacement *replacement)
{
	if (replacement)
		uv_close(&replacement->handle, on_closed);
}

pid_t replacement_pid(const struct replacement *replacement)
{
	return replacement->pid;
}

void replacement_kill(const struct replacement *replacement, int signal)
{
	(void)kill(replacement->pid, signal);
}
