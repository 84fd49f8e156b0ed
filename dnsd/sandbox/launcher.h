/*
 * launcher: a small process, made before any right is given up, that can start this program again.
 *
 *     main ──privileges──> launcher: becomes server.user, keeps the right to bind, for good
 *          ──a descriptor──> fork, exec: the program, with that descriptor and the rights of the launcher
 *          <──its pid, later its end──
 *
 * A restart without a gap needs it: the sandbox runs no program, and one that it ran would be in the sandbox
 * itself. Filters and limits outlive exec, so the launcher can have none that the program could not live
 * with; what it can be asked for is little instead: to run what it was made for, with the arguments and
 * environment that main() got, one at a time, as the user that main runs as. Who has taken over main can
 * restart it, and nothing else. It ends when main does.
 */
#ifndef DNSD_SANDBOX_LAUNCHER_H
#define DNSD_SANDBOX_LAUNCHER_H

#include <sys/types.h>

#include "sandbox/privileges.h"

#define LAUNCHER_FD 3 /* what the program finds its descriptor as */

struct launcher;

/**
 * Make the process. Call before there are threads, and before files are open that it should not have.
 *
 * argv      as main() got it; argv[0] is looked up at each start, so that an upgraded program is found
 * variable  of the environment: says LAUNCHER_FD in the new program. $WATCHDOG_PID, where there is one, is
 *           its own pid
 * Returns   0 or negative errno
 */
int launcher_create(char *const *argv, const char *variable, struct launcher **ret_launcher);
/** It ends by itself then. Before launcher_drop() this waits for that. NULL is fine. */
void launcher_destroy(struct launcher *launcher);

/**
 * Have it give up its rights as main does, but for CAP_NET_BIND_SERVICE, which the program gets: what a
 * configuration says by then may be another port under 1024. Once; nothing is started before. From here on
 * ended children of the caller are nobody's business (SIGCHLD is ignored): in the sandbox there is no waiting
 * for them.
 *
 * Returns  0 or negative errno: launcher_destroy() is all that is left
 */
int launcher_drop(struct launcher *launcher, const struct privileges *privileges);

/**
 * Start the program. It is not our child.
 *
 * fd       stays the caller's
 * Returns  0 or negative errno: that of exec, when there is no such program; -EBUSY when the one before has
 *          not ended; -ETIMEDOUT when the launcher does not answer, -EPIPE when it is gone
 */
int launcher_start(struct launcher *launcher, int fd, pid_t *ret_pid);

/** Readable when there is news for launcher_ended(). */
int launcher_fd(const struct launcher *launcher);
/**
 * Has a program ended that was started?
 *
 * ret_status  as of waitpid(2)
 * Returns     0; -EAGAIN when there is no news; -EPIPE when the launcher is gone
 */
int launcher_ended(struct launcher *launcher, pid_t *ret_pid, int *ret_status);

#endif
