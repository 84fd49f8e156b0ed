/*
 * replay: run a fuzz target on files and folders of files, without a fuzzer. Says how many it ran.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static size_t ran_n;

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return -1;
	}
	static uint8_t data[1 << 20];
	size_t len = fread(data, 1, sizeof(data), file);
	fclose(file);
	/* A copy of exact size, so that a sanitizer sees a read past the end. */
	uint8_t *copy = malloc(len + (len == 0));
	if (!copy)
		return -1;
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	ran_n++;
	return 0;
}

static int run_path(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0) {
		perror(path);
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return run_file(path);
	DIR *dir = opendir(path);
	if (!dir) {
		perror(path);
		return -1;
	}
	int rc = 0;
	const struct dirent *entry;
	while (rc == 0 && (entry = readdir(dir))) {
		char inner[4096];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		rc = run_path(inner);
	}
	closedir(dir);
	return rc;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (run_path(argv[i]) < 0)
			return 1;
	}
	if (ran_n == 0) {
		fprintf(stderr, "%s: name files or folders to replay\n", argv[0]);
		return 2;
	}
	printf("%zu inputs replayed\n", ran_n);
	return 0;
}
