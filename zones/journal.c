#include "zones/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/object.h"

#define FILE_NAME "journal.jsonl"

struct journal {
	char path[PATH_MAX];
	int fd;
	size_t max_bytes;
	unsigned files_n;
	off_t len;
};

/* number 0 is the one being written. */
static void numbered_path(const char *path, unsigned number, char *text, size_t cap)
{
	if (number)
		snprintf(text, cap, "%s.%u", path, number);
	else
		snprintf(text, cap, "%s", path);
}

/* Cut off what a crash has left of a line. Returns the length, or negative errno. */
static off_t mend_end(int fd)
{
	char block[4096];
	off_t len = lseek(fd, 0, SEEK_END);
	while (len > 0) {
		size_t take = len < (off_t)sizeof(block) ? (size_t)len : sizeof(block);
		ssize_t got = file_read_at(fd, block, take, len - (off_t)take);
		if (got != (ssize_t)take)
			return got < 0 ? got : -EIO;
		const char *newline = memrchr(block, '\n', take);
		if (newline) {
			len = len - (off_t)take + (newline - block) + 1;
			break;
		}
		len -= (off_t)take;
	}
	if (len >= 0 && ftruncate(fd, len) < 0)
		return -errno;
	return len < 0 ? -errno : len;
}

static int open_file(struct journal *journal)
{
	int fd = open(journal->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	off_t len = mend_end(fd);
	if (len < 0) {
		close(fd);
		return (int)len;
	}
	journal->fd = fd;
	journal->len = len;
	return 0;
}

int journal_open(const char *directory, size_t max_bytes, unsigned files_n, struct journal **ret_journal)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	if (!journal)
		return -ENOMEM;
	journal->max_bytes = max_bytes;
	journal->files_n = files_n;
	int path_len = snprintf(journal->path, sizeof(journal->path), "%s/" FILE_NAME, directory);
	int rc = path_len > 0 && (size_t)path_len + 8 < sizeof(journal->path) ? open_file(journal)
	                                                                      : -ENAMETOOLONG;
	if (rc < 0)
		free(journal);
	else
		*ret_journal = journal;
	return rc;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	close(journal->fd);
	free(journal);
}

static int write_lines(struct journal *journal, const char *text, size_t len)
{
	while (len) {
		ssize_t written = write(journal->fd, text, len);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		text += written;
		len -= (size_t)written;
	}
	return fdatasync(journal->fd) < 0 ? -errno : 0;
}

int journal_append(struct journal *journal, const json_t *records)
{
	char *text = NULL;
	size_t len = 0;
	FILE *lines = open_memstream(&text, &len);
	if (!lines)
		return -ENOMEM;
	bool good = true;
	for (size_t i = 0; i < json_array_size(records) && good; i++) {
		size_t line_len;
		char *line = object_dump(json_array_get(records, i), JSON_COMPACT, "\n", &line_len);
		good = line && fwrite(line, 1, line_len, lines) == line_len;
		free(line);
	}
	if (fclose(lines) != 0 || !good) {
		free(text);
		return -ENOMEM;
	}
	int rc = write_lines(journal, text, len);
	free(text);
	if (rc == 0)
		journal->len += (off_t)len;
	else if (ftruncate(journal->fd, journal->len) < 0)
		return rc; /* half a line stays, for the next start to take away */
	return rc;
}

bool journal_is_there(const struct journal *journal)
{
	struct stat ours;
	struct stat named;
	return fstat(journal->fd, &ours) == 0 && stat(journal->path, &named) == 0 &&
	       ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

bool journal_is_full(const struct journal *journal)
{
	return (size_t)journal->len >= journal->max_bytes;
}

int journal_rotate(struct journal *journal)
{
	char from[PATH_MAX + 16];
	char to[PATH_MAX + 16];
	/* Up to the first number that is free: a rotation that was killed half way has left one. */
	unsigned number = 1;
	numbered_path(journal->path, number, to, sizeof(to));
	while (number < journal->files_n && access(to, F_OK) == 0)
		numbered_path(journal->path, ++number, to, sizeof(to));
	for (; number > 0; number--) {
		numbered_path(journal->path, number - 1, from, sizeof(from));
		numbered_path(journal->path, number, to, sizeof(to));
		if (rename(from, to) < 0 && errno != ENOENT)
			return -errno;
	}
	int old = journal->fd;
	int rc = open_file(journal);
	if (rc < 0) {
		/* Back to where it was: it goes on in the old file. */
		numbered_path(journal->path, 1, from, sizeof(from));
		return rename(from, journal->path) < 0 ? -errno : rc;
	}
	close(old);
	return 0;
}

/* --- reading --- */

/* From when on a file tells the whole state: its first base. False when it has none. The first line is one,
 * unless there was no room on the disk for it. */
static bool begins_at(const char *path, uint64_t *ret_s)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	bool found = false;
	while (file && !found && getline(&line, &cap, file) > 0) {
		json_t *record = strstr(line, "\"type\":\"base\"") ? json_loads(line, 0, NULL) : NULL;
		const json_t *t = json_object_get(record, "t");
		found = json_is_integer(t);
		*ret_s = (uint64_t)json_integer_value(t);
		json_decref(record);
	}
	free(line);
	if (file)
		fclose(file);
	return found;
}

static bool read_lines(FILE *file, const char *path, bool (*each)(const json_t *record, void *context),
                       void *context, struct diag *diag)
{
	char *line = NULL;
	size_t cap = 0;
	unsigned number = 0;
	bool go_on = true;
	ssize_t len;
	while (go_on && (len = getline(&line, &cap, file)) > 0) {
		json_error_t error;
		number++;
		json_t *record = json_loadb(line, (size_t)len, 0, &error);
		if (record)
			go_on = each(record, context);
		else if (line[len - 1] == '\n')
			diag_warning(diag, path, number, "no JSON: %s; this record is stepped over",
			             error.text);
		json_decref(record);
	}
	free(line);
	return go_on;
}

static int read_all(const char *base, uint64_t from_s, bool (*each)(const json_t *record, void *context),
                    void *context, struct diag *diag)
{
	char path[PATH_MAX + 16];
	unsigned oldest = 0;
	unsigned missing_n = 0;
	/* A crash between two renames leaves one number out. */
	for (unsigned number = 0; missing_n < 2; number++) {
		uint64_t begin_s;
		numbered_path(base, number, path, sizeof(path));
		if (access(path, F_OK) < 0) {
			missing_n++;
			continue;
		}
		missing_n = 0;
		oldest = number;
		if (begins_at(path, &begin_s) && begin_s <= from_s)
			break;
	}
	bool go_on = true;
	bool any = false;
	for (unsigned number = oldest + 1; number-- > 0 && go_on;) {
		numbered_path(base, number, path, sizeof(path));
		FILE *file = fopen(path, "re");
		if (!file && errno == ENOENT && any)
			continue;
		if (!file) {
			int error = errno;
			diag_error(diag, path, 0, "cannot read the journal: %s", strerror(error));
			return -error;
		}
		any = true;
		go_on = read_lines(file, path, each, context, diag);
		fclose(file);
	}
	return 0;
}

/* Is it still the file that was opened? Open, its number can't be given to another. */
static bool is_same_file(int fd, const char *path)
{
	struct stat opened;
	struct stat now;
	bool there = stat(path, &now) == 0;
	if (fd < 0)
		return !there;
	return there && fstat(fd, &opened) == 0 && opened.st_ino == now.st_ino && opened.st_dev == now.st_dev;
}

int journal_read(const char *directory, uint64_t from_s, bool (*each)(const json_t *record, void *context),
                 void *context, struct diag *diag)
{
	char base[PATH_MAX];
	int base_len = snprintf(base, sizeof(base), "%s/" FILE_NAME, directory);
	if (base_len < 0 || (size_t)base_len + 16 > sizeof(base))
		return -ENAMETOOLONG;
	int fd = open(base, O_PATH | O_CLOEXEC);
	int rc = read_all(base, from_s, each, context, diag);
	if (!is_same_file(fd, base))
		rc = -EAGAIN;
	if (fd >= 0)
		close(fd);
	return rc;
}
