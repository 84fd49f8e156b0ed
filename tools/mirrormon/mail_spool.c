#include "mirrormon/mail_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/grow.h"

#define TEXT_MAX_BYTES (1U << 20)
#define PATH_CAP       4096
#define PREFIX         "letter-"

static const char half_written[] = "half-";

static void make_name(char name[MAIL_SPOOL_NAME_MAX], uint64_t at_s, uint32_t number)
{
	snprintf(name, MAIL_SPOOL_NAME_MAX, PREFIX "%012" PRIu64 "-%06" PRIu32, at_s, number);
}

static int make_path(char path[PATH_CAP], const char *folder, const char *half, const char *name)
{
	int len = snprintf(path, PATH_CAP, "%s/%s%s", folder, half, name);
	return len < 0 || len >= PATH_CAP ? -ENAMETOOLONG : 0;
}

int mail_spool_write(int fd, const char *text)
{
	size_t len = strlen(text);
	while (len) {
		ssize_t written = write(fd, text, len);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written < 0 ? -errno : -EIO;
		text += written;
		len -= (size_t)written;
	}
	return 0;
}

static int write_whole(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int rc = mail_spool_write(fd, text);
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

int mail_spool_add(const char *folder, uint64_t at_s, uint32_t number, const char *text,
                   char ret_name[MAIL_SPOOL_NAME_MAX])
{
	char name[MAIL_SPOOL_NAME_MAX], half[PATH_CAP], path[PATH_CAP];
	make_name(name, at_s, number);
	if (make_path(half, folder, half_written, name) < 0 || make_path(path, folder, "", name) < 0)
		return -ENAMETOOLONG;
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return -errno;
	int rc = write_whole(half, text);
	if (rc == 0 && rename(half, path) < 0)
		rc = -errno;
	if (rc < 0)
		unlink(half);
	else
		memcpy(ret_name, name, sizeof(name));
	return rc;
}

void mail_spool_remove(const char *folder, const char *name)
{
	char path[PATH_CAP];
	if (make_path(path, folder, "", name) == 0)
		unlink(path);
}

/* What is behind "To: ", for messages. NULL when out of memory. */
static char *copy_to(const char *text)
{
	const char *line = strstr(text, "\nTo: ");
	line = line ? line + strlen("\nTo: ") : "";
	return strndup(line, strcspn(line, "\n"));
}

/* Returns 0; -ENOMEM; -ENOENT: it is none, can't be read, or is damaged and has been removed. */
static int read_one(const char *folder, const char *name, struct mail_spooled *ret_spooled)
{
	struct mail_spooled spooled = { 0 };
	char again[MAIL_SPOOL_NAME_MAX], path[PATH_CAP];
	size_t len = 0;
	const char *why;
	/* Only what we have written ourselves, or its beginning. */
	bool is_half = strncmp(name, half_written, strlen(half_written)) == 0;
	const char *rest = is_half ? name + strlen(half_written) : name;
	char *end;
	if (strncmp(rest, PREFIX, strlen(PREFIX)) != 0)
		return -ENOENT;
	spooled.at_s = strtoull(rest + strlen(PREFIX), &end, 10);
	spooled.number = *end == '-' ? (uint32_t)strtoul(end + 1, NULL, 10) : 0;
	make_name(again, spooled.at_s, spooled.number);
	if (strcmp(rest, again) != 0 || make_path(path, folder, "", name) < 0)
		return -ENOENT;
	int rc = is_half ? 0 : file_read(path, TEXT_MAX_BYTES, &spooled.letter.text, &len, &why);
	if (rc < 0)
		return rc == -ENOMEM ? rc : -ENOENT;
	/* After a power cut it may be empty, or of NULs. */
	if (len == 0 || memchr(spooled.letter.text, '\0', len)) {
		free(spooled.letter.text);
		unlink(path);
		return -ENOENT;
	}
	spooled.letter.to = copy_to(spooled.letter.text);
	if (!spooled.letter.to) {
		free(spooled.letter.text);
		return -ENOMEM;
	}
	memcpy(spooled.name, again, sizeof(again));
	*ret_spooled = spooled;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct mail_spooled *)a)->name, ((const struct mail_spooled *)b)->name);
}

int mail_spool_load(const char *folder, struct mail_spooled **ret_items, size_t *ret_n)
{
	struct grow items;
	int rc = 0;
	DIR *dir = opendir(folder);
	if (!dir)
		return -errno;
	grow_init(&items, sizeof(struct mail_spooled));
	const struct dirent *entry;
	while (rc == 0 && (entry = readdir(dir))) {
		struct mail_spooled spooled;
		rc = read_one(folder, entry->d_name, &spooled);
		if (rc == -ENOENT) {
			rc = 0;
			continue;
		}
		struct mail_spooled *place = rc == 0 ? grow_add(&items, 1) : NULL;
		if (place) {
			*place = spooled;
		} else if (rc == 0) {
			free(spooled.letter.to);
			free(spooled.letter.text);
			rc = -ENOMEM;
		}
	}
	closedir(dir);
	size_t n = items.n;
	struct mail_spooled *list = grow_take(&items);
	/* Out of memory: those there are. */
	if (n)
		qsort(list, n, sizeof(*list), compare_names);
	*ret_items = list;
	*ret_n = n;
	return rc;
}
