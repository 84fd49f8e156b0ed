#include "server/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/grow.h"
#include "base/log.h"

struct watch {
	uv_poll_t poll;
	int fd;
	struct grow numbers; /* int: inotify's watch descriptors */
	void (*changed)(void *context);
	bool (*ignores)(const char *name);
	void *context;
};

static void on_events(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool any = false;
	(void)events;
	if (status < 0)
		return;
	ssize_t len;
	while ((len = read(watch->fd, buffer, sizeof(buffer))) > 0) {
		for (const char *at = buffer; at < buffer + len;) {
			struct inotify_event event;
			memcpy(&event, at, sizeof(event));
			const char *name = at + offsetof(struct inotify_event, name);
			/* IGNORED says that a watch is gone, which we have just done ourselves. */
			any |= (event.mask & IN_IGNORED) == 0 && !(event.len && watch->ignores(name));
			at += sizeof(event) + event.len;
		}
	}
	if (any)
		watch->changed(watch->context);
}

int watch_create(uv_loop_t *loop, void (*changed)(void *context), bool (*ignores)(const char *name),
                 void *context, struct watch **ret_watch)
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
	grow_init(&watch->numbers, sizeof(int));
	watch->changed = changed;
	watch->ignores = ignores;
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
	grow_fini(&watch->numbers);
	free(watch);
}

void watch_destroy(struct watch *watch)
{
	if (watch)
		uv_close((uv_handle_t *)&watch->poll, on_closed);
}

void watch_add(struct watch *watch, const char *directory)
{
	int number =
	        inotify_add_watch(watch->fd, directory,
	                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR);
	int *place = number < 0 ? NULL : grow_add(&watch->numbers, 1);
	if (place)
		*place = number;
	else
		log_warning("%s: cannot watch this directory for changes: %s", directory,
		            number < 0 ? strerror(errno) : "out of memory");
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
	watch_add(watch, slash ? (len ? directory : "/") : ".");
}

void watch_clear(struct watch *watch)
{
	const int *numbers = watch->numbers.items;
	for (size_t i = 0; i < watch->numbers.n; i++)
		inotify_rm_watch(watch->fd, numbers[i]);
	watch->numbers.n = 0;
}
