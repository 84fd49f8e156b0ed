/*
 * launcher: a small process, made before any right is given up, that can start this program again.
 *
 *     main ──a descriptor──> launcher ──fork, exec──> the program, with that descriptor and the rights of the
 * start <──its pid───────
 *
 * A restart without a gap needs it: the sandbox runs no program, and one that it ran would be in the sandbox
 * itself, without the right to bind. All that the launcher can be asked for is to run what it was made for:
 * who has taken over main can restart it, and nothing else. It ends when main does.
 */
#ifndef DNSD_SANDBOX_LAUNCHER_H
#define DNSD_SANDBOX_LAUNCHER_H

#include <sys/types.h>

#define LAUNCHER_FD 3 /* what the program finds its descriptor as */

struct launcher;

/**
 * Make the process. Call before there are threads, and before files are open that it should not have.
 *
 * argv      as main() got it; argv[0] is looked up at each start, so that an upgraded program is found
 * variable  of the environment: says LAUNCHER_FD in the new program. $WATCHDOG_PID, where there is one, is
 * its own pid Returns   0 or negative errno
 */
int launcher_create(char *const *argv, const char *variable, struct launcher **ret_launcher);
/** NULL is fine. */
void launcher_destroy(struct launcher *launcher);

/**
 * Start the program. It is not our child: its end shows at the other end of fd.
 *
 * fd       stays the caller's
 * Returns  0 or negative errno; -ETIMEDOUT when the launcher does not answer, -EPIPE when it is gone
 */
int launcher_start(struct launcher *launcher, int fd, pid_t *ret_pid);

#endif
