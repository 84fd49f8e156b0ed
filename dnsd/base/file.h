/*
 * file: whole small files, read privately and replaced whole.
 *
 *     file_replace():  bytes ─> PATH.new ─fsync─> rename over PATH ─fsync of the folder─> on disk for good
 *     file_publish():  the same, for all to read
 *     file_rewrite():  the same, whose it was and as it was
 */
#ifndef DNSD_BASE_FILE_H
#define DNSD_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * Read a regular file of at most max_bytes. Never waits, whatever PATH is.
 *
 * ret_text  on success, with a final NUL behind its ret_len bytes; caller frees
 * ret_why   on failure: a phrase for a message, static or of strerror()
 * Returns   0; -ENOENT when there is none; another negative errno; -EAGAIN when it was written to meanwhile
 */
int file_read(const char *path, size_t max_bytes, char **ret_text, size_t *ret_len, const char **ret_why);

/** Fill bytes from an open file, in as many reads as it takes: a file system may give a part, or be
 * interrupted. Returns how many there were, fewer than len at the end of the file alone, or negative errno.
 */
ssize_t file_read_all(int fd, void *bytes, size_t len);
/** The same from an offset on. */
ssize_t file_read_at(int fd, void *bytes, size_t len, off_t off);

/** All bytes to an open file. Returns 0 or negative errno, any part of them being written then. */
int file_write_all(int fd, const char *bytes, size_t len);

/** Replace a file so that a reader, or a crash at any moment, finds the old one or the new one, whole. Mode
 * 0640, less what the umask takes. Returns 0 or negative errno, the old one then being as it was. */
int file_replace(const char *path, const void *bytes, size_t len);

/** As file_replace(), for what other users read: mode 0644, whatever the umask is. */
int file_publish(const char *path, const void *bytes, size_t len);

struct file_content {
	const char *path;
	const void *bytes;
	size_t len;
};
/** Two of one folder that belong together: nothing but the renames lies between the first and the second.
 * Returns 0 or negative errno; both are then as they were, but with ret_half, where the first is new. */
int file_publish_two(const struct file_content *first, const struct file_content *second, bool *ret_half);

/**
 * As file_replace(), of a file that is there: its successor has its mode, owner and group before it takes its
 * place. For a path that is no symbolic link.
 * ret_is_owned  set with 0: false when only a user with more rights could give it to the same owner and group
 */
int file_rewrite(const char *path, const void *bytes, size_t len, bool *ret_is_owned);

#endif
