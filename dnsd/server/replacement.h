/*
 * replacement: this program, started once more, to take our place.
 *
 *     not in the sandbox: a child of ours       in the sandbox: by the launcher, a child of its own
 *
 * Either way the new process finds a socket as REPLACEMENT_FD, and its end is told.
 */
#ifndef DNSD_SERVER_REPLACEMENT_H
#define DNSD_SERVER_REPLACEMENT_H

#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "sandbox/launcher.h"

#define REPLACEMENT_FD LAUNCHER_FD

struct replacement;

/** term_signal: 0 = it has ended with exit_status. */
typedef void replacement_on_end(void *context, int64_t exit_status, int term_signal);

/** Borrowed, the launcher and the loop up to replacement_close(). */
struct replacement_start {
	uv_loop_t *loop;
	struct launcher *launcher; /* NULL: as our child */
	const char *program;
	char **argv;
	const char *variable; /* of the environment, to say REPLACEMENT_FD */
	int fd;               /* stays the caller's */
	replacement_on_end *on_end;
	void *context;
};

/** Returns 0, or negative errno: there is none. */
int replacement_create(const struct replacement_start *start, struct replacement **ret_replacement);
/** Nothing is told from here on; the process lives. Freed by the loop. NULL is fine. */
void replacement_close(struct replacement *replacement);

pid_t replacement_pid(const struct replacement *replacement);
/** Not after its end was told. */
void replacement_kill(const struct replacement *replacement, int signal);

#endif
