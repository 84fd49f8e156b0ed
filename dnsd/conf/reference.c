/*
 * The reference of all keys, as a configuration file: what has a default is set to it, what must be given has
 * an example, the rest is commented out. So it can be read, searched, and used as a start.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "conf/conf.h"
#include "conf/monitor.h"
#include "conf/schema.h"

#define WRAP_COLUMNS 90

/* Where in the text we are: the front of each line, and how deep. */
struct page {
	FILE *out;
	const char *front; /* "# " for the files that are not the main one */
	int depth;
};

static void page_indent(const struct page *page)
{
	fputs(page->front, page->out);
	for (int i = 0; i < page->depth; i++)
		fputs("    ", page->out);
}

static void print_comment(const struct page *page, const char *text)
{
	while (*text) {
		size_t len = strlen(text);
		if (len > WRAP_COLUMNS) {
			len = WRAP_COLUMNS;
			while (text[len] != ' ')
				len--;
		}
		page_indent(page);
		fprintf(page->out, "# %.*s\n", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
}

static void print_facts(const struct page *page, const struct conf_key *key)
{
	char min[CONF_TEXT_MAX];
	char max[CONF_TEXT_MAX];
	page_indent(page);
	fprintf(page->out, "# %s", conf_type_noun(key->type));
	if (key->type == CONF_DURATION_S || key->type == CONF_DURATION_MS)
		fprintf(page->out, ", %s to %s", conf_format_duration((uint64_t)key->min, min, sizeof(min)),
		        conf_format_duration((uint64_t)key->max, max, sizeof(max)));
	else if (key->type == CONF_NUMBER && key->max != INT64_MAX)
		fprintf(page->out, ", %lld to %lld", (long long)key->min, (long long)key->max);
	if (key->required)
		fputs("; required", page->out);
	else if (key->fallback)
		fprintf(page->out, "; default %s", key->fallback);
	fputc('\n', page->out);
}

static void print_group(struct page *page, const struct conf_group *group);

static void print_key(struct page *page, const struct conf_key *key)
{
	print_comment(page, key->help);
	if (key->group) {
		bool list = key->type == CONF_GROUPS;
		const char *front = page->front;
		if (!key->shown)
			page->front = "# ";
		page_indent(page);
		fprintf(page->out, "%s%s{\n", key->name, list ? " = ( " : ": ");
		page->depth++;
		print_group(page, key->group);
		page->depth--;
		page_indent(page);
		fputs(list ? "} );\n" : "};\n", page->out);
		page->front = front;
		return;
	}
	print_facts(page, key);
	page_indent(page);
	const char *quote = conf_type_is_quoted(key->type) ? "\"" : "";
	const char *comment = key->required || key->shown ? "" : "# ";
	if (key->fallback)
		fprintf(page->out, "%s = %s%s%s;\n", key->name, quote, key->fallback, quote);
	else
		fprintf(page->out, "%s%s = %s;\n", comment, key->name, key->example);
}

static void print_group(struct page *page, const struct conf_group *group)
{
	for (size_t i = 0; i < group->keys_n; i++) {
		if (i > 0)
			fprintf(page->out, "%s\n", page->front[0] ? "#" : "");
		print_key(page, &group->keys[i]);
	}
}

static int print_reference(int fd, const char *program, const struct conf_group *root)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	if (!out)
		return -ENOMEM;
	struct page page = { .out = out, .front = "" };
	fprintf(out,
	        "# All settings of %s, with their defaults. A duration is a number of seconds, or a text of "
	        "a number\n"
	        "# and a unit: \"250ms\", \"90s\", \"5m\", \"2h\", \"1d\".\n\n",
	        program);
	print_group(&page, root);
	page.front = "# ";
	fputs("\n# ---- The mirrors file of a pool:\n#\n", out);
	print_group(&page, &conf_schema_mirrors);
	fputs("\n# ---- The regions file of a pool:\n#\n", out);
	print_group(&page, &conf_schema_regions);
	int rc = fclose(out) == 0 ? file_write_all(fd, text, len) : -ENOMEM;
	free(text);
	return rc;
}

int conf_print_reference(int fd)
{
	return print_reference(fd, "dnsd", &conf_schema_main);
}

int conf_monitor_print_reference(int fd)
{
	return print_reference(fd, "mirrormon", &conf_schema_monitor);
}
