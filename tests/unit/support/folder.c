#include "tests/unit/support/folder.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

#define PATHS_N   4
#define BYTES_MAX (64U << 20)

static char folder[64];

int folder_setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/dnsd_test.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

int folder_teardown(void **state)
{
	(void)state;
	return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *folder_name(void)
{
	return folder;
}

const char *folder_path(const char *name)
{
	static char paths[PATHS_N][320];
	static size_t next;
	char *path = paths[next++ % PATHS_N];
	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

void folder_put_bytes(const char *name, const char *bytes, size_t len)
{
	FILE *out = fopen(folder_path(name), "w");
	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
}

void folder_put(const char *name, const char *text)
{
	folder_put_bytes(name, text, strlen(text));
}

char *folder_get(const char *name)
{
	char *text = NULL;
	size_t len;
	const char *why = "";
	if (file_read(folder_path(name), BYTES_MAX, &text, &len, &why) < 0)
		fail_msg("%s: %s", name, why);
	return text;
}

bool folder_has(const char *name)
{
	return access(folder_path(name), F_OK) == 0;
}
