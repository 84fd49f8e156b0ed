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
	size_t done = 0;
	ssize_t got = 0;
	/* One byte more than there should be, to see that it has grown. */
	while (done <= len && (got = read(fd, text + done, len + 1 - done)) > 0)
		done += (size_t)got;
	int rc = 0;
	if (got < 0)
		rc = fail(-errno, strerror(errno), ret_why);
	else if (done != len || fstat(fd, &after) < 0 || after.st_size != before.st_size ||
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

static int write_all(int fd, const char *bytes, size_t len)
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

/* PATH.new, on disk whole. */
static int write_fresh(const char *path, const void *bytes, size_t len, char fresh[PATH_MAX])
{
	int fresh_len = snprintf(fresh, PATH_MAX, "%s.new", path);
	if (fresh_len < 0 || fresh_len >= PATH_MAX)
		return -ENAMETOOLONG;
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	int rc = write_all(fd, bytes, len);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
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

int file_replace(const char *path, const void *bytes, size_t len)
{
	char fresh[PATH_MAX];
	int rc = write_fresh(path, bytes, len, fresh);
	if (rc == 0)
		rc = move(fresh, path);
	return rc < 0 ? rc : sync_folder(path);
}

int file_replace_two(const struct file_content *first, const struct file_content *second, bool *ret_half)
{
	*ret_half = false;
	char fresh[PATH_MAX];
	char fresh_second[PATH_MAX];
	int rc = write_fresh(first->path, first->bytes, first->len, fresh);
	if (rc < 0)
		return rc;
	rc = write_fresh(second->path, second->bytes, second->len, fresh_second);
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
