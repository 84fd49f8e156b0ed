/*
 * privileges: become an ordinary user, for good.
 *
 *     root ──bind──> privileges_drop() ──> user, no capability (or CAP_NET_BIND_SERVICE alone), no new
 * privileges
 *
 * All the server will ever read again it must be able to read as that user. So the first load is done with
 * the user's rights too, borrowed for a moment: what a reload could not read, the start can't either, and
 * says so.
 *
 * Identities are those of the process: call before there are threads.
 */
#ifndef DNSD_SANDBOX_PRIVILEGES_H
#define DNSD_SANDBOX_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/diag.h"

struct privileges {
	bool changes; /* we are root and are to become: */
	uid_t uid;
	gid_t gid;
	char user[64];
};

/**
 * Look up who we are to become.
 *
 * user, group  of the configuration; both may be NULL. Without a group it is the user's own
 * Returns      0, or -EINVAL with diag filled: no such user or group, or we are not root and somebody else
 */
int privileges_find(const char *user, const char *group, struct diag *diag,
                    struct privileges *ret_privileges);

/** The rights of the user for files, until privileges_return(). Returns 0 or negative errno. */
int privileges_borrow(const struct privileges *privileges);
int privileges_return(const struct privileges *privileges);

/**
 * Sockets that are opened between these two calls are the user's, as if it had opened them. The kernel lets
 * sockets that overlap (127.0.0.1 and 0.0.0.0 at one port, several at one address) be of one user only, so
 * beside those of root a reload or the next process could open none.
 */
void privileges_begin_sockets(const struct privileges *privileges);
void privileges_end_sockets(const struct privileges *privileges);

/**
 * Give up everything but the user's rights. A root that is to stay root keeps its own; without being root all
 * capabilities go too. Checked afterwards: there is no way back.
 *
 * keep_bind  keep CAP_NET_BIND_SERVICE, if we have it
 * Returns    0 or negative errno: then the process must not go on
 */
int privileges_drop(const struct privileges *privileges, bool keep_bind);

/**
 * After privileges_drop(): let a program that is run from here have CAP_NET_BIND_SERVICE, if we do. What root
 * runs has it anyway. Returns 0 or negative errno.
 */
int privileges_pass_on(void);

/**
 * May this user keep state there? Looks at the directory and the files in it. A directory that is not there
 * or on a read-only file system is none of our business: the server serves all the same.
 *
 * Returns  0, or -EACCES with diag filled
 */
int privileges_check_state(const struct privileges *privileges, const char *directory, struct diag *diag);

#endif
