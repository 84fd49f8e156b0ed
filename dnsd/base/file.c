#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(int error, const char *why, const char **ret_why)
{
	*ret_why = why;
	return error;
}

/* off < 0: from where the file stands. */
static ssize_t read_parts(int fd, uint8_t *bytes, size_t len, off_t off)
{
	size_t done = 0;
	while (done < len) {
		ssize_t got = off < 0 ? read(fd, bytes + done, len - done)
		                      : pread(fd, bytes + done, len - done, off + (off_t)done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

ssize_t file_read_all(int fd, void *bytes, size_t len)
{
	return read_parts(fd, bytes, len, -1);
}

ssize_t file_read_at(int fd, void *bytes, size_t len, off_t off)
{
	return read_parts(fd, bytes, len, off);
}

static int read_open(int fd, size_t max_bytes, char **ret_text, size_t *ret_len, const char **ret_why)
{
	struct stat before;
	struct stat after;
	if (fstat(fd, &before) < 0 || !S_ISREG(before.st_mode))
		return fail(-EINVAL, "it is not a regular file", ret_why);
	if ((uint64_t)before.st_size > max_bytes)
		return fail(-EFBIG, "it is larger than allowed", ret_why);
	size_t len = (size_t)before.st_size;
	char *text = malloc(len + 1);
	if (!text)
		return fail(-ENOMEM, "out of memory", ret_why);
	/* One byte more than there should be, to see that it has grown. */
	ssize_t got = file_read_all(fd, text, len + 1);
	int rc = 0;
	if (got < 0)
		rc = fail((int)got, strerror((int)-got), ret_why);
	else if ((size_t)got != len || fstat(fd, &after) < 0 || after.st_size != before.st_size ||
	         after.st_mtim.tv_sec != before.st_mtim.tv_sec ||
	         after.st_mtim.tv_nsec != before.st_mtim.tv_nsec)
		rc = fail(-EAGAIN, "it was written to while it was read; replace it by rename instead",
		          ret_why);
	if (rc < 0) {
		free(text);
		return rc;
	}
	text[len] = '\0';
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int file_read(const char *path, size_t max_bytes, char **ret_text, size_t *ret_len, const char **ret_why)
{
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail(-errno, strerror(errno), ret_why);
	int rc = read_open(fd, max_bytes, ret_text, ret_len, ret_why);
	close(fd);
	return rc;
}

int file_write_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t written = write(fd, bytes, len);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		len -= (size_t)written;
	}
	return 0;
}

/* A rename is only for good once the folder is on disk too. */
static int sync_folder(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

/* What the new file has to be besides its bytes. */
struct form {
	const struct stat *owner; /* of the same owner and group as this; NULL = ours */
	bool has_mode;            /* else 0640, less the umask */
	mode_t mode;
};

static bool take_owner(int fd, const struct stat *owner)
{
	struct stat own = { 0 };
	if (fstat(fd, &own) == 0 && own.st_uid == owner->st_uid && own.st_gid == owner->st_gid)
		return true;
	if (fchown(fd, owner->st_uid, owner->st_gid) == 0)
		return true;
	/* Of those who could read it some still can. */
	if (fchown(fd, (uid_t)-1, owner->st_gid) < 0)
		return false;
	return own.st_uid == owner->st_uid;
}

static int write_fresh(int fd, const void *bytes, size_t len, const struct form *form, bool *ret_is_owned)
{
	int rc = file_write_all(fd, bytes, len);
	*ret_is_owned = !form->owner || take_owner(fd, form->owner);
	if (rc == 0 && form->has_mode && fchmod(fd, form->mode) < 0)
		rc = -errno;
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	return rc;
}

/* PATH.new, on disk whole. */
static int prepare(const char *path, const void *bytes, size_t len, const struct form *form,
                   char fresh[PATH_MAX], bool *ret_is_owned)
{
	int fresh_len = snprintf(fresh, PATH_MAX, "%s.new", path);
	if (fresh_len < 0 || fresh_len >= PATH_MAX)
		return -ENAMETOOLONG;
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	              form->has_mode ? form->mode & 0600 : 0640);
	if (fd < 0)
		return -errno;
	int rc = write_fresh(fd, bytes, len, form, ret_is_owned);
	close(fd);
	if (rc < 0)
		unlink(fresh);
	return rc;
}

static int move(const char *fresh, const char *path)
{
	if (rename(fresh, path) == 0)
		return 0;
	int rc = -errno;
	unlink(fresh);
	return rc;
}

static int replace(const char *path, const void *bytes, size_t len, const struct form *form,
                   bool *ret_is_owned)
{
	char fresh[PATH_MAX];
	int rc = prepare(path, bytes, len, form, fresh, ret_is_owned);
	if (rc == 0)
		rc = move(fresh, path);
	return rc < 0 ? rc : sync_folder(path);
}

int file_replace(const char *path, const void *bytes, size_t len)
{
	bool is_owned;
	return replace(path, bytes, len, &(struct form){ .owner = NULL }, &is_owned);
}

int file_publish(const char *path, const void *bytes, size_t len)
{
	bool is_owned;
	return replace(path, bytes, len, &(struct form){ .has_mode = true, .mode = 0644 }, &is_owned);
}

int file_publish_two(const struct file_content *first, const struct file_content *second, bool *ret_half)
{
	static const struct form form = { .has_mode = true, .mode = 0644 };
	char fresh[PATH_MAX];
	char fresh_second[PATH_MAX];
	bool is_owned;
	*ret_half = false;
	int rc = prepare(first->path, first->bytes, first->len, &form, fresh, &is_owned);
	if (rc < 0)
		return rc;
	rc = prepare(second->path, second->bytes, second->len, &form, fresh_second, &is_owned);
	if (rc < 0) {
		unlink(fresh);
		return rc;
	}
	rc = move(fresh, first->path);
	if (rc < 0) {
		unlink(fresh_second);
		return rc;
	}
	rc = move(fresh_second, second->path);
	*ret_half = rc < 0;
	return rc < 0 ? rc : sync_folder(second->path);
}

int file_rewrite(const char *path, const void *bytes, size_t len, bool *ret_is_owned)
{
	struct stat before;
	if (lstat(path, &before) < 0)
		return -errno;
	if (!S_ISREG(before.st_mode))
		return -EINVAL;
	return replace(path, bytes, len,
	               &(struct form){ .owner = &before, .has_mode = true, .mode = before.st_mode & 0777 },
	               ret_is_owned);
}
