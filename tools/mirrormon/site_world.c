#include "mirrormon/site_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define WORLD_BYTES_MAX (4U << 20)
#define NAME_LEN_MAX    80
#define PATH_CHARS      "MmLlHhVvZzCcSsQqTtAa0123456789.,- eE"

static int damaged(struct site_world *world, struct diag *diag, const char *path, unsigned line,
                   const char *what)
{
	diag_error(diag, path, line, "%s; make it anew with scripts/worldmap.mjs: the site is without a map",
	           what);
	site_world_fini(world);
	return -EINVAL;
}

static const char *parse_line(struct site_world *world, char *line, bool *ret_no_memory)
{
	char *name = strchr(line, '\t');
	char *path = name ? strchr(name + 1, '\t') : NULL;
	if (!path)
		return "a line has other than three parts";
	*name++ = '\0';
	*path++ = '\0';
	uint16_t country = strlen(line) == 2 ? country_from_code(line) : COUNTRY_UNKNOWN;
	if (country == COUNTRY_UNKNOWN)
		return "a line does not begin with a country code";
	if (!*name || strlen(name) > NAME_LEN_MAX)
		return "a country has no name, or one that is too long";
	if (*path != 'M' || path[strspn(path, PATH_CHARS)])
		return "a shape is not the data of an SVG path";
	if (world->names[country])
		return "a country is there twice";
	world->names[country] = arena_strdup(&world->arena, name);
	world->paths[country] = arena_strdup(&world->arena, path);
	*ret_no_memory = !world->names[country] || !world->paths[country];
	return NULL;
}

int site_world_load(struct site_world *world, const char *path, struct diag *diag)
{
	memset(world, 0, sizeof(*world));
	arena_init(&world->arena);
	char *text;
	size_t text_len;
	const char *why;
	int rc = file_read(path, WORLD_BYTES_MAX, &text, &text_len, &why);
	if (rc < 0) {
		diag_error(diag, path, 0, "%s: the site is without a map", why);
		return rc;
	}
	const char *what = NULL;
	unsigned line_no = 0;
	bool no_memory = false;
	char *rest = text;
	if (strlen(text) != text_len || text_len == 0 || text[text_len - 1] != '\n')
		what = "it is cut off, or no text";
	while (!what && !no_memory && *rest) {
		char *line = strsep(&rest, "\n");
		const char *box = strstr(line, "viewBox=\"0 0 ");
		if (++line_no > 1)
			what = parse_line(world, line, &no_memory);
		else if (line[0] != '#' || !box ||
		         sscanf(box, "viewBox=\"0 0 %5u %5u\"", &world->width, &world->height) != 2 ||
		         world->width == 0 || world->height == 0)
			what = "the first line has no view box such as # viewBox=\"0 0 1000 437\"";
	}
	free(text);
	if (no_memory) {
		site_world_fini(world);
		return -ENOMEM;
	}
	return what ? damaged(world, diag, path, line_no, what) : 0;
}

void site_world_fini(struct site_world *world)
{
	arena_fini(&world->arena);
	memset(world, 0, sizeof(*world));
}
