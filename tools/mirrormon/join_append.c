#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "mirrormon/join_int.h"

/* Where in a mirrors file things are. Comments and strings are passed over; what conf refuses is refused
 * there. */
struct scan {
	const char *text;
	size_t len, at;
	const char *why; /* it is not understood */
};

static void skip_to_line_end(struct scan *scan)
{
	while (scan->at < scan->len && scan->text[scan->at] != '\n')
		scan->at++;
}

static void skip_block_comment(struct scan *scan)
{
	for (scan->at += 2; scan->at + 1 < scan->len; scan->at++) {
		if (scan->text[scan->at] == '*' && scan->text[scan->at + 1] == '/') {
			scan->at += 2;
			return;
		}
	}
	scan->why = "a comment that does not end";
}

static void skip_string(struct scan *scan)
{
	for (scan->at++; scan->at < scan->len; scan->at++) {
		if (scan->text[scan->at] == '\\')
			scan->at++;
		else if (scan->text[scan->at] == '"') {
			scan->at++;
			return;
		}
	}
	scan->why = "a string that does not end";
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-' || c == '*';
}

/* Next sign that is neither blank nor comment: itself, 'w' for a word, 's' for a string, 0 at the end. Leaves
 * `at` behind it; ret_start and the length say where it was. */
static char next_sign(struct scan *scan, size_t *ret_start)
{
	while (scan->at < scan->len && !scan->why) {
		char c = scan->text[scan->at];
		char next = scan->at + 1 < scan->len ? scan->text[scan->at + 1] : '\0';
		*ret_start = scan->at;
		if (c == '#' || (c == '/' && next == '/')) {
			skip_to_line_end(scan);
		} else if (c == '/' && next == '*') {
			skip_block_comment(scan);
		} else if (c == '"') {
			skip_string(scan);
			return scan->why ? '\0' : 's';
		} else if (is_word(c)) {
			while (scan->at < scan->len && is_word(scan->text[scan->at]))
				scan->at++;
			return 'w';
		} else {
			scan->at++;
			if (c == '@')
				scan->why = "it includes other files";
			else if (c == '\0')
				scan->why = "it has a byte of zero";
			else if (!strchr(" \t\r\n\f\v", c))
				return c;
		}
	}
	*ret_start = scan->at;
	return '\0';
}

/* The list of mirrors: where it closes, and where the last sign inside it ends and what that is. */
struct list {
	size_t close, last_end;
	char last;
	bool found;
};

static void find_list(struct scan *scan, struct list *list)
{
	unsigned depth = 0, list_depth = 0;
	bool is_name = false, is_equals = false, is_in_list = false;
	char sign, before = '\0';
	size_t start;
	while ((sign = next_sign(scan, &start))) {
		size_t len = scan->at - start;
		if (is_in_list && sign == ')' && depth == list_depth) {
			list->close = start;
			list->last = before;
			list->found = true;
			is_in_list = false;
		}
		if (strchr("([{", sign))
			depth++;
		if (strchr(")]}", sign)) {
			if (depth == 0) {
				scan->why = "a bracket is closed that was not opened";
				return;
			}
			depth--;
		}
		if (is_equals && sign == '(' && depth == 1 && !list->found) {
			is_in_list = true;
			list_depth = depth;
		}
		is_equals = is_name && (sign == '=' || sign == ':');
		is_name = sign == 'w' && depth == 0 && len == 7 &&
		          memcmp(scan->text + start, "mirrors", 7) == 0;
		if (is_in_list)
			list->last_end = scan->at;
		before = sign;
	}
	if (depth && !scan->why)
		scan->why = "a bracket is not closed";
}

int join_insert(const char *text, size_t text_len, const char *entry, char **ret_text, size_t *ret_len,
                const char **ret_why)
{
	struct scan scan = { .text = text, .len = text_len };
	struct list list = { 0 };
	find_list(&scan, &list);
	if (!scan.why && !list.found)
		scan.why = "it has no mirrors = ( ... ) of its own";
	if (!scan.why && list.last != '}' && list.last != '(')
		scan.why = "its list does not end with a mirror";
	if (scan.why) {
		*ret_why = scan.why;
		return -EINVAL;
	}
	/* Before the line of the bracket, if that stands alone: behind all comments. */
	size_t at = list.close;
	while (at > list.last_end && (text[at - 1] == ' ' || text[at - 1] == '\t'))
		at--;
	bool is_alone = at > list.last_end && text[at - 1] == '\n';
	if (!is_alone)
		at = list.close;
	char *fresh = malloc(text_len + strlen(entry) + 4);
	if (!fresh) {
		*ret_why = "out of memory";
		return -ENOMEM;
	}
	size_t len = list.last_end;
	memcpy(fresh, text, len);
	if (list.last == '}')
		fresh[len++] = ',';
	memcpy(fresh + len, text + list.last_end, at - list.last_end);
	len += at - list.last_end;
	if (!is_alone)
		fresh[len++] = '\n';
	memcpy(fresh + len, entry, strlen(entry));
	len += strlen(entry);
	fresh[len++] = '\n';
	memcpy(fresh + len, text + at, text_len - at);
	len += text_len - at;
	*ret_text = fresh;
	*ret_len = len;
	return 0;
}

static bool same_mirror(const struct conf_mirror *a, const struct conf_mirror *b)
{
	if (strcmp(a->host, b->host) != 0 || strcmp(a->country, b->country) != 0 ||
	    a->addrs_n != b->addrs_n || a->weight != b->weight || a->windows_n != b->windows_n ||
	    strcmp(a->admin ? a->admin : "", b->admin ? b->admin : "") != 0)
		return false;
	for (size_t i = 0; i < a->addrs_n; i++) {
		if (!addr_equal(&a->addrs[i].addr, &b->addrs[i].addr))
			return false;
	}
	return true;
}

static bool is_template(const struct conf_mirror *mirror, const struct join_template *template)
{
	if (strcmp(mirror->host, template->host) != 0 || strcmp(mirror->country, template->country) != 0 ||
	    mirror->addrs_n != template->addresses_n || !mirror->admin ||
	    strcmp(mirror->admin, template->admin) != 0)
		return false;
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		struct addr addr;
		if (addr_parse(template->addresses[i], &addr) < 0 ||
		    !addr_equal(&addr, &mirror->addrs[i].addr))
			return false;
	}
	return true;
}

static bool is_grown(const struct conf_pool *before, const struct conf_pool *after,
                     const struct join_template *template)
{
	if (after->mirrors_n != before->mirrors_n + 1)
		return false;
	for (size_t i = 0; i < before->mirrors_n; i++) {
		if (!same_mirror(&before->mirrors[i], &after->mirrors[i]))
			return false;
	}
	return is_template(&after->mirrors[before->mirrors_n], template);
}

/* Read as dnsd will read it, and as a pool. */
static int check(const char *path, const struct conf_pool *before, const char *text, size_t text_len,
                 const struct join_template *template, struct diag *diag)
{
	struct conf *after;
	struct pool *pool;
	struct arena arena;
	int rc = conf_load_text(CONF_TEXT_MIRRORS, path, text, text_len, diag, &after);
	if (rc < 0)
		return rc;
	arena_init(&arena);
	if (is_grown(before, &after->pools[0], template)) {
		rc = pool_create(&after->pools[0], &arena, diag, &pool);
	} else {
		diag_error(diag, path, 0,
		           "it is written in a way that is not understood; add the mirror by hand");
		rc = -EINVAL;
	}
	arena_fini(&arena);
	conf_destroy(after);
	return rc;
}

/* By rename the file would be ours alone; who could read it before has to be able to. */
static int replace(const char *path, const char *text, size_t text_len, struct diag *diag)
{
	char real[PATH_MAX];
	bool is_owned = true;
	int rc = realpath(path, real) ? file_rewrite(real, text, text_len, &is_owned) : -errno;
	if (rc < 0)
		diag_error(diag, path, 0, "cannot be replaced: %s", strerror(-rc));
	else if (!is_owned)
		diag_warning(diag, path, 0, "its owner or group is now another: only root can keep them");
	return rc;
}

static int append_to(const char *path, const char *text, size_t text_len,
                     const struct join_template *template, struct diag *diag)
{
	char entry[JOIN_ENTRY_MAX];
	char *fresh;
	size_t fresh_len;
	const char *why;
	struct conf *before;
	int rc = conf_load_text(CONF_TEXT_MIRRORS, path, text, text_len, diag, &before);
	if (rc < 0)
		return rc;
	join_entry(template, entry);
	rc = join_insert(text, text_len, entry, &fresh, &fresh_len, &why);
	if (rc < 0) {
		diag_error(diag, path, 0, "%s; add the mirror by hand", why);
	} else {
		rc = check(path, &before->pools[0], fresh, fresh_len, template, diag);
		if (rc == 0)
			rc = replace(path, fresh, fresh_len, diag);
		free(fresh);
	}
	conf_destroy(before);
	return rc;
}

/* Waits until nobody else adds to it. Returns a descriptor to close, or negative errno. */
static int lock(const char *path, struct diag *diag)
{
	struct stat locked;
	struct stat now;
	for (;;) {
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		int rc = 0;
		if (fd < 0)
			return -errno;
		while ((rc = flock(fd, LOCK_EX)) < 0 && errno == EINTR)
			;
		if (rc < 0) {
			diag_warning(diag, path, 0,
			             "cannot be locked: %s; what somebody else adds at this moment is lost",
			             strerror(errno));
			return fd;
		}
		if (fstat(fd, &locked) < 0 || stat(path, &now) < 0) {
			rc = -errno;
			close(fd);
			return rc;
		}
		if (locked.st_ino == now.st_ino && locked.st_dev == now.st_dev)
			return fd;
		/* Who held the lock has replaced the file. */
		close(fd);
	}
}

int join_append(const char *path, const struct join_template *template, struct diag *diag)
{
	char *text;
	size_t text_len;
	const char *why;
	int fd = lock(path, diag);
	if (fd < 0) {
		diag_error(diag, path, 0, "cannot be read: %s", strerror(-fd));
		return fd;
	}
	int rc = file_read(path, JOIN_FILE_MAX, &text, &text_len, &why);
	if (rc < 0) {
		diag_error(diag, path, 0, "cannot be read: %s", why);
	} else {
		rc = append_to(path, text, text_len, template, diag);
		free(text);
	}
	close(fd);
	return rc;
}
