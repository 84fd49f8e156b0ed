#include "server/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/grow.h"
#include "base/log.h"

struct watch {
	uv_poll_t poll;
	int fd;
	struct grow wanted; /* struct wanted */
	void (*changed)(void *context);
	void *context;
};

/* Files of a directory that somebody waits for. Several may share a watch. */
struct wanted {
	int number; /* inotify's */
	char name[NAME_MAX + 1];
	bool is_end; /* all whose names end so */
};

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name);
	size_t end_len = strlen(end);
	return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

/* Other files come and go in the same directories, a writer's unfinished ones among them. */
static bool is_wanted(const struct watch *watch, int number, const char *name)
{
	const struct wanted *wanted = watch->wanted.items;
	/* Kubernetes and its like put a new set of files in place by renaming a link of such a name. */
	if (strncmp(name, "..", 2) == 0)
		return true;
	for (size_t i = 0; i < watch->wanted.n; i++) {
		if (wanted[i].number == number &&
		    (wanted[i].is_end ? ends_with(name, wanted[i].name) : strcmp(name, wanted[i].name) == 0))
			return true;
	}
	return false;
}

/* Take what has happened. Returns whether it is of interest. */
static bool take_events(struct watch *watch)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool any = false;
	ssize_t len;
	while ((len = read(watch->fd, buffer, sizeof(buffer))) > 0) {
		for (const char *at = buffer; at < buffer + len;) {
			struct inotify_event event;
			memcpy(&event, at, sizeof(event));
			const char *name = at + offsetof(struct inotify_event, name);
			/* IGNORED says that a watch is gone, which we have just done ourselves. */
			/* Without a name: the directory itself was moved or removed. */
			any |= (event.mask & IN_IGNORED) == 0 &&
			       (event.len == 0 || is_wanted(watch, event.wd, name));
			at += sizeof(event) + event.len;
		}
	}
	return any;
}

static void on_events(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	(void)events;
	if (status == 0 && take_events(watch))
		watch->changed(watch->context);
}

int watch_create(uv_loop_t *loop, void (*changed)(void *context), void *context, struct watch **ret_watch)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int rc = watch->fd < 0 ? -errno : uv_poll_init(loop, &watch->poll, watch->fd);
	if (rc < 0) {
		if (watch->fd >= 0)
			close(watch->fd);
		free(watch);
		return rc;
	}
	grow_init(&watch->wanted, sizeof(struct wanted));
	watch->changed = changed;
	watch->context = context;
	watch->poll.data = watch;
	uv_poll_start(&watch->poll, UV_READABLE, on_events);
	*ret_watch = watch;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct watch *watch = handle->data;
	close(watch->fd);
	grow_fini(&watch->wanted);
	free(watch);
}

void watch_destroy(struct watch *watch)
{
	if (watch)
		uv_close((uv_handle_t *)&watch->poll, on_closed);
}

static void add(struct watch *watch, const char *directory, const char *name, bool is_end)
{
	int number =
	        inotify_add_watch(watch->fd, directory,
	                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR);
	struct wanted *wanted = number < 0 ? NULL : grow_add(&watch->wanted, 1);
	if (!wanted) {
		log_warning("%s: cannot watch this directory for changes: %s", directory,
		            number < 0 ? strerror(errno) : "out of memory");
		return;
	}
	wanted->number = number;
	wanted->is_end = is_end;
	snprintf(wanted->name, sizeof(wanted->name), "%s", name);
}

void watch_add_folder(struct watch *watch, const char *directory, const char *end)
{
	add(watch, directory, end, true);
}

void watch_add_file(struct watch *watch, const char *file)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(file, '/');
	size_t len = slash ? (size_t)(slash - file) : 0;
	if (len >= sizeof(directory))
		return; /* such a path can't be opened either, which is told where it is tried */
	memcpy(directory, file, len);
	directory[len] = '\0';
	add(watch, slash ? (len ? directory : "/") : ".", slash ? slash + 1 : file, false);
}

bool watch_clear(struct watch *watch)
{
	bool any = take_events(watch);
	const struct wanted *wanted = watch->wanted.items;
	for (size_t i = 0; i < watch->wanted.n; i++)
		inotify_rm_watch(watch->fd, wanted[i].number);
	watch->wanted.n = 0;
	return any;
}
