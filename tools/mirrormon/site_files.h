/*
 * site_files: the site's folder: files that are written only when their bytes differ, and cleared away when
 * nothing stands for them any more.
 *
 * Not forced to disk: whatever a crash leaves is put right by the next writing, which compares.
 */
#ifndef TOOLS_MIRRORMON_SITE_FILES_H
#define TOOLS_MIRRORMON_SITE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

#define SITE_FILE_MAX 224 /* a file name without its suffix, with its final NUL */

struct site_files {
	const char *directory;
	int folder; /* open; -1 = it could not be */
	struct diag *diag;
	int status;      /* 0, or the first error: negative errno */
	size_t failed_n; /* files that could not be written */
	size_t written_n, same_n, removed_n;
};

/** Make the folder and those in it, and its parents, where they are not there: mode 0755. */
void site_files_begin(struct site_files *files, const char *directory, struct diag *diag);

/** path: relative, of our own making. Readable by all: mode 0644. */
void site_files_write(struct site_files *files, const char *path, const char *bytes, size_t len);

/** Of two texts, as const char *, by strcmp: for qsort() and bsearch(). */
int site_files_order(const void *a, const void *b);

/**
 * Remove from DIRECTORY/folder what a site has written there for names it does not have any more.
 * names [n] by site_files_order(): as site_file_name() gives them
 */
void site_files_clear(struct site_files *files, const char *folder, const char *const *names, size_t n);

/** Close, and tell of failures that were not told one by one. */
void site_files_end(struct site_files *files);

/**
 * A file name for a host: a-z, 0-9, "-" and inner dots stay; others are written as _xx. Different for
 * different hosts but for upper and lower case, never hidden, never a path. Returns name.
 */
const char *site_file_name(const char *host, char name[SITE_FILE_MAX]);

#endif
