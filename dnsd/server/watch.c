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

/* How soon to try again what can't be watched; and at which of these tries its files are looked at all the
 * same.
 */
#define AGAIN_MS   2000
#define LOOK_TRIES 30

struct watch {
	uv_poll_t poll;
	uv_timer_t again;
	unsigned open_n;    /* handles not closed yet */
	int fd;             /* -1 = the system has none for us, for now */
	struct grow wanted; /* struct wanted */
	struct grow before; /* those of before watch_clear(): what has been told */
	unsigned tries_n;
	void (*changed)(void *context);
	void *context;
};

/* Files of a directory that somebody waits for. Several may share a watch. */
struct wanted {
	int number; /* inotify's; -1 = not watched */
	char *directory;
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
	if (watch->fd < 0)
		return false;
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

/* --- what can't be watched --- */

static bool has(const struct grow *list, const char *directory, bool is_watched)
{
	const struct wanted *wanted = list->items;
	for (size_t i = 0; i < list->n; i++) {
		if ((wanted[i].number >= 0) == is_watched && strcmp(wanted[i].directory, directory) == 0)
			return true;
	}
	return false;
}

static const char *why_not(int error)
{
	if (error == EMFILE)
		return "sysctl fs.inotify.max_user_instances, or the limit of open files, is used up; raise "
		       "it";
	return error == ENOSPC ? "sysctl fs.inotify.max_user_watches is used up; raise it" : strerror(error);
}

static void tell_again(const char *directory)
{
	log_info("%s: this directory is watched again", directory);
}

/* Told once, and when it is over. */
static void tell(const struct watch *watch, const char *directory, int number)
{
	bool was_told = has(&watch->before, directory, false);
	if (number >= 0 && was_told && !has(&watch->wanted, directory, true))
		tell_again(directory);
	else if (number < 0 && !was_told && !has(&watch->wanted, directory, false))
		log_warning(
		        "%s: cannot watch this directory for changes: %s; until then it is looked at once a "
		        "minute",
		        directory, why_not(-number));
}

static int open_inotify(struct watch *watch)
{
	if (watch->fd >= 0)
		return 0;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int rc = fd < 0 ? -errno : uv_poll_init(watch->again.loop, &watch->poll, fd);
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	watch->fd = fd;
	watch->open_n++;
	watch->poll.data = watch;
	uv_poll_start(&watch->poll, UV_READABLE, on_events);
	return 0;
}

/* Returns inotify's number, or negative errno. */
static int begin(struct watch *watch, const char *directory)
{
	int rc = open_inotify(watch);
	if (rc < 0)
		return rc;
	int number =
	        inotify_add_watch(watch->fd, directory,
	                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR);
	return number < 0 ? -errno : number;
}

/* A directory that was replaced is not there for a moment, and one that is mounted late for longer. */
static void on_again(uv_timer_t *timer)
{
	struct watch *watch = timer->data;
	struct wanted *wanted = watch->wanted.items;
	bool any = false;
	bool all = true;
	for (size_t i = 0; i < watch->wanted.n; i++) {
		if (wanted[i].number >= 0)
			continue;
		int number = begin(watch, wanted[i].directory);
		if (number >= 0) {
			wanted[i].number = number;
			any = true;
			if (!has(&watch->wanted, wanted[i].directory, false))
				tell_again(wanted[i].directory);
		}
		all &= number >= 0;
	}
	watch->tries_n = all ? 0 : watch->tries_n + 1;
	if (!all)
		uv_timer_start(&watch->again, on_again, AGAIN_MS, 0);
	if (any || watch->tries_n >= LOOK_TRIES) {
		watch->tries_n = 0;
		watch->changed(watch->context);
	}
}

/* --- life --- */

int watch_create(uv_loop_t *loop, void (*changed)(void *context), void *context, struct watch **ret_watch)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	int rc = uv_timer_init(loop, &watch->again);
	if (rc < 0) {
		free(watch);
		return rc;
	}
	grow_init(&watch->wanted, sizeof(struct wanted));
	grow_init(&watch->before, sizeof(struct wanted));
	watch->fd = -1;
	watch->open_n = 1;
	watch->again.data = watch;
	watch->changed = changed;
	watch->context = context;
	*ret_watch = watch;
	return 0;
}

static void drop(struct grow *list)
{
	struct wanted *wanted = list->items;
	for (size_t i = 0; i < list->n; i++)
		free(wanted[i].directory);
	grow_fini(list);
}

static void on_closed(uv_handle_t *handle)
{
	struct watch *watch = handle->data;
	if (--watch->open_n)
		return;
	if (watch->fd >= 0)
		close(watch->fd);
	drop(&watch->wanted);
	drop(&watch->before);
	free(watch);
}

void watch_destroy(struct watch *watch)
{
	if (!watch)
		return;
	uv_close((uv_handle_t *)&watch->again, on_closed);
	if (watch->fd >= 0)
		uv_close((uv_handle_t *)&watch->poll, on_closed);
}

static void add(struct watch *watch, const char *directory, const char *name, bool is_end)
{
	int number = begin(watch, directory);
	char *copy = strdup(directory);
	if (copy)
		tell(watch, directory, number);
	struct wanted *wanted = copy ? grow_add(&watch->wanted, 1) : NULL;
	if (!wanted) {
		log_warning("%s: cannot watch this directory for changes: out of memory", directory);
		free(copy);
		return;
	}
	wanted->directory = copy;
	wanted->number = number < 0 ? -1 : number;
	wanted->is_end = is_end;
	snprintf(wanted->name, sizeof(wanted->name), "%s", name);
	if (number < 0 && !uv_is_active((uv_handle_t *)&watch->again))
		uv_timer_start(&watch->again, on_again, AGAIN_MS, 0);
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
	for (size_t i = 0; i < watch->wanted.n; i++) {
		if (wanted[i].number >= 0)
			inotify_rm_watch(watch->fd, wanted[i].number);
	}
	drop(&watch->before);
	watch->before = watch->wanted;
	grow_init(&watch->wanted, sizeof(struct wanted));
	return any;
}
