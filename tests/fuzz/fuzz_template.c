/*
 * Templates of any bytes: refused with a message, or parsed into an entry that the mirrors file reads back as
 * just that mirror. What follows a line of "%%" is a mirrors file, to which it is added.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mirrormon/join_int.h"
#include "tests/fuzz/fuzz.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Alone in a file, it is the mirror that the template says. */
static void check_entry(const struct join_template *template, const char *entry)
{
	char text[JOIN_ENTRY_MAX + 32];
	struct diag diag;
	struct conf *conf;
	diag_init(&diag);
	int len = snprintf(text, sizeof(text), "mirrors = (\n%s\n);\n", entry);
	require(len > 0 && (size_t)len < sizeof(text));
	require(conf_load_text(CONF_TEXT_MIRRORS, "mirrors", text, (size_t)len, &diag, &conf) == 0);
	const struct conf_pool *pool = &conf->pools[0];
	require(pool->mirrors_n == 1 && strcmp(pool->mirrors[0].host, template->host) == 0 &&
	        strcmp(pool->mirrors[0].country, template->country) == 0 &&
	        strcmp(pool->mirrors[0].admin, template->admin) == 0 &&
	        pool->mirrors[0].addrs_n == template->addresses_n);
	conf_destroy(conf);
	diag_fini(&diag);
}

/* A file that was good stays so, with one mirror more, or the entry is not put in. */
static void check_insert(const char *text, size_t text_len, const char *entry)
{
	struct diag diag;
	struct conf *before = NULL, *after = NULL;
	char *fresh;
	size_t fresh_len;
	const char *why = NULL;
	diag_init(&diag);
	bool was_good = conf_load_text(CONF_TEXT_MIRRORS, "before", text, text_len, &diag, &before) == 0;
	int rc = join_insert(text, text_len, entry, &fresh, &fresh_len, &why);
	require((rc == 0) == (why == NULL));
	if (rc == 0) {
		require(fresh_len > text_len);
		bool is_good =
		        conf_load_text(CONF_TEXT_MIRRORS, "after", fresh, fresh_len, &diag, &after) == 0;
		if (was_good && is_good)
			require(after->pools[0].mirrors_n == before->pools[0].mirrors_n + 1);
		free(fresh);
	}
	if (after)
		conf_destroy(after);
	if (before)
		conf_destroy(before);
	diag_fini(&diag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *split = size ? memmem(text, size, "\n%%\n", 4) : NULL;
	size_t template_len = split ? (size_t)(split - text) : size;
	struct join_template template;
	struct diag diag;
	char entry[JOIN_ENTRY_MAX];
	diag_init(&diag);
	/* A copy of just this size, so that a read behind its end shows. */
	char *exact = malloc(template_len ? template_len : 1);
	require(exact != NULL);
	memcpy(exact, text, template_len);
	int rc = join_parse(exact, template_len, "template", &diag, &template);
	require((rc == 0) == (diag.errors_n == 0));
	if (rc == 0) {
		join_entry(&template, entry);
		check_entry(&template, entry);
	}
	if (split)
		check_insert(
		        split + 4, size - template_len - 4,
		        rc == 0 ? entry
		                : "{ host = \"n.example\"; country = \"DE\"; addresses = \"192.0.2.9\"; }");
	free(exact);
	diag_fini(&diag);
	return 0;
}
