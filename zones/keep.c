#include "zones/keep.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/object.h"

#define FILE_MAX_BYTES ((size_t)64 << 20)

static const char overrides_name[] = "overrides.json";
static const char versions_name[] = "versions.json";

static int make_path(const char *directory, const char *name, char path[PATH_MAX])
{
	int len = snprintf(path, PATH_MAX, "%s/%s", directory, name);
	return len > 0 && len < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int keep_read_overrides(const char *directory, struct diag *diag, struct override_set **ret_set)
{
	char path[PATH_MAX];
	char *text = NULL;
	size_t len;
	const char *why = "its path is too long";
	struct diag told;
	diag_init(&told);
	int rc = make_path(directory, overrides_name, path);
	if (rc == 0)
		rc = file_read(path, FILE_MAX_BYTES, &text, &len, &why);
	if (rc == 0)
		rc = override_set_parse(text, len, path, &told, ret_set);
	else if (rc != -ENOENT)
		diag_warning(diag, path, 0, "cannot read the overrides: %s; none is in force", why);
	free(text);
	/* An error would keep the server from starting. */
	for (size_t i = 0; i < told.messages_n; i++)
		diag_warning(diag, NULL, 0, "%s", told.messages[i].text);
	diag_fini(&told);
	if (rc == 0 || rc == -ENOMEM)
		return rc;
	return override_set_change(NULL, "", "", NULL, 0, ret_set);
}

int keep_write_overrides(const char *directory, const struct override_set *set)
{
	char path[PATH_MAX];
	int rc = make_path(directory, overrides_name, path);
	json_t *root = rc == 0 ? override_set_to_json(set) : NULL;
	size_t len;
	char *text = object_dump(root, JSON_INDENT(2), "", &len);
	json_decref(root);
	if (rc == 0)
		rc = text ? file_replace(path, text, len) : -ENOMEM;
	free(text);
	return rc;
}

json_t *keep_read_versions(const char *directory, struct diag *diag)
{
	char path[PATH_MAX];
	char *text = NULL;
	size_t len;
	const char *why = "its path is too long";
	int rc = make_path(directory, versions_name, path);
	if (rc == 0)
		rc = file_read(path, FILE_MAX_BYTES, &text, &len, &why);
	json_t *json = rc == 0 ? json_loadb(text, len, 0, NULL) : NULL;
	if (!json && rc != -ENOENT)
		diag_warning(diag, path, 0, "cannot read the versions that were announced before: %s",
		             rc < 0 ? why : "no JSON");
	free(text);
	return json;
}

int keep_write_versions(const char *directory, const char *text)
{
	char path[PATH_MAX];
	int rc = make_path(directory, versions_name, path);
	return rc < 0 ? rc : file_replace(path, text, strlen(text));
}

static int feed_path(const char *directory, const char *pool, char path[PATH_MAX])
{
	char name[NAME_MAX];
	int len = snprintf(name, sizeof(name), "feed-%s.saved", pool);
	return len > 0 && (size_t)len < sizeof(name) ? make_path(directory, name, path) : -ENAMETOOLONG;
}

int keep_read_feed(const char *directory, const struct pool *pool, uint64_t now_s, struct diag *diag,
                   struct feed **ret_feed)
{
	char path[PATH_MAX];
	*ret_feed = NULL;
	if (feed_path(directory, pool->conf->name, path) < 0 || access(path, F_OK) < 0)
		return 0;
	/* With the keys of today: a key that was taken back does not live on here. */
	const struct feed_source source = { .path = path,
		                            .pool = pool->conf->name,
		                            .max_bytes = pool->conf->feed_max_bytes,
		                            .keys = pool->feed_keys,
		                            .keys_n = pool->feed_keys_n };
	struct diag told;
	diag_init(&told);
	int rc = feed_load(&source, now_s, &told, ret_feed);
	for (size_t i = 0; i < told.messages_n && rc < 0; i++)
		diag_warning(diag, NULL, 0, "%s", told.messages[i].text);
	diag_fini(&told);
	if (rc < 0)
		*ret_feed = NULL;
	/* It may be a good one: without it all mirrors would be in, and the next feed be in force unjudged.
	 */
	return rc == -ENOMEM ? rc : 0;
}

int keep_write_feed(const char *directory, const char *pool, const struct feed *feed)
{
	char path[PATH_MAX];
	char signature[PATH_MAX + 16];
	int rc = feed_path(directory, pool, path);
	snprintf(signature, sizeof(signature), "%s.minisig", path);
	if (rc == 0 && feed->signature)
		rc = file_replace(signature, feed->signature, feed->signature_len);
	return rc < 0 ? rc : file_replace(path, feed->text, feed->text_len);
}
