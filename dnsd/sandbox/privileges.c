#include "sandbox/privileges.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (UINT64_C(1) << (capability))

int privileges_find(const char *user, const char *group, struct diag *diag, struct privileges *ret_privileges)
{
	struct privileges privileges = { 0 };
	if (!user && group) {
		diag_error(diag, NULL, 0, "server.group = \"%s\" has no server.user beside it; give both",
		           group);
		return -EINVAL;
	}
	if (user) {
		const struct passwd *entry = getpwnam(user);
		if (!entry || entry->pw_uid == 0) {
			diag_error(diag, NULL, 0, "server.user = \"%s\": %s", user,
			           entry ? "that is root; leave the setting out to stay root"
			                 : "there is no such user; make it with: useradd --system "
			                   "--no-create-home --shell /usr/sbin/nologin NAME");
			return -EINVAL;
		}
		snprintf(privileges.user, sizeof(privileges.user), "%s", user);
		privileges.uid = entry->pw_uid;
		privileges.gid = entry->pw_gid;
	}
	if (group) {
		const struct group *entry = getgrnam(group);
		if (!entry) {
			diag_error(diag, NULL, 0,
			           "server.group = \"%s\": there is no such group; make it with: groupadd "
			           "--system NAME",
			           group);
			return -EINVAL;
		}
		privileges.gid = entry->gr_gid;
	}
	privileges.changes = user && geteuid() == 0;
	if (user && !privileges.changes && geteuid() != privileges.uid) {
		diag_error(diag, NULL, 0,
		           "server.user = \"%s\": only root can become another user, and this is user number "
		           "%u; start as "
		           "root, or leave the setting out",
		           user, (unsigned)geteuid());
		return -EINVAL;
	}
	*ret_privileges = privileges;
	return 0;
}

/* --- borrowed --- */

int privileges_borrow(const struct privileges *privileges)
{
	if (!privileges->changes)
		return 0;
	if (initgroups(privileges->user, privileges->gid) < 0 || setegid(privileges->gid) < 0 ||
	    seteuid(privileges->uid) < 0)
		return -errno;
	return 0;
}

int privileges_return(const struct privileges *privileges)
{
	if (!privileges->changes)
		return 0;
	/* The groups of the user stay until privileges_drop(): root needs none. */
	if (seteuid(0) < 0 || setegid(getgid()) < 0)
		return -errno;
	return 0;
}

/* The user that files are made as, which sockets are to the kernel. All rights but those to files stay. */
void privileges_begin_sockets(const struct privileges *privileges)
{
	if (privileges->changes)
		(void)setfsuid(privileges->uid);
}

void privileges_end_sockets(const struct privileges *privileges)
{
	if (privileges->changes)
		(void)setfsuid(geteuid());
}

/* --- for good --- */

static int read_permitted(uint64_t *ret_permitted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*ret_permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

static int set_capabilities(uint64_t wanted)
{
	uint64_t permitted = 0;
	int rc = read_permitted(&permitted);
	if (rc < 0)
		return rc;
	wanted &= permitted;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	data[0].permitted = data[0].effective = (uint32_t)wanted;
	data[1].permitted = data[1].effective = (uint32_t)(wanted >> 32);
	/* Inheritable ones go too, and with them the ambient ones that systemd gives. */
	if (syscall(SYS_capset, &header, data) < 0 && (permitted != wanted || errno != EPERM))
		return -errno;
	return 0;
}

/* So that no program with file capabilities could give them back. Needs CAP_SETPCAP: before the user changes.
 */
static void shrink_bounding_set(uint64_t wanted)
{
	for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
		if (!(wanted & BIT(capability)))
			(void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	}
}

static int change_user(const struct privileges *privileges, bool keep_bind)
{
	if (keep_bind && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return -errno;
	if (initgroups(privileges->user, privileges->gid) < 0 ||
	    setresgid(privileges->gid, privileges->gid, privileges->gid) < 0 ||
	    setresuid(privileges->uid, privileges->uid, privileges->uid) < 0)
		return -errno;
	return 0;
}

/* What the calls above promise is looked at: nothing here may fail in silence. */
static int check_dropped(const struct privileges *privileges, uint64_t wanted)
{
	uint64_t permitted = ~UINT64_C(0);
	int rc = read_permitted(&permitted);
	if (rc < 0)
		return rc;
	if (permitted & ~wanted)
		return -EPERM;
	uid_t real;
	uid_t effective;
	uid_t saved;
	if (getresuid(&real, &effective, &saved) < 0)
		return -errno;
	if (privileges->changes && (real != privileges->uid || effective != privileges->uid ||
	                            saved != privileges->uid || setresuid((uid_t)-1, 0, (uid_t)-1) == 0))
		return -EPERM;
	return 0;
}

int privileges_drop(const struct privileges *privileges, bool keep_bind)
{
	uint64_t wanted = keep_bind ? BIT(CAP_NET_BIND_SERVICE) : 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (!privileges->changes && geteuid() == 0)
		return 0;
	if (privileges->changes)
		shrink_bounding_set(wanted);
	int rc = privileges->changes ? change_user(privileges, keep_bind) : 0;
	if (rc == 0)
		rc = set_capabilities(wanted);
	if (rc == 0)
		rc = check_dropped(privileges, wanted);
	return rc;
}

int privileges_pass_on(void)
{
	const uint64_t bind_bit = BIT(CAP_NET_BIND_SERVICE);
	uint64_t permitted = 0;
	int rc = read_permitted(&permitted);
	if (rc < 0 || geteuid() == 0 || !(permitted & bind_bit))
		return rc;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	data[0].permitted = data[0].effective = data[0].inheritable = (uint32_t)bind_bit;
	if (syscall(SYS_capset, &header, data) < 0 ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) < 0)
		return -errno;
	return 0;
}

/* --- state --- */

static bool is_denied(int at, const char *name, int mode)
{
	return faccessat(at, name, mode, AT_EACCESS) < 0 && errno == EACCES;
}

int privileges_check_state(const struct privileges *privileges, const char *directory, struct diag *diag)
{
	if (is_denied(AT_FDCWD, directory, R_OK | W_OK | X_OK)) {
		diag_error(diag, directory, 0,
		           "user \"%s\" may not write to the state directory; say: chown -R %s %s",
		           privileges->user, privileges->user, directory);
		return -EACCES;
	}
	DIR *dir = opendir(directory);
	if (!dir)
		return 0;
	int rc = 0;
	for (const struct dirent *entry; (entry = readdir(dir)) && rc == 0;) {
		struct stat st;
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (is_denied(dirfd(dir), entry->d_name, R_OK | W_OK)) {
			diag_error(diag, directory, 0,
			           "user \"%s\" may not read and write %s in the state directory; say: chown "
			           "-R %s %s",
			           privileges->user, entry->d_name, privileges->user, directory);
			rc = -EACCES;
		}
	}
	closedir(dir);
	return rc;
}
