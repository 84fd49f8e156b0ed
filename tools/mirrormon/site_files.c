#include "mirrormon/site_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mirrormon/hash.h"

#define TOLD_MAX 3 /* a full disk fails each file: the first few say it */

static const char *const folders[] = { "mirror", "mirrors", "mirrors/status", "mirrors/status/json" };
/* The longer of two that end alike comes first. */
static const char *const suffixes[] = { ".badge.json", ".html", ".json", ".csv", ".svg" };

static void fail(struct site_files *files, int error, const char *path, const char *what)
{
	if (files->status == 0)
		files->status = -error;
	if (files->failed_n++ < TOLD_MAX)
		diag_error(files->diag, path, 0, "%s: %s; the site goes on with its other files", what,
		           strerror(error));
}

/* One that we make may be entered by a web server of another user, whatever our umask is. */
static bool make_folder(struct site_files *files, int at, const char *path)
{
	if (mkdirat(at, path, 0755) == 0 ? fchmodat(at, path, 0755, 0) == 0 : errno == EEXIST)
		return true;
	fail(files, errno, path, "the folder can't be made");
	return false;
}

void site_files_begin(struct site_files *files, const char *directory, struct diag *diag)
{
	*files = (struct site_files){ .directory = directory, .folder = -1, .diag = diag };
	char path[PATH_MAX];
	if (snprintf(path, sizeof(path), "%s", directory) >= (int)sizeof(path)) {
		fail(files, ENAMETOOLONG, directory, "the folder can't be made");
		return;
	}
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (!make_folder(files, AT_FDCWD, path))
			return;
		*slash = '/';
	}
	if (!make_folder(files, AT_FDCWD, path))
		return;
	files->folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (files->folder < 0) {
		fail(files, errno, directory, "the folder can't be opened");
		return;
	}
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		make_folder(files, files->folder, folders[i]);
}

static bool is_same(int folder, const char *path, const char *bytes, size_t len)
{
	int fd = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return false;
	struct stat info;
	bool same = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && (uint64_t)info.st_size == len;
	char chunk[65536];
	size_t done = 0;
	while (same && done < len) {
		ssize_t got = read(fd, chunk, sizeof(chunk));
		same = got > 0 && (size_t)got <= len - done && memcmp(chunk, bytes + done, (size_t)got) == 0;
		done += got > 0 ? (size_t)got : 0;
	}
	close(fd);
	return same;
}

static int write_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t written = write(fd, bytes, len);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written < 0 ? errno : EIO;
		bytes += written;
		len -= (size_t)written;
	}
	return 0;
}

/* Returns 0 or errno. */
static int replace(int folder, const char *path, const char *bytes, size_t len)
{
	char fresh[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int folder_len = slash ? (int)(slash - path) + 1 : 0;
	snprintf(fresh, sizeof(fresh), "%.*s.%s.new", folder_len, path, path + folder_len);
	int fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return errno;
	int error = write_all(fd, bytes, len);
	/* A web server of another user reads it, whatever our umask is. */
	if (error == 0 && fchmod(fd, 0644) < 0)
		error = errno;
	if (close(fd) < 0 && error == 0)
		error = errno;
	if (error == 0 && renameat(folder, fresh, folder, path) < 0)
		error = errno;
	if (error)
		unlinkat(folder, fresh, 0);
	return error;
}

void site_files_write(struct site_files *files, const char *path, const char *bytes, size_t len)
{
	if (is_same(files->folder, path, bytes, len)) {
		files->same_n++;
		return;
	}
	int error = replace(files->folder, path, bytes, len);
	if (error)
		fail(files, error, path, "the file can't be written");
	else
		files->written_n++;
}

int site_files_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Is it a file that stands for a mirror we do not have? What others have put there stays. */
static bool is_orphan(const char *file, const char *const *names, size_t n)
{
	size_t len = strlen(file);
	if (file[0] == '.')
		return len > 5 && strcmp(file + len - 4, ".new") == 0;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		size_t suffix_len = strlen(suffixes[i]);
		if (len <= suffix_len || strcmp(file + len - suffix_len, suffixes[i]) != 0)
			continue;
		char name[NAME_MAX + 1];
		snprintf(name, sizeof(name), "%.*s", (int)(len - suffix_len), file);
		const char *key = name;
		return n == 0 || !bsearch(&key, names, n, sizeof(*names), site_files_order);
	}
	return false;
}

void site_files_clear(struct site_files *files, const char *folder, const char *const *names, size_t n)
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof(path), "%s/%s", files->directory, folder) >= (int)sizeof(path))
		return;
	DIR *dir = opendir(path);
	if (!dir) {
		fail(files, errno, path, "the folder can't be read");
		return;
	}
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		if (!is_orphan(entry->d_name, names, n))
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			files->removed_n++;
		else
			fail(files, errno, entry->d_name, "the file can't be removed");
	}
	closedir(dir);
}

void site_files_end(struct site_files *files)
{
	if (files->folder >= 0)
		close(files->folder);
	files->folder = -1;
	if (files->failed_n > TOLD_MAX)
		diag_error(files->diag, files->directory, 0, "%zu more files could not be written or removed",
		           files->failed_n - TOLD_MAX);
}

const char *site_file_name(const char *host, char name[SITE_FILE_MAX])
{
	uint64_t hash = HASH_START;
	size_t len = 0;
	size_t cut = SITE_FILE_MAX - 1 - 18; /* what is longer ends in "__" and its hash */
	bool too_long = false;
	size_t host_len = strlen(host);
	for (size_t i = 0; i < host_len; i++) {
		unsigned char c = (unsigned char)host[i];
		c = c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : c;
		hash = hash_bytes(hash, &c, 1);
		/* HOST.badge.json is the badge of HOST. */
		bool dot_stays = i > 0 && strcmp(host + i, ".badge") != 0;
		bool stays = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
		             (c == '.' && dot_stays);
		size_t add = stays ? 1 : 3;
		too_long |= len + add > cut;
		if (too_long)
			continue;
		if (stays)
			name[len++] = (char)c;
		else
			len += (size_t)snprintf(name + len, SITE_FILE_MAX - len, "_%02x", c);
	}
	name[len] = '\0';
	if (too_long)
		snprintf(name + len, SITE_FILE_MAX - len, "__%016" PRIx64, hash);
	else if (len == 0)
		snprintf(name, SITE_FILE_MAX, "_");
	return name;
}
